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
from stationary.progress import Progress, told
from stationary.questions.sweeps.answers import (
    OF_MINIMA,
    SCALARS,
    TEXTS,
    Minimum,
    Points,
)
from stationary.questions.sweeps.crossover import Crossing
from stationary.questions.sweeps.labels import labels_of_blocks
from stationary.questions.sweeps.plan import planned
from stationary.questions.sweeps.quantities import columns_of
from stationary.questions.sweeps.resume import known_points
from stationary.questions.sweeps.tasks import INTERRUPTED, Grid, Solved, run
from stationary.result import Data, Result
from stationary.states.merging import MIN_BARRIER

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
    data: Mapping[str, Array] = field(repr=False)  # the columns of `table`
    kinds: Mapping[int, Array] = field(repr=False)  # of the minimum with each label, or ""
    crossovers: tuple[Crossover, ...]
    stopped: str = ""
    numbers: Array = field(default_factory=lambda: np.empty(0, dtype=int), repr=False)
    # of the points that were computed, in the order of the grid
    quantities: tuple[str, ...] = ()  # what else was asked for, each with its columns

    @property
    def rows(self) -> Rows:
        """The points that were computed, each with what was found."""
        return Rows(self)

    @cached_property
    def places(self) -> Array:
        """The indices of the rows along each axis, shape (rows, axes)."""
        shape = tuple(len(v) for v in self.axes.values())
        return np.stack(np.unravel_index(self.numbers, shape), axis=1)

    @property
    def complete(self) -> bool:
        return not self.stopped

    @property
    def interrupted(self) -> bool:
        """Whether it was stopped by hand."""
        return self.stopped == INTERRUPTED

    @property
    def labels(self) -> tuple[int, ...]:
        return tuple(sorted(self.kinds))

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
        For each label i there are position_i, kind_i, mass_i, log_mass_i, mass_error_i (absolute,
        of log_mass_i, and so relative to mass_i) and log_density_i.
        """
        return dict(self.data)

    @cached_property
    def has_numbers(self) -> Array:
        """At which points there is an end state, or a minimum."""
        there = [kind != "" for kind in self.kinds.values()]
        return np.asarray(np.any([*there, np.isfinite(self.data["mean"])], axis=0))

    def __repr__(self) -> str:
        n, lost = len(self.rows), int((~self.has_numbers).sum())
        return (
            f"<Sweep of {self.name!r} over {', '.join(self.swept) or 'one point'}: {n} points, "
            f"{lost} of them without numbers, {len(self.crossovers)} crossovers"
            f"{'' if self.complete else ', stopped'}>"
        )


class Rows(Data, Sequence[Row]):
    """The rows of a sweep, made when they are looked at."""

    def __init__(self, sweep: Sweep) -> None:
        self.sweep = sweep

    def __len__(self) -> int:
        return len(self.sweep.numbers)

    def __getitem__(self, i: Any) -> Any:
        if isinstance(i, slice):
            return tuple(self[k] for k in range(*i.indices(len(self))))
        i = range(len(self))[i]
        sweep = self.sweep
        values = {name: column[i] for name, column in sweep.data.items()}
        values = {n: v.item() if hasattr(v, "item") else v for n, v in values.items()}
        return Row(
            learning_rate=values.get("learning_rate"),
            batch_size=values.get("batch_size"),
            replacement=values.get("replacement"),
            parameters={name: values[name] for name in sweep.parameters},
            dominant=None if values["dominant"] < 0 else values["dominant"],
            minima={
                label: Minimum(
                    values[f"position_{label}"],
                    kinds[i],
                    *(values[f"{what}_{label}"] for what in OF_MINIMA[2:]),
                )
                for label, kinds in sweep.kinds.items()
                if kinds[i]
            },
            **{name: values[name] for name in SCALARS},
        )


def sweep(
    source: str | os.PathLike[str] | Landscape | Diffusion | Callable[..., Landscape | Diffusion],
    parameters: Mapping[str, Any] | None = None,
    *,
    learning_rate: Any = None,
    batch_size: Any = None,
    replacement: Any = None,
    quantities: Any = None,
    initial: Any = None,
    executor: Executor | None = None,
    progress: Progress = False,
    digits: int | None = None,
    min_barrier: float = MIN_BARRIER,
    resume: Sweep | Mapping[str, Sequence[Any]] | None = None,
    **changes: Any,
) -> Sweep:
    """The end state at all combinations of learning rates, batch sizes and parameters.

    At fixed parameters one sampling of the landscape serves all learning rates and batch sizes,
    where the process allows it. Results do not depend on the executor, down to the last digit.

    Parameters
    ----------
    source
        The path of a landscape file, a `Landscape`, or a function that makes a process of the
        parameters: ``sweep(lambda k: Diffusion(lambda x: -k * x, 1, (-9, 9)), {"k": [1, 2]})``.
    parameters
        Values, one or several, for parameters that the file defines or the function takes.
    learning_rate, batch_size, replacement
        A value or several; None: as the source says. Values are sorted, and each is taken once.
    quantities
        What else is wanted of each point, as columns: names such as "exit_time", "barrier_left",
        "current", "mean_velocity", "entropy", "sharpness" or "chain_mass", or a mapping of names to
        functions of an `Analysis`, which give a number, a number and its error, or a list of these
        with one for each basin. Each point is then analysed by itself. On a ring, its current and
        mean velocity if nothing is said.
    initial
        Where the process starts, as for `end_state`.
    executor
        Any `concurrent.futures.Executor`, such as a process pool or a Dask client's
        ``get_executor()``; None: one point after the other, here.
    progress
        True: show the time left, in a notebook, or on standard error if that is a terminal. Or a
        function that is called with the number of points that are done and that of all.
    digits
        As for `end_state`; the results are rounded to doubles.
    min_barrier
        As for `basins_of`. Where minima are one basin, the heaviest of them stands for all.
    resume
        A sweep that was stopped, or its table: the points in it are not computed again. All else
        must be as it was then.
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
        source,
        learning_rate,
        batch_size,
        replacement,
        parameters,
        initial,
        digits,
        min_barrier,
        changes,
        quantities,
    )
    known = (
        {}
        if resume is None
        else known_points(resume, axes, recipe.name, tuple(recipe.quantities or ()))
    )
    with told(progress, "points") as tell:
        solved = run(Grid(recipe, combinations, points), executor, tell, known)
    wanted = tuple(recipe.quantities or ())
    return _assembled(recipe.name, axes, combinations, points, solved, wanted)


