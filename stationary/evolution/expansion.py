"""`followed`: the expansion of pulses about their paths, step by step in time; see `pulse`."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.polynomial import legendre

from stationary.aliases import Array
from stationary.errors import StationaryError
from stationary.functions.evaluation import evaluate
from stationary.line.partition import Partition
from stationary.line.sampled import sharpened
from stationary.numbers.arithmetic import Arithmetic

ORDERS = (12, 15)  # of Hermite functions: three more are one more power of width over curvature
DEGREE = 6  # of Taylor polynomials, to that power
STAGES = 6  # of Radau's method IIA, of order 11
IN_TIME = 1e-12  # of m and v, relative, in each step
PROBES = np.array([-6.0, -4.0, -2.0, 2.0, 4.0, 6.0])  # where Taylor polynomials are held to f and a
FLOOR = 1e-15  # of x: a point is as wide as its rounding
MOST_STEPS = 1500  # in time: some seconds
LONGER = 10.0  # times as long as it is, which a step becomes at most later on, after so many
ESCAPE = 12.0  # e^(-z^2 / 12) bounds the flux to an unstable point z deviations away: z^2 / 8 is
# that of a double well, z^2 / 6 that of a cubic


@lru_cache(maxsize=1)
def _radau() -> tuple[Array, Array, Array]:
    """Nodes on (0, 1], the matrix of their integrals, and values at 0 and the nodes -> powers."""
    c = np.zeros(STAGES + 1)
    c[-2:] = -1.0, 1.0
    t = np.sort((1 + legendre.legroots(c).real) / 2)
    powers = np.arange(1, STAGES + 1)
    matrix = (t[:, None] ** powers / powers) @ np.linalg.inv(np.vander(t, increasing=True))
    return t, matrix, np.linalg.inv(np.vander(np.append(0.0, t), increasing=True))


@dataclass(frozen=True, eq=False)
class Step:
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
class Paths:
    """Pulses from K points, as long as they are right."""

    x0: Array  # (K,)
    floor: Array  # (K,): their width at first
    steps: list[Step]
    settled: bool  # they stay what they have become

    @property
    def until(self) -> float:
        """Up to which time they are what they claim to be."""
        return math.inf if self.settled else self.steps[-1].stop

    def step_at(self, t: float) -> Step:
        return next((s for s in self.steps if t <= s.stop), self.steps[-1])

    def parameters(self, t: float) -> tuple[Array, Array, Array]:
        """m (K,), the width s (K,), and the coefficients of Hermite functions, (K, N + 1)."""
        count, n = len(self.x0), np.arange(ORDERS[-1] + 1)
        if t == 0:
            return self.x0, self.floor, (n == 0) * np.ones((count, 1))
        step = self.step_at(t)
        share = min((t - step.start) / (step.stop - step.start), 1.0)
        y = step.path(min(t, step.stop))
        m, s = self.x0 + y[:count], np.sqrt(np.maximum(y[count:], self.floor**2 * 1e-30))
        alpha = np.tensordot(share ** np.arange(STAGES + 1), step.powers, 1)
        return m, s, alpha * (step.size / s)[:, None] ** n


def hermite_law(z: Array, c: Array, s: Any) -> Array:
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


@np.errstate(all="ignore")  # what is not finite ends the pulses
def followed(
    parts: Partition,
    x0: Array,
    until: float,
    first: float,
    tolerance: float,
    ways: Array,
    jumps: Array,
) -> Paths | None:
    """Pulses from points, as long as the probability below any point is right to a tolerance.

    `first` is a time before which nothing is asked for; `ways` are points that noise carries them
    over, or ends where they leave; and at `jumps` drift or variance jump.
    None where they are not right even at first, or where the functions have no derivatives.
    """
    from scipy.integrate import DOP853

    count = len(x0)
    lower, upper = parts.diffusion.domain
    half = parts.diffusion.convention.value / 2

    def rates(_: float, y: Array) -> Array:
        m, v = np.clip(x0 + y[:count], lower, upper), y[count:]
        f, a = series_of(parts, m, 1)
        return np.concatenate([f[0] + half * a[1], 2 * (f[1] + 2 * half * a[2]) * v + a[0]])

    alpha = np.zeros((count, ORDERS[-1] + 1))
    alpha[:, 0] = 1.0
    fewer = alpha[:, : ORDERS[0] + 1].copy()
    taylor, leaks, bent, before, outside = 0.0, 0.0, 0.0, 0.0, 0.0
    exits = ways[np.isin(ways, (lower, upper)) & np.isfinite(ways)]
    steps: list[Step] = []
    span = max(float(np.ptp(x0)), float(np.abs(x0).max())) or 1.0
    size = floor = np.full(count, FLOOR * span)
    y = np.concatenate([np.zeros(count), floor**2])
    stretch, least, grown = np.zeros(count), np.zeros(count), 1.0
    try:
        r = rates(0.0, y)
        if not np.isfinite(r).all():
            return None
        atol: Any = np.concatenate(
            [np.full(count, 1e-15 * span), np.full(count, (1e-20 * span) ** 2)]
        )
        # At first steps are short, and no longer than the drift takes to change.
        fastest = float(np.abs(series_of(parts, x0, 1)[0][1]).max())
        short = min(1e-4 * first, until, 1 / fastest if fastest > 0 else math.inf)
        solver = DOP853(rates, 0.0, y, until, rtol=IN_TIME, atol=atol, first_step=short)
        settled = False
        while solver.status == "running" and len(steps) < MOST_STEPS:
            solver.max_step = max(float(solver.t), short)  # v no more than doubles or so
            if solver.step() is not None or not np.isfinite(solver.y).all():
                break
            path = solver.dense_output()
            t0, t1 = float(solver.t_old), float(solver.t)
            whole = _stepped(parts, x0, path, t0, t1, alpha, size)
            if whole is None:
                break
            size_now, powers, matrices, turned, remainder, there = whole
            outside = max(outside, there)  # what was at a wall once is not what it would be
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
            c = alpha * ratio ** np.arange(ORDERS[1] + 1)
            b = fewer * ratio ** np.arange(ORDERS[0] + 1)
            z = np.linspace(-6, 6, 25)
            laws = [hermite_law(z, p.T[..., None], 1.0) for p in (c, b)]
            apart, sharp, _ = np.abs(laws[0] - laws[1]).max(axis=(1, 2))
            taylor += remainder
            m = x0 + solver.y[:count]
            leaks += _escaping(parts, m, np.sqrt(v), ways, t1 - t0)
            bent = max(bent, _beyond(m, np.sqrt(v), jumps))
            others = taylor + leaks + bent + outside + 1e-10
            error = max(apart, before) + others
            if not error < tolerance:
                break
            shift = float(np.abs(c[:, 1:3] - b[:, 1:3]).max()) + 10 * others
            # What has left is as many widths away as the wall.
            z = np.abs(m - exits[:, None]) / np.sqrt(v)
            shift += outside * float((z * z).max(initial=0.0))
            steps.append(Step(t0, t1, path, powers, size, error, sharp + others, shift, grown))
            before, left = apart, MOST_STEPS - len(steps)
            if left < 0.75 * MOST_STEPS and t1 + LONGER * (t1 - t0) * left < first:
                break  # nothing would come of all the others
            moving = rates(t1, solver.y)
            still = np.abs(moving[:count]) * until <= IN_TIME * np.sqrt(v) + 1e-15 * span
            still &= np.abs(moving[count:]) * until <= IN_TIME * v
            if still.all() and apart < tolerance / 10:
                settled = True
                break
    except StationaryError:
        return None
    if solver.status == "finished":
        settled = settled or bool(steps and steps[-1].stop >= until)
    return Paths(x0, floor, steps, settled) if steps else None


def series_of(parts: Partition, m: Array, order: int) -> tuple[Array, Array]:
    """Taylor coefficients of f up to `order` and of a up to one more, at points of any shape."""

    def tables(x: Any, arithmetic: Arithmetic) -> tuple[Array, Array]:
        diffusion = parts.diffusion  # what the variance takes may hold the drift's
        of_a = evaluate(diffusion.variance, x, order=order + 1, arithmetic=arithmetic)
        of_f = evaluate(diffusion.drift, x, order=order, arithmetic=arithmetic)
        f, a = (np.array([c / math.factorial(k) for k, c in enumerate(t)]) for t in (of_f, of_a))
        return f, a

    f, a = sharpened(tables, m.ravel(), parts.blurred)
    return f.reshape(-1, *m.shape), a.reshape(-1, *m.shape)


def _stepped(
    parts: Partition, x0: Array, path: Any, t0: float, t1: float, alpha: Array, size: Array
) -> tuple[Array, Array, Array, Array, float, float] | None:
    """One step: the new size, powers of alpha over it, matrices, int f' dt, and two errors."""
    nodes, table, to_powers = _radau()
    h = t1 - t0
    y = path(t0 + h * nodes)  # (2 K, stages)
    m, v = x0 + y[: len(x0)].T, y[len(x0) :].T
    if not (v > 0).all():
        return None
    lower, upper = parts.diffusion.domain
    s = np.sqrt(v)
    probes = m[..., None] + s[..., None] * PROBES
    inside = (probes > lower) & (probes < upper)
    if not ((m > lower) & (m < upper)).all():
        return None
    f, a = series_of(parts, m, DEGREE)
    with np.errstate(all="ignore"):
        near, apart = np.where(inside, probes, m[..., None]), s[..., None] * PROBES
        exact = sharpened(parts.diffusion.coefficients, near.ravel(), parts.blurred)
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
    with np.errstate(all="ignore"):
        reach = np.minimum(m - lower, upper - m) / s
    outside = 2 * float(np.exp(-(reach**2) / 2).max())  # was there, led away since
    c = parts.diffusion.convention.value / 2
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


def _beyond(m: Array, s: Array, jumps: Array) -> float:
    """What is beyond jumps of drift or variance, or has been: by reflection twice what is there."""
    if not len(jumps):
        return 0.0
    from scipy.special import erfc

    return float(2 * erfc(np.abs(m - jumps[:, None]) / s / math.sqrt(2)).max())


def _escaping(parts: Partition, m: Array, s: Array, ways: Array, dt: float) -> float:
    """What noise carries from where pulses stay over unstable points, or to ends, as a bound."""
    if not len(ways):
        return 0.0
    z = np.abs(m - ways[:, None]) / s
    f, _ = series_of(parts, m, 1)
    return float((np.maximum(-f[1], 0.0) * dt * np.exp(-(z**2) / ESCAPE)).max())
