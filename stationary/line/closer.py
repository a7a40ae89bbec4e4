"""A closer look at one place where the variance may vanish: a stretch, a point, or merely tiny.

Doubles cannot tell: 1e-400 is zero to them, and so is a variance whose parts cancel to 1e-40. So
what they call zero is evaluated in more and more digits. At a true zero the variance keeps falling
as the point is approached, at a tiny value it stays.
"""

from __future__ import annotations

import contextlib
import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from stationary.aliases import Array
from stationary.errors import StationaryError
from stationary.functions.evaluation import evaluate
from stationary.line.chart import CORE
from stationary.line.sampled import DIGITS
from stationary.numbers.arithmetic import DOUBLE, ROUNDING, TINY, Arithmetic, many_digits
from stationary.numbers.cost import IN_DIGITS
from stationary.process.diffusion import DEAR, Diffusion

ENOUGH = DOUBLE.digits  # of a variance, to tell whether it is zero
CLOSEST = 1e-13  # of the domain: zeros that are closer to each other are one
PER_OCTAVE = 8  # points around a zero, in whose neighbourhood another one may hide
ZOOM = 17  # points per round of a zoom, which then keeps an eighth
FLAT = 0.05  # an exponent below this is none
BLURRED = 14.0  # e-folds that a variance falls before cancelling parts may hide that it falls on
POSITION_DIGITS = 260  # to which a zero is pinned down, if it is not a double
CANNOT = (StationaryError, OverflowError, MemoryError)  # evaluate in so many digits


@dataclass(frozen=True)
class Zero:
    """A point, or a whole stretch, where the variance is zero."""

    lower: Any  # float, or an mpmath number where no double is the exact position
    upper: Any  # the same as lower for a point
    decided: bool  # whether zero was told from tiny; functions in doubles only cannot do that

    @property
    def is_stretch(self) -> bool:
        return bool(self.lower < self.upper)


@dataclass(frozen=True)
class Dip:
    """A point where the variance is positive, but falls to it within less than doubles can tell."""

    position: float
    digits: int  # of the position, to tell points of the dip apart
    place: Any  # the position, with all the digits that were found


