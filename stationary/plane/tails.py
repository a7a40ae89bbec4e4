"""Heavy tails: x = c + L sinh(y) for each direction, in which powers of x fall exponentially.

With y' = dy/dx, the process of y has the drift y' f + y'' a / 2 and the noise y' a y'; its density
is that of x times dx/dy.

Where far out a grows like r^k and f like r^(k - 1) or less, the density falls like r^-(beta + k),
beta > 0 being where the generator L has the leading eigenvalue 0 on functions r^beta phi(angle)
(Kesten, for k = 2). Of other tails no power is told. In 1 + alpha, that of marginals, alpha is
beta + k - 2.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from scipy.optimize import brentq

from stationary.aliases import Array
from stationary.errors import ConvergenceError, LandscapeError
from stationary.numbers.arithmetic import SAME
from stationary.plane.balance import balanced
from stationary.plane.boxes import box_of
from stationary.plane.charts import Chart, Even, Line
from stationary.plane.curl import curl_test
from stationary.plane.density import Density, Mapped, Region
from stationary.plane.local import Equilibrium
from stationary.plane.marginal import Heavy
from stationary.plane.mesh import Panels
from stationary.plane.rough import found_on_grid
from stationary.plane.spectral import CUT, FAR, GOOD, spectral
from stationary.plane.state import PlaneState
from stationary.process.plane import Box, PlaneDiffusion

FARTHEST = 120.0  # of y: x beyond 10^52 is no place
OUT = 1e10  # lengths: where f / r and a / r^2 are looked at, and at a hundred times as far
ANGLES = 48  # at which phi is taken, and at twice as many
STEEPEST = 100.0  # of alpha
SLIGHT = 1e-6  # of f / r: noise across that is less may lead nowhere
NEAR = 2.5  # of y: where the curl is looked at
FAST = 60.0  # of the power that is seen within what matters


def around(equilibria: tuple[Equilibrium, ...]) -> Chart | None:
    """One that is straight where the attractors and what they hold are, if that is somewhere."""
    x = np.array([e.position for e in equilibria] or [np.zeros(2)])
    wide = [np.sqrt(np.diag(e.covariance)) for e in equilibria if e.covariance is not None]
    length = np.ptp(x, axis=0) / 2 + 2 * np.max(wide or [np.full(2, 0.5)], axis=0)
    if not (length > 0).all():
        return None
    centre = (x.min(axis=0) + x.max(axis=0)) / 2
    return Chart((Line(centre[0], length[0]), Line(centre[1], length[1])))


def power_of(process: PlaneDiffusion, chart: Chart) -> tuple[float, float] | None:
    """alpha, and its error; None where far out drift and noise are no powers of r, the noise does
    not turn the process everywhere, or it moves off for ever."""
    if np.isfinite(process.domain).any():
        return None
    try:
        with np.errstate(all="ignore"):
            made = [_root(process, chart, OUT * k, n * ANGLES) for k, n in ((1, 1), (100, 2))]
    except (LandscapeError, np.linalg.LinAlgError):
        return None
    if None in made:
        return None
    (near, noise), (root, louder) = (v for v in made if v is not None)
    grows = np.log(louder[::2] / noise) / np.log(100)  # k - 2, at each angle
    far = root + float(grows.mean())
    error = abs(root - near) + float(np.ptp(grows)) + SAME * root
    return (far, error) if error < 1e-3 * far else None


def _root(
    process: PlaneDiffusion, chart: Chart, radius: float, count: int
) -> tuple[float, Array] | None:
    """beta, and the noise over r^2 at as many angles."""
    angle = 2 * np.pi * np.arange(count) / count
    e, n = np.array([np.cos(angle), np.sin(angle)]), np.array([-np.sin(angle), np.cos(angle)])
    wide = np.exp(chart.log_stretch(np.zeros(2)))
    length = wide[:, None]
    found = process.fields(chart.x(np.zeros((2, 1))) + length * radius * e)
    f, a = found.f / length / radius, found.a / (length * wide)[..., None] / radius**2
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
    return (float(brentq(leading, low, high, xtol=1e-13)), ee + nn) if low else None


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
        pairs = zip(self.chart.axes, x, self.inner.box, strict=True)
        return np.stack([axis.within(v, *ends) for axis, v, ends in pairs])

    @property
    def _has_walls(self) -> bool:  # next to which P may have no bound, but that of y has one
        return any(any(axis.walls) for axis in self.chart.axes)

    def log_unit(self, x: Array) -> Any:
        return self.log_stretch(self.y(x)) if self._has_walls else 0.0

    @property
    def top(self) -> float:
        return self.inner.top if self._has_walls else super().top

    def log_stretch(self, y: Array) -> Array:
        return np.asarray(self.chart.log_stretch(y).sum(axis=0))

    def slope_at(self, x: Array) -> Array:
        y = self.y(x)
        return self._slope(y, self.inner.slope_at(y))

    def _slope(self, y: Array, inner: Array) -> Array:
        return np.asarray((inner - self.chart.slopes(y)[0]) * np.exp(-self.chart.log_stretch(y)))

    def rises_on(self, panels: Panels) -> tuple[Array, Array]:
        y, (log, slope) = self.inner.within(panels)[0], self.inner.rises_on(panels)
        return log if self._has_walls else log - self.log_stretch(y), self._slope(y, slope)

    def missed_in(self, inside: Region, log_mass: float) -> float:
        if not self._has_walls or inside is None:
            return 0.0
        with np.errstate(all="ignore"):
            reach = True if callable(inside) else np.isinf(self.chart.box(inside))
            walls = np.array([axis.walls for axis in self.chart.axes])
            return float(self.known * np.exp(-log_mass)) if (reach & walls).any() else 0.0

    def _log_rectangle(self, box: Box) -> float:
        with np.errstate(invalid="ignore"):
            return self.inner.log_mass(self.chart.box(box))

    @cached_property
    def moments(self) -> tuple[Array, Array]:
        """Mean and covariance: not a number, and infinite, where tails are too heavy."""
        with np.errstate(all="ignore"):
            mean, covariance = super().moments
        finite = np.array([[law.has_moment(m) for m in (1, 2)] for law in self.marginals])
        mean[~finite[:, 0]] = np.nan
        covariance[~np.outer(finite[:, 1], finite[:, 1])] = np.nan
        covariance[np.diag(~finite[:, 1])] = np.inf
        return mean, covariance

    def _marginal(self, axis: int) -> Heavy:
        return Heavy(self.inner.marginals[axis], self.chart.axes[axis], self.power)

    @cached_property
    def box(self) -> Box:
        held = [law.interval(1 - 1e-9) for law in self.marginals]
        every = zip(self.chart.axes, self.inner.box, held, strict=True)
        return tuple(ends if type(axis) is Even else some for axis, ends, some in every)

    @property
    def notes(self) -> tuple[str, ...]:
        if self.power is not None:
            power, error = 1 + self.power[0], max(self.power[1], 5e-8 * (1 + self.power[0]))
            falls = " and ".join(f"|x_{k}|^-{power:.8g}" for k in (1, 2))
            return (f"The tails are heavy: marginals fall like {falls} (powers to {error:.0e}).",)
        powers = (law.exponent for law in self.marginals if isinstance(law, Heavy))
        if min(powers, default=FAST) >= FAST:
            return ()
        return ("The density falls slowly; by what power, if by one, is not known.",)


def with_heavy_tails(
    diffusion: PlaneDiffusion, equilibria: tuple[Equilibrium, ...], error: LandscapeError
) -> PlaneState:
    """On coordinates in which powers of x fall exponentially; `error` where they do not, either."""
    chart = around(equilibria)
    if chart is None:
        raise error
    try:
        inner = chart.process(diffusion)
        rough = found_on_grid(inner, (), CUT, FARTHEST, any(e.attracts for e in equilibria))
        near = np.clip(np.array(rough.box), -NEAR, NEAR)
        if (near[:, 0] == near[:, 1]).any():
            raise error  # what is held is far from all that was known
        tested = curl_test(diffusion, box_of(*chart.x(near).T))
        solved = spectral(inner, rough)
        found = (solved.density, *(d for _, d in solved.others))
        if not all(math.isfinite(d.log_total) and d.is_spread for d in found):
            raise error  # nothing holds the process: what was solved is no law
        ways = (*solved.others, ("balance", balanced(inner, solved.density)))
    except (LandscapeError, ConvergenceError):
        raise error from None
    power = power_of(diffusion, chart)
    density = Stretched(solved.density.in_domain(inner.domain), chart, power)
    held = [e.position for e in equilibria if e.attracts]
    lost = held and (density.depth(np.array(held).T) > FAR).any()
    if lost or not all(law.has_moment(0) for law in density.marginals):
        raise error
    others = tuple((name, Stretched(d, chart, power)) for name, d in ways)
    state = PlaneState(
        diffusion, diffusion, density, others, equilibria, tested, solved.road, notes=density.notes
    )
    if not state.error < GOOD:
        raise error
    return state
