"""`moments`: mean and deviation over time, in closed form or from grids, and from the start itself.

With a drift b0 + b1 x and a variance c0 + c1 x + c2 x^2 in Ito's form, on a line that no wall ends,

    m' = b0 + b1 m,    v' = (2 b1 + c2) v + c0 + c1 m + c2 m^2

for the mean m and the variance v, whatever the tails: these are linear in (1, m, m^2, v).
"""

from __future__ import annotations

import math

import numpy as np

from stationary.aliases import Array
from stationary.errors import StationaryError
from stationary.evolution.propagation import Run
from stationary.evolution.refinement import Limit, Refined
from stationary.evolution.window import beyond
from stationary.functions.evaluation import evaluate
from stationary.functions.given import Boundary
from stationary.numbers.arithmetic import ROUNDING
from stationary.process.diffusion import Diffusion
from stationary.process.initial import Initial

LOST = 0.1  # of a moment, that may lie beyond all cells: with more it is not known
MUCH = 1e-6  # of all probability, at the ends of the cells
FAR = 1e-8  # probability, from which on the power of a tail is that of the start
SAME = 1e-13  # relative: the rounding of a polynomial, and of matrix exponentials


def moments(
    start: Initial, diffusion: Diffusion, times: Array, run: Run, found: Refined, leak: Array
) -> tuple[Limit, Limit]:
    """Mean and deviation (times,); nan with an error of inf where they are not known.

    They are not where hardly any probability, too far away for cells, makes most of them, nor once
    there is more than a little of it: what was lost does not come back. `leak` is how much, at all.
    """
    closed = closed_moments(start, diffusion, times, run.chain.position)
    if closed is not None:
        return closed
    missing_mean, missing_variance = beyond(run, diffusion)
    spread = np.abs(run.chain.position - run.mean[:, None])
    shift = (run.states * spread).sum(axis=1)
    away = np.abs(found.mean.value - run.origin)
    rounding = ROUNDING * (np.abs(found.mean.value) + run.chain.width.min())
    mean_error = found.mean.error + found.moment_errors[:, 0] + missing_mean + rounding
    variance = np.maximum(found.variance.value, 0.0)
    # The variance is about the mean: an error of the mean enters twice the distance.
    variance_error = (
        found.variance.error
        + found.moment_errors[:, 1]
        + missing_variance
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
    no_mean = np.logical_or.accumulate(~at_first & (gone | (missing_mean > LOST * shift)))
    far = missing_variance > LOST * run.variance
    no_std = np.logical_or.accumulate(~at_first & (far | no_mean))
    never = without_moments(start, diffusion, times)
    no_mean, no_std = no_mean | never[0], no_std | never[1]
    mean[no_mean] = std[no_std] = math.nan
    mean_error[no_mean] = std_error[no_std] = math.inf
    return Limit(mean, mean_error), Limit(std, std_error)


def without_moments(start: Initial, diffusion: Diffusion, times: Array) -> tuple[Array, Array]:
    """At which times there is no mean, and no deviation, as the start has none.

    A drift that grows faster than x brings what starts far out down in a finite time; any other
    leaves the power of a tail as it is.
    """
    no_mean, no_std = np.zeros((2, len(times)), dtype=bool)
    if start.law is None:
        return no_mean, no_std
    middle, at_once = start.ppf(0.5), times == 0
    for sign, end in zip((-1, 1), diffusion.domain, strict=True):
        near, far = (start.isf if sign > 0 else start.ppf)(np.array([FAR, FAR**1.5]))
        if not (math.isinf(end) and np.isfinite(far) and sign * (near - middle) > 0):
            continue
        # P(|X| > r) ~ r^-power
        with np.errstate(divide="ignore"):
            power = -math.log(FAR) / 2 / np.log((far - middle) / (near - middle))
        f = diffusion.coefficients(np.array([far, 2 * far]))[0]
        falls = -sign * f[1] > 2**1.1 * abs(f[0])
        stays = at_once | (not falls)
        no_mean |= stays & (power < 1.001)
        no_std |= stays & (power < 2.001)
    return no_mean, no_std


def closed_moments(
    start: Initial, diffusion: Diffusion, times: Array, cells: Array
) -> tuple[Limit, Limit] | None:
    """Mean and deviation by their own equations; None where these are not closed.

    Whether they are is seen at the `cells`, too, and there are no breakpoints.
    """
    first = start.moments()
    walls = {Boundary.PERIODIC, Boundary.ABSORBING}
    if first is None or walls & set(diffusion.boundaries) or diffusion.breakpoints:
        return None
    centre, mean_error, std, std_error = first
    coefficients = _polynomial(diffusion, centre, std, cells)
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


def _polynomial(
    diffusion: Diffusion, centre: float, width: float, cells: Array
) -> tuple[Array, Array] | None:
    """The coefficients of a linear drift and a quadratic variance of x - centre, if they are such.

    And if no end interferes: finite ones must have no noise, and a drift that does not lead out.
    """
    lower, upper = diffusion.domain
    far = np.geomspace(1e-2, 1e8, 41) * (width or 1.0)
    x = np.concatenate([[centre], centre + far, centre - far, cells])
    x = x[(x >= lower) & (x <= upper)]
    try:
        f, a = evaluate(diffusion.drift, x, order=2), evaluate(diffusion.variance, x, order=3)
    except StationaryError:
        return None
    if (f[2] != 0).any() or (a[3] != 0).any() or np.ptp(f[1]) or np.ptp(a[2]):
        return None
    noise = np.array([v[0] for v in a[:3]]) / [1, 1, 2]
    drift = np.array([v[0] for v in f[:2]])
    # Functions with jumps have the same derivatives everywhere, too.
    for own, c in ((f[0], drift), (a[0], noise)):
        terms = c[:, None] * (x - centre) ** np.arange(len(c))[:, None]
        if (np.abs(own - terms.sum(axis=0)) > SAME * np.abs(terms).sum(axis=0)).any():
            return None
    drift = drift + diffusion.convention.value / 2 * noise[1:] * [1, 2]  # in Ito's form
    for end, inwards in ((lower, 1), (upper, -1)):
        if math.isfinite(end):
            powers = (end - centre) ** np.arange(3)
            noisy = abs(noise @ powers) > SAME * (abs(noise) @ abs(powers))
            if noisy or inwards * (drift @ powers[:2]) < 0:
                return None
    return drift, noise
