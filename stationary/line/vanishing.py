"""Where the variance vanishes inside the domain, told from where it is merely tiny.

A scan shows where the variance is zero or dips. Doubles cannot tell more: 1e-400 is zero to them,
and so is a variance whose parts cancel to 1e-40. So whatever looks suspicious is evaluated in
more and more digits. At a true zero the variance keeps falling as the point is approached, at a
tiny value it stays.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stationary.errors import StationaryError
from stationary.functions.evaluation import DOUBLE, Arithmetic, evaluate, many_digits
from stationary.process.diffusion import Diffusion

__all__ = ["Zero", "zeros_of_variance"]

Array = NDArray[Any]

SAMPLES = 20  # per panel of the scan
OCTAVES = 60  # that are looked at outside the core of an infinite domain
CORE = 16.0  # of an infinite domain, scanned evenly
ENOUGH = 15  # digits of a variance, to tell whether it is zero
TOO_MANY = 2000  # datapoints, to evaluate in many digits
DIGITS = (60, 300, 1200)  # in which a zero is tried, one after the other
MOST_PER_RUN = 96  # points of a run of zeros that are tried again in many digits
CLOSEST = 1e-13  # of the domain: zeros that are closer to each other are one
PER_OCTAVE = 8  # points around a zero, in whose neighbourhood another one may hide
CROWD = 40  # zeros, next to each of which others are looked for
FARTHEST = 256  # by which the domain is divided: the scan sees what is further from a zero
SURE = 60  # digits in which a dip next to a zero is told from rounding
ZOOM = 17  # points per round of a zoom, which then keeps an eighth
SMALLEST = 1e-290  # a variance below this has lost digits in a double
LOST = 1e-24  # gradients that differ by less, squared and relative, have cancelled in doubles
SLIVER = 1e-13  # of the domain: a stretch no wider is a point
FLAT = 0.05  # an exponent below this is none
POSITION_DIGITS = 260  # to which a zero is pinned down, if it is not a double


@dataclass(frozen=True)
class Zero:
    """A point, or a whole stretch, where the variance is zero."""

    lower: Any  # float, or an mpmath number where no double is the exact position
    upper: Any  # the same as lower for a point
    decided: bool  # whether zero was told from tiny; functions in doubles only cannot do that

    @property
    def is_stretch(self) -> bool:
        return bool(self.lower < self.upper)


def zeros_of_variance(diffusion: Diffusion, hints: Sequence[float] = ()) -> tuple[Zero, ...]:
    """The zeros of the variance inside the domain (its ends excluded), left to right.

    `hints` are points to look at besides the scan and the breakpoints.
    """
    x = _scan_points(diffusion, hints)
    log_a, decided = _log_variance(diffusion, x)
    zero = np.isneginf(log_a)
    found = _stretches(diffusion, x, zero, decided)
    # A dip between two neighbours: lower than both, and not part of a stretch.
    inner = np.arange(1, len(x) - 1)
    dip = (log_a[inner] <= log_a[inner - 1]) & (log_a[inner] < log_a[inner + 1])
    alone = zero[inner] & ~zero[inner - 1] & ~zero[inner + 1]
    for i in _elsewhere(inner[dip | alone], x, found):
        bottom = _zero_between(diffusion, x[i - 1], x[i], x[i + 1], exact=decided)
        if bottom is not None:
            found.append(bottom)
    # Zeros closer to each other than the points of a scan look like one.
    for z in found:  # which grows
        if len(found) <= CROWD and not z.is_stretch:
            found += _beside(diffusion, z, found)
    return tuple(sorted(found, key=lambda z: float(z.lower)))


def _elsewhere(indices: Array, x: Array, zeros: list[Zero]) -> Array:
    """Those of the indices between whose neighbours among the points x none of the zeros lies."""
    for z in zeros:
        low, high = float(z.lower), float(z.upper)
        indices = indices[(x[indices + 1] < low) | (x[indices - 1] > high)]
    return indices


def _beside(diffusion: Diffusion, z: Zero, known: list[Zero]) -> list[Zero]:
    """Further zeros on either side of one, at distances from the scan's down to `CLOSEST`."""
    lower, upper = diffusion.domain
    at, whole = float(z.lower), upper - lower if math.isfinite(upper - lower) else CORE
    least = max(CLOSEST * whole, 64 * float(np.spacing(abs(at))))
    if diffusion.is_rounded:  # zeros that a zoom could not tell apart are one
        least = max(least, 256 * diffusion.grain * abs(at))
    count = math.ceil(PER_OCTAVE * math.log2(whole / FARTHEST / least))
    r = least * 2.0 ** (np.arange(max(count, 0)) / PER_OCTAVE)
    arithmetic = many_digits(SURE, ENOUGH)
    found: list[Zero] = []
    for x in (at + r, (at - r)[::-1]):
        x = x[(x > lower) & (x < upper)]
        dips = np.arange(1, len(x) - 1)
        # Many digits tell a dip from rounding, where they are not too dear.
        for numbers in (DOUBLE, arithmetic):
            if numbers is arithmetic and len(dips) * diffusion.cost > TOO_MANY:
                return found
            sides = x[dips + np.array([[-1], [0], [1]])] if len(dips) else np.zeros((3, 0))
            try:
                flat = _variance(diffusion, numbers.array(sides.ravel()), numbers)
            except (StationaryError, OverflowError):
                return found
            a, b, c = flat.reshape(3, -1)
            dips = dips[np.asarray((b <= a) & (b < c), dtype=bool)]
        for i in _elsewhere(dips, x, [*known, *found]):
            bottom = _zero_between(diffusion, x[i - 1], x[i], x[i + 1], exact=True)
            if bottom is not None and bottom.lower != z.lower:
                found.append(bottom)
    return found


