"""Arrays of numbers of many digits, whose every operation is one call of a compiled library.

The numbers are Arb's [1]_ (through python-flint). Arb calculates with balls; here each result is
its ball's centre alone, so that numbers compare, cancel and converge as floating-point numbers do.
The precision of python-flint is one number for the whole process. It is set for the time of one
operation on whole arrays, under a lock, so that it belongs to the array and not to the thread.

References
----------
.. [1] F. Johansson, "Arb: efficient arbitrary-precision midpoint-radius interval arithmetic",
   IEEE Transactions on Computers 66 (2017) 1281.
"""

from __future__ import annotations

import copyreg
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import flint
import numpy as np
from flint import arb
from mpmath.libmp import from_man_exp
from numpy.lib.mixins import NDArrayOperatorsMixin

from stationary.aliases import Array

_lock = threading.RLock()  # of the thread, should a traceback keep it
_from_doubles: Any = np.frompyfunc(arb, 1, 1)
centres: Any = np.frompyfunc(arb.mid, 1, 1)  # of the library's numbers only: it does not ask


def _parts(x: arb) -> tuple[type, tuple[Any, ...]]:
    """How a number is pickled and copied: exactly."""
    if not x.is_finite():
        return arb, (float(x),)
    mantissa, exponent = x.man_exp()
    return arb, ((int(mantissa), int(exponent)),)


copyreg.pickle(arb, _parts)


@contextmanager
def precision(bits: int) -> Iterator[None]:
    """So many bits, for operations of the library alone: nothing of a user's may run inside.

    An interrupt may come at any call: what is held then is let go of, wherever it is.
    """
    with _lock, np.errstate(all="ignore"):
        before = flint.ctx.prec
        try:
            flint.ctx.prec = bits
            yield
        finally:
            flint.ctx.prec = before


def entered(x: Any, context: Any) -> Any:
    """One number, exactly if it is a double, an integer or an mpmath number."""
    if type(x) is float or type(x) is int:
        return arb(x)
    if type(x) is arb:
        return x
    raw = getattr(x, "_mpf_", None)
    if raw is None:
        if isinstance(x, np.generic) and not isinstance(x, np.longdouble):
            return entered(x.item(), context)
        if isinstance(x, str):
            raw = context.mpf(x)._mpf_
        else:
            numerator, denominator = x.as_integer_ratio()  # a Fraction, a long double
            raw = (context.mpf(numerator) / denominator)._mpf_
    sign, mantissa, exponent, _ = raw
    if not mantissa:
        return arb(float(context.make_mpf(raw)))  # 0, inf or nan
    return arb((-int(mantissa) if sign else int(mantissa), exponent))


def left(x: Any, context: Any) -> Any:
    """The mpmath number of a private context that is `x`."""
    if not x.is_finite():
        return context.mpf(float(x))
    mantissa, exponent = x.man_exp()
    return context.make_mpf(from_man_exp(int(mantissa), int(exponent)))


def boxed(made: Any) -> Array:
    """An array, also of a single number."""
    if isinstance(made, np.ndarray):
        return made
    box = np.empty((), dtype=object)
    box[()] = made
    return box


def digits(values: Any, context: Any) -> DigitArray:
    """An array of many digits, in the arithmetic of a context."""
    return DigitArray(raw_of(values, context), context.stationary_arithmetic)


def raw_of(values: Any, context: Any) -> Array:
    """An object array of the library's numbers."""
    if type(values) is DigitArray:
        return values.raw
    if isinstance(values, (list, tuple)) and any(type(v) is DigitArray for v in values):
        return np.stack([raw_of(v, context) for v in values])
    values = np.asarray(values)
    if values.dtype.kind in "fiub" and values.dtype.itemsize <= 8:
        return boxed(_from_doubles(values.astype(object)))
    made = np.empty(values.shape, dtype=object)
    made.ravel()[...] = [entered(x, context) for x in values.ravel().tolist()]
    return made


def _operand(x: Any, context: Any) -> Any:
    """What NumPy's own loop over objects can take: plain integers need no conversion."""
    if type(x) is int:
        return x
    if isinstance(x, np.ndarray) and x.dtype.kind in "iu":
        return x.astype(object)
    return raw_of(x, context)


def _bare(x: Any, context: Any) -> Any:
    """The same for the single numbers that are met most often, and None for all else."""
    kind = type(x)
    if kind is float or kind is context.mpf:
        return entered(x, context)
    return x if kind is int else None


def _is_complex(x: Any) -> bool:
    return isinstance(x, complex) or (isinstance(x, np.ndarray) and x.dtype.kind == "c")


