"""Stepping many walkers at once: SGD itself, or a diffusion by Euler-Maruyama or Milstein.

A stepper changes an array of positions in place. What happens at the ends of the domain is the
business of `Walls`. Both are made once for a block of walkers that fits the cache.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from stationary.errors import LandscapeError
from stationary.functions.evaluation import DOUBLE, Taylor, evaluate
from stationary.functions.evaluation import call_user_function as call
from stationary.functions.given import Boundary
from stationary.functions.written import probe_points
from stationary.process.diffusion import Diffusion
from stationary.process.landscape import Landscape
from stationary.process.optimiser import StepRule

__all__ = ["SdeStepper", "SgdStepper", "Stepper", "Walls", "block_size"]

Array = NDArray[Any]
Generator = np.random.Generator

LARGEST_BLOCK = 12288  # walkers: an array of them, 96 KiB, comes from the heap and fits the cache
CACHED = 2**16  # gradients in one array: larger ones are handed out, page by page, in every step
SMALLEST_BLOCK = 1024  # walkers, where gradients come in rows,
MOST_GRADIENTS = 2**22  # unless there are so many of them
AHEAD = 32  # datapoints of each walker that are drawn at once
FEW = 6  # datapoints that are picked one after the other


def block_size(process: Landscape | Diffusion) -> int:
    """How many walkers are stepped together."""
    if isinstance(process, Diffusion):
        return LARGEST_BLOCK
    n = process.datapoints
    if n <= FEW:
        return LARGEST_BLOCK
    size = max(1, min(LARGEST_BLOCK, CACHED // n))
    if isinstance(gradient_rows(process, probe_points(*process.domain)), list):
        # Each row costs a few calls: there have to be enough walkers to be worth them.
        size = max(size, min(SMALLEST_BLOCK, MOST_GRADIENTS // n))
    return max(1, size)


class Stepper(Protocol):
    """Moves all walkers by one step."""

    def step(self, x: Array, rng: Generator) -> None: ...


# SGD itself.


def gradient_rows(landscape: Landscape, x: Array) -> Any:
    """The gradients at x: a list of N arrays, or one array of shape (N, M).

    Straight from the series that `losses` returns: copied into one table they would no longer fit
    the cache.
    """
    if landscape.losses is not None:
        result = call(landscape.losses, Taylor.variable(x, 1, DOUBLE))
        if isinstance(result, tuple | list) and len(result) == landscape.datapoints:
            rows = [_slope(row, x.shape) for row in result]
            if all(row is not None for row in rows) and np.isfinite(sum(r.sum() for r in rows)):
                return rows
        elif isinstance(result, Taylor):
            table = _slope(result, (landscape.datapoints, len(x)))
            if table is not None and np.isfinite(table.sum()):
                return table
    (table,) = evaluate(landscape.loss_gradient, x)  # with checks, and mending what overflowed
    return table


def _slope(row: Any, shape: tuple[int, ...]) -> Any:
    if not isinstance(row, Taylor) or row.arithmetic is not DOUBLE or row.shape != shape:
        return None
    return np.asarray(row.full(1))


class SgdStepper:
    """w <- w - T (what the optimiser makes of the gradient of a batch), a batch for each walker.

    With momentum `velocity` is the average over steps, which belongs to the walkers.
    """

    def __init__(self, landscape: Landscape, walkers: int, steps: int = AHEAD) -> None:
        self.landscape = landscape
        self.n, self.b = landscape.datapoints, landscape.batch_size
        self.rate = float(landscape.learning_rate or 0.0)
        self.walkers = walkers
        self.velocity = np.zeros(walkers) if landscape.momentum else None
        extras = landscape.label_noise, landscape.momentum
        self.plain = landscape.rule == StepRule() and not any(extras)
        self.draws = min(AHEAD, steps * self.b)
        self.columns = np.arange(walkers)
        self.total, self.part = np.empty(walkers), np.empty(walkers)
        self.ahead: Array = np.empty((0, walkers), dtype=np.uint8)
        self.order: Array | None = None
        if landscape.replacement or self.b == 1:
            if self.n == 2 and self.b > 1:
                self.sum_batch = self._counted_of_two
            elif self.b == 1 or self.b <= max(8, self.n):
                self.sum_batch = self._drawn
            else:
                self.sum_batch = self._counted
        else:
            self.sum_batch = self._distinct

    def step(self, x: Array, rng: Generator) -> None:
        rows = gradient_rows(self.landscape, x)
        with np.errstate(all="ignore"):
            if self.plain:
                self.sum_batch(rows, rng)
                self.total *= self.rate / self.b
            else:
                self.total = self.rate * self._update(rows, x, rng)
            x -= self.total

    def _update(self, rows: Any, x: Array, rng: Generator) -> Array:
        """What the optimiser makes of the gradient of a batch."""
        noise = self._label_noise(x, rng) if self.landscape.label_noise else 0.0
        self.sum_batch(rows, rng)
        v = self.landscape.rule(self.total / self.b + noise, x)
        if self.velocity is not None:
            self.velocity *= self.landscape.momentum
            self.velocity += v
            v = self.velocity
        return v

    def _label_noise(self, x: Array, rng: Generator) -> Array:
        """Normal noise with the variance that the labels of the coming batch give its gradient."""
        noise = rng.standard_normal(len(x))
        rows = np.atleast_2d(self.landscape.label_rows(x))
        variance = rows[0]
        if len(rows) > 1:  # the draws made here are made again, from the same state, of gradients
            state, ahead = rng.bit_generator.state, self.ahead
            order = None if self.order is None else self.order.copy()
            self.sum_batch(rows, rng)
            variance = self.total / self.b
            rng.bit_generator.state, self.ahead, self.order = state, ahead, order
        noise *= np.sqrt(variance)
        return noise

    def _indices(self, rng: Generator) -> Array:
        """One datapoint for each walker: those of the next steps are drawn together."""
        if not len(self.ahead):
            self.ahead = random_indices(rng, self.n, self.draws, self.walkers)
        first: Array = self.ahead[0]
        self.ahead = self.ahead[1:]
        return first

    def _picked(self, rows: Any, index: Array) -> Array:
        """rows[index], walker by walker."""
        if self.n > FEW:
            flat = index * self.walkers + self.columns
            return np.asarray(np.take(rows.ravel(), flat, mode="clip"))
        if self.n == 2:
            # By their bits: a random choice as a branch would be mispredicted every other time.
            first, second = (np.asarray(row, dtype=float).view(np.int64) for row in rows)
            chosen = np.bitwise_xor(first, second)
            chosen &= np.negative(index.view(np.int8)).astype(np.int64)
            chosen ^= first
            return chosen.view(float)
        picked: Array = rows[0]
        for j in range(1, self.n):
            picked = np.where(index == j, rows[j], picked)
        return picked

    def _drawn(self, rows: Any, rng: Generator) -> None:
        """With replacement: B draws."""
        if self.n > FEW:
            rows = np.ascontiguousarray(rows)
        self.total = self._picked(rows, self._indices(rng))
        for _ in range(self.b - 1):
            self.total += self._picked(rows, self._indices(rng))

    def _counted_of_two(self, rows: Any, rng: Generator) -> None:
        """How often the second of two datapoints is drawn: the ones among B random bits."""
        count = np.zeros(self.walkers, dtype=np.int64)
        left = self.b
        if left > 64 * FEW:
            count += rng.binomial(left, 0.5, self.walkers)
            left = 0
        while left > 0:
            bits = rng.integers(0, 2**64, self.walkers, dtype=np.uint64)
            if left < 64:
                bits >>= np.uint64(64 - left)
            count += np.bitwise_count(bits)
            left -= 64
        np.multiply(rows[1], count, out=self.total)
        np.multiply(rows[0], self.b - count, out=self.part)
        self.total += self.part

    def _counted(self, rows: Any, rng: Generator) -> None:
        """With replacement, from few datapoints: how often each is drawn."""
        left = np.full(self.walkers, self.b)
        self.total[:] = 0
        for j in range(self.n):
            last = j == self.n - 1
            count = left if last else rng.binomial(left, 1 / (self.n - j))
            self.total += np.multiply(rows[j], count, out=self.part)
            left = left - count

    def _distinct(self, rows: Any, rng: Generator) -> None:
        """Without replacement: the first steps of a shuffle, which may begin in any order.

        Where more than half are drawn, those left out are subtracted from the sum of all.
        """
        rows = np.ascontiguousarray(rows)
        if self.order is None:
            kind = np.min_scalar_type(self.n)
            self.order = np.repeat(np.arange(self.n, dtype=kind)[:, None], self.walkers, axis=1)
        order, columns = self.order, self.columns
        few = min(self.b, self.n - self.b)
        self.total[:] = 0
        for k in range(few):
            at = rng.integers(k, self.n, self.walkers, dtype=np.int64)
            chosen = order[at, columns]
            order[at, columns] = order[k]
            order[k] = chosen
            flat = chosen.astype(np.int64) * self.walkers + columns
            self.total += np.take(rows.ravel(), flat, out=self.part, mode="clip")
        if few < self.b:
            np.subtract(rows.sum(axis=0), self.total, out=self.total)


def random_indices(rng: Generator, n: int, steps: int, walkers: int) -> Array:
    """Uniform integers below n, shape (steps, walkers); bits of random words if n allows it."""
    if n == 2:
        bits = np.frombuffer(rng.bytes((steps * walkers + 7) // 8), np.uint8)
        return np.unpackbits(bits)[: steps * walkers].reshape(steps, walkers)
    kind: Any = np.uint8 if n <= 2**8 else np.uint16 if n <= 2**16 else np.int64
    if n in (4, 8, 16, 32, 64, 128):
        words = np.frombuffer(rng.bytes(steps * walkers), np.uint8)
        return (words & np.uint8(n - 1)).reshape(steps, walkers)
    drawn = rng.integers(0, n, (steps, walkers), dtype=kind)
    return drawn if n <= FEW else drawn.astype(np.int64)


# Diffusions.


class SdeStepper:
    """A diffusion over a step dt, in the Ito form of its convention.

    dx = (f + (c / 2) a') dt + sqrt(a) dW, and with Milstein's method + (a' / 4) (dW^2 - dt), since
    sigma sigma' = a' / 2. The step also keeps what `Walls` needs to know of it.
    """

    def __init__(self, diffusion: Diffusion, dt: float, milstein: bool, walkers: int) -> None:
        self.diffusion, self.dt, self.milstein = diffusion, dt, milstein
        self.c = float(diffusion.convention.value)
        self.noise = np.empty(walkers)
        self.before = np.empty(walkers)
        self.variance = np.empty(walkers)

    def step(self, x: Array, rng: Generator) -> None:
        rng.standard_normal(out=self.noise)
        self.noise *= math.sqrt(self.dt)
        np.copyto(self.before, x)
        self.move(x, self.noise)

    def move(self, x: Array, dw: Array) -> None:
        """The step that belongs to the increments dw of the Brownian motion."""
        f, a, slope = self.coefficients(x)
        dt = self.dt
        np.copyto(self.variance, a)
        with np.errstate(all="ignore"):
            change = np.sqrt(a) * dw + f * dt
            if slope is not None:
                if self.c:
                    change += (self.c / 2 * dt) * slope
                if self.milstein:
                    # At the root of a variance like |x| the slope may be infinite: Euler there.
                    extra = slope / 4 * (dw * dw - dt)
                    change += np.where(np.isfinite(extra), extra, 0.0)
            x += change

    def coefficients(self, x: Array) -> tuple[Array, Array, Array | None]:
        if not (self.milstein or self.c):
            return (*self.diffusion.coefficients(x), None)
        (f,) = evaluate(self.diffusion.drift, x)
        a, slope = evaluate(self.diffusion.variance, x, order=1)
        return f, a, slope


# What happens at the ends.


@dataclass
class Walls:
    """The ends of the domain, and what has happened there.

    A walker that is absorbed stays at the end; one that escapes is parked at `shelter`.
    """

    domain: tuple[float, float]
    kinds: tuple[Boundary | None, Boundary | None]
    limit: float  # beyond which a walker has escaped
    shelter: float
    folded: Array = field(default_factory=lambda: np.zeros(2, dtype=np.int64))

    def __post_init__(self) -> None:
        low, high = self.domain
        self.periodic = Boundary.PERIODIC in self.kinds
        self.absorbing = tuple(kind is Boundary.ABSORBING for kind in self.kinds)
        # At the bounds themselves nothing happens, except that an absorbing end absorbs.
        self.lower = np.nextafter(low, math.inf) if self.absorbing[0] else max(low, -self.limit)
        self.upper = np.nextafter(high, -math.inf) if self.absorbing[1] else min(high, self.limit)

    def all_inside(self, x: Array) -> bool:
        return bool(x.min() >= self.lower and x.max() <= self.upper)  # nan is not

    def apply(self, x: Array, fate: Array) -> None:
        """Bring every walker of x back inside; fate becomes -1, 1 (absorbed at an end) or 2."""
        low, high = self.domain
        out = np.flatnonzero(~((x >= self.lower) & (x <= self.upper)))
        y, told = x[out], fate[out]
        with np.errstate(all="ignore"):
            lost = ~((np.abs(y) <= self.limit) & np.isfinite(y))
            y[lost], told[lost] = self.shelter, 2
            if self.periodic:
                y = low + np.mod(y - low, high - low)
            elif math.isfinite(high - low) and not any(self.absorbing):
                self._count(y, told)
                y = np.mod(y - low, 2 * (high - low))
                y = low + np.where(y > high - low, 2 * (high - low) - y, y)
            else:
                y = self._one_end_at_a_time(y, told)
            x[out], fate[out] = np.clip(y, low, high), told

    def _count(self, y: Array, told: Array) -> None:
        self.folded += [int((y < self.domain[0]).sum()), int((y > self.domain[1]).sum())]

    def _one_end_at_a_time(self, y: Array, told: Array) -> Array:
        low, high = self.domain
        for side, end in ((-1, low), (1, high)):
            if self.absorbing[side > 0]:
                there = (y <= low if side < 0 else y >= high) & (told == 0)
                y[there], told[there] = end, side
        for _ in range(2):  # what is reflected at one end may be absorbed at the other
            for side, end in ((-1, low), (1, high)):
                beyond = (y < low if side < 0 else y > high) & (told == 0)
                if self.absorbing[side > 0]:
                    y[beyond], told[beyond] = end, side
                else:
                    y = np.where(beyond, 2 * end - y, y)
                    self.folded[int(side > 0)] += int(beyond.sum())
        return y

    def touch(self, before: Array, x: Array, spread: Array, fate: Array, rng: Generator) -> None:
        """Absorb what crossed an absorbing end and came back within a step.

        Between its two ends a step is a Brownian bridge: it touched the end b with probability
        exp(-2 (x0 - b) (x1 - b) / (a dt)).
        """
        for side, end in ((-1, self.domain[0]), (1, self.domain[1])):
            if not self.absorbing[side > 0]:
                continue
            with np.errstate(all="ignore"):
                log_p = -2 * (before - end) * (x - end) / spread
            near = np.flatnonzero((fate == 0) & (log_p > -40) & (log_p <= 0))
            hit = near[np.log(1 - rng.random(len(near))) < log_p[near]]
            x[hit], fate[hit] = end, side


def stepper_for(
    process: Landscape | Diffusion, walkers: int, steps: int, dt: float | None, milstein: bool
) -> SgdStepper | SdeStepper:
    """What steps a block of so many walkers of this process."""
    if isinstance(process, Landscape):
        return SgdStepper(process, walkers, steps)
    if dt is None:
        raise LandscapeError(f"{process.name}: a diffusion is stepped with a time step dt.")
    return SdeStepper(process, dt, milstein, walkers)
