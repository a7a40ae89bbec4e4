"""Where there is no noise: the drift alone takes the process along, in the time int dx / |f|."""

from __future__ import annotations

import math

import numpy as np

from stationary.aliases import Array
from stationary.line.chart import OCTAVES
from stationary.numbers.arithmetic import DOUBLE
from stationary.numbers.chebyshev import rule
from stationary.numbers.elementary import distinct
from stationary.panels.pieces import sample
from stationary.process.diffusion import Diffusion
from stationary.states.law import Value


def travel_times(diffusion: Diffusion, x: Array, goal: float) -> Value:
    """log of the time from each x to the goal, which all lie on one side of it; inf if for ever.

    Between them the drift keeps its sign; at the goal it may vanish, as a power of the distance.
    """
    r = rule(20)
    sign = 1.0 if (x <= goal).all() else -1.0
    distance = sign * (goal - x)  # from the goal
    far = float(distance.max(initial=0.0))
    if far == 0:
        return Value(np.full(x.shape, -math.inf), np.zeros(x.shape))

    def speed(d: Array) -> Array:
        with np.errstate(all="ignore"):
            return np.asarray(1 / np.abs(diffusion.coefficients(goal - sign * d)[0]))

    ends, rest = np.zeros(1), 0.0
    slow = _power(diffusion, goal, sign, far)
    if slow is not None:
        if slow > 1 - 1e-6:
            endless = np.where(distance > 0, math.inf, -math.inf)
            return Value(endless, np.zeros(x.shape))
        ends = far * 2.0 ** -np.arange(float(OCTAVES), 0, -1)
        rest = float(ends[0] * speed(ends[:1])[0] / (1 - slow))
    edges = distinct(ends, distance[distance > ends[0]])
    extra = [sign * (goal - b) for b in diffusion.breakpoints]
    edges = distinct(edges, [d for d in extra if edges[0] < d < edges[-1]])
    found = sample(
        lambda d: (speed(d),), edges[:-1], edges[1:], weights=(True,), n=r.n, arithmetic=DOUBLE
    )
    half = (found.upper - found.lower) / 2
    parts = half * (r.integral @ found.coefficients[0])
    errors = 4 * half * found.tails[0] + 4 * DOUBLE.epsilon * np.abs(parts)
    times = np.cumsum(np.append(rest, parts))
    off = np.cumsum(np.append(1e-8 * rest, errors))
    at = np.searchsorted(found.upper, distance)
    at = np.where(distance > edges[0], np.minimum(at + 1, len(parts)), 0)
    time, error = times[at], off[at]
    near = distance < edges[0]
    if near.any():
        time[near] = rest * (distance[near] / edges[0]) ** (1 - (slow or 0.0))
    with np.errstate(divide="ignore"):
        return Value(np.log(time), error / np.where(time > 0, time, 1))


def _power(diffusion: Diffusion, goal: float, sign: float, far: float) -> float | None:
    """The power of the distance as which the drift vanishes at the goal; None: it does not."""
    d = far * np.array([1e-6, 1e-9])
    with np.errstate(all="ignore"):
        f = np.abs(diffusion.coefficients(np.append(goal - sign * d, goal))[0])
        if f[2] > 0 and f[0] < 2 * f[2]:
            return None
        if not (f[:2] > 0).all():
            return math.inf
        power = float(np.log(f[0] / f[1]) / np.log(d[0] / d[1]))
    return None if power < 1e-3 else power
