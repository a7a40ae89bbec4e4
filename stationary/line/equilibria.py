"""The zeros of the drift: where they are, to rounding, and which of them attract."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from stationary.aliases import Array
from stationary.functions.rounding import ROUNDINGS, STEPS
from stationary.line.chart import CORE
from stationary.line.sampled import coefficients_at
from stationary.line.sampling import Sampling
from stationary.line.slopes import blurred, drift_and_slope
from stationary.numbers.arithmetic import DOUBLE
from stationary.numbers.elementary import (
    apart,
    as_array,
    compact,
    distinct,
    number,
    spacing,
    to_float,
)
from stationary.panels.roots import SignChanges, find_roots, runs_of, sign_changes, without_ripples
from stationary.process.known import HERE

NEWTON_STEPS = 12  # each doubles the digits: from 15 to beyond 10,000
SCAN = 30.0  # factor between the distances at which a root is tried
LINEAR = 1e-9  # of a panel: within it a drift is straight but for rounding
ALONE = 1.4  # times as far off may be what is known at one place as what adds up over many
AROUND = 17  # points from knot to knot at which the error of an interpolated drift is looked at
RUNGS = 30.0  # distances at which a root is tried, at most: from a spacing next to 0 to a panel
FINE, STRAIGHT = 1e-7, 1e-2  # of the largest: distances that tell powers of a drift from rounding
ALIKE = 0.02  # powers that differ by less are one


@dataclass(frozen=True)
class Equilibrium:
    """A zero of the drift."""

    position: float
    error: float  # of `place`, the position with all its digits
    stable: bool
    slope: float | None  # f' there [1 / time]; None where the drift jumps or has a corner
    slope_error: float = 0.0  # of it, absolute
    interval: tuple[float, float] | None = None  # where the drift vanishes on a whole stretch
    offset: float = 0.0  # what position leaves out of where the zero is
    exact_position: Any = None  # in many digits: all of them
    exact_slope: Any = None

    @property
    def place(self) -> Any:
        """The position with all the digits that were computed."""
        return self.position if self.exact_position is None else self.exact_position

    def in_doubles(self) -> Equilibrium:
        """The same with errors of position, offset and slope as the doubles that they are."""
        if self.exact_position is None:
            return self
        off = apart(self.exact_position - self.position, self.offset)
        of_slope = 0.0 if self.exact_slope is None else apart(self.exact_slope, self.slope)
        return dataclasses.replace(
            self, error=self.error + off, slope_error=self.slope_error + of_slope
        )

    def in_digits(self) -> Equilibrium:
        """The same with position and slope in many digits, where that is how they were found."""
        if self.exact_position is None:
            return self
        return dataclasses.replace(
            self, position=self.exact_position, slope=self.exact_slope, offset=0.0
        )


def equilibria_of(found: Sampling) -> tuple[Equilibrium, ...]:
    # Where slopes fall below all digits thousands of nodes are of another sign by rounding.
    kept = None if found.arithmetic is DOUBLE else partial(_significant, found)
    changes = sign_changes(found.panels, found.h, kept)
    changes = _confirmed(found, changes)
    keep = _significant(found, changes.x)
    if not len(keep):
        return ()
    roots, least = changes.x[keep], _least_stretch(found)
    left, right, stable = changes.left[keep], changes.right[keep], changes.downward[keep]
    flat = changes.stretch[keep] & (right - left > least)
    for low, high in _stretches_of_zeros(found):
        # Near the corners where a stretch begins rounding may change sign: the two are one.
        i = int(np.argmin(np.abs(np.clip(roots, low, high) - roots)))
        middle = (low + high) / 2
        if abs(found.climbs(np.sort(np.array([middle, roots[i]])))[0]) < 4504 * found.epsilon:
            flat[i], left[i], right[i], roots[i] = True, low, high, middle
    for _ in range(1 if found.arithmetic is DOUBLE else NEWTON_STEPS):
        value, slopes, _ = drift_and_slope(found, roots)
        with np.errstate(all="ignore"):
            # Newton's method on the drift itself; from the panels one step is all a double needs.
            better = roots - value / np.where(slopes == 0, math.nan, slopes)
        fits = ~flat & (better > left) & (better < right)
        moved = np.abs(better - roots)[fits]
        roots = np.where(fits, better, roots)
        if not (moved > spacing(roots[fits])).any():
            break
    k = found.panels.panel_of(roots)
    half = found.panels.half[k]
    step = np.maximum(4 * spacing(roots), 0.45 * found.arithmetic.grain * half)
    # Steps of a drift in fewer digits are no jumps of it.
    step = np.maximum(step, blurred(found.diffusion, roots, _looked_over(found, roots), slopes))
    before, after, distance = _around(found, roots, step, stable)
    doubtful = ~flat & ~((before[0] > 0) & (after[0] < 0))
    if doubtful.any():
        # A multiple root, or a corner: bracket it instead.
        low, high = left[doubtful], right[doubtful]
        roots[doubtful] = find_roots(lambda x: coefficients_at(found.diffusion, x)[0], low, high)
        slopes = drift_and_slope(found, roots)[1]
        before, after, distance = _around(found, roots, step, stable)
    # Across a jump the drift does not shrink with the step; at a zero it is slope * step.
    size, reach = np.maximum(np.abs(before), np.abs(after)), distance[-1]
    power = _powers(distance, size)
    cornered = size[0] * reach > np.maximum(1e-6 * reach, SCAN * step) * size.max(axis=0)
    cornered |= power < 1
    # The position is known to where the drift has the right sign on both sides, from there on.
    # Where it nowhere has, what changes its sign is the rounding of a drift small against a.
    wrong = ~((before > 0) & (after < 0))
    last_wrong = np.where(wrong.any(axis=0), len(wrong) - np.argmax(wrong[::-1], axis=0), 0)
    error = step * SCAN ** np.minimum(last_wrong, len(wrong) - 1)
    off, tilt = _unknown(found, roots)
    with np.errstate(all="ignore"):
        off = np.where(off > 0, off / np.abs(to_float(slopes)), 0.0)
    if found.arithmetic is DOUBLE and not found.diffusion.is_rounded:
        # Rounding moves a zero farther than it moves the change of sign: what is even there tells.
        near = step * SCAN ** np.arange(len(before))[:, None] < LINEAR * half
        with np.errstate(all="ignore"):
            even = np.where(near, np.abs(before + after) / 2, 0.0).max(axis=0) / np.abs(slopes)
        error = np.fmax(error, np.where(cornered, 0.0, ROUNDINGS * even))
    error = np.where(flat, (right - left) / 2, error + off)
    # Of the wrong sign beyond its panel: others are about, in what was not resolved.
    unseen = ~found.samples.resolved[k] & (error > 2 * half)
    real = flat | ~(unseen | wrong.all(axis=0))
    many = found.arithmetic is not DOUBLE
    smooth = ~(flat | cornered)
    slope_errors = np.where(smooth, tilt + _of_slopes(found, roots, error, smooth), 0.0)
    none = smooth & (power > 1)  # as far as differences tell, which come no closer
    slope_errors[none] += np.abs(to_float(slopes[none]))
    slopes[none] = 0 * slopes[none]
    return tuple(
        Equilibrium(
            position=float(roots[i]),
            error=compact(error[i]),
            stable=bool(stable[i]),
            slope=compact(slopes[i]) if smooth[i] else None,
            slope_error=float(slope_errors[i]),
            interval=(float(left[i]), float(right[i])) if flat[i] else None,
            offset=compact(roots[i] - float(roots[i])) if many else 0.0,
            exact_position=roots[i] if many else None,
            exact_slope=slopes[i] if many and smooth[i] else None,
        )
        for i in np.flatnonzero(real)
    )


def _looked_over(found: Sampling, roots: Array) -> Array:
    """How far around each root its drift is looked at: as far as a panel of a first look.

    Panels that rounding had halved are hardly wider than its steps; those that resolve the drift
    show by how much at most its own structure is finer.
    """
    k = found.panels.panel_of(roots)
    half = to_float(found.panels.half[k])
    lower, upper = found.diffusion.domain
    span = min(upper - lower, 2 * CORE) / found.diffusion.scan_panels
    gaps = np.diff(to_float(np.concatenate([[found.lower], roots, [found.upper]])))
    wide = np.minimum(np.minimum(gaps[:-1], gaps[1:]) / 4, span / 2)
    seen = np.where(found.samples.resolved[k], np.minimum(wide, half / STEPS[-1] ** 2), wide)
    return np.asarray(np.maximum(half, seen))


def _of_slopes(found: Sampling, roots: Array, error: Array, wanted: Array) -> Array:
    """The errors of the slopes: as they are computed, and by how far off the zeros may be."""
    at, off = roots[wanted], error[wanted]
    result = np.zeros(len(roots))
    if len(at):
        beside = np.clip(np.concatenate([at - off, at, at + off]), found.lower, found.upper)
        _, slopes, errors = drift_and_slope(found, beside)
        before, here, after = np.split(slopes, 3)
        change = np.maximum(np.abs(before - here), np.abs(after - here))
        result[wanted] = to_float(change + np.split(errors, 3)[1])
    return result


def _unknown(found: Sampling, roots: Array) -> tuple[Array, Array]:
    """How far a drift that was interpolated may be off at its zeros, and how far its slope.

    What is known of its error goes through zero between knots, too, where the error does not: it
    is at least as large as a wave from knot to knot as high as the largest around, between those
    next to each other where these are as close (errors grow with the square of the gap, or
    faster, but for jumps).
    """
    diffusion = found.diffusion
    if diffusion.uncertainty is None or not len(roots):
        return np.zeros(len(roots)), np.zeros(len(roots))
    at = to_float(roots)
    knots = distinct([diffusion.domain[0], *diffusion.breakpoints, diffusion.domain[1]])
    own, gaps = np.clip(np.searchsorted(knots, at) - 1, 0, len(knots) - 2), np.diff(knots)
    k = np.clip(own + np.array([[-1], [0], [1]]), 0, len(gaps) - 1)  # (3, roots)
    x = knots[k] + gaps[k] * np.linspace(0, 1, AROUND)[:, None, None]
    of_f = diffusion.uncertainty(x.ravel())[0].reshape(x.shape).max(axis=0)
    top = (of_f * np.minimum(gaps[own] / gaps[k], 1) ** 2).max(axis=0)
    to_knot = np.minimum(at - knots[own], knots[own + 1] - at) / gaps[own]
    wave = top * np.minimum(math.pi * to_knot, 1)
    off = HERE * np.maximum(ALONE * diffusion.uncertainty(at)[0], wave)
    return off, 2 * math.pi * HERE * top / gaps[own]


def _around(
    found: Sampling, roots: Array, step: Array, stable: Array
) -> tuple[Array, Array, Array]:
    """The drift before and after each root, at distances that grow from `step`, row by row.

    Turned so that it should be positive before and negative after; and the distances. Next to 0
    these are far smaller than what a drift that is not 0 there by itself is rounded to.
    """
    lower, upper = found.diffusion.domain
    far = min(upper - lower, 2 * CORE) / found.diffusion.scan_panels / 2
    near = max(float(to_float(step).min(initial=far)), far * SCAN**-RUNGS)
    count = max(11, math.ceil(math.log(far / near) / math.log(SCAN)))
    distance = step * SCAN ** np.arange(float(count))[:, None]
    # Half way to the next root at most: beyond that one the drift has the other sign again.
    between = np.concatenate([[found.lower], (roots[1:] + roots[:-1]) / 2, [found.upper]])
    x = np.clip(np.stack([roots - distance, roots + distance]), between[:-1], between[1:])
    f = coefficients_at(found.diffusion, x.ravel())[0].reshape(x.shape)
    before, after = np.where(stable, 1, -1) * f
    return before, after, as_array(np.abs(x - roots).max(axis=0))


def _powers(distance: Array, size: Array) -> Array:
    """The power of the distance that a drift is around each of its zeros; 1 where it is none.

    And where it is a whole one: a smooth drift has its slope from its derivative.
    """
    r, values = to_float(distance), to_float(size)
    with np.errstate(all="ignore"):
        p = np.diff(np.log(values), axis=0) / np.diff(np.log(r), axis=0)
    seen = np.isfinite(p) & (r[:-1] > FINE * r[-1]) & (r[1:] < STRAIGHT * r[-1])
    least = np.where(seen, p, math.inf).min(axis=0)
    most = np.where(seen, p, -math.inf).max(axis=0)
    told = (seen.sum(axis=0) > 1) & (most - least < ALIKE)
    power = np.where(told, least, 1.0)
    return np.where(np.abs(power - np.rint(power)) > ALIKE, power, 1.0)


def _stretches_of_zeros(found: Sampling) -> list[tuple[Any, Any]]:
    """Where the drift vanishes on whole panels."""
    p, still = found.panels, (found.samples.values[0] == 0).all(axis=0)
    every = [(number(p.lower[i]), number(p.upper[j - 1])) for i, j in runs_of(still)]
    return [(low, high) for low, high in every if high - low > _least_stretch(found)]


def _least_stretch(found: Sampling) -> float:
    """How wide at least a stretch without drift is: of 1 - exp(x) rounding leaves one at 0."""
    lower, upper = found.diffusion.domain
    return float(ROUNDINGS * found.arithmetic.epsilon * min(upper - lower, 2 * CORE))


def _confirmed(found: Sampling, changes: SignChanges) -> SignChanges:
    """The sign changes that the drift itself shows, where the panels could not resolve it."""
    if found.samples.resolved.all():
        return changes
    around = 20 * spacing(changes.x)  # a panel about a jump is 16 roundings wide
    # Also where the next panel ends: what it shows at its end is as much its ringing.
    k, beside = (found.panels.panel_of(changes.x + off) for off in (-around, around))
    unsure = ~(found.samples.resolved[k] & found.samples.resolved[beside])
    if not unsure.any():
        return changes
    if found.diffusion.is_rounded:  # within its steps a drift in fewer digits has no sign
        around = np.maximum(around, found.panels.half[k])
    left = np.minimum(changes.left, changes.x - around)
    right = np.maximum(changes.right, changes.x + around)
    sides = np.concatenate([left, right])
    before, after = np.split(np.sign(coefficients_at(found.diffusion, sides)[0]), 2)
    real = ~unsure | ((before != after) & ((before >= after) == changes.downward))
    # Of two in a row in the same direction only the first can be.
    direction = changes.downward[real]
    first = np.concatenate([[True], direction[1:] != direction[:-1]])
    chosen = np.flatnonzero(real)[first] if real.any() else np.flatnonzero(real)
    # Panels that resolve nothing show a row of changes about a jump: it is between both sides.
    changes = dataclasses.replace(
        changes,
        left=np.where(unsure, left, changes.left),
        right=np.where(unsure, right, changes.right),
    )
    return SignChanges(*(getattr(changes, f.name)[chosen] for f in dataclasses.fields(SignChanges)))


def _significant(found: Sampling, roots: Array) -> Array:
    """Which roots stay when pairs between which the exponent hardly rises are dropped.

    A root that a wall is no more apart from is the wall itself.
    """
    if not len(roots):
        return np.arange(0)
    ends = np.array([found.lower, found.upper], dtype=roots.dtype)
    points = np.concatenate([ends[:1], roots, ends[1:]])
    rises, noise = found.climbs(points), found.noise[found.panels.panel_of(points)]
    noise = np.maximum(noise[:-1], noise[1:])
    keep = without_ripples(rises[1:-1], noise[1:-1], fixed_ends=False)
    if found.diffusion.is_periodic:
        return keep
    for side in (0, 1):
        if not found.open_ends[side] and len(keep):
            to_wall = slice(keep[0] + 1) if side == 0 else slice(keep[-1] + 1, None)
            if abs(rises[to_wall].sum()) <= noise[to_wall].max():
                keep = np.delete(keep, -side)
    return keep
