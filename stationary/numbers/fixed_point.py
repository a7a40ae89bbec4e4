"""Linear algebra in many digits at the speed of integers.

Chebyshev coefficients are known relative to the largest of their column. So a column is scaled by
that to whole numbers with a few bits to spare; sums of products of whole numbers are exact, and
an order of magnitude cheaper than those of mpmath numbers.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from stationary.numbers.arithmetic import Arithmetic

__all__ = ["FixedPointMatrix", "clenshaw", "exact_nodes", "fractions"]

Array = NDArray[Any]

GUARD_BITS = 24


def bits_of(arithmetic: Arithmetic) -> int:
    return int(arithmetic.one.context.prec) + GUARD_BITS


def _whole(x: Any, bits: int) -> Any:
    """x 2^bits, rounded to a whole number."""
    sign, mantissa, exponent, _ = x._mpf_
    shift = exponent + bits
    mantissa = mantissa << shift if shift >= 0 else ((mantissa >> (-shift - 1)) + 1) >> 1
    return -mantissa if sign else mantissa


def fractions(table: Array, bits: int) -> Array:
    """The numbers of a table times 2^bits, as whole numbers."""
    result = np.empty(table.shape, dtype=object)
    result.ravel()[:] = [_whole(x, bits) for x in table.ravel()]
    return result


def _raw(x: Any, arithmetic: Arithmetic) -> Any:
    number: Any = arithmetic.array(x)[()]
    return number._mpf_


def _scaled(table: Array, arithmetic: Arithmetic, bits: int) -> tuple[list[list[Any]], list[int]]:
    """Each column as whole numbers times a power of two, and that power."""
    columns: list[list[Any]] = []
    exponents: list[int] = []
    mpf = arithmetic.one.context.mpf
    for column in table.T.tolist():
        raw = [x._mpf_ if type(x) is mpf else _raw(x, arithmetic) for x in column]
        if any(not m and e for _, m, e, _ in raw):
            columns.append([])  # not finite
            exponents.append(0)
            continue
        top = max((e + size for _, m, e, size in raw if m), default=0)
        lift = bits - top
        whole = []
        for sign, m, e, _ in raw:
            shift = e + lift
            m = m << shift if shift >= 0 else m >> -shift
            whole.append(-m if sign else m)
        columns.append(whole)
        exponents.append(-lift)
    return columns, exponents


def _numbers(table: Any, exponents: list[int], arithmetic: Arithmetic) -> Array:
    """Whole numbers (rows, columns) back as numbers of the arithmetic."""
    from mpmath.libmp import from_man_exp

    context = arithmetic.one.context
    make, precision = context.make_mpf, context.prec
    result = np.empty((len(table), len(exponents)), dtype=object)
    for j, exponent in enumerate(exponents):
        result[:, j] = [make(from_man_exp(m, exponent, precision, "n")) for m in table[:, j]]
    return result


class FixedPointMatrix:
    """A constant matrix (or a row); `matrix @ columns` is right relative to each column."""

    def __init__(self, entries: Array, arithmetic: Arithmetic) -> None:
        self.entries, self.arithmetic, self.bits = entries, arithmetic, bits_of(arithmetic)
        self.whole = fractions(np.atleast_2d(entries), self.bits)

    def __matmul__(self, columns: Array) -> Any:
        table = columns if columns.ndim == 2 else columns[:, None]
        if not table.shape[1]:
            return np.empty((*self.entries.shape[:-1], 0), dtype=object)
        whole, exponents = _scaled(table, self.arithmetic, self.bits)
        lost = [j for j, column in enumerate(whole) if not column]
        for j in lost:
            whole[j] = [0] * len(table)
        made = np.dot(self.whole, np.array(whole, dtype=object).T)
        result = _numbers(made, [e - self.bits for e in exponents], self.arithmetic)
        if lost:
            result[:, lost] = self.arithmetic.zero.context.nan
        result = result if self.entries.ndim == 2 else result[0]
        return result if columns.ndim == 2 else result[..., 0]


def clenshaw(c: Array, t: Array, k: Array | None, arithmetic: Arithmetic) -> Array:
    """sum_j c[j, k] T_j(t) for each point t, in its column k (None: a column for each)."""
    from mpmath.libmp import from_man_exp

    context = arithmetic.one.context
    make, precision = context.make_mpf, context.prec
    bits = bits_of(arithmetic)
    which = np.arange(len(t)) if k is None else k
    used, column_of = np.unique(which, return_inverse=True)
    columns, exponents = _scaled(c[:, used], arithmetic, bits)
    for column in columns:
        column.reverse()
    result = np.empty(t.shape, dtype=object)
    for i, (point, j) in enumerate(zip(arithmetic.array(t).tolist(), column_of, strict=True)):
        if not columns[j]:
            result[i] = context.nan
            continue
        at = _whole(point, bits)
        twice_scale = bits - 1
        b = previous = 0
        for row in columns[j][:-1]:
            b, previous = ((at * b) >> twice_scale) - previous + row, b
        value = ((at * b) >> bits) - previous + columns[j][-1]
        result[i] = make(from_man_exp(value, exponents[j], precision, "n"))
    return result


def exact_nodes(lower: Array, upper: Array, fractions_of_panel: list[Any], bits: int) -> Array:
    """lower + (upper - lower) u for fractions u, with as many digits as that takes.

    A node next to 2 on a panel 1e-40 wide has 40 digits more than the arithmetic: differences
    such as x - 2 then lose none.
    """
    from mpmath.libmp import from_man_exp, mpf_sub

    result = np.empty((len(fractions_of_panel), len(lower)), dtype=object)
    for j, (low, high) in enumerate(zip(lower.tolist(), upper.tolist(), strict=True)):
        make = low.context.make_mpf
        _, width, exponent, size = mpf_sub(high._mpf_, low._mpf_)
        lift = bits - size  # the width has `bits` bits then, and so has each step
        width = width << lift if lift >= 0 else width >> -lift
        exponent -= lift
        sign, start, start_exponent, _ = low._mpf_
        start = -start if sign else start
        common = min(start_exponent, exponent) if start else exponent
        start <<= start_exponent - common if start else 0
        lift = exponent - common
        result[:, j] = [
            make(from_man_exp(start + (((width * u) >> bits) << lift), common))
            for u in fractions_of_panel
        ]
    return result
