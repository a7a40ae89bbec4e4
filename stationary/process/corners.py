"""Where gradients have corners: losses take another branch there, or a minibatch is clipped.

Found by a scan of the domain and bisection, so that panels can end there: a corner that is searched
for while sampling costs a ladder of ever smaller panels.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from stationary.aliases import Array
from stationary.functions.tape.switching import Switches
from stationary.numbers.cost import BY_WORK
from stationary.panels.roots import bisected, find_roots

SCAN = 2049  # points at which it is looked where a function changes its sign
MOST_TURNS = 4096  # of losses: each of them ends a panel, and more are left to the sampling
ROUNDINGS = 4  # of the largest corner, within which two are one
PANEL = 20  # points at which all datapoints are looked at between two of them
MOST = 512  # corners of minibatches: with more of them the panels between are left to the sampling


def corners(
    rows: Callable[[Array], Array],
    levels: Sequence[float],
    domain: tuple[float, float],
    each: Callable[[Array, Array], Array] | None = None,
    most: int = MOST,
) -> tuple[float, ...] | None:
    """The points inside a domain where one of the rows crosses one of the levels, ascending.

    `rows` is a function of M points, of shape (K, M), and `each`, where they are continuous, of
    the numbers of M rows and a point for each of these, of shape (M,). Each to the spacing of
    doubles; None where there are more than `most`.
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
    if len(k) > most:
        return None
    own = k.astype(int)
    if each is None:
        at = own, np.arange(len(k))
        _, roots = bisected(lambda x: np.sign(rows(x)[at] - level) == before, low, high)
    else:
        roots = find_roots(lambda x: each(own, x) - level, low, high)
    lower, upper = domain
    every = np.unique(np.concatenate([*found, roots]))
    return tuple(float(w) for w in every if lower < w < upper)


def turns(
    losses: Sequence[Switches],
    datapoints: int,
    domain: tuple[float, float],
    known: Sequence[float] = (),
) -> tuple[float, ...]:
    """The points inside a domain where losses take another branch, but for those that are `known`.

    () where these are too many. What is apart by a rounding only is one point.
    """
    if sum(s.count for s in losses) > 2 * MOST_TURNS:
        return ()
    most = min(MOST_TURNS, BY_WORK // (PANEL * datapoints))
    found = [corners(s, (0.0,), domain, s.each, most) for s in losses]
    every = np.unique(np.concatenate([some or () for some in found] or [()]))
    if None in found or not 0 < len(every) <= most:
        return ()
    near = ROUNDINGS * np.spacing(np.abs([*every, *known]).max())
    apart = np.diff(every, prepend=-math.inf) > near
    for point in known:
        apart &= np.abs(every - point) > near
    return tuple(every[apart].tolist())


def _scan(lower: float, upper: float) -> Array:
    if math.isfinite(upper - lower):
        return np.linspace(lower, upper, SCAN)
    centre = lower if math.isfinite(lower) else upper if math.isfinite(upper) else 0.0
    half = np.concatenate([np.linspace(0, 16, SCAN // 2), 16 * 2.0 ** (np.arange(1, 161) / 4)])
    x = centre + np.concatenate([-half[:0:-1], half])
    return np.asarray(x[(x >= lower) & (x <= upper)])
