"""Quantiles of an end state with their errors."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from stationary.aliases import Array
from stationary.numbers.arithmetic import DOUBLE
from stationary.numbers.elementary import spacing, to_float
from stationary.states.distribution import EndState
from stationary.weight.shares import masses_between

LEVELS = (0.001, 0.025, 0.05, 0.25, 0.5, 0.75, 0.95, 0.975, 0.999)  # that are told in full


def quantiles(state: EndState, levels: tuple[float, ...]) -> dict[str, dict[str, float]]:
    """Quantiles by level, each with its absolute error."""
    if state.kind in ("none", "classes"):
        return {}
    exact = state
    if state.arithmetic is not DOUBLE:  # positions that doubles cannot tell apart
        exact = replace(state, digits=state.arithmetic.digits)
    q = np.array(levels)
    x = exact.ppf(q)
    # P(X <= x) has the relative error of a mass: divided by the density it is one of x, and where
    # next to nothing lies, as between two wells, x may be anywhere up to what lies beyond.
    doubt = _doubt(state, x, q)
    low, high = exact.ppf(np.maximum(q - doubt, 0)), exact.ppf(np.minimum(q + doubt, 1))
    with np.errstate(all="ignore"):
        reach = to_float(np.maximum(x - low, high - x))
        error = np.fmax(to_float(doubt) / to_float(exact.pdf(x)) + 2 * to_float(spacing(x)), reach)
    if state.doubt:  # of all distances from the mean, and of that
        error += state.doubt * (np.abs(to_float(x) - float(state.mean())) + 2 * float(state.std()))
    at = to_float(x)
    on_atom = np.isin(at, [a.position for a in state.atoms])
    error = np.where(on_atom, np.spacing(np.abs(at)), error)
    result = {}
    for level, place, nearest, by in zip(levels, x, at, error, strict=True):
        lost = state.unplaced(place)
        result[f"{level:g}"] = {"value": float(nearest), "error": float(by) + lost}
        if exact is not state and place != nearest:
            result[f"{level:g}"]["offset"] = float(place - nearest)
    return result


def _doubt(state: EndState, x: Array, q: Array) -> Array:
    """The error of P(X <= x) where that is q: of the masses on either side."""
    if state.kind != "density" or len(state.components) != 1:
        return np.asarray(float(state.error) * q * (1 - q))
    errors = [masses_between(state.components[0], x[[i]])[1].max() for i in range(len(x))]
    known = to_float(np.array(errors))
    # At an end, to which doubles round, nothing is left on one side: what is beside it counts.
    return np.asarray(np.where(np.isfinite(known), known, float(state.error)) * q * (1 - q))
