"""Integrals of exp(log P), on a mesh that is fine only where P is.

The line is cut into pieces on which log P is monotone. On each, the mesh starts at the upper
end, with the panels on which a Gaussian (or an exponential) of the local width would fall by a
factor e^4 each, is halved where that guess does not resolve P, and stops where P has fallen by
e^45. Its cost hardly depends on how narrow the peaks are.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

import numpy as np

from stationary.aliases import Array
from stationary.line.sampled import nodes_in
from stationary.numbers.arithmetic import DOUBLE, Arithmetic
from stationary.numbers.chebyshev import Rule, chebyshev_sum, nodes_of, rule
from stationary.numbers.elementary import (
    arithmetic_of,
    as_array,
    depth_of,
    exp,
    finite,
    log,
    logaddexp_at,
    smallest_of,
    spacing,
    sqrt,
    to_float,
)
from stationary.panels.halving import halved
from stationary.weight.weight import Weight

LEVEL_IN_DIGITS = 0.3  # the same per node, where there are more
MAX_PANELS = 20000
SMALLEST_SHARE = 1e-300  # of a piece, in which its whole mass may lie
HIGHEST = 600.0  # of log P above its top at the nodes, so that no double overflows
LEVEL = 4.0  # the fall of log P over a panel of 20 nodes
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

    def beside(self, more: Mesh) -> Mesh:
        """The panels of both, in order."""
        order = np.argsort(np.concatenate([self.lower, more.lower]), kind="stable")
        names = [f.name for f in fields(Mesh)[1:]]
        pairs = ((getattr(self, n), getattr(more, n)) for n in names)
        both = (np.concatenate(pair, axis=-1)[..., order] for pair in pairs)
        return Mesh(self.complete and more.complete, *both)

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
        return as_array(self.top + log(self.half * (self.rule.integral @ self.coefficients)))

    def masses_between(self, points: Array) -> tuple[Array, Array, Array]:
        """log of the mass of each part of a panel that `points`, ascending, leave whole.

        Also which part of the line it lies in, counted from 0, and which panel it is of.
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
        # Of log P: a part may hold less than the rounding of the panel's whole.
        log_p, wide = self.rule.coefficients @ self.log_density[:, k], (t - start) / 2
        at = np.stack([chebyshev_sum(log_p, start + wide * (1 + u)) for u in self.rule.nodes])
        top = at.max(axis=0)
        mass = self.rule.integral @ (self.rule.coefficients @ exp(at - top))
        with np.errstate(divide="ignore"):
            parts = top + log(np.maximum(self.half[k] * wide * mass, 0))
        return (
            np.concatenate([self.log_mass[whole], parts]),
            np.concatenate([first[whole], part]),
            np.concatenate([panel[whole], k]),
        )


def level_of(arithmetic: Arithmetic) -> tuple[float, int]:
    """How far log P should fall over one panel, and how many of these reach its depth."""
    if arithmetic is DOUBLE:
        return LEVEL, 13
    level = LEVEL_IN_DIGITS * nodes_in(arithmetic)
    return level, math.ceil(depth_of(arithmetic) / level) + 1


def monotone_mesh(density: Weight, cuts: Array, depth: float | None = None) -> Mesh:
    """The mesh between `cuts`, ascending, which must include all turns of the density.

    Next to a tail that falls as a power nothing is left out: moments may need all of it.
    """
    whole = np.zeros(len(cuts) - 1, dtype=bool)
    below, above = density.tails
    whole[0], whole[-1] = below is not None, whole[-1] or above is not None
    depth = depth_of(density.sampling.arithmetic) if depth is None else depth
    depths = np.where(whole, np.inf, depth)
    if density.sampling.arithmetic is DOUBLE and len(cuts) > 1:
        return _on_panels(density, cuts, depths)
    return mesh_on(density, cuts[:-1], cuts[1:], depths)


