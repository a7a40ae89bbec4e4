"""A law of one variable, cut to an interval: its masses, draws from it, and means of functions.

Means are integrals over the probability itself, E g(X) = int g(x(u)) du, which neither a narrow
law nor an infinite domain makes any harder. The lower half counts u = P(X < x) from below and the
upper half v = P(X > x) from above, so that both tails keep their digits.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from stationary.aliases import Array
from stationary.numbers.arithmetic import ROUNDING, SAME
from stationary.numbers.elementary import distinct
from stationary.panels.pieces import sample

Function = Callable[[Array], Array]

GRADING = 8.0  # how much narrower each panel is than its neighbour, on the way to a cut or a peak
MORE_PANELS = 6000  # that halving may add; the pit up to w = 14 takes 1,500


@dataclass(frozen=True)
class Normal:
    mean: float
    deviation: float

    def cdf(self, x: Array) -> Array:
        from scipy.special import ndtr

        return np.asarray(ndtr((x - self.mean) / self.deviation))

    def sf(self, x: Array) -> Array:
        from scipy.special import ndtr

        return np.asarray(ndtr((self.mean - x) / self.deviation))

    def ppf(self, u: Array) -> Array:
        from scipy.special import ndtri

        return np.asarray(self.mean + self.deviation * ndtri(u))

    def isf(self, v: Array) -> Array:
        from scipy.special import ndtri

        return np.asarray(self.mean - self.deviation * ndtri(v))

    def rarity(self, x: Any) -> Any:
        """1 over the density, but for a factor."""
        return np.exp(((x - self.mean) / self.deviation) ** 2 / 2)


@dataclass(frozen=True)
class Uniform:
    lower: float
    upper: float

    @property
    def width(self) -> float:
        return self.upper - self.lower

    def cdf(self, x: Array) -> Array:
        return np.asarray(np.clip((x - self.lower) / self.width, 0, 1))

    def sf(self, x: Array) -> Array:
        return np.asarray(np.clip((self.upper - x) / self.width, 0, 1))

    def ppf(self, u: Array) -> Array:
        return np.asarray(self.lower + u * self.width)

    def isf(self, v: Array) -> Array:
        return np.asarray(self.upper - v * self.width)

    def rarity(self, x: Any) -> Any:
        """1 over the density, but for a factor."""
        return 1.0 + 0 * x


@dataclass(frozen=True, eq=False)
class Given:
    """Someone else's distribution, with the habits of those of `scipy.stats`."""

    distribution: Any

    def cdf(self, x: Array) -> Array:
        return np.asarray(self.distribution.cdf(x), dtype=float)

    def sf(self, x: Array) -> Array:
        if hasattr(self.distribution, "sf"):
            return np.asarray(self.distribution.sf(x), dtype=float)
        return 1 - self.cdf(x)

    def ppf(self, u: Array) -> Array:
        return np.asarray(self.distribution.ppf(u), dtype=float)

    def isf(self, v: Array) -> Array:
        if hasattr(self.distribution, "isf"):
            return np.asarray(self.distribution.isf(v), dtype=float)
        return self.ppf(1 - v)

    def rarity(self, x: Any) -> Any:
        """1 over the density."""
        with np.errstate(all="ignore"):
            return 1 / np.asarray(self.distribution.pdf(x), dtype=float)


Law = Normal | Uniform | Given  # four functions on arrays: P(X <= x), P(X > x), their inverses


class Level(NamedTuple):
    """A place in the law: the probability before it and the probability after it."""

    before: float
    after: float

    def upto(self, other: Level) -> float:
        """The probability between this level and a higher one, without cancellation."""
        if other.before <= 0.5:
            return other.before - self.before
        if self.before >= 0.5:
            return self.after - other.after
        return (0.5 - self.before) + (0.5 - other.after)


