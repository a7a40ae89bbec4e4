"""How the density leans within the cells: the slope of its logarithm.

Spread evenly over a cell, probability creeps from cell to cell as if by extra noise, of about
h^2 / 6 per step. Over a barrier of height S in log density that makes a rare mass too large by a
factor of about exp(S h^2 / sigma^2), sigma being the noise of a step. Where the density is taken
to lean as it does, as exp(q w), nothing creeps: with steps that do not depend on w, the averages of
exp(q w) over cells are exactly stationary on the cells, whatever their width.

The slope that belongs to the steps at w is the root q, other than 0, of E exp(-q step) = 1: it is
Cramer's and Lundberg's exponent, which for small steps is 2 f / a as in the diffusion. It is used
where it changes little over a step. Elsewhere (in the middle of what is likely, or with steps as
wide as the whole state) the slope is read from the density on wider cells.

References
----------
.. [1] W. Feller, *An Introduction to Probability Theory*, vol. 2, Wiley 1971, XII.6.
.. [2] D. L. Scharfetter, H. K. Gummel, *IEEE Trans. Electron Devices* 16 (1969) 64: the same
   thought for drift and diffusion.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from stationary.chain.batches import Batches

__all__ = ["exponent", "rare_slope", "seen_slope", "tilt"]

Array = NDArray[Any]

STEADY = 0.3  # relative change of the exponent over a step, below which it counts
WORK = 2**16  # steps looked at in one evaluation
DOUBLINGS, NEWTON = 60, 60


def tilt(batches: Batches, edges: Array, seen: tuple[Array, Array] | None) -> Array:
    """The slope of log density in each cell; `seen`: edges and log masses of other cells."""
    slope, steady = rare_slope(batches, edges)
    if seen is None or len(seen[0]) < 3:
        return np.where(steady, slope, 0.0)
    before, fresh = (e[1:] + e[:-1] for e in (seen[0], edges))
    return np.where(steady, slope, np.interp(fresh, before, seen_slope(*seen)))


def rare_slope(batches: Batches, edges: Array) -> tuple[Array, Array]:
    """The slope that the steps alone imply in each cell, and whether it is steady there."""
    centre = (edges[1:] + edges[:-1]) / 2
    stride = max(1, len(centre) * max(len(batches), batches.landscape.datapoints) // WORK)
    w = np.unique(np.append(centre[::stride], centre[-1]))
    p, step = batches.probability, batches.images(w) - w
    q = -exponent(p, step)
    known = np.isfinite(q)
    if known.sum() < 3:
        return np.zeros(len(centre)), np.zeros(len(centre), dtype=bool)
    steady = known
    for further in (step.min(axis=0), step.max(axis=0)):
        there = np.interp(w + further, w, q)  # nan next to where there is none
        with np.errstate(invalid="ignore"):
            steady = steady & (np.abs(there - q) <= STEADY * np.abs(q))
    w, step, q = w[known], step[:, known], q[known]
    whole = q + _prefactor(p, step, q, w)
    slope = np.interp(centre, w, whole)
    return slope, np.interp(centre, w, steady[known].astype(float)) == 1.0


def _prefactor(p: Array, step: Array, q: Array, w: Array) -> Array:
    """The slope of log A where the density is A exp(int q): the next order in the step.

    In rho(y) = sum p rho(w) / |dy/dw| over the w with y = w + step(w), all is expanded about y:
    sum p exp(-q step) (step (log A)' - q step step' - q' step^2 / 2 + step') = 0.
    """
    weight = p[:, None] * np.exp(-q * step)
    bend = np.gradient(step, w, axis=1)
    known = (weight * (q * step * bend + 0.5 * np.gradient(q, w) * step**2 - bend)).sum(axis=0)
    mean, size = (weight * step).sum(axis=0), np.sqrt((weight * step**2).sum(axis=0))
    clear = np.abs(mean) > 0.05 * size  # where the drift turns around both vanish
    if not clear.any():
        return np.zeros(len(w))
    found = np.interp(w, w[clear], known[clear] / mean[clear])
    return np.asarray(np.clip(found, -np.abs(q) / 2, np.abs(q) / 2))


def exponent(p: Array, step: Array) -> Array:
    """t != 0 with sum p exp(t step) = 1, for each column; nan where all steps go one way.

    log sum p exp(t step) is convex and vanishes at 0, where its slope is the mean step. From
    beyond the other root Newton's method comes down to it without passing it.
    """
    mean = p @ step
    size = np.sqrt(p @ step**2)
    sign = -np.sign(mean)
    both = (step.min(axis=0) < 0) & (step.max(axis=0) > 0) & (sign != 0)
    result = np.where(sign == 0, 0.0, np.nan)
    x = sign[both] * step[:, both] / size[both]

    def value(u: Array, x: Array) -> tuple[Array, Array]:
        top = (u * x).max(axis=0)
        terms = p[:, None] * np.exp(u * x - top)
        total = terms.sum(axis=0)
        return top + np.log(total), (terms * x).sum(axis=0) / total

    u = 2 * np.abs(mean[both]) / size[both]
    for _ in range(DOUBLINGS):
        low = value(u, x)[0] <= 0
        if not low.any():
            break
        u = np.where(low, 2 * u, u)
    beyond = value(u, x)[0] > 0
    for _ in range(NEWTON):
        f, slope = value(u, x)
        new = np.where(beyond & (slope > 0), u - f / np.where(slope > 0, slope, 1.0), u)
        settled = np.abs(new - u) <= 1e-12 * u
        u = new
        if settled.all():
            break
    result[both] = np.where(beyond, sign[both] * u / size[both], np.nan)
    return result


def seen_slope(edges: Array, log_mass: Array) -> Array:
    """The slope of log density in each cell, from its neighbours: none at a peak."""
    width, centre = np.diff(edges), (edges[1:] + edges[:-1]) / 2
    with np.errstate(invalid="ignore"):
        between = np.diff(log_mass - np.log(width)) / np.diff(centre)
    between = np.where(np.isfinite(between), between, 0.0)
    left, right = np.append(between[:1], between), np.append(between, between[-1:])
    least = 2 * np.minimum(np.abs(left), np.abs(right))
    mean = (left + right) / 2
    return np.where(left * right > 0, np.sign(mean) * np.minimum(np.abs(mean), least), 0.0)
