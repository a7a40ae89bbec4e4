"""`Chart`: one end of the line, seen through the logarithm of the distance.

An infinite end and a singular point are the same thing to whoever walks there in log r: r grows
without bound or falls to nothing, and what decides is which powers of r the process goes with.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from stationary.numbers.arithmetic import DOUBLE, Arithmetic
from stationary.numbers.elementary import number
from stationary.process.diffusion import Diffusion

CORE = 16.0  # where an infinite domain is scanned evenly: this far from its finite end or from 0
OCTAVES = 60  # of r that are looked at, outwards and inwards: 1e18, all that doubles tell apart


@dataclass(frozen=True)
class Chart:
    """Distances r from the point that one end of the domain is seen from.

    That point is the end itself if it is finite; for an infinite one it is the other end, or 0.
    """

    anchor: Any
    sign: int  # the direction in which r grows
    outward: bool  # whether the end is where r is infinite, rather than 0

    @classmethod
    def of(cls, diffusion: Diffusion, side: int, arithmetic: Arithmetic = DOUBLE) -> Chart:
        outward = math.isinf(diffusion.domain[side])
        seen_from = side
        if outward:
            seen_from = 1 - side
        anchor = number(arithmetic.zero)
        if math.isfinite(diffusion.domain[seen_from]):
            anchor = number(diffusion.end(seen_from, arithmetic))
        return cls(anchor, 1 if (side == 0) != outward else -1, outward)

    @property
    def factor(self) -> float:
        """What r is multiplied by from one octave to the next, towards the end."""
        return 2.0 if self.outward else 0.5

    def at(self, r: Any) -> Any:
        """The points at distances r."""
        return self.anchor + self.sign * r

    def distance(self, x: Any) -> Any:
        return abs(x - self.anchor)

    def onwards(self, here: Any, octaves: Any) -> Any:
        """The points so many octaves from `here` on towards the end."""
        with np.errstate(over="ignore"):
            return self.at(self.distance(here) * self.factor**octaves)
