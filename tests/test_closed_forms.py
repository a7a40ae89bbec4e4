"""The end state against formulas from paper, and the reported error against the true one."""

from __future__ import annotations

import math

import mpmath
import numpy as np
import pytest
from scipy import special, stats

from stationary import Diffusion, analyze, end_state
from stationary.functions.evaluation import derivative

INF = np.inf
DIGITS = mpmath.MPContext()
DIGITS.dps = 40
mpf, log = DIGITS.mpf, DIGITS.log


def pearson_cases():
    """(name, process, exact log-density in many digits, points)."""

    def case(name, drift, variance, domain, log_density, x):
        process = Diffusion(drift=drift, variance=variance, domain=domain, name=name)
        return pytest.param(process, log_density, np.asarray(x, dtype=float), id=name)

    line = (-INF, INF)
    for mean, deviation in ((0, 1), (1000, 0.01), (3, 1e-8), (0, 1e-9), (-5e4, 1e4)):
        v = mpf(deviation) ** 2
        yield case(
            f"normal {mean} {deviation}",
            lambda x, mean=mean: -(x - mean),
            2.0 * deviation**2,
            line,
            lambda x, m=mean, v=v: -((x - m) ** 2) / (2 * v) - log(2 * DIGITS.pi * v) / 2,
            mean + deviation * np.linspace(-6, 6, 61),
        )
    half = (0, INF)
    for a in (1e-3, 0.1, 1.0, 2.5, 300.0):
        a_ = mpf(a)
        yield case(
            f"gamma {a}",
            lambda x, a=a: a - x,
            lambda x: 2 * x,
            half,
            lambda x, a=a_: (a - 1) * log(x) - x - DIGITS.loggamma(a),
            np.concatenate([np.logspace(-30, 0, 31), np.linspace(1, 400, 100)]),
        )
        yield case(
            f"inverse gamma {a}",
            lambda x, a=a: 1 - (a - 1) * x,
            lambda x: 2 * x * x,
            half,
            lambda x, a=a_: (-a - 1) * log(x) - 1 / x - DIGITS.loggamma(a),
            np.logspace(-3, 20, 93),
        )
        for b in (0.3, 4.0):
            b_ = mpf(b)
            yield case(
                f"beta {a} {b}",
                lambda x, a=a, b=b: a * (1 - x) - b * x,
                lambda x: 2 * x * (1 - x),
                (0, 1),
                lambda x, a=a_, b=b_: (
                    (a - 1) * log(x) + (b - 1) * log(1 - x) - log(DIGITS.beta(a, b))
                ),
                np.concatenate([np.logspace(-30, -2, 29), np.linspace(0.02, 0.98, 49)]),
            )
            yield case(
                f"fisher {a} {b}",
                lambda x, a=a, b=b: a - (b - 1) * x,
                lambda x: 2 * x * (1 + x),
                half,
                lambda x, a=a_, b=b_: (
                    (a - 1) * log(x) - (a + b) * log(1 + x) - log(DIGITS.beta(a, b))
                ),
                np.logspace(-10, 10, 81),
            )
    for nu in (0.3, 1.0, 1.5, 30.0):
        n = mpf(nu)
        yield case(
            f"student {nu}",
            lambda x, nu=nu: -(nu - 1) * x,
            lambda x, nu=nu: 2 * (nu + x * x),
            line,
            lambda x, n=n: (
                -(n + 1) / 2 * log(1 + x * x / n) - log(DIGITS.beta(mpf(1) / 2, n / 2)) - log(n) / 2
            ),
            np.concatenate([np.linspace(-20, 20, 81), np.logspace(2, 12, 21)]),
        )


@pytest.mark.parametrize(("process", "log_density", "x"), list(pearson_cases()))
def test_every_pearson_diffusion_has_its_density_and_an_honest_error(process, log_density, x):
    state = end_state(process)

    exact = np.array([float(log_density(mpf(point))) for point in x.tolist()])
    error = np.abs(state.logpdf(x) - exact)
    visible = exact > exact.max() - np.log(1e8)
    limit = 1e-12 if "beta 300" not in process.name else 1e-9  # says so itself, see below
    assert error[visible].max() <= limit
    # A double cannot hold a logarithm of size L better than to 1.1e-16 L.
    assert error[visible].max() <= state.error + 1.2e-16 * np.abs(exact[visible]).max()
    assert state.error < 1e-12 or process.name.startswith("beta 300")
    assert np.all(error < 1e-13 * (1 + np.abs(exact)) + 100 * state.error)


