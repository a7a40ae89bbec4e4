"""The axes of panels over x, where the noise vanishes, and where it ends, by the start."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import numpy as np

from stationary.aliases import Array
from stationary.line.junction import SingularPoint
from stationary.show.drawing import COLOURS, GREY, INK, MINUS, RED, Axes, add_legend, symbol_of
from stationary.show.view import View
from stationary.states.outcomes import Outcome

STEEP = 1e3  # times the range of its middle half: the rest of a curve is then cut off


def finish_axes(
    axes: Axes, view: View, *, top: float = 1.0, named: bool = False, words: bool = False
) -> None:
    """The axis of x, a line through each minimum, and what the zeros of the variance mean.

    These have names for a legend if `named`; with `words` "transient" is written where there is
    room, and lines end at `top` of the height.
    """
    axes.set_xlim(view.lower, view.upper)
    axes.set_xlabel(symbol_of(view.variable))
    for x in view.stable:
        axes.axvline(x, ymax=top, color=GREY, lw=0.5, ls=":", zorder=0.5)
    x_axis = axes.get_xaxis_transform()
    for a, b in view.transient:
        axes.axvspan(a, b, color=GREY, alpha=0.09, lw=0, zorder=0, gid="transient")
    seen: dict[str, Any] = {}
    for p in view.points:
        trapped = words and any(a.point is p for a in view.state.atoms)  # under a stem
        if p.interval is not None:
            a, b = np.clip(p.interval, view.lower, view.upper)
            style: dict[str, Any] = {"hatch": "/////", "fill": False, "ec": GREY, "alpha": 0.45}
            band = axes.axvspan(a, b, lw=0, zorder=0.2, gid="no noise", **style)
            seen.setdefault("no noise", band)
        elif not trapped:
            axes.axvline(p.position, ymax=top, color=INK, lw=0.5, ls=(0, (6, 3)), zorder=0.6)
        if p.role.startswith("gate"):
            seen.setdefault("one-way gate", _arrow(axes, p, view))
    for kind, places in _resting(view).items():
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
        _write_transient(axes, view, top)


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


def _resting(view: View) -> dict[str, list[float]]:
    """Singular points that are no gates, by what they are; a trap in a stretch where it traps."""
    found: dict[str, list[float]] = {}
    for p in view.points:
        if p.role.startswith("gate"):
            continue
        kind = "trap" if p.role.startswith("trap") else p.role
        within = [a.position for a in view.state.atoms if a.point is p]
        places = within if p.interval is not None and within else [p.position]
        found.setdefault(kind, []).extend(x for x in places if view.holds(x))
    ends = view.state.diffusion.domain
    walls = [a.position for a in view.state.atoms if a.point is None and a.position in ends]
    if walls:
        found.setdefault("trap" if "trap" in found else "absorbing end", []).extend(walls)
    return {kind: places for kind, places in found.items() if places}


def _arrow(axes: Axes, p: SingularPoint, view: View) -> Any:
    """An arrow through a gate, near the foot of the panel, in the direction of passage."""
    from matplotlib.patches import FancyArrowPatch
    from matplotlib.patheffects import withStroke

    reach = (0.035 if p.role.endswith("right") else -0.035) * (view.upper - view.lower)
    style: dict[str, Any] = {"arrowstyle": "-|>", "mutation_scale": 9, "shrinkA": 0, "shrinkB": 0}
    style |= {"lw": 1.4, "color": INK, "clip_on": False, "zorder": 5, "gid": p.role}
    style |= {"path_effects": [withStroke(linewidth=3.2, foreground="white")]}
    at = p.position
    if math.isinf(at):  # of a stretch without an end: where it leads out
        at = float(p.upper if reach > 0 else p.lower)
    ends = (at - reach, 0.075), (at + reach, 0.075)
    arrow = FancyArrowPatch(*ends, transform=axes.get_xaxis_transform(), **style)
    axes.add_patch(arrow)
    return arrow


def _write_transient(axes: Axes, view: View, top: float) -> None:
    """The word in each transient stretch, in the widest gap between what stands there."""
    width = axes.get_window_extent().width
    for a, b in view.transient:
        cuts = [x for p in view.points for x in (float(p.lower), float(p.upper)) if a < x < b]
        edges = sorted([a, *cuts, b])
        low, high = max(pairwise(edges), key=lambda pair: pair[1] - pair[0])
        style: dict[str, Any] = {"ha": "center", "va": "center", "color": "#666666"}
        place: dict[str, Any] = {"transform": axes.get_xaxis_transform(), "zorder": 3}
        text = axes.text((low + high) / 2, top / 2, "transient", **style, **place)
        room = (high - low) / (view.upper - view.lower) * width
        if text.get_window_extent().width + 6 > room:
            text.remove()


# -- the panel of outcomes: with what probability each start ends where ---------------------------

# In another order than that of basins, so that the two are not taken for each other.
OUTCOMES = tuple(COLOURS[k] for k in (4, 5, 2, 3, 1, 0))


def draw_outcomes(axes: Axes, view: View) -> None:
    """How likely each end is from each start."""
    finish_axes(axes, view)
    axes.set_ylabel("probability of the end")
    axes.set_ylim(-0.04, 1.06)
    axes.set_yticks([0, 0.5, 1])
    axes.spines["left"].set_bounds(0, 1)
    classes = view.state.classes
    table = classes.probabilities(view.x)
    for a, b in pairwise([view.lower, *view.cuts, view.upper]):
        # Of what cannot happen from anywhere on a piece there is nothing to draw.
        piece = (view.x >= a) & (view.x <= b)
        table[np.ix_(table[:, piece].max(axis=1, initial=0.0) == 0, piece)] = np.nan
    for i, (outcome, row) in enumerate(zip(classes.outcomes, table, strict=True)):
        x, p = view.split(view.x, row)
        known = np.isfinite(p)
        if known.any():
            drawn = known | np.append(known[1:], False)  # one nan before each stretch
            drawn[: np.argmax(known)] = False
            style = {"color": OUTCOMES[i % len(OUTCOMES)], "lw": 1.5}
            axes.plot(x[drawn], p[drawn], label=_outcome_words(outcome, view), **style)
    add_legend(axes)


def _outcome_words(outcome: Outcome, view: View) -> str:
    v = symbol_of(view.variable)
    if outcome.kind == "atom":
        return f"at {v} = {_number(outcome.position)}"
    if outcome.kind == "escape":
        if math.isinf(outcome.position):
            return f"escapes to {_number(outcome.position)}"
        return f"creeps to {v} = {_number(outcome.position)}"
    assert outcome.group is not None
    group = view.state.classes.groups[outcome.group]
    kind = {"density": "in", "spread": "spreads over"}.get(outcome.kind, "not decided on")
    return f"{kind} ({_number(group.lower)}, {_number(group.upper)})"


def _number(x: Any) -> str:
    x = float(x)
    if math.isinf(x):
        return "∞" if x > 0 else f"{MINUS}∞"
    return f"{x:.6g}".replace("-", MINUS)


def outcome_colour(view: View, place: float | tuple[float, float]) -> str:
    """The colour of the end that is at a place, or the density on an interval."""
    low, high = place if isinstance(place, tuple) else (place, place)
    for i, o in enumerate(view.state.classes.outcomes):
        if o.group is None:
            found = o.kind == "atom" and float(o.position) == place
        else:
            group = view.state.classes.groups[o.group]
            found = low < group.upper and high > group.lower
        if found:
            return OUTCOMES[i % len(OUTCOMES)]
    return INK
