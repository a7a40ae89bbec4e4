"""`basins_of`: the basins of every closed class of an end state."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stationary.line.ends import Anatomy
from stationary.line.equilibria import Equilibrium
from stationary.line.sampling import Sampling
from stationary.numbers.chebyshev import chebyshev_sum
from stationary.numbers.elementary import (
    compact,
    exp,
    log,
    logsumexp,
    number,
    possible_growth,
    spacing,
    to_float,
)
from stationary.states.basin import Basin
from stationary.states.distribution import EndState
from stationary.states.merging import MIN_BARRIER, checked_barrier, merged
from stationary.weight.component import Component

__all__ = ["Basin", "basins_of", "climb_error"]

Array = NDArray[Any]


def basins_of(state: EndState, min_barrier: float = MIN_BARRIER) -> tuple[Basin, ...]:
    """The basins of every closed class, left to right.

    A reflecting wall that the drift presses against counts as a minimum, since mass collects
    there. Where the weights of the classes are not known, a mass is that within its class.
    Returns () where there is no density.

    Parameters
    ----------
    state
        A solved process.
    min_barrier
        Minima of which the shallower one is separated from the other by less than this, in the
        exponent int 2 f / a (dimensionless), are one basin, and its `parts`; lower barriers go
        first. 0: every minimum is a basin.

    Raises
    ------
    LandscapeError
        If `min_barrier` is not a number from 0 upwards.
    """
    least = checked_barrier(min_barrier, state.diffusion.name)
    if state.diffusion.is_periodic:
        lower, upper = state.diffusion.domain
        rings = (_basins_of_ring(state, c) for c in state.components)
        return tuple(b for ring in rings for b in merged(ring, least, state, upper - lower))
    lines = (_basins(state, c) for c in state.components if c.weight is None or c.weight > 0)
    return tuple(b for line in lines for b in merged(line, least, state))


def _basins(state: EndState, c: Component) -> list[Basin]:
    lower, upper = c.interval
    parts = state.anatomy.piece_at(lower)
    found = parts.sampling
    stable = [e for e in parts.equilibria if e.stable]
    borders = [lower, *(e.place for e in parts.equilibria if not e.stable), upper]
    # One minimum in each interval between borders; at an end that the drift presses against it
    # is the wall itself, or, at infinity, nothing.

    def rounded(x: Any) -> float:
        """What a number loses when it is handed out as a double."""
        size = abs(to_float(number(x)))
        return 0.0 if state.digits is not None or size == math.inf else float(np.spacing(size)) / 2

    minima: list[tuple[Any, Equilibrium | None] | None] = [(e.place, e) for e in stable]
    first, last = found.diffusion.domain
    to_lower, to_upper = _pressed(parts)
    if to_lower:
        minima.insert(0, (found.lower, None) if math.isfinite(first) else None)
    if to_upper:
        minima.append((found.upper, None) if math.isfinite(last) else None)
    at = np.array([m[0] for m in minima if m is not None], dtype=found.panels.edges.dtype)
    if not len(at):
        return []
    panel, within = c.density.sampling.quieter(at)
    densities = iter(chebyshev_sum(c.density.coefficients, within, panel) - c.log_norm)
    variances = iter(exp(chebyshev_sum(c.density.sampling.ell, within, panel)))
    log_mass, errors = _masses(c, np.array(borders[1:-1]))
    if c.weight is None:
        log_mass = log_mass + c.log_share
    elif c.weight != 1:
        log_mass = log_mass + log(c.weight)
    weight_error = compact(c.error) if c.log_share != 0 else 0.0
    if c.weight is not None:
        # Of a start that is spread out, the error of a weight is absolute.
        spread = state.initial is not None and state.initial.law is not None
        weight_error += compact(state.weight_error / (c.weight if spread else 1))
    real = [(i, m[0], m[1]) for i, m in enumerate(minima) if m is not None]
    # Left and right ends of the basins, with the minima between.
    inner = [found.lower, *borders[1:-1], found.upper]
    places = [[inner[i], place, inner[i + 1]] for i, place, _ in real]
    around = np.array(places, dtype=at.dtype).ravel()
    climbs = np.append(np.abs(found.climbs(around)), 0 * around[-1:]).reshape(-1, 3)
    doubts = climb_errors(found, around[:-1], around[1:])
    doubts = np.append(doubts, 0 * doubts[-1:]).reshape(-1, 3)
    result = []
    given = state.given
    for (i, place, e), climb, doubt in zip(real, climbs, doubts, strict=True):
        low, high = borders[i], borders[i + 1]
        has_left, has_right = i > 0, i + 1 < len(minima)
        if e is None:
            place = lower if place is found.lower else upper
        slope = None if e is None else e.in_digits().slope
        result.append(
            Basin(
                position=given(place),
                position_error=0.0 if e is None else e.error,
                at_wall=e is None,
                lower=given(low),
                upper=given(high),
                mass=given(exp(number(log_mass[i]))),
                log_mass=given(log_mass[i]),
                mass_error=compact(errors[i] + weight_error + rounded(log_mass[i])),
                log_density=given(next(densities)),
                curvature=None if slope is None else given(-slope),
                variance=given(next(variances)),
                barrier_left=given(climb[0]) if has_left else None,
                barrier_right=given(climb[1]) if has_right else None,
                barrier_error=compact(
                    max(
                        doubt[0] + rounded(climb[0]) if has_left else 0.0,
                        doubt[1] + rounded(climb[1]) if has_right else 0.0,
                    )
                ),
                offset=state.left_out(place),
                places=(low, place, high),
                component=c,
                weight_error=weight_error,
                state=state,
            )
        )
    return result


def _pressed(parts: Anatomy) -> tuple[bool, bool]:
    """Whether the drift presses against the lower end of a piece, and against the upper one.

    Stable and unstable equilibria take turns, so that the outermost ones tell.
    """
    found, equilibria = parts.sampling, parts.equilibria
    if equilibria:
        return not equilibria[0].stable, not equilibria[-1].stable
    whole = found.climbs(np.array([found.lower, found.upper]))[0]
    return bool(whole < 0), bool(whole > 0)


def _basins_of_ring(state: EndState, c: Component) -> list[Basin]:
    lower, upper = c.interval
    parts = state.anatomy.piece_at(lower)
    found, equilibria = parts.sampling, parts.equilibria
    period = upper - lower
    borders = [e.position for e in equilibria if not e.stable]
    if not borders:
        return []
    log_mass, errors = _masses(c, np.array(borders))
    # What lies below the first border and above the last is one basin, across the seam.
    outer = [i for i in (0, -1) if log_mass[i] > -math.inf]  # the seam may be a border itself
    total = logsumexp(log_mass[outer])
    error = float(np.exp(log_mass[outer] - total) @ errors[outer])
    log_mass, errors = np.append(log_mass[1:-1], min(total, 0.0)), np.append(errors[1:-1], error)
    around = [*borders, borders[0] + period]
    result = []
    for e in (e for e in equilibria if e.stable):
        i = sum(b < e.position for b in borders) - 1
        shift = 0.0 if i >= 0 else period
        low, high = around[i if i >= 0 else -2] - shift, around[i + 1 if i >= 0 else -1] - shift
        at, to_edges = np.array([e.position]), np.array([max(low, lower), e.position])
        left = abs(float(found.climbs(to_edges)[0])) if to_edges[0] < e.position else 0.0
        right = abs(float(found.climbs(np.array([e.position, min(high, upper)]))[0]))
        if low < lower:
            left = abs(left + _signed(found, low + period, upper))
        if high > upper:
            right = abs(right - _signed(found, lower, high - period))
        result.append(
            Basin(
                position=e.position,
                position_error=e.error,
                at_wall=False,
                lower=low,
                upper=high,
                mass=math.exp(log_mass[i]),
                log_mass=float(log_mass[i]),
                mass_error=float(errors[i]),
                log_density=float(c.logpdf(at)[0]),
                curvature=None if e.slope is None else -e.slope,
                variance=float(np.exp(found.panels.evaluate(found.ell, at))[0]),
                barrier_left=left,
                barrier_right=right,
                barrier_error=climb_error(found, lower, upper),
                places=(low, e.position, high),
                component=c,
                state=state,
            )
        )
    return result


def _signed(found: Sampling, low: float, high: float) -> float:
    return float(found.climbs(np.array([low, high]))[0]) if low < high else 0.0


def climb_error(found: Sampling, start: Any, stop: Any) -> Any:
    """The error of int 2 f / a between two points that the panels cover."""
    low, high = (
        np.array([end], dtype=found.panels.edges.dtype)
        for end in (min(start, stop), max(start, stop))
    )
    return number(climb_errors(found, low, high)[0])


def climb_errors(found: Sampling, start: Array, stop: Array) -> Array:
    """The same between each start and stop above it."""
    start, stop = (np.minimum(np.maximum(x, found.lower), found.upper) for x in (start, stop))
    way = np.abs(found.samples.values[0]).mean(axis=0) * found.panels.half
    each = found.climb_errors + 3.6 * found.arithmetic.grain * way
    sums = np.concatenate([0 * each[:1], np.cumsum(each)])
    # Where the drift jumps, the point itself is known to a few roundings only.
    ends = np.stack([start, stop])
    near = 8 * spacing(ends)
    beside = np.minimum(np.maximum(np.stack([ends - near, ends + near]), found.lower), found.upper)
    steep = np.abs(found.panels.evaluate(found.h, beside.reshape(4, -1))).reshape(beside.shape)
    blur = (steep.max(axis=0) * near).sum(axis=0)
    first, last = (found.panels.locate(x)[0] for x in (start, stop))
    unknown = np.concatenate([[0.0], np.cumsum(found.unknown[0])])
    blur = blur + np.sqrt(unknown[last + 1] - unknown[first])
    return np.where(np.asarray(start < stop, dtype=bool), sums[last + 1] - sums[first] + blur, 0)


def _masses(c: Component, borders: Array) -> tuple[Array, Array]:
    """log of the mass between consecutive borders (and the ends), and its errors.

    With m_j the masses before normalisation and d_j their relative errors, the share
    p_i = m_i / sum m has relative error d_i - sum_j p_j d_j.
    """
    raw, basin, panel = c.mesh.masses_between(borders)
    raw = raw - c.log_norm
    log_mass = np.full(len(borders) + 1, -math.inf, dtype=raw.dtype)
    own = np.zeros(len(borders) + 1, dtype=raw.dtype)
    for i in range(len(log_mass)):
        inside = basin == i
        extra = [
            (t.log_moment() - c.log_norm, t.error)
            for t in c.density.tails
            if t is not None and i == (0 if t.side == "lower" else len(borders))
        ]
        logs = np.concatenate([raw[inside], [log for log, _ in extra]])
        weights = np.concatenate([c.panel_errors[panel[inside]], [error for _, error in extra]])
        log_mass[i] = logsumexp(logs)
        own[i] = exp(logs - log_mass[i]) @ weights if log_mass[i] > -math.inf else 0.0
    some = np.asarray(own > 0, dtype=bool)
    growth = 0 * own
    growth[some] = possible_growth(log_mass[some], own[some])
    errors = own * (1 - exp(log_mass)) + (growth.sum() - growth)
    return np.minimum(log_mass, 0), errors + 8 * c.arithmetic.grain * (1 + np.abs(log_mass))
