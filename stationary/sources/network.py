"""Slices of networks: one weight of many, along a line; and the law of SGD around a minimum.

Along a line the coordinate is arc length, so that the learning rate keeps its meaning. What SGD
does in all weights is what it does on the line where the line is along an eigenvector of the
Hessian H: around a minimum the covariance Sigma of SGD obeys H Sigma + Sigma H = T C / B, with C
the covariance of the gradients, so u' Sigma u = T u' C u / (2 B lambda) if H u = lambda u. The
cosine of H u and u says how far that holds; along a chord between two minima, or a random
direction, it does not, and a straight line says nothing of how one minimum is reached from the
other.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stationary.errors import LandscapeError
from stationary.functions.given import interval
from stationary.process.known import KnownGradients
from stationary.process.landscape import Landscape
from stationary.result import Result
from stationary.sources.frameworks import Network, network_of
from stationary.sources.sampled import sampled

__all__ = ["Around", "Line", "around", "line"]

Array = NDArray[Any]

CHUNK = 4096  # datapoints that are worked on at a time
BEYOND = 0.25  # of a chord, to which it is followed beyond its ends
ALIGNED = 0.95  # cosine of H u and u from which u is as good as an eigenvector


@dataclass(frozen=True, eq=False, repr=False)
class Line:
    """The losses of a network along a straight line; w is the distance from its start.

    Attributes
    ----------
    direction
        Of length one.
    domain
        In units of distance.
    alignment
        The cosine of H u and u at the start, H the Hessian of the mean loss there.
    curvature
        u' H u there.
    """

    network: Network
    direction: Array
    domain: tuple[float, float]
    tolerance: float

    @cached_property
    def _bent(self) -> Array:
        return self.network.bent(self.network.start, self.direction)

    @property
    def curvature(self) -> float:
        return float(self.direction @ self._bent)

    @property
    def alignment(self) -> float:
        size = float(np.linalg.norm(self._bent))
        return self.curvature / size if size > 0 else 0.0

    @property
    def trust(self) -> str:
        """What the alignment means, in a sentence."""
        cosine = self.alignment
        if abs(cosine) >= ALIGNED:
            return (
                f"the line is along an eigenvector of the Hessian at its start (cos(Hu, u) = "
                f"{cosine:.3f}): how far SGD spreads there in all weights is what it does on it"
            )
        return (
            f"the line is not along an eigenvector of the Hessian at its start (cos(Hu, u) = "
            f"{cosine:.3f}): SGD in all weights leaves it, and spreads along it otherwise than "
            f"this "
            "says; take eigenvectors for that (`network.around`)"
        )

    def slopes(self, w: Any) -> Array:
        """The derivatives of the losses of all datapoints at distance w, shape (N,)."""
        return self.network.slopes(self.network.start + float(w) * self.direction, self.direction)

    @cached_property
    def gradients(self) -> KnownGradients:
        """What a `Landscape` takes; evaluated where its answer needs it."""
        return sampled(self.slopes, self.domain, tolerance=self.tolerance, name="the slice")

    def landscape(self, learning_rate: float, batch_size: int = 1, **more: Any) -> Landscape:
        """SGD on the line, as if nothing else could move."""
        fields: dict[str, Any] = {"name": "a slice of a network"} | more
        return Landscape(
            gradients=self.gradients, learning_rate=learning_rate, batch_size=batch_size, **fields
        )

    def __repr__(self) -> str:
        low, high = self.domain
        return (
            f"<Line through {len(self.direction)} weights, {self.network.datapoints} datapoints, "
            f"from {low:g} to {high:g}, cos(Hu, u) = {self.alignment:.3f}>"
        )


@dataclass(frozen=True, eq=False, repr=False)
class Around(Result):
    """What SGD does around a minimum in all weights, to second order.

    Attributes
    ----------
    curvatures
        (K,): the largest eigenvalues of the Hessian of the mean loss, descending.
    vectors
        (weights, K): their eigenvectors.
    noise
        (K, K): the covariance of the gradients of the datapoints in their span.
    slope
        (K,): the mean gradient, which vanishes at a minimum.
    """

    network: Network
    curvatures: Array
    vectors: Array
    noise: Array
    slope: Array

    def covariance(self, learning_rate: float, batch_size: int = 1) -> Array:
        """Sigma (K, K) of SGD in the span of the eigenvectors.

        With its finite step, H Sigma + Sigma H - T H Sigma H = T C / B; nan where it does not
        settle.
        """
        if not 0 < learning_rate < math.inf or batch_size < 1:
            raise LandscapeError(
                f"learning_rate = {learning_rate!r} and batch_size = {batch_size!r} must be "
                f"positive."
            )
        h = self.curvatures
        pull = h[:, None] + h[None, :] - learning_rate * h[:, None] * h[None, :]
        settles = (h > 0) & (learning_rate * h < 2)
        known = settles[:, None] & settles[None, :]
        with np.errstate(divide="ignore", invalid="ignore"):
            found = learning_rate * self.noise / (batch_size * pull)
        return np.where(known, found, np.nan)

    def deviations(self, learning_rate: float, batch_size: int = 1) -> Array:
        """(K,): the standard deviation of SGD along each eigenvector."""
        return np.asarray(np.sqrt(np.diag(self.covariance(learning_rate, batch_size))))

    def line(self, k: int, width: float, tolerance: float = 1e-3) -> Line:
        """The slice along eigenvector k, to `width` on both sides."""
        if not 0 <= k < len(self.curvatures):
            raise LandscapeError(
                f"there are eigenvectors 0 to {len(self.curvatures) - 1}, not {k}."
            )
        domain = interval((-width, width), "the slice")
        return Line(self.network, self.vectors[:, k], domain, tolerance)

    def __repr__(self) -> str:
        return (
            f"<Around a point in {len(self.vectors)} weights: {len(self.curvatures)} curvatures "
            f"from "
            f"{self.curvatures[0]:.4g} to {self.curvatures[-1]:.4g}>"
        )


def line(
    per_sample_loss: Any,
    data: Any,
    start: Any,
    direction: Any = None,
    *,
    end: Any = None,
    domain: tuple[float, float] | None = None,
    tolerance: float = 1e-3,
    chunk: int = CHUNK,
) -> Line:
    """The losses of a network along a straight line, by one forward product for each point.

    Parameters
    ----------
    per_sample_loss
        (weights, data) -> the loss of each datapoint, shape (N,), written in JAX or PyTorch.
    data
        An array, or a tree of them, with the datapoints along the first axis.
    start
        Weights: an array, or a tree of arrays (PyTorch: of tensors).
    direction, end
        Where the line goes, in the same form: a direction of any length, or another point.
    domain
        Distances from `start`, to either side; of a chord, by default, a quarter beyond its ends.
    tolerance
        As for `sampled`.
    chunk
        Datapoints that are worked on at a time: memory grows with it.

    Raises
    ------
    LandscapeError
        If the losses are not those of single datapoints: with batch normalisation or dropout in
        training mode they are not.
    """
    if (direction is None) == (end is None):
        raise LandscapeError("a line has a direction or an end: give one of the two.")
    network = network_of(per_sample_loss, data, start, chunk)
    way = network.flat(direction) if end is None else network.flat(end) - network.start
    if way.shape != network.start.shape:
        raise LandscapeError(
            f"the direction has {way.size} weights, and the start {network.start.size}."
        )
    length = float(np.linalg.norm(way))
    least = 0.0 if end is None else 1e-6 * float(np.linalg.norm(network.start))
    if not least < length < math.inf:
        what = "direction has" if end is None else "start and the end are the same: the line has"
        raise LandscapeError(f"the {what} the length {length:.3g}.")
    if domain is None:
        if end is None:
            raise LandscapeError(
                "how far should the line go? Give domain=(-1, 1), in distance between weights."
            )
        domain = (-BEYOND * length, (1 + BEYOND) * length)
    return Line(network, way / length, interval(domain, "the line"), tolerance)


def around(
    per_sample_loss: Any, data: Any, minimum: Any, directions: int = 20, *, chunk: int = CHUNK
) -> Around:
    """How far SGD spreads around a minimum, along the sharpest directions of all weights.

    Parameters
    ----------
    per_sample_loss, data, minimum, chunk
        As for `line`.
    directions
        How many eigenvectors of the Hessian, by the size of their eigenvalues; found by Lanczos'
        method [1]_ on products of the Hessian with a vector.

    References
    ----------
    .. [1] R. B. Lehoucq, D. C. Sorensen, C. Yang, *ARPACK Users' Guide*, SIAM 1998.
    """
    from scipy.sparse.linalg import LinearOperator, eigsh

    network = network_of(per_sample_loss, data, minimum, chunk)
    at, n = network.start, network.start.size
    if not 1 <= directions <= n:
        raise LandscapeError(
            f"directions = {directions!r} must be from 1 to {n}, the number of weights."
        )
    if directions > n // 2:  # few weights: all of them
        hessian = np.stack([network.bent(at, e) for e in np.eye(n)])
        values, vectors = np.linalg.eigh((hessian + hessian.T) / 2)
    else:
        product = LinearOperator((n, n), matvec=lambda v: network.bent(at, v.ravel()), dtype=float)
        start = np.random.default_rng(0).normal(size=n)
        values, vectors = eigsh(product, k=directions, which="LA", v0=start)
    order = np.argsort(values)[::-1][:directions]
    values, vectors = values[order], vectors[:, order]
    slopes = np.stack([network.slopes(at, v) for v in vectors.T], axis=1).astype(float)
    mean = slopes.mean(axis=0)
    off = slopes - mean
    return Around(network, values, vectors, off.T @ off / len(off), mean)
