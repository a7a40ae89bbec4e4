"""Inverting the distribution function of a component, and drawing from it."""

from __future__ import annotations

import numpy as np

from stationary.aliases import Array
from stationary.numbers.elementary import depth_of, exp, log, log1p
from stationary.weight.component import NEXT_OCTAVES, Component
from stationary.weight.mesh import DEEP


def quantile(c: Component, log_q: Array, *, left: bool, deep_below: float = DEEP) -> Array:
    """x with log P(X <= x) = log_q (left), or log P(X > x) = log_q.

    Below `deep_below` what the mesh left out is looked for, too.
    """
    lower, upper = c.interval
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
    # What the tail of the other end holds counts from there.
    other = c.density.tails[1 - side]
    if other is not None and rest.any():
        index = np.flatnonzero(rest)
        over = log1p(-exp(log_q[index]))
        beyond = np.asarray(over <= c.log_tail_masses[1 - side] - c.log_norm, dtype=bool)
        if beyond.any():
            r = other.distance(over[beyond] + c.log_norm)
            result[index[beyond]] = other.anchor + other.sign * r
            rest[index[beyond]] = False
    target = log_q + c.log_norm
    shallow = rest & (log_q > deep_below)
    if shallow.any():
        result[shallow] = c.cumulative.inverse(target[shallow], left=left)
    deep = rest & ~shallow
    if deep.any():
        octaves = NEXT_OCTAVES if c.density.fades[side] else 0
        result[deep] = c.deep(side, octaves).inverse(target[deep], left=left)
    return np.asarray(np.minimum(np.maximum(result, lower), upper))


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
