"""Where SGD is after so many steps."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from stationary import wording as say
from stationary.sgd.basins import HELD
from stationary.show.layout import Line, Report, picked, report, tabulated
from stationary.wording import LIGHT

if TYPE_CHECKING:
    from stationary.chain.run import Run  # with SciPy, which a report may do without

UNKNOWN = 3.0  # error of the logarithm of a time of which nothing is said


def text(run: Run) -> Report:
    """What each basin holds, left to right, and whether the start is forgotten."""
    names = [f"basin {k}" for k in range(run.log_shares.shape[1])]
    return report({f"After {run.steps:,} steps": [*by_start(run, names), *forgotten(run)]})


def data(run: Run) -> dict[str, Any]:
    """Its fields."""
    return picked(
        run, "steps starts log_shares errors log_lost lost_errors log_relaxation relaxation_error"
    )


def table(run: Run) -> dict[str, Any]:
    """A row for each start."""
    columns: dict[str, Any] = {"start": list(run.starts)}
    for k, (logs, errors) in enumerate(zip(run.log_shares.T, run.errors.T, strict=True)):
        columns |= {f"log_share_{k}": logs, f"log_share_{k}_error": errors}
    return columns | {"log_lost": run.log_lost, "log_lost_error": run.lost_errors}


def by_start(run: Run, names: Sequence[str]) -> list[Line]:
    """What basins of these names hold after it, by where it starts."""

    def share(log: float, error: float) -> str:
        return say.share_text(log, min(math.exp(log) * math.expm1(min(error, 700.0)), 1.0))

    logs, errors = run.log_shares, run.errors
    if run.log_lost.max() > LIGHT:
        logs, errors = (
            np.column_stack(pair) for pair in ((logs, run.log_lost), (errors, run.lost_errors))
        )
        names = *names, "lost far out"
    rows = [
        (start, *map(share, *row)) for start, *row in zip(run.starts, logs, errors, strict=True)
    ]
    beside = (np.exp(np.minimum(logs + errors, 0)).sum(axis=1) < 1 - HELD).any()
    more = ["What is missing from 1 is around none of these."] * bool(beside)
    return [*tabulated(("started at", *names), rows), *more]


def forgotten(run: Run) -> list[str]:
    """Whether the run has reached the end state."""
    memory = run.log_relaxation
    if memory is None:
        return []
    if math.isinf(memory):
        return ["SGD never forgets which minimum it came from."]
    doubt = run.relaxation_error or 0.0
    if not doubt < UNKNOWN:
        return []
    times, few = math.log(run.steps) - memory, math.log(5)
    reached = "has long been reached" if times > few else "is being reached"
    if times < -few:
        reached = "is not reached: where the run is depends on where it starts"
    return [
        f"SGD forgets which minimum it came from in {say.steps_text(memory, doubt)} steps (the "
        f"relaxation time). In a run of {run.steps:,} its end state {reached}."
    ]
