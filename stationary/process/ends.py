"""Which points rounding does not tell from an end of the domain that is a zero of the variance."""

from __future__ import annotations

from typing import Any

import numpy as np

from stationary.aliases import Array

# Spacings of doubles from such an end within which the variance may be lost: in the rounding of
# c + h, or of terms that cancel. Panels of doubles keep 2^26 away.
BESIDE = 2.0**16


def beside(ends: tuple[float, float], exact: tuple[Any, Any], x: Array) -> Array:
    """Which of the points are next to an end whose `exact` place is known as a zero."""
    found = np.zeros(np.shape(x), dtype=bool)
    for end, zero in zip(ends, exact, strict=True):
        if zero is not None:
            found |= np.abs(x - end) <= BESIDE * np.spacing(abs(end))
    return found
