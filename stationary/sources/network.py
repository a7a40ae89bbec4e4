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
from collections.abc import Callable
from typing import Any

import numpy as np

from stationary.aliases import Array
from stationary.errors import LandscapeError
from stationary.functions.given import checked_whole, interval
from stationary.functions.interpolation import Spline
from stationary.functions.rounding import UNITS
from stationary.sources.frameworks import network_of
from stationary.sources.interpolated import DEGREE
from stationary.sources.local import Around
from stationary.sources.slices import Curve, Line, Path

CHUNK = 4096  # datapoints that are worked on at a time
BEYOND = 0.25  # of a chord, to which it is followed beyond its ends
SMOOTH, MOST_POINTS = 1e-9, 1000  # of a curve that is a function
ROUNDED = 8 * UNITS["float32"]  # of the largest weight: what points in single precision miss


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
        Where the line goes, in the same form, or as one vector (of `around`): a direction of any
        length, or another point.
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
    if end is None:
        way = network.vector(direction, "direction")
    else:
        way = network.vector(end, "end") - network.start
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


def curve(
    per_sample_loss: Any,
    data: Any,
    path: Any,
    *,
    domain: tuple[float, float] | None = None,
    tolerance: float = 1e-3,
    chunk: int = CHUNK,
) -> Curve:
    """The losses of a network along a curve, as along the bottom of a bent valley.

    Parameters
    ----------
    per_sample_loss, data, tolerance, chunk
        As for `line`.
    path
        Weights to go through: a list of points, or an array whose first axis counts them; or a
        smooth function of a number from 0 to 1 that returns weights.
    domain
        Arc lengths from its start, within the curve; all of it by default.

    Raises
    ------
    LandscapeError
        If it is no smooth curve, or the losses are not those of single datapoints.
    """
    if callable(path):
        network = network_of(per_sample_loss, data, path(0.0), chunk)
        parameters, weights = _followed(lambda u: network.vector(path(float(u)), "curve"))
    else:
        try:
            points = list(path)
        except TypeError:
            raise LandscapeError(
                f"path = {path!r:.60}: a curve is a list of weights to go through, or a function "
                "of a number from 0 to 1."
            ) from None
        if len(points) < 2:
            raise LandscapeError(f"a curve goes through two points or more, not {len(points)}.")
        network = network_of(per_sample_loss, data, points[0], chunk)
        weights = np.stack([network.vector(p, f"point {k}") for k, p in enumerate(points)])
        chords = np.linalg.norm(np.diff(weights, axis=0), axis=1)
        if not (np.isfinite(chords).all() and chords.min() > 1e-9 * chords.max()):
            k = int(np.argmin(np.where(np.isfinite(chords), chords, -1)))
            raise LandscapeError(
                f"points {k} and {k + 1} of the curve are {chords[k]:.3g} apart. Give each once."
            )
        parameters = np.append(0.0, np.cumsum(chords))
    made = Path(parameters, weights)
    ends = (0.0, made.length) if domain is None else interval(domain, "the curve")
    if not (ends[0] >= 0 and ends[1] <= made.length * (1 + 1e-12)):
        raise LandscapeError(
            f"the curve has arc lengths from 0 to {made.length:.6g}, and not {ends[0]:g} to "
            f"{ends[1]:g}. Give more points to go further."
        )
    return Curve(network, made(ends[0])[1], ends, tolerance, made)


def _followed(function: Callable[[float], Array]) -> tuple[Array, Array]:
    """A function of 0 to 1 at as many points as tell it."""
    u = np.linspace(0, 1, 9)
    weights = np.stack([function(v) for v in u])
    while len(u) < MOST_POINTS:
        between = np.stack([function(v) for v in (u[:-1] + u[1:]) / 2])
        off = Spline.through(u, weights, DEGREE).taylor((u[:-1] + u[1:]) / 2)[0] - between
        both = np.empty((2 * len(u) - 1, weights.shape[1]))
        both[::2], both[1::2] = weights, between
        u, weights = np.linspace(0, 1, len(both)), both
        limit = SMOOTH * np.ptp(weights, axis=0).max()
        if (weights == weights.astype("float32")).all():  # a network's own numbers
            limit = max(limit, ROUNDED * np.abs(weights).max())
        if np.abs(off).max() <= limit:
            return u, weights
    raise LandscapeError(
        f"the curve is not smooth: {MOST_POINTS} points of it do not tell what is between. Give "
        "points to go through."
    )


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
    directions = checked_whole(directions, "directions", "around", 1, n, ", the number of weights")
    if directions > n // 2:  # few weights: all of them
        hessian = np.stack([network.bent(at, e) for e in np.eye(n)])
        values, vectors = np.linalg.eigh((hessian + hessian.T) / 2)
    else:
        product = LinearOperator((n, n), matvec=lambda v: network.bent(at, v.ravel()), dtype=float)
        start = np.random.default_rng(0).normal(size=n)
        if not network.bent(at, start).any():
            raise LandscapeError(
                "the losses have no curvature at the weights given, so there is no minimum to be "
                "around (within torch.no_grad() they have none anywhere)."
            )
        values, vectors = eigsh(product, k=directions, which="LA", v0=start)
    order = np.argsort(values)[::-1][:directions]
    values, vectors = values[order], vectors[:, order]
    slopes = np.stack([network.slopes(at, v) for v in vectors.T], axis=1).astype(float)
    mean = slopes.mean(axis=0)
    off = slopes - mean
    return Around(network, values, vectors, off.T @ off / len(off), mean)
