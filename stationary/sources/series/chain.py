"""A diffusion on cells: its density and its variance are the parameters, its jumps follow.

With log p at the centres of cells of width h and a at the faces between them, the jump rates
q(i -> i +- 1) = a / (2 h^2) sqrt(p_(i +- 1) / p_i) have p as their stationary law, exactly.
Multiplied by sqrt(p_i / p_j) they are a symmetric matrix S, so the probabilities of a step are

    P_ij(t) = sqrt(p_j / p_i) [e^(S t)]_ij,

and d e^(S t) = U (Gamma * (U' dS U)) U' with the eigenvectors U of S and the divided differences
Gamma of e^(lambda t) [1]_. Of values that were rounded, the unit A holds several cells: then
P_AB = sum p_i P_ij / sum p_i over i in A and j in B, which the same formula makes of the rows
sum_(i in A) sqrt(p_i / p_A) U_i in place of those of U.

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

import numpy as np
from scipy.linalg import eigh_tridiagonal

from stationary.aliases import Array
from stationary.numbers.elementary import distinct

LEAST = 1e-13  # probability of a step, below which eigenvectors know nothing of it
FEW = 0.05  # of the steps, shorter or longer than the others: together they are between two times
# Steps that took a time each: from which cell, to which, how many.
Counts = Sequence[tuple[float, tuple[Array, Array, Array]]]


@dataclass(frozen=True, eq=False)
class Cells:
    """m cells of one width, and splines for log p at their centres and log a at their faces.

    `each` of them together are what an observation tells apart: one place.
    """

    edges: Array  # (m + 1,)
    of_p: Array  # (m, K): the splines at the centres
    of_a: Array  # (m - 1, L): at the inner faces
    each: int = 1

    @property
    def h(self) -> float:
        return float(self.edges[1] - self.edges[0])

    def counts(self, classes: Sequence[tuple[float, Array, Array]]) -> Counts:
        """Steps, by how long they take, as numbers of steps between places."""
        places, found = self.edges[:: self.each], []
        m = len(places) - 1
        for time, start, stop in classes:
            i, j = (np.clip(np.searchsorted(places, x) - 1, 0, m - 1) for x in (start, stop))
            pairs, n = np.unique(i * m + j, return_counts=True)
            found.append((time, (pairs // m, pairs % m, n.astype(float))))
        return found

    def shared(self, classes: Sequence[tuple[float, Array, Array]]) -> Counts:
        """The same, each end of a step shared by the two places whose centres are next to it.

        What is summed over these is interpolated, and does not jump where a border is moved.
        """
        places, found = self.edges[:: self.each], []
        m = len(places) - 1
        for time, start, stop in classes:
            ends = []
            for x in (start, stop):
                at = np.clip((x - places[0]) / (places[1] - places[0]) - 0.5, 0, m - 1)
                low = np.minimum(at.astype(int), m - 2)
                ends.append(((low, 1 - at + low), (low + 1, at - low)))
            corners = [(i * m + j, p * q) for i, p in ends[0] for j, q in ends[1]]
            every, weights = (np.concatenate(c) for c in zip(*corners, strict=True))
            pairs, own = np.unique(every, return_inverse=True)
            found.append((time, (pairs // m, pairs % m, np.bincount(own, weights))))
        return found

    def gathered(self, x: Array) -> Array:
        """Sums over the cells of a place, along the first axis."""
        return np.asarray(x.reshape(-1, self.each, *x.shape[1:]).sum(axis=1))


@dataclass(frozen=True, eq=False)
class Chain:
    """The jump process of given coefficients."""

    cells: Cells
    theta: Array  # (K + L,): of log p, then of log a

    @cached_property
    def _rates(self) -> tuple[Array, Array, Array, Array]:
        """log p, and the off-diagonal of S, which is the root of the rates up and down."""
        k = self.cells.of_p.shape[1]
        u, v = self.cells.of_p @ self.theta[:k], self.cells.of_a @ self.theta[k:]
        with np.errstate(over="ignore"):
            v = v - math.log(2 * self.cells.h**2)
            c, up, down = np.exp(v + np.diff(u) / 2 * np.array([[0], [1], [-1]]))
        return u, c, up, down

    @cached_property
    def modes(self) -> tuple[Array, Array]:
        """Eigenvalues of S, ascending up to 0, and its eigenvectors."""
        _, c, up, down = self._rates
        diagonal = -np.append(up, 0.0) - np.append(0.0, down)
        if not np.isfinite(diagonal).all():
            raise FloatingPointError("the rates overflow")
        values, vectors = eigh_tridiagonal(diagonal, c)
        return np.minimum(values, 0.0), vectors

    @cached_property
    def places(self) -> tuple[Array, Array, Array]:
        """log p of places, the root of the share of a cell in its place's, and their rows for U."""
        u, vectors = self._rates[0], self.modes[1]
        top = np.repeat(u.reshape(-1, self.cells.each).max(axis=1), self.cells.each)
        own = np.repeat(np.log(self.cells.gathered(np.exp(u - top))), self.cells.each) + top
        root = np.exp((u - own) / 2)
        return own[:: self.cells.each], root, self.cells.gathered(root[:, None] * vectors)

    @property
    def relaxation_time(self) -> float:
        slowest = float(self.modes[0][-2])
        return -1 / slowest if slowest < 0 else math.inf

    def blurred(self, counts: Counts) -> Counts:
        """The same steps with the times in which the chain goes as far as cells make of them.

        A place within a cell of width h is known to h^2 / 12, which makes the variance of a step
        a t + h^2 / 6.
        """
        u, c = self.places[0], self._rates[1]
        occupied = np.sum([np.bincount(i, n, len(u)) for _, (i, _, n) in counts], axis=0)
        occupied = np.repeat(occupied, self.cells.each)
        weights = occupied[:-1] + occupied[1:]
        more = 1 / (12 * math.exp(weights @ np.log(c) / weights.sum()))  # h^2 / (6 a)
        return [(t + more, steps) for t, steps in counts]

    def impossible(self, counts: Counts) -> int:
        """How many of the steps it never makes."""
        return round(self.likelihood(self.blurred(counts))[1])

    def log_likelihood(self, counts: Counts) -> float:
        return self.likelihood(counts)[0]

    def likelihood(self, counts: Counts) -> tuple[float, float]:
        """Its logarithm, and how many of the steps are too seldom to be known."""
        u, total, beyond = self.places[0], 0.0, 0.0
        known = self._pairs(counts)
        for (_, (i, j, _)), (pairs, rate, n) in zip(counts, known, strict=True):
            e, up = pairs @ np.exp(rate), (u[j] - u[i]) / 2
            told = e > LEAST
            # Nothing is won by what is not known: P would exceed 1 far from where most is.
            up = np.where(told, up, np.minimum(up, 0.0))
            total += float(n @ (np.log(np.maximum(e, LEAST)) + up))
            beyond += float(n[~told].sum())
        return total, beyond

    def _pairs(self, counts: Counts) -> list[tuple[Array, Array, Array]]:
        """Of the steps of each length: what modes make of each, how these fall, how many."""
        values, rows = self.modes[0], self.places[2]
        with np.errstate(over="ignore"):  # what falls faster than doubles tell is gone
            return [(rows[i] * rows[j], values * t, n) for t, (i, j, n) in counts]

    def speed(self, counts: Counts) -> tuple[float, float]:
        """The most likely factor on time, and its standard error."""
        log_scale, error = 0.0, math.inf
        known = self._pairs(self.blurred(counts))
        for _ in range(30):
            slope = bend = 0.0
            for pairs, rate, n in known:
                rate = rate * math.exp(log_scale)
                both = pairs @ np.stack([np.exp(rate), rate * np.exp(rate)], axis=1)
                change = both[:, 1] / np.maximum(both[:, 0], LEAST)
                slope += float(n @ change)
                bend += float(n @ change**2)
            if bend == 0:
                break
            error = math.exp(log_scale) / math.sqrt(bend)
            step = float(np.clip(slope / bend, -0.5, 0.5))
            log_scale += step
            if abs(step) < 1e-4:
                break
        return math.exp(log_scale), error

    def score(self, counts: Counts) -> tuple[float, Array, Array]:
        """log L, its gradient, and the expected information, by the coefficients."""
        _, c, up, down = self._rates
        values, vectors = self.modes
        b, faces = self.cells.of_p, self.cells.of_a
        k, count = b.shape[1], len(self.theta)
        slope, zero = np.diff(b, axis=0) / 2, np.zeros((1, count))  # of log sqrt(p)
        rise = np.vstack([np.hstack([up[:, None] * slope, up[:, None] * faces]), zero])
        fall = np.vstack([zero, np.hstack([-down[:, None] * slope, down[:, None] * faces])])
        diagonal = -rise - fall  # (m, K + L): of the diagonal of S by each coefficient
        off = c[:, None] * faces  # (m - 1, L): of the others
        rotated = np.empty((count, len(b), len(b)))
        for q in range(count):
            d = np.flatnonzero(diagonal[:, q])
            rotated[q] = (vectors[d].T * diagonal[d, q]) @ vectors[d]
            if q >= k:
                f = np.flatnonzero(off[:, q - k])
                part = (vectors[f].T * off[f, q - k]) @ vectors[f + 1]
                rotated[q] += part + part.T
        gradient, information = np.zeros(count), np.zeros((count, count))
        pulls = np.zeros_like(rotated[0])  # what the gradient makes of `rotated`
        log_p, root, rows = self.places
        m = len(log_p)
        of_place = self.cells.gathered((root**2)[:, None] * b)  # d log p of a place
        for (t, (i, j, n)), (pairs, rate, _) in zip(counts, self._pairs(counts), strict=True):
            power = np.exp(rate)
            e = pairs @ power
            asked = np.bincount(i * m + j, np.where(e > LEAST, n / np.maximum(e, LEAST), 0), m * m)
            both = (asked.reshape(m, m) + asked.reshape(m, m).T) / 2 @ rows
            pulls += self._divided(t) * (rows.T @ both)
            own = (vectors * power * np.repeat(both, self.cells.each, axis=0)).sum(axis=1)
            gradient[:k] += b.T @ (root * own) - n @ of_place[i]
        gradient += rotated.reshape(count, -1) @ pulls.ravel()
        for t, starts in self.expected(counts):
            at = np.flatnonzero(starts)
            power = np.exp(values * t)
            partly = root[:, None] * ((vectors * power) @ rows.T)  # (cells, places)
            e = self.cells.gathered(partly)[at]
            inverse = np.where(e > LEAST, 1 / np.maximum(e, LEAST), 0.0)
            gamma, some, changes = self._divided(t), rows[at].T, np.empty((count, len(at), m))
            for q in range(count):
                changes[q] = ((gamma * rotated[q]) @ some).T @ rows.T
                if q < k:
                    part = self.cells.gathered(b[:, q, None] * partly)
                    changes[q] += (part[at] + part[:, at].T) / 2
                changes[q] *= inverse
                if q < k:
                    changes[q] -= of_place[at, q, None]
            with np.errstate(divide="ignore"):
                log_e = np.log(np.where(e > LEAST, e, 0.0))
            likely = np.exp(np.minimum(log_e + (log_p[None, :] - log_p[at, None]) / 2, 0.0))
            flat = changes.reshape(count, -1)
            information += (flat * (starts[at, None] * likely).ravel()) @ flat.T
        return self.log_likelihood(counts), gradient, information

    def _divided(self, t: float) -> Array:
        """Gamma: the divided differences of e^(lambda t)."""
        values = self.modes[0]
        gap, power = values[:, None] - values[None, :], np.exp(values * t)
        with np.errstate(all="ignore"):
            return np.where(
                np.abs(gap) * t < 1e-6,
                t * np.exp((values[:, None] + values[None, :]) * t / 2),
                (power[:, None] - power[None, :]) / gap,
            )

    def expected(self, counts: Counts) -> list[tuple[float, Array]]:
        """From where steps start, for times so few that what they tell is interpolated in between.

        It is a straight line in time (of the drift), or a constant (of the variance), until they
        take as long as a mode lives, and below its chords then: between octaves by 4 % at most.
        """
        times = np.array([t for t, _ in counts])
        m = len(self.places[0])
        starts = np.array([np.bincount(i, n, m) for _, (i, _, n) in counts])
        if len(times) <= 2:
            return list(zip(times.tolist(), starts, strict=True))
        upto = np.cumsum(starts.sum(axis=1)) / starts.sum()
        low, high = times[np.searchsorted(upto, FEW)], times[np.searchsorted(upto, 1 - FEW)]
        inner = np.geomspace(low, high, max(math.ceil(math.log2(high / low)), 1) + 1)
        nodes = distinct(times[:1], inner, times[-1:])
        share = np.stack([np.interp(times, nodes, e) for e in np.eye(len(nodes))])
        return [(t, s @ starts) for t, s in zip(nodes.tolist(), share, strict=True)]
