"""What a function does to its argument, recorded: a graph of elementary operations.

The function is handed a series (`Taylor`) whose coefficients are `Symbol`s. So the rules of
series differentiate, and what they do to the coefficients is what is recorded. Equal operations
on equal arguments are one node. Constants are numbers, or one number for each datapoint.

What cannot be recorded raises: whatever depends on values or on the number of weights, or mixes
weights with each other.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from stationary.functions.evaluation import collected
from stationary.functions.series import ZERO
from stationary.functions.tape import rearranging  # noqa: F401  (enters functions)
from stationary.functions.tape.graph import Tape, UnknownOperationError
from stationary.functions.tape.rewriting import RULES
from stationary.functions.tape.symbols import (
    FUNCTIONS,
    KNOWN,
    Entries,
    Recorded,
    Rows,
    Symbol,
    recorded,
)
from stationary.functions.taylor import Taylor, operand

WEIGHTS = 7  # that a function is recorded with; a check with another number follows
APART = (-2, -3, -1)  # axes of arrays with three along which these are taken apart, as tried


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
        return Symbol(self.tape, self.tape.operation("pi"), (), 0)

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
    *first, last = APART
    for apart in first:
        tape = Tape(RULES, sums=sums, apart=apart)
        try:
            return _recorded(tape, function, order)
        except UnknownOperationError:
            if not tape.three_axes:
                raise
    return _recorded(Tape(RULES, sums=sums, apart=last), function, order)


def _recorded(tape: Tape, function: Callable[[Any], Any], order: int) -> Recording:
    w = Symbol(tape, 0, (WEIGHTS,), 1)
    arithmetic: Any = RecordingArithmetic(tape)
    rest = (1.0, *[ZERO] * (order - 1)) if order else ()
    with np.errstate(all="ignore"):
        result = collected(function(Taylor((w, *rest), arithmetic)))
    several = isinstance(result, (tuple, list))
    rows = list(result) if several else rows_in(operand(result))
    flat = [ZERO] * order  # where conditions choose between constants
    rows = [Taylor((r, *flat), arithmetic) if isinstance(r, Symbol) else r for r in rows]
    shape: tuple[int, ...] = (WEIGHTS,)
    whole = not several and isinstance(rows[0], Taylor) and rows[0].ndim == 2
    if whole:
        shape = rows[0].shape[0], WEIGHTS
        tape.has_datapoints(shape[0])
    nodes = [[_derivative(tape, row, k, shape) for row in rows] for k in range(order + 1)]
    if whole:
        return Recording(tape, tuple(index for (index,) in nodes), shape[0])
    if any(tape.nodes[i].by_datapoint for row in nodes for i in row):
        raise UnknownOperationError("datapoints along the weights")
    return Recording(tape, tuple(nodes), len(rows))


def rows_in(row: Any) -> list[Any]:
    """Each row of what was stacked; else the only one."""
    if not isinstance(row, Taylor) or not isinstance(row.value, Rows):
        return [row]
    count = len(row.value.rows)
    parts = [c.rows if isinstance(c, Rows) else [c] * count for c in row.coefficients]
    return [Taylor(tuple(c), row.arithmetic) for c in zip(*parts, strict=True)]


def node_of(tape: Tape, row: Any, k: int, shape: tuple[int, ...] = (WEIGHTS,)) -> int:
    """The node of the k-th coefficient of what was returned."""
    row = operand(row)
    if isinstance(row, Taylor):
        if row.shape != shape:
            raise UnknownOperationError("a result of another shape")
        row, k = row.coefficients[k], 0
    elif not isinstance(row, (int, float, np.floating, np.integer)):
        raise UnknownOperationError("a constant array")
    if isinstance(row, Symbol):
        if row.axis > 1:
            raise UnknownOperationError("datapoints along the last axis")
        return row.index
    return tape.captured(ZERO if k else row, 1)


def _derivative(tape: Tape, row: Any, k: int, shape: tuple[int, ...]) -> int:
    index = node_of(tape, row, k, shape)
    if k < 2:
        return index
    return tape.operation("multiply", index, tape.constant(Fraction(math.factorial(k))))
