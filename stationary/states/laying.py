"""`mesh_on`: panels laid along a stretch of the line, cut to where scale and speed rise gently."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from stationary.aliases import Array
from stationary.line.chart import Chart
from stationary.line.digits import ACCURACY
from stationary.line.ends import Anatomy, rise_beyond
from stationary.numbers.arithmetic import DOUBLE, Arithmetic, many_digits
from stationary.numbers.chebyshev import chebyshev_sum, nodes_of, rule
from stationary.numbers.elementary import (
    as_array,
    converted,
    depth_of,
    distinct,
    infinite,
    log,
    magnitude,
    number,
    spacing,
    to_float,
)
from stationary.panels.pieces import Panels, summed_from
from stationary.states.scales import BY_PANEL, LEVEL, STEEPEST, SUDDEN, Mesh, among

SPARE = 30  # digits of levels beyond the largest exponent


def shapes_of(pieces: tuple[Anatomy, ...]) -> Arithmetic:
    """What shapes are computed in: doubles, unless more digits than these have are asked for."""
    most = max((p.sampling.arithmetic for p in pieces), key=lambda a: a.digits)
    return DOUBLE if most.accuracy <= ACCURACY + 1 else most


def mesh_on(
    pieces: tuple[Anatomy, ...],
    ends: tuple[Any, Any],
    given: tuple[list[Any], list[Any]],
    memory: dict[int, Mesh],
    leaves: tuple[bool, bool] = (True, True),
) -> Mesh:
    """Panels between two ends (None: as far as there are any) on neighbouring pieces.

    `leaves` says by which ends it is left: from elsewhere nobody comes to the other one.

    `given` is where they are cut, and where finely. `memory` keeps what was known before.
    """
    arithmetic = max((p.sampling.arithmetic for p in pieces), key=lambda a: a.digits)
    numbers, n = shapes_of(pieces), max(len(p.sampling.h) for p in pieces)
    if arithmetic is not numbers:  # what adds up to a large exponent keeps its own digits
        bits = max(magnitude(p.sampling.climb[1]).max(initial=0.0) for p in pieces)
        arithmetic = many_digits(max(arithmetic.digits, math.ceil(bits * math.log10(2)) + SPARE))
    for i, p in enumerate(pieces):
        edges, first_and_last = _edges_on(p, ends, given, numbers, n)
        lower, upper = edges[:-1], edges[1:]
        new = np.ones(len(lower), dtype=bool)
        if i in memory:
            new = ~among(lower, upper, memory[i].lower, memory[i].upper)
        block = _block(p, lower[new], upper[new], first_and_last, arithmetic, numbers, n)
        memory[i] = block.beside(memory[i], lower, upper) if i in memory else block
    held = [i for i in range(len(pieces)) if len(memory[i].lower)]
    blocks = [memory[i] for i in held]
    gaps: dict[int, Any] = {}
    count = 0
    jumps = []  # of Phi, before each panel
    doubts: dict[int, Any] = {}  # of some of these
    for i, b in enumerate(blocks):
        jump = np.zeros_like(b.middle)
        if i:
            gaps[count] = b.ends[0]
            (up, off), (on, more) = (
                rise_beyond(pieces[held[k]], side) for k, side in ((i - 1, 1), (i, 0))
            )
            jump[0] = number(converted(np.array([up + on]), arithmetic)[0])
            doubts[count] = number(converted(np.array([off + more]), numbers)[0])
        jumps.append(jump)
        count += len(b.lower)
    whole: dict[str, Any] = {
        name: np.concatenate([getattr(b, name) for b in blocks], axis=-1) for name in BY_PANEL
    }
    for k, doubt in doubts.items():
        whole["step_error"][k] += doubt
    rises = whole["rises"][1] - whole["rises"][0]
    levels = _levels(rises, np.concatenate(jumps), leaves, arithmetic)
    start = whole["rises"][0].copy()
    whole["middle"] = whole["middle"] + (levels - start)
    whole["rises"] = whole["rises"] + (levels - start)
    ends = blocks[0].ends[0], blocks[-1].ends[1]
    if blocks[0].lower[0] != ends[0]:
        gaps[0] = ends[0]
    if blocks[-1].upper[-1] != ends[1]:
        gaps[count] = ends[1]
    origin = blocks[-1].origin if infinite(ends[1]) else blocks[0].origin
    return replace(blocks[0], **whole, ends=ends, gaps=gaps, origin=origin)


def _levels(rises: Array, jumps: Array, leaves: tuple[bool, bool], arithmetic: Arithmetic) -> Array:
    """Phi at the lower edge of each panel, 0 where it is least: there the scale is greatest.

    Summed from there on, so that it is least rounded where that matters. Between the highest Phi
    and an end that nobody leaves by it does not.
    """
    wide: Any = np.longdouble if arithmetic is DOUBLE else object

    def summed(start: int) -> Array:
        return summed_from(start, rises[:-1] + jumps[1:], wide).astype(rises.dtype)

    first, last = 0, len(rises)
    if not all(leaves):
        highest = _settled(lambda k: np.argmax(np.maximum(v := summed(k), v + rises)), len(rises))
        first, last = 0 if leaves[0] else highest, last if leaves[1] else highest + 1

    def lowest(k: int) -> Any:
        levels = summed(k)
        return first + np.argmin(np.minimum(levels, levels + rises)[first:last])

    return as_array(summed(_settled(lowest, len(rises), first)))


def _settled(found: Callable[[int], Any], most: int, start: int = 0) -> int:
    """The panel that is found from itself: from far off sums are too blurred to see it."""
    for _ in range(most):
        if (one := int(found(start))) == start:
            break
        start = one
    return start


def _edges_on(
    piece: Anatomy,
    wanted: tuple[Any, Any],
    given: tuple[list[Any], list[Any]],
    numbers: Arithmetic,
    n: int,
) -> tuple[Array, tuple[Any, Any]]:
    """The edges of panels on a piece, and where what they cover ends."""
    found = piece.sampling
    own, panels = found.arithmetic, found.panels
    first, last = found.interval
    low, high = (None if x is None else number(own.array([x])[0]) for x in wanted)
    inner_low = found.lower if low is None else max(low, found.lower)
    inner_high = found.upper if high is None else min(high, found.upper)
    ends = (first if low is None else max(low, first), last if high is None else min(high, last))
    if not inner_low < inner_high:
        return panels.edges[:0], ends

    def inside(points: list[Any]) -> list[Any]:
        exact = own.array(np.array(points, dtype=object)) if points else ()
        return [x for x in map(number, exact) if inner_low < x < inner_high]

    turns = inside([e.place for e in piece.equilibria])
    # Where the panels stop before an end, nothing begins.
    turns += [x for x, end in zip((inner_low, inner_high), ends, strict=True) if x == end]
    both = own.array(np.array([inner_low, inner_high, *turns], dtype=object))
    edges = panels.edges[(panels.edges > inner_low) & (panels.edges < inner_high)]
    edges = distinct(edges, both)
    cuts, marks = map(inside, given)
    # Below n^2 / 8 e-folds a polynomial follows solutions that do not vary slowly, too.
    steep = max(2 * depth_of(numbers), n * n / 8)
    followed = steep, LEVEL * n, SUDDEN / numbers.epsilon
    edges = _graded(panels, found.climb[0], edges, turns, marks, followed, own)
    return (distinct(edges, own.array(np.array(cuts, dtype=object))) if cuts else edges), ends


def _block(
    piece: Anatomy,
    lower: Array,
    upper: Array,
    ends: tuple[Any, Any],
    arithmetic: Arithmetic,
    numbers: Arithmetic,
    n: int,
) -> Mesh:
    """What is known on some panels of a piece; Phi counts from the lower edge of each."""
    found = piece.sampling
    own, panels = found.arithmetic, found.panels
    r = rule(n, own)
    at = panels.panel_of(lower)
    # Most panels are those of the sampling: their values are known.
    same = (lower == panels.lower[at]) & (upper == panels.upper[at]) & (n == len(found.h))
    x, offset = nodes_of(lower, upper, r)
    slope, log_a = np.empty_like(x), np.empty_like(x)
    for made, v, c in zip((slope, log_a), found.samples.values, (found.h, found.ell), strict=True):
        made[:, same] = v[:, at[same]]
        if not same.all():
            other = x[:, ~same], None if offset is None else offset[:, ~same]
            made[:, ~same] = panels.evaluate(c, *other)
    # Integrated again on each panel, so that a large exponent does not round what it rises there.
    half = (upper - lower) / 2
    phi = half * (r.antiderivative @ (r.coefficients @ slope))
    middle = phi[0].copy()
    rises = np.stack([0 * middle, phi.sum(axis=0)])
    phi[0] = 0 * middle
    excess = 0 * half
    if numbers is DOUBLE and own is not DOUBLE:
        # Shapes that no double holds keep their form.
        most = np.maximum(np.abs(phi).sum(axis=0), np.abs(slope).max(axis=0))
        factor = np.maximum(most / STEEPEST, 1)
        phi, slope, excess = phi / factor, slope / factor, log(factor)
    steps = np.minimum((found.climb_errors / panels.half)[at] * half, STEEPEST)
    closest = spacing(np.maximum(np.abs(lower), np.abs(upper)))
    many = phi, slope, excess, log_a, half, steps, closest
    phi, slope, excess, log_a, half, steps, closest = (converted(v, numbers) for v in many)
    span = np.abs(phi).sum(axis=0)
    cut = converted(np.where(found.samples.resolved, 4, 32) * found.samples.tails[1], numbers)
    return Mesh(
        arithmetic,
        numbers,
        converted(lower, arithmetic),
        converted(upper, arithmetic),
        half,
        closest,
        converted(middle, arithmetic),
        phi,
        converted(rises, arithmetic),
        slope,
        excess,
        log_a,
        steps if own is DOUBLE or numbers is not DOUBLE else steps + numbers.epsilon * span / 4,
        cut[at] + numbers.epsilon * (1 + np.abs(log_a).max(axis=0, initial=0)),
        (number(arithmetic.array([ends[0]])[0]), number(arithmetic.array([ends[1]])[0])),
        {},
        found.diffusion.convention.value,
        Chart.of(found.diffusion, 1 if infinite(ends[1]) else 0, arithmetic).anchor,
    )


def _graded(
    panels: Panels,
    phi: Array,
    edges: Array,
    turns: list[Any],
    marks: list[Any],
    followed: tuple[float, float, Any],
    arithmetic: Arithmetic,
) -> Array:
    """The edges, cut so that Phi (coefficients `phi`) rises gently over a panel, or steeply.

    Panels on which it would take too many keep their length, but for the part next to where the
    process turns, or where more begins to be collected than has been. `followed`: from how many
    e-folds a panel is steep, what is gentle, and what no mark can be seen in.
    """
    steep, level, sudden = followed
    local = np.concatenate([0 * phi[:1], phi[1:]])
    inside = rule(20).closed[:, None]
    shape = np.clip(to_float(local), -STEEPEST, STEEPEST)

    def rise(lower: Array, upper: Array) -> Array:
        """To see how steep it is, doubles do; what they cannot hold is steep."""
        k, t = panels.locate((lower + upper) / 2)
        wide = to_float((upper - lower) / (2 * panels.half[k]))
        at = np.clip(to_float(t) + wide * inside, -1, 1)
        values = chebyshev_sum(shape, at.ravel(), np.tile(k, len(inside))).reshape(at.shape)
        return as_array(values.max(axis=0) - values.min(axis=0))

    for sharp, last in ((turns, math.inf), (marks, 2 * steep)):
        if not sharp:
            continue
        points = arithmetic.array(np.array(sharp, dtype=object))
        edges = distinct(edges, points)
        marked = np.isin(edges, points)
        lower, upper = edges[:-1], edges[1:]
        rises, new = rise(lower, upper), [edges]
        for at_left in (True, False):
            near = marked[:-1] if at_left else marked[1:]
            for i in np.flatnonzero((rises > steep) & near):
                if last < math.inf and rises[i] > sudden:
                    continue  # within a rounding
                # At its ends a polynomial of degree n is up to n^2 times as steep as in the mean.
                count = math.ceil(math.log2(len(phi) ** 2 * rises[i] / level))
                d = (upper[i] - lower[i]) * arithmetic.array(0.5 ** np.arange(1, count))
                x = lower[i] + d if at_left else upper[i] - d
                k = panels.panel_of(lower[i : i + 1])
                x = np.append(x, edges[i : i + 1] if at_left else edges[i + 1 : i + 2])
                a, b = panels.lower[k], panels.upper[k]
                values = chebyshev_sum(local, ((x - a) - (b - x)) / (b - a), np.repeat(k, len(x)))
                risen = to_float(np.abs(values[:-1] - values[-1]))
                new.append(x[:-1][(risen > level / 4) & (risen < last)])
        edges = distinct(*new)
    for _ in range(3):  # a panel on which Phi turns may rise by more than its part
        lower, upper = edges[:-1], edges[1:]
        rises = rise(lower, upper)
        parts = np.where((rises > level) & (rises <= steep), np.ceil(rises / level), 1).astype(int)
        if (parts == 1).all():
            break
        owner = np.repeat(np.arange(len(parts)), parts)
        nth = np.arange(len(owner)) - np.repeat(np.cumsum(parts) - parts, parts)
        inner = lower[owner] + (upper - lower)[owner] * nth / parts[owner]
        edges = distinct(inner, edges[-1:])
    return as_array(edges)
