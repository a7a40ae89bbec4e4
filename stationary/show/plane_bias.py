"""The width bias in the plane: its report, its numbers as data, and its figure."""

from __future__ import annotations

from typing import Any

import numpy as np

from stationary import wording as say
from stationary.aliases import Array
from stationary.plane.state import PlaneState
from stationary.plane.width import PlaneWidthBias
from stationary.process.plane import point_text
from stationary.show.drawing import BLUE, RED, Sheet, add_legend, draw_curve
from stationary.show.layout import Line, Report, picked, report, tabulated
from stationary.show.plane import figure as draw_state
from stationary.wording import LN10

COLUMNS = "log_density density_error law_density log_mass mass_error law_mass"
ALONG = {
    "both": "both directions",
    "first": "the first direction",
    "second": "the second direction",
}
LAW = (
    "The law: along both directions the density at the minimum grows by lambda^2 e^((lambda^2 - 1) "
    "I), where I is the integral of grad log P + a^-1 div a (2 a^-1 f, where no current flows) on "
    "the drift's way from the saddle; along one, only its part of I grows. The mass by the law is "
    "that of a deep basin. Measured: the end state of the stretched process, joined to the rest at "
    "the lowest saddle, where n.a.n P goes on."
)


def text(bias: PlaneWidthBias) -> Report:
    """The answer, then the minima, then the stretched one."""
    first = [_answer(bias)]
    if bias.stopped and bias.factors is not None:
        first.append(f"Not complete: {bias.stopped}; {say.done_text(len(bias.factors))}.")
    stretched = f"Minimum {bias.minimum} stretched along {ALONG[bias.direction]}"
    return report(
        {
            bias.diffusion.name: first,
            "Minima": _minima(bias),
            stretched: [] if bias.factors is None else _stretched(bias),
        }
    )


def _answer(bias: PlaneWidthBias) -> str:
    basins = sorted(bias.state.basins, key=lambda b: -b.log_mass)
    if bias.factors is not None and bias.log_mass is not None and bias.mass_error is not None:
        k = int(np.argmax(np.abs(np.log(bias.factors))))
        ratio = say.times_text(float(bias.log_mass[k]), float(bias.mass_error[k]))
        return (
            f"Were minimum {bias.minimum} {bias.factors[k]:.4g} times as wide, it would hold "
            f"{ratio} times the mass against the others."
        )
    if len(basins) < 2:
        return "There is one minimum, and nothing to compare it with."
    off = basins[0].mass_error + basins[1].mass_error
    ratio = say.times_text(basins[0].log_mass - basins[1].log_mass, off)
    places = [b.name for b in basins[:2]]
    return f"{places[0]} holds {ratio} times as much as {places[1]}."


def _minima(bias: PlaneWidthBias) -> list[Line]:
    rows = []
    for m in data(bias)["minima"]:
        mass = say.probability_text(m["log_mass"], error=m["log_mass_error"])
        off, height = m["log_density_error"], m["log_density"]
        errors = say.relative_error_text(m["log_mass_error"], m["log_mass"]), say.error_text(off)
        told = (mass, errors[0], say.known_text(height, off, 6), errors[1])
        rows.append((m["index"], point_text(m["position"]), *told, m["log_width"]))
    words = (
        "log width: of the Gaussian's volume, half the log determinant of its covariance, to "
        "rounding."
    )
    header = ("", "at", "mass", "rel. error", "log density", "error", "log width")
    return [*tabulated(header, rows), words]


def _stretched(bias: PlaneWidthBias) -> list[Line]:
    assert bias.exponents is not None
    columns: list[Any] = [getattr(bias, name) for name in f"factors {COLUMNS}".split()]
    rows = [
        (f"{factor:.4g}", density, say.error_text(off), law, mass, say.error_text(unsure), deep)
        for factor, density, off, law, mass, unsure, deep in zip(*columns, strict=True)
    ]
    assert bias.exponent_errors is not None
    pairs = zip(bias.exponents, bias.exponent_errors, strict=True)
    first, second = (say.measured(value, off, 6) for value, off in pairs)
    whole = say.measured(sum(bias.exponents), sum(bias.exponent_errors), 6)
    return [
        *tabulated(("factor", "log density", "error", "law", "log mass", "error", "law"), rows),
        f"I is {whole}: {first} along the first direction, {second} along the second.",
        LAW,
    ]


def data(bias: PlaneWidthBias) -> dict[str, Any]:
    """Plain numbers, strings and lists."""
    asked = f"minimum direction exponents exponent_errors factors {COLUMNS}"
    minima: list[Any] = [b for b in bias.state.basins if b.attractor is not None]

    def heights(state: PlaneState) -> Array:
        return np.array([state.logpdf(b.attractor.position) for b in minima])

    offs = np.nan_to_num(bias.state.error_of(heights), nan=np.inf)
    return {
        "schema": 1,
        "kind": "plane bias",
        "name": bias.diffusion.name,
        "minima": [
            picked(b, "index mass log_mass log_mass_error=mass_error position=attractor.position")
            | {
                "log_density": float(height),
                "log_density_error": float(off),
                "log_width": b.attractor.log_determinant / 2,
            }
            for b, height, off in zip(minima, heights(bias.state), offs, strict=True)
        ],
        "dilation": None if bias.factors is None else picked(bias, asked),
        "stopped": bias.stopped or None,
        "notes": list(bias.state.notes),
    }


def table(bias: PlaneWidthBias) -> dict[str, Any]:
    """A row for each factor; without any, one for each minimum."""
    if bias.factors is None:
        rows = data(bias)["minima"]
        return {name: [r[name] for r in rows] for name in ("index", "mass", "log_density")}
    return {"factor": bias.factors} | picked(bias, COLUMNS)


def figure(bias: PlaneWidthBias, sheet: Sheet) -> None:
    """Marks for what was measured, lines for the law; the end state where nothing was stretched."""
    if bias.factors is None:
        draw_state(bias.state, sheet)
        return
    axes = sheet.axes(2.6)
    for what, colour, label in (("density", BLUE, "density at the minimum"), ("mass", RED, "mass")):
        measured, law = (np.asarray(getattr(bias, f"{k}_{what}")) / LN10 for k in ("log", "law"))
        draw_curve(axes, bias.factors, law, "", color=colour, lw=0.8, label=f"{label}, by the law")
        kind: dict[str, Any] = {"ls": "", "ms": 4, "color": colour}
        draw_curve(axes, bias.factors, measured, label=f"{label}, measured", **kind)
    axes.set_xlabel(f"factor by which minimum {bias.minimum} is stretched ({bias.direction})")
    axes.set_ylabel(r"$\log_{10}$ (stretched / as it was)")
    add_legend(axes)
