"""Where the drift ends at walls: points of these at which it leads into them and not along them.

Noise against a wall is that of a law exp(-2 f n / a) of the distance n from it, as long as the
drift f leads into it: what is led there stays as around an attractor, and beyond it lie barriers.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np

from stationary.aliases import Array
from stationary.numbers.arithmetic import TINY
from stationary.plane.boxes import finite_box, sides_of
from stationary.plane.local import Equilibrium
from stationary.process.plane import PlaneDiffusion

PLACES = 513  # of a wall, between which the drift along it may change its sign once
HALVED = 60  # times: down to rounding


def ends_at_walls(process: PlaneDiffusion) -> tuple[Equilibrium, ...]:
    """Those on finite ends of a domain in the plane, and in its corners: as equilibria, stable or
    saddles, with slopes that only tell what kind they are."""
    made: list[Equilibrium] = []
    box = finite_box(process.domain)
    walls = [s for s in sides_of(box, PLACES) if box[s[0]][s[1]] == process.domain[s[0]][s[1]]]
    for axis, side, x in walls:
        along, sign = 1 - axis, 2 * side - 1
        f = process.velocity(x)
        into = (sign * f[axis, :-1] > 0) & (sign * f[axis, 1:] > 0)
        for k in np.flatnonzero(into & (f[along, :-1] * f[along, 1:] < 0)):
            at = _zero(process, x[:, k], x[:, k + 1], along, float(f[along, k]))
            slope = float((f[along, k + 1] - f[along, k]) / (x[along, k + 1] - x[along, k]))
            made.extend(_ending(process, at, (axis,), slope))
    for first, second in itertools.product(*([w for w in walls if w[0] == k] for k in (0, 1))):
        at = np.array([box[0][first[1]], box[1][second[1]]])
        out = process.velocity(at[:, None])[:, 0] * (2 * np.array([first[1], second[1]]) - 1)
        if (out > 0).all():
            made.extend(_ending(process, at, (0, 1), -float((out / np.ptp(box, axis=1)).max())))
    return tuple(made)


def _zero(process: PlaneDiffusion, low: Array, high: Array, along: int, before: float) -> Array:
    """Where the drift along a wall changes its sign."""
    for _ in range(HALVED):
        middle = (low + high) / 2
        same = process.velocity(middle[:, None])[along, 0] * before > 0
        low, high = (middle, high) if same else (low, middle)
    return low


def _ending(
    process: PlaneDiffusion, x: Array, into: tuple[int, ...], slope: float
) -> Iterator[Equilibrium]:
    """What the drift leads into along some axes, with a slope along the other one, if noise turns
    it back."""
    fields = process.fields(x[:, None])
    f, a = fields.f[:, 0], fields.a[..., 0]
    if not all(fields.crosses(axis)[0] for axis in into):
        return
    slopes = np.full(2, slope)
    slopes[list(into)] = -abs(slope)
    spread = np.diag(a) / 2 / np.maximum(np.abs(slopes), TINY)
    spread[list(into)] = (np.diag(a)[list(into)] / 2 / f[list(into)]) ** 2
    covariance = np.diag(spread) if (slopes < 0).all() else None
    yield Equilibrium(x, 0.0, np.diag(slopes), a, np.sort(slopes)[::-1], covariance, None)
