"""`gap_of`: the relaxation time of a process, where it has one, from its grids."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stationary.evolution.features import is_whole
from stationary.evolution.generator import Chain
from stationary.evolution.refinement import limit_of
from stationary.evolution.relaxation import slowest
from stationary.line.feller import Feller
from stationary.process.diffusion import Diffusion
from stationary.states.distribution import EndState

__all__ = ["Gap", "gap_of"]

Array = NDArray[Any]

AMPLIFIED = 5.0  # the error of one grid, by putting three together
STEP = 1e-3  # of the distance to a cut, over which a slope is taken


@dataclass(frozen=True, eq=False)
class Gap:
    """log of 1 / (spectral gap), its error, and the slowest mode on cells; None without a gap."""

    log_time: float | None
    error: float | None
    mode: Array | None


NONE = Gap(None, None, None)


def gap_of(state: EndState, chains: Sequence[Chain], edges: Array, span: float) -> Gap:
    """The gap, as five grids have it when cells shrink to nothing; the mode on cells of `edges`."""
    if not chains:
        return NONE
    lower, upper = state.diffusion.domain
    cuts = [x for x, end in ((edges[0], lower), (edges[-1], upper)) if x != end]
    if (cuts and not is_whole(state)) or _never_arrives(state):
        return NONE  # it would be that of the cells
    slow = [slowest(chain, span) for chain in chains]
    fine = chains[-1]
    below = np.append(0.0, np.cumsum(slow[-1].mode[fine.is_cell]))
    mode = np.diff(np.interp(edges, fine.edges, below))
    logs = np.array([r.log_time for r in slow])
    if logs[-1] == math.inf:
        return Gap(math.inf, 0.0, mode)
    if not np.isfinite(logs).all():
        return NONE
    limit = limit_of(list(logs[:, None]), scale=1.0)
    log_time = float(limit.value[0])
    if any(_floor(state.diffusion, x, edges) <= math.exp(min(-log_time, 700.0)) for x in cuts):
        return NONE  # beyond the cut there is more as slow as that
    return Gap(log_time, float(limit.error[0] + AMPLIFIED * slow[-1].error), mode)


def _never_arrives(state: EndState) -> bool:
    """Whether an end that is never reached is a power law: times in proportion to log distance."""
    sides = [side for pair in state.anatomy.sides for side in pair]
    return any(
        side.end.feller in (Feller.NATURAL, Feller.ATTRACTING)
        and side.end.exponent is not None
        and math.isfinite(side.end.exponent)
        for side in sides
    )


def _floor(diffusion: Diffusion, cut: float, edges: Array) -> float:
    """The slowest rate that an endless stretch like the one at a cut would add to the spectrum.

    In y = int dx / sqrt(a) the noise is even, the drift g, and the generator is that of a particle
    in the potential (g^2 + dg/dy) / 2, which a continuous spectrum starts from.
    """
    h = STEP * float(edges[-1] - edges[0])
    x = cut + h * np.array([-2.0, -1.0, 0.0, 1.0, 2.0])
    c = diffusion.convention.value
    with np.errstate(all="ignore"):
        f, a = diffusion.coefficients(x)
        slope = np.gradient(np.sqrt(a), h)
        # In the Ito form the drift is f + (c / 2) a', and a' = 2 sqrt(a) (sqrt a)'.
        g = f / np.sqrt(a) + (c - 0.5) * slope
        rate = (g**2 + np.sqrt(a) * np.gradient(g, h)) / 2
    return float(rate[2]) if math.isfinite(rate[2]) else math.inf
