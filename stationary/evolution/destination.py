"""`distance_to_end`: how far an evolution is from the end state."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from stationary.aliases import Array
from stationary.evolution.between import Between
from stationary.evolution.evolution import EvolutionAtom, Seen
from stationary.evolution.features import is_whole
from stationary.numbers.arithmetic import SAME
from stationary.process.initial import Initial
from stationary.states.distribution import EndState

MOST_IN_ONE = 0.25  # of all probability in the end


def distance_to_end(
    state: EndState,
    start: Initial,
    times: Array,
    between: Between,
    seen: Seen,
    atoms: Sequence[EvolutionAtom],
) -> tuple[Array | None, Array | None, bool]:
    """The total-variation distance (times,), its error, and if cells show the end.

    They do not where one of them holds most of a density: most of the distance may be within it.
    """
    if not is_whole(state) or not state.error <= SAME:
        return None, None, True
    edges = between.edges
    below = state.below(edges)
    for place, weight in [(p.position, p.weight) for p in state.atoms] + [
        (p.position, p.weight or 0.0) for p in state.escapes
    ]:
        below -= float(weight) * (place <= edges)
    goal, beyond = np.maximum(np.diff(below), 0.0), float(below[0])
    beyond += max(sum(float(c.weight) for c in state.components) - float(below[-1]), 0.0)
    is_resolved = not goal.max(initial=0.0) > MOST_IN_ONE
    lumps = {a.position: 0.0 for a in atoms}
    for atom in state.atoms:
        if float(atom.position) in lumps:
            lumps[float(atom.position)] += float(atom.weight)
        else:  # where the drift alone comes to rest
            i = int(np.searchsorted(edges, atom.position)) - 1
            goal[min(max(i, 0), len(goal) - 1)] += atom.weight
    found = np.array(
        [
            between.variation(masses - goal, error, _hidden(masses, goal))
            for masses, error in zip(seen.masses, seen.error.tolist(), strict=True)
        ]
    )
    apart = found[:, 0] + beyond / 2 + sum(np.abs(a.weights - lumps[a.position]) for a in atoms) / 2
    error = found[:, 1] + seen.mass_error + float(state.error)
    if start.law is None:  # points have nothing in common with a density
        first = times == 0
        common = sum(min(start.mass_at(float(a.position)), float(a.weight)) for a in state.atoms)
        apart[first], error[first] = 1 - common, float(state.error)
    return np.minimum(apart, 1.0), np.minimum(error, 1.0), is_resolved


def _hidden(masses: Array, goal: Array) -> Array:
    """Of two laws, (cells,): by how much they can be further apart than their masses in a cell.

    By what both have there; and by as much as their ratio varies, which is seen from cell to cell.
    """
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        ratio = np.where(goal > 0, masses / goal, np.inf)
        step = np.pad(np.nan_to_num(np.abs(np.diff(ratio)), nan=np.inf), 1)
        varied = np.where(goal > 0, goal * np.maximum(step[1:], step[:-1]), 0.0)
    return np.minimum(np.minimum(masses, goal), varied)
