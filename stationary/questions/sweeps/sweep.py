"""`sweep`: where a process ends up, over learning rates, batch sizes and parameters of its file."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stationary.process.diffusion import Diffusion
from stationary.process.landscape import Landscape
from stationary.questions.sweeps.crossover import Crossing
from stationary.questions.sweeps.family import Answer, Minimum, Point
from stationary.questions.sweeps.labels import labels_of
from stationary.questions.sweeps.plan import planned
from stationary.questions.sweeps.tasks import INTERRUPTED, Grid, Solved, run
from stationary.result import Result

__all__ = ["Crossover", "Row", "Sweep", "sweep"]

Array = NDArray[Any]

NAN = math.nan


@dataclass(frozen=True, kw_only=True)
class Row:
    """One point of a sweep, and the end state there; nan or None where there is none."""

    learning_rate: float | None  # None, with the next two, for a drift and a variance
    batch_size: int | None
    replacement: bool | None
    parameters: Mapping[str, float]
    status: str  # the name of a `Status` in small letters, or "failed"
    reason: str  # why numbers are missing; empty where none are
    error: float  # relative, of every mass
    kind: str  # of the end state, see `EndState`
    mean: float
    mean_error: float  # absolute, as the next but one
    std: float
    std_error: float
    dominant: int | None  # the label of the minimum with most mass; None if not decided
    minima: Mapping[int, Minimum]  # by label


@dataclass(frozen=True, kw_only=True)
class Crossover:
    """Where two minima hold the same mass, along one axis at fixed values of the others."""

    axis: str  # "learning_rate" or the name of a parameter
    value: float  # on that axis; nan if it was not found
    error: float  # absolute, of value
    below: int  # label of the minimum that dominates at smaller values
    above: int
    log_mass: float  # of either at the crossover, natural logarithm
    between: tuple[float, float]  # the neighbouring values on the axis
    fixed: Mapping[str, Any]  # the other values
    reason: str = ""  # why it was not found


@dataclass(frozen=True, eq=False, repr=False)
class Sweep(Result):
    """End states over a grid; printing it says which minimum dominates where.

    Attributes
    ----------
    axes
        The values of everything that was swept or could have been, by name: parameters first,
        then replacement, batch_size and learning_rate, which changes fastest.
    rows
        One per point, in that order. Points that could not be computed keep their row.
    labels
        The minima, 0, 1, ... from left to right, each the same one at all points.
    crossovers
        Where the dominant minimum changes along the learning rate; where there is but one
        learning rate, along the first parameter that was swept.
    stopped
        Why not all points were computed; empty if they were. `rows` are then those that were.
    """

    name: str
    axes: Mapping[str, tuple[Any, ...]]
    rows: tuple[Row, ...]
    crossovers: tuple[Crossover, ...]
    stopped: str = ""
    places: tuple[tuple[int, ...], ...] = field(default=(), repr=False)  # of the rows in the grid

    @property
    def complete(self) -> bool:
        return not self.stopped

    @property
    def interrupted(self) -> bool:
        """Whether it was stopped by hand."""
        return self.stopped == INTERRUPTED

    @cached_property
    def labels(self) -> tuple[int, ...]:
        return tuple(sorted({label for row in self.rows for label in row.minima}))

    @property
    def swept(self) -> tuple[str, ...]:
        """The axes that have several values."""
        return tuple(name for name, values in self.axes.items() if len(values) > 1)

    @property
    def parameters(self) -> tuple[str, ...]:
        """The names of the parameters that were given values."""
        return tuple(
            n for n in self.axes if n not in ("learning_rate", "batch_size", "replacement")
        )

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the columns of `table`, `to_csv` and the rows of `to_dict`."""
        return tuple(self.table())

    def table(self) -> dict[str, Array]:
        """A column for each name: what `pandas.DataFrame` takes.

        Numbers that do not exist are nan; a minimum that dominates nothing is -1 in `dominant`.
        For each label i there are position_i, mass_i, log_mass_i, mass_error_i (absolute, of
        log_mass_i, and so relative to mass_i) and log_density_i.
        """
        rows = self.rows

        def column(values: list[Any], dtype: Any = float) -> Array:
            return np.array(values, dtype=dtype)

        table: dict[str, Array] = {}
        for name, dtype in (("learning_rate", float), ("batch_size", int), ("replacement", bool)):
            if name in self.axes:
                table[name] = column([getattr(r, name) for r in rows], dtype)
        for name in self.parameters:
            table[name] = column([r.parameters[name] for r in rows])
        for name in ("status", "reason"):
            table[name] = column([getattr(r, name) for r in rows], object)
        table["error"] = column([r.error for r in rows])
        table["kind"] = column([r.kind for r in rows], object)
        for name in ("mean", "mean_error", "std", "std_error"):
            table[name] = column([getattr(r, name) for r in rows])
        table["dominant"] = column([-1 if r.dominant is None else r.dominant for r in rows], int)
        blank = Minimum(NAN, "", NAN, NAN, NAN)
        for i in self.labels:
            minima = [r.minima.get(i, blank) for r in rows]
            table[f"position_{i}"] = column([m.position for m in minima])
            log_mass = column([m.log_mass for m in minima])
            with np.errstate(under="ignore"):
                table[f"mass_{i}"] = np.exp(log_mass)
            table[f"log_mass_{i}"] = log_mass
            table[f"mass_error_{i}"] = column([m.mass_error for m in minima])
            table[f"log_density_{i}"] = column([m.log_density for m in minima])
        return table

    def __repr__(self) -> str:
        n, lost = len(self.rows), sum(not r.minima for r in self.rows)
        return (
            f"<Sweep of {self.name!r} over {', '.join(self.swept) or 'one point'}: {n} points, "
            f"{lost} of them without numbers, {len(self.crossovers)} crossovers"
            f"{'' if self.complete else ', stopped'}>"
        )


