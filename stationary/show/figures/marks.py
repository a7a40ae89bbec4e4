"""Where the noise vanishes, drawn: arrows for gates, marks for traps, shades for what is left."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from stationary.line.partition import SingularPoint
from stationary.show.figures.drawing import (
    GREY,
    INK,
    RED,
)
from stationary.show.figures.view import (
    View,
)
from stationary.states.distribution import EndState

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["draw_marks"]

Array = NDArray[Any]


def draw_marks(
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
