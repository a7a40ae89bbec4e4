"""`Answers`: end states at many points, in columns; an `Answer` is one of them."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from heapq import heappop, heappush
from itertools import count, pairwise
from typing import Any

import numpy as np

from stationary.aliases import Array
from stationary.result import Compared

TEXTS = ("status", "reason", "kind")
Place = tuple[int, ...]  # of a point in the grid


@dataclass(frozen=True)
class Point:
    """How SGD steps; all None for a process that is given by drift and variance."""

    learning_rate: float | None = None
    batch_size: int | None = None
    replacement: bool | None = None

    @property
    def settings(self) -> dict[str, Any]:
        return {k: v for k, v in vars(self).items() if v is not None}


class Points(Sequence[Point]):
    """All combinations of replacements, batch sizes and learning rates; these change fastest."""

    def __init__(
        self,
        rates: Sequence[float | None] = (None,),
        sizes: Sequence[int | None] = (None,),
        drawn: Sequence[bool | None] = (None,),
    ) -> None:
        self.rates, self.sizes, self.drawn = tuple(rates), tuple(sizes), tuple(drawn)

    @classmethod
    def along(cls, *points: Point) -> Points:
        """Points that differ in the learning rate only."""
        rates = [p.learning_rate for p in points]
        return cls(rates, [points[0].batch_size], [points[0].replacement])

    def __len__(self) -> int:
        return len(self.rates) * len(self.sizes) * len(self.drawn)

    def __getitem__(self, i: Any) -> Any:
        i, rate = divmod(range(len(self))[i], len(self.rates))
        drawn, size = divmod(i, len(self.sizes))
        return Point(self.rates[rate], self.sizes[size], self.drawn[drawn])


@dataclass(frozen=True, eq=False)
class Minimum(Compared):
    """What one minimum, wall or trap holds; logarithms are natural."""

    position: float
    kind: str  # "minimum", "wall" or "trap" (an atom)
    log_mass: float  # nan where it depends on a start that was not given
    mass_error: float  # absolute, of log_mass; so relative, of the mass
    log_density: float  # at the minimum; nan for a trap
    position_standard_error: float = math.nan  # of a sample, as the next three
    mass_standard_error: float = math.nan
    log_mass_standard_error: float = math.nan
    log_density_standard_error: float = math.nan


@dataclass(frozen=True, eq=False)
class Numbers(Compared):
    """The end state at one point, in plain numbers; or why there is none."""

    status: str  # the name of a `Status` in small letters, or "failed"
    reason: str = ""  # why numbers are missing; empty where none are
    error: float = math.nan  # relative, of every mass
    kind: str = ""  # of the end state, see `EndState`
    mean: float = math.nan
    mean_error: float = math.nan  # absolute, as the next but one
    std: float = math.nan
    std_error: float = math.nan
    mean_standard_error: float = math.nan  # of a sample, as the next one
    std_standard_error: float = math.nan


@dataclass(frozen=True, eq=False)
class Answer(Numbers):
    """The same, with what each minimum holds."""

    minima: tuple[Minimum, ...] = ()  # left to right
    extras: Any = None  # quantities that were asked for, see `quantities`
    analysis: Any = field(default=None, compare=False, repr=False)  # of a sample, to ask more of

    @property
    def is_known(self) -> bool:
        """Whether it says what the minima hold."""
        return any(not math.isnan(m.log_mass) for m in self.minima)

    @property
    def dominant(self) -> int | None:
        """The index of the minimum with most mass; None if that is not decided."""
        first = int(Answers.of([self]).dominant[0])
        return None if first < 0 else first


SCALARS = tuple(Numbers.__dataclass_fields__)
OF_MINIMA = tuple(Minimum.__dataclass_fields__)
MOMENTS = SCALARS[SCALARS.index("mean") :]


def blank(name: str, *shape: int) -> Array:
    """A column of that name in which nothing is known yet."""
    return np.full(shape, "", dtype=object) if name in TEXTS else np.full(shape, math.nan)


@dataclass(frozen=True, eq=False)
class Answers(Sequence[Answer]):
    """End states at M points.

    A column of `minima` is of shape (M, n). With `places`, a column is the same minimum at every
    point: where it counts as part of another one, its position is nan, and `held_by` says of which.
    Without, the minima of each point stand from left to right, and the rest of the row is nan.
    """

    scalars: dict[str, Array]
    minima: dict[str, Array]
    places: Array | None = None  # (n,): where they are
    held_by: Array | None = None  # (M, n): the column that each is part of
    extras: tuple[Any, ...] | None = None  # of each point, where some were asked for

    @classmethod
    def of(cls, listed: Sequence[Answer]) -> Answers:
        width = max((len(a.minima) for a in listed), default=0)
        made = cls(
            {n: blank(n, len(listed)) for n in SCALARS},
            {n: blank(n, len(listed), width) for n in OF_MINIMA},
            extras=tuple(a.extras for a in listed),
        )
        for i, answer in enumerate(listed):
            made.put(i, answer)
        return made

    def put(self, i: int, answer: Answer) -> None:
        """An answer that was found otherwise, in place of what is there."""
        for n, column in self.scalars.items():
            column[i] = getattr(answer, n)
        for n, column in self.minima.items():
            column[i] = "" if n in TEXTS else math.nan
            for k, m in enumerate(answer.minima):
                near = k if self.places is None else np.argmin(np.abs(self.places - m.position))
                column[i, near] = getattr(m, n)

    def __len__(self) -> int:
        return len(self.scalars["status"])

    def __iter__(self) -> Iterator[Answer]:
        return (self[i] for i in range(len(self)))

    def __getitem__(self, i: Any) -> Any:
        """One of them; a minimum that is part of another one has no mass there."""

        def row(columns: dict[str, Array], *at: int) -> dict[str, Any]:
            here = {n: c[at] if n in TEXTS else float(c[at]) for n, c in columns.items()}
            # The one nan there is: answers without the same numbers are the same.
            return {n: math.nan if n not in TEXTS and math.isnan(v) else v for n, v in here.items()}

        numbers, minima = row(self.scalars, i), []
        for k in range(self.minima["position"].shape[1]):
            values = row(self.minima, i, k)
            if math.isnan(values["position"]):
                if self.places is None or not numbers["kind"]:
                    continue
                values |= {"position": float(self.places[k]), "log_mass": -math.inf}
            minima.append(Minimum(**values))
        extras = None if self.extras is None else self.extras[i]
        return Answer(**numbers, minima=tuple(minima), extras=extras)

    @cached_property
    def dominant(self) -> Array:
        """The column of the minimum with most mass at each point; -1 where that is not decided."""
        log_mass, error = self.minima["log_mass"], self.minima["mass_error"]
        if not log_mass.shape[1]:
            return np.full(len(self), -1)
        known = np.where(np.isnan(log_mass), -math.inf, log_mass)
        order = np.argsort(-known, axis=1, kind="stable")[:, :2]
        decided = ~np.isnan(log_mass).all(axis=1)
        if known.shape[1] > 1:
            (top, other), (by, off) = (
                np.take_along_axis(v, order, axis=1).T for v in (known, error)
            )
            with np.errstate(invalid="ignore"):
                decided &= (top - other > by + np.nan_to_num(off)) | (other == -math.inf)
        return np.asarray(np.where(decided, order[:, 0], -1))


# -- numbers for minima that stay with them through a grid -----------------------------------------


def labels_of(positions: Mapping[Place, Sequence[float]]) -> dict[Place, tuple[int, ...]]:
    """A label for each minimum at each point of a grid.

    Where all points have the same number of minima, the labels are 0, 1, ... from left to right.
    Otherwise a minimum has the label of the one that it is nearest to, and that is nearest to it,
    at a neighbouring point; one that has none there gets a label of its own. They spread from
    where most minima are: where two are one, as beyond a cusp, its name is that of the one which it
    becomes nearby, and what are two at one point keep their order at all others. Labels are in the
    order of the places where their minima are on average. Positions are from left to right.
    """
    counts = {len(p) for p in positions.values()}
    if len(counts) <= 1:
        return {place: tuple(range(len(p))) for place, p in positions.items()}
    beside, fresh, number = _neighbours(positions), count(), count()
    found: dict[Place, tuple[int, ...]] = {}
    held: dict[int, list[float]] = {}
    means: dict[int, float] = {}
    for start in sorted(positions, key=lambda place: (-len(positions[place]), place)):
        waiting = [] if start in found else [(0, 0, start)]
        while waiting:
            *_, place = heappop(waiting)
            if place in found:
                continue
            here, labels = positions[place], dict[int, int]()
            known = [
                (-len(found[other]), _apart(here, [means[k] for k in found[other]]), other)
                for other in beside[place]
                if other in found
            ]
            for *_, other in sorted(known):
                # Only what is not matched yet, on either side.
                free = [i for i in range(len(here)) if i not in labels]
                pairs = zip(positions[other], found[other], strict=True)
                theirs = {label: x for x, label in pairs if label not in labels.values()}
                matched = _nearest([here[i] for i in free], list(theirs.values()))
                labels |= {free[i]: list(theirs)[j] for i, j in matched}
            found[place] = tuple(
                labels[i] if i in labels else next(fresh) for i in range(len(here))
            )
            for label, x in zip(found[place], here, strict=True):
                if label not in held or len(here) > 1:  # where it was told from another one
                    held.setdefault(label, []).append(x)
                    means[label] = sum(held[label]) / len(held[label])
            for other in beside[place]:
                heappush(waiting, (-len(positions[other]), next(number), other))
    return _from_left_to_right(positions, found)


def _apart(these: Sequence[float], those: Sequence[float]) -> float:
    """How far the nearest two are apart."""
    return float(np.abs(np.subtract.outer(these, those)).min(initial=math.inf))


def _neighbours(places: Collection[Place]) -> dict[Place, list[Place]]:
    """The next of them to either side of each, along every axis."""
    beside: dict[Place, list[Place]] = {place: [] for place in places}
    for axis in range(len(next(iter(places), ()))):
        in_line = sorted(places, key=lambda p: (p[:axis], p[axis + 1 :], p[axis]))
        for one, other in pairwise(in_line):
            if one[:axis] == other[:axis] and one[axis + 1 :] == other[axis + 1 :]:
                beside[one].append(other)
                beside[other].append(one)
    return beside


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
    """The labels of the minima, by the point; for a block of the same ones, by its first point.

    A minimum of a block that is a part of another one's basin at all points has the label -1.
    """
    positions: dict[int, list[float]] = {}
    alone: dict[int, list[bool]] = {}
    for start, block in blocks.items():
        if block.places is not None:
            own = (block.minima["kind"] != "").any(axis=0)
            if own.any():
                positions[start], alone[start] = block.places[own].tolist(), own.tolist()
            continue
        for i, row in enumerate(block.minima["position"]):
            if len(row) and not math.isnan(row[0]):
                positions[start + i] = row[~np.isnan(row)].tolist()
    places = {n: tuple(int(i) for i in np.unravel_index(n, shape)) for n in positions}
    found = labels_of({places[n]: listed for n, listed in positions.items()})
    labels = {n: found[place] for n, place in places.items()}
    for n, own in alone.items():
        mine = iter(labels[n])
        labels[n] = tuple(next(mine) if is_own else -1 for is_own in own)
    return labels


def by_label(
    blocks: Mapping[int, Answers], labels: Mapping[int, tuple[int, ...]], count: int
) -> tuple[dict[str, Array], Array]:
    """What is known of each minimum, columns of shape (labels, points), and which one dominates."""
    total = sum(map(len, blocks.values()))
    columns = {n: blank(n, count, total) for n in OF_MINIMA}
    dominant = np.full(total, -1)
    at = 0
    for start, block in blocks.items():
        # Those of a block with the same minima at all points are labelled at its first one.
        size = len(block) if block.places is not None else 1
        for i in range(0, len(block), size):
            known = labels.get(start + i)
            if known is None:
                continue
            here, there = slice(at + i, at + i + size), slice(i, i + size)
            for k, label in enumerate(known):
                if label < 0:
                    continue
                for n, column in columns.items():
                    column[label, here] = block.minima[n][there, k]
            first = block.dominant[there]
            dominant[here] = np.where(first >= 0, np.array([*known, -1])[first], -1)
        at += len(block)
    return columns, dominant
