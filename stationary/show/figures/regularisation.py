"""A figure of a regularisation path: the masses of the basins against the noise that was added."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from stationary.questions.regularisation.path import RegularisationPath
from stationary.show.figures.drawing import BASINS, GREY, HEIGHT, INK, WIDTH, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_path"]


def plot_path(path: RegularisationPath, ax: Axes | None = None) -> Axes:
    """Masses against eps, and the exact ones as marks at the left edge.

    Parameters
    ----------
    path
        What `regularisation_path` returned.
    ax
        Axes to draw on; by default those of a new figure.
    """
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    v = path.exact.diffusion.variable
    with matplotlib.rc_context(style()):
        if ax is None:
            figure = Figure(figsize=(WIDTH, 0.5 * HEIGHT), layout="constrained")
            FigureCanvasAgg(figure)
            ax = figure.add_subplot()
        eps = path.epsilons
        low, high = (float(eps[-1]), float(eps[0])) if len(eps) else (1e-6, 1.0)
        edge = low / (high / low) ** 0.06 if high > low else low / 10
        for k, place in enumerate(path.basins):
            colour = INK if place.kind == "between" else BASINS[k % len(BASINS)]
            if place.kind == "transient":
                colour = GREY
            where = f"{place.lower:.3g} to {place.upper:.3g}"
            label = where if place.position is None else f"{v} = {place.position:.4g}"
            ax.plot(eps, path.masses[:, k], color=colour, marker="o", ms=3, label=label)
            if place.exact is not None:
                ax.plot([edge], [place.exact], color=colour, marker="D", ms=6, clip_on=False)
        ax.set_xscale("log")
        ax.set_xlim(edge, high * (high / low) ** 0.02 if high > low else 10 * high)
        ax.set_ylim(-0.03, 1.03)
        ax.set_xlabel(r"noise added to the variance, $\epsilon$  ($\diamond$: exact)")
        ax.set_ylabel("probability")
        if len(path.basins) <= 12:
            columns = math.ceil(min(len(path.basins), 4))
            ax.legend(frameon=False, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=columns)
        if not np.isfinite(path.log_masses).any():
            ax.text(0.5, 0.5, "no end state", ha="center", transform=ax.transAxes)
    return ax
