"""`first_passage`: probabilities, means, variances and occupation, with errors that are true."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import mpmath
import numpy as np
import pytest
from scipy import integrate, special

from stationary import (
    Diffusion,
    Landscape,
    LandscapeError,
    end_state,
    first_passage,
    hitting_probability,
    load,
    mean_first_passage_time,
)
from stationary.simulation import passage as walkers_of
from stationary.simulation.passage import steps_of

INF = np.inf
DIGITS = mpmath.MPContext()
DIGITS.dps = 30


def brownian(drift=0.0, domain=(-INF, INF)):
    return Diffusion(drift=drift, variance=1.0, domain=domain)


def agrees(estimate, exact, at_most=1e-12):
    """Whether the logarithm is within the error that is claimed for it."""
    off = np.abs(np.asarray(estimate.log) - np.log(np.asarray(exact, dtype=float)))
    return (off <= np.asarray(estimate.error) + 1e-300).all() and np.max(estimate.error) < at_most


def test_brownian_motion_with_drift_between_two_targets():
    """From the Laplace transform of the time, in 30 digits; given the end, coth."""
    mu, a, b = 0.5, -1.0, 2.0
    x = np.array([-0.999, 0.0, 0.7, 1.9])
    found = first_passage(brownian(mu), x, (a, b))
    up = np.expm1(-2 * mu * (x - a)) / np.expm1(-2 * mu * (b - a))
    assert agrees(found.probability, [1 - up, up])

    def mean_to(distances):  # of y / tanh(mu y), the whole less that from behind
        def part(y):
            return DIGITS.mpf(y) * DIGITS.coth(mu * DIGITS.mpf(y))

        return np.array([float(part(b - a) - part(DIGITS.mpf(y))) for y in distances])

    assert agrees(
        found.conditional_mean,
        [
            mean_to([b - DIGITS.mpf(v) for v in x]) / mu,
            mean_to([DIGITS.mpf(v) - a for v in x]) / mu,
        ],
    )
    assert agrees(found.mean, (up * (b - a) - (x - a)) / mu)

    def transform(at, s):
        g = DIGITS.sqrt(DIGITS.mpf(mu) ** 2 + 2 * s)
        low, high = DIGITS.mpf(at - a), DIGITS.mpf(b - at)
        above = DIGITS.exp(mu * high) * DIGITS.sinh(g * low)
        return (above + DIGITS.exp(-mu * low) * DIGITS.sinh(g * high)) / DIGITS.sinh(g * (b - a))

    for at, variance in zip(x, found.variance.value, strict=True):
        first, second = (DIGITS.diff(lambda s, at=at: transform(at, s), 0, n) for n in (1, 2))
        assert variance == pytest.approx(float(second - first**2), rel=1e-11)


def test_brownian_motion_with_drift_towards_one_target():
    """Mean d / mu and variance d / mu^3 over the distance d."""
    found = first_passage(brownian(0.5), [0.0, -3.0], 1)
    assert agrees(found.mean, [2, 8])
    assert agrees(found.variance, [8, 32])
    assert found.probability.value.tolist() == [[1.0, 1.0]]


def test_what_is_given_the_rare_end_is_as_without_the_drift_against_it():
    """With drift -mu, given that it goes up, Brownian motion is that with drift +mu."""
    found = first_passage(brownian(-8.0), 0.0, (20,))
    assert found.probability.log[0] == pytest.approx(-320, rel=1e-13)
    assert agrees(found.conditional_mean, [20 / 8])
    assert agrees(found.conditional_variance, [20 / 8**3])
    assert found.mean.value == math.inf


@pytest.mark.parametrize("start", [0.0, -3.0, 2.9])
def test_mean_and_variance_of_an_ornstein_uhlenbeck_passage(start):
    """T' and the variance by nested quadrature in doubles."""
    process = Diffusion(drift=lambda x: -x, variance=2.0, domain=(-INF, INF))
    found = first_passage(process, start, 3)
    exact = DIGITS.quad(
        lambda y: DIGITS.exp(y * y / 2) * DIGITS.sqrt(2 * DIGITS.pi) * DIGITS.ncdf(y),
        np.linspace(start, 3, 7).tolist(),
    )
    assert agrees(found.mean, float(exact))
    if start == 0:

        def below(y):  # int exp(z^2 / 2) (int^z exp(-u^2 / 2) du)^2 dz
            def inner(z):
                return math.exp(z * z / 2) * (math.pi / 2) * math.erfc(-z / math.sqrt(2)) ** 2

            return integrate.quad(inner, -30, y, points=[-10, -3], epsabs=0, epsrel=1e-12)[0]

        outer = integrate.quad(lambda y: math.exp(y * y / 2) * below(y), 0, 3, epsrel=1e-11)[0]
        assert found.variance.value == pytest.approx(2 * outer, rel=1e-9)


def test_fixation_times_of_a_neutral_allele():
    """Kimura and Ohta: given fixation -2 (1 - x) log(1 - x) / x; given loss its mirror image."""
    process = Diffusion(drift=0.0, variance=lambda x: x * (1 - x), domain=(0, 1))
    x = np.array([0.001, 0.3, 0.5, 0.9])
    found = first_passage(process, x, (0, 1))
    assert agrees(found.probability, [1 - x, x])
    fixed, lost = -2 * (1 - x) * np.log1p(-x) / x, -2 * x * np.log(x) / (1 - x)
    assert agrees(found.conditional_mean, [lost, fixed])
    assert agrees(found.mean, x * fixed + (1 - x) * lost)
    # Although the speed measure is infinite at both ends.
    assert mean_first_passage_time(process, x, (0, 1)) == pytest.approx(found.mean.value, rel=1e-12)


def test_a_square_root_process_reaches_zero():
    """f = -x and a = x from 1: 2 int_0^1 e^2y E1(2 y) dy."""
    exact = DIGITS.quad(lambda y: 2 * DIGITS.exp(2 * y) * DIGITS.e1(2 * y), [0, 1e-3, 0.1, 1])
    process = Diffusion(drift=lambda x: -x, variance=lambda x: x, domain=(0, INF))
    assert agrees(first_passage(process, 1, 0).mean, float(exact))


@pytest.mark.parametrize(("c", "at_most"), [(1.0, 1e-12), (100.0, 1e-12), (1e4, 1e-7)])
def test_a_singular_end_away_from_zero_costs_no_more_than_is_said(c, at_most):
    """The same shifted by c, where doubles know the distance from the end to c epsilon only."""
    exact = DIGITS.quad(lambda y: 2 * DIGITS.exp(2 * y) * DIGITS.e1(2 * y), [0, 1e-3, 0.1, 1])
    process = Diffusion(drift=lambda x: -(x - c), variance=lambda x: x - c, domain=(c, INF))
    assert agrees(first_passage(process, c + 1, c).mean, float(exact), at_most)


