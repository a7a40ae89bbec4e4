"""First passages as JSON and as a table, a row for each start and target."""

from __future__ import annotations

from typing import Any

import numpy as np

from stationary.states.first_passage import FirstPassage

__all__ = ["as_dict", "as_table"]

QUANTITIES = (
    "probability",
    "conditional_mean",
    "conditional_variance",
    "mean",
    "variance",
    "approached",
)


def as_dict(p: FirstPassage) -> dict[str, Any]:
    """Each estimate with its value, its logarithm and the error of that."""
    return {
        "schema": 1,
        "name": p.diffusion.name,
        "equation": p.diffusion.stated_equation,
        "start": getattr(p.start, "text", p.start),
        "targets": [float(t) for t in p.targets],
        **{
            name: {"value": e.value, "log": e.log, "error_of_log": e.error}
            for name in QUANTITIES
            for e in [getattr(p, name)]
        },
    }


def as_table(p: FirstPassage) -> dict[str, Any]:
    """A column for each quantity, with the error of its logarithm, the relative one of it."""
    n = len(p.targets)
    size = np.size(p.mean.log)
    several = np.ndim(p.mean.log) > 0
    start = np.ravel(p.start) if several else [getattr(p.start, "text", p.start)]
    columns: dict[str, Any] = {
        "start": list(start) * n,
        "target": np.repeat([float(t) for t in p.targets], size),
    }
    for name in QUANTITIES:
        e = getattr(p, name)
        repeats = n if np.size(e.log) == size and n * size != size else 1
        columns |= {
            name: np.tile(np.ravel(e.value).astype(float), repeats),
            f"{name}_error": np.tile(np.ravel(e.error).astype(float), repeats),
        }
    return columns
