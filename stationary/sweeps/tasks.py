"""The work of a sweep, in tasks that any executor can run, and none of which depends on another.

A task is one combination of parameters with all its learning rates and batch sizes. Where the
parameters are fixed and no sampling serves all of these, each point is a task.
"""

from __future__ import annotations

import asyncio
import math
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import (
    FIRST_COMPLETED,
    BrokenExecutor,
    CancelledError,
    Executor,
    Future,
    wait,
)
from contextlib import suppress
from contextvars import copy_context
from dataclasses import dataclass, field
from functools import cached_property, partial
from pickle import PicklingError
from queue import Empty, SimpleQueue
from typing import Any

import numpy as np

from stationary.errors import LandscapeError, StationaryError
from stationary.process.diffusion import Diffusion
from stationary.process.landscape import Landscape
from stationary.progress import GRACE, INTERRUPTED
from stationary.sweeps.answers import Answer, Answers, Point, Points
from stationary.sweeps.crossover import Crossing, brackets, crossings_between, crossings_of_rates
from stationary.sweeps.family import Family, Parameters, Recipe, StoppedError, failed

Tell = Callable[[int, int], None]
Work = tuple[Any, ...]  # a function and its arguments

STEP = tuple(Point.__dataclass_fields__)
# Threads of one process take turns: the arithmetic of many digits is not made to be shared, and
# Python would not let them run side by side in any case.
TURNS = threading.Lock()
AHEAD = 4000  # tasks that an executor holds at a time
PATIENCE = 1.0  # seconds between two looks at tasks that were called off without a word
SILENCE = 15.0  # seconds without an answer, after which an executor is asked whether it is there


@dataclass(frozen=True)
class Grid:
    """All combinations of the values of the axes, of which the last changes fastest."""

    recipe: Recipe
    axes: Mapping[str, tuple[Any, ...]]  # parameters, then replacement, batch_size, learning_rate
    process: Landscape | Diffusion  # at the first values

    @cached_property
    def shape(self) -> tuple[int, ...]:
        return tuple(map(len, self.axes.values()))

    def __len__(self) -> int:
        return math.prod(self.shape)

    @cached_property
    def points(self) -> Points:
        """Those at the same parameters."""
        return Points(*(self.axes.get(name, (None,)) for name in STEP))

    @cached_property
    def axis(self) -> str:
        """Along which crossings are looked for; empty if there is nothing to look for."""
        several = [name for name, values in self.axes.items() if len(values) > 1]
        numbers = [name for name in several if not isinstance(self.axes[name][0], str)]
        parameters = [name for name in numbers if name not in STEP]
        return STEP[0] if STEP[0] in several else (parameters or [""])[0]

    def values(self, n: int) -> dict[str, Any]:
        """The values at a point, by the axis."""
        places = np.unravel_index(n, self.shape)
        return {name: v[i] for (name, v), i in zip(self.axes.items(), places, strict=True)}

    def at(self, n: int) -> tuple[Parameters, Point]:
        """The parameters and the step of a point."""
        values = self.values(n)
        step = Point(**{name: values.pop(name) for name in STEP if name in values})
        return values, step


@dataclass
class Solved:
    """What is done, by the number of the first point of each block of points."""

    grid: Grid
    blocks: dict[int, Answers] = field(default_factory=dict)
    crossings: list[Crossing] = field(default_factory=list)  # along the axis of the grid
    stopped: str = ""

    @property
    def done(self) -> int:
        return sum(map(len, self.blocks.values()))

    def at(self, n: int) -> tuple[Answers, int]:
        """The block that the point is in, and its index there."""
        start = n if n in self.blocks else n - n % len(self.grid.points)
        return self.blocks[start], n - start


