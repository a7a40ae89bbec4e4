"""Cases that a less careful sampling, mesh or tail gets wrong while it claims to be right."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats
from scipy.special import digamma

from stationary import (
    ConvergenceError,
    Diffusion,
    Landscape,
    LandscapeError,
    analyze,
    basins_of,
    end_state,
)
from stationary.weight import focus

INF = np.inf


def solve(drift, variance, domain, **settings):
    return end_state(Diffusion(drift=drift, variance=variance, domain=domain, **settings))


def test_a_second_well_far_behind_a_high_barrier_is_found():
    """Wells at 0 and 1e6 with a barrier of 1e7 between them, on the whole line."""
    state = solve(lambda x: -160 * (x / 1e6) * (1 - x / 1e6) * (1 - 2 * x / 1e6), 1.0, (-INF, INF))
    left, right = basins_of(state)
    assert left.mass == pytest.approx(0.5, abs=2 * state.error)
    assert state.mean() == pytest.approx(5e5, abs=1e6 * state.error)
    assert right.position == pytest.approx(1e6, rel=1e-12)


def test_noise_that_oscillates_for_ever_invents_no_minima():
    """The double well on the whole line: far out sin(x) is beyond every panel."""
    state = solve(lambda x: x - x**3, lambda x: 0.25 * (1 + 0.5 * np.sin(x)) ** 2, (-INF, INF))
    assert [e.position for e in state.anatomy.equilibria] == pytest.approx([-1, 0, 1], abs=1e-14)
    assert basins_of(state)[0].mass == pytest.approx(0.95848178900583416, rel=1e-9)


@pytest.mark.parametrize("s", [2, 4, 6, 10])
def test_lognormal_tails_count_in_the_moments(s):
    """f = x (s^2 - log x), a = 2 s^2 x^2: log x is normal with mean 0 and deviation s."""
    state = solve(lambda x: x * (s * s - np.log(x)), lambda x: 2 * s * s * x * x, (0, INF))
    assert state.mean() == pytest.approx(math.exp(s * s / 2), rel=1e-13)
    assert abs(state.mean() / math.exp(s * s / 2) - 1) < state.mean_error / state.mean() + 1e-15
    assert state.median() == pytest.approx(1, rel=1e-12)


@pytest.mark.parametrize("mean", [1e3, 1e6])
def test_the_mean_far_from_zero_is_known_to_its_rounding(mean):
    state = solve(lambda x: -(x - mean), 2e-6, (-INF, INF))
    assert abs(state.mean() - mean) <= state.mean_error
    assert state.mean_error < 4 * np.spacing(mean) + 1e-15
    assert state.std() == pytest.approx(1e-3, rel=1e-6)
    assert abs(state.std() - 1e-3) <= state.std_error


def test_units_of_a_trillionth_cost_nothing():
    state = solve(lambda x: -(x - 1e-12), 2e-28, (-INF, INF))
    assert state.error < 1e-12
    assert len(state.components[0].mesh.lower) < 200
    assert state.ppf(1e-300) == pytest.approx(1e-12 + 1e-14 * stats.norm.ppf(1e-300), rel=1e-10)


@pytest.mark.parametrize(
    ("drift", "variance", "domain", "convention", "kind"),
    [
        (lambda x: np.exp(x) / 4, np.exp, (0, INF), "ito", "density"),  # P = exp(-x / 2)
        (lambda x: -np.exp(-x) / 4, lambda x: np.exp(-x), (0, INF), "ito", "none"),
        (0.0, lambda x: np.exp(-1 / x), (0, 1), "klimontovich", "density"),  # uniform
        (0.0, lambda x: np.exp(-1 / x), (0, 1), "ito", "atoms"),  # a martingale: it tends to 0
        (lambda x: np.exp(-1 / x) / (4 * x * x), lambda x: np.exp(-1 / x), (0, 1), "ito", "none"),
    ],
)
def test_exponential_variances_are_decided_by_the_density(
    drift, variance, domain, convention, kind
):
    assert solve(drift, variance, domain, convention=convention).kind == kind


def test_expectations_in_a_power_tail():
    """E log(1 + x^2) = psi((nu + 1) / 2) - psi(nu / 2) for P ~ (1 + x^2)^-((nu + 1) / 2)."""
    nu = 0.1
    state = solve(lambda x: -(nu - 1) / 2 * x, lambda x: 1 + x * x, (-INF, INF))
    exact = digamma((nu + 1) / 2) - digamma(nu / 2)
    assert state.expect(lambda x: np.log1p(x * x)) == pytest.approx(exact, rel=1e-12)
    assert state.expect(lambda x: np.abs(x) ** 0.2) == INF
    with pytest.raises(ConvergenceError) as error:
        state.expect(np.cos)  # oscillates in a tail that holds a third of everything
    assert abs(error.value.state) < 1


def test_expectations_that_cannot_be_had_are_refused():
    uniform = solve(0.0, 1.0, (0, 1))
    assert uniform.expect(lambda x: x**-0.5) == pytest.approx(2, rel=1e-8)
    with pytest.raises(ConvergenceError, match="jumps or oscillates"):
        uniform.expect(lambda x: 1 / x)
    normal = solve(lambda x: -x, 2.0, (-INF, INF))
    assert normal.expect(np.sign) == pytest.approx(0, abs=1e-15)
    assert normal.expect(lambda x: x > 8) == pytest.approx(stats.norm.sf(8), rel=1e-10)


def test_probability_across_two_power_tails():
    nu = 0.05
    state = solve(lambda x: -(nu - 1) * x, lambda x: 2 * (nu + x * x), (-INF, INF))
    t = stats.t(nu)
    assert state.probability(-1e25, 1e26) == pytest.approx(t.cdf(1e26) - t.cdf(-1e25), rel=1e-10)


@pytest.mark.parametrize("c", np.random.default_rng(0).uniform(-2, 2, 12))
def test_a_variance_that_vanishes_anywhere_is_located(c):
    for process in (
        Diffusion(drift=lambda x: -x, variance=lambda x: ((x - c) * 0.3) ** 2, domain=(-3, 3)),
        Landscape(
            gradients=lambda w: (2 * w + (w - c), 2 * w - (w - c)),
            learning_rate=0.1,
            domain=(-3, 3),
        ),
    ):
        (point,) = end_state(process).anatomy.points
        assert point.position == c
        assert point.role == ("gate to the left" if c > 0 else "gate to the right")


def test_no_noise_anywhere_is_said_as_such():
    with pytest.raises(LandscapeError, match="zero everywhere"):
        end_state(Landscape(losses=lambda w: ((w - 1) ** 2, (w - 1) ** 2 + 3), learning_rate=0.1))


@pytest.mark.parametrize(
    ("drift", "root"),
    [
        (lambda x: -((x - 0.3) ** 3), 0.3),
        (lambda x: -(x**3 - 3 * x**2 + 3 * x - 1), 1.0),
        (lambda x: -((x - 0.3) ** 7), 0.3),
        (lambda x: -np.sign(x - 0.3) * np.sqrt(np.abs(x - 0.3)), 0.3),
        (lambda x: -np.cbrt(x - 0.3), 0.3),
        (lambda x: -(x - 0.3), 0.3),
    ],
)
def test_the_error_of_an_equilibrium_is_true(drift, root):
    (equilibrium,) = solve(drift, 1.0, (-3, 3)).anatomy.equilibria
    assert abs(equilibrium.position - root) <= equilibrium.error
    assert equilibrium.stable


def test_tails_that_overflow_are_tails_all_the_same():
    state = solve(lambda x: -np.sinh(x), 1.0, (-INF, INF))
    x = np.linspace(-2, 2, 9)
    exact = -2 * (np.cosh(x) - 1)
    np.testing.assert_allclose(state.logpdf(x) - state.logpdf(0.0), exact, rtol=1e-12)
    assert state.logpdf(1e300) == -INF


def test_the_mode_of_a_normal_is_its_mean_although_panels_there_are_tiny():
    (mode,) = solve(lambda x: -x, 2.0, (-INF, INF)).modes
    assert abs(mode.position) < 1e-15


def test_nothing_at_infinity_is_called_a_minimum():
    """Student's t with 0.3 degrees of freedom by noise alone: the drift points outwards."""
    state = solve(lambda x: 0.7 * x, lambda x: 2 * (0.3 + x * x), (-INF, INF))
    assert basins_of(state) == ()
    assert state.modes[0].position == pytest.approx(0, abs=1e-12)


