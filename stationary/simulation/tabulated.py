"""`Table`: the gradients of many datapoints on even cells, so that only those drawn cost.

Of more datapoints than fit in memory so, interpolated gradients are had as they are.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from stationary.aliases import Array
from stationary.numbers.cost import LASTING
from stationary.process.landscape import Landscape
from stationary.simulation.terrain import survey_terrain

TOLERANCE = 1e-9  # of the largest gradient of each datapoint, far below what walkers can show
FEWEST = 16  # datapoints, from which on all their gradients cost more than a look into a table
CELLS = 64  # at first
MOST_ROUGH = 0.1  # of the cells, that may have a kink

# From datapoints, (..., M), and weights, (M,), to their gradients, and where these are not had.
Look = Callable[[Array, Array], tuple[Array, Array]]


@dataclass(frozen=True, eq=False)
class Table:
    """Cubics of every datapoint on even cells."""

    low: float
    width: float  # of a cell
    cells: int
    powers: Array  # (N * cells, 4): of the share of the cell
    rough: Array  # (cells,): where they are not right to the tolerance

    def __call__(self, index: Array, x: Array) -> tuple[Array, Array]:
        at = (x - self.low) / self.width
        cell = np.clip(np.nan_to_num(at), 0, self.cells - 1).astype(np.intp)
        t = at - cell
        lost = self.rough[cell] | ~((t >= 0) & (t <= 1))
        c = self.powers.take(index * self.cells + cell, axis=0)
        return ((c[..., 3] * t + c[..., 2]) * t + c[..., 1]) * t + c[..., 0], lost


def table_of(landscape: Landscape) -> Look | None:
    """The table of a landscape, made once; None where it does not pay."""
    if "_step_table" not in landscape.__dict__:
        object.__setattr__(landscape, "_step_table", _tabulated(landscape))
    found: Look | None = landscape.__dict__["_step_table"]
    return found


def _tabulated(landscape: Landscape) -> Look | None:
    n, known = landscape.datapoints, landscape.known
    if n < FEWEST:
        return None
    low, high = survey_terrain(landscape).region
    if not all(math.isfinite(end) for end in landscape.domain):
        low, high = low - (high - low), high + (high - low)
        low, high = max(low, landscape.domain[0]), min(high, landscape.domain[1])
    thirds = np.linalg.inv(np.vander(np.arange(4) / 3, increasing=True))
    between = np.vander([1 / 6, 1 / 2, 5 / 6], 4, increasing=True)
    cells, most = CELLS, LASTING // (4 * n)
    while cells <= most:
        width = (high - low) / cells
        x = low + width * (np.arange(3 * cells + 1) / 3)
        values = landscape.loss_gradient(np.minimum(x, high))
        if not np.isfinite(values).all():
            return None
        place = 3 * np.arange(cells)[:, None] + np.arange(4)
        powers = values[:, place] @ thirds.T  # (N, cells, 4)
        middle = (low + width * (np.arange(cells)[:, None] + between[:, 1])).ravel()
        exact = landscape.loss_gradient(middle).reshape(n, cells, 3)
        size = np.abs(values).max(axis=1)[:, None, None]
        rough = (np.abs(powers @ between.T - exact) > TOLERANCE * size).any(axis=(0, 2))
        if not rough.any() or (2 * cells > most and rough.mean() <= MOST_ROUGH):
            return Table(low, width, cells, powers.reshape(-1, 4), rough)
        cells *= 2
    if known is None or (drawn := known.drawn) is None:
        return None
    return lambda index, x: (drawn(index, x), np.zeros(len(x), dtype=bool))