@pytest.mark.parametrize("convention", ["ito", "stratonovich", "klimontovich"])
@pytest.mark.parametrize("k", [0.5, 2.0, 8.0])
@pytest.mark.parametrize("c", [0.5, 1.0])
def test_the_three_conventions_differ_by_powers_of_the_variance(convention, k, c):
    """f = -k x and a = 2 c (1 + x^2) give P ~ (1 + x^2)^(lambda - 1 - k / 2c)."""
    process = Diffusion(
        drift=lambda x: -k * x,
        variance=lambda x: 2 * c * (1 + x**2),
        domain=(-INF, INF),
        convention=convention,
    )
    weight = {"ito": 0.0, "stratonovich": 0.5, "klimontovich": 1.0}[convention]
    exponent = weight - 1 - k / (2 * c)
    state = end_state(process)
    if exponent >= -0.5:
        assert state.kind == "none"
        return
    x = np.linspace(-20, 20, 401)
    assert np.ptp(state.logpdf(x) - exponent * np.log1p(x**2)) < 5e-14  # values reach 60


@pytest.mark.parametrize("temperature", [1.0, 0.1, 1e-2, 1e-4])
def test_a_gradient_drift_with_constant_noise_gives_the_gibbs_density(temperature):
    """P = exp(-V / T) / Z with V = x^4 / 4 - x^2 / 2; Z by Gauss quadrature in many digits."""
    t = mpf(temperature)
    width = DIGITS.sqrt(t)
    marks = sorted({s * (1 + j * width / 2) for s in (-1, 1) for j in range(-1, 17)} | {mpf(0)})
    marks = [m for m in marks if -3 < m < 3]

    def weight(x):
        return DIGITS.exp(-((x**2 - 1) ** 2) / (4 * t))

    z = DIGITS.quad(weight, [-6, *marks, 6])
    state = end_state(
        Diffusion(drift=lambda x: x - x**3, variance=2 * temperature, domain=(-INF, INF))
    )
    x = np.linspace(-2, 2, 81)
    exact = -((x**2 - 1) ** 2) / (4 * temperature) - float(log(z))
    error = np.abs(state.logpdf(x) - exact)[exact > exact.max() - 18]
    assert error.max() < min(1e-12, 2 * state.error)
    assert state.cdf(0.0) == pytest.approx(0.5, rel=1e-13)


def test_a_wall_reflects_and_drift_against_it_gives_an_exponential():
    state = end_state(Diffusion(drift=-1.0, variance=2.0, domain=(0, INF)))
    x = np.array([0.0, 0.5, 3.0, 50.0])
    np.testing.assert_allclose(state.pdf(x), np.exp(-x), rtol=4e-14)
    np.testing.assert_allclose(state.sf(x), np.exp(-x), rtol=4e-14)
    assert state.mean() == pytest.approx(1, rel=1e-14)


def test_pure_diffusion_between_walls_is_uniform():
    state = end_state(Diffusion(drift=0.0, variance=3.0, domain=(2, 5)))
    np.testing.assert_allclose(state.pdf([2.0, 3.3, 5.0]), 1 / 3, rtol=1e-15)
    assert state.var() == pytest.approx(9 / 12, rel=1e-14)


def test_a_drift_that_jumps_gives_the_laplace_density():
    state = end_state(
        Diffusion(drift=lambda x: -np.sign(x - 0.3), variance=2.0, domain=(-INF, INF))
    )
    x = np.linspace(-5, 5, 101)
    np.testing.assert_allclose(state.pdf(x), np.exp(-np.abs(x - 0.3)) / 2, rtol=1e-13)
    (equilibrium,) = state.anatomy.equilibria
    assert abs(equilibrium.position - 0.3) <= 1e-15
    assert equilibrium.slope is None


def test_a_drift_with_corners_is_resolved_to_full_accuracy():
    """f = -max(x, 0) - min(x + 1, 0): flat in between, Gaussian outside."""
    state = end_state(
        Diffusion(
            drift=lambda x: -np.maximum(x, 0) - np.minimum(x + 1, 0),
            variance=2.0,
            domain=(-INF, INF),
        )
    )
    height = 1 / (1 + np.sqrt(2 * np.pi))
    assert state.pdf(-0.4) == pytest.approx(height, rel=1e-13)
    assert state.pdf(1.7) == pytest.approx(height * np.exp(-(1.7**2) / 2), rel=1e-13)
    (rest,) = state.anatomy.equilibria
    assert rest.interval == pytest.approx((-1, 0), abs=1e-6)
    assert rest.stable


