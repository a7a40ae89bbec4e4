"""The basins of an end state in the plane, in its report and by themselves."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from stationary import wording as say
from stationary.plane.basin import PlaneBasin, PlaneBasins
from stationary.show.layout import Line, Report, picked, report, tabulated


def text(basins: PlaneBasins) -> Report:
    return report({"Basins": basin_lines(basins)})


def basin_lines(basins: PlaneBasins) -> list[Line]:
    """What each holds, and what separates it from the others."""
    rows = []
    for b in basins:
        every = zip(b.barriers, b.barrier_errors, strict=True)
        (saddle, rise), off = min(every, key=lambda x: x[0][1], default=((None, 0.0), math.nan))
        lowest = None if saddle is None else say.known_text(rise, off, 6)
        known = not math.isnan(b.mass_error)
        error = say.relative_error_text(b.mass_error, b.log_mass) if known else None
        unsure = None if saddle is None else say.error_text(off)
        rows.append((b.name, mass_text(b), error, lowest, unsure, saddle))
    header = ("basin of", "mass", "rel. error", "barrier", "error", "saddle")
    lines = tabulated(header, rows)
    if len(rows) > 1:
        lines.append(
            "Barrier: log P at the minimum less log P at the lowest saddle on the border of its "
            "basin; saddle: its number among the equilibria. Basins are those of the drift."
        )
    return lines


def mass_text(b: PlaneBasin) -> str:
    known = math.isfinite(b.mass_error)
    return say.probability_text(b.log_mass, error=b.mass_error if known else 0.0)


def data(basins: PlaneBasins) -> dict[str, Any]:
    return {"basins": list(map(plane_basin, basins))}


def plane_basin(b: PlaneBasin) -> dict[str, Any]:
    held = "mass log_mass log_mass_error=mass_error position=attractor.position walls"
    barriers = [
        {"saddle": k, "log_ratio": rise, "error": off}
        for (k, rise), off in zip(b.barriers, b.barrier_errors, strict=True)
    ]
    return picked(b, held) | {"barriers": barriers}


def table(basins: PlaneBasins) -> dict[str, Any]:
    """A row for each that has a minimum."""
    kept = [b for b in basins if b.position is not None]
    at = np.array([b.position for b in kept]).reshape(-1, 2)
    names = ("mass", "log_mass", "mass_error")
    return {"x": at[:, 0], "y": at[:, 1]} | {n: [getattr(b, n) for b in kept] for n in names}
