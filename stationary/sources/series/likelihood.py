"""Maximum likelihood on splines, whose smoothness the series itself decides.

log P is a spline whose third derivative is penalised (a Gaussian costs nothing) and log a one
whose first is (a constant costs nothing: where observations lie far apart, little else is known).
At each step of scoring the likelihood is a quadratic, of which both penalties are those of
restricted maximum likelihood: the fixed point of Fellner and Schall [1]_,
lambda = (rank - lambda tr(V S)) / (theta' S theta), with V the covariance of theta. It is first
climbed on cells that are wide, and then on ones that lose nothing.

References
----------
.. [1] S. N. Wood and M. Fasiolo, *A generalized Fellner-Schall method for smoothing parameter
   optimization*, Biometrics 73 (2017) 1071.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stationary.functions.interpolation import Spline
from stationary.sources.series.chain import Cells, Chain
from stationary.sources.series.runs import Runs

__all__ = ["Fitted", "fitted"]

Array = NDArray[Any]

DEGREE = 3
OF_P, OF_A = 16, 10  # splines: more change nothing, since the penalties decide
ROUGH, FINE = 1.0, 0.3  # width of a cell over the length of a step; below 0.3 less than 1 % is lost
FEWEST, MOST = 64, 240  # cells
ROUNDS = 40
SETTLED = 0.02  # of log L, and of the number of parameters: chance makes 1 of either
STIFFEST = 1e7  # a penalty that leaves nothing
UNKNOWN = 1e-6  # information: of logarithms that may be off by a thousand


@dataclass(frozen=True, eq=False)
class Fitted:
    """The most likely coefficients and their covariance."""

    cells: Cells
    theta: Array
    covariance: Array
    log_likelihood: float
    freedom: float  # effective number of parameters
    converged: bool

    @property
    def chain(self) -> Chain:
        return Chain(self.cells, self.theta)

    @property
    def domain(self) -> tuple[float, float]:
        return float(self.cells.edges[0]), float(self.cells.edges[-1])

    def splines(self, theta: Array) -> tuple[Spline, Spline]:
        """log P and log a as splines; `theta` may have columns."""
        return _spline(theta[:OF_P], *self.domain), _spline(theta[OF_P:], *self.domain)


def fitted(runs: Runs) -> Fitted:
    """The diffusion under which the steps of the series are most likely."""
    a, length = _first_guess(runs)
    rough, fine = (_cells(runs, width * length) for width in (ROUGH, FINE))
    smoothing = np.ones(2)
    if len(rough.edges) == len(fine.edges):
        return _climbed(runs, fine, _gaussian(fine, runs, a), smoothing)[0]
    found, smoothing = _climbed(runs, rough, _gaussian(rough, runs, a), smoothing)
    return _climbed(runs, fine, found.theta, smoothing)[0]


def _climbed(runs: Runs, cells: Cells, theta: Array, smoothing: Array) -> tuple[Fitted, Array]:
    """Steps of scoring, each with the smoothing of its quadratic."""
    size = OF_P + OF_A
    penalties = np.stack([_penalty(0, OF_P, 3, size), _penalty(OF_P, size, 1, size)])
    gauge = np.zeros((size, size))
    gauge[:OF_P, :OF_P] = 1.0 / OF_P**2  # a constant in log P changes nothing
    counts = cells.counts(runs.classes())
    last, converged = np.full(2, math.inf), False
    for _ in range(ROUNDS):
        chain = Chain(cells, theta)
        blurred = chain.blurred(counts)
        total, gradient, information = chain.score(blurred)
        held = information + gauge * np.trace(information) / size + UNKNOWN * np.eye(size)
        aim, smoothing, covariance = _smoothest(held, gradient + held @ theta, penalties, smoothing)
        now = np.array([total, float((covariance * information).sum())])
        converged = bool(np.abs(now - last).max() < SETTLED)
        if converged:
            break
        last = now
        penalty = np.tensordot(smoothing, penalties, 1)
        value = total - theta @ penalty @ theta / 2
        for halving in range(12):
            trial = theta + (aim - theta) / 2**halving
            try:
                reached = Chain(cells, trial).log_likelihood(blurred)
            except (FloatingPointError, np.linalg.LinAlgError):
                continue
            if reached - trial @ penalty @ trial / 2 >= value - 1e-9 * abs(value):
                theta = trial
                break
    return Fitted(cells, theta, covariance, total, float(now[1]), converged), smoothing


def _smoothest(
    information: Array, pull: Array, penalties: Array, smoothing: Array
) -> tuple[Array, Array, Array]:
    """Where a quadratic is largest under the penalties that it asks for, these, and its width."""
    ranks = np.array([OF_P - 3, OF_A - 1])
    for _ in range(200):
        covariance = np.linalg.inv(information + np.tensordot(smoothing, penalties, 1))
        theta = covariance @ pull
        bent = np.maximum(np.einsum("i,kij,j->k", theta, penalties, theta), 1e-12)
        left = ranks - smoothing * np.einsum("ij,kij->k", covariance, penalties)
        updated = np.clip(left / bent, smoothing / 30, smoothing * 30).clip(1e-4, STIFFEST)
        still = np.abs(np.log(updated / smoothing)).max() < 1e-3
        smoothing = updated
        if still:
            break
    return theta, smoothing, covariance


def _first_guess(runs: Runs) -> tuple[float, float]:
    """The variance, and the shortest typical step of any tenth of the series, by place."""
    start, stop, time = runs.steps()
    spread, lag = float(runs.all.var()), float(np.median(time))
    off = float(((stop - start)[time <= 1.5 * lag] ** 2).mean())
    memory = np.clip(1 - off / (2 * spread), 1e-3, 1 - 1e-9)
    parts = [p for p in np.array_split((stop - start)[np.argsort(start)], 10) if len(p)]
    # 0.455 is the median of the square of a standard normal number.
    length = min(math.sqrt(float(np.median(p**2)) / 0.455) for p in parts) or math.sqrt(off)
    return -2 * spread * math.log(memory) / lag, length


def _cells(runs: Runs, width: float) -> Cells:
    low, high = float(runs.all.min()), float(runs.all.max())
    m = int(np.clip(math.ceil((high - low) / width), FEWEST, MOST))
    h = (high - low) / (m - 1)
    edges = low - h / 2 + h * np.arange(m + 1)
    centres, ends = (edges[1:] + edges[:-1]) / 2, edges[[0, -1]]
    return Cells(edges, _basis(OF_P, *ends)(centres), _basis(OF_A, *ends)(edges[1:-1]))


def _basis(count: int, low: float, high: float) -> Callable[..., Array]:
    """`count` cubic B-splines on evenly spaced knots: x -> shape (M, count)."""
    from scipy.interpolate import BSpline

    step = (high - low) / (count - DEGREE)
    knots = low + step * np.arange(-DEGREE, count + 1)
    made: Callable[..., Array] = BSpline(knots, np.eye(count), DEGREE)
    return made


def _spline(theta: Array, low: float, high: float) -> Spline:
    made = _basis(len(theta), low, high)
    knots = np.linspace(low, high, len(theta) - DEGREE + 1)
    powers = [made(knots[:-1], nu=k) @ theta / math.factorial(k) for k in range(DEGREE, -1, -1)]
    return Spline(knots, np.stack(powers))


def _penalty(start: int, stop: int, order: int, size: int) -> Array:
    d = np.diff(np.eye(stop - start), order, axis=0)
    made = np.zeros((size, size))
    made[start:stop, start:stop] = d.T @ d
    return made


def _gaussian(cells: Cells, runs: Runs, a: float) -> Array:
    """The coefficients of a Gaussian as wide as the series, and of an even variance."""
    x, centres = runs.all, (cells.edges[1:] + cells.edges[:-1]) / 2
    log_p = -((centres - x.mean()) ** 2) / (2 * x.var())
    of_p = np.linalg.lstsq(cells.of_p, log_p, rcond=None)[0]
    return np.concatenate([of_p, np.full(OF_A, math.log(a))])
