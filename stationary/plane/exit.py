"""How long it takes to leave a region: a rectangle, a basin, or what a function says lies inside.

A rectangle that one coordinate alone leaves, which knows nothing of the other one, is left as on
the line; all else is covered by rectangles (`cover`), however high its barriers (`leaving`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from scipy.ndimage import binary_dilation, label

from stationary.aliases import Array
from stationary.errors import ConvergenceError, LandscapeError, StationaryError
from stationary.numbers.threads import one_thread
from stationary.panels.roots import bisected
from stationary.plane.boxes import box_of, clipped, ends_of, finite_box, joined, lattice
from stationary.plane.cover import Region
from stationary.plane.inside import SMOOTH, Labels
from stationary.plane.leaving import times
from stationary.plane.means import truth_of
from stationary.plane.metric import points_of
from stationary.plane.product import alone
from stationary.plane.rough import found_on_grid
from stationary.plane.spectral import CUT
from stationary.plane.zeros import everywhere
from stationary.process.plane import Box, PlaneDiffusion, box_text, point_text, rectangle
from stationary.process.plane_landscape import PlaneLandscape
from stationary.states.first_passage import first_passage
from stationary.states.law import Estimate

POINTS = 97  # for each direction, at which a region is looked for
SHRINKINGS = 64  # of the box around a region that is small: each to a twelfth
GROWN = 48  # steps by which a side is moved out that cuts off what goes on beyond it
AROUND = np.ones((3, 3), dtype=bool)  # points that count as next to one
RAYS, ZOOMS = 128, 4  # straight ways from a point, and looks at ever nearer ones to the best
NEAR, SHOTS, HALVINGS = 1e-7, 56, 12  # of a box: where on such a way it is looked whether it ended
WAYS, SHORT = 48, 0.98  # of them one after the other, each not quite to its end
TURN = 2.0  # from one to the next: round a corner, not back
ENOUGH = 1e-3  # of a box: how long a further one must be
TIP = 8  # steps between these: how far its corners may reach beyond what is seen


@one_thread
def exit_time(
    given: PlaneLandscape | PlaneDiffusion, x: Any, region: Any, smooth: float = SMOOTH
) -> Estimate:
    """The mean time at which the process first leaves a region, from points (2,) or (2, M).

    Sides of a rectangle on a side of the domain, or beyond it, reflect; infinite ones are cut
    where next to nothing is. Edges of other regions are followed up to what is `smooth`.
    """
    flat, process = points_of(x), given.diffusion()
    out = np.zeros(flat.shape[1], dtype=bool)
    if not callable(region):
        out = _is_out(process, rectangle(region, process.name), flat)
    log, error = np.full(len(out), -np.inf), np.zeros(len(out))
    if not out.all():
        log[~out], error[~out] = _times(given, flat[:, ~out], region, smooth)
    if not (error < 0.5).all():
        raise ConvergenceError(
            f"{process.name}: the exit time could not be resolved: barriers may be too high for "
            "doubles, or the region is never left. Raise the noise, or take a smaller region."
        )
    shape = np.shape(x)[1:]
    return Estimate(log.reshape(shape)[()], error.reshape(shape)[()])


def _times(
    given: PlaneLandscape | PlaneDiffusion, flat: Array, region: Any, smooth: float
) -> tuple[Array, Array]:
    """Logs of times from points (2, M), one or more, and their errors."""
    process = given.diffusion()
    if callable(region):
        labels = partial(truth_of, region, name=process.name)
        _require_inside(process, labels, flat)
        box = _around(process, labels, flat)
        return times(given, Region(process, flat, box, (), labels, smooth))
    sides = rectangle(region, process.name)
    absorbing = _absorbing(process, sides)
    line = _on_a_line(given, sides, absorbing, flat)
    if line is None:
        held = _finite(process, sides)
        _require_within(process, held, flat)
        line = times(given, Region(process, flat, held, absorbing))
    return line


def _is_out(process: PlaneDiffusion, sides: Box, x: Array) -> Array:
    """Whether the process is out at once: on a side that ends the time, if noise crosses it."""
    out = np.zeros(x.shape[1], dtype=bool)
    low, high = np.array(sides).T
    _require_within(process, clipped(low, high, process.domain), x)
    for axis, side in _absorbing(process, sides):
        on = x[axis] == sides[axis][side]
        if on.any():
            out[on] |= process.fields(x[:, on]).crosses(axis)
    return out


def _absorbing(process: PlaneDiffusion, sides: Box) -> tuple[tuple[int, int], ...]:
    """The sides of a rectangle that end the time: their axes, and 0 for lower ones, 1 for upper."""
    both = list(zip(sides, process.domain, strict=True))
    made = [(k, 0) for k, ((low, _), (end, _)) in enumerate(both) if low > end]
    made += [(k, 1) for k, ((_, high), (_, end)) in enumerate(both) if high < end]
    if not made:
        raise LandscapeError(
            f"{process.name}: the region {box_text(sides)} is the whole domain: it is never left."
        )
    return tuple(made)


def _on_a_line(
    given: PlaneLandscape | PlaneDiffusion, sides: Box, absorbing: Sequence[tuple[int, int]],
    flat: Array,
) -> tuple[Array, Array] | None:  # fmt: skip
    """Logs of times and their errors where one coordinate alone leaves, and knows nothing of the
    other one."""
    axes = {axis for axis, _ in absorbing}
    lines = alone(given) if len(axes) == 1 else None
    if lines is None:
        return None
    (k,) = axes
    ends = [sides[k][side] for _, side in absorbing]
    try:
        found = first_passage(lines[k], flat[k], ends[0] if len(ends) == 1 else tuple(ends)).mean
    except StationaryError:
        return None
    log, error = np.asarray(found.log, dtype=float), np.asarray(found.error, dtype=float)
    return np.broadcast_to(log, flat[k].shape), np.broadcast_to(error, flat[k].shape)


def _require_within(process: PlaneDiffusion, box: Box, flat: Array) -> None:
    low, high = ends_of(box)
    if not (low < high).all():
        raise LandscapeError(
            f"{process.name}: the region {box_text(box)} lies outside of where the process is."
        )
    outside = ~((flat >= low) & (flat <= high)).all(axis=0)
    if outside.any():
        raise LandscapeError(
            f"{process.name}: the point {point_text(flat[:, np.argmax(outside)])} does not lie in "
            f"the region {box_text(box)}."
        )


def _require_inside(process: PlaneDiffusion, labels: Labels, x: Array) -> None:
    inside = labels(x)
    if not inside.all():
        at = point_text(x[:, int(np.argmin(inside))])
        raise LandscapeError(f"{process.name}: the point {at} does not lie in the region.")


def _finite(process: PlaneDiffusion, box: Box) -> Box:
    """A box with ends of the domain, or of what holds the process, where it has infinite ones."""
    low, high = np.array(box).T
    made = clipped(low, high, process.domain)
    if np.isinf(made).any():  # as if it were never left, which it may be for good
        inner = replace(process, domain=made)
        holds = found_on_grid(inner, everywhere(inner), CUT).box
        made = box_of(*np.where(np.isinf(made), holds, made).T)
    return made


def _around(process: PlaneDiffusion, labels: Labels, x: Array) -> Box:
    """A box around the part of a region that holds points; infinite ones are cut where next to
    nothing is."""
    low, high = np.array(finite_box(process.domain)).T
    reach = 2 * np.abs(x).max(axis=1)
    box = most = clipped(np.minimum(low, -reach), np.maximum(high, reach), process.domain)
    for attempt in range(SHRINKINGS):
        part = _part(labels, box, x)
        low, high = np.array(box).T
        step, ends = (high - low) / (POINTS - 1), np.array(most if attempt else process.domain).T
        first, last = ((v - low) / step for v in (x.min(axis=1), x.max(axis=1)))
        if part.any():  # and does not fall between the points
            at = [np.flatnonzero(part.any(axis=1 - axis))[[0, -1]] for axis in (0, 1)]
            first = np.minimum(first, [pair[0] for pair in at])
            last = np.maximum(last, [pair[1] for pair in at])
        below, above = (first == 0) & (low > ends[0]), (last == POINTS - 1) & (high < ends[1])
        if (below | above).any() and not attempt:
            box = most = _finite(process, ((-math.inf, math.inf),) * 2)
            continue
        # Where few points saw how far it reaches in one direction they may have missed it in the
        # other one: what turns out to go on is followed.
        left = np.where(below, -GROWN, first - TIP)
        right = np.where(above, GROWN, last - POINTS + 1 + TIP)
        box = clipped(low + left * step, high + right * step, most)
        if not (below | above).any() and (np.diff(box)[:, 0] > 0.9 * (high - low)).all():
            break
    low, high = np.array(joined(box, _reached(labels, box, most, x))).T
    margin = TIP / POINTS * (high - low) * (np.array([low, high]) != np.array(box).T)
    return clipped(low - margin[0], high + margin[1], most)


def _reached(labels: Labels, box: Box, most: Box, x: Array) -> Box:
    """How far straight ways inside a region lead from x, the longest ones one after the other.

    What is thinner than the steps of a grid, and slants or bends, is followed along itself.
    """
    size, (low, high) = np.diff(box)[:, 0], np.array(most).T
    r = np.geomspace(NEAR, 2 * float(((high - low) / size).max()), SHOTS)
    ends = np.array([x.min(axis=1), x.max(axis=1)])

    def inside(w: Array) -> Array:
        held = ((w >= low[:, None]) & (w <= high[:, None])).all(axis=0)
        return np.asarray(held & np.asarray(labels(w), dtype=bool))

    def lengths(p: Array, angles: Array) -> Array:
        """Of the straight ways from points (2, K) at these angles, (K, R), in sizes of the box."""
        p, way = p[:, :, None], size[:, None, None] * np.array([np.cos(angles), np.sin(angles)])
        w = p[..., None] + way[..., None] * r
        out = ~inside(w.reshape(2, -1)).reshape(w.shape[1:])
        first = np.where(out.any(axis=2), out.argmax(axis=2), len(r) - 1)
        a, b = np.append(0.0, r)[first], r[first]
        ways = lambda t: inside((p + way * t).reshape(2, -1)).reshape(t.shape)  # noqa: E731
        a, _ = bisected(ways, a, b, HALVINGS)
        to = p + way * a
        ends[:] = np.minimum(ends[0], to.min(axis=(1, 2))), np.maximum(ends[1], to.max(axis=(1, 2)))
        return np.asarray(a)

    def longest(p: Array, before: Array, turn: Any) -> tuple[Array, Array]:
        """The angles and lengths of the longest ways that turn no more from those before."""
        middle, reach, every = before, turn, np.arange(len(before))
        for _ in range(ZOOMS):
            angles = middle[:, None] + np.multiply.outer(reach, np.linspace(-1, 1, RAYS))
            far = lengths(p, angles)
            k = far.argmax(axis=1)
            middle, reach = angles[every, k], 2 * reach / RAYS
        return middle, far[every, k]

    p = x[:, sorted({int(f(c)) for c in x for f in (np.argmin, np.argmax)})]
    turn = np.repeat([0.0, np.pi / 2], p.shape[1])
    first, _ = longest(p, np.zeros(p.shape[1]), np.full(p.shape[1], np.pi))
    p, angle = np.tile(p, 2), np.concatenate([first, first + np.pi])
    for _ in range(WAYS):
        angle, far = longest(p, angle, turn)
        on = far >= ENOUGH
        if not on.any():
            break
        p = (p + SHORT * far * size[:, None] * [np.cos(angle), np.sin(angle)])[:, on]
        angle, turn = angle[on], np.full(int(on.sum()), TURN)
    return box_of(*ends)


def _part(labels: Labels, box: Box, x: Array) -> Array:
    """(n, n): the points of a grid in those parts of a region that hold points of x."""
    grid = lattice(*(np.linspace(*ends, POINTS) for ends in box))
    seen = np.asarray(labels(grid), dtype=bool).reshape(POINTS, POINTS)
    # What is thin shows at some points alone: those that are a few steps apart count as joined.
    parts, _ = label(binary_dilation(seen, AROUND, TIP // 2), AROUND)
    low, high = ends_of(box)
    place = np.clip(((x - low) / (high - low) * (POINTS - 1)).astype(int), 0, POINTS - 2)
    found = np.concatenate([parts[place[0] + i, place[1] + j] for i in (0, 1) for j in (0, 1)])
    return np.asarray(seen & np.isin(parts, found[found > 0]))
