"""What was estimated could have come out otherwise: by how much, and by which datapoint."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from stationary.errors import LandscapeError
from stationary.functions.evaluation import evaluate

if TYPE_CHECKING:
    from stationary.process.landscape import Landscape

__all__ = ["GradientSample", "Sample"]

Array = NDArray[Any]

BLOCK = 2**22  # gradients at a time: 32 MiB


class Sample(Protocol):
    """What a drift and a variance that were estimated could just as well have been."""

    def scores(self, x: Array, of_f: Array, of_a: Array) -> Array:
        """What independent changes, of one standard deviation each, make of Q numbers.

        Number q changes by sum_i of_f[q, i] df(x_i) + of_a[q, i] da(x_i), the sums over the M
        points x. Returns shape (Q, K), of K changes: the squared standard error of a number is the
        sum of the squares in its row.
        """
        ...


@dataclass(frozen=True, eq=False)
class GradientSample:
    """The gradients of a landscape as a sample: one change for each datapoint, or its table's.

    What datapoint j adds to the mean and the variance of the gradients is (g_j - G) / N and
    ((g_j - G)^2 - S2) / N.
    """

    landscape: Landscape

    def scores(self, x: Array, of_f: Array, of_a: Array) -> Array:
        """As `Sample` says; of datapoints K = N."""
        own, known = self.landscape, self.landscape.known
        rate, n = own.small_step_rate, own.datapoints
        of_g, of_s = -rate * of_f, rate * rate * own.noise_factor * of_a
        if known is not None and known.sample is not None:
            return known.sample.scores(x, of_g, of_s)
        if not own.rule.linear and own.batch_size > 1:
            raise LandscapeError(
                f"{own.name}: minibatches that are clipped, or of which the sign is taken, belong "
                "to no single datapoint. Influence is known for batch_size = 1, or plain gradients."
            )
        mean, variance = own.moments(x)
        found, size = np.zeros((len(of_f), n)), max(1, BLOCK // n)
        for i in range(0, len(x), size):
            some = slice(i, i + size)
            rows = own.stepped(evaluate(own.gradient, x[some])[0], x[some])
            off = rows - mean[some]
            found += of_g[:, some] @ off.T + of_s[:, some] @ (off**2 - variance[some]).T
        return found / n
