"""`sampling`: sample 2 f / a and log a over the domain, as far out as its ends decide anything.

At an end of the kind that only the process itself can settle (infinite, or one where the
variance vanishes) the panels are dyadic in the distance r: 60 octaves out or in, further where
2 f / a has not become a power of r by then, and less far where the density has fallen by e^-750
and a look at the drift beyond says that it only falls on. What lies beyond is left to the
exponents of f and a there, which `anatomy` finds.
"""

from __future__ import annotations

import contextlib
import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stationary.errors import LandscapeError, StationaryError
from stationary.functions.given import Boundary
from stationary.functions.rounding import Rounding
from stationary.line.chart import Chart
from stationary.numbers.arithmetic import DOUBLE, Arithmetic, many_digits
from stationary.numbers.chebyshev import Rule, chebyshev_sum, rule
from stationary.numbers.elementary import (
    arithmetic_of,
    as_array,
    depth_of,
    finite,
    log,
    number,
    spacing,
    sqrt,
    to_float,
)
from stationary.panels.pieces import Panels, Samples, sample, sums_between
from stationary.process.diffusion import Diffusion
from stationary.process.known import SPREAD

__all__ = [
    "NODES",
    "Sampling",
    "VanishingVarianceError",
    "coefficients_at",
    "first_look",
    "is_essential",
    "nodes_in",
    "sampled",
    "sampling",
    "usable",
]

Array = NDArray[Any]

NODES = 20  # of a panel of doubles
NODES_PER_DIGIT = 1.5  # of many: 2 f / a ~ 1 / r is then resolved on a whole octave
BESIDE = 2.0**-10  # of a panel: an edge as near to a breakpoint as this is dropped
CORE = 16.0  # where an infinite domain is scanned evenly: this far from its finite end or from 0
OCTAVES = 60  # of r, outwards at an infinite end and inwards at a singular one; for doubles
WORK = 2 * 10**8  # datapoints times points that a sampling may evaluate
GRADES = 60  # halvings towards the origin of an infinite domain, whose scale is not known
SLOW_OCTAVES = 900  # where r 2 f / a still changes after that many
FIRST = 3  # octaves at first, then twice as many each time up to BATCH
BATCH = 12  # octaves that are sampled at once before looking whether more are needed
FALLEN = 750.0  # exp(-750) is below the smallest double
SILENCE = 1e-300  # so that no noise is zero
MARGIN = 100.0  # by which sampling goes deeper than any mass is followed
STEEP = 4.0  # e-folds of the density in an octave: more than a power that matters
ESSENTIAL = 300.0  # e-folds of r 2 f / a within an octave, or half of one
MANY = 2000  # datapoints, to evaluate in many digits
HEADROOM = 2.0**40
DISTANCE_DIGITS = (
    33  # of f and a next to an end: twice those of doubles, so that x - e has them all
)
ENOUGH = 60  # digits in which a variance that doubles call zero is looked at
FREE = (None, Boundary.REFLECTING, Boundary.NATURAL)  # ends that nothing needs to be known of


class VanishingVarianceError(LandscapeError):
    """A sampling came to a place where the variance is zero, or too small for the arithmetic."""

    def __init__(self, message: str, near: float) -> None:
        super().__init__(message)
        self.near = near


