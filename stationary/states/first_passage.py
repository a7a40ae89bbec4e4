"""What is reached first, and when, on a line that zeros of the variance cut into pieces.

Within a piece `passage` answers. A process that leaves a piece by a gate goes on in the next one,
from the end where it enters: nothing takes it back, so probabilities multiply and times add.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from stationary.errors import LandscapeError
from stationary.line.digits import checked
from stationary.line.partition import Behaviour, Partition, Side, partition
from stationary.line.reshape import unrolled
from stationary.line.sampling import Sampling
from stationary.numbers.elementary import compact, exp, logsumexp
from stationary.process.diffusion import Diffusion
from stationary.process.landscape import Landscape
from stationary.sources.loading import ProcessLike, as_process
from stationary.states.passage import Passage, mean_exit_passage, splitting_probabilities
from stationary.states.ring import anatomy_of_ring

__all__ = [
    "hitting_probability",
    "log_hitting_probability",
    "log_mean_first_passage_time",
    "mean_first_passage_time",
]


def mean_first_passage_time(
    process: ProcessLike,
    start: Any,
    target: Any,
    *,
    digits: int | None = None,
) -> Any:
    """The mean time from `start` until a target is reached first.

    Parameters
    ----------
    process
        A `Diffusion`, a `Landscape` (whose diffusion is then taken), or the path of its file.
    start
        A point of the domain.
    target
        A point, or a pair of points on either side of `start`: the first of them counts.
    digits
        To compute in so many digits. Points may then be strings or mpmath numbers, and the
        result is an mpmath number.

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
    return _passage(process, start, target, digits).time


def log_mean_first_passage_time(
    process: ProcessLike,
    start: Any,
    target: Any,
    *,
    digits: int | None = None,
) -> Any:
    """The natural logarithm of `mean_first_passage_time`, right where that would overflow."""
    return _passage(process, start, target, digits).log_time


def hitting_probability(
    process: ProcessLike,
    start: Any,
    targets: Sequence[Any],
    *,
    digits: int | None = None,
) -> tuple[Any, ...]:
    """The probability, for each target, that it is the first one to be reached from `start`.

    Parameters
    ----------
    process
        A `Diffusion`, a `Landscape` (whose diffusion is then taken), or the path of its file.
    start
        A point of the domain.
    targets
        Points of the domain, among them possibly its ends. Only the nearest on either side can
        be reached first. The probabilities add up to less than one if the process may never
        reach any of them.
    digits
        To compute in so many digits, as for `mean_first_passage_time`.

    Raises
    ------
    LandscapeError
        If a point lies outside the domain.
    """
    return tuple(exp(p) for p in log_hitting_probability(process, start, targets, digits=digits))


def log_hitting_probability(
    process: ProcessLike,
    start: Any,
    targets: Sequence[Any],
    *,
    digits: int | None = None,
) -> tuple[Any, ...]:
    """The natural logarithms of `hitting_probability`; -inf where it is zero."""
    line = _line(process, digits)
    points = [line.inside(t, "target") for t in targets]
    x = line.inside(start, "start")
    below = max((t for t in line.seen(points) if t <= x), default=None)
    above = min((t for t in line.seen(points) if t >= x), default=None)
    left, right = line.first(x, below, above)

    def chance(t: Any) -> Any:
        images = line.seen([t])
        if x in images:
            return 0.0
        hits = [log for end, log in ((below, left), (above, right)) if end in images]
        total = min(logsumexp(np.array(hits)), 0.0) if len(hits) > 1 else [*hits, -math.inf][0]
        return total if digits is not None else float(total)

    return tuple(chance(t) for t in points)


def _passage(
    process: ProcessLike,
    start: Any,
    target: Any,
    digits: int | None,
) -> Passage:
    line = _line(process, digits)
    x = line.inside(start, "start")
    given = target if isinstance(target, (tuple, list)) else (target,)
    points = line.seen([line.inside(t, "target") for t in given])
    below = max((t for t in points if t <= x), default=None)
    above = min((t for t in points if t >= x), default=None)
    found = line.time(x, below, above)
    return found if digits is not None else found.rounded()


