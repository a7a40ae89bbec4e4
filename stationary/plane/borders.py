"""Borders of basins: the stable manifolds of saddles, and the unstable cycles between basins."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from scipy.interpolate import CubicSpline
from scipy.ndimage import distance_transform_cdt, find_objects, label
from scipy.optimize import brentq
from scipy.spatial import cKDTree

from stationary.aliases import Array
from stationary.plane.boxes import ends_of, even
from stationary.plane.flow import Flow, aside, followed
from stationary.plane.local import Equilibrium
from stationary.plane.mesh import log_sum
from stationary.process.plane import Box

PIXELS = 800  # of a raster, for each direction
COARSE = PIXELS // 8  # of one that is asked pixel by pixel
FINE = 16  # points in a pixel, of a way back
BETWEEN = 0.2  # pixels between points of a border
LOST = 3e-12  # of the width of the box, that a border may be away from where it should be
LAP, LAPS = 2, 15  # widths of the box that a way back is followed for at once, and how often
NEAR = 0.1  # pixels from what it comes from, to which it is followed
BEYOND = 0.25  # widths beyond the box, to where it may come back from: what turns passes corners
CLOSING = 0.02  # widths: as near to where it was before, it may be about to close
CLOSED, CLOSES = 1e-11, 15  # widths, as near a cycle closes; and turns in which it does
FARTHEST = 0.1  # widths, in one step to where it closes
SLOPE = 1e-4  # widths aside, from where it is asked whether others wind around it
ASIDE, OFF = 32, 4.0  # places on each side of a cycle, and pixels from it, that tell what is there
UNKNOWN = -3  # what is beside it until these are asked
WRONG = 8  # places of the wrong basin, from which cycles are looked for

Drawn = tuple[
    Array, ...
]  # points of a border in pixels, unit vectors along it, and `Borders`' rest


@dataclass(frozen=True, eq=False)
class Borders:
    """The stable manifolds of the saddles, which part the basins, on a raster.

    Attributes
    ----------
    curve, side
        Points of the manifolds, close together, and unit normals, shape (2, K).
    pixels
        The number of the attractor for each pixel; -2 next to a manifold.
    """

    box: Box
    curve: Array
    normal: Array
    pixels: Array
    bend: Array  # (K,): half the curvature, along the normal, with pixels for units
    missed: Array  # (K,): the area around each point that may be on the wrong side
    sides: Array  # (2, K): what lies against the normal, and along it
    beyond: tuple[tuple[int, ...], ...]  # for each saddle what `Flow.beyond` says
    exact: bool = True  # no: there are other borders, such as cycles, and only pixels are known

    @classmethod
    def of(cls, flow: Flow, equilibria: tuple[Equilibrium, ...]) -> Borders:
        low, high = ends_of(flow.box)
        pixel = (high - low) / PIXELS
        saddles = [e for e in equilibria if e.kind == "saddle"]
        ways = tuple(flow.beyond(saddles))
        back = _Back(flow, [e.position[:, None] for e in equilibria if e.kind == "unstable"])
        pairs = zip(saddles, ways, strict=True)
        found = [drawn for e, beyond in pairs for drawn in _manifolds(back, e, beyond)]
        if not all(np.isfinite(drawn[3]).all() for drawn in found):
            return cls._drawn(flow, found, ways)._of_pixels(flow)
        cycles = 0
        # Points all over, at which both ways to tell basins are held against each other.
        all_over = low + (high - low) * np.random.default_rng(0).uniform(size=(2, 200))
        own = np.array([e.position for e in flow.attractors]).reshape(-1, 2).T
        x = np.concatenate([all_over, own], axis=1)
        x = x[:, ((x >= low) & (x <= high)).all(axis=0)]  # the raster is that of the box
        traps = [math.sqrt(most / p[0, 0]) * np.eye(2)[:1].T for p, most in flow.traps]
        beside = own + np.concatenate([np.zeros((2, 0)), *traps], axis=1)
        seen = flow.label(x)
        while True:
            found += [_closed(cycle / pixel) for cycle in back.cycles[cycles:]]
            cycles = len(back.cycles)
            made = cls._drawn(flow, found, ways)
            wrong = seen != made.label(x)
            if not wrong.any():
                return made
            for start in np.concatenate([beside, x[:, wrong][:, :WRONG]], axis=1).T:
                back.way(start, on=False)
                if len(back.cycles) > cycles:
                    break
            else:
                return made._of_pixels(flow)

    @classmethod
    def _drawn(cls, flow: Flow, found: list[Drawn], ways: tuple[tuple[int, ...], ...]) -> Borders:
        """What lies between curves is told at the pixel that is farthest from them."""
        low, high = ends_of(flow.box)
        pixel = (high - low) / PIXELS
        none = (*2 * [np.zeros((2, 0))], *2 * [np.zeros(0)], np.zeros((2, 0), dtype=int))
        curve, along, bend, missed, _ = (
            np.concatenate(v, axis=-1) for v in zip(none, *found, strict=True)
        )
        table = np.zeros((PIXELS, PIXELS), dtype=bool)
        places = np.floor(curve - low / pixel).astype(int)
        for move in itertools.product((-1, 0, 1), repeat=2):
            i, j = places + np.reshape(move, (2, 1))
            keep = (i >= 0) & (i < PIXELS) & (j >= 0) & (j < PIXELS)
            table[i[keep], j[keep]] = True
        parts = label(~table)[0]
        depth = distance_transform_cdt(np.pad(~table, 1))[1:-1, 1:-1]
        deepest = []
        for k, part in enumerate(find_objects(parts), 1):
            inner = np.where(parts[part] == k, depth[part], 0)
            at = np.unravel_index(np.argmax(inner), inner.shape)
            deepest.append([p.start + v for p, v in zip(part, at, strict=True)])
        middle = np.reshape(deepest, (-1, 2)).T + 0.5
        of = np.concatenate([[-1], flow.label(low + pixel * middle)])
        pixels = np.where(table, -2, of[parts]).astype(np.int16)  # next to the processor
        known = (d if d[4].min(initial=0) > UNKNOWN else _told(flow, pixels, d) for d in found)
        sides = np.concatenate([none[4], *(d[4] for d in known)], axis=1)
        normal = np.stack([-along[1], along[0]]) * pixel
        area = missed * pixel.prod()
        return cls(flow.box, curve * pixel, normal, pixels, bend, area, sides, ways)

    def _of_pixels(self, flow: Flow) -> Borders:
        """The same with pixels of the flow."""
        coarse = flow.label(even(self.box, COARSE)).reshape(COARSE, COARSE)
        index = np.arange(PIXELS) * COARSE // PIXELS
        return replace(self, pixels=coarse[np.ix_(index, index)], exact=False)

    def log_misplaced(self, density: Any, label: int) -> float:
        """log of what the area between curves and their points holds next to a basin."""
        here = (self.sides == label).any(axis=0) & (self.sides[0] != self.sides[1])
        return log_sum(density.log_at(self.curve[:, here]), self.missed[here])

    def misplaced(self, density: Any, count: int) -> Array:
        """How far logs of what basins hold may be off, where borders are known to a pixel of the
        flow: what lies as far from a border may belong to the other side."""
        x, log, u = density.quadrature
        low, high = ends_of(self.box)
        own, moves = self.label(x), set(itertools.product((-1, 0, 1), repeat=2)) - {(0, 0)}
        step = (high - low) / COARSE
        beside = np.array([self.label(x + step * np.reshape(m, (2, 1))) for m in moves])
        made = np.empty(count)
        for k in range(count):
            held = log_sum(log, u * (own == k))
            lost = log_sum(log, u * ((own == k) & (beside != k).any(axis=0)))
            gained = log_sum(log, u * ((own != k) & (beside == k).any(axis=0)))
            with np.errstate(divide="ignore", invalid="ignore"):
                less = np.log1p(-np.exp(np.minimum(lost - held, 0.0)))
                made[k] = np.logaddexp(0.0, gained - held) - less
        return np.nan_to_num(made, nan=np.inf)

    @cached_property
    def _tree(self) -> cKDTree:
        low, high = ends_of(self.box)
        return cKDTree((self.curve / (high - low)).T)

    def label(self, x: Array) -> Array:
        """The number of the attractor of each point (2, M)."""
        low, high = ends_of(self.box)
        wide = high - low
        i, j = np.clip((PIXELS * (x - low) / wide).astype(int), 0, PIXELS - 1)
        made = np.asarray(self.pixels[i, j])
        near = np.flatnonzero(made == -2)
        if len(near):
            _, k = self._tree.query((x[:, near] / wide).T)
            d = (x[:, near] - self.curve[:, k]) / wide * PIXELS
            n = self.normal[:, k] / wide * PIXELS
            along = d[0] * n[1] - d[1] * n[0]
            side = ((d * n).sum(axis=0) > self.bend[k] * along**2).astype(int)
            made[near] = self.sides[side, k]
        return made


@dataclass(frozen=True, eq=False)
class _Back:
    """Ways against the drift, and what they come from: sources, and the unstable cycles found."""

    flow: Flow
    sources: list[Array]  # (2, 1) each
    cycles: list[Array] = field(default_factory=list)  # (2, K), closed

    def way(self, start: Array, on: bool = True) -> tuple[Array, float, int]:
        """From a point back until it leaves the box or comes from somewhere, or, if it need not go
        `on`, a cycle was found: points (2, K), and where it winds around a cycle, how many pixels
        from that its turns are not told apart, and the points of a turn; inf, where it goes on."""
        (low, high), made = np.array(self.flow.box).T, start[:, None]
        wide, known = high - low, len(self.cycles)
        walls = np.equal([low, high], np.array(self.flow.process.domain).T)
        low, high = np.array([low, high]) + np.where(walls, 0.05, BEYOND) * wide * [[-1], [1]]
        low = np.where(start < low, start - BEYOND * wide, low)  # of saddles beside the box
        high = np.where(start > high, start + BEYOND * wide, high)
        left = math.inf
        for _ in range(LAPS):
            tree = _tree([*self.sources, *self.cycles], wide)

            def inside(x: Array, tree: cKDTree = tree) -> float:
                room = float((np.minimum(x - low, high - x) / wide).min())
                return min(room, float(tree.query(x / wide)[0]) - NEAR / PIXELS)

            run = followed(self.flow.process, made[:, -1], inside, LAP, wide, back=True)
            made = np.concatenate([made, _points(run, float(run.t[-1]))[:, 1:]], axis=1)
            if run.status == 0 and math.isinf(left):
                self._look(made / wide[:, None], wide)
            for cycle in self.cycles:
                tree, turn = _tree([cycle], wide), cycle.shape[1]
                off = np.asarray(tree.query(made.T / wide, distance_upper_bound=CLOSING)[0])
                if (near := off * PIXELS < NEAR).any():
                    k = int(np.argmax(near))
                    before = max(float(off[max(0, k - turn)]) * PIXELS, 2 * NEAR)
                    return made[:, : k + 1], NEAR + BETWEEN * NEAR / (before - NEAR), turn
                if np.isfinite(off[-1]):
                    left = float(off[-1]) * PIXELS
            if run.status or (len(self.cycles) > known and not on):
                return made, 0.0, 0
        return made, left, made.shape[1]

    def _look(self, z: Array, wide: Array) -> None:
        """Keep the cycle that a way (2, K), in widths, winds around at its end."""
        end, way = z[:, -1], z[:, -1] - z[:, -2]
        d = z - end[:, None]
        away = np.flatnonzero(np.abs(d).max(axis=0) > CLOSING)
        past = way @ d
        crossed = (past[:-1] <= 0) & (past[1:] > 0) & (np.abs(d[:, 1:]).max(axis=0) < CLOSING)
        before = np.flatnonzero(crossed[: away[-1]]) if len(away) else away
        if not len(before):
            return
        length = (z.shape[1] - before[-1]) / FINE / PIXELS
        side = np.array([-way[1], way[0]]) / np.hypot(*way)

        def turned(s: float) -> tuple[float, Array]:
            """Where a point of the section, s to one side of the end, comes back to; and its turn;
            nan where it does not."""
            start = wide * (end + s * side)
            run = followed(self.flow.process, start, lambda x: 1.0, 1.5 * length, wide, back=True)

            def past(t: Any) -> Any:
                return way @ (run.sol(t).T / wide - end).T

            t = np.linspace(length / 2, run.t[-1], 400)
            ahead = past(t)
            at = np.flatnonzero((ahead[:-1] <= 0) & (ahead[1:] > 0))
            if not len(at):
                return math.nan, z
            k = at[np.argmin(np.abs(t[at] - length))]
            own = float(brentq(past, t[k], t[k + 1], xtol=1e-15))
            made = _points(run, own)
            return float(side @ (run.sol(own) / wide - end)), made

        s, move, off = 0.0, 0.0, 0.0
        for _ in range(CLOSES):
            to, cycle = turned(s)
            if abs(to - s) < CLOSED:
                break
            if math.isnan(to):
                return
            slope = (to - s - off) / move if move else 0.0
            off = to - s
            if slope < 0:
                move = min(max(-off / slope, -FARTHEST), FARTHEST)
            else:  # ever farther, where it leads away
                move = math.copysign(min(2 * max(abs(move), abs(off)), FARTHEST), off)
            s += move
        else:
            return
        slope = (turned(s + SLOPE)[0] - to) / SLOPE
        small = np.ptp(cycle / wide[:, None], axis=1).max() < 1 / PIXELS
        known = _tree(self.cycles, wide).query(cycle[:, 0] / wide)[0] < 1 / PIXELS
        if not (small or known) and 0 < slope < 1 - SLOPE:
            cycle[:, -1] = cycle[:, 0]
            self.cycles.append(cycle)


def _tree(curves: list[Array], wide: Array) -> cKDTree:
    return cKDTree(np.concatenate([np.zeros((2, 0)), *curves], axis=1).T / wide)


def _points(run: Any, length: float) -> Array:
    return np.asarray(run.sol(np.linspace(0, length, max(2, int(FINE * PIXELS * length)))))


def _manifolds(back: _Back, saddle: Equilibrium, beyond: tuple[int, ...]) -> Iterator[Drawn]:
    """The stable manifold of a saddle, on both sides, and what lies beside it."""
    low, high = ends_of(back.flow.box)
    pixel = (high - low) / PIXELS
    ends = np.concatenate([np.zeros((2, 0)), *back.sources], axis=1)
    for step in aside(back.flow.box, 1e-6, saddle.ways[1]):
        branch, off, turn = back.way(saddle.position + step)
        branch = np.concatenate([saddle.position[:, None], branch], axis=1)
        points, along, bend = _resampled(branch / pixel)
        # What is next to the border follows it to the saddle, and leaves that against
        # the way that grows there, or along it.
        way = saddle.ways[0] / pixel[:, 0]
        left = along[0, 0] * way[1] > along[1, 0] * way[0]
        side = np.array(beyond if left else beyond[::-1])
        missed = _missed(bend)
        if (np.abs(ends - points[:, -1:] * pixel) < pixel).all(axis=0).any():
            missed[-1] += (BETWEEN / 2) ** 2  # borders bunch up where they come from
        if side[0] != side[1]:
            missed[-1 - int(2 * turn / FINE / BETWEEN) :] += off * BETWEEN
        yield points, along, bend, missed, np.repeat(side[:, None], len(bend), axis=1)


def _closed(cycle: Array) -> Drawn:
    """A cycle as a border, in pixels; what lies beside it is known when pixels are."""
    points, along, bend = _resampled(cycle)
    return points, along, bend, _missed(bend), np.full((2, len(bend)), UNKNOWN)


def _told(flow: Flow, pixels: Array, drawn: Drawn) -> Drawn:
    """A cycle with what lies beside most of it."""
    points, along, *rest, sides = drawn
    low, high = ends_of(flow.box)
    some = np.linspace(0, points.shape[1] - 1, ASIDE).astype(int)
    normal = np.stack([-along[1], along[0]])[:, some]
    step = min(OFF, float(np.ptp(points, axis=1).min()) / 8) * normal
    told = sides.copy()
    for k, x in enumerate((points[:, some] - step, points[:, some] + step)):
        i, j = np.clip(x - low / (high - low) * PIXELS, 0, PIXELS - 1).astype(int)
        own = pixels[i, j]
        if not (own > -2).any():  # next to other borders
            own = flow.label(x * (high - low) / PIXELS)
        told[k] = np.bincount(own[own > -2] + 1).argmax() - 1
    return points, along, *rest, told


def _missed(bend: Array) -> Array:
    """The area next to each point of a border that may be on the wrong side, in pixels."""
    return np.asarray(np.abs(np.gradient(bend)) * BETWEEN**3 + LOST * PIXELS * BETWEEN)


def _resampled(curve: Array) -> tuple[Array, Array, Array]:
    """Points a fifth of a pixel apart along a curve in pixels, unit vectors along it, and half of
    its curvature, to the left."""
    step = np.hypot(*np.diff(curve, axis=1))
    curve = curve[:, np.append(True, step > 0)]
    length = np.concatenate([[0], np.cumsum(step[step > 0])])
    spline = CubicSpline(length, curve, axis=1)
    s = np.linspace(0, length[-1], max(2, int(length[-1] / BETWEEN)))
    points, way, turn = spline(s), spline(s, 1), spline(s, 2)
    size = np.hypot(*way)
    return points, way / size, (way[0] * turn[1] - way[1] * turn[0]) / 2 / size**3
