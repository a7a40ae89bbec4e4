"""A figure of a fit: drift and variance with their bands, the histogram under the density."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from stationary.show.figures.drawing import BLUE, GREY, HEIGHT, INK, RED, WIDTH, style
from stationary.sources.series.fit import Fit

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["plot_fit"]

BINS = 60
SEEN = (0.001, 0.999)  # quantiles of the series between which curves are drawn


def plot_fit(fit: Fit, **settings: Any) -> Figure:
    """Three panels over x: f, a, each with two standard errors, and P over the histogram."""
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    values = fit.runs.all
    low, high = np.quantile(values, SEEN)
    x = np.linspace(low, high, 301)
    with matplotlib.rc_context(style()):
        figure = Figure(figsize=(WIDTH, HEIGHT), layout="constrained")
        FigureCanvasAgg(figure)
        drift, variance, density = figure.subplots(3, sharex=True)
        for axes, centre, error, colour, name in (
            (drift, fit.drift(x), fit.drift_error(x), RED, "drift $f$"),
            (variance, fit.variance(x), fit.variance_error(x), BLUE, "variance $a$"),
        ):
            axes.fill_between(
                x, centre - 2 * error, centre + 2 * error, color=colour, alpha=0.2, lw=0
            )
            axes.plot(x, centre, color=colour)
            axes.set_ylabel(name)
        drift.axhline(0, color=GREY, lw=0.6)
        variance.set_ylim(bottom=0)
        density.hist(values, BINS, range=(low, high), density=True, color=GREY, alpha=0.4)
        whole = np.linspace(*fit.domain, 2001)
        log_p = fit.log_density(whole)
        norm = np.log(np.trapezoid(np.exp(log_p - log_p.max()), whole)) + log_p.max()
        density.plot(x, np.exp(fit.log_density(x) - norm), color=INK)
        density.set_ylabel("density $P$, and the series")
        density.set_xlabel("$x$")
    return figure