def _line(process: ProcessLike, digits: int | None) -> _Line | _Ring:
    process = as_process(process, "first passage")
    diffusion = process.diffusion() if isinstance(process, Landscape) else process
    digits = checked(digits, diffusion.name)
    if diffusion.is_periodic:
        return _Ring(anatomy_of_ring(diffusion, digits=digits).sampling)
    # The scale grows where the density falls.
    return _Line(partition(diffusion, complete=True, digits=digits))


def _checked_inside(diffusion: Diffusion, value: Any, what: str) -> Any:
    lower, upper = diffusion.domain
    if not lower <= value <= upper:
        raise LandscapeError(
            f"{diffusion.name}: {what} = {float(value):g} lies outside the domain "
            f"({lower:g}, {upper:g})."
        )
    return value


@dataclass(frozen=True, eq=False)
class _Ring:
    """A periodic domain, unrolled, so that a target behind is also one ahead."""

    found: Sampling

    def inside(self, x: Any, what: str) -> Any:
        return _checked_inside(self.found.diffusion, float(x), what)

    def seen(self, points: list[Any]) -> list[Any]:
        """The points, also where they are one turn earlier and one later."""
        lower, upper = self.found.diffusion.domain
        return [t + turn for t in points for turn in (lower - upper, 0.0, upper - lower)]

    def first(self, x: Any, below: Any, above: Any) -> tuple[Any, Any]:
        return splitting_probabilities(unrolled(self.found), x, below, above)

    def time(self, x: Any, below: Any, above: Any) -> Passage:
        return mean_exit_passage(unrolled(self.found), x, below, above)


