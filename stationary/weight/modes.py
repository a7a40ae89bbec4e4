"""`Mode`: where a density is greatest among its neighbours."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from stationary.aliases import Array
from stationary.numbers.elementary import log, number, spacing, sqrt, to_float
from stationary.weight.component import Component
from stationary.weight.weight import Weight

TRIALS = 64  # from half the digits of a panel's width to beyond all panels, doubled at least


@dataclass(frozen=True)
class Mode:
    """A point where the density is greatest among its neighbours (it may diverge at an end)."""

    position: Any
    log_density: Any
    offset: float = 0.0  # what position leaves out of where the mode is
    exact_position: Any = field(default=None, repr=False, compare=False)
    error: float = 0.0  # of the position, absolute
    log_density_error: float = 0.0  # absolute

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
    off = np.zeros(len(turns))
    off[inner] = _off(density, turns[inner])
    modes: list[Mode] = []
    of_height = to_float(c.errors_at(turns[peak]))
    for x, level, error, doubt in zip(turns[peak], height[peak], off[peak], of_height, strict=True):
        position, log_density = number(x), number(level) - c.log_norm
        for end, tail in zip(density.sampling.diffusion.domain, density.tails, strict=True):
            if tail is not None and x == tail.start:
                # The density goes on growing (or stays level) up to a finite end.
                position, error = tail.end if end else 0.0 * tail.end, 0.0
                log_density = math.inf if tail.exponent < 0 else log_density - tail.tilt
                doubt += float(tail.error)
        # A jump of the noise is caught between panels a rounding wide: one mode, not three.
        apart = 4504 * c.arithmetic.epsilon
        mode = Mode(position, log_density, error=error, log_density_error=float(doubt))
        if not modes or position - modes[-1].position > apart * abs(position):
            modes.append(mode)
        elif log_density > modes[-1].log_density:
            modes[-1] = mode
    # What is not told from a higher one that lies within its error is rounding.
    places = [m.position for m in modes]
    tops = []
    for k, m in enumerate(modes):  # itself among them, however numbers of many digits round
        first = bisect_left(places, m.position - m.error, hi=k)
        last = bisect_right(places, m.position + m.error, lo=k + 1)
        tops.append(max(n.log_density for n in modes[first:last]))
    return tuple(m for m, top in zip(modes, tops, strict=True) if m.log_density == top)


def _off(density: Weight, x: Array) -> Array:
    """How far a density that differs from this one by its errors may peak from points x.

    Where log P falls to both sides by more than twice its error there, a peak lies between.
    """
    panels, found = density.panels, density.sampling
    (low, high), k, last = panels.edges[[0, -1]], panels.panel_of(x), len(panels.half) - 1
    rises, unknown = found.climb_errors + np.sqrt(found.unknown[0]), found.unknown[1]
    own = abs(density.s) * rises + density.k * unknown + density.cut + density.noise
    least = 2 * np.max([own[np.clip(k + step, 0, last)] for step in (-1, 0, 1)], axis=0)
    r = spacing(x) + sqrt(found.arithmetic.grain) * panels.half[k]
    factor = np.maximum(2.0, np.exp(to_float(log((high - low) / r)) / TRIALS))
    for _ in range(TRIALS):
        points = np.clip([x - r, x, x + r], low, high)
        falls = density.climbs(points.T.ravel())
        left, right = (
            (x - r <= low) | (falls[::3] > least),
            (x + r >= high) | (-falls[1::3] > least),
        )
        held = left & right
        if held.all():
            break
        r = np.where(held, r, factor * r)
    return np.where((x - r <= low) & (x + r >= high), math.inf, to_float(r))
