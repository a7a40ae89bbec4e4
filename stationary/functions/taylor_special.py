"""Special functions of SciPy, by their names: it need not be imported."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from stationary.functions.source_lines import refusal
from stationary.functions.taylor import Taylor, decided, lifted, operand
from stationary.functions.taylor_calls import FUNCTIONS, UFUNCS
from stationary.functions.taylor_elementary import (
    absolute,
    by_derivative,
    by_system,
    logaddexp,
    smooth,
    square,
    step_function,
    where,
)
from stationary.numbers.arithmetic import DOUBLE

Rule = Callable[..., Any]
NEAR = 0.5  # where third derivatives of u / u lose three bits, and u^20 / 21! is 2e-26
TERMS = [1 / math.factorial(k + 1) for k in range(20)]  # of (e^u - 1) / u


def _logistic(u: Taylor) -> Taylor:
    """1 / (1 + e^-u): 1 - y would cancel in y' = y (1 - y)."""
    f = decided(u).arithmetic
    return by_system(
        [f.logistic(u.value), f.logistic(-u.value)], u, lambda y, rest: (y * rest, -y * rest)
    )


def _log_normal_distribution(u: Taylor) -> Any:
    """y = log of the normal distribution function: y' = h, its hazard, and h' = -h (u + h).

    Far below 0, where u + h cancels, by h's asymptotic series, whose error is less than a digit in
    as many as there are.
    """
    f = decided(u).arithmetic
    digits = math.ceil(getattr(f, "accuracy", DOUBLE.accuracy)) + 2
    far = u.value < -4 * math.sqrt(digits)

    def rule(y: Taylor, h: Taylor) -> tuple[Taylor, Taylor]:
        return h, -h * (Taylor(u.coefficients[: y.order + 1], f) + h)

    near = by_system([f.log_ndtr(u.value), f.hazard(u.value)], u, rule)
    if isinstance(far, np.ndarray) and not far.any():
        return near
    sum_, step = 1 + 0 * u, 1 / square(u)
    for k in range(2 * math.ceil(0.7 * digits) - 1, 0, -2):
        sum_ = 1 - k * (step * sum_)
    constant = f.log(f.array(2 * f.pi)) / 2
    return where(far, smooth("log", sum_) - square(u) / 2 - smooth("log", -u) - constant, near)


def _normal_distribution(u: Taylor) -> Any:
    return smooth("erfc", -u / u.arithmetic.sqrt(u.arithmetic.array(2))) / 2


def _times_log(name: str, x: Any, y: Any) -> Any:
    """x log(y), or x log(1 + y), which is 0 where x is."""
    x, y = lifted(x, y)
    return where(np.equal(x.value, 0), 0 * y, x * smooth(name, y))


def _of_order(name: str, n: Any, u: Any, slope: Rule) -> Any:
    """A function of u and of an order n, which is a constant, from those of other orders."""
    if isinstance(operand(n), Taylor) or not isinstance(u, Taylor):
        raise refusal(f"{name} of an order that depends on the weights", "")
    value = u.arithmetic.functions[name](n, u.value)
    return by_derivative(value, u, functools.partial(slope, n))


def _polygamma(n: Any, u: Any) -> Any:
    return _of_order("polygamma", n, u, lambda n, low: _polygamma(n + 1, low))


def _bessel(n: Any, u: Any) -> Any:
    return _of_order(
        "iv", n, u, lambda n, low: (_bessel(np.abs(n - 1), low) + _bessel(n + 1, low)) / 2
    )


def _scaled_bessel(n: Any, u: Any) -> Any:
    """e^-|u| I_n(u)."""

    def slope(n: Any, low: Taylor) -> Any:
        around = _scaled_bessel(np.abs(n - 1), low) + _scaled_bessel(n + 1, low)
        return around / 2 - step_function("sign", low) * _scaled_bessel(n, low)

    return _of_order("ive", n, u, slope)


def _log_gamma(u: Taylor) -> Taylor:
    value = u.arithmetic.functions["gammaln"](u.value)
    return by_derivative(value, u, lambda low: _polygamma(0, low))


def _log_beta(a: Any, b: Any) -> Any:
    a, b = lifted(a, b)
    return _log_gamma(a) + _log_gamma(b) - _log_gamma(a + b)


def _gamma(u: Taylor) -> Taylor:
    if not (np.asarray(u.arithmetic.to_float(u.value)) > 0).all():
        raise refusal("gamma of what is not positive", "")
    return smooth("exp", _log_gamma(u))


def _huber(delta: Any, u: Any) -> Any:
    delta, u = lifted(delta, u)
    size = absolute(u)
    return where(size <= delta, square(u) / 2, delta * (size - delta / 2))


def _pseudo_huber(delta: Any, u: Any) -> Any:
    delta, u = lifted(delta, u)
    ratio = u / delta
    return square(u) / (1 + smooth("sqrt", 1 + square(ratio)))


def _quotient(above: Any, below: Any, u: Any, terms: Sequence[float]) -> Any:
    """above / below, functions of u, which cancels next to 0: there by its power series."""
    f, series = u.arithmetic, 0 * u
    for term in reversed(terms):
        series = series * u + term
    return where(
        np.less(f.abs(u.value), NEAR if f.dtype == float else f.grain), series, above / below
    )


def _sinc(x: Any) -> Any:
    """sin(pi x) / (pi x)."""
    u = x * x.arithmetic.pi
    return _quotient(
        smooth("sin", u), u, u, [t * (1, 0, -1, 0)[k % 4] for k, t in enumerate(TERMS)]
    )


def _relative_entropy(x: Any, y: Any) -> Any:
    x, y = lifted(x, y)
    return where(np.equal(x.value, 0), 0 * y, x * smooth("log", x / y))


def _box_cox(u: Any, power: Any) -> Any:
    u, power = lifted(u, power)
    log = smooth("log", u)
    return where(np.equal(power.value, 0), log, smooth("expm1", power * log) / power)


UFUNCS.update(
    {
        "erf": functools.partial(smooth, "erf"),
        "erfc": functools.partial(smooth, "erfc"),
        "ndtr": _normal_distribution,
        "log_ndtr": _log_normal_distribution,
        "expit": _logistic,
        "log_expit": lambda u: -logaddexp(0, -u),
        "softplus": lambda u: logaddexp(u, 0),
        "logit": lambda u: smooth("log", u) - smooth("log1p", -u),
        "xlogy": functools.partial(_times_log, "log"),
        "xlog1py": functools.partial(_times_log, "log1p"),
        "entr": lambda u: -_times_log("log", u, u),
        "rel_entr": _relative_entropy,
        "kl_div": lambda x, y: _relative_entropy(x, y) - x + y,
        "huber": _huber,
        "pseudo_huber": _pseudo_huber,
        "boxcox": _box_cox,
        "gammaln": _log_gamma,
        "loggamma": _log_gamma,
        "gamma": _gamma,
        "psi": functools.partial(_polygamma, 0),
        "betaln": _log_beta,
        "beta": lambda a, b: smooth("exp", _log_beta(a, b)),
        "i0": functools.partial(_bessel, 0),
        "i1": functools.partial(_bessel, 1),
        "iv": _bessel,
        "i0e": functools.partial(_scaled_bessel, 0),
        "i1e": functools.partial(_scaled_bessel, 1),
        "ive": _scaled_bessel,
        "exprel": lambda u: _quotient(smooth("expm1", u), u, u, TERMS),
        "cosm1": lambda u: -2 * square(smooth("sin", u / 2)),
    }
)
FUNCTIONS[np.sinc] = _sinc
