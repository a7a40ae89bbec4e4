"""F = int e^L on a panel across which L is steep: e^L times what varies slowly, or constant.

With F = rho e^L, rho' = 1 - L' rho: of all solutions one varies as slowly as L' does, and the
others forget within an e-fold how they came in. Where F was far more than that, it is constant
until the slow solution takes over.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from stationary.aliases import Array
from stationary.numbers.arithmetic import DOUBLE
from stationary.numbers.chebyshev import Rule, chebyshev_sum, derived, ends_of, rule
from stationary.numbers.elementary import as_array, depth_of, exp, log, logaddexp, number, to_float
from stationary.panels.roots import find_roots
from stationary.states.scales import SUDDEN

Slowest = tuple[Any, Array, Any]

FORGOTTEN = 1e-6  # of a function that forgets within an e-fold: what is left then is rounding
ROUNDINGS = 64.0  # of the exponent, within which nobody knows which of two is the larger


@dataclass(frozen=True, eq=False)
class Course:
    """What F does on a steep panel."""

    constant: bool
    ratio: Array  # log F - L at the nodes, where it is not constant
    end: Any  # log F - L at the upper edge
    cuts: tuple[Any, ...] = ()  # where (from -1 to 1) the panel must be cut for this to be true
    sharp: bool = True  # whether F changes within an e-fold there
    gain: Any = 0.0  # what a constant gains at the lower edge, in its logarithm
    error: Any = 0.0


def course_on(
    local: Array,
    slopes: Array,
    half: Any,
    lr: Any,
    slip: Any,
    r: Rule,
    *,
    begins: bool,
    finest: Any,
    excess: Any,
    slowest: Slowest | None,
) -> Course:
    """The course of F on a panel.

    Parameters
    ----------
    local
        L at the lower edge, at the nodes and at the upper edge, relative to anything.
    slopes
        L' at the nodes.
    lr, slip
        log F - L at the lower edge, and what it may be off by.
    begins
        Whether F comes from where L is as steep.
    finest
        The smallest distance that is followed, over half the width.
    excess
        What must be added to the logarithms of the slopes.
    slowest
        Where all slopes are above 0, exp(F - L) at the lower edge, at the nodes and at the upper
        edge, for the F that varies slowly: see `slowest_of`.
    """
    nodes, first, last = local[1:-1], number(local[0]), number(local[-1])
    low, top, span = lr + first, number(local.max()), number(local.max() - local.min())
    eps = r.arithmetic.epsilon
    blur = ROUNDINGS * (eps * number(np.abs(local).max()) + slip)
    sudden = bool(eps * span > SUDDEN or span * finest > 1 or slip > SUDDEN)
    standing = Course(constant=True, ratio=low - nodes, end=low - last)
    if low > top + log(number(2 * half)) + depth_of(r.arithmetic):
        return standing
    one = r.arithmetic.one
    ends = np.concatenate([[-one], r.nodes, [one]])
    if (slopes < 0).all() and sudden:
        # All is collected at the lower edge at once.
        gain = first - excess + _extended(-log(-slopes), r)[0]
        total = gain if low == -math.inf else number(logaddexp(low, gain))
        return Course(True, total - nodes, total - last, gain=total - low, error=2 / span)
    wide = span > max(2 * depth_of(r.arithmetic), r.n * r.n / 8)

    def cut(*at: Any, to: Any) -> Course:
        """Next to a sharp cut panels become fine; where they are so already, halves will do."""
        return Course(False, 0 * nodes, to, at if wide else (0 * one,), wide)

    if slowest is None:
        turn = np.flatnonzero((slopes[:-1] > 0) != (slopes[1:] > 0))
        turns = [_crossing(slopes, r.nodes[j], r.nodes[j + 1], r) for j in turn] or [-one]
        return cut(*turns, to=low - last)
    slow = -log(slopes) - excess
    start, at, end = slowest
    slowly = _is_resolved(at, r) and start > 0 and end > 0
    if slowly:
        first_log = log(start) - excess
        late = sudden and lr < first_log + blur
        if begins or late or abs(lr - first_log) < FORGOTTEN:
            end_log = log(end) - excess
            return Course(False, log(at) - excess, end_log, error=2 / span if late else 0.0)
    close = abs(lr - slow[0]) < 1
    if close and (slowly or not wide):
        at, end = _slow(slopes * half, exp(lr), half, r)
        if _is_resolved(at, r) and end > 0:
            return Course(False, log(at), log(number(end)))
    if not slowly and (wide or close):
        # L' varies by too much: it falls to nothing at one end.
        octaves = max(1, math.ceil(math.log2(float(slopes.max() / slopes.min()))))
        towards = 1 if slopes[-1] < slopes[0] else -1
        cuts = tuple(towards * (one - 2 * one / 2**j) for j in range(1, octaves + 1))
        return Course(False, 0 * nodes, number(slow[-1]), cuts, sharp=False)
    after = log(end) - excess if slowly else number(slow[-1])
    if low == -math.inf:
        return cut(-one, to=after)
    # F is constant until what comes in here takes over: that is where.
    ahead = nodes + slow - low
    edge = _extended(ahead, r)
    beyond = np.concatenate([[edge[0]], ahead, [edge[1]]])
    late_at = np.flatnonzero(np.asarray(beyond > 0, dtype=bool))
    if sudden and not (beyond > blur).any():
        return standing
    if not len(late_at):
        return cut(one, to=low - last)
    j = int(late_at[0])
    return cut(-one if j == 0 else _crossing(ahead, ends[j - 1], ends[j], r), to=after)


def _extended(values: Array, r: Rule) -> tuple[Any, Any]:
    """A polynomial's values at -1 and 1, from those at the nodes."""
    low, high = ends_of((r.coefficients @ values[:, None])[:, 0])
    return number(low), number(high)


