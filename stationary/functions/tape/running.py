"""Moments over datapoints from a tape: in blocks that stay in the cache, in any arithmetic."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property, reduce
from typing import Any

import numpy as np

from stationary.aliases import Array
from stationary.functions.tape.graph import Tape
from stationary.functions.tape.recording import Recording
from stationary.functions.tape.sharing import Factors, factors_of, without_shared
from stationary.numbers.arithmetic import DOUBLE, Arithmetic
from stationary.numbers.cost import CACHE

ROWS = 4 * CACHE  # numbers in a table of rows
IN_TURN = 8  # datapoints: fewer are added in turn, which is fast where each has a row to itself
STRIP = CACHE // 8  # datapoints in a block of many: sums over so many in pairs lose nothing


class Program:
    """The nodes that some results need, in an order in which they can be computed."""

    def __init__(self, tape: Tape, results: Iterable[int]) -> None:
        self.tape = tape
        self.results = set(results)
        needed, waiting = set(self.results), list(self.results)
        while waiting:
            for i in tape.nodes[waiting.pop()].args:
                if i not in needed:
                    needed.add(i)
                    waiting.append(i)
        self.order = sorted(needed)
        self.own = [i for i in self.order if tape.nodes[i].by_datapoint and tape.nodes[i].by_weight]
        own = set(self.own)
        self.before = [i for i in self.order if i not in own]
        last = {i: index for index in self.order for i in tape.nodes[index].args}
        self.done: dict[int, list[int]] = {index: [] for index in self.order}  # once it is known
        for i in own - self.results:
            self.done[last[i]].append(i)

    def prepared(self, x: Array | None, arithmetic: Arithmetic) -> dict[int, Any]:
        """The values of the nodes that do not depend on weight and datapoint both; without x,
        of those that do not depend on the weight."""
        tape, values = self.tape, {} if x is None else {0: x}
        for index in self.before:
            node = tape.nodes[index]
            if x is None and node.by_weight:
                continue
            if index in tape.constants:
                values[index] = _constant(tape.constants[index], arithmetic)
            elif node.op == "pi":
                values[index] = arithmetic.pi
            elif node.args:
                values[index] = applied(arithmetic, node.op, [values[i] for i in node.args])
        return values

    def run(self, values: dict[int, Any], arithmetic: Arithmetic, buffers: _Buffers) -> None:
        """The values of the other nodes, added to those that are known."""
        nodes = self.tape.nodes
        for index in self.own:
            node = nodes[index]
            args = [values[i] for i in node.args]
            if arithmetic is DOUBLE:
                out = buffers.taken()
                values[index] = _applied_to(node.op, args, out)
                if values[index] is not out:
                    buffers.free(out)
            else:
                values[index] = applied(arithmetic, node.op, args)
            for i in self.done[index]:
                buffers.free(values.pop(i))


class _Buffers:
    """Work arrays of one shape, handed out again once they are free."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.shape: tuple[int, ...] = (size,)
        self.flat: list[Array] = []
        self.ours: dict[int, Array] = {}  # held, so that nothing else can have their id

    def taken(self) -> Array:
        if not self.flat:
            self.flat.append(np.empty(self.size))
            self.ours[id(self.flat[-1])] = self.flat[-1]
        return self.flat.pop()[: math.prod(self.shape)].reshape(self.shape)

    def free(self, buffer: Any) -> None:
        """Take an array back, if it is one that was handed out."""
        flat = getattr(buffer, "base", None)
        if flat is not None and id(flat) in self.ours:
            self.flat.append(flat)


def _constant(value: Any, arithmetic: Arithmetic) -> Any:
    if np.asarray(value).dtype.kind == "b":
        return value
    if arithmetic is DOUBLE:
        return value if isinstance(value, np.ndarray) else float(value)
    return arithmetic.array(value)[()]


