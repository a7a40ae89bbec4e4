"""The mass of a weight W on either side of a point, and the point on one side of which it is given.

`Cumulative` knows it from a mesh, where it is not tiny. However small it is, `Integrated` has it
right relative to itself: W is integrated from each point that is asked for to the next.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from stationary.aliases import Array
from stationary.numbers.chebyshev import chebyshev_sum
from stationary.numbers.elementary import (
    arithmetic_of,
    as_array,
    distinct,
    exp,
    log,
    logaddexp,
    logcumsumexp,
    spacing,
    to_float,
)
from stationary.weight.mesh import MOST_PANELS, Mesh, log_masses, mesh_between
from stationary.weight.weight import Weight

FURTHEST = 1e5  # in log x, of a step towards a wall at 0: beyond what numbers of any kind hold


@dataclass(frozen=True, eq=False)
class Cumulative:
    """On each panel of a mesh the mass from either edge is known."""

    weight: Weight
    mesh: Mesh
    outer: tuple[Any, Any]  # log of the masses below and above all panels

    @cached_property
    def _means(self) -> tuple[Array, Array]:
        """Coefficients of the mean from the left edge to t, and from t to the right edge."""
        c, from_left = self.mesh.coefficients, self.mesh.rule.from_left
        flip = ((-1) ** np.arange(len(c)))[:, None]
        return from_left @ c, flip * (from_left @ (flip * c))

    def _part(self, k: Array, x: Array, *, left: bool) -> Array:
        """log of the mass between x and the left (right) edge of its panel k."""
        a, b = self.mesh.lower[k], self.mesh.upper[k]
        mean = chebyshev_sum(self._means[0 if left else 1], ((x - a) - (b - x)) / (b - a), k)
        length = x - a if left else b - x
        with np.errstate(divide="ignore"):
            return as_array(self.mesh.top[k] + log(np.maximum(length * mean, 0)))

    @cached_property
    def _cumulated(self) -> tuple[Array, Array]:
        """log of the mass left of each panel and of the end, and right of the start and of each."""
        k = np.arange(len(self.mesh.lower))
        mass = self._part(k, self.mesh.upper, left=True)
        below = logcumsumexp(np.concatenate([np.array([self.outer[0]], dtype=mass.dtype), mass]))
        above = np.concatenate([np.array([self.outer[1]], dtype=mass.dtype), mass[::-1]])
        return below, logcumsumexp(above)[::-1]

    def log_mass(self, x: Array, *, left: bool) -> Array:
        """log of the mass left (right) of each point."""
        lower, upper = self.mesh.lower, self.mesh.upper
        k = np.maximum(np.searchsorted(lower, x, side="right") - 1, 0)
        x = np.minimum(np.maximum(x, lower[k]), upper[k])  # else between panels
        beyond = self._cumulated[0][k] if left else self._cumulated[1][k + 1]
        return as_array(logaddexp(beyond, self._part(k, x, left=left)))

    def inverse(self, target: Array, *, left: bool) -> Array:
        """The points left (right) of which there is the mass exp(target), as far as panels go.

        By Newton's method on the logarithm of the mass, within a bracket.
        """
        below, above = self._cumulated
        lower, upper = self.mesh.lower, self.mesh.upper
        if left:
            k = np.searchsorted(below, target) - 1
        else:
            k = len(lower) - np.searchsorted(above[::-1], target)
        k = np.minimum(np.maximum(k, 0), len(lower) - 1)
        beyond = below[k] if left else above[k + 1]

        def log_mass(x: Array, i: Array) -> Array:
            return as_array(logaddexp(beyond[i], self._part(k[i], x, left=left)))

        return _inverted(log_mass, self.weight, target, lower[k], upper[k], left=left)


@dataclass(frozen=True, eq=False)
class Integrated:
    """The mass on either side of the points that are asked for, however small it is."""

    weight: Weight
    outer: tuple[Any, Any]  # log of the masses below and above all that was sampled
    near: Cumulative  # the same as far as it is not tiny

    @property
    def ends(self) -> tuple[Any, Any]:
        return self.weight.sampling.lower, self.weight.sampling.upper

    def log_mass(self, x: Array, *, left: bool) -> Array:
        """log of the mass left (right) of each point, from one to the next.

        Among points between which W hardly changes, the parts of a panel are right to themselves.
        """
        points, bottom = distinct(x), self.ends[0 if left else 1]
        with np.errstate(invalid="ignore"):
            falls = np.diff(np.floor(to_float(self.weight.inside(points)))) != 0
        chosen = np.append(True, falls) | np.append(falls, True)
        cuts = distinct(points[chosen], self.weight.turns, [bottom])
        cuts = cuts[(cuts >= bottom) & (cuts <= x.max())] if left else cuts[cuts >= x.min()]
        cuts = cuts if left else cuts[cuts <= bottom]
        size = MOST_PANELS // 8  # of pieces at a time, each of which may be halved
        starts = range(0, max(len(cuts) - 1, 1), size)
        meshes = [mesh_between(self.weight, cuts[i : i + size + 1]) for i in starts]
        between = np.concatenate(
            [
                log_masses(self.weight, cuts[i : i + size + 1], mesh)
                for i, mesh in zip(starts, meshes, strict=True)
            ]
        )
        outer = np.array([self.outer[0 if left else 1]], dtype=x.dtype)
        masses = np.concatenate([outer, between if left else between[::-1]])
        masses = logcumsumexp(masses) if left else logcumsumexp(masses)[::-1]
        at = np.searchsorted(cuts, points)
        found = masses[np.minimum(at, len(cuts) - 1)]
        for i, mesh in zip(starts, meshes, strict=True):
            last = min(i + size, len(cuts) - 1)
            fine = ~chosen & (at > i) & (at <= last)
            if fine.any():
                near = Cumulative(self.weight, mesh, (masses[i], masses[last]))
                found[fine] = near.log_mass(points[fine], left=left)
        return as_array(found[np.searchsorted(points, x)])

    def inverse(self, target: Array, *, left: bool) -> Array:
        """The points left (right) of which there is the mass exp(target)."""
        low, high = (np.full(len(target), end) for end in self.ends)

        def log_mass(x: Array, i: Array) -> Array:
            return self.log_mass(x, left=left)

        near = self.near.inverse(target, left=left)
        return _inverted(log_mass, self.weight, target, low, high, left=left, x=near)


def _inverted(
    log_mass: Callable[[Array, Array], Array],
    weight: Weight,
    target: Array,
    low: Array,
    high: Array,
    *,
    left: bool,
    x: Array | None = None,
) -> Array:
    """Where the mass left (right) of a point is exp(target), by Newton's method in a bracket.

    `log_mass` takes points and the indices of what is asked for there.
    """
    low, high = low + 0, high + 0
    x = low + (high - low) / 2 if x is None else x
    i = np.arange(len(x))
    before = np.full(len(x), np.nan)
    arithmetic = arithmetic_of(x)
    rounding = 16 * float(arithmetic.epsilon)
    for _ in range(120 + 4 * arithmetic.digits):  # from end to end of what was sampled
        at = x[i]
        value = log_mass(at, i)
        more = value - target[i]
        with np.errstate(all="ignore"):
            slope = exp(weight.inside(at) - value)
            step = more / np.where(slope > 0, slope, np.nan)
        over = np.asarray(more > 0, dtype=bool) == left
        high[i], low[i] = np.where(over, at, high[i]), np.where(over, low[i], at)
        new = at - step if left else at + step
        # Next to a wall at 0 masses go as powers of x: Newton's method in log x is at home there.
        with np.errstate(all="ignore"):
            far = np.asarray((new < low[i]) | (new > high[i]), dtype=bool)
            further = np.minimum(np.maximum((new - at) / at, -FURTHEST), FURTHEST)
            new = np.where(far, at * exp(further), new)
        # Newton's step where it stays in the bracket and the last one gained, else the middle.
        inside = np.asarray((new >= low[i]) & (new <= high[i]), dtype=bool)
        size = to_float(np.abs(more))
        gained = (2 * size < before[i]) | np.isnan(before[i])
        new = np.where(inside & gained, new, (low[i] + high[i]) / 2)
        # What is left may be the rounding of the mass.
        settled = ~gained & (size <= rounding * (1 + np.abs(to_float(target[i]))))
        before[i] = size
        x[i] = new = np.where(settled, at, new)
        i = i[np.asarray(np.abs(new - at) > spacing(at), dtype=bool)]
        if not i.size:
            break
    return x
