"""Exact derivatives of plain NumPy functions: truncated Taylor series in place of arrays.

A :class:`Taylor` is an array whose every entry is a power series c_0 + c_1 t + ... + c_K t^K. A
function written for arrays of weights is handed one with c_0 = w and c_1 = 1; what it returns then
carries its own derivatives, because every operation on the way follows the rules of series. The
operators are here; what NumPy's functions do is entered in the tables of `taylor_calls` by
`taylor_elementary`, `taylor_special` and `taylor_arrays`. The coefficients may be doubles or
numbers of many digits; the rules are the same.
"""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from stationary.errors import LandscapeError
from stationary.functions.series import ZERO, convolved, divided, minus, plus
from stationary.functions.source_lines import refusal
from stationary.functions.taylor_calls import METHODS, UFUNCS, Called, Rule, taken_apart
from stationary.numbers.arithmetic import Arithmetic

MOVES = {np.sum, np.reshape, np.ravel, np.squeeze, np.expand_dims, np.transpose, np.swapaxes}
MOVES |= {np.moveaxis, np.take}  # what keeps its size is as it was, in other places


def by_ufunc(ufunc: np.ufunc) -> tuple[Rule, Rule]:
    """An operator by the rule of its NumPy function, and the same from the right."""
    return (
        lambda self, other: UFUNCS[ufunc](self, other),
        lambda self, other: UFUNCS[ufunc](other, self),
    )


def by_value(ufunc: np.ufunc) -> Rule:
    """A comparison, which looks at the values only and gives plain booleans."""
    return lambda self, other: ufunc(decided(self).value, value_of(other))


