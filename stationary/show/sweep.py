"""A sweep for a person: which minimum dominates where, and what was lost; and its rows as data."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

import numpy as np

from stationary import wording as say
from stationary.aliases import Array
from stationary.errors import LandscapeError
from stationary.result import plain
from stationary.show.layout import MOST_ROWS, Line, Report, first_of, report, rows_of, tabulated
from stationary.show.sample import standard_error_text
from stationary.sweeps.arrhenius import rate_of
from stationary.sweeps.sweep import Crossover, Sweep, from_sample
from stationary.wording import MOST_NAMED, SUFFIX

DRAWN = 2  # axes, the last ones


def text(sweep: Sweep) -> Report:
    """The grid, the minima, the crossovers and the failures."""
    return report(
        {
            sweep.name: _grid(sweep),
            "Minima": _minima(sweep),
            "Where the dominant minimum changes": _crossovers(sweep),
            "What else was asked for": _quantities(sweep),
            "How times grow as noise falls": _activations(sweep),
            "What is missing": _reasons(sweep),
            "How far to trust this": _trust(sweep),
        }
    )


def sliced(sweep: Sweep, at: Mapping[str, Any]) -> tuple[Sweep, list[str]]:
    """What is drawn: all but the last two axes at one value, given or the first; and which."""
    free = [name for name in sweep.swept if name not in at]
    chosen = {name: sweep.axes[name][0] for name in free[:-DRAWN]} | dict(at)
    axes, keep, places = dict(sweep.axes), np.ones(len(sweep.numbers), bool), sweep.places.copy()
    for name, value in chosen.items():
        values = sweep.axes.get(name, ())
        same = [k for k, v in enumerate(values) if v == value or value_text(v) == value_text(value)]
        if not same:
            what, known = ("values of " + name, values) if values else ("axes", sweep.swept)
            raise LandscapeError(
                f"{sweep.name}: at = {dict(at)!r:.60} is not where it was swept. The {what} are "
                f"{', '.join(map(value_text, known[:MOST_ROWS]))}."
            )
        k = list(axes).index(name)
        axes[name], keep = (values[same[0]],), keep & (places[:, k] == same[0])
        places[:, k] = 0
    shape = [len(values) for values in axes.values()]
    kinds = {label: kind[keep] for label, kind in sweep.kinds.items()}
    told = [f"{n} = {value_text(v)}" for n, v in chosen.items() if n in sweep.swept]
    return replace(
        sweep,
        axes=axes,
        data={name: column[keep] for name, column in sweep.data.items()},
        kinds={label: kind for label, kind in kinds.items() if (kind != "").any()},
        numbers=np.ravel_multi_index(tuple(places[keep].T), shape),
        crossovers=tuple(
            c
            for c in sweep.crossovers
            if all(n != c.axis and c.fixed.get(n) in (None, axes[n][0]) for n in chosen)
        ),
    ), told


def _points(n: int) -> str:
    return f"{n} point{'' if n == 1 else 's'}"


def _grid(sweep: Sweep) -> list[Line]:
    axes = [
        f"{name} with {len(values)} values from {values[0]:.6g} to {values[-1]:.6g}"
        if len(values) > 6
        else f"{name} = {', '.join(map(value_text, values))}"
        for name, values in sweep.axes.items()
    ]
    lines = [f"{_points(math.prod(map(len, sweep.axes.values())))}: {'; '.join(axes)}."]
    if rest := sweep.swept[:-DRAWN]:
        at, name = say.joined([f"{n} = {value_text(sweep.axes[n][0])}" for n in rest]), rest[0]
        lines.append(
            f"A figure goes over {say.joined(sweep.swept[-DRAWN:])}, at {at}: for another value "
            f'give plot(at={{"{name}": ...}}) in Python, or sweep with that {name} alone.'
        )
    if not sweep.complete:
        n = len(sweep.rows)
        were = "was" if n == 1 else "were"
        lines.append(f"Not complete: {sweep.stopped} when {_points(n)} {were} done.")
    if lost := int((~sweep.has_numbers).sum()):
        lines.append(f"{lost} of them {'has' if lost == 1 else 'have'} no answer.")
    return lines


def value_text(value: Any) -> str:
    """A value of an axis."""
    return str(value) if isinstance(value, (bool, str)) else f"{value:.6g}"


def _minima(sweep: Sweep) -> list[Line]:
    columns = sweep.table()
    wins = Counter(columns["dominant"].tolist())
    deviations = columns["std"][np.isfinite(columns["std"])]
    scale = float(deviations.max(initial=0.0))
    labels, more = first_of(sweep.labels, "{n} more are not listed.")
    none = np.full(len(sweep.rows), np.nan)
    rows = []
    for label in labels:
        here = sweep.kinds[label] != ""
        logs, where = (columns[f"{n}_{label}"][here] for n in ("log_mass", "position"))
        of_log, of_mass, of_place = (
            columns.get(f"{n}{SUFFIX}_{label}", none)[here]
            for n in ("log_mass", "mass", "position")
        )
        # What is far below any width is rounding.
        ends = [
            say.estimate_text(where[i], 0, of_place[i], 6) if abs(where[i]) > 1e-13 * scale else "0"
            for i in (int(where.argmin()), int(where.argmax()))
        ]
        known = np.flatnonzero(~np.isnan(logs))
        extremes = known[[logs[known].argmin(), logs[known].argmax()]] if len(known) else ()
        held = [say.sampled_share_text(float(logs[i]), of_mass[i], of_log[i]) for i in extremes]
        rows.append(
            (
                str(label),
                " to ".join(dict.fromkeys(ends)),
                " or ".join(sorted(set(sweep.kinds[label][here]))),
                *(held or ("", "")),
                str(wins[label]),
            )
        )
    header = ["", "at", "kind", "least mass", "most mass", "dominates at"]
    there = [sweep.kinds[label][sweep.has_numbers] != "" for label in labels]
    if not np.all(there):
        header.append("there")
        more = ["There: at how many points it is a minimum.", *more]
        rows = [(*row, str(int(own.sum()))) for row, own in zip(rows, there, strict=True)]
        more += _merged(sweep)
    undecided = wins[-1] - int((~sweep.has_numbers).sum())
    if rows and undecided > 0:
        more.append(f"At {_points(undecided)} none dominates, or that is not known.")
    return [*tabulated(header, rows), *more]


def _merged(sweep: Sweep) -> list[str]:
    """Which minima are one where they are not two, and change names there without a jump."""
    there = np.array([sweep.kinds[label] != "" for label in sweep.labels])
    at = {tuple(place): n for n, place in enumerate(sweep.places.tolist())}
    pairs: dict[tuple[int, int], None] = {}
    for place, n in at.items():
        for axis in range(len(place)):
            m = at.get((*place[:axis], place[axis] + 1, *place[axis + 1 :]))
            if m is None:
                continue
            gone, come = (np.flatnonzero(there[:, i] & ~there[:, k]) for i, k in ((n, m), (m, n)))
            if len(gone) == len(come):
                both = zip(np.minimum(gone, come).tolist(), np.maximum(gone, come), strict=True)
                pairs |= {(a, int(b)): None for a, b in both if (there[a] & there[b]).any()}
    said = [
        f"Minima {sweep.labels[a]} and {sweep.labels[b]} are two at "
        f"{_points(int((there[a] & there[b]).sum()))}. Elsewhere they are one, or one of them is "
        "not there: what is left has the name of the nearer one, and changes it on the way from "
        "one to the other, which is no crossover."
        for a, b in sorted(pairs)
    ]
    return said[:MOST_NAMED]


def _crossovers(sweep: Sweep) -> list[Line]:
    found = [c for c in sweep.crossovers if not c.reason]
    lost = [c for c in sweep.crossovers if c.reason]
    lines: list[Line] = []
    if found:
        axis, sampled = found[0].axis, from_sample(sweep.process)
        fixed = [name for name in sweep.swept if name != axis]
        rows = [
            (
                *(value_text(c.fixed[name]) for name in fixed),
                say.estimate_text(c.value, c.error, c.standard_error, 12),
                say.error_text(c.error),
                standard_error_text(c.standard_error) if sampled else None,
                str(c.below),
                str(c.above),
                say.probability_text(c.log_mass, 4),
            )
            for c in found[:MOST_ROWS]
        ]
        header = (*fixed, axis, "error", "std. error", "below", "above", "both hold")
        lines = tabulated(header, rows, spare=True)
        lines.append(
            f"Below and above that {axis.replace('_', ' ')}, these minima hold most; at it, both "
            "the same."
        )
    lines += [_lost(sweep, c) for c in lost[:MOST_NAMED]]
    more = max(len(found) - MOST_ROWS, 0) + max(len(lost) - MOST_NAMED, 0)
    if more:
        lines.append(f"{more} more are in the JSON (--json) and in the figure (--plot).")
    return lines


def _lost(sweep: Sweep, c: Crossover) -> str:
    fixed, (low, high) = _place(sweep, c.fixed), c.between
    return (
        f"{f'At {fixed}: ' if fixed else ''}minimum {c.below} below and minimum {c.above} above, "
        f"somewhere between {c.axis} = {low:.6g} and {high:.6g}: {c.reason}."
    )


def _place(sweep: Sweep, values: Any) -> str:
    """Where a point is, by what was swept."""
    return ", ".join(f"{n} = {value_text(values[n])}" for n in sweep.swept if n in values)


def _quantities(sweep: Sweep) -> list[Line]:
    """The range of each quantity, and its largest error."""
    columns, sampled = sweep.table(), from_sample(sweep.process)
    rows = []
    for name in sweep.quantities:
        for column in (name, *(f"{name}_{label}" for label in sweep.labels)):
            values = columns.get(column, np.empty(0))
            known = values[np.isfinite(values)]
            if not len(known):
                continue
            of_each = np.nan_to_num(columns[f"{column}_error"], posinf=0.0)
            worst = say.error_text(_largest(columns[f"{column}_error"]))
            of_sample = columns.get(f"{column}{SUFFIX}", np.full(len(values), np.nan))
            at = [int(np.nanargmin(f)) for f in (values, -values)]
            ends = (say.estimate_text(values[i], of_each[i], of_sample[i], 6) for i in at)
            sure = standard_error_text(_largest(of_sample)) if sampled else None
            rows.append((column, *ends, worst, sure, f"{len(known)}"))
    header = ("quantity", "least", "most", "largest error", "largest std. error", "points")
    return tabulated(header, rows, spare=True)


def _largest(errors: Array) -> float:
    """The largest of those that are known; nan of none."""
    known = errors[np.isfinite(errors)]
    return float(known.max()) if len(known) else math.nan


def _activations(sweep: Sweep) -> list[Line]:
    """The slope of each minimum's exit time in an Arrhenius plot."""
    found, more = first_of(sweep.activations, "{n} more are in the JSON (--json).")
    if not found:
        return []
    names, sampled = list(found[0].fixed), from_sample(sweep.process)
    rows = [
        (
            *(value_text(a.fixed[n]) for n in names),
            str(a.label),
            say.estimate_text(a.slope, a.error, np.nan_to_num(a.standard_error)),
            say.error_text(a.error),
            standard_error_text(a.standard_error) if sampled else None,
        )
        for a in found
    ]
    header = (*names, "minimum", "activation", "error", "std. error")
    lines = tabulated(header, rows, spare=True) + more
    rate = rate_of(sweep.swept).replace("_", " ")
    steps = f" / {rate}" if rate == "learning rate" else ""
    lines.append(
        f"The time to leave a minimum goes as exp(activation / {rate}){steps}, as the {rate} falls "
        "(Kramers)."
    )
    return lines


