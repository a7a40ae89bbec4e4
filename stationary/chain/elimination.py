"""Markov chains taken apart without subtraction: right in every component however small it is.

Gaussian elimination on 1 - P loses small probabilities to the subtraction from 1. Grassmann,
Taksar and Heyman take the diagonal from the row's other entries instead: then nothing is ever
subtracted, and every component is right to a few roundings relative to itself. Here states lie
in blocks as long as a step reaches, so that only neighbouring blocks are linked; every second
block is eliminated, all of these at once, until one is left (cyclic reduction).

References
----------
.. [1] W. K. Grassmann, M. I. Taksar, D. P. Heyman, *Operations Research* 33 (1985) 1107.
.. [2] C. A. O'Cinneide, *Numerische Mathematik* 65 (1993) 109: the error of each component.
.. [3] B. Meini, *Numerical Linear Algebra with Applications* 5 (1998) 437: cyclic reduction.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from stationary.aliases import Array
from stationary.numbers.arithmetic import EPSILON

IN_LOGS = 4e7  # states times the square of the reach that can be gone through in logarithms
UNDERFLOW = 1e-290  # below this a double loses digits, and then everything
BLOCK = 16  # states of a block, at least, for products of matrices to be worth it
LOST = 1e-12  # relative: what LAPACK may lose of a block before it is done without


def band_of(matrix: Any) -> int:
    """How far a step of a sparse chain reaches, in states."""
    coo = matrix.tocoo()
    return int(np.abs(coo.row.astype(int) - coo.col).max(initial=0))


@dataclass(eq=False)
class _Step:
    """One round: what was known of the blocks that it eliminated, all arrays (blocks, b, b)."""

    gone: slice  # which blocks of this round
    left: slice  # of those that stay
    inverse: Array  # (1 - P)^-1 inside each block that went
    lower: Array  # their links to the block before,
    upper: Array  # and after
    from_left: Array  # expected visits of each state, from the block before,
    from_right: Array  # and from the block after


@dataclass(eq=False)
class Elimination:
    """1 - P taken apart, for a chain that is left in the end, or for one that never is.

    Attributes
    ----------
    sound
        False where probabilities beyond 1e-290 matter, which doubles cannot hold.
    """

    size: int
    width: int  # of a block
    sound: bool = True
    inner: Array = field(default_factory=lambda: np.empty(0))  # of the block that is left
    leaving: Array = field(default_factory=lambda: np.empty(0))
    rounds: list[_Step] = field(default_factory=list)

    @classmethod
    def of(cls, matrix: Any, leaving: Array, towards: int = 0, block: int = BLOCK) -> Elimination:
        """For P, shape (n, n), sparse, and the probability to leave from each state, shape (n,).

        The diagonal of P is taken to be what the rest of the row leaves. The block with the state
        `towards` is left last: best where the walker mostly is, since a state that is eliminated
        must be left for one that stays. Blocks are as long as a step reaches, and at least
        `block`; what short ones hold spans fewer decades, so that they are the second try.
        """
        n, band = matrix.shape[0], max(band_of(matrix), 1)
        b = min(max(band, block), n)
        m = -(-n // b)
        coo = matrix.tocoo()
        d, low, up = (np.zeros((m, b, b)) for _ in range(3))
        own, other = coo.row // b, coo.col // b
        for table, shift in ((d, 0), (low, -1), (up, 1)):
            on = other - own == shift
            table[own[on], coo.row[on] % b, coo.col[on] % b] = coo.data[on]
        out: Array = np.ones(m * b)  # states that only fill the last block are left at once
        out[:n] = leaving
        out = out.reshape(m, b)
        self = cls(n, b)
        keep = towards // b
        with np.errstate(all="ignore"):  # `sound` tells
            while m > 1:
                parity = keep % 2
                d, low, up, out = self._halved(d, low, up, out, parity)
                keep //= 2
                m = len(d)
        self.inner, self.leaving = d[0], out[0]
        if not self.sound and band < block:
            return cls.of(matrix, leaving, towards, band)
        return self

    def _halved(
        self, d: Array, low: Array, up: Array, out: Array, parity: int
    ) -> tuple[Array, Array, Array, Array]:
        m, b = len(d), self.width
        gone, left = slice(1 - parity, m, 2), slice(parity, m, 2)
        exits = low[gone].sum(axis=2) + up[gone].sum(axis=2) + out[gone]
        inverse, smallest = _inverse(d[gone], exits)
        self.sound &= bool(smallest > UNDERFLOW)
        count, stay = len(inverse), len(range(*left.indices(m)))
        before, after = _beside(parity, count, stay)
        (k, i), (n, j) = after, before  # a block that stays, and the one that went before; after it
        from_left, from_right = np.zeros((count, b, b)), np.zeros((count, b, b))
        from_right[i], from_left[j] = low[left][k] @ inverse[i], up[left][n] @ inverse[j]
        self.sound &= bool(np.isfinite(from_left).all() and np.isfinite(from_right).all())
        new_d, new_out = d[left].copy(), out[left].copy()
        new_low, new_up = np.zeros_like(new_d), np.zeros_like(new_d)
        gone_low, gone_up, gone_out = low[gone], up[gone], out[gone][:, :, None]
        new_d[k] += from_right[i] @ gone_up[i]
        new_d[n] += from_left[j] @ gone_low[j]
        new_low[k], new_up[n] = from_right[i] @ gone_low[i], from_left[j] @ gone_up[j]
        new_out[k] += (from_right[i] @ gone_out[i])[..., 0]
        new_out[n] += (from_left[j] @ gone_out[j])[..., 0]
        self.rounds.append(_Step(gone, left, inverse, gone_low, gone_up, from_left, from_right))
        return new_d, new_low, new_up, new_out

    def solve(self, source: Array) -> Array:
        """x = P x + source, for a source that is nowhere negative, shape (n, k)."""
        b, k = self.width, source.shape[1]
        x: Array = np.zeros((-(-self.size // b) * b, k))
        x[: self.size] = source
        x = x.reshape(-1, b, k)
        held = []
        with np.errstate(all="ignore"):
            for step in self.rounds:
                went, stays = x[step.gone], x[step.left].copy()
                before, after = _beside(step.left.start, len(went), len(stays))
                stays[before[0]] += step.from_left[before[1]] @ went[before[1]]
                stays[after[0]] += step.from_right[after[1]] @ went[after[1]]
                held.append(went)
                x = stays
            inverse, smallest = _inverse(self.inner[None], self.leaving[None])
            self.sound &= bool(smallest > UNDERFLOW)
            x = inverse @ x
            for step, went in zip(reversed(self.rounds), reversed(held), strict=True):
                before, after = _beside(step.left.start, len(went), len(x))
                whole = went.copy()
                whole[before[1]] += step.lower[before[1]] @ x[before[0]]
                whole[after[1]] += step.upper[after[1]] @ x[after[0]]
                x = _woven(step, step.inverse @ whole, x)
        return x.reshape(-1, k)[: self.size]

    def log_stationary(self) -> Array:
        """log of the stationary vector of an irreducible chain that is never left, shape (n,)."""
        with np.errstate(all="ignore"):
            used = np.flatnonzero(self.leaving < 1)  # the others only fill the block
            x = np.full((1, self.width), -np.inf)
            kept, smallest = _log_kept(self.inner[np.ix_(used, used)])
            self.sound &= bool(smallest > UNDERFLOW)
            x[0, used] = kept
            for step in reversed(self.rounds):
                count = len(step.inverse)
                before, after = _beside(step.left.start, count, len(x))
                found = np.full((count, self.width), -np.inf)
                found[before[1]] = _log_sums(x[before[0]], step.from_left[before[1]])
                right = _log_sums(x[after[0]], step.from_right[after[1]])
                found[after[1]] = np.logaddexp(found[after[1]], right)
                x = _woven(step, found, x)
        x = x.reshape(-1)[: self.size]
        top = x.max()
        return np.asarray(x - top - np.log(np.exp(x - top).sum()))


def _beside(parity: int, went: int, stay: int) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
    """Pairs (block that stays, block that went): with the former before, and after, the latter."""
    k = np.arange(went)
    before, after = k - parity, k + 1 - parity
    a, z = before >= 0, after < stay
    return (before[a], k[a]), (after[z], k[z])


def _woven(step: _Step, went: Array, stay: Array) -> Array:
    whole = np.empty((len(went) + len(stay), *went.shape[1:]))
    whole[step.gone], whole[step.left] = went, stay
    return whole


def _log_sums(x: Array, table: Array) -> Array:
    """log of exp(x) @ table, over stacks, where x may span any number of decades."""
    terms = x[..., :, None] + np.log(table)
    top = terms.max(axis=-2, keepdims=True)
    top = np.where(np.isfinite(top), top, 0.0)
    return np.asarray((top + np.log(np.exp(terms - top).sum(axis=-2, keepdims=True)))[..., 0, :])


def _log_kept(matrix: Array) -> tuple[Array, float]:
    """log of the stationary vector of a dense chain, up to a constant, and its least number."""
    if not len(matrix):  # nothing that doubles could hold is left
        return np.empty(0), 0.0
    inverse, least = _inverse(matrix[None, 1:, 1:], matrix[None, 1:, 0])
    visits = np.append(1.0, matrix[0, 1:] @ inverse[0])
    with np.errstate(divide="ignore"):
        return np.log(visits), min(least, float(visits.min()))


def _inverse(inside: Array, leaving: Array) -> tuple[Array, float]:
    """(1 - P)^-1 of stacks of blocks from their off-diagonals and what leaves, and the least pivot.

    Off the diagonal LAPACK only adds numbers of one sign, as long as it swaps no rows: in the
    transposed matrix the diagonal dominates its column, by four roundings more than it is. What
    these and subtractions on the diagonal cost shows in (1 - P)^-1 leaving = 1. Blocks in which
    that is too much are gone through state by state.
    """
    i = np.arange(inside.shape[-1])
    matrix = -inside.swapaxes(-1, -2)
    matrix[..., i, i] = 0.0
    matrix[..., i, i] = (leaving - matrix.sum(axis=-2)) * (1 + 4 * EPSILON)
    try:
        result = np.linalg.inv(matrix).swapaxes(-1, -2)
    except np.linalg.LinAlgError:  # one of them is singular as doubles see it
        result = np.full_like(inside, np.nan)
    off = np.abs((result @ leaving[..., None])[..., 0] - 1).max(axis=-1, initial=0.0)
    bad = ~((off < LOST) & (result >= 0).all(axis=(-2, -1)))
    least = math.inf
    if bad.any():
        result[bad], least = _inverse_one_by_one(inside[bad], leaving[bad])
    return result, least


def _inverse_one_by_one(inside: Array, leaving: Array) -> tuple[Array, float]:
    """1 - P = L U: column k of L is -p[:, k] / s_k, row k of U is s_k and -p[k, :]."""
    p, leaving = inside.copy(), leaving.copy()
    n = p.shape[-1]
    pivots = np.empty(p.shape[:-1])
    for k in range(n):
        pivots[..., k] = np.maximum(p[..., k, k + 1 :].sum(axis=-1) + leaving[..., k], 5e-324)
        factor = p[..., k + 1 :, k] / pivots[..., k, None]
        p[..., k + 1 :, k + 1 :] += factor[..., None] * p[..., k, None, k + 1 :]
        leaving[..., k + 1 :] += factor * leaving[..., k, None]
        p[..., k + 1 :, k] = factor
    result = np.zeros_like(p)
    result[..., np.arange(n), np.arange(n)] = 1.0
    for k in range(n - 1):
        result[..., k + 1 :, :] += p[..., k + 1 :, k, None] * result[..., k, None, :]
    for k in range(n - 1, -1, -1):
        later = (p[..., k, None, k + 1 :] @ result[..., k + 1 :, :])[..., 0, :]
        result[..., k, :] = (result[..., k, :] + later) / pivots[..., k, None]
    return result, float(pivots.min(initial=np.inf))


# State by state, in logarithms: slower by far, but nothing is too small.


def _taken_apart(matrix: Any, leaving: Array, source: Array) -> tuple[Array, Array, Array, int]:
    """log of P with all but the first state eliminated, last first; what leaves, the source."""
    band = band_of(matrix)
    with np.errstate(divide="ignore"):
        p, leaving, source = (np.log(x) for x in (matrix.toarray(), leaving, source))
    with np.errstate(invalid="ignore"):
        for k in range(len(p) - 1, 0, -1):
            near = slice(max(k - band, 0), k)
            leaves = np.logaddexp(np.logaddexp.reduce(p[k, near]), leaving[k])
            into = p[near, k] - leaves
            p[near, k] = into
            p[near, near] = np.logaddexp(p[near, near], into[:, None] + p[k, near])
            leaving[near] = np.logaddexp(leaving[near], into + leaving[k])
            source[near] = np.logaddexp(source[near], into + source[k])
    return p, leaving, source, band


def stationary_in_logs(matrix: Any) -> Array:
    """log of the stationary vector of an irreducible chain, shape (n,)."""
    n = matrix.shape[0]
    p, _, _, band = _taken_apart(matrix, np.zeros(n), np.zeros(n))
    x = np.zeros(n)
    for k in range(1, n):
        near = slice(max(k - band, 0), k)
        x[k] = np.logaddexp.reduce(x[near] + p[near, k])
    return np.asarray(x - np.logaddexp.reduce(x))


def solved_in_logs(matrix: Any, leaving: Array, source: Array) -> Array:
    """log of x = P x + source, (n,), for a chain that is left in the end."""
    p, leaving, x, band = _taken_apart(matrix, leaving, source)
    for k in range(len(x)):
        near = slice(max(k - band, 0), k)
        leaves = np.logaddexp(np.logaddexp.reduce(p[k, near]), leaving[k])
        x[k] = np.logaddexp(x[k], np.logaddexp.reduce(p[k, near] + x[near])) - leaves
    return x
