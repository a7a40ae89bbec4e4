"""`Pulses`: starts that the drift carries faster than noise spreads them, each in its own frame.

From a point x0, X = m + sqrt(v) Z with dm/dt = f(m), dv/dt = 2 f'(m) v + a(m) and Z nearly normal
[1]_. What is left is expanded in Hermite functions: P = sum alpha_n (-d/dx)^n G, G the normal
density, obeys with X alpha_n = (n + 1) alpha_(n+1) + v alpha_(n-1) (multiplication by x - m) and
the Taylor coefficients f_k, a_k at m

    d alpha_n / dt = n f_1 alpha_n + sum_(k>1) f_k (X^k alpha)_(n-1)
                    + sum_(k>0) a_k (X^k alpha)_(n-2) / 2,

which has no small number to divide by, however narrow the pulse. A start that is spread out is a
mixture of such pulses, whose parameters are smooth in x0: polynomials. No cell is needed.

References
----------
.. [1] N. G. van Kampen, *Stochastic Processes in Physics and Chemistry*, 3rd ed., ch. X.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.polynomial import chebyshev, legendre
from numpy.typing import NDArray

from stationary.errors import StationaryError
from stationary.functions.evaluation import evaluate
from stationary.process.diffusion import Diffusion
from stationary.process.initial import Initial
from stationary.process.laws import Truncated

__all__ = ["Pulses", "Seen", "pulses_of"]

Array = NDArray[Any]

ORDERS = (12, 15)  # of Hermite functions: three more are one more power of width over curvature
DEGREE = 6  # of Taylor polynomials, to that power
STAGES = 6  # of Radau's method IIA, of order 11
IN_TIME = 1e-12  # of m and v, relative, in each step
MOST_STEPS = 1500
SETTLED = 1e-13
FEWEST, MOST_NODES = 9, 97  # starts that a law is interpolated from
TAIL = 1e-13  # of a law, beyond which it does not start
SAMPLES = 16  # points that are followed one by one
SIGMAS = 9.0  # beyond which nothing is
LOBATTO = 64
POINTS, FEWEST_POINTS = 64, 8  # edges around a pulse
FINE = 8  # points between these, when a pulse is handed on
MOST_SHOWN = 400  # times whose pulses get edges of their own
PROBES = np.array([-6.0, -4.0, -2.0, 2.0, 4.0, 6.0])  # where Taylor polynomials are held to f and a
ESCAPE = 12.0  # e^(-z^2 / 12) bounds the flux to an unstable point z deviations away: z^2 / 8 is
# that of a double well, z^2 / 6 that of a cubic
FLOOR = 1e-15  # of x: a point is as wide as its rounding
BLUR = 1e-7  # of all that a law has become: a pulse as narrow is taken to be that wide


@lru_cache(maxsize=1)
def _radau() -> tuple[Array, Array, Array]:
    """Nodes on (0, 1], the matrix of their integrals, and values at 0 and the nodes -> powers."""
    c = np.zeros(STAGES + 1)
    c[-2:] = -1.0, 1.0
    t = np.sort((1 + legendre.legroots(c).real) / 2)
    powers = np.arange(1, STAGES + 1)
    matrix = (t[:, None] ** powers / powers) @ np.linalg.inv(np.vander(t, increasing=True))
    return t, matrix, np.linalg.inv(np.vander(np.append(0.0, t), increasing=True))


@lru_cache(maxsize=1)
def _lobatto() -> tuple[Array, Array]:
    """Chebyshev's extrema on [0, 1], and the matrix of what int F0 dPsi is of F0 and Psi."""
    n = LOBATTO
    x = -np.cos(np.pi * np.arange(n + 1) / n)
    to_coefficients = np.linalg.inv(chebyshev.chebvander(x, n))
    slope = chebyshev.chebval(x, chebyshev.chebder(to_coefficients)).T
    k = np.arange(n + 1)
    moments = np.where(k % 2 == 0, 2 / (1 - np.where(k == 1, 0, k) ** 2.0), 0.0)
    return (1 + x) / 2, (moments @ to_coefficients)[:, None] * slope