def _scan_points(diffusion: Diffusion, hints: Sequence[float]) -> Array:
    """Even points over the domain, with each breakpoint and its surroundings."""
    lower, upper = diffusion.domain
    count = diffusion.scan_panels * SAMPLES
    if math.isfinite(upper - lower):
        core, whole = np.linspace(lower, upper, count + 1), upper - lower
        near_ends = whole * 2.0 ** -np.arange(8.0, 50.0)
        pieces = [core, lower + near_ends, upper - near_ends]
        if 0 in (lower, upper):  # next to which doubles lie as close as one likes
            pieces.append((lower + upper) * 2.0 ** -np.arange(50.0, 400.0))
    else:
        zero = lower if math.isfinite(lower) else upper if math.isfinite(upper) else 0.0
        out = CORE * 2.0 ** (np.arange(1, 4 * OCTAVES) / 4)
        whole = CORE
        pieces = [zero + np.linspace(-CORE, CORE, 2 * count + 1), zero + out, zero - out]
        # Every scale around the point that distances count from.
        close = CORE * 2.0 ** (-np.arange(1, 4 * OCTAVES) / 4)
        pieces += [zero + close, zero - close]
    marks = np.array([*diffusion.breakpoints, *hints], dtype=float)
    around = whole * 10.0 ** -np.arange(3.0, 9.0)
    pieces += [marks, *(marks + r for r in around), *(marks - r for r in around)]
    x = np.unique(np.concatenate(pieces))
    return np.asarray(x[(x > lower) & (x < upper)])


def _variance(diffusion: Diffusion, x: Array, arithmetic: Arithmetic) -> Array:
    return diffusion.coefficients(x, arithmetic)[1]


