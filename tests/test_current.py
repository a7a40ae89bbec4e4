"""Rings: periodic domains, and the current that flows around them."""

from __future__ import annotations

import math
import re
from functools import cache

import mpmath
import numpy as np
import pytest

from stationary import (
    Diffusion,
    Landscape,
    LandscapeError,
    analyze,
    basins_of,
    end_state,
    exact_chain,
    hitting_probability,
    mean_first_passage_time,
    regularisation_path,
    simulate,
)

TURN = 2 * math.pi
C = {"ito": 0.0, "stratonovich": 0.5, "klimontovich": 1.0}


def washboard(force, noise, height=1.0, **changes):
    """f = F - A sin x with constant variance."""
    settings = {"domain": (0, TURN), "boundaries": "periodic"} | changes
    return Diffusion(drift=lambda x: force - height * np.sin(x), variance=noise, **settings)


def log_velocity(force, noise, height=1.0):
    """v = D sinh(pi F / D) / (pi |I_{i F / D}(A / D)|^2), D = a / 2: Stratonovich; Risken, 11.3."""
    with mpmath.workdps(60):
        d = mpmath.mpf(noise) / 2
        bessel = mpmath.besseli(1j * mpmath.mpf(force) / d, height / d)
        v = d * mpmath.sinh(mpmath.pi * force / d) / mpmath.pi / abs(bessel) ** 2
        return float(mpmath.log(v))


def wavy(convention="ito", tilt=0.7, **changes):
    """h = 2 f / a = tilt + 2 cos x - sin 2x and a = exp(0.8 sin(x + 1)) / 2."""

    def variance(x):
        return np.exp(0.8 * np.sin(x + 1)) / 2

    def drift(x):
        return variance(x) / 2 * (tilt + 2 * np.cos(x) - np.sin(2 * x))

    settings = {"domain": (0, TURN), "boundaries": "periodic"} | changes
    return Diffusion(drift=drift, variance=variance, convention=convention, **settings)


@cache
def exact_wavy(convention, tilt):
    """J, and P at a few points, to 25 digits: int_0^L dz by Gauss, over x by the trapezoidal rule.

    After the substitution y = x + z the integrand is periodic in x, where that rule is spectral.
    """
    c = C[convention]
    with mpmath.workdps(30):
        tilt = mpmath.mpf(tilt)
        turn = 2 * mpmath.pi

        def log_a(x):
            return mpmath.mpf(8) / 10 * mpmath.sin(x + 1) - mpmath.log(2)

        def phi(x):
            return 2 * mpmath.sin(x) + mpmath.cos(2 * x) / 2

        def q(x, z):
            return mpmath.exp(-c * log_a(x + z) + phi(x) - phi(x + z) - tilt * z)

        # Gauss's nodes to 30 digits, by Newton's method from those in doubles.
        exact = []
        for node in np.polynomial.legendre.leggauss(60)[0]:
            t = mpmath.mpf(float(node))
            for _ in range(3):
                p, before = mpmath.legendre(60, t), mpmath.legendre(59, t)
                slope = 60 * (before - t * p) / (1 - t * t)
                t -= p / slope
            exact.append((t, 2 / ((1 - t * t) * slope**2)))

        def big_q(x):
            return turn / 2 * sum(w * q(x, turn * (1 + t) / 2) for t, w in exact)

        grid = [turn * k / 72 for k in range(72)]
        density = [mpmath.exp((c - 1) * log_a(x)) * big_q(x) for x in grid]
        norm = sum(density) * turn / 72
        current = (1 - mpmath.exp(-tilt * turn)) / 2 / norm
        some = range(0, 72, 9)
        return (
            float(current),
            [float(grid[i]) for i in some],
            [float(density[i] / norm) for i in some],
        )


# -- closed forms -------------------------------------------------------------------------------


