"""Elementary functions that work in whatever arithmetic their argument is in.

A kernel written with these reads as mathematics and runs on doubles (NumPy's own functions; one
look at the dtype is all it costs) or on object arrays of mpmath numbers of one private context.
Numbers are taken as well as arrays; a Python float gives a Python float.
"""

from __future__ import annotations

import copyreg
import math
from collections.abc import Callable
from typing import Any, cast

import numpy as np

from stationary.aliases import Array
from stationary.numbers.arithmetic import DOUBLE, HUGE, TINY, Arithmetic

FLOAT = np.dtype(float)
# Where arrays are unpickled, too, their doubles are of this very type.
copyreg.pickle(type(FLOAT), lambda d: (np.dtype, (d.str,)) if d == FLOAT else d.__reduce__())
SPARE = 9.0  # e-folds beyond rounding to which densities are followed


def arithmetic_of(values: Any) -> Arithmetic:
    """The arithmetic of a number or an array: that of its first mpmath number, else doubles."""
    kind = getattr(values, "dtype", None)
    if kind is FLOAT:
        return DOUBLE
    own: Arithmetic | None = getattr(values, "arithmetic", None)
    if own is not None:
        return own
    if kind is None:
        return _arithmetic_of_number(values)
    if kind.kind == "O":
        for value in values.flat:
            if hasattr(value, "_mpf_"):
                return _arithmetic_of_number(value)
    return DOUBLE


def _arithmetic_of_number(x: Any) -> Arithmetic:
    context = getattr(x, "context", None)
    return DOUBLE if context is None else getattr(context, "stationary_arithmetic", DOUBLE)


def _in_either(name: str, plain: Callable[[float], float]) -> Callable[[Any], Any]:
    of_doubles = getattr(np, name)

    def function(x: Any) -> Any:
        if type(x) is float:
            return plain(x)
        if getattr(x, "dtype", None) is FLOAT:
            return of_doubles(x)
        arithmetic = arithmetic_of(x)
        if arithmetic is DOUBLE:
            return of_doubles(np.asarray(x, dtype=float))
        return getattr(arithmetic, name)(x)

    function.__name__ = name
    return function


exp = _in_either("exp", math.exp)
expm1 = _in_either("expm1", math.expm1)
log = _in_either("log", math.log)
log1p = _in_either("log1p", math.log1p)
sqrt = _in_either("sqrt", math.sqrt)


def as_array(x: Any) -> Array:
    """x as the array that it is, of doubles or of many digits.

    (`np.asarray` makes an object array of mpmath numbers of the latter, for users.)
    """
    return cast(Array, x)


def distinct(*values: Any) -> Array:
    """The different ones of all of these, ascending: `np.unique` imports all masked arrays."""
    x = np.sort(np.concatenate(values, axis=None))
    kept = np.ones(len(x), dtype=bool)
    kept[1:] = x[1:] != x[:-1]
    return x[kept]


def finite(x: Any) -> Any:
    """Where x is neither infinite nor nan."""
    if getattr(x, "dtype", None) is FLOAT:
        return np.isfinite(x)
    if hasattr(x, "dtype"):
        arithmetic = arithmetic_of(x)
        return np.isfinite(x.astype(float)) if arithmetic is DOUBLE else arithmetic.isfinite(x)
    return x - x == 0


def infinite(x: Any) -> bool:
    """Whether a number is inf or -inf."""
    return bool(x == math.inf or x == -math.inf)


def spacing(x: Any) -> Any:
    """The distance of neighbouring numbers at |x|."""
    if getattr(x, "dtype", None) is FLOAT or type(x) is float:
        return np.spacing(np.abs(x))
    return abs(x) * arithmetic_of(x).grain


def logaddexp(x: Any, y: Any) -> Any:
    """log(exp(x) + exp(y))."""
    arithmetic = arithmetic_of(x)
    with np.errstate(invalid="ignore"):  # what is undefined stays so, of which NumPy warns
        return (arithmetic_of(y) if arithmetic is DOUBLE else arithmetic).logaddexp(x, y)


