"""A figure of what a schedule freezes in: shares and learning rate over the steps."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stationary.annealing.anneal import Annealing
from stationary.show.figures.drawing import BASINS, GREY, HEIGHT, WIDTH, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_annealing"]


def plot_annealing(found: Annealing, ax: Axes | None = None) -> Axes:
    """The share of each basin, what it would be in balance, and where it freezes.

    Parameters
    ----------
    found
        What `anneal` returned.
    ax
        Axes to draw on; by default those of a new figure.
    """
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    course = found.course
    with matplotlib.rc_context(style()):
        if ax is None:
            figure = Figure(figsize=(WIDTH, 0.5 * HEIGHT), layout="constrained")
            FigureCanvasAgg(figure)
            ax = figure.add_subplot()
        for i, place in enumerate(found.minima):
            colour = BASINS[i % len(BASINS)]
            ax.plot(found.steps, course.shares[:, i], color=colour, label=f"w = {place:.4g}")
            ax.plot(found.steps, course.balance[:, i], color=colour, lw=0.8, ls=(0, (4, 2)))
        ax.plot([], [], color=GREY, lw=0.8, ls=(0, (4, 2)), label="in balance at that rate")
        for f in course.freezes:
            if 0 < f.step < found.steps[-1]:
                ax.axvline(f.step, color=GREY, lw=0.8)
                text = f" frozen,\n $T$ = {f.learning_rate:.3g}"
                ax.text(f.step, 0.5, text, color=GREY, va="center", fontsize="small")
        ax.set_xlabel("step")
        ax.set_ylabel("share of the runs")
        ax.set_ylim(-0.03, 1.03)
        ax.set_xlim(0, float(found.steps[-1]))
        ax.legend(frameon=False, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=4)
        right = ax.twinx()
        right.plot(found.steps, found.rates, color=GREY, lw=1.0, ls=":")
        right.set_ylabel("learning rate $T$", color=GREY)
        right.set_ylim(bottom=0)
    return ax