@dataclass(frozen=True, eq=False)
class _Step:
    """One step in time of all pulses."""

    start: float
    stop: float
    path: Any  # t -> m - x0 and v, (2 K,)
    powers: Array  # (STAGES + 1, K, N + 1): of alpha_n / size^n, in the share of the step
    size: Array  # (K,)
    error: float  # of probabilities
    density: float  # of the density, in units of 1 / width
    shift: float  # of the first two coefficients, relative to the width
    grown: float  # by which an error of m may have grown on the way


@dataclass(frozen=True, eq=False)
class Seen:
    """What is seen at some times; as in `Evolution`."""

    masses: Array  # (times, cells)
    mean: Array
    mean_error: Array
    std: Array
    std_error: Array
    error: Array
    mass_error: Array
    time_error: Array
    current: Array  # (times, cells + 1)
    current_error: Array


@dataclass(frozen=True, eq=False)
class Tabulated:
    """A distribution function in a table."""

    x: Array
    p: Array

    def cdf(self, x: Array) -> Array:
        from scipy.interpolate import PchipInterpolator

        return np.asarray(PchipInterpolator(self.x, self.p)(np.clip(x, self.x[0], self.x[-1])))

    def sf(self, x: Array) -> Array:
        return 1 - self.cdf(x)

    def ppf(self, u: Array) -> Array:
        rising = np.append(True, np.diff(self.p) > 0)
        return np.asarray(np.interp(u, self.p[rising], self.x[rising]))

    def isf(self, v: Array) -> Array:
        return self.ppf(1 - v)


