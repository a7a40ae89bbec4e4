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

import numpy as np

from stationary.aliases import Array
from stationary.chain.elimination import Elimination, blocks_of
from stationary.chain.links import Links
from stationary.errors import ConvergenceError
from stationary.numbers.threads import one_thread

# In nanoseconds: the elimination of a block, for each product and for itself; cycles.
PRODUCT, OVERHEAD = 0.25, 6e4
CYCLE, LINK = 7e5, 60.0  # and for each link
FEWEST, MOST = 12, 200  # cycles that are expected, and combined (Anderson); and made at most
# States that become one, where a step reaches farther than the square of that: nearer, mass does
# not settle at once.
JOINED = 4
COARSEST = 40  # states that are not joined any further
BEFORE, AFTER = 1, 8  # steps of Jacobi's on the way down, and on the way back
SETTLED = 1e-11  # change of the logarithm of every component in one cycle, if nothing is said
PLAIN = 600.0  # range of logarithms that doubles hold without them
BALANCED = 1e-8  # change of a law in one step that is none
WEIGHT = 0.9  # of a new value in a step of Jacobi's: with 1, chains of two colours never settle


def log_stationary(links: Links, guess: Array | None = None, settled: float = SETTLED) -> Array:
    """log of the stationary vector of an irreducible chain, shape (n,).

    Parameters
    ----------
    links
        Its diagonal is taken to be what the rest of the row leaves.
    guess
        Logarithms to begin with, shape (n,), finite.
    settled
        How well each logarithm is to be known, where it is iterated.

    Raises
    ------
    ConvergenceError
        If nothing that was found is stationary.
    """
    n, quick = links.n, is_iterated(links)
    start = np.zeros(n) if guess is None else guess

    def by_levels() -> Array | None:
        return _by_levels(links, start, settled, 4 * FEWEST if quick else MOST)

    def eliminated() -> Array | None:
        return _eliminated(links, start)

    for way in (by_levels, eliminated) if quick else (eliminated, by_levels):
        x = way()
        if x is not None and _unbalanced(links, x) < BALANCED + settled:
            return x
    raise ConvergenceError(
        f"no law of the chain on {n} cells was found that its steps keep. Ask for another number "
        "of cells, or for the limit of small steps alone (--no-chain)."
    )


def irreducible(links: Links, guess: Array | None = None) -> Array | None:
    """log of the stationary vector where elimination is cheap, and shows that there is no other.

    A closed class without the state that is left last is never left: its pivots are 0. What the
    walker leaves for good has no mass. None in either case.
    """
    x = (
        None
        if is_iterated(links)
        else _eliminated(links, np.zeros(links.n) if guess is None else guess)
    )
    known = x is not None and np.isfinite(x).all() and _unbalanced(links, x) < BALANCED
    return x if known else None


def _eliminated(links: Links, guess: Array) -> Array | None:
    parts = Elimination(links, np.zeros(links.n), int(np.argmax(guess)))
    return parts.log_stationary() if parts.sound else None


def is_iterated(links: Links) -> bool:
    """Whether iteration is expected to be cheaper than elimination."""
    parts = blocks_of(links)
    sizes = np.array([(x.stop - x.start, y.stop - y.start) for x, y in parts]).reshape(-1, 2)
    cost = OVERHEAD * len(sizes) + PRODUCT * float(sizes.prod(axis=1) @ sizes.sum(axis=1))
    return bool(cost > FEWEST * (CYCLE + LINK * len(links)))


def _unbalanced(links: Links, x: Array) -> float:
    """By how much one step changes a law; nan where it is none."""
    p = np.exp(x)
    stays = links.diagonal
    flow = links.after(p) - stays * p - (links.sums() - stays) * p
    return float(np.abs(flow).sum() + abs(p.sum() - 1))


class _Level:
    """The places of the links of a chain, and those of links between groups of its states."""

    def __init__(self, links: Links) -> None:
        self.links = links
        self.starts = np.arange(0, links.n, JOINED)
        self.group = np.arange(links.n) // JOINED
        groups = len(self.starts)
        row, column = links.rows // JOINED, links.columns // JOINED
        self.out = np.flatnonzero(row != column)
        key = row[self.out] * groups + column[self.out]
        key, self.place = np.unique(key, return_inverse=True)
        self.next = Links(*np.divmod(key, groups), np.ones(len(key)), groups, groups)

    def smoothed(self, links: Array, x: Array, times: int) -> Array:
        """Steps of Jacobi's, for the ratio to x: what flows in over what flows out."""
        top = x.max()
        plain = top - x.min() < PLAIN
        rows, columns, n = self.links.rows, self.links.columns, self.links.n
        kept = WEIGHT / np.bincount(rows, links, n)
        into = self.links.with_values(links if plain else links * np.exp(x[rows] - x[columns]))
        y = np.exp(x - top) if plain else np.ones(n)
        for _ in range(times):
            y = (1 - WEIGHT) * y + kept * into.after(y)
        return np.asarray(np.log(y) + (top if plain else x))

    def joined(self, links: Array, x: Array) -> tuple[Array, Array]:
        """The links between groups, each state weighted as x says, and the groups' logarithms."""
        top = np.maximum.reduceat(x, self.starts)
        weight = np.exp(x - top[self.group])
        total = np.add.reduceat(weight, self.starts)
        flow = links * (weight / total[self.group])[self.links.rows]
        between = np.bincount(self.place, flow[self.out], len(self.next))
        return between, top + np.log(total)


@one_thread
def _by_levels(chain: Links, x: Array, settled: float, cycles: int) -> Array | None:
    off = (chain.rows != chain.columns) & (chain.values > 0)
    n, parts = chain.n, (chain.rows[off], chain.columns[off], chain.values[off])
    links = Links(*parts, n, n)
    if n < 2 or not all(np.bincount(x, minlength=n).all() for x in (links.rows, links.columns)):
        return None
    levels, coarsest = [], links
    while coarsest.n > COARSEST and coarsest.reach > JOINED**2:
        levels.append(_Level(coarsest))
        coarsest = levels[-1].next
    after, moved = np.empty((0, len(x))), np.empty((0, len(x)))
    with np.errstate(all="ignore"):  # what is not finite is not taken
        for _ in range(cycles):
            new = _cycle(levels, coarsest, links.values, x)
            new = new - new.max()
            change = np.abs(new - x).max()
            if not np.isfinite(change):
                return None
            if change < settled:
                return np.asarray(new - np.log(np.exp(new).sum()))
            after, moved = np.vstack([new, after[:FEWEST]]), np.vstack([new - x, moved[:FEWEST]])
            x = new
            if len(after) > 1 and change < 1:  # where all that is left is linear
                share = np.linalg.lstsq((moved[0] - moved[1:]).T, moved[0], rcond=1e-10)[0]
                if np.abs(share).sum() < 10:
                    x = new - share @ (new - after[1:])
                    x = x - x.max()
    return None


def _cycle(levels: list[_Level], coarsest: Links, links: Array, x: Array) -> Array:
    if not levels:
        whole = coarsest.with_values(links)
        return Elimination(whole, np.zeros(whole.n), int(np.argmax(x))).log_stationary()
    level = levels[0]
    x = level.smoothed(links, x, BEFORE)
    between, groups = level.joined(links, x)
    better = _cycle(levels[1:], coarsest, between, groups)
    return level.smoothed(links, x + (better - groups)[level.group], AFTER)
