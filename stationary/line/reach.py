"""How far out on an infinite line anything can be: beyond, the drift points inwards for ever."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from stationary.aliases import Array
from stationary.line.octaves import FALLEN
from stationary.process.corners import SCAN
from stationary.process.diffusion import Diffusion


def inward_from(x: Array, f: Array, side: int) -> float:
    """From which point on, towards the lower (side 0) or upper end, a drift points inwards.

    That is the outermost of the points x, ascending, at which it does not; inf if it never ceases.
    """
    outwards = np.asarray((f >= 0) if side == 1 else (f <= 0)) | np.isnan(f)
    if not outwards.any():
        return float(x[0] if side == 1 else x[-1])
    i = len(x) - 1 - int(np.argmax(outwards[::-1])) if side == 1 else int(np.argmax(outwards))
    last = i == (len(x) - 1 if side == 1 else 0)
    return (math.inf if side == 1 else -math.inf) if last else float(x[i])


def is_out_of_reach(diffusion: Diffusion, x: Array, core: float) -> Array:
    """Which of the points x, ascending, lie so far down a slope that no double shows anything.

    Only those at infinite ends of the domain, further out than `core`.
    """
    beyond = np.zeros(len(x), dtype=bool)
    far = 10 * FALLEN  # coarse steps see variances that oscillate
    f, a = diffusion.coefficients(x)
    with np.errstate(all="ignore"):
        pull = np.abs(2 * f / a)
        least = np.where(np.isfinite(pull), pull, 0.0)
        step = np.minimum(np.minimum(least[1:], least[:-1]) * np.diff(x), 2 * far)
    for side in (0, 1):
        if math.isinf(diffusion.domain[side]):
            start = inward_from(x, f, side)
            outside = (x[:-1] > start) if side == 1 else (x[1:] < start)
            fall = np.where(outside, step, 0.0)
            if side == 1:
                beyond[1:] |= (np.cumsum(fall) > far) & (x[1:] > core)
            else:
                beyond[:-1] |= (np.cumsum(fall[::-1])[::-1] > far) & (x[:-1] < -core)
    return beyond


def at_inward_gates(
    diffusion: Diffusion, x: Array, zeros: Iterable[Any], core: float
) -> tuple[Any, Any] | None:
    """Ends of a domain beyond which all that is at infinite ends comes in, and nothing returns.

    At a zero of the variance the drift alone acts: where from there on it points inwards for ever,
    the process passes the zero once. `zeros` are those within `core`. None if there is no such end.
    """
    f, ends = diffusion.coefficients(x)[0], list(diffusion.domain)
    for side in (0, 1):
        if math.isinf(ends[side]):
            sign, start = (1 if side == 1 else -1), inward_from(x, f, side)
            if not sign * start < core:
                return None
            dense = np.sort(np.linspace(start, sign * core, SCAN)[1:])
            start = inward_from(dense, diffusion.coefficients(dense)[0], side)
            further = sorted(sign * z.lower for z in zeros if sign * z.lower > sign * start)
            if not further:
                return None
            ends[side] = sign * further[0]
    return ends[0], ends[1]
