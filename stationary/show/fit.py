"""What a recorded series says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from stationary import wording as say
from stationary.analysis import Analysis, analyze
from stationary.show.drawing import BLUE, GREY, INK, RED, UNSEEN, Sheet
from stationary.show.influence import errors_of
from stationary.show.layout import Line, Report, picked, report, rows_of, tabulated
from stationary.show.sample import OfSample, standard_error_text
from stationary.sources.series.fit import Fit
from stationary.sources.series.lags import Verdict
from stationary.states.distribution import EndState
from stationary.wording import SECOND

SHOWN = (0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99)  # quantiles of the series


def text(f: Fit) -> Report:
    found = analyze(f.diffusion)
    return report(
        {
            f.name: _series(f),
            "Drift and variance": _drift_and_variance(f),
            "The end state": _end_state(f, found),
            "How sure the series makes this": errors_of(found)
            or ["Not known: doubles cannot tell places here apart from 0. Fit x - c, or c x."],
            "The ladder of lags": _ladder(f),
        }
    )


def _series(f: Fit) -> list[Line]:
    """What it is, and how much of it went into the fit."""
    runs, memory = f.runs, f.found.chain.relaxation_time
    count = sum(map(len, runs.values))
    several = f" in {len(runs.values)} runs" if len(runs.values) > 1 else ""
    typical = float(np.median(runs.steps()[2]))
    forgets = f"within some {say.plain_text(memory)}."
    if memory > runs.duration:
        forgets = "more slowly than that shows."
    lines: list[Line] = [
        f"It is {f.lags.verdict.value}.",
        f"{count:,} observations{several}, about {typical:.4g} apart, of a process that forgets "
        + forgets,
    ]
    if (every := f.found.runs.every) > 1:
        lines.append(
            f"The fit is to one in {every} of them: steps between all are too short to be "
            "followed over the range."
        )
    if not f.found.converged:
        lines.append(
            "The likelihood was still changing when the fit was stopped: trust it to a standard "
            "error or two."
        )
    return lines


def _place(f: Fit, x: float, error: float = 0.0) -> str:
    """A place, told apart from its neighbours however far from 0 they are."""
    return say.known_text(x, max(1e-4 * float(f.runs.all.std()), error), 17)


def _drift_and_variance(f: Fit) -> list[Line]:
    x = np.quantile(f.runs.all, SHOWN)
    rows = [
        (
            _place(f, v),
            say.sampled_text(b, c),
            say.plain_text(c),
            say.sampled_text(d, e),
            say.plain_text(e),
        )
        for v, b, c, d, e in zip(x, *list(_curves(f, x).values())[1:5], strict=True)
    ]
    return tabulated(("x", "drift f", "std. error", "variance a", "std. error"), rows)


def _end_state(f: Fit, found: Analysis) -> list[Line]:
    """Its minima and moments, with what the series leaves unsure of them."""
    sample, errors, rows = OfSample(found), found.standard_errors, []
    near = {b.position: sample.of("position", b.position) for b in found.basins}
    for (x, at), b, passage in zip(near.items(), found.basins, found.exits, strict=True):
        mass, time = sample.of("mass", x), sample.of("log_exit_time", x)
        rows.append(
            (
                _place(f, x, at / 10**SECOND),
                standard_error_text(at),
                say.sampled_text(b.mass, mass, 5),
                None if passage is None else say.time_text(passage.log_time, of_sample=time),
            )
        )
    mean, std = found.end_state.mean(), found.end_state.std()
    moments = f"Mean {_place(f, mean)}, standard deviation {std:.4g}"
    if errors is not None:
        moments = (
            f"Mean {say.sampled_text(mean, errors.mean, 15)} (standard error "
            f"{say.plain_text(errors.mean)}), standard deviation "
            f"{say.sampled_text(std, errors.std, 6)} ({say.plain_text(errors.std)})"
        )

    def peak(x: float) -> str:  # which moves about as much as the minimum next to it
        nearest = min(near, key=lambda at: abs(at - x), default=x)
        return _place(f, x, near.get(nearest, 0.0) / 10**SECOND)

    lines: list[Line] = []
    if f.lags.verdict is not Verdict.DIFFUSION:
        lines.append(
            "These are numbers of the diffusion that was fitted, which the series is not, or not "
            "for certain; their standard errors hold for a diffusion only."
        )
    own = f.runs.all
    return [
        *lines,
        *tabulated(("minimum", "std. error", "mass", "exit time"), rows),
        "Exit time: the mean time to leave the minimum, in the unit of the series.",
        f"{moments}{_peaks(found.end_state, peak)}.",
        f"The series itself: mean {say.known_text(own.mean(), 1e-3 * own.std())}, standard "
        f"deviation {own.std():.4g}.",
    ]


def _ladder(f: Fit) -> list[Line]:
    """Whether steps over many observations are those of the fit, and how a diffusion is told."""
    lags = f.lags
    rows = [
        (lag, f"{time:.4g}", say.sampled_text(speed, error), say.plain_text(error))
        for lag, time, speed, error in zip(
            lags.lags, lags.times, lags.speeds, lags.errors, strict=True
        )
    ]
    trend = "Less its linear trend it is no more likely."
    if lags.trend[1] > 1:
        trend = (
            f"Less its linear trend of {say.plain_text(lags.trend[0])} per unit of time it is "
            f"{say.power_text(lags.trend[1])} times as likely (above 10^3.5: not stationary)."
        )
    return [
        *tabulated(("observations", "time", "speed", "std. error"), rows),
        "Speed: how fast the process runs by steps over so many observations, against the "
        "fit. A diffusion runs equally fast at every lag. How far another one is from the "
        "first is known better than either: the same observations are in both.",
        f"Its two halves are {say.plain_text(lags.halves[0])} standard errors apart in the "
        f"mean, and {say.plain_text(lags.halves[1])} in speed (above 4: not stationary).",
        trend,
        f"Dickey and Fuller's statistic is {lags.unit_root[0]:.2f} (of 100 walks without "
        f"an end state one is below {lags.unit_root[1]:.2f}).",
    ]


def _peaks(state: EndState, place: Callable[[float], str]) -> str:
    """Where its density peaks within the range of the series: beyond the ends nothing is known."""
    modes, ends = state.modes, state.diffusion.domain
    inner = [m for m in modes if m.position not in ends]
    said = "; the density peaks at " + ", ".join(place(m.position) for m in inner) if inner else ""
    top = max(modes, key=lambda m: m.log_density)
    if top.position in ends:
        said += f"; it is highest at {place(top.position)}, where the range of the series ends"
    return said


def data(f: Fit) -> dict[str, Any]:
    """The verdict, the ladder of lags, the curves, and the end state with its standard errors."""
    lags, found = f.lags, analyze(f.diffusion)
    sample = OfSample(found)
    ladder = (lags.lags, lags.times, lags.speeds, lags.errors)
    basins = [
        {
            "position": b.position,
            "log_mass": b.log_mass,
            "standard_error": sample.of("log_mass", b.position),
            "position_standard_error": sample.of("position", b.position),
            "log_exit_time": None if passage is None else passage.log_time,
            "exit_time_standard_error": sample.of("log_exit_time", b.position),
        }
        for b, passage in zip(found.basins, found.exits, strict=True)
    ]
    return {
        "name": f.name,
        "observations": sum(map(len, f.runs.values)),
        "runs": len(f.runs.values),
        "verdict": lags.verdict.name.lower(),
        "relaxation_time": f.found.chain.relaxation_time,
        "parameters": f.found.freedom,
        "lags": rows_of("observations time speed standard_error", *ladder),
        "halves": lags.halves,
        "trend": {"slope": lags.trend[0], "log_gain": lags.trend[1]},
        "unit_root": {"statistic": lags.unit_root[0], "of_one_walk_in_100": lags.unit_root[1]},
        "curves": table(f),
        "basins": basins,
    } | picked(f.found, "log_likelihood converged")


def table(f: Fit) -> dict[str, Any]:
    """Drift and variance with their standard errors, on an even grid."""
    return _curves(f, np.linspace(*f.domain, 201))


def _curves(f: Fit, x: Any) -> dict[str, Any]:
    names = ("drift", "drift_error", "variance", "variance_error", "log_density")
    return {"x": x} | {name: getattr(f, name)(x) for name in names}


def figure(fit: Fit, sheet: Sheet) -> None:
    """Three panels over x: f, a, each with two standard errors, and P over the histogram."""
    values = fit.runs.all
    low, high = np.quantile(values, (UNSEEN, 1 - UNSEEN))
    x = np.linspace(low, high, 301)
    drift, variance, density = sheet.panels(2.15, 2.15, 2.2, sharex=True)
    curves = _curves(fit, x)
    for axes, of, colour, symbol in (
        (drift, "drift", RED, "$f$"),
        (variance, "variance", BLUE, "$a$"),
    ):
        centre, error = curves[of], curves[f"{of}_error"]
        band: dict[str, Any] = {"color": colour, "alpha": 0.2, "lw": 0}
        axes.fill_between(x, centre - 2 * error, centre + 2 * error, **band)
        axes.plot(x, centre, color=colour)
        axes.set_ylabel(f"{of} {symbol}")
    drift.axhline(0, color=GREY, lw=0.6)
    drift.set_xlim(low, high)
    variance.set_ylim(bottom=0)
    density.hist(values, 60, range=(low, high), density=True, color=GREY, alpha=0.4)
    whole = np.linspace(*fit.domain, 2001)
    log_p = fit.log_density(whole)
    norm = np.log(np.trapezoid(np.exp(log_p - log_p.max()), whole)) + log_p.max()
    density.plot(x, np.exp(curves["log_density"] - norm), color=INK)
    density.set(ylabel="density $P$, and the series", xlabel="$x$")
