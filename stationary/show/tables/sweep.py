"""A sweep as JSON and CSV, a row for each point."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from stationary.questions.sweeps.sweep import Sweep
from stationary.result import plain

__all__ = ["as_dict", "as_table"]

SCHEMA = 1


def as_table(sweep: Sweep) -> dict[str, Any]:
    """The columns of `Sweep.table`; what does not exist is None."""
    columns: dict[str, Any] = sweep.table()
    dominant = [None if v < 0 else v for v in columns["dominant"].tolist()]
    return columns | {"dominant": dominant}


def as_dict(sweep: Sweep) -> dict[str, Any]:
    """Plain numbers, strings and lists; None for what is not finite."""
    columns = {name: plain(values) for name, values in as_table(sweep).items()}
    return {
        "schema": SCHEMA,
        "name": sweep.name,
        "complete": sweep.complete,
        "stopped": sweep.stopped or None,
        "axes": {name: list(values) for name, values in sweep.axes.items()},
        "columns": list(columns),
        "rows": [
            dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)
        ],
        "crossovers": [asdict(c) | {"reason": c.reason or None} for c in sweep.crossovers],
    }
