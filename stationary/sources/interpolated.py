"""Gradients of datapoints at a few weights: each is interpolated, then moments are taken.

With b(w) the weights of the interpolation, S2(w) = b(w)' C b(w) = |R b(w)|^2, where C = R' R is
the covariance of the gradients between the knots: exact for the interpolated gradients, never
negative, and of a cost that does not grow with the number of datapoints. Losses, where these
are known beside the gradients, tell the mean of each gradient from one knot to the next.

Gradients that jump, as those of ReLU, or have corners make splines swing from knot to knot.
Straight lines, which know of nothing beyond two knots, follow these better. There a datapoint
jumps by how far its slope stands out beside those of the two intervals next to it; where between
the knots is not known. Its d^2 (d: from the mean gradient), on average over all places where it
may jump, is t (1 - t) times the square of the jump above that of the line, at a share t of the way:
S2 has that added to it. Nothing else is biased.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any

import numpy as np

from stationary.aliases import Array, Function
from stationary.functions.evaluation import composed
from stationary.functions.interpolation import Spline, degree_for, interpolating
from stationary.functions.taylor import Taylor
from stationary.numbers.cost import MEMORY
from stationary.numbers.elementary import distinct, to_float
from stationary.numbers.threads import one_thread
from stationary.process.known import KnownGradients, Shared
from stationary.sources.between import LOOKS, THIRD, kept_of, left_out, pace, unknown

DEGREE = 5  # of splines through what was measured once and for all
UNTOLD = 0.1  # of S2, from where on rows may be straight lines as well as what splines make of them
DRAWN = 1  # seed of the places at which datapoints jump otherwise
ROUNDED = 2.0**-49  # of a mean gradient: what a datapoint is off by rounding alone


@dataclass(frozen=True, eq=False)
class Interpolated:
    """The gradients (n, N) of N datapoints at n weights x, and their moments in between.

    `floor` is the standard deviation of the rounding of a single gradient, `of_losses` that of a
    loss, and `caution` by how much more than it says the error is known to be. Of errors a `share`
    is left where they add up from knot to knot; `signed` is whether degrees tell their signs.
    """

    x: Array
    gradients: Array
    floor: float = 0.0
    degree: int = DEGREE
    caution: float = 1.0
    share: float = 1.0
    signed: bool = False
    losses: Array | None = None  # (n, N), each up to a constant
    of_losses: float = 0.0
    lines: Array | None = None  # (n - 1,): between which knots lines are taken in place of splines

    @classmethod
    def through(
        cls, x: Array, gradients: Array, floor: float, degree: int, **more: Any
    ) -> Interpolated:
        """By straight lines where these follow better what is left out, of some knots around."""
        made = cls(x, gradients, floor, degree, **more)
        if len(x) <= degree + THIRD + 1:
            return made
        rows = np.column_stack([made._mean, made._root.T])

        def missed(rows: Array, k: int) -> Array:
            told = left_out(x, lambda kept: Spline.through(x[kept], kept_of(rows, kept), k))
            off = np.linalg.norm(told - rows[: len(x)], axis=1)
            return np.convolve(off, np.ones(2 * THIRD), "valid")

        straight = missed(rows[: len(x)], 1)
        lines = np.pad(straight < missed(rows, degree), THIRD - 1, mode="edge")
        return replace(made, lines=lines) if lines.any() else made

    def once(self) -> Interpolated:
        """Where nothing more is measured: between lines, splines follow better by chance over fewer
        gaps than are looked at, so that there lines are taken, too."""
        from scipy.ndimage import grey_closing

        if self.lines is None:
            return self
        lines = grey_closing(self.lines.astype(float), (2 * THIRD,), mode="nearest")
        return replace(self, lines=lines > 0)

    @cached_property
    def _straight(self) -> Straight | None:
        if self.lines is None:
            return None
        mean, spread = self._mean[: len(self.x)], self._root.T[: len(self.x)]
        return Straight.of(self.x, self.lines, self.gradients, mean, spread)

    @cached_property
    def knots(self) -> Array:
        """Where errors may change their sign: at weights inside, and halfway between those between
        which they are none on average, as losses tell."""
        if self.losses is None:
            return self.x[1:-1]
        halfway = self.x[:-1] + np.diff(self.x) / 2
        return distinct(self.x[1:-1], halfway if self.lines is None else halfway[~self.lines])

    @cached_property
    def _data(self) -> Array:
        """All that is known of each datapoint: the gradients, and below them losses."""
        if self.losses is None:
            return self.gradients
        return np.concatenate([self.gradients, self.losses - self.losses[0]])

    @cached_property
    def _mean(self) -> Array:
        return np.asarray(self._data.mean(axis=1, dtype=float))

    @cached_property
    def _root(self) -> Array:
        """R (r, n) with R' R the covariance between knots, by orthogonal steps alone.

        Of what is known of losses, too: (r, 2 n).
        """
        n, count = self._data.shape
        size = max(n, MEMORY // n)
        root: Array = np.empty((0, n))
        for i in range(0, count, size):
            off = _deviations(self._data[:, i : i + size], self._mean).T
            with one_thread:
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
        return self._through(np.eye(len(self._data)))

    def rows(self, w: Any) -> Any:
        """The interpolated gradients, shape (N, M); of doubles, or a series of them."""
        if isinstance(w, Taylor):
            parts = self._basis.taylor(to_float(w.value), w.order)
            return composed([self._data.T @ b.T for b in parts], w)
        return self._data.T @ self._basis.taylor(to_float(np.atleast_1d(w)))[0].T

    @cached_property
    def otherwise(self) -> tuple[Function, ...]:
        """Rows as they may be just as well.

        Of lines each datapoint jumps at an end, drawn for it, or at the other one: one that
        decides by itself is at both. Splines that do not know S2 may as well be straight lines.
        """
        if self.lines is None:
            w = np.linspace(self.x[:-1], self.x[1:], LOOKS).ravel()
            told = (self.error(w)[1] < UNTOLD * self.variance(w)).all()
            return () if told else (replace(self, degree=1).rows,)
        x, off = self.x, _deviations(self.gradients, self._mean[: len(self.x)])
        slopes = np.diff(off, axis=0) / np.diff(x)[:, None]
        jump = np.where(self.lines[:, None], _standing_out(slopes) * np.diff(x)[:, None], 0.0)
        drawn = np.random.default_rng(DRAWN).integers(0, 2, size=jump.shape)

        def rows(w: Any, place: Array) -> Any:
            i = np.clip(x.searchsorted(to_float(w)) - 1, 0, len(x) - 2)
            share = (w - x[i]) / (x[i + 1] - x[i])
            return self.rows(w) - (share - (to_float(share)[:, None] > place[i]).T) * jump[i].T

        return tuple(partial(rows, place=place) for place in (drawn, 1 - drawn))

    @cached_property
    def _local(self) -> tuple[Array, Array, Array]:
        """Coefficients by B-splines, each datapoint's in a row; and on each cell, which of them
        are the first of the few that count there, and the powers of their weights."""
        x, made = self.x, interpolating(self.x, np.eye(len(self._data)), self.degree)
        degree, first = made.k, made.t.searchsorted(self.x[:-1], side="right") - 1 - made.k
        basis, parts = type(made)(made.t, np.eye(len(made.c)), degree), [made.c @ self._data]
        powers = [basis(x[:-1], nu=m) / math.factorial(m) for m in range(degree, -1, -1)]
        few = (first[:, None] + np.arange(degree + 1))[None]
        weights = np.take_along_axis(np.stack(powers), few, axis=2)
        if (on := self.lines) is not None:  # there, they are the gradients at both ends
            parts += [self.gradients, np.zeros((degree, self.gradients.shape[1]))]
            first = np.where(on, len(made.c) + np.arange(len(first)), first)
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
        size = max(1, MEMORY // len(self._data))
        for i in range(0, found.shape[1], size):
            off = self._data[:, i : i + size].T - self._mean
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
        rough = self.rough(w, self.moments(w)[1])
        unknown = self._on_lines(w, *(of(w) for of in self._between_degrees))
        of_g, of_s = (
            self.caution * e + r / self.share for e, r in zip(unknown, rough, strict=True)
        )
        return of_g, of_s

    def changes(self, w: Array) -> Array:
        """What each of three degrees changes, from the one below on, of G and S2: (3, 2, M)."""
        made = [[self._through(r, k) for r in (self._mean, self._root.T)] for k in (2, 0, -2, -4)]
        return np.diff([(g(w), root.square(w)) for g, root in made], axis=0)

    def _on_lines(self, w: Array, of_g: Array, of_s: Array) -> tuple[Array, Array]:
        """Errors of splines, with those of lines where there are lines."""
        if self._straight is None:
            return of_g, of_s
        of_g, of_s = self._straight.errors(w, self.share * of_g, self.share * of_s)
        return of_g / self.share, of_s / self.share

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
            unknown(x, mean, self.degree, falls=falls, least=single, share=self.share),
            unknown(x, root, self.degree, lambda s: s.square, falls, squared, self.share),
        )

    def rough(self, w: Array, square: Array) -> tuple[Array, Array]:
        """What rounding of the gradients, and of losses, may do to G and S2 at w."""
        gap = np.clip(self.x.searchsorted(w) - 1, 0, len(self.x) - 2)
        floor = self.floor + math.sqrt(2) * self.of_losses / np.diff(self.x)[gap]
        return floor, floor * (2 * np.sqrt(square) + floor)


def _deviations(rows: Array, mean: Array) -> Array:
    """Of (n, N) from the mean (n,), which of equal ones is not always what they are."""
    off = rows - mean[:, None]
    off[np.abs(off) <= ROUNDED * np.abs(mean)[:, None]] = 0.0
    return np.asarray(off)


def known_from(table: Interpolated, **given: Any) -> KnownGradients:
    """What a `Landscape` takes; `given` are more fields of it."""
    fields: dict[str, Any] = {
        "mean": table.mean,
        "variance": table.variance,
        "datapoints": table.gradients.shape[1],
        "domain": (float(table.x[0]), float(table.x[-1])),
        "knots": table.knots,
        "rows": table.rows,
        "each": table,
        "drawn": table.drawn,
        "otherwise": table.otherwise,
        "error": Shared(table.error, table.share, table.changes if table.signed else None),
    } | given
    return KnownGradients(**fields)


# -- straight lines, and what they leave out of gradients that jump or have corners ---------------

SOMEWHERE = 0.25  # of a jump, the error next to it: 1 / sqrt(12) on average, and 1/2 at most
CORNER = 3.0  # times what a parabola leaves of a line, which a corner may leave with `SPREAD`


@dataclass(frozen=True, eq=False)
class Straight:
    """Between each knot x and the next: parabolas of G and of R, what jumps, and what that adds.

    `lines` says where these are taken.
    """

    x: Array
    lines: Array
    bend_of_mean: Array  # (n - 1, 1), second derivatives
    bend_of_spread: Array  # (n - 1, r)
    spread: Spline
    jump_of_mean: Array
    jump_of_square: Array
    more: Spline

    @classmethod
    def of(cls, x: Array, lines: Array, gradients: Array, mean: Array, spread: Array) -> Straight:
        """Of the gradients (n, N) at x, their mean (n,) and R' (n, r)."""
        of_g, of_s, squares = _jumps(x, gradients, mean)
        width, squares = np.diff(x), np.where(lines, squares, 0.0)
        more = np.stack([-squares / width**2, squares / width, 0 * width])
        return cls(
            x,
            lines,
            _bend(x, mean[:, None]),
            _bend(x, spread),
            Spline.through(x, spread, 1),
            of_g,
            of_s,
            Spline(x, more),
        )

    def errors(self, w: Array, of_g: Array, of_s: Array) -> tuple[Array, Array]:
        """What is not known of G and S2 on lines, of either sign; elsewhere what is given."""
        i = np.clip(self.x.searchsorted(w) - 1, 0, len(self.x) - 2)
        shape = (CORNER / 2 * (w - self.x[i]) * (self.x[i + 1] - w))[:, None]
        bent_g = np.abs(shape * self.bend_of_mean[i])[:, 0]
        off = shape * self.bend_of_spread[i]
        bent_s = np.abs((2 * self.spread(w) * off).sum(axis=1)) + (off**2).sum(axis=1)
        here = self.lines[i]
        return (
            np.where(here, np.maximum(bent_g, SOMEWHERE * self.jump_of_mean[i]), of_g),
            np.where(here, np.maximum(bent_s, SOMEWHERE * self.jump_of_square[i]), of_s),
        )


