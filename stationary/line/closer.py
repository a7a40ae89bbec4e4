"""A closer look at places where the variance may vanish: a stretch, a point, or merely tiny."""

from __future__ import annotations

import contextlib
import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from stationary.aliases import Array
from stationary.line.chart import CORE
from stationary.line.sampled import DIGITS
from stationary.line.variance import CANNOT, ENOUGH, POSITION_DIGITS, ZOOM, Variance, roundest
from stationary.numbers.arithmetic import DOUBLE, Arithmetic, many_digits
from stationary.numbers.cost import IN_DIGITS
from stationary.process.diffusion import DEAR, Diffusion

CLOSEST = 1e-13  # of the domain: zeros that are closer to each other are one
PER_OCTAVE = 8  # points around a zero, in whose neighbourhood another one may hide


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
        self.variance = Variance(diffusion, exact)
        self.zeros: list[Zero] = []
        self.dips: list[Dip] = []

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
            if self.variance.vanishing(inside).all():
                self.collect_stretch(low, high, outside_left, outside_right)
                return True
        return False

    def collect_stretch(
        self, low: float, high: float, outside_left: float | None, outside_right: float | None
    ) -> None:
        lower, upper = self.diffusion.domain
        left = lower if outside_left is None else self.variance.edge(outside_left, low)
        right = upper if outside_right is None else self.variance.edge(outside_right, high)
        if right - left <= CLOSEST * self.variance.whole:
            left = right = roundest(left, right, lambda x: True)  # rounding makes it a stretch
        self.zeros.append(Zero(left, right, self.variance.exact))

    # -- points --------------------------------------------------------------------------------

    def between(self, left: float, middle: float, right: float) -> None:
        """What is at the bottom of a dip: a stretch, a zero, a dip that is narrow, or a floor."""
        low, best, high, falling = self.variance.zoom(left, right, DOUBLE, rounds=14, middle=middle)
        bottom, *rims = self.variance(np.array([best, left, right], dtype=float))
        if not falling or bottom > 0.99 * max(rims):  # between points this close it is rounding
            return
        if self.variance.exact and self.diffusion.cost * 14 * ZOOM <= IN_DIGITS:
            # Where parts of the variance cancel, doubles see its bottom blurred.
            sure = many_digits(DIGITS[0], ENOUGH)
            with contextlib.suppress(*CANNOT):
                low, best, high, _ = self.variance.zoom(left, right, sure, rounds=14, middle=middle)
        low, best, high = float(low), float(best), float(high)
        run = low < best < high and self.variance.tiny(np.array([low, best, high])).all()
        # Where doubles see a run of zeros there is a stretch, or a point where they underflow.
        if run and self.on_stretch(left, low, high, right):
            return
        with contextlib.suppress(*CANNOT):
            if self.variance.exact:
                self.in_digits(low, best, high, right - left)
                return
        seen = roundest(low, best, lambda x: not self.variance(np.array([x]))[0] > 0)
        self.zeros.append(Zero(seen, seen, False))

    def in_digits(self, low: float, best: float, high: float, room: float) -> None:
        """Collect the zero next to `best`, or the dip if it has a floor after all."""
        many = many_digits(DIGITS[1], ENOUGH)
        # Most zeros sit where somebody put them: at a number with few decimals.
        nice = roundest(low, best, self.variance.vanishes)
        if self.variance.vanishes(nice):
            self.zeros.append(Zero(nice, nice, True))
            return
        wide = max(high - low, 1e-9 * room, 1e6 * float(np.spacing(abs(best))))
        at = self.variance.pinned(many.array([best])[0], wide)
        if at is None:
            first, at, last, falling = self.variance.zoom(best - wide, best + wide, many, rounds=30)
            at = self.variance.pinned(at, last - first) if falling else at
            if at is None:
                at = self.variance.zoom(first, last, many, rounds=POSITION_DIGITS + 20)[1]
        nearest = many.array([float(at)])[0]
        a_nearest, a_at = self.variance(np.array([nearest, at]), many)
        if a_nearest < 2 * a_at:  # nowhere is it lower than where it is known to be positive
            self.note_dip(nearest, many)
        elif self.variance.falls_to_zero(at, many):
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
            least = max(CLOSEST * self.variance.whole, 64 * float(np.spacing(abs(at))))
            if self.diffusion.is_rounded:  # zeros that a zoom could not tell apart are one
                least = max(least, 256 * self.diffusion.grain * abs(at))
            count = math.ceil(PER_OCTAVE * math.log2(max(gap / least, 1.0)))
            x = np.sort(at + side * np.append(least * 2.0 ** (np.arange(count) / PER_OCTAVE), gap))
            a = self.variance(x)
            dips = np.arange(1, len(x) - 1)
            dips = dips[(a[dips] <= a[dips - 1]) & (a[dips] < a[dips + 1])]
            dips = self.elsewhere(dips, x)
            if self.variance.exact and len(dips) and len(dips) * self.diffusion.cost <= DEAR:
                # Many digits tell a dip from rounding, where they are not too dear.
                near = x[dips + np.array([[-1], [0], [1]])]
                with contextlib.suppress(*CANNOT):
                    b = self.variance(sure.array(near.ravel()), sure).reshape(3, -1)
                    dips = dips[np.asarray((b[1] <= b[0]) & (b[1] < b[2]), dtype=bool)]
            for k in dips:
                j = k - 1
                while j > 0 and a[j] <= self.variance.least:  # the other end of a run of zeros
                    j -= 1
                if len(self.elsewhere(np.array([k]), x)):
                    self.between(x[j], (x[j + 1] + x[k]) / 2, x[k + 1])
