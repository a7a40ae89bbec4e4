"""What rounding makes of a variance that vanishes: next to an end of the domain, or below 0."""

from __future__ import annotations

from typing import Any

import numpy as np

from stationary.aliases import Array
from stationary.errors import StationaryError
from stationary.numbers.arithmetic import many_digits

# Spacings of doubles from such an end within which the variance may be lost: in the rounding of
# c + h, or of terms that cancel. Panels of doubles keep 2^26 away.
BESIDE = 2.0**16
OFF = 2.0**60  # times as much may cancel as the place of a zero is off by, next to 0
TOLD = 1200  # digits in which a variance is looked at that fewer call negative: no pit takes more


def size_of_end(diffusion: Any, side: int) -> float:
    """What the place of an end is rounded in proportion to: as a rule how far it is from 0.

    Where the variance vanishes next to 0 but for rounding, that of the parts which cancel.
    """
    (lower, upper), zero = diffusion.domain, diffusion.exact_ends[side]
    end = float(diffusion.domain[side])
    return abs(end) if end or zero is None else min(upper - lower, OFF * abs(float(zero)))


def beside(diffusion: Any, x: Array) -> Array:
    """Which of the points are next to an end whose exact place is known as a zero."""
    found = np.zeros(np.shape(x), dtype=bool)
    for side, end in enumerate(diffusion.domain):
        if diffusion.exact_ends[side] is not None:
            found |= np.abs(x - end) <= BESIDE * np.spacing(size_of_end(diffusion, side))
    return found


def below_zero(diffusion: Any, x: Array, a: Array) -> Array:
    """At which points a variance is negative, and not by rounding of parts that cancel."""
    negative = (a < 0) & ~beside(diffusion, x)
    if negative.any() and diffusion.affords_digits:
        many = many_digits(TOLD)
        try:
            exact = diffusion.coefficients(many.array(x[negative]), many)[1]
        except (StationaryError, OverflowError):
            return np.asarray(negative)
        negative[negative] = ~np.asarray(many.isfinite(exact) & (exact >= 0), dtype=bool)
    return np.asarray(negative)
