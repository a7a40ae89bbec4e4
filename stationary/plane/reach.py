"""How far SGD comes from an attractor of the plane, whichever minibatches are drawn.

Pixels that steps may lead to are followed from the attractor, from the middle of each to those
around where it comes, until none is new. What they cover is led into itself: there SGD stays for
good, where the diffusion leaves every basin.
"""

from __future__ import annotations

import numpy as np

from stationary.aliases import Array
from stationary.plane.basin import PlaneBasin
from stationary.plane.state import PlaneState
from stationary.process.minibatches import Stepper

FINE = 24  # pixels in a deviation of the diffusion around an attractor
MOST = 1 << 17  # pixels: what goes on from there is not found to end
ROW = 1 << 24  # by which the number of a pixel grows from one row to the next


def kept_in(state: PlaneState, stepper: Stepper) -> dict[int, Array]:
    """By the number of each basin that no minibatch leads out of: from where to where SGD can come
    from its attractor, (2, 2) as a box."""
    if stepper.chances is None:
        return {}
    found = {b.index: _box(state, stepper, b) for b in state.basins}
    return {k: box for k, box in found.items() if box is not None}


def _box(state: PlaneState, stepper: Stepper, basin: PlaneBasin) -> Array | None:
    attractor = basin.attractor
    if attractor is None or attractor.covariance is None:
        return None
    at = np.asarray(attractor.position)[:, None]
    pixel = np.sqrt(np.diag(attractor.covariance))[:, None] / FINE
    ends = np.array(state.diffusion.domain)
    near = (np.arange(-1, 2)[:, None] * ROW + np.arange(-1, 2)).ravel()
    seen = fresh = np.zeros(1, dtype=int)

    def place(pixels: Array) -> Array:
        row = np.floor_divide(pixels + ROW // 2, ROW)
        return np.asarray(at + pixel * np.stack([row, pixels - ROW * row]))

    while fresh.size:
        x = np.concatenate(stepper.images(place(fresh)), axis=1)
        x = np.where(x < ends[:, :1], 2 * ends[:, :1] - x, x)
        x = np.where(x > ends[:, 1:], 2 * ends[:, 1:] - x, x)
        row, column = np.round((x - at) / pixel)
        if max(np.abs(row).max(), np.abs(column).max()) > ROW // 4:
            return None
        led = np.unique((row * ROW + column).astype(int))
        fresh = np.setdiff1d(led[:, None] + near, seen)
        seen = np.union1d(seen, fresh)
        out = np.asarray(state.basin_of(place(fresh))) != basin.index
        if out.any() or len(seen) > MOST:
            return None
    x = place(seen)
    return np.stack([x.min(axis=1), x.max(axis=1)], axis=1)
