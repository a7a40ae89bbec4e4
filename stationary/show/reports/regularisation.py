"""A regularisation path as text and as plain numbers, from finished results only."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stationary.questions.regularisation.path import RegularisationPath
from stationary.show.layout import Line, report, table
from stationary.wording import mean_text, probability_text

__all__ = ["text"]

Array = NDArray[Any]


def text(path: RegularisationPath) -> str:
    """The path as a table, the exact answer below it, and the verdict; 80 columns."""
    diffusion = path.exact.diffusion
    v = diffusion.variable
    basins = []
    for k, place in enumerate(path.basins, start=1):
        at = "" if place.position is None else f", at {v} = {place.position:.6g}"
        kind = {"between": "no minimum", "transient": "left for good"}.get(place.kind, place.kind)
        basins.append(f"{k}  {v} from {place.lower:.6g} to {place.upper:.6g}: {kind}{at}")
    numbers = range(len(path.basins))
    header = ["eps", *(str(i + 1) for i in numbers), "mean", "rel. error"]
    rows = [
        [
            f"{eps:.3g}",
            *(_mass_text(path.log_masses[k, i]) for i in numbers),
            mean_text(path.mean[k], path.std[k]),
            _worst(path.errors[k]),
        ]
        for k, eps in enumerate(path.epsilons)
    ]
    rows.append(["exact", *(_exact_text(path, i) for i in numbers), *_exact_mean(path)])
    sections = [
        (f"{diffusion.name}: an even noise a + eps, with eps falling", [f"{path.verdict}"]),
        ("Basins", basins),
        ("Masses", table(header, rows)),
    ]
    if path.stopped:
        sections.append(("The path stops", [path.stopped]))
    return report(sections)


def _mass_text(log_mass: float) -> str:
    return "-" if math.isnan(log_mass) else probability_text(float(log_mass))


def _exact_text(path: RegularisationPath, i: int) -> str:
    mass = path.basins[i].exact
    if mass is None and path.exact.kind == "none":
        return "-"
    return "by the start" if mass is None else f"{mass:.6g}"


def _exact_mean(path: RegularisationPath) -> list[Line]:
    if path.exact.kind in ("none", "classes"):
        return ["-", "-"]
    mean = mean_text(path.exact.mean(), path.exact.std())
    return [mean, f"{path.exact.error:.0e}"]


def _worst(errors: Array) -> str:
    return f"{np.nanmax(errors):.0e}" if np.isfinite(errors).any() else "-"
