"""A law by itself, as any law knows itself: by its distribution function."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from stationary.aliases import Array
from stationary.distribution import Distribution
from stationary.functions.given import checked_whole
from stationary.numbers.elementary import distinct
from stationary.show.layout import Report, report, rows_of, tabulated
from stationary.wording import error_text, known_text, measured

LEVELS = (0.001, 0.025, 0.25, 0.5, 0.75, 0.975, 0.999)  # of quantiles that are listed


def text(law: Distribution) -> Report:
    """Its mean, its atoms, and what is below its quantiles."""
    error = float(law.error)
    known = error_text(error) if error else "rounding"
    said = [f"Mean: {_mean(law)}.", f"The distribution function P(X <= x) is right to {known}."]
    at = distinct(law.ppf(np.array(LEVELS)))
    rows = [(x, known_text(law.cdf(x), error), known_text(law.sf(x), error)) for x in at]
    places, held = atoms_of(law)
    atoms = [(x, known_text(p, 2 * error)) for x, p in zip(places, held, strict=True)]
    return report(
        {
            "Law": said,
            "Atoms": tabulated(("x", "probability"), atoms),
            "Below and above": tabulated(("x", "P(X <= x)", "P(X > x)"), rows),
        }
    )


def _mean(law: Distribution) -> str:
    error, mean = law._grid.shift_error, float(law.mean())
    if not math.isfinite(mean):
        return "infinite" if math.isinf(mean) else "undefined"
    if not error:
        return f"{mean:.10g}, to rounding"
    return measured(mean, error) if math.isfinite(error) else f"{mean:.6g}, its error is not known"


def atoms_of(law: Distribution) -> tuple[Array, Array]:
    """Points with probability of their own, and that."""
    at = distinct(law._grid.atoms)
    held = law.cdf(at) - law.cdf(np.nextafter(at, -np.inf)) if len(at) else at
    return at[held > 0], held[held > 0]


def data(law: Distribution) -> dict[str, Any]:
    at = law.ppf(np.array(LEVELS))
    return {
        "kind": type(law).__name__,
        "mean": {"value": law.mean(), "error": law._grid.shift_error},
        "error": law.error,
        "atoms": rows_of("position probability", *atoms_of(law)),
        "quantiles": rows_of("level x", LEVELS, at),
    }


def table(law: Distribution, points: int = 1001) -> dict[str, Any]:
    """The distribution function at so many points, over all but next to nothing."""
    points = checked_whole(points, "points", "law", 4, hint=", as 1001")
    x = distinct(np.linspace(*law.interval(1 - 2e-4), points), atoms_of(law)[0])
    return {"x": x, "cdf": law.cdf(x), "sf": law.sf(x), "error": np.full(len(x), float(law.error))}
