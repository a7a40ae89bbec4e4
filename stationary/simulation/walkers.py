"""Steps of many walkers of a diffusion, by Euler-Maruyama or Milstein; and the ends of the domain.

A stepper changes an array of positions in place. What happens at the ends is the business of
`Walls`; where the noise vanishes towards one in proportion to the distance, of `RootEnd`. All
are made once for a block of walkers that fits the cache.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from stationary.aliases import Array
from stationary.functions.evaluation import evaluate
from stationary.functions.given import Boundary
from stationary.process.diffusion import Diffusion

Generator = np.random.Generator


NEAR = 25.0  # of c dt: from there on a step of five deviations does not reach the end


@dataclass(frozen=True)
class RootEnd:
    """An end of the domain from which the variance rises as c r, with the distance r.

    Next to it a walker is a squared Bessel process, dr = b dt + sqrt(c r) dW with the drift b at
    the end, away from it. In a step dt it comes to c dt / 2 times a number of the gamma
    distribution of shape 2 b / c + N, with N of Poisson's distribution of mean m = 2 r / (c dt)
    [1]_. If the end absorbs and 2 b < c, it does so where a number G of the gamma distribution of
    shape 1 - 2 b / c is above m [2]_; else the shape is N + 1, and the mean of N is m - G.

    References
    ----------
    .. [1] P. Glasserman, Monte Carlo Methods in Financial Engineering, Springer 2003, 3.4.
    .. [2] R. Makarov, D. Glew, Monte Carlo Methods Appl. 16 (2010) 283.
    """

    end: float
    side: int  # of the domain: -1 or 1
    slope: float
    push: float
    absorbs: bool

    def step(self, x: Array, f: Array, a: Array, dt: float, rng: Generator) -> tuple[Array, Array]:
        """Which of the walkers x are next to the end, and where they are after a step."""
        r = -self.side * (x - self.end)
        near = np.flatnonzero((r < NEAR * self.slope * dt) & (np.abs(a - self.slope * r) <= a / 2))
        r, f, a = r[near], f[near], a[near]
        with np.errstate(invalid="ignore"):
            c = np.where(r > 0, a / r, self.slope)
        # What the drift is more than at the end comes first.
        mean = 2 * np.maximum(r + (-self.side * f - self.push) * dt, 0.0) / (c * dt)
        half = 2 * self.push / c  # of the dimension of the process
        if self.absorbs:
            meets = half < 1
            left = mean - np.where(meets, rng.standard_gamma(np.where(meets, 1 - half, 1.0)), 0.0)
            count = rng.poisson(np.maximum(left, 0.0))
            shape = np.where(left > 0, np.where(meets, 1.0, half) + count, 0.0)
        else:
            shape = np.asarray(half + rng.poisson(mean))
        return near, self.end - self.side * (c * dt / 2 * rng.standard_gamma(shape))


class SdeStepper:
    """A diffusion over a step dt, in the Ito form of its convention.

    dx = (f + (c / 2) a') dt + sqrt(a) dW, and with Milstein's method + (a' / 4) (dW^2 - dt), since
    sigma sigma' = a' / 2. Next to some `ends` steps are exact in law, for any increments. The step
    also keeps what `Walls` needs to know of it.
    """

    def __init__(
        self,
        diffusion: Diffusion,
        dt: float,
        milstein: bool,
        x: Array,
        ends: tuple[RootEnd, ...] = (),
    ) -> None:
        self.diffusion, self.dt, self.milstein, self.x = diffusion, dt, milstein, x
        self.ends = ends
        self.c = float(diffusion.convention.value)
        self.noise, self.before, self.variance = (np.empty(len(x)) for _ in range(3))
        self.velocity = None

    def step(self, rng: Generator, t: int) -> None:
        """A step of every walker, which are all alike."""
        rng.standard_normal(out=self.noise)
        self.noise *= math.sqrt(self.dt)
        np.copyto(self.before, self.x)
        f, a = self.move(self.x, self.noise)
        for end in self.ends:
            near, there = end.step(self.before, f, a, self.dt, rng)
            self.x[near] = there
            self.variance[near] = 0.0  # what came to the end on its way is there

    def move(self, x: Array, dw: Array) -> tuple[Array, Array]:
        """The step that belongs to the increments dw of the Brownian motion; Ito's drift, and a."""
        f, a, slope = self.coefficients(x)
        dt = self.dt
        np.copyto(self.variance, a)
        with np.errstate(all="ignore"):
            if slope is not None and self.c:
                f = f + self.c / 2 * slope
            change = np.sqrt(a) * dw + f * dt
            if slope is not None and self.milstein:
                # At the root of a variance like |x| the slope may be infinite: Euler there.
                extra = slope / 4 * (dw * dw - dt)
                change += np.where(np.isfinite(extra), extra, 0.0)
            x += change
        return f, a

    def coefficients(self, x: Array) -> tuple[Array, Array, Array | None]:
        if not (self.milstein or self.c):
            return (*self.diffusion.coefficients(x), None)
        a, slope = evaluate(self.diffusion.variance, x, order=1)
        (f,) = evaluate(self.diffusion.drift, x)  # which may be known with the variance
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
        y, told, width = x[out], fate[out], high - low
        sides = [(-1, low), (1, high)]
        with np.errstate(all="ignore"):
            lost = ~((np.abs(y) <= self.limit) & np.isfinite(y))
            y[lost], told[lost] = self.shelter, 2
            for side, end in sides:
                if self.absorbing[side > 0]:
                    there = (side * (y - end) >= 0) & (told == 0)
                    y[there], told[there] = end, side
            if self.periodic:
                y = low + np.mod(y - low, width)
            # What is reflected at one end may be beyond the other, or be absorbed there.
            for side, end in sides * 2:
                beyond = (side * (y - end) > 0) & (told == 0)
                if self.absorbing[side > 0]:
                    y[beyond], told[beyond] = end, side
                    continue
                self.folded[int(side > 0)] += int(beyond.sum())
                if math.isfinite(width) and not any(self.absorbing):  # to and fro, however far
                    away = np.mod(side * (y[beyond] - end), 2 * width)
                    y[beyond] = end - side * np.minimum(away, 2 * width - away)
                else:
                    y[beyond] = 2 * end - y[beyond]
            x[out], fate[out] = np.clip(y, low, high), told

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
