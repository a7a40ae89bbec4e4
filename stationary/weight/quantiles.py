"""Inverting the distribution function of a component, and drawing from it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from stationary.numbers.arithmetic import DOUBLE
from stationary.numbers.chebyshev import chebyshev_sum
from stationary.numbers.elementary import depth_of, exp, log, log1p, smallest_of, spacing
from stationary.panels.roots import find_roots
from stationary.weight.component import DEEP, Component

__all__ = ["quantile", "sample"]

Array = NDArray[Any]

LOWEST = -1e300


def quantile(c: Component, log_q: Array, *, left: bool, deep_below: float = DEEP) -> Array:
    """x with log P(X <= x) = log_q (left), or log P(X > x) = log_q.

    Below `deep_below` what the mesh left out is integrated afresh.
    """
    lower, upper = c.interval
    m = c.mesh
    side = 0 if left else 1
    tail = c.density.tails[side]
    result = np.empty_like(log_q)
    ends = (lower, upper) if left else (upper, lower)
    nothing, everything = log_q == -np.inf, log_q >= 0
    result[nothing], result[everything] = ends
    rest = ~(nothing | everything)
    if tail is not None:
        in_tail = rest & (log_q <= c.log_tail_masses[side] - c.log_norm)
        if in_tail.any():
            r = tail.distance(log_q[in_tail] + c.log_norm)
            result[in_tail] = tail.anchor + tail.sign * r
        rest &= ~in_tail
    shallow = rest & (log_q > deep_below)
    if shallow.any():
        result[shallow] = _shallow_quantile(c, log_q[shallow], left=left)
    deep = rest & ~shallow
    if deep.any():
        target = log_q[deep]
        found = c.density.sampling
        low = np.full(target.shape, found.lower, dtype=log_q.dtype)
        high = np.full(target.shape, found.upper, dtype=log_q.dtype)

        def excess(x: Array) -> Array:
            value = c.log_tail(x, left=left) - target
            return np.asarray(np.where(value == -np.inf, LOWEST, value))

        # Brackets from the mesh, widened to what was left out of it.
        edges = np.append(m.lower, m.upper[-1])
        known = c.log_tail(edges, left=left)
        order = known if left else known[::-1]
        i = np.searchsorted(order, target)
        ascending = edges if left else edges[::-1]
        a = np.where(i > 0, ascending[np.maximum(i - 1, 0)], low if left else high)
        b = np.where(
            i < len(edges), ascending[np.minimum(i, len(edges) - 1)], high if left else low
        )
        result[deep] = find_roots(excess, a, b)
    return np.asarray(np.minimum(np.maximum(result, lower), upper))


def _shallow_quantile(c: Component, log_q: Array, *, left: bool) -> Array:
    m = c.mesh
    q, epsilon = exp(log_q), c.arithmetic.epsilon
    if left:
        cumulated = exp(c.left_of)
        k = np.clip(np.searchsorted(cumulated, q, side="right") - 1, 0, len(m.lower) - 1)
        remaining = q - cumulated[k]
    else:
        cumulated = exp(c.right_of)[::-1]
        k = np.clip(np.searchsorted(cumulated, q, side="right") - 1, 0, len(m.lower) - 1)
        remaining = q - cumulated[k]
        k = len(m.lower) - 1 - k
    a, b = m.lower[k], m.upper[k]
    scale = exp(m.top[k] - c.log_norm)
    mass = exp(c.log_panel_mass[k])
    u = np.minimum(np.maximum(remaining / mass, 0), 1)
    x: Array = a + u * (b - a) if left else b - u * (b - a)
    p, partial = m.coefficients, c.partial_means[0 if left else 1]
    least = smallest_of(c.arithmetic)
    low, high = a.copy(), b.copy()
    active = np.arange(len(x))
    for _ in range(60 if c.arithmetic is DOUBLE else 4 * c.arithmetic.digits + 60):
        i = active
        t = ((x[i] - a[i]) - (b[i] - x[i])) / (b[i] - a[i])
        mean = chebyshev_sum(partial, t, k[i])
        over = scale[i] * (x[i] - a[i] if left else b[i] - x[i]) * mean - remaining[i]
        slope = scale[i] * np.maximum(chebyshev_sum(p, t, k[i]), least)
        step = over / np.where(slope == 0, np.nan, slope)
        above = (over > 0) == left
        high[i], low[i] = np.where(above, x[i], high[i]), np.where(above, low[i], x[i])
        new = x[i] - step if left else x[i] + step
        # Newton's step where it stays in the bracket, else the middle.
        new = np.where((new >= low[i]) & (new <= high[i]), new, (low[i] + high[i]) / 2)
        close = 4 * spacing(x[i]) + 4 * epsilon * (b[i] - a[i])
        active = i[np.abs(new - x[i]) > close]
        x[i] = new
        if not active.size:
            break
    return x


def sample(c: Component, size: int, rng: np.random.Generator) -> Array:
    """Independent draws, by inverting the distribution function."""
    u = c.arithmetic.array(rng.random(size))
    left = u <= 0.5
    result = np.empty_like(u)
    # A double below 1 is never so close to 0 or 1 that the mesh's own depth matters.
    depth = -depth_of(c.arithmetic)
    with np.errstate(divide="ignore"):
        if left.any():
            result[left] = quantile(c, log(u[left]), left=True, deep_below=depth)
        if not left.all():
            result[~left] = quantile(c, log1p(-u[~left]), left=False, deep_below=depth)
    return result
