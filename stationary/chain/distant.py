"""`Distant`: what the steps of SGD do at one distance from all minima.

E |factor|^k = 1 gives the power k by which the law falls, E log |factor| = 0 where it is lost.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from stationary.aliases import Array
from stationary.chain.batches import Batches
from stationary.errors import LandscapeError
from stationary.numbers.arithmetic import EPSILON

STEEPEST = 700.0  # of a logarithm, as doubles bear
NEUTRAL = 1e-3  # mean logarithm of the growth below which the way decides
NEVER = -1e6  # logarithm of a growth that no power brings back into the range of doubles


@dataclass(frozen=True, repr=False)
class Distant:
    """The steps at one distance on either side: to which side they lead, by which factor."""

    probability: Array
    factor: Array  # (sides, K), signed: below 0 where a step leads to the other side
    way: Array  # (sides, K): by how much it changes the distance
    distance: float
    rate: float

    @classmethod
    def at(cls, batches: Batches, middle: float, distance: float) -> Distant | None:
        """None where the gradients are not finite there."""
        lower, upper = batches.landscape.domain
        w = np.array([middle - distance, middle + distance])
        inside = (lower < w) & (w < upper)
        w = np.where(inside, w, w[::-1])  # of one side alone both say the same
        with np.errstate(all="ignore"):
            try:
                gradients = batches.gradients(w)
            except LandscapeError:
                return None
        side = np.sign(w - middle)
        step = -batches.rate * gradients * side
        factor = 1 + step / distance
        way = np.where(factor >= 0, step, -2 * distance - step)
        if not inside.all():  # what would go beyond the other end is turned back, or stays there
            factor = np.abs(factor)
        return cls(batches.probability, factor.T, way.T, distance, batches.rate)

    def _moved(self, factor: Array, weight: Array) -> Array:
        """The matrix of means of a weight, from side to side."""
        stays = factor >= 0
        same, other = ((weight * on) @ self.probability for on in (stays, ~stays))
        return np.array([[same[0], other[0]], [other[1], same[1]]])

    def _sides(self, factor: Array) -> Array | None:
        """How often the walker is on each side; None where no step changes sides."""
        over = self._moved(factor, np.ones_like(factor))[[1, 0], [0, 1]]
        return over / over.sum() if over.any() else None

    def _growth(self, factor: Array) -> float:
        """The mean logarithm of the growth: where no step changes sides, of the worse side."""
        with np.errstate(divide="ignore"):
            logs = np.maximum(np.log(np.abs(factor)), -STEEPEST) @ self.probability
        sides = self._sides(factor)
        return float(logs.max() if sides is None else sides @ logs)

    @property
    def growth(self) -> float:
        return self._growth(self.factor)

    @property
    def longest(self) -> float:
        """By how much one step changes the distance, at most and in proportion."""
        return float(np.abs(self.factor - 1).max())

    @property
    def pull(self) -> float:
        mean, square = self.way @ self.probability, self.way**2 @ self.probability
        sides = self._sides(self.factor)
        if sides is None:
            with np.errstate(all="ignore"):
                ratios = 2 * self.distance * mean / square
            return float(np.nan_to_num(ratios, nan=0.0).max())
        # On both sides in turn: what one gives the other takes back.
        spread = float(sides @ square)
        drift = float(sides @ mean)
        noise = 64 * EPSILON * self.distance
        return 0.0 if abs(drift) <= noise or spread == 0 else 2 * self.distance * drift / spread

    def _radius(self, factor: Array, power: float) -> float:
        """The largest eigenvalue of the means of |factor|^power, as its logarithm."""
        size = np.abs(factor)
        top = max(float(size.max()), 1e-300)  # whose power may leave the range of doubles
        means = self._moved(factor, (size / top) ** power)
        radius = float(np.abs(np.linalg.eigvals(means)).max())
        return power * math.log(top) + math.log(radius) if radius > 0 else NEVER

    def exponent(self) -> float:
        """k > 0 with E |factor|^k = 1; inf where no step grows."""
        if not (np.abs(self.factor) > 1 + 1e-9).any():
            return math.inf
        from scipy.optimize import brentq  # which a report without the chain does without

        high = 1.0
        while self._radius(self.factor, high) <= 0:
            high *= 2
            if high > 1e4:
                return math.inf
        low = high / 2
        while self._radius(self.factor, low) > 0:
            low /= 2
        return float(brentq(lambda k: self._radius(self.factor, k), low, high, rtol=1e-13))

    def critical_rate(self, power: float) -> float | None:
        """The lowest learning rate with E |factor|^power = 1; with power 0, E log |factor| = 0."""
        curvature = (1 - self.factor) / self.rate
        scale = np.abs(curvature).max()
        if not curvature.mean() > 0 or scale * self.rate < NEUTRAL:
            return None
        from scipy.optimize import brentq

        def value(t: float) -> float:
            factor = 1 - t * curvature
            return self._radius(factor, power) if power else self._growth(factor)

        at = np.geomspace(1e-3, 1e3, 601) / scale
        first = next((k for k, t in enumerate(at.tolist()) if value(t) > 0), 0)
        if not first:
            return None
        return float(brentq(value, at[first - 1], at[first], rtol=1e-14))
