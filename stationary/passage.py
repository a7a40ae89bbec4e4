"""First passage: where a process arrives first, and how long that takes on average.

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
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stationary.anatomy import anatomy
from stationary.component import Component, component_on
from stationary.diffusion import Diffusion
from stationary.errors import LandscapeError
from stationary.landscape import Landscape
from stationary.panels import nodes_of, rule
from stationary.reshape import dual, within
from stationary.survey import NODES, Survey, survey
from stationary.zero_flux import EPSILON

__all__ = [
    "Passage",
    "exit_passage",
    "hitting_probability",
    "log_hitting_probability",
    "log_mean_first_passage_time",
    "mean_first_passage_time",
]

Array = NDArray[Any]

DEPTH = 45.0
ROUNDS = 60


@dataclass(frozen=True)
class Passage:
    """A mean first-passage time, as its natural logarithm; infinite where it is."""

    log_time: float
    error: float  # absolute of log_time: relative of time

    @property
    def time(self) -> float:
        """In the unit of time of the process: steps, for SGD."""
        return math.exp(self.log_time) if self.log_time < 709.7 else math.inf


def mean_first_passage_time(
    process: Diffusion | Landscape, start: float, target: float | tuple[float, float]
) -> float:
    """The mean time from `start` until a target is reached first.

    Parameters
    ----------
    process
        A `Diffusion`, or a `Landscape`, whose diffusion is then taken.
    start
        A point of the domain.
    target
        A point, or a pair of points on either side of `start`: the first of them counts.

    Returns
    -------
    float
        In the unit of time of the process (SGD steps for a landscape). inf where the target may
        never be reached, where the mean is infinite, and where it is beyond the range of doubles:
        `log_mean_first_passage_time` then tells these apart.

    Raises
    ------
    LandscapeError
        If a point lies outside the domain.
    """
    return _passage(process, start, target).time


def log_mean_first_passage_time(
    process: Diffusion | Landscape, start: float, target: float | tuple[float, float]
) -> float:
    """The natural logarithm of `mean_first_passage_time`, right where that would overflow."""
    return _passage(process, start, target).log_time


def hitting_probability(
    process: Diffusion | Landscape, start: float, targets: Sequence[float]
) -> tuple[float, ...]:
    """The probability, for each target, that it is the first one to be reached from `start`.

    Parameters
    ----------
    process
        A `Diffusion`, or a `Landscape`, whose diffusion is then taken.
    start
        A point of the domain.
    targets
        Points of the domain, among them possibly its ends. Only the nearest on either side can
        be reached first. The probabilities add up to less than one if the process may never
        reach any of them.

    Raises
    ------
    LandscapeError
        If a point lies outside the domain.
    """
    return tuple(math.exp(log_p) for log_p in log_hitting_probability(process, start, targets))


def log_hitting_probability(
    process: Diffusion | Landscape, start: float, targets: Sequence[float]
) -> tuple[float, ...]:
    """The natural logarithms of `hitting_probability`; -inf where it is zero."""
    found = _surveyed(process)
    points = [_inside(found, t, "target") for t in targets]
    x = _inside(found, start, "start")
    below = max((t for t in points if t <= x), default=None)
    above = min((t for t in points if t >= x), default=None)
    left, right = _split(found, x, below, above)
    return tuple(
        0.0 if t == x else left if t == below else right if t == above else -math.inf
        for t in points
    )


# -- how it is done -----------------------------------------------------------------------------


def _surveyed(process: Diffusion | Landscape) -> Survey:
    if not isinstance(process, (Diffusion, Landscape)):
        raise LandscapeError(f"a Diffusion or a Landscape is needed, not {process!r:.80}.")
    diffusion = process.diffusion() if isinstance(process, Landscape) else process
    return survey(diffusion, complete=True)  # the scale grows where the density falls


def _inside(found: Survey, x: float, what: str) -> float:
    lower, upper = found.diffusion.domain
    value = float(x)
    if not lower <= value <= upper:
        raise LandscapeError(
            f"{found.diffusion.name}: {what} = {value:g} lies outside the domain "
            f"({lower:g}, {upper:g})."
        )
    return value


def _scale(found: Survey, low: float, high: float) -> tuple[Component | None, bool, bool]:
    """The scale measure between two points, normalised, and whether it is finite at each end."""
    parts = anatomy(dual(within(found, low, high)))
    finite = tuple(bool(end.integrable) for end in parts.ends)
    return (component_on(parts)[1] if all(finite) else None), finite[0], finite[1]


def _split(
    found: Survey, x: float, below: float | None, above: float | None
) -> tuple[float, float]:
    """log of the probabilities to reach `below` first and `above` first."""
    lower, upper = found.diffusion.domain
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
    to_low, to_high = -math.inf, -math.inf
    if not (finite_low and lost_low):
        to_high = 0.0 if finite_high and lost_high else -math.inf
    elif not (finite_high and lost_high):
        to_low = 0.0
    else:
        assert scale is not None
        at = np.array([x])
        to_low, to_high = float(scale.logsf(at)[0]), float(scale.logcdf(at)[0])
    return (to_low if below is not None else -math.inf), (
        to_high if above is not None else -math.inf
    )


def _passage(
    process: Diffusion | Landscape, start: float, target: float | tuple[float, float]
) -> Passage:
    found = _surveyed(process)
    x = _inside(found, start, "start")
    points = target if isinstance(target, (tuple, list)) else (target,)
    ends = [_inside(found, t, "target") for t in points]
    below = max((t for t in ends if t <= x), default=None)
    above = min((t for t in ends if t >= x), default=None)
    return exit_passage(found, x, below, above)


def exit_passage(found: Survey, x: float, below: float | None, above: float | None) -> Passage:
    """The mean time from x to `below` or `above`, whichever comes first; one may be None."""
    if x in (below, above):
        return Passage(-math.inf, 0.0)
    if below is not None and above is not None:
        return _two_sided(found, x, below, above)
    if above is not None:
        return _one_sided(found, x, above, upwards=True)
    if below is not None:
        return _one_sided(found, x, below, upwards=False)
    return Passage(math.inf, 0.0)


def _one_sided(found: Survey, x: float, target: float, *, upwards: bool) -> Passage:
    lower, upper = found.diffusion.domain
    part = within(found, lower, target) if upwards else within(found, target, upper)
    parts = anatomy(part)
    behind = parts.ends[0 if upwards else 1]
    ahead = parts.ends[1 if upwards else 0]
    if not behind.integrable or not behind.reflects:
        return Passage(math.inf, 0.0)  # probability is lost, or spreads without limit
    if not ahead.integrable:
        # The speed measure is infinite at the target: only its product with the scale counts.
        parts = anatomy(dual(part))
        if not parts.ends[1 if upwards else 0].integrable:
            return Passage(math.inf, 0.0)
        return _two_sided(found, x, *((lower, target) if upwards else (target, upper)))
    parts, speed = component_on(parts)
    panels, density = parts.survey.panels, speed.density
    # 2 s m with the speed measure normalised: log s = -(log P + log a) on the same panels.
    c = -density.coefficients
    c[:-1] -= parts.survey.ell

    def integrand(y: Array) -> Array:
        inner = speed.logcdf(y) if upwards else speed.logsf(y)
        return panels.evaluate(c, y) + inner + speed.log_norm + math.log(2.0)

    low, high = (x, target) if upwards else (target, x)
    low, high = max(low, parts.survey.lower), min(high, parts.survey.upper)
    log_time, error = _log_integral(integrand, _cuts(speed, low, high))
    return Passage(log_time, error + _blur(speed, low, high))


def _two_sided(found: Survey, x: float, below: float, above: float) -> Passage:
    scale, _, _ = _scale(found, below, above)
    if scale is None:
        return Passage(math.inf, 0.0)
    density = scale.density
    panels, part = density.panels, density.survey
    # With q(z) = S(z) / S the chance to leave above, the time is 2 S times
    # q(x) int_x (1 - q) m + (1 - q(x)) int^x q m; log m = -(log s + log a).
    c = -density.coefficients
    c[:-1] -= part.ell
    at = np.array([x])
    to_above, to_below = float(scale.logcdf(at)[0]), float(scale.logsf(at)[0])

    def speed(z: Array) -> Array:
        return panels.evaluate(c, z) + scale.log_norm + math.log(2.0)

    low, high = max(below, part.lower), min(above, part.upper)

    def on_the_right(z: Array) -> Array:
        return speed(z) + scale.logsf(z) + to_above

    def on_the_left(z: Array) -> Array:
        return speed(z) + scale.logcdf(z) + to_below

    parts = [
        _log_integral(on_the_right, _cuts(scale, x, high)),
        _log_integral(on_the_left, _cuts(scale, low, x)),
        _log_rest(on_the_right, above, high),
        _log_rest(on_the_left, below, low),
    ]
    log_time = float(np.logaddexp.reduce([log for log, _ in parts]))
    shares = [math.exp(log - log_time) * error for log, error in parts if log > -math.inf]
    return Passage(log_time, sum(shares) + _blur(scale, low, high))


def _cuts(c: Component, low: float, high: float) -> Array:
    """Where to start cutting [low, high]: at the turns and along the mesh of the inner measure."""
    edges = np.concatenate(
        [c.density.turns, c.mesh.lower, c.mesh.upper, c.density.panels.edges, [low, high]]
    )
    return np.unique(edges[(edges >= low) & (edges <= high)])


def _blur(c: Component, low: float, high: float) -> float:
    """What the errors of int 2 f / a leave in a time: those of all panels on the way."""
    p = c.density.panels
    near = (p.upper > low) & (p.lower < high)
    return 1.5 * (c.norm_error + float(c.density.errors[near].max(initial=0.0)))


def _log_rest(integrand: Callable[[Array], Array], end: float, start: float) -> tuple[float, float]:
    """log of the integral from where the panels stop to a singular end, and its error.

    There the integrand goes as a power of the distance, which two points tell.
    """
    if end == start or math.isinf(end):
        return -math.inf, 0.0
    r = start - end
    one, two, four = integrand(end + r * np.array([1.0, 2.0, 4.0]))
    power, before = (two - one) / math.log(2), (four - two) / math.log(2)
    if not power > -1:
        return math.inf, 0.0
    return float(one) + math.log(abs(r) / (power + 1)), abs(power - before) / (power + 1) + 1e-15


def _log_integral(integrand: Callable[[Array], Array], cuts: Array) -> tuple[float, float]:
    """log of int exp(integrand) between the first and the last cut, and its absolute error."""
    r = rule(NODES)
    lower, upper = cuts[:-1], cuts[1:]
    best = -math.inf
    logs: list[Array] = []
    errors: list[Array] = []
    for _ in range(ROUNDS):
        if not len(lower):
            break
        x, _ = nodes_of(lower, upper, r)
        value = integrand(x.ravel()).reshape(x.shape)
        top = value.max(axis=0)
        seen = np.isfinite(top)
        with np.errstate(invalid="ignore"):
            c = r.coefficients @ np.exp(value - np.where(seen, top, 0.0))
        half = (upper - lower) / 2
        with np.errstate(divide="ignore"):
            log_part = top + np.log(half * np.maximum(r.integral @ c, 1e-300))
        best = max(best, float(log_part[seen].max(initial=-math.inf)))
        cut = np.abs(c[-3:]).max(axis=0)
        size = np.abs(c).max(axis=0)
        matters = seen & (log_part > best - DEPTH)
        fine = cut <= (4e-15 + 4 * EPSILON * np.abs(np.where(seen, top, 0.0))) * size
        # What weighs little may be rough: its cut-off counts against the whole.
        with np.errstate(divide="ignore"):
            slight = np.log(np.maximum(cut / size, 1e-300)) + log_part < best - 36
        narrow = (upper - lower) <= 64 * np.spacing(np.maximum(np.abs(lower), np.abs(upper)))
        done = fine | narrow | slight
        keep = matters & done
        logs.append(log_part[keep])
        errors.append(log_part[keep] + np.log(np.maximum(cut[keep] / size[keep], 1e-17)))
        again = matters & ~done
        lower, upper = lower[again], upper[again]
        middle = (lower + upper) / 2
        lower, upper = np.concatenate([lower, middle]), np.concatenate([middle, upper])
    total = float(np.logaddexp.reduce(np.concatenate(logs))) if logs else -math.inf
    if math.isinf(total):
        return total, 0.0
    left_out = float(np.exp(np.logaddexp.reduce(np.concatenate(errors)) - total))
    return total, left_out + 2 * EPSILON * (1 + abs(total))
