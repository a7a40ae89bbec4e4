"""Hitting probabilities and mean first-passage times against closed forms."""

from __future__ import annotations

import math

import mpmath
import numpy as np
import pytest

from stationary import (
    Diffusion,
    LandscapeError,
    analyze,
    end_state,
    first_passage,
    hitting_probability,
    log_hitting_probability,
    log_mean_first_passage_time,
    mean_first_passage_time,
    table,
)

INF = np.inf
DIGITS = mpmath.MPContext()
DIGITS.dps = 40
mpf = DIGITS.mpf


def brownian(drift=0.0, domain=(-INF, INF)):
    return Diffusion(drift=drift, variance=1.0, domain=domain)


def test_brownian_motion_between_two_points():
    """From x in (a, b): (x - a) / (b - a) to reach b first, after (x - a) (b - x) on average."""
    assert hitting_probability(brownian(), 2, (1, 4)) == pytest.approx((2 / 3, 1 / 3), rel=1e-14)
    assert mean_first_passage_time(brownian(), 2, (1, 4)) == pytest.approx(2, rel=1e-13)


def test_brownian_motion_returns_surely_but_takes_for_ever():
    assert hitting_probability(brownian(), 0, [1]) == (1.0,)
    assert mean_first_passage_time(brownian(), 0, 1) == INF
    assert log_mean_first_passage_time(brownian(), 0, 1) == INF


def test_a_wall_behind_makes_the_mean_finite():
    """Reflected at 0: x to b takes b^2 - x^2. At 5: from 3 down to 1, 2 (5 - 1) 2 - 2^2."""
    walled = brownian(domain=(0, 5))
    assert mean_first_passage_time(walled, 1, 3) == pytest.approx(8, rel=1e-13)
    assert mean_first_passage_time(walled, 3, 1) == pytest.approx(12, rel=1e-13)


def test_a_constant_drift():
    """With it, distance / drift; against it, exp(-2 mu distance) and infinite in the mean."""
    process = brownian(0.5)
    assert mean_first_passage_time(process, 0, 1) == pytest.approx(2, rel=1e-13)
    assert hitting_probability(process, 0, [-1])[0] == pytest.approx(math.exp(-1), rel=1e-14)
    assert mean_first_passage_time(process, 0, -1) == INF


@pytest.mark.parametrize(("start", "target"), [(0.0, 3.0), (-5.0, 30.0), (-1.0, 0.5)])
def test_ornstein_uhlenbeck_passage_and_its_error(start, target):
    """int exp(y^2 / 2) sqrt(2 pi) Phi(y) dy, which reaches e^447: an erfi and a 2F2."""

    def primitive(y):
        u = DIGITS.mpf(y) ** 2 / 2
        odd = DIGITS.pi / 2 * DIGITS.erfi(y / DIGITS.sqrt(2))
        return odd + u * DIGITS.hyp2f2(1, 1, DIGITS.mpf(3) / 2, 2, u)

    exact = DIGITS.log(primitive(target) - primitive(start))
    process = Diffusion(drift=lambda x: -x, variance=2.0, domain=(-INF, INF))
    mean = first_passage(process, start, target).mean
    assert abs(mean.log - float(exact)) <= mean.error + 2e-16 * abs(float(exact))
    assert mean.error < 1e-12 * max(1, abs(float(exact)))
    mirrored = first_passage(process, -start, -target).mean
    assert mirrored.log == pytest.approx(mean.log, rel=1e-13)


@pytest.mark.parametrize("strength", [-1000, -10, -1e-3, 1e-9, 1, 50, 1000])
def test_fixation_without_mutation_follows_kimura(strength):
    """f = S x (1 - x) / 2, a = x (1 - x): (1 - exp(-S x)) / (1 - exp(-S)) for S = 2 N s."""
    process = Diffusion(
        drift=lambda x: strength * x * (1 - x) / 2, variance=lambda x: x * (1 - x), domain=(0, 1)
    )
    s, x = mpf(strength), mpf("0.3")
    exact = DIGITS.log((1 - DIGITS.exp(-s * x)) / (1 - DIGITS.exp(-s)))
    lost, fixed = log_hitting_probability(process, 0.3, (0, 1))
    assert fixed == pytest.approx(float(exact), rel=1e-13, abs=1e-30)
    assert math.exp(lost) + math.exp(fixed) == pytest.approx(1, rel=1e-14)


def test_a_bessel_process_enters_from_zero_and_never_returns():
    """In three dimensions: 0 is an entrance; from 2 it reaches 1 with probability 1 / 2."""
    process = Diffusion(drift=lambda x: 1 / x, variance=1.0, domain=(0, INF))
    assert hitting_probability(process, 2, [1])[0] == pytest.approx(0.5, rel=1e-13)
    assert hitting_probability(process, 2, [0, 5]) == pytest.approx((0, 1), abs=1e-15)
    assert mean_first_passage_time(process, 1, 2) == pytest.approx(1, rel=1e-12)
    assert mean_first_passage_time(process, 1e-300, 2) == pytest.approx(4 / 3, rel=1e-12)


