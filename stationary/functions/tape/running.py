"""Moments over datapoints from a tape: in blocks that stay in the cache, in any arithmetic."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from functools import cached_property
from typing import Any

import numpy as np

from stationary.aliases import Array
from stationary.functions.tape.axes import ARRANGED, Node, aligned, arranged, size_of
from stationary.functions.tape.graph import Tape
from stationary.functions.tape.recording import Recording
from stationary.functions.tape.sharing import Factors, factors_of, without_shared
from stationary.functions.tape.statistics import Moments, Statistics
from stationary.numbers.arithmetic import DOUBLE, Arithmetic
from stationary.numbers.cost import CACHE
from stationary.numbers.threads import one_thread

ROWS = 4 * CACHE  # numbers in a table of rows
IN_TURN = 8  # datapoints: fewer are added in turn, which is fast where each has a row to itself
WIDE = 64  # numbers that a row goes through, from which on it is looked up where it can be
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
        own = set[int]()
        for i in self.order:
            node = tape.nodes[i]
            large = node.by_datapoint or node.units or not own.isdisjoint(node.args)
            if node.by_weight and large:
                own.add(i)
        self.own = sorted(own)
        self.before = [i for i in self.order if i not in own]
        last = {i: index for index in self.order for i in tape.nodes[index].args}
        self.done: dict[int, list[int]] = {index: [] for index in self.order}  # once it is known
        for i in own - self.results:
            self.done[last[i]].append(i)
        sizes: dict[bool, int] = {True: 1, False: 1}  # of what changes with the datapoint, or not
        for i in own:
            known = sizes[tape.nodes[i].by_datapoint]
            sizes[tape.nodes[i].by_datapoint] = max(known, size_of(tape.nodes[i].units))
        self.width, self.beside = sizes[True], sizes[False]
        self.numbers = sum(size_of(tape.nodes[i].units) for i in self.own)  # a row goes through
        self.wide = max(sizes.values()) > 1

    def blocks(self, count: int, most: int = CACHE) -> tuple[int, int]:
        """How many weights and datapoints at a time have arrays that fit the cache."""
        strip = max(1, min(count, most, CACHE // self.width))
        return max(1, min(CACHE // (strip * self.width), CACHE // self.beside)), strip

    def prepared(
        self, x: Array | None, arithmetic: Arithmetic, chosen: Array | None = None
    ) -> dict[int, Any]:
        """The values of the nodes that do not depend on weight and datapoint both; without x,
        of those that do not depend on the weight. For all datapoints, or the `chosen` of them."""
        tape, values = self.tape, {} if x is None else {0: x}
        for index in self.before:
            node = tape.nodes[index]
            if x is None and node.by_weight:
                continue
            if index in tape.constants:
                value = tape.constants[index]
                some = value if chosen is None or not node.by_datapoint else value[chosen]
                values[index] = _constant(some, arithmetic)
            elif node.op == "pi":
                values[index] = arithmetic.pi
            elif node.args:
                values[index] = made(tape, node, arithmetic, [values[i] for i in node.args])
        return values

    def run(
        self, values: dict[int, Any], arithmetic: Arithmetic, buffers: _Buffers | None = None
    ) -> None:
        """The values of the other nodes, added to those that are known."""
        with one_thread if self.wide else nullcontext():
            self._run(values, arithmetic, buffers)

    def _run(
        self, values: dict[int, Any], arithmetic: Arithmetic, buffers: _Buffers | None
    ) -> None:
        for index in self.own:
            node = self.tape.nodes[index]
            args = [values[i] for i in node.args]
            if buffers is None:
                values[index] = made(self.tape, node, arithmetic, args)
                continue
            if arithmetic is DOUBLE:
                out = buffers.taken(node)
                values[index] = made(self.tape, node, arithmetic, args, out)
                if values[index] is not out:
                    buffers.free(out)
            else:
                values[index] = made(self.tape, node, arithmetic, args)
            for i in self.done[index]:
                buffers.free(values.pop(i))

    def buffers(self, height: int, strip: int) -> _Buffers:
        return _Buffers(height * max(strip * self.width, self.beside))

    def rows(self, values: dict[int, Any], row: int, lead: tuple[int, int]) -> Array:
        """The value of a node, one row for each weight: of all datapoints, and all its units."""
        units = self.tape.nodes[row].units
        if not units:
            return np.broadcast_to(values[row], lead)
        before = lead if self.tape.nodes[row].by_datapoint else (lead[0], 1)
        whole = np.broadcast_to(values[row], (*before, *(n for n, _ in units)))
        return whole.reshape(lead[0], -1)


class _Buffers:
    """Work arrays for weights and datapoints, handed out again once they are free."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.shape: tuple[int, int] = (0, 0)
        self.flat: list[Array] = []
        self.ours: dict[int, Array] = {}  # held, so that nothing else can have their id

    def taken(self, node: Node) -> Array:
        lead = self.shape if node.by_datapoint else (self.shape[0], 1)
        shape = (*lead, *(n for n, _ in node.units)) if node.units else lead
        if not self.flat:
            self.flat.append(np.empty(self.size))
            self.ours[id(self.flat[-1])] = self.flat[-1]
        return self.flat.pop()[: math.prod(shape)].reshape(shape)

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
    return arithmetic.array(value)


