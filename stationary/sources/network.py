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
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stationary.errors import LandscapeError
from stationary.functions.given import interval, number
from stationary.functions.interpolation import Spline
from stationary.process.known import KnownGradients
from stationary.process.landscape import Landscape
from stationary.result import Result
from stationary.sources.frameworks import Network, network_of
from stationary.sources.sampled import sampled

__all__ = ["Around", "Curve", "Escapes", "Line", "Path", "around", "curve", "line"]

Array = NDArray[Any]

CHUNK = 4096  # datapoints that are worked on at a time
BEYOND = 0.25  # of a chord, to which it is followed beyond its ends
DEGREE = 5  # of the splines that curves are
ORDER, PARTS = 8, 4  # Gauss nodes, and panels between two points, of an arc length
SMOOTH, MOST_POINTS = 1e-9, 1000
CLIMB = 8001  # points at which a barrier is looked for
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

    kind = "line"

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
        cosine = f"(cos(Hu, u) = {self.alignment:.3f})"
        if abs(self.alignment) >= ALIGNED:
            return (
                f"the {self.kind} is along an eigenvector of the Hessian at its start {cosine}: "
                "how far SGD spreads there in all weights is what it does on it"
            )
        return (
            f"the {self.kind} is not along an eigenvector of the Hessian at its start {cosine}: "
            "SGD in all weights leaves it, and spreads along it otherwise than this says; take "
            "eigenvectors for that (`network.around`)"
        )

    def slopes(self, w: Any) -> Array:
        """The derivatives of the losses of all datapoints at distance w, shape (N,)."""
        return self.network.slopes(self.network.start + float(w) * self.direction, self.direction)

    @cached_property
    def gradients(self) -> KnownGradients:
        """What a `Landscape` takes; evaluated where its answer needs it."""
        return sampled(self.slopes, self.domain, tolerance=self.tolerance, name="the slice")

    def landscape(self, learning_rate: float, batch_size: int = 1, **more: Any) -> Landscape:
        """SGD on the line, as if nothing else could move; `more` as for a `Landscape`."""
        return Landscape(
            gradients=self.gradients,
            learning_rate=learning_rate,
            batch_size=batch_size,
            **self._settings(more),
        )

    def _settings(self, more: dict[str, Any]) -> dict[str, Any]:
        if more.get("weight_decay"):
            raise LandscapeError(
                f"a {self.kind} through weights: weight_decay pulls all weights to zero, not the "
                f"distance along the {self.kind}. Add it to the losses, as in "
                "loss + weight_decay / 2 * (weights**2).sum()."
            )
        return {"name": "a slice of a network"} | more

    def __repr__(self) -> str:
        low, high = self.domain
        return (
            f"<{self.kind.capitalize()} through {len(self.direction)} weights, "
            f"{self.network.datapoints} datapoints, from {low:g} to {high:g}, "
            f"cos(Hu, u) = {self.alignment:.3f}>"
        )


