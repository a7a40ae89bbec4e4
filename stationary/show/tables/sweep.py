"""A sweep as JSON and CSV, a row for each point."""

from __future__ import annotations

import csv
import io
import math
from typing import Any

from numpy.typing import NDArray

from stationary.questions.sweeps.sweep import Crossover, Sweep

__all__ = ["as_csv", "as_dict"]

Array = NDArray[Any]

SCHEMA = 1


def as_csv(sweep: Sweep) -> str:
    """The table with a line of column names; what does not exist is left empty."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    columns = {name: _plain(name, values) for name, values in sweep.table().items()}
    writer.writerow(columns)
    writer.writerows([_text(v) for v in row] for row in zip(*columns.values(), strict=True))
    return out.getvalue()


def as_dict(sweep: Sweep) -> dict[str, Any]:
    """Plain numbers, strings and lists; None for what is not finite."""
    columns = {name: _plain(name, values) for name, values in sweep.table().items()}
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
        "crossovers": [_crossover(c) for c in sweep.crossovers],
    }


def _crossover(c: Crossover) -> dict[str, Any]:
    return {
        "axis": c.axis,
        "value": _finite(c.value),
        "error": _finite(c.error),
        "below": c.below,
        "above": c.above,
        "log_mass": _finite(c.log_mass),
        "between": list(c.between),
        "fixed": dict(c.fixed),
        "reason": c.reason or None,
    }


def _finite(x: float) -> float | None:
    return x if math.isfinite(x) else None


def _plain(name: str, values: Array) -> list[Any]:
    listed: list[Any] = values.tolist()
    if name == "dominant":
        return [None if v < 0 else v for v in listed]
    return [_finite(v) for v in listed] if values.dtype.kind == "f" else listed


def _text(value: Any) -> str:
    return "" if value is None else value if type(value) is str else repr(value)
