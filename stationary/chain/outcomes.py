"""Where SGD ends up from a start, where it can end in several ways, and how long that takes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stationary.chain.batches import Batches
from stationary.chain.cells import Held, RestPoint, bisected, capture, graded, rest_points
from stationary.chain.closed_class import ChainClass
from stationary.chain.elimination import Elimination
from stationary.chain.tilt import tilt
from stationary.chain.transfer import Transfer, transfer
from stationary.process.initial import Initial
from stationary.states.mixture import Escape
from stationary.wording import time_text

__all__ = ["Outcomes"]

Array = NDArray[Any]

SLOW = 1e6  # steps until a closed class that are worth a word
TREE = 20_000  # points of a start that are followed step by step


class Outcomes:
    """The chain on its way to a closed class, and what is known of it so far."""

    def __init__(
        self, batches: Batches, held: Held, cells: int, start: Initial | None, notes: list[str]
    ) -> None:
        self.batches, self.held, self.cells, self.start = batches, held, cells, start
        self.landscape = batches.landscape
        self.notes = notes
        self.sound = True
        self.profile: tuple[Array, Array] | None = None
        self.heavy = (False, False)  # whether mean and variance diverge
        self.split = False  # whether a class turned out to be several
        self.passage: tuple[Array, Array] | None = None  # cells, and steps from each
        self.log_arrival = -math.inf
        self.still: list[ChainClass] = []
        lower, upper = held.lower, held.upper
        self.joints = np.array([b for b in self.landscape.breakpoints if lower < b < upper])
        self.rests: tuple[RestPoint, ...] = rest_points(batches, lower, upper)

    def chain(
        self, edges: Array, ends: tuple[str, str], seen: tuple[Array, Array] | None = None
    ) -> Transfer:
        slope = tilt(self.batches, edges, seen)
        return transfer(self.batches, edges, ends, self.joints, slope)

    def captured(self, edges: Array) -> Array:
        """For each cell, which attracting rest point has it for its own; -1 for none."""
        owner = np.full(len(edges) - 1, -1)
        width = self.held.upper - self.held.lower
        middle = (edges[1:] + edges[:-1]) / 2
        for k, p in enumerate(self.rests):
            if p.attracts:
                owner[np.abs(middle - p.position) < capture(p, width)] = k
        return owner

    def passing(self, components: list[ChainClass], points: list[float]) -> Array:
        """Edges of cells on which to follow what is on its way to a closed class."""
        held = self.held
        joints = np.concatenate([self.joints, *(c.interval for c in components), points])
        joints = np.unique(joints[(held.lower < joints) & (joints < held.upper)])
        rests = tuple(sorted((self._point(p) for p in points), key=lambda r: r.position))
        rests += tuple(r for r in self.rests if not r.attracts)
        return graded(held.lower, held.upper, self.cells // 2, rests, joints)

    def _point(self, position: float) -> RestPoint:
        """A class that is a point: one of the known rest points, or one that steps lead to."""
        known = (r for r in self.rests if r.position == position)
        return next(known, RestPoint(position, -1.0, True))

    def arrival(self) -> None:
        """How many steps it takes to come to a closed class, in the mean: from the start, or from
        the worst start."""
        if self.passage is None:
            return
        edges, steps = self.passage
        if self.start is not None:
            steps = self._from_start(edges, steps[:, None])
        most = float(steps.max())
        self.log_arrival = math.log(most) if 0 < most < math.inf else -math.inf
        if most > SLOW:
            where = "its start" if self.start is not None else "the worst start"
            self.notes.append(
                f"From {where} it takes {time_text(self.log_arrival)} steps in the mean to come "
                "to a closed class. Until then SGD is metastable, and this is not what it shows."
            )

    def absorbed(
        self,
        edges: Array,
        points: list[float],
        components: list[ChainClass],
        outside: list[Escape],
    ) -> Array:
        """For each cell, the probability to end in each of the outcomes, shape (cells, K)."""
        chain = self.chain(edges, self.held.ends)
        n, a, b = chain.cells, len(points), len(points) + len(components)
        middle = (edges[1:] + edges[:-1]) / 2
        owner = np.full(n, -1)
        width = self.held.upper - self.held.lower
        for k, p in enumerate(points):
            owner[np.abs(middle - p) < capture(self._point(p), width)] = k
        for k, c in enumerate(components):
            low, high = c.interval
            inside = (low < middle) & (middle < high) & (owner < 0)
            alone = all(d is c or d.interval[1] <= low or high <= d.interval[0] for d in components)
            if not alone:  # classes that interlace: what none of them fills is on its way
                cell = np.clip(np.searchsorted(c.edges, middle) - 1, 0, len(c.log_mass) - 1)
                inside &= np.isfinite(c.log_mass[cell])
            owner[inside] = a + k
        ends = [k for k in (0, 1) if self.held.ends[k] == "leave"]
        result = np.zeros((n, b + len(outside)))
        done = owner >= 0
        result[done, owner[done]] = 1.0
        going = np.flatnonzero(~done)
        if not len(going):
            return result
        rows = chain.matrix[going]
        arrives = np.asarray(rows[:, :n] @ result)
        for j, k in enumerate(ends):
            arrives[:, b + j] += rows[:, [n + k]].toarray()[:, 0]
        parts = Elimination.of(rows[:, going].tocsr(), arrives.sum(axis=1))
        with np.errstate(all="ignore"):
            found = parts.solve(np.column_stack([arrives, np.ones(len(going))]))
            steps = np.zeros(n)
            steps[going], found = found[:, -1], found[:, :-1]
            self.passage = edges, steps
            total = found.sum(axis=1, keepdims=True)
            found = np.where(np.isfinite(total) & (total > 0), found / total, 0.0)
        self.sound &= parts.sound and bool(np.isfinite(total).all())
        result[going] = found
        return result

    def _from_start(self, edges: Array, table: Array) -> Array:
        start = self.start
        assert start is not None
        if start.law is not None:
            below = np.asarray(start.law.law.cdf(edges), dtype=float)
            share = np.clip(np.diff(below), 0, None)
            first, last = start.law.ends
            share[0] += max(below[0] - first.before, 0.0)  # beyond the cells, or at the end itself
            share[-1] += max(1 - last.after - below[-1], 0.0)
            return np.asarray(share @ table / start.law.total)
        middle = (edges[1:] + edges[:-1]) / 2
        resting = np.array([p.position for p in self.rests if not p.attracts])
        stays = np.isin(start.points, resting)
        weights = start.weights / start.weights.sum()
        x, p = self._stepped(start.points[~stays], weights[~stays], edges, table)
        values = np.stack([np.interp(x, middle, column) for column in table.T], axis=1)
        # Whole where a cell belongs to one outcome, so that classes end where they end.
        cell = np.clip(np.searchsorted(edges, x, side="right") - 1, 0, len(middle) - 1)
        sure = table[cell].max(axis=1) == 1.0
        return np.asarray(p @ np.where(sure[:, None], table[cell], values))

    def _stepped(self, x: Array, p: Array, edges: Array, table: Array) -> tuple[Array, Array]:
        """Points with their probabilities after as many steps as can be taken one by one."""
        lower, upper = self.held.lower, self.held.upper
        while len(x) * len(self.batches) <= TREE:
            cell = np.clip(np.searchsorted(edges, x, side="right") - 1, 0, len(edges) - 2)
            going = table[cell].max(axis=1) < 1.0
            images = self.batches.images(x[going])
            if not going.any() or not ((lower <= images) & (images <= upper)).all():
                break
            weights = self.batches.probability[:, None] * p[going]
            x = np.concatenate([x[~going], images.ravel()])
            p = np.concatenate([p[~going], weights.ravel()])
        return x, p

    def weights(
        self,
        points: list[float],
        components: list[ChainClass],
        outside: list[Escape],
        stays: float,
    ) -> tuple[Array | None, float, Array | None]:
        """The weight of each outcome from the start, its error; or those that hold for any."""
        edges = self.passing(components, points)
        values = []
        table = None
        for _ in range(2):
            table = self.absorbed(edges, points, components, outside)
            if self.start is not None:
                values.append(self._from_start(edges, table))
            edges = bisected(edges)
        if self.start is None:
            assert table is not None
            constant = np.ptp(table, axis=0).max() < 1e-12
            return None, 0.0, table[0] if constant else None
        change = float(np.abs(values[1] - values[0]).max())
        total, moving = float(values[1].sum()), 1.0 - stays
        if not total > 0:  # no cell leads to any of them: nothing is known
            self.sound = False
            return np.full(len(values[1]), moving / len(values[1])), 1.0, None
        missing = abs(moving - total)
        return values[1] * (moving / total), 2 * change + missing, None
