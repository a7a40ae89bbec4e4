"""SGD's own steps in the plane against its diffusion, as plain data."""

from __future__ import annotations

from typing import Any

from stationary.plane.finite import Measured, PlaneCheck
from stationary.show.reports.plane_check import verdict_text

__all__ = ["as_dict", "as_table"]


def as_dict(check: PlaneCheck) -> dict[str, Any]:
    def values(found: Measured | None) -> Any:
        if found is None:
            return None
        pairs = zip(check.names, found.values, found.errors, strict=True)
        return {name: {"value": v, "error": e} for name, v, e in pairs}

    apart, known, what = check.off
    return {
        "schema": 1,
        "kind": "plane check",
        "name": check.state.diffusion.name,
        "verdict": check.verdict,
        "words": verdict_text(check),
        "off": {"part": apart, "error": known, "of": what},
        "diffusion": values(check.diffusion),
        "chain": values(check.chain),
        "walkers": values(check.walkers),
        "settings": check.settings,
        "notes": list(check.notes),
    }


def as_table(check: PlaneCheck) -> dict[str, Any]:
    """A row for each quantity."""
    made: dict[str, Any] = {"quantity": list(check.names)}
    for name in ("diffusion", "chain", "walkers"):
        found = getattr(check, name)
        made[name] = [None] * len(check.names) if found is None else found.values
        made[f"{name}_error"] = [None] * len(check.names) if found is None else found.errors
    return made
