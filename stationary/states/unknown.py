"""How well first passages are known where drift and variance were interpolated.

An error of 2 f / a at z, lasting from one pair of knots to the next, makes the speed measure above
z larger and the scale measure smaller. With A and B the scale measure below and above, and g the
share of the time spent at u by what starts at x, the mean time changes, relatively, by at most

    A(z) sum_{u > z} g / A(min(u, x))  for z < x,   B(z) sum_{u < z} g / B(max(u, x))  for z > x;

where the process does not leave below, by sum_{u < z} g for z < x.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from stationary.aliases import Array
from stationary.line.sampling import Sampling
from stationary.numbers.elementary import log, logsumexp, to_float


@dataclass(frozen=True, eq=False)
class Unknown:
    """Of one piece, by panel."""

    lower: Array  # ends
    of_h: Array  # what is not known of int h, squared
    of_a: Array  # of log a, on average
    speed: Array  # log of the speed measure, up to a constant
    scale: Array  # log of the scale measure, up to a constant

    @classmethod
    def of(cls, q: Sampling, low: Any, high: Any) -> Unknown:
        """Of what lies between two points."""
        inside = np.asarray((q.panels.upper > low) & (q.panels.lower < high), dtype=bool)
        logs = []
        for s in (1, 0):  # m goes as e^Phi / a, s as e^-Phi
            phi = (2 * s - 1) * q.potential(2 * s - 1, s)[0] - s * q.ell[0]
            logs.append(to_float(phi + log(q.panels.half))[inside])
        of_h, _, of_a = (v[inside] for v in q.unknown)
        return cls(to_float(q.panels.lower)[inside], of_h, of_a, *logs)

    @property
    def chances(self) -> tuple[float, float]:
        """Of the logs of the probabilities to leave below and above.

        An error of 2 f / a at y counts, at most, as the share of the scale measure on the other
        side of y than the end.
        """
        way = np.exp(self.scale - logsumexp(self.scale))
        below, above = np.cumsum(way), np.cumsum(way[::-1])[::-1]
        return math.sqrt(float(self.of_h @ below**2)), math.sqrt(float(self.of_h @ above**2))

    def times(self, x: Array, end: int, *, both: bool) -> Array:
        """Of the logs of mean times to an end, from each x; whether the other one is left, too."""
        at = np.clip(np.searchsorted(self.lower, x, side="right") - 1, 0, len(self.lower) - 1)
        of_h, of_a, m, s = self.of_h, self.of_a, self.speed, self.scale
        if end == 0:  # seen as the upper one
            of_h, of_a, m, s, at = of_h[::-1], of_a[::-1], m[::-1], s[::-1], len(m) - 1 - at
        starts, back = np.unique(at, return_inverse=True)
        k, u = starts[:, None], np.arange(len(m))
        below, above = np.logaddexp.accumulate(s), np.logaddexp.accumulate(s[::-1])[::-1]
        nearer, farther = below[np.minimum(u, k)], above[np.maximum(u, k)]
        share = m + farther + (nearer + below if both else 0)
        share = share - np.logaddexp.reduce(share, axis=1, keepdims=True)
        spent = np.exp(share)
        before, after = np.cumsum(spent, axis=1), np.cumsum(spent[:, ::-1], axis=1)[:, ::-1]
        change = np.exp(np.logaddexp.accumulate(share - farther, axis=1) + above)
        if both:
            # It comes to this end, and not to the other: what is not known of that counts, too.
            ways = share + np.logaddexp(-nearer, -below)
            ways = np.logaddexp.accumulate(ways[:, ::-1], axis=1)[:, ::-1] + below
            change = np.where(u < k, before + np.exp(ways), change + after)
        else:
            change = np.where(u < k, before, change)
        return np.asarray(np.sqrt(change**2 @ of_h) + spent @ of_a)[back]