def test_geometric_brownian_motion_is_brownian_motion_in_the_logarithm():
    """f = x, a = x^2: log x has drift 1/2; from 1 to e^2, mean 4 and variance 16."""
    process = Diffusion(drift=lambda x: x, variance=lambda x: x * x, domain=(0, INF))
    found = first_passage(process, 1, math.exp(2))
    assert agrees(found.mean, 4)
    assert agrees(found.variance, 16)


def test_a_bessel_process_in_three_dimensions():
    """From 0 to b: mean b^2 / 3, variance 2 b^4 / 45, as Laplace says: l b / sinh(l b)."""
    process = Diffusion(drift=lambda x: 1 / x, variance=1.0, domain=(0, INF))
    found = first_passage(process, 0, 2)
    assert found.mean.value == pytest.approx(4 / 3, rel=1e-12)
    assert found.variance.value == pytest.approx(2 * 16 / 45, rel=1e-12)


@pytest.mark.parametrize("low", [1e-30, 0.0])
@pytest.mark.parametrize("delta", [0.7, 1.3])
def test_targets_nearer_to_an_end_than_panels_reach(delta, low):
    """A squared Bessel process: the scale is x^(1 - delta / 2), and E x grows by delta."""
    bessel = Diffusion(drift=delta, variance=lambda x: 4 * x, domain=(0, math.inf))
    start, high, power = 1e-28, 1e-26, 1 - delta / 2
    found = first_passage(bessel, start, (low, high))
    p = (start**power - low**power) / (high**power - low**power)
    assert abs(found.probability.log[1] - math.log(p)) < found.probability.error[1] < 1e-12
    mean = (p * high + (1 - p) * low - start) / delta
    assert abs(found.mean.log - math.log(mean)) < found.mean.error < 1e-11


def test_times_and_variances_add_along_gates_in_a_row():
    """f = 1 and a = 2 (x (x - 1))^2: no path turns back at 0 or 1."""
    process = Diffusion(drift=1, variance=lambda x: 2 * (x * (x - 1)) ** 2, domain=(-1, 2))
    whole = first_passage(process, -0.5, 1.5)
    legs = [first_passage(process, *leg) for leg in ((-0.5, 0), (0, 1), (1, 1.5))]
    assert whole.mean.value == pytest.approx(sum(leg.mean.value for leg in legs), rel=1e-13)
    total = sum(leg.variance.value for leg in legs)
    assert whole.variance.value == pytest.approx(total, rel=1e-12)
    assert whole.probability.value[0] == 1


def test_a_zero_of_the_variance_that_hinders_nothing_is_passed_both_ways():
    """f = 0, a = |x|^(1/2) on (-1, 1): x is its own scale; T = int G(x, y) 2 / a(y) dy."""
    process = Diffusion(drift=0, variance=lambda x: np.abs(x) ** 0.5, domain=(-2, 2))
    x = np.array([-0.5, 0.25, 0.9])
    found = first_passage(process, x, (-1, 1))
    assert agrees(found.probability, [(1 - x) / 2, (1 + x) / 2])
    # T'' = -2 |x|^(-1/2) with T(+-1) = 0: 8/3 (1 - |x|^(3/2)).
    assert agrees(found.mean, 8 / 3 * (1 - np.abs(x) ** 1.5))


def quiet_between_0_and_1(x):
    return np.maximum(x - 1, 0) ** 2 + np.maximum(-x, 0) ** 2


def test_the_drift_alone_crosses_a_stretch_without_noise():
    """f = 2 there: half a unit of time from 0 to 1, and no variance."""
    process = Diffusion(drift=2.0, variance=quiet_between_0_and_1, domain=(-1, 3))
    across = first_passage(process, np.array([0.0, 0.25]), 1)
    assert across.mean.value == pytest.approx([0.5, 0.375], rel=1e-14)
    assert across.variance.value.tolist() == [0, 0]
    parts = [first_passage(process, a, b).mean.value for a, b in ((-0.5, 0), (0, 1), (1, 2))]
    assert first_passage(process, -0.5, 2).mean.value == pytest.approx(sum(parts), rel=1e-13)
    assert hitting_probability(process, 0.5, (0.2, 0.7)) == (0, 1)
    assert mean_first_passage_time(process, 0.5, 0.2) == math.inf


def test_starts_spread_over_a_stretch_without_noise():
    """Uniform on it at speed 2: mean 1/4 to its end, variance 1/48 of a uniform time."""
    process = Diffusion(drift=2.0, variance=quiet_between_0_and_1, domain=(-1, 3))
    found = first_passage(process, "uniform:0,1", 1)
    assert found.mean.value == pytest.approx(0.25, rel=1e-10)
    assert found.variance.value == pytest.approx(1 / 48, rel=1e-9)


def test_where_the_drift_dies_out_it_takes_for_ever():
    process = Diffusion(drift=lambda x: 0.5 - x, variance=quiet_between_0_and_1, domain=(-1, 2))
    assert mean_first_passage_time(process, 0.2, 0.5) == math.inf
    assert hitting_probability(process, 0.2, (0.5,)) == (0.0,)
    assert first_passage(process, 0.2, 0.5).approached.value == [1.0]
    # int_0.2^0.4 dx / (0.5 - x) = log 3.
    assert mean_first_passage_time(process, 0.2, 0.4) == pytest.approx(math.log(3), rel=1e-13)


def test_a_start_drawn_from_a_law_mixes_by_the_law_of_total_variance():
    """Brownian motion with drift 1 from a normal start with deviation 1/2 to 10.

    What starts beyond 10, with probability e^-200, may never come: only given that it does.
    """
    found = first_passage(brownian(1.0), "normal:0,0.5", 10)
    assert found.mean.value == math.inf
    assert found.conditional_mean.value[0] == pytest.approx(10, rel=1e-9)
    assert found.conditional_variance.value[0] == pytest.approx(10 + 0.25, rel=1e-9)


def test_the_occupation_density_is_the_greens_function():
    """Brownian motion on (0, 1) from x: 2 min (1 - max); its integral is the mean time."""
    found = first_passage(brownian(), 0.3, (0, 1))
    y = np.linspace(0.01, 0.99, 99)
    exact = 2 * np.minimum(0.3, y) * (1 - np.maximum(0.3, y))
    assert agrees(found.occupation(y), exact)
    assert found.occupation(2.0).value == 0
    process = Diffusion(drift=lambda x: -x, variance=2.0, domain=(-INF, INF))
    found = first_passage(process, 0, 2)
    mean = sum(
        integrate.quad(lambda y: float(found.occupation(y).value), a, b, epsrel=1e-10)[0]
        for a, b in ((-9, 0), (0, 2))
    )
    assert mean == pytest.approx(found.mean.value, rel=1e-8)


