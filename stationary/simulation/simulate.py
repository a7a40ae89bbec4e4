"""`simulate`: Monte Carlo, the check that solves nothing. SGD itself, or a diffusion in steps.

Walkers move independently of each other. After a burn-in that is thrown away they are observed;
what is said of them carries the standard error that their spread gives.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from stationary.errors import ConvergenceError, LandscapeError
from stationary.functions.given import checked_whole, number
from stationary.process.diffusion import Diffusion
from stationary.process.landscape import Landscape
from stationary.progress import Progress, told
from stationary.simulation.blocks import Crew, pool
from stationary.simulation.departure import edges_from
from stationary.simulation.mixing import STILL
from stationary.simulation.result import Ending, Simulation
from stationary.simulation.run import Run
from stationary.simulation.streams import Estimate, Moments, estimate, total
from stationary.sources.loading import as_process

MOST_WALKERS = 10**7  # 80 MB of positions
ENDLESS = 10**12  # steps of walkers: they take some hours
THIN = 8  # steps between looks for histogram, intervals and basins, at most,
LOOKS = 64  # as long as there are so many
TARGETS = ("mean", "std", "var", "probability")
METHODS = ("milstein", "euler")
ROUGH = 0.2  # relative standard error of a variance from which on that is told
SEVERAL = 32  # walkers, whose spread is known to 13 per cent


def simulate(
    process: str | os.PathLike[str] | Landscape | Diffusion,
    initial: Any = None,
    *,
    walkers: int | None = None,
    steps: int | None = None,
    burn_in: int | None = None,
    seed: Any = None,
    dt: float | None = None,
    method: str | None = None,
    every: int | None = None,
    snapshots: bool = False,
    edges: Any = None,
    intervals: Sequence[tuple[float, float]] = (),
    target_error: float | None = None,
    target: str = "mean",
    executor: Any = None,
    jobs: int | None = None,
    progress: Progress = False,
    **changes: Any,
) -> Simulation:
    """Let walkers go, and say where they are found.

    Parameters
    ----------
    process
        A `Landscape`, on which SGD itself is run, with real minibatches; a `Diffusion`; or the
        path of a file that describes either.
    initial
        Where walkers start: see `stationary.initial`. None: where the process says, else spread
        evenly over its domain or, on an infinite one, around its attracting points. Of a law each
        walker has one of as many equal shares. An array of positions without `walkers` is taken as
        it is, one walker from each.
    walkers
        How many, independent of each other; 1000 if nothing is said.
    steps
        Steps in which each is observed, after the burn-in; 10,000 if nothing is said, and with a
        schedule of the learning rate its last one.
    burn_in
        Steps before that. None: windows that double in length, until the means of position, its
        square and the shares of the basins agree between both halves of one within 3 standard
        errors, and each half is as long as 3 autocorrelation times; at most as many as `steps`.
    seed
        A whole number, or a `numpy.random.SeedSequence`. The same seed gives the same result,
        digit for digit, however many processes share the work.
    dt, method
        For a diffusion: the step of time, and "milstein" (the default) or "euler". None: a
        step of a fiftieth of the fastest relaxation.
    every, snapshots
        Keep mean and deviation of the ensemble at step 0 and every so many steps, burn-in
        included; with `snapshots` the positions, too.
    edges
        Of the histogram: ascending positions, or how many bins. None: by Freedman and Diaconis'
        rule from where the walkers are after the burn-in; without one, from where they may come.
    intervals
        Pairs (lower, upper) whose probability is wanted, ends included.
    target_error, target
        Stop before `steps` once the standard error of the "mean", "std", "var" or "probability"
        (of the worst interval) is no more than this and the walkers have mixed.
    executor, jobs
        A `concurrent.futures.Executor` that shares the work, or how many processes to start.
    progress
        True: show the time left, in a notebook, or on standard error if that is a terminal. Or a
        function that is called with the steps of walkers done and to be done.
    changes
        Fields of the process to replace, such as ``learning_rate=0.02``.

    Returns
    -------
    Simulation
        At a finite end walkers are reflected, or absorbed if the process says so; a diffusion's
        are also held where an end is a trap. Where all were absorbed, that is what is averaged.
        Interrupted by Ctrl-C, what was observed until then, with `complete` False.

    Raises
    ------
    LandscapeError
        If something that was given cannot be meant.
    ConvergenceError
        If fewer than two walkers have stayed within bounds, so that there is nothing to average.

    References
    ----------
    .. [1] P. E. Kloeden, E. Platen, *Numerical Solution of Stochastic Differential Equations*,
       Springer 1992, chapter 10.
    """
    changes = {name: value for name, value in changes.items() if value is not None}
    given = as_process(process, "simulate", **changes)
    if isinstance(given, Landscape) and given.held is not None:
        given = given.alone  # which walkers find by themselves
    schedule = getattr(given, "schedule", None)
    if schedule is not None:  # where it ends is what is asked for
        burn_in = max(len(schedule) - 1, 0) if burn_in is None else burn_in
        steps = 1 if steps is None else steps
    steps = checked_whole(10_000 if steps is None else steps, "steps", given.name)
    walkers, burn_in, every, jobs = (
        None if value is None else checked_whole(value, name, given.name, least)
        for value, name, least in (
            (walkers, "walkers", 2),
            (burn_in, "burn_in", 0),
            (every, "every", 1),
            (jobs, "jobs", 1),
        )
    )
    pairs = _pairs(intervals, given.name)
    _check(given, walkers, dt, method, target_error, target, pairs)
    with pool(jobs, executor, given.name) as workers, told(progress, "steps of walkers") as tell:
        crew = Crew.of(given, workers)
        run = Run(given, crew, initial, walkers, seed, dt, method, every, snapshots, tell)
        run.total = steps + (burn_in or 0)
        many = len(run.x)
        if target_error is None and many * run.total > ENDLESS:
            raise LandscapeError(
                f"{given.name}: {many:,} walkers with {run.total:.3g} steps take days. Give at "
                f"most {ENDLESS // many:.3g} steps, fewer walkers, or a target_error."
            )
        begin = time.perf_counter()
        run.burn_in(burn_in, steps)
        watch = replace(
            run.watch,
            edges=edges_from(
                edges, run.x[run.present], given, None if run.burned else run.terrain.region
            ),
            even=not np.iterable(edges),
            intervals=pairs,
            thin=min(THIN, max(1, steps // LOOKS)),
        )
        run.observe(watch, steps, target_error, target)
        return finished(run, time.perf_counter() - begin)


# What was given.


def require_memory(walkers: int | None, where: str) -> None:
    """Raise LandscapeError where so many walkers do not fit in it."""
    if walkers is not None and walkers > MOST_WALKERS:
        raise LandscapeError(
            f"{where}: walkers = {walkers:g} is more than {MOST_WALKERS:g}, which do not fit in "
            "memory. Give more steps in their place."
        )


def _check(
    process: Landscape | Diffusion,
    walkers: int | None,
    dt: Any,
    method: Any,
    target_error: Any,
    target: Any,
    intervals: Any,
) -> None:
    where = process.name
    require_memory(walkers, where)
    for name, value in (("dt", dt), ("target_error", target_error)):
        x = None if value is None else number(value)
        if value is not None and (x is None or not 0 < x < math.inf):
            raise LandscapeError(
                f"{where}: {name} = {value!r:.40} must be a positive number, or None."
            )
    if isinstance(process, Landscape) and (dt is not None or method is not None):
        name = "dt" if dt is not None else "method"
        raise LandscapeError(
            f"{where}: {name} does not apply to SGD, whose step is one minibatch. Leave it out, or "
            "simulate landscape.diffusion() in place of the landscape."
        )
    if method is not None and method not in METHODS:
        raise LandscapeError(
            f'{where}: method = {method!r:.40} is not known. Use "milstein" or "euler".'
        )
    if target not in TARGETS:
        raise LandscapeError(
            f"{where}: target = {target!r:.40} is not known. Use one of {', '.join(TARGETS)}."
        )
    if target == "probability" and not intervals and target_error is not None:
        raise LandscapeError(
            f'{where}: target = "probability" needs intervals, as in intervals=[(0, 1)].'
        )


def _pairs(intervals: Any, where: str) -> tuple[tuple[float, float], ...]:
    """The intervals, as pairs of floats."""
    try:
        pairs = [(number(low), number(high)) for low, high in intervals]
    except (TypeError, ValueError):
        pairs = [(None, None)]
    known = tuple((a, b) for a, b in pairs if a is not None and b is not None and a <= b)
    if len(known) < len(pairs):
        raise LandscapeError(
            f"{where}: intervals = {intervals!r:.80} must be pairs (lower, upper) of positions, as "
            "in [(0, 1), (1, np.inf)]."
        )
    return known


# -- what it came to ------------------------------------------------------------------------------


def finished(run: Run, seconds: float) -> Simulation:
    """What it came to."""
    p, fate, present = run.process, run.fate, run.present
    escaped = int((~present).sum())
    if present.sum() < 2:
        raise ConvergenceError(
            f"{p.name}: {escaped:,} of {len(fate):,} walkers escaped beyond "
            f"{run.plan.walls.limit:.3g} or to what is no number within {run.done:,} steps, so "
            "there is nothing to average. "
            + (
                "Lower learning_rate, give a finite domain, or say where it starts."
                if isinstance(p, Landscape)
                else "Give a smaller dt, a finite domain, or another start."
            )
        )
    whole = total(run.slots)
    e = estimate(whole, run.watch, present)
    r_hat, reasons, confined = run.reasons()
    ending = run.ending
    if ending is not Ending.INTERRUPTED:
        if run.over and not escaped:
            ending = Ending.AT_REST if run.rests.resting.any() else Ending.ABSORBED
        elif reasons:
            ending = Ending.METASTABLE
        elif escaped:
            ending = Ending.ESCAPED
    dt = 1.0 if run.plan.dt is None else run.plan.dt
    m = Moments.stacked(run.moments)
    memory = 0.0  # nothing that stands still has any
    if e.var > (STILL * run.scale) ** 2 and not run.over:
        memory = whole.steps * int(present.sum()) * e.mean_error**2 / e.var
    return Simulation(
        name=p.name,
        variable=p.variable,
        time_unit=p.time_unit,
        method=_method(run),
        walkers=len(fate),
        burn_in=run.burned,
        steps_done=whole.steps,
        dt=dt,
        seed=run.seed,
        edges=run.watch.edges,
        intervals=run.watch.intervals,
        autocorrelation_time=memory,
        r_hat=r_hat,
        basins=run.basins,
        changes=whole.changes,
        times=np.arange(len(m.n)) * (run.plan.every or 1) * dt,
        counts=m.n,
        means=m.mean,
        mean_errors=m.mean_error,
        stds=m.std,
        std_errors=m.std_error,
        snapshots=np.concatenate(run.kept) if run.kept else None,
        positions=run.seen,
        folded=(int(run.folded[0]), int(run.folded[1])),
        absorbed=(int((fate == -1).sum()), int((fate == 1).sum())),
        escaped=escaped,
        ending=ending,
        metastable=bool(reasons),
        confined=confined,
        complete=ending is not Ending.INTERRUPTED,
        reasons=tuple(reasons),
        notes=tuple(dict.fromkeys(_notes(run, e, escaped))),
        rate=len(fate) * run.done / max(seconds, 1e-9),
        **vars(e),
    )


def _notes(run: Run, e: Estimate, escaped: int) -> list[str]:
    """What there is to say of it."""
    count, v = len(run.fate), run.process.variable
    notes = list(run.notes)
    shares = zip(run.basins, e.occupied, run.visited, strict=True)
    left = [f"{x:.6g}" for x, share, seen in shares if seen and not share]
    if left:
        notes.append(
            f"walkers that were near {v} = {', '.join(left)} left during the burn-in, and none "
            "came back."
        )
    notes += run.rests.words(run.x, v)
    if count < SEVERAL:
        share = 100 / math.sqrt(2 * (count - 1))
        notes.append(f"from {count} walkers the errors are themselves known to {share:.0f} % only.")
    if e.var_error > ROUGH * e.var > 0:
        notes.append(
            "the variance rests on few independent or on rare far positions: so do its error and "
            "that of the mean. If it is infinite, they never settle."
        )
    if escaped:
        notes.append(
            f"{escaped:,} of {count:,} walkers escaped and are in no mean; in the histogram they "
            "count while they were within bounds. There may be no end state."
        )
    return notes


def _method(run: Run) -> str:
    p, plan = run.process, run.plan
    if isinstance(p, Landscape):
        return f"{p.who}, {p.steps_text}"
    name = "Milstein" if plan.milstein else "Euler-Maruyama"
    return f"{name}, dt = {plan.dt:.4g}, {p.convention.title}"
