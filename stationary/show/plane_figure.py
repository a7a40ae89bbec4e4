"""The figure of an end state in the plane: density, basins and current, marginals at the sides."""

from __future__ import annotations

from typing import Any

import numpy as np

from stationary.numbers.elementary import Array
from stationary.plane.state import PlaneState
from stationary.show.drawing import BLUE, GREY, INK, RED, Sheet
from stationary.show.plane import window

__all__ = ["figure"]


PIXELS = 241
LEVELS = (2.0, 4.0, 8.0, 12.0, 16.0)  # of -log P above the peak
DEEPEST = 18.0  # of a logarithmic density
MARKS = {"stable": ("o", RED), "saddle": ("x", INK)}


def figure(state: PlaneState, sheet: Sheet, *, log: bool = False) -> None:
    """Density (logarithmic with `log`), basins, equilibria, current, and the marginals."""
    if sheet.ax is not None:
        _draw_plane(sheet.ax, state, log=log)
        return
    grid = sheet.grid(1.1, 4.4, widths=(4, 1))
    figure = sheet.figure
    axes = figure.add_subplot(grid[1, 0])
    top = figure.add_subplot(grid[0, 0], sharex=axes)
    side = figure.add_subplot(grid[1, 1], sharey=axes)
    x, y = _draw_plane(axes, state, log=log)
    top.plot(x, state.marginal(0).pdf(x), color=BLUE)
    side.plot(state.marginal(1).pdf(y), y, color=BLUE)
    for panel in (top, side):
        panel.tick_params(labelbottom=panel is side, labelleft=panel is top)
    top.set(ylim=(0, None), ylabel="density")
    side.set(xlim=(0, None), xlabel="density")
    figure.suptitle(_title(state), fontsize="medium")


def _draw_plane(axes: Any, state: PlaneState, *, log: bool) -> tuple[Array, Array]:
    x, y = (np.linspace(*ends, PIXELS) for ends in window(state))
    points = np.stack([v.ravel() for v in np.meshgrid(x, y)])
    height = np.asarray(state.energy(points)).reshape(PIXELS, PIXELS)
    shown = -np.minimum(height, DEEPEST) if log else np.exp(-height)
    axes.pcolormesh(x, y, shown, cmap="Blues", shading="gouraud", rasterized=True)
    finite = np.where(np.isfinite(height), height, 1e3)
    axes.contour(x, y, finite, levels=LEVELS, colors=GREY, linewidths=0.4)
    if len(state.basins) > 1:
        label = np.asarray(state.basin_of(points)).reshape(PIXELS, PIXELS)
        border: dict[str, Any] = {"colors": RED, "linewidths": 0.9, "linestyles": "dashed"}
        for k in range(int(label.max())):
            axes.contour(x, y, _smooth(label <= k), levels=[0.5], **border)
    if not state.curl.local:
        _stream(state, axes, x, y)
    for e in state.equilibria:
        if x[0] <= e.position[0] <= x[-1] and y[0] <= e.position[1] <= y[-1]:
            mark, colour = MARKS.get(e.kind, ("s", GREY))
            axes.plot(*e.position, mark, color=colour, markersize=5)
    v = state.diffusion.variable
    names = ("q", "v") if v == "(q, v)" else (f"${v}_1$", f"${v}_2$")
    limits = {"xlim": (x[0], x[-1]), "ylim": (y[0], y[-1])}
    axes.set(xlabel=names[0], ylabel=names[1], **limits)
    return x, y


def _smooth(inside: Array) -> Array:
    """Ones and zeros blurred over a few pixels: the contour at half is then no staircase."""
    from scipy.ndimage import gaussian_filter

    return np.asarray(gaussian_filter(inside.astype(float), 1.5, mode="nearest"))


def _stream(state: PlaneState, axes: Any, x: Array, y: Array) -> None:
    """The current as streamlines, thick where it is strong."""
    x, y = x[::4], y[::4]
    points = np.stack([v.ravel() for v in np.meshgrid(x, y)])
    u, v = np.nan_to_num(state.current(points)).reshape(2, len(y), -1)
    size = np.hypot(u, v)
    faint = size < 1e-5 * size.max()
    u, v = np.where(faint, np.nan, (u, v))
    kind: dict[str, Any] = {"color": INK, "density": 1.1, "arrowsize": 0.7}
    axes.streamplot(x, y, u, v, linewidth=0.2 + 1.2 * np.sqrt(size / size.max()), **kind)


def _title(state: PlaneState) -> str:
    name, share = state.diffusion.name, state.curl.fraction
    if state.curl.local:
        return f"{name}: no current"
    return name if share is None else f"{name}: {100 * share:.2g} % of the driving circulates"
