"""`Family`: one landscape at many learning rates and batch sizes.

They change nothing but the strength of the exponent int 2 f / a, which goes as 1 / (T c), where c
is what drawing the batch makes of S2 (1 / B with replacement). So one sampling serves them all,
where the process allows it; elsewhere each point is solved by itself.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from stationary.aliases import Array
from stationary.analysis import Analysis
from stationary.errors import StationaryError, Status
from stationary.numbers.arithmetic import EPSILON
from stationary.numbers.elementary import distinct, log, number, possible_growth, to_float
from stationary.process.diffusion import Diffusion
from stationary.process.landscape import Landscape
from stationary.questions.width.stretches import Shares
from stationary.questions.width.tempered import of_state
from stationary.result import Data
from stationary.states.basin import Basin
from stationary.states.basins import MIN_BARRIER, basins_of, merges
from stationary.states.distribution import EndState
from stationary.states.remarks import TOLERANCE
from stationary.states.solve import end_state
from stationary.sweeps.answers import (
    OF_MINIMA,
    SCALARS,
    TEXTS,
    Answer,
    Answers,
    Minimum,
    Point,
    Points,
    blank,
)
from stationary.sweeps.quantities import Quantity, known_errors, measured
from stationary.wording import SUFFIX

Parameters = dict[str, Any]  # numbers, and the name of a convention

OF_SAMPLE = [n for n in OF_MINIMA if n.endswith(SUFFIX)]  # what has a standard error
FEW = 3  # points below which a solve each costs less than one sampling for all
# What a solve may raise for a process that is out of the reach of its arithmetic.
LOST = (StationaryError, ArithmeticError, ValueError)


class StoppedError(KeyboardInterrupt):
    """An interrupt; its argument is what was found before it, by the number of the point."""


def failed(error: BaseException, name: str = "") -> Answer:
    """The answer where there is none, in one line."""
    words = " ".join(str(error).split())
    if not isinstance(error, StationaryError):
        words = f"the numbers went out of reach ({type(error).__name__}: {words})"
    return Answer("failed", words.removeprefix(f"{name}: "))


def answer_of(state: EndState, min_barrier: float) -> Answer:
    """An end state in plain numbers."""
    reason = " ".join(state.reason.split())
    told = Answer(state.status.name.lower(), reason, kind=state.kind)
    if state.kind == "none":
        return told
    known = state.kind != "classes"
    error = float(state.error)
    state = replace(state, digits=None)  # as doubles, with what they round away in the errors
    minima = []
    for b in basins_of(state, min_barrier):
        held = (
            (b.log_mass, b.mass_error, b.log_density) if known else (math.nan, math.nan, math.nan)
        )
        kind = "wall" if b.at_wall else "minimum"
        minima.append(Minimum(_float(b.position), kind, *map(_float, held)))
    for a in state.atoms:
        log_mass = _float(log(number(a.weight))) if a.weight else -math.inf
        by = float(state.weight_error) + EPSILON
        given = (log_mass, by) if known else (math.nan, math.nan)
        minima.append(Minimum(_float(a.position), "trap", *given, math.nan))
    told = replace(told, error=error, minima=tuple(sorted(minima, key=lambda m: m.position)))
    if not known:
        return told
    mean, std = _float(state.mean()), _float(state.std())
    missing = [w for w, x in (("mean", mean), ("standard deviation", std)) if not math.isfinite(x)]
    return replace(
        told,
        reason=f"the tails are too heavy for a {' and a '.join(missing)}" if missing else "",
        mean=mean,
        mean_error=_float(state.mean_error) + _rounding(mean),
        std=std,
        std_error=_float(state.std_error) + _rounding(std),
    )


def with_standard_errors(answer: Answer) -> Answer:
    """The same with what a sample leaves unsure, where that is known."""
    known, answer = known_errors(answer.analysis), replace(answer, analysis=None)
    if known is None or len(known.masses) != len(answer.minima):
        return answer
    minima = tuple(
        Minimum(**vars(m) | {n: known.of(n.removesuffix(SUFFIX), k) for n in OF_SAMPLE})
        for k, m in enumerate(answer.minima)
    )
    return replace(
        answer, minima=minima, mean_standard_error=known.mean, std_standard_error=known.std
    )


def _float(x: Any) -> float:
    return float(to_float(number(x)))


def _rounding(x: float) -> float:
    """What a number that was computed in many digits may lose as a double."""
    return float(np.spacing(abs(x))) / 2 if math.isfinite(x) else math.nan


@dataclass(frozen=True, eq=False)
class Recipe(Data):
    """How to make the process from the parameters, and what is asked of it."""

    name: str
    make: Callable[[Parameters], Landscape | Diffusion]
    digits: int | None = None
    min_barrier: float = MIN_BARRIER
    quantities: Mapping[str, Quantity] | None = None

    def family(
        self, parameters: Parameters, points: Points, numbers: Sequence[int] | None = None
    ) -> Family:
        """The process at several points."""
        asked = self.digits, self.min_barrier, self.quantities
        return Family(self.make(parameters), points, numbers, *asked)


@dataclass(eq=False)
class Family:
    """A process at several points, all at the same parameters.

    What is found at a point does not depend on who asks, or on what was asked before: the points
    that the family was made for decide how it is computed.
    """

    process: Landscape | Diffusion
    points: Points
    numbers: Sequence[int] | None = None  # of the points, in the whole grid
    digits: int | None = None
    min_barrier: float = MIN_BARRIER
    quantities: Mapping[str, Quantity] | None = None

    # -- the inverse temperature ------------------------------------------------------------------

    def factor(self, point: Point) -> float:
        """What drawing the batch makes of all noise, 1 if of a part; an error if it cannot."""
        made = self._made(replace(point, learning_rate=None))
        assert isinstance(made, Landscape)
        return made.noise_factor if made.noise_scales else 1.0

    def inverse_temperature(self, point: Point) -> float:
        """1 / (T c): the exponent int 2 f / a is this times something of the landscape alone."""
        assert point.learning_rate is not None
        return 1 / (point.learning_rate * self.factor(point))

    @property
    def lines(self) -> list[Array]:
        """The indices of points that differ in the learning rate only."""
        return list(np.arange(len(self.points)).reshape(-1, len(self.points.rates)))

    @cached_property
    def _inverse_temperatures(self) -> tuple[Array, dict[int, Answer]]:
        """Of all points; nan with an answer that says why where there is none."""
        betas = np.full(len(self.points), math.nan)
        lost: dict[int, Answer] = {}
        for line in self.lines:
            try:
                factor = self.factor(self.points[line[0]])
                betas[line] = 1 / (np.array(self.points.rates, dtype=float) * factor)
            except StationaryError as error:
                lost |= dict.fromkeys(line.tolist(), failed(error, self.process.name))
        return betas, lost

    def _made(self, point: Point) -> Landscape | Diffusion:
        return replace(self.process, **point.settings)

    # -- solving ----------------------------------------------------------------------------------

    def solve(self) -> Answers:
        """The answer at each of the points."""
        answers, done = None, {}
        computed = np.zeros(len(self.points), dtype=bool)
        if self.kernel is not None:
            betas, lost = self._inverse_temperatures
            answers, computed = self.kernel(betas)
            done = dict(lost)
        try:
            for i in np.flatnonzero(~computed).tolist():
                if i not in done:
                    done[i] = with_standard_errors(self.alone(self.points[i]))
        except KeyboardInterrupt:
            if answers is not None:
                done |= {i: answers[i] for i in np.flatnonzero(computed).tolist()}
            raise self.stopped(done) from None
        if answers is None:
            return Answers.of([done[i] for i in range(len(self.points))])
        for i, answer in done.items():
            answers.put(i, answer)
        return answers

    def stopped(self, found: Mapping[int, Answer]) -> StoppedError:
        numbers = self.numbers or range(len(self.points))
        return StoppedError({numbers[i]: answer for i, answer in found.items()})

    def alone(self, point: Point, *, asked: bool = True) -> Answer:
        """The answer at one point, solved by itself; with the quantities, if these are asked."""
        try:
            process = self._made(point)
            state = end_state(process, digits=self.digits)
            answer = answer_of(state, self.min_barrier)
            analysis = Analysis(state.of_adam or process, state, self.min_barrier)
            if state.diffusion.sample is not None:
                answer = replace(answer, analysis=analysis)
            if not (self.quantities and asked):
                return answer
            extras, why = measured(analysis, self.quantities)
            return replace(answer, extras=extras, reason=answer.reason or why)
        except LOST as error:
            return failed(error, self.process.name)

    def at(self, beta: float, point: Point) -> Answer:
        """The answer at another inverse temperature, with the batches of `point`."""
        if self.kernel is not None:
            answers, computed = self.kernel(np.array([beta]))
            if answers is not None and computed.all():
                found: Answer = answers[0]
                return found
        return self.alone(
            replace(point, learning_rate=1 / (beta * self.factor(point))), asked=False
        )

    @cached_property
    def kernel(self) -> Callable[[Array], tuple[Answers | None, Array]] | None:
        """Answers at many inverse temperatures at once, and which of them hold; None if none do."""
        if self.digits is not None or self.quantities or not isinstance(self.process, Landscape):
            return None
        if self.process.from_sample or self.process.adaptive:
            return None  # standard errors, and what Adam divides by, are of each point by itself
        if len(self.lines) > 1 and not self.process.noise_scales:
            return None
        betas, _ = self._inverse_temperatures
        known = np.flatnonzero(np.isfinite(betas))
        if len(known) < FEW:
            return None
        # In the middle, so that neither the coldest nor the hottest point is far away.
        middle = int(known[np.argsort(betas[known], kind="stable")[len(known) // 2]])
        base, span = betas[middle], (betas[known].min(), betas[known].max())
        try:
            state = end_state(self._made(self.points[middle]))
            tempered = of_state(state)
        except LOST:
            return None
        if tempered is None or state.status is Status.PANEL_LIMIT:
            return None
        stages = tuple(merges(basins_of(state, min_barrier=0)))
        first = answer_of(state, 0.0).minima

        def answers(beta: Array) -> tuple[Answers | None, Array]:
            computed = np.isfinite(beta)
            q = np.where(computed, beta / base, 1.0)
            try:
                shares = tempered.at(q, (span[0] / base, span[1] / base))
            except LOST:
                shares = None
            if shares is None:
                return None, np.zeros(len(q), dtype=bool)
            known = state.diffusion.uncertainty is None
            lacking = Status.INEXACT if known else Status.INTERPOLATED
            return _answers(shares, first, stages, self.min_barrier, computed, lacking)

        return answers


def _answers(
    s: Shares,
    known: tuple[Minimum, ...],
    stages: tuple[tuple[Any, list[list[Basin]]], ...],
    min_barrier: float,
    computed: Array,
    lacking: Status,
) -> tuple[Answers, Array]:
    """The shares at each strength, as what a solve would have said; and which of them hold."""
    finite = np.isfinite(np.column_stack([s.log_masses, s.error, s.mean, s.std]))
    m, n = s.log_masses.shape
    places = np.array([k.position for k in known])
    minima = {
        "position": np.tile(places, (m, 1)),
        "kind": np.tile(np.array([k.kind for k in known], dtype=object), (m, 1)),
        "log_mass": s.log_masses.copy(),
        "mass_error": s.mass_errors.copy(),
        "log_density": s.log_densities.copy(),
    }
    # All barriers in the exponent grow with the strength: the order in which they fall stays.
    heights = np.maximum.accumulate([float(height) for height, _ in stages[:-1]] or [math.inf])
    stage = np.searchsorted(heights, min_barrier / s.strengths)
    held_by = np.tile(np.arange(n), (m, 1))
    order = {place: i for i, place in enumerate(places.tolist())}
    for k in distinct(stage[stage > 0]):
        for group in stages[k][1]:
            if len(group) > 1:
                same = [order[float(b.position)] for b in group]
                _merge(minima, held_by, np.flatnonzero(stage == k), same)
    names = [Status.CONVERGED.name.lower(), lacking.name.lower()]
    minima |= {n: blank(n, m, len(known)) for n in OF_SAMPLE}
    scalars: dict[str, Any] = {n: blank(n, m) for n in SCALARS if n.endswith(SUFFIX)}
    numbers = [n for n in SCALARS if n not in TEXTS and n not in scalars]
    scalars |= {n: getattr(s, n).copy() for n in numbers} | {
        "status": np.array(names, dtype=object)[(s.error > TOLERANCE).astype(int)],
        "reason": blank("reason", m),
        "kind": np.full(m, "density", dtype=object),
    }
    return Answers(scalars, minima, places, held_by), computed & s.computed & finite.all(axis=1)


def _merge(minima: dict[str, Array], held_by: Array, rows: Array, group: list[int]) -> None:
    """Several minima as one, at some of the points: as in `basins_of`, that of the heaviest."""
    every, which = np.arange(held_by.shape[1]), np.arange(len(rows))
    mine, others = np.ix_(rows, np.array(group)), np.ix_(rows, np.setdiff1d(every, group))
    logs, errors = minima["log_mass"][mine], minima["mass_error"][mine]
    top = np.argmax(logs, axis=1)
    tied = logs[which, top][:, None] - logs <= errors[which, top][:, None] + errors
    stands = np.array(group)[np.argmax(tied, axis=1)]
    total = np.logaddexp.reduce(logs, axis=1)
    over = np.minimum(minima["log_mass"][others] - total[:, None], 700.0)
    own = possible_growth(logs - total[:, None], errors).sum(axis=1)
    other = possible_growth(over, minima["mass_error"][others]).sum(axis=1)
    for name, column in minima.items():
        kept = column[rows, stands]
        column[mine] = "" if name in TEXTS else math.nan
        column[rows, stands] = kept
    minima["log_mass"][rows, stands] = np.minimum(total, 0.0)
    rounding = 2.0**-49 * (1 + np.abs(total))
    minima["mass_error"][rows, stands] = np.minimum(own, other) + rounding
    held_by[mine] = stands[:, None]