class DigitArray(NDArrayOperatorsMixin):
    """An array of numbers of many digits. It behaves like an object array of mpmath numbers.

    Single entries, and what is reduced to one number, are mpmath numbers of the private context
    of the arithmetic; so is all of ``np.asarray(x)``.

    Attributes
    ----------
    raw
        The library's numbers, an object array; each is exact (a ball without a radius).
    balls
        The same, or what sums and products left: balls, whose centres their radii do not change.
    arithmetic
        The arithmetic that they belong to.
    """

    __slots__ = ("arithmetic", "balls", "columns", "exact")
    __array_priority__ = 100.0
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, balls: Array, arithmetic: Any, exact: bool = True) -> None:
        self.balls, self.arithmetic, self.exact = balls, arithmetic, exact
        self.columns: dict[int, Any] = {}  # of polynomials: as whole numbers, once used

    @property
    def raw(self) -> Array:
        if not self.exact:
            self.balls = boxed(centres(self.balls))
            self.exact = True
        return self.balls

    # What an array is asked for.

    dtype = np.dtype(object)
    shape = property(lambda self: self.balls.shape)
    ndim = property(lambda self: self.balls.ndim)
    size = property(lambda self: self.balls.size)
    base = property(lambda self: self.raw.base)
    T = property(lambda self: self._like(self.raw.T))
    flat = property(lambda self: iter(self.ravel()))
    context = property(lambda self: self.arithmetic.one.context)

    def _like(self, made: Any) -> Any:
        """The library's numbers as what they are outside: an array of digits, or one number."""
        if isinstance(made, np.ndarray):
            return DigitArray(made, self.arithmetic)
        return left(made, self.context)

    def _outside(self, made: Any, exact: bool = False) -> Any:
        """What NumPy made of arrays, without radii if these are new numbers."""
        if isinstance(made, (tuple, list)):
            return type(made)(self._outside(m, exact) for m in made)
        if isinstance(made, np.ndarray) and made.dtype == object:
            plain = set(map(type, made.ravel().tolist())) - {arb}
            made = raw_of(made, self.context) if plain else made
            return DigitArray(made, self.arithmetic, exact)
        return left(made.mid(), self.context) if isinstance(made, arb) else made

    def __len__(self) -> int:
        return len(self.raw)

    def __iter__(self) -> Iterator[Any]:
        return map(self._like, self.raw)

    def __getitem__(self, key: Any) -> Any:
        return self._like(self.raw[key])

    def __setitem__(self, key: Any, new: Any) -> None:
        self.raw[key] = raw_of(new, self.context)[()]
        self.columns.clear()

    def __repr__(self) -> str:
        return f"<{self.arithmetic.name}, shape {self.shape}>"

    def __reduce__(self) -> Any:
        packed = [
            tuple(map(int, x.man_exp())) if x.is_finite() else float(x)
            for x in self.raw.ravel().tolist()
        ]
        return _again, (packed, self.shape, self.arithmetic)

    def __deepcopy__(self, memo: dict[int, Any]) -> DigitArray:
        return self.copy()  # numbers never change

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        """Mpmath numbers, or doubles if these are asked for."""
        if dtype is not None and np.dtype(dtype) != object:
            return np.asarray(self.astype(dtype))
        context, made = self.context, np.empty(self.shape, dtype=object)
        made.ravel()[...] = [left(x, context) for x in self.raw.ravel().tolist()]
        return made

    def __float__(self) -> float:
        return float(self.raw.item())

    def __bool__(self) -> bool:
        return bool(self.raw.astype(float) != 0)

    def tolist(self) -> Any:
        return np.asarray(self).tolist()

    def item(self, *where: int) -> Any:
        return left(self.raw.item(*where), self.context)

    def copy(self, order: str = "C") -> DigitArray:
        return DigitArray(self.raw.copy(), self.arithmetic)

    def astype(self, dtype: Any, **options: Any) -> Any:
        kind = np.dtype(dtype).kind
        if kind == "O":
            return self.copy()
        return self != 0 if kind == "b" else self.raw.astype(float).astype(dtype)

    def reshape(self, *shape: Any) -> DigitArray:
        return DigitArray(self.raw.reshape(*shape), self.arithmetic)

    def ravel(self, order: Any = "C") -> DigitArray:
        return DigitArray(self.raw.ravel(order), self.arithmetic)

    def transpose(self, *axes: Any) -> DigitArray:
        return DigitArray(self.raw.transpose(*axes), self.arithmetic)

    def sort(self, axis: int = -1, **options: Any) -> None:
        self.raw.sort(axis, **options)

    def __getattr__(self, name: str) -> Any:
        function = getattr(np, name, None)
        if name.startswith("_") or function is None or not hasattr(np.ndarray, name):
            raise AttributeError(f"an array of many digits has no attribute {name!r}")
        return lambda *arguments, **options: function(self, *arguments, **options)

    # How NumPy asks.

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
        if ufunc in _PLAINLY and method == "__call__" and not options:
            moved = ufunc in _ARITHMETIC
            x, y = (
                (x.balls if moved else x.raw) if type(x) is DigitArray else _bare(x, self.context)
                for x in inputs
            )
            if x is not None and y is not None:
                return self._plainly(ufunc, x, y, moved)
        if any(hasattr(x, "__array_ufunc__") and not isinstance(x, _ARRAYS) for x in inputs):
            return NotImplemented  # a series, which knows what to do
        (out,) = options.pop("out", (None,))
        made = self._called(ufunc, method, inputs, options)
        if out is None:
            return made
        out[...] = made
        return out

    def _plainly(self, ufunc: np.ufunc, x: Any, y: Any, moved: bool) -> Any:
        """Sums, products and comparisons of the library's numbers: the processor has no part."""
        with _lock:
            before, flint.ctx.prec = flint.ctx.prec, self.arithmetic.bits
            try:
                made = ufunc(x, y)
            finally:
                flint.ctx.prec = before
        if moved and isinstance(made, np.ndarray):
            return DigitArray(made, self.arithmetic, exact=False)
        return left(made.mid(), self.context) if moved else made

    def _called(self, ufunc: np.ufunc, method: str, inputs: Any, options: Any) -> Any:
        context, bits = self.context, self.arithmetic.bits
        if getattr(np, ufunc.__name__, None) is not ufunc or any(map(_is_complex, inputs)):
            plain = (np.asarray(x) if type(x) is DigitArray else x for x in inputs)
            return getattr(ufunc, method)(*plain, **options)
        if method == "__call__":
            if ufunc is np.not_equal:
                return ~np.equal(*inputs)  # nan differs from itself
            if own := self.arithmetic.functions.get(ufunc.__name__):
                return own(*inputs, **options)
        if method == "at":
            target, where, *values = inputs
            if type(target) is not DigitArray:
                return ufunc.at(target, where, *map(np.asarray, values))
            with precision(bits):
                ufunc.at(target.raw, where, *(raw_of(v, context) for v in values))
                target.raw[...] = centres(target.raw)
            return None
        if options.get("initial") is not None:
            options["initial"] = raw_of(options["initial"], context).item()
        count = 1 if method == "reduceat" else len(inputs)  # what follows are places
        raw = [_operand(x, context) for x in inputs[:count]]
        with precision(bits):
            return self._outside(getattr(ufunc, method)(*raw, *inputs[count:], **options))

    def __array_function__(
        self, function: Any, types: Any, arguments: Sequence[Any], options: dict[str, Any]
    ) -> Any:
        if not all(issubclass(t, _ARRAYS) for t in types):
            return NotImplemented
        if function in _FILLED:
            shape = options.get("shape", np.shape(arguments[0].raw))
            made = np.full(shape, _FILLED[function], dtype=options.get("dtype", float))
            return made if "dtype" in options else self.arithmetic.array(made)
        context, joined = self.context, function in _JOINING
        inside = (lambda x: raw_of(x, context)[()]) if joined else lambda x: x
        raw = [_unwrapped(x, inside) for x in arguments]
        options = {k: _unwrapped(v, inside) for k, v in options.items()}
        with precision(self.arithmetic.bits):
            return self._outside(function(*raw, **options), exact=joined)


