"""Step-size indicators: what the size of a step says about the diffusion, at next to no cost."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from stationary import Diffusion, Landscape, LandscapeError, analyze, end_state, step_indicators
from stationary.wording import place_text

EXAMPLES = Path(__file__).parent.parent / "examples"


def test_the_pit_overshoots_and_its_gate_leaks():
    """T times the curvature at the pit is 4.88; one of two datapoints throws walkers back."""
    found = analyze(EXAMPLES / "pit.py").steps
    pit, wide = found.minima
    assert pit.curvature == pytest.approx(4.88, abs=0.01)
    assert wide.curvature == pytest.approx(0.1, rel=1e-9)  # T l'' = 0.05 * 2
    assert pit.largest > 9  # that of the one datapoint that sees the pit is twice the mean
    (gate,) = found.gates
    assert gate.position == 1
    assert 0.1 < gate.leak < 0.5
    assert "4.9: it cannot settle there" in found.line
    assert "the gate at w = 1 leaks" in found.line


def test_the_leak_of_a_gate_is_that_of_steps_drawn_beyond_it():
    analysis = analyze(EXAMPLES / "pit.py", learning_rate=0.02)
    (gate,) = analysis.steps.gates
    landscape = analysis.landscape
    rng = np.random.default_rng(0)
    mean = 0.02 * 2 * math.exp(-1)  # -T G at 1: the pit has no gradient there
    w = 1 + mean * rng.random(200_000)
    g = landscape.gradient(w)
    w = w - 0.02 * g[rng.integers(0, 2, w.shape), np.arange(len(w))]
    assert gate.leak == pytest.approx((w < 1).mean(), abs=5e-3)  # 256 points, 200,000 draws


def test_small_steps_are_said_to_be_small_in_few_words():
    landscape = Landscape(gradients=lambda w: (w - 1, w + 1), learning_rate=0.01, domain=(-4, 4))
    found = analyze(landscape).steps
    assert found.warnings == ()
    assert found.line == "small: T times the curvature is at most 0.01 (it settles below 2)."
    assert found.minima[0].noise == pytest.approx(0.01, rel=1e-9)  # T sqrt(D), S2 = 1
    assert found.minima[0].barrier is None


def test_small_steps_are_small_in_single_minibatches_too():
    """Of cubic gradients of 40 datapoints, 1.6 in one minibatch made the spread 1.4 times."""
    curvature, push = np.r_[7.0, np.ones(99)][:, None], np.tile([-1.0, 1.0], 50)[:, None]
    landscape = Landscape(
        gradients=lambda w: curvature * w + push, learning_rate=0.08, domain=(-4, 4)
    )
    line = analyze(landscape).steps.line
    assert line.startswith("T times the curvature is at most 0.085, up to 0.56 in single minib")


def test_noise_is_measured_against_the_way_to_the_barrier():
    """Minima at +-1, barrier at 0; T sqrt(D) = 0.1 * 0.5."""
    landscape = Landscape(
        gradients=lambda w: (w**3 - w + 0.5, w**3 - w - 0.5), learning_rate=0.1, domain=(-3, 3)
    )
    found = analyze(landscape).steps
    assert [m.barrier for m in found.minima] == pytest.approx([0.05, 0.05], rel=1e-9)
    assert place_text(2.6e-18, 1.0) == "0"  # a barrier there was "w = 2.602e-18"
    wild = analyze(landscape, learning_rate=0.9).steps
    assert "times the way from w = -1" in wild.line
    assert "T times the curvature at w = -1 is 1.8: it overshoots" in wild.line


def test_a_rest_point_that_the_chain_leaves_is_held_against_the_diffusion():
    """Factors 0.45 and -2.3 repel; in the diffusion -c - A / 2 attracts."""
    landscape = Landscape(
        gradients=lambda w: (1.0 * w, 6 * w / (1 + w * w)), learning_rate=0.55, domain=(-3, 3)
    )
    found = step_indicators(landscape, end_state(landscape, initial=1.0))
    (rest,) = found.rests
    assert rest.position == pytest.approx(0, abs=1e-12)
    assert rest.exponent == pytest.approx(0.5 * math.log(0.45 * 2.3), rel=1e-9)
    assert found.contradicted == (rest,)
    assert "repels SGD, against what the diffusion says" in found.line


def test_a_quadratic_minimum_on_the_whole_line_has_its_curvature_and_no_barrier():
    landscape = Landscape(
        losses=lambda w: ((w - 1) ** 2 / 2, (w + 1) ** 2 / 2), learning_rate=0.1,
        domain=(-math.inf, math.inf),
    )  # fmt: skip
    found = analyze(landscape).steps
    assert found.largest == pytest.approx(0.1, rel=1e-9)
    assert analyze(landscape, learning_rate=3.0).steps.line.endswith("3: it cannot settle there.")


def test_of_many_alike_four_are_named_and_the_rest_counted():
    """A wave in a bowl, with many minima at which SGD spreads wider than the diffusion."""

    def losses(w):
        return np.cos(3 * w) + w * w / 20, np.cos(3 * w) + w * w / 20 + w

    landscape = Landscape(losses=losses, learning_rate=0.1, domain=(-14, 14))
    found = analyze(landscape).steps
    spread = [w for w in found.warnings if "wider there" in w]
    alike = sum(m.wider is not None and m.wider > 1.1 for m in found.minima)
    assert len(spread) == 4
    assert f"likewise at {alike - 4} more places" in found.line


def test_a_gate_is_not_called_a_barrier():
    """Gradients 0.2 w + 0.5 and 1.8 w - 0.5 agree at 0.625, left of which the drift leads down."""
    landscape = Landscape(
        losses=lambda w: (0.1 * w**2 + 0.5 * w, 0.9 * w**2 - 0.5 * w), learning_rate=0.9,
        domain=(-math.inf, math.inf),
    )  # fmt: skip
    found = analyze(landscape).steps
    (minimum,) = found.minima
    assert minimum.barrier == pytest.approx(0.9 * 0.5 / 0.625, rel=1e-9)
    assert "times the way from w = 0 to the gate at w = 0.625" in found.line


@pytest.mark.parametrize("rate", [0.2, 0.5, 0.8])
def test_how_much_wider_sgd_spreads_is_exact_for_quadratic_losses(rate):
    """Curvatures 1/2 and 3/2 about +-1, noise that depends on w: moments of both are recursions."""
    landscape = Landscape(
        losses=lambda w: (0.25 * (w - 1) ** 2, 0.75 * (w + 1 / 3) ** 2), learning_rate=rate,
        domain=(-60, 60),
    )  # fmt: skip
    (minimum,) = analyze(landscape).steps.minima
    var_of_slope, noise = 0.25, 0.25  # of l'' and of the gradients -1/2, 1/2 at the minimum 0
    chain = rate**2 * noise / (2 * rate - rate**2 - rate**2 * var_of_slope)
    diffusion = rate**2 * noise / (2 * rate - rate**2 * var_of_slope)
    assert minimum.wider == pytest.approx(math.sqrt(chain / diffusion), rel=1e-9)
    if rate == 0.5:
        assert "is 0.5: SGD spreads about 17 % wider there" in analyze(landscape).steps.line


def test_a_minimum_that_holds_what_comes_is_judged_by_its_exponent():
    """Factors 0.7 and 0.4 at a shared minimum."""
    landscape = Landscape(
        losses=lambda w: ((w - 1) ** 2 / 2, (w - 1) ** 2), learning_rate=0.3, domain=(-3, 3)
    )
    found = analyze(landscape).steps
    assert found.line == "SGD comes to rest at w = 1 (log distance changes by -0.636 per step)."
    assert found.minima[0].curvature == pytest.approx(0.45, rel=1e-9)


def test_a_step_from_a_corner_is_held_against_the_width_of_the_peak():
    """Slopes +-1 and +-2: f = -+ 3/2 T, a = T^2 / 4, so P ~ exp(-12 |w| / T), mean step 1.58 T."""
    landscape = Landscape(
        losses=lambda w: (np.abs(w), 2 * np.abs(w)), learning_rate=0.1, domain=(-3, 3)
    )
    (corner,) = analyze(landscape).steps.minima
    assert corner.curvature is None
    assert corner.length == pytest.approx(0.1 * math.sqrt(2.5), rel=1e-6)
    width = 0.1 / 6 / math.sqrt(2 * math.pi)  # mass over density, over sqrt(2 pi)
    assert corner.widths == pytest.approx(corner.length / width, rel=1e-6)


def test_two_basins_that_are_each_closed_are_not_said_to_be_left_by_the_diffusion():
    """A rest point of both datapoints at 0 parts the line: neither process crosses it."""
    landscape = Landscape(
        gradients=lambda w: (w**3 - w + 0.3 * w, w**3 - w - 0.3 * w), learning_rate=0.05,
        domain=(-2, 2), initial="uniform:-1,1",
    )  # fmt: skip
    assert "cannot leave" not in analyze(landscape).steps.line


def test_a_diffusion_has_no_steps_to_judge():
    process = Diffusion(drift=lambda x: -x, variance=1.0, domain=(-5, 5))
    with pytest.raises(LandscapeError, match="step_indicators takes a Landscape"):
        step_indicators(process, end_state(process))
    assert analyze(process).steps is None


def test_positions_far_from_zero_are_told_apart_in_words():
    def losses(w):
        v = w - 1000003.0
        return [(v**2 - 1) ** 2 / 4 + x * v for x in (-0.2, 0.3)]

    landscape = Landscape(losses=losses, learning_rate=0.3, domain=(1000000, 1000006))
    line = step_indicators(landscape, end_state(landscape)).line
    assert "w = 1000001.98" in line
    assert "from 1000001.87 to 1000002.12" in line
    assert "e+06" not in line


def test_a_jump_of_the_noise_at_a_double_costs_no_digits_where_the_drift_is_strong():
    """Three pinball losses: what polynomials make of the few roundings that hold the jump was taken
    for an error of e^11 there, and of 1e-8 in all; 32 digits and seconds were spent on it."""
    heights, places, q = (0.612, 1.268, 1.895), (1.1435, -0.4526, 0.4305), 0.12127018757407777

    def losses(w):
        return [
            np.where(w > b, q * (w - b), (q - 1) * (w - b)) * a
            for a, b in zip(heights, places, strict=True)
        ]

    landscape = Landscape(losses, learning_rate=0.21, domain=(-6, 6))
    state, exact = end_state(landscape), end_state(landscape, digits=25)
    assert not [note for note in state.notes if "digits were used" in note]
    for x in (-1.0, 0.3, 1.0):
        off = abs(state.logcdf(x) - float(exact.logcdf(x)))
        assert off <= state.log_probability_error(-6, x) < 1e-9
    assert abs(state.mean() - float(exact.mean())) <= state.mean_error < 1e-10