@dataclass(frozen=True, eq=False, repr=False)
class Curve(Line):
    """The losses of a network along a curve; w is the arc length from its start.

    SGD beside the curve, of curvature kappa and normal n, has the drift and the variance

        f = -T G_t + T^2 kappa Cov(g_t, g_n) / B,   a = T^2 Var(g_t) / B

    along it (Ito's formula for the place next to which it is), as if nothing held it to the curve
    but did not let it go far: so it is in a valley whose walls are steep and equally so.
    """

    path: Path

    kind = "curve"

    @cached_property
    def _bent(self) -> Array:
        return self.network.bent(self.path(self.domain[0])[0], self.direction)

    @cached_property
    def _known(self) -> dict[float, tuple[Array, float]]:
        return {}

    def _at(self, w: float) -> tuple[Array, float]:
        """The slopes along the curve, and kappa Cov(g_t, g_n)."""
        if w not in self._known:
            at, tangent, bend = self.path(w)
            along = self.network.slopes(at, tangent)
            across = self.network.slopes(at, bend) if bend.any() else 0 * along
            covariance = float(((along - along.mean()) * (across - across.mean())).mean())
            self._known[w] = along, covariance
        return self._known[w]

    def slopes(self, w: Any) -> Array:
        """The derivatives of the losses of all datapoints along the curve, shape (N,)."""
        return self._at(float(w))[0]

    def landscape(self, learning_rate: float, batch_size: int = 1, **more: Any) -> Landscape:
        """SGD along the curve, which it does not leave; `more` as for a `Landscape`."""
        for name in ("clip", "momentum", "optimiser", "schedule"):
            if more.get(name) and more[name] != "sgd":
                raise LandscapeError(
                    f"a curve through weights: {name} = {more[name]!r:.40} is not known with the "
                    "drift that the curvature makes. Leave it out, or take a straight line."
                )
        share = number(learning_rate), number(batch_size)
        noise = 0.0  # what is wrong with either is said by the landscape
        if share[0] is not None and share[1]:
            n, size = self.network.datapoints, share[1]
            noise = share[0] / size * (1 if more.get("replacement", True) else (n - size) / (n - 1))

        def moved(w: Any) -> Array:
            slopes, covariance = self._at(float(w))
            return slopes - noise * covariance

        known = sampled(moved, self.domain, tolerance=self.tolerance, name="the curve")
        return Landscape(
            gradients=known,
            learning_rate=learning_rate,
            batch_size=batch_size,
            **self._settings(more),
        )


class Path:
    """A smooth curve through weights, by its arc length."""

    def __init__(self, parameters: Array, weights: Array) -> None:
        self._curve = Spline.through(parameters, weights, DEGREE)
        t, half = np.polynomial.legendre.leggauss(ORDER)[0], np.diff(parameters) / 2 / PARTS
        fine = np.linspace(parameters[:-1], parameters[1:], PARTS + 1)[:-1].T.ravel()
        half = np.repeat(half, PARTS)
        inner = ((fine + half)[:, None] + half[:, None] * t).ravel()
        speed = np.concatenate([self._speed(u) for u in np.array_split(inner, len(parameters))])
        steps = half * (speed.reshape(-1, ORDER) @ np.polynomial.legendre.leggauss(ORDER)[1])
        if not (speed > 0).all():
            raise LandscapeError("the curve stands still at a point: give each point once.")
        lengths = np.append(0.0, np.cumsum(steps))
        self.length = float(lengths[-1])
        self._parameter = Spline.through(lengths, np.append(fine, parameters[-1]), DEGREE)

    def _speed(self, u: Array) -> Array:
        return np.asarray(np.linalg.norm(self._curve.taylor(u, 1)[1], axis=1))

    def __call__(self, w: float) -> tuple[Array, Array, Array]:
        """The place, the tangent, and the curvature times the normal, at arc length w."""
        at, first, second = (c[0] for c in self._curve.taylor(self._parameter(w), 2))
        speed = np.linalg.norm(first)
        tangent = first / speed
        bend = 2 * second / speed**2  # of which the part along the tangent is a change of speed
        return at, tangent, bend - (bend @ tangent) * tangent


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

    def escapes(
        self,
        learning_rate: float,
        batch_size: int = 1,
        *,
        directions: int | None = None,
        width: float | None = None,
    ) -> Escapes:
        """How high the barrier is to either side along each eigenvector, on its slice.

        Parameters
        ----------
        learning_rate, batch_size
            Of SGD.
        directions
            How many of the eigenvectors, the first of which are the sharpest; all by default.
        width
            How far to look; by default from 8 deviations on, twice as far each time, until there is
            a barrier on both sides, at most as far as the weights are from zero.
        """
        deviations = self.deviations(learning_rate, batch_size)
        count = len(deviations) if directions is None else directions
        if not 1 <= count <= len(deviations):
            raise LandscapeError(f"directions = {count!r} must be from 1 to {len(deviations)}.")
        farthest = max(float(np.linalg.norm(self.network.start)), 8 * float(np.nanmax(deviations)))
        exponents, places = np.full((count, 2), np.nan), np.full((count, 2), np.nan)
        found = np.zeros((count, 2), dtype=bool)
        for k in range(count):
            reach = width or (8 * deviations[k] if deviations[k] > 0 else farthest)
            while True:
                cut = self.line(k, reach).landscape(learning_rate, batch_size)
                exponents[k], places[k], found[k] = _climbs(cut, reach)
                if found[k].all() or width is not None or reach >= farthest:
                    break
                reach = min(2 * reach, farthest)
        return Escapes(
            learning_rate, batch_size, self.curvatures[:count], deviations[:count], exponents,
            places, found,
        )  # fmt: skip

    def __repr__(self) -> str:
        return (
            f"<Around a point in {len(self.vectors)} weights: {len(self.curvatures)} curvatures "
            f"from "
            f"{self.curvatures[0]:.4g} to {self.curvatures[-1]:.4g}>"
        )