@pytest.mark.parametrize("force", [3.0, -0.2])
def test_a_constant_drift_spreads_evenly_and_carries_f_over_l(force):
    state = end_state(Diffusion(drift=force, variance=0.5, domain=(1, 3), boundaries="periodic"))
    assert state.kind == "flux"
    assert abs(state.current - force / 2) <= state.current_error
    assert state.mean_velocity == pytest.approx(force, rel=1e-14)
    assert state.pdf(np.linspace(1, 3, 50)) == pytest.approx(0.5, rel=1e-14)
    assert state.modes == ()
    assert state.mean() == pytest.approx(2, rel=1e-14)


@pytest.mark.parametrize(
    ("force", "noise"), [(0.5, 1.0), (0.5, 0.1), (0.9, 0.01), (2, 0.01), (0.02, 0.3), (30, 50)]
)
def test_the_tilted_washboard_moves_as_stratonovich_says(force, noise):
    state = end_state(washboard(force, noise))
    error = abs(state.log_abs_current + math.log(TURN) - log_velocity(force, noise))
    assert error < state.flow.log_error < 1e-12
    assert state.status.name == "CONVERGED"


@pytest.mark.parametrize("convention", C)
def test_in_a_deep_well_the_density_is_what_it_is_without_a_current(convention):
    """log P = Phi - (1 - c) log a there: the barrier of 800 holds the current back."""

    def variance(x):
        return np.exp(0.8 * np.sin(x + 1)) / 2

    def drift(x):
        return variance(x) / 2 * (0.7 + 400 * np.cos(x))

    x = np.linspace(0.3, 2.9, 14)
    ring = {"domain": (0, TURN), "boundaries": "periodic", "convention": convention}
    state = end_state(Diffusion(drift, variance, **ring))
    assert state.kind == "flux"
    exact = 0.7 * x + 400 * np.sin(x) - (1 - C[convention]) * 0.8 * np.sin(x + 1)
    assert np.ptp(state.logpdf(x) - exact) < 2e-12


def test_barriers_of_a_thousand_leave_a_current_known_as_a_logarithm():
    """F = 0.5, a = 0.001: the barrier is 1370, and J = 10^-596 is no double."""
    state = end_state(washboard(0.5, 0.001))
    assert state.kind == "flux"
    assert state.current == 0
    error = abs(state.log_abs_current + math.log(TURN) - log_velocity(0.5, 0.001))
    assert error < state.flow.log_error < 1e-11
    assert "10^-595" in str(analyze(washboard(0.5, 0.001)))


@pytest.mark.parametrize("noise", [1e-3, 1e-5, 1e-9])
def test_a_tilt_beyond_all_exponentials_gives_the_deterministic_velocity(noise):
    """v = sqrt(F^2 - 1) up to O(a^2); the exponent falls by up to 2e10 around the ring."""
    state = end_state(washboard(2, noise))
    assert state.mean_velocity == pytest.approx(math.sqrt(3), rel=noise**2 + 1e-12)
    assert state.status.name == "CONVERGED"
    x = np.linspace(0, 6, 50)
    assert state.pdf(x) * (2 - np.sin(x)) / state.current == pytest.approx(1, rel=noise)


def test_noise_of_1e_minus_5_against_kramers():
    """v -> sqrt(1 - F^2) e^-B with B = (4 / a) (sqrt(1 - F^2) - F arccos F), up to O(a)."""
    noise, force = 1e-5, 0.5
    state = end_state(washboard(force, noise))
    root = math.sqrt(1 - force**2)
    kramers = math.log(root) - 4 / noise * (root - force * math.acos(force))
    assert state.log_abs_current + math.log(TURN) == pytest.approx(kramers, abs=noise)
    # The density is that of the well: a Gaussian of variance a / (2 cos x).
    assert state.std() == pytest.approx(math.sqrt(noise / 2 / root), rel=2e-5)


@pytest.mark.parametrize("convention", list(C))
@pytest.mark.parametrize("tilt", [0.7, -0.05])
def test_noise_that_depends_on_the_state_against_many_digits(convention, tilt):
    state = end_state(wavy(convention, tilt))
    current, x, density = exact_wavy(convention, tilt)
    assert abs(state.current - current) <= state.current_error < 1e-12 * abs(current)
    assert np.abs(state.pdf(x) / density - 1).max() < state.error < 1e-12


