"""A tape laid out once for weights in one array, to be run over and over as these change.

All arrays are there before the first run, and each is used again as soon as it is free. Either the
gradient of every datapoint is computed, or, where one row of the tape stands for all of them, only
those of the datapoints that are asked for at each weight: what differs between datapoints is
gathered, so that the cost does not grow with their number.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from stationary.aliases import Array
from stationary.functions.tape.axes import ARRANGED, Node, arranged, size_of
from stationary.functions.tape.graph import Tape
from stationary.functions.tape.running import Program, applied, with_axes
from stationary.numbers.arithmetic import DOUBLE


class Plan:
    """The rows of a tape, such as gradients, at weights in one array.

    Parameters
    ----------
    tape, results
        Which nodes of it are wanted: one for each row, or one that stands for all datapoints.
    x
        The weights, shape (M,), or (n, M) where there are n: what it holds when the plan is run.
    index
        Which datapoints are wanted at each weight, whole numbers of shape (..., M), as they are
        when the plan is run; None for all of them.

    Attributes
    ----------
    rows
        The results after `run`, shape (N, M), or that of `index`.
    """

    def __init__(
        self, tape: Tape, results: Sequence[int], x: Array, index: Array | None = None
    ) -> None:
        self.tape, self.x, self.index = tape, x, index
        self.program = program = Program(tape, results)
        units = {tape.nodes[i].units for i in results}
        self.size = size_of(*units) if len(units) == 1 else 1
        shape = (len(results) * self.size, x.shape[-1]) if index is None else index.shape
        self.rows = np.empty(shape if index is None or self.size == 1 else (*shape, self.size))
        self.steps: list[Callable[[], Any]] = []
        self.free: dict[Any, list[Array]] = {}
        nodes = tape.nodes
        with np.errstate(all="ignore"):
            self.values: dict[Any, Any] = dict(program.prepared(None, DOUBLE))
        weights = dict(enumerate(np.atleast_2d(x)))
        self.values |= weights
        order = [i for i in program.order if nodes[i].by_weight and i not in weights]
        last = {j: i for i in order for j in nodes[i].args}
        target = (
            {}
            if self.size > 1
            else {
                i: self.rows if index is not None else self.rows[j] for j, i in enumerate(results)
            }
        )
        with np.errstate(all="ignore"):
            for i in order:
                self._lay(i, nodes[i], target.get(i))
                for j in {*nodes[i].args}:
                    kept = j in target or j in weights  # a difference of sets goes through all
                    if not kept and last[j] == i and nodes[j].by_weight:
                        self._freed(self.values.pop(j))
        for j, i in enumerate(results):  # the weights themselves, constants, rows that are the same
            row = self.rows if index is not None else self.rows[j]
            if self.size > 1:
                self.steps.append(partial(self._spread, i, self._value(i)))
            elif target[i] is not row or i not in order:
                self.steps.append(partial(np.copyto, row, self._value(i)))

    def run(self) -> Array:
        """The results at what the weights are now; in the same array each time."""
        for step in self.steps:
            step()
        return self.rows

    def _spread(self, i: int, value: Any) -> None:
        """The rows, from a value with units."""
        units = tuple(n for n, _ in self.tape.nodes[i].units)
        before = self.x.shape[-1:] if self.index is None else self.index.shape
        whole = np.broadcast_to(value, (*before, *units)).reshape(*before, self.size)
        self.rows[...] = whole.T if self.index is None else whole

    def _lay(self, i: int, node: Node, out: Array | None) -> None:
        args = [self._value(j) for j in node.args]
        if node.op in ARRANGED:
            units = [self.tape.nodes[j].units for j in node.args]
            tried = arranged(node, units, DOUBLE, args)
            out = self._taken(tried.shape, tried.dtype)
            self.steps.append(partial(arranged, node, units, DOUBLE, args, out))
            self.values[i] = out
            return
        if node.units:
            args = with_axes(self.tape, node, args)
        tried = applied(DOUBLE, node.op, [np.zeros(1, v.dtype) if np.ndim(v) else v for v in args])
        shape = np.broadcast_shapes(*(np.shape(v) for v in args))
        if out is None or np.asarray(tried).dtype != float or out.shape != shape:
            out = self._taken(shape, np.asarray(tried).dtype)
        function = DOUBLE.functions.get(node.op) or getattr(np, node.op, None)
        if node.op == "where":
            self.steps.append(partial(_where, args, out))
        elif isinstance(function, np.ufunc):
            self.steps.append(partial(function, *args, out))
        else:
            self.steps.append(partial(_into, out, node.op, args))
        self.values[i] = out

    def _value(self, j: int) -> Any:
        """The value of a node; that of a datapoint for the datapoints that are asked for."""
        value = self.values[j]
        node = self.tape.nodes[j]
        if self.index is None or not node.by_datapoint or node.by_weight:
            return value
        if ("of", j) not in self.values:
            out = np.empty((*self.index.shape, *value.shape[1:]), value.dtype)
            self.steps.append(partial(np.take, value, self.index, 0, out, "clip"))
            self.values[("of", j)] = out
        return self.values[("of", j)]

    def _taken(self, shape: tuple[int, ...], kind: Any) -> Array:
        waiting = self.free.get((shape, kind))
        return waiting.pop() if waiting else np.empty(shape, kind)

    def _freed(self, value: Array) -> None:
        self.free.setdefault((value.shape, value.dtype), []).append(value)


def _where(args: list[Any], out: Array) -> None:
    condition, one, other = args
    np.copyto(out, other)
    np.copyto(out, one, where=condition)


def _into(out: Array, op: str, args: list[Any]) -> None:
    out[...] = applied(DOUBLE, op, args)
