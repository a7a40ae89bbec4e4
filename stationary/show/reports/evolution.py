"""An evolution as text, as plain numbers, and as a table."""

from __future__ import annotations

import math
import textwrap
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stationary.evolution.evolution import Evolution
from stationary.wording import error_text, time_text, to_error

__all__ = ["text"]

Array = NDArray[Any]

WIDTH = 80
ROWS = 51  # of the table, at most
ATOMS = 2  # that have a column
UNKNOWN = (
    "Unknown: so much of it comes from so far out, where hardly any probability is, that it cannot "
    "be had from cells."
)
MOST_CUTS = 9  # between which probabilities are listed


def text(e: Evolution) -> str:
    """The evolution as a table and a few sentences; 80 columns."""
    d = e.diffusion
    v, unit = d.variable, d.time_unit
    lines = textwrap.wrap(
        f"{d.name}: from {e.initial.text}, to {_at(e.times[-1], unit)}",
        WIDTH,
        break_on_hyphens=False,
    )
    lines.append("")
    lines += [*_filled(_answer(e)), ""]
    shown = e.atoms[:ATOMS]
    header = [unit, f"mean of {v}", "error", "deviation", "error"]
    to_end = e.total_variation_to_end
    if to_end is not None:
        header += ["to the end"]
    header += [f"at {a.position:.4g}" for a in shown]
    worst = max(float(e.mass_error.max()), 1e-12)
    weights = [max(float(a.errors.max()), 1e-12) for a in shown]
    rows = []
    for k in _rows(len(e.times)):
        row = [f"{e.times[k]:.6g}"]
        row += [to_error(e.mean[k], e.mean_error[k]), error_text(e.mean_error[k])]
        row += [to_error(e.std[k], e.std_error[k]), error_text(e.std_error[k])]
        if to_end is not None:
            row.append(_share(to_end[k], worst))
        row += [_share(a.weights[k], by) for a, by in zip(shown, weights, strict=True)]
        rows.append(row)
    widths = [max(len(r[i]) for r in [header, *rows]) for i in range(len(header))]
    lines += [
        "  " + "  ".join(c.rjust(w) for c, w in zip(r, widths, strict=True))
        for r in [header, *rows]
    ]
    if len(rows) < len(e.times):
        lines += [
            "",
            *_filled(
                f"{len(rows)} of the {len(e.times)} times are shown; --table FILE writes all "
                "(to_frame() in Python)."
            ),
        ]
    if to_end is not None:
        lines += [
            "",
            *_filled('"to the end": the total-variation distance to the end state' + _bound(e)),
        ]
    if not np.isfinite(e.std).all():
        lines += ["", *_filled(UNKNOWN)]
    lines += _shares(e)
    lines += ["", "How far to trust this", *_filled(_trust(e))]
    for note in e.notes:
        lines += _filled(note[:1].upper() + note[1:])
    return "\n".join(line.rstrip() for line in lines)


def _shares(e: Evolution) -> list[str]:
    """The probability between barriers and gates at the last time, where there are several."""
    v = e.diffusion.variable
    found = e.end_state.anatomy
    cuts = [float(x.position) for x in found.equilibria if not x.stable]
    cuts += [float(x) for p in found.points for x in (p.lower, p.upper)]
    low, high = float(e.edges[0]), float(e.edges[-1])
    inner = sorted({x for x in cuts if low < x < high})
    if not 1 <= len(inner) <= MOST_CUTS:
        return []
    lines = ["", f"Where it is at {_at(e.times[-1], e.diffusion.time_unit)}"]
    for a, b in pairwise([low, *inner, high]):
        share = _share(float(e.probability(a, b)[-1]), 2 * float(e.error[-1]))
        lines.append(f"  {v} from {a:.6g} to {b:.6g}: {share}")
    return lines


def _at(t: float, unit: str) -> str:
    return f"{unit} {t:g}"


def _no_gap(e: Evolution) -> str:
    if e.total_variation_to_end is None:
        return "There is no relaxation time: not all of the probability settles."
    return (
        "There is no relaxation time: times have no longest one (an end that is never reached), or "
        "the drift alone decides."
    )


def _in(unit: str) -> str:
    return "" if unit == "time" else f" {unit}s"


def _rows(count: int) -> list[int]:
    """At most `ROWS` of the times, evenly spread, the last among them."""
    return list(range(count - 1, -1, -math.ceil(count / ROWS)))[::-1]


def _bound(e: Evolution) -> str:
    if e.end_is_resolved:
        return "."
    return (
        " as far as cells show it. Most of the end state is within one cell, so that it could be "
        "larger, up to 1."
    )


def _share(value: float, error: float) -> str:
    """A probability; none where its error is most of what it could be."""
    return "unknown" if error >= 0.5 else to_error(value, error)


def _answer(e: Evolution) -> str:
    unit = e.diffusion.time_unit
    words = []
    if e.log_relaxation_time is None:
        words.append(_no_gap(e))
    elif math.isinf(e.log_relaxation_time):
        words.append("Some wells are never left, even on a logarithmic scale of times: metastable.")
    elif e.relaxation_error is not None:
        time, error = time_text(e.log_relaxation_time), error_text(e.relaxation_error)
        if abs(e.log_relaxation_time) < 20:
            time = to_error(
                math.exp(e.log_relaxation_time),
                math.exp(e.log_relaxation_time) * max(e.relaxation_error, 1e-15),
            )
        words.append(f"Relaxation time (1 / spectral gap): {time} {unit} (relative error {error}).")
    to_end = e.total_variation_to_end
    if to_end is None:
        words.append("There is no end state that all of the probability goes to.")
    else:
        left = _share(to_end[-1], max(e.mass_error[-1], 1e-12))
        known = e.mass_error[-1] < 0.5
        least = "at least " if known and not e.end_is_resolved else ""
        words.append(f"At {_at(e.times[-1], unit)} the distance to the end state is {least}{left}.")
        if known and to_end[-1] > 0.01:
            words.append("The end state has not been reached: this is a state on the way.")
    return " ".join(words)


def _trust(e: Evolution) -> str:
    worst = error_text(float(e.error.max()))
    time = error_text(float(e.time_error.max()))
    words = (
        f"{e.cells} cells, corrected by grids of up to {e.finest}. Probabilities below an edge "
        f"are right to {worst}, of which {time} is from the steps in time."
    )
    if not e.finest:
        words = (
            "The drift carries the start faster than noise spreads it: each point of it was "
            "followed in its own frame, and no cells were needed. Probabilities are right to "
            f"{worst}."
        )
    if not e.converged:
        words += f" The tolerance of {e.tolerance:g} was not reached: take more cells."
    return words


def _filled(sentence: str) -> list[str]:
    return textwrap.wrap(
        sentence,
        WIDTH,
        initial_indent="  ",
        subsequent_indent="  ",
        break_long_words=False,
        break_on_hyphens=False,
    )
