"""The stationary vector of a Markov chain, right in every component however small it is.

Gaussian elimination on 1 - P loses small probabilities to the subtraction from 1. Grassmann,
Taksar and Heyman take the diagonal from the row's other entries instead: then nothing is ever
subtracted, and every component is right to a few roundings relative to itself. Here it is done
by blocks (matrix products, and only within the band that fills), and the vector is put together
in logarithms, so that it may span any number of decades.

References
----------
.. [1] W. K. Grassmann, M. I. Taksar, D. P. Heyman, *Operations Research* 33 (1985) 1107.
.. [2] C. A. O'Cinneide, *Numerische Mathematik* 65 (1993) 109: the error of each component.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Elimination", "log_stationary", "mixed_vector"]

Array = NDArray[Any]

UNDERFLOW = 1e-290  # below this a double loses digits, and then everything
ONE_BY_ONE = 300_000  # entries of a band that can be gone through state by state
TRIES = 300  # steps in which a chain that forgets its start fast has forgotten it


def log_stationary(matrix: Any) -> tuple[Array, bool]:
    """log of the stationary vector of an irreducible chain, and whether doubles could hold it.

    Parameters
    ----------
    matrix
        Shape (n, n), sparse: P[i, j] is the probability to go from i to j. Its diagonal is
        taken to be what the rest of the row leaves.

    Returns
    -------
    tuple
        The logarithms, shape (n,), normalised; False where states are linked by probabilities
        beyond 1e-290, which doubles cannot hold.
    """
    n = matrix.shape[0]
    if n == 1:
        return np.zeros(1), True
    quick = mixed_vector(matrix)
    if quick is not None:
        with np.errstate(divide="ignore"):
            return np.log(quick), True
    order = _towards_peak(matrix)
    parts = Elimination.of(matrix[order][:, order].tocsr(), np.zeros(n), kept=1)
    if not parts.sound:
        order = np.arange(n)
        parts = Elimination.of(matrix, np.zeros(n), kept=1)
    log_vector = np.empty(n)
    log_vector[order] = parts.log_visits()
    if not parts.sound:
        log_vector = np.nan_to_num(log_vector, nan=-np.inf, posinf=0.0, neginf=-np.inf)
    top = log_vector.max()
    return log_vector - top - np.log(np.exp(log_vector - top).sum()), parts.sound


def _towards_peak(matrix: Any) -> Array:
    """An order in which states go from both sides, and last where the walker mostly is.

    A state that is taken away must be left for one that stays: towards the peak that is likely,
    away from it as unlikely as the tail is thin.
    """
    n = matrix.shape[0]
    forward = matrix.T.tocsr()
    rest = np.clip(1 - np.asarray(matrix.sum(axis=1)).ravel(), 0, None)
    vector = np.full(n, 1 / n)
    for _ in range(TRIES):
        vector = forward @ vector + rest * vector
    return np.argsort(-np.abs(np.arange(n) - int(np.argmax(vector))), kind="stable")


def mixed_vector(matrix: Any) -> Array | None:
    """The stationary vector by iteration, where the chain forgets its start fast; else None.

    That a vector hardly changes from step to step proves nothing: two basins that are left once
    in 1e20 steps look like that. What proves it is that functions of the state come to have the
    same expectation from every start.
    """
    n = matrix.shape[0]
    rng = np.random.default_rng(0)
    rest = np.clip(1 - np.asarray(matrix.sum(axis=1)).ravel(), 0, None)  # to be on the diagonal
    f = np.stack([np.linspace(0, 1, n), rng.random(n), rng.random(n) < 0.5], axis=1)
    for step in range(1, TRIES + 1):
        f = matrix @ f + rest[:, None] * f
        if np.ptp(f, axis=0).max() < 1e-13:
            break
        if step == 60 and np.ptp(f, axis=0).max() > 0.1:
            return None
    else:
        return None
    transposed = matrix.T.tocsr()
    vector = np.full(n, 1 / n)
    for i in range(4 * step + 40):
        new = transposed @ vector + rest * vector
        new /= new.sum()
        if i >= step and (np.abs(new - vector) <= 1e-14 * new).all():
            return new if new.min() > UNDERFLOW else None
        vector = new
    return None


@dataclass(frozen=True, eq=False)
class Elimination:
    """1 - P taken apart without subtraction, for a chain that is left in the end.

    Attributes
    ----------
    sound
        False where probabilities beyond 1e-290 matter, which doubles cannot hold.
    """

    blocks: tuple[tuple[int, int, slice, slice, Array, Array, Array], ...]
    size: int
    sound: bool

    @classmethod
    def of(
        cls, matrix: Any, leaving: Array, kept: int = 0, block: int | None = None
    ) -> Elimination:
        """For P, shape (n, n), sparse, and the probability to leave from each state, shape (n,).

        The diagonal of P is taken to be what the rest of the row leaves. The `kept` last states
        are left in place. Large blocks are fast, but what they hold spans fewer decades.
        """
        n = matrix.shape[0]
        right, below = _reach(matrix)
        band = int(max((right - np.arange(n)).max(), (below - np.arange(n)).max()))
        step = min(max(band // 8, 32), 128) if block is None else block
        given = leaving
        p, leaving = matrix.toarray(), leaving.astype(float)
        blocks = []
        sound = True
        with np.errstate(all="ignore"):
            for first in range(0, n - kept, step):
                last = min(first + step, n - kept)
                rows, columns = slice(last, below[last - 1]), slice(last, right[last - 1])
                out = p[first:last, columns].copy()
                exits = out.sum(axis=1) + leaving[first:last]
                inverse, smallest = _inverse(p[first:last, first:last], exits)
                into = p[rows, first:last] @ inverse  # expected visits, from each state outside
                p[rows, columns] += into @ out
                leaving[rows] += into @ leaving[first:last]
                sound &= smallest > UNDERFLOW and bool(np.isfinite(into).all())
                blocks.append((first, last, rows, columns, into, inverse, out))
        if not sound and block is None and n * band < ONE_BY_ONE:
            return cls.of(matrix, given, kept, block=1)
        return cls(tuple(blocks), n, sound)

    def solve(self, source: Array) -> Array:
        """x = P x + source, for a source that is nowhere negative, shape (n, k)."""
        x = source.astype(float)
        with np.errstate(all="ignore"):  # `sound` tells
            for first, last, rows, _, into, _, _ in self.blocks:
                x[rows] += into @ x[first:last]
            for first, last, _, columns, _, inverse, out in reversed(self.blocks):
                x[first:last] = inverse @ (x[first:last] + out @ x[columns])
        return x

    def log_visits(self) -> Array:
        """log of x = x P with x = 1 for the last state, which was kept."""
        x = np.full(self.size, -np.inf)
        x[-1] = 0.0
        with np.errstate(all="ignore"):
            for first, last, rows, _, into, _, _ in reversed(self.blocks):
                terms = x[rows, None] + np.log(into)
                top = terms.max(axis=0)
                top = np.where(np.isfinite(top), top, 0.0)
                x[first:last] = top + np.log(np.exp(terms - top).sum(axis=0))
        return x


def _reach(matrix: Any) -> tuple[Array, Array]:
    """How far elimination fills to the right of, and below, each state."""
    coo = matrix.tocoo()
    n = matrix.shape[0]
    right, below = np.arange(n), np.arange(n)
    np.maximum.at(right, coo.row, coo.col)
    np.maximum.at(below, coo.col, coo.row)
    return np.maximum.accumulate(right) + 1, np.maximum.accumulate(below) + 1


def _inverse(inside: Array, leaving: Array) -> tuple[Array, float]:
    """(1 - P)^-1 of a block from its off-diagonals and what leaves it: without subtraction.

    1 - P = L U with unit lower L: column k of L is -p[:, k] / s_k, row k of U is s_k and -p[k, :].
    """
    p, leaving = inside.copy(), leaving.copy()
    n = len(p)
    pivots = np.empty(n)
    for k in range(n):
        pivots[k] = max(p[k, k + 1 :].sum() + leaving[k], 5e-324)
        factor = p[k + 1 :, k] / pivots[k]
        p[k + 1 :, k + 1 :] += factor[:, None] * p[k, k + 1 :]
        leaving[k + 1 :] += factor * leaving[k]
        p[k + 1 :, k] = factor
    result = np.eye(n)
    for k in range(n - 1):
        result[k + 1 :] += p[k + 1 :, k, None] * result[k]
    for k in range(n - 1, -1, -1):
        result[k] = (result[k] + p[k, k + 1 :] @ result[k + 1 :]) / pivots[k]
    return result, float(pivots.min())
