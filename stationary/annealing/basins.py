"""The basins of a landscape, and how fast each is left for the next, at any learning rate."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np

from stationary.aliases import Array
from stationary.annealing.course import TOLERANCE, Begun
from stationary.chain.along import shares_along
from stationary.chain.batches import Batches, batches_of
from stationary.chain.exact import exact_chain
from stationary.chain.state import ChainState
from stationary.chain.times import exit_time
from stationary.errors import LandscapeError
from stationary.line.partition import ZEROS
from stationary.process.diffusion import Diffusion
from stationary.process.initial import Initial
from stationary.process.landscape import Landscape
from stationary.process.schedules import Schedule
from stationary.sgd.basins import NEVER
from stationary.simulation.simulate import simulate
from stationary.states.basins import basins_of
from stationary.states.distribution import EndState
from stationary.states.first_passage import first_passage
from stationary.states.solve import end_state

SETTLED = 12.0  # e-folds, after which SGD is in its basins as it is for long: 1e-5 is left
WALKERS = 1_000, 40_000  # as few tell shares to some per cent, as many to one
WALKED = 5 * 10**7  # steps of walkers: they take a few seconds
LOOKED = 256  # times
SURE = 3.0  # standard errors
MOST_LINKS = 10**6  # steps that are followed, times the minibatches: they take a few seconds
BEYOND = 2.0  # times the way between the outermost minima, that an infinite domain is followed


class Basins:
    """The basins of a landscape, and how fast they are left at any learning rate."""

    def __init__(self, landscape: Landscape, last: float, min_barrier: float) -> None:
        self.landscape, self.last = landscape, last
        self.lost_from = math.inf  # the least learning rate at which a step leads far away
        self.lost = 0.0, 0.0  # what has run away from the start, and its error
        self.zeros: dict[str, Any] = {}  # of the variance, the same at all learning rates
        state = self.state(last)
        self.equilibria = state.equilibria
        found = basins_of(state, min_barrier)
        self.minima = tuple(float(b.position) for b in found)
        self.borders = [float(b.upper) for b in found[:-1]]
        slopes = [abs(e.slope) for e in state.equilibria if e.slope]
        # E-folds in a step, over T.
        self.slowest, self.fastest = (f(slopes, default=0.0) / last for f in (min, max))
        if not self.minima:
            raise self._without(last, "no minimum is left")
        if state.diffusion.is_periodic:
            raise self._without(last, "the domain is periodic")
        if len(state.components) != 1:
            raise self._without(
                last, "zeros of the noise part the basins, so that some are left for good"
            )

    def at(self, rate: float) -> Landscape:
        found = self.landscape.at_rate(rate)
        found.diffusion().memory.update(self.zeros)
        return found

    def batches(self, rate: float) -> Batches:
        """With its equilibria, the same at all learning rates."""
        return self._batches.at(self.at(rate))

    @cached_property
    def _batches(self) -> Batches:
        return replace(batches_of(self.at(self.last)), equilibria=self.equilibria)

    def state(self, rate: float) -> EndState:
        given = self.at(rate)
        state = end_state(given)
        self._remember(given.diffusion())
        if state.kind != "density":
            why = f"there is no one density over all basins (it is of kind {state.kind!r})"
            raise self._without(rate, why)
        return state

    def _without(self, rate: float, why: str) -> LandscapeError:
        return LandscapeError(
            f"{self.landscape.name}: at T = {rate:g} {why}, and no rates between basins can be "
            "given. `simulate` follows the schedule all the same."
        )

    def chain(self, rate: float, cells: int) -> ChainState | None:
        """The exact chain; None where it has no end state that no start decides."""
        found = exact_chain(self.at(rate), cells=cells)
        return None if found.kind in ("none", "classes") else found

    def masses_of(self, state: EndState | ChainState) -> Array:
        """What the basins hold in an end state, shape (n,)."""
        parts = pairwise([-math.inf, *self.borders, math.inf])
        with np.errstate(under="ignore"):
            return np.exp([float(state.log_probability(*part)) for part in parts])

    def doubt_of(self, chain: ChainState) -> float:
        """The largest error of what the basins hold in the end state of a chain."""
        parts = tuple(pairwise([-math.inf, *self.borders, math.inf]))
        off = [chain.log_probability_error(*part) for part in parts]
        with np.errstate(invalid="ignore"):  # 0 times what is not known
            own = np.nan_to_num(self.masses_of(chain) * np.array(off), posinf=math.inf)
        return float(min(own.max(), 2 * chain.error))

    def moments_of(self, start: Initial | EndState) -> tuple[float, float]:
        """Mean and deviation of where it starts."""
        if isinstance(start, EndState):
            return float(start.mean()), float(start.std())
        found = start.moments()
        if found is None:
            raise LandscapeError(f"{self.landscape.name}: the start has no mean and deviation.")
        return found[0], found[2]

    def shares_of(self, start: Initial, rate: float) -> Array:
        """What each basin gets of a start: by which minimum is reached first."""
        if len(self.minima) == 1:
            return np.ones(1)
        points = start.law is None
        given = start.points if points else start
        found = first_passage(self.at(rate).diffusion(), given, self.minima).probability.value
        shares = np.asarray(found, dtype=float).reshape(len(self.minima), -1)
        if points:
            shares = shares @ start.weights[:, None] / start.weights.sum()
        return np.asarray(shares[:, 0] / shares.sum())

    def most_steps(self, schedule: Schedule) -> int:
        """How many steps are followed one after the other."""
        return MOST_LINKS // len(self.batches(float(schedule.rates.max())))

    def begun(self, start: Initial, schedule: Schedule, settled: Array | None) -> Begun:
        """What SGD makes of a start all the way, or until it is settled in its basins.

        That is small steps where it takes many, and how small they are is their error; where it is
        `settled` from the beginning, with shares that are known, these.
        """
        most, steps = self.most_steps(schedule), len(schedule)
        if steps > most:
            passed = self.slowest * np.cumsum(schedule.rates)
            steps = min(int(np.searchsorted(passed, SETTLED)) + 1, steps)
        if steps > most and settled is not None:
            return Begun.at_once(settled)
        if steps > most:
            error = min(self.fastest * float(schedule.rates[:steps].max()), 1.0)
            return Begun.at_once(self.shares_of(start, schedule.first), error)
        parts = [[pair] for pair in pairwise([-math.inf, *self.borders, math.inf])]
        shares, errors = shares_along(self.batches, schedule.rates[:steps], parts, start)
        self.lost = float(shares[-1, -1]), float(errors[-1, -1])
        return Begun(np.arange(steps + 1), shares[:, :-1], errors[:, :-1])

    def walked(self, given: Landscape, start: Initial, schedule: Schedule) -> Begun | None:
        """The same by walkers, for momentum, which leaves no chain: all the way, or until settled.

        None where that takes too many steps, or only the moments of the gradients are known.
        """
        steps = len(schedule)
        if WALKERS[0] * steps > WALKED:
            passed = np.cumsum(np.minimum(self.slowest * schedule.rates, 1 - given.momentum))
            steps = min(int(np.searchsorted(passed, SETTLED)) + 1, steps)
        many, every = min(WALKED // steps, WALKERS[1]), max(steps // LOOKED, 1)
        if many < WALKERS[0] or not given.has_datapoints:
            return None
        seen = simulate(
            given,
            start,
            walkers=many,
            burn_in=steps - 1,
            steps=1,
            seed=0,
            every=every,
            snapshots=True,
        )
        if not seen.complete:
            raise KeyboardInterrupt
        assert seen.snapshots is not None
        places, at = [*seen.snapshots, seen.positions], [*seen.times.astype(int), steps]
        counts = [
            np.bincount(
                np.searchsorted(self.borders, x[np.isfinite(x)]), minlength=len(self.minima)
            )
            for x in places[: len(at) - (at[-2] == steps)]
        ]
        shares = np.array(counts) / np.sum(counts, axis=1, keepdims=True)
        self.lost = seen.escaped / many, SURE * math.sqrt(seen.escaped + 1) / many
        errors = SURE * np.sqrt(shares * (1 - shares) / many + 1 / many**2)
        if every > 1:  # what it is between two looks
            errors += np.abs(np.gradient(shares, axis=0))
        return Begun(np.array(at[: len(counts)]), shares, errors)

    def in_the_limit(self, rate: float) -> tuple[Array, Array]:
        """log k upwards and downwards between neighbours, (2, n - 1), of small steps; errors."""
        process = self.at(rate).diffusion().remembering()  # of which each basin asks
        process.memory.update(self.zeros)

        def leaving(i: int) -> tuple[float, float, float]:
            near = self.minima[max(i - 1, 0) : i] + self.minima[i + 1 : i + 2]
            found = first_passage(process, self.minima[i], near)
            logs = np.asarray(found.probability.log) - float(found.mean.log)
            return float(logs[-1]), float(logs[0]), float(found.mean.error)

        found = self._between(leaving)
        self._remember(process)
        return found

    def _remember(self, process: Diffusion) -> None:
        if ZEROS in process.memory:
            self.zeros = {ZEROS: process.memory[ZEROS]}

    def in_steps(self, rate: float, cells: int, longest: float) -> tuple[Array, Array]:
        """The same of the steps that SGD takes; on finer cells where e^longest steps may tell."""
        batches = self.batches(rate)
        low, high = domain = batches.landscape.domain
        way = BEYOND * (self.minima[-1] - self.minima[0])
        low = self.minima[0] - way if math.isinf(low) else low
        high = self.minima[-1] + way if math.isinf(high) else high
        # A minimum at a wall no step gets beyond: half-way from its border, it is reached.
        inner = np.array([math.nan, *self.borders, math.nan])
        reached = np.array(self.minima)
        for side, end in enumerate(domain):
            at = reached == end
            reached[at] = (reached[at] + inner[1 - side : len(inner) - side][at]) / 2
        places = (low, *reached.tolist(), high)

        def leaving(i: int) -> tuple[float, float, float]:
            a, place, b = places[i], self.minima[i], places[i + 2]
            left = exit_time(batches, a, b, place, cells)
            if left.error > TOLERANCE and left.log_time < longest:
                left = exit_time(batches, a, b, place, 2 * cells)
            if math.isinf(left.log_time):  # no minibatch leads out
                return -math.inf, -math.inf, left.error
            share = left.upper, 1 - left.upper
            if (i == 0 and share[1] > NEVER) or (i + 1 == len(self.minima) and share[0] > NEVER):
                self.lost_from = min(self.lost_from, rate)
            with np.errstate(divide="ignore"):
                up, down = np.log(share) - left.log_time
            return float(up), float(down), float(left.error)

        return self._between(leaving)

    def _between(self, leaving: Callable[[int], tuple[float, float, float]]) -> tuple[Array, Array]:
        """log k between neighbours and their errors, from those to leave each basin."""
        up, down, error = np.array([leaving(i) for i in range(len(self.minima))]).T
        return np.array([up[:-1], down[1:]]), np.array([error[:-1], error[1:]])
