"""Running a plain NumPy function at any number of digits, with its exact derivatives.

A user writes ``losses(w)`` once, for arrays of doubles. :func:`evaluate` runs it unchanged in
either arithmetic and to any order of differentiation, :func:`derivative` turns a function into its
derivative, and :func:`check_derivative` compares that with finite differences.

In many digits the weights are exact and every operation on them is done in that precision. The
constants of the user's file are what Python read: 0.1 there is the double next to one tenth.
"""

from __future__ import annotations

import math
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from stationary.errors import (
    LandscapeError,
    NotDifferentiableError,
    StationaryError,
    UserFunctionError,
)
from stationary.functions import taylor_arrays, taylor_elementary  # noqa: F401  (enter NumPy's functions)
from stationary.functions.source_lines import is_internal, source_place
from stationary.functions.taylor import ZERO, Taylor, lift, operand
from stationary.numbers.arithmetic import DOUBLE, Arithmetic, many_digits

__all__ = [
    "DOUBLE",
    "Arithmetic",
    "Mismatch",
    "Taylor",
    "check_derivative",
    "derivative",
    "evaluate",
    "many_digits",
]

Function = Callable[[Any], Any]


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
    A derivative in doubles that is not finite although the value is, as that of
    ``1 / (1 + exp(-w))`` below -709, is computed again in many digits, which do not overflow.
    """
    x = np.array(arithmetic.array(x))  # a copy: the function may write into its argument
    if x.ndim != 1:
        raise LandscapeError(f"x must have shape (M,), but its shape is {x.shape}.")
    plain = order == 0 and arithmetic is DOUBLE
    argument = x if plain else Taylor.variable(x, order, arithmetic)
    result = call_user_function(function, argument)
    if plain and type(result) is np.ndarray and result.dtype == float and result.shape == x.shape:
        return (result,)
    with np.errstate(all="ignore"):
        table = _table(function, result, x.shape, order, arithmetic)
        found = tuple(c if k < 2 else c * math.factorial(k) for k, c in enumerate(table))
        if order and arithmetic is DOUBLE and not np.isfinite(table[1:].sum()):
            _mend(function, x, found)
    return found


def call_user_function(function: Function, argument: Any) -> Any:
    """``function(argument)`` with floating-point warnings off and exceptions explained."""
    try:
        with np.errstate(all="ignore"):
            return function(argument)
    except StationaryError:
        raise
    except (Exception, SystemExit) as error:
        if isinstance(argument, Taylor) and "truth value" in str(error):
            raise NotDifferentiableError(_explained(function, error)) from error
        raise UserFunctionError(_explained(function, error)) from error


def _explained(function: Function, error: BaseException) -> str:
    """What went wrong, in the deepest of the user's own lines."""
    text = f"{_name(function)} raised {type(error).__name__}: {error}"
    if isinstance(error, SyntaxError):
        text = f"{_name(function)} raised {type(error).__name__}: {error.msg}"
    theirs = [step for step, _ in traceback.walk_tb(error.__traceback__) if not is_internal(step)]
    if theirs:
        step = error.__traceback__
        while step and step.tb_frame is not theirs[-1]:
            step = step.tb_next
        assert step is not None
        where, _, line = source_place(step.tb_frame.f_code, step.tb_lasti, step.tb_lineno)
        text = f"{where}: {text}" + (f"\n{line}" if line else "")
    if "truth value" in str(error):
        text += (
            "\nIt is called with all points at once: use np.where in place of a Python `if`, or "
            "define gradients(w), which may decide point by point."
        )
    elif "Taylor" in str(error) or "not supported for the input types" in str(error):
        text += "\nCollect rows with np.stack (or return a list) in place of np.array."
    return text


def _name(function: Function) -> str:
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
            came = str(c.shape) if single else f"entries of shapes {[s.shape for s in series]}"
            if isinstance(row, Taylor) and c.shape == ():
                came = "a single number that depends on the weights"
            raise LandscapeError(
                f"{_name(function)} returned {came} for weights of shape {shape}. Return one "
                f"number per weight, shape {(*shape,)}; for several datapoints one such row each: "
                f"a tuple of N rows, or an array of shape (N, {', '.join(map(str, shape))})."
            )
    if not series:
        raise LandscapeError(
            f"{_name(function)} returned no datapoints. Return one entry for each."
        )
    whole = allowed[-1] if single else (len(series), *shape)
    table = np.zeros((order + 1, *whole), arithmetic.dtype)
    table[...] = arithmetic.zero
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
        row = operand(row)
        if isinstance(row, Taylor):
            lift(row, like)
            if not _is_complex(row.value):
                return row
            row = np.asarray(row.value, dtype=complex)
        array = np.asarray(row)
        if array.dtype.kind in "biuf" or (array.dtype.kind == "O" and None not in array.ravel()):
            return Taylor((arithmetic.array(array), *[ZERO] * order), arithmetic)
        came = "complex numbers" if array.dtype.kind == "c" else f"{row!r:.60}"
    except (TypeError, ValueError, AttributeError) as error:
        if isinstance(error, StationaryError):
            raise
        came = f"{row!r:.60}, which is no array of numbers"
    raise LandscapeError(f"{_name(function)} returned {came}. {wanted}")


