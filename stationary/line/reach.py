"""How far in front of walls a process is sampled: no further than where anything is left of it."""

from __future__ import annotations

import math

import numpy as np

from stationary.functions.given import Boundary
from stationary.line.chart import CORE, Chart
from stationary.line.octaves import FALLEN, MARGIN
from stationary.line.sampled import NODES, sampled
from stationary.numbers.arithmetic import Arithmetic
from stationary.numbers.elementary import depth_of, finite, log
from stationary.panels.pieces import Samples
from stationary.process.diffusion import Diffusion

ROOM = 1.5  # times the way to where panels that are too coarse last see anything
FREE = (None, Boundary.REFLECTING, Boundary.NATURAL)  # ends that nothing needs to be known of


def within_reach(
    diffusion: Diffusion,
    opened: tuple[bool, bool],
    found: Samples,
    max_panels: int,
    strength: float,
) -> tuple[list[Samples], list[bool]]:
    """Panels that ran out, without those in front of walls where nothing is left, halved further.

    Nothing is left where the density has fallen by what is followed at most, whatever the drift
    is within what the panels lack of it, and the drift points away from the wall from there on.
    """
    free = [
        not is_open and boundary in FREE
        for is_open, boundary in zip(opened, diffusion.boundaries, strict=True)
    ]
    fallen = [False, False]
    while not found.resolved.all():
        half, log_a = (found.upper - found.lower) / 2, found.at_edges[1]
        rise = strength * found.integrals[0]
        lacks = 4 * strength * half * found.tails[0]  # of int h
        size = strength * half * np.abs(found.values[0]).max(axis=0) + lacks  # of a part of it
        less = (1 - diffusion.convention.value) * (log_a[0] + log_a[1]) / 2
        level, off = np.cumsum(rise) - rise / 2 - less, np.cumsum(lacks)
        peak = int(np.argmax(level))
        highest = level - level[peak] + np.abs(off - off[peak]) + size + size[peak]
        matters = ~(highest <= -(FALLEN + MARGIN))
        outwards = (found.values[0] <= 0).any(axis=0), (found.values[0] >= 0).any(axis=0)
        x, middle = (found.lower + found.upper) / 2, (found.lower + found.upper)[peak] / 2
        low, high = (
            ROOM * abs(x[np.flatnonzero(matters | out)[i]] - middle) if is_free else math.inf
            for i, out, is_free in zip((0, -1), outwards, free, strict=True)
        )
        inside = (x >= middle - low) & (x <= middle + high)
        if 2 * np.count_nonzero(inside) > len(x):
            break
        fallen = [fallen[0] or not inside[0], fallen[1] or not inside[-1]]
        found = found.only(inside)
        found = sampled(diffusion, found.lower, found.upper, max_panels, found)
    return [found], fallen


def core_in_reach(
    diffusion: Diffusion,
    opened: tuple[bool, bool],
    core: tuple[float, float],
    arithmetic: Arithmetic,
    strength: float,
) -> tuple[tuple[float, float], list[bool]]:
    """The core without what lies in front of walls and towards infinity, where nothing is left.

    From a scan: the density has fallen by what is followed at most, by the least that the drift
    ratio at both ends of each step says, and the drift points away from the wall from there on.
    Where gradients vanish like e^(-x^2), 2 f / a has thousands of e-folds on its way to a wall.
    """
    ends, fallen = list(core), [False, False]
    x = np.linspace(*core, diffusion.scan_panels + 1)
    inner = x[1:-1]
    f, a = diffusion.coefficients(arithmetic.array(inner), arithmetic)
    coarse = np.diff(x).min() <= len(x) ** 2 * np.spacing(np.abs(x).max())  # one step is cut again
    if coarse or not (finite(f).all() and finite(a).all() and (a > 0).all()):
        return core, fallen
    fine = np.linspace(*core, diffusion.scan_panels * NODES + 1)
    drift = diffusion.coefficients(fine)[0]
    h, log_a = 2 * strength * f / a, log(a)
    enough = max(FALLEN, depth_of(arithmetic) + MARGIN)
    for side in (0, 1):
        end = diffusion.domain[side]
        if (opened[side] and math.isfinite(end)) or diffusion.boundaries[side] not in FREE:
            continue
        outward = slice(None, None, -1 if side == 0 else 1)
        sign = -1 if side == 0 else 1
        back = np.flatnonzero(~np.asarray(sign * drift[outward] <= 0, dtype=bool))
        marks = [sign * b for b in diffusion.breakpoints]
        marks += [sign * x for x in fine[outward][back[-1:]]]
        if opened[side]:
            marks.append(sign * float(Chart.of(diffusion, side).anchor) + CORE / 128)
        seen = np.flatnonzero(sign * inner[outward] > max(marks, default=-math.inf))
        pull, level, at = -sign * h[outward][seen], log_a[outward][seen], inner[outward][seen]
        if len(seen) < 2 or not (pull > 0).all():
            continue
        least = np.minimum(pull[1:], pull[:-1]) * np.abs(np.diff(at))
        log_density = -np.cumsum(least) - (1 - diffusion.convention.value) * (level[1:] - level[0])
        low = np.asarray(log_density < -enough, dtype=bool)
        if low[-1] and low.any():
            first = len(low) - int(np.argmin(low[::-1])) if not low.all() else 0
            ends[side], fallen[side] = float(at[1:][first]), not opened[side]
    return (ends[0], ends[1]), fallen
