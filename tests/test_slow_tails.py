"""Tails at the border of what can be integrated, and tails whose power oscillates for ever."""

from __future__ import annotations

import math

import mpmath
import numpy as np
import pytest

from stationary import Diffusion, end_state
from stationary.errors import Status

INF = math.inf


def logarithmic(b):
    """P ~ 1 / ((x + 3) log^b (x + 3)) on x > 0."""
    return Diffusion(lambda x: -(1 + b / np.log(x + 3)) / (x + 3) / 2, 1.0, (0, INF))


@pytest.mark.parametrize("b", [1.05, 1.5, 2.0, 3.0])
def test_a_tail_that_logarithms_alone_make_integrable_is_solved(b):
    """P(X > x) = (log(x + 3) / log 3)^(1 - b), and log(X + 3) has a power law."""
    state = end_state(logarithmic(b))
    assert state.status is Status.CONVERGED
    x = np.array([0.1, 1.0, 1e3, 1e10, 1e100, 1e300])
    tail = (np.log(x + 3) / math.log(3)) ** (1 - b)
    assert np.abs(state.sf(x) / tail - 1).max() < 4e-13  # of 690 e-folds, summed up in doubles
    density = (b - 1) / math.log(3) * (np.log(x + 3) / math.log(3)) ** -b / (x + 3)
    assert np.abs(state.pdf(x) / density - 1).max() <= 4 * state.error + 1e-13
    median = math.log(3) * 2 ** (1 / (b - 1))
    assert state.median() == (INF if median > 710 else pytest.approx(math.exp(median) - 3, 1e-11))
    assert state.mean() == INF
    entropy = math.log(math.log(3) / (b - 1)) + b / (b - 1)
    exact = entropy + math.log(3) * (b - 1) / (b - 2) if b > 2 else INF
    assert state.entropy() == pytest.approx(exact, rel=1e-10)
    assert f"log(|x|)^{b:g}" in state.anatomy.ends[1].describe("x")


@pytest.mark.parametrize("b", [1.0, 0.9, 0.0])
def test_a_tail_that_logarithms_do_not_make_integrable_is_not(b):
    assert end_state(logarithmic(b)).status is Status.NOT_NORMALISABLE


@pytest.mark.parametrize("digits", [None, 30])
def test_a_logarithmic_peak_at_a_finite_end_is_solved(digits):
    """P ~ 1 / (x log^2 x) on (0, 1/2) has the distribution function log 2 / |log x|."""
    state = end_state(
        Diffusion(lambda x: x / 2 * (1 - 2 / np.log(x)), lambda x: x**2, (0, 0.5)), digits=digits
    )
    assert state.status is Status.CONVERGED
    for x in (1e-300, 1e-30, 0.1, 0.4):
        assert float(state.cdf(x)) == pytest.approx(-math.log(2) / math.log(x), rel=2e-12)
    # int_0^inf log 2 e^-y (log 2 + w)^-2 dw, by an independent quadrature in y = -log x
    y, w = np.polynomial.legendre.leggauss(200)
    y = math.log(2) + 20 * (1 + y)
    mean = math.log(2) * float((20 * w) @ (np.exp(-y) / y**2))
    assert float(state.mean()) == pytest.approx(mean, rel=1e-12)


@pytest.mark.parametrize("p", [1.2, 2.0, 4.0])
def test_a_power_that_oscillates_for_ever_is_decided_by_its_mean(p):
    """P ~ (1 + x)^-p (1 + sin(log(1 + x)) / 2) on x > 0."""

    def drift(x):
        y = np.log1p(x)
        return 0.5 * (-p + np.cos(y) / (2 + np.sin(y))) / (1 + x)

    state = end_state(Diffusion(drift, 1.0, (0, INF)))
    assert state.status is Status.CONVERGED
    y = np.array([0.0, 1.0, 5.0, 50.0])
    beyond = 1 / (p - 1) + ((p - 1) * np.sin(y) + np.cos(y)) / 2 / ((p - 1) ** 2 + 1)
    exact = np.exp((1 - p) * y) * beyond / beyond[0]
    off = np.abs(state.sf(np.expm1(y)) / exact - 1)
    assert off.max() <= 1e-12
    assert (state.mean() == INF) == (p <= 2)
    growing = end_state(Diffusion(lambda x: drift(x) + (p - 0.9) / (1 + x) / 2, 1.0, (0, INF)))
    assert growing.status is Status.NOT_NORMALISABLE


def test_noise_whose_power_oscillates_for_ever_is_decided_by_its_mean():
    """Without drift P ~ 1 / a; by symmetry half of it lies on either side."""

    def variance(x):
        y = np.log1p(x * x) / 2
        return (1 + x * x) / (2 + np.sin(y))

    state = end_state(Diffusion(0, variance))
    assert state.status is Status.CONVERGED
    assert state.cdf(0.0) == pytest.approx(0.5, abs=1e-14)


@pytest.mark.parametrize("order", [0.25, 0.5, 0.75])
def test_corrections_to_a_power_are_no_logarithm(order):
    """f = -60 (x - 1/2), a = |x|^order: P ~ |x|^-order next to 0, and then some."""
    process = Diffusion(lambda x: -60 * (x - 0.5), lambda x: np.abs(x) ** order, (0, 3))
    end = end_state(process).anatomy.ends[0]
    assert end.logarithm is None
    assert end.exponent == pytest.approx(-order, abs=1e-12)


@pytest.mark.parametrize("weak", [1e-15, 1e-12, 1e-9])
def test_what_lies_between_two_points_of_a_slow_tail_is_no_difference(weak):
    """Wright and Fisher with weak mutation, P ~ (x (1 - x))^(A - 1): 1.3e-4 at a claim of 8e-14."""
    process = Diffusion(lambda x: weak * (1 - 2 * x), lambda x: x * (1 - x) / 1000, domain=(0, 1))
    state = end_state(process)
    with mpmath.workdps(50):
        power = 2000 * mpmath.mpf(weak)
        whole = mpmath.beta(power, power) * power

        def below(x):
            return mpmath.mpf(x) ** power / whole  # x^2 beside it is none

        for low, high in ((1e-30, 1e-20), (1e-100, 1e-18), (1e-200, 1e-30)):
            exact = mpmath.log(below(high) - below(low))
            error = state.log_probability_error(low, high)
            assert abs(float(state.log_probability(low, high) - exact)) < error < 1e-12
        for x in (1e-30, 1e-100):
            assert float(state.logsf(x) - mpmath.log(1 - below(x))) == pytest.approx(0, abs=1e-13)
            assert float(state.logcdf(x) - mpmath.log(below(x))) == pytest.approx(0, abs=1e-13)
