"""Which datapoints decide, and how sure a sample makes an answer."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import Any

import numpy as np

from stationary import wording as say
from stationary.analysis import Analysis
from stationary.questions.influence import SHARE, Influence
from stationary.show.answer import mass_text
from stationary.show.drawing import BLUE, GREY, RED, Sheet
from stationary.show.layout import Line, Report, picked, report, rows_of, tabulated
from stationary.show.sample import OfSample, standard_error_text
from stationary.wording import LIGHT, MOST_NAMED

BENT = 0.5  # error of a logarithm from which exp() is bent
SHOWN = ("log_density", "variance", "barrier_left", "barrier_right", "width", "loss", "sharpness")
# Of what ten normal influences leave to the others, the half that ten may have beside their own: of
# 50 to 10,000 normal samples next to none has more, of log-normal ones (80 % hold) 8 in 10.
HEAVY = 0.5
FEWEST = 30  # datapoints: of fewer, two standard errors hold 91 to 94 % of normal means


def text(i: Influence) -> Report:
    top = i.top(10)
    rows = [(str(j), f"{change:+.4g}", f"{100 * share:.3g} %") for j, change, share in top]
    held = sum(share for _, _, share in top)
    lines = [
        f"What leaving a datapoint out changes of {_what(i)}, to first order, and its share of the "
        "squared influence of all:",
        *tabulated(("datapoint", "change", "share"), rows),
        f"These {len(top)} of {i.datapoints} have {100 * held:.3g} % of it.",
        f"If the datapoints are a sample, the standard error is {i.standard_error:.3g}; if they "
        "are all there is, there is none.",
    ]
    return report({i.name: lines})


def _what(i: Influence) -> str:
    if i.pair is None:
        return "the mean"
    return "log(mass at {:.6g} / mass at {:.6g})".format(*(i.basins[k] for k in i.pair))


def errors_of(analysis: Analysis) -> list[Line]:
    """How sure the sample makes the answer, for the report of an analysis."""
    sample = OfSample(analysis)
    found = sample.known
    if found is None:
        return [
            f"Not known: {sample.why}. Drift and variance were estimated from a sample, and what "
            "that leaves unsure, in none of the errors here, may be far more."
        ] * sample.taken
    basins, rows, more = analysis.rounded.basins, [], []
    named_parts = [("of which ", p, sample.parts) for b in basins for p in b.parts]
    for said, b, known in [*(("", b, sample) for b in basins), *named_parts]:
        of_mass, of_log = known.of("mass", b.position), known.of("log_mass", b.position)
        mass = mass_text(b, known, 4)
        if b.log_mass > -of_mass:  # beside its error
            mass = say.sampled_text(math.exp(b.log_mass), max(of_mass, b.mass_error))
        at = f"{said}{sample.place(float(b.position))}"
        rows.append(
            (
                at,
                mass,
                standard_error_text(of_mass) if float(b.log_mass) > LIGHT else "-",
                standard_error_text(of_log),
                standard_error_text(known.of("log_exit_time", b.position)),
            )
        )
        errors = (known.of(n, b.position) for n in SHOWN)
        more.append((at, *(None if math.isnan(e) else standard_error_text(e) for e in errors)))
    header = ("minimum", "mass", "std. error", "of its log", "of log exit time")
    named = ("log P", "a", "barrier left", "right", "width", "loss", "sharpness")
    lines = [
        *tabulated(header, rows),
        "Standard errors of what else is told of them:",
        *tabulated(("minimum", *named), more, spare=True),
    ]
    if any(b.mass_error > error > 0 for b, error in zip(basins, found.log_masses, strict=True)):
        lines.append("What lies between the given values is known less well: see the masses above.")
    if len(basins) > 1:
        first, second = sorted(range(len(basins)), key=lambda k: -float(basins[k].log_mass))[:2]
        gain, error = basins[first].log_mass - basins[second].log_mass, found.log_ratios
        blur = basins[first].mass_error + basins[second].mass_error
        unknown = max(float(error[first, second]), blur)
        lines.append(
            "The logarithm of the ratio of the two heaviest is "
            f"{say.sampled_text(gain, unknown)}, with a standard error of "
            f"{say.plain_text(error[first, second])}."
        )
        if max(found.log_masses) > BENT:
            lines.append(
                "With errors as large as that, masses and the mean are not normal: two standard "
                "errors of the logarithm of that ratio are the better interval."
            )
    landscape = analysis.landscape
    n = 0 if landscape is None or not landscape.has_datapoints else landscape.datapoints
    if 0 < n < FEWEST:
        lines.append(
            f"Those with the most influence make {say.plain_text(100 * found.share)} % of that "
            f"variance: of so few datapoints ({n}) an interval of two standard errors covers less "
            "than 95 %."
        )
    elif n and found.share > (own := _normal_share(n)) + HEAVY * (1 - own):
        lines.append(
            f"Ten datapoints make {say.plain_text(100 * found.share)} % of that variance (of "
            f"normal ones {say.plain_text(100 * own)} %): with such heavy tails an interval of two "
            "standard errors covers less than 95 %."
        )
    return ["These are errors of the sample, beside the numerical ones above.", *lines]


def _normal_share(count: int) -> float:
    """What `SHARE` of normal numbers, those farthest out, make of the sum of the squares."""
    part = min(SHARE / count, 1.0) / 2
    z = NormalDist().inv_cdf(1 - part)
    return 2 * (z * NormalDist().pdf(z) + part)


def data(i: Influence) -> dict[str, Any]:
    """The datapoints that decide, and the standard error if they are a sample."""
    top = rows_of("datapoint change share", *zip(*i.top(10), strict=True))
    return picked(i, "name datapoints basins pair standard_error") | {"top": top}


def table(i: Influence) -> dict[str, Any]:
    """N times what each adds to the log masses, the log exit times and the mean."""
    columns: dict[str, Any] = {"datapoint": np.arange(i.datapoints), "ratio": i.of_ratio()}
    for k, place in enumerate(i.basins):
        columns[f"log_mass_{place:.6g}"] = i.log_masses[k]
        columns[f"log_exit_time_{place:.6g}"] = i.log_exit_times[k]
    return columns | {"mean": i.mean}


def figure(i: Influence, sheet: Sheet) -> None:
    """What leaving each datapoint out changes, those with the most influence named."""
    ax = sheet.axes(2.9)
    change = i.left_out()
    ax.axhline(0, color=GREY, lw=0.6)
    ax.vlines(np.arange(i.datapoints), 0, change, color=BLUE, lw=0.8)
    for j, c, _ in i.top(MOST_NAMED):
        ax.plot([j], [c], marker="o", ms=3, color=RED)
        above: dict[str, Any] = {"xytext": (3, 3 if c > 0 else -9), "textcoords": "offset points"}
        ax.annotate(str(j), (j, c), color=RED, **above)
    ax.set(xlabel="datapoint that is left out", ylabel="change", title=f"of {_what(i)}")
    ax.xaxis.get_major_locator().set_params(integer=True)
    ax.margins(x=0.02, y=0.12)
