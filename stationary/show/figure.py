"""Figures of an analysis: losses, gradient and noise, and the end state, on one axis of x.

Where the noise vanishes the panels show what that means: arrows for one-way gates, stems for what
holds probability at a point, a shade over what is left for good. Where the end depends on the
start, a panel says how; a state too narrow to be seen has a panel with an axis of its own.

Everything drawn is in the result already or evaluated from it. matplotlib is imported inside the
functions, and its settings are left as they were.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from stationary.aliases import Array
from stationary.analysis import Analysis
from stationary.errors import LandscapeError
from stationary.numbers.cost import MEMORY
from stationary.numbers.elementary import to_float
from stationary.process.landscape import Landscape
from stationary.show.density import draw_density, draw_zoom
from stationary.show.drawing import (
    BLUE,
    GREY,
    HEIGHT,
    INK,
    MINUS,
    RED,
    Axes,
    Sheet,
    add_legend,
    symbol_of,
)
from stationary.show.marks import draw_outcomes, finish_axes, finite_only, limit_axis
from stationary.show.view import View

PANELS = ("loss", "gradient", "density", "outcomes")
MANY = 12  # datapoints from which their quantiles are drawn instead
ROOM = 0.4  # of the height, that a variance takes at least
LONGEST = 120  # letters of a name
MOST_ZOOMS = 3  # beside each other in one row


def figure(
    analysis: Analysis, sheet: Sheet, *, log: bool = False, panels: Sequence[str] | None = None
) -> None:
    """Losses, gradient and noise, and end state, one above another on the same x.

    Parameters
    ----------
    log
        Whether the density has a logarithmic axis.
    panels
        Which of "loss", "gradient", "density" and "outcomes" (where the end depends on the start);
        all that there are if left out, the density on axes that are given.
    """
    asked, analysis = analysis, analysis.rounded
    state = analysis.end_state
    view = View(state, analysis.basins)
    chosen = _chosen(panels, sheet, state.kind == "classes")
    draw: dict[str, Callable[[Axes], None]] = {
        "loss": lambda axes: _draw_losses(axes, analysis, view),
        "gradient": lambda axes: _draw_gradients(axes, analysis, view),
        "density": lambda axes: _draw_limit(axes, asked, view, log=log),
        "outcomes": lambda axes: draw_outcomes(axes, view),
    }
    if sheet.ax is not None:
        draw[chosen[0]](sheet.ax)
        return
    narrow = [part for part in view.parts if part.peak is not None and "density" in chosen]
    narrow = sorted(narrow, key=lambda part: -part.log_weight)[:MOST_ZOOMS]
    narrow.sort(key=lambda part: part.component.interval)
    # Stems alone need no room; a further panel is a little lower than the first three.
    bare = not view.parts and state.kind == "classes"
    height = {"density": 0.6 if bare else 1.0, "outcomes": 0.9}
    heights = [height.get(name, 1.0) for name in chosen] + [0.75] * bool(narrow)
    if len(heights) == 1:
        heights = [1.2]  # of which the title takes a part
    grid = sheet.grid(*(HEIGHT / 3 * h for h in heights))
    picture = sheet.figure
    sheet.title(_title(analysis))
    shared: list[Axes] = []
    for k in range(len(chosen)):
        shared.append(picture.add_subplot(grid[k], sharex=shared[0] if shared else None))
    for axes, name in zip(shared, chosen, strict=True):
        axes.tick_params(labelbottom=axes is shared[-1])
        draw[name](axes)
    for axes in shared[:-1]:
        axes.set_xlabel("")
    places: Any = grid[-1].subgridspec(1, len(narrow)) if len(narrow) > 1 else [grid[-1]]
    zooms = [picture.add_subplot(places[k]) for k in range(len(narrow))]
    for axes, part in zip(zooms, narrow, strict=True):
        draw_zoom(axes, part, view)
    picture.align_ylabels([*shared, *zooms] if len(zooms) == 1 else shared)
    for axes in zooms[1:]:
        if axes.get_ylabel() == zooms[0].get_ylabel():
            axes.set_ylabel("")


def _draw_limit(axes: Axes, asked: Analysis, view: View, *, log: bool) -> None:
    """The density, with a word where SGD's own chain ends up elsewhere."""
    draw_density(axes, view, log=log)
    sgd = asked.shown_sgd
    if sgd is not None and sgd.elsewhere and not axes.get_title("right"):
        axes.set_title("the limit of small steps: SGD ends up elsewhere", loc="right")


def _chosen(panels: Any, sheet: Sheet, by_start: bool) -> list[str]:
    """The panels that are drawn, from top to bottom."""
    there = [p for p in PANELS if by_start or p != "outcomes"]
    if panels is None:
        return there if sheet.ax is None else ["density"]
    chosen = [panels] if isinstance(panels, str) else list(panels)
    wrong = [p for p in chosen if p not in there]
    if wrong or not chosen or (sheet.ax is not None and len(chosen) > 1):
        what = "one panel fits on ax" if not wrong and chosen else f"there are {', '.join(there)}"
        raise LandscapeError(f"{sheet.name}: plot(panels={panels!r:.60}): {what}.")
    return chosen


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
        limit_axis(axes, view, x, mean - mean.min())
    else:
        x, exponent = _exponents(analysis, view)
        axes.plot(x, exponent, color=INK)
        axes.set_ylabel(f"{MINUS}∫ 2 $f$ / $a$ d{symbol_of(view.variable)}")
        limit_axis(axes, view, x[view.away(x)], exponent[view.away(x)])
    finish_axes(axes, view)


