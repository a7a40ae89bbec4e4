"""A figure of a sweep: which minimum dominates where, or the masses along a single axis."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from stationary.errors import StationaryError
from stationary.questions.sweeps.sweep import Sweep
from stationary.show.figures.drawing import BASINS, GREY, HEIGHT, INK, add_legend, new_figure, style
from stationary.show.reports.sweep import value_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_phases"]

Array = NDArray[Any]

SPREAD = 8.0  # of the largest value over the smallest, from which an axis is logarithmic
MOST_NAMED = 12  # minima in the legend
MARKED = 40  # values from which the points of a curve are not marked one by one


def plot_phases(sweep: Sweep, ax: Axes | None = None, *, quantity: str | None = None) -> Axes:
    """Which minimum dominates over two axes, with the crossovers as lines; or masses over one.

    Of more than two axes with several values, the last two are drawn (the learning rate is the
    last of all); the others are at their first value, as the title says. Points that could not be
    computed, or where no minimum dominates, are hatched.

    Parameters
    ----------
    sweep
        What `sweep` returned.
    ax
        Axes to draw on; by default those of a new figure.
    quantity
        The name of a column of numbers to draw instead, over the last axis that has several
        values, with a curve for each value of the one before; by default the first quantity that
        was asked for.
    """
    import matplotlib

    if quantity is None and sweep.quantities:
        quantity = sweep.quantities[0]
    drawn = _drawn_axes(sweep)
    with matplotlib.rc_context(style()):
        if ax is None:
            ax = new_figure(0.6 * HEIGHT if len(drawn) == 2 else 0.5 * HEIGHT).add_subplot()
        title = _title(sweep, drawn)
        if title:
            ax.set_title(title, loc="left", pad=18)
        if quantity is not None:
            _draw_quantity(ax, sweep, drawn, quantity)
            return ax
        if len(drawn) == 2:
            _draw_phases(ax, sweep, drawn[0], drawn[1])
        else:
            _draw_masses(ax, sweep, drawn[0])
        if len(sweep.labels) <= MOST_NAMED:
            add_legend(ax)
    return ax


def _draw_quantity(ax: Axes, sweep: Sweep, drawn: Sequence[str], quantity: str) -> None:
    """One column, or that of each minimum, over the last axis, with its error where that shows."""
    data = sweep.table()
    named = [quantity] if quantity in data else [f"{quantity}_{i}" for i in sweep.labels]
    named = [n for n in named if n in data and data[n].dtype.kind == "f"]
    if not named:
        raise StationaryError(
            f"{sweep.name}: there is no column {quantity!r} of numbers to draw. Ask for it, as in "
            f'sweep(..., quantities=["{quantity}"]), or take one of {", ".join(data)}.'
        )
    rows = _slice(sweep, drawn)
    index = {id_: i for i, id_ in enumerate(map(tuple, sweep.places.tolist()))}
    names = list(sweep.axes)
    across, others = drawn[-1], drawn[:-1]
    values = sweep.axes[across]
    curves: dict[Any, list[tuple[int, int]]] = {}
    whole = [0] * len(names)
    for place, _ in rows:
        for name, i in zip(drawn, place, strict=True):
            whole[names.index(name)] = i
        curves.setdefault(place[:-1], []).append((place[-1], index[tuple(whole)]))
    shown: list[Array] = []
    for k, (place, points) in enumerate(curves.items()):
        x = [float(values[i]) for i, _ in points]
        at = [n for _, n in points]
        for m, column in enumerate(named):
            y, error = data[column][at], data.get(f"{column}_error", np.full(len(data[column]), 0))
            parts = [
                f"{n} = {value_text(sweep.axes[n][i])}" for n, i in zip(others, place, strict=True)
            ]
            parts += [_name(sweep, int(column.rpartition("_")[2]))] if len(named) > 1 else []
            style = ("-", "--", ":", "-.")[k % 4]
            colour = _colour(m if len(named) > 1 else k)
            marker = "." if len(x) < MARKED else ""
            bars = np.nan_to_num(error[at], posinf=0.0)
            label = ", ".join(parts) or None
            ax.errorbar(
                x, y, bars, color=colour, ls=style, marker=marker, label=label, clip_on=False
            )
            shown.append(y[np.isfinite(y)])
    every = np.concatenate(shown)
    if len(every) and every.min() > 0 and every.max() / every.min() > SPREAD**2:
        ax.set_yscale("log")
    _prepare(ax, across, values, upright=False)
    ax.set_xlim(min(map(float, values)), max(map(float, values)))
    ax.set_ylabel(quantity.replace("_", " "))
    if ax.get_legend_handles_labels()[1]:
        ax.legend(frameon=False)


def _drawn_axes(sweep: Sweep) -> list[str]:
    """The axis that goes up the page, if there are two, and the one that goes across it."""
    several = list(sweep.swept)
    if not several:
        return list(sweep.axes)[-1:]
    return several[-2:]


def _title(sweep: Sweep, drawn: Sequence[str]) -> str:
    fixed = [name for name in sweep.swept if name not in drawn]
    parts = [f"{name} = {value_text(sweep.axes[name][0])}" for name in fixed]
    if not sweep.complete:
        parts.append("not complete")
    return ", ".join(parts)


def _slice(sweep: Sweep, drawn: Sequence[str]) -> list[tuple[tuple[int, ...], Any]]:
    """The rows that are drawn, each with its indices along the axes that are drawn."""
    names = list(sweep.axes)
    keep = [names.index(name) for name in drawn]
    others = [i for i in range(len(names)) if i not in keep]
    return [
        (tuple(place[i] for i in keep), row)
        for place, row in zip(sweep.places, sweep.rows, strict=True)
        if all(place[i] == 0 for i in others)
    ]


def _is_log(values: Sequence[float]) -> bool:
    return len(values) > 1 and min(values) > 0 and max(values) / min(values) >= SPREAD


def _edges(values: Sequence[float]) -> Array:
    """The borders of cells around the values of an axis."""
    v = np.array(values, dtype=float)
    if len(v) == 1:
        return np.array([v[0] - 0.5, v[0] + 0.5])
    log = _is_log(values)
    v = np.log(v) if log else v
    middle = (v[1:] + v[:-1]) / 2
    edges = np.concatenate([[v[0] - (v[1] - v[0]) / 2], middle, [v[-1] + (v[-1] - v[-2]) / 2]])
    return np.exp(edges) if log else edges


def _colour(label: int) -> str:
    return BASINS[label % len(BASINS)]


def _name(sweep: Sweep, label: int) -> str:
    where = sweep.table()[f"position_{label}"]
    low, high = f"{np.nanmin(where):.3g}", f"{np.nanmax(where):.3g}"
    at = low if low == high else f"{low} to {high}"
    return f"minimum {label}, at {at}"


def _prepare(ax: Axes, name: str, values: Sequence[Any], upright: bool) -> None:
    """Label and scale an axis as its values are."""
    axis = ax.yaxis if upright else ax.xaxis
    (ax.set_ylabel if upright else ax.set_xlabel)(name.replace("_", " "))
    if isinstance(values[0], bool):
        axis.set_ticks([float(v) for v in values], [str(v) for v in values])
    elif _is_log(values):
        (ax.set_yscale if upright else ax.set_xscale)("log")
    if name == "batch_size" and len(values) <= MOST_NAMED:
        axis.set_ticks([float(v) for v in values], [str(v) for v in values])
        axis.set_ticks([], minor=True)


def _draw_phases(ax: Axes, sweep: Sweep, up: str, across: str) -> None:
    from matplotlib.colors import ListedColormap

    x, y = sweep.axes[across], sweep.axes[up]
    table = np.full((len(y), len(x)), np.nan)
    seen = np.zeros(table.shape, dtype=bool)
    for (j, i), row in _slice(sweep, (up, across)):
        seen[j, i] = True
        if row.dominant is not None:
            table[j, i] = row.dominant
    _prepare(ax, across, x, False)
    _prepare(ax, up, y, True)
    xs, ys = _edges(x), _edges(y)
    labels = [label for label in sweep.labels if (table == label).any()]
    if labels:
        colours = ListedColormap([_colour(k) for k in range(max(sweep.labels) + 1)])
        limits: dict[str, Any] = {"vmin": -0.5, "vmax": max(sweep.labels) + 0.5}
        ax.pcolormesh(xs, ys, table, cmap=colours, rasterized=True, alpha=0.75, lw=0, **limits)
    _hatch(ax, xs, ys, seen & np.isnan(table))
    _draw_boundary(ax, sweep, up, across)
    ax.set_xlim(xs[0], xs[-1])
    ax.set_ylim(ys[0], ys[-1])
    for label in labels:
        style: dict[str, Any] = {"marker": "s", "ms": 6, "ls": "", "alpha": 0.75}
        ax.plot([], [], color=_colour(label), label=_name(sweep, label), **style)


def _hatch(ax: Axes, xs: Array, ys: Array, cells: Array) -> None:
    """Hatch the cells that have no answer."""
    from matplotlib.collections import PolyCollection

    corners = [
        [(xs[i], ys[j]), (xs[i + 1], ys[j]), (xs[i + 1], ys[j + 1]), (xs[i], ys[j + 1])]
        for j, i in np.argwhere(cells)
    ]
    if corners:
        ax.add_collection(
            PolyCollection(
                corners, facecolor="white", edgecolor=GREY, hatch="////", lw=0, label="no answer"
            )
        )


def _draw_boundary(ax: Axes, sweep: Sweep, up: str, across: str) -> None:
    """Lines through the crossovers of neighbouring rows or columns of the diagram."""
    lines: dict[tuple[Any, ...], list[tuple[float, float, int]]] = {}
    fixed = {name: sweep.axes[name][0] for name in sweep.swept if name not in (up, across)}
    for c in sweep.crossovers:
        if math.isnan(c.value) or any(c.fixed.get(k, v) != v for k, v in fixed.items()):
            continue
        other = across if c.axis == up else up
        if other not in c.fixed or c.axis not in (up, across):
            continue
        at = c.fixed[other]
        k = sweep.axes[other].index(at)
        place = (c.value, float(at), k) if c.axis == across else (float(at), c.value, k)
        lines.setdefault((c.axis, *sorted((c.below, c.above))), []).append(place)
    for points in lines.values():
        for piece in _pieces(points):
            ax.plot(
                [p[0] for p in piece], [p[1] for p in piece], color=INK, lw=1.2, marker=".", ms=3
            )


def _pieces(points: list[tuple[float, float, int]]) -> list[list[tuple[float, float, int]]]:
    """Crossovers at consecutive values of the other axis, one line for each such run."""
    pieces: list[list[tuple[float, float, int]]] = []
    for point in sorted(points, key=lambda p: p[2]):
        run = next((r for r in pieces if r[-1][2] == point[2] - 1), None)
        if run is None:
            pieces.append([point])
        else:
            run.append(point)
    return pieces


def _draw_masses(ax: Axes, sweep: Sweep, across: str) -> None:
    values = sweep.axes[across]
    rows = [(float(values[i]), row) for (i,), row in _slice(sweep, (across,))]
    marker = "o" if len(values) <= MARKED else ""
    for label in sweep.labels:
        here = [
            (x, row.minima[label].log_mass if label in row.minima else math.nan) for x, row in rows
        ]
        mass = np.exp([log for _, log in here])
        name = _name(sweep, label)
        ax.plot([x for x, _ in here], mass, color=_colour(label), marker=marker, ms=3, label=name)
    for c in sweep.crossovers:
        if c.axis == across and not math.isnan(c.value):
            ax.axvline(c.value, color=GREY, lw=0.5, ls=":", zorder=0.5)
    lost = [x for x, row in rows if not row.minima]
    if lost:
        ax.plot(
            lost,
            np.full(len(lost), 0.0),
            color=INK,
            marker="x",
            ls="",
            ms=4,
            clip_on=False,
            label="no answer",
        )
    _prepare(ax, across, values, False)
    ax.set_ylabel("probability")
    ax.set_ylim(-0.03, 1.03)
