"""The same answers in many digits, and states that no double could carry."""

from __future__ import annotations

import math
from dataclasses import replace

import flint
import mpmath
import numpy as np
import pytest

from stationary import (
    Diffusion,
    basins_of,
    end_state,
    first_passage,
    hitting_probability,
    log_mean_first_passage_time,
    mean_first_passage_time,
)
from stationary.line.ends import anatomy
from stationary.line.sampling import sampling
from stationary.numbers.arithmetic import many_digits
from stationary.weight.focus import component_on

INF = math.inf
EXACT = mpmath.MPContext()
EXACT.dps = 230
HALF = EXACT.mpf(1) / 2

# log of the masses of x < 0 and x > 0 for f = x - x^3, a = 0.25 (1 + sin(x) / 2)^2 on [-3, 3], by
# mpmath.quad inside mpmath.quad at 66 digits.
LOG_RATIO = EXACT.mpf("3.1392184127127231535730482739333973722380605776951267667970532")


def solved(process, digits, *, shown=True):
    """The end state in so many digits; `shown` as mpmath numbers or as floats."""
    state = end_state(process, digits=digits)
    return state if shown else replace(state, digits=None)


def off(value, exact, *, relative=True):
    """How far a value is from the exact one."""
    value, exact = EXACT.mpf(value), EXACT.mpf(exact)
    return abs(value - exact) / (abs(exact) if relative and exact else 1)


def right(value, exact, state):
    """Whether the error is below the stated one, times the logarithms that it stands in."""
    return off(value, exact) < 20 * EXACT.mpf(state.error)


def ornstein_uhlenbeck():
    return Diffusion(drift=lambda x: -x, variance=2.0, domain=(-INF, INF))


def double_well(s=1):
    return Diffusion(
        drift=lambda x: -(x**3 - x),
        variance=lambda x: 0.25 * (1 + 0.5 * np.sin(x)) ** 2 / s,
        domain=(-3, 3),
    )


@pytest.mark.parametrize("digits", [30, 50, 100, 200])
def test_normal_density_and_distribution(digits):
    state = solved(ornstein_uhlenbeck(), digits)
    assert 0 < state.error < EXACT.mpf(10) ** -(digits + 3)
    for x in ("-1.7", "0.3", "2.1", "-12"):
        assert right(state.logpdf(x), EXACT.log(EXACT.npdf(EXACT.mpf(x))), state)
        assert right(state.cdf(x), EXACT.ncdf(EXACT.mpf(x)), state)
        assert right(state.sf(x), EXACT.ncdf(-EXACT.mpf(x)), state)


@pytest.mark.parametrize("digits", [30, 50])
def test_normal_quantiles_moments_modes_and_expectations(digits):
    state = solved(ornstein_uhlenbeck(), digits)
    for q in ("0.1", "0.9", "1e-30"):
        assert off(EXACT.ncdf(state.ppf(q)), q) < EXACT.mpf(10) ** -digits
    variance, error = state._parts.variance
    assert off(variance, 1) <= error < 1e4 * EXACT.mpf(10) ** -(digits + 10)
    assert abs(state.mean()) <= state.mean_error < EXACT.mpf(10) ** -digits
    assert right(state.entropy(), HALF + EXACT.log(2 * EXACT.pi) / 2, state)
    assert right(state.expect(np.cos), EXACT.exp(-HALF), state)
    assert right(state.std(), 1, state)
    assert abs(state.modes[0].position) < EXACT.mpf(10) ** -digits
    assert abs(state.equilibria[0].position) < EXACT.mpf(10) ** -digits
    assert state.equilibria[0].slope == -1


