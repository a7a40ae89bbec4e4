"""Where nodes of a law of minibatches lead from many weights: by polynomials between a few.

They are smooth in the weight, but for what bins of datapoints round; each takes all datapoints.
"""

from __future__ import annotations

import numpy as np
from numpy.polynomial.chebyshev import chebvander

from stationary.aliases import Array
from stationary.chain.batches import Batches
from stationary.numbers.cost import SHARED

POINTS = 20  # of a polynomial; as many others tell whether it is one
WORTH = 80  # weights, from which on it is tried
# Of the deviation of a step, that nodes may be off by (bins make them so), their mean, and any.
SHAPE, MEAN, FARTHEST = 2e-5, 1e-8, 0.05


def led(batches: Batches, w: Array) -> Array:
    """`Batches.images` at ascending weights, shape (K, M)."""
    if batches.exact or len(w) < WORTH:
        size = max(1, 2 * SHARED // max(len(batches), batches.landscape.datapoints))
        return np.hstack([batches.images(w[i : i + size]) for i in range(0, len(w), size)])
    inside = batches.places[(w[0] < batches.places) & (batches.places < w[-1])]
    found = None if len(inside) else _by_polynomials(batches, w)
    if found is not None:
        return found
    half = len(w) // 2
    if len(inside):  # which parts then end at
        half = int(np.clip(np.searchsorted(w, inside[len(inside) // 2]), 1, len(w) - 1))
    return np.hstack([led(batches, w[:half]), led(batches, w[half:])])


def _by_polynomials(batches: Batches, w: Array) -> Array | None:
    middle, half = (w[-1] + w[0]) / 2, (w[-1] - w[0]) / 2
    t = np.cos(np.pi * (np.arange(POINTS) + 0.5) / POINTS)
    few = np.concatenate(
        [middle + half * t, w[np.arange(1, 2 * POINTS, 2) * len(w) // (2 * POINTS)]]
    )
    steps, p = batches.images(few) - few, batches.probability
    terms = steps[:, :POINTS] @ chebvander(t, POINTS - 1) * (2 / POINTS)
    terms[:, 0] /= 2
    seen = steps[:, POINTS:]
    off = terms @ chebvander((few[POINTS:] - middle) / half, POINTS - 1).T - seen
    deviation = np.sqrt(p @ (seen - p @ seen) ** 2)
    for size, share in ((np.sqrt(p @ off**2), SHAPE), (abs(p @ off), MEAN), (abs(off), FARTHEST)):
        if not (size <= share * deviation).all():
            return None
    return np.asarray(w + terms @ chebvander((w - middle) / half, POINTS - 1).T)
