"""Lattices: steps of fixed lengths, and the cells that they carry onto each other, whole.

Signs of gradients and losses like |w| lead from a point to others that are multiples of one length
away. Every point between two at which the steps jump, or such multiples away from them, has the
same chain, so that one of them stands for all: cells between these are states of a chain that is
exact. What a start on one lattice comes to may be far from what the lattice beside it does, and a
law is a mean over those that it starts on.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from stationary.aliases import Array
from stationary.cells import shares_of
from stationary.chain.batches import Batches
from stationary.chain.cells import bisected
from stationary.chain.classes import lattice_class
from stationary.chain.closed_class import ChainClass
from stationary.chain.far import Held
from stationary.chain.outcomes import Weights
from stationary.chain.points import MOST, NEAREST, PROBES, Walk, led, linked, stays
from stationary.numbers.elementary import distinct
from stationary.panels.roots import bisected as where_ends
from stationary.process.corners import SCAN
from stationary.process.initial import Initial

ALIKE = 1e-11  # of a step: lattices nearer than this are one
LEAST = 500  # cells by which a start is weighed


@dataclass(frozen=True, eq=False)
class Lattices:
    """Cells that every step carries onto one another, whole."""

    edges: Array
    measure: Array  # of each cell, where all lattices are alike
    walk: Walk  # on their middles, with the ends at which it has left
    turned: bool  # whether some are turned round on their way

    @property
    def inner(self) -> Array:
        """The states of the walk that are cells."""
        return np.flatnonzero(~self.walk.stopped)


def lattices_of(batches: Batches, held: Held, cuts: Iterable[float] = ()) -> Lattices | None:
    """The cells, with edges at some points, too; None where steps keep to no lattice."""
    found = _ways(batches, held)
    if found is None:
        return None
    corners, unit = found
    lower, width = held.lower, held.upper - held.lower
    at = np.array([*corners, *(x for x in cuts if lower < x < held.upper), lower, held.upper])
    part = _apart((at - lower) / unit)
    whole = width / unit
    images = batches.images(_looked(held))
    hit = bool((images < lower).any()), bool((images > held.upper).any())
    walls = [2 * whole * k for k in (0, 1) if held.ends[k] == "fold" and hit[k]]
    around = [whole] if held.ends[0] == "periodic" and any(hit) else []
    count = 0
    while len(part) != count:
        count = len(part)
        if count * whole > MOST:
            return None
        part = _apart(
            np.concatenate([part, *(w - part for w in walls), *(w + part for w in around)])
        )
    edges = lower + unit * (np.arange(int(whole) + 2)[:, None] + part).ravel()
    near = 2 * ALIKE * unit
    edges = edges[(lower + near < edges) & (edges < held.upper - near)]
    edges = np.concatenate([[lower], edges, [held.upper]])
    middle = (edges[1:] + edges[:-1]) / 2
    walked = _walked(batches, held, edges, unit)
    if walked is None:
        return None
    # Alike, each lattice weighs as much as what begins on it is long, however many points it has.
    measure, own = np.diff(edges), np.searchsorted(part, np.mod((middle - lower) / unit, 1.0))
    times = np.bincount(own, minlength=len(part) + 1)
    return Lattices(edges, measure / times[own], *walked)


def _looked(held: Held) -> Array:
    """Points between the ends, on no round number."""
    return held.lower + (held.upper - held.lower) * (np.arange(SCAN) + 0.4871) / SCAN


def is_rigid(batches: Batches, held: Held) -> bool:
    """Whether steps are alike at neighbouring points, of a few that are looked at, but for one."""
    width, few = held.upper - held.lower, _looked(held)[:: SCAN // PROBES]
    steps = batches.rate * batches.gradients(np.concatenate([few, few + 1e-6 * width]))
    noise = NEAREST * max(abs(held.lower), abs(held.upper), width)
    apart = np.abs(np.diff(steps.reshape(len(steps), 2, -1), axis=1)) > noise
    return bool(apart.any(axis=0).sum() <= 1)


def _ways(batches: Batches, held: Held) -> tuple[Array, float] | None:
    """Where the steps change, and the length that all of them are multiples of."""
    width = held.upper - held.lower
    noise = NEAREST * max(abs(held.lower), abs(held.upper), width)

    def steps(w: Array) -> Array:
        return batches.rate * batches.gradients(w)

    if not is_rigid(batches, held):
        return None
    known = np.array([p for p in batches.landscape.joints() if held.lower < p < held.upper])
    beside = ALIKE * width * np.array([-1.0, 1.0])
    w = distinct(_looked(held), *(known[:, None] + beside))
    table = steps(w)
    i = np.flatnonzero((np.abs(np.diff(table, axis=1)) > noise).any(axis=0))
    if len(i) > SCAN // PROBES:
        return None

    def like(k: Array) -> Any:
        return lambda x: (np.abs(steps(x) - table[:, k]) <= noise).all(axis=0)

    corners = [np.mean(where_ends(like(i), w[i], w[i + 1]), axis=0)]
    corners += [np.mean(where_ends(like(i + 1), w[i + 1], w[i]), axis=0)]
    lengths = distinct(np.abs(table[:, np.append(i, len(w) - 1)]))
    lengths = lengths[lengths > noise]
    if not len(lengths) or not np.isfinite(lengths).all():
        return None
    unit = float(lengths[-1])
    for length in lengths.tolist():
        while length > 1e-9 * lengths[-1]:
            unit, length = length, abs(unit - length * round(unit / length))
    return (np.concatenate(corners), unit) if unit * MOST > width else None


def _apart(parts: Array) -> Array:
    """Parts of a step, from 0 to 1, without those that are the same."""
    parts = np.sort(np.mod(parts, 1.0))
    parts = np.append(parts[:1], parts[1:][np.diff(parts) > ALIKE])
    return parts[:-1] if len(parts) > 1 and parts[-1] > 1 - ALIKE + parts[0] else parts


def _walked(batches: Batches, held: Held, edges: Array, unit: float) -> tuple[Walk, bool] | None:
    """The walk on the middles of cells; None where some are not carried onto others, whole."""
    middle, half = (edges[1:] + edges[:-1]) / 2, np.diff(edges) / 2
    n, near = len(middle), ALIKE * unit + NEAREST * max(abs(held.lower), abs(held.upper))
    by = 0.9 * half
    if not stays(batches, held, middle):
        return None
    images = led(batches, held, np.concatenate([middle, middle - by, middle + by]))
    to, left, right = images.reshape(-1, 3, n).transpose(1, 0, 2)
    gone = [
        (to == end) & (kind == "leave") for end, kind in zip(edges[[0, -1]], held.ends, strict=True)
    ]
    cell = np.clip(np.searchsorted(edges, to) - 1, 0, n - 1)
    whole = (np.abs(to - middle[cell]) <= near) & (np.abs(half[cell] - half) <= near)
    whole &= (np.abs(np.abs(to - left) - by) <= near) & (np.abs(left + right - 2 * to) <= near)
    if not (whole | gone[0] | gone[1]).all():
        return None
    turned = bool((whole & (left > to)).any())
    first, last = (int(kind == "leave") for kind in held.ends)
    column = np.where(gone[0], 0, np.where(gone[1], n + first, cell + first))
    links = linked(batches, column, n + first + last, first)
    position = np.concatenate([edges[:1][:first], middle, edges[-1:][:last]])
    stopped = np.zeros(links.n, dtype=bool)
    stopped[:first], stopped[n + first :] = True, True
    return Walk(position, links, stopped), turned


def on_lattices(
    batches: Batches, held: Held, start: Initial | None
) -> tuple[list[ChainClass], Weights] | None:
    """Where SGD ends up from a start, or from all lattices alike, if its steps keep to such."""
    cuts: Iterable[float] = () if start is None else (start.ppf(0.0), start.ppf(1.0))
    lattices = lattices_of(batches, held, cuts)
    if lattices is not None and lattices.turned and start is not None:  # cells as fine as a start
        lattices = lattices_of(batches, held, bisected(bisected(lattices.edges)))
    if lattices is None:
        return None
    edges, n = lattices.edges, len(lattices.edges) - 1
    share = lattices.measure
    if start is not None and not lattices.turned:
        while len(edges) < LEAST or len(edges) < 4 * n:
            edges = bisected(edges)
    if start is not None:
        share = shares_of(start, edges)
    times = len(share) // n
    weight = np.zeros((lattices.walk.links.n, times))
    weight[lattices.inner] = share.reshape(n, times)
    found = lattices.walk.settled(weight / weight.sum())
    if found is None:
        return None
    first, ends = int(lattices.inner[0]), found.mass.sum(axis=1)
    left = float(ends[:first].sum()), float(ends[first + n :].sum())
    mass = found.mass[lattices.inner].ravel()
    middle = (edges[1:] + edges[:-1]) / 2
    images = batches.images(middle)
    beyond = batches.probability @ ((images < held.lower) | (images > held.upper))
    components, weights = [], []
    for low, high in _groups(found.classes):
        cells = slice((low - first) * times, (high - first + 1) * times)
        if mass[cells].any():
            weights.append(float(mass[cells].sum()))
            parts = edges[cells.start : cells.stop + 1], mass[cells], beyond[cells]
            components.append(lattice_class(*parts, spread=start is None))
    weights += [x for x, kind in zip(left, held.ends, strict=True) if kind == "leave"]
    told = start is not None or (len(weights) == 1 and not found.several)
    return components, Weights(np.array(weights) if told else None, ALIKE, found.log_arrival)


def _groups(classes: list[Array]) -> list[tuple[int, int]]:
    """First and last state of those that lie among each other, or stand still side by side."""
    found: list[tuple[int, int, bool]] = []
    for low, high, still in sorted((int(c[0]), int(c[-1]), len(c) == 1) for c in classes):
        if found and low <= found[-1][1] + (still and found[-1][2]):
            before = found.pop()
            low, high, still = before[0], max(high, before[1]), still and before[2]
        found.append((low, high, still))
    return [(low, high) for low, high, _ in found]
