"""Rectangles with polynomials on them: nodes, rules, and where a point lies."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
from numpy.polynomial import legendre
from numpy.typing import NDArray

__all__ = ["Basis", "Mesh", "basis"]

Array = NDArray[Any]


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

    def at(self, t: Array) -> Array:
        """(len(t), n): values at the nodes -> values at t."""
        return np.asarray(legendre.legvander(t, self.degree) @ self.to_legendre)

    def slope_at(self, t: Array) -> Array:
        """(len(t), n): values at the nodes -> derivatives at t."""
        slopes = legendre.legval(t, legendre.legder(np.eye(self.degree + 1)))
        return np.asarray(slopes.T @ self.to_legendre)


@lru_cache(maxsize=32)
def basis(degree: int) -> Basis:
    return Basis(degree)


@lru_cache(maxsize=32)
def gauss(count: int) -> tuple[Array, Array]:
    nodes, weights = legendre.leggauss(count)
    return nodes, weights


@dataclass(frozen=True, eq=False)
class Mesh:
    """Rectangles between lines, of which some are in use.

    Attributes
    ----------
    lines
        Ascending, for each direction.
    used
        Shape (len(x) - 1, len(y) - 1): which rectangles are there.
    """

    lines: tuple[Array, Array]
    used: Array

    @classmethod
    def over(cls, box: Any, counts: tuple[int, int]) -> Mesh:
        lines = [np.linspace(a, b, n + 1) for (a, b), n in zip(box, counts, strict=True)]
        return cls((lines[0], lines[1]), np.ones(counts, dtype=bool))

    @cached_property
    def cells(self) -> Array:
        """(2, E): the indices of the rectangles in use."""
        return np.stack(np.nonzero(self.used))

    @cached_property
    def number(self) -> Array:
        """The number of each rectangle among those in use, or -1."""
        made = np.full(self.used.shape, -1)
        made[tuple(self.cells)] = np.arange(self.cells.shape[1])
        return made

    @cached_property
    def low(self) -> Array:
        """(2, E): lower corners."""
        return np.stack([line[i] for line, i in zip(self.lines, self.cells, strict=True)])

    @cached_property
    def size(self) -> Array:
        """(2, E): side lengths."""
        return np.stack([np.diff(line)[i] for line, i in zip(self.lines, self.cells, strict=True)])

    @property
    def box(self) -> tuple[tuple[float, float], tuple[float, float]]:
        (x, y) = self.lines
        return (float(x[0]), float(x[-1])), (float(y[0]), float(y[-1]))

    def points(self, t: Array) -> Array:
        """(2, E, m, m): the tensor points of t in [-1, 1] in each rectangle."""
        s = (1 + t) / 2
        x = self.low[0][:, None] + self.size[0][:, None] * s
        y = self.low[1][:, None] + self.size[1][:, None] * s
        shape = (len(x), len(t), len(t))
        return np.stack(
            [np.broadcast_to(x[:, :, None], shape), np.broadcast_to(y[:, None, :], shape)]
        )

    def place(self, x: Array) -> tuple[Array, Array]:
        """For points (2, M): the number of the rectangle, -1 outside, and (2, M) in [-1, 1]."""
        index, local = [], []
        inside = np.ones(x.shape[1], dtype=bool)
        for line, v in zip(self.lines, x, strict=True):
            slack = 1e-12 * (line[-1] - line[0])
            inside &= (v >= line[0] - slack) & (v <= line[-1] + slack)
            i = np.clip(np.searchsorted(line, v, side="right") - 1, 0, len(line) - 2)
            index.append(i)
            local.append(2 * (v - line[i]) / (line[i + 1] - line[i]) - 1)
        return np.where(inside, self.number[tuple(index)], -1), np.stack(local)

    def restricted(self, keep: Array) -> Mesh:
        """Only some of the rectangles: a truth value for each."""
        used = np.zeros_like(self.used)
        used[tuple(self.cells[:, keep])] = True
        return Mesh(self.lines, used)

    def split(self, columns: Array, rows: Array) -> Mesh:
        """Columns and rows of rectangles cut in two, by a truth value for each."""
        lines, used = [], self.used
        for axis, (line, cut) in enumerate(zip(self.lines, (columns, rows), strict=True)):
            middle = (line[1:] + line[:-1])[cut] / 2
            lines.append(np.sort(np.concatenate([line, middle])))
            used = np.repeat(used, 1 + cut.astype(int), axis=axis)
        return Mesh((lines[0], lines[1]), used)

    def values(self, tables: Array, degree: int, number: Array, local: Array) -> Array:
        """What polynomials (E, n, n) are at places as `place` gives them, all inside."""
        p = basis(degree)
        x, y = p.at(local[0]), p.at(local[1])
        return np.asarray(np.einsum("mi,mj,mij->m", x, y, tables[number], optimize=True))
