"""Basins: what each minimum holds, and what separates it from its neighbours."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stationary.component import Component
from stationary.distribution import EndState, Mode, modes_of
from stationary.equilibria import Equilibrium
from stationary.masses import log_sum
from stationary.survey import Survey

__all__ = ["Basin", "basins_of"]

Array = NDArray[Any]


@dataclass(frozen=True)
class Basin:
    """A stable equilibrium and the interval between the unstable ones around it.

    All logarithms are natural. `log_mass` is right to `mass_error`, which is the absolute
    error of log_mass and so the relative error of mass.
    """

    position: float  # of the minimum
    position_error: float
    at_wall: bool  # not a zero of the drift: the drift presses against a reflecting end
    lower: float
    upper: float
    mass: float
    log_mass: float
    mass_error: float
    log_density: float  # log P at the minimum
    curvature: float | None  # -f' at the minimum [1 / time]; None at a corner or a wall
    variance: float  # a at the minimum [x^2 / time]
    barrier_left: float | None  # drop of int 2 f / a from the minimum to the unstable neighbour
    barrier_right: float | None  # None where there is no neighbour on that side
    barrier_error: float  # absolute, of both
    modes: tuple[Mode, ...]

    @property
    def density(self) -> float:
        """P at the minimum, per unit of x."""
        return math.exp(min(self.log_density, 709.0))


def basins_of(state: EndState) -> tuple[Basin, ...]:
    """The basins of every closed class, left to right.

    A reflecting wall that the drift presses against counts as a minimum, since mass collects
    there. Where the weights of the classes are not known, a mass is that within its class.
    Returns () where there is no density.
    """
    return tuple(
        b for c in state.components if c.weight is None or c.weight > 0 for b in _basins(state, c)
    )


def _basins(state: EndState, c: Component) -> list[Basin]:
    lower, upper = c.interval
    parts = state.anatomy.piece_at(lower)
    found = parts.survey
    stable = [e for e in parts.equilibria if e.stable]
    borders = [lower, *(e.position for e in parts.equilibria if not e.stable), upper]
    # One minimum in each interval between borders; at an end that the drift presses against it
    # is the wall itself, or, at infinity, nothing.
    minima: list[tuple[Equilibrium, bool] | None] = [(e, False) for e in stable]
    h = found.samples.values[0]
    if h[0, 0] < 0:
        wall = (Equilibrium(found.lower, 0.0, True, None), True)
        minima.insert(0, wall if math.isfinite(lower) else None)
    if h[-1, -1] > 0:
        wall = (Equilibrium(found.upper, 0.0, True, None), True)
        minima.append(wall if math.isfinite(upper) else None)
    at = np.array([m[0].position for m in minima if m is not None])
    if not len(at):
        return []
    densities = iter(c.logpdf(at))
    variances = iter(np.exp(found.panels.evaluate(found.ell, at)))
    log_mass, errors = _masses(c, np.array(borders[1:-1]))
    if c.weight is not None and c.weight != 1:
        log_mass = log_mass + math.log(c.weight)
    modes = modes_of(c)
    result = []
    for i, minimum in enumerate(minima):
        if minimum is None:
            continue
        e, at_wall = minimum
        low, high = borders[i], borders[i + 1]
        inner = [found.lower if i == 0 else low, found.upper if i + 1 == len(minima) else high]
        climbs = np.abs(found.climbs(np.array([inner[0], e.position, inner[1]])))
        result.append(
            Basin(
                position=(lower if i == 0 else upper) if at_wall else e.position,
                position_error=e.error,
                at_wall=at_wall,
                lower=low,
                upper=high,
                mass=math.exp(log_mass[i]),
                log_mass=float(log_mass[i]),
                mass_error=float(errors[i]),
                log_density=float(next(densities)),
                curvature=None if e.slope is None else -e.slope,
                variance=float(next(variances)),
                barrier_left=float(climbs[0]) if i > 0 else None,
                barrier_right=float(climbs[1]) if i + 1 < len(minima) else None,
                barrier_error=_barrier_error(found, low, high, climbs),
                modes=tuple(m for m in modes if low <= m.position <= high),
            )
        )
    return result


def _barrier_error(found: Survey, low: float, high: float, climbs: Array) -> float:
    first, last = found.panels.locate(np.array([low, high]))[0]
    rounding = 4e-16 * float(np.abs(climbs).max(initial=0.0))
    return float(found.climb_errors[first : last + 1].sum()) + rounding


def _masses(c: Component, borders: Array) -> tuple[Array, Array]:
    """log of the mass between consecutive borders (and the ends), and its errors.

    With m_j the masses before normalisation and d_j their relative errors, the share
    p_i = m_i / sum m has relative error d_i - sum_j p_j d_j.
    """
    m = c.mesh
    basin = np.searchsorted(borders, (m.lower + m.upper) / 2)
    raw = m.log_mass - c.log_norm
    log_mass, own = np.full(len(borders) + 1, -math.inf), np.zeros(len(borders) + 1)
    for i in range(len(log_mass)):
        inside = basin == i
        extra = [
            (t.log_moment() - c.log_norm, t.error)
            for t in c.density.tails
            if t is not None and i == (0 if t.side == "lower" else len(borders))
        ]
        logs = np.concatenate([raw[inside], [log for log, _ in extra]])
        weights = np.concatenate([c.panel_errors[inside], [error for _, error in extra]])
        log_mass[i] = log_sum(logs)
        own[i] = np.exp(logs - log_mass[i]) @ weights if len(logs) else 0.0
    share = np.exp(log_mass)
    errors = own * (1 - share) + (share @ own - share * own)
    return np.minimum(log_mass, 0.0), errors + 4e-16 * (1 + np.abs(log_mass))
