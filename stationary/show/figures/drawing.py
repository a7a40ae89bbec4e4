"""What all panels of a figure share: the style, axes, labels and legends."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import isotonic_regression

from stationary.errors import LandscapeError
from stationary.show.figures.view import (
    View,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "BASINS",
    "BLUE",
    "DECADES",
    "DEEPEST",
    "FURTHEST",
    "GREY",
    "HEIGHT",
    "INK",
    "MANY",
    "MINUS",
    "MOST_ZOOMS",
    "NORMAL",
    "OUTCOMES",
    "RED",
    "SMALL",
    "STEEP",
    "UNDATED",
    "WIDTH",
    "add_legend",
    "draw_hairlines",
    "finish_axes",
    "finite_only",
    "label_basins",
    "label_curves",
    "limit_axis",
    "new_figure",
    "on_axes",
    "settle_layout",
    "sized",
    "style",
    "suited",
    "symbol_of",
]

Array = NDArray[Any]

WIDTH, HEIGHT = 6.0, 6.5  # inches: three panels in a column of a journal
SMALL, NORMAL = 8.0, 9.0  # points
MANY = 12  # datapoints from which their quantiles are drawn instead
DECADES = 12  # of a logarithmic axis, unless a basin lies lower
DEEPEST = 100  # decades beyond which even a basin is not followed

# The palette of M. Okabe and K. Ito, which stays apart for colour-blind readers.
BLUE, RED, GREY, INK = "#0072B2", "#D55E00", "#8C8C8C", "#222222"
BASINS = ("#56B4E9", "#E69F00", "#009E73", "#CC79A7", "#0072B2", "#D55E00")
OUTCOMES = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
MOST_ZOOMS = 3
STEEP = 1e3  # times the range of its middle half: the rest of a curve is then cut off
FURTHEST = 100.0  # units from a peak to the double next to it, from which it is then counted
MINUS = "\N{MINUS SIGN}"

STYLE: Any = {
    "axes.edgecolor": INK,
    "axes.facecolor": "white",
    "axes.formatter.limits": (-3, 4),
    "axes.formatter.use_mathtext": True,
    "axes.grid": False,
    "axes.labelcolor": INK,
    "axes.labelsize": NORMAL,
    "axes.linewidth": 0.6,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": SMALL,
    "figure.facecolor": "white",
    "font.size": SMALL,
    "legend.fontsize": SMALL,
    "lines.linewidth": 1.2,
    "pdf.fonttype": 42,
    "savefig.bbox": "standard",
    "savefig.transparent": False,
    "svg.hashsalt": "stationary",  # the same figure gives the same file
    "text.color": INK,
    "text.usetex": False,
    "xtick.labelsize": SMALL,
    "xtick.major.width": 0.6,
    "ytick.labelsize": SMALL,
    "ytick.major.width": 0.6,
}
WIDTHS = {"column": 3.4, "page": 7.0}  # inches, of most journals
_width: ContextVar[float] = ContextVar("width", default=WIDTH)
UNDATED: dict[str, Any] = {".png": {}, ".svg": {"Date": None}, ".pdf": {"CreationDate": None}}


def label_basins(axes: Axes, named: Sequence[tuple[float, str]], view: View) -> float:
    """Write each label above its place, side by side; the share of the height that this took."""
    if not named:
        return 0.03
    named = sorted(named)
    settle_layout(axes.figure)
    box = axes.get_window_extent()
    centred: dict[str, Any] = {"ha": "center", "va": "center", "transform": axes.transAxes}
    texts = [axes.text(0.5, 0.5, label, fontsize=SMALL, **centred) for _, label in named]
    extents = [t.get_window_extent() for t in texts]
    widths = np.array([e.width for e in extents]) / box.width + 0.02
    line = 1.35 * max(e.height for e in extents) / box.height
    rows = min(len(named), math.ceil(widths.sum() / 0.9))
    strip = float(rows * line + 0.08)
    place = (np.array([x for x, _ in named]) - view.lower) / (view.upper - view.lower)
    for row in range(rows):
        mine = slice(row, None, rows)
        w = widths[mine]
        # The nearest places that keep order and distance: less the distances, they must ascend.
        before = np.cumsum(w) - w / 2
        z = isotonic_regression(place[mine] - before).x
        z = np.clip(z, 0, max(0.0, 1 - w.sum()))
        for text, x, there in zip(texts[mine], z + before, place[mine], strict=True):
            y = 1 - (row + 0.5) * line
            text.set_position((float(x), y))
            # A line to another label may pass behind this one, or a stretch without noise.
            if rows > 1 or len(view.cuts):
                text.set_bbox({"facecolor": "white", "alpha": 0.8, "lw": 0, "pad": 0.5})
            ends = [x, there], [y - line / 2, 1 - strip]
            axes.plot(*ends, color=GREY, lw=0.5, zorder=2.5, transform=axes.transAxes)
    return strip


def label_curves(axes: Axes, curves: Sequence[tuple[str, str, Array, Array]]) -> None:
    """Write the name of each curve next to it, where it meets neither a curve nor a name."""
    settle_layout(axes.figure)
    frame = axes.get_window_extent()
    drawn = []
    for _, _, x, y in curves:
        known = np.isfinite(x) & np.isfinite(y)
        path = axes.transData.transform(np.stack([x[known], y[known]], axis=1))
        steps = np.linspace(0, 1, 8, endpoint=False)[:, None, None]
        drawn.append((path[:-1] + steps * np.diff(path, axis=0)).reshape(-1, 2))
    whole = np.concatenate(drawn)
    taken: list[Any] = []
    for (name, colour, _, _), own in zip(curves, drawn, strict=True):
        text = axes.text(0, 0, name, color=INK, ha="center", va="center", zorder=5)
        box = text.get_window_extent()
        w, h = box.width / 2 + 3, box.height / 2 + 1.5
        best = (math.inf, 0.0, 0.0)
        for k in np.unique(np.linspace(0, len(own) - 1, 160).astype(int)):
            for dx, dy in ((0, 1), (0, -1), (1, 0.6), (-1, 0.6), (1, -0.6), (-1, -0.6)):
                cx, cy = own[k, 0] + dx * (w + 2), own[k, 1] + dy * (h + 2)
                inside = (np.abs(whole[:, 0] - cx) < w) & (np.abs(whole[:, 1] - cy) < h)
                out = max(frame.x0 - cx + w, cx + w - frame.x1, 0.0)
                out += max(frame.y0 - cy + h, cy + h - frame.y1, 0.0)
                hit = sum(
                    abs(bx - cx) < w + bw and abs(by - cy) < h + bh for bx, by, bw, bh in taken
                )
                # Rather where the end is likely, and away from the names that are there.
                near = min((math.hypot(bx - cx, by - cy) for bx, by, _, _ in taken), default=1e3)
                likely = (own[k, 1] - frame.y0) / frame.height
                cost = (
                    10 * inside.sum() + 1e4 * hit + 100 * out + 20 / near - likely + 0.5 * (dy < 0)
                )
                if cost < best[0]:
                    best = float(cost), cx, cy
        _, cx, cy = best
        taken.append((cx, cy, w, h))
        text.set_transform(axes.transAxes)
        text.set_position(((cx - frame.x0) / frame.width, (cy - frame.y0) / frame.height))
        text.set_color(colour)


def symbol_of(variable: str) -> str:
    """A variable as it stands in a formula."""
    if len(variable) == 1 and variable.isalpha():
        return f"${variable}$"
    return variable.replace("$", r"\$")


def add_legend(axes: Axes) -> None:
    """A line above the panel, where it covers nothing."""
    names = axes.get_legend_handles_labels()[1]
    if names:
        columns = 4 if len(names) == 4 and sum(map(len, names)) < 56 else 3
        place: dict[str, Any] = {"loc": "lower center", "bbox_to_anchor": (0.5, 1.0)}
        place["ncols"] = columns
        space: dict[str, Any] = {"borderaxespad": 0.1, "columnspacing": 1.5, "handlelength": 1.5}
        if sum(map(len, names)) > 45:  # clear of the powers of ten at both sides
            space |= {"columnspacing": 1.0, "handletextpad": 0.4}
        axes.legend(frameon=False, **place, **space)


def style() -> Any:
    """Our settings of matplotlib, but for what the user has set otherwise, as by a style sheet."""
    from matplotlib import rcParams, rcParamsDefault

    return {k: v for k, v in STYLE.items() if rcParams[k] == rcParamsDefault[k]}


@contextmanager
def sized(width: float | str | None) -> Iterator[None]:
    """New figures so many inches wide, or as a "column" or a "page" of a journal."""
    inches = WIDTHS.get(width, width) if isinstance(width, str) else width
    if not (inches is None or (isinstance(inches, (int, float)) and 1 <= inches <= 100)):
        raise LandscapeError(
            f'plot(width={width!r:.40}): it is "column", "page", or a number of inches from 1 on.'
        )
    token = _width.set(inches or WIDTH)
    try:
        yield
    finally:
        _width.reset(token)


def new_figure(height: float) -> Figure:
    from stationary.show.figures.picture import Picture

    return Picture(figsize=(_width.get(), height), layout="constrained")


def suited(figure: Any, *, journal: bool) -> None:
    """Ink that shows on dark paper; letters in place of a title, for a journal."""
    from matplotlib.colors import to_hex, to_rgb

    paper = figure.axes[0].get_facecolor() if figure.axes else "white"
    if sum(to_rgb(paper)) < 1.5:
        exchanged = {INK: "#e6e6e6", GREY.lower(): "#9a9a9a"}
        kinds = ("color", "facecolor", "edgecolor", "markerfacecolor", "markeredgecolor")
        for artist, kind in product(figure.findobj(), kinds):
            get: Any = getattr(artist, f"get_{kind}", None)
            put: Any = getattr(artist, f"set_{kind}", None)
            hollow = {"#ffffff": paper} if kind == "markerfacecolor" else {}
            with suppress(ValueError, TypeError, AttributeError, KeyError):
                put((exchanged | hollow)[to_hex(get())])
    if journal:
        figure.suptitle("")
        places = [a for a in figure.axes if a.get_subplotspec() is not None]
        first = {id(a.get_subplotspec()): a for a in reversed(places)}
        panels = [a for a in places if first[id(a.get_subplotspec())] is a]
        for letter, axes in zip("abcdefgh", panels if len(panels) > 1 else [], strict=False):
            axes.annotate(
                letter,
                (0, 1),
                (-28, 4),
                "axes fraction",
                "offset points",
                weight="bold",
                va="bottom",
            )


def settle_layout(figure: Any) -> None:
    """Give everything its place."""
    figure.figure.draw_without_rendering()  # of the whole figure, if this is a part of one


def on_axes(ax: Axes | None, draw: Callable[[Axes], None]) -> Axes:
    """Draw on the given axes, or on new ones on a figure of their own."""
    import matplotlib

    with matplotlib.rc_context(style()):
        axes = new_figure(0.37 * HEIGHT).add_subplot() if ax is None else ax
        draw(axes)
    return axes


def finish_axes(axes: Axes, view: View) -> None:
    axes.set_xlim(view.lower, view.upper)
    axes.set_xlabel(symbol_of(view.variable))


def draw_hairlines(axes: Axes, view: View, top: float = 1.0) -> None:
    """A line through the panels at each minimum."""
    for x in view.stable:
        axes.axvline(x, ymax=top, color=GREY, lw=0.5, ls=":", zorder=0.5)


def finite_only(values: Array) -> Array:
    """The values, with nan (which is not drawn) for those no axis could hold."""
    return np.where(np.abs(values) < 1e290, values, np.nan)


def limit_axis(
    axes: Axes, view: View, x: Array, y: Array, others: Array | None = None, *, room: float = 1.0
) -> None:
    """Limit the axis of y so that steep walls do not flatten what lies between them.

    Shown are the values between the outermost equilibria with as much again on either side, and
    those on half of x or more; on a ring, all. What else is drawn, `others`, takes up to `room`
    times that.
    """
    known = np.isfinite(y)
    if not known.any():
        return
    x, y = x[known], y[known]
    even = np.interp(np.linspace(view.lower, view.upper, 501), x, y)
    at = view.stable + view.unstable
    inner = y[(x >= min(at)) & (x <= max(at))] if len(at) > 1 else y[:0]
    if view.is_ring:
        low, high = y.min(), y.max()
    elif len(inner):
        low, high = np.quantile(even, [0.25, 0.75])
        span = np.ptp(inner)
        low, high = min(low, inner.min() - span), max(high, inner.max() + span)
    else:
        low, first, third, high = np.quantile(even, [0.02, 0.25, 0.75, 0.98])
        if high - low > STEEP * (third - first) > 0:
            low, high = first, third
        low, high = low - (high - low) / 2, high + (high - low) / 2
    low, high = max(low, y.min()), min(high, y.max())
    if others is not None:
        span = room * (high - low)
        low = min(low, max(low - span, np.nanmin(others)))
        high = max(high, min(high + span, np.nanmax(others)))
    margin = 0.06 * (high - low) or 0.5 * abs(high) or 1.0
    axes.set_ylim(low - margin, high + margin)
