"""Inverting the distribution function of a component, and drawing from it."""

from __future__ import annotations

import numpy as np

from stationary.aliases import Array
from stationary.numbers.arithmetic import DOUBLE
from stationary.numbers.chebyshev import chebyshev_sum
from stationary.numbers.elementary import depth_of, distinct, exp, log, log1p
from stationary.weight.component import Component
from stationary.weight.mesh import DEEP

MANY = 10_000  # draws, from which on a table is made for them
PARTS, STEEPEST = 16, 2.0  # of a panel; and ratio of the density to its mean there, at most
ENDS = slice(None, -1), slice(1, None)  # of parts between neighbours


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
        octaves = c.next_octaves(side, log_q)
        for count in distinct(octaves[deep]):
            here = deep & (octaves == count)
            result[here] = c.deep(side, int(count)).inverse(target[here], left=left)
    return np.asarray(np.minimum(np.maximum(result, lower), upper))


def sample(c: Component, size: int, rng: np.random.Generator) -> Array:
    """Independent draws, by inverting the distribution function."""
    u = c.arithmetic.array(rng.random(size))
    left = u <= 0.5
    result = np.empty_like(u)
    for side, mine, share in ((True, left, u[left]), (False, ~left, 1 - u[~left])):
        if len(share):
            many = size >= MANY and c.arithmetic is DOUBLE
            result[mine] = (_interpolated if many else _drawn)(c, share, left=side)
    return result


def _drawn(c: Component, q: Array, *, left: bool) -> Array:
    # A double below 1 is never so close to 0 or 1 that the mesh's own depth matters.
    with np.errstate(divide="ignore"):
        return quantile(c, log(q), left=left, deep_below=-depth_of(c.arithmetic))


def _interpolated(c: Component, q: Array, *, left: bool) -> Array:
    """The same for many, from x as a cubic of the mass in each of the parts of panels.

    The density, known on both sides of each, is its slope. Where it changes too much for that, and
    beyond the panels, as for few.
    """
    mesh, panels = c.mesh, np.arange(len(c.mesh.lower))
    t = np.linspace(-1, 1, PARTS + 1)
    x = mesh.lower[:, None] + mesh.half[:, None] * (1 + t)
    x[:, -1] = mesh.upper
    share = exp(c.cumulative.log_mass(x.ravel(), left=left) - c.log_norm).reshape(x.shape)
    k = np.repeat(panels, PARTS + 1)
    p = chebyshev_sum(mesh.coefficients, np.tile(t, len(panels)), k).reshape(x.shape)
    p *= exp(mesh.top - c.log_norm)[:, None]
    if not left:
        x, share, p = (v[::-1, ::-1] for v in (x, share, p))
    (x0, f0, p0), (x1, f1, p1) = ([v[:, cut].ravel() for v in (x, share, p)] for cut in ENDS)
    mass, step = f1 - f0, x1 - x0
    with np.errstate(all="ignore"):
        slopes = mass / (np.abs(step) * np.stack([p0, p1]))
        smooth = ((slopes > 1 / STEEPEST) & (slopes < STEEPEST)).all(axis=0)
    i = np.minimum(np.searchsorted(f1, q), len(f1) - 1)
    known = smooth[i] & (q >= f0[i]) & (q <= f1[i])
    result, at = np.empty_like(q), i[known]
    v = (q[known] - f0[at]) / mass[at]
    (first, last), w = slopes[:, at], 1 - v
    result[known] = x0[at] + step[at] * v * (first * w * w + v * (3 - 2 * v) - last * v * w)
    if not known.all():
        result[~known] = _drawn(c, q[~known], left=left)
    return result