@pytest.mark.parametrize(
    "sums",
    [
        lambda x, c, h: np.exp(-(((x - c[:, None]) / h) ** 2)).sum(axis=0),
        lambda x, c, h: np.exp(-(((x[:, None] - c) / h) ** 2)).sum(axis=1),
        lambda x, c, h: np.exp(-(((x[:, None] - c) / h) ** 2)).mean(axis=-1) * len(c),
        lambda x, c, h: np.sum([np.exp(-(((x - a) / h) ** 2)) for a in c], axis=0),
        lambda x, c, h: np.ones(len(c)) @ np.exp(-(((x - c[:, None]) / h) ** 2)),
        lambda x, c, h: np.exp(-(((x[:, None] - c) / h) ** 2)) @ np.ones(len(c)),
        lambda x, c, h: np.einsum("k,kx->x", c**0, np.exp(-(((x - c[:, None]) / h) ** 2))),
    ],
)
def test_what_is_summed_is_looked_at_term_by_term(sums):
    """Nine bumps of 1e-4: they were not seen, and the mean was 0, to 6e-16."""
    places, width = np.linspace(-0.91, 1.13, 9), 1e-4

    def mean(drift):
        return end_state(Diffusion(drift, 0.3, (-3, 3))).mean()

    together = mean(lambda x: -x + 0.05 / width * sums(x, places, width))
    alone = mean(
        lambda x: -x + sum(0.05 / width * np.exp(-(((x - c) / width) ** 2)) for c in places)
    )
    assert together == pytest.approx(alone, rel=1e-12)
    assert alone > 0.3


def test_a_function_of_a_sum_is_not_looked_at_as_its_terms_are():
    """Nothing is known of where tanh of a sum changes, but of where the terms do."""

    def drift(x):
        terms = np.exp(-(((x - np.array([[0.1], [0.4]])) / 1e-4) ** 2))
        return -x + 10 * np.tanh(terms.sum(axis=0)) + np.exp(-np.abs(terms.sum(axis=0)))

    process = Diffusion(drift, variance=0.2, domain=(-3, 3))
    for place in (0.1, 0.4):
        assert np.abs(np.array(process.breakpoints) - place).min() < 1e-12


def test_more_narrow_places_than_are_followed_are_told():
    process = Diffusion(
        lambda x: -x + np.exp(-((np.sin(300 * x) / 0.01) ** 2)), variance=0.2, domain=(-3, 3)
    )
    assert any("more than 512" in note for note in end_state(process).notes)


def one_by_one(x):
    return 1.0 if abs(x - 0.148) < 1.6e-3 else 0.0


@pytest.mark.parametrize(
    "pulse",
    [
        one_by_one,
        lambda x: np.isclose(x, 0.148, rtol=0, atol=1.6e-3) + 0.0,
        lambda x: np.interp(x, [0.145, 0.147, 0.149, 0.151], [0, 0.8, 0.8, 0]),
        lambda x: np.exp(-(((x - np.array([[[0.147]], [[0.149]]])) / 5e-4) ** 2)).sum((0, 1)) * 1.8,
    ],
)
def test_what_cannot_be_recorded_is_looked_at_closely(pulse):
    """Pulses of 1/2000 of the domain, between two nodes of a panel: the mean was 0, to 4e-16."""
    state = end_state(
        Diffusion(lambda x: -x + 0.1 / 3.2e-3 * pulse(x), variance=0.2, domain=(-3, 3))
    )
    assert state.mean() == pytest.approx(0.125, abs=5e-4)  # as that of a push in one point


def test_a_corner_next_to_an_end_is_not_looked_at_beyond_it():
    def drift(x):
        if isinstance(x, np.ndarray) and (x > 1).any():
            raise ValueError("outside")
        return 0.3 - np.abs(x - (1 - 1e-8))

    process = Diffusion(drift, variance=0.2, domain=(0, 1))
    assert process.breakpoints == (1 - 1e-8,)


