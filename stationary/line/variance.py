"""The variance of a process where it may vanish: whether it does, and exactly where.

Doubles cannot tell: 1e-400 is zero to them, and so is a variance whose parts cancel to 1e-40. So
what they call zero is evaluated in more and more digits. At a true zero the variance keeps falling
as the point is approached, at a tiny value it stays.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from stationary.aliases import Array
from stationary.errors import StationaryError
from stationary.line.chart import CORE
from stationary.line.sampled import DIGITS
from stationary.line.side_by_side import CANNOT, Ask, Search
from stationary.numbers.arithmetic import DOUBLE, ROUNDING, TINY, Arithmetic, many_digits
from stationary.numbers.elementary import arithmetic_of
from stationary.process.diffusion import Diffusion

ENOUGH = DOUBLE.digits  # of a variance, to tell whether it is zero
ZOOM = 17  # points per round of a zoom, which then keeps an eighth
FLAT = 0.05  # an exponent below this is none
BLURRED = 14.0  # e-folds that a variance falls before cancelling parts may hide that it falls on
POSITION_DIGITS = 260  # to which a zero is pinned down, if it is not a double
PARTS = 32  # that a distance in which the variance jumps is cut into at once
ROUNDS = 180  # of these, from between two doubles: more than `POSITION_DIGITS`
LOST = 1e-24  # gradients that differ by less, squared and relative, have cancelled in doubles


def cancelled(diffusion: Diffusion, f: Array, a: Array) -> Array:
    """Where a variance is as good as zero beside a drift, because gradients cancel in it."""
    if diffusion.pair is None:
        return np.zeros(np.shape(a), dtype=bool)
    return np.asarray(a < LOST * f * f)


@dataclass(frozen=True)
class Variance:
    """The variance of a process, looked at closely."""

    diffusion: Diffusion
    exact: bool  # whether many digits can be evaluated

    @property
    def least(self) -> float:
        """What is not zero to doubles."""
        return self.diffusion.least_variance

    @cached_property
    def whole(self) -> float:
        """The length by which distances are judged: of the domain, or of its core."""
        lower, upper = self.diffusion.domain
        return upper - lower if math.isfinite(upper - lower) else CORE

    def at(self, x: Any, arithmetic: Arithmetic = DOUBLE) -> Search[Array]:
        """Its values at points."""
        _, a = yield Ask(x, arithmetic)
        return a

    def tiny(self, x: Any) -> Search[Array]:
        """Where the variance is zero, or so small that many digits have to tell."""
        f, a = yield Ask(np.array(x, dtype=float))
        return np.asarray(a < self.least) | (self.exact & cancelled(self.diffusion, f, a))

    def vanishing(self, points: Sequence[Any] | Array) -> Search[Array]:
        """At which of the points the variance is exactly zero, in as many digits as there are."""
        found = yield from self.tiny(points)
        for digits in DIGITS if self.exact else ():
            if found.any():
                many = many_digits(digits, ENOUGH)
                here = many.array(np.array(points, dtype=object)[found])
                found[found] = np.asarray((yield from self.at(here, many)) == 0, dtype=bool)
        return found

    def vanishes(self, x: float) -> Search[bool]:
        """Whether the variance is zero at a double, or on one side of it."""
        many = many_digits(DIGITS[1], ENOUGH)
        return (yield from self.falls_to_zero(many.array([x])[0], many, exactly=True))

    def falls_to_zero(self, x: Any, many: Arithmetic, *, exactly: bool = False) -> Search[bool]:
        """Whether the variance goes on falling to a point, at distances that few floors allow.

        On one side is enough: the other one may be positive from the point on, and so may the
        value at the point itself, which counts only where the point is known `exactly`.
        """
        scale = max(abs(float(x)), self.whole)
        r = many.array(["1e-100", "1e-200"]) * scale
        here = yield from self.at(many.array([x]), many)
        if here[0] == 0 or not many.isfinite(here)[0]:
            return True

        def falls(near: Array) -> bool:
            if not (near[0] > 0 and many.isfinite(near).all()) or (exactly and near[1] >= here[0]):
                return False
            if not near[1] > 0:
                return True
            # From 1e-100 to 1e-200, and on to where the point is if not exactly there.
            logs = many.log(np.append(near, np.abs(here)))  # beyond an end it may be negative
            decades = -np.diff(logs) / math.log(10)
            return bool(decades[0] > 100 * FLAT) and (exactly or bool(decades[1] > 60 * FLAT))

        for side in (-1, 1):
            if falls((yield from self.at(x + side * r, many))):
                return True
        return False

    def zoom(
        self, low: Any, high: Any, arithmetic: Arithmetic, rounds: int, middle: float | None = None
    ) -> Search[tuple[Any, Any, Any, bool]]:
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
            a = yield from self.at(x, arithmetic)
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

    def pinned(self, x: Any, width: Any) -> Search[Any]:
        """The zero near x to `POSITION_DIGITS` digits, or so many of more; None if not found.

        With a = (x - z)^m times something smooth, a / a' = (x - z) / m + ... has a simple zero at z
        whatever m is: the secant method finds it where the functions have a derivative. It comes
        from above, or from below if `width` is negative. Parts that cancel, as in 1 - sin(x)^2,
        hide it below a part of the digits: then it is looked for in more, and comes in these.
        """
        known = arithmetic_of(x).digits
        for digits in (d for d in DIGITS[1:] if d >= known):
            many = many_digits(digits, ENOUGH)
            here, gap, near = many.array([x, width, f"1e-{POSITION_DIGITS * known // DIGITS[1]}"])
            near = near * max(abs(float(x)), self.whole)
            zero, hidden = yield from self._by_secants(here, gap, near, many)
            if not hidden:
                return zero
        return None

    def _by_secants(
        self, x: Any, width: Any, goal: Any, many: Arithmetic
    ) -> Search[tuple[Any, bool]]:
        """The zero near x, or None, and whether it takes more digits to tell."""
        sizes = []

        def ratio(x: Any, many: Arithmetic = many) -> Search[Any]:
            a, slope = yield Ask(many.array([x]), many, slope=True)
            sizes.append(abs(a[0]))
            return a[0] / slope[0] if a[0] != 0 else many.zero

        first, last = sorted((x - width, x + width))
        try:
            before, here = x + width, x + width / 3
            r_before = yield from ratio(before)
            r_here = yield from ratio(here)
            for _ in range(40):
                if r_here == 0:
                    more = many_digits(DIGITS[-1], ENOUGH)
                    return here, abs((yield from ratio(here, more))) > goal
                if r_here == r_before:
                    return here, False
                step = r_here * (here - before) / (r_here - r_before)
                before, r_before = here, r_here
                here = here - step
                if abs(step) < goal:
                    return here, False
                if not first < here < last:
                    break
                r_here = yield from ratio(here)
        except (StationaryError, ZeroDivisionError, OverflowError):
            pass
        lost = many.sqrt(np.array([many.grain]))[0]  # as much of a fall as is half of the digits
        return None, bool(sizes) and min(sizes) < lost * sizes[0]

    def edge(self, outside: float, inside: float, roughly: bool = False) -> Search[Any]:
        """The last double without noise, or the first with it; the variance is 0 at `inside`.

        In many digits, unless it is wanted `roughly`.
        """
        a, b = float(outside), float(inside)
        while abs(b - a) > 2 * np.spacing(max(abs(a), abs(b))):
            x = _from(a, b)
            zero = yield from self.vanishing(x)
            last = int(np.flatnonzero(~zero)[-1]) if not zero.all() else 0
            if last + 1 >= len(x) or (x[last], x[last + 1]) == (a, b):
                break
            a, b = float(x[last]), float(x[last + 1])
        for nice in roundest(a, b):
            if (yield from self.vanishing([nice, np.nextafter(nice, inside)])).any():
                break
        nice = nice if abs(nice) >= TINY else 0.0  # beside which products underflow
        if roughly or not self.exact:
            return nice
        return (yield from self._edge_in_digits(a, nice, np.nextafter(nice, inside)))

    def _edge_in_digits(self, outside: float, seen: float, inside: float) -> Search[Any]:
        """The same to `POSITION_DIGITS` digits, where that `seen` in doubles is not the edge.

        By the secant method on a / a', as in `pinned`, from outside. Where a step leads into the
        stretch, the next one goes back by more than what it was wrong by and less than its length.
        """
        many = many_digits(DIGITS[1], ENOUGH)
        side = 1 if outside > inside else -1
        scale = many.array([max(abs(inside), self.whole)])[0]
        goal = many.array([f"1e-{POSITION_DIGITS}"])[0] * scale

        def ratio(x: Any) -> Search[Any]:
            a, slope = yield Ask([x], many, slope=True)
            return a[0] / slope[0] if a[0] > 0 and slope[0] != 0 else None

        with contextlib.suppress(*CANNOT, ZeroDivisionError):
            jump = yield from self._jump(outside, seen, inside, goal, many)
            if jump is not None:
                return jump
            if (
                yield from ratio(many.array([seen])[0])
            ) is None:  # else the edge is between it and `inside`
                inside = seen
            zero, gap = many.array([inside])[0], outside - inside
            for _ in range(4):  # what doubles see outside may be their rounding
                before, here = many.array([inside + 4 * gap, inside + gap])
                r_before = yield from ratio(before)
                r_here = yield from ratio(here)
                if r_here is not None:
                    break
                gap *= 4
            beside = yield from ratio(zero + side * goal)
            if beside is not None or r_before is None or r_here is None:
                return seen
            furthest = before
            for _ in range(60):
                new = here - r_here * (here - before) / (r_here - r_before)
                if (new - furthest) * side > 0:
                    return seen  # the variance jumps here: that is another zero, on its own
                r_new = (yield from ratio(new)) if (new - zero) * side > 0 else None
                if r_new is None:
                    zero = max(new, zero) if side > 0 else min(new, zero)
                    back = abs(here - zero)
                    back = back * many.sqrt(np.array([back / scale]))[0]
                    further = 16
                    while r_new is None and back < abs(here - zero):
                        new, back, further = zero + side * back, further * back, further**2
                        r_new = yield from ratio(new)
                if r_new is None:
                    # Gradients that cancel to half of the digits: their squares leave no more.
                    return zero if abs(here - zero) ** 2 < goal * scale else seen
                if min(abs(new - zero), abs(new - here)) < goal:
                    return zero if abs(new - zero) < goal else new
                before, here, r_before, r_here = here, new, r_here, r_new
        return seen

    def _jump(
        self, outside: float, seen: float, inside: float, goal: Any, many: Arithmetic
    ) -> Search[Any]:
        """Where the variance jumps from 0 to what it is `outside`; None if it does not.

        The last zero of a gradient that changes its sign is no double as a rule: by halving.
        """
        wider = [inside + 4**k * (outside - inside) for k in range(1, 5)]
        ends = [inside, seen, outside, *wider]  # what doubles see outside may be their rounding
        a = yield from self.at(many.array(ends), many)
        k = int(np.argmax(np.asarray(a > 0, dtype=bool)))
        if not k:
            return None
        zero, noisy, most = ends[k - 1], ends[k], a[k]

        for _ in range(ROUNDS):
            first, last = many.array([zero, noisy])
            gap = last - first
            step = min(goal, abs(gap) / 4) * (1 if gap > 0 else -1)
            # As a rule it jumps at a number that somebody wrote, which is a double.
            x = list(np.linspace(float(zero), float(noisy), PARTS + 1)[1:-1])
            if not all(min(zero, noisy) < place < max(zero, noisy) for place in x):
                x = list(first + gap * many.array(np.arange(1, PARTS)) / PARTS)
            points = np.concatenate([[first + step, last - step], many.array(x)])
            values = yield from self.at(points, many)
            if values[0] > 0:
                return zero if values[0] > most / 2 else None
            if not values[1] > 0:
                return noisy
            k = int(np.argmax(np.asarray([*(values[2:] > 0), True], dtype=bool)))
            if k < len(x) and values[2 + k] <= most / 2:
                return None
            zero, noisy = x[k - 1] if k else zero, x[k] if k < len(x) else noisy
        return zero


def _from(a: float, b: float) -> Array:
    """Places from one number to another: with 0 where that is between them, and by their size
    where that differs by much, so that 0 is not approached for ever."""
    if np.sign(a) * np.sign(b) < 0:
        x = np.sort(np.append(np.linspace(a, b, ZOOM), 0.0))
        return np.asarray(x if a < b else x[::-1])
    far = a if abs(a) > abs(b) else b
    if min(abs(a), abs(b)) > abs(far) / ZOOM:
        return np.linspace(a, b, ZOOM)
    least = np.finfo(float).tiny
    x = np.copysign(np.geomspace(max(abs(a), least), max(abs(b), least), ZOOM), far)
    x[0], x[-1] = a, b
    return np.asarray(x)


def roundest(low: float, high: float) -> Iterator[float]:
    """Numbers close to `high`, those with the fewest digits first, and last itself."""
    top = math.floor(math.log10(abs(high))) if high else 0
    near = 4 * max(abs(high - low), float(np.spacing(abs(high))))
    before = None
    for digits in range(-1, 16):
        candidate = round(high, digits - 1 - top) + 0.0 if digits >= 0 else 0.0
        if candidate not in (before, high) and abs(candidate - high) <= near:
            yield candidate
            before = candidate
    yield high