def run(
    grid: Grid,
    executor: Executor | None,
    tell: Tell,
    known: Mapping[int, Answer],
    keep: Callable[[int, Answers], None] = lambda start, answers: None,
) -> Solved:
    """Solve a grid and find its crossings. Whatever ends it early leaves what is done by then.

    What is solved is handed to `keep`, block by block, with the number of its first point.
    """
    solved = Solved(grid)
    try:
        for start, answers in _solve(grid, executor, solved, known):
            keep(start, answers)
            tell(solved.done, len(grid))
        tasks = list(_missed(grid, solved)) if grid.axis else []
        for _, crossings in _done(tasks, executor, grid.recipe):
            solved.crossings += crossings
    except KeyboardInterrupt as stop:
        if isinstance(stop, StoppedError):
            found = {n: Answers.of([answer]) for n, answer in stop.args[0].items()}
            solved.blocks = found | solved.blocks
        solved.stopped = INTERRUPTED
    except _LostWorkersError as error:
        solved.stopped = str(error)
    if solved.stopped:  # what is done stays so, also where it was to be solved with others
        done = {start + i for start, block in solved.blocks.items() for i in range(len(block))}
        solved.blocks |= {n: Answers.of([a]) for n, a in known.items() if n not in done}
    width = len(grid.points)
    solved.crossings.sort(key=lambda c: (c.low // width, c.low, c.value))
    return solved


def _solve(
    grid: Grid, executor: Executor | None, solved: Solved, known: Mapping[int, Answer]
) -> Iterator[tuple[int, Answers]]:
    """Solve all points that are not known, block by block."""
    points, tasks = grid.points, list[tuple[int, Work]]()
    alone = len(grid) == len(points)  # all points are at the same parameters
    family = _only_family(grid) if alone and len(grid) > max(1, len(known)) else None
    if family is not None and family.kernel is not None:
        # All at once, which costs less than to send it away.
        tasks, executor = [(0, (_family, family))], None
    else:
        size = 1 if alone else len(points)
        for n in range(0, len(grid), size):
            numbers = range(n, n + size)
            if all(k in known for k in numbers):
                solved.blocks |= {k: Answers.of([known[k]]) for k in numbers}
                continue
            parameters, step = grid.at(n)
            some = Points.along(step) if alone else points
            tasks.append((n, (_combination, grid.recipe, parameters, some, numbers)))
    for start, (answers, crossings) in _done(tasks, executor, grid.recipe):
        solved.blocks[start] = answers
        solved.crossings += crossings
        yield start, answers


def _only_family(grid: Grid) -> Family | None:
    """All points of a grid, where they are all at the same parameters."""
    try:
        with TURNS:
            family = grid.recipe.family(grid.at(0)[0], grid.points)
            _ = family.kernel
    except StationaryError:
        return None
    return family


def _combination(
    recipe: Recipe, parameters: Parameters, points: Points, numbers: Sequence[int]
) -> tuple[Answers, list[Crossing]]:
    """The answers at all points of one combination, and the crossings between them."""
    try:
        with TURNS:
            family = recipe.family(parameters, points, numbers)
    except StationaryError as error:
        return Answers.of([failed(error, recipe.name)] * len(points)), []
    return _family(family)


def _family(family: Family) -> tuple[Answers, list[Crossing]]:
    with TURNS:
        answers = family.solve()
        try:
            several = len(family.points.rates) > 1
            return answers, crossings_of_rates(family, answers) if several else []
        except KeyboardInterrupt:
            raise family.stopped(dict(enumerate(answers))) from None


def _missed(grid: Grid, solved: Solved) -> Iterator[tuple[int, Work]]:
    """Tasks for the crossings along the axis that no task has seen, with all else fixed."""
    k = list(grid.axes).index(grid.axis)
    lines = np.moveaxis(np.arange(len(grid)).reshape(grid.shape), k, -1)
    for line in lines.reshape(-1, grid.shape[k]).tolist():
        blocks = [solved.at(n) for n in line]
        if grid.axis == STEP[0] and blocks[0][0] is blocks[-1][0]:
            continue  # solved as one family, which found its crossings
        answers = Answers.of([block[i] for block, i in blocks])
        for low, high in brackets(answers, np.arange(len(line))):
            numbers = line[low], line[high]
            two = Answers.of([answers[low], answers[high]])
            yield numbers[0], (_bracket, grid, two, numbers)


def _bracket(grid: Grid, answers: Answers, numbers: tuple[int, int]) -> list[Crossing]:
    """The crossings between two points along the axis."""
    axis, recipe = grid.axis, grid.recipe
    (parameters, step), (others, last) = map(grid.at, numbers)

    def answer_at(value: float) -> Answer:
        family = recipe.family(parameters | {axis: value}, Points.along(step))
        return family.alone(step, asked=False)

    with TURNS:
        if axis == STEP[0]:
            family = recipe.family(parameters, Points.along(step, last), numbers)
            return crossings_of_rates(family, answers)
        return crossings_between(answer_at, (parameters[axis], others[axis]), [*answers], numbers)


# -- running tasks --------------------------------------------------------------------------------


class _LostWorkersError(Exception):
    """An executor that does no more work; the message says why."""


def _done(
    tasks: Sequence[tuple[int, Work]], executor: Executor | None, recipe: Recipe
) -> Iterator[tuple[int, Any]]:
    """Tasks with their results, as they come.

    An interrupt comes to the main thread wherever that is, and would leave locks of futures taken
    for ever: another thread hands out the work.
    """
    if executor is None:
        yield from ((key, function(*arguments)) for key, (function, *arguments) in tasks)
        return
    found, stop = SimpleQueue[Any](), Future[None]()

    def hand_out() -> None:
        try:
            for key, result in _handed_out(tasks, executor, recipe, stop):
                found.put((key, result))
            found.put(None)
        except BaseException as error:
            found.put(error)

    thread = threading.Thread(target=copy_context().run, args=[hand_out], daemon=True)
    try:
        thread.start()
        while True:
            with suppress(Empty):  # after a while, so that an interrupt is noticed everywhere
                came = found.get(timeout=PATIENCE)
                if came is None:
                    return
                if isinstance(came, BaseException):
                    raise came
                yield came
    finally:
        stop.set_result(None)
        with suppress(RuntimeError):  # it was not begun
            thread.join(GRACE)


def _handed_out(
    tasks: Sequence[tuple[int, Work]], executor: Executor, recipe: Recipe, stop: Future[None]
) -> Iterator[tuple[int, Any]]:
    """Tasks with their results, until `stop` is set."""
    own = uuid.uuid4().hex
    waiting = iter(tasks)
    running: dict[Future[Any], int] = {}
    lost: _LostWorkersError | None = None
    heard = time.monotonic()
    try:
        while True:
            while len(running) < AHEAD and (task := next(waiting, None)) is not None:
                if stop.done():
                    return
                key, work = task
                try:
                    running[_told(partial(executor.submit, _tried, own, *work), recipe)] = key
                except _LostWorkersError as error:
                    lost, waiting = lost or error, iter(())
            if not running:
                break
            done = wait([*running, stop], PATIENCE, return_when=FIRST_COMPLETED).done
            if stop in done:
                return
            if done:
                heard = time.monotonic()
            elif time.monotonic() - heard > SILENCE:
                # One that is gone may leave its tasks waiting for ever, but takes no other.
                _told(partial(executor.submit, _tried, own, bool), recipe).cancel()
                heard = time.monotonic()
            # A task that was called off while it waited wakes nobody up.
            for future in done or [f for f in running if f.cancelled()]:
                key = running.pop(future)
                try:
                    result, raised = _told(future.result, recipe, "a worker process ended")
                except _LostWorkersError as error:
                    lost = lost or error  # others may be well
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


def _tried(own: str, function: Callable[..., Any], *arguments: Any) -> tuple[Any, Exception | None]:
    """A result or what was raised, so that errors of the executor itself are told from it.

    `own` is different in each run: Dask gives an equal call the answer of the last one, also where
    that was the death of a worker.
    """
    try:
        return function(*arguments), None
    except Exception as error:
        return None, error


def _told(ask: Callable[[], Any], recipe: Recipe, failed: str = "the executor failed") -> Any:
    """What an executor answers; where it fails, why: it is shut down, or workers are gone."""
    try:
        return ask()
    except (Exception, asyncio.CancelledError) as error:  # each library has its own
        words = " ".join(str(error).split()).rstrip(".")
        # Dask tells of some functions that cannot be pickled by their text only.
        if isinstance(error, PicklingError) or "pickle" in words.lower():
            raise LandscapeError(
                f"{recipe.name}: this landscape cannot be sent to another process, since its "
                "functions belong to this one. Write them into a file and pass its path, or leave "
                "the executor out."
            ) from error
        if isinstance(error, (CancelledError, asyncio.CancelledError)):
            told = f"the executor called off what was left{words and f' ({words})'}"
            raise _LostWorkersError(told) from error
        what = "a worker process ended" if isinstance(error, BrokenExecutor) else failed
        raise _LostWorkersError(f"{what} ({type(error).__name__}: {words})") from error
