"""Figures of an analysis: losses, gradient and noise, and the end state, on one axis of x.

Everything drawn is in the result already or evaluated from it. matplotlib is imported inside the
functions, and its settings are left as they were.
"""

from __future__ import annotations

import math
import os
import textwrap
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import isotonic_regression

from stationary.analysis import Analysis
from stationary.basins import Basin, basins_of
from stationary.distribution import EndState
from stationary.errors import LandscapeError, Status
from stationary.landscape import Landscape
from stationary.view import WORK, View, mass_label, rest_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["plot_analysis", "plot_density", "plot_gradients", "plot_losses", "save"]

Array = NDArray[Any]

WIDTH, HEIGHT = 6.0, 6.5  # inches: three panels in a column of a journal
SMALL, NORMAL = 8.0, 9.0  # points
MANY = 12  # datapoints from which their quantiles are drawn instead
DECADES = 12  # of a logarithmic axis, unless a basin lies lower
DEEPEST = 100  # decades beyond which even a basin is not followed

# The palette of M. Okabe and K. Ito, which stays apart for colour-blind readers.
BLUE, RED, GREY, INK = "#0072B2", "#D55E00", "#8C8C8C", "#222222"
BASINS = ("#56B4E9", "#E69F00", "#009E73", "#CC79A7", "#0072B2", "#D55E00")

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
UNDATED: dict[str, Any] = {".png": {}, ".svg": {"Date": None}, ".pdf": {"CreationDate": None}}


# -- figures ------------------------------------------------------------------------------------


def plot_analysis(analysis: Analysis, *, log: bool = False) -> Figure:
    """Losses, gradient and noise, and end state, one above another on the same x.

    Parameters
    ----------
    analysis
        What `analyze` returned.
    log
        Whether the density has a logarithmic axis.
    """
    import matplotlib

    view = View.of(analysis.end_state)
    with matplotlib.rc_context(STYLE):
        figure = _figure(HEIGHT)
        figure.suptitle(_title(analysis), x=0.01, ha="left", fontsize=NORMAL, parse_math=False)
        top, middle, bottom = figure.subplots(3, sharex=True)
        _draw_losses(top, analysis, view)
        _draw_gradients(middle, analysis, view)
        _draw_density(bottom, analysis.end_state, analysis.basins, view, log=log)
        for axes in (top, middle):
            axes.set_xlabel("")
        figure.align_ylabels([top, middle, bottom])
        _settle(figure)
    return figure


def plot_losses(analysis: Analysis, ax: Axes | None = None) -> Axes:
    """The loss of each datapoint and their mean; for a `Diffusion`, -int 2 f / a."""
    view = View.of(analysis.end_state)
    return _panel(ax, lambda axes: _draw_losses(axes, analysis, view))


def plot_gradients(analysis: Analysis, ax: Axes | None = None) -> Axes:
    """G and S2 (or drift and variance), the second on an axis at the right, and the equilibria."""
    view = View.of(analysis.end_state)
    return _panel(ax, lambda axes: _draw_gradients(axes, analysis, view))


def plot_density(
    analysis_or_end_state: Analysis | EndState, ax: Axes | None = None, *, log: bool = False
) -> Axes:
    """The density of the end state, its basins shaded and labelled with their masses."""
    given = analysis_or_end_state
    state = given if isinstance(given, EndState) else given.end_state
    view = View.of(state)
    return _panel(ax, lambda axes: _draw_density(axes, state, basins_of(state), view, log=log))


def save(figure: Figure, path: str | Path) -> None:
    """Write a figure to `path`, as its suffix says: .png (200 dpi), .svg or .pdf.

    Raises
    ------
    LandscapeError
        If the suffix is another one, or the file cannot be written; a file that was there
        before is then left as it was.
    """
    import matplotlib

    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in UNDATED:
        what = f"the suffix {path.suffix!r}" if suffix else "a name without a suffix"
        raise LandscapeError(f"{path}: {what} names no kind of figure. Use .png, .svg or .pdf.")
    if not path.parent.is_dir():
        raise LandscapeError(
            f"{path}: the folder {path.parent} does not exist. Make it, or choose another."
        )
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with part.open("wb") as file, matplotlib.rc_context(STYLE):
            figure.savefig(file, format=suffix[1:], dpi=200, metadata=UNDATED[suffix])
        os.replace(part, path)
    except OSError as error:
        raise LandscapeError(
            f"{path}: the figure cannot be written: {error.strerror or error}."
        ) from error
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)


