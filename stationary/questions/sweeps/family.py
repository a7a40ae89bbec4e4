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
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stationary.errors import StationaryError, Status
from stationary.numbers.elementary import log, number, possible_growth, to_float
from stationary.process.diffusion import Diffusion
from stationary.process.landscape import Landscape
from stationary.questions.sweeps.answers import Answer, Answers, Minimum, Point, Points
from stationary.questions.sweeps.quantities import Quantity, measured
from stationary.questions.width.stretches import Shares
from stationary.questions.width.tempered import of_state
from stationary.sources.loading import as_process, load_text
from stationary.states.basins import Basin, basins_of
from stationary.states.distribution import EndState
from stationary.states.merging import MIN_BARRIER, merges
from stationary.states.solve import TOLERANCE, end_state

__all__ = ["Family", "Recipe", "StoppedError", "answer_of", "failed"]

Array = NDArray[Any]

NAN = math.nan
FEW = 3  # points below which a solve each costs less than one sampling for all
# What a solve may raise for a process that is out of the reach of its arithmetic.
LOST = (StationaryError, ArithmeticError, ValueError)


class StoppedError(KeyboardInterrupt):
    """An interrupt, with the answers that were found before it, by their place."""

    def __init__(self, answers: Mapping[int, Answer], first: int = 0) -> None:
        super().__init__()
        self.answers, self.first = answers, first


def failed(error: BaseException, name: str = "") -> Answer:
    """The answer where there is none, in one line."""
    words = " ".join(str(error).split())
    if not isinstance(error, StationaryError):
        words = f"the numbers went out of reach ({type(error).__name__}: {words})"
    return Answer("failed", words.removeprefix(f"{name}: "))


def answer_of(state: EndState, min_barrier: float) -> Answer:
    """An end state in plain numbers."""
    status, error = state.status.name.lower(), float(state.error)
    if state.kind == "none":
        return Answer(status, _plain(state.reason), NAN, state.kind)
    known = state.kind != "classes"
    state = replace(state, digits=None)  # as doubles, with what they round away in the errors
    minima = []
    for b in basins_of(state, min_barrier):
        log_mass = _float(b.log_mass)
        held = log_mass, _float(b.mass_error), _float(b.log_density)
        held = held if known else (NAN, NAN, NAN)
        minima.append(Minimum(_float(b.position), "wall" if b.at_wall else "minimum", *held))
    for a in state.atoms:
        log_mass = _float(log(number(a.weight))) if a.weight else -math.inf
        by = float(state.weight_error) + float(np.finfo(float).eps)
        given = (log_mass, by) if known else (NAN, NAN)
        minima.append(Minimum(_float(a.position), "trap", *given, NAN))
    minima.sort(key=lambda m: m.position)
    if not known:
        return Answer(status, _plain(state.reason), error, state.kind, minima=tuple(minima))
    mean, std = _float(state.mean()), _float(state.std())
    missing = [w for w, x in (("mean", mean), ("standard deviation", std)) if not math.isfinite(x)]
    return Answer(
        status,
        f"the tails are too heavy for a {' and a '.join(missing)}" if missing else "",
        error,
        state.kind,
        mean,
        _float(state.mean_error) + _rounding(mean) if math.isfinite(mean) else NAN,
        std,
        _float(state.std_error) + _rounding(std) if math.isfinite(std) else NAN,
        tuple(minima),
    )


def _float(x: Any) -> float:
    return float(to_float(number(x)))


def _rounding(x: float) -> float:
    """What a number that was computed in many digits may lose as a double."""
    return float(np.spacing(abs(x))) / 2 if math.isfinite(x) else 0.0


def _plain(words: str) -> str:
    return " ".join(words.split())


@dataclass(frozen=True)
class Recipe:
    """How to make the process: the text of its file, or itself."""

    text: str = ""
    file: Path | None = None
    process: Landscape | Diffusion | None = None
    initial: Any = None
    settings: Mapping[str, Any] | None = None  # with which it can be made, if it can at all
    digits: int | None = None
    min_barrier: float = MIN_BARRIER
    build: Callable[..., Landscape | Diffusion] | None = None  # of the parameters, by name
    quantities: Mapping[str, Quantity] | None = None

    @property
    def name(self) -> str:
        if self.build is not None:
            name = str(getattr(self.build, "__name__", "process"))
            return "process" if name == "<lambda>" else name
        return self.file.name if self.file is not None else getattr(self.process, "name", "")

    def family(self, process: Landscape | Diffusion, points: Sequence[Point]) -> Family:
        """The process at several points."""
        return Family(process, points, self.digits, self.min_barrier, self.quantities)

    def make(self, parameters: Mapping[str, float] | None) -> Landscape | Diffusion:
        settings = dict(self.settings or {})
        if self.file is not None:
            return load_text(
                self.text, self.file, parameters=parameters, initial=self.initial, **settings
            )
        process = self.process if self.build is None else self.build(**(parameters or {}))
        if self.initial is not None:
            settings["initial"] = self.initial
        return as_process(process, "sweep", **settings)


