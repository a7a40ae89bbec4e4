"""`Cumulative`: the mass of a weight W on either side of a point, right relative to itself.

The line is cut into panels that depend on W alone, never on the points that are asked for. Where
log W changes little over a panel, W is a polynomial on it, and so is its mean from either edge.
Further down a slope that would take a panel for every few e-folds; there the mass below a point is
W G with

    G' = 1 - (log W)' G,   so that   G = 1 / ((log W)' + (log G)'),

which repeated substitution solves, and log G is a polynomial on panels as wide as those of log W.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from stationary.aliases import Array
from stationary.numbers.chebyshev import chebyshev_sum, nodes_of, rule_of
from stationary.numbers.elementary import (
    arithmetic_of,
    as_array,
    depth_of,
    exp,
    expm1,
    finite,
    log,
    logaddexp,
    logcumsumexp,
    spacing,
    to_float,
)
from stationary.panels.halving import halved
from stationary.weight.mesh import MOST_PANELS, log_masses
from stationary.weight.weight import Weight

FALL = 2.0  # of log W over a panel: a part of it then loses no digit that is shown


@dataclass(frozen=True, eq=False)
class Cumulative:
    """Panels, left to right, on each of which mass from either edge is known."""

    weight: Weight
    lower: Array  # (panels,)
    upper: Array
    top: Array  # W = exp(top) * polynomial; nothing on steep panels
    coefficients: Array  # (n, panels): of that polynomial; on steep panels of log |G|
    is_steep: Array  # (panels,)
    outer: tuple[Any, Any]  # log of the masses below and above all panels

    @classmethod
    def to_the_bottom(
        cls, weight: Weight, outer: tuple[Any, Any], lower: Any, upper: Any
    ) -> Cumulative:
        """On panels that cover all that was sampled between two points."""
        return cls(weight, *_panels(weight, lower, upper), outer)

    # -- masses ---------------------------------------------------------------------------------

    @cached_property
    def _means(self) -> tuple[Array, Array]:
        """Coefficients of the mean from the left edge to t, and from t to the right edge."""
        c = np.where(self.is_steep, 0, self.coefficients) if self._steep else self.coefficients
        from_left = rule_of(c).from_left
        flip = ((-1) ** np.arange(len(c)))[:, None]
        return from_left @ c, flip * (from_left @ (flip * c))

    @cached_property
    def _steep(self) -> bool:
        return bool(self.is_steep.any())

    @cached_property
    def _owner(self) -> Array:
        """The panel of the weight in which each panel lies."""
        return self.weight.panels.locate((self.lower + self.upper) / 2)[0]

    def _log_mass_of_steep(self, k: Array, x: Array) -> Array:
        """log of W |G|."""
        t = _place(x, self.lower[k], self.upper[k])
        own = self._owner[k]
        return _log_weight(self.weight, x, own) + chebyshev_sum(self.coefficients, t, k)

    @cached_property
    def _at_edges(self) -> tuple[Array, Array]:
        """log of W |G| at both edges of each steep panel."""
        k = np.flatnonzero(self.is_steep)
        result = []
        for x in (self.lower, self.upper):
            values = np.zeros_like(self.lower)
            values[k] = self._log_mass_of_steep(k, x[k])
            result.append(values)
        return result[0], result[1]

    def _part(self, k: Array, x: Array, *, left: bool) -> Array:
        """log of the mass between x and the left (right) edge of its panel k."""
        a, b = self.lower[k], self.upper[k]
        mean = chebyshev_sum(self._means[0 if left else 1], _place(x, a, b), k)
        length = x - a if left else b - x
        with np.errstate(divide="ignore"):
            result = as_array(self.top[k] + log(np.maximum(length * mean, 0)))
        if self._steep:
            chosen = self.is_steep[k]
            k = k[chosen]
            result[chosen] = _log_difference(
                self._log_mass_of_steep(k, x[chosen]), self._at_edges[0 if left else 1][k]
            )
        return result

    @cached_property
    def _cumulated(self) -> tuple[Array, Array]:
        """log of the mass left of each panel and of the end, and right of the start and of each."""
        k = np.arange(len(self.lower))
        mass = self._part(k, self.upper, left=True)
        below = logcumsumexp(np.concatenate([np.array([self.outer[0]], dtype=mass.dtype), mass]))
        above = np.concatenate([np.array([self.outer[1]], dtype=mass.dtype), mass[::-1]])
        return below, logcumsumexp(above)[::-1]

    def log_mass(self, x: Array, *, left: bool) -> Array:
        """log of the mass left (right) of each point."""
        k = np.maximum(np.searchsorted(self.lower, x, side="right") - 1, 0)
        x = np.minimum(np.maximum(x, self.lower[k]), self.upper[k])  # else between panels
        beyond = self._cumulated[0][k] if left else self._cumulated[1][k + 1]
        return as_array(logaddexp(beyond, self._part(k, x, left=left)))

    # -- and back -------------------------------------------------------------------------------

    def inverse(self, target: Array, *, left: bool) -> Array:
        """The points left (right) of which there is the mass exp(target), as far as panels go.

        By Newton's method on the logarithm of the mass, within a bracket.
        """
        below, above = self._cumulated
        if left:
            k = np.searchsorted(below, target) - 1
        else:
            k = len(self.lower) - np.searchsorted(above[::-1], target)
        k = np.minimum(np.maximum(k, 0), len(self.lower) - 1)
        beyond = below[k] if left else above[k + 1]

        def log_mass(x: Array, i: Array) -> Array:
            return as_array(logaddexp(beyond[i], self._part(k[i], x, left=left)))

        return _inverted(log_mass, self.weight, target, self.lower[k], self.upper[k], left=left)


@dataclass(frozen=True, eq=False)
class Integrated:
    """The same in many digits, where panels cost more than points: integrated for those asked."""

    weight: Weight
    lower: Any
    upper: Any
    outer: tuple[Any, Any]
    near: Cumulative  # the same as far as it is not tiny

    def log_mass(self, x: Array, *, left: bool) -> Array:
        """log of the mass left (right) of each point, from one to the next."""
        bottom = self.lower if left else self.upper
        cuts = np.unique(np.concatenate([x, self.weight.turns, [bottom]]))
        cuts = cuts[(cuts >= bottom) & (cuts <= x.max())] if left else cuts[cuts >= x.min()]
        cuts = cuts if left else cuts[cuts <= bottom]
        between = log_masses(self.weight, cuts)
        outer = np.array([self.outer[0 if left else 1]], dtype=x.dtype)
        masses = np.concatenate([outer, between if left else between[::-1]])
        masses = logcumsumexp(masses) if left else logcumsumexp(masses)[::-1]
        return as_array(masses[np.searchsorted(cuts, x)])

    def inverse(self, target: Array, *, left: bool) -> Array:
        """The points left (right) of which there is the mass exp(target)."""
        low, high = np.full(len(target), self.lower), np.full(len(target), self.upper)

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
    for _ in range(60 if x.dtype == float else 4 * arithmetic_of(x).digits + 60):
        at = x[i]
        value = log_mass(at, i)
        more = value - target[i]
        with np.errstate(all="ignore"):
            slope = exp(weight.inside(at) - value)
            step = more / np.where(slope > 0, slope, np.nan)
        over = np.asarray(more > 0, dtype=bool) == left
        high[i], low[i] = np.where(over, at, high[i]), np.where(over, low[i], at)
        new = at - step if left else at + step
        # Newton's step where it stays in the bracket and the last one gained, else the middle.
        inside = np.asarray((new >= low[i]) & (new <= high[i]), dtype=bool)
        size = to_float(np.abs(more))
        inside &= (2 * size < before[i]) | np.isnan(before[i])
        before[i] = size
        x[i] = new = np.where(inside, new, (low[i] + high[i]) / 2)
        i = i[np.asarray(np.abs(new - at) > spacing(at), dtype=bool)]
        if not i.size:
            break
    return x


def _place(x: Array, a: Array, b: Array) -> Array:
    """Where in its panel each point is, from -1 to 1."""
    return as_array(((x - a) - (b - x)) / (b - a))


def _log_weight(weight: Weight, x: Array, k: Array) -> Array:
    """log W as the panel k of the weight has it."""
    p = weight.panels
    flat = chebyshev_sum(weight.coefficients, _place(x, p.lower[k], p.upper[k]).ravel(), k.ravel())
    return flat.reshape(x.shape)


def _log_difference(x: Array, y: Array) -> Array:
    """log |exp(x) - exp(y)|."""
    high = np.maximum(x, y)
    with np.errstate(divide="ignore"):
        return as_array(high + log(-expm1(np.minimum(x, y) - high)))


def _panels(weight: Weight, start: Any, stop: Any) -> tuple[Array, Array, Array, Array, Array]:
    """Panels that cover the weight: halved until they are gentle or W G is known on them."""
    found, p = weight.sampling, weight.panels
    arithmetic, epsilon, r = found.arithmetic, found.epsilon, found.rule
    edges = np.union1d(np.union1d(p.edges, weight.turns), [start, stop])
    edges = edges[(edges >= start) & (edges <= stop)]

    def judge(lower: Array, upper: Array, carried: tuple[Array, ...], full: bool) -> Any:
        own, _ = p.locate((lower + upper) / 2)
        x, _ = nodes_of(lower, upper, r)
        level = _log_weight(weight, x, np.broadcast_to(own, x.shape))
        top = level.max(axis=0)
        fall = top - level.min(axis=0)
        narrow = (upper - lower) <= 64 * spacing(np.maximum(np.abs(lower), np.abs(upper)))
        gentle = np.asarray((fall <= FALL) | narrow, dtype=bool)
        c = r.coefficients @ exp(level - top)
        # Where the weight begins from nothing at a wall, mass below a point is not W G.
        begins = ((lower == found.lower) & (not weight.fades[0])) | (
            (upper == found.upper) & (not weight.fades[1])
        )
        steep = ~gentle & ~begins & np.asarray(fall > depth_of(arithmetic), dtype=bool)
        if steep.any():
            i = np.flatnonzero(steep)
            log_g, error = _mass_over_weight(weight, lower[i], upper[i], x[:, i], own[i])
            known = finite(error) & (error < 64 * epsilon * (1 + np.abs(log_g[0])) + full)
            steep[i] = np.asarray(known, dtype=bool)
            c[:, steep], top[steep] = log_g[:, steep[i]], 0 * top[steep]
        keep = gentle | steep
        return (top, c, steep), keep, ~keep, carried

    lower, upper, top, c, steep = halved(judge, edges[:-1], edges[1:], max_panels=MOST_PANELS)
    return lower, upper, top, c, steep


def _mass_over_weight(
    weight: Weight, lower: Array, upper: Array, x: Array, own: Array
) -> tuple[Array, Array]:
    """Coefficients of log |G| on panels where log W is steep, and how far they are from settled."""
    found, half = weight.sampling, (upper - lower) / 2
    r, p = found.rule, weight.panels
    k = np.broadcast_to(own, x.shape)
    place = _place(x, p.lower[k], p.upper[k])
    slope = chebyshev_sum(weight.derivative, place.ravel(), k.ravel()).reshape(x.shape)
    best: Any = np.full(len(half), np.inf)
    c, active = np.zeros_like(x), np.arange(len(half))
    with np.errstate(all="ignore"):
        log_g = -log(np.abs(slope))
        while len(active):
            new = r.coefficients @ log_g
            bend = r.at_nodes @ (r.derivative @ new) / half[active]
            follows = -log(np.abs(slope[:, active] + bend))
            error = np.abs(follows - log_g).max(axis=0) + np.abs(new[-3:]).max(axis=0)
            # Rounds that gain little gain nothing more: halves of such a panel do.
            gains = np.asarray(2 * error < best[active], dtype=bool)
            i = active[gains]
            best[i], c[:, i] = error[gains], new[:, gains]
            gains &= np.asarray(error > 4 * found.epsilon, dtype=bool)
            active, log_g = active[gains], follows[:, gains]
    return c, best
