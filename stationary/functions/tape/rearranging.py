"""Functions of whole arrays that symbols know: sums, products, rearrangements.

What mixes weights with each other, or depends on how many there are, raises.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import accumulate
from typing import Any

import numpy as np

from stationary.functions.tape.graph import UnknownOperationError
from stationary.functions.tape.symbols import (
    ARRAY_FUNCTIONS,
    Block,
    Recorded,
    Rows,
    Symbol,
    recorded,
)


def _stacked(arrays: Any, axis: int = 0) -> Any:
    rows = list(arrays)
    ndim = max(map(np.ndim, rows))
    if ndim == 2 and all(isinstance(row, Symbol) and row.shape == rows[0].shape for row in rows):
        return Block(rows, axis % 3)
    if axis != 0 or any(np.ndim(row) != 1 for row in rows):
        raise UnknownOperationError("rows stacked in another way")
    return Rows(rows, (len(rows), *np.shape(rows[0])))


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
    if len(shape) > 2 or not isinstance(x, Symbol):
        raise UnknownOperationError("an array with three axes")
    return Symbol(x.tape, x.index, shape, x.axis)


def _moved(x: Any, axes: Sequence[int]) -> Any:
    """The axes in another order."""
    axes = [a % x.ndim for a in axes]
    if axes == list(range(x.ndim)):
        return x
    if isinstance(x, Block):
        return x.moved(axes)
    if not isinstance(x, Symbol):
        raise UnknownOperationError("axes moved")
    return Symbol(x.tape, x.index, x.shape[::-1], 3 - x.axis if x.axis else 0)


def _transposed(x: Any, axes: Any = None) -> Any:
    return _moved(x, range(x.ndim)[::-1] if axes is None else axes)


def _moveaxis(x: Any, source: Any, destination: Any) -> Any:
    if np.ndim(source) or np.ndim(destination):
        raise UnknownOperationError("axes moved")
    axes = [a for a in range(x.ndim) if a != source % x.ndim]
    axes.insert(destination % x.ndim, source % x.ndim)
    return _moved(x, axes)


def _swapaxes(x: Any, one: int, other: int) -> Any:
    axes = list(range(x.ndim))
    axes[one], axes[other] = axes[other], axes[one]
    return _moved(x, axes)


def _reshaped(x: Any, shape: Any, **_: Any) -> Any:
    """New axes, or fewer, of length 1."""
    shape = tuple(np.atleast_1d(shape).tolist())
    if -1 in shape and x.size:
        known = -int(np.prod(shape))
        shape = tuple(x.size // known if n < 0 else n for n in shape)
    if shape == x.shape:
        return x
    if isinstance(x, Block) and len(x.parts) == 1 and shape == x.parts[0].shape:
        return x.parts[0]
    long = tuple(n for n in shape if n != 1)
    if isinstance(x, Symbol) and x.ndim == 1 and long == x.shape:
        return x.spread([None if n == 1 else 0 for n in shape])
    if isinstance(x, Symbol) and x.ndim == 2 and len(shape) == 3:
        for i in range(3):
            if shape[i] == 1 and shape[:i] + shape[i + 1 :] == x.shape:
                return x.spread([None if j == i else j - (j > i) for j in range(3)])
    raise UnknownOperationError("an array reshaped")


def _itself(x: Any, axis: Any = None, **_: Any) -> Any:
    if isinstance(x, Block) and len(x.parts) == 1 and axis in (x.apart, x.apart - 3):
        return x.parts[0]
    if x.ndim != 1:
        raise UnknownOperationError("fewer dimensions")
    return x


def _tiled(x: Any, times: Any) -> Any:
    if (
        x.ndim > 2
        or np.shape(times) != (2,)
        or times[1] != 1
        or len(x[None] if x.ndim < 2 else x) != 1
    ):
        raise UnknownOperationError("an array repeated")
    return _broadcast_to(x, (times[0], x.shape[-1]))


def _repeated(x: Any, times: Any, axis: Any = None) -> Any:
    """A row, or a column, as often as it is wanted."""
    own = isinstance(x, Symbol) and x.ndim == 2 and axis is not None and np.ndim(times) == 0
    if not own or x.shape[axis] != 1 or axis % 2 == 2 - x.axis:
        raise UnknownOperationError("an array repeated")
    shape = list(x.shape)
    shape[axis] = int(times)
    return _broadcast_to(x, tuple(shape))


def _concatenated(arrays: Any, axis: int = 0, **_: Any) -> Any:
    """Rows that were stacked, and single ones, one below the other."""
    rows: list[Any] = []
    for x in arrays:
        single = isinstance(x, Symbol) and x.ndim == 2 and x.axis == 1 and len(x) == 1
        if single:
            rows.append(Symbol(x.tape, x.index, x.shape[1:], 1))
        elif isinstance(x, Rows):
            rows += x.rows
        else:
            raise UnknownOperationError("arrays joined")
    return _stacked(rows, axis)


def _summed_up(x: Any, axis: Any = None, **_: Any) -> Any:
    """Sums of the first symbols of an array that is apart along the axis."""
    if not isinstance(x, Block) or axis not in (x.apart, x.apart - 3):
        raise UnknownOperationError("cumsum")
    every = accumulate(x.parts, lambda a, b: recorded(x.tape, "add", (a, b)))
    return Block(list(every), x.apart)


def _expanded(x: Any, axis: Any) -> Any:
    if np.ndim(axis) or not isinstance(x, Symbol):
        raise UnknownOperationError("more dimensions")
    axes: list[int | None] = list(range(x.ndim))
    axes.insert(axis % (x.ndim + 1), None)
    return x.spread(axes)


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

    Or of a constant for each row of a table, or each column, and the table; or of an array with
    three axes along one of these.
    """
    if isinstance(a, Block) and np.ndim(b) in (1, 2) and a.apart == 2:
        return _contracted(a, np.asarray(b), 2)
    if isinstance(b, Block) and np.ndim(a) in (1, 2) and b.apart == 1:
        return _contracted(b, np.asarray(a).T, 1)
    if isinstance(b, Symbol) and (np.ndim(a), b.ndim, b.axis) == (1, 2, 1):
        return _summed(recorded(b.tape, "multiply", (np.asarray(a)[:, None], b)), 0)
    if isinstance(a, Symbol) and (a.ndim, a.axis, np.ndim(b)) == (2, 2, 1):
        return _summed(recorded(a.tape, "multiply", (a, np.asarray(b))), 1)
    if np.ndim(a) != 2 or np.ndim(b) != 2 or np.shape(a)[1] != 1 or np.shape(b)[0] != 1:
        raise UnknownOperationError("a sum of products")
    tape = next(x.tape for x in (a, b) if isinstance(x, Symbol))
    return recorded(tape, "multiply", (a, b))


