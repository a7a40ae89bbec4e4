"""Every minibatch that SGD can draw, with its probability: the maps w -> w - T g_batch(w).

Where these are too many, the gradient of the batch is given nodes of a law with the right moments
instead, none of them farther out than a batch can be, and a `note` says so.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property

import numpy as np

from stationary.aliases import Array
from stationary.errors import LandscapeError
from stationary.functions.evaluation import evaluate
from stationary.process.landscape import Landscape
from stationary.process.minibatches import how_many, minibatches

MOST_MAPS = 256
MOST_SINGLE = 4096  # datapoints drawn one at a time: no more maps than gradients
NODES = 32  # of the Gauss-Hermite rule that stands for a law of too many batches, or for noise
FEWER = 24  # nodes that tell the error of these
LEANS = 1.0, 1.5  # skewness and excess kurtosis up to which the series of Cornish and Fisher holds
MENDED = 5  # times that what this series lacks is added
ROUNDS = 200  # until nodes within the reach of batches have their mean and variance
RARE = 1e-4  # probability per step below which normal tails stand for no tails of batches


@dataclass(frozen=True, eq=False, repr=False)
class Batches:
    """The distinct minibatches of a landscape.

    Attributes
    ----------
    probability
        Of each, shape (K,); they add up to 1.
    shares
        What part of each batch each datapoint is, shape (K, N); None where the batches are too
        many and stand for a law with their moments.
    note
        What was approximated, in words; "" for every batch.
    nodes
        Of the Gauss-Hermite rule for what is not gone through batch by batch.
    order
        Of the highest cumulant of a batch mean that such nodes have, 4, or 3 to tell the error.
    """

    landscape: Landscape
    probability: Array
    shares: Array | None
    note: str = ""
    nodes: int = NODES
    order: int = 4  # of the cumulants that such a law has

    def __len__(self) -> int:
        return len(self.probability)

    @property
    def exact(self) -> bool:
        return self.shares is not None

    @property
    def whole(self) -> bool:
        """Whether the maps are all that can happen: what none of them does never happens then."""
        return self.exact and not self.landscape.label_noise

    def gradients(self, w: Array) -> Array:
        """What a step makes of the gradient of each batch at the weights w, shape (K, M)."""
        (g,) = evaluate(self.landscape.gradient, w)
        if not np.isfinite(g).all():
            j, i = (int(k) for k in np.argwhere(~np.isfinite(g))[0])
            raise LandscapeError(
                f"{self.landscape.name}: the gradient of datapoint {j} at w = {w[i]:.6g} is "
                f"{g[j, i]:g}, so SGD cannot step from there. Shrink the domain, or mend the "
                "function there."
            )
        return self._stepped(g, w)

    def _stepped(self, g: Array, w: Array) -> Array:
        """What each batch makes of the gradients: the optimiser's rule, and noise in the labels."""
        if self.shares is None and self.landscape.batch_size == 1:
            return self._by_moments(self.landscape.stepped(g, w))
        u = self._by_moments(g) if self.shares is None else self.shares @ g
        if not self.landscape.label_noise:
            return np.asarray(self.landscape.stepped(u, w))
        noisy = u[:, None] + self._label_deviation(w)[:, None] * self._nodes[:, None]
        return np.asarray(noisy.reshape(-1, len(w)))

    def _label_deviation(self, w: Array) -> Array:
        """Of the noise that the labels of each batch add to its gradient, (K, M) or (1, M)."""
        rows = np.atleast_2d(self.landscape.label_rows(w))
        if len(rows) > 1:
            rows = rows.mean(axis=0)[None] if self.shares is None else self.shares @ rows
        return np.asarray(np.sqrt(rows))

    def images(self, w: Array) -> Array:
        """Where each batch takes SGD from the weights w in one step, shape (K, M)."""
        return np.asarray(w - self.rate * self.gradients(w))

    @property
    def rate(self) -> float:
        rate = self.landscape.learning_rate
        assert rate is not None
        return rate

    def multipliers(self, w: float) -> Array | None:
        """1 - T l'' of each batch at one weight, shape (K,); None where it has no derivative.

        It is by these that a small distance from a shared rest point is multiplied.
        """
        try:
            slope = evaluate(self.landscape.gradient, np.array([w]), order=1)[1]
        except LandscapeError:
            return None
        if not np.isfinite(slope).all():
            return None
        curvature = self.shares @ slope if self.shares is not None else self._by_moments(slope)
        at = np.array([w])
        if self.landscape.label_noise:
            h = 1e-6 * (1 + abs(w))
            slopes = (self._label_deviation(at + h) - self._label_deviation(at - h)) / (2 * h)
            curvature = (curvature[:, None] + slopes[:, None] * self._nodes[:, None]).reshape(-1, 1)
        elif not self.landscape.rule.linear:
            g = evaluate(self.landscape.loss_gradient, at)[0]
            u = self._by_moments(g) if self.shares is None else self.shares @ g
            decay = self.landscape.weight_decay
            curvature = self.landscape.rule.slopes(u, curvature - decay, at)
        return np.asarray(1 - self.rate * curvature[:, 0])

    def _by_moments(self, g: Array) -> Array:
        """Values with the mean and variance of a batch mean, and by Cornish and Fisher its shape.

        None is beyond what a batch can have (`extremes`): what would be is drawn in, and the rest
        moved and widened until mean and variance are those of a batch mean again.
        """
        mean = g.mean(axis=0)
        z, p = (x[:, None] for x in gauss(self.nodes))
        spread, *leans = self.shape(g)
        wanted = [np.clip(x, -most, most) for x, most in zip(leans, LEANS, strict=True)]
        skew, excess = wanted
        for _ in range(MENDED):
            shape = z + skew / 6 * (z * z - 1)
            if self.order > 3:
                shape = shape + excess / 24 * (z**3 - 3 * z) - skew**2 / 36 * (2 * z**3 - 5 * z)
            shape /= np.sqrt(p.T @ shape**2)
            cube = shape**3  # the series is cut off: what it lacks is asked for once more
            skew = skew + wanted[0] - p.T @ cube
            excess = excess + wanted[1] + 3 - p.T @ (cube * shape)
        deviation = np.sqrt(spread)
        u = mean + deviation * shape
        least, most = extremes(g, self.landscape)
        out = np.flatnonzero(((u < least) | (u > most)).any(axis=0) & (spread > 0))
        if len(out):
            mean, spread, least, most = mean[out], spread[out], least[out], most[out]
            middle, width, shape = mean.copy(), deviation[out], shape[:, out]
            for _ in range(ROUNDS):
                v = np.clip(middle + width * shape, least, most)
                off = mean - (p * v).sum(axis=0)
                ratio = np.sqrt(
                    spread / np.maximum((p * (v - mean + off) ** 2).sum(axis=0), 1e-300)
                )
                middle, width = middle + off, width * np.minimum(ratio, 2.0)
                if (abs(off) <= 1e-14 * deviation[out]).all() and (abs(ratio - 1) <= 1e-14).all():
                    break
            u[:, out] = v
        return np.asarray(u)

    def shape(self, g: Array) -> tuple[Array, Array, Array]:
        """Variance, skewness and excess kurtosis of the mean of a batch, of datapoints' (N, M)."""
        n, b = self.landscape.datapoints, self.landscape.batch_size
        deviation = g - g.mean(axis=0)
        square = deviation * deviation
        second, third, fourth = (
            x.sum(axis=0) for x in (square, square * deviation, square * square)
        )
        if self.landscape.replacement:
            one = Fraction(b, n)
            parts = one, one, one, one * Fraction(b - 1, n)
        else:
            c1, c2, c3, c4 = (  # chances that so many given datapoints are all in the batch
                Fraction(math.perm(b, k), max(math.perm(n, k), 1)) for k in (1, 2, 3, 4)
            )
            parts = c1 - c2, c1 - 3 * c2 + 2 * c3, c1 - 7 * c2 + 12 * c3 - 6 * c4, c2 - 2 * c3 + c4
        of_two, of_three, of_four, of_pairs = map(float, parts)
        spread = of_two * second
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            skew = of_three * third / spread**1.5
            excess = (of_four * fourth + 3 * of_pairs * second**2) / spread**2 - 3
        return spread / b**2, np.nan_to_num(skew), np.nan_to_num(excess)

    @cached_property
    def _nodes(self) -> Array:
        return gauss(self.nodes)[0]