def test_a_tiny_tilt_gives_a_proportional_current():
    """J = Phi / (2 int e^phi / a int e^-phi) to first order: here Phi / (2 (2 pi I_0(2))^2 / a)."""
    force, noise = 1e-10, 1.0
    state = end_state(washboard(force, noise))
    linear = 2 * force * TURN / noise / 2 * noise / (TURN * float(mpmath.besseli(0, 2))) ** 2
    assert abs(state.current - linear) < state.current_error < 1e-5 * linear


def test_without_a_tilt_no_current_flows_and_that_is_said():
    state = end_state(washboard(0.0, 0.5))
    assert state.kind == "density"
    assert (state.current, state.log_abs_current) == (0, -math.inf)
    assert 0 < state.current_error < 1e-15
    assert any("no current flows" in note for note in state.notes)
    x = np.linspace(0, TURN, 50)
    exact = np.exp(4 * np.cos(x)) / (TURN * float(mpmath.besseli(0, 4)))
    assert np.abs(state.pdf(x) / exact - 1).max() < state.error < 1e-12


# -- laws that hold for any ring ----------------------------------------------------------------


@pytest.mark.parametrize("convention", list(C))
def test_the_mirror_image_carries_the_opposite_current(convention):
    ring = wavy(convention)
    mirror = Diffusion(
        drift=lambda x: -ring.drift(-x),
        variance=lambda x: ring.variance(-x),
        domain=(-TURN, 0),
        boundaries="periodic",
        convention=convention,
    )
    state, mirrored = end_state(ring), end_state(mirror)
    assert mirrored.current == pytest.approx(-state.current, rel=1e-13)
    x = np.linspace(0.1, 6, 40)
    assert mirrored.pdf(-x) == pytest.approx(state.pdf(x), rel=1e-13)


@pytest.mark.parametrize("force", [0.5, 1.5, -0.9])
@pytest.mark.parametrize("shift", [1.0, 2.5, -40.0])
def test_where_the_ring_is_cut_open_changes_nothing(force, shift):
    one = end_state(washboard(force, 0.1))
    other = end_state(washboard(force, 0.1, domain=(shift, shift + TURN)))
    assert other.log_abs_current == pytest.approx(one.log_abs_current, abs=1e-12)
    x = np.linspace(shift, shift + TURN, 33)[1:-1]
    assert other.pdf(x) == pytest.approx(one.pdf(x % TURN), rel=1e-12)


@pytest.mark.parametrize("convention", list(C))
@pytest.mark.parametrize("tilt", [3.0, 0.2, -50.0])
def test_drift_less_spread_is_the_same_current_everywhere(convention, tilt):
    """J = f P - a^c (a^(1-c) P)' / 2, by central differences of sixth order."""
    ring, c = wavy(convention, tilt), C[convention]
    state = end_state(ring)
    step = 0.01
    x = np.linspace(0.1, TURN - 0.1, 60)

    def u(x):
        return ring.variance(x) ** (1 - c) * state.pdf(x)

    weights = {1: 45, 2: -9, 3: 1}
    slope = sum(w * (u(x + k * step) - u(x - k * step)) for k, w in weights.items()) / 60 / step
    current = ring.drift(x) * state.pdf(x) - ring.variance(x) ** c * slope / 2
    scale = np.abs(ring.drift(x) * state.pdf(x)).max()
    assert np.abs(current - state.current).max() < 1e-8 * scale


@pytest.mark.parametrize("convention", list(C))
@pytest.mark.parametrize("tilt", [0.0, 0.4, 20.0, -3.0, 3000.0])
def test_the_density_is_continuous_across_the_seam(convention, tilt):
    state = end_state(wavy(convention, tilt))
    assert state.logpdf(0.0) == pytest.approx(state.logpdf(TURN), abs=1e-13 * (1 + abs(tilt)))
    near = np.array([1e-7, TURN - 1e-7])
    slope = np.diff(state.logpdf(near))[0]
    assert abs(slope) < 1e-5


