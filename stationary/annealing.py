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
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stationary.chain.batches import batches_of
from stationary.chain.exact import exact_chain
from stationary.chain.exit_time import exit_time
from stationary.errors import ConvergenceError, LandscapeError
from stationary.process.initial import Initial
from stationary.process.landscape import Landscape
from stationary.process.schedules import Schedule
from stationary.result import Result
from stationary.sources.loading import ProcessLike, as_process
from stationary.states.basins import basins_of
from stationary.states.distribution import EndState
from stationary.states.first_passage import first_passage
from stationary.states.merging import MIN_BARRIER
from stationary.states.solve import end_state

__all__ = ["Annealing", "Course", "Freeze", "anneal"]

Array = NDArray[Any]
Crossings = Callable[[float], tuple[Array, Array]]

TOLERANCE = 0.2  # of log k half-way between two learning rates, by a straight line
CLOSE = 1.02  # ratio of learning rates between which a rate may jump, as where SGD is held
MOST_RATES = 65  # at which rates are computed
NEVER = 20.0  # e-folds below one crossing in the whole schedule, where a rate is taken for 0
INTERVALS = 2048  # of time; with half as many shares change by less than what `error` says
LOOKS = 2**17  # steps at which rates are looked at; all of them where there are no more
OUT = 1e-6  # probability to leave the outermost basins outwards that is worth a word
BEYOND = 2.0  # times the way between the outermost minima, that an infinite domain is followed


@dataclass(frozen=True)
class Freeze:
    """When the way between two neighbouring basins is frozen.

    Attributes
    ----------
    minima
        The two.
    step, learning_rate
        From which step on less than one crossing is left, and T there; step 0: from the start.
    crossings
        How many there are over the whole schedule: the sum of both rates.
    """

    minima: tuple[float, float]
    step: int
    learning_rate: float
    crossings: float


@dataclass(frozen=True, eq=False)
class Course:
    """What each of n basins holds at M times.

    Attributes
    ----------
    shares
        Shape (M, n).
    balance
        What they would hold if the learning rate stayed as it is then, by the rates, (M, n); nan
        where no rate leads from one basin to the next.
    error
        Of the shares at the end, estimated: of the rates and of their integration.
    freezes
        Of each pair of neighbours.
    end
        What each holds in the end state of the last learning rate, shape (n,); None if there is
        none, or it depends on the start.
    """

    shares: Array
    balance: Array
    error: float
    freezes: tuple[Freeze, ...]
    end: Array | None

    @property
    def final(self) -> Array:
        """What each basin holds in the end, shape (n,)."""
        return np.asarray(self.shares[-1])


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
    start = given.initial if initial is None else initial
    if start is not None:
        start = Initial.of(start, domain=given.domain, name=given.name, variable="w")
    found = _Basins(replace(given, schedule=None, initial=None), schedule.last, min_barrier)
    looks = _Looks(schedule, len(found.minima))
    first = float(schedule.rates[np.flatnonzero(schedule.rates)[0]])
    known = found.shares_of(start, first) if start is not None else None
    begin = found.masses(first) if known is None else known
    assert begin is not None
    small = looks.course(found, found.in_the_limit, begin, found.masses(schedule.last))
    sgd, notes = None, []
    if given.momentum:
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
            crossings = partial(found.in_steps, cells=cells)
            sgd = looks.course(found, crossings, by_chain, end)
            if found.lost_from < math.inf:
                notes.append(
                    f"From T = {found.lost_from:.3g} on SGD can leave all basins and run far away. "
                    "What becomes of it then is not followed: the shares are those of runs that "
                    "stay."
                )
        except (ConvergenceError, LandscapeError) as error:
            notes.append(f"The steps of SGD could not be followed: {error}")
    return Annealing(
        landscape=given,
        schedule=schedule,
        initial=start,
        minima=found.minima,
        steps=np.append(looks.steps[looks.cuts[:-1]], len(schedule)),
        rates=schedule.rates[looks.steps[looks.at_cuts]],
        sgd=sgd,
        small_step=small,
        notes=tuple(notes),
    )


