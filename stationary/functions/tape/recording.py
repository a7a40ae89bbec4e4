"""What a function does to its argument, recorded: a graph of elementary operations.

The function is handed a series (`Taylor`) whose coefficients are `Symbol`s. So the rules of
series differentiate, and what they do to the coefficients is what is recorded. Equal operations
on equal arguments are one node. Constants are numbers, or one number for each datapoint.

What cannot be recorded raises: whatever depends on values or on the number of weights, or mixes
weights with each other.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from stationary.functions.evaluation import collected
from stationary.functions.series import ZERO
from stationary.functions.tape import rearranging  # noqa: F401  (enters functions)
from stationary.functions.tape.axes import WEIGHTS_AXIS
from stationary.functions.tape.graph import Tape, UnknownOperationError
from stationary.functions.tape.rewriting import RULES
from stationary.functions.tape.symbols import (
    FUNCTIONS,
    KNOWN,
    Entries,
    Name,
    Recorded,
    Rows,
    Symbol,
    entered,
    named,
    recorded,
    together,
)
from stationary.functions.taylor import Taylor, operand

WEIGHTS = 7  # that a function is recorded with; a check with another number follows


class RecordingArithmetic:
    """What series ask of an arithmetic, recorded."""

    dtype = np.dtype(float)
    zero, one = 0.0, 1.0

    def __init__(self, tape: Tape) -> None:
        self.tape = tape
        self.functions = {name: self._recorder(KNOWN[name]) for name in (*FUNCTIONS, "absolute")}

    def _recorder(self, op: str) -> Callable[..., Symbol]:
        return lambda *inputs: recorded(self.tape, op, inputs)

    @property
    def pi(self) -> Symbol:
        return Symbol(self.tape, self.tape.operation("pi"), (), ())

    def array(self, values: Any) -> Any:
        if isinstance(values, list) and any(isinstance(x, Recorded) for x in values):
            return Entries(values)
        return values if isinstance(values, Recorded) else np.asarray(values, dtype=float)

    def __getattr__(self, name: str) -> Any:
        try:
            return self.functions[name]
        except KeyError:
            raise AttributeError(name) from None


@dataclass(frozen=True)
class Recording:
    """A tape and, for each derivative from 0 on, where its results are on it.

    `results[k]` lists the nodes of the k-th derivative of each datapoint, each a function of the
    weight alone; or it is the one node that holds all datapoints.
    """

    tape: Tape
    results: tuple[list[int] | int, ...]
    datapoints: int


def record(function: Callable[[Any], Any], order: int, sums: bool = False) -> Recording:
    """Run a function of an array of weights on a recording argument.

    With `sums` one that sums over another axis, of which what is summed can be evaluated alone.
    Raises whatever the function, or an operation that a tape does not know, does.
    """
    tape = Tape(RULES, sums=sums)
    w = Symbol.weights(tape, 0, WEIGHTS)
    arithmetic: Any = RecordingArithmetic(tape)
    rest = (1.0, *[ZERO] * (order - 1)) if order else ()
    with np.errstate(all="ignore"):
        result = collected(function(Taylor((w, *rest), arithmetic)))
    several = isinstance(result, (tuple, list))
    rows = list(result) if several else rows_in(operand(result))
    flat = [ZERO] * order  # where conditions choose between constants
    rows = [Taylor((r, *flat), arithmetic) if isinstance(r, Symbol) else r for r in rows]
    whole = not several and isinstance(rows[0], Taylor) and rows[0].ndim == 2
    if whole:
        n = rows[0].shape[0]
        own = [c for c in rows[0].coefficients if isinstance(c, Symbol) and c.ndim == 2]
        label = named(own, [(0, 1)] * len(own), (n, WEIGHTS))[0]
        order_of = [_derivative(tape, rows[0], k, (label, WEIGHTS_AXIS)) for k in range(order + 1)]
        tape.settle(label, order_of, n)
        return Recording(tape, tuple(order_of), n)
    nodes = [[_derivative(tape, row, k) for row in rows] for k in range(order + 1)]
    every = [i for row in nodes for i in row]
    if any(tape.nodes[i].units for i in every):
        raise UnknownOperationError("datapoints along the weights")
    settle(tape, every)
    return Recording(tape, tuple(nodes), len(rows))


def settle(tape: Tape, results: Sequence[int]) -> None:
    """The datapoints are the axis that results have, or that sums go over, not evaluated."""
    labels = tape.summed_over.union(*(tape.nodes[i].units for i in results))
    if len(labels) == 1:
        (label,) = labels
        tape.settle(label, results, label[0])


def rows_in(row: Any) -> list[Any]:
    """Each row of what was stacked; else the only one."""
    if not isinstance(row, Taylor) or not isinstance(row.value, Rows):
        return [row]
    count = len(row.value.rows)
    parts = [c.rows if isinstance(c, Rows) else [c] * count for c in row.coefficients]
    return [Taylor(tuple(c), row.arithmetic) for c in zip(*parts, strict=True)]


def node_of(tape: Tape, row: Any, k: int, names: tuple[Name, ...] = (WEIGHTS_AXIS,)) -> int:
    """The node of the k-th coefficient of what was returned, with axes of these names."""
    row = operand(row)
    if isinstance(row, Taylor):
        if row.ndim != len(names) or row.shape[-1] != WEIGHTS:
            raise UnknownOperationError("a result of another shape")
        row, k = row.coefficients[k], 0
    elif not isinstance(row, (int, float, np.floating, np.integer)):
        raise UnknownOperationError("a constant array")
    row = ZERO if k else together(row)
    return entered(tape, row, range(len(names) - np.ndim(row), len(names)), names)


def _derivative(tape: Tape, row: Any, k: int, names: tuple[Name, ...] = (WEIGHTS_AXIS,)) -> int:
    index = node_of(tape, row, k, names)
    if k < 2:
        return index
    return tape.operation("multiply", index, tape.constant(Fraction(math.factorial(k))))
