"""`check`: is the end state of the diffusion that of the SGD which is actually run?

Three answers side by side: zero flux, the exact chain with its finite step, and walkers. The chain
is the judge; the walkers judge the chain.
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any

import numpy as np

from stationary.analysis import Analysis, analyze, process_and_settings
from stationary.chain.exact import exact_chain
from stationary.chain.indicators import StepIndicators
from stationary.chain.state import ChainState
from stationary.chain.steps import step_indicators
from stationary.checking.verdict import HOLDS, ROUGHLY, Check, Distances, Variation, compared
from stationary.errors import ConvergenceError, LandscapeError, StationaryError
from stationary.functions.given import checked_whole
from stationary.numbers.arithmetic import DOUBLE
from stationary.process.forms import Convention
from stationary.process.landscape import Landscape
from stationary.process.phase_space import phase_space
from stationary.process.plane import PlaneDiffusion
from stationary.progress import Progress, is_watched, stage, watched
from stationary.result import Result
from stationary.sgd.basins import COMPARED, SETTLED, SgdBasin, Stretch, sgd_basins, stretches_of
from stationary.simulation.departure import WALKERS
from stationary.simulation.result import Simulation
from stationary.simulation.sgd import gradients_per_step
from stationary.simulation.simulate import ENDLESS, require_memory, simulate
from stationary.simulation.terrain import survey_terrain
from stationary.sources.loading import PLANE
from stationary.states.distribution import EndState
from stationary.states.solve import end_state
from stationary.wording import capital

STEPS = 20_000
FEWEST_WALKERS, FEWEST_STEPS = 100, 1000
GRADIENTS = 2 * 10**9  # evaluated by the walkers at most, if nothing is said: 10 to 30 seconds
VELOCITY = (
    "With momentum the chain is that of the weight, 1, and its velocity, 2, in w per step. Their "
    "correlation is half the ratio of their deviations for whatever is stationary, and not judged."
)


@dataclass(frozen=True, eq=False, repr=False)
class AdaptiveCheck(Result):
    """The approximate law of Adam, and walkers with its real steps."""

    analysis: Analysis
    simulation: Simulation | None
    notes: tuple[str, ...] = ()
    interrupted: bool = False

    @property
    def who(self) -> str:
        return "SGD" if self.analysis.landscape is None else self.analysis.landscape.who

    @cached_property
    def numbers(self) -> dict[str, tuple[float, float, float, float]]:
        """Mean and deviation: of the law, with error, and of walkers, nan without any."""
        state, sent, none = self.analysis.end_state, self.simulation, (math.nan, math.nan)
        means = none if sent is None else (sent.mean, sent.mean_error)
        stds = none if sent is None else (sent.std, sent.std_error)
        return {
            "mean": (state.mean(), state.mean_error, *means),
            "standard deviation": (state.std(), state.std_error, *stds),
        }

    @property
    def off(self) -> tuple[float, float]:
        """The larger difference of the two, in deviations, and the error of the walkers' own."""
        std = self.numbers["standard deviation"][0]
        pairs = ((abs(x - y) / std, by / std) for x, _, y, by in self.numbers.values())
        return max(pairs, key=lambda pair: pair[0])

    @property
    def outcome(self) -> str:
        """As of a `Check`."""
        sent, (apart, error) = self.simulation, self.off
        if sent is None or sent.metastable or 2 * error > ROUGHLY or not apart >= 0:
            return "not decided"
        if sent.escaped or apart - 2 * error > ROUGHLY:
            return "fails"
        return "holds" if apart <= HOLDS else "roughly"

    @property
    def verdict(self) -> str:
        """One sentence."""
        who, (apart, error) = self.who, self.off
        if self.outcome == "not decided":
            return f"Whether the approximate law is that of {who} is not decided."
        how = {"holds": "that", "roughly": "roughly that", "fails": "not that"}[self.outcome]
        by = f"{100 * apart:.2g} % of a deviation (+- {100 * error:.1g} %)"
        return (
            f"The approximate law is {how} of {who}: walkers differ in mean or deviation by {by}."
        )

    def __repr__(self) -> str:
        return f"<AdaptiveCheck of {self.analysis.diffusion.name!r}: {self.outcome}>"


@dataclass(frozen=True)
class _Asked:
    """What is asked of the walkers, if any are sent out, and of the chain."""

    walkers: int | None
    steps: int | None
    seed: int
    cells: int
    simulation: bool


