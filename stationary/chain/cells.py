"""Where the steps of SGD stay, and the cells that this is cut into.

Three questions about the maps of all minibatches: which interval holds the walker (`working`);
which points all of them leave where they are, and whether those attract (`rest_points`); what the
smallest interval is that none of them leads out of (`hull`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stationary.chain.batches import Batches
from stationary.errors import LandscapeError
from stationary.functions.evaluation import evaluate

__all__ = [
    "Held",
    "RestPoint",
    "bisected",
    "graded",
    "hull",
    "rest_points",
    "tail_powers",
    "working",
]

Array = NDArray[Any]

EPS = float(np.finfo(float).eps)
SCAN = 2001  # weights at which rest points are looked for
CAPTURE = 1e-11  # nearer than this, relative to the interval, an attracting rest point has its own
CAPTURE_NEUTRAL = 1e-3  # the same where distances shrink ever more slowly
NEUTRAL = 1e-12  # exponents below this are none
FARTHEST = 1e6  # times the region of the minima: where a tail is cut at first
ROUNDS = 400


@dataclass(frozen=True)
class RestPoint:
    """A weight at which no datapoint has a gradient: SGD that starts there stays.

    A small distance from it is multiplied by 1 - T l'' of the drawn batch in each step, so its
    logarithm drifts by `exponent` = mean log |1 - T l''| per step.
    """

    position: float
    exponent: float  # of Lyapunov, per step; -inf where a batch arrives in one step
    attracts: bool


@dataclass(frozen=True)
class Held:
    """An interval to work on."""

    lower: float
    upper: float
    ends: tuple[str, str]  # "fold", "leave", "periodic", or "keep" (nothing to speak of goes out)
    escapes: bool = False  # what leaves goes to infinity
    note: str = ""
    tails: bool = False  # the ends are far out, and wait to be drawn in


def working(batches: Batches, ends: tuple[str, str], start: tuple[float, float] | None) -> Held:
    """The interval on which to work, where an end of the domain may be infinite."""
    lower, upper = batches.landscape.domain
    if math.isfinite(lower) and math.isfinite(upper):
        return Held(lower, upper, ends)
    low, high = _region(batches, lower, upper)
    if start is not None:
        low, high = min(low, start[0]), max(high, start[1])
    size = max(high - low, 1e-3 * max(abs(low), abs(high)), 1e-9)
    far = (low - 1e3 * size, high + 1e3 * size)
    a, b = low, high
    for _ in range(ROUNDS):
        margin = 0.02 * (b - a) + 1e-3 * size
        wider = (max(a - margin, lower), min(b + margin, upper))
        c, d = _covered(batches, *wider)
        if wider[0] <= max(c, lower) and min(d, upper) <= wider[1]:
            kinds = [
                e if math.isfinite(w) else "keep" for e, w in zip(ends, (lower, upper), strict=True)
            ]
            return Held(*wider, (kinds[0], kinds[1]))
        a, b = max(min(a, c), lower), min(max(b, d), upper)
        if not (far[0] < a and b < far[1]):
            break
    middle = (low + high) / 2
    if _runs_away(batches, middle, size):
        kinds = [
            e if math.isfinite(w) else "leave" for e, w in zip(ends, (lower, upper), strict=True)
        ]
        wide = (max(low - 20 * size, lower), min(high + 20 * size, upper))
        return Held(*wide, (kinds[0], kinds[1]), escapes=True)
    kinds = [e if math.isfinite(w) else "keep" for e, w in zip(ends, (lower, upper), strict=True)]
    reach = FARTHEST * size
    return Held(max(low - reach, lower), min(high + reach, upper), (kinds[0], kinds[1]), tails=True)


def _region(batches: Batches, lower: float, upper: float) -> tuple[float, float]:
    """Where the gradients of the batches change sign."""
    out = np.logspace(-4, 6, 1201)
    if math.isfinite(lower):
        w = lower + np.append(0.0, out)
    elif math.isfinite(upper):
        w = upper - np.append(0.0, out)[::-1]
    else:
        w = np.concatenate([-out[::-1], [0.0], out])
    known = np.sort([p for p in batches.landscape.breakpoints if lower < p < upper])
    w = np.unique(np.concatenate([w, known]))
    with np.errstate(all="ignore"):
        g = batches.landscape.stepped(evaluate(batches.landscape.gradient, w)[0], w)
    good = np.isfinite(g).all(axis=0)
    w, sign = w[good], np.sign(g[:, good])
    turns = ((sign[:, 1:] != sign[:, :-1]) | (sign[:, 1:] == 0)).any(axis=0)
    if not len(w) or not turns.any():
        centre = 0.0 if not math.isfinite(lower + upper) else lower
        centre = lower if math.isfinite(lower) else upper if math.isfinite(upper) else centre
        return centre - 1, centre + 1
    i = np.flatnonzero(turns)
    return float(w[i[0]]), float(w[i[-1] + 1])


def _covered(batches: Batches, low: float, high: float) -> tuple[float, float]:
    """The hull of where one step leads from an interval."""
    w = np.linspace(low, high, 257)
    with np.errstate(all="ignore"):
        try:
            images = batches.images(w)
        except LandscapeError:
            return -math.inf, math.inf
    ends = []
    for sign, table in ((-1.0, -images), (1.0, images)):
        k, i = np.unravel_index(np.argmax(table), table.shape)
        best = float(table[k, i])
        if 0 < i < len(w) - 1:  # the top of a parabola through it and its neighbours
            left, right = float(table[k, i - 1]), float(table[k, i + 1])
            bend = 2 * best - left - right
            if bend > 0:
                best += (right - left) ** 2 / (8 * bend)
        ends.append(sign * best)
    return ends[0], ends[1]


def _runs_away(batches: Batches, middle: float, size: float) -> bool:
    """Whether the distance from the minima grows far out, in the mean of its logarithm."""
    lower, upper = batches.landscape.domain
    for distance in (1e2, 1e4, 1e6):
        rates = []
        for w in (middle - distance * size, middle + distance * size):
            if not lower < w < upper:
                continue
            with np.errstate(all="ignore"):
                try:
                    images = batches.images(np.array([w]))[:, 0]
                except LandscapeError:
                    return True
                growth = np.log(np.abs(images - middle) / abs(w - middle))
            outward = np.sign(w - middle) * (batches.probability @ (images - w)) > 0
            rate = float(batches.probability @ np.maximum(growth, -700))
            rates.append(rate if abs(rate) > 1e-3 else (1.0 if outward else -1.0))
        if rates and max(rates) > 0:
            return True
    return False


def tail_powers(batches: Batches, low: float, high: float) -> tuple[float, float]:
    """Means of |growth of the distance| and of its square in a step far out: at least 1 where the
    moment of that order diverges (Kesten 1973)."""
    middle = (low + high) / 2
    growth = np.abs((batches.images(np.array([low, high])) - middle) / (high - middle))
    first, second = (float((batches.probability @ growth**k).max()) for k in (1, 2))
    return first, second


def hull(batches: Batches, low: float, high: float, held: Held) -> tuple[float, float]:
    """The largest interval in [low, high] that one step fills again: what a class lies in."""
    past: list[tuple[float, float]] = []
    for _ in range(ROUNDS):
        a, b = _covered(batches, low, high)
        if a < held.lower and held.ends[0] == "fold":
            b = max(b, min(2 * held.lower - a, held.upper))
        if b > held.upper and held.ends[1] == "fold":
            a = min(a, max(2 * held.upper - b, held.lower))
        a, b = max(a, held.lower), min(b, held.upper)
        near = 4 * EPS * max(abs(a), abs(b))
        settled = abs(a - low) <= near and abs(b - high) <= near
        past.append((a, b))
        low, high = a, b
        if settled or high - low <= 8 * near:
            break
        if len(past) == 3:  # the ends approach geometrically: go where they lead
            low, high = (_limit(*(p[k] for p in past)) for k in (0, 1))
            low, high = max(low, held.lower), min(high, held.upper)
            if not low < high:
                low, high = a, b
            past = []
    size = EPS * (high - low)
    return (0.0 if abs(low) < size else low), (0.0 if abs(high) < size else high)


def _limit(x: float, y: float, z: float) -> float:
    first, second = y - x, z - y
    if first == 0 or not 0 <= second / first < 1:
        return z
    return z + second * (second / first) / (1 - second / first)


def rest_points(batches: Batches, low: float, high: float) -> tuple[RestPoint, ...]:
    """The points of an interval at which the gradients of all datapoints vanish."""
    landscape = batches.landscape
    if landscape.datapoints * SCAN > 2**24 or landscape.rule.sign:
        return ()  # of a sign, every step is of one length

    def gradient(w: Array) -> Array:
        g = evaluate(landscape.gradient, w)[0]
        noise = np.sqrt(np.atleast_2d(landscape.label_rows(w))) if landscape.label_noise else g[:0]
        return np.concatenate([landscape.stepped(g, w), noise])

    w = np.unique(
        np.concatenate(
            [np.linspace(low, high, SCAN), [p for p in landscape.breakpoints if low < p < high]]
        )
    )
    size = np.abs(gradient(w)).max(axis=0)
    typical = float(np.median(size)) or float(size.max())
    padded = np.concatenate([[np.inf], size, [np.inf]])
    least = (size <= padded[:-2]) & (size <= padded[2:]) & ~((size == 0) & (padded[:-2] == 0))
    least &= ~((size == 0) & (padded[2:] == 0))  # not on a stretch
    at = w[least]
    if not len(at):
        return ()
    gap = (high - low) / (SCAN - 1)
    lower, upper = np.maximum(at - gap, low), np.minimum(at + gap, high)
    x = at.copy()
    for _ in range(100):
        try:
            g, slope = evaluate(landscape.gradient, x, order=1)
        except LandscapeError:
            h = 1e-6 * gap
            g, slope = gradient(x), (gradient(x + h) - gradient(x - h)) / (2 * h)
        with np.errstate(all="ignore"):
            step = (g * slope).sum(axis=0) / (slope * slope).sum(axis=0)
        new = np.clip(x - np.where(np.isfinite(step), step, 0.0), lower, upper)
        if (np.abs(new - x) <= 2 * EPS * np.abs(x)).all():
            break
        x = new
    found: list[RestPoint] = []
    for point in x.tolist():
        # Round numbers first: where gradients vanish to high order, many doubles would do.
        tries = [float(np.round(point, k)) for k in range(1, 15)] + [
            point + k * math.ulp(point) for k in (0, 1, -1, 2, -2)
        ]
        tries = [t for t in tries if abs(t - point) < 1e-4 * gap + 4 * math.ulp(point)]
        tries = [t for t in tries if low <= t <= high]
        worst = np.abs(gradient(np.array(tries))).max(axis=0)
        best = int(np.argmin(worst))
        position = tries[best]
        if worst[best] > 64 * EPS * typical * max(abs(position) / (high - low), 1.0):
            continue
        if found and abs(position - found[-1].position) <= 1e-9 * (high - low):
            continue
        found.append(_judged(batches, position, gap))
    return tuple(found)


def rest_point(batches: Batches, position: float, domain: tuple[float, float]) -> RestPoint:
    """A point known to be one, judged."""
    lower, upper = domain
    width = upper - lower if math.isfinite(upper - lower) else 1 + abs(position)
    return _judged(batches, position, width / SCAN)


def _judged(batches: Batches, position: float, gap: float) -> RestPoint:
    factors = batches.multipliers(position)
    if factors is None:
        d = 1e-3 * gap
        images = batches.images(np.array([position - d, position + d]))
        factors = (images[:, 1] - images[:, 0]) / (2 * d)
    with np.errstate(divide="ignore"):
        exponent = float(batches.probability @ np.log(np.abs(factors)))
    if abs(exponent) > NEUTRAL:
        return RestPoint(position, exponent, exponent < 0)
    distance = gap * 10.0 ** -np.arange(0, 4)  # neither, to first order: see what the maps do
    x = np.concatenate([position - distance, position + distance])
    nearer = np.abs(batches.images(x) - position) < np.abs(x - position)
    return RestPoint(position, exponent, bool(nearer.all()))


def capture(rest: RestPoint, width: float) -> float:
    """How near an attracting rest point has what comes there for its own."""
    share = CAPTURE if abs(rest.exponent) > NEUTRAL else CAPTURE_NEUTRAL
    return max(share * width, 1e5 * math.ulp(rest.position))


def graded(
    low: float,
    high: float,
    count: int,
    rests: Sequence[RestPoint] = (),
    joints: Sequence[float] | Array = (),
    profile: tuple[Array, Array] | None = None,
    even: float = 0.4,
) -> Array:
    """About `count` cells: fine where the mass of a profile (edges, mass) is, and at rest points.

    The error of a cell of width h is about density h^2, which the cube root of the density
    spreads evenly. A share `even` of the cells goes by length alone: what is rare may decide.
    """
    width = high - low
    inside = [p for p in rests if low <= p.position <= high]
    reach = [capture(p, width) for p in inside]
    distance = [np.geomspace(d, width, 400) for d in reach]
    knots = [np.linspace(low, high, 2 * count + 1)]
    knots += [p.position + s * d for p, d in zip(inside, distance, strict=True) for s in (1, -1)]
    if profile is not None:
        knots.append(profile[0])
    x = np.unique(np.clip(np.concatenate(knots), low, high))
    level = (x - low) / width
    if profile is not None:
        edges, mass = profile
        cell = np.diff(edges)
        cube = np.cumsum(np.append(0.0, (mass / cell) ** (1 / 3) * cell))
        total = np.append(0.0, np.cumsum(mass))
        roots = np.interp(x, edges, cube / cube[-1])
        shares = np.interp(x, edges, total / total[-1])  # tails like powers have long roots
        level = even * level + (1 - even) * (0.6 * roots + 0.4 * shares)
    for p, d in zip(inside, reach, strict=True):
        part = np.sign(x - p.position) * np.log1p(np.abs(x - p.position) / d)
        part = (part - part[0]) / (part[-1] - part[0])
        level = level + 0.4 * part
    edges = np.interp(np.linspace(level[0], level[-1], count + 1), level, x)
    edges[0], edges[-1] = low, high
    forced = [float(j) for j in joints if low < j < high]
    for p, d in zip(inside, reach, strict=True):
        forced.append(p.position)
        edges = edges[np.abs(edges - p.position) > 1.5 * d]
        forced += [p.position - d, p.position + d]
    forced = [f for f in forced if low < f < high]
    if forced:
        least = 0.2 * np.interp((np.array(forced)), edges[:-1], np.diff(edges))
        near = np.abs(edges[:, None] - np.array(forced)[None, :]) < least[None, :]
        edges = np.concatenate([edges[~near.any(axis=1)], forced])
    edges = np.unique(np.concatenate([edges, [low, high]]))
    keep = np.append(True, np.diff(edges) > 8 * EPS * np.abs(edges[1:]))
    keep[-1] = True
    return np.asarray(edges[keep])


def bisected(edges: Array) -> Array:
    """Every cell cut in two."""
    fine = np.empty(2 * len(edges) - 1)
    fine[::2] = edges
    fine[1::2] = (edges[1:] + edges[:-1]) / 2
    return fine
