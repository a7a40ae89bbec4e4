"""Two arithmetics under one set of names: doubles, and as many digits as asked.

A kernel takes an :class:`Arithmetic` and says ``arithmetic.exp(x)``; it then runs in doubles
(NumPy's own functions on float64 arrays) or at any number of digits (a `DigitArray`, which NumPy's
functions take for an array). What is shown to users are mpmath numbers of a private context:
``mpmath.mp`` is never touched.
"""

from __future__ import annotations

import copyreg
import functools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from stationary.errors import LandscapeError

EPSILON = float(np.finfo(float).eps)  # of doubles
ROUNDING = 4 * EPSILON  # of a few operations
SAME = 1e-9  # relative: what differs by less is the same; a million roundings, and never shown
TINY, HUGE = 1e-300, 1e300  # sizes between which a double keeps its digits, with room to spare
GUARD_DIGITS = 10  # beyond those asked for: what sums over panels lose
SPARE_BITS = 8  # an elementary function of an exact argument loses two or three
LARGEST_EXPONENT_BITS = 1024  # |x| beyond 2^1024: exp(x) would need numbers that fill the memory

Function = Callable[..., Any]


@dataclass(frozen=True, eq=False, repr=False)
class Arithmetic:
    """Numbers of one kind and the elementary functions on arrays of them.

    Attributes
    ----------
    name, digits
        ``"double"`` and 15, or for instance ``"50 digits"`` and 50.
    grain
        Spacing of the numbers next to 1: 2.2e-16, or about 10^-(digits + 10), because many digits
        are computed with ten guard digits.
    epsilon
        How exact a kernel should be: the same, unless the digits are there for the sake of range
        and position alone (see `many_digits`).
    pi, zero, one
        Constants of this kind.
    functions
        The elementary functions by their NumPy names; ``arithmetic.exp`` is ``functions["exp"]``.
        Those of many digits follow NumPy with its warnings off: a result that is not real is nan,
        1 / 0 is inf, and only an exponential too large to be stored raises OverflowError.
    """

    name: str
    digits: int
    grain: Any
    epsilon: Any
    pi: Any
    zero: Any
    one: Any
    functions: Mapping[str, Function]
    dtype: np.dtype[Any]
    _convert: Function
    _made_with: tuple[int, ...] = ()

    @functools.cached_property
    def bits(self) -> int:
        """Of many digits: the mantissa's, with a few for the rounding of a function."""
        return int(self.one.context.prec) + SPARE_BITS

    @property
    def accuracy(self) -> float:
        """How many decimal digits `epsilon` stands for."""
        if self.dtype == float:
            return -math.log10(self.epsilon)
        return float(-self.epsilon.context.log10(self.epsilon))

    def array(self, values: Any) -> np.ndarray:
        """An array of this kind. Doubles, integers and mpmath numbers enter exactly.

        A constant such as 0.1 is the double next to one tenth, and is taken as that double; a
        string ("0.1") or a Fraction is rounded once, to the digits of this arithmetic.
        """
        return cast(np.ndarray, self._convert(values))

    def isfinite(self, values: Any) -> Any:
        """Where the values are neither infinite nor nan (booleans)."""
        return self.functions["isfinite"](values)

    def to_float(self, values: Any) -> np.ndarray:
        """The nearest doubles; what is too large becomes inf, what is too small 0."""
        return np.asarray(self.functions["to_float"](values), dtype=float)

    def __getattr__(self, name: str) -> Function:
        if name.startswith("_") or name not in self.functions:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        return self.functions[name]

    def __repr__(self) -> str:
        return f"<Arithmetic: {self.name}>"

    def __reduce__(self) -> Any:
        return "DOUBLE" if self.dtype != object else (many_digits, self._made_with)