def _on_panels(density: Weight, cuts: Array, depth: Array) -> Mesh:
    """The mesh of the panels that the density has, cut at `cuts` where it matters."""
    p = density.panels
    first, last = density.edge_values
    size = np.maximum(first, last) + np.log(p.upper - p.lower)
    # A panel with cuts in it belongs to the pieces at both of its ends.
    piece = np.searchsorted(cuts, p.lower, side="right") - 1
    other = np.searchsorted(cuts, p.upper) - 1
    most = np.full(len(depth), -math.inf)
    np.maximum.at(most, piece, size)
    np.maximum.at(most, other, size)
    split = (piece != other) & (density.span > LEVEL)
    piece = np.where(most[other] - depth[other] < most[piece] - depth[piece], other, piece)
    alive = size - most[piece] >= -depth[piece] - LEVEL
    whole, split = alive & ~split, alive & split
    lower, upper = p.lower[whole], p.upper[whole]
    if split.any():
        edges = np.unique(np.concatenate([p.lower[split], p.upper[split], cuts]))
        middle = (edges[1:] + edges[:-1]) / 2
        mine = split[p.locate(middle)[0]]
        lower = np.concatenate([lower, edges[:-1][mine]])
        upper = np.concatenate([upper, edges[1:][mine]])
        piece = np.concatenate([piece[whole], np.searchsorted(cuts, middle[mine]) - 1])
    else:
        piece = piece[whole]
    return _refined(density, lower, upper, piece, most, depth)


def log_masses(density: Weight, cuts: Array) -> Array:
    """log of the mass between neighbouring cuts, ascending, which must include all turns.

    Between some, all that counts lies within a few roundings of the end where log P is greater:
    there it is the density over its slope.
    """
    mesh = mesh_on(density, cuts[:-1], cuts[1:], depth_of(density.sampling.arithmetic))
    masses = np.full(len(cuts) - 1, -math.inf, dtype=cuts.dtype)
    logaddexp_at(masses, mesh.piece, mesh.log_mass)
    lost = np.flatnonzero(np.asarray(masses == -math.inf, dtype=bool))
    if lost.size:
        low, high = cuts[:-1][lost], cuts[1:][lost]
        left, right = density.inside(low), density.inside(high)
        at = np.where(left > right, low, high)
        slope = np.abs(density.panels.evaluate(density.derivative, at))
        masses[lost] = np.maximum(left, right) - log(np.maximum(slope, 1 / (high - low)))
    return masses


def mesh_on(density: Weight, low: Array, high: Array, depth: float | Array) -> Mesh:
    """The mesh on pieces [low, high], on each of which log P is monotone.

    Panels with less than e^-depth of the mass of their piece are left out.
    """
    arithmetic = density.sampling.arithmetic
    level, levels = level_of(arithmetic)
    length = high - low
    nudge = np.minimum(1e-6 * length, 4 * spacing(np.stack([low, high])))
    left, right = np.split(density.inside(np.concatenate([low + nudge[0], high - nudge[1]])), 2)
    rising = right > left
    summit = np.where(rising, high, low)
    toward = np.where(rising, -1, 1)
    ceiling = np.maximum(left, right)

    # Where P has fallen by so much: slope r + curve r^2 / 2 of its logarithm, from the top down.
    at = np.where(rising, high - nudge[1], low + nudge[0])
    slope = np.abs(density.panels.evaluate(density.derivative, at))
    curve, k = np.abs(density.bend(at)), level * np.arange(1, levels + 1)[:, None]
    with np.errstate(all="ignore"):
        t = 2 * k / (slope + np.maximum(slope, sqrt(2 * curve * k)))
    least = np.maximum(4 * spacing(summit), SMALLEST_SHARE * length)
    t = np.minimum(np.where(finite(t), np.maximum(t, least * (k / level)), length), length)
    t = np.concatenate([(0 * length)[None], t])
    # t[1] is about the width of the piece's mass.
    most = ceiling + log(np.maximum(t[1], smallest_of(arithmetic)))
    # What remains is far down a slope, or a heavy tail: panels that double.
    ratio = to_float(np.maximum(length / t[-1], 1)) if len(length) else np.ones(1)
    doublings = math.ceil(np.log2(ratio).max(initial=0.0))
    beyond = np.minimum(t[-1] * 2.0 ** np.arange(1, doublings + 1)[:, None], length)
    edges = summit + toward * np.concatenate([t, beyond])
    edges = np.minimum(np.maximum(edges, low), high)
    edges[-1] = np.where(rising, low, high)
    height = np.concatenate(
        [ceiling[None], density.inside(edges[1:-1]), (left + right - ceiling)[None]]
    )
    start, stop, drop = edges[:-1], edges[1:], height[:-1] - height[1:]
    width = np.abs(stop - start)
    with np.errstate(divide="ignore"):
        alive = height[:-1] + log(width) > most - depth
    keep = (width > 4 * spacing(summit)) & alive
    piece = np.broadcast_to(np.arange(len(low)), start.shape)[keep]
    # Cut again where the guess was wrong and P falls by more than it should on one panel.
    parts = to_float(np.minimum(np.maximum(drop[keep] / level, 1), levels))
    count = np.ceil(parts).astype(int)
    owner = np.repeat(np.arange(len(count)), count)
    nth = np.arange(len(owner)) - np.repeat(np.cumsum(count) - count, count)
    begin, end = start[keep][owner], stop[keep][owner]
    stride, count = (end - begin) / count[owner], count[owner]
    first, last = (np.where(n == count, end, begin + n * stride) for n in (nth, nth + 1))
    lower, upper = np.minimum(first, last), np.maximum(first, last)
    depths = np.broadcast_to(depth, len(most))
    return _refined(density, lower, upper, piece[owner], most, depths)


