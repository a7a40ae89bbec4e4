"""Markov chains taken apart without subtraction: right in every component however small it is.

Gaussian elimination on 1 - P loses small probabilities to the subtraction from 1. Grassmann,
Taksar and Heyman take the diagonal from the row's other entries instead: then nothing is ever
subtracted, and every component is right to a few roundings relative to itself. Here that is done
for blocks of states, from both ends towards the one in which the walker mostly is. The matrix lies
in a band, as wide as a step is long and a block, and is taken apart in place. What the walker does
from there on until it leaves may take longer, or be rarer, than doubles hold: vectors are
logarithms.

References
----------
.. [1] W. K. Grassmann, M. I. Taksar, D. P. Heyman, *Operations Research* 33 (1985) 1107.
.. [2] C. A. O'Cinneide, *Numerische Mathematik* 65 (1993) 109: the error of each component.
"""

from __future__ import annotations

import math

import numpy as np

from stationary.aliases import Array
from stationary.chain.links import Links
from stationary.numbers.arithmetic import EPSILON
from stationary.numbers.threads import one_thread

UNDERFLOW = 1e-305  # below this 5e-324, the distance of doubles there, costs digits
BLOCK = 32  # states of a block, at least, for products of matrices to be worth it;
BLOCKS = 8  # and where a step leads farther, into how many its reach is cut
LOST = 1e-12  # relative: what LAPACK may lose of a block before it is done without

Parts = list[tuple[slice, slice]]  # states of a block, and those beside it that are linked then


