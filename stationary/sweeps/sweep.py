"""`sweep`: where a process ends up, over learning rates, batch sizes and parameters of its file."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from stationary.aliases import Array
from stationary.errors import LandscapeError
from stationary.files import path_of
from stationary.process.diffusion import Diffusion
from stationary.process.landscape import Landscape
from stationary.progress import INTERRUPTED, Progress, told
from stationary.result import Data, Listed, Result
from stationary.states.basins import MIN_BARRIER
from stationary.sweeps.answers import (
    MOMENTS,
    OF_MINIMA,
    SCALARS,
    Minimum,
    Numbers,
    blank,
    by_label,
    labels_of_blocks,
)
from stationary.sweeps.arrhenius import Activation, activations, rate_of
from stationary.sweeps.crossover import Crossing
from stationary.sweeps.plan import planned
from stationary.sweeps.quantities import columns_of
from stationary.sweeps.resume import Journal, known_points
from stationary.sweeps.tasks import STEP, Grid, Solved, run
from stationary.wording import SUFFIX


@dataclass(frozen=True, kw_only=True, eq=False)
class Row(Listed, Numbers):
    """One point of a sweep, and the end state there; nan or None where there is none."""

    learning_rate: float | None  # None, with the next two, for a drift and a variance
    batch_size: int | None
    replacement: bool | None
    parameters: Mapping[str, float]
    dominant: int | None  # the label of the minimum with most mass; None if not decided
    minima: Mapping[int, Minimum]  # by label


@dataclass(frozen=True, kw_only=True, eq=False)
class Crossover(Listed):
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
    standard_error: float = math.nan  # of value, where functions were estimated from a sample


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
    process: Landscape | Diffusion | None = field(default=None, repr=False)  # at the first values

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
        return tuple(name for name in self.axes if name not in STEP)

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the columns of `table`, `to_csv` and the rows of `to_dict`."""
        return tuple(self.table())

    @cached_property
    def activations(self) -> tuple[Activation, ...]:
        """How the log of exit times grows over 1 / learning rate, for each minimum.

        Of a sweep over learning rates, or temperatures, whose `quantities` include
        "log_exit_time"; else empty.
        """
        if not rate_of(self.swept) or "log_exit_time" not in self.quantities:
            return ()
        names = list(self.axes)
        swept = {n: np.array(self.axes[n])[self.places[:, names.index(n)]] for n in self.swept}
        return activations(self.data, swept, self.labels)

    def table(self) -> dict[str, Array]:
        """A column for each name: what `pandas.DataFrame` takes.

        Numbers that do not exist are nan; a minimum that dominates nothing is -1 in `dominant`.
        For each label i there are position_i, kind_i, mass_i, log_mass_i, mass_error_i (absolute,
        of log_mass_i, and so relative to mass_i) and log_density_i. What was estimated from a
        sample has columns such as mean_standard_error and log_mass_standard_error_i, too.
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
        columns = {name: column[i] for name, column in sweep.data.items()}
        values: dict[str, Any] = {
            n: v.item() if hasattr(v, "item") else v for n, v in columns.items()
        }
        minima = {}
        for label, kinds in sweep.kinds.items():
            if kinds[i]:
                named = {n: f"{n}_{label}" for n in OF_MINIMA if n != "kind"}
                own = {n: values[column] for n, column in named.items() if column in values}
                minima[label] = Minimum(kind=kinds[i], **own)
        told: dict[str, Any] = {
            n: values.get(n) for n in (*STEP, *SCALARS) if SUFFIX not in n or n in values
        }
        return Row(
            **told,
            parameters={name: values[name] for name in sweep.parameters},
            dominant=None if values["dominant"] < 0 else values["dominant"],
            minima=minima,
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
    journal: str | os.PathLike[str] | None = None,
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
        Values, one or several, for parameters that the file defines or the function takes; of a
        function also words, as in ``{"convention": ["ito", "stratonovich"]}``.
    learning_rate, batch_size, replacement
        A value or several; None: as the source says. Values are sorted, and each is taken once.
    quantities
        What else is wanted of each point, as columns: names such as "exit_time", "barrier_left",
        "current", "mean_velocity", "effective_diffusion", "entropy", "skewness", "sharpness" or
        "chain_mass", or a mapping of names to functions of an `Analysis`, which give a number, a
        number and its error (and its standard error, of a sample), or a list of these with one for
        each basin. Each point is then analysed by itself. On a ring, its current and mean
        velocity if nothing is said.
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
    journal
        A file to which each point is appended as it is done, for sweeps of hours: whatever kills
        the process, asking again goes on from there. It may be deleted when the sweep is done.
    changes
        What else replaces values of the source, such as ``convention`` or ``domain``. Of
        ``convention``, and of the ``temperature`` of a potential, there may be several: each is an
        axis then, as in ``sweep(path, convention=["ito", "stratonovich"])``.

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
    if not (executor is None or isinstance(executor, Executor)):
        raise LandscapeError(
            f"executor={executor!r:.60}: it is an executor of concurrent.futures, such as "
            "ProcessPoolExecutor(4), or client.get_executor() of a Dask client."
        )
    steps = {"replacement": replacement, "batch_size": batch_size, "learning_rate": learning_rate}
    grid = planned(source, parameters, steps, initial, digits, min_barrier, changes, quantities)
    known = {} if resume is None else known_points(resume, grid)
    with ExitStack() as last:
        keep = {}
        if journal is not None:
            kept = last.enter_context(Journal(path_of(journal), grid))
            known |= kept.known()
            keep = {"keep": kept.keep}
        solved = run(grid, executor, last.enter_context(told(progress, "points")), known, **keep)
    return _assembled(grid, solved)


def _assembled(grid: Grid, solved: Solved) -> Sweep:
    """Columns and crossovers, with minima labelled."""
    blocks = dict(sorted(solved.blocks.items()))
    numbers = np.array(
        [n for start, b in blocks.items() for n in range(start, start + len(b))], int
    )
    labels = labels_of_blocks(blocks, grid.shape)
    count = 1 + max((label for listed in labels.values() for label in listed), default=-1)
    columns, dominant = by_label(blocks, labels, count)
    places = dict(zip(grid.axes, np.unravel_index(numbers, grid.shape), strict=True))
    order = [*(n for n in STEP if n in places), *(n for n in places if n not in STEP)]
    data = {n: np.array(grid.axes[n], float if n == STEP[0] else None)[places[n]] for n in order}
    for n in SCALARS:
        data[n] = np.concatenate([b.scalars[n] for b in blocks.values()] or [blank(n, 0)])
    moments = {n: data.pop(n) for n in MOMENTS}
    data |= moments | {"dominant": dominant}
    for i in range(count):
        own = {f"{n}_{i}": column[i] for n, column in columns.items()}
        with np.errstate(under="ignore"):
            mass = np.exp(columns["log_mass"][i])
        data |= {n: own.pop(n) for n in (f"position_{i}", f"kind_{i}")} | {f"mass_{i}": mass} | own
    extras = [e for b in blocks.values() for e in (b.extras or [None] * len(b))]
    quantities = tuple(grid.recipe.quantities or ())
    data |= columns_of(quantities, extras, columns["position"])
    if not from_sample(grid.process):
        data = {n: column for n, column in data.items() if SUFFIX not in n}
    _explain(data, columns["log_mass"], columns["kind"])
    crossovers = tuple(_crossover(grid, c, solved, labels) for c in solved.crossings)
    kinds = dict(enumerate(columns["kind"]))
    return Sweep(
        grid.recipe.name, grid.axes, data, kinds, crossovers, solved.stopped, numbers, quantities,
        grid.process,
    )  # fmt: skip


def from_sample(process: Landscape | Diffusion | None) -> bool:
    """Whether a process was estimated from a sample."""
    if isinstance(process, Landscape):
        return process.from_sample
    return process is not None and process.sample is not None


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
    grid: Grid, c: Crossing, solved: Solved, labels: Mapping[int, tuple[int, ...]]
) -> Crossover:
    low, high = map(grid.values, (c.low, c.high))

    def labels_at(n: int) -> tuple[tuple[int, ...], int]:
        block, i = solved.at(n)
        return labels[n - i if block.places is not None else n], int(block.dominant[i])

    # A third minimum that dominates only in between has its label from the lower point.
    (lower, _), (upper, last) = map(labels_at, (c.low, c.high))
    above = lower if len(lower) == len(upper) and c.second != last else upper
    return Crossover(
        axis=grid.axis,
        value=c.value,
        error=c.error,
        below=lower[c.first],
        above=above[c.second],
        log_mass=c.log_mass,
        between=(low.pop(grid.axis), high[grid.axis]),
        fixed=low,
        reason=c.reason,
        standard_error=c.standard_error,
    )
