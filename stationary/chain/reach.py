"""How far SGD can come at all: the smallest interval that no minibatch leads out of.

A diffusion leaves every basin sooner or later. Steps of a bounded size do not, where the slope is
so steep that every minibatch leads back down.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from stationary.aliases import Array
from stationary.chain.batch_law import extremes
from stationary.chain.cells import spaced
from stationary.chain.far import ends_of, turned_back
from stationary.chain.ground import Ground
from stationary.errors import StationaryError
from stationary.functions.evaluation import evaluate
from stationary.numbers.arithmetic import SAME
from stationary.numbers.cost import BY_LOOK
from stationary.process.corners import SCAN
from stationary.process.landscape import Landscape
from stationary.states.basin import Basin


def held_interval(landscape: Landscape, basin: Basin) -> tuple[float, float] | None:
    """The interval around a minimum that SGD cannot leave, or None if it can leave the basin.

    The basin has a barrier: to one side at least there is somewhere else to go.
    """
    at, ends = float(basin.position), (float(basin.lower), float(basin.upper))
    ways = [abs(at - end) for end in borders_of(basin)]
    low, high = ends
    low = at - 4 * (high - at) if math.isinf(low) else low  # as if the other side were as long
    high = at + 4 * (at - low) if math.isinf(high) else high
    points = _points(landscape)
    found = closure(landscape, at, at, spaced(low, high, points, [(at, min(ways))]))
    if found is None:
        return None
    by = 0.01 * (found[1] - found[0])  # again on points that lie where it ends
    near = np.linspace(max(found[0] - by, low), min(found[1] + by, high), points)
    return closure(landscape, at, at, near) or found


def borders_of(basin: Basin) -> tuple[float, ...]:
    """The ends of a basin beyond which there is somewhere else to go: on a ring both."""
    process, ends = basin.state.diffusion, (float(basin.lower), float(basin.upper))
    if process.is_periodic:
        return ends
    return tuple(end for end, wall in zip(ends, process.domain, strict=True) if end != wall)


def closure(landscape: Landscape, low: float, high: float, w: Array) -> tuple[float, float] | None:
    """Where SGD can come from an interval, whichever datapoints are drawn, as seen at points w.

    None where it comes beyond them, walls aside.
    """
    walls = landscape.domain
    folds = ends_of(landscape) == ("fold", "fold")
    w = w[(walls[0] <= w) & (w <= walls[1])]
    if landscape.label_noise and (landscape.label_rows(w) > 0).any():
        return None  # normal noise leads anywhere
    try:
        (g,) = evaluate(landscape.gradient, w)
    except StationaryError:
        return None
    if not np.isfinite(g).all():
        return None
    least, most = extremes(g, landscape.batch_size, bool(landscape.replacement))
    assert landscape.learning_rate is not None
    down, up = (w - landscape.learning_rate * landscape.stepped(u, w) for u in (most, least))
    # A walker in [left, right] can be as low as the least of `down` there, and as high as of `up`.
    left, right = low, high
    for _ in range(2000):
        begin = int(np.searchsorted(w, left, side="right")) - 1  # a point itself where it is there
        inside = slice(max(begin, 0), np.searchsorted(w, right) + 1)
        if not len(w[inside]):  # nowhere that a step is known from
            return None
        first, last = min(left, float(down[inside].min())), max(right, float(up[inside].max()))
        if not folds and (first < walls[0] or last > walls[1]):
            return None
        first, last = map(float, turned_back(first, last, *walls, ("fold", "fold")))
        if (first <= w[0] > walls[0]) or (last >= w[-1] < walls[1]):
            return None
        grown = max(left - first, last - right)
        left, right = first, last
        if grown <= SAME * float(w[-1] - w[0]):
            return left, right
    return None


def is_linked(ground: Ground, spans: Sequence[tuple[float, float]], late: bool) -> bool:
    """Whether outcomes of a step that stand for none of the maps decide between what is closed."""
    if ground.batches.whole:
        return False
    spans, landscape = sorted(spans), ground.batches.landscape
    if len(spans) == 1:
        low, high = spans[0]
        beside = np.linspace(1.01 * low - 0.01 * high, 1.01 * high - 0.01 * low, _points(landscape))
        return late and closure(landscape, low, high, beside) is None
    ends = [ground.held.lower, *(x for span in spans for x in span), ground.held.upper]
    between = [
        spaced(before, after, SCAN, ground.cores)
        for before, after in zip(ends[:-2:2], ends[3::2], strict=True)
    ]
    return any(closure(landscape, *span, w) is None for span, w in zip(spans, between, strict=True))


def _points(landscape: Landscape) -> int:
    return min(SCAN, max(64, BY_LOOK // landscape.datapoints))
