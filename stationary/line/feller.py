"""Feller's classes, from the powers with which potential and variance go at a singular point.

With r the distance to the point (or to where distances count from, at an infinite end), what
decides is d Phi / d log r, where Phi = int 2 f / a, and d log a / d log r: whether the integral of
e^(s Phi) a^-k converges follows for any s and k. Both are read in many digits, at distances no
double could carry, wherever the user's functions allow it; so each side of a point has its own
limits, and what the functions are at the point itself is never asked.

References
----------
.. [1] S. Karlin and H. M. Taylor, *A Second Course in Stochastic Processes*, ch. 15.6.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from stationary.aliases import Array
from stationary.numbers.arithmetic import DOUBLE, Arithmetic
from stationary.numbers.elementary import arithmetic_of, as_array, number

PROBE = 60  # exponents are read at the distances (or their inverses) 10^60 and 10^120
VANISHES = 1e-6  # a drift with a power below this does not vanish
CRITICAL = 1e-14  # an exponent this close to where an integral ceases to converge is there
SETTLED = 1e-12  # an exponent that changes by less between the last probes is one
GROWS = 1.1  # |log r| + c, from the first probe to the last, four times as far
CANCELS = 1e-14  # of two powers, what doubles that users write leave where they should cancel
BEYOND = 1e6  # more than any power in doubles
STEADY = 0.9  # ratio of the changes from probe to probe, above which they may never end


class Feller(Enum):
    """Feller's class of an end."""

    WALL = "regular"  # finite, with noise: the process reaches it and a boundary condition acts
    REGULAR = "regular, singular"  # reached and left; needs a boundary condition all the same
    EXIT = "exit"  # reached in finite time, never left
    ENTRANCE = "entrance"  # never reached from inside, but a process can start there
    NATURAL = "natural"  # neither reached nor left in finite time
    ATTRACTING = "natural, attracting"  # approached for ever, never reached
    UNDECIDED = "not decided"
    JOINED = "joined"  # no end at all: a ring runs on at its other end


class Exponent(NamedTuple):
    """A power of r and its error: infinite beyond all powers, nan if not settled."""

    value: Any
    error: float


