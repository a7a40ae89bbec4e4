"""Rows of a tape as polynomials, for each datapoint between the places where it turns.

Where a row goes through hundreds of numbers, as that of a network of ReLUs does, but is little more
than straight between two of its own corners: it is run in a few points of each piece, and not
again. What is no polynomial, or may have corners that are not known, might be narrow between these
points: it is run wherever it is wanted.
"""

from __future__ import annotations

import numpy as np

from stationary.aliases import Array
from stationary.functions.tape.axes import fresh_label
from stationary.functions.tape.plan import Plan
from stationary.functions.tape.running import TapeMoments
from stationary.functions.tape.statistics import Statistics
from stationary.numbers.arithmetic import DOUBLE
from stationary.numbers.chebyshev import nodes_of, rule
from stationary.numbers.cost import CACHE
from stationary.numbers.threads import one_thread
from stationary.panels.halving import Judgement, halved

FEWEST, MOST = 8, 20  # points of a piece: of those that are hardly bent, and of all others
LAST = 3  # coefficients that tell whether a polynomial is the row
ROUNDING = 16 * DOUBLE.epsilon  # of a row on its piece, to which these are to have fallen
NOISE = 2.0**12 * DOUBLE.epsilon  # below which what does not fall on halves is rounding
LITTLE = 1e-6  # below which it may be more of that, or a corner of which nothing is known
NARROW = 2.0**16  # spacings of doubles: what is less wide is run itself
MORE = 4  # times as many pieces as there are places: more are not worth it


class RowPieces:
    """All rows that `rows` has on one node, from `lower` to `upper`.

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
