"""`check`: is the end state of the diffusion that of the SGD which is actually run?

Three answers side by side: zero flux, the exact chain with its finite step, and walkers. The chain
is the judge; the walkers judge the chain.
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from stationary.analysis import Analysis, analyze
from stationary.chain.exact import exact_chain
from stationary.chain.state import ChainState
from stationary.chain.steps import StepIndicators, step_indicators
from stationary.checking.comparison import (
    Distance,
    between_chain_and_diffusion,
    between_walkers_and,
)
from stationary.diffusion import Convention
from stationary.errors import LandscapeError, StationaryError
from stationary.landscape import Landscape
from stationary.numbers.arithmetic import DOUBLE
from stationary.simulation.result import Simulation
from stationary.simulation.simulate import simulate
from stationary.solve import end_state
from stationary.wording import time_text

__all__ = ["BasinCheck", "Check", "check"]

WALKERS, STEPS = 1000, 20_000
SETTLED = ("density", "atoms", "mixture")  # kinds of an end state that is one distribution
HOLDS, ROUGHLY = 0.05, 0.2  # total-variation distances
HELD, NEVER = 0.01, 1e-6  # probabilities: worth a word, and as good as none


@dataclass(frozen=True)
class BasinCheck:
    """What one basin holds by each answer: (probability, error), or None where there is none."""

    position: float
    lower: float
    upper: float
    diffusion: tuple[float, float] | None
    chain: tuple[float, float] | None
    simulation: tuple[float, float] | None
    log_exit_time: float | None  # steps to leave it, by the diffusion; natural logarithm
    log_chain_exit_time: float | None  # by the chain


@dataclass(frozen=True, eq=False, repr=False)
class Check:
    """The diffusion, the exact chain and walkers, compared.

    Attributes
    ----------
    outcome
        "holds", "roughly", "fails" or "not decided".
    reasons
        Why, in words, the weightiest first.
    conventions
        The distance of the diffusion to the chain under each noise convention, None where it has
        no end state to compare; `obeyed` is the nearest, None if they cannot be told apart.
    """

    analysis: Analysis
    chain: ChainState
    simulation: Simulation | None
    steps: StepIndicators
    diffusion_and_chain: Distance | None
    diffusion_and_simulation: Distance | None
    chain_and_simulation: Distance | None
    conventions: dict[str, Distance | None]
    basins: tuple[BasinCheck, ...]
    notes: tuple[str, ...]

    @cached_property
    def obeyed(self) -> str | None:
        known = sorted(
            ((d.total_variation, name) for name, d in self.conventions.items() if d is not None)
        )
        if len(known) < 2:
            return None
        doubt = sum(
            d.total_variation_error
            for d in (self.conventions[name] for _, name in known[:2])
            if d is not None
        )
        # What the finite step does to all of them alike must be small beside what tells them apart.
        best, second = known[0][0], known[1][0]
        return known[0][1] if second - best > max(doubt, best) else None

    @cached_property
    def outcome(self) -> str:
        if self.chain.kind == "none":
            return "fails"
        apart = self.diffusion_and_chain
        if apart is None or apart.total_variation_error > ROUGHLY:
            return "not decided"
        if self._structural:
            return "fails"
        if apart.total_variation <= HOLDS:
            return "holds"
        return "roughly" if apart.total_variation <= ROUGHLY else "fails"

    @cached_property
    def reasons(self) -> tuple[str, ...]:
        return (*self._structural, *self.steps.warnings, *self._slow)

    @cached_property
    def _structural(self) -> tuple[str, ...]:
        """Where the chain ends in other places than the diffusion, whatever the distances."""
        chain = self.chain
        if chain.kind == "none":
            return (f"SGD has no end state at this step: {chain.reason}",)
        found = []
        for b in self.basins:
            if b.diffusion is None or b.chain is None:
                continue
            if b.diffusion[0] > HELD and b.chain[0] < NEVER:
                after = ""
                if b.log_chain_exit_time is not None and math.isfinite(b.log_chain_exit_time):
                    after = f", after {time_text(b.log_chain_exit_time)} steps"
                found.append(
                    f"the minimum at w = {b.position:.4g} holds {b.diffusion[0]:.3g} by the "
                    f"diffusion, but SGD leaves it for good{after}"
                )
            if b.chain[0] > HELD and b.diffusion[0] < NEVER:
                found.append(
                    f"SGD holds {b.chain[0]:.3g} around w = {b.position:.4g}, where the diffusion "
                    "holds nothing"
                )
        return tuple(found)

    @cached_property
    def _slow(self) -> tuple[str, ...]:
        if self.simulation is None or not self.simulation.metastable:
            return ()
        return (
            "the simulation is metastable, so that its masses are those of its start: "
            + "; ".join(r.rstrip(".") for r in self.simulation.reasons),
        )

    @property
    def verdict(self) -> str:
        """One sentence."""
        apart = self.diffusion_and_chain
        if self.outcome == "not decided":
            return "Whether the diffusion is the SGD that is run is not decided."
        size = ""
        if apart is not None:
            size = (
                f": the total-variation distance to the exact chain is {apart.total_variation:.2g}"
                f" +- {apart.total_variation_error:.1g}"
            )
        how = {"holds": "that", "roughly": "roughly that", "fails": "not that"}[self.outcome]
        return f"The end state of the diffusion is {how} of SGD with this step{size}."

    def summary(self) -> str:
        """The verdict with its reasons and numbers, at most 80 columns wide."""
        from stationary.checking.report import text

        return text(self)

    def to_dict(self) -> dict[str, Any]:
        """The same as plain numbers, strings and lists; None for what does not exist."""
        from stationary.checking.report import as_dict

        return as_dict(self)

    def plot(self, path: str | Path | None = None) -> Any:
        """Draw the three answers over each other; save to `path` if given."""
        from stationary.checking.figure import plot_check
        from stationary.plotting import save

        figure = plot_check(self)
        if path is not None:
            save(figure, path)
        return figure

    def __str__(self) -> str:
        return self.summary()

    def __repr__(self) -> str:
        return f"<Check of {self.analysis.diffusion.name!r}: {self.outcome}>"


def check(
    source: str | os.PathLike[str] | Landscape,
    initial: Any = None,
    *,
    walkers: int = WALKERS,
    steps: int = STEPS,
    cells: int = 2000,
    seed: Any = 0,
    simulation: bool = True,
    progress: bool = False,
    **changes: Any,
) -> Check:
    """Hold the end state of the diffusion against SGD with its finite step.

    Parameters
    ----------
    source
        The path of a landscape file, or a `Landscape`.
    initial
        Where SGD starts; needed where several closed classes compete. Where it is and nothing is
        said, all are compared from a start that is spread evenly over the domain, and a note says
        so.
    walkers, steps, seed
        Of the simulation.
    cells
        Of the exact chain.
    simulation
        Whether walkers are sent out at all.
    changes
        Fields of the landscape to replace, as for `analyze`.

    Raises
    ------
    LandscapeError
        If the source is no landscape: a drift and a variance do not say what steps SGD takes.
    """
    given = {"initial": initial} if initial is not None else {}
    analysis = analyze(source, **changes, **given)
    landscape = analysis.landscape
    if landscape is None:
        raise LandscapeError(
            f"{analysis.diffusion.name}: check needs the losses or gradients of datapoints: a "
            "drift and a variance do not say what steps SGD takes."
        )
    notes: list[str] = []
    start = analysis.end_state.initial
    chain = exact_chain(landscape, start, cells=cells)
    if start is None and "classes" in (chain.kind, analysis.end_state.kind):
        evenly = _evenly(analysis)
        notes.append(
            "Where it ends depends on where it starts, and no start was given: everything is "
            f"compared from {evenly}. Give your own with --initial."
        )
        landscape = replace(landscape, initial=evenly)
        start = landscape.initial
        analysis = Analysis(landscape, end_state(landscape))
        chain = exact_chain(landscape, cells=cells)
    analysis = analysis.rounded
    stretches = _stretches(analysis)
    sent = None
    if simulation:
        sent = simulate(
            landscape,
            start,
            walkers=walkers,
            steps=steps,
            seed=seed,
            intervals=[(low, high) for low, _, high in stretches],
            progress=progress,
        )
    state = analysis.end_state
    solved, settled = state.kind in SETTLED, chain.kind in SETTLED
    reach = _reach(analysis, chain)
    apart = between_chain_and_diffusion(chain, state) if solved and settled else None
    return Check(
        analysis=analysis,
        chain=chain,
        simulation=sent,
        steps=step_indicators(landscape, state),
        diffusion_and_chain=apart,
        diffusion_and_simulation=between_walkers_and(sent, state.cdf, float(state.error), reach)
        if sent is not None and solved
        else None,
        chain_and_simulation=between_walkers_and(sent, chain.cdf, chain.error, reach)
        if sent is not None and settled
        else None,
        conventions=_conventions(analysis, chain) if settled else {},
        basins=tuple(_basin(analysis, chain, sent, stretch) for stretch in stretches),
        notes=tuple(notes),
    )


def _stretches(analysis: Analysis) -> list[tuple[float, float, float]]:
    """What lies around each minimum, from one unstable equilibrium to the next: lower end, minimum,
    upper end.

    A gate is no border to steps that lead back over it, so only unstable equilibria are.
    """
    lower, upper = analysis.diffusion.domain
    edges = [lower, *(float(e.position) for e in analysis.equilibria if not e.stable), upper]
    minima = [float(e.position) for e in analysis.equilibria if e.stable]
    minima += [float(b.position) for b in analysis.basins if b.at_wall]
    found = []
    for low, high in pairwise(edges):
        inside = [m for m in minima if low <= m <= high]
        if inside and low < high:
            found.append((low, inside[0], high))
    return found


def _basin(
    analysis: Analysis,
    chain: ChainState,
    sent: Simulation | None,
    stretch: tuple[float, float, float],
) -> BasinCheck:
    low, at, high = stretch
    state = analysis.end_state
    pairs = list(zip(analysis.basins, analysis.exits, strict=True))
    basin, passage = next(
        ((b, p) for b, p in pairs if abs(float(b.position) - at) <= 1e-9 * (1 + abs(at))),
        (None, None),
    )
    held = by_chain = walked = None
    if state.kind in SETTLED:
        share = float(state.probability(low, high))
        doubt = float(state.error) if basin is None else float(basin.mass_error)
        held = share, share * min(doubt + state.weight_error, 1.0)
    if chain.kind in SETTLED:
        share = chain.probability(low, high)
        relative = chain.log_probability_error(low, high) if share > 0 else math.inf
        doubt = share * relative if math.isfinite(relative) else math.inf
        by_chain = share, min(2 * chain.error, doubt, 1.0)
    if sent is not None:
        walked = sent.probability(low, high), sent.probability_error(low, high)
    leaving = None
    if passage is not None and math.isfinite(high - low):
        try:
            leaving = float(chain.mean_exit_time(low, high, at).log_time)
        except StationaryError:
            leaving = None  # not to be had on its cells
    return BasinCheck(
        at,
        low,
        high,
        diffusion=held,
        chain=by_chain,
        simulation=walked,
        log_exit_time=None if passage is None else float(passage.log_time),
        log_chain_exit_time=leaving,
    )


def _reach(analysis: Analysis, chain: ChainState) -> tuple[float, float]:
    """An interval that holds all of the domain, or, of an infinite one, all but 1e-9."""
    state, (low, high) = analysis.end_state, analysis.diffusion.domain
    solved = state.kind in SETTLED
    edges = chain.edges if len(chain.edges) else np.zeros(1)
    if math.isinf(low):
        low = min(float(edges[0]), float(state.ppf(1e-9)) if solved else math.inf)
    if math.isinf(high):
        high = max(float(edges[-1]), float(state.isf(1e-9)) if solved else -math.inf)
    return low, high


def _evenly(analysis: Analysis) -> str:
    """A start spread evenly over the domain, or around the equilibria of an infinite one."""
    lower, upper = analysis.diffusion.domain
    at = [e.position for e in analysis.equilibria]
    gap = max(at) - min(at) if len(at) > 1 else 1.0
    low = lower if math.isfinite(lower) else min(at) - gap
    high = upper if math.isfinite(upper) else max(at) + gap
    return f"uniform:{low:.12g},{high:.12g}"


def _conventions(analysis: Analysis, chain: ChainState) -> dict[str, Distance | None]:
    """The distance to the chain under each convention."""
    landscape = analysis.landscape
    assert landscape is not None
    found: dict[str, Distance | None] = {}
    if analysis.end_state.arithmetic is not DOUBLE:
        return found  # on a peak that doubles cannot tell from a point they are all alike
    for convention in Convention:
        name = convention.name.lower()
        found[name] = None
        try:
            if convention is landscape.convention:
                state = analysis.end_state
            else:
                state = end_state(replace(landscape, convention=convention))
            if state.kind in SETTLED:
                found[name] = between_chain_and_diffusion(chain, state)
        except StationaryError:
            continue
    return found
