"""The pit: a gate at 1, a state of width 4e-43 at 2, and a share of exp(-3.7e79) left behind.

The numbers are from mpmath at 120 digits: roots of G, and the integral of 2 f / a from 1.2 to 2
split dyadically towards 2.
"""

from __future__ import annotations

import math
import re
from functools import cache
from pathlib import Path

import mpmath
import numpy as np
import pytest

from stationary import Landscape, analyze, basins_of, end_state, load, log_mean_first_passage_time

PIT = Path(__file__).parent.parent / "examples" / "pit.py"
EXACT = mpmath.MPContext()
EXACT.dps = 60
POSITIONS = ("1.007453302946034736283807", "1.174310179072274488368491")
CENTRE = "-1.86003798801042e-42"  # of the equilibrium, counted from 2
WIDTHS = {0.05: 4.1591713819232335275e-43, 0.02: 2.630490949173497498e-43}
GAINS = {0.05: 3.677392082603097740739742e79, 0.02: 9.193480206507744670812274e79}


@cache
def pit(learning_rate, digits=None):
    return analyze(PIT, learning_rate=learning_rate, digits=digits)


@pytest.fixture(scope="module", params=[0.05, 0.02])
def rate(request):
    return request.param


@pytest.fixture(scope="module")
def analysis(rate):
    return pit(rate)


def test_equilibria_and_the_gate(analysis):
    pit, barrier, wide = analysis.equilibria
    for e, exact in zip((pit, barrier), POSITIONS, strict=True):
        assert e.position == pytest.approx(float(exact), rel=2e-16)
        assert abs(EXACT.mpf(e.position) + e.offset - EXACT.mpf(exact)) < 1e-20
    assert (wide.position, wide.stable) == (2.0, True)
    assert wide.offset == pytest.approx(float(CENTRE), rel=1e-12)
    assert wide.error < 1e-60
    (gate,) = analysis.end_state.anatomy.points
    assert (gate.position, gate.role, gate.decided) == (1.0, "gate to the right", True)
    assert analysis.end_state.transient == ((-1.0, 1.0),)


def test_the_end_state_is_narrower_than_doubles_can_tell(analysis, rate):
    state = analysis.end_state
    assert state.kind == "density"
    assert state.std() == pytest.approx(WIDTHS[rate], rel=1e-12)
    assert state.mean() == 2.0
    assert state.mean_offset == pytest.approx(float(CENTRE), rel=1e-12)
    assert state.error < 1e-10
    # It is a Gaussian up to 1e-42; 2 lies 4.5 (7.1) deviations above its centre.
    z = -float(CENTRE) / WIDTHS[rate]
    assert state.sf(2.0) == pytest.approx(math.erfc(z / math.sqrt(2)) / 2, rel=1e-9)
    shown = analysis.to_dict()["quantiles"]["0.5"]
    assert (shown["value"], shown["offset"]) == (2.0, pytest.approx(float(CENTRE), rel=1e-12))


@pytest.mark.parametrize("digits", [None, 40])
def test_errors_of_what_leaves_as_doubles_hold_their_rounding(digits):
    """A position is what is handed out with its offset: 32 digits where 75 were computed."""
    answer, exact = pit(0.05, digits), pit(0.05, 100)
    said, mpf = answer.to_dict(), EXACT.mpf

    def both(entry, name):
        return mpf(entry[name]) + (entry.get("offset") or 0)

    EXACT.dps = 120
    for e, true in zip(said["equilibria"], exact.equilibria, strict=True):
        assert 0 < abs(both(e, "position") - mpf(true.position)) <= e["error"] < 1e-30
        assert abs(e["drift_slope"] - mpf(true.slope)) <= e["drift_slope_error"] < 1e-14
    for b, listed, true in zip(
        said["basins"], answer.basins.to_dict()["basins"], exact.basins, strict=True
    ):
        assert 0 < abs(both(b, "position") - mpf(true.position)) <= b["position_error"] < 1e-30
        assert b == listed
    for listed, own in zip(said["basins"], answer.basins, strict=True):  # in 100 digits: a minute
        off = abs(listed["log_exit_time"] - mpf(own.log_exit_time))
        assert off <= listed["exit_time_error"] < 1e-13 * abs(off + listed["log_exit_time"])
    if digits is None:
        for b, true in zip(answer.basins, exact.basins, strict=True):
            assert abs(mpf(b.position) + b.offset - mpf(true.position)) <= b.position_error
    state, moments = exact.end_state, said["moments"]
    for name, true in (("mean", state.mean()), ("standard_deviation", state.std())):
        entry = moments[name]
        assert 0 < abs(both(entry, "value") - mpf(true)) <= entry["error"] < 1e-57
    for level, entry in said["quantiles"].items():
        off = abs(both(entry, "value") - mpf(state.ppf(float(level))))  # of the double, not 1 / 20
        assert off <= entry["error"]
    EXACT.dps = 60


def test_how_much_denser_it_is_at_2(analysis, rate):
    state = analysis.end_state
    gain = state.logpdf(2.0) - state.logpdf(1.2)
    assert gain == pytest.approx(GAINS[rate], rel=1e-15)
    pit, wide = analysis.basins
    assert -pit.log_mass == pytest.approx(GAINS[rate], rel=1e-12)
    assert wide.mass == 1


def test_quantiles_deep_in_the_tail_that_carries_the_peak(analysis, rate):
    # A normal law to the digits of a double: mean 2 - 1.86e-42, deviation 4e-43.
    assert analysis.end_state.isf([1e-9, 1e-100]).tolist() == [2, 2]


