"""Figures of an analysis: losses, gradient and noise, and the end state, on one axis of x.

Where the noise vanishes the panels show what that means: arrows for one-way gates, stems for what
holds probability at a point, a shade over what is left for good. Where the end depends on the
start, a panel says how; a state too narrow to be seen has a panel with an axis of its own.

Everything drawn is in the result already or evaluated from it. matplotlib is imported inside the
functions, and its settings are left as they were.
"""

from __future__ import annotations

import math
import os
import textwrap
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import isotonic_regression

from stationary.analysis import Analysis
from stationary.basins import Basin, basins_of
from stationary.classes import Outcome
from stationary.distribution import EndState, modes_of
from stationary.elementary import to_float
from stationary.errors import LandscapeError, Status
from stationary.landscape import Landscape
from stationary.partition import SingularPoint
from stationary.view import (
    WORK,
    Part,
    View,
    Zoom,
    asked,
    mass_label,
    parts_of,
    rest_of,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "plot_analysis",
    "plot_density",
    "plot_gradients",
    "plot_losses",
    "plot_outcomes",
    "plot_zoom",
    "save",
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

    state = analysis.end_state
    view = View.of(state)
    narrow = [part for part in view.parts if part.peak is not None]
    narrow = sorted(narrow, key=lambda part: -part.log_weight)[:MOST_ZOOMS]
    rows = 4 if state.kind == "classes" else 3
    # Stems alone need no room; a further panel is a little lower than the first three.
    bare = not view.parts and state.kind == "classes"
    heights = [1, 1, 0.6 if bare else 1, 0.9][:rows] + [0.75] * bool(narrow)
    with matplotlib.rc_context(STYLE):
        figure = _figure(HEIGHT * sum(heights) / 3)
        figure.suptitle(_title(analysis), x=0.01, ha="left", fontsize=NORMAL, parse_math=False)
        grid = figure.add_gridspec(len(heights), 1, height_ratios=heights)
        top = figure.add_subplot(grid[0])
        shared: list[Axes] = [
            top,
            *(figure.add_subplot(grid[i], sharex=top) for i in range(1, rows)),
        ]
        for axes in shared[:-1]:
            axes.tick_params(labelbottom=False)
        _draw_losses(top, analysis, view)
        _draw_gradients(shared[1], analysis, view)
        _draw_density(shared[2], state, analysis.basins, view, log=log)
        if rows > 3:
            _draw_outcomes(shared[3], state, view)
        for axes in shared[:-1]:
            axes.set_xlabel("")
        zooms = []
        if narrow:
            row = grid[rows]
            parts = row.subgridspec(1, len(narrow))
            places = [parts[i] for i in range(len(narrow))] if len(narrow) > 1 else [row]
            narrow.sort(key=lambda part: part.component.interval)
            for place, part in zip(places, narrow, strict=True):
                zooms.append(figure.add_subplot(place))
                _draw_zoom(zooms[-1], state, part, view)
        figure.align_ylabels([*shared, *zooms] if len(zooms) == 1 else shared)
        for axes in zooms[1:]:
            if axes.get_ylabel() == zooms[0].get_ylabel():
                axes.set_ylabel("")
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


def plot_outcomes(analysis_or_end_state: Analysis | EndState, ax: Axes | None = None) -> Axes:
    """The probability of each way in which the process can end, as a function of the start."""
    given = analysis_or_end_state
    state = given if isinstance(given, EndState) else given.end_state
    view = View.of(state)
    return _panel(ax, lambda axes: _draw_outcomes(axes, state, view))


def plot_zoom(
    analysis_or_end_state: Analysis | EndState, ax: Axes | None = None, *, component: int = 0
) -> Axes:
    """The density about the highest peak of a component, on an axis that starts from there.

    Parameters
    ----------
    component
        Which density, left to right from 0, of those that hold any probability.
    """
    given = analysis_or_end_state
    state = given if isinstance(given, EndState) else given.end_state
    parts = parts_of(state)
    if not 0 <= component < len(parts):
        raise LandscapeError(
            f"{state.diffusion.name}: component = {component} names no density; there "
            f"{'is' if len(parts) == 1 else 'are'} {len(parts)}, counted from 0."
        )
    view = View.of(state)
    return _panel(ax, lambda axes: _draw_zoom(axes, state, parts[component], view))


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
        axes.set_ylabel(f"{MINUS}∫ 2 $f$ / $a$ d{_symbol(view.variable)}")
        _limit(axes, view, x[view.away(x)], exponent[view.away(x)])
    _hairlines(axes, view)
    _marks(axes, analysis.end_state, view)
    _finish(axes, view)


def _exponents(analysis: Analysis, view: View) -> tuple[Array, Array]:
    """-int 2 f / a on each piece of the line, from its lowest point, with gaps between pieces."""
    x, exponent = [np.empty(0)], [np.empty(0)]
    for piece in analysis.end_state.anatomy.pieces:
        found = piece.survey
        inside = view.inside(found.lower, found.upper)
        if len(inside):
            if len(view.cuts) or analysis.end_state.kind == "none":
                # Next to a cut or far out it may be large; differences of it must not suffer.
                steps = to_float(found.climbs(found.arithmetic.array(inside)))
                middle = len(inside) // 2
                with np.errstate(invalid="ignore"):  # it may leave the range of doubles
                    down, up = np.cumsum(steps[:middle][::-1])[::-1], np.cumsum(steps[middle:])
                climb = _finite(np.concatenate([down, [0.0], -up]))
            else:
                at = found.arithmetic.array(inside)
                climb = _finite(to_float(-found.panels.evaluate(found.phi, at)))
            # It may fall without end towards a cut; its lowest point is then one away from there,
            # and not far below the half in the middle.
            away = view.away(inside)
            seen = climb[away] if away.any() else climb
            level = np.nanmin(seen)
            if len(view.cuts) and not any(e.stable for e in piece.equilibria):
                low, high = np.nanquantile(seen, [0.25, 0.75])
                level = max(level, 2 * low - high)
            x += [inside, np.array([np.nan])]
            exponent += [climb - level, np.array([np.nan])]
    return np.concatenate([*x[:-1], np.empty(0)]), np.concatenate([*exponent[:-1], np.empty(0)])


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
    _marks(axes, analysis.end_state, view, named=True)
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
        _marks(axes, state, view)
        _draw_reason(axes, state.reason)
        return
    wide = [part for part in view.parts if part.peak is None]
    stems = _stems(state, basins, view)
    # A stem stands for the heaviest basin of its density.
    seen = [b for part in view.parts for b in _basins_in(part, basins)[part.peak is not None :]]
    seen = [b for b in seen if view.holds(b.position)]
    named = [(b.position, mass_label(b.log_mass, rest_of(state, basins, b))) for b in seen]
    basins = [b for part in wide for b in _basins_in(part, basins)]
    basins.sort(key=lambda b: b.position)
    named += [(s.position, s.label) for s in stems if s.label]
    named += [
        (
            min(max(e.position, view.lower), view.upper),
            f"{mass_label(math.log(e.weight))} escapes",
        )
        for e in state.escapes
        if e.weight
    ]
    strip = _label(axes, named, view)
    _hairlines(axes, view, 1 - strip)
    _marks(axes, state, view, top=1 - strip, words=True)
    if wide:
        axes.set_ylabel(f"density $P$({_symbol(view.variable)})")
        _draw_parts(axes, state, wide, basins, view, strip, log=log)
        if state.kind == "classes":
            axes.set_ylabel(f"{axes.get_ylabel()}\nwithin its class")
    if stems:
        _draw_stems(axes.twinx() if wide else axes, stems, strip, log=log, alone=not wide)
    foot: dict[str, Any] = {"transform": axes.get_xaxis_transform(), "clip_on": False, "zorder": 4}
    minima = sorted(b.position for b in seen)
    if minima:
        axes.plot(minima, np.zeros(len(minima)), "o", ms=4.5, color=INK, label="minimum", **foot)
    if state.flow is not None:
        axes.set_title(_current_text(state), loc="left", parse_math=False)
    if state.kind == "classes":
        axes.set_title("their weights depend on the start", loc="right")
    elif state.status is not Status.CONVERGED:
        axes.set_title(f"estimated error {state.error:.0e}", loc="right")


def _draw_parts(
    axes: Axes,
    state: EndState,
    parts: Sequence[Part],
    basins: Sequence[Basin],
    view: View,
    strip: float,
    *,
    log: bool,
) -> None:
    """The densities, and the basins below them."""
    within = state.kind == "classes"
    pieces = [view.inside(*part.interval) for part in parts]
    x = np.concatenate(pieces)
    log_p = np.concatenate([_log_density(part, at) for part, at in zip(parts, pieces, strict=True)])
    low, high = _density_limits(parts, basins, view, x, log_p, strip, log=log)
    # A density that diverges leaves the picture at a finite height, which files can hold.
    height = np.exp(np.clip(log_p, math.log(low) - 3 if log else None, math.log(high) + 3))
    tops = np.maximum(height, low)
    ends = [(b.lower, b.upper) for b in basins]
    for part in parts:
        if not _basins_in(part, basins):
            ends.append(part.interval)
    for i, lower, upper in _stretches(state, ends, view):
        inside = (x >= lower) & (x <= upper)
        colour = _colour(state, (lower + upper) / 2) if within else BASINS[i % len(BASINS)]
        axes.fill_between(x[inside], low, tops[inside], color=colour, alpha=0.6, lw=0)
        axes.axvspan(lower, upper, color=colour, alpha=0.1, lw=0)
    if within:
        for part in parts:
            lower, upper = part.interval
            inside = (x >= lower) & (x <= upper)
            colour = _colour(state, part.interval)
            axes.plot(x[inside], height[inside], color=colour, ls=(0, (4, 1.2)))
    else:
        axes.plot(*view.split(x, height), color=INK)
    if log:
        axes.set_yscale("log")
    axes.set_ylim(low, high)


def _log_density(part: Part, x: Array) -> Array:
    """log of weight times density; exactly at an end, where it may be 0 times infinity, as next
    to it."""
    c = part.component
    found = c.density.survey
    log_p = np.full(x.shape, -math.inf)
    # Where it has fallen to nothing nobody looked how it goes on.
    inside = ~((found.fallen[0] & (x < found.lower)) | (found.fallen[1] & (x > found.upper)))
    with np.errstate(invalid="ignore"):
        log_p[inside] = asked(c.logpdf, c, x[inside]) + part.log_weight
    known = ~np.isnan(log_p)
    if known.all() or not known.any():
        return np.asarray(log_p)
    return np.asarray(log_p[known][np.searchsorted(x[known], x).clip(0, known.sum() - 1)])


def _basins_in(part: Part, basins: Sequence[Basin]) -> list[Basin]:
    """The basins of one density, the heaviest first."""
    if part.component.density.survey.diffusion.is_periodic:
        # One part is all of a ring, across whose seam a basin may lie.
        return sorted(basins, key=lambda b: -b.log_mass)
    lower, upper = part.component.interval
    found = [b for b in basins if lower <= b.places[0] and b.places[2] <= upper]
    return sorted(found, key=lambda b: -b.log_mass)


@dataclass(frozen=True)
class _Stem:
    """What holds probability at a point, or so near to one that no picture tells."""

    position: float
    log_weight: float | None  # None where it depends on the start
    colour: str

    @property
    def label(self) -> str:
        return "" if self.log_weight is None else mass_label(self.log_weight)


def _stems(state: EndState, basins: Sequence[Basin], view: View) -> list[_Stem]:
    """The atoms, and the densities that are too narrow to be seen, left to right."""
    unknown = state.kind == "classes"
    stems = []
    for atom in state.atoms:
        if (unknown or atom.weight > 0) and view.holds(atom.position):
            colour = _colour(state, atom.position) if unknown else RED
            stems.append(_Stem(atom.position, None if unknown else math.log(atom.weight), colour))
    for part in view.parts:
        if part.peak is not None:
            colour = _colour(state, part.interval) if unknown else INK
            own = _basins_in(part, basins)
            log_weight = own[0].log_mass if len(own) > 1 else part.log_weight
            at = float(part.peak.position)
            stems.append(_Stem(at, None if unknown else log_weight, colour))
    return sorted(stems, key=lambda s: s.position)


def _draw_stems(
    axes: Axes, stems: Sequence[_Stem], strip: float, *, log: bool, alone: bool
) -> None:
    """Stems as high as their probability, on an axis for that; open where it is not known."""
    known = [s.log_weight for s in stems if s.log_weight is not None]
    room = 1.03 / (1 - strip)
    if log and known:
        bottom = max(min([math.log(0.1), min(known) - math.log(10)]), -DEEPEST * math.log(10))
        low, high = math.exp(bottom), math.exp(bottom - bottom * room)
        axes.set_yscale("log")
    else:
        low, high = 0.0, room
    for s in stems:
        open_ = s.log_weight is None
        height = 0.8 if s.log_weight is None else max(math.exp(s.log_weight), low)
        style: dict[str, Any] = {"color": s.colour, "clip_on": False, "zorder": 3.5}
        axes.plot([s.position] * 2, [low, height], lw=1.6, ls=":" if open_ else "-", **style)
        face = "white" if open_ else s.colour
        axes.plot([s.position], [height], "o", ms=5, mfc=face, mew=1.2, label="stem", **style)
    axes.set_ylim(low, high)
    if not known:
        axes.set_yticks([])
    elif not log:
        axes.set_yticks([0, 0.5, 1])
    axes.set_ylabel("probability" if known else "where it ends" if alone else "")
    if not alone:
        axes.spines["left"].set_visible(False)
        axes.spines["right"].set_visible(bool(known))
    elif not known:
        axes.spines["left"].set_visible(False)


def _draw_outcomes(axes: Axes, state: EndState, view: View) -> None:
    """How likely each end is from each start, with its name on the curve."""
    _finish(axes, view)
    _hairlines(axes, view)
    _marks(axes, state, view)
    axes.set_ylabel("probability of the end")
    axes.set_ylim(-0.04, 1.16)
    axes.set_yticks([0, 0.5, 1])
    axes.spines["left"].set_bounds(0, 1)
    classes = state.classes
    if classes is None:
        return
    x = view.x
    table = classes.probabilities(x)
    edges = [view.lower, *view.cuts, view.upper]
    for a, b in pairwise(edges):
        # Of what cannot happen from anywhere on a piece there is nothing to draw.
        piece = (x >= a) & (x <= b)
        table[np.ix_(table[:, piece].max(axis=1, initial=0.0) == 0, piece)] = np.nan
    curves = []
    for i, outcome in enumerate(classes.outcomes):
        colour = OUTCOMES[i % len(OUTCOMES)]
        at, p = view.split(x, table[i])
        known = np.isfinite(p)
        if known.any():
            drawn = known | np.append(known[1:], False)  # one nan before each stretch
            drawn[: np.argmax(known)] = False
            at, p = at[drawn], p[drawn]
            axes.plot(at, p, color=colour, lw=1.5)
            curves.append((_outcome_words(state, outcome, view), colour, at, p))
    _label_curves(axes, curves)


def _outcome_words(state: EndState, outcome: Outcome, view: View) -> str:
    v = _symbol(view.variable)
    if outcome.kind == "atom":
        return f"at {v} = {_number(outcome.position)}"
    if outcome.kind == "escape":
        if math.isinf(outcome.position):
            return f"escapes to {_number(outcome.position)}"
        return f"creeps to {v} = {_number(outcome.position)}"
    assert state.classes is not None
    assert outcome.group is not None
    group = state.classes.groups[outcome.group]
    kind = {"density": "in", "spread": "spreads over"}.get(outcome.kind, "not decided on")
    return f"{kind} ({_number(group.lower)}, {_number(group.upper)})"


def _number(x: Any) -> str:
    x = float(x)
    if math.isinf(x):
        return "∞" if x > 0 else f"{MINUS}∞"
    return f"{x:.6g}".replace("-", MINUS)


def _colour(state: EndState, place: float | tuple[float, float]) -> str:
    """The colour of the end that is at a place, or the density on an interval."""
    classes = state.classes
    assert classes is not None
    middle = place if isinstance(place, float) else _middle(*place)
    for i, o in enumerate(classes.outcomes):
        group = None if o.group is None else classes.groups[o.group]
        if group is None:
            found = o.kind == "atom" and float(o.position) == place
        else:
            found = group.lower < middle < group.upper
        if found:
            return OUTCOMES[i % len(OUTCOMES)]
    return INK


def _middle(lower: float, upper: float) -> float:
    """A point between two ends, which may be infinite."""
    if math.isfinite(lower) and math.isfinite(upper):
        return (lower + upper) / 2
    return upper - 1 if math.isfinite(upper) else lower + 1 if math.isfinite(lower) else 0.0


def _draw_zoom(axes: Axes, state: EndState, part: Part, view: View) -> None:
    """The density of one component against the distance from its highest mode."""
    zoom = Zoom.of(part.component)
    if zoom is None:
        lower, upper = part.interval
        raise LandscapeError(
            f"{state.diffusion.name}: the density from {lower:g} to {upper:g} has no peak of "
            "finite height that could be looked at closely."
        )
    unit = zoom.unit
    height = np.exp(zoom.log_density + part.log_weight + unit * math.log(10))
    origin, name = _origin(zoom, view.variable)
    local = zoom.steps + origin
    axes.fill_between(local, 0, height, color=BASINS[0], alpha=0.6, lw=0)
    axes.axvspan(local[0], local[-1], color=BASINS[0], alpha=0.1, lw=0)
    axes.plot(local, height, color=INK)
    axes.set_xlim(local[0], local[-1])
    axes.set_ylim(0, 1.06 * float(height[np.isfinite(height)].max(initial=1e-300)))
    axes.set_xlabel(name + (f"\n(in units of $10^{{{unit}}}$)" if unit else ""))
    if state.kind == "classes":
        axes.set_title("within its class", loc="right")
    axes.set_ylabel(f"density\nper $10^{{{unit}}}$" if unit else "density")


def _origin(zoom: Zoom, variable: str) -> tuple[float, str]:
    """Where the peak is on the axis of a zoom, in its units, and what that axis is called."""
    name = _symbol(variable)
    if zoom.position == 0:
        return 0.0, name
    size = abs(zoom.position)
    digits = math.floor(math.log10(size)) - zoom.unit + 4
    sign = "+" if zoom.position < 0 else MINUS
    if abs(zoom.offset) > FURTHEST:  # no double is anywhere near
        return 0.0, f"{name} {sign} the peak's place, {size:.9g}"
    place = f"{size:.{max(digits, 1)}g}" if digits < 17 else repr(size).removesuffix(".0")
    return zoom.offset, f"{name} {sign} {place}"


def _stretches(
    state: EndState, ends: Sequence[tuple[float, float]], view: View
) -> list[tuple[int, float, float]]:
    """Where to shade which basin: on a ring, the one across the seam in two places."""
    lower, upper = state.diffusion.domain
    turns = (lower - upper, 0.0, upper - lower) if view.is_ring else (0.0,)
    clipped = [
        (i, max(low + t, view.lower), min(high + t, view.upper))
        for i, (low, high) in enumerate(ends)
        for t in turns
    ]
    return [(i, low, high) for i, low, high in clipped if low < high]


def _current_text(state: EndState) -> str:
    if state.kind != "flux":
        return "no current"
    if state.current and abs(state.log_abs_current) < 200:
        return f"current {state.current:.4g}, mean velocity {state.mean_velocity:.4g}"
    assert state.flow is not None
    sign = "" if state.flow.tilt > 0 else "\N{MINUS SIGN}"
    return f"current {sign}10^{state.log_abs_current / math.log(10):.1f}"


def _draw_reason(axes: Axes, reason: str) -> None:
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    points = axes.get_window_extent().width / axes.figure.dpi * 72
    lines = textwrap.fill(reason, max(20, int(points / (0.55 * SMALL))))
    middle: dict[str, Any] = {"ha": "center", "va": "center", "transform": axes.transAxes}
    axes.text(0.5, 0.5, f"There is no end state.\n\n{lines}", parse_math=False, **middle)


def _density_limits(
    parts: Sequence[Part],
    basins: Sequence[Basin],
    view: View,
    x: Array,
    log_p: Array,
    strip: float,
    *,
    log: bool,
) -> tuple[float, float]:
    """The range of the density axis, with a strip above for the labels."""
    inside = np.linspace(view.lower, view.upper, 501)[1:-1]
    held = np.zeros(inside.shape, dtype=bool)
    for part in parts:
        held |= (inside >= part.interval[0]) & (inside <= part.interval[1])
    even = log_p[np.searchsorted(x, inside[held]).clip(0, len(x) - 1)]
    heights = [
        float(m.log_density) + part.log_weight
        for part in parts
        for m in modes_of(part.component)
        if view.holds(m.position)
    ]
    peak = float(log_p.max())
    if math.inf in heights:
        # Where the density diverges, the height of the rest decides.
        usual = float(np.quantile(even, 0.97)) + math.log(1.6)
        peak = max([usual, *(h for h in heights if h < math.inf)])
    if not log:
        return 0.0, math.exp(peak) * 1.03 / (1 - strip)
    decade = math.log(10)
    least = float(even[np.isfinite(even)].min(initial=peak))
    wanted = [peak - DECADES * decade]
    for basin in basins:
        seen = log_p[(x >= basin.lower) & (x <= basin.upper)]
        crest = float(seen.max(initial=-math.inf))
        if crest > peak - DEEPEST * decade:  # with enough of the axis below it to be seen
            wanted.append(crest - max(3 * decade, (peak - crest) / 8))
    bottom = max(min(max(min(wanted), least), peak - decade), -650.0)
    top = bottom + (peak - bottom) * 1.03 / (1 - strip)
    return math.exp(bottom), math.exp(min(top, 700.0))


# -- where the noise vanishes ---------------------------------------------------------------------


def _marks(
    axes: Axes,
    state: EndState,
    view: View,
    *,
    top: float = 1.0,
    named: bool = False,
    words: bool = False,
) -> None:
    """Singular points at the foot of a panel, stretches without noise, and what is left for good.

    `named` gives them names for a legend; `words` writes "transient" where there is room.
    """
    x_axis = axes.get_xaxis_transform()
    spans = _merged(view.transient)
    for a, b in spans:
        axes.axvspan(a, b, color=GREY, alpha=0.09, lw=0, zorder=0, gid="transient")
    seen: dict[str, Any] = {}
    for p in view.points:
        trapped = words and any(a.point is p for a in state.atoms)  # under a stem
        if p.interval is not None:
            a, b = np.clip(p.interval, view.lower, view.upper)
            style: dict[str, Any] = {"hatch": "/////", "fill": False, "ec": GREY, "alpha": 0.45}
            band = axes.axvspan(a, b, lw=0, zorder=0.2, gid="no noise", **style)
            seen.setdefault("no noise", band)
        elif not trapped:
            axes.axvline(p.position, ymax=top, color=INK, lw=0.5, ls=(0, (6, 3)), zorder=0.6)
        if p.role.startswith("gate"):
            seen.setdefault("one-way gate", _arrow(axes, p, view))
    for kind, places in _resting(state, view).items():
        style = {"transform": x_axis, "clip_on": False, "zorder": 4.5, "color": INK, "mew": 0.9}
        marker, face, size = {
            "trap": ("D", RED, 4.0),
            "absorbing end": ("D", RED, 4.0),
            "repelling rest point": ("D", "white", 4.0),
            "removable": ("|", INK, 7.0),
        }.get(kind, ("x", INK, 4.5))
        (line,) = axes.plot(places, [0.0] * len(places), marker, mfc=face, ms=size, **style)
        line.set_gid(kind)
        seen.setdefault(kind, line)
    if named:
        for kind, artist in seen.items():
            if kind == "one-way gate":
                arrow: dict[str, Any] = {"marker": r"$\rightarrow$", "ms": 9, "mew": 0.3}
                axes.plot([], [], ls="", color=INK, label=kind, **arrow)
            else:
                artist.set_label(kind)
    if words:
        _write_transient(axes, spans, view, top)


def _resting(state: EndState, view: View) -> dict[str, list[float]]:
    """Singular points that are no gates, by what they are; a trap in a stretch where it traps."""
    found: dict[str, list[float]] = {}
    for p in view.points:
        if p.role.startswith("gate"):
            continue
        kind = "trap" if p.role.startswith("trap") else p.role
        within = [a.position for a in state.atoms if a.point is p]
        places = within if p.interval is not None and within else [p.position]
        found.setdefault(kind, []).extend(x for x in places if view.holds(x))
    ends = state.diffusion.domain
    walls = [a.position for a in state.atoms if a.point is None and a.position in ends]
    if walls:
        found.setdefault("trap" if "trap" in found else "absorbing end", []).extend(walls)
    return {kind: places for kind, places in found.items() if places}


def _arrow(axes: Axes, p: SingularPoint, view: View) -> Any:
    """An arrow through a gate, near the foot of the panel, in the direction of passage."""
    from matplotlib.patches import FancyArrowPatch
    from matplotlib.patheffects import withStroke

    reach = 0.035 * (view.upper - view.lower)
    sign = 1 if p.role.endswith("right") else -1
    ends = [(p.position - sign * reach, 0.075), (p.position + sign * reach, 0.075)]
    arrow = FancyArrowPatch(
        *ends,
        arrowstyle="-|>",
        mutation_scale=9,
        shrinkA=0,
        shrinkB=0,
        lw=1.4,
        color=INK,
        transform=axes.get_xaxis_transform(),
        clip_on=False,
        zorder=5,
        path_effects=[withStroke(linewidth=3.2, foreground="white")],
        gid=p.role,
    )
    axes.add_patch(arrow)
    return arrow


def _merged(spans: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Neighbouring intervals as one."""
    merged: list[tuple[float, float]] = []
    for a, b in spans:
        if merged and merged[-1][1] == a:
            merged[-1] = merged[-1][0], b
        else:
            merged.append((a, b))
    return merged


def _write_transient(
    axes: Axes, spans: Sequence[tuple[float, float]], view: View, top: float
) -> None:
    """The word in each transient stretch, in the widest gap between what stands there."""
    width = axes.get_window_extent().width
    for a, b in spans:
        cuts = [x for p in view.points for x in (float(p.lower), float(p.upper)) if a < x < b]
        edges = sorted([a, *cuts, b])
        low, high = max(pairwise(edges), key=lambda pair: pair[1] - pair[0])
        style: dict[str, Any] = {"ha": "center", "va": "center", "color": "#666666"}
        place: dict[str, Any] = {"transform": axes.get_xaxis_transform(), "zorder": 3}
        text = axes.text((low + high) / 2, top / 2, "transient", **style, **place)
        room = (high - low) / (view.upper - view.lower) * width
        if text.get_window_extent().width + 6 > room:
            text.remove()


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
            # A line to another label may pass behind this one, or a stretch without noise.
            if rows > 1 or len(view.cuts):
                text.set_bbox({"facecolor": "white", "alpha": 0.8, "lw": 0, "pad": 0.5})
            ends = [x, there], [y - line / 2, 1 - strip]
            axes.plot(*ends, color=GREY, lw=0.5, zorder=2.5, transform=axes.transAxes)
    return strip


def _label_curves(axes: Axes, curves: Sequence[tuple[str, str, Array, Array]]) -> None:
    """Write the name of each curve next to it, where it meets neither a curve nor a name."""
    _settle(axes.figure)
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
    names = axes.get_legend_handles_labels()[1]
    if names:
        columns = 4 if len(names) == 4 and sum(map(len, names)) < 56 else 3
        place: dict[str, Any] = {"loc": "lower center", "bbox_to_anchor": (0.5, 1.0)}
        place["ncols"] = columns
        space: dict[str, Any] = {"borderaxespad": 0.1, "columnspacing": 1.5, "handlelength": 1.5}
        if sum(map(len, names)) > 45:  # clear of the powers of ten at both sides
            space |= {"columnspacing": 1.0, "handletextpad": 0.4}
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
