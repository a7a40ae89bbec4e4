"""Functions of whole arrays that symbols know: sums, products, rearrangements.

What mixes weights with each other, or depends on how many there are, raises.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import accumulate
from string import ascii_letters
from typing import Any

import numpy as np

from stationary.aliases import Array
from stationary.functions.tape.axes import WEIGHTS_AXIS, Label, fresh_label
from stationary.functions.tape.graph import UnknownOperationError
from stationary.functions.tape.joining import Piece
from stationary.functions.tape.symbols import (
    ARRAY_FUNCTIONS,
    Recorded,
    Rows,
    Symbol,
    entered,
    named,
    recorded,
    together,
)


def _stacked(arrays: Any, axis: int = 0) -> Any:
    rows = list(arrays)
    shape = np.broadcast_shapes(*map(np.shape, rows))
    if len(shape) == 1 and axis == 0 and all(np.ndim(row) == 1 for row in rows):
        return Rows(rows, (len(rows), *shape))
    axis %= len(shape) + 1
    return _joined([np.expand_dims(x, axis) for x in rows], axis)


def _joined(arrays: Sequence[Any], axis: int = 0, **_: Any) -> Any:
    """Arrays one behind the other along an axis."""
    arrays = [together(x) for x in arrays]
    rest = [np.delete(np.shape(x), axis).tolist() for x in arrays]
    known = [x for x in arrays if isinstance(x, Symbol)]
    if rest != rest[:1] * len(rest) or any(x.mask is not None for x in known):
        raise UnknownOperationError("arrays joined")
    first = known[0]
    axis %= first.ndim
    if any(x.names[axis] == WEIGHTS_AXIS for x in known):
        raise UnknownOperationError("arrays joined")
    others = [a for a in range(first.ndim) if a != axis]
    alike = [
        Symbol(x.tape, x.index, tuple(rest[0]), tuple(x.names[a] for a in others)) for x in known
    ]
    around = named(alike, [range(len(others))] * len(alike), rest[0])
    pieces = []
    for x in arrays:
        n = np.shape(x)[axis]
        names = [*around[:axis], x.names[axis] if isinstance(x, Symbol) else None, *around[axis:]]
        if n > 1 and names[axis] in (None, *around):
            names[axis] = fresh_label(n, [u for u in around if u])
        index = entered(first.tape, x, range(len(names)), tuple(names))
        pieces.append(Piece(index, names[axis], range(n)))
    names = [*around[:axis], None, *around[axis:]]
    return Symbol(first.tape, first.index, first.shape, tuple(names)).along(axis, pieces)


def _where(condition: Any, a: Any, b: Any) -> Any:
    tape = next(x.tape for x in (condition, a, b) if isinstance(x, Recorded))
    return recorded(tape, "where", (condition, a, b))


def _select(conditions: Any, choices: Any, default: Any = 0) -> Any:
    for condition, choice in zip(reversed(conditions), reversed(choices), strict=True):
        default = _where(condition, choice, default)
    return default


def _broadcast_to(x: Any, shape: Any, subok: bool = False) -> Any:
    shape = np.broadcast_shapes(x.shape, tuple(np.atleast_1d(shape).tolist()))
    if shape == x.shape:
        return x
    x = together(x)
    names = named((x,), (range(len(shape) - x.ndim, len(shape)),), shape)
    return Symbol(x.tape, x.index, shape, names)


def _moved(function: Callable[..., Array]) -> Callable[..., Any]:
    """A function that has axes in other places, new ones of length 1, or fewer of these."""

    def rule(x: Any, *arguments: Any, **options: Any) -> Any:
        # An array whose lengths tell its axes apart shows where they come to be.
        told = np.broadcast_to(0.0, [1 if n == 1 else a + 2 for a, n in enumerate(x.shape)])
        shape = function(told, *arguments, **options).shape
        if shape == told.shape:
            return x
        return together(x).spread([None if n == 1 else n - 2 for n in shape])

    return rule


def _reshaped(x: Any, shape: Any, **_: Any) -> Any:
    """New axes, or fewer, of length 1."""
    shape = tuple(np.atleast_1d(shape).tolist())
    if -1 in shape and x.size:
        known = -int(np.prod(shape))
        shape = tuple(x.size // known if n < 0 else n for n in shape)
    if shape == x.shape:
        return x
    x = together(x)
    long = [a for a, n in enumerate(x.shape) if n != 1]
    if [n for n in shape if n != 1] != [x.shape[a] for a in long]:
        raise UnknownOperationError("an array reshaped")
    return x.spread([None if n == 1 else long.pop(0) for n in shape])


def _tiled(x: Any, times: Any) -> Any:
    times = np.ravel(times).tolist()
    shape = (1,) * (len(times) - x.ndim) + x.shape
    times = [1] * (len(shape) - len(times)) + times
    if any(n > 1 and t != 1 for n, t in zip(shape, times, strict=True)):
        raise UnknownOperationError("an array repeated")
    return _broadcast_to(x, tuple(n * t for n, t in zip(shape, times, strict=True)))


def _repeated(x: Any, times: Any, axis: Any = None) -> Any:
    """A row, or a column, as often as it is wanted."""
    x = together(x)
    if axis is None or np.ndim(times) or x.shape[axis] != 1:
        raise UnknownOperationError("an array repeated")
    shape = list(x.shape)
    shape[axis] = int(times)
    return _broadcast_to(x, tuple(shape))


def _concatenated(arrays: Any, axis: int = 0, **_: Any) -> Any:
    """Rows that were stacked, and single ones, one below the other; or other arrays."""
    rows: list[Any] = []
    for x in arrays:
        single = isinstance(x, Symbol) and x.ndim == 2 and len(x) == 1 and axis == 0
        if single:
            rows.append(x.spread([1]))
        elif isinstance(x, Rows) and axis == 0:
            rows += x.rows
        else:
            return _joined(arrays, axis)
    return _stacked(rows, axis)


def _one_below_the_other(arrays: Any) -> Any:
    """Rows stacked, or the rows of arrays one behind the other."""
    rows = list(arrays)
    if all(np.ndim(x) < 2 for x in rows):
        return _stacked(rows)
    return _concatenated([np.expand_dims(x, 0) if np.ndim(x) == 1 else x for x in rows])


def _summed_up(x: Any, axis: Any = None, **_: Any) -> Any:
    """Sums of the first entries along an axis."""
    if not isinstance(x, Symbol) or axis is None:
        raise UnknownOperationError("cumsum")
    every = accumulate(x.parts(axis), lambda a, b: x.tape.operation("add", a, b))
    return x.stacked(list(every), axis)


def _crossed(a: Any, b: Any) -> tuple[Any, Any]:
    """A column and a row: what they are broadcast to has each entry with each."""
    if np.ndim(a) != 1 or np.ndim(b) != 1:
        raise UnknownOperationError("an outer product of tables")
    return (a if isinstance(a, Symbol) else np.asarray(a))[:, None], b


def _outer(a: Any, b: Any) -> Any:
    tape = next(x.tape for x in (a, b) if isinstance(x, Symbol))
    return recorded(tape, "multiply", _crossed(a, b))


def _matmul(a: Any, b: Any) -> Any:
    """Sums of products along the last axis and the last but one, as NumPy has them."""
    n, m = np.ndim(a), np.ndim(b)
    letters = ascii_letters[3 : max(n, m) + 1]  # of axes that both have, counted from the last
    first = "c" if n == 1 else letters[len(letters) - n + 2 :] + "ac"
    second = "c" if m == 1 else letters[len(letters) - m + 2 :] + "cb"
    result = letters[min(len(letters), max(0, len(letters) - max(n, m) + 2)) :]
    result += "a" * (n > 1) + "b" * (m > 1)
    return _einsum(f"{first},{second}->{result}", a, b)


def _dot(a: Any, b: Any) -> Any:
    if np.ndim(a) == 0 or np.ndim(b) == 0:
        tape = next(x.tape for x in (a, b) if isinstance(x, Recorded))
        return recorded(tape, "multiply", (a, b))
    return _tensordot(a, b, (-1, max(-2, -np.ndim(b))))


def _tensordot(a: Any, b: Any, axes: Any = 2) -> Any:
    n, m = np.ndim(a), np.ndim(b)
    if np.ndim(axes) == 0:
        axes = range(n - axes, n), range(axes)
    first, second = list(ascii_letters[:n]), list(ascii_letters[n : n + m])
    for i, j in zip(np.ravel(axes[0]), np.ravel(axes[1]), strict=True):
        second[j] = first[i]
    shared = {*first} & {*second}
    result = [c for c in (*first, *second) if c not in shared]
    return _einsum(f"{''.join(first)},{''.join(second)}->{''.join(result)}", a, b)


def _einsum(subscripts: str, *operands: Any) -> Any:
    """Sums of products along any axes, but that of the weights."""
    before, arrow, after = subscripts.replace(" ", "").partition("->")
    lists = before.split(",")
    if not arrow:
        after = "".join(sorted(c for c in {*before} - {","} if before.count(c) == 1))
    operands = tuple(together(x) if isinstance(x, Recorded) else np.asarray(x) for x in operands)
    once = all(len({*letters}) == len(letters) for letters in (*lists, after))
    if "." in subscripts or not once or len(operands) > 2:
        raise UnknownOperationError("np.einsum")
    tape = next(x.tape for x in operands if isinstance(x, Symbol))
    every = "".join(dict.fromkeys(before.replace(",", "")))
    places = [[every.index(c) for c in letters] for letters in lists]
    lengths = [
        max(np.shape(x)[p.index(i)] for x, p in zip(operands, places, strict=True) if i in p)
        for i in range(len(every))
    ]
    names = named(operands, places, lengths)
    nodes = [entered(tape, x, p, names) for x, p in zip(operands, places, strict=True)]
    along = tuple(n for c, n in zip(every, names, strict=True) if c not in after and n)
    if WEIGHTS_AXIS in along:
        raise UnknownOperationError("a sum over weights")
    one = tape.constant(1.0)
    index = tape.contracted(nodes[0], nodes[1] if len(nodes) > 1 else one, along)
    kept = [every.index(c) for c in after]
    return Symbol(tape, index, tuple(lengths[i] for i in kept), tuple(names[i] for i in kept))


def _summed(x: Any, axis: Any = None, keepdims: bool = False, **_: Any) -> Any:
    """Along axes, but that of the weights."""
    x = together(x)
    axes = range(x.ndim) if axis is None else [a % x.ndim for a in np.ravel(axis)]
    for a in sorted(axes, reverse=True):
        name: Label | None = x.names[a]
        if name == WEIGHTS_AXIS or x.mask is not None:
            raise UnknownOperationError("a sum over weights")
        index = x.index if name is None else x.tape.summed(x.index, name)
        x = x.with_node(index, a, keepdims)
    return x


def _taken(x: Any, index: Any, axis: int) -> Any:
    """For each place along an axis the entry of some number along another one."""
    long = [i for i, n in enumerate(np.shape(index)) if n > 1]
    if not isinstance(x, Symbol) or len(long) != 1 or long[0] == axis % x.ndim:
        raise UnknownOperationError("a part of an array")
    if np.ndim(index) != x.ndim or np.shape(index)[long[0]] != x.shape[long[0]]:
        raise UnknownOperationError("a part of an array")
    return x.chosen(np.ravel(index), long[0], axis % x.ndim, keepdims=True)


ARRAY_FUNCTIONS.update(
    {
        "outer": _crossed,
        np.matmul: _matmul,
        np.sum: _summed,
        np.where: _where,
        np.select: _select,
        np.outer: _outer,
        np.dot: _dot,
        np.inner: lambda a, b: _tensordot(a, b, (-1, -1)),
        np.einsum: _einsum,
        np.tensordot: _tensordot,
        np.take_along_axis: _taken,
        np.broadcast_to: _broadcast_to,
        np.ravel: lambda x, **_: _reshaped(x, (-1,)),
        np.tile: _tiled,
        np.reshape: _reshaped,
        np.stack: _stacked,
        np.vstack: _one_below_the_other,
        np.concatenate: _concatenated,
        np.repeat: _repeated,
        np.cumsum: _summed_up,
        np.shape: lambda x: x.shape,
        np.ndim: lambda x: x.ndim,
        np.size: lambda x: x.size,
    }
)
_MOVES: tuple[Any, ...] = (np.transpose, np.moveaxis, np.swapaxes, np.squeeze, np.expand_dims)
ARRAY_FUNCTIONS.update({function: _moved(function) for function in _MOVES})
