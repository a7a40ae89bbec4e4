"""`analyze`: the whole pipe, from a landscape (or its file) to what a person wants to know."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from stationary.chain.batches import is_cheap
from stationary.chain.indicators import StepIndicators
from stationary.chain.steps import step_indicators
from stationary.errors import LandscapeError, StationaryError
from stationary.functions.given import checked_whole
from stationary.line.equilibria import Equilibrium
from stationary.numbers.arithmetic import SAME
from stationary.process.diffusion import Diffusion
from stationary.process.landscape import Landscape
from stationary.process.phase_space import phase_space
from stationary.process.plane_landscape import PlaneLandscape
from stationary.progress import INTERRUPTED, Progress, each, stage, watched
from stationary.result import Result
from stationary.sgd.basins import MOST_EXITS
from stationary.sgd.finite_step import FiniteStep, finite_step
from stationary.sources.loading import PLANE, any_process
from stationary.states.basin import Basin, Basins, exit_of
from stationary.states.basins import MIN_BARRIER, basins_of, checked_barrier
from stationary.states.distribution import EndState
from stationary.states.law import Estimate, Passage
from stationary.states.solve import end_state

if TYPE_CHECKING:
    from stationary.annealing.anneal import Annealing
    from stationary.chain.run import Run
    from stationary.plane.steps import Recursion
    from stationary.questions.influence import Influence, StandardErrors
    from stationary.questions.width.ratios import WidthBias


STAGES = {  # what a report takes, beyond the end state, and where it is
    "minima": ("basins", "steps", "standard_errors"),
    "exit times": ("exits",),
    "chain of SGD's steps": ("shown_sgd", "run", "annealing"),
}


SETTINGS = ("digits", "regularise", "min_barrier", "chain", "steps")  # of `analyze` itself


@dataclass(frozen=True, eq=False, repr=False)
class Analysis(Result):
    """An end state with its equilibria and basins; printing it gives the report."""

    process: Landscape | Diffusion
    end_state: EndState
    min_barrier: float = MIN_BARRIER  # in the exponent, below which minima are one basin
    chain: bool | None = None  # whether reports hold `sgd`; None: where it costs no more than this
    run_length: int | None = None  # steps of the run that reports speak of
    exact: Analysis | None = field(default=None, compare=False)  # of which all is rounded here
    stopped: str = ""  # why exit times, or SGD's own steps, are missing where they were interrupted

    @property
    def diffusion(self) -> Diffusion:
        return self.end_state.diffusion

    @property
    def landscape(self) -> Landscape | None:
        """The landscape, where one was given rather than a drift and a variance."""
        return self.process if isinstance(self.process, Landscape) else None

    @property
    def equilibria(self) -> tuple[Equilibrium, ...]:
        """The zeros of the drift, left to right."""
        return self.end_state.equilibria

    @cached_property
    def basins(self) -> Basins:
        """What each minimum holds, left to right; see `basins_of`."""
        found = basins_of(self.end_state, self.min_barrier)
        return Basins(replace(b, owner=self) for b in found)

    @cached_property
    def losses(self) -> tuple[float | None, ...]:
        """The mean loss at each minimum; None where no losses were given."""
        at = np.array([float(b.position) for b in self.basins])
        known = None if self.landscape is None else self.landscape.mean_loss(at)
        return (None,) * len(at) if known is None else tuple(known[0].tolist())

    @cached_property
    def loss_errors(self) -> tuple[float | None, ...]:
        """The absolute error of each: of its rounding, and of where the minimum is."""
        if self.landscape is None or None in self.losses:
            return (None,) * len(self.basins)
        at = np.array([float(b.position) for b in self.basins])
        ends = np.array([self._smooth_around(b) for b in self.basins]).reshape(-1, 2)
        near = np.abs(ends - at[:, None])
        reach = np.where(near > 0, np.minimum(near, 1 + np.abs(at)[:, None]), np.inf).min(axis=1)
        # Next to a wall it is looked at inside, and at a corner on one side.
        inward = np.where(near.min(axis=1) > 0, 0.0, np.where(at == ends[:, 0], 0.5, -0.5))
        rounding = self.landscape.loss_rounding(at + inward * reach, reach / 2)
        slow = self.landscape.small_step_rate
        bends = [
            float(b.curvature or 0.0) / slow * float(b.position_error) ** 2 for b in self.basins
        ]
        assert rounding is not None
        return tuple((rounding + np.array(bends) / 2).tolist())

    def _smooth_around(self, basin: Basin) -> tuple[float, float]:
        """How far around its minimum losses have no corner; at one on one side, above if it may."""
        at = float(basin.position)
        marks = np.array(self.landscape.corners if self.landscape else ())
        own = np.abs(marks - at) <= basin.position_error + SAME * abs(at)
        below, above = marks[~own & (marks < at)], marks[~own & (marks > at)]
        one_side = own.any() and float(basin.upper) > at
        lower = at if one_side else below.max(initial=float(basin.lower))
        return float(lower), float(above.min(initial=float(basin.upper)))

    @cached_property
    def sharpnesses(self) -> tuple[tuple[float | None, float | None], ...]:
        """l'' at each minimum: of the mean loss, and of the minibatch where it is largest."""
        steps, landscape = self.steps, self.landscape
        if steps is None or landscape is None or landscape.learning_rate is None:
            return ((None, None),) * len(self.basins)
        rate, slow = landscape.learning_rate, landscape.small_step_rate

        def of(b: Basin) -> tuple[float | None, float | None]:
            near = min(steps.minima, key=lambda m: abs(m.position - b.position), default=None)
            largest = None if near is None else near.largest
            return (
                None if b.curvature is None or not slow else float(b.curvature) / slow,
                None if largest is None else largest / rate,
            )

        return tuple(map(of, self.basins))

    @cached_property
    def bias(self) -> WidthBias:
        """Every pair of minima compared, with what makes the difference; printed as a report."""
        from stationary.questions.width.ratios import WidthBias, ratios_of  # seldom asked for

        self.end_state.require_plain("what makes one minimum heavier than another")
        pairs = ratios_of(self.process, self.end_state, self.basins, self.min_barrier)
        return WidthBias(self.process, self.end_state, self.basins, pairs)

    @cached_property
    def steps(self) -> StepIndicators | None:
        """How large the steps of SGD are; None with momentum, of Adam, or for no landscape."""
        landscape = self.landscape
        if landscape is None or landscape.momentum or landscape.adaptive:
            return None
        return step_indicators(landscape, self.end_state)

    @cached_property
    def with_momentum(self) -> Recursion | None:
        """Means and deviations of weight and velocity by SGD's own steps with momentum; None
        unless all of them are linear, without walls."""
        own, law = self.landscape, self.rounded.end_state
        plain = own is not None and own.has_datapoints and own.rule.linear and not own.label_noise
        if own is None or not plain or not own.momentum or own.adaptive or law.kind != "density":
            return None
        if np.isfinite(own.domain).any():
            return None
        from stationary.plane.steps import QUARTERS, recursion_around  # seldom asked for

        low, middle, high = law.ppf(QUARTERS)
        stepper = phase_space(own.at_last_rate).stepper
        assert stepper is not None
        return recursion_around(stepper, np.array([[middle], [0]]), np.full((2, 1), high - low))

    @cached_property
    def sgd(self) -> FiniteStep | None:
        """What the finite step makes of it: SGD's own chain; None where `steps` are."""
        landscape, plain = self.landscape, self.rounded
        if landscape is None or plain.steps is None or not landscape.has_datapoints:
            return None
        return finite_step(landscape, plain.end_state, plain.basins, plain.exits, plain.steps)

    @cached_property
    def shown_sgd(self) -> FiniteStep | None:
        """`sgd` where a report is to hold it; None where nobody asked and it is not to be had."""
        if self.exact is not None:
            return self.exact.shown_sgd
        wanted = self.chain if self.run_length is None else True
        own = self.landscape
        if wanted is not None:
            return self.sgd if wanted else None
        if own is None or not own.has_datapoints or self.steps is None or not is_cheap(own):
            return None
        return self.sgd

    @cached_property
    def run(self) -> Run | None:
        """Where SGD is after the steps that were asked for; None without them, or basins."""
        if self.exact is not None:
            return self.exact.run
        if self.run_length is None or self.sgd is None or not self.sgd.basins:
            return None
        return self.sgd.after(self.run_length)

    @cached_property
    def annealing(self) -> Annealing | None:
        """What the schedule of the learning rate freezes in; None without one."""
        landscape = self.landscape
        if landscape is None or landscape.schedule is None:
            return None
        from stationary.annealing.anneal import anneal  # seldom asked for

        found = anneal(landscape, min_barrier=self.min_barrier)
        if found.stopped:
            raise KeyboardInterrupt
        return found

    @cached_property
    def exits(self) -> tuple[Passage | None, ...]:
        """For each basin, the mean time from its minimum to the first of its borders.

        None where a basin has no border with another one, and, where there are very many, for
        all but the `MOST_EXITS` heaviest.
        """
        if self.exact is not None:
            return tuple(None if p is None else p.rounded() for p in self.exact.exits)
        if self.end_state.of_adam is not None:  # not known to a factor
            return (None,) * len(self.basins)
        heavy = sorted(self.basins, key=lambda b: -b.log_mass)[:MOST_EXITS]
        times = {id(b): exit_of(b) for b in each(heavy, "basins")}
        return tuple(times.get(id(b)) for b in self.basins)

    @cached_property
    def influence(self) -> Influence:
        """Which datapoints make a minimum win: see `stationary.Influence`."""
        from stationary.questions.influence import influence_of  # seldom asked for

        plain = self.rounded
        plain.end_state.require_plain("to leave a datapoint out")
        return influence_of(self.process, plain.end_state, plain.basins)

    @cached_property
    def standard_errors(self) -> StandardErrors | None:
        """How sure a sample makes the answer; None where nothing was estimated from one."""
        if self.diffusion.sample is None:
            return None
        from stationary.questions.influence import standard_errors

        plain = self.rounded
        return standard_errors(plain.end_state, plain.basins, self.process)

    @cached_property
    def effective_diffusion(self) -> Estimate:
        """On a ring: half the rate at which the variance of the way covered grows, in the end."""
        from stationary.questions.spreading import effective_diffusion  # seldom asked for

        return effective_diffusion(self.rounded.end_state)

    @cached_property
    def rounded(self) -> Analysis:
        """The same with all numbers rounded to doubles; itself if they are."""
        if self.end_state.digits is None:
            return self
        return replace(self, end_state=self.end_state.rounded, exact=self)

    def __repr__(self) -> str:
        shares = ", ".join(f"{b.mass:.4g} at {b.position:.6g}" for b in self.basins)
        return f"<Analysis of {self.diffusion.name!r}: {shares or self.end_state.reason}>"


