"""A marginal of a density in the plane: a law on a line, on polynomials."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any

import numpy as np

from stationary.aliases import Array
from stationary.cells import Cells
from stationary.distance import Grid
from stationary.distribution import Through
from stationary.numbers.arithmetic import EPSILON
from stationary.numbers.chebyshev import derived, rule
from stationary.numbers.cost import MEMORY
from stationary.numbers.elementary import distinct
from stationary.plane.means import beyond, values_of
from stationary.plane.mesh import RULE, gauss
from stationary.points import pointwise

NODES = 26  # in panels in which the density needs half of that for half of its digits
SAME = 64 * EPSILON  # of the farthest end: rounding, by which ends of panels that are one differ
NEARLY = 0.02  # a moment of an order above the tail's exponent less this is taken to be infinite
SEEN = 9.0  # in -log P of y: from here to twice as far the exponent is taken
STEADY = 1.1  # times as steep in the second half of that: what falls faster is no power


@dataclass(frozen=True, eq=False, repr=False)
class Marginal(Cells):
    """A density in one dimension, a polynomial between each two `edges`."""

    @classmethod
    def of(cls, edges: Array, values: Array) -> Marginal:
        """From the density at the nodes between edges, (NODES, K)."""
        r = rule(NODES)
        rise = r.antiderivative @ (r.coefficients @ values) * np.diff(edges) / 2
        masses = np.maximum(rise.sum(axis=0), 0)
        total = masses.sum()
        return cls(edges, masses / total, rise=rise / total).known_to(1e-12)

    def known_to(self, error: float) -> Marginal:
        # What lies between points may be off by as much on either side.
        wide = float(np.diff(self.interval(1 - 1e-6))[0])
        return replace(self, error=error, mass_error=2 * error, shift_error=error * wide)

    def expect(self, function: Callable[[Array], Array]) -> float:
        """The mean of a NumPy function of numbers (M,), finite where the law is not 0."""
        r, half = rule(NODES), np.diff(self.edges) / 2
        x = self.edges[:-1] + half * (1 + r.nodes[:, None])
        mass = r.quadrature[:, None] * (r.basis.T @ derived(self._rise)[: r.n])
        return float(values_of(function, x.ravel(), mass.ravel(), "marginal")[0] @ mass.ravel())

    def __repr__(self) -> str:
        return f"<Marginal: mean {self.mean():.6g}, deviation {self.std():.6g}>"


@dataclass(frozen=True, eq=False, repr=False)
class Reaching(Marginal):
    """The same with all that may lie beyond the box of a density in its means."""

    density: Any = None
    axis: int = 0

    @classmethod
    def beyond(cls, law: Any, density: Any, axis: int) -> Any:
        """What is no `Marginal` stays as it is."""
        own = {f.name: getattr(law, f.name) for f in fields(law)} if type(law) is Marginal else None
        return law if own is None else cls(**own, density=density, axis=axis)

    def expect(self, function: Callable[[Array], Array]) -> float:
        return super().expect(function) + self._beyond(function)

    def _moment(self, order: int, centre: float) -> float:
        return super()._moment(order, centre) + self._beyond(lambda x: (x - centre) ** order)

    def _beyond(self, function: Callable[[Array], Array]) -> float:
        def values(x: Array, mass: Array) -> Array:
            return np.asarray(values_of(function, x[self.axis], mass, "marginal")[0])

        return beyond(self.density, values)


@dataclass(frozen=True, eq=False, repr=False)
class Heavy(Through):
    """The law of x from that of y, on an axis of a `Chart`: its tails may be powers."""

    inner: Marginal
    chart: Any
    power: tuple[float, float] | None = None  # the exponent and its error, if they are known

    @property
    def error(self) -> float:
        return self.inner.error

    def known_to(self, error: float) -> Heavy:
        return replace(self, inner=self.inner.known_to(error))

    @property
    def _law(self) -> Marginal:
        return self.inner

    @pointwise
    def pdf(self, x: Array) -> Array:
        """The density."""
        return np.asarray(np.exp(self.logpdf(x)))

    @pointwise
    def logpdf(self, x: Array) -> Array:
        """Its log."""
        y = self.chart.within(x, *self.inner.support())
        log = self.inner.logpdf(y)
        with np.errstate(all="ignore"):  # beyond walls nothing is stretched
            made = np.where(np.isneginf(log), log, log - self.chart.log_stretch(y))
        return np.asarray(made)

    @cached_property
    def exponent(self) -> float:
        """Moments of orders below this one are finite: as seen, where it is not known."""
        if self.power is not None:
            return self.power[0]
        y = np.linspace(*self.inner.support(), 4001)
        log = self.inner.logpdf(y)
        log = log - log.max()
        peak, made = int(np.argmax(log)), []
        sides = (slice(peak, None, -1), slice(peak, None))
        for some in (side for side, far in zip(sides, self.chart.far, strict=True) if far):
            near, far = (_slope(y[some], log[some], k * SEEN, (k + 0.5) * SEEN) for k in (1, 1.5))
            made.append(far if far < STEADY * near else math.inf)
        return min(made, default=math.inf)

    def has_moment(self, k: int) -> bool:
        return self.exponent > k + (NEARLY if self.power is None else self.power[1])

    def _moment(self, order: int, centre: float) -> float:
        if self.has_moment(order):
            return self.inner.expect(lambda y: (self.chart.x(y) - centre) ** order)
        return math.nan if order % 2 else math.inf

    def mean(self) -> float:
        return self._moment(1, 0.0)

    def var(self) -> float:
        return self._moment(2, self.mean())

    @cached_property
    def _grid(self) -> Grid:
        held = self.interval(1 - 1e-6)
        edges = distinct(self.support(), np.linspace(*held, 401))
        beyond = 0.0 if self.has_moment(1) else math.inf
        error = self.error * (held[1] - held[0])
        return Grid(edges, np.zeros(0), 2 * self.error, error, 0, beyond=beyond)

    def __repr__(self) -> str:
        tails = "" if self.power is None else f", tails like |x|^-{1 + self.power[0]:.6g}"
        return f"<Marginal: median {self.median():.6g}{tails}>"


def _slope(y: Array, log: Array, above: float, below: float) -> float:
    """Of log P, where -log P is between both; inf where it is at too few points."""
    some = (log < -above) & (log > -below)
    return abs(float(np.polyfit(y[some], log[some], 1)[0])) if some.sum() > 5 else math.inf


def beside(own: Any, law: Any, by: float) -> Any:
    """A law with what another one has more than it so far aside; that one, where either is no
    `Marginal`."""
    if not (isinstance(own, Marginal) and isinstance(law, Marginal)):
        return law
    x = own.edges[:-1] + np.diff(own.edges) * (1 + rule(NODES).nodes[:, None]) / 2
    return Marginal.of(own.edges, own.pdf(x) + law.pdf(x + by) - own.pdf(x + by))


def known_by(
    laws: tuple[Any, ...], others: Sequence[tuple[Any, ...]], surely: Sequence[float]
) -> tuple[Any, ...]:
    """Laws that know how far their cumulated ones are from others, each so many times."""
    made = []
    for k, law in enumerate(laws):
        x = law.ppf(np.linspace(0.002, 0.998, 200))
        apart = [np.abs(other[k].cdf(x) - law.cdf(x)).max() for other in others]
        made.append(law.known_to(float(np.dot(surely, apart)) + 1e-12) if others else law)
    return tuple(made)


def normal(mean: float, deviation: float) -> Marginal:
    """A normal law in the same form."""
    z = np.linspace(-9, 9, 37)
    at = z[:-1] + np.diff(z) * (1 + rule(NODES).nodes[:, None]) / 2
    return Marginal.of(mean + deviation * z, np.exp(-(at**2) / 2) / deviation)


def marginal_of(density: Any, axis: int) -> Marginal:
    """The marginal of a `Density` along x (0) or y (1)."""
    panels = density.panels
    low, size = (v[axis] for v in density.sides(panels))
    edges = distinct(low, low + size)
    edges = edges[np.append(True, np.diff(edges) > SAME * np.abs(edges).max())]
    # The parts of panels between neighbouring edges, which no panel that is wider than rounding
    # ends within; of however many that are no wider the middle of a band lies in one.
    middle = (edges[:-1] + edges[1:]) / 2
    first = np.searchsorted(middle, low)
    count = np.searchsorted(middle, low + size) - first
    of = np.repeat(np.arange(len(count)), count)
    at = np.arange(len(of)) - np.repeat(np.cumsum(count) - count - first, count)
    parts = panels.restricted(of)
    start, half = (v[axis, parts.number] for v in (density.mesh.low, density.mesh.size / 2))
    ends = np.clip((np.stack([edges[at], edges[at + 1]]) - start) / half - 1, -1, 1)
    parts.low[axis], parts.size[axis] = ends[0], ends[1] - ends[0]
    (t, w), values = gauss(RULE), np.zeros((len(edges) - 1, NODES))
    rules = (rule(NODES).nodes, t) if axis == 0 else (t, rule(NODES).nodes)
    across = parts.size[1 - axis] * density.mesh.size[1 - axis, parts.number] / 4
    at_once = MEMORY // (NODES * RULE)
    for begin in range(0, len(at), at_once):
        some = slice(begin, begin + at_once)
        phi, u = density.tables(parts.restricted(some), *rules)
        with np.errstate(under="ignore"):
            p = np.moveaxis(u * np.exp(-phi - density.log_total), axis + 1, 1) @ w
        np.add.at(values, at[some], p * across[some, None])
    return Marginal.of(edges, values.T)
