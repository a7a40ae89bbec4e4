"""Integrals of exp(log P), on a mesh that is fine only where P is.

The line is cut into pieces on which log P is monotone. On each, the panels of log P, which are
fine around its peaks, are halved where they do not resolve P, and left out where P has fallen by
e^45. Its cost hardly depends on how narrow the peaks are.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from stationary.aliases import Array
from stationary.line.sampled import nodes_in
from stationary.numbers.chebyshev import Rule, chebyshev_sum, ends_of, nodes_of, rule
from stationary.numbers.elementary import (
    arithmetic_of,
    as_array,
    depth_of,
    distinct,
    exp,
    log,
    logaddexp_at,
    logsumexp,
    spacing,
    to_float,
)
from stationary.panels.halving import halved
from stationary.weight.weight import Weight

MOST_PANELS = 20_000  # beyond those at first, what is not resolved is part of the error
LEVEL = 0.2  # the fall of log P over a panel that is not cut where it turns, per node: 4 in doubles
DEEP = -10.0  # log of a part of the mass, below which it need not be right relative to itself
AT_ENDS = 64.0  # times what the polynomial may leave out, it may be off next to an end


@dataclass(frozen=True, eq=False, repr=False)
class Mesh:
    """Panels, left to right, with P = exp(top) * polynomial on each."""

    complete: bool  # whether there were panels enough
    lower: Array  # (panels,)
    upper: Array
    piece: Array  # the piece each panel belongs to
    top: Array  # the greatest log P at the nodes
    log_density: Array  # (n, panels), at the nodes
    coefficients: Array  # (n, panels), of P / exp(top)
    cut: Array  # (panels,), relative size of what the polynomial leaves out

    def __repr__(self) -> str:
        return f"<Mesh: {len(self.lower)} panels>"

    @property
    def half(self) -> Array:
        return (self.upper - self.lower) / 2

    @property
    def rule(self) -> Rule:
        return rule(len(self.coefficients), arithmetic_of(self.lower))

    @cached_property
    def x(self) -> Array:
        """(n, panels): the nodes."""
        return self._nodes[0]

    def from_point(self, centre: Any) -> Array:
        """(n, panels): how far the nodes lie from a point, with what rounding takes from them."""
        x, offset = self._nodes
        return as_array(x - centre if offset is None else (x - centre) + offset)

    @cached_property
    def _nodes(self) -> tuple[Array, Array | None]:
        return nodes_of(self.lower, self.upper, self.rule)

    @cached_property
    def log_mass(self) -> Array:
        with np.errstate(divide="ignore"):  # all of it may lie within a rounding of an end
            return as_array(self.top + log(self.half * (self.rule.integral @ self.coefficients)))

    def masses_between(self, points: Array, only: int | None = None) -> tuple[Array, Array, Array]:
        """log of the mass of each part of a panel that `points`, ascending, leave whole.

        Also which part of the line it lies in, counted from 0, and which panel it is of; if asked,
        of one part of the line `only`.
        """
        first = np.searchsorted(points, self.lower, side="right")
        last = np.searchsorted(points, self.upper, side="left")
        whole, panel = np.asarray(first == last, dtype=bool), np.arange(len(first))
        if whole.all():
            return self.log_mass, first, panel
        k = np.repeat(panel[~whole], (last - first)[~whole] + 1)
        nth = np.arange(len(k)) - np.searchsorted(k, k)
        part, ends = first[k] + nth, np.append(points, points[-1:])
        stop = np.minimum(ends[part], self.upper[k])
        t = ((stop - self.lower[k]) - (self.upper[k] - stop)) / (self.upper[k] - self.lower[k])
        t = np.where(part == last[k], 1, t)
        start = np.where(nth == 0, -1, np.concatenate([t[:1], t[:-1]]))
        if only is not None:
            whole &= first == only
            k, part, t, start = (v[part == only] for v in (k, part, t, start))
        # Of log P: a part may hold less than the rounding of the panel's whole.
        log_p, wide = self.rule.coefficients @ self.log_density[:, k], (t - start) / 2
        at = start + wide * (1 + self.rule.nodes[:, None])
        at = chebyshev_sum(log_p, at.ravel(), np.tile(np.arange(len(k)), len(at))).reshape(at.shape)
        top = at.max(axis=0)
        mass = self.rule.integral @ (self.rule.coefficients @ exp(at - top))
        with np.errstate(divide="ignore"):
            parts = top + log(np.maximum(self.half[k] * wide * mass, 0))
        return (
            np.concatenate([self.log_mass[whole], parts]),
            np.concatenate([first[whole], part]),
            np.concatenate([panel[whole], k]),
        )

    def log_mass_between(self, low: Any, high: Any) -> Any:
        """log of the mass between two points, right to a part of `DEEP` of the whole."""
        if not low < high:
            return -math.inf
        logs, part, _ = self.masses_between(np.array([low, high], dtype=self.lower.dtype), only=1)
        return logsumexp(logs[part == 1])


def monotone_mesh(density: Weight, cuts: Array, depth: float | None = None) -> Mesh:
    """The mesh between `cuts`, ascending, which must include all turns of the density.

    Next to a tail that falls as a power nothing is left out: moments may need all of it.
    """
    whole = np.zeros(len(cuts) - 1, dtype=bool)
    below, above = density.tails
    whole[0], whole[-1] = below is not None, whole[-1] or above is not None
    depth = depth_of(density.sampling.arithmetic) if depth is None else depth
    level = LEVEL * nodes_in(density.sampling.arithmetic)
    return _on_panels(density, cuts, np.where(whole, np.inf, depth), level)


def mesh_between(density: Weight, cuts: Array) -> Mesh:
    """Panels for what lies between cuts, however little it is of all."""
    depth = np.full(len(cuts) - 1, depth_of(density.sampling.arithmetic))
    return _on_panels(density, cuts, depth, -1.0)


def log_masses(density: Weight, cuts: Array, mesh: Mesh | None = None) -> Array:
    """log of the mass between neighbouring cuts, ascending, which must include all turns.

    Between some, all that counts lies within a rounding of the end where log P is greater: there
    it is the density over its slope. The mesh is that between these cuts.
    """
    mesh = mesh_between(density, cuts) if mesh is None else mesh
    masses = np.full(len(cuts) - 1, -math.inf, dtype=cuts.dtype)
    logaddexp_at(masses, mesh.piece, mesh.log_mass)
    p, low, high = density.panels, cuts[:-1], cuts[1:]
    # What is next to an end belongs to the piece: beyond it W may jump.
    own = np.stack([p.panel_of(low), p.edges[1:-1].searchsorted(high)])
    at = p.place(np.stack([low, high]), own)
    values = chebyshev_sum(density.coefficients, at.ravel(), own.ravel()).reshape(at.shape)
    top = (values[1] >= values[0]).astype(int), np.arange(len(low))
    slope = np.abs(chebyshev_sum(density.derivative, at[top], own[top]))
    at = np.where(top[0], high, low)
    steep = np.asarray((slope * spacing(at) > 1) | (masses == -math.inf), dtype=bool)
    with np.errstate(over="ignore"):  # between subnormal numbers
        slope = np.maximum(slope, 1 / (high - low))[steep]
    masses[steep] = values[top][steep] - log(slope)
    return masses


def log_mass_between(density: Weight, low: Any, high: Any) -> Any:
    """The same between two points, whatever turns there are."""
    if not low < high:
        return -math.inf
    turns = density.turns
    cuts = np.concatenate([[low], turns[(turns > low) & (turns < high)], [high]])
    return logsumexp(log_masses(density, cuts))


def _on_panels(density: Weight, cuts: Array, depth: Array, level: float) -> Mesh:
    """The mesh of the panels that the density has, halved until they resolve P.

    They are cut at `cuts` where log P varies by more than `level`. What holds less than e^-depth
    of the most that a panel of its piece, between two cuts, holds is left out.
    """
    p = density.panels
    start, stop = cuts[0], cuts[-1]
    k = p.panel_of(cuts)
    outer = np.asarray((cuts == start) | (cuts == stop), dtype=bool)
    edges = p.edges[np.asarray((p.edges > start) & (p.edges < stop), dtype=bool)]
    edges = distinct(edges, cuts[outer | np.asarray(density.span[k] > level, dtype=bool)])
    lower, upper = edges[:-1], edges[1:]
    k = p.panel_of(lower)
    ends = density.at_ends(lower, upper, k)
    size = ends.max(axis=0) + log(upper - lower)
    # A panel with cuts in it belongs to the pieces at both of its ends.
    piece, other = np.searchsorted(cuts, lower, side="right") - 1, np.searchsorted(cuts, upper) - 1
    most = density.sampling.arithmetic.array(np.full(len(depth), -math.inf))
    # Where all cuts are made a panel may fall steeply, and hold what is next to its top alone.
    held = size if level >= 0 else size - log(np.maximum(np.abs(ends[1] - ends[0]), 1))
    np.maximum.at(most, piece, held)
    np.maximum.at(most, other, held)
    less = np.asarray(most[other] - depth[other] < most[piece] - depth[piece], dtype=bool)
    piece = np.where(less, other, piece)
    alive = np.asarray(size - most[piece] >= -depth[piece] - abs(level), dtype=bool)
    parts = lower[alive], upper[alive], piece[alive], k[alive]
    return _refined(density, *parts, most, depth, anew=level < 0)


def _refined(
    density: Weight,
    lower: Array,
    upper: Array,
    piece: Array,
    own: Array,
    most: Array,
    depth: Array,
    *,
    anew: bool,
) -> Mesh:
    """Panels, each within its `own` one of the density, halved until they resolve P.

    On halves log P is what it was on the whole, with the rounding of all that a steep panel spans;
    or it is evaluated `anew`.
    """
    arithmetic = density.sampling.arithmetic
    epsilon, r = arithmetic.epsilon, rule(nodes_in(arithmetic), arithmetic)
    complete = True
    most_slack = np.where(to_float(depth) <= depth_of(arithmetic), 100.0, 0.0)

    def judge(lower: Array, upper: Array, carried: tuple[Array, ...], full: bool) -> Any:
        nonlocal complete
        piece, k, *whole = carried
        if whole:
            closed = r.on_halves(whole[0][:, : len(k) // 2])
        else:
            closed = density.on_panels(lower, upper, r, k)
        log_p, ends, top = closed[1:-1], closed[[0, -1]], closed.max(axis=0)
        c = r.coefficients @ exp(log_p - top)
        size = np.abs(c)
        cut = size[-3:].max(axis=0)
        # Next to the ends there is no node.
        off = np.abs(np.stack(ends_of(c)) - exp(ends - top)).max(axis=0)
        with np.errstate(divide="ignore"):
            below = top + log(upper - lower) - most[piece]
        limit = (22.5 * epsilon + 2 * epsilon * np.abs(top)) * size.max(axis=0)
        if (cut > limit).any() or (off > AT_ENDS * limit).any():
            # The rounding of log P itself.
            limit = limit + epsilon * density.span[k] + density.noise[k] / 8
            # Far down a slope little depends on what little there is, unless more was asked for.
            slack = np.minimum(np.maximum(DEEP - to_float(below), 0), most_slack[piece])
            limit = limit * np.exp(slack)
        narrow = (upper - lower) <= 64 * spacing(np.maximum(np.abs(lower), np.abs(upper)))
        negligible = below < -depth[piece]
        complete = complete and not full
        fine = (cut <= limit) & (off <= AT_ENDS * limit)
        good = fine | narrow | full
        cut = np.where(fine | narrow, cut, np.maximum(cut, off))
        again, inherited = ~good & ~negligible, [piece, k]
        if not anew:
            inherited.append(np.zeros_like(c))
            inherited[-1][:, again] = r.coefficients @ log_p[:, again]
        return (piece, top, log_p, c, cut), good & ~negligible, again, tuple(inherited)

    most_panels = MOST_PANELS + 2 * len(lower)
    found = halved(judge, lower, upper, (piece, own), max_panels=most_panels)
    return Mesh(complete, *found)