def process_and_settings(source: Any, asked: str, given: Mapping[str, Any]) -> tuple[Any, Any]:
    """The process that is meant, and what `analyze` takes beside it; `asked` is for errors."""
    own = {name: given[name] for name in SETTINGS if name in given}
    return any_process(source, asked, **{k: v for k, v in given.items() if k not in own}), own


def analyze(
    source: str | os.PathLike[str] | Landscape | Diffusion,
    *,
    digits: int | None = None,
    regularise: float | None = None,
    parameters: Mapping[str, float] | None = None,
    min_barrier: float = MIN_BARRIER,
    chain: bool | None = None,
    steps: int | None = None,
    progress: Progress = False,
    **changes: Any,
) -> Analysis:
    """Where a process ends up, how its probability is shared between minima, and how sure that is.

    Parameters
    ----------
    source
        The path of a landscape file, a `Landscape` or a `Diffusion`.
    digits
        Significant digits to which every number is wanted; see `end_state`.
    regularise
        An even noise to add, as a variance per time: a + regularise takes the place of a.
    parameters
        Values for some of the parameters that a landscape file defines.
    min_barrier
        Minima separated by less than this in the exponent are one basin; see `basins_of`.
    chain
        Whether the report says what SGD's own chain makes of it, as `Analysis.sgd` does for
        Python. None: for a landscape where that takes about as long as all the rest.
    steps
        How long the run of SGD is: the report says where it is then (`Analysis.run`), from the
        start or from each minimum, and whether it has forgotten where it began.
    progress
        True: show what is at work, and the time left where that is known, in a notebook, or on
        standard error if that is a terminal. Or a function that is called with how much of what is
        at work is done, and of how much. What the report holds is then computed at once; what is
        done is kept if that is interrupted.
    changes
        Fields to replace, such as ``learning_rate=0.02``.

    Raises
    ------
    LandscapeError
        If the landscape cannot be solved as given; the message says what to do.
    """
    process = any_process(source, "analyze", parameters=parameters, **changes)
    if chain not in (None, True, False):
        raise LandscapeError(f"{process.name}: chain = {chain!r:.40} must be True, False or None.")
    walks = isinstance(process, Landscape) and process.has_datapoints
    walks = walks and not (process.momentum or process.adaptive)
    for name, asked in (("steps", steps is not None), ("chain", chain)):
        if asked and not walks:
            value = {"steps": steps, "chain": chain}[name]
            other = "For a drift and a variance ask stationary.evolve"
            if isinstance(process, Landscape) and process.has_datapoints:
                how = process.who if process.adaptive else "momentum"
                other = f"With {how} ask stationary.simulate"
            elif isinstance(process, PlaneLandscape):
                other = f"With {process.dimensions} ask stationary.check, which takes SGD's steps"
            elif isinstance(process, PLANE):
                other = "Leave it out"
            raise LandscapeError(
                f"{process.name}: {name} = {value!r:.40} is of SGD without momentum on the "
                f"losses of datapoints with one weight. {other}."
            )
    if steps is not None:
        steps = checked_whole(steps, "steps", process.name, hint=": the length of a run of SGD")
    with watched(progress, "analyze"):
        if isinstance(process, PLANE):
            from stationary.plane.doors import end_state as in_the_plane

            if min_barrier != MIN_BARRIER:
                raise LandscapeError(
                    f"{process.name}: min_barrier = {min_barrier!r:.40} is had for one weight "
                    "only. Leave it out: basins of the plane are not merged."
                )
            # A `PlaneState`, which answers and prints what an `Analysis` does.
            state: Any = in_the_plane(process, digits=digits, regularise=regularise)
            found: Analysis = state
            return found
        added = 0.0 if regularise is None else regularise
        least = checked_barrier(min_barrier, process.name)
        stages = {k: v for k, v in STAGES.items() if walks or "shown_sgd" not in v}
        with stage("end state", 1, len(stages) + 1):
            state = end_state(process, digits=digits, regularise=added)
        process = state.of_adam or process
        made = Analysis(process, state, least, chain, steps)
        try:
            for k, (what, names) in enumerate(stages.items() if progress else (), 2):
                with stage(what, k, len(stages) + 1):
                    for name in names:
                        with suppress(StationaryError):  # the report tells
                            getattr(made, name)
        except KeyboardInterrupt:
            if "basins" not in vars(made):
                raise
            # What is missing is not computed when it is asked for, either.
            nothing = dict.fromkeys(("exits", "shown_sgd", "run", "annealing"))
            nothing["exits"] = (None,) * len(made.basins)
            vars(made).update(nothing | vars(made) | {"stopped": INTERRUPTED})
        return made
