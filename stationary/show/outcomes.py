"""The panel of outcomes: with what probability each start ends where."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import numpy as np

from stationary.show.drawing import COLOURS, INK, MINUS, Axes, add_legend, symbol_of
from stationary.show.marks import finish_axes
from stationary.show.view import View
from stationary.states.distribution import EndState
from stationary.states.outcomes import Outcome

# In another order than that of basins, so that the two are not taken for each other.
OUTCOMES = tuple(COLOURS[k] for k in (4, 5, 2, 3, 1, 0))


def draw_outcomes(axes: Axes, state: EndState, view: View) -> None:
    """How likely each end is from each start."""
    finish_axes(axes, state, view)
    axes.set_ylabel("probability of the end")
    axes.set_ylim(-0.04, 1.06)
    axes.set_yticks([0, 0.5, 1])
    axes.spines["left"].set_bounds(0, 1)
    classes = state.classes
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
            axes.plot(x[drawn], p[drawn], label=_outcome_words(state, outcome, view), **style)
    add_legend(axes)


def _outcome_words(state: EndState, outcome: Outcome, view: View) -> str:
    v = symbol_of(view.variable)
    if outcome.kind == "atom":
        return f"at {v} = {_number(outcome.position)}"
    if outcome.kind == "escape":
        if math.isinf(outcome.position):
            return f"escapes to {_number(outcome.position)}"
        return f"creeps to {v} = {_number(outcome.position)}"
    assert outcome.group is not None
    group = state.classes.groups[outcome.group]
    kind = {"density": "in", "spread": "spreads over"}.get(outcome.kind, "not decided on")
    return f"{kind} ({_number(group.lower)}, {_number(group.upper)})"


def _number(x: Any) -> str:
    x = float(x)
    if math.isinf(x):
        return "∞" if x > 0 else f"{MINUS}∞"
    return f"{x:.6g}".replace("-", MINUS)


def outcome_colour(state: EndState, place: float | tuple[float, float]) -> str:
    """The colour of the end that is at a place, or the density on an interval."""
    low, high = place if isinstance(place, tuple) else (place, place)
    for i, o in enumerate(state.classes.outcomes):
        if o.group is None:
            found = o.kind == "atom" and float(o.position) == place
        else:
            group = state.classes.groups[o.group]
            found = low < group.upper and high > group.lower
        if found:
            return OUTCOMES[i % len(OUTCOMES)]
    return INK
