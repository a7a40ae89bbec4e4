"""A coordinate in which the noise of a series is nearly the same everywhere.

A diffusion is one in any coordinate. Where its variance changes much along x, splines and cells
that are even in x are too wide here and too narrow there; in y with dy/dx = q^-1/2, where q is
about the variance, they are right everywhere. A quadratic q is that of the Pearson diffusions [1]_,
and its y is an elementary function; so is that of the square of one with two roots, the log odds of
a share that nears its bounds and never reaches them. Of these the roots are where steps in y are
most likely as those of one linear autoregression, as for other transformations [2]_: what the
widths of steps tell of them is too rough.

References
----------
.. [1] J. L. Forman and M. Sorensen, *The Pearson diffusions*, Scandinavian Journal of Statistics 35
   (2008) 438.
.. [2] G. E. P. Box and D. R. Cox, *An analysis of transformations*, Journal of the Royal
   Statistical Society B 26 (1964) 211.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from stationary.aliases import Array

EVEN = 2.0  # times: variances that differ by less are even
LEAST = 1e-4  # of the largest variance, at the ends of a range
MARGIN = 1e-3  # of the range, beyond which roots of q lie
NEAREST = 1e-12  # of the range: roots that what is recorded comes close to, as in exp(x)
SOME = 20_000  # steps tell where the roots are


@dataclass(frozen=True)
class Even:
    """y = x."""

    def y(self, x: Any) -> Any:
        return x

    def x(self, y: Any) -> Any:
        return y

    def q(self, x: Any) -> tuple[Any, Any]:
        """dx/dy squared, and its derivative by x."""
        return 1.0 + 0 * x, 0 * x

    low, high = -math.inf, math.inf  # between which y lies


@dataclass(frozen=True)
class Round:
    """q = 1 + ((x - c) / s)^2."""

    c: float
    s: float

    low, high = -math.inf, math.inf

    def y(self, x: Any) -> Any:
        return self.s * np.arcsinh((x - self.c) / self.s)

    def x(self, y: Any) -> Any:
        return self.c + self.s * np.sinh(y / self.s)

    def q(self, x: Any) -> tuple[Any, Any]:
        z = (x - self.c) / self.s
        return 1 + z * z, 2 * z / self.s


@dataclass(frozen=True)
class OneEnd:
    """q = u + u^2 / s with u = (x - c) sign, beyond c."""

    c: float
    s: float
    sign: float

    @property
    def low(self) -> float:
        return 0.0 if self.sign > 0 else -math.inf

    @property
    def high(self) -> float:
        return math.inf if self.sign > 0 else 0.0

    def y(self, x: Any) -> Any:
        u = (x - self.c) * self.sign
        return 2 * self.sign * math.sqrt(self.s) * np.arcsinh(np.sqrt(u / self.s))

    def x(self, y: Any) -> Any:
        return self.c + self.sign * self.s * np.sinh(y / (2 * math.sqrt(self.s))) ** 2

    def q(self, x: Any) -> tuple[Any, Any]:
        u = (x - self.c) * self.sign
        return u + u * u / self.s, (1 + 2 * u / self.s) * self.sign


@dataclass(frozen=True)
class TwoEnds:
    """q = (x - a) (b - x) / (b - a)."""

    a: float
    b: float

    low = 0.0

    @property
    def high(self) -> float:
        return math.pi * math.sqrt(self.b - self.a)

    def y(self, x: Any) -> Any:
        return 2 * math.sqrt(self.b - self.a) * np.arcsin(np.sqrt((x - self.a) / (self.b - self.a)))

    def x(self, y: Any) -> Any:
        return self.a + (self.b - self.a) * np.sin(y / (2 * math.sqrt(self.b - self.a))) ** 2

    def q(self, x: Any) -> tuple[Any, Any]:
        wide = self.b - self.a
        return (x - self.a) * (self.b - x) / wide, (self.a + self.b - 2 * x) / wide


@dataclass(frozen=True)
class Odds(TwoEnds):
    """q = ((x - a) (b - x) / (b - a))^2."""

    low, high = -math.inf, math.inf

    def y(self, x: Any) -> Any:
        return np.log((x - self.a) / (self.b - x))

    def x(self, y: Any) -> Any:
        return self.a + (self.b - self.a) / (1 + np.exp(-y))

    def q(self, x: Any) -> tuple[Any, Any]:
        q, slope = super().q(x)
        return q * q, 2 * q * slope


Chart = Even | Round | OneEnd | TwoEnds | Odds


def likeliest(start: Array, stop: Array, time: Array) -> Chart:
    """The chart in which steps are most likely those of one linear autoregression."""
    from scipy.optimize import minimize

    low, high = float(min(start.min(), stop.min())), float(max(start.max(), stop.max()))
    every = max(len(start) // SOME, 1)
    start, stop, root = start[::every], stop[::every], np.sqrt(time[::every])

    def odds(p: Array) -> Chart:
        return Odds(low - p[0], high + p[1])

    def above(p: Array) -> Chart:
        return OneEnd(low - p[0], p[1], 1.0)

    def below(p: Array) -> Chart:
        return OneEnd(high + p[0], p[1], -1.0)

    def inside(p: Array) -> Chart:
        return Round(low + p[0] / (p[0] + (high - low)) * (high - low), p[1])

    def lengths(logs: Array) -> Array:
        held = np.clip(logs, math.log(NEAREST), -math.log(MARGIN))
        return np.asarray((high - low) * np.exp(held))

    def unlikely(made: Chart) -> float:
        """The regression of y at the end of a step on that at its start."""
        one, before, after = 1 / root, made.y(start) / root, made.y(stop) / root
        before, after = (v - one * (one @ v) / (one @ one) for v in (before, after))
        after = after - before * (before @ after) / (before @ before)
        return float(len(root) * np.log(np.mean(after**2)) + np.log(made.q(stop)[0]).sum()) / 2

    found = []
    for family in (odds, above, below, inside):
        for near in (1e-6, MARGIN, 0.1):

            def lost(logs: Array, family: Callable[[Array], Chart] = family) -> float:
                return unlikely(family(lengths(logs)))

            first = np.full(2, math.log(near))
            logs = minimize(lost, first, method="Nelder-Mead", options={"fatol": 0.1}).x
            found.append(family(lengths(logs)))
    return min(found, key=unlikely)


def chart_of(places: Array, variances: Array, low: float, high: float) -> Chart:
    """The chart for variances at places, on a range: the nearest quadratic, in proportion."""
    from scipy.optimize import least_squares

    if not variances.min() > 0 or variances.max() < EVEN * variances.min():
        return Even()
    low, high = low - MARGIN * (high - low), high + MARGIN * (high - low)
    t = (places - low) / (high - low)
    top = float(variances.max())

    def quadratic(p: Array) -> Array:
        """(3,): at both ends, and of t (1 - t), what makes q positive in between."""
        a, b = p[0] ** 2 + LEAST, p[1] ** 2 + LEAST
        return np.array([a, b, 2 * math.tanh(p[2]) * math.sqrt(a * b) + p[3] ** 2])

    def apart(p: Array) -> Array:
        a, b, c = quadratic(p)
        q = a * (1 - t) ** 2 + b * t**2 + c * t * (1 - t)
        return np.asarray(np.log(np.maximum(q, 1e-12) * top / variances))

    ends = np.sqrt(variances[[0, -1]] / top)
    starts = [np.array([*ends, sign, 0.3]) for sign in (-0.5, 0.5)]
    found = min((least_squares(apart, p) for p in starts), key=lambda r: float(r.cost))
    a, b, c = quadratic(found.x)
    # In t: a + (c - 2 a) t + (a + b - c) t^2.
    wide, square, linear = high - low, a + b - c, c - 2 * a
    under = linear**2 - 4 * square * a
    if under < 0:
        centre = low - wide * linear / (2 * square)
        return Round(centre, wide * math.sqrt(-under) / (2 * square))
    if abs(square) < 1e-9:
        square = math.copysign(1e-9, square)
    roots = sorted((-linear + sign * math.sqrt(under)) / (2 * square) for sign in (-1, 1))
    first, last = (low + wide * r for r in roots)
    if square < 0:
        return TwoEnds(first, last)
    s = max(last - first, 1e-6 * wide)
    return OneEnd(last, s, 1.0) if last < low + wide / 2 else OneEnd(first, s, -1.0)
