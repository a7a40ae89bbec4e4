"""What a person reads of a sweep: which minimum dominates where, and what was lost."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from stationary.show.layout import Line, report, table
from stationary.wording import error_text, known_text, probability_text

if TYPE_CHECKING:
    from stationary.questions.sweeps.sweep import Crossover, Row, Sweep

__all__ = ["text"]

MOST_ROWS = 20  # of a table
MOST_REASONS = 5


def text(sweep: Sweep) -> str:
    """The grid, the minima, the crossovers and the failures; 80 columns."""
    sections = [
        (sweep.name, [_grid(sweep), *_stopped(sweep)]),
        ("Minima", _minima(sweep)),
        ("Where the dominant minimum changes", _crossovers(sweep)),
        ("What else was asked for", _quantities(sweep)),
        ("What is missing", _reasons(sweep)),
        ("How far to trust this", _trust(sweep)),
    ]
    return report(sections)


def _grid(sweep: Sweep) -> str:
    total = math.prod(len(v) for v in sweep.axes.values())
    axes = "; ".join(_axis(name, values) for name, values in sweep.axes.items())
    return f"{total} point{'' if total == 1 else 's'}: {axes}."


def _axis(name: str, values: Sequence[Any]) -> str:
    if len(values) > 6:
        return f"{name} with {len(values)} values from {values[0]:.6g} to {values[-1]:.6g}"
    return f"{name} = {', '.join(value_text(v) for v in values)}"


def value_text(value: Any) -> str:
    """A value of an axis."""
    return str(value) if isinstance(value, bool) else f"{value:.6g}"


def _stopped(sweep: Sweep) -> list[Line]:
    if sweep.complete:
        return []
    n = len(sweep.rows)
    return [f"Not complete: {sweep.stopped} when {n} point{' was' if n == 1 else 's were'} done."]


def _minima(sweep: Sweep) -> list[Line]:
    if not sweep.labels:
        return []
    data = sweep.table()
    wins = Counter(data["dominant"].tolist())
    deviations = data["std"][np.isfinite(data["std"])]
    scale = float(deviations.max(initial=0.0))
    rows = []
    for label in sweep.labels[:MOST_ROWS]:
        here = sweep.kinds[label] != ""
        kinds = sorted(set(sweep.kinds[label][here]))
        logs = data[f"log_mass_{label}"]
        logs = logs[here & ~np.isnan(logs)]
        ends = (float(logs.min()), float(logs.max())) if len(logs) else None
        least, most = ("", "") if ends is None else map(probability_text, ends)
        where = data[f"position_{label}"][here]
        rows.append(
            (
                str(label),
                _span(float(where.min()), float(where.max()), scale),
                " or ".join(kinds),
                least,
                most,
                str(wins[label]),
            )
        )
    lines = table(
        ("", "at", "kind", "least mass", "most mass", "points where most"),
        rows,
    )
    if len(sweep.labels) > MOST_ROWS:
        lines.append(f"{len(sweep.labels) - MOST_ROWS} more are not listed.")
    undecided = wins[-1] - int((~sweep.has_numbers).sum())
    if undecided > 0:
        many = "1 point" if undecided == 1 else f"{undecided} points"
        lines.append(f"At {many} none dominates, or that is not known.")
    return lines


def _span(low: float, high: float, scale: float) -> str:
    # What is far below any width is rounding.
    a, b = (f"{x:.6g}" if abs(x) > 1e-13 * scale else "0" for x in (low, high))
    return a if a == b else f"{a} to {b}"


def _crossovers(sweep: Sweep) -> list[Line]:
    found = [c for c in sweep.crossovers if not c.reason]
    lines: list[Line] = []
    if found:
        axis = found[0].axis
        fixed = [name for name in sweep.swept if name != axis]
        rows = [
            (
                *(value_text(c.fixed[name]) for name in fixed),
                known_text(c.value, c.error, 12),
                error_text(c.error),
                str(c.below),
                str(c.above),
                probability_text(c.log_mass, 4),
            )
            for c in found[:MOST_ROWS]
        ]
        lines = table((*fixed, axis, "error", "below", "above", "both hold"), rows)
        lines.append(
            f"Below and above that {axis.replace('_', ' ')}, these minima hold most; at it, both "
            "the same."
        )
    lost = [c for c in sweep.crossovers if c.reason]
    lines += [_lost(sweep, c) for c in lost[:MOST_REASONS]]
    more = max(len(found) - MOST_ROWS, 0) + max(len(lost) - MOST_REASONS, 0)
    if more:
        lines.append(f"{more} more are in the JSON (--json) and in the figure (--plot).")
    return lines


def _lost(sweep: Sweep, c: Crossover) -> str:
    fixed = ", ".join(
        f"{name} = {value_text(v)}" for name, v in c.fixed.items() if name in sweep.swept
    )
    low, high = c.between
    return (
        f"{f'At {fixed}: ' if fixed else ''}minimum {c.below} below and minimum {c.above} above, "
        f"somewhere between {c.axis} = {low:.6g} and {high:.6g}: {c.reason}."
    )


def _quantities(sweep: Sweep) -> list[Line]:
    """The range of each quantity, and its largest error."""
    data = sweep.table()
    rows = []
    for name in sweep.quantities:
        for column in (name, *(f"{name}_{label}" for label in sweep.labels)):
            values = data.get(column, np.empty(0))
            known = values[np.isfinite(values)]
            if not len(known):
                continue
            errors = data[f"{column}_error"]
            errors = errors[np.isfinite(errors)]
            worst = error_text(float(errors.max())) if len(errors) else "not known"
            ends = (known_text(x, 0, 6) for x in (known.min(), known.max()))
            rows.append((column, *ends, worst, f"{len(known)}"))
    return table(("", "least", "most", "largest error", "points"), rows) if rows else []


def _reasons(sweep: Sweep) -> list[Line]:
    groups: dict[str, list[int]] = {}
    reasons = sweep.table()["reason"]
    for i in np.flatnonzero(reasons != "").tolist():
        groups.setdefault(reasons[i], []).append(i)
    order = sorted(groups, key=lambda reason: -len(groups[reason]))
    lines: list[Line] = []
    for reason in order[:MOST_REASONS]:
        n = len(groups[reason])
        which = "1 point" if n == 1 else f"{n} points, the first"
        where = _where(sweep, sweep.rows[groups[reason][0]])
        lines.append(f"{which}{f' at {where}' if where else ''}: {reason.rstrip('.')}.")
    if len(order) > MOST_REASONS:
        rest = sum(len(groups[r]) for r in order[MOST_REASONS:])
        lines.append(f"{rest} more points have other reasons: see the table (--csv).")
    return lines


def _where(sweep: Sweep, row: Row) -> str:
    values = {
        "learning_rate": row.learning_rate,
        "batch_size": row.batch_size,
        "replacement": row.replacement,
    } | dict(row.parameters)
    return ", ".join(f"{name} = {value_text(values[name])}" for name in sweep.swept)


def _trust(sweep: Sweep) -> list[Line]:
    data = sweep.table()
    known = ~np.isnan(data["error"])
    if not known.any():
        return []
    worst = float(data["error"][known].max())
    # Of the mass itself or, where that is known by its logarithm only, of the logarithm.
    light = []
    for label in sweep.labels:
        log_mass, error = data[f"log_mass_{label}"], data[f"mass_error_{label}"]
        held = np.isfinite(log_mass) & (error >= 0)
        if held.any():
            light.append(float((error[held] / np.maximum(1.0, np.abs(log_mass[held]))).max()))
    lines = [f"The densities are right to {error_text(worst)} of themselves where the mass is."]
    if "learning_rate" in sweep.axes:
        lines.append(
            "All this is the limit of small steps. What the steps of SGD make of one of these "
            "points says `stationary analyze`."
        )
    if light:
        lines.append(
            f"The mass of each minimum, however light, is right to {error_text(max(light))} of "
            "itself, or of its logarithm where that is large."
        )
    rough = int((data["status"] == "panel_limit").sum())
    if rough:
        lines.append(
            f"At {rough} points the panel limit was reached: name the kinks or jumps as "
            "breakpoints."
        )
    return lines
