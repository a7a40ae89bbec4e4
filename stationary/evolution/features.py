"""`first_reach` and `grid_in`: what a process has on the line that cells should be put around."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np

from stationary.aliases import Array
from stationary.errors import LandscapeError
from stationary.evolution.grid import GRIDS, SPACINGS, Feature, Grid, grid_on
from stationary.evolution.request import Asked
from stationary.line.feller import Feller
from stationary.line.partition import Partition
from stationary.numbers.arithmetic import HUGE, SAME
from stationary.numbers.elementary import distinct
from stationary.process.initial import Initial
from stationary.states.distribution import EndState

# Of the start and of the end state, that may lie outside the window at first; and of all that is
# there, or of its variance, where no cells need be.
TAIL = 1e-13
LIGHT = 100.0  # times the width of the end state, within which its tail is taken in at once
FLIGHT = 200  # steps of the drift alone
FURTHEST = 1e6  # times where the process starts, to which that is followed
MANY = 24  # minima around which cells are put, and points of a start that are edges
POINT = 1e-4  # of the window: the width of what has none, or none that doubles can tell
CLOSE = 1e-8  # the same of an end or a gate
ENOUGH = 4.0  # cells per e-fold of the distance from a place
SIDE = 1e-9  # of the window: from a jump to either side of it
RISE = 0.3  # of log10 of the noise over a jump, from which on what comes over it is far narrower
# than what it becomes there
DISTANCES = 60  # from it, at which noise and drift are compared


def is_whole(state: EndState) -> bool:
    """Whether all probability ends in atoms and densities, as far as that is known."""
    if state.kind in ("none", "classes"):
        return False
    return sum(float(e.weight or 0.0) for e in state.escapes) <= SAME


@lru_cache(maxsize=1)
def _quantiles(state: EndState) -> Array:
    """Of levels TAIL, 0.1, 0.25, 0.5, 0.75, 0.9, 1 - TAIL: asked for once, as digits are dear."""
    return state.reach(TAIL, (0.1, 0.25, 0.5, 0.75, 0.9))


def first_reach(asked: Asked) -> tuple[float, float]:
    """An interval that holds the start, whatever is special on the line, and most of what comes."""
    state, start, diffusion = asked.state, asked.start, asked.state.diffusion
    lower, upper = diffusion.domain
    low, high = start.ppf(TAIL), start.isf(TAIL)
    places = [low, high, *(float(e.position) for e in state.anatomy.equilibria)]
    places += [float(e) for p in state.anatomy.points for e in (p.lower, p.upper)]
    if state.kind in ("density", "mixture", "flux") and is_whole(state):
        q = _quantiles(state)[[1, 5]].tolist()
        reach = LIGHT * (q[1] - q[0])
        tails = _quantiles(state)[[0, 6]].tolist()
        places += [x for x in tails if q[0] - reach < x < q[1] + reach]
    x = np.clip(np.array([low, high]), lower, upper)
    t = float(asked.times[-1])
    with np.errstate(all="ignore"):
        spread = np.nan_to_num(
            np.minimum(np.sqrt(state.anatomy.coefficients(x)[1] * t), 1 + abs(x))
        )
    if not is_whole(state):  # nothing keeps it
        x, spread = _carried(state.anatomy, x, t)
        places += x.tolist()
        places += (x - spread).tolist() + (x + spread).tolist()
    places = [p for p in places if math.isfinite(p)]
    first, last = min(places), max(places)
    margin = max(0.05 * (last - first), float(spread.max())) or 1e-3 * (1 + abs(first))
    return (
        lower if math.isfinite(lower) else first - margin,
        upper if math.isfinite(upper) else last + margin,
    )


def _carried(parts: Partition, x: Array, t: float) -> tuple[Array, Array]:
    """Where the drift alone would take two points by time t, and eight deviations there.

    The variance v obeys dv/dt = 2 f' v + a along the way, as long as it is small.
    """
    furthest = FURTHEST * (1 + float(np.abs(x).max()))
    lower, upper = parts.diffusion.domain
    dt, v = t / FLIGHT, np.zeros(2)
    for _ in range(FLIGHT):
        h = 1e-6 * (1 + np.abs(x))
        with np.errstate(all="ignore"):
            f, a = parts.coefficients(np.clip(np.concatenate([x, x + h]), lower, upper))
            stretch = np.exp((f[2:] - f[:2]) / h * dt)
            further = np.clip(x + f[:2] * dt, lower, upper)
            v_next = v * stretch**2 + a[:2] * dt
        fine = (np.abs(further) < furthest) & (v_next < furthest**2)  # and neither is nan
        x, v = np.where(fine, further, x), np.where(fine, v_next, v)
    return x, 8 * np.sqrt(v)


def grid_in(
    asked: Asked,
    window: tuple[float, float],
    depths: tuple[tuple[float, float], ...],
    cells: int,
    held: tuple[float, float] = (-math.inf, math.inf),
    edges_at: int = 0,
) -> Grid:
    """The grid of about `cells` cells on level 0; `depths` are places and widths of their own.

    Between the two points of `held` is all probability, as far as it is known. Corners are edges
    where there are no more of them than cells; these are more where they are up to `edges_at`.
    """
    state, start, times, diffusion = asked.state, asked.start, asked.times, asked.state.diffusion
    low, high = window
    span = high - low
    centre, width = _centre_of(start)
    first = float(times[times > 0][0]) if (times > 0).any() else 0.0
    at = np.array([min(max(centre, low), high)])
    with np.errstate(all="ignore"):
        noise = float(np.nan_to_num(np.sqrt(state.anatomy.coefficients(at)[1] * first))[0])
    given = POINT * span if start.law is None and not noise > 0 else 0.0
    minima, blurred = _minima(state, low, high)
    features = [Feature(centre, max(width, noise, given)), *minima]
    if is_whole(state) and len(state.components) and not state.atoms:
        q = _quantiles(state)[2:5].tolist()
        if low < q[1] < high:
            features.append(Feature(q[1], max(q[2] - q[0], POINT * span)))
    edges = [float(e) for p in state.anatomy.points for e in (p.lower, p.upper)]
    singular = [x for x in edges if math.isfinite(x)]  # stretches reach to infinite ends, too
    for end in state.anatomy.ends:
        open_ = end.order is not None or end.feller is Feller.UNDECIDED
        if open_ and low <= end.position <= high:
            singular.append(float(end.position))
    deep = CLOSE if len(singular) < MANY else 1e-3
    own = dict(depths)
    for x in singular:
        features.append(
            Feature(x, own.get(x) or max(deep * span, _layer(state.anatomy, x, low, high)))
        )
    breaks = [low, high, *singular, *(x for pair in blurred for x in pair), *_corners(start)]
    corners = {*diffusion.breakpoints, *state.anatomy.jumps.tolist()}
    inner = np.array([x for x in sorted(corners) if low < x < high])
    features += _layers(state.anatomy, inner, span) if len(inner) else []
    if len(inner) <= edges_at:
        cells = max(cells, len(inner))
    if len(inner) <= max(cells, 2):  # more than cells are what cells take the mean of
        breaks += inner.tolist()

    def carried(x: Array) -> Array:
        with np.errstate(all="ignore"):
            f, a = state.anatomy.coefficients(x)
            density = np.nan_to_num(np.minimum(np.abs(f) / a, HUGE))
        density = np.where((x >= held[0]) & (x <= held[1]), density, 0.0)
        for place in singular:  # cells shrink with the distance from it anyway
            density = np.where(density * np.abs(x - place) < ENOUGH, 0.0, density)
        return density

    grid = grid_on(
        window, distinct(breaks), tuple(features), max(cells, 2), tuple(blurred), carried
    )
    if grid.levels < GRIDS:
        raise LandscapeError(
            f"{diffusion.name}: what happens between {float(low)!r} and {float(high)!r} is too "
            "narrow for cells whose edges doubles tell apart. Shift the origin into that interval."
        )
    return grid


def _corners(start: Initial) -> list[float]:
    """Where probability begins: in the middle of a cell it would be off by more on some grids."""
    if start.law is None:
        return start.points.tolist() if len(start.points) <= MANY else []
    return [x for x in start.support() if math.isfinite(x)]


def _minima(
    state: EndState, low: float, high: float
) -> tuple[list[Feature], list[tuple[float, float]]]:
    """Stable equilibria in the window, as wide as noise makes them, and those too narrow to show.

    Of these, but for zeros of the variance, an interval is given, that should be left as one cell:
    what the drift alone carries there comes ever closer, at a rate that cells never resolve next
    to it.
    """
    found: list[Feature] = []
    blurred: list[tuple[float, float]] = []
    stable = [e for e in state.anatomy.equilibria if e.stable and low < e.position < high]
    for e in stable[:MANY]:
        x = float(e.position)
        slope = abs(float(e.slope)) if e.slope else 0.0
        with np.errstate(all="ignore"):
            a = float(state.anatomy.coefficients(np.array([x]))[1][0])
        width = math.sqrt(a / 2 / slope) if slope > 0 and a >= 0 else math.nan
        if not math.isfinite(width):
            width = (high - low) / 20
        elif width < SPACINGS * float(np.spacing(abs(x))):
            width = POINT * (high - low)
            if not any(p.lower <= x <= p.upper for p in state.anatomy.points):
                blurred.append((max(x - width, low), min(x + width, high)))
        found.append(Feature(x, width, 2.0))
    return found, blurred


def _layer(parts: Partition, x: float, low: float, high: float) -> float:
    """A tenth of the distance from a zero of the variance up to which the drift alone decides."""
    r = (high - low) * np.geomspace(CLOSE, 1.0, DISTANCES)
    at = np.concatenate([x - r[::-1], [x], x + r])
    inside = (at > low) & (at < high) | (at == x)
    with np.errstate(all="ignore"):
        f, a = parts.coefficients(np.where(inside, at, x))
    drift = abs(float(f[DISTANCES]))
    if not 0 < drift < math.inf:
        return 0.0
    noisy = np.abs(at - x)[inside & (a > drift * np.abs(at - x))]
    return float(noisy.min(initial=high - low)) / 10


def _layers(parts: Partition, x: Array, span: float) -> list[Feature]:
    """Jumps of the noise, as wide as what the drift carries is on the side with less of it."""
    at = np.concatenate([x - SIDE * span, x + SIDE * span])
    with np.errstate(all="ignore"):
        f, a = (v.reshape(2, -1) for v in parts.coefficients(at))
        rise = np.abs(np.log10(a[1] / a[0]))
        width = np.fmax((a / np.abs(f)).min(axis=0), POINT * span)
    rise = np.where(np.isfinite(rise) & (rise > RISE), np.minimum(rise, 1.0), 0.0)
    return [
        Feature(float(x[k]), float(min(width[k], span)), float(rise[k]))
        for k in np.argsort(-rise)[:MANY]
        if rise[k] > 0
    ]


def _centre_of(start: Initial) -> tuple[float, float]:
    """Where the start is, and about how wide."""
    if start.law is None:
        weight = start.weights / start.weights.sum()
        mean = float(weight @ start.points)
        return mean, float(np.sqrt(weight @ (start.points - mean) ** 2))
    return start.median(), start.ppf(0.75) - start.ppf(0.25)
