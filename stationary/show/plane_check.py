"""SGD's own steps in the plane against its diffusion."""

from __future__ import annotations

from typing import Any

import numpy as np

from stationary import wording as say
from stationary.plane.verdict import Measured, PlaneCheck
from stationary.process.plane import point_text
from stationary.show.drawing import BLUE, INK, RED, Sheet, add_legend
from stationary.show.layout import Line, Report, picked, report, tabulated

ANSWERS = ("diffusion", "chain", "walkers")


def text(check: PlaneCheck) -> Report:
    """The verdict, then every number by each answer."""
    diffusion = check.state.diffusion
    return report(
        {
            f"{diffusion.name}: the diffusion against SGD": [
                f"{diffusion.equation}.",
                check.verdict,
            ],
            "What each says": _numbers(check),
            "How far to trust this": [*_trust(check), *check.notes],
        }
    )


def _numbers(check: PlaneCheck) -> list[Line]:
    def cells(found: Measured | None, k: int) -> tuple[str, str]:
        if found is None:
            return "-", ""
        if not np.isfinite(found.errors[k]):
            return "not told", ""
        if np.isinf(found.values[k]):
            return "infinite", ""
        return say.known_text(found.values[k], found.errors[k], 6), say.error_text(found.errors[k])

    rows = [
        (name, *(c for a in ANSWERS for c in cells(getattr(check, a), k)))
        for k, name in enumerate(check.names)
    ]
    header = ("", "diffusion", "error", "chain", "error", "walkers", "error")
    places = [
        f"basin {b.index} is that of {point_text(b.attractor.position)}"
        for b in (check.state.basins if len(check.names) > 5 else ())
        if b.attractor is not None
    ]
    named = [f"{say.capital('; '.join(places))}."] if len(places) > 1 else []
    return [*tabulated(header, rows), *named]


def _trust(check: PlaneCheck) -> list[str]:
    s = check.settings
    lines = []
    if check.chain is not None and s["points"]:
        lines.append(
            f"The chain goes through all minibatches on {s['points']} x {s['points']} points; its "
            "errors are what a coarser grid changes, or what sharing between points does."
        )
    if check.walkers is not None:
        lines.append(
            f"{s['walkers']} walkers, {s['steps']} steps each after a quarter as many of burn-in "
            f"(seed {s['seed']}); errors are standard errors."
        )
    return lines


def data(check: PlaneCheck) -> dict[str, Any]:
    def values(found: Measured | None) -> dict[str, Any] | None:
        if found is None:
            return None
        pairs = zip(check.names, found.values, found.errors, strict=True)
        return {name: {"value": v, "error": e} if np.isfinite(e) else None for name, v, e in pairs}

    return {
        "schema": 1,
        "kind": "plane check",
        "name": check.state.diffusion.name,
        "off": dict(zip(("part", "error", "of"), check.off, strict=True)),
        **{answer: values(getattr(check, answer)) for answer in ANSWERS},
    } | picked(check, "outcome verdict kept settings notes")


def table(check: PlaneCheck) -> dict[str, Any]:
    """A row for each quantity."""
    made: dict[str, Any] = {"quantity": list(check.names)}
    for name in ANSWERS:
        found = getattr(check, name)
        none = [None] * len(check.names)
        made[name], made[f"{name}_error"] = (found.values, found.errors) if found else (none, none)
    return made


def figure(check: PlaneCheck, sheet: Sheet) -> None:
    """For each quantity how far chain and walkers are from the diffusion, in proportion; or what
    they say, where nothing is known of that."""
    axes = sheet.axes(1.4 + 0.3 * len(check.names))
    known = np.isfinite(check.diffusion.errors).any()
    place, base = np.arange(len(check.names)), check.diffusion.values if known else 0.0
    unit = check.scale / 100 if known else 1.0
    for shift, found, colour, mark, label in (
        (-0.12, check.chain, RED, "s", "exact chain"),
        (0.12, check.walkers, BLUE, "o", "walkers"),
    ):
        if found is not None:
            with np.errstate(invalid="ignore"):  # what is infinite has no place
                apart, by = (v / unit for v in (found.values - base, found.errors))
            told = np.isfinite(apart) & np.isfinite(by)
            kind: dict[str, Any] = {"fmt": mark, "ms": 4, "capsize": 2, "color": colour}
            axes.errorbar(apart[told], (place + shift)[told], xerr=by[told], label=label, **kind)
    axes.axvline(0, color=INK, linewidth=0.8)
    axes.set_yticks(place, check.names)
    axes.invert_yaxis()
    way = "difference from the diffusion (%; of means, of a deviation)"
    axes.set_xlabel(way if known else "value, by SGD's own steps")
    add_legend(axes)
    if sheet.ax is None:
        sheet.title(check.verdict)
