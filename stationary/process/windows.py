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
from stationary.functions.tape.axes import fresh_label
from stationary.functions.tape.plan import Plan
from stationary.functions.tape.running import WIDE, TapeMoments
from stationary.functions.tape.statistics import Moments, Statistics
from stationary.numbers.arithmetic import DOUBLE
from stationary.numbers.chebyshev import chebyshev_sum, nodes_of, rule
from stationary.numbers.cost import CACHE
from stationary.numbers.elementary import distinct
from stationary.numbers.threads import one_thread
from stationary.panels.halving import Judgement, halved

FEWEST, MOST = 8, 20  # points of a piece: of those that are hardly bent, and of all others
LAST = 3  # coefficients that tell whether a polynomial is the row
ROUNDING = 16 * DOUBLE.epsilon  # of a row, or of a sum, to which polynomials are to have fallen
NOISE = 2.0**12 * DOUBLE.epsilon  # below which what does not fall on halves is rounding
LITTLE = 1e-6  # below which it may be more of that, or a corner of which nothing is known
NARROW = 2.0**16  # spacings of doubles: what is less wide is run itself, and not halved
MORE = 4  # times as many pieces as there are places: more are not worth it


class RowPieces:
    """All rows that `rows` has on one node, from `lower` to `upper`, as polynomials in between.

    Where a row goes through hundreds of numbers, as that of a network of ReLUs does, but is little
    more than straight between two of its own corners: it is run in a few points of each piece, and
    not again. What is no polynomial, or may have corners that are not known, might be narrow
    between these points: it is run wherever it is wanted.

    Parameters
    ----------
    places, owners
        Where datapoints turn, or change within very little, and which ones do (-1: any).
    """

    def __init__(
        self, rows: TapeMoments, lower: float, upper: float, places: Array, owners: Array
    ) -> None:
        self.rows, every = rows, np.arange(rows.n)
        self.results = sorted(rows.program.results)
        shared = owners < 0
        k = np.concatenate([every, owners[~shared], np.repeat(every, shared.sum())])
        low = np.concatenate(
            [np.full(rows.n, lower), places[~shared], np.tile(places[shared], rows.n)]
        )
        order = np.lexsort([low, k])
        k, low = k[order], low[order]
        apart = np.diff(low, prepend=-np.inf) > 4 * np.spacing(np.abs(low))
        apart |= np.diff(k, prepend=-1) > 0
        k, low = k[apart], low[apart]
        high = np.where(np.diff(k, append=-1) == 0, np.append(low[1:], upper), upper)
        self._lay()
        carried = k.astype(float), np.full(len(k), np.inf)
        most = MORE * len(k)
        low, high, k, c = halved(self._judge, low, high, carried, max_panels=most)
        order = np.lexsort([low, k])
        self.lower, self.upper, self.c = low[order], high[order], c[..., order]
        self.starts = np.searchsorted(k[order], np.arange(rows.n + 1))
        self.lost = np.isnan(self.c[0, 0])
        there = np.abs(self.c) > 2 * DOUBLE.epsilon * np.abs(self.c).max(axis=1, keepdims=True)
        self.degree = (there.any(axis=0) * np.arange(MOST)[:, None]).max(axis=0)

    def _lay(self) -> None:
        tape, results = self.rows.tape, self.results
        one = results[0]
        if len(results) > 1:
            one = tape.stacked(results, fresh_label(len(results), tape.nodes[one].units))
        size = max(1, CACHE // self.rows.program.width)
        self._at, self._of = np.zeros(size), np.zeros(size, dtype=np.intp)
        self._plan = Plan(tape, [one], self._at, self._of)

    def _values(self, k: Array, x: Array) -> Array:
        """The results of the k-th datapoints at x, shapes (M,): shape (results, M)."""
        size, found = len(self._at), np.empty((len(x), len(self.results)))
        with one_thread, np.errstate(all="ignore"):
            for first in range(0, len(x), size):
                n = min(size, len(x) - first)
                self._at[:n], self._of[:n] = x[first : first + n], k[first : first + n]
                found[first : first + n] = self._plan.run()[:n].reshape(n, -1)
        return found.T

    def _judge(self, low: Array, high: Array, carried: tuple[Array, ...], full: bool) -> Judgement:
        k, before = carried
        c = np.zeros((len(self.results), MOST, len(low)))
        tail, fine = np.zeros(len(low)), np.zeros(len(low), dtype=bool)
        for size in (FEWEST, MOST):
            some = np.flatnonzero(~fine)
            r = rule(size)
            x, offset = nodes_of(low[some], high[some], r)
            v = self._values(np.tile(k[some].astype(int), size), x.ravel())
            v = v.reshape(-1, *x.shape)
            # The node meant and the double next to it differ: move along the slope.
            slopes = np.einsum("ij,rjp->rip", r.slopes, v)
            v = v + slopes * offset / (high[some] - low[some]) * 2
            own = np.einsum("ij,rjp->rip", r.coefficients, v)
            c[:, :size, some], c[:, size:, some] = own, 0
            scale = np.abs(v).max(axis=1)
            last = np.abs(own[:, -LAST:]).max(axis=1) / np.where(scale > 0, scale, 1)
            tail[some] = last.max(axis=0)
            fine[some] = tail[some] <= ROUNDING
            if fine.all():
                break
        stays = 4 * tail >= before
        fine |= (tail <= NOISE) & stays
        narrow = high - low <= NARROW * np.spacing(np.maximum(np.abs(low), np.abs(high)))
        keep = fine | narrow | full | (stays & (tail <= LITTLE))
        c[:, :, keep & ~fine] = np.nan
        return (k, c), keep, ~keep, (k, tail)

    def statistics(self, x: Array, chosen: Array) -> Statistics:
        """Sums over the chosen datapoints at weights x, shape (M,)."""
        piece = np.empty((len(x), len(chosen)), dtype=np.intp)
        for j, k in enumerate(chosen):
            first, last = self.starts[k], self.starts[k + 1]
            piece[:, j] = first + np.searchsorted(self.lower[first + 1 : last], x, side="right")
        run = self.lost[piece].any(axis=0)
        parts = [] if run.all() else [self._sums(x[:, None], piece[:, ~run])]
        if run.any():
            parts.append(self.rows.statistics(x, chosen=chosen[run]))
        return Statistics.together(parts)

    def _sums(self, x: Array, piece: Array) -> Statistics:
        low, high = self.lower[piece], self.upper[piece]
        t = ((x - low) - (high - x)) / (high - low)
        most = int(self.degree[piece].max())
        tables: dict[int | None, Array] = {None: np.zeros(1)}
        for node, c in zip(self.results, self.c, strict=True):
            b, after = c[most][piece], np.zeros(1)
            for row in c[1:most][::-1]:  # Clenshaw's sum
                b, after = 2 * t * b - after + row[piece], b
            tables[node] = c[0][piece] + t * b - after if most else b
        whole = {node: np.broadcast_to(v, piece.shape) for node, v in tables.items()}
        rows, own = self.rows.rows, self.rows.own
        return Statistics.of([whole[r[0]] for r in rows], [whole[o[0]] for o in own])


NODES = 20  # of a window, as of a panel: polynomials that need more are left to its halves
FEW = 24  # datapoints that are run themselves: less than polynomials would cost
WORTH = 4 * NODES  # points in a window, for which its halves are looked at
SCANNED = 64  # as many windows, at least, are looked at as panels of a scan
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
        found = Statistics.joined(parts).combined(lambda v: v[back])
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
            part.far = Statistics.together(parts).combined(lambda v: to_coefficients @ v)
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
        return window.far.combined(lambda c: chebyshev_sum(c[:, None], t, column))


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