@pytest.mark.parametrize(("targets", "edges"), [(2.0, (-1, 0, 1, 2)), ((-2, 0.5), (-1, 0, 0.5))])
def test_the_occupation_beyond_gates_and_without_noise_adds_up_to_the_mean_time(targets, edges):
    """Noise ends at 0, the drift alone leads from there to 1, from where on there is noise."""
    process = Diffusion(
        lambda x: 1 + 0 * x, lambda x: np.where(x < 0, 0.3, np.where(x > 1, 0.2, 0.0)), (-2, 3)
    )
    found = first_passage(process, -1.0, targets)
    nodes, weights = np.polynomial.legendre.leggauss(40)
    whole = sum(
        float(found.occupation((a + b + (b - a) * nodes) / 2).value @ weights) * (b - a) / 2
        for a, b in pairwise((-2, *edges))
    )
    assert whole == pytest.approx(found.mean.value, rel=1e-9)


def test_only_the_nearest_target_on_either_side_can_be_first():
    found = first_passage(brownian(), [0.5, 3.0], (0, 1, 2, 4))
    assert found.probability.value == pytest.approx(
        np.array([[0.5, 0], [0.5, 0], [0, 0.5], [0, 0.5]]), abs=1e-14
    )


def test_many_starts_are_answered_as_one_by_one():
    """A random drift: every number of a batch lies within its error of that asked for alone."""
    rng = np.random.default_rng(3)
    k, phase = rng.normal(size=6), rng.uniform(0, 2 * np.pi, 6)

    def drift(x):
        return sum(3 * k[i] * np.sin((i + 1) * x + phase[i]) for i in range(6))

    process = Diffusion(drift=drift, variance=lambda x: 1 + 0.5 * np.sin(x), domain=(-4, 4))
    x = np.sort(rng.uniform(-3, 3, 3000))
    many = first_passage(process, x, (-3, 3))
    for i in (0, 777, 2999):
        one = first_passage(process, float(x[i]), (-3, 3))
        for name in ("mean", "variance"):
            a, b = getattr(many, name)[i], getattr(one, name)
            assert abs(a.log - b.log) <= a.error + b.error


@pytest.mark.parametrize("seed", range(12))
def test_errors_of_mean_times_of_random_drifts_are_true(seed):
    """int_x^b 2 s int_a^y m by nested Gauss-Legendre sums in 30 digits."""
    rng = np.random.default_rng(seed)
    k, phase = rng.normal(size=4), rng.uniform(0, 2 * np.pi, 4)
    strength = 10 ** rng.uniform(0, 1.5)

    def drift(x):
        return sum(strength * k[i] * np.cos((i + 1) * x + phase[i]) for i in range(4))

    def exponent(x):  # int 2 f / a with a = 1
        return sum(
            2 * strength * float(k[i]) / (i + 1) * DIGITS.sin((i + 1) * x + float(phase[i]))
            for i in range(4)
        )

    panels, order = 120, 12
    nodes, weights = gauss(order)
    edges = [DIGITS.mpf(-2) + DIGITS.mpf(3) * j / panels for j in range(panels + 1)]
    total, below = DIGITS.mpf(0), DIGITS.mpf(0)
    for a, b in pairwise(edges):
        h = (b - a) / 2
        x = [a + h * (1 + t) for t in nodes]
        m = [DIGITS.exp(exponent(y)) for y in x]
        part = running(m, nodes, weights, h)
        if a >= -0.5 - DIGITS.mpf(10) ** -20:
            total += h * sum(
                w * 2 * (below + p) / v for w, p, v in zip(weights, part, m, strict=True)
            )
        below += h * sum(w * v for w, v in zip(weights, m, strict=True))
    mean = first_passage(Diffusion(drift=drift, variance=1.0, domain=(-2, 2)), -0.5, 1.0).mean
    off = abs(mean.log - float(DIGITS.log(total)))
    assert off <= mean.error < 1e-11


def gauss(order):
    """Gauss-Legendre nodes and weights on (-1, 1), to 30 digits."""
    x, _ = np.polynomial.legendre.leggauss(order)
    roots = [DIGITS.findroot(lambda t: DIGITS.legendre(order, t), DIGITS.mpf(float(r))) for r in x]
    slopes = [DIGITS.diff(lambda t: DIGITS.legendre(order, t), r) for r in roots]
    return roots, [2 / ((1 - r * r) * d * d) for r, d in zip(roots, slopes, strict=True)]


def running(values, nodes, weights, half):
    """int from the left end to each node of the polynomial through the values."""
    if "matrix" not in CACHE:
        n = len(nodes)
        rows = []
        for t in nodes:
            row = []
            for j in range(n):

                def basis(u, j=j):
                    product = DIGITS.mpf(1)
                    for i in range(n):
                        if i != j:
                            product *= (u - nodes[i]) / (nodes[j] - nodes[i])
                    return product

                mid, h = (t - 1) / 2, (t + 1) / 2
                row.append(
                    h * sum(w * basis(mid + h * s) for w, s in zip(weights, nodes, strict=True))
                )
            rows.append(row)
        CACHE["matrix"] = rows
    return [half * sum(c * v for c, v in zip(row, values, strict=True)) for row in CACHE["matrix"]]


CACHE: dict[str, list[list[object]]] = {}


def test_the_start_may_be_where_the_process_ends_in_the_long_run():
    """Its own end state as the start: an even mixture of the starts."""
    process = Diffusion(drift=lambda x: -x, variance=2.0, domain=(-3, 3))
    found = first_passage(process, end_state(process), 2)
    x = np.linspace(-3, 3, 2001)
    x = x[x < 2]
    assert 0 < found.mean.value < mean_first_passage_time(process, -3, 2)
    assert found.probability.value[0] == pytest.approx(1, rel=1e-9)


def test_what_makes_no_sense_is_refused():
    with pytest.raises(LandscapeError, match="needs a target"):
        first_passage(brownian(), 0, [])
    with pytest.raises(LandscapeError, match="one start at a time"):
        first_passage(brownian(), [0, 0.5], (1, -1)).occupation(0.5)
    with pytest.raises(LandscapeError, match="lies outside"):
        first_passage(brownian(domain=(0, 1)), [0.5, 2.0], 1)


