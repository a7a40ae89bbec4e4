"""An evolution as JSON and CSV."""

from __future__ import annotations

from typing import Any

import numpy as np

from stationary.evolution.evolution import Evolution

__all__ = ["as_dict", "as_table"]


def as_dict(e: Evolution) -> dict[str, Any]:
    """Plain numbers, strings and lists; None stands for what is not known or not finite."""

    return {
        "schema": 1,
        "name": e.diffusion.name,
        "variable": e.diffusion.variable,
        "time_unit": e.diffusion.time_unit,
        "equation": e.diffusion.stated_equation,
        "initial": e.initial.text,
        "converged": e.converged,
        "tolerance": e.tolerance,
        "times": e.times,
        "mean": {"value": e.mean, "error": e.mean_error},
        "standard_deviation": {"value": e.std, "error": e.std_error},
        "error": e.error,
        "mass_error": e.mass_error,
        "time_error": e.time_error,
        "total_variation_to_end": e.total_variation_to_end,
        "end_is_resolved": e.end_is_resolved,
        "relaxation": {
            "time": e.relaxation_time,
            "log_time": e.log_relaxation_time,
            "log_error": e.relaxation_error,
        },
        "atoms": [
            {"position": a.position, "weight": a.weights, "error": a.errors} for a in e.atoms
        ],
        "end_state": {"kind": e.end_state.kind, "reason": e.end_state.reason or None},
        "edges": e.edges,
        "masses": e.masses,
        "notes": list(e.notes),
    }


def as_table(e: Evolution) -> dict[str, Any]:
    """A row per time and cell, and one per time and atom, which has no density."""
    v, n, atoms = e.diffusion.variable, len(e.edges) - 1, e.atoms
    places = [a.position for a in atoms]
    weights = np.array([a.weights for a in atoms]).reshape(len(atoms), len(e.times)).T
    none = np.full(len(atoms), np.nan)
    return {
        e.diffusion.time_unit: np.repeat(e.times, n + len(atoms)),
        f"{v}_lower": np.tile([*e.edges[:-1], *places], len(e.times)),
        f"{v}_upper": np.tile([*e.edges[1:], *places], len(e.times)),
        "mass": np.concatenate([e.masses, weights], axis=1).ravel(),
        "density": np.concatenate([[*row, *none] for row in e.density]),
    }
