"""The verdict on the diffusion as text and as plain numbers, from a finished check."""

from __future__ import annotations

import math
from typing import Any

from stationary.checking.check import BasinCheck, Check
from stationary.checking.comparison import Distance
from stationary.layout import report, table
from stationary.wording import error_text, probability_text, time_text

__all__ = ["as_dict", "text"]

MOST_ROWS = 30


def text(check: Check) -> str:
    """The verdict, the basins by each answer, the distances and the step; 80 columns."""
    landscape = check.analysis.landscape
    assert landscape is not None
    title = f"{landscape.name}: the diffusion against SGD with T = {landscape.learning_rate:g}"
    return report(
        [
            (title, [check.verdict, *(f"{r[0].upper()}{r[1:]}." for r in check.reasons)]),
            ("What each basin holds", _basins(check)),
            ("How far apart the answers are", _distances(check)),
            ("The step", [f"{check.steps.line[0].upper()}{check.steps.line[1:]}"]),
            ("The noise convention", _conventions(check)),
            ("How far to trust this", _trust(check)),
        ]
    )


def _basins(check: Check) -> list[str]:
    rows = [
        (
            f"{b.position:.6g}",
            _share(b.diffusion),
            _share(b.chain),
            _share(b.simulation),
            *("-" if t is None else time_text(t) for t in (b.log_exit_time, b.log_chain_exit_time)),
        )
        for b in check.basins[:MOST_ROWS]
    ]
    header = ("minimum", "diffusion", "exact chain", "simulation", "exit time", "of the chain")
    if not rows:
        return []
    return [
        *table(header, rows),
        "Exit time: mean number of steps from the minimum to beyond the barriers, by the diffusion "
        "and by the chain.",
    ]


def _share(pair: tuple[float, float] | None) -> str:
    if pair is None:
        return "-"
    value, error = pair
    if value == 0:
        return f"0 +- {error_text(error)}"
    if 0 < error < value:
        places = min(12, max(0, 1 - math.floor(math.log10(error))))
        shown = f"{value:.{places}f}" if value > 1e-4 else f"{value:.2g}"
        return f"{shown} +- {error_text(error)}"
    return f"{probability_text(math.log(value))} +- {error_text(error)}"


def _distances(check: Check) -> list[str]:
    pairs = (
        ("diffusion, chain", check.diffusion_and_chain),
        ("diffusion, simulation", check.diffusion_and_simulation),
        ("chain, simulation", check.chain_and_simulation),
    )
    rows = [
        (
            name,
            f"{d.total_variation:.3g} +- {error_text(d.total_variation_error)}",
            f"{d.wasserstein:.3g} +- {error_text(d.wasserstein_error)}",
        )
        for name, d in pairs
        if d is not None
    ]
    if not rows:
        return ["There are no two distributions to compare."]
    return [
        *table(("", "total variation", "Wasserstein"), rows),
        "Total variation: the most by which a probability can differ. Wasserstein: the mean way "
        "that probability has to be moved. Those of the simulation are compared bin by bin, and "
        "few walkers make them larger by up to the error.",
    ]


def _conventions(check: Check) -> list[str]:
    known = {name: d for name, d in check.conventions.items() if d is not None}
    if len(known) < 2:
        return []
    rows = [
        (name, f"{d.total_variation:.3g} +- {error_text(d.total_variation_error)}")
        for name, d in known.items()
    ]
    line = (
        f"SGD obeys {check.obeyed}: under it the diffusion is nearest to the chain."
        if check.obeyed
        else "The conventions cannot be told apart on this landscape."
    )
    return [*table(("convention", "total variation to the chain"), rows), line]


def _trust(check: Check) -> list[str]:
    lines = [*check.notes]
    chain, sent = check.chain, check.simulation
    if chain.kind not in ("none", "classes"):
        lines.append(
            f"Exact chain: {chain.cells} cells on each class; error of the distribution function "
            f"{error_text(chain.error)}."
        )
        if chain.has_density is False:
            lines.append(
                "The chain has no density: its histogram does not settle as cells are halved, so "
                "total variations depend on the cells; its distribution function does settle."
            )
    lines += [f"Chain: {note}" for note in chain.notes]
    if sent is not None:
        lines.append(
            f"Simulation: {sent.walkers:,} walkers, {sent.steps_done:,} steps after "
            f"{sent.burn_in:,} of burn-in, seed {sent.seed}."
        )
        lines += [f"Simulation: {note}" for note in sent.notes]
    lines += list(check.analysis.end_state.notes)
    return [f"{line[0].upper()}{line[1:]}" for line in lines]


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
        "basins": [_basin(b) for b in check.basins],
        "distances": {
            "diffusion_chain": _distance(check.diffusion_and_chain),
            "diffusion_simulation": _distance(check.diffusion_and_simulation),
            "chain_simulation": _distance(check.chain_and_simulation),
        },
        "conventions": {name: _distance(d) for name, d in check.conventions.items()},
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
    }


def _basin(b: BasinCheck) -> dict[str, Any]:
    def pair(p: tuple[float, float] | None) -> dict[str, float] | None:
        return None if p is None else {"probability": p[0], "error": p[1]}

    def end(x: float) -> float | None:
        return x if math.isfinite(x) else None

    return {
        "position": b.position,
        "lower": end(b.lower),
        "upper": end(b.upper),
        "diffusion": pair(b.diffusion),
        "chain": pair(b.chain),
        "simulation": pair(b.simulation),
        "log_exit_time": None if b.log_exit_time is None else end(b.log_exit_time),
        "log_chain_exit_time": None
        if b.log_chain_exit_time is None
        else end(b.log_chain_exit_time),
    }


def _distance(d: Distance | None) -> dict[str, float] | None:
    if d is None:
        return None
    return {
        "total_variation": d.total_variation,
        "total_variation_error": d.total_variation_error,
        "wasserstein": d.wasserstein,
        "wasserstein_error": d.wasserstein_error,
    }
