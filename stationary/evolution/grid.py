"""`Grid`: cells that are narrow where something narrow happens, each level within the one before.

A coordinate xi(x) grows evenly over the window and, around each place of width s, as
asinh((x - place) / s): evenly across it, then with the logarithm of the distance. Cells are even
in xi between the points that must be edges; each level halves those of the level before.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["SPACINGS", "Feature", "Grid", "grid_on"]

Array = NDArray[Any]

EVEN = 6.0  # the share of the window as such, in the unit of one e-fold of distance
NARROWEST = 1e-280  # width of a place, relative to the window
SAMPLES = 400  # per place, to invert the coordinate, or
DENSE = 12  # per e-fold of distance, if that is more
SPACINGS = 64  # of doubles, that a cell is wide at least


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


def grid_on(
    window: tuple[float, float],
    breaks: Array,
    features: tuple[Feature, ...],
    cells: int,
    blurred: tuple[tuple[float, float], ...] = (),
) -> Grid:
    """A grid of about `cells` cells on level 0; `breaks` within the window become edges."""
    low, high = window
    span = high - low

    def smallest(x: Any) -> Any:
        return np.maximum(NARROWEST * span, SPACINGS * np.spacing(np.abs(x)))

    widths = [float(min(max(f.width, cells * smallest(f.position)), span)) for f in features]
    samples = [np.linspace(low, high, 16 * SAMPLES + 1)]
    for f, s in zip(features, widths, strict=True):
        reach = np.arcsinh(span / s)
        count = max(SAMPLES, int(2 * DENSE * reach))
        samples.append(f.position + s * np.sinh(np.linspace(-reach, reach, count)))
    breaks = np.unique(np.clip(breaks, low, high))
    # Two breaks that doubles hardly tell apart leave no room for a cell.
    breaks = breaks[np.append(True, np.diff(breaks) > smallest(breaks[1:]))]
    breaks = np.unique(np.concatenate([[low], breaks[(breaks > low) & (breaks < high)], [high]]))
    x = np.unique(np.clip(np.concatenate([*samples, breaks]), low, high))
    xi = EVEN * (x - low) / span
    for f, s in zip(features, widths, strict=True):
        xi = xi + f.weight * np.arcsinh((x - f.position) / s)
    rising = np.append(True, np.diff(xi) > 0) | np.isin(x, breaks)
    x, xi = x[rising], np.maximum.accumulate(xi[rising])
    shares = np.diff(np.interp(breaks, x, xi)) / (xi[-1] - xi[0])
    counts = np.maximum(np.rint(cells * shares), 2).astype(int)
    return Grid(breaks, counts, x, xi, blurred)
