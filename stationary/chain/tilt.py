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

import numpy as np

from stationary.aliases import Array
from stationary.chain.batches import Batches
from stationary.numbers.cost import CACHE
from stationary.numbers.elementary import distinct

Seen = tuple[Array, Array]  # edges and log masses of cells

STEADY = 0.3  # relative change of the exponent over a step, below which it counts


class Lean:
    """The slope of log density, as the steps alone imply it, on an interval.

    Attributes
    ----------
    w, slope
        Where it was computed, and it.
    steady
        Where it changes little over a step.
    """

    def __init__(self, batches: Batches, w: Array) -> None:
        stride = max(1, len(w) * max(len(batches), batches.landscape.datapoints) // (4 * CACHE))
        w = distinct(w[::stride], w[-1])
        p, step = batches.probability, batches.images(w) - w
        q = -exponent(p, step)
        known = np.isfinite(q)
        self.w, self.slope, self.steady = w, np.zeros(len(w)), np.zeros(len(w))
        if known.sum() < 3:
            return
        steady = known
        for further in (step.min(axis=0), step.max(axis=0)):
            there = np.interp(w + further, w, q)  # nan next to where there is none
            with np.errstate(invalid="ignore"):
                steady = steady & (np.abs(there - q) <= STEADY * np.abs(q))
        self.w, step, q = w[known], step[:, known], q[known]
        self.slope = q + _prefactor(p, step, q, self.w)
        self.steady = steady[known].astype(float)

    def __call__(self, edges: Array, seen: Seen | None = None) -> Array:
        """The slope in each cell; where the steps do not tell, as in cells `seen` before."""
        centre = (edges[1:] + edges[:-1]) / 2
        slope = np.interp(centre, self.w, self.slope)
        steady = np.interp(centre, self.w, self.steady) == 1.0
        other: Array | float = 0.0
        if seen is not None and len(seen[0]) > 2:
            before = (seen[0][1:] + seen[0][:-1]) / 2
            other = np.interp(centre, before, seen_slope(*seen))
        return np.where(steady, slope, other)

    def rise(self, edges: Array) -> Array:
        """log density in the cells, as far as the steps tell: where it is highest SGD mostly is."""
        middle = np.append(edges[0], (edges[1:] + edges[:-1]) / 2)
        return np.cumsum(np.interp(middle[1:], self.w, self.slope) * np.diff(middle))


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


@np.errstate(all="ignore")  # where there is no such root, there is no number
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
    beyond = np.zeros(len(u), dtype=bool)
    going = np.arange(len(u))
    for _ in range(60):  # up until it is beyond the root
        f, slope = value(u[going], x[:, going])
        beyond[going] = (f > 0) & (slope > 0)
        going = going[f <= 0]
        if not len(going):
            break
        u[going] *= 2
    going = np.flatnonzero(beyond)
    for _ in range(60):
        f, slope = value(u[going], x[:, going])
        new = u[going] - f / slope
        moved = np.abs(new - u[going]) > 1e-12 * u[going]
        u[going] = new
        going = going[moved]
        if not len(going):
            break
    result[both] = np.where(beyond, sign[both] * u / size[both], np.nan)
    return result


def seen_slope(edges: Array, log_mass: Array) -> Array:
    """The slope of log density in each cell, from its neighbours: none at a peak."""
    width, centre = np.diff(edges), (edges[1:] + edges[:-1]) / 2
    with np.errstate(invalid="ignore", over="ignore"):
        between = np.diff(log_mass - np.log(width)) / np.diff(centre)
    between = np.where(np.isfinite(between), between, 0.0)
    left, right = np.append(between[:1], between), np.append(between, between[-1:])
    least = 2 * np.minimum(np.abs(left), np.abs(right))
    mean = (left + right) / 2
    return np.where(left * right > 0, np.sign(mean) * np.minimum(np.abs(mean), least), 0.0)
