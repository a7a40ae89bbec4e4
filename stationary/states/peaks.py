"""Where a density has no bound, and how much gathers there; and quantiles with their errors."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from stationary.aliases import Array
from stationary.errors import LandscapeError
from stationary.numbers.arithmetic import DOUBLE
from stationary.numbers.elementary import compact, log, logaddexp, number, spacing, to_float
from stationary.result import Listed
from stationary.states.distribution import EndState
from stationary.weight.component import Component
from stationary.weight.quantiles import quantile
from stationary.weight.shares import masses_between


@dataclass(frozen=True, eq=False)
class Peak(Listed):
    """A point next to which the density grows without bound, and what lies around it.

    Logarithms are natural. It reaches to where the density is least between it and the next peak.
    """

    position: Any
    lower: Any
    upper: Any
    log_mass: Any
    mass_error: float  # absolute, of log_mass; so relative, of the mass
    log_half: Any  # log of the distance within which half of that mass lies


def peaks_of(state: EndState) -> tuple[Peak, ...]:
    """The peaks without bound, left to right: at ends of the domain, or where the noise vanishes.

    Returns () where the masses depend on a start that was not given, or there is no end state.
    """
    if not isinstance(state, EndState):
        raise LandscapeError(
            f"peaks_of takes what end_state gives, not {state!r:.60}. Write "
            "peaks_of(end_state(process))."
        )
    if state.kind in ("none", "classes"):
        return ()
    found: list[Peak] = []
    for c in state.components:
        for peak in _of_component(c) if c.weight > 0 else ():
            before = found[-1] if found else None
            if before is not None and before.position == peak.position == before.upper:
                found[-1] = replace(  # both sides of one point
                    before,
                    upper=peak.upper,
                    log_mass=logaddexp(before.log_mass, peak.log_mass),
                    mass_error=max(before.mass_error, peak.mass_error),
                    log_half=max(before.log_half, peak.log_half),
                )
            else:
                found.append(peak)
    names = "position", "lower", "upper", "log_mass", "log_half"
    error = compact(state.error)
    return tuple(
        replace(
            p, mass_error=p.mass_error + error, **{n: state.given(getattr(p, n)) for n in names}
        )
        for p in found
    )


def _of_component(c: Component) -> Iterator[Peak]:
    """Those at the two ends of one component, without the error of the whole."""
    turns = c.density.turns
    height = c.density(turns)
    rising = height[1:] > height[:-1]
    for side, tail in enumerate(c.density.tails):
        if tail is None or tail.outward or not tail.exponent < -tail.doubt:
            continue
        # From the end on, the density falls up to the first turn at which it rises again.
        away = ~rising if side == 0 else rising[::-1]
        steps = len(away) if away.all() else int(np.argmin(away))
        border = c.interval[1 - side] if steps == len(away) else turns[:: 1 - 2 * side][steps]
        low, high = (c.interval[0], border) if side == 0 else (border, c.interval[1])
        log_mass = c.log_probability(low, high)
        half = log_mass + math.log(0.5)
        beyond = c.log_tail_masses[side] - c.log_norm
        if half <= beyond:
            log_half = number(tail.log_distance(c.arithmetic.array([half + c.log_norm]))[0])
        else:
            x = quantile(c, c.arithmetic.array([half]), left=side == 0)
            log_half = log(abs(number(x[0]) - c.interval[side]))
        yield Peak(
            c.interval[side], low, high, log_mass + log(c.weight), float(tail.error), log_half
        )


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
