"""Running a plain NumPy function at any number of digits, with its exact derivatives.

A user writes ``losses(w)`` once, for arrays of doubles. :func:`evaluate` runs it unchanged in
either arithmetic and to any order of differentiation, and :func:`derivative` turns a function into
its derivative.

In many digits the weights are exact and every operation on them is done in that precision. The
constants of the user's file are what Python read: 0.1 there is the double next to one tenth.
"""

from __future__ import annotations

import math
import traceback
from collections import deque
from collections.abc import Callable, Iterator, Sequence, ValuesView
from types import FrameType
from typing import Any

import numpy as np

from stationary.aliases import Function
from stationary.errors import (
    LandscapeError,
    NotDifferentiableError,
    StationaryError,
    UserFunctionError,
)
from stationary.functions import taylor_arrays, taylor_special  # noqa: F401  (enter functions)
from stationary.functions.given import masked
from stationary.functions.series import ZERO
from stationary.functions.source_lines import (
    FRAMEWORKS,
    WAY_OUT,
    is_internal,
    library_of,
    source_place,
)
from stationary.functions.taylor import Taylor, lift, operand
from stationary.functions.taylor_calls import singles
from stationary.numbers.arithmetic import DOUBLE, Arithmetic, many_digits
from stationary.numbers.cost import IN_DIGITS


def evaluate(
    function: Function, x: Any, *, order: int = 0, arithmetic: Arithmetic = DOUBLE
) -> tuple[np.ndarray, ...]:
    """The values of a user's function and its derivatives up to ``order``.

    Parameters
    ----------
    function
        Takes an array of M weights. Returns one entry per datapoint: a tuple, list or array of N
        arrays of shape (M,), or a single one. Plain numbers stand for constant functions.
    x
        M points, shape (M,).
    order
        How many derivatives; they are exact (forward mode), not finite differences.
    arithmetic
        Doubles, or ``many_digits(n)``.

    Returns
    -------
    tuple of arrays
        The value and ``order`` derivatives, each of shape (M,) or (N, M).

    Raises
    ------
    UserFunctionError
        If the function raises; the message shows the user's line.
    NotDifferentiableError
        If it uses something that has no derivative here (or only exists in doubles).
    LandscapeError
        If what it returns has the wrong shape, or is complex or no number at all.

    Notes
    -----
    A derivative in doubles that is not finite, as that of ``log(1 + exp(-w))`` below -709, is
    computed again in many digits, which do not overflow, and so is the value then.
    """
    plain = order == 0 and arithmetic is DOUBLE
    # A copy: the function may write into its argument.
    x = np.array(x, dtype=float) if plain else arithmetic.array(x).copy()
    if x.ndim != 1:
        raise LandscapeError(f"x must have shape (M,), but its shape is {x.shape}.")
    argument = x if plain else Taylor.variable(x, order, arithmetic)
    return tabulated(function, call_user_function(function, argument), x, order, arithmetic)


def tabulated(
    function: Function, result: Any, x: np.ndarray, order: int = 0, arithmetic: Arithmetic = DOUBLE
) -> tuple[np.ndarray, ...]:
    """What `evaluate` gives, from what the function returned for the points x."""
    plain = order == 0 and arithmetic is DOUBLE
    if plain and type(result) is np.ndarray and result.dtype == float and result.shape == x.shape:
        return (result.copy(),)  # it may be a work array, written to again by the next call
    with np.errstate(all="ignore"):
        table = _table(function, result, x.shape, order, arithmetic)
        found = tuple(c if k < 2 else c * math.factorial(k) for k, c in enumerate(table))
        if order and arithmetic is DOUBLE and not np.isfinite(table[1:].sum()):
            _mend(function, x, found)
    return found


def call_user_function(function: Function, argument: Any) -> Any:
    """``function(argument)`` with floating-point warnings off and exceptions explained."""
    before, singles.count = singles.count, 0
    try:
        with np.errstate(all="ignore"):
            return collected(function(argument))
    except StationaryError:
        raise
    except Exception as error:
        if isinstance(argument, Taylor) and ("truth value" in str(error) or _of_scipy(error)):
            raise NotDifferentiableError(explained(function, error)) from error
        raise UserFunctionError(explained(function, error)) from error
    finally:
        singles.count = before


def collected(result: Any) -> Any:
    """What a function returned; as a tuple, where that is a generator or the like."""
    return tuple(result) if isinstance(result, (Iterator, ValuesView, deque)) else result


