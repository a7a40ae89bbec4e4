"""`Pulses`: starts that the drift carries faster than noise spreads them, each in its own frame.

From a point x0, X = m + sqrt(v) Z with dm/dt = f(m), dv/dt = 2 f'(m) v + a(m) and Z nearly normal
[1]_. What is left is expanded in Hermite functions: P = sum alpha_n (-d/dx)^n G, G the normal
density, obeys with X alpha_n = (n + 1) alpha_(n+1) + v alpha_(n-1) (multiplication by x - m) and
the Taylor coefficients f_k, a_k at m

    d alpha_n / dt = n f_1 alpha_n + sum_(k>1) f_k (X^k alpha)_(n-1)
                    + sum_(k>0) a_k (X^k alpha)_(n-2) / 2,

which has no small number to divide by, however narrow the pulse. A start that is spread out is a
mixture of such pulses, whose parameters are smooth in x0: polynomials. No cell is needed.

References
----------
.. [1] N. G. van Kampen, *Stochastic Processes in Physics and Chemistry*, 3rd ed., ch. X.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.polynomial import chebyshev

from stationary.aliases import Array
from stationary.cells import Cells
from stationary.evolution.expansion import IN_TIME, Paths, followed, hermite_law, series_of
from stationary.evolution.features import TAIL
from stationary.evolution.moments import without_moments
from stationary.evolution.request import Asked, Seen
from stationary.line.partition import Partition
from stationary.numbers.arithmetic import EPSILON, TINY
from stationary.numbers.elementary import distinct
from stationary.process.initial import Initial
from stationary.process.laws import Given, Truncated

FEWEST, MOST_NODES = 9, 97  # starts that a law is interpolated from
SAMPLES = 16  # points that are followed one by one
SIGMAS = math.sqrt(-2 * math.log(EPSILON))  # beyond which a normal density is rounding
LOBATTO, FINER = 64, 96  # nodes, and those that they are compared with
SHORTER = 4  # the share of a polynomial's coefficients, to compare with one that has the others
POINTS, FEWEST_POINTS = 64, 8  # edges around a pulse
FINE = 8  # points between these, when a pulse is handed on
WIDENING = 0.2  # of a cell's width, by which the next is wider at most
MOST_SHOWN = 400  # times whose pulses get edges of their own
BLUR = 1e-7  # of all that a law has become: a pulse as narrow is taken to be that wide


@lru_cache(maxsize=2)
def _lobatto(n: int) -> tuple[Array, Array]:
    """n + 1 extrema of Chebyshev on [0, 1], and the matrix of int F0 dPsi from F0 and Psi there."""
    x = -np.cos(np.pi * np.arange(n + 1) / n)
    to_coefficients = np.linalg.inv(chebyshev.chebvander(x, n))
    slope = chebyshev.chebval(x, chebyshev.chebder(to_coefficients)).T
    k = np.arange(n + 1)
    moments = np.where(k % 2 == 0, 2 / (1 - np.where(k == 1, 0, k) ** 2.0), 0.0)
    return (1 + x) / 2, (moments @ to_coefficients)[:, None] * slope


@dataclass(frozen=True, eq=False)
class Pulses:
    """Pulses from some points, and what they make of a start."""

    parts: Partition
    start: Initial
    paths: Paths
    is_law: bool  # whether their starts are nodes of polynomials, not points of the start

    @property
    def until(self) -> float:
        """Up to which time they are what they claim to be."""
        return self.paths.until

    def error(self, t: float, std: float | None = None) -> float:
        """Of the probability below any point; `std` is the deviation at t, where it is known."""
        blur = BLUR if self.is_law else 0.0
        if t == 0:
            return blur
        std = self.moments(t)[2] if std is None else std
        return min(self.paths.step_at(t).error + blur + 0.4 * self._displaced(t) / std, 1.0)

    def _unresolved(self, x: Array, t: float, below: Array) -> float:
        """Its error, where few nodes and polynomials make what is below x of a spread-out start.

        They know of no corners, and of no pulse that is far narrower than its way from the others.
        """
        if not (self.is_law and len(x)):
            return 0.0
        return 2 * float(np.abs(self.below(x, t, FINER, shorter=True)[0] - below).max())

    def _displaced(self, t: float) -> float:
        """The error of m, by the steps in time."""
        m = self.paths.parameters(t)[0]
        way = float(np.abs(m - self.paths.x0).max())
        rounding = float(np.spacing(np.abs(m)).max() + self.paths.floor.max())
        return self.paths.step_at(t).grown * (0.5 * IN_TIME * way + 4 * rounding) if t else rounding

    # What they make of the start.

    def below(self, x: Array, t: float, nodes: int = LOBATTO, *, shorter: bool = False) -> Array:
        """P(X <= x), P's density, and its slope there: (3, len(x)), x ascending."""
        m, s, c = self.paths.parameters(t)
        if not self.is_law:
            weights, wide = self.start.weights / self.start.weights.sum(), s[:, None]
            return np.asarray(weights @ hermite_law((x - m[:, None]) / wide, c.T[..., None], wide))
        fine = np.linspace(self.paths.x0[0], self.paths.x0[-1], 2001)
        m, s, _ = self._between(t, fine, shorter)
        inner, table = _lobatto(nodes)
        # Only starts whose pulse is at x: F0 is integrated against what each has below x.
        first = np.interp(x, np.maximum.accumulate(m + SIGMAS * s), fine)
        last = np.interp(x, np.minimum.accumulate((m - SIGMAS * s)[::-1])[::-1], fine)
        last = np.maximum(last, first)
        at = first[:, None] + (last - first)[:, None] * inner
        m, s, c = self._between(t, at.ravel(), shorter)
        psi = hermite_law((np.repeat(x, nodes + 1) - m) / s, c.T, s).reshape(3, len(x), -1)
        held = self.start.cdf(at)
        # int Psi dF0, by parts; below `first` Psi is 1, and its derivatives 0.
        result = psi[:, :, -1] * held[:, -1] - np.einsum("xi,ij,kxj->kx", held, table, psi)
        result[0] += held[:, 0] * (1 - psi[0, :, 0])
        return np.asarray(result)

    def _between(self, t: float, x0: Array, shorter: bool = False) -> tuple[Array, Array, Array]:
        """The parameters of pulses from other starts than the nodes."""
        m, _, c = self.paths.parameters(t)
        z = (2 * x0 - self.paths.x0[0] - self.paths.x0[-1]) / (self.paths.x0[-1] - self.paths.x0[0])
        terms = _terms(self.paths, t)
        if shorter:
            terms = terms[: -max(2, len(terms) // SHORTER)]
        found = chebyshev.chebval(z, terms)
        s = np.exp(found[1])
        wide = np.maximum(s, BLUR * np.ptp(m))
        return found[0], wide, (found[2:] * (s / wide) ** np.arange(c.shape[1])[:, None]).T

    def seen(self, edges: Array, times: Array) -> Seen:
        """What all this is on cells, at some times."""
        below, current = (np.zeros((len(times), len(edges))) for _ in range(2))
        found = np.array([self.moments(t) for t in times.tolist()]).reshape(len(times), 4)
        error = np.array(
            [self.error(t, s) for t, s in zip(times.tolist(), found[:, 2], strict=True)]
        )
        # Of the density, in units of 1 / deviation.
        sharp = error * np.where(times > 0, 3, 1)
        sharp += [self.paths.step_at(t).density if t else 0.0 for t in times.tolist()]
        half = self.parts.diffusion.convention.value / 2
        current_error = np.zeros(len(times))
        for k, t in enumerate(times.tolist()):
            m, s, _ = self.paths.parameters(t)
            low, high = float((m - SIGMAS * s).min()), float((m + SIGMAS * s).max())
            there = (edges >= low) & (edges <= high)
            below[k, edges > high] = 1.0
            x = edges[there]
            if t == 0:
                below[k] = self.start.cdf(edges)
            if len(x) and t > 0:
                p, density, slope = self.below(x, t)
                off = self._unresolved(x, t, p)
                error[k] += off
                sharp[k] += 3 * off
                below[k, there] = np.maximum.accumulate(np.clip(p, 0.0, 1.0))
                f, a = series_of(self.parts, x, 0)
                current[k, there] = (f[0] + half * a[1] - a[1] / 2) * density - a[0] * slope / 2
                std = found[k, 2]
                current_error[k] = sharp[k] / std * float((np.abs(f[0]) + a[0] / std).max())
        masses = np.diff(below, axis=1)
        masses[:, 0] += below[:, 0]
        masses /= masses.sum(axis=1, keepdims=True)
        mean, mean_error, std, std_error = found.T
        no_mean, no_std = without_moments(self.start, self.parts.diffusion, times)
        mean[no_mean] = std[no_std] = math.nan
        mean_error[no_mean] = std_error[no_std] = math.inf
        return Seen(
            masses=masses,
            mean=mean,
            mean_error=mean_error,
            std=std,
            std_error=std_error,
            error=error,
            mass_error=4 * sharp,
            time_error=np.zeros(len(times)),
            current=current,
            current_error=current_error,
        )

    def start_at(self, t: float) -> Initial:
        """What it has become, as a start."""
        x = self.edges(np.array([t]), 10 * POINTS)
        fine = np.interp(np.linspace(0, len(x) - 1, FINE * (len(x) - 1) + 1), np.arange(len(x)), x)
        fine = distinct(fine)  # of a pulse as narrow as rounding few are left
        below = np.maximum.accumulate(np.clip(self.below(fine, t)[0], 0.0, 1.0))
        law = Given(Cells(fine, np.diff(below)))
        return replace(
            self.start, point=None, points=np.empty(0), weights=np.empty(0), samples=0,
            law=Truncated(law, *self.parts.diffusion.domain),
        )  # fmt: skip

    def moments(self, t: float) -> tuple[float, float, float, float]:
        """Mean, its error, deviation and its error."""
        m, s, c = self.paths.parameters(t)
        middle = float((m.min() + m.max()) / 2)
        span = float((m.max() - m.min()) / 2 + s.max())

        def both(m: Array, s: Array, c: Array) -> Array:
            """E(X - middle) and E(X - middle)^2 in units of the span."""
            u, w = (m - middle) / span, s / span
            return np.array(
                [u + w * c[:, 1], u**2 + 2 * u * w * c[:, 1] + w**2 * (1 + 2 * c[:, 2])]
            )

        if self.is_law:

            def known(x: Array) -> Array:
                x = np.clip(x, *self.paths.x0[[0, -1]])
                whole, short = (both(*self._between(t, x, cut)) for cut in (False, True))
                return np.concatenate([whole, short])

            found, error = self.start.expectation(known, np.zeros(0))
            error += 2 * float(np.abs(found[:2] - found[2:]).max())
        else:
            found = both(m, s, c) @ (self.start.weights / self.start.weights.sum())
            error = 0.0
        variance = max(float(found[1] - found[0] ** 2), 0.0)
        # What moves all pulses alike leaves the deviation as it is, but for its own small part.
        error += 4e-16 + (float(s.max()) / span * self.paths.step_at(t).shift if t else 0.0)
        mean, std = middle + span * float(found[0]), span * math.sqrt(variance)
        wider = span * (math.sqrt(variance + 3 * error) - math.sqrt(variance))
        rounding = float(self.paths.floor.max()) * (self.paths.step_at(t).grown if t else 1.0)
        std_error = wider + 2 * rounding + 100 * IN_TIME * std
        return mean, error * span + self._displaced(t), std, std_error

    def edges(self, times: Array, most: int) -> Array:
        """At most so many points that show what is there at all times, ascending."""
        later = times if self.is_law else times[times > 0]
        shown = later[:: max(1, math.ceil(len(later) / MOST_SHOWN))]
        count = max(
            FEWEST_POINTS, min(POINTS, most // (len(shown) * len(self._at_start(times[:1]))))
        )
        reach = 7.0 if self.is_law else 8.0  # of a law, what starts at its ends is left out
        z = np.linspace(-reach, reach, count + 1)
        found, steps = [], []
        for t in shown.tolist():
            m, s, _ = self.paths.parameters(t)
            if self.is_law:
                x0 = self._at_start(z)
                m, s, _ = self._between(t, np.clip(x0, self.paths.x0[0], self.paths.x0[-1]))
                x = m + s * z
            else:
                x = np.sort((m[:, None] + s[:, None] * z).ravel())
            found.append(x)
            steps.append(np.gradient(x))
        x, step = np.concatenate(found), np.concatenate(steps)
        order = np.argsort(x)
        x, step = x[order], step[order]
        step = np.where(step > 0, np.maximum(step, 4e-16 * np.abs(x)), math.inf)
        return _graded(x, step, most)

    def _at_start(self, z: Array) -> Array:
        """The starts that as much is below as a normal variable has below z."""
        from scipy.special import ndtr

        if not self.is_law:
            return self.paths.x0
        return np.where(z > 0, self.start.isf(ndtr(-z)), self.start.ppf(ndtr(z)))


@lru_cache(maxsize=2)
def _terms(paths: Paths, t: float) -> Array:
    """Chebyshev coefficients of the parameters, whose starts are extrema of Chebyshev."""
    m, s, c = paths.parameters(t)
    x = -np.cos(np.pi * np.arange(len(m)) / (len(m) - 1))
    values = np.column_stack([m, np.log(s), c])
    return np.linalg.solve(chebyshev.chebvander(x, len(m) - 1), values)


def pulses_of(asked: Asked) -> Pulses | None:
    """Pulses from a start, as long as they are right to a tolerance; None where they never are.

    Noise carries them over unstable points, and they leave at ends that do not reflect.
    """
    start, parts = asked.start, asked.state.anatomy
    times, tolerance = asked.times[asked.times > 0], asked.tolerance / 4
    first, until = float(times[0]), float(times[-1])
    if parts.diffusion.is_periodic:
        return None
    ways = [float(e.position) for e in parts.equilibria if not e.stable]
    ways += [e.position for e in parts.ends if not e.reflects]
    how = until, first, tolerance, np.array(ways), parts.jumps
    if start.law is None:
        if len(start.points) > SAMPLES:
            return None
        paths = followed(parts, start.points, *how)
        return None if paths is None else Pulses(parts, start, paths, False)
    low, high = start.ppf(TAIL), start.isf(TAIL)
    if not (math.isfinite(low) and math.isfinite(high) and high > low):
        return None
    count = FEWEST
    while count <= MOST_NODES:
        x0 = low + (high - low) * (1 - np.cos(np.pi * np.arange(count) / (count - 1))) / 2
        paths = followed(parts, x0, *how)
        if paths is None or paths.until < until:
            return None
        pulses, worst = Pulses(parts, start, paths, True), 1e-300
        for t in (np.linspace(0, 1, 9)[1:] * until).tolist():
            x = pulses.edges(np.array([t]), POINTS)
            worst = max(worst, pulses._unresolved(x, t, pulses.below(x, t)[0]))
        if worst < tolerance / 10:
            return pulses
        if worst > 0.5 or count > FEWEST:
            return None
        # As many more as geometric convergence takes.
        count = math.ceil(1.2 * count * math.log(tolerance / 1000) / math.log(worst))
    return None


def _graded(x: Array, step: Array, most: int) -> Array:
    """Edges of cells about as wide as `step` says at ascending x, at most so many.

    They are as wide as the narrowest that is asked for, and their width grows evenly away from it.
    """
    step = np.minimum.accumulate(step - WIDENING * x) + WIDENING * x
    step = (np.minimum.accumulate((step + WIDENING * x)[::-1]) - WIDENING * x[::-1])[::-1]
    x, first = np.unique(x, return_index=True)
    step = step[first]
    widest = (step[1:] + step[:-1] + WIDENING * np.diff(x)) / 2  # between two points
    there = np.clip(x[:-1] + (widest - step[:-1]) / WIDENING, x[:-1], x[1:])
    x, step = np.append(x, there), np.append(step, widest)
    order = np.lexsort((step, x))
    x, first = np.unique(x[order], return_index=True)
    step = step[order][first]
    grows = np.log(step[1:] / step[:-1])
    uneven = np.abs(grows) > 1e-6
    over = np.where(uneven, np.expm1(grows), 1.0)
    rate = np.where(uneven, grows, 1.0) / over
    many = np.append(0.0, np.cumsum(np.diff(x) / step[:-1] * rate))
    at = np.linspace(0.0, many[-1], min(math.ceil(many[-1]), most) + 1)
    k = np.clip(np.searchsorted(many, at, side="right") - 1, 0, len(grows) - 1)
    share = (at - many[k]) / np.maximum(np.diff(many)[k], TINY)
    share = np.where(uneven[k], np.expm1(share * grows[k]) / over[k], share)
    return distinct(x[k] + share * np.diff(x)[k])
