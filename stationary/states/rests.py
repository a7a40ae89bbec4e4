"""`Rest`: an integral between a singular point and where the panels stop, as a power goes on."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stationary.numbers.elementary import expm1, infinite, log, logaddexp, number
from stationary.states.scales import Log, Mesh

__all__ = ["LastLeg", "Rest", "rest_of"]

Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class Rest:
    """int e^L between a singular point and where the panels stop.

    There L = level + power log u + tilt (u^q - 1), u being the distance over that of the panels.
    """

    end: Any
    anchor: Any  # from which distances count
    start: Any
    level: Any
    power: Any
    tilt: Any
    q: Any
    error: Any
    is_steep: bool = False  # e^L falls or grows beyond all powers, or is not seen to go on
    bend: Any = 0.0  # of L from octave to octave, where that hardly dies away: a logarithm's
    doubt: Any = 0.0  # of L after each octave beyond the panels: the error of the power

    @property
    def outward(self) -> bool:
        return infinite(self.end)

    @property
    def diverges(self) -> bool:
        if self.is_steep:
            return self.level > -math.inf and bool(self.power < 0) != self.outward
        return not (self.power < -1 if self.outward else self.power > -1)

    @property
    def total(self) -> Any:
        """log of the whole."""
        return math.inf if self.diverges else number(self.log_mass(np.array([self.start]))[0])

    @property
    def ratio(self) -> Any:
        """The whole over e^L where the panels stop."""
        sign, e = (-1 if self.outward else 1), self.power + 1
        if self.diverges or self.is_steep:
            return None
        return sign * abs(self.start - self.anchor) * (1 + self.tilt * (e / (e + self.q) - 1)) / e

    def error_at(self, x: Array) -> Array:
        """What is not known of the power adds to the error of log_mass, beyond the panels.

        And what a bend that goes on as it is adds to it.
        """
        u = np.abs(x - self.anchor) / abs(self.start - self.anchor)
        with np.errstate(divide="ignore"):
            octaves = np.abs(np.where(u > 0, log(u) / math.log(2), 0))
        return np.asarray(self.doubt * octaves + self.bend * octaves**2)

    def log_inside(self, x: Array) -> Array:
        """log of the integral between the panels and x, beyond them, on the way to the end."""
        if self.is_steep:
            return np.full(x.shape, -math.inf, dtype=x.dtype)
        reach = abs(self.start - self.anchor)
        with np.errstate(divide="ignore"):
            octaves = log(np.abs(x - self.anchor) / reach)

        def taken(e: Any) -> Any:  # (1 - u^e) / e
            return -expm1(e * octaves) / e if e else -octaves

        e = self.power + 1
        whole = taken(e) + (self.tilt * (taken(e + self.q) - taken(e)) if self.tilt else 0)
        with np.errstate(divide="ignore"):
            return np.asarray(self.level + log((-reach if self.outward else reach) * whole))

    def log_mass(self, x: Array) -> Array:
        """log of the integral between x, beyond the panels, and the end."""
        if self.is_steep:
            return np.full(x.shape, -math.inf, dtype=x.dtype)
        sign = -1 if self.outward else 1
        reach = abs(self.start - self.anchor)
        u = np.abs(x - self.anchor) / reach
        e = self.power + 1
        with np.errstate(divide="ignore"):
            bracket = sign * (1 / e + self.tilt * (u**self.q / (e + self.q) - 1 / e))
            return np.asarray(self.level + log(reach * bracket) + e * log(u))


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
        return number(self.log_mass(np.array([self.scale.start]))[0])

    def error_at(self, x: Array) -> Array:
        return np.asarray(self.scale.error_at(x) + self.speed.error_at(x))

    def log_mass(self, x: Array) -> Array:
        within = self.scale.log_mass(x) + logaddexp(0 * x + self.held, self.speed.log_inside(x))
        return np.asarray(logaddexp(within, self.both.log_mass(x)))


def rest_of(mesh: Mesh, f: Log, panel: int, end: Any, *, at_lower: bool) -> Rest:
    """What four points, each twice as far inside as the last, tell about the way to an end."""
    start = number(mesh.lower[panel] if at_lower else mesh.upper[panel])
    outward = infinite(end)
    anchor = mesh.origin if outward else end
    r = start - anchor
    arithmetic = mesh.arithmetic
    steps = r * arithmetic.array(0.5 if outward else 2.0) ** np.arange(4)
    x = anchor + steps
    x[0] = start
    inside = mesh.lower[0], mesh.upper[-1]
    if not ((x >= inside[0]) & (x <= inside[1])).all():
        return Rest(end, anchor, start, -math.inf, 0.0, 0.0, 1.0, 0.0, is_steep=True)
    values = mesh.value(f, x)
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
    # A correction that grows towards the end, or that is none.
    is_steep = abs(tilt) > 0.5 or (abs(bend) > 0.5 and ratio <= 1.01)
    if is_steep:
        power = number(rises[0])
    if outward:
        power, q = -power, -q
    scale = abs(power + 1)
    error = number(error / scale + rounding) if scale else 0.0
    noise = rounding * (1 + abs(one))
    doubt = 4 * noise + (0 if tilt else abs(bend))
    # One that falls by less than the root of two in an octave may be that of a logarithm.
    bend = abs(bend) if abs(bend) > 16 * noise and not ratio > math.sqrt(2) else 0.0
    return Rest(end, anchor, start, one, power, tilt, q, error, is_steep, bend, doubt)