@dataclass(frozen=True, eq=False, repr=False)
class Sampling:
    """What was sampled. `h` is 2 f / a, `ell` is log a; both per panel of `panels`."""

    diffusion: Diffusion
    samples: Samples
    open_ends: tuple[bool, bool]  # ends that the process itself settles
    fallen: tuple[bool, bool]  # whether sampling stopped because the density was negligible
    lower: Any  # where sampling stopped
    upper: Any
    arithmetic: Arithmetic = DOUBLE

    def __repr__(self) -> str:
        return (
            f"<{type(self).__name__} of {self.diffusion.name!r}: {len(self.samples.lower)} panels>"
        )

    @cached_property
    def rule(self) -> Rule:
        return rule(len(self.h), self.arithmetic)

    @property
    def epsilon(self) -> Any:
        return self.arithmetic.epsilon

    @cached_property
    def interval(self) -> tuple[Any, Any]:
        """The ends of the domain, as numbers of the arithmetic."""
        ends = []
        for side, reached in enumerate((self.lower, self.upper)):
            end = number(self.diffusion.end(side, self.arithmetic))
            # Panels reach up to a wall, which need not be a double.
            at_wall = not self.open_ends[side] and float(reached) == self.diffusion.domain[side]
            ends.append(reached if at_wall else end)
        return ends[0], ends[1]

    @cached_property
    def panels(self) -> Panels:
        return Panels(np.append(self.samples.lower, self.samples.upper[-1:]))

    @property
    def h(self) -> Array:
        return self.samples.coefficients[0]

    @property
    def ell(self) -> Array:
        return self.samples.coefficients[1]

    @cached_property
    def climb(self) -> tuple[Array, Array]:
        """int h from the left edge of each panel, as coefficients, and over the whole of it."""
        r, half = self.rule, self.panels.half
        return half * (r.antiderivative @ self.h), half * (r.integral @ self.h)

    @cached_property
    def climb_errors(self) -> Array:
        """The error of int h over each panel: what was cut off, and what rounding takes.

        Where drift or variance lose digits themselves that is noise, which the tails show.
        """
        s, half = self.samples, self.panels.half
        rounding = self.arithmetic.grain * np.abs(s.values[0]).mean(axis=0)
        return as_array(half * (4 * s.tails[0] + rounding))

    @cached_property
    def unknown(self) -> tuple[Array, Array]:
        """What is not known of the process: of int h over each panel, and of log a on it.

        Errors of one sign last from one knot to the next, and are then of another: the squares of
        those of int h add up, from panel to panel. Shape (panels,) each.
        """
        bounds, p, r = self.diffusion.uncertainty, self.panels, self.rule
        if bounds is None:
            return np.zeros(len(p.half)), np.zeros(len(p.half))
        half = to_float(p.half)
        x = to_float(p.lower) + half * (1 + to_float(r.nodes)[:, None])
        of_f, of_a = (e.reshape(x.shape) for e in bounds(x.ravel()))
        relative = of_a / np.exp(to_float(self.samples.values[1]))
        of_h = 2 * of_f / np.exp(to_float(self.samples.values[1]))
        of_h += np.abs(to_float(self.samples.values[0])) * relative
        step = 2 * half * of_h.mean(axis=0)
        knot = np.searchsorted(self.diffusion.breakpoints, x[0])
        before = np.cumsum(step) - step
        start = before[np.searchsorted(knot, knot)]  # of the panels between the same two knots
        squares = (before + step - start) ** 2 - (before - start) ** 2
        return SPREAD**2 * squares, relative.max(axis=0)

    @cached_property
    def noise(self) -> Array:
        """A rise of int h below this, within a panel, is rounding."""
        return 8 * self.climb_errors + SILENCE

    def climbs(self, points: Array) -> Array:
        """int h between consecutive points, right relative to itself.

        Differences of `phi` would not be, where `phi` is large.
        """
        inside, rise = self.climb
        k, t = self.panels.locate(points)
        part = chebyshev_sum(inside, t, k)
        return as_array(sums_between(rise, k[:-1], k[1:]) - part[:-1] + part[1:])

    def quieter(self, x: Array) -> tuple[Array, Array]:
        """The panel in which to read values at each point, and where in it, from -1 to 1.

        Where the variance jumps at the point itself, that is the one on the quieter side: there
        the density is the greater.
        """
        p, near = self.panels, 4 * spacing(x)
        k, t = p.locate(x)
        if ((x - near > p.lower[k]) & (x + near < p.upper[k]) & self.samples.resolved[k]).all():
            return k, t
        size = np.maximum(np.abs(p.lower), np.abs(p.upper))
        sound = self.samples.resolved | (p.half > 32 * self.arithmetic.grain * size)
        if not sound.any():
            return p.locate(x)
        index = np.arange(len(sound))
        before = np.maximum.accumulate(np.where(sound, index, -1))[p.locate(x - near)[0]]
        after = np.where(sound, index, len(sound))[::-1]
        after = np.minimum.accumulate(after)[::-1][p.locate(x + near)[0]]
        sides = [np.where(before < 0, after, before), np.where(after == len(sound), before, after)]
        places = [
            np.minimum(np.maximum(((x - p.lower[k]) - (p.upper[k] - x)) / (2 * p.half[k]), -1), 1)
            for k in sides
        ]
        ell = [chebyshev_sum(self.ell, t, k) for k, t in zip(sides, places, strict=True)]
        left = np.asarray(ell[0] < ell[1], dtype=bool)
        return np.where(left, sides[0], sides[1]), np.where(left, places[0], places[1])

    @cached_property
    def phi(self) -> Array:
        """int h, as coefficients (n + 1, panels); zero at the panel where the density peaks."""
        return self.potential(1, 1 - self.diffusion.convention.value)

    def potential(self, s: Any, k: float) -> Array:
        """Phi = int h, as coefficients (n + 1, panels); zero where e^(s Phi) a^-k peaks."""
        inside, rise = self.climb[0].copy(), self.climb[1]
        start, lowered = inside[0].copy(), k * self.ell[0]
        wide: Any = np.longdouble if rise.dtype == float else object
        peak = int(np.argmax(s * np.cumsum(rise) - lowered))  # a first guess, blurred or not
        for _ in range(len(rise)):
            # Summed outwards from the peak, so that rounding is least where the density is
            # greatest; far from the first guess the sum may be too blurred to see the peak.
            right = np.cumsum(rise[peak:-1], dtype=wide)
            left = -np.cumsum(rise[:peak][::-1], dtype=wide)[::-1]
            inside[0] = start + np.concatenate([left, [0.0], right])
            found = int(np.argmax(s * inside[0] - lowered))
            if found == peak:
                break
            peak = found
        return inside

    @property
    def resolution(self) -> float:
        """The largest gap between neighbouring samples, relative to the domain (or distance)."""
        p = self.panels
        lower, upper = self.diffusion.domain
        if math.isfinite(upper - lower):
            span: Any = upper - lower
        else:
            span = np.maximum(np.maximum(np.abs(p.lower), np.abs(p.upper)), CORE)
        return float((p.half * (math.pi / self.rule.n) / span).max())


