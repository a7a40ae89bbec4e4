"""What SGD's own steps make of a first passage, which is that of its diffusion.

`steps_of` asks the exact chain, `walked` walkers that take these steps, with momentum, too. They
tell what no chain on the line does: with momentum a step depends on the one before, and many
datapoints or a start that is a law have no chain that is cheap. Those that are still on their way
when the work is done go on as they went of late, if that was at an even rate and within one basin.
What all of them missed, as a deep well that one in 100,000 falls into, only the law of the
diffusion knows: its deviation says how far the mean of so many may be off.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np

from stationary.aliases import Array
from stationary.chain.batches import CELLS, batches_of, is_cheap
from stationary.chain.exact import exact_chain
from stationary.chain.times import ExitTime, refined_exit_time
from stationary.errors import ConvergenceError, StationaryError
from stationary.functions.given import Boundary
from stationary.numbers.cost import BY_WORK, CACHE
from stationary.numbers.elementary import distinct
from stationary.process.initial import Initial
from stationary.process.landscape import Landscape
from stationary.result import Compared
from stationary.simulation.blocks import ESCAPED, Block, Crew, Plan, advance, with_labels
from stationary.simulation.departure import WALKERS
from stationary.simulation.run import Run
from stationary.simulation.sgd import gradients_per_step
from stationary.simulation.streams import Watch
from stationary.simulation.walkers import Walls
from stationary.states.first_passage import FirstPassage

WORK = 5 * BY_WORK  # gradients, shared among the starts: two to five seconds
FIRST = 64  # steps of the first round; each is as long as all before
FEWEST = 16  # that arrive in the last round: a rate is known to a quarter then
EVEN = 3.0  # standard errors by which the rates of its two halves may differ

ARRIVED = -2  # in place of a basin, of which -1 is none
BY_CHANCE = 3  # seen of what is as good as never there, in 95 of 100 cases at most
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


@dataclass(frozen=True, eq=False)
class WalkedPassage(Compared):
    """What walkers say of a passage from one start; errors are standard errors.

    Attributes
    ----------
    mean
        Steps until a target is reached or passed: inf where some walkers ran away to infinity. If
        `mean_error` is inf it is at least as much: not enough of them arrived.
    upper
        The probability that it is the upper one, where two targets can be first, else nan.
    targets
        Those that can be first, ascending.
    arrived, lost
        How many came to a target, and how many ran away.
    steps
        That the longest way has taken.
    """

    walkers: int
    arrived: int
    lost: int
    steps: int
    mean: float
    mean_error: float
    upper: float
    upper_error: float
    targets: tuple[float, ...] = ()

    @property
    def log_time(self) -> float:
        return math.log(self.mean) if self.mean else -math.inf


@lru_cache(maxsize=4)
def walked(found: FirstPassage) -> tuple[WalkedPassage, ...] | None:
    """What walkers say, from each start.

    None where the process is not SGD, or they are not to be had (see `why_not`).
    """
    sgd, starts = found.process, found.starts
    if not isinstance(sgd, Landscape) or len(starts) > MOST_STARTS or found.diffusion.is_periodic:
        return None
    logs = (np.ravel(e.log).astype(float) for e in (found.deviation, found.mean))
    with np.errstate(invalid="ignore"):  # of no time at all, or of one that is for ever
        spreads = np.subtract(*logs)
    try:
        targets = distinct([float(t) for t in found.targets])
        work = WORK // len(starts)
        return tuple(
            _unsure(_from(sgd.at_last_rate, start, targets, work), spread)
            for start, spread in zip(starts, spreads, strict=True)
        )
    except StationaryError:
        return None


def why_not(found: FirstPassage) -> str:
    """Why neither the chain nor walkers say how soon SGD is at a target."""
    many = len(found.starts)
    if many > MOST_STARTS:
        return f"they are had from {MOST_STARTS} starts at most, and these are {many}"
    if found.diffusion.is_periodic:
        return "walkers are not followed round a ring"
    if Boundary.ABSORBING in found.diffusion.boundaries:
        return "a wall absorbs what comes to it before a target"
    if not getattr(found.process, "has_datapoints", False):
        return "moments of gradients do not say what a step is"
    return "walkers take too many gradients for a step"


def _unsure(told: WalkedPassage, log_spread: float) -> WalkedPassage:
    """With the error that a law leaves whose deviation is so many times its mean."""
    if math.isnan(log_spread) or told.lost:
        return told
    with np.errstate(over="ignore"):
        least = told.mean * float(np.exp(log_spread)) / math.sqrt(told.walkers)
    return replace(told, mean_error=max(told.mean_error, least))


def _from(sgd: Landscape, start: Any, targets: Array, work: int) -> WalkedPassage:
    """By so many steps of walkers."""
    initial = start if isinstance(start, Initial) else float(start)
    run = Run(sgd, Crew(sgd), initial, WALKERS, seed=0)
    crew = [group for block in run.blocks for group in _groups(block, run.plan.walls, targets)]
    firsts = tuple(distinct([t for g in crew for t in g.targets if math.isfinite(t)]).tolist())
    told = _followed(sgd, crew, firsts[-1], run.watch, work)
    told = replace(told, targets=firsts)
    return told if len(firsts) == 2 else replace(told, upper=math.nan, upper_error=math.nan)


@dataclass(frozen=True)
class _Group:
    """Walkers between the same two targets, or beyond all; an infinite one is none."""

    block: Block
    walls: Walls
    targets: tuple[float, float]


def _groups(block: Block, walls: Walls, targets: Array) -> list[_Group]:
    """The walkers of a block, by the targets next to which they start."""
    beyond, above = (
        np.concatenate([[-math.inf], targets, [math.inf]]),
        targets.searchsorted(block.x),
    )
    groups = []
    for k in distinct(above):
        ends, kinds, first = list(walls.domain), list(walls.kinds), (beyond[k], beyond[k + 1])
        for side, target in enumerate(first):
            if math.isfinite(target):
                ends[side], kinds[side] = float(target), Boundary.ABSORBING
            elif kinds[side] is Boundary.ABSORBING:
                raise StationaryError("at a wall that absorbs the way to a target ends")
        own = replace(walls, domain=(ends[0], ends[1]), kinds=(kinds[0], kinds[1]))
        part = block.part(above == k)
        own.apply(part.x, part.fate)
        groups.append(_Group(part, own, first))
    return groups


def _followed(
    sgd: Landscape, crew: list[_Group], top: float, watch: Watch, work: int
) -> WalkedPassage:
    """Until all have arrived, or the work is done."""
    done, each, within = 0, gradients_per_step(sgd), True
    times, fates = [np.empty(0)], [np.empty(0)]
    crew = [replace(g, block=with_labels(g.block, watch)) for g in crew]
    while crew:
        steps, left = done or FIRST, sum(len(g.block.x) for g in crew)
        work -= steps * (left * each + CACHE * len(crew))
        if work < 0:
            break
        moved = []
        for k, group in enumerate(crew):
            plan, block = Plan(steps, done, group.walls, None, False), group.block
            after = with_labels(advance(sgd, block, plan).block, watch)
            gone, going = np.flatnonzero(after.fate), np.flatnonzero(after.fate == 0)
            times.append(after.since[gone])
            at_top = np.equal(group.targets, top)[(after.fate[gone] == 1).astype(int)]
            fates.append(np.where(after.fate[gone] == ESCAPED, ESCAPED, np.where(at_top, 1, -1)))
            moved.append([block.label, np.where(after.fate, ARRIVED, after.label)])
            crew[k] = replace(group, block=after.part(going))
        crew = [g for g in crew if len(g.block.x)]
        together = len({g.targets for g in crew}) < 2  # else some may arrive sooner than others
        done, within = done + steps, together and _is_within(*np.hstack(moved))
    if not done:
        raise StationaryError("no walker can take a step in time")
    left = sum(len(g.block.x) for g in crew)
    return _told(np.concatenate(times), np.concatenate(fates), left, done, within)


def _is_within(before: Array, after: Array) -> bool:
    """Whether walkers with these basins keep to one: those that were in others did not stay there,
    nor are many more there now."""
    home = np.bincount(before + 1).argmax() - 1
    away, now = before != home, (after != home) & (after != ARRIVED)
    return bool(2 * (away & now).sum() <= away.sum() and now.sum() <= 2 * away.sum() + BY_CHANCE)


def _told(times: Array, fates: Array, left: int, steps: int, within: bool) -> WalkedPassage:
    """What those that arrived say, where so many others are on their way."""
    n, lost, up = len(times) + left, int((fates == ESCAPED).sum()), fates == 1
    early, after, unsure = times >= 0, float(steps), math.inf if left else 0.0
    if left and within:
        rate, unsure = _rate(times[times > steps / 2], left, steps)
        if unsure < math.inf:  # from the middle on all that are on their way are alike
            early, after = times <= steps / 2, steps / 2 + 1 / rate
    late = n - int(early.sum())
    chance = float(up[~early].mean()) if late > left else 0.0
    passed = np.append(times[early], np.full(late, after))
    above = np.append(up[early], np.full(late, chance))
    doubt = math.sqrt(chance * (1 - chance) / (late - left)) if late > left else unsure
    at_random = math.sqrt(n)
    return WalkedPassage(
        walkers=n,
        arrived=len(times) - lost,
        lost=lost,
        steps=steps,
        mean=math.inf if lost else float(passed.mean()),
        mean_error=math.hypot(passed.std() / at_random, late / n * after * unsure),
        upper=float(above.mean()),
        upper_error=max(math.hypot(above.std() / at_random, late / n * doubt), 1 / n),
    )


def _rate(times: Array, left: int, steps: int) -> tuple[float, float]:
    """How many arrive in each step, in the second half of so many; and its relative error."""
    counts, spent = np.empty(2), np.empty(2)
    for k in range(2):
        low, high = (2 + k) / 4 * steps, (3 + k) / 4 * steps
        counts[k] = ((low < times) & (times <= high)).sum()
        spent[k] = (np.clip(times, low, high) - low).sum() + left * (high - low)
    rates, whole = counts / spent, counts.sum() / spent.sum()
    apart, sure = abs(rates[0] - rates[1]), math.sqrt((counts / spent**2).sum())
    if counts.sum() < FEWEST or apart > EVEN * sure:
        return 1.0, math.inf
    return whole, math.hypot(1 / math.sqrt(counts.sum()), apart / (2 * whole))
