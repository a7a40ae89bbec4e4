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

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.sparse.csgraph import connected_components

from stationary.chain.batches import Batches
from stationary.chain.elimination import log_stationary

__all__ = ["Transfer", "closed_classes", "transfer"]

Array = NDArray[Any]

CHUNK = 2**18  # images at a time
FOLDS = 50  # reflections of one step before what is left is put at the end
NOISE = 16 * np.finfo(float).eps  # overlaps below this, relative to the positions, are rounding
STEEPEST = 300.0  # change of log density within one cell
CARRIED = 4000  # steps in which the moments within cells must settle


@dataclass(frozen=True, eq=False)
class Transfer:
    """A chain on n cells. Columns n and n + 1 are what leaves at the lower and upper end."""

    edges: Array  # n + 1 ascending
    matrix: Any  # (n, n + 2), sparse; rows add up to 1
    folded: Array  # (n,) the probability per step to be turned back at an end, from each cell
    weighted: tuple[Any, ...]  # like matrix, with weights s, s^2, o, s o, and o^2 + ...
    steep: Array  # (n,) where log density was to lean more within a cell than doubles hold

    @property
    def cells(self) -> int:
        return len(self.edges) - 1

    @property
    def inner(self) -> Any:
        """From cell to cell, without what leaves."""
        return self.matrix[:, : self.cells]

    @property
    def leaving(self) -> Array:
        """The probabilities to leave by each end, shape (n, 2)."""
        return np.asarray(self.matrix[:, self.cells :].toarray())

    def stationary(self, members: Array) -> tuple[Array, bool]:
        """log of the stationary vector of a closed class, shape (n,), -inf outside it."""
        log_mass = np.full(self.cells, -np.inf)
        inside = self.inner[members][:, members]
        log_mass[members], sound = log_stationary(inside.tocsr())
        return log_mass, sound

    def rigid(self, mass: Array) -> bool:
        """Whether hardly any step changes the distance of walkers that are near each other."""
        inner, square = self.inner.tocsr(), self.weighted[1][:, : self.cells].tocsr()
        moved = inner.multiply(abs(square - inner) > 1e-9).sum(axis=1)
        return bool(mass @ np.asarray(moved).ravel() < 0.1)

    def moments(self, mass: Array) -> tuple[float, float]:
        """Mean and variance of a stationary vector, with what is known within the cells.

        With o the offset of a deposit from the centre of its cell, s the slope of the map, and
        U, Q the first and second moments about the centres times the mass: the moments of what
        arrives are linear in those of what leaves, and settle as fast as the maps contract.
        """
        n, width = self.cells, np.diff(self.edges)
        centre = (self.edges[:-1] + self.edges[1:]) / 2
        slope, square, offset, both, rest = (m[:, :n].T.tocsr() for m in self.weighted)
        spread = mass * width**2 / 12
        largest = width.max()
        first = self._settled(slope, offset @ mass, largest)
        second = None
        if first is not None:
            second = self._settled(square, rest @ mass + 2 * (both @ first), largest**2)
        if first is None or second is None:
            first, second = np.zeros(n), spread
        origin = centre[np.argmax(mass)]  # counted from the peak, to round as the width does
        d = centre - origin
        mean = float(mass @ d + first.sum())
        d = d - mean
        variance = float(second.sum() + 2 * (first @ d) + mass @ d**2)
        return origin + mean, max(variance, 0.0)

    def _settled(self, matrix: Any, source: Array, scale: float) -> Array | None:
        """x = matrix x + source, by iteration; None where it does not settle."""
        x = source
        for _ in range(CARRIED):
            new = matrix @ x + source
            change = float(np.abs(new - x).sum())
            x = new
            if change <= 1e-15 * scale:
                return np.asarray(x)
            if not change < 1e6 * scale:
                return None
        return None


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


