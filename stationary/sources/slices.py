"""One weight of many: the losses of a network along a straight line, or along a curve.

The coordinate is arc length, so that the learning rate keeps its meaning.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from stationary.aliases import Array, Function
from stationary.errors import LandscapeError
from stationary.functions.given import number
from stationary.functions.interpolation import Spline
from stationary.process.known import KnownGradients
from stationary.process.landscape import Landscape
from stationary.result import Data
from stationary.sources.frameworks import Network
from stationary.sources.interpolated import DEGREE
from stationary.sources.sampled import sampled

ALIGNED = 0.95  # cosine of H u and u from which u is as good as an eigenvector
ORDER, PARTS = 8, 4  # Gauss nodes, and panels between two points, of an arc length


@dataclass(frozen=True, eq=False, repr=False)
class Line(Data):
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
        return self._pushed(w)[1]

    @cached_property
    def gradients(self) -> KnownGradients:
        """What a `Landscape` takes; evaluated where its answer needs it."""
        return self._sampled(self._pushed, losses=True)

    def _pushed(self, w: Any) -> tuple[Array, Array]:
        """The losses of all datapoints at distance w, and their derivatives."""
        return self.network.pushed(self.network.start + float(w) * self.direction, self.direction)

    def _sampled(self, function: Function, *, losses: bool) -> KnownGradients:
        name = f"the {self.kind}"
        found = sampled(function, self.domain, tolerance=self.tolerance, losses=losses, name=name)
        return replace(found, remark=self.trust)

    def landscape(self, learning_rate: float, batch_size: int = 1, **more: Any) -> Landscape:
        """SGD on the line, as if nothing else could move; `more` as for a `Landscape`."""
        return self._made(self.gradients, learning_rate, batch_size, more)

    def _made(
        self, gradients: KnownGradients, rate: float, batch_size: int, more: dict[str, Any]
    ) -> Landscape:
        if more.get("weight_decay"):
            raise LandscapeError(
                f"a {self.kind} through weights: weight_decay pulls all weights to zero, not the "
                f"distance along the {self.kind}. Add it to the losses, as in "
                "loss + weight_decay / 2 * (weights**2).sum()."
            )
        fields: dict[str, Any] = {"name": "a slice of a network", "batch_size": batch_size} | more
        return Landscape(gradients=gradients, learning_rate=rate, **fields)

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

        known = self._sampled(moved, losses=False)
        return self._made(known, learning_rate, batch_size, more)


class Path:
    """A smooth curve through weights, by its arc length."""

    def __init__(self, parameters: Array, weights: Array) -> None:
        self._curve = Spline.through(parameters, weights, DEGREE)
        t, weights_of_nodes = np.polynomial.legendre.leggauss(ORDER)
        fine = np.linspace(parameters[:-1], parameters[1:], PARTS + 1)[:-1].T.ravel()
        half = np.repeat(np.diff(parameters) / 2 / PARTS, PARTS)
        inner = ((fine + half)[:, None] + half[:, None] * t).ravel()
        parts = np.array_split(inner, len(parameters))
        speed = np.concatenate([np.linalg.norm(self._curve.taylor(u, 1)[1], axis=1) for u in parts])
        steps = half * (speed.reshape(-1, ORDER) @ weights_of_nodes)
        if not (speed > 0).all():
            raise LandscapeError("the curve stands still at a point: give each point once.")
        lengths = np.append(0.0, np.cumsum(steps))
        self.length = float(lengths[-1])
        self._parameter = Spline.through(lengths, np.append(fine, parameters[-1]), DEGREE)

    def __call__(self, w: float) -> tuple[Array, Array, Array]:
        """The place, the tangent, and the curvature times the normal, at arc length w."""
        at, first, second = (c[0] for c in self._curve.taylor(self._parameter(w), 2))
        speed = np.linalg.norm(first)
        tangent = first / speed
        bend = 2 * second / speed**2  # of which the part along the tangent is a change of speed
        return at, tangent, bend - (bend @ tangent) * tangent
