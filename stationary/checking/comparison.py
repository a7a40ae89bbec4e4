"""How far apart two answers to the same question are: distances between distributions.

Each answer is asked for its distribution function only, so that densities, atoms, cells and
walkers compare alike.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stationary.chain.state import ChainState
from stationary.distribution import EndState
from stationary.simulation.result import Simulation

__all__ = ["Distance", "between_chain_and_diffusion", "between_walkers_and"]

Array = NDArray[Any]
Cdf = Callable[[Array], Any]

BEYOND = 2001  # points on either side of the histogram
NARROWEST = 1e-6  # of a bin, relative to the size of the positions


@dataclass(frozen=True)
class Distance:
    """Two distributions compared.

    `total_variation` is the most by which a probability can differ, between 0 and 1, and
    `wasserstein` the mean way that probability has to be moved, in the unit of x.
    """

    total_variation: float
    total_variation_error: float
    wasserstein: float
    wasserstein_error: float


def between_chain_and_diffusion(chain: ChainState, state: EndState) -> Distance:
    """The finite step against its small-step limit."""
    return Distance(*chain.total_variation(state), *chain.wasserstein(state))


def between_walkers_and(
    walkers: Simulation, cdf: Cdf, error: float, reach: tuple[float, float]
) -> Distance:
    """Walkers against a distribution function that is right to `error`, all of it within `reach`.

    Bins that hold few walkers add noise to a total variation, which can only make it larger: that
    much is its error.
    """
    edges, mass, noise = _coarser(*walkers.histogram)
    below = np.asarray(cdf(edges), dtype=float)
    theirs = np.diff(below)
    outside = abs((1 - mass.sum()) - (1 - theirs.sum()))
    apart = 0.5 * float(np.abs(mass - theirs).sum() + outside)
    doubt = 0.5 * float(noise.sum()) + error
    gap = np.concatenate([[0.0], np.cumsum(mass)]) + below[0] - below
    width = np.diff(edges)
    moved = float(width @ (np.abs(gap[1:]) + np.abs(gap[:-1]))) / 2
    for low, high, walked in ((reach[0], edges[0], 0.0), (edges[-1], reach[1], 1.0)):
        if low < high:  # where no walker was
            x = np.linspace(low, high, BEYOND)
            rest = np.abs(np.asarray(cdf(x), dtype=float) - walked)
            moved += float(rest[1:].sum() + rest[:-1].sum()) / 2 * (high - low) / (BEYOND - 1)
    # The mean of the walkers is known to its standard error, and within a bin nothing is.
    moved_doubt = walkers.mean_error + float(width @ mass) / 4 + error * float(edges[-1] - edges[0])
    return Distance(min(apart, 1.0), doubt, moved, moved_doubt)


def _coarser(edges: Array, mass: Array, noise: Array) -> tuple[Array, Array, Array]:
    """A histogram without bins so narrow that only an atom could fill them."""
    least = NARROWEST * max(float(np.abs(edges).max()), float(edges[-1] - edges[0]))
    if float(edges[-1] - edges[0]) < least:
        middle = float(edges[-1] + edges[0]) / 2
        whole = np.array([middle - least / 2, middle + least / 2])
        return whole, mass.sum(keepdims=True), np.array([np.sqrt((noise**2).sum())])
    keep = np.unique(np.searchsorted(edges, np.arange(edges[0], edges[-1], least)))
    if len(keep) >= len(edges) - 1:
        return edges, mass, noise
    keep = np.unique(np.append(keep[keep < len(edges) - 1], len(edges) - 1))
    keep[0] = 0
    starts = keep[:-1]
    return edges[keep], np.add.reduceat(mass, starts), np.sqrt(np.add.reduceat(noise**2, starts))
