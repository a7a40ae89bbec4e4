"""The barriers around a minimum along its eigenvectors, in words."""

from __future__ import annotations

from stationary.show.layout import report, table
from stationary.sources.local import Escapes

__all__ = ["text"]


def text(e: Escapes) -> str:
    """At most 80 columns wide."""
    rows = [
        (
            str(k),
            f"{e.curvatures[k]:.5g}",
            f"{e.deviations[k]:.4g}",
            *(
                f"{'' if e.found[k, side] else '> '}{e.exponents[k, side]:.4g} at "
                f"{e.places[k, side]:.3g}"
                for side in (0, 1)
            ),
        )
        for k in range(len(e.curvatures))
    ]
    title = f"Barriers at learning rate {e.learning_rate:g} and batch size {e.batch_size}"
    lines = [
        *table(("", "curvature", "deviation", "to the left", "to the right"), rows),
        "Along eigenvectors of the Hessian: its eigenvalue; the deviation of SGD; and the exponent "
        "of the barrier to either side, with the distance at which it is highest. The mean time to "
        "leave that way grows with exp(exponent). Where the losses climb to the end of the slice, "
        "the exponent there is a lower bound (>).",
    ]
    return report([(title, lines)])
