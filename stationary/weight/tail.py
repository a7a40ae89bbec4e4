"""`Tail`: a weight beyond the last panel, as a power of the distance with its first correction."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stationary.numbers.elementary import exp, infinite, log

__all__ = ["Tail"]

Array = NDArray[Any]


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

    def log_density(self, r: Array) -> Array:
        u = r / self.reach
        with np.errstate(divide="ignore"):
            power = self.level + self.exponent * log(u)
        return np.asarray(power + self.tilt * (u**self.direction - 1) if self.tilt else power)

    def log_moment(self, power: float = 0.0) -> Any:
        """log int r^power P dr over the tail (must exist)."""
        return self.level + (power + 1) * log(self.reach) + log(self._bracket(power, 1))

    def _bracket(self, power: float, u: Any) -> Any:
        """int u^(power + exponent) exp(tilt (u^d - 1)) from u to the end, over u^(e).

        To second order in the tilt.
        """
        e, d, sign = self.room + power, self.direction, -1 if self.outward else 1
        if not self.tilt:
            return sign / e
        v, tilt = u**d, self.tilt
        first = v / (e + d) - 1 / e
        second = v**2 / (e + 2 * d) - 2 * v / (e + d) + 1 / e
        return sign * (1 / e + tilt * first + tilt**2 / 2 * second)

    def log_mass(self, r: Array) -> Array:
        """log of the mass between r and the end."""
        u = r / self.reach
        with np.errstate(divide="ignore"):
            power = self.room * log(u)
        return np.asarray(self.level + log(self.reach) + power + log(self._bracket(0.0, u)))

    def distance(self, log_mass: Array) -> Array:
        """r beyond which the tail holds the mass exp(log_mass)."""
        rest = log_mass - (self.level + log(self.reach))
        log_u = (rest - log(self._bracket(0.0, 1))) / self.room
        if self.tilt:
            for _ in range(3):  # each step is right to another factor of the tilt
                log_u = (rest - log(self._bracket(0.0, exp(log_u)))) / self.room
        with np.errstate(over="ignore"):
            return np.asarray(self.reach * exp(log_u))
