"""SGD along a learning rate that changes from step to step: what basins hold, mean and deviation.

A law on cells goes from step to step; where it starts at points, these are followed one by one as
long as they are few. A step at a rate between two that have a chain is a step at one of them, by
chance: with the mean that it has, and a variance that is off by the square of how far they are
apart.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial, reduce

import numpy as np

from stationary.aliases import Array
from stationary.chain.batches import TWICE, Batches
from stationary.chain.cells import bisected
from stationary.chain.ground import followed
from stationary.chain.links import Links
from stationary.chain.run import cells_for, ground_of, held_in, placed, spread_on, walked
from stationary.errors import LandscapeError
from stationary.numbers.elementary import distinct
from stationary.process.initial import Initial
from stationary.progress import each

AROUND = 1.0  # of the steps so far, for which errors last that pass 0 in between
AT_ONCE = 8  # steps in which a law has hardly had the time to change
CHANGE = 0.1  # from one learning rate with a chain to the next: errors say what half of it changes


class DivergedError(LandscapeError):
    """There is no run left to tell of."""


def shares_along(
    at: Callable[[float], Batches],
    rates: Array,
    basins: Sequence[Sequence[tuple[float, float]]],
    start: Initial,
) -> tuple[Array, Array]:
    """What basins hold while the learning rate changes from step to step, and what is lost.

    Parameters
    ----------
    at
        The minibatches at a learning rate.
    rates
        Of each step.
    basins
        As for `run_of`.

    Returns
    -------
    tuple
        The shares of runs that stay before each step and after the last and, in the last column,
        of all what has run away, shape (steps + 1, basins + 1), and their absolute errors: twice
        what wider cells and fewer learning rates with a chain of their own change.
    """
    borders = [x for parts in basins for part in parts for x in part]

    def inside(low: Array, high: Array) -> Array:
        return held_in(basins, (low + high) / 2)

    return _told(_along(at, rates, start, borders, inside, leaning=True))


def moments_along(
    at: Callable[[float], Batches], rates: Array, start: Initial
) -> tuple[tuple[Array, Array], ...]:
    """Mean, deviation and what is lost on the same way, each with its error, (steps + 1,)."""
    centre = float(start.mean())

    def powers(low: Array, high: Array) -> Array:
        x = (low + high) / 2 - centre
        return np.stack([x, x * x + (high - low) ** 2 / 12], axis=1)

    levels = _along(at, rates, start, (), powers, leaning=False)
    means = [centre + level[:, 0] for level in levels]
    stds = [np.sqrt(np.maximum(level[:, 1] - level[:, 0] ** 2, 0.0)) for level in levels]
    (mean, error), (std, off) = _told(means), _told(stds)
    # A law as narrow as cells has its mean somewhere in them.
    error += np.divide(off**2, std, out=np.zeros_like(std), where=std > 0)
    return (mean, error), (std, off), _told([level[:, 2] for level in levels])


def _along(
    at: Callable[[float], Batches],
    rates: Array,
    start: Initial,
    borders: Sequence[float],
    columns: Callable[[Array, Array], Array],
    leaning: bool,
) -> list[Array]:
    """Means of columns before each step and after the last, of runs that stay; last, what is lost.

    On fine cells, on coarse ones, on these with chains of fewer rates, and then by other nodes
    where these stand for batches. The `columns` are of what is spread from low to high, or of
    points. Cells are `leaning` as the law does that stays: what is rare there counts then, but what
    is on its way, and leans otherwise, comes too early.
    """
    batches = at(float(rates.max()))
    held, _ = followed(batches, start)
    ground, edges = ground_of(batches, held, borders, start)
    begin: Callable[[Array], Array] = partial(spread_on, start=start)
    left = partial(_of_those_left, run=f"{batches.landscape.name}: from {start.text}")
    known = list[Array]()
    steps = (at(rate) if rate else None for rate in rates.tolist())
    if start.law is None:
        weights = start.weights / start.weights.sum()
        known.append(np.append(weights @ columns(start.points, start.points), 0.0))
    for x, p in walked(steps, batches, start, held):
        stay = np.isfinite(x)
        known.append(left(p[stay], columns(x[stay], x[stay]), float(p[~stay].sum())))
        begin = partial(placed, x=x, p=p)
    ahead = rates[max(len(known) - 1, 0) :]

    def course(change: float, edges: Array, other: int | None = None) -> Iterator[Array]:
        """What cells hold before each step ahead, and after the last."""
        rows = begin(edges)
        yield rows
        nodes, chains = _nodes(ahead, change), dict[int, Links]()

        def chain_at(k: int) -> Links:
            batches = at(float(nodes[k]))
            batches = batches if other is None else batches.others[other]
            here = replace(ground, batches=batches, laid=ground.cores)
            (chain,) = here.chain(edges, held.ends, leaning=leaning)
            return here.halted(chain)

        for rate in each(ahead.tolist(), "steps"):
            if rate:
                shares = _between(nodes, rate)
                chains = {k: chains[k] if k in chains else chain_at(k) for k in shares}
                each_way = [share * chains[k].after(rows) for k, share in shares.items()]
                rows = np.asarray(sum(each_way))
            yield rows

    def law(change: float, edges: Array, other: int | None = None) -> Array:
        of, laws = columns(edges[:-1], edges[1:]), course(change, edges, other)
        first = next(laws)
        found = [*known] or [np.append(first[:-2] @ of, 0.0)]
        for rows in laws:
            found.append(left(rows[:-2] / rows.sum(), of, float(rows[-2:].sum() / rows.sum())))
        return np.array(found)

    # Finer where it is at any time: at low learning rates it may be far narrower than at first.
    most = reduce(np.maximum, course(CHANGE, edges[::2]))[:-2]
    edges = bisected(cells_for(ground, borders, (edges[::2], most / most.sum() + 1 / len(most))))
    coarse, many = edges[::2], len(batches.others)
    levels = [law(CHANGE / 2, edges), law(CHANGE / 2, coarse), law(CHANGE, coarse)]
    return levels + [law(CHANGE, coarse, k) for k in range(many)]


def _told(levels: Sequence[Array]) -> tuple[Array, Array]:
    """What the finest level says, and its error, by what each of the others changes."""
    fine, coarse, fewer, *others = levels
    off = sum((np.abs(x - fewer) for x in others), np.abs(fine - coarse) + np.abs(coarse - fewer))
    return fine, TWICE * lasting(off)


def lasting(errors: Array) -> Array:
    """Errors at M times, (M, ...), each at least what it is not long before or after.

    Where a difference changes its sign it says nothing of an error. One of 0 is known to be so.
    """
    many = len(errors)
    blocks = AT_ONCE * (1 + AROUND) ** np.arange(math.log(many) / math.log1p(AROUND))
    cuts = np.append(0, blocks.astype(int))
    cuts = cuts[cuts < many]
    most = np.maximum.reduceat(errors, cuts)
    wide = most.copy()
    wide[1:] = np.maximum(wide[1:], most[:-1])
    wide[:-1] = np.maximum(wide[:-1], most[1:])
    return np.where(errors > 0, np.repeat(wide, np.diff(cuts, append=many), axis=0), 0.0)


def _of_those_left(p: Array, columns: Array, lost: float, run: str) -> Array:
    """Means over the runs that stay, and how much of all is lost."""
    stay = float(p.sum())
    if not stay > 0:
        raise DivergedError(
            f"{run} every run leads ever farther away: it diverges. Give a start nearer to a "
            "minimum, or a lower first learning rate."
        )
    return np.append(p @ columns / stay, lost)


def _nodes(rates: Array, change: float) -> Array:
    """Some of the learning rates, ascending, between which the others are; all where they are few.

    From one to the next they grow by no more than `change`, if any is as near.
    """
    known = distinct(rates[rates > 0])
    nodes = [0] if len(known) else []
    while nodes and nodes[-1] < len(known) - 1:
        far = int(known.searchsorted(known[nodes[-1]] * (1 + change), side="right")) - 1
        nodes.append(max(far, nodes[-1] + 1))
    return np.asarray(known[nodes])


def _between(nodes: Array, rate: float) -> dict[int, float]:
    """The nodes next to a learning rate, and the share of each: their mean is the rate."""
    k = int(nodes.searchsorted(rate, side="right")) - 1
    if nodes[k] == rate:
        return {k: 1.0}
    share = float((rate - nodes[k]) / (nodes[k + 1] - nodes[k]))
    return {k: 1 - share, k + 1: share}