def test_times(analysis, rate):
    out_of_pit, out_of_wide = analysis.exits
    if rate == 0.05:
        # The same on (0.9, 1.3), where doubles do.
        near = log_mean_first_passage_time(
            load(PIT, domain=(0.9, 1.3)), float(POSITIONS[0]), float(POSITIONS[1])
        )
        assert out_of_pit.log_time == pytest.approx(near, rel=1e-12)
        assert out_of_pit.time == pytest.approx(21.8458683, rel=1e-8)
    assert out_of_wide.log_time == pytest.approx(GAINS[rate], rel=1e-12)
    assert out_of_wide.time == math.inf  # beyond the range of doubles


def test_the_report_says_it_in_words(analysis):
    text = analysis.summary()
    assert max(map(len, text.splitlines())) <= 80
    flat = " ".join(text.split())
    assert "SGD is around w = 2 - 1.86e-42 with probability 1" in flat
    assert "w = 1 is a one-way gate: all of -1 to 1 is left for good" in flat
    assert "with probability 10^(-" in flat
    assert "e+79)" in flat
    assert re.search(r"1\.0074533 +1\.00", text)  # its density peaks nearer to the gate
    assert "Doubles cannot carry the process for w from 1 to 4" in flat
    assert "nan" not in text


def test_in_many_digits_as_in_doubles():
    """40 digits of the same: masses beyond doubles stay logarithms."""
    state = pit(0.05, 40).end_state
    assert isinstance(state.std(), type(state.arithmetic.one))
    assert abs(state.std() / WIDTHS[0.05] - 1) < 1e-12
    low, high = state.logpdf(np.array([1.2, 2.0]))
    assert abs((high - low) / EXACT.mpf("3.677392082603097740739742e79") - 1) < 1e-24
    assert state.error < 1e-40


@pytest.mark.parametrize("domain", [(-10, 14), (-math.inf, math.inf)])
def test_a_wider_domain_or_none_costs_little_more_and_changes_nothing(domain):
    """Far out gradients agree to thousands of digits, and nobody needs to look."""
    near, analysis = pit(0.05).end_state, analyze(load(PIT, domain=domain))
    wide = analysis.end_state
    assert wide.std() == pytest.approx(near.std(), rel=1e-13)
    assert wide.mean_offset == pytest.approx(near.mean_offset, rel=1e-12)
    assert wide.logpdf(2.0) - wide.logpdf(1.2) == pytest.approx(GAINS[0.05], rel=1e-15)
    assert wide.error < 1e-10
    assert wide.anatomy.evaluations < 3 * near.anatomy.evaluations
    out = log_mean_first_passage_time(
        load(PIT, domain=(0.9, 1.3)), float(POSITIONS[0]), float(POSITIONS[1])
    )
    assert analysis.exits[0].log_time == pytest.approx(out, rel=1e-14)


def test_intervals_that_reach_beyond_what_was_sampled():
    """With a wall at 7 the exponent is followed to where 2 f / a is e^7,000."""
    state = end_state(load(PIT, domain=(0.9, 7)))
    assert state.log_ratio((1.0, 1.174), (1.2, 3)) == pytest.approx(-GAINS[0.05], rel=1e-12)
    assert state.probability(1.9, 3) == 1
    # Down so steep a slope the mass is the density over its slope.
    assert state.log_probability(2.5, 3) == pytest.approx(state.logpdf(2.5), rel=1e-12)
    assert state.logsf(2.5) == pytest.approx(state.logpdf(2.5), rel=1e-12)
    assert state.logcdf(3.0) == 0


def test_a_table_from_end_to_end_holds_the_gate():
    rows = pit(0.05).to_csv(points=41).splitlines()
    assert len(rows) > 20
    assert all("nan" not in row for row in rows)


def test_exit_times_have_many_digits():
    """By a quadrature of 60 digits on panels that close in on the gate, for the double 0.05.

    What is right of the barrier at 1.17 has no part in it, and costs nothing where it is left out.
    """
    analysis = analyze(PIT, learning_rate=0.05, digits=30, domain=(0.9, 1.3))
    known = analysis.basins[0]
    with mpmath.workdps(60):
        exact = mpmath.mpf("3.08401181371242765213885291926068526979080597")
        assert abs(known.log_exit_time - exact) < 1e-29
    assert known.exit_time_error < 1e-29


def test_minima_that_are_one_basin_in_many_digits_have_its_error():
    """A pit half as wide, parted from the wide minimum by less than one: errors of many digits
    beside others that are doubles ended in NumPy's own error."""

    def losses(w):
        shared = -np.exp(-((w - 2) ** 2))
        return shared, shared - np.exp(-400 * (w - 1) ** 2)

    (basin,) = basins_of(end_state(Landscape(losses, learning_rate=0.05, domain=(-3, 6))))
    assert basin.mass == 1
    assert 0 < basin.mass_error < 1e-12
    assert len(basin.parts) == 2


def test_masses_beyond_the_digits_of_their_logarithms_are_known_on_any_domain():
    """ln of the pit's mass is -4.6e296, known to 1e263: that was taken for what the wide one lacks,
    and how much either holds was not known on (-12, 14), though it was on (-7, 7)."""

    def losses(w):
        wide = -np.exp(-((w / 1.3) ** 2))
        return wide, wide - 0.7 * np.exp(-(((w + 1.5) / 0.08) ** 2))

    pit, wide = basins_of(end_state(Landscape(losses, learning_rate=0.05, domain=(-12, 14))))
    assert wide.mass == 1
    assert 0 <= wide.mass_error < 1e-30
    assert pit.mass_error < 1e-15 * abs(pit.log_mass)
