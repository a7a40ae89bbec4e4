"""What a table holds, in words."""

from __future__ import annotations

import math

from stationary.show.layout import report, table
from stationary.sources.table import Table
from stationary.wording import sentence

__all__ = ["text"]


def text(t: Table) -> str:
    """At most 80 columns wide."""
    what = {
        "gradients": f"gradients of {t.datapoints} datapoints",
        "losses": f"losses of {t.datapoints} datapoints",
        "moments": "mean and variance of the gradients",
        "process": "drift and variance",
    }[t.kind]
    lines = [sentence(what), *(sentence(note, t.name) for note in t.notes)]
    if t.ignored:
        lines.append(f"Columns that mean nothing here: {', '.join(t.ignored)}.")
    rows = [
        (f"{place:.6g}", "stable" if stable else "unstable", f"{height:.3g}")
        for place, stable, height in t.equilibria
        if math.isfinite(height)
    ]
    zeros = table((t.variable, "", "standard errors"), rows) if rows else []
    return report([(t.name, lines), ("Equilibria", zeros)])
