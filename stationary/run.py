"""A simulation under way: setting out, burn-in, observation, and the end."""

from __future__ import annotations

import math
import sys
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stationary.blocks import ESCAPED, Crew, Plan, blocks_at, with_labels
from stationary.diffusion import Boundary, Diffusion, number
from stationary.errors import ConvergenceError, LandscapeError, StationaryError
from stationary.initial import Initial
from stationary.landscape import Landscape
from stationary.mixing import STILL, agree, reasons_against, split_r_hat
from stationary.precision import evaluate
from stationary.simulation import Ending, Simulation
from stationary.streams import Estimate, Moments, Record, Watch, estimate, joined, total
from stationary.terrain import survey_terrain
from stationary.walkers import Walls, block_size

__all__ = ["Run"]

Array = NDArray[Any]

FAR = 1e12  # times the scale: a walker beyond this has escaped
WALKERS = 1000  # if nothing is said
WINDOW = 32  # steps of the first window of an automatic burn-in
ROUNDS = 16  # in which progress is told and the target error is looked at
ROUND_WORK = 2**22  # steps of walkers of one block in a round, at most: below a second
MOST_SLOTS = 32  # of time, for which sums are kept apart
MOST_BINS = 200
MANY = 20  # times as many datapoints as a batch: worth a word


def _sequence(seed: Any, where: str) -> np.random.SeedSequence:
    if isinstance(seed, np.random.SeedSequence):  # a fresh one: `spawn` counts
        return np.random.SeedSequence(seed.entropy, spawn_key=seed.spawn_key)
    try:
        if isinstance(seed, (bool, float)):
            raise TypeError
        return np.random.SeedSequence(seed)
    except (TypeError, ValueError) as error:
        raise LandscapeError(
            f"{where}: seed = {seed!r:.60} must be a whole number, at least 0, a "
            "numpy.random.SeedSequence, or None."
        ) from error


