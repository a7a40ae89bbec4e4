"""Parts of rectangles, on which integrals are taken."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from stationary.aliases import Array

RULE = 12  # Gauss points in a panel for each direction
# Of P in a panel, what its last coefficients may be: a rule of Gauss squares that, to 1e-13. The
# root of P in the panel, next to the peak of its valley, is made up for: tails need fewer digits.
LAST = 3e-7


class Panels(NamedTuple):
    """Parts of rectangles, each in the local coordinates [-1, 1] of its rectangle."""

    number: Array  # (P,)
    low: Array  # (2, P)
    size: Array  # (2, P)

    @classmethod
    def joined(cls, parts: list[Panels]) -> Panels:
        return cls(*(np.concatenate(v, axis=-1) for v in zip(*parts, strict=True)))

    def restricted(self, keep: Any) -> Panels:
        return Panels(*(v[..., keep] for v in self))

    def halved(self, axis: int) -> Panels:
        """Lower halves, then upper ones."""
        size = self.size.copy()
        size[axis] /= 2
        upper = self.low.copy()
        upper[axis] += size[axis]
        return Panels.joined([Panels(self.number, low, size) for low in (self.low, upper)])


def log_sum(log: Array, factor: Array) -> float:
    """log of the sum of e^log factor; -inf where it is not positive."""
    if not len(log):
        return -np.inf
    top = float(np.max(log))
    total = float((np.exp(log - top) * factor).sum())
    return top + float(np.log(total)) if total > 0 else -np.inf
