"""The report of an end state in the plane."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from stationary.errors import Status
from stationary.plane.state import PlaneBasin, PlaneState
from stationary.process.plane import point_text
from stationary.process.plane_landscape import PlaneLandscape
from stationary.show.layout import report, table
from stationary.wording import error_text, power_text, probability_text, relative_error_text

__all__ = ["text"]

ROADS = {
    "gaussian": "The drift is linear and the noise even: the end state is the Gaussian of the "
    "Lyapunov equation, to rounding.",
    "integral": "log P was integrated along x and then y, and the other way round; errors are the "
    "difference.",
    "elements": "Spectral elements; errors are what the answer moves by with the degree (8 against "
    "7) and with where the tails are cut (e^-36 against e^-30 of the peak).",
    "newton": "Newton's method for log P, because of the barriers; errors are what the answer "
    "moves by with the mesh, the box, and what is frozen at its sides.",
}


def text(state: PlaneState) -> str:
    """What ends up where, then the numbers, then how far to trust them; 80 columns."""
    return report(
        [
            (state.diffusion.name, [_headline(state)]),
            ("The model", _model(state)),
            ("Is there an energy?", [state.curl.words, *_curl(state), state.curl.noise.words]),
            ("Equilibria", _equilibria(state)),
            ("Basins", _basins(state)),
            ("End state", _moments(state)),
            ("How far to trust this", _trust(state)),
        ]
    )


def _headline(state: PlaneState) -> str:
    who = "the process" if state.diffusion.stepper is None else "SGD"
    v = state.diffusion.variable
    basins = sorted(state.basins, key=lambda b: -b.log_mass)
    shares = [f"{_place(b, v)} with probability {probability_text(b.log_mass)}" for b in basins[:4]]
    if len(basins) == 1:
        spread = " and ".join(f"{s:.4g}" for s in state.std())
        said = f"{_place(basins[0], v)} (standard deviations {spread})"
    else:
        said = ", ".join(shares[:-1]) + " and " + shares[-1]
        if len(basins) > 4:
            said += f", and in {len(basins) - 4} more basins with the rest"
    turns = ""
    if not state.curl.local:
        way = "anticlockwise" if state.circulation > 0 else "clockwise"
        turns = f" Probability circulates, on the whole {way}."
    return f"In the long run {who} is {said}.{turns}{_overshooting(state)}"


def _overshooting(state: PlaneState) -> str:
    """A word where the step that SGD takes on average leads away from a minimum."""
    if state.diffusion.stepper is None:
        return ""
    found = []
    for e in state.equilibria:
        factor = float(np.abs(1 + e.eigenvalues).max())
        if e.kind == "stable" and factor >= 1:
            found.append(f"{state.diffusion.variable} = {point_text(e.position)}")
    if not found:
        return ""
    return (
        f" That is the limit of small steps: with this one SGD overshoots {' and '.join(found)} "
        "and does not settle there; see `stationary check`."
    )


def _place(basin: PlaneBasin, v: str) -> str:
    if basin.attractor is None:
        return "on or around a cycle of the drift" if basin.index < 0 else "elsewhere"
    return f"around {v} = {point_text(basin.attractor.position)}"


def _model(state: PlaneState) -> list[str]:
    d = state.diffusion
    unit = "SGD steps" if isinstance(state.process, PlaneLandscape) else "the unit of the drift"
    lines = [f"{d.equation} (Ito); the current is J = f P - div(a P) / 2, and div J = 0."]
    if isinstance(state.process, PlaneLandscape):
        lines.append(
            "G is the mean gradient of the datapoints and S the population covariance of their "
            f"gradients; f = -T G, a = T^2 D; time is counted in {unit}."
        )
    if d.parameters:
        chosen = ", ".join(f"{k} = {v:.12g}" for k, v in d.parameters.items())
        lines.append(f"Parameters: {chosen}.")
    return lines


def _curl(state: PlaneState) -> list[str]:
    if state.curl.local:
        return []
    unit = state.diffusion.time_unit
    produced = state.entropy_production
    lost = "" if produced is None else f"Entropy production: {produced:.6g} per {unit}. "
    return [
        f"{lost}Area is swept around the mean at {state.circulation / 2:.6g} per {unit} "
        "(anticlockwise counts as positive)."
    ]


def _equilibria(state: PlaneState) -> list[str]:
    rows = [
        (
            str(k),
            point_text(e.position),
            e.kind,
            ", ".join(f"{v.real:.4g}{f'{v.imag:+.4g}i' if v.imag else ''}" for v in e.eigenvalues),
        )
        for k, e in enumerate(state.equilibria)
    ]
    if not rows:
        return ["The drift vanishes nowhere that was looked."]
    return table(("", state.diffusion.variable, "", "eigenvalues of the drift"), rows)


def _basins(state: PlaneState) -> list[str]:
    rows = []
    for b in state.basins:
        where = "cycles" if b.attractor is None else point_text(b.attractor.position)
        error = "-" if math.isnan(b.mass_error) else relative_error_text(b.mass_error, b.log_mass)
        lowest = min((rise for _, rise in b.barriers), default=None)
        rows.append(
            (
                where,
                probability_text(b.log_mass),
                error,
                "-" if lowest is None else f"{lowest:.6g}",
                "-" if lowest is None else str(min(b.barriers, key=lambda x: x[1])[0]),
            )
        )
    lines = table(("basin of", "mass", "rel. error", "barrier", "saddle"), rows)
    if len(rows) > 1:
        lines.append(
            "Barrier: log P at the minimum less log P at the lowest saddle on the border of its "
            "basin; saddle: its number above. Basins are those of the drift."
        )
    return lines


def _moments(state: PlaneState) -> list[str]:
    def row(name: str, quantity: Any) -> tuple[str, ...]:
        values, errors = np.atleast_1d(quantity(state)), np.atleast_1d(state.error_of(quantity))
        cells = [f"{v:.10g}" for v in values], [error_text(e) for e in errors]
        return name, cells[0][0], cells[1][0], cells[0][-1], cells[1][-1]

    def correlation(s: PlaneState) -> float:
        c = s.cov()
        return float(c[0, 1] / np.sqrt(c[0, 0] * c[1, 1]))

    rows = [row("mean", lambda s: s.mean()), row("standard deviation", lambda s: s.std())]
    for q in (0.025, 0.5, 0.975):
        values = [f"{state.marginal(k).ppf(q):.8g}" for k in (0, 1)]
        rows.append((f"quantile {q:g}", values[0], "", values[1], ""))
    known = error_text(state.error_of(correlation))
    return [
        *table(("", "first", "error", "second", "error"), rows),
        f"Correlation: {correlation(state):.6g} (error {known}).",
    ]


def _trust(state: PlaneState) -> list[str]:
    status = state.status
    words = "Converged" if status is Status.CONVERGED else f"Not converged ({status.value})"
    relative = error_text(state.error)
    lines = [f"{words}. Estimated error of the density: {relative} of its peak.", ROADS[state.road]]
    if state.peak > 300:
        lines.append(f"The density is largest at {power_text(state.peak)}.")
    if state.diffusion.stepper is not None:
        lines.append(
            "This is the diffusion that SGD is for small steps; how far the steps that it takes "
            "are from that says `stationary check`."
        )
    return [*lines, *state.notes]
