"""What a recorded function sees in place of arrays: symbols, each the result of a node."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from stationary.aliases import Array
from stationary.functions.tape.axes import WEIGHTS_AXIS, Label, fresh_label
from stationary.functions.tape.graph import Tape, UnknownOperationError
from stationary.functions.tape.joining import MOST_PARTS, Piece, joined
from stationary.functions.taylor import Taylor
from stationary.numbers.arithmetic import DOUBLE
from stationary.numbers.elementary import distinct

_OPERATORS = (
    "add subtract multiply negative greater greater_equal less less_equal equal not_equal "
    "logical_and logical_or logical_not bitwise_and bitwise_or invert"
)
OPERATORS = _OPERATORS.split()
FUNCTIONS = [name for name in DOUBLE.functions if name not in ("to_float", "absolute")]
KNOWN = {"absolute": "abs", "true_divide": "divide"} | {n: n for n in (*OPERATORS, *FUNCTIONS)}
Name = Label | None  # of an axis
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
    """The result of a node in the function's own eyes: an array, each axis of which has a name.

    That is the label of the axis that the node has for it, `WEIGHTS_AXIS`, or None (length 1).
    """

    __slots__ = ("index", "mask", "names", "shape", "tape")

    def __init__(
        self,
        tape: Tape,
        index: int,
        shape: tuple[int, ...],
        names: tuple[Name, ...],
        mask: int | None = None,
    ) -> None:
        self.tape, self.index, self.shape, self.names = tape, index, shape, names
        self.mask = mask  # the condition under which it was taken out of an array, as x[x > 0] is

    @classmethod
    def weights(cls, tape: Tape, index: int, count: int) -> Symbol:
        return cls(tape, index, (count,), (WEIGHTS_AXIS,))

    def copy(self) -> Symbol:
        return self

    @property
    def entry(self) -> Symbol:
        """What each weight has of it, where an array of objects is made."""
        if self.ndim > 1 or self.mask is not None or self.names not in ((), (WEIGHTS_AXIS,)):
            raise UnknownOperationError("entries of an array")
        return Symbol(self.tape, self.index, (), ())

    __iter__ = Recorded.__bool__

    def __getitem__(self, key: Any) -> Any:
        """Entries along axes, all of them, or for each datapoint another; and new axes."""
        entries = _spelled(key, self.ndim)
        lists = [e for e in entries if np.ndim(e) == 1]
        if lists and (len(lists) > 1 or any(isinstance(e, (int, np.integer)) for e in entries)):
            return self._chosen_by(entries)
        found, axes, at = self, list[int | None](), 0
        for entry in entries:
            if isinstance(entry, (int, np.integer)):
                found = found.taken(at, int(entry))
                continue
            if entry is not None and not _is_everything(entry):
                found = found.cut(at, entry)
            axes.append(None if entry is None else at)
            at += entry is not None
        return found if axes == list(range(found.ndim)) else found.spread(axes)

    def part_at(self, axis: int) -> Any:
        """From a number to the node of the entry of that number along an axis."""
        name = self.names[axis]
        if name == WEIGHTS_AXIS or self.mask is not None:
            raise UnknownOperationError("a part of an array")
        if name is None:
            return lambda k: self.index
        return partial(self.tape.part, self.index, name)

    def parts(self, axis: int) -> list[int]:
        """The nodes of all entries along an axis."""
        if self.shape[axis] > MOST_PARTS:
            raise UnknownOperationError("an axis that is long")
        return [*map(self.part_at(axis), range(self.shape[axis]))]

    def with_node(self, index: int, axis: int | None = None, keepdims: bool = False) -> Symbol:
        """Another node with the same axes, or without one of them."""
        axes: list[int | None] = [None if a == axis else a for a in range(self.ndim)]
        kept = axes if keepdims else [a for a in axes if a is not None]
        other = Symbol(self.tape, index, self.shape, self.names, self.mask)
        return other.spread(kept)

    def taken(self, axis: int, k: int) -> Symbol:
        """One entry along an axis."""
        if not -self.shape[axis] <= k < self.shape[axis]:
            raise IndexError(f"index {k} is out of bounds for axis {axis}")
        return self.with_node(self.part_at(axis)(k % self.shape[axis]), axis)

    def cut(self, axis: int, entry: Any) -> Symbol:
        """Several entries along an axis, by a slice, a list of numbers, or of what is taken."""
        places = np.arange(self.shape[axis])[entry]
        if not len(places) or self.mask is not None or self.names[axis] == WEIGHTS_AXIS:
            raise UnknownOperationError("a part of an array")
        return self.along(axis, [Piece(self.index, self.names[axis], places)])

    def along(self, axis: int, pieces: Sequence[Piece]) -> Symbol:
        """The same axes, with these pieces along one of them."""
        shape, names = list(self.shape), list(self.names)
        shape[axis], names[axis] = sum(len(p.places) for p in pieces), None
        index, names[axis] = joined(self.tape, pieces, names)
        return Symbol(self.tape, index, tuple(shape), tuple(names))

    def stacked(self, parts: list[int], axis: int) -> Symbol:
        """The same axes, with these nodes along one of them."""
        shape, names = list(self.shape), list(self.names)
        shape[axis], names[axis] = len(parts), None
        if len(parts) > 1:
            names[axis] = label = fresh_label(len(parts), [n for n in names if n])
            index = self.tape.stacked(parts, label)
        else:
            (index,) = parts
        return Symbol(self.tape, index, tuple(shape), tuple(names))

    def spread(self, axes: Sequence[int | None]) -> Symbol:
        """The same with its axes in these places, and new ones where there is none."""
        shape = tuple(1 if a is None else self.shape[a] for a in axes)
        names = tuple(None if a is None else self.names[a] for a in axes)
        return Symbol(self.tape, self.index, shape, names, self.mask)

    def _chosen_by(self, entries: list[Any]) -> Symbol:
        """For each place along one axis the entry of some number along another."""
        lists = [i for i, entry in enumerate(entries) if np.ndim(entry) == 1]
        others = [e for i, e in enumerate(entries) if i not in lists]
        if len(entries) != self.ndim or len(lists) != 2 or not all(map(_is_everything, others)):
            raise UnknownOperationError("a part of an array")
        for axis, other in (lists, lists[::-1]):
            n, m = np.asarray(entries[axis]), np.asarray(entries[other])
            if n.dtype.kind in "iu" and np.array_equal(n, np.arange(self.shape[axis])):
                if m.dtype.kind not in "iu":
                    break
                found: Any = self.chosen(m, axis, other)
                # As NumPy has it: in the place of the first, or in front if others are between.
                own = axis - (axis > other)
                place = lists[0] if lists[1] == lists[0] + 1 else 0
                moved: Symbol = np.moveaxis(found, own, place)
                return moved
        raise UnknownOperationError("a part of an array")

    def chosen(self, number: Array, axis: int, other: int, keepdims: bool = False) -> Symbol:
        """For each place along an axis, the entry of that number along another one."""
        number = np.where(number < 0, number + self.shape[other], number)
        part, name = self.part_at(other), self.names[axis]
        if name == WEIGHTS_AXIS or not ((number >= 0) & (number < self.shape[other])).all():
            raise UnknownOperationError("a part of an array")
        found = part(int(number[0]))
        for k in distinct(number).tolist():
            here = self.tape.captured(number == k, (name,))
            found = self.tape.operation("where", here, part(k), found)
        return self.with_node(found, other, keepdims)

    def part_of(self, whole: Any) -> Symbol:
        """What `whole[self]` is, where this is a condition."""
        if np.shape(whole) != self.shape or self.index not in self.tape.conditions:
            raise UnknownOperationError("a part of an array")
        if isinstance(whole, Symbol) and not _differ(whole.names, self.names):
            return Symbol(self.tape, whole.index, self.shape, whole.names, self.index)
        if isinstance(whole, Recorded):
            raise UnknownOperationError("a part of an array")
        index = self.tape.captured(whole, self.names)
        return Symbol(self.tape, index, self.shape, self.names, self.index)

    def put_into(self, whole: Any, part: Any) -> Any:
        """What `whole` is after `whole[self] = part`, where this is a condition."""
        if np.shape(whole) != self.shape or (
            np.ndim(part) and getattr(part, "mask", None) != self.index
        ):
            raise UnknownOperationError("an assignment to a part of an array")
        if isinstance(part, Symbol):
            part = Symbol(self.tape, part.index, part.shape, part.names)
        return recorded(self.tape, "where", (self, part, whole))


def _differ(one: tuple[Name, ...], other: tuple[Name, ...]) -> bool:
    return any(a != b for a, b in zip(one, other, strict=True) if a and b)


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
    shape = np.broadcast_shapes(*(np.shape(x) for x in inputs))
    if any(isinstance(x, Rows) for x in inputs):
        if len(shape) < 3 and not any(isinstance(x, Symbol) and x.ndim > 1 for x in inputs):
            return _row_by_row(tape, op, inputs)
        inputs = tuple(map(together, inputs))
    masks = {x.mask if isinstance(x, Symbol) else None for x in inputs if np.ndim(x)}
    if len(masks) > 1:
        raise UnknownOperationError("parts of arrays that are not the same")
    places = [range(len(shape) - np.ndim(x), len(shape)) for x in inputs]
    names = named(inputs, places, shape)
    args = [entered(tape, x, p, names) for x, p in zip(inputs, places, strict=True)]
    return Symbol(tape, tape.operation(op, *args), shape, names, *masks)


def named(
    inputs: Sequence[Any], places: Sequence[Sequence[int]], shape: Sequence[int]
) -> tuple[Name, ...]:
    """Names for axes of these lengths, in which those of the inputs have their `places`."""
    names: list[Name] = [None] * len(shape)
    for x, own in zip(inputs, places, strict=True):
        if isinstance(x, Symbol):
            for name, i in zip(x.names, own, strict=True):
                if name == WEIGHTS_AXIS and name in (*names[:i], *names[i + 1 :]):
                    raise UnknownOperationError("weights along two axes")
                if name == WEIGHTS_AXIS or (name not in names and names[i] is None):
                    names[i] = name
    for i, n in enumerate(shape):
        if n != 1 and names[i] is None:
            names[i] = fresh_label(n, [name for name in names if name])
    return tuple(names)


def entered(tape: Tape, x: Any, places: Sequence[int], names: tuple[Name, ...]) -> int:
    """The node of an input whose axes have these places among axes with names."""
    wanted = tuple(names[i] for i in places)
    if not isinstance(x, Symbol):
        return tape.captured(x, wanted)
    node = tape.nodes[x.index]
    renamed = {a: b for a, b in zip(x.names, wanted, strict=True) if a in node.units and b and a}
    of_weights = WEIGHTS_AXIS in x.names and WEIGHTS_AXIS not in wanted and node.by_weight
    if of_weights or WEIGHTS_AXIS in renamed.values():
        raise UnknownOperationError("a constant for each weight")
    return tape.renamed(x.index, renamed)


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
            return together(self)[key]
        return self.rows[key]


def together(x: Any) -> Any:
    """Rows as one array."""
    if not isinstance(x, Rows):
        return x
    row = next(row for row in x.rows if isinstance(row, Symbol))
    nodes = [entered(x.tape, r, (0,), (WEIGHTS_AXIS,)) for r in x.rows]
    return row.spread([None, 0]).stacked(nodes, 0)


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
            row = Symbol.weights(first.tape, first.index, length) if recorded else None
            rows.append(np.full(length, float(first)) if row is None else row)
        return Rows(rows, shape) if count else rows[0]