def transfer(
    batches: Batches,
    edges: Array,
    ends: tuple[str, str],
    joints: Array,
    tilt: Array | None = None,
) -> Transfer:
    """The chain on cells between ascending edges.

    Parameters
    ----------
    ends
        What becomes of a step beyond each end: "fold" (turned back), "leave", or "periodic".
    joints
        Edges at which the gradients may jump: they are taken from inside each cell.
    tilt
        Slope of log density within each cell, shape (n,); None: spread evenly.
    """
    n = len(edges) - 1
    size = max(16, CHUNK // max(len(batches), batches.landscape.datapoints))
    width = np.diff(edges)
    lean = np.zeros(n) if tilt is None else tilt * width
    rise = np.clip(lean, -STEEPEST, STEEPEST)
    parts = [
        _part(batches, edges, rise, slice(i, min(i + size, n)), ends, joints)
        for i in range(0, n, size)
    ]
    # Weights of a deposit: 1, s, s^2, o, s o, o^2 + its variance - s^2 that of its origin, with o
    # taken as if it came from the centre of its cell.
    rows, columns, mass, s, o, variance = (np.concatenate([p[k] for p in parts]) for k in range(6))
    total = np.bincount(rows, mass, minlength=n)
    mass = mass / total[rows]
    outside = columns >= n
    middle, spread = _lean(rise)
    s = np.where(outside, 0.0, s)
    o = np.where(outside, 0.0, o - s * ((middle - 0.5) * width)[rows])
    rest = o * o + variance - s * s * (spread * width * width)[rows]

    def summed(values: Array) -> Any:
        return sp.coo_array((values, (rows, columns)), shape=(n, n + 2)).tocsr()

    weighted = tuple(summed(mass * v) for v in (s, s * s, o, s * o, rest))
    folded = np.concatenate([p[6] for p in parts])
    return Transfer(edges, summed(mass), np.clip(folded, 0.0, 1.0), weighted, rise != lean)


def _between(rise: Array, start: Array, stop: Array) -> Array:
    """What part of exp(rise t) on [0, 1] lies between two t."""
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
    ends: tuple[str, str],
    joints: Array,
) -> tuple[Array, ...]:
    """The deposits of some cells: row, column, mass, slope, offset, variance; what is folded."""
    lower, upper = edges[:-1][cells], edges[1:][cells]
    m = len(lower)
    left = np.where(np.isin(lower, joints), np.nextafter(lower, np.inf), lower)
    right = np.where(np.isin(upper, joints), np.nextafter(upper, -np.inf), upper)
    images = batches.images(np.concatenate([left, (lower + upper) / 2, right]))
    a, middle, b = images[:, :m], images[:, m : 2 * m], images[:, 2 * m :]
    share = np.broadcast_to(batches.probability[:, None], a.shape)
    row = np.broadcast_to(np.arange(m) + cells.start, a.shape)
    width = np.broadcast_to(upper - lower, a.shape)
    k = np.broadcast_to(rise[cells], a.shape)
    # Where a parabola through the three images turns within the cell, the map folds there.
    bend = middle - (a + b) / 2
    folds = (np.abs(b - a) < 4 * np.abs(bend)) & (np.abs(bend) > NOISE * (np.abs(a) + np.abs(b)))
    at = 0.5 + np.divide(b - a, 8 * bend, out=np.zeros_like(a), where=folds)
    top = a * (1 - at) + b * at + 4 * bend * at * (1 - at)
    at = np.where(folds, at, 1.0)
    first = _between(k, np.zeros_like(at), at)
    pieces = [(row, share * first, a, np.where(folds, top, b), width * at, k * at)]
    if folds.any():
        f, t = folds, at[folds]
        second = _between(k[f], t, np.ones_like(t))
        rest = (1 - t) * width[f], (1 - t) * k[f]
        pieces.append((row[f], share[f] * second, top[f], b[f], *rest))
    row, share, a, b, width, k = (
        np.concatenate([np.ravel(y) for y in x]) for x in zip(*pieces, strict=True)
    )
    slope = (b - a) / width
    kept, out, turned = _kept((row, share, a, b, slope, k), edges, ends)
    deposits = _spread(edges, *kept)
    everything = [np.concatenate([x, y]) for x, y in zip(deposits, out, strict=True)]
    folded = np.bincount(turned[0] - cells.start, turned[1], minlength=m)
    return (*everything, folded)


