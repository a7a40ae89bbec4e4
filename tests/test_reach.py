"""Infinite lines on which noise oscillates, or vanishes, for ever."""

from __future__ import annotations

import math
from contextlib import nullcontext

import numpy as np
import pytest

from stationary import (
    Diffusion,
    Landscape,
    basins_of,
    end_state,
    evolve,
    first_passage,
    mean_first_passage_time,
)
from stationary.errors import LandscapeError, Status
from stationary.line import sampled


@pytest.mark.parametrize(
    ("drift", "variance", "reach"),
    [
        (lambda x: -x, lambda x: 1.5 + np.sin(x), 40),
        (lambda x: -np.tanh(x), lambda x: 1.5 + np.sin(x * x), 60),
    ],
)
def test_noise_that_oscillates_for_ever_matters_where_there_is_anything(
    drift, variance, reach, calls
):
    with calls:  # where every dip was looked at it took 8 s, and minutes
        state = end_state(Diffusion(drift, variance))
    assert calls.count < 1_000_000
    assert state.status is Status.CONVERGED
    cut = end_state(Diffusion(drift, variance, (-reach, reach)))
    x = np.linspace(-6, 6, 101)
    assert np.abs(state.logpdf(x) - cut.logpdf(x)).max() <= state.error + cut.error


def test_losses_that_repeat_for_ever_need_no_digits():
    """Of phases: dips of the variance at 1e19, no double apart, took 52 digits and minutes."""
    phases = np.array([0.1, -0.32, 0.4, 0.05, -0.2, 0.6, -0.5, 0.22, 0.01, -0.1])[:, None]
    state = end_state(Landscape(losses=lambda w: 1 - np.cos(w - phases), learning_rate=0.2))
    assert state.kind == "none"
    assert "drift and variance repeat every 6.28319" in state.reason
    assert {str(p.sampling.arithmetic) for p in state.anatomy.pieces} == {"<Arithmetic: double>"}


def test_bounded_waves_take_no_power_tail_its_exponent():
    """x 2 f / a goes to -4, although slopes of log a between points near by are those of waves."""

    def drift(x):
        return -2 * x + np.sin(3 * x) + np.cos(1.1 * x)

    def variance(x):
        return 1 + x * x + 0.3 * np.sin(5 * x) + 0.2 * np.cos(np.sqrt(2) * x)

    state = end_state(Diffusion(drift, variance))
    assert [(e.exponent, e.order) for e in state.anatomy.pieces[0].ends] == [
        (pytest.approx(-6, abs=1e-12), pytest.approx(2, abs=1e-12))
    ] * 2
    cut = end_state(Diffusion(drift, variance, (-40, 40)))
    x = np.linspace(-9, 9, 50)
    apart = state.logpdf(x) - cut.logpdf(x)
    assert np.ptp(apart) <= state.error + cut.error
    assert math.exp(-apart[0]) == pytest.approx(1 + state.cdf(-40) + state.sf(40), rel=1e-6)


def test_a_fall_on_one_side_hides_none_on_the_other():
    """To the left the density falls by e^-1e36: summed from there, a fall to the right by 1e4 was
    rounded away, and panels went on to where nobody's functions are finite."""

    def variance(x):
        return 1 / (1 + np.exp(-5 * x))

    whole, cut = (
        end_state(Diffusion(lambda x: -x, variance, domain))
        for domain in ((-np.inf, np.inf), (-4.0, 30.0))
    )
    assert whole.anatomy.pieces[0].sampling.upper < 1e3
    assert abs(whole.mean() - cut.mean()) <= whole.mean_error + cut.mean_error < 1e-12


@pytest.mark.parametrize("domain", [(-np.inf, np.inf), (-30, 25)])
def test_many_datapoints_end_where_doubles_show_no_noise_and_the_drift_leads_in(domain):
    """60 bumps and a penalty: too many for hundreds of digits, and refused for that."""
    x = np.random.default_rng(3).normal(size=(60, 1))

    def losses(w):
        return -np.exp(-((w - x) ** 2) / 0.18) + 0.02 * w**2

    near = end_state(Landscape(losses=losses, learning_rate=0.1, domain=(-6, 6)))
    landscape = Landscape(losses=losses, learning_rate=0.1, domain=domain)
    state = end_state(landscape)
    assert abs(state.mean() - near.mean()) <= state.mean_error + near.mean_error < 1e-12
    assert any("too small for a double" in note for note in state.notes)
    assert end_state(landscape, initial=-20.0).mean() == state.mean()
    for ask in (
        lambda: mean_first_passage_time(landscape, -20.0, 0.0),
        lambda: mean_first_passage_time(landscape, 0.0, 20.0),
        lambda: first_passage(landscape, "normal:-20,1", 0.0),
        lambda: evolve(landscape, -20.0, [10.0]),
        lambda: evolve(landscape, "normal:-20,1", [10.0]),
    ):
        with pytest.raises(LandscapeError, match=r"lies outside .* comes in for good"):
            ask()


