"""Walkers as a histogram; first passages over where they start."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from stationary.errors import StationaryError
from stationary.show.figures.drawing import BLUE, INK, RED, on_axes, symbol_of
from stationary.simulation.result import Simulation
from stationary.states.first_passage import FirstPassage

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_passage", "plot_simulation"]


def plot_simulation(s: Simulation, *, ax: Axes | None = None) -> Axes:
    """The density of each bin, with its standard error."""
    widths = np.diff(s.edges)
    density, error = s.mass / widths, s.mass_error / widths

    def draw(axes: Axes) -> None:
        axes.stairs(density, s.edges, color=BLUE)
        middle = (s.edges[1:] + s.edges[:-1]) / 2
        axes.errorbar(middle, density, error, fmt="none", ecolor=INK, elinewidth=0.5)
        seen = np.flatnonzero(s.mass > 0)
        if len(seen):
            axes.set_xlim(s.edges[seen[0]], s.edges[seen[-1] + 1])
        axes.set_ylim(bottom=0)
        axes.set_xlabel(symbol_of(s.variable))
        axes.set_ylabel("density of the walkers")

    return on_axes(ax, draw)


def plot_passage(p: FirstPassage, *, ax: Axes | None = None) -> Axes:
    """The mean time until the first target, over the start, and the deviation around it."""
    if np.ndim(p.mean.log) != 1 or len(p.mean.log) < 2:
        raise StationaryError(
            f"{p.diffusion.name}: a passage is drawn over its starts, and there is one. Give "
            "several, as in first_passage(process, np.linspace(-1, 1, 101), 2)."
        )
    order = np.argsort(np.asarray(p.start, dtype=float))
    x = np.asarray(p.start, dtype=float)[order]
    mean = np.asarray(p.mean.log, dtype=float)[order] / math.log(10)
    spread = np.asarray(p.variance.log, dtype=float)[order] / 2 / math.log(10)
    even = np.ptp(mean[np.isfinite(mean)]) < 2 if np.isfinite(mean).any() else False

    def draw(axes: Axes) -> None:
        for name, log, colour in (("mean", mean, BLUE), ("standard deviation", spread, RED)):
            shown = np.where(np.isfinite(log), log, np.nan)
            axes.plot(x, 10.0**shown if even else shown, color=colour, label=name)
        axes.set_xlim(x[0], x[-1])
        axes.set_xlabel(f"start {symbol_of(p.diffusion.variable)}")
        unit = "steps" if p.diffusion.time_unit == "step" else "time"
        axes.set_ylabel(f"first passage [{unit}]" if even else f"log10 of first passage [{unit}]")
        axes.legend(frameon=False)

    return on_axes(ax, draw)