_OPERATORS: dict[str, Callable[..., Any]] = {
    "add": operator.add,
    "subtract": operator.sub,
    "multiply": operator.mul,
    "negative": operator.neg,
    "where": np.where,
}


def made(
    tape: Tape, node: Node, arithmetic: Arithmetic, args: Sequence[Any], out: Array | None = None
) -> Any:
    """What a node is of its arguments."""
    if node.op in ARRANGED:
        return arranged(node, [tape.nodes[i].units for i in node.args], arithmetic, args, out)
    if node.units:
        args = with_axes(tape, node, args)
    if out is None:
        return applied(arithmetic, node.op, args)
    return _applied_to(node.op, args, out)


def with_axes(tape: Tape, node: Node, args: Sequence[Any]) -> list[Any]:
    """The arguments of an operation, each with all axes that it has."""
    units = [tape.nodes[i].units for i in node.args]
    return [aligned(v, own, node.units) for v, own in zip(args, units, strict=True)]


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


def rows_of(recording: Recording, order: int, x: Array) -> Array:
    """A derivative of each datapoint at weights x, in doubles, shape (N, M)."""
    result = recording.results[order]
    rows = [result] if isinstance(result, int) else result
    return rows_at(Program(recording.tape, rows), rows, recording.datapoints, x)