def _assembled(
    name: str,
    axes: dict[str, tuple[Any, ...]],
    combinations: Sequence[dict[str, float] | None],
    points: Points,
    solved: Solved,
    quantities: Sequence[str],
) -> Sweep:
    """Columns and crossovers, with minima labelled."""
    starts = sorted(solved.blocks)
    blocks = [solved.blocks[start] for start in starts]
    numbers = np.concatenate(
        [np.arange(n, n + len(b)) for n, b in zip(starts, blocks, strict=True)] or [np.arange(0)]
    )
    shape = tuple(len(v) for v in axes.values())
    labels = labels_of_blocks(dict(zip(starts, blocks, strict=True)), shape)
    count = 1 + max((label for listed in labels.values() for label in listed), default=-1)
    columns = {n: np.full((count, len(numbers)), NAN) for n in OF_MINIMA if n != "kind"}
    kinds = np.full((count, len(numbers)), "", dtype=object)
    dominant = np.full(len(numbers), -1)
    at = 0
    for start, block in zip(starts, blocks, strict=True):
        whole = block.places is not None
        for i in range(1 if whole else len(block)):
            known = labels.get(start + i)
            if known is None:
                continue
            here = slice(at, at + len(block)) if whole else slice(at + i, at + i + 1)
            there = slice(None) if whole else slice(i, i + 1)
            for k, label in enumerate(known):
                kinds[label, here] = block.minima["kind"][there, k]
                for n, column in columns.items():
                    column[label, here] = block.minima[n][there, k]
            first = block.dominant[there]
            dominant[here] = np.where(first >= 0, np.array([*known, -1])[first], -1)
        at += len(block)
    data = _axes_columns(axes, combinations, points, numbers)
    for n in SCALARS:
        empty = np.empty(0, dtype=object if n in TEXTS else float)
        data[n] = np.concatenate([b.scalars[n] for b in blocks] or [empty])
    moments = {n: data.pop(n) for n in SCALARS[-4:]}
    data |= moments | {"dominant": dominant}
    for i in range(count):
        with np.errstate(under="ignore"):
            mass = np.exp(columns["log_mass"][i])
        data[f"position_{i}"], data[f"kind_{i}"] = columns["position"][i], kinds[i]
        data[f"mass_{i}"] = mass
        for n in OF_MINIMA[2:]:
            data[f"{n}_{i}"] = columns[n][i]
    extras = [e for b in blocks for e in (b.extras or [None] * len(b))]
    data |= columns_of(quantities, extras, columns["position"])
    _explain(data, columns["log_mass"], kinds)
    crossovers = tuple(
        _crossover(axis, c, axes, shape, solved, labels) for axis, c in solved.crossings
    )
    stopped, named = solved.stopped, tuple(quantities)
    return Sweep(name, axes, data, dict(enumerate(kinds)), crossovers, stopped, numbers, named)