@pytest.mark.parametrize("digits", [30, 50])
def test_gamma_density_with_a_singular_end(digits):
    """a = 2 x and f = k - x give P ~ x^(k - 1) e^-x; at 0 it diverges for k = 0.3."""
    process = Diffusion(drift=lambda x: 0.3 - x, variance=lambda x: 2 * x, domain=(0, INF))
    state = solved(process, digits)
    k = EXACT.mpf(0.3)
    assert state.error < EXACT.mpf(10) ** -(digits + 5)
    for x in ("1e-40", "0.01", "2", "30"):
        at = EXACT.mpf(x)
        exact = (k - 1) * EXACT.log(at) - at - EXACT.log(EXACT.gamma(k))
        assert right(state.logpdf(x), exact, state)
        assert right(state.cdf(x), EXACT.gammainc(k, 0, at, regularized=True), state)
    assert right(state.mean(), k, state)


@pytest.mark.parametrize("digits", [30, 60])
def test_beta_density_with_singular_ends_that_are_not_zero(digits):
    """a = 2 u v and f = p v - q u, u and v the distances to the ends: P ~ u^(p - 1) v^(q - 1)."""
    low, high, p, q = 0.7, 1.9, 0.3, 1.6
    process = Diffusion(
        drift=lambda x: p * (high - x) - q * (x - low),
        variance=lambda x: 2 * (x - low) * (high - x),
        domain=(low, high),
    )
    state = solved(process, digits)
    assert state.error < EXACT.mpf(10) ** -(digits + 4)
    low, high, p, q = map(EXACT.mpf, (low, high, p, q))
    norm = EXACT.log(EXACT.beta(p, q)) + (p + q - 1) * EXACT.log(high - low)
    for x in ("0.700001", "1.1", "1.8999"):
        u, v = EXACT.mpf(x) - low, high - EXACT.mpf(x)
        exact = (p - 1) * EXACT.log(u) + (q - 1) * EXACT.log(v) - norm
        assert right(state.logpdf(x), exact, state)
        exact = EXACT.betainc(p, q, 0, u / (high - low), regularized=True)
        assert right(state.cdf(x), exact, state)
    assert right(state.mean(), low + (high - low) * p / (p + q), state)


def test_student_t_far_in_its_tail():
    """f = -3 x and a = 2 (1 + x^2) give P ~ (1 + x^2)^-5/2."""
    process = Diffusion(
        drift=lambda x: -3 * x, variance=lambda x: 2 * (1 + x**2), domain=(-INF, INF)
    )
    state = solved(process, 30)
    norm = EXACT.log(EXACT.beta(HALF, 2))
    for x in ("0.1", "-5", "1e200"):
        exact = -5 * HALF * EXACT.log1p(EXACT.mpf(x) ** 2) - norm
        assert right(state.logpdf(x), exact, state)
    for x in ("3", "1e50"):
        tail = EXACT.betainc(2, HALF, 0, 1 / (1 + EXACT.mpf(x) ** 2), regularized=True) / 2
        assert right(state.sf(x), tail, state)
    assert right(state.var(), HALF, state)


def test_quartic_well_against_quadrature():
    process = Diffusion(drift=lambda x: x - x**3 + 0.25, variance=1.0, domain=(-INF, INF))
    state = solved(process, 40)
    context = mpmath.MPContext()
    context.dps = 55
    weight = lambda x: context.exp(x * x - x**4 / 2 + x / 2)  # noqa: E731
    marks = [-6, -3, -1.5, 0, 1, 2, 4, 6]
    whole = context.quad(weight, marks)
    assert right(state.pdf("0.5"), weight(context.mpf("0.5")) / whole, state)
    assert right(state.cdf(0), context.quad(weight, marks[:4]) / whole, state)
    assert right(state.mean(), context.quad(lambda x: x * weight(x), marks) / whole, state)


@pytest.mark.parametrize("digits", [30, 50])
def test_double_well_mass_ratio(digits):
    state = solved(double_well(), digits)
    left, right_one = basins_of(state)
    ratio = left.log_mass - right_one.log_mass
    error = left.mass_error + right_one.mass_error
    assert off(ratio, LOG_RATIO, relative=False) <= error < EXACT.mpf(10) ** -(digits + 5)
    assert right(state.log_ratio((-3, 0), (0, 3)), LOG_RATIO, state)
    assert [e.stable for e in state.equilibria] == [True, False, True]
    assert off(state.equilibria[2].position, 1) < EXACT.mpf(10) ** -(digits + 5)


