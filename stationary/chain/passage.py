"""`steps_of`: what SGD's own steps make of a first passage, which is that of its diffusion."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import lru_cache

from stationary.chain.batches import CELLS, batches_of, is_cheap
from stationary.chain.exact import exact_chain
from stationary.chain.times import ExitTime, refined_exit_time
from stationary.errors import ConvergenceError, StationaryError
from stationary.functions.given import Boundary
from stationary.process.landscape import Landscape
from stationary.states.first_passage import FirstPassage

MOST_STARTS = 9  # each with a chain of its own: some seconds in all
TOLD = 0.02  # relative error of a time, that needs no more cells


@lru_cache(maxsize=4)
def steps_of(found: FirstPassage) -> tuple[ExitTime, ...] | None:
    """The mean steps of the exact chain, from each start, until it is at a target or beyond.

    With the probability that this is the one above, where there is one on either side.

    None where that is not to be had: for a process that is not SGD, a start that is a law, many
    starts or minibatches, a periodic domain, a target at a wall, which steps never pass, or a
    wall that absorbs what comes to it before a target.
    """
    sgd = found.process
    if not isinstance(sgd, Landscape) or len(found.starts) > MOST_STARTS:
        return None
    try:
        at, targets = [float(x) for x in found.starts], [float(x) for x in found.targets]
        walled = found.diffusion.is_periodic or set(targets) & set(sgd.domain)
        if walled or not is_cheap(sgd):
            return None
        times = tuple(_time(sgd, x, targets) for x in at)
        return None if any(math.isinf(t.error) for t in times) else times
    except (StationaryError, TypeError, ValueError):
        return None


def _time(sgd: Landscape, start: float, targets: list[float]) -> ExitTime:
    low = max((t for t in targets if t <= start), default=sgd.domain[0])
    high = min((t for t in targets if t >= start), default=sgd.domain[1])
    if start in targets:
        return ExitTime(-math.inf, 0.0)
    walls = zip((low, high), sgd.domain, sgd.diffusion().boundaries, strict=True)
    if any(at == end and kind is Boundary.ABSORBING for at, end, kind in walls):
        raise ConvergenceError("at a wall that absorbs the way to a target ends")
    known = low, high
    if math.isinf(high - low):
        law = exact_chain(sgd, start, cells=CELLS[0])
        if law.kind == "none":
            raise ConvergenceError("SGD has no end state that says how far out it comes")
        known = law.span
    time = refined_exit_time(batches_of(sgd), low, high, start, TOLD, known)
    both = math.isfinite(low) and low in targets and high in targets
    return time if both else replace(time, upper=math.nan, upper_error=math.nan)
