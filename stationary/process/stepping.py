"""One step of SGD as a map: all minibatches, or one that is drawn."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from stationary.aliases import Array
from stationary.process.minibatches import how_many, minibatches

MOST = 512  # minibatches that are gone through one by one


@dataclass(frozen=True, eq=False)
class Stepper:
    """x -> what a step makes of it, at points (n, M).

    Attributes
    ----------
    gradients
        x -> the gradients of all datapoints, shape (N, k, M).
    move
        (x, mean gradient of a minibatch, shape (k, M)) -> the next x.
    """

    gradients: Callable[[Array], Array]
    move: Callable[[Array, Array], Array]
    datapoints: int
    batch_size: int
    replacement: bool

    @cached_property
    def _batches(self) -> Any:
        return minibatches(self.datapoints, self.batch_size, self.replacement)

    @property
    def chances(self) -> Array | None:
        """The probability of each minibatch; None where there are too many."""
        if how_many(self.datapoints, self.batch_size, self.replacement) > MOST:
            return None
        return np.asarray(self._batches.probability)

    def images(self, x: Array) -> list[Array]:
        """Where each minibatch leads."""
        table = self.gradients(x)
        return [self.move(x, np.tensordot(share, table, 1)) for share in self._batches.shares]

    def draw(self, x: Array, rng: np.random.Generator) -> Array:
        """Where a minibatch of its own leads each point."""
        table, m = self.gradients(x), x.shape[1]
        if self.replacement or self.batch_size == 1:
            chosen = rng.integers(self.datapoints, size=(self.batch_size, m))
        else:
            keys = rng.random((self.datapoints, m))
            chosen = np.argpartition(keys, self.batch_size - 1, axis=0)[: self.batch_size]
        drawn = np.take_along_axis(table, chosen[:, None, :], axis=0)
        return self.move(x, drawn.mean(axis=0))
