"""Moments, in many digits, of rows that are steps of the weight but for what all share.

Gradients of |w - c|, of hinges, of Huber's losses far out: between two places where they turn no
row changes but by what all share. So the places are halved, over and over: rows that turn at none
of some, and have no slope there, are computed once for all of these, and the others handed on to
both halves. At each weight few are left, of which one tells what is shared.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from stationary.aliases import Array
from stationary.functions.tape.running import Program, TapeMoments, rows_at
from stationary.functions.tape.statistics import Moments, Statistics
from stationary.numbers.arithmetic import Arithmetic
from stationary.numbers.elementary import distinct, to_float

BESIDE = 64  # spacings of doubles next to a place, within which rows that turn there are computed
BOTH = 2  # places that either half has, so that a weight beside so many is in one of them
FEW = 32  # places that are not halved: a call in many digits costs more than so many rows


class Steps:
    """The moments of `rows`, of which `slopes` are those of a higher order.

    Parameters
    ----------
    rows, slopes
        All datapoints on one node of a tape, without and with derivatives.
    places, owners
        All places where datapoints turn, ascending, and which ones do (-1: any); shapes (K,).
    """

    def __init__(
        self, rows: TapeMoments, slopes: TapeMoments, places: Array, owners: Array
    ) -> None:
        self.rows, self.slopes, self.owners = rows, slopes, owners
        self.places, self._starts = np.unique(places, return_index=True)
        self._slope = slopes.own[1][0]
        self._program = None if self._slope is None else Program(slopes.tape, [self._slope])
        self._known: dict[tuple[int, int, int], tuple[Array, Statistics | None]] = {}

    @property
    def everywhere(self) -> bool:
        """Whether rows are nothing but steps, and what all share."""
        return all(self.rows.tape.is_stepwise(i) for i in self.rows.own[0] if i is not None)

    def __call__(self, x: Array, arithmetic: Arithmetic) -> Moments:
        """The moments at weights x, shape (M,), numbers of the arithmetic."""
        parts, order = [], []
        for moving, others, here in self._apart(x, arithmetic):
            sums = self.rows.statistics(x[here], arithmetic, moving)
            both = [sums] if others is None else [_moved(others, sums), sums]
            parts.append(Statistics.together(both).moments())
            order.append(here)
        found, back = Moments.joined(parts), np.argsort(np.concatenate(order))
        return found.combined(lambda v: v[back])

    def are_straight(self, x: Array, arithmetic: Arithmetic) -> Array:
        """Where no row has a slope but what all share, shape (M,)."""
        straight = np.zeros(len(x), dtype=bool)
        for moving, _, here in self._apart(x, arithmetic):
            straight[here] = self.slopes.are_straight(x[here], arithmetic, moving)
        return straight

    def _apart(
        self, x: Array, arithmetic: Arithmetic
    ) -> Iterator[tuple[Array, Statistics | None, Array]]:
        """Weights beside few places: the rows that may move there, sums over the others, and which
        weights these are."""
        near = to_float(x)
        beside = BESIDE * np.spacing(np.abs(near))
        first = np.searchsorted(self.places, near - beside)  # beside each, and the one beyond it
        after = np.searchsorted(self.places, near + beside, side="right")
        waiting: list[tuple[int, int, Array, Statistics | None, Array]]
        waiting = [(0, len(self.places), np.arange(self.rows.n), None, np.arange(len(x)))]
        while waiting:
            low, high, moving, sums, here = waiting.pop()
            if not len(here):
                continue
            key = low, high, arithmetic.digits
            if key not in self._known:
                self._known[key] = self._told(low, high, moving, sums, x[here[:1]], arithmetic)
            moving, sums = self._known[key]
            middle = (low + high) // 2
            if high - low <= FEW:
                yield moving, sums, here
                continue
            left = after[here] <= middle + BOTH
            right = ~left & (first[here] >= middle - BOTH)
            waiting += [
                (low, middle + BOTH, moving, sums, here[left]),
                (middle - BOTH, high, moving, sums, here[right]),
            ]
            if not (left | right).all():
                yield moving, sums, here[~(left | right)]

    def _told(
        self,
        low: int,
        high: int,
        moving: Array,
        sums: Statistics | None,
        x: Array,
        arithmetic: Arithmetic,
    ) -> tuple[Array, Statistics | None]:
        """Which of the rows move around the places from `low` to `high`, and sums over the others,
        as they are at a weight x, shape (1,)."""
        still = np.setdiff1d(moving, self._turning(low, high))
        if len(still) and self._program and self._slope is not None:
            slopes = rows_at(self._program, [self._slope], self.rows.n, to_float(x), still)
            still = still[slopes[:, 0] == 0]
        if not len(still):
            return moving, sums
        more = self.rows.statistics(x, arithmetic, still)
        moving = np.setdiff1d(moving, still)
        return moving, more if sums is None else Statistics.together([sums, more])

    def _turning(self, first: int, after: int) -> Array:
        """The rows that turn at some of the places, and the first one."""
        if first == after:
            return np.array([0])
        last = self._starts[after] if after < len(self._starts) else None
        owners = distinct(0, self.owners[self._starts[first] : last])
        return np.arange(self.rows.n) if owners[0] < 0 else owners


def _moved(others: Statistics, sums: Statistics) -> Statistics:
    """The sums at one weight at those of others: what is shared is seen in any of the rows."""
    like = 0 * sums.own_means[0]
    own = [like + o for o in others.own_means]
    means = [o + (m - k) for o, m, k in zip(own, sums.means, sums.own_means, strict=True)]
    products = [like + p for p in others.products]
    sizes = like + others.sizes
    return Statistics(others.count, tuple(means), tuple(own), tuple(products), sizes)