def _is_complex(values: Any) -> bool:
    values = np.asarray(values)
    if values.dtype == object:
        return any(hasattr(v, "_mpc_") for v in values.ravel())
    return np.iscomplexobj(values)


def _mend(function: Function, x: np.ndarray, found: tuple[np.ndarray, ...]) -> None:
    """Replace, in place, derivatives that left the range of doubles on the way."""
    value, *slopes = found
    lost = np.isfinite(value) & ~np.all([np.isfinite(d) for d in slopes], axis=0)
    bad = np.any(lost.reshape(-1, len(x)), axis=0)
    if not 0 < bad.sum() * (value.size // len(x)) <= MENDABLE:
        return
    try:
        again = evaluate(function, x[bad], order=len(slopes), arithmetic=many_digits(15))
    except StationaryError:
        return
    for d, exact in zip(slopes, again[1:], strict=True):
        d[..., bad] = np.where(lost[..., bad], many_digits(15).to_float(exact), d[..., bad])


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
        # With d_k the coefficients of l' around w_0: l'(w) = sum_k d_k (w - w_0)^k.
        order, arithmetic = w.order, w.arithmetic
        argument = Taylor.variable(w.value, order + 1, arithmetic)
        result = call_user_function(function, argument)
        table = _table(function, result, w.shape, order + 1, arithmetic)
        step = Taylor((w.value - w.value, *w.coefficients[1:]), arithmetic)
        total: Any = Taylor((table[order + 1] * (order + 1), *[ZERO] * order), arithmetic)
        for k in range(order, 0, -1):
            total = total * step + table[k] * k
        return total

    derived.__name__ = derived.__qualname__ = f"derivative of {_name(function)}"
    return derived


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


# An independent check.


@dataclass(frozen=True)
class Mismatch:
    """Where an exact derivative and finite differences disagree."""

    what: str  # "value" or "derivative"
    point: float
    datapoint: int
    exact: float
    independent: float
    error: float  # estimated, of `independent`

    def __str__(self) -> str:
        return (
            f"the {self.what} of datapoint {self.datapoint} at w = {self.point:.6g} is "
            f"{self.exact:.8g}, but {self.independent:.8g} (error {self.error:.0e}) by plain "
            "evaluation in doubles"
        )


WINDOW = 5  # steps in one extrapolation
RATIO = 1.9  # of successive steps; not 2, so that x + h has all its bits in use
STEPS = 0.125 * RATIO ** -np.arange(22)  # down to 1.7e-7, relative to the larger of 1 and |x|
TOLERANCE = 2e-5  # relative; an error of 1e-4 is caught
CHUNK = 1_000_000  # numbers in one evaluation of the check
MENDABLE = 20_000  # numbers in one evaluation in many digits, which takes about 20 us for each


def check_derivative(function: Function, x: Any) -> Mismatch | None:
    """Compare the exact value and first derivative with plain double evaluation.

    The independent derivative is Richardson's: central differences with five shrinking steps,
    extrapolated to h = 0, where the last change estimates the error [1]_. The estimate counts only
    if seven such windows of steps agree, starting from the smallest that rounding allows, and if
    the slopes to the left and to the right agree (there is no kink). So a sharp or noisy function
    can escape the check, but raises no false alarm unless it oscillates within 1e-7 of a point.

    Returns
    -------
    Mismatch or None
        The first disagreement; None if there is none, or if plain evaluation does not work.

    References
    ----------
    .. [1] C. J. F. Ridders, Advances in Engineering Software 4 (1982) 75.
    """
    x = np.asarray(x, dtype=float)
    try:
        first = _plainly(function, x[:1])
        size = max(1, CHUNK // (first.size * (2 * len(STEPS) + 1)))
        parts = (_first_mismatch(function, x[i : i + size]) for i in range(0, len(x), size))
        return next((found for found in parts if found is not None), None)
    except _NoPlainEvaluationError:
        return None


class _NoPlainEvaluationError(Exception):
    pass


def _plainly(function: Function, x: np.ndarray) -> np.ndarray:
    try:
        return np.atleast_2d(evaluate(function, x)[0])
    except UserFunctionError as error:
        raise _NoPlainEvaluationError from error


def _first_mismatch(function: Function, x: np.ndarray) -> Mismatch | None:
    h = STEPS[:, None] * np.maximum(1, np.abs(x))
    right, left = x + h, x - h
    n = len(STEPS)
    plain = _plainly(function, np.concatenate([x[None], right, left]).ravel())
    f = plain.reshape(-1, 2 * n + 1, len(x))
    value, exact = (np.atleast_2d(c) for c in evaluate(function, x, order=1))
    with np.errstate(all="ignore"):
        at, above, below = f[:, 0], f[:, 1 : n + 1], f[:, n + 1 :]
        size = 1e-8 * np.max(np.abs(f), axis=1)
        wrong = (np.abs(value - at) > size) & np.isfinite(at)
        for j, i in np.argwhere(wrong):
            return Mismatch("value", *_numbers(x[i], j, value[j, i], at[j, i], size[j, i]))
        slope, error, kink = _extrapolated(at, above, below, right - x, x - left)
        gap = np.abs(exact - slope)
        bound = np.fmax(10 * error, TOLERANCE * np.fmax(np.abs(exact), np.abs(slope)))
        wrong = np.where(
            np.isfinite(exact),
            gap > np.fmax(bound, 2 * kink),
            np.isfinite(slope) & (kink <= 1e-3 * np.abs(slope)),
        )
    for j, i in np.argwhere(wrong):
        return Mismatch("derivative", *_numbers(x[i], j, exact[j, i], slope[j, i], error[j, i]))
    return None


def _numbers(*values: Any) -> tuple[Any, ...]:
    point, datapoint, *rest = values
    return (float(point), int(datapoint), *map(float, rest))


def _quantum(*values: np.ndarray) -> np.ndarray:
    """The largest power of two that divides all values: large if a cancellation ate their bits."""
    mantissa, exponent = np.frexp(np.concatenate(values, axis=1))
    whole = np.where(np.isfinite(mantissa), np.ldexp(mantissa, 53), 0).astype(np.int64)
    lowest = np.where(whole == 0, np.inf, np.ldexp((whole & -whole) * 1.0, exponent - 53))
    quantum = np.min(lowest, axis=1)
    return np.where(np.isfinite(quantum), quantum, 0)


def _extrapolated(
    at: np.ndarray, above: np.ndarray, below: np.ndarray, up: np.ndarray, down: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Slopes with their errors (nan: undecided) and the jump of the slope, shape (N, P) each."""
    noise = 4 * DOUBLE.epsilon * (np.abs(above) + np.abs(below))
    rounding = np.maximum(noise, 4 * _quantum(above, below)[:, None]) / (up + down)
    level = (above - below) / (up + down)  # (N, steps, P), error O(h^2)
    estimates = [level]
    for power in range(1, WINDOW):
        finer, coarser = estimates[-1][:, 1:], estimates[-1][:, :-1]
        estimates.append(finer + (finer - coarser) / (RATIO ** (2 * power) - 1))
    windows = estimates[-1].shape[1]
    best, last = estimates[-1], estimates[-2][:, 1:]
    error = np.abs(best - last) + np.abs(best - estimates[-2][:, :-1])
    error = error + rounding[:, -windows:]
    good = error <= TOLERANCE / 10 * np.abs(best)
    # From the finest window on, the first good one decides, if six coarser ones agree with it.
    n, _, points = level.shape
    slope = np.full((n, points), np.nan)
    chosen = np.full((n, points), np.nan)
    for w in range(windows - 1, 5, -1):
        near = best[:, w - 6 : w + 1]
        spread = np.max(np.abs(near - best[:, w : w + 1]), axis=1)
        fine = good[:, w] & np.isnan(chosen)
        agrees = spread <= 10 * np.max(error[:, w - 6 : w + 1], axis=1)
        settled = spread <= TOLERANCE * np.abs(best[:, w])
        slope = np.where(fine & agrees & settled, best[:, w], slope)
        chosen = np.where(fine, error[:, w], chosen)
    one_sided = np.abs((above - at[:, None]) / up - (at[:, None] - below) / down)
    kink = np.min(one_sided[:, WINDOW:], axis=1)
    return slope, chosen, kink