@dataclass(frozen=True, eq=False)
class Truncated:
    """A law, given that X lies in [lower, upper]."""

    law: Law
    lower: float
    upper: float

    def levels(self, points: Array) -> list[tuple[Level, Level]]:
        """For each point, the levels just before and just after it; they differ at an atom."""
        with np.errstate(all="ignore"):
            finite = np.where(np.isinf(points), 0.0, points)  # nothing is asked about infinity
            previous = np.nextafter(finite, -np.inf)
            x = np.stack([finite, previous, np.nextafter(previous, -np.inf)])
            below, above = self.law.cdf(x), self.law.sf(x)
        # A density goes on in the next double where an atom stands alone.
        steps = np.where(below[0] <= 0.5, below[:-1] - below[1:], above[1:] - above[:-1])
        alone = (steps[0] > 1e-12) & (steps[0] > 1000 * steps[1]) & np.isfinite(points)
        atom = np.where(alone, steps[0], 0.0)
        f = np.where(np.isinf(points), points > 0, below[0])
        s = np.where(np.isinf(points), points < 0, above[0])
        rows = np.stack([f - atom, s + atom, f, s]).T.tolist()
        return [(Level(r[0], r[1]), Level(r[2], r[3])) for r in rows]

    @cached_property
    def ends(self) -> tuple[Level, Level]:
        """The level before the lower end and that after the upper one."""
        first, last = self.levels(np.array([self.lower, self.upper]))
        return first[0], last[1]

    @cached_property
    def total(self) -> float:
        """The share of the law that lies in the interval, before it is taken as the whole."""
        return self.ends[0].upto(self.ends[1])

    @property
    def outside(self) -> float:
        """The share of the law that was cut off."""
        return self.ends[0].before + self.ends[1].after

    def mass_at(self, x: float) -> float:
        """P(X = x)."""
        if not self.lower <= x <= self.upper or np.isinf(x):
            return 0.0
        ((before, after),) = self.levels(np.array([x]))
        return before.upto(after) / self.total

    def between(self, lower: float, upper: float) -> float:
        """P(lower < X < upper)."""
        first, last = self.ends
        if lower >= self.lower:
            first = self.levels(np.array([lower]))[0][1]
        if upper <= self.upper:
            last = self.levels(np.array([upper]))[0][0]
        return min(max(first.upto(last) / self.total, 0.0), 1.0) if lower < upper else 0.0

    def at(self, u: Array, v: Array, high: Array) -> Array:
        """x with P(X <= x) = u, or where `high` with P(X > x) = v."""
        x = np.empty(np.shape(high))
        with np.errstate(all="ignore"):
            x[~high] = self.law.ppf(u[~high])
            x[high] = self.law.isf(v[high])
        return x

    def mean(self, function: Function, cuts: Array) -> tuple[Array, float]:
        """E[function(X)], shape (K,), and the estimated absolute error of the worst.

        The function gives for M points an array of shape (K, M), of size one, smooth between the
        ascending `cuts`. What the law's own functions get wrong is not part of the error.
        """
        lower, upper, low, top = self._panels(cuts)

        def at(t: Array) -> tuple[Array, ...]:
            k = lower.searchsorted(t, side="right") - 1
            u = np.abs(t) * self.total
            x = self.at(u, u, t < 0)
            # Rounding must carry no point across a cut, or to one.
            x = np.where(x <= low[k], np.minimum(np.nextafter(low[k], np.inf), top[k]), x)
            x = np.where(x >= top[k], np.maximum(np.nextafter(top[k], -np.inf), low[k]), x)
            return tuple(np.atleast_2d(np.asarray(function(x), dtype=float)))

        count, most = len(at(lower[:1])), len(lower) + MORE_PANELS
        found = sample(at, lower, upper, weights=(True,) * count, max_panels=most, scatter=SAME)
        missed = [float((v * (found.upper - found.lower)).sum()) for v in found.tails]
        return np.array([v.sum() for v in found.integrals]), 2 * max(missed) + 4 * ROUNDING

    def _panels(self, cuts: Array) -> tuple[Array, ...]:
        """Panels from cut to cut, fine where they touch one, and the cuts that x lies between.

        They are of t, the share of the whole: u over it in the lower half, and -v over it in the
        upper one. An atom at a cut has its own.
        """
        inner = cuts[(cuts > self.lower) & (cuts < self.upper)]
        points = distinct([self.lower], inner, [self.upper])
        levels = self.levels(points)
        finest = ROUNDING * self.total
        pieces = []
        for i, (before, after) in enumerate(levels):
            x = points[i]
            if before.upto(after) > 0:
                pieces += _between(before, after, (x, x), np.inf)
            if i + 1 < len(points) and after.upto(levels[i + 1][0]) > 0:
                pieces += _between(after, levels[i + 1][0], (x, points[i + 1]), finest)
        pieces = [piece for piece in pieces if piece.size]  # between levels a rounding apart
        pieces.sort(key=lambda piece: float(piece[0, 0]))
        lower, upper, low, top = np.concatenate(pieces, axis=1)
        return lower / self.total, upper / self.total, low, top


def _between(first: Level, last: Level, bounds: tuple[float, float], finest: float) -> list[Array]:
    """Panels from level to level, narrower towards both as far as `finest`, in one or two pieces.

    A function that switches, or is as steep as a small power, close to a cut shows there.
    """
    if last.before <= 0.5:
        parts = [_graded(first.before, last.before, finest, finest)]
    elif first.before >= 0.5:
        parts = [_graded(-first.after, -last.after, finest, finest)]
    else:
        parts = [
            _graded(first.before, 0.5, finest, np.inf),
            _graded(-0.5, -last.after, np.inf, finest),
        ]
    return [
        np.stack([edges[:-1], edges[1:], *(np.full(len(edges) - 1, x) for x in bounds)])
        for edges in parts
    ]


def _graded(start: float, stop: float, at_start: float, at_stop: float) -> Array:
    """Edges from start to stop, closer and closer at either end as far as the given widths."""
    width = stop - start
    shares = 0.5 / GRADING ** np.arange(1, 40)
    head = start + width * shares[width * shares > at_start][::-1]
    tail = stop - width * shares[width * shares > at_stop]
    return distinct([start], head, [(start + stop) / 2], tail, [stop])
