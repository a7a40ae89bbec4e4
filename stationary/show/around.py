"""The law of SGD around a minimum of a network, and the barriers around it."""

from __future__ import annotations

from typing import Any

import numpy as np

from stationary.show.layout import MOST_ROWS, Report, picked, report, tabulated
from stationary.sources.local import Around, Escapes

LITTLE = 1e-6  # T / B: of less, nobody trains


def text(a: Around | Escapes) -> Report:
    if isinstance(a, Escapes):
        return _barriers(a)
    rows = [
        (str(k), f"{h:.5g}", f"{s:.4g}", f"{g:.2g}", f"{s / np.sqrt(2 * h):.4g}" if h > 0 else "-")
        for k, (h, s, g) in enumerate(zip(*table(a).values(), strict=True))
    ]
    title = f"Around a point in {len(a.vectors):,} weights, {a.network.datapoints:,} datapoints"
    words = (
        "Along eigenvectors of the Hessian of the mean loss: its eigenvalue; the deviation of the "
        "gradients of the datapoints; the mean gradient (0 at a minimum); and the deviation of "
        "SGD over sqrt(T / B), for small T: .deviations(learning_rate, batch_size) has it for any, "
        "with how the curvatures of the datapoints differ, for losses of second order."
    )
    header = ("", "curvature", "noise", "gradient", "deviation")
    return report({title: [*tabulated(header, rows[:MOST_ROWS]), words, *_beside(a)]})


def _beside(a: Around) -> list[str]:
    """Where the point is not at the minimum, how far that is."""
    with np.errstate(divide="ignore", invalid="ignore"):
        off = np.abs(a.slope) / a.curvatures
        share = 2 * a.slope**2 / (a.curvatures * np.diag(a.noise))  # T / B, as off is a deviation
    k = int(np.argmax(np.nan_to_num(share)))
    if not share[k] > LITTLE:
        return []
    return [
        f"The point is no minimum: along {k} that of the parabola is {off[k]:.2g} away, which is a "
        f"deviation of SGD at T / B = {share[k]:.1g}: train on."
    ]


def _barriers(e: Escapes) -> Report:
    def side(k: int, s: int) -> str:
        least = "" if e.found[k, s] else "> "
        return f"{least}{e.exponents[k, s]:.4g} at {e.places[k, s]:.3g}"

    rows = [
        (str(k), f"{h:.5g}", f"{d:.4g}", side(k, 0), side(k, 1))
        for k, (h, d) in enumerate(zip(e.curvatures, e.deviations, strict=True))
    ]
    title = f"Barriers at learning rate {e.learning_rate:g} and batch size {e.batch_size}"
    words = (
        "Along eigenvectors of the Hessian: its eigenvalue; the deviation of SGD; and the exponent "
        "of the barrier to either side, with the distance at which it is highest. The mean time to "
        "leave that way grows with exp(exponent). Where the losses climb to the end of the slice, "
        "the exponent there is a lower bound (>)."
    )
    header = ("", "curvature", "deviation", "to the left", "to the right")
    return report({title: [*tabulated(header, rows), words]})


def data(a: Around | Escapes) -> dict[str, Any]:
    if isinstance(a, Escapes):
        return picked(a, "learning_rate batch_size") | table(a)
    return {"weights": len(a.vectors), "datapoints": a.network.datapoints} | table(a)


def table(a: Around | Escapes) -> dict[str, Any]:
    """A row for each eigenvector: curvatures, noise and gradient; or barriers to both sides."""
    if isinstance(a, Escapes):
        columns: dict[str, Any] = {"curvature": a.curvatures, "deviation": a.deviations}
        for side, name in enumerate(("left", "right")):
            columns[f"exponent_{name}"] = a.exponents[:, side]
            columns[f"place_{name}"] = a.places[:, side]
            columns[f"is_barrier_{name}"] = a.found[:, side]
        return columns
    return {"curvature": a.curvatures, "noise": np.sqrt(np.diag(a.noise)), "gradient": a.slope}