# The run.


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
        progress: Any,
    ) -> None:
        self.process, self.crew, self.progress = process, crew, progress
        self.terrain = survey_terrain(process)
        self.notes: list[str] = []
        sequence = _sequence(seed, process.name)
        self.seed = sequence.entropy
        x = self._start(initial, walkers, sequence)
        lower, upper = process.domain
        scale = max(self.terrain.scale, float(np.abs(x).max()))
        self.scale = scale
        kinds = self._kinds()
        self.plan = Plan(
            steps=0,
            start=0,
            domain=process.domain,
            kinds=kinds,
            limit=FAR * scale if math.isinf(upper - lower) else math.inf,
            shelter=float(np.clip(np.median(x), lower, upper)),
            dt=self._time_step(dt),
            milstein=self._is_milstein(method),
            every=every,
            keep=keep,
        )
        size = block_size(process)
        count = -(-len(x) // size)
        walls = Walls(self.plan.domain, kinds, self.plan.limit, self.plan.shelter)
        seeds = sequence.spawn(count)
        self.watch = Watch(reference=float(x.mean()), cores=self._cores())
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
        if every:
            present = self.fate != ESCAPED
            self.moments.append(Moments.of(self.x[present]))
            if keep:
                self.kept.append(np.where(present, self.x, np.nan)[None])

    # Setting out.

    def _start(self, initial: Any, walkers: int | None, sequence: Any) -> Array:
        p = self.process
        given = initial if initial is not None else p.initial
        v = "w" if isinstance(p, Landscape) else p.variable
        if given is None:
            low, high = self.terrain.region
            given = f"uniform:{low!r},{high!r}"
            self.notes.append(
                f"no start was given: walkers were spread evenly over ({low:.6g}, {high:.6g})."
            )
        start = Initial.of(given, domain=p.domain, name=p.name, variable=v)
        self.notes += start.notes
        rng = np.random.Generator(np.random.SFC64(sequence.spawn(1)[0]))
        if walkers is None and start.samples >= 2 and np.ndim(initial) == 1:
            return np.array(initial, dtype=float)
        return np.asarray(start.rvs(walkers or WALKERS, rng), dtype=float)

    def _kinds(self) -> tuple[Boundary | None, Boundary | None]:
        """What happens at either end: a finite end that was left open reflects, or holds."""
        p = self.process
        diffusion = p.diffusion() if isinstance(p, Landscape) else p
        kinds = list(diffusion.boundaries)
        for side, end in enumerate(p.domain):
            if kinds[side] in (None, Boundary.NATURAL) and math.isfinite(end):
                kinds[side] = Boundary.REFLECTING
                if isinstance(p, Diffusion) and _holds(p, side):
                    kinds[side] = Boundary.ABSORBING
                    self.notes.append(
                        f"drift and variance vanish at {p.variable} = {end:g}: what reaches that "
                        "end stays."
                    )
        return kinds[0], kinds[1]

    def _cores(self) -> Array:
        return self.terrain.cores if not self._ring else np.empty(0)

    @property
    def _ring(self) -> bool:
        p = self.process
        return (p.diffusion() if isinstance(p, Landscape) else p).is_periodic

    def _time_step(self, dt: float | None) -> float | None:
        if isinstance(self.process, Landscape):
            return None
        if dt is None:
            lower, upper = self.process.domain
            dt = self.terrain.time_step(upper - lower)
            self.notes.append(f"no time step was given: dt = {dt:.4g} was taken.")
        self.notes.append(
            "the errors do not hold that of the time step, which is of the order of dt: compare "
            "with half of it."
        )
        return float(dt)

    def _is_milstein(self, method: str | None) -> bool:
        p = self.process
        if isinstance(p, Landscape):
            return False
        try:
            if p.convention.value or method != "euler":
                x = np.linspace(*self.terrain.region, 7)[1:-1]
                evaluate(p.variance, x, order=1)
            return method != "euler"
        except StationaryError as error:
            if p.convention.value:
                raise LandscapeError(
                    f"{p.name}: in the {p.convention.title} convention the drift of a step holds "
                    f"the derivative of the variance, which cannot be had ({error}). Write the "
                    'variance with NumPy functions, or give the drift for convention = "ito".'
                ) from error
            if method == "milstein":
                raise
            self.notes.append("the variance cannot be differentiated: Euler-Maruyama was used.")
            return False

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
            self._tell(self.done * walkers + finished * steps, max(self.total, self.done) * walkers)

        walkers = sum(len(b.x) for b in self.blocks)
        outcomes = self.crew.carry_out(plan, self.blocks, tell)
        self.blocks = [o.block for o in outcomes]
        self.done += steps
        self.folded += sum(o.folded for o in outcomes)
        if self.plan.every:
            moments = outcomes[0].moments
            for other in outcomes[1:]:
                moments = moments.merged(other.moments)
            self.moments.append(moments)
            if self.plan.keep:
                self.kept.append(np.concatenate([o.positions for o in outcomes], axis=1))
        self._visit()
        records = [o.record for o in outcomes if o.record is not None]
        return joined(records) if records else None

    def _tell(self, done: int, total: int) -> None:
        if callable(self.progress):
            self.progress(done, total)
        elif self.progress and sys.stderr.isatty():
            print(f"\r{100 * done / total:5.1f} %", end="", file=sys.stderr, flush=True)

    def _round(self, steps: int, thin: int) -> int:
        largest = max(len(b.x) for b in self.blocks)
        return max(thin, min(-(-steps // ROUNDS), max(64, ROUND_WORK // largest)))

    def burn_in(self, given: int | None, most: int) -> None:
        """Steps that are not observed."""
        if given is not None:
            while self.done < given and not self._over:
                self.advance(min(self._round(given, 1), given - self.done), None)
        else:
            self._settle(max(most, 2 * WINDOW))
        self.burned = self.done
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
                records.append(total(parts))
            if self._over or agree(records[0], records[-1], self.fate == 0, self.scale):
                return
            half *= 2

    @property
    def _over(self) -> bool:
        """Whether no walker is on its way."""
        return bool((self.fate != 0).all())

    def edges(self, given: Any) -> Array:
        """The edges of the histogram."""
        where = self.process.name
        x = np.sort(self.x[self.fate != ESCAPED])
        if np.iterable(given) and not isinstance(given, (str, bytes)):
            edges = np.array([number(e) for e in given], dtype=float)
            if len(edges) < 2 or not (np.diff(edges) > 0).all() or not np.isfinite(edges).all():
                raise LandscapeError(
                    f"{where}: edges = {given!r:.60} must be at least two ascending finite numbers."
                )
            return edges
        if given is not None and (
            isinstance(given, bool) or not isinstance(given, (int, np.integer)) or given < 1
        ):
            raise LandscapeError(
                f"{where}: edges = {given!r:.60} must be ascending positions, or how many bins."
            )
        if len(x) < 2:
            return np.array([0.0, 1.0])
        return automatic_edges(x, None if given is None else int(given), self.process.domain)

    def observe(self, watch: Watch, steps: int, target_error: float | None, target: str) -> None:
        """The steps that count."""
        self.watch = watch
        self.total = self.done + steps
        left = steps
        size = self._round(steps, watch.thin)
        most = MOST_SLOTS if len(self.x) <= MOST_SLOTS * ROUND_WORK // 1024 else MOST_SLOTS // 4
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
                if self._over:
                    break
                if target_error is not None and self._met(target_error, target):
                    self.ending = Ending.TARGET_MET
                    return
        except KeyboardInterrupt:
            if not self.slots:
                raise
            self.ending = Ending.INTERRUPTED
            return
        finally:
            if self.progress is True and sys.stderr.isatty():
                print(file=sys.stderr)
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
        moving = fate == 0
        v = "w" if isinstance(p, Landscape) else p.variable
        r_hat = split_r_hat(self.slots, moving, self.scale) if moving.sum() > 1 else 1.0
        stable = self.terrain.stable if self.watch.basins else np.empty(0)
        reasons = reasons_against(
            self.slots, self.watch, stable, self.visited, moving, r_hat, self.scale, v
        )
        if Boundary.ABSORBING in self.plan.kinds and moving.any():
            reasons.append(
                f"{int(moving.sum()):,} of {len(fate):,} walkers have not been absorbed: they are "
                "still on their way to an absorbing end, or will never reach one."
            )
        if self.unsettled:
            reasons.append(
                f"the burn-in was ended after {self.burned:,} steps before the walkers had "
                "settled. Give more steps, or a burn_in."
            )
        return r_hat, reasons

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
                    "Lower learning_rate, or give a finite domain."
                    if isinstance(p, Landscape)
                    else "Give a smaller dt, or a finite domain."
                )
            )
        whole = total(self.slots)
        e = estimate(whole, self.watch, present)
        r_hat, reasons = self._reasons()
        stable = self.terrain.stable if self.watch.basins else np.empty(0)
        self._note_what_was_left(e, stable)
        if escaped:
            self.notes.append(
                f"{escaped:,} of {len(fate):,} walkers escaped and are in no mean; in the "
                "histogram they count while they were within bounds. There may be no end state."
            )
        ending = self.ending
        if ending is not Ending.INTERRUPTED:
            if self._over and not escaped:
                ending = Ending.ABSORBED
            elif reasons:
                ending = Ending.METASTABLE
            elif escaped:
                ending = Ending.ESCAPED
        dt = 1.0 if self.plan.dt is None else self.plan.dt
        m = Moments.stacked(self.moments)
        var = e.var if e.var > (STILL * self.scale) ** 2 else 0.0
        return Simulation(
            name=p.name,
            variable="w" if isinstance(p, Landscape) else p.variable,
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
            autocorrelation_time=whole.steps * e.between / var if var else 0.0,
            r_hat=r_hat,
            basins=stable,
            occupied=e.occupied,
            changes=whole.changes,
            times=self._times(dt),
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
            complete=ending is not Ending.INTERRUPTED,
            reasons=tuple(reasons),
            notes=tuple(dict.fromkeys(self.notes)) + self._cost(),
            rate=len(fate) * self.done / max(seconds, 1e-9),
        )

    def _times(self, dt: float) -> Array:
        if not self.plan.every:
            return np.empty(0)
        return np.arange(0, self.done + 1, self.plan.every) * dt

    def _note_what_was_left(self, e: Estimate, stable: Array) -> None:
        v = "w" if isinstance(self.process, Landscape) else self.process.variable
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
            drawn = "with" if p.replacement else "without"
            return (
                f"SGD, T = {p.learning_rate:g}, B = {p.batch_size} of N = {p.datapoints} drawn "
                f"{drawn} replacement"
            )
        name = "Milstein" if self.plan.milstein else "Euler-Maruyama"
        return f"{name}, dt = {self.plan.dt:.4g}, {p.convention.title}"

    def _cost(self) -> tuple[str, ...]:
        p = self.process
        if not isinstance(p, Landscape) or p.datapoints < MANY * p.batch_size:
            return ()
        return (
            f"each step evaluates all {p.datapoints:,} gradients of each walker and uses "
            f"{p.batch_size}, since the function returns them all.",
        )


def _holds(p: Diffusion, side: int) -> bool:
    """Whether an end is a trap that is reached: f = 0 there, and a falls more slowly than x^2."""
    end = p.domain[side]
    width = min(1.0, p.domain[1] - p.domain[0])
    h = width * (1 - 2 * side) * np.array([0.0, 1e-5, 1e-6])
    f, a = p.coefficients(end + h)
    if f[0] != 0 or a[0] != 0 or not (a[1:] > 0).all():
        return False
    return math.log10(a[1] / a[2]) < 1.5


def automatic_edges(x: Array, bins: int | None, domain: tuple[float, float]) -> Array:
    """Evenly spaced edges around the sorted positions x.

    Bins are 2 IQR / n^(1/3) wide [1]_.

    References
    ----------
    .. [1] D. Freedman, P. Diaconis, Z. Wahrscheinlichkeitstheorie verw. Geb. 57 (1981) 453.
    """
    low, high = float(x[0]), float(x[-1])
    width = high - low
    if width <= 1e-9 * max(abs(low), abs(high)):
        width = max(abs(low), abs(high), 1e-300) * 1e-6
    lower = max(low - width / 8, domain[0])
    upper = min(high + width / 8, domain[1])
    if bins is None:
        first, third = np.quantile(x, [0.25, 0.75])
        bin_width = 2 * (third - first) / len(x) ** (1 / 3)
        wanted = (upper - lower) / bin_width if bin_width > 0 else MOST_BINS
        bins = int(min(MOST_BINS, max(10, math.ceil(wanted))))
    return np.linspace(lower, upper, bins + 1)
