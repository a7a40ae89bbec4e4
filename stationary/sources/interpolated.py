"""Gradients of datapoints at a few weights: each is interpolated, then moments are taken.

With b(w) the weights of the interpolation, S2(w) = b(w)' C b(w) = |R b(w)|^2, where C = R' R is
the covariance of the gradients between the knots: exact for the interpolated gradients, never
negative, and of a cost that does not grow with the number of datapoints.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from stationary.aliases import Array
from stationary.functions.evaluation import composed
from stationary.functions.interpolation import Spline, degree_for
from stationary.functions.taylor import Taylor
from stationary.numbers.elementary import to_float
from stationary.process.known import KnownGradients

BLOCK = 2**20  # gradients that are centred at a time


@dataclass(frozen=True, eq=False)
class Interpolated:
    """The gradients (n, N) of N datapoints at n weights x, and their moments in between.

    `floor` is the standard deviation of the rounding of a single gradient, and `caution` by how
    much more than it says the error is known to be.
    """

    x: Array
    gradients: Array
    floor: float = 0.0
    degree: int = 5
    caution: float = 1.0

    @cached_property
    def _mean(self) -> Array:
        return np.asarray(self.gradients.mean(axis=1, dtype=float))

    @cached_property
    def _root(self) -> Array:
        """R (r, n) with R' R the covariance between knots, by orthogonal steps alone."""
        n, count = self.gradients.shape
        size = max(n, BLOCK // n)
        root: Array = np.empty((0, n))
        for i in range(0, count, size):
            off = self.gradients[:, i : i + size].T - self._mean
            root = np.asarray(np.linalg.qr(np.concatenate([root, off]), mode="r"))
        return np.asarray(root / np.sqrt(count))

    def mean(self, more: int = 0) -> Spline:
        """G, by splines of so many degrees more."""
        return Spline.through(self.x, self._mean, self.degree + more)

    def spread(self, more: int = 0) -> Spline:
        """R b: S2 is its `square`."""
        return Spline.through(self.x, self._root.T, self.degree + more)

    @cached_property
    def _basis(self) -> Spline:
        return Spline.through(self.x, np.eye(len(self.x)), self.degree)

    def rows(self, w: Any) -> Any:
        """The interpolated gradients, shape (N, M); of doubles, or a series of them."""
        if isinstance(w, Taylor):
            parts = self._basis.taylor(to_float(w.value), w.order)
            return composed([self.gradients.T @ b.T for b in parts], w)
        return self.gradients.T @ self._basis.taylor(to_float(np.atleast_1d(w)))[0].T

    def scores(self, x: Array, of_g: Array, of_s: Array) -> Array:
        """As `stationary.process.sample.Sample`, of G and S2: one change for each datapoint.

        It is linear and quadratic in its gradients at the knots, whatever the number of points x.
        """
        b = self._basis.taylor(x)[0]
        linear, quadratic = of_g @ b, [b.T @ (row[:, None] * b) for row in of_s]
        whole = of_s @ self.moments(x)[1]
        found = np.empty((len(of_g), self.gradients.shape[1]))
        size = max(1, BLOCK // len(self.x))
        for i in range(0, found.shape[1], size):
            off = self.gradients[:, i : i + size].T - self._mean
            for q, (a, c) in enumerate(zip(linear, quadratic, strict=True)):
                found[q, i : i + size] = off @ a + ((off @ c) * off).sum(axis=1) - whole[q]
        return found / found.shape[1]

    @cached_property
    def _pairs(self) -> list[tuple[Spline, Spline]]:
        return [(self.mean(k), self.spread(k)) for k in (0, self._other)]

    def moments(self, w: Array) -> tuple[Array, Array]:
        """G and S2 at w."""
        mean, spread = self._pairs[0]
        return mean(w), spread.square(w)

    def error(self, w: Array) -> tuple[Array, Array]:
        """What two other degrees would make of G and S2, and what rounding may have; bounds."""
        (mean, spread), (other_mean, other) = self._pairs
        square = spread.square(w)
        rough_g, rough_s = self.rough(square)
        of_g, of_s = np.abs(other_mean(w) - mean(w)), np.abs(other.square(w) - square)
        return self.caution * of_g + rough_g, self.caution * of_s + rough_s

    @property
    def _other(self) -> int:
        """By how many degrees the splines differ that say how well these are known."""
        points = len(self.x)
        return 2 if degree_for(points, self.degree + 2) > degree_for(points, self.degree) else -2

    def rough(self, square: Array) -> tuple[Array, Array]:
        """What rounding of the gradients may do to G and S2."""
        return np.full(square.shape, self.floor), self.floor * (2 * np.sqrt(square) + self.floor)


def known_from(table: Interpolated, **given: Any) -> KnownGradients:
    """What a `Landscape` takes; `given` are more fields of it."""
    fields: dict[str, Any] = {
        "mean": table.mean(),
        "variance": table.spread().square,
        "datapoints": table.gradients.shape[1],
        "domain": (float(table.x[0]), float(table.x[-1])),
        "knots": table.x[1:-1],
        "rows": table.rows,
        "each": table,
        "error": table.error,
    }
    return KnownGradients(**(fields | given))