def nodes_in(arithmetic: Arithmetic) -> int:
    """How many nodes a panel has."""
    if arithmetic is DOUBLE:
        return NODES
    return 2 * max(NODES, math.ceil(NODES_PER_DIGIT / 2 * arithmetic.accuracy))


def coefficients_at(diffusion: Diffusion, x: Array) -> tuple[Array, Array]:
    """f and a at the points x, in their arithmetic."""
    return diffusion.coefficients(x, arithmetic_of(x))


def sampling(
    diffusion: Diffusion,
    max_panels: int = 4000,
    *,
    complete: bool = False,
    arithmetic: Arithmetic = DOUBLE,
    strength: float = 1.0,
    look: Samples | None = None,
) -> Sampling:
    """Sample the process over its domain; `look` is what `first_look` saw of it.

    `strength` is the least power of e^Phi that will be asked for: how far out there is anything.

    `complete` goes on towards open ends where the density has fallen to nothing, too.

    Raises
    ------
    LandscapeError
        If the drift or variance is not finite, or the variance is negative or vanishes, at a
        point inside the domain.
    """
    n = nodes_in(arithmetic)
    max_panels = min(max_panels, max(200, WORK // ((n + 2) * diffusion.cost)))
    opened = _open_ends(diffusion, arithmetic)
    core, fallen = _core(diffusion, opened), [False, False]
    if arithmetic is not DOUBLE and not complete:
        core, fallen = _in_reach(diffusion, opened, core, arithmetic, strength)
    if look is None:
        edges = _first_edges(diffusion, core, arithmetic)
        for side, i in enumerate((0, -1)):
            if not opened[side] and not fallen[side]:
                edges[i] = diffusion.end(side, arithmetic)
        pieces = [sampled(diffusion, edges[:-1], edges[1:], max_panels)]
    else:
        pieces = [sampled(diffusion, look.lower, look.upper, max_panels, look)]
    for side, is_open in enumerate(opened):
        if is_open:
            pieces, fallen[side] = _grown(diffusion, pieces, side, max_panels, complete, strength)
    samples = Samples.joined(pieces)
    found = Sampling(
        diffusion,
        samples,
        opened,
        (fallen[0], fallen[1]),
        lower=number(samples.lower[0]),
        upper=number(samples.upper[-1]),
        arithmetic=arithmetic,
    )
    return found


def first_look(diffusion: Diffusion) -> Samples | None:
    """The first panels of a sampling in doubles, none of them halved yet.

    None where that is not a process: the variance vanishes, or is lost, at some of their points.
    """
    with contextlib.suppress(LandscapeError):
        core = _core(diffusion, _open_ends(diffusion, DOUBLE))
        edges = _first_edges(diffusion, core, DOUBLE)
        return sampled(diffusion, edges[:-1], edges[1:], 0)
    return None


def _first_edges(diffusion: Diffusion, core: tuple[float, float], arithmetic: Arithmetic) -> Array:
    """The ends of the panels that a sampling begins with."""
    (lower, upper), (start, stop), n = diffusion.domain, core, nodes_in(arithmetic)
    # Where panels have more nodes fewer of them give the same view.
    edges = np.linspace(start, stop, max(4, math.ceil(diffusion.scan_panels * NODES / n)) + 1)
    if math.isinf(upper - lower):
        # With no length to go by, look at every scale around the point distances count from.
        zero = Chart.of(diffusion, 1 if math.isinf(upper) else 0).anchor
        grades = GRADES if diffusion.scan_panels >= 64 else 10
        graded = CORE * 2.0 ** -np.arange(4.0, 4 + grades, max(1, n // NODES))
        graded = graded[graded > 2.0**-26 * abs(zero)]  # a double knows no less beside zero
        graded = np.concatenate([-graded, graded])
        edges = np.union1d(edges, [x for x in float(zero) + graded if start < x < stop])
    extra = np.array([b for b in diffusion.breakpoints if start < b < stop])
    if len(extra):
        # Beside a breakpoint no edge of our own is wanted, least of all by a rounding.
        widths = np.diff(edges)
        apart = np.abs(edges[1:-1, None] - extra).min(axis=1)
        own = apart > BESIDE * np.minimum(widths[1:], widths[:-1])
        edges = np.union1d(edges[np.concatenate([[True], own, [True]])], extra)
    return arithmetic.array(edges)


def _open_ends(diffusion: Diffusion, arithmetic: Arithmetic) -> tuple[bool, bool]:
    """Whether each end is infinite or a singular point, rather than a wall."""
    found: tuple[bool, bool] = diffusion.once(
        ("open", arithmetic.name), lambda: _seen_as_open(diffusion, arithmetic)
    )
    return found


def _seen_as_open(diffusion: Diffusion, arithmetic: Arithmetic) -> tuple[bool, bool]:
    known = [
        math.isinf(end) or exact is not None
        for end, exact in zip(diffusion.domain, diffusion.exact_ends, strict=True)
    ]
    sides = [side for side in (0, 1) if not known[side]]
    if not sides:
        return known[0], known[1]
    ends = arithmetic.array([diffusion.end(side, arithmetic) for side in sides])
    least = _least_variance(diffusion, arithmetic)
    f, a = diffusion.coefficients(ends, arithmetic)
    for i, side in enumerate(sides):
        if finite(a)[i] and 0 <= a[i] <= least and _is_tiny(diffusion, side):
            raise _vanishing(diffusion, *(to_float(v[i : i + 1]) for v in (ends, a)))
        known[side] = not (finite(f)[i] and finite(a)[i] and a[i] > least)
    return known[0], known[1]


def _is_tiny(diffusion: Diffusion, side: int) -> bool:
    """Whether the variance at an end is positive after all, though too small for a double."""
    if diffusion.cost > MANY:
        return False
    many = many_digits(ENOUGH, ENOUGH // 4)
    try:
        a = diffusion.coefficients(many.array([diffusion.end(side, many)]), many)[1]
    except (StationaryError, OverflowError):
        return False
    return bool(many.isfinite(a)[0] and a[0] > 0)


def _least_variance(diffusion: Diffusion, arithmetic: Arithmetic) -> float:
    return diffusion.least_variance if arithmetic is DOUBLE else 0.0


def _core(diffusion: Diffusion, opened: tuple[bool, bool]) -> tuple[float, float]:
    """The part of the domain that is scanned evenly."""
    lower, upper = diffusion.domain
    if math.isinf(lower) and math.isinf(upper):
        return -CORE, CORE
    if math.isinf(upper):
        return (lower + (CORE / 128 if opened[0] else 0.0), lower + CORE)
    if math.isinf(lower):
        return (upper - CORE, upper - (CORE / 128 if opened[1] else 0.0))
    step = (upper - lower) / diffusion.scan_panels
    return lower + (step if opened[0] else 0.0), upper - (step if opened[1] else 0.0)


def _in_reach(
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


def sampled(
    diffusion: Diffusion,
    lower: Array,
    upper: Array,
    max_panels: int,
    begun: Samples | None = None,
    sharp: tuple[tuple[float, float], ...] = (),
) -> Samples:
    """2 f / a and log a on panels, in their arithmetic; `begun` is what is known on these.

    Within the distances `sharp` of some points doubles do with values that many digits gave.
    """
    arithmetic = arithmetic_of(lower)

    smallest = _least_variance(diffusion, arithmetic)
    blurred: tuple[tuple[float, float], ...] = ()
    if arithmetic is DOUBLE:
        blurred = (*diffusion.once("blurred", lambda: _blurred_ends(diffusion)), *sharp)

    def logarithms(x: Array) -> tuple[Array, Array]:
        f, a = diffusion.coefficients(x, arithmetic)
        for at, reach in blurred:
            near = np.abs(x - at) < reach
            if near.any():
                many = many_digits(DISTANCE_DIGITS)
                exact = diffusion.coefficients(many.array(x[near]), many)
                f, a = f.copy(), a.copy()
                f[near], a[near] = map(to_float, exact)
        if not (a > smallest).all() or not (finite(f).all() and finite(a).all()):
            diffusion.check(*map(to_float, (x, f, a)))
            raise _vanishing(diffusion, to_float(x), to_float(a))
        with np.errstate(over="ignore"):
            return 2 * f / a, log(a)

    # Next to a zero of the variance that is not known yet, 2 f / a leaves the range of doubles.
    with np.errstate(over="ignore", invalid="ignore"):
        return sample(
            logarithms,
            lower,
            upper,
            weights=(True, False),
            n=nodes_in(arithmetic),
            arithmetic=arithmetic,
            max_panels=max_panels,
            floor=_floor(*diffusion.rounding) if diffusion.is_rounded else None,
            begun=begun,
        )


def _blurred_ends(diffusion: Diffusion) -> tuple[tuple[float, float], ...]:
    """Singular ends next to which doubles lose the distance to them, and how far that is felt.

    At x = e + r a function of x - e may be off by epsilon |e| / r in proportion, unless it takes
    the difference of two doubles as it is. The points are doubles in any case; more digits in
    between are all it takes.
    """
    found = []
    for side, inside in ((0, 1), (1, -1)):
        end = diffusion.domain[side]
        known = end == 0 or math.isinf(end) or diffusion.cost > MANY or diffusion.is_rounded
        if known or not _open_ends(diffusion, DOUBLE)[side]:
            continue
        # With all bits in use, so that no rounding is left out by chance.
        x = end + inside * abs(end) * (math.pi / 3) * 2.0 ** -np.arange(10.0, 27.0)
        x = x[(x > diffusion.domain[0]) & (x < diffusion.domain[1])]
        if not len(x):
            continue
        many = many_digits(DISTANCE_DIGITS)
        try:
            exact = diffusion.coefficients(many.array(x), many)
        except (StationaryError, OverflowError):
            continue
        lost = 0.0
        with np.errstate(all="ignore"):
            blur = 2.0**-52 * abs(end) / np.abs(x - end)
            for rough, sharp in zip(diffusion.coefficients(x), exact, strict=True):
                off = np.abs(rough / to_float(sharp) - 1) / blur
                lost = max(lost, float(np.max(off[np.isfinite(off)], initial=0.0)))
        if lost > 0.01:
            found.append((end, min(lost, 1.0) * abs(end) / 64))
    return tuple(found)


def _floor(*rounding: Rounding | None) -> Any:
    """How coarse h = 2 f / a and log a are where f and a are rounded.

    Relative to f that is the unit and the floor of `Rounding`, and the floor times x f' / f, where
    2 f' / a = h' + h (log a)'; likewise of a. Where nothing is known of a but that it is positive,
    h still has the sign of f.
    """
    (unit_f, floor_f, step_f), (unit_a, floor_a, step_a) = (
        (0.0, 0.0, 0.0) if r is None else (r.unit + r.floor, r.floor, r.step) for r in rounding
    )

    def floor(
        x: Array, values: tuple[Array, ...], slopes: tuple[Array, ...]
    ) -> tuple[Array, Array]:
        h, a = np.abs(values[0]), np.exp(values[1])
        of_log_a = unit_a + floor_a * np.abs(x * slopes[1]) + step_a / a
        of_h = unit_f * h + floor_f * np.abs(x * (slopes[0] + values[0] * slopes[1]))
        of_h += 2 * step_f / a + h * np.minimum(of_log_a, 1)
        return of_h.mean(axis=0), of_log_a.max(axis=0)

    return floor


def _vanishing(diffusion: Diffusion, x: Array, a: Array) -> VanishingVarianceError:
    """What to say of a variance that is zero at some of the points x."""
    v, zero = diffusion.variable, a == 0
    if zero.all() and len(x) > 1:
        return VanishingVarianceError(
            f"{diffusion.name}: the variance is zero everywhere in the domain, so there is no "
            "noise: the process follows its drift to the nearest stable equilibrium. (For losses: "
            "all datapoints have the same gradient.)",
            float(x[0]),
        )
    order = np.argsort(x)
    x, zero = x[order], zero[order]
    first = int(np.argmax(zero))
    last = first + int(np.argmin(np.append(zero[first:], False))) - 1
    if last > first:
        where = f"on a stretch of the domain, from about {v} = {x[first]:.6g} to {x[last]:.6g}"
    else:
        where = f"inside the domain, near {v} = {x[first]:.9g}"
    return VanishingVarianceError(
        f"{diffusion.name}: the variance vanishes {where} (or is too small for a double). There "
        "the process falls into parts; choose a domain on which it is positive.",
        float(x[first]),
    )


def _grown(
    diffusion: Diffusion,
    pieces: list[Samples],
    side: int,
    max_panels: int,
    complete: bool,
    strength: float,
) -> tuple[list[Samples], bool]:
    """`pieces` (left to right) extended octave by octave towards an open end.

    Also whether this ended because the density had become negligible.
    """
    here = pieces[0].lower[0] if side == 0 else pieces[-1].upper[-1]
    arithmetic = arithmetic_of(here)
    end, chart = number(diffusion.end(side, arithmetic)), Chart.of(diffusion, side, arithmetic)
    anchor, outward = chart.anchor, chart.outward
    octaves, enough = SLOW_OCTAVES, OCTAVES
    cuts = np.array([0.0, 0.5])  # of an octave
    if arithmetic is not DOUBLE:
        # Corrections to a power are known to first order in r (or 1 / r).
        enough = math.ceil(arithmetic.accuracy * math.log2(10) / 2) + 8
        octaves, cuts = max(octaves, 2 * enough), cuts[:1]
    if not outward and end != 0:
        # Near an end at e, a double knows x - e to about 1e-16 e only.
        least = math.sqrt(diffusion.grain) if arithmetic is DOUBLE else sqrt(arithmetic.grain)
        octaves = max(2, math.floor(math.log2(chart.distance(here) / (least * abs(end)))))
    done, batch = 0, FIRST
    while True:
        log_mass = _log_mass_inwards(diffusion, pieces, anchor, side, strength)
        fallen = not complete and _has_fallen(log_mass, outward)
        if fallen and _falls_on(diffusion, here, chart, end):
            return pieces, True
        if done >= octaves or (done >= enough and _is_a_power(pieces, anchor, side)):
            return pieces, False
        count = min(batch, octaves - done)
        batch = min(2 * batch, BATCH)
        x = chart.onwards(here, np.append(np.add.outer(np.arange(count), cuts), float(count)))
        x[0] = here
        known = usable(diffusion, x)
        if known < 2:
            x = _last_usable(diffusion, here, x[1]) if outward else x[:1]
            known = len(x)
            count = 0
        if known < 2:
            return pieces, False
        if not outward:
            # (Doubles have few octaves, and exponents may have to be read from them.)
            essential = is_essential(diffusion, x[: 2 if arithmetic is DOUBLE else known], anchor)
            if essential[0]:
                return pieces, False
            known = 1 + int(np.argmax(essential)) if essential.any() else known
        ordered = np.sort(x[:known])
        extra = [b for b in diffusion.breakpoints if ordered[0] < b < ordered[-1]]
        if extra:
            ordered = np.union1d(ordered, arithmetic.array(extra))
        piece = sampled(diffusion, ordered[:-1], ordered[1:], max(200, max_panels // 8))
        pieces = [piece, *pieces] if side == 0 else [*pieces, piece]
        here = number(x[known - 1])
        done += count
        lost = outward and not piece.resolved.any()  # it oscillates faster than can be followed
        if count == 0 or lost:
            log_mass = _log_mass_inwards(diffusion, pieces, anchor, side, strength)
            fallen = _has_fallen(log_mass, outward)
            return pieces, fallen and _falls_on(diffusion, here, chart, end)


def is_essential(diffusion: Diffusion, x: Array, anchor: Any) -> Array:
    """Whether r 2 f / a changes by more from each point to the next than panels could follow."""
    f, a = coefficients_at(diffusion, x)
    with np.errstate(all="ignore"):
        pull = np.abs(f / a * (x - anchor))
        known = finite(pull) & np.asarray(pull > 0, dtype=bool)
        level = log(np.where(known, pull, 1.0))
    return np.asarray(known[1:] & known[:-1] & (np.abs(np.diff(level)) > ESSENTIAL), dtype=bool)


def _falls_on(diffusion: Diffusion, here: Any, chart: Chart, end: Any) -> bool:
    """Whether the drift points away from the end everywhere beyond `here` that doubles reach."""
    if any(min(here, end) < b < max(here, end) for b in diffusion.breakpoints):
        return False
    f, a = coefficients_at(diffusion, chart.onwards(here, np.arange(1, 4 * OCTAVES) / 4))
    towards_end = f * chart.sign * (1 if chart.outward else -1)
    known = finite(f) & finite(a) & (a > 0)
    return not (towards_end[known] > 0).any()


def _is_a_power(pieces: list[Samples], anchor: Any, side: int) -> bool:
    """Whether r 2 f / a and the power of a have settled on the outermost octaves."""
    piece = pieces[0] if side == 0 else pieces[-1]
    h, lower, upper = piece.values[0], piece.lower, piece.upper
    if len(lower) < 8:
        return False
    nodes = rule(len(h), arithmetic_of(lower)).nodes[:, None]
    x = lower + (upper - lower) * ((1 + nodes) / 2)
    r = np.abs(x - anchor)
    c, error = (h * r).mean(axis=0), (piece.tails[0] * r).max(axis=0)
    i, j = (0, 7) if side == 0 else (-1, -8)
    last, before = c[i], c[j]
    if abs(last) > 1e3 and abs(last) > 4 * abs(before):
        return True  # beyond all powers
    edges = np.abs(np.stack([lower[[i, j]], upper[[i, j]]]) - anchor)
    if (edges == 0).any():
        return False
    log_a, rounding = np.stack([v[[i, j]] for v in piece.at_edges[1]]), piece.tails[1][[i, j]]
    power = np.diff(log_a, axis=0)[0] / np.diff(log(edges), axis=0)[0]
    rounding = 8 * rounding + 32 * arithmetic_of(lower).epsilon * np.abs(log_a).max(axis=0)
    change, of_a = abs(last - before), abs(power[0] - power[1])
    # Next to any other point doubles lose the distance, and with it the power of a.
    blurred = anchor != 0 and edges.max() < abs(anchor)
    return bool(
        change <= 1e-12 * (1 + abs(last)) + error[i] + error[j]
        and (blurred or of_a <= 1e-12 * (1 + abs(power[0])) + rounding.sum())
    )


def usable(diffusion: Diffusion, x: Array) -> int:
    """How many of the points, from the first on, the arithmetic can carry f and a at."""
    f, a = coefficients_at(diffusion, x)
    with np.errstate(all="ignore"):
        good = finite(f) & finite(a) & (a > _least_variance(diffusion, arithmetic_of(x)))
        if arithmetic_of(x) is DOUBLE:
            good &= ~diffusion.is_lost(f, a)
        if good.all():
            # The integral of 2 f / a, roughly, and with room for the sums that it takes.
            good = finite(HEADROOM * f / a * np.maximum(np.abs(x), 1))
    if (finite(a) & (a < 0)).any():
        diffusion.check(*map(to_float, (x, f, np.where(finite(a), a, 0))))
    return len(x) if good.all() else int(np.argmin(good))


def _last_usable(diffusion: Diffusion, inside: Any, outside: Any) -> Array:
    """Points from `inside` to the last place before `outside` that the arithmetic can carry."""
    first = inside
    for _ in range(8):
        middle = (inside + outside) / 2
        if usable(diffusion, np.array([middle])):
            inside = middle
        else:
            outside = middle
    return first + (inside - first) * (np.arange(9) / 8) if inside != first else np.array([first])


def _log_density_at_edges(
    diffusion: Diffusion, pieces: list[Samples], strength: float
) -> tuple[Array, Array]:
    """log P, up to a constant, at the edges of all panels (from the left at each)."""
    rises = np.concatenate([p.integrals[0] for p in pieces])
    phi = np.concatenate([0 * rises[:1], np.cumsum(rises)])
    last = pieces[-1].at_edges[1][1][-1:]
    log_a = np.concatenate([*(p.at_edges[1][0] for p in pieces), last])
    edges = np.concatenate([*(p.lower for p in pieces), pieces[-1].upper[-1:]])
    return edges, strength * phi - (1 - diffusion.convention.value) * log_a


def _log_mass_inwards(
    diffusion: Diffusion, pieces: list[Samples], anchor: Any, side: int, strength: float
) -> Array:
    """log of what an octave of the distance holds, at the edges of panels from an end inwards."""
    x, log_density = _log_density_at_edges(diffusion, pieces, strength)
    log_mass = log_density + log(np.maximum(np.abs(x - anchor), 2.0**-1000))
    inwards: Array = log_mass if side == 0 else log_mass[::-1]
    return inwards


def _has_fallen(log_mass: Array, outward: bool) -> bool:
    """Whether what lies beyond holds no probability that the arithmetic could show."""
    arithmetic = arithmetic_of(log_mass)
    steepness = log_mass[1] - log_mass[0]
    falling = steepness > (2.0 if outward else STEEP)
    if not outward:  # the nearest peak may be e^-750 of another, and yet be left by way of the end
        nearest = log_mass[int(np.argmax(np.append(np.diff(log_mass) < 0, True)))]
        falling &= log_mass[0] < nearest - depth_of(arithmetic)
    fallen = max(FALLEN, depth_of(arithmetic) + MARGIN)
    return bool(falling and log_mass[0] < log_mass.max() - fallen)
