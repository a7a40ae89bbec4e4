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
from numpy.lib.mixins import NDArrayOperatorsMixin

from stationary.aliases import Array
from stationary.functions.evaluation import collected
from stationary.functions.series import ZERO
from stationary.functions.tape.graph import Tape, UnknownOperationError
from stationary.functions.tape.rewriting import RULES
from stationary.functions.taylor import Taylor, operand
from stationary.numbers.arithmetic import DOUBLE

WEIGHTS = 7  # that a function is recorded with; a check with another number follows
_OPERATORS = (
    "add subtract multiply negative greater greater_equal less less_equal equal not_equal "
    "logical_and logical_or logical_not bitwise_and bitwise_or invert"
)
OPERATORS = _OPERATORS.split()
FUNCTIONS = [name for name in DOUBLE.functions if name not in ("to_float", "absolute")]
KNOWN = {"absolute": "abs", "true_divide": "divide"} | {n: n for n in (*OPERATORS, *FUNCTIONS)}


class Symbol(NDArrayOperatorsMixin):
    """The result of a node in the function's own eyes: an array of some shape."""

    __slots__ = ("axis", "index", "mask", "shape", "tape")
    __array_priority__ = 500.0
    base = None

    def __init__(
        self,
        tape: Tape,
        index: int,
        shape: tuple[int, ...],
        axis: int,
        mask: int | None = None,
    ) -> None:
        self.tape, self.index, self.shape = tape, index, shape
        self.axis = axis  # of the weights, counted from the last, which is 1; 0 for none
        self.mask = mask  # the condition under which it was taken out of an array, as x[x > 0] is

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def whole(self) -> bool:
        """Whether it may be an entry of an array of objects, of which sums are taken."""
        return self.tape.sums

    def copy(self) -> Symbol:
        return self

    def __array__(self, *_: Any, **__: Any) -> Array:
        raise UnknownOperationError("a conversion to plain numbers")

    def __bool__(self) -> bool:
        raise UnknownOperationError("a decision by values")

    __float__ = __int__ = __index__ = __iter__ = __bool__

    def __getitem__(self, key: Any) -> Symbol:
        """New axes around the weights; parts of an array mix weights."""
        everything = slice(None)
        if key is Ellipsis or (isinstance(key, slice) and key == everything):
            return self
        if self.ndim == 1 and (key is None or isinstance(key, tuple)):
            if key in (None, (None, everything), (None, Ellipsis)):
                return Symbol(self.tape, self.index, (1, *self.shape), self.axis)
            if key in ((everything, None), (Ellipsis, None)):
                return Symbol(self.tape, self.index, (*self.shape, 1), 2 * self.axis)
        raise UnknownOperationError("a part of an array")

    def part_of(self, whole: Any) -> Symbol:
        """What `whole[self]` is, where this is a condition."""
        if np.shape(whole) != self.shape or self.index not in self.tape.conditions:
            raise UnknownOperationError("a part of an array")
        if isinstance(whole, Symbol):
            index, axis = whole.index, whole.axis
        else:
            index, axis = self.tape.captured(whole, self.axis), 0
        return Symbol(self.tape, index, self.shape, axis, self.index)

    def put_into(self, whole: Any, part: Any) -> Symbol:
        """What `whole` is after `whole[self] = part`, where this is a condition."""
        if np.shape(whole) != self.shape or (
            np.ndim(part) and getattr(part, "mask", None) != self.index
        ):
            raise UnknownOperationError("an assignment to a part of an array")
        if isinstance(part, Symbol):
            part = Symbol(self.tape, part.index, part.shape, part.axis)
        return _where(self, part, whole)

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
        if any(isinstance(x, Taylor) for x in inputs):  # a condition met a series
            return NotImplemented
        if method == "__call__" and ufunc is np.matmul and not options:
            return _dot(*inputs)
        op = KNOWN.get(ufunc.__name__)
        if op is None or method not in ("__call__", "outer") or options:
            raise UnknownOperationError(ufunc.__name__)
        return recorded(self.tape, op, _crossed(*inputs) if method == "outer" else inputs)

    def __array_function__(self, function: Any, kinds: Any, args: Any, options: Any) -> Any:
        if any(issubclass(kind, Taylor) for kind in kinds):
            return NotImplemented
        rule = _ARRAY_FUNCTIONS.get(function)
        if rule is None:
            raise UnknownOperationError(function.__name__)
        return rule(*args, **options)


