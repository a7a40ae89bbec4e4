"""`region_of`: where the minima are, on a line that may be infinite."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from stationary.aliases import Array
from stationary.chain.batches import Batches
from stationary.errors import LandscapeError
from stationary.functions.evaluation import evaluate

DISTANCES = (1e2, 1e4, 1e6)  # times the region of the minima, at which the steps are asked; minima
# are looked for as far as to the last, where a domain is infinite
ENDLESS = 0.5  # of how far out minima are looked for: there they go on and on
TURNS = 8  # of one gradient: fewer may be minima that lie far out
FAINT = 1e-12  # of the largest gradient: those below do not say where minima are
NARROW = 1e-9  # of how far minima are from 0: what is narrower there is taken for a point
PARTED, FINER = 0.02, 65  # of a region that its ends are known to, and points of a look at one


def region_of(
    batches: Batches, lower: float, upper: float, near: Sequence[float]
) -> tuple[float, float, float]:
    """Where the gradients of the datapoints change sign, and their mean does, and its least size.

    That is 2 where none of theirs do.
    """
    out = np.geomspace(1e-4, DISTANCES[-1], 1201)
    if math.isfinite(lower):
        w = lower + np.append(0.0, out)
    elif math.isfinite(upper):
        w = upper - np.append(0.0, out)[::-1]
    else:
        w = np.concatenate([-out[::-1], [0.0], out])
    around = [x + np.append(out, -out) for x in near]
    w = np.concatenate([w, *around, batches.landscape.joints()])
    w = np.unique(w[(lower <= w) & (w <= upper)])
    with np.errstate(all="ignore"):
        g = batches.landscape.stepped(evaluate(batches.landscape.gradient, w)[0], w)
        g = np.concatenate([g, g.mean(axis=0)[None]])
    good = np.isfinite(g).all(axis=0)
    moved = np.flatnonzero((g != 0).any(axis=0))
    if len(moved):  # beyond all gradients SGD stays where it arrives, if one leads there
        start = int(moved[0]) - bool((g[:, moved[0]] > 0).any())
        stop = int(moved[-1]) + bool((g[:, moved[-1]] < 0).any())
        at = np.arange(len(w))
        good &= (start <= at) & (at <= stop)
    w, sign = w[good], _signs(g[:, good])
    changes = sign[:, 1:] * sign[:, :-1] < 0
    far_out = changes[:, np.abs(w[1:]) > ENDLESS * DISTANCES[-1]].any(axis=1)
    if (far_out & (changes.sum(axis=1) > TURNS)).any():
        raise LandscapeError(
            f"{batches.landscape.name}: the gradients change sign again and again as far out as "
            "was looked, so that no chain of cells tells where SGD ends up. Give a finite domain, "
            'as in domain = (-10, 10), or one period of it with boundaries = "periodic".'
        )
    turns = _turns(sign)
    least = 1e-9 if turns[:-1].any() else 2.0
    i = np.flatnonzero(turns.any(axis=0))
    if len(i):
        return *_narrowed(batches, *w[[i[0], i[0] + 1, i[-1], i[-1] + 1]].tolist()), least
    middle = next((end for end in (lower, upper) if math.isfinite(end)), 0.0)
    return middle - 1, middle + 1, least


def _turns(sign: Array) -> Array:
    """Between which of some points each gradient changes its sign, or is 0."""
    return np.asarray((sign[:, 1:] != sign[:, :-1]) | (sign[:, 1:] == 0))


def _narrowed(
    batches: Batches, first: float, after: float, before: float, last: float
) -> tuple[float, float]:
    """The hull of all turns, of which the first lie up to `after` and the last from `before` on.

    To a part of itself, however far from 0 it is; as it is given where no double parts the turns.
    """
    low, high = first, last
    while max(after - low, high - before) > PARTED * (high - low):
        if high - low < NARROW * max(last - first, abs(low), abs(high)):
            return first, last
        w = np.unique([np.linspace(low, after, FINER), np.linspace(before, high, FINER)])
        with np.errstate(all="ignore"):
            g = batches.landscape.stepped(evaluate(batches.landscape.gradient, w)[0], w)
        i = np.flatnonzero(_turns(_signs(np.concatenate([g, g.mean(axis=0)[None]]))).any(axis=0))
        if not len(i):  # they fade beside the largest
            break
        low, after, before, high = w[[i[0], i[0] + 1, i[-1], i[-1] + 1]].tolist()
    return low, high


def _signs(g: Array) -> Array:
    """Of the gradients, (N, M): those that fade beside others keep the sign that they had."""
    largest = np.abs(g).max(axis=0)
    told = (np.abs(g) > FAINT * largest) | (largest == 0)
    at = np.where(told, np.arange(g.shape[1]), -1)
    before = np.maximum.accumulate(at, axis=1)
    first = np.argmax(told, axis=1)[:, None]
    return np.asarray(np.sign(np.take_along_axis(g, np.where(before < 0, first, before), 1)))
