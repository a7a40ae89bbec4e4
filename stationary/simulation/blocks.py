"""Blocks of walkers: the part of a simulation that one core does at a time.

A block has its own random numbers, and what it does depends on nothing else. So it does not matter
which process steps it, in which order, or how many others there are.
"""

from __future__ import annotations

import math
import pickle
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import BrokenExecutor, Executor, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import Any

import numpy as np

from stationary.aliases import Array
from stationary.errors import ConvergenceError, LandscapeError
from stationary.numbers.cost import CACHE
from stationary.process.diffusion import Diffusion
from stationary.process.landscape import Landscape
from stationary.progress import processes
from stationary.simulation.sgd import SgdStepper, block_size
from stationary.simulation.streams import Moments, Observation, Record, Watch
from stationary.simulation.walkers import RootEnd, SdeStepper, Walls

ESCAPED = 2  # the fate of a walker: 0 on its way, -1 or 1 absorbed at an end, 2 escaped


@dataclass(frozen=True)
class Block:
    """Some walkers, where they are, and their random numbers."""

    x: Array
    rng: np.random.Generator
    fate: Array  # int8
    label: Array  # the basin in whose core each was last seen; -1 for none
    since: Array  # the step in which each met its fate, int64
    velocity: Array | None = None  # with momentum, (M,), or Adam, (2, M); None at rest

    def part(self, some: Array) -> Block:
        """Some of the walkers, with the random numbers of all."""
        v = None if self.velocity is None else self.velocity[..., some]
        x, fate, label, since = self.x[some], self.fate[some], self.label[some], self.since[some]
        return Block(x, self.rng, fate, label, since, v)


@dataclass(frozen=True)
class Plan:
    """The next steps, the same for all blocks."""

    steps: int
    start: int  # steps done before
    walls: Walls
    dt: float | None
    milstein: bool
    ends: tuple[RootEnd, ...] = ()
    watch: Watch | None = None
    every: int | None = None
    keep: bool = False  # the positions at each snapshot


@dataclass(frozen=True)
class Outcome:
    """A block after the steps of a plan, and what was seen."""

    block: Block
    folded: Array
    record: Record  # an empty one where nothing was watched
    moments: Moments  # of each snapshot
    positions: Array  # (snapshots, M), or (0, M)


def advance(process: Landscape | Diffusion, block: Block, plan: Plan) -> Outcome:
    """Carry out the plan."""
    x, fate, label, since = (v.copy() for v in (block.x, block.fate, block.label, block.since))
    walkers, rng = len(x), block.rng
    walls = replace(plan.walls, folded=np.zeros_like(plan.walls.folded))
    stepper: SgdStepper | SdeStepper
    if isinstance(process, Landscape):
        stepper = SgdStepper(process, x, block.velocity)
    else:
        stepper = SdeStepper(process, plan.dt or math.nan, plan.milstein, x, plan.ends)
    velocity = stepper.velocity
    sees = None if plan.watch is None else Observation(plan.watch, walkers, label)
    moments: list[Moments] = []
    positions: list[Array] = []
    gone = np.flatnonzero(fate)
    held = x[gone]
    present = _present(fate)
    for t in range(plan.start + 1, plan.start + plan.steps + 1):
        stepper.step(rng, t)
        x[gone] = held
        inside = walls.all_inside(x)
        if bridges := any(walls.absorbing) and isinstance(stepper, SdeStepper):
            walls.touch(stepper.before, x, stepper.variance * stepper.dt, fate, rng)
        if bridges or not inside:
            if not inside:
                if velocity is not None and not walls.periodic:  # walls turn it back
                    beyond, mean = (x < walls.lower) | (x > walls.upper), np.atleast_2d(velocity)[0]
                    np.negative(mean, out=mean, where=beyond)
                walls.apply(x, fate)
            ends = np.flatnonzero(fate)
            if len(ends) != len(gone):
                since[ends[~np.isin(ends, gone)]] = t
                gone, held, present = ends, x[ends], _present(fate)
        if sees is not None:
            sees.see(x, present)
        if plan.every and t % plan.every == 0:
            moments.append(Moments.of(x if present is None else x[present]))
            if plan.keep:
                positions.append(np.where(fate == ESCAPED, np.nan, x))
    return Outcome(
        Block(x, rng, fate, label, since, velocity),
        walls.folded,
        Record.empty(Watch(0.0), walkers) if sees is None else sees.record,
        Moments.stacked(moments),
        np.array(positions).reshape(-1, walkers),
    )


