"""Heavy tails: x = c + L sinh(y) for each direction, in which powers of x fall exponentially.

With y' = dy/dx, the process of y has the drift y' f + y'' a / 2 and the noise y' a y'; its density
is that of x times dx/dy.

Where far out f grows like r and a like r^2, the density falls like r^-(alpha + 2), alpha > 0 being
where the generator L has the leading eigenvalue 0 on functions r^alpha phi(angle) (Kesten). Of
other tails no power is told.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from scipy.optimize import brentq

from stationary.aliases import Array
from stationary.errors import LandscapeError
from stationary.numbers.arithmetic import SAME
from stationary.plane.boxes import box_of
from stationary.plane.density import Density, Mapped
from stationary.plane.local import Equilibrium
from stationary.plane.marginal import Heavy
from stationary.process.plane import Box, Fields, PlaneDiffusion

FARTHEST = 120.0  # of y: x beyond 10^52 is no place
FAR = 1e10  # lengths: where f / r and a / r^2 are looked at, and at a hundred times as far
ANGLES = 48  # at which phi is taken, and at twice as many
STEEPEST = 100.0  # of alpha
SLIGHT = 1e-6  # of f / r: noise across that is less may lead nowhere
FAST = 60.0  # of the power that is seen within what matters


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

    def box(self, box: Box) -> Box:
        """A box of x, in y."""
        return box_of(*self.y(np.array(box, dtype=float)).T)

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

        box = self.box(process.domain)
        made = replace(process, drift=None, variance=None, domain=box, source=source, stepper=None)
        return replace(made, functions=())


def power_of(process: PlaneDiffusion, chart: Chart) -> tuple[float, float] | None:
    """alpha, and its error; None where far out the process is not linear with noise in proportion
    to r that turns it everywhere, or moves off for ever."""
    if np.isfinite(process.domain).any():
        return None
    try:
        with np.errstate(all="ignore"):
            made = [_root(process, chart, FAR * k, n * ANGLES) for k, n in ((1, 1), (100, 2))]
    except (LandscapeError, np.linalg.LinAlgError):
        return None
    if None in made:
        return None
    near, far = (v for v in made if v is not None)
    error = abs(far - near) + SAME * far
    return (far, error) if error < 1e-3 * far else None


def _root(process: PlaneDiffusion, chart: Chart, radius: float, count: int) -> float | None:
    angle = 2 * np.pi * np.arange(count) / count
    e, n = np.array([np.cos(angle), np.sin(angle)]), np.array([-np.sin(angle), np.cos(angle)])
    length = chart.length[:, None]
    found = process.fields(chart.centre[:, None] + length * radius * e)
    f, a = found.f / length / radius, found.a / (length * chart.length)[..., None] / radius**2
    along, around = (f * e).sum(axis=0), (f * n).sum(axis=0)
    ee, en, nn = (np.einsum("im,ijm,jm->m", u, a, v) for u, v in ((e, e), (e, n), (n, n)))
    if not nn.min() > SLIGHT * (np.abs(a).max() + np.abs(f).max()):
        return None
    # Of the Fourier polynomial through the points, as columns.
    k = np.fft.fftfreq(count, 1 / count)[:, None]
    waves = np.fft.fft(np.eye(count), axis=0)
    first = np.fft.ifft(1j * np.where(k == -count // 2, 0, k) * waves, axis=0).real
    second = np.fft.ifft(-(k**2) * waves, axis=0).real

    def leading(power: float) -> float:
        own = power * along + power * ((power - 1) * ee + nn) / 2
        turned = (around + (power - 1) * en)[:, None] * first + nn[:, None] / 2 * second
        return float(np.linalg.eigvals(np.diag(own) + turned).real.max())

    low, high = 0.0, 0.05  # convex, and 0 at 0
    while not leading(high) > 0:
        low, high = high, 2 * high
        if high > STEEPEST:
            return None
    return float(brentq(leading, low, high, xtol=1e-13)) if low else None


@dataclass(frozen=True, eq=False)
class Stretched(Mapped):
    """The density of x from that of y; `power` is alpha and its error, if that is known."""

    inner: Density
    chart: Chart
    power: tuple[float, float] | None = None

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
            return self.inner.log_mass(self.chart.box(box))

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
        return Heavy(self.inner.marginals[axis], own, self.power)

    @cached_property
    def box(self) -> Box:
        return tuple(law.interval(1 - 1e-9) for law in self.marginals)

    @property
    def notes(self) -> tuple[str, ...]:
        if self.power is not None:
            power, error = 1 + self.power[0], max(self.power[1], 5e-8 * (1 + self.power[0]))
            falls = " and ".join(f"|x_{k}|^-{power:.8g}" for k in (1, 2))
            return (f"The tails are heavy: marginals fall like {falls} (powers to {error:.0e}).",)
        if min(law.exponent for law in self.marginals) > FAST:
            return ()
        return ("The density falls slowly; by what power, if by one, is not known.",)