def test_jumps_of_the_drift_are_resolved():
    """A sawtooth: f = 1 + s on one half and 1 - s on the other; u is known on each."""
    s, a = 3.0, 1.0
    ring = Diffusion(
        drift=lambda x: 1 + s * np.where(x < 1, 1.0, -1.0),
        variance=a,
        domain=(0, 2),
        boundaries="periodic",
    )
    state = end_state(ring)
    # P = J / f + A e^(2 f x / a) on both halves: match at 0 and 1, and normalise.
    f, g = 1 + s, 1 - s
    k, m = math.exp(2 * f / a), math.exp(2 * g / a)
    unknowns = np.linalg.solve(
        [
            [1 / f - 1 / g, k, -1],
            [1 / f - 1 / g, 1, -m],
            [1 / f + 1 / g, (k - 1) * a / 2 / f, (m - 1) * a / 2 / g],
        ],
        [0, 0, 1],
    )
    assert state.current == pytest.approx(unknowns[0], rel=1e-12)
    assert abs(state.current - unknowns[0]) < state.current_error + 1e-14
    assert any("jumps there" in note for note in state.notes)


def test_a_long_narrow_barrier_on_a_ring_is_seen():
    ring = Diffusion(
        drift=lambda x: 1 - 40 * (x - 3) * np.exp(-(((x - 3) / 0.05) ** 2) / 2),
        variance=0.02,
        domain=(0, TURN),
        boundaries="periodic",
    )
    state = end_state(ring)
    inside = state.logpdf(np.array([2.5, 3.0, 3.5]))
    assert np.isfinite(inside).all()
    mean_drift = state.expect(lambda x: ring.drift(x))
    assert mean_drift == pytest.approx(state.mean_velocity, rel=1e-10)  # <f> = J L for c = 0


# -- basins, first passage, reports -------------------------------------------------------------


def test_a_basin_across_the_seam_is_one():
    """Two wells of the same shape; one minimum is just above the seam, one border far below."""
    ring = washboard(0.0, 0.5, domain=(0.2, 0.2 + TURN))
    two = Diffusion(
        drift=lambda x: 0.2 - np.sin(2 * x), variance=0.5, domain=(0, TURN), boundaries="periodic"
    )
    (only,) = basins_of(end_state(ring))
    assert only.position == pytest.approx(TURN, rel=1e-15)
    assert (only.lower, only.upper) == pytest.approx((math.pi, 3 * math.pi), rel=1e-15)
    first, second = basins_of(end_state(two))
    assert first.lower < 0 < first.position < first.upper <= second.lower < second.position
    assert (first.mass, second.mass) == pytest.approx((0.5, 0.5), rel=1e-13)
    assert first.barrier_left == pytest.approx(second.barrier_left, rel=1e-12)
    assert first.barrier_right == pytest.approx(second.barrier_right, rel=1e-12)
    one, other = analyze(two).exits
    assert one.log_time == pytest.approx(other.log_time, abs=1e-12)


def test_equilibria_at_the_seam_are_found():
    """-sin x vanishes exactly where the ring (0, 2 pi) is cut."""
    analysis = analyze(washboard(0.1, 0.5, domain=(math.asin(0.1), math.asin(0.1) + TURN)))
    stable = [e for e in analysis.equilibria if e.stable]
    assert len(analysis.equilibria) == 2
    assert len(stable) == 1
    (basin,) = analysis.basins
    assert basin.mass == pytest.approx(1, rel=1e-14)
    assert basin.lower < basin.position < basin.upper


@pytest.mark.parametrize("force", [0.5, -0.5, 3.0])
def test_the_mode_is_where_drift_and_current_balance(force):
    """For constant noise P' = 0 where f P = J."""
    ring = washboard(force, 0.3)
    state = end_state(ring)
    (mode,) = state.modes
    balance = ring.drift(mode.position) - state.current / math.exp(mode.log_density)
    assert abs(balance) < 1e-14 * (1 + abs(force))


