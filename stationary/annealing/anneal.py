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
from functools import cache, partial
from typing import Any

import numpy as np

from stationary.aliases import Array
from stationary.annealing.basins import Basins
from stationary.annealing.course import Begun, Course, Looks
from stationary.chain.along import DivergedError, moments_along
from stationary.errors import ConvergenceError, LandscapeError
from stationary.process.corners import SCAN
from stationary.process.initial import Initial
from stationary.process.landscape import Landscape
from stationary.process.schedules import Schedule
from stationary.progress import INTERRUPTED, Progress, stage, watched
from stationary.result import Result
from stationary.sources.loading import ProcessLike, as_process
from stationary.states.basins import MIN_BARRIER
from stationary.wording import bounded_text

STRAIGHT = 1e-9  # relative: what is as near to a line or a parabola is taken for one
MOST_STEPS = 200_000  # of a loop
REACH = 12.0  # deviations that it reaches beyond the mean


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
        By the steps that SGD takes, with momentum from a start those of walkers; None where they
        are no chain (momentum without a start), or too many.
    small_step
        By the small-step limit.
    spread
        Where there is one basin, and no momentum: mean and deviation of the weights at these times.
    notes
        What else there is to know, in words.
    lost
        The share of the runs that leads ever farther away, and its error: all else is told of those
        that stay.
    stopped
        Why the steps of SGD are missing where they were interrupted; empty where they were not.
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
    lost: tuple[float, float] = (0.0, 0.0)
    stopped: str = ""

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
        held = ", ".join(f"{bounded_text(s, self.course.error)} at {w:.4g}" for s, w in pairs)
        return f"<Annealing of {self.landscape.name!r}, {self.schedule}: {held}>"


