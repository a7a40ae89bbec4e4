"""Feller's classes and the exponents that decide them, against cases done on paper."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import gamma

from stationary import Diffusion, Landscape, end_state
from stationary.panels.roots import without_ripples

INF = math.inf


def ends(drift, variance, domain, **more):
    return end_state(Diffusion(drift=drift, variance=variance, domain=domain, **more)).anatomy.ends


@pytest.mark.parametrize(
    ("convention", "order", "feller"),
    [
        # Without drift s = a^-c and m = a^(c - 1); the time to arrive goes as int r / a.
        ("ito", 0.5, "regular, singular"),
        ("ito", 1.0, "exit"),
        ("ito", 1.5, "exit"),
        ("ito", 2.0, "natural, attracting"),
        ("ito", 3.0, "natural, attracting"),
        ("stratonovich", 0.5, "regular, singular"),
        ("stratonovich", 1.5, "regular, singular"),
        ("stratonovich", 2.0, "natural"),
        ("stratonovich", 3.0, "natural"),
        ("klimontovich", 0.5, "regular, singular"),
        ("klimontovich", 1.0, "entrance"),
        ("klimontovich", 1.5, "entrance"),
        ("klimontovich", 2.0, "natural"),
        ("klimontovich", 3.0, "natural"),
    ],
)
def test_the_convention_decides_what_a_zero_without_drift_is(convention, order, feller):
    lower, _ = ends(0, lambda x: x**order, (0, 1), convention=convention)
    assert lower.feller.value == feller


@pytest.mark.parametrize("c", [0.0, 0.5, 1.0])
@pytest.mark.parametrize(("s", "k"), [(1, 1), (1, 0.5), (-1, 0), (2.5, 1), (0, 1), (-1, 1)])
def test_the_exponent_of_any_weight_is_that_of_its_integrand_plus_one(c, s, k):
    """f = 0.7 and a = 2 x at 0: e^Phi = x^0.7; f = -3 x and a = 1 + x^2 far out: e^Phi = x^-6."""
    name = {0.0: "ito", 0.5: "stratonovich", 1.0: "klimontovich"}[c]
    near, _ = ends(0.7, lambda x: 2 * x, (0, 1), convention=name)
    value, error = near.exponents.of(s, k)
    assert abs(value - (0.7 * s - k + 1)) <= error + 1e-15
    _, far = ends(lambda x: -3 * x, lambda x: 1 + x * x, (0, INF), convention=name)
    exponent = far.exponents.of(s, k)
    assert abs(exponent.value - (-6 * s - 2 * k + 1)) <= exponent.error + 1e-15
    assert far.exponents.converges(s, k) is (-6 * s - 2 * k + 1 < 0)


def test_what_cancels_in_a_weight_cancels_before_the_limit_is_taken():
    """f = -1 and a = x^2 at 0: Phi = 2 / x, and e^(0 Phi) a^-k is a plain power."""
    near, _ = ends(-1, lambda x: x**2, (0, 1))
    assert near.exponents.of(1, 0).value == -INF
    assert near.exponents.of(-1, 3).value == INF
    assert near.exponents.of(0, 0.25).value == 0.5
    assert near.exponents.converges(0, 0.5) is False  # int dx / x: a logarithm, but it diverges


def test_the_drift_at_a_singular_end_itself_is_never_asked():
    """-1 at 0 and 1 / 2 above it: only the limit from inside is the process's business."""
    at_once, _ = ends(lambda x: np.where(x > 0, 0.5, -1.0), lambda x: 2 * x, (0, 1))
    assert (at_once.feller.value, at_once.push) == ("regular, singular", 1)


@pytest.mark.parametrize("batch_size", [1, 2, 8, 40])
def test_a_gate_that_nothing_comes_near_is_classified_all_the_same(batch_size):
    """Losses |w - c|: drift and noise are constant between datapoints, the density exponential.

    Far datapoints lie at the end of 10^4 e-folds, and their gates are no doubles.
    """
    c = np.sort(np.append(np.random.default_rng(5).normal(size=17), [7.59, 7.693835, 7.85253211]))
    rate, n = 0.05, len(c)
    state = end_state(
        Landscape(
            losses=lambda w: [np.abs(w - k) for k in c], learning_rate=rate, batch_size=batch_size
        )
    )
    g = (2 * np.arange(1, n) - n) / n
    slope, width = -2 * batch_size * g / (rate * (1 - g * g)), np.diff(c)
    start = np.append(0, np.cumsum(slope * width)[:-1])
    top = start + np.maximum(slope * width, 0)
    s = np.abs(slope) + 1e-300
    mass = np.exp(top - top.max()) * -np.expm1(-s * width) / s / (1 - g * g)
    # The mean distance from the higher end.
    away = 1 / s - width * np.exp(-s * width) / -np.expm1(-s * width)
    flat = np.abs(slope * width) < 1e-9
    at = np.where(flat, (c[1:] + c[:-1]) / 2, np.where(slope > 0, c[1:] - away, c[:-1] + away))
    mass = np.where(flat, np.exp(start - top.max()) * width / (1 - g * g), mass)
    assert state.mean() == pytest.approx(mass @ at / mass.sum(), abs=1e-9)
    assert {e.feller.value for p in state.anatomy.pieces for e in p.ends} == {"regular, singular"}