def _contracted(x: Block, factors: Any, apart: int) -> Any:
    """Sums of symbols times factors: one for each symbol, or a column of them for each sum."""
    if isinstance(factors, Recorded) or len(factors) != len(x.parts):
        raise UnknownOperationError("a sum of products")
    if np.ndim(factors) == 1:
        pairs = zip(x.parts, factors.tolist(), strict=True)
        return Block([recorded(x.tape, "multiply", p) for p in pairs], apart).folded("add")
    return Block([_contracted(x, column, apart) for column in factors.T], apart)


def _einsum(subscripts: str, *operands: Any) -> Any:
    text = subscripts.replace(" ", "")
    blocks = [x for x in operands if isinstance(x, Block)]
    if len(blocks) == 1 and len(operands) < 3 and "->" in text and "." not in text:
        return _einsum_of_block(text, operands, blocks[0])
    names = dict(zip(dict.fromkeys(filter(str.isalpha, text)), "ijklm", strict=False))
    rules = {"i,j->ij": _outer, "i,ij->j": _dot, "ij,j->i": _dot}
    rule = rules.get("".join(names.get(c, c) for c in text))
    if rule is None:
        raise UnknownOperationError("np.einsum")
    return rule(*operands)


def _einsum_of_block(text: str, operands: Sequence[Any], x: Block) -> Any:
    """A sum over the axis of an array that is apart, times constants, which may have a new one."""
    before, after = text.split("->")
    own, *others = sorted(
        zip(before.split(","), operands, strict=True), key=lambda p: p[1] is not x
    )
    names, along = own[0], own[0][x.apart]
    rest = names.replace(along, "")
    letters, table = others[0] if others else (along, np.ones(len(x.parts)))
    table = np.asarray(table)
    new = "".join(c for c in letters if c not in names)
    wanted = rest if not new else rest[: x.apart] + new + rest[x.apart :]
    known = along in letters and len(set(names)) == 3 and len(set(letters)) == len(letters)
    if not known or len(new) > 1 or after != wanted or along in after:
        raise UnknownOperationError("np.einsum")
    # The factors of each symbol, as constants beside its two axes, one set for each new entry.
    kept = [c for c in rest if c in letters]
    table = np.transpose(table, [letters.index(c) for c in (*new, along, *kept)])
    lengths = zip(rest, x.parts[0].shape, strict=True)
    sizes = [n if c in letters else 1 for c, n in lengths]
    made = []
    for factors in table if new else [table]:
        columns = factors.reshape(len(x.parts), *sizes)
        pairs = zip(x.parts, columns, strict=True)
        made.append(Block([recorded(x.tape, "multiply", p) for p in pairs], x.apart).folded("add"))
    return Block(made, x.apart) if new else made[0]


