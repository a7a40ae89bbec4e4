"""What else a sweep tells of each point: currents, exit times, barriers, moments, any function.

A quantity is a function of an `Analysis`, which gives a number, a number and its error, and maybe
its standard error, or a list of these, one for each basin from left to right.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from stationary.aliases import Array
from stationary.analysis import Analysis
from stationary.errors import LandscapeError, StationaryError
from stationary.functions.evaluation import explained, name_of
from stationary.functions.given import way_out
from stationary.questions.influence import StandardErrors
from stationary.questions.kernels import OF_BASIN
from stationary.states.peaks import quantiles
from stationary.wording import SUFFIX

Quantity = Callable[[Any], Any]
# By the name and the basin's place: the value, its error, and that of a sample.
Extras = dict[tuple[str, float | None], tuple[float, float, float]]


def _flow(analysis: Any, times: float = 1.0) -> tuple[float, float]:
    state = analysis.end_state
    return state.current * times, state.current_error * times


def _velocity(analysis: Any) -> tuple[float, float]:
    return _flow(analysis, float(np.ptp(analysis.diffusion.domain)))


def _spreading(analysis: Any) -> tuple[float, float]:
    found = analysis.effective_diffusion
    return found.value, found.absolute_error


def _of_state(name: str, analysis: Any) -> tuple[float, float]:
    state = analysis.rounded.end_state
    return getattr(state, name)(), getattr(state, f"{name}_error")


def _shape(order: int, analysis: Any) -> tuple[float, float]:
    """Skewness (3) or excess kurtosis (4): of moments around a mean that has an error, too."""
    state = analysis.end_state
    mean, std = state.mean(), state.std()
    value = float(state.stats("sk"[order - 3]))
    if not math.isfinite(value):
        return value, math.nan
    off = float(state.moment_error(order, mean) / std**order)
    off += order * abs(float(state.moment(order, mean) / std**order)) * float(state.std_error / std)
    below = float(state.moment(order - 1, mean) / std ** (order - 1))
    off += order * abs(below) * float(state.mean_error / std)
    return value, off + 2.0**-52 * (abs(value) + order)


def _exit_times(analysis: Any) -> list[Any]:
    def of(b: Any) -> Any:
        t, error = b.exit_time, b.exit_time_error
        return None if t is None else (t, math.inf if math.isinf(t) else t * error)

    return [of(b) for b in analysis.basins]


def _chain_masses(analysis: Any) -> list[Any]:
    """What SGD with its finite step holds; None where there is no chain."""
    known = [] if analysis.sgd is None else analysis.sgd.basins
    by_place = {b.position: b.chain for b in known}
    return [by_place.get(b.position) for b in analysis.basins]


def _of_basins(name: str, error: str, analysis: Any) -> list[Any]:
    pairs = [(getattr(b, name), getattr(b, error)) for b in analysis.basins]
    return [None if value is None else (value, by) for value, by in pairs]


def _barriers(analysis: Any) -> list[Any]:
    """The lower of the two around each minimum; None of several in one basin, which have more."""
    known = known_errors(analysis)

    def of(k: int, b: Any) -> Any:
        sides = [(x, n) for n in ("left", "right") if (x := getattr(b, f"barrier_{n}")) is not None]
        if b.parts or not sides:
            return None
        lower, side = min(sides)
        sure = math.nan if known is None else getattr(known, f"barriers_{side}")[k]
        return lower, b.barrier_error, sure

    return [of(k, b) for k, b in enumerate(analysis.basins)]


def _median(analysis: Any) -> tuple[float, float]:
    (found,) = quantiles(analysis.rounded.end_state, (0.5,)).values()
    return found["value"], found["error"] + abs(found.get("offset", 0.0))


# Of functions that can be sent to another process.
QUANTITIES: dict[str, Quantity] = {
    "current": _flow,
    "mean_velocity": _velocity,
    "effective_diffusion": _spreading,
    "mean": partial(_of_state, "mean"),
    "std": partial(_of_state, "std"),
    "skewness": partial(_shape, 3),
    "kurtosis": partial(_shape, 4),
    "entropy": partial(_of_state, "entropy"),
    "median": _median,
    "exit_time": _exit_times,
    "log_exit_time": partial(_of_basins, "log_exit_time", "exit_time_error"),
    "barrier": _barriers,
    "barrier_left": partial(_of_basins, "barrier_left", "barrier_error"),
    "barrier_right": partial(_of_basins, "barrier_right", "barrier_error"),
    "width": partial(_of_basins, "width", "width_error"),
    "loss": partial(_of_basins, "loss", "loss_error"),
    "sharpness": partial(_of_basins, "sharpness", "sharpness_error"),  # of the mean loss
    "chain_mass": _chain_masses,
}


def quantities_from(given: Any) -> dict[str, Quantity]:
    """Quantities by name, from a name, several of them, or a mapping of names and functions."""
    if given is None:
        return {}
    if isinstance(given, Mapping):
        for name, function in given.items():
            if not (isinstance(name, str) and name.isidentifier() and callable(function)):
                raise LandscapeError(
                    f"quantities: {name!r:.40} = {function!r:.40} must be a name and a function of "
                    'an Analysis, as in {"spread": lambda a: a.end_state.std()}.'
                )
        return dict(given)
    names = [given] if isinstance(given, str) else list(given)
    strange = [str(name) for name in names if name not in QUANTITIES]
    if strange:
        raise LandscapeError(
            f"quantities: there is no {strange[0]}. {way_out(strange[0], list(QUANTITIES))} From "
            "Python, any function of an Analysis is told, as in "
            '{"spread": lambda a: a.end_state.std()}.'
        )
    return {name: QUANTITIES[name] for name in names}


def measured(analysis: Analysis, quantities: Mapping[str, Quantity]) -> tuple[Extras, str]:
    """All quantities of one solved process; what cannot be had is left out, and why is said."""
    found: Extras = {}
    why = ""
    for name, function in quantities.items():
        try:
            value = function(analysis)
            found |= _of_one(name, value, analysis)
            if value is None:
                why = why or f"{name} is not known: {name_of(function)} gave None"
        except StationaryError as error:
            why = why or f"{name} is not known: {' '.join(str(error).split())}"
        except Exception as error:  # of the user's own
            why = why or f"{name} is not known: {' '.join(explained(function, error).split())}"
    return found, why


def _of_one(name: str, value: Any, analysis: Analysis) -> Extras:
    """What a function of an analysis gave, by the name and the place of the basin."""
    several = isinstance(value, (list, np.ndarray))
    places = [float(b.position) for b in analysis.basins] if several else [None]
    found: Extras = {}
    for k, (place, one) in enumerate(zip(places, value if several else [value], strict=False)):
        if one is None and several:
            continue
        one = math.nan if one is None else one
        number, error, *own = one if isinstance(one, tuple) else (one, math.nan)
        at = None if place is None else k
        sure = own[0] if own else _of_sample(name, float(number), at, analysis)
        found[name, place] = float(number), float(error), float(sure)
    return found


def known_errors(analysis: Analysis | None) -> StandardErrors | None:
    """What a sample leaves unsure; None where that is not known, or nothing was estimated."""
    try:
        return None if analysis is None else analysis.standard_errors
    except StationaryError:
        return None


def _of_sample(name: str, value: float, basin: int | None, analysis: Analysis) -> float:
    """The standard error of a quantity of that name; nan where it is not known."""
    known = known_errors(analysis)
    if known is None or name not in QUANTITIES:
        return math.nan
    if basin is None:
        return float(known.quantiles[0.5] if name == "median" else getattr(known, name, math.nan))
    if name == "exit_time":  # by its logarithm
        return known.of("log_exit_time", basin) * value
    return known.of(name, basin) if name in OF_BASIN else math.nan


def columns_of(
    names: Sequence[str], extras: Sequence[Extras | None], positions: Array
) -> dict[str, Array]:
    """A column for each quantity and one for its error; for those of minima, by their labels.

    The positions of minima are of shape (labels, rows).
    """
    columns: dict[str, Array] = {}
    for name in names:
        for i, found in enumerate(extras):
            for (key, place), pair in (found or {}).items():
                away = np.abs(positions[:, i] - (0.0 if place is None else place))
                if key != name or (place is not None and np.isnan(away).all()):
                    continue
                column = name if place is None else f"{name}_{int(np.nanargmin(away))}"
                named = (column, f"{column}_error", f"{column}{SUFFIX}")
                for full, value in zip(named, pair, strict=True):
                    columns.setdefault(full, np.full(len(extras), math.nan))[i] = value
    return columns
