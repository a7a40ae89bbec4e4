"""Maximum likelihood on splines, whose smoothness the series itself decides.

log P is a spline whose third derivative is penalised (a Gaussian costs nothing) and log a one
whose second is (a constant costs nothing). The two penalties are those of restricted maximum
likelihood, by the update of Fellner and Schall [1]_: after each step of scoring,
lambda = (rank - lambda tr(V S)) / (theta' S theta), with V the covariance of the coefficients.

References
----------
.. [1] S. N. Wood and M. Fasiolo, *A generalized Fellner-Schall method for smoothing parameter
   optimization*, Biometrics 73 (2017) 1071.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stationary.functions.interpolation import Spline
from stationary.sources.series.chain import Cells, Chain, Counts
from stationary.sources.series.runs import Runs

__all__ = ["Fitted", "fitted"]

Array = NDArray[Any]

DEGREE = 3
OF_P, OF_A = 16, 10  # splines: more change nothing, since the penalties decide
FINE = 0.3  # width of a cell over the length of a step, from which what a cell blurs is below 1 %
FEWEST, MOST = 64, 240  # cells
ROUNDS = 60


@dataclass(frozen=True, eq=False)
class Fitted:
    """The most likely coefficients and their covariance."""

    cells: Cells
    theta: Array
    covariance: Array
    log_likelihood: float
    smoothing: tuple[float, float]
    freedom: float  # effective number of parameters
    converged: bool
    knots: Array

    @property
    def chain(self) -> Chain:
        return Chain(self.cells, self.theta)

    def splines(self, theta: Array) -> tuple[Spline, Spline]:
        """log P and log a as splines; `theta` may have columns."""
        low, high = self.knots[0], self.knots[-1]
        return (
            _spline(theta[:OF_P], low, high),
            _spline(theta[OF_P:], low, high),
        )


def fitted(runs: Runs) -> Fitted:
    """The diffusion under which the steps of the series are most likely."""
    cells, a = _cells(runs)
    counts: Counts = [(t, cells.counts(x, y)) for t, x, y in runs.classes()]
    k, size = OF_P, OF_P + OF_A
    penalties = [_penalty(0, k, 3, size), _penalty(k, size, 2, size)]
    ranks = (OF_P - 3, OF_A - 2)
    gauge = np.zeros((size, size))
    gauge[:k, :k] = 1.0 / k**2  # a constant in log P changes nothing
    theta = _start(cells, runs, a)
    smoothing, last, converged = np.array([1.0, 1.0]), np.full(2, math.inf), False
    for _ in range(ROUNDS):
        blurred = Chain(cells, theta).blurred(counts)
        total, gradient, information = Chain(cells, theta).score(blurred)
        penalty = sum(s * p for s, p in zip(smoothing, penalties, strict=True))
        whole = information + penalty + gauge * np.trace(information) / size
        step = np.linalg.solve(whole, gradient - penalty @ theta)
        value = total - theta @ penalty @ theta / 2
        for halving in range(12):
            trial = theta + step / 2**halving
            try:
                reached = Chain(cells, trial).log_likelihood(blurred)
            except (FloatingPointError, np.linalg.LinAlgError):
                continue
            if reached - trial @ penalty @ trial / 2 >= value - 1e-9 * abs(value):
                break
        else:
            trial, reached = theta, total
        theta = trial
        covariance = np.linalg.inv(whole)
        updated = np.array(
            [
                (r - s * (covariance * p).sum()) / max(float(theta @ p @ theta), 1e-12)
                for r, s, p in zip(ranks, smoothing, penalties, strict=True)
            ]
        )
        smoothing = np.clip(updated, smoothing / 30, smoothing * 30).clip(1e-4, 1e7)
        now = np.array([reached, float((covariance * information).sum())])
        if np.abs(now - last).max() < 0.02:
            converged = True
            break
        last = now
    total, _, information = Chain(cells, theta).score(Chain(cells, theta).blurred(counts))
    penalty = sum(s * p for s, p in zip(smoothing, penalties, strict=True))
    whole = information + penalty + gauge * np.trace(information) / size
    covariance = np.linalg.inv(whole)
    return Fitted(
        cells, theta, covariance, total, (float(smoothing[0]), float(smoothing[1])),
        float((covariance * information).sum()), converged, cells.edges[[0, -1]],
    )  # fmt: skip


def _cells(runs: Runs) -> tuple[Cells, float]:
    """The cells, and a first guess of the variance."""
    x = runs.all
    start, stop, time = runs.steps()
    low, high = float(x.min()), float(x.max())
    spread = float(x.var())
    lag = float(np.median(time))
    near = time <= 1.5 * lag
    off = float(((stop - start)[near] ** 2).mean())
    memory = np.clip(1 - off / (2 * spread), 1e-3, 1 - 1e-9)
    a = -2 * spread * math.log(memory) / lag
    # The shortest typical step of any tenth of the series, by place.
    order = np.argsort(start)
    parts = [part for part in np.array_split((stop - start)[order], 10) if len(part)]
    length = min(math.sqrt(float(np.median(p**2)) / 0.455) for p in parts) or math.sqrt(off)
    m = int(np.clip(math.ceil((high - low) / (FINE * length)), FEWEST, MOST))
    h = (high - low) / (m - 1)
    edges = low - h / 2 + h * np.arange(m + 1)
    centres = (edges[1:] + edges[:-1]) / 2
    ends = edges[[0, -1]]
    return Cells(edges, _basis(OF_P, *ends)(centres), _basis(OF_A, *ends)(edges[1:-1])), a


def _basis(count: int, low: float, high: float) -> Any:
    """`count` cubic B-splines on evenly spaced knots: x -> shape (M, count)."""
    from scipy.interpolate import BSpline

    inner = count - DEGREE
    step = (high - low) / inner
    knots = low + step * np.arange(-DEGREE, inner + DEGREE + 1)
    return BSpline(knots, np.eye(count), DEGREE)


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


def _start(cells: Cells, runs: Runs, a: float) -> Array:
    """A Gaussian of the mean and the variance of the series, and an even variance."""
    x = runs.all
    centres = (cells.edges[1:] + cells.edges[:-1]) / 2
    log_p = -((centres - x.mean()) ** 2) / (2 * x.var())
    of_p = np.linalg.lstsq(cells.of_p, log_p, rcond=None)[0]
    return np.concatenate([of_p, np.full(OF_A, math.log(a))])
