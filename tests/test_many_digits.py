"""Many digits: right to all of them, whatever else runs, and NumPy's own numbers to look at."""

from __future__ import annotations

import math
import re
from concurrent.futures import ThreadPoolExecutor

import mpmath
import numpy as np
import pytest

from stationary import Diffusion, Landscape, analyze, basins_of, end_state
from stationary.numbers.arithmetic import DOUBLE, many_digits
from stationary.numbers.chebyshev import chebyshev_sum, rule
from stationary.numbers.elementary import to_float


def double_well():
    return Diffusion(
        drift=lambda x: -(x**3 - x),
        variance=lambda x: 0.25 * (1 + 0.5 * np.sin(x)) ** 2,
        domain=(-3, 3),
    )


@pytest.mark.parametrize("digits", [30, 50, 100, 200])
def test_a_tilted_double_well_is_right_to_all_digits(digits):
    """f = x - x^3 + 1/8 and a = 1/4 give P ~ exp(8 (x^2/2 - x^4/4 + x/8))."""
    process = Diffusion(drift=lambda x: x - x**3 + 0.125, variance=0.25, domain=(-3, 3))
    ratio = end_state(process, digits=digits).log_ratio((-3, 0), (0, 3))
    with mpmath.workdps(digits + 20):

        def density(x):
            return mpmath.exp(8 * (x**2 / 2 - x**4 / 4 + x / 8))

        left, right = mpmath.quad(density, [-3, -1.5, 0]), mpmath.quad(density, [0, 1.5, 3])
        assert abs(ratio - mpmath.log(left / right)) < mpmath.mpf(10) ** -digits


def test_threads_with_different_digits_do_not_disturb_each_other():
    def log_ratio(digits):
        state = end_state(double_well(), digits=digits)
        basins = basins_of(state)
        return mpmath.nstr(basins[0].log_mass - basins[1].log_mass, digits), state.sf(0.25)

    digits = [20, 60, 35, 90]
    alone = [log_ratio(n) for n in digits]
    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(log_ratio, digits)) == alone


def test_what_is_handed_out_are_arrays_of_mpmath_numbers():
    state = end_state(double_well(), digits=25)
    for answer in (state.pdf([-1, 0.5]), state.logcdf([-1, 0.5]), state.ppf([0.1, 0.9])):
        assert type(answer) is np.ndarray
        assert all(type(y).__name__ == "mpf" for y in answer)
    assert type(state.pdf(0.5)).__name__ == "mpf"


@pytest.mark.parametrize(
    ("variance", "name"),
    [
        (lambda x: np.where(np.abs(x) > 1, np.abs(x), 1.0), "where and abs"),
        (lambda x: np.maximum(np.abs(x), 1), "maximum"),
        (lambda x: np.clip(np.abs(x), 1, None), "clip"),
        (lambda x: np.select([x < -1, x <= 1], [-x, 1.0 + 0 * x], x), "select"),
        (lambda x: np.max(np.stack([np.abs(x), 1 + 0 * x]), axis=0), "max of a stack"),
        (lambda x: 1 + (np.abs(x) - 1) * (1 + np.sign(np.abs(x) - 1)) / 2, "sign"),
        (lambda x: np.abs(x) * (np.abs(x) > 1) + (np.abs(x) <= 1), "comparisons"),
    ],
)
def test_functions_that_compare_run_in_many_digits(variance, name):
    """a = max(|x|, 1) and f = 0 give P ~ 1/a: on (-e, e) the middle has 2 of 4."""
    edge = math.e
    process = Diffusion(drift=lambda x: 0 * x, variance=variance, domain=(-edge, edge))
    state = end_state(process, digits=20)
    with mpmath.workdps(40):
        exact = 1 / (1 + mpmath.log(mpmath.mpf(edge)))
        assert abs(state.probability(-1, 1) - exact) < mpmath.mpf(10) ** -18, name


