"""A density on rectangles, P = e^-Phi u: its values and integrals, in logarithms."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from stationary.aliases import Array
from stationary.panels.roots import bisected
from stationary.plane.marginal import Marginal, marginal_of
from stationary.plane.mesh import Mesh, basis, gauss, tensor
from stationary.process.plane import Box

Predicate = Callable[[Array], Array]  # points (2, M) -> truth values
Region = Box | Predicate | None

RULE = 12  # Gauss points in a panel for each direction, exact where Phi varies by up to STEEP
STEEP = 10.0
NOTHING = 45.0  # in Phi above the nearest minimum, where e^-Phi does not matter any more
BISECTIONS, LEVEL = 36, 12  # at most, and by how many more where more is held
LEAST = -37.0  # log of the share of a region, next to its rounding, that an edge may misplace
CUTS = 2  # at least, of panels that matter: rows of whole ones miss 1e-8 of them where edges bend
DEEPEST = 8  # panels are cut so often around corners of regions


@dataclass(frozen=True, eq=False)
class Panels:
    """Parts of rectangles, each in the local coordinates [-1, 1] of its rectangle."""

    number: Array  # (P,)
    low: Array  # (2, P)
    size: Array  # (2, P)

    def restricted(self, keep: Array) -> Panels:
        return Panels(self.number[keep], self.low[:, keep], self.size[:, keep])

    def quartered(self) -> Panels:
        corners = [(i, j) for i in (0, 1) for j in (0, 1)]
        low = [self.low + self.size / 2 * np.array(c)[:, None] for c in corners]
        return Panels(
            np.tile(self.number, 4), np.concatenate(low, axis=1), np.tile(self.size / 2, 4)
        )


@dataclass(frozen=True, eq=False)
class Density:
    """P = e^-Phi u, not normalised, on the rectangles of a mesh; nothing elsewhere.

    Attributes
    ----------
    phi, u
        Values at Gauss-Lobatto nodes, shapes (E, n, n) and (E, m, m).
    """

    mesh: Mesh
    phi: Array
    u: Array
    cache: dict[Any, Any] = field(default_factory=dict)

    known = 1e-14  # how well at best, in proportion

    @property
    def degrees(self) -> tuple[int, int]:
        return self.phi.shape[1] - 1, self.u.shape[1] - 1

    def log_at(self, x: Array) -> Array:
        """log P at points (2, M), not normalised; -inf outside, or where P is not positive."""
        number, local = self.mesh.place(x)
        made = np.full(x.shape[1], -np.inf)
        here = number >= 0
        if here.any():
            phi, u = self._both(number[here], local[:, here])
            with np.errstate(divide="ignore", invalid="ignore"):
                made[here] = np.where(u > 0, np.log(np.maximum(u, 0)) - phi, -np.inf)
        return made

    def _both(self, number: Array, local: Array) -> tuple[Array, Array]:
        p, q = self.degrees
        return (
            self.mesh.values(self.phi, p, number, local),
            self.mesh.values(self.u, q, number, local),
        )

    def slope_at(self, x: Array) -> Array:
        """grad log P at points (2, M); nan outside."""
        number, local = self.mesh.place(x)
        made = np.full(x.shape, np.nan)
        here = number >= 0
        e, t = number[here], local[:, here]
        u = self.mesh.values(self.u, self.degrees[1], e, t)
        for axis in range(2):
            parts = []
            for tables in (self.phi, self.u):
                p = basis(tables.shape[1] - 1)
                rows = [p.slope_at(t[k]) if k == axis else p.at(t[k]) for k in range(2)]
                parts.append(np.einsum("mi,mj,mij->m", *rows, tables[e], optimize=True))
            with np.errstate(divide="ignore", invalid="ignore"):
                slope = (parts[1] / u - parts[0]) * 2 / self.mesh.size[axis, e]
            made[axis, here] = slope
        return made

    @cached_property
    def height(self) -> Array:
        """(E, n, n): -log P at the nodes of Phi; inf where P is not positive."""
        p, q = self.degrees
        b = basis(q).at(basis(p).nodes)
        u = np.einsum("ai,bj,eij->eab", b, b, self.u, optimize=True)
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(np.where(u > 0, self.phi - np.log(np.maximum(u, 0)), np.inf))

    @cached_property
    def nearest(self) -> Array:
        """(E,): the least height in the valley that each rectangle belongs to."""
        least = self.height.min(axis=(1, 2))
        lowest = np.arange(len(least))
        here, there = self.mesh.pairs
        order = np.argsort(-least[there], kind="stable")  # the lowest neighbour comes last
        lower = order[least[there[order]] < least[here[order]]]
        lowest[here[lower]] = there[lower]
        for _ in range(12):
            lowest = lowest[lowest]
        return np.asarray(least[lowest])

    @cached_property
    def panels(self) -> Panels:
        """Panels on each of which Phi varies by little, where it matters."""
        count = self.mesh.count
        waiting = Panels(np.arange(count), -np.ones((2, count)), 2 * np.ones((2, count)))
        done: list[Panels] = []
        t = np.linspace(-1, 1, 7)
        for _ in range(30):
            phi = self._tables(waiting, t)[0].reshape(len(waiting.number), -1)
            least = phi.min(axis=1)
            steep = (phi.max(axis=1) - least > STEEP) & (
                least < self.nearest[waiting.number] + NOTHING + STEEP
            )
            done.append(waiting.restricted(~steep))
            waiting = waiting.restricted(steep).quartered()
            if not steep.any():
                break
        return Panels(
            np.concatenate([p.number for p in done]),
            np.concatenate([p.low for p in done], axis=1),
            np.concatenate([p.size for p in done], axis=1),
        )

    def _tables(self, panels: Panels, t: Array) -> tuple[Array, Array]:
        """Phi and u at the tensor points of t in each panel, (P, m, m) each."""
        s = panels.low[:, :, None] + panels.size[:, :, None] * (1 + t) / 2
        made = []
        for tables in (self.phi, self.u):
            p = basis(tables.shape[1] - 1)
            rows = [p.at(v.ravel()).reshape(*v.shape, p.degree + 1) for v in s]
            made.append(rows[0] @ tables[panels.number] @ np.swapaxes(rows[1], 1, 2))
        return made[0], made[1]

    def points(self, panels: Panels, t: Array) -> Array:
        """(2, P, m, m): the tensor points of t in each panel."""
        e, half = panels.number, self.mesh.size[:, panels.number] / 2
        low = self.mesh.low[:, e] + half * (1 + panels.low)
        return tensor(low, half * panels.size, t)

    def quadrature(self, panels: Panels | None = None) -> tuple[Array, Array, Array]:
        """Points (2, K), logs of weight times e^-Phi, and u: integrals are sums of products."""
        if panels is None:
            if "quadrature" not in self.cache:
                self.cache["quadrature"] = self.quadrature(self.panels)
            made: tuple[Array, Array, Array] = self.cache["quadrature"]
            return made
        t, w = gauss(RULE)
        phi, u = self._tables(panels, t)
        area = (panels.size * self.mesh.size[:, panels.number] / 4).prod(axis=0)
        log = np.log(np.outer(w, w))[None] + np.log(area)[:, None, None] - phi
        return self.points(panels, t).reshape(2, -1), log.ravel(), u.ravel()

    @cached_property
    def log_total(self) -> float:
        _, log, u = self.quadrature()
        return log_sum(log, u)

    def log_mass(self, region: Region) -> float:
        """log of the probability of a region, normalised."""
        if region is None:
            return 0.0
        if callable(region):
            log, u = self._inside(region)
        else:
            _, log, u = self.quadrature(self._clipped(region))
        return log_sum(log, u) - self.log_total

    def moments(self) -> tuple[Array, Array]:
        """Mean and covariance."""
        return moments_of(self)

    @property
    def box(self) -> Box:
        """What holds all but next to nothing of the probability."""
        return self.mesh.box

    def marginal(self, axis: int) -> Marginal:
        return marginal_of(self, axis)

    def rvs(self, size: int, generator: np.random.Generator) -> Array:
        """Draws, shape (2, size), by rejection in each panel."""
        panels = self.panels
        _, log, u = self.quadrature()
        mass = np.exp(log - self.log_total) * np.maximum(u, 0)
        mass = mass.reshape(len(panels.number), -1).sum(axis=1)
        chosen = generator.choice(len(mass), size, p=mass / mass.sum())
        phi, v = self._tables(panels, np.linspace(-1, 1, 9))
        top = (np.log(np.maximum(v, 1e-300)) - phi).reshape(len(mass), -1).max(axis=1) + 0.2
        made, waiting = np.empty((2, size)), np.arange(size)
        while len(waiting):
            p = chosen[waiting]
            local = panels.low[:, p] + panels.size[:, p] * generator.uniform(size=(2, len(p)))
            e = panels.number[p]
            x = self.mesh.low[:, e] + self.mesh.size[:, e] * (1 + local) / 2
            phi_x, u_x = self._both(e, local)
            log_x = np.log(np.maximum(u_x, 1e-300)) - phi_x
            taken = np.log(generator.uniform(size=len(p))) < log_x - top[p]
            made[:, waiting[taken]] = x[:, taken]
            waiting = waiting[~taken]
        return made

    def _clipped(self, box: Box) -> Panels:
        """The parts of the panels inside a box."""
        p, (low, size) = self.panels, (self.mesh.low, self.mesh.size)
        ends = np.array(box, dtype=float)
        t = [2 * (ends[:, [k]] - low[:, p.number]) / size[:, p.number] - 1 for k in (0, 1)]
        lower = np.maximum(p.low, t[0])
        upper = np.minimum(p.low + p.size, t[1])
        return Panels(p.number, lower, upper - lower).restricted((upper > lower).all(axis=0))

    def _inside(self, predicate: Predicate) -> tuple[Array, Array]:
        """Weights and u inside a region: panels are cut until rows across them cross its edge, each
        as often as the next one. How closely, depends on what they hold of the region."""
        stops = np.concatenate([[-1.0], gauss(RULE)[0], [1.0]])
        waiting = self.panels
        found: list[tuple[Array, Array]] = []
        for depth in range(DEEPEST + 1):
            x = self.points(waiting, stops)
            label = np.asarray(predicate(x.reshape(2, -1)), dtype=bool).reshape(x.shape[1:])
            whole: Array = np.asarray(label.all(axis=(1, 2)))
            _, log, u = self.quadrature(waiting.restricted(whole))
            found.append((log, u))
            left: Array = np.asarray(label.any(axis=(1, 2)) & ~whole)
            bits = np.full(len(whole), float(BISECTIONS))
            bits[left] = self._bits(waiting.restricted(left), found)
            left &= bits > 0
            for axis in (0, 1):
                often = (np.diff(label.astype(int), axis=axis + 1) != 0).sum(axis=axis + 1)
                even = left & ((depth >= CUTS) | (bits < BISECTIONS))
                even &= ((often == np.maximum(often[:, :1], 1)).all(axis=1)) | (depth == DEEPEST)
                found.append(self._rows(predicate, waiting.restricted(even), axis, bits[even]))
                left &= ~even
            waiting = waiting.restricted(left).quartered()
            if not left.any():
                break
        return np.concatenate([f[0] for f in found]), np.concatenate([f[1] for f in found])

    def _bits(self, panels: Panels, found: list[tuple[Array, Array]]) -> Array:
        """How often the edge of a region is to be bisected in panels, by what they hold."""
        held = log_sum(*(np.concatenate(part) for part in zip(*found, strict=True)))
        if not (len(panels.number) and np.isfinite(held)):
            return np.full(len(panels.number), float(BISECTIONS))
        _, log, u = self.quadrature(panels)
        shape = len(panels.number), -1
        logs = [log_sum(*v) for v in zip(log.reshape(shape), u.reshape(shape), strict=True)]
        return np.clip(np.ceil((np.array(logs) - held - LEAST) / math.log(2)), 0, BISECTIONS)

    def _rows(
        self, predicate: Predicate, panels: Panels, axis: int, bits: Array
    ) -> tuple[Array, Array]:
        """Weights inside a region, by rows along x (axis 0) or y (1) that end where it does."""
        t, w = gauss(RULE)
        stops = np.concatenate([[-1.0], t, [1.0]])  # where labels along a row are looked at
        count = len(panels.number)
        y = np.repeat(np.arange(count), RULE), np.tile(np.arange(RULE), count)  # panel and row

        def world(panel: Array, s: Array, row: Array) -> Array:
            local = np.stack([s, t[row]][:: 1 - 2 * axis])
            local = panels.low[:, panel] + panels.size[:, panel] * (1 + local) / 2
            e = panels.number[panel]
            return np.asarray(self.mesh.low[:, e] + self.mesh.size[:, e] * (1 + local) / 2)

        at = np.repeat(y[0], len(stops)), np.repeat(y[1], len(stops))
        label = np.asarray(predicate(world(at[0], np.tile(stops, len(y[0])), at[1])), dtype=bool)
        label = label.reshape(len(y[0]), len(stops))
        k, gap = np.nonzero(label[:, 1:] != label[:, :-1])
        low, high, first = stops[gap], stops[gap + 1], label[k, gap]
        wanted = LEVEL * np.ceil(bits[y[0][k]] / LEVEL).astype(int)
        for steps in np.unique(wanted):
            some = np.flatnonzero(wanted == steps)

            def same(s: Array, some: Array = some) -> Array:
                rows = k[some]
                here = np.asarray(predicate(world(y[0][rows], s, y[1][rows])), dtype=bool)
                return np.asarray(here == first[some])

            low[some], high[some] = bisected(same, low[some], high[some], int(steps))
        # Along each row the region begins and ends at crossings and at the ends of the row.
        crossing = (low + high) / 2
        row_of = np.concatenate([k, np.flatnonzero(label[:, 0]), np.flatnonzero(label[:, -1])])
        where = np.concatenate(
            [crossing, np.full(int(label[:, 0].sum()), -1.0), np.full(int(label[:, -1].sum()), 1.0)]
        )
        order = np.lexsort((where, row_of))
        row_of, where = row_of[order], where[order]
        begins, ends, rows = where[0::2], where[1::2], row_of[0::2]
        panel, row = y[0][rows], y[1][rows]
        s = begins[:, None] + (ends - begins)[:, None] * (1 + t) / 2
        local = np.stack([s, np.broadcast_to(t[row][:, None], s.shape)][:: 1 - 2 * axis])
        local = panels.low[:, panel, None] + panels.size[:, panel, None] * (1 + local) / 2
        number = np.repeat(panels.number[panel], RULE)
        phi, u = self._both(number, local.reshape(2, -1))
        area = (panels.size * self.mesh.size[:, panels.number] / 4).prod(axis=0)[panel]
        weight = w[row][:, None] * w * (area * (ends - begins) / 2)[:, None]
        with np.errstate(divide="ignore"):
            return np.log(weight).ravel() - phi, u


@dataclass(frozen=True, eq=False)
class Solved:
    """A density, and the same in coarser ways: their differences bound its error."""

    road: str
    density: Density
    others: tuple[tuple[str, Density], ...]
    resolved: bool = True


def moments_of(density: Any) -> tuple[Array, Array]:
    """Mean and covariance by a density's own quadrature."""
    x, log, u = density.quadrature()
    weight = np.exp(log - density.log_total) * u
    mean = x @ weight
    d = x - mean[:, None]
    return mean, (d * weight) @ d.T


def log_sum(log: Array, factor: Array) -> float:
    """log of the sum of e^log factor; -inf where it is not positive."""
    if not len(log):
        return -np.inf
    top = float(np.max(log))
    total = float((np.exp(log - top) * factor).sum())
    return top + float(np.log(total)) if total > 0 else -np.inf