def _log_variance(diffusion: Diffusion, x: Array) -> tuple[Array, bool]:
    """log a at the points, -inf where it is exactly zero; and whether many digits agreed."""
    f, a = diffusion.coefficients(x)
    with np.errstate(all="ignore"):
        log_a = np.where(a > 0, np.log(a), -math.inf)
        doubtful = a < SMALLEST
        if diffusion.pair is not None:  # gradients of datapoints, whose differences cancel
            doubtful |= a < LOST * f * f
    log_a = np.where(np.isfinite(a), log_a, math.inf)  # unknown: neither a zero nor a dip
    lost = diffusion.is_lost(f, a)
    in_row = lost[1:-1] & lost[:-2] & lost[2:]  # one alone may be a zero
    log_a[1:-1][in_row] = math.inf
    log_a[[0, -1]] = np.where(lost[[1, -2]], math.inf, log_a[[0, -1]])
    if not doubtful.any():
        return log_a, True
    if diffusion.cost > TOO_MANY:
        return log_a, False
    top = float(log_a[np.isfinite(log_a)].max(initial=0.0))
    alone = np.concatenate([[False], (a[:-2] > 0) & (a[1:-1] == 0) & (a[2:] > 0), [False]])
    tried = ~doubtful | alone
    tried[_thinned(np.flatnonzero(doubtful))] = True
    chosen = np.flatnonzero(tried & doubtful)
    values = log_a.copy()
    try:
        for digits in DIGITS:
            many = many_digits(digits, ENOUGH)
            exact = _variance(diffusion, many.array(x[chosen]), many)
            positive = np.asarray(exact > 0, dtype=bool) & many.isfinite(exact)
            values[chosen] = -math.inf
            if positive.any():
                logs = many.to_float(many.log(exact[positive]))
                values[chosen[positive]] = logs
            # What lies within the rounding of this many digits is tried in more.
            chosen = chosen[values[chosen] < top - 2 * (digits - 15) * math.log(10)]
            if not len(chosen):
                break
    except (StationaryError, OverflowError, MemoryError):
        return log_a, False
    # Between two points that were tried, those that were not follow by interpolation.
    rest = np.flatnonzero(~tried)
    if len(rest):
        known = np.flatnonzero(tried)
        after = np.clip(np.searchsorted(known, rest), 1, len(known) - 1)
        left, right = values[known[after - 1]], values[known[after]]
        both = np.isfinite(left) & np.isfinite(right)
        share = (x[rest] - x[known[after - 1]]) / (x[known[after]] - x[known[after - 1]])
        with np.errstate(invalid="ignore"):
            between = left + share * (right - left)
        values[rest] = np.where(both, between, np.where(np.isneginf(left), left, right))
    return values, True


def _thinned(indices: Array) -> Array:
    """Of each run of consecutive indices at most `MOST_PER_RUN`, its ends among them."""
    if not len(indices):
        return indices
    runs = np.split(indices, np.flatnonzero(np.diff(indices) > 1) + 1)
    few = [
        run[np.unique(np.linspace(0, len(run) - 1, MOST_PER_RUN).astype(int))]
        if len(run) > MOST_PER_RUN
        else run
        for run in runs
    ]
    return np.concatenate(few)


def _stretches(diffusion: Diffusion, x: Array, zero: Array, decided: bool) -> list[Zero]:
    """Runs of at least two points where the variance is exactly zero, with their ends."""
    flags = np.concatenate([[False], zero, [False]])
    starts, stops = np.flatnonzero(~flags[:-1] & flags[1:]), np.flatnonzero(flags[:-1] & ~flags[1:])
    found = []
    for first, stop in zip(starts, stops, strict=True):
        last = stop - 1
        if last == first:
            continue
        middle = (x[first] + x[last]) / 2
        if _variance(diffusion, np.array([middle]), DOUBLE)[0] != 0:
            continue  # two zeros next to each other, not a stretch
        lower, upper = diffusion.domain
        left = _edge(diffusion, x[first - 1], x[first], decided) if first > 0 else lower
        right = _edge(diffusion, x[stop], x[last], decided) if stop < len(x) else upper
        if right - left <= SLIVER * (upper - lower if math.isfinite(upper - lower) else 1.0):
            # Rounding makes a stretch of a point.
            point = _roundest(left, right, lambda x: True)
            found.append(Zero(point, point, decided))
        else:
            found.append(Zero(left, right, decided))
    return found


