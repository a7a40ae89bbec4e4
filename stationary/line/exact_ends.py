"""Ends of a domain that are zeros of the variance but for rounding, exactly.

A domain (c, c + h) and a variance (x - c) (c + h - x) are meant to end at one point. As doubles
they miss each other by a rounding, and the variance at the end is -7e-17 or 4e-17: not what says
whether that end is a wall, or somewhere that the process is never seen again from.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np

from stationary.line.sampled import DIGITS
from stationary.line.side_by_side import CANNOT, Search, side_by_side
from stationary.line.variance import ENOUGH, Variance
from stationary.numbers.arithmetic import many_digits
from stationary.process.diffusion import Diffusion
from stationary.process.ends import BESIDE

ROUNDED = 2  # spacings of doubles, by which an end may be off that somebody added up
LOSES = 8  # times the rounding of a variance that is seen next to an end, which it may have there


def with_exact_ends(diffusion: Diffusion) -> Diffusion:
    """The same, with the zeros of its variance that are its ends but for rounding."""
    if not diffusion.affords_digits or diffusion.is_rounded or diffusion.is_periodic:
        return diffusion
    sides = [
        side
        for side, end in enumerate(diffusion.domain)
        if end and math.isfinite(end) and diffusion.exact_ends[side] is None
    ]
    ends = list(diffusion.exact_ends)
    for side, zero in zip(
        sides, side_by_side(diffusion, [_zero_at(diffusion, side) for side in sides]), strict=True
    ):
        ends[side] = zero
    return replace(diffusion, exact_ends=tuple(ends)) if any(ends) else diffusion


def _zero_at(diffusion: Diffusion, side: int) -> Search[Any]:
    """The zero that an end of the domain stands for; None if there is none, or it is that itself.

    It is as near as numbers are that were rounded, or nearer than the variance knows in doubles.
    """
    look, end = Variance(diffusion, exact=True), diffusion.domain[side]
    spacing, inwards = float(np.spacing(abs(end))), 1 - 2 * side
    reach = inwards * spacing * BESIDE
    x = end + reach * np.append(0.0, 2.0 ** np.arange(-16.0, 1.0))
    try:
        rough = yield from look.at(x)
        if not abs(rough[0]) < rough[-1] / 2:
            return None
        few, many = (many_digits(digits, ENOUGH) for digits in DIGITS[:2])
        exact = yield from look.at(few.array(x), few)
        if not few.isfinite(exact).all() or exact[0] == 0:
            return None
        zero = yield from look.pinned(many.array([end])[0], reach)
        if zero is None or not (yield from look.falls_to_zero(zero, many)):
            return None
    except CANNOT:
        return None
    lost = LOSES * np.abs(few.to_float(exact - few.array(rough))).max()
    near = abs(float(zero - end)) <= ROUNDED * spacing
    return zero if near or abs(float(exact[0])) <= lost else None
