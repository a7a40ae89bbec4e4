"""Every minibatch that can be drawn, with its probability.

Drawn with replacement, a minibatch is a count of each datapoint (a multinomial law); without, a
set of B datapoints.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from itertools import combinations, combinations_with_replacement

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
    draw = combinations_with_replacement if replacement else combinations
    chosen = np.array(list(draw(range(n), b)))
    counts = (chosen[:, :, None] == np.arange(n)).sum(axis=1)
    if not replacement:
        return Minibatches(counts, (Fraction(1, len(counts)),) * len(counts))
    factorial = [math.factorial(k) for k in range(b + 1)]
    ways = (factorial[b] // math.prod(factorial[k] for k in row) for row in counts.tolist())
    return Minibatches(counts, tuple(Fraction(w, n**b) for w in ways))
