"""`Cells`: a law of which the probabilities of cells are known, and maybe what is within them."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import numpy as np

from stationary.aliases import Array
from stationary.distance import Grid
from stationary.distribution import Distribution
from stationary.numbers.arithmetic import SAME
from stationary.numbers.chebyshev import derived, rule
from stationary.numbers.elementary import distinct
from stationary.panels.roots import find_roots
from stationary.points import pointwise


def shares_of(law: Any, edges: Array) -> Array:
    """What of a law, by its `cdf` and `sf`, is in each cell, of all that is in them."""
    below, above = law.cdf(edges), law.sf(edges)
    mass = np.where(below[1:] < 0.5, np.diff(below), -np.diff(above))  # what is rare keeps digits
    mass[0] += below[0] - law.cdf(np.nextafter(edges[:1], -np.inf))[0]  # at the end itself
    return np.asarray(np.maximum(mass, 0.0) / math.fsum(mass))


@dataclass(frozen=True, eq=False, repr=False)
class Cells(Distribution):
    """A law of atoms and of cells.

    Attributes
    ----------
    edges, masses
        Of the cells, ascending, and the probability of each.
    positions, weights
        Of the atoms.
    error, mass_error, shift_error
        Absolute: of the distribution function; of the masses, half their sum; of its integral.
    noise
        The standard error of each mass, for bins of samples.
    before
        Probability below all cells, of samples that are not binned.
    edge_error, blank
        Of the distribution function outside the stretches, (k, 2), within which nothing is known;
        `error` and none where there are no such.
    rise
        (coefficients, cells): of Chebyshev polynomials on each cell, from 0 to its mass. None
        where no more is known than the masses, and the density is taken as even in each.
    powers
        (2, cells): of the distance from the lower and the upper edge, of which `rise` is a
        polynomial; next to an end where the density is a power. None: 1 everywhere.
    moments
        Mean and variance, where they are known better than from cells.
    density_error
        Relative, of the density where it is above 1e-8 of its maximum; None where no more is known
        than the masses.
    """

    edges: Array
    masses: Array
    positions: Array = field(default_factory=lambda: np.empty(0))
    weights: Array = field(default_factory=lambda: np.empty(0))
    error: float = 0.0
    mass_error: float = 0.0
    shift_error: float = 0.0
    noise: Array | None = None
    before: float = 0.0
    edge_error: float | None = None
    blank: Array = field(default_factory=lambda: np.empty((0, 2)))
    rise: Array | None = None
    powers: Array | None = None
    moments: tuple[float, float] | None = None
    density_error: float | None = None

    def __repr__(self) -> str:
        return (
            f"<Cells: {len(self.masses)} from {self.edges[0]:.6g} to {self.edges[-1]:.6g}, "
            f"{len(self.positions)} atoms, error {self.error:.0e}>"
            if len(self.edges)
            else f"<Cells: {len(self.positions)} atoms, error {self.error:.0e}>"
        )

    @cached_property
    def _sums(self) -> Array:
        return self.before + np.concatenate([[0.0], np.cumsum(self.masses)])

    @cached_property
    def _rise(self) -> Array:
        return np.stack([self.masses, self.masses]) / 2 if self.rise is None else self.rise

    def _in_cells(self, x: Array, c: Array) -> tuple[Array, Array, Array]:
        """The cell of each point, the polynomial `c` there, and the slope of its argument."""
        cell = np.clip(np.searchsorted(self.edges, x, side="right") - 1, 0, len(self.masses) - 1)
        low, high = self.edges[cell], self.edges[cell + 1]
        t = np.clip(((x - low) - (high - x)) / (high - low), -1.0, 1.0)
        slope = np.full(x.shape, 2.0) / (high - low)
        if self.powers is not None:
            for power, r, way in zip(
                self.powers[:, cell], (x - low, high - x), (1, -1), strict=True
            ):
                k = power != 1
                r = np.clip(r[k] / (high - low)[k], 0.0, 1.0)
                with np.errstate(divide="ignore"):
                    slope[k] *= power[k] * r ** (power[k] - 1)
                t[k] = way * (2 * r ** power[k] - 1)
        # Row by row: next to nothing, what is left of a sum must not depend on other points.
        angles = np.arange(len(c)) * np.arccos(np.clip(t, -1.0, 1.0))[:, None]
        return cell, (c.T[cell] * np.cos(angles)).sum(axis=1), slope

    @cached_property
    def _mirrored(self) -> Cells:
        """The law of -X, whose sums begin at the upper end."""
        after = 1 - self.before - float(self.masses.sum() + self.weights.sum())
        rise = powers = None
        if self.rise is not None:
            rise = -self.rise[:, ::-1] * (-1.0) ** np.arange(len(self.rise))[:, None]
            rise[0] += self.masses[::-1]
        if self.powers is not None:
            powers = self.powers[::-1, ::-1]
        return Cells(
            -self.edges[::-1], self.masses[::-1], -self.positions, self.weights,
            before=after if after > SAME else 0.0, rise=rise, powers=powers,
        )  # fmt: skip

    def _below(self, x: Array, side: Literal["left", "right"]) -> Array:
        """P(X <= x), or P(X < x) on the left side."""
        total = np.full(x.shape, self.before)
        if len(self.masses):
            cell, total, _ = self._in_cells(x, self._rise)
            total = np.where(x >= self.edges[-1], self._sums[-1], self._sums[cell] + total)
        order = np.argsort(self.positions)
        held = np.concatenate([[0.0], np.cumsum(self.weights[order])])
        total = total + held[np.searchsorted(self.positions[order], x, side=side)]
        return np.where(np.isnan(x), np.nan, np.clip(total, 0.0, 1.0))

    @pointwise
    def cdf(self, x: Array) -> Array:
        """P(X <= x), at points of any shape."""
        return self._below(x, "right")

    @pointwise
    def sf(self, x: Array) -> Array:
        """P(X > x)."""
        return self._mirrored._below(-x, "left")

    @pointwise
    def pdf(self, x: Array) -> Array:
        """The density, per unit of x; atoms aside."""
        if not len(self.masses):
            return np.zeros(x.shape)
        inside = (x >= self.edges[0]) & (x <= self.edges[-1])
        _, found, slope = self._in_cells(x, derived(self._rise))
        found = found * np.where(found > 0, slope, 0.0)  # where it may be infinite
        return np.where(np.isnan(x), np.nan, np.where(inside, np.maximum(found, 0.0), 0.0))

    @pointwise
    def logpdf(self, x: Array) -> Array:
        """log of the density; -inf where there is none."""
        with np.errstate(divide="ignore"):
            return np.log(self.pdf(x))

    @pointwise
    def ppf(self, q: Array) -> Array:
        """The x with P(X <= x) = q; nan for q outside [0, 1]."""
        x = np.sort(np.concatenate([self.edges, np.repeat(self.positions, 2)]))
        below, before = self.cdf(x), self.cdf(np.nextafter(x, -np.inf))
        first = np.append(True, np.diff(x) > 0)  # at an atom: before it, and with it
        f = np.where(first & np.isin(x, self.positions), before, below)
        rising = np.append(np.diff(f) > 0, True) | np.append(True, np.diff(f) > 0)
        x, f = x[rising], f[rising]
        found = np.interp(q, f, x)
        if self.rise is not None:
            k = np.clip(np.searchsorted(f, q), 1, len(f) - 1)
            inner = (f[k - 1] < q) & (q < f[k]) & (x[k - 1] < x[k])
            k, aim = k[inner], q[inner]
            found[inner] = find_roots(lambda at: self.cdf(at) - aim, x[k - 1], x[k])
            if self.powers is not None:
                powers = self.powers[0, np.searchsorted(self.edges, x[k - 1], side="right") - 1]
                low, wide, p = (v[powers != 1] for v in (x[k - 1], x[k] - x[k - 1], powers))
                # Next to a lower end halving would not come near what lies at 1e-100.
                y = find_roots(
                    lambda y: self.cdf(low + wide * y ** (1 / p)) - aim[powers != 1],
                    0 * p,
                    0 * p + 1,
                )
                found[np.flatnonzero(inner)[powers != 1]] = low + wide * y ** (1 / p)
        return np.where((q >= 0) & (q <= 1), found, np.nan)

    @pointwise
    def isf(self, q: Array) -> Array:
        """The x with P(X > x) = q; nan for q outside [0, 1]."""
        return -self._mirrored.ppf(q)

    def _moment(self, order: int, centre: float) -> float:
        r = rule(2 * ((len(self._rise) + order) // 2 + 1))
        c = np.zeros((r.n, len(self.masses)))
        c[: len(self._rise)] = derived(self._rise)
        half, low = np.diff(self.edges) / 2, self.edges[:-1] - centre
        place = np.broadcast_to((1 + r.nodes[:, None]) / 2, (len(r.nodes), len(half)))
        if self.powers is not None:
            from_lower, from_upper = 1 / self.powers
            place = np.where(from_upper == 1, place**from_lower, 1 - (1 - place) ** from_upper)
        away = low + 2 * half * place
        inside = r.quadrature @ (r.values[1:-1] @ c * away**order)
        return float(inside.sum() + self.weights @ (self.positions - centre) ** order)

    def mean(self) -> float:
        """E X."""
        return self._moment(1, 0.0) if self.moments is None else self.moments[0]

    def var(self) -> float:
        """The variance."""
        known = self.moments
        return max(self._moment(2, self.mean()), 0.0) if known is None else known[1]

    @cached_property
    def _grid(self) -> Grid:
        rank = 2 if self.noise is not None else 1 if self.rise is None else 0
        edges = self.edges if len(self.edges) else distinct(self.positions)
        error = self.error if self.edge_error is None else self.edge_error
        return Grid(
            edges, self.positions, self.mass_error, self.shift_error, rank, self.noise,
            error=error, blank=self.blank, cut=self.before > 0 or self.masses.sum() < 1 - SAME,
            beyond=0.0 if self.moments is None or np.isfinite(self.moments[0]) else math.inf,
        )  # fmt: skip
