"""`Spline`: a piecewise polynomial that runs in any arithmetic, with all its derivatives.

Numbers that somebody measured at a few points become functions like those that users write: on
doubles, on many digits, and on series.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from stationary.aliases import Array
from stationary.functions.evaluation import composed
from stationary.functions.taylor import Taylor
from stationary.numbers.cost import SHARED
from stationary.numbers.elementary import as_array, to_float
from stationary.numbers.threads import one_thread


def degree_for(points: int, most: int) -> int:
    """The highest odd degree up to `most` that so many points determine; 2 for three of them."""
    return max(1, min(most, points - 1 if points <= 3 else points - 1 - points % 2))


def shaped(function: Callable[[Any], Any], x: Any) -> Any:
    """A function of arrays (M,), or of series, at numbers of any shape: of one, a number."""
    if isinstance(x, Taylor):
        return function(x)
    at = np.asarray(x)
    values = np.asarray(function(at.reshape(-1))).reshape(at.shape)
    return values if at.ndim else values[()]


def interpolating(x: Array, values: Array, degree: int) -> Any:
    """SciPy's spline through values (n,) or (n, R) at the points x, not-a-knot.

    Of 2 n values the second half are those of its antiderivative, but for a constant, and its
    degree is even and one more: two conditions at each point, and two knots.
    """
    from scipy.interpolate import BSpline, make_interp_spline

    n = len(x)
    if len(values) == n:
        return make_interp_spline(x, values, k=degree_for(n, degree))
    degree = min(degree + 1, 2 * n - 2)
    inner = np.repeat(x[1:-1], 2)
    inner = inner[degree // 2 - 1 : len(inner) - degree // 2 + 1]
    knots = np.concatenate([[x[0]] * (degree + 1), inner, [x[-1]] * (degree + 1)])
    basis = BSpline(knots, np.eye(2 * n - 1), degree)
    conditions = np.concatenate([basis(x), np.diff(basis.antiderivative()(x), axis=0)])
    given = np.concatenate([values[:n], np.diff(values[n:], axis=0)])
    try:
        with one_thread:
            return BSpline(knots, np.linalg.solve(conditions, given), degree)
    except np.linalg.LinAlgError:  # points next to jumps, 1e5 times closer than others
        return BSpline(knots, np.linalg.lstsq(conditions, given)[0], degree)


class Spline:
    """One piecewise polynomial, or several with the same knots.

    `knots` ascend, shape (n + 1,); beyond them the outermost polynomials go on. `coefficients` are
    of powers of x - knots[i], highest first, shape (degree + 1, n) or (degree + 1, n, R).
    """

    def __init__(self, knots: Array, coefficients: Array) -> None:
        self.knots, self.coefficients = knots, np.ascontiguousarray(coefficients)
        self.anchors = knots[:-1].copy()  # from which each polynomial counts

    @classmethod
    def through(cls, x: Array, values: Array, degree: int) -> Spline:
        """The spline through values (n,) or (n, R) at the points x, see `interpolating`."""
        made = interpolating(x, values, degree)
        powers = [made(x[:-1], nu=m) / math.factorial(m) for m in range(made.k, -1, -1)]
        return cls(x, np.stack(powers))

    def straightened(self, where: Array) -> Spline:
        """The same, but a line from one knot to the next at those of the n polynomials."""
        values, made = self.taylor(self.knots)[0], self.coefficients.copy()
        made[:, where] = 0.0
        made[-1, where] = values[:-1][where]
        made[-2, where] = (np.diff(values.T) / np.diff(self.knots)).T[where]
        return Spline(self.knots, made)

    def pinned(self, zeros: Array) -> Spline:
        """The same, exactly zero at some knots, from both sides, where it was so to rounding."""
        made = Spline(self.knots, self.coefficients.copy())
        for k in zeros:
            if k > 0:
                c = self.taylor(self.knots[[k]], len(self.coefficients) - 1, left=True)
                made.coefficients[:, k - 1] = [v[0] for v in reversed(c)]
                made.anchors[k - 1] = self.knots[k]
            inner = 0 < k < len(self.knots) - 1
            for j in range(max(k - 1, 0), min(k + 1, len(self.anchors))):
                made.coefficients[-2 if inner else -1 :, j] = 0.0
        return made

    def taylor(self, x: Array, order: int = 0, left: bool = False) -> list[Array]:
        """The coefficients of the series at each x, up to `order`, shape (M,) or (M, R) each.

        At a knot they are those of the polynomial to its right, or to its `left`.
        """
        many = self.coefficients.shape[0] * int(np.prod(self.coefficients.shape[2:]))
        size = max(1, SHARED // many)
        if len(x) > size:
            parts = [self.taylor(x[i : i + size], order, left) for i in range(0, len(x), size)]
            return [np.concatenate(c) for c in zip(*parts, strict=True)]
        i = np.clip(
            self.knots.searchsorted(to_float(x), side="left" if left else "right") - 1,
            0,
            len(self.knots) - 2,
        )
        step = x - self.anchors[i]
        c = list(self.coefficients.take(i, axis=1))
        if c[0].ndim == 2:
            step = step[:, None]
        c[0] = c[0] + 0 * step  # in the arithmetic of x
        found = []
        for last in range(len(c), max(len(c) - order - 1, 0), -1):  # Horner's scheme, repeatedly
            for m in range(1, last):
                c[m] = c[m] + c[m - 1] * step
            found.append(as_array(c[last - 1]))
        return found + [0 * found[0]] * (order + 1 - len(found))

    def __call__(self, x: Any) -> Any:
        """The values at points of any arithmetic, or of a series; of one polynomial."""
        if isinstance(x, Taylor):
            return composed(self.taylor(x.value, x.order), x)
        return self.taylor(np.atleast_1d(x))[0]

    def square(self, x: Any) -> Any:
        """The sum over the R polynomials of their squares: never negative."""
        series = isinstance(x, Taylor)
        c = self.taylor(x.value, x.order) if series else self.taylor(np.atleast_1d(x))
        squares = [sum((c[j] * c[k - j]).sum(axis=1) for j in range(k + 1)) for k in range(len(c))]
        return composed(squares, x) if series else squares[0]