class Look:
    """A closer look at places where the variance may vanish; what is found is collected."""

    def __init__(self, diffusion: Diffusion, exact: bool) -> None:
        self.diffusion = diffusion
        self.exact = exact  # whether many digits can be evaluated
        self.zeros: list[Zero] = []
        self.dips: list[Dip] = []
        self.least = diffusion.least_variance
        lower, upper = diffusion.domain
        self.whole = upper - lower if math.isfinite(upper - lower) else CORE

    def variance(self, x: Array, arithmetic: Arithmetic = DOUBLE) -> Array:
        return self.diffusion.coefficients(x, arithmetic)[1]

    def vanishing(self, points: list[Any]) -> Array:
        """At which of the points the variance is exactly zero, in as many digits as there are."""
        found = np.asarray(self.variance(DOUBLE.array(np.array(points, dtype=float))) < self.least)
        for digits in DIGITS if self.exact else ():
            if found.any():
                many = many_digits(digits, ENOUGH)
                here = np.array(points, dtype=object)[found]
                found[found] = np.asarray(self.variance(many.array(here), many) == 0, dtype=bool)
        return found

    def elsewhere(self, indices: Array, x: Array) -> Array:
        """Those of the indices between whose neighbours among the points x no zero is known."""
        for z in self.zeros:
            low, high = float(z.lower), float(z.upper)
            indices = indices[(x[indices + 1] < low) | (x[indices - 1] > high)]
        return indices

    @property
    def far_zeros(self) -> int:
        """How many zeros were found outside the core of an infinite domain."""
        lower, upper = self.diffusion.domain
        if math.isfinite(upper - lower):
            return 0
        return sum(abs(float(z.upper)) > 2 * CORE for z in self.zeros)

    # -- stretches -----------------------------------------------------------------------------

    def on_stretch(
        self, outside_left: float | None, low: float, high: float, outside_right: float | None
    ) -> bool:
        """Whether the variance is zero from `low` to `high`: then the stretch is collected.

        Where there is nothing outside, it reaches to the end of the domain.
        """
        # The ends exactly, however far apart they are.
        inside = [low * (1 - share) + high * share for share in (0.0, 0.3, 0.5, 0.7, 1.0)]
        with contextlib.suppress(*CANNOT):
            if self.vanishing(inside).all():
                self.collect_stretch(low, high, outside_left, outside_right)
                return True
        return False

    def collect_stretch(
        self, low: float, high: float, outside_left: float | None, outside_right: float | None
    ) -> None:
        lower, upper = self.diffusion.domain
        left = lower if outside_left is None else self.edge(outside_left, low)
        right = upper if outside_right is None else self.edge(outside_right, high)
        if right - left <= CLOSEST * self.whole:
            left = right = _roundest(left, right, lambda x: True)  # rounding makes it a stretch
        self.zeros.append(Zero(left, right, self.exact))

    def edge(self, outside: float, inside: float) -> float:
        """The last double without noise, or the first with it; the variance is 0 at `inside`."""
        a, b = float(outside), float(inside)
        while abs(b - a) > 2 * np.spacing(max(abs(a), abs(b))):
            x = np.linspace(a, b, ZOOM)
            zero = np.asarray(self.variance(x) < self.least)
            if self.exact:
                many = many_digits(DIGITS[0], ENOUGH)
                zero[zero] = np.asarray(self.variance(many.array(x[zero]), many) == 0, dtype=bool)
            last = int(np.flatnonzero(~zero)[-1]) if not zero.all() else 0
            if last + 1 >= ZOOM or (x[last], x[last + 1]) == (a, b):
                break
            a, b = float(x[last]), float(x[last + 1])
        nice = _roundest(a, b, lambda x: bool(self.vanishing([x, np.nextafter(x, inside)]).any()))
        nice = nice if abs(nice) >= TINY else 0.0  # beside which products underflow
        return self.edge_in_digits(a, nice) if self.exact else nice

    def edge_in_digits(self, outside: float, inside: float) -> Any:
        """The same to `POSITION_DIGITS` digits, where no double is the edge.

        By the secant method on a / a', as in `pinned`, from outside. Where a step leads into the
        stretch, the next one goes back by more than what it was wrong by and less than its length.
        """
        many = many_digits(DIGITS[1], ENOUGH)
        side = 1 if outside > inside else -1
        scale = many.array([max(abs(inside), self.whole)])[0]
        goal = many.array([f"1e-{POSITION_DIGITS}"])[0] * scale

        def ratio(x: Any) -> Any:
            a, slope = evaluate(self.diffusion.variance, np.array([x]), order=1, arithmetic=many)
            return a[0] / slope[0] if a[0] > 0 and slope[0] != 0 else None

        with contextlib.suppress(*CANNOT, ZeroDivisionError):
            zero, gap = many.array([inside])[0], outside - inside
            for _ in range(4):  # what doubles see outside may be their rounding
                before, here = many.array([inside + 4 * gap, inside + gap])
                r_before, r_here = ratio(before), ratio(here)
                if r_here is not None:
                    break
                gap *= 4
            if ratio(zero + side * goal) is not None or r_before is None or r_here is None:
                return inside
            for _ in range(60):
                new = here - r_here * (here - before) / (r_here - r_before)
                r_new = ratio(new) if (new - zero) * side > 0 else None
                if r_new is None:
                    zero = max(new, zero) if side > 0 else min(new, zero)
                    back = abs(here - zero)
                    back = back * many.sqrt(np.array([back / scale]))[0]
                    while r_new is None and back < abs(here - zero):
                        new, back = zero + side * back, 16 * back
                        r_new = ratio(new)
                if r_new is None:
                    break
                if min(abs(new - zero), abs(new - here)) < goal:
                    return zero if abs(new - zero) < goal else new
                before, here, r_before, r_here = here, new, r_here, r_new
        return inside

    # -- points --------------------------------------------------------------------------------

    def between(self, left: float, middle: float, right: float) -> None:
        """What is at the bottom of a dip: a stretch, a zero, a dip that is narrow, or a floor."""
        low, best, high, falling = self.zoom(left, right, DOUBLE, rounds=14, middle=middle)
        bottom, *rims = self.variance(np.array([best, left, right], dtype=float))
        if not falling or bottom > 0.99 * max(rims):  # between points this close it is rounding
            return
        if self.exact and self.diffusion.cost * 14 * ZOOM <= IN_DIGITS:
            # Where parts of the variance cancel, doubles see its bottom blurred.
            sure = many_digits(DIGITS[0], ENOUGH)
            with contextlib.suppress(*CANNOT):
                low, best, high, _ = self.zoom(left, right, sure, rounds=14, middle=middle)
        low, best, high = float(low), float(best), float(high)
        run = low < best < high and (self.variance(np.array([low, best, high])) < self.least).all()
        # Where doubles see a run of zeros there is a stretch, or a point where they underflow.
        if run and self.on_stretch(left, low, high, right):
            return
        with contextlib.suppress(*CANNOT):
            if self.exact:
                self.in_digits(low, best, high, right - left)
                return
        seen = _roundest(low, best, lambda x: not self.variance(np.array([x]))[0] > 0)
        self.zeros.append(Zero(seen, seen, False))

    def zoom(
        self, low: Any, high: Any, arithmetic: Arithmetic, rounds: int, middle: float | None = None
    ) -> tuple[Any, Any, Any, bool]:
        """Close in on the least variance between two points; whether it kept falling to the end.

        `middle` is a point where it is lower than at both ends.

        Falling is judged between the middle and the end of the zoom, over distances that shrink
        by the same factor as the variance should shrink if it is a power of the distance; and at
        the very end, unless so little is left that it may be rounding.
        """
        low, high = arithmetic.array([low])[0], arithmetic.array([high])[0]
        grain = self.diffusion.grain if arithmetic is DOUBLE else arithmetic.grain
        steps = arithmetic.array(np.arange(ZOOM)) / (ZOOM - 1)
        history: list[tuple[float, float]] = []  # log of the width, log of the variance at the rim
        best = (low + high) / 2
        for k in range(rounds):
            x = low + (high - low) * steps
            if k == 0 and middle is not None:
                rise = 2 * steps[: ZOOM // 2 + 1]
                halves = low + (middle - low) * rise, middle + (high - middle) * rise[1:]
                x = np.concatenate(halves)
            a = self.variance(x, arithmetic)
            a = np.where(arithmetic.isfinite(a), a, arithmetic.zero)
            lowest = np.flatnonzero(a == a.min())
            i = int(lowest[len(lowest) // 2])  # zeros that are underflow lie around the true one
            best = x[i]
            # A zero may be one of one side only: the lower of its neighbours tells.
            rims = [a[j] for j in (i - 1, i + 1) if 0 <= j < ZOOM]
            rim = min(rims)
            i = min(max(i, 1), ZOOM - 2)
            width = float(arithmetic.to_float(arithmetic.log(np.array([high - low])))[0])
            low, high = x[i - 1], x[i + 1]
            if arithmetic is not DOUBLE and 0 < a.max() <= a.min() * (1 + ROUNDING):
                return low, best, high, False  # the floor
            if rim <= (self.least if arithmetic is DOUBLE else 0):
                history.append((width, -math.inf))
                if max(rims) <= rim or k + 1 == rounds:
                    break
                continue  # two zeros in a row may be the edge of a stretch
            history.append((width, float(arithmetic.to_float(arithmetic.log(np.array([rim])))[0])))
            if not high - low > 64 * grain * abs(best):
                break
        half, (w2, a2) = len(history) // 2, history[-1]
        short = len(history) < 4 and not self.diffusion.is_rounded  # else a dip of rounding
        last = max(half, len(history) - 3) if history[0][1] - a2 < BLURRED else half
        falling = all(a - a2 > FLAT * (w - w2) for w, a in (history[half], history[last]))
        return low, best, high, short or math.isinf(a2) or falling

    def in_digits(self, low: float, best: float, high: float, room: float) -> None:
        """Collect the zero next to `best`, or the dip if it has a floor after all."""
        many = many_digits(DIGITS[1], ENOUGH)
        # Most zeros sit where somebody put them: at a number with few decimals.
        nice = _roundest(low, best, self.vanishes)
        if self.vanishes(nice):
            self.zeros.append(Zero(nice, nice, True))
            return
        wide = max(high - low, 1e-9 * room, 1e6 * float(np.spacing(abs(best))))
        at = self.pinned(many.array([best])[0], wide)
        if at is None:
            first, at, last, falling = self.zoom(best - wide, best + wide, many, rounds=30)
            at = self.pinned(at, last - first) if falling else at
            if at is None:
                at = self.zoom(first, last, many, rounds=POSITION_DIGITS + 20)[1]
        nearest = many.array([float(at)])[0]
        a_nearest, a_at = self.variance(np.array([nearest, at]), many)
        if a_nearest < 2 * a_at:  # nowhere is it lower than where it is known to be positive
            self.note_dip(nearest, many)
        elif self.falls_to_zero(at, many):
            exact = float(at) if at == nearest else at
            self.zeros.append(Zero(exact, exact, True))
        else:
            self.note_dip(at, many)

    def note_dip(self, at: Any, many: Arithmetic) -> None:
        """Collect a dip that is too narrow for doubles."""
        gap = many.array([float(np.spacing(abs(float(at))))])[0]
        r = gap * many.array(2.0 ** -np.arange(0.0, 800.0, 4))
        a = self.variance(np.concatenate([[at], at + r, at - r]), many)
        floor, sides = a[0], a[1:].reshape(2, -1).min(axis=0)
        risen = np.asarray(sides > 2 * floor, dtype=bool)
        if risen[0]:
            width = r[np.flatnonzero(risen)[-1]]
            size = max(abs(float(at)), float(gap))
            decades = math.log10(size) - float(many.log10(np.array([width]))[0])
            self.dips.append(Dip(float(at), math.ceil(decades), at))

    def vanishes(self, x: float) -> bool:
        """Whether the variance is zero at a double, or on one side of it."""
        many = many_digits(DIGITS[1], ENOUGH)
        return self.falls_to_zero(many.array([x])[0], many, exactly=True)

    def falls_to_zero(self, x: Any, many: Arithmetic, *, exactly: bool = False) -> bool:
        """Whether the variance goes on falling to a point, at distances that few floors allow.

        On one side is enough: the other one may be positive from the point on, and so may the
        value at the point itself, which counts only where the point is known `exactly`.
        """
        scale = max(abs(float(x)), self.whole)
        r = many.array(["1e-100", "1e-200"]) * scale
        here = self.variance(many.array([x]), many)
        if here[0] == 0 or not many.isfinite(here)[0]:
            return True

        def falls(near: Array) -> bool:
            if not (near[0] > 0 and many.isfinite(near).all()) or (exactly and near[1] >= here[0]):
                return False
            if not near[1] > 0:
                return True
            # From 1e-100 to 1e-200, and on to where the point is if not exactly there.
            logs = many.log(np.append(near, here))
            decades = -np.diff(logs) / math.log(10)
            return bool(decades[0] > 100 * FLAT) and (exactly or bool(decades[1] > 60 * FLAT))

        return any(falls(self.variance(x + side * r, many)) for side in (-1, 1))

    def pinned(self, x: Any, width: Any) -> Any:
        """The zero near x to `POSITION_DIGITS` digits, or None if it is not found.

        With a = (x - z)^m times something smooth, a / a' = (x - z) / m + ... has a simple zero at z
        whatever m is: the secant method finds it where the functions have a derivative.
        """
        many = many_digits(DIGITS[1], ENOUGH)
        goal = many.array([f"1e-{POSITION_DIGITS}"])[0] * max(abs(float(x)), self.whole)
        width = many.array([width])[0]

        def ratio(x: Any) -> Any:
            a, slope = evaluate(self.diffusion.variance, np.array([x]), order=1, arithmetic=many)
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
                    return None
                r_here = ratio(here)
        except (StationaryError, ZeroDivisionError, OverflowError):
            pass
        return None

    # -- what hides next to a zero -------------------------------------------------------------

    def beside(self, z: Zero, scan: Array) -> None:
        """Look for more on either side of a zero, from the scan's distances down to `CLOSEST`."""
        sure = many_digits(DIGITS[0], ENOUGH)
        for side, at in ((1, float(z.upper)), (-1, float(z.lower))):
            i = int(np.searchsorted(scan, at, side="right" if side > 0 else "left"))
            i += 1 if side > 0 else -2
            if not 0 <= i < len(scan):
                continue
            gap = abs(float(scan[i]) - at)
            least = max(CLOSEST * self.whole, 64 * float(np.spacing(abs(at))))
            if self.diffusion.is_rounded:  # zeros that a zoom could not tell apart are one
                least = max(least, 256 * self.diffusion.grain * abs(at))
            count = math.ceil(PER_OCTAVE * math.log2(max(gap / least, 1.0)))
            x = np.sort(at + side * np.append(least * 2.0 ** (np.arange(count) / PER_OCTAVE), gap))
            a = self.variance(x)
            dips = np.arange(1, len(x) - 1)
            dips = dips[(a[dips] <= a[dips - 1]) & (a[dips] < a[dips + 1])]
            dips = self.elsewhere(dips, x)
            if self.exact and len(dips) and len(dips) * self.diffusion.cost <= DEAR:
                # Many digits tell a dip from rounding, where they are not too dear.
                near = x[dips + np.array([[-1], [0], [1]])]
                with contextlib.suppress(*CANNOT):
                    b = self.variance(sure.array(near.ravel()), sure).reshape(3, -1)
                    dips = dips[np.asarray((b[1] <= b[0]) & (b[1] < b[2]), dtype=bool)]
            for k in dips:
                j = k - 1
                while j > 0 and a[j] <= self.least:  # the other end of a run of zeros
                    j -= 1
                if len(self.elsewhere(np.array([k]), x)):
                    self.between(x[j], (x[j + 1] + x[k]) / 2, x[k + 1])


def _roundest(low: float, high: float, accept: Any) -> float:
    """Of the numbers close to `high` the one with the fewest digits that is accepted."""
    top = math.floor(math.log10(abs(high))) if high else 0
    for digits in range(-1, 16):
        candidate = round(high, digits - 1 - top) + 0.0 if digits >= 0 else 0.0
        near = abs(candidate - high) <= 4 * max(abs(high - low), float(np.spacing(abs(high))))
        if near and accept(candidate):
            return candidate
    return high
