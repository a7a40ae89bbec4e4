"""`PiecewiseLog`: the logarithm of a positive function, as polynomials on panels."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from stationary.aliases import Array
from stationary.numbers.arithmetic import SAME
from stationary.numbers.chebyshev import Rule, chebyshev_sum, derived, ends_of
from stationary.numbers.elementary import FLOAT, as_array, distinct
from stationary.panels.pieces import Panels, sums_between
from stationary.panels.roots import sign_changes, without_ripples


@dataclass(frozen=True, eq=False)
class PiecewiseLog:
    """log of a positive function on panels, and where it turns."""

    panels: Panels
    coefficients: Array  # (n + 1, panels)
    noise: Array  # (panels,): a rise below this within a panel is rounding

    @cached_property
    def derivative(self) -> Array:
        """Its derivative, as coefficients (n + 1, panels)."""
        return as_array(derived(self.coefficients) / self.panels.half)

    @cached_property
    def span(self) -> Array:
        """How much it can vary on each panel; its rounding is 2^-52 times that."""
        return as_array(np.abs(self.coefficients[1:]).sum(axis=0))

    @cached_property
    def edge_values(self) -> tuple[Array, Array]:
        """Its values at the left and the right edge of every panel, from inside it."""
        return ends_of(self.coefficients)

    def inside(self, x: Array, offset: Array | None = None) -> Array:
        """Its values at points x + offset that the panels cover."""
        return self.panels.evaluate(self.coefficients, x, offset)

    def on_panels(self, lower: Array, upper: Array, r: Rule, k: Array) -> Array:
        """(n + 2, panels): its values at the ends and nodes of panels, each within its panel k."""
        c, own = self.coefficients, self._own(lower, upper, k) & (len(self.coefficients) == r.n + 1)
        result = np.empty_like(c, shape=(r.n + 2, len(k)))
        result[[0, -1]] = self.at_ends(lower, upper, k)
        if own.any():
            result[1:-1, own] = r.at_nodes @ c[: r.n, k[own]]  # T_n is zero at the nodes
        if not own.all():
            k = k[~own]
            first, last = (self.panels.place(x[~own], k) for x in (lower, upper))
            t = first + (last - first) * ((1 + r.nodes[:, None]) / 2)
            result[1:-1, ~own] = chebyshev_sum(c, t.ravel(), np.tile(k, r.n)).reshape(t.shape)
        return as_array(result)

    def at_ends(self, lower: Array, upper: Array, k: Array) -> Array:
        """Its values at both ends of panels, each within its panel k."""
        result, rest = np.stack([v[k] for v in self.edge_values]), ~self._own(lower, upper, k)
        if rest.any():
            x, k = np.concatenate([lower[rest], upper[rest]]), np.tile(k[rest], 2)
            result[:, rest] = chebyshev_sum(self.coefficients, self.panels.place(x, k), k).reshape(
                2, -1
            )
        return result

    def _own(self, lower: Array, upper: Array, k: Array) -> Array:
        """Which panels are one of its own."""
        p = self.panels
        return np.asarray((lower == p.lower[k]) & (upper == p.upper[k]), dtype=bool)

    def bend(self, x: Array) -> Array:
        """Its second derivative at points that the panels cover."""
        return self.panels.evaluate(derived(self.derivative) / self.panels.half, x)

    @cached_property
    def turns(self) -> Array:
        """The points, ascending, between which it is monotone (the sampled ends included)."""
        p, c = self.panels, self.derivative
        many = c.dtype is not FLOAT  # where each look costs
        points = self._significant(sign_changes(p, c, self._steps_kept if many else None).x)
        jumps = p.edges[1:-1][self._jumps]
        return distinct(points, jumps, p.edges[[0, -1]])

    @cached_property
    def _jumps(self) -> Array:
        """At which inner edges the function jumps, by more than rounding."""
        first, last = self.edge_values
        rounding = SAME * (1 + np.abs(last[:-1])) + self.noise[:-1] + self.noise[1:]
        return as_array(np.abs(first[1:] - last[:-1]) > rounding)

    def _significant(self, points: Array) -> Array:
        """The turning points between which the logarithm rises or falls by more than rounding."""
        return points[self._steps_kept(points)]

    def _steps_kept(self, points: Array) -> Array:
        """Which points are such."""
        all_points = np.concatenate([self.panels.edges[:1], points, self.panels.edges[-1:]])
        k = self.panels.panel_of(all_points)
        noise = np.maximum(self.noise[k[:-1]], self.noise[k[1:]])
        keep = without_ripples(self.climbs(all_points), noise, fixed_ends=True)
        return keep[1:-1] - 1

    def climbs(self, points: Array) -> Array:
        """The rise between consecutive points, right relative to itself.

        A difference of values would not be, where the values are large.
        """
        c = self.coefficients.copy()
        c[0] = 0.0
        first, last = self.edge_values
        jumps = np.append(np.where(self._jumps, first[1:] - last[:-1], 0.0), 0.0)
        whole = 2 * c[1::2].sum(axis=0) + jumps  # over a panel and the jump at its right edge
        k, t = self.panels.locate(points)
        part = chebyshev_sum(c, t, k)
        i, j = k[:-1], k[1:]
        at_left = c[::2].sum(axis=0) - c[1::2].sum(axis=0)
        to_edge, from_edge = (c.sum(axis=0) + jumps)[i] - part[:-1], part[1:] - at_left[j]
        across = to_edge + sums_between(whole, i + 1, j) + from_edge
        return np.where(i < j, across, part[1:] - part[:-1])