def _kept(
    pieces: tuple[Array, ...], edges: Array, ends: tuple[str, str]
) -> tuple[tuple[Array, ...], tuple[Array, ...], tuple[Array, Array]]:
    """Pieces with all that lay beyond the ends turned back, carried around, or told apart."""
    lower, upper = edges[0], edges[-1]
    n = len(edges) - 1
    noise = NOISE * max(abs(lower), abs(upper))
    out = [(np.empty(0, int), np.empty(0, int), np.empty(0))]  # rows, columns, mass
    turned = [(np.empty(0, int), np.empty(0))]
    row, share, a, b, slope, k = pieces
    if ends[0] == "periodic":
        period = upper - lower
        shift = np.floor((np.minimum(a, b) - lower) / period) * period
        a, b = a - shift, b - shift
    for _ in range(FOLDS):
        moved = False
        for side, (end, sign) in enumerate(((lower, -1.0), (upper, 1.0))):
            beyond = np.maximum(sign * (a - end), sign * (b - end)) > noise
            if not beyond.any():
                continue
            moved = True
            r, p, x, y, s, q = (v[beyond] for v in (row, share, a, b, slope, k))
            # The piece runs from x at t = 0 to y at t = 1 and is cut at `cut`.
            cut = np.divide(end - x, y - x, out=np.zeros_like(x), where=y != x)
            cut = np.clip(cut, 0.0, 1.0)
            rising = sign * (y - x) > 0
            wholly = np.minimum(sign * (x - end), sign * (y - end)) >= 0
            start = np.where(wholly, 0.0, np.where(rising, cut, 0.0))
            stop = np.where(wholly, 1.0, np.where(rising, 1.0, cut))
            over = p * _between(q, start, stop)
            if ends[side] == "leave":
                out.append((r, np.full(len(r), n + side), over))
            elif ends[side] == "fold":
                turned.append((r, over))
            # What stays within, and what lay beyond.
            i = ~wholly
            xi, yi = x[i], y[i]
            inward, outward = (np.maximum, np.minimum) if sign < 0 else (np.minimum, np.maximum)
            from_, to = np.where(rising[i], 0.0, cut[i]), np.where(rising[i], cut[i], 1.0)
            within = p[i] * _between(q[i], from_, to)
            new = [(r[i], within, inward(xi, end), inward(yi, end), s[i], q[i] * (to - from_))]
            beyond_k = q * (stop - start)
            if ends[side] == "fold":
                new.append(
                    (r, over, 2 * end - outward(x, end), 2 * end - outward(y, end), -s, beyond_k)
                )
            elif ends[side] == "periodic":
                step = -sign * (upper - lower)
                new.append((r, over, outward(x, end) + step, outward(y, end) + step, s, beyond_k))
            keep = tuple(v[~beyond] for v in (row, share, a, b, slope, k))
            row, share, a, b, slope, k = (np.concatenate(v) for v in zip(keep, *new, strict=True))
        if not moved:
            break
    a, b = np.clip(a, lower, upper), np.clip(b, lower, upper)
    rows, columns, mass = (np.concatenate(v) for v in zip(*out, strict=True))
    back = np.concatenate([t[0] for t in turned]), np.concatenate([t[1] for t in turned])
    zeros = np.zeros(len(mass))
    return (row, share, a, b, slope, k), (rows, columns, mass, zeros, zeros, zeros), back


def _spread(
    edges: Array, row: Array, share: Array, a: Array, b: Array, slope: Array, k: Array
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
    mean, spread = _lean(k[piece] * run)
    offset = left + length * mean - (edges[column] + edges[column + 1]) / 2
    return row[piece], column, share[piece] * part, slope[piece], offset, length**2 * spread