@pytest.mark.parametrize("shift", [0.0, 30.0, 5e3, 1e6])
def test_the_way_to_a_singular_end_far_from_0_takes_as_long_as_to_one_at_0(shift):
    """f = -r, a = r: int_0^1 2 e^2y E1(2y) dy. f = 1, a = r^2 to the left: known from r = 0."""
    c = shift
    towards = Diffusion(lambda x: -(x - c), lambda x: x - c, (c, math.inf))
    time = first_passage(towards, c + 1, [c]).mean
    exact = 1.6316914623497007  # by mpmath.quad in 30 digits
    assert abs(time.value / exact - 1) <= time.error < 1e-13

    through = Diffusion(lambda x: 1 + 0 * x, lambda x: (x - c) ** 2, (c - 2, c + 5))
    time = first_passage(through, c - 1, [c]).mean
    exact = 0.8979712981487367  # int_0^1 2/s(r) int_r^2 s(y) / y^2 dy dr, s = exp(2/r - 2/y)
    assert abs(time.value / exact - 1) <= time.error < 1e-13


@pytest.mark.parametrize("x", [1e-3, 1e-17, 1e-30, 1e-60])
def test_the_time_to_a_trap_from_next_to_it_is_known_to_its_error(x):
    """Neutral Wright-Fisher, a = x (1 - x): given loss, -2 x log x / (1 - x)."""
    drifting = Diffusion(drift=0, variance=lambda x: x * (1 - x), domain=(0, 1))
    time = first_passage(drifting, x, [0, 1]).conditional_mean[0]
    exact = -2 * x * math.log(x) / (1 - x)
    assert abs(math.log(time.value / exact)) <= time.error


@pytest.mark.parametrize("s", [1e7, 1e8, 1e10, 1e12])
def test_extreme_exponents_have_variances_and_conditional_times(s):
    """dx = s (x - x^3) dt + dB: Kramers' time 2 pi / (s sqrt 2) e^(s / 2), exponentially spread.

    From x the left minimum is reached first with the share of e^(-s (y^2 - y^4 / 2)) beyond x, and
    given the end the time from 0 is the same for both.
    """
    double_well = Diffusion(drift=lambda x: s * (x - x**3), variance=1.0, domain=(-2, 2))
    out = first_passage(double_well, -1.0, 1.0)
    kramers = s / 2 + math.log(2 * math.pi / math.sqrt(2) / s)
    assert abs(out.mean.log - kramers) < out.mean.error + 10 / s
    assert out.mean.error < 1e-13 * out.mean.log
    assert abs(out.variance.log - 2 * out.mean.log) < out.variance.error + 2 * out.mean.error

    split = first_passage(double_well, [0.01, 0.0], [-1.0, 1.0])
    x = 0.01
    asymptotic = -s * (x**2 - x**4 / 2) - math.log(2 * x * (1 - x**2) * math.sqrt(math.pi * s))
    assert abs(split.probability.log[0, 0] - asymptotic) < split.probability.error[0, 0] + 1e4 / s
    times = split.conditional_mean
    assert abs(times.log[0, 1] - times.log[1, 1]) <= times.error[:, 1].sum()


def test_the_pit_has_the_variance_of_its_exits():
    """From the wide minimum it leaves after an exponential time: the deviation is the mean."""
    pit = load(Path(__file__).parent.parent / "examples" / "pit.py")
    out = first_passage(pit, 2.0, 1.17431)
    assert out.mean.log == pytest.approx(3.677392082603098e79, rel=1e-14)
    assert out.variance.log == pytest.approx(2 * out.mean.log, rel=1e-14)
    exit_time = first_passage(pit, 1.0074533, 1.17431)
    assert abs(exit_time.mean.value - 21.845818036261329) <= exit_time.mean.absolute_error
    assert exit_time.mean.error < 1e-12
    # 15.754054706 from 0.5 to the gate at 1, and 36.103584645 from there on.
    far = first_passage(pit, 0.5, 1.5)
    assert abs(far.mean.value - 51.857639351) < 1e-9
    assert far.mean.error < 1e-12


@pytest.mark.parametrize(("falls", "start", "targets"), [(900, 0.3, 0.9), (1500, 0.9, [0.899, 1])])
def test_where_noise_is_less_than_doubles_hold_time_is_that_of_the_drift(falls, start, targets):
    """The variance at 1 is e^-900 or e^-1500; it was followed as if it were e^-645."""
    process = Diffusion(
        drift=lambda x: 1 + x, variance=lambda x: np.exp(-falls * x * x), domain=(0, 1)
    )
    out = first_passage(process, start, targets)
    exact = math.log((1 + np.max(targets)) / (1 + start))
    assert abs(out.mean.value - exact) < out.mean.absolute_error + 2e-16
    assert out.mean.error < 1e-11


@pytest.mark.parametrize("k", [0.6, 1.0])
def test_what_escapes_to_infinity_leaves_over_what_is_claimed(k):
    """Bessel processes come back to 1 with x^(1 - 2 k); the way to infinity is known less well."""
    x = np.exp(np.random.default_rng(0).uniform(0, 6, 400))
    back = first_passage(Diffusion(lambda x: k / x, 1.0, domain=(0, INF)), x, 1.0).probability
    assert agrees(back, x ** (1 - 2 * k))


def test_the_weights_of_classes_take_lists_and_single_starts():
    neutral = Diffusion(drift=0, variance=lambda x: x * (1 - x), domain=(0, 1))
    classes = end_state(neutral).classes
    assert classes.probabilities([0.25, 0.5])[1] == pytest.approx([0.25, 0.5], abs=1e-12)
    assert classes.probabilities(0.25) == pytest.approx([0.75, 0.25], abs=1e-12)


LONG = np.longdouble


def integration(n):
    """Values at Chebyshev nodes, integrals from -1 to each and to 1: in long doubles."""
    t = -np.cos((2 * np.arange(n) + 1) * LONG(np.pi) / (2 * n))
    back = np.cos(np.outer(np.arange(n), np.arccos(t))) * np.where(np.arange(n), 2, 1)[:, None] / n
    ends = np.append(t, LONG(1))
    table = [1 + ends, (ends**2 - 1) / 2]
    for k in range(2, n):
        up, down = (np.cos(j * np.arccos(ends)) / j for j in (k + 1, k - 1))
        at_start = LONG((-1) ** (k + 1)) * (1 / LONG(k + 1) - 1 / LONG(k - 1))
        table.append((up - down - at_start) / 2)
    return t, np.stack(table).T @ back


