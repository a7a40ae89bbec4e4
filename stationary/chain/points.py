"""Laws on single points: walks from a few, and steps that lead to one point at once.

From a few starting points, steps of fixed lengths (signs of gradients, losses like |w|) lead to
finitely many others: these are the states of a chain, without cells. Where some minibatch leads to
the same point from everywhere, the walk begins anew whenever that is drawn, and the law is a sum
over how long ago it was.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product

import numpy as np
from numpy.typing import NDArray

from stationary.aliases import Array
from stationary.chain.batches import Batches
from stationary.chain.elimination import absorbed
from stationary.chain.far import Fate, Held
from stationary.chain.links import Links, closed_classes
from stationary.chain.multilevel import SETTLED, log_stationary
from stationary.numbers.arithmetic import EPSILON
from stationary.numbers.elementary import distinct
from stationary.panels.roots import bisected as where_ends

Beside = Callable[[Array], Array]

MOST = 4000  # points
NEAREST = 64 * EPSILON  # relative: points nearer than this are one, a narrower class is a point
WALKED, STEPS = 256, 64  # points from which it is walked towards cycles, and so many steps of each
PROBES, CYCLE = 16, 16  # of these, whose ways are all followed; and points of the longest cycle
JUMP = 1e3  # times rounding, by which steps of points beside each other differ that jump
ROUND = 12  # decimals of numbers that steps are taken to jump at
MOST_JUMPS = 4  # points at which rounding decides, of which all ways are followed
TRIED = 300  # points that must lead to others that are not known yet at a falling rate
FORGOTTEN = 1e-14  # probability of what was longer ago than is followed, and of tails left out
COARSE = 1e-3  # more of it than this, and points are not the way


@dataclass(frozen=True)
class Points:
    """A law on points, and how well it is known."""

    position: Array
    weight: Array
    doubt: float = 0.0  # of the distribution function
    jumps: bool = False  # whether that is what rounding decides
    log_arrival: float = -math.inf  # log of the mean steps until it is that law
    is_one: bool = True  # whether they are one closed class: each leads to every other
    log_error: float = math.inf  # of the logarithm of each weight, if better than by the doubt


@dataclass(frozen=True, eq=False)
class Settled:
    """Where walks come to in the end."""

    mass: Array  # of each point, (n, S): as that of the weights
    classes: list[Array]  # the closed ones
    several: bool  # whether some of them can be come to from the same lattice
    log_arrival: float  # log of the mean steps until then


@dataclass(frozen=True, eq=False)
class Walk:
    """A chain on points, and which of them are ends at which it has left."""

    position: Array  # ascending
    links: Links
    stopped: Array  # mask

    @cached_property
    def parts(self) -> list[Array]:
        """Points that have to do with each other."""
        pairs = np.array([self.links.rows, self.links.columns])
        pairs = pairs[:, ~self.stopped[pairs].any(axis=0)]
        rows, columns = np.concatenate([pairs, pairs[::-1]], axis=1)  # to and fro
        return closed_classes(Links.of(rows, columns, np.ones(len(rows)), self.links.n))

    def settled(self, weight: Array) -> Settled | None:
        """Where weights, (n, S), come to, each column by itself; None where doubles lose it."""
        mass, classes, several, times = np.zeros(weight.shape), [], False, []
        ends = np.flatnonzero(self.stopped)
        total = weight.sum(axis=1) / weight.sum()
        for part in self.parts:
            if self.stopped[part].all():
                mass[part] += weight[part]
                continue
            states = distinct(part, ends)
            links, stopped = self.links.among(states), self.stopped[states]
            found = closed_classes(links, stopped)
            several |= len(found) > 1
            found += [np.array([k]) for k in np.flatnonzero(stopped)]
            owner = np.full(len(states), -1)
            for k, members in enumerate(found):
                owner[members] = k
            table, steps, sound = absorbed(links, owner, len(found), np.zeros(len(states)))
            if not sound:
                return None
            inside = ~stopped
            shares = table[inside].T @ weight[states[inside]]
            for members, share in zip(found, shares, strict=True):
                alone = len(members) == 1
                law = np.ones(1) if alone else np.exp(log_stationary(links.among(members)))
                mass[states[members]] += law[:, None] * share
            classes += [states[members] for members in found if not stopped[members].any()]
            with np.errstate(divide="ignore"):
                times.append(np.logaddexp.reduce(steps[inside] + np.log(total[states[inside]])))
        return Settled(mass, classes, several, float(np.logaddexp.reduce(times or [-np.inf])))


def walks_from(batches: Batches, held: Held, start: Array) -> tuple[list[Walk], Array, bool] | None:
    """A walk that can only be at a few thousand points, and which of them it starts from.

    Where steps jump at one of the points, rounding decides on which side of it a run is: others
    follow, for all that it may decide, and whether these are all.
    """
    scale = NEAREST * max(abs(held.lower), abs(held.upper), float(np.abs(start).max()))
    sides: list[Beside] = [still]
    reached = _reached(batches, held, start, scale, MOST, sides)
    if reached is None:
        return None
    beside: list[Beside] = [still, lambda w: w - 2 * scale, lambda w: w + 2 * scale]
    jumps = _jumps(batches, held, reached[0], beside, JUMP * scale).any()
    if jumps and not _unrounded(batches, held, reached[0], scale):
        sides = [*beside, lambda w: _corners(batches, w, 2 * scale)]
        reached = _reached(batches, held, start, scale, MOST, sides)
    if reached is None or not stays(batches, held, reached[0]):
        return None
    known, first = reached
    n, stops = len(known), _stopped(held, known, scale)
    images = [np.where(stops, known, led(batches, held, known, side(known))) for side in sides]
    places, column = _merged(np.append(known, images), scale)
    if len(places) != n:  # some lie as near to each other as rounding is
        return None
    own, *others = column[n:].reshape(np.shape(images))
    columns, told = [own], True
    if others:
        at = np.flatnonzero(_jumps(batches, held, known, sides, JUMP * scale))
        told = len(at) <= MOST_JUMPS
        at = at[: MOST_JUMPS * told]
        for chosen in product(others, repeat=len(at)):
            columns.append(own.copy())
            for k, column in zip(at, chosen, strict=True):
                columns[-1][:, k] = column[:, k]
    return [Walk(known, linked(batches, c, n), stops) for c in columns], first, told


def still(w: Array) -> Array:
    """Points that take the steps that they take."""
    return w


def _jumps(
    batches: Batches, held: Held, w: Array, sides: Sequence[Beside], much: float
) -> NDArray[np.bool_]:
    """At which points steps are others than beside them."""
    plain, *beside = (led(batches, held, w, side(w)) for side in sides)
    return np.asarray(np.any([np.abs(images - plain) > much for images in beside], axis=(0, 1)))


def _unrounded(batches: Batches, held: Held, w: Array, scale: float) -> bool:
    """Whether a walk comes to just these points, in doubles as in many digits.

    At none of them may a loss have a corner, where gradients are what somebody chose.
    """
    at = w[~_stopped(held, w, scale)]
    g, *beside = (batches.rows(at + by) for by in (0, -2 * scale, 2 * scale))
    if any((batches.rate * np.abs(other - g) > JUMP * scale).any() for other in beside):
        return False
    images = batches.images(at)
    low, high = (kind == "leave" for kind in held.ends)
    turned = ((images < held.lower) & (not low)) | ((images > held.upper) & (not high))
    if turned.any() or not np.isin(led(batches, held, at), w).all():
        return False
    return batches.are_exact(at, images)


def _corners(batches: Batches, w: Array, near: float) -> Array:
    """Where exactly steps jump that do so near some points: at round numbers, if that is near."""

    def like_left(x: Array) -> Array:
        steps = batches.images(x) - x
        return np.asarray((np.abs(steps - left) <= JUMP * near).all(axis=0))

    left = batches.images(w - near) - (w - near)
    found = where_ends(like_left, w - near, w + near)[1]
    even = np.round(found, ROUND)
    return np.asarray(np.where(np.abs(even - found) < near, even, found))


def linked(batches: Batches, column: Array, n: int, first: int = 0) -> Links:
    """What leads where, of the columns that each batch leads to from each row, (K, rows)."""
    rows = np.broadcast_to(np.arange(column.shape[1]) + first, column.shape)
    share = np.broadcast_to(batches.probability[:, None], column.shape)
    return Links.of(rows.ravel(), column.ravel(), share.ravel(), n)


def points_from(batches: Batches, held: Held, start: Array, weight: Array) -> Points | None:
    """Where a walk from some points ends up, if it can only be at a few thousand of them."""
    found = walks_from(batches, held, start)
    if found is None:
        return None
    walks, first, told = found
    begin = np.bincount(first, weight / weight.sum(), len(walks[0].position))[:, None]
    settled = [walk.settled(begin) for walk in walks]
    known = [law for law in settled if law is not None]
    laws = [law.mass[:, 0] for law in known]
    if len(laws) < len(walks):
        return None
    doubt = max(float(np.abs(np.cumsum(law - laws[0])).max()) for law in laws) if told else 1.0
    held_by = np.max(laws, axis=0) > 0
    position, late = walks[0].position[held_by], known[0].log_arrival
    classes = known[0].classes
    is_one = len(classes) == 1 and bool(np.isin(np.flatnonzero(held_by), classes[0]).all())
    jumps = not told or len(laws) > 1
    log_error = math.inf if jumps else 10 * SETTLED  # eliminated, and nothing is subtracted
    return Points(position, laws[0][held_by], doubt, jumps, late, is_one, log_error)


def _reached(
    batches: Batches, held: Held, start: Array, scale: float, most: int, sides: Sequence[Beside]
) -> tuple[Array, Array] | None:
    """All points that a walk comes to, if they are few, and which of them it starts from."""
    known, first = _merged(start, scale)
    old = np.zeros(len(known), dtype=bool)
    while not old.all():
        new = known[~old & ~_stopped(held, known, scale)]
        images = [led(batches, held, new, side(new)).ravel() for side in sides]
        found = np.concatenate([known, *images])
        merged, place = _merged(found, scale)
        if len(merged) > most or (len(merged) > TRIED and len(merged) > 1.8 * len(known)):
            return None
        seen = np.zeros(len(merged), dtype=bool)
        seen[place[: len(known)]] = True
        known, first, old = merged, place[first], seen
    return known, first


def cycle_outside(
    batches: Batches, held: Held, points: Array, spans: Sequence[tuple[float, float]]
) -> float | None:
    """A point from which a walk stays at a few, of which none is in a span: one of some points,
    or one that they lead to."""
    scale = NEAREST * max(abs(held.lower), abs(held.upper))

    def outside(w: Array) -> NDArray[np.bool_]:
        within = [(low - scale <= w) & (w <= high + scale) for low, high in spans]
        return np.asarray(~np.any([_stopped(held, w, scale), *within], axis=0))

    if not len(points):  # as of smooth losses: nothing is drawn
        return None
    generator, p = np.random.default_rng(0), batches.probability
    at = points[:: max(len(points) // WALKED, 1)]
    for _ in range(STEPS):  # most of what is on no cycle comes to a span
        at = at[outside(at)]
        if not len(at):
            return None
        chosen = generator.choice(len(p), len(at), p=p / p.sum())
        at = led(batches, held, at)[chosen, np.arange(len(at))]
    at = at[outside(at)]
    for start in at[:: max(len(at) // PROBES, 1)]:
        found = _reached(batches, held, np.array([start]), scale, CYCLE, [still])
        if found is not None and len(found[0]) > 1 and outside(found[0]).all():
            return float(start)
    return None


def renewed(batches: Batches, low: float, high: float) -> Points | None:
    """The law on an interval on which some batches lead to one point from everywhere."""
    w = np.linspace(low, high, 65)
    images, p = batches.images(w), batches.probability
    scale = NEAREST * max(abs(low), abs(high))
    constant = np.ptp(images, axis=1) <= scale
    if not constant.any():
        return None
    at, weight = images[constant, 0], p[constant].copy()
    positions, weights, left = [at], [weight], 1.0 - weight.sum()
    while left > FORGOTTEN:
        image = batches.images(at)[~constant]
        merged, place = _merged(image.ravel(), scale)
        weight = np.bincount(place, (p[~constant, None] * weight).ravel())
        at = merged
        if sum(map(len, positions)) + len(at) > MOST:
            break
        positions.append(at)
        weights.append(weight)
        left -= float(weight.sum())
    if left > COARSE:
        return None
    merged, place = _merged(np.concatenate(positions), scale)
    total = np.bincount(place, np.concatenate(weights))
    return Points(merged, total / total.sum(), max(left, 0.0))


def _merged(points: Array, scale: float) -> tuple[Array, Array]:
    """Points without repetition, ascending, and which of them each is."""
    order = np.argsort(points, kind="stable")
    fresh = np.append(True, np.diff(points[order]) > scale)
    place = np.empty(len(points), dtype=int)
    place[order] = np.cumsum(fresh) - 1
    return points[order][fresh], place


def _stopped(held: Held, w: Array, near: float) -> NDArray[np.bool_]:
    """Which points are ends at which it has left."""
    first, last = w <= held.lower + near, w >= held.upper - near
    return np.asarray((first & (held.ends[0] == "leave")) | (last & (held.ends[1] == "leave")))


def stays(batches: Batches, held: Held, w: Array) -> bool:
    """Whether steps from some points stay where they are followed, or what lies beyond is known."""
    if held.far.fate is Fate.RETURNS:
        return True
    images, walls = batches.images(w), batches.landscape.domain
    low, high = (images < held.lower) & (held.lower > walls[0]), images > held.upper
    return not (low | (high & (held.upper < walls[1]))).any()


def led(batches: Batches, held: Held, w: Array, beside: Array | None = None) -> Array:
    """Images, turned back at walls; what would leave a window without one stays where it is.

    With the steps of other points, if such are given.
    """
    at = w if beside is None else np.clip(beside, held.lower, held.upper)
    images = batches.images(at) + (w - at)
    for end, sign, kind in ((held.lower, -1, held.ends[0]), (held.upper, 1, held.ends[1])):
        beyond = sign * (images - end) > 0
        if kind == "fold":
            images = np.where(beyond, 2 * end - images, images)
        elif kind == "leave":
            images = np.where(beyond, end, images)
        elif kind == "periodic":
            period = held.upper - held.lower
            images = held.lower + np.mod(images - held.lower, period)
            images = np.where(held.upper - images > NEAREST * period, images, held.lower)
        else:
            images = np.where(beyond, w, images)
    if held.ends == ("fold", "fold"):  # steps longer than the domain are turned back again
        far, length = (images < held.lower) | (images > held.upper), held.upper - held.lower
        images[far] = held.lower + np.abs(
            np.mod(images[far] - held.lower + length, 2 * length) - length
        )
    return np.asarray(np.clip(images, held.lower, held.upper))
