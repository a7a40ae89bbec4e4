"""The work of a sweep, in tasks that any executor can run, and none of which depends on another.

A task is one combination of parameters with all its learning rates and batch sizes. Where the
parameters are fixed and no sampling serves all of these, each point is a task.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, wait
from dataclasses import dataclass, field, replace
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
from stationary.questions.sweeps.family import Family, Recipe, failed

__all__ = ["INTERRUPTED", "Grid", "Solved", "run"]

Parameters = dict[str, float] | None
Progress = Callable[[int, int], None]
Work = tuple[Any, ...]  # a function and its arguments

# Threads of one process take turns: the arithmetic of many digits is not made to be shared, and
# Python would not let them run side by side in any case.
TURNS = threading.Lock()
INTERRUPTED = "it was interrupted"
AHEAD = 4000  # tasks that an executor holds at a time


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


def run(grid: Grid, executor: Executor | None, progress: Progress | None) -> Solved:
    """Solve a grid and find its crossings. An interrupt leaves what is done by then."""
    solved = Solved(grid)
    try:
        each = _solve(grid, executor, progress, solved)
        _cross(grid, each, executor, solved)
    except KeyboardInterrupt:
        solved.stopped = INTERRUPTED
    except BrokenExecutor as error:
        solved.stopped = f"a worker process ended ({' '.join(str(error).split())})"
    width = len(grid.points)
    solved.crossings.sort(key=lambda pair: (pair[1].low // width, pair[1].low, pair[1].value))
    return solved


def _solve(
    grid: Grid, executor: Executor | None, progress: Progress | None, solved: Solved
) -> bool:
    """Solve all points; whether they were solved one by one, so that crossings are left to find."""
    width, points = len(grid.points), grid.points
    tasks: list[tuple[int, Work]] = [
        (n * width, (_combination, grid.recipe, c, points)) for n, c in enumerate(grid.combinations)
    ]
    family = _only_family(grid)
    if family is not None and family.kernel is not None:
        tasks, executor = [(0, (_family, family))], None  # it costs less than to send it away
    elif family is not None:
        tasks = [
            (n, (_combination, grid.recipe, grid.combinations[0], (p,)))
            for n, p in enumerate(points)
        ]
    for start, (answers, crossings) in _done(tasks, executor, grid.recipe):
        solved.blocks[start] = answers
        solved.crossings += [
            ("learning_rate", replace(c, low=start + c.low, high=start + c.high)) for c in crossings
        ]
        if progress is not None:
            progress(solved.done, grid.size)
    return family is not None and family.kernel is None


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
        return answers, crossings_of_rates(family, answers) if several else []


# -- crossings that no task has seen --------------------------------------------------------------


def _cross(grid: Grid, each: bool, executor: Executor | None, solved: Solved) -> None:
    tasks: list[tuple[int, Work]] = []
    if len(grid.points.rates) > 1:
        if not each:
            return  # they are found already
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
    for start in range(0, len(grid.points), n):
        answers = solved.several(list(range(start, start + n)))
        for i, k in brackets(answers, np.arange(n)):
            pair = start + i, start + k
            ends, two = tuple(grid.points[j] for j in pair), Answers.of([answers[i], answers[k]])
            yield pair[0], (_rates_again, grid.recipe, grid.combinations[0], ends, two, pair)


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


def _done(
    tasks: Sequence[tuple[int, Work]], executor: Executor | None, recipe: Recipe
) -> Iterator[tuple[int, Any]]:
    """Tasks with their results, as they come."""
    if executor is None:
        for key, (function, *arguments) in tasks:
            yield key, function(*arguments)
        return
    waiting = iter(tasks)
    running: dict[Future[Any], int] = {}
    try:
        while True:
            for key, (function, *arguments) in waiting:
                running[executor.submit(function, *arguments)] = key
                if len(running) >= AHEAD:
                    break
            if not running:
                return
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                yield running.pop(future), future.result()
    except (PicklingError, TypeError, AttributeError) as error:
        if "pickle" not in str(error).lower():
            raise
        raise LandscapeError(
            f"{recipe.name}: this landscape cannot be sent to another process, since its functions "
            "belong to this one. Write them into a file and pass its path, or leave the executor "
            "out."
        ) from error
    finally:
        for future in running:
            future.cancel()
