"""What a recorded function sees in place of arrays: symbols, each the result of a node.

An array with three axes is taken apart along one of them, as that of the units of a network, or of
classes: what is left of it are symbols with two.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from stationary.aliases import Array
from stationary.functions.tape.graph import Tape, UnknownOperationError
from stationary.functions.taylor import Taylor
from stationary.numbers.arithmetic import DOUBLE

MOST_PARTS = 256  # of an array with three axes, each of which has nodes of its own
_OPERATORS = (
    "add subtract multiply negative greater greater_equal less less_equal equal not_equal "
    "logical_and logical_or logical_not bitwise_and bitwise_or invert"
)
OPERATORS = _OPERATORS.split()
FUNCTIONS = [name for name in DOUBLE.functions if name not in ("to_float", "absolute")]
KNOWN = {"absolute": "abs", "true_divide": "divide"} | {n: n for n in (*OPERATORS, *FUNCTIONS)}
ARRAY_FUNCTIONS: dict[Any, Callable[..., Any]] = {}  # entered by `rearranging`


class Recorded(NDArrayOperatorsMixin):
    """An array whose entries are not known: what NumPy asks of it is recorded, or raises."""

    __slots__ = ()
    __array_priority__ = 500.0
    base = None
    tape: Tape
    shape: tuple[int, ...]

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

    def __array__(self, *_: Any, **__: Any) -> Array:
        raise UnknownOperationError("a conversion to plain numbers")

    def __bool__(self) -> bool:
        raise UnknownOperationError("a decision by values")

    __float__ = __int__ = __index__ = __bool__

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
        if any(isinstance(x, Taylor) for x in inputs):  # a condition met a series
            return NotImplemented
        if method == "__call__" and ufunc is np.matmul and not options:
            return ARRAY_FUNCTIONS[np.matmul](*inputs)
        op = KNOWN.get(ufunc.__name__)
        if op is None or method not in ("__call__", "outer") or options:
            raise UnknownOperationError(ufunc.__name__)
        if method == "outer":
            inputs = ARRAY_FUNCTIONS["outer"](*inputs)
        return recorded(self.tape, op, inputs)

    def __array_function__(self, function: Any, kinds: Any, args: Any, options: Any) -> Any:
        if any(issubclass(kind, Taylor) for kind in kinds):
            return NotImplemented
        rule = ARRAY_FUNCTIONS.get(function)
        if rule is None:
            raise UnknownOperationError(function.__name__)
        return rule(*args, **options)


class Symbol(Recorded):
    """The result of a node in the function's own eyes: an array of one or two axes, or none."""

    __slots__ = ("axis", "index", "mask", "shape", "tape")

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

    def copy(self) -> Symbol:
        return self

    @property
    def entry(self) -> Symbol:
        """What each weight has of it, where an array of objects is made."""
        if self.ndim > 1 or self.mask is not None or (self.shape and self.axis != 1):
            raise UnknownOperationError("entries of an array")
        return Symbol(self.tape, self.index, (), 0)

    __iter__ = Recorded.__bool__

    def __getitem__(self, key: Any) -> Any:
        """New axes around the others; parts of an array mix weights."""
        axes, given = [], iter(range(self.ndim))
        for entry in _spelled(key, self.ndim):
            if entry is not None and not _is_everything(entry):
                raise UnknownOperationError("a part of an array")
            axes.append(None if entry is None else next(given))
        if len(axes) == self.ndim:
            return self
        return self.spread(axes)

    def spread(self, axes: Sequence[int | None]) -> Any:
        """The same with its axes in these places, and new ones where there is none."""
        shape = tuple(1 if a is None else self.shape[a] for a in axes)
        own = [len(axes) - i for i, a in enumerate(axes) if a == self.ndim - self.axis]
        if len(axes) < 3:
            return Symbol(self.tape, self.index, shape, own[0] if own else 0, self.mask)
        apart = self.tape.apart_at(len(axes))
        if shape[apart] != 1 or axes[apart] is not None:
            raise UnknownOperationError("an array with three axes")
        return Block([self.spread([a for i, a in enumerate(axes) if i != apart])], apart)

    def part_of(self, whole: Any) -> Symbol:
        """What `whole[self]` is, where this is a condition."""
        if np.shape(whole) != self.shape or self.index not in self.tape.conditions:
            raise UnknownOperationError("a part of an array")
        if isinstance(whole, Symbol):
            index, axis = whole.index, whole.axis
        else:
            index, axis = self.tape.captured(whole, self.axis), 0
        return Symbol(self.tape, index, self.shape, axis, self.index)

    def put_into(self, whole: Any, part: Any) -> Any:
        """What `whole` is after `whole[self] = part`, where this is a condition."""
        if np.shape(whole) != self.shape or (
            np.ndim(part) and getattr(part, "mask", None) != self.index
        ):
            raise UnknownOperationError("an assignment to a part of an array")
        if isinstance(part, Symbol):
            part = Symbol(self.tape, part.index, part.shape, part.axis)
        return recorded(self.tape, "where", (self, part, whole))


