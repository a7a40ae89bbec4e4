"""`Rest`: an integral between a singular point and where the panels stop, as a power goes on.

And the `Walk` over such gaps between panels, in which integrals are added up as logarithms.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from stationary.aliases import Array
from stationary.numbers.elementary import converted, exp, infinite, log, logaddexp, number
from stationary.states.scales import Log, Mesh
from stationary.weight.tail import MOST_TILT, SLIGHT, Tail

STRAIGHT = 1e-3  # what a fifth point may be off by, of a correction that is not small
NOTHING = 1e4  # e-folds below which a part is none: beyond them an exponential costs its exponent


@dataclass(frozen=True, eq=False)
class Rest(Tail):
    """int e^L between a singular point and where the panels stop: L goes on as a `Tail` does.

    Its `doubt`, the error of L after each octave beyond the panels, is that of the power.
    """

    is_steep: bool = False  # e^L falls or grows beyond all powers, or is not seen to go on
    bend: Any = 0.0  # of L from octave to octave, where that hardly dies away: a logarithm's

    @property
    def diverges(self) -> bool:
        if self.is_steep:
            return self.level > -math.inf and bool(self.exponent < 0) != self.outward
        return not (self.room < 0 if self.outward else self.room > 0)

    @property
    def total(self) -> Any:
        """log of the whole."""
        if self.is_steep and not self.diverges:
            return -math.inf
        return math.inf if self.diverges else self.log_moment()

    @property
    def ratio(self) -> Any:
        """The whole over e^L where the panels stop."""
        return None if self.diverges or self.is_steep else self.reach * self._bracket(0.0, 1)

    def error_at(self, x: Array) -> Array:
        """What is not known of the power adds to the error of `beyond`, beyond the panels.

        And what a bend that goes on as it is adds to it.
        """
        u = np.abs(x - self.anchor) / self.reach
        with np.errstate(divide="ignore"):
            octaves = np.abs(np.where(u > 0, log(u) / math.log(2), 0))
        octaves = np.minimum(octaves, 1024)  # infinity is as far as doubles go
        return np.asarray(self.doubt * octaves + self.bend * octaves**2)

    def log_inside(self, x: Array) -> Array:
        """log of the integral between the panels and x, beyond them, on the way to the end."""
        if self.is_steep:
            return np.full(x.shape, -math.inf, dtype=x.dtype)
        return self.log_part(np.array([self.reach]), np.abs(x - self.anchor))

    def beyond(self, x: Array) -> Array:
        """log of the integral between x, beyond the panels, and the end."""
        if self.is_steep:
            return np.full(x.shape, -math.inf, dtype=x.dtype)
        return self.log_mass(np.abs(x - self.anchor))


@dataclass(frozen=True, eq=False)
class LastLeg:
    """int s M between the end that is left by and where the panels stop: what is waited there.

    That is B M + int B m with B = int s. Next to a trap M = int m may grow as a logarithm, which
    no power follows; B m is one.
    """

    scale: Rest
    speed: Rest
    both: Rest  # of B m
    held: Any  # log M where the panels stop
    error: Any
    is_steep: bool = False
    diverges: bool = False
    ratio: Any = None

    @property
    def total(self) -> Any:
        return number(self.beyond(np.array([self.scale.start]))[0])

    def error_at(self, x: Array) -> Array:
        return np.asarray(self.scale.error_at(x) + self.speed.error_at(x))

    def beyond(self, x: Array) -> Array:
        within = self.scale.beyond(x) + logaddexp(0 * x + self.held, self.speed.log_inside(x))
        return np.asarray(logaddexp(within, self.both.beyond(x)))


def rest_of(mesh: Mesh, f: Log, panel: int, end: Any, *, at_lower: bool) -> Rest:
    """What four points, each twice as far inside as the last, tell about the way to an end."""
    start = number(mesh.lower[panel] if at_lower else mesh.upper[panel])
    outward = infinite(end)
    anchor = mesh.origin if outward else end
    r = start - anchor
    arithmetic = mesh.arithmetic
    steps = r * arithmetic.array(0.5 if outward else 2.0) ** np.arange(5)
    x = anchor + steps
    x[0] = start
    known = "lower" if at_lower else "upper", end, anchor, abs(r)
    inside = mesh.lower[0], mesh.upper[-1]
    seen = (x >= inside[0]) & (x <= inside[1])
    if not seen[:4].all():
        return Rest(*known, -math.inf, 0.0, 1.0, 0.0, 0.0, is_steep=True)
    values = mesh.value(f, x[:4])
    one, rises = number(values[0]), np.diff(values)
    log_2, rounding = log(number(2 * arithmetic.one)), 4.5 * mesh.numbers.epsilon
    bend, further = np.diff(rises)
    tilt, q = number(arithmetic.zero), number(arithmetic.one)
    error = 4 * abs(bend)
    ratio = number(further / bend) if bend else 0.0
    if abs(bend) > 16 * rounding * (1 + abs(one)) and 1.01 < ratio < 8:
        tilt, q = number(bend / (ratio - 1) ** 2), log(ratio) / log_2
        error = tilt**2
    power = number(rises[0] - tilt * (2**q - 1)) / log_2
    if abs(tilt) > SLIGHT and seen[4]:  # no small correction: a fifth point tells whether it is one
        fifth = one + 4 * power * log_2 + tilt * (16**q - 1)
        error = abs(number(mesh.value(f, x[4:])[0]) - fifth)
    # A correction that grows towards the end, or that is none.
    is_steep = abs(tilt) > MOST_TILT or (abs(bend) > 0.5 and ratio <= 1.01)
    is_steep |= abs(tilt) > SLIGHT and not (seen[4] and error < STRAIGHT)
    if is_steep:
        power = number(rises[0])
    if outward:
        power = -power
    scale, noise = abs(power + 1), rounding * (1 + abs(one))
    # The power is 3 v_1 - 2 v_0 - v_2 of the values v, over log 2.
    error = number((error + 6 * noise / log_2) / scale + rounding) if scale else 0.0
    doubt = 4 * noise + (0 if tilt else abs(bend))
    # One that falls by less than the root of two in an octave may be that of a logarithm.
    bend = abs(bend) if abs(bend) > 16 * noise and not ratio > math.sqrt(2) else 0.0
    return Rest(*known, one, power, power + 1, tilt, error, abs(q), doubt, is_steep, bend)


def before(mesh: Mesh, f: Log) -> Rest | None:
    """The integral of e^f between the lower end and the panels; None: no gap."""
    if 0 not in mesh.gaps:
        return None
    rest = rest_of(mesh, f, 0, mesh.gaps[0], at_lower=True)
    return replace(rest, error=rest.error + f.error[0])


class Walk:
    """What lies between the panels, and at the ends."""

    def __init__(self, mesh: Mesh, f: Log, ahead: bool, begin: Rest | LastLeg | None) -> None:
        self.begin = begin
        count = len(mesh.lower)
        self.gaps = {i: z for i, z in mesh.gaps.items() if i < count or ahead}
        self.mesh, self.log = mesh, f
        # 2 i: beyond the panel before; 2 i + 1: before panel i
        self.rests: dict[int, Rest | LastLeg] = {}
        self.levels: dict[int, Any] = {}
        self.begins_steep = False

    def across(self, i: int, here: Any, error: Any) -> tuple[Any, Any]:
        count = len(self.mesh.lower)
        for key, panel, at_lower in ((2 * i, i - 1, False), (2 * i + 1, i, True)):
            if 0 <= panel < count:
                rest = self.begin if i == 0 else None
                if rest is None:
                    rest = rest_of(self.mesh, self.log, panel, self.gaps[i], at_lower=at_lower)
                self.rests[key], self.levels[key] = rest, here
                self.begins_steep |= i == 0 and rest.is_steep and not rest.diverges
                if rest.diverges and i < count:
                    raise DivergesError
                more = number(converted(np.array([rest.error]), self.mesh.numbers)[0])
                here, error = log_sum(here, error, rest.total, more + self.log.error[panel])
        return here, error


class DivergesError(Exception):
    """An integral is infinite from its beginning on."""


def log_sum(a: Any, a_error: Any, b: Any, b_error: Any) -> tuple[Any, Any]:
    """log(e^a + e^b) and its error."""
    top, low = (a, b) if a > b else (b, a)
    if low == -math.inf or top == math.inf:
        return top, (a_error if a > b else b_error)
    if low < top - NOTHING:
        return top, (a_error if a > b else b_error)
    total = top + log(number(1 + exp(number(low - top))))
    share = exp(number(a - total))
    share = float(share) if type(a_error) is float else share
    return total, share * a_error + (1 - share) * b_error
