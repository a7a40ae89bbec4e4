"""Where SGD is after so many steps."""

from __future__ import annotations

from typing import Any

from stationary.chain.run import Run
from stationary.show.headline import by_start, forgotten
from stationary.show.layout import Report, picked, report


def text(run: Run) -> Report:
    """What each basin holds, left to right, and whether the start is forgotten."""
    names = [f"basin {k}" for k in range(run.log_shares.shape[1])]
    return report({f"After {run.steps:,} steps": [*by_start(run, names), *forgotten(run)]})


def data(run: Run) -> dict[str, Any]:
    """Its fields."""
    return picked(run, "steps starts log_shares errors log_relaxation relaxation_error")


def table(run: Run) -> dict[str, Any]:
    """A row for each start."""
    columns: dict[str, Any] = {"start": list(run.starts)}
    for k, (logs, errors) in enumerate(zip(run.log_shares.T, run.errors.T, strict=True)):
        columns |= {f"log_share_{k}": logs, f"log_share_{k}_error": errors}
    return columns
