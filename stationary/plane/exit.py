"""How long it takes to leave a region.

The mean time tau solves f . grad tau + a : grad grad tau / 2 = -1, with tau = 0 on sides that are
reached (those that noise crosses, and those across which the drift leads out). For a rectangle that
is the transpose of the equations of the end state. Regions of any shape have differences on a grid,
cut where they end: where a neighbour of a point lies outside, the time there is on the parabola
that vanishes where the way to the neighbour leaves the region, so that errors are of second order
in the spacing. Between points times are read off from a polynomial through those nearby, and 0
where ways leave the region.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from scipy.ndimage import label
from scipy.sparse import csc_array
from scipy.sparse.linalg import splu
from scipy.spatial import cKDTree

from stationary.aliases import Array
from stationary.errors import ConvergenceError, LandscapeError
from stationary.panels.roots import bisected
from stationary.plane.boxes import box_of, clipped, ends_of, lattice
from stationary.plane.elements import DEGREE, Coefficients, Condensed, Guess, parts_of
from stationary.plane.local import everywhere
from stationary.plane.mesh import FINEST, FIRST, Mesh, basis, gauss, summed
from stationary.plane.regions import BISECTIONS, Labels
from stationary.plane.rough import found_on_grid
from stationary.plane.spectral import CUT, tails
from stationary.plane.state import points_of
from stationary.process.plane import Box, PlaneDiffusion, box_text, point_text, rectangle
from stationary.states.law import Estimate

MOST = 1200  # rectangles
RESOLVED = 1e-10  # of the largest time
POINTS = (97, 193)  # for each direction; all of the first are among the second
NEAREST = 32  # points and ends of ways, through which a cubic is laid where times are asked for
ROUNDING = 1e-11  # of sparse solves, and of reading off between points
MOVES = [(i, j) for i in (-1, 0, 1) for j in (-1, 0, 1) if i or j]


def exit_time(process: PlaneDiffusion, x: Any, region: Any) -> Estimate:
    """The mean time at which the process first leaves a region, from points (2,) or (2, M).

    Sides of a rectangle on a side of the domain, or beyond it, reflect; infinite ones are cut
    where next to nothing is.
    """
    flat = points_of(x)
    if callable(region):
        ends: Box = ((-math.inf, math.inf),) * 2
        tau, error = times_in_region(process, _finite(process, ends), region, flat)
    else:
        tau, error = _from_rectangle(process, flat, region)
    if not (tau > 0).all() or not (error < 0.5 * tau).all():
        raise ConvergenceError(
            f"{process.name}: the exit time could not be resolved: barriers may be too high for "
            "doubles. Raise the noise, or take a smaller region."
        )
    shape = np.shape(x)[1:]
    return Estimate(np.log(tau).reshape(shape)[()], (error / tau).reshape(shape)[()])


def _from_rectangle(process: PlaneDiffusion, flat: Array, region: Any) -> tuple[Array, Array]:
    name = process.name
    sides = rectangle(region, name)
    held, absorbing = _cut(process, sides)
    low, high = ends_of(held)
    outside = ((flat < low) | (flat > high)).any(axis=0)
    if outside.any():
        raise LandscapeError(
            f"{name}: the point {point_text(flat[:, np.argmax(outside)])} does not lie in the "
            f"region {box_text(held)}."
        )
    coefficients = Coefficients(process)
    mesh = Mesh.over(held, (FIRST, FIRST))
    while True:
        times = _times(coefficients, mesh, absorbing, DEGREE)
        largest = float(times.max())
        missing = tails(times) / largest
        worst = float(missing.max())
        finer = mesh.split(missing > max(RESOLVED, worst / 30))
        if worst < RESOLVED or finer.count > MOST or finer.level.max() == FINEST:
            break
        mesh = finer
    coarse = _times(coefficients, mesh, absorbing, DEGREE - 2)
    number, local = mesh.place(flat)
    tau, rough = summed((times, coarse), number, local)
    # Rounding grows with the number of moves between neighbouring nodes in that time.
    _, a, _ = coefficients.at(mesh)
    spacing = mesh.size * (1 + basis(DEGREE).nodes[1]) / 2
    rate = max(float((a[k, k] / 2 / spacing[k][:, None] ** 2).max()) for k in (0, 1))
    rounding = 2e-17 * largest * rate  # as measured: LU loses less than its bound
    moved = np.abs(rough - tau)
    return tau, moved + (1e-13 + rounding) * np.abs(tau)


def _cut(process: PlaneDiffusion, sides: Box) -> tuple[Box, list[tuple[bool, bool]]]:
    """The rectangle in finite ends, and which of its sides end the time."""
    both = list(zip(sides, process.domain, strict=True))
    absorbing = [(low > a, high < b) for (low, high), (a, b) in both]
    if not any(any(pair) for pair in absorbing):
        raise LandscapeError(
            f"{process.name}: the region {box_text(sides)} is the whole domain: it is never left."
        )
    ends = _finite(process, sides)
    if any(not low < high for low, high in ends):
        raise LandscapeError(
            f"{process.name}: the region {box_text(sides)} lies outside of where the process is."
        )
    return ends, absorbing


def _finite(process: PlaneDiffusion, box: Box) -> Box:
    """A box with ends of the domain, or of what holds the process, where it has infinite ones."""
    low, high = np.array(box).T
    made = clipped(low, high, process.domain)
    if np.isinf(made).any():
        held = found_on_grid(process, everywhere(process), CUT).box
        made = box_of(*np.where(np.isinf(made), held, made).T)
    return made


def _times(
    coefficients: Coefficients, mesh: Mesh, absorbing: list[tuple[bool, bool]], degree: int
) -> Array:
    flat = Guess(mesh, np.zeros((mesh.count, DEGREE + 1, DEGREE + 1)))
    t, w = gauss(degree + 1)
    even = np.outer(w @ basis(degree).at(t), w @ basis(degree).at(t)).ravel()
    parts = parts_of(
        coefficients, flat, degree, lambda m: even * (m.size[0] * m.size[1] / 4)[:, None]
    )
    system = Condensed(mesh, degree, parts, coefficients.process)
    x = mesh.points(basis(degree).nodes).reshape(2, mesh.count, -1)[:, :, system.outer]
    fixed = np.zeros(len(system.extended.indptr) - 1, dtype=bool)
    for axis in (0, 1):
        for side, end in ((0, -1), (1, 1)):
            at = np.abs(x[axis] - mesh.box[axis][side]) < 1e-12 * np.ptp(mesh.box[axis])
            if not absorbing[axis][side]:
                continue
            found = coefficients.process.fields(x[:, at])
            reached = found.crosses(axis) | (end * found.f[axis] > 0)
            fixed[system.place[at][reached]] = True
    fixed = fixed[system.free]
    return system.solve(np.flatnonzero(fixed), np.zeros(int(fixed.sum())))


def times_in_region(
    process: PlaneDiffusion, box: Box, predicate: Labels, x: Array
) -> tuple[Array, Array]:
    """Mean times to leave the region inside a box from points (2, M), and their errors; sides of
    the box reflect."""
    inside = np.asarray(predicate(x), dtype=bool)
    if inside.shape != x.shape[1:] or not inside.all():
        at = 0 if inside.shape != x.shape[1:] else int(np.argmin(inside))
        raise LandscapeError(
            f"{process.name}: the point {point_text(x[:, at])} does not lie in the region. (A "
            "function of points of shape (2, M) must return a truth value for each.)"
        )
    box = _around(box, predicate, x)
    rough, coarse = _on_grid(process, box, predicate, x, POINTS[0])
    close, fine = _on_grid(process, box, predicate, x, POINTS[1])
    tau = _read(x, close, fine)
    less, near = tau - _read(x, rough, coarse), _nearest(x, rough)
    # By how much they differ may happen to be little at one point.
    apart = np.abs(_read(rough, close, fine) - coarse)[near].max(axis=1)
    return tau + less / 3, np.maximum(np.abs(less), apart) + ROUNDING * tau


def _grid(box: Box, n: int) -> tuple[Array, Array]:
    """Points (2, n^2), and the spacings (2,)."""
    axes = [np.linspace(*ends, n) for ends in box]
    return lattice(*axes), np.array([v[1] - v[0] for v in axes])


def _part(predicate: Labels, box: Box, x: Array, n: int) -> Array:
    """(n, n): the points of a grid in those parts of the region that hold points of x."""
    grid, h = _grid(box, n)
    parts, _ = label(np.asarray(predicate(grid), dtype=bool).reshape(n, n), np.ones((3, 3)))
    low = np.array(box)[:, [0]]
    place = np.clip(((x - low) / h[:, None]).astype(int), 0, n - 2)
    found = np.concatenate([parts[place[0] + i, place[1] + j] for i in (0, 1) for j in (0, 1)])
    return np.asarray((parts > 0) & np.isin(parts, found))


def _around(box: Box, predicate: Labels, x: Array) -> Box:
    """The box around the part of the region that holds the points."""
    for _ in range(3):
        held = _part(predicate, box, x, POINTS[0])
        if not held.any():
            break
        ends = []
        for axis, (low, high) in enumerate(box):
            at = np.flatnonzero(held.any(axis=1 - axis))
            step = (high - low) / (POINTS[0] - 1)
            ends.append((max(low, low + (at[0] - 1) * step), min(high, low + (at[-1] + 1) * step)))
        box = tuple(ends)
    return box


def _on_grid(
    process: PlaneDiffusion, box: Box, predicate: Labels, x: Array, n: int
) -> tuple[Array, Array]:
    """The times at the points of a grid inside, and at the ends of ways from these that lead out:
    positions (2, K), and times (K,)."""
    held = _part(predicate, box, x, n)
    grid, h = _grid(box, n)
    number = np.full(n * n, -1)
    at = np.flatnonzero(held.ravel())
    number[at] = np.arange(len(at))
    here = grid[:, at]
    fields = process.fields(here)
    process.check(here, fields)
    values = np.linalg.eigvalsh(np.moveaxis(fields.a, -1, 0))
    if len(at) == 0 or (values[:, 0] <= 1e-9 * values[:, 1]).any():
        raise LandscapeError(
            f"{process.name}: exit times from regions that are no rectangles are had where the "
            "noise acts in every direction; here it has rank 1 or the region is empty. Give a "
            "rectangle."
        )
    f, a = fields.f / h[:, None], fields.a / np.multiply.outer(h, h)[..., None]
    i, j = np.unravel_index(at, (n, n))
    rows, columns, entries = [np.arange(len(at))], [np.arange(len(at))], [-a[0, 0] - a[1, 1]]
    ends = [here]
    for di, dj in MOVES:
        if di and dj:
            weight = di * dj * a[0, 1] / 4
        else:
            k, sign = (0, di) if di else (1, dj)
            weight = a[k, k] / 2 + sign * f[k] / 2
        to, back = (_reflected(i + s * di, n) * n + _reflected(j + s * dj, n) for s in (1, -1))
        gone = np.flatnonzero(number[to] < 0)
        part = _crossing(predicate, here[:, gone], grid[:, to[gone]])
        # On the parabola through the times here, at the end, and opposite, if that is inside.
        other = np.where(number[back[gone]] < 0, gone, number[back[gone]])
        across = np.where(other == gone, 0.0, (1 - part) / (1 + part))
        factor = np.where(other == gone, -1.0, -2.0) * (1 - part) / part
        kept = np.flatnonzero(number[to] >= 0)
        rows += [kept, gone, gone]
        columns += [number[to[kept]], gone, other]
        entries += [weight[kept], weight[gone] * factor, weight[gone] * across]
        ends.append(here[:, gone] + part * (grid[:, to[gone]] - here[:, gone]))
    shape = (len(at), len(at))
    matrix = csc_array(
        (np.concatenate(entries), (np.concatenate(rows), np.concatenate(columns))), shape=shape
    )
    try:
        times = splu(matrix).solve(-np.ones(len(at)))
    except RuntimeError as error:
        raise ConvergenceError(
            f"{process.name}: the region is never left, or the times are beyond doubles. Take a "
            "smaller region, or raise the noise."
        ) from error
    if not np.isfinite(times).all() or (times <= 0).mean() > 0.01:
        raise ConvergenceError(
            f"{process.name}: the exit time from this region in {box_text(box)} could not be "
            "resolved: the noise is low against the drift. Raise the noise, or take a smaller "
            "region or a rectangle."
        )
    x = np.concatenate(ends, axis=1)
    return x, np.concatenate([times, np.zeros(x.shape[1] - len(times))])


def _nearest(x: Array, at: Array) -> Array:
    """(M, K): for each point the numbers of the nearest ones of others."""
    scale = np.ptp(at, axis=1)
    return np.asarray(cKDTree(at.T / scale).query(x.T / scale, min(NEAREST, at.shape[1]))[1])


def _read(x: Array, at: Array, values: Array) -> Array:
    """What a cubic through values at the nearest ones of other points is at points (2, M)."""
    near = _nearest(x, at)
    d = at[:, near] - x[:, :, None]
    d /= np.abs(d).max(axis=2, keepdims=True)
    weight = 1 / (0.05 + (d**2).sum(axis=0))
    powers = [(i, j) for i in range(4) for j in range(4 - i)]
    rows = np.stack([d[0] ** i * d[1] ** j for i, j in powers], axis=2)
    right = np.swapaxes(rows * weight[..., None], 1, 2)
    square = right @ rows + 1e-12 * weight.sum(axis=1)[:, None, None] * np.eye(len(powers))
    return np.asarray(np.linalg.solve(square, right @ values[near][..., None])[:, 0, 0])


def _reflected(k: Array, n: int) -> Array:
    """Numbers of points along an axis, those beyond its ends reflected."""
    return np.abs(np.where(k >= n, 2 * n - 2 - k, k))


def _crossing(predicate: Labels, here: Array, there: Array) -> Array:
    """How much of the way from points inside to points outside lies inside."""
    count, way = here.shape[1], there - here
    low, high = bisected(
        lambda s: predicate(here + s * way), np.zeros(count), np.ones(count), BISECTIONS
    )
    return np.maximum((low + high) / 2, 1e-6)