def _exponents(analysis: Analysis, view: View) -> tuple[Array, Array]:
    """-int 2 f / a on each piece of the line, from its lowest point, with gaps between pieces."""
    rows = [np.empty((2, 0))]
    for piece in analysis.end_state.anatomy.pieces:
        found = piece.sampling
        inside = view.inside(found.lower, found.upper)
        if not len(inside):
            continue
        if len(view.cuts) or analysis.end_state.kind == "none":
            # Next to a cut or far out it may be large; differences of it must not suffer.
            steps = to_float(found.climbs(found.arithmetic.array(inside)))
            middle = len(inside) // 2
            with np.errstate(invalid="ignore"):  # it may leave the range of doubles
                down, up = np.cumsum(steps[:middle][::-1])[::-1], np.cumsum(steps[middle:])
            climb = finite_only(np.concatenate([down, [0.0], -up]))
        else:
            at = found.arithmetic.array(inside)
            climb = finite_only(to_float(-found.panels.evaluate(found.phi, at)))
        # It may fall without end towards a cut; its lowest point is then one away from there, and
        # not far below the half in the middle.
        away = view.away(inside)
        seen = climb[away] if away.any() else climb
        level = np.nanmin(seen)
        if len(view.cuts) and not any(e.stable for e in piece.equilibria):
            low, high = np.nanquantile(seen, [0.25, 0.75])
            level = max(level, 2 * low - high)
        rows += [np.stack([inside, climb - level]), np.full((2, 1), np.nan)]
    x, exponent = np.concatenate(rows, axis=1)[:, :-1]
    return x, exponent


def _draw_loss_table(axes: Axes, landscape: Landscape, view: View) -> None:
    """The loss of each datapoint, or quantiles of many, and the mean."""
    n = landscape.datapoints
    x = view.coarse(n)
    size = max(1, MEMORY // n)
    parts = []
    for i in range(0, len(x), size):  # in memory that does not grow with datapoints x points
        table = landscape.loss_table(x[i : i + size])
        assert table is not None
        kept = table if n <= MANY else np.quantile(table, [0.05, 0.25, 0.75, 0.95], axis=0)
        parts.append(np.vstack([kept, table.mean(axis=0)]))
    rows = finite_only(np.concatenate(parts, axis=1))
    if n <= MANY:
        for j, row in enumerate(rows[:-1]):
            axes.plot(x, row, color=GREY, lw=0.7, label="" if j else "each datapoint")
    else:
        for i, shade, label in ((0, 0.2, "5 to 95 %"), (1, 0.4, "25 to 75 % of datapoints")):
            axes.fill_between(x, rows[i], rows[3 - i], color=BLUE, alpha=shade, lw=0, label=label)
    axes.plot(x, rows[-1], color=INK, lw=1.6, label="mean")
    axes.set_ylabel("loss")
    add_legend(axes)
    limit_axis(axes, view, x, rows[-1], rows, room=1.0 if n <= MANY else 2.0)


def _draw_gradients(axes: Axes, analysis: Analysis, view: View) -> None:
    landscape = analysis.landscape
    x = view.x if landscape is None else view.coarse(landscape.datapoints)
    labels = ("drift $f$", "variance $a$")
    if landscape is not None:
        labels = ("mean gradient $G$", "gradient variance $S_2$")
    with np.errstate(all="ignore"):
        moments = (analysis.diffusion.coefficients if landscape is None else landscape.moments)(x)
    pair = [finite_only(v) for v in moments]
    right = axes.twinx()
    right.grid(visible=False)  # one is enough, of a style sheet
    axes.set_zorder(right.get_zorder() + 1)  # the equilibria lie on top
    axes.patch.set_visible(False)
    axes.axhline(0, color=GREY, lw=0.5)
    axes.plot(x, pair[0], color=BLUE)
    finish_axes(axes, view, named=True)
    right.plot(x, pair[1], color=RED, ls=(0, (4, 1.2)))
    for at, kind, face in ((view.stable, "stable", INK), (view.unstable, "unstable", "white")):
        style: dict[str, Any] = {"ms": 4.5, "mfc": face, "mec": INK, "mew": 0.9, "zorder": 4}
        if at:
            label = f"{kind} equilibrium"
            axes.plot(at, np.zeros(len(at)), "o", label=label, clip_on=False, **style)
    for which, values, label, colour in zip((axes, right), pair, labels, (BLUE, RED), strict=True):
        limit_axis(which, view, x, values)
        which.set_ylabel(label, color=colour)
        which.tick_params(axis="y", colors=colour)
    _align_zeros(axes, right)
    right.spines["right"].set(visible=True, color=RED)
    right.spines["left"].set_visible(False)
    axes.spines["left"].set_color(BLUE)
    add_legend(axes)


def _align_zeros(left: Axes, right: Axes) -> None:
    """Zero of the variance at the height of zero of the drift, which has room above it."""
    from matplotlib.ticker import MaxNLocator

    (low, high), top = left.get_ylim(), right.get_ylim()[1]
    above = high / (high - low) if low < 0 < high else 1.0
    if above < ROOM:
        above = ROOM
        left.set_ylim(low, low - low / (1 - ROOM))
    right.set_ylim(top - top / above, top)
    right.set_yticks([t for t in MaxNLocator(5).tick_values(0, top) if 0 <= t <= top])


def _title(analysis: Analysis) -> str:
    name = analysis.diffusion.name
    name = name if len(name) <= LONGEST else f"{name[: LONGEST // 2]} … {name[-LONGEST // 2 :]}"
    landscape = analysis.landscape
    if landscape is None:
        return f"{name}   ({analysis.diffusion.convention.title})"
    rate, batch, n = landscape.learning_rate, landscape.batch_size, landscape.datapoints
    return f"{name}   T = {rate:g}, B = {batch}" + f", N = {n}" * bool(n)