@dataclass(frozen=True, eq=False)
class Pulses:
    """Pulses from some starts, and what they make of a start."""

    diffusion: Diffusion
    start: Initial
    x0: Array  # (K,)
    floor: Array  # (K,): their width at first
    steps: list[_Step]
    settled: bool
    is_law: bool  # whether x0 are nodes of polynomials, not starts

    @property
    def until(self) -> float:
        """Up to which time they are what they claim to be."""
        return math.inf if self.settled else self.steps[-1].stop if self.steps else 0.0

    def _step(self, t: float) -> _Step:
        return next((s for s in self.steps if t <= s.stop), self.steps[-1])

    def error(self, t: float) -> float:
        """Of the probability below any point."""
        blur = BLUR if self.is_law else 0.0
        if t == 0:
            return blur
        return min(self._step(t).error + blur + 0.4 * self._displaced(t) / self.moments(t)[2], 1.0)

    def density_error(self, t: float) -> float:
        """Of the density, in units of 1 / deviation."""
        return self._step(t).density + 3 * self.error(t) if t else self.error(t)

    def _displaced(self, t: float) -> float:
        """The error of m, by the steps in time."""
        m = self.parameters(t)[0]
        way = float(np.abs(m - self.x0).max())
        rounding = float(np.spacing(np.abs(m)).max() + self.floor.max())
        return self._step(t).grown * (0.5 * IN_TIME * way + 4 * rounding) if t else rounding

    def parameters(self, t: float) -> tuple[Array, Array, Array]:
        """m (K,), the width s (K,), and the coefficients of Hermite functions, (K, N + 1)."""
        count, n = len(self.x0), np.arange(ORDERS[-1] + 1)
        if t == 0:
            return self.x0, self.floor, (n == 0) * np.ones((count, 1))
        step = self._step(t)
        share = min((t - step.start) / (step.stop - step.start), 1.0)
        y = step.path(min(t, step.stop))
        m, s = self.x0 + y[:count], np.sqrt(np.maximum(y[count:], self.floor**2 * 1e-30))
        alpha = np.tensordot(share ** np.arange(STAGES + 1), step.powers, 1)
        return m, s, alpha * (step.size / s)[:, None] ** n

    # What they make of the start.

    def below(self, x: Array, t: float) -> Array:
        """P(X <= x), P's density, and its slope there: (3, len(x)), x ascending."""
        m, s, c = self.parameters(t)
        if not self.is_law:
            weights = self.start.weights / self.start.weights.sum()
            result = np.zeros((3, len(x)))
            for k, w in enumerate(weights):
                result += w * _law((x - m[k]) / s[k], c[k], s[k])
            return result
        fine = np.linspace(self.x0[0], self.x0[-1], 2001)
        m, s, _ = self._between(t, fine)
        inner, table = _lobatto()
        # Only starts whose pulse is at x: F0 is integrated against what each has below x.
        first = np.interp(x, np.maximum.accumulate(m + SIGMAS * s), fine)
        last = np.interp(x, np.minimum.accumulate((m - SIGMAS * s)[::-1])[::-1], fine)
        last = np.maximum(last, first)
        at = first[:, None] + (last - first)[:, None] * inner
        m, s, c = self._between(t, at.ravel())
        psi = _law((np.repeat(x, LOBATTO + 1) - m) / s, c.T, s).reshape(3, len(x), -1)
        held = self.start.cdf(at)
        # int Psi dF0, by parts; below `first` Psi is 1, and its derivatives 0.
        result = psi[:, :, -1] * held[:, -1] - np.einsum("xi,ij,kxj->kx", held, table, psi)
        result[0] += held[:, 0] * (1 - psi[0, :, 0])
        return np.asarray(result)

    def _between(self, t: float, x0: Array) -> tuple[Array, Array, Array]:
        """The parameters of pulses from other starts than the nodes."""
        m, s, c = self.parameters(t)
        z = (2 * x0 - self.x0[0] - self.x0[-1]) / (self.x0[-1] - self.x0[0])
        found = chebyshev.chebval(z, _coefficients(np.column_stack([m, np.log(s), c])))
        s = np.exp(found[1])
        wide = np.maximum(s, BLUR * np.ptp(m))
        return found[0], wide, (found[2:] * (s / wide) ** np.arange(c.shape[1])[:, None]).T

    def seen(self, edges: Array, times: Array) -> Seen:
        """What all this is on cells, at some times."""
        below, current = (np.zeros((len(times), len(edges))) for _ in range(2))
        found = np.array([self.moments(t) for t in times.tolist()]).reshape(len(times), 4)
        error = np.array([self.error(t) for t in times.tolist()])
        sharp = np.array([self.density_error(t) for t in times.tolist()])
        half = self.diffusion.convention.value / 2
        current_error = np.zeros(len(times))
        for k, t in enumerate(times.tolist()):
            m, s, _ = self.parameters(t)
            low, high = float((m - SIGMAS * s).min()), float((m + SIGMAS * s).max())
            there = (edges >= low) & (edges <= high)
            below[k, edges > high] = 1.0
            x = edges[there]
            if t == 0:
                below[k] = self.start.cdf(edges)
            if len(x) and t > 0:
                p, density, slope = self.below(x, t)
                below[k, there] = np.maximum.accumulate(np.clip(p, 0.0, 1.0))
                f, a = _series(self.diffusion, x, 0)
                current[k, there] = (f[0] + half * a[1] - a[1] / 2) * density - a[0] * slope / 2
                std = found[k, 2]
                current_error[k] = sharp[k] / std * float((np.abs(f[0]) + a[0] / std).max())
        masses = np.diff(below, axis=1)
        masses[:, 0] += below[:, 0]
        masses /= masses.sum(axis=1, keepdims=True)
        mean, mean_error, std, std_error = found.T
        return Seen(
            masses=masses,
            mean=mean,
            mean_error=mean_error,
            std=std,
            std_error=std_error,
            error=error,
            mass_error=4 * sharp,
            time_error=np.zeros(len(times)),
            current=current,
            current_error=current_error,
        )

    def start_at(self, t: float) -> Initial:
        """What it has become, as a start."""
        x = self.edges(np.array([t]), 10 * POINTS)
        fine = np.interp(np.linspace(0, len(x) - 1, FINE * (len(x) - 1) + 1), np.arange(len(x)), x)
        law = Tabulated(fine, np.maximum.accumulate(np.clip(self.below(fine, t)[0], 0.0, 1.0)))
        return replace(
            self.start, point=None, points=np.empty(0), weights=np.empty(0), samples=0,
            law=Truncated(law, *self.diffusion.domain),
        )  # fmt: skip

    def moments(self, t: float) -> tuple[float, float, float, float]:
        """Mean, its error, deviation and its error."""
        m, s, c = self.parameters(t)
        middle = float((m.min() + m.max()) / 2)
        span = float((m.max() - m.min()) / 2 + s.max())

        def both(m: Array, s: Array, c: Array) -> Array:
            """E(X - middle) and E(X - middle)^2 in units of the span."""
            u, w = (m - middle) / span, s / span
            return np.array(
                [u + w * c[:, 1], u**2 + 2 * u * w * c[:, 1] + w**2 * (1 + 2 * c[:, 2])]
            )

        if self.is_law:
            found, error = self.start.expectation(
                lambda x: both(*self._between(t, np.clip(x, self.x0[0], self.x0[-1]))), np.zeros(0)
            )
        else:
            found = both(m, s, c) @ (self.start.weights / self.start.weights.sum())
            error = 0.0
        variance = max(float(found[1] - found[0] ** 2), 0.0)
        # What moves all pulses alike leaves the deviation as it is, but for its own small part.
        error += 4e-16 + (float(s.max()) / span * self._step(t).shift if t else 0.0)
        mean, std = middle + span * float(found[0]), span * math.sqrt(variance)
        wider = span * (math.sqrt(variance + 3 * error) - math.sqrt(variance))
        rounding = float(self.floor.max()) * (self._step(t).grown if t else 1.0)
        std_error = wider + 2 * rounding + 100 * IN_TIME * std
        return mean, error * span + self._displaced(t), std, std_error

    def edges(self, times: Array, most: int) -> Array:
        """At most so many points that show what is there at all times, ascending."""
        shown = times[:: max(1, math.ceil(len(times) / MOST_SHOWN))]
        count = max(
            FEWEST_POINTS, min(POINTS, most // (len(shown) * len(self._at_start(times[:1]))))
        )
        z = np.linspace(-8.0, 8.0, count + 1)
        found, steps = [], []
        for t in shown.tolist():
            m, s, _ = self.parameters(t)
            if self.is_law:
                x0 = self._at_start(z)
                m, s, _ = self._between(t, np.clip(x0, self.x0[0], self.x0[-1]))
                x = m + s * z
            else:
                x = np.sort((m[:, None] + s[:, None] * z).ravel())
            found.append(x)
            steps.append(np.gradient(x))
        x, step = np.concatenate(found), np.concatenate(steps)
        order = np.argsort(x)
        x, step = x[order], step[order]
        kept, last = [], -math.inf
        for here, apart in zip(x.tolist(), step.tolist(), strict=True):
            if here - last > max(0.4 * apart, 4e-16 * abs(here)):
                kept.append(here)
                last = here
        return np.array(kept)

    def _at_start(self, z: Array) -> Array:
        """The starts that as much is below as a normal variable has below z."""
        from scipy.special import ndtr

        law = self.start.law
        if law is None:
            return self.x0
        u, v = (
            end + ndtr(s * z) * law.total for end, s in zip(self._outside, (1, -1), strict=True)
        )
        return law.at(u, v, z > 0)

    @property
    def _outside(self) -> tuple[float, float]:
        law = self.start.law
        assert law is not None
        return law.ends[0].before, law.ends[1].after


def _coefficients(values: Array) -> Array:
    """Chebyshev coefficients of values (K, ...) at K extrema."""
    k = len(values)
    x = -np.cos(np.pi * np.arange(k) / (k - 1))
    return np.linalg.solve(chebyshev.chebvander(x, k - 1), values)


def _law(z: Array, c: Array, s: Any) -> Array:
    """Distribution function, density and its slope at z; c are (N + 1, ...), broadcast with z."""
    from scipy.special import ndtr

    phi = np.exp(-np.minimum(z * z / 2, 700)) / math.sqrt(2 * math.pi)
    at = np.clip(z, -38, 38)
    before, here = np.zeros_like(at), np.ones_like(at)  # He_(n-1), He_n
    below, density, slope = ndtr(z), 0.0, 0.0
    for n in range(len(c)):
        after = at * here - n * before
        if n:
            below = below - c[n] * before * phi
        density = density + c[n] * here * phi
        slope = slope - c[n] * after * phi
        before, here = here, after
    return np.array(np.broadcast_arrays(below, density / s, slope / s**2))


# Following them.


def pulses_of(
    diffusion: Diffusion, start: Initial, times: Array, tolerance: float, unstable: Array
) -> Pulses | None:
    """Pulses from a start, as long as they are right to a tolerance; None where they never are.

    `times` are those asked for, above 0; `unstable` are points that noise carries them over.
    """
    first, until = float(times[0]), float(times[-1])
    if diffusion.is_periodic:
        return None
    if start.law is None and len(start.points) <= SAMPLES:
        return _followed(diffusion, start, start.points, False, until, first, tolerance, unstable)
    if start.law is None:
        return None
    tail = np.array([TAIL])
    law = start.law
    low = max(float(law.law.ppf(tail)[0]), law.lower)
    high = min(float(law.law.isf(tail)[0]), law.upper)
    if not (math.isfinite(low) and math.isfinite(high) and high > low):
        return None
    count = FEWEST
    for _ in range(2):
        x0 = low + (high - low) * (1 - np.cos(np.pi * np.arange(count) / (count - 1))) / 2
        found = _followed(diffusion, start, x0, True, until, first, tolerance, unstable)
        if found is None or found.until < until:
            return None
        worst = 1e-300
        for t in np.linspace(0, 1, 9)[1:] * until:
            m, s, c = found.parameters(t)
            rows = np.column_stack([m / (np.ptp(m) + s.max()), np.log(s), c])
            worst = max(worst, float(np.abs(_coefficients(rows)[-2:]).max()))
        if worst < tolerance / 100:
            return found
        if worst > 0.5:
            return None
        count = math.ceil(1.2 * count * math.log(tolerance / 1000) / math.log(worst))
        if count > MOST_NODES:
            return None
    return None


def _followed(
    diffusion: Diffusion,
    start: Initial,
    x0: Array,
    is_law: bool,
    until: float,
    first: float,
    tolerance: float,
    unstable: Array,
) -> Pulses | None:
    from scipy.integrate import DOP853

    count = len(x0)
    lower, upper = diffusion.domain
    half = diffusion.convention.value / 2

    def rates(_: float, y: Array) -> Array:
        m, v = np.clip(x0 + y[:count], lower, upper), y[count:]
        f, a = _series(diffusion, m, 1)
        return np.concatenate([f[0] + half * a[1], 2 * (f[1] + 2 * half * a[2]) * v + a[0]])

    alpha = np.zeros((count, ORDERS[-1] + 1))
    alpha[:, 0] = 1.0
    fewer = alpha[:, : ORDERS[0] + 1].copy()
    size, taylor, leaks, before = np.ones(count), 0.0, 0.0, 0.0
    steps: list[_Step] = []
    span = max(float(np.ptp(x0)), float(np.abs(x0).max())) or 1.0
    floor = np.full(count, FLOOR * span)
    y = np.concatenate([np.zeros(count), floor**2])
    stretch, least, grown = np.zeros(count), np.zeros(count), 1.0
    try:
        r = rates(0.0, y)
        if not np.isfinite(r).all():
            return None
        atol: Any = np.concatenate(
            [np.full(count, 1e-15 * span), np.full(count, (1e-20 * span) ** 2)]
        )
        solver = DOP853(
            rates, 0.0, y, until, rtol=IN_TIME, atol=atol, first_step=min(1e-4 * first, until)
        )
        settled = False
        while solver.status == "running" and len(steps) < MOST_STEPS:
            solver.max_step = max(float(solver.t), 1e-4 * first)  # v no more than doubles or so
            if solver.step() is not None or not np.isfinite(solver.y).all():
                break
            path = solver.dense_output()
            t0, t1 = float(solver.t_old), float(solver.t)
            whole = _stepped(diffusion, x0, path, t0, t1, alpha, size)
            if whole is None:
                break
            size_now, powers, matrices, turned, remainder, outside = whole
            stretch = stretch + turned
            least = np.minimum(least, stretch)
            grown = max(grown, float(np.exp(stretch - least).max()))
            scale = (size / size_now)[:, None]
            fewer = _solved(
                fewer * scale ** np.arange(ORDERS[0] + 1),
                matrices[..., : ORDERS[0] + 1, : ORDERS[0] + 1],
            )[-1]
            alpha, size = powers.sum(axis=0), size_now
            v = solver.y[count:]
            ratio = (size / np.sqrt(v))[:, None]
            with np.errstate(all="ignore"):
                c = alpha * ratio ** np.arange(ORDERS[1] + 1)
                b = fewer * ratio ** np.arange(ORDERS[0] + 1)
            z = np.linspace(-6, 6, 25)
            laws = [_law(z, p.T[..., None], 1.0) for p in (c, b)]
            apart, sharp, _ = np.abs(laws[0] - laws[1]).max(axis=(1, 2))
            taylor += remainder
            m = x0 + solver.y[:count]
            leaks += _escaping(diffusion, m, np.sqrt(v), unstable, t1 - t0)
            others = taylor + leaks + outside + 1e-10
            error = max(apart, before) + others
            if not error < tolerance:
                break
            shift = float(np.abs(c[:, 1:3] - b[:, 1:3]).max()) + 10 * others
            steps.append(_Step(t0, t1, path, powers, size, error, sharp + others, shift, grown))
            before = apart
            moving = rates(t1, solver.y)
            with np.errstate(all="ignore"):
                still = np.abs(moving[:count]) * until <= SETTLED * np.sqrt(v) + 1e-15 * span
                still &= np.abs(moving[count:]) * until <= SETTLED * v
            if still.all() and apart < tolerance / 10:
                settled = True
                break
    except StationaryError:
        return None
    if solver.status == "finished":
        settled = settled or bool(steps and steps[-1].stop >= until)
    return Pulses(diffusion, start, x0, floor, steps, settled, is_law) if steps else None


def _series(diffusion: Diffusion, m: Array, order: int) -> tuple[Array, Array]:
    """Taylor coefficients of f up to `order` and of a up to one more, at points of any shape."""
    at = m.ravel()
    f = evaluate(diffusion.drift, at, order=order)
    a = evaluate(diffusion.variance, at, order=order + 1)
    found = [
        np.array([c / math.factorial(k) for k, c in enumerate(table)]).reshape(-1, *m.shape)
        for table in (f, a)
    ]
    return found[0], found[1]


def _stepped(
    diffusion: Diffusion, x0: Array, path: Any, t0: float, t1: float, alpha: Array, size: Array
) -> tuple[Array, Array, Array, Array, float, float] | None:
    """One step: the new size, powers of alpha over it, matrices, int f' dt, and two errors."""
    nodes, table, to_powers = _radau()
    h = t1 - t0
    y = path(t0 + h * nodes)  # (2 K, stages)
    m, v = x0 + y[: len(x0)].T, y[len(x0) :].T
    if not (v > 0).all():
        return None
    lower, upper = diffusion.domain
    s = np.sqrt(v)
    probes = m[..., None] + s[..., None] * PROBES
    inside = (probes > lower) & (probes < upper)
    if not ((m > lower) & (m < upper)).all():
        return None
    f, a = _series(diffusion, m, DEGREE)
    with np.errstate(all="ignore"):
        near, apart = np.where(inside, probes, m[..., None]), s[..., None] * PROBES
        exact = diffusion.coefficients(near.ravel())
        off = []
        for c, values in zip((f, a[:-1]), exact, strict=True):
            series = np.zeros_like(apart)
            for k in range(len(c) - 1, -1, -1):
                series = series * apart + c[k][..., None]
            gap = np.abs(values.reshape(near.shape) - series)
            rounding = 64 * 2.3e-16 * (np.abs(c[0]) + np.abs(c[1] * m))[..., None]
            off.append(np.where(inside & (gap > rounding), gap, 0.0))
        weight = 2 * np.exp(-(PROBES**2) / 2) / math.sqrt(2 * math.pi)
        rate = (off[0] @ weight) / s + (off[1] @ weight) / (2 * v)
    remainder = h * float((table[-1] @ np.nan_to_num(rate, nan=np.inf)).max())
    from scipy.special import ndtr

    with np.errstate(all="ignore"):
        reach = np.minimum(m - lower, upper - m) / s
    outside = 4 * float(ndtr(-reach).max())
    c = diffusion.convention.value / 2
    if c:
        f = f + c * np.arange(1, DEGREE + 2)[:, None, None] * a[1:]
    size_now = s.max(axis=0)
    matrices = h * _matrices(f, a[:-1], v, size_now)
    begin = alpha * ((size / size_now)[:, None] ** np.arange(ORDERS[1] + 1))
    values = _solved(begin, matrices)
    if not np.isfinite(values).all():
        return None
    powers = np.tensordot(to_powers, np.concatenate([begin[None], values]), 1)
    return size_now, powers, matrices, h * table[-1] @ f[1], remainder, outside


def _matrices(f: Array, a: Array, v: Array, size: Array) -> Array:
    """The matrix of d alpha / dt, alpha_n in units of size^n: (stages, K, N + 1, N + 1)."""
    n, pad = ORDERS[1] + 1, ORDERS[1] + 2 + DEGREE
    k = np.arange(pad)
    times = np.zeros((*v.shape, pad, pad))  # multiplication by (x - m) / size
    times[..., k[:-1], k[1:]] = k[1:]
    times[..., k[1:], k[:-1]] = (v / size**2)[..., None]
    result = np.zeros((*v.shape, n, n))
    result[..., k[:n], k[:n]] = f[1][..., None] * k[:n]
    power = np.broadcast_to(np.eye(pad), times.shape)
    for j in range(1, DEGREE + 1):
        power = times @ power
        with np.errstate(over="ignore", invalid="ignore"):
            if j > 1:
                result[..., 1:, :] += (f[j] * size ** (j - 1))[..., None, None] * power[
                    ..., : n - 1, :n
                ]
            result[..., 2:, :] += (
                (a[j] * size ** (j - 2.0))[..., None, None] * power[..., : n - 2, :n] / 2
            )
    return result


def _solved(begin: Array, matrices: Array) -> Array:
    """alpha at the stages, (stages, K, N + 1), of d alpha / dt = matrix alpha by collocation."""
    table = _radau()[1]
    count, n = begin.shape
    # Y_i = y + sum_j A_ij M_j Y_j
    system = -np.einsum("ij,jkab->kiajb", table, matrices).reshape(count, STAGES * n, STAGES * n)
    d = np.arange(STAGES * n)
    system[:, d, d] += 1
    try:
        found = np.linalg.solve(system, np.tile(begin, STAGES)[..., None])[..., 0]
    except np.linalg.LinAlgError:
        return np.full((STAGES, count, n), np.nan)
    return np.moveaxis(found.reshape(count, STAGES, n), 1, 0)


def _escaping(diffusion: Diffusion, m: Array, s: Array, unstable: Array, dt: float) -> float:
    """What noise carries from where pulses stay over unstable points, as a bound."""
    if not len(unstable):
        return 0.0
    z = np.abs(m - unstable[:, None]) / s
    f, _ = _series(diffusion, m, 1)
    return float((np.maximum(-f[1], 0.0) * dt * np.exp(-(z**2) / ESCAPE)).max())
