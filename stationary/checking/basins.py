"""What each basin holds, and how long it is held, by each of the three answers."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

from stationary.analysis import Analysis
from stationary.chain.state import ChainState
from stationary.errors import ConvergenceError, StationaryError
from stationary.functions.given import Boundary
from stationary.simulation.result import Simulation
from stationary.wording import tidy

__all__ = ["COMPARED", "SETTLED", "BasinCheck", "Stretch", "basin_checks", "stretches_of"]

SETTLED = ("density", "atoms", "mixture")  # kinds of an end state that is one distribution
COMPARED = (*SETTLED, "flux")  # of the diffusion: around a ring, too
INSIDE = 1e-9  # of a position: minima nearer to each other are the same


@dataclass(frozen=True)
class BasinCheck:
    """What one basin holds by each answer: (probability, error), or None where there is none.

    An absorbing end counts as a basin, with `at_end`.
    """

    position: float
    lower: float
    upper: float
    diffusion: tuple[float, float] | None
    chain: tuple[float, float] | None
    simulation: tuple[float, float] | None
    log_exit_time: float | None  # steps to leave it, by the diffusion; natural logarithm
    log_chain_exit_time: float | None  # by the chain
    log_diffusion: float | None = None  # log of the probability, right where that underflows
    log_chain: float | None = None
    log_chain_error: float = math.inf  # absolute; inf where the cells do not tell
    at_end: bool = False
    endless: bool = False  # whether the chain takes more than 1e290 steps to leave it


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


def stretches_of(analysis: Analysis) -> list[Stretch]:
    """The basins that are compared, left to right, and the ends that absorb."""
    diffusion = analysis.diffusion
    lower, upper = diffusion.domain
    if diffusion.is_periodic:
        return [_on_ring(b.position, b.lower, b.upper, lower, upper) for b in analysis.basins]
    absorbing = [kind is Boundary.ABSORBING for kind in diffusion.boundaries]
    first = math.nextafter(lower, math.inf) if absorbing[0] else lower
    last = math.nextafter(upper, -math.inf) if absorbing[1] else upper
    merged = [b for b in analysis.basins if b.parts]
    kept = [
        e
        for e in analysis.equilibria
        if not any(b.lower < e.position < b.upper and e.position != b.position for b in merged)
    ]
    unstable = [float(e.position) for e in kept if not e.stable]
    minima = [tidy(float(e.position), e.error) for e in kept if e.stable]
    minima += [float(b.position) for b in analysis.basins if b.at_wall]
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


def basin_checks(
    analysis: Analysis, chain: ChainState, sent: Simulation | None, stretches: list[Stretch]
) -> tuple[BasinCheck, ...]:
    """Each of them by each answer."""
    return tuple(_basin(analysis, chain, sent, s) for s in stretches)


def _basin(
    analysis: Analysis, chain: ChainState, sent: Simulation | None, stretch: Stretch
) -> BasinCheck:
    at, state = stretch.position, analysis.end_state
    pairs = list(zip(analysis.basins, analysis.exits, strict=True))
    near = INSIDE * (1 + abs(at))
    basin, passage = next(
        ((b, p) for b, p in pairs if abs(float(b.position) - at) <= near and not stretch.at_end),
        (None, None),
    )
    by_diffusion = by_chain = walked = log_diffusion = log_chain = None
    unsure = math.inf
    if state.kind in COMPARED:
        logs = [float(state.log_probability(low, high)) for low, high in stretch.parts]
        log_diffusion = _sum(logs)
        share = math.exp(log_diffusion)
        doubt = float(state.error) if basin is None else float(basin.mass_error)
        by_diffusion = share, share * min(doubt + state.weight_error, 1.0)
    if chain.kind in SETTLED:
        log_chain = _sum([chain.log_probability(low, high) for low, high in stretch.parts])
        share = math.exp(log_chain)
        if math.isfinite(log_chain):
            unsure = max(
                chain.log_probability_error(low, high)
                for low, high in stretch.parts
                if math.isfinite(chain.log_probability(low, high))
            )
        doubt = share * unsure if math.isfinite(unsure) else math.inf
        by_chain = share, min(2 * chain.error, doubt, 1.0)
    if sent is not None:
        walked = (
            sum(sent.probability(low, high) for low, high in stretch.parts),
            sum(sent.probability_error(low, high) for low, high in stretch.parts),
        )
    leaving, endless = None, False
    if passage is not None and len(stretch.parts) == 1 and math.isfinite(sum(stretch.parts[0])):
        try:
            time = float(chain.mean_exit_time(stretch.lower, stretch.upper, at).log_time)
            leaving, endless = (None, True) if math.isnan(time) else (time, False)
        except ConvergenceError:
            endless = True  # beyond what doubles hold
        except StationaryError:
            leaving = None  # not to be had on its cells
    return BasinCheck(
        at,
        stretch.lower,
        stretch.upper,
        diffusion=by_diffusion,
        chain=by_chain,
        simulation=walked,
        log_exit_time=None if passage is None else float(passage.log_time),
        log_chain_exit_time=leaving,
        log_diffusion=log_diffusion,
        log_chain=log_chain,
        log_chain_error=unsure,
        at_end=stretch.at_end,
        endless=endless,
    )


def _sum(logs: list[float]) -> float:
    top = max(logs)
    if not math.isfinite(top):
        return -math.inf
    return min(top + math.log(sum(math.exp(v - top) for v in logs)), 0.0)
