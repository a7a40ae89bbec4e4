"""What changes of drift and variance make of all that an analysis tells, to first order.

With dPhi = int d(2 f / a) the density changes by dlog P = dPhi - (1 - c) dlog a less its mean, an
expectation E[g] by Cov(g, dlog P), a quantile q by -(P(X <= q) changed) / P(q), and what is read at
an equilibrium by what is there, and by its moving by -df / f'.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from stationary.aliases import Array
from stationary.errors import LandscapeError
from stationary.numbers.arithmetic import EPSILON, TINY
from stationary.process.known import Sample
from stationary.questions.kernels import Points, mass_below, refusal
from stationary.states.basin import Basin
from stationary.states.distribution import EndState

DRAWS = 4096  # pairs of them: what is not linear is known to 1 or 2 %
RARE = 0.01  # of the draws at either end: a median that jumps that seldom is told as it mostly is
OFF = 1e-2  # of a deviation: a moment by the points that is off by more lies where they are not
ORDERS = 4  # of moments: up to the kurtosis
OF_BASINS = (  # methods of `Numbers`, with an underscore before
    "log_masses",
    "log_exit_times",
    "positions",
    "log_densities",
    "variances",
    "curvatures",
    "log_widths",
    "barriers_left",
    "barriers_right",
)


class Numbers:
    """The changes, see `Points`, of everything that an analysis tells; nan where not known.

    Attributes
    ----------
    shares
        (basins, M): the density of each basin by itself, at the points.
    """

    def __init__(
        self, state: EndState, basins: Sequence[Basin], levels: Sequence[float] = ()
    ) -> None:
        why = refusal(state)
        if why is not None:
            raise LandscapeError(
                f"{state.diffusion.name}: the influence of datapoints is not known here: {why}."
            )
        self.state, self.basins = state, basins
        self.quantiles = np.array([float(state.ppf(level)) for level in levels])
        borders = [float(x) for b in basins for x in (b.lower, b.upper)]
        self.steady = [e for e in state.equilibria if e.slope]
        rests = [float(e.position) for e in state.equilibria]
        marks = [x for x in (*borders, *rests, *self.quantiles) if np.isfinite(x)]
        held = [float(b.position) for b in basins] or [float(state.ppf(0.5))]
        self.points = points = Points(state, held, marks)
        self.unknown = np.full((2, len(points.every)), np.nan)
        p = np.exp(points.log_p)
        self.p = p / (p @ points.dx)
        inside = [(points.x > float(b.lower)) & (points.x < float(b.upper)) for b in basins]
        self.shares = np.zeros((len(basins), len(p)))
        for share, here in zip(self.shares, inside, strict=True):
            own = np.where(here, points.log_p, -np.inf)
            share[:] = np.exp(own - own.max())
            share /= share @ points.dx
        self.mean, self.std = float(state.mean()), float(state.std())

    # -- of the whole density ----------------------------------------------------------------------

    def expectation(self, values: Array) -> Array:
        """Of E[g], of the values of g at the points."""
        points = self.points
        measure = (values - (self.p * values) @ points.dx) * self.p
        return points.changes(measure, points.power * measure)

    def moment(self, order: int) -> Array:
        """Of E[((x - mean) / deviation)^order]."""
        values = self.powers(order)
        exact = (0.0, 1.0)[order - 1] if order < 3 else None
        found = float((self.p * values) @ self.points.dx)
        if exact is None:
            named = float(self.state.stats("s" if order == 3 else "k"))
            exact = named + 3 * (order == 4)
        # nan where there is no moment, or where it is made farther out than there are points
        known = abs(found - exact) < OFF * max(1.0, abs(exact))
        return self.expectation(values) if known else self.unknown

    def powers(self, order: int) -> Array:
        return np.asarray(((self.points.x - self.mean) / self.std) ** order)

    def entropy(self) -> Array:
        return self.expectation(np.where(self.p > 0, -self.points.log_p, 0.0))

    def quantile(self, k: int) -> Array:
        at = self.quantiles[k]
        density = float(np.exp(self.state.logpdf(np.array([at]))[0]))
        if not density > 0:
            return self.unknown
        return self.expectation(-1.0 * (self.points.x < at)) / density

    def equilibria(self) -> Array:
        """Of where they are, (equilibria, 2, M)."""
        moved = [self.moved(float(e.position)) for e in self.state.equilibria]
        return np.array([self.unknown if m is None else m for m in moved] or [self.unknown][:0])

    def slopes(self) -> Array:
        """Of the slope of the drift there, as it moves; the same shape."""
        moved = self.equilibria()
        for e, change in zip(self.state.equilibria, moved, strict=True):
            some, (first, second) = self.points.derivatives(float(e.position))
            change *= float(second @ self.points.f[some])
            change[0, some] += first
        return moved

    # -- of basins ---------------------------------------------------------------------------------

    def of_basins(self, name: str) -> Array:
        """(basins, 2, M), by the name."""
        return np.array([getattr(self, f"_{name}")(i, b) for i, b in enumerate(self.basins)])

    def _log_masses(self, i: int, b: Basin) -> Array:
        if not any(_inner(b)):
            return np.zeros_like(self.unknown)  # it is all there is
        points, own = self.points, self.shares[i] - self.p
        found = points.changes(own, points.power * own)
        ends = np.array([float(b.lower), float(b.upper)])
        at = np.exp(self.state.logpdf(ends) - float(b.log_mass))
        for end, change, real in zip(ends, (-at[0], at[1]), _inner(b), strict=True):
            moved = self.moved(end) if real else None
            if moved is not None:
                found = found + change * moved
        return found

    def _log_exit_times(self, i: int, b: Basin) -> Array:
        inner = _inner(b)
        if self.points.power != 1 or not any(inner) or b.at_wall:  # of Ito's processes
            return self.unknown
        ends = float(b.lower) if inner[0] else None, float(b.upper) if inner[1] else None
        return self.passage(float(b.position), ends)

    def passage(self, start: float, ends: tuple[float | None, float | None]) -> Array:
        """Of the log of a mean time, which has its start and its ends move with equilibria."""
        measure, density, by_place = self.points.passage(start, ends)
        found = self.points.changes(measure, density)
        for place, change in by_place.items():
            moved = self.moved(place)
            if moved is not None:
                found = found + change * moved
        return found

    def _positions(self, i: int, b: Basin) -> Array:
        moved = self.moved(float(b.position))
        return self.unknown if moved is None else moved

    def _log_densities(self, i: int, b: Basin) -> Array:
        at, points, power = float(b.position), self.points, self.points.power
        found = points.changes(-self.p, -power * self.p, {at: (1.0, power)})
        a, slope = self._variance(at)
        return np.asarray(found - power * slope / a * self._led(b))

    def _variances(self, i: int, b: Basin) -> Array:
        at = float(b.position)
        return np.asarray(self.points.at(at, 0.0, 1.0) + self._variance(at)[1] * self._led(b))

    def _curvatures(self, i: int, b: Basin) -> Array:
        """Of -f'."""
        if b.at_wall or b.curvature is None:
            return self.unknown
        places = [float(e.position) for e in self.state.equilibria]
        at = float(b.position)
        return -self.slopes()[places.index(at)] if at in places else self.unknown

    def _log_widths(self, i: int, b: Basin) -> Array:
        """Of the logarithm of sqrt(a / (2 |f'|))."""
        if b.width is None:
            return self.unknown
        of_a, of_slope = self._variances(i, b), self._curvatures(i, b)
        return np.asarray((of_a / float(b.variance) - of_slope / float(b.curvature)) / 2)

    def _barriers_left(self, i: int, b: Basin) -> Array:
        return self.unknown if b.barrier_left is None else self.climb(b, float(b.lower))

    def _barriers_right(self, i: int, b: Basin) -> Array:
        return self.unknown if b.barrier_right is None else self.climb(b, float(b.upper))

    def climb(self, b: Basin, top: float) -> Array:
        """Of the fall of the exponent from a minimum to a zero of the drift."""
        none = 0 * self.p
        return self.points.changes(none, none, {float(b.position): (1.0, 0.0), top: (-1.0, 0.0)})

    def depth(self, b: Basin, top: float) -> Array:
        """Of -int f from a minimum to a zero of the drift."""
        x, at = self.points.x, float(b.position)
        found = np.zeros_like(self.unknown)
        between = (x > min(at, top)) & (x < max(at, top))
        found[0, : len(x)] = np.where(between, self.points.dx, 0.0) * (1 if top < at else -1)
        return found

    # -- what is read at an equilibrium moves with it ----------------------------------------------

    def moved(self, place: float) -> Array | None:
        """Of the position of an equilibrium; None where there is none that moves."""
        near = min(self.steady, key=lambda e: abs(float(e.position) - place), default=None)
        if near is None or abs(float(near.position) - place) >= 1e-6 * np.ptp(self.points.x):
            return None
        return -self.points.at(place, 1.0, 0.0) / float(near.slope or 1.0)

    def _led(self, b: Basin) -> Array:
        """The same of a minimum; 0 at a wall, nan where it is not known."""
        return np.zeros_like(self.unknown) if b.at_wall else self._positions(0, b)

    def _variance(self, at: float) -> tuple[float, float]:
        """The variance at a mark, and its slope."""
        some, rows = self.points.derivatives(at)
        return self.points.coefficients(at)[1], float(rows[0] @ self.points.a[some])


