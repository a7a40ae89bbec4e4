"""How far apart two answers to the same question are, in the three distances that are shown."""

from __future__ import annotations

from dataclasses import dataclass

from stationary.distribution import Distribution


@dataclass(frozen=True)
class Variation:
    """The most by which a probability can differ, between 0 and 1."""

    total_variation: float
    total_variation_error: float


@dataclass(frozen=True)
class Distances(Variation):
    """Two distributions compared: see `Distribution.distance`."""

    kolmogorov: float
    kolmogorov_error: float
    wasserstein: float
    wasserstein_error: float


def compared(one: Distribution, other: Distribution) -> Distances:
    """All three distances, each with its error."""
    kinds = ("total variation", "kolmogorov", "wasserstein")
    return Distances(*(x for kind in kinds for x in one.distance(other, kind)))
