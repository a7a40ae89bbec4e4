"""Markov chains taken apart without subtraction: right in every component however small it is.

Gaussian elimination on 1 - P loses small probabilities to the subtraction from 1. Grassmann,
Taksar and Heyman take the diagonal from the row's other entries instead: then nothing is ever
subtracted, and every component is right to a few roundings relative to itself. Here states lie in
blocks so long that a step leads no farther than to the next; these are eliminated one after the
other, from both ends towards the block in which the walker mostly is.

References
----------
.. [1] W. K. Grassmann, M. I. Taksar, D. P. Heyman, *Operations Research* 33 (1985) 1107.
.. [2] C. A. O'Cinneide, *Numerische Mathematik* 65 (1993) 109: the error of each component.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from stationary.aliases import Array
from stationary.chain.links import Links
from stationary.numbers.arithmetic import EPSILON

IN_LOGS = 4e7  # states times the square of the reach that can be gone through in logarithms
UNDERFLOW = 1e-290  # below this a double loses digits, and then everything
PLAIN = 600.0  # range of logarithms that doubles hold without them
BLOCK = 32  # states of a block, at least, for products of matrices to be worth it
SMALL = 48  # states that are as well eliminated one by one
LOST = 1e-12  # relative: what LAPACK may lose of a block before it is done without


def blocks_of(links: Links, least: int = BLOCK) -> Array:
    """Where blocks begin, and n: what leads from one leads to it, or to one beside it."""
    n = links.n
    far = np.arange(n)
    np.maximum.at(far, links.rows, links.columns)
    np.maximum.at(far, links.columns, links.rows)
    next_ = (np.maximum.accumulate(far) + 1).tolist()
    edges, last = [0], min(least, n)
    while last < n:
        edges.append(last)
        last = max(min(last + least, n), next_[last - 1])
    return np.array([*edges, n])


@dataclass(eq=False)
class Elimination:
    """1 - P taken apart, for a chain that is left in the end, or for one that never is.

    Attributes
    ----------
    edges
        Of the blocks, and of which of them is left.
    inverse, upper, lower
        (1 - P)^-1 inside each block that went, and its links to the next and the one before.
    visits
        Of the states of each, from the one that is eliminated after it.
    sound
        False where probabilities beyond 1e-290 matter, which doubles cannot hold.
    """

    edges: Array
    kept: int
    towards: int  # in the block that is left
    inner: Array = field(default_factory=lambda: np.empty(0))
    leaving: Array = field(default_factory=lambda: np.empty(0))
    inverse: list[Array] = field(default_factory=list)
    upper: list[Array] = field(default_factory=list)
    lower: list[Array] = field(default_factory=list)
    visits: list[Array] = field(default_factory=list)
    sound: bool = True

    @classmethod
    def of(
        cls, links: Links, leaving: Array, towards: int = 0, edges: Array | None = None
    ) -> Elimination:
        """For P, shape (n, n), and the probability to leave from each state, shape (n,).

        The diagonal of P is taken to be what the rest of the row leaves. The block with the state
        `towards` is left last: best where the walker mostly is, since a state that is eliminated
        must be left for one that stays. What short blocks hold spans fewer decades, so that these
        are the second try.
        """
        e = blocks_of(links) if edges is None else edges
        m = len(e) - 1
        keep = int(np.searchsorted(e, towards, side="right")) - 1
        self = cls(e, keep, towards - int(e[keep]))
        begins, e_ = links.starts[e].tolist(), e.tolist()
        inner = []
        for k in range(m):
            on = slice(begins[k], begins[k + 1])
            low, high = e_[max(k - 1, 0)], e_[min(k + 2, m)]
            whole = np.zeros((e_[k + 1] - e_[k], high - low))
            whole[links.rows[on] - e_[k], links.columns[on] - low] = links.values[on]
            a, b = e_[k] - low, e_[k + 1] - low
            self.lower.append(whole[:, :a])
            inner.append(whole[:, a:b])
            self.upper.append(whole[:, b:])
        out = [leaving[e_[k] : e_[k + 1]] for k in range(m)]
        self.inverse, self.visits = [np.empty(0)] * m, [np.empty(0)] * m
        with np.errstate(all="ignore"):  # `sound` tells
            for k in (*range(keep), *range(m - 1, keep, -1)):
                on, ahead, back = (
                    (k + 1, self.upper[k], self.lower[k + 1])
                    if k < keep
                    else (k - 1, self.lower[k], self.upper[k - 1])
                )
                inverse, least = _inverse(inner[k], ahead.sum(axis=1) + out[k])
                self.inverse[k], self.visits[k] = inverse, back @ inverse
                inner[on] = inner[on] + self.visits[k] @ ahead
                out[on] = out[on] + self.visits[k] @ out[k]
                self.sound &= bool(least > UNDERFLOW and np.isfinite(self.visits[k]).all())
        self.inner, self.leaving = inner[keep], out[keep]
        if not self.sound and edges is None:
            short = blocks_of(links, 1)
            if len(short) > len(e):
                return cls.of(links, leaving, towards, short)
        return self

    @cached_property
    def _last(self) -> Array:
        """(1 - P)^-1 of the block that is left."""
        inverse, least = _inverse(self.inner, self.leaving)
        self.sound &= bool(least > UNDERFLOW)
        return inverse

    def solve(self, source: Array) -> Array:
        """x = P x + source, for a source that is nowhere negative, shape (n, k)."""
        e, m = self.edges.tolist(), len(self.edges) - 1
        x = [source[e[k] : e[k + 1]] for k in range(m)]
        with np.errstate(all="ignore"):
            for k in (*range(self.kept), *range(m - 1, self.kept, -1)):
                on = k + 1 if k < self.kept else k - 1
                x[on] = x[on] + self.visits[k] @ x[k]
            x[self.kept] = self._last @ x[self.kept]
            for k in range(self.kept - 1, -1, -1):
                x[k] = self.inverse[k] @ (x[k] + self.upper[k] @ x[k + 1])
            for k in range(self.kept + 1, m):
                x[k] = self.inverse[k] @ (x[k] + self.lower[k] @ x[k - 1])
        return np.concatenate(x)

    def log_stationary(self) -> Array:
        """log of the stationary vector of an irreducible chain that is never left, shape (n,)."""
        m = len(self.edges) - 1
        with np.errstate(all="ignore"):
            visits = _visits(self.inner, self.towards)
            self.sound &= bool(visits.min() > UNDERFLOW and np.isfinite(visits).all())
            x = [np.log(visits)] * m
            for k in range(self.kept - 1, -1, -1):
                x[k] = _log_sums(x[k + 1], self.visits[k])
            for k in range(self.kept + 1, m):
                x[k] = _log_sums(x[k - 1], self.visits[k])
            found = np.concatenate(x)
            found = found - found.max()
            return np.asarray(found - np.log(np.exp(found).sum()))


def _log_sums(x: Array, table: Array) -> Array:
    """log of exp(x) @ table, where x may span any number of decades."""
    top = x.max()
    if top - x.min() < PLAIN:
        plain = np.exp(x - top) @ table
        if plain.min() > UNDERFLOW:
            return np.asarray(np.log(plain) + top)
    terms = x[:, None] + np.log(table)
    high = terms.max(axis=0)
    high = np.where(np.isfinite(high), high, 0.0)
    return np.asarray(high + np.log(np.exp(terms - high).sum(axis=0)))


def _inverse(inside: Array, leaving: Array) -> tuple[Array, float]:
    """(1 - P)^-1 of a block from its off-diagonals and what leaves, and the least pivot.

    Off the diagonal LAPACK only adds numbers of one sign, as long as it swaps no rows: in the
    transposed matrix the diagonal dominates its column, by four roundings more than it is. What
    these and subtractions on the diagonal cost shows in (1 - P)^-1 leaving = 1. A block in which
    that is too much is halved, and its first half eliminated.
    """
    n = len(inside)
    if n < 2:
        pivot = np.maximum(leaving, 5e-324)
        return (1 / pivot)[:, None] * np.ones((1, n)), float(pivot.min(initial=math.inf))
    i = np.arange(n)
    matrix = -inside.T
    matrix[i, i] = 0.0
    matrix[i, i] = (leaving - matrix.sum(axis=0)) * (1 + 4 * EPSILON)
    try:
        result = np.linalg.inv(matrix).T
        if np.abs(result @ leaving - 1).max() < LOST and result.min() >= 0:
            return result, math.inf
    except np.linalg.LinAlgError:  # it is singular as doubles see it
        pass
    a, z = slice(0, n // 2), slice(n // 2, n)
    first, least = _inverse(inside[a, a], leaving[a] + inside[a, z].sum(axis=1))
    back = inside[z, a] @ first
    second, other = _inverse(inside[z, z] + back @ inside[a, z], leaving[z] + back @ leaving[a])
    result, ahead = np.empty((n, n)), first @ inside[a, z]
    result[z, z], result[z, a], result[a, z] = second, second @ back, ahead @ second
    result[a, a] = first + ahead @ result[z, a]
    return result, min(least, other)


def _visits(inside: Array, at: int) -> Array:
    """How often a chain that is never left is in each state until it is back in one."""
    n = len(inside)
    others = np.delete(np.arange(n), at)
    if n > SMALL:
        inverse, least = _inverse(inside[np.ix_(others, others)], inside[others, at])
        found = inside[at, others] @ inverse
        return np.insert(found if least > UNDERFLOW else found * math.nan, at, 1.0)
    order = np.append(at, others)
    p = inside[np.ix_(order, order)]
    for k in range(n - 1, 0, -1):
        p[:k, k] /= p[k, :k].sum()
        p[:k, :k] += p[:k, k, None] * p[k, :k]
    x = np.ones(n)
    for k in range(1, n):
        x[k] = x[:k] @ p[:k, k]
    found = np.empty(n)
    found[order] = x
    return found


# State by state, in logarithms: slower by far, but nothing is too small.


def _taken_apart(links: Links, leaving: Array, source: Array) -> tuple[Array, Array, Array]:
    """log of P with all but the first state eliminated, last first; what leaves, the source."""
    with np.errstate(divide="ignore"):
        p, leaving, source = (np.log(x) for x in (links.dense(), leaving, source))
    with np.errstate(invalid="ignore"):
        for k in range(len(p) - 1, 0, -1):
            near = slice(max(k - links.reach, 0), k)
            leaves = np.logaddexp(np.logaddexp.reduce(p[k, near]), leaving[k])
            into = p[near, k] - leaves
            p[near, k] = into
            p[near, near] = np.logaddexp(p[near, near], into[:, None] + p[k, near])
            leaving[near] = np.logaddexp(leaving[near], into + leaving[k])
            source[near] = np.logaddexp(source[near], into + source[k])
    return p, leaving, source


def stationary_in_logs(links: Links) -> Array:
    """log of the stationary vector of an irreducible chain, shape (n,)."""
    n = links.n
    p, _, _ = _taken_apart(links, np.zeros(n), np.zeros(n))
    x = np.zeros(n)
    for k in range(1, n):
        near = slice(max(k - links.reach, 0), k)
        x[k] = np.logaddexp.reduce(x[near] + p[near, k])
    return np.asarray(x - np.logaddexp.reduce(x))


def solved_in_logs(links: Links, leaving: Array, source: Array) -> Array:
    """log of x = P x + source, (n,), for a chain that is left in the end."""
    p, leaving, x = _taken_apart(links, leaving, source)
    for k in range(len(x)):
        near = slice(max(k - links.reach, 0), k)
        leaves = np.logaddexp(np.logaddexp.reduce(p[k, near]), leaving[k])
        x[k] = np.logaddexp(x[k], np.logaddexp.reduce(p[k, near] + x[near])) - leaves
    return x
