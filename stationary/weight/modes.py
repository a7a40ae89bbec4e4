"""`Mode`: where a density is greatest among its neighbours."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from stationary.numbers.elementary import number
from stationary.weight.component import Component


@dataclass(frozen=True)
class Mode:
    """A point where the density is greatest among its neighbours (it may diverge at an end)."""

    position: Any
    log_density: Any
    offset: float = 0.0  # what position leaves out of where the mode is
    exact_position: Any = field(default=None, repr=False, compare=False)

    @property
    def place(self) -> Any:
        """The position with all the digits that were computed."""
        return self.position if self.exact_position is None else self.exact_position


def modes_of(c: Component) -> tuple[Mode, ...]:
    """The local maxima of one component, left to right, with its own normalisation."""
    density = c.density
    turns = density.turns
    height = density(turns)
    rising = height[1:] > height[:-1]
    peak = np.concatenate([[True], rising]) & np.concatenate([~rising, [True]])
    if density.sampling.diffusion.is_periodic:  # the two ends are one point
        peak[0], peak[-1] = rising[-1] and not rising[0], False
    inner = peak.copy()
    inner[[0, -1]] = False
    turns = np.where(inner, density.polished(turns), turns)
    modes: list[Mode] = []
    for x, level in zip(turns[peak], height[peak], strict=True):
        position, log_density = number(x), number(level) - c.log_norm
        for tail in density.tails:
            if tail is not None and x == tail.start:
                # The density goes on growing (or stays level) up to a finite end.
                position = tail.end
                log_density = math.inf if tail.exponent < 0 else log_density
        # A jump of the noise is caught between panels a rounding wide: one mode, not three.
        apart = 4504 * c.arithmetic.epsilon
        if not modes or position - modes[-1].position > apart * abs(position):
            modes.append(Mode(position, log_density))
        elif log_density > modes[-1].log_density:
            modes[-1] = Mode(position, log_density)
    return tuple(modes)