def _present(fate: Array) -> Array | None:
    """Which walkers have not escaped; None for all."""
    present = fate != ESCAPED
    return None if present.all() else np.asarray(present)


# Who does it.


@dataclass(frozen=True)
class Crew:
    """Carries out plans, here or in other processes."""

    process: Landscape | Diffusion
    executor: Executor | None = None
    recipe: bytes = b""  # the process, by value, for another process

    @classmethod
    def of(cls, process: Landscape | Diffusion, executor: Any) -> Crew:
        if executor is None or isinstance(executor, ThreadPoolExecutor):
            return cls(process, executor)
        if not isinstance(executor, Executor):
            raise LandscapeError(
                f"{process.name}: executor = {executor!r:.60} must be a "
                "concurrent.futures.Executor, such as a ProcessPoolExecutor(2)."
            )
        try:  # without its start: the walkers have been placed
            return cls(process, executor, pickle.dumps(replace(process, initial=None)))
        except (pickle.PicklingError, AttributeError, TypeError) as error:
            raise LandscapeError(
                f"{process.name}: its functions cannot be sent to other processes ({error}). Use a "
                "ThreadPoolExecutor, or none."
            ) from error

    def carry_out(
        self, plan: Plan, blocks: Sequence[Block], done: Callable[[int], None]
    ) -> list[Outcome]:
        """One outcome for each block; `done` is told how many walkers have taken the steps."""
        work: Any = partial(_remote, self.recipe) if self.recipe else partial(advance, self.process)
        jobs = [self.executor.submit(work, b, plan) for b in blocks] if self.executor else []
        found = (job.result() for job in jobs) if jobs else (work(b, plan) for b in blocks)
        outcomes: list[Outcome] = []
        try:
            for outcome in found:
                outcomes.append(outcome)
                done(sum(len(o.block.x) for o in outcomes))
            return outcomes
        except BrokenExecutor as error:
            raise ConvergenceError(
                f"{self.process.name}: a process that shared the work has died ({error}). Run it "
                'without jobs or executor; a script needs `if __name__ == "__main__":` around it.'
            ) from error
        finally:
            for job in jobs:
                job.cancel()


@contextmanager
def pool(jobs: int | None, executor: Any, where: str) -> Iterator[Any]:
    """The executor that was given, or one of so many processes."""
    if jobs is None or (jobs == 1 and executor is None):
        yield executor
        return
    if executor is not None:
        raise LandscapeError(f"{where}: give either jobs or executor, not both.")
    with processes(jobs) as own:
        yield own


_made = lru_cache(maxsize=4)(pickle.loads)  # with what a process finds out about its functions


def _remote(recipe: bytes, block: Block, plan: Plan) -> Outcome:
    return advance(_made(recipe), block, plan)


def blocks_at(
    process: Landscape | Diffusion, x: Array, sequence: np.random.SeedSequence, walls: Walls
) -> list[Block]:
    """Walkers at the positions x, in blocks of almost equal size."""
    count = -(-len(x) // (block_size(process) if isinstance(process, Landscape) else CACHE))
    blocks = []
    for part, seed in zip(np.array_split(x, count), sequence.spawn(count), strict=True):
        rng = np.random.Generator(np.random.SFC64(seed))
        fate = np.zeros(len(part), dtype=np.int8)
        part = part.copy()
        walls.apply(part, fate)
        blocks.append(Block(part, rng, fate, np.full(len(part), -1), np.zeros(len(part), np.int64)))
    return blocks


def with_labels(block: Block, watch: Watch) -> Block:
    """The same block, with the basin of each walker where it is in a core."""
    sees = Observation(watch, len(block.x), block.label.copy())
    if watch.basins:
        sees.settle(block.x)
    return replace(block, label=sees.label)