class Block(Recorded):
    """An array with three axes, apart along one of them: symbols with the other two."""

    __slots__ = ("apart", "parts", "shape", "tape")

    def __init__(self, parts: list[Symbol], apart: int) -> None:
        if not 0 < len(parts) <= MOST_PARTS:
            raise UnknownOperationError("an array with three axes, all of them long")
        self.parts, self.apart, self.tape = parts, apart, parts[0].tape
        rest = parts[0].shape
        self.shape = (*rest[:apart], len(parts), *rest[apart:])

    def copy(self) -> Block:
        return self

    def __iter__(self) -> Iterator[Any]:
        if self.apart:
            raise UnknownOperationError("a part of an array")
        return iter(self.parts)

    def __getitem__(self, key: Any) -> Any:
        """One of its symbols, or several of them; or for each datapoint the entry of one."""
        entries = _spelled(key, 3)
        others = [e for i, e in enumerate(entries) if i != self.apart]
        if len(entries) == 3 and all(map(_is_everything, others)):
            entry = entries[self.apart]
            if isinstance(entry, slice):
                return Block(self.parts[entry], self.apart)
            if isinstance(entry, (int, np.integer)):
                return self.parts[entry]
        lists = [i for i, entry in enumerate(entries) if np.ndim(entry) == 1]
        beside = [i for i in lists if i != self.apart]
        if len(entries) != 3 or len(lists) != 2 or len(beside) != 1:
            raise UnknownOperationError("a part of an array")
        (axis,) = beside
        if not np.array_equal(np.asarray(entries[axis]), np.arange(self.shape[axis])):
            raise UnknownOperationError("a part of an array")
        return self.chosen(np.asarray(entries[self.apart]), axis - (axis > self.apart))

    def chosen(self, number: Array, axis: int) -> Symbol:
        """For each place along an axis of the symbols, the entry of the symbol of that number."""
        number = np.where(number < 0, number + len(self.parts), number)
        number = number[:, None] if axis == 0 else number[None, :]
        found = self.parts[0]
        for k, part in enumerate(self.parts):
            if k and (number == k).any():
                found = recorded(self.tape, "where", (number == k, part, found))
        return found

    def moved(self, axes: Sequence[int]) -> Block:
        """The same with its axes in another order."""
        rest = [a for a in axes if a != self.apart]
        parts = self.parts
        if rest[0] > rest[1]:
            parts = [_turned(p) for p in parts]
        return Block(parts, list(axes).index(self.apart))

    def folded(self, op: str, keepdims: bool = False) -> Any:
        """All symbols joined by an operation, in pairs, then pairs of these."""
        parts: list[Any] = list(self.parts)
        while len(parts) > 1:
            pairs = zip(parts[::2], parts[1::2], strict=False)
            joined = [recorded(self.tape, op, pair) for pair in pairs]
            parts = joined + parts[len(parts) - len(parts) % 2 :]
        return Block(parts, self.apart) if keepdims else parts[0]


def _turned(x: Symbol) -> Symbol:
    return Symbol(x.tape, x.index, x.shape[::-1], 3 - x.axis if x.axis else 0)


def _is_everything(entry: Any) -> bool:
    return isinstance(entry, slice) and entry == slice(None)


def _spelled(key: Any, ndim: int) -> list[Any]:
    """What is asked for along each axis, and None for each new one."""
    entries = list(key) if isinstance(key, tuple) else [key]
    missing = ndim - sum(e is not None and e is not Ellipsis for e in entries)
    for i, entry in enumerate(entries):
        if entry is Ellipsis:
            return [*entries[:i], *[slice(None)] * missing, *entries[i + 1 :]]
    return [*entries, *[slice(None)] * missing]


