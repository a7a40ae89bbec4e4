"""Every minibatch that SGD can draw, with its probability: the maps w -> w - T g_batch(w).

Drawn with replacement, a minibatch is a count of each datapoint (a multinomial law); without, a
set of B datapoints. Where these are too many, the gradient of the batch is taken to have the right
mean, variance and skewness instead, and a `note` says so.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stationary.errors import LandscapeError
from stationary.functions.evaluation import evaluate
from stationary.process.landscape import Landscape

__all__ = ["Batches", "batches_of"]

Array = NDArray[Any]

MOST_MAPS = 256
MOST_SINGLE = 4096  # datapoints drawn one at a time: no more maps than gradients
NODES = 32  # of the Gauss-Hermite rule that stands for a law of too many batches


@dataclass(frozen=True, eq=False, repr=False)
class Batches:
    """The distinct minibatches of a landscape.

    Attributes
    ----------
    probability
        Of each, shape (K,); they add up to 1.
    shares
        What part of each batch each datapoint is, shape (K, N); None where the batches are too
        many and stand for a law with their moments.
    note
        What was approximated, in words; "" for every batch.
    """

    landscape: Landscape
    probability: Array
    shares: Array | None
    note: str = ""

    def __len__(self) -> int:
        return len(self.probability)

    @property
    def exact(self) -> bool:
        return self.shares is not None

    def gradients(self, w: Array) -> Array:
        """The gradient of each batch at the weights w, shape (K, M)."""
        (g,) = evaluate(self.landscape.gradient, w)
        if not np.isfinite(g).all():
            j, i = (int(k) for k in np.argwhere(~np.isfinite(g))[0])
            raise LandscapeError(
                f"{self.landscape.name}: the gradient of datapoint {j} at w = {w[i]:.6g} is "
                f"{g[j, i]:g}, so SGD cannot step from there. Shrink the domain, or mend the "
                "function there."
            )
        if self.shares is not None:
            return np.asarray(self.shares @ g)
        return self._by_moments(g)

    def images(self, w: Array) -> Array:
        """Where each batch takes SGD from the weights w in one step, shape (K, M)."""
        return np.asarray(w - self.rate * self.gradients(w))

    @property
    def rate(self) -> float:
        rate = self.landscape.learning_rate
        assert rate is not None
        return rate

    def multipliers(self, w: float) -> Array | None:
        """1 - T l'' of each batch at one weight, shape (K,); None where it has no derivative.

        It is by these that a small distance from a shared rest point is multiplied.
        """
        try:
            slope = evaluate(self.landscape.gradient, np.array([w]), order=1)[1]
        except LandscapeError:
            return None
        if not np.isfinite(slope).all():
            return None
        curvature = self.shares @ slope if self.shares is not None else self._by_moments(slope)
        return np.asarray(1 - self.rate * curvature[:, 0])

    def _by_moments(self, g: Array) -> Array:
        """Values with the mean, variance and (to first order) skewness of a batch mean.

        For z from the normal law, z + c (z^2 - 1) with small c has skewness 6 c.
        """
        mean = g.mean(axis=0)
        deviation = g - mean
        spread = (deviation**2).mean(axis=0)
        third = (deviation**3).mean(axis=0)
        with np.errstate(divide="ignore", invalid="ignore"):
            skew = np.where(spread > 0, third / spread**1.5, 0.0) * self._skew_factor
        c = np.clip(np.nan_to_num(skew), -1, 1) / 6
        z = self._nodes[:, None]
        shape = (z + c * (z * z - 1)) / np.sqrt(1 + 2 * c * c)
        return np.asarray(mean + np.sqrt(spread * self.landscape.noise_factor) * shape)

    @cached_property
    def _nodes(self) -> Array:
        return np.polynomial.hermite_e.hermegauss(NODES)[0]

    @cached_property
    def _skew_factor(self) -> float:
        """The skewness of a batch mean over that of one gradient."""
        n, b = self.landscape.datapoints, self.landscape.batch_size
        if self.landscape.replacement:
            return 1 / math.sqrt(b)
        return (n - 2 * b) / max(n - 2, 1) * math.sqrt((n - 1) / (b * (n - b)))


def batches_of(landscape: Landscape, most: int = MOST_MAPS) -> Batches:
    """The distinct minibatches of a landscape; more than `most` of them by their moments."""
    n, b = landscape.datapoints, landscape.batch_size
    if b == 1 and n <= MOST_SINGLE:
        return Batches(landscape, np.full(n, 1 / n), np.eye(n))
    count = math.comb(n + b - 1, b) if landscape.replacement else math.comb(n, b)
    if count > most:
        weights = np.polynomial.hermite_e.hermegauss(NODES)[1]
        drawn = "with" if landscape.replacement else "without"
        return Batches(
            landscape,
            weights / weights.sum(),
            None,
            f"There are {float(count):.3g} different batches of {b} of {n} datapoints drawn "
            f"{drawn} replacement. Instead of these, the gradient of a batch was given a normal "
            "law with their mean and variance, and to first order their skewness. How far the "
            "end state is from that of the real batches is not part of the errors.",
        )
    if not landscape.replacement:
        chosen = np.array(list(combinations(range(n), b)))
        shares = np.zeros((len(chosen), n))
        np.put_along_axis(shares, chosen, 1 / b, axis=1)
        return Batches(landscape, np.full(len(chosen), 1 / len(chosen)), shares)
    counts = np.array(list(_compositions(b, n)))
    log_factorial = np.array([math.lgamma(k + 1) for k in range(b + 1)])
    log_p = log_factorial[b] - log_factorial[counts].sum(axis=1) - b * math.log(n)
    probability = np.exp(log_p)
    return Batches(landscape, probability / probability.sum(), counts / b)


def _compositions(total: int, parts: int) -> Iterator[tuple[int, ...]]:
    """All ways to write `total` as an ordered sum of so many whole numbers, 0 included."""
    if parts == 1:
        yield (total,)
        return
    for first in range(total, -1, -1):
        for rest in _compositions(total - first, parts - 1):
            yield (first, *rest)
