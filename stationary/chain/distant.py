"""Where all minima are, on a line that may be infinite, and what steps do at a distance from them.

E |factor|^k = 1 gives the power k by which the law falls, E log |factor| = 0 where it is lost.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from stationary.aliases import Array
from stationary.chain.batches import Batches
from stationary.errors import LandscapeError
from stationary.functions.evaluation import evaluate
from stationary.numbers.arithmetic import EPSILON, SAME
from stationary.numbers.elementary import distinct

STEEPEST = 700.0  # of a logarithm, as doubles bear
NEUTRAL = 1e-3  # mean logarithm of the growth below which the way decides
NEVER = -1e6  # logarithm of a growth that no power brings back into the range of doubles
DISTANCES = (1e2, 1e4, 1e6)  # times the region of the minima, at which the steps are asked; minima
# are looked for as far as to the last, where a domain is infinite
ENDLESS = 0.5  # of how far out minima are looked for: there they go on and on
TURNS = 8  # of one gradient: fewer may be minima that lie far out
FAINT = 1e-12  # of the largest gradient: those below do not say where minima are
NARROW = 1e-9  # of how far minima are from 0: what is narrower there is taken for a point
PARTED, FINER = 0.02, 65  # of a region that its ends are known to, and points of a look at one


def region_of(
    batches: Batches, lower: float, upper: float, near: Sequence[float]
) -> tuple[float, float, float]:
    """Where the gradients of the datapoints change sign, and their mean does, and its least size.

    That is 2 where none of theirs do.
    """
    out = np.geomspace(1e-4, DISTANCES[-1], 1201)
    if math.isfinite(lower):
        w = lower + np.append(0.0, out)
    elif math.isfinite(upper):
        w = upper - np.append(0.0, out)[::-1]
    else:
        w = np.concatenate([-out[::-1], [0.0], out])
    around = [x + np.append(out, -out) for x in near]
    w = np.concatenate([w, *around, batches.landscape.joints()])
    w = distinct(w[(lower <= w) & (w <= upper)])
    g = _gradients(batches, w)
    good = np.isfinite(g).all(axis=0)
    moved = np.flatnonzero((g != 0).any(axis=0))
    if len(moved):  # beyond all gradients SGD stays where it arrives, if one leads there
        start = int(moved[0]) - bool((g[:, moved[0]] > 0).any())
        stop = int(moved[-1]) + bool((g[:, moved[-1]] < 0).any())
        at = np.arange(len(w))
        good &= (start <= at) & (at <= stop)
    w, sign = w[good], _signs(g[:, good])
    changes = sign[:, 1:] * sign[:, :-1] < 0
    far_out = changes[:, np.abs(w[1:]) > ENDLESS * DISTANCES[-1]].any(axis=1)
    if (far_out & (changes.sum(axis=1) > TURNS)).any():
        raise LandscapeError(
            f"{batches.landscape.name}: the gradients change sign again and again as far out as "
            "was looked, so that no chain of cells tells where SGD ends up. Give a finite domain, "
            'as in domain = (-10, 10), or one period of it with boundaries = "periodic".'
        )
    turns = _turns(sign)
    least = 1e-9 if turns[:-1].any() else 2.0
    i = np.flatnonzero(turns.any(axis=0))
    if len(i):
        return *_narrowed(batches, *w[[i[0], i[0] + 1, i[-1], i[-1] + 1]].tolist()), least
    middle = next((end for end in (lower, upper) if math.isfinite(end)), 0.0)
    return middle - 1, middle + 1, least


def _gradients(batches: Batches, w: Array) -> Array:
    """Of all datapoints, as the optimiser has them, and their mean: (N + 1, M)."""
    with np.errstate(all="ignore"):
        g = batches.landscape.stepped(evaluate(batches.landscape.gradient, w)[0], w)
        return np.concatenate([g, g.mean(axis=0)[None]])


def _turns(sign: Array) -> Array:
    """Between which of some points each gradient changes its sign, or is 0."""
    return np.asarray((sign[:, 1:] != sign[:, :-1]) | (sign[:, 1:] == 0))


def _narrowed(
    batches: Batches, first: float, after: float, before: float, last: float
) -> tuple[float, float]:
    """The hull of all turns, of which the first lie up to `after` and the last from `before` on.

    To a part of itself, however far from 0 it is; as it is given where no double parts the turns.
    """
    low, high = first, last
    while max(after - low, high - before) > PARTED * (high - low):
        if high - low < NARROW * max(last - first, abs(low), abs(high)):
            return first, last
        w = distinct([np.linspace(low, after, FINER), np.linspace(before, high, FINER)])
        i = np.flatnonzero(_turns(_signs(_gradients(batches, w))).any(axis=0))
        if not len(i):  # they fade beside the largest
            break
        low, after, before, high = w[[i[0], i[0] + 1, i[-1], i[-1] + 1]].tolist()
    return low, high


def _signs(g: Array) -> Array:
    """Of the gradients, (N, M): those that fade beside others keep the sign that they had."""
    largest = np.abs(g).max(axis=0)
    told = (np.abs(g) > FAINT * largest) | (largest == 0)
    at = np.where(told, np.arange(g.shape[1]), -1)
    before = np.maximum.accumulate(at, axis=1)
    first = np.argmax(told, axis=1)[:, None]
    return np.asarray(np.sign(np.take_along_axis(g, np.where(before < 0, first, before), 1)))


@dataclass(frozen=True, repr=False)
class Distant:
    """The steps at one distance on either side: to which side they lead, by which factor."""

    probability: Array
    factor: Array  # (sides, K), signed: below 0 where a step leads to the other side
    way: Array  # (sides, K): by how much it changes the distance
    distance: float
    rate: float
    exact: bool  # of all minibatches; else powers and logarithms are those of nodes, to a tenth

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
        return cls(batches.probability, factor.T, way.T, distance, batches.rate, batches.exact)

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
        if not power:  # between two of its poles the mean is concave, and may pass 0 anywhere there
            poles = distinct(1 / curvature[curvature > SAME * scale])
            poles = poles[np.append(True, np.diff(poles) > SAME * poles[1:])]
            parts = 1 + max(len(at) // len(poles), 2)
            at = distinct(at, np.linspace(poles[:-1], poles[1:], parts)[1:-1])
        first = next((k for k, t in enumerate(at.tolist()) if value(t) > 0), 0)
        if not first:
            return None
        return float(brentq(value, at[first - 1], at[first], rtol=1e-14))
