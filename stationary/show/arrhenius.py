"""How exit times grow as noise falls: log time over 1 / learning rate or temperature."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from stationary import wording as say
from stationary.errors import StationaryError
from stationary.show.drawing import MARKED, Axes, add_legend, colour_of
from stationary.show.sweep import value_text
from stationary.sweeps.arrhenius import rate_of
from stationary.sweeps.sweep import Sweep

DASHES = ("-", "--", ":", "-.")


def named_in(sweep: Sweep, label: int) -> str:
    where = sweep.table()[f"position_{label}"]
    low, high = f"{np.nanmin(where):.3g}", f"{np.nanmax(where):.3g}"
    return f"minimum {label}, at {low if low == high else f'{low} to {high}'}"


def draw_arrhenius(ax: Axes, sweep: Sweep) -> None:
    """The mean time to leave each minimum over 1 / learning rate, and what its slope leads to."""
    columns, rate = sweep.table(), rate_of(sweep.swept)
    if not sweep.activations:
        way = 'Ask for them, as in sweep(..., quantities=["log_exit_time"])'
        if "log_exit_time" in sweep.quantities and rate:
            way = "Take lower ones, at which minima are parted, or a lower min_barrier"
        raise StationaryError(
            f"{sweep.name}: there are no exit times at four learning rates (or temperatures) or "
            f"more, over which an Arrhenius plot could go. {way}."
        )
    for k, a in enumerate(sweep.activations):
        at = list(a.rows)
        x = 1 / columns[rate][at]
        y = columns[f"log_exit_time_{a.label}"][at] / math.log(10)
        fixed = [f"{n} = {value_text(v)}" for n, v in a.fixed.items()]
        slope = f"activation {say.known_text(a.slope, a.error, 4)}"
        kind: dict[str, Any] = {
            "color": colour_of(a.label),
            "ls": DASHES[k // len(sweep.labels) % len(DASHES)],
            "marker": "." if len(x) <= MARKED else "",
            "label": ", ".join([*fixed, named_in(sweep, a.label), slope]),
        }
        ax.plot(x, y, **kind)
    unit = "steps" if rate == "learning_rate" else "the time"
    ax.set_xlabel(f"1 / {rate.replace('_', ' ')}")
    ax.set_ylabel(rf"$\log_{{10}}$ of {unit} until it is left")
    add_legend(ax, len(sweep.activations))