def _with_composites(f: dict[str, Function]) -> dict[str, Function]:
    """Add the functions that are written in terms of others, safely for large arguments."""

    def squared_sech(x: Any) -> Any:
        e = f["exp"](-2 * f["abs"](x))
        return f["divide"](4 * e, (1 + e) * (1 + e))

    def logistic(x: Any) -> Any:  # 1 / (1 + exp(-x))
        e = f["exp"](-f["abs"](x))
        return f["divide"](np.where(np.less(x, 0), e, 1), 1 + e)

    def logaddexp(x: Any, y: Any) -> Any:
        large, small = f["maximum"](x, y), f["minimum"](x, y)
        tail = f["log1p"](f["exp"](small - large))
        return np.where(np.equal(large, small), large + f["log"](2), large + tail)

    def hazard(x: Any) -> Any:  # of the normal law below x: its density over its distribution
        if "erfcx" in f:
            return math.sqrt(2 / math.pi) / f["erfcx"](-x / math.sqrt(2))
        log_density = -x * x / 2 - f["log"](8 * f["arctan"](x - x + 1)) / 2
        return f["exp"](log_density - f["log_ndtr"](x))

    f = {**f, "absolute": f["abs"], "squared_sech": squared_sech, "logistic": logistic}
    f["hazard"] = hazard
    return f if "logaddexp" in f else {**f, "logaddexp": logaddexp}


def _same(values: Any) -> Any:
    return values


def _doubles(values: Any) -> Any:
    return np.asarray(values, dtype=float)


def _log2_size(values: Any) -> Any:
    with np.errstate(divide="ignore"):
        return np.log2(np.abs(values))


def _of_scipy(name: str) -> Function:
    def function(*x: Any) -> Any:
        from scipy import special  # seldom needed, and large

        return getattr(special, name)(*x)

    return function


_SCIPY_NAMES = ("erf", "erfc", "erfcx", "log_ndtr", "gammaln", "polygamma", "iv", "ive")
_NUMPY_NAMES = (
    "exp exp2 expm1 log log2 log10 log1p sin cos tan sinh cosh tanh arcsin arccos arctan arctan2 "
    "arcsinh arccosh arctanh sqrt cbrt abs sign floor ceil trunc rint divide power maximum minimum "
    "logaddexp isfinite"
)

DOUBLE = Arithmetic(
    name="double",
    digits=15,
    grain=EPSILON,
    epsilon=EPSILON,
    pi=np.pi,
    zero=np.float64(0),
    one=np.float64(1),
    functions=_with_composites(
        {name: getattr(np, name) for name in _NUMPY_NAMES.split()}
        | {name: _of_scipy(name) for name in _SCIPY_NAMES}
        | {"to_float": _same, "exact_sum": np.add, "magnitude": _log2_size}
    ),
    dtype=np.dtype(float),
    _convert=_doubles,
)


@functools.lru_cache
def many_digits(digits: int, accuracy: int | None = None) -> Arithmetic:
    """The arithmetic of ``digits`` decimal digits (ten more inside, any exponent).

    With ``accuracy`` kernels stop at so many digits, relative to what they compute: a peak of
    width 1e-43 next to 2 needs 60 digits to say where it is, but its shape may be known to 18.

    Raises
    ------
    LandscapeError
        If ``digits`` is not positive.
    """
    if digits < 1:
        raise LandscapeError(f"digits must be positive, but digits = {digits}. Try 30.")
    import mpmath  # only where many digits are asked for: importing these takes a while

    from stationary.numbers import compiled, digit_array

    context = mpmath.MPContext()
    context.dps = max(digits, 15) + GUARD_DIGITS  # never so few that a double would be rounded
    context.npconvert = functools.partial(_no_array, context.npconvert)
    grain = +context.eps
    arithmetic = Arithmetic(
        name=f"{digits} digits",
        digits=digits,
        grain=grain,
        epsilon=grain if accuracy is None else max(grain, context.mpf(10) ** -accuracy),
        pi=+context.pi,
        zero=context.mpf(0),
        one=context.mpf(1),
        functions=_with_composites(compiled.functions(context, _exact_functions(context))),
        dtype=np.dtype(object),
        _convert=functools.partial(digit_array.digits, context=context),
        _made_with=(digits,) if accuracy is None else (digits, accuracy),
    )
    context.stationary_arithmetic = arithmetic  # so that it can be found again from a number
    copyreg.pickle(context.mpf, lambda x: (_number, (arithmetic, x._mpf_)))
    return arithmetic


def _no_array(convert: Function, x: Any) -> Any:
    """mpmath's own conversion, which writes out an array to say that it is none of its numbers."""
    if isinstance(x, np.ndarray) and x.ndim:
        raise TypeError("an array is no number")
    return convert(x)


