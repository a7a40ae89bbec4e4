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

import numpy as np

from stationary.aliases import Array
from stationary.chain.batches import Batches
from stationary.chain.deposits import NOISE, between, kept_within, leaning, spread_over
from stationary.chain.links import Links
from stationary.chain.multilevel import irreducible, log_stationary
from stationary.numbers.cost import SHARED

STEEPEST = 300.0  # change of log density within one cell
ROUNDS = 400  # of BiCGSTAB, in which the moments within cells may settle
SETTLED = 1e-9  # of what these could be at most, that is left when they have
RIGID = 1e-9  # change of a distance that is none


@dataclass(frozen=True, eq=False)
class Transfer:
    """A chain on n cells. Columns n and n + 1 are what leaves at the lower and upper end.

    `weights` holds, for each pair of cells, the probability and that times s, s^2, o, s o and
    o^2 + ..., where s is the slope of the map and o the offset of what arrives from the centre of
    its cell (the probability alone, if no moments were asked for). Where a map pulls apart, it has
    s = 0: what arrives from a cell lies on several, and where on each is known by its pieces.
    """

    edges: Array  # n + 1 ascending
    rows: Array  # from which cell, (L,), ascending
    columns: Array  # to which cell, (L,)
    weights: Array  # (1 or 6, L)
    folded: Array  # (n,) the probability per step to be turned back at an end, from each cell
    steep: Array  # (n,) where log density was to lean more within a cell than doubles hold

    @property
    def cells(self) -> int:
        return len(self.edges) - 1

    def links(self, k: int = 0) -> Links:
        """One kind of weights, (n, n + 2)."""
        return Links(self.rows, self.columns, self.weights[k], self.cells, self.cells + 2)

    @cached_property
    def matrix(self) -> Links:
        """(n, n + 2); rows add up to 1."""
        return self.links()

    @cached_property
    def inner(self) -> Links:
        """From cell to cell, without what leaves."""
        n = self.cells
        within = self.columns < n
        if within.all():
            return Links(self.rows, self.columns, self.weights[0], n, n)
        return self.matrix.among(np.arange(n), np.arange(n))

    @cached_property
    def leaving(self) -> Array:
        """The probabilities to leave by each end, shape (n, 2)."""
        n = self.cells
        ends = [self.columns == n, self.columns == n + 1]
        sums = [np.bincount(self.rows[e], self.weights[0][e], n) for e in ends]
        return np.stack(sums, axis=1)

    def settled(self, guess: Array | None = None) -> Array | None:
        """log of the stationary vector, where that is found at once and is the only one."""
        return None if self.leaving.any() else irreducible(self.inner, guess)

    def stationary(
        self, members: Array, guess: Array | None = None, settled: float = 1e-11
    ) -> tuple[Array, bool]:
        """log of the stationary vector of a closed class, shape (n,), -inf outside it."""
        log_mass = np.full(self.cells, -np.inf)
        inside = self.inner.among(members)
        known = None if guess is None else guess[members]
        log_mass[members], sound = log_stationary(inside, known, settled)
        return log_mass, sound

    def rigid(self, mass: Array) -> bool:
        """Whether hardly any step changes the distance of walkers that are near each other."""
        p, square = self.weights[0], self.weights[2]
        moved = np.where(np.abs(square - p) > RIGID * p, p, 0)
        return bool(mass @ np.bincount(self.rows, moved, self.cells) < 0.1)

    def moments(self, mass: Array) -> Array:
        """Mean, and central moments of order 2 to 4, of a stationary vector.

        With o the offset of a deposit from the centre of its cell, s the slope of the map, and
        U, Q the first and second moments about the centres times the mass: the moments of what
        arrives are linear in those of what leaves, and settle as fast as the maps contract.
        """
        n, width = self.cells, np.diff(self.edges)
        centre = (self.edges[:-1] + self.edges[1:]) / 2
        inside = self.columns < n
        rows, columns, weights = self.rows[inside], self.columns[inside], self.weights[1:, inside]
        slope, square, offset, both, rest = (Links(rows, columns, w, n, n) for w in weights)
        first = second = None
        if not self.rigid(mass):
            first = _settled(slope, offset.after(mass), mass * width / 2)
        if first is not None:
            second = _settled(square, rest.after(mass) + 2 * both.after(first), mass * width**2)
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


