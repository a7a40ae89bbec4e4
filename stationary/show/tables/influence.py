"""Influence as data: a row for each datapoint."""

from __future__ import annotations

from typing import Any

import numpy as np

from stationary.questions.influence import Influence

__all__ = ["as_dict", "as_table"]


def as_dict(i: Influence) -> dict[str, Any]:
    """The datapoints that decide, and the standard error if they are a sample."""
    return {
        "name": i.name,
        "datapoints": i.datapoints,
        "basins": i.basins,
        "pair": i.pair,
        "standard_error": i.standard_error,
        "top": [{"datapoint": j, "change": c, "share": s} for j, c, s in i.top(10)],
    }


def as_table(i: Influence) -> dict[str, Any]:
    """N times what each adds to the log masses, the log exit times and the mean."""
    columns: dict[str, Any] = {"datapoint": np.arange(i.datapoints), "ratio": i.of_ratio()}
    for k, place in enumerate(i.basins):
        columns[f"log_mass_{place:.6g}"] = i.log_masses[k]
        columns[f"log_exit_time_{place:.6g}"] = i.log_exit_times[k]
    return columns | {"mean": i.mean}
