"""The transfer operator of SGD with a finite step, averaged over cells (Ulam's method).

The probability of a cell is taken to be spread over it evenly, or leaning to one side as exp(q w)
(see `tilt`). Each minibatch maps the cell to an interval (several, where the map folds), and its
spread with it; what falls on each cell is the exact overlap. This gives a Markov chain on the
cells: its closed classes are strong components of a graph, and its stationary vectors approximate
those of SGD.

References
----------
.. [1] S. M. Ulam, *A Collection of Mathematical Problems*, Interscience 1960, p. 73.
.. [2] A. Lasota, M. C. Mackey, *Chaos, Fractals, and Noise*, Springer 1994, ch. 12.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.polynomial.chebyshev import chebvander

from stationary.aliases import Array
from stationary.chain.batches import Batches
from stationary.chain.links import Links
from stationary.chain.multilevel import log_stationary
from stationary.chain.tilt import seen_slope
from stationary.numbers.arithmetic import EPSILON, SAME
from stationary.numbers.cost import SHARED

POINTS = 20  # of a polynomial; as many others tell whether it is one
WORTH = 80  # weights, from which on it is tried
# Of the deviation of a step, that nodes may be off by (bins make them so), their mean, and any.
SHAPE, MEAN, FARTHEST = 2e-5, 1e-8, 0.05


def led(batches: Batches, w: Array) -> Array:
    """`Batches.images` at ascending weights, (K, M): by polynomials between a few, if need be.

    Nodes lead to places smooth in the weight, but for what bins round, and take all datapoints.
    """
    if batches.exact or len(w) < WORTH:
        size = max(1, 2 * SHARED // max(len(batches), batches.landscape.datapoints))
        return np.hstack([batches.images(w[i : i + size]) for i in range(0, len(w), size)])
    inside = batches.places[(w[0] < batches.places) & (batches.places < w[-1])]
    found = None if len(inside) else _by_polynomials(batches, w)
    if found is not None:
        return found
    half = len(w) // 2
    if len(inside):  # which parts then end at
        half = int(np.clip(np.searchsorted(w, inside[len(inside) // 2]), 1, len(w) - 1))
    return np.hstack([led(batches, w[:half]), led(batches, w[half:])])


def _by_polynomials(batches: Batches, w: Array) -> Array | None:
    middle, half = (w[-1] + w[0]) / 2, (w[-1] - w[0]) / 2
    t = np.cos(np.pi * (np.arange(POINTS) + 0.5) / POINTS)
    few = np.concatenate(
        [middle + half * t, w[np.arange(1, 2 * POINTS, 2) * len(w) // (2 * POINTS)]]
    )
    steps, p = batches.images(few) - few, batches.probability
    terms = steps[:, :POINTS] @ chebvander(t, POINTS - 1) * (2 / POINTS)
    terms[:, 0] /= 2
    seen = steps[:, POINTS:]
    off = terms @ chebvander((few[POINTS:] - middle) / half, POINTS - 1).T - seen
    deviation = np.sqrt(p @ (seen - p @ seen) ** 2)
    for size, share in ((np.sqrt(p @ off**2), SHAPE), (abs(p @ off), MEAN), (abs(off), FARTHEST)):
        if not (size <= share * deviation).all():
            return None
    return np.asarray(w + terms @ chebvander((w - middle) / half, POINTS - 1).T)


STEEPEST = 300.0  # change of log density within one cell
Pieces = tuple[Array, ...]  # row, share, from a to b, rise k of the log density

ROUND = 16  # times a step winds around the interval, from which on all but the last is even
NOISE = 16 * EPSILON  # overlaps below this, relative to the positions, are rounding


@dataclass(frozen=True, eq=False, repr=False)
class Transfer:
    """A chain on n cells. Columns n and n + 1 are what leaves at the lower and upper end."""

    edges: Array  # n + 1 ascending
    matrix: Links  # (n, n + 2); rows add up to 1
    folded: Array  # (n,) the probability per step to be turned back at an end, from each cell
    moving: Array  # (n,) and of a step that changes the distance of walkers near each other
    steep: Array  # (n,) where log density was to lean more within a cell than doubles hold

    @property
    def cells(self) -> int:
        return len(self.edges) - 1

    @cached_property
    def inner(self) -> Links:
        """From cell to cell, without what leaves."""
        return self.matrix.among(np.arange(self.cells), np.arange(self.cells))

    @cached_property
    def leaving(self) -> Array:
        """The probabilities to leave by each end, shape (n, 2)."""
        m, n = self.matrix, self.cells
        out = m.columns >= n
        key = 2 * m.rows[out] + m.columns[out] - n
        return np.bincount(key, m.values[out], 2 * n).reshape(n, 2)

    def stationary(
        self, members: Array, guess: Array | None = None, settled: float = 1e-11
    ) -> Array:
        """log of the stationary vector of a closed class, shape (n,), -inf outside it."""
        log_mass = np.full(self.cells, -np.inf)
        inside = self.inner.among(members)
        known = None if guess is None else guess[members]
        log_mass[members] = log_stationary(inside, known, settled)
        return log_mass


def moments(edges: Array, log_mass: Array) -> Array:
    """Mean, and central moments of order 2 to 4, of a law that leans within its cells."""
    mass, width, centre = np.exp(log_mass), np.diff(edges), (edges[:-1] + edges[1:]) / 2
    lean, spread = leaning(np.clip(seen_slope(edges, log_mass) * width, -STEEPEST, STEEPEST))
    away = (lean - 0.5) * width
    origin = centre[np.argmax(mass)]  # counted from the peak, to round as the width does
    first, second = mass * away, mass * (spread * width**2 + away**2)
    mean = float(mass @ (centre - origin) + first.sum())
    d = centre - origin - mean
    central = [
        k * (k - 1) / 2 * second @ d ** (k - 2) + k * first @ d ** (k - 1) + mass @ d**k
        for k in (2, 3, 4)
    ]
    return np.array([origin + mean, max(central[0], 0.0), *central[1:]])


def transfers(
    batches: Batches,
    edges: Array,
    ends: tuple[str, str],
    joints: Array,
    leans: Sequence[Callable[[Array], Array] | None] = (None,),
) -> list[Transfer]:
    """The chain on cells between ascending edges, and on cells 2, 4, ... times as wide.

    Parameters
    ----------
    edges
        Their number less one is a multiple of 2 to the number of wider levels.
    ends
        What becomes of a step beyond each end: "fold" (turned back), "leave", or "periodic".
    joints
        Edges at which the gradients may jump: they are taken from inside each cell.
    leans
        For each level, the widest last: the slope of log density within cells, as a function of
        their edges; None: spread evenly.
    """
    every = [edges[:: 2**k] for k in range(len(leans))]
    rises, steeps = [], []
    for level, lean in zip(every, leans, strict=True):
        rise = np.zeros(len(level) - 1) if lean is None else lean(level) * np.diff(level)
        rises.append(np.clip(rise, -STEEPEST, STEEPEST))
        steeps.append(rises[-1] != rise)
    n, block = len(edges) - 1, 2 ** (len(leans) - 1)
    size = max(16, SHARED // len(batches)) // block * block
    size = max(size, block)
    parts: list[list[tuple[Array, ...]]] = [[] for _ in leans]
    for start in range(0, n, size):
        cells = slice(start, min(start + size, n))
        left, middle, right = _images(batches, edges[start : cells.stop + 1], joints)
        for k in range(len(leans)):
            if k:
                left, middle, right = left[:, ::2], right[:, ::2], right[:, 1::2]
            here = slice(cells.start >> k, cells.stop >> k)
            parts[k].append(_part(batches, every[k], rises[k], here, (left, middle, right), ends))
    found = []
    for level, steep, part in zip(every, steeps, parts, strict=True):
        rows, columns, values, folded, moving = map(np.concatenate, zip(*part, strict=True))
        links = Links(rows, columns, values, len(level) - 1, len(level) + 1)
        found.append(Transfer(level, links, folded, moving, steep))
    return found


def _images(batches: Batches, edges: Array, joints: Array) -> tuple[Array, Array, Array]:
    """Where each batch leads from the lower end, the middle and the upper end of each cell."""
    n = len(edges) - 1
    jumps = np.flatnonzero(np.isin(edges, joints))
    # Next to 0 by no double that multiplying takes to 0.
    near = np.maximum(np.spacing(np.abs(edges)), EPSILON * np.gradient(edges))[jumps]
    beside = np.concatenate([edges[jumps] - near, edges[jumps] + near])
    every = np.empty(2 * n + 1)
    every[::2], every[1::2] = edges, (edges[1:] + edges[:-1]) / 2
    images = led(batches, every)
    left, middle, right = images[:, :-1:2].copy(), images[:, 1::2], images[:, 2::2].copy()
    led_beside = batches.images(beside) if len(jumps) else images[:, :0]
    from_left, from_right = np.split(led_beside, 2, axis=1)
    starting, ending = jumps < n, jumps > 0
    left[:, jumps[starting]] = from_right[:, starting]
    right[:, jumps[ending] - 1] = from_left[:, ending]
    return left, middle, right


def _part(
    batches: Batches,
    edges: Array,
    rise: Array,
    cells: slice,
    images: tuple[Array, Array, Array],
    ends: tuple[str, str],
) -> tuple[Array, ...]:
    """Of some cells: from and to where links lead, and how likely; what is folded, and moving."""
    n, m = len(edges) - 1, cells.stop - cells.start
    a, middle, b = images
    share = np.broadcast_to(batches.probability[:, None], a.shape)
    row = np.broadcast_to(np.arange(m), a.shape)
    width = np.diff(edges)[cells]
    changes = np.abs(np.abs((b - a) / width) - 1) > SAME / 2  # of its square
    moving = batches.probability @ changes
    k = np.broadcast_to(rise[cells], a.shape)
    # Where a parabola through the three images turns within the cell, the map folds there.
    bend = middle - (a + b) / 2
    folds = (np.abs(b - a) < 4 * np.abs(bend)) & (np.abs(bend) > NOISE * (np.abs(a) + np.abs(b)))
    pieces: tuple[Array, ...] = (row, share, a, b, k)
    if folds.any():
        at = 0.5 + np.divide(b - a, 8 * bend, out=np.zeros_like(a), where=folds)
        top = np.where(folds, a * (1 - at) + b * at + 4 * bend * at * (1 - at), b)
        at = np.where(folds, at, 1.0)
        first = row, share * between(k, np.zeros_like(at), at), a, top, k * at
        row, share, top, b, k, at = (x[folds] for x in (row, share, top, b, k, at))
        rest = row, share * between(k, at, np.ones_like(at)), top, b, (1 - at) * k
        pieces = tuple(np.append(x, y) for x, y in zip(first, rest, strict=True))
    kept, out, turned = kept_within(tuple(map(np.ravel, pieces)), edges, ends)
    rows, columns, mass = (
        np.append(x, y) for x, y in zip(spread_over(edges, *kept), out, strict=True)
    )
    key = rows * (n + 2) + columns
    order = np.argsort(key, kind="stable")
    key, mass = key[order], mass[order]
    begins = np.flatnonzero(np.append(True, np.diff(key) > 0))
    values, rows = np.add.reduceat(mass, begins), rows[order][begins]
    values = values / np.bincount(rows, values, minlength=m)[rows]
    folded = np.bincount(np.ravel(pieces[0]), turned, minlength=m)
    return rows + cells.start, columns[order][begins], values, np.clip(folded, 0.0, 1.0), moving


# -- pieces of probability, cut and turned at the ends, and laid over cells -----------------------
# They run from a to b; along each the density goes as exp(k t), t from 0 to 1.


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
