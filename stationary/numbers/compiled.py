"""What many digits can do, as calls of a compiled library on whole arrays.

What is not finite, or what Arb cannot tell to all digits (a sine next to pi, an exponential of
2^600), is left to mpmath, number by number.
"""

from __future__ import annotations

import copyreg
import math
import operator
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from flint import arb, arb_mat

from stationary.aliases import Array
from stationary.numbers.digit_array import (
    DigitArray,
    boxed,
    centres,
    digits,
    entered,
    left,
    precision,
    raw_of,
)

Scalar = Callable[..., Any]

WITHOUT_END = 1 << 40  # bits: sums are exact, whatever they take
HUGE: Any = arb((1, 1024))

_accuracy: Any = np.frompyfunc(arb.rel_accuracy_bits, 1, 1)
_finite: Any = np.frompyfunc(arb.is_finite, 1, 1)


def functions(context: Any, exact: Mapping[str, tuple[int, Scalar]]) -> dict[str, Scalar]:
    """The functions of arrays by name; `exact` does for mpmath numbers what Arb cannot."""

    def many(x: Any) -> DigitArray:
        return digits(x, context)

    def absolute(x: Any) -> Any:
        x = many(x)
        with precision(x.arithmetic.bits):
            made = DigitArray(boxed(np.absolute(x.balls)), x.arithmetic, exact=False)
        return made if made.ndim else made[()]

    def power(x: Any, y: Any) -> Any:
        return x * x if type(y) in {int, float} and y == 2 else f["any power"](x, y)

    def first_where(compared: np.ufunc) -> Scalar:
        def chosen(x: Any, y: Any) -> Any:
            x, y = many(x), many(y)
            return np.where(compared(x, y) | (x != x), x, y)[()]

        return chosen

    f = {
        name: _elementary(_METHODS.get(name), inputs, scalar, context)
        for name, (inputs, scalar) in exact.items()
    }
    f["any power"] = f["power"]
    return f | {
        "abs": absolute,
        "power": power,
        "log2": lambda x: f["divide"](f["log"](x), context.log(2)),
        "log10": lambda x: f["divide"](f["log"](x), context.log(10)),
        "exp2": lambda x: f["exp"](many(x) * context.log(2)),
        "maximum": first_where(np.greater_equal),
        "minimum": first_where(np.less_equal),
        "isfinite": lambda x: np.asarray(_finite(raw_of(x, context)), dtype=bool),
        "to_float": lambda x: raw_of(x, context).astype(float),
        "magnitude": lambda x: _magnitude(raw_of(x, context)),
        "exact_sum": lambda x, y: _exact_sum(many(x), many(y)),
        "exact_nodes": lambda *x: _exact_nodes(*map(many, x)),
        "matrix": lambda x: Matrix(many(x)),
        "polynomials": lambda c, t, k: _polynomials(many(c), many(t), k),
    }


def _elementary(method: Any, inputs: int, exact: Scalar, context: Any) -> Scalar:
    compiled, bits = None if method is None else np.frompyfunc(method, inputs, 1), context.prec

    def of_arrays(*arguments: Any) -> Any:
        own = context.stationary_arithmetic
        raw = [raw_of(x, context) for x in arguments]
        if compiled is None:
            made = np.empty(np.broadcast_shapes(*[r.shape for r in raw]), dtype=object)
            poor = np.ones(made.shape, dtype=bool)
        else:
            with precision(own.bits):
                made = boxed(compiled(*raw))
                poor = np.less(_accuracy(made), bits)
                if method in _BOUNDED:
                    poor |= np.less(HUGE, np.absolute(raw[0]))
                made = boxed(centres(made))
        if poor.any():
            columns = [r[poor] for r in np.broadcast_arrays(*raw)]
            made[poor] = [
                entered(exact(*(left(x, context) for x in row)), context)
                for row in zip(*columns, strict=True)
            ]
        return DigitArray(made, own)[()]

    return of_arrays


def _power(x: Any, y: Any) -> Any:
    whole = int(y.unique_fmpz()) if y.is_integer() and -64 < y < 64 else None
    if whole is None:
        return x**y
    return x**whole if whole else arb(1)


_METHODS: dict[str, Any] = {
    **{name: getattr(arb, name) for name in ("exp", "expm1", "log", "log1p", "sqrt")},
    **{name: getattr(arb, name) for name in ("sin", "cos", "tan", "sinh", "cosh", "tanh")},
    **{f"arc{name}": getattr(arb, f"a{name}") for name in ("sin", "cos", "tan")},
    **{f"arc{name}": getattr(arb, f"a{name}") for name in ("sinh", "cosh", "tanh")},
    "erf": arb.erf,
    "erfc": arb.erfc,
    "floor": arb.floor,
    "ceil": arb.ceil,
    "sign": arb.sgn,
    "arctan2": arb.atan2,
    "divide": operator.truediv,
    "power": _power,
}
_BOUNDED = {arb.sin, arb.cos, arb.tan, arb.tanh}  # of huge arguments these are left to mpmath


