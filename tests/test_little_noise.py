"""Noise so little that what lies between two wells has hundreds of digits before its point."""

from __future__ import annotations

import math

import numpy as np
import pytest

from stationary import Diffusion, basins_of, end_state
from stationary.errors import Status


@pytest.mark.parametrize("noise", [1e-30, 1e-200, 1e-300])
@pytest.mark.parametrize("push", [0.0, 0.25])
def test_wells_share_their_mass_as_a_push_of_the_size_of_the_noise_says(noise, push):
    """f = x - x^3 + push a, a constant: P(1) / P(-1) = e^(4 push), the wells being alike."""
    process = Diffusion(lambda x: x - x**3 + push * noise, noise)
    state = end_state(process)
    assert state.status is Status.CONVERGED
    left, right = basins_of(state)
    exact = 1 / (1 + math.exp(4 * push))
    assert abs(float(left.mass) - exact) <= left.mass_error * exact + 1e-15
    assert abs(float(right.mass) - (1 - exact)) <= right.mass_error * (1 - exact) + 1e-15
    assert left.mass_error < 1e-10
    assert float(right.barrier_left) == pytest.approx(0.5 / noise, rel=1e-14)


@pytest.mark.parametrize("noise", [1e-10, 1e-12])
def test_where_panels_span_exponents_of_billions_their_rounding_is_no_jump(noise):
    """It was taken for one at x = -1.03, and panels were halved to nothing there."""

    def variance(x):
        return 0.25 * noise * (1 + 0.5 * np.sin(x)) ** 2

    state = end_state(Diffusion(lambda x: x - x**3, variance, domain=(-3, 3)))
    assert state.components[0].density.turns == pytest.approx([-3, -1, 0, 1, 3], abs=1e-9)