# -- panels -------------------------------------------------------------------------------------


def _draw_losses(axes: Axes, analysis: Analysis, view: View) -> None:
    landscape = analysis.landscape
    if landscape is not None and landscape.losses is not None:
        _draw_loss_table(axes, landscape, view)
    elif landscape is not None:
        # Gradients know the losses up to a constant each: the mean is drawn from its least value.
        x = view.coarse(landscape.datapoints)
        g = landscape.moments(x)[0]
        mean = np.append(0.0, np.cumsum(np.diff(x) * (g[1:] + g[:-1]) / 2))
        axes.plot(x, mean - mean.min(), color=INK)
        axes.set_ylabel("mean loss, ∫ $G$ d$w$")
        _limit(axes, view, x, mean - mean.min())
    else:
        x, exponent = _exponents(analysis, view)
        axes.plot(x, exponent, color=INK)
        axes.set_ylabel(f"\N{MINUS SIGN}∫ 2 $f$ / $a$ d{_symbol(view.variable)}")
        _limit(axes, view, x, exponent)
    _hairlines(axes, view)
    _finish(axes, view)


def _exponents(analysis: Analysis, view: View) -> tuple[Array, Array]:
    """-int 2 f / a on each piece of the line, from its lowest point, with gaps between pieces."""
    x, exponent = [np.empty(0)], [np.empty(0)]
    for piece in analysis.end_state.anatomy.pieces:
        found = piece.survey
        inside = view.x[(view.x >= found.lower) & (view.x <= found.upper)]
        if len(inside):
            climb = _finite(-found.panels.evaluate(found.phi, inside))
            x += [inside, np.array([np.nan])]
            exponent += [climb - np.nanmin(climb), np.array([np.nan])]
    return np.concatenate(x[:-1]), np.concatenate(exponent[:-1])