class _Basins:
    """The basins of a landscape, and how fast they are left at any learning rate."""

    def __init__(self, landscape: Landscape, last: float, min_barrier: float) -> None:
        self.landscape = landscape
        self.lost_from = math.inf  # the least learning rate at which a step leads far away
        state = self._state(last)
        found = basins_of(state, min_barrier)
        self.minima = tuple(float(b.position) for b in found)
        self.borders = [float(b.upper) for b in found[:-1]]
        self.why = self._why_not(state)
        if self.why:
            raise LandscapeError(
                f"{landscape.name}: at T = {last:g} {self.why}, and no rates between basins can "
                "be given. `simulate` follows the schedule all the same."
            )

    def at(self, rate: float) -> Landscape:
        return replace(self.landscape, learning_rate=rate)

    def _state(self, rate: float) -> EndState:
        state = end_state(self.at(rate))
        if state.kind != "density":
            raise LandscapeError(f"{self.landscape.name}: at T = {rate:g}: {state.verdict}")
        return state

    def _why_not(self, state: EndState) -> str:
        if state.diffusion.is_periodic:
            return "the domain is periodic"
        if len(state.components) != 1:
            return "zeros of the noise part the basins, so that some are left for good"
        return ""

    def masses(self, rate: float) -> Array:
        """Of the basins in the end state at a learning rate, shape (n,)."""
        cdf = np.asarray(self._state(rate).cdf(np.array(self.borders)), dtype=float)
        return np.diff(cdf, prepend=0.0, append=1.0)

    def masses_of_chain(self, rate: float, cells: int) -> Array | None:
        """The same of the exact chain; None where it has no end state that no start decides."""
        chain = exact_chain(self.at(rate), cells=cells)
        if chain.kind in ("none", "classes"):
            return None
        cdf = np.asarray(chain.cdf(np.array(self.borders)), dtype=float)
        return np.diff(cdf, prepend=0.0, append=1.0)

    def shares_of(self, start: Initial, rate: float) -> Array:
        """What each basin gets of a start: by which minimum is reached first."""
        if len(self.minima) == 1:
            return np.ones(1)
        points = start.law is None
        given = start.points if points else start
        found = first_passage(self.at(rate).diffusion(), given, self.minima).probability.value
        shares = np.asarray(found, dtype=float).reshape(len(self.minima), -1)
        if points:
            shares = shares @ start.weights[:, None] / start.weights.sum()
        return np.asarray(shares[:, 0] / shares.sum())

    def in_the_limit(self, rate: float) -> tuple[Array, Array]:
        """log k upwards and downwards between neighbours, (2, n - 1), of small steps; errors."""
        process = self.at(rate).diffusion()
        log_k, errors = np.full((2, len(self.borders)), -np.inf), np.zeros((2, len(self.borders)))
        for i, place in enumerate(self.minima):
            near = self.minima[max(i - 1, 0) : i] + self.minima[i + 1 : i + 2]
            found = first_passage(process, place, near)
            logs = np.asarray(found.probability.log) - float(found.mean.log)
            if i > 0:
                log_k[1, i - 1], errors[1, i - 1] = logs[0], found.mean.error
            if i + 1 < len(self.minima):
                log_k[0, i], errors[0, i] = logs[-1], found.mean.error
        return log_k, errors

    def in_steps(self, rate: float, cells: int) -> tuple[Array, Array]:
        """The same of the steps that SGD takes."""
        process = self.at(rate)
        batches = batches_of(process)
        low, high = process.domain
        way = BEYOND * (self.minima[-1] - self.minima[0])
        low = self.minima[0] - way if math.isinf(low) else low
        high = self.minima[-1] + way if math.isinf(high) else high
        places = (low, *self.minima, high)
        log_k, errors = np.full((2, len(self.borders)), -np.inf), np.zeros((2, len(self.borders)))
        for i, (a, place, b) in enumerate(zip(places, places[1:], places[2:], strict=False)):
            try:
                left = exit_time(process, batches, a, b, place, cells)
            except ConvergenceError:  # more steps than doubles hold
                continue
            if math.isinf(left.log_time):  # no minibatch leads out
                continue
            share = left.upper, 1 - left.upper
            if (i == 0 and share[1] > OUT) or (i + 1 == len(self.minima) and share[0] > OUT):
                self.lost_from = min(self.lost_from, rate)
            with np.errstate(divide="ignore"):
                up, down = np.log(share) - left.log_time
            if i > 0:
                log_k[1, i - 1], errors[1, i - 1] = down, left.error
            if i + 1 < len(self.minima):
                log_k[0, i], errors[0, i] = up, left.error
        return log_k, errors


