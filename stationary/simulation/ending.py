"""What a simulation that is over came to."""

from __future__ import annotations

import math

import numpy as np

from stationary.errors import ConvergenceError
from stationary.process.landscape import Landscape
from stationary.simulation.mixing import STILL
from stationary.simulation.result import Ending, Simulation
from stationary.simulation.run import Run
from stationary.simulation.streams import Estimate, Moments, estimate, total

ROUGH = 0.2  # relative standard error of a variance from which on that is told
SEVERAL = 32  # walkers, whose spread is known to 13 per cent


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
        return f"SGD, {p.steps_text}"
    name = "Milstein" if plan.milstein else "Euler-Maruyama"
    return f"{name}, dt = {plan.dt:.4g}, {p.convention.title}"