def check(
    source: str | os.PathLike[str] | Landscape,
    initial: Any = None,
    *,
    walkers: int | None = None,
    steps: int | None = None,
    cells: int = 2000,
    seed: Any = 0,
    simulation: bool = True,
    progress: Progress = False,
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
        Of the simulation: 1000 walkers and 20,000 steps if nothing is said, fewer where a step
        takes many gradients. Interrupted by Ctrl-C, walkers keep what they have seen, and what the
        chain says is there in any case.
    cells
        Of the exact chain.
    simulation
        Whether walkers are sent out at all.
    progress
        As for `simulate`.
    changes
        Fields of the landscape to replace, as for `analyze`.

    Returns
    -------
    Check
        With two weights, or momentum, a `PlaneCheck`; of Adam an `AdaptiveCheck`.

    Raises
    ------
    LandscapeError
        If the source is no landscape: a drift and a variance do not say what steps SGD takes; or
        if the walkers would take days.
    """
    if walkers is not None:
        walkers = checked_whole(walkers, "walkers", "check", 2)
    if steps is not None:
        steps = checked_whole(steps, "steps", "check")
    given = {"initial": initial} if initial is not None else {}
    with watched(progress, "check"):
        asked = _Asked(walkers, steps, seed, cells, simulation)
        return _checked(source, asked, {**changes, **given})


def _checked(source: Any, asked: _Asked, changes: dict[str, Any]) -> Check:
    process, own = process_and_settings(source, "check", changes)
    if isinstance(process, PLANE):
        from stationary.plane.finite import require_steps

        require_steps(process)
    elif not isinstance(process, Landscape):
        raise LandscapeError(
            f"{process.name}: check needs the losses or gradients of datapoints: a drift and a "
            "variance do not say what steps SGD takes. To hold these against walkers, use "
            "stationary.simulate."
        )
    else:
        process.require_datapoints()
        if process.adaptive:
            found: Any = _of_adaptive(process, own, asked)
            return found  # type: ignore[no-any-return]
    if isinstance(process, Landscape) and process.momentum:
        process, own = _with_velocity(process), {}
    unknown: list[str] = []
    with stage("end state", 1, 2 + asked.simulation):
        try:
            analysis: Any = analyze(process, **own)
        except ConvergenceError as error:
            if not isinstance(getattr(error.state, "process", None), PLANE):
                raise
            # Too little is known of the diffusion for an end state, but SGD's steps can be taken.
            analysis, unknown = error.state, [capital(str(error).removeprefix(f"{process.name}: "))]
    if isinstance(analysis.process, PLANE):
        from stationary.plane.finite import plane_check

        how: Any = {"walkers": asked.walkers or WALKERS, "steps": asked.steps, "seed": asked.seed}
        found = plane_check(analysis, known=not unknown, simulation=asked.simulation, **how)
        found = replace(found, notes=(*unknown, *found.notes))
        if isinstance(process, PlaneDiffusion):  # of `phase_space`: no other one has steps
            found = replace(found, notes=(VELOCITY, *found.notes), given=("correlation",))
        return found  # type: ignore[no-any-return]
    landscape = analysis.landscape.at_last_rate
    notes: list[str] = []
    crew = _affordable(landscape, asked, notes)
    start = analysis.end_state.initial
    with stage("chain", 2, 2 + asked.simulation):
        chain = exact_chain(landscape, start, cells=asked.cells)
    if start is None and "classes" in (chain.kind, analysis.end_state.kind):
        low, high = survey_terrain(landscape).region
        notes.append(
            "Where it ends depends on where it starts, and no start was given: everything is "
            f"compared from uniform:{low:.6g},{high:.6g}. Give your own with --initial."
        )
        landscape = replace(landscape, initial=f"uniform:{low!r},{high!r}")
        start = landscape.initial
        try:
            analysis = replace(analysis, process=landscape, end_state=end_state(landscape))
        except LandscapeError as error:  # some of it starts where it stays
            notes.append(capital(str(error).removeprefix(f"{landscape.name}: ")))
        chain = exact_chain(landscape, cells=asked.cells)
    analysis = analysis.rounded
    stretches = stretches_of(analysis.end_state, analysis.basins)
    parts = [part for s in stretches for part in s.parts]
    sent, interrupted = _sent(landscape, start, crew, asked.seed, notes, intervals=parts)
    state = analysis.end_state
    solved, settled = state.kind in COMPARED, chain.kind in SETTLED
    kept = settled and not chain.lost  # walkers are averaged over those that stay
    answer = Check(
        analysis=analysis,
        chain=chain,
        simulation=sent,
        steps=StepIndicators(landscape.small_step_rate, (), (), ()),
        closed=(_closed(state), chain.closed),
        notes=tuple(notes),
        interrupted=interrupted,
    )
    try:  # what comes first is kept
        answer = replace(answer, steps=step_indicators(landscape, state))
        basins = sgd_basins(state, analysis.basins, analysis.exits, chain, stretches, answer.steps)
        answer = replace(answer, basins=tuple(map(partial(_walked, sent), basins, stretches)))
        if solved and settled:
            answer = replace(answer, diffusion_and_chain=compared(chain, state))
        if sent and solved:
            answer = replace(answer, diffusion_and_simulation=compared(sent.distribution, state))
        if sent and kept:
            answer = replace(answer, chain_and_simulation=compared(sent.distribution, chain))
        if answer.diffusion_and_chain:
            conventions = _conventions(analysis, chain, answer.diffusion_and_chain)
            answer = replace(answer, conventions=conventions)
    except KeyboardInterrupt:
        unfinished = "It was interrupted before all was compared."
        answer = replace(answer, notes=(*answer.notes, unfinished), interrupted=True)
    return answer


def _sent(
    landscape: Landscape,
    start: Any,
    crew: tuple[int, int] | None,
    seed: int,
    notes: list[str],
    **more: Any,
) -> tuple[Simulation | None, bool]:
    """What so many walkers with so many steps say, if any are; and whether they were stopped."""
    if crew is None:
        return None, False
    how: Any = {"walkers": crew[0], "steps": crew[1], "seed": seed, "progress": is_watched()}
    try:
        sent = simulate(landscape, start, **how, **more)
        return sent, not sent.complete
    except ConvergenceError as error:  # they ran away, which is an answer, too
        notes.append(f"Simulation: {str(error).removeprefix(f'{landscape.name}: ')}")
        return None, False
    except KeyboardInterrupt:
        notes.append("The walkers were stopped before they were observed.")
        return None, True


def _of_adaptive(landscape: Landscape, own: dict[str, Any], asked: _Asked) -> AdaptiveCheck:
    """The law of Adam held against walkers with its steps, which begin where it has them."""
    with stage("end state", 1, 1 + asked.simulation):
        analysis = analyze(landscape, **own)
    notes: list[str] = []
    crew = _affordable(landscape, asked, notes)
    share = (np.arange(crew[0]) + 0.5) / crew[0] if crew else np.empty(0)
    sent, interrupted = _sent(landscape, analysis.end_state.ppf(share), crew, asked.seed, notes)
    return AdaptiveCheck(analysis, sent, tuple(notes), interrupted)


def _with_velocity(landscape: Landscape) -> Any:
    """With momentum a step depends on the one before, so that the chain is that of (w, v)."""
    if not landscape.rule.linear or landscape.label_noise:
        raise LandscapeError(
            f"{landscape.name}: check with momentum is for plain SGD, not with clip or label "
            "noise. Leave these out, or send out walkers alone with stationary.simulate."
        )
    return phase_space(landscape.at_last_rate)


def _affordable(landscape: Landscape, asked: _Asked, notes: list[str]) -> tuple[int, int] | None:
    """How many walkers take how many steps; None where a step takes more than there is time for.

    And where none are wanted.
    """
    if not asked.simulation:
        return None
    walkers, steps = asked.walkers, asked.steps
    require_memory(walkers, landscape.name)
    each = gradients_per_step(landscape)
    if steps is not None:
        many = walkers or WALKERS
        if many * steps * each > ENDLESS:
            raise LandscapeError(
                f"{landscape.name}: {many:,} walkers with {steps:.3g} steps of {each:,} gradients "
                f"take days. Give at most {max(ENDLESS // (many * each), 1):.3g} steps, fewer "
                "walkers, or leave the walkers out (--no-simulation): the chain says where they go."
            )
        return many, steps
    many = walkers or max(FEWEST_WALKERS, min(WALKERS, GRADIENTS // (FEWEST_STEPS * each)))
    found = min(STEPS, GRADIENTS // (many * each))
    if found >= FEWEST_STEPS:
        return many, found
    notes.append(
        f"No walkers were sent out: each step of one takes {each:,} gradients. To have them all "
        "the same, say how many steps (--steps)."
    )
    return None


def _walked(sent: Simulation | None, basin: SgdBasin, stretch: Stretch) -> SgdBasin:
    """With what the walkers say of it, of all that were sent out."""
    if sent is None:
        return basin
    pairs = [(sent.probability(*p), sent.probability_error(*p)) for p in stretch.parts]
    share, error = sum(p for p, _ in pairs), sum(e for _, e in pairs)
    stay = 1 - sent.escaped / sent.walkers
    error += share * math.sqrt(stay * (1 - stay) / sent.walkers)
    return replace(basin, simulation=(stay * share, error))


def _closed(state: EndState) -> int:
    """How many closed classes the diffusion has."""
    if state.classes is None:
        return 1
    return sum(o.kind in ("density", "atom") for o in state.classes.outcomes)


def _conventions(
    analysis: Analysis, chain: ChainState, apart: Distances
) -> dict[str, Variation | None]:
    """The distance to the chain under each convention."""
    landscape = analysis.landscape
    assert landscape is not None
    found: dict[str, Variation | None] = {}
    if analysis.end_state.arithmetic is not DOUBLE:
        return found  # on a peak that doubles cannot tell from a point they are all alike
    for convention in Convention:
        name = convention.name.lower()
        if convention is landscape.convention:
            found[name] = apart
            continue
        found[name] = None
        try:
            state = end_state(replace(landscape, convention=convention))
            if state.kind in COMPARED:
                found[name] = Variation(*chain.distance(state))
        except StationaryError:
            continue
    return found
