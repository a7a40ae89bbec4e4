"""Moments of very many datapoints whose gradients turn at as many places, as hinges do.

Between two places of turning all is smooth, and there may be a hundred thousand of these: to run
the tape of all datapoints between each two would cost their square. So the line is halved, over and
over. Datapoints that turn nowhere in a window are smooth there: their sums are polynomials,
looked at in `NODES` points. Those that do turn are handed on to its halves, down to so few that
they are run themselves. What is not resolved by a polynomial is handed on, too, so that nothing
rests on where turnings are. Where any datapoint may change within very little, all are handed on
in windows wider than the distance to there.

References
----------
.. [1] L. Greengard and V. Rokhlin, *J. Comput. Phys.* 73 (1987) 325-348 (far from near, by halves).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from stationary.aliases import Array
from stationary.functions.tape.running import WIDE, TapeMoments
from stationary.functions.tape.statistics import Moments, Statistics
from stationary.numbers.arithmetic import DOUBLE
from stationary.numbers.chebyshev import chebyshev_sum, nodes_of, rule
from stationary.numbers.elementary import distinct
from stationary.process.row_pieces import RowPieces

NODES = 20  # of a window, as of a panel: polynomials that need more are left to its halves
FEW = 24  # datapoints that are run themselves: less than polynomials would cost
WORTH = 4 * NODES  # points in a window, for which its halves are looked at
SCANNED = 64  # as many windows, at least, are looked at as panels of a scan
NARROW = 2.0**16  # spacings of doubles: what is less wide is not halved
ROUNDING = 16 * DOUBLE.epsilon  # of what is summed, to which polynomials are to have fallen
ALIKE = 1e-3  # of the largest variance in a window; of squares, below which it is looked at closely


@dataclass(eq=False)
class _Window:
    """A part of the line: what is smooth on it, and who is not, or has not been told to be."""

    lower: float
    upper: float
    near: Array  # the numbers of datapoints
    far: Statistics | None  # of the others, as coefficients
    halves: tuple[_Window, _Window] | None = field(default=None, repr=False)


class Windows:
    """The moments of `rows` that turn at `places` in between, each of one of their datapoints.

    Parameters
    ----------
    rows
        All datapoints on one node of a tape.
    complete
        Whether all places where they turn are known.
    places, owners
        Where datapoints turn, or change within very little, and which ones do (-1: any);
        shapes (K,).
    """

    def __init__(self, rows: TapeMoments, complete: bool, places: Array, owners: Array) -> None:
        order = np.argsort(places, kind="stable")
        self.rows, self.places, self.owners = rows, places[order], owners[order]
        places, self._of_any = self.places, distinct(places[owners < 0])
        self._rule, self._distinct = rule(NODES), distinct(places)
        beyond = np.spacing(np.abs(places).max())
        self._all = _Window(places[0] - beyond, places[-1] + beyond, np.arange(rows.n), None)
        self._widest = (places[-1] - places[0]) / SCANNED
        polynomials = all(rows.tape.is_stepwise(i, polynomial=True) for i in rows.program.results)
        self._in_pieces = complete and polynomials and rows.program.numbers >= WIDE
        self._pieces: RowPieces | None = None

    def __call__(self, x: Array) -> Moments:
        """The moments at weights x, shape (M,), in doubles."""
        order = np.argsort(x, kind="stable")
        ascending = x[order]
        low, high = np.searchsorted(ascending, [self._all.lower, self._all.upper])
        beyond = (ascending[:low], ascending[high:])
        below, above = ([self.rows.statistics(x)] if len(x) else [] for x in beyond)
        parts = [*below, *self._of(self._all, ascending[low:high]), *above]
        back = np.argsort(order, kind="stable")
        found = Statistics.joined(parts).mapped(lambda v: v[back])
        # What is the difference of much larger numbers is not had from polynomials.
        with np.errstate(all="ignore"):
            squares = found.products[0] + found.count * found.own_means[0] ** 2
            close = ~(found.products[0] > ALIKE * squares)
        moments = found.moments()
        return moments.replaced(close, self.rows(x[close], DOUBLE)) if close.any() else moments

    def _of(self, window: _Window, x: Array) -> list[Statistics]:
        """The sums at ascending points of a window, part by part."""
        if not len(x):
            return []
        narrow = window.upper - window.lower <= NARROW * np.spacing(np.abs(x).max())
        if len(window.near) > FEW and len(x) > WORTH and not narrow:
            if window.halves is None:
                window.halves = self._halved(window)
            one, other = window.halves
            at = int(np.searchsorted(x, other.lower))
            return [*self._of(one, x[:at]), *self._of(other, x[at:])]
        parts = [] if window.far is None else [self._far(window, x)]
        if len(window.near):
            parts.append(self._sums(x, window.near))
        return [Statistics.together(parts)]

    def _halved(self, window: _Window) -> tuple[_Window, _Window]:
        """Both halves, each with as many places of turning."""
        lower, upper = window.lower, window.upper
        first, last = np.searchsorted(self._distinct, [lower, upper])
        k, middle = (first + last) // 2, (lower + upper) / 2
        if last - first > 1:
            middle = float(self._distinct[k - 1] + self._distinct[k]) / 2
        if min(middle - lower, upper - middle) < (upper - lower) / NARROW:
            middle = (lower + upper) / 2
        return self._part(window, lower, middle), self._part(window, middle, upper)

    def _part(self, window: _Window, lower: float, upper: float) -> _Window:
        part = _Window(lower, upper, window.near, None)
        width = upper - lower
        first, last = np.searchsorted(self._of_any, [lower - width, upper + width])
        if width > self._widest or first < last:
            return part
        ends = np.array([lower]), np.array([upper])
        x, offset = (np.ravel(v) for v in nodes_of(*ends, self._rule) if v is not None)
        # The node meant and the double next to it differ: move along the slope.
        moved = np.eye(NODES) + self._rule.slopes * (offset / (upper - lower) * 2)[:, None]
        to_coefficients = self._rule.coefficients @ moved
        parts = [] if window.far is None else [self._far(window, x)]
        beyond = 4 * np.spacing(max(abs(lower), abs(upper)))
        inside = slice(*np.searchsorted(self.places, [lower - beyond, upper + beyond]))
        turning = np.isin(window.near, self.owners[inside])
        smooth = window.near[~turning]
        if len(smooth):
            sums = self._sums(x, smooth)
            if _resolved(sums, to_coefficients[-3:], upper - lower):
                parts.append(sums)
                part.near = window.near[turning]
        if parts:
            part.far = Statistics.together(parts).mapped(lambda v: to_coefficients @ v)
        return part

    def _sums(self, x: Array, chosen: Array) -> Statistics:
        """Over some of the datapoints: run, or as the polynomials that they are, where that is
        dear."""
        if not self._in_pieces:
            return self.rows.statistics(x, chosen=chosen)
        if self._pieces is None:
            ends = self._all.lower, self._all.upper
            self._pieces = RowPieces(self.rows, *ends, self.places, self.owners)
        return self._pieces.statistics(x, chosen)

    def _far(self, window: _Window, x: Array) -> Statistics:
        assert window.far is not None
        t = ((x - window.lower) - (window.upper - x)) / (window.upper - window.lower)
        column = np.zeros(len(x), dtype=int)
        return window.far.mapped(lambda c: chebyshev_sum(c[:, None], t, column))


def _resolved(sums: Statistics, last: Array, width: float) -> bool:
    """Whether polynomials are these sums, to rounding, all over their window.

    The sums are those at its nodes, and `last` makes their last coefficients of them.
    """
    squares = sums.products[0] / sums.count
    own = np.sqrt((sums.own_means[0] ** 2 + squares).max())
    if not squares.min() >= ALIKE * squares.max() and squares.max() > (ROUNDING * own) ** 2:
        return False
    for k, values in enumerate(zip(sums.means, sums.own_means, sums.products, strict=True)):
        sizes = np.abs(sums.means[0]).max() + own, own, sums.count * own * own
        for v, size in zip(values, sizes, strict=True):
            if not np.abs(last @ v).max() <= ROUNDING * max(
                np.abs(v).max(), size * (2 / width) ** k
            ):
                return False
    return True
