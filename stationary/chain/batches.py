"""Every minibatch that SGD can draw, with its probability: the maps w -> w - T g_batch(w).

Where these are too many, the gradient of the batch is taken to have the right mean, variance and
skewness instead, and a `note` says so.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stationary.errors import LandscapeError
from stationary.functions.evaluation import evaluate
from stationary.process.landscape import Landscape
from stationary.process.minibatches import how_many, minibatches

__all__ = ["Batches", "batches_of", "extremes"]

Array = NDArray[Any]

MOST_MAPS = 256
MOST_SINGLE = 4096  # datapoints drawn one at a time: no more maps than gradients
NODES = 32  # of the Gauss-Hermite rule that stands for a law of too many batches, or for noise
FEWER = 24  # nodes that tell the error of these


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
    """

    landscape: Landscape
    probability: Array
    shares: Array | None
    note: str = ""
    nodes: int = NODES

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
        """Values with the mean, variance and (to first order) skewness of a batch mean.

        For z from the normal law, z + c (z^2 - 1) with small c has skewness 6 c.
        """
        mean = g.mean(axis=0)
        deviation = g - mean
        square = deviation * deviation
        spread = square.mean(axis=0)
        square *= deviation
        third = square.mean(axis=0)
        with np.errstate(divide="ignore", invalid="ignore"):
            skew = np.where(spread > 0, third / spread**1.5, 0.0) * self._skew_factor
        c = np.clip(np.nan_to_num(skew), -1, 1) / 6
        z = self._nodes[:, None]
        shape = (z + c * (z * z - 1)) / np.sqrt(1 + 2 * c * c)
        return np.asarray(mean + np.sqrt(spread * self.landscape.noise_factor) * shape)

    @cached_property
    def _nodes(self) -> Array:
        return np.polynomial.hermite_e.hermegauss(self.nodes)[0]

    @cached_property
    def _skew_factor(self) -> float:
        """The skewness of a batch mean over that of one gradient."""
        n, b = self.landscape.datapoints, self.landscape.batch_size
        if self.landscape.replacement:
            return 1 / math.sqrt(b)
        return (n - 2 * b) / max(n - 2, 1) * math.sqrt((n - 1) / (b * (n - b)))


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
    weights = np.polynomial.hermite_e.hermegauss(nodes)[1]
    p = np.outer(found.probability, weights / weights.sum()).ravel()
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
        weights = np.polynomial.hermite_e.hermegauss(nodes)[1]
        drawn = "with" if landscape.replacement else "without"
        return Batches(
            landscape,
            weights / weights.sum(),
            None,
            f"There are {float(min(count, 10**300)):.3g} different batches of {b} of {n} "
            f"datapoints drawn {drawn} replacement. Instead of these, the gradient of a batch was "
            "given a normal law with their mean and variance, and to first order their skewness. "
            "How far the end state is from that of the real batches is not part of the errors.",
            nodes,
        )
    every = minibatches(n, b, bool(landscape.replacement))
    return Batches(landscape, every.probability, every.shares)
