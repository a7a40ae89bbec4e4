"""Chebyshev polynomials on one interval: nodes, coefficients, integrals and sums."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np

from stationary.aliases import Array
from stationary.numbers.arithmetic import DOUBLE, Arithmetic
from stationary.numbers.elementary import FLOAT, arithmetic_of, as_array

NEXT_TO_AN_END = 450.0  # roundings; 1e-13 of a panel of doubles
FEW_POINTS = 90  # below this, cos(k arccos t) costs fewer NumPy calls than Clenshaw's loop


@dataclass(frozen=True, eq=False)
class Rule:
    """The Chebyshev nodes of the first kind on [-1, 1] and what is linear on them.

    Each matrix is an array in doubles; in many digits it is a compiled matrix, made when it is
    first used. Either way `matrix @ columns` is what it does to columns.
    """

    n: int
    arithmetic: Arithmetic
    nodes: Array  # (n,), ascending; neither the ends nor the centre is a node (n is even)

    def _operator(self, entries: Array) -> Any:
        return entries if self.arithmetic is DOUBLE else self.arithmetic.matrix(entries)

    @cached_property
    def basis(self) -> Array:
        """(n, n): T_k at the nodes, a row for each k."""
        # T_k(-cos t) = (-1)^k cos(k t).
        k, j = np.arange(self.n), np.arange(self.n)
        signs = self.arithmetic.array((-1) ** k)[:, None]
        return as_array(_cosine(np.outer(k, 2 * j + 1), self.n, self.arithmetic) * signs)

    @cached_property
    def coefficients(self) -> Any:
        """(n, n): values at the nodes -> Chebyshev coefficients."""
        if self.arithmetic is DOUBLE:
            return self._coefficients
        matrix, half = self.arithmetic.matrix, self._coefficients[:, : self.n // 2]
        return _Analysis(matrix(half[::2]), matrix(half[1::2]))

    @cached_property
    def _coefficients(self) -> Array:
        scale = self.arithmetic.array(np.where(np.arange(self.n) == 0, 1, 2)) / self.n
        return as_array(self.basis * scale[:, None])  # discrete orthogonality

    @cached_property
    def antiderivative(self) -> Any:
        """(n + 1, n): coefficients -> those of the integral from -1."""
        return self._antiderivative if self.arithmetic is DOUBLE else _Antiderivative()

    @cached_property
    def _antiderivative(self) -> Array:
        # Integrals: int T_k = T_{k+1}/(2(k+1)) - T_{k-1}/(2(k-1)); C_0 makes the value at -1 zero.
        n, exact = self.n, self.arithmetic.array
        table = exact(np.zeros((n + 1, n)))
        for m in range(1, n + 1):
            table[m, m - 1] = exact(np.array(1))[()] / (m if m == 1 else 2 * m)
            if m + 1 < n:
                table[m, m + 1] = -exact(np.array(1))[()] / (2 * m)
        signs = exact((-1) ** np.arange(n + 1))
        table[0] = -(signs[1:, None] * table[1:]).sum(axis=0)
        return table

    @cached_property
    def from_left(self) -> Any:
        """(n, n): coefficients of p -> those of the mean of p from -1 to t."""
        # A = (1 + t) B means A_k = B_k + (B_{k-1} + B_{k+1}) / 2 (B_0 counts twice in A_1).
        n, right = self.n, self._antiderivative[1:]
        if self.arithmetic is DOUBLE:
            product = np.eye(n + 1, n) + 0.5 * np.eye(n + 1, n, -1) + 0.5 * np.eye(n + 1, n, 1)
            product[1, 0] = 1.0
            return np.linalg.solve(product[1:], right)
        # The same from the last row up.
        table = self.arithmetic.array(np.zeros((n + 2, n)))
        for k in range(n, 0, -1):
            table[k - 1] = (2 * (right[k - 1] - table[k]) - table[k + 1]) / (2 if k == 1 else 1)
        return self._operator(table[:n])

    @cached_property
    def derivative(self) -> Any:
        """(n, n): coefficients -> those of the derivative."""
        return self._operator(self._derivative)

    @cached_property
    def _derivative(self) -> Array:
        n, exact = self.n, self.arithmetic.array
        table = exact(np.zeros((n, n)))
        for m in range(n):
            table[m, m + 1 :: 2] = exact(2 * np.arange(m + 1, n, 2))
        table[0] = table[0] / 2
        return table

    @cached_property
    def integral(self) -> Any:
        """(n,): coefficients -> the integral over [-1, 1]."""
        return self._operator(self._integral)

    @cached_property
    def _integral(self) -> Array:
        k, exact = np.arange(self.n), self.arithmetic.array
        even = k % 2 == 0
        row = exact(np.zeros(self.n))
        row[even] = exact(np.full(even.sum(), 2)) / exact(1 - k[even] ** 2)
        return row

    @cached_property
    def at_ends(self) -> Any:
        """(4, n): coefficients -> values at -1 and at 1, and slopes there."""
        # T_k(1) = 1, T_k'(1) = k^2, and T_k(-t) = (-1)^k T_k(t).
        k, exact = np.arange(self.n), self.arithmetic.array
        signs = (-1) ** k
        return self._operator(exact(np.stack([signs, signs * signs, -signs * k**2, k**2])))

    @cached_property
    def quadrature(self) -> Array:
        """(n,): the weights of the nodes in the integral over [-1, 1]."""
        return as_array(self._integral @ self._coefficients)

    @cached_property
    def closed(self) -> Array:
        """(n + 2,): the nodes with both ends."""
        one = self.arithmetic.array(np.ones(1))
        return np.concatenate([-one, self.nodes, one])

    @cached_property
    def at_nodes(self) -> Any:
        """(n, n): coefficients -> values at the nodes."""
        if self.arithmetic is DOUBLE:
            return self.basis.T
        matrix, half = self.arithmetic.matrix, self.basis.T[: self.n // 2]
        return _Synthesis(matrix(half[:, ::2]), matrix(half[:, 1::2]))

    def on_halves(self, c: Array) -> Array:
        """(n, panels) coefficients -> (n + 2, 2 panels): values at the nodes and ends of halves.

        First of the left halves, then of the right ones, as T_k(-t) = (-1)^k T_k(t) makes them.
        """
        even, odd = (matrix @ c[i::2] for i, matrix in enumerate(self._on_left_half))
        return as_array(np.concatenate([even + odd, (even - odd)[::-1]], axis=1))

    @cached_property
    def _on_left_half(self) -> tuple[Any, Any]:
        t = (self.closed - 1) / 2
        rows = [0 * t + 1, t]
        while len(rows) < self.n:
            rows.append(2 * t * rows[-1] - rows[-2])
        table = np.stack(rows).T
        return self._operator(table[:, ::2]), self._operator(table[:, 1::2])

    @cached_property
    def values(self) -> Any:
        """(n + 2, n), of doubles: coefficients -> values at the nodes and both ends."""
        return np.cos(np.outer(np.arange(self.n), np.arccos(self.closed))).T.copy()

    @cached_property
    def slopes(self) -> Array:
        """(n, n), of doubles: values at the nodes -> derivative at the nodes."""
        return as_array(self.basis.T @ self.derivative @ self.coefficients)


@dataclass(frozen=True, eq=False)
class _Analysis:
    """Values at nodes -> coefficients, as T_k(-t) = (-1)^k T_k(t) makes it: half the products."""

    even: Any
    odd: Any

    def __matmul__(self, v: Array) -> Array:
        half, made = len(v) // 2, np.empty_like(v)
        left, right = v[:half], v[half:][::-1]
        made[::2], made[1::2] = self.even @ (left + right), self.odd @ (left - right)
        return made


@dataclass(frozen=True, eq=False)
class _Synthesis:
    """Coefficients -> values at nodes, likewise."""

    even: Any
    odd: Any

    def __matmul__(self, c: Array) -> Array:
        even, odd = self.even @ c[::2], self.odd @ c[1::2]
        return as_array(np.concatenate([even + odd, (even - odd)[::-1]]))


class _Antiderivative:
    """Coefficients -> those of the integral from -1, without the zeros of its matrix."""

    def __matmul__(self, c: Array) -> Array:
        n = len(c)
        made = np.empty_like(c, shape=(n + 1, *c.shape[1:]))
        by = (2 * np.arange(1, n + 1)).reshape(-1, *[1] * (c.ndim - 1))
        made[1:] = c
        made[1] = 2 * c[0]
        made[1 : n - 1] = made[1 : n - 1] - c[2:]
        made[1:] = made[1:] / by
        made[0] = made[1::2].sum(axis=0) - made[2::2].sum(axis=0)
        return made


@lru_cache(maxsize=32)
def rule(n: int, arithmetic: Arithmetic = DOUBLE) -> Rule:
    """The rule with `n` nodes (even), in the given arithmetic; made once and kept."""
    return Rule(n, arithmetic, -_cosine(2 * np.arange(n) + 1, n, arithmetic))


def rule_of(c: Array) -> Rule:
    """The rule whose matrices act on the coefficients `c` (n or, padded, n - 1 of them)."""
    return rule(len(c) + len(c) % 2, arithmetic_of(c))


def ends_of(c: Array) -> tuple[Array, Array]:
    """The values at -1 and at 1 of columns of coefficients."""
    even, odd = c[::2].sum(axis=0), c[1::2].sum(axis=0)
    return even - odd, even + odd


def derived(c: Array) -> Array:
    """The derivative on [-1, 1] of columns of coefficients, as coefficients."""
    if c.dtype is FLOAT:
        n = len(c)
        return as_array(rule_of(c).derivative[:n, :n] @ c)
    # c'_(k-1) - c'_(k+1) = 2 k c_k: a sum from the last row up, odd rows and even ones apart.
    steps, result = c * (2 * np.arange(len(c)))[:, None], np.zeros_like(c)
    for first in (1, 2):
        result[first - 1 : len(c) - 1 : 2] = np.cumsum(steps[first::2][::-1], axis=0)[::-1]
    result[0] = result[0] / 2
    return as_array(result)


def _cosine(m: Array, n: int, arithmetic: Arithmetic) -> Array:
    """cos(pi m / 2n) for integers m, brought to the first quadrant while they are integers."""
    m = m % (4 * n)
    m = np.where(m > 2 * n, 4 * n - m, m)
    sign = np.where(m > n, -1, 1)
    m = np.where(m > n, 2 * n - m, m)
    exact = arithmetic.array
    quadrant = arithmetic.cos(arithmetic.pi * exact(np.arange(n + 1)) / (2 * n))
    return as_array(exact(sign) * quadrant[m])


def nodes_of(lower: Array, upper: Array, r: Rule) -> tuple[Array, Array | None]:
    """The nodes of each panel, shape (n, panels), and what rounding took from each.

    None stands for nothing: many digits are as many as the nodes need.
    """
    if r.arithmetic is not DOUBLE:
        return r.arithmetic.exact_nodes(lower, upper, (1 + r.nodes) / 2), None
    x = lower + (upper - lower) * ((1 + r.nodes[:, None]) / 2)
    half = (upper - lower) / 2
    return x, r.nodes[:, None] * half - ((x - lower) - (upper - x)) / 2


def chebyshev_sum(c: Array, t: Array, k: Array | None = None) -> Array:
    """sum_j c[j, k] T_j(t) at points t, shape (points,), each in its column k of coefficients.

    Without `k` each point has a column of its own.
    """
    if not t.size:
        return np.empty_like(t)
    if c.dtype is not FLOAT:
        return as_array(arithmetic_of(c).polynomials(c, t, k))
    c = c if k is None else c[:, k]
    if t.size <= FEW_POINTS:
        k = np.arange(len(c))[:, None]
        basis = np.cos(k * np.arccos(np.minimum(np.maximum(t, -1.0), 1.0)))
        return as_array(np.add.reduce(c * basis))
    twice, b, previous, spare = 2 * t, c[-1].copy(), np.zeros_like(t), np.empty_like(t)
    for row in c[-2:0:-1]:  # in place: these arrays are small, and making them is not free
        np.multiply(twice, b, out=spare)
        spare -= previous
        spare += row
        b, previous, spare = spare, b, previous
    return as_array(t * b - previous + c[0])
