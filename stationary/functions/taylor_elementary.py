"""Elementary functions of Taylor series: smooth ones from their derivative, and piecewise ones.

From y = g(u) follows y' = g'(u) u', and so with h = g'(u), as a series of one order less,

    k y_k = sum_(j=1..k) j u_j h_(k-j).

Each smooth function is therefore one line: its derivative, as a formula in u or in functions that
are known to the same order already.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from stationary.functions.series import ZERO, convolved, integrated, plus
from stationary.functions.source_lines import refusal
from stationary.functions.taylor import (
    Taylor,
    bilinear,
    decided,
    lift,
    lifted,
    operand,
    product,
    quotient,
    value_of,
)
from stationary.functions.taylor_calls import METHODS, UFUNCS


def square(u: Taylor) -> Taylor:
    if u.order != 1 or u.coefficients[1] is ZERO:
        return bilinear(operator.mul, u, u, root=u)
    a, b = u.coefficients
    return Taylor((a * a, (2 * a) * b), u.arithmetic, root=u)


def _lower(u: Taylor) -> Taylor:
    """The same series to one order less, for g'(u)."""
    return Taylor(u.coefficients[:-1], u.arithmetic)


def by_derivative(value: Any, u: Taylor, derivative: Callable[[Taylor], Taylor]) -> Taylor:
    """y = g(u) from g(u_0) and a formula for g'(u)."""
    if u.order == 0 or all(c is ZERO for c in u.coefficients[1:]):
        return Taylor((value, *u.coefficients[1:]), u.arithmetic)
    c, h = u.coefficients, derivative(_lower(u)).coefficients
    return Taylor((value, *[integrated(c, h, k) for k in range(1, u.order + 1)]), u.arithmetic)


def by_system(values: Sequence[Any], u: Taylor, rule: Callable[..., tuple[Any, ...]]) -> Taylor:
    """The first of the functions y_i = g_i(u) whose derivatives are formulas in all the y_i."""
    series = [[value] for value in values]
    for k in range(1, u.order + 1):
        known = [Taylor(tuple(c), u.arithmetic) for c in series]
        for c, h in zip(series if k < u.order else series[:1], rule(*known), strict=False):
            c.append(integrated(u.coefficients, h.coefficients, k))
    return Taylor(tuple(series[0]), u.arithmetic)


# g' as a formula in u.
_DERIVATIVES: dict[str, Callable[[Taylor], Taylor]] = {
    "log": lambda u: 1 / u,
    "log2": lambda u: 1 / (u * u.arithmetic.log(u.arithmetic.array(2))),
    "log10": lambda u: 1 / (u * u.arithmetic.log(u.arithmetic.array(10))),
    "log1p": lambda u: 1 / (1 + u),
    "arctan": lambda u: 1 / (1 + u * u),
    "arcsin": lambda u: 1 / ((1 - u) * (1 + u)).sqrt(),
    "arccos": lambda u: -1 / ((1 - u) * (1 + u)).sqrt(),
    "arcsinh": lambda u: 1 / (1 + u * u).sqrt(),
    "arccosh": lambda u: 1 / ((u - 1).sqrt() * (u + 1).sqrt()),
    "arctanh": lambda u: 1 / ((1 - u) * (1 + u)),
    "erf": lambda u: _normal(u * u),
    "erfc": lambda u: -_normal(u * u),
}


def _normal(square: Any) -> Any:
    """2 e^-u^2 / sqrt(pi)."""
    f = square.arithmetic
    return smooth("exp", -square) * (2 / f.sqrt(f.array(f.pi)))


# g together with the functions that its derivatives consist of, and the derivative of each.
_SYSTEMS: dict[str, tuple[tuple[str, ...], Callable[..., tuple[Any, ...]]]] = {
    "exp": (("exp",), lambda y: (y,)),
    "expm1": (("expm1", "exp"), lambda _, e: (e, e)),
    "sin": (("sin", "cos"), lambda s, c: (c, -s)),
    "cos": (("cos", "sin"), lambda c, s: (-s, c)),
    "tan": (("tan",), lambda y: (1 + y * y,)),
    "sinh": (("sinh", "cosh"), lambda s, c: (c, s)),
    "cosh": (("cosh", "sinh"), lambda c, s: (s, c)),
    "tanh": (("tanh", "squared_sech"), lambda y, h: (h, -2 * y * h)),  # 1 - y^2 would cancel
    "sqrt": (("sqrt",), lambda y: (0.5 / y,)),
    "cbrt": (("cbrt",), lambda y: (1 / (3 * y * y),)),
}


_EVEN = {"sin", "cos", "tan", "sinh", "cosh"}  # that are much the same everywhere


