"""What is asked of an evolution, and what may be: times, a tolerance, cells; and what is seen."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from stationary.aliases import Array
from stationary.errors import LandscapeError
from stationary.functions.given import checked_whole, number
from stationary.numbers.cost import LASTING
from stationary.points import is_no_number
from stationary.process.diffusion import Diffusion
from stationary.process.initial import Initial
from stationary.process.landscape import Landscape
from stationary.sources.ranges import MOST_VALUES
from stationary.states.distribution import EndState

MOST_CELLS = 2**15  # where a step takes 20 ms; errors fall at least as cells do
MOST_NUMBERS = 4 * LASTING  # times times cells of the finest grid
LATEST = 1e300  # a time beside which there is room for products, and for ticks of a figure
FINER = 4  # the finest grid has so many times the cells that are asked for


@dataclass(frozen=True, eq=False)
class Asked:
    """A process, its end state, and what is asked of it."""

    process: Diffusion | Landscape
    state: EndState
    start: Initial
    times: Array
    tolerance: float


def times_until(until: float, every: float | None = None) -> Array:
    """0, every, 2 every, ... and `until`; by default twenty-one times."""
    step = until / 20 if every is None else every
    for option, value in (("until", until), ("every", step)):
        if not 0 < value < math.inf:
            raise LandscapeError(
                f"--{option} {value:g} must be positive and finite, as in --until 400 --every 10."
            )
    if step > until:
        raise LandscapeError(
            f"--every {step:g} is longer than --until {until:g}. Take less, as in --every "
            f"{until / 20:g}."
        )
    if until / step > MOST_VALUES:
        raise LandscapeError(
            f"--every {step:g} makes more than {MOST_VALUES} times up to {until:g}. Take fewer, as "
            f"in --every {until / 100:g}."
        )
    count = math.floor(until / step * (1 + 1e-12))
    times = step * np.arange(count + 1)
    return np.append(times[times < until * (1 - 1e-9)], until)


def checked_times(given: Any, name: str) -> Array:
    example = "times = np.arange(0, 401, 10)"
    try:
        times = np.atleast_1d(np.asarray(math.nan if is_no_number(given) else given, dtype=float))
    except (TypeError, ValueError):
        times = np.array([math.nan])
    if times.ndim != 1 or not len(times) or not np.isfinite(times).all():
        raise LandscapeError(
            f"{name}: times = {given!r:.80} must be finite numbers, as in {example}."
        )
    if times[-1] > LATEST:
        raise LandscapeError(
            f"{name}: a time of {times[-1]:g} is too long for doubles. Give none above {LATEST:g}."
        )
    if times[0] < 0 or (np.diff(times) <= 0).any():
        raise LandscapeError(
            f"{name}: times = {given!r:.80} must ascend from 0 or later, as in {example}."
        )
    if len(times) > MOST_VALUES:
        raise LandscapeError(f"{name}: {len(times)} times are more than {MOST_VALUES}. Take fewer.")
    return times


def checked_tolerance(given: Any, name: str) -> float:
    value = number(given)
    if value is None or not 1e-12 <= value < 1:
        raise LandscapeError(
            f"{name}: tolerance = {given!r:.80} must be a probability between 1e-12 and 1, such as "
            "1e-4."
        )
    return value


def checked_cells(given: Any, times: int, name: str) -> int | None:
    if given is None:
        return None
    most = min(MOST_CELLS, MOST_NUMBERS // (FINER * times))
    return checked_whole(given, "cells", name, 8, most, ", such as 1000")


@dataclass(frozen=True, eq=False)
class EvolutionAtom:
    """A point that collects probability: a trap, an absorbing end, or a rest point."""

    position: float
    weights: Array  # (times,)
    errors: Array  # (times,), absolute


@dataclass(frozen=True, eq=False)
class Seen:
    """What is seen at some times, shape (times,) but for cells; as in `Evolution`."""

    masses: Array  # (times, cells)
    mean: Array
    mean_error: Array
    std: Array
    std_error: Array
    error: Array
    mass_error: Array
    time_error: Array
    current: Array  # (times, cells + 1)
    current_error: Array