def _edge(diffusion: Diffusion, outside: float, inside: float, decided: bool) -> float:
    """The double next to which the variance ceases to be zero."""
    arithmetic = (
        many_digits(DIGITS[-1], ENOUGH) if decided and diffusion.cost <= TOO_MANY else DOUBLE
    )
    a, b = float(outside), float(inside)
    for _ in range(20):
        x = np.linspace(a, b, ZOOM)
        values = _variance(diffusion, arithmetic.array(x), arithmetic)
        first = int(np.argmax(np.asarray(values == 0, dtype=bool)))
        a, b = float(x[first - 1]), float(x[first])
        if abs(b - a) <= 2 * np.spacing(max(abs(a), abs(b))):
            break
    return _roundest(
        a, b, lambda x: bool(_variance(diffusion, arithmetic.array([x]), arithmetic)[0] == 0)
    )


def _roundest(low: float, high: float, accept: Any) -> float:
    """Of the numbers close to `high` the one with the fewest decimals that is accepted."""
    for decimals in range(16):
        candidate = round(high, decimals) + 0.0  # no negative zero
        near = abs(candidate - high) <= 4 * max(
            abs(high - low), float(np.spacing(abs(high))), 1e-60
        )
        if near and accept(candidate):
            return candidate
    return high


def _zero_between(
    diffusion: Diffusion, left: float, middle: float, right: float, *, exact: bool
) -> Zero | None:
    """The zero at the bottom of a dip of the variance, or None if the dip has a floor."""
    low, best, high, falling = _zoom(diffusion, left, right, DOUBLE, rounds=14, middle=middle)
    if not falling:
        return None
    if exact and diffusion.cost <= TOO_MANY:
        with contextlib.suppress(StationaryError, OverflowError, MemoryError):
            return _zero_in_digits(diffusion, float(low), float(best), float(high), right - left)
    seen = _roundest(
        float(low), float(best), lambda x: not _variance(diffusion, np.array([x]), DOUBLE)[0] > 0
    )
    return Zero(seen, seen, False)


