"""A closer look at places where the variance may vanish: a stretch, a point, or merely tiny."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np

from stationary.aliases import Array
from stationary.line.chart import CORE, middle_of
from stationary.line.sampled import DIGITS
from stationary.line.side_by_side import CANNOT, Search, side_by_side
from stationary.line.variance import ENOUGH, POSITION_DIGITS, ZOOM, Variance, roundest
from stationary.numbers.arithmetic import DOUBLE, Arithmetic, many_digits
from stationary.numbers.cost import IN_DIGITS
from stationary.numbers.elementary import arithmetic_of
from stationary.process.diffusion import DEAR, Diffusion
from stationary.process.ends import BESIDE

CLOSEST = 1e-13  # of the domain: zeros that are closer to each other are one
BLURRED = 2.0**20  # roundings of a position, across which doubles do not follow a dip to 1e-10
BLURRED_TO = 5  # of the distances at which a dip is looked at: a rounding of its position
DEPTH = 0.68  # sixteenths a digit: down to 247 decades below what doubles blur, in 300 digits
SHARP = 1e-9  # of a variance, by which it rises from a double to the next where these do not do
PER_OCTAVE = 8  # points around a zero, in whose neighbourhood another one may hide
ROUNDED = 2  # spacings of doubles, by which an end may be off that somebody added up
LOST = 1 / 16  # of a variance, where doubles do not tell how far its zero is from 0
LOSES = 8  # times the rounding of a variance that is seen next to an end, which it may have there


@dataclass(frozen=True)
class Zero:
    """A point, or a whole stretch, where the variance is zero."""

    lower: Any  # float, or an mpmath number where no double is the exact position
    upper: Any  # the same as lower for a point
    decided: bool  # whether zero was told from tiny; functions in doubles only cannot do that
    pole: bool = False  # whether it is the drift that is singular there, not the variance

    @property
    def is_stretch(self) -> bool:
        return bool(self.lower < self.upper)


@dataclass(frozen=True)
class Dip:
    """A point where the variance is positive, but falls to it within less than doubles can tell."""

    position: float
    digits: int  # of the position, to tell points of the dip apart
    place: Any  # the position, with all the digits that were found

    @property
    def upper(self) -> float:
        return self.position


Found = Zero | Dip | None
Bottom = tuple[Found, bool]
FarOut = TypeVar("FarOut", Zero, Dip)


class Look:
    """A closer look at places where the variance may vanish; what is found is collected."""

    def __init__(self, diffusion: Diffusion, exact: bool) -> None:
        self.diffusion = diffusion
        self.variance = Variance(diffusion, exact)
        self.zeros: list[Zero] = []
        self.dips: list[Dip] = []

    def elsewhere(self, indices: Array, x: Array) -> Array:
        """Those of the indices between whose neighbours among the points x no zero is known."""
        for z in self.zeros:
            low, high = float(z.lower), float(z.upper)
            indices = indices[(x[indices + 1] < low) | (x[indices - 1] > high)]
        return indices

    def far(self, places: Iterable[FarOut]) -> list[FarOut]:
        """Those outside the core of an infinite domain."""
        lower, upper = self.diffusion.domain
        if math.isfinite(upper - lower):
            return []
        middle = middle_of(self.diffusion)
        return [p for p in places if abs(float(p.upper) - middle) > 2 * CORE]

    def collect(self, searches: Sequence[Search[Found]]) -> None:
        """Search side by side, and keep what is found inside the domain."""
        lower, upper = self.diffusion.domain
        for found in side_by_side(self.diffusion, searches):
            if isinstance(found, Zero):
                if float(found.lower) < upper and float(found.upper) > lower:
                    self.zeros.append(found)
            elif found is not None:
                self.dips.append(found)

    # -- stretches -----------------------------------------------------------------------------

    def on_stretch(
        self,
        outside_left: float | None,
        low: float,
        high: float,
        outside_right: float | None,
        beyond: bool = False,
    ) -> Search[Zero | None]:
        """The stretch from `low` to `high` with all that belongs to it, if the variance is 0 there.

        Where there is nothing outside, it reaches to the end of the domain. Where it lies `beyond`
        what anything is left of, its edges are doubles.
        """
        # The ends exactly, however far apart they are.
        inside = [low * (1 - share) + high * share for share in (0.0, 0.3, 0.5, 0.7, 1.0)]
        left, right = self.diffusion.domain
        with contextlib.suppress(*CANNOT):
            if (yield from self.variance.vanishing(inside)).all():
                if outside_left is not None:
                    left = yield from self.variance.edge(outside_left, low, beyond)
                if outside_right is not None:
                    right = yield from self.variance.edge(outside_right, high, beyond)
                if right - left <= CLOSEST * self.variance.whole:
                    left = right = next(roundest(float(left), float(right)))  # made by rounding
                return Zero(left, right, self.variance.exact)
        return None

    # -- points --------------------------------------------------------------------------------

    def between(self, left: float, middle: float, right: float) -> Search[Found]:
        """What is at the bottom of a dip: a stretch, a zero, a dip that is narrow, or a floor."""
        look = self.variance
        low, best, high, falling = yield from look.zoom(
            left, right, DOUBLE, rounds=14, middle=middle
        )
        bottom, *rims = yield from look.at([best, left, right])
        beside = yield from look.at([low, high])
        sharp = look.exact and beside.min() > (1 + SHARP) * bottom
        if not (falling or sharp) or bottom > 0.99 * max(rims):  # this close it is rounding
            return None
        if look.exact and self.diffusion.cost * 14 * ZOOM <= IN_DIGITS:
            # Where parts of the variance cancel, doubles see its bottom blurred.
            sure = many_digits(DIGITS[0], ENOUGH)
            with contextlib.suppress(*CANNOT):
                low, best, high, _ = yield from look.zoom(
                    left, right, sure, rounds=14, middle=middle
                )
        low, best, high = float(low), float(best), float(high)
        # Where doubles see a run of zeros there is a stretch, or a point where they underflow.
        if low < best < high and (yield from look.tiny([low, best, high])).all():
            found = yield from self.on_stretch(left, low, high, right)
            if found is not None:
                return found
        with contextlib.suppress(*CANNOT):
            if look.exact:
                return (yield from self.in_digits(low, best, high, right - left))
        if not falling:
            return None
        for seen in roundest(low, best):
            if not (yield from look.at([seen]))[0] > 0:
                break
        return Zero(seen, seen, False)

    def in_digits(self, low: float, best: float, high: float, room: float) -> Search[Found]:
        """The zero next to `best`, or the dip if it has a floor that 1200 digits tell from one."""
        look, found = self.variance, None
        # Most zeros sit where somebody put them: at a number with few decimals.
        for nice in roundest(low, best):
            if (yield from look.vanishes(nice)):
                return Zero(nice, nice, True)
        wide = max(high - low, 1e-9 * room, 1e6 * float(np.spacing(abs(best))))
        for digits in DIGITS[1:]:
            found, narrower = yield from self._bottom_near(best, wide, many_digits(digits, ENOUGH))
            if not narrower:  # else it may be the side of a zero that is nearer by than was seen
                return found
        return Zero(found.place, found.place, False) if isinstance(found, Dip) else found

    def _bottom_near(self, best: float, wide: float, many: Arithmetic) -> Search[Bottom]:
        """The zero or dip next to `best`, and whether the dip is narrower than these digits see."""
        look = self.variance
        at = yield from look.pinned(many.array([best])[0], wide)
        if at is None:
            first, at, last, falling = yield from look.zoom(
                best - wide, best + wide, many, rounds=30
            )
            at = (yield from look.pinned(at, last - first)) if falling else at
            if at is None:
                _, at, *_ = yield from look.zoom(first, last, many, rounds=POSITION_DIGITS + 20)
        many = arithmetic_of(at)
        nearest = many.array([float(at)])[0]
        a_nearest, a_at = yield from look.at([nearest, at], many)
        if a_nearest < 2 * a_at:  # nowhere is it lower than where it is known to be positive
            return (yield from self.dip(nearest, many))
        if (yield from look.falls_to_zero(at, many)):
            exact = float(at) if at == nearest else at
            return Zero(exact, exact, True), False
        return (yield from self.dip(at, many))

    def dip(self, at: Any, many: Arithmetic) -> Search[Bottom]:
        """The dip there, if it is too narrow for doubles: panels of these end in it."""
        gap = BLURRED * many.array([float(np.spacing(abs(float(at))))])[0]
        r = gap * np.cumprod(many.array(np.full(int(DEPTH * many.digits), 1 / 16)))
        a = yield from self.variance.at(np.concatenate([[at], at + r, at - r]), many)
        floor, sides = a[0], a[1:].reshape(2, -1).min(axis=0)
        risen = np.asarray(sides > 2 * floor, dtype=bool)
        if risen[0]:
            width = r[np.flatnonzero(risen)[-1]]
            size = max(abs(float(at)), float(gap))
            decades = math.log10(size) - float(many.log10(np.array([width]))[0])
            return Dip(float(at), math.ceil(decades), at), bool(risen.all())
        next_to_it = np.asarray(sides > (1 + SHARP) * floor, dtype=bool)[BLURRED_TO]
        return (Dip(float(at), ENOUGH, at) if next_to_it else None), False

    # -- what hides next to a zero -------------------------------------------------------------

    def beside(self, z: Zero, scan: Array) -> None:
        """Look for more on either side of a zero, from the scan's distances down to `CLOSEST`."""
        sides = [(side, float(z.upper if side > 0 else z.lower)) for side in (1, -1)]
        for places in side_by_side(self.diffusion, [self.near(*s, scan) for s in sides]):
            self.collect([self.between(*place) for place in places])

    def near(self, side: int, at: float, scan: Array) -> Search[list[tuple[float, float, float]]]:
        """Dips on one side of a zero: what lies to the left, within, and to the right of each."""
        sure = many_digits(DIGITS[0], ENOUGH)
        i = int(np.searchsorted(scan, at, side="right" if side > 0 else "left"))
        i += 1 if side > 0 else -2
        if not 0 <= i < len(scan):
            return []
        gap = abs(float(scan[i]) - at)
        least = max(CLOSEST * self.variance.whole, 64 * float(np.spacing(abs(at))))
        if self.diffusion.is_rounded:  # zeros that a zoom could not tell apart are one
            least = max(least, 256 * self.diffusion.grain * abs(at))
        count = math.ceil(PER_OCTAVE * math.log2(max(gap / least, 1.0)))
        x = np.sort(at + side * np.append(least * 2.0 ** (np.arange(count) / PER_OCTAVE), gap))
        a = yield from self.variance.at(x)
        dips = np.arange(1, len(x) - 1)
        dips = dips[(a[dips] <= a[dips - 1]) & (a[dips] < a[dips + 1])]
        dips = self.elsewhere(dips, x)
        if self.variance.exact and len(dips) and len(dips) * self.diffusion.cost <= DEAR:
            # Many digits tell a dip from rounding, where they are not too dear.
            around = x[dips + np.array([[-1], [0], [1]])]
            with contextlib.suppress(*CANNOT):
                b = (yield from self.variance.at(around.ravel(), sure)).reshape(3, -1)
                dips = dips[np.asarray((b[1] <= b[0]) & (b[1] < b[2]), dtype=bool)]
        places = []
        for k in dips:
            j = k - 1
            while j > 0 and a[j] <= self.variance.least:  # the other end of a run of zeros
                j -= 1
            places.append((x[j], (x[j + 1] + x[k]) / 2, x[k + 1]))
        return places


