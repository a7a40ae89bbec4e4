"""A simulation under way: setting out, burn-in and observation; and an ensemble over time."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from stationary.aliases import Array
from stationary.errors import StationaryError
from stationary.functions.given import Boundary
from stationary.numbers.cost import BY_LOOK, BY_WORK, CACHE, LASTING
from stationary.points import numbers_only
from stationary.process.diffusion import Diffusion
from stationary.process.initial import Initial
from stationary.process.landscape import Landscape
from stationary.progress import each
from stationary.simulation.blocks import ESCAPED, Crew, Plan, blocks_at, with_labels
from stationary.simulation.departure import (
    WALKERS,
    ends_of,
    is_milstein,
    seeds_from,
    starting_positions,
    time_step,
)
from stationary.simulation.mixing import (
    STILL,
    Rests,
    agree,
    halves_of,
    reasons_against,
    split_r_hat,
)
from stationary.simulation.result import Ending
from stationary.simulation.sgd import TOLERANCE, Table, gradients_per_step, table_read
from stationary.simulation.streams import Moments, Record, Watch, estimate, joined, total
from stationary.simulation.terrain import survey_terrain
from stationary.simulation.walkers import Walls
from stationary.wording import sample_text

WINDOW = 32  # steps of the first window of an automatic burn-in
ROUNDS = 16  # in which progress is told and the target error is looked at
SLOTS = 32  # of time, for which sums are kept apart; fewer of very many walkers


class Run:
    """A simulation under way."""

    def __init__(
        self,
        process: Landscape | Diffusion,
        crew: Crew,
        initial: Any,
        walkers: int | None,
        seed: Any,
        dt: float | None = None,
        method: str | None = None,
        every: int | None = None,
        keep: bool = False,
        tell: Callable[[int, int], Any] = lambda done, total: None,
    ) -> None:
        self.process, self.crew, self.tell = process, crew, tell
        self.terrain = survey_terrain(process)
        sequence = seeds_from(seed, process.name)
        self.seed = sequence.entropy
        rng = np.random.Generator(np.random.SFC64(sequence.spawn(1)[0]))
        x, said = starting_positions(process, self.terrain, initial, walkers, rng)
        lower, upper = process.domain
        self.scale = scale = max(self.terrain.scale, float(np.abs(x).max()))
        kinds, roots, of_ends = ends_of(process, self.terrain)
        step, of_step = time_step(process, self.terrain, dt)
        milstein, of_method = is_milstein(process, self.terrain, method)
        self.notes = [*said, *of_ends, *of_step, *of_method, *filter(None, [sample_text(process)])]
        if isinstance(process, Landscape) and isinstance(table_read(process), Table):
            self.notes.append(
                f"gradients were read from tables, right to {TOLERANCE:g} of the largest of each."
            )
        self.plan = Plan(
            steps=0,
            start=0,
            walls=Walls(
                process.domain,
                kinds,
                limit=scale / STILL if math.isinf(upper - lower) else math.inf,
                shelter=float(np.clip(np.median(x), lower, upper)),
            ),
            dt=step,
            milstein=milstein,
            ends=roots,
            every=every,
            keep=keep,
        )
        ring = Boundary.PERIODIC in kinds
        self.watch = Watch(float(x.mean()), cores=np.empty(0) if ring else self.terrain.cores)
        blocks = blocks_at(process, x, sequence, self.plan.walls)
        self.blocks = [with_labels(b, self.watch) for b in blocks]
        self.visited = np.zeros(self.watch.basins, dtype=bool)
        self._visit()
        self.done = self.burned = 0
        self.total = 0
        self.folded = np.zeros(2, dtype=np.int64)
        self.slots: list[Record] = []
        self.moments: list[Moments] = []
        self.kept: list[Array] = []
        self.ending = Ending.COMPLETE
        self.unsettled = False
        self.rests = Rests(process, len(x), scale)
        if every:
            self.moments.append(Moments.of(self.x[self.present]))
            if keep:
                self.kept.append(self.seen[None])

    @property
    def x(self) -> Array:
        return np.concatenate([b.x for b in self.blocks])

    @property
    def fate(self) -> Array:
        return np.concatenate([b.fate for b in self.blocks])

    @property
    def present(self) -> Array:
        """Which walkers have not escaped."""
        return np.asarray(self.fate != ESCAPED)

    @property
    def seen(self) -> Array:
        """Where they are; nan of those that have escaped."""
        return np.where(self.present, self.x, np.nan)

    def _visit(self) -> None:
        for block in self.blocks:
            self.visited |= np.bincount(block.label + 1, minlength=self.watch.basins + 1)[1:] > 0

    def advance(self, steps: int, watch: Watch | None = None) -> Record:
        """So many steps of all walkers; nothing changes here until all are done."""
        plan = replace(self.plan, steps=steps, start=self.done, watch=watch)

        def tell(finished: int) -> None:
            self.tell(self.done * walkers + finished * steps, max(self.total, self.done) * walkers)

        walkers = sum(len(b.x) for b in self.blocks)
        before = self.x
        outcomes = self.crew.carry_out(plan, self.blocks, tell)
        self.blocks = [o.block for o in outcomes]
        self.done += steps
        self.rests.see(before, self.x, steps, self.fate == 0)
        self.folded += sum(o.folded for o in outcomes)
        if self.plan.every:
            self.moments.append(Moments.merged([o.moments for o in outcomes]))
            if self.plan.keep:
                self.kept.append(np.concatenate([o.positions for o in outcomes], axis=1))
        if watch is None:  # what was left in steps that are not observed is no change of basin
            self.blocks = [with_labels(b, self.watch) for b in self.blocks]
        self._visit()
        return joined([o.record for o in outcomes])

    def _round(self, steps: int, thin: int, work: int = BY_LOOK) -> int:
        largest = max(len(b.x) for b in self.blocks)
        return max(thin, min(-(-steps // ROUNDS), max(64, work // largest)))

    def burn_in(self, given: int | None, most: int) -> None:
        """Steps that are not observed; where they are interrupted, the walkers stay there."""
        try:
            if given is not None:
                while self.done < given and not self.over:
                    self.advance(min(self._round(given, 1), given - self.done))
            else:
                self._settle(max(most, 2 * WINDOW))
        except KeyboardInterrupt:
            if not self.done:
                raise
            self.ending, self.unsettled = Ending.INTERRUPTED, True
        self.burned, self.folded = self.done, np.zeros_like(self.folded)
        if self.present.any():
            self.watch = replace(self.watch, reference=float(self.x[self.present].mean()))

    def _settle(self, most: int) -> None:
        """Windows that double in length, until the two halves of one agree."""
        half = WINDOW // 2
        while not self.over:
            if self.done + 2 * half > most:
                self.unsettled = True
                return
            centre = float(self.x[self.present].mean())
            watch = replace(self.watch, reference=centre, thin=max(1, half // 256))
            records = []
            for _ in range(2):
                parts: list[Record] = []
                left = half
                while left and not self.over:
                    steps = min(left, self._round(half, watch.thin))
                    parts.append(self.advance(steps, watch))
                    left -= steps
                if self.over:
                    return
                records.append(total(parts))
            # What is on its way to an end that absorbs has not settled.
            absorbing = Boundary.ABSORBING in self.plan.walls.kinds
            if not absorbing and agree(records, self.fate == 0, self.scale):
                return
            half *= 2

    @property
    def basins(self) -> Array:
        """The attracting point of each basin that is watched."""
        return self.terrain.stable if self.watch.basins else np.empty(0)

    @property
    def over(self) -> bool:
        """Whether no walker is on its way."""
        return bool(((self.fate != 0) | self.rests.resting).all())

    def observe(self, watch: Watch, steps: int, target_error: float | None, target: str) -> None:
        """The steps that count."""
        self.watch = watch
        if self.ending is Ending.INTERRUPTED:  # as soon as this: where the walkers are now
            self.slots = [self.advance(2 * watch.thin, watch)]
            return
        self.total = self.done + steps
        left = steps
        work = BY_LOOK if target_error is None else BY_LOOK // 16  # not to go far beyond it
        size = self._round(steps, watch.thin, work)
        most = max(min(SLOTS, LASTING // (2 * len(self.x))), SLOTS // 4)
        try:
            while left > 0:
                self.slots.append(self.advance(min(size, left), watch))
                left -= self.slots[-1].steps
                if len(self.slots) > most:  # neighbours become one
                    self.slots = [
                        total(self.slots[i : i + 2]) for i in range(0, len(self.slots), 2)
                    ]
                if self.over:  # where it ended is all that counts then
                    self.burned = self.done
                    self.slots = [self.advance(2 * watch.thin, watch)]
                    break
                if target_error is not None and self._met(target_error, target):
                    self.ending = Ending.TARGET_MET
                    return
        except KeyboardInterrupt:
            if not self.slots:
                raise
            self.ending = Ending.INTERRUPTED
            return
        if target_error is not None and not self._met(target_error, target):
            self.ending = Ending.TARGET_MISSED

    def _met(self, target_error: float, target: str) -> bool:
        if self.present.sum() < 2 or len(self.slots) < 2:
            return False
        e = estimate(total(self.slots), self.watch, self.present)
        error = {
            "mean": e.mean_error,
            "var": e.var_error,
            "std": e.std_error,
            "probability": max(e.probability_errors, default=0.0),
        }[target]
        return error <= target_error and not self.reasons()[1]

    def reasons(self) -> tuple[float, list[str], bool]:
        """R-hat, what speaks against the averages, and whether walkers keep to basins."""
        fate = self.fate
        if getattr(self.process, "schedule", None) is not None:  # nothing says it would settle
            return math.nan, [], False
        moving = (fate == 0) & ~self.rests.resting
        r_hat = split_r_hat(self.slots, moving, self.scale) if moving.sum() > 1 else 1.0
        reasons, confined = reasons_against(
            self.slots,
            moving,
            r_hat,
            watch=self.watch,
            stable=self.basins,
            visited=self.visited,
            burned=self.burned,
            scale=self.scale,
            variable=self.process.variable,
        )
        if self.rests.may_follow(self.x, moving):
            reasons.append(
                f"{int(self.rests.resting.sum()):,} of {len(fate):,} walkers have come to rest and "
                f"{int(moving.sum()):,} have not: more may follow. Give more steps."
            )
        if Boundary.ABSORBING in self.plan.walls.kinds and moving.any():
            reasons.append(
                f"{int(moving.sum()):,} of {len(fate):,} walkers have not been absorbed: they are "
                "still on their way to an absorbing end, or will never reach one."
            )
        if self.unsettled and not self._settled_since(moving):
            reasons.append(
                f"the burn-in was ended after {self.burned:,} steps before the walkers had "
                "settled. Give more steps, or a burn_in."
            )
        return r_hat, reasons, confined

    def _settled_since(self, moving: Array) -> bool:
        halves = halves_of(self.slots)
        return not moving.any() or (halves is not None and agree(halves, moving, self.scale))


# -- where walkers are at given steps -------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Ensemble:
    """Walkers that take SGD's own steps, at the first of the times that were asked for.

    Attributes
    ----------
    positions
        (times, walkers), ascending in time; nan of what has run away to infinity. Times are those
        of the evolution, the last ones left out where steps would take too long.
    mean, mean_error, std, std_error
        (times,), with standard errors; of those that have not run away, nan where none is left.
    lost
        (times,): how many have.
    """

    positions: Array
    mean: Array
    mean_error: Array
    std: Array
    std_error: Array
    lost: Array

    @property
    def walkers(self) -> int:
        return int(self.positions.shape[1])

    def probability(self, lower: float, upper: float) -> tuple[Array, Array]:
        """P(lower < X <= upper) at each time, and its standard error: at least 1 / walkers."""
        n = self.walkers
        with numbers_only((lower, upper)):
            lower, upper = float(lower), float(upper)
        p = ((lower < self.positions) & (self.positions <= upper)).mean(axis=1)
        return p, np.maximum(np.sqrt(p * (1 - p) / n), 1 / n)


def ensemble_of(landscape: Landscape, start: Initial, times: Array) -> Ensemble | None:
    """None where no walker can take its steps in time."""
    try:
        run = Run(landscape, Crew(landscape), start, WALKERS, seed=0)
    except StationaryError:
        return None
    work = WALKERS * gradients_per_step(landscape) + CACHE * len(run.blocks)
    within = times[times <= BY_WORK // work]
    rows, moments = [], []
    for step in each(within.astype(int).tolist(), "times of walkers"):
        if step > run.done:
            run.advance(int(step) - run.done)
        moments.append(Moments.of(run.x[run.present]))
        rows.append(run.seen)
    if not rows:
        return None
    m = Moments.stacked(moments)
    lost = WALKERS - m.n.astype(int)
    told = [m.mean, m.mean_error, m.std, m.std_error]
    mean, mean_error, std, std_error = (np.where(m.n > 1, x, np.nan) for x in told)
    return Ensemble(np.array(rows), mean, mean_error, std, std_error, lost)