def test_corners_of_a_wider_domain_are_found_anew():
    process = Diffusion(lambda x: -x + (np.abs(x - 4) < 1e-3), 1.0, (-3, 3), breakpoints=[1])
    assert process.breakpoints == (1.0,)
    wide = process.changed(domain=(-3, 5))
    assert wide.breakpoints == pytest.approx((1, 3.999, 4.001), rel=1e-15)
    assert wide.changed(drift=lambda x: -x).breakpoints == (1.0,)


@pytest.mark.parametrize("width", [1e-3, 1e-5, 1e-8])
@pytest.mark.parametrize(
    "bump",
    [
        lambda z: np.exp(-(z**2)) / math.sqrt(math.pi),
        lambda z: 1 / (1 + z**2) ** 2 * 2 / math.pi,
        lambda z: (1 - np.tanh(z) ** 2) / 2,
        lambda z: np.exp(-np.abs(z)) / 2,
        lambda z: 1 / np.cosh(np.clip(z, -500, 500)) ** 2 / 2,
        lambda z: 0.5 * (1 + z**2) ** -1.5,
        lambda z: special.expit(z) * special.expit(-z),
        lambda z: 1 / np.cosh(z) / math.pi,
        lambda z: 2 / (np.exp(z) + np.exp(-z)) / math.pi,
        lambda z: np.log1p(np.exp(-np.abs(z))) * 6 / math.pi**2,
        lambda z: 2.0 ** (-(z**2)) * math.sqrt(math.log(2) / math.pi),
    ],
)
def test_a_smooth_push_is_found_however_narrow_it_is(bump, width):
    """As a pulse of its area: what it is a function of is as wide as the domain."""
    process = Diffusion(
        drift=lambda x: -x + 0.1 / width * bump((x - 0.1235) / width), variance=0.2, domain=(-3, 3)
    )
    state, far = end_state(process), 100 * width
    below = math.erf(0.1235 / math.sqrt(0.2)) + math.erf(3 / math.sqrt(0.2))
    above = math.erf(3 / math.sqrt(0.2)) - math.erf(0.1235 / math.sqrt(0.2))
    exact = below / (below + above * math.e)
    assert state.cdf(0.1235 - far) == pytest.approx(exact, rel=4 * far)
    assert state.error < 1e-10


@pytest.mark.parametrize(
    "step",
    [
        np.tanh,
        lambda z: 2 / (1 + np.exp(-z)) - 1,
        lambda z: 2 * special.expit(z) - 1,
        lambda z: 2 * special.ndtr(z) - 1,
        lambda z: np.logaddexp(z + 1, 0) - np.logaddexp(z - 1, 0) - 1,
        lambda z: z / np.sqrt(1 + z * z),
    ],
)
@pytest.mark.parametrize("place", [0.0, 0.1235])
def test_a_step_of_the_drift_is_found_however_steep_it_is(step, place):
    def process(f):
        return Diffusion(drift=lambda x: -x - f(x - place), variance=0.2, domain=(-3, 3))

    steep, jump = end_state(process(lambda x: step(x * 1e9))), end_state(process(np.sign))
    assert steep.mean() == pytest.approx(jump.mean(), abs=1e-8)
    assert steep.std() == pytest.approx(jump.std(), abs=1e-8)


@pytest.mark.parametrize("width", [1e-4, 1e-8])
@pytest.mark.parametrize("place", [-2.999, 0.1235, 2.9985])
def test_a_well_of_a_potential_is_found_however_narrow_it_is(width, place):
    """Also next to an end, and if the drift is made by `derivative`."""

    def potential(x):
        return (x - place) ** 2 / 2 - np.exp(-(((x - place) / width) ** 2))

    slope = derivative(potential)
    by_drift = Diffusion(lambda x: -slope(x), 0.1, domain=(-3, 3))
    process = Diffusion(potential=potential, temperature=0.05, domain=(-3, 3))
    assert by_drift.breakpoints == process.breakpoints
    assert np.abs(np.subtract(process.breakpoints, place)).min() < width / 10
    z, w = np.polynomial.legendre.leggauss(200)
    inside = width * 8 * np.sum(w * np.expm1(np.exp(-((8 * z) ** 2)) / 0.05))
    ends = math.erf((3 - place) / math.sqrt(0.1)) + math.erf((3 + place) / math.sqrt(0.1))
    share = inside / (inside + math.sqrt(0.1 * math.pi) / 2 * ends)
    state = end_state(process)
    found = state.cdf(place + 9 * width) - state.cdf(place - 9 * width)
    assert found == pytest.approx(share, abs=40 * width)


