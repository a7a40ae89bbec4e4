"""Where the steps of SGD stay, and the cells that this is cut into.

Three questions about the maps of all minibatches: which points all of them leave where they are,
and whether those attract (`rest_points`); what the smallest interval is that none of them leads out
of (`hull`); and around which points an interval needs finer cells than even ones (`cores_of`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from stationary.aliases import Array
from stationary.chain.batches import Batches
from stationary.chain.far import Held, covered, looked_at, turned_back
from stationary.errors import LandscapeError, StationaryError
from stationary.functions.evaluation import evaluate
from stationary.line.chart import CORE
from stationary.line.equilibria import Equilibrium
from stationary.line.partition import is_known, partition
from stationary.numbers.arithmetic import EPSILON, TINY
from stationary.numbers.cost import BY_LOOK
from stationary.numbers.elementary import distinct
from stationary.panels.roots import bisected as where_ends
from stationary.process.corners import SCAN

Core = tuple[float, float]  # middle and size of what needs cells finer than its surroundings

BESIDE = 64 * EPSILON  # of an interval, within which an end is at a joint, and seen from within
ENDS = 1e-7  # of an interval, to which its ends are found where batches stand for others
HALVED = 30  # times, of a way along which steps are looked at
DRAWN = 0.999  # of a way, that a step leaves at most: a million of them are few
CAPTURE = 1e-11  # nearer than this, relative to the interval, an attracting rest point has its own
CAPTURE_NEUTRAL = 1e-3  # the same where distances shrink ever more slowly
NEUTRAL = 1e-12  # exponents below this are none
ACROSS = 8  # even cells between neighbouring equilibria, fewer than which do not tell them apart


@dataclass(frozen=True)
class RestPoint:
    """A weight at which no datapoint has a gradient: SGD that starts there stays.

    A small distance from it is multiplied by 1 - T l'' of the drawn batch in each step, so its
    logarithm drifts by `exponent` = mean log |1 - T l''| per step.
    """

    position: float
    exponent: float  # of Lyapunov, per step; -inf where a batch arrives in one step
    attracts: bool
    size: float = math.inf  # of what is around it, as far as the scan that found it tells


def draws(batches: Batches, end: float, other: float) -> bool:
    """Whether every step between two points leads towards the first, or nowhere, and some do.

    Then what is between them comes ever closer to it.
    """
    away = (other - end) * 2.0 ** -np.arange(HALVED)
    if not np.abs(away).min() > TINY:
        return False
    left = (batches.images(end + away) - end) / away
    noise = 4 * math.ulp(max(abs(end), abs(other))) / np.abs(away)
    return bool(((left >= -noise) & (left <= 1 + noise)).all() and (left.min(axis=0) < DRAWN).all())


def hull(
    batches: Batches, low: float, high: float, held: Held, joints: Array
) -> tuple[float, float]:
    """The largest interval in [low, high] that one step fills again: what a class lies in.

    Steps may jump at `joints`, and lead elsewhere from the other side: ends there are seen from
    within.
    """
    past: list[tuple[float, float]] = []
    bounds = _brackets(batches, low, high)  # between which each end comes to rest
    # Where batches stand for others, ends that still move by then go to and fro on their grid.
    for _ in range(400 if batches.exact else 40):
        near = BESIDE * max(abs(low), abs(high), high - low)
        first, last = (near * bool((np.abs(joints - end) < near).any()) for end in (low, high))
        a, b = covered(batches, low + first, high - last)
        a, b = map(float, turned_back(a, b, held.lower, held.upper, held.ends))
        near = 4 * EPSILON * max(abs(a), abs(b))
        if not batches.exact:  # a normal law has no ends to be exact about
            near = max(near, ENDS * (high - low))
        settled = all(  # or known between two points, where a step jumps
            abs(new - now) <= near or most - least <= 4 * near
            for now, new, (least, most) in zip((low, high), (a, b), bounds, strict=True)
        )
        for side, now, new in zip(bounds, (low, high), (a, b), strict=True):
            if new > now:  # as the other end moves, so do the bounds
                side[:] = max(side[0], now), side[1] if now < side[1] else math.inf
            elif new < now:
                side[:] = side[0] if side[0] < now else -math.inf, min(side[1], now)
        past.append((a, b))
        low, high = a, b
        if settled or high - low <= 32 * EPSILON * max(abs(a), abs(b)):
            break
        if len(past) == 3:  # the ends approach geometrically: go where they lead
            low, high = (_limit(*(p[k] for p in past), *bounds[k]) for k in (0, 1))
            low, high = max(low, held.lower), min(high, held.upper)
            if not low < high:
                low, high = a, b
            past = []
    size = max(4 * BESIDE * max(abs(low), abs(high), high - low), TINY)
    for joint in joints[np.minimum(np.abs(joints - low), np.abs(joints - high)) < size].tolist():
        low, high = (joint if abs(joint - end) < size else end for end in (low, high))
    size = EPSILON * (high - low)
    return (0.0 if abs(low) < size else low), (0.0 if abs(high) < size else high)


def _brackets(batches: Batches, low: float, high: float) -> list[list[float]]:
    """Between which points each end comes to rest first, as seen from outside."""
    w = looked_at(batches, low, high)
    try:
        images = batches.images(w)
    except LandscapeError:
        return [[-math.inf, math.inf], [-math.inf, math.inf]]
    below = np.minimum.accumulate(images.min(axis=0)[::-1])[::-1] <= w
    above = np.maximum.accumulate(images.max(axis=0)) >= w
    w = np.concatenate([[-math.inf], w, [math.inf]])
    first = int(np.argmax(below)) if below.any() else len(below)
    last = int(np.flatnonzero(above)[-1]) if above.any() else -1
    return [w[first : first + 2].tolist(), w[last + 1 : last + 3].tolist()]


def _limit(x: float, y: float, z: float, least: float, most: float) -> float:
    """Where a sequence leads, but not past where it is known to turn back."""
    first, second = y - x, z - y
    if first == 0:
        return z
    if not 0 <= second / first < 1:
        return (least + most) / 2 if least < z < most and math.isfinite(most - least) else z
    found = z + second * (second / first) / (1 - second / first)
    if not least <= found <= most and math.isfinite(most - least):
        return (least + most) / 2
    return found


def cores_of(batches: Batches, low: float, high: float, count: int) -> tuple[Core, ...]:
    """The equilibria and half the way to their neighbours, where `count` even cells are too wide.

    () where they are not, as between walls that are no farther off than the minima are apart.
    """
    at = np.array([e.position for e in equilibria_between(batches, low, high)])
    gap = np.diff(at, prepend=-np.inf, append=np.inf)
    size = np.minimum(gap[:-1], gap[1:]) / 2
    if not 2 <= len(at) <= count / ACROSS or high - low <= count * 2 * float(size.min()) / ACROSS:
        return ()
    return tuple(zip(at.tolist(), size.tolist(), strict=True))


def surrounded(batches: Batches, low: float, high: float) -> tuple[float, float]:
    """The equilibria, with half the way to the next one beyond the first and the last of them.

    Where there are several, what is rare at the others counts as much as where SGD mostly is.
    """
    at = [e.position for e in equilibria_between(batches, low, high)]
    if len(at) < 2:
        return math.inf, -math.inf
    return at[0] - (at[1] - at[0]) / 2, at[-1] + (at[-1] - at[-2]) / 2


def equilibria_between(batches: Batches, low: float, high: float) -> list[Equilibrium]:
    """Those of the small-step limit, on an interval; none where that has no answer."""
    if batches.equilibria is not None:
        return [e for e in batches.equilibria if low <= e.position <= high]
    process = batches.landscape.diffusion()
    infinite = math.isinf(process.domain[1] - process.domain[0])
    if infinite and high - low <= 4 * CORE and not is_known(process):
        process = process.restricted(low, high)  # what the ends of the line are takes long to tell
    try:
        return [e for e in partition(process).equilibria if low <= e.position <= high]
    except StationaryError:
        return []


def rest_points(
    batches: Batches, low: float, high: float, cores: Sequence[Core] = ()
) -> tuple[RestPoint, ...]:
    """The points of an interval at which the gradients of all datapoints vanish."""
    landscape = batches.landscape
    if landscape.datapoints * SCAN > 4 * BY_LOOK or landscape.rule.sign:
        return ()  # of a sign, every step is of one length

    def gradient(w: Array) -> Array:
        g = evaluate(landscape.gradient, w)[0]
        noise = np.sqrt(np.atleast_2d(landscape.label_rows(w))) if landscape.label_noise else g[:0]
        return np.concatenate([landscape.stepped(g, w), noise])

    known = [p for p in landscape.joints() if low < p < high]
    w = distinct(spaced(low, high, SCAN, cores), known)
    table = gradient(w)
    size = np.abs(table).max(axis=0)
    typical = float(np.sort(size)[len(size) // 2]) or float(size.max())
    padded = np.concatenate([[np.inf], size, [np.inf]])
    least = (size <= padded[:-2]) & (size <= padded[2:]) & ~((size == 0) & (padded[:-2] == 0))
    least &= ~((size == 0) & (padded[2:] == 0))  # not on a stretch
    # What vanishes between two neighbours differs there by as much as it is, or is flat.
    change = np.abs(np.diff(table, axis=1))
    most = np.maximum(np.append(change[:, :1], change, 1), np.append(change, change[:, -1:], 1))
    least &= (np.abs(table) <= 2 * most + 1e-6 * typical).all(axis=0)
    if not least.any():
        return ()
    gaps = np.diff(w)
    gap = np.maximum(np.append(gaps[:1], gaps), np.append(gaps, gaps[-1:]))[least]
    x = w[least]
    lower, upper = np.maximum(x - gap, low), np.minimum(x + gap, high)
    # Where they are least, where a step leads from there, and what they are there.
    best, onto, left = x, x, np.full(len(x), np.inf)
    for _ in range(100):
        try:
            g, slope = evaluate(landscape.gradient, x, order=1)
        except LandscapeError:
            h = 1e-6 * gap
            g, slope = gradient(x), (gradient(x + h) - gradient(x - h)) / (2 * h)
        with np.errstate(all="ignore"):
            step = (g * slope).sum(axis=0) / (slope * slope).sum(axis=0)
        new = np.clip(x - np.where(np.isfinite(step), step, 0.0), lower, upper)
        size = np.abs(g).max(axis=0)
        best, onto = (np.where(size < left, a, b) for a, b in ((x, best), (new, onto)))
        left = np.minimum(size, left)
        if (np.abs(new - x) <= 2 * EPSILON * np.abs(x)).all():
            break
        x = new
    # Where they vanish on one side of a jump, that step may lead to its other side.
    back = 4 * (EPSILON * np.abs(best - onto) + np.spacing(np.abs(onto)))
    beside = onto + np.sign(best - onto) * back
    moved = np.abs(gradient(beside)).max(axis=0) < left
    best, slack = np.where(moved, beside, best), np.where(moved, 4 * back, 0.0)
    found: list[RestPoint] = []
    for point, near, room in zip(best.tolist(), gap.tolist(), slack.tolist(), strict=True):
        # Round numbers first: where gradients vanish to high order, many doubles would do.
        tries = [float(np.round(point, k)) for k in range(1, 15)] + [
            point + k * math.ulp(point) for k in (0, 1, -1, 2, -2)
        ]
        tries = [t for t in tries if abs(t - point) < 1e-4 * near + 4 * math.ulp(point)]
        tries = [t for t in tries if low <= t <= high]
        worst = np.abs(gradient(np.array(tries))).max(axis=0)
        k = int(np.argmin(worst))
        position = tries[k]
        if worst[k] > 64 * EPSILON * typical * max(abs(position) / (high - low), 1.0):
            continue
        # The typical gradient says little of those nearby, where an interval is wide: each must
        # vanish to its own rounding, which a few doubles beside the point show.
        unit = EPSILON * max(abs(position), min(near, 1.0))
        table = gradient(position + unit * np.arange(-8, 9))
        at = table[:, 8]
        if (np.abs(at) > 64 * np.abs(table - at[:, None]).max(axis=1)).any():
            continue
        if found and abs(position - found[-1].position) <= 1e-6 * near:
            continue
        judged = _judged(batches, position, near)
        named = next(t for t in tries if abs(t - position) <= room)  # the jump, where it is round
        found.append(replace(judged, position=named + 0.0))  # never -0
    return tuple(found)


def rest_point(batches: Batches, position: float, domain: tuple[float, float]) -> RestPoint:
    """A point known to be one, judged."""
    lower, upper = domain
    width = upper - lower if math.isfinite(upper - lower) else 1 + abs(position)
    return _judged(batches, position, width / (SCAN - 1))


def dead_stretch(
    batches: Batches, edges: Array, run: Array, joints: Array
) -> tuple[float, float] | None:
    """From end to end, the stretch of some neighbouring cells on which all gradients are 0."""

    def vanish(w: Array) -> Array:
        return np.asarray(~batches.gradients(w).any(axis=0))

    middle, ends = (edges[run] + edges[run + 1]) / 2, edges[[run[0], run[-1] + 1]]
    if not vanish(middle).all():
        return None
    beyond = edges[np.clip([run[0] - 1, run[-1] + 2], 0, len(edges) - 1)]
    last, first = where_ends(vanish, middle[[0, -1]], beyond)
    ends = np.where(np.isin(ends, joints) | vanish(beyond), ends, last)
    low, high = np.where(np.abs(ends) <= np.abs(first - last), 0.0, ends).tolist()
    return low, high


def _judged(batches: Batches, position: float, gap: float) -> RestPoint:
    factors = batches.multipliers(position)
    if factors is None:
        d = 1e-3 * gap
        images = batches.images(np.array([position - d, position + d]))
        factors = (images[:, 1] - images[:, 0]) / (2 * d)
    with np.errstate(divide="ignore"):
        exponent = float(batches.probability @ np.log(np.abs(factors)))
    if abs(exponent) > NEUTRAL:
        return RestPoint(position, exponent, exponent < 0, gap * (SCAN - 1))
    distance = gap * 10.0 ** -np.arange(0, 4)  # neither, to first order: see what the maps do
    x = np.concatenate([position - distance, position + distance])
    nearer = np.abs(x - position) - np.abs(batches.images(x) - position)
    # Where steps are below the rounding of x nothing moves.
    drawn = bool((nearer >= 0).all() and (nearer > 0).any())
    return RestPoint(position, exponent, drawn, gap * (SCAN - 1))


def capture(rest: RestPoint, width: float) -> float:
    """How near an attracting rest point has what comes there for its own."""
    share = CAPTURE if abs(rest.exponent) > NEUTRAL else CAPTURE_NEUTRAL
    return max(share * min(width, rest.size), 1e5 * math.ulp(rest.position))


def graded(
    low: float,
    high: float,
    count: int,
    rests: Sequence[RestPoint] = (),
    joints: Sequence[float] | Array = (),
    profile: tuple[Array, Array] | None = None,
    even: float = 0.4,
    cores: Sequence[Core] = (),
) -> Array:
    """About `count` cells: fine where the mass of a profile (edges, mass) is, and at rest points.

    The error of a cell of width h is about density h^2, which the cube root of the density
    spreads evenly. A share `even` of the cells goes by length alone: what is rare may decide.
    With `cores` length counts as the logarithm of the distance from each.
    """
    width = high - low
    inside = [p for p in rests if low <= p.position <= high]
    reach = [capture(p, width) for p in inside]
    distance = [np.geomspace(d, width, 400) for d in reach]
    knots = [spaced(low, high, 2 * count + 1, cores)]
    knots += [p.position + s * d for p, d in zip(inside, distance, strict=True) for s in (1, -1)]
    if profile is not None:
        knots.append(profile[0])
    x = distinct(np.clip(np.concatenate(knots), low, high))
    level = _along(x, cores)
    level = (level - level[0]) / (level[-1] - level[0])
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
    around = [p.position + s * d for p, d in zip(inside, reach, strict=True) for s in (-1, 0, 1)]
    forced = np.array([*joints, *around])
    forced = forced[(low < forced) & (forced < high)]
    for p, d in zip(inside, reach, strict=True):
        edges = edges[np.abs(edges - p.position) > 1.5 * d]
    if len(forced):
        least = 0.2 * np.interp(forced, edges[:-1], np.diff(edges))
        near = np.abs(edges[:, None] - forced) < least
        edges = np.concatenate([edges[~near.any(axis=1)], forced])
    edges = distinct(edges, [low, high])
    keep = np.append(True, np.diff(edges) > np.maximum(8 * EPSILON * np.abs(edges[1:]), TINY))
    keep[-1] = True
    return np.asarray(edges[keep])


def _along(x: Array, cores: Sequence[Core]) -> Array:
    """What counts as length."""
    if not cores:
        return x
    return np.asarray(sum(np.arcsinh((x - middle) / size) for middle, size in cores))


def spaced(low: float, high: float, count: int, cores: Sequence[Core] = ()) -> Array:
    """Points in an interval as far apart as cells: about `count`, or even ones."""
    cores = [core for core in cores if core[1] > 0]
    if not cores:
        return np.linspace(low, high, count)
    # Near its own core length is known in closed form, and so finely that all are told apart.
    parts = []
    for middle, size in cores:
        ends = np.arcsinh((np.array([low, high]) - middle) / size)
        knots = np.linspace(ends[0], ends[1], 4 * count // len(cores))
        parts.append(middle + size * np.sinh(knots))
    x = distinct(np.clip(np.concatenate(parts), low, high))
    level = _along(x, cores)
    found = np.interp(np.linspace(level[0], level[-1], count), level, x)
    found[0], found[-1] = low, high
    return np.asarray(found)


def bisected(edges: Array) -> Array:
    """Every cell cut in two."""
    fine = np.empty(2 * len(edges) - 1)
    fine[::2] = edges
    fine[1::2] = (edges[1:] + edges[:-1]) / 2
    return fine
