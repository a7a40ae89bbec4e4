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
from numpy.typing import NDArray

from stationary.numbers.arithmetic import DOUBLE, Arithmetic
from stationary.numbers.chebyshev import (
    NEXT_TO_AN_END,
    chebyshev_sum,
    nodes_of,
    rule,
)
from stationary.numbers.elementary import FLOAT, arithmetic_of, as_array, exact_sum, spacing

__all__ = ["Panels", "Samples", "sample", "without_ripples"]

Array = NDArray[Any]
Floor = Callable[[Array, tuple[Array, ...], tuple[Array, ...]], tuple[Array, ...]]

SCATTER = 64.0  # times the floor that rounding may come to where it was not measured


@dataclass(frozen=True, eq=False)
class Panels:
    """Where the panels are; functions on them are coefficient arrays with a panel per column."""

    edges: Array  # (panels + 1,), ascending

    @property
    def lower(self) -> Array:
        return self.edges[:-1]

    @property
    def upper(self) -> Array:
        return self.edges[1:]

    @cached_property
    def half(self) -> Array:
        return (self.upper - self.lower) / 2

    def locate(self, x: Array) -> tuple[Array, Array]:
        """The panel of each point, and where in it, from -1 to 1."""
        k = self.edges.searchsorted(x, side="right") - 1
        k = np.minimum(np.maximum(k, 0), len(self.edges) - 2)
        if self.edges.dtype is not FLOAT:
            centre, scale = self._centred
            return k, (x - centre[k]) * scale[k]
        a, b = self.edges[k], self.edges[k + 1]
        # Both differences are exact when x is near an edge, where accuracy matters most.
        return k, ((x - a) - (b - x)) / (b - a)

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
            first, last = self.locate(x[0])[0], self.locate(x[-1])[0]
            k = np.broadcast_to(first, x.shape)
            split = first != last
            if split.any():
                k = k.copy()
                k[:, split] = self.locate(x[:, split])[0]
            k = k.ravel()
            centre, scale = self._centred
            t = (x.ravel() - centre[k]) * scale[k]
            return chebyshev_sum(c, t, k).reshape(x.shape)
        k, t = self.locate(x.ravel())
        if offset is not None:
            t = t + offset.ravel() / self.half[k]
        return chebyshev_sum(c, t, k).reshape(x.shape)