@pytest.mark.parametrize("place", [20.1235, 1000.7, -123.4])
def test_a_push_is_found_far_out(place):
    process = Diffusion(lambda x: place - x + np.exp(-(((x - place) / 1e-6) ** 2)) / 1e-6, 0.2)
    exact = 1 / (1 + math.exp(10 * math.sqrt(math.pi)))
    assert end_state(process).cdf(place - 1e-4) == pytest.approx(exact, rel=1e-3)


def test_where_nothing_can_be_no_panel_has_to_end():
    """A step of an arctan is long over where the variance is e^-240: many digits are dear there."""
    process = Diffusion(
        lambda x: -np.arctan(1e8 * x) * x**2 * 1e8 - 0.1 * x,
        lambda x: 1e-16 * (1 + np.tanh(3e8 * x - 3)),
    )
    assert min(process.breakpoints) > -1e-7


def by_mask(x, h):
    y = np.zeros_like(x)
    inside = np.abs(x - 0.1235) < h
    y[inside] += x[inside] ** 0
    y[~inside] = 0
    return y


@pytest.mark.parametrize("width", [1e-3, 1e-4, 1e-6, 1e-9])
@pytest.mark.parametrize(
    "pulse",
    [
        lambda x, h: np.abs(x - 0.1235) < h,
        lambda x, h: np.where((x > 0.1235 - h) & (x < 0.1235 + h), 1.0, 0.0),
        lambda x, h: np.piecewise(x, [np.abs(x - 0.1235) < h], [1.0, 0.0]),
        lambda x, h: np.select([x <= 0.1235 - h, x < 0.1235 + h], [0, 1], 0),
        by_mask,
        lambda x, h: np.clip((h - np.abs(x - 0.1235)) / h, 0, 0.5) * 8 / 3,
    ],
)
def test_a_pulse_of_the_drift_is_found_however_narrow_it_is(pulse, width):
    """f = -x but for a push of k in all: two halves of a normal, one e^(2 k / a) times the other.

    Of the narrow ones no panel knew: the mean was 0, to 4e-16.
    """
    state = end_state(
        Diffusion(drift=lambda x: -x + 0.05 / width * pulse(x, width), variance=0.2, domain=(-3, 3))
    )
    below = math.erf(0.1235 / math.sqrt(0.2)) + math.erf(3 / math.sqrt(0.2))
    above = math.erf(3 / math.sqrt(0.2)) - math.erf(0.1235 / math.sqrt(0.2))
    assert state.cdf(0.1235) == pytest.approx(below / (below + above * math.e), rel=20 * width)
    assert state.error < 1e-12


@pytest.mark.parametrize(
    ("scale", "log_ratio"),
    [
        # log of P(x < 0) / P(x > 0), by 50-digit quadrature of the same integrals
        (1, "3.139218412712723153573"),
        (50, "120.80364429183222"),
    ],
)
def test_the_double_well_has_its_mass_ratio(double_well, scale, log_ratio):
    state = end_state(double_well(scale))
    expected = float(log_ratio)
    assert state.log_ratio((-3, 0), (0, 3)) == pytest.approx(expected, rel=2e-15)


def test_the_double_well_has_its_mass(double_well):
    """0.95848178900583416172, by Gauss-Legendre quadrature with 40 digits."""
    state = end_state(double_well())
    assert state.cdf(0.0) == pytest.approx(0.95848178900583416172, rel=1e-14)
    assert state.probability(-3, 0) == pytest.approx(0.95848178900583416172, rel=1e-14)


@pytest.mark.parametrize("noise", [1e-5, 1e-3, 1e-1])
def test_small_noise_tends_to_the_laplace_approximation(noise):
    """Masses of wells of unequal curvature at equal depth go as 1 / sqrt(curvature)."""
    # V = (x^2 - 1)^2 (1 + c x) has wells at -1 and 1 with V'' = 8 (1 - c) and 8 (1 + c).
    c = 0.4
    state = end_state(
        Diffusion(
            drift=lambda x: -(4 * x * (x**2 - 1) * (1 + c * x) + c * (x**2 - 1) ** 2),
            variance=2 * noise,
            domain=(-1.8, 1.8),
        )
    )
    ratio = np.exp(state.log_ratio((-1.8, 0), (0, 1.8)))
    laplace = np.sqrt((1 + c) / (1 - c))
    assert ratio == pytest.approx(laplace, rel=3 * noise)


