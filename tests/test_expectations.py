"""Expectations and moments of functions that grow as fast as the density falls."""

from __future__ import annotations

import math

import mpmath
import numpy as np
import pytest
from scipy.stats import betaprime

from stationary import ConvergenceError, Diffusion, StationaryError, end_state

INF = np.inf


@pytest.fixture(scope="module")
def laws():
    def on_half_line(drift, variance):
        return end_state(Diffusion(drift, variance, (0, INF)))

    return {
        "normal": end_state(Diffusion(lambda x: -x, 2.0)),
        "laplace": end_state(Diffusion(lambda x: -np.sign(x), 2.0)),
        "cauchy": end_state(Diffusion(0, lambda x: 1 + x * x)),
        "student": end_state(Diffusion(lambda x: -3.02 / 2 * x, lambda x: 1 + x * x)),  # nu = 4.02
        "gamma": on_half_line(lambda x: 0.5 - x, lambda x: 2 * x),  # of shape 1/2
        "shifted": end_state(Diffusion(lambda x: 3.5 - x, lambda x: 2 * (x - 3), (3, INF))),
        "inverse": on_half_line(lambda x: 1 - x, lambda x: x * x),  # 2 / (gamma of shape 3)
    }


@pytest.mark.parametrize(
    ("law", "function", "exact"),
    [
        ("normal", lambda x: np.exp(20 * x), math.exp(200)),
        ("normal", lambda x: np.exp(30 * x), math.exp(450)),  # beyond doubles where it counts
        ("normal", lambda x: np.exp(0.499 * x * x), 1 / math.sqrt(0.002)),
        ("normal", lambda x: np.exp(0.5 * x * x), INF),
        ("normal", lambda x: -np.exp(0.51 * x * x), -INF),
        ("normal", lambda x: np.exp(1e-6 * x**4), INF),  # falls beside the density up to 500
        ("normal", lambda x: np.where(x > 1, INF, 0.0), INF),
        ("normal", lambda x: np.abs(x) ** -0.5, 2**-0.25 * math.gamma(0.25) / math.sqrt(math.pi)),
        ("laplace", lambda x: np.exp(0.999 * x), 1 / (1 - 0.999**2)),
        ("laplace", np.exp, INF),
        ("laplace", lambda x: np.exp(-1.01 * x), INF),
        ("cauchy", lambda x: np.exp(x * x), INF),
        ("cauchy", lambda x: x**50, INF),
        ("cauchy", lambda x: np.abs(x) ** 0.9999, 1 / math.cos(math.pi * 0.49995)),
        ("student", lambda x: x**4, 3 / (2.02 * 0.02)),
        ("gamma", lambda x: np.exp(0.999 * x), math.sqrt(1000)),
        ("gamma", np.exp, INF),
        ("gamma", lambda x: x**-0.4, math.gamma(0.1) / math.gamma(0.5)),
        ("gamma", lambda x: x**-0.5, INF),
        ("gamma", lambda x: -(x**-0.6), -INF),
        ("shifted", lambda x: (x - 3) ** -0.4, math.gamma(0.1) / math.gamma(0.5)),
        ("inverse", lambda x: np.exp(1.99 / x), 200.0**3),
        ("inverse", lambda x: np.exp(2 / x), INF),
        ("inverse", lambda x: x**2.9, 2**2.9 * math.gamma(0.1) / 2),
        ("inverse", lambda x: x**3, INF),
    ],
)
def test_functions_that_grow_are_right_infinite_or_refused(laws, law, function, exact):
    """To 1e-6, as is promised; from paper. (Warnings count as failures.)"""
    assert laws[law].expect(function) == pytest.approx(exact, rel=1e-7)


def test_what_cannot_be_followed_is_refused(laws):
    def growing(x):
        """exp(30 x), of which nothing but doubles are known."""
        return np.array([math.exp(30 * v) if 30 * v < 709 else INF for v in np.asarray(x, float)])

    with pytest.raises(ConvergenceError, match="beyond all doubles"):
        laws["normal"].expect(growing)
    with pytest.raises(ConvergenceError):
        laws["normal"].expect(lambda x: 1 / np.abs(x))
    assert math.isnan(laws["normal"].expect(lambda x: np.where(x > 0, np.nan, x)))


def test_functions_that_are_none_are_refused_in_words(laws):
    for function, words in (
        (lambda x: np.exp(1j * x), "complex"),
        (lambda x: np.stack([x, x]), "as many numbers"),
        (lambda x: 1 / 0, "ZeroDivisionError"),
    ):
        with pytest.raises(StationaryError, match=words):
            laws["normal"].expect(function)


def student(nu, **how):
    """f = -(nu - 1) x / 2 with a = 1 + x^2: E x^4 = 3 / ((nu - 2) (nu - 4))."""
    return end_state(Diffusion(lambda x: -(nu - 1) / 2 * x, lambda x: 1 + x * x), **how)


@pytest.mark.parametrize("nu", [4.5, 4.1, 4.02, 4.001, 4.00001])
def test_moments_next_to_the_border_of_existence_have_all_digits(nu):
    state, kurtosis = student(nu), 6 / (nu - 4)
    assert state.moment(4) == pytest.approx(3 / ((nu - 2) * (nu - 4)), rel=1e-12)
    mean, variance, _, excess = state.stats("mvsk")
    assert (mean, variance) == pytest.approx((0, 1 / (nu - 2)), abs=1e-14)
    assert excess == pytest.approx(kurtosis, rel=1e-9)
    exact = student(nu, digits=20).moment(4)
    power = mpmath.mpf(nu)
    with mpmath.workdps(40):
        assert abs(exact * (power - 2) * (power - 4) / 3 - 1) < 1e-19


