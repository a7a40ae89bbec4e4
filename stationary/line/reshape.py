"""A sampling changed by copy: further out, on less, cut at peaks, mirrored, unrolled."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np

from stationary.aliases import Array
from stationary.functions.given import Boundary
from stationary.line.chart import OCTAVES
from stationary.line.sampled import is_essential, sampled, usable
from stationary.line.sampling import Sampling
from stationary.numbers.arithmetic import DOUBLE, Arithmetic
from stationary.numbers.elementary import distinct, finite, number, spacing
from stationary.panels.pieces import Samples
from stationary.process.known import Shared, share_of
from stationary.process.laws import MORE_PANELS

GENTLE = 16.0  # e-folds across a panel, which are then known to 16 roundings of 1, as a density is
TO_WALLS = 32  # panels of an octave in front of a wall: none is missed that a scan would have seen


def extended(found: Sampling, side: int, octaves: int) -> Sampling:
    """The sampling that many octaves further out, or in, or as far as doubles carry it.

    The panels are halves of octaves, counted from where it stopped, or less on the way to a wall.
    """
    diffusion = found.diffusion
    here, chart = found.lower if side == 0 else found.upper, found.chart(side)
    x = chart.onwards(here, np.arange(2 * octaves + 1) / 2)
    x = x[finite(x) & np.asarray(x != chart.anchor, dtype=bool)]
    x[:1] = here
    if not found.open_ends[side]:
        end = number(diffusion.end(side, found.arithmetic))
        cuts = np.arange(TO_WALLS) / TO_WALLS
        x = np.append((x[:-2:2, None] + np.diff(x[::2])[:, None] * cuts).ravel(), x[-1:])
        before = np.asarray(chart.distance(x) < chart.distance(end), dtype=bool)
        x = x if before.all() else np.append(x[before], end)
    apart = np.asarray(x[1:] != x[:-1], dtype=bool)  # as far as the digits tell points apart
    x = x[: 1 + int(np.argmin(np.append(apart, False)))]
    x = x[: usable(diffusion, x)]
    if len(x) > 1:
        # Four halvings: e^1200 in half an octave are an exponent beyond all doubles.
        for _ in range(4 if chart.outward and found.open_ends[side] else 0):
            sharp = 1 + np.flatnonzero(is_essential(diffusion, x, chart.anchor))
            x = np.insert(x, sharp, (x[sharp - 1] + x[sharp]) / 2)
        x = x[: 1 + int(np.argmax(np.append(is_essential(diffusion, x, chart.anchor), True)))]
    if len(x) < 2:
        return found
    ordered = np.sort(x)
    piece = _followed(sampled(diffusion, ordered[:-1], ordered[1:], MORE_PANELS + 4 * len(x)), side)
    both = [piece, found.samples] if side == 0 else [found.samples, piece]
    return replace(found, samples=Samples.joined(both))


def reaching(found: Sampling, points: list[Any]) -> Sampling:
    """The sampling extended towards open ends, and as far again, where it ends before a point."""
    ends = found.interval
    inside = [x for x in points if ends[0] < x < ends[1]]
    for side, x in enumerate((min(inside), max(inside)) if inside else ()):
        if found.open_ends[side] and (x < found.lower if side == 0 else x > found.upper):
            found = extended(found, side, math.ceil(found.octaves_to(side, x)) + OCTAVES)
    return found


def _followed(piece: Samples, side: int) -> Samples:
    """What lies before the first panel, seen from inside, on which the process is not resolved.

    A jump lies in a panel of a few roundings, which counts as resolved.
    """
    size = np.maximum(np.abs(piece.lower), np.abs(piece.upper))
    lost = ~piece.resolved & np.asarray(piece.upper - piece.lower > 64 * spacing(size), dtype=bool)
    good = np.logical_and.accumulate(~lost[::-1])[::-1] if side == 0 else ~lost
    return piece.only(good if side == 0 else np.logical_and.accumulate(good))


def within(found: Sampling, lower: Any, upper: Any) -> Sampling:
    """The sampling of the same process on a smaller domain, mostly from what was sampled."""
    s, ends = found.samples, found.interval
    same = (lower == ends[0], upper == ends[1])
    first, last = found.diffusion.domain
    diffusion = found.diffusion.restricted(
        first if same[0] else float(lower), last if same[1] else float(upper)
    )
    low, high = max(lower, found.lower), min(upper, found.upper)
    inside = (s.lower >= low) & (s.upper <= high)
    partly = ~inside & (s.upper > low) & (s.lower < high)
    pieces = [s.only(inside)]
    if partly.any():
        cut_low, cut_high = np.maximum(s.lower[partly], low), np.minimum(s.upper[partly], high)
        pieces.append(sampled(diffusion, cut_low, cut_high, 1000))
    return Sampling(
        diffusion,
        Samples.joined(pieces),
        (found.open_ends[0] and same[0], found.open_ends[1] and same[1]),
        (found.fallen[0] and same[0], found.fallen[1] and same[1]),
        found.arithmetic,
    )


def focused(
    found: Sampling, points: Array, sharp: tuple[tuple[float, float], ...] = ()
) -> Sampling:
    """The sampling with the panels around `points` cut there and sampled again, as `sampled` does.

    A panel across which the exponent changes by 1e9 knows it to 1e-7 only. Cut close around
    a peak of the density, it knows the peak to rounding. A panel across which it changes by little
    knows that already, and its parts are read from it.
    """
    s = found.samples
    touched = np.zeros(len(s.lower), dtype=bool)
    touched[found.panels.panel_of(points)] = True
    edges = distinct(found.panels.edges, points)
    lower, upper = edges[:-1], edges[1:]
    of = found.panels.panel_of(lower)
    known = np.zeros(len(s.lower), dtype=bool)
    if found.arithmetic is DOUBLE and not sharp:
        known = s.resolved & (np.abs(s.values[0]).max(axis=0) * (s.upper - s.lower) <= GENTLE)
    pieces = [s.only(~touched)]
    if (cut := (touched & known)[of]).any():
        pieces.append(s.parts(lower[cut], upper[cut], of[cut]))
    if (again := (touched & ~known)[of]).any():
        pieces.append(sampled(found.diffusion, lower[again], upper[again], 2000, sharp=sharp))
    return replace(found, samples=Samples.joined(pieces))


def unrolled(found: Sampling) -> Sampling:
    """The sampling of the process on three turns of the ring, laid out on a line."""
    ring, s = found.diffusion, found.samples
    lower, upper = ring.domain
    period = upper - lower
    drift, variance, pair, bounds = ring.drift, ring.variance, ring.pair, ring.uncertainty

    def wrapped(x: Any) -> Any:
        return x - period * np.floor((x - lower) / period)

    def wrapped_pair(x: Array, arithmetic: Arithmetic) -> tuple[Array, Array]:
        assert pair is not None
        f, a = pair(wrapped(x), arithmetic)
        return f, a

    line = replace(
        ring,
        drift=lambda x: drift(wrapped(x)),
        variance=lambda x: variance(wrapped(x)),
        pair=None if pair is None else wrapped_pair,
        uncertainty=bounds and Shared(lambda x: bounds(wrapped(x)), share_of(bounds)),
        initial=None,
        domain=(lower - period, upper + period),
        boundaries=(Boundary.REFLECTING, Boundary.REFLECTING),
        breakpoints=[
            b + turn for turn in (-period, 0.0, period) for b in (*ring.breakpoints, lower, upper)
        ],
    )
    edges = found.panels.edges
    before, after = edges - period, edges + period
    before[-1], after[0] = edges[0], edges[-1]
    before[0], after[-1] = line.domain
    pieces = [replace(s, lower=e[:-1], upper=e[1:]) for e in (before, edges, after)]
    samples = replace(Samples.joined(pieces), evaluations=s.evaluations)
    return Sampling(line, samples, (False, False), (False, False))
