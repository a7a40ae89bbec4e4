"""The basins of an analysis by themselves, as its report and its lists have them."""

from __future__ import annotations

from typing import Any

from stationary.show.layout import Report, report
from stationary.show.listing import basin_data, basin_table
from stationary.show.report import basin_lines
from stationary.states.basin import Basins

table = basin_table


def text(basins: Basins) -> Report:
    if not basins:
        return report({"Basins": ["There are none."]})
    analysis = basins[0].owner
    name = f"Basins of {analysis.diffusion.name}"
    return report({name: basin_lines(analysis.rounded, analysis.shown_sgd)})


def data(basins: Basins) -> dict[str, Any]:
    return {"basins": basin_data(basins)}