def test_geometric_brownian_motion_may_never_arrive():
    """f = 0.1 x, a = x^2: from 1, 2 is reached with probability 2^(2 0.1 - 1)."""
    process = Diffusion(drift=lambda x: 0.1 * x, variance=lambda x: x * x, domain=(0, INF))
    assert hitting_probability(process, 1, [2])[0] == pytest.approx(2**-0.8, rel=1e-13)
    assert mean_first_passage_time(process, 1, 2) == INF


@pytest.mark.parametrize("convention", ["ito", "stratonovich", "klimontovich"])
def test_the_convention_changes_the_drift_of_geometric_noise(convention):
    """In x = e^y: a unit Brownian motion with drift mu - 1/2 + c, as a' = 2 x adds c x to f."""
    c = {"ito": 0, "stratonovich": 0.5, "klimontovich": 1}[convention]
    process = Diffusion(
        drift=lambda x: 0.75 * x,
        variance=lambda x: x * x,
        domain=(0, INF),
        convention=convention,
    )
    speed = 0.75 - 0.5 + c
    low, high = math.log(3), math.log(7)  # distances in y
    # With drift v, reaching +high before -low: (1 - e^(-2 v low)) / (1 - e^(-2 v (low + high))).
    up = math.expm1(-2 * speed * low) / math.expm1(-2 * speed * (low + high))
    assert hitting_probability(process, 1, (1 / 3, 7))[1] == pytest.approx(up, rel=1e-12)
    time = (up * high - (1 - up) * low) / speed
    assert mean_first_passage_time(process, 1, (1 / 3, 7)) == pytest.approx(time, rel=1e-12)


def test_kramers_time_of_a_deep_well_as_a_logarithm():
    """exp(2 dV / a) 2 pi / sqrt(V''(min) |V''(top)|) / 2 for half of the barrier's passages."""
    noise = 2e-5
    process = Diffusion(drift=lambda x: x - x**3, variance=noise, domain=(-3, 3))
    log_time = log_mean_first_passage_time(process, -1, 0)
    kramers = 2 * 0.25 / noise + math.log(math.pi / math.sqrt(2))
    assert log_time == pytest.approx(kramers, abs=1e-4)
    assert mean_first_passage_time(process, -1, 0) == INF  # beyond doubles


def test_the_report_gives_every_basin_its_exit_time(two_wells):
    analysis = analyze(two_wells())
    for basin, passage in zip(analysis.basins, analysis.exits, strict=True):
        border = basin.upper if basin.upper < 3 else basin.lower
        direct = log_mean_first_passage_time(two_wells(), basin.position, border)
        assert passage.log_time == pytest.approx(direct, abs=1e-11)
    assert "exit time" in analysis.summary()
    assert analysis.to_dict()["basins"][0]["log_exit_time"] > 0


def test_an_inner_basin_is_left_on_either_side():
    """In a symmetric well between two equal barriers, twice as soon as over one of them."""
    process = Diffusion(
        drift=lambda x: -2 * np.pi * np.sin(2 * np.pi * x), variance=1.0, domain=(-1.5, 1.5)
    )
    analysis = analyze(process)
    middle = analysis.exits[1]
    half = log_mean_first_passage_time(process.restricted(0, 1.5), 0, 0.5)
    assert middle.log_time == pytest.approx(half, abs=1e-12)


def test_points_outside_the_domain_are_refused():
    with pytest.raises(LandscapeError, match="target = 9 lies outside the domain"):
        mean_first_passage_time(brownian(domain=(0, 5)), 1, 9)
    with pytest.raises(LandscapeError, match="start = -1 lies outside"):
        hitting_probability(brownian(domain=(0, 5)), -1, [3])
    with pytest.raises(LandscapeError, match="start = nan is no number"):
        first_passage(brownian(), math.nan, 3)
    with pytest.raises(LandscapeError, match="a Diffusion or a Landscape is needed"):
        hitting_probability(3, 1, [3])


def test_a_start_on_a_target_has_arrived():
    assert mean_first_passage_time(brownian(), 1, 1) == 0
    assert hitting_probability(brownian(), 1, (1, 4)) == (1.0, 0.0)


def test_a_point_that_is_approached_for_ever_takes_for_ever():
    """Geometric Brownian motion: log x has a drift, and never arrives."""
    for drift, noise in ((-1.0, 1.0), (-1.0, 0.1), (0.0, 1.0), (0.3, 1.0)):
        process = Diffusion(
            drift=lambda x, k=drift: k * x, variance=lambda x, a=noise: a * x * x, domain=(-1, 1)
        )
        assert mean_first_passage_time(process, 0.5, 0) == math.inf
        assert mean_first_passage_time(process, 0.5, (0, 0.8)) == math.inf


