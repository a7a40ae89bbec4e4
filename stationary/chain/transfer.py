"""The transfer operator of SGD with a finite step, averaged over cells (Ulam's method).

The probability of a cell is taken to be spread over it evenly, or leaning to one side as exp(q w)
(see `tilt`). Each minibatch maps the cell to an interval (several, where the map folds), and its
spread with it; what falls on each cell is the exact overlap. This gives a Markov chain on the
cells: its closed classes are strong components of a graph, and its stationary vectors approximate
those of SGD.

Spreading evenly again in each step loses where in its cell the probability lies. Its first two
moments within each cell are carried along (`Transfer.moments`), so that mean and variance obey
their exact recursions where the gradients are linear, whatever the cells.

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
import scipy.sparse as sp
from scipy.sparse.csgraph import connected_components
from scipy.sparse.linalg import splu

from stationary.aliases import Array
from stationary.chain.batches import Batches
from stationary.chain.elimination import band_of
from stationary.chain.multilevel import log_stationary

Pieces = tuple[Array, ...]  # row, share, from a to b, slope, rise of the log density along it

CHUNK = 2**18  # images at a time
ROUND = 16  # times a step winds around the interval, from which on all but the last is even
NOISE = 16 * np.finfo(float).eps  # overlaps below this, relative to the positions, are rounding
STEEPEST = 300.0  # change of log density within one cell
ROUNDS = 600  # steps in which the moments within cells may settle, where
NARROW = 150  # a step reaches more cells than this: else they are eliminated


@dataclass(frozen=True, eq=False)
class Transfer:
    """A chain on n cells. Columns n and n + 1 are what leaves at the lower and upper end.

    `links` holds, for each pair of cells, the probability and that times s, s^2, o, s o and
    o^2 + ..., where s is the slope of the map and o the offset of what arrives from the centre of
    its cell (the probability alone, if no moments were asked for).
    """

    edges: Array  # n + 1 ascending
    starts: Array  # where the links of each cell begin, (n + 1,)
    columns: Array  # to which cell, (L,)
    links: Array  # (1 or 6, L)
    folded: Array  # (n,) the probability per step to be turned back at an end, from each cell
    steep: Array  # (n,) where log density was to lean more within a cell than doubles hold

    @property
    def cells(self) -> int:
        return len(self.edges) - 1

    def table(self, k: int = 0) -> Any:
        """One kind of links as a sparse matrix, (n, n + 2)."""
        parts = self.links[k], self.columns, self.starts
        return sp.csr_array(parts, shape=(self.cells, self.cells + 2))

    @cached_property
    def matrix(self) -> Any:
        """Shape (n, n + 2), sparse; rows add up to 1."""
        return self.table()

    @property
    def inner(self) -> Any:
        """From cell to cell, without what leaves."""
        return self.matrix[:, : self.cells]

    @property
    def leaving(self) -> Array:
        """The probabilities to leave by each end, shape (n, 2)."""
        return np.asarray(self.matrix[:, self.cells :].toarray())

    def stationary(
        self, members: Array, guess: Array | None = None, settled: float = 1e-11
    ) -> tuple[Array, bool]:
        """log of the stationary vector of a closed class, shape (n,), -inf outside it."""
        log_mass = np.full(self.cells, -np.inf)
        whole = len(members) == self.cells
        inside = self.inner if whole else self.inner[members][:, members]
        known = None if guess is None else guess[members]
        log_mass[members], sound = log_stationary(inside, known, settled)
        return log_mass, sound

    def rigid(self, mass: Array) -> bool:
        """Whether hardly any step changes the distance of walkers that are near each other."""
        moved = np.where(
            abs(self.links[2] - self.links[0]) > 1e-9 * self.links[0], self.links[0], 0
        )
        rows = np.repeat(np.arange(self.cells), np.diff(self.starts))
        return bool(mass @ np.bincount(rows, moved, self.cells) < 0.1)

    def moments(self, mass: Array) -> Array:
        """Mean, and central moments of order 2 to 4, of a stationary vector.

        With o the offset of a deposit from the centre of its cell, s the slope of the map, and
        U, Q the first and second moments about the centres times the mass: the moments of what
        arrives are linear in those of what leaves, and settle as fast as the maps contract.
        """
        n, width = self.cells, np.diff(self.edges)
        centre = (self.edges[:-1] + self.edges[1:]) / 2
        slope, square, offset, both, rest = (self.table(k)[:, :n].T.tocsr() for k in range(1, 6))
        first = _settled(slope, offset @ mass, mass * width / 2)
        second = None
        if first is not None:
            second = _settled(square, rest @ mass + 2 * (both @ first), mass * width**2)
        if first is None or second is None:
            first, second = np.zeros(n), mass * width**2 / 12
        origin = centre[np.argmax(mass)]  # counted from the peak, to round as the width does
        mean = float(mass @ (centre - origin) + first.sum())
        d = centre - origin - mean
        central = [
            k * (k - 1) / 2 * second @ d ** (k - 2) + k * first @ d ** (k - 1) + mass @ d**k
            for k in (2, 3, 4)
        ]
        return np.array([origin + mean, max(central[0], 0.0), *central[1:]])


def _settled(matrix: Any, source: Array, most: Array) -> Array | None:
    """x = matrix x + source; None where |x| would be more than `most`, which cannot be."""
    scale, x = float(most.max()), source
    if band_of(matrix) <= NARROW:
        try:
            system = (sp.eye_array(len(source)) - matrix).tocsc()
            x = splu(system, permc_spec="NATURAL").solve(source)
        except RuntimeError:
            return None
    else:
        for _ in range(ROUNDS):
            before, x = x, matrix @ x + source
            size = float(np.abs(x).sum())
            if float(np.abs(x - before).sum()) <= 1e-15 * (scale + size):
                break
            if not size <= 1e3 * len(source) * scale:
                return None
        else:
            return None
    return np.asarray(x) if (np.abs(x) <= most + 1e-12 * scale).all() else None


def closed_classes(matrix: Any) -> list[Array]:
    """The closed classes of a chain, as arrays of states, in the order of their first states."""
    count, label = connected_components(matrix, directed=True, connection="strong")
    coo = matrix.tocoo()
    leaves = np.zeros(count, dtype=bool)
    out = (label[coo.row] != label[coo.col]) & (coo.data > 0)
    leaves[label[coo.row[out]]] = True
    order = np.argsort(label, kind="stable")
    starts = np.searchsorted(label[order], np.arange(count + 1))
    found = [order[starts[i] : starts[i + 1]] for i in np.flatnonzero(~leaves)]
    return sorted(found, key=lambda states: int(states[0]))


def transfers(
    batches: Batches,
    edges: Array,
    ends: tuple[str, str],
    joints: Array,
    leans: Sequence[Callable[[Array], Array] | None] = (None,),
    moments: bool = False,
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
    moments
        Whether the moments within cells are wanted.
    """
    every = [edges[:: 2**k] for k in range(len(leans))]
    rises, steeps = [], []
    for level, lean in zip(every, leans, strict=True):
        rise = np.zeros(len(level) - 1) if lean is None else lean(level) * np.diff(level)
        rises.append(np.clip(rise, -STEEPEST, STEEPEST))
        steeps.append(rises[-1] != rise)
    n, block = len(edges) - 1, 2 ** (len(leans) - 1)
    size = max(16, CHUNK // max(len(batches), batches.landscape.datapoints)) // block * block
    size = max(size, block)
    parts: list[list[tuple[Array, ...]]] = [[] for _ in leans]
    for start in range(0, n, size):
        cells = slice(start, min(start + size, n))
        left, middle, right = _images(batches, edges[start : cells.stop + 1], joints)
        for k in range(len(leans)):
            if k:
                left, middle, right = left[:, ::2], right[:, ::2], right[:, 1::2]
            here = slice(cells.start >> k, cells.stop >> k)
            parts[k].append(
                _part(batches, every[k], rises[k], here, (left, middle, right), ends, moments)
            )
    found = []
    for level, steep, part in zip(every, steeps, parts, strict=True):
        counts = np.concatenate([p[0] for p in part])
        starts = np.append(0, np.cumsum(counts))
        columns, folded = (np.concatenate([p[i] for p in part]) for i in (1, 3))
        links = np.concatenate([p[2] for p in part], axis=1)
        found.append(Transfer(level, starts, columns, links, folded, steep))
    return found


def _images(batches: Batches, edges: Array, joints: Array) -> tuple[Array, Array, Array]:
    """Where each batch leads from the lower end, the middle and the upper end of each cell."""
    n = len(edges) - 1
    jumps = np.flatnonzero(np.isin(edges, joints))
    beside = np.concatenate([np.nextafter(edges[jumps], s * np.inf) for s in (-1, 1)])
    images = batches.images(np.concatenate([edges, (edges[1:] + edges[:-1]) / 2, beside]))
    left, right = images[:, :n].copy(), images[:, 1 : n + 1].copy()
    middle, from_left, from_right = (
        images[:, n + 1 : 2 * n + 1],
        images[:, 2 * n + 1 : 2 * n + 1 + len(jumps)],
        images[:, 2 * n + 1 + len(jumps) :],
    )
    starting, ending = jumps < n, jumps > 0
    left[:, jumps[starting]] = from_right[:, starting]
    right[:, jumps[ending] - 1] = from_left[:, ending]
    return left, middle, right


def _between(rise: Array, start: Array, stop: Array) -> Array:
    """What part of exp(rise t) on [0, 1] lies between two t."""
    if not rise.any():
        return stop - start
    sloped = rise != 0
    k = np.where(sloped, rise, 1.0)
    # In powers that fall, so that nothing overflows.
    k, start, stop = np.abs(k), np.where(k > 0, 1 - stop, start), np.where(k > 0, 1 - start, stop)
    part = np.exp(-k * start) * np.expm1(-k * (stop - start)) / np.expm1(-k)
    return np.where(sloped, part, stop - start)


def _lean(rise: Array) -> tuple[Array, Array]:
    """Mean and variance of t on [0, 1] under exp(rise t)."""
    steep = np.abs(rise) > 0.05
    k = np.where(steep, rise, 1.0)
    mean = np.where(steep, -1 / np.expm1(-k) - 1 / k, 0.5 + rise / 12 - rise**3 / 720)
    spread = np.where(
        steep, 1 / k**2 - 0.25 / np.sinh(k / 2) ** 2, 1 / 12 - rise**2 / 240 + rise**4 / 6048
    )
    return mean, spread


def _part(
    batches: Batches,
    edges: Array,
    rise: Array,
    cells: slice,
    images: tuple[Array, Array, Array],
    ends: tuple[str, str],
    moments: bool,
) -> tuple[Array, Array, Array, Array]:
    """Of some cells: how many links each has, their columns, the links, and what is folded."""
    n, m = len(edges) - 1, cells.stop - cells.start
    a, middle, b = images
    share = np.broadcast_to(batches.probability[:, None], a.shape)
    row = np.broadcast_to(np.arange(m) + cells.start, a.shape)
    all_widths = np.diff(edges)
    width = np.broadcast_to(all_widths[cells], a.shape)
    k = np.broadcast_to(rise[cells], a.shape)
    # Where a parabola through the three images turns within the cell, the map folds there.
    bend = middle - (a + b) / 2
    folds = (np.abs(b - a) < 4 * np.abs(bend)) & (np.abs(bend) > NOISE * (np.abs(a) + np.abs(b)))
    if folds.any():
        at = 0.5 + np.divide(b - a, 8 * bend, out=np.zeros_like(a), where=folds)
        top = a * (1 - at) + b * at + 4 * bend * at * (1 - at)
        at = np.where(folds, at, 1.0)
        first = _between(k, np.zeros_like(at), at)
        pieces = [(row, share * first, a, np.where(folds, top, b), width * at, k * at)]
        f, t = folds, at[folds]
        second = _between(k[f], t, np.ones_like(t))
        rest = (1 - t) * width[f], (1 - t) * k[f]
        pieces.append((row[f], share[f] * second, top[f], b[f], *rest))
        row, share, a, b, width, k = (
            np.concatenate([np.ravel(y) for y in x]) for x in zip(*pieces, strict=True)
        )
    row, share, a, b, width, k = (np.ravel(x) for x in (row, share, a, b, width, k))
    slope = (b - a) / width
    kept, out, turned = _kept((row, share, a, b, slope, k), edges, ends)
    deposits = _spread(edges, *kept, moments=moments)
    if len(out[0]):
        deposits = tuple(
            np.concatenate([x, y]) for x, y in zip(deposits, out[: len(deposits)], strict=True)
        )
    rows, columns, mass, *local = deposits
    key = (rows - cells.start) * (n + 2) + columns
    order = np.argsort(key, kind="stable")
    key, mass, rows = key[order], mass[order], rows[order]
    mass = mass / np.bincount(rows - cells.start, mass, minlength=m)[rows - cells.start]
    weights = [mass]
    if moments:
        s, o, variance = (x[order] for x in local)
        # o is taken as if it came from the centre of its cell; the last weight is o^2 with the
        # variance of the deposit, less s^2 that of its origin.
        outside = columns[order] >= n
        lean, spread = _lean(rise[cells])
        local_width = all_widths[cells]
        here = rows - cells.start
        s = np.where(outside, 0.0, s)
        o = np.where(outside, 0.0, o - s * ((lean - 0.5) * local_width)[here])
        rest = o * o + variance - s * s * (spread * local_width**2)[here]
        weights += [mass * s, mass * s * s, mass * o, mass * s * o, mass * rest]
    begins = np.flatnonzero(np.append(True, np.diff(key) > 0))
    links = np.add.reduceat(np.array(weights), begins, axis=1)
    counts = np.bincount(key[begins] // (n + 2), minlength=m)
    folded = np.bincount(row - cells.start, turned, minlength=m)
    return counts, key[begins] % (n + 2), links, np.clip(folded, 0.0, 1.0)


def _kept(
    pieces: Pieces, edges: Array, ends: tuple[str, str]
) -> tuple[Pieces, tuple[Array, ...], Array]:
    """Pieces with all that lay beyond the ends turned back or carried around; what has left, by
    rows, columns and mass; and how much of each piece was turned back."""
    lower, upper, n = edges[0], edges[-1], len(edges) - 1
    noise = NOISE * max(abs(lower), abs(upper))
    out = [(np.empty(0, int), np.empty(0, int), np.empty(0))]
    sides = [(k, end, -1.0 if k == 0 else 1.0) for k, end in enumerate((lower, upper))]
    row, share, a, b, slope, k = pieces
    turned = np.zeros(len(row))
    for side, end, sign in sides:
        if ends[side] == "fold":
            far = np.maximum(sign * (a - end), sign * (b - end)) > noise
            turned[far] += share[far] * _between(k[far], *_beyond(a[far], b[far], end, sign))
    if ends[0] == ends[1] and ends[0] in ("fold", "periodic"):
        pieces = _wound(pieces, lower, upper, (2 if ends[0] == "fold" else 1) * (upper - lower))
    for _ in range(4 * ROUND):
        row, share, a, b, slope, k = pieces
        moved = False
        for side, end, sign in sides:
            beyond = np.maximum(sign * (a - end), sign * (b - end)) > noise
            if not beyond.any():
                continue
            moved = True
            r, p, x, y, s, q = (v[beyond] for v in (row, share, a, b, slope, k))
            start, stop = _beyond(x, y, end, sign)
            over, leaning = p * _between(q, start, stop), q * (stop - start)
            outward, inward = (np.minimum, np.maximum) if sign < 0 else (np.maximum, np.minimum)
            # What stays within, and what lay beyond.
            i = stop - start < 1
            from_, to = np.where(start == 0, stop, 0.0)[i], np.where(start == 0, 1.0, start)[i]
            within = p[i] * _between(q[i], from_, to)
            new = [
                (r[i], within, inward(x[i], end), inward(y[i], end), s[i], q[i] * (to - from_)),
            ]
            x, y = outward(x, end), outward(y, end)
            if ends[side] == "leave":
                out.append((r, np.full(len(r), n + side), over))
            elif ends[side] == "fold":
                new.append((r, over, 2 * end - x, 2 * end - y, -s, leaning))
            elif ends[side] == "periodic":
                step = -sign * (upper - lower)
                new.append((r, over, x + step, y + step, s, leaning))
            keep = tuple(v[~beyond] for v in (row, share, a, b, slope, k))
            row, share, a, b, slope, k = (np.concatenate(v) for v in zip(keep, *new, strict=True))
        pieces = row, share, a, b, slope, k
        if not moved:
            break
    a, b = np.clip(a, lower, upper), np.clip(b, lower, upper)
    rows, columns, mass = (np.concatenate(v) for v in zip(*out, strict=True))
    zeros = np.zeros(len(mass))
    return (row, share, a, b, slope, k), (rows, columns, mass, zeros, zeros, zeros), turned


def _beyond(a: Array, b: Array, end: Any, sign: float) -> tuple[Array, Array]:
    """From where to where, of 0 to 1, what runs evenly from a to b is beyond an end."""
    cut = np.divide(end - a, b - a, out=np.zeros_like(a), where=b != a).clip(0.0, 1.0)
    rising = sign * (b - a) > 0
    wholly = np.minimum(sign * (a - end), sign * (b - end)) >= 0
    return np.where(wholly | ~rising, 0.0, cut), np.where(wholly | rising, 1.0, cut)


def _wound(pieces: Pieces, lower: Any, upper: Any, period: Any) -> Pieces:
    """Pieces moved by whole periods to where their lower ends are within the first; of those that
    wind around it often, all but the last turn is even."""
    row, share, a, b, slope, k = pieces
    low, high = np.minimum(a, b), np.maximum(a, b)
    shift = np.where((low < lower) | (high > upper), np.floor((low - lower) / period) * period, 0)
    a, b = a - shift, b - shift
    times = np.floor((high - low) / period)
    wide = times >= ROUND
    if not wide.any():
        return row, share, a, b, slope, k
    r, p, q = row[wide], share[wide], k[wide]
    whole = times[wide] * period / (high - low)[wide]
    even, zeros = p * _between(q, np.zeros_like(q), whole), np.zeros(len(r))
    share, k = share.copy(), k.copy()
    a = np.where(wide, a + np.sign(b - a) * times * period, a)
    share[wide], k[wide] = p - even, q * (1 - whole)
    shift = np.where(wide, np.floor((np.minimum(a, b) - lower) / period) * period, 0)
    rest = row, share, a - shift, b - shift, slope, k
    full = r, even, zeros + lower, zeros + upper, zeros, zeros
    return tuple(np.concatenate(v) for v in zip(rest, full, strict=True))


def _spread(
    edges: Array,
    row: Array,
    share: Array,
    a: Array,
    b: Array,
    slope: Array,
    k: Array,
    *,
    moments: bool,
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
    last = np.clip(np.maximum(last, first), 0, n - 1)
    last = np.where(narrow, first, last)
    count = last - first + 1
    piece = np.repeat(np.arange(len(row)), count)
    column = np.arange(len(piece)) - np.repeat(np.cumsum(count) - count, count) + first[piece]
    alone = (count == 1)[piece]
    left = np.where(alone, low[piece], np.maximum(low[piece], edges[column]))
    right = np.where(alone, high[piece], np.minimum(high[piece], edges[column + 1]))
    length = np.maximum(right - left, 0.0)
    whole = (high - low)[piece]
    divisor = np.where(whole > 0, whole, 1.0)
    start, run = (left - low[piece]) / divisor, length / divisor
    part = _between(k[piece], start, start + run)
    total = np.add.reduceat(part, np.cumsum(count) - count) if len(count) else part
    part = np.where(alone, 1.0, part / np.where(total > 0, total, 1.0)[piece])
    mass = share[piece] * part
    if not moments:
        return row[piece], column, mass
    mean, spread = _lean(k[piece] * run)
    offset = left + length * mean - (edges[column] + edges[column + 1]) / 2
    return row[piece], column, mass, slope[piece], offset, length**2 * spread
