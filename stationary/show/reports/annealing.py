"""What a schedule freezes in, as text."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from stationary.annealing.anneal import Annealing
from stationary.annealing.course import Course, Freeze
from stationary.show.layout import report, table
from stationary.wording import error_text, probability_text, to_error

__all__ = ["course_lines", "text"]

Array = NDArray[np.float64]

ROWS = 12  # of the table: times, evenly spread
CLEAR = 3.0  # times the error, by which two shares differ clearly


def text(found: Annealing) -> str:
    """What is left where, from when on it is frozen, and the shares over time; 80 columns."""
    name = found.landscape.name
    start = "the end state of the first learning rate"
    if found.initial is not None:
        start = found.initial.text
    return report(
        [
            (f"{name}: the learning rate follows {found.schedule}", course_lines(found)),
            (
                "The shares over time" if found.spread is None else "Mean and deviation over time",
                [f"The start: {start}.", *_table(found)],
            ),
            ("How far to trust this", _trust(found)),
        ]
    )


def course_lines(found: Annealing) -> list[str]:
    """The answer in a few sentences."""
    course, places = found.course, found.minima
    if len(places) == 1:
        words = [f"There is one basin, around w = {places[0]:.6g}: there is nothing to freeze in."]
        s = found.spread
        if s is not None:
            mean = to_error(s.mean[-1], s.mean_error[-1])
            std = to_error(s.std[-1], s.std_error[-1])
            words.append(f"In the end the mean is {mean} and the deviation {std}.")
        return words
    lines = [f"In the end {_shares(course.final, places)}."]
    lines += [_frozen(f, course, found) for f in course.freezes]
    last = f"The end state at the last learning rate, T = {found.schedule.last:.4g},"
    if course.end is None:
        lines.append(f"{last} depends on the start: SGD does not come from one basin to another.")
    else:
        lines.append(f"{last} has {_shares(course.end, places, short=True)}.")
    small = found.small_step
    if found.sgd is not None:
        apart = float(np.abs(small.final - course.final).max())
        same = "agrees" if apart < CLEAR * (course.error + small.error) + 0.005 else "differs"
        lines.append(
            f"The small-step limit {same}: {_shares(small.final, places, short=True)}"
            + ("." if same == "agrees" else "; the steps are too large for it, SGD is as above.")
        )
    return lines


def _shares(shares: Array, places: Sequence[float], *, short: bool = False) -> str:
    parts = []
    for share, w in zip(shares.tolist(), places, strict=True):
        of = "at" if short else "of the runs are around"
        parts.append(f"{_percent(share)} {of} w = {w:.4g}")
    return ", ".join(parts[:-1]) + f" and {parts[-1]}" if len(parts) > 1 else parts[0]


def _percent(share: float) -> str:
    if 1e-5 < share < 1:
        rest = 1 - share
        return f"{100 * share:.3g} %" if rest > 5e-4 else f"100 % but for {rest:.2g}"
    return f"{100 * share:.3g} %" if share in (0, 1) else probability_text(math.log(share), 3)


def _frozen(f: Freeze, course: Course, found: Annealing) -> str:
    way = f"The way between w = {f.minima[0]:.4g} and w = {f.minima[1]:.4g} is"
    if f.crossings < 1:
        return f"{way} frozen from the start: {f.crossings:.2g} crossings are expected in all."
    if f.step >= len(found.schedule) - 1:
        return f"{way} open until the end."
    i = found.minima.index(f.minima[1])
    stay = _percent(float(course.final[i:].sum()))
    side = f"w = {f.minima[1]:.4g}" + (" and beyond" if i + 1 < len(found.minima) else "")
    return (
        f"{way} frozen from step {f.step:,} on, at T = {f.learning_rate:.3g}, with less than one "
        f"crossing left; {stay} stay at {side}."
    )


def _table(found: Annealing) -> list[str]:
    course, n, s = found.course, len(found.minima), found.spread
    rows: list[list[str]] = []
    shown = np.unique(np.linspace(0, len(found.steps) - 1, ROWS + 1).round().astype(int))
    if n == 1 and s is not None:
        for k in shown:
            known = [(s.mean[k], s.mean_error[k]), (s.std[k], s.std_error[k])]
            cells = [c for v, by in known for c in (to_error(v, by), error_text(by))]
            rows.append([f"{found.steps[k]:,}", f"{found.rates[k]:.4g}", *cells])
        header = ["step", "T", "mean of w", "error", "deviation", "error"]
        how = (
            "As if the weights were normal before every step, which is exact for parabolas; the "
            "errors are what the curvature of drift and noise beyond that makes."
        )
        return [*table(header, rows), how]
    if n == 1:
        return []
    for k in shown:
        pairs = zip(course.shares[k], course.balance[k], strict=True)
        shares = [v for pair in pairs for v in pair]
        rows.append([f"{found.steps[k]:,}", f"{found.rates[k]:.4g}", *map(_cell, shares)])
    header = ["step", "T", *(h for w in found.minima for h in (f"w = {w:.4g}", "(balance)"))]
    note = (
        "(balance): what the rates would lead to if the learning rate stayed as it is at that "
        "step; - where SGD does not come from one basin to another."
    )
    return [*table(header, rows), note]


def _cell(share: float) -> str:
    if math.isnan(share):
        return "-"
    return f"{share:.4f}" if share > 5e-5 or share == 0 else f"{share:.0e}"


def _trust(found: Annealing) -> list[str]:
    course = found.course
    whose = "the steps that SGD takes" if found.sgd is not None else "the small-step limit"
    return [
        f"The rates between basins are those of {whose}. Estimated error of the shares at the "
        f"end, from the rates and their integration: {error_text(course.error)}. That each basin "
        "is left from its own quasi-stationary state, at one rate at a time, is not part of it; "
        "`simulate` follows the same schedule step by step.",
        *found.notes,
    ]
