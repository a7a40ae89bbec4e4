"""`windowed`: where on the line an evolution needs cells, and how narrow.

An infinite domain is cut where next to nothing of the start, of the end state and of what the drift
carries in between is left; the cut is moved out until hardly anything reaches it.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stationary.diffusion import Diffusion
from stationary.distribution import EndState
from stationary.errors import LandscapeError
from stationary.evolution.generator import chain_on
from stationary.evolution.grid import Feature, Grid, grid_on
from stationary.evolution.propagation import Run, run_on
from stationary.start.initial import Initial

__all__ = ["COUNTED", "is_whole", "leaks", "windowed"]

Array = NDArray[Any]

TAIL = 1e-13  # of the start and of the end state, that may lie outside the window
LEAK = 1e-10  # at an edge of the window, for which it is widened
WIDENINGS = 60
PATIENCE = 4  # widenings that did not help: coarse cells let a little through everywhere
FLIGHT = 200  # steps of the drift alone
FURTHEST = 1e6  # times where the process starts, to which that is followed
LARGEST = 1e90
COUNTED = 1e-9  # of all probability: an end state that loses more cannot be compared with
MANY = 24  # minima around which cells are put


def windowed(state: EndState, start: Initial, times: Array, cells: int) -> Grid:
    """The grid, of about `cells` cells on level 0, on a window that holds the probability."""
    diffusion = state.diffusion
    lower, upper = diffusion.domain
    low, high = _first_window(state, start, times)
    grid = _grid(state, start, times, (low, high), cells)
    best, least, idle = grid, math.inf, 0
    for _ in range(WIDENINGS):
        run = run_on(state, start, grid.edges(0), times, 1e-6)
        at_low, at_high = leaks(run, diffusion)
        leak = float((at_low + at_high).max())
        idle = 0 if leak < least / 2 else idle + 1
        best, least = (grid, leak) if idle == 0 else (best, least)
        if leak <= LEAK or idle == PATIENCE:
            break
        reach = 0.5 * (high - low)
        low = max(low - reach, lower) if at_low.max() > LEAK / 2 else low
        high = min(high + reach, upper) if at_high.max() > LEAK / 2 else high
        if max(abs(low), abs(high)) > LARGEST:
            break
        grid = _grid(state, start, times, (low, high), cells)
        try:
            chain_on(diffusion, state.anatomy, grid.edges(0))
        except LandscapeError:
            break  # out there the process is beyond doubles
    return best


def leaks(run: Run, diffusion: Diffusion) -> tuple[Array, Array]:
    """The probability in the outermost cells, where they are no end of the domain, (times,)."""
    masses, edges = run.states[:, run.chain.is_cell], run.chain.edges
    nothing = np.zeros(len(masses))
    return (
        masses[:, 0] if edges[0] > diffusion.domain[0] else nothing,
        masses[:, -1] if edges[-1] < diffusion.domain[1] else nothing,
    )


def _first_window(state: EndState, start: Initial, times: Array) -> tuple[float, float]:
    diffusion = state.diffusion
    lower, upper = diffusion.domain
    low, high = _reach_of(start)
    places = [low, high, *(float(e.position) for e in state.anatomy.equilibria)]
    places += [float(e) for p in state.anatomy.points for e in (p.lower, p.upper)]
    if state.kind in ("density", "mixture", "flux") and is_whole(state):
        if math.isinf(lower):
            places.append(float(state.ppf(TAIL)))
        if math.isinf(upper):
            places.append(float(state.isf(TAIL)))
    x = np.clip(np.array([low, high]), lower, upper)
    t = float(times[-1])
    with np.errstate(all="ignore"):
        spread = np.nan_to_num(np.minimum(np.sqrt(diffusion.coefficients(x)[1] * t), 1 + abs(x)))
    if not is_whole(state):  # nothing keeps it
        x, spread = _carried(diffusion, x, t)
        places += x.tolist()
        places += (x - spread).tolist() + (x + spread).tolist()
    places = [p for p in places if math.isfinite(p)]
    first, last = min(places), max(places)
    margin = 0.05 * (last - first) or max(float(spread.max()), 1e-3 * (1 + abs(first)))
    return (
        lower if math.isfinite(lower) else first - margin,
        upper if math.isfinite(upper) else last + margin,
    )


def _carried(diffusion: Diffusion, x: Array, t: float) -> tuple[Array, Array]:
    """Where the drift alone would take two points by time t, and eight deviations there.

    The variance v obeys dv/dt = 2 f' v + a along the way, as long as it is small.
    """
    furthest = FURTHEST * (1 + float(np.abs(x).max()))
    lower, upper = diffusion.domain
    dt, v = t / FLIGHT, np.zeros(2)
    for _ in range(FLIGHT):
        h = 1e-6 * (1 + np.abs(x))
        with np.errstate(all="ignore"):
            f, a = diffusion.coefficients(np.clip(np.concatenate([x, x + h]), lower, upper))
            stretch = np.exp((f[2:] - f[:2]) / h * dt)
            further = np.clip(x + f[:2] * dt, lower, upper)
            v_next = v * stretch**2 + a[:2] * dt
        fine = (np.abs(further) < furthest) & (v_next < furthest**2)  # and neither is nan
        x, v = np.where(fine, further, x), np.where(fine, v_next, v)
    return x, 8 * np.sqrt(v)


def _reach_of(start: Initial) -> tuple[float, float]:
    """The interval that holds the start but for next to nothing."""
    if start.law is None:
        return float(start.points.min()), float(start.points.max())
    tail = np.array([TAIL])
    with np.errstate(all="ignore"):
        low, high = float(start.law.law.ppf(tail)[0]), float(start.law.law.isf(tail)[0])
    return max(low, start.law.lower), min(high, start.law.upper)


def is_whole(state: EndState) -> bool:
    """Whether all probability ends in atoms and densities, as far as that is known."""
    if state.kind in ("none", "classes"):
        return False
    return sum(float(e.weight or 0.0) for e in state.escapes) <= COUNTED


def _grid(
    state: EndState, start: Initial, times: Array, window: tuple[float, float], cells: int
) -> Grid:
    diffusion = state.diffusion
    low, high = window
    span = high - low
    features = []
    centre, width = _centre_of(start)
    first = float(times[times > 0][0]) if (times > 0).any() else 0.0
    at = np.array([min(max(centre, low), high)])
    with np.errstate(all="ignore"):
        noise = float(np.nan_to_num(np.sqrt(diffusion.coefficients(at)[1] * first))[0])
    features.append(Feature(centre, max(width, noise, 1e-4 * span if start.law is None else 0.0)))
    stable = [e for e in state.anatomy.equilibria if e.stable and low < e.position < high]
    for e in stable[:MANY]:
        x = np.array([e.position])
        slope = abs(e.slope) if e.slope else 0.0
        with np.errstate(all="ignore"):
            s = float(np.sqrt(diffusion.coefficients(x)[1][0] / 2 / slope)) if slope else math.nan
        features.append(Feature(e.position, s if math.isfinite(s) else span / 20, 2.0))
    if is_whole(state) and len(state.components) and not state.atoms:
        q = [float(x) for x in (state.ppf(0.25), state.ppf(0.5), state.ppf(0.75))]
        features.append(Feature(q[1], max(q[2] - q[0], 1e-4 * span), 1.0))
    singular = [float(e) for p in state.anatomy.points for e in (p.lower, p.upper)]
    for end in state.anatomy.ends:
        if end.order is not None and low <= end.position <= high:
            singular.append(float(end.position))
    deep = 1e-8 if len(singular) < MANY else 1e-3
    features += [Feature(x, deep * span) for x in singular]
    breaks = [low, high, *singular, *diffusion.breakpoints]
    if start.point is not None:
        breaks.append(start.point)
    return grid_on(window, np.array(breaks), tuple(features), max(cells, 2))


def _centre_of(start: Initial) -> tuple[float, float]:
    """Where the start is, and about how wide."""
    if start.law is None:
        weight = start.weights / start.weights.sum()
        mean = float(weight @ start.points)
        return mean, float(np.sqrt(weight @ (start.points - mean) ** 2))
    q = np.array([0.25, 0.5, 0.75])
    first = start.law.ends[0]
    x = start.law.at(first.before + q * start.law.total, 1 - q, np.zeros(3, dtype=bool))
    return float(x[1]), float(x[2] - x[0])
