"""Where SGD is after so many steps, and how many it takes to forget its start.

The chain on a few hundred cells is a matrix whose powers are taken by squaring: numbers that are
not negative are added only, so that what is rarer than rounding keeps its digits. Where it takes
longer than any squaring to cross between basins, what passes between these is squared on.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise, repeat

import numpy as np

from stationary.aliases import Array
from stationary.chain.batches import TWICE, Batches, batches_of
from stationary.chain.cells import bisected, graded, rest_points
from stationary.chain.far import Held
from stationary.chain.ground import Ground, followed
from stationary.chain.outcomes import TREE
from stationary.chain.transfer import Transfer
from stationary.numbers.arithmetic import HUGE
from stationary.process.initial import Initial
from stationary.process.landscape import Landscape
from stationary.result import Data

CELLS = 768  # of a matrix of which 60 powers take a second
CHANGE = 0.1  # of a learning rate, which is taken for one: errors say what half of it changes
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
    ground, edges = _ground_of(batches, basins, start)
    held = ground.held
    forgets = len(minima) > 1 and "leave" not in held.ends
    fine, coarse = (
        _Cells.of(ground, chain, basins) for chain in ground.chain(edges, held.ends, levels=2)
    )
    levels = [fine, coarse]
    for law in batches.others:
        other = replace(ground, batches=law)
        (chain,) = other.chain(coarse.edges, held.ends)
        levels.append(_Cells.of(other, chain, basins))
    taken, since = 1, None
    if start is not None:
        taken, since = 0, partial(_spread, start=start)
        walked = _walked(repeat(batches, steps), batches, start, held)
        for x, p in walked:
            taken, since = taken + 1, partial(_placed, x=x, p=p)
    shares, times = [], []
    for cells in levels:
        begin = np.array([cells.after_one(m) for m in minima])
        first = begin if since is None else np.array([since(cells.edges)])
        rows, time = cells.moved(first, steps - taken, begin if forgets else None)
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


def shares_along(
    at: Callable[[float], Landscape],
    rates: Array,
    basins: Sequence[Sequence[tuple[float, float]]],
    start: Initial,
) -> tuple[Array, Array, Array]:
    """What basins hold while the learning rate changes from step to step, of runs that stay.

    Parameters
    ----------
    at
        The landscape at a learning rate.
    rates
        Of each step.
    basins
        As for `run_of`.

    Returns
    -------
    tuple
        Numbers of steps, ascending, the last that of the rates; the shares then, shape
        (steps, basins), and their absolute errors: twice what wider cells and longer stretches of
        one rate change.
    """
    batches = batches_of(at(float(rates.max())))
    ground, edges = _ground_of(batches, basins, start)
    held = ground.held
    begin: Callable[[Array], Array] = partial(_spread, start=start)
    known = [begin(edges)[:-2] @ _inside(edges, basins)[:-2]]
    steps = (batches_of(at(rate)) if rate else None for rate in rates.tolist())
    for x, p in _walked(steps, batches, start, held):
        in_parts = [[p[(a < x) & (x <= b)].sum() for a, b in parts] for parts in basins]
        known.append(np.array([sum(of) for of in in_parts]))
        begin = partial(_placed, x=x, p=p)
    taken = len(known) - 1
    cuts = _stretches(rates[taken:]) + taken

    def law(cuts: Array, every: int, edges: Array, other: int | None = None) -> Array:
        rows, found, inside = begin(edges), [], _inside(edges, basins)
        for a, b in pairwise(cuts.tolist()):
            if whole := float(rates[a:b].sum()):
                batches = batches_of(at(whole / (b - a)))
                batches = batches if other is None else batches.others[other]
                points = rest_points(batches, held.lower, held.upper, ground.cores)
                here = replace(ground, batches=batches, rests=points)
                (chain,) = here.chain(edges, held.ends)
                rests = np.append(here.captured(chain.edges) >= 0, [True, True])
                for _ in range(b - a):
                    going = np.where(rests, 0.0, rows)
                    rows = rows - going + chain.matrix.after(going[:-2])
            found.append(rows[:-2] @ inside[:-2])
        shares = np.array(known + found[every - 1 :: every])
        return np.asarray(shares / shares.sum(axis=1, keepdims=True))

    halves = np.sort(np.append(cuts, (cuts[1:] + cuts[:-1]) // 2))
    fine, coarse = law(halves, 2, edges), law(cuts, 1, edges[::2])
    errors = np.abs(fine - coarse)
    for k in range(len(batches.others)):
        errors += np.abs(law(cuts, 1, edges[::2], k) - coarse)
    return np.append(np.arange(taken), cuts), fine, TWICE * errors


def _walked(
    steps: Iterable[Batches | None], most: Batches, start: Initial, held: Held
) -> Iterator[tuple[Array, Array]]:
    """Points with their probabilities after each step, as long as these can be taken one by one.

    That is from points, within what is followed; none of the steps has more maps than `most`.
    """
    if start.law is not None or not most.exact:
        return
    x, p = start.points, start.weights / start.weights.sum()
    for batches in steps:
        if len(x) * len(most) > TREE:
            return
        if batches is not None:
            led, p = batches.images(x).ravel(), np.outer(batches.probability, p).ravel()
            if not ((held.lower <= led) & (led <= held.upper)).all():
                return
            x = led
        yield x, p


def _stretches(rates: Array) -> Array:
    """Steps between which one learning rate will do: they double, or it changes."""
    cuts = [0]
    while cuts[-1] < len(rates):
        begin = cuts[-1]
        ahead = rates[begin : max(2 * begin, 1)]
        other = np.abs(ahead - ahead[0]) > CHANGE * ahead[0]
        cuts.append(begin + (int(other.argmax()) if other.any() else len(ahead)))
    return np.array(cuts)


def _ground_of(
    batches: Batches, basins: Sequence[Sequence[tuple[float, float]]], start: Initial | None
) -> tuple[Ground, Array]:
    """What is followed, and the edges of cells: no cell is in two basins."""
    held, _ = followed(batches, start)
    ground = Ground.of(batches, held, CELLS, start)
    borders = [x for parts in basins for part in parts for x in part]
    joints = np.unique([*ground.joints, *(b for b in borders if held.lower < b < held.upper)])
    return ground, bisected(
        graded(held.lower, held.upper, CELLS // 2, ground.rests, joints, cores=ground.cores)
    )


def _inside(edges: Array, basins: Sequence[Sequence[tuple[float, float]]]) -> Array:
    """Which cells, and which of the two ends, each basin holds: (n + 2, basins)."""
    n, middle = len(edges) - 1, (edges[1:] + edges[:-1]) / 2
    inside = np.zeros((n + 2, len(basins)))
    for k, parts in enumerate(basins):
        for low, high in parts:
            inside[:n, k] += (low < middle) & (middle < high)
            inside[n:, k] += [low < edges[0] <= high, low < edges[-1] <= high]
    return np.minimum(inside, 1.0)


def _spread(edges: Array, start: Initial) -> Array:
    """A start, as cells see it."""
    below, above = start.cdf(edges), start.sf(edges)
    mass = np.where(below[1:] < 0.5, np.diff(below), -np.diff(above))  # what is rare keeps digits
    mass[0] += start.mass_at(float(edges[0]))
    return np.array([*mass, 0.0, 0.0]) / math.fsum(mass)


def _placed(edges: Array, x: Array, p: Array) -> Array:
    """Points with their probabilities, as cells see them."""
    cell = np.clip(np.searchsorted(edges, x, side="right") - 1, 0, len(edges) - 2)
    return np.bincount(cell, p, len(edges) + 1)


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
        return cls(ground.batches, chain.edges, matrix, _inside(chain.edges, basins))

    def after_one(self, at: float) -> Array:
        """From a point, after its first step."""
        image = self.batches.images(np.array([at]))[:, 0]
        return _placed(self.edges, image, self.batches.probability)

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
