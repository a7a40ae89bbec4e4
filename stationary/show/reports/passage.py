"""What is reached first, and when, for a person."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from stationary.show.layout import Line, report, table
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
    flat = [np.ravel(e) for e in (p.mean.log, p.mean.error, p.variance.log)]
    chance = [np.reshape(e, (len(p.targets), -1)) for e in (p.probability.log, p.probability.error)]
    given = np.reshape(p.conditional_mean.log, (len(p.targets), -1))
    rows = []
    for i, name in enumerate(names[:MOST_ROWS]):
        for k, target in enumerate(p.targets):
            log_p, by = (float(c[k, i]) for c in chance)
            rows.append(
                (
                    name,
                    f"{float(target):g}",
                    probability_text(log_p, digits_left(by, 9)),
                    relative_error_text(by, log_p),
                    "-" if math.isnan(float(given[k, i])) else time_text(float(given[k, i])),
                    *_overall(k, *(float(f[i]) for f in flat)),
                )
            )
    header = ("from", "to", "probability", "error", "mean time then")
    lines = table((*header, "mean time", "error of it", "deviation"), rows)
    if len(names) > MOST_ROWS:
        lines.append(f"and {len(names) - MOST_ROWS} more starts; --json lists them all.")
    lines.append("Errors are relative. Mean time then: given that this target is the first.")
    return lines


def _overall(k: int, log_mean: float, error: float, log_variance: float) -> tuple[Any, ...]:
    """What does not depend on which target is the first, on the first of the rows."""
    if k:
        return ("", "", "")
    shown = error_text(error) if math.isfinite(log_mean) else "-"
    return time_text(log_mean), shown, time_text(log_variance / 2)
