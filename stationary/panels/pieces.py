"""Piecewise polynomials: sample a function once, then integrate and evaluate it exactly.

A function is sampled at the Chebyshev nodes of each panel and kept as Chebyshev coefficients,
all panels at once as one array with a panel per column. Panels are halved where the
coefficients have not fallen to rounding: this finds kinks and jumps by itself.

Nothing here knows what the function means. The arithmetic (doubles or many digits) is an
argument; the algorithm is the same.

References
----------
.. [1] L. N. Trefethen, *Approximation Theory and Approximation Practice*, SIAM 2013.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from stationary.aliases import Array
from stationary.numbers.arithmetic import DOUBLE, Arithmetic
from stationary.numbers.chebyshev import (
    NEXT_TO_AN_END,
    Rule,
    chebyshev_sum,
    ends_of,
    nodes_of,
    rule,
)
from stationary.numbers.elementary import (
    FLOAT,
    arithmetic_of,
    as_array,
    exact_sum,
    smallest_of,
    spacing,
)
from stationary.panels.halving import halved

Floor = Callable[[Array, tuple[Array, ...], tuple[Array, ...]], tuple[Array, ...]]

MOST_PANELS = 4000  # of a piece of the line: what needs more has a feature that wants a breakpoint
FINE = 1e-6  # of a panel
NEAR_AN_END = 2.0**-9  # of a panel of doubles: the last node is nearer
SCATTER = 64.0  # times the floor that rounding may come to where it was not measured


def is_sliver(lower: Array, upper: Array, arithmetic: Arithmetic, roundings: int) -> Array:
    """Which panels are at most so many roundings wide; next to 0 what doubles take slopes on."""
    size = np.maximum(np.abs(lower), np.abs(upper))
    least = np.maximum(roundings * arithmetic.grain * size, smallest_of(arithmetic) ** (1 / 3))
    return np.asarray(upper - lower <= least, dtype=bool)


@dataclass(frozen=True, eq=False, repr=False)
class Panels:
    """Where the panels are; functions on them are coefficient arrays with a panel per column."""

    edges: Array  # (panels + 1,), ascending

    def __repr__(self) -> str:
        return f"<Panels: {len(self.edges) - 1}>"

    @property
    def lower(self) -> Array:
        return self.edges[:-1]

    @property
    def upper(self) -> Array:
        return self.edges[1:]

    @cached_property
    def half(self) -> Array:
        return (self.upper - self.lower) / 2

    @cached_property
    def slivers(self) -> Array:
        """Which panels are a few roundings wide, as where there is a jump: slopes mean nothing."""
        return is_sliver(self.lower, self.upper, arithmetic_of(self.edges), 64)

    def panel_of(self, x: Array) -> Array:
        """The panel of each point, of an edge the upper one; beyond the edges, the nearest.

        That of a part of one is that of its lower end: a middle may be rounded to the upper one.
        """
        return as_array(self.edges[1:-1].searchsorted(x, side="right"))

    def locate(self, x: Array) -> tuple[Array, Array]:
        """The panel of each point, and where in it, from -1 to 1."""
        k = self.panel_of(x)
        return k, self.place(x, k)

    def place(self, x: Array, k: Array) -> Array:
        """Where in its panel k each point is, from -1 to 1."""
        if self.edges.dtype is not FLOAT:
            centre, scale = self._centred
            return as_array((x - centre[k]) * scale[k])
        a, b = self.edges[k], self.edges[k + 1]
        # Both differences are exact when x is near an edge, where accuracy matters most.
        return as_array(((x - a) - (b - x)) / (b - a))

    @cached_property
    def _centred(self) -> tuple[Array, Array]:
        """Of many digits: the middle of each panel, exactly, and 1 over half its width."""
        return exact_sum(self.lower / 2, self.upper / 2), 1 / self.half

    def evaluate(self, c: Array, x: Array, offset: Array | None = None) -> Array:
        """The function with coefficients `c` at points `x` (any shape; ascending in columns).

        `offset` is added to x without being rounded away: the point meant is x + offset.
        """
        if x.dtype is not FLOAT and x.ndim == 2 and len(x) > 2:
            # To compare many digits is slow, and most columns lie within one panel.
            first, last = self.panel_of(x[0]), self.panel_of(x[-1])
            k = np.broadcast_to(first, x.shape)
            split = first != last
            if split.any():
                k = k.copy()
                k[:, split] = self.panel_of(x[:, split])
            k = k.ravel()
            return chebyshev_sum(c, self.place(x.ravel(), k), k).reshape(x.shape)
        k, t = self.locate(x.ravel())
        if offset is not None:
            t = t + offset.ravel() / self.half[k]
        return chebyshev_sum(c, t, k).reshape(x.shape)


@dataclass(frozen=True, eq=False, repr=False)
class Samples:
    """A function of several outputs, sampled on panels fine enough to resolve each output."""

    lower: Array  # (panels,), ascending
    upper: Array
    values: tuple[Array, ...]  # each (n, panels): at the nodes
    coefficients: tuple[Array, ...]  # each (n, panels)
    tails: tuple[Array, ...]  # each (panels,): size of the coefficients that were cut off
    resolved: Array  # (panels,), bool
    evaluations: int

    def __repr__(self) -> str:
        return f"<Samples: {len(self.values)} functions on {len(self.lower)} panels>"

    @cached_property
    def integrals(self) -> tuple[Array, ...]:
        """Of each output over each panel."""
        c = self.coefficients[0]
        half, r = (self.upper - self.lower) / 2, rule(len(c), arithmetic_of(self.lower))
        return tuple(half * (r.integral @ c) for c in self.coefficients)

    @cached_property
    def at_edges(self) -> tuple[tuple[Array, Array], ...]:
        """Each output at the lower and at the upper edge of each panel, from inside it."""
        return tuple(map(ends_of, self.coefficients))

    def only(self, chosen: Array) -> Samples:
        """Some of the panels."""

        def part(arrays: tuple[Array, ...]) -> tuple[Array, ...]:
            return tuple(a[..., chosen] for a in arrays)

        return replace(
            self,
            lower=self.lower[chosen],
            upper=self.upper[chosen],
            values=part(self.values),
            coefficients=part(self.coefficients),
            tails=part(self.tails),
            resolved=self.resolved[chosen],
        )

    def parts(self, lower: Array, upper: Array, k: Array) -> Samples:
        """The same functions on parts [lower, upper] of the panels k: nothing is evaluated."""
        r = rule(len(self.values[0]), arithmetic_of(lower))
        x, offset = nodes_of(lower, upper, r)
        a, b = self.lower[k], self.upper[k]
        twice = (x - a) - (b - x) if offset is None else (x - a) - (b - x) + 2 * offset
        place, own = (twice / (b - a)).ravel(), np.tile(k, len(x))
        values = tuple(chebyshev_sum(c, place, own).reshape(x.shape) for c in self.coefficients)
        return Samples(
            lower=lower,
            upper=upper,
            values=values,
            coefficients=tuple(r.coefficients @ v for v in values),
            tails=tuple(t[k] for t in self.tails),
            resolved=self.resolved[k],
            evaluations=0,
        )

    @staticmethod
    def joined(pieces: list[Samples]) -> Samples:
        """All panels of all pieces, in order."""
        if len(pieces) == 1:
            return pieces[0]
        order = np.argsort(np.concatenate([p.lower for p in pieces]), kind="stable")

        def together(name: str) -> tuple[Array, ...]:
            groups = zip(*(getattr(p, name) for p in pieces), strict=True)
            return tuple(np.concatenate(g, axis=-1)[..., order] for g in groups)

        return Samples(
            lower=np.concatenate([p.lower for p in pieces])[order],
            upper=np.concatenate([p.upper for p in pieces])[order],
            values=together("values"),
            coefficients=together("coefficients"),
            tails=together("tails"),
            resolved=np.concatenate([p.resolved for p in pieces])[order],
            evaluations=sum(p.evaluations for p in pieces),
        )


def _tail(c: Array) -> Array:
    return as_array(np.abs(c[-3:]).max(axis=0))


def _settled(
    r: Rule,
    c: Array,
    ends: Array,
    shift: Array,
    steady: Array,
    half: Any,
    noise: Any,
    floor: Any,
    scatter: float,
) -> tuple[Array, Array]:
    """Whether each panel's coefficients have fallen to rounding, or to noise, or to nothing.

    And whether they give the function next to both ends, shape (2, panels). Rounding is `noise`,
    relative to the size on the panel, or the absolute `floor`; nothing is a quarter of a rounding
    of 1 once multiplied by `half`.

    `ends` holds the function next to both ends (by `shift`, relative), where no node is: a jump
    between the last node and the end would not be seen otherwise. `steady` counts the halvings
    that have not lowered the tail: noise is what they do not lower, whereas at a corner it halves.
    Up to `scatter` one such halving is believed.
    """
    absolute = np.abs(c)
    size, last = absolute.max(axis=0), absolute[-3:].max(axis=0)
    middle = absolute[len(c) // 2 : -3].max(axis=0)
    negligible, blur = r.arithmetic.epsilon / 4, noise * size
    noisy = (last <= 1e7 * blur + SCATTER * floor + scatter) & (last >= middle / 2)
    plateau = noisy & (steady >= np.where(last <= 1e4 * blur + scatter, 1, 3))
    low = (last <= blur + floor) | plateau | (last * half <= negligible)
    at_ends = r.at_ends @ c
    off = np.abs(ends - at_ends[:2] - shift * at_ends[2:])
    met = (off <= 64 * (blur + last + floor)) | (off * half <= 16 * negligible)
    return np.asarray(low, dtype=bool), np.asarray(met, dtype=bool)


def sample(
    function: Callable[[Array], tuple[Array, ...]],
    lower: Array,
    upper: Array,
    *,
    weights: tuple[bool, ...],
    n: int = 20,
    arithmetic: Arithmetic = DOUBLE,
    max_panels: int = MOST_PANELS,
    floor: Floor | None = None,
    scatter: float = 0.0,
    apart: int = 4,
    extent: float = 0.0,
    begun: Samples | None = None,
) -> Samples:
    """Sample `function` on panels [lower, upper], halving them until it is resolved.

    Parameters
    ----------
    function
        Takes a flat array of points, returns a tuple of arrays of the same shape.
    lower, upper
        The panels to begin with, and so the coarsest view that is taken.
    weights
        For each output, whether it will be integrated (its cut-off part then counts times
        the width of the panel) or used as it is.
    n
        Nodes per panel.
    max_panels
        Halving stops there, or where a panel is a few units of rounding wide; such panels
        are returned as not resolved, with a tail that says by how much. 0: nothing is halved.
    floor
        How coarsely each output is rounded on each panel, from the nodes (n, panels), the
        values and the slopes there. What is finer is not looked for, and no tail is below it.
    scatter
        Noise up to this is taken for noise at once.
    apart
        How many doubles from their ends panels are looked at, at least.
    extent
        Doubles are counted as so far from 0, at least: next to 0 there are more than functions
        tell apart.
    begun
        What was sampled on just these panels.
    """
    r = rule(n, arithmetic)
    epsilon, outputs, evaluations = arithmetic.epsilon, len(weights), 0

    def beside(per_panel: Array) -> Array:
        return np.concatenate([per_panel] * outputs, axis=-1)

    def judge(lower: Array, upper: Array, carried: tuple[Array, ...], full: bool) -> Any:
        nonlocal evaluations
        evaluations += (n + 2) * len(lower)
        # The tails of the panels that were halved, and how many halvings have not lowered them.
        before, steady = np.concatenate(carried[:outputs]), np.concatenate(carried[outputs:])
        x, offset = nodes_of(lower, upper, r)
        half = (upper - lower) / 2
        size = np.maximum(np.maximum(np.abs(lower), np.abs(upper)), extent)
        inner = np.maximum(apart * spacing(size), NEXT_TO_AN_END * epsilon * half)
        inner = np.minimum(inner, half / 8)
        near = np.stack([lower + inner, upper - inner])
        shift = ((near - lower) - (upper - near)) / (upper - lower) - np.array([[-1], [1]])
        points = np.concatenate([x, near])
        # All outputs side by side, as if there were so many times the panels.
        table = np.concatenate([v.reshape(points.shape) for v in function(points.ravel())], axis=1)
        values = table[:n]
        if offset is not None:
            # The node meant and the double next to it differ: move along the slope.
            values = values + beside(offset / half) * (r.slopes @ values)
        c = r.coefficients @ values
        each = [slice(i * len(lower), (i + 1) * len(lower)) for i in range(outputs)]
        # What a rounding of x makes of the values is not looked into, unless it is a jump.
        with np.errstate(divide="ignore"):  # of a panel of one double
            blur = arithmetic.grain * size / (upper - lower)
        least = beside(np.where(blur < FINE, blur, 0)) * np.abs(table[n - 1] - table[0])
        floors: Any = 0.0
        if floor is not None:
            slopes = r.slopes @ values / beside(half)
            parts = (tuple(v[:, i] for i in each) for v in (values, slopes))
            floors = np.concatenate(floor(x, *parts))
            least = least + floors
        tails = _tail(c)
        steady = np.where(tails >= 0.75 * before, steady + 1, 0)
        # Integration divides the last coefficients by their degree.
        width = np.concatenate([half if w else np.ones_like(half) for w in weights])
        noise = np.repeat([n * epsilon / 2 if w else 4 * epsilon for w in weights], len(lower))
        low, met = _settled(r, c, table[n:], beside(shift), steady, width, noise, least, scatter)
        low = as_array(low.reshape(outputs, -1).all(axis=0))
        met = as_array(met.reshape(2, outputs, -1).all(axis=1))
        good = low & met.all(axis=0)
        tiny = is_sliver(lower, upper, arithmetic, 16)
        blind = tiny & ~good
        if blind.any():
            # On a panel a few roundings wide slopes mean nothing, and what is integrated may be
            # anything of its size.
            values = np.where(beside(blind), table[:n], values)
            weighted = beside(blind) & np.repeat(weights, len(lower))
            largest = np.maximum(tails, np.abs(table).max(axis=0) / 2)
            tails = np.where(weighted, largest, tails)
        if floor is not None:  # whoever adds up tails allows for four times each
            tails = np.maximum(tails, floors / 4)
        keep = good | tiny | full
        split = [v[..., i] for v in (values, c, tails) for i in each]
        inherited = [v[i] for v in (tails, steady) for i in each]
        # Where all but one end is resolved a jump is between that and the last node.
        one = low & (met[0] != met[1])
        one &= np.asarray(NEAR_AN_END * (upper - lower) > 16 * spacing(size), dtype=bool)
        share = np.where(one, np.where(met[0], 1 - NEAR_AN_END, NEAR_AN_END), 0.5)
        return (*split, good), keep, np.where(keep, 0.0, share), tuple(inherited)

    tails, done = tuple(np.full(len(lower), np.inf) for _ in weights), []
    if begun is not None:
        kept = begun.resolved | is_sliver(lower, upper, arithmetic, 16)
        if kept.all():
            return begun
        again, tails = ~kept, begun.tails
        done = [begun.only(kept)]
        max_panels -= int(kept.sum())
        middle = (lower[again] + upper[again]) / 2
        lower = np.concatenate([lower[again], middle])
        upper = np.concatenate([middle, upper[again]])
        tails = tuple(np.concatenate([t[again]] * 2) for t in tails)
    carried = (*tails, *[np.zeros(len(lower), dtype=int)] * outputs)
    lower, upper, *rest = halved(judge, lower, upper, carried, max_panels=max_panels)
    values, cs, tails = (tuple(rest[i : i + outputs]) for i in range(0, 3 * outputs, outputs))
    return Samples.joined([*done, Samples(lower, upper, values, cs, tails, rest[-1], evaluations)])


def summed_from(k: int, steps: Array, wide: Any) -> Array:
    """What the steps between neighbours add up to from the k-th of them on, either way.

    So the sums are least rounded next to it; `wide` is the dtype that they are taken in.
    """
    above = np.cumsum(steps[k:], dtype=wide)
    below = -np.cumsum(steps[:k][::-1], dtype=wide)[::-1]
    return np.concatenate([below, [0.0], above])


def sums_between(values: Array, start: Array, stop: Array) -> Array:
    """The sum of values[start[i]:stop[i]] for each i; none goes to the end."""
    if values.dtype is FLOAT:
        if not len(start):
            return np.zeros(0)
        both = np.minimum(np.stack([start, stop], axis=1).ravel(), len(values) - 1)
        return np.where(start < stop, np.add.reduceat(values, both)[::2], 0.0)
    pairs = zip(start, stop, strict=True)
    return np.array([values[i:j].sum() if j > i else 0.0 for i, j in pairs], dtype=values.dtype)
