"""What was estimated could have come out otherwise: by how much, and by which datapoint."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from stationary.aliases import Array
from stationary.errors import LandscapeError
from stationary.numbers.cost import MEMORY


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
    """The gradients of N datapoints as a sample: one change for each.

    What datapoint j adds to the mean and the variance of the gradients is (g_j - G) / N and
    ((g_j - G)^2 - S2) / N.
    """

    rows: Callable[[Array], Array]  # w -> what each makes of a step, over T: (N, M)
    moments: Callable[[Array], tuple[Array, Array]]  # w -> G and S2
    to_drift: float  # f over G
    to_variance: float  # a over S2
    datapoints: int
    refusal: str = ""  # why no datapoint has changes of its own
    table: Sample | None = None  # what G and S2 are of, in place of rows

    def scores(self, x: Array, of_f: Array, of_a: Array) -> Array:
        """As `Sample` says; of datapoints K = N."""
        of_g, of_s = self.to_drift * of_f, self.to_variance * of_a
        if self.table is not None:
            return self.table.scores(x, of_g, of_s)
        if self.refusal:
            raise LandscapeError(self.refusal)
        n, (mean, variance) = self.datapoints, self.moments(x)
        found, size = np.zeros((len(of_f), n)), max(1, MEMORY // n)
        for i in range(0, len(x), size):
            some = slice(i, i + size)
            off = self.rows(x[some]) - mean[some]
            found += of_g[:, some] @ off.T + of_s[:, some] @ (off**2 - variance[some]).T
        return found / n