def _draw_loss_table(axes: Axes, landscape: Landscape, view: View) -> None:
    """The loss of each datapoint, or quantiles of many, and the mean."""
    n = landscape.datapoints
    x = view.coarse(n)
    size = max(1, WORK // 16 // n)
    parts = []
    for i in range(0, len(x), size):  # in memory that does not grow with datapoints x points
        table = landscape.loss_table(x[i : i + size])
        assert table is not None
        kept = table if n <= MANY else np.quantile(table, [0.05, 0.25, 0.75, 0.95], axis=0)
        parts.append(np.concatenate([kept, table.mean(axis=0, keepdims=True)]))
    rows = _finite(np.concatenate(parts, axis=1))
    if n <= MANY:
        for j, row in enumerate(rows[:-1]):
            axes.plot(x, row, color=GREY, lw=0.7, label="" if j else "each datapoint")
    else:
        for i, shade, label in ((0, 0.2, "5 to 95 %"), (1, 0.4, "25 to 75 % of datapoints")):
            axes.fill_between(x, rows[i], rows[3 - i], color=BLUE, alpha=shade, lw=0, label=label)
    axes.plot(x, rows[-1], color=INK, lw=1.6, label="mean")
    axes.set_ylabel("loss")
    _legend(axes)
    _limit(axes, view, x, rows[-1], rows, room=1.0 if n <= MANY else 2.0)


def _draw_gradients(axes: Axes, analysis: Analysis, view: View) -> None:
    landscape = analysis.landscape
    x = view.x if landscape is None else view.coarse(landscape.datapoints)
    with np.errstate(all="ignore"):
        if landscape is None:
            labels = "drift $f$", "variance $a$"
            pair = analysis.diffusion.coefficients(x)
        else:
            labels = "mean gradient $G$", "gradient variance $S_2$"
            pair = landscape.moments(x)
    right = axes.twinx()
    axes.set_zorder(right.get_zorder() + 1)  # the equilibria lie on top
    axes.patch.set_visible(False)
    axes.axhline(0, color=GREY, lw=0.5)
    axes.plot(x, _finite(pair[0]), color=BLUE)
    right.plot(x, _finite(pair[1]), color=RED, ls=(0, (4, 1.2)))
    for at, kind, face in ((view.stable, "stable", INK), (view.unstable, "unstable", "white")):
        style: dict[str, Any] = {"ms": 4.5, "mfc": face, "mec": INK, "mew": 0.9, "zorder": 4}
        if at:
            label = f"{kind} equilibrium"
            axes.plot(at, np.zeros(len(at)), "o", label=label, clip_on=False, **style)
    for which, values, label, colour in zip((axes, right), pair, labels, (BLUE, RED), strict=True):
        _limit(which, view, x, _finite(values))
        which.set_ylabel(label, color=colour)
        which.tick_params(axis="y", colors=colour)
    right.set_ylim(bottom=0)
    right.spines["right"].set(visible=True, color=RED)
    right.spines["left"].set_visible(False)
    axes.spines["left"].set_color(BLUE)
    _legend(axes)
    _hairlines(axes, view)
    _finish(axes, view)


def _draw_density(
    axes: Axes, state: EndState, basins: Sequence[Basin], view: View, *, log: bool
) -> None:
    _finish(axes, view)
    if state.kind == "none":
        _draw_reason(axes, state.reason)
        return
    axes.set_ylabel(f"density $P$({_symbol(view.variable)})")
    named = [(b.position, mass_label(b.log_mass, rest_of(basins, b))) for b in basins]
    named += [(a.position, mass_label(math.log(a.weight))) for a in state.atoms if a.weight > 0]
    strip = _label(axes, [mark for mark in named if view.holds(mark[0])], view)
    _hairlines(axes, view, 1 - strip)
    log_p = state.logpdf(view.x) if state.components else np.full(view.x.shape, -math.inf)
    low, high = _density_limits(state, basins, view, log_p, strip, log=log)
    # A density that diverges leaves the picture at a finite height, which files can hold.
    height = np.exp(np.clip(log_p, math.log(low) - 3 if log else None, math.log(high) + 3))
    tops = np.maximum(height, low)
    ends = [(b.lower, b.upper) for b in basins] or [(view.lower, view.upper)]
    for i, (lower, upper) in enumerate(np.clip(ends, view.lower, view.upper).tolist()):
        inside = (view.x >= lower) & (view.x <= upper)
        colour = BASINS[i % len(BASINS)]
        axes.fill_between(view.x[inside], low, tops[inside], color=colour, alpha=0.6, lw=0)
        axes.axvspan(lower, upper, color=colour, alpha=0.1, lw=0)
    axes.plot(view.x, height, color=INK)
    for atom in state.atoms:
        axes.axvline(atom.position, ymax=1 - strip, color=RED, lw=1.6)
    foot: dict[str, Any] = {"transform": axes.get_xaxis_transform(), "clip_on": False, "zorder": 4}
    minima = [b.position for b in basins if view.holds(b.position)]
    if minima:
        axes.plot(minima, np.zeros(len(minima)), "o", ms=4.5, color=INK, label="minimum", **foot)
    if log:
        axes.set_yscale("log")
    axes.set_ylim(low, high)
    if state.status is not Status.CONVERGED:
        axes.set_title(f"estimated error {state.error:.0e}", loc="right")


def _draw_reason(axes: Axes, reason: str) -> None:
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    points = axes.get_window_extent().width / axes.figure.dpi * 72
    lines = textwrap.fill(reason, max(20, int(points / (0.55 * SMALL))))
    middle: dict[str, Any] = {"ha": "center", "va": "center", "transform": axes.transAxes}
    axes.text(0.5, 0.5, f"There is no end state.\n\n{lines}", parse_math=False, **middle)


def _density_limits(
    state: EndState, basins: Sequence[Basin], view: View, log_p: Array, strip: float, *, log: bool
) -> tuple[float, float]:
    """The range of the density axis, with a strip above for the labels."""
    inside = np.linspace(view.lower, view.upper, 501)[1:-1]
    even = log_p[np.searchsorted(view.x, inside)]
    heights = [m.log_density for m in state.modes if view.holds(m.position)]
    peak = float(log_p.max())
    if math.inf in heights:
        # Where the density diverges, the height of the rest decides.
        usual = float(np.quantile(even, 0.97)) + math.log(1.6)
        peak = max([usual, *(h for h in heights if h < math.inf)])
    if math.isinf(peak):  # atoms alone
        return (0.1 if log else 0.0), 1.0
    if not log:
        return 0.0, math.exp(peak) * 1.03 / (1 - strip)
    decade = math.log(10)
    least = float(even[np.isfinite(even)].min(initial=peak))
    wanted = [peak - DECADES * decade]
    for basin in basins:
        seen = log_p[(view.x >= basin.lower) & (view.x <= basin.upper)]
        crest = float(seen.max(initial=-math.inf))
        if crest > peak - DEEPEST * decade:  # with enough of the axis below it to be seen
            wanted.append(crest - max(3 * decade, (peak - crest) / 8))
    bottom = max(min(max(min(wanted), least), peak - decade), -650.0)
    top = bottom + (peak - bottom) * 1.03 / (1 - strip)
    return math.exp(bottom), math.exp(min(top, 700.0))


# -- labels -------------------------------------------------------------------------------------


def _label(axes: Axes, named: Sequence[tuple[float, str]], view: View) -> float:
    """Write each label above its place, side by side; the share of the height that this took."""
    if not named:
        return 0.03
    named = sorted(named)
    _settle(axes.figure)
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
            if rows > 1:  # a line to another label may pass behind this one
                text.set_bbox({"facecolor": "white", "alpha": 0.8, "lw": 0, "pad": 0.5})
            ends = [x, there], [y - line / 2, 1 - strip]
            axes.plot(*ends, color=GREY, lw=0.5, zorder=2.5, transform=axes.transAxes)
    return strip


def _title(analysis: Analysis) -> str:
    name = textwrap.shorten(analysis.diffusion.name, 64, placeholder=" …")
    landscape = analysis.landscape
    if landscape is None:
        return f"{name}   ({analysis.diffusion.convention.title})"
    rate, batch, n = landscape.learning_rate, landscape.batch_size, landscape.datapoints
    return f"{name}   T = {rate:g}, B = {batch}, N = {n}"


def _symbol(variable: str) -> str:
    """A variable as it stands in a formula."""
    if len(variable) == 1 and variable.isalpha():
        return f"${variable}$"
    return variable.replace("$", r"\$")


def _legend(axes: Axes) -> None:
    """A line above the panel, where it covers nothing."""
    if axes.get_legend_handles_labels()[0]:
        place: dict[str, Any] = {"loc": "lower center", "bbox_to_anchor": (0.5, 1.0), "ncols": 3}
        space: dict[str, Any] = {"borderaxespad": 0.1, "columnspacing": 1.5, "handlelength": 1.5}
        axes.legend(frameon=False, **place, **space)


# -- axes ---------------------------------------------------------------------------------------


def _figure(height: float) -> Figure:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _settle(figure: Any) -> None:
    """Give everything its place."""
    figure.figure.draw_without_rendering()  # of the whole figure, if this is a part of one


def _panel(ax: Axes | None, draw: Callable[[Axes], None]) -> Axes:
    """Draw on the given axes, or on new ones on a figure of their own."""
    import matplotlib

    with matplotlib.rc_context(STYLE):
        axes = _figure(0.37 * HEIGHT).add_subplot() if ax is None else ax
        draw(axes)
    return axes


def _finish(axes: Axes, view: View) -> None:
    axes.set_xlim(view.lower, view.upper)
    axes.set_xlabel(_symbol(view.variable))


def _hairlines(axes: Axes, view: View, top: float = 1.0) -> None:
    """A line through the panels at each minimum."""
    for x in view.stable:
        axes.axvline(x, ymax=top, color=GREY, lw=0.5, ls=":", zorder=0.5)


def _finite(values: Array) -> Array:
    """The values, with nan (which is not drawn) for those no axis could hold."""
    return np.where(np.abs(values) < 1e290, values, np.nan)


def _limit(
    axes: Axes, view: View, x: Array, y: Array, others: Array | None = None, *, room: float = 1.0
) -> None:
    """Limit the axis of y so that steep walls do not flatten what lies between them.

    Shown are the values between the outermost equilibria with as much again on either side, and
    those on half of x or more. What else is drawn, `others`, takes up to `room` times that.
    """
    known = np.isfinite(y)
    if not known.any():
        return
    x, y = x[known], y[known]
    even = np.interp(np.linspace(view.lower, view.upper, 501), x, y)
    at = view.stable + view.unstable
    if len(at) > 1:
        inner = y[(x >= min(at)) & (x <= max(at))]
        low, high = np.quantile(even, [0.25, 0.75])
        span = np.ptp(inner)
        low, high = min(low, inner.min() - span), max(high, inner.max() + span)
    else:
        low, high = np.quantile(even, [0.02, 0.98])
        low, high = low - (high - low) / 2, high + (high - low) / 2
    low, high = max(low, y.min()), min(high, y.max())
    if others is not None:
        span = room * (high - low)
        low = min(low, max(low - span, np.nanmin(others)))
        high = max(high, min(high + span, np.nanmax(others)))
    margin = 0.06 * (high - low) or 0.5 * abs(high) or 1.0
    axes.set_ylim(low - margin, high + margin)
