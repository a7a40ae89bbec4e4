"""Step-size indicators: what the size of a step says about the diffusion, at next to no cost."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from stationary import Diffusion, Landscape, LandscapeError, analyze, end_state, step_indicators

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


def test_noise_is_measured_against_the_way_to_the_barrier():
    """Minima at +-1, barrier at 0; T sqrt(D) = 0.1 * 0.5."""
    landscape = Landscape(
        gradients=lambda w: (w**3 - w + 0.5, w**3 - w - 0.5), learning_rate=0.1, domain=(-3, 3)
    )
    found = analyze(landscape).steps
    assert [m.barrier for m in found.minima] == pytest.approx([0.05, 0.05], rel=1e-9)
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


def test_a_diffusion_has_no_steps_to_judge():
    process = Diffusion(drift=lambda x: -x, variance=1.0, domain=(-5, 5))
    with pytest.raises(LandscapeError, match="known for a landscape only"):
        step_indicators(process, end_state(process))
    assert analyze(process).steps is None