def sweep(
    source: str | os.PathLike[str] | Landscape | Diffusion,
    *,
    learning_rate: Any = None,
    batch_size: Any = None,
    replacement: Any = None,
    parameters: Mapping[str, Any] | None = None,
    initial: Any = None,
    executor: Executor | None = None,
    progress: Callable[[int, int], None] | None = None,
    digits: int | None = None,
    **changes: Any,
) -> Sweep:
    """The end state at all combinations of learning rates, batch sizes and parameters.

    At fixed parameters one sampling of the landscape serves all learning rates and batch sizes,
    where the process allows it. Results do not depend on the executor, down to the last digit.

    Parameters
    ----------
    source
        The path of a landscape file, or a `Landscape`.
    learning_rate, batch_size, replacement
        A value or several; None: as the source says. Values are sorted, and each is taken once.
    parameters
        Values, one or several, for parameters that the file defines, by name.
    initial
        Where the process starts, as for `end_state`.
    executor
        Any `concurrent.futures.Executor`, such as a process pool or a Dask client's
        ``get_executor()``; None: one point after the other, here.
    progress
        Called with the number of points that are done and that of all.
    digits
        As for `end_state`; the results are rounded to doubles.
    changes
        What else replaces values of the source, such as ``convention`` or ``domain``.

    Returns
    -------
    Sweep
        With a row for each point. An interrupt (Ctrl-C) ends the sweep early; what is done by
        then is returned, and `stopped` says so.

    Raises
    ------
    LandscapeError
        If the source as it stands is no landscape, or a range or a name makes no sense. What
        goes wrong at single points is told in their rows.
    """
    recipe, axes, combinations, points = planned(
        source, learning_rate, batch_size, replacement, parameters, initial, digits, changes
    )
    solved = run(Grid(recipe, combinations, points), executor, progress)
    return _assembled(recipe.name, axes, combinations, points, solved)


def _assembled(
    name: str,
    axes: dict[str, tuple[Any, ...]],
    combinations: Sequence[dict[str, float] | None],
    points: Sequence[Point],
    solved: Solved,
) -> Sweep:
    """Rows and crossovers, with minima labelled."""
    width = len(points)
    shape = tuple(len(v) for v in axes.values())
    numbers = sorted(solved.answers)
    places = {
        n: tuple(int(i) for i in np.unravel_index(n, shape)) if shape else () for n in numbers
    }
    seen = {n: solved.answers[n] for n in numbers if solved.answers[n].minima}
    labels = labels_of({places[n]: [m.position for m in a.minima] for n, a in seen.items()})
    rows = [
        _row(solved.answers[n], points[n % width], combinations[n // width], labels.get(places[n]))
        for n in numbers
    ]
    crossovers = []
    for axis, crossing in solved.crossings:
        crossovers.append(_crossover(axis, crossing, axes, places, labels))
    return Sweep(name, axes, tuple(rows), tuple(crossovers), solved.stopped, tuple(places.values()))


def _row(
    a: Answer,
    point: Point,
    parameters: dict[str, float] | None,
    labels: tuple[int, ...] | None,
) -> Row:
    known = labels or ()
    return Row(
        learning_rate=point.learning_rate,
        batch_size=point.batch_size,
        replacement=point.replacement,
        parameters=parameters or {},
        status=a.status,
        reason=a.reason or _undecided(a, known),
        error=a.error,
        kind=a.kind,
        mean=a.mean,
        mean_error=a.mean_error,
        std=a.std,
        std_error=a.std_error,
        dominant=None if a.dominant is None else known[a.dominant],
        minima=dict(zip(known, a.minima, strict=True)),
    )


def _undecided(a: Answer, labels: tuple[int, ...]) -> str:
    """Why no minimum dominates, where the masses are known."""
    if a.dominant is not None or not a.is_known:
        return "" if a.minima else "there is no minimum"
    first, second = sorted(range(len(a.minima)), key=lambda i: -a.minima[i].log_mass)[:2]
    pair = sorted((labels[first], labels[second]))
    return f"minima {pair[0]} and {pair[1]} hold the same to within the error"


def _crossover(
    axis: str,
    c: Crossing,
    axes: Mapping[str, tuple[Any, ...]],
    places: Mapping[int, tuple[int, ...]],
    labels: Mapping[tuple[int, ...], tuple[int, ...]],
) -> Crossover:
    low, high = places[c.low], places[c.high]
    k = list(axes).index(axis)
    # A third minimum that dominates only in between has its label from the lower point.
    ends = labels[low], labels[high]
    same = len(ends[0]) == len(ends[1])
    return Crossover(
        axis=axis,
        value=c.value,
        error=c.error,
        below=ends[0][c.first],
        above=ends[0 if same else 1][c.second],
        log_mass=c.log_mass,
        between=(axes[axis][low[k]], axes[axis][high[k]]),
        fixed={
            name: values[low[i]] for i, (name, values) in enumerate(axes.items()) if name != axis
        },
        reason=c.reason,
    )
