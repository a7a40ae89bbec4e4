"""Truncated power series as their coefficients c_0, ..., c_K, arrays of which any may be `ZERO`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

ZERO = 0  # a coefficient known to vanish everywhere; small integers are unique, so `is` finds it


def plus(a: Any, b: Any) -> Any:
    return b if a is ZERO else a if b is ZERO else a + b


def minus(a: Any, b: Any) -> Any:
    return a if b is ZERO else -b if a is ZERO else a - b


def convolved(
    times: Callable[[Any, Any], Any], u: Sequence[Any], v: Sequence[Any], order: int
) -> tuple[Any, ...]:
    """u times v: either may be a constant, of which the others vanish."""
    made = [times(u[0], v[0])]
    for k in range(1, order + 1):
        total: Any = ZERO
        for j in range(k + 1):
            if j < len(u) and k - j < len(v) and u[j] is not ZERO and v[k - j] is not ZERO:
                total = plus(total, times(u[j], v[k - j]))
        made.append(total)
    return tuple(made)


def divided(
    divide: Callable[[Any, Any], Any], u: Sequence[Any], v: Sequence[Any]
) -> tuple[Any, ...]:
    """q = u / v, from u = q v solved for one coefficient of q after the other."""
    q = [divide(u[0], v[0])]
    for k in range(1, len(v)):
        rest = u[k]
        for j in range(1, k + 1):
            if v[j] is not ZERO and q[k - j] is not ZERO:
                rest = minus(rest, v[j] * q[k - j])
        q.append(rest if rest is ZERO else divide(rest, v[0]))
    return tuple(q)


def integrated(u: Sequence[Any], h: Sequence[Any], k: int) -> Any:
    """y_k of y' = h u': (1/k) sum_(j=1..k) j u_j h_(k-j)."""
    total: Any = ZERO
    for j in range(1, k + 1):
        a, b = u[j], h[k - j]
        if a is not ZERO and b is not ZERO:
            total = plus(total, a * b if j == 1 else j * a * b)
    return total if k == 1 or total is ZERO else total / k
