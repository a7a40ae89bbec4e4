"""A diffusion on cells: its density and its variance are the parameters, its jumps follow.

With log p at the centres of cells of width h and a at the faces between them, the jump rates
q(i -> i +- 1) = a / (2 h^2) sqrt(p_(i +- 1) / p_i) have p as their stationary law, exactly.
Multiplied by sqrt(p_i / p_j) they are a symmetric matrix S, so the probabilities of a step are

    P_ij(t) = sqrt(p_j / p_i) [e^(S t)]_ij,

and d e^(S t) = U (Gamma * (U' dS U)) U' with the eigenvectors U of S and the divided differences
Gamma of e^(lambda t) [1]_.

References
----------
.. [1] Y. L. Daleckii and M. G. Krein, *Integration and differentiation of functions of Hermitian
   operators*, AMS Translations 47 (1965) 1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Cells", "Chain", "Counts"]

Array = NDArray[Any]

LEAST = 1e-13  # probability of a step, below which eigenvectors know nothing of it
Counts = Sequence[tuple[float, Array]]  # times, and how many steps (m, m) took so long


@dataclass(frozen=True, eq=False)
class Cells:
    """m cells of one width, and splines for log p at their centres and log a at their faces."""

    edges: Array  # (m + 1,)
    of_p: Array  # (m, K): the splines at the centres
    of_a: Array  # (m - 1, L): at the inner faces

    @property
    def h(self) -> float:
        return float(self.edges[1] - self.edges[0])

    def counts(self, start: Array, stop: Array) -> Array:
        """How many steps lead from cell to cell."""
        m = len(self.edges) - 1
        i, j = (
            np.clip(((x - self.edges[0]) / self.h).astype(int), 0, m - 1) for x in (start, stop)
        )
        return np.bincount(i * m + j, minlength=m * m).reshape(m, m).astype(float)


@dataclass(frozen=True, eq=False)
class Chain:
    """The jump process of given coefficients."""

    cells: Cells
    theta: Array  # (K + L,): of log p, then of log a

    @cached_property
    def _parts(self) -> tuple[Array, Array, Array, Array, Array, Array]:
        from scipy.linalg import eigh_tridiagonal

        k = self.cells.of_p.shape[1]
        u, v = self.cells.of_p @ self.theta[:k], self.cells.of_a @ self.theta[k:]
        with np.errstate(over="ignore"):
            c = np.exp(v) / (2 * self.cells.h**2)
            up = c * np.exp(np.diff(u) / 2)  # from each cell to the next
            down = c * np.exp(-np.diff(u) / 2)
        diagonal = -np.append(up, 0.0) - np.append(0.0, down)
        if not np.isfinite(diagonal).all():
            raise FloatingPointError("the rates overflow")
        values, vectors = eigh_tridiagonal(diagonal, c)
        return u, c, up, down, np.minimum(values, 0.0), vectors

    def blurred(self, counts: Counts) -> Counts:
        """The same steps with the times in which the chain goes as far as cells make of them.

        A place within a cell of width h is known to h^2 / 12, which makes the variance of a step
        a t + h^2 / 6.
        """
        occupied = sum(n.sum(axis=1) for _, n in counts)
        c = self._parts[1]
        log_c = (occupied[:-1] + occupied[1:]) @ np.log(c) / (occupied[:-1] + occupied[1:]).sum()
        more = 1 / (12 * math.exp(log_c))  # h^2 / (6 a)
        return [(t + more, n) for t, n in counts]

    @property
    def relaxation_time(self) -> float:
        return float(-1 / self._parts[4][-2])

    @property
    def modes(self) -> tuple[Array, Array]:
        """Eigenvalues of S, ascending up to 0, and its eigenvectors."""
        return self._parts[4], self._parts[5]

    def steps(self, time: float, scale: float = 1.0) -> tuple[Array, Array]:
        """e^(S t) and log P, shape (m, m); time runs `scale` times as fast."""
        u, _, _, _, values, vectors = self._parts
        e = (vectors * np.exp(values * time * scale)) @ vectors.T
        return e, np.log(np.maximum(e, LEAST)) + (u[None, :] - u[:, None]) / 2

    def log_likelihood(self, counts: Counts, scale: float = 1.0) -> float:
        return float(sum((n * self.steps(t, scale)[1]).sum() for t, n in counts))

    def score(self, counts: Counts) -> tuple[float, Array, Array]:
        """log L, its gradient, and the expected information, by the coefficients."""
        _, c, up, down, values, vectors = self._parts
        k, count = self.cells.of_p.shape[1], len(self.theta)
        b, faces = self.cells.of_p, self.cells.of_a
        total, gradient, information = 0.0, np.zeros(count), np.zeros((count, count))
        slope = np.diff(b, axis=0) / 2  # of log sqrt(p) from cell to cell
        zero = np.zeros((1, k))
        diagonal = np.concatenate(
            [
                -np.vstack([up[:, None] * slope, zero]) + np.vstack([zero, down[:, None] * slope]),
                -np.vstack([up[:, None] * faces, 0 * faces[:1]])
                - np.vstack([0 * faces[:1], down[:, None] * faces]),
            ],
            axis=1,
        )  # (m, K + L): of the diagonal of S by each coefficient
        off = c[:, None] * faces  # (m - 1, L): of the others
        rotated = []
        for q in range(count):
            d = np.flatnonzero(diagonal[:, q])
            made = (vectors[d].T * diagonal[d, q]) @ vectors[d]
            if q >= k:
                f = np.flatnonzero(off[:, q - k])
                part = (vectors[f].T * off[f, q - k]) @ vectors[f + 1]
                made = made + part + part.T
            rotated.append(made)
        for time, n in counts:
            e, log_p = self.steps(time)
            total += float((n * log_p).sum())
            power, gap = np.exp(values * time), values[:, None] - values[None, :]
            near = np.abs(gap) * time < 1e-6
            with np.errstate(divide="ignore", invalid="ignore"):
                gamma = np.where(
                    near,
                    time * np.exp((values[:, None] + values[None, :]) * time / 2),
                    (power[:, None] - power[None, :]) / gap,
                )
            known = e > LEAST
            inverse = np.where(known, 1 / np.maximum(e, LEAST), 0.0)
            changes = np.empty((count, *e.shape))
            for q in range(count):
                changes[q] = (vectors @ (gamma * rotated[q])) @ vectors.T * inverse
                if q < k:
                    changes[q] += (b[None, :, q] - b[:, None, q]) / 2
            flat = changes.reshape(count, -1)
            gradient += flat @ n.ravel()
            weights = n.sum(axis=1)[:, None] * np.exp(log_p) * known
            information += (flat * weights.ravel()) @ flat.T
        return total, gradient, information
