"""Going on from the table of a sweep that was stopped."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from stationary.errors import LandscapeError
from stationary.sweeps.answers import OF_MINIMA, SCALARS, TEXTS, Answer, Minimum
from stationary.sweeps.tasks import Grid


def known_points(table: Any, grid: Grid) -> dict[int, Answer]:
    """The answers in a table of a sweep over the same axes, by the number of their point."""
    name, axes = grid.recipe.name, grid.axes
    columns: Mapping[str, Sequence[Any]] = table.table() if hasattr(table, "table") else table
    lost = [c for c in (*axes, *SCALARS) if c not in columns]
    if lost:
        raise LandscapeError(
            f"{name}: the table to go on from has no column {lost[0]}: it is that of another "
            "sweep. Name the one that was stopped."
        )
    places = [{float(v): i for i, v in enumerate(values)} for values in axes.values()]
    found = {}
    for values in zip(*columns.values(), strict=True):
        row = {c: _read(c, v) for c, v in zip(columns, values, strict=True)}
        place = tuple(at.get(float(row[n]), -1) for n, at in zip(axes, places, strict=True))
        if min(place) < 0:
            where = ", ".join(f"{n} = {row[n]:g}" for n in axes)
            raise LandscapeError(
                f"{name}: the table to go on from has a point at {where}, which is not asked for "
                "now. Ask for the same values, or name another file."
            )
        labels = [c[5:] for c in columns if re.fullmatch(r"kind_\d+", c) and row[c]]
        minima = tuple(Minimum(**{n: row[f"{n}_{label}"] for n in OF_MINIMA}) for label in labels)
        extras = {  # as `measured` gives them
            (q, at): (row[column], row.get(f"{column}_error", math.nan))
            for q in grid.recipe.quantities or ()
            for at, column in (
                (None, q),
                *((m.position, f"{q}_{label}") for m, label in zip(minima, labels, strict=True)),
            )
            if not math.isnan(row.get(column, math.nan))
        }
        scalars = {n: row[n] for n in SCALARS}
        number = int(np.ravel_multi_index(place, grid.shape))
        found[number] = Answer(**scalars, minima=minima, extras=extras or None)
    return found


def _read(column: str, value: Any) -> Any:
    if column.startswith(("kind_", *TEXTS)):
        return str(value)
    if str(value) in ("True", "False"):
        return float(str(value) == "True")
    return math.nan if value in ("", None) else float(value)
