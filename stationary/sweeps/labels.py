"""Numbers for minima that stay with them through a grid of points."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import count

import numpy as np

from stationary.sweeps.answers import Answers

Place = tuple[int, ...]  # of a point in the grid


def labels_of(positions: Mapping[Place, Sequence[float]]) -> dict[Place, tuple[int, ...]]:
    """A label for each minimum at each point of a grid.

    Where all points have the same number of minima, the labels are 0, 1, ... from left to right.
    Otherwise a minimum has the label of the one that it is nearest to, and that is nearest to it,
    at a neighbouring point; one that has none there gets a label of its own. Labels are in the
    order of the places where their minima are on average. Positions are from left to right.
    """
    counts = {len(p) for p in positions.values()}
    if len(counts) <= 1:
        return {place: tuple(range(len(p))) for place, p in positions.items()}
    found: dict[Place, tuple[int, ...]] = {}
    fresh = count()
    for place, here in sorted(positions.items()):
        labels: dict[int, int] = {}
        for axis in range(len(place) - 1, -1, -1):
            along = ((*place[:axis], k, *place[axis + 1 :]) for k in range(place[axis])[::-1])
            before = next((other for other in along if other in found), None)
            if before is not None:
                # Only what is not matched yet, on either side.
                free = [i for i in range(len(here)) if i not in labels]
                pairs = zip(positions[before], found[before], strict=True)
                theirs = {label: x for x, label in pairs if label not in labels.values()}
                matched = _nearest([here[i] for i in free], list(theirs.values()))
                labels |= {free[i]: list(theirs)[j] for i, j in matched}
        found[place] = tuple(labels[i] if i in labels else next(fresh) for i in range(len(here)))
    return _from_left_to_right(positions, found)


def _nearest(these: Sequence[float], those: Sequence[float]) -> list[tuple[int, int]]:
    """Pairs of which each is the nearest to the other."""
    away = np.abs(np.subtract.outer(these, those))
    if not away.size:
        return []
    there, back = away.argmin(axis=1), away.argmin(axis=0)
    return [(i, j) for i, j in enumerate(there.tolist()) if back[j] == i]


def _from_left_to_right(
    positions: Mapping[Place, Sequence[float]], found: Mapping[Place, tuple[int, ...]]
) -> dict[Place, tuple[int, ...]]:
    where: dict[int, list[float]] = {}
    for place, labels in found.items():
        for x, label in zip(positions[place], labels, strict=True):
            where.setdefault(label, []).append(x)
    order = sorted(where, key=lambda label: sum(where[label]) / len(where[label]))
    rank = {label: n for n, label in enumerate(order)}
    return {place: tuple(rank[label] for label in labels) for place, labels in found.items()}


def labels_of_blocks(
    blocks: Mapping[int, Answers], shape: tuple[int, ...]
) -> dict[int, tuple[int, ...]]:
    """The labels of the minima, by the point; for a block of the same ones, by its first point."""
    positions: dict[int, list[float]] = {}
    for start, block in blocks.items():
        if block.places is not None:
            if (block.minima["kind"] != "").any():
                positions[start] = block.places.tolist()
            continue
        for i, row in enumerate(block.minima["position"]):
            if len(row) and not math.isnan(row[0]):
                positions[start + i] = row[~np.isnan(row)].tolist()
    places = {n: tuple(int(i) for i in np.unravel_index(n, shape)) for n in positions}
    found = labels_of({places[n]: listed for n, listed in positions.items()})
    return {n: found[place] for n, place in places.items()}
