"""Array functions of Taylor series: sums, products, rearrangements, statistics.

Most are linear, so that they act on each coefficient alone, or bilinear, like a product.
"""

from __future__ import annotations

import functools
import itertools
import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from stationary.functions.series import ZERO
from stationary.functions.source_lines import refusal
from stationary.functions.taylor import Taylor, decided, each, lifted, product, value_of
from stationary.functions.taylor_calls import FUNCTIONS, METHODS, UFUNC_METHODS
from stationary.functions.taylor_elementary import (
    absolute,
    maximum,
    minimum,
    on_values,
    smooth,
    where,
)

__all__: list[str] = []  # everything is entered in the tables at the end


def _clip(a: Any, a_min: Any = None, a_max: Any = None, **bounds: Any) -> Any:
    lower, upper = bounds.get("min", a_min), bounds.get("max", a_max)
    a = a if lower is None else maximum(a, lower)
    return a if upper is None else minimum(a, upper)


def _select(conditions: Any, choices: Any, default: Any = 0) -> Any:
    for condition, choice in zip(reversed(conditions), reversed(choices), strict=True):
        default = where(condition, choice, default)
    return default


def _piecewise(x: Any, conditions: Any, functions: Any, *more: Any, **options: Any) -> Any:
    """The later of two conditions decides; functions are evaluated everywhere, and chosen from."""
    of = [f(x, *more, **options) if callable(f) else f for f in functions]
    y = of[-1] if len(of) > len(conditions) else 0
    for condition, value in zip(conditions, of, strict=False):
        y = where(condition, value, y)
    return y + 0 * x  # of constants alone, too


def _joined(function: Callable[..., Any], arrays: Any, *arguments: Any, **options: Any) -> Taylor:
    options.pop("dtype", None)
    parts = lifted(*arrays)
    made = []
    for k in range(parts[0].order + 1):
        if k and all(part.coefficients[k] is ZERO for part in parts):
            made.append(ZERO)
        else:
            made.append(function([part.full(k) for part in parts], *arguments, **options))
    return Taylor(tuple(made), parts[0].arithmetic)


def _filled_like(a: Any, fill_value: Any = 0, dtype: Any = None, **options: Any) -> Any:
    shape = options.get("shape")
    shape = np.shape(value_of(a)) if shape is None else shape
    if dtype is not None and np.dtype(dtype).kind != "f":
        return np.full(shape, fill_value, dtype=dtype)
    like = lifted(a, fill_value)[1]
    y = Taylor((like.arithmetic.array(np.zeros(shape)), *[ZERO] * like.order), like.arithmetic)
    y[...] = like
    return y


def _zeros_like(a: Any, dtype: Any = None, *_: Any, **options: Any) -> Any:
    return _filled_like(a, 0, dtype, **options)


def _ones_like(a: Any, dtype: Any = None, *_: Any, **options: Any) -> Any:
    return _filled_like(a, 1, dtype, **options)


