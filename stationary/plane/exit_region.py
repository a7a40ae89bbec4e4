"""How long it takes to leave a region of any shape: differences on a grid, cut where it ends.

Where a neighbour of a point lies outside, the time there is what makes it vanish where the way to
the neighbour leaves the region, so that the answer is right to the second order in the spacing.
"""

from __future__ import annotations

import numpy as np
from scipy.ndimage import label, map_coordinates
from scipy.sparse import csc_array
from scipy.sparse.linalg import splu

from stationary.aliases import Array
from stationary.errors import ConvergenceError, LandscapeError
from stationary.panels.roots import bisected
from stationary.plane.regions import BISECTIONS, Labels
from stationary.process.plane import Box, PlaneDiffusion, box_text, point_text

POINTS = (97, 193)  # for each direction
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
    coarse, fine = (_on_grid(process, box, predicate, x, n) for n in POINTS)
    return fine + (fine - coarse) / 3, np.abs(fine - coarse)


def _grid(box: Box, n: int) -> tuple[Array, Array]:
    """Points (2, n^2), and the spacings (2,)."""
    axes = [np.linspace(*ends, n) for ends in box]
    x = np.stack([v.ravel() for v in np.meshgrid(*axes, indexing="ij")])
    return x, np.array([v[1] - v[0] for v in axes])


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


def _on_grid(process: PlaneDiffusion, box: Box, predicate: Labels, x: Array, n: int) -> Array:
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
    outside: list[tuple[Array, Array, Array]] = []
    for di, dj in MOVES:
        if di and dj:
            weight = di * dj * a[0, 1] / 4
        else:
            k, sign = (0, di) if di else (1, dj)
            weight = a[k, k] / 2 + sign * f[k] / 2
        # Sides of the box reflect.
        moved = (i, i + di), (j, j + dj)
        to_i, to_j = (np.where((v < 0) | (v >= n), 2 * c - v, v) for c, v in moved)
        to = to_i * n + to_j
        other = number[to]
        gone = np.flatnonzero(other < 0)
        factor = _crossing(predicate, here[:, gone], grid[:, to[gone]])
        columns.append(np.where(other < 0, np.arange(len(at)), other))
        rows.append(np.arange(len(at)))
        entries.append(weight.copy())
        entries[-1][gone] *= factor
        if not (di and dj):
            outside.append((to[gone], gone, factor))
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
    # Beyond the end of the region values go on in line, so that splines have no corner there.
    table, count = np.zeros(n * n), np.zeros(n * n)
    for to, gone, factor in outside:
        np.add.at(table, to, factor * times[gone])
        np.add.at(count, to, 1)
    table = table / np.maximum(count, 1)
    table[at] = times
    place = (x - np.array(box)[:, [0]]) / h[:, None]
    return np.asarray(map_coordinates(table.reshape(n, n), place, order=3, mode="mirror"))


def _crossing(predicate: Labels, here: Array, there: Array) -> Array:
    """The time at points outside over that at points inside, in line with 0 at the end."""
    count, way = here.shape[1], there - here
    low, high = bisected(
        lambda s: predicate(here + s * way), np.zeros(count), np.ones(count), BISECTIONS
    )
    part = np.maximum((low + high) / 2, 1e-6)
    return np.asarray(-(1 - part) / part)
