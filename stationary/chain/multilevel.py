"""The stationary vector of a chain on cells: directly, or by aggregation on ever wider cells.

Where a step reaches over many cells a chain is expensive to eliminate, but forgets within a few
steps how its mass lies among neighbouring cells. Then neighbours are joined in fours, again and
again, each weighted as the current vector weighs them; the widest are solved by elimination, and
on the way back every level is smoothed. All vectors are logarithms, and are multiplied rather than
added to, so that masses of 1e-300 settle as fast as others. Of the last few cycles the combination
with the least change is taken.

References
----------
.. [1] G. Horton, S. T. Leutenegger, *ACM SIGMETRICS* 22 (1994) 191: a multi-level solution
   algorithm for steady-state Markov chains.
.. [2] D. G. Anderson, *Journal of the ACM* 12 (1965) 547: iterations combined.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from stationary.chain.elimination import IN_LOGS, Elimination, band_of, stationary_in_logs

__all__ = ["log_stationary"]

Array = NDArray[Any]

# A cycle takes as long as the elimination of so many states times the square of their reach, and of
# LINK for each link: about a nanosecond each.
CYCLE, LINK = 1.3e6, 40.0
FEWEST, MOST = 15, 200  # cycles that are expected, and made
JOINED = 4  # states that become one
COARSEST = 12  # states that are not joined any further, nor are those of which
LINKED = 16  # a step reaches no more: within these, mass does not settle at once
BEFORE, AFTER = 1, 4  # steps of Jacobi's on the way down, and on the way back
MIXED = 5  # cycles of which the best combination is taken (Anderson)
SETTLED = 1e-11  # change of the logarithm of every component in one cycle, if nothing is said
PLAIN = 600.0  # range of logarithms that doubles hold without them
WEIGHT = 0.9  # of a new value in a step of Jacobi's: with 1, chains of two colours never settle


def log_stationary(
    matrix: Any, guess: Array | None = None, settled: float = SETTLED
) -> tuple[Array, bool]:
    """log of the stationary vector of an irreducible chain, and whether it is right.

    Parameters
    ----------
    matrix
        Shape (n, n), sparse: P[i, j] is the probability to go from i to j. Its diagonal is
        taken to be what the rest of the row leaves.
    guess
        Logarithms to begin with, shape (n,), finite.
    settled
        How well each logarithm is to be known, where it is iterated.

    Returns
    -------
    tuple
        The logarithms, shape (n,), normalised; False where so many states are linked by
        probabilities beyond 1e-290 that nothing can be done about it.
    """
    n = matrix.shape[0]
    cycles = int(n * band_of(matrix) ** 2 / (CYCLE + LINK * matrix.nnz))  # in the time to eliminate
    start = np.zeros(n) if guess is None else guess
    if cycles > FEWEST:
        x = _by_levels(matrix, start, settled, min(2 * cycles, MOST))
        if x is not None:
            return x, True
    peak = 0 if guess is None else int(np.argmax(guess))
    parts = Elimination.of(matrix, np.zeros(n), peak)
    x = parts.log_stationary()
    if parts.sound:
        return x, True
    if n * band_of(matrix) ** 2 <= IN_LOGS:
        return stationary_in_logs(matrix), True
    by_levels = _by_levels(matrix, start, settled, MOST) if cycles <= FEWEST else None
    if by_levels is not None:  # its numbers are ratios of neighbours, which doubles hold
        return by_levels, True
    known = np.isfinite(x) & (x > -1e300)
    x = np.where(known, x, -np.inf) if known.any() else start
    return x - np.logaddexp.reduce(x), False


class _Level:
    """The links of a chain, by rows, and those between groups of its states."""

    def __init__(self, rows: Array, columns: Array, n: int) -> None:
        self.rows, self.columns, self.n = rows, columns, n
        self.begins = np.searchsorted(rows, np.arange(n + 1))
        self.into = sp.csc_array((np.ones(len(rows)), columns, self.begins), shape=(n, n))
        self.starts = np.arange(0, n, JOINED)
        self.group = np.arange(n) // JOINED
        groups = len(self.starts)
        key = rows // JOINED * groups + columns // JOINED
        self.out = np.flatnonzero(rows // JOINED != columns // JOINED)
        key, self.place = np.unique(key[self.out], return_inverse=True)
        self.next = key // groups, key % groups, groups

    def smoothed(self, links: Array, x: Array, times: int) -> Array:
        """Steps of Jacobi's, for the ratio to x: what flows in over what flows out."""
        top = x.max()
        plain = top - x.min() < PLAIN
        self.into.data = links if plain else links * np.exp(x[self.rows] - x[self.columns])
        kept = WEIGHT / np.add.reduceat(links, self.begins[:-1])
        y = np.exp(x - top) if plain else np.ones(self.n)
        for _ in range(times):
            y = (1 - WEIGHT) * y + kept * (self.into @ y)
        return np.asarray(np.log(y) + (top if plain else x))

    def joined(self, links: Array, x: Array) -> tuple[Array, Array]:
        """The links between groups, each state weighted as x says, and the groups' logarithms."""
        top = np.maximum.reduceat(x, self.starts)
        weight = np.exp(x - top[self.group])
        total = np.add.reduceat(weight, self.starts)
        flow = links * (weight / total[self.group])[self.rows]
        between = np.bincount(self.place, flow[self.out], len(self.next[0]))
        return between, top + np.log(total)


def _by_levels(matrix: Any, x: Array, settled: float, cycles: int) -> Array | None:
    coo = matrix.tocoo()
    off = (coo.row != coo.col) & (coo.data > 0)
    rows, columns, n = coo.row[off].astype(np.int64), coo.col[off].astype(np.int64), coo.shape[0]
    links = coo.data[off]
    if (np.diff(rows) < 0).any():
        order = np.argsort(rows, kind="stable")
        rows, columns, links = rows[order], columns[order], links[order]
    levels = []
    while n > COARSEST and int(np.abs(rows - columns).max()) > LINKED:
        levels.append(_Level(rows, columns, n))
        rows, columns, n = levels[-1].next
    after, moved = np.empty((0, len(x))), np.empty((0, len(x)))
    with np.errstate(all="ignore"):  # what is not finite is not taken
        for _ in range(cycles):
            new = _cycle(levels, (rows, columns, n), links, x)
            new = new - new.max()
            change = np.abs(new - x).max()
            if not np.isfinite(change):
                return None
            if change < settled:
                return np.asarray(new - np.log(np.exp(new).sum()))
            after, moved = np.vstack([new, after[:MIXED]]), np.vstack([new - x, moved[:MIXED]])
            x = new
            if len(after) > 1 and change < 1:  # where all that is left is linear
                share = np.linalg.lstsq((moved[0] - moved[1:]).T, moved[0], rcond=1e-10)[0]
                if np.abs(share).sum() < 10:
                    x = new - share @ (new - after[1:])
                    x = x - x.max()
    return None


def _cycle(
    levels: list[_Level], coarsest: tuple[Array, Array, int], links: Array, x: Array
) -> Array:
    if not levels:
        rows, columns, n = coarsest
        whole = sp.csr_array((links, (rows, columns)), shape=(n, n))
        return Elimination.of(whole, np.zeros(n), int(np.argmax(x))).log_stationary()
    level = levels[0]
    x = level.smoothed(links, x, BEFORE)
    between, groups = level.joined(links, x)
    better = _cycle(levels[1:], coarsest, between, groups)
    return level.smoothed(links, x + (better - groups)[level.group], AFTER)
