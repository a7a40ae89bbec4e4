"""Gradients of datapoints at a few weights: each is interpolated, then moments are taken.

With b(w) the weights of the interpolation, S2(w) = b(w)' C b(w) = |R b(w)|^2, where C = R' R is
the covariance of the gradients between the knots: exact for the interpolated gradients, never
negative, and of a cost that does not grow with the number of datapoints.

Gradients that jump, as those of ReLU, or have corners make splines swing from knot to knot.
Straight lines, which know of nothing beyond two knots, follow these better: see
`stationary.sources.straight`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from stationary.aliases import Array, Function
from stationary.functions.evaluation import composed
from stationary.functions.interpolation import Spline, degree_for
from stationary.functions.taylor import Taylor
from stationary.numbers.cost import MEMORY
from stationary.numbers.elementary import to_float
from stationary.process.known import SPREAD, KnownGradients
from stationary.sources.straight import Straight

DEGREE = 5  # of splines through what was measured once and for all
FURTHER = 5.0  # times a difference between two degrees, at most, that higher ones make of it
FALLING = 0.6  # of a difference between degrees, which higher ones leave of corners and jumps
ASIDE = 1.6  # times less than what is missed of a knot is on either side of a jump alone, or more
CORNERED = 0.4  # of what is missed over twice the gap, at least, corners leave over one
AROUND = 9  # knots, over which what is missed is looked at: a corner alone shows in fewer than half
BESIDE = 1.7  # times less than what is missed of a knot is between knots of corners everywhere
ROUNDED = 2.0**-49  # of a mean gradient: what a datapoint is off by rounding alone
LOOKS = 8  # points between two knots at which splines of different degrees are compared
THIRD = 3  # of so many knots one is left out, to see how others tell of it


@dataclass(frozen=True, eq=False)
class Interpolated:
    """The gradients (n, N) of N datapoints at n weights x, and their moments in between.

    `floor` is the standard deviation of the rounding of a single gradient, and `caution` by how
    much more than it says the error is known to be.
    """

    x: Array
    gradients: Array
    floor: float = 0.0
    degree: int = DEGREE
    caution: float = 1.0
    lines: Array | None = None  # (n - 1,): between which knots lines are taken in place of splines

    @classmethod
    def through(cls, x: Array, gradients: Array, floor: float, degree: int) -> Interpolated:
        """By straight lines where these follow better what is left out, of some knots around."""
        made = cls(x, gradients, floor, degree)
        if len(x) <= degree + THIRD + 1:
            return made
        rows = np.column_stack([made._mean, made._root.T])

        def missed(k: int) -> Array:
            told = _left_out(x, lambda kept: Spline.through(x[kept], rows[kept], k))
            return np.convolve(np.linalg.norm(told - rows, axis=1), np.ones(2 * THIRD), "valid")

        lines = np.pad(missed(1) < missed(degree), THIRD - 1, mode="edge")
        return replace(made, lines=lines) if lines.any() else made

    @cached_property
    def _straight(self) -> Straight | None:
        if self.lines is None:
            return None
        return Straight.of(self.x, self.lines, self.gradients, self._mean, self._root.T)

    @cached_property
    def _mean(self) -> Array:
        return np.asarray(self.gradients.mean(axis=1, dtype=float))

    @cached_property
    def _root(self) -> Array:
        """R (r, n) with R' R the covariance between knots, by orthogonal steps alone."""
        n, count = self.gradients.shape
        size = max(n, MEMORY // n)
        root: Array = np.empty((0, n))
        for i in range(0, count, size):
            off = self.gradients[:, i : i + size].T - self._mean
            off[np.abs(off) <= ROUNDED * np.abs(self._mean)] = 0.0  # of equal ones, the mean is not
            root = np.asarray(np.linalg.qr(np.concatenate([root, off]), mode="r"))
        return np.asarray(root / np.sqrt(count))

    def _through(self, rows: Array, fewer: int = 0) -> Spline:
        spline = Spline.through(self.x, rows, self.degree - fewer)
        return spline if self.lines is None else spline.straightened(self.lines)

    @cached_property
    def mean(self) -> Spline:
        """G."""
        return self._through(self._mean)

    @cached_property
    def _spread(self) -> Spline:
        """R b: the sum of its squares is S2, but for what jumps add."""
        return self._through(self._root.T)

    @cached_property
    def variance(self) -> Function:
        """S2."""
        square, straight = self._spread.square, self._straight
        return square if straight is None else lambda w: square(w) + straight.more(w)

    @cached_property
    def _basis(self) -> Spline:
        return self._through(np.eye(len(self.x)))

    def rows(self, w: Any) -> Any:
        """The interpolated gradients, shape (N, M); of doubles, or a series of them."""
        if isinstance(w, Taylor):
            parts = self._basis.taylor(to_float(w.value), w.order)
            return composed([self.gradients.T @ b.T for b in parts], w)
        return self.gradients.T @ self._basis.taylor(to_float(np.atleast_1d(w)))[0].T

    @cached_property
    def _local(self) -> tuple[Array, Array, Array]:
        """Coefficients by B-splines, each datapoint's in a row; and on each cell, which of them
        are the first of the few that count there, and the powers of their weights."""
        from scipy.interpolate import make_interp_spline

        x, degree = self.x, degree_for(len(self.x), self.degree)
        made = make_interp_spline(x, np.eye(len(x)), k=degree)
        first = made.t.searchsorted(x[:-1], side="right") - 1 - degree
        basis, parts = type(made)(made.t, np.eye(len(x)), degree), [made.c @ self.gradients]
        powers = [basis(x[:-1], nu=m) / math.factorial(m) for m in range(degree, -1, -1)]
        few = (first[:, None] + np.arange(degree + 1))[None]
        weights = np.take_along_axis(np.stack(powers), few, axis=2)
        if (on := self.lines) is not None:  # there, they are the gradients at both ends
            parts += [self.gradients, np.zeros((degree, self.gradients.shape[1]))]
            first = np.where(on, len(x) + np.arange(len(first)), first)
            weights[:, on] = 0.0
            weights[-1, on, 0] = 1.0
            weights[-2, on, :2] = np.array([-1, 1]) / np.diff(x)[on, None]
        return np.concatenate(parts).T.copy(), first, weights

    def drawn(self, index: Array, w: Array) -> Array:
        """The gradients of datapoints `index`, shape (..., M), at w, (M,): only these cost."""
        rows, first, weights = self._local
        cell = np.clip(self.x.searchsorted(w, side="right") - 1, 0, len(first) - 1)
        step, c = (w - self.x[cell])[:, None], weights[0][cell]
        for power in weights[1:]:
            c = c * step + power[cell]
        at = index * rows.shape[1] + first[cell]
        return np.asarray(sum(c[:, k] * rows.ravel().take(at + k) for k in range(c.shape[1])))

    def scores(self, x: Array, of_g: Array, of_s: Array) -> Array:
        """As `stationary.process.known.Sample`, of G and S2: one change for each datapoint.

        It is linear and quadratic in its gradients at the knots, whatever the number of points x.
        """
        b = self._basis.taylor(x)[0]
        linear, quadratic = of_g @ b, [b.T @ (row[:, None] * b) for row in of_s]
        whole = of_s @ self._spread.square(x)
        found = np.empty((len(of_g), self.gradients.shape[1]))
        size = max(1, MEMORY // len(self.x))
        for i in range(0, found.shape[1], size):
            off = self.gradients[:, i : i + size].T - self._mean
            for q, (a, c) in enumerate(zip(linear, quadratic, strict=True)):
                found[q, i : i + size] = off @ a + ((off @ c) * off).sum(axis=1) - whole[q]
        return found / found.shape[1]

    def moments(self, w: Array) -> tuple[Array, Array]:
        """G and S2 at w."""
        return self.mean(w), self.variance(w)

    def coarse(self, w: Array) -> tuple[Array, Array]:
        """By how much what is coarser would move G and S2: where more knots would help."""
        g, s = self._through(self._mean, 2)(w), self._through(self._root.T, 2).square(w)
        return self._on_lines(w, np.abs(g - self.mean(w)), np.abs(s - self._spread.square(w)))

    def error(self, w: Array) -> tuple[Array, Array]:
        """What other degrees would make of G and S2, and what rounding may have; bounds."""
        rough = self.rough(self.moments(w)[1])
        unknown = self._on_lines(w, *(of(w) for of in self._between_degrees))
        of_g, of_s = (self.caution * e + r for e, r in zip(unknown, rough, strict=True))
        return of_g, of_s

    def _on_lines(self, w: Array, of_g: Array, of_s: Array) -> tuple[Array, Array]:
        """Errors of splines, with those of lines where there are lines."""
        return (of_g, of_s) if self._straight is None else self._straight.errors(w, of_g, of_s)

    @cached_property
    def _between_degrees(self) -> tuple[Function, Function]:
        x, mean, root = self.x, self._mean, self._root.T
        own, more = (Spline.through(x, root, degree_for(len(x), self.degree + k)) for k in (0, 2))
        each = math.sqrt(self.gradients.shape[1])

        def single(w: Array) -> Array:
            """What is left of the mean where each datapoint is off by itself."""
            return np.asarray(np.linalg.norm(more(w) - own(w), axis=1) / each)

        def squared(w: Array) -> Array:
            return np.asarray(2 * np.sqrt(self._spread.square(w)) * single(w))

        falls = pace(x, np.column_stack([mean, root]), self.degree)
        return (
            unknown(x, mean, self.degree, falls=falls, least=single),
            unknown(x, root, self.degree, lambda spline: spline.square, falls, squared),
        )

    def rough(self, square: Array) -> tuple[Array, Array]:
        """What rounding of the gradients may do to G and S2."""
        return np.full(square.shape, self.floor), self.floor * (2 * np.sqrt(square) + self.floor)


def unknown(
    x: Array,
    rows: Array,
    degree: int,
    function: Callable[[Spline], Function] = lambda s: s,
    falls: Array | None = None,
    least: Function | None = None,
) -> Function:
    """What is not known between the places x of a function of a spline through rows; bounds.

    Splines of two degrees more follow functions better where places are close enough for them;
    where they are not, these swing, and two degrees less say more. Two of them may agree by
    chance: it `falls` no faster than the `pace` of all rows. Corners and jumps no degree follows:
    see `_beyond`.
    """

    def through(kept: Array, k: int) -> Function:
        return function(Spline.through(x[kept], rows[kept], k))

    every = np.ones(len(x), dtype=bool)
    own, at = degree_for(len(x), degree), _between(x)
    plain, lower = through(every, own), through(every, max(own - 2, 1))

    def apart(other: Function, w: Array) -> Array:
        return np.asarray(np.abs(other(w) - plain(w)))

    if (more := degree_for(len(x), degree + 2)) == own:
        return lambda w: apart(lower, w)
    higher, missed, many = through(every, more), np.zeros(len(x)), np.zeros(len(x))
    if len(x) > 2 * degree:
        missed, farther = (
            np.abs(_left_out(x, lambda kept: through(kept, degree), gaps) - plain(x))
            for gaps in (1, 2)
        )
        many = _everywhere(missed, farther)
    missed, many = (np.maximum(e[1:], e[:-1]) for e in (missed, many))
    share = _alone(x, rows.reshape(len(x), -1))
    falls = pace(x, rows.reshape(len(x), -1), degree) if falls is None else falls
    factor, corners = _beyond(apart(lower, at), missed, share, falls)
    corners = np.maximum(corners, many)

    def error(w: Array) -> Array:
        i = np.clip(x.searchsorted(w) - 1, 0, len(x) - 2)
        off = np.maximum(apart(higher, w), np.minimum(falls[i], 1) * apart(lower, w))
        if least is not None:
            off = np.maximum(off, least(w))
        return np.asarray(np.maximum(off * factor[i], corners[i]))

    return error


def pace(x: Array, rows: Array, degree: int) -> Array:
    """Between two places each, what two more degrees leave of a difference between two degrees.

    Of all columns of the rows (n, R) together: that of one alone may be next to 0 by chance.
    """
    own, at = degree_for(len(x), degree), _between(x)
    less, plain, more = (
        Spline.through(x, rows, k)(at)
        for k in (max(own - 2, 1), own, degree_for(len(x), degree + 2))
    )
    high, low = (_largest(np.linalg.norm(other - plain, axis=1)) for other in (more, less))
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.nan_to_num(high / low, nan=0.0, posinf=np.inf)


def _left_out(x: Array, through: Callable[[Array], Function], gaps: int = 1) -> Array:
    """What functions make of each of the places x without it, and without all that are not so many
    gaps away from it; of both ends as they are."""
    found = np.asarray(through(np.ones(len(x), dtype=bool))(x))
    for k in range(THIRD * gaps):
        own = np.zeros(len(x), dtype=bool)
        own[1 + k : -1 : THIRD * gaps] = True
        out = np.convolve(own, np.ones(2 * gaps - 1), "same") > 0
        out[[0, -1]] = False
        found[own] = through(~out)(x[own])
    return found


def _between(x: Array) -> Array:
    """Points between each knot and the next, at which splines are compared."""
    share = (np.arange(LOOKS) + 0.5) / LOOKS
    return np.asarray((x[:-1, None] + np.diff(x)[:, None] * share).ravel())


def _largest(values: Array) -> Array:
    """The largest between two knots each, of values at points between knots."""
    return np.asarray(values.reshape(-1, LOOKS).max(axis=1))


def _beyond(low: Array, missed: Array, share: Array, falls: Array) -> tuple[Array, Array]:
    """Between two knots each: the error over what a higher degree differs by, and its least.

    `low` is what a spline of a lower degree differs by at points between knots, `missed` what is
    missed where knots are left out, and `falls` the `pace`. What still higher degrees would add is
    a geometric series; where the higher one differs more than the lower one, the difference is
    that of the latter. A jump or a corner splines of all degrees miss alike: where differences do
    not fall, there is the `share` of what is missed that stands alone; half of it on either side,
    and it is summed up with no other (as `SPREAD` takes it to be).
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        series = 1 / np.maximum(1 - falls, 1 / FURTHER)
        other = np.clip(missed / _largest(low), 1.0, FURTHER) / falls
        factor = np.nan_to_num(np.where(falls < 1, series, other), nan=1.0, posinf=1.0)
    near = np.pad(falls, 1)
    near = np.maximum(falls, np.maximum(near[:-2], near[2:]))
    return factor, missed * share * np.minimum(near / FALLING, 1) ** 2 / (ASIDE * SPREAD)


def _everywhere(missed: Array, farther: Array) -> Array:
    """At each knot: what corners that are everywhere, as those of many hinges, leave between knots.

    Given what is `missed` of a knot that is left out, and what is missed where those next to it
    are left out, too. Of corners both are as large as what is missed between knots, within a few
    times; of what is smooth the first is a small part of the second. By medians over knots around:
    a corner or a jump alone does not count (see `_alone`).
    """
    from scipy.ndimage import median_filter

    missed, farther = (
        median_filter(np.pad(e[1:-1], 1, mode="edge"), AROUND, mode="nearest")
        for e in (missed, farther)
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.nan_to_num(missed / (CORNERED * farther), nan=0.0, posinf=1.0)
    return np.asarray(missed / (BESIDE * SPREAD) * np.minimum(share, 1) ** 2)


def _alone(x: Array, values: Array) -> Array:
    """Between two knots each, how far third differences of values (n, R) stand out there.

    From 0 to 1, where they are twice those next to it or more: a jump or a corner is in the three
    of them that hold its place, whatever its size, and in no other.
    """
    d = values
    for k in range(1, min(4, len(x))):
        d = np.diff(d, axis=0) / (x[k:] - x[:-k])[:, None]
    n, size = len(x) - 1, np.pad(np.sqrt((d**2).sum(axis=1)), 1, mode="edge")
    padded = np.pad(size, 3)
    beside = np.max([padded[k : k + n] for k in (0, 1, 5, 6)], axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.minimum(np.nan_to_num(size / beside, posinf=2.0) / 2, 1) ** 4)


def known_from(table: Interpolated, **given: Any) -> KnownGradients:
    """What a `Landscape` takes; `given` are more fields of it."""
    fields: dict[str, Any] = {
        "mean": table.mean,
        "variance": table.variance,
        "datapoints": table.gradients.shape[1],
        "domain": (float(table.x[0]), float(table.x[-1])),
        "knots": table.x[1:-1],
        "rows": table.rows,
        "each": table,
        "drawn": table.drawn,
        "error": table.error,
    }
    return KnownGradients(**(fields | given))
