"""Units and origin are the user's choice: whatever they are, the same process has the same answer.

y = shift + scale x and time in other units: f becomes scale f / time, a becomes scale^2 a / time.
Zeros of the variance, classes, exponents and weights stay, and densities move with y.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pytest

from stationary import Diffusion, Status, analyze, end_state, first_passage

INF = math.inf


@dataclass(frozen=True)
class Case:
    drift: object
    variance: object
    domain: tuple
    start: float

    def moved(self, shift, scale, time):
        def back(y):
            return (y - shift) / scale

        process = Diffusion(
            drift=lambda y: scale / time * self.drift(back(y)),
            variance=lambda y: scale**2 / time * self.variance(back(y)),
            domain=tuple(shift + scale * x for x in self.domain),
        )
        return end_state(process, shift + scale * self.start)


def positive(x):
    return np.maximum(x, 0)


CASES = {
    "removable zero": Case(lambda x: 1 - x, lambda x: np.sqrt(np.abs(x - 0.5)), (-2, 2), 0.75),
    "gate": Case(lambda x: 1 - x, lambda x: (x - 0.5) ** 2, (-2, 2), 0.75),
    "gate, linear": Case(lambda x: 1 - x, lambda x: np.abs(x - 0.5), (-2, 2), 0.75),
    "two gates": Case(lambda x: 1 + 0 * x, lambda x: ((x - 0.25) * (x - 0.5)) ** 2, (-2, 2), 0.125),
    "trap": Case(lambda x: 0.5 - x, lambda x: (x - 0.5) ** 2, (-2, 2), 0.75),
    "kink": Case(lambda x: -np.sign(x - 0.25), lambda x: 2 * np.abs(x - 0.25), (-1, 1), 0.5),
    "repelling": Case(
        lambda x: (x - 0.5) - (x - 0.5) ** 3, lambda x: (x - 0.5) ** 2, (-2, 2), 0.75
    ),
    "two traps": Case(lambda x: 0 * x, lambda x: (x - 0.25) ** 2 * (x + 1) ** 2, (-2, 2), -0.5),
    "stretch": Case(
        lambda x: 1 - x, lambda x: positive(np.abs(x - 0.25) - 0.125) ** 2, (-2, 2), 0.0
    ),
    "CIR": Case(lambda x: 1 - x, lambda x: x, (0, INF), 0.75),
    "CEV": Case(lambda x: 0.5 - x, lambda x: positive(x) ** 1.5, (0, INF), 0.75),
    "Wright-Fisher": Case(lambda x: 0 * x, lambda x: x * (1 - x), (0, 1), 0.25),
    "beta": Case(lambda x: 2 * (1 - x) - 3 * x, lambda x: x * (1 - x), (0, 1), 0.25),
    "weak mutation": Case(lambda x: 0.3 * (1 - x) - 0.2 * x, lambda x: x * (1 - x), (0, 1), 0.25),
    "approached": Case(lambda x: 0 * x, lambda x: (1 - x * x) ** 2, (-1, 1), 0.25),
    "Student": Case(lambda x: -2 * x, lambda x: 1 + x * x, (-INF, INF), 0.25),
    "Ornstein-Uhlenbeck": Case(lambda x: -x, lambda x: 1 + 0 * x, (-INF, INF), 0.25),
    "two wells": Case(lambda x: x - x**3, lambda x: 0.5 + 0 * x, (-3, 3), 0.25),
}
MOVES = {
    "in units of 1e8": (0, 1e-8, 1),
    "in units of 1e-8": (0, 1e8, 1),
    "in units of 1e-4": (0, 1e4, 1),
    "in slow motion": (0, 1e-4, 1e6),
    "shifted": (1, 1, 1),
    "shifted by 100": (100, 1, 1),
}
POINTS = np.array([-1.5, -0.375, 0.125, 0.4375, 0.5625, 0.875, 1.25])  # whose shifts are exact


@pytest.fixture(scope="module")
def at_home():
    return {name: case.moved(0, 1, 1) for name, case in CASES.items()}


@pytest.mark.parametrize("move", MOVES)
@pytest.mark.parametrize("name", CASES)
def test_units_and_origin_change_nothing_but_the_numbers(name, move, at_home):
    shift, scale, time = MOVES[move]
    home, moved = at_home[name], CASES[name].moved(shift, scale, time)
    assert moved.kind == home.kind
    assert moved.status is home.status
    assert [p.role for p in moved.anatomy.points] == [p.role for p in home.anatomy.points]
    for here, there in zip(home.anatomy.points, moved.anatomy.points, strict=True):
        edges = shift + scale * np.array([float(here.lower), float(here.upper)])
        near = 4e-16 * np.abs(edges).max()
        np.testing.assert_allclose([float(there.lower), float(there.upper)], edges, atol=near)
    for here, there in zip(home.anatomy.ends, moved.anatomy.ends, strict=True):
        assert there.feller is here.feller
        if here.exponent is not None:
            assert there.exponent == pytest.approx(here.exponent, abs=1e-12)
    for here, there in zip(home.atoms, moved.atoms, strict=True):
        assert there.position == pytest.approx(shift + scale * here.position, rel=4e-16)
        assert abs(there.weight - here.weight) <= home.error + moved.error + 1e-14
    if home.kind == "density":
        y = shift + scale * POINTS
        off = home.error + moved.error + 1e-13
        assert np.abs(moved.cdf(y) - home.cdf(POINTS)).max() <= off
        with np.errstate(invalid="ignore"):
            change = moved.logpdf(y) + math.log(scale) - home.logpdf(POINTS)
        assert np.nanmax(np.abs(change)) <= 10 * off


@pytest.mark.parametrize("place", [50.0, 200.0, -1000.0, 1e5, 1e7])
def test_wells_far_from_the_origin_are_both_found(place):
    """On the whole line panels there are wider than the wells are apart: a cubic drift is resolved
    on them with one sign at all nodes, or changes it once where it has three zeros."""

    def process(c, domain=(-np.inf, np.inf)):
        return Diffusion(lambda x: (x - c) - (x - c) ** 3 + 0.05, 0.2, domain)

    near, far = (analyze(process(c)).basins for c in (0.0, place))
    assert [b.position for b in far] == pytest.approx([place + b.position for b in near], rel=1e-15)
    for one, other in zip(near, far, strict=True):
        assert abs(one.mass - other.mass) <= one.mass_error + other.mass_error < 1e-9
    state = end_state(process(place))
    assert state.cdf(place) == pytest.approx(0.2915018188015665, rel=1e-10)
    assert len(state.modes) == 2


@pytest.mark.parametrize("place", [3e3, -1e5, 1e8])
def test_passages_far_from_the_origin_are_known_as_at_home(place):
    """Distances were counted from 0: a cubic drift of c^3 in proportion to what rounds it behind
    the start was followed by panels without end."""

    def time(c):
        p = Diffusion(lambda x: 1.2 * (x - c) - 0.5 * (x - c) ** 3 + 0.04, 0.35)
        return first_passage(p, c - 1, c + 1.25).mean

    home, away = time(0.0), time(place)
    assert abs(away.value - home.value) <= (away.error + home.error) * home.value
    assert home.error + away.error < 1e-12
    p = Diffusion(lambda x: 2 * (place - x) / (1 + (x - place) ** 2), 1.0)  # Student's t
    assert end_state(p).ppf(0.999) - place == pytest.approx(5.897362714633, rel=1e-6)


def test_a_line_is_looked_at_as_far_as_its_functions_have_values():
    """sinh(2 x / 0.04) overflows at 14: the same wells as in a unit in which it does not."""

    def process(s):
        return Diffusion(
            lambda x: s * (np.sinh(x / s) - 0.12 * np.sinh(2 * x / s)),
            lambda x: 0.05 * s**2 + 0 * x,
        )

    wide, small = (analyze(process(s)).basins for s in (1.0, 0.04))
    for one, other in zip(wide, small, strict=True):
        assert other.position == pytest.approx(0.04 * one.position, rel=1e-13)
        assert other.log_exit_time == pytest.approx(one.log_exit_time, abs=1e-11)
        assert abs(other.exit_time_error) < 1e-11


# Ends that are rounded: c + h misses the zero of the variance, as it is computed, by some 1e-16.
ROUNDED = {
    "by what is typed": (1.7, 1.0, lambda x: 0.3 * (x - 1.7) - 0.3 * (x - 1.7) ** 2),
    "inside": (5.0, 1e-3, lambda x: 3e-7 * ((x - 5) / 1e-3) * (1 - (x - 5) / 1e-3)),
    "outside": (2.0, 1e-3, lambda x: 3e-7 * ((x - 2) / 1e-3) * (1 - (x - 2) / 1e-3)),
    "below 0": (0.0, 0.2, lambda x: 0.3 * (0.1**2 - (x - 0.1) ** 2)),
    "above 0": (0.0, 0.7, lambda x: 0.3 * (0.35**2 - (x - 0.35) ** 2)),
    "by terms that cancel": (5.0, 0.37, lambda x: -0.3 * x * x + 0.3 * 10.37 * x - 0.3 * 5 * 5.37),
}


@pytest.mark.parametrize("name", ROUNDED)
def test_an_end_that_is_rounded_is_the_zero_of_the_variance_that_is_meant(name):
    c, h, variance = ROUNDED[name]
    home = Diffusion(lambda y: 0.3 * (1 - y) - 0.2 * y, lambda y: 0.3 * y * (1 - y), (0, 1))
    known = first_passage(home, 0.25, 0.5).mean
    p = Diffusion(
        drift=lambda x: 0.3 * h * (1 - (x - c) / h) - 0.2 * (x - c),
        variance=variance,
        domain=(c, c + h),
    )
    time = first_passage(p, c + h / 4, c + h / 2).mean
    assert abs(time.log - known.log) <= time.error + known.error + 1e-9
    state = end_state(p)
    assert state.status is Status.CONVERGED
    assert abs(state.mean() - c - 0.6 * h) <= state.mean_error + 1e-12 * h


@pytest.mark.parametrize("name", ROUNDED)
def test_what_comes_to_a_rounded_end_where_the_drift_vanishes_stays_there(name):
    c, h, variance = ROUNDED[name]
    for side in (0, 1):
        at = c + side * h
        p = Diffusion(
            drift=lambda x, s=side: 0.3 * h * (s - (x - c) / h),
            variance=variance,
            domain=(c, c + h),
        )
        assert [a.position for a in end_state(p, c + h / 4).atoms] == [at]


def test_what_is_waited_next_to_a_rounded_end_has_its_power_in_its_error():
    """A density like r^-0.996 next to 2, where doubles know r down to 3e-8: its power is off by
    1e-13, its integral by 1e-13 / 0.004."""
    p = Diffusion(
        drift=lambda x: 0.002 * (32 - x) - 0.01 * (x - 2),
        variance=lambda x: (x - 2) * (32 - x),
        domain=(2, 32),
    )
    time, exact = (first_passage(p, 11, 20, digits=digits).mean for digits in (None, 15))
    assert abs(time.log - float(exact.log)) <= time.error < 1e-9
