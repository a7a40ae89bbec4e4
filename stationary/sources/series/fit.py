"""`fit`: the drift, the variance and the end state of a recorded series, with errors."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from stationary.aliases import Array
from stationary.functions.evaluation import composed
from stationary.functions.interpolation import Spline, shaped
from stationary.functions.taylor import Taylor
from stationary.numbers.elementary import distinct
from stationary.process.diffusion import Diffusion
from stationary.progress import Progress, watched
from stationary.result import Result
from stationary.sources.series.lags import Lags, lags_of
from stationary.sources.series.likelihood import Fitted, fitted
from stationary.sources.series.runs import Runs, runs_of


@dataclass(frozen=True, eq=False, repr=False)
class Fit(Result):
    """What a recorded series says of the process behind it. Printed, all of it in words.

    Beyond its range nothing is known: `drift`, `variance` and their errors are nan there.

    The diffusion is dx = f dt + sqrt(a) dB (Ito), on the range of the series; what is estimated is
    log P, the density of its end state, and log a, so f = a (log P)' / 2 + a' / 2: both as splines
    in y, where dy/dx = q^-1/2, with a quadratic q where the variance changes much.

    Attributes
    ----------
    name
        Of the series.
    runs
        What was recorded.
    found
        The coefficients, their covariance, how smooth the curves are.
    """

    name: str
    runs: Runs
    found: Fitted

    @cached_property
    def _curves(self) -> tuple[Spline, Spline, Spline, Spline]:
        """log P and log a, and what independent changes of one standard deviation make of them."""
        values, vectors = np.linalg.eigh(self.found.covariance)
        root = vectors * np.sqrt(np.maximum(values, 0.0))
        return *self.found.splines(self.found.theta), *self.found.splines(root)

    def log_density(self, x: Any) -> Any:
        """log P up to a constant; nan, as the others, beyond `domain`."""
        chart, (x, unknown) = self.found.chart, self._within(x)
        return shaped(self._curves[0], chart.y(x)) - np.log(chart.q(x)[0]) / 2 + unknown

    def variance(self, x: Any) -> Any:
        """a(x), in units of x^2 per time."""
        chart, (x, unknown) = self.found.chart, self._within(x)
        return np.exp(shaped(self._curves[1], chart.y(x))) * chart.q(x)[0] + unknown

    def drift(self, x: Any) -> Any:
        """f(x), in units of x per time."""

        def slope(y: Any) -> Any:  # of log P + log a
            series = isinstance(y, Taylor)
            at, order = (y.value, y.order + 1) if series else (y, 1)
            both = zip(*(c.taylor(at, order) for c in self._curves[:2]), strict=True)
            found = [k * (p + a) for k, (p, a) in enumerate(both)][1:]
            return composed(found, y) if series else found[0]

        x, unknown = self._within(x)
        y, (q, dq) = self.found.chart.y(x), self.found.chart.q(x)
        even = np.exp(shaped(self._curves[1], y))
        return even * (np.sqrt(q) * shaped(slope, y) / 2 + dq / 4) + unknown

    def drift_error(self, x: Any) -> Any:
        """The standard error of f at x."""
        return shaped(lambda x: np.sqrt((self._changes(x)[0] ** 2).sum(axis=1)), x)

    def variance_error(self, x: Any) -> Any:
        """The standard error of a at x."""
        return shaped(lambda x: np.sqrt((self._changes(x)[1] ** 2).sum(axis=1)), x)

    def scores(self, x: Array, of_f: Array, of_a: Array) -> Array:
        """As `stationary.process.known.Sample` says."""
        changes_f, changes_a = self._changes(x)
        return np.asarray(of_f @ changes_f + of_a @ changes_a)

    def _changes(self, x: Array) -> tuple[Array, Array]:
        """Of f and a at x, shape (M, K), by changes of one standard deviation."""
        _, _, of_p, of_a = self._curves
        x, unknown = self._within(x)
        y, root = self.found.chart.y(x), np.sqrt(self.found.chart.q(x)[0])[:, None]
        (_, p1), (a0, a1) = of_p.taylor(y, 1), of_a.taylor(y, 1)
        f, a = (self.drift(x) + unknown)[:, None], (self.variance(x) + unknown)[:, None]
        return f * a0 + a / 2 * (p1 + a1) / root, a * a0

    @cached_property
    def lags(self) -> Lags:
        """Whether it is a diffusion at all: how fast it runs at several lags, and the verdict."""
        return lags_of(self.found)

    def _within(self, x: Any) -> tuple[Any, Any]:
        """x, or the nearest point of the range, and nan where that is another one; else 0.

        Nothing was seen there, and curves that go on say nothing of the process.
        """
        at = x.value if isinstance(x, Taylor) else np.asarray(x)
        if at.dtype == object:
            return x, 0.0
        held = np.clip(at, *self.domain)
        return x + (held - at), np.where(held == at, 0.0, np.nan)[()]

    @cached_property
    def domain(self) -> tuple[float, float]:
        low, high = self.found.chart.x(self.found.cells.edges[[0, -1]])
        return float(low), float(high)

    @cached_property
    def diffusion(self) -> Diffusion:
        """The process, whose answers have standard errors; on the range of the series."""
        low, high = self.domain
        knots = distinct(self._curves[0].knots, self._curves[1].knots)[1:-1]
        return Diffusion(
            drift=self.drift,
            variance=self.variance,
            domain=(low, high),
            breakpoints=self.found.chart.x(knots).tolist(),
            name=self.name,
            sample=self,
            notes=(
                f"drift and variance were fitted to a series from {low:.10g} to {high:.10g}, where "
                f"the walls are; the ladder of lags says: {self.lags.verdict.value}",
            ),
        )

    def __repr__(self) -> str:
        n = sum(map(len, self.runs.values))
        return f"<Fit of {self.name!r}: {n} observations, {self.lags.verdict.name.lower()}>"


def fit(
    x: Any,
    dt: float | None = None,
    *,
    times: Any = None,
    name: str = "",
    progress: Progress = False,
) -> Fit:
    """The diffusion that a recorded series came from, by maximum likelihood.

    Parameters
    ----------
    x
        The observations: an array (n,), with nan where some are missing; a list of arrays, one for
        each run; a data frame or the path of a table with a column x, and t and run if they apply.
    dt, times
        The time between observations, or their times in the shape of x; in any unit. Times may be
        irregular. Without either they are the index of pandas, if it does not only count, or a
        column of dates (2021-03-01 12:00), in seconds.
    name
        What reports call it.
    progress
        True: show what is at work, in a notebook, or on standard error if that is a terminal.

    Returns
    -------
    Fit
        Its `diffusion` goes wherever a `Diffusion` does; `lags` says whether it is one.

    Raises
    ------
    LandscapeError
        If there is no series in it, or too little of it.

    Notes
    -----
    The steps between observations are those of a jump process on cells whose end state is P, for
    whatever time they take: nothing is lost where observations are as far apart as the process
    remembers. How smooth log P and log a are, restricted maximum likelihood decides.
    """
    runs = runs_of(x, dt, times)
    with watched(progress, "fit"):
        return Fit(name or runs.name, runs, fitted(runs))
