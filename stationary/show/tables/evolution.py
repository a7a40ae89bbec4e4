"""An evolution as JSON and CSV."""

from __future__ import annotations

import csv
import io
from typing import Any

import numpy as np

from stationary.evolution.evolution import Evolution

__all__ = ["as_csv", "as_dict"]


def as_dict(e: Evolution) -> dict[str, Any]:
    """Plain numbers, strings and lists; None stands for what is not known or not finite."""

    def listed(values: Any) -> Any:
        if values is None:
            return None
        array = np.asarray(values, dtype=float).astype(object)
        array[~np.isfinite(array.astype(float))] = None
        return array.tolist()

    return {
        "schema": 1,
        "name": e.diffusion.name,
        "variable": e.diffusion.variable,
        "time_unit": e.diffusion.time_unit,
        "equation": e.diffusion.stated_equation,
        "initial": e.initial.text,
        "converged": e.converged,
        "tolerance": e.tolerance,
        "times": listed(e.times),
        "mean": {"value": listed(e.mean), "error": listed(e.mean_error)},
        "standard_deviation": {"value": listed(e.std), "error": listed(e.std_error)},
        "error": listed(e.error),
        "mass_error": listed(e.mass_error),
        "time_error": listed(e.time_error),
        "total_variation_to_end": listed(e.total_variation_to_end),
        "end_is_resolved": e.end_is_resolved,
        "relaxation": {
            "time": listed(e.relaxation_time),
            "log_time": listed(e.log_relaxation_time),
            "log_error": listed(e.relaxation_error),
        },
        "atoms": [
            {"position": a.position, "weight": listed(a.weights), "error": listed(a.errors)}
            for a in e.atoms
        ],
        "end_state": {"kind": e.end_state.kind, "reason": e.end_state.reason or None},
        "edges": listed(e.edges),
        "masses": listed(e.masses),
        "notes": list(e.notes),
    }


def as_csv(e: Evolution) -> str:
    """CSV with a row per time and cell, and one per time and atom."""
    v = e.diffusion.variable
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([e.diffusion.time_unit, f"{v}_lower", f"{v}_upper", "mass", "density"])
    cells = np.stack([e.edges[:-1], e.edges[1:]], axis=1)
    for k, t in enumerate(e.times.tolist()):
        rows = np.column_stack([cells, e.masses[k], e.density[k]]).tolist()
        writer.writerows([repr(t), *(repr(x) for x in row)] for row in rows)
        for a in e.atoms:
            place, weight = repr(a.position), repr(float(a.weights[k]))
            writer.writerow([repr(t), place, place, weight, ""])
    return out.getvalue()