def _axes_columns(
    axes: Mapping[str, tuple[Any, ...]],
    combinations: Sequence[dict[str, float] | None],
    points: Points,
    numbers: Array,
) -> dict[str, Array]:
    """The values at which each point was computed: learning rate first, parameters last."""
    width = len(points)
    data: dict[str, Array] = {}
    inner, index = numbers % width, {}
    inner, index["learning_rate"] = np.divmod(inner, len(points.rates))
    index["replacement"], index["batch_size"] = np.divmod(inner, len(points.sizes))
    for n, dtype in (("learning_rate", float), ("batch_size", int), ("replacement", bool)):
        if n in axes:
            data[n] = np.array(axes[n], dtype=dtype)[index[n]]
    for n in axes:
        if n not in index:
            values = np.array([(c or {}).get(n, NAN) for c in combinations])
            data[n] = values[numbers // width]
    return data


def _explain(data: dict[str, Array], log_masses: Array, kinds: Array) -> None:
    """Say why no minimum dominates, where nothing else was said."""
    silent = (data["dominant"] < 0) & (data["reason"] == "")
    for i in np.flatnonzero(silent).tolist():
        here = log_masses[:, i]
        known = np.flatnonzero(~np.isnan(here))
        if len(known) > 1:
            pair = sorted(known[np.argsort(-here[known], kind="stable")[:2]].tolist())
            data["reason"][i] = f"minima {pair[0]} and {pair[1]} hold the same to within the error"
        elif not (kinds[:, i] != "").any() and math.isnan(data["mean"][i]):
            data["reason"][i] = "there is no minimum"


def _crossover(
    axis: str,
    c: Crossing,
    axes: Mapping[str, tuple[Any, ...]],
    shape: tuple[int, ...],
    solved: Solved,
    labels: Mapping[int, tuple[int, ...]],
) -> Crossover:
    low, high = (tuple(int(i) for i in np.unravel_index(n, shape)) for n in (c.low, c.high))
    k = list(axes).index(axis)

    def labels_at(n: int) -> tuple[int, ...]:
        block, i = solved.at(n)
        return labels[n - i if block.places is not None else n]

    # A third minimum that dominates only in between has its label from the lower point.
    ends = labels_at(c.low), labels_at(c.high)
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