@dataclass(frozen=True, eq=False)
class Samples:
    """A function of several outputs, sampled on panels fine enough to resolve each output."""

    lower: Array  # (panels,), ascending
    upper: Array
    values: tuple[Array, ...]  # each (n, panels): at the nodes
    coefficients: tuple[Array, ...]  # each (n, panels)
    tails: tuple[Array, ...]  # each (panels,): size of the coefficients that were cut off
    resolved: Array  # (panels,), bool
    evaluations: int

    @cached_property
    def integrals(self) -> tuple[Array, ...]:
        """Of each output over each panel."""
        c = self.coefficients[0]
        half, r = (self.upper - self.lower) / 2, rule(len(c), arithmetic_of(self.lower))
        return tuple(half * (r.integral @ c) for c in self.coefficients)

    @cached_property
    def at_edges(self) -> tuple[tuple[Array, Array], ...]:
        """Each output at the lower and at the upper edge of each panel, from inside it."""
        sums = ((c[::2].sum(axis=0), c[1::2].sum(axis=0)) for c in self.coefficients)
        return tuple((even - odd, even + odd) for even, odd in sums)

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
    c: Array,
    ends: Array,
    shift: Array,
    steady: Array,
    half: Array,
    negligible: Any,
    noise: Any,
    floor: Any,
) -> Array:
    """Whether each panel's coefficients have fallen to rounding, or to noise, or to nothing.

    Rounding is `noise`, relative to the size on the panel, or the absolute `floor`.

    `ends` holds the function next to both ends (by `shift`, relative), where no node is: a jump
    between the last node and the end would not be seen otherwise. `steady` counts the halvings
    that have not lowered the tail: noise is what they do not lower, whereas at a corner it halves.
    """
    size = np.abs(c).max(axis=0)
    last = _tail(c)
    middle = np.abs(c[len(c) // 2 : -3]).max(axis=0)
    rounding = last <= noise * size + floor
    noisy = (last <= 1e7 * noise * size + SCATTER * floor) & (last >= middle / 2)
    plateau = noisy & (steady >= np.where(last <= 1e4 * noise * size, 1, 3))
    small = last * half <= negligible
    odd, even = c[1::2].sum(axis=0), c[::2].sum(axis=0)
    square = (np.arange(len(c)) ** 2)[:, None] * c  # T_k'(1) = k^2, T_k'(-1) = (-1)^(k+1) k^2
    rise, fall = square[1::2].sum(axis=0), square[::2].sum(axis=0)
    left = ends[0] - (even - odd) - shift[0] * (rise - fall)
    right = ends[1] - (even + odd) - shift[1] * (rise + fall)
    off = np.maximum(np.abs(left), np.abs(right))
    whole = (off <= 64 * (noise * size + last + floor)) | (off * half <= 16 * negligible)
    return as_array((rounding | plateau | small) & whole)


def sample(
    function: Callable[[Array], tuple[Array, ...]],
    lower: Array,
    upper: Array,
    *,
    weights: tuple[bool, ...],
    n: int = 20,
    arithmetic: Arithmetic = DOUBLE,
    max_panels: int = 4000,
    floor: Floor | None = None,
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
        are returned as not resolved, with a tail that says by how much.
    floor
        How coarsely each output is rounded on each panel, from the nodes (n, panels), the
        values and the slopes there. What is finer is not looked for, and no tail is below it.
    """
    r = rule(n, arithmetic)
    epsilon = arithmetic.epsilon
    done: list[Samples] = []
    accepted = 0
    # The tails of the panels that were halved, and how many halvings have not lowered them.
    before: list[Array] = [np.full(len(lower), np.inf) for _ in weights]
    steady = [np.zeros(len(lower), dtype=int) for _ in weights]
    while len(lower):
        x, offset = nodes_of(lower, upper, r)
        half = (upper - lower) / 2
        size = np.maximum(np.abs(lower), np.abs(upper))
        inner = np.maximum(4 * spacing(size), NEXT_TO_AN_END * epsilon * half)
        inner = np.minimum(inner, half / 8)
        near = np.stack([lower + inner, upper - inner])
        shift = ((near - lower) - (upper - near)) / (upper - lower) - np.array([[-1], [1]])
        outputs = function(np.concatenate([x, near]).ravel())
        tables = [v.reshape(n + 2, -1) for v in outputs]
        # The node meant and the double next to it differ: move along the slope.
        values = tuple(
            v[:n] if offset is None else v[:n] + offset / half * (r.slopes @ v[:n]) for v in tables
        )
        cs = tuple(r.coefficients @ v for v in values)
        good = np.ones(len(lower), dtype=bool)
        floors: tuple[Any, ...] = (0.0,) * len(cs)
        if floor is not None:
            floors = floor(x, values, tuple(r.slopes @ v / half for v in values))
        tiny = (upper - lower) <= 16 * arithmetic.grain * size
        tails = tuple(_tail(c) for c in cs)
        steady = [
            np.where(t >= 0.75 * b, s + 1, 0) for t, b, s in zip(tails, before, steady, strict=True)
        ]
        for c, v, count, weighted, least in zip(cs, tables, steady, weights, floors, strict=True):
            # Integration divides the last coefficients by their degree.
            width, noise = (
                (half, n * epsilon / 2) if weighted else (np.ones_like(half), 4 * epsilon)
            )
            found = _settled(c, v[n:], shift, count, width, epsilon / 4, noise, least)
            good &= found.astype(bool)
        blind = tiny & ~good
        if blind.any():
            # On a panel a few roundings wide slopes mean nothing, and what is integrated may be
            # anything of its size.
            values = tuple(np.where(blind, t[:n], v) for t, v in zip(tables, values, strict=True))
            tails = tuple(
                np.where(blind & weighted, np.maximum(t, np.abs(v).max(axis=0) / 2), t)
                for t, v, weighted in zip(tails, tables, weights, strict=True)
            )
        full = accepted + 2 * len(lower) > max_panels
        keep = good | tiny | full
        if floor is not None:  # whoever adds up tails allows for four times each
            tails = tuple(np.maximum(t, f / 4) for t, f in zip(tails, floors, strict=True))
        here = Samples(lower, upper, values, cs, tails, good, (n + 2) * len(lower))
        done.append(here if keep.all() else here.only(keep))
        accepted += int(keep.sum())
        lower, upper = lower[~keep], upper[~keep]
        middle = (lower + upper) / 2
        lower, upper = np.concatenate([lower, middle]), np.concatenate([middle, upper])
        before = [np.tile(t[~keep], 2) for t in tails]
        steady = [np.tile(s[~keep], 2) for s in steady]
    return Samples.joined(done)


def without_ripples(rises: Array, noise: Array, *, fixed_ends: bool) -> Array:
    """Which points stay when turns between which a function hardly rises are dropped.

    `rises` are the signed rises between consecutive points, and a rise below its `noise` is
    rounding. Points go in pairs, so that rises and falls keep alternating; with `fixed_ends` the
    first and the last stay, and a point next to them goes alone.
    """
    keep = np.arange(len(rises) + 1)
    while len(rises) and len(keep) > 2 * fixed_ends:
        ratio = np.abs(rises) / noise
        i = int(np.argmin(ratio))
        if ratio[i] > 1:
            break
        first, last = i, i + 2  # the points i and i + 1 go
        if fixed_ends:
            first, last = max(first, 1), min(last, len(keep) - 1)
        keep = np.delete(keep, slice(first, last))
        # What was risen across the points that went belongs to the step that now spans them.
        low, high = max(first - 1, 0), min(last, len(rises))
        spans = first > 0 and last <= len(rises)
        merged = ([rises[low:high].sum()], [noise[low:high].max()]) if spans else ([], [])
        rises = np.concatenate([rises[:low], merged[0], rises[high:]])
        noise = np.concatenate([noise[:low], merged[1], noise[high:]])
    return keep