def test_a_peak_that_no_digits_resolve_is_told(monkeypatch):
    """On a floor of e^-1e30, which takes half a minute, an array of as many edges was asked for."""
    monkeypatch.setattr(focus, "MOST_STEPS", -10)
    process = Diffusion(lambda x: -x, lambda x: 1e-9 + 0 * x, (-1, 1))
    with pytest.raises(LandscapeError, match=r"x = 0 the density is narrower than any digits"):
        end_state(process, digits=30)


def test_a_tail_beyond_turns_that_are_neighbouring_doubles_is_not_that_of_another_panel():
    """At corners of hinges: half-way between the two was the second, and all beyond nan or 0.5."""
    rng = np.random.default_rng(3)
    z = rng.normal(size=rng.integers(3, 30))
    rate = float(rng.choice([0.03, 0.1]))

    def slopes(w):  # in doubles, so that the corners are not known beforehand
        w = np.asarray(w, dtype=float)
        return [np.where(v * w < 1, -v, 0) + 0.04 * w for v in z]

    state = end_state(
        Landscape(
            gradients=slopes,
            learning_rate=rate,
            domain=(-4, 8),
            batch_size=2,
        )
    )
    turns = state.components[0].density.turns
    assert (np.diff(turns) <= np.spacing(np.abs(turns[1:]))).any()
    around = [1 / z + d for d in (-1e-9, 0, 1e-9)]
    w = np.sort(np.concatenate([np.linspace(-4, 8, 301), *around]))
    w = w[(w > -4) & (w < 8)]
    below, above = state.logcdf(w), state.logsf(w)
    assert (np.diff(below) >= 0).all()
    assert (np.diff(above) <= 0).all()
    np.testing.assert_allclose(np.exp(below) + np.exp(above), 1, rtol=1e-12)


