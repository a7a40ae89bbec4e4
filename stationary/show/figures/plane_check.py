"""SGD's own steps in the plane against its diffusion, drawn."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from stationary.plane.finite import PlaneCheck
from stationary.show.figures.drawing import BLUE, INK, RED, style
from stationary.show.reports.plane_check import verdict_text

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["plot_check"]


def plot_check(check: PlaneCheck) -> Figure:
    """For each quantity how far chain and walkers are from the diffusion, in proportion."""
    import textwrap

    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(style()):
        figure = Figure(figsize=(6.0, 1.4 + 0.3 * len(check.names)), layout="constrained")
        axes = figure.add_subplot()
        place = np.arange(len(check.names))
        base = check.diffusion.values
        scale = np.abs(base).copy()
        scale[:2], scale[4] = base[2:4], 1.0  # means by deviations, a correlation as it is
        for shift, found, colour, label in (
            (-0.12, check.chain, RED, "exact chain"),
            (0.12, check.walkers, BLUE, "walkers"),
        ):
            if found is not None:
                axes.errorbar(
                    100 * (found.values - base) / scale, place + shift,
                    xerr=100 * found.errors / scale, fmt="o", markersize=4, color=colour,
                    capsize=2, label=label,
                )  # fmt: skip
        axes.axvline(0, color=INK, linewidth=0.8)
        axes.set_yticks(place, check.names)
        axes.invert_yaxis()
        axes.set_xlabel("difference from the diffusion (%; of means, of a deviation)")
        if axes.get_legend_handles_labels()[1]:
            axes.legend(frameon=False, fontsize=8)
        axes.set_title("\n".join(textwrap.wrap(verdict_text(check), 80)), fontsize=8)
    return figure
