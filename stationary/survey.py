"""`survey`: sample 2 f / a and log a over the domain, as far out as its ends decide anything.

At an end of the kind that only the process itself can settle (infinite, or one where the
variance vanishes) the panels are dyadic in the distance r: 60 octaves out or in, further where
2 f / a has not become a power of r by then, and less far where the density has fallen by e^-750
and a look at the drift beyond says that it only falls on. What lies beyond is left to the
exponents of f and a there, which `anatomy` finds.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stationary.diffusion import Diffusion
from stationary.errors import LandscapeError
from stationary.panels import Panels, Samples, chebyshev_sum, rule, sample

__all__ = ["NODES", "Survey", "VanishingVarianceError", "anchor_of", "sampled", "survey", "usable"]

Array = NDArray[Any]

NODES = 20
CORE = 16.0  # where an infinite domain is scanned evenly: this far from its finite end or from 0
OCTAVES = 60  # of r, outwards at an infinite end and inwards at a singular one
WORK = 2 * 10**8  # datapoints times points that a survey may evaluate
GRADES = 60  # halvings towards the origin of an infinite domain, whose scale is not known
SLOW_OCTAVES = 900  # where r 2 f / a still changes after that many
FIRST = 3  # octaves at first, then twice as many each time up to BATCH
BATCH = 12  # octaves that are sampled at once before looking whether more are needed
FALLEN = 750.0  # exp(-750) is below the smallest double
DROP = 35.0  # of log a, within a millionth of the domain: a ~ u^2 at u = 1e-8 of it
SMALLEST = 1e-290  # a variance below this has lost digits in a double


class VanishingVarianceError(LandscapeError):
    """A survey came to a place where the variance is zero, or too small for the arithmetic."""

    def __init__(self, message: str, near: float) -> None:
        super().__init__(message)
        self.near = near


@dataclass(frozen=True, eq=False)
class Survey:
    """What was sampled. `h` is 2 f / a, `ell` is log a; both per panel of `panels`."""

    diffusion: Diffusion
    samples: Samples
    open_ends: tuple[bool, bool]  # ends that the process itself settles
    fallen: tuple[bool, bool]  # whether sampling stopped because the density was negligible
    lower: float  # where sampling stopped
    upper: float

    @cached_property
    def panels(self) -> Panels:
        return Panels(np.append(self.samples.lower, self.upper))

    @property
    def h(self) -> Array:
        return self.samples.coefficients[0]

    @property
    def ell(self) -> Array:
        return self.samples.coefficients[1]

    @cached_property
    def climb(self) -> tuple[Array, Array]:
        """int h from the left edge of each panel, as coefficients, and over the whole of it."""
        r, half = rule(NODES), self.panels.half
        return half * (r.antiderivative @ self.h), half * (r.integral @ self.h)

    @cached_property
    def climb_errors(self) -> Array:
        """The error of int h over each panel: what was cut off, and what rounding takes."""
        s, half = self.samples, self.panels.half
        return np.asarray(
            4 * half * s.tails[0] + 2.0**-52 * half * np.abs(s.values[0]).mean(axis=0)
        )

    @cached_property
    def noise(self) -> Array:
        """A rise of int h below this, within a panel, is rounding."""
        return 8 * self.climb_errors + 1e-300

    def climbs(self, points: Array) -> Array:
        """int h between consecutive points, right relative to itself.

        Differences of `phi` would not be, where `phi` is large.
        """
        inside, rise = self.climb
        k, t = self.panels.locate(points)
        part = chebyshev_sum(inside[:, k], t)
        between = np.array([rise[i:j].sum() if j > i else 0.0 for i, j in pairwise(k)])
        return np.asarray(between - part[:-1] + part[1:])

    @cached_property
    def phi(self) -> Array:
        """int h, as coefficients (n + 1, panels); zero at the panel where the density peaks."""
        inside, rise = self.climb[0].copy(), self.climb[1]
        start, lowered = inside[0].copy(), (1 - self.diffusion.convention.value) * self.ell[0]
        peak = 0
        for _ in range(4):
            # Summed outwards from the peak, so that rounding is least where the density is
            # greatest; far from the first guess the sum may be too blurred to see the peak.
            right = np.cumsum(rise[peak:-1], dtype=np.longdouble)
            left = -np.cumsum(rise[:peak][::-1], dtype=np.longdouble)[::-1]
            inside[0] = start + np.concatenate([left, [0.0], right])
            found = int(np.argmax(inside[0] - lowered))
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
            span = np.full(len(p.half), upper - lower)
        else:
            span = np.maximum(np.maximum(np.abs(p.lower), np.abs(p.upper)), CORE)
        return float((p.half * (math.pi / NODES) / span).max())


def survey(diffusion: Diffusion, max_panels: int = 4000, *, complete: bool = False) -> Survey:
    """Sample the process over its domain.

    `complete` goes on towards open ends where the density has fallen to nothing, too.

    Raises
    ------
    LandscapeError
        If the drift or variance is not finite, or the variance is negative or vanishes, at a
        point inside the domain.
    """
    max_panels = min(max_panels, max(200, WORK // ((NODES + 2) * diffusion.cost)))
    lower, upper = diffusion.domain
    opened = (_is_open(diffusion, 0), _is_open(diffusion, 1))
    start, stop = _core(diffusion, opened)
    edges = np.linspace(start, stop, diffusion.scan_panels + 1)
    if math.isinf(upper - lower):
        # With no length to go by, look at every scale around the point distances count from.
        zero = anchor_of(diffusion, math.inf if math.isinf(upper) else -math.inf)
        grades = GRADES if diffusion.scan_panels >= 64 else 10
        graded = CORE * 2.0 ** -np.arange(4.0, 4 + grades)
        graded = graded[graded > 2.0**-26 * abs(zero)]  # a double knows no less beside zero
        graded = np.concatenate([-graded, graded])
        edges = np.union1d(edges, [x for x in zero + graded if start < x < stop])
    extra = [b for b in diffusion.breakpoints if start < b < stop]
    if extra:
        edges = np.union1d(edges, extra)
    core = sampled(diffusion, edges[:-1], edges[1:], max_panels)
    pieces, fallen = [core], [False, False]
    for side, (end, is_open) in enumerate(zip((lower, upper), opened, strict=True)):
        if is_open:
            anchor = anchor_of(diffusion, end)
            pieces, fallen[side] = _grown(
                diffusion, pieces, end, anchor, side, max_panels, complete
            )
    samples = Samples.joined(pieces)
    found = Survey(
        diffusion,
        samples,
        opened,
        (fallen[0], fallen[1]),
        lower=float(samples.lower[0]),
        upper=float(samples.upper[-1]),
    )
    _refuse_vanishing_variance(found)
    return found


def _is_open(diffusion: Diffusion, side: int) -> bool:
    """Whether an end is infinite or a singular point, rather than a wall."""
    end = diffusion.domain[side]
    if math.isinf(end) or diffusion.exact_ends[side] is not None:
        return True
    f, a = diffusion.coefficients(np.array([end]))
    return not (np.isfinite(f[0]) and np.isfinite(a[0]) and a[0] > SMALLEST)


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


def anchor_of(diffusion: Diffusion, end: float) -> float:
    """The point from which the distance r to an open end is counted."""
    if math.isfinite(end):
        return end
    other = diffusion.domain[0] if end > 0 else diffusion.domain[1]
    return other if math.isfinite(other) else 0.0


def sampled(diffusion: Diffusion, lower: Array, upper: Array, max_panels: int) -> Samples:
    def logarithms(x: Array) -> tuple[Array, Array]:
        f, a = diffusion.coefficients(x)
        if not (a > 0).all() or not (np.isfinite(f).all() and np.isfinite(a).all()):
            diffusion.check(x, f, a)
            raise _vanishing(diffusion, x, a)
        with np.errstate(over="ignore"):
            return 2 * f / a, np.log(a)

    # Next to a zero of the variance that is not known yet, 2 f / a leaves the range of doubles.
    with np.errstate(over="ignore", invalid="ignore"):
        return sample(
            logarithms, lower, upper, weights=(True, False), n=NODES, max_panels=max_panels
        )


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


def _refuse_vanishing_variance(found: Survey) -> None:
    """Raise where panels were halved down to rounding because log a falls without bound."""
    p, ell = found.panels, found.samples.values[1].min(axis=0)
    lower, upper = found.diffusion.domain
    whole = upper - lower if math.isfinite(upper - lower) else CORE
    small = np.where(found.samples.resolved, 1e-9, 1e-6)
    tiny = 2 * p.half < small * np.minimum(whole, np.maximum(np.abs(p.lower), np.abs(p.upper)) + 1)
    tiny &= (p.lower > found.lower) & (p.upper < found.upper)
    for k in np.flatnonzero(tiny):
        near = (np.abs(p.lower - p.lower[k]) < whole / 20) & ~tiny
        sides = ell[:k][near[:k]], ell[k + 1 :][near[k + 1 :]]
        if all(side.max(initial=-np.inf) - ell[k] > DROP for side in sides):
            raise _vanishing(found.diffusion, np.array([p.lower[k]]), np.zeros(1) + 0.0)


def _grown(
    diffusion: Diffusion,
    pieces: list[Samples],
    end: float,
    anchor: float,
    side: int,
    max_panels: int,
    complete: bool,
) -> tuple[list[Samples], bool]:
    """`pieces` (left to right) extended octave by octave towards an open end.

    Also whether this ended because the density had become negligible.
    """
    outward = math.isinf(end)
    here = pieces[0].lower[0] if side == 0 else pieces[-1].upper[-1]
    sign = 1.0 if here > anchor else -1.0
    distance = abs(here - anchor)
    factor = 2.0 if outward else 0.5
    octaves = SLOW_OCTAVES
    if not outward and end != 0:
        # Near an end at e, a double knows x - e to about 1e-16 e only.
        octaves = max(2, math.floor(math.log2(distance / (2.0**-26 * abs(end)))))
    done, batch = 0, FIRST
    while True:
        fallen = not complete and _has_fallen(diffusion, pieces, anchor, side, outward)
        if fallen and _falls_on(diffusion, here, anchor, end):
            return pieces, True
        if done >= octaves or (done >= OCTAVES and _is_a_power(pieces, anchor, side)):
            return pieces, False
        count = min(batch, octaves - done)
        batch = min(2 * batch, BATCH)
        powers = np.add.outer(np.arange(count), np.array([0.0, 0.5])).ravel()
        powers = np.append(powers, float(count))
        r = distance * factor**powers
        x = anchor + sign * r
        x[0] = here
        known = usable(diffusion, x)
        if known < 2:
            x = _last_usable(diffusion, here, x[1]) if outward else x[:1]
            known = len(x)
            count = 0
        if known < 2:
            return pieces, False
        ordered = np.sort(x[:known])
        extra = [b for b in diffusion.breakpoints if ordered[0] < b < ordered[-1]]
        if extra:
            ordered = np.union1d(ordered, extra)
        piece = sampled(diffusion, ordered[:-1], ordered[1:], max(200, max_panels // 8))
        pieces = [piece, *pieces] if side == 0 else [*pieces, piece]
        here = float(x[known - 1])
        distance = abs(here - anchor)
        done += count
        if count == 0:
            fallen = _has_fallen(diffusion, pieces, anchor, side, outward)
            return pieces, fallen and _falls_on(diffusion, here, anchor, end)


def _falls_on(diffusion: Diffusion, here: float, anchor: float, end: float) -> bool:
    """Whether the drift points away from the end everywhere beyond `here` that doubles reach."""
    if any(min(here, end) < b < max(here, end) for b in diffusion.breakpoints):
        return False
    outward = math.isinf(end)
    r = abs(here - anchor) * (2.0 if outward else 0.5) ** (np.arange(1, 4 * OCTAVES) / 4)
    sign = 1.0 if here > anchor else -1.0
    f, a = diffusion.coefficients(anchor + sign * r)
    towards_end = f * sign * (1.0 if outward else -1.0)
    known = np.isfinite(f) & np.isfinite(a) & (a > 0)
    return not (towards_end[known] > 0).any()


def _is_a_power(pieces: list[Samples], anchor: float, side: int) -> bool:
    """Whether r 2 f / a has settled on the outermost octaves."""
    piece = pieces[0] if side == 0 else pieces[-1]
    h, lower, upper = piece.values[0], piece.lower, piece.upper
    if len(lower) < 8:
        return False
    x = lower + (upper - lower) * ((1 + rule(NODES).nodes[:, None]) / 2)
    c = (h * np.abs(x - anchor)).mean(axis=0)
    last, before = (c[0], c[7]) if side == 0 else (c[-1], c[-8])
    settled = abs(last - before) <= 1e-12 * (1 + abs(last))
    beyond_powers = abs(last) > 1e3 and abs(last) > 4 * abs(before)
    return bool(settled or beyond_powers)


def usable(diffusion: Diffusion, x: Array) -> int:
    """How many of the points, from the first on, a double can carry f and a at."""
    f, a = diffusion.coefficients(x)
    with np.errstate(all="ignore"):
        good = np.isfinite(f) & np.isfinite(a) & (a > SMALLEST) & np.isfinite(f / a)
    if (np.isfinite(a) & (a < 0)).any():
        diffusion.check(x, f, np.where(np.isfinite(a), a, 0))
    return len(x) if good.all() else int(np.argmin(good))


def _last_usable(diffusion: Diffusion, inside: float, outside: float) -> Array:
    """Points from `inside` to the last place before `outside` that doubles can carry."""
    first = inside
    for _ in range(8):
        middle = (inside + outside) / 2
        if usable(diffusion, np.array([middle])):
            inside = middle
        else:
            outside = middle
    return np.linspace(first, inside, 9) if inside != first else np.array([first])


def _log_density_at_edges(diffusion: Diffusion, pieces: list[Samples]) -> tuple[Array, Array]:
    """log P, up to a constant, at the edges of all panels (from the left at each)."""
    joined = Samples.joined(pieces)
    h, ell = joined.coefficients
    r = rule(NODES)
    rises = (joined.upper - joined.lower) / 2 * (r.integral @ h)
    phi = np.concatenate([[0.0], np.cumsum(rises)])
    signs = (-1.0) ** np.arange(NODES)
    log_a = np.append(signs @ ell, ell[:, -1].sum())
    return np.append(joined.lower, joined.upper[-1]), phi - (1 - diffusion.convention.value) * log_a


def _has_fallen(
    diffusion: Diffusion, pieces: list[Samples], anchor: float, side: int, outward: bool
) -> bool:
    """Whether what lies beyond holds no probability that a double could show."""
    x, log_density = _log_density_at_edges(diffusion, pieces)
    log_mass = log_density + np.log(np.maximum(np.abs(x - anchor), 2.0**-1000))
    last, before = (0, 1) if side == 0 else (-1, -2)
    steepness = abs(log_mass[last] - log_mass[before])
    falling = log_mass[last] < log_mass[before] and steepness > (2.0 if outward else 4.0)
    return bool(falling and log_mass[last] < log_mass.max() - FALLEN)
