"""The figure of an end state in the plane: density, basins and current, marginals at the sides."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from stationary.plane.state import PlaneState
from stationary.show.figures.drawing import BLUE, GREY, INK, RED, style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["plot_plane", "window"]

Array = NDArray[Any]

PIXELS = 241
LEVELS = (2.0, 4.0, 8.0, 12.0, 16.0)  # of -log P above the peak


def window(state: PlaneState) -> tuple[tuple[float, float], ...]:
    """The ends of the axes: all but 1e-5 of the probability, and the equilibria."""
    ends = []
    for k in (0, 1):
        low, high = state.marginal(k).interval(1 - 1e-5)
        inside = [float(e.position[k]) for e in state.equilibria]
        edges = state.marginal(k).support()
        inside = [v for v in inside if edges[0] <= v <= edges[1]]
        low, high = min([low, *inside]), max([high, *inside])
        room = 0.06 * (high - low)
        ends.append((max(low - room, edges[0]), min(high + room, edges[1])))
    return tuple(ends)


def plot_plane(state: PlaneState, log: bool = False) -> Figure:
    """Density (logarithmic with `log`), basins, equilibria, current, and the marginals."""
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(style()):
        figure = Figure(figsize=(6.5, 6.0), layout="constrained")
        grid = figure.add_gridspec(2, 2, width_ratios=(4, 1), height_ratios=(1, 4))
        axes = figure.add_subplot(grid[1, 0])
        top = figure.add_subplot(grid[0, 0], sharex=axes)
        side = figure.add_subplot(grid[1, 1], sharey=axes)
        (x0, x1), (y0, y1) = window(state)
        x, y = np.linspace(x0, x1, PIXELS), np.linspace(y0, y1, PIXELS)
        points = np.stack([v.ravel() for v in np.meshgrid(x, y)])
        height = np.asarray(state.energy(points)).reshape(PIXELS, PIXELS)
        shown = -np.minimum(height, 18.0) if log else np.exp(-height)
        axes.pcolormesh(x, y, shown, cmap="Blues", shading="gouraud", rasterized=True)
        finite = np.where(np.isfinite(height), height, 1e3)
        axes.contour(x, y, finite, levels=LEVELS, colors=GREY, linewidths=0.4)
        if len(state.basins) > 1:
            label = np.asarray(state.basin_of(points)).reshape(PIXELS, PIXELS)
            for k in range(int(label.max())):
                axes.contour(x, y, (label <= k).astype(float), levels=[0.5], colors=RED,
                             linewidths=0.9, linestyles="dashed")  # fmt: skip
        if not state.curl.local:
            _stream(state, axes, x, y)
        marks = {"stable": ("o", RED), "saddle": ("x", INK)}
        for e in state.equilibria:
            if x0 <= e.position[0] <= x1 and y0 <= e.position[1] <= y1:
                mark, colour = marks.get(e.kind, ("s", GREY))
                axes.plot(*e.position, mark, color=colour, markersize=5)
        names = ("q", "v") if state.diffusion.variable == "(q, v)" else tuple(
            f"${state.diffusion.variable}_{k}$" for k in (1, 2))  # fmt: skip
        axes.set(xlabel=names[0], ylabel=names[1], xlim=(x0, x1), ylim=(y0, y1))
        top.plot(x, state.marginal(0).pdf(x), color=BLUE)
        side.plot(state.marginal(1).pdf(y), y, color=BLUE)
        for panel in (top, side):
            panel.tick_params(labelbottom=panel is side, labelleft=panel is top)
        top.set(ylim=(0, None), ylabel="density")
        side.set(xlim=(0, None), xlabel="density")
        figure.suptitle(_title(state), fontsize=9)
    return figure


def _stream(state: PlaneState, axes: Any, x: Array, y: Array) -> None:
    """The current as streamlines, thick where it is strong."""
    some = slice(None, None, 4)
    points = np.stack([v.ravel() for v in np.meshgrid(x[some], y[some])])
    u, v = np.nan_to_num(state.current(points)).reshape(2, len(y[some]), -1)
    size = np.hypot(u, v)
    width = 0.2 + 1.2 * np.sqrt(size / size.max())
    faint = size < 1e-5 * size.max()
    axes.streamplot(
        x[some], y[some], np.where(faint, np.nan, u), np.where(faint, np.nan, v), color=INK,
        linewidth=width, density=1.1, arrowsize=0.7,
    )  # fmt: skip


def _title(state: PlaneState) -> str:
    parts = [state.diffusion.name]
    if state.curl.local:
        parts.append("no current")
    elif state.curl.fraction is not None:
        parts.append(f"{100 * state.curl.fraction:.2g} % of the driving circulates")
    return ": ".join(parts)
