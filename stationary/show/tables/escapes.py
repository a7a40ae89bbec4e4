"""The barriers around a minimum as data: a row for each eigenvector."""

from __future__ import annotations

from typing import Any

from stationary.sources.local import Escapes

__all__ = ["as_dict", "as_table"]


def as_dict(e: Escapes) -> dict[str, Any]:
    """Exponents and where they are, with what SGD they are of."""
    return {"learning_rate": e.learning_rate, "batch_size": e.batch_size} | as_table(e)


def as_table(e: Escapes) -> dict[str, Any]:
    """The same by columns."""
    columns: dict[str, Any] = {"curvature": e.curvatures, "deviation": e.deviations}
    for side, name in enumerate(("left", "right")):
        columns[f"exponent_{name}"] = e.exponents[:, side]
        columns[f"place_{name}"] = e.places[:, side]
        columns[f"is_barrier_{name}"] = e.found[:, side]
    return columns
