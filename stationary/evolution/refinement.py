"""`refined`: what three grids, each half as fine as the next, say together.

Errors that fall with the square of the cell, as the scheme's do where the noise spreads what the
drift carries over a cell, leave differences in a ratio of four; where the drift alone carries it
the ratio is two. The ratio that is seen decides how much of a difference is error.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Refined", "refined"]

Array = NDArray[Any]

SAFETY = 1.25
CAUTION = 1.6  # where the drift alone moves narrow things, the ratio still grows as cells shrink
NOISE = 1e-13  # relative to what is compared: a difference below it has no order


@dataclass(frozen=True, eq=False)
class Refined:
    """Moments extrapolated to cells of no width, and errors of what is on the finest grid."""

    mean: Array  # (times,)
    mean_error: Array
    variance: Array
    variance_error: Array
    distribution_error: Array  # (times,): the largest error of a probability below an edge
    mass_error: Array  # (times,): in total variation, on every other edge
    atom_errors: Array  # (times, atoms)

    def of_faces(self, values: list[Array]) -> Array:
        """The largest error, over the faces that all grids share, of the finest values."""
        first, second = _coarser(values, lambda d: np.abs(d).max(axis=1))
        return _error(first, second)


def _coarser(values: list[Array], norm: Any) -> tuple[Array, Array]:
    """Differences of the coarse and the middle, and of the middle and the fine, on shared faces."""
    coarse, middle, fine = values
    return norm(middle[:, ::2] - coarse), norm(fine[:, ::2] - middle)


def _error(first: Array, second: Array) -> Array:
    """The error of the finest, for each time, from the two differences."""
    top = float(second.max(initial=0.0))
    overall = float(first.max(initial=0.0)) / top if top > 0 else 4.0
    ratio = np.minimum(first / np.where(second > 0, second, 1.0), overall)
    ratio = np.where(second > 0, ratio, overall)
    safety = np.where(ratio > 3.0, SAFETY, CAUTION)
    smooth = safety * second / (np.clip(ratio, 1.5, 4.0) - 1)
    unknown = 5 * np.maximum(first, second)
    return np.asarray(np.where(ratio > 1.5, smooth, unknown))


def _extrapolated(values: list[Array], scale: float) -> tuple[Array, Array]:
    """The limit of three sequences (times,) and its error."""
    first, second = values[1] - values[0], values[2] - values[1]
    top = float(np.abs(second).max())
    ratio = float(np.abs(first).max()) / top if top > 0 else 4.0
    floor = NOISE * scale
    order = 4.0 if 3.0 < ratio < 6.0 else 2.0 if 1.7 < ratio < 2.5 else None
    if order is None or top <= floor:
        return values[2], _error(np.abs(first), np.abs(second)) + floor
    step = second / (order - 1)
    # The next term of the error falls faster; what the coarser pair makes of the limit shows it.
    other = values[1] + first / (order - 1)
    drift = np.abs(values[2] + step - other)
    error = np.maximum(drift, 0.1 * np.abs(step)) + 0.02 * float(np.abs(step).max()) + floor
    return values[2] + step, error


def refined(
    edges: list[Array], masses: list[Array], atoms: list[Array], positions: list[Array]
) -> Refined:
    """Compare three grids, coarse to fine: edges, cell masses (times, cells), atoms and places."""
    below = [np.concatenate([np.zeros((len(m), 1)), np.cumsum(m, axis=1)], axis=1) for m in masses]
    centre = [(e[1:] + e[:-1]) / 2 for e in edges]
    # Counted from one point, so that rounding is that of the width.
    origin = float((masses[-1][-1] @ centre[-1]) / max(masses[-1][-1].sum(), 1e-300))
    mean, variance = [], []
    for e, c, m, held, x in zip(edges, centre, masses, atoms, positions, strict=True):
        first = m @ (c - origin) + held @ (x - origin)
        inner = np.diff(e) ** 2 / 12
        second = m @ ((c - origin) ** 2 + inner) + held @ (x - origin) ** 2
        mean.append(first)
        variance.append(second - first**2)
    spread = float(np.abs(edges[-1] - origin).max())
    shift, mean_error = _extrapolated(mean, spread)
    var, variance_error = _extrapolated(variance, spread**2)
    # What is carried faster than it spreads may be too narrow for the cells to say more.
    beyond = var < -0.1 * np.abs(variance[2] - var)
    variance_error = np.where(beyond, np.maximum(variance_error, variance[2]), variance_error)
    var = np.where(beyond, variance[2], var)
    first, second = _coarser(below, lambda d: np.abs(d).max(axis=1))
    coarse, middle = [
        np.abs(np.diff(b[:, ::2] - a, axis=1)).sum(axis=1) / 2 for a, b in pairwise(below)
    ]
    lumps = [np.abs(b - a) for a, b in pairwise(atoms)]
    errors = [_error(a, b) for a, b in zip(lumps[0].T, lumps[1].T, strict=True)]
    return Refined(
        mean=shift + origin,
        mean_error=mean_error,
        variance=var,
        variance_error=variance_error,
        distribution_error=_error(first, second),
        mass_error=_error(coarse, middle),
        atom_errors=np.array(errors).T if errors else np.zeros((len(masses[0]), 0)),
    )