def smooth(name: str, u: Taylor) -> Taylor:
    functions = (u if name in _EVEN else decided(u)).arithmetic.functions
    u0 = u.coefficients[0]
    if name == "sqrt" and u.root is not None:
        return absolute(u.root)
    if name in _DERIVATIVES:
        return by_derivative(functions[name](u0), u, _DERIVATIVES[name])
    names, rule = _SYSTEMS[name]
    return by_system([functions[n](u0) for n in (names if u.order else names[:1])], u, rule)


def _power(u: Any, p: Any) -> Taylor:
    u, p = operand(u), operand(p)
    if isinstance(p, Taylor):
        if all(c is ZERO for c in p.coefficients[1:]) and p.order:
            return _power(lift(u, p), p.coefficients[0])
        f = p.arithmetic
        y = f.power(value_of(u), p.coefficients[0])
        if not p.order:
            return Taylor((y,), f)
        if isinstance(u, Taylor):
            return by_system([y], p * smooth("log", u), lambda y: (y,))
        base = f.array(u)
        rate = np.where(np.equal(base, 0), f.zero, f.log(base))  # 0^p is flat for p > 0
        return by_system([y], decided(p), lambda y: (rate * y,))
    if isinstance(p, (int, float)) and p == 2:
        return square(u)
    if isinstance(p, float) and p == 0.5 and u.root is not None:
        return absolute(u.root)
    # (u^p)' = p u^(p-1), which is 0 where p = 0, also at u = 0.
    polynomial = not np.ndim(p) and p >= 0 and p % 1 == 0
    value = (u if polynomial else decided(u)).arithmetic.power(u.coefficients[0], p)
    if np.ndim(p):
        less = np.where(np.equal(p, 0), 0, np.subtract(p, 1))
    elif p == 0:
        return Taylor((value, *[ZERO] * u.order), u.arithmetic)
    else:
        less = p - 1
    return by_derivative(value, u, lambda low: p * _power(low, less))


def _exp2(u: Taylor) -> Taylor:
    log_2 = decided(u).arithmetic.log(u.arithmetic.array(2))
    return by_system([u.arithmetic.exp2(u.value)], u, lambda y: (log_2 * y,))


def logaddexp(u: Any, v: Any) -> Taylor:
    """y = log(e^u + e^v): y' = p u' + q v' with p = e^(u-y) = logistic(u - v) and q = 1 - p."""
    u, v = lifted(u, v)
    f, d = u.arithmetic, decided(u - v)
    p = [f.logistic(d.value)]
    q = [f.logistic(-d.value)]
    y = [f.logaddexp(u.value, v.value)]
    for k in range(1, u.order + 1):
        y.append(plus(integrated(u.coefficients, p, k), integrated(v.coefficients, q, k)))
        p.append(integrated(d.coefficients, convolved(operator.mul, p, q, k - 1), k))
        q.append(p[k] if p[k] is ZERO else -p[k])
    return Taylor(tuple(y), f)


def _logaddexp2(u: Any, v: Any) -> Any:
    u, v = lifted(u, v)
    log_2 = u.arithmetic.log(u.arithmetic.array(2))
    return logaddexp(u * log_2, v * log_2) / log_2


def _arctan2(y: Any, x: Any) -> Taylor:
    """The angle of (x, y): its derivative is (x y' - y x') / (x^2 + y^2)."""
    y, x = lifted(y, x)
    value = y.arithmetic.arctan2(y.value, x.value)
    if not y.order:
        return Taylor((value,), y.arithmetic)
    square = _lower(x * x + y * y)
    by_y, by_x = (_lower(x) / square).coefficients, (-_lower(y) / square).coefficients
    rest = [
        plus(integrated(y.coefficients, by_y, k), integrated(x.coefficients, by_x, k))
        for k in range(1, y.order + 1)
    ]
    return Taylor((value, *rest), y.arithmetic)


def _hypot(u: Any, v: Any) -> Taylor:
    for one, other in ((u, v), (v, u)):
        if not isinstance(other, Taylor) and np.ndim(other) == 0 and other == 0:
            return absolute(one)  # with a corner, which a root has not
    u, v = lifted(u, v)
    return smooth("sqrt", square(u) + square(v))


# Piecewise functions: each point takes the series of one branch, so nothing leaks from the other.


def where(condition: Any, a: Any = None, b: Any = None) -> Any:
    if a is None or b is None:
        raise refusal("np.where with one argument", "")
    condition = decided(value_of(condition))
    if not isinstance(a, Taylor) and not isinstance(b, Taylor):  # the condition was the series
        a, b = operand(a), operand(b)
        if not isinstance(a, Taylor) and not isinstance(b, Taylor):
            return np.where(condition, a, b)
    a, b = lifted(a, b)
    picked = [np.where(condition, a.coefficients[0], b.coefficients[0])]
    for u, v in zip(a.coefficients[1:], b.coefficients[1:], strict=True):
        zero = a.arithmetic.zero
        both = u is ZERO and v is ZERO
        u, v = zero if u is ZERO else u, zero if v is ZERO else v
        picked.append(ZERO if both else np.where(condition, u, v))
    return Taylor(tuple(picked), a.arithmetic)