def explained(function: Callable[..., Any], error: BaseException) -> str:
    """What went wrong, in the deepest of the user's own lines."""
    if not callable(function):
        return f"{function!r:.60} came where a function is needed, as in lambda x: x**2."
    text = f"{name_of(function)} raised {type(error).__name__}: {error}"
    if isinstance(error, SyntaxError):
        text = f"{name_of(function)} raised {type(error).__name__}: {error.msg}"
    theirs = [step for step in _frames(error) if not is_internal(step)]
    if theirs:
        step = error.__traceback__
        while step and step.tb_frame is not theirs[-1]:
            step = step.tb_next
        assert step is not None
        where, _, line = source_place(step.tb_frame.f_code, step.tb_lasti, step.tb_lineno)
        text = f"{where}: {text}" + (f"\n{line}" if line else "")
    if (framework := _framework(error)) and "Taylor" in str(error):
        text += (
            f"\n{framework} knows derivatives of its own arrays alone. Give gradients(w) in place "
            "of losses(w), made by it for all points and datapoints (jax.vmap of jax.grad, "
            "torch.func); of networks, `network.line` does so."
        )
    elif name := _of_scipy(error):
        text += f"\n{name} of SciPy may have no derivative here. {WAY_OUT}"
        if "softmax" in name or name == "logsumexp":
            text += (
                " Sums of np.exp, and np.log of them, do not overflow here; logsumexp(z, axis=0) "
                "is np.logaddexp.reduce(z, axis=0)."
            )
    elif "truth value" in str(error):
        text += (
            "\nIt is called with all points at once: use np.where in place of a Python `if`, or "
            "define gradients(w), which may decide point by point."
        )
    elif "could not be broadcast together" in str(error):
        text += (
            "\nIt is called with all points at once: what each datapoint has of its own needs an "
            "axis of its own, one row for each, as in w - c[:, None]."
        )
    elif "Taylor" in str(error) or "not supported for the input types" in str(error):
        text += (
            "\nLeave out np.asarray and np.array around what is made of the argument, which is an "
            "array already, or one that carries its derivatives: collect rows with np.stack, or "
            "return a list of them."
        )
    elif isinstance(error, TypeError) and "positional argument" in str(error) and not theirs:
        text += "\nIt is called with one argument, an array of points, and its parameters by name."
    elif isinstance(error, TypeError) and "NoneType" in str(error):
        text += "\nA function gave None, as one that ends without return does."
    return text


def _frames(error: BaseException) -> list[FrameType]:
    return [step for step, _ in traceback.walk_tb(error.__traceback__)]


def _framework(error: BaseException) -> str:
    """JAX or PyTorch, where one of them raised it, with frames of its own or without."""
    found = {FRAMEWORKS.get(library_of(step), "") for step in _frames(error)} - {""}
    said = {"JAX type": "JAX", "must be Tensor": "PyTorch"}
    return next(iter([*found, *(n for words, n in said.items() if words in str(error))]), "")


def _of_scipy(error: BaseException) -> str:
    """The function of SciPy that raised it, or an empty string."""
    names = (s.f_code.co_name for s in _frames(error) if library_of(s) == "scipy")
    return next((name for name in names if not name.startswith("wrap")), "")


def name_of(function: Callable[..., Any]) -> str:
    return str(getattr(function, "__name__", type(function).__name__))


def _table(
    function: Function, result: Any, shape: tuple[int, ...], order: int, arithmetic: Arithmetic
) -> np.ndarray:
    """The Taylor coefficients of what the user returned: shape (K + 1, M) or (K + 1, N, M)."""
    rows = result if isinstance(result, (tuple, list)) else [result]
    series = [_series(function, row, order, arithmetic) for row in rows]
    single = rows is not result
    allowed: list[tuple[int, ...]] = [(), shape]
    if single and series[0].ndim == len(shape) + 1 and series[0].shape[1:] == shape:
        allowed.append(series[0].shape)
    for row, c in zip(rows, series, strict=True):
        if c.shape not in allowed or (isinstance(row, Taylor) and c.shape == () != shape):
            hint = ""
            came = str(c.shape) if single else f"entries of shapes {[s.shape for s in series]}"
            if isinstance(row, Taylor) and c.shape == ():
                came = "a single number that depends on the weights"
            few = single and c.ndim == 1 and len(c) < min(4, *shape)  # entries of one point
            if few or all(s.shape in ((), (1,)) or len(s.shape) < len(shape) for s in series):
                hint = (
                    " With two weights say so by weights=2, or a pair of ends for each in domain."
                )
            raise LandscapeError(
                f"{name_of(function)} returned {came} for weights of shape {shape}. Return one "
                f"number per weight, shape {(*shape,)}; for several datapoints one such row each: "
                f"a tuple of N rows, or an array of shape (N, {', '.join(map(str, shape))}).{hint}"
            )
    if not series or (single and len(allowed) == 3 and not len(series[0])):
        raise LandscapeError(
            f"{name_of(function)} returned no datapoints. Return one entry for each."
        )
    whole = allowed[-1] if single else (len(series), *shape)
    table = arithmetic.array(np.zeros((order + 1, *whole)))
    for i, c in enumerate(series):
        for k, coefficient in enumerate(c.coefficients):
            if coefficient is not ZERO:
                table[k, ... if single else i] = coefficient
    return table