def test_high_moments_are_right_or_infinite(laws):
    """E x^k = (k - 1)!! of a normal law, k! of a Laplace law, k = 300 beyond doubles on the way."""
    for k in (20, 100, 170, 300):
        exact = float(mpmath.fac2(k - 1))
        assert laws["normal"].moment(k) == pytest.approx(exact, rel=1e-13)
    assert laws["laplace"].moment(100) == pytest.approx(float(mpmath.factorial(100)), rel=1e-12)
    assert laws["normal"].moment(302) == INF  # 1e308 and more
    assert laws["cauchy"].moment(50) == laws["student"].moment(50) == INF
    assert laws["inverse"].moment(4, 2.0) == INF
    assert math.isnan(laws["cauchy"].moment(3))
    assert [laws["normal"].moment(k, INF) for k in (0, 2, 3)] == [1, INF, -INF]


def test_what_is_nan_has_no_error_of_nought(laws):
    for name in ("mean", "std"):
        assert math.isnan(getattr(laws["cauchy"], f"{name}_error"))
        assert getattr(laws["student"], f"{name}_error") < 1e-13


@pytest.mark.parametrize("place", [0.0, 1000.0, 1e6])
@pytest.mark.parametrize("digits", [None, 25])
def test_entropy_does_not_depend_on_where_a_process_lies(place, digits):
    """Between its wells the density is below doubles: -log P there is not |x|."""

    def drift(x):
        return 300 * np.sin(3 * (x - place)) - 30 * (x - place)

    state = end_state(Diffusion(drift, 1.0, (place - 6, place + 6)), digits=digits)
    assert abs(float(state.entropy()) + 1.6483827114772) < 1e-12 + state.entropy_error < 1e-9


def test_errors_of_tails_are_of_what_was_integrated_there():
    """Many digits keep what panels leave out of the peak: a part of nothing is not a tail's."""
    laplace = end_state(Diffusion(lambda x: -np.sign(x - 0.1003), 1e-6, (0.09, 0.11)))
    for x in (0.098, 0.09003):
        off = abs(laplace.logcdf(x) - ((x - 0.1003) * 2e6 - math.log(2)))
        assert off < 1e-11 + laplace.log_probability_error(0.09, x) < 1e-9
    narrow = end_state(Diffusion(lambda x: -(x - 0.1), 1e-15, (-1, 1)), digits=20)
    assert narrow.log_probability_error(-1, 0) < 1e-20


def test_beyond_where_functions_are_no_numbers_probabilities_are_not_known_to_be_none():
    def drift(y):
        with np.errstate(all="ignore"):
            return 0.5 * np.exp(-2 * y) / np.exp(-2 * y)  # 1/2, and nan below -355

    state = end_state(Diffusion(drift, 2.0, (-INF, 0)))
    assert state.log_probability_error(-INF, -360) == INF
    assert state.log_probability_error(-INF, -300) < 1e-11


def test_functions_that_lose_their_values_far_out_are_followed_as_far_as_they_have_any():
    """The odds of a Jacobi process, written through its frequency: a beta prime law."""
    k, b = 6.5, 0.32

    def left(y):
        return 1 - y / (1 + y)

    def drift(y):
        x = left(y)
        with np.errstate(all="ignore"):
            return (k * x - b * (1 - x)) / x**2 + 2 * (1 - x) / x**2

    def variance(y):
        x = left(y)
        with np.errstate(all="ignore"):
            return 2 * (1 - x) / x**3

    state = end_state(Diffusion(drift, variance, (0, INF)))
    off = abs(state.logsf(1.0) - betaprime(k, b).logsf(1.0))
    assert off < state.log_probability_error(1.0, INF)
    assert off < 1e-7


@pytest.mark.parametrize("place", [0.1, 1e-3, 0.37])
def test_a_jump_of_the_noise_that_is_no_double_spoils_no_probability_from_a_singular_end(place):
    """The panel over the jump is a few doubles wide: it holds next to nothing."""
    state = end_state(
        Diffusion(lambda x: 1 - x, lambda x: np.where(x / place < 1, x, 3 * x), (0, INF))
    )
    for low, high in ((0, 1.5 * place), (0.5 * place, INF), (0.5 * place, 2 * place)):
        assert state.log_probability_error(low, high) < 1e-12


@pytest.mark.parametrize(("drift", "power"), [(-0.15, 0.5), (-0.33148066628510053, 0.437)])
def test_the_power_of_a_correction_is_known_as_well_as_the_correction(drift, power):
    """e^(-c x^0.35) x^-0.5 far below what panels reach: four roundings tell the 0.35."""
    process = Diffusion(lambda x: -(x**drift), lambda x: x**power, (0, INF))
    state, exact = end_state(process), end_state(process, digits=25)
    for x in (1e-20, 1e-40, 1e-100):
        off = abs(state.logcdf(x) - float(exact.logcdf(x)))
        assert off <= state.log_probability_error(0, x) < 1e-10


def test_probabilities_beside_a_regular_zero_hold_the_error_of_what_lies_on_its_side():
    c = 1 / 3

    def variance(x):
        return 5.09 * np.where(x > c, 0.845, 1.0) * np.sqrt(np.abs(x - c)) * (1 + (x - c) ** 2)

    process = Diffusion(lambda x: 0.606 - 2.026 * (x - c), variance, (c - 4, c + 4))
    state, exact = end_state(process), end_state(process, digits=25)
    for x in (c - 0.1, c + 0.1):
        off = abs(state.logcdf(x) - float(exact.logcdf(x)))
        assert off <= state.log_probability_error(c - 4, x) < 1e-9