def _crossing(values: Array, low: Any, high: Any, r: Rule) -> Any:
    """Where the polynomial with these values at the nodes is zero between two points."""
    c = r.coefficients @ values[:, None]
    between = r.arithmetic.array([low]), r.arithmetic.array([high])
    return number(find_roots(lambda t: chebyshev_sum(c, t), *between)[0])


def derivatives(c: Array, r: Rule) -> Array:
    """The derivatives at the nodes of polynomials with coefficients c, shape (n, polynomials)."""
    return as_array(r.at_nodes @ derived(c))


def _slow(slopes: Array, first: Any, half: Any, r: Rule) -> tuple[Array, Any]:
    """rho at the nodes and at the right end: rho' = half - slopes rho, from rho = first.

    Solved in doubles, and corrected by what it leaves over.
    """
    inverse = np.linalg.inv(np.diag(1 / to_float(slopes)) + _integration(r.n))[None]
    unit = half / slopes[0]
    right = ((half / slopes - first) / unit)[:, None]

    def integrals(d: Array) -> tuple[Array, Array]:
        c = r.antiderivative @ (r.coefficients @ d)
        return r.at_nodes @ c[: r.n], c.sum(axis=0)

    def left(d: Array) -> Array:
        return as_array(right - d / slopes[:, None] - integrals(d)[0])

    within, whole = integrals(_corrected(0 * right, left, inverse, r))
    return first + unit * within[:, 0], first + unit * number(whole[0])


def _is_resolved(rho: Array, r: Rule) -> bool:
    size = np.abs(rho).max()
    tail = np.abs((r.coefficients @ rho[:, None])[-3:, 0]).max()
    return bool((rho > 0).all() and tail < 1e4 * r.arithmetic.epsilon * size)


def slowest_of(slopes: Array, half: Array, r: Rule) -> tuple[Array, Array, Array]:
    """rho at the left end, at the nodes and at the right end: that which varies slowly.

    Of all solutions of rho' = half - slopes rho it is the only one that a polynomial follows.
    `slopes` is of shape (n, panels), and above 0; `half` of shape (panels,).
    """
    plain, relative, first = rule(r.n), slopes / slopes[0], slopes[0]
    steep = np.minimum(to_float(first), 1e300)[:, None, None]
    inverse = np.linalg.inv(plain.slopes / steep + to_float(relative).T[:, :, None] * np.eye(r.n))
    unit = r.arithmetic.array(inverse.sum(axis=2).T)  # of half / slopes[0]
    if r.arithmetic is not DOUBLE:

        def left(unit: Array) -> Array:
            return as_array(1 - derivatives(r.coefficients @ unit, r) / first - relative * unit)

        unit = _corrected(unit, left, inverse, r)
    scale, (low, high) = half / first, ends_of(r.coefficients @ unit)
    return scale * low, scale * unit, scale * high


def _corrected(d: Array, left: Callable[[Array], Array], inverse: Array, r: Rule) -> Array:
    """The solutions of linear systems in many digits, from what is left over at d.

    `inverse` is those of the systems in doubles, shape (systems, n, n); `d` and what is left over
    have shape (n, systems). Each step gains as many digits as doubles solve them to, until all are
    right or none gains.
    """
    rest = left(d)
    worst = np.abs(rest).max(axis=0)
    open_ones = worst > 64 * r.arithmetic.epsilon
    while open_ones.any():
        relative = to_float(rest / np.where(worst > 0, worst, 1))
        d = d + r.arithmetic.array(np.einsum("sij,js->is", inverse, relative)) * worst
        rest = left(d)
        before, worst = worst, np.abs(rest).max(axis=0)
        open_ones = (worst > 64 * r.arithmetic.epsilon) & (worst < before / 4)
    return d


@functools.cache
def _integration(n: int) -> Array:
    """Values at the nodes -> integrals from -1 to the nodes (doubles)."""
    r = rule(n)
    return as_array(r.basis.T @ (r.antiderivative @ r.coefficients)[:n])