def test_times_add_across_a_gate():
    """f = 1 and a = 2 x^2: from -1 to the gate 1 - e^(1/3) int_0^1 e^(-1/u) du, then 1 to 1."""
    gate = Diffusion(drift=1, variance=lambda x: 2 * x * x, domain=(-3, 3))
    rest = 0.14849550677592204
    before = 1 - math.exp(1 / 3) * rest
    assert mean_first_passage_time(gate, -1, 0) == pytest.approx(before, rel=1e-9)
    assert mean_first_passage_time(gate, 0, 1) == pytest.approx(1, rel=1e-9)
    assert mean_first_passage_time(gate, -1, 1) == pytest.approx(before + 1, rel=1e-9)
    assert mean_first_passage_time(gate, 1, -1) == math.inf
    assert hitting_probability(gate, 1, (-1, 2)) == (0, 1)
    assert sum(hitting_probability(gate, -1, (-2, 1))) == pytest.approx(1, rel=1e-12)


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("start", [1e-20, 1e-12, 1e-6, 1e-3, 0.3])
def test_a_scale_density_that_settles_as_a_root_next_to_a_trap(start, sign):
    """f = +-x, a = x^1.5: s' = exp(-r), so s ~ 1 - (1 + r) exp(-r), with r = +-4 sqrt(x)."""

    def scale(x):
        root = 4 * sign * mpf(x) ** mpf("0.5")
        return 1 - (1 + root) * DIGITS.exp(-root)

    process = Diffusion(
        drift=lambda x: sign * x,
        variance=lambda x: x**1.5,
        domain=(0, 1),
        boundaries=(None, "absorbing"),
    )
    exact = float(scale(start) / scale(1))
    assert hitting_probability(process, start, (0, 1))[1] == pytest.approx(exact, rel=1e-10)
    state = end_state(process, start)
    ended = next(a.weight for a in state.atoms if a.position == 1)
    assert abs(ended / exact - 1) <= state.weight_error < 1e-9


def test_a_long_law_of_starts_is_named_once():
    out = first_passage(Diffusion(lambda x: -x, 1.0, (-4, 4)), "normal:0.5,0.1", [1, -1]).summary()
    assert out.count("normal with mean 0.5") == 1
    assert "  start  " in out


@pytest.mark.parametrize("c", [0.6, 1.0, 1.5])
def test_a_mean_is_finite_where_the_variance_is_not(c):
    """Bessel processes of a negative dimension: from x to y in (x^2 - y^2) / (2 c - 1)."""
    process = Diffusion(drift=lambda x: -c / x, variance=1.0, domain=(0.05, np.inf))
    found = first_passage(process, [0.5, 3.0], 0.1)
    exact = (np.array([0.5, 3.0]) ** 2 - 0.01) / (2 * c - 1)
    np.testing.assert_allclose(found.mean.value, exact, rtol=1e-12)
    np.testing.assert_allclose(found.conditional_mean.value[0], exact, rtol=1e-12)
    assert (np.abs(found.mean.value / exact - 1) <= found.mean.error).all()
    assert np.isinf(found.variance.value).all()


@pytest.mark.parametrize(
    ("cancels", "whole"),
    [
        (lambda x: 1 - np.cos(x), lambda x: 2 * np.sin(x / 2) ** 2),
        (lambda x: np.cosh(x) - 1, lambda x: 2 * np.sinh(x / 2) ** 2),
        (lambda x: x * x - 1.4 * x + 0.49, lambda x: (x - 0.7) ** 2),  # 5e-17 at least, by rounding
    ],
)
def test_parts_of_a_variance_that_cancel_where_the_way_leads_across(cancels, whole):
    """They were 1e9 times as long, or infinite, in doubles and in as few digits everywhere."""
    way = [
        first_passage(Diffusion(drift=lambda x: 1 - x, variance=a, domain=(-0.9, 2)), -0.8, 0.9)
        for a in (cancels, whole)
    ]
    assert way[0].mean.value == pytest.approx(way[1].mean.value, rel=1e-13)
    assert way[0].variance.value == pytest.approx(way[1].variance.value, rel=1e-13)
    assert way[0].mean.error < 1e-12


def test_a_mean_that_is_not_known_to_a_factor_is_no_number():
    """Nothing but `first_passage` says how far such a number is to be trusted."""
    w = np.linspace(-1, 1, 8)
    process = table({"x": w, "drift": 10 * np.sin(9 * w), "variance": 0.3 + 0 * w}).diffusion()
    assert first_passage(process, -0.6, 0.9).mean.error >= 1
    assert math.isnan(mean_first_passage_time(process, -0.6, 0.9))


def test_what_starts_at_a_natural_end_stays_there():
    motion = Diffusion(drift=lambda x: 0.1 * x, variance=lambda x: 0.04 * x * x, domain=(0, np.inf))
    logistic = Diffusion(
        drift=lambda x: 0.3 * x * (1 - x) * (1 - 2 * x),
        variance=lambda x: (x * (1 - x)) ** 2 * 0.1,
        domain=(0, 1),
    )
    for process, goal in ((motion, 1.0), (logistic, 0.5)):
        found = first_passage(process, [0.0, 0.2], goal)
        np.testing.assert_array_equal(found.probability.value, [[0, 1]])
        assert found.mean.value[0] == np.inf > found.mean.value[1]
        assert mean_first_passage_time(process, 0, goal) == np.inf
