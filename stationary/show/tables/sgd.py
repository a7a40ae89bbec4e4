"""SGD's own end state, basin by basin, as JSON."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from stationary.sgd import SETTLED, FiniteStep, SgdBasin

if TYPE_CHECKING:
    from stationary.chain.run import Run

__all__ = ["as_dict", "basin_dict"]


def as_dict(sgd: FiniteStep, run: Run | None = None) -> dict[str, Any]:
    """Plain numbers, strings and lists; with a run of a given length, if there is one."""
    chain = sgd.chain
    return {
        "believe": sgd.believed.name.lower(),
        "advice": sgd.believed.value,
        "kind": chain.kind,
        "reason": chain.reason or None,
        "cells": chain.cells,
        "error": chain.error if chain.kind in SETTLED else None,
        "exact_batches": chain.batches.exact,
        "standard_deviation": None if sgd.spread is None else sgd.spread[1],
        "basins": [basin_dict(b) for b in sgd.basins],
        "held": [{"position": m.position, "interval": m.held} for m in sgd.held],
        "run": None
        if run is None
        else {
            "steps": run.steps,
            "starts": list(run.starts),
            "log_shares": run.log_shares.tolist(),
            "errors": run.errors.tolist(),
            "log_relaxation_time": run.log_relaxation,
        },
        "notes": list(chain.notes),
    }


def basin_dict(b: SgdBasin) -> dict[str, Any]:
    """One basin by each answer; None for what there is not, and for what is infinite."""

    def pair(p: tuple[float, float] | None) -> dict[str, float] | None:
        return None if p is None else {"probability": p[0], "error": p[1]}

    def finite(x: float | None) -> float | None:
        return x if x is not None and math.isfinite(x) else None

    return {
        "position": b.position,
        "lower": finite(b.lower),
        "upper": finite(b.upper),
        "diffusion": pair(b.diffusion),
        "chain": pair(b.chain),
        "simulation": pair(b.simulation),
        "at_end": b.at_end,
        "endless": b.endless,
        "never_left": b.log_chain_exit_time == math.inf,
        "log_diffusion": finite(b.log_diffusion),
        "log_chain": finite(b.log_chain),
        "log_chain_error": finite(b.log_chain_error),
        "log_exit_time": finite(b.log_exit_time),
        "log_chain_exit_time": finite(b.log_chain_exit_time),
        "log_chain_exit_time_error": finite(b.exit_error),
    }