def _reasons(sweep: Sweep) -> list[Line]:
    groups: dict[str, list[int]] = {}
    reasons = sweep.table()["reason"]
    for i in np.flatnonzero(reasons != "").tolist():
        groups.setdefault(reasons[i], []).append(i)
    order = sorted(groups, key=lambda reason: -len(groups[reason]))
    lines: list[Line] = []
    for reason in order[:MOST_NAMED]:
        n = len(groups[reason])
        which = "1 point" if n == 1 else f"{n} points, the first"
        first = sweep.rows[groups[reason][0]]
        where = _place(sweep, vars(first) | dict(first.parameters))
        lines.append(f"{which}{f' at {where}' if where else ''}: {reason.rstrip('.')}.")
    if len(order) > MOST_NAMED:
        rest = sum(len(groups[r]) for r in order[MOST_NAMED:])
        lines.append(f"{rest} more points have other reasons: see the table (--csv).")
    return lines


def _trust(sweep: Sweep) -> list[Line]:
    columns = sweep.table()
    known = ~np.isnan(columns["error"])
    if not known.any():
        return []
    # Of the mass itself or, where that is known by its logarithm only, of the logarithm.
    light = []
    for label in sweep.labels:
        log_mass, error = columns[f"log_mass_{label}"], columns[f"mass_error_{label}"]
        held = np.isfinite(log_mass) & (error >= 0)
        if held.any():
            size = np.maximum(1.0, np.abs(log_mass))
            light.append(np.where(held, error, np.nan) / np.where(held, size, 1.0))
    lines = [_right("The densities are", columns["error"][None], "of themselves where the mass is")]
    if getattr(sweep.process, "adaptive", False):
        lines.append("All this is approximate, of Adam as SGD at one learning rate: see `analyze`.")
    elif "learning_rate" in sweep.axes:
        lines.append(
            "All this is the limit of small steps. What the steps of SGD make of one of these "
            "points says `stationary analyze`."
        )
    if light:
        of = "of itself, or of its logarithm where that is large"
        lines.append(_right("The mass of each minimum, however light, is", np.array(light), of))
    if from_sample(sweep.process):
        lines.append(_of_sample(sweep))
    absent = [q for q in sweep.quantities if not told_anywhere(columns, q)]
    if absent:
        lines.append(
            f"Asked for and known at no point: {say.joined(absent)}. A minimum that is alone has "
            "no border to leave by and no barrier; currents are those of rings."
        )
    rough = int((columns["status"] == "panel_limit").sum())
    if rough:
        lines.append(
            f"At {_points(rough)} the panel limit was reached: name the kinks or jumps as "
            "breakpoints."
        )
    return lines


