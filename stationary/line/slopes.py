"""Slopes of the drift, as they are known: by its derivative, from panels, or from both sides.

Where the functions can be differentiated they are known to rounding. Else panels have them, and
noise of a size eta at their nodes makes up to n eta / sqrt(1 - t^2) of a slope at t, by
Bernstein's inequality; at a zero of the variance, which no panel reaches across, differences do.
"""

from __future__ import annotations

import math

import numpy as np

from stationary.aliases import Array
from stationary.errors import StationaryError
from stationary.functions.evaluation import evaluate
from stationary.functions.rounding import ROUNDINGS, scatter
from stationary.line.sampled import coefficients_at
from stationary.line.sampling import Sampling
from stationary.numbers.chebyshev import derived
from stationary.numbers.cost import BY_LOOK
from stationary.numbers.elementary import arithmetic_of, as_array, exp, finite, to_float
from stationary.process.diffusion import Diffusion

HALVINGS = np.arange(5.0, 45.0)  # of the reach, over which a slope is taken by differences


def drift_slope(diffusion: Diffusion, x: float) -> float | None:
    """f' at one point, or None where the drift cannot be differentiated exactly."""
    try:
        slope = float(evaluate(diffusion.drift, np.array([x]), order=1)[1][0])
    except StationaryError:
        return None
    return slope if np.isfinite(slope) else None


def drift_and_slope(found: Sampling, x: Array) -> tuple[Array, Array, Array]:
    """f, f' and its error near zeros of f: exact where the functions have slopes, else from h."""
    arithmetic = arithmetic_of(x)
    try:
        if len(x) * found.diffusion.cost > BY_LOOK:
            raise StationaryError("too many to differentiate at once")
        value, slope = evaluate(found.diffusion.drift, x, order=1, arithmetic=arithmetic)
        if slope.shape == x.shape and finite(slope).all():
            return value, slope, ROUNDINGS * arithmetic.grain * np.abs(slope)
    except StationaryError:
        pass
    k, t = found.panels.locate(x)
    half, half_a = found.panels.half[k], exp(found.panels.evaluate(found.ell, x)) / 2
    slope = found.panels.evaluate(derived(found.h), x) / half * half_a
    n = len(found.h)
    steepest = np.minimum(n / np.sqrt(np.maximum(1 - to_float(t) ** 2, 1 / n**2)), n**2)
    noise = 4 * found.samples.tails[0][k] + arithmetic.grain * np.abs(found.h).max(axis=0)[k]
    error = steepest * noise / half * half_a + 4 * found.samples.tails[1][k] * np.abs(slope)
    return coefficients_at(found.diffusion, x)[0], np.asarray(slope), np.asarray(error)


def blurred(diffusion: Diffusion, x: Array, reach: Array, slopes: Array) -> Array:
    """How far the rounding of a drift in fewer digits than doubles moves its zeros.

    By the floor that was measured over the domain, and by what is seen within `reach` of them.
    """
    if not diffusion.is_rounded or not len(x):
        return np.zeros(len(x))

    def drift(x: Array) -> Array:
        return as_array(diffusion.coefficients(x)[0])

    rounding, at, reach = diffusion.rounding[0], to_float(x), to_float(reach)
    with np.errstate(all="ignore"):
        noise = ROUNDINGS * scatter(drift, at, reach)
        noise += 0.0 if rounding is None else rounding.step
        shift = diffusion.grain * np.abs(at) + np.nan_to_num(noise / np.abs(to_float(slopes)))
    return np.asarray(np.minimum(shift, reach))


def slope_beside(diffusion: Diffusion, x: float, reach: float) -> tuple[float | None, float]:
    """f' at a zero of f from its values on both sides, and its error; None where these differ.

    Differences over ever smaller steps come closer to it until rounding takes them apart again:
    the steps at which they agree best are taken, and by how much they do.
    """
    step = reach * 2.0**-HALVINGS
    with np.errstate(all="ignore"):
        right = diffusion.coefficients(x + step)[0] / ((x + step) - x)
        left = diffusion.coefficients(x - step)[0] / ((x - step) - x)
        slopes, apart = (left + right) / 2, np.abs(right - left)
        change = np.abs(np.diff(slopes))
        # Three in a row: two may agree by chance.
        doubt = np.maximum(np.maximum(change[:-2], change[1:-1]), change[2:])
    doubt = np.where(np.isfinite(doubt), doubt, math.inf)
    if not np.isfinite(doubt).any():
        return None, 0.0
    best = int(np.argmin(doubt))
    error = 2 * float(doubt[best]) + diffusion.grain * abs(float(slopes[best + 1]))
    # Both sides of what is smooth come together with the step; those of a corner do not.
    wide, near = float(apart[0]), float(apart[best + 1])
    if not near <= max(wide / 2, 4 * error):
        return None, 0.0
    return float(slopes[best + 1]), error
