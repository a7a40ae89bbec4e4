"""A regularisation path: ever less noise added, beside the exact end state."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from stationary import wording as say
from stationary.aliases import Array
from stationary.questions.influence import standard_errors
from stationary.questions.regularisation.path import RegularisationPath
from stationary.show.drawing import GREY, INK, Sheet, add_legend, colour_of, symbol_of
from stationary.show.layout import Report, picked, report, tabulated
from stationary.show.sample import places, rests_of, standard_error_text
from stationary.states.basins import basins_of
from stationary.wording import SUFFIX

OF_SAMPLE = (
    "Drift and variance were estimated from a sample, whose standard errors are those of the mean, "
    "and the largest of ln of a mass. Where it has none they are not known; laws are told without."
)


def text(path: RegularisationPath) -> Report:
    """The path as a table, the exact answer below it, and the verdict."""
    exact, v = path.exact, path.exact.diffusion.variable
    basins, sure = [], path.standard_errors
    shown: Any = "{:.6g}".format
    if sure is not None and exact.kind == "density":
        known = standard_errors(exact, basins_of(exact, 0.0))
        shown = shown if known is None else places(exact, rests_of(exact, known))
    for k, place in enumerate(path.basins, start=1):
        at = "" if place.position is None else f", at {v} = {shown(place.position)}"
        kind = {"between": "no minimum", "transient": "left for good"}.get(place.kind, place.kind)
        basins.append(f"{k}  {v} from {shown(place.lower)} to {shown(place.upper)}: {kind}{at}")
    rows = []
    for k, eps in enumerate(path.epsilons):
        error = "-"
        if np.isfinite(e := path.errors[k]).any():
            worst = int(np.nanargmax(e))
            error = say.relative_error_text(e[worst], path.log_masses[k, worst])
        mean = [_told_mean(path.mean[k], path.mean_error[k])]
        if sure is not None:
            mean = _of_mean(path.mean[k], path.std[k], sure["mean"][k], sure["log_masses"][k])
        told = zip(path.log_masses[k].tolist(), path.errors[k].tolist(), strict=True)
        masses = (_mass(sure, "", (k, i), log, error) for i, (log, error) in enumerate(told))
        rows.append([f"{eps:.3g}", *masses, *mean, error])
    alike = [row[1:-1] for row in rows]
    inner = [k for k in range(1, len(rows) - 1) if alike[k - 1] == alike[k] == alike[k + 1]]
    rows = [row for k, row in enumerate(rows) if k not in inner]
    unknown = None if exact.kind == "none" else "by the start"
    with np.errstate(divide="ignore"):
        held = [
            unknown if p.exact is None else _mass(sure, "exact_", i, float(np.log(p.exact)))
            for i, p in enumerate(path.basins)
        ]
    more = ["std. error", "of ln mass"] * (sure is not None)
    end: list[str | None] = [None, *[None] * len(more), None]
    if exact.kind not in ("none", "classes"):
        end[0] = _told_mean(exact.mean(), exact.mean_error)
        end[-1] = say.error_text(exact.mass_error)
        if sure is not None:
            of_mean, of_logs = float(sure["exact_mean"]), sure["exact_log_masses"]
            end[:-1] = _of_mean(exact.mean(), exact.std(), of_mean, of_logs)
    header = ("eps", *(str(k + 1) for k in range(len(path.basins))), "mean", *more, "rel. error")
    order = [len(rows), max(len(rows) - 1, 0), 0]
    made = tabulated(header, [*rows, ["exact", *held, *end]], order)
    return report(
        {
            f"{exact.diffusion.name}: an even noise a + eps, with eps falling": [
                path.verdict,
                say.last_rate_text(path.process),
                OF_SAMPLE * (sure is not None),
            ],
            "Basins": basins,
            "Masses": [*made, _trust(path, len(inner))] if path.epsilons.size else made,
            "The path stops": [path.stopped] if path.stopped else [],
        }
    )


def _told_mean(mean: float, error: float) -> str:
    """A mean to the digits that its error leaves."""
    return "-" if math.isnan(mean) else say.known_text(mean, error, 6)


def _trust(path: RegularisationPath, left_out: int) -> str:
    """Of what the errors beside the masses are, how well means are known, and what is listed."""
    known = path.mean_error[np.isfinite(path.mean_error)]
    mean = f" Errors of the mean are at most {say.error_text(known.max())}." if known.size else ""
    said = f"Rel. error: of the mass that is known least.{mean}"
    if not left_out:
        return said
    rows = "1 row is" if left_out == 1 else f"{left_out} rows are"
    return f"{said} {rows} left out, between others that show the same: --csv FILE lists all."


def _of_mean(mean: float, std: float, of_mean: float, of_logs: Array) -> list[str]:
    """A mean, its standard error, and the largest of the logarithm of a mass."""
    told = say.sampled_text(mean, of_mean, 6) if of_mean > 0 else say.mean_text(mean, std)
    worst = float(np.nanmax(of_logs)) if np.isfinite(of_logs).any() else math.nan
    return [told, standard_error_text(float(of_mean)), standard_error_text(worst)]


def _mass(sure: Any, of: str, at: Any, log_p: float, error: float = 0.0) -> str:
    """A mass to the digits that its error, or a sample, leaves: `of` and `at` name its own."""
    if math.isnan(log_p):
        return "-"
    if sure is None:
        return say.probability_text(log_p, 6, error)
    return say.sampled_share_text(log_p, sure[f"{of}masses"][at], sure[f"{of}log_masses"][at])


def data(path: RegularisationPath) -> dict[str, Any]:
    exact = path.exact
    return {
        "schema": 1,
        "name": exact.diffusion.name,
        "exact": {"kind": exact.kind, "reason": exact.reason or None},
        "basins": [
            picked(p, "lower upper position kind")
            | {"exact_mass": p.exact, "law": picked(law, "kind value rate error")}
            for p, law in zip(path.basins, path.laws, strict=True)
        ],
        "stopped": path.stopped or None,
        "standard_errors": path.standard_errors,
    } | picked(
        path,
        "outcome verdict epsilons log_masses errors exponents widths mean mean_error std std_error "
        "kinds",
    )


def table(path: RegularisationPath) -> dict[str, Any]:
    """A row for each amount of noise that was added."""
    columns: dict[str, Any] = {"eps": path.epsilons, "kind": path.kinds}
    columns |= picked(path, "mean mean_error std std_error")
    sure = path.standard_errors or {}
    columns |= {f"{n}{SUFFIX}": sure[n] for n in ("mean", "std") if n in sure}
    for i in range(len(path.basins)):
        columns[f"log_mass_{i}"] = [row[i] for row in path.log_masses]
        columns[f"mass_error_{i}"] = [row[i] for row in path.errors]
        if sure:
            columns[f"mass{SUFFIX}_{i}"] = sure["masses"][:, i]
            columns[f"log_mass{SUFFIX}_{i}"] = sure["log_masses"][:, i]
    return columns


def figure(path: RegularisationPath, sheet: Sheet) -> None:
    """Masses against eps, and the exact ones as marks at the left edge."""
    ax, eps = sheet.axes(3.25), path.epsilons
    v = symbol_of(path.exact.diffusion.variable)
    low, high = (float(eps[-1]), float(eps[0])) if len(eps) else (1e-6, 1.0)
    edge = low / (high / low) ** 0.06 if high > low else low / 10
    # Of lines on one another each shows through gaps of the next, and behind its smaller marks.
    order = {kind: k for k, kind in enumerate(("transient", "between"))}
    ranked = sorted(enumerate(path.basins), key=lambda b: order.get(b[1].kind, 2))
    for n, (k, place) in enumerate(ranked):
        colour = {"between": INK, "transient": GREY}.get(place.kind, colour_of(k))
        where = f"{place.lower:.3g} to {place.upper:.3g}"
        label = where if place.position is None else f"{v} = {place.position:.4g}"
        marker = "osv^Dp"[k % 6]
        kind: dict[str, Any] = {"lw": 1.2 * max(0.6, 2.0 - 0.4 * n), "ms": max(2.5, 6.0 - 1.2 * n)}
        kind["ls"] = ("-", (0, (5, 5)), (0, (2, 6)))[n % 3]
        mass, sure = path.masses[:, k], path.standard_errors
        ax.plot(eps, mass, color=colour, marker=marker, label=label, **kind)
        if sure is not None:  # between 0 and 1
            length = np.nan_to_num(np.fmin(sure["masses"][:, k], [mass, 1 - mass]))
            ax.errorbar(eps, mass, length, color=colour, fmt="none")
        if place.exact is not None:
            ax.plot([edge], [place.exact], color=colour, marker="D", ms=6, clip_on=False)
    ax.set_xscale("log")
    ax.set(xlim=(edge, high * (high / low) ** 0.02 if high > low else 10 * high))
    ax.set(ylim=(-0.03, 1.03), ylabel="probability")
    marks = r"  ($\diamond$: exact)" if any(p.exact is not None for p in path.basins) else ""
    if path.standard_errors is not None:
        marks += "  (bars: standard errors)"
    ax.set_xlabel(rf"noise added to the variance, $\epsilon${marks}")
    add_legend(ax, len(path.basins))
    if not np.isfinite(path.log_masses).any():
        ax.text(0.5, 0.5, "no end state", ha="center", transform=ax.transAxes)