class Family:
    """A process at several points, all at the same parameters.

    What is found at a point does not depend on who asks, or on what was asked before: the points
    that the family was made for decide how it is computed.
    """

    def __init__(
        self,
        process: Landscape | Diffusion,
        points: Sequence[Point],
        digits: int | None = None,
        min_barrier: float = MIN_BARRIER,
        quantities: Mapping[str, Quantity] | None = None,
    ) -> None:
        self.process, self.points, self.digits = process, points, digits
        self.min_barrier, self.quantities = min_barrier, quantities
        self._factors: dict[tuple[int | None, bool | None], float] = {}

    # -- the inverse temperature ------------------------------------------------------------------

    def factor(self, point: Point) -> float:
        """What drawing the batch makes of S2.

        Raises
        ------
        LandscapeError
            If such a batch cannot be drawn.
        """
        key = point.batch_size, point.replacement
        if key not in self._factors:
            made = self._made(replace(point, learning_rate=None))
            assert isinstance(made, Landscape)
            self._factors[key] = made.noise_factor
        return self._factors[key]

    def inverse_temperature(self, point: Point) -> float:
        """1 / (T c): the exponent int 2 f / a is this times something of the landscape alone."""
        assert point.learning_rate is not None
        return 1 / (point.learning_rate * self.factor(point))

    @cached_property
    def lines(self) -> tuple[tuple[Array, Array, Point], ...]:
        """Points that differ in the learning rate only: their indices, rates, and one of them."""
        if isinstance(self.points, Points):
            n = len(self.points.rates)
            rates = np.array(self.points.rates, dtype=float)
            starts = range(0, len(self.points), n)
            return tuple((np.arange(i, i + n), rates, self.points[i]) for i in starts)
        found: dict[Point, list[int]] = {}
        for i, point in enumerate(self.points):
            found.setdefault(replace(point, learning_rate=None), []).append(i)
        lines = []
        for listed in found.values():
            rates = np.array([self.points[i].learning_rate for i in listed], dtype=float)
            order = np.argsort(rates, kind="stable")
            lines.append((np.array(listed)[order], rates[order], self.points[listed[0]]))
        return tuple(lines)

    @cached_property
    def _inverse_temperatures(self) -> tuple[Array, dict[int, Answer]]:
        """Of all points; nan with an answer that says why where there is none."""
        betas = np.full(len(self.points), NAN)
        lost: dict[int, Answer] = {}
        for indices, rates, point in self.lines:
            try:
                betas[indices] = 1 / (rates * self.factor(point))
            except StationaryError as error:
                lost |= dict.fromkeys(indices.tolist(), failed(error, self.process.name))
        return betas, lost

    def _made(self, point: Point) -> Landscape | Diffusion:
        return replace(self.process, **point.settings)

    # -- solving ----------------------------------------------------------------------------------

    def solve(self) -> Answers:
        """The answer at each of the points."""
        answers, done = None, {}
        if self.kernel is None:
            left = list(range(len(self.points)))
        else:
            betas, lost = self._inverse_temperatures
            answers, computed = self.kernel(betas)
            left = np.flatnonzero(~computed).tolist()
            done = lost
        try:
            for i in left:
                if i not in done:
                    done[i] = self.alone(self.points[i])
        except KeyboardInterrupt:
            if answers is not None:
                done = {i: answers[i] for i in np.flatnonzero(computed).tolist()} | done
            raise StoppedError(done) from None
        if answers is None:
            return Answers.of([done[i] for i in left])
        for i in left:
            answers.put(i, done[i])
        return answers

    def alone(self, point: Point) -> Answer:
        """The answer at one point, solved by itself."""
        try:
            process = self._made(point)
            state = end_state(process, digits=self.digits)
            answer = answer_of(state, self.min_barrier)
            if not self.quantities:
                return answer
            extras = measured(process, state, self.min_barrier, self.quantities)
            return replace(answer, extras=extras)
        except LOST as error:
            return failed(error, self.process.name)

    def at(self, beta: float, point: Point) -> Answer:
        """The answer at another inverse temperature, with the batches of `point`."""
        if self.kernel is not None:
            answers, computed = self.kernel(np.array([beta]))
            if answers is not None and computed.all():
                found: Answer = answers[0]
                return found
        return self.alone(replace(point, learning_rate=1 / (beta * self.factor(point))))

    @cached_property
    def kernel(self) -> Callable[[Array], tuple[Answers | None, Array]] | None:
        """Answers at many inverse temperatures at once, and which of them hold; None if none do."""
        if self.digits is not None or self.quantities or not isinstance(self.process, Landscape):
            return None
        batches = {(p.batch_size, p.replacement) for _, _, p in self.lines}
        if len(batches) > 1 and not self.process.noise_scales:
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
            return _answers(shares, first, stages, self.min_barrier, computed)

        return answers