@pytest.mark.parametrize("seed", range(12))
def test_claims_of_passage_hold_for_random_drifts(seed):
    """T = 2 int s M, M = int m; variance 8 int s int s M^2, on 2000 panels in long doubles."""
    rng = np.random.default_rng(seed)
    count, amplitude = rng.integers(1, 5), 10 ** rng.uniform(-1, 2.2)
    c, w, phase = rng.normal(size=(3, count)) * [[amplitude], [3], [6]]
    b = rng.uniform(0, 0.9)

    def drift(x):
        return sum(c[i] * w[i] * np.sin(w[i] * x + phase[i]) for i in range(count)) * noise(x) / 2

    def noise(x):
        return 1 + b * np.sin(x)

    t, matrix = integration(20)
    start = rng.uniform(-0.9, 1.5)
    edges = np.sort(np.append(np.linspace(LONG(-1), LONG(2), 2000), LONG(start)))
    half, first = np.diff(edges) / 2, int(np.searchsorted(edges, LONG(start)))
    x = edges[:-1] + half * (1 + t[:, None])
    phi = -sum(LONG(c[i]) * np.cos(LONG(w[i]) * x + LONG(phase[i])) for i in range(count))
    scale, speed = np.exp(-phi), np.exp(phi) / (1 + LONG(b) * np.sin(x))

    def cumulated(v):
        parts = half * (matrix @ v)
        return parts[:-1] + np.append(LONG(0), np.cumsum(parts[-1])[:-1]), parts[-1]

    inner, _ = cumulated(speed)
    source, _ = cumulated(scale * inner**2)
    exact = [2 * cumulated(scale * inner)[1][first:].sum()]
    exact.append(8 * cumulated(scale * source)[1][first:].sum())
    below, parts = cumulated(scale)
    exact.append(parts[:first].sum() / parts.sum())
    given, _ = cumulated(speed * below**2)
    exact.append(2 * cumulated(scale / below**2 * given)[1][first:].sum())

    process = Diffusion(drift=drift, variance=noise, domain=(-1, 2))
    one, two = first_passage(process, start, 2), first_passage(process, start, [-1, 2])
    found = [one.mean, one.variance, two.probability[1], two.conditional_mean[1]]
    for truth, estimate in zip(exact, found, strict=True):
        off = abs(LONG(estimate.log) - np.log(truth))
        assert off <= estimate.error + max(1e-17, 100 * np.finfo(LONG).eps * amplitude)
        assert estimate.error < 1000 * 2.2e-16 * (1 + abs(estimate.log) + amplitude)


@pytest.mark.parametrize("start", [1e-3, 1e-18, 1e-30, 1e-100, 1e-300])
def test_however_close_to_a_trap_the_time_until_it_is_reached_is_known(start):
    """Neutral drift, a = x (1 - x): given that x is lost, it takes -2 x log x / (1 - x)."""
    process = Diffusion(drift=0, variance=lambda x: x * (1 - x), domain=(0, 1))
    found = first_passage(process, start, (0, 1))
    exact = math.log(-2 * start * math.log(start) / (1 - start))
    assert abs(found.conditional_mean.log[0] - exact) <= found.conditional_mean.error[0] < 1e-9
    assert abs(found.probability.log[1] - math.log(start)) <= found.probability.error[1] < 1e-11


def test_what_is_approached_for_ever_is_never_reached():
    """a = (1 - x^2)^2 without drift: +-1 are natural, and attract with (1 +- x) / 2."""
    process = Diffusion(drift=0, variance=lambda x: (1 - x * x) ** 2, domain=(-1, 1))
    found = first_passage(process, [0.2, -0.6], (-1, 1))
    assert (found.probability.value == 0).all()
    assert np.isinf(found.mean.value).all()
    assert agrees(found.approached, [[0.4, 0.8], [0.6, 0.2]])
    assert hitting_probability(process, 0.2, (1,)) == (0.0,)
    assert "without ever reaching it, with probability 0.6." in " ".join(str(found).split())


def test_digits_that_are_asked_for_are_shown_as_far_as_the_error_goes():
    process = Diffusion(drift=0, variance=2, domain=(0, 3))
    shown = str(first_passage(process, 1, (0, 3), digits=30))
    assert "0.666666666666666666666666666667" in shown


@pytest.mark.parametrize(
    ("scale", "shift", "selection"),
    [
        (1.5e-4, 0.0, -0.078),
        (330.3149559148827, 0.0, -0.617),
        (23573.938943870733, 0.0, 1.33),
        (2.8670034275983087, -3.0, 1.4057),
        (1.3763173716141795e-05, -3.0, 0.2266),
    ],
)
def test_selection_in_any_units_is_known_to_what_is_claimed(scale, shift, selection):
    """P(fixed) = (1 - e^(-2 s x)) / (1 - e^(-2 s)), also where 1 - x is 0 beside the end."""
    from mpmath import expm1, log, mp, mpf

    origin = shift * scale
    process = Diffusion(
        drift=lambda y: scale * selection * ((y - origin) / scale) * (1 - (y - origin) / scale),
        variance=lambda y: scale * scale * ((y - origin) / scale) * (1 - (y - origin) / scale),
        domain=(origin, origin + scale),
    )
    start = origin + 0.6 * scale
    found = first_passage(process, start, process.domain).probability
    with mp.workdps(30):
        x = (mpf(start) - mpf(origin)) / mpf(scale)
        fixed = expm1(-2 * mpf(selection) * x) / expm1(-2 * mpf(selection))
        off = [abs(float(found.log[i] - log(p))) for i, p in ((0, 1 - fixed), (1, fixed))]
    of_start = 8 * np.spacing(abs(origin)) / scale  # how well doubles know where x is
    assert (np.array(off) <= found.error + of_start).all()
    assert (found.error < 1e-12).all()


def test_a_way_to_infinity_is_known_however_steep_it_becomes():
    """dx = x dt + dB / sqrt 2 ends at either infinity: Phi(2^(1/2) x / sigma), sigma^2 = 1 / 2."""
    process = Diffusion(lambda x: x, 0.5, (-INF, INF))
    for x in (-0.5, 0.0, 0.3):
        exact = math.erfc(-x * math.sqrt(2)) / 2
        assert agrees(first_passage(process, x, INF).approached, [exact])
    drawn = first_passage(process, "normal:0.2,0.1", INF)
    assert max(drawn.approached.error) < 1e-10


def test_a_point_is_no_two_targets():
    with pytest.raises(LandscapeError, match="name a point twice"):
        first_passage(brownian(), 0.3, (0, 0))


def test_a_passage_of_sgd_says_what_its_own_steps_make_of_it():
    """Steps of 0.1 between two datapoints seldom come to 0.9: from dice, 7.1e6 +- 15 %."""
    losses = Landscape(losses=lambda w: ((w - 1) ** 2 / 2, (w + 1) ** 2 / 2), learning_rate=0.1)
    passage = first_passage(losses, [0.0], 0.9)
    data = passage.to_dict()
    (steps,) = data["mean_of_exact_chain"]
    assert data["times_of"] == "diffusion"
    assert steps["error_of_log"] < 0.05
    assert 5e6 < steps["value"] < 9e6
    for text in (str(passage), passage.summary(brief=True)):
        words = " ".join(text.split())
        assert "times of the diffusion, the limit of small steps" in words
        assert "after 5,750,000 steps on average" in words
        assert "believe the chain" in words
    near = first_passage(losses, 0.0, [-0.3, 1.2])  # beyond 1 no step leads
    (steps,) = near.to_dict()["mean_of_exact_chain"]
    walk = np.random.default_rng(1).choice([-1.0, 1.0], size=(4000, 400))
    w, times = np.zeros(4000), np.zeros(4000)
    for k in range(400):
        times += w > -0.3
        w = np.where(w > -0.3, 0.9 * w + 0.1 * walk[:, k], w)
    assert (w <= -0.3).mean() > 0.99
    assert steps["value"] == pytest.approx(times.mean(), rel=0.06)
    assert first_passage(losses.diffusion(), 0.0, 0.9).to_dict()["mean_of_exact_chain"] is None


