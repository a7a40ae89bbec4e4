"""`limit`: what values on ever finer steps lead to, and how well that is known."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np


def limit(values: Sequence[Any], orders: Sequence[float] = (2.0,)) -> tuple[Any, Any]:
    """What the last of some values, each with steps half as wide, leads to, and its error.

    Parameters
    ----------
    values
        At least three, coarse to fine: numbers, or arrays of one shape.
    orders
        The powers of the step that the error is a sum of, lowest first: each is taken away in
        turn (Richardson), as long as that brings neighbouring values nearer to each other than
        it moves them. Where it does not, the values fall as they are seen to fall.

    Returns
    -------
    tuple
        The limit, and its absolute error: no less than the last extrapolation has changed.
    """
    table = [np.asarray(v, dtype=float) for v in values]
    error = remainder(table, orders[0])
    taken = np.ones(np.shape(table[-1]), dtype=bool)
    found = table[-1]
    for order in orders:
        if len(table) < 3:
            break
        gain = 1 / (2.0**order - 1)
        finer = [y + (y - x) * gain for x, y in pairwise(table)]
        apart, moved = np.abs(finer[-1] - finer[-2]), np.abs(finer[-1] - table[-1])
        taken = taken & (apart <= moved)
        found = np.where(taken, finer[-1], found)
        error = np.where(taken, np.maximum(apart, moved), error)
        table = finer
    return found[()], error[()]


def remainder(values: Sequence[Any], order: float) -> Any:
    """How far the last of three values may be from their limit, if it is not extrapolated.

    Changes fall at best with the power `order` of the step; that they fall by less than a sixth
    each time is not believed, whatever two changes say. What they were before counts, too: a
    small change may be luck. Where they go to and fro, they do not fall yet: the next may be as
    large as the last.
    """
    first, last = values[-2] - values[-3], values[-1] - values[-2]
    before, after, best = np.abs(first), np.abs(last), 0.5**order
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.clip(np.where(before > 0, after / before, best), best, 5 / 6)
    left = np.where(first * last < 0, np.maximum(ratio / (1 - ratio), 1.0), ratio / (1 - ratio))
    return 1.5 * np.maximum(after, best * before) * left