Stages = tuple[tuple[Any, list[list[Basin]]], ...]


def _answers(
    s: Shares, known: tuple[Minimum, ...], stages: Stages, min_barrier: float, computed: Array
) -> tuple[Answers, Array]:
    """The shares at each strength, as what a solve would have said; and which of them hold."""
    computed = computed & s.computed & np.isfinite(s.log_masses).all(axis=1)
    for numbers in (s.error, s.mean, s.std):
        computed &= np.isfinite(numbers)
    m, n = s.log_masses.shape
    names = np.array([Status.CONVERGED.name.lower(), Status.INEXACT.name.lower()], dtype=object)
    places = np.array([k.position for k in known])
    kinds = np.array([k.kind for k in known], dtype=object)
    minima = {
        "position": np.broadcast_to(places, (m, n)).copy(),
        "kind": np.broadcast_to(kinds, (m, n)).copy(),
        "log_mass": s.log_masses.copy(),
        "mass_error": s.mass_errors.copy(),
        "log_density": s.log_densities.copy(),
    }
    # All barriers in the exponent grow with the strength: the order in which they fall stays.
    heights = np.maximum.accumulate([float(height) for height, _ in stages[:-1]] or [math.inf])
    stage = np.searchsorted(heights, min_barrier / s.strengths)
    held_by = np.broadcast_to(np.arange(n), (m, n))
    if stage.any():
        held_by = held_by.copy()
        order = {place: i for i, place in enumerate(places.tolist())}
        for k in np.unique(stage[stage > 0]):
            rows = np.flatnonzero(stage == k)
            for group in stages[k][1]:
                if len(group) > 1:
                    _merge(minima, held_by, rows, [order[float(b.position)] for b in group])
    scalars = {
        "status": names[(s.error > TOLERANCE).astype(int)],
        "reason": np.full(m, "", dtype=object),
        "error": s.error.copy(),
        "kind": np.full(m, "density", dtype=object),
        "mean": s.mean.copy(),
        "mean_error": s.mean_error.copy(),
        "std": s.std.copy(),
        "std_error": s.std_error.copy(),
    }
    return Answers(scalars, minima, places, held_by), computed


def _merge(minima: dict[str, Array], held_by: Array, rows: Array, group: list[int]) -> None:
    """Several minima as one, at some of the points: as in `basins_of`, that of the heaviest."""
    block = np.ix_(rows, np.array(group))
    logs, errors = minima["log_mass"][block], minima["mass_error"][block]
    which = np.arange(len(rows))
    top = np.argmax(logs, axis=1)
    tied = logs[which, top][:, None] - logs <= errors[which, top][:, None] + errors
    chosen = np.argmax(tied, axis=1)
    highest = logs.max(axis=1)
    total = highest + np.log(np.exp(logs - highest[:, None]).sum(axis=1))
    rest = np.setdiff1d(np.arange(held_by.shape[1]), group)
    own = possible_growth(logs - total[:, None], errors).sum(axis=1)
    others = np.ix_(rows, rest)
    over = np.minimum(minima["log_mass"][others] - total[:, None], 700.0)
    known = np.isfinite(over)
    unsure = np.where(known, minima["mass_error"][others], 0.0)
    growth = possible_growth(np.where(known, over, -700.0), unsure)
    other = np.where(known, growth, 0.0).sum(axis=1)
    error = np.minimum(own, other) + 2.0**-49 * (1 + np.abs(total))
    stands = np.array(group)[chosen]
    gone = np.ones(logs.shape, dtype=bool)
    gone[which, chosen] = False
    for name, column in minima.items():
        part = column[block]
        part[gone] = "" if name == "kind" else NAN
        column[block] = part
    minima["log_mass"][rows, stands] = np.minimum(total, 0.0)
    minima["mass_error"][rows, stands] = error
    held_by[block] = stands[:, None]