def _zoom(
    diffusion: Diffusion,
    low: Any,
    high: Any,
    arithmetic: Arithmetic,
    rounds: int,
    middle: float | None = None,
) -> tuple[Any, Any, Any, bool]:
    """Close in on the least variance between two points; whether it kept falling to the end.

    `middle` is a point where it is lower than at both ends.

    Falling is judged between the middle and the end of the zoom, over distances that shrink
    by the same factor as the variance should shrink if it is a power of the distance.
    """
    low, high = arithmetic.array([low])[0], arithmetic.array([high])[0]
    grain = diffusion.grain if arithmetic is DOUBLE else arithmetic.grain
    steps = arithmetic.array(np.arange(ZOOM)) / (ZOOM - 1)
    history: list[tuple[float, float]] = []  # log of the width, log of the variance at the edges
    best = (low + high) / 2
    for k in range(rounds):
        x = low + (high - low) * steps
        if k == 0 and middle is not None:
            rise = 2 * steps[: ZOOM // 2 + 1]
            x = np.concatenate([low + (middle - low) * rise, middle + (high - middle) * rise[1:]])
        a = _variance(diffusion, x, arithmetic)
        known = np.asarray(arithmetic.isfinite(a), dtype=bool)
        a = np.where(known, a, arithmetic.zero)
        lowest = np.flatnonzero(a == a.min())
        i = int(lowest[len(lowest) // 2])  # zeros that are underflow lie around the true one
        best = x[i]
        # A zero may be one of one side only: the lower of its neighbours tells.
        rim = min(a[j] for j in (i - 1, i + 1) if 0 <= j < ZOOM)
        i = min(max(i, 1), ZOOM - 2)
        width = float(arithmetic.to_float(arithmetic.log(np.array([high - low])))[0])
        if rim <= (SMALLEST if arithmetic is DOUBLE else 0):
            history.append((width, -math.inf))
            break
        history.append((width, float(arithmetic.to_float(arithmetic.log(np.array([rim])))[0])))
        low, high = x[i - 1], x[i + 1]
        if not high - low > 64 * grain * abs(best):
            break
    half = len(history) // 2
    (w1, a1), (w2, a2) = history[half], history[-1]
    short = len(history) < 4 and not diffusion.is_rounded  # else a dip of rounding
    falling = short or math.isinf(a2) or (a1 - a2) > FLAT * (w1 - w2)
    return low, best, high, falling


def _zero_in_digits(
    diffusion: Diffusion, low: float, best: float, high: float, room: float
) -> Zero | None:
    many = many_digits(DIGITS[1], ENOUGH)

    def vanishes(x: float) -> bool:
        a = _variance(diffusion, many.array([x]), many)
        if bool(a[0] == 0) or not bool(many.isfinite(a)[0]):
            return True
        return _falls_to_zero(diffusion, many.array([x])[0], many)

    # Most zeros sit where somebody put them: at a number with few decimals.
    nice = _roundest(low, best, vanishes)
    if vanishes(nice):
        return Zero(nice, nice, True)
    wide = max(high - low, 1e-9 * room, 1e6 * float(np.spacing(abs(best))))
    first, at, last, falling = _zoom(diffusion, best - wide, best + wide, many, rounds=30)
    if not falling:
        return None
    nice = _roundest(float(first), float(at), vanishes)
    if vanishes(nice):
        return Zero(nice, nice, True)
    position = _pinned(diffusion, at, last - first)
    if not _falls_to_zero(diffusion, position, many):
        return None
    nearest = float(position)
    return Zero(nearest, nearest, True) if position == nearest else Zero(position, position, True)


def _falls_to_zero(diffusion: Diffusion, x: Any, many: Arithmetic) -> bool:
    """Whether the variance still falls between two distances that few floors are as low as."""
    r = many.array(["1e-100", "1e-200"]) * (1 + abs(x))

    def falls(a: Array) -> bool:
        if not (a[0] > 0 and many.isfinite(a).all()):
            return False
        if not a[1] > 0:
            return True
        return bool(many.log(a[:1])[0] - many.log(a[1:])[0] > 100 * FLAT * math.log(10))

    # On one side is enough: the other one may be positive from the point on.
    return any(falls(_variance(diffusion, x + side * r, many)) for side in (-1, 1))


def _pinned(diffusion: Diffusion, x: Any, width: Any) -> Any:
    """The zero near x to `POSITION_DIGITS` digits.

    With a = (x - z)^m times something smooth, a / a' = (x - z) / m + ... has a simple zero at z
    whatever m is: the secant method finds it. Where the functions have no derivative, a zoom does.
    """
    many = many_digits(DIGITS[1], ENOUGH)
    goal = many.array([f"1e-{POSITION_DIGITS}"])[0] * (1 + abs(x))

    def ratio(x: Any) -> Any:
        a, slope = evaluate(diffusion.variance, np.array([x]), order=1, arithmetic=many)
        return a[0] / slope[0] if a[0] != 0 else many.zero

    first, last = x - width, x + width
    try:
        before, here = x + width, x + width / 3
        r_before, r_here = ratio(before), ratio(here)
        for _ in range(40):
            if r_here == 0 or r_here == r_before:
                return here
            step = r_here * (here - before) / (r_here - r_before)
            before, r_before = here, r_here
            here = here - step
            if abs(step) < goal:
                return here
            if not first < here < last:
                break
            r_here = ratio(here)
    except (StationaryError, ZeroDivisionError, OverflowError):
        pass
    return _zoom(diffusion, first, last, many, rounds=POSITION_DIGITS + 20)[1]
