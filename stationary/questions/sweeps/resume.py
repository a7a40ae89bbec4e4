"""Going on from the table of a sweep that was stopped."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from stationary.errors import LandscapeError
from stationary.questions.sweeps.answers import OF_MINIMA, SCALARS, TEXTS, Answer, Minimum

__all__ = ["known_points"]


def known_points(
    table: Any, axes: Mapping[str, tuple[Any, ...]], name: str, quantities: Sequence[str] = ()
) -> dict[int, Answer]:
    """The answers in a table of a sweep over the same axes, by the number of their point.

    Raises
    ------
    LandscapeError
        If it is the table of another sweep.
    """
    columns: Mapping[str, Sequence[Any]] = table.table() if hasattr(table, "table") else table
    lost = [c for c in (*axes, *SCALARS) if c not in columns]
    if lost:
        raise LandscapeError(
            f"{name}: the table to go on from has no column {lost[0]}: it is that of another "
            "sweep. Name the one that was stopped."
        )
    texts = ("kind_", *TEXTS)

    def read(column: str, value: Any) -> Any:
        if column.startswith(texts):
            return str(value)
        if str(value) in ("True", "False"):
            return float(str(value) == "True")
        return math.nan if value in ("", None) else float(value)

    rows = [
        {c: read(c, v) for c, v in zip(columns, row, strict=True)}
        for row in zip(*columns.values(), strict=True)
    ]
    places = [{float(v): i for i, v in enumerate(values)} for values in axes.values()]
    shape = tuple(map(len, places))
    found = {}
    for row in rows:
        place = tuple(at.get(float(row[n]), -1) for n, at in zip(axes, places, strict=True))
        if min(place) < 0:
            where = ", ".join(f"{n} = {row[n]:g}" for n in axes)
            raise LandscapeError(
                f"{name}: the table to go on from has a point at {where}, which is not asked for "
                "now. Ask for the same values, or name another file."
            )
        labels = [c[5:] for c in columns if re.fullmatch(r"kind_\d+", c) and row[c]]
        minima = [Minimum(**{n: row[f"{n}_{label}"] for n in OF_MINIMA}) for label in labels]
        scalars = {n: row[n] for n in SCALARS}
        extras = _extras(row, quantities, labels)
        number = int(np.ravel_multi_index(place, shape))
        found[number] = Answer(**scalars, minima=tuple(minima), extras=extras)
    return found


def _extras(row: Mapping[str, Any], quantities: Sequence[str], labels: Sequence[str]) -> Any:
    """The quantities in a row, as `measured` gave them."""
    found = {}
    for name in quantities:
        for place, column in (
            (None, name),
            *((row[f"position_{label}"], f"{name}_{label}") for label in labels),
        ):
            value = row.get(column, math.nan)
            if not math.isnan(value):
                found[name, place] = value, row.get(f"{column}_error", math.nan)
    return found or None