def test_nothing_is_cut_where_it_may_hold_something():
    """At a wall that absorbs; and beyond a jump of the noise, where 2e-5 of all lie next to it."""

    def variance(x):  # in doubles alone
        return np.where(np.abs(np.asarray(x, float)) < 3, 1.0, 1e-300)

    x = np.random.default_rng(3).normal(size=(60, 1))
    absorbing = Landscape(
        losses=lambda w: -np.exp(-((w - x) ** 2) / 0.18) + 0.02 * w**2,
        learning_rate=0.1,
        domain=(-30, 25),
        boundaries=("reflecting", "absorbing"),
    )
    jump = Diffusion(lambda x: -np.asarray(x, float), variance, domain=(-9, 9))
    for process in (absorbing, jump):
        with pytest.raises(LandscapeError, match="the variance vanishes"):
            end_state(process, initial=0.0)


def endless(strength):
    """Two waves in a bowl: the deviations of the gradients vanish once in pi, for ever."""
    return Landscape(
        losses=lambda w: (np.cos(w) + strength * w * w, np.cos(w + 1) + strength * w * w),
        learning_rate=0.1,
    )


def test_zeros_that_all_pass_inwards_end_the_line_where_the_bowl_wins():
    """On (-6, 6) it is the same process; beyond 25 the gradient of the bowl is the steeper."""
    landscape = endless(1 / 50)
    whole = end_state(landscape, initial=3.0)
    diffusion = landscape.diffusion()
    cut = end_state(Diffusion(diffusion.drift, diffusion.variance, (-6, 6)), initial=3.0)
    held, same = ([c for c in s.components if c.weight] for s in (whole, cut))
    assert held[0].interval == pytest.approx(same[0].interval, abs=1e-9)
    x = np.linspace(1.2, 4.1, 30)
    assert np.abs(whole.logpdf(x) - cut.logpdf(x)).max() <= whole.error + cut.error
    assert any("comes in for good" in note for note in whole.notes)
    far, near = (end_state(landscape, initial=w) for w in (100.0, 23.0))
    assert [c.weight for c in far.components] == [c.weight for c in near.components]
    with pytest.raises(LandscapeError, match="some of the start lies outside"):
        end_state(landscape, initial="normal:0,100")


def test_zeros_that_go_on_for_ever_are_refused_within_seconds(calls):
    with pytest.raises(LandscapeError, match="vanishes again and again"), calls:
        end_state(endless(1 / 5000))
    assert calls.count < 3_000_000


@pytest.mark.parametrize("domain", [(-1e4, 1e4), (-1e5, 1.3e5), (-75.0, 3e4)])
def test_walls_far_from_where_anything_is_left_cost_no_digits(domain):
    """Thousands of waves, of which the drift turns on a few hundred: panels for all of them ran
    out, and the domain was said to hold no equilibrium."""

    def losses(w):
        return np.cos(3 * w) + w**2 / 320, np.cos(3 * w) + w**2 / 320 + w

    near = (max(domain[0], -600.0), 400.0)
    wide, narrow = (
        end_state(Landscape(losses=losses, learning_rate=0.1, domain=d)) for d in (domain, near)
    )
    assert wide.status is narrow.status is Status.CONVERGED
    assert abs(wide.mean() - narrow.mean()) <= wide.mean_error + narrow.mean_error < 1e-9
    ends = [[(b.lower, b.upper) for b in basins_of(state)] for state in (wide, narrow)]
    assert len(ends[0]) == len(ends[1])
    assert (ends[0][0][0], ends[0][-1][1]) == domain
    np.testing.assert_allclose(np.ravel(ends[0])[1:-1], np.ravel(ends[1])[1:-1], atol=1e-9)


INF = math.inf


@pytest.mark.parametrize(
    ("unit", "shift", "domain"),
    [
        (1, 0, (-300, 300)),
        (-1, 0, (-1e5, 1e5)),
        (1e-8, 0, (-50, INF)),
        (1e8, 0, (-INF, INF)),
        (1, 2000, (-1e6, INF)),
    ],
)
def test_wells_that_flatten_out_are_found_in_domains_of_any_width(unit, shift, domain, calls):
    """Scans of the domain in even steps passed by the wells and by the gate between them, and
    panels ran out for half a minute on slopes that fall as e^(-w^2): 5 million calls and more."""

    def losses(w):
        w = (w - shift) / unit
        wide = -1.3 * np.exp(-(((w - 1) / 0.8) ** 2))
        narrow = np.exp(-900 * (w - 0.4) ** 2)
        return wide, wide - 0.7 * narrow, wide - 0.2 * narrow

    ends = sorted(shift + unit * end for end in domain)
    rate = 0.02 * unit**2
    with calls if unit == 1 else nullcontext():  # to count takes as long again
        state = end_state(Landscape(losses=losses, learning_rate=rate, domain=ends))
    assert unit != 1 or calls.count < 2_000_000
    assert state.status is Status.CONVERGED
    assert state.mean() == pytest.approx(shift + unit, rel=1e-15)
    assert state.std() == pytest.approx(abs(unit) * 3.065779941748685e-140, rel=1e-13)
    (gate,) = state.anatomy.points
    assert gate.position == pytest.approx(shift + 0.4 * unit, rel=1e-15)
    with calls:
        assert state.cdf(shift + 1.4 * unit) == (1 if unit > 0 else 0)
    assert unit < 0 or calls.count < 50_000  # e^-1e279 is left over: P shows nothing of it