class Taylor(Called):
    """An array of truncated power series, which NumPy functions take for an array.

    Attributes
    ----------
    coefficients
        c_0, ..., c_K. The first has the shape of the array, the others broadcast to it; the
        integer 0 stands for one that vanishes. The k-th derivative is k! c_k.
    arithmetic
        The kind of number that the coefficients are.
    root
        What this is the square of, if that is known: the square root of it is |root|.
    """

    __slots__ = ("arithmetic", "coefficients", "root")
    __array_priority__ = 1000.0
    decisions = 0  # between branches, of all series so far: whether a function may have any

    def __init__(
        self, coefficients: tuple[Any, ...], arithmetic: Arithmetic, root: Taylor | None = None
    ) -> None:
        self.coefficients = coefficients
        self.arithmetic = arithmetic
        self.root = root

    @classmethod
    def variable(cls, values: Any, order: int, arithmetic: Arithmetic) -> Taylor:
        """The independent variable: each value, with derivative 1, to the given order."""
        rest = (arithmetic.one, *[ZERO] * (order - 1)) if order else ()
        return cls((arithmetic.array(values).copy(), *rest), arithmetic)

    # What an array is asked for.

    @property
    def value(self) -> Any:
        return self.coefficients[0]

    @property
    def order(self) -> int:
        return len(self.coefficients) - 1

    @property
    def shape(self) -> tuple[int, ...]:
        return getattr(self.coefficients[0], "shape", ())

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    @property
    def dtype(self) -> np.dtype[Any]:
        return np.dtype(float)

    @property
    def T(self) -> Taylor:  # noqa: N802
        return each(np.transpose, self)

    def full(self, k: int) -> Any:
        """Coefficient k as a (read-only) array of the full shape."""
        c = self.coefficients[k]
        c = self.arithmetic.array(self.arithmetic.zero if c is ZERO else c)
        return np.broadcast_to(c, self.shape)

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("len() of a single number")
        return self.shape[0]

    def __iter__(self) -> Iterator[Taylor]:
        return (self[i] for i in range(len(self)))

    def __repr__(self) -> str:
        return f"Taylor({', '.join(map(str, self.coefficients))})"

    def __getitem__(self, key: Any) -> Taylor:
        shape, part = self.shape, getattr(key, "part_of", operator.itemgetter(key))
        picked = [
            c if not getattr(c, "shape", ()) else part(np.broadcast_to(c, shape))
            for c in self.coefficients[1:]
        ]
        root = None if self.root is None else self.root[key]
        return Taylor((part(self.value), *picked), self.arithmetic, root)

    def __setitem__(self, key: Any, new: Any) -> None:
        whole = getattr(self.value, "base", None)
        if whole is not None:  # NumPy would write through to the array it came from
            raise refusal(
                "an assignment into part of a part (such as y[0][mask] = ...)",
                "would be lost here. Index once: y[0, mask] = ...",
            )
        new, self.root = lift(new, self), None
        if key is Ellipsis and new.shape == self.shape:
            self.coefficients = new.coefficients
            return
        changed = []
        for k, c in enumerate(new.coefficients):
            if k and c is ZERO and self.coefficients[k] is ZERO:
                changed.append(ZERO)
                continue
            c = self.arithmetic.zero if c is ZERO else c
            if hasattr(key, "put_into"):  # a condition of a recording
                changed.append(key.put_into(self.full(k), c))
                continue
            whole = self.full(k).copy()  # a copy: coefficients may be shared
            whole[key] = c
            changed.append(whole)
        self.coefficients = tuple(changed)

    # What cannot be: to become plain numbers.

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """An object array of single series: slower than a Taylor, but it differentiates."""
        if dtype is not None and np.dtype(dtype) != object:
            raise refusal(
                None,
                "would turn weights, which carry their derivatives, into plain numbers. Leave out "
                "conversions to float; collect rows by np.stack, or in np.zeros_like(w, shape=...)",
            )
        kind = self.arithmetic.dtype.type if self.arithmetic.dtype != object else (lambda x: x)
        box = np.empty((), dtype=object)
        box[()] = self
        if not self.shape or getattr(self.value, "whole", False):  # it is recorded
            return box
        if hasattr(self.value, "entry"):  # of which all weights have the same
            each_one = tuple([getattr(c, "entry", c) for c in self.coefficients])
            box[()] = Taylor(each_one, self.arithmetic)
            return np.array(np.broadcast_to(box, self.shape))
        taken_apart(self.size)
        parts = [c if c is ZERO else self.full(k) for k, c in enumerate(self.coefficients)]

        def single(*c: Any) -> Taylor:
            return Taylor(tuple([x if x is ZERO else kind(x) for x in c]), self.arithmetic)

        return np.asarray(np.frompyfunc(single, len(parts), 1)(*parts), dtype=object)

    def _plain_number(self, *_: Any) -> Any:
        raise refusal(None, "needs a plain number, but the weights carry their derivatives here")

    __float__ = __int__ = __index__ = __complex__ = __round__ = item = tolist = _plain_number

    def __bool__(self) -> bool:
        raise refusal(
            None, "chooses what to run by the weights, which may differ from point to point"
        )

    # Arithmetic. `other` is a Taylor or anything that NumPy would take as a constant.

    def __add__(self, other: Any) -> Taylor:
        other = operand(other)
        if isinstance(other, Taylor):
            pairs = zip(self.coefficients, matched(other, self), strict=True)
            return Taylor(tuple([plus(a, b) for a, b in pairs]), self.arithmetic)
        return Taylor((self.coefficients[0] + other, *self.coefficients[1:]), self.arithmetic)

    __radd__ = __add__

    def __neg__(self) -> Taylor:
        return Taylor(tuple([c if c is ZERO else -c for c in self.coefficients]), self.arithmetic)

    def __pos__(self) -> Taylor:
        return Taylor(self.coefficients, self.arithmetic)

    def __sub__(self, other: Any) -> Taylor:
        other = operand(other)
        if isinstance(other, Taylor):
            pairs = zip(self.coefficients, matched(other, self), strict=True)
            return Taylor(tuple([minus(a, b) for a, b in pairs]), self.arithmetic)
        return Taylor((self.coefficients[0] - other, *self.coefficients[1:]), self.arithmetic)

    def __rsub__(self, other: Any) -> Taylor:
        other = operand(other)
        if isinstance(other, Taylor):
            return other - self
        rest = [c if c is ZERO else -c for c in self.coefficients[1:]]
        return Taylor((other - self.coefficients[0], *rest), self.arithmetic)

    def __mul__(self, other: Any) -> Taylor:
        root = self if other is self else None
        return bilinear(operator.mul, self, operand(other), root=root)

    __rmul__ = __mul__

    def __truediv__(self, other: Any) -> Taylor:
        return quotient(self, operand(other))

    def __rtruediv__(self, other: Any) -> Taylor:
        return quotient(operand(other), self)

    __pow__, __rpow__ = by_ufunc(np.power)
    __mod__, __rmod__ = by_ufunc(np.remainder)
    __floordiv__, __rfloordiv__ = by_ufunc(np.floor_divide)

    def __matmul__(self, other: Any) -> Taylor:
        return product(np.matmul, self, other)

    def __rmatmul__(self, other: Any) -> Taylor:
        return product(np.matmul, other, self)

    def __abs__(self) -> Any:
        return UFUNCS[np.absolute](self)

    # Comparisons look at the values only and give plain booleans.

    __lt__, __le__ = by_value(np.less), by_value(np.less_equal)
    __gt__, __ge__ = by_value(np.greater), by_value(np.greater_equal)
    __eq__, __ne__ = by_value(np.equal), by_value(np.not_equal)

    def __getattr__(self, name: str) -> Any:
        if name in METHODS:
            return functools.partial(METHODS[name], self)
        raise AttributeError(f"weights that carry derivatives have no attribute {name!r}")

    def copy(self, order: str = "K") -> Taylor:
        return each(np.array, self)

    def astype(self, dtype: Any, **options: Any) -> Any:
        kind = np.dtype(dtype).kind
        if kind == "f":
            return self.copy()
        if kind == "b":
            return self != 0
        if kind in "iu" and self.arithmetic.dtype == float:  # as a place in a table
            return self.value.astype(dtype)
        raise refusal(f"astype({dtype})", "")

    def reshape(self, *shape: Any, **options: Any) -> Taylor:
        return each(np.reshape, self, shape[0] if len(shape) == 1 else shape, **options)

    def transpose(self, *axes: Any) -> Taylor:
        return each(np.transpose, self, (axes[0] if len(axes) == 1 else axes) or None)


