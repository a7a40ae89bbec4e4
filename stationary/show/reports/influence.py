"""Which datapoints decide, and how sure a sample makes an answer, in words."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from stationary.questions.influence import Influence
from stationary.show.layout import report, table
from stationary.wording import probability_text

if TYPE_CHECKING:
    from stationary.analysis import Analysis

__all__ = ["errors_of", "text"]

SMALL = -11.5  # log of a mass of which the error says nothing
BENT = 0.5  # error of a logarithm from which exp() is bent
HEAVY = 0.3  # share of the ten datapoints with the most influence that is worth a word


def text(i: Influence) -> str:
    """At most 80 columns wide."""
    what = "the mean"
    if i.pair is not None:
        first, second = (f"{i.basins[k]:.6g}" for k in i.pair)
        what = f"log(mass at {first} / mass at {second})"
    top = i.top(10)
    rows = [(str(j), f"{change:+.4g}", f"{100 * share:.3g} %") for j, change, share in top]
    lines = [
        f"What leaving a datapoint out changes of {what}, to first order, and its share of the "
        "squared influence of all:",
        *table(("datapoint", "change", "share"), rows),
        f"These {len(top)} of {i.datapoints} have {100 * sum(s for _, _, s in top):.3g} % of it.",
        f"If the datapoints are a sample, the standard error is {i.standard_error:.3g}; if they "
        "are all there is, there is none.",
    ]
    return report([(i.name, lines)])


def errors_of(analysis: Analysis) -> list[str]:
    """How sure the sample makes the answer, for the report of an analysis."""
    found = analysis.standard_errors
    if found is None:
        return []
    basins = analysis.rounded.basins
    rows = []
    for b, of_mass, of_log, of_time in zip(
        basins, found.masses, found.log_masses, found.log_exit_times, strict=True
    ):
        rows.append(
            (
                f"{float(b.position):.6g}",
                probability_text(float(b.log_mass), 4),
                f"{of_mass:.2g}" if float(b.log_mass) > SMALL else "-",
                f"{of_log:.2g}",
                "-" if math.isnan(of_time) else f"{of_time:.2g}",
            )
        )
    header = ("minimum", "mass", "std. error", "of its log", "of log exit time")
    lines = [*table(header, rows)]
    if len(basins) > 1:
        order = sorted(range(len(basins)), key=lambda k: -float(basins[k].log_mass))
        first, second = order[:2]
        gain = float(basins[first].log_mass - basins[second].log_mass)
        lines.append(
            f"The logarithm of the ratio of the two heaviest is {gain:.4g}, with a standard error "
            f"of {found.log_ratios[first, second]:.2g}."
        )
        if max(found.log_masses) > BENT:
            lines.append(
                "With errors as large as that, masses and the mean are not normal: two standard "
                "errors of the logarithm are the better interval."
            )
    lines.append(f"The standard error of the mean is {found.mean:.2g}.")
    if found.share > HEAVY and analysis.landscape is not None and analysis.landscape.has_datapoints:
        lines.append(
            f"Ten datapoints make {100 * found.share:.2g} % of that variance: with such heavy "
            "tails an interval of two standard errors covers less than 95 %."
        )
    return ["These are errors of the sample, beside the numerical ones above.", *lines]
