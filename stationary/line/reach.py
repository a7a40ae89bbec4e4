"""How far in front of walls a process is sampled: no further than where anything is left of it."""

from __future__ import annotations

import contextlib
import math

import numpy as np

from stationary.aliases import Array
from stationary.errors import StationaryError
from stationary.functions.given import Boundary
from stationary.line.chart import CORE, OCTAVES, Chart, middle_of
from stationary.line.octaves import FALLEN, MARGIN, depth_to_nothing
from stationary.line.sampled import (
    DIGITS,
    NODES,
    coefficients_at,
    nodes_between,
    open_ends,
    sampled,
)
from stationary.numbers.arithmetic import DOUBLE, Arithmetic, many_digits
from stationary.numbers.elementary import distinct, finite, log, to_float
from stationary.panels.pieces import Samples
from stationary.process.diffusion import Diffusion

OVERFLOWS = 1e60  # an octave before an exponential does: others have no values there at all
SMALLER = 4.0  # times, by which a scan leaves less than there was if another one is to see more
STEEP = 1e3  # e-folds of 2 f / a, some 30 panels, to be resolved on the way to where all gathers
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


def core_of(diffusion: Diffusion, opened: tuple[bool, bool]) -> tuple[float, float]:
    """The part of the domain that is scanned evenly."""
    lower, upper = diffusion.domain
    if math.isfinite(upper - lower):
        step = (upper - lower) / diffusion.scan_panels
        return lower + (step if opened[0] else 0.0), upper - (step if opened[1] else 0.0)
    if math.isfinite(lower):
        return lower + (CORE / 128 if opened[0] else 0.0), lower + _reach(diffusion, lower, 1)
    if math.isfinite(upper):
        return upper - _reach(diffusion, upper, -1), upper - (CORE / 128 if opened[1] else 0.0)
    middle = middle_of(diffusion)
    return middle - _reach(diffusion, middle, -1), middle + _reach(diffusion, middle, 1)


