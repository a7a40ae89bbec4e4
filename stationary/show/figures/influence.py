"""A figure of influence: what leaving each datapoint out changes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from stationary.questions.influence import Influence
from stationary.show.figures.drawing import BLUE, GREY, HEIGHT, RED, WIDTH, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_influence"]

NAMED = 5  # datapoints that are named


def plot_influence(i: Influence, ax: Axes | None = None) -> Axes:
    """The changes by datapoint, those with the most influence named."""
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with matplotlib.rc_context(style()):
        if ax is None:
            figure = Figure(figsize=(WIDTH, 0.45 * HEIGHT), layout="constrained")
            FigureCanvasAgg(figure)
            ax = figure.add_subplot()
        change = -i.of_ratio() / (i.datapoints - 1)
        ax.axhline(0, color=GREY, lw=0.6)
        ax.vlines(np.arange(i.datapoints), 0, change, color=BLUE, lw=0.8)
        for j, c, _ in i.top(NAMED):
            ax.plot([j], [c], marker="o", ms=3, color=RED)
            ax.annotate(str(j), (j, c), textcoords="offset points", xytext=(3, 3), color=RED)
        what = "the mean"
        if i.pair is not None:
            what = "log(mass at {:.4g} / mass at {:.4g})".format(*(i.basins[k] for k in i.pair))
        ax.set_xlabel("datapoint that is left out")
        ax.set_ylabel("change")
        ax.set_title(f"of {what}")
        ax.margins(x=0.02, y=0.12)
    return ax