def anneal(
    process: ProcessLike,
    initial: Any = None,
    *,
    cells: int = 500,
    min_barrier: float = MIN_BARRIER,
    progress: Progress = False,
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
    progress
        True: show what is at work, and the time left where that is known, in a notebook, or on
        standard error if that is a terminal. Or a function that is called with how much of what is
        at work is done, and of how much.
    changes
        Fields to replace, such as ``schedule="cosine:0.1:0.001:20000"``.

    Raises
    ------
    LandscapeError
        If there is no schedule, no one density over all basins at some of its learning rates, or
        no run that stays.
    """
    given = as_process(process, "anneal", **changes)
    schedule = given.schedule if isinstance(given, Landscape) else None
    if not isinstance(given, Landscape) or schedule is None:
        raise LandscapeError(
            f"{given.name}: anneal needs a landscape with a schedule of its learning rate, as in "
            'schedule = "cosine:0.1:0.001:20000".'
        )
    with watched(progress, "anneal"):
        return _annealed(given, schedule, initial, cells, min_barrier)


def _annealed(
    given: Landscape, schedule: Schedule, initial: Any, cells: int, min_barrier: float
) -> Annealing:
    start = Initial.of_process(given, initial)
    found = Basins(replace(given, schedule=None, initial=None), schedule.last, min_barrier)
    looks = Looks(schedule, len(found.minima), found.slowest)
    first = schedule.first
    begin = found.masses_of(found.state(first)) if start is None else found.shares_of(start, first)
    in_the_limit = cache(found.in_the_limit)
    with stage("small steps", 1, 2):
        small = looks.course(
            found.minima,
            in_the_limit,
            Begun.at_once(begin),
            found.masses_of(found.state(schedule.last)),
        )
    times = np.append(looks.steps[looks.cuts[:-1]], len(schedule))
    sgd, spread, notes, single = None, None, [], len(found.minima) == 1
    untold, stopped = "The steps of SGD could not be followed", ""
    if single:
        untold = "Mean and deviation over time are not told"
    try:
        with stage("SGD's own steps", 2, 2):
            walked = None
            if given.momentum and start is not None and not single:
                walked = found.walked(given, start, schedule)
            if walked is not None:
                sgd = looks.course(found.minima, in_the_limit, walked, small.end)
                after, rest = walked.steps[-1], "all the way"
                if after < len(schedule):
                    rest = f"until step {after:,}; from then on those of the small-step limit count"
                notes.append(
                    "With momentum the shares are those of walkers with the steps that are taken, "
                    f"{rest}. What is said of crossings is that limit's."
                )
            elif given.momentum:
                what = untold.lower() if single else "the rates are those of the small-step limit"
                notes.append(
                    f"With momentum {what}; `simulate` follows the schedule with the steps that "
                    "are taken."
                )
            elif single:  # nothing moves between basins
                spread = _spread(found, schedule, times, start, cells)
            else:
                law, settled, off = start, None, 0.0
                if start is None and (chain := found.chain(first, cells)) is not None:
                    law, settled = Initial.of_process(given, chain), found.masses_of(chain)
                    off = found.doubt_of(chain)
                if law is not None:
                    begun = found.begun(law, schedule, settled)
                    begun = replace(begun, errors=begun.errors + off)
                else:
                    begun = Begun.at_once(begin)
                    notes.append(
                        "SGD has no end state of its own at the first learning rate to start in: "
                        "that of the small-step limit is taken. Give initial."
                    )
                last = found.chain(schedule.last, cells)
                end = None if last is None else found.masses_of(last)
                longest = math.log(len(schedule)) + 3  # with fewer than 1/20 of a crossing
                crossings = partial(found.in_steps, cells=cells, longest=longest)
                sgd = looks.course(found.minima, crossings, begun, end)
                if found.lost_from < math.inf:
                    notes.append(
                        f"From T = {found.lost_from:.3g} on SGD can leave all basins and run far "
                        "away. What becomes of it then is not followed: the shares are those of "
                        "runs that stay."
                    )
    except DivergedError:
        raise
    except (ConvergenceError, LandscapeError) as error:
        notes.append(f"{untold}: {error}")
    except KeyboardInterrupt:  # the small-step limit is done
        stopped = INTERRUPTED
        notes.append(f"{untold}: {stopped}.")
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
        lost=found.lost,
        stopped=stopped,
    )


# -- mean and deviation of SGD in its one basin, under a schedule ----------------------------------


@dataclass(frozen=True, eq=False)
class Spread:
    """Mean and deviation at M times, and their errors, shape (M,) each."""

    mean: Array
    mean_error: Array
    std: Array
    std_error: Array


def _spread(
    found: Basins, schedule: Schedule, times: Array, start: Initial | None, cells: int
) -> Spread:
    """Mean and deviation at some steps: of parabolas exactly, else from the chain."""
    first = schedule.first
    begins = start if start is not None else found.state(first)
    of = found.moments_of(begins)
    if (exact := _of_parabolas(found.at(schedule.last), schedule, times, *of)) is not None:
        return exact
    if len(schedule) > found.most_steps(schedule):
        raise LandscapeError(
            f"{found.landscape.name}: the weights are not normal, and there are too many steps and "
            "minibatches to follow their law. `simulate` follows runs."
        )
    if start is None and (chain := found.chain(first, cells)) is not None:
        start = Initial.of_process(found.landscape, chain)
    law = start if start is not None else Initial.of_process(found.landscape, begins)
    assert law is not None
    *moments, (lost, error) = moments_along(found.batches, schedule.rates, law)
    found.lost = float(lost[-1]), float(error[-1])
    return Spread(*(values[times] for pair in moments for values in pair))


def _of_parabolas(
    landscape: Landscape, schedule: Schedule, steps: Array, mean: float, std: float
) -> Spread | None:
    """Mean and deviation before the given steps, from those at first, where G is straight.

    With D = d0 + d1 (w - m) + d2 (w - m)^2 about the mean they are exact:

        m <- m - T G(m),    v <- (1 - T G')^2 v + T^2 (d0 + d2 v).

    None where it is not, where walls are near, or for too many steps.
    """
    if len(schedule) > MOST_STEPS:
        return None
    lower, upper = landscape.domain
    rate, process = landscape.learning_rate, landscape.diffusion()
    assert rate is not None

    def known(low: float, high: float) -> tuple[Array, tuple[Array, Array]]:
        x = np.linspace(max(low, lower), min(high, upper), SCAN)
        f, a = process.coefficients(x)
        process.check(x, f, a)
        return x, (-f / rate, a / rate**2)

    reach = REACH * (std + 1e-3 * (1 + abs(mean)))
    x, values = known(mean - reach, mean + reach)
    drift, noise = (
        np.polynomial.Polynomial.fit(x, v, k) for v, k in zip(values, (1, 2), strict=True)
    )

    def straight(x: Array, values: tuple[Array, Array]) -> bool:
        return all(
            np.abs(fit(x) - told).max() <= STRAIGHT * np.abs(told).max()
            for fit, told in zip((drift, noise), values, strict=True)
        )

    if not straight(x, values):
        return None
    slope, bend = float(drift.deriv()(mean)), float(noise.deriv(2)(mean)) / 2
    m, v = mean, std**2
    moments = [(m, v)]
    with np.errstate(over="ignore", invalid="ignore"):  # of what runs away
        for t in schedule.rates.tolist():
            v = (1 - t * slope) ** 2 * v + t * t * (float(noise(m)) + bend * v)
            m -= t * float(drift(m))
            moments.append((m, v))
    means, variances = np.array(moments)[steps].T
    stds = np.sqrt(np.maximum(variances, 0.0))
    with np.errstate(invalid="ignore"):
        low, high = (float(f(means + by * stds)) for f, by in ((np.min, -REACH), (np.max, REACH)))
    if not (lower <= low <= high <= upper and math.isfinite(high - low)):
        return None
    # All the way that it goes, and where it was looked at first.
    if not straight(*known(min(low, mean - reach), max(high, mean + reach))):
        return None
    rounding = STRAIGHT * (1 + np.abs(means) + stds)
    return Spread(means, rounding, stds, rounding)
