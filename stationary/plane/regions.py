"""Quadratures that know which part of the plane points lie in: panels are cut where it changes.

A panel that is crossed is divided into strips where edges of the parts leave it by its sides, so
that they cross all rows of a strip, along x or along y, equally often; and quartered where that is
not so. Then each row is integrated from crossing to crossing, and rows are taken closer together
until that changes nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, Protocol

import numpy as np

from stationary.aliases import Array
from stationary.panels.roots import bisected
from stationary.plane.mesh import Mesh, gauss
from stationary.plane.panels import RULE, Panels, log_sum

Labels = Callable[[Array], Array]  # points (2, M) -> truth values, or numbers from -1 on

BISECTIONS, LEVEL = 52, 13  # at most, and by how many more where more is held
LEAST = -37.0  # log of the share of a part, next to its rounding, that an edge may misplace
POINTS = 500  # for each direction, that look for parts
DEEPEST, MOST = 8, 4000  # panels are quartered so often around corners of parts; and so many
CLOSER = 24  # rows are taken twice as close so often
CLOSER_STOPS = 4  # and so often are the places along them at which labels are looked at
CHANGE = 1e-12  # of what a part holds: by more no strip of rows may change it


class Panelled(Protocol):
    """A density on rectangles, e^-Phi u."""

    @property
    def mesh(self) -> Mesh: ...
    @property
    def panels(self) -> Panels: ...
    def nodes(self, panels: Panels) -> tuple[Array, Array, Array, Array]: ...
    def points(self, panels: Panels, t: Array) -> Array: ...
    def factors(self, number: Array, local: Array) -> tuple[Array, Array]: ...


@dataclass(frozen=True, eq=False)
class Nodes:
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
        log = self.weight[here] + density.log_at(self.x[:, here])
        return log_sum(log, np.ones(len(log)))

    def log_sums(self, count: int) -> Array:
        """log of what each of so many panels holds."""
        log, u = (v.reshape(count, RULE**2) for v in (self.log, self.u))
        top = log.max(axis=1, initial=-np.inf)[:, None]
        with np.errstate(divide="ignore", invalid="ignore"):
            total = (np.exp(log - top) * u).sum(axis=1)
            return np.asarray(np.where(total > 0, top[:, 0] + np.log(total), -np.inf))

    def restricted(self, keep: Array) -> Nodes:
        return Nodes(*(getattr(self, f.name)[..., keep] for f in fields(self)))


@dataclass(frozen=True, eq=False)
class Cut:
    """A quadrature over parts of the plane, and one that looks less closely."""

    fine: Nodes
    rough: Nodes

    def mapped(self, to: Callable[[Array], Array], log_stretch: Callable[[Array], Array]) -> Cut:
        """The same in other coordinates: `log_stretch` is the log of by how much areas grow."""
        made = (
            Nodes(to(n.x), n.label, n.weight + (by := log_stretch(n.x)), n.phi + by, n.u)
            for n in (self.fine, self.rough)
        )
        return Cut(*made)


def cut(density: Panelled, labels: Labels, near: Array | None = None) -> Cut:
    """A quadrature over the parts that labels tell.

    Parameters
    ----------
    near
        Points (2, K) on both sides of the edges of the parts, close together, where these are
        known; else points all over the box, and panels are looked at twice as closely to see
        what is missed.
    """
    if near is not None:
        return _Cutter(density, labels).cut(density.panels, near)
    fine = _Cutter(density, labels).cut(density.panels.quartered(), _all_over(density, POINTS))
    # What falls between all places that are looked at does so at these, or at others.
    other = _Cutter(density, labels, RULE - 3).cut(density.panels, _all_over(density, POINTS - 77))
    return Cut(fine.fine, other.rough)


def _all_over(density: Panelled, count: int) -> Array:
    axes = [np.linspace(low, high, count + 2)[1:-1] for low, high in density.mesh.box]
    return np.stack([v.ravel() for v in np.meshgrid(*axes, indexing="ij")])


@dataclass(frozen=True, eq=False)
class _Strips:
    """Parts of panels to be integrated in rows."""

    panels: Panels
    bits: Array  # how often crossings are bisected
    of: Array  # which panel each was cut from

    @classmethod
    def joined(cls, parts: list[_Strips]) -> _Strips:
        bits, of = (np.concatenate([getattr(p, k) for p in parts]) for k in ("bits", "of"))
        return cls(Panels.joined([p.panels for p in parts]), bits, of)

    def restricted(self, keep: Array) -> _Strips:
        return _Strips(self.panels.restricted(keep), self.bits[keep], self.of[keep])

    def halved(self, axis: int) -> _Strips:
        panels = self.panels.halved(1 - axis)
        return _Strips(panels, np.tile(self.bits, 2), np.tile(self.of, 2))


class _Cutter:
    """What is cut, and what is known of it."""

    def __init__(self, density: Panelled, labels: Labels, count: int = RULE) -> None:
        self.density, self._labels, self.count = density, labels, count
        self.pieces: list[Nodes] = []  # panels that lie in one part
        self.held = np.full(1, -np.inf)  # the log of what each part holds, from number -1 on

    def cut(self, waiting: Panels, near: Array) -> Cut:
        seen, place = self.labels(near), self.density.mesh.place(near)
        found: tuple[list[_Strips], list[_Strips]] = ([], [])
        for depth in range(DEEPEST + 1):
            x = self.density.points(waiting, self.stops())
            label = self.labels(x.reshape(2, -1)).reshape(x.shape[1:])
            crossed = (label != label[:, :1, :1]).any(axis=(1, 2))
            for other in np.unique(seen) if depth < DEEPEST else ():
                some = seen == other
                held = waiting.holds(place[0][some], place[1][:, some])
                crossed |= held & (label[:, 0, 0] != other)
            self.take(waiting.restricted(~crossed), label[~crossed, 0, 0])
            bits = np.zeros(len(crossed))
            bits[crossed] = self.bits(waiting.restricted(crossed), label[crossed])
            ignored = crossed & (bits == 0)
            self.take(waiting.restricted(ignored), label[ignored, 0, 0])
            left = np.flatnonzero(bits)
            last = depth == DEEPEST or 4 * len(left) > MOST
            changes = [(np.diff(label, axis=k + 1) != 0).sum(axis=(1, 2)) for k in (0, 1)]
            across = changes[0] >= changes[1]  # most edges cross rows along x
            for axis, wanted in ((0, across), (1, ~across), (0, ~across), (1, across)):
                some = left[wanted[left]]
                strips, even = self.strips(axis, waiting.restricted(some), label[some], bits[some])
                even |= last
                found[axis].append(strips.restricted(even[strips.of]))
                left = np.setdiff1d(left, some[even])
            waiting = waiting.restricted(left).quartered()
            if not len(left):
                break
        rough = list(self.pieces)
        for axis in (0, 1):
            fine, coarse = self.closer(axis, _Strips.joined(found[axis]))
            self.pieces += fine
            rough += coarse
        return Cut(_joined(self.pieces), _joined(rough))

    def stops(self, closer: int = 0) -> Array:
        """Where along a row labels are looked at."""
        inner = gauss(self.count << min(closer, CLOSER_STOPS))[0]
        return np.concatenate([[-1.0], inner, [1.0]])

    def labels(self, x: Array) -> Array:
        return np.asarray(self._labels(x)).astype(int)

    def take(self, panels: Panels, label: Array) -> None:
        """Takes panels as they are: each lies in one part."""
        made = self._nodes(panels, label)
        self.pieces.append(made)
        self._count(label, made.log_sums(len(label)))

    def _nodes(self, panels: Panels, label: Array) -> Nodes:
        x, weight, phi, u = self.density.nodes(panels)
        return Nodes(x, np.repeat(label, RULE**2), weight, phi, u)

    def _count(self, label: Array, logs: Array) -> None:
        known = np.full(max(len(self.held), int(label.max(initial=-1)) + 2), -np.inf)
        known[: len(self.held)] = self.held
        np.logaddexp.at(known, label + 1, logs)
        self.held = known

    def bits(self, panels: Panels, label: Array) -> Array:
        """How often edges are to be bisected in panels: by what they hold, against what the rarest
        part holds that reaches into them; -inf where nothing is known."""
        known = np.append(self.held, -np.inf)[np.minimum(label + 1, len(self.held))]
        held = known.min(axis=(1, 2), initial=np.inf)
        logs = self._nodes(panels, label[:, 0, 0]).log_sums(len(label))
        with np.errstate(invalid="ignore"):
            wanted = np.where(np.isfinite(held), (logs - held - LEAST) / math.log(2), BISECTIONS)
        return np.clip(np.ceil(wanted), 0, BISECTIONS)

    def strips(self, axis: int, panels: Panels, label: Array, bits: Array) -> tuple[_Strips, Array]:
        """Panels cut across rows where edges leave them by the ends of rows; and for which panels
        all rows of each strip are crossed equally often."""
        stops = self.stops()
        ends = np.moveaxis(label, axis + 1, 0)[[0, -1]]  # along both ends of rows
        end, panel, gap = np.nonzero(ends[..., 1:] != ends[..., :-1])
        before = ends[end, panel, gap]
        low, high = self._crossings(
            lambda t, k: self._placed(panels, axis, panel[k], 2.0 * end[k] - 1, t),
            stops[gap], stops[gap + 1], before, bits[panel],
        )  # fmt: skip
        count = len(bits)
        of, begin, size = _between(np.arange(count), panel, (low + high) / 2)
        parts = panels.restricted(of)
        outer = 1 - axis
        parts.low[outer] += parts.size[outer] * (1 + begin) / 2
        parts.size[outer] *= size / 2
        often = (np.diff(self._grid(axis, parts, stops), axis=2) != 0).sum(axis=2)
        even = np.ones(count, dtype=bool)
        even[of[(often != often[:, :1]).any(axis=1)]] = False
        known = (label != label[:, :1, :1]).any(axis=(1, 2))  # else seen by points near
        return _Strips(parts, bits[of], of), even & known

    def closer(self, axis: int, strips: _Strips) -> tuple[list[Nodes], list[Nodes]]:
        """Strips in rows as close as need be, and in rows half as close."""
        fine, rough = [], []
        now, of = self._rows(axis, strips, self.stops())
        with np.errstate(divide="ignore"):
            self._count(now.label, now.log + np.log(np.maximum(now.u, 0)))
        for depth in range(CLOSER):
            count = len(strips.bits)
            if not count:
                break
            halves = strips.halved(axis)
            closer, which = self._rows(axis, halves, self.stops(depth + 1))
            change = self._shares(now, of, count) - self._shares(closer, which % count, count)
            again = (np.abs(change) > CHANGE).any(axis=1)
            looks = np.count_nonzero(again) * len(self.stops(depth + 2))
            again &= depth + 1 < CLOSER and looks <= MOST * self.count
            rough.append(now.restricted(~again[of]))
            fine.append(closer.restricted(~again[which % count]))
            kept = np.tile(again, 2)
            strips, now = halves.restricted(kept), closer.restricted(kept[which])
            of = (np.cumsum(kept) - 1)[which[kept[which]]]
        return fine, rough

    def _shares(self, nodes: Nodes, of: Array, count: int) -> Array:
        """(strips, parts): what each strip holds of each part, as a share of the part."""
        parts, at = len(self.held), nodes.label + 1
        share = np.exp(np.minimum(nodes.log - self.held[at], 0)) * nodes.u
        return np.bincount(of * parts + at, share, minlength=count * parts).reshape(count, parts)

    def _placed(
        self, panels: Panels, axis: int, panel: Array, s: Array, t: Array
    ) -> tuple[Array, Array]:
        """The rectangle, and the place in it, of s along rows and t across them in panels."""
        local = np.stack([s, t][:: 1 - 2 * axis])
        return panels.number[panel], panels.low[:, panel] + panels.size[:, panel] * (1 + local) / 2

    def _grid(self, axis: int, panels: Panels, stops: Array) -> Array:
        """(P, rows, stops): the labels along rows."""
        shape = len(panels.number), RULE, len(stops)
        panel, row, stop = (v.ravel() for v in np.indices(shape))
        at = self._placed(panels, axis, panel, stops[stop], gauss(RULE)[0][row])
        return self.labels(self.density.mesh.world(*at)).reshape(shape)

    def _crossings(
        self, placed: Callable[[Array, Array], tuple[Array, Array]],
        low: Array, high: Array, before: Array, bits: Array,
    ) -> tuple[Array, Array]:  # fmt: skip
        """Where labels change, in brackets: `placed` says where s in some of them is."""
        low, high = low.copy(), high.copy()
        for done in range(0, BISECTIONS, LEVEL):
            some = np.flatnonzero(bits > done)

            def same(s: Array, some: Array = some) -> Array:
                x = self.density.mesh.world(*placed(s, some))
                return np.asarray(self.labels(x) == before[some])

            if len(some):
                low[some], high[some] = bisected(same, low[some], high[some], LEVEL)
        return low, high

    def _rows(self, axis: int, strips: _Strips, stops: Array) -> tuple[Nodes, Array]:
        """Rows along x (axis 0) or y (1) from crossing to crossing; and the strip of each point."""
        t, w = gauss(RULE)
        panels, mesh = strips.panels, self.density.mesh
        rows = np.arange(len(strips.bits) * RULE)
        label = self._grid(axis, panels, stops).reshape(len(rows), len(stops))
        row, gap = np.nonzero(label[:, 1:] != label[:, :-1])

        def placed(s: Array, row: Array) -> tuple[Array, Array]:
            return self._placed(panels, axis, row // RULE, s, t[row % RULE])

        low, high = self._crossings(
            lambda s, k: placed(s, row[k]),
            stops[gap], stops[gap + 1], label[row, gap], strips.bits[row // RULE],
        )  # fmt: skip
        of, begin, size, part = _between(
            rows, row, (low + high) / 2, label[:, 0], label[row, gap + 1]
        )
        s = begin[:, None] + size[:, None] * (1 + t) / 2
        number, local = placed(s.ravel(), np.repeat(of, RULE))
        phi, u = self.density.factors(number, local)
        area = (panels.size * mesh.size[:, panels.number] / 4).prod(axis=0)[of // RULE]
        weight = w[of % RULE][:, None] * w * (area * size / 2)[:, None]
        with np.errstate(divide="ignore"):
            log = np.log(weight).ravel()
        made = Nodes(mesh.world(number, local), np.repeat(part, RULE), log, phi, u)
        return made, np.repeat(of // RULE, RULE)


def _between(every: Array, of: Array, at: Array, *values: Array) -> tuple[Array, ...]:
    """[-1, 1] of each of `every`, divided at places: whose each part is, where it begins, how long
    it is; and of a value for each of `every` and one for each place, that which holds there."""
    whose = np.concatenate([every, of])
    begin = np.concatenate([np.full(len(every), -1.0), at])
    order = np.lexsort((begin, whose))
    whose, begin = whose[order], begin[order]
    last = np.append(whose[1:] != whose[:-1], True)[: len(whose)]
    size = np.where(last, 1.0, np.append(begin[1:], 1.0)[: len(begin)]) - begin
    return whose, begin, size, *((np.concatenate(values)[order],) if values else ())


def _joined(parts: list[Nodes]) -> Nodes:
    return Nodes(
        *(np.concatenate([getattr(p, f.name) for p in parts], axis=-1) for f in fields(Nodes))
    )
