"""Where two minima hold the same mass, between two points at which different ones dominate."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial

import numpy as np

from stationary.aliases import Array
from stationary.errors import StationaryError
from stationary.line.chart import OCTAVES
from stationary.numbers.arithmetic import HUGE
from stationary.result import Compared
from stationary.sweeps.answers import Answer, Answers, Point
from stationary.sweeps.family import Family
from stationary.sweeps.quantities import known_errors

STEP = 1e-3  # of a bracket, over which the slope at a crossing is taken


@dataclass(frozen=True, eq=False)
class Crossing(Compared):
    """Two minima of equal mass, by their places from left to right; or why it was not found."""

    low: int  # the number of the point below it
    high: int
    first: int  # the minimum that dominates below
    second: int
    value: float = math.nan
    error: float = math.nan  # absolute, of value
    log_mass: float = math.nan  # of either
    reason: str = ""
    standard_error: float = math.nan  # of value, where functions were estimated from a sample


def brackets(answers: Answers, along: Array) -> list[tuple[int, int]]:
    """Neighbouring decided points between which the dominant minimum changes.

    `along` are the indices of the answers along one axis. Points that are not decided are passed
    over. Minima are told apart by their column or, where these are not the same minima at all
    points, by their place from left to right or, where their number changes, by where they are.
    """
    decided = along[answers.dominant[along] >= 0]
    pairs = np.stack([decided[:-1], decided[1:]], axis=1)
    if answers.held_by is None:
        return [(i, k) for i, k in pairs.tolist() if not _same(answers[i], answers[k])]
    ends = answers.dominant[pairs]
    pairs, ends = pairs[ends[:, 0] != ends[:, 1]], ends[ends[:, 0] != ends[:, 1]]
    # What is one basin at both ends does not change places with itself.
    parts = [answers.held_by[pairs[:, end][:, None], ends] for end in (0, 1)]
    apart = (parts[0][:, 0] != parts[0][:, 1]) | (parts[1][:, 0] != parts[1][:, 1])
    return [(i, k) for i, k in pairs[apart].tolist()]


def _same(a: Answer, b: Answer) -> bool:
    i, k = a.dominant, b.dominant
    assert i is not None
    assert k is not None
    if len(a.minima) == len(b.minima):
        return i == k
    y = b.minima[k].position
    return min(a.minima, key=lambda m: abs(m.position - y)) is a.minima[i]


def crossings_between(
    answer_at: Callable[[float], Answer],
    ends: tuple[float, float],
    answers: Sequence[Answer],
    numbers: Sequence[int] = (0, 1),
) -> list[Crossing]:
    """The crossings along an axis between two ascending points of it, where others dominate.

    They are in the order of the axis; `numbers` are those of the two points.
    """
    first, second = (a.dominant for a in answers)
    assert first is not None
    assert second is not None
    blank = Crossing(numbers[0], numbers[1], first, second)
    count = len(answers[0].minima)
    try:
        if len(answers[1].minima) != count:
            raise _LostError("the number of minima changes in between")
        return _refined(answer_at, ends, blank, depth=count)
    except (StationaryError, _LostError) as error:
        return [replace(blank, reason=" ".join(str(error).split()))]


class _LostError(Exception):
    """A point in between where the minima are not known."""


def _refined(
    answer_at: Callable[[float], Answer], ends: tuple[float, float], blank: Crossing, depth: int
) -> list[Crossing]:
    from scipy.optimize import brentq

    i, k = blank.first, blank.second

    @cache
    def at(x: float) -> Answer:
        answer = answer_at(x)
        if not answer.is_known:
            raise _LostError(answer.reason or "there is no end state in between")
        if len(answer.minima) <= max(i, k):
            raise _LostError("the number of minima changes in between")
        return answer

    def gain(x: float) -> float:
        minima = at(x).minima
        return float(np.clip(minima[i].log_mass - minima[k].log_mass, -HUGE, HUGE))

    low, high = ends
    if not gain(low) > 0 > gain(high):
        raise _LostError("the masses between the two points do not join up")
    finest = (high - low) / 2.0**OCTAVES  # a crossing at zero has no relative precision
    x = float(brentq(gain, low, high, xtol=finest, rtol=8.9e-16, maxiter=500))
    here = at(x)
    top = here.dominant
    if depth > 0 and top is not None and top not in (i, k):  # a third one comes between
        first, second = replace(blank, second=top), replace(blank, first=top)
        return [
            *_refined(answer_at, (low, x), first, depth - 1),
            *_refined(answer_at, (x, high), second, depth - 1),
        ]
    step = STEP * (high - low)
    left, right = max(low, x - step), min(high, x + step)
    if max(abs(gain(left)), abs(gain(right))) >= HUGE:
        raise _LostError("too little separates the two there: they are one basin")
    slope = abs(gain(right) - gain(left)) / (right - left)
    by = here.minima[i].mass_error + here.minima[k].mass_error
    error = by / slope + 2 * float(np.spacing(x)) + finest if slope > 0 else math.inf
    if not error < high - low:
        raise _LostError("the two masses are the same to within their errors all along")
    log_mass, known = here.minima[i].log_mass, known_errors(here.analysis)
    of_sample = math.nan if known is None else float(known.log_ratios[i, k]) / slope
    found = replace(blank, value=x, error=error, log_mass=log_mass, standard_error=of_sample)
    return [found]


def crossings_of_rates(family: Family, answers: Answers) -> list[Crossing]:
    """All crossings along the learning rate, at each batch size and replacement of a family.

    The same T c gives the same crossing: it is looked for once.
    """
    found: list[Crossing] = []  # along the inverse temperature, which falls as the rate grows
    result = []
    numbers = family.numbers or range(len(family.points))
    for line in family.lines:
        for low, high in brackets(answers, line):
            point: Point = family.points[low]
            factor = family.factor(point)
            # The masses are nearly exponential in it.
            ends = (
                family.inverse_temperature(family.points[high]),
                family.inverse_temperature(point),
            )
            pair = answers[high].dominant, answers[low].dominant
            here = [
                c for c in found if (c.first, c.second) == pair and ends[0] <= c.value <= ends[1]
            ]
            if not here:
                at = partial(family.at, point=point)
                here = crossings_between(at, ends, (answers[high], answers[low]))
                found += [c for c in here if math.isfinite(c.value)]
            result += [
                replace(
                    c,
                    low=numbers[low],
                    high=numbers[high],
                    first=c.second,
                    second=c.first,
                    value=1 / (c.value * factor),
                    error=c.error / c.value**2 / factor,
                    standard_error=c.standard_error / c.value**2 / factor,
                )
                for c in reversed(here)
            ]
    return result
