"""Coordinates y in which far and near places of x are as wide as others, for each direction.

With y' = dy/dx, the process of y has the drift y' f + y'' a / 2 and the noise y' a y'; its density
is that of x times dx/dy. Powers of x fall exponentially in y, and those of the distance from a
wall far faster than that: they are nothing at few units of y.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.special import wrightomega

from stationary.aliases import Array
from stationary.numbers.arithmetic import EPSILON
from stationary.plane.boxes import box_of
from stationary.process.plane import Box, Fields, PlaneDiffusion

LEFT = 64.0  # times the rounding of an end: what is closer to it has no digits
FARTHEST = 1e4  # of q: e^-q is nothing
ROUNDS = 12  # of Newton's method, of which seven were enough


@dataclass(frozen=True)
class Even:
    """x = y."""

    @property
    def far(self) -> tuple[bool, bool]:
        """Whether the lower end, and the upper one, go out to infinity in another way."""
        return False, False

    @property
    def walls(self) -> tuple[bool, bool]:
        """Whether they come to an end of the domain."""
        return False, False

    def ends(self, closest: float) -> tuple[float, float]:
        """Of y, to so many sizes from walls, and as far as x has digits."""
        return -np.inf, np.inf

    def x(self, y: Array) -> Array:
        return np.asarray(y, dtype=float)

    def y(self, x: Array) -> Array:
        return np.asarray(x, dtype=float)

    def within(self, x: Array, low: float, high: float) -> Array:
        """y, but next to walls no nearer to them than from `low` to `high`."""
        y, (below, above) = self.y(x), self.walls
        if below:
            y = np.where((x >= self.x(np.array(-np.inf))) & (y < low), low, y)
        if above:
            y = np.where((x <= self.x(np.array(np.inf))) & (y > high), high, y)
        return y

    def log_stretch(self, y: Array) -> Array:
        """log of dx/dy."""
        return np.zeros(np.shape(y))

    def slopes(self, y: Array) -> tuple[Array, Array]:
        """Its first and second derivatives by y."""
        return np.zeros(np.shape(y)), np.zeros(np.shape(y))


@dataclass(frozen=True)
class Line(Even):
    """x = centre + length sinh(y)."""

    centre: float
    length: float

    @property
    def far(self) -> tuple[bool, bool]:
        return True, True

    def x(self, y: Array) -> Array:
        return np.asarray(self.centre + self.length * np.sinh(y))

    def y(self, x: Array) -> Array:
        return np.asarray(np.arcsinh((x - self.centre) / self.length))

    def log_stretch(self, y: Array) -> Array:
        return np.asarray(np.log(self.length) + np.log(np.cosh(y)))

    def slopes(self, y: Array) -> tuple[Array, Array]:
        t = np.tanh(y)
        return t, 1 - t**2


@dataclass(frozen=True)
class Beyond(Even):
    """x = wall + length e^q with q = y - e^-y, or with a negative length below it and -y for y."""

    wall: float
    length: float

    @property
    def _up(self) -> int:
        return 1 if self.length > 0 else -1

    @property
    def far(self) -> tuple[bool, bool]:
        return self.length < 0, self.length > 0

    @property
    def walls(self) -> tuple[bool, bool]:
        return self.length > 0, self.length < 0

    def ends(self, closest: float) -> tuple[float, float]:
        least = float(_there(_closest(closest, self.wall, abs(self.length))))
        return (least, np.inf) if self._up > 0 else (-np.inf, -least)

    def x(self, y: Array) -> Array:
        up = self._up * np.asarray(y)
        return np.asarray(self.wall + self.length * np.exp(up - np.exp(-up)))

    def y(self, x: Array) -> Array:
        with np.errstate(divide="ignore"):
            q = np.log(np.maximum((x - self.wall) / self.length, 0))
        return self._up * _there(q)

    def log_stretch(self, y: Array) -> Array:
        up = self._up * np.asarray(y)
        w = np.exp(-up)
        return np.asarray(np.log(abs(self.length)) + up - w + np.log1p(w))

    def slopes(self, y: Array) -> tuple[Array, Array]:
        w = np.exp(-self._up * np.asarray(y))
        return self._up * (1 + w - w / (1 + w)), -w + w / (1 + w) ** 2


def _there(q: Array | float) -> Array:
    """The y with y - e^-y = q."""
    with np.errstate(divide="ignore"):
        return np.asarray(-np.log(wrightomega(-np.asarray(q, dtype=float))))


@dataclass(frozen=True)
class Between(Even):
    """x = low + (high - low) / (1 + e^-q) with q = y + 2 sinh y."""

    low: float
    high: float

    @property
    def walls(self) -> tuple[bool, bool]:
        return True, True

    def ends(self, closest: float) -> tuple[float, float]:
        size = self.high - self.low
        least = np.array([_closest(closest, v, size) for v in (self.low, self.high)])
        low, high = _middle(least)
        return float(low), -float(high)

    def x(self, y: Array) -> Array:
        q = np.asarray(y + 2 * np.sinh(y))
        by = (self.high - self.low) * np.exp(-np.logaddexp(0, np.abs(q)))  # from the nearer end
        return np.asarray(np.where(q < 0, self.low + by, self.high - by))

    def y(self, x: Array) -> Array:
        below, above = np.maximum(x - self.low, 0), np.maximum(self.high - x, 0)
        with np.errstate(divide="ignore"):
            return _middle(np.log(below) - np.log(above))

    def log_stretch(self, y: Array) -> Array:
        q = y + 2 * np.sinh(y)
        size = np.log(self.high - self.low) + np.log1p(2 * np.cosh(y))
        return np.asarray(size - np.logaddexp(0, -q) - np.logaddexp(0, q))

    def slopes(self, y: Array) -> tuple[Array, Array]:
        rise, bend = 1 + 2 * np.cosh(y), 2 * np.sinh(y)
        t, by = np.tanh((y + bend) / 2), bend / rise
        return by - t * rise, (t**2 - 1) / 2 * rise**2 - t * bend + (rise - 1) / rise - by**2


def _middle(q: Array) -> Array:
    """The y with y + 2 sinh y = q, by Newton's method from outside."""
    most = np.clip(q, -FARTHEST, FARTHEST)
    y = np.arcsinh(most / 2)
    for _ in range(ROUNDS):
        y = y - (y + 2 * np.sinh(y) - most) / (1 + 2 * np.cosh(y))
    return np.where(np.isinf(q), q, y)


