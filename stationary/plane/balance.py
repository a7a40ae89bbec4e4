"""A second look at a density, which asks for no derivative of the noise.

In an end state the mean of f . grad v + a : grad grad v / 2 is 0 for every smooth v, less the
integral of P n.a grad v / 2 along walls: what noise oblique to a wall carries along it, where v is
flat across. A density that was found from div a misses what jumps of the noise do; here it is
multiplied by 1 and a combination of cosines, so that the means of as many such v vanish.
"""

from __future__ import annotations

import itertools

import numpy as np

from stationary.aliases import Array
from stationary.numbers.cost import CACHE
from stationary.plane.boxes import clipped, sides_of
from stationary.plane.charts import STRAIGHT, Chart
from stationary.plane.density import Density
from stationary.plane.elements import DEGREE
from stationary.plane.mesh import RULE, basis, gauss
from stationary.process.plane import PlaneDiffusion

ORDER = 8  # cosines of each coordinate; those of both together are of a lower order
WIDE = 5.0  # deviations from the mean to either end of the first cosine
HELD, PLACES = 30.0, 201  # in -log P at places of a wall: functions are to be flat where P is not 0
DECIDED = 1e-3  # of the fastest: slower combinations, such as masses of basins, are left alone


def balanced(process: PlaneDiffusion, density: Density, chart: Chart = STRAIGHT) -> Density:
    """The density, on a chart, with its means of all that is smooth in balance."""
    y, log, u = density.quadrature
    x, mass = chart.x(y), np.exp(log - density.log_total) * u
    mean = x @ mass
    reach = WIDE * np.sqrt(np.abs((x - mean[:, None]) ** 2 @ mass))  # negative, where P is no law
    ends, domain = np.array([mean - reach, mean + reach]), chart.box(process.domain)
    walls = []
    for axis, side, there in sides_of(density.box, PLACES):
        if density.box[axis][side] == domain[axis][side] and density.depth(there).min() < HELD:
            ends[side, axis] = process.domain[axis][side]
            walls.append((axis, side))
    low, high = np.array(clipped(ends[0], ends[1], process.domain)).T
    waves = np.pi * np.arange(ORDER)[:, None] / (high - low)[:, None, None]  # (axis, ORDER, 1)

    def cosines(x: Array) -> tuple[Array, Array, Array]:
        """Of either coordinate, with first and second derivatives: (axis, ORDER, M) each."""
        z = np.exp(1j * waves[:, 1] * (x - low[:, None]))
        powers = np.stack([np.ones_like(z), *itertools.accumulate([z] * (ORDER - 1), np.multiply)])
        cos, sin = (np.ascontiguousarray(np.swapaxes(v, 0, 1)) for v in (powers.real, powers.imag))
        return cos, -waves * sin, -(waves**2) * cos

    def pairs(p: Array, q: Array) -> Array:
        return np.concatenate([row * q[: ORDER - i] for i, row in enumerate(p)])

    keep = np.flatnonzero(mass > 1e-16 * mass.max())
    count = ORDER * (ORDER + 1) // 2
    matrix, right = np.zeros((count, count)), np.zeros(count)
    for begin in range(0, len(keep), CACHE):
        some = keep[begin : begin + CACHE]
        fields = process.fields(x[:, some])
        f, a = fields.f, fields.a
        (p, q), (dp, dq), (ddp, ddq) = cosines(x[:, some])
        generated = pairs(f[0] * dp + a[0, 0] / 2 * ddp, q)
        generated += pairs(f[1] * p + a[0, 1] * dp, dq)
        generated += pairs(a[1, 1] / 2 * p, ddq)
        generated *= mass[some]
        right += generated.sum(axis=1)
        matrix += generated @ pairs(p, q).T
    for axis, side in walls:
        y, mass = _along(density, axis, side)
        x, mass = chart.x(y), mass * np.exp(-chart.log_stretch(y)[axis])
        (p, q), (dp, dq), _ = cosines(x)
        across = process.fields(x).a[0, 1] * mass * (0.5 - side)
        generated = (pairs(p, dq) if axis == 0 else pairs(dp, q)) * across
        right += generated.sum(axis=1)
        matrix += generated @ pairs(p, q).T
    # So that a fast combination is one of short waves, each counts by its length.
    size = pairs(*(1 + np.arange(ORDER)[None, :, None] ** 2 + np.zeros((2, 1, 1))))[:, 0]
    found = np.linalg.lstsq(matrix / size[:, None], -right / size, DECIDED)[0]
    nodes = basis(DEGREE).nodes
    at = density.mesh.points(nodes)
    p, q = cosines(chart.x(at.reshape(2, -1)))[0]
    factor = 1 + found @ pairs(p, q)
    b = basis(density.degrees[1]).at(nodes)
    u = b @ density.u @ b.T
    return Density(density.mesh, density.phi, u * factor.reshape(at.shape[1:]))


def _along(density: Density, axis: int, side: int) -> tuple[Array, Array]:
    """Points along a side of the box, (2, M), and P there times their weights."""
    mesh, panels = density.mesh, density.panels
    end = mesh.outer[axis, side, panels.number]
    end &= (panels.low if side == 0 else panels.low + panels.size)[axis] == 2 * side - 1
    part, (t, w) = panels.restricted(end), gauss(RULE)
    wall = np.array([2.0 * side - 1])
    at = (wall, t) if axis == 0 else (t, wall)
    phi, u = (v.reshape(-1, len(t)) for v in density.tables(part, *at))
    low, size = density.sides(part)
    x = low[:, :, None] + size[:, :, None] * (1 + t) / 2
    x[axis] = density.box[axis][side]
    mass = np.exp(-phi - density.log_total) * u * w * size[1 - axis, :, None] / 2
    return x.reshape(2, -1), mass.ravel()