_OPERATORS: dict[str, Callable[..., Any]] = {
    "add": operator.add,
    "subtract": operator.sub,
    "multiply": operator.mul,
    "negative": operator.neg,
    "where": np.where,
}


def applied(arithmetic: Arithmetic, op: str, args: Sequence[Any]) -> Any:
    function = arithmetic.functions.get(op) or _OPERATORS.get(op) or getattr(np, op)
    return function(*args)


def _applied_to(op: str, args: Sequence[Any], out: Array) -> Any:
    """An operation on doubles, into `out` where it can be told to."""
    if op == "where":
        np.copyto(out, args[2])
        np.copyto(out, args[1], where=args[0])
        return out
    if op == "logistic":  # 1 / (1 + e^-x): where e^-x overflows it is nothing
        np.negative(args[0], out=out)
        np.exp(out, out=out)
        np.add(out, 1, out=out)
        return np.divide(1, out, out=out)
    function = DOUBLE.functions.get(op) or getattr(np, op)
    if isinstance(function, np.ufunc) and "?" not in function.types[0].split("->")[1]:
        return function(*args, out=out)
    return function(*args)


@dataclass(frozen=True)
class Moments:
    """Mean and population variance over datapoints, at M weights, with derivatives.

    `mean[k]` and `variance[k]` are the k-th derivatives, shape (M,). `size` is the largest row in
    size from which the mean was subtracted: digits by which the spread is smaller were lost.
    """

    mean: tuple[Array, ...]
    variance: tuple[Array, ...]
    size: Array

    @staticmethod
    def joined(parts: Sequence[Moments]) -> Moments:
        """The moments at all weights, from those at some."""
        if len(parts) == 1:
            return parts[0]
        return Moments(
            tuple(np.concatenate(m) for m in zip(*(p.mean for p in parts), strict=True)),
            tuple(np.concatenate(v) for v in zip(*(p.variance for p in parts), strict=True)),
            np.concatenate([p.size for p in parts]),
        )

    def replaced(self, here: Array, by: Moments) -> Moments:
        """The same with other values at some of the weights."""

        def put(old: Array, new: Array) -> Array:
            made = old.copy()
            made[here] = new
            return made

        return Moments(
            tuple(map(put, self.mean, by.mean)),
            tuple(map(put, self.variance, by.variance)),
            put(self.size, by.size),
        )

    def without_spread(self, here: Array) -> Moments:
        """The same where rows are equal at some of the weights."""
        variance = tuple(np.where(here, 0 * v, v) for v in self.variance)
        return Moments(self.mean, variance, self.size)

    def drawn_to_zero(self, decay: float, w: Array) -> Moments:
        """The same with decay * w added to every row."""
        with np.errstate(over="ignore"):  # what is not finite is refused with its place
            mean = [m + decay * (w, 1.0)[k] if k < 2 else m for k, m in enumerate(self.mean)]
        return Moments(tuple(mean), self.variance, self.size)

    def rounded(self, arithmetic: Arithmetic) -> Moments:
        """The same numbers in another arithmetic."""
        mean, variance = map(arithmetic.array, self.mean), map(arithmetic.array, self.variance)
        return Moments(tuple(mean), tuple(variance), self.size)


def moments_of_rows(rows: Sequence[Array], own: Sequence[Array]) -> Moments:
    """From tables (M, N) of rows and of what they do not share, for each derivative."""
    statistics = _Statistics()
    statistics.add(rows, own)
    return statistics.moments()


