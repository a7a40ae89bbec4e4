"""`spread_of`: mean and deviation of SGD in its one basin, under a schedule."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from stationary.aliases import Array
from stationary.errors import LandscapeError
from stationary.process.landscape import Landscape
from stationary.process.schedules import Schedule

NODES = 16  # of Gauss and Hermite
TABLE = 4001  # weights at which G and D are tabulated
REACH = 12.0  # deviations that it reaches beyond the mean


@dataclass(frozen=True, eq=False)
class Spread:
    """Mean and deviation at M times, and their errors, shape (M,) each."""

    mean: Array
    mean_error: Array
    std: Array
    std_error: Array


def spread_of(
    landscape: Landscape, schedule: Schedule, steps: Array, mean: float, std: float
) -> Spread | None:
    """Mean and deviation before the given steps, from those at first; None for too many steps.

    As if the weights were normal before every step, which is exact for parabolas:

        mean <- E(w - T G(w)),    variance <- Var(w - T G(w)) + T^2 E D(w).

    The error is by how much a straight G and an even D about the mean would change this.
    """
    from scipy.interpolate import CubicSpline

    if len(schedule) > 200_000:
        return None
    z, weight = np.polynomial.hermite_e.hermegauss(NODES)
    weight = weight / weight.sum()
    lower, upper = landscape.domain
    rate, process = landscape.learning_rate, landscape.diffusion()
    assert rate is not None
    scale = landscape.small_step_rate / rate  # 1 without momentum

    def table(low: float, high: float) -> tuple[Any, Any, float, float]:
        x = np.linspace(max(low, lower), min(high, upper), TABLE)
        f, a = process.coefficients(x)
        process.check(x, f, a)
        both = CubicSpline(x, np.stack([-f / (rate * scale), a / (rate * scale) ** 2], axis=1))
        return both, both.derivative(), float(x[0]), float(x[-1])

    reach = REACH * std + 1e-3 * (1 + abs(mean))
    at, slope, low, high = table(mean - reach, mean + reach)
    m, v, straight_m, straight_v = mean, std**2, mean, std**2
    wanted, rows = set(steps.tolist()), []
    for k, t in enumerate((schedule.rates * scale).tolist()):
        if k in wanted:
            rows.append((m, v, straight_m, straight_v))
        s = math.sqrt(v)
        while not (max(lower, m - REACH * s) >= low and min(upper, m + REACH * s) <= high):
            if not (math.isfinite(m) and math.isfinite(s) and high - low < 1e9 * (1 + reach)):
                raise LandscapeError(f"{landscape.name}: SGD runs away at step {k}.")
            at, slope, low, high = table(min(low, m - 2 * REACH * s), max(high, m + 2 * REACH * s))
        w = np.clip(m + s * z, low, high)
        g, d = at(w).T
        moved = w - t * g
        m = float(weight @ moved)
        v = float(weight @ (moved - m) ** 2 + t * t * (weight @ np.maximum(d, 0.0)))
        here = min(max(straight_m, low), high)
        (g, d), (bend, _) = at(here), slope(here)
        straight_v = (1 - t * bend) ** 2 * straight_v + t * t * max(d, 0.0)
        straight_m = here - t * g
    if len(schedule) in wanted:
        rows.append((m, v, straight_m, straight_v))
    means, variances, others, straight = np.array(rows).T
    stds = np.sqrt(variances)
    rounding = 1e-12 * (1 + np.abs(means) + stds)
    return Spread(
        means,
        np.abs(means - others) + rounding,
        stds,
        np.abs(stds - np.sqrt(straight)) + rounding,
    )