@pytest.mark.parametrize("batch", [1, 6])
def test_which_target_sgd_is_at_first_is_told_by_its_chain(batch):
    """Against walkers: 4 batches, or a law of 924 with nodes in their place."""
    c = np.array([-1.0, -0.4, 0.3, 0.9]) if batch == 1 else np.linspace(-2, 2.5, 12) ** 3 / 4
    sgd = Landscape(
        losses=lambda w: [0.2 * (w - x) ** 2 for x in c],
        learning_rate=0.5,
        batch_size=batch,
        replacement=batch == 1,
        domain=(-9, 9),
    )
    passage = first_passage(sgd, 0.1, [-0.3, 0.5])
    (told,) = passage.to_dict()["mean_of_exact_chain"]
    rng, walkers = np.random.default_rng(2), 40_000
    w, time, going = np.full(walkers, 0.1), np.zeros(walkers), np.ones(walkers, dtype=bool)
    while going.any():
        time += going
        drawn = np.argsort(rng.random((going.sum(), len(c))), axis=1)[:, :batch]
        w[going] -= 0.5 * 0.4 * (w[going] - c[drawn].mean(axis=1))
        going = (w > -0.3) & (w < 0.5)
    up = (w >= 0.5).mean()
    assert abs(told["upper"] - up) < told["upper_error"] + 4 * math.sqrt(up * (1 - up) / walkers)
    assert told["upper_error"] < 0.1
    sure = 4 * time.std() / math.sqrt(walkers)
    assert abs(told["value"] - time.mean()) < told["error_of_log"] * time.mean() + sure
    assert "at 0.5 or above with probability" in " ".join(str(passage).split())


def test_walkers_tell_a_passage_of_sgd_that_has_no_end_state(run, write):
    """No step leads from below 0.5 beyond it, and (w - 0.5)^2 is a gradient that falls for ever.

    How far out a chain is to be followed is not known.
    """
    path = write(
        "learning_rate = 0.3\nbatch_size = 2\n"
        "def gradients(w):\n    return w - 0.5, w + 0.3, (w - 0.5)**2\n"
    )
    code, out, _ = run("passage", path, "--from", "0.3", "--to", "0.5")
    assert code == 0
    assert "SGD runs away to infinity before a target in 1,000 cases" in " ".join(out.split())
    code, out, _ = run("passage", path, "--from", "0.3", "--to", "0.5", "--json")
    told = json.loads(out)
    assert told["mean_of_exact_chain"] is None
    assert told["mean_of_walkers"][0]["lost"] == 1000


def heavy_ball(start, rate, momentum, out, walkers=4000):
    """Steps, and where, of walkers of five double wells until `out` of w holds."""
    k, c = FIVE[0][:, None], FIVE[1][:, None]
    rng = np.random.default_rng(5)
    w, v, time = np.full(walkers, start), np.zeros(walkers), np.zeros(walkers)
    going = np.arange(walkers)
    while len(going):
        time[going] += 1
        x, drawn = w[going], rng.integers(0, 5, len(going))
        v[going] = momentum * v[going] + ((k * (x**2 - 1) * x) + c)[drawn, np.arange(len(x))]
        w[going] -= rate * v[going]
        going = going[~out(w[going])]
    return time, w


FIVE = np.array([[0.16, 0.12, 0.2, 0.15, 0.17], [0.5, -0.6, 0.35, -0.37, 0.1]])


def with_momentum(rate, momentum):
    return Landscape(
        losses=lambda w: [k * (w**2 - 1) ** 2 / 4 + c * w for k, c in FIVE.T],
        learning_rate=rate,
        momentum=momentum,
    )


def test_walkers_tell_passages_of_sgd_with_momentum():
    """Against walkers of our own; the diffusion has a half of the time and 40 times the risk."""
    passage = first_passage(with_momentum(0.08, 0.9), -1.0, (-2, 1))
    (told,) = passage.to_dict()["mean_of_walkers"]
    time, w = heavy_ball(-1.0, 0.08, 0.9, lambda w: (w <= -2) | (w >= 1))
    sure = math.hypot(told["mean_error"], time.std() / math.sqrt(len(time)))
    assert abs(told["mean"] - time.mean()) < 4 * sure < 0.2 * time.mean()
    assert abs(told["upper"] - (w >= 1).mean()) < 4 * told["upper_error"] < 0.01
    assert passage.mean.value < 0.6 * told["mean"]
    assert passage.probability.value[0] > 10 * (1 - told["upper"])
    words = " ".join(str(passage).split())
    assert "1,000 walkers from -1, at rest at first, momentum 0.9" in words
    assert "believe the walkers" in words
    both = first_passage(with_momentum(0.08, 0.9), [-1, 1], 1).to_dict()["mean_of_walkers"]
    assert both[0]["mean"] > both[1]["mean"] == 0
    law = first_passage(with_momentum(0.08, 0.9), "normal:-1,0.2", 1).to_dict()
    assert law["mean_of_walkers"][0]["mean"] == pytest.approx(113, rel=0.1)


def test_walkers_that_miss_rare_long_ways_do_not_claim_their_mean():
    """Two of 100,000 fall into the other well, for 20 million steps: a half of the mean.

    Momentum that is next to none leaves the exact chain of none as the truth.
    """

    def losses(w):
        return [0.25 * (w**2 - 1) ** 2 + 0.9 * s * w for s in (1, -1)]

    with_some = Landscape(losses=losses, learning_rate=0.05, momentum=1e-9)
    (told,) = walkers_of.walked(first_passage(with_some, 0.7, 1.2))
    exact = steps_of(first_passage(Landscape(losses=losses, learning_rate=0.05), 0.7, 1.2))[0].time
    assert told.arrived == 1000
    assert told.mean < exact / 3
    assert abs(told.mean - exact) < told.mean_error
    words = " ".join(str(first_passage(with_some, 0.7, 1.2)).split())
    assert "ways too rare for so many to see decide" in words
    assert "believe" not in words