@pytest.mark.parametrize("sign", [1, -1])
def test_a_drift_that_jumps_at_the_seam_makes_an_equilibrium_of_it(sign):
    ring = Diffusion(
        drift=lambda x: sign * (0.5 - x), variance=0.1, domain=(0, 1), boundaries="periodic"
    )
    analysis = analyze(ring)
    assert [(e.position, e.stable) for e in analysis.equilibria] == [(0, sign < 0), (0.5, sign > 0)]
    (basin,) = analysis.basins
    assert (basin.lower, basin.upper) == ((0, 1) if sign > 0 else (-0.5, 0.5))
    assert basin.mass == pytest.approx(1, rel=1e-14)
    assert basin.barrier_left == pytest.approx(2.5, rel=1e-14)
    assert basin.barrier_right == pytest.approx(2.5, rel=1e-14)
    ratio = analysis.end_state.pdf(0.2) / analysis.end_state.pdf(0.0)
    assert ratio == pytest.approx(math.exp(sign * 10 * (0.5**2 - 0.3**2)), rel=1e-13)


def test_positions_of_equilibria_are_known_whatever_lies_around():
    """The search for where the drift has the right sign used to run past the next equilibrium."""
    ring = Diffusion(
        drift=lambda x: 0.5 - 2 * np.sin(2 * x),
        variance=0.5,
        domain=(1, 1 + TURN),
        boundaries="periodic",
    )
    assert max(e.error for e in end_state(ring).anatomy.equilibria) < 1e-13


def test_a_target_on_a_ring_is_reached_either_way():
    """Constant drift: from x the process leaves (b - L, b) at the nearest of two images of b."""
    v, d = 1.0, 0.25
    ring = Diffusion(drift=v, diffusivity=d, domain=(0, 1), boundaries="periodic")
    ahead = (1 - math.exp(-v * 0.5 / d)) / (1 - math.exp(-v / d))
    assert mean_first_passage_time(ring, 0.3, 0.8) == pytest.approx((ahead - 0.5) / v, rel=1e-12)
    assert hitting_probability(ring, 0.3, (0.8,)) == pytest.approx((1,), rel=1e-14)
    # To 0.2 (0.1 back) or to 0.8 (0.5 on), 0.6 apart.
    up = (1 - math.exp(-v * 0.1 / d)) / (1 - math.exp(-v * 0.6 / d))
    back, on = hitting_probability(ring, 0.3, (0.2, 0.8))
    assert (back, on) == pytest.approx((1 - up, up), rel=1e-13)
    # From 0.9 the next target upwards is 0.2, across the seam.
    up = (1 - math.exp(-v * 0.1 / d)) / (1 - math.exp(-v * 0.4 / d))
    assert hitting_probability(ring, 0.9, (0.2, 0.8)) == pytest.approx((up, 1 - up), rel=1e-13)


@pytest.mark.parametrize("turned", [0.0, 0.4])
def test_steps_that_lead_nowhere_round_a_ring_are_told_wherever_it_is_cut(turned):
    """With the only maximum at the cut it was a traceback, and SGD's "chain agrees" that it goes
    round once in 10^8000 steps. Gradients: sin w + 0.05, and +-0.3 cos w or +-0.4."""

    def gradients(w):
        w = w - turned
        tilt = 0.05 + np.sin(w)
        return tilt + 0.3 * np.cos(w), tilt - 0.3 * np.cos(w), tilt + 0.4, tilt - 0.4

    def slopes(rate):
        domain = (math.asin(0.05) - math.pi, math.asin(0.05) + math.pi)
        given = {"domain": domain, "boundaries": "periodic"}
        return Landscape(gradients=gradients, learning_rate=rate, **given)

    analysis = analyze(slopes(0.01))
    (basin,) = analysis.basins
    assert basin.upper - basin.lower == pytest.approx(TURN)
    (minimum,) = analysis.steps.minima
    low, high = minimum.held
    assert -math.pi < low < turned < high < math.pi
    text = " ".join(str(analysis).split())
    assert "In the limit of small steps it goes round downwards" in text
    assert f"SGD with this step never goes round: from {low:.4g} to {high:.4g} no" in text
    assert "never goes round: from" in str(analyze(slopes(0.2)))  # where it is wider than that
    assert "never goes round" not in str(analyze(slopes(4.0)))


