"""How far SGD can come from a minimum at all: the smallest interval that no minibatch leads out of.

A diffusion leaves every basin sooner or later. Steps of a bounded size do not, where the slope is
so steep that every minibatch leads back down.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stationary.errors import StationaryError
from stationary.functions.evaluation import evaluate
from stationary.process.landscape import Landscape
from stationary.states.basins import Basin

__all__ = ["held_interval"]

Array = NDArray[Any]

POINTS = 2001  # of a basin at which the steps are looked at
WORK = 4 * 10**6  # gradients that are evaluated for it at most
ROUNDS = 2000
SETTLED = 1e-9  # of the basin, by which the interval still grows per round


def held_interval(landscape: Landscape, basin: Basin) -> tuple[float, float] | None:
    """The interval around a minimum that SGD cannot leave, or None if it can leave the basin.

    As seen at 2001 points: it grows from the minimum to wherever a step can lead, and on, until
    no step leads out of it.
    """
    at, ends = float(basin.position), (float(basin.lower), float(basin.upper))
    walls = landscape.domain
    inner = [walls[0] < ends[0], ends[1] < walls[1]]
    if not any(inner) or landscape.label_noise:
        return None  # there is nowhere else to go, or noise without a bound to go there
    low, high = _finite(ends, at)
    points = min(POINTS, max(64, WORK // landscape.datapoints))
    w = np.linspace(low, high, points)
    try:
        (g,) = evaluate(landscape.gradient, w)
    except StationaryError:
        return None
    if not np.isfinite(g).all():
        return None
    least, most = _extremes(g, landscape)
    assert landscape.learning_rate is not None
    down, up = (w - landscape.learning_rate * landscape.stepped(u, w) for u in (most, least))
    # A walker in [left, right] can be as low as the least of `down` there, and as high as of `up`.
    left = right = at
    for _ in range(ROUNDS):
        first = max(int(np.searchsorted(w, left)) - 1, 0)
        last = int(np.searchsorted(w, right)) + 1
        inside = slice(first, last)
        further = (
            max(min(left, float(down[inside].min())), walls[0]),
            min(max(right, float(up[inside].max())), walls[1]),
        )
        if (inner[0] and further[0] <= low) or (inner[1] and further[1] >= high):
            return None
        if further[0] < low or further[1] > high:
            return None  # out of an interval that stands for an infinite one
        grown = max(left - further[0], further[1] - right)
        left, right = max(further[0], low), min(further[1], high)
        if grown <= SETTLED * (high - low):
            return left, right
    return None


def _finite(ends: tuple[float, float], at: float) -> tuple[float, float]:
    """The basin, with a side that runs to infinity as long as the other one."""
    low, high = ends
    low = at - 4 * (high - at) if math.isinf(low) else low
    high = at + 4 * (at - low) if math.isinf(high) else high
    return low, high


def _extremes(g: Array, landscape: Landscape) -> tuple[Array, Array]:
    """The least and the greatest gradient of any minibatch."""
    b = landscape.batch_size
    if landscape.replacement or b == 1:  # one datapoint may be drawn every time
        return g.min(axis=0), g.max(axis=0)
    ordered = np.sort(g, axis=0)
    return ordered[:b].mean(axis=0), ordered[-b:].mean(axis=0)