def _magnitude(raw: Array) -> Array:
    def bits(x: Any) -> float:
        if not x.is_finite():
            return math.nan if x.is_nan() else math.inf
        mantissa, exponent = x.man_exp()
        return float(mantissa.bit_length() + exponent) if mantissa else -math.inf

    return np.asarray(np.frompyfunc(bits, 1, 1)(raw), dtype=float)


def _exact_sum(x: DigitArray, y: DigitArray) -> Any:
    with precision(WITHOUT_END):
        return DigitArray(boxed(x.raw + y.raw), x.arithmetic)[()]


def _exact_nodes(lower: DigitArray, upper: DigitArray, fractions: DigitArray) -> DigitArray:
    """lower + (upper - lower) u for fractions u, with as many digits as that takes.

    A node next to 2 on a panel 1e-40 wide has 40 digits more than the arithmetic: differences
    such as x - 2 then lose none.
    """
    with precision(lower.arithmetic.bits):
        width = centres(upper.raw - lower.raw)
        steps = centres(np.multiply.outer(fractions.raw, width))
    with precision(WITHOUT_END):
        return DigitArray(lower.raw + steps, lower.arithmetic)


class Matrix:
    """A constant matrix (or a row); `matrix @ columns` is right relative to each column."""

    def __init__(self, entries: DigitArray) -> None:
        self.entries, self.arithmetic = entries, entries.arithmetic
        self.compiled = _matrix(np.atleast_2d(entries.raw))

    def __matmul__(self, columns: Any) -> Any:
        raw = raw_of(columns, self.arithmetic.one.context)
        table = raw if raw.ndim == 2 else raw[:, None]
        made = _product(self.compiled, table, self.arithmetic.bits)
        made = made if self.entries.ndim == 2 else made[0]
        made = made if raw.ndim == 2 else made[..., 0]
        return DigitArray(boxed(made), self.arithmetic)[()]


def _matrix(table: Array) -> Any:
    rows, columns = table.shape
    return arb_mat(rows, columns, table.ravel().tolist())


def _product(matrix: Any, table: Array, bits: int) -> Array:
    made = np.empty((matrix.nrows(), table.shape[1]), dtype=object)
    if made.size:
        with precision(bits):
            made.ravel()[:] = (matrix * _matrix(table)).entries()
    return boxed(centres(made))


def _polynomials(c: DigitArray, t: DigitArray, k: Array | None) -> DigitArray:
    """sum_j c[j, k] T_j(t) for each point t, in its column k (None: a column for each).

    By Clenshaw's recurrence in whole numbers: in units of 2^-places of the largest coefficient, or
    power of two above it, high ones have few digits. The recurrence, and slopes, grow as n^2.
    """
    n, bits = len(c), c.arithmetic.bits
    places = bits + 2 * n.bit_length()
    columns = range(len(t)) if k is None else np.asarray(k).tolist()
    made = np.empty(len(t), dtype=object)
    for i, (x, j) in enumerate(zip(t.raw.tolist(), columns, strict=True)):
        if j not in c.columns:
            c.columns[j] = _whole(c.raw[:, j].tolist(), places)
        first, *rest, unit = c.columns[j]
        if unit is None or not x.is_finite():
            made[i] = arb("nan")
            continue
        mantissa, exponent = x.man_exp()
        x = _shifted(int(mantissa), int(exponent) + places)
        twice, b, before = 2 * x, 0, 0
        for a in rest:
            b, before = (twice * b >> places) - before + a, b
        made[i] = arb(((x * b >> places) - before + first, unit))
    with precision(bits):
        return DigitArray(boxed(centres(np.positive(made))), c.arithmetic)


def _whole(column: list[Any], places: int) -> list[Any]:
    """Coefficients, the first and then from the last on, as whole numbers, and log2 of the unit."""
    if not all(x.is_finite() for x in column):
        return [0, None]
    pairs = [(int(m), int(e)) for m, e in (x.man_exp() for x in column)]
    top = max((m.bit_length() + e for m, e in pairs if m), default=0)
    first, *rest = (_shifted(m, e + places - top) for m, e in pairs)
    return [first, *rest[::-1], top - places]


def _shifted(mantissa: int, places: int) -> int:
    """The whole number below mantissa 2^places."""
    return mantissa << places if places >= 0 else mantissa >> -places


copyreg.pickle(arb_mat, lambda m: (arb_mat, (m.nrows(), m.ncols(), m.entries())))