def _closest(closest: float, wall: float, size: float) -> float:
    """The log of the least distance from a wall, in sizes."""
    return float(np.log(max(LEFT * EPSILON * abs(wall) / size, closest)))


@dataclass(frozen=True)
class Chart:
    """One map for each direction."""

    axes: tuple[Even, Even]

    def x(self, y: Array) -> Array:
        return np.stack([axis.x(v) for axis, v in zip(self.axes, y, strict=True)])

    def y(self, x: Array) -> Array:
        return np.stack([axis.y(v) for axis, v in zip(self.axes, x, strict=True)])

    def box(self, box: Box) -> Box:
        """A box of x, in y."""
        return box_of(*self.y(np.array(box, dtype=float)).T)

    def log_stretch(self, y: Array) -> Array:
        """log of dx/dy, for each direction."""
        return np.stack([axis.log_stretch(v) for axis, v in zip(self.axes, y, strict=True)])

    def slopes(self, y: Array) -> tuple[Array, Array]:
        """Its first and second derivatives."""
        first, second = zip(*(a.slopes(v) for a, v in zip(self.axes, y, strict=True)), strict=True)
        return np.stack(first), np.stack(second)

    def process(self, process: PlaneDiffusion, closest: float = 0.0) -> PlaneDiffusion:
        """The process of y, to so many sizes from walls."""

        @np.errstate(all="ignore")  # closer to a wall than doubles tell
        def source(y: Array, order: int) -> Fields:
            found = process.fields(self.x(y), order)
            # y' = s, with t the derivative of -log s by y, and y'' = -t s^2.
            (t, dt), s = self.slopes(y), np.exp(-self.log_stretch(y))
            own, by = np.arange(2), 1 / s

            def scaled(table: Array) -> Array:
                return np.asarray(s[:, None] * table * s)  # in this order none overflows

            a = scaled(found.a)
            f = s * found.f - t * a[own, own] / 2
            if not order:
                return Fields(f, a)
            g = np.zeros((2, 2, 2, y.shape[1]))  # d_k of the logs of s_i s_j
            g[own, own] -= t[:, None]
            g[own, :, own] -= t[:, None]
            slope = scaled(by[:, None, None] * found.da)
            da = g * a + slope
            df = by[:, None] * (s * found.df)
            df[own, own] -= t * s * found.f + dt * a[own, own] / 2
            df -= t * da[:, own, own] / 2
            if order < 2:
                return Fields(f, a, df, da)
            dda = scaled(by[:, None, None, None] * (by[:, None, None] * found.dda))
            dda += g[:, None] * g * a + g[:, None] * slope + g * slope[:, None]
            dda[own, own] += t[:, None, None] * slope
            for k in (0, 1):
                dda[k, k, k] -= dt[k] * a[k]
                dda[k, k, :, k] -= dt[k] * a[:, k]
            return Fields(f, a, df, da, dda)

        low, high = np.array(self.box(process.domain)).T
        least, most = np.array([axis.ends(closest) for axis in self.axes]).T
        box = box_of(np.maximum(low, least), np.minimum(high, most))
        made = replace(process, drift=None, variance=None, domain=box, source=source, stepper=None)
        return replace(made, functions=(), kinetic=None)


STRAIGHT = Chart((Even(), Even()))