def test_a_ring_that_is_cut_within_one_of_two_closed_classes_is_to_be_cut_elsewhere():
    """The class at both ends was said to be left for good, where half of the walkers stay."""

    def losses(w):
        well = -0.5 * np.cos(2 * w)
        other = 0.3 * np.cos(w)
        return well + 0.2 * np.sin(w), well - 0.3 * np.sin(w) + other, well - 0.5 * np.cos(w)

    def cut(lower, upper):
        ends = {"domain": (lower, upper), "boundaries": "periodic"}
        return Landscape(losses=losses, learning_rate=0.1, **ends)

    with pytest.raises(LandscapeError, match=r"cut within .* never leaves, and there are") as wrong:
        exact_chain(cut(-math.pi, math.pi))
    assert "The ring is cut within" in analyze(cut(-math.pi, math.pi)).sgd.reason
    lower, upper = re.search(r"domain = \((\S+), (\S+)\)", str(wrong.value)).groups()
    chain = exact_chain(cut(float(lower), float(upper)), f"uniform:{lower},{upper}")
    assert chain.closed == 2
    found = simulate(
        cut(-math.pi, math.pi), f"uniform:{-math.pi},{math.pi}", walkers=4000, steps=1,
        burn_in=4000, seed=3, intervals=[(-1.5, 1.5)],
    )  # fmt: skip
    share = chain.probability(-1.5, 1.5)
    assert 0.4 < share < 0.6
    assert abs(found.probabilities[0] - share) < 4 * found.probability_errors[0]


def test_the_report_and_the_json_tell_the_current():
    analysis = analyze(washboard(-0.5, 0.5))
    text = str(analysis)
    assert "goes round downwards" in text
    assert "Periodic: the ends x = 0 and x = 6.28319 are joined." in text
    assert "mean velocity" in text
    current = analysis.to_dict()["current"]
    assert current["value"] == analysis.end_state.current < 0
    assert current["mean_velocity"] == analysis.end_state.mean_velocity
    assert analysis.to_dict()["kind"] == "flux"
    walled = analyze(Diffusion(drift=0.0, variance=1.0, domain=(0, 1)))
    assert walled.to_dict()["current"] is None
    assert walled.end_state.current == walled.end_state.mean_velocity == 0
    assert max(len(line) for line in text.splitlines()) <= 80


def test_the_figure_says_the_current_and_shades_across_the_seam():
    axes = analyze(washboard(0.5, 0.25)).plot(panels="density").axes[0]
    assert axes.get_title(loc="left") == "current 0.0005352, mean velocity 0.003363"
    assert len(axes.collections) == 2  # one basin in two places
    assert end_state(washboard(0, 1)).plot().axes[0].get_title(loc="left") == "no current"


def test_sgd_on_a_circle_may_go_round_although_every_loss_is_periodic():
    """The noise is stronger on one slope than on the other: int G / S2 once around is not zero.

    In the Ito form int (a P)' = 0, so that the mean drift is J times the period.
    """
    landscape = Landscape(
        losses=lambda w: (-2 * np.cos(w), -np.cos(w - 1), -np.cos(2 * w - 2.5)),
        learning_rate=3.0,
        domain=(0, TURN),
        boundaries="periodic",
        name="angles",
    )
    analysis = analyze(landscape)
    state = analysis.end_state
    assert state.kind == "flux"
    assert abs(state.current) > 1e-6
    mean_drift = state.expect(lambda w: -3.0 * landscape.moments(w)[0])
    assert mean_drift == pytest.approx(state.mean_velocity, rel=1e-9)
    assert "steps" in str(analysis).split("The model")[0]


# -- what cannot be -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"boundaries": ("periodic", "reflecting")}, "one end alone cannot be periodic"),
        ({"boundaries": (None, "periodic")}, "one end alone cannot be periodic"),
        ({"domain": (0, math.inf)}, "only finite ends can be joined"),
    ],
)
def test_boundaries_that_contradict_themselves_are_refused(changes, message):
    settings = {"domain": (0, 1), "boundaries": "periodic"} | changes
    with pytest.raises(LandscapeError, match=message):
        Diffusion(drift=1.0, variance=1.0, **settings)


