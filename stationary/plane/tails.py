"""Heavy tails: x = c + L sinh(y) for each direction, in which powers of x fall exponentially.

With y' = dy/dx, the process of y has the drift y' f + y'' a / 2 and the noise y' a y'; its density
is that of x times dx/dy.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from stationary.aliases import Array
from stationary.plane.boxes import box_of
from stationary.plane.density import Density, Mapped
from stationary.plane.local import Equilibrium
from stationary.plane.marginal import Heavy
from stationary.process.plane import Box, Fields, PlaneDiffusion

FARTHEST = 120.0  # of y: x beyond 10^52 is no place


@dataclass(frozen=True, eq=False)
class Chart:
    """x = centre + length sinh(y), shape (2,) each, or of one direction."""

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

        box = box_of(*self.y(np.array(process.domain).T))
        return replace(process, drift=None, variance=None, domain=box, source=source, stepper=None)


@dataclass(frozen=True, eq=False)
class Stretched(Mapped):
    """The density of x from that of y."""

    inner: Density
    chart: Chart

    @property
    def known(self) -> float:
        return self.inner.known

    @property
    def log_total(self) -> float:
        return self.inner.log_total

    def x(self, y: Array) -> Array:
        return self.chart.x(y)

    def y(self, x: Array) -> Array:
        return self.chart.y(x)

    def log_stretch(self, y: Array) -> Array:
        return np.asarray(self.chart.log_stretch(y).sum(axis=0))

    def slope_at(self, x: Array) -> Array:
        y = self.y(x)
        slope = self.inner.slope_at(y) - np.tanh(y)
        return np.asarray(slope * np.exp(-self.chart.log_stretch(y)))

    def _log_rectangle(self, box: Box) -> float:
        with np.errstate(invalid="ignore"):
            ends = self.y(np.array(box, dtype=float).T)
        return self.inner.log_mass(box_of(*ends))

    @cached_property
    def moments(self) -> tuple[Array, Array]:
        """Mean and covariance: not a number, and infinite, where tails are too heavy."""
        with np.errstate(all="ignore"):
            mean, covariance = super().moments
        finite = np.array([[self.marginals[k].has_moment(m) for m in (1, 2)] for k in (0, 1)])
        mean[~finite[:, 0]] = np.nan
        covariance[~np.outer(finite[:, 1], finite[:, 1])] = np.nan
        covariance[np.diag(~finite[:, 1])] = np.inf
        return mean, covariance

    def _marginal(self, axis: int) -> Heavy:
        own = Chart(self.chart.centre[axis], self.chart.length[axis])
        return Heavy(self.inner.marginals[axis], own)

    @cached_property
    def box(self) -> Box:
        return tuple(law.interval(1 - 1e-9) for law in self.marginals)

    @property
    def exponents(self) -> tuple[float, ...]:
        """For each direction p, where the marginal falls at least as |x|^-p on either side."""
        return tuple(1 + law.exponent for law in self.marginals)