def gauss(count: int) -> tuple[Array, Array]:
    """Nodes of the normal law, and their probabilities."""
    z, weights = np.polynomial.hermite_e.hermegauss(count)
    return z, weights / weights.sum()


def extremes(g: Array, landscape: Landscape) -> tuple[Array, Array]:
    """The least and the greatest mean gradient of any minibatch, of datapoints' (N, M)."""
    b = landscape.batch_size
    if landscape.replacement or b == 1:  # one datapoint may be drawn every time
        return g.min(axis=0), g.max(axis=0)
    least, most = np.partition(g, b - 1, axis=0)[:b], np.partition(g, -b, axis=0)[-b:]
    return least.mean(axis=0), most.mean(axis=0)


def batches_of(landscape: Landscape, most: int = MOST_MAPS, nodes: int = NODES) -> Batches:
    """The distinct minibatches of a landscape; more than `most` of them by their moments."""
    if landscape.momentum:
        raise LandscapeError(
            f"{landscape.name}: with momentum = {landscape.momentum:g} a step depends on the one "
            "before, so that there is no chain on w alone: `check` has that of (w, v), `simulate` "
            "sends out walkers. For small steps it ends as SGD without it at learning_rate / "
            f"(1 - momentum) = {landscape.small_step_rate:g} does: set that, and momentum = 0."
        )
    landscape.require_datapoints()
    found = _plain_batches(landscape, most, nodes)
    if not landscape.label_noise:
        return found
    p = np.outer(found.probability, gauss(nodes)[1]).ravel()
    note = (
        f"The normal noise in the labels stands as {nodes} nodes with its moments up to order "
        f"{2 * nodes - 1}; the errors hold what {FEWER} of them change."
    )
    return replace(found, probability=p, note=f"{found.note} {note}".lstrip(), nodes=nodes)


def _plain_batches(landscape: Landscape, most: int, nodes: int) -> Batches:
    """Of the gradients, without noise in the labels."""
    n, b = landscape.datapoints, landscape.batch_size
    if b == 1 and n <= MOST_SINGLE:
        return Batches(landscape, np.full(n, 1 / n), np.eye(n))
    count = how_many(n, b, bool(landscape.replacement))
    if count > most:
        drawn = "with" if landscape.replacement else "without"
        return Batches(
            landscape,
            gauss(nodes)[1],
            None,
            f"There are {float(min(count, 10**300)):.3g} different batches of {b} of {n} "
            f"datapoints drawn {drawn} replacement. Instead of these, the gradient of a batch was "
            "given a normal law, bent to their mean, variance, skewness and kurtosis within their "
            "reach; the errors hold what it changes to leave out the last. What rests on batches "
            "that are rarer than 1 in 10,000 is not known.",
            nodes,
        )
    every = minibatches(n, b, bool(landscape.replacement))
    return Batches(landscape, every.probability, every.shares)
