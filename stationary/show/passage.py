"""What is reached first, and when."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from stationary import wording as say
from stationary.chain.times import ExitTime
from stationary.errors import StationaryError
from stationary.process.landscape import Landscape
from stationary.questions.influence import passage_errors
from stationary.show.drawing import BLUE, RED, Sheet, add_legend, draw_curve, symbol_of
from stationary.show.layout import Line, Report, first_of, picked, report, tabulated
from stationary.show.sample import standard_error_text
from stationary.simulation.passage import WalkedPassage, steps_of, walked, why_not
from stationary.states.first_passage import FirstPassage
from stationary.states.law import Estimate
from stationary.wording import LN10

FAR = 0.1  # of the logarithms of two times, that is worth a word
SURE = 3.0  # standard errors of a time: more is no chance
QUANTITIES = "probability conditional_mean conditional_variance mean variance deviation approached"
WIDEST = 20  # of a start in a column; a longer one is named above the table


def text(p: FirstPassage) -> Report:
    """Probabilities and mean times, each with its error."""
    d = p.diffusion
    targets = " or ".join(f"{d.variable} = {float(t):g}" for t in p.targets)
    unit = "steps" if d.time_unit == "step" else "the unit of the drift"
    first = f"How soon {targets} is reached; times in {unit}. {d.stated_equation}."
    return report(
        {d.name: [first, say.last_rate_text(p.process), _of_sgd(p)], "First passage": _rows(p)}
    )


def _of_sgd(p: FirstPassage) -> str:
    """What its own steps make of it, of which the diffusion is the limit."""
    if not isinstance(p.process, Landscape):
        return ""
    words = ["These are probabilities and times of the diffusion, the limit of small steps."]
    known: tuple[ExitTime | WalkedPassage, ...] | None = steps_of(p)
    known = known or walked(p)  # by walkers where the exact chain is not to be had
    if known is None:
        words.append(
            "Where steps are large, or a target is far from where it mostly is, the times of SGD "
            f"may be far from these; the exact chain's are not to be had here: {why_not(p)} "
            "(`stationary check` says how large steps are)."
        )
    log_chance = np.reshape(p.probability.log, (len(p.targets), -1)).astype(float)
    reached = np.isfinite(log_chance).any(axis=0).tolist()
    limits = zip(*(np.ravel(x).astype(float) for x in (p.mean.log, p.mean.error)), strict=True)
    starts = zip(p.starts, _names(p), limits, _of_logs(p), reached, strict=True)
    for (start, at, (log, error), of_sample, perhaps), t in zip(starts, known or (), strict=False):
        if t.log_time == -math.inf:
            continue
        if isinstance(t, WalkedPassage):
            who, own, same = "walkers", _of_walkers(p.process, t, at), _is_alike(t, log)
        else:
            same = log == t.log_time or abs(log - t.log_time) <= max(FAR, t.error)
            who, own = "chain", _of_chain(t, at, perhaps)
        never = "perhaps never" if perhaps else "never"
        limit = f"after {say.time_text(log, error, 6, of_sample)}" if math.isfinite(log) else never
        words.append(f"{own}, the diffusion {limit}{'' if same else f': believe the {who}'}.")
        if math.isfinite(t.upper_error):
            if isinstance(t, WalkedPassage):
                low, high = map(float, t.targets)
            else:
                low = max(x for x in map(float, p.targets) if x <= float(start))
                high = min(x for x in map(float, p.targets) if x >= float(start))
            words.append(
                f"That is at {high:g} or above with probability "
                f"{say.measured(t.upper, t.upper_error)}, else at {low:g} or below."
            )
    return " ".join(words)


def _of_chain(t: ExitTime, start: str, perhaps: bool) -> str:
    chain = "may never be at a target" if perhaps else "is never at a target"
    if math.isinf(t.error):
        chain = "is at a target, or beyond it, after an unknown number of steps, or never"
    elif not math.isinf(t.log_time):
        steps = say.steps_text(t.log_time, t.error)
        chain = f"is at a target, or beyond it, after {steps} steps on average"
    return f"From {start} the exact chain of SGD's own steps {chain}"


def _of_walkers(sgd: Landscape, t: WalkedPassage, start: str) -> str:
    crew = f"By its own steps ({t.walkers:,} walkers from {start}"
    crew += f", at rest at first, momentum {sgd.momentum:g})" if sgd.momentum else ")"
    if t.lost:
        return f"{crew} SGD runs away to infinity before a target in {t.lost:,} cases"
    if math.isinf(t.mean_error):
        return (
            f"{crew} SGD is at a target, or beyond it, within {t.steps:,} steps in {t.arrived:,} "
            f"cases{' only' * (t.arrived < t.walkers)}: after more than {t.mean:,.0f} on average"
        )
    mean, error = say.sampled_text(t.mean, t.mean_error), standard_error_text(t.mean_error)
    told = f"{crew} SGD is at a target, or beyond it, after {mean} +- {error} steps on average"
    unseen = t.mean_error > t.mean
    return f"{told}, where ways too rare for so many to see decide" if unseen else told


def _is_alike(t: WalkedPassage, log_mean: float) -> bool:
    """Whether the mean time of the diffusion is that of the walkers, as far as these know it."""
    if t.lost:
        return False
    apart = t.log_time - log_mean
    if math.isinf(t.mean_error):  # it is at least as much
        return apart <= 0
    return abs(apart) <= max(FAR, SURE * t.mean_error / t.mean)


def _names(p: FirstPassage) -> list[str]:
    """The points where it starts, or its law."""
    return [getattr(start, "text", None) or f"{float(start):.6g}" for start in p.starts]


def _of_logs(p: FirstPassage) -> list[float]:
    """Standard errors of the logarithms of mean times, of each start; nan where there is none."""
    known, size = passage_errors(p), np.size(p.mean.log)
    return [math.nan] * size if known is None else np.ravel(known).tolist()


def _rows(p: FirstPassage) -> list[Line]:
    every = _names(p)
    law = [f"The start: {x}." for x in every if len(every) == 1 and len(x) > WIDEST]
    every = ["start"] if law else every
    names, more = first_of(every, "and {n} more starts; --json lists them all.")

    def at(e: Estimate, k: int, i: int) -> tuple[Any, Any]:
        log, error = (np.reshape(v, (len(p.targets), -1)) for v in (e.log, e.error))
        return log[k, i], error[k, i]

    def chance(log_p: Any, by: Any) -> str:
        return say.probability_text(log_p, p.digits or 9, by)

    def when(log_time: Any, by: Any) -> str | None:
        if math.isnan(float(log_time)):
            return None
        return "not known" if 1 <= by < math.inf else say.time_text(log_time, by, most, sure[i])

    mean, error, deviation, off = map(
        np.ravel, (p.mean.log, p.mean.error, p.deviation.log, p.deviation.error)
    )
    rows, creeps, most, sure = [], [], p.digits or 6, _of_logs(p)
    for i, name in enumerate(names):
        known = say.error_text(error[i]) if math.isfinite(float(mean[i])) else "-"
        # What does not depend on which target is the first, on the first of the rows.
        whole = (when(mean[i], error[i]), known, when(deviation[i], off[i]))
        for k, target in enumerate(p.targets):
            first, then = at(p.probability, k, i), at(p.conditional_mean, k, i)
            rows.append(
                (
                    *(name, f"{float(target):g}", chance(*first)),
                    say.relative_error_text(first[1], first[0]),
                    when(*then),
                    *(("", "", "") if k else whole),
                )
            )
            near = at(p.approached, k, i)
            if near[0] > -math.inf:
                creeps.append(
                    f"From {name} the process comes ever closer to {float(target):g}, without "
                    f"ever reaching it, with probability {chance(*near)}."
                )
    header = ("from", "to", "probability", "error", "mean time then")
    return [
        *law,
        *tabulated((*header, "mean time", "error", "deviation"), rows),
        *more,
        "Errors are relative. Mean time then: given that this target is the first.",
        *(_of_sample(names, sure) if p.diffusion.sample is not None else []),
        *creeps,
    ]


def _of_sample(names: Sequence[str], errors: Sequence[float]) -> list[Line]:
    """What estimated functions leave unknown, a second error beside the numerical one."""
    told = [
        f"{standard_error_text(e)} from {name}"
        for name, e in zip(names, errors, strict=False)
        if not math.isnan(e)
    ]
    said = (
        f"of the logarithm of the mean time it is {', '.join(told)}; of the other numbers it is "
        "not computed."
        if told
        else "it is not known here."
    )
    return [
        "Drift and variance were estimated from a sample, which leaves a standard error, beside "
        f"the errors above: {said}"
    ]


def _plain(p: FirstPassage) -> dict[str, Estimate]:
    """The quantities in doubles."""
    found: dict[str, Estimate] = picked(p, QUANTITIES)
    return found if p.digits is None else {name: e.rounded() for name, e in found.items()}


def data(p: FirstPassage) -> dict[str, Any]:
    """Each estimate with its value, its logarithm and the error of that."""
    numbers = {n: picked(e, "value log error_of_log=error") for n, e in _plain(p).items()}
    steps, names = steps_of(p), "value=time log=log_time error_of_log=error upper upper_error"
    walkers = None if steps else walked(p)
    return {
        "schema": 1,
        "name": p.diffusion.name,
        "equation": p.diffusion.stated_equation,
        "start": getattr(p.start, "text", p.start),
        "targets": [float(t) for t in p.targets],
        "times_of": "diffusion",
        "mean_of_exact_chain": steps and [picked(t, names) for t in steps],
        "mean_of_walkers": walkers and [vars(t) for t in walkers],
        "standard_error_of_log_mean": passage_errors(p),
    } | numbers


def table(p: FirstPassage) -> dict[str, Any]:
    """A row for each start and target; the errors are those of logarithms: relative ones."""
    n, size = len(p.targets), np.size(p.mean.log)
    columns: dict[str, Any] = {
        "start": [getattr(start, "text", start) for start in p.starts] * n,
        "target": np.repeat([float(t) for t in p.targets], size),
    }
    for name, e in _plain(p).items():
        columns |= {name: e.value, f"{name}_error_of_log": e.error}
    if p.diffusion.sample is not None:
        columns["mean_standard_error_of_log"] = _of_logs(p)
    numbers = {k: np.resize(np.ravel(columns[k]).astype(float), n * size) for k in [*columns][2:]}
    return columns | numbers


def figure(p: FirstPassage, sheet: Sheet) -> None:
    """The mean time until the first target, over the start, and the deviation around it."""
    if np.ndim(p.mean.log) != 1 or len(p.mean.log) < 2:
        raise StationaryError(
            f"{p.diffusion.name}: a passage is drawn over its starts, and there is one. Give "
            "several, as in --from -1:1:101 or first_passage(process, np.linspace(-1, 1, 101), 2)."
        )
    mean, deviation = (np.asarray(v, dtype=float) for v in (p.mean.log, p.deviation.log))
    known = np.isfinite(mean)
    even = bool(known.any()) and np.ptp(mean[known]) < 2 * LN10
    ax = sheet.axes(2.4)
    for name, log, colour, line in (
        ("mean", mean, BLUE, "-"),
        ("standard deviation", deviation, RED, "--"),
    ):
        # On a target it is no time at all.
        decades = np.where(np.isfinite(log) | (even & (log < 0)), log, np.nan) / LN10
        y = 10.0**decades if even else decades
        draw_curve(ax, p.start, y, color=colour, ls=line, label=name)
    unit = "steps" if p.diffusion.time_unit == "step" else "time"
    label = f"first passage [{unit}]"
    ax.set(xlim=(np.min(p.start), np.max(p.start)), xscale="linear")
    ax.set_xlabel(f"start {symbol_of(p.diffusion.variable)}")
    ax.set_ylabel(label if even else rf"$\log_{{10}}$ of {label}")
    add_legend(ax)
