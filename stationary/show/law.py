"""An end state by itself, in words, as data and as a table."""

from __future__ import annotations

from typing import Any

from stationary.analysis import Analysis
from stationary.show import report
from stationary.show.layout import Report
from stationary.show.listing import density_table, state_data
from stationary.states.distribution import EndState


def text(law: EndState) -> Report:
    """The report of an analysis of its diffusion."""
    return report.text(Analysis(law.of_adam or law.diffusion, law))


def data(law: EndState) -> dict[str, Any]:
    """What the JSON of an analysis carries of it: as doubles, with the errors of such."""
    return {"name": law.diffusion.name} | state_data(law.rounded)


def table(law: EndState, points: int = 1001) -> dict[str, Any]:
    """The density, a row per point."""
    return density_table(law, points)