def _reach(diffusion: Diffusion, middle: float, sign: int) -> float:
    """How far an infinite side is scanned evenly: less far where exponentials overflow."""
    r = CORE * 2.0 ** -np.arange(OCTAVES // 2)
    with np.errstate(all="ignore"):
        f, a = coefficients_at(diffusion, middle + sign * r)
        last = int(np.argmax(np.isfinite(f) & np.isfinite(a)))
        grows = max(abs(f[last]), abs(a[last]), 1 / abs(a[last])) > OVERFLOWS
    return float(r[last]) if grows else CORE


def where_doubles_show(diffusion: Diffusion, x: Array) -> Diffusion | None:
    """The process without what lies at its ends where doubles show no variance; None if that is
    nothing, or may hold something.

    Nothing is left there where the drift points inwards at all of the points `x`, ascending, from
    where on the density has fallen by all that is followed: whatever the variance beyond may be.
    """
    f, a = diffusion.coefficients(x)
    shown = np.flatnonzero((a > diffusion.least_variance) & ~diffusion.is_lost(f, a))
    if len(shown) < 2:
        return None
    ends = list(diffusion.domain)
    for side, sign in enumerate((-1, 1)):
        outermost, beside = shown[::-sign][:2]
        beyond = slice(0, outermost + 1) if side == 0 else slice(outermost, None)
        if len(x[beyond]) < 2:
            continue
        pull = np.min(-sign * f[[outermost, beside]]) / np.max(a[[outermost, beside]])
        fall = 2 * pull * abs(x[outermost] - x[beside])
        free = diffusion.boundaries[side] in FREE
        if free and fall > depth_to_nothing(DOUBLE) and (sign * f[beyond] < 0).all():
            ends[side] = float(x[outermost])
    if ends == [*diffusion.domain]:
        return None
    return diffusion.restricted(ends[0], ends[1])


def with_the_law(diffusion: Diffusion, x: Array) -> Array:
    """Points of a scan, ascending, and even ones where anything is left, which may be narrower
    than a step of it: none next to a point of the scan, where a zero may have been met exactly."""
    if diffusion.affords_digits:
        with contextlib.suppress(StationaryError, OverflowError):
            lower, upper = diffusion.once("core", lambda: _core_in_digits(diffusion))
            count = diffusion.scan_panels * NODES
            more = np.linspace(lower, upper, count + 1)[1:-1]
            k = np.clip(np.searchsorted(x, more), 1, len(x) - 1)
            apart = np.minimum(np.abs(more - x[k - 1]), np.abs(more - x[k]))
            return distinct(x, more[apart > (upper - lower) / count / 4])
    return x


def _core_in_digits(diffusion: Diffusion) -> tuple[float, float]:
    many = many_digits(DIGITS[0])
    opened = open_ends(diffusion, many)
    core, middle = core_of(diffusion, opened), middle_of(diffusion)
    if middle:  # one place of several, maybe, of a law as wide as it is far from 0
        core = min(core[0], 0.0, 2 * middle), max(core[1], 0.0, 2 * middle)
    return core_in_reach(diffusion, opened, core, many, 1.0)[0]


def core_in_reach(
    diffusion: Diffusion,
    opened: tuple[bool, bool],
    core: tuple[float, float],
    arithmetic: Arithmetic,
    strength: float,
) -> tuple[tuple[float, float], list[bool]]:
    """The core without what lies in front of walls and towards infinity, where nothing is left.

    Where gradients vanish like e^(-x^2), 2 f / a has thousands of e-folds on its way to a wall.
    Each scan sees on its own length; what it leaves is scanned again until it leaves no less.
    Where all gathers at an end scans never arrive, and go on only while 2 f / a is too steep.
    """
    core, fallen = _with_turns(diffusion, core, arithmetic), [False, False]
    endless = _gathers_at_an_end(diffusion, opened, core, arithmetic)
    while True:
        nearer, cut, folds = _scanned(diffusion, opened, core, arithmetic, strength)
        fallen = [fallen[0] or cut[0], fallen[1] or cut[1]]
        arrived = SMALLER * (nearer[1] - nearer[0]) > core[1] - core[0]
        if arrived or (endless and not folds > STEEP):
            return (nearer[0], nearer[1]), fallen
        for side, end in enumerate(diffusion.domain):
            if opened[side] and math.isfinite(end):  # approached in proportion to the rest
                step = abs(nearer[1 - side] - end) / diffusion.scan_panels
                nearer[side] = end + step if side == 0 else end - step
        core = nearer[0], nearer[1]


def _gathers_at_an_end(
    diffusion: Diffusion,
    opened: tuple[bool, bool],
    core: tuple[float, float],
    arithmetic: Arithmetic,
) -> bool:
    """Whether the drift leads into a singular end from everywhere: scans would never arrive."""
    scan = np.linspace(*core, diffusion.scan_panels + 1)[1:-1]
    for side, sign in enumerate((-1, 1)):
        if opened[side] and math.isfinite(diffusion.domain[side]):
            chart = Chart.of(diffusion, side, arithmetic)
            x = chart.onwards(arithmetic.array([core[side]])[0], np.arange(float(OCTAVES)))
            f, a = diffusion.coefficients(np.concatenate([arithmetic.array(scan), x]), arithmetic)
            known = finite(f) & finite(a)
            if known.any() and np.asarray(sign * f[known] > 0, dtype=bool).all():
                return True
    return False


def _with_turns(
    diffusion: Diffusion, core: tuple[float, float], arithmetic: Arithmetic
) -> tuple[float, float]:
    """The core with what lies out to where the drift points inwards for good, if it ever does."""
    ends = list(core)
    for side, sign in enumerate((-1, 1)):
        if math.isinf(diffusion.domain[side]):
            x = Chart.of(diffusion, side).onwards(core[side], np.arange(float(OCTAVES)))
            f, a = diffusion.coefficients(arithmetic.array(x), arithmetic)
            known = finite(f) & finite(a)
            known = known if known.all() else np.arange(len(x)) < int(np.argmin(known))
            out = np.flatnonzero(~np.asarray(sign * f[known] < 0, dtype=bool))
            if len(out) and out[-1] + 1 < np.count_nonzero(known):
                ends[side] = float(x[out[-1] + 1])
    return ends[0], ends[1]


def _scanned(
    diffusion: Diffusion,
    opened: tuple[bool, bool],
    core: tuple[float, float],
    arithmetic: Arithmetic,
    strength: float,
) -> tuple[list[float], list[bool], float]:
    """The core as far as one scan of it sees anything, and at which walls it then ends short.

    Nothing is left where the density has fallen by what is followed at most, by the least that the
    drift ratio at both ends of each step says, and the drift points inwards from there on. Also the
    e-folds that the drift ratio varies by in what is left.
    """
    ends, fallen = list(core), [False, False]
    even = np.linspace(*core, diffusion.scan_panels + 1)
    room = len(even) ** 2 * np.spacing(np.abs(even).max())  # one step is cut again
    coarse = np.diff(even).min() <= room
    step = np.spacing(np.abs(even).max())
    sides = np.array([b + side for b in diffusion.breakpoints for side in (-step, step)])
    x = distinct(even, sides[(sides > core[0]) & (sides < core[1])])
    inner = x[1:-1]
    f, a = diffusion.coefficients(arithmetic.array(inner), arithmetic)
    if coarse or not (finite(f).all() and finite(a).all() and (a > 0).all()):
        return ends, fallen, 0.0
    fine = nodes_between(x)
    drift = diffusion.coefficients(fine)[0]
    h, log_a = 2 * strength * f / a, log(a)
    enough = depth_to_nothing(arithmetic)
    for side in (0, 1):
        end = diffusion.domain[side]
        if (opened[side] and math.isfinite(end)) or diffusion.boundaries[side] not in FREE:
            continue
        sign = (-1, 1)[side]
        outward = slice(None, None, sign)
        outer = even[outward]
        turns = []
        for points, values in ((fine, drift), (inner, f)):
            back = np.flatnonzero(~np.asarray(sign * values[outward] <= 0, dtype=bool))
            turns += [sign * x for x in points[outward][back[-1:]]]
        if opened[side]:
            turns.append(sign * float(Chart.of(diffusion, side).anchor))
        seen = np.flatnonzero(sign * inner[outward] > max(turns, default=-math.inf))
        pull, level, at = -sign * h[outward][seen], log_a[outward][seen], inner[outward][seen]
        if len(seen) < 2 or not (pull > 0).all():
            continue
        least = np.minimum(pull[1:], pull[:-1]) * np.abs(np.diff(at))
        log_density = -np.cumsum(least) - (1 - diffusion.convention.value) * (level[1:] - level[0])
        low = np.asarray(log_density < -enough, dtype=bool)
        if low[-1] and low.any():
            first = len(low) - int(np.argmin(low[::-1])) if not low.all() else 0
            ends[side] = float(outer[sign * outer >= sign * at[1 + first]][0])
            fallen[side] = not opened[side]
    left = h[(inner >= ends[0]) & (inner <= ends[1]) & np.asarray(h != 0, dtype=bool)]
    folds = float(to_float(np.ptp(log(abs(left))))) if len(left) else 0.0
    return ends, fallen, folds