def told_anywhere(columns: Mapping[str, Any], quantity: str) -> bool:
    """Whether a quantity that was asked for has a value at any point."""
    own = (v for n, v in columns.items() if n == quantity or n.startswith(f"{quantity}_"))
    return any(v.dtype.kind != "f" or np.isfinite(v).any() for v in own)


def _right(what: str, errors: Array, of: str) -> str:
    """The largest error that is known, and at how many points (columns) one is not: inf."""
    sure, lost = errors[np.isfinite(errors)], int(np.isposinf(errors).any(0).sum())
    if not len(sure):
        return f"{what} right to an error that is not known."
    rest = f" At {_points(lost)} that error is not known." if lost else ""
    return f"{what} right to {say.error_text(sure.max())} {of}.{rest}"


def _of_sample(sweep: Sweep) -> str:
    """What a sample leaves unsure, and where that is told."""
    columns = sweep.table()
    names = [f"log_mass{SUFFIX}_{label}" for label in sweep.labels]
    known = [
        f"{standard_error_text(_largest(columns[n]))} (minimum {n.rpartition('_')[2]})"
        for n in names
        if np.isfinite(columns[n]).any()
    ]
    told = "where they are not known, as of several classes or around rings, they are empty"
    lacking = any(math.isnan(a.standard_error) for a in sweep.activations)
    told += "; some activations have none" * lacking
    said = f"that of ln mass is at most {say.joined(known)}; " if known else ""
    return (
        "Drift and variance were estimated from a sample: what that leaves unsure is in none of "
        f"these errors. Columns {SUFFIX[1:]} have its standard errors: {said}{told}."
    )


def table(sweep: Sweep) -> dict[str, Any]:
    """The columns of `Sweep.table`; what does not exist is None."""
    columns: dict[str, Any] = sweep.table()
    return columns | {"dominant": [None if v < 0 else v for v in columns["dominant"].tolist()]}


def data(sweep: Sweep) -> dict[str, Any]:
    columns = {name: plain(values) for name, values in table(sweep).items()}
    return {
        "schema": 1,
        "name": sweep.name,
        "complete": sweep.complete,
        "stopped": sweep.stopped or None,
        "axes": {name: list(values) for name, values in sweep.axes.items()},
        "columns": list(columns),
        "rows": rows_of(" ".join(columns), *columns.values()),
        "activations": [asdict(a) | {"rows": list(a.rows)} for a in sweep.activations],
        "crossovers": [asdict(c) | {"reason": c.reason or None} for c in sweep.crossovers],
    }
