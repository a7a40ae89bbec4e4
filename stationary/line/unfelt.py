"""Where 2 f / a is too steep to be followed, and need not be: between a well and its barrier.

Where gradients agree to thousands of digits 2 f / a grows by as many e-folds, and a panel holds
some thirty of them. What counts are the well, the top of its barrier, and where nearly all of
int 2 f / a between the two comes from. On panels far from all three its mean will do.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from stationary.aliases import Array
from stationary.numbers.chebyshev import rule
from stationary.numbers.elementary import arithmetic_of, depth_of, log, to_float
from stationary.panels.pieces import Samples

SMOOTH = 0.01  # e-folds of 2 f / a that polynomials may leave of its logarithm
FAR = 1e4  # times the depth to which densities are followed, for powers of them, too


def with_means(found: Samples) -> Samples:
    """The same, with the mean of 2 f / a where it is not resolved and need not be."""
    aside = ~found.resolved & _unfelt(found)
    if not aside.any():
        return found
    (h, *values), (c, *others), (tail, *tails) = found.values, found.coefficients, found.tails
    mean = rule(len(h), arithmetic_of(found.lower)).integral @ c / 2
    level = np.concatenate([mean[None], np.zeros_like(c[1:])])
    return replace(
        found,
        values=(np.where(aside, mean, h), *values),
        coefficients=(np.where(aside, level, c), *others),
        tails=(np.where(aside, np.abs(h).max(axis=0), tail), *tails),
        resolved=found.resolved | aside,
    )


def _unfelt(found: Samples) -> Array:
    """Where, seen from both ends of the way that the drift leads along, Phi has changed by far more
    than matters, and next to nothing of all it changes by lies near; nor does anything hide there.
    """
    arithmetic = arithmetic_of(found.lower)
    h, width = found.values[0], log(found.upper - found.lower)
    up, down = (h > 0).all(axis=0), (h < 0).all(axis=0)
    sign = np.where(up, 1, np.where(down, -1, 0))
    size = to_float(log(np.where(sign, np.abs(h), 1)) + width)
    least, most = size.min(axis=0), size.max(axis=0)
    smooth = np.abs((rule(len(size)).coefficients @ size)[-3:]).max(axis=0) < SMOOTH
    beside = np.pad(most, 1, mode="edge")
    most = np.max([most, beside[2:], beside[:-2]], axis=0)  # ends are no nodes
    of_a = np.abs(to_float(found.at_edges[1][1]) - to_float(found.at_edges[1][0]))
    unfelt = np.zeros(len(sign), dtype=bool)
    rounding = float(log(arithmetic.epsilon / arithmetic.grain))
    cuts = np.flatnonzero(np.diff(sign)) + 1
    for start, stop in zip([0, *cuts], [*cuts, len(sign)], strict=True):
        if sign[start] and stop - start > 2:
            so_far = np.logaddexp.accumulate(least[start:stop])
            to_come = np.logaddexp.accumulate(least[start:stop][::-1])[::-1]
            far = np.log(FAR * depth_of(arithmetic) + of_a[start:stop].sum())
            nothing = so_far[-1] + float(log(arithmetic.epsilon))
            inner = slice(start + 1, stop - 1)
            deep = np.minimum(so_far[:-2], to_come[2:])
            clear = (deep > far) & (deep > most[inner] - rounding)  # of Phi at its smaller end
            unfelt[inner] = clear & (most[inner] < nothing) & smooth[inner]
    return unfelt
