"""`blurred_dips`: where parts of the variance cancel inside the domain, so that doubles lose it.

1 - cos(x) + 1e-8 is positive everywhere, and next to 0 known to 1e-8 of itself only: panels there
follow its rounding, or run out. 1 - tanh(x)^2 is off by the rounding of 1 far out, and all along in
one direction, so that no scatter shows it. More digits at the doubles in between are all it takes.
"""

from __future__ import annotations

import contextlib
import math

import numpy as np

from stationary.aliases import Array
from stationary.errors import StationaryError
from stationary.functions.evaluation import evaluate
from stationary.numbers.arithmetic import DOUBLE, Arithmetic, many_digits
from stationary.numbers.elementary import to_float
from stationary.points import points_inside
from stationary.process.diffusion import Diffusion

LOOKED_AT = 256  # places of the domain, for the variance to show where it dips
ROUNDS = 3  # in which the lowest place of a dip is looked for, each on a sixteenth
SHALLOW = 1 / 16  # of the middle variance: dips that are less deep do not cancel
MOST = 64  # dips, the lowest, that are held against more digits
LOST = 64.0  # roundings, from which on digits are lost
IN_DIGITS = 33  # twice those of doubles
NOTHING = 1e-30  # of the middle variance: the rounding of 33 digits, as where all is clipped alike
OCTAVES = 40.0  # of the distance from a dip, from the width of the domain on


def blurred_dips(diffusion: Diffusion) -> tuple[tuple[float, float], ...]:
    """Places next to which doubles lose the variance, and up to which distance from there."""
    if diffusion.is_rounded or not diffusion.affords_digits:
        return ()
    with contextlib.suppress(StationaryError, OverflowError), np.errstate(all="ignore"):
        dips, middle = _dips(diffusion)
        found = [(float(at), _reach(diffusion, float(at), NOTHING * middle)) for at in dips]
        return tuple((at, reach) for at, reach in found if reach)
    return ()


def _of(diffusion: Diffusion, x: Array, arithmetic: Arithmetic = DOUBLE) -> Array:
    """The variance; without the drift, where that is a function of its own."""
    if diffusion.pair is not None:
        return diffusion.pair(x, arithmetic)[1]
    return evaluate(diffusion.variance, x, arithmetic=arithmetic)[0]


def _variance(diffusion: Diffusion, x: Array) -> Array:
    """In doubles; inf where it is no positive number."""
    a = _of(diffusion, x.ravel()).reshape(x.shape)
    return np.where(np.isfinite(a) & (a > 0), a, math.inf)


def _dips(diffusion: Diffusion) -> tuple[Array, float]:
    """Where the variance is lowest, as far as doubles tell: a few places, ends among them; and its
    middle value."""
    is_finite = math.isfinite(diffusion.domain[1] - diffusion.domain[0])
    share = np.arange(LOOKED_AT + 1) / LOOKED_AT
    x = points_inside(diffusion.domain, share if is_finite else share[1:-1])
    a = _variance(diffusion, x)
    beside = np.pad(a, 1, constant_values=math.inf)
    known = np.sort(a[np.isfinite(a)])
    middle = float(known[len(known) // 2]) if len(known) else 0.0
    deep = a < SHALLOW * middle
    edge = (a < beside[2:]) | (a < beside[:-2])  # of what is flat only the ends
    dips = np.flatnonzero(deep & edge & (a <= beside[2:]) & (a <= beside[:-2]))
    dips = dips[np.argsort(a[dips])[:MOST]]
    low, high = x[np.maximum(dips - 1, 0)], x[np.minimum(dips + 1, len(x) - 1)]
    column = np.arange(len(dips))
    for _ in range(ROUNDS if len(dips) else 0):
        closer = np.linspace(low, high, 33)
        k = np.argmin(_variance(diffusion, closer), axis=0)
        low, high = closer[np.maximum(k - 1, 0), column], closer[np.minimum(k + 1, 32), column]
        x = closer[k, column]
    return x if len(dips) else x[:0], middle


def _is_lost(diffusion: Diffusion, x: Array, least: float) -> Array:
    """Where many digits say something else of the variance than doubles, if it is not nothing."""
    many = many_digits(IN_DIGITS)
    exact = to_float(_of(diffusion, many.array(x), many))
    off = np.abs(_variance(diffusion, x) / exact - 1)
    return np.asarray((off > LOST * DOUBLE.epsilon) & (exact > least))


def _reach(diffusion: Diffusion, at: float, least: float) -> float:
    """Up to which distance from a place digits are lost; 0 if none are.

    First every fourth octave tells whether any are. Two octaves of none, and it ends.
    """
    lower, upper = diffusion.domain
    wide = upper - lower if math.isfinite(upper - lower) else 1 + abs(at)
    # With all bits in use, so that no rounding is left out by chance.
    r = (math.pi / 3) * wide * 2.0 ** -np.arange(OCTAVES)[::-1]
    for some in (r[::4], r):
        x = at + np.concatenate([-some, some])
        inside = (x > lower) & (x < upper)
        lost = np.zeros(len(x), dtype=bool)
        lost[inside] = _is_lost(diffusion, x[inside], least)
        if not lost.any():
            return 0.0
    either = lost[: len(r)] | lost[len(r) :]
    on = either | np.append(either[1:], False) | np.append(either[2:], [False, False])
    first = int(np.argmax(either))
    return 2 * float(r[first + int(np.argmin(np.append(on[first:], False))) - 1])
