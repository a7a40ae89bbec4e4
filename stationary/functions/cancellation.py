"""How many decades a sum loses to cancellation, learned from where it was last looked at."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stationary.numbers.elementary import magnitude

__all__ = ["DecadesLost", "decades_lost"]

Array = NDArray[Any]

MOST_REMEMBERED = 4096  # weights whose cancellation is remembered


def decades_lost(spread: Array, size: Array, digits: int) -> Array:
    """By how many decades deviations are smaller than the gradients that they come from."""
    large, small = magnitude(size), magnitude(spread) / 2
    known = np.isfinite(large)
    lost = np.maximum(np.where(known, large, 0.0) - np.where(known, small, 0.0), 0.0)
    return np.asarray(np.minimum(lost * math.log10(2), float(digits)))


class DecadesLost:
    """By how many decades deviations were found to be smaller than gradients, by weight."""

    def __init__(self) -> None:
        self.at, self.lost = np.empty(0), np.empty(0)

    def expected(self, w: Array) -> Array:
        """What the nearest weights say, or 0 where nothing is known."""
        return np.interp(w, self.at, self.lost) if len(self.at) else np.zeros(len(w))

    def covers(self, w: Array) -> bool:
        """Whether all weights lie between known ones."""
        return bool(len(self.at) and self.at[0] <= w.min() and w.max() <= self.at[-1])

    def learn(self, w: Array, lost: Array) -> None:
        at, first = np.unique(np.concatenate([self.at, w]), return_index=True)
        known = np.concatenate([self.lost, lost])[first]
        thin = max(1, len(at) // MOST_REMEMBERED)
        self.at, self.lost = at[::thin], known[::thin]