@dataclass(frozen=True, eq=False)
class _Line:
    """The pieces of a line, and what leads from one to the next."""

    parts: Partition

    def inside(self, x: Any, what: str) -> Any:
        arithmetic = self.parts.arithmetic
        value = float(x) if arithmetic.dtype == float else arithmetic.array([x])[0]
        return _checked_inside(self.parts.diffusion, value, what)

    def seen(self, points: list[Any]) -> list[Any]:
        return points

    def first(self, x: Any, below: Any, above: Any) -> tuple[Any, Any]:
        """log of the probabilities to reach `below` first and `above` first."""
        if x in (below, above):
            return (0.0 if x == below else -math.inf), (0.0 if x == above else -math.inf)
        self.refuse_stretches(x, below, above)
        k = self._piece_of(x)
        if k is None:
            return -math.inf, -math.inf
        here, low, high = self._local(k, x, below, above)
        to_low, to_high = splitting_probabilities(here, self._in(here, x), low, high)
        if low is not None and below is not None and not self._holds(k, below):
            to_low = to_low + self._beyond(k, 0, below)
        elif low is not None and below is None:
            to_low = -math.inf
        if high is not None and above is not None and not self._holds(k, above):
            to_high = to_high + self._beyond(k, 1, above)
        elif high is not None and above is None:
            to_high = -math.inf
        return to_low, to_high

    def time(self, x: Any, below: Any, above: Any) -> Passage:
        """The mean time to `below` or `above`, whichever comes first."""
        if x in (below, above):
            return Passage(-math.inf, 0.0)
        self.refuse_stretches(x, below, above)
        k = self._piece_of(x)
        if k is None:
            return Passage(math.inf, 0.0)
        here, low, high = self._local(k, x, below, above)
        leaks = [side.behaviour.loses for side in self.parts.sides[k]]
        # A way out that leads to no target makes the mean infinite, unless it is never taken.
        open_low = leaks[0] and not (below is not None and self._holds(k, below))
        open_high = leaks[1] and not (above is not None and self._holds(k, above))
        lost_low = open_low and (below is None or not self._leads(k, 0))
        lost_high = open_high and (above is None or not self._leads(k, 1))
        at = self._in(here, x)
        chances = splitting_probabilities(here, at, low, high)
        if (lost_low and chances[0] > -math.inf) or (lost_high and chances[1] > -math.inf):
            return Passage(math.inf, 0.0)
        parts = [mean_exit_passage(here, at, low, high)]
        for end, target, chance in ((0, below, chances[0]), (1, above, chances[1])):
            crossing = (open_low, open_high)[end]
            if crossing and target is not None and chance > -math.inf:
                onwards = self._onwards(k, end, target)
                parts.append(Passage(chance + onwards.log_time, onwards.error))
        log_time = logsumexp(np.array([p.log_time for p in parts]))
        if not log_time < math.inf:
            return Passage(math.inf, 0.0)
        shares = [exp(p.log_time - log_time) * p.error for p in parts if p.log_time > -math.inf]
        return Passage(log_time, compact(sum(shares)))

    # -- from piece to piece -------------------------------------------------------------------

    def _piece_of(self, x: Any) -> int | None:
        """The piece that a process at x is in, or enters; None if it stays where it is."""
        for k, piece in enumerate(self.parts.pieces):
            lower, upper = piece.sampling.diffusion.domain
            if lower < x < upper:
                return k
        domains = [piece.sampling.diffusion.domain for piece in self.parts.pieces]
        if x == domains[0][0]:
            return 0
        if x == domains[-1][1]:
            return len(domains) - 1
        f = float(self.parts.diffusion.coefficients(np.array([float(x)]))[0][0])
        if f > 0:
            return next((k for k, d in enumerate(domains) if d[0] >= x), None)
        if f < 0:
            return next((k for k in reversed(range(len(domains))) if domains[k][1] <= x), None)
        return None

    def _holds(self, k: int, x: Any) -> bool:
        lower, upper = self.parts.pieces[k].sampling.diffusion.domain
        return bool(lower <= x <= upper)

    def _in(self, found: Sampling, x: Any) -> Any:
        return float(x) if found.arithmetic.dtype == float else found.arithmetic.array([x])[0]

    def _local(self, k: int, x: Any, below: Any, above: Any) -> tuple[Sampling, Any, Any]:
        """The piece, and the points at which the process leaves it or is where it should be."""
        found = self.parts.pieces[k].sampling
        lower, upper = found.interval
        sides = self.parts.sides[k]
        low = high = None
        if below is not None and self._holds(k, below):
            low = self._in(found, below)
        elif sides[0].behaviour.loses:
            low = lower
        if above is not None and self._holds(k, above):
            high = self._in(found, above)
        elif sides[1].behaviour.loses:
            high = upper
        return found, low, high

    def _leads(self, k: int, end: int) -> bool:
        """Whether leaving a piece by an end leads into the next one."""
        side: Side = self.parts.sides[k][end]
        return side.behaviour is Behaviour.CROSSES and 0 <= k + (1 if end else -1) < len(
            self.parts.pieces
        )

    def _entry(self, k: int, end: int) -> Any:
        """The end of the next piece at which a process comes in."""
        domain = self.parts.pieces[k + (1 if end else -1)].sampling.diffusion.domain
        return domain[0] if end else domain[1]

    def _beyond(self, k: int, end: int, target: Any) -> Any:
        """log of the probability to reach a target beyond an end, once there."""
        if not self._leads(k, end):
            return -math.inf
        at = self._entry(k, end)
        if at == target:
            return 0.0
        pair = (None, target) if end else (target, None)
        next_line = self._entering(k, end)
        return next_line.first(at, *pair)[1 if end else 0]

    def refuse_stretches(self, *points: Any) -> None:
        """Times and probabilities where the drift alone moves the process are not offered."""
        given = [float(p) for p in points if p is not None]
        for p in self.parts.points:
            if p.interval is not None:
                low, high = p.interval
                if min(given) <= high and max(given) >= low:
                    raise LandscapeError(
                        f"{self.parts.diffusion.name}: between {low:.6g} and {high:.6g} there is "
                        "no noise. First passage from, to or across such a stretch is not offered; "
                        "choose points on one side of it."
                    )

    def _onwards(self, k: int, end: int, target: Any) -> Passage:
        at = self._entry(k, end)
        if at == target:
            return Passage(-math.inf, 0.0)
        pair = (None, target) if end else (target, None)
        return self._entering(k, end).time(at, *pair)

    def _entering(self, k: int, end: int) -> _Line:
        """The rest of the line, which is never left backwards."""
        rest = slice(k + 1, None) if end else slice(None, k)
        parts = self.parts
        return _Line(
            Partition(parts.diffusion, parts.pieces[rest], parts.points, parts.sides[rest])
        )
