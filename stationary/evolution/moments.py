"""`moments`: mean and deviation over time, in closed form or from grids, and from the start itself.

With a drift b0 + b1 x and a variance c0 + c1 x + c2 x^2 in Ito's form, on a line that no wall ends,

    m' = b0 + b1 m,    v' = (2 b1 + c2) v + c0 + c1 m + c2 m^2

for the mean m and the variance v, whatever the tails: these are linear in (1, m, m^2, v).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stationary.evolution.propagation import Run
from stationary.evolution.refinement import Limit, Refined
from stationary.evolution.window import beyond
from stationary.functions.given import Boundary
from stationary.process.diffusion import Diffusion
from stationary.process.initial import Initial

__all__ = ["closed_moments", "moments"]

Array = NDArray[Any]

LOST = 0.1  # of a moment, that may lie beyond all cells: with more it is not known
MUCH = 1e-6  # of all probability, at the ends of the cells
ROUNDING = 4e-16
SAME = 1e-13  # of what a polynomial adds up, by which values are off that are one


def moments(
    start: Initial, diffusion: Diffusion, times: Array, run: Run, found: Refined, leak: Array
) -> tuple[Limit, Limit]:
    """Mean and deviation (times,); nan with an error of inf where they are not known.

    They are not where hardly any probability, too far away for cells, makes most of them, nor once
    there is more than a little of it: what was lost does not come back. `leak` is how much, at all.
    """
    closed = closed_moments(start, diffusion, times)
    if closed is not None:
        return closed
    missing = beyond(run, diffusion)
    spread = np.abs(run.chain.position - run.mean[:, None])
    shift = (run.states * spread).sum(axis=1)
    away = np.abs(found.mean.value - run.origin)
    rounding = ROUNDING * (np.abs(found.mean.value) + run.chain.width.min())
    mean_error = found.mean.error + found.moment_errors[:, 0] + missing.mean + rounding
    variance = np.maximum(found.variance.value, 0.0)
    # The variance is about the mean: an error of the mean enters twice the distance.
    variance_error = (
        found.variance.error
        + found.moment_errors[:, 1]
        + missing.variance
        + 2 * away * found.moment_errors[:, 0]
    )
    mean = found.mean.value.copy()
    std = np.sqrt(variance)
    upper = np.sqrt(variance + variance_error)
    lower = np.sqrt(np.maximum(variance - variance_error, 0.0))
    std_error = np.maximum(upper - std, std - lower) + rounding
    at_first = times == 0
    if at_first.any():
        exact = start.moments()
        if exact is not None:
            mean[at_first], mean_error[at_first], std[at_first], std_error[at_first] = exact
    gone = leak > MUCH
    no_mean = np.logical_or.accumulate(~at_first & (gone | (missing.mean > LOST * shift)))
    far = missing.variance > LOST * run.variance
    no_std = np.logical_or.accumulate(~at_first & (far | no_mean))
    mean[no_mean] = std[no_std] = math.nan
    mean_error[no_mean] = std_error[no_std] = math.inf
    return Limit(mean, mean_error), Limit(std, std_error)


def closed_moments(
    start: Initial, diffusion: Diffusion, times: Array
) -> tuple[Limit, Limit] | None:
    """Mean and deviation by their own equations; None where these are not closed."""
    first = start.moments()
    walls = {Boundary.PERIODIC, Boundary.ABSORBING}
    if first is None or walls & set(diffusion.boundaries):
        return None
    centre, mean_error, std, std_error = first
    coefficients = _polynomial(diffusion, centre, std)
    if coefficients is None:
        return None
    (b0, b1), (c0, c1, c2) = coefficients
    rates = np.array(
        [[0, 0, 0, 0], [b0, b1, 0, 0], [0, 2 * b0, 2 * b1, 0], [c0, c1, c2, 2 * b1 + c2]]
    )
    from scipy.linalg import expm

    with np.errstate(all="ignore"):
        powers = expm(rates * times[:, None, None])
        offset, variance = powers[:, 1, 0], powers @ np.array([1.0, 0.0, 0.0, std**2])
        off = np.array([0.0, mean_error, 2 * ROUNDING, 2 * std * std_error + std_error**2])
        off = off + SAME * np.array([1.0, 0.0, 0.0, std**2])
        error = (np.abs(powers) @ off) * (1 + np.abs(rates).max() * times)[:, None]
        mean, v = centre + offset, np.maximum(variance[:, 3], 0.0)
        mean_error = error[:, 1] + ROUNDING * np.abs(mean)
        upper, lower = np.sqrt(v + error[:, 3]), np.sqrt(np.maximum(v - error[:, 3], 0.0))
    if not np.isfinite(upper + mean).all():
        return None
    return Limit(mean, mean_error), Limit(np.sqrt(v), upper - lower)


def _polynomial(diffusion: Diffusion, centre: float, width: float) -> tuple[Array, Array] | None:
    """The coefficients of a linear drift and a quadratic variance of x - centre, if they are such.

    And if no end interferes: finite ones must have no noise, and a drift that does not lead out.
    """
    from numpy.polynomial import Polynomial

    lower, upper = diffusion.domain
    low, high = max(lower, centre - (width or 1.0)), min(upper, centre + (width or 1.0))
    unit = (high - low) / 2
    x = centre + unit * np.concatenate([s * np.geomspace(1e-2, 1e8, 41) for s in (-1.0, 1.0)])
    x = np.concatenate([np.linspace(low, high, 7)[1:-1], x[(x > lower) & (x < upper)]])
    with np.errstate(all="ignore"):
        f, a = diffusion.coefficients(x)
        u, inner = (x - centre) / unit, [1, 3, 2]
        found = []
        for values, count in ((f, 2), (a, 3)):
            p = np.linalg.solve(np.vander(u[inner[:count]], increasing=True), values[inner[:count]])
            p[np.abs(p) < SAME / 10 * np.abs(p).max()] = 0.0  # rounding, which grows with u
            if not (np.abs(Polynomial(p)(u) - values) <= SAME * Polynomial(abs(p))(abs(u))).all():
                return None
            found.append(p)
    of_f, of_a = found
    of_f = of_f + diffusion.convention.value / 2 / unit * np.array([of_a[1], 2 * of_a[2]])  # Ito's
    for end, inwards in ((lower, 1), (upper, -1)):
        if math.isfinite(at := (end - centre) / unit):
            noisy = abs(Polynomial(of_a)(at)) > SAME * Polynomial(abs(of_a))(abs(at))
            if noisy or inwards * Polynomial(of_f)(at) < 0:
                return None
    return of_f / unit ** np.arange(2), of_a / unit ** np.arange(3)