def recorded(tape: Tape, op: str, inputs: tuple[Any, ...]) -> Symbol:
    """An operation on symbols and constants, broadcast as NumPy would."""
    if any(isinstance(x, Rows) for x in inputs):
        raise UnknownOperationError("an operation on rows that were stacked")
    axes = {x.axis for x in inputs if isinstance(x, Symbol) and x.axis}
    if len(axes) > 1:
        raise UnknownOperationError("weights along two axes")
    masks = {x.mask if isinstance(x, Symbol) else None for x in inputs if np.ndim(x)}
    if len(masks) > 1:
        raise UnknownOperationError("parts of arrays that are not the same")
    axis = axes.pop() if axes else 0
    shape = np.broadcast_shapes(*(np.shape(x) for x in inputs))
    args = [x.index if isinstance(x, Symbol) else tape.captured(x, axis or 1) for x in inputs]
    return Symbol(tape, tape.operation(op, *args), shape, axis, *masks)


class Rows:
    """Rows stacked to an array of shape (N, M)."""

    base = None
    ndim = 2

    def __init__(self, rows: list[Any], shape: tuple[int, ...]) -> None:
        self.rows, self.shape = rows, shape

    def __array_function__(self, function: Any, *_: Any) -> Any:
        raise UnknownOperationError(function.__name__)

    def __array_ufunc__(self, ufunc: Any, *_: Any, **__: Any) -> Any:
        raise UnknownOperationError(ufunc.__name__)


def _stacked(arrays: Any, axis: int = 0) -> Rows:
    rows = list(arrays)
    if axis != 0 or any(np.ndim(row) != 1 for row in rows):
        raise UnknownOperationError("rows stacked in another way")
    return Rows(rows, (len(rows), *np.shape(rows[0])))


def _where(condition: Any, a: Any, b: Any) -> Symbol:
    tape = next(x.tape for x in (condition, a, b) if isinstance(x, Symbol))
    return recorded(tape, "where", (condition, a, b))


def _select(conditions: Any, choices: Any, default: Any = 0) -> Any:
    for condition, choice in zip(reversed(conditions), reversed(choices), strict=True):
        default = _where(condition, choice, default)
    return default


def _broadcast_to(x: Symbol, shape: Any, subok: bool = False) -> Symbol:
    shape = np.broadcast_shapes(x.shape, tuple(np.atleast_1d(shape).tolist()))
    return Symbol(x.tape, x.index, shape, x.axis)


def _transposed(x: Symbol, axes: Any = None) -> Symbol:
    if x.ndim == 1:
        return x
    if x.ndim != 2 or axes not in (None, (1, 0), [1, 0]):
        raise UnknownOperationError("a transposition")
    return Symbol(x.tape, x.index, x.shape[::-1], 3 - x.axis if x.axis else 0)


def _reshaped(x: Symbol, shape: Any, **_: Any) -> Symbol:
    shape = tuple(np.atleast_1d(shape).tolist())
    if x.ndim == 1 and shape in ((1, -1), (1, *x.shape)):
        return x[None, :]
    if x.ndim == 1 and shape in ((-1, 1), (*x.shape, 1)):
        return x[:, None]
    raise UnknownOperationError("an array reshaped")


def _itself(x: Symbol, *_: Any, **__: Any) -> Symbol:
    if x.ndim != 1:
        raise UnknownOperationError("fewer dimensions")
    return x


