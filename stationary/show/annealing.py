"""What a schedule freezes in."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from stationary import wording as say
from stationary.aliases import Array
from stationary.annealing.anneal import Annealing, Spread
from stationary.annealing.course import Course, Freeze
from stationary.numbers.arithmetic import ROUNDING
from stationary.numbers.elementary import distinct
from stationary.sgd.basins import NEVER
from stationary.show.drawing import GREY, Sheet, add_legend, colour_of
from stationary.show.layout import Report, picked, report, tabulated

ROWS = 12  # of the table: times, evenly spread
SELDOM = 0.01  # of a crossing, below which a way is frozen from the start
CLEAR = 3.0  # times the error, by which two shares differ clearly
BARELY = 5e-4  # of all, that three digits of a percentage do not show


def text(found: Annealing) -> Report:
    """What is left where, from when on it is frozen, and the shares over time."""
    start = found.initial.text if found.initial else "the end state of the first learning rate"
    title = f"{found.landscape.name}: the learning rate follows {found.schedule}"
    over, trust = "Mean and deviation over time", []
    if found.spread is None:
        over = "The shares over time"
        whose, apart = "the steps that SGD takes", ""
        if found.sgd is None:
            whose, apart = "the small-step limit", " How far SGD is from that is not known."
        if found.sgd is not None and found.landscape.momentum:
            whose = (
                "the small-step limit, and the shares those of walkers, to three standard errors"
            )
        trust = [
            f"The rates between basins are those of {whose}. The error of the shares is from "
            "cells, from the rates and their integration, and from how long a basin remembers who "
            f"came: {say.error_text(found.course.error)} at the end.{apart} `simulate` follows "
            "the same schedule step by step."
        ]
    return report(
        {
            title: course_lines(found),
            over: [f"The start: {start}.", *_over_time(found)],
            "How far to trust this": [*trust, *found.notes, say.sample_text(found.landscape)],
        }
    )


def course_lines(found: Annealing) -> list[str]:
    """The answer in a few sentences."""
    if found.lost[0] > NEVER:
        gone = (
            f"A share of {say.known_text(*found.lost, 6)} of the runs leads ever farther away and"
        )
        return [f"{gone} is lost. What follows is told of those that stay.", *_of_those(found)]
    return _of_those(found)


def _of_those(found: Annealing) -> list[str]:
    course, places = found.course, found.minima
    if len(places) == 1:
        at = f"{say.tidy(places[0], ROUNDING):.6g}"
        words = [f"There is one basin, around w = {at}: there is nothing to freeze in."]
        s = found.spread
        if s is not None:
            mean = say.known_text(s.mean[-1], s.mean_error[-1], 7)
            std = say.known_text(s.std[-1], s.std_error[-1], 7)
            words.append(f"In the end the mean is {mean} and the deviation {std}.")
        return words
    lines = [f"In the end {_shares(course.final, found, error=course.error)}."]
    lines += [_frozen(f, course, found) for f in course.freezes]
    last = f"The end state at the last learning rate, T = {found.schedule.last:.4g},"
    settled = "depends on the start: SGD does not come from one basin to another"
    if course.end is not None:
        settled = f"has {_shares(course.end, found, 'at')}"
    lines.append(f"{last} {settled}.")
    small = found.small_step
    if found.sgd is not None:
        apart = float(np.abs(small.final - course.final).max())
        said, but = "differs", "; the steps are too large for it, SGD is as above"
        if apart < CLEAR * (course.error + small.error) + 0.005:
            said, but = "agrees", ""
            if small.error > BARELY:
                said += f" to within its error, which is {say.plain_text(100 * small.error)} %"
        lines.append(
            f"The small-step limit {said}: {_shares(small.final, found, 'at', small.error)}{but}."
        )
    return lines


def _shares(
    shares: Array, found: Annealing, of: str = "of the runs are around", error: float = 0.0
) -> str:
    """What is at each minimum, but for what is below the error: that is said of all together."""
    told = [
        f"{_percent(share, error)} {of} {_named(found, i)}"
        for i, share in enumerate(shares.tolist())
        if not 0 < share < error
    ]
    few = [_named(found, i) for i in np.flatnonzero((shares > 0) & (shares < error)).tolist()]
    return say.joined([*told, *([f"less than {error:.0e} at {say.joined(few)}"] if few else [])])


def _named(found: Annealing, i: int) -> str:
    """A minimum, with a word where it is a wall that SGD is driven against."""
    place = found.minima[i]
    return f"w = {place:.4g}" + (" (wall)" if place in found.landscape.domain else "")


def _percent(share: float, error: float) -> str:
    if 0 < share < error:
        return f"less than {error:.0e}"
    if 1 - share < error > BARELY:
        return f"more than {100 * (1 - error):.3g} %"
    if share > 1 - ROUNDING:
        return "100 %"
    if 1e-5 < share < 1:
        rest = 1 - share
        if rest > BARELY:
            return f"{say.sampled_text(100 * share, 100 * error, 3)} %"
        return f"100 % but for {rest:.2g}"
    return "0 %" if share == 0 else say.probability_text(math.log(share), 3)


def _frozen(f: Freeze, course: Course, found: Annealing) -> str:
    i = found.minima.index(f.minima[1])
    way = f"The way between {_named(found, i - 1)} and {_named(found, i)} is"
    if f.crossings < 1:
        few = say.plain_text(f.crossings)
        told = f"frozen from the start: {few} crossings"
        told = f"open for less than one crossing: {few}" if f.crossings > SELDOM else told
        return f"{way} {told} are expected in all."
    if f.step >= len(found.schedule) - 1:
        return f"{way} open until the end."
    stay = _percent(float(course.final[i:].sum()), course.error)
    side = _named(found, i) + (" and beyond" if i + 1 < len(found.minima) else "")
    return (
        f"{way} frozen from step {f.step:,} on, at T = {f.learning_rate:.3g}, with less than one "
        f"crossing left; {stay} stay at {side}."
    )


def _over_time(found: Annealing) -> list[Any]:
    course, n, s = found.course, len(found.minima), found.spread
    if n == 1 and s is not None:
        header = ["mean of w", "error", "deviation", "error"]
        how = (
            "By the steps that SGD takes: exactly for parabolas, else on cells; errors are twice "
            "what wider cells and longer stretches of one learning rate change."
        )
    elif n == 1:
        return []
    else:
        header = [h for i in range(n) for h in (_named(found, i), "(balance)")] + ["error"]
        how = (
            "(balance): what the rates would lead to if the learning rate stayed as it is at that "
            f"step, right to {say.error_text(np.nanmax(course.balance_errors, initial=1e-9))}; - "
            "where in the whole schedule next to none (1e-9) would cross at that rate. The error "
            "is that of the shares."
        )
    rows = []
    for k in distinct(np.linspace(0, len(found.steps) - 1, ROWS + 1).round().astype(int)):
        if n == 1 and s is not None:
            known = [(s.mean[k], s.mean_error[k]), (s.std[k], s.std_error[k])]
            cells = [c for v, by in known for c in (say.known_text(v, by, 7), say.error_text(by))]
        else:
            errors = course.errors[k], course.balance_errors[k]
            pairs = zip(course.shares[k], course.balance[k], strict=True)
            cells = [_cell(*told) for pair in pairs for told in zip(pair, errors, strict=True)]
            cells.append(say.error_text(course.errors[k]))
        rows.append([f"{found.steps[k]:,}", f"{found.rates[k]:.4g}", *cells])
    return [*tabulated(["step", "T", *header], rows, [len(rows) - 1, 0, len(rows) // 2]), how]


def _cell(share: float, error: float) -> str:
    if math.isnan(share):
        return "-"
    if 0 < share < error:
        return f"< {error:.0e}"
    digits = min(max(-math.floor(math.log10(error)), 1), 4) if error > 0 else 4
    return f"{share:.{digits}f}" if share > 5e-5 or share == 0 else f"{share:.0e}"


def data(found: Annealing) -> dict[str, Any]:
    def of(course: Course | None) -> dict[str, Any] | None:
        if course is None:
            return None
        freezes = [picked(f, "minima step learning_rate crossings") for f in course.freezes]
        errors = picked(course, "error errors balance_errors")
        return picked(course, "final shares balance end_state=end") | errors | {"freezes": freezes}

    return (
        {"schema": 1, "sgd": of(found.sgd), "small_step": of(found.small_step)}
        | picked(found, "name=landscape.name schedule=schedule.text initial=initial.text lost")
        | picked(found, "learning_rates=rates minima steps notes")
        | {"spread": found.spread and picked(found.spread, "mean mean_error std std_error")}
    )


def table(found: Annealing) -> dict[str, Any]:
    """A row per time: the shares of SGD, or of the small-step limit without them."""
    course, columns = found.course, {"step": found.steps, "learning_rate": found.rates}
    if found.spread is not None:
        columns |= picked(found.spread, "mean mean_error std std_error")
    columns |= {f"share_{i}": column for i, column in enumerate(course.shares.T)}
    columns |= {f"balance_{i}": column for i, column in enumerate(course.balance.T)}
    return columns | {"share_error": course.errors, "balance_error": course.balance_errors}


def figure(found: Annealing, sheet: Sheet) -> None:
    """The share of each basin, what it would be in balance, where it freezes, and the rate.

    Of one basin alone the mean and the deviation.
    """
    ax, course = sheet.axes(3.25), found.course
    if found.spread is not None:
        _draw_spread(ax, found, found.spread)
    else:
        _draw_shares(ax, found, course)
    ax.set(xlabel="step", xlim=(0, float(found.steps[-1])))
    add_legend(ax)
    right = ax.twinx()
    right.grid(visible=False)
    right.plot(found.steps, found.rates, color=GREY, lw=1.0, ls=":")
    right.set_ylabel("learning rate $T$", color=GREY)
    right.set_ylim(bottom=0)


def _draw_spread(ax: Any, found: Annealing, s: Spread) -> None:
    """Of one basin: where SGD is on average, and how far from it."""
    low, high = s.mean - s.std, s.mean + s.std
    ax.fill_between(found.steps, low, high, color=colour_of(0), alpha=0.2, lw=0, label="deviation")
    ax.plot(found.steps, s.mean, color=colour_of(0), label="mean")
    ax.set_ylabel("w")


def _draw_shares(ax: Any, found: Annealing, course: Course) -> None:
    balance: dict[str, Any] = {"lw": 0.8, "ls": (0, (4, 2))}
    for i in range(len(found.minima)):
        share, colour = course.shares[:, i], colour_of(i)
        band = share - course.errors, share + course.errors
        ax.fill_between(found.steps, *band, color=colour, alpha=0.2, lw=0)
        ax.plot(found.steps, share, color=colour, label=_named(found, i))
        ax.plot(found.steps, course.balance[:, i], color=colour_of(i), **balance)
    ax.plot([], [], color=GREY, label="in balance at that rate, while any cross", **balance)
    last = float(found.steps[-1])
    for f in course.freezes:
        if 0 < f.step < last:
            ax.axvline(f.step, color=GREY, lw=0.8)
            words = f" frozen, \n $T$ = {f.learning_rate:.3g} "
            side = "left" if f.step < 0.7 * last else "right"
            ax.text(f.step, 0.5, words, color=GREY, va="center", ha=side, fontsize="small")
    ax.set(ylabel="share of the runs", ylim=(-0.03, 1.03))
