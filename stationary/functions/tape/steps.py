"""Moments, in many digits, of rows that are steps of the weight but for what all share.

Gradients of |w - c|, of hinges, of Huber's losses far out: between two places where they turn no
row changes but by what all share. So most rows are computed once for each gap between two places;
at each weight it takes those that turn there, and one, which tells what is shared.
"""

from __future__ import annotations

import numpy as np

from stationary.aliases import Array
from stationary.functions.tape.running import TapeMoments
from stationary.functions.tape.statistics import Moments, Statistics
from stationary.numbers.arithmetic import DOUBLE, Arithmetic
from stationary.numbers.elementary import to_float

BESIDE = 64  # spacings of doubles next to a place, within which rows that turn there are computed


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
        self.rows, self.slopes, self.places, self.owners = rows, slopes, places, owners
        self._known: dict[tuple[int, int, int], Statistics | None] = {}

    @property
    def everywhere(self) -> bool:
        """Whether rows are nothing but steps, and what all share."""
        return all(self.rows.tape.is_stepwise(i) for i in self.rows.own[0] if i is not None)

    def __call__(self, x: Array, arithmetic: Arithmetic) -> Moments:
        """The moments at weights x, shape (M,), numbers of the arithmetic."""
        parts, order = [], []
        for place, here in self._gaps(x):
            some, few = x[here], self._turning(place)
            others = self._others(place, some[:1], arithmetic)
            if others is None:
                parts.append(self.rows(some, arithmetic))
            else:
                sums = self.rows.statistics(some, arithmetic, few)
                parts.append(Statistics.together([_moved(others, sums), sums]).moments())
            order.append(here)
        found, back = Moments.joined(parts), np.argsort(np.concatenate(order))
        return found.mapped(lambda v: v[back])

    def are_straight(self, x: Array, arithmetic: Arithmetic) -> Array:
        """Where no row has a slope but what all share, shape (M,)."""
        straight = np.zeros(len(x), dtype=bool)
        for place, here in self._gaps(x):
            known = self._others(place, x[here[:1]], arithmetic) is not None
            few = self._turning(place) if known else None
            straight[here] = self.slopes.are_straight(x[here], arithmetic, few)
        return straight

    def _gaps(self, x: Array) -> list[tuple[tuple[int, int], Array]]:
        """The first place beside each weight and the first one beyond it, and where they are so."""
        near = to_float(x)
        beside = BESIDE * np.spacing(np.abs(near))
        first = np.searchsorted(self.places, near - beside)
        after = np.searchsorted(self.places, near + beside, side="right")
        pairs, which = np.unique(np.stack([first, after]), axis=1, return_inverse=True)
        which = which.ravel()
        return [((int(i), int(j)), np.flatnonzero(which == k)) for k, (i, j) in enumerate(pairs.T)]

    def _turning(self, place: tuple[int, int]) -> Array:
        """The rows that turn there, and the first one."""
        owners = np.union1d(0, self.owners[slice(*place)])
        return np.arange(self.rows.n) if owners[0] < 0 else owners

    def _others(
        self, place: tuple[int, int], x: Array, arithmetic: Arithmetic
    ) -> Statistics | None:
        """The sums over all other rows, the same all over the gap; None if they are not."""
        key = (*place, arithmetic.digits)
        if key not in self._known:
            others = np.setdiff1d(np.arange(self.rows.n), self._turning(place))
            flat = len(others) and self.slopes.are_straight(to_float(x), DOUBLE, others).all()
            sums = self.rows.statistics(x, arithmetic, others) if flat else None
            self._known[key] = sums
        return self._known[key]


def _moved(others: Statistics, sums: Statistics) -> Statistics:
    """The sums at one weight at those of others: what is shared is seen in any of the rows."""
    like = 0 * sums.own_means[0]
    own = [like + o for o in others.own_means]
    means = [o + (m - k) for o, m, k in zip(own, sums.means, sums.own_means, strict=True)]
    products = [like + p for p in others.products]
    return Statistics(others.count, means, own, products, like + others.sizes)
