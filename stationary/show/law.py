"""An end state by itself, and the figure of it or of the law of SGD's own chain."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from stationary.analysis import Analysis
from stationary.chain.state import ChainState
from stationary.errors import LandscapeError
from stationary.show import report
from stationary.show.density import Stem, draw_density, draw_stems
from stationary.show.drawing import BLUE, RED, UNSEEN, Axes, Sheet, symbol_of
from stationary.show.layout import Report
from stationary.show.listing import density_table, state_data
from stationary.show.outcomes import draw_outcomes
from stationary.show.view import View
from stationary.states.basins import basins_of
from stationary.states.distribution import EndState

BINS = 161  # edges of bins for what has no density that cells show


def text(law: EndState) -> Report:
    """The report of an analysis of its diffusion."""
    return report.text(Analysis(law.diffusion, law))


def data(law: EndState) -> dict[str, Any]:
    """What the JSON of an analysis carries of it: as doubles, with the errors of such."""
    return {"name": law.diffusion.name} | state_data(law.rounded)


def table(law: EndState, points: int = 1001) -> dict[str, Any]:
    """The density, a row per point."""
    return density_table(law, points)


def figure(
    law: EndState | ChainState, sheet: Sheet, *, log: bool = False, panel: str = "density"
) -> None:
    """The density (logarithmic with `log`); of an end state, or "outcomes" by the start."""
    axes = sheet.axes(2.4)
    if isinstance(law, ChainState):
        _draw_cells(axes, law, log=log)
        return
    view = View(law)
    if panel == "outcomes":
        draw_outcomes(axes, law, view)
    elif panel == "density":
        draw_density(axes, law, basins_of(law), view, log=log)
    else:
        raise LandscapeError(f'{sheet.name}: plot(panel={panel!r:.40}): "density" or "outcomes".')


def _draw_cells(axes: Axes, law: ChainState, *, log: bool) -> None:
    """The density of each cell, or of bins of cells, and atoms as stems on an axis of their own."""
    edges = law.edges
    if len(edges):
        log_mass = np.asarray(law.log_mass)
        below = np.cumsum(np.exp(log_mass))
        seen = np.flatnonzero((below > UNSEEN) & (below < below[-1] - UNSEEN))
        shown = slice(seen[0], seen[-1] + 2) if len(seen) else slice(None)
        log_mass = log_mass[shown]
        edges = edges[shown.start or 0 :][: len(log_mass) + 1]
        if law.has_density is not True:  # finer cells only tower higher: what they hold together
            bins = np.linspace(edges[0], edges[-1], BINS)[:-1]
            starts = np.unique(np.searchsorted(edges, bins))
            log_mass = np.logaddexp.reduceat(log_mass, starts)
            edges = np.append(edges[starts], edges[-1])
        alpha = None if log else 0.6
        height = np.exp(log_mass - np.log(np.diff(edges)))
        axes.stairs(height, edges, color=BLUE, fill=not log, alpha=alpha)
        axes.set_xlim(edges[0], edges[-1])
        axes.set(yscale="log") if log else axes.set_ylim(bottom=0)
    atoms = [Stem(float(a.position), math.log(a.weight), RED) for a in law.atoms if a.weight]
    if atoms:
        alone = not len(edges)
        draw_stems(axes if alone else axes.twinx(), atoms, log=False, alone=alone)
    if len(edges) or not atoms:
        axes.set_ylabel("density of the chain")
    axes.set_xlabel(symbol_of("w"))
    if not math.isfinite(law.error):
        axes.set_title("its error is not known", loc="right")