_ARITHMETIC = {np.add, np.subtract, np.multiply}
_PLAINLY = {*_ARITHMETIC, np.less, np.less_equal, np.greater, np.greater_equal, np.equal}
_ARRAYS = (DigitArray, np.ndarray, np.generic)
_FILLED = {np.zeros_like: 0.0, np.empty_like: 0.0, np.ones_like: 1.0}
# Where plain numbers may meet those of many digits in one array.
_JOINING = {
    np.where, np.concatenate, np.stack, np.vstack, np.hstack, np.column_stack, np.append,
    np.searchsorted, np.clip, np.full_like, np.insert, np.union1d, np.array_equal, np.select,
}  # fmt: skip


def _again(packed: list[Any], shape: tuple[int, ...], arithmetic: Any) -> DigitArray:
    raw = np.empty(len(packed), dtype=object)
    raw[:] = list(map(arb, packed))
    return DigitArray(raw.reshape(shape), arithmetic)


def _unwrapped(x: Any, inside: Callable[[Any], Any]) -> Any:
    """An argument for NumPy's own function, numbers of many digits as the library's."""
    if type(x) is DigitArray:
        return x.raw
    if isinstance(x, (tuple, list)):
        return type(x)(_unwrapped(v, inside) for v in x)
    kind = x.dtype.kind if isinstance(x, np.ndarray) else ""
    return inside(x) if kind in {"f", "O"} or isinstance(x, float) or hasattr(x, "_mpf_") else x
