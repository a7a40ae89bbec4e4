"""Pieces of probability that run from a to b, cut and turned at the ends, and laid over cells.

Along a piece the density goes as exp(k t), t from 0 to 1.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from stationary.aliases import Array
from stationary.numbers.arithmetic import EPSILON

Pieces = tuple[Array, ...]  # row, share, from a to b, rise k of the log density

ROUND = 16  # times a step winds around the interval, from which on all but the last is even
NOISE = 16 * EPSILON  # overlaps below this, relative to the positions, are rounding


def between(rise: Array, start: Array, stop: Array) -> Array:
    """What part of exp(rise t) on [0, 1] lies between two t."""
    run, sloped = stop - start, rise != 0
    if not sloped.any():
        return np.asarray(run)
    k = np.where(sloped, rise, 1.0)
    # In powers that fall, so that nothing overflows.
    start = np.where(k > 0, 1 - stop, start)
    k = np.abs(k)
    part = np.exp(-k * start) * np.expm1(-k * run) / np.expm1(-k)
    return np.where(sloped, part, run)


def leaning(rise: Array) -> tuple[Array, Array]:
    """Mean and variance of t on [0, 1] under exp(rise t)."""
    square = rise * rise
    mean = 0.5 + rise * (1 / 12 - square / 720)
    spread = 1 / 12 - square * (1 / 240 - square / 6048)
    steep = np.abs(rise) > 0.05
    if steep.any():
        k = rise[steep]
        e = np.expm1(-np.abs(k))
        first = 1 / np.abs(k) + (1 + e) / e  # from the end where the density is highest
        mean[steep] = np.where(k > 0, 1 - first, first)
        spread[steep] = 1 / k**2 - (1 + e) / e**2
    return mean, spread


def kept_within(
    pieces: Pieces, edges: Array, ends: tuple[str, str]
) -> tuple[Pieces, tuple[Array, ...], Array]:
    """Pieces with all that lay beyond the ends turned back or carried around; what has left, by
    rows, columns and mass; and how much of each piece was turned back."""
    lower, upper, n = edges[0], edges[-1], len(edges) - 1
    noise = NOISE * max(abs(lower), abs(upper))
    out = [(np.empty(0, int), np.empty(0, int), np.empty(0))]
    sides = [(k, end, -1.0 if k == 0 else 1.0) for k, end in enumerate((lower, upper))]
    row, share, a, b, k = pieces
    turned = np.zeros(len(row))
    for side, end, sign in sides:
        if ends[side] == "fold":
            far = np.maximum(sign * (a - end), sign * (b - end)) > noise
            turned[far] += share[far] * between(k[far], *_beyond(a[far], b[far], end, sign))
    if ends[0] == ends[1] and ends[0] in ("fold", "periodic"):
        pieces = _wound(pieces, lower, upper, (2 if ends[0] == "fold" else 1) * (upper - lower))
    for _ in range(4 * ROUND):
        row, share, a, b, k = pieces
        moved = False
        for side, end, sign in sides:
            beyond = np.maximum(sign * (a - end), sign * (b - end)) > noise
            if not beyond.any():
                continue
            moved = True
            r, p, x, y, q = (v[beyond] for v in (row, share, a, b, k))
            start, stop = _beyond(x, y, end, sign)
            over, leaning = p * between(q, start, stop), q * (stop - start)
            outward, inward = (np.minimum, np.maximum) if sign < 0 else (np.maximum, np.minimum)
            # What stays within, and what lay beyond.
            i = stop - start < 1
            from_, to = np.where(start == 0, stop, 0.0)[i], np.where(start == 0, 1.0, start)[i]
            within = p[i] * between(q[i], from_, to)
            new = [(r[i], within, inward(x[i], end), inward(y[i], end), q[i] * (to - from_))]
            x, y = outward(x, end), outward(y, end)
            if ends[side] == "leave":
                out.append((r, np.full(len(r), n + side), over))
            elif ends[side] == "fold":
                new.append((r, over, 2 * end - x, 2 * end - y, leaning))
            elif ends[side] == "periodic":
                step = -sign * (upper - lower)
                new.append((r, over, x + step, y + step, leaning))
            keep = tuple(v[~beyond] for v in (row, share, a, b, k))
            row, share, a, b, k = (np.concatenate(v) for v in zip(keep, *new, strict=True))
        pieces = row, share, a, b, k
        if not moved:
            break
    a, b = np.clip(a, lower, upper), np.clip(b, lower, upper)
    rows, columns, mass = (np.concatenate(v) for v in zip(*out, strict=True))
    return (row, share, a, b, k), (rows, columns, mass), turned


def _beyond(a: Array, b: Array, end: Any, sign: float) -> tuple[Array, Array]:
    """From where to where, of 0 to 1, what runs evenly from a to b is beyond an end."""
    cut = np.divide(end - a, b - a, out=np.zeros_like(a), where=b != a).clip(0.0, 1.0)
    rising = sign * (b - a) > 0
    wholly = np.minimum(sign * (a - end), sign * (b - end)) >= 0
    return np.where(wholly | ~rising, 0.0, cut), np.where(wholly | rising, 1.0, cut)


def _wound(pieces: Pieces, lower: Any, upper: Any, period: Any) -> Pieces:
    """Pieces moved by whole periods to where their lower ends are within the first; of those that
    wind around it often, all but the last turn is even."""
    row, share, a, b, k = pieces
    low, high = np.minimum(a, b), np.maximum(a, b)
    shift = np.where((low < lower) | (high > upper), np.floor((low - lower) / period) * period, 0)
    a, b = a - shift, b - shift
    times = np.floor((high - low) / period)
    wide = times >= ROUND
    if not wide.any():
        return row, share, a, b, k
    r, p, q = row[wide], share[wide], k[wide]
    whole = times[wide] * period / (high - low)[wide]
    even, zeros = p * between(q, np.zeros_like(q), whole), np.zeros(len(r))
    share, k = share.copy(), k.copy()
    a = np.where(wide, a + np.sign(b - a) * times * period, a)
    share[wide], k[wide] = p - even, q * (1 - whole)
    shift = np.where(wide, np.floor((np.minimum(a, b) - lower) / period) * period, 0)
    rest = row, share, a - shift, b - shift, k
    full = r, even, zeros + lower, zeros + upper, zeros
    return tuple(np.concatenate(v) for v in zip(rest, full, strict=True))


def spread_over(
    edges: Array, row: Array, share: Array, a: Array, b: Array, k: Array
) -> tuple[Array, ...]:
    """Each piece laid over the cells that it overlaps."""
    n = len(edges) - 1
    low, high = np.minimum(a, b), np.maximum(a, b)
    k = np.where(b < a, -k, k)
    noise = NOISE * np.maximum(np.abs(low), np.abs(high))
    # An overlap of a few roundings is none: it would link classes that do not meet.
    narrow = high - low <= 2 * noise
    middle = (low + high) / 2
    first = np.searchsorted(edges, np.where(narrow, middle, low + noise), side="right") - 1
    last = np.searchsorted(edges, np.where(narrow, middle, high - noise), side="left") - 1
    first = np.clip(first, 0, n - 1)
    last = np.where(narrow, first, np.clip(last, first, n - 1))
    count = last - first + 1
    begins = np.cumsum(count) - count
    piece = np.repeat(np.arange(len(row)), count)
    column = np.arange(len(piece)) + (first - begins)[piece]
    # Most pieces overlap several cells: all but their ends are those of cells.
    left, right = edges[column], edges[column + 1]
    ends = begins + count - 1
    left[begins], right[ends] = low, high
    whole = high - low
    scale = np.where(whole > 0, 1 / np.where(whole > 0, whole, 1.0), 0.0)[piece]
    length = np.maximum(right - left, 0.0)
    rise = k[piece]
    part = between(rise, (left - low[piece]) * scale, (left - low[piece] + length) * scale)
    part[begins[count == 1]] = 1.0
    total = np.add.reduceat(part, begins) if len(count) else part
    mass = (share / np.where(total > 0, total, 1.0))[piece] * part
    return row[piece], column, mass
