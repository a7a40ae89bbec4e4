"""What is reached first, and when, for a person."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from stationary.show.layout import Line, report, table
from stationary.states.estimate import Estimate
from stationary.states.first_passage import FirstPassage
from stationary.wording import (
    digits_left,
    error_text,
    probability_text,
    relative_error_text,
    time_text,
)

__all__ = ["text"]

MOST_ROWS = 30


def text(p: FirstPassage) -> str:
    """Probabilities and mean times, each with its error; 80 columns."""
    d = p.diffusion
    targets = " or ".join(f"{d.variable} = {float(t):g}" for t in p.targets)
    unit = "steps" if d.time_unit == "step" else "the unit of the drift"
    first = f"How soon {targets} is reached; times in {unit}. {d.stated_equation}."
    return report([(d.name, [first]), ("First passage", _rows(p))])


def _rows(p: FirstPassage) -> list[Line]:
    starts = np.ndim(p.mean.log) > 0
    names = (
        [f"{float(x):.6g}" for x in np.ravel(p.start)]
        if starts
        else [getattr(p.start, "text", f"{p.start}")]
    )

    def listed(e: Estimate) -> list[Any]:
        return [np.reshape(v, (len(p.targets), -1)) for v in (e.log, e.error)]

    chance, given, near = map(listed, (p.probability, p.conditional_mean, p.approached))
    most = p.digits or 9
    rows, creeps = [], []
    for i, name in enumerate(names[:MOST_ROWS]):
        for k, target in enumerate(p.targets):
            (log_p, by), (log_time, off), (log_near, near_off) = (
                (e[0][k, i], e[1][k, i]) for e in (chance, given, near)
            )
            then = "-"
            if not math.isnan(float(log_time)):
                then = time_text(log_time, off, p.digits or 6)
            rows.append(
                (
                    name,
                    f"{float(target):g}",
                    probability_text(log_p, digits_left(by, most)),
                    relative_error_text(by, log_p),
                    then,
                    *(("", "", "") if k else _overall(p, i)),
                )
            )
            if log_near > -math.inf:
                chance_text = probability_text(log_near, digits_left(near_off, most))
                creeps.append(
                    f"From {name} the process comes ever closer to {float(target):g}, without "
                    f"ever reaching it, with probability {chance_text}."
                )
    header = ("from", "to", "probability", "error", "mean time then")
    lines = table((*header, "mean time", "error of it", "deviation"), rows)
    if len(names) > MOST_ROWS:
        lines.append(f"and {len(names) - MOST_ROWS} more starts; --json lists them all.")
    lines.append("Errors are relative. Mean time then: given that this target is the first.")
    return lines + creeps


def _overall(p: FirstPassage, i: int) -> tuple[str, str, str]:
    """The mean time from the i-th start, whichever the target; its error; the deviation."""
    known = (p.mean.log, p.mean.error, p.variance.log, p.variance.error)
    log_mean, error, log_variance, off = (np.ravel(e)[i] for e in known)
    shown = error_text(error) if math.isfinite(float(log_mean)) else "-"
    most = p.digits or 6
    return time_text(log_mean, error, most), shown, time_text(log_variance / 2, off, most)