def _mean(a: Any, axis: Any = None, dtype: Any = None, out: Any = None, **options: Any) -> Any:
    total = each(np.sum, a, axis=axis, **options)
    return total / (np.size(value_of(a)) // (total.size or 1))


def _variance(
    a: Any, axis: Any = None, dtype: Any = None, out: Any = None, ddof: int = 0, **options: Any
) -> Any:
    """Two passes: the mean square of the distances to the mean."""
    (a,) = lifted(a)
    spread = a - _mean(a, axis, keepdims=True)
    total = each(np.sum, spread * spread, axis=axis, **options)
    return total / (a.size // (total.size or 1) - ddof)


def _standard_deviation(*arguments: Any, **options: Any) -> Taylor:
    return smooth("sqrt", _variance(*arguments, **options))


def _average(a: Any, axis: Any = None, weights: Any = None, **options: Any) -> Any:
    if weights is None:
        return _mean(a, axis, **options)
    if not isinstance(axis, tuple) and np.ndim(weights) == 1 and np.ndim(a) > 1:
        weights = np.expand_dims(weights, [i for i in range(np.ndim(a)) if i != axis % np.ndim(a)])
    a, weights = lifted(a, weights)
    total = each(np.sum, a * weights, axis=axis, **options)
    whole = weights + np.zeros(a.shape)
    return total / each(np.sum, whole, axis=axis, **options)


def _folded(
    joined: Callable[[Any, Any], Any], a: Any, axis: Any = None, *_: Any, **options: Any
) -> Any:
    """All entries along an axis, joined one after the other."""
    (a,) = lifted(a)
    rows = each(np.ravel, a) if axis is None else each(np.moveaxis, a, axis, 0)
    whole = functools.reduce(joined, rows)
    if not options.get("keepdims"):
        return whole
    shape = tuple(1 if axis in (None, i, i - a.ndim) else n for i, n in enumerate(a.shape))
    return each(np.reshape, whole, shape)


_prod = functools.partial(_folded, operator.mul)


def _extreme(
    pick: Callable[..., Any], a: Any, axis: Any = None, out: Any = None, keepdims: bool = False
) -> Taylor:
    """The largest or smallest entry along an axis, with the derivatives of that entry."""
    (a,) = lifted(a)
    if hasattr(a.value, "tape"):  # it is recorded: which entry that is depends on values
        joined = maximum if pick is np.argmax else minimum
        folded: Taylor = _folded(joined, a, axis, keepdims=keepdims)
        return folded
    rows = each(np.ravel, a) if axis is None else a
    index = pick(rows.value, axis=0 if axis is None else axis, keepdims=True)
    best = each(np.take_along_axis, rows, index, 0 if axis is None else axis)
    if axis is None:
        return each(np.reshape, best, (1,) * a.ndim if keepdims else ())
    return best if keepdims else each(np.squeeze, best, axis=axis)


def _einsum(subscripts: Any, *operands: Any, **options: Any) -> Any:
    options.pop("optimize", None)
    if not isinstance(subscripts, str):  # np.einsum(a, [0], b, [1], [0, 1])
        given = (subscripts, *operands)
        places = given[1::2] if len(given) % 2 == 0 else (*given[1:-1:2], given[-1])
        names = ["".join(chr(97 + i) for i in place) for place in places]
        operands, result = given[: 2 * (len(given) // 2) : 2], names[len(given) // 2 :]
        subscripts = "->".join([",".join(names[: len(operands)]), *result])
    first, *others = operands
    if not others:
        return each(lambda c: np.einsum(subscripts, c, **options), first)
    if len(others) == 1:
        return product(lambda a, b: np.einsum(subscripts, a, b, **options), first, *others)
    # Linear in each operand: the constants go along, and of series two at a time are multiplied.
    before, arrow, after = subscripts.replace(" ", "").partition("->")
    if "." in before:
        raise refusal("np.einsum of more than two arrays with an ellipsis", "")
    names = before.split(",")
    kept = after if arrow else "".join(sorted(i for i in {*before} - {","} if before.count(i) == 1))
    inner = "".join(sorted({*names[0], *names[1]} & {*kept, *"".join(names[2:])}))
    pair = np.einsum(f"{names[0]},{names[1]}->{inner}", first, others[0])
    return np.einsum(",".join([inner, *names[2:]]) + "->" + kept, pair, *others[1:])


def _polyval(p: Any, x: Any) -> Any:
    y: Any = 0
    for c in p:
        y = y * x + c
    return y


def _atleast(function: Callable[..., Any], *arrays: Any) -> Any:
    made = tuple(
        (each(function, a) if a.ndim < int(function.__name__[8]) else a) for a in lifted(*arrays)
    )
    return made[0] if len(made) == 1 else made


def _broadcast_arrays(*arrays: Any, subok: bool = False) -> tuple[Taylor, ...]:
    arrays = tuple(lifted(*arrays))
    shape = np.broadcast_shapes(*[a.shape for a in arrays])
    return tuple(each(np.broadcast_to, a, shape) for a in arrays)


def _outer(rule: Callable[..., Any], a: Any, b: Any, **options: Any) -> Any:
    b = np.asarray(b) if isinstance(b, (list, tuple)) else b
    a = np.asarray(a) if isinstance(a, (list, tuple)) else a
    return rule(np.reshape(a, np.shape(a) + (1,) * np.ndim(b)), b)


def _reduced(rule: Callable[..., Any], a: Any, axis: Any = 0, *_: Any, **options: Any) -> Any:
    return _folded(rule, a, axis, **options)


def _accumulated(rule: Callable[..., Any], a: Any, axis: int = 0, *_: Any, **options: Any) -> Any:
    rows = each(np.moveaxis, a, axis, 0)
    return each(np.moveaxis, np.stack(list(itertools.accumulate(rows, rule))), 0, axis)


def _cumulated(a: Any, axis: Any = None, dtype: Any = None, out: Any = None) -> Any:
    a, axis = (each(np.ravel, a), 0) if axis is None else (a, axis)
    return _accumulated(operator.mul, a, axis)


def _differences(a: Any, n: int = 1, axis: int = -1, **ends: Any) -> Any:
    shape = [1 if i == axis % np.ndim(a) else size for i, size in enumerate(np.shape(a))]
    ends = {k: x if np.ndim(x) else np.broadcast_to(x, shape) for k, x in ends.items()}
    parts = ends.get("prepend"), a, ends.get("append")
    joined = np.concatenate([x for x in parts if x is not None], axis=axis) if ends else a
    return each(np.diff, joined, n, axis)


def _meshed(*axes: Any, indexing: str = "xy", sparse: bool = False, copy: bool = True) -> Any:
    n = len(axes)
    parts = [np.reshape(x, (1,) * i + (-1,) + (1,) * (n - 1 - i)) for i, x in enumerate(axes)]
    if indexing == "xy" and n > 1:
        parts = [np.swapaxes(x, 0, 1) for x in parts]
    return tuple(parts) if sparse else np.broadcast_arrays(*parts)


def _norm(x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Any:
    if ord not in (None, 1, 2, np.inf) or (ord is not None and np.ndim(axis) + np.ndim(x) != 1):
        return np.linalg.norm(np.asarray(x), ord, axis, keepdims)
    if ord == 1:
        return each(np.sum, absolute(x), axis=axis, keepdims=keepdims)
    if ord == np.inf:
        return _largest(absolute(x), axis, keepdims=keepdims)
    return smooth("sqrt", each(np.sum, x * x, axis=axis, keepdims=keepdims))


def _sorted(a: Any, axis: Any = -1, *_: Any, **options: Any) -> Any:
    a, axis = (each(np.ravel, a), 0) if axis is None else (a, axis)
    if hasattr(a.value, "tape"):  # it is recorded: neighbours change places, again and again
        rows = list(each(np.moveaxis, a, axis, 0))
        for i, k in itertools.product(range(len(rows)), range(len(rows) - 1)):
            if (i + k) % 2 == 0:
                pair = rows[k], rows[k + 1]
                rows[k], rows[k + 1] = minimum(*pair), maximum(*pair)
        return np.stack(rows, axis=axis)
    return each(np.take_along_axis, a, np.argsort(decided(a).value, axis=axis), axis)


_largest = functools.partial(_extreme, np.argmax)
_smallest = functools.partial(_extreme, np.argmin)

_LINEAR = (
    "sum cumsum reshape ravel transpose moveaxis swapaxes expand_dims squeeze broadcast_to "
    "flip roll take take_along_axis tile repeat trace diagonal"
)
_ON_VALUES = (
    "shape ndim size argmax argmin argsort any all count_nonzero iscomplexobj isrealobj allclose "
    "isclose"
)
_AS_METHODS = (
    "sum cumsum ravel swapaxes squeeze take repeat trace diagonal mean var std prod dot argmax "
    "argmin argsort any all"
)


def _table(rule: Callable[..., Any], names: str) -> dict[Any, Callable[..., Any]]:
    """np.name -> rule(np.name, ...) for each of the names."""
    functions = [getattr(np, name) for name in names.split()]
    return {function: functools.partial(rule, function) for function in functions}


FUNCTIONS.update(_table(each, _LINEAR))
FUNCTIONS.update(_table(_joined, "stack concatenate vstack hstack column_stack"))
FUNCTIONS.update(_table(product, "dot outer inner vdot kron"))
FUNCTIONS.update(_table(_atleast, "atleast_1d atleast_2d atleast_3d"))
FUNCTIONS.update({f: on_values(f) for f in (getattr(np, name) for name in _ON_VALUES.split())})
FUNCTIONS.update(
    {
        np.tensordot: lambda a, b, axes=2: product(lambda x, y: np.tensordot(x, y, axes), a, b),
        np.copy: lambda a, *_, **__: each(np.array, a),
        np.where: where,
        np.mean: _mean,
        np.average: _average,
        np.var: _variance,
        np.std: _standard_deviation,
        np.prod: _prod,
        np.max: _largest,
        np.amax: _largest,
        np.min: _smallest,
        np.amin: _smallest,
        np.einsum: _einsum,
        np.polyval: _polyval,
        np.clip: _clip,
        np.select: _select,
        np.piecewise: _piecewise,
        np.zeros_like: _zeros_like,
        np.empty_like: _zeros_like,
        np.ones_like: _ones_like,
        np.full_like: _filled_like,
        np.broadcast_arrays: _broadcast_arrays,
        np.cumprod: _cumulated,
        np.diff: _differences,
        np.meshgrid: _meshed,
        np.linalg.norm: _norm,
        np.sort: _sorted,
        np.fix: METHODS["trunc"],
    }
)
METHODS.update({name: FUNCTIONS[getattr(np, name)] for name in _AS_METHODS.split()})
METHODS.update(
    flatten=functools.partial(each, lambda c, order="C": np.array(c).ravel(order)),
    max=_largest,
    min=_smallest,
    clip=_clip,
)
UFUNC_METHODS.update(
    {
        (np.add, "reduce"): lambda a, axis=0, **options: each(np.sum, a, axis=axis, **options),
        (np.multiply, "reduce"): lambda a, axis=0, **options: _prod(a, axis, **options),
        (np.logaddexp, "reduce"): lambda a, axis=0, **o: _folded(np.logaddexp, a, axis, **o),
        (np.maximum, "reduce"): lambda a, axis=0, **options: _largest(a, axis, **options),
        (np.minimum, "reduce"): lambda a, axis=0, **options: _smallest(a, axis, **options),
        (np.multiply, "outer"): functools.partial(product, np.multiply.outer),
        "outer": _outer,
        "reduce": _reduced,
        "accumulate": _accumulated,
    }
)
