"""How a simulation is told, listed and drawn."""

from __future__ import annotations

from typing import Any

import numpy as np

from stationary import wording as say
from stationary.show.drawing import BLUE, INK, Sheet, symbol_of
from stationary.show.layout import Line, Report, report, tabulated
from stationary.simulation.result import Simulation


def text(s: Simulation) -> Report:
    """The averages, where the walkers were, and whether they are to be believed."""
    steps = f"{s.steps_done:,} step{'s' * (s.steps_done != 1)} after {s.burn_in:,} of burn-in"
    verdict = f"{s.ending.name.lower().replace('_', ' ')}: {s.ending.value}"
    return report(
        {
            f"Simulation of {s.name}": [
                f"{s.method}: {s.walkers:,} walkers, {steps}.",
                say.sentence(verdict),
            ],
            "Averages": _averages(s),
            "Where they were": _places(s),
            "How far to trust this": list(map(say.sentence, (*s.reasons, *s.notes))),
        }
    )


def _averages(s: Simulation) -> list[Line]:
    v = s.variable
    inside = [f"P({low:g} <= {v} <= {high:g})" for low, high in s.intervals]
    rows = [
        (name, say.known_text(x, by), say.error_text(by))
        for name, x, by in zip(
            (f"mean of {v}", "deviation", *inside),
            (s.mean, s.std, *s.probabilities),
            (s.mean_error, s.std_error, *s.probability_errors),
            strict=True,
        )
    ]
    return tabulated(("", "value", "error"), rows)


def _places(s: Simulation) -> list[Line]:
    lines: list[Line] = []
    if len(s.occupied):
        found = zip(s.basins, s.occupied, s.occupied_error, strict=True)
        rows = [(f"{x:.4g}", say.known_text(p, by, 4), say.error_text(by)) for x, p, by in found]
        lines += tabulated(("last seen near", "share of time", "error"), rows)
        lines.append(f"{s.changes:,} change{'s' * (s.changes != 1)} between them.")
    if s.autocorrelation_time > 0 and np.isfinite(s.r_hat):
        memory = f"{say.plain_text(s.autocorrelation_time, 3)} steps"
        if s.time_unit != "step":
            memory += f" ({s.autocorrelation_time * s.dt:.3g} in time)"
        lines.append(f"Autocorrelation time {memory}, R-hat {s.r_hat:.4g}.")
    for what, pair in (("Reflected", s.folded), ("Absorbed", s.absorbed)):
        if any(pair):
            lines.append(f"{what} at the lower end {pair[0]:,}, at the upper end {pair[1]:,}.")
    if s.escaped:
        lines.append(f"Escaped: {s.escaped:,} of {s.walkers:,} walkers, left out above.")
    return lines


def data(s: Simulation) -> dict[str, Any]:
    """Without the rate, which alone would differ from run to run."""
    fields = {k: getattr(s, k) for k in s.__dataclass_fields__ if k != "rate"}
    return fields | {"std": s.std, "std_error": s.std_error}


def table(s: Simulation) -> dict[str, Any]:
    """The histogram, a row per bin."""
    v, density = s.variable, s.mass / np.diff(s.edges)
    columns = {f"{v}_lower": s.edges[:-1], f"{v}_upper": s.edges[1:], "mass": s.mass}
    return columns | {"mass_error": s.mass_error, "density": density}


def figure(s: Simulation, sheet: Sheet) -> None:
    """The density of each bin, with its standard error."""
    axes, widths = sheet.axes(2.4), np.diff(s.edges)
    density, middle = s.mass / widths, (s.edges[1:] + s.edges[:-1]) / 2
    axes.stairs(density, s.edges, color=BLUE)
    bars: dict[str, Any] = {"fmt": "none", "ecolor": INK, "elinewidth": 0.5}
    axes.errorbar(middle, density, s.mass_error / widths, **bars)
    seen = np.flatnonzero(s.mass > 0)
    if len(seen):
        axes.set_xlim(s.edges[seen[0]], s.edges[seen[-1] + 1])
    axes.set_ylim(bottom=0)
    axes.set(xlabel=symbol_of(s.variable), ylabel="density of the walkers")