CENTRES = np.array([0.35, -0.9, 0.8])[:, None]


@pytest.mark.parametrize(
    "losses",
    [
        lambda w: np.abs(w - CENTRES),
        lambda w: [np.abs(w - c) for (c,) in CENTRES],
        lambda w: np.where(w > CENTRES, w - CENTRES, CENTRES - w),
        lambda w: np.maximum(0, 1 - np.sign(CENTRES) * w),
        lambda w: np.abs(w - CENTRES) + w**2 / 3,
    ],
)
@pytest.mark.parametrize("by", [10.0, 3.0])
def test_straight_losses_are_the_same_in_other_units_of_the_loss(losses, by):
    """Gradients +-1 / 10 have a mean that is 0.1 but for rounding: the noise was tiny, not zero,
    and the mean 0.5988 +- 2e-16, or nan."""

    def scaled(w):
        values = losses(w)
        return [v / by for v in values] if isinstance(values, list) else values / by

    whole = end_state(Landscape(losses, learning_rate=0.1 / by, domain=(-5, 5)))
    state = end_state(Landscape(scaled, learning_rate=0.1, domain=(-5, 5)))
    assert state.status.name == "CONVERGED"
    assert state.mean() == pytest.approx(whole.mean(), abs=1e-12)
    assert state.std() == pytest.approx(whole.std(), rel=1e-10)


