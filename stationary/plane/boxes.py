"""Boxes with a pair of ends for each direction, and points in them."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np

from stationary.aliases import Array
from stationary.process.plane import Box


def lattice(*axes: Array) -> Array:
    """The points of a grid, shape (n, M), those along the last axis first."""
    return np.stack([v.ravel() for v in np.meshgrid(*axes, indexing="ij")])


def ends_of(box: Box) -> tuple[Array, Array]:
    """Lower and upper ends, shape (n, 1) each."""
    low, high = np.array(box, dtype=float).T[..., None]
    return low, high


def box_of(low: Array, high: Array) -> Box:
    return tuple(zip(np.ravel(low).tolist(), np.ravel(high).tolist(), strict=True))


def placed(box: Box, share: Array) -> Array:
    """Points at shares, (n, M), of the way through a box."""
    low, high = ends_of(box)
    return np.asarray(low + (high - low) * share)


def even(box: Box, count: int) -> Array:
    """The middles of as many cells for each direction of the plane."""
    t = (np.arange(count) + 0.5) / count
    return placed(box, lattice(t, t))


def scattered(box: Box, count: int) -> Array:
    """Points anywhere in a box, always the same."""
    return placed(box, np.random.default_rng(0).uniform(size=(len(box), count)))


def clipped(low: Array, high: Array, domain: Box) -> Box:
    """The part of a box that lies in the domain."""
    ends = np.array(domain).T
    return box_of(np.clip(low, *ends), np.clip(high, *ends))


def grown(box: Box, small: Array, by: float, domain: Box) -> Box:
    """With the sides that are too small, (2, 2), moved out by a part of the width each."""
    ends = np.array(box)
    low, high = (ends + small * by * np.diff(ends) * (-1, 1)).T
    return clipped(low, high, domain)


def joined(*boxes: Box) -> Box:
    """The smallest box that holds several."""
    ends = np.array(boxes)
    return box_of(ends[..., 0].min(axis=0), ends[..., 1].max(axis=0))


def finite_box(box: Box, farther: Any = 1.0) -> Box:
    """A finite box in which equilibria are looked for where a domain is infinite; `farther` may be
    one factor for each direction."""
    made = []
    for (low, high), far in zip(box, np.broadcast_to(farther, len(box)), strict=True):
        ends = np.array([low, high])
        near = ends[np.isfinite(ends)]
        reach = float(far) * (20 + abs(near[0]) if len(near) == 1 else 10.0)
        middle = near[0] if len(near) else 0.0
        ends = np.clip(ends, middle - reach, middle + reach) if len(near) < 2 else ends
        made.append((float(ends[0]), float(ends[1])))
    return tuple(made)


def sides_of(box: Box, count: int, domain: Box | None = None) -> Iterator[tuple[int, int, Array]]:
    """For each side of a box its axis, whether it is the lower or upper one, and points (2, M); of
    a domain, only for those that are no ends of it."""
    for axis, side in itertools.product((0, 1), (0, 1)):
        if domain is not None and box[axis][side] == domain[axis][side]:
            continue
        x = np.empty((2, count))
        x[axis], x[1 - axis] = box[axis][side], np.linspace(*box[1 - axis], count)
        yield axis, side, x
