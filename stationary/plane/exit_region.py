"""How long it takes to leave a region of any shape: differences on a grid, cut where it ends.

Where a neighbour of a point lies outside, the time there is on the parabola that vanishes where the
way to the neighbour leaves the region, so that errors are of second order in the spacing. Between
points times are read off from a polynomial through those nearby, and 0 where ways leave the region.
"""

from __future__ import annotations

import numpy as np
from scipy.ndimage import label
from scipy.sparse import csc_array
from scipy.sparse.linalg import splu
from scipy.spatial import cKDTree

from stationary.aliases import Array
from stationary.errors import ConvergenceError, LandscapeError
from stationary.panels.roots import bisected
from stationary.plane.boxes import lattice
from stationary.plane.regions import BISECTIONS, Labels
from stationary.process.plane import Box, PlaneDiffusion, box_text, point_text

POINTS = (97, 193)  # for each direction; all of the first are among the second
NEAREST = 32  # points and ends of ways, through which a cubic is laid where times are asked for
ROUNDING = 1e-11  # of sparse solves, and of reading off between points
MOVES = [(i, j) for i in (-1, 0, 1) for j in (-1, 0, 1) if i or j]


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
