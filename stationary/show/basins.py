"""The basins of an analysis, in its report and by themselves, as its lists have them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from stationary import wording as say
from stationary.analysis import Analysis
from stationary.sgd.finite_step import FiniteStep
from stationary.show.answer import centre, mass_text
from stationary.show.headline import chain_text
from stationary.show.layout import MOST_ROWS, Bounds, Line, Report, report, tabulated
from stationary.show.listing import basin_data, basin_table
from stationary.show.sample import OfSample, standard_error_text
from stationary.states.basin import Basin, Basins

table = basin_table


def text(basins: Basins) -> Report:
    if not basins:
        return report({"Basins": ["There are none."]})
    analysis = basins[0].owner
    name = f"Basins of {analysis.diffusion.name}"
    return report({name: basin_lines(analysis.rounded, analysis.shown_sgd)})


def data(basins: Basins) -> dict[str, Any]:
    return {"basins": basin_data(basins)}


def basin_lines(analysis: Analysis, sgd: FiniteStep | None) -> list[Line]:
    """What each basin holds, and what separates it from the others."""
    if not analysis.basins:
        return []
    heaviest = sorted(analysis.basins, key=lambda b: -b.log_mass)[:MOST_ROWS]
    shown = [b for b in analysis.basins if b in heaviest]
    left_out = len(analysis.basins) - len(shown)
    more = [f"and {left_out} lighter ones; --json lists them all."] if left_out else []
    bounds = Bounds()
    shares = _shares(analysis, shown, sgd, bounds)
    return [*shares, *more, *merged(analysis), "", *_heights(analysis, shown, bounds)]


def _shares(
    analysis: Analysis, shown: list[Basin], sgd: FiniteStep | None, bounds: Bounds
) -> list[Line]:
    sample = OfSample(analysis)
    place = sample.place
    mass = "mass" if sgd is None else "mass (limit)"
    header = ("minimum", "std. error", "from", "to", mass, "rel. error", "of SGD")
    rows: list[tuple[str | None, ...]] = []
    whole = []
    for b in shown:
        whole.append((-float(b.log_mass), len(rows)))
        for part, x in (("", b), *(("of which ", part) for part in b.parts[:MOST_ROWS])):
            at = f"{part}{centre(x, place)}{' (wall)' if x.at_wall else ''}"
            own = sample if x is b else sample.parts
            error = standard_error_text(own.of("position", x.position)) if sample else None
            ends = map(place, (x.lower, x.upper), x.border_errors)
            bounds.note("minimum", x.position_error)
            bounds.note("borders", max(x.border_errors))
            held = None
            if sgd is not None:
                near = 1e-9 * (1 + abs(float(x.position)))
                near_it = [s for s in sgd.basins if abs(s.position - float(x.position)) <= near]
                held = chain_text(near_it[0], sample) if near_it else "-"
            rows.append((at, error, *ends, *mass_texts(x, own), held))
    return tabulated(header, rows, [i for _, i in sorted(whole)], spare=True)


def mass_texts(b: Any, sample: OfSample | None = None) -> tuple[str, str]:
    """A mass to the digits that its error leaves, or that of a sample, and the first."""
    return mass_text(b, sample, 9), say.relative_error_text(b.mass_error, b.log_mass)


def _heights(analysis: Analysis, shown: list[Basin], bounds: Bounds) -> list[Line]:
    """Densities, barriers and times to leave; of a landscape, losses, too."""
    sample, is_landscape = OfSample(analysis), analysis.landscape is not None
    interpolated = analysis.diffusion.uncertainty is not None
    place = sample.place
    rows: list[dict[str, Any]] = []
    right = "right" if any(b.barrier_left is not None for b in shown) else "barrier right"
    for b in shown:
        # The highest peaks of the density that are worth a mention.
        peaks = [m for m in b.modes if m.log_density < np.inf] or list(b.modes)
        peaks = sorted(peaks, key=lambda m: -m.log_density)[:2]
        first = peaks[0].log_density if peaks else 0.0
        peaks = [m for m in peaks if m.log_density > first - 7 or m.log_density == first]
        at, of_mode = b.position, sample.of("position", b.position)  # modes move about as much

        def known(column: str, name: str, error: Any, relative: bool = False, b: Basin = b) -> Any:
            of_sample = sample.of(name, b.position)
            return bounds.told(column, getattr(b, name), error, of_sample, relative=relative)

        row = {
            "minimum": f"{place(b.position)}{' (wall)' if b.at_wall else ''}",
            "log P": known("log P", "log_density", b.log_density_error),
            "a": known("a", "variance", b.variance_error, True),
            "barrier left": known("barriers", "barrier_left", b.barrier_error),
            right: known("barriers", "barrier_right", b.barrier_error),
            "exit time": _time(b, sample.of("log_exit_time", at)),
            "P peaks at": ", ".join(place(m.position, m.error, of_mode) for m in peaks) or None,
            "width": known("width", "width", b.width_error, True),
        }
        bounds.note("P peaks at", max((m.error for m in peaks), default=0.0))
        if is_landscape:
            row["loss"] = known("loss", "loss", b.loss_error)
            row["sharpness"] = known("sharpness", "sharpness", b.sharpness_error, True)
            if (x := b.batch_sharpness) is not None:
                of_batch = sample.of("sharpness", at)  # for which it is largest: about as unsure
                # Of interpolated values second derivatives are known to three digits or so.
                x = say.estimate_text(x, 0.0, of_batch, 3 if interpolated else 6)
            row["of a batch"] = x
        rows.append(row)
    told = "Width: the deviation of a small peak there, sqrt(a / (2 |f'|))."
    if is_landscape:
        told += (
            " Loss: the mean one; sharpness: its second derivative, and that of the minibatch "
            f"where it is largest ({'as interpolated' if interpolated else 'to rounding'})."
        )
    timed = [b for b in shown if b.log_exit_time is not None and math.isfinite(b.log_exit_time)]
    timing = ""
    if timed:
        worst = max(timed, key=lambda b: b.exit_time_error)
        unit = f", in {analysis.diffusion.time_unit}s," if is_landscape else ""
        timing = (
            f" Exit time: the mean time{unit} from the minimum to the first border of its basin; "
            f"relative error {say.relative_error_text(worst.exit_time_error, worst.log_exit_time)}."
        )
    barrier = ""
    if any(x is not None for b in shown for x in (b.barrier_left, b.barrier_right)):
        barrier = (
            " Barrier: how far the exponent (the integral of 2 f / a over "
            f"{analysis.diffusion.variable}) falls from the minimum to the unstable neighbour."
        )
    # One minimum alone has no barriers and is never left.
    return [
        *tabulated(rows[0], [row.values() for row in rows], spare=True),
        "log P: natural logarithm of the density at the minimum; a: the variance there."
        f"{barrier}{timing}",
        told,
        bounds.sentence,
    ]


def _time(b: Basin, of_sample: float = 0.0) -> str | None:
    """The time to leave, to the digits that its error leaves, or that of a sample."""
    if b.log_exit_time is None:
        return None
    log, error = float(b.log_exit_time), float(b.exit_time_error)
    if not say.is_known(error, log):
        return "not known"
    return say.time_text(log, error, 6, of_sample)


def merged(analysis: Analysis) -> list[Line]:
    """How many minima count together, and why."""
    merged = [b.parts for b in analysis.basins if b.parts]
    if not merged:
        return []
    hidden = sum(max(len(parts) - MOST_ROWS, 0) for parts in merged)
    more = f" {hidden} more of them are in --json." if hidden else ""
    into = "one basin" if len(merged) == 1 else f"{len(merged)} basins"
    return [
        f"{sum(map(len, merged))} minima were merged into {into}: what separates them is less than "
        f"{analysis.min_barrier:g} in the exponent (--min-barrier 0 keeps them apart).{more}"
    ]
