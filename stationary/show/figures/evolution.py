"""A figure of an evolution: where the probability is over time, and its mean and deviation."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from stationary.evolution.evolution import Evolution
from stationary.show.figures.drawing import (
    BLUE,
    GREY,
    HEIGHT,
    INK,
    RED,
    new_figure,
    style,
    symbol_of,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["plot_evolution"]

Array = NDArray[Any]

CURVES = 6  # times at which the density is drawn
COLUMNS = 600  # of the picture of the density
SHARP = 30.0  # times the even density, beyond which a logarithmic axis shows more
DEEPEST = 1e-6  # of the highest density that such an axis shows
SEEN = 1e-3  # of all probability, on either side, that need not be in the picture


def plot_evolution(e: Evolution) -> Figure:
    """Density against x at a few times, P(X <= x) over time, and mean and deviation over time."""
    import matplotlib

    with matplotlib.rc_context(style()):
        figure = new_figure(HEIGHT)
        axes = figure.subplots(3, 1, height_ratios=(1.1, 1.1, 0.9))
        low, high = _range(e)
        _densities(e, axes[0], low, high)
        _quantiles(e, axes[1])
        _moments(e, axes[2])
    return figure


def _range(e: Evolution) -> tuple[float, float]:
    """The interval that holds all but a little of the probability at all times."""
    below = e._below
    atoms = sum((a.weights for a in e.atoms), np.zeros(len(e.times)))
    some = np.flatnonzero((below > SEEN).any(axis=0))
    rest = np.flatnonzero((below[:, -1:] - below > SEEN).any(axis=0))
    low = e.edges[max(some[0] - 1, 0)] if len(some) else e.edges[0]
    high = e.edges[min(rest[-1] + 1, e.cells)] if len(rest) else e.edges[-1]
    places = [a.position for a in e.atoms if a.weights.max() > SEEN] if atoms.max() > 0 else []
    low, high = min([float(low), *places]), max([float(high), *places])
    margin = 0.03 * (high - low) or 0.5
    return low - margin, high + margin


def _densities(e: Evolution, axes: Axes, low: float, high: float) -> None:
    """The density at a few times, over cells no narrower than can be seen."""
    import matplotlib
    from scipy.interpolate import PchipInterpolator

    # A start at a point has no density.
    first = int(e.initial.point is not None and e.times[0] == 0 and len(e.times) > 1)
    chosen = np.unique(np.rint(np.linspace(first, len(e.times) - 1, CURVES)).astype(int))
    colours = matplotlib.colormaps["viridis"](np.linspace(0.0, 0.9, len(chosen)))
    x = np.linspace(low, high, COLUMNS + 1)
    tops = []
    for k, colour in zip(chosen, colours, strict=True):
        # A smooth rise from edge to edge: cells may be wider than columns.
        below = PchipInterpolator(e.edges, e._below[k])
        p = np.diff(below(np.clip(x, e.edges[0], e.edges[-1]))) / np.diff(x)
        tops.append(float(p.max()))
        label = f"{e.times[k]:g}"
        axes.stairs(p, x, color=colour, lw=1.1, label=label)
    if max(tops) > SHARP / (high - low):  # narrow peaks would flatten all the rest
        axes.set_yscale("log")
        axes.set_ylim(max(tops) * DEEPEST, 2 * max(tops))
    else:
        axes.set_ylim(bottom=0)
    axes.set_xlim(low, high)
    axes.set_xlabel(symbol_of(e.diffusion.variable))
    axes.set_ylabel("density")
    axes.legend(
        frameon=False,
        loc="lower center",
        bbox_to_anchor=(0.5, 1.0),
        ncols=7,
        title=None,
        columnspacing=1.2,
        handlelength=1.2,
    )
    axes.set_title(_unit(e), loc="left", pad=8)


def _unit(e: Evolution) -> str:
    return "steps:" if e.diffusion.time_unit.startswith("step") else f"{e.diffusion.time_unit}:"


def _quantiles(e: Evolution, axes: Axes) -> None:
    """Bands between quantiles over time."""
    levels = np.array([0.025, 0.25, 0.5, 0.75, 0.975])
    q = np.array([_at_levels(e, k, levels) for k in range(len(e.times))])
    low, high = float(q.min()), float(q.max())
    margin = 0.05 * (high - low) or 0.5
    low, high = low - margin, high + margin
    t = e.times
    kind: dict[str, Any] = {"color": BLUE, "lw": 0}
    axes.fill_between(t, q[:, 0], q[:, 4], alpha=0.18, label="95 %", **kind)
    axes.fill_between(t, q[:, 1], q[:, 3], alpha=0.40, label="50 %", **kind)
    axes.plot(t, q[:, 2], color=BLUE, label="median", marker="o" if len(t) == 1 else None, ms=3)
    for point in e.end_state.anatomy.equilibria:
        if low < float(point.position) < high:
            style = "-" if point.stable else ":"
            axes.axhline(float(point.position), color=GREY, lw=0.6, ls=style, zorder=0.5)
    axes.set_ylim(low, high)
    axes.set_xlim(*_times(e))
    axes.set_ylabel(symbol_of(e.diffusion.variable))
    axes.legend(frameon=False, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3)


def _times(e: Evolution) -> tuple[float, float]:
    first, last = float(e.times[0]), float(e.times[-1])
    return (min(first, 0.0), last) if last > first else (0.0, last or 1.0)


def _at_levels(e: Evolution, k: int, levels: Array) -> Array:
    """Quantiles at one time, with the atoms as jumps."""
    x = np.concatenate([e.edges, [a.position for a in e.atoms]])
    step = np.concatenate([np.diff(e._below[k], prepend=0.0), [a.weights[k] for a in e.atoms]])
    order = np.argsort(x, kind="stable")
    x, total = x[order], np.cumsum(step[order])
    after = np.minimum(np.searchsorted(total, levels * total[-1], side="left"), len(x) - 1)
    before = np.maximum(after - 1, 0)
    rise = total[after] - total[before]
    share = np.where(
        rise > 0, (levels * total[-1] - total[before]) / np.where(rise > 0, rise, 1), 1
    )
    return np.asarray(x[before] + np.clip(share, 0, 1) * (x[after] - x[before]))


def _moments(e: Evolution, axes: Axes) -> None:
    marker = "o" if len(e.times) == 1 else None
    for values, errors, colour, name in (
        (e.mean, e.mean_error, INK, "mean"),
        (e.std, e.std_error, RED, "deviation"),
    ):
        axes.plot(e.times, values, color=colour, label=name, marker=marker, ms=3)
        axes.fill_between(e.times, values - errors, values + errors, color=colour, alpha=0.25, lw=0)
    end = e.end_state
    if e.total_variation_to_end is not None:
        for value, colour in ((float(end.mean()), INK), (float(end.std()), RED)):
            if math.isfinite(value):
                axes.axhline(value, color=colour, lw=0.7, ls="--", zorder=0.5)
    axes.set_xlim(*_times(e))
    unit = e.diffusion.time_unit
    axes.set_xlabel("steps" if unit.startswith("step") else unit)
    axes.set_ylabel(symbol_of(e.diffusion.variable))
    axes.legend(
        frameon=False,
        loc="lower center",
        bbox_to_anchor=(0.5, 1.0),
        ncols=2,
        title="in the end: dashed" if e.total_variation_to_end is not None else None,
    )
