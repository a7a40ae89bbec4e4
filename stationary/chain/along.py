"""SGD along a learning rate that changes from step to step: what basins hold, mean and deviation.

A law on cells goes from step to step; where it starts at points, these are followed one by one as
long as they are few.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from itertools import pairwise

import numpy as np

from stationary.aliases import Array
from stationary.chain.batches import Batches
from stationary.chain.ground import followed
from stationary.chain.run import ground_of, held_in, placed, spread_on, told, walked
from stationary.errors import LandscapeError
from stationary.process.initial import Initial
from stationary.progress import each

CHANGE = 0.1  # of a learning rate, which is taken for one: errors say what half of it changes


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
        what wider cells and longer stretches of one rate change.
    """
    borders = [x for parts in basins for part in parts for x in part]

    def inside(low: Array, high: Array) -> Array:
        return held_in(basins, (low + high) / 2)

    return told(_along(at, rates, start, borders, inside))


def moments_along(
    at: Callable[[float], Batches], rates: Array, start: Initial
) -> tuple[tuple[Array, Array], ...]:
    """Mean, deviation and what is lost on the same way, each with its error, (steps + 1,)."""
    centre = float(start.mean())

    def powers(low: Array, high: Array) -> Array:
        x = (low + high) / 2 - centre
        return np.stack([x, x * x + (high - low) ** 2 / 12], axis=1)

    levels = _along(at, rates, start, (), powers)
    means = [centre + level[:, 0] for level in levels]
    stds = [np.sqrt(np.maximum(level[:, 1] - level[:, 0] ** 2, 0.0)) for level in levels]
    (mean, error), (std, off) = told(means), told(stds)
    # A law as narrow as cells has its mean somewhere in them.
    error += np.divide(off**2, std, out=np.zeros_like(std), where=std > 0)
    return (mean, error), (std, off), told([level[:, 2] for level in levels])


def _along(
    at: Callable[[float], Batches],
    rates: Array,
    start: Initial,
    borders: Sequence[float],
    columns: Callable[[Array, Array], Array],
) -> list[Array]:
    """Means of columns before each step and after the last, of runs that stay; last, what is lost.

    On fine cells, on coarse ones with longer stretches of one rate, and by other nodes where these
    stand for batches. The `columns` are of what is spread from low to high, or of points.
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
        known.append(left(p[stay], columns(x[stay], x[stay])))
        begin = partial(placed, x=x, p=p)
    taken = max(len(known) - 1, 0)
    cuts = _stretches(rates[taken:]) + taken

    def law(cuts: Array, edges: Array, other: int | None = None) -> Array:
        rows, of = begin(edges), columns(edges[:-1], edges[1:])
        found = [*known] or [np.append(rows[:-2] @ of, 0.0)]
        for a, b in each(tuple(pairwise(cuts.tolist())), "stretches"):
            whole = float(rates[a:b].sum())
            if whole:
                batches = at(whole / (b - a))
                batches = batches if other is None else batches.others[other]
                here = replace(ground, batches=batches, laid=ground.cores)
                (chain,) = here.chain(edges, held.ends)
                matrix = here.halted(chain)
            for _ in range(b - a):
                if whole:
                    rows = matrix.after(rows)
                found.append(left(rows[:-2] / rows.sum(), of))
        return np.array(found)

    halves = np.sort(np.append(cuts, (cuts[1:] + cuts[:-1]) // 2))
    levels = [law(halves, edges), law(cuts, edges[::2])]
    return levels + [law(cuts, edges[::2], k) for k in range(len(batches.others))]


def _of_those_left(p: Array, columns: Array, run: str) -> Array:
    """Means over the runs that stay, and how much of all is lost."""
    stay = float(p.sum())
    if not stay > 0:
        raise DivergedError(
            f"{run} every run leads ever farther away: it diverges. Give a start nearer to a "
            "minimum, or a lower first learning rate."
        )
    return np.append(p @ columns / stay, 1 - stay)


def _stretches(rates: Array) -> Array:
    """Steps between which one learning rate will do."""
    cuts = [0]
    while cuts[-1] < len(rates):
        begin = cuts[-1]
        ahead = rates[begin:]
        other = np.abs(ahead - ahead[0]) > CHANGE * ahead[0]
        cuts.append(begin + (int(other.argmax()) if other.any() else len(ahead)))
    return np.array(cuts)
