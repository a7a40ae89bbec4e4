"""Where SGD is after so many steps, and how many it takes to forget its start.

The chain on a few hundred cells is a matrix whose powers are taken by squaring: numbers that are
not negative are added only, so that what is rarer than rounding keeps its digits. Where it takes
longer than any squaring to cross between basins, what passes between these is squared on.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from stationary.aliases import Array
from stationary.chain.batches import TWICE, Batches, batches_of
from stationary.chain.cells import bisected, graded
from stationary.chain.ground import Ground, followed
from stationary.chain.transfer import Transfer
from stationary.numbers.arithmetic import HUGE
from stationary.process.initial import Initial
from stationary.process.landscape import Landscape
from stationary.result import Data

CELLS = 768  # of a matrix of which 60 powers take a second
MIXED = 22  # squarings after which a walker is taken to have been everywhere in its basin


@dataclass(frozen=True, eq=False)
class Run(Data):
    """Where SGD is after some steps.

    Attributes
    ----------
    starts
        Where it starts, in words.
    log_shares, errors
        Natural logarithm of the probability of each basin, by start: shape (starts, basins), and
        its absolute error: twice the change from cells twice as wide, and from other nodes
        where these stand for batches.
    log_relaxation, relaxation_error
        Natural logarithm of the steps in which it forgets which basin it came from by a factor of
        e, and its absolute error; inf where it never does, None with one basin or where it runs
        away.
    """

    steps: int
    starts: tuple[str, ...]
    log_shares: Array
    errors: Array
    log_relaxation: float | None
    relaxation_error: float | None


def run_of(
    landscape: Landscape,
    steps: int,
    basins: Sequence[Sequence[tuple[float, float]]],
    minima: Sequence[float],
    start: Initial | None,
) -> Run:
    """After `steps`, from a start or, where there is none, from each of the minima.

    Parameters
    ----------
    basins
        The intervals (lower, upper] of each.
    """
    batches = batches_of(landscape)
    held, _ = followed(batches, start)
    ground = Ground.of(batches, held, CELLS, start)
    borders = [x for parts in basins for part in parts for x in part]
    joints = np.unique([*ground.joints, *(b for b in borders if held.lower < b < held.upper)])
    edges = bisected(
        graded(held.lower, held.upper, CELLS // 2, ground.rests, joints, cores=ground.cores)
    )
    forgets = len(minima) > 1 and "leave" not in held.ends
    fine, coarse = (
        _Cells.of(ground, chain, basins) for chain in ground.chain(edges, held.ends, levels=2)
    )
    levels = [fine, coarse]
    for law in batches.others:
        other = replace(ground, batches=law)
        (chain,) = other.chain(coarse.edges, held.ends)
        levels.append(_Cells.of(other, chain, basins))
    shares, times = [], []
    for cells in levels:
        begin = np.array([cells.after_one(m) for m in minima])
        first = begin if start is None else np.array([cells.spread(start)])
        rows, time = cells.moved(first, steps - (start is None), begin if forgets else None)
        shares.append(rows @ cells.inside)
        times.append(time)
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = np.log(np.array(shares))
        changes = np.abs(logs[1] - logs[0]) + np.abs(logs[2:] - logs[1]).sum(axis=0)
    errors = np.where(logs[0] > -np.inf, TWICE * changes, 0.0)
    words = [f"w = {m:.6g}" for m in minima] if start is None else [start.text]
    relaxation = doubt = None
    if forgets:
        relaxation = times[0]
        finite = all(map(math.isfinite, times))
        apart = [abs(t - times[k > 0]) for k, t in enumerate(times[1:])] if finite else [math.inf]
        doubt = TWICE * math.fsum(apart)
        doubt = 0.0 if math.isinf(relaxation) and not finite else doubt
    return Run(steps, tuple(words), np.minimum(logs[0], 0.0), errors, relaxation, doubt)


@dataclass(frozen=True, eq=False)
class _Cells:
    """A chain as a dense matrix, and which cells each basin holds."""

    batches: Batches
    edges: Array
    matrix: Array  # (n + 2, n + 2), with what has left at either end
    inside: Array  # (n + 2, basins)

    @classmethod
    def of(
        cls, ground: Ground, chain: Transfer, basins: Sequence[Sequence[tuple[float, float]]]
    ) -> _Cells:
        n = chain.cells
        matrix = np.eye(n + 2)
        going = np.flatnonzero(ground.captured(chain.edges) < 0)
        matrix[going] = chain.matrix.dense()[going]
        middle = (chain.edges[1:] + chain.edges[:-1]) / 2
        inside = np.zeros((n + 2, len(basins)))
        for k, parts in enumerate(basins):
            for low, high in parts:
                inside[:n, k] += (low < middle) & (middle < high)
                inside[n:, k] += [low < chain.edges[0] <= high, low < chain.edges[-1] <= high]
        return cls(ground.batches, chain.edges, matrix, np.minimum(inside, 1.0))

    def after_one(self, at: float) -> Array:
        """From a point, after its first step."""
        image = self.batches.images(np.array([at]))[:, 0]
        image = np.clip(image, self.edges[0], self.edges[-1])
        cell = np.clip(np.searchsorted(self.edges, image, side="right") - 1, 0, len(self.edges) - 2)
        return np.bincount(cell, self.batches.probability, len(self.edges) + 1)

    def spread(self, start: Initial) -> Array:
        """A start, as cells see it."""
        pairs = zip(self.edges[:-1].tolist(), self.edges[1:].tolist(), strict=True)
        mass = [start.probability(a, b) + start.mass_at(b) for a, b in pairs]
        mass[0] += start.mass_at(float(self.edges[0]))
        return np.array([*mass, 0.0, 0.0]) / math.fsum(mass)

    def moved(self, rows: Array, steps: int, begin: Array | None) -> tuple[Array, float]:
        """Rows of probabilities after so many steps, and how many it takes to forget.

        That is the log of the steps in which basins forget who began in them, a row of `begin`
        for each; inf where they never do, nan where there are none.
        """
        relaxation = math.nan if begin is None else None
        power, shares, apart = self.matrix, begin, 1.0
        # `power` is the matrix of 2^k steps, as long as it is asked for.
        for k in range(int(math.log2(HUGE))):
            if not steps and relaxation is not None:
                break
            if k and (steps or k <= MIXED):
                power = power @ power
                power /= power.sum(axis=1, keepdims=True)  # squares would double what rounding does
            if steps & 1:
                rows = rows @ power
            steps >>= 1
            if relaxation is None and begin is not None and shares is not None:
                # Later on each basin is one number, and what has passed between them is squared.
                shares = begin @ power @ self.inside if k <= MIXED else shares @ shares
                shares /= shares.sum(axis=1, keepdims=True)
                now = 0.5 * max(np.abs(a - b).sum() for a in shares for b in shares)
                if now < 0.5:  # it falls as exp(-steps / relaxation), and the steps have doubled
                    fall = math.log(apart / max(now, 1e-300))
                    relaxation = (k - 1) * math.log(2) - math.log(fall)
                apart = now
        return rows, math.inf if relaxation is None else relaxation