# What meets a series.


def operand(x: Any) -> Any:
    """`x` itself if NumPy can calculate with it; arrays and lists of series become one Taylor."""
    if isinstance(x, (Taylor, int, float)):
        return x
    if isinstance(x, (list, tuple)):
        x = np.asarray(x)
    if isinstance(x, np.ndarray) and x.dtype == object:
        return gathered(x)
    if isinstance(x, (np.ndarray, complex, np.complexfloating)) and np.iscomplexobj(x):
        raise refusal(
            None,
            "makes complex numbers. Return real ones, made of such: x**2 + 1 for |x + 1j|^2",
        )
    return x


def gathered(x: np.ndarray) -> Any:
    """One Taylor for an object array of single ones (and plain numbers)."""
    items = x.ravel().tolist()
    first = next((item for item in items if isinstance(item, Taylor)), None)
    if first is None:
        return x
    rows = [lift(item, first).coefficients for item in items]
    columns = [
        ZERO
        if k and all(c is ZERO for c in column)
        else first.arithmetic.array(list(column)).reshape(x.shape)
        for k, column in enumerate(zip(*rows, strict=True))
    ]
    return Taylor(tuple(columns), first.arithmetic)


def lift(x: Any, like: Taylor) -> Taylor:
    """`x` as a Taylor of the same kind: a constant has no derivatives."""
    x = operand(x)
    if isinstance(x, Taylor):
        matched(x, like)
        return x
    return Taylor((like.arithmetic.array(x), *[ZERO] * like.order), like.arithmetic)


def matched(x: Taylor, like: Taylor) -> tuple[Any, ...]:
    if len(x.coefficients) != len(like.coefficients) or x.arithmetic is not like.arithmetic:
        raise LandscapeError(
            "weights of two different derivatives meet in one expression. A function given to "
            "derivative() must use its own argument only."
        )
    return x.coefficients


def lifted(*values: Any) -> list[Taylor]:
    values = tuple(operand(v) for v in values)
    like = next(v for v in values if isinstance(v, Taylor))
    return [lift(v, like) for v in values]


def decided(x: Any) -> Any:
    """A series by whose values a function takes one branch or another (or, as tanh, goes there)."""
    Taylor.decisions += 1
    return x


def value_of(x: Any) -> Any:
    x = operand(x)
    return x.coefficients[0] if isinstance(x, Taylor) else x


# Rules that the operators need; all others are entered in the tables of `taylor_calls`.


def bilinear(
    times: Callable[[Any, Any], Any],
    a: Any,
    b: Any,
    full: bool = False,
    root: Taylor | None = None,
) -> Taylor:
    """a times b for any bilinear `times`; `full` if it needs arrays of the full shape."""

    def parts(x: Any) -> Any:
        if not full or not isinstance(x, Taylor):
            return x.coefficients if isinstance(x, Taylor) else (x,)
        return [c if c is ZERO else x.full(k) for k, c in enumerate(x.coefficients)]

    if isinstance(a, Taylor) and isinstance(b, Taylor):
        matched(b, a)
    like = a if isinstance(a, Taylor) else b
    return Taylor(convolved(times, parts(a), parts(b), like.order), like.arithmetic, root)


def product(times: Callable[[Any, Any], Any], a: Any, b: Any) -> Taylor:
    return bilinear(times, operand(a), operand(b), full=True)


def quotient(a: Any, b: Any) -> Taylor:
    """a / b."""
    if not isinstance(b, Taylor):
        divide = a.arithmetic.divide
        c = tuple([c if c is ZERO else divide(c, b) for c in a.coefficients])
        return Taylor(c, a.arithmetic)
    divide = decided(b).arithmetic.divide
    u = matched(a, b) if isinstance(a, Taylor) else (a, *[ZERO] * b.order)
    return Taylor(divided(divide, u, b.coefficients), b.arithmetic)


def each(function: Callable[..., Any], a: Any, *arguments: Any, **options: Any) -> Taylor:
    (a,) = lifted(a)
    options.pop("dtype", None)
    arguments = tuple(None if x is float else x for x in arguments)  # a dtype, as in np.sum
    c = [
        c if c is ZERO and k else function(a.full(k), *arguments, **options)
        for k, c in enumerate(a.coefficients)
    ]
    made = Taylor(tuple(c), a.arithmetic)
    if a.root is not None and function in MOVES and made.size == a.size:
        made.root = each(function, a.root, *arguments, **options)
    return made