def _better(wins: np.ufunc, known: bool) -> Callable[[Any, Any], Any]:
    """One of two by their values; where one is nan that one, or the other where it is `known`."""

    def of(a: Any, b: Any) -> Any:
        a, b = lifted(a, b)
        lost = b.value if known else a.value
        return where(wins(a.value, b.value) | (lost != lost), a, b)

    return of


maximum, minimum = _better(np.greater_equal, False), _better(np.less_equal, False)
_fmax, _fmin = _better(np.greater_equal, True), _better(np.less_equal, True)


def absolute(u: Taylor) -> Taylor:
    sign = np.where(np.less(decided(u).value, 0), -u.arithmetic.one, u.arithmetic.one)
    rest = [c if c is ZERO else sign * c for c in u.coefficients[1:]]
    return Taylor((u.arithmetic.abs(u.value), *rest), u.arithmetic)


def step_function(name: str, u: Taylor) -> Taylor:
    return Taylor((u.arithmetic.functions[name](decided(u).value), *[ZERO] * u.order), u.arithmetic)


def _heaviside(u: Any, at_zero: Any) -> Any:
    u, at_zero = lifted(u, at_zero)
    return where(np.equal(u.value, 0), at_zero, (step_function("sign", u) + 1) / 2)


def _remainder(a: Any, b: Any, towards: str = "floor") -> Any:
    a, b = lifted(a, b)
    return a - b * step_function(towards, a / b)


def _copysign(a: Any, b: Any) -> Any:
    a, b = lifted(a, b)
    return where(b < 0, -absolute(a), absolute(a))


def on_values(function: Callable[..., Any]) -> Callable[..., Any]:
    """For functions that look at the values only: comparisons, shapes, positions."""
    return lambda *arguments, **options: function(
        *map(value_of, map(decided, arguments)), **options
    )


# The tables that NumPy's calls are looked up in.

_UNARY: dict[str, Callable[..., Any]] = {
    **{name: functools.partial(smooth, name) for name in (*_DERIVATIVES, *_SYSTEMS)},
    **{
        name: functools.partial(step_function, name)
        for name in ("floor", "ceil", "trunc", "rint", "sign")
    },
    "exp2": _exp2,
    "square": square,
    "reciprocal": lambda u: 1 / u,
    "absolute": absolute,
    "fabs": absolute,
    "positive": lambda u: +u,
    "negative": lambda u: -u,
    "conjugate": lambda u: +u,
    "deg2rad": lambda u: u * (u.arithmetic.pi / 180),
    "rad2deg": lambda u: u * (180 / u.arithmetic.pi),
    "isfinite": lambda u: u.arithmetic.isfinite(u.value),
    "isnan": lambda u: np.not_equal(u.value, u.value),
    "isinf": lambda u: np.equal(u.arithmetic.abs(u.value), np.inf),
    "signbit": lambda u: np.less(u.value, 0),
}
_COMPARISONS = (
    "greater greater_equal less less_equal equal not_equal logical_and logical_or logical_not "
    "logical_xor"
)

METHODS.update(_UNARY, arctan2=_arctan2, hypot=_hypot, conj=_UNARY["conjugate"])
UFUNCS.update({getattr(np, name): rule for name, rule in _UNARY.items() if hasattr(np, name)})
UFUNCS.update({f: on_values(f) for f in (getattr(np, name) for name in _COMPARISONS.split())})
UFUNCS.update(
    {
        np.add: lambda a, b: a + b if isinstance(a, Taylor) else b.__radd__(a),
        np.subtract: lambda a, b: a - b if isinstance(a, Taylor) else b.__rsub__(a),
        np.multiply: lambda a, b: a * b if isinstance(a, Taylor) else b.__rmul__(a),
        np.divide: lambda a, b: quotient(operand(a), operand(b)),
        np.matmul: functools.partial(product, np.matmul),
        np.power: _power,
        np.float_power: _power,
        np.remainder: _remainder,
        np.divmod: lambda a, b: (np.floor_divide(a, b), _remainder(a, b)),
        np.modf: lambda u: (_remainder(u, 1, "trunc"), step_function("trunc", u)),
        np.floor_divide: lambda a, b: step_function("floor", quotient(operand(a), operand(b))),
        np.maximum: maximum,
        np.minimum: minimum,
        np.fmax: _fmax,
        np.fmin: _fmin,
        np.heaviside: _heaviside,
        np.logaddexp: logaddexp,
        np.logaddexp2: _logaddexp2,
        np.arctan2: _arctan2,
        np.hypot: _hypot,
        np.copysign: _copysign,
        np.fmod: lambda a, b: _remainder(a, b, "trunc"),
        np.radians: _UNARY["deg2rad"],
        np.degrees: _UNARY["rad2deg"],
    }
)