def _tiled(x: Symbol, times: Any) -> Symbol:
    if (
        x.ndim > 2
        or np.shape(times) != (2,)
        or times[1] != 1
        or len(x[None] if x.ndim < 2 else x) != 1
    ):
        raise UnknownOperationError("an array repeated")
    return _broadcast_to(x, (times[0], x.shape[-1]))


def _expanded(x: Symbol, axis: Any) -> Symbol:
    if x.ndim != 1 or axis not in (0, 1, -1, -2):
        raise UnknownOperationError("more dimensions")
    return x[None, :] if axis in (0, -2) else x[:, None]


def _crossed(a: Any, b: Any) -> tuple[Any, Any]:
    """A column and a row: what they are broadcast to has each entry with each."""
    if np.ndim(a) != 1 or np.ndim(b) != 1:
        raise UnknownOperationError("an outer product of tables")
    return (a if isinstance(a, Symbol) else np.asarray(a))[:, None], b


def _outer(a: Any, b: Any) -> Any:
    tape = next(x.tape for x in (a, b) if isinstance(x, Symbol))
    return recorded(tape, "multiply", _crossed(a, b))


def _dot(a: Any, b: Any) -> Any:
    """Of a column and a row, as X[:, None] @ w[None, :]: a sum over one index alone.

    Or of a constant for each row of a table, or each column, and the table.
    """
    if isinstance(b, Symbol) and (np.ndim(a), b.ndim, b.axis) == (1, 2, 1):
        return _summed(recorded(b.tape, "multiply", (np.asarray(a)[:, None], b)), 0)
    if isinstance(a, Symbol) and (a.ndim, a.axis, np.ndim(b)) == (2, 2, 1):
        return _summed(recorded(a.tape, "multiply", (a, np.asarray(b))), 1)
    if np.ndim(a) != 2 or np.ndim(b) != 2 or np.shape(a)[1] != 1 or np.shape(b)[0] != 1:
        raise UnknownOperationError("a sum of products")
    tape = next(x.tape for x in (a, b) if isinstance(x, Symbol))
    return recorded(tape, "multiply", (a, b))


def _einsum(subscripts: str, *operands: Any) -> Any:
    text = subscripts.replace(" ", "")
    names = dict(zip(dict.fromkeys(filter(str.isalpha, text)), "ijklm", strict=False))
    rules = {"i,j->ij": _outer, "i,ij->j": _dot, "ij,j->i": _dot}
    rule = rules.get("".join(names.get(c, c) for c in text))
    if rule is None:
        raise UnknownOperationError("np.einsum")
    return rule(*operands)


def _summed(x: Symbol, axis: Any = None, **_: Any) -> Symbol:
    if x.ndim != 2 or not x.axis or axis not in (x.axis - 1, x.axis - 3):
        raise UnknownOperationError("sum")
    return Symbol(x.tape, x.tape.total(x.index), (x.shape[2 - x.axis],), 1)


_ARRAY_FUNCTIONS: dict[Any, Callable[..., Any]] = {
    np.sum: _summed,
    np.where: _where,
    np.select: _select,
    np.outer: _outer,
    np.dot: _dot,
    np.einsum: _einsum,
    np.broadcast_to: _broadcast_to,
    np.transpose: _transposed,
    np.swapaxes: lambda x, one, other: _transposed(x) if {one % 2, other % 2} == {0, 1} else x,
    np.ravel: _itself,
    np.squeeze: _itself,
    np.tile: _tiled,
    np.reshape: _reshaped,
    np.expand_dims: _expanded,
    np.stack: _stacked,
    np.vstack: _stacked,
    np.shape: lambda x: x.shape,
    np.ndim: lambda x: x.ndim,
    np.size: lambda x: x.size,
}


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
        return values if isinstance(values, (Symbol, Rows)) else np.asarray(values, dtype=float)

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
    tape = Tape(RULES)
    tape.sums = sums
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
