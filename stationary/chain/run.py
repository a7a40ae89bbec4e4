"""Where SGD is after so many steps, and how many it takes to forget its start.

The chain on a few hundred cells is a matrix whose powers are taken by squaring: numbers that are
not negative are added only, so that what is rarer than rounding keeps its digits. Where it takes
longer than any squaring to cross between basins, what passes between these is squared on.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import repeat
from typing import Any

import numpy as np

from stationary.aliases import Array
from stationary.cells import shares_of
from stationary.chain.batches import TWICE, Batches, batches_of
from stationary.chain.cells import bisected, equilibria_between, graded
from stationary.chain.elimination import absorbed
from stationary.chain.far import Held
from stationary.chain.ground import Ground, followed
from stationary.chain.lattice import ALIKE, is_rigid, lattices_of
from stationary.chain.outcomes import cells_of, laid, stepped
from stationary.chain.points import led, walks_from
from stationary.numbers.arithmetic import HUGE, SAME
from stationary.numbers.elementary import distinct
from stationary.numbers.threads import one_thread
from stationary.process.initial import Initial
from stationary.process.landscape import Landscape
from stationary.result import Result

CELLS = 768  # of a matrix of which 60 powers take a second
MOST_STATES = 2 * CELLS  # of a walk that comes to few points, at eight times the cost
MIXED = 22  # squarings after which a walker is taken to have been everywhere in its basin


@dataclass(frozen=True, eq=False, repr=False)
class Run(Result):
    """Where SGD is after some steps.

    Attributes
    ----------
    starts
        Where it starts, in words.
    log_shares, errors
        Natural logarithm of the probability of each basin, by start: shape (starts, basins), and
        its absolute error: twice the change from cells twice as wide, and from other nodes
        where these stand for batches, or what cells between the middles of these change.
    log_lost, lost_errors
        The same of what has run away to infinity, (starts,) each.
    log_relaxation, relaxation_error
        Natural logarithm of the steps in which it forgets which basin it came from by a factor of
        e, and its absolute error; inf where it never does, None with one basin or where it runs
        away.
    """

    steps: int
    starts: tuple[str, ...]
    log_shares: Array
    errors: Array
    log_lost: Array
    lost_errors: Array
    log_relaxation: float | None
    relaxation_error: float | None

    def __repr__(self) -> str:
        return f"<Run of {self.steps:,} steps from {', '.join(self.starts[:3])}>"


@one_thread
def run_of(
    landscape: Landscape,
    steps: int,
    basins: Sequence[Sequence[tuple[float, float]]],
    minima: Sequence[float],
    start: Initial | None,
    batches: Batches | None = None,
) -> Run:
    """After `steps`, from a start or, where there is none, from each of the minima.

    Parameters
    ----------
    basins
        The intervals (lower, upper] of each.
    """
    batches = batches or batches_of(landscape)
    held, _ = followed(batches, start)
    forgets = len(minima) > 1 and "leave" not in held.ends
    known = [_on_walks(b, held, basins, minima, start) for b in (batches, *batches.others)]
    exact = all(known)
    levels = [level for each in known for level in each]
    if not exact:
        levels = _on_cells(batches, held, basins, minima, start, steps)
    logs, times = [], []
    for level in levels:
        rows, time = level.moved(steps, forgets)
        with np.errstate(divide="ignore"):
            logs.append(np.log(rows @ level.inside))
        times.append(time)
    if exact:  # no wider cells tell more
        logs, times = [logs[0]] * 2 + logs, [times[0]] * 2 + times
    with np.errstate(invalid="ignore"):
        found, changes = told(logs)
    errors = np.where(found > -np.inf, changes + exact * ALIKE, 0.0)
    words = [f"w = {m:.6g}" for m in minima] if start is None else [start.text]
    relaxation = doubt = None
    if forgets and not math.isnan(times[0]):
        relaxation, doubt = times[0], 0.0 if math.isinf(times[0]) else math.inf
        if all(map(math.isfinite, times)):
            doubt = float(told(times)[1])
    shares, off = np.minimum(found, 0.0), errors
    return Run(
        steps, tuple(words), shares[:, :-1], off[:, :-1], shares[:, -1], off[:, -1], relaxation,
        doubt,
    )  # fmt: skip


def told(levels: Sequence[Any]) -> tuple[Any, Any]:
    """What the finest cells say, and the error that coarser ones, those between the middles of
    these, and other nodes tell of."""
    fine, coarse, between, *others = levels
    off = sum((np.abs(x - coarse) for x in others), np.abs(fine - coarse))
    return fine, TWICE * np.maximum(off, np.abs(between - coarse))


def _on_cells(
    batches: Batches,
    held: Held,
    basins: Sequence[Sequence[tuple[float, float]]],
    minima: Sequence[float],
    start: Initial | None,
    steps: int,
) -> list[_Course]:
    """On fine cells, on cells twice as wide, on as wide ones between the middles of these, and by
    other nodes where these stand for batches."""
    borders = [x for parts in basins for part in parts for x in part]
    ground, edges = ground_of(batches, held, borders, start)
    chains = [(ground, chain) for chain in ground.chain(edges, held.ends, levels=2)]
    # Halved cells share their blind spots: those between their middles look from outside.
    between = distinct(edges[1::2], edges[[0, -1]], _joints(ground, borders))
    chains += [(ground, chain) for chain in ground.chain(between, held.ends)]
    for law in batches.others:
        other = replace(ground, batches=law)
        chains += [(other, chain) for chain in other.chain(edges[::2], held.ends)]
    taken, since = 1, None
    if start is not None:
        taken, since = 0, partial(spread_on, start=start)
        for x, p in walked(repeat(batches, steps), batches, start, held):
            taken, since = taken + 1, partial(placed, x=x, p=p)
    levels = []
    for here, chain in chains:
        points = np.array(minima)
        images = led(here.batches, held, points)
        for end, kind, away in zip((held.lower, held.upper), held.ends, (-1, 1), strict=True):
            if kind == "leave":  # what is there has left, and is at infinity
                images[(images == end) | (points == end)] = away * math.inf
        begin = np.array([placed(chain.edges, x, here.batches.probability) for x in images.T])
        first = begin if since is None else np.array([since(chain.edges)])
        middle = (chain.edges[1:] + chain.edges[:-1]) / 2
        inside = _ends_in(basins, np.append(middle, chain.edges[[0, -1]]), batches.landscape, held)
        levels.append(_Course(here.halted(chain).dense(), inside, begin, first, taken))
    return levels


def _on_walks(
    batches: Batches,
    held: Held,
    basins: Sequence[Sequence[tuple[float, float]]],
    minima: Sequence[float],
    start: Initial | None,
) -> list[_Course]:
    """On the points that walks come to, or on cells of lattices; none where there are none."""
    if not is_rigid(batches, held):
        return []
    if start is not None and start.law is not None:
        borders = [x for parts in basins for part in parts for x in part]
        cells = lattices_of(batches, held, [start.ppf(0.0), start.ppf(1.0), *borders])
        if cells is None:
            return []
        walks, begin = [cells.walk], None
        first = np.zeros((1, cells.walk.links.n))
        first[:, cells.inner] = shares_of(start, cells.edges)
    else:
        points = np.array(minima) if start is None else np.append(minima, start.points)
        found = walks_from(batches, held, points)
        if found is None or not found[2]:
            return []
        walks, at, _ = found
        rows = np.zeros((len(at), walks[0].links.n))
        rows[np.arange(len(at)), at] = 1.0
        begin, rest = rows[: len(minima)], rows[len(minima) :]
        first = begin if start is None else np.atleast_2d(start.weights @ rest)
    n, x = walks[0].links.n, walks[0].position
    if n > MOST_STATES:
        return []
    first = first / first.sum(axis=1)[:, None]
    courses, inside = [], _ends_in(basins, x, batches.landscape, held)
    for walk in walks:
        matrix = walk.links.dense()
        matrix[walk.stopped] = np.eye(n)[walk.stopped]
        courses.append(_Course(matrix, inside, begin, first, 0))
    return courses


def walked(
    steps: Iterable[Batches | None], most: Batches, start: Initial, held: Held
) -> Iterator[tuple[Array, Array]]:
    """Points of a start with their probabilities after each step, while these are few and all.

    None of the steps has more maps than `most`.
    """
    if start.law is None and most.whole:
        weights = start.weights / start.weights.sum()
        yield from stepped(start.points, weights, steps, most, held, np.isfinite)


def ground_of(
    batches: Batches, held: Held, borders: Sequence[float], start: Initial | None
) -> tuple[Ground, Array]:
    """What is followed, and the edges of cells: none of the borders is within one."""
    ground = Ground(batches, held, CELLS, start)
    minima = [e.position for e in equilibria_between(batches, held.lower, held.upper) if e.stable]
    lay = partial(cells_for, ground, borders)

    def decided(edges: Array) -> Array:
        (chain,) = ground.chain(edges, held.ends)
        owner = np.append(np.full(chain.cells, -1), [0, len(minima) - 1])
        owner[cells_of(edges, np.array(minima))] = np.arange(len(minima))
        return absorbed(chain.matrix, owner, len(minima), ground.lean.rise(edges))[0]

    edges = lay()
    if start is not None and len(minima) > 1:
        edges = laid(edges, decided, lay)
    return ground, bisected(edges)


def cells_for(
    ground: Ground, borders: Sequence[float], profile: tuple[Array, Array] | None = None
) -> Array:
    """Edges of half the cells, fine where the mass of a profile is."""
    low, high, joints = ground.held.lower, ground.held.upper, _joints(ground, borders)
    return graded(low, high, CELLS // 2, ground.rests, joints, profile, cores=ground.cores)


def _joints(ground: Ground, borders: Sequence[float]) -> Array:
    """What no cell holds inside."""
    low, high = ground.held.lower, ground.held.upper
    near = SAME * (high - low)  # next to an end that absorbs there is no cell
    return distinct([*ground.joints, *(b for b in borders if low + near < b < high - near)])


def held_in(basins: Sequence[Sequence[tuple[float, float]]], x: Array) -> Array:
    """Which points each basin holds: (len(x), basins)."""
    held = [np.any([(low < x) & (x <= high) for low, high in parts], axis=0) for parts in basins]
    return np.array(held, dtype=float).T


def _ends_in(
    basins: Sequence[Sequence[tuple[float, float]]], x: Array, landscape: Landscape, held: Held
) -> Array:
    """The same, and what has run away to infinity: (len(x), basins + 1)."""
    (lower, upper), (low, high) = landscape.domain, held.ends
    below = (low == "leave") & (lower == -math.inf) & (x <= held.lower)
    lost = below | ((high == "leave") & (upper == math.inf) & (x >= held.upper))
    return np.column_stack([held_in(basins, x) * ~lost[:, None], lost])


def spread_on(edges: Array, start: Initial) -> Array:
    """A start, as cells see it."""
    return np.append(shares_of(start, edges), [0.0, 0.0])


def placed(edges: Array, x: Array, p: Array) -> Array:
    """Points with their probabilities, as cells see them, and the two ends."""
    return np.bincount(cells_of(edges, x), p, len(edges) + 1)


@dataclass(frozen=True, eq=False)
class _Course:
    """A chain as a dense matrix, which states each basin holds, and where it begins."""

    matrix: Array  # (n, n)
    inside: Array  # (n, basins + 1): the last is what has run away
    begin: Array | None  # (minima, n): from each of them
    first: Array  # (starts, n)
    taken: int  # steps that these have taken

    def moved(self, steps: int, forgets: bool) -> tuple[Array, float]:
        """Rows of probabilities after so many steps, and how many it takes to forget.

        That is the log of the steps in which basins forget who began in them, a row of `begin`
        for each; inf where they never do, nan where there are none or it is not asked for.
        """
        rows, begin, steps = self.first, self.begin if forgets else None, steps - self.taken
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
                shares = begin @ power @ self.inside[:, :-1] if k <= MIXED else shares @ shares
                shares /= shares.sum(axis=1, keepdims=True)
                now = 0.5 * max(np.abs(a - b).sum() for a in shares for b in shares)
                if now < 0.5:  # it falls as exp(-steps / relaxation), and the steps have doubled
                    fall = math.log(apart / max(now, 1e-300))
                    relaxation = (k - 1) * math.log(2) - math.log(fall)
                apart = now
        return rows, math.inf if relaxation is None else relaxation