class _Looks:
    """The steps of a schedule at which rates are looked at, and what follows from the rates."""

    def __init__(self, schedule: Schedule, n: int) -> None:
        self.schedule, self.n = schedule, n
        count = len(schedule)
        self.steps = np.unique(np.linspace(0, count - 1, min(count, LOOKS)).astype(int))
        self.every = np.diff(self.steps, append=count).astype(float)  # what each stands for
        self.rates = schedule.rates[self.steps]
        self.cuts = np.unique(np.linspace(0, len(self.steps), INTERVALS + 1).astype(int))
        self.at_cuts = np.minimum(self.cuts, len(self.steps) - 1)

    def course(
        self, found: _Basins, crossings: Crossings, begin: Array, end: Array | None
    ) -> Course:
        """The shares over time, from rates that are computed at a few learning rates."""
        log_k, errors, thinned = self._interpolated(crossings)
        coarse = np.append(self.cuts[:-1:2], self.cuts[-1])
        shares = self._followed(begin, log_k, self.cuts)
        # Fewer times; fewer learning rates; rates as far off as they may be, one way and the other.
        others = [(log_k, coarse), (thinned, self.cuts)]
        others += [(log_k + s * errors, self.cuts) for s in (-1, 1)]
        off = [self._followed(begin, *other)[-1] - shares[-1] for other in others]
        k = np.exp(log_k)
        left = np.cumsum((k.sum(axis=1) * self.every[:, None])[::-1], axis=0)[::-1]
        freezes = []
        for i, pair in enumerate(pairwise(found.minima)):
            more = np.flatnonzero(left[:, i] >= 1)
            step = int(self.steps[min(more[-1] + 1, len(self.steps) - 1)]) if len(more) else 0
            freezes.append(Freeze(pair, step, self.schedule[step], float(left[0, i])))
        rise = np.zeros((len(self.cuts), self.n))
        with np.errstate(invalid="ignore"):
            rise[:, 1:] = np.cumsum(
                np.nan_to_num(log_k[self.at_cuts, 0] - log_k[self.at_cuts, 1]), 1
            )
        balance = np.exp(rise - rise.max(axis=1, keepdims=True))
        balance /= balance.sum(axis=1, keepdims=True)
        balance[np.isneginf(log_k[self.at_cuts]).all(axis=1).any(axis=1)] = np.nan
        worst = float(sum(np.abs(v).max() for v in off))
        return Course(shares, balance, worst + 1e-9, tuple(freezes), end)

    def _interpolated(self, crossings: Crossings) -> tuple[Array, Array, Array]:
        """log k at the looks, (looks, 2, n - 1), its errors, and log k from half as many rates.

        Interpolated in 1 / T, in which it is nearly straight, between learning rates that are
        halved until the middle is near where a straight line has it.
        """
        from scipy.interpolate import PchipInterpolator

        moving = self.rates > 0
        shape = (len(self.rates), 2, self.n - 1)
        floor = -math.log(len(self.schedule)) - NEVER
        if self.n == 1:
            none = np.zeros(shape)
            return none, none, none
        x = 1 / self.rates[moving]
        known: dict[float, tuple[Array, Array]] = {}

        def at(u: float) -> Array:
            if u not in known:
                logs, errors = crossings(1 / u)
                known[u] = np.maximum(logs, floor), np.where(logs > floor + NEVER - 5, errors, 0.0)
            return known[u][0]

        low, high = float(x.min()), float(x.max())
        waiting = list(pairwise(np.geomspace(low, high, 5).tolist())) if high > low else []
        at(low), at(high)
        while waiting:
            a, b = waiting.pop(0)
            both = at(a), at(b)
            if b <= a * CLOSE or all((v == floor).all() for v in both):
                continue
            middle = math.sqrt(a * b)
            share = (middle - a) / (b - a)
            gap = np.abs(at(middle) - both[0] - share * (both[1] - both[0])).max()
            if gap > TOLERANCE and len(known) < MOST_RATES:
                waiting += [(a, middle), (middle, b)]
        places = np.array(sorted(known))
        table, errors = (np.array([known[u][k] for u in places.tolist()]) for k in (0, 1))

        def between(nodes: Array, values: Array) -> Array:
            if len(nodes) == 1:
                return np.broadcast_to(values[0], (len(x), *values[0].shape))
            return np.asarray(PchipInterpolator(nodes, values)(x))

        some = np.unique(np.append(np.arange(0, len(places), 2), len(places) - 1))
        found = []
        for nodes, values, still in (
            (places, table, -np.inf), (places, errors, 0.0), (places[some], table[some], -np.inf)
        ):  # fmt: skip
            made = np.full(shape, still)
            made[moving] = between(nodes, values)
            found.append(np.where(made <= floor, -np.inf, made))
        return found[0], found[1], found[2]

    def _followed(self, p: Array, log_k: Array, cuts: Array) -> Array:
        """The shares at the cuts, each interval with the rates that it has on average."""
        from scipy.linalg import expm

        sums = np.add.reduceat(np.exp(log_k) * self.every[:, None, None], cuts[:-1], axis=0)
        q = np.zeros((len(sums), self.n, self.n))
        i = np.arange(self.n - 1)
        q[:, i, i + 1], q[:, i + 1, i] = sums[:, 0], sums[:, 1]
        q[:, np.arange(self.n), np.arange(self.n)] = -q.sum(axis=2)
        shares = [p]
        for step in expm(q):
            p = np.clip(p @ step, 0.0, 1.0)
            p = p / p.sum()
            shares.append(p)
        return np.array(shares)
