"""Piecewise polynomials: sample a function once, then integrate and evaluate it exactly.

A function is sampled at the Chebyshev nodes of each panel and kept as Chebyshev coefficients,
all panels at once as one array with a panel per column. Panels are halved where the
coefficients have not fallen to rounding: this finds kinks and jumps by itself.

Nothing here knows what the function means. The arithmetic (doubles or many digits) is an
argument; the algorithm is the same.

References
----------
.. [1] L. N. Trefethen, *Approximation Theory and Approximation Practice*, SIAM 2013.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stationary.numbers.arithmetic import DOUBLE, Arithmetic
from stationary.numbers.elementary import FLOAT, arithmetic_of, exact_sum, finite, spacing
from stationary.numbers.fixed_point import (
    FixedPointMatrix,
    bits_of,
    clenshaw,
    exact_nodes,
    fractions,
)

__all__ = [
    "Panels",
    "Rule",
    "Samples",
    "SignChanges",
    "chebyshev_sum",
    "derived",
    "find_roots",
    "nodes_of",
    "rule",
    "rule_of",
    "sample",
    "sign_changes",
    "without_ripples",
]

Array = NDArray[Any]

NEXT_TO_AN_END = 450.0  # roundings; 1e-13 of a panel of doubles
FEW_POINTS = 200  # below this, cos(k arccos t) costs fewer NumPy calls than Clenshaw's loop


@dataclass(frozen=True, eq=False)
class Rule:
    """The Chebyshev nodes of the first kind on [-1, 1] and what is linear on them.

    Each matrix is an array in doubles; in many digits it is a `FixedPointMatrix`, made when it is
    first used. Either way `matrix @ columns` is what it does to columns.
    """

    n: int
    arithmetic: Arithmetic
    nodes: Array  # (n,), ascending; neither the ends nor the centre is a node (n is even)

    def _operator(self, entries: Array) -> Any:
        return entries if self.arithmetic is DOUBLE else FixedPointMatrix(entries, self.arithmetic)

    @cached_property
    def basis(self) -> Array:
        """(n, n): T_k at the nodes, a row for each k."""
        # T_k(-cos t) = (-1)^k cos(k t).
        k, j = np.arange(self.n), np.arange(self.n)
        signs = self.arithmetic.array((-1) ** k)[:, None]
        return np.asarray(_cosine(np.outer(k, 2 * j + 1), self.n, self.arithmetic) * signs)

    @cached_property
    def coefficients(self) -> Any:
        """(n, n): values at the nodes -> Chebyshev coefficients."""
        return self._operator(self._coefficients)

    @cached_property
    def _coefficients(self) -> Array:
        scale = self.arithmetic.array(np.where(np.arange(self.n) == 0, 1, 2)) / self.n
        return np.asarray(self.basis * scale[:, None])  # discrete orthogonality

    @cached_property
    def antiderivative(self) -> Any:
        """(n + 1, n): coefficients -> those of the integral from -1."""
        return self._operator(self._antiderivative)

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
    def quadrature(self) -> Array:
        """(n,): the weights of the nodes in the integral over [-1, 1]."""
        return np.asarray(self._integral @ self._coefficients)

    @cached_property
    def closed(self) -> tuple[Array, Any]:
        """The nodes with both ends, and coefficients -> values there."""
        signs = self.arithmetic.array((-1) ** np.arange(self.n))
        t = np.concatenate([-signs[:1], self.nodes, signs[:1]])
        if self.arithmetic is DOUBLE:
            return t, np.cos(np.outer(np.arange(self.n), np.arccos(t))).T.copy()
        return t, self._operator(np.vstack([signs, self.basis.T, signs[0] + 0 * signs]))

    @cached_property
    def slopes(self) -> Array:
        """(n, n), of doubles: values at the nodes -> derivative at the nodes."""
        return np.asarray(self.basis.T @ self.derivative @ self.coefficients)

    @cached_property
    def fractions(self) -> list[Any]:
        """Of many digits: how far along a panel each node is, as whole numbers."""
        table = fractions((1 + self.nodes) / 2, bits_of(self.arithmetic))
        return list(table)


@lru_cache(maxsize=32)
def rule(n: int, arithmetic: Arithmetic = DOUBLE) -> Rule:
    """The rule with `n` nodes (even), in the given arithmetic; made once and kept."""
    return Rule(n, arithmetic, -_cosine(2 * np.arange(n) + 1, n, arithmetic))


def rule_of(c: Array) -> Rule:
    """The rule whose matrices act on the coefficients `c` (n or, padded, n - 1 of them)."""
    return rule(len(c) + len(c) % 2, arithmetic_of(c))


def derived(c: Array) -> Array:
    """The derivative on [-1, 1] of columns of coefficients, as coefficients."""
    if c.dtype is FLOAT:
        n = len(c)
        return np.asarray(rule_of(c).derivative[:n, :n] @ c)
    result = np.concatenate([c, c[:1]]) * 0
    for k in range(len(c) - 1, 0, -1):
        result[k - 1] = result[k + 1] + 2 * k * c[k]
    result[0] = result[0] / 2
    return np.asarray(result[:-1])


def _cosine(m: Array, n: int, arithmetic: Arithmetic) -> Array:
    """cos(pi m / 2n) for integers m, brought to the first quadrant while they are integers."""
    m = m % (4 * n)
    m = np.where(m > 2 * n, 4 * n - m, m)
    sign = np.where(m > n, -1, 1)
    m = np.where(m > n, 2 * n - m, m)
    exact = arithmetic.array
    quadrant = arithmetic.cos(arithmetic.pi * exact(np.arange(n + 1)) / (2 * n))
    return np.asarray(exact(sign) * quadrant[m])


def nodes_of(lower: Array, upper: Array, r: Rule) -> tuple[Array, Array | None]:
    """The nodes of each panel, shape (n, panels), and what rounding took from each.

    None stands for nothing: many digits are as many as the nodes need.
    """
    if r.arithmetic is not DOUBLE:
        return exact_nodes(lower, upper, r.fractions, bits_of(r.arithmetic)), None
    x = lower + (upper - lower) * ((1 + r.nodes[:, None]) / 2)
    half = (upper - lower) / 2
    return x, r.nodes[:, None] * half - ((x - lower) - (upper - x)) / 2


def chebyshev_sum(c: Array, t: Array, k: Array | None = None) -> Array:
    """sum_j c[j, k] T_j(t) at points t, shape (points,), each in its column k of coefficients.

    Without `k` each point has a column of its own.
    """
    if c.dtype is not FLOAT:
        return clenshaw(c, t, k, arithmetic_of(c))
    c = c if k is None else c[:, k]
    if t.size <= FEW_POINTS:
        k = np.arange(len(c))[:, None]
        basis = np.cos(k * np.arccos(np.minimum(np.maximum(t, -1.0), 1.0)))
        return np.asarray(np.add.reduce(c * basis))
    twice, b, previous = 2 * t, c[-1], 0 * t
    for row in c[-2:0:-1]:
        b, previous = twice * b - previous + row, b
    return np.asarray(t * b - previous + c[0])


@dataclass(frozen=True, eq=False)
class Panels:
    """Where the panels are; functions on them are coefficient arrays with a panel per column."""

    edges: Array  # (panels + 1,), ascending

    @property
    def lower(self) -> Array:
        return self.edges[:-1]

    @property
    def upper(self) -> Array:
        return self.edges[1:]

    @cached_property
    def half(self) -> Array:
        return (self.upper - self.lower) / 2

    def locate(self, x: Array) -> tuple[Array, Array]:
        """The panel of each point, and where in it, from -1 to 1."""
        k = self.edges.searchsorted(x, side="right") - 1
        k = np.minimum(np.maximum(k, 0), len(self.edges) - 2)
        if self.edges.dtype is not FLOAT:
            centre, scale = self._centred
            return k, (x - centre[k]) * scale[k]
        a, b = self.edges[k], self.edges[k + 1]
        # Both differences are exact when x is near an edge, where accuracy matters most.
        return k, ((x - a) - (b - x)) / (b - a)

    @cached_property
    def _centred(self) -> tuple[Array, Array]:
        """Of many digits: the middle of each panel, exactly, and 1 over half its width."""
        halved = np.frompyfunc(arithmetic_of(self.edges).one.context.ldexp, 2, 1)
        return halved(exact_sum(self.lower, self.upper), -1), 1 / self.half

    def evaluate(self, c: Array, x: Array, offset: Array | None = None) -> Array:
        """The function with coefficients `c` at points `x` (any shape; ascending in columns).

        `offset` is added to x without being rounded away: the point meant is x + offset.
        """
        if x.dtype is not FLOAT and x.ndim == 2 and len(x) > 2:
            # To compare many digits is slow, and most columns lie within one panel.
            first, last = self.locate(x[0])[0], self.locate(x[-1])[0]
            k = np.broadcast_to(first, x.shape)
            split = first != last
            if split.any():
                k = k.copy()
                k[:, split] = self.locate(x[:, split])[0]
            k = k.ravel()
            centre, scale = self._centred
            t = (x.ravel() - centre[k]) * scale[k]
            return chebyshev_sum(c, t, k).reshape(x.shape)
        k, t = self.locate(x.ravel())
        if offset is not None:
            t = t + offset.ravel() / self.half[k]
        return chebyshev_sum(c, t, k).reshape(x.shape)


@dataclass(frozen=True, eq=False)
class Samples:
    """A function of several outputs, sampled on panels fine enough to resolve each output."""

    lower: Array  # (panels,), ascending
    upper: Array
    values: tuple[Array, ...]  # each (n, panels): at the nodes
    coefficients: tuple[Array, ...]  # each (n, panels)
    tails: tuple[Array, ...]  # each (panels,): size of the coefficients that were cut off
    resolved: Array  # (panels,), bool
    evaluations: int

    def only(self, chosen: Array) -> Samples:
        """Some of the panels."""

        def part(arrays: tuple[Array, ...]) -> tuple[Array, ...]:
            return tuple(a[..., chosen] for a in arrays)

        return replace(
            self,
            lower=self.lower[chosen],
            upper=self.upper[chosen],
            values=part(self.values),
            coefficients=part(self.coefficients),
            tails=part(self.tails),
            resolved=self.resolved[chosen],
        )

    @staticmethod
    def joined(pieces: list[Samples]) -> Samples:
        """All panels of all pieces, in order."""
        if len(pieces) == 1:
            return pieces[0]
        order = np.argsort(np.concatenate([p.lower for p in pieces]), kind="stable")

        def together(name: str) -> tuple[Array, ...]:
            groups = zip(*(getattr(p, name) for p in pieces), strict=True)
            return tuple(np.concatenate(g, axis=-1)[..., order] for g in groups)

        return Samples(
            lower=np.concatenate([p.lower for p in pieces])[order],
            upper=np.concatenate([p.upper for p in pieces])[order],
            values=together("values"),
            coefficients=together("coefficients"),
            tails=together("tails"),
            resolved=np.concatenate([p.resolved for p in pieces])[order],
            evaluations=sum(p.evaluations for p in pieces),
        )


def _tail(c: Array) -> Array:
    return np.asarray(np.abs(c[-3:]).max(axis=0))


def _settled(
    c: Array,
    ends: Array,
    shift: Array,
    steady: Array,
    half: Array,
    negligible: Any,
    noise: Any,
) -> Array:
    """Whether each panel's coefficients have fallen to rounding, or to noise, or to nothing.

    `ends` holds the function next to both ends (by `shift`, relative), where no node is: a jump
    between the last node and the end would not be seen otherwise. `steady` counts the halvings
    that have not lowered the tail: noise is what they do not lower, whereas at a corner it halves.
    """
    size = np.abs(c).max(axis=0)
    last = _tail(c)
    middle = np.abs(c[len(c) // 2 : -3]).max(axis=0)
    rounding = last <= noise * size
    noisy = (last <= 1e7 * noise * size) & (last >= middle / 2)
    plateau = noisy & (steady >= np.where(last <= 1e4 * noise * size, 1, 3))
    small = last * half <= negligible
    odd, even = c[1::2].sum(axis=0), c[::2].sum(axis=0)
    square = (np.arange(len(c)) ** 2)[:, None] * c  # T_k'(1) = k^2, T_k'(-1) = (-1)^(k+1) k^2
    rise, fall = square[1::2].sum(axis=0), square[::2].sum(axis=0)
    left = ends[0] - (even - odd) - shift[0] * (rise - fall)
    right = ends[1] - (even + odd) - shift[1] * (rise + fall)
    off = np.maximum(np.abs(left), np.abs(right))
    whole = (off <= 64 * (noise * size + last)) | (off * half <= 16 * negligible)
    return np.asarray((rounding | plateau | small) & whole)


def sample(
    function: Callable[[Array], tuple[Array, ...]],
    lower: Array,
    upper: Array,
    *,
    weights: tuple[bool, ...],
    n: int = 20,
    arithmetic: Arithmetic = DOUBLE,
    max_panels: int = 4000,
) -> Samples:
    """Sample `function` on panels [lower, upper], halving them until it is resolved.

    Parameters
    ----------
    function
        Takes a flat array of points, returns a tuple of arrays of the same shape.
    lower, upper
        The panels to begin with, and so the coarsest view that is taken.
    weights
        For each output, whether it will be integrated (its cut-off part then counts times
        the width of the panel) or used as it is.
    n
        Nodes per panel.
    max_panels
        Halving stops there, or where a panel is a few units of rounding wide; such panels
        are returned as not resolved, with a tail that says by how much.
    """
    r = rule(n, arithmetic)
    epsilon = arithmetic.epsilon
    done: list[Samples] = []
    accepted = 0
    # The tails of the panels that were halved, and how many halvings have not lowered them.
    before: list[Array] = [np.full(len(lower), np.inf) for _ in weights]
    steady = [np.zeros(len(lower), dtype=int) for _ in weights]
    while len(lower):
        x, offset = nodes_of(lower, upper, r)
        half = (upper - lower) / 2
        size = np.maximum(np.abs(lower), np.abs(upper))
        inner = np.maximum(4 * spacing(size), NEXT_TO_AN_END * epsilon * half)
        inner = np.minimum(inner, half / 8)
        near = np.stack([lower + inner, upper - inner])
        shift = ((near - lower) - (upper - near)) / (upper - lower) - np.array([[-1], [1]])
        outputs = function(np.concatenate([x, near]).ravel())
        tables = [v.reshape(n + 2, -1) for v in outputs]
        # The node meant and the double next to it differ: move along the slope.
        values = tuple(
            v[:n] if offset is None else v[:n] + offset / half * (r.slopes @ v[:n]) for v in tables
        )
        cs = tuple(r.coefficients @ v for v in values)
        good = np.ones(len(lower), dtype=bool)
        tails = tuple(_tail(c) for c in cs)
        steady = [
            np.where(t >= 0.75 * b, s + 1, 0) for t, b, s in zip(tails, before, steady, strict=True)
        ]
        for c, v, count, weighted in zip(cs, tables, steady, weights, strict=True):
            # Integration divides the last coefficients by their degree.
            width, noise = (
                (half, n * epsilon / 2) if weighted else (np.ones_like(half), 4 * epsilon)
            )
            good &= _settled(c, v[n:], shift, count, width, epsilon / 4, noise).astype(bool)
        tiny = (upper - lower) <= 16 * arithmetic.grain * size
        full = accepted + 2 * len(lower) > max_panels
        keep = good | tiny | full
        here = Samples(lower, upper, values, cs, tails, good, (n + 2) * len(lower))
        done.append(here if keep.all() else here.only(keep))
        accepted += int(keep.sum())
        lower, upper = lower[~keep], upper[~keep]
        middle = (lower + upper) / 2
        lower, upper = np.concatenate([lower, middle]), np.concatenate([middle, upper])
        before = [np.tile(t[~keep], 2) for t in tails]
        steady = [np.tile(s[~keep], 2) for s in steady]
    return Samples.joined(done)


def without_ripples(rises: Array, noise: Array, *, fixed_ends: bool) -> Array:
    """Which points stay when turns between which a function hardly rises are dropped.

    `rises` are the signed rises between consecutive points, and a rise below its `noise` is
    rounding. Points go in pairs, so that rises and falls keep alternating; with `fixed_ends` the
    first and the last stay, and a point next to them goes alone.
    """
    keep = np.arange(len(rises) + 1)
    while len(rises) and len(keep) > 2 * fixed_ends:
        ratio = np.abs(rises) / noise
        i = int(np.argmin(ratio))
        if ratio[i] > 1:
            break
        first, last = i, i + 2  # the points i and i + 1 go
        if fixed_ends:
            first, last = max(first, 1), min(last, len(keep) - 1)
        keep = np.delete(keep, slice(first, last))
        # What was risen across the points that went belongs to the step that now spans them.
        low, high = max(first - 1, 0), min(last, len(rises))
        spans = first > 0 and last <= len(rises)
        merged = ([rises[low:high].sum()], [noise[low:high].max()]) if spans else ([], [])
        rises = np.concatenate([rises[:low], merged[0], rises[high:]])
        noise = np.concatenate([noise[:low], merged[1], noise[high:]])
    return keep


def _polished(c: Array, low: Array, high: Array) -> Array:
    """A root of each polynomial c[:, i] between low[i] and high[i], where it changes sign.

    Newton's method from the secant's root; where that leaves the bracket, Chandrupatla's.
    """
    epsilon = arithmetic_of(c).epsilon
    slopes = derived(c)
    both = np.stack([c, slopes]) if c.dtype is FLOAT else None
    k = np.arange(len(c))[:, None]
    left, right = chebyshev_sum(c, low), chebyshev_sum(c, high)
    with np.errstate(all="ignore"):
        t = low - left * (high - low) / (right - left)
        for _ in range(5 if c.dtype is FLOAT else 12):
            if both is not None:
                value, slope = (both * np.cos(k * np.arccos(t))).sum(axis=1)
            else:
                value, slope = chebyshev_sum(c, t), chebyshev_sum(slopes, t)
                slope = np.where(slope == 0, epsilon * epsilon, slope)
            step = value / slope
            t = t - step
            if np.abs(step).max() < 450 * epsilon:
                break
    astray = ~((t >= low) & (t <= high) & (np.abs(step) < 4e6 * epsilon))
    if astray.any():
        some = c[:, astray]
        t[astray] = find_roots(lambda t: chebyshev_sum(some, t), low[astray], high[astray])
    return np.asarray(t)


@dataclass(frozen=True, eq=False)
class SignChanges:
    """Where a piecewise polynomial changes sign, left to right."""

    x: Array
    left: Array  # points on either side with nothing else between
    right: Array
    downward: Array  # bool: from positive to negative
    stretch: Array  # bool: exactly zero on a whole stretch, of which x is the middle


def sign_changes(panels: Panels, c: Array) -> SignChanges:
    """The sign changes of the function with coefficients `c` (jumps across edges included)."""
    r = rule_of(c)
    t, values = r.closed
    m = len(t)
    v = values @ (c if len(c) == r.n else np.concatenate([c, 0 * c[:1]]))
    v[np.abs(v) < 9 * r.arithmetic.epsilon * np.abs(c).max(axis=0)] = 0  # rounding has no sign
    sign = np.sign(v).T.ravel().astype(float)
    moving = np.flatnonzero(sign)
    there = sign[moving]
    change = np.flatnonzero(there[1:] != there[:-1])
    i, j = moving[change], moving[change + 1]
    stretch = j - i > 4  # beyond an edge, which counts twice, and a node on either side

    def place(i: Array) -> Array:
        k = i // m
        return np.asarray(panels.lower[k] + panels.half[k] * (1 + t[i % m]))

    within = (i // m == j // m) & ~stretch
    # Across an edge without a stretch of zeros the change is at the edge itself.
    points = np.where(stretch, (place(i) + place(j)) / 2, panels.edges[j // m])
    if within.any():
        k = i[within] // m
        root = _polished(c[:, k], t[i[within] % m], t[j[within] % m])
        points[within] = panels.lower[k] + panels.half[k] * (1 + root)
    # Where the function vanishes exactly, the stretch ends at the last points that are zero.
    left, right = place(np.where(stretch, i + 1, i)), place(np.where(stretch, j - 1, j))
    return SignChanges(points, left, right, sign[i] > 0, stretch)


def find_roots(
    function: Callable[[Array], Array],
    lower: Array,
    upper: Array,
    steps: int = 120,
) -> Array:
    """The root in each bracket, to the last bit; the function changes sign in each.

    Chandrupatla's method (inverse quadratic interpolation where it is safe, else halving),
    all brackets at once.

    References
    ----------
    .. [1] T. R. Chandrupatla, *Adv. Eng. Software* 28 (1997) 145-149.
    """
    a, b = lower + 0, upper + 0
    if not len(a):
        return a
    steps = max(steps, 4 * arithmetic_of(a).digits)
    fa, fb = function(a), function(b)
    c, fc = a, fa
    t = np.full(len(a), 0.5)
    with np.errstate(all="ignore"):
        for _ in range(steps):
            x = a + t * (b - a)
            fx = function(x)
            same = np.sign(fx) == np.sign(fa)
            c, fc = np.where(same, a, b), np.where(same, fa, fb)
            b, fb = np.where(same, b, a), np.where(same, fb, fa)
            a, fa = x, fx
            best = np.where(np.abs(fa) < np.abs(fb), a, b)
            width = np.abs(b - a)
            close = 2 * spacing(best)
            if np.all((width <= close) | (fa == 0) | (fb == 0)):
                break
            xi, phi = _over(a - b, c - b), _over(fa - fb, fc - fb)
            safe = (phi**2 < xi) & ((1 - phi) ** 2 < 1 - xi)
            t = _over(_over(fa, fb - fa) * fc, fb - fc)
            t = t + _over(_over(_over(c - a, b - a) * fa, fc - fa) * fb, fc - fb)
            t = np.where(safe & finite(t), t, 0.5)
            least = np.minimum(0.5, _over(close, width) / 2)
            t = np.clip(t, least, 1 - least)
    return np.asarray(np.where(np.abs(fa) < np.abs(fb), a, b))


def _over(x: Array, y: Array) -> Array:
    """x / y; nan or inf where y is zero."""
    if x.dtype is FLOAT and y.dtype is FLOAT:
        return np.asarray(x / y)
    return np.asarray(arithmetic_of(y).divide(x, y))
