"""What a table holds."""

from __future__ import annotations

import math
from typing import Any

from stationary import wording as say
from stationary.show.layout import Report, picked, report, rows_of, tabulated
from stationary.sources.table import Table

WHAT = {
    "gradients": "gradients of {n} datapoints",
    "losses": "losses of {n} datapoints",
    "moments": "mean and variance of the gradients",
    "process": "drift and variance",
}


def text(t: Table) -> Report:
    notes = (say.sentence(note, t.name) for note in t.notes)
    lines = [say.sentence(WHAT[t.kind].format(n=t.datapoints)), *notes]
    if t.ignored:
        lines.append(f"Columns that mean nothing here: {', '.join(t.ignored)}.")
    rows = [
        (place, "stable" if stable else "unstable", f"{height:.3g}")
        for place, stable, height in t.equilibria
        if math.isfinite(height)
    ]
    zeros = tabulated((t.variable, "", "standard errors"), rows)
    return report({t.name: lines, "Equilibria": zeros})


def data(t: Table) -> dict[str, Any]:
    zeros = rows_of("position stable standard_errors", *zip(*t.equilibria, strict=True))
    return picked(t, "name kind columns ignored notes") | {"equilibria": zeros}


def table(t: Table) -> dict[str, Any]:
    """Its columns, those of datapoints one by one."""
    columns: dict[str, Any] = {}
    for name, values in t.columns.items():
        if values.ndim == 1:
            columns[name] = values
        else:
            columns |= {f"{name}_{j}": row for j, row in enumerate(values)}
    return columns