# -- ends of a domain that are zeros but for rounding ---------------------------------------------
# A domain (c, c + h) and a variance (x - c) (c + h - x) are meant to end at one point. As doubles
# they miss each other by a rounding, and the variance at the end is -7e-17 or 4e-17: not what says
# whether that end is a wall, or somewhere that the process is never seen again from.


def with_exact_ends(diffusion: Diffusion) -> Diffusion:
    """The same, with the zeros of its variance that are its ends but for rounding."""
    if not diffusion.affords_digits or diffusion.is_rounded or diffusion.is_periodic:
        return diffusion
    sides = [
        side
        for side, end in enumerate(diffusion.domain)
        if math.isfinite(end) and diffusion.exact_ends[side] is None
    ]
    ends = list(diffusion.exact_ends)
    for side, zero in zip(
        sides, side_by_side(diffusion, [_zero_at(diffusion, side) for side in sides]), strict=True
    ):
        ends[side] = zero
    return replace(diffusion, exact_ends=tuple(ends)) if any(ends) else diffusion


def _zero_at(diffusion: Diffusion, side: int) -> Search[Any]:
    """The zero that an end of the domain stands for; None if there is none, or it is that itself.

    It is as near as numbers are that were rounded, or nearer than the variance knows in doubles.
    """
    look, end = Variance(diffusion, exact=True), diffusion.domain[side]
    spacing, inwards = float(np.spacing(abs(end) or look.whole)), 1 - 2 * side
    reach = inwards * spacing * BESIDE
    x = end + reach * np.append(0.0, 2.0 ** np.arange(-16.0, 1.0))
    try:
        rough = yield from look.at(x)
        if not abs(rough[0]) <= rough[-1] / 2:  # both 0 where doubles cancel
            return None
        few, many = (many_digits(digits, ENOUGH) for digits in DIGITS[:2])
        exact = yield from look.at(few.array(x), few)
        if not few.isfinite(exact).all() or exact[0] == 0:
            return None
        zero = yield from look.pinned(many.array([end])[0], reach)
        if zero is None:
            return None
        if not (yield from look.falls_to_zero(zero, arithmetic_of(zero))):
            return None
    except CANNOT:
        return None
    if not end:  # next to which doubles tell all that does not cancel
        x = abs(float(zero)) * inwards * 2.0 ** np.arange(1.0, 9.0)
        rough, exact = (yield from look.at(x)), (yield from look.at(few.array(x), few))
        return zero if np.abs(few.to_float(rough / exact) - 1).max() > LOST else None
    lost = LOSES * np.abs(few.to_float(exact - few.array(rough))).max()
    near = abs(float(zero - end)) <= ROUNDED * spacing
    return zero if near or abs(float(exact[0])) <= lost else None
