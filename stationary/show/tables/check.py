"""A check as JSON."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from stationary.checking.comparison import Distances, Variation
from stationary.checking.verdict import Check
from stationary.show.tables.sgd import basin_dict

__all__ = ["as_dict", "as_table"]


def as_dict(check: Check) -> dict[str, Any]:
    """Plain numbers, strings and lists."""
    landscape = check.analysis.landscape
    assert landscape is not None
    steps, chain, sent = check.steps, check.chain, check.simulation
    return {
        "schema": 1,
        "name": landscape.name,
        "learning_rate": landscape.learning_rate,
        "outcome": check.outcome,
        "verdict": check.verdict,
        "reasons": list(check.reasons),
        "basins": [basin_dict(b) for b in check.basins],
        "distances": {
            "diffusion_chain": _distance(check.diffusion_and_chain),
            "diffusion_simulation": _distance(check.diffusion_and_simulation),
            "chain_simulation": _distance(check.chain_and_simulation),
        },
        "conventions": {name: _variation(d) for name, d in check.conventions.items()},
        "closed_classes": {"diffusion": check.closed[0], "chain": check.closed[1]},
        "obeyed": check.obeyed,
        "steps": {
            "line": steps.line,
            "largest_curvature": steps.largest,
            "warnings": list(steps.warnings),
        },
        "chain": {
            "kind": chain.kind,
            "error": chain.error if chain.kind not in ("none", "classes") else None,
            "cells": chain.cells,
            "has_density": chain.has_density,
            "notes": list(chain.notes),
        },
        "simulation": None if sent is None else sent.to_dict() | {"positions": None},
        "notes": list(check.notes),
        "interrupted": check.interrupted,
    }


def as_table(check: Check) -> dict[str, Any]:
    """A row for each basin, by each answer."""
    rows = []
    for b in map(basin_dict, check.basins):
        for name in ("diffusion", "chain", "simulation"):
            pair = b.pop(name) or {"probability": None, "error": None}
            b |= {name: pair["probability"], f"{name}_error": pair["error"]}
        rows.append(b)
    return {name: [row[name] for row in rows] for name in (rows[0] if rows else ())}


def _distance(d: Distances | None) -> dict[str, float] | None:
    return None if d is None else asdict(d)


def _variation(d: Variation | None) -> dict[str, float] | None:
    if d is None:
        return None
    return {
        "total_variation": d.total_variation,
        "total_variation_error": d.total_variation_error,
    }
