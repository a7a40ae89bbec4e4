"""Laws on single points: walks that keep to a lattice, and steps that lead to one point at once.

From a few starting points, steps of fixed lengths (signs of gradients, losses like |w|) lead to
finitely many others: these are the states of a chain, without cells. Where some minibatch leads to
the same point from everywhere, the walk begins anew whenever that is drawn, and the law is a sum
over how long ago it was.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stationary.chain.batches import Batches
from stationary.chain.elimination import absorbed
from stationary.chain.far import Held
from stationary.chain.links import Links, closed_classes
from stationary.chain.multilevel import log_stationary
from stationary.numbers.arithmetic import EPSILON

Array = NDArray[np.float64]

MOST = 4000  # points
NEAREST = 64 * EPSILON  # relative: points nearer than this are one, a narrower class is a point
PROBES, CYCLE = 16, 16  # points from which it is looked for cycles, and of the longest of these
TRIED = 300  # points that must lead to others that are not known yet at a falling rate
FORGOTTEN = 1e-14  # probability of what was longer ago than is followed, and of tails left out
COARSE = 1e-3  # more of it than this, and points are not the way


@dataclass(frozen=True)
class Points:
    """A law on points, and the probability that is missing from it."""

    position: Array
    weight: Array
    missing: float = 0.0


def points_from(batches: Batches, held: Held, start: Array, weight: Array) -> Points | None:
    """Where a walk from some points ends up, if it can only be at a few thousand of them."""
    scale = NEAREST * max(abs(held.lower), abs(held.upper), float(np.abs(start).max()))
    reached = _reached(batches, held, start, scale, MOST)
    if reached is None:
        return None
    known, first = reached
    n = len(known)
    images = _inside(batches, held, known)
    places, column = _merged(np.concatenate([known, images.ravel()]), scale)
    if len(places) != n:  # some lie as near to each other as rounding is
        return None
    column = column[n:].reshape(images.shape)
    rows = np.broadcast_to(np.arange(n), images.shape)
    share = np.broadcast_to(batches.probability[:, None], images.shape)
    links = Links.of(rows.ravel(), column.ravel(), share.ravel(), n)
    stops = ((known <= held.lower) & (held.ends[0] == "leave")) | (
        (known >= held.upper) & (held.ends[1] == "leave")
    )
    classes = closed_classes(links, stops) + [np.array([k]) for k in np.flatnonzero(stops)]
    owner = np.full(n, -1)
    for k, members in enumerate(classes):
        owner[members] = k
    ends, _, sound = absorbed(links, owner, len(classes), np.zeros(n))
    if not sound:
        return None
    share_of = weight / weight.sum() @ ends[first]
    mass = np.zeros(n)
    for k, members in enumerate(classes):
        mass[members] = share_of[k] * np.exp(log_stationary(links.among(members)))
    held_by = mass > 0
    return Points(known[held_by], mass[held_by])


def _reached(
    batches: Batches, held: Held, start: Array, scale: float, most: int
) -> tuple[Array, Array] | None:
    """All points that a walk comes to, if they are few, and which of them it starts from."""
    if held.ends[0] == "periodic":
        return None
    known, first = _merged(start, scale)
    old = np.zeros(len(known), dtype=bool)
    while not old.all():
        found = np.concatenate([known, _inside(batches, held, known[~old]).ravel()])
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
    """One of some points from which a walk comes to a few only, of which none is in a span."""
    scale = NEAREST * max(abs(held.lower), abs(held.upper))
    for at in points[:: max(len(points) // PROBES, 1)]:
        found = _reached(batches, held, np.array([at]), scale, CYCLE)
        if (
            found is not None
            and len(found[0]) > 1
            and not any(
                ((low - scale <= found[0]) & (found[0] <= high + scale)).any()
                for low, high in spans
            )
        ):
            return float(at)
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


def _inside(batches: Batches, held: Held, w: Array) -> Array:
    """Images, turned back at walls; what would leave a window without one stays where it is."""
    images = batches.images(w)
    for end, sign, kind in ((held.lower, -1, held.ends[0]), (held.upper, 1, held.ends[1])):
        beyond = sign * (images - end) > 0
        if kind == "fold":
            images = np.where(beyond, 2 * end - images, images)
        elif kind == "leave":
            images = np.where(beyond, end, images)
        else:
            images = np.where(beyond, w, images)
    if held.ends == ("fold", "fold"):  # steps longer than the domain are turned back again
        far, length = (images < held.lower) | (images > held.upper), held.upper - held.lower
        images[far] = held.lower + np.abs(
            np.mod(images[far] - held.lower + length, 2 * length) - length
        )
    return np.clip(images, held.lower, held.upper)
