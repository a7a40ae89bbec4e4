"""`distance_to_end`: how far an evolution is from the end state, on its cells."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stationary.evolution.evolution import EvolutionAtom
from stationary.evolution.features import COUNTED, is_whole
from stationary.numbers.elementary import converted, exp, to_float
from stationary.states.distribution import EndState
from stationary.weight.quantiles import quantile

__all__ = ["distance_to_end"]

Array = NDArray[Any]

MOST_IN_ONE = 0.25  # of all probability in the end


def distance_to_end(
    state: EndState, edges: Array, masses: Array, atoms: Sequence[EvolutionAtom]
) -> tuple[Array | None, bool]:
    """Half the sum of |mass - mass in the end| over cells and atoms, and if cells show the end.

    They do not where one of them holds most of a density: the distance is then a lower bound.
    """
    if not is_whole(state) or not state.error <= COUNTED:
        return None, True
    goal = np.zeros(len(edges) - 1)
    for c in state.components:
        if c.weight > 0:
            goal += float(c.weight) * _cell_masses(replace(c, weight=1.0), edges)
    is_resolved = not goal.max(initial=0.0) > MOST_IN_ONE
    lumps = {a.position: 0.0 for a in atoms}
    for atom in state.atoms:
        if float(atom.position) in lumps:
            lumps[float(atom.position)] += float(atom.weight)
        else:  # where the drift alone comes to rest
            i = int(np.searchsorted(edges, atom.position)) - 1
            goal[min(max(i, 0), len(goal) - 1)] += atom.weight
    apart = np.abs(masses - goal).sum(axis=1)
    for a in atoms:
        apart = apart + np.abs(a.weights - lumps[a.position])
    return np.asarray(np.minimum(apart / 2, 1.0)), is_resolved


def _cell_masses(component: Any, edges: Array) -> Array:
    """The share of a component in each cell."""
    low, high = component.interval
    tail = converted(np.array([math.log(1e-17)]), component.arithmetic)
    first = float(quantile(component, tail, left=True)[0])
    last = float(quantile(component, tail, left=False)[0])
    # Only edges among the probability need be asked about, which many digits make dear.
    inside = (edges > max(first, float(low))) & (edges < min(last, float(high)))
    below, above = (edges >= last).astype(float), (edges <= first).astype(float)
    if inside.any():
        x = converted(edges[inside], component.arithmetic)
        below[inside] = to_float(exp(component.log_half(x, left=True)))
        above[inside] = to_float(exp(component.log_half(x, left=False)))
    rising, falling = np.diff(below), -np.diff(above)
    return np.asarray(np.maximum(np.where(below[1:] <= 0.5, rising, falling), 0.0))