@dataclass(frozen=True, eq=False, repr=False)
class Escapes(Result):
    """The barriers around a minimum along the sharpest eigenvectors, each on its own slice.

    Attributes
    ----------
    learning_rate, batch_size
        Of SGD.
    curvatures, deviations
        (K,): the eigenvalues, and how far SGD spreads along each.
    exponents
        (K, 2): max of -int 2 f / a from the minimum to the left and to the right; the mean time to
        leave that way grows with its exponential. At most known to 1e-3.
    places
        (K, 2): where the barrier is; the end of the slice, where none was found before it.
    found
        (K, 2): whether it is a barrier; else the exponent is that of the end of the slice, and a
        lower bound.
    """

    learning_rate: float
    batch_size: int
    curvatures: Array
    deviations: Array
    exponents: Array
    places: Array
    found: Array

    def __repr__(self) -> str:
        return f"<Escapes along {len(self.curvatures)} eigenvectors>"


def _climbs(landscape: Landscape, reach: float) -> tuple[Array, Array, Array]:
    """The exponents to the left and to the right of the minimum at 0, where they end, and if so."""
    s = np.linspace(-reach, reach, CLIMB)
    f, a = landscape.diffusion().coefficients(s)
    h = 2 * f / a
    climb = -np.append(0.0, np.cumsum((h[1:] + h[:-1]) / 2 * np.diff(s)))
    middle = CLIMB // 2
    near = np.flatnonzero((f[:-1] > 0) & (f[1:] <= 0))
    if len(near):
        middle = int(near[np.argmin(np.abs(near - middle))])
    exponents, places, found = np.empty(2), np.empty(2), np.empty(2, dtype=bool)
    for side, own in enumerate((slice(middle, None, -1), slice(middle, None))):
        up = climb[own] - climb[middle]
        fell = np.flatnonzero(up < np.maximum.accumulate(up) - 1)  # more than a ripple
        found[side] = bool(len(fell))
        top = int(np.argmax(up[: fell[0]])) if len(fell) else int(np.argmax(up))
        exponents[side], places[side] = up[top], s[own][top]
    return exponents, places, found


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
        parameters, weights = _followed(lambda u: network.flat(path(float(u))))
    else:
        points = list(path)
        if len(points) < 2:
            raise LandscapeError(f"a curve goes through two points at least, and {len(points)} came.")
        network = network_of(per_sample_loss, data, points[0], chunk)
        flat = [network.flat(p) for p in points]
        if len({len(p) for p in flat}) > 1:
            raise LandscapeError(f"the points have {', '.join(str(len(p)) for p in flat)} weights.")
        weights = np.stack(flat)
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
        if np.abs(off).max() <= SMOOTH * np.ptp(weights, axis=0).max():
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
