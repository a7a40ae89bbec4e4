"""`Refinement`: what grids, each half as fine as the next, say together.

The scheme's errors fall with the square of the cell where the noise spreads what the drift carries
over a cell, and with the cell where the drift alone carries it. Of three grids the combination

    (8 fine - 6 middle + coarse) / 3

is free of both, wherever each was at work. It is taken of the masses of the coarsest of the three,
whose sums are made to ascend again where they do not, and of moments and currents. Its error
is told by what three grids make of the same a level and two levels before; and, as these may agree
by chance where errors are of no order yet, by (4 fine - middle) / 3, which is free of the square.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from stationary.aliases import Array
from stationary.evolution.generator import Chain
from stationary.evolution.grid import BLUR
from stationary.evolution.propagation import Run, current_of

Intervals = Sequence[tuple[float, float]]

WEIGHTS = (1 / 3, -2.0, 8 / 3)  # of the coarse, the middle and the fine
OF_TWO = (-1 / 3, 4 / 3)  # of the middle and the fine
SAFETY = 1.25
CAUTION = 2.0  # where the ratio is low, it may be about to change
BEST = 8.0  # the ratio of two differences that is believed at most
WITH_CELLS = 2.0  # the same where errors fall no faster than cells do
VAGUE = 0.1  # an error of a probability, beyond which the order of the errors is not known
COARSE = 1e-2  # the same, beyond which that of the moments is not
NOISE = 1e-13  # relative to what is compared: a difference below it has no order


@dataclass(frozen=True, eq=False)
class Limit:
    """What cells of no width would give, and its error."""

    value: Array
    error: Array


@dataclass(frozen=True, eq=False)
class Cells:
    """Cells, and places among them that hold probability of their own."""

    edges: Array  # (cells + 1,)
    is_cell: Array  # (states,): cells and places, left to right
    places: Array


@dataclass(frozen=True, eq=False)
class Refined:
    """The evolution on the cells of the third grid from the last, as the finer ones correct it."""

    cells: Cells
    masses: Array  # (times, cells)
    atoms: Array  # (times, atoms)
    atom_errors: Array
    error: Array  # (times,): the largest of a probability below an edge, but next to an atom
    mass_error: Array  # (times,): in total variation, on every other edge
    mean: Limit  # (times,)
    variance: Limit
    current: Limit  # (times, cells + 1); of the error the largest, (times,)
    time_error: Array  # (times,): of the steps in time, in total variation; part of no other
    moment_errors: Array  # (times, 2): the same of E|X - origin| and E(X - origin)^2


@dataclass(frozen=True, eq=False)
class Refinement:
    """Five grids, coarse to fine, and what they make of cells of no width.

    All cells of an interval that is `blurred` count as one. `needed` cells it takes for the noise
    to spread what the drift carries over one: with fewer, where one is as strong as the other
    moves with the cells, and what is left there falls with their width alone.
    """

    blurred: Intervals
    needed: float
    runs: Sequence[Run] = ()

    @cached_property
    def _cells(self) -> list[Cells]:
        return [_cells_of(run.chain, self.blurred) for run in self.runs]

    @cached_property
    def _states(self) -> list[Array]:
        pairs = zip(self._cells, self.runs, strict=True)
        return [_onto(cells, _cells_of(run.chain, ()), run.states) for cells, run in pairs]

    @cached_property
    def _limits(self) -> list[Limit]:
        return [_combined(self._cells[k : k + 3], self._states[k : k + 3]) for k in range(3)]

    @cached_property
    def _differences(self) -> list[tuple[Cells, Array]]:
        """Of neighbouring limits, and of the last one from that of two grids."""
        (first, second, third, *finer), (coarse, middle, fine) = self._cells, self._limits
        other = _mixed([_onto(third, *pair) for pair in zip(finer, self._states[3:], strict=True)])
        return [
            (first, _onto(first, second, middle.value) - coarse.value),
            (second, _onto(second, third, fine.value) - middle.value),
            (third, fine.value - other),
        ]

    @cached_property
    def error(self) -> Array:
        """(times,), as in `Refined`."""
        sums = [_apart(*pair) for pair in self._differences]
        best = BEST if self.needed < len(self.runs[-1].chain.width) else WITH_CELLS
        return _unless_vague(_error(*sums, best=best) + 2 * self._limits[-1].error)

    def refined(self) -> Refined:
        runs, found, fine = self.runs, self._cells[2], self._limits[-1]
        totals = [np.abs(d).sum(axis=1) / 2 for _, d in self._differences]
        lumps = [np.abs(d[:, ~c.is_cell]) for c, d in self._differences]
        means, variances = (np.array([getattr(r, k) for r in runs]) for k in ("mean", "variance"))
        first_moment, second_moment = runs[4].moments.T
        current = _of_faces([current_of(r) for r in runs])
        shown = np.isin(runs[2].chain.edges, found.edges)
        return Refined(
            cells=found,
            masses=fine.value[:, found.is_cell],
            atoms=fine.value[:, ~found.is_cell],
            atom_errors=_error(*lumps) + 2 * fine.error[:, None],
            error=self.error,
            mass_error=_unless_vague(_error(*totals) + 2 * fine.error),
            mean=_of_moment(means, first_moment, self.error, -math.inf),
            variance=_of_moment(variances, second_moment, self.error, 0.0),
            current=Limit(current.value[:, shown], current.error),
            time_error=sizes([r.errors for r in runs[2:]]),
            moment_errors=sizes([r.moment_errors for r in runs[2:]]),
        )


def _apart(cells: Cells, differences: Array) -> Array:
    """The most by which probabilities below an edge differ, (times,), if doubles tell it apart.

    On which side of an atom what comes ever closer to it is, they do not.
    """
    ends = np.cumsum(cells.is_cell)  # the edge above each cell; of an atom that below it
    x, places = cells.edges[ends], cells.places
    near = np.abs(x[:, None] - places) <= BLUR * np.abs(places)
    off = np.where(near.any(axis=1), 0.0, np.abs(np.cumsum(differences, axis=1)))
    return np.asarray(off.max(axis=1))


def limit_of(values: Sequence[Array], scale: Array | float) -> Limit:
    """The limit of five sequences (times,), and its error, no less than rounding at `scale`."""
    size = np.maximum(scale, 1e-300)
    first, second, third = (_mixed(values[k : k + 3]) for k in range(3))
    differences = (second - first, third - second, third - _mixed(values[3:]))
    return Limit(third, (_error(*(np.abs(d) / size for d in differences)) + NOISE) * size)


def _mixed(values: Sequence[Any]) -> Any:
    weights = WEIGHTS if len(values) == len(WEIGHTS) else OF_TWO
    return sum(w * v for w, v in zip(weights, values, strict=True))


def sizes(errors: Sequence[Any]) -> Any:
    return sum(abs(w) * e for w, e in zip(WEIGHTS, errors, strict=True))


def _error(first: Array, second: Array, other: Array, *, best: float = BEST) -> Array:
    """The error of the last of three limits, for each time (row), from their two differences.

    `other` is by how much it differs from the limit of two grids: three limits may agree by
    chance, where errors are of no order yet.
    """
    top = float(second.max(initial=0.0))
    overall = float(first.max(initial=0.0)) / top if top > 0 else BEST
    ratio = np.minimum(first / np.where(second > 0, second, 1.0), overall)
    ratio = np.where(second > 0, ratio, overall)
    safety = np.where(ratio > min(3.0, best), SAFETY, CAUTION)
    smooth = safety * second / (np.clip(ratio, 1.5, best) - 1)
    unknown = 5 * np.maximum(first, second)
    error = np.where(ratio > 1.5, smooth, unknown)
    return np.maximum(error, CAUTION * other)


def _unless_vague(error: Array) -> Array:
    """Errors of probabilities; so large that grids do not see the same, they say nothing."""
    return np.where(error > VAGUE, 1.0, error)


def _of_moment(values: Array, scale: Array, error: Array, least: float) -> Limit:
    """The limit of a moment; one that comes out below the least is that of the finest grid.

    Where cells are vague all that putting together has changed is its error: of two grids, since
    one may be near it by chance.
    """
    found = limit_of(list(values), scale)
    # What is carried faster than it spreads may be too narrow for the cells to say more.
    lost = found.value < least
    value = np.where(lost, values[-1], found.value)
    off = np.where(lost, np.maximum(found.error, values[-1]), found.error)
    change = 2 * np.abs(value - values[3:]).max(axis=0)
    return Limit(value, np.where(error > COARSE, np.maximum(off, change), off))


def _of_faces(values: Sequence[Array]) -> Limit:
    """The same of values at edges, (times, cells + 1), on those of the third grid."""
    first, second, third = (
        _mixed([v[:, :: 2**j] for j, v in enumerate(values[k : k + 3])]) for k in range(3)
    )
    lower = np.abs(second[:, ::2] - first).max(axis=1)
    upper = np.abs(third[:, ::2] - second).max(axis=1)
    change = np.abs(third - _mixed([values[3][:, ::2], values[4][:, ::4]])).max(axis=1)
    return Limit(third, _error(lower, upper, change))


# The masses of cells, and of the points that hold probability among them.


def _cells_of(chain: Chain, blurred: Intervals) -> Cells:
    places = chain.position[~chain.is_cell]
    hidden = np.zeros(len(chain.edges), dtype=bool)
    for low, high in blurred:
        if not ((places > low) & (places < high)).any():
            hidden |= (chain.edges > low) & (chain.edges < high)
    edges = chain.edges[~hidden]
    before = np.searchsorted(edges, places)
    return Cells(edges, np.insert(np.ones(len(edges) - 1, dtype=bool), before, False), places)


def _onto(coarse: Cells, fine: Cells, masses: Array) -> Array:
    """Masses on cells, summed over the coarser ones that they lie in."""
    middle = (fine.edges[1:] + fine.edges[:-1]) / 2
    goal = np.empty(len(fine.is_cell), dtype=int)
    within = np.searchsorted(coarse.edges, middle) - 1
    goal[fine.is_cell] = np.flatnonzero(coarse.is_cell)[within]
    goal[~fine.is_cell] = np.flatnonzero(~coarse.is_cell)
    return np.add.reduceat(masses, np.flatnonzero(np.diff(goal, prepend=-1)), axis=1)


def _combined(cells: Sequence[Cells], states: Sequence[Array]) -> Limit:
    """The limit of three grids on the cells of the first, and what it took to have it ascend.

    Where sums of masses fall, the ascending sums that are nearest take their place.
    """
    masses = _mixed([_onto(cells[0], c, p) for c, p in zip(cells, states, strict=True)])
    below = np.cumsum(masses, axis=1)
    highest = np.maximum.accumulate(below, axis=1)
    lowest = np.minimum.accumulate(below[:, ::-1], axis=1)[:, ::-1]
    nearest = np.clip((highest + lowest) / 2, 0.0, 1.0)
    moved = nearest != below
    moved[:, 1:] |= moved[:, :-1]
    masses = np.maximum(np.where(moved, np.diff(nearest, axis=1, prepend=0.0), masses), 0.0)
    masses /= masses.sum(axis=1, keepdims=True)
    return Limit(masses, np.abs(nearest - below).max(axis=1))
