"""SGD with momentum as what it is: a weight with a velocity."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np

from stationary.errors import LandscapeError
from stationary.process.landscape import Landscape
from stationary.process.minibatches import Stepper
from stationary.process.plane import PlaneDiffusion


def phase_space(landscape: Landscape) -> PlaneDiffusion:
    """The process (w, v) of SGD with momentum: v <- momentum v - T g, w <- w + v.

    For small steps dw = v dt, dv = -((1 - momentum) v + T G) dt + T sqrt(D) dB, time in steps.
    On the line such a landscape is plain SGD with T / (1 - momentum); here nothing is left out
    but the step, which `check` puts back.

    Parameters
    ----------
    landscape
        Of one weight, with momentum, and without clipping, signs or noise in the labels.
    """
    if not isinstance(landscape, Landscape):
        raise LandscapeError(f"phase_space: a Landscape of one weight is needed: {landscape!r:.60}")
    if not landscape.momentum or not landscape.rule.linear or landscape.label_noise:
        raise LandscapeError(
            f"{landscape.name}: phase_space is for plain SGD with momentum = 0.9 or the like, "
            "without clip, sign or label noise."
        )
    rate, beta = landscape.learning_rate, landscape.momentum
    assert rate is not None
    line = replace(landscape, momentum=0.0).diffusion()

    def drift(x: Any) -> Any:
        w, v = x
        return v, line.drift(w) - (1 - beta) * v

    def variance(x: Any) -> Any:
        w, v = x
        return (0 * w, 0 * w), (0 * w, line.variance(w) + 0 * v)

    def move(x: Any, g: Any) -> Any:
        v = beta * x[1] - rate * g[0]
        return np.stack([x[0] + v, v])

    return PlaneDiffusion(
        drift,
        variance,
        (landscape.domain, (-math.inf, math.inf)),
        name=landscape.name,
        variable="(w, v)",
        time_unit="step",
        equation=(
            f"dw = v dt, dv = -((1 - momentum) v + T G) dt + T sqrt(D) dB, T = {rate:g}, momentum "
            f"= {beta:g}, B = {landscape.batch_size} of N = {landscape.datapoints}"
        ),
        stepper=Stepper(
            lambda x: landscape.gradient(x[0])[:, None, :],
            move,
            landscape.datapoints,
            landscape.batch_size,
            bool(landscape.replacement),
        ),
    )