@pytest.mark.parametrize(
    "variance", [lambda x: np.sin(x) ** 2, lambda x: np.sin(x - 1) ** 2, lambda x: x]
)
def test_a_ring_needs_noise_everywhere(variance):
    ring = Diffusion(
        drift=lambda x: 1 + 0 * x, variance=variance, domain=(0, TURN), boundaries="periodic"
    )
    with pytest.raises(LandscapeError, match="positive variance everywhere on the ring"):
        end_state(ring)


def test_many_digits_are_refused_on_a_ring():
    ring = washboard(0.5, 0.5)
    for ask in (
        lambda: end_state(ring, digits=30),
        lambda: mean_first_passage_time(ring, 1, 2, digits=30),
    ):
        with pytest.raises(LandscapeError, match=r"solved in doubles only\. Leave digits out"):
            ask()


def test_a_regularisation_path_is_refused_on_a_ring():
    with pytest.raises(LandscapeError, match=r"noise everywhere.*--regularise 1e-6"):
        regularisation_path(washboard(0.5, 0.5))


# -- with the rest of the house -----------------------------------------------------------------


@pytest.mark.parametrize(("force", "noise"), [(0.5, 0.4), (-0.2, 1e-3)])
def test_noise_added_to_a_ring_is_the_same_as_noise_given(force, noise):
    added = end_state(washboard(force, noise / 4), regularise=3 * noise / 4)
    given = end_state(washboard(force, noise))
    assert added.diffusion.is_periodic
    assert added.log_abs_current == pytest.approx(given.log_abs_current, rel=1e-13)
    assert "(a + " in added.diffusion.stated_equation


@pytest.mark.parametrize("shift", [0.0, 1.0])
def test_noise_added_mends_a_ring_on_which_it_vanished(shift):
    """a = sin^2 x + eps, f = 1: by the mean of f / a a current flows, zero at the seam or not.

    Then u' = 2 (u - J) / a with u = a P for Ito, so that <f> = 1 = J L.
    """
    ring = Diffusion(
        drift=1.0,
        variance=lambda x: np.sin(x - shift) ** 2,
        domain=(0, TURN),
        boundaries="periodic",
    )
    state = end_state(ring, regularise=1e-4)
    assert state.kind == "flux"
    assert state.diffusion.boundaries == ring.boundaries
    assert state.mean_velocity == pytest.approx(1, rel=1e-10)
    assert abs(state.mean_velocity - 1) <= TURN * state.current_error


def test_where_it_starts_does_not_matter_on_a_ring():
    ring = washboard(0.5, 0.5)
    state, started = end_state(ring), end_state(ring, initial=1.0)
    assert started.current == state.current
    assert started.transient == state.transient == ()
    assert state.classes.probabilities(np.array([0.0, 2.0, TURN])).tolist() == [[1.0, 1.0, 1.0]]
    with pytest.raises(LandscapeError, match="outside"):
        end_state(ring, initial=7.0)


def test_losses_that_jump_on_a_ring_are_told():
    landscape = Landscape(
        losses=lambda w: (np.cos(w) + 0.15 * (w > 1), np.sin(w), np.sin(2 * w)),
        learning_rate=0.3,
        domain=(0, TURN),
        boundaries="periodic",
    )
    assert any("the mean loss jumps by 0.05" in note for note in end_state(landscape).notes)


def test_a_narrow_peak_at_the_seam_is_one_stem():
    """Half of it lies at either end of the domain."""
    from stationary.show.view import View

    state = end_state(washboard(0.0, 1e-9))
    (part,) = View(state).parts
    assert part.peak.position == pytest.approx(0, abs=1e-12)
    curve = analyze(washboard(0.0, 1e-9)).plot().axes[-1].lines[0]
    left, right = curve.get_ydata()[[100, -101]]
    assert curve.get_xdata()[100] < 0 < curve.get_xdata()[-101]
    assert left == pytest.approx(right, rel=1e-3)