def _settled(links: Links, source: Array, most: Array) -> Array | None:
    """x = x P + source, of which none can be more than `most`, or None: by BiCGSTAB.

    References
    ----------
    .. [1] H. A. van der Vorst, *SIAM J. Sci. Stat. Comput.* 13 (1992) 631.
    """
    enough = SETTLED * float(most.sum())
    x, left, way = source, links.after(source), np.zeros_like(source)
    shadow, image = left, way
    rho = alpha = omega = np.ones(())
    with np.errstate(all="ignore"):
        for _ in range(ROUNDS):
            before, rho = rho, np.asarray(shadow @ left)
            way = left + rho / before * alpha / omega * (way - omega * image)
            image = way - links.after(way)
            alpha = np.asarray(rho / (shadow @ image))
            if np.isfinite(alpha):
                x, left = x + alpha * way, left - alpha * image
            if np.abs(left).sum() <= enough:
                return np.clip(x, -most, most)
            other = left - links.after(left)
            omega = np.asarray((other @ left) / (other @ other))
            x, left = x + omega * left, left - omega * other
            if not np.isfinite(alpha * omega):
                break
    return None


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
    size = max(16, SHARED // max(len(batches), batches.landscape.datapoints)) // block * block
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
        rows, columns, folded = (np.concatenate([p[i] for p in part]) for i in (0, 1, 3))
        weights = np.concatenate([p[2] for p in part], axis=1)
        found.append(Transfer(level, rows, columns, weights, folded, steep))
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


def _part(
    batches: Batches,
    edges: Array,
    rise: Array,
    cells: slice,
    images: tuple[Array, Array, Array],
    ends: tuple[str, str],
    moments: bool,
) -> tuple[Array, Array, Array, Array]:
    """Of some cells: from and to where links lead, their weights, and what is folded."""
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
        first = between(k, np.zeros_like(at), at)
        pieces = [(row, share * first, a, np.where(folds, top, b), width * at, k * at)]
        f, t = folds, at[folds]
        second = between(k[f], t, np.ones_like(t))
        rest = (1 - t) * width[f], (1 - t) * k[f]
        pieces.append((row[f], share[f] * second, top[f], b[f], *rest))
        row, share, a, b, width, k = (
            np.concatenate([np.ravel(y) for y in x]) for x in zip(*pieces, strict=True)
        )
    row, share, a, b, width, k = (np.ravel(x) for x in (row, share, a, b, width, k))
    slope = (b - a) / width
    kept, out, turned = kept_within((row, share, a, b, slope, k), edges, ends)
    deposits = spread_over(edges, *kept, moments=moments)
    if len(out[0]):
        deposits = tuple(
            np.concatenate([x, y]) for x, y in zip(deposits, out[: len(deposits)], strict=True)
        )
    rows, columns, mass, *local = deposits
    key = (rows - cells.start) * (n + 2) + columns
    order = np.argsort(key, kind="stable")
    key, mass, rows = key[order], mass[order], rows[order]
    mass = mass / np.bincount(rows - cells.start, mass, minlength=m)[rows - cells.start]
    kinds = [mass]
    if moments:
        s, o, variance = (x[order] for x in local)
        # o is taken as if it came from the centre of its cell; the last weight is o^2 with the
        # variance of the deposit, less s^2 that of its origin.
        outside = columns[order] >= n
        lean, spread = leaning(rise[cells])
        local_width = all_widths[cells]
        here = rows - cells.start
        s = np.where(outside | (np.abs(s) > 1 + RIGID), 0.0, s)
        o = np.where(outside, 0.0, o - s * ((lean - 0.5) * local_width)[here])
        rest = o * o + variance - s * s * (spread * local_width**2)[here]
        kinds += [mass * s, mass * s * s, mass * o, mass * s * o, mass * rest]
    begins = np.flatnonzero(np.append(True, np.diff(key) > 0))
    weights = np.add.reduceat(np.array(kinds), begins, axis=1)
    folded = np.bincount(row - cells.start, turned, minlength=m)
    return rows[begins], columns[order][begins], weights, np.clip(folded, 0.0, 1.0)
