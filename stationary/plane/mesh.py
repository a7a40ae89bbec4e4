"""Rectangles with polynomials on them: nodes, rules, where a point lies, and who is next to whom.

Rectangles are those between lines, and quarters of these, and quarters of quarters: neighbours are
of one size, or one has sides twice as long. Where that is so the polynomials of the larger one
give the values at nodes of the smaller ones (hanging nodes). Integrals are taken on panels, which
are parts of rectangles.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.polynomial import legendre
from scipy.sparse import coo_array, csr_array
from scipy.sparse.csgraph import connected_components

from stationary.aliases import Array
from stationary.numbers.cost import SHARED
from stationary.numbers.elementary import distinct
from stationary.numbers.threads import one_thread

RULE = 12  # Gauss points in a panel for each direction
# Of P in a panel, what its last coefficients may be: a rule of Gauss squares that, to 1e-13. The
# root of P in the panel, next to the peak of its valley, is made up for: tails need fewer digits.
LAST = 3e-7


@dataclass(frozen=True, eq=False)
class Basis:
    """Polynomials of one degree on [-1, 1] through Gauss-Lobatto nodes."""

    degree: int

    @cached_property
    def nodes(self) -> Array:
        inner = legendre.Legendre.basis(self.degree).deriv().roots()
        return np.concatenate([[-1.0], np.sort(inner.real), [1.0]])

    @cached_property
    def to_legendre(self) -> Array:
        """(n, n): values at the nodes -> coefficients of P_k."""
        return np.asarray(np.linalg.inv(legendre.legvander(self.nodes, self.degree)))

    @cached_property
    def to_slopes(self) -> Array:
        """(n - 1, n): values at the nodes -> coefficients of P_k in the derivative."""
        return np.asarray(legendre.legder(self.to_legendre))

    @one_thread
    def at(self, t: Array) -> Array:
        """(len(t), n): values at the nodes -> values at t."""
        return np.asarray(legendre.legvander(t, self.degree) @ self.to_legendre)

    def slope_at(self, t: Array) -> Array:
        """(len(t), n): values at the nodes -> derivatives at t."""
        return np.asarray(legendre.legvander(t, self.degree - 1) @ self.to_slopes)


@lru_cache(maxsize=32)
def basis(degree: int) -> Basis:
    return Basis(degree)


@lru_cache(maxsize=32)
def gauss(count: int) -> tuple[Array, Array]:
    nodes, weights = legendre.leggauss(count)
    return nodes, weights


@lru_cache(maxsize=32)
def legendre_of(count: int) -> Array:
    """(n, n): values at Gauss points -> coefficients of P_k."""
    return np.asarray(np.linalg.inv(legendre.legvander(gauss(count)[0], count - 1)))


def along(edges: Array, count: int) -> tuple[Array, Array]:
    """Gauss points between neighbours of ascending edges, and their weights."""
    (t, w), half = gauss(count), np.diff(edges)[:, None] / 2
    return (edges[:-1, None] + half * (1 + t)).ravel(), (half * w).ravel()


def tensor(low: Array, size: Array, t: Array) -> Array:
    """(2, E, m, m): the tensor points of t in [-1, 1] in rectangles (2, E)."""
    x, y = low[:, :, None] + size[:, :, None] * (1 + t) / 2
    shape = (len(x), len(t), len(t))
    return np.stack([np.broadcast_to(x[:, :, None], shape), np.broadcast_to(y[:, None, :], shape)])


FIRST = 8  # rectangles for each direction, where nothing says where they should be closer
FINEST = 20  # quarters of quarters at most: positions along an axis are integers


@dataclass(frozen=True, eq=False)
class Mesh:
    """Rectangles between lines, some of them cut in four, and these again.

    Attributes
    ----------
    lines
        Ascending, for each direction.
    level
        (E,): how often the rectangle between lines was cut in four to make each rectangle.
    index
        (2, E): which of the 2^level times as many columns and rows it lies in.
    """

    lines: tuple[Array, Array]
    level: Array
    index: Array

    @classmethod
    def over(cls, box: Any, counts: tuple[int, int]) -> Mesh:
        return cls.between(
            *(np.linspace(a, b, n + 1) for (a, b), n in zip(box, counts, strict=True))
        )

    @classmethod
    def between(cls, x: Array, y: Array) -> Mesh:
        """All rectangles between lines, along y first."""
        index = np.indices((len(x) - 1, len(y) - 1)).reshape(2, -1)
        return cls((x, y), np.zeros(index.shape[1], dtype=int), index)

    @property
    def count(self) -> int:
        return len(self.level)

    @cached_property
    def start(self) -> Array:
        """(2, E): lower corners, counted in the finest steps."""
        return np.asarray(self.index << (FINEST - self.level))

    @cached_property
    def step(self) -> Array:
        """(E,): the length of sides, counted in the finest steps."""
        return np.asarray(1 << (FINEST - self.level))

    def _at(self, steps: Array) -> Array:
        """Coordinates from positions (2, ...) in finest steps."""
        pairs = zip(steps / (1 << FINEST), self.lines, strict=True)
        return np.stack([np.interp(s, np.arange(len(line)), line) for s, line in pairs])

    @cached_property
    def low(self) -> Array:
        """(2, E): lower corners."""
        return self._at(self.start)

    @cached_property
    def size(self) -> Array:
        """(2, E): side lengths."""
        return np.asarray(self._at(self.start + self.step) - self.low)

    @property
    def box(self) -> tuple[tuple[float, float], tuple[float, float]]:
        (x, y) = self.lines
        return (float(x[0]), float(x[-1])), (float(y[0]), float(y[-1]))

    def points(self, t: Array) -> Array:
        """(2, E, m, m): the tensor points of t in [-1, 1] in each rectangle."""
        return tensor(self.low, self.size, t)

    @cached_property
    def _sorted(self) -> list[tuple[int, Array, Array]]:
        """For each level that occurs its rectangles by ascending keys."""
        keys = self._key(self.index, self.level)
        made = []
        for k in distinct(self.level):
            of = np.flatnonzero(self.level == k)
            order = of[np.argsort(keys[of])]
            made.append((int(k), keys[order], order))
        return made

    def _key(self, index: Array, level: Any) -> Array:
        return np.asarray(index[0] * ((len(self.lines[1]) - 1) << np.asarray(level)) + index[1])

    def find(self, steps: Array, of: Any = None) -> Array:
        """The number of the rectangle at positions (2, M) in finest steps, if they are given of
        these levels (M,); -1 for none."""
        made = np.full(steps.shape[1], -1)
        ends = np.array([len(line) - 1 for line in self.lines])[:, None] << FINEST
        inside = ((steps >= 0) & (steps < ends)).all(axis=0)
        for level, keys, order in self._sorted:
            key = self._key(steps >> (FINEST - level), level)
            k = np.minimum(np.searchsorted(keys, key), len(keys) - 1)
            here = inside & (keys[k] == key) & (of is None or of == level)
            made = np.where(here, order[k], made)
        return made

    def places_in(self, other: Mesh) -> Array:
        """(E,): the numbers of the same rectangles in another mesh on the same lines, or -1."""
        return other.find(self.start, self.level)

    def with_others(self, level: Array, index: Array) -> Mesh:
        """With more rectangles between the same lines, be it in the same places."""
        index = np.concatenate([self.index, index], axis=1)
        return Mesh(self.lines, np.concatenate([self.level, level]), index)

    def place(self, x: Array) -> tuple[Array, Array]:
        """For points (2, M): the number of the rectangle, -1 outside, and (2, M) in [-1, 1]."""
        inside = np.ones(x.shape[1], dtype=bool)
        steps = np.empty(x.shape, dtype=np.int64)
        for k, (line, v) in enumerate(zip(self.lines, x, strict=True)):
            slack = 1e-12 * (line[-1] - line[0])
            inside &= (v >= line[0] - slack) & (v <= line[-1] + slack)
            part = np.interp(v, line, np.arange(len(line))) * (1 << FINEST)
            steps[k] = np.minimum(np.nan_to_num(part), ((len(line) - 1) << FINEST) - 1)
        number = np.where(inside, self.find(steps), -1)
        return number, self.local(number, x)

    def local(self, number: Array, x: Array) -> Array:
        """(2, M): where points lie in rectangles, in [-1, 1]."""
        return np.asarray(2 * (x - self.low[:, number]) / self.size[:, number] - 1)

    @cached_property
    def beside(self) -> Array:
        """(2, 2, 2, E): along each axis, before and after, what lies next to the first and to the
        second half of the side; -1 where nothing does."""
        made = np.empty((2, 2, 2, self.count), dtype=int)
        for axis in (0, 1):
            for side in (0, 1):
                for half in (0, 1):
                    at = self.start.copy()
                    at[axis] += self.step * side if side else -1
                    at[1 - axis] += self.step * (1 + 2 * half) // 4
                    made[axis, side, half] = self.find(at)
        return made

    @cached_property
    def outer(self) -> Array:
        """(2, 2, E): along each axis, before and after, whether nothing lies next to the side."""
        return np.asarray((self.beside < 0).all(axis=2))

    @cached_property
    def pairs(self) -> Array:
        """(2, K): the numbers of rectangles that share a side, both ways round."""
        flat = self.beside.reshape(8, -1)
        here = np.broadcast_to(np.arange(self.count), flat.shape)
        found = np.stack([here[flat >= 0], flat[flat >= 0]])
        return np.concatenate([found, found[::-1]], axis=1)

    def clusters(self, keep: Array) -> Array:
        """(E,): a number for each rectangle, by which those that are kept hang together."""
        here, there = self.pairs[:, keep[self.pairs].all(axis=0)]
        links = coo_array((np.ones(len(here)), (here, there)), (self.count, self.count))
        return np.asarray(connected_components(links)[1])

    def restricted(self, keep: Array) -> Mesh:
        """Only some of the rectangles: a truth value for each."""
        return Mesh(self.lines, self.level[keep], self.index[:, keep])

    def split(self, cut: Array) -> Mesh:
        """Some rectangles cut in four (a truth value for each), and larger ones next to these."""
        mesh = self
        while cut.any():
            quarters = [2 * mesh.index[:, cut] + [[i], [j]] for i in (0, 1) for j in (0, 1)]
            level, index = np.tile(mesh.level[cut] + 1, 4), np.concatenate(quarters, axis=1)
            mesh = mesh.restricted(~cut).with_others(level, index)
            here, there = mesh.pairs
            cut = np.zeros(mesh.count, dtype=bool)
            cut[there[mesh.level[here] > mesh.level[there] + 1]] = True
        return mesh

    def sides(self, degree: int) -> tuple[Array, csr_array]:
        """The nodes on the sides of rectangles, numbered: (E, n, n), -1 inside; and the matrix that
        takes values at those which are free to values at all."""
        n, p = degree + 1, basis(degree)
        edge = np.ones((n, n), dtype=bool)
        edge[1:-1, 1:-1] = False
        # Nodes are the same where their positions are, to the last bit.
        x, y = self.start[:, :, None] + self.step[:, None] * (1 + p.nodes) / 2
        at = x[:, :, None] + 1j * y[:, None, :]
        known, which = np.unique(at[:, edge], return_inverse=True)
        number = np.full((self.count, n, n), -1)
        number[:, edge] = which.reshape(self.count, -1)
        size = len(known)
        # Along a side with a larger neighbour: what the polynomials of that one's side are.
        halves = [p.at((p.nodes - 1) / 2), p.at((p.nodes + 1) / 2)]
        rows, columns, values = [], [], []
        for axis, side in ((0, 0), (0, 1), (1, 0), (1, 1)):
            other = self.beside[1 - axis, side, 0]
            small = np.flatnonzero((other >= 0) & (self.level[other] < self.level))
            big = other[small]
            half = (self.start[axis, small] > self.start[axis, big]).astype(int)
            mine = number[small][:, :, -side] if axis == 0 else number[small][:, -side]
            theirs = number[big][:, :, side - 1] if axis == 0 else number[big][:, side - 1]
            table = np.stack(halves)[half]
            rows.append(np.broadcast_to(mine[:, :, None], table.shape).ravel())
            columns.append(np.broadcast_to(theirs[:, None, :], table.shape).ravel())
            values.append(table.ravel())
        row, column, value = (np.concatenate(v) for v in (rows, columns, values))
        keep = (np.abs(value) > 1e-12) & (row != column)  # a corner that both have does not hang
        row, column, value = row[keep], column[keep], value[keep]
        hangs = np.zeros(size, dtype=bool)
        hangs[row] = True
        _, first = np.unique(row * size + column, return_index=True)  # corners that hang twice
        free = np.flatnonzero(~hangs)
        table = np.concatenate([value[first], np.ones(len(free))])
        at = np.concatenate([row[first], free]), np.concatenate([column[first], free])
        once = csr_array((table, at), shape=(size, size))
        made = once[:, free]
        for _ in range(30):  # larger ones may hang on larger ones
            if not hangs[once[hangs].indices].any():
                break
            once = once @ once
            made = once[:, free]
        return number, csr_array(made)


def summed(tables: Sequence[Array], number: Array, local: Array) -> list[Array]:
    """What several polynomials (E, n, n) are at places as `Mesh.place` gives them, all inside."""
    made = [np.empty(len(number)) for _ in tables]
    degrees = [table.shape[1] - 1 for table in tables]
    at_once = SHARED // max(degrees) ** 2
    for start in range(0, len(number), at_once):
        some = slice(start, start + at_once)
        e, t = number[some], local[:, some]
        known: dict[int, list[Array]] = {}
        for values, table, p in zip(made, tables, degrees, strict=True):
            if p not in known:
                known[p] = [basis(p).at(v) for v in t]
            x, y = known[p]
            values[some] = ((table[e] @ y[:, :, None])[..., 0] * x).sum(axis=1)
    return made


def with_slopes(mesh: Mesh, table: Array, number: Array, local: Array) -> tuple[Array, Array]:
    """As `summed` one polynomial, and its gradient, (2, M)."""
    p, made = basis(table.shape[1] - 1), np.empty((2, 2, len(number)))
    at_once = SHARED // p.degree**2
    for start in range(0, len(number), at_once):
        some = slice(start, start + at_once)
        x, y = (np.stack([p.at(t), p.slope_at(t)], axis=1) for t in local[:, some])
        made[..., some] = np.moveaxis(x @ table[number[some]] @ np.swapaxes(y, 1, 2), 0, 2)
    return made[0, 0], np.stack([made[1, 0], made[0, 1]]) * 2 / mesh.size[:, number]


class Panels(NamedTuple):
    """Parts of rectangles, each in the local coordinates [-1, 1] of its rectangle."""

    number: Array  # (P,)
    low: Array  # (2, P)
    size: Array  # (2, P)

    def restricted(self, keep: Any) -> Panels:
        return Panels(*(v[..., keep] for v in self))

    def halved(self, axis: int) -> Panels:
        """Lower halves, then upper ones."""
        size = self.size.copy()
        size[axis] /= 2
        upper = self.low.copy()
        upper[axis] += size[axis]
        return end_to_end([Panels(self.number, low, size) for low in (self.low, upper)])


T = TypeVar("T", bound=tuple[Array, ...])


def end_to_end(parts: Sequence[T]) -> T:
    """Tables of points or panels, those of several one after the other."""
    return type(parts[0])(*(np.concatenate(v, axis=-1) for v in zip(*parts, strict=True)))


def log_sum(log: Array, factor: Array) -> float:
    """log of the sum of e^log factor; -inf where it is not positive."""
    log, factor = log[factor != 0], factor[factor != 0]
    top = float(np.max(log, initial=-np.inf))
    total = float((np.exp(log - top) * factor).sum())
    return top + float(np.log(total)) if total > 0 else -np.inf
