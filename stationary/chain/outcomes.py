"""Where SGD ends up from a start, where it can end in several ways, and how long that takes."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import repeat

import numpy as np

from stationary.aliases import Array
from stationary.cells import shares_of
from stationary.chain.batches import Batches
from stationary.chain.cells import bisected, capture, graded
from stationary.chain.closed_class import ChainClass
from stationary.chain.elimination import absorbed
from stationary.chain.far import Held
from stationary.chain.ground import FEW_CELLS, Ground
from stationary.chain.points import led
from stationary.numbers.elementary import distinct
from stationary.numbers.limit import limit
from stationary.states.mixture import Escape

MOST_CELLS = 1000  # on the way to a closed class; the errors come from half of twice as many
SLOW = math.log(1e6)  # of the steps until a closed class that are worth a word, and the cells
STEEP = 0.03  # of what is decided in all, that one cell decides at most
LOOKS = 4  # times that cells are laid anew, each by some 30 times narrower where that takes it
TREE = 20_000  # points of a start that are followed step by step
NOBODY = 1e-17  # of a start: what is on its way then decides nothing
WALKED = 4096  # steps that are followed at most: on a lattice points do not become more


@dataclass(frozen=True, eq=False)
class Weights:
    """How likely the walker ends in each outcome, and how long it takes to get to one.

    Attributes
    ----------
    weights
        (outcomes,); None where they depend on the start and none was given.
    error
        Absolute, of each.
    log_arrival
        log of the mean number of steps to a closed class, from the start, or from the worst one;
        inf where doubles cannot hold it; and its absolute error.
    sound
        False where some of what is on its way does not get to any, as far as doubles tell.
    """

    weights: Array | None
    error: float
    log_arrival: float
    arrival_error: float = 0.0
    sound: bool = True


def weights_of(
    ground: Ground,
    points: list[float],
    components: list[ChainClass],
    outside: list[Escape],
    stays: float,
) -> Weights:
    """Of points, classes and ends, in this order; `stays` is what never leaves its start."""
    held, count = ground.held, len(points) + len(components) + len(outside)
    alone = np.array([1 - stays]) if count == 1 else None
    whole = [c.interval for c in components if np.isfinite(c.log_mass).all()] == [
        (held.lower, held.upper)
    ]
    if count == 0 or (count == 1 and whole):
        return Weights(alone, 0.0, -math.inf)
    passage = _Passage(ground, points, components, outside)
    edges = passage.edges()
    if count > 1:
        edges = laid(edges, lambda x: passage.absorbed(x)[0], passage.edges)
    sound, values, arrivals = True, [], [-math.inf]
    while len(arrivals) < (4 if SLOW < arrivals[-1] < math.inf else 3):
        table, times, good = passage.absorbed(edges)
        sound &= good
        if ground.start is not None:
            values.append(passage.from_start(edges, table))
            top = max(float(times.max()), 0.0)
            with np.errstate(divide="ignore", invalid="ignore"):  # what is never left
                mean = passage.from_start(edges, np.exp(times - top)[:, None], walked=False)
                times = top + np.log(mean)
        arrivals.append(float(times.max()) if good else math.inf)
        edges = bisected(edges)
    arrival, doubt = arrivals[-1], 0.0
    if math.isfinite(arrival):
        doubt = 2 * abs(arrival - arrivals[-2])
    if len(arrivals) == 4 and math.isfinite(arrival):
        arrival, doubt = map(float, limit(arrivals[1:]))
    if count == 1:
        return Weights(alone, 0.0, arrival, doubt, sound)
    if ground.start is None:
        constant = np.ptp(table, axis=0).max() < 1e-12
        return Weights(table[0] if constant else None, 0.0, arrival, doubt, sound)
    change = float(np.abs(values[-1] - values[-2]).max())
    total, moving = float(values[-1].sum()), 1.0 - stays
    if not total > 0:  # no cell leads to any of them: nothing is known
        return Weights(np.full(count, moving / count), 1.0, arrival, doubt, False)
    error = 2 * change + abs(moving - total) + passage.beside()
    return Weights(values[-1] * (moving / total), error, arrival, doubt, sound)


def laid(
    edges: Array, decided: Callable[[Array], Array], lay: Callable[[tuple[Array, Array]], Array]
) -> Array:
    """Edges of cells where it is decided what a walker comes to first, which noise alone does next
    to a border. `decided` tells it for cells, (cells, outcomes), `lay` lays them by a profile."""
    for _ in range(LOOKS):
        turns = np.abs(np.gradient(decided(edges), axis=0)).sum(axis=1)
        if not turns.max() > STEEP * turns.sum():
            break
        edges = lay((edges, turns))
    return edges


@dataclass(frozen=True, eq=False)
class _Passage:
    """The chain on its way to one of its outcomes."""

    ground: Ground
    points: list[float]
    components: list[ChainClass]
    outside: list[Escape]

    def edges(self, profile: tuple[Array, Array] | None = None) -> Array:
        """Of cells on which to follow what is on its way to a closed class."""
        ground, held = self.ground, self.ground.held
        classes = [c.interval for c in self.components]
        joints = np.concatenate([ground.joints, *classes, self.points])
        joints = distinct(joints[(held.lower < joints) & (joints < held.upper)])
        rests = tuple(sorted((ground.point(p) for p in self.points), key=lambda r: r.position))
        rests += tuple(r for r in ground.rests if not r.attracts)
        alone = len(self.points) + len(self.components) + len(self.outside) == 1
        most, part = (FEW_CELLS // 2, 4) if alone else (MOST_CELLS, 2)
        count = min(ground.cells // part, most)
        return graded(held.lower, held.upper, count, rests, joints, profile, cores=ground.cores)

    def absorbed(self, edges: Array) -> tuple[Array, Array, bool]:
        """For each cell, the probability to end in each of the outcomes, shape (cells, K), log of
        the mean number of steps until then, (cells,), and whether doubles could hold them."""
        held = self.ground.held
        (chain,) = self.ground.chain(edges, held.ends)
        n, a, b = chain.cells, len(self.points), len(self.points) + len(self.components)
        middle = (edges[1:] + edges[:-1]) / 2
        owner = np.full(n + 2, -1)
        for k, p in enumerate(self.points):
            near = capture(self.ground.point(p), held.upper - held.lower)
            owner[:n][np.abs(middle - p) < near] = k
        # What no class fills is on its way, also between the parts of one; these, as of a Cantor
        # set, may be narrower than a cell.
        filled = np.array([np.diff(np.interp(edges, c.edges, c.filled)) for c in self.components])
        if len(filled):
            mine = (filled.max(axis=0) > 0) & (owner[:n] < 0)
            owner[:n][mine] = a + filled.argmax(axis=0)[mine]
        for j, k in enumerate(k for k in (0, 1) if held.ends[k] == "leave"):
            owner[n + k] = b + j
        return absorbed(chain.matrix, owner, b + len(self.outside), self.ground.lean.rise(edges))

    def beside(self) -> float:
        """How much of a start that is spread out counts as at a point, though it is beside it."""
        start, held = self.ground.start, self.ground.held
        if start is None or start.law is None:
            return 0.0
        near = [(p, capture(self.ground.point(p), held.upper - held.lower)) for p in self.points]
        return math.fsum(start.between(p - d, p + d) for p, d in near)

    def from_start(self, edges: Array, table: Array, *, walked: bool = True) -> Array:
        """The mean of each column; where it starts at points, by steps as long as these are few."""
        start = self.ground.start
        assert start is not None
        if start.law is not None:
            return np.asarray(shares_of(start, edges) @ table)
        middle = (edges[1:] + edges[:-1]) / 2
        resting = np.array([p.position for p in self.ground.rests if not p.attracts])
        stays = np.isin(start.points, resting)
        weights = start.weights / start.weights.sum()
        x, p = start.points[~stays], weights[~stays]
        if not walked:
            return np.asarray(p @ _interpolated(middle, table, x))
        batches, left = self.ground.batches, np.append(table.max(axis=1) < 1.0, [False, False])

        def undecided(x: Array) -> Array:
            return np.asarray(left[cells_of(edges, x)])

        steps = repeat(batches, WALKED)
        for now in stepped(x, p, steps, batches, self.ground.held, undecided):
            x, p = now
            if p[undecided(x)].sum() < NOBODY:
                break
        lost = np.zeros((2, table.shape[1]))
        for j, k in enumerate(k for k in (1, 0) if self.ground.held.ends[k] == "leave"):
            lost[k, -1 - j] = 1.0
        known = np.concatenate([table, lost])[cells_of(edges, x)]
        # Whole where a cell belongs to one outcome, so that classes end where they end.
        sure = known.max(axis=1) == 1.0
        return np.asarray(p @ np.where(sure[:, None], known, _interpolated(middle, table, x)))


def _interpolated(middle: Array, table: Array, x: Array) -> Array:
    """The columns of a table, known in the middle of cells, at points."""
    return np.stack([np.interp(x, middle, column) for column in table.T], axis=1)


def cells_of(edges: Array, x: Array) -> Array:
    """The cell of each point, or the end, after all cells, if it is at infinity."""
    n = len(edges) - 1
    cell = np.clip(np.searchsorted(edges, x, side="right") - 1, 0, n - 1)
    return np.where(np.isfinite(x), cell, np.where(x < 0, n, n + 1))


def stepped(
    x: Array,
    p: Array,
    steps: Iterable[Batches | None],
    most: Batches,
    held: Held,
    going: Callable[[Array], Array],
) -> Iterator[tuple[Array, Array]]:
    """Points with their probabilities after each step, as long as these can be taken one by one.

    Those that are `going` take it, within what is followed; what is lost is at infinity. None of
    the steps has more maps than `most`.
    """
    for batches in steps:
        moves = going(x)
        if len(x) * len(most) > TREE or not moves.any():
            return
        if batches is not None:
            images, walls = batches.images(x[moves]), (held.lower, held.upper)
            beyond = images < walls[0], images > walls[1]
            to = led(batches, held, x[moves]) if np.any(beyond) else images
            for k, gone in enumerate(beyond):
                wall, kind = most.landscape.domain[k], held.ends[k]
                if kind == "leave" and math.isinf(wall):
                    to[gone] = wall
                elif gone.any() and (kind not in ("fold", "periodic") or wall != walls[k]):
                    return  # what becomes of it is not sure
            p = np.append(p[~moves], np.outer(batches.probability, p[moves]))
            x, place = np.unique(np.append(x[~moves], to), return_inverse=True)  # some are alike
            p = np.bincount(place.ravel(), p)
        yield x, p
