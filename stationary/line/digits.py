"""How many digits a piece of a process needs, and a sampling of it in so many.

Doubles do not do where the variance underflows or its parts cancel, or where a peak is narrower
than their spacing. Then numbers of more digits carry range and position, while shapes are still
resolved to what a double would show: that costs little more than doubles with a longer mantissa.
"""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np

from stationary.errors import LandscapeError, StationaryError
from stationary.functions.evaluation import evaluate
from stationary.line.chart import middle_of
from stationary.line.closer import Dip
from stationary.line.reach import with_the_law
from stationary.line.sampled import VanishingVarianceError
from stationary.line.sampling import Sampling, sampling
from stationary.numbers.arithmetic import GUARD_DIGITS, Arithmetic, many_digits
from stationary.numbers.cost import IN_DIGITS
from stationary.numbers.elementary import to_float
from stationary.panels.pieces import Samples
from stationary.panels.roots import bisected
from stationary.points import points_inside
from stationary.process.corners import SCAN
from stationary.process.diffusion import Diffusion

ACCURACY = 18  # digits to which shapes are resolved where doubles do not do
MARGIN = 14  # digits beyond position and accuracy
FEWEST, MOST = 1, 1000  # digits that may be asked for
FARTHEST = 3000  # digits of a position: a number takes a millisecond, and a peak some thousands
CLOSE = 1e-150  # a last step of Newton's method, relative, by which they lie beside a peak
PROBE = 400  # digits in which the width of a minimum is found
NARROW = 6  # digits that all points of a domain have in common, from which doubles will not do


def checked(digits: Any, where: str, diffusion: Diffusion | None = None) -> int | None:
    """`digits` if it is a whole number that makes sense, of that process too, or None."""
    if digits is None:
        return None
    whole = isinstance(digits, (int, np.integer)) and not isinstance(digits, bool)
    if not whole or not FEWEST <= digits <= MOST:
        raise LandscapeError(
            f"{where}: digits = {digits!r:.40} must be a whole number from {FEWEST} to {MOST}, as "
            "in digits = 50."
        )
    if diffusion is not None and (diffusion.uncertainty or diffusion.sample) is not None:
        raise LandscapeError(
            f"{where}: digits = {digits}: drift and variance are known at a few places, and in "
            "between in doubles only. Leave digits out."
        )
    return int(digits)


def sampled_in_digits(
    diffusion: Diffusion,
    max_panels: int,
    *,
    digits: int | None = None,
    strength: float = 1.0,
    dips: tuple[Dip, ...] = (),
    look: Samples | None = None,
) -> Sampling:
    """A sampling in doubles, or in `digits` digits, or in as many as it takes if doubles fail.

    `look` is what `first_look` saw in doubles, and `dips` what these cannot tell of the variance.
    Raises a `VanishingVarianceError` where the variance vanishes inside the domain even then.
    """
    sampled = functools.partial(
        sampling, diffusion, max_panels, strength=strength, look=look, dips=dips
    )
    position = max((d.digits for d in dips), default=0)
    if digits is not None:
        return sampled(arithmetic=arithmetic_for(diffusion, digits, position))
    try:
        narrow = position > 0 or _digits_of_width(diffusion) > NARROW
        if narrow and can_be_raised(diffusion):
            return sampled(arithmetic=arithmetic_for(diffusion, position=position))
        return sampled()
    except VanishingVarianceError as vanishing:
        if not can_be_raised(diffusion):
            raise
        try:
            return sampled(arithmetic=arithmetic_for(diffusion))
        except (OverflowError, MemoryError):
            raise vanishing from None


def can_be_raised(diffusion: Diffusion, evaluations: int = 0) -> bool:
    """Whether the functions run in many digits, and so many evaluations are affordable."""
    if diffusion.cost * max(evaluations, 1000) > 2 * IN_DIGITS:
        return False
    inside = points_inside(diffusion.domain, np.arange(1, 4) / 4)
    try:
        many = many_digits(30)
        f, a = diffusion.coefficients(many.array(inside), many)
    except (StationaryError, OverflowError):
        return False
    return bool(many.isfinite(f).all() and many.isfinite(a).all())


def arithmetic_for(
    diffusion: Diffusion, digits: int | None = None, position: int = 0
) -> Arithmetic:
    """Numbers long enough to place the narrowest peak, resolved to `digits` (None: to a double's).

    The peaks are where the drift is zero and attracts; there the density is about as wide as that
    of a linear drift with constant noise.
    """
    accuracy = ACCURACY if digits is None else digits + GUARD_DIGITS
    position = max(position, _position_digits(diffusion), _digits_of_width(diffusion))
    return many_digits(accuracy + MARGIN + min(position, FARTHEST), accuracy)


def _digits_of_width(diffusion: Diffusion) -> int:
    """How many digits of a position are the same all over the domain, or where its law is."""
    middle = abs(middle_of(diffusion))
    lower, upper = diffusion.domain if not middle else (middle, middle + 1)  # no wider than `CORE`
    largest = max(abs(lower), abs(upper))
    if not math.isfinite(largest) or not largest > upper - lower:
        return 0
    return math.floor(math.log10(largest / (upper - lower)))


def _position_digits(diffusion: Diffusion) -> int:
    """How many digits of a position it takes to tell points of the narrowest peak apart."""
    x = points_inside(diffusion.domain, np.arange(1, SCAN + 1) / (SCAN + 1))
    x = with_the_law(diffusion, x)
    f = diffusion.coefficients(x)[0]
    down = np.flatnonzero((f[:-1] > 0) & (f[1:] <= 0))
    if not len(down):
        return 0
    many = many_digits(PROBE, ACCURACY)
    # A few steps of bisection in doubles and then Newton's method bring each as close as needed.
    _, high = bisected(lambda x: diffusion.coefficients(x)[0] > 0, x[down], x[down + 1])
    try:
        root = many.array(high)
        for _ in range(12):
            value, slope = evaluate(diffusion.drift, root, order=1, arithmetic=many)
            step = np.where(slope == 0, 0, many.divide(value, slope))
            root = root - step
            if (np.abs(step) <= CLOSE * np.abs(root)).all():
                break  # slope and variance are those of the peak
        variance = diffusion.coefficients(root, many)[1]
        width2 = many.divide(variance, 2 * many.abs(slope))
        known = np.asarray(many.isfinite(width2), dtype=bool) & np.asarray(width2 > 0, dtype=bool)
        known &= np.asarray(many.isfinite(root), dtype=bool)
    except (StationaryError, OverflowError):
        return 0
    size = many.abs(root[known])
    some = np.asarray(size > 0, dtype=bool)
    if not some.any():
        return 0
    decades = many.log10(size[some]) - many.log10(width2[known][some]) / 2
    return max(0, math.ceil(float(to_float(decades).max())))
