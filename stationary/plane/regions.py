"""Quadratures that know which part of the plane points lie in.

Bands, as wide as panels are, are integrated in rows along x or along y, each from one change of the
part to the next. Where rows next to each other pass other parts, bands are divided: between such
places what rows hold is smooth but for roots, where an edge turns round at the end of a band. Bands
are halved until that changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from stationary.aliases import Array
from stationary.errors import ConvergenceError
from stationary.numbers.arithmetic import SAME
from stationary.panels.roots import bisected
from stationary.plane.boxes import lattice, placed
from stationary.plane.mesh import RULE, Panels, end_to_end, gauss, log_sum

Labels = Callable[[Array], Array]  # points (2, M) -> truth values, or numbers from -1 on

LOOKS = 500  # places along a row at which labels are looked at
CLOSEST = 4  # times as many where edges are not known to be smooth
COARSE = 200  # for each direction, where it is asked along which rows are crossed more often
BISECTIONS = 40  # of edges between two looks: all digits
ZOOMS, WINDOW = 5, 21  # times a place where an edge turns round is looked at, with so many places
DIVIDED = 4  # times are bands divided where rows pass other parts
CLOSER, MOST = 24, 3000  # times are bands halved, while there are no more rows
MISSED = 1e-2  # of all, by which what parts hold together may be off: more is no quadrature
CHANGE = 1e-12  # of what a part holds: by more no band may change it
THINNED = 7  # every so many points tell how two densities differ


class Nodes(NamedTuple):
    """A quadrature over the parts of the plane, and the density that it was made for.

    Attributes
    ----------
    x, label
        Points (2, K), and the part that each lies in.
    weight
        The logs of their weights.
    phi, u
        The density there is e^-phi u.
    """

    x: Array
    label: Array
    weight: Array
    phi: Array
    u: Array

    @property
    def log(self) -> Array:
        return self.weight - self.phi

    def log_mass(self, label: Any, density: Any = None) -> float:
        """log of what is held by a part, of that density or of another one, not normalised."""
        here = self.label == label
        if density is None:
            return log_sum(self.log[here], self.u[here])
        few = np.flatnonzero(here)[::THINNED]  # to which their proportion is known closely enough
        log = self.weight[few] + density.log_at(self.x[:, few])
        own = log_sum(self.log[few], self.u[few])
        return log_sum(log, np.ones(len(log))) - own + self.log_mass(label)

    def restricted(self, keep: Array) -> Nodes:
        return Nodes(*(v[..., keep] for v in self))


@dataclass(frozen=True, eq=False)
class Cut:
    """A quadrature over parts of the plane, and one in rows half as close."""

    fine: Nodes
    rough: Nodes

    def missed(self, log_total: float) -> float:
        """How far all parts together are from holding all: the log of that."""
        off = abs(log_sum(self.fine.log, self.fine.u) - log_total)
        return float(np.nan_to_num(off, nan=np.inf))

    def whole(self, log_total: float, name: str) -> Cut:
        """The same, if parts hold together what they should.

        Raises
        ------
        ConvergenceError
            If they do not: what any of them holds is then not known.
        """
        if (missed := self.missed(log_total)) < MISSED:
            return self
        raise ConvergenceError(
            f"{name}: what basins hold could not be integrated: together they hold all times "
            f"e^{missed:.2g}, or all divided by that. Ask for rectangles, or raise the noise."
        )

    def mapped(self, to: Callable[[Array], Array], log_stretch: Callable[[Array], Array]) -> Cut:
        """The same in other coordinates: `log_stretch` is the log of by how much areas grow."""
        made = (
            Nodes(to(n.x), n.label, n.weight + (by := log_stretch(n.x)), n.phi + by, n.u)
            for n in (self.fine, self.rough)
        )
        return Cut(*made)


def cut(density: Any, labels: Labels, smooth: bool = False) -> Cut:
    """A quadrature of a `Density` over the parts that labels tell; closer where edges are not known
    to be smooth."""
    t = (np.arange(COARSE) + 0.5) / COARSE
    found = labels(placed(density.mesh.box, lattice(t, t))).reshape(COARSE, COARSE).astype(int)
    changes = [np.count_nonzero(np.diff(found, axis=k)) for k in (0, 1)]
    looks = LOOKS if smooth else CLOSEST * LOOKS
    rows = _Rows(density, labels, 1 if changes[0] >= changes[1] else 0, looks)
    edges = density.edges(rows.axis)
    bands = np.stack([edges[:-1], edges[1:], 0 * edges[1:]])
    for _ in range(DIVIDED):
        bands, ready = rows.divided(bands)
        if ready:
            break
    parts, band = density.in_bands(rows.axis, *bands[:2])
    whole, now, of, crossed = rows.nodes(bands, parts, band)
    fine, rough = [whole], [whole]
    both = end_to_end([whole, now])
    known = np.unique(both.label)
    totals = np.array([both.log_mass(k) for k in known])

    def shares(nodes: Nodes, of: Array, count: int) -> Array:
        """(bands, parts): what each band holds of each part, as a share of the part."""
        at = np.minimum(np.searchsorted(known, nodes.label), len(known) - 1)
        share = np.exp(np.minimum(nodes.log - totals[at], 0)) * nodes.u
        made = np.bincount(of * len(known) + at, share, minlength=count * len(known))
        return made.reshape(count, len(known))

    for _ in range(CLOSER):
        count = bands.shape[1]
        low, high, turned = bands
        halves = np.stack([np.stack([low, (low + high) / 2]), np.stack([(low + high) / 2, high])])
        halves = np.concatenate([halves.transpose(0, 2, 1).reshape(2, -1), [np.repeat(turned, 2)]])
        parts, band = parts.restricted(crossed).halved(rows.axis), band[crossed]
        band = np.concatenate([2 * band, 2 * band + 1])
        _, closer, which, crossed = rows.nodes(halves, parts, band, every=True)
        change = shares(now, of, count) - shares(closer, which // 2, count)
        again = (np.abs(change) > CHANGE).any(axis=1)
        again &= 2 * np.count_nonzero(again) * RULE * len(rows.stops) <= MOST * LOOKS
        rough.append(now.restricted(~again[of]))
        fine.append(closer.restricted(~again[which // 2]))
        if not again.any():
            break
        both_halves = np.repeat(again, 2)
        number = np.cumsum(both_halves) - 1
        kept, crossed = both_halves[which], both_halves[band]
        bands, now, of = halves[:, both_halves], closer.restricted(kept), number[which[kept]]
        band = number[band]
    return Cut(end_to_end(fine), end_to_end(rough))


class _Rows:
    """Rows along one direction in bands, (3, B): lower and upper ends, and whether edges turn round
    at one of them."""

    def __init__(self, density: Any, labels: Labels, axis: int, looks: int) -> None:
        self.density, self.axis = density, axis
        self._labels = labels
        low, high = density.mesh.box[1 - axis]
        self.stops = low + (high - low) * (np.arange(looks) + 0.5) / looks

    def labels(self, across: Array, along: Array) -> Array:
        """At places across rows and along them, of any shape."""
        both = np.broadcast_arrays(across, along)
        x = np.stack([v.ravel() for v in (both if self.axis == 0 else both[::-1])])
        return np.asarray(self._labels(x)).astype(int).reshape(both[0].shape)

    def pattern(self, across: Array, along: Array) -> tuple[Array, Array]:
        """A number for each row, (M,), by which parts it passes, one after the other; and labels at
        places along it."""
        label = self.labels(across[:, None], along)
        changes = label[:, 1:] != label[:, :-1]
        rank = np.cumsum(changes, axis=1).astype(np.uint64)
        power = (2 * rank + np.uint64(3)) ** np.uint64(5)  # which differs by rank; modulo 2^64
        made = changes * power * (label[:, 1:].astype(np.uint64) + np.uint64(7))
        return np.asarray(made.sum(axis=1) + label[:, 0].astype(np.uint64)), label

    def divided(self, bands: Array) -> tuple[Array, bool]:
        """Bands divided where patterns change from row to row; and whether there were none. There
        labels are looked at in all rows from now on: of edges that turn round little is seen."""
        low, high, _ = bands
        t = np.concatenate([[SAME - 1], gauss(RULE)[0], [1 - SAME]])  # next to its ends, too
        across = low[:, None] + (high - low)[:, None] * (1 + t) / 2
        pattern = self.pattern(across.ravel(), self.stops)[0].reshape(across.shape)
        band, k = np.nonzero(pattern[:, 1:] != pattern[:, :-1])
        if not len(band):
            return bands, True
        begin, far = across[band, k], across[band, k + 1]
        one, each = begin, np.arange(len(band))
        along, zoomed = np.tile(self.stops, (len(band), 1)), np.linspace(0, 1, WINDOW)
        for _ in range(ZOOMS):
            same = self.pattern(one, along)[0]

            def alike(y: Array, along: Array = along, same: Array = same) -> Array:
                return np.asarray(self.pattern(y, along)[0] == same)

            one, other = bisected(alike, one, far, BISECTIONS)
            seen = [self.pattern(y, along)[1] for y in (one, other)]
            differ = seen[0] != seen[1]
            first = np.argmax(differ, axis=1)
            later = ~differ & (np.arange(along.shape[1]) > first[:, None])
            until = np.where(later.any(axis=1), np.argmax(later, axis=1), along.shape[1] - 1)
            ends = along[each, np.maximum(first - 1, 0)], along[each, until]
            along = ends[0][:, None] + np.subtract(*ends[::-1])[:, None] * zoomed
            # From where there is a part to where there is none: seen closely, it goes on.
            lacks = (first > 0) & (seen[0][each, first] == seen[0][each, first - 1])
            one, far = np.where(lacks, other, one), np.where(lacks, begin, far)
        self.stops = np.union1d(self.stops, along[:, WINDOW // 2])
        edges = np.unique(np.concatenate([low, (one + other) / 2]))
        which = np.searchsorted(low, edges, side="right") - 1
        upper = np.minimum(np.append(edges[1:], np.inf), high[which])
        turned = bands[2, which].astype(bool) | np.isin(which, band)
        return np.stack([edges, upper, turned]), False

    def nodes(
        self, bands: Array, parts: Panels, band: Array, every: bool = False
    ) -> tuple[Nodes, Nodes, Array, Array]:
        """Panels that no edge comes near, as they are; the others in rows from change to change,
        with the band of each point; and which these are, or `every` one."""
        axis, inner, mesh = self.axis, 1 - self.axis, self.density.mesh
        (t, w), (low, high, turned) = gauss(RULE), bands
        half = (high - low)[:, None] / 2
        bent = turned[:, None] > 0  # rows come closer at the ends as roots need
        across = low[:, None] + half * (1 + np.where(bent, (3 * t - t**3) / 2, t))
        weight = (half * w * np.where(bent, 1.5 * (1 - t**2), 1)).ravel()
        label = self.labels(across[..., None], self.stops).reshape(-1, len(self.stops))
        row, k = np.nonzero(label[:, 1:] != label[:, :-1])
        at, number = across.ravel(), parts.number
        one, other = bisected(
            lambda x: self.labels(at[row], x) == label[row, k],
            self.stops[k], self.stops[k + 1], BISECTIONS,
        )  # fmt: skip
        start = mesh.low[inner, number] + mesh.size[inner, number] * (1 + parts.low[inner]) / 2
        end = start + mesh.size[inner, number] * parts.size[inner] / 2
        # All that begins in a row, in turn: the row, parts of panels, and what changes.
        count = len(at)
        rows = [np.arange(count), row, (band[:, None] * RULE + np.arange(RULE)).ravel()]
        begin = [np.full(count, -np.inf), (one + other) / 2, np.repeat(start, RULE)]
        owner = [np.full(count, -1), np.full(len(row), -2), np.repeat(range(len(number)), RULE)]
        lies = [label[:, 0], label[row, k + 1], np.full(len(number) * RULE, -9)]
        r, x, p, name = (np.concatenate(v) for v in (rows, begin, owner, lies))
        order = np.lexsort((x, r))
        r, x, p, name = r[order], x[order], p[order], name[order]
        last = [np.where(v == gap, 0, np.arange(len(v))) for v, gap in ((p, -2), (name, -9))]
        p, name = (v[np.maximum.accumulate(k)] for v, k in zip((p, name), last, strict=True))
        until = np.where(r[1:] == r[:-1], x[1:], np.inf)
        until = np.minimum(np.append(until, np.inf), end[p])
        keep = (p >= 0) & (until > x)
        r, x, p, name, until = r[keep], x[keep], p[keep], name[keep], until[keep]
        # What one edge crosses, and what lies beside that: it may do so between two rows.
        part = np.zeros(len(number), dtype=int)
        part[p] = name
        crossed = np.bincount(p, minlength=len(number)) != RULE
        crossed[p[name != part[p]]] = True
        order = np.lexsort((start, band))
        near, own = crossed[order], band[order]
        near[1:] |= crossed[order[:-1]] & (own[1:] == own[:-1])
        near[:-1] |= crossed[order[1:]] & (own[1:] == own[:-1])
        low_at, wide = self.stops[0], np.ptp(self.stops)
        first, last = (2 * own + np.clip((v[order] - low_at) / wide, 0, 1) for v in (start, end))
        of, lower, upper = _swept(row, (one + other) / 2)
        swept = [2 * of + np.clip((v - low_at) / wide, 0, 1) for v in (lower, upper)]
        begins = np.searchsorted(last, swept[0], side="left")
        ends = np.maximum(np.searchsorted(first, swept[1], side="right"), begins)
        moves = np.zeros(len(order) + 1)
        np.add.at(moves, begins, 1)
        np.add.at(moves, ends, -1)
        crossed[order] = near | (np.cumsum(moves[:-1]) > 0)
        crossed |= every
        x_whole, *logs = self.density.nodes(parts.restricted(~crossed))
        whole = Nodes(x_whole, np.repeat(part[~crossed], RULE**2), *logs)
        keep = crossed[p]
        r, x, e, name, until = r[keep], x[keep], number[p[keep]], name[keep], until[keep]
        size = (until - x)[:, None] / 2
        along = x[:, None] + size * (1 + t)
        places = (axis, at[r, None]), (inner, along)
        local = [
            np.clip(2 * (v - mesh.low[i, e, None]) / mesh.size[i, e, None] - 1, -1, 1)
            for i, v in places
        ]
        phi, u = self.density.along(e, *local, axis)
        with np.errstate(divide="ignore"):
            log = np.log(weight[r, None] * size * w)
        both = np.broadcast_to(at[r, None], along.shape), along
        points = np.stack([v.ravel() for v in (both if axis == 0 else both[::-1])])
        pieces = Nodes(points, np.repeat(name, RULE), log.ravel(), phi.ravel(), u.ravel())
        return whole, pieces, np.repeat(r // RULE, RULE), crossed


def _swept(row: Array, x: Array) -> tuple[Array, Array, Array]:
    """Between which places each edge is in a band, as far as its rows tell: the band, and two ends.
    Edges are numbered along each row, in which they are in order."""
    rank = np.arange(len(row)) - np.searchsorted(row, row)
    order = np.lexsort((row, rank, row // RULE))
    band, rank, x = row[order] // RULE, rank[order], x[order]
    new = np.append(True, (band[1:] != band[:-1]) | (rank[1:] != rank[:-1]))[: len(x)]
    at = np.flatnonzero(new)
    if not len(at):
        return band, x, x
    # Beyond the last row an edge goes on by less than it does between two.
    step = np.where(new, 0.0, np.abs(np.diff(x, prepend=x[:1])))
    by = np.maximum.reduceat(step, at)
    return band[at], np.minimum.reduceat(x, at) - by, np.maximum.reduceat(x, at) + by
