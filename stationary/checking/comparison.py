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
from stationary.numbers.arithmetic import DOUBLE
from stationary.simulation.result import Simulation
from stationary.states.distribution import EndState

__all__ = [
    "Distance",
    "Variation",
    "between_chain_and_diffusion",
    "between_walkers_and",
    "distribution_of",
]

Array = NDArray[Any]
Cdf = Callable[[Array], Any]

FIRST, MOST = 33, 2001  # points at which a tail beyond the histogram is looked at
FINE = 1e-6  # error of the integral over a tail, relative to its length, that is aimed at
NARROWEST = 1e-6  # of a bin, relative to the size of the positions
ROUNDING = 1e-15  # by which a distribution function may rise and still be the same
ATOM = 1e-4  # probability so near to an edge that counts as an atom
SAME = 1e-9  # relative to the domain: positions nearer to an atom than this count as the atom


@dataclass(frozen=True)
class Variation:
    """The most by which a probability can differ, between 0 and 1."""

    total_variation: float
    total_variation_error: float


@dataclass(frozen=True)
class Distance(Variation):
    """Two distributions compared.

    `kolmogorov` is the most by which the distribution functions differ, which is at most the total
    variation and, unlike it, means something where there is no density; `wasserstein` is the mean
    way that probability has to be moved, in the unit of x.
    """

    kolmogorov: float
    kolmogorov_error: float
    wasserstein: float
    wasserstein_error: float


def distribution_of(state: EndState) -> Cdf:
    """Its distribution function; where a point costs many digits, asked only where it rises.

    Between two points at which it is the same it is the same: a peak too narrow for doubles takes
    a few points of thousands.
    """
    if state.arithmetic is DOUBLE:
        return state.cdf

    def cdf(x: Array) -> Array:
        places, of_place = np.unique(np.asarray(x, dtype=float), return_inverse=True)
        f = np.empty(len(places))
        low, high = np.array([0]), np.array([len(places) - 1])
        f[[0, -1]] = np.asarray(state.cdf(places[[0, -1]]), dtype=float)
        while len(low):
            rises = (f[high] - f[low] > ROUNDING) & (high - low > 1)
            for i, j in zip(low[~rises], high[~rises], strict=True):
                f[i + 1 : j] = f[i]
            low, high = low[rises], high[rises]
            middle = (low + high) // 2
            if len(middle):
                f[middle] = np.asarray(state.cdf(places[middle]), dtype=float)
            low, high = np.concatenate([low, middle]), np.concatenate([middle, high])
        return f[of_place].reshape(np.shape(x))

    return cdf


def between_chain_and_diffusion(chain: ChainState, state: EndState) -> Distance:
    """The finite step against its small-step limit."""
    return Distance(
        *chain.total_variation(state), *_kolmogorov(chain, state), *chain.wasserstein(state)
    )


def _kolmogorov(chain: ChainState, state: EndState) -> tuple[float, float]:
    """The largest difference of the distribution functions, and its error."""
    low, high = chain.landscape.domain
    atoms = [float(a.position) for a in (*chain.atoms, *state.atoms)]
    near = SAME * (high - low if np.isfinite(high - low) else 1 + max(map(abs, atoms), default=0.0))
    lumps = [np.array([p - near, p + near]) for p in atoms]
    x = np.unique(np.concatenate([chain.edges, *lumps]))
    first, second = np.asarray(chain.cdf(x)), np.asarray(distribution_of(state)(x))
    apart = float(np.abs(first - second).max(initial=0.0))
    # Between two points either function lies between its values at both.
    wide = np.diff(x) > 3 * near
    most = np.maximum(first[1:] - second[:-1], second[1:] - first[:-1])[wide]
    between = max(float(most.max(initial=apart)), apart)
    return apart, between - apart + chain.error + float(state.error)


def between_walkers_and(
    walkers: Simulation, cdf: Cdf, error: float, reach: tuple[float, float]
) -> Distance:
    """Walkers against a distribution function that is right to `error`, all of it within `reach`.

    Bins that hold few walkers add noise to a total variation, which can only make it larger: that
    much is its error.
    """
    edges, mass, noise = _around_atoms(*_coarser(*walkers.histogram), cdf)
    below = np.asarray(cdf(edges), dtype=float)
    theirs = np.diff(below)
    outside = abs((1 - mass.sum()) - (1 - theirs.sum()))
    apart = 0.5 * float(np.abs(mass - theirs).sum() + outside)
    # Together, bins where no walker was hold about as much as one of them might.
    doubt = 0.5 * float(noise[mass > 0].sum() + noise[mass == 0].max(initial=0.0)) + error
    gap = np.concatenate([[0.0], np.cumsum(mass)]) + below[0] - below
    width = np.diff(edges)
    moved = float(width @ (np.abs(gap[1:]) + np.abs(gap[:-1]))) / 2
    moved_doubt = 0.0
    for low, high, walked in ((reach[0], edges[0], 0.0), (edges[-1], reach[1], 1.0)):
        if low < high:  # where no walker was
            more, off = _beyond(cdf, float(low), float(high), walked)
            moved, moved_doubt = moved + more, moved_doubt + off
    # The mean of the walkers is known to its standard error, and within a bin nothing is.
    moved_doubt += walkers.mean_error + float(width @ mass) / 4 + error * float(np.ptp(edges))
    largest = float(np.abs(gap).max())
    return Distance(min(apart, 1.0), doubt, largest, doubt, moved, moved_doubt)


def _beyond(cdf: Cdf, low: float, high: float, walked: float) -> tuple[float, float]:
    """The integral of |F - walked| over an interval where `walked` is 0 or 1, and its error.

    F rises, so that a trapezium is right to half its width times the rise.
    """
    x = np.linspace(low, high, FIRST)
    f = np.asarray(cdf(x), dtype=float)
    while True:
        doubt = np.diff(f) * np.diff(x) / 2
        wide = np.flatnonzero(doubt > FINE * (high - low) / FIRST)
        if not len(wide) or len(x) + len(wide) > MOST:
            break
        middle = (x[wide] + x[wide + 1]) / 2
        new = (middle > x[wide]) & (middle < x[wide + 1])
        if not new.any():
            break
        wide, middle = wide[new], middle[new]
        f = np.insert(f, wide + 1, np.asarray(cdf(middle), dtype=float))
        x = np.insert(x, wide + 1, middle)
    rest = np.abs(f - walked)
    return float(np.diff(x) @ (rest[1:] + rest[:-1])) / 2, float(doubt.sum())


def _around_atoms(edges: Array, mass: Array, noise: Array, cdf: Cdf) -> tuple[Array, Array, Array]:
    """A histogram without edges on an atom, on whose either side rounding may put a walker."""
    near = SAME * max(float(np.abs(edges).max()), float(np.ptp(edges)))
    rise = np.asarray(cdf(edges + near), dtype=float) - np.asarray(cdf(edges - near), dtype=float)
    keep = rise < ATOM
    keep[[0, -1]] = True
    starts = np.flatnonzero(keep)[:-1]
    squares = np.add.reduceat(noise**2, starts)
    return edges[keep], np.add.reduceat(mass, starts), np.sqrt(squares)


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