def test_a_log_divergence_is_not_normalisable():
    """f = x / 2 and a = x^2 give P ~ 1 / x exactly: it diverges at both ends."""
    state = end_state(Diffusion(drift=lambda x: 0.5 * x, variance=lambda x: x**2, domain=(0, INF)))
    assert state.kind == "none"
    assert "for ever" in state.reason


def test_equilibria_far_below_the_peak_are_not_taken_for_rounding():
    """Close to x = 0 the exponent has fallen by 1e17, and its own barriers are about 1."""
    process = Diffusion(
        drift=lambda x: np.where(x < 2.5, np.sin(2 * np.pi * x), 1e17 * (3 - x)),
        variance=1.0,
        domain=(0.25, 4),
        breakpoints=[2.5],
    )
    equilibria = end_state(process).anatomy.equilibria
    np.testing.assert_allclose([e.position for e in equilibria], [0.5, 1, 1.5, 2, 3], atol=1e-13)


@pytest.mark.parametrize("c", [0.50001, 0.4999, 0.25 + 1e-7, 1 / 3])
def test_a_jump_of_the_noise_is_found_wherever_it_lies(c):
    """a = 1 below c and 4 above, no drift: P ~ 1 / a. Just beside a panel's edge is no node."""
    state = end_state(
        Diffusion(drift=0.0, variance=lambda x: np.where(x < c, 1.0, 4.0), domain=(0, 1))
    )
    z = c + (1 - c) / 4
    assert state.pdf(0.2) == pytest.approx(1 / z, rel=1e-13)
    assert state.pdf(0.9) == pytest.approx(0.25 / z, rel=1e-13)
    assert state.cdf(c) == pytest.approx(c / z, rel=1e-13)


@pytest.mark.parametrize("sign", [-1, 1])
def test_a_tail_beyond_a_jump_of_the_noise_is_not_lost(sign):
    """f = -x, a = 0.2 beyond the jump at 1 and 0.1 before it: two Gaussians.

    The slope of log P in the panel of the jump is no slope of the tail that ends there: all of it
    was taken to lie within a rounding of the jump.
    """

    def gauss(low, high, a):
        return math.sqrt(math.pi * a) / 2 * (math.erfc(low / a**0.5) - math.erfc(high / a**0.5))

    def variance(x):
        return np.where(sign * x > 1, 0.2, 0.1)

    state = end_state(Diffusion(drift=lambda x: -x, variance=variance, domain=(-3, 3)))
    # log (a P) is continuous.
    beyond = gauss(1, 3, 0.2) * math.exp(-10 + 5) / 2
    within = gauss(-3, 1, 0.1)
    at = sign * np.array([1.0, 1 - 1e-9, 0.9])
    more = np.array([0, math.exp(-10) * 1e-9, gauss(0.9, 1, 0.1)])
    tail = state.cdf(at) if sign < 0 else state.sf(at)
    np.testing.assert_allclose(tail, (beyond + more) / (beyond + within), rtol=1e-12)


@pytest.mark.parametrize("at", [0.5, 1 / 3, -1.0])
def test_at_a_jump_the_density_is_between_both_sides(at):
    """Within some roundings of it a polynomial swings: 1.53 was said between 0.12 and 1.48."""
    process = Diffusion(lambda x: -x, lambda x: np.where(x < at, 0.2, 0.1), (-3, 3))
    for digits in (None, 20):
        state = end_state(process, digits=digits)
        near = at + 2.0**-51 * np.arange(-8, 9)
        found = np.array([float(p) for p in state.pdf(near)])
        low, high = float(state.pdf(at - 1e-9)), float(state.pdf(at + 1e-9))
        assert (low * (1 - 1e-7) <= found).all()
        assert (found <= high * (1 + 1e-7)).all()


def test_a_shallow_well_is_a_well():
    """Noise 1e9 times the force makes the barrier 5e-10 high, which is far above rounding."""
    process = Diffusion(drift=lambda x: x - x**3 + 0.01, variance=1e9, domain=(-2, 2))
    assert len(end_state(process).anatomy.equilibria) == 3


