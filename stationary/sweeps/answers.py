"""`Answers`: end states at many points, in columns; an `Answer` is one of them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from stationary.aliases import Array

NAN = math.nan
TEXTS = ("status", "reason", "kind")


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


@dataclass(frozen=True)
class Minimum:
    """What one minimum, wall or trap holds; logarithms are natural."""

    position: float
    kind: str  # "minimum", "wall" or "trap" (an atom)
    log_mass: float  # nan where it depends on a start that was not given
    mass_error: float  # absolute, of log_mass; so relative, of the mass
    log_density: float  # at the minimum; nan for a trap


@dataclass(frozen=True)
class Numbers:
    """The end state at one point, in plain numbers; or why there is none."""

    status: str  # the name of a `Status` in small letters, or "failed"
    reason: str = ""  # why numbers are missing; empty where none are
    error: float = NAN  # relative, of every mass
    kind: str = ""  # of the end state, see `EndState`
    mean: float = NAN
    mean_error: float = NAN  # absolute, as the next but one
    std: float = NAN
    std_error: float = NAN


@dataclass(frozen=True)
class Answer(Numbers):
    """The same, with what each minimum holds."""

    minima: tuple[Minimum, ...] = ()  # left to right
    extras: Any = None  # quantities that were asked for, see `quantities`

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


def blank(name: str, *shape: int) -> Array:
    """A column of that name in which nothing is known yet."""
    return np.full(shape, "", dtype=object) if name in TEXTS else np.full(shape, NAN)


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
            column[i] = "" if n in TEXTS else NAN
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
            return {n: c[at] if n in TEXTS else float(c[at]) for n, c in columns.items()}

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