def recorded(tape: Tape, op: str, inputs: tuple[Any, ...]) -> Any:
    """An operation on symbols and constants, broadcast as NumPy would."""
    if any(isinstance(x, Rows) for x in inputs):
        return _row_by_row(tape, op, inputs)
    shape = np.broadcast_shapes(*(np.shape(x) for x in inputs))
    if len(shape) > 2:
        return _taken_apart(tape, op, inputs, shape)
    axes = {x.axis for x in inputs if isinstance(x, Symbol) and x.axis}
    if len(axes) > 1:
        raise UnknownOperationError("weights along two axes")
    masks = {x.mask if isinstance(x, Symbol) else None for x in inputs if np.ndim(x)}
    if len(masks) > 1:
        raise UnknownOperationError("parts of arrays that are not the same")
    axis = axes.pop() if axes else 0
    args = [x.index if isinstance(x, Symbol) else tape.captured(x, axis or 1) for x in inputs]
    return Symbol(tape, tape.operation(op, *args), shape, axis, *masks)


def _taken_apart(tape: Tape, op: str, inputs: tuple[Any, ...], shape: tuple[int, ...]) -> Block:
    """The same for each symbol of arrays with three axes."""
    blocks = {x.apart for x in inputs if isinstance(x, Block)}
    apart = blocks.pop() if blocks else tape.apart_at(len(shape))
    if blocks or shape[apart] > MOST_PARTS:
        raise UnknownOperationError("an array with three axes, all of them long")
    parts = range(shape[apart])
    columns = [[_part(x, k, apart) for k in parts] for x in inputs]
    return Block([recorded(tape, op, each) for each in zip(*columns, strict=True)], apart)


def _part(x: Any, k: int, apart: int) -> Any:
    """What of an input belongs to the k-th symbol."""
    if isinstance(x, Block):
        return x.parts[k if len(x.parts) > 1 else 0]
    own = np.ndim(x) - 3 + apart  # the place of that axis among those it has
    if own < 0:
        return x
    if isinstance(x, Symbol):
        if x.shape[own] != 1 or x.axis == x.ndim - own:
            raise UnknownOperationError("an array with three axes")
        return x.spread([a for a in range(x.ndim) if a != own])
    x = np.asarray(x)
    return np.take(x, k if x.shape[own] > 1 else 0, axis=own)


class Rows(Recorded):
    """Rows stacked to an array of shape (N, M), each with nodes of its own."""

    __slots__ = ("rows", "shape", "tape")

    def __init__(self, rows: list[Any], shape: tuple[int, ...]) -> None:
        self.rows, self.shape = rows, shape
        self.tape = next(row.tape for row in rows if isinstance(row, Recorded))

    def copy(self) -> Rows:
        return self

    def __iter__(self) -> Iterator[Any]:
        return iter(self.rows)

    def __getitem__(self, key: Any) -> Any:
        if not isinstance(key, (int, np.integer)):
            raise UnknownOperationError("a part of an array")
        return self.rows[key]


def _row_by_row(tape: Tape, op: str, inputs: tuple[Any, ...]) -> Rows:
    """An operation on rows that were stacked, and on what all of them or each of them meets."""
    count = next(len(x) for x in inputs if isinstance(x, Rows))
    shape = np.broadcast_shapes(*(np.shape(x) for x in inputs))
    columns: list[Any] = []
    for x in inputs:
        if isinstance(x, Rows) or np.ndim(x) < 2:
            columns.append(x.rows if isinstance(x, Rows) else [x] * count)
        elif isinstance(x, Recorded) or len(shape) > 2 or shape[0] != count:
            raise UnknownOperationError("an operation on rows that were stacked")
        else:
            columns.append(np.broadcast_to(x, (count, np.shape(x)[1])))
    return Rows([recorded(tape, op, row) for row in zip(*columns, strict=True)], shape)


class Entries(list[Any]):
    """Those of an array of objects, in their order; see `Symbol.entry`."""

    def reshape(self, shape: tuple[int, ...]) -> Any:
        """The array: its rows, or the only one."""
        *count, length = shape
        if len(count) > 1:
            raise UnknownOperationError("an array of objects with three axes")
        rows: list[Any] = []
        for i in range(0, len(self), length):
            first, *others = self[i : i + length]
            recorded = isinstance(first, Symbol)
            if any((x.index != first.index if recorded else x != first) for x in others):
                raise UnknownOperationError("entries that differ from weight to weight")
            row = Symbol(first.tape, first.index, (length,), 1) if recorded else None
            rows.append(np.full(length, float(first)) if row is None else row)
        return Rows(rows, shape) if count else rows[0]