def _number(arithmetic: Arithmetic, raw: Any) -> Any:
    """The mpmath number that was pickled or copied."""
    return arithmetic.one.context.make_mpf(raw)


def _exact_functions(context: Any) -> dict[str, tuple[int, Function]]:
    """How many arguments each function takes, and the function of mpmath numbers."""
    mpf, nan, inf = context.mpf, context.nan, context.inf

    def real(function: Function) -> Function:
        """``function``, with nan for what is not real."""

        def guarded(*arguments: Any) -> Any:
            try:
                y = function(*arguments)
            except (ZeroDivisionError, ValueError):
                return nan
            return y if isinstance(y, mpf) else nan

        return guarded

    def large(x: Any) -> bool:
        _, mantissa, exponent, size = x._mpf_
        return bool(mantissa) and exponent + size > LARGEST_EXPONENT_BITS

    def bounded(name: str) -> Function:
        """A function that is oscillating or exponential, so that a huge argument is too much."""
        function = getattr(context, name)

        def guarded(x: Any) -> Any:
            if large(x):
                raise OverflowError(f"{name}(x) of |x| > 2^{LARGEST_EXPONENT_BITS}")
            return function(x)

        return guarded

    grows = bounded("exp")

    def exp(x: Any) -> Any:
        return context.zero if x < 0 and large(x) else grows(x)

    def expm1(x: Any) -> Any:
        return -context.one if x < 0 and large(x) else bounded("expm1")(x)

    def tanh(x: Any) -> Any:
        return context.sign(x) if large(x) else context.tanh(x)

    def cbrt(x: Any) -> Any:
        return -context.cbrt(-x) if x < 0 else context.cbrt(x)

    def divide(x: Any, y: Any) -> Any:
        if y == 0:
            return nan if x == 0 else x * inf
        return x / y

    def power(x: Any, y: Any) -> Any:
        if y == 0:
            return context.one
        if large(y) and x != 0 and abs(x) != 1:
            raise OverflowError(f"power(x, y) of |y| > 2^{LARGEST_EXPONENT_BITS}")
        if x == 0 and y < 0:
            return inf
        return x**y

    def sign(x: Any) -> Any:
        return x if x != x else context.sign(x)

    def log_ndtr(x: Any) -> Any:
        rest = context.erfc(abs(x) / context.sqrt(2)) / 2
        return context.log(rest) if x < 0 else context.log1p(-rest)

    log_2 = context.log(2)
    unary: dict[str, Function] = {
        "exp": exp,
        "exp2": lambda x: exp(x * log_2),
        "expm1": expm1,
        "log": context.log,
        "log2": lambda x: context.log(x) / log_2,
        "log10": context.log10,
        "log1p": context.log1p,
        "sin": bounded("sin"),
        "cos": bounded("cos"),
        "tan": bounded("tan"),
        "sinh": bounded("sinh"),
        "cosh": bounded("cosh"),
        "tanh": tanh,
        "arcsin": context.asin,
        "arccos": context.acos,
        "arctan": context.atan,
        "arcsinh": context.asinh,
        "arccosh": context.acosh,
        "arctanh": context.atanh,
        "sqrt": context.sqrt,
        "cbrt": cbrt,
        "sign": sign,
        "floor": context.floor,
        "ceil": context.ceil,
        "trunc": lambda x: context.floor(x) if x > 0 else context.ceil(x),
        "rint": context.nint,
        "erf": context.erf,
        "erfc": context.erfc,
        "log_ndtr": log_ndtr,
        "gammaln": lambda x: context.re(context.loggamma(x)),
    }
    binary: dict[str, Function] = {
        "divide": divide,
        "power": power,
        "arctan2": context.atan2,
        "remainder": lambda x, y: x % y,
        "floor_divide": lambda x, y: context.floor(x / y),
        "polygamma": lambda n, x: context.psi(int(n), x),
        "iv": context.besseli,
        "ive": lambda n, x: context.besseli(n, x) * context.exp(-abs(x)),
    }
    return {name: (1, real(f)) for name, f in unary.items()} | {
        name: (2, real(f)) for name, f in binary.items()
    }
