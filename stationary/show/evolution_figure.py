"""An evolution, drawn: densities, quantiles and moments over time."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from stationary.aliases import Array
from stationary.evolution.evolution import Evolution
from stationary.numbers.elementary import distinct
from stationary.show.drawing import (
    ACROSS,
    BLUE,
    GREY,
    INK,
    MARKED,
    RED,
    UNSEEN,
    Axes,
    Sheet,
    add_legend,
    is_dark,
    symbol_of,
)
from stationary.show.evolution import over_time

CURVES = 6  # times at which the density is drawn
SHARP = 30.0  # times the even density, beyond which a logarithmic axis shows more
DEEPEST = 1e-6  # of the highest density that such an axis shows
LEVELS = (UNSEEN, 0.025, 0.25, 0.5, 0.75, 0.975, 1 - UNSEEN)  # the range, and the bands


def figure(e: Evolution, sheet: Sheet) -> None:
    """Density against x at a few times, P(X <= x) over time, and mean and deviation over time."""
    density, quantiles, moments = sheet.panels(2.3, 2.3, 1.9)
    q = np.array([e.at(t).ppf(LEVELS) for t in e.times])
    _densities(e, density, q)
    _quantiles(e, quantiles, q[:, 1:-1])
    _moments(e, moments)
    first, last = float(e.times[0]), float(e.times[-1])
    limits = (min(first, 0.0), last) if last > first else (0.0, last or 1.0)
    for axes in (quantiles, moments):
        axes.set(xlim=limits, ylabel=symbol_of(e.diffusion.variable))
    moments.set_xlabel(_unit(e))


def _unit(e: Evolution) -> str:
    return "steps" if e.diffusion.time_unit.startswith("step") else e.diffusion.time_unit


def _reach(q: Array) -> tuple[float, float]:
    """From the least to the largest of quantiles, with a margin."""
    low, high = float(np.nanmin(q)), float(np.nanmax(q))
    margin = 0.05 * (high - low) or 0.5
    return low - margin, high + margin


def _densities(e: Evolution, axes: Axes, q: Array) -> None:
    """The density at a few times, over cells no narrower than can be seen."""
    import matplotlib

    low, high = _reach(q)
    # A start at a point has no density.
    first = int(e.initial.point is not None and e.times[0] == 0 and len(e.times) > 1)
    chosen = distinct(np.rint(np.linspace(first, len(e.times) - 1, CURVES)).astype(int))
    ends = (0.3, 1.0) if is_dark(axes) else (0.0, 0.9)  # what is seen on the paper
    colours = matplotlib.colormaps["viridis"](np.linspace(*ends, len(chosen)))
    x = distinct(np.linspace(low, high, ACROSS + 1))  # fewer where doubles do not tell them apart
    top = 0.0
    for k, colour in zip(chosen, colours, strict=True):
        p = np.diff(e.at(e.times[k]).cdf(x)) / np.diff(x)
        top = max(top, float(p.max()))
        axes.stairs(p, x, color=colour, lw=1.1, label=f"{e.times[k]:g}")
    if top > SHARP / (high - low):  # narrow peaks would flatten all the rest
        axes.set_yscale("log")
        axes.set_ylim(top * DEEPEST, 2 * top)
    else:
        axes.set_ylim(bottom=0)
    axes.set(xlim=(low, high), xlabel=symbol_of(e.diffusion.variable), ylabel="density")
    add_legend(axes, most=7, columnspacing=1.2, handlelength=1.2, title=_unit(e))


def _quantiles(e: Evolution, axes: Axes, q: Array) -> None:
    """Bands between quantiles over time."""
    low, high = _reach(q)
    t = e.times
    kind: dict[str, Any] = {"color": BLUE, "lw": 0}
    axes.fill_between(t, q[:, 0], q[:, 4], alpha=0.18, label="95 %", **kind)
    axes.fill_between(t, q[:, 1], q[:, 3], alpha=0.40, label="50 %", **kind)
    axes.plot(t, q[:, 2], color=BLUE, label="median", **_marks(e))
    for point in e.end_state.anatomy.equilibria:
        if low < float(point.position) < high:
            style = "-" if point.stable else ":"
            axes.axhline(float(point.position), color=GREY, lw=0.6, ls=style, zorder=0.5)
    axes.set_ylim(low, high)
    add_legend(axes)


def _marks(e: Evolution) -> dict[str, Any]:
    return {"marker": "o" if len(e.times) <= MARKED else None, "ms": 2.5}


def _moments(e: Evolution, axes: Axes) -> None:
    known, _ = over_time(e)
    for name, values, errors, end, colour in (
        ("mean", e.mean, e.mean_error, "mean", INK),
        ("deviation", e.std, e.std_error, "std", RED),
    ):
        if known is not None:
            errors = np.hypot(errors, np.nan_to_num(getattr(known, end)))
        axes.plot(e.times, values, color=colour, label=name, **_marks(e))
        axes.fill_between(e.times, values - errors, values + errors, color=colour, alpha=0.25, lw=0)
        if e.total_variation_to_end is not None:
            value = float(getattr(e.end_state, end)())
            if math.isfinite(value):
                axes.axhline(value, color=colour, lw=0.7, ls="--", zorder=0.5)
    if e.total_variation_to_end is not None:
        axes.plot([], [], color=GREY, lw=0.7, ls="--", label="in the end")
    if known is not None:
        axes.fill_between([], [], [], color=GREY, alpha=0.25, lw=0, label="standard error")
    add_legend(axes)
