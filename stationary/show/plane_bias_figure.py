"""A basin of the plane that is stretched: measured against the law, drawn."""

from __future__ import annotations

import numpy as np

from stationary.plane.width import PlaneWidthBias
from stationary.show.drawing import BLUE, RED, Sheet, add_legend
from stationary.show.plane_figure import figure as plane_figure
from stationary.wording import LN10

__all__ = ["figure"]


def figure(bias: PlaneWidthBias, sheet: Sheet) -> None:
    """Marks for what was measured, lines for the law; the end state where nothing was stretched."""
    if bias.factors is None:
        plane_figure(bias.state, sheet)
        return
    axes = sheet.axes(2.6)
    order = np.argsort(bias.factors)
    x = bias.factors[order]
    for what, colour, label in (("density", BLUE, "density at the minimum"), ("mass", RED, "mass")):
        measured, law = (
            np.asarray(getattr(bias, f"{kind}_{what}"))[order] / LN10 for kind in ("log", "law")
        )
        axes.plot(x, law, color=colour, lw=0.8, label=f"{label}, by the law")
        axes.plot(x, measured, "o", ms=4, color=colour, label=f"{label}, measured")
    axes.set_xlabel(f"factor by which minimum {bias.minimum} is stretched ({bias.direction})")
    axes.set_ylabel(r"$\log_{10}$ (stretched / as it was)")
    add_legend(axes)
