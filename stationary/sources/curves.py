"""A drift and a variance through measured values: interpolated, or smoothed if they have errors.

Smoothing is by a weighted natural spline whose stiffness the values choose themselves: its
parameter is that of generalised cross-validation [1]_. Given it, the smooth values are linear in
the given ones, and their covariance is that of the posterior whose mean they are [2]_, which holds
what smoothing may have taken away as well as what noise has left.

References
----------
.. [1] P. Craven and G. Wahba, *Smoothing noisy data with spline functions*, Numer. Math. 31 (1979).
.. [2] D. Nychka, *Bayesian confidence intervals for smoothing splines*, JASA 83 (1988) 1134.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np

from stationary.aliases import Array, Function
from stationary.functions.interpolation import Spline
from stationary.sources.between import unknown
from stationary.sources.interpolated import DEGREE
from stationary.sources.sampled import FINE

MOST = 300.0  # of a logarithm of a variance: the square of what it is stays a number
TELLING = 16  # values, from which on noise is told from a curve: two deviations from a half
TURNING = 0.55  # of pairs: of noise 0.73
SEEN = 1e-5  # of the range of values: what is less is rounding, also of single precision
LEAST = 5  # values that can be smoothed


@dataclass(frozen=True, eq=False)
class Curves:
    """Curves through a mean (a drift) and a variance at x, with their standard errors or None."""

    x: Array
    values: Array
    variances: Array
    value_errors: Array | None = None
    variance_errors: Array | None = None
    smooth: bool = True
    what: str = "gradient"
    rounding: tuple[float, float] = (0.0, 0.0)  # of each value, and of variances in proportion

    @property
    def smoothed(self) -> bool:
        return self.smooth and self.value_errors is not None and len(self.x) >= LEAST

    def _through(self, values: Array, degree: int = DEGREE) -> Spline:
        return Spline.through(self.x, values, degree)

    @cached_property
    def _fine(self) -> Array:
        share = np.arange(FINE) / FINE
        return np.append((self.x[:-1, None] + np.diff(self.x)[:, None] * share).ravel(), self.x[-1])

    @cached_property
    def _mean(self) -> tuple[Spline, Spline | None]:
        """The curve, and one for each independent change of it by a standard deviation."""
        if self.value_errors is None:
            return self._through(self.values), None
        if self.smoothed:
            return smoothed(self.x, self.values, self.value_errors)
        changes = self._through(np.diag(self.value_errors))
        return self._through(self.values), changes

    @cached_property
    def _variance(self) -> tuple[str, Spline, Spline | None]:
        """The same for the variance or its logarithm, whichever is the smoother."""
        errors, v = self.variance_errors, self.variances
        if errors is not None and v.min() > 0:
            if self.smooth and len(self.x) >= LEAST:
                return "log", *smoothed(self.x, np.log(v), errors / v)
            changes = self._through(np.diag(errors / v))
            return "log", self._through(np.log(v)), changes
        plain, off = (self._through(v, k)(self._fine) for k in (DEGREE, DEGREE + 2))
        best = math.inf
        if plain.min() > 0 or (plain.min() >= -1e-14 * v.max() and v.min() == 0):
            with np.errstate(divide="ignore", invalid="ignore"):
                best = float(np.nanmean(np.where(plain > 0, np.abs(off / plain - 1), 0)))
        if v.min() > 0:
            logs, off = (self._through(np.log(v), k)(self._fine) for k in (DEGREE, DEGREE + 2))
            if float(np.abs(logs - off).mean()) < best:
                return "log", self._through(np.log(v)), None
        if math.isfinite(best):
            return "plain", self._through(v).pinned(np.flatnonzero(v == 0)), None
        from scipy.interpolate import PchipInterpolator

        shape = PchipInterpolator(self.x, v)  # never below the values that it connects
        return "pchip", Spline(self.x, shape.c).pinned(np.flatnonzero(v == 0)), None

    @property
    def mean(self) -> Function:
        return self._mean[0]

    @property
    def variance(self) -> Function:
        kind, curve, _ = self._variance
        return _exponential(curve) if kind == "log" else curve

    @cached_property
    def _errors(self) -> tuple[Function | None, Function | None]:
        """What is not known of either between the values; None where it is a standard error."""
        mean = variance = None
        if not self.smoothed:
            mean = unknown(self.x, self.values, DEGREE)
        kind, _, changes = self._variance
        if kind == "pchip":
            straight = self._through(self.variances, 1)
            variance = lambda w: np.abs(straight(w) - self.variance(w))  # noqa: E731
        elif changes is None or not self.smooth:
            variance = unknown(self.x, self.variances, DEGREE)
            if kind == "log":
                variance = unknown(self.x, np.log(self.variances), DEGREE, _exponential)
        return mean, variance

    def error(self, w: Array) -> tuple[Array, Array]:
        """What is not known of either between the values; bounds, summed up without signs."""
        of_mean, of_variance = (np.zeros(np.shape(w)) if e is None else e(w) for e in self._errors)
        own, in_proportion = self.rounding
        return of_mean + own, of_variance + in_proportion * np.abs(self.variance(w))

    @property
    def sample(self) -> Curves | None:
        """Itself where anything has an error: it has `scores`."""
        return None if self._mean[1] is None and self._variance[2] is None else self

    def scores(self, x: Array, of_f: Array, of_a: Array) -> Array:
        """As `stationary.process.known.Sample`: changes of the mean, then of the variance."""
        found = [np.zeros((len(of_f), 0))]
        if self._mean[1] is not None:
            found.append(of_f @ self._mean[1].taylor(x)[0])
        changes = self._variance[2]
        if changes is not None:
            found.append((of_a * self.variance(x)) @ changes.taylor(x)[0])
        return np.concatenate(found, axis=1)

    def zeros(self, sign: int) -> tuple[tuple[float, bool, float], ...]:
        """Zeros of the mean, whether it falls there (times `sign`), and their significance."""
        x, g = self._fine, self.mean(self._fine)
        heights = np.full(len(x), np.inf)
        if self._mean[1] is not None:
            spread = np.sqrt((self._mean[1].taylor(x)[0] ** 2).sum(axis=1))
            heights = np.abs(g) / np.maximum(spread, np.finfo(float).tiny)
        at = np.flatnonzero((g[:-1] * g[1:] < 0) | (g[:-1] == 0))
        edges = [0, *(at + 1).tolist(), len(x)]
        tops = [heights[i:j].max(initial=0.0) for i, j in pairwise(edges)]
        found = []
        for k, i in enumerate(at):
            share = g[i] / (g[i] - g[i + 1]) if g[i] != g[i + 1] else 0.0
            place = float(x[i] + share * (x[i + 1] - x[i]))
            found.append(
                (place, bool(sign * (g[i + 1] - g[i]) < 0), float(min(tops[k], tops[k + 1])))
            )
        return tuple(found)

    def notes(self, variable: str) -> list[str]:
        """What smoothing did, and which equilibria rest on little."""
        if self._mean[1] is None:
            noise = scatter(self.x, self.values)
            if noise is None:
                return []
            return [
                f"the {self.what} scatters from one {variable} to the next as noise does, by some "
                f"{noise:.2g}, and is interpolated as it is: minima may be made of that. Give its "
                f"standard errors ({self.what}_error), by which it is smoothed"
            ]
        found = self.zeros(1)
        notes = [f"errors at different {variable} are taken for independent of each other"]
        if self.what == "gradient":
            notes[0] += (
                f", as of other datapoints each time: of the same at every {variable} only a table "
                f"of their gradients ({variable}, gradients) tells standard errors"
            )
        if self.smoothed:
            assert self.value_errors is not None
            off = (self.mean(self.x) - self.values) / self.value_errors
            direct = self._through(self.values)(self._fine)
            zeros = int((direct[:-1] * direct[1:] < 0).sum())
            notes.append(
                f"against interpolation, smoothing moved the {self.what} by "
                f"{np.sqrt((off**2).mean()):.2g} of its standard errors (root mean square; at most "
                f"{np.abs(off).max():.2g}): of {zeros} equilibria it left {len(found)}"
            )
        if found:
            listed = ", ".join(f"{place:.4g} ({height:.2g})" for place, _, height in found[:12])
            weak = [p for p, _, height in found if height < 3]
            notes.append(
                f"equilibria, each with the standard errors that it stands on: {variable} = "
                f"{listed}" + ("; below 3, noise may have made them" if weak else "")
            )
        return notes


def _exponential(spline: Spline) -> Function:
    """exp of a spline, which may swing beyond all numbers between values that are close."""
    return lambda w: np.exp(np.clip(spline(w), -MOST, MOST))


def scatter(x: Array, y: Array) -> float | None:
    """The size of the noise in values y at x; None where they do not scatter as noise does.

    What a value is off the line through its neighbours has one sign along a curve, and changes it
    three times of four where it is noise; a jump changes it once.
    """
    share = (x[1:-1] - x[:-2]) / (x[2:] - x[:-2])
    off = y[1:-1] - (1 - share) * y[:-2] - share * y[2:]
    off /= np.sqrt(1 + share**2 + (1 - share) ** 2)
    turns = off[1:] * off[:-1] < 0
    if len(x) < TELLING or turns.mean() < TURNING or np.median(np.abs(off)) < SEEN * np.ptp(y):
        return None
    return float(np.sqrt(np.mean(off**2)))


def smoothed(x: Array, y: Array, errors: Array) -> tuple[Spline, Spline]:
    """The smoothing spline of values y at x (at least five) with standard errors, each above 0.

    And one with a column for each independent change of it, of one standard deviation.
    """
    from scipy.interpolate import make_smoothing_spline

    # In units of the step and of the errors: what bounds the choice of lambda knows no others.
    unit, size = (x[-1] - x[0]) / (len(x) - 1), float(np.sqrt(np.mean(errors**2)))
    place = (x - x[0]) / unit
    fitted = make_smoothing_spline(place, y / size, w=(size / errors) ** 2)
    values = size * np.asarray(fitted(place))
    bend = _bending(x)
    # W (y - s) = lambda K s at the minimum, which tells the lambda that was chosen.
    stiff = float(values @ bend @ values)
    scale = np.abs(values).max() ** 2 * np.abs(bend).max()
    chosen = 1e12 if stiff <= 1e-20 * scale else float((y - values) @ (values / errors**2)) / stiff
    # (W + lambda K)^-1 by eigenvectors of K in units of the errors, where W is one.
    eigenvalues, vectors = np.linalg.eigh(errors[:, None] * bend * errors)
    kept = 1 / np.sqrt(1 + max(chosen, 0.0) * np.clip(eigenvalues, 0, None))
    return _natural(x, values), _natural(x, errors[:, None] * vectors * kept)


def _natural(x: Array, values: Array) -> Spline:
    from scipy.interpolate import CubicSpline

    made = CubicSpline(x, values, bc_type="natural")
    return Spline(made.x, made.c)


def _bending(x: Array) -> Array:
    """K with s K s = int s''^2 of the natural spline with values s: Q R^-1 Q' of Reinsch."""
    h, n = np.diff(x), len(x)
    q = np.zeros((n, n - 2))
    k = np.arange(n - 2)
    q[k, k], q[k + 1, k], q[k + 2, k] = 1 / h[:-1], -1 / h[:-1] - 1 / h[1:], 1 / h[1:]
    r = np.diag((h[:-1] + h[1:]) / 3) + np.diag(h[1:-1] / 6, 1) + np.diag(h[1:-1] / 6, -1)
    return np.asarray(q @ np.linalg.solve(r, q.T))