def test_sums_of_polynomials_are_right_to_the_size_of_their_coefficients():
    """In whole numbers: T_j(t) = cos(j arccos t) in 60 digits, at the ends as in the middle."""
    arithmetic = many_digits(50)
    j = np.arange(24)
    columns = [(-1.0) ** j, 1e200 * 3.0**-j, np.where(j == 23, 1e-90, 0.0), 0.0 * j, np.inf + 0 * j]
    t = np.array([-1.0, -1 + 2.0**-40, 0.1, 1.0])
    k = np.arange(4) % len(columns)
    for shift in range(len(columns)):
        which = (k + shift) % len(columns)
        c = arithmetic.array(np.column_stack(columns))
        found = chebyshev_sum(c, arithmetic.array(t), which)
        with mpmath.workdps(90):
            for value, at, i in zip(found, t, which, strict=True):
                if not np.isfinite(columns[i]).all():
                    assert value != value
                    continue
                angle = mpmath.acos(at)
                pairs = zip(columns[i].tolist(), j.tolist(), strict=True)
                exact = mpmath.fsum(a * mpmath.cos(n * angle) for a, n in pairs)
                assert abs(value - exact) <= 1e-57 * np.abs(columns[i]).max()


@pytest.mark.parametrize("arithmetic", [DOUBLE, many_digits(30)])
def test_values_on_halves_are_those_of_the_whole(arithmetic):
    r = rule(20, arithmetic)
    c = arithmetic.array(np.random.default_rng(3).normal(size=(20, 2)))
    halves = to_float(r.on_halves(c))
    t = to_float(r.closed)
    for i in (0, 1):
        for values, at in ((halves[:, i], (t - 1) / 2), (halves[:, 2 + i], (t + 1) / 2)):
            exact = np.polynomial.chebyshev.chebval(at, to_float(c[:, i]))
            assert np.abs(values - exact).max() < 1e-13


def test_what_doubles_saw_is_seen_in_many_digits_too():
    """A well 1/1,000 of the domain wide, between the nodes of the four panels to begin with."""
    process = Diffusion(
        drift=lambda x: -x - 1.6e6 * (x - 1.6) * np.exp(-(((x - 1.6) / 0.0015) ** 2)),
        variance=1.0,
        domain=(-2.5, 2.5),
    )
    few, many = (basins_of(end_state(process, digits=d)) for d in (None, 16))
    assert len(few) == len(many) == 2
    assert float(many[1].mass) == pytest.approx(few[1].mass, rel=1e-11)


def test_digits_stop_at_the_error_where_a_start_is_spread_over_what_rests():
    """Its weights are doubles: a TypeError at first, then 30 digits of which 15 were known."""

    def losses(w):
        return [(np.maximum(w * x, 0) - y) ** 2 for x, y in ((1.0, 1.2), (0.5, 0.4), (2.0, 2.5))]

    landscape = Landscape(losses, learning_rate=0.05, domain=(-3, 4), initial="normal:0,1")
    plain, found = end_state(landscape), analyze(landscape, digits=30, chain=False)
    assert float(found.end_state.mean()) == pytest.approx(plain.mean(), abs=1e-13)
    assert float(found.end_state.std()) == pytest.approx(plain.std(), abs=1e-13)
    (mean,) = re.findall(r"  mean: (\S+)", str(found))
    assert len(mean) < 20


def test_products_are_compared_by_their_values_whatever_rounding_they_hold():
    """A product of sums is itself, and not below itself, in many digits as in doubles."""

    def drift(x):
        y = x * x * (x + 1.0) * 0.3
        return np.where((y == y) & (y <= y) & ~(y < y), -x, x)

    found, plain = (end_state(Diffusion(f, 1.0, (-9, 9)), digits=30) for f in (drift, lambda x: -x))
    assert float(abs(found.logpdf(0.5) - plain.logpdf(0.5))) < 1e-28