def test_means_of_slopes_that_are_not_felt_move_no_mass(monkeypatch):
    """Taken wherever they may be, not where panels are many: a mean that spans more e-folds than
    there are digits left Phi above its start by rounding, and a mass of e^-6128 was e^-6118."""

    def losses(w):
        wide, narrow = np.exp(-(((w + 0.834) / 0.95) ** 2)), np.exp(-(((w - 1.216) / 0.3) ** 2))
        depths = ((0.5, 0.13), (0.2, 0.66), (0.47, 0.16), (1.39, 0.34))
        return tuple(-a * wide - b * narrow for a, b in depths)

    x = np.concatenate([np.linspace(-8, 8, 65), np.linspace(-0.84, -0.82, 21)])
    found = []
    for least in (256, 1):
        monkeypatch.setattr(sampled, "MANY", least)
        monkeypatch.setattr(sampled, "FEW", min(16, least))
        state = end_state(Landscape(losses=losses, learning_rate=0.1, domain=(-20, math.inf)))
        (component,) = state.components
        masses = [(b.log_mass, b.mass_error, b.log_exit_time) for b in basins_of(state)]
        found.append((masses, state.logpdf(x), component.errors_at(x).astype(float)))
    (masses, logs, errors), (others, coarse, lost) = found
    for one, other in zip(masses, others, strict=True):
        assert abs(one[0] - other[0]) <= one[1] + other[1]
        assert one[2] == pytest.approx(other[2], rel=1e-12)
    assert (np.abs(logs - coarse) <= errors + lost).all()


def test_what_is_not_known_of_a_wall_is_no_error_of_arithmetic():
    """At the wall 2 f / a is e^2300: logarithms of masses are beyond 2^1024."""

    def losses(w):
        wells = np.exp(-(((w + 2.8) / 0.3) ** 2)) + np.exp(-(((w - 1.9) / 0.2) ** 2))
        bump = np.exp(-(((w + 1.4) / 1.25) ** 2))
        return 0.2 * bump - 0.5 * wells, 0.1 * bump - 0.5 * wells

    state = end_state(Landscape(losses=losses, learning_rate=0.3, domain=(-60, 60)), initial=-2)
    assert state.status is not Status.CONVERGED
    wall, well = basins_of(state)
    assert math.isinf(wall.mass_error)
    assert math.isinf(well.mass_error)
    assert math.isinf(state.mean_error)


def test_where_equal_gradients_leave_rounding_far_out_nothing_is_sampled():
    """Cubic gradients far out differ by less than they are rounded: from 1e18 on not at all."""
    c, unit = np.linspace(-1, 1, 60)[:, None], 50.0
    quartic = Landscape(
        lambda w: ((w / unit - c) ** 4 / 8 - (w / unit - c) ** 2 / 2) * unit**2, learning_rate=0.3
    )
    state = end_state(quartic)
    assert state.std() / unit == pytest.approx(0.9185193244996266, rel=1e-13)  # in any unit
    assert abs(state.mean()) < 1e-12


@pytest.mark.parametrize("digits", [None, 50])
def test_small_shares_within_what_was_sampled_ask_for_no_more(digits):
    """Beyond is next to nothing; two more octaves were sampled, half the time in many digits."""
    asked = []

    def drift(x):
        asked.append(x)
        return -x

    state = end_state(Diffusion(drift, 1.0, (-INF, INF)), digits=digits)
    asked.clear()
    exact = math.erfc(6) / 2
    assert state.sf(6) == pytest.approx(exact, rel=1e-13)
    assert state.cdf(-6) == pytest.approx(exact, rel=1e-13)
    assert state.isf(exact) == pytest.approx(6, rel=1e-14)
    assert not asked
    for x in (*np.linspace(100, 130, 31), 127.99, 200):  # next to the last panel, and far out: more
        # By its asymptotic series, as doubles hold no such share.
        z = 1 - 1 / (2 * x**2) * (1 - 3 / (2 * x**2) * (1 - 5 / (2 * x**2)))
        exact = -(x**2) + math.log(z / (2 * x * math.sqrt(math.pi)))
        assert state.logsf(x) == pytest.approx(exact, rel=1e-14, abs=1e-10)
    assert asked
