"""What a recorded series says, in words."""

from __future__ import annotations

import numpy as np

from stationary.analysis import analyze
from stationary.show.layout import report, table
from stationary.show.reports.influence import errors_of
from stationary.sources.series.fit import Fit
from stationary.wording import time_text

__all__ = ["text"]

SHOWN = (0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99)  # quantiles of the series


def text(f: Fit) -> str:
    """At most 80 columns wide."""
    runs, lags, found = f.runs, f.lags, analyze(f.diffusion)
    count = sum(map(len, runs.values))
    several = f" in {len(runs.values)} runs" if len(runs.values) > 1 else ""
    typical = float(np.median(runs.steps()[2]))
    lines = [
        f"It is {lags.verdict.value}.",
        f"{count:,} observations{several}, about {typical:.4g} apart, of a process that forgets "
        f"within {f.found.chain.relaxation_time:.4g}.",
    ]
    if not f.found.converged:
        lines.append(
            "The likelihood was still changing when the fit was stopped: trust it to a standard "
            "error or two."
        )
    x = np.quantile(runs.all, SHOWN)
    curves = [
        (f"{v:.5g}", f"{a:.4g}", f"{b:.2g}", f"{c:.4g}", f"{d:.2g}")
        for v, a, b, c, d in zip(
            x, f.drift(x), f.drift_error(x), f.variance(x), f.variance_error(x), strict=True
        )
    ]
    ladder = [
        (str(lag), f"{time:.4g}", f"{speed:.4g}", f"{error:.2g}")
        for lag, time, speed, error in zip(
            lags.lags, lags.times, lags.speeds, lags.errors, strict=True
        )
    ]
    ends = [
        (
            f"{b.position:.6g}",
            f"{b.mass:.5g}",
            "-" if passage is None else time_text(passage.log_time),
        )
        for b, passage in zip(found.basins, found.exits, strict=True)
    ]
    peaks = ", ".join(f"{m.position:.5g}" for m in found.end_state.modes)
    return report(
        [
            (f.name, lines),
            (
                "Drift and variance",
                table(("x", "drift f", "std. error", "variance a", "std. error"), curves),
            ),
            (
                "The end state",
                [
                    *table(("minimum", "mass", "exit time"), ends),
                    f"Mean {found.end_state.mean():.6g}, standard deviation "
                    f"{found.end_state.std():.6g}; the density peaks at {peaks}.",
                ],
            ),
            ("How sure the series makes this", errors_of(found)),
            (
                "The ladder of lags",
                [
                    *table(("observations", "time", "speed", "std. error"), ladder),
                    "Speed: how fast the process runs by steps over so many observations, against "
                    "the fit. A diffusion runs equally fast at all.",
                    f"Its two halves are {lags.halves[0]:.2g} standard errors apart in the mean, "
                    f"and {lags.halves[1]:.2g} in speed (above 4: not stationary).",
                ],
            ),
        ]
    )