REPEATING = [  # drift, variance, how much more likely it goes up than down in the long run
    (np.sin, lambda x: 1 + 0 * x, 0),
    (lambda x: np.sin(3 * x + 2), lambda x: 1 + 0 * x, 0),
    (lambda x: 1e-8 * np.sin(1e8 * x), lambda x: 1e-16 + 0 * x, 0),
    (lambda x: 0 * x, lambda x: np.exp(np.sin(x)), 0),
    (lambda x: np.sin(x) + np.exp(-(x**2)), lambda x: 1 + 0 * x, 0),  # from some distance on
    (lambda x: np.cos(x) + 0.1, lambda x: 1 + 0 * x, 1),
    (lambda x: np.sin(2 * x) - 0.3, lambda x: 1 + 0 * x, -1),
    # The noise is stronger where the drift is positive: int 2 f / a falls over each period.
    (lambda x: np.sin(x / 50), lambda x: 2 + np.sin(x / 50), -1),
]


@pytest.mark.parametrize(("drift", "variance", "way"), REPEATING)
def test_what_repeats_for_ever_is_held_nowhere(drift, variance, way):
    """int 2 f / a over a period decides: 0 spreads to both sides, else it goes to one of them."""
    state = end_state(Diffusion(drift=drift, variance=variance), initial=0.3)
    assert state.kind == "none"
    assert "not decided" not in state.reason
    if way:
        (escape,) = state.escapes
        assert escape.weight == pytest.approx(1, abs=1e-9)
        assert escape.position == way * math.inf
    else:
        assert "spreads towards it for ever" in state.reason


def test_probes_that_oscillate_decide_nothing():
    """Two frequencies without a common period, and one that grows: no power, and no period."""
    for drift in (lambda x: np.sin(x) + np.sin(math.sqrt(2) * x), lambda x: np.sin(x * x)):
        state = end_state(Diffusion(drift=drift, variance=1.0))
        assert state.status.name == "NOT_DECIDED"


def test_ripples_are_dropped_in_the_time_of_a_sort(calls):
    """From the least on: two of 1e-3, between which what stays is the rise of 40,000 steps."""
    rises = np.tile([1.0, -1e-3], 20_000) * np.linspace(1, 2, 40_000)
    with calls:
        keep = without_ripples(rises, np.ones(40_000), fixed_ends=True)
    assert list(keep) == [0, 40_000]
    assert calls.count < 10 * len(rises)


@pytest.mark.parametrize("unit", [1e4, 1.0, 1e-3])
@pytest.mark.parametrize(("power", "k", "b"), [(1, 1.0, 2.0), (1, 2.6, 1.5), (2, 1.3, 1.1)])
def test_noise_like_an_essential_singularity_may_hold_what_its_drift_balances(unit, power, k, b):
    """A gamma law with a = e^(-1 / z^power): what is left of 2 f / a beside d log a / dx decides,
    one part in 1e240. It was "the density cannot be integrated", depending on the unit."""

    def variance(x):
        return unit * (unit * np.exp(-((unit / x) ** power)))

    def drift(x):
        z = x / unit
        return unit * np.exp(-((unit / x) ** power)) * (power / z**power / z + (k - 1) / z - b) / 2

    state = end_state(Diffusion(drift, variance, (0, math.inf)))
    if state.kind == "none":  # the rounding of the numbers themselves: 1e-3 is no double
        assert "not decided" in state.reason
        assert unit == 1e-3
        return
    for z in (0.5, 2.0):
        off = abs(state.logcdf(z * unit) - gamma(k, scale=1 / b).logcdf(z))
        assert off <= state.log_probability_error(0, z * unit) + 1e-15
        assert off < 1e-6 or (unit == 1e4 and power == 2)  # INEXACT, with an error that says so


def test_what_may_be_the_rounding_of_the_numbers_given_decides_nothing():
    """As above, with a = L^2 e^(-L / x) for L = 0.01, whose square is no double."""
    unit, k, b = 0.01, 1.5098, 2.9656

    def drift(x):
        z = x / unit
        return unit * np.exp(-unit / x) * (1 / z**2 + (k - 1) / z - b) / 2

    state = end_state(Diffusion(drift, lambda x: unit * unit * np.exp(-unit / x), (0, math.inf)))
    assert "not decided" in state.reason
