"""Minima that hardly anything separates, as one basin: persistence in the exponent int 2 f / a."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np

from stationary.errors import LandscapeError
from stationary.functions.given import number as real_number
from stationary.numbers.elementary import (
    compact,
    exp,
    logsumexp,
    number,
    possible_growth,
    to_float,
)
from stationary.states.basin import Basin
from stationary.states.distribution import EndState

MIN_BARRIER = 1.0  # e times as dense as where it would be left: below that nothing is held back


def checked_barrier(given: Any, name: str) -> float:
    """A least barrier in the exponent, as it was asked for."""
    least = real_number(given)
    if least is None or not least >= 0:
        raise LandscapeError(
            f"{name}: min_barrier = {given!r:.40} must be a number from 0 upwards: minima that are "
            "separated by less than this in the exponent are one basin (0 keeps them apart)."
        )
    return least


def merges(
    basins: Sequence[Basin], period: float | None = None
) -> Iterator[tuple[Any, list[list[Basin]]]]:
    """How the basins of one component, left to right, join as the least barrier grows.

    Each time the lowest barrier between the groups, and the groups that it still separates.
    """
    groups = [[b] for b in basins]
    # How far the exponent falls from the deepest minimum of each to its borders.
    left = [0.0 if b.barrier_left is None else b.barrier_left for b in basins]
    right = [0.0 if b.barrier_right is None else b.barrier_right for b in basins]
    while len(groups) > 1:
        neighbours = list(pairwise(range(len(groups))))
        if period is not None:
            neighbours.append((len(groups) - 1, 0))
        heights = [
            min(right[i], left[j])
            if period is not None or groups[i][-1].places[2] == groups[j][0].places[0]
            else math.inf
            for i, j in neighbours
        ]
        lowest = min(heights)
        if lowest == math.inf:
            break
        yield lowest, list(groups)
        i, j = neighbours[heights.index(lowest)]
        deeper = right[i] - left[j]  # the deepest minimum of i over that of j
        left[i], right[i] = left[i] + max(-deeper, 0 * deeper), right[j] + max(deeper, 0 * deeper)
        groups[i] = groups[i] + groups[j]
        for each in (groups, left, right):
            del each[j]
    yield math.inf, groups


def merged(
    basins: list[Basin], least: float, state: EndState, period: float | None = None
) -> list[Basin]:
    """Basins between which the exponent falls by `least` at least, of those of one component."""
    groups = next(groups for lowest, groups in merges(basins, period) if not lowest < least)
    # On a ring the last one may have been joined to the first.
    return sorted(
        (_joined(g, basins, state, period) if len(g) > 1 else g[0] for g in groups),
        key=lambda b: b.places[1],
    )


def heaviest(log_masses: Sequence[Any], errors: Sequence[float]) -> int:
    """The one of several parts that stands for all: the first whose mass may be the greatest."""
    top = max(range(len(log_masses)), key=lambda i: log_masses[i])
    return next(
        i
        for i, log_mass in enumerate(log_masses)
        if not log_masses[top] - log_mass > errors[top] + errors[i]
    )


def _joined(group: list[Basin], all_of_them: list[Basin], state: EndState, period: Any) -> Basin:
    """Neighbouring minima as one basin: that of the heaviest, with all that they hold."""
    level, levels = group[0].barrier_right * 0, []  # of the minima, up to a constant
    for i, b in enumerate(group):
        level = level - group[i - 1].barrier_right + b.barrier_left if i else level
        levels.append(level)
    k = heaviest([b.log_mass for b in group], [b.mass_error for b in group])
    centre, first, last = group[k], group[0], group[-1]
    logs = np.array([b.log_mass for b in group])
    log_mass = logsumexp(logs)
    weight = centre.weight_error

    def growth(basins: list[Basin]) -> float:
        shares = [min(float(b.log_mass - log_mass), 700.0) for b in basins]
        errors = [max(b.mass_error - weight, 0.0) for b in basins]
        return float(possible_growth(np.array(shares), np.array(errors)).sum())

    # What they hold together is what the others lack, too: the smaller error counts.
    unsure = min(
        growth(group), growth([b for b in all_of_them if not any(b is part for part in group)])
    )
    rounding = 8 * state.arithmetic.epsilon * (1 + abs(log_mass))
    if state.digits is None:
        rounding += float(np.spacing(abs(to_float(number(log_mass)))))
    turns = [0.0] * len(group)
    if period is not None:  # so many turns further than its own coordinates say
        for i, (a, b) in enumerate(pairwise(group)):
            turns[i + 1] = turns[i] + period * round((a.upper - b.lower) / period)
        turns = [t - turns[k] for t in turns]
    return replace(
        centre,
        lower=first.lower + turns[0],
        upper=last.upper + turns[-1],
        mass=state.given(exp(number(log_mass))),
        log_mass=state.given(log_mass),
        mass_error=compact(unsure + weight + rounding),
        barrier_left=None
        if first.barrier_left is None
        else first.barrier_left + levels[k] - levels[0],
        barrier_right=None
        if last.barrier_right is None
        else last.barrier_right + levels[k] - levels[-1],
        barrier_error=compact(sum(b.barrier_error for b in group)),
        parts=tuple(group),
        places=(first.places[0] + turns[0], centre.places[1], last.places[2] + turns[-1])
        if period is not None
        else (first.places[0], centre.places[1], last.places[2]),
    )