class _Statistics:
    """Sums over datapoints, block by block, shifted by the mean of each block.

    So rounding does not grow with the number of datapoints: it would look like structure.
    """

    def __init__(self) -> None:
        self.counts: list[int] = []
        self.means: list[list[Array]] = []
        self.own_means: list[list[Array]] = []
        self.products: list[list[Array]] = []
        self.sizes: list[Array] = []

    def add(self, rows: Sequence[Array], own: Sequence[Array]) -> None:
        n, orders = rows[0].shape[1], range(len(rows))
        means = [r.sum(axis=1) / n for r in rows]
        own_means = [
            m if o is r else o.sum(axis=1) / n for m, o, r in zip(means, own, rows, strict=True)
        ]
        spread = [o - m[:, None] for o, m in zip(own, own_means, strict=True)]
        self.counts.append(n)
        self.means.append(means)
        self.own_means.append(own_means)
        self.products.append([product(spread, k).sum(axis=1) for k in orders])
        self.sizes.append(np.abs(own[0]).max(axis=1) if own[0].dtype != float else means[0])

    def moments(self) -> Moments:
        if len(self.counts) == 1:
            n = self.counts[0]
            variance = tuple(p / n for p in self.products[0])
            return Moments(tuple(self.means[0]), variance, self.sizes[0])
        counts = np.array(self.counts)
        n = counts.sum()
        share = (counts / n)[:, None]
        orders = range(len(self.means[0]))
        mean = tuple((share * np.stack([m[k] for m in self.means])).sum(axis=0) for k in orders)
        own = [np.stack([m[k] for m in self.own_means]) for k in orders]
        apart = [o - (share * o).sum(axis=0) for o in own]
        variance = tuple(
            np.stack([p[k] for p in self.products]).sum(axis=0) / n
            + (share * product(apart, k)).sum(axis=0)
            for k in orders
        )
        return Moments(mean, variance, np.stack(self.sizes).max(axis=0))


