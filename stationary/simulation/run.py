"""A simulation under way: setting out, burn-in, observation, and the end."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from stationary.aliases import Array
from stationary.errors import ConvergenceError
from stationary.functions.given import Boundary
from stationary.process.diffusion import Diffusion
from stationary.process.landscape import Landscape
from stationary.simulation.blocks import ESCAPED, Crew, Plan, blocks_at, with_labels
from stationary.simulation.departure import (
    ends_of,
    is_milstein,
    seeds_from,
    starting_positions,
    time_step,
    variable_of,
)
from stationary.simulation.mixing import STILL, agree, halves_of, reasons_against, split_r_hat
from stationary.simulation.rest import Rests
from stationary.simulation.result import Ending, Simulation
from stationary.simulation.sgd import block_size, reads_tables
from stationary.simulation.streams import Estimate, Moments, Record, Watch, estimate, joined, total
from stationary.simulation.tabulated import TOLERANCE
from stationary.simulation.terrain import survey_terrain
from stationary.simulation.walkers import Walls

BLOCK = 12288  # walkers of a diffusion: an array of them, 96 KiB, fits the cache
FAR = 1e12  # times the scale: a walker beyond this has escaped
WINDOW = 32  # steps of the first window of an automatic burn-in
ROUNDS = 16  # in which progress is told and the target error is looked at
ROUND_WORK = 2**22  # steps of walkers of one block in a round, at most: below a second
MOST_SLOTS = 32  # of time, for which sums are kept apart; a quarter of them
MOST_WALKERS = 2**17  # from so many walkers on, to save memory
ROUGH = 0.2  # relative standard error of a variance from which on that is told
SEVERAL = 32  # walkers, whose spread is known to 13 per cent


class Run:
    """A simulation under way."""

    def __init__(
        self,
        process: Landscape | Diffusion,
        crew: Crew,
        initial: Any,
        walkers: int | None,
        seed: Any,
        dt: float | None,
        method: str | None,
        every: int | None,
        keep: bool,
        tell: Callable[[int, int], None],
    ) -> None:
        self.process, self.crew, self.tell = process, crew, tell
        self.terrain = survey_terrain(process)
        sequence = seeds_from(seed, process.name)
        self.seed = sequence.entropy
        rng = np.random.Generator(np.random.SFC64(sequence.spawn(1)[0]))
        x, said = starting_positions(process, self.terrain, initial, walkers, rng)
        lower, upper = process.domain
        self.scale = scale = max(self.terrain.scale, float(np.abs(x).max()))
        kinds, of_ends = ends_of(process)
        step, of_step = time_step(process, self.terrain, dt)
        milstein, of_method = is_milstein(process, self.terrain, method)
        self.notes = [*said, *of_ends, *of_step, *of_method]
        if isinstance(process, Landscape) and reads_tables(process):
            self.notes.append(
                f"gradients were read from tables, right to {TOLERANCE:g} of the largest of each."
            )
        self.plan = Plan(
            steps=0,
            start=0,
            domain=process.domain,
            kinds=kinds,
            limit=FAR * scale if math.isinf(upper - lower) else math.inf,
            shelter=float(np.clip(np.median(x), lower, upper)),
            dt=step,
            milstein=milstein,
            every=every,
            keep=keep,
        )
        size = block_size(process) if isinstance(process, Landscape) else BLOCK
        walls = Walls(self.plan.domain, kinds, self.plan.limit, self.plan.shelter)
        seeds = sequence.spawn(-(-len(x) // size))
        ring = Boundary.PERIODIC in kinds
        self.watch = Watch(float(x.mean()), cores=np.empty(0) if ring else self.terrain.cores)
        self.blocks = [with_labels(b, self.watch) for b in blocks_at(x, seeds, size, walls)]
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
            present = self.fate != ESCAPED
            self.moments.append(Moments.of(self.x[present]))
            if keep:
                self.kept.append(np.where(present, self.x, np.nan)[None])

    # Moving on.

    @property
    def x(self) -> Array:
        return np.concatenate([b.x for b in self.blocks])

    @property
    def fate(self) -> Array:
        return np.concatenate([b.fate for b in self.blocks])

    def _visit(self) -> None:
        for block in self.blocks:
            self.visited |= np.bincount(block.label + 1, minlength=self.watch.basins + 1)[1:] > 0

    def advance(self, steps: int, watch: Watch | None) -> Record | None:
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
            moments = outcomes[0].moments
            for other in outcomes[1:]:
                moments = moments.merged(other.moments)
            self.moments.append(moments)
            if self.plan.keep:
                self.kept.append(np.concatenate([o.positions for o in outcomes], axis=1))
        if watch is None:  # what was left in steps that are not observed is no change of basin
            self.blocks = [with_labels(b, self.watch) for b in self.blocks]
        self._visit()
        records = [o.record for o in outcomes if o.record is not None]
        return joined(records) if records else None

    def _round(self, steps: int, thin: int, work: int = ROUND_WORK) -> int:
        largest = max(len(b.x) for b in self.blocks)
        return max(thin, min(-(-steps // ROUNDS), max(64, work // largest)))

    def burn_in(self, given: int | None, most: int) -> None:
        """Steps that are not observed; where they are interrupted, the walkers stay there."""
        try:
            if given is not None:
                while self.done < given and not self._over:
                    self.advance(min(self._round(given, 1), given - self.done), None)
            else:
                self._settle(max(most, 2 * WINDOW))
        except KeyboardInterrupt:
            if not self.done:
                raise
            self.ending, self.unsettled = Ending.INTERRUPTED, True
        self.burned, self.folded = self.done, np.zeros_like(self.folded)
        present = self.x[self.fate != ESCAPED]
        if len(present):
            self.watch = replace(self.watch, reference=float(present.mean()))

    def _settle(self, most: int) -> None:
        """Windows that double in length, until the two halves of one agree."""
        half = WINDOW // 2
        while not self._over:
            if self.done + 2 * half > most:
                self.unsettled = True
                return
            present = self.x[self.fate != ESCAPED]
            watch = replace(self.watch, reference=float(present.mean()), thin=max(1, half // 256))
            records = []
            for _ in range(2):
                parts: list[Record] = []
                left = half
                while left and not self._over:
                    steps = min(left, self._round(half, watch.thin))
                    record = self.advance(steps, watch)
                    assert record is not None
                    parts.append(record)
                    left -= steps
                if self._over:
                    return
                records.append(total(parts))
            absorbing = Boundary.ABSORBING in self.plan.kinds  # what is on its way has not settled
            if not absorbing and agree(records[0], records[1], self.fate == 0, self.scale):
                return
            half *= 2

    @property
    def _over(self) -> bool:
        """Whether no walker is on its way."""
        return bool(((self.fate != 0) | self.rests.resting).all())

    def observe(self, watch: Watch, steps: int, target_error: float | None, target: str) -> None:
        """The steps that count."""
        self.watch = watch
        if self.ending is Ending.INTERRUPTED:  # as soon as this: where the walkers are now
            record = self.advance(2 * watch.thin, watch)
            assert record is not None
            self.slots = [record]
            return
        self.total = self.done + steps
        left = steps
        work = ROUND_WORK if target_error is None else ROUND_WORK // 16  # not to go far beyond it
        size = self._round(steps, watch.thin, work)
        most = MOST_SLOTS if len(self.x) <= MOST_WALKERS else MOST_SLOTS // 4
        try:
            while left > 0:
                record = self.advance(min(size, left), watch)
                assert record is not None
                self.slots.append(record)
                left -= record.steps
                if len(self.slots) > most:  # neighbours become one
                    self.slots = [
                        total(self.slots[i : i + 2]) for i in range(0, len(self.slots), 2)
                    ]
                if self._over:  # where it ended is all that counts then
                    until = self.done
                    record = self.advance(2 * watch.thin, watch)
                    assert record is not None
                    self.slots, self.burned = [record], until
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
        present = self.fate != ESCAPED
        if present.sum() < 2 or len(self.slots) < 2:
            return False
        e = estimate(total(self.slots), self.watch, present)
        error = {
            "mean": e.mean_error,
            "var": e.var_error,
            "std": e.std_error,
            "probability": float(np.max(e.probability_error, initial=0.0)),
        }[target]
        return error <= target_error and not self._reasons()[1]

    def _reasons(self) -> tuple[float, list[str]]:
        """R-hat, and what speaks against the averages."""
        fate, p = self.fate, self.process
        if getattr(p, "schedule", None) is not None:  # nothing says that it would settle
            self.confined = False
            return math.nan, []
        moving = (fate == 0) & ~self.rests.resting
        v = variable_of(p)
        r_hat = split_r_hat(self.slots, moving, self.scale) if moving.sum() > 1 else 1.0
        stable = self.terrain.stable if self.watch.basins else np.empty(0)
        reasons, self.confined = reasons_against(
            self.slots,
            self.watch,
            stable,
            self.visited,
            moving,
            r_hat,
            self.scale,
            v,
            self.burned,
        )
        if self.rests.resting.any() and moving.any():
            reasons.append(
                f"{int(self.rests.resting.sum()):,} of {len(fate):,} walkers have come to rest and "
                f"{int(moving.sum()):,} have not: more may follow. Give more steps."
            )
        if Boundary.ABSORBING in self.plan.kinds and moving.any():
            reasons.append(
                f"{int(moving.sum()):,} of {len(fate):,} walkers have not been absorbed: they are "
                "still on their way to an absorbing end, or will never reach one."
            )
        if self.unsettled and not self._settled_since(moving):
            reasons.append(
                f"the burn-in was ended after {self.burned:,} steps before the walkers had "
                "settled. Give more steps, or a burn_in."
            )
        return r_hat, reasons

    def _settled_since(self, moving: Array) -> bool:
        halves = halves_of(self.slots)
        return not moving.any() or (
            halves is not None and agree(halves[0], halves[1], moving, self.scale)
        )

    # The end.

    def finished(self, seconds: float) -> Simulation:
        p, fate = self.process, self.fate
        present = fate != ESCAPED
        escaped = int((~present).sum())
        if present.sum() < 2:
            raise ConvergenceError(
                f"{p.name}: {escaped:,} of {len(fate):,} walkers escaped beyond "
                f"{self.plan.limit:.3g} or to what is no number within {self.done:,} steps, so "
                "there is nothing to average. "
                + (
                    "Lower learning_rate, give a finite domain, or say where it starts."
                    if isinstance(p, Landscape)
                    else "Give a smaller dt, a finite domain, or another start."
                )
            )
        whole = total(self.slots)
        e = estimate(whole, self.watch, present)
        r_hat, reasons = self._reasons()
        stable = self.terrain.stable if self.watch.basins else np.empty(0)
        self._note_what_was_left(e, stable)
        self.notes += self.rests.words(self.x, variable_of(p))
        if len(fate) < SEVERAL:
            share = 100 / math.sqrt(2 * (len(fate) - 1))
            self.notes.append(
                f"from {len(fate)} walkers the errors are themselves known to {share:.0f} % only."
            )
        if e.var_error > ROUGH * e.var > 0:
            self.notes.append(
                "the variance rests on few independent or on rare far positions: so do its error "
                "and that of the mean. If it is infinite, they never settle."
            )
        if escaped:
            self.notes.append(
                f"{escaped:,} of {len(fate):,} walkers escaped and are in no mean; in the "
                "histogram they count while they were within bounds. There may be no end state."
            )
        ending = self.ending
        if ending is not Ending.INTERRUPTED:
            if self._over and not escaped:
                ending = Ending.AT_REST if self.rests.resting.any() else Ending.ABSORBED
            elif reasons:
                ending = Ending.METASTABLE
            elif escaped:
                ending = Ending.ESCAPED
        dt = 1.0 if self.plan.dt is None else self.plan.dt
        m = Moments.stacked(self.moments)
        var = e.var if e.var > (STILL * self.scale) ** 2 else 0.0
        return Simulation(
            name=p.name,
            variable=variable_of(p),
            time_unit="step" if isinstance(p, Landscape) else p.time_unit,
            method=self._method(),
            walkers=len(fate),
            burn_in=self.burned,
            steps_done=whole.steps,
            dt=dt,
            seed=self.seed,
            mean=e.mean,
            mean_error=e.mean_error,
            var=e.var,
            var_error=e.var_error,
            edges=self.watch.edges,
            mass=e.mass,
            mass_error=e.mass_error,
            intervals=self.watch.intervals,
            probabilities=tuple(e.probability.tolist()),
            probability_errors=tuple(e.probability_error.tolist()),
            autocorrelation_time=whole.steps * e.between / var if var and not self._over else 0.0,
            r_hat=r_hat,
            basins=stable,
            occupied=e.occupied,
            changes=whole.changes,
            times=np.arange(len(m.n)) * (self.plan.every or 1) * dt,
            counts=m.n,
            means=m.mean,
            mean_errors=m.mean_error,
            stds=m.std,
            std_errors=m.std_error,
            snapshots=np.concatenate(self.kept) if self.kept else None,
            positions=np.where(present, self.x, np.nan),
            folded=(int(self.folded[0]), int(self.folded[1])),
            absorbed=(int((fate == -1).sum()), int((fate == 1).sum())),
            escaped=escaped,
            ending=ending,
            metastable=bool(reasons),
            confined=self.confined,
            complete=ending is not Ending.INTERRUPTED,
            reasons=tuple(reasons),
            notes=tuple(dict.fromkeys(self.notes)),
            rate=len(fate) * self.done / max(seconds, 1e-9),
        )

    def _note_what_was_left(self, e: Estimate, stable: Array) -> None:
        v = variable_of(self.process)
        shares = zip(stable, e.occupied, self.visited, strict=True)
        left = [f"{x:.6g}" for x, share, seen in shares if seen and not share]
        if left:
            self.notes.append(
                f"walkers that were near {v} = {', '.join(left)} left during the burn-in, and none "
                "came back."
            )

    def _method(self) -> str:
        p = self.process
        if isinstance(p, Landscape):
            return f"SGD, {p.steps_text}"
        name = "Milstein" if self.plan.milstein else "Euler-Maruyama"
        return f"{name}, dt = {self.plan.dt:.4g}, {p.convention.title}"
