"""`Ground`: what the parts of an exact chain have in common."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from stationary.aliases import Array
from stationary.cells import shares_of
from stationary.chain.batches import Batches
from stationary.chain.cells import (
    Core,
    RestPoint,
    capture,
    cores_of,
    equilibria_between,
    graded,
    rest_points,
)
from stationary.chain.elimination import absorbed
from stationary.chain.far import Far, Fate, Held, held_by
from stationary.chain.links import Links, closed_classes
from stationary.chain.tilt import Lean, Seen
from stationary.chain.transfer import Transfer, transfers
from stationary.process.initial import Initial

FEW_CELLS = 250  # of a first pass over the whole interval
LOST = 1e-11  # of the steps from where SGD is for long, fewer than which lead away
MOSTLY = 7.0  # e-folds below the most likely cell: fewer are where SGD is for long
LEANS = 1000  # points at which the steps are asked how density leans, at least


@dataclass(frozen=True, eq=False)
class Ground:
    """The maps, the interval on which they are followed, and the points that they leave alone."""

    batches: Batches
    held: Held
    cells: int
    start: Initial | None
    dead: tuple[tuple[float, float], ...] = ()  # stretches on which all gradients are 0
    laid: tuple[Core, ...] | None = None  # what needs finer cells than the rest, where that is said

    @cached_property
    def cores(self) -> tuple[Core, ...]:
        """What needs finer cells than the rest."""
        if self.laid is not None:
            return self.laid
        count = min(self.cells // 4, FEW_CELLS)
        return cores_of(self.batches, self.held.lower, self.held.upper, count)

    @cached_property
    def rests(self) -> tuple[RestPoint, ...]:
        return rest_points(self.batches, self.held.lower, self.held.upper, self.cores)

    def within(self, lower: float, upper: float, core: Core) -> Ground:
        """The same on a shorter interval, around what is likely there."""
        held = replace(self.held, lower=lower, upper=upper)
        return replace(self, held=held, laid=(core, *self.cores))

    @cached_property
    def joints(self) -> Array:
        """Where the gradients may jump."""
        known = {
            *self.batches.landscape.joints(self.cells // 4),
            *(x for ends in self.dead for x in ends),
        }
        return np.array([b for b in sorted(known) if self.held.lower < b < self.held.upper])

    @cached_property
    def lean(self) -> Lean:
        held = self.held
        edges = graded(
            held.lower, held.upper, max(self.cells // 2, LEANS), self.rests, self.joints,
            cores=self.cores,
        )  # fmt: skip
        return Lean(self.batches, (edges[1:] + edges[:-1]) / 2)

    def chain(
        self,
        edges: Array,
        ends: tuple[str, str],
        seen: Seen | None = None,
        *,
        levels: int = 1,
        leaning: bool = True,
    ) -> list[Transfer]:
        """The chain on cells, and on cells 2, 4, ... times as wide."""

        def lean(level: Array) -> Array:
            return self.lean(level, seen)

        leans = [lean if leaning else None] * levels
        return transfers(self.batches, edges, ends, self.joints, leans)

    def captured(self, edges: Array) -> Array:
        """For each cell, which attracting rest point has it for its own; -1 for none."""
        owner = np.full(len(edges) - 1, -1)
        width = self.held.upper - self.held.lower
        middle = (edges[1:] + edges[:-1]) / 2
        for k, p in enumerate(self.rests):
            if p.attracts:
                owner[np.abs(middle - p.position) < capture(p, width)] = k
        return owner

    def closed(self, chain: Transfer) -> list[Array]:
        """The closed classes of cells; what is captured or leaves is none of them."""
        return closed_classes(chain.matrix, self.captured(chain.edges) >= 0)

    def halted(self, chain: Transfer) -> Links:
        """The chain on cells and the two ends; what is captured or has left stays there."""
        matrix = chain.matrix
        stays = np.append(self.captured(chain.edges) >= 0, [True, True])
        going, at = ~stays[matrix.rows], np.flatnonzero(stays)
        pairs = (matrix.rows[going], at), (matrix.columns[going], at)
        rows, columns = map(np.concatenate, pairs)
        return Links.of(
            rows, columns, np.append(matrix.values[going], np.ones(len(at))), len(stays)
        )

    def point(self, position: float) -> RestPoint:
        """A class that is a point: one of the known rest points, or one that steps lead to."""
        known = (r for r in self.rests if r.position == position)
        return next(known, RestPoint(position, -1.0, True))


def followed(batches: Batches, start: Initial | None) -> tuple[Held, bool]:
    """The interval on which to follow the chain, and whether it leaves that one in the end."""
    span = None if start is None else start.span
    held = held_by(batches, span)
    inner = _lasting(batches, held, start)
    return (held, False) if inner is None else (inner, True)


def _lasting(batches: Batches, held: Held, start: Initial | None) -> Held | None:
    """Where SGD stays for longer than any run although far out its steps lead ever farther away.

    The narrowest interval around all minima that next to no step leads out of, from any of them
    on or on the way to them from the start; None where there is none.
    """
    ends = zip(held.ends, batches.landscape.domain, strict=True)
    if held.far.fate is not Fate.DIVERGES or any(
        kind != ("leave" if math.isinf(wall) else "fold") for kind, wall in ends
    ):
        return None
    found = equilibria_between(batches, held.lower, held.upper)
    minima = [e.position for e in found if e.stable]
    if not minima:
        return None
    before = 1.0
    for pad in (held.upper - held.lower) * 2.0 ** np.arange(-14, -1):
        low, high = max(min(minima) - pad, held.lower), min(max(minima) + pad, held.upper)
        if start is not None and not low <= start.span[0] <= start.span[1] <= high:
            continue
        inner = Held(float(low), float(high), ("fold", "fold"), Far())
        ground = Ground(batches, inner, FEW_CELLS, None, laid=())
        edges = np.linspace(low, high, FEW_CELLS + 1)
        lower, upper = batches.landscape.domain
        out = "fold" if low == lower else "leave", "fold" if high == upper else "leave"
        (chain,) = ground.chain(edges, out, leaning=False)
        at = np.clip(np.searchsorted(edges, minima, side="right") - 1, 0, chain.cells - 1)
        likely = -np.abs(np.arange(chain.cells) - at[0])
        owner = np.append(np.full(chain.cells, -1), [0, 0])
        _, steps, _ = absorbed(chain.matrix, owner, 1, likely)
        # One in as many steps leads out as that takes; where none does, it is no number.
        lost = float(np.exp(-np.nan_to_num(steps[at], nan=math.inf)).max())
        if lost < LOST and (start is None or _strays(ground, chain, at, start) < LOST):
            return inner
        if lost > 2 * before:  # wider, its cells and the steps within tell ever less
            return None
        before = lost
    return None


def _strays(ground: Ground, chain: Transfer, minima: Array, start: Initial) -> float:
    """How likely SGD leaves cells for good before it comes to where it is for long."""
    (kept,) = ground.chain(chain.edges, ground.held.ends, leaning=False)
    owner = np.append(np.full(chain.cells, -1), [0, 0])
    for members in closed_classes(kept.inner):
        log_mass = kept.stationary(members)
        owner[:-2][log_mass > log_mass.max() - MOSTLY] = 1
    owner[minima] = 1
    table, _, _ = absorbed(chain.matrix, owner, 2, 1.0 * owner[:-2])
    if start.law is not None:
        return float(shares_of(start, chain.edges) @ table[:, 0])
    cell = np.clip(np.searchsorted(chain.edges, start.points, side="right") - 1, 0, chain.cells - 1)
    return float(start.weights @ table[cell, 0] / start.weights.sum())