def product(d: Sequence[Array], k: int) -> Any:
    """The k-th derivative of d^2, from those of d."""
    terms = [(math.comb(k, i) * (1 if 2 * i == k else 2), i) for i in range(k // 2 + 1)]
    return reduce(operator.add, (d[i] * d[k - i] * c if c > 1 else d[i] ** 2 for c, i in terms))


def rows_of(recording: Recording, order: int, x: Array) -> Array:
    """A derivative of each datapoint at weights x, in doubles, shape (N, M)."""
    result = recording.results[order]
    rows = [result] if isinstance(result, int) else result
    return rows_at(Program(recording.tape, rows), rows, recording.datapoints, x)


@np.errstate(all="ignore")  # where they are not finite is found, and said, by those who ask
def rows_at(program: Program, rows: Sequence[int], n: int, x: Array) -> Array:
    made = np.empty((n, len(x)))
    if len(rows) == n:
        values = program.prepared(x, DOUBLE)
        for j, index in enumerate(rows):
            made[j] = values[index]
        return made
    nodes = program.tape.nodes
    prepared = program.prepared(x[:, None], DOUBLE)
    strip = max(1, CACHE // max(len(x), 1))
    buffers = _Buffers(strip * len(x))
    for j in range(0, n, strip):
        some = slice(j, min(j + strip, n))
        buffers.shape = len(x), some.stop - j
        values = {k: v[some] if nodes[k].by_datapoint else v for k, v in prepared.items()}
        program.run(values, DOUBLE, buffers)
        made[some] = np.broadcast_to(values[rows[0]], buffers.shape).T
        buffers.free(values[rows[0]])
    return made


class TapeMoments:
    """The moments of the rows that a recording holds from `first` on, with derivatives."""

    def __init__(self, recording: Recording, first: int) -> None:
        self.tape, self.n = recording.tape, recording.datapoints
        rows = recording.results[first:]
        self.single = isinstance(rows[0], int)
        self.rows: list[list[int]] = [[r] if isinstance(r, int) else r for r in rows]
        self.own: list[list[int | None]] = [without_shared(self.tape, r) for r in self.rows]
        results = [i for r in self.own for i in r if i is not None]
        self.program = Program(self.tape, results + [i for r in self.rows for i in r])

    def rows_at(self, x: Array, order: int = 0) -> Array:
        """The rows themselves at weights x, or a derivative, in doubles, shape (N, M)."""
        return rows_at(self.program, self.rows[order], self.n, x)

    def __call__(self, x: Array, arithmetic: Arithmetic) -> Moments:
        """The moments at weights x, shape (M,), numbers of the arithmetic."""
        if arithmetic is DOUBLE and self._factors is not None:
            return self._of_factors(x, self._factors)
        one = self._of_blocks if self.single else self._of_rows
        size = max(1, len(x) if self.single else ROWS // self.n)
        parts = [one(x[i : i + size], arithmetic) for i in range(0, max(len(x), 1), size)]
        return Moments.joined(parts)

    def are_straight(self, x: Array, arithmetic: Arithmetic) -> Array:
        """Where no row has a slope but what all share, and that is no rounding: steps are exact."""
        slopes = [i for i in self.own[1] if i is not None]
        straight = np.full(len(x), all(self.tape.is_stepwise(i) for i in slopes))
        if slopes and straight.all():
            program = Program(self.tape, slopes)
            values = program.prepared(x[:, None] if self.single else x, arithmetic)
            for index in program.own:
                node = self.tape.nodes[index]
                values[index] = applied(arithmetic, node.op, [values[i] for i in node.args])
            for i in slopes:
                flat = np.broadcast_to(np.equal(values[i], 0), (len(x), self.n)[: 1 + self.single])
                straight &= flat.reshape(len(x), -1).all(axis=1)
        return straight

    @cached_property
    def _factors(self) -> Factors | None:
        """The factors, where these cost less than a block of rows."""
        if not self.single or self.n <= CACHE or len(self.rows) > 1:
            return None
        return factors_of(self.tape, self.rows[0][0])

    def _of_factors(self, x: Array, factors: Factors) -> Moments:
        values = self.program.prepared(x, DOUBLE)
        functions = np.stack(
            [np.broadcast_to(1.0 if i is None else values[i], x.shape) for i in factors.functions]
        )
        mean, spread = factors.mean @ functions, factors.root @ functions
        return Moments((mean,), ((spread * spread).sum(axis=0),), mean)

    def _of_rows(self, x: Array, arithmetic: Arithmetic) -> Moments:
        """Each datapoint has a node of its own."""
        values = self.program.prepared(x, arithmetic)

        def table(rows: Sequence[int | None]) -> Array:
            made = np.zeros((len(x), self.n), order="F" if self.n < IN_TURN else "C")
            made = arithmetic.array(made)
            for j, index in enumerate(rows):
                made[:, j] = arithmetic.zero if index is None else values[index]
            return made

        tables = [table(r) for r in self.rows]
        return moments_of_rows(
            tables,
            [
                t if r == o else table(o)
                for t, r, o in zip(tables, self.rows, self.own, strict=True)
            ],
        )

    def _of_blocks(self, x: Array, arithmetic: Arithmetic) -> Moments:
        """One node holds all datapoints."""
        nodes, strip = self.tape.nodes, min(self.n, STRIP)
        prepared = self.program.prepared(x[:, None], arithmetic)
        height = max(1, CACHE // strip)
        buffers = _Buffers(height * strip)
        parts = []
        for i in range(0, len(x), height):
            here = slice(i, min(i + height, len(x)))
            at = {k: v[here] if nodes[k].by_weight else v for k, v in prepared.items()}
            statistics = _Statistics()
            for j in range(0, self.n, strip):
                some = slice(j, min(j + strip, self.n))
                buffers.shape = here.stop - i, some.stop - j
                values = {k: v[some] if nodes[k].by_datapoint else v for k, v in at.items()}
                self.program.run(values, arithmetic, buffers)
                tables: dict[int | None, Array] = {
                    k: np.broadcast_to(values[k], buffers.shape) for k in self.program.results
                }
                tables[None] = np.broadcast_to(arithmetic.zero, buffers.shape)
                statistics.add([tables[r[0]] for r in self.rows], [tables[o[0]] for o in self.own])
                for k in self.program.results:
                    buffers.free(values.get(k))
            parts.append(statistics.moments())
        return Moments.joined(parts)