def test_double_well_with_little_noise_agrees_with_doubles():
    state = solved(double_well(50), 50, shown=False)
    left, right_one = basins_of(state)
    assert left.log_mass - right_one.log_mass == pytest.approx(120.80364429183222, rel=1e-15)
    assert type(left.log_mass) is type(left.position) is float


def narrow():
    """A normal density of deviation 4e-43 around 2 - 1.86e-42."""

    def drift(x):
        # 10^80 is no double, so the factors are exact one by one.
        distance = (x - 2) * 10**22 * 10**22 + 186
        return -distance * 10**20 * 10**20 * 625

    return Diffusion(drift=drift, variance=200.0, domain=(-3, 5))


@pytest.fixture(scope="module")
def peak():
    return solved(narrow(), 120)


def test_peak_that_no_double_could_carry(peak):
    """f = -k (x - 2 + 1.86e-42) and a = 2 k (4e-43)^2."""
    state = replace(peak, digits=None)
    assert state.mean() == 2.0
    assert state.mean_offset == pytest.approx(-1.86e-42, rel=1e-15)
    assert state.std() == pytest.approx(4e-43, rel=1e-15)
    (mode,) = state.modes
    assert (mode.position, mode.offset) == (2.0, pytest.approx(-1.86e-42, rel=1e-15))
    (equilibrium,) = state.equilibria
    assert equilibrium.position == 2.0
    assert equilibrium.offset == pytest.approx(-1.86e-42, rel=1e-15)
    (basin,) = basins_of(state)
    assert (basin.position, basin.offset) == (2.0, pytest.approx(-1.86e-42, rel=1e-15))
    assert basin.mass == 1.0
    exact = EXACT.ncdf(-EXACT.mpf(186) / 40)
    assert float(state.sf(2.0)) == pytest.approx(float(exact), rel=1e-14)
    assert state.cdf(2.0) == 1 - state.sf(2.0)
    far = 2 - 1e-7  # 2^117 deviations away
    assert (state.pdf(far), state.logpdf(far) < -1e70) == (0.0, True)
    middle = EXACT.mpf(2) - EXACT.mpf("1.86e-42")
    assert state.cdf(middle) == pytest.approx(0.5, rel=1e-15)
    below = EXACT.mpf(2) - EXACT.mpf("2.26e-42")
    assert state.probability(below, middle) == pytest.approx(
        math.erf(math.sqrt(0.5)) / 2, rel=1e-14
    )


def test_width_and_place_of_that_peak_in_digits(peak):
    assert off(peak.std(), "4e-43") < EXACT.mpf(10) ** -75
    assert off(EXACT.mpf(peak.mean()) - 2, "-1.86e-42") < EXACT.mpf(10) ** -80
    assert off(peak.sf(2), EXACT.ncdf(-EXACT.mpf(186) / 40)) < EXACT.mpf(10) ** -75


def test_a_peak_narrower_than_the_digits_has_a_large_error():
    found = sampling(narrow(), arithmetic=many_digits(20))
    assert component_on(anatomy(found))[1].error > 1


def test_times_and_chances_of_first_passage():
    """With P standard normal, T(0 -> b) = int_0^b ncdf / npdf."""
    context = mpmath.MPContext()
    context.dps = 55
    marks = [0, 0.5, 1, 1.5]
    exact = context.quad(lambda y: context.ncdf(y) / context.npdf(y), marks)
    time = mean_first_passage_time(ornstein_uhlenbeck(), 0, "1.5", digits=40)
    assert off(time, exact) < EXACT.mpf(10) ** -40

    def scale(a, b):
        return context.quad(lambda y: context.exp(y * y / 2), [a, b])

    low, high = hitting_probability(ornstein_uhlenbeck(), "0.25", (-1, 2), digits=40)
    assert off(high, scale(-1, 0.25) / scale(-1, 2)) < EXACT.mpf(10) ** -40
    assert off(low, scale(0.25, 2) / scale(-1, 2)) < EXACT.mpf(10) ** -40


