"""A marginal of a density in the plane: a distribution on a line, on polynomials."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.polynomial.legendre import legvander

from stationary.aliases import Array
from stationary.distribution import Distribution, Grid
from stationary.errors import LandscapeError
from stationary.panels.roots import bisected
from stationary.plane.mesh import basis, gauss
from stationary.plane.panels import RULE

DEGREE = 24  # in panels in which the density needs half of that for half of its digits
NEARLY = 0.02  # a moment of an order above the tail's exponent less this is taken to be infinite
SEEN = 12.0  # in -log P of y: from here to twice as far the exponent is taken


@dataclass(frozen=True, eq=False, repr=False)
class Marginal(Distribution):
    """A density in one dimension, a polynomial between each two `edges`.

    Attributes
    ----------
    edges
        Ascending, shape (K + 1,).
    values
        The density at the Gauss-Lobatto nodes of each interval, shape (K, n).
    stretch
        With (c, L) it is the density of y, where x = c + L sinh(y): then tails may be heavy.
    """

    edges: Array
    values: Array
    error: float = 1e-12
    stretch: tuple[float, float] | None = None

    def _x(self, y: Any) -> Any:
        return y if self.stretch is None else self.stretch[0] + self.stretch[1] * np.sinh(y)

    def _y(self, x: Any) -> Array:
        made: Array = self._points(x)
        if self.stretch is not None:
            made = np.arcsinh((made - self.stretch[0]) / self.stretch[1])
        return made

    @cached_property
    def _integrals(self) -> Array:
        """(K, n + 1): the probability between the lower edge of each interval and nodes."""
        t, w = gauss(DEGREE + 1)
        part = (1 + basis(DEGREE + 1).nodes[:, None]) / 2
        table = np.einsum("pqn,q->pn", basis(DEGREE).at(-1 + part * (1 + t)), w) * part
        return np.asarray(self.values @ table.T * np.diff(self.edges)[:, None] / 2)

    @cached_property
    def _pieces(self) -> Array:
        """(K + 1,): the probability below each edge."""
        return np.concatenate([[0.0], np.cumsum(np.maximum(self._integrals[:, -1], 0))])

    def _place(self, y: Array) -> tuple[Array, Array]:
        i = np.clip(np.searchsorted(self.edges, y, side="right") - 1, 0, len(self.edges) - 2)
        return i, np.clip(2 * (y - self.edges[i]) / np.diff(self.edges)[i] - 1, -1, 1)

    def pdf(self, x: Any) -> Any:
        y = self._y(x)
        made = self._plain(y)
        return made if self.stretch is None else made / (self.stretch[1] * np.cosh(y))

    @cached_property
    def _series(self) -> tuple[Array, Array]:
        """Legendre coefficients of density and probability: sums of these are each by itself."""
        made = self.values @ basis(DEGREE).to_legendre.T
        return made, self._integrals @ basis(DEGREE + 1).to_legendre.T

    def _plain(self, y: Array) -> Any:
        i, t = self._place(y.ravel())
        made = (legvander(t, DEGREE) * self._series[0][i]).sum(axis=1)
        inside = (y.ravel() >= self.edges[0]) & (y.ravel() <= self.edges[-1])
        return np.where(inside, np.maximum(made, 0), 0.0).reshape(y.shape)[()]

    def logpdf(self, x: Any) -> Any:
        with np.errstate(divide="ignore"):
            return np.log(self.pdf(x))

    def cdf(self, x: Any) -> Any:
        """P(X <= x)."""
        return self._below(self._y(x)) / self._pieces[-1]

    def _below(self, y: Array) -> Any:
        i, t = self._place(y.ravel())
        made = self._pieces[i] + (legvander(t, DEGREE + 1) * self._series[1][i]).sum(axis=1)
        return np.maximum(made, 0).reshape(y.shape)[()]

    def ppf(self, q: Any) -> Any:
        """The point below which lies the probability q."""
        q = self._points(q)
        if ((q < 0) | (q > 1)).any() or np.isnan(q).any():
            raise LandscapeError(f"ppf: q = {q!r:.60} must be probabilities, from 0 to 1.")
        goal = q.ravel() * self._pieces[-1]
        i = np.clip(np.searchsorted(self._pieces, goal) - 1, 0, len(self.edges) - 2)
        # Halved, each by itself: where next to nothing is left, one must not depend on the others.
        low, high = bisected(
            lambda y: np.asarray(self._below(y)) < goal, self.edges[i], self.edges[i + 1]
        )
        return self._x(((low + high) / 2).reshape(q.shape)[()])

    def expect(self, function: Callable[[Array], Array]) -> float:
        """The mean of a function of x."""
        t, w = gauss(DEGREE + 1)
        y = self.edges[:-1, None] + np.diff(self.edges)[:, None] * (1 + t) / 2
        values = self.values @ basis(DEGREE).at(t).T
        weight = np.diff(self.edges)[:, None] / 2 * w
        return float((function(self._x(y)) * values * weight).sum() / self._pieces[-1])

    @cached_property
    def exponent(self) -> float:
        """Moments of orders below this one are finite."""
        if self.stretch is None:
            return math.inf
        y = np.linspace(self.edges[0], self.edges[-1], 4001)
        with np.errstate(divide="ignore"):
            log = np.log(self._plain(y))
        log = log - log.max()
        peak, made = int(np.argmax(log)), []
        for some in (slice(peak, None), slice(peak, None, -1)):
            far = (log[some] < -SEEN) & (log[some] > -2 * SEEN)
            if far.sum() > 10:
                made.append(abs(float(np.polyfit(y[some][far], log[some][far], 1)[0])))
        return min(made, default=math.inf)

    def has_moment(self, k: int) -> bool:
        return self.exponent > k + NEARLY

    def _moment(self, order: int, centre: float) -> float:
        if self.has_moment(order):
            return self.expect(lambda x: (x - centre) ** order)
        return math.nan if order % 2 else math.inf

    def mean(self) -> float:
        return self._moment(1, 0.0)

    def var(self) -> float:
        return self._moment(2, self.mean())

    def support(self) -> tuple[float, float]:
        low, high = self._x(self.edges[[0, -1]]).tolist()
        return low, high

    @cached_property
    def _grid(self) -> Grid:
        held = self.interval(1 - 1e-6)
        low, high = self.support()
        edges = np.unique(np.concatenate([[low], np.linspace(*held, 401), [high]]))
        # What lies between points may be off by as much on either side.
        return Grid(edges, np.zeros(0), 2 * self.error, self.error * (held[1] - held[0]), 0)

    def __repr__(self) -> str:
        if self.exponent < 60:
            tails = f"tails like |x|^-{1 + self.exponent:.4g}"
            return f"<Marginal: median {self.median():.6g}, {tails}>"
        return f"<Marginal: mean {self.mean():.6g}, deviation {self.std():.6g}>"


def normal(mean: float, deviation: float) -> Marginal:
    """A normal law in the same form."""
    edges = mean + deviation * np.linspace(-9, 9, 37)
    x = edges[:-1, None] + np.diff(edges)[:, None] * (1 + basis(DEGREE).nodes) / 2
    z = (x - mean) / deviation
    return Marginal(edges, np.exp(-(z**2) / 2) / (deviation * np.sqrt(2 * np.pi)))


def marginal_of(density: Any, axis: int) -> Marginal:
    """The marginal of a `Density` along x (0) or y (1)."""
    if axis not in density.cache:
        density.cache[axis] = _marginal_of(density, axis)
    made: Marginal = density.cache[axis]
    return made


def _marginal_of(density: Any, axis: int) -> Marginal:
    panels, mesh = density.panels, density.mesh
    low = mesh.low[:, panels.number] + mesh.size[:, panels.number] * (1 + panels.low) / 2
    size = mesh.size[:, panels.number] * panels.size / 2
    ends = np.concatenate([low[axis], low[axis] + size[axis]])
    slack = 1e-11 * (ends.max() - ends.min())
    edges = np.unique(ends)
    edges = edges[np.concatenate([[True], np.diff(edges) > slack])]
    first = np.searchsorted(edges, low[axis] + slack, side="right") - 1
    last = np.searchsorted(edges, low[axis] + size[axis] - slack, side="left")
    count = last - first
    panel = np.repeat(np.arange(len(count)), count)
    inside = np.arange(len(panel)) - np.repeat(np.cumsum(count) - count, count)
    interval = first[panel] + inside
    nodes, (t, w) = basis(DEGREE).nodes, gauss(RULE)
    values = np.zeros((len(edges) - 1, DEGREE + 1))
    for begin in range(0, len(panel), 4000):
        some, at = panel[begin : begin + 4000], interval[begin : begin + 4000]
        along = edges[at, None] + np.diff(edges)[at, None] * (1 + nodes) / 2
        across = low[1 - axis, some, None] + size[1 - axis, some, None] * (1 + t) / 2
        number = panels.number[some]
        local: list[Any] = [None, None]
        for k, v in ((axis, along), (1 - axis, across)):
            e = mesh.low[k, number, None], mesh.size[k, number, None]
            local[k] = 2 * (v - e[0]) / e[1] - 1
        made = []
        for tables in (density.phi, density.u):
            p = basis(tables.shape[1] - 1)
            rows = [p.at(v.ravel()).reshape(*v.shape, -1) for v in local]
            made.append(rows[0] @ tables[number] @ np.swapaxes(rows[1], 1, 2))
        with np.errstate(under="ignore"):
            table = made[1] * np.exp(-made[0] - density.log_total)
        table = table if axis == 0 else np.swapaxes(table, 1, 2)
        part = table @ w * (size[1 - axis, some] / 2)[:, None]
        np.add.at(values, at, part)
    return Marginal(edges, values)