def _series(function: Function, row: Any, order: int, arithmetic: Arithmetic) -> Taylor:
    """One returned entry as a Taylor."""
    like = Taylor((arithmetic.zero, *[ZERO] * order), arithmetic)
    wanted = "Return real numbers: one per weight, or one such row per datapoint."
    try:
        if not (isinstance(row, (complex, np.generic, np.ndarray)) and np.iscomplexobj(row)):
            row = operand(row)
        if isinstance(row, Taylor):
            lift(row, like)
            if not _is_complex(row.value):
                return row
            row = np.asarray(row.value, dtype=complex)
        if hidden := masked(row):
            raise LandscapeError(
                f"{name_of(function)} returned {hidden} masked values. "
                "There is no process where its functions are unknown: fill them in, or shrink the "
                "domain."
            )
        array = np.asarray(row)
        if array.dtype.kind in "biuf" or (array.dtype.kind == "O" and None not in array.ravel()):
            return Taylor((arithmetic.array(array), *[ZERO] * order), arithmetic)
        came = "complex numbers" if array.dtype.kind == "c" else f"{row!r:.60}"
    except StationaryError:
        raise
    except Exception:  # what a function returns may raise anything when it is looked at
        came = f"{row!r:.60}, which is no array of numbers"
    if hasattr(row, "close"):
        row.close()  # a coroutine would complain that nobody awaits it
    raise LandscapeError(f"{name_of(function)} returned {came}. {wanted}")


def _is_complex(values: Any) -> bool:
    if hasattr(values, "arithmetic"):
        return False
    values = np.asarray(values)
    if values.dtype == object:
        return any(hasattr(v, "_mpc_") for v in values.ravel())
    return np.iscomplexobj(values)


def _mend(function: Function, x: np.ndarray, found: tuple[np.ndarray, ...]) -> None:
    """Replace, in place, values and derivatives that left the range of doubles on the way."""
    lost = [~np.isfinite(c) for c in found]
    bad = np.any([c.reshape(-1, len(x)).any(axis=0) for c in lost[1:]], axis=0)
    if not 0 < bad.sum() * (found[0].size // len(x)) <= IN_DIGITS:
        return
    many = many_digits(15)
    try:
        again = evaluate(function, x[bad], order=len(found) - 1, arithmetic=many)
    except (StationaryError, OverflowError):
        return
    for c, exact, gone in zip(found, again, lost, strict=True):
        c[..., bad] = np.where(gone[..., bad], many.to_float(exact), c[..., bad])


def derivative(function: Function) -> Function:
    """The function w -> l'(w), for a vectorised function l(w) of its argument alone.

    It works on arrays of doubles, on arrays of mpmath numbers and inside other derivatives, so
    that ``derivative(derivative(l))`` is l''. Where l returns N entries, it returns shape (N, M).
    """

    def derived(w: Any) -> Any:
        if not isinstance(w, Taylor):
            arithmetic = _arithmetic_of(w)
            w = arithmetic.array(w)
            flat = evaluate(function, w.reshape(-1), order=1, arithmetic=arithmetic)[1]
            return flat.reshape(*flat.shape[:-1], *w.shape)
        order, arithmetic = w.order + 1, w.arithmetic
        argument = Taylor.variable(w.value, order, arithmetic)
        result = call_user_function(function, argument)
        table: Any
        if hasattr(w.value, "tape"):  # it is recorded
            table = lift(result, argument).coefficients
        else:
            table = _table(function, result, w.shape, order, arithmetic)
        return composed([table[k] * k for k in range(1, order + 1)], w)

    derived.__name__ = derived.__qualname__ = f"derivative of {name_of(function)}"
    return derived


def composed(coefficients: Sequence[Any], w: Taylor) -> Any:
    """F(w) as a series, with c_k the coefficients of F around w_0: sum_k c_k (w - w_0)^k."""
    step = Taylor((w.value - w.value, *w.coefficients[1:]), w.arithmetic)
    total: Any = Taylor((coefficients[-1], *[ZERO] * w.order), w.arithmetic)
    for c in reversed(coefficients[:-1]):
        total = total * step + c
    return total


def _arithmetic_of(w: Any) -> Arithmetic:
    """Doubles, or the arithmetic that an mpmath number in `w` belongs to."""
    w = np.asarray(w)
    if w.dtype != object or not w.size:
        return DOUBLE
    context = getattr(w.flat[0], "context", None)
    if context is None:
        return DOUBLE
    own: Arithmetic | None = getattr(context, "stationary_arithmetic", None)
    return many_digits(context.dps) if own is None else own
