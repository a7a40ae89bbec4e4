"""`Chart`: one end of the line, seen through the logarithm of the distance.

An infinite end and a singular point are the same thing to whoever walks there in log r: r grows
without bound or falls to nothing, and what decides is which powers of r the process goes with.
"""

from __future__ import annotations

import contextlib
import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from stationary.aliases import Array
from stationary.errors import StationaryError
from stationary.numbers.arithmetic import DOUBLE, Arithmetic, many_digits
from stationary.numbers.elementary import number, to_float
from stationary.process.diffusion import Diffusion

CORE = 16.0  # where an infinite domain is scanned evenly: this far from its finite end or middle
OCTAVES = 60  # of r that are looked at, outwards and inwards: 1e18, all that doubles tell apart
DIGITS = 30  # in which the sign of a drift is looked at that is 0 in doubles


@dataclass(frozen=True)
class Chart:
    """Distances r from the point that one end of the domain is seen from.

    That point is the end itself if it is finite; for an infinite one it is the other end, or the
    middle of the line.
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
        if math.isfinite(diffusion.domain[seen_from]):
            anchor = number(diffusion.end(seen_from, arithmetic))
        else:
            anchor = number(arithmetic.array([middle_of(diffusion)])[0])
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


def middle_of(diffusion: Diffusion) -> float:
    """What distances on a whole line are counted from: 0, unless the law is far from there.

    Next to a law at c the drift changes within octaves of |x - c|, of which |x| has next to none.
    """
    whole = all(map(math.isinf, diffusion.domain))
    return float(diffusion.once("middle", lambda: _middle(diffusion))) if whole else 0.0


def _middle(diffusion: Diffusion) -> float:
    def signs(x: Array) -> Array:
        f = diffusion.coefficients(x)[0]
        if not f.all() and diffusion.affords_digits:
            with contextlib.suppress(StationaryError, OverflowError, MemoryError):
                many = many_digits(DIGITS)
                f = diffusion.coefficients(many.array(x), many)[0]
        return np.asarray(to_float(np.sign(f)))

    r = CORE * 2.0 ** np.arange(OCTAVES)
    near = diffusion.coefficients(r[0] * np.array([-1.0, 1.0]))[0]
    if near[0] > 0 > near[1]:
        return 0.0
    x = np.concatenate([-r[::-1], r])
    sign = signs(x)
    inwards = np.argmin(np.append(sign == 1, False)), np.argmin(np.append(sign[::-1] == -1, False))
    if 0 in inwards or sum(inwards) != len(x) or inwards[0] == OCTAVES:
        return 0.0
    low, high = x[inwards[0] - 1], x[inwards[0]]
    while high - low > CORE:  # a multiple of `CORE`, as x - c has to be known
        at = (low + high) / 2
        low, high = (at, high) if signs(np.array([at]))[0] > 0 else (low, at)
    return float(low)