def _tensordot(a: Any, b: Any, axes: Any = 2) -> Any:
    """Of an array apart along one axis and a constant that is summed with it along that alone."""
    if np.ndim(axes) == 0 and axes == 1:
        axes = (-1, 0)
    if np.ndim(axes) == 0 or not isinstance(a, Block) or isinstance(b, Recorded):
        raise UnknownOperationError("np.tensordot")
    one, other = (int(np.reshape(i, -1)[0]) if np.size(i) == 1 else 9 for i in axes)
    b = np.moveaxis(np.asarray(b), other, 0) if -4 < other < np.ndim(b) else np.ones(())
    if one not in (a.apart, a.apart - 3) or b.ndim not in (1, 2):
        raise UnknownOperationError("np.tensordot")
    return _contracted(a, b, 2)


def _summed(x: Any, axis: Any = None, keepdims: bool = False, **_: Any) -> Any:
    if isinstance(x, Block) and axis in (x.apart, x.apart - 3):
        return x.folded("add", keepdims)
    known = isinstance(x, Symbol) and x.ndim == 2
    if not known or not x.axis or axis not in (x.axis - 1, x.axis - 3) or keepdims:
        raise UnknownOperationError("sum")
    return Symbol(x.tape, x.tape.total(x.index), (x.shape[2 - x.axis],), 1)


def _taken(x: Any, index: Any, axis: int) -> Any:
    """For each datapoint the entry of one symbol, whose number is given."""
    own = isinstance(x, Block) and axis in (x.apart, x.apart - 3) and np.ndim(index) == 3
    long = [i for i, n in enumerate(np.shape(index)) if n > 1]
    if not own or long not in ([0], [1], [2]) or long[0] == x.apart:
        raise UnknownOperationError("a part of an array")
    return Block([x.chosen(np.ravel(index), long[0] - (long[0] > x.apart))], x.apart)


ARRAY_FUNCTIONS.update(
    {
        "outer": _crossed,
        np.matmul: _dot,
        np.sum: _summed,
        np.where: _where,
        np.select: _select,
        np.outer: _outer,
        np.dot: _dot,
        np.einsum: _einsum,
        np.tensordot: _tensordot,
        np.take_along_axis: _taken,
        np.broadcast_to: _broadcast_to,
        np.transpose: _transposed,
        np.moveaxis: _moveaxis,
        np.swapaxes: _swapaxes,
        np.ravel: _itself,
        np.squeeze: _itself,
        np.tile: _tiled,
        np.reshape: _reshaped,
        np.expand_dims: _expanded,
        np.stack: _stacked,
        np.vstack: partial(_stacked, axis=0),
        np.concatenate: _concatenated,
        np.repeat: _repeated,
        np.cumsum: _summed_up,
        np.shape: lambda x: x.shape,
        np.ndim: lambda x: x.ndim,
        np.size: lambda x: x.size,
    }
)
