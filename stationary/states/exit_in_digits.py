"""Exit from between two points where exponents are so large that only many digits carry them.

With scale density s = a^-c exp(-int 2 f / a) and speed density m = (2 / a^(1-c)) exp(int 2 f / a),
both up to constants that cancel (c = 0 for Ito): from x, the probability to reach b before a is
S(x) / S(b) with S = int_a s; the mean time to reach b, with what lies below a keeping its
probability inside, is int_x^b s(y) (int^y m) dy. The inner integrals are distribution functions
of states without current, so everything that holds for those (both tails, singular ends,
logarithms throughout) holds here.

References
----------
.. [1] S. Karlin and H. M. Taylor, *A Second Course in Stochastic Processes*, ch. 15.3.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stationary.line.ends import anatomy
from stationary.line.feller import Feller
from stationary.line.reshape import within
from stationary.line.sampling import Sampling, nodes_in
from stationary.numbers.arithmetic import DOUBLE
from stationary.numbers.chebyshev import nodes_of, rule
from stationary.numbers.elementary import (
    arithmetic_of,
    compact,
    depth_of,
    exact_sum,
    exp,
    finite,
    infinite,
    log,
    logsumexp,
    number,
    smallest_of,
    spacing,
)
from stationary.states.law import Passage
from stationary.weight.component import Component, component_on

__all__ = ["mean_exit_passage", "splitting_probabilities"]

Array = NDArray[Any]

ROUNDS = 60
TRUSTED = 1e-11
MARGIN = 200.0  # by which an integrand may rise between two cuts


def _scale(found: Sampling, low: Any, high: Any) -> tuple[Component | None, bool, bool]:
    """The scale measure between two points, normalised, and whether it is finite at each end."""
    parts = anatomy(within(found, low, high))
    c = float(found.diffusion.convention.value)
    finite = tuple(bool(end.converges(-1, c)) for end in parts.ends)
    return (component_on(parts, -1, c)[1] if all(finite) else None), finite[0], finite[1]


def splitting_probabilities(found: Sampling, x: Any, below: Any, above: Any) -> tuple[Any, Any]:
    """log of the probabilities to reach `below` first and `above` first."""
    lower, upper = found.interval
    ends = anatomy(found).ends
    low = lower if below is None else below
    high = upper if above is None else above
    if below == x or above == x or low == high:
        return (0.0 if below == x else -math.inf), (0.0 if above == x else -math.inf)
    scale, finite_low, finite_high = _scale(found, low, high)
    # An end that is not a target turns the process back, unless the scale measure is finite
    # there and nothing reflects: then it may be lost to it.
    lost_low = below is not None or (finite_low and not ends[0].reflects)
    lost_high = above is not None or (finite_high and not ends[1].reflects)
    to_low: Any = -math.inf
    to_high: Any = -math.inf
    if not (finite_low and lost_low):
        to_high = 0.0 if finite_high and lost_high else -math.inf
    elif not (finite_high and lost_high):
        to_low = 0.0
    else:
        assert scale is not None
        at = np.array([x])
        to_low, to_high = number(scale.logsf(at)[0]), number(scale.logcdf(at)[0])
    return (to_low if below is not None else -math.inf), (
        to_high if above is not None else -math.inf
    )


def mean_exit_passage(found: Sampling, x: Any, below: Any, above: Any) -> Passage:
    """The mean time from x to `below` or `above`, whichever comes first; one may be None."""
    if x in (below, above):
        return Passage(-math.inf, 0.0)
    for target, end, k in ((below, found.interval[0], 0), (above, found.interval[1], 1)):
        # A natural end is come to in infinite time or never, whatever a sum might give.
        singular = target is not None and target == end and found.open_ends[k]
        if singular and anatomy(found).ends[k].feller is Feller.ATTRACTING:
            return Passage(math.inf, 0.0)
    if below is not None and above is not None:
        return _two_sided(found, x, below, above)
    if above is not None:
        return _one_sided(found, x, above, upwards=True)
    if below is not None:
        return _one_sided(found, x, below, upwards=False)
    return Passage(math.inf, 0.0)


def _one_sided(found: Sampling, x: Any, target: Any, *, upwards: bool) -> Passage:
    lower, upper = found.interval
    part = within(found, lower, target) if upwards else within(found, target, upper)
    parts = anatomy(part)
    behind = parts.ends[0 if upwards else 1]
    ahead = parts.ends[1 if upwards else 0]
    if not behind.integrable or not behind.reflects:
        return Passage(math.inf, 0.0)  # probability is lost, or spreads without limit
    if not ahead.integrable:
        # The speed measure is infinite at the target, but finite up to any point before it.
        if not ahead.converges(-1, float(found.diffusion.convention.value)):
            return Passage(math.inf, 0.0)
        near = _before_singular(part, upwards)
        if (x < near) if upwards else (x > near):
            part = within(part, lower, near) if upwards else within(part, near, upper)
            parts = anatomy(part)
        else:
            return _two_sided(found, x, *((lower, target) if upwards else (target, upper)))
    parts, speed = component_on(parts)
    panels, density = parts.sampling.panels, speed.density
    # 2 s m with the speed measure normalised: log s = -(log P + log a) on the same panels.
    c = -density.coefficients
    c[:-1] -= parts.sampling.ell

    constant = speed.log_norm + _log_two(found)

    def ceiling(y: Array) -> Array:
        return np.asarray(panels.evaluate(c, y) + constant)

    def integrand(y: Array) -> Array:
        return ceiling(y) + (speed.logcdf(y) if upwards else speed.logsf(y))

    low, high = (x, target) if upwards else (target, x)
    low, high = max(low, parts.sampling.lower), min(high, parts.sampling.upper)
    if x == lower and upwards and parts.sampling.open_ends[0]:
        low = _before_singular(parts.sampling, False)
    if x == upper and not upwards and parts.sampling.open_ends[1]:
        high = _before_singular(parts.sampling, True)
    integrals = [
        _log_integral(integrand, ceiling, _cuts(speed, low, high)),
        _log_rest(integrand, target, high if upwards else low),
    ]
    if x == (lower if upwards else upper):  # from an entrance end, before the panels begin
        integrals.append(_log_rest(integrand, x, low if upwards else high))
    return _added(integrals, _blur(speed, low, high))


def _before_singular(part: Sampling, upwards: bool) -> Any:
    """The last point before a singular end up to which int 2 f / a is known to 1e-11.

    Beyond all powers it grows without limit, and its rounding with it, while the time that is
    left falls with the distance.
    """
    p, end = part.panels, part.interval[1 if upwards else 0]
    h = np.abs(part.samples.values[0]).max(axis=0)
    r = np.abs((p.lower if upwards else p.upper) - end)
    known = np.flatnonzero(np.asarray(h * r * part.epsilon < TRUSTED, dtype=bool))
    if not len(known):
        return part.lower if upwards else part.upper
    return p.upper[known[-1]] if upwards else p.lower[known[0]]


def _two_sided(found: Sampling, x: Any, below: Any, above: Any) -> Passage:
    scale, _, _ = _scale(found, below, above)
    if scale is None:
        return Passage(math.inf, 0.0)
    density = scale.density
    panels, part = density.panels, density.sampling
    # With q(z) = S(z) / S the chance to leave above, the time is 2 S times
    # q(x) int_x (1 - q) m + (1 - q(x)) int^x q m; log m = -(log s + log a).
    c = -density.coefficients
    c[:-1] -= part.ell
    at = np.array([x])
    to_above, to_below = number(scale.logcdf(at)[0]), number(scale.logsf(at)[0])

    constant = scale.log_norm + _log_two(found)

    def speed(z: Array) -> Array:
        return np.asarray(panels.evaluate(c, z) + constant)

    low, high = max(below, part.lower), min(above, part.upper)

    def on_the_right(z: Array) -> Array:
        return np.asarray(speed(z) + scale.logsf(z) + to_above)

    def on_the_left(z: Array) -> Array:
        return np.asarray(speed(z) + scale.logcdf(z) + to_below)

    parts = [
        _log_integral(on_the_right, lambda z: speed(z) + to_above, _cuts(scale, x, high)),
        _log_integral(on_the_left, lambda z: speed(z) + to_below, _cuts(scale, low, x)),
        _log_rest(on_the_right, above, high),
        _log_rest(on_the_left, below, low),
    ]
    return _added(parts, _blur(scale, low, high))


def _added(parts: list[tuple[Any, Any]], blur: Any) -> Passage:
    """The time that integrals, given as logarithms with their errors, add up to."""
    log_time = logsumexp(np.array([part for part, _ in parts]))
    shares = [exp(part - log_time) * error for part, error in parts if part > -math.inf]
    return Passage(log_time, compact(sum(shares) + blur))


def _log_two(found: Sampling) -> Any:
    return log(number(2 * found.arithmetic.one))


def _cuts(c: Component, low: Any, high: Any) -> Array:
    """Where to start cutting [low, high]: at the turns and along the mesh of the inner measure."""
    ends = np.array([low, high], dtype=c.density.turns.dtype)
    edges = np.concatenate(
        [c.density.turns, c.mesh.lower, c.mesh.upper, c.density.panels.edges, ends]
    )
    return np.unique(edges[(edges >= low) & (edges <= high)])


def _blur(c: Component, low: Any, high: Any) -> Any:
    """What the errors of int 2 f / a leave in a time: those of all panels on the way."""
    p = c.density.panels
    near = (p.upper > low) & (p.lower < high)
    return 1.5 * (c.norm_error + number(c.density.errors[near].max(initial=0.0)))


def _log_rest(integrand: Callable[[Array], Array], end: Any, start: Any) -> tuple[Any, Any]:
    """log of the integral from where the panels stop to a singular end, and its error.

    There log of the integrand goes as power log r + tilt (r / reach)^q, which four points tell.
    """
    if end == start or infinite(end):
        return -math.inf, 0.0
    r = start - end
    steps = r * np.array([1.0, 2.0, 4.0, 8.0])
    values = integrand(exact_sum(np.array([end]), steps))
    if not finite(values).all():
        return math.inf, 0.0
    one, rises = number(values[0]), np.diff(values)
    arithmetic = arithmetic_of(one)
    log_2, rounding = log(number(2 * arithmetic.one)), 4.5 * arithmetic.epsilon
    bend, further = np.diff(rises)
    tilt, q = number(arithmetic.zero), number(arithmetic.one)
    error = 4 * abs(bend)
    ratio = number(further / bend) if bend else 0.0  # 2^q
    if abs(bend) > 16 * rounding * (1 + abs(one)) and 1.01 < ratio < 8:
        tilt, q = number(bend / (ratio - 1) ** 2), log(ratio) / log_2
        error = tilt**2
    power = number(rises[0] - tilt * (2**q - 1)) / log_2
    if not power > -1:
        return math.inf, 0.0
    share = 1 / (power + 1) + tilt * (1 / (power + q + 1) - 1 / (power + 1))
    return one + log(number(abs(r) * share)), number(error / (power + 1) + rounding)


def _log_integral(
    integrand: Callable[[Array], Array], ceiling: Callable[[Array], Array], cuts: Array
) -> tuple[Any, Any]:
    """log of int exp(integrand) between the first and the last cut, and its absolute error.

    The integrand nowhere exceeds the `ceiling`, which is cheaper.
    """
    arithmetic = arithmetic_of(cuts)
    r, epsilon = rule(nodes_in(arithmetic), arithmetic), arithmetic.epsilon
    depth, least = depth_of(arithmetic), smallest_of(arithmetic)
    lower, upper = cuts[:-1], cuts[1:]
    if arithmetic is not DOUBLE:
        # A look at the cuts alone tells most of what cannot matter, at a fraction of the cost.
        at = ceiling(cuts)
        height = np.maximum(at[:-1], at[1:])
        least_top = integrand(cuts[[int(np.argmax(at))]])[0]
        if 4 * epsilon * abs(least_top) > MARGIN:
            # The exponent is so large that its own rounding covers all the rest.
            return least_top, 4 * epsilon * abs(least_top)
        low = height < least_top - (depth + MARGIN)
        lower, upper = lower[~low], upper[~low]
    best: Any = -math.inf
    logs: list[Array] = []
    errors: list[Array] = []
    for _ in range(ROUNDS if arithmetic is DOUBLE else 4 * arithmetic.digits):
        if not len(lower):
            break
        x, _ = nodes_of(lower, upper, r)
        value = integrand(x.ravel()).reshape(x.shape)
        top = value.max(axis=0)
        seen = finite(top)
        with np.errstate(invalid="ignore"):
            c = r.coefficients @ exp(value - np.where(seen, top, 0))
        half = (upper - lower) / 2
        with np.errstate(divide="ignore"):
            log_part = top + log(half * np.maximum(r.integral @ c, least))
        best = max(best, number(log_part[seen].max(initial=-math.inf)))
        cut = np.abs(c[-3:]).max(axis=0)
        size = np.abs(c).max(axis=0)
        matters = seen & (log_part > best - depth)
        # The integrand is the difference of exponents that may be large: their rounding is its own.
        large = np.abs(ceiling(np.concatenate([lower, upper]))).reshape(2, -1).max(axis=0)
        fine = cut <= (18 * epsilon + 4 * epsilon * np.where(finite(large), large, 0)) * size
        # What weighs little may be rough: its cut-off counts against the whole.
        share = np.maximum(cut / np.where(size == 0, 1, size), 1e-300)
        with np.errstate(divide="ignore"):
            slight = log(share) + log_part < best - (depth - 9)
        narrow = (upper - lower) <= 64 * spacing(np.maximum(np.abs(lower), np.abs(upper)))
        done = fine | narrow | slight
        keep = matters & done
        logs.append(log_part[keep])
        errors.append(log_part[keep] + log(np.maximum(share[keep], 0.045 * epsilon)))
        again = matters & ~done
        lower, upper = lower[again], upper[again]
        middle = (lower + upper) / 2
        lower, upper = np.concatenate([lower, middle]), np.concatenate([middle, upper])
    total = logsumexp(np.concatenate(logs)) if logs else -math.inf
    if infinite(total):
        return total, 0.0
    left_out = exp(logsumexp(np.concatenate(errors)) - total)
    return total, left_out + 2 * epsilon * (1 + abs(total))
