"""`Tail`: a weight beyond the last panel, as a power of the distance with its first correction.

At the border of what can be integrated, 1 / r, a `LogarithmicTail` is a power of log r.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from stationary.aliases import Array
from stationary.numbers.elementary import exp, expm1, infinite, log, log1p, number

SLIGHT = 0.5  # a tilt up to which its second order will do
MOST_TILT = 5.0  # that its series sums in doubles: e^10 roundings
TERMS = 40  # of the series, which are below 1e-19 from then on


@dataclass(frozen=True)
class Tail:
    """P beyond the last panel: exp(level + tilt (u^d - 1)) u^exponent with u = r / reach.

    r is the distance from `anchor`; d is mostly 1 at a finite end and -1 at an infinite one.
    """

    side: str
    end: Any
    anchor: Any
    reach: Any  # r where the panels stop
    level: Any  # log P there
    exponent: Any
    room: Any  # exponent + 1, without its rounding
    tilt: Any  # << 1: the correction to the power where the panels stop
    error: Any  # relative, of the mass in the tail
    step: Any = 1  # |d|
    doubt: float = 0.0  # of the power, absolute

    @property
    def outward(self) -> bool:
        return infinite(self.end)

    @property
    def direction(self) -> Any:
        """d."""
        return -self.step if self.outward else self.step

    @property
    def sign(self) -> int:
        """The direction in which r grows."""
        return 1 if (self.side == "lower") != self.outward else -1

    @property
    def start(self) -> Any:
        return self.anchor + self.sign * self.reach

    def holds(self, x: Any) -> Any:
        """Which points lie in it."""
        return x < self.start if self.side == "lower" else x > self.start

    @property
    def fall(self) -> Any:
        """The power with which the mass beyond falls, of what it falls in."""
        return abs(self.room)

    def has_moment(self, power: float) -> bool:
        """Whether int r^power P dr over the tail exists."""
        return not self.outward or self.room + power < -self.doubt

    def error_of(self, power: float) -> Any:
        """The relative error of the integral of r^power over the tail."""
        return self.error + (self.doubt / abs(self.room + power) if power else 0.0)

    def times_power(self, power: float) -> Tail:
        """(r / reach)^power P; itself where that is no such tail."""
        return replace(self, exponent=self.exponent + power, room=self.room + power)

    @property
    def mean_log(self) -> Any:
        """The mean of log P - level over the tail, to first order in the tilt."""
        tilt, e, d = self.tilt, self.room, self.direction
        norm = 1 / e + (tilt * (1 / (e + d) - 1 / e) if tilt else 0.0)
        log_u = -1 / e**2 + (tilt * (1 / e**2 - 1 / (e + d) ** 2) if tilt else 0.0)
        shift = tilt * (1 / (e + d) - 1 / e) if tilt else 0.0
        return (self.exponent * log_u + shift) / norm

    def log_density(self, r: Array) -> Array:
        u = r / self.reach
        with np.errstate(divide="ignore"):
            power = self.level + (self.exponent * log(u) if self.exponent else 0 * u)
        return np.asarray(power + self.tilt * (u**self.direction - 1) if self.tilt else power)

    def log_moment(self, power: float = 0.0) -> Any:
        """log int r^power P dr over the tail (must exist)."""
        return self.level + (power + 1) * log(self.reach) + log(self._bracket(power, 1))

    def _bracket(self, power: float, u: Any) -> Any:
        """int u^(power + exponent) exp(tilt (u^d - 1)) from u to the end, over u^(e)."""
        e, d, sign = self.room + power, self.direction, -1 if self.outward else 1
        if not self.tilt:
            return sign / e
        v = u**d
        return sign * self._series(lambda k: v**k / (e + k * d))

    def _series(self, term: Callable[[int], Any]) -> Any:
        """exp(tilt (v - 1)) with the terms in place of v^k; to second order in a small tilt."""
        t = self.tilt
        if abs(t) <= SLIGHT:
            second = t * t / 2
            return (1 - t + second) * term(0) + (t - t * t) * term(1) + second * term(2)
        weight, total = exp(-t), 0.0
        for k in range(TERMS):
            total = total + weight * term(k)
            weight = weight * t / (k + 1)
        return total

    def log_mass(self, r: Array) -> Array:
        """log of the mass between r and the end."""
        u = r / self.reach
        with np.errstate(divide="ignore"):
            power = self.room * log(u)
        return np.asarray(self.level + log(self.reach) + power + log(self._bracket(0.0, u)))

    def log_between(self, low: Any, high: Any) -> Any:
        """log of the mass between two points, clipped to the tail."""
        near, far = sorted(self.sign * (p - self.anchor) for p in (low, high))
        near, far = (
            (max(near, self.reach), far) if self.outward else (max(near, 0), min(far, self.reach))
        )
        ends = (near, far) if self.outward else (far, near)
        return number(self.log_part(*(np.array([r]) for r in ends))[0])

    def log_part(self, r: Array, further: Array) -> Array:
        """log of the mass between two distances, the second one further towards the end.

        No difference of masses, which with a slow power are nearly the same.
        """
        d, u, sign = self.direction, r / self.reach, 1 if self.outward else -1
        with np.errstate(divide="ignore"):
            way, start = log(further / r), self.level + log(self.reach) + self.room * log(u)

            def taken(k: int) -> Any:
                e = self.room + k * d
                return u ** (k * d) * sign * (expm1(e * way) / e if e else way)

            return np.asarray(start + log(self._series(taken) if self.tilt else taken(0)))

    def distance(self, log_mass: Array) -> Array:
        """r beyond which the tail holds the mass exp(log_mass)."""
        with np.errstate(over="ignore"):
            return np.asarray(exp(self.log_distance(log_mass)))

    def log_distance(self, log_mass: Array) -> Array:
        """log of that, which may be closer than any double."""
        rest = log_mass - (self.level + log(self.reach))
        log_u = (rest - log(self._bracket(0.0, 1))) / self.room
        if self.tilt:
            for _ in range(3):  # each step is right to another factor of the tilt
                log_u = (rest - log(self._bracket(0.0, exp(log_u)))) / self.room
        return np.asarray(log(self.reach) + log_u)


@dataclass(frozen=True)
class LogarithmicTail(Tail):
    """P beyond the last panel: exp(level) / u (y / base)^-power, with y = base + |log u|."""

    power: Any = 2.0  # above 1
    base: Any = 1.0

    @property
    def fall(self) -> Any:
        return self.power - 1

    def has_moment(self, power: float) -> bool:
        return power <= 0 or not self.outward

    def times_power(self, power: float) -> Tail:
        return self

    @property
    def mean_log(self) -> Any:
        """It falls with log u alone, and log y beside it is 1 / (power - 1)."""
        if self.power <= 2:
            return -math.inf if self.outward else math.inf
        log_u = self.base / (self.power - 2)
        return (-log_u if self.outward else log_u) - self.power / (self.power - 1)

    def _stretched(self, r: Any) -> Any:
        """log of y / base."""
        with np.errstate(divide="ignore"):
            return log1p(abs(log(r / self.reach)) / self.base)

    def log_density(self, r: Array) -> Array:
        with np.errstate(divide="ignore"):
            return np.asarray(self.level - log(r / self.reach) - self.power * self._stretched(r))

    def log_moment(self, power: float = 0.0) -> Any:
        log_base, y = self.level + (power + 1) * log(self.reach) + log(self.base), abs(power)
        if not power:
            return log_base - log(self.fall)
        # int e^(-y w) (1 + w)^-power dw from 0 on, by a continued fraction.
        y, fraction = y * self.base, 0 * self.base
        for n in range(200, 0, -1):
            fraction = n * (self.power + n - 1) / (y + self.power + 2 * n - fraction)
        return log_base - log(y + self.power - fraction)

    def log_mass(self, r: Array) -> Array:
        return np.asarray(self.log_moment() - self.fall * self._stretched(r))

    def log_part(self, r: Array, further: Array) -> Array:
        way = self._stretched(further) - self._stretched(r)
        with np.errstate(divide="ignore"):
            return np.asarray(self.log_mass(r) + log(-expm1(-self.fall * way)))

    def log_distance(self, log_mass: Array) -> Array:
        with np.errstate(over="ignore"):
            log_u = self.base * expm1((self.log_moment() - log_mass) / self.fall)
        return np.asarray(log(self.reach) + (log_u if self.outward else -log_u))