def possible_growth(log_share: Any, error: Any) -> Any:
    """By how much log of a whole may be off where the log of one share of it is off by `error`.

    That is the share times the error as long as the error is small; a light share whose log is
    hardly known may be the whole. A share of nothing changes nothing.
    """
    some = np.asarray(log_share > -math.inf, dtype=bool)
    x, e, growth = log_share[some], error[some], np.zeros_like(error)
    with np.errstate(divide="ignore"):
        growth[some] = logaddexp(0 * x, x + e + log(-expm1(-e)))
    return growth


def logcumsumexp(x: Array) -> Array:
    """log of the cumulated sums of exp(x)."""
    if arithmetic_of(x) is DOUBLE:  # where nothing lies, -inf alone has no arithmetic of its own
        x = x.astype(float)
        top = float(np.max(x, initial=-math.inf))
        if not math.isfinite(top):
            return as_array(np.logaddexp.accumulate(x))
        # Beside a large exponent each of many small parts would lose its rounding.
        return as_array(top + np.logaddexp.accumulate(x - top))
    top = x.max() if len(x) and to_float(x).max() > HUGE else 0  # else exponents have no limit
    return as_array(log(np.cumsum(exp(x - top))) + top)


def logaddexp_at(x: Array, where: Array, y: Array) -> None:
    """x[where] = log(exp(x[where]) + exp(y)) in place, one after the other."""
    if x.dtype is FLOAT:
        np.logaddexp.at(x, where, y)
        return
    if not y.size:
        return
    arithmetic = arithmetic_of(y)
    sums = arithmetic.exp(arithmetic.array(x))
    np.add.at(sums, where, exp(y))
    x[:] = arithmetic.log(sums)


def logsumexp(values: Array) -> Any:
    """log sum exp(values), -inf for none."""
    if values.size == 0:
        return -math.inf
    top = number(values.max())
    if infinite(top):
        return top
    return top + log(number(exp(values - top).sum()))


def weighed(logs: Array, values: Array) -> Any:
    """The mean of values with weights exp(logs), however far beyond the digits of these 1 is."""
    weights = exp(logs - number(logs.max()))
    return number(weights @ values) / number(weights.sum())


def number(x: Any) -> Any:
    """A single number: a float, or the mpmath number that it is."""
    if isinstance(x, float):
        return float(x)
    if hasattr(x, "_mpf_"):
        return x
    return float(x) if arithmetic_of(x) is DOUBLE else x[()]


def to_float(x: Any) -> Any:
    """The nearest double(s)."""
    if type(x) is float or getattr(x, "dtype", None) is FLOAT:
        return x
    nearest = arithmetic_of(x).to_float(x)
    return nearest if nearest.ndim else float(nearest)


def converted(x: Any, arithmetic: Arithmetic) -> Any:
    """x in another arithmetic, rounded once if that has fewer digits."""
    if arithmetic is DOUBLE:
        return to_float(x)
    return arithmetic.array(x) if np.ndim(x) else arithmetic.array(x)[()]


def magnitude(x: Array) -> Array:
    """log2 |x| to within 1; -inf for 0."""
    return np.asarray(arithmetic_of(x).magnitude(x), dtype=float)


def compact(x: Any) -> float:
    """x as a float where a double can hold it, else as it is: for errors and other sizes."""
    size = abs(x)
    return float(x) if size == 0 or TINY < size < HUGE else cast(float, number(x))


def apart(x: Any, y: Any) -> float:
    """How far two numbers are apart, as a float that is no less."""
    away = float(abs(x - y))
    return away * (1 + 4 * float(DOUBLE.epsilon))


def depth_of(arithmetic: Arithmetic) -> float:
    """How far below its top the logarithm of a density is followed: e^-depth is nothing."""
    return math.ceil(float(-log(arithmetic.epsilon))) + SPARE


def smallest_of(arithmetic: Arithmetic) -> float:
    """What stands for nothing in a denominator or a logarithm: many digits need no such thing."""
    return TINY if arithmetic is DOUBLE else 0.0


def zeros(shape: Any, arithmetic: Arithmetic) -> Array:
    return arithmetic.array(np.zeros(shape))


def exact_sum(x: Any, y: Any) -> Any:
    """x + y; in many digits with as many of them as that takes."""
    arithmetic = arithmetic_of(x)
    arithmetic = arithmetic_of(y) if arithmetic is DOUBLE else arithmetic
    return arithmetic.exact_sum(x, y)