@np.errstate(all="ignore")  # where they are not finite is found, and said, by those who ask
def rows_at(
    program: Program, rows: Sequence[int], n: int, x: Array, chosen: Array | None = None
) -> Array:
    """All n rows at weights x, shape (N, M), or the `chosen` of them."""
    nodes = program.tape.nodes
    row = rows[0] if len(rows) else 0
    if len(rows) == n and not (n == 1 and (nodes[row].by_datapoint or nodes[row].units)):
        values = program.prepared(x, DOUBLE)
        program.run(values, DOUBLE)
        found = np.empty((n if chosen is None else len(chosen), len(x)))
        for j, index in enumerate(rows if chosen is None else np.array(rows)[chosen]):
            found[j] = values[index]
        return found
    size = size_of(nodes[row].units)
    k = np.arange(n) if chosen is None else chosen
    data, of = np.unique(k // size, return_inverse=True)
    order = np.argsort(of, kind="stable")
    height, strip = program.blocks(len(data))
    buffers, found = program.buffers(height, strip), np.empty((len(k), len(x)))
    prepared = program.prepared(x[:, None], DOUBLE, None if chosen is None else data)
    for i in range(0, len(x), height):
        here = slice(i, min(i + height, len(x)))
        at = {j: v[here] if nodes[j].by_weight else v for j, v in prepared.items()}
        for j in range(0, len(data), strip):
            some = slice(j, min(j + strip, len(data)))
            own = order[slice(*np.searchsorted(of[order], [j, some.stop]))]
            buffers.shape = here.stop - i, some.stop - j
            values = {i: v[some] if nodes[i].by_datapoint else v for i, v in at.items()}
            program.run(values, DOUBLE, buffers)
            table = program.rows(values, row, buffers.shape)
            found[own, here] = table[:, (of[own] - j) * size + k[own] % size].T
            buffers.free(values[row])
    return found


class TapeMoments:
    """The moments of the rows that a recording holds from `first` on, with derivatives."""

    def __init__(self, recording: Recording, first: int) -> None:
        self.tape, self.n = recording.tape, recording.datapoints
        rows = recording.results[first:]
        self.together = isinstance(rows[0], int)  # on one node for all datapoints
        self.rows: list[list[int]] = [[r] if isinstance(r, int) else r for r in rows]
        self.own: list[list[int | None]] = [without_shared(self.tape, r) for r in self.rows]
        results = [i for r in self.own for i in r if i is not None]
        self.program = Program(self.tape, results + [i for r in self.rows for i in r])
        mixed = any(self.tape.nodes[i].units for i in self.program.results)
        self.single = self.together and not mixed  # so that each can be computed alone

    def rows_at(self, x: Array, order: int = 0) -> Array:
        """The rows themselves at weights x, or a derivative, in doubles, shape (N, M)."""
        return rows_at(self.program, self.rows[order], self.n, x)

    def __call__(self, x: Array, arithmetic: Arithmetic) -> Moments:
        """The moments at weights x, shape (M,), numbers of the arithmetic."""
        if arithmetic is DOUBLE and self._factors is not None:
            return self._of_factors(x, self._factors)
        if self.together:
            return self.statistics(x, arithmetic).moments()
        size = max(1, ROWS // self.n)
        starts = range(0, max(len(x), 1), size)
        return Moments.joined([self._of_rows(x[i : i + size], arithmetic) for i in starts])

    def are_straight(self, x: Array, arithmetic: Arithmetic, chosen: Array | None = None) -> Array:
        """Where no row has a slope but what all share, and that is no rounding: steps are exact.

        No row of all, or of the `chosen` ones.
        """
        slopes = [i for i in self.own[1] if i is not None]
        straight = np.full(len(x), self.in_steps)
        if slopes and straight.all():
            program, nodes = Program(self.tape, slopes), self.tape.nodes
            values = program.prepared(x[:, None] if self.together else x, arithmetic, chosen)
            count = self.n if chosen is None else len(chosen)
            program.run(values, arithmetic)
            for i in slopes:
                flat = np.equal(values[i], 0)
                if not nodes[i].units:
                    flat = np.broadcast_to(flat, (len(x), count)[: 1 + self.together])
                straight &= flat.reshape(len(x), -1).all(axis=1)
        return straight

    @property
    def in_steps(self) -> bool:
        """Whether slopes, but for what all share, change in jumps alone."""
        return all(self.tape.is_stepwise(i) for i in self.own[1] if i is not None)

    @cached_property
    def _factors(self) -> Factors | None:
        """The factors, where these cost less than a block of rows."""
        if not self.single or self.n <= CACHE or len(self.rows) > 1:
            return None
        found = factors_of(self.tape, self.rows[0][0])
        alone = found and {*self.program.before}.issuperset({*found.functions} - {None})
        return found if alone else None

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
        self.program.run(values, arithmetic)

        def table(rows: Sequence[int | None]) -> Array:
            made = np.zeros((len(x), self.n), order="F" if self.n < IN_TURN else "C")
            made = arithmetic.array(made)
            for j, index in enumerate(rows):
                made[:, j] = arithmetic.zero if index is None else values[index]
            return made

        tables = [table(r) for r in self.rows]
        own = [
            t if r == o else table(o) for t, r, o in zip(tables, self.rows, self.own, strict=True)
        ]
        return Statistics.of(tables, own).moments()

    def statistics(
        self, x: Array, arithmetic: Arithmetic = DOUBLE, chosen: Array | None = None
    ) -> Statistics:
        """Sums over datapoints of which one node holds all, or over the `chosen` of them."""
        nodes, count = self.tape.nodes, self.n if chosen is None else len(chosen)
        height, strip = self.program.blocks(count, STRIP if self.single else count)
        strip = strip if self.single else count
        prepared = self.program.prepared(x[:, None], arithmetic, chosen)
        buffers = self.program.buffers(height, strip)
        parts = []
        for i in range(0, len(x), height):
            here = slice(i, min(i + height, len(x)))
            at = {k: v[here] if nodes[k].by_weight else v for k, v in prepared.items()}
            sums = []
            for j in range(0, count, strip):
                some = slice(j, min(j + strip, count))
                buffers.shape = here.stop - i, some.stop - j
                values = {k: v[some] if nodes[k].by_datapoint else v for k, v in at.items()}
                self.program.run(values, arithmetic, buffers)
                tables: dict[int | None, Array] = {
                    k: self.program.rows(values, k, buffers.shape) for k in self.program.results
                }
                if chosen is not None and not self.single:
                    units = [k for k in self.program.results if nodes[k].units]
                    tables |= {k: tables[k][:, chosen] for k in units}
                tables[None] = np.broadcast_to(arithmetic.zero, buffers.shape)
                sums.append(
                    Statistics.of(
                        [tables[r[0]] for r in self.rows], [tables[o[0]] for o in self.own]
                    )
                )
                for k in self.program.results:
                    buffers.free(values.get(k))
            parts.append(Statistics.together(sums))
        return Statistics.joined(parts)
