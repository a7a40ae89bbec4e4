"""`Answers`: end states at many points, in columns; an `Answer` is one of them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["OF_MINIMA", "SCALARS", "TEXTS", "Answer", "Answers", "Minimum", "Point", "Points"]

Array = NDArray[Any]

NAN = math.nan


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

    def __len__(self) -> int:
        return len(self.rates) * len(self.sizes) * len(self.drawn)

    def __getitem__(self, i: Any) -> Any:
        if isinstance(i, slice):
            return [self[k] for k in range(*i.indices(len(self)))]
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
class Answer:
    """The end state at one point, in plain numbers; or why there is none."""

    status: str  # a `Status` in small letters, or "failed"
    reason: str = ""  # why numbers are missing
    error: float = NAN  # relative, of every mass
    kind: str = ""
    mean: float = NAN
    mean_error: float = NAN
    std: float = NAN
    std_error: float = NAN
    minima: tuple[Minimum, ...] = ()  # left to right
    extras: Any = None  # quantities that were asked for, see `quantities`

    @property
    def is_known(self) -> bool:
        """Whether it says what the minima hold."""
        return any(not math.isnan(m.log_mass) for m in self.minima)

    @property
    def dominant(self) -> int | None:
        """The index of the minimum with most mass; None if that is not decided."""
        order = sorted(range(len(self.minima)), key=lambda i: -self.minima[i].log_mass)
        if not order or not self.is_known:
            return None
        if len(order) > 1:
            first, second = (self.minima[i] for i in order[:2])
            if not first.log_mass - second.log_mass > first.mass_error + second.mass_error:
                return None
        return order[0]


SCALARS = ("status", "reason", "error", "kind", "mean", "mean_error", "std", "std_error")
OF_MINIMA = ("position", "kind", "log_mass", "mass_error", "log_density")
TEXTS = ("status", "reason", "kind")


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
        scalars = {
            n: np.array([getattr(a, n) for a in listed], dtype=object if n in TEXTS else float)
            for n in SCALARS
        }
        shape = len(listed), max((len(a.minima) for a in listed), default=0)
        minima = {
            n: np.full(shape, "", dtype=object) if n in TEXTS else np.full(shape, NAN)
            for n in OF_MINIMA
        }
        for i, a in enumerate(listed):
            for k, m in enumerate(a.minima):
                for n in OF_MINIMA:
                    minima[n][i, k] = getattr(m, n)
        return cls(scalars, minima, extras=tuple(a.extras for a in listed))

    def __len__(self) -> int:
        return len(self.scalars["status"])

    def __iter__(self) -> Iterator[Answer]:
        return (self[i] for i in range(len(self)))

    def __getitem__(self, i: Any) -> Any:
        """One of them; a minimum that is part of another one has no mass there."""
        numbers: dict[str, Any] = {
            n: c[i] if n in TEXTS else float(c[i]) for n, c in self.scalars.items()
        }
        minima = []
        for k in range(self.minima["position"].shape[1]):
            values: dict[str, Any] = {
                n: c[i, k] if n in TEXTS else float(c[i, k]) for n, c in self.minima.items()
            }
            if math.isnan(values["position"]):
                if self.places is None or not numbers["kind"]:
                    continue
                values |= {"position": float(self.places[k]), "log_mass": -math.inf}
            minima.append(Minimum(**values))
        extras = None if self.extras is None else self.extras[i]
        return Answer(**numbers, minima=tuple(minima), extras=extras)

    def put(self, i: int, answer: Answer) -> None:
        """An answer that was found otherwise, in place of what is there."""
        for n, column in self.scalars.items():
            column[i] = getattr(answer, n)
        for n, column in self.minima.items():
            column[i] = "" if n in TEXTS else NAN
        assert self.places is not None
        for m in answer.minima:
            k = int(np.argmin(np.abs(self.places - m.position)))
            for n, column in self.minima.items():
                column[i, k] = getattr(m, n)

    @cached_property
    def dominant(self) -> Array:
        """The column of the minimum with most mass at each point; -1 where that is not decided."""
        log_mass, error = self.minima["log_mass"], self.minima["mass_error"]
        if not log_mass.shape[1]:
            return np.full(len(self), -1)
        known = np.where(np.isnan(log_mass), -math.inf, log_mass)
        first = np.argmax(known, axis=1)
        rows = np.arange(len(self))
        top, by = known[rows, first], error[rows, first]
        decided = ~np.isnan(log_mass).all(axis=1)
        if known.shape[1] > 1:
            rest = known.copy()
            rest[rows, first] = -math.inf
            second = np.argmax(rest, axis=1)
            other = rest[rows, second]
            with np.errstate(invalid="ignore"):
                close = ~(top - other > by + np.nan_to_num(error[rows, second]))
            decided &= ~(close & (other > -math.inf))
        return np.asarray(np.where(decided, first, -1))