def _inner(b: Basin) -> tuple[bool, bool]:
    """Which of its borders are those of other basins."""
    return b.barrier_left is not None, b.barrier_right is not None


def scores(points: Points, sample: Sample, changes: Array) -> Array:
    """What each independent change makes of numbers: (Q, 2, M) to (Q, K), nan where not known."""
    known = np.asarray(np.isfinite(changes).all(axis=(1, 2)))
    of_f, of_a = np.moveaxis(np.where(known[:, None, None], changes, 0.0), 1, 0)
    found = sample.scores(points.every, of_f, of_a)
    return np.where(known[:, None], found, np.nan)


def beyond_first_order(
    numbers: Numbers, of_masses: Array, of_densities: Array, of_law: Array
) -> tuple[Array, list[float]]:
    """Standard errors of masses and of the law where masses relative to each other are lognormal.

    Those of masses, (3, basins), are of these, their logarithms and those of densities at minima.

    Masses are between 0 and 1, whatever their logarithms: where those are off by one or more,
    neither they nor what depends on them is linear in the datapoints. Rows of `of_law` are of the
    moments, the entropy and quantiles; told are mean, deviation, skewness, kurtosis, and these.
    """
    points, shares, count = numbers.points, numbers.shares, len(of_masses)
    held = np.array([float(b.log_mass) for b in numbers.basins])
    log_p = held - np.logaddexp.reduce(held)
    p, weighted = np.exp(log_p), shares * points.dx
    inner = np.array([weighted @ numbers.powers(k + 1) for k in range(ORDERS)])
    own = -np.sum(weighted * np.log(np.where(shares > 0, shares, 1.0)), axis=1)
    below = np.array([mass_below(share, points.dx) for share in shares])
    at = np.searchsorted(points.x, numbers.quantiles)
    levels, density = p @ below[:, at], np.maximum(numbers.p[at], TINY)
    # What masses alone change; the rest is what changes within basins.
    each = np.vstack([inner, own - log_p, -below[:, at].T / density[:, None]])
    apart = [of_masses, of_densities - of_masses, of_law - (each * p) @ of_masses]
    rows = np.nan_to_num(np.vstack(apart))

    def told(law: Array) -> Array:
        one, two, three, four, *more = law
        skewness, kurtosis = p @ inner[2], p @ inner[3]
        three = three - 3 * one - 1.5 * skewness * two
        four = four - 4 * skewness * one - 2 * kurtosis * two
        return np.array([numbers.std * one, numbers.std / 2 * two, three, four, *more])

    whole = [p[:, None] * of_masses, of_masses, of_densities, told(of_law)]
    exact = np.sqrt((np.vstack(whole) ** 2).sum(axis=1))
    if count > 1:
        size = np.maximum(np.sqrt((rows**2).sum(axis=1)), TINY)[:, None]
        values, vectors = np.linalg.eigh((rows / size) @ (rows / size).T)
        z = np.random.default_rng(0).normal(size=(len(values), DRAWS))
        drawn = vectors @ (np.sqrt(np.maximum(values, 0))[:, None] * np.hstack([z, -z])) * size
        linear, at_minima, within = np.split(drawn, [count, 2 * count])
        logs = log_p[:, None] + linear
        logs = logs - np.logaddexp.reduce(logs, axis=0)
        q = np.exp(logs)
        straight = [linear, linear + at_minima, told((each * p) @ linear + within)]
        first = _spread(np.vstack([p[:, None] * linear, *straight]), len(levels))
        one, two, three, four = inner @ q
        var = np.maximum(two - one**2, TINY)
        third = (three - 3 * one * two + 2 * one**3) / var**1.5
        fourth = (four - 4 * one * three + 6 * one**2 * two - 3 * one**4) / var**2
        entropy = (q * (own[:, None] - logs)).sum(axis=0)
        # P(X <= q) moves within basins, too: what is left of a level is that of their masses. It
        # stays between 0 and 1, as by a shift of a normal law, or nearly so.
        at_first = np.clip(levels, EPSILON, 1 - EPSILON)[:, None]
        moved = density[:, None] * within[ORDERS + 1 :] / (at_first * (1 - at_first))
        left = 1 / (1 + np.exp(-np.clip(moved + np.log(at_first / (1 - at_first)), -500, 500)))
        places = [_inverse(points.x, below, q, level) for level in left]
        within[ORDERS + 1 :] = 0.0
        curved = [numbers.std * one, numbers.std * np.sqrt(var), third, fourth, entropy]
        of_law = np.array([*curved, *places]) + told(within)
        found = _spread(np.vstack([q, logs, logs + at_minima, of_law]), len(levels))
        exact *= np.divide(found, first, out=np.ones_like(exact), where=first > 0)
    return exact[: 3 * count].reshape(3, count), exact[3 * count :].tolist()


def _spread(rows: Array, quantiles: int) -> Array:
    """The deviation of each row; of the last, of quantiles, without what is rare."""
    few, found = int(RARE * rows.shape[1]), rows.std(axis=1)
    kept = np.sort(rows[len(rows) - quantiles :], axis=1)[:, few:-few]
    found[len(rows) - quantiles :] = kept.std(axis=1)
    return np.asarray(found)


def _inverse(x: Array, below: Array, weights: Array, level: Array) -> Array:
    """The points below which mixtures hold that much: of laws (n, M) with weights (n, draws)."""
    low, high = np.zeros((2, weights.shape[1]), dtype=int)
    high += len(x) - 1
    while (high - low).max() > 1:
        middle = (low + high) // 2
        more = (weights * below[:, middle]).sum(axis=0) > level
        low, high = np.where(more, low, middle), np.where(more, middle, high)
    held = [(weights * below[:, end]).sum(axis=0) for end in (low, high)]
    share = (level - held[0]) / np.maximum(held[1] - held[0], TINY)
    return np.asarray(x[low] + np.clip(share, 0.0, 1.0) * (x[high] - x[low]))
