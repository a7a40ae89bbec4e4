"""Where the gradients of minibatches take given values: a step that clips them has corners there.

Found by a scan of the domain and bisection, so that panels can end there: a corner that is searched
for while sampling costs a ladder of ever smaller panels.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from stationary.aliases import Array
from stationary.panels.roots import bisected

SCAN = 2049  # points at which it is looked where a function changes its sign
MOST = 512  # corners: with more of them the panels between are left to the sampling


def corners(
    rows: Callable[[Array], Array], levels: Sequence[float], domain: tuple[float, float]
) -> tuple[float, ...]:
    """The points inside a domain where one of the rows crosses one of the levels, ascending.

    `rows` is a function of M points, of shape (K, M). Each to the spacing of doubles; () where
    there are more than `MOST`.
    """
    x = _scan(*domain)
    table = rows(x)
    found: list[Array] = []
    brackets = []
    for level in levels:
        with np.errstate(invalid="ignore"):
            side = np.sign(table - level)
        on = (side[:, 1:-1] == 0) & (side[:, :-2] * side[:, 2:] != 0)
        found.append(x[1:-1][on.any(axis=0)])
        k, i = np.nonzero(side[:, :-1] * side[:, 1:] < 0)
        brackets.append(np.stack([k, x[i], x[i + 1], np.full(len(k), level), side[k, i]]))
    k, low, high, level, before = np.concatenate(brackets, axis=1)
    if len(k) > MOST:
        return ()
    own = k.astype(int), np.arange(len(k))
    _, high = bisected(lambda x: np.sign(rows(x)[own] - level) == before, low, high)
    lower, upper = domain
    every = np.unique(np.concatenate([*found, high]))
    return tuple(float(w) for w in every if lower < w < upper)


def _scan(lower: float, upper: float) -> Array:
    if math.isfinite(upper - lower):
        return np.linspace(lower, upper, SCAN)
    centre = lower if math.isfinite(lower) else upper if math.isfinite(upper) else 0.0
    half = np.concatenate([np.linspace(0, 16, SCAN // 2), 16 * 2.0 ** (np.arange(1, 161) / 4)])
    x = centre + np.concatenate([-half[:0:-1], half])
    return np.asarray(x[(x >= lower) & (x <= upper)])