def test_time_to_leave_a_well():
    """f = x - x^3 and a = 1/4, from -1 to 0: int_-1^0 dy int_-oo^y 8 exp(Q(z) - Q(y)) dz."""
    process = Diffusion(drift=lambda x: x - x**3, variance=0.25, domain=(-INF, INF))
    context = mpmath.MPContext()
    context.dps = 30

    def rise(x):
        return 4 * x * x - 2 * x**4

    def held(*ends):
        return context.quadgl(lambda z: 8 * context.exp(rise(z)), ends)

    beyond = held(-4, -3, -2, -1)
    exact = context.log(
        context.quadgl(lambda y: (beyond + held(-1, y)) * context.exp(-rise(y)), [-1, -0.5, 0])
    )
    mean = first_passage(process, -1, 0, digits=25).mean
    assert off(mean.log, exact) < max(EXACT.mpf(mean.error), EXACT.mpf(10) ** -28)
    assert mean.error < 1e-28
    assert float(mean.log) == pytest.approx(log_mean_first_passage_time(process, -1, 0), rel=1e-14)


def test_time_to_a_singular_end():
    """f = k - x and a = 2 x, from 1/2 to 0: int_0^1/2 y^-k e^y gammainc(k, y) dy."""
    process = Diffusion(drift=lambda x: 0.3 - x, variance=lambda x: 2 * x, domain=(0, INF))
    with flint.ctx.workdps(45):
        k = flint.arb(0.3)

        def integrand(t, _):  # y = e^t
            y = t.exp()
            return y.gamma_upper(k) * y.exp() * y ** (1 - k)

        exact = flint.acb.integral(integrand, -170, flint.arb(0.5).log()).real.log()
        exact = EXACT.mpf(exact.str(40, radius=False))
    mean = first_passage(process, 0.5, 0, digits=30).mean
    assert off(mean.log, exact, relative=False) < EXACT.mpf(mean.error) < 1e-31


def test_mpmath_keeps_its_own_precision():
    before = mpmath.mp.dps, mpmath.mp.prec
    solved(double_well(), 40).ppf("0.3")
    assert (mpmath.mp.dps, mpmath.mp.prec) == before


def test_points_may_be_strings_and_arrays():
    state = solved(ornstein_uhlenbeck(), 30)
    x = state.ppf([0.25, 0.5, 0.75])
    assert x.dtype == object
    assert x.shape == (3,)
    assert state.logpdf(["0.1", "0.2"]).shape == (2,)
    floats = solved(ornstein_uhlenbeck(), 30, shown=False)
    assert floats.ppf([0.25, 0.75]).dtype == float
    assert floats.cdf("0.5") == floats.cdf(0.5) == float(EXACT.ncdf(HALF))
    assert np.isnan(floats.cdf(math.nan))
    assert floats.rvs(3, rng=1).dtype == float


def test_two_classes_in_many_digits_are_drawn_listed_and_plotted():
    process = Diffusion(drift=lambda x: x - x**3, variance=lambda x: x**2, domain=(-2, 2))
    state = end_state(process, initial="uniform:-1,1", digits=20)
    # P ~ e^(-x^2): at 0 as on either side, not their sum
    assert abs(state.pdf(0.0) * mpmath.sqrt(mpmath.pi) * mpmath.erf(2) - 1) < 1e-15
    assert set(np.sign(state.rvs(20, random_state=1).astype(float))) == {-1.0, 1.0}
    assert state.to_dict()["quantiles"]["0.25"]["value"] < 0
    assert state.plot()
    trap = end_state(Diffusion(drift=lambda x: -x, variance=lambda x: x**2), digits=20)
    assert trap.to_dict()["quantiles"]["0.25"] == {"value": 0.0, "error": 5e-324}