def _bend(x: Array, rows: Array) -> Array:
    """Second derivatives (n - 1, r) between knots, from the side where there are smaller ones."""
    slope = np.diff(rows, axis=0) / np.diff(x)[:, None]
    bend = 2 * np.diff(slope, axis=0) / (x[2:] - x[:-2])[:, None]
    bend = bend[[0, *range(len(bend)), -1]]
    size = np.linalg.norm(bend, axis=1)
    return np.asarray(np.where((size[1:] < size[:-1])[:, None], bend[1:], bend[:-1]))


def _jumps(x: Array, gradients: Array, mean: Array) -> tuple[Array, Array, Array]:
    """Of G and of S2 between knots; and the mean of the squares of jumps.

    Those of different datapoints, in d, are at places of their own; what all share is in G.
    """
    n, width = gradients.shape[1], np.diff(x)[:, None]
    sums = np.zeros((3, len(width)))
    size = max(1, MEMORY // len(x))
    for i in range(0, n, size):
        off = _deviations(gradients[:, i : i + size], mean)
        jump = _standing_out(np.diff(off, axis=0) / width) * width
        pull = jump * (off[1:] + off[:-1])  # d^2 at the middle changes by 2 d times the jump
        sums += [(jump**2).sum(axis=1), pull.sum(axis=1), (pull**2).sum(axis=1)]
    squares, shared, alone = sums
    of_mean = np.abs(_standing_out(np.diff(mean)[:, None] / width) * width)[:, 0]
    return (
        np.maximum(of_mean, np.sqrt(squares) / n),
        np.maximum(np.abs(shared), np.sqrt(alone)) / n,
        squares / n,
    )


def _standing_out(slope: Array) -> Array:
    """By how much slopes (n - 1, M) are steeper than both beside them, or less steep; else 0."""
    apart = np.diff(slope, axis=0)
    before, after = apart[[0, *range(len(apart))]], -apart[[*range(len(apart)), -1]]
    before[0], after[-1] = after[0], before[-1]  # the outermost have one side alone
    with np.errstate(divide="ignore", invalid="ignore"):  # the harmonic mean, 0 where one is
        return np.where(before * after > 0, 2 / (1 / before + 1 / after), 0.0)
