"""What each basin of the diffusion holds by its end state and by the chain of SGD's own steps."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from stationary.chain.indicators import StepIndicators
from stationary.errors import StationaryError
from stationary.functions.given import Boundary
from stationary.line.sampled import coefficients_at
from stationary.numbers.arithmetic import SAME, TINY
from stationary.panels.roots import bisected
from stationary.process.diffusion import Diffusion
from stationary.progress import each
from stationary.result import Listed
from stationary.states.basin import Basin
from stationary.states.distribution import EndState
from stationary.states.law import Passage
from stationary.wording import tidy

if TYPE_CHECKING:
    from stationary.chain.state import ChainState

SETTLED = ("density", "atoms", "mixture")  # kinds of an end state that is one distribution
COMPARED = (*SETTLED, "flux")  # of the diffusion: around a ring, too
TOLD = 0.05  # error of the logarithm of an exit time up to which more cells are not asked for
CLOSE = 0.05  # difference of two masses, and relative of two deviations, up to which they agree
LEAST = math.log(TINY)  # of a probability below which none is worth a word
MOST_EXITS = 30  # basins whose exit times are told: each is an integration of its own
HELD, NEVER = 0.01, 1e-6  # probabilities: worth a word, and as good as none
FACTOR = 2.0  # between two probabilities below that, that is worth a word


@dataclass(frozen=True, eq=False)
class SgdBasin(Listed):
    """What one basin holds by each answer: (probability, error), or None where there is none.

    An absorbing end counts as a basin, with `at_end`, and so does a stretch on which no datapoint
    has a gradient, with `at_rest`.
    """

    position: float
    lower: float
    upper: float
    diffusion: tuple[float, float] | None
    chain: tuple[float, float] | None
    log_exit_time: float | None  # steps to leave it, by the diffusion; natural logarithm
    log_chain_exit_time: float | None  # by the chain
    exit_error: float = math.inf  # absolute, of `log_chain_exit_time`
    log_diffusion: float | None = None  # log of the probability, right where that underflows
    log_diffusion_error: float = 0.0  # absolute
    log_chain: float | None = None
    log_chain_error: float = math.inf  # absolute; inf where the cells do not tell
    at_end: bool = False
    at_rest: bool = False
    held: tuple[float, float] | None = None  # the interval that SGD cannot leave, if there is one
    simulation: tuple[float, float] | None = None
    parts: tuple[tuple[float, float], ...] = ()  # intervals (lower, upper]: two across a seam
    minima: tuple[float, ...] = ()  # the minima that count as one, where these are several

    @property
    def agrees(self) -> bool:
        """Whether both answers hold the same: to 0.05, and to a factor of two where they are rare.

        Or may, for all that their errors leave open.
        """
        if self.diffusion is None or self.chain is None:
            return True
        mine, theirs = self.diffusion[0], self.chain[0]
        if abs(mine - theirs) > CLOSE:
            return False
        return mine > HELD < theirs or self.gap <= math.log(FACTOR)

    @property
    def gap(self) -> float:
        """By how much the logarithms of the two differ at least, for all that their errors leave.

        0 where both are too rare for a word.
        """
        logs = self.log_diffusion, self.log_chain
        if self.diffusion is None or self.chain is None or not max(map(log_of, logs)) > LEAST:
            return 0.0
        one = _reach(*self.diffusion, logs[0], self.log_diffusion_error)
        other = _reach(*self.chain, logs[1], self.log_chain_error)
        return max(one[0] - other[1], other[0] - one[1], 0.0)

    @property
    def untold(self) -> bool:
        """Whether the chain holds so little here that its cells do not tell how much."""
        return self.chain is not None and self.chain[0] <= self.chain[1] and not self.certain

    @property
    def certain(self) -> bool:
        """Whether the logarithm of what the chain holds is known to 1; that it is nothing, too."""
        return self.log_chain_error < 1

    @property
    def parted(self) -> bool:
        """Whether one answer holds here what the other does not hold at all."""
        if self.diffusion is None or self.chain is None:
            return False
        pair = self.diffusion[0], self.chain[0]
        return max(pair) > HELD and min(pair) < NEVER


@dataclass(frozen=True)
class Stretch:
    """What lies around a minimum, from one unstable equilibrium to the next.

    A gate is no border to steps that lead back over it, so only unstable equilibria are, and ends
    of stretches without gradients. On a ring it may lie on both sides of the seam.
    """

    position: float
    parts: tuple[tuple[float, float], ...]  # intervals (lower, upper], left to right
    at_end: bool = False
    at_rest: bool = False
    of_diffusion: tuple[tuple[float, float], ...] = ()  # the same without what SGD comes to from it

    @property
    def lower(self) -> float:
        return self.parts[0][0]

    @property
    def upper(self) -> float:
        return self.parts[-1][1]


def stretches_of(state: EndState, basins: Sequence[Basin]) -> list[Stretch]:
    """The basins that are compared, left to right, and the ends that absorb."""
    diffusion = state.diffusion
    lower, upper = diffusion.domain
    if diffusion.is_periodic:
        return [_on_ring(b.position, b.lower, b.upper, lower, upper) for b in basins]
    absorbing = [kind is Boundary.ABSORBING for kind in diffusion.boundaries]
    first = math.nextafter(lower, math.inf) if absorbing[0] else lower
    last = math.nextafter(upper, -math.inf) if absorbing[1] else upper
    merged = [b for b in basins if b.parts]
    kept = [
        e
        for e in state.equilibria
        if not any(b.lower < e.position < b.upper and e.position != b.position for b in merged)
    ]
    unstable = [float(e.position) for e in kept if not e.stable]
    for point in state.anatomy.points:
        if point.interval and len(point.sides) == 2 and all(s.end.push > 0 for s in point.sides):
            unstable.append(_turn(diffusion, *point.interval))
    minima = [tidy(float(e.position), e.error) for e in kept if e.stable]
    minima += [float(b.position) for b in basins if b.at_wall]
    found, atoms = [], {a.position for a in state.atoms}
    stills = [rest for p in state.anatomy.points for rest in p.rests]
    rests = {_with_its_ends(*still, first, last): still for still in stills}
    exact = {x: own for pair in rests.items() for x, own in zip(*pair, strict=True)}
    for low, high in pairwise(sorted({first, *unstable, *exact, last})):
        inside = [m for m in minima if low <= m <= high]
        if (low, high) in rests:
            one, other = rests[low, high]
            one, other = max(one, other - 2), min(other, max(one, other - 2) + 2)
            inside = [(one + other) / 2]
        if inside and low < high:
            rest = (low, high) in rests
            if high in atoms and not rest and high not in inside:  # it is in neither basin
                high = math.nextafter(high, -math.inf)
            below, above = exact.get(low, low), exact.get(high, high)
            if rest and below in atoms:  # an interval does not hold its lower end
                below = math.nextafter(below, -math.inf)
            plain = ((below, above),)
            found.append(Stretch(inside[0], ((low, high),), at_rest=rest, of_diffusion=plain))
    if absorbing[0]:
        found.insert(0, Stretch(lower, ((math.nextafter(lower, -math.inf), lower),), True))
    if absorbing[1]:
        found.append(Stretch(upper, ((last, upper),), True))
    return found


def _turn(diffusion: Diffusion, low: float, high: float) -> float:
    """Where a drift that points out of a stretch without noise at its ends changes its side."""
    ends = np.array([low]), np.array([high])
    before, after = bisected(lambda x: np.asarray(coefficients_at(diffusion, x)[0] < 0), *ends)
    return tidy(float(before[0] + after[0]) / 2, float(after[0] - before[0]))


def _with_its_ends(low: float, high: float, first: float, last: float) -> tuple[float, float]:
    """A stretch without gradients, with what comes ever closer to it."""
    near = [SAME * (1 + abs(x)) if math.isfinite(x) else 0.0 for x in (low, high)]
    return max(low - near[0], first), min(high + near[1], last)


def _on_ring(at: float, low: float, high: float, lower: float, upper: float) -> Stretch:
    period = upper - lower
    if low < lower:
        return Stretch(at, ((lower, high), (low + period, upper)))
    if high > upper:
        return Stretch(at, ((lower, high - period), (low, upper)))
    return Stretch(at, ((low, high),))


def sgd_basins(
    state: EndState,
    basins: Sequence[Basin],
    exits: Sequence[Passage | None],
    chain: ChainState | None,
    stretches: Sequence[Stretch],
    steps: StepIndicators,
) -> tuple[SgdBasin, ...]:
    """Each stretch by the diffusion and by the chain."""
    pairs = list(zip(basins, exits, strict=True))
    few = 1 < len(stretches) <= MOST_EXITS
    kept = {m.position: m.held for m in steps.minima if m.held is not None}
    found = []
    dead = chain is not None and all(c.dead for c in chain.components if c.weight)
    for stretch in each(stretches, "basins"):
        at = stretch.position
        near = SAME * (1 + abs(at))
        basin, passage = next(
            (
                (b, p)
                for b, p in pairs
                if abs(float(b.position) - at) <= near and not (stretch.at_end or stretch.at_rest)
            ),
            (None, None),
        )
        by_diffusion = by_chain = log_diffusion = log_chain = None
        doubted, unsure = 0.0, math.inf
        plain = stretch.of_diffusion or stretch.parts
        if state.kind in COMPARED:
            log_diffusion = _sum([float(state.log_probability(*part)) for part in plain])
            share = math.exp(log_diffusion)
            doubted = float(state.error if basin is None else basin.mass_error)
            doubted += float(state.weight_error)
            by_diffusion = share, share * min(doubted, 1.0)
        if chain is not None and chain.kind in SETTLED:
            logs = [chain.log_probability(*part) for part in stretch.parts]
            held_in = [p for p, log in zip(stretch.parts, logs, strict=True) if math.isfinite(log)]
            log_chain = _sum(logs)
            share = math.exp(log_chain)
            if held_in:
                unsure = max(chain.log_probability_error(*part) for part in held_in)
            elif chain.batches.whole or dead:
                unsure = 0.0  # of nothing, no cell makes anything
            doubt = share * unsure if math.isfinite(unsure) else math.inf
            by_chain = share, min(2 * chain.edge_error, doubt, 1.0)
        held = next((h for x, h in kept.items() if abs(x - at) <= near), None)
        leaving, error = None, math.inf
        if chain is not None:
            leaving, error = _leaving(chain, stretch, few or passage is not None, held)
        found.append(
            SgdBasin(
                at,
                plain[0][0],
                plain[-1][1],
                diffusion=by_diffusion,
                chain=by_chain,
                log_exit_time=None if passage is None else float(passage.log_time),
                log_chain_exit_time=leaving,
                exit_error=error,
                log_diffusion=log_diffusion,
                log_diffusion_error=doubted,
                log_chain=log_chain,
                log_chain_error=unsure,
                parts=stretch.parts,
                minima=() if basin is None else tuple(float(p.position) for p in basin.told_apart),
                at_end=stretch.at_end,
                at_rest=stretch.at_rest,
                held=held,
            )
        )
    return tuple(_bounded(found))


def _bounded(basins: Sequence[SgdBasin]) -> list[SgdBasin]:
    """Of shares of one whole none is off by more than all the others, but down to 0."""
    known = [b.chain for b in basins if b.chain is not None]
    missing = abs(1 - math.fsum(share for share, _ in known))
    found = []
    for b in basins:
        if b.chain is not None:
            share, error = b.chain
            others = missing + math.fsum([*(e for _, e in known), -error])
            b = replace(b, chain=(share, min(error, max(others, share))))
        found.append(b)
    return found


def _leaving(
    chain: ChainState, stretch: Stretch, timed: bool, held: tuple[float, float] | None
) -> tuple[float | None, float]:
    """log of the steps that the chain takes to leave it, and its error."""
    if not timed or len(stretch.parts) > 1 or stretch.at_end or stretch.at_rest:
        return None, math.inf
    if held is not None:
        return math.inf, 0.0
    at, low, high = stretch.position, stretch.lower, stretch.upper
    from stationary.chain.times import (
        refined_exit_time,  # with SciPy, which a report may do without
    )

    try:
        time = refined_exit_time(chain.batches, low, high, at, TOLD, chain.span, chain.cells)
    except StationaryError:
        return None, math.inf  # not to be had on its cells
    if TOLD < time.error > time.log_time:
        return None, math.inf  # nor whether it takes a step
    if (math.isinf(time.log_time) and not chain.batches.whole) or math.isinf(time.error):
        return None, math.inf  # what leads out may have no node, or one that tells nothing
    return float(time.log_time), float(time.error)


def _reach(value: float, error: float, log: float | None, log_error: float) -> tuple[float, float]:
    """Logarithms of the least and of the most that a probability may be, by either error."""
    with np.errstate(divide="ignore"):
        least, most = np.log([max(value - error, 0.0), value + error]).tolist()
    if math.isfinite(log_error):
        least, most = max(least, log_of(log) - log_error), min(most, log_of(log) + log_error)
    return least, max(most, LEAST)


def log_of(log: float | None) -> float:
    """The logarithm of what may be none."""
    return -math.inf if log is None else log


def _sum(logs: list[float]) -> float:
    return min(float(np.logaddexp.reduce(logs)), 0.0)
