"""Rectangles that cover a region, and the equations of the time until it is left on these.

For all v that are polynomials on rectangles, over what lies inside and its edge,

    int grad v . a grad tau / 2 - v (f - div a / 2) . grad tau  -  edge v n.a grad tau / 2 = int v,

and with -tau n.a grad v / 2 and a penalty (Nitsche's terms) tau = 0 on the edge: rectangles that
the edge crosses are as good as others. Where no noise crosses, tau = 0 where the drift leads out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from stationary.aliases import Array
from stationary.numbers.arithmetic import TINY
from stationary.plane.elements import Coefficients, Condensed, Guess, parts_of
from stationary.plane.inside import RULE, SMOOTH, Labels, Rule, held, looked, whole
from stationary.plane.mesh import Mesh, basis, end_to_end, gauss, with_slopes
from stationary.process.plane import Box, PlaneDiffusion

DEGREE = 8  # of tau: more is lost in rectangles of which the edge leaves a corner
OUTSIDE = 1e-13  # what lies outside counts, so that what is nearly all outside has one solution
PENALTY = 1e3  # times n.a.n over the size of rectangles: what tau costs on the edge


@dataclass(frozen=True, eq=False)
class Part:
    """The points of a rule, one rectangle after the other, with what the process does there."""

    rule: Rule
    local: Array  # (2, K): in [-1, 1]
    way: Array  # f - div a / 2
    a: Array
    begin: Array  # (E + 1,)

    @classmethod
    def of(cls, process: PlaneDiffusion, mesh: Mesh, rules: Sequence[Rule]) -> Part:
        rule = end_to_end(rules)
        order = np.argsort(rule.number, kind="stable")
        number, x, weight = (v[..., order] for v in rule)
        fields = process.fields(x, 1)
        if len(number):
            process.check(x, fields)
        local = 2 * (x - mesh.low[:, number]) / mesh.size[:, number] - 1
        begin = np.searchsorted(number, np.arange(mesh.count + 1))
        way = fields.f - fields.div / 2
        return cls(Rule(number, x, weight), local, way, fields.a, begin)

    def of_rectangle(self, mesh: Mesh, e: int, degree: int) -> tuple[slice, Array, Array]:
        """Its points, and there the basis functions (M, n^2), and their gradients (2, M, n^2)."""
        some = slice(self.begin[e], self.begin[e + 1])
        p, t, (wide, high) = basis(degree), self.local[:, some], 2 / mesh.size[:, e]
        (u, v), (du, dv) = (of(t.ravel()).reshape(2, t.shape[1], -1) for of in (p.at, p.slope_at))
        flat = [
            np.asarray((one[:, :, None] * other[:, None, :]).reshape(len(one), -1))
            for one, other in ((u, v), (du * wide, v), (u, dv * high))
        ]
        return some, flat[0], np.stack(flat[1:])

    def gradient(self, mesh: Mesh, table: Array) -> tuple[Array, Array]:
        """Of polynomials the values, (K,), and gradients (2, K)."""
        return with_slopes(mesh, table, self.rule.number, self.local)


@dataclass(frozen=True, eq=False)
class Region:
    """What is left: all of a box across some of its sides, or what lies inside by its labels.

    Attributes
    ----------
    x
        Points inside, (2, M): of a region that falls apart, those parts count that hold any.
    absorbing
        Sides of the box that end the time: their axes, and 0 for lower ones, 1 for upper ones.
    smooth
        Part of the side of a rectangle up to which the edge is followed.
    """

    process: PlaneDiffusion
    x: Array
    box: Box
    absorbing: Sequence[tuple[int, int]]
    labels: Labels | None = None
    smooth: float = SMOOTH

    def cover(self, mesh: Mesh, last: Cover | None = None) -> Cover:
        """The rectangles of a mesh that hold any of the region, of which `last` knows parts."""
        full = np.ones(mesh.count, dtype=bool)
        if self.labels is not None:
            if last is None:
                full[:] = False
            else:
                full = last.full[last.mesh.place(mesh.low + mesh.size / 2)[0]]
            k, some = np.flatnonzero(~full), np.ones(mesh.count, dtype=bool)
            _, full[k], empty = looked(self.labels, mesh.low[:, k], mesh.size[:, k])
            some[k] = ~empty
            starts = mesh.place(self.x)[0]
            some[starts] = True
            joined = mesh.clusters(some)
            some &= np.isin(joined, joined[starts])
            mesh, full = mesh.restricted(some), full[some]
        # What was known of rectangles stays; of new ones it is found.
        place = np.full(mesh.count, -1) if last is None else mesh.places_in(last.mesh)
        new = place < 0
        k, cut = np.flatnonzero(new & full), np.flatnonzero(new & ~full)
        sides = self._sides(mesh)
        here = new[sides.number]
        rules = [
            [whole(k, mesh.low[:, k], mesh.size[:, k])],
            [Rule(*(v[..., here] for v in sides))],
        ]
        if self.labels is not None:
            ends = mesh.low[:, cut], mesh.size[:, cut]
            more = held(self.labels, cut, *ends, smooth=self.smooth)
            for known, found in zip(rules, more, strict=True):
                known.append(found)
        if last is not None:
            now = np.full(last.mesh.count, -1)
            now[place[~new]] = np.flatnonzero(~new)
            for known, part in zip(rules, (last.inside, last.edge), strict=True):
                number, x, weight = part.rule
                kept = now[number] >= 0
                known.append(Rule(now[number[kept]], x[:, kept], weight[..., kept]))
        return Cover(self.process, mesh, full, *(Part.of(self.process, mesh, r) for r in rules))

    def _sides(self, mesh: Mesh) -> Rule:
        """The rule along sides of the box that end the time."""
        t, w = gauss(RULE)
        made = [Rule(np.arange(0), np.empty((2, 0)), np.empty((2, 0)))]
        for axis, side in self.absorbing:
            end = self.box[axis][side]
            at = mesh.low[axis] + side * mesh.size[axis]
            e = np.flatnonzero(np.abs(at - end) < 1e-12 * np.ptp(self.box[axis]))
            x = np.full((2, len(e), len(t)), end)
            half = mesh.size[1 - axis, e, None] / 2
            x[1 - axis] = mesh.low[1 - axis, e, None] + half * (1 + t)
            out = np.zeros(x.shape)
            out[axis] = (2 * side - 1) * half * w
            made.append(Rule(np.repeat(e, len(t)), x.reshape(2, -1), out.reshape(2, -1)))
        return end_to_end(made)


@dataclass(frozen=True, eq=False)
class Cover:
    """Rectangles that cover a region, with the rules of what they hold of it."""

    process: PlaneDiffusion
    mesh: Mesh
    full: Array  # (E,): whether all of a rectangle lies inside
    inside: Part
    edge: Part

    def times(self, coefficients: Coefficients, degree: int) -> Array:
        """tau at the nodes of rectangles, up to a factor where barriers are high."""
        mesh = self.mesh
        t, w = gauss(RULE)
        functions = np.kron(basis(degree).at(t), basis(degree).at(t))
        even = np.outer(w, w).ravel() @ functions
        outside = OUTSIDE if degree == DEGREE else 10 * OUTSIDE
        edged = np.diff(self.edge.begin) > 0

        def edited(part: Mesh, blocks: Array) -> Array:
            loads: Array = even * (part.size.prod(axis=0) / 4)[:, None]
            number = part.places_in(mesh)
            cut = ~self.full[number]
            blocks[cut] *= outside
            loads[cut] = 0.0
            for k in np.flatnonzero(cut):
                some, v, rise = self.inside.of_rectangle(mesh, number[k], degree)
                weight = self.inside.rule.weight[some]
                a, way = self.inside.a[..., some] * weight, self.inside.way[:, some] * weight
                for i in (0, 1):
                    blocks[k] += rise[i].T @ (np.einsum("jm,jmn->mn", a[i], rise) / 2)
                blocks[k] -= v.T @ np.einsum("jm,jmn->mn", way, rise)
                loads[k] += weight @ v
            for k in np.flatnonzero(edged[number]):
                some, v, rise = self.edge.of_rectangle(mesh, number[k], degree)
                out, a = self.edge.rule.weight[:, some], self.edge.a[..., some]
                across = np.einsum("im,ijm->jm", out, a) / 2
                flux = np.einsum("jm,jmn->mn", across, rise)
                length = np.maximum(np.linalg.norm(out, axis=0), TINY)
                kept = PENALTY * (across * out).sum(axis=0) / length / part.size[:, k].min()
                kept += np.maximum((self.edge.way[:, some] * out).sum(axis=0), 0)
                blocks[k] += v.T @ (kept[:, None] * v - flux) - flux.T @ v
            return loads

        flat = Guess(mesh, np.zeros((mesh.count, DEGREE + 1, DEGREE + 1)))
        parts = parts_of(coefficients, flat, degree, edited)
        system = Condensed(mesh, degree, parts, self.process, evened=True)
        return system.solve(np.arange(0), np.empty(0))
