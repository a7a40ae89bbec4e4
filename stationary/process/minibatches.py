"""Every minibatch that can be drawn, with its probability.

Drawn with replacement, a minibatch is a count of each datapoint (a multinomial law); without, a
set of B datapoints.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from itertools import combinations, combinations_with_replacement
from typing import Any

import numpy as np

from stationary.aliases import Array

MOST = 512  # minibatches that are gone through one by one


@dataclass(frozen=True, eq=False, repr=False)
class Minibatches:
    """The distinct minibatches of B of N datapoints.

    Attributes
    ----------
    counts
        How often each holds each datapoint, shape (K, N).
    chances
        The probability of each, K exact fractions.
    """

    counts: Array
    chances: tuple[Fraction, ...]

    @property
    def probability(self) -> Array:
        return np.array([float(p) for p in self.chances])

    @property
    def shares(self) -> Array:
        """What part of each batch each datapoint is, shape (K, N)."""
        return np.asarray(self.counts / self.counts[0].sum())


def how_many(n: int, b: int, replacement: bool) -> int:
    """The number of distinct minibatches of b of n datapoints."""
    return math.comb(n + b - 1, b) if replacement else math.comb(n, b)


def minibatches(n: int, b: int, replacement: bool) -> Minibatches:
    """All of them: see first `how_many` there are."""
    if b == 1:
        return Minibatches(np.eye(n, dtype=int), (Fraction(1, n),) * n)
    draw = combinations_with_replacement if replacement else combinations
    chosen = np.array(list(draw(range(n), b)))
    counts = (chosen[:, :, None] == np.arange(n)).sum(axis=1)
    if not replacement:
        return Minibatches(counts, (Fraction(1, len(counts)),) * len(counts))
    factorial = [math.factorial(k) for k in range(b + 1)]
    ways = (factorial[b] // math.prod(factorial[k] for k in row) for row in counts.tolist())
    return Minibatches(counts, tuple(Fraction(w, n**b) for w in ways))


# -- one step of SGD as a map ----------------------------------------------------------------------


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

    @property
    def shares(self) -> Array:
        """What part of each minibatch each datapoint is, (K, N)."""
        return np.asarray(self._batches.shares)

    def images(self, x: Array) -> list[Array]:
        """Where each minibatch leads."""
        table = self.gradients(x)
        return [self.move(x, np.tensordot(share, table, 1)) for share in self.shares]

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
