"""Heavy tails: x = c + L sinh(y) for each direction, in which powers of x fall exponentially.

With y' = dy/dx, the process of y has the drift y' f + y'' a / 2 and the noise y' a y'; its density
is that of x times dx/dy.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from stationary.aliases import Array
from stationary.plane.density import Density, Region, moments_of
from stationary.plane.local import Equilibrium
from stationary.plane.marginal import Marginal, marginal_of
from stationary.plane.mesh import basis
from stationary.plane.regions import Cut, Labels
from stationary.process.plane import Box, Fields, PlaneDiffusion

FARTHEST = 120.0  # of y: x beyond 10^52 is no place


@dataclass(frozen=True, eq=False)
class Chart:
    """x = centre + length sinh(y), shape (2,) each."""

    centre: Array
    length: Array

    @classmethod
    def around(cls, equilibria: tuple[Equilibrium, ...]) -> Chart:
        """One that is straight where the attractors and what they hold are."""
        x = np.array([e.position for e in equilibria] or [np.zeros(2)])
        wide = [np.sqrt(np.diag(e.covariance)) for e in equilibria if e.covariance is not None]
        length = np.ptp(x, axis=0) / 2 + 2 * np.max(wide or [np.full(2, 0.5)], axis=0)
        return cls((x.min(axis=0) + x.max(axis=0)) / 2, length)

    def x(self, y: Array) -> Array:
        return np.asarray((self.centre + self.length * np.sinh(y.T)).T)

    def y(self, x: Array) -> Array:
        return np.asarray(np.arcsinh((x.T - self.centre) / self.length).T)

    def log_stretch(self, y: Array) -> Array:
        """log of dx/dy, for each direction."""
        return np.asarray((np.log(self.length) + np.log(np.cosh(y.T))).T)

    def process(self, process: PlaneDiffusion) -> PlaneDiffusion:
        """The process of y, with first derivatives."""

        def source(y: Array, order: int) -> Fields:
            found = process.fields(self.x(y), order)
            # y' = s and its derivatives by y: s = 1 / (L cosh y).
            t = np.tanh(y)
            s = np.exp(-self.log_stretch(y))
            ds, dds = -t * s, (2 * t**2 - 1) * s
            c = s * ds / 2  # y'' / 2
            own = np.arange(2)
            f = s * found.f + c * found.a[own, own]
            a = s[:, None] * s * found.a
            if not order:
                return Fields(f, a)
            dc = (ds**2 + s * dds) / 2
            by = 1 / s  # dx/dy
            df = by[:, None] * (s * found.df + c * found.da[:, own, own])
            df[own, own] += ds * found.f + dc * found.a[own, own]
            da = by[:, None, None] * s[:, None] * s * found.da
            da[own, own] += ds[:, None] * s * found.a
            da[own, :, own] += ds[:, None] * np.swapaxes(s[:, None] * found.a, 0, 1)
            return Fields(f, a, df, da)

        ends = self.y(np.array(process.domain).T).T
        box: Box = tuple((float(low), float(high)) for low, high in ends)
        return replace(process, drift=None, variance=None, domain=box, source=source, stepper=None)


@dataclass(frozen=True, eq=False)
class Stretched:
    """The density of x from that of y, with what a `Density` answers."""

    inner: Density
    chart: Chart
    cache: dict[Any, Any] = field(default_factory=dict)

    @property
    def known(self) -> float:
        return self.inner.known

    @property
    def log_total(self) -> float:
        return self.inner.log_total

    def log_at(self, x: Array) -> Array:
        y = self.chart.y(x)
        return np.asarray(self.inner.log_at(y) - self.chart.log_stretch(y).sum(axis=0))

    def slope_at(self, x: Array) -> Array:
        y = self.chart.y(x)
        slope = self.inner.slope_at(y) - np.tanh(y)
        return np.asarray(slope * np.exp(-self.chart.log_stretch(y)))

    @cached_property
    def height(self) -> Array:
        y = self.inner.mesh.points(basis(self.inner.degrees[0]).nodes)
        stretch = self.chart.log_stretch(y.reshape(2, -1)).sum(axis=0)
        return np.asarray(self.inner.height + stretch.reshape(y.shape[1:]))

    def quadrature(self) -> tuple[Array, Array, Array]:
        y, log, u = self.inner.quadrature()
        return self.chart.x(y), log, u

    def log_mass(self, region: Region) -> float:
        if region is None:
            return 0.0
        if callable(region):
            return self.cut(region).fine.log_mass(True) - self.log_total
        with np.errstate(invalid="ignore"):
            ends = self.chart.y(np.array(region, dtype=float).T).T
        return self.inner.log_mass(tuple((float(a), float(b)) for a, b in ends))

    def cut(self, labels: Labels, near: Array | None = None) -> Cut:
        made = self.inner.cut(
            lambda y: labels(self.chart.x(y)), None if near is None else self.chart.y(near)
        )
        return made.mapped(self.chart.x, lambda y: self.chart.log_stretch(y).sum(axis=0))

    def moments(self) -> tuple[Array, Array]:
        """Mean and covariance: not a number, and infinite, where tails are too heavy."""
        with np.errstate(all="ignore"):
            mean, covariance = moments_of(self)
        finite = np.array([[self.marginal(k).has_moment(m) for m in (1, 2)] for k in (0, 1)])
        mean[~finite[:, 0]] = np.nan
        covariance[~np.outer(finite[:, 1], finite[:, 1])] = np.nan
        covariance[np.diag(~finite[:, 1])] = np.inf
        return mean, covariance

    def rvs(self, size: int, rng: np.random.Generator) -> Array:
        return self.chart.x(self.inner.rvs(size, rng))

    def marginal(self, axis: int) -> Marginal:
        if axis not in self.cache:
            stretch = float(self.chart.centre[axis]), float(self.chart.length[axis])
            self.cache[axis] = replace(marginal_of(self.inner, axis), stretch=stretch)
        made: Marginal = self.cache[axis]
        return made

    @cached_property
    def box(self) -> Box:
        return tuple(self.marginal(k).interval(1 - 1e-9) for k in (0, 1))

    @cached_property
    def exponents(self) -> tuple[float, ...]:
        """For each direction p, where the marginal falls at least as |x|^-p on either side."""
        return tuple(1 + self.marginal(k).exponent for k in (0, 1))
