"""The work of a sweep, in tasks that any executor can run, and none of which depends on another.

A task is one combination of parameters with all its learning rates and batch sizes. Where the
parameters are fixed and no sampling serves all of these, each point is a task.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, CancelledError, Executor, Future, wait
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pickle import PicklingError
from typing import Any

import numpy as np

from stationary.errors import LandscapeError, StationaryError
from stationary.questions.sweeps.answers import Answer, Answers, Point, Points
from stationary.questions.sweeps.crossover import (
    Crossing,
    brackets,
    crossings_between,
    crossings_of_rates,
)
from stationary.questions.sweeps.family import Family, Recipe, StoppedError, failed

__all__ = ["INTERRUPTED", "Grid", "Solved", "run"]

Parameters = dict[str, float] | None
Tell = Callable[[int, int], None]
Work = tuple[Any, ...]  # a function and its arguments

# Threads of one process take turns: the arithmetic of many digits is not made to be shared, and
# Python would not let them run side by side in any case.
TURNS = threading.Lock()
INTERRUPTED = "it was interrupted"
AHEAD = 4000  # tasks that an executor holds at a time
PATIENCE = 1.0  # seconds between two looks at tasks that were called off without a word
SILENCE = 15.0  # seconds without an answer, after which an executor is asked whether it is there


@dataclass(frozen=True)
class Grid:
    """All points: those of `points` for each of the `combinations`, in that order."""

    recipe: Recipe
    combinations: Sequence[Parameters]
    points: Points

    @property
    def size(self) -> int:
        return len(self.combinations) * len(self.points)


@dataclass
class Solved:
    """What is done, by the number of the first point of each block of points."""

    grid: Grid
    blocks: dict[int, Answers] = field(default_factory=dict)
    crossings: list[tuple[str, Crossing]] = field(default_factory=list)  # with the axis
    stopped: str = ""

    @property
    def done(self) -> int:
        return sum(map(len, self.blocks.values()))

    def at(self, n: int) -> tuple[Answers, int]:
        """The block that the point is in, and its index there."""
        start = n if n in self.blocks else n - n % len(self.grid.points)
        return self.blocks[start], n - start

    def several(self, numbers: list[int]) -> Answers:
        return Answers.of([block[i] for block, i in map(self.at, numbers)])


def run(
    grid: Grid,
    executor: Executor | None,
    tell: Tell,
    known: Mapping[int, Answer] | None = None,
) -> Solved:
    """Solve a grid and find its crossings. Whatever ends it early leaves what is done by then."""
    solved = Solved(grid)
    try:
        _solve(grid, executor, tell, solved, known or {})
        _cross(grid, executor, solved)
    except StoppedError as stop:
        found = {stop.first + i: Answers.of([answer]) for i, answer in stop.answers.items()}
        solved.blocks |= {n: found[n] for n in found if n not in solved.blocks}
        solved.stopped = INTERRUPTED
    except KeyboardInterrupt:
        solved.stopped = INTERRUPTED
    except _LostWorkersError as error:
        solved.stopped = str(error)
    width = len(grid.points)
    solved.crossings.sort(key=lambda pair: (pair[1].low // width, pair[1].low, pair[1].value))
    return solved


def _solve(
    grid: Grid,
    executor: Executor | None,
    tell: Tell,
    solved: Solved,
    known: Mapping[int, Answer],
) -> None:
    """Solve all points that are not known."""
    width, points = len(grid.points), grid.points
    family = _only_family(grid) if len(known) < grid.size else None
    tasks: list[tuple[int, Work]]
    if family is not None and family.kernel is not None:
        # All at once, which costs less than to send it away.
        tasks, executor, known = [(0, (_family, family))], None, {}
    else:
        parts = 1 if family is not None or len(grid.combinations) == 1 else width
        tasks = [
            (n, (_combination, grid.recipe, grid.combinations[n // width], points))
            if parts == width
            else (n, (_combination, grid.recipe, grid.combinations[0], (points[n],)))
            for n in range(0, grid.size, parts)
        ]
        done = {n for n, _ in tasks if all(k in known for k in range(n, n + parts))}
        solved.blocks |= {
            n + i: Answers.of([known[n + i]]) for n in sorted(done) for i in range(parts)
        }
        tasks = [task for task in tasks if task[0] not in done]
    for start, (answers, crossings) in _done(tasks, executor, grid.recipe):
        solved.blocks[start] = answers
        solved.crossings += [
            ("learning_rate", replace(c, low=start + c.low, high=start + c.high)) for c in crossings
        ]
        tell(solved.done, grid.size)


def _only_family(grid: Grid) -> Family | None:
    """All points, where they are all at the same parameters."""
    if len(grid.combinations) > 1 or len(grid.points) == 1:
        return None
    try:
        process = grid.recipe.make(grid.combinations[0])
    except StationaryError:
        return None
    with TURNS:
        family = grid.recipe.family(process, grid.points)
        _ = family.kernel
    return family


def _combination(
    recipe: Recipe, parameters: Parameters, points: Sequence[Point]
) -> tuple[Answers, list[Crossing]]:
    """The answers at all points of one combination, and the crossings between them."""
    try:
        with TURNS:
            family = recipe.family(recipe.make(parameters), points)
    except StationaryError as error:
        return Answers.of([failed(error, recipe.name)] * len(points)), []
    return _family(family)


def _family(family: Family) -> tuple[Answers, list[Crossing]]:
    with TURNS:
        answers = family.solve()
        several = any(len(rates) > 1 for _, rates, _ in family.lines)
        try:
            return answers, crossings_of_rates(family, answers) if several else []
        except KeyboardInterrupt:
            raise StoppedError(dict(enumerate(answers))) from None


# -- crossings that no task has seen --------------------------------------------------------------


def _cross(grid: Grid, executor: Executor | None, solved: Solved) -> None:
    tasks: list[tuple[int, Work]] = []
    if len(grid.points.rates) > 1:
        axis = "learning_rate"
        tasks = list(_along_rates(grid, solved))
    else:
        first = grid.combinations[0] or {}
        several = [k for k in first if len({(c or {})[k] for c in grid.combinations}) > 1]
        if not several:
            return
        axis = several[0]
        tasks = list(_along_parameter(grid, axis, solved))
    for _, crossings in _done(tasks, executor, grid.recipe):
        solved.crossings += [(axis, c) for c in crossings]


def _along_rates(grid: Grid, solved: Solved) -> Iterator[tuple[int, Work]]:
    """Tasks, one for each batch size and replacement, where points were solved one by one."""
    n = len(grid.points.rates)
    for start in range(0, grid.size, n):
        if solved.at(start)[0] is solved.at(start + n - 1)[0]:
            continue  # solved as one family, which found its crossings
        answers = solved.several(list(range(start, start + n)))
        combination, first = divmod(start, len(grid.points))
        for i, k in brackets(answers, np.arange(n)):
            ends = tuple(grid.points[first + j] for j in (i, k))
            two, pair = Answers.of([answers[i], answers[k]]), (start + i, start + k)
            parameters = grid.combinations[combination]
            yield pair[0], (_rates_again, grid.recipe, parameters, ends, two, pair)


def _rates_again(
    recipe: Recipe,
    parameters: Parameters,
    ends: tuple[Point, ...],
    answers: Answers,
    numbers: tuple[int, int],
) -> list[Crossing]:
    with TURNS:
        family = recipe.family(recipe.make(parameters), ends)
        found = crossings_of_rates(family, answers)
    return [replace(c, low=numbers[c.low], high=numbers[c.high]) for c in found]


def _along_parameter(grid: Grid, axis: str, solved: Solved) -> Iterator[tuple[int, Work]]:
    """Tasks for the crossings along a parameter, at fixed values of all else."""
    width = len(grid.points)
    rows: dict[Any, list[int]] = {}
    for n in range(grid.size):
        others = tuple(
            (k, v) for k, v in (grid.combinations[n // width] or {}).items() if k != axis
        )
        rows.setdefault((others, n % width), []).append(n)
    for (_, k), numbers in rows.items():
        along = solved.several(numbers)
        for a, b in brackets(along, np.arange(len(numbers))):
            pair = numbers[a], numbers[b]
            ends = tuple(grid.combinations[n // width] for n in pair)
            answers = along[a], along[b]
            yield pair[0], (_parameter, grid.recipe, axis, ends, grid.points[k], answers, pair)


def _parameter(
    recipe: Recipe,
    axis: str,
    ends: tuple[dict[str, float], dict[str, float]],
    point: Point,
    answers: tuple[Answer, Answer],
    numbers: tuple[int, int],
) -> list[Crossing]:
    def answer_at(value: float) -> Answer:
        process = recipe.make(ends[0] | {axis: value})
        return recipe.family(process, (point,)).alone(point)

    with TURNS:
        found = crossings_between(answer_at, (ends[0][axis], ends[1][axis]), answers)
    return [replace(c, low=numbers[0], high=numbers[1]) for c in found]


# -- running tasks --------------------------------------------------------------------------------


class _LostWorkersError(Exception):
    """An executor that does no more work; the message says why."""


def _done(
    tasks: Sequence[tuple[int, Work]], executor: Executor | None, recipe: Recipe
) -> Iterator[tuple[int, Any]]:
    """Tasks with their results, as they come."""
    if executor is None:
        for key, (function, *arguments) in tasks:
            try:
                result = function(*arguments)
            except StoppedError as stop:
                stop.first = key
                raise
            yield key, result
        return
    waiting = iter(tasks)
    running: dict[Future[Any], int] = {}
    lost: _LostWorkersError | None = None
    heard = time.monotonic()
    try:
        while True:
            while len(running) < AHEAD and (task := next(waiting, None)) is not None:
                key, work = task
                try:
                    running[_told(partial(executor.submit, _tried, *work), recipe)] = key
                except _LostWorkersError as error:
                    lost, waiting = lost or error, iter(())
            if not running:
                break
            done = wait(running, PATIENCE, return_when=FIRST_COMPLETED).done
            if done:
                heard = time.monotonic()
            elif time.monotonic() - heard > SILENCE:
                # One that is gone may leave its tasks waiting for ever, but takes no other.
                _told(partial(executor.submit, _tried, bool), recipe).cancel()
                heard = time.monotonic()
            # A task that was called off while it waited wakes nobody up.
            for future in done or [f for f in running if f.cancelled()]:
                key = running.pop(future)
                try:
                    result, raised = _told(future.result, recipe)
                except _LostWorkersError as stop:
                    lost = lost or stop  # others may be well
                    continue
                if raised is not None:
                    raise raised
                yield key, result
        if lost is not None:
            raise lost
    finally:
        for future in running:
            with suppress(Exception):  # of an executor that is no longer there
                future.cancel()


def _tried(function: Callable[..., Any], *arguments: Any) -> tuple[Any, Exception | None]:
    """A result or what was raised, so that errors of the executor itself are told from it."""
    try:
        return function(*arguments), None
    except Exception as error:
        return None, error


def _told(ask: Callable[[], Any], recipe: Recipe) -> Any:
    """What an executor answers; where it fails, why."""
    try:
        return ask()
    except (
        Exception,
        asyncio.CancelledError,
    ) as error:  # each library has its own
        words = " ".join(str(error).split()).rstrip(".")
        # Dask tells of some functions that cannot be pickled by their text only.
        if isinstance(error, PicklingError) or "pickle" in words.lower():
            raise LandscapeError(
                f"{recipe.name}: this landscape cannot be sent to another process, since its "
                "functions belong to this one. Write them into a file and pass its path, or leave "
                "the executor out."
            ) from error
        if isinstance(error, (CancelledError, asyncio.CancelledError)):
            words = words or "the executor called off what was left"
        name = type(error).__name__
        raise _LostWorkersError(f"a worker process ended ({name}: {words})") from error
