"""Every minibatch that can be drawn, with its probability.

Drawn with replacement, a minibatch is a count of each datapoint (a multinomial law); without, a
set of B datapoints.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import combinations

import numpy as np

from stationary.aliases import Array


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
    if not replacement:
        chosen = np.array(list(combinations(range(n), b)))
        counts = np.zeros((len(chosen), n), dtype=int)
        np.put_along_axis(counts, chosen, 1, axis=1)
        return Minibatches(counts, (Fraction(1, len(chosen)),) * len(chosen))
    counts = np.array(list(_compositions(b, n)))
    factorial = [math.factorial(k) for k in range(b + 1)]
    ways = (factorial[b] // math.prod(factorial[k] for k in row) for row in counts.tolist())
    return Minibatches(counts, tuple(Fraction(w, n**b) for w in ways))


def _compositions(total: int, parts: int) -> Iterator[tuple[int, ...]]:
    """All ways to write `total` as an ordered sum of so many whole numbers, 0 included."""
    if parts == 1:
        yield (total,)
        return
    for first in range(total, -1, -1):
        for rest in _compositions(total - first, parts - 1):
            yield (first, *rest)
