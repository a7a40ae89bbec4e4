"""What each basin of the diffusion holds by its end state and by the chain of SGD's own steps."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from stationary.chain.indicators import StepIndicators
from stationary.errors import StationaryError
from stationary.functions.given import Boundary
from stationary.numbers.arithmetic import SAME, TINY
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
HELD, NEVER = 0.01, 1e-6  # probabilities: worth a word, and as good as none


@dataclass(frozen=True)
class SgdBasin:
    """What one basin holds by each answer: (probability, error), or None where there is none.

    An absorbing end counts as a basin, with `at_end`.
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
    log_chain: float | None = None
    log_chain_error: float = math.inf  # absolute; inf where the cells do not tell
    at_end: bool = False
    held: tuple[float, float] | None = None  # the interval that SGD cannot leave, if there is one
    simulation: tuple[float, float] | None = None
    parts: tuple[tuple[float, float], ...] = ()  # intervals (lower, upper]: two across a seam
    minima: tuple[float, ...] = ()  # the minima that count as one, where these are several

    @property
    def agrees(self) -> bool:
        """Whether both answers hold the same: to 0.05, and to a factor of two where they are rare.

        By more than what the cells of the chain leave open.
        """
        if self.diffusion is None or self.chain is None:
            return True
        mine, theirs = self.diffusion[0], self.chain[0]
        if abs(mine - theirs) > CLOSE or self.parted:
            return False
        one, other = self.log_diffusion, self.log_chain
        if one is None or other is None or not max(one, other) > LEAST or mine > HELD < theirs:
            return True
        return self.untold or abs(one - other) <= math.log(2) + self.log_chain_error

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

    A gate is no border to steps that lead back over it, so only unstable equilibria are. On a ring
    it may lie on both sides of the seam.
    """

    position: float
    parts: tuple[tuple[float, float], ...]  # intervals (lower, upper], left to right
    at_end: bool = False

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
    minima = [tidy(float(e.position), e.error) for e in kept if e.stable]
    minima += [float(b.position) for b in basins if b.at_wall]
    found = []
    for low, high in pairwise([first, *unstable, last]):
        inside = [m for m in minima if low <= m <= high]
        if inside and low < high:
            found.append(Stretch(inside[0], ((low, high),)))
    if absorbing[0]:
        found.insert(0, Stretch(lower, ((math.nextafter(lower, -math.inf), lower),), True))
    if absorbing[1]:
        found.append(Stretch(upper, ((last, upper),), True))
    return found


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
    kept = {m.position: m.held for m in steps.minima if m.held is not None}
    found = []
    for stretch in stretches:
        at = stretch.position
        near = SAME * (1 + abs(at))
        basin, passage = next(
            (
                (b, p)
                for b, p in pairs
                if abs(float(b.position) - at) <= near and not stretch.at_end
            ),
            (None, None),
        )
        by_diffusion = by_chain = log_diffusion = log_chain = None
        unsure = math.inf
        if state.kind in COMPARED:
            log_diffusion = _sum([float(state.log_probability(*part)) for part in stretch.parts])
            share = math.exp(log_diffusion)
            doubt = float(state.error) if basin is None else float(basin.mass_error)
            by_diffusion = share, share * min(doubt + state.weight_error, 1.0)
        if chain is not None and chain.kind in SETTLED:
            logs = [chain.log_probability(*part) for part in stretch.parts]
            held_in = [p for p, log in zip(stretch.parts, logs, strict=True) if math.isfinite(log)]
            log_chain = _sum(logs)
            share = math.exp(log_chain)
            if held_in:
                unsure = max(chain.log_probability_error(*part) for part in held_in)
            doubt = share * unsure if math.isfinite(unsure) else math.inf
            by_chain = share, min(2 * chain.error, doubt, 1.0)
            if log_chain == -math.inf and chain.batches.whole:
                unsure = 0.0  # of nothing, no cell makes anything
        held = next((h for x, h in kept.items() if abs(x - at) <= near), None)
        leaving, error = None, math.inf
        if chain is not None:
            leaving, error = _leaving(chain, stretch, passage, held)
        found.append(
            SgdBasin(
                at,
                stretch.lower,
                stretch.upper,
                diffusion=by_diffusion,
                chain=by_chain,
                log_exit_time=None if passage is None else float(passage.log_time),
                log_chain_exit_time=leaving,
                exit_error=error,
                log_diffusion=log_diffusion,
                log_chain=log_chain,
                log_chain_error=unsure,
                parts=stretch.parts,
                minima=() if basin is None else tuple(float(p.position) for p in basin.parts),
                at_end=stretch.at_end,
                held=held,
            )
        )
    return tuple(found)


def _leaving(
    chain: ChainState,
    stretch: Stretch,
    passage: Passage | None,
    held: tuple[float, float] | None,
) -> tuple[float | None, float]:
    """log of the steps that the chain takes to leave it, and its error."""
    if passage is None or len(stretch.parts) > 1:
        return None, math.inf
    if held is not None:
        return math.inf, 0.0
    at, low, high = stretch.position, stretch.lower, stretch.upper
    from stationary.chain.exit_time import (
        refined_exit_time,  # with SciPy, which a report may do without
    )

    try:
        time = refined_exit_time(chain.batches, low, high, at, TOLD, chain.edges, chain.cells)
    except StationaryError:
        return None, math.inf  # not to be had on its cells
    if TOLD < time.error > time.log_time:
        return None, math.inf  # nor whether it takes a step
    if (math.isinf(time.log_time) and not chain.batches.whole) or math.isinf(time.error):
        return None, math.inf  # what leads out may have no node, or one that tells nothing
    return float(time.log_time), float(time.error)


def _sum(logs: list[float]) -> float:
    return min(float(np.logaddexp.reduce(logs)), 0.0)
