"""`Grid`: cells that are narrow where something narrow happens, each level within the one before.

A coordinate xi(x) grows evenly over the window and, around each place of width s, as
asinh((x - place) / s): evenly across it, then with the logarithm of the distance. Cells are even
in xi between the points that must be edges; each level halves those of the level before.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from stationary.aliases import Array
from stationary.numbers.elementary import distinct

EVEN = 6.0  # the share of the window as such, in the unit of one e-fold of distance
SMALLEST = 1e-290  # of a variance, and of widths in windows: drifts of 1e18 over it are doubles
SAMPLES = 400  # per place, to invert the coordinate, or
DENSE = 12  # per e-fold of distance, if that is more
ACROSS = 2.0  # by which the cells that drift needs go on into the noise: where the order changes
# at which errors fall, sums of grids leave most
FEW = 256.0  # cells that are needed, fewer than which there are anyway
MANY = 8192.0  # more than which are not to be had
SPACINGS = 64  # of doubles, that a cell of level 0 is wide at least, for each e-fold of distance
BLUR = 1e-11  # of where an atom is: nearer to it doubles tell no distances to four digits
GRIDS = 5  # grids: three combinations, two differences, one ratio
FEWEST = (
    8  # of these, that any cell is wide: of fewer its centre and its width are not known to 10 %
)
ROOM = 4096  # spacings between two breaks, which on the deepest level are a thousand cells


@dataclass(frozen=True)
class Feature:
    """A place of a width, and how much of the cells it deserves."""

    position: float
    width: float
    weight: float = 1.0


@dataclass(frozen=True, eq=False)
class Grid:
    """The edges of each level."""

    breaks: Array  # points that are edges on every level
    counts: Array  # cells between them on level 0
    x: Array  # the coordinate, sampled
    xi: Array
    blurred: tuple[tuple[float, float], ...]  # between two breaks, that are to be shown as one cell
    needed: float  # cells that it would take for the noise to smooth what the drift carries

    def edges(self, level: int) -> Array:
        """The edges of the cells of a level, ascending."""
        at = np.interp(self.breaks, self.x, self.xi)
        pieces = [
            np.interp(np.linspace(a, b, n * 2**level + 1)[1:-1], self.xi, self.x)
            for a, b, n in zip(at[:-1], at[1:], self.counts, strict=True)
        ]
        inner = np.concatenate(
            [np.append(p, b) for p, b in zip(pieces, self.breaks[1:], strict=True)]
        )
        return np.concatenate([self.breaks[:1], inner])

    @property
    def levels(self) -> int:
        """How many there are before cells are too narrow for doubles."""
        edges = self.edges(0)
        held = np.diff(edges) / np.spacing(np.maximum(np.abs(edges[1:]), np.abs(edges[:-1])))
        return 1 + max(int(np.log2(held.min() / FEWEST)), 0)


def grid_on(
    window: tuple[float, float],
    breaks: Array,
    features: tuple[Feature, ...],
    cells: int,
    blurred: tuple[tuple[float, float], ...],
    carried: Callable[[Array], Array],
) -> Grid:
    """A grid of about `cells` cells on level 0; `breaks` within the window become edges.

    `carried` is how many cells per unit of x it takes for the noise to spread what the drift
    carries over one; where that is worth it, up to half of all cells go there.
    """
    low, high = window
    span = high - low

    def smallest(x: Any) -> Any:
        return np.maximum(SMALLEST * span, SPACINGS * np.spacing(np.abs(x)))

    widths = [float(min(max(f.width, cells * smallest(f.position)), span)) for f in features]
    samples = [np.linspace(low, high, 16 * SAMPLES + 1)]
    for f, s in zip(features, widths, strict=True):
        reach = np.arcsinh(span / s)
        count = max(SAMPLES, int(2 * DENSE * reach))
        samples.append(f.position + s * np.sinh(np.linspace(-reach, reach, count)))
    breaks = distinct(np.clip(np.concatenate([breaks, window]), low, high))
    x = distinct(np.clip(np.concatenate([*samples, breaks]), low, high))
    xi = EVEN * (x - low) / span
    for f, s in zip(features, widths, strict=True):
        xi = xi + f.weight * np.arcsinh((x - f.position) / s)
    rising = np.append(True, np.diff(xi) > 0) | np.isin(x, breaks)
    x, xi = x[rising], np.maximum.accumulate(xi[rising])
    extra, needed = _needed(x, ACROSS * carried(x))
    needed /= ACROSS
    xi = xi + extra * (xi[-1] - xi[0]) * min(1.0, needed / FEW)
    at = np.interp(breaks, x, xi)

    def apart(i: slice, k: slice) -> Array:
        clear = np.asarray(at[k] - at[i] > ROOM * np.spacing(xi[-1]))
        return clear & (breaks[k] - breaks[i] > ROOM * np.spacing(np.abs(breaks[k])))

    # Two breaks that doubles hardly tell apart leave no room for cells.
    inner, last = slice(1, -1), slice(-1, None)
    kept = np.array([True, *(apart(slice(-2), inner) & apart(inner, last)), True])
    breaks, at = breaks[kept], at[kept]
    shares = np.diff(at) / (at[-1] - at[0])
    counts = np.maximum(np.rint(cells * shares), 2).astype(int)
    return Grid(breaks, counts, x, xi, blurred, needed)


def _needed(x: Array, density: Array) -> tuple[Array, float]:
    """The integral of a density, from 0 to 1, cut such that it is no more than `MANY`; and it."""

    def total(most: float) -> Array:
        cut = np.minimum(density, most)
        return np.append(0.0, np.cumsum((cut[1:] + cut[:-1]) / 2 * np.diff(x)))

    whole = float(total(math.inf)[-1])
    low, high = 0.0, math.inf
    if whole > MANY:
        high = 2 * MANY / float(np.diff(x).max())
        low = MANY / float(x[-1] - x[0])
        for _ in range(60):
            middle = (low + high) / 2
            low, high = (middle, high) if total(middle)[-1] < MANY else (low, middle)
    found = total(high)
    return found / max(float(found[-1]), 1e-300), whole