def test_absolute_values_have_no_noise_beyond_the_outer_corners():
    """|w - 1|, |w + 1| and |w| agree beyond +-1; inside 2 f / a = -+ 3 / (4 T)."""
    landscape = Landscape(
        losses=lambda w: (np.abs(w - 1), np.abs(w + 1), np.abs(w)), learning_rate=0.1,
        domain=(-3, 3),
    )  # fmt: skip
    state = end_state(landscape)
    exact = math.log(7.5 / 2 / -math.expm1(-7.5))
    assert state.logpdf(0.0) == pytest.approx(exact, abs=1e-9)
    assert state.components[0].interval == pytest.approx((-1, 1), abs=1e-14)


@pytest.mark.parametrize(
    ("floor", "mean"), [(0.1, 0.04826813871994528581), (1e-4, 0.04990310416257215912)]
)
def test_a_cusp_on_a_floor_takes_more_digits_where_they_help(floor, mean):
    """From a double to the next the noise rises by 7e-8 and more: panels of doubles ran out."""
    state = end_state(Diffusion(lambda x: -x, lambda x: floor + np.abs(x - 0.3) ** 0.5, (-1, 1)))
    assert state.status.name == "CONVERGED"
    assert abs(state.mean() - mean) < 1e-16  # quadrature in sqrt(|x - 0.3|), 18 digits
    assert state.error < 1e-12


def double_well(s, counted=lambda: None):
    def drift(x):
        counted()
        return -(x**3 - x) + 0.1 * np.exp(-x)

    return Diffusion(drift, lambda x: 0.25 * (1 + 0.5 * np.sin(x)) ** 2 / s, (-3, 3))


@pytest.mark.parametrize("s", [1e10, 1e12, 1e15])
def test_the_root_of_the_drift_is_known_to_doubles_however_little_noise_there_is(s):
    """Next to its root x^3 - x is rounding; more digits at the same points leave doubles in use."""
    state, exact = end_state(double_well(s)), end_state(double_well(s), digits=25)
    assert not any("digits were used" in note for note in state.notes)
    assert state.error < 1e-10
    x = float(exact.mean()) + float(exact.std()) * np.array([-5.5, -3, -1, 0, 0.5, 2, 5.5])
    off = np.abs(state.logpdf(x) - [float(exact.logpdf(at)) for at in x])
    assert off.max() <= state.error
    assert abs(state.std() - float(exact.std())) <= min(state.std_error, 1e-10 * state.std())


@pytest.mark.parametrize("s", [1.0, 5e4])
def test_a_small_job_calls_the_drift_a_few_times(s):
    """Calls are what a small job costs: one grid is shared by all that look at the line."""
    calls = []
    state = end_state(double_well(s, lambda: calls.append(1)))
    state.logpdf(np.linspace(-3, 3, 200))
    basins_of(state)
    assert len(calls) <= 12


def test_of_endless_equilibria_only_those_that_are_told_apart_are_listed():
    found = end_state(Diffusion(drift=np.sin, variance=0.5)).anatomy.equilibria
    x = np.array([e.position for e in found])
    assert len(x) > 100
    assert (np.abs(x / np.pi - np.rint(x / np.pi)) < 1e-10).all()
    assert max(e.error for e in found) < 1e-6


@pytest.mark.parametrize(
    ("drift", "slope"),
    [
        (lambda x: -x * np.abs(x) ** 0.3, 0.0),
        (lambda x: -(x - 0.3) * np.abs(x - 0.3) ** 0.5, 0.0),
        (lambda x: -np.sign(x) * np.sqrt(np.abs(x)), None),
        (lambda x: (4 - x) * np.abs(x - 4) ** 0.3 * (x + 1) * (x - 3.9) / (1 + x * x), 0.0),
        (lambda x: -1e-9 * x - x**3, -1e-9),
        (lambda x: 1 - np.exp(x), -1.0),
        (lambda x: np.exp(-x) - 1, -1.0),
        (lambda x: 1.14 * x - 2.17 * (np.exp(x) - np.exp(-x)) / 2, -1.03),
    ],
)
def test_slopes_of_powers_and_of_what_is_rounded_next_to_zero_are_true(drift, slope):
    """1 - exp(x) is 0 on a stretch of doubles; what |x|^0.3 is next to 0 is no slope."""
    zero = solve(drift, 0.2, (-INF, INF)).equilibria[-1]
    assert zero.interval is None
    assert (zero.slope is None) is (slope is None)
    if slope is not None:
        assert abs(zero.slope - slope) <= zero.slope_error + 1e-15 * abs(slope)
        assert zero.slope_error < 1e-3
        assert slope or zero.slope == 0


