"""`grown`: a sampling followed octave by octave towards an end that the process itself settles."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from stationary.aliases import Array
from stationary.errors import NotFiniteError
from stationary.line.chart import OCTAVES, Chart
from stationary.line.sampled import (
    VanishingVarianceError,
    coefficients_at,
    is_essential,
    nodes_between,
    sampled,
    usable,
)
from stationary.numbers.arithmetic import DOUBLE, Arithmetic
from stationary.numbers.chebyshev import rule
from stationary.numbers.elementary import (
    arithmetic_of,
    as_array,
    depth_of,
    distinct,
    finite,
    log,
    number,
    sqrt,
)
from stationary.panels.pieces import Samples
from stationary.process.diffusion import Diffusion
from stationary.process.ends import size_of_end

SLOW_OCTAVES = 900  # where r 2 f / a still changes after that many
BATCH = 12  # octaves that are sampled before looking whether more are needed; fewer at first
FALLEN = 1.0 - math.log(math.ulp(0.0))  # its exponential is below the smallest double
MARGIN = 100.0  # by which sampling goes deeper than any mass is followed
OUTERMOST = 16  # panels; beyond them all is unresolved if all of them are
STEEP = 4.0  # e-folds of the density in an octave: more than a power that matters


def grown(
    diffusion: Diffusion,
    pieces: list[Samples],
    side: int,
    max_panels: int,
    complete: bool,
    strength: float,
) -> tuple[list[Samples], bool]:
    """`pieces` (left to right) extended octave by octave towards an open end.

    Also whether this ended because the density had become negligible.
    """
    here = pieces[0].lower[0] if side == 0 else pieces[-1].upper[-1]
    arithmetic = arithmetic_of(here)
    end, chart = number(diffusion.end(side, arithmetic)), Chart.of(diffusion, side, arithmetic)
    anchor, outward = chart.anchor, chart.outward
    if here == end:  # by rounding, far from 0: nothing lies between
        return pieces, False
    octaves, enough = SLOW_OCTAVES, OCTAVES
    cuts = np.array([0.0, 0.5])  # of an octave
    if arithmetic is not DOUBLE:
        # Corrections to a power are known to first order in r (or 1 / r).
        enough = math.ceil(arithmetic.accuracy * math.log2(10) / 2) + 8
        octaves, cuts = max(octaves, 2 * enough), cuts[:1]
    size = 0.0 if outward else size_of_end(diffusion, side)
    if size:
        # Near an end at e, a double knows x - e to about 1e-16 e only.
        least = math.sqrt(diffusion.grain) if arithmetic is DOUBLE else sqrt(arithmetic.grain)
        octaves = max(2, math.floor(log(chart.distance(here) / (least * size)) / math.log(2)))
    done, batch = 0, BATCH // 4
    while True:
        log_mass = _log_mass_inwards(diffusion, pieces, anchor, side, strength)
        fallen = not complete and _has_fallen(log_mass, outward)
        if fallen and _falls_on(diffusion, here, chart, end):
            return pieces, True
        if done >= octaves or (done >= enough and _is_a_power(pieces, anchor, side)):
            return pieces, False
        count = min(batch, octaves - done)
        batch = min(2 * batch, BATCH)
        x = chart.onwards(here, np.append(np.add.outer(np.arange(count), cuts), float(count)))
        x[0] = here
        known = usable(diffusion, x)
        if known < 2:
            x = _last_usable(diffusion, here, x[1]) if outward else x[:1]
            known = len(x)
            count = 0
        if known < 2:
            return pieces, False
        if not outward or arithmetic is not DOUBLE:
            # (Doubles have few octaves, and exponents may have to be read from them.)
            essential = is_essential(diffusion, x[: 2 if arithmetic is DOUBLE else known], anchor)
            if essential[0]:
                return pieces, False
            known = 1 + int(np.argmax(essential)) if essential.any() else known
        try:
            piece = _on_octaves(diffusion, x[:known], max(200, max_panels // 8))
        except (NotFiniteError, VanishingVarianceError) as met:
            # Zeros of the variance are known: beside one, digits of a given number have cancelled.
            cancelled = isinstance(met, VanishingVarianceError)
            if outward is cancelled or (cancelled and arithmetic is DOUBLE):
                raise
            if not cancelled and not _is_lost_from(diffusion, chart, met.near):
                raise
            nearer = chart.distance(x) < chart.distance(met.near) / 2
            known, count = int(np.count_nonzero(nearer)), 0
            if known < 2:
                return pieces, False
            piece = _on_octaves(diffusion, x[:known], max(200, max_panels // 8))
        pieces = [piece, *pieces] if side == 0 else [*pieces, piece]
        here = number(x[known - 1])
        done += count
        # It oscillates faster than can be followed, or is what rounding leaves of equal gradients.
        outermost = slice(OUTERMOST) if side == 0 else slice(-OUTERMOST, None)
        lost = outward and not piece.resolved[outermost].any()
        if count == 0 or lost:
            log_mass = _log_mass_inwards(diffusion, pieces, anchor, side, strength)
            fallen = _has_fallen(log_mass, outward)
            return pieces, fallen and _falls_on(diffusion, here, chart, end)


def _on_octaves(diffusion: Diffusion, x: Array, max_panels: int) -> Samples:
    """What is sampled between points, in either order, and breakpoints between them."""
    ordered = np.sort(x)
    extra = [b for b in diffusion.breakpoints if ordered[0] < b < ordered[-1]]
    if extra:
        ordered = distinct(ordered, arithmetic_of(x).array(extra))
    return sampled(diffusion, ordered[:-1], ordered[1:], max_panels)


def _is_lost_from(diffusion: Diffusion, chart: Chart, near: float) -> bool:
    """Whether functions that are no numbers somewhere far out are none anywhere further out.

    Some octaves further: by rounding they may be for a while.
    """
    x = chart.onwards(near, 4 + np.arange(OCTAVES) / 2)
    f, a = coefficients_at(diffusion, x)
    return not (finite(x) & finite(f) & finite(a)).any()


def _falls_on(diffusion: Diffusion, here: Any, chart: Chart, end: Any) -> bool:
    """Whether the drift points away from the end everywhere beyond `here` that doubles reach."""
    x = chart.onwards(here, np.arange(1, 4 * OCTAVES) / 4)
    marks = [b for b in diffusion.breakpoints if min(here, end) < b < max(here, end)]
    if marks:
        between = nodes_between(np.sort(np.append(marks, float(here))))
        x = np.concatenate([x, arithmetic_of(x).array(between)])
    f, a = coefficients_at(diffusion, x)
    towards_end = f * chart.sign * (1 if chart.outward else -1)
    known = finite(f) & finite(a) & (a > 0)
    return not (towards_end[known] > 0).any()


def _is_a_power(pieces: list[Samples], anchor: Any, side: int) -> bool:
    """Whether r 2 f / a and the power of a have settled on the outermost octaves."""
    piece = pieces[0] if side == 0 else pieces[-1]
    h, lower, upper = piece.values[0], piece.lower, piece.upper
    if len(lower) < 8:
        return False
    nodes = rule(len(h), arithmetic_of(lower)).nodes[:, None]
    x = lower + (upper - lower) * ((1 + nodes) / 2)
    r = np.abs(x - anchor)
    c, error = (h * r).mean(axis=0), (piece.tails[0] * r).max(axis=0)
    i, j = (0, 7) if side == 0 else (-1, -8)
    last, before = c[i], c[j]
    if abs(last) > 1e3 and abs(last) > 4 * abs(before):
        return True  # beyond all powers
    edges = np.abs(np.stack([lower[[i, j]], upper[[i, j]]]) - anchor)
    if (edges == 0).any():
        return False
    log_a, rounding = np.stack([v[[i, j]] for v in piece.at_edges[1]]), piece.tails[1][[i, j]]
    power = np.diff(log_a, axis=0)[0] / np.diff(log(edges), axis=0)[0]
    rounding = 8 * rounding + 32 * arithmetic_of(lower).epsilon * np.abs(log_a).max(axis=0)
    change, of_a = abs(last - before), abs(power[0] - power[1])
    # Next to any other point doubles lose the distance, and with it the power of a.
    blurred = anchor != 0 and edges.max() < abs(anchor)
    return bool(
        change <= 1e-12 * (1 + abs(last)) + error[i] + error[j]
        and (blurred or of_a <= 1e-12 * (1 + abs(power[0])) + rounding.sum())
    )


def _last_usable(diffusion: Diffusion, inside: Any, outside: Any) -> Array:
    """Points from `inside` to the last place before `outside` that the arithmetic can carry."""
    first = inside
    for _ in range(8):
        middle = (inside + outside) / 2
        if usable(diffusion, np.array([middle])):
            inside = middle
        else:
            outside = middle
    return first + (inside - first) * (np.arange(9) / 8) if inside != first else np.array([first])


def _log_mass_inwards(
    diffusion: Diffusion, pieces: list[Samples], anchor: Any, side: int, strength: float
) -> Array:
    """log of what an octave of the distance holds, at the edges of panels from an end inwards.

    log P, up to a constant, is summed from the end on, where its changes are not to be lost beside
    those elsewhere.
    """
    rises = np.concatenate([p.integrals[0] for p in pieces])
    if side == 0:
        phi = np.concatenate([0 * rises[:1], np.cumsum(rises)])
    else:
        phi = -np.concatenate([0 * rises[:1], np.cumsum(rises[::-1])])[::-1]
    last = pieces[-1].at_edges[1][1][-1:]
    log_a = np.concatenate([*(p.at_edges[1][0] for p in pieces), last])
    x = np.concatenate([*(p.lower for p in pieces), pieces[-1].upper[-1:]])
    log_density = strength * phi - (1 - diffusion.convention.value) * log_a
    log_mass = log_density + log(np.maximum(np.abs(x - anchor), 2.0**-1000))
    return as_array(log_mass if side == 0 else log_mass[::-1])


def depth_to_nothing(arithmetic: Arithmetic) -> float:
    """How far the density has fallen where nothing is left that the arithmetic could show."""
    return max(FALLEN, depth_of(arithmetic) + MARGIN)


def _has_fallen(log_mass: Array, outward: bool) -> bool:
    """Whether what lies beyond holds no probability that the arithmetic could show."""
    arithmetic = arithmetic_of(log_mass)
    steepness = log_mass[1] - log_mass[0]
    falling = steepness > (2.0 if outward else STEEP)
    if not outward:  # the nearest peak may be e^-750 of another, and yet be left by way of the end
        nearest = log_mass[int(np.argmax(np.append(np.diff(log_mass) < 0, True)))]
        falling &= log_mass[0] < nearest - depth_of(arithmetic)
    return bool(falling and log_mass[0] < log_mass.max() - depth_to_nothing(arithmetic))