def test_a_corner_next_to_the_edge_of_a_panel_is_not_missed():
    """f = 0 for |x| < 1/4 between two quadratic walls, and a rising variance.

    The density turns a little to the left of the corner at -1/4, and a panel of its mesh that
    begins there has the corner before its first node.
    """

    def drift(x):
        return 500 * np.where(x < -0.25, -(x + 0.25), np.where(x < 0.25, 0 * x, 0.25 - x))

    process = Diffusion(
        drift=drift, variance=lambda x: 1 + x / 5, domain=(-2, 2), breakpoints=(-0.25, 0.25)
    )
    state = end_state(process)
    with mpmath.workdps(25):

        def side(sign):
            """From the corner outwards: 2 f / a = -1000 r / (b + s r), its integral in full."""
            b, s = 1 + mpmath.mpf(sign) / 20, mpmath.mpf(sign) / 5

            def density(r):
                return mpmath.exp(-1000 / s**2 * (s * r - b * mpmath.log1p(s * r / b))) / (
                    b + s * r
                )

            return mpmath.quad(density, [0, 0.02, 0.05, 0.1, 0.2, 0.4, 0.8, 1.75])

        flat = 5 * mpmath.log(mpmath.mpf("1.05") / mpmath.mpf("0.95"))
        exact = float(mpmath.log(flat + side(1) + side(-1)))
    assert abs(-state.logpdf(0.0) - exact) <= state.error
    assert state.error < 1e-13


def test_breakpoints_a_rounding_beside_the_edges_of_panels():
    """Knots of a table may lie where panels are cut: none may be as narrow as a rounding."""
    knots = [np.nextafter(x, 1) for x in np.linspace(-2, 2, 65)[1:-1]]
    state = end_state(Diffusion(lambda x: -x, 1.0, (-2, 2), breakpoints=knots))
    exact = stats.truncnorm.std(-2 * 2**0.5, 2 * 2**0.5, scale=2**-0.5)
    assert state.std() == pytest.approx(exact, rel=1e-12)


def test_a_mean_that_is_infinite_has_no_error_that_is_no_number():
    """P ~ 1 / (1 + x^2)^0.8 on a half-line has no mean."""
    state = end_state(Diffusion(lambda x: -0.8 * x / (1 + x**2), 1.0, (0, np.inf)))
    assert (state.mean(), state.mean_error) == (np.inf, 0.0)


def test_a_drift_that_grows_beyond_doubles_on_the_way_is_followed_without_a_warning():
    """log P = -x - e^-x is Gumbel's law."""
    found = analyze(Diffusion(lambda x: (-1 + np.exp(-x)) / 2, 1.0, (-INF, INF))).to_dict()
    mean, deviation = found["moments"]["mean"], found["moments"]["standard_deviation"]
    assert abs(mean["value"] - np.euler_gamma) <= mean["error"]
    assert abs(deviation["value"] - np.pi / 6**0.5) <= deviation["error"]


@pytest.mark.parametrize("x", [1e-30, 1e-9, 0.5])
def test_probabilities_next_to_an_infinite_peak_have_their_errors(x):
    """The arcsine law: P(X < x) = 2 asin(sqrt(x)) / pi."""
    even = Diffusion(drift=lambda x: (1 - 2 * x) / 4, variance=lambda x: x * (1 - x), domain=(0, 1))
    state = end_state(even)
    off = state.log_probability(0, x) - math.log(2 * math.asin(math.sqrt(x)) / math.pi)
    assert abs(off) < state.log_probability_error(0, x) < 1e-12
    assert state.verdict == "there is an end state, of kind 'density'."


@pytest.mark.parametrize(("lower", "width"), [(0.0, 1.0), (-3.0, 6.0)])
@pytest.mark.parametrize("rates", [(2e-4, 0.57), (0.07, 7e-4), (3e-3, 0.2)])
def test_the_deviation_of_a_law_that_gathers_at_an_end_is_known_to_its_error(lower, width, rates):
    """The mass is at the end and the variance elsewhere: 27 times beyond its error."""
    u, v = rates
    upper = lower + width
    state = end_state(
        Diffusion(
            lambda x: u * (upper - x) - v * (x - lower),
            lambda x: (x - lower) * (upper - x),
            (lower, upper),
        )
    )
    true = width * math.sqrt(u * v / ((u + v) ** 2 * (2 * u + 2 * v + 1)))
    assert abs(state.std() - true) <= state.std_error < 1e-11 * true