def test_a_drift_that_is_small_against_its_noise_far_out_has_no_zero_there():
    """2 f / a falls below all rounding of its panel: a zero at 412 made an exit time of 10^114."""
    k, c = np.array([[-0.51], [0.43]]), np.array([[0.08], [0.01]])
    found = analyze(Landscape(lambda w: np.exp(k * w) + np.exp(c - k * w), learning_rate=0.8))
    assert len(found.end_state.equilibria) == 1
    assert found.basins[0].exit_time is None


def test_a_corner_at_zero_is_halved_no_further_than_slopes_are_doubles():
    """Distances count from a gate elsewhere, and no panel ends at 0, where doubles are dense."""
    rows = [(-1.05, 3.43), (2.35, -0.99), (0.13, 1.87)]
    given = {
        "losses": lambda w: [(np.maximum(w * b, 0) - a) ** 2 / 2 + 0.24 * w * w for b, a in rows],
        "learning_rate": 0.078,
        "batch_size": 2,
    }
    state = end_state(Landscape(**given))
    narrow = end_state(Landscape(**given, domain=(-3, 3), breakpoints=[0.0]))
    assert state.error < 1e-12
    assert state.mean() == pytest.approx(narrow.mean(), abs=1e-13)
    assert state.entropy() == pytest.approx(narrow.entropy(), abs=1e-12)


def test_two_breakpoints_a_rounding_apart_are_one():
    """A kink that is given, and one that is found next to it: nothing lies in between."""
    kink = 0.7318

    def mean(*breakpoints):
        return end_state(Diffusion(
            drift=lambda x: np.where(x > kink, -1.0, 0.9 - x), domain=(-3, 3),
            variance=lambda x: 1 + 0.5 * (x > kink), breakpoints=breakpoints,
        )).mean()  # fmt: skip

    assert mean(kink, np.nextafter(kink, 1)) == pytest.approx(mean(kink), abs=1e-13)


def test_a_jump_between_two_minima_of_a_line_without_ends_parts_them():
    """The drift jumps at -0.7, which no breakpoint names; each basin was said to hold all."""

    def gradients(w):
        return w + 0.7, w + 0.05, np.where(w > -0.7, w, -w)

    analysis = analyze(Landscape(gradients=gradients, learning_rate=0.05, batch_size=2))
    assert [e.stable for e in analysis.end_state.equilibria] == [True, False, True]
    assert abs(analysis.end_state.equilibria[1].position + 0.7) < 1e-14
    assert sum(b.mass for b in analysis.basins) == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("eps", [1e-18, 1e-22, 1e-60])
def test_what_a_jump_of_the_noise_gathers_between_two_doubles_is_there(eps):
    """The drift leads to a place from both sides, with next to no noise on one: each side holds
    1 / (2 |f|), whatever its noise. Panels of doubles saw nothing on the other, at no error."""
    at = 2.3278035706561457
    state = end_state(
        Diffusion(
            lambda x: np.where(x < at, 2.0, -1.0),
            lambda x: np.where(x < at, 1e-3, eps),
            domain=(0, 5),
            breakpoints=(at,),
        )
    )
    assert state.sf(at) == pytest.approx(2 / 3, abs=2 * state.error)
    assert state.mean() == pytest.approx(at - 1e-3 / 12, abs=1e-15 + 2 * state.mean_error)