@dataclass(frozen=True, eq=False)
class Exponents:
    """How potential and variance go with the distance r from a point, or from far away.

    Rows of values at probes that lie ever closer to the end (ever further out).
    """

    potential: Array  # d Phi / d log r, Phi = int 2 f / a
    variance: Array  # d log a / d log r
    outward: bool
    convention: float
    drift: Array | None = None  # d log |f| / d log r of the drift in its Ito form; None where zero
    ahead: bool = False  # whether that drift points to larger r at the last probe
    arithmetic: Arithmetic | None = None  # of the probes; None: octaves of a sampling in doubles
    log_r: Array | None = None  # at the probes, where they lie far apart
    rounding: tuple[float, float, float] = (0.0, 0.0, 0.0)  # of the three, as it states them
    change: float = 1e-3  # from octave to octave, beyond which they have no limit
    averaged: bool = False  # means over many octaves, around which they oscillate for ever
    period: float | None = None  # after which drift and variance repeat themselves, for ever

    def of(self, s: Any, k: float) -> Exponent:
        """The power of r that the integral of e^(s Phi) a^-k goes with: its integrand's plus 1.

        The limit is taken of the combination, in the digits of the probes: what cancels does.
        """
        rounding = float(abs(s)) * self.rounding[0] + abs(k) * self.rounding[1]
        return self._limit(self._powers(s, k), rounding)

    def _powers(self, s: Any, k: float) -> Array:
        s = number(arithmetic_of(self.potential).array([s])[0])
        return as_array(s * self.potential - k * self.variance + 1)

    def logarithm(self, s: Any, k: float) -> tuple[Any, Any] | None:
        """b and c where e^(s Phi) a^-k goes as 1 / (r (|log r| + c)^b), exactly; else None.

        Then the power is b / (|log r| + c) short of where its integral diverges, whatever r is.
        """
        if self.log_r is None:
            return None
        short, y = self._powers(s, k) * (-1 if self.outward else 1), np.abs(self.log_r)
        if not (short != 0).all() or float(abs(short[0])) > 1:
            return None
        inverse = 1 / short
        slope = (inverse[-1] - inverse[0]) / (y[-1] - y[0])
        off = np.abs(inverse - inverse[0] - slope * (y - y[0]))
        # A power that has a limit of its own, but for corrections, is none of these.
        if not inverse[-1] / inverse[0] > GROWS or not (off <= SETTLED * np.abs(inverse)).all():
            return None
        return 1 / slope, inverse[0] / slope - y[0]

    def converges(self, s: Any, k: float) -> bool | None:
        """Whether the integral of e^(s Phi) a^-k up to the end converges; None: not decided.

        Where it goes as log r it does not; as 1 / (r log^b r) it does for b > 1.
        """
        power = self.of(s, k)
        known = self._below_infinity(power)
        if known is False and math.isinf(power.value) and self._cancels(s, k):
            return None
        if known is None and (slow := self.logarithm(s, k)) is not None:
            return bool(slow[0] > 1 + SETTLED)
        return known

    def _cancels(self, s: Any, k: float) -> bool:
        """Whether what is left of potential and variance may be the rounding of numbers in them."""
        size = float(abs(s)) * abs(self.potential[-1]) + abs(k) * abs(self.variance[-1])
        return bool(abs(self._powers(s, k)[-1]) < CANCELS * size)

    def _below_infinity(self, power: Exponent) -> bool | None:
        towards = -power.value if self.outward else power.value
        if math.isnan(towards) or (power.error > CRITICAL and abs(towards) <= power.error):
            return None
        return bool(towards > CRITICAL)

    @property
    def _weights(self) -> tuple[tuple[int, float], tuple[int, float]]:
        return (-1, self.convention), (1, 1 - self.convention)

    @cached_property
    def feller(self) -> Feller:
        """Feller's class, from the convergence of three integrals up to the end.

        These are of the scale density e^-Phi a^-c, of the speed density e^Phi a^(c - 1), which is
        that without current, and of the time that it takes to come here or to leave.
        """
        scale, speed = (self.converges(*w) for w in self._weights)
        if scale is None or speed is None:
            return Feller.UNDECIDED
        if scale and speed:
            return Feller.REGULAR
        soon = self._below_infinity(self._time)
        if soon is None and any(self.rounding) and not math.isnan(self._time.value):
            soon = False  # to all digits that are known it is the border case, which is for ever
        if soon is None and self.averaged and not scale:
            soon = False  # it is not reached in any case
        if soon is None:
            return Feller.UNDECIDED
        if scale:
            return Feller.EXIT if soon else Feller.ATTRACTING
        return Feller.ENTRANCE if soon else Feller.NATURAL

    @property
    def _time(self) -> Exponent:
        """That of the speed density times the integral of the scale density.

        The product goes as r / a; where the scale density falls or grows beyond powers, as 1 / f.
        """
        if not math.isinf(self.of(*self._weights[0]).value):
            return self._limit(2 - self.variance, self.rounding[1])
        if self.drift is None:
            return Exponent(math.nan, 0.0)
        return self._limit(1 - self.drift, self.rounding[2])

    @property
    def order(self) -> float:
        """The power of r that the variance goes with."""
        return float(self._limit(self.variance, self.rounding[1]).value)

    @property
    def push(self) -> int:
        """+1 if the drift does not vanish at the end and points to larger r, -1 to smaller."""
        if self.drift is None:
            return 0
        power = float(self._limit(self.drift, self.rounding[2]).value)
        if self.arithmetic is None:  # a slope between two octaves, which few powers are as small as
            power = math.nan if power > 0.1 else min(power, 0.0)
        if not power <= VANISHES:
            return 0
        return 1 if self.ahead else -1

    def _limit(self, values: Array, rounding: float) -> Exponent:
        if self.averaged:
            mean, error = float(values.mean()), 2 * float(np.ptp(values)) + rounding
            return Exponent(mean if error < abs(mean) else math.nan, error)
        if self.arithmetic is None:
            return Exponent(*_limit_of_octaves(values, rounding, self.change))
        value, error = limit_of(values)
        in_digits = self.arithmetic is not DOUBLE and math.isfinite(value)
        here = number(self.arithmetic.array([value])[0]) if in_digits else float(value)
        return Exponent(here, error)


def limit_of(values: Array) -> tuple[Any, float]:
    """The limit of a function of r from its values at the probes: a number, +-inf, or nan.

    And its error: what extrapolating it as limit + constant r^d leaves over.
    """
    near, far = values[1], values[-1]  # at twice the power
    if abs(far - near) <= SETTLED * (1 + abs(far)):
        return (number(far) if abs(far) > 1e-40 else 0.0), float(abs(far - near))
    steps = np.diff(values)
    closing = bool((steps[1:] * steps[:-1] > 0).all()) and bool(
        (np.abs(steps[1:]) < STEADY * np.abs(steps[:-1])).all()
    )
    if closing:
        # Aitken's limits from the first three and from the last three.
        before, last = values[2:] - steps[1:] ** 2 / np.diff(steps)
        error = float(4 * abs(last - before)) + SETTLED
        return (float(last), error) if error < 0.1 * (1 + abs(last)) else (math.nan, 0.0)
    if abs(far) < SETTLED * min(abs(near), 1):
        return 0.0, 0.0
    if near * far > 0 and abs(far) > 1.5 * abs(near) and abs(far) > 1:
        return (math.inf if far > 0 else -math.inf), 0.0  # perhaps as slowly as a logarithm
    if near * far > 0 and abs(far) > 10.0 ** (0.02 * PROBE) * abs(near):
        return (math.inf if far > 0 else -math.inf), 0.0
    return math.nan, 0.0


def _limit_of_octaves(values: Array, rounding: float, most: float) -> tuple[float, float]:
    """The same from the means over two octaves.

    A correction of first order in r is half as large on the last: what is left after extrapolation
    is of second order in the change.
    """
    before, last = map(float, values)
    if (abs(last) > 1.2 * abs(before) and abs(last) > 30) or abs(last) > BEYOND:
        return math.copysign(math.inf, last), 0.0
    limit, change = 2 * last - before, abs(last - before)
    if change > most * (1 + abs(limit)) + rounding:
        return math.nan, math.inf
    return limit, change**2 + 1e-14 * (1 + abs(limit)) + rounding
