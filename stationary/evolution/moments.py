"""`moments`: mean and deviation over time, from grids and from the start itself."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stationary.evolution.propagation import Run
from stationary.evolution.refinement import Limit, Refined
from stationary.evolution.window import beyond
from stationary.process.diffusion import Diffusion
from stationary.process.initial import Initial

__all__ = ["moments"]

Array = NDArray[Any]

LOST = 0.1  # of a moment, that may lie beyond all cells: with more it is not known
MUCH = 1e-6  # of all probability, at the ends of the cells
ROUNDING = 4e-16


def moments(
    start: Initial, diffusion: Diffusion, times: Array, run: Run, found: Refined, leak: Array
) -> tuple[Limit, Limit]:
    """Mean and deviation (times,); nan with an error of inf where they are not known.

    They are not where hardly any probability, too far away for cells, makes most of them, nor once
    there is more than a little of it: what was lost does not come back. `leak` is how much, at all.
    """
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
