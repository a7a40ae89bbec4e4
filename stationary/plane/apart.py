"""What attractors hold beyond high barriers, next to which rounding at the peaks is not small.

Spectral elements conserve probability to rounding, 1e-16 of what is around each peak; where less
than that leaves a basin, their equations do not say how it is shared. So P is pinned at every
attractor, once to one at each of them and to nothing at the others. What then leaves one set of
rectangles and enters another goes through those on the border of the two alone, where P is small
and known as well as its own size: it is int grad v . J of a function v of the elements that is one
in the set. These currents are rates between the attractors, and the shares follow from them without
a difference.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from stationary.aliases import Array
from stationary.errors import ConvergenceError
from stationary.numbers.arithmetic import SAME
from stationary.numbers.elementary import distinct
from stationary.plane.boxes import even
from stationary.plane.density import Density
from stationary.plane.elements import DEGREE, Coefficients, Condensed, Guess, parts_of, solve
from stationary.plane.flow import Flow
from stationary.plane.local import Equilibrium, positions
from stationary.plane.mesh import Mesh, basis
from stationary.process.plane import Box, PlaneDiffusion

PLACES = 48  # for each direction, at which it is looked where the drift leads


@dataclass(frozen=True, eq=False)
class Apart:
    """Attractors, (2, K), saddles, (2, S), points at which neither drift nor noise acts, (2, R),
    and which attractor the drift leads to from places, (2, M)."""

    attractors: Array
    saddles: Array
    rests: Array
    places: Array
    label: Array

    @classmethod
    def of(
        cls, process: PlaneDiffusion, equilibria: tuple[Equilibrium, ...], box: Box
    ) -> Apart | None:
        """None where there are no two attractors, or the drift leads elsewhere, as to a cycle, on
        which P is not small where borders between attractors would cross it."""
        flow = Flow.of(process, equilibria, box)
        if len(flow.attractors) < 2 or not flow.arrives:
            return None
        places = np.concatenate([even(box, PLACES), process.narrow.around(box)], axis=1)
        label = flow.label(places)
        if len(distinct(label)) != len(flow.attractors) or (label < 0).any():
            return None
        at, tops = (positions(equilibria, kind) for kind in ("stable", "saddle"))
        noise = np.array([np.trace(e.variance) for e in equilibria])
        rests = np.array([e.position for e in equilibria]).T[:, noise <= SAME * noise.max()]
        return cls(at, tops, rests, places, label)

    def heights(self, density: Density) -> tuple[float, float]:
        """-log P, above its least, of the highest saddle that it takes to join all attractors, as
        far as P is positive there, and of the attractor with the least density; or inf."""
        tops = np.sort(density.depth(self.saddles))[: self.attractors.shape[1] - 1]
        floor = tops[np.isfinite(tops)].max(initial=0.0)
        return float(floor), float(density.depth(self.attractors).max())

    def labels(self, mesh: Mesh) -> Array:
        """(E,): the attractor that each rectangle counts to."""
        wide = np.ptp(self.places, axis=1)[:, None]
        middle = mesh.low + mesh.size / 2
        return np.asarray(self.label[cKDTree((self.places / wide).T).query((middle / wide).T)[1]])

    def solve(
        self, coefficients: Coefficients, guess: Guess, degree: int = DEGREE, sure: bool = False
    ) -> Array:
        """As `stationary.plane.elements.solve`, with the shares of attractors from currents.

        Where rectangles are still too coarse for these to tell, they are as the guess has them, or,
        to be `sure`, refused.
        """
        mesh = guess.mesh
        number, _ = mesh.place(self.attractors)
        label = self.labels(mesh)
        if (number < 0).any() or len(distinct(label)) < len(number):
            return solve(coefficients, guess, degree)
        phi = guess.at(basis(degree).nodes).reshape(mesh.count, -1)
        parts = parts_of(coefficients, guess, degree)
        system = Condensed(mesh, degree, parts, coefficients.process, phi)
        index = np.full(system.extended.shape[0], -1)
        index[system.free] = np.arange(len(system.free))
        pins = [self._lowest(index[system.place[e]], phi[e, system.outer]) for e in number]
        if len(distinct(pins)) < len(pins):
            return solve(coefficients, guess, degree)
        apart = system.solve(np.array(pins), np.eye(len(pins)))  # (K, E, n, n)
        outer = apart.reshape(*apart.shape[:2], -1)[..., system.outer]
        rates = np.empty((len(pins), len(pins)))  # logs
        for k in range(len(pins)):
            # The test function that is one on the rectangles of k, and falls off beside them.
            free = np.zeros(system.extended.shape[1])
            near = index[system.place[label == k]]
            free[near[near >= 0]] = 1.0
            v = (system.extended @ free)[system.place]
            on_border = np.ptp(v, axis=1) > 0
            rows, logs = parts.matrix[on_border], phi[on_border][:, system.outer]
            flux = np.einsum("eij,mej->mei", rows, outer[:, on_border])
            least = logs.min(initial=np.inf)
            into = -(flux * v[on_border] * np.exp(least - logs)).sum(axis=(1, 2))
            with np.errstate(divide="ignore"):
                rates[:, k] = np.log(np.maximum(into, 0.0)) - least
        shares = balanced(np.where(np.eye(len(pins)), -np.inf, rates))
        if shares is None and sure:
            raise ConvergenceError(
                f"{coefficients.process.name}: no current was found that joins all attractors: "
                "barriers are too high for spectral elements. Raise the noise, or take each basin "
                "as a domain of its own."
            )
        share = np.ones(len(pins)) if shares is None else np.exp(shares)
        return np.asarray(np.tensordot(share, apart, 1))

    @staticmethod
    def _lowest(index: Array, phi: Array) -> int:
        """Of the free nodes of a rectangle that where Phi is least."""
        return int(index[np.argmin(np.where(index >= 0, phi, np.inf))])


def balanced(rates: Array) -> Array | None:
    """Logs of the shares between which rates (from, to) keep a balance, the largest one 0; from
    logs, and without differences.

    None where they do not join all.
    """
    r, count = rates.copy(), len(rates)
    for k in range(count - 1, 0, -1):
        out = np.logaddexp.reduce(r[k, :k])
        if not np.isfinite(out):
            return None
        r[:k, k] -= out
        r[:k, :k] = np.logaddexp(r[:k, :k], r[:k, k, None] + r[k, :k])
    share = np.zeros(count)
    for k in range(1, count):
        share[k] = np.logaddexp.reduce(share[:k] + r[:k, k])
    return np.asarray(share - share.max()) if np.isfinite(share).all() else None