def test_walkers_tell_no_time_until_a_target_where_a_wall_may_absorb_them_before():
    """They ended there as if it were the target, and so did the exact chain."""
    walls = {"domain": (-2, 2), "boundaries": ("absorbing", "reflecting")}
    for rate, momentum in ((0.08, 0.9), (0.4, 0.0)):
        sgd = replace(with_momentum(rate, momentum), **walls)
        found = first_passage(sgd, 0.0, 1.5)
        assert steps_of(found) is walkers_of.walked(found) is None
        assert "exact chain's are not to be had here" in " ".join(str(found).split())
        assert steps_of(first_passage(sgd, 0.0, (-1.9, 1.5))) or momentum


def test_walkers_still_on_their_way_go_on_as_they_went_of_late(monkeypatch):
    """After a thirtieth of the work half have arrived; without a rate a time is a lower bound."""
    sgd, targets = with_momentum(0.02, 0.9), np.array([1.0])
    few = walkers_of._from(sgd, -1.0, targets, walkers_of.WORK // 30)
    assert few.arrived < 600
    time, _ = heavy_ball(-1.0, 0.02, 0.9, lambda w: w >= 1, 1000)
    sure = math.hypot(few.mean_error, time.std() / math.sqrt(len(time)))
    assert abs(few.mean - time.mean()) < 3 * sure < 0.4 * time.mean()
    rare = walkers_of._from(with_momentum(0.005, 0.9), -1.0, np.array([3.0]), 10**8)
    assert rare.arrived == 0
    assert rare.mean_error == math.inf
    assert rare.mean == rare.steps


def test_there_is_no_time_until_a_target_that_is_never_the_first():
    gate = Diffusion(drift=lambda x: 1 - 0.5 * x, variance=lambda x: x * x, domain=(-2, 3))
    found = first_passage(gate, 1.0, [-1, 2])
    assert found.probability.value.tolist() == [0, 1]
    assert math.isnan(found.conditional_mean.value[0])
    assert found.conditional_mean.value[1] == pytest.approx(1.75, rel=1e-12)
    assert "-1            0      0               -" in str(found)


def test_a_target_that_neither_the_diffusion_nor_its_chain_reaches_is_told_without_a_warning():
    parabolas = [(1.0, -0.5), (1.0, 0.5)]
    landscape = Landscape(
        losses=lambda w: [h * (w - c) ** 2 / 2 for h, c in parabolas],
        learning_rate=0.1,
        clip=0.2,
    )
    words = " ".join(str(first_passage(landscape, 0.0, 3.0)).split())
    assert "is never at a target, the diffusion never." in words


def test_a_process_starts_at_infinity_where_it_comes_down_from_there_alone():
    down = Diffusion(drift=lambda x: -(x**3), variance=1.0)
    far = first_passage(down, INF, 0.5).mean.value
    assert far == pytest.approx(first_passage(down, 1e4, 0.5).mean.value, rel=1e-7)
    for drift in (lambda x: -x, np.tanh):  # natural: the mean was 3.8e14
        with pytest.raises(LandscapeError, match="takes for ever to come"):
            first_passage(Diffusion(drift=drift, variance=1.0), INF, 0.5)


@pytest.mark.parametrize("ratio", [100, 1e4])
def test_a_target_at_a_jump_of_the_noise_warns_of_nothing(ratio):
    """f = -x and a constant between the targets, one of which is where the noise jumps.

    In the sliver of the jump polynomials of what grows from nothing rounded to less than nothing.
    """
    from scipy.special import erfi

    a, lower, upper, start = 0.04 * ratio, -1.7, 2.5, 1.5
    process = Diffusion(
        drift=lambda x: -x, variance=lambda x: np.where(x > lower, a, 0.04), domain=(-3, 3)
    )
    found = first_passage(process, start, (lower, upper))
    low, at, high = (erfi(x / np.sqrt(a)) for x in (lower, start, upper))
    probability = found.probability.value[1]
    assert probability == pytest.approx((at - low) / (high - low), rel=1e-11)


@pytest.mark.parametrize(("k", "c"), [(0.5, 0.25), (0.75, -0.028), (0.9, 0.526)])
def test_a_zero_that_is_passed_joins_the_exponents_on_both_sides_of_it(k, c):
    """Next to one that is not at 0 panels stop at 1e-9, where r^(1 - k) is not yet small.

    Phi = (2 / A) ((m - c) sgn(y) r^(1-k) / (1-k) - r^(2-k) / (2-k)), y = x - c, r = |y|; the scale
    measure is a smooth function of r^(1-k). It was off by up to 1e-5, at claims of 1e-14.
    """
    m, strength, low, start, high = -0.3, 0.8, -0.95, -0.6, 1.9
    process = Diffusion(lambda x: m - x, lambda x: strength * np.abs(x - c) ** k, (-1, 2))
    found = first_passage(process, start, (low, high)).probability
    mp, mpf = mpmath.mp, mpmath.mpf
    with mp.workdps(40):
        power = round(1 / (1 - k))
        k_, c_ = mpf(k), mpf(c)

        def scale(sign, u):
            r = u**power
            phi = (m - c_) * sign * r ** (1 - k_) / (1 - k_) - r ** (2 - k_) / (2 - k_)
            return mp.exp(-2 / mpf(strength) * phi) * power * u ** (power - 1)

        def between(a, b):
            total = mpf(0)
            for sign, near, far in ((-1, c_ - min(b, c_), c_ - a), (1, max(a, c_) - c_, b - c_)):
                if far > near >= 0:
                    ends = mp.linspace(near ** (mpf(1) / power), far ** (mpf(1) / power), 5)
                    total += mp.quad(lambda u, sign=sign: scale(sign, u), ends)
            return total

        whole = between(mpf(low), mpf(high))
        truth = between(mpf(low), mpf(start)) / whole
        off = abs(found.value[1] / truth - 1)
    assert off <= found.error[1] < 1e-4
    exact = hitting_probability(process, start, (low, high), digits=30)
    assert abs(exact[1] / truth - 1) < 1e-25


def test_the_exponent_beside_a_zero_is_that_of_shifted_processes():
    """A drift and a zero shifted together: doubles and digits agree wherever that is."""
    for c in (0.0, 1.0, -0.384):
        zero = c + 0.25
        process = Diffusion(
            lambda x, c=c: 0.3 - (x - c),
            lambda x, zero=zero: np.sqrt(np.abs(x - zero)),
            (c - 1, c + 2),
        )
        found = first_passage(process, c - 0.5, c + 1).mean
        assert found.value == pytest.approx(6.038717065783579, rel=max(2 * found.error, 3e-11))


def test_a_law_on_a_stretch_without_noise_has_times_as_points_have():
    """Beyond the stretch noise begins from nothing: it was followed no further than a density."""
    process = Diffusion(
        lambda x: 1 + 0.5 * x, lambda x: np.maximum(np.abs(x - 0.5) - 0.2, 0) ** 2, (-1, 2)
    )
    found = first_passage(process, "uniform:0.3,0.7", 0.9).mean
    x, weights = np.polynomial.legendre.leggauss(20)
    times = first_passage(process, 0.5 + 0.2 * x, 0.9).mean.value
    assert abs(found.value / (times @ weights / 2) - 1) <= found.error < 1e-10


@pytest.mark.parametrize(
    ("drift", "variance", "start", "target", "wall"),
    [
        (lambda x: -x, 1.0, 0.0, 130.0, 140.0),  # e^16896: beyond where any density is left
        (lambda x: -(x**3), 1.0, 0.0, 20.0, 21.0),
        (lambda x: -np.sign(x), 1.0, 0.0, 30_000.0, 30_001.0),
        (lambda x: -0.04 * np.sinh(x / 0.04), 0.001, 0.0, 0.15, 0.2),  # falls by e^1e173 below
    ],
)
@pytest.mark.parametrize("side", [1, -1])
def test_times_to_far_targets_do_not_see_the_other_end_of_the_line(
    drift, variance, start, target, wall, side
):
    """Walls beyond the target, and where nobody comes on the other side, change nothing."""
    far = first_passage(Diffusion(drift, variance), side * start, side * target).mean
    domain = sorted((side * wall, -side * min(wall, 30.0)))
    near = first_passage(Diffusion(drift, variance, domain), side * start, side * target).mean
    assert abs(far.log - near.log) <= far.error + near.error
    assert far.error < 1e-12 * (1 + near.log)
    assert near.log > 60


@pytest.mark.parametrize("length", [1e-8, 1.0, 1e8])
def test_occupation_does_not_depend_on_the_unit_of_length(length):
    """2 int_0^y e^(z^2) dz e^(-y^2) at y = 1/2, on the way from 1 to 0 by -x."""
    process = Diffusion(lambda x: -x, length**2)
    found = first_passage(process, length, 0.0).occupation(0.5 * length)
    exact = 2 * math.exp(-0.25) * integrate.quad(lambda z: math.exp(z * z), 0, 0.5)[0]
    assert abs(found.log + math.log(length) - math.log(exact)) <= found.error + 1e-15
    assert found.error < 1e-13


def test_a_side_that_nobody_comes_to_costs_nothing():
    """Noise that oscillates for ever, in a small unit: thousands of panels where nothing is left.
    The integrals were followed over each of them, in 80 seconds."""

    def process(s, domain=(-INF, INF)):
        return Diffusion(
            lambda x: s * (x / s - (x / s) ** 3 + 0.05),
            lambda x: s * s * (0.2 + 0.05 * np.sin(x / s)),
            domain,
        )

    near = first_passage(process(1.0, (-8, 8)), -1.0, 0.1).mean
    far = first_passage(process(1e-4), -1e-4, 1e-5)
    assert abs(far.mean.log - near.log) <= far.mean.error + near.error < 1e-12
    below = far._line.network._stretches[0][0]
    assert below.whole[0].sampling.lower > -1e-3 > 1e3 * below.pieces[0].sampling.lower


def test_what_lies_beyond_the_panels_is_no_error_of_what_lies_before_it():
    """The way of geometric Brownian motion from next to nothing, -log(x) / mean growth: it claimed
    e^9. And an Ornstein-Uhlenbeck process from far out, 2e-3 of 1e-14."""
    growth = Diffusion(lambda x: 0.3 * x, lambda x: 0.2 * x * x, (0, INF))
    for x in (1e-40, 1e-100):
        found = first_passage(growth, x, 1.0).mean
        assert abs(found.value / (-math.log(x) / 0.2) - 1) <= found.error < 1e-9
    far = first_passage(Diffusion(lambda x: -x, 1.0), -100.0, 0.0).mean
    exact = integrate.quad(lambda y: math.sqrt(math.pi) * special.erfcx(y), 0, 100)[0]
    assert abs(far.value / exact - 1) <= far.error + 1e-13
    assert far.error < 1e-12


def test_a_wall_that_nobody_comes_to_takes_no_digits():
    """2 int f / a falls by 150,000 on the way to it: sums that begin there have lost 11 digits."""
    process = Diffusion(lambda x: x - x**3, 0.004, (-6, 6))
    assert first_passage(process, 1.0, 0.0).mean.error < 3e-12


def test_walkers_from_a_law_on_both_sides_of_a_target_stop_at_the_next_one():
    """They were "not to be had here". Against walkers of our own, from below -1 and from above."""
    passage = first_passage(with_momentum(0.08, 0.9), "uniform:-1.4,0.6", (-1, 1))
    (told,) = passage.to_dict()["mean_of_walkers"]
    time, up = np.zeros(0), np.zeros(0)
    for low, high, share in ((-1.4, -1.0, 0.2), (-1.0, 0.6, 0.8)):
        start = np.linspace(low, high, round(4000 * share) + 2)[1:-1]
        ends = (-math.inf, -1) if high == -1 else (-1, 1)
        own, w = heavy_ball(
            start, 0.08, 0.9, lambda w, e=ends: (w <= e[0]) | (w >= e[1]), len(start)
        )
        time, up = np.append(time, own), np.append(up, (w >= 1) & (high > -1))
    sure = math.hypot(told["mean_error"], time.std() / math.sqrt(len(time)))
    assert abs(told["mean"] - time.mean()) < 4 * sure < 0.2 * time.mean()
    assert abs(told["upper"] - up.mean()) < 4 * told["upper_error"] < 0.1
    assert list(told["targets"]) == [-1, 1]
    words = " ".join(str(passage).split())
    assert "That is at 1 or above with probability" in words
    assert "else at -1 or below" in words


def test_more_starts_than_sgd_is_followed_from_are_the_reason():
    found = first_passage(with_momentum(0.08, 0.9), np.linspace(-1.5, 0.5, 21), 1)
    said = " ".join(str(found).split())
    assert "not to be had here: they are had from 9 starts at most, and these are 21" in said


def test_panels_that_a_jump_leaves_without_a_width_are_no_warnings():
    """Signs of three datapoints are constant between -1, 0, 1 and 1.22: quadrature by mpmath."""
    offsets = np.array([[0.5], [-0.6], [0.0]])
    signs = Landscape(
        losses=lambda w: (w**2 - 1) ** 2 / 4 + offsets * w,
        learning_rate=0.1,
        domain=(-2.5, 2.5),
        optimiser="sign",
    )
    time = mean_first_passage_time(signs.diffusion(), 0.97, -0.97)
    assert time == pytest.approx(26149.499126931178, rel=1e-12)
