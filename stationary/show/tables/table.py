"""A table as data: what was read."""

from __future__ import annotations

from typing import Any

from stationary.sources.table import Table

__all__ = ["as_dict", "as_table"]


def as_dict(t: Table) -> dict[str, Any]:
    """Plain numbers, strings and lists."""
    return {
        "name": t.name,
        "kind": t.kind,
        "columns": t.columns,
        "ignored": t.ignored,
        "equilibria": [
            {"position": place, "stable": stable, "standard_errors": height}
            for place, stable, height in t.equilibria
        ],
        "notes": t.notes,
    }


def as_table(t: Table) -> dict[str, Any]:
    """Its columns, those of datapoints one by one."""
    columns: dict[str, Any] = {}
    for name, values in t.columns.items():
        if values.ndim == 1:
            columns[name] = values
        else:
            columns |= {f"{name}_{j}": row for j, row in enumerate(values)}
    return columns