def _refined(
    density: Weight, lower: Array, upper: Array, piece: Array, most: Array, depth: Array
) -> Mesh:
    """Panels, halved until they resolve P down to e^-depth of the most that a piece holds."""
    arithmetic = density.sampling.arithmetic
    epsilon, r = arithmetic.epsilon, rule(nodes_in(arithmetic), arithmetic)
    complete = True
    most_slack = np.where(to_float(depth) <= depth_of(arithmetic), 100.0, 0.0)

    def judge(lower: Array, upper: Array, carried: tuple[Array, ...], full: bool) -> Any:
        nonlocal complete
        (piece,) = carried
        k, _ = density.panels.locate((lower + upper) / 2)
        p = density.panels
        own = np.asarray((p.lower[k] == lower) & (p.upper[k] == upper), dtype=bool)
        log_p = density.at_nodes(lower, upper, r, k, own)
        top = np.maximum.reduce(log_p, initial=-math.inf)
        c = r.coefficients @ exp(log_p - top)
        size = np.abs(c)
        cut = np.maximum.reduce(size[-3:])
        off = _off_at_ends(density, lower, upper, c, top, k if own.all() else None)
        with np.errstate(divide="ignore"):
            below = top + log(upper - lower) - most[piece]
        limit = (22.5 * epsilon + 2 * epsilon * np.abs(top)) * np.maximum.reduce(size)
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
        found = (piece, top, log_p, c, cut)
        return found, good & ~negligible, ~good & ~negligible, carried

    found = halved(judge, lower, upper, (piece,), max_panels=MAX_PANELS)
    return Mesh(complete, *found)


def _off_at_ends(
    density: Weight, lower: Array, upper: Array, c: Array, top: Array, k: Array | None
) -> Array:
    """By how much the polynomials miss P / exp(top) next to the ends of their panels.

    A corner between an end and the first node does not show in the coefficients. `k` says which
    panels of the density they are, if all are.
    """
    if not len(lower):
        return top
    if k is not None:
        logs = np.stack([v[k] for v in density.edge_values])
        odd, even = c[1::2].sum(axis=0), c[::2].sum(axis=0)
        inside = np.stack([even - odd, even + odd])
    else:
        width = upper - lower
        inner = np.minimum(4 * spacing(np.maximum(np.abs(lower), np.abs(upper))), width / 16)
        near = np.stack([lower + inner, upper - inner])
        t = ((near - lower) - (upper - near)) / np.where(width > 0, width, 1)
        logs = density.inside(near)
        inside = np.stack([chebyshev_sum(c, at) for at in t])
    return as_array(np.abs(inside - exp(np.minimum(logs - top, HIGHEST))).max(axis=0))
