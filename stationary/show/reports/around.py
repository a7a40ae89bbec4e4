"""The law of SGD around a minimum, in words."""

from __future__ import annotations

import numpy as np

from stationary.show.layout import report, table
from stationary.sources.local import Around

__all__ = ["text"]

SHOWN = 20


def text(a: Around) -> str:
    """At most 80 columns wide."""
    noise = np.sqrt(np.diag(a.noise))
    rows = [
        (str(k), f"{h:.5g}", f"{s:.4g}", f"{g:.2g}", f"{s / np.sqrt(2 * h):.4g}" if h > 0 else "-")
        for k, (h, s, g) in enumerate(zip(a.curvatures, noise, a.slope, strict=True))
    ][:SHOWN]
    n, count = len(a.vectors), a.network.datapoints
    return report(
        [
            (
                f"Around a point in {n:,} weights, {count:,} datapoints",
                [
                    *table(("", "curvature", "noise", "gradient", "deviation"), rows),
                    "Along eigenvectors of the Hessian of the mean loss: its eigenvalue; the "
                    "deviation of the gradients of the datapoints; the mean gradient (0 at a "
                    "minimum); and the deviation of SGD over sqrt(T / B), for small T: "
                    ".deviations(learning_rate, batch_size) has it for any.",
                ],
            )
        ]
    )
