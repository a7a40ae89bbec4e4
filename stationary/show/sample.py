"""What a sample leaves unsure of an analysis, as reports ask for it: by name, and by position."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from copy import copy
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from stationary import wording as say
from stationary.analysis import Analysis
from stationary.errors import StationaryError
from stationary.questions.kernels import OF_BASIN, refusal
from stationary.states.basin import Basin
from stationary.states.distribution import EndState
from stationary.wording import SECOND, SUFFIX

if TYPE_CHECKING:
    from stationary.questions.influence import StandardErrors


Place = Callable[..., str]  # how a position is written


def places(state: EndState, of_sample: Mapping[float, float] = {}) -> Place:
    """How positions are written: with the digits that tell them apart at the state's width.

    Those of equilibria stop where their errors begin, or at the standard errors `of_sample`.
    """
    errors = {float(e.position): float(e.error) for e in state.equilibria}
    low, high = state.interval(0.5) if state.kind in ("density", "flux", "mixture") else (0.0, 1.0)
    width = high - low

    def place(x: float, error: float = 0.0, unknown: float = 0.0) -> str:
        if math.isinf(x):
            return f"{x:g}"
        if width <= 0:
            return f"{x:.9g}"  # narrower than doubles can tell
        error = errors.get(float(x), error)
        if abs(x) < max(1e-13 * width, error):
            return "0"  # what is left is rounding
        digits = 6 + max(0, math.ceil(math.log10(abs(x) / width)))
        # Up to the second digit of a standard error, which nan is not.
        error = max(error, np.nan_to_num(of_sample.get(float(x), unknown)) / 10**SECOND)
        return f"{x:.{say.digits_known(float(x), error, min(12, digits))}g}"

    return place


class OfSample:
    """The standard errors of an analysis, and why there are none."""

    def __init__(self, analysis: Analysis) -> None:
        self.analysis, self.taken = analysis, analysis.diffusion.sample is not None
        self.basins: tuple[Basin, ...] = analysis.basins
        self.known: StandardErrors | None = None
        self.why = refusal(analysis.rounded.end_state) or "there is no minimum"
        try:
            self.known = analysis.standard_errors if self.taken else None
        except StationaryError as error:
            self.why = str(error).rstrip(".")

    def __bool__(self) -> bool:
        return self.known is not None

    def of(self, name: str, position: Any = None) -> float:
        """Of the whole law, or of a basin by its minimum; nan where nothing is known of it."""
        if self.known is None:
            return math.nan
        if position is None:
            return float(getattr(self.known, name))
        places = [float(b.position) for b in self.basins]
        here = float(position) in places
        return self.known.of(name, places.index(float(position))) if here else math.nan

    def of_ratio(self, one: Basin, other: Basin) -> float:
        """Of the logarithm of the ratio of what two of them hold."""
        pair = tuple(map(self.basins.index, (one, other)))
        return math.nan if self.known is None else float(self.known.log_ratios[pair])

    @cached_property
    def parts(self) -> OfSample:
        """The same of the minima that were merged into basins."""
        from stationary.questions.influence import standard_errors

        found, plain = copy(self), self.analysis.rounded
        found.basins = tuple(p for b in plain.basins for p in b.parts)
        if self.known is not None:
            found.known = standard_errors(plain.end_state, found.basins, plain.process)
        return found

    def slope(self, position: float) -> float:
        """Of the slope of the drift at an equilibrium."""
        known = () if self.known is None else self.known.slopes
        places = [float(e.position) for e in self.analysis.rounded.equilibria]
        return dict(zip(places, known, strict=False)).get(position, math.nan)

    @cached_property
    def positions(self) -> dict[float, float]:
        """Of all equilibria that have one."""
        return {} if self.known is None else rests_of(self.analysis.rounded.end_state, self.known)

    @cached_property
    def place(self) -> Place:
        """How positions are written."""
        return places(self.analysis.end_state, self.positions)


def rests_of(state: EndState, known: StandardErrors) -> dict[float, float]:
    """The standard errors of where equilibria are, by these, where there are any."""
    pairs = zip(state.equilibria, known.equilibria, strict=True)
    return {float(e.position): error for e, error in pairs if not math.isnan(error)}


def standard_error_text(error: float) -> str:
    return "-" if math.isnan(error) else say.plain_text(error, SECOND + 1)


def errors_of_basin(
    analysis: Analysis | None, b: Basin, part: bool = False
) -> dict[str, float | None]:
    """What a basin, or a part of one, tells of a sample, by the name of its column; or nothing."""
    if analysis is None:
        return {}
    found = OfSample(analysis.rounded)
    found = found.parts if part else found
    errors = {f"{n}{SUFFIX}": found.of(n, b.position) for n in OF_BASIN if found.taken}
    return {n: None if math.isnan(e) else e for n, e in errors.items()}
