"""`Family`: one landscape at many learning rates and batch sizes.

They change nothing but the strength of the exponent int 2 f / a, which goes as 1 / (T c), where c
is what drawing the batch makes of S2 (1 / B with replacement). So one sampling serves them all,
where the process allows it; elsewhere each point is solved by itself.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stationary.errors import StationaryError, Status
from stationary.numbers.elementary import log, number, to_float
from stationary.process.diffusion import Diffusion
from stationary.process.landscape import Landscape
from stationary.questions.width.tempered import Shares, of_state
from stationary.sources.loading import as_process, load_text
from stationary.states.basins import basins_of
from stationary.states.distribution import EndState
from stationary.states.solve import TOLERANCE, end_state

__all__ = ["Answer", "Family", "Minimum", "Point", "Recipe", "answer_of"]

Array = NDArray[Any]

NAN = math.nan
FEW = 3  # points below which a solve each costs less than one sampling for all
# What a solve may raise for a process that is out of the reach of its arithmetic.
LOST = (StationaryError, ArithmeticError, ValueError)


@dataclass(frozen=True)
class Point:
    """How SGD steps; all None for a process that is given by drift and variance."""

    learning_rate: float | None = None
    batch_size: int | None = None
    replacement: bool | None = None

    @property
    def settings(self) -> dict[str, Any]:
        return {k: v for k, v in vars(self).items() if v is not None}


@dataclass(frozen=True)
class Minimum:
    """What one minimum, wall or trap holds; logarithms are natural."""

    position: float
    kind: str  # "minimum", "wall" or "trap" (an atom)
    log_mass: float  # nan where it depends on a start that was not given
    mass_error: float  # absolute, of log_mass; so relative, of the mass
    log_density: float  # at the minimum; nan for a trap


@dataclass(frozen=True)
class Answer:
    """The end state at one point, in plain numbers; or why there is none."""

    status: str  # a `Status` in small letters, or "failed"
    reason: str = ""  # why numbers are missing
    error: float = NAN  # relative, of every mass
    kind: str = ""
    mean: float = NAN
    mean_error: float = NAN
    std: float = NAN
    std_error: float = NAN
    minima: tuple[Minimum, ...] = ()  # left to right

    @property
    def is_known(self) -> bool:
        """Whether it says what the minima hold."""
        return any(not math.isnan(m.log_mass) for m in self.minima)

    @property
    def dominant(self) -> int | None:
        """The index of the minimum with most mass; None if that is not decided."""
        order = sorted(range(len(self.minima)), key=lambda i: -self.minima[i].log_mass)
        if not order or not self.is_known:
            return None
        if len(order) > 1:
            first, second = (self.minima[i] for i in order[:2])
            if not first.log_mass - second.log_mass > first.mass_error + second.mass_error:
                return None
        return order[0]


def failed(error: BaseException, name: str = "") -> Answer:
    """The answer where there is none, in one line."""
    words = " ".join(str(error).split())
    if not isinstance(error, StationaryError):
        words = f"the numbers went out of reach ({type(error).__name__}: {words})"
    return Answer("failed", words.removeprefix(f"{name}: "))


def answer_of(state: EndState) -> Answer:
    """An end state in plain numbers."""
    status, error = state.status.name.lower(), float(state.error)
    if state.kind == "none":
        return Answer(status, _plain(state.reason), NAN, state.kind)
    known = state.kind != "classes"
    state = replace(state, digits=None)  # as doubles, with what they round away in the errors
    minima = []
    for b in basins_of(state, min_barrier=0):
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

    @property
    def name(self) -> str:
        return self.file.name if self.file is not None else getattr(self.process, "name", "")

    def make(self, parameters: Mapping[str, float] | None) -> Landscape | Diffusion:
        settings = dict(self.settings or {})
        if self.file is not None:
            return load_text(
                self.text, self.file, parameters=parameters, initial=self.initial, **settings
            )
        assert self.process is not None
        if self.initial is not None:
            settings["initial"] = self.initial
        return as_process(self.process, "sweep", **settings)


class Family:
    """A process at several points, all at the same parameters.

    What is found at a point does not depend on who asks, or on what was asked before: the points
    that the family was made for decide how it is computed.
    """

    def __init__(
        self, process: Landscape | Diffusion, points: Sequence[Point], digits: int | None = None
    ) -> None:
        self.process, self.points, self.digits = process, tuple(points), digits
        self._factors: dict[tuple[int | None, bool | None], float] = {}

    # -- how cold it is ---------------------------------------------------------------------------

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

    def coldness(self, point: Point) -> float:
        """1 / (T c): the exponent int 2 f / a is this times something of the landscape alone."""
        assert point.learning_rate is not None
        return 1 / (point.learning_rate * self.factor(point))

    def _made(self, point: Point) -> Landscape | Diffusion:
        return replace(self.process, **point.settings)

    # -- solving ----------------------------------------------------------------------------------

    def solve(self) -> tuple[Answer, ...]:
        """The answer at each of the points."""
        if self.kernel is None:
            return tuple(self.alone(p) for p in self.points)
        found: dict[int, Answer] = {}
        colds = []
        for i, point in enumerate(self.points):
            try:
                colds.append((i, self.coldness(point)))
            except StationaryError as error:
                found[i] = failed(error, self.process.name)
        for (i, _), answer in zip(
            colds, self.kernel(np.array([cold for _, cold in colds])), strict=True
        ):
            found[i] = answer if answer is not None else self.alone(self.points[i])
        return tuple(found[i] for i in range(len(self.points)))

    def alone(self, point: Point) -> Answer:
        """The answer at one point, solved by itself."""
        try:
            return answer_of(end_state(self._made(point), digits=self.digits))
        except LOST as error:
            return failed(error, self.process.name)

    def at(self, cold: float, point: Point) -> Answer:
        """The answer at another learning rate, of that coldness, with the batches of `point`."""
        if self.kernel is not None:
            (answer,) = self.kernel(np.array([cold]))
            if answer is not None:
                return answer
        return self.alone(replace(point, learning_rate=1 / (cold * self.factor(point))))

    @cached_property
    def kernel(self) -> Callable[[Array], list[Answer | None]] | None:
        """Answers at many coldnesses at once, where that works; None for those to solve alone."""
        if self.digits is not None or not isinstance(self.process, Landscape):
            return None
        colds = []
        for point in self.points:
            with suppress(StationaryError):
                colds.append((self.coldness(point), point))
        if len(colds) < FEW:
            return None
        # In the middle, so that neither the coldest nor the hottest point is far away.
        base, point = sorted(colds, key=lambda pair: pair[0])[len(colds) // 2]
        try:
            state = end_state(self._made(point))
            tempered = of_state(state)
        except LOST:
            return None
        if tempered is None or state.status is Status.PANEL_LIMIT:
            return None
        known = answer_of(state).minima

        def answers(cold: Array) -> list[Answer | None]:
            try:
                shares = tempered.at(cold / base)
            except LOST:
                shares = None
            return [None] * len(cold) if shares is None else _answers(shares, known)

        return answers


def _answers(s: Shares, known: tuple[Minimum, ...]) -> list[Answer | None]:
    """The shares at each strength, as what a solve would have said."""
    finite = np.isfinite(s.error) & np.isfinite(s.mean) & np.isfinite(s.std)
    finite &= np.isfinite(s.log_masses).all(axis=1)
    moments = (s.mean, s.mean_error, s.std, s.std_error)
    result: list[Answer | None] = []
    for m in range(len(s.strengths)):
        error = float(s.error[m])
        mean, mean_error, std, std_error = (float(c[m]) for c in moments)
        held = zip(
            s.log_masses[m].tolist(),
            s.mass_errors[m].tolist(),
            s.log_densities[m].tolist(),
            strict=True,
        )
        answer = Answer(
            (Status.CONVERGED if error <= TOLERANCE else Status.INEXACT).name.lower(),
            error=error,
            kind="density",
            mean=mean,
            mean_error=mean_error,
            std=std,
            std_error=std_error,
            minima=tuple(
                Minimum(k.position, k.kind, *numbers)
                for k, numbers in zip(known, held, strict=True)
            ),
        )
        result.append(answer if s.computed[m] and finite[m] else None)
    return result
