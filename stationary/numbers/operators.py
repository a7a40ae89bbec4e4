"""The operators of mpmath numbers of one private context, without the detours.

mpmath's own accept numbers of any context, complex ones and much else, and ask for each before
they compute. Nearly all work here is between numbers of one context, or with a plain int or
float: those go straight to the mantissas, everything else goes to mpmath as before. Results are
the same to the last bit.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

__all__ = ["make_swift"]

Operator = Callable[[Any, Any], Any]


def make_swift(context: Any) -> None:
    """Give the numbers of a context operators that are about twice as fast."""
    from mpmath.libmp import libmpf

    mpf, zero, double = context.mpf, context.zero, np.float64
    make: Callable[[Any], Any] = mpf._ctxdata[1]
    rounding_of = mpf._ctxdata[2]  # [precision, rounding], which mpmath changes in place
    normalize = getattr(libmpf, "_normalize", libmpf.normalize)

    @functools.lru_cache(4096)
    def raw(x: float) -> Any:
        return libmpf.from_int(x) if isinstance(x, int) else libmpf.from_float(x)

    def mantissas_of(other: Any) -> Any:
        """What mpmath keeps of a number, or None where mpmath should look at it itself."""
        kind = type(other)
        if kind is mpf:
            return other._mpf_
        return raw(other) if kind is float or kind is int or kind is double else None

    def multiplication(general: Operator) -> Operator:
        def multiplied(self: Any, other: Any) -> Any:
            theirs = other._mpf_ if type(other) is mpf else mantissas_of(other)
            if theirs is None:
                return general(self, other)
            sign, mantissa, exponent, _ = self._mpf_
            other_sign, other_mantissa, other_exponent, _ = theirs
            product = mantissa * other_mantissa
            if not product:
                if (mantissa or not exponent) and (other_mantissa or not other_exponent):
                    return zero
                return general(self, other)
            precision, rounding = rounding_of
            result = make(mpf)
            result._mpf_ = normalize(
                sign ^ other_sign,
                product,
                exponent + other_exponent,
                product.bit_length(),
                precision,
                rounding,
            )
            return result

        return multiplied

    def division(general: Operator) -> Operator:
        def divided(self: Any, other: Any) -> Any:
            theirs = other._mpf_ if type(other) is mpf else mantissas_of(other)
            if theirs is None:
                return general(self, other)
            sign, mantissa, exponent, size = self._mpf_
            other_sign, other_mantissa, other_exponent, other_size = theirs
            if not mantissa or not other_mantissa:
                return general(self, other)
            precision, rounding = rounding_of
            lift = max(precision - size + other_size + 5, 5)
            quotient, rest = divmod(mantissa << lift, other_mantissa)
            if rest:  # one more bit, so that rounding sees it
                quotient = (quotient << 1) + 1
                lift += 1
            result = make(mpf)
            result._mpf_ = normalize(
                sign ^ other_sign,
                quotient,
                exponent - other_exponent - lift,
                quotient.bit_length(),
                precision,
                rounding,
            )
            return result

        return divided

    def addition(general: Operator, flip: int) -> Operator:
        def added(self: Any, other: Any) -> Any:
            theirs = other._mpf_ if type(other) is mpf else mantissas_of(other)
            if theirs is None:
                return general(self, other)
            sign, mantissa, exponent, size = self._mpf_
            other_sign, other_mantissa, other_exponent, other_size = theirs
            precision, rounding = rounding_of
            apart = exponent + size - other_exponent - other_size
            # Of terms so far apart that one is lost mpmath makes short work.
            if not (mantissa and other_mantissa and -precision < apart < precision):
                nothing = not mantissa and not exponent and type(other) is mpf
                if nothing and not flip and other_size <= precision:
                    return other
                nothing = not other_mantissa and not other_exponent
                return self if nothing and size <= precision else general(self, other)
            shift = exponent - other_exponent
            if shift > 0:
                mantissa <<= shift
                exponent = other_exponent
            elif shift:
                other_mantissa <<= -shift
            if sign == other_sign ^ flip:
                total = mantissa + other_mantissa
            else:
                total = mantissa - other_mantissa
                if total < 0:
                    sign, total = 1 - sign, -total
                elif not total:
                    sign = 0
            result = make(mpf)
            result._mpf_ = normalize(sign, total, exponent, total.bit_length(), precision, rounding)
            return result

        return added

    def with_sign(general: Callable[[Any], Any], sign_of: Callable[[int], int]) -> Any:
        def signed(self: Any) -> Any:
            sign, mantissa, exponent, size = self._mpf_
            if size > rounding_of[0] or not mantissa:
                return general(self)
            result = make(mpf)
            result._mpf_ = sign_of(sign), mantissa, exponent, size
            return result

        return signed

    def comparison(general: Operator, below: bool, above: bool, equal: bool) -> Operator:
        def compared(self: Any, other: Any) -> Any:
            theirs = other._mpf_ if type(other) is mpf else mantissas_of(other)
            if theirs is None:
                return general(self, other)
            sign, mantissa, exponent, size = self._mpf_
            other_sign, other_mantissa, other_exponent, other_size = theirs
            if not mantissa or not other_mantissa:
                if (exponent and not mantissa) or (other_exponent and not other_mantissa):
                    return general(self, other)  # infinite, or no number
                if mantissa:
                    return below if sign else above
                return equal if not other_mantissa else above if other_sign else below
            if sign != other_sign:
                return below if sign else above
            top, other_top = exponent + size, other_exponent + other_size
            if top == other_top:
                shift = exponent - other_exponent
                if shift > 0:
                    mantissa <<= shift
                elif shift:
                    other_mantissa <<= -shift
                if mantissa == other_mantissa:
                    return equal
                return below if (mantissa < other_mantissa) != bool(sign) else above
            return below if (top < other_top) != bool(sign) else above

        return compared

    mpf.__mul__ = mpf.__rmul__ = multiplication(mpf.__mul__)
    mpf.__truediv__ = division(mpf.__truediv__)
    mpf.__add__ = mpf.__radd__ = addition(mpf.__add__, 0)
    mpf.__sub__ = addition(mpf.__sub__, 1)
    mpf.__neg__ = with_sign(mpf.__neg__, lambda sign: 1 - sign)
    mpf.__abs__ = with_sign(mpf.__abs__, lambda sign: 0)
    for name, answers in {
        "__lt__": (True, False, False),
        "__gt__": (False, True, False),
        "__le__": (True, False, True),
        "__ge__": (False, True, True),
    }.items():
        setattr(mpf, name, comparison(getattr(mpf, name), *answers))
