"""Gradients that are known at a few weights only, or by their mean and variance alone.

`KnownGradients` stand in a `Landscape` in the place of a function. How well they are known is an
error of every number that is computed from them; what a `Sample` adds is a second, statistical one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from stationary.aliases import Array, Function
from stationary.errors import LandscapeError
from stationary.functions.evaluation import evaluate
from stationary.functions.interpolation import Spline
from stationary.functions.tape.statistics import Moments
from stationary.numbers.arithmetic import DOUBLE, EPSILON, TINY, Arithmetic
from stationary.numbers.cost import MEMORY
from stationary.numbers.elementary import distinct, to_float
from stationary.result import Data

# Errors of interpolation between different knots are of either sign: by twice the root of the sum
# of their squares none of 54 tables of 18 slices of networks was off (at most by 1/1.8 of it).
SPREAD = 2.0
HERE = (
    2.5  # times a bound, at one place alone: of 118 slices 1 position and 2 variances were beyond
)

# Half of the bounds that a push goes to one side, all of them at once, where nothing cancels.
DRIVEN = 0.75

ROUNDED = 2.0**-42  # deviations of gradients over their mean, below which they have no three digits
WEIGHTY = 0.01  # of a standard error, that what is not known may be

FALLEN = 0.5  # of what a degree changes, which the next may: else 4 of 80 landscapes were beyond
LEFT = 3.0  # deviations of what degrees leave: with two, 3 of 150 numbers were beyond, by a third
LINEAR = 0.1  # of a logarithm: an error whose square is next to nothing beside it

NOTHING = 1e100  # of an exponent, and more, not known: all is unknown, and squares stay numbers
BETWEEN = 8  # points from each knot to the next, at which what is not known is looked at

Bounds = Callable[[Array], tuple[Array, Array]]
Changes = Callable[[Array], Array]


@dataclass(frozen=True, eq=False)
class Shared:
    """Bounds, of which no more than a share is left where they add up from one knot to the next.

    `changes`, where these tell signs: what degree after degree changes of both, shape (3, 2, M);
    the first is of the degree below the one that is taken.
    """

    bounds: Bounds
    share: float
    changes: Changes | None = None

    def __call__(self, w: Array) -> tuple[Array, Array]:
        return self.bounds(w)


def share_of(bounds: Bounds | None) -> float:
    """That of bounds, or of what was made of them."""
    return float(getattr(bounds, "share", 1.0))


def changes_of(bounds: Bounds | None) -> Changes | None:
    """Those of bounds, if they tell any."""
    return getattr(bounds, "changes", None)


def of_process(bounds: Bounds, to_drift: float, to_variance: float) -> Shared:
    """The same of f = to_drift G and a = to_variance S2."""
    changes, factors = changes_of(bounds), np.array([[to_drift], [to_variance]])

    def own(w: Array) -> tuple[Array, Array]:
        of_g, of_s = bounds(w)
        return abs(to_drift) * of_g, to_variance * of_s

    return Shared(own, share_of(bounds), changes and (lambda w: factors * changes(w)))


def told_by_signs(sums: Array, sizes: Array) -> float:
    """The error of a sum, from what degree after degree changes of it from knot to knot, (3, K).

    Errors of splines oscillate as high derivatives do, and most of them cancels from knot to knot:
    so does what the next degree changes, whose `sums` have signs. What it leaves is added as random
    numbers are, and falls from degree to degree no faster than the `sizes` of all that is changed:
    where these hardly fall, signs tell nothing, and it is inf.
    """
    low, middle, high = np.linalg.norm(sizes, axis=1)
    if not (middle < FALLEN * low and high < FALLEN * middle):
        return math.inf
    falls = max(middle / low, high / middle)
    _, own, next_one = np.linalg.norm(sums, axis=1)
    left = max(next_one, falls * own) / (1 - falls)
    return float(abs(sums[1].sum()) + LEFT * left)


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class KnownGradients(Data):
    """Mean and variance of the gradients of N datapoints on an interval.

    Attributes
    ----------
    mean, variance
        G(w) and S2(w), functions of numbers of any arithmetic and of series.
    datapoints
        N.
    rows
        w -> the gradients of all datapoints, shape (N, M); None where only moments are known.
    each
        What each datapoint adds to G and S2, as a sample, where that is known in a cheap way.
    drawn
        Numbers of datapoints, (..., M), and w, (M,) -> their gradients, of which only these cost.
    otherwise
        Other rows, which each datapoint may have just as well; none where they hardly differ.
    domain, knots
        Where they are known, and where they are not smooth.
    error
        w -> bounds of the errors of G and S2, shape (M,) each; None where they are exact.
    sample
        The same as for drift and variance, for G and S2; None where nothing was estimated.
    """

    mean: Function
    variance: Function
    datapoints: int
    domain: tuple[float, float]
    knots: Array
    rows: Function | None = None
    each: Sample | None = None
    drawn: Callable[[Array, Array], Array] | None = None
    otherwise: tuple[Function, ...] = ()
    error: Bounds | None = None
    sample: Sample | None = None
    notes: tuple[str, ...] = ()
    remark: str = ""  # what notes begin with, however often the gradients are evaluated anew
    name: str = "the table"
    needed: str = "a table of the gradients of each datapoint (w, gradients)"

    def __call__(self, w: Any) -> Any:
        if self.rows is None:
            raise LandscapeError(
                f"{self.name} holds the mean and the variance of the gradients only, which do not "
                f"say what a single step of SGD does. For the chain and for walkers, give "
                f"{self.needed}."
            )
        return self.rows(w)

    def __repr__(self) -> str:
        low, high = self.domain
        return f"<Gradients of {self.name!r}, known from {low:g} to {high:g}>"

    def bound(self, scale: float, decay: float) -> KnownGradients:
        """The same where 2 f / a = -scale (G + decay w) / S2: known as well as that needs."""
        return self

    def pushed(self, decay: float, away: float = -math.inf) -> KnownGradients:
        """These with all that is not known of them driving w upwards, as `push` has it.

        Or `away` from a place, upwards above it and downwards below.
        """
        assert self.error is not None
        own, ends = self.mean, (*self.domain, *self.knots)
        size, _ = push(ends, self.error, lambda w: own(w) + decay * w, self.variance)

        def more(w: Any) -> Any:
            return size(w) * np.where(to_float(w) < away, -1.0, 1.0)

        return self._stepping(lambda w: self(w) - more(w), lambda w: own(w) - more(w))

    def _stepping(self, rows: Function, mean: Function) -> KnownGradients:
        return KnownGradients(
            mean=mean,
            variance=self.variance,
            rows=rows,
            datapoints=self.datapoints,
            domain=self.domain,
            knots=self.knots,
        )

    def elsewhere(self) -> list[KnownGradients]:
        """These with each datapoint as it may be just as well; none where they hardly differ."""
        return [self._stepping(rows, self.mean) for rows in self.otherwise]

    def within(self, domain: tuple[float, float], where: str) -> tuple[float, float]:
        """The domain that is meant: all that is known, where none was given."""
        if domain == (-math.inf, math.inf):
            return self.domain
        (low, high), (least, most) = domain, self.domain
        if low < least or high > most:
            raise LandscapeError(
                f"{where}: the domain ({low:g}, {high:g}) reaches beyond {self.name}, which ends "
                f"at {least:g} and {most:g}: nothing is known outside. Leave the domain out (walls "
                "then reflect at both ends), narrow it, or measure further out."
            )
        return domain


def squares_of(steps: Array, x: Array, knots: Sequence[float], bounds: Bounds) -> Array:
    """Squares of what is not known of an integral, to be added up over steps at x, ascending.

    Errors of one sign last from one knot to the next, and are then of another.
    """
    steps = share_of(bounds) * np.minimum(steps, NOTHING)
    cuts = np.flatnonzero(np.diff(np.searchsorted(knots, x))) + 1
    between = np.split(steps, cuts)  # the same two knots
    before = np.concatenate([np.append(0.0, np.cumsum(s[:-1])) for s in between])
    return np.asarray(SPREAD**2 * steps * (2 * before + steps))


def push(
    knots: Sequence[float], error: Bounds, drift: Function, variance: Function
) -> tuple[Spline, Spline]:
    """What may be off of a drift, all to one side, and by which part of itself the variance.

    Of two processes with the same noise the one with the higher drift is ahead at all times: in
    what this changes of P(X <= x) nothing cancels. What is not known of the variance counts as it
    does in 2 f / a. Twice what this changes is an error: `DRIVEN` is half of what bounds are taken
    for, and half of `SPREAD` for the variance, which counts by itself where a process starts.
    """
    ends = distinct(knots)
    x = np.linspace(ends[:-1], ends[1:], BETWEEN, endpoint=False).T.ravel()
    x = np.append(x, ends[-1])
    of_f, of_a = error(x)
    relative = of_a / np.maximum(variance(x), EPSILON * of_a + TINY)
    drives = Spline.through(x, DRIVEN * (of_f + np.abs(drift(x)) * relative), 1)
    return drives, Spline.through(x, SPREAD / 2 * np.minimum(relative, 1.0), 1)


class KnownMoments:
    """G and S2 as `GradientMoments` gives them, from functions that are known."""

    def __init__(self, known: KnownGradients, decay: float) -> None:
        own = known.mean
        self.mean = (lambda w: own(w) + decay * w) if decay else own
        self.variance = known.variance

    def __call__(self, w: Array, arithmetic: Arithmetic = DOUBLE, order: int = 0) -> Moments:
        mean, variance = (
            evaluate(f, w, order=order, arithmetic=arithmetic) for f in (self.mean, self.variance)
        )
        return Moments(mean, variance, np.abs(mean[0]))


# -- what was estimated could have come out otherwise ----------------------------------------------


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
    ((g_j - G)^2 - S2) / N; noise in labels adds the mean of what it makes of each to a.
    """

    rows: Callable[[Array], Array]  # w -> what each makes of a step, over T: (N, M)
    moments: Callable[[Array], tuple[Array, Array]]  # w -> G and S2
    to_drift: float  # f over G
    to_variance: float  # a over S2
    datapoints: int
    refusal: str = ""  # why no datapoint has changes of its own
    table: Sample | None = None  # what G and S2 are of, in place of rows
    labels: Callable[[Array], Array] | None = None  # w -> what noise in each label makes of a

    def scores(self, x: Array, of_f: Array, of_a: Array) -> Array:
        """As `Sample` says; of datapoints K = N."""
        of_g, of_s = self.to_drift * of_f, self.to_variance * of_a
        if self.refusal:
            raise LandscapeError(self.refusal)
        table, n = self.table, self.datapoints
        found: Any = 0.0 if table is None else table.scores(x, of_g, of_s)
        if table is not None and self.labels is None:
            return np.asarray(found)
        mean, variance = self.moments(x)
        lost = variance < (ROUNDED * mean) ** 2  # what rows differ in is rounding there
        size = max(1, MEMORY // n)
        for some in (slice(i, i + size) for i in range(0, len(x), size)):
            if table is None:
                off = np.where(lost[some], 0.0, self.rows(x[some]) - mean[some])
                of_squares = np.where(lost[some], 0.0, off**2 - variance[some])
                found += (of_g[:, some] @ off.T + of_s[:, some] @ of_squares.T) / n
            if self.labels is not None:
                own = self.labels(x[some])
                found += of_a[:, some] @ (own - own.mean(axis=0)).T / n
        if table is None and lost.any():
            root = np.sqrt(variance[lost] / n)
            most = np.abs(of_g[:, lost]) @ root + np.abs(of_s[:, lost]) @ (root * root * n**0.5)
            found[most > WEIGHTY * np.linalg.norm(found, axis=1)] = math.nan  # it hangs on these
        return np.asarray(found)


@dataclass(frozen=True, eq=False)
class OneFewer:
    """What N - 1 in the place of N makes of D = S2 (N - B) / (B (N - 1)): a `Sample` of one change.

    It is the same whichever datapoint goes, to first order.
    """

    of: GradientSample
    batch_size: int  # 1 where batches are drawn with replacement: then it is none

    def scores(self, x: Array, of_f: Array, of_a: Array) -> Array:
        n, b = self.of.datapoints, self.batch_size
        change = (1 - b) / ((n - b) * max(n - 2, 1))
        return np.asarray(of_a @ (change * self.of.to_variance * self.of.moments(x)[1]))[:, None]
