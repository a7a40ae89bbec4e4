"""`anneal`: what a schedule of the learning rate freezes in.

From each minimum SGD reaches a neighbouring one after a mean time tau, and that one with
probability p; between basins probability moves at the rates k = p / tau, which fall with the
learning rate like exp(-barrier / T) [1]_. While they are fast, what the basins hold follows the end
state at the present T; once less than one crossing is left, it stays.

The rates are those of the steps that SGD takes (by its exact chain), and those of the small-step
limit beside them.

References
----------
.. [1] C. W. Gardiner, *Handbook of Stochastic Methods*, 3rd ed., Springer 2004, section 5.2.7.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from stationary.aliases import Array
from stationary.annealing.basins import Basins
from stationary.annealing.course import Course, Looks
from stationary.annealing.spread import Spread, spread_of
from stationary.errors import ConvergenceError, LandscapeError
from stationary.process.initial import Initial
from stationary.process.landscape import Landscape
from stationary.process.schedules import Schedule
from stationary.result import Result
from stationary.sources.loading import ProcessLike, as_process
from stationary.states.basins import MIN_BARRIER


@dataclass(frozen=True, eq=False, repr=False)
class Annealing(Result):
    """What each basin holds while the learning rate follows a schedule, and what is frozen in.

    Attributes
    ----------
    minima
        The n basins of the small-step limit at the last learning rate.
    steps, rates
        Times, shape (M,), from 0 to the end, and the learning rate of the step that follows.
    sgd
        By the steps that SGD takes; None where they are no chain (momentum), or too many.
    small_step
        By the small-step limit.
    spread
        Where there is one basin: mean and deviation of the weights at these times.
    notes
        What else there is to know, in words.
    """

    landscape: Landscape
    schedule: Schedule
    initial: Initial | None
    minima: tuple[float, ...]
    steps: Array
    rates: Array
    sgd: Course | None
    small_step: Course
    spread: Spread | None = None
    notes: tuple[str, ...] = ()

    @property
    def course(self) -> Course:
        """What SGD does, as far as it is known."""
        return self.small_step if self.sgd is None else self.sgd

    @property
    def final(self) -> Array:
        """What each basin holds in the end, shape (n,)."""
        return self.course.final

    def __repr__(self) -> str:
        pairs = zip(self.final, self.minima, strict=True)
        held = ", ".join(f"{s:.4g} at {w:.4g}" for s, w in pairs)
        return f"<Annealing of {self.landscape.name!r}, {self.schedule}: {held}>"


def anneal(
    process: ProcessLike,
    initial: Any = None,
    *,
    cells: int = 500,
    min_barrier: float = MIN_BARRIER,
    **changes: Any,
) -> Annealing:
    """What each basin holds while the learning rate follows its schedule.

    Parameters
    ----------
    process
        A `Landscape` with a schedule, or the path of its file.
    initial
        Where SGD starts, as for a landscape. None: what the landscape says, else in the end state
        of the first learning rate.
    cells
        Of the exact chain.
    min_barrier
        Minima that less than this separates at the last learning rate are one basin.
    changes
        Fields to replace, such as ``schedule="cosine:0.1:0.001:20000"``.

    Raises
    ------
    LandscapeError
        If there is no schedule, or no one density over all basins at some of its learning rates.
    """
    given = as_process(process, "anneal", **changes)
    schedule = given.schedule if isinstance(given, Landscape) else None
    if not isinstance(given, Landscape) or schedule is None:
        raise LandscapeError(
            f"{given.name}: anneal needs a landscape with a schedule of its learning rate, as in "
            'schedule = "cosine:0.1:0.001:20000".'
        )
    start = Initial.of_process(given, initial)
    found = Basins(replace(given, schedule=None, initial=None), schedule.last, min_barrier)
    looks = Looks(schedule, len(found.minima))
    first = float(schedule.rates[np.flatnonzero(schedule.rates)[0]])
    known = found.shares_of(start, first) if start is not None else None
    begin = found.masses(first) if known is None else known
    assert begin is not None
    small = looks.course(found.minima, found.in_the_limit, begin, found.masses(schedule.last))
    sgd, notes = None, []
    if len(found.minima) == 1:
        pass  # nothing moves between basins
    elif given.momentum:
        notes.append(
            "With momentum the rates are those of the small-step limit; `simulate` follows the "
            "schedule with the steps that are taken."
        )
    else:
        try:
            by_chain = found.masses_of_chain(first, cells) if known is None else known
            if by_chain is None:
                by_chain = begin
                notes.append(
                    "SGD has no end state of its own at the first learning rate to start in: that "
                    "of the small-step limit is taken. Give initial."
                )
            end = found.masses_of_chain(schedule.last, cells)
            longest = math.log(len(schedule)) + 3  # with fewer than 1/20 of a crossing
            crossings = partial(found.in_steps, cells=cells, longest=longest)
            sgd = looks.course(found.minima, crossings, by_chain, end)
            if found.lost_from < math.inf:
                notes.append(
                    f"From T = {found.lost_from:.3g} on SGD can leave all basins and run far away. "
                    "What becomes of it then is not followed: the shares are those of runs that "
                    "stay."
                )
        except (ConvergenceError, LandscapeError) as error:
            notes.append(f"The steps of SGD could not be followed: {error}")
    times = np.append(looks.steps[looks.cuts[:-1]], len(schedule))
    spread = None
    if len(found.minima) == 1:
        begins = start if start is not None else found.state(first)
        spread = spread_of(found.at(schedule.last), schedule, times, *found.moments_of(begins))
    return Annealing(
        landscape=given,
        schedule=schedule,
        initial=start,
        minima=found.minima,
        steps=times,
        rates=schedule.rates[looks.steps[looks.at_cuts]],
        sgd=sgd,
        small_step=small,
        spread=spread,
        notes=tuple(notes),
    )