@pytest.mark.parametrize("noise", [0.25, 1e-9])
def test_a_ring_is_drawn_and_exported(noise, tmp_path):
    analysis = analyze(washboard(0.5, noise))
    data = analysis.to_dict()
    assert data["singular_points"] == []
    assert [(c["kind"], c["interval"]) for c in data["classes"]] == [("density", [0, TURN])]
    assert [end["class"] for end in data["ends"]] == ["joined", "joined"]
    assert "Closed classes" not in str(analysis)
    assert len(analysis.to_csv().splitlines()) > 900
    analysis.plot(tmp_path / "ring.png", log=noise > 0.1)


def bloch(f, a, c, k=1e-3, modes=24):
    """What e^(i k x) times a periodic function decays by, over k^2: D for small k."""
    n = np.arange(-modes, modes + 1)
    x = TURN * np.arange(4 * modes) / (4 * modes)
    rise = np.fft.ifft(1j * np.fft.fftfreq(len(x), 1 / len(x)) * np.fft.fft(a(x))).real
    of_f, of_a = (np.fft.fft(g)[n[:, None] - n] / len(x) for g in (f(x) + c / 2 * rise, a(x)))

    def slowest(k):
        d = 1j * (n + k)[:, None]
        return np.linalg.eigvals(-d * of_f + d**2 * of_a / 2).real.max()

    return -(slowest(k) + slowest(-k)) / 2 / k**2


@pytest.mark.parametrize("force", [0.0, 1.0, 3.0])
@pytest.mark.parametrize("convention", C)
def test_what_goes_around_spreads_as_its_bloch_waves_decay(force, convention):
    def f(x):
        return force - np.sin(x)

    def a(x):
        return 0.5 + 0.3 * np.cos(x + 1)

    settings = {"domain": (0, TURN), "boundaries": "periodic", "convention": convention}
    found = analyze(Diffusion(f, a, **settings)).effective_diffusion
    assert found.value == pytest.approx(bloch(f, a, C[convention]), rel=1e-4)
    assert found.error < 1e-12


@pytest.mark.parametrize("noise", [2.0, 0.02, 2e-4])
def test_without_a_tilt_what_spreads_climbs_barriers(noise):
    """Lifson and Jackson: D / I_0(1 / D)^2, D = a / 2, far below what doubles hold, too."""
    found = analyze(washboard(0.0, noise)).effective_diffusion
    with mpmath.workdps(30):
        exact = mpmath.log(noise / 2) - 2 * mpmath.log(mpmath.besseli(0, 2 / mpmath.mpf(noise)))
        assert abs(found.log - exact) < found.error < 1e-10
    with pytest.raises(LandscapeError, match="only on a periodic domain"):
        analyze(Diffusion(lambda x: -x, 1, (-3, 3))).effective_diffusion  # noqa: B018


@pytest.mark.parametrize("cut", [0.0, 1.0, -2.5])
def test_the_deviation_on_a_ring_does_not_depend_on_where_it_is_cut(cut):
    """f = -b sin(x - 1), a = 1: von Mises with kappa = 2 b, R = I1 / I0."""
    from scipy.special import i0, i1

    process = Diffusion(
        drift=lambda x: -2 * np.sin(x - 1),
        variance=1.0,
        domain=(cut, cut + 2 * np.pi),
        boundaries="periodic",
    )
    deviation = np.sqrt(-2 * np.log(i1(4) / i0(4)))
    assert f"(circular standard deviation {deviation:.4g})" in " ".join(
        str(analyze(process)).split()
    )


def test_the_deviation_on_a_ring_is_that_of_a_skew_law_too():
    """With a tilt the mean direction is not the minimum of the drift."""
    process = Diffusion(
        drift=lambda x: 0.5 - np.sin(x), variance=lambda x: 0.6 + 0.3 * np.cos(x - 1),
        domain=(0, 2 * np.pi), boundaries="periodic",
    )  # fmt: skip
    found = analyze(process)
    x = 2 * np.pi * np.arange(512) / 512
    r = abs(np.mean(found.end_state.pdf(x) * np.exp(1j * x))) * 2 * np.pi
    assert f"(circular standard deviation {np.sqrt(-2 * np.log(r)):.4g})" in " ".join(
        str(found).split()
    )
