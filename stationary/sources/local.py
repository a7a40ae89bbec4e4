"""The law of SGD around a minimum of a network: how far it spreads, and how high it has to climb.

Around a minimum the covariance Sigma of SGD obeys H Sigma + Sigma H = T C / B, with H the Hessian
and C the covariance of the gradients, so u' Sigma u = T u' C u / (2 B lambda) if H u = lambda u.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from stationary.aliases import Array
from stationary.errors import LandscapeError
from stationary.functions.given import interval
from stationary.process.landscape import Landscape
from stationary.result import Result
from stationary.sources.frameworks import Network
from stationary.sources.slices import Line

CLIMB = 8001  # points at which a barrier is looked for
UNLIKE = 32  # eigenvectors between which Hessians of datapoints are compared: 528 pairs
MOST_ROUNDS = 1000  # terms of a geometric series
SETTLED = 1e-12  # of what they add up to: the last of them


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

    @cached_property
    def _unlike(self) -> Array:
        """E[i, k, l, m]: the covariance of elements i, k and l, m of the datapoints' Hessians, in
        the span of the sharpest `UNLIKE` eigenvectors."""
        count = min(UNLIKE, len(self.curvatures))
        one, two = np.triu_indices(count)
        sums, squares, n = np.zeros(len(one)), np.zeros((len(one), len(one))), 0
        shift = np.where(one == two, self.curvatures[one], 0.0)  # the mean: nothing is lost
        for rows in self.network.curvatures(self.network.start, self.vectors[:, :count]):
            off = rows - shift
            sums, squares, n = sums + off.sum(axis=0), squares + off.T @ off, n + len(rows)
        mean = sums / n
        pair = np.zeros((count, count), dtype=int)
        pair[one, two] = pair[two, one] = np.arange(len(one))
        found: Array = squares / n - np.outer(mean, mean)
        return found[pair[:, :, None, None], pair]

    def covariance(self, learning_rate: float, batch_size: int = 1) -> Array:
        """Sigma (K, K) of SGD in the span of the eigenvectors.

        With its finite step, and with the Hessians H_j of the datapoints, which differ from H:

            H Sigma + Sigma H - T H Sigma H = T (C + <(H_j - H) Sigma (H_j - H)>) / B,

        exact for losses of second order as far as the span goes (the last term: as its sharpest
        32 vectors go). nan where it does not settle, inf where it has no variance, or takes more
        than 1,000 relaxation times to it.
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
            factor = np.where(known, learning_rate / (batch_size * pull), 0.0)
        unlike, first = self._unlike, factor * self.noise
        few, found = slice(len(unlike)), first
        with np.errstate(over="ignore", invalid="ignore"):  # where there is no variance
            for _ in range(MOST_ROUNDS):  # what noise adds that comes of the noise before
                more = first.copy()
                more[few, few] += factor[few, few] * np.einsum(
                    "iklm,kl->im", unlike, found[few, few]
                )
                size = np.sqrt(np.diag(more))
                moves = ~(np.abs(more - found) <= SETTLED * size[:, None] * size)
                found = more
                if not moves.any():
                    break
        found[moves] = np.where(np.eye(len(h), dtype=bool), math.inf, math.nan)[moves]
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
            f"from {self.curvatures[0]:.4g} to {self.curvatures[-1]:.4g}>"
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
