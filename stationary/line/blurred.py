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
from stationary.line.chart import middle_of
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
OCTAVES = 40.0  # of the distance from a dip, from the unit on that it was seen in
UNITS = 10.0 ** np.arange(9, -10, -3)  # in which an infinite domain is looked at


def blurred_dips(diffusion: Diffusion) -> tuple[tuple[float, float], ...]:
    """Places next to which doubles lose the variance, and up to which distance from there."""
    if diffusion.is_rounded or not diffusion.affords_digits:
        return ()
    found: list[tuple[float, float]] = []
    with contextlib.suppress(StationaryError, OverflowError), np.errstate(all="ignore"):
        for unit, x in _looks(diffusion):
            with contextlib.suppress(StationaryError, OverflowError):
                dips, middle = _dips(diffusion, x)
                # What is seen in a larger unit, too, is as far as it is lost there.
                new = [at for at in dips if all(abs(at - other) > wide for other, wide in found)]
                if new:
                    reach = _reach(diffusion, np.array(new), unit, NOTHING * middle)
                    found += [(float(at), float(r)) for at, r in zip(new, reach, strict=True) if r]
    return tuple(found)


def _looks(diffusion: Diffusion) -> list[tuple[float, Array]]:
    """Units, the largest first, and the places at which the domain is looked at in each."""
    lower, upper = diffusion.domain
    share = np.arange(LOOKED_AT + 1) / LOOKED_AT
    if math.isfinite(upper - lower):
        return [(upper - lower, points_inside(diffusion.domain, share))]
    x = points_inside(diffusion.domain, share[1:-1])
    seen_from = lower if math.isfinite(lower) else upper
    if not math.isfinite(seen_from):
        return [(u, middle_of(diffusion) + u * x) for u in UNITS]
    return [(u, seen_from + u * (x - seen_from)) for u in UNITS]


def _of(diffusion: Diffusion, x: Array, arithmetic: Arithmetic = DOUBLE) -> Array:
    """The variance; without the drift, where that is a function of its own."""
    if diffusion.pair is not None:
        return diffusion.pair(x, arithmetic)[1]
    return evaluate(diffusion.variance, x, arithmetic=arithmetic)[0]


def _variance(diffusion: Diffusion, x: Array) -> Array:
    """In doubles; inf where it is no positive number."""
    a = _of(diffusion, x.ravel()).reshape(x.shape)
    return np.where(np.isfinite(a) & (a > 0), a, math.inf)


def _dips(diffusion: Diffusion, x: Array) -> tuple[Array, float]:
    """Where the variance is lowest, as far as doubles tell: a few places, ends among them; and its
    middle value."""
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
    lower, upper = diffusion.domain
    inside = (x > lower) & (x < upper)
    if not inside.any():
        return np.zeros(x.shape, dtype=bool)
    many = many_digits(IN_DIGITS)
    exact = to_float(_of(diffusion, many.array(x[inside]), many))
    off = np.abs(_variance(diffusion, x[inside]) / exact - 1)
    lost = np.zeros(x.shape, dtype=bool)
    lost[inside] = (off > LOST * DOUBLE.epsilon) & (exact > least)
    return lost


def _reach(diffusion: Diffusion, at: Array, unit: float, least: float) -> Array:
    """Up to which distance from each place digits are lost; 0 if none are.

    First every fourth octave tells whether any are. Two octaves of none, and it ends.
    """
    # With all bits in use, so that no rounding is left out by chance.
    r = (math.pi / 3) * unit * 2.0 ** -np.arange(OCTAVES)[::-1]
    reach, k = np.zeros(len(at)), np.arange(len(at))
    for some in (r[::4], r):
        sides = np.array([-1, 1])[:, np.newaxis] * some
        lost = np.any(_is_lost(diffusion, at[k, np.newaxis, np.newaxis] + sides, least), axis=1)
        some_are = np.any(lost, axis=1)
        k, lost = k[some_are], lost[some_are]
        if not len(k):
            break
    for i, either in zip(k, lost, strict=True):
        on = either | np.append(either[1:], False) | np.append(either[2:], [False, False])
        first = int(np.argmax(either))
        reach[i] = 2 * r[first + int(np.argmin(np.append(on[first:], False))) - 1]
    return reach