def blocks_of(links: Links, towards: int = 0) -> Parts:
    """The blocks, as they are eliminated one after the other, and what their states lead to."""
    n, far = links.n, np.arange(links.n)
    near, size = far.copy(), max(BLOCK, links.reach // BLOCKS)
    for i, j in ((links.rows, links.columns), (links.columns, links.rows)):
        np.maximum.at(far, i, j)
        np.minimum.at(near, i, j)
    far = np.maximum.accumulate(far)
    parts = []
    for a in range(0, towards, size):
        b = min(a + size, towards)
        parts.append((slice(a, b), slice(b, max(int(far[b - 1]) + 1, b))))
    if parts:  # what these leave behind is linked all among each other
        near[towards : parts[-1][1].stop] = towards
    near = np.maximum(np.minimum.accumulate(near[::-1])[::-1], towards)
    for b in range(n, towards + 1, -size):
        a = max(b - size, towards + 1)
        parts.append((slice(a, b), slice(min(int(near[a]), a), a)))
    return parts


class Elimination:
    """1 - P taken apart, for a chain that is left in the end, or for one that never is.

    The diagonal of P is taken to be what the rest of the row leaves.

    Parameters
    ----------
    links, leaving
        P, shape (n, n), and the probability to leave from each state, shape (n,).
    towards
        The state that is left last: best where the walker mostly is, since a state that is
        eliminated must be left for one that stays.

    Attributes
    ----------
    parts
        Blocks and those beside them, (1 - P)^-1 inside, the links ahead, and the visits to the
        block from each state that is eliminated later.
    sound
        False where a state is left for others less often than doubles hold.
    """

    @one_thread
    def __init__(self, links: Links, leaving: Array, towards: int = 0) -> None:
        self.n, self.last, self.sound = links.n, towards, True
        waiting = blocks_of(links, towards)[::-1]
        spans = (max(own.stop, on.stop) - min(own.start, on.start) for own, on in waiting)
        wide = max(spans, default=1)
        self.stride = 2 * wide
        self.band = np.zeros(self.n * (self.stride + 1))
        self.band[links.rows * self.stride + links.columns + wide] = links.values
        with np.errstate(divide="ignore"):
            self.log_leaving = np.log(leaving)
        self.parts: list[tuple[slice, slice, Array, Array, Array]] = []
        with np.errstate(all="ignore"):  # `sound` tells
            while waiting:
                self._eliminate(*waiting.pop(), waiting)

    def _eliminate(self, own: slice, on: slice, waiting: Parts) -> None:
        """A block, or where it spans too many decades its halves, before what is waiting."""
        inside, ahead, back = self._at(own, own), self._at(own, on), self._at(on, own)
        out = self.log_leaving[own]
        inverse = _inverse(inside, ahead.sum(axis=1) + np.exp(out))
        visits = back if inverse is None else back @ inverse
        most = visits.max(axis=0, initial=0.0)
        told = bool(((most > UNDERFLOW) & (most < math.inf)).all()) or not back.any()
        if inverse is None or not told:
            middle = (own.start + own.stop) // 2
            low, high = slice(own.start, middle), slice(middle, own.stop)
            if own.start == middle:
                self.sound = False
            elif own.start < self.last:
                waiting += [(high, on), (low, slice(middle, on.stop))]
            else:
                waiting += [(low, on), (high, slice(on.start, middle))]
            return
        between = self._at(on, on)
        between += visits @ ahead
        if out.max() > -math.inf:
            self.log_leaving[on] = np.logaddexp(self.log_leaving[on], _log_sums(out, visits.T))
        inside[...], back[...] = inverse, visits
        self.parts.append((own, on, inside, ahead, back))

    def _at(self, rows: slice, columns: slice) -> Array:
        """A view of the matrix."""
        first = rows.start * self.stride + columns.start + self.stride // 2
        shape = rows.stop - rows.start, columns.stop - columns.start
        return np.ndarray(shape, float, self.band, 8 * first, (8 * self.stride, 8))

    @one_thread
    @np.errstate(all="ignore")
    def solved(self, source: Array) -> Array:
        """log of x = P x + source, (n,), of the log of a source; as it is where doubles hold it."""
        top = source.max()
        x = np.exp(source - top)
        for own, on, _, _, visits in self.parts:
            x[on] += visits @ x[own]
        x[self.last] /= np.exp(self.log_leaving[self.last])
        for own, on, inverse, ahead, _ in reversed(self.parts):
            x[own] = inverse @ (x[own] + ahead @ x[on])
        if x.min() > UNDERFLOW and x.max() < math.inf:
            return np.asarray(np.log(x) + top)
        x = source.copy()
        for own, on, _, _, visits in self.parts:
            x[on] = np.logaddexp(x[on], _log_sums(x[own], visits.T))
        if self.log_leaving[self.last] > -math.inf:
            x[self.last] -= self.log_leaving[self.last]
        elif x[self.last] > -math.inf:
            x[self.last] = math.inf
        for own, on, inverse, ahead, _ in reversed(self.parts):
            into = np.logaddexp(x[own], _log_sums(x[on], ahead.T))
            x[own] = _log_sums(into, inverse.T)
        return np.asarray(x)

    @one_thread
    def log_stationary(self) -> Array:
        """log of the stationary vector of an irreducible chain that is never left, shape (n,)."""
        x = np.zeros(self.n)
        with np.errstate(all="ignore"):
            for own, on, _, _, visits in reversed(self.parts):
                x[own] = _log_sums(x[on], visits)
            x -= x.max()
            return np.asarray(x - np.log(np.exp(x).sum()))


def absorbed(links: Links, owner: Array, count: int, likely: Array) -> tuple[Array, Array, bool]:
    """How likely each state ends in each class, (n, K), and log of the mean steps until then, (n,).

    And whether doubles hold them. `owner` is the class of each column, or -1, and `likely`, (n,),
    is largest where the walker mostly is.
    """
    n = links.n
    ends = (owner[:, None] == np.arange(count)).astype(float)
    table, steps, going = ends[:n].copy(), np.full(n, -math.inf), np.flatnonzero(owner[:n] < 0)
    if not len(going):
        return table, steps, True
    arrives = np.array([links.before(column)[going] for column in ends.T])
    mostly = int(np.argmax(likely[going]))
    parts = Elimination(links.among(going, going), arrives.sum(axis=0), mostly)
    with np.errstate(all="ignore"):  # what is never left is not known
        found = np.array([parts.solved(source) for source in np.log(arrives)])
        steps[going] = parts.solved(np.zeros(len(going)))
        whole = np.logaddexp.reduce(found)
        known = np.isfinite(whole)
        table[going] = np.where(known, np.exp(found - whole), 0.0).T
    return table, steps, parts.sound and bool(known.all())


def _log_sums(x: Array, table: Array) -> Array:
    """log of exp(x) @ table, where x may span any number of decades."""
    top = x.max(initial=-math.inf)
    if top == -math.inf:
        return np.full(table.shape[1], -math.inf)
    if top == math.inf:
        endless = x == math.inf
        found = _log_sums(np.where(endless, -math.inf, x), table)
        return np.where((table[endless] > 0).any(axis=0), math.inf, found)
    plain = np.exp(x - top) @ table
    found = np.log(plain) + top
    weak = ~(plain > UNDERFLOW)
    if weak.any():
        terms = x[:, None] + np.log(table[:, weak])
        high = terms.max(axis=0)
        high = np.where(np.isfinite(high), high, 0.0)
        found[weak] = high + np.log(np.exp(terms - high).sum(axis=0))
    return np.asarray(found)


def _inverse(inside: Array, leaving: Array) -> Array | None:
    """(1 - P)^-1 of a block from its off-diagonals and what leaves; None where doubles lose it.

    Off the diagonal LAPACK only adds numbers of one sign, as long as it swaps no rows: in the
    transposed matrix the diagonal dominates its column, by four roundings more than it is, which
    are taken away again to first order. What subtractions on the diagonal cost shows in
    (1 - P)^-1 leaving = 1.
    """
    n = len(inside)
    if n == 1:
        return 1 / leaving[:, None] if leaving[0] > UNDERFLOW else None
    i = np.arange(n)
    matrix = -inside.T
    matrix[i, i] = 0.0
    diagonal = leaving - matrix.sum(axis=0)
    more = 4 * EPSILON * diagonal
    matrix[i, i] = diagonal + more
    try:
        result = np.linalg.inv(matrix).T
    except np.linalg.LinAlgError:  # it is singular as doubles see it
        return None
    result += (result * more) @ result
    right = np.abs(result @ leaving - 1).max() < LOST and result.min() >= 0
    return result if right else None
