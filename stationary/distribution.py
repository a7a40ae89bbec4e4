"""`Distribution`: what all answers that are laws on the line have in common.

End states, the chain's law, the histogram of walkers, a row of an evolution and a start are all
distributions: atoms, and densities on intervals or on cells. What a law must say of itself is its
distribution function, from either end, and how well that is known; the rest follows from it.
"""

from __future__ import annotations

import math
import operator
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, Literal, TypeAlias, cast, overload

import numpy as np

from stationary.aliases import Array
from stationary.distance import Distance, Foreign, Grid, distance_between
from stationary.errors import LandscapeError
from stationary.numbers.elementary import finite
from stationary.points import drawing, numbers_only, pointwise
from stationary.result import Result

Seed: TypeAlias = "np.random.Generator | int | None"  # of which few answers have a need


def order_of(given: Any) -> int:
    """The order of a moment."""
    try:
        order = operator.index(given)
    except TypeError:
        order = -1
    if order < 0:
        raise LandscapeError(f"moment: order = {given!r:.40} must be a whole number from 0 on.")
    return order


class Distribution(Result, ABC):
    """A law on the line, with the methods of `scipy.stats`, that can be held against another."""

    error: Any  # absolute, of the distribution function where it is worst

    @pointwise
    @abstractmethod
    def cdf(self, x: Array) -> Array:
        """P(X <= x), at points of any shape."""

    @pointwise
    @abstractmethod
    def sf(self, x: Array) -> Array:
        """P(X > x), which keeps the digits that 1 - P(X <= x) loses."""

    @pointwise
    @abstractmethod
    def ppf(self, q: Array) -> Array:
        """The x with P(X <= x) = q; nan for q outside [0, 1]."""

    @pointwise
    @abstractmethod
    def isf(self, q: Array) -> Array:
        """The x with P(X > x) = q; nan for q outside [0, 1]."""

    @abstractmethod
    def mean(self) -> float:
        """E[X]."""

    @abstractmethod
    def var(self) -> float:
        """The variance."""

    @property
    @abstractmethod
    def _grid(self) -> Grid: ...

    @pointwise
    def logcdf(self, x: Array) -> Array:
        """log P(X <= x)."""
        with np.errstate(divide="ignore"):
            return np.log(self.cdf(x))

    @pointwise
    def logsf(self, x: Array) -> Array:
        """log P(X > x)."""
        with np.errstate(divide="ignore"):
            return np.log(self.sf(x))

    def median(self) -> float:
        """The x with half of the probability on either side."""
        return self.ppf(0.5)

    @overload
    def interval(self, confidence: float = 0.95) -> tuple[float, float]: ...

    @overload
    def interval(self, confidence: Array | Sequence[Any]) -> tuple[Array, Array]: ...

    def interval(self, confidence: Any = 0.95) -> tuple[Any, Any]:
        """The interval around the median that holds `confidence`, with equal tails."""
        held = self._points(confidence)
        if not np.all((held >= 0) & (held <= 1)):
            raise LandscapeError(f"confidence = {confidence!r:.60} must lie between 0 and 1.")
        low, high = self.ppf((1 - held) / 2), self.isf((1 - held) / 2)
        return np.minimum(low, high), np.maximum(low, high)  # of 0, either is the median

    def support(self) -> tuple[float, float]:
        """The ends of the smallest interval that holds all probability."""
        return self.ppf(0.0), self.ppf(1.0)

    def std(self) -> float:
        """The standard deviation."""
        return math.sqrt(self.var())

    def probability(self, lower: float, upper: float) -> float:
        """P(lower < X <= upper)."""
        if not lower <= upper:
            raise LandscapeError(
                f"probability({lower:g}, {upper:g}): the first end must not be above the second."
            )
        below, above = self.cdf(upper) - self.cdf(lower), self.sf(lower) - self.sf(upper)
        return float(below if self.cdf(lower) < 0.5 else above)  # what is rare keeps digits

    # -- moments --------------------------------------------------------------------------------

    def moment(self, order: int, centre: Any = 0.0) -> float:
        """E (X - centre)^order, for order 0, 1, 2, ...; +-inf where a tail is too heavy for it.

        Parameters
        ----------
        centre
            From where it counts, in the unit of x: `mean()` gives central moments.
        """
        k = order_of(order)
        if finite(self._points(centre)).all():
            return cast(float, self._moment(k, centre))
        return float((0.0 - float(centre)) ** k)

    @abstractmethod
    def _moment(self, order: int, centre: Any) -> Any: ...

    @overload
    def stats(self, moments: Literal["m", "v", "s", "k"]) -> float: ...

    @overload
    def stats(
        self, moments: Literal["mv", "ms", "mk", "vs", "vk", "sk", "mvs", "mvk", "mvsk"] = "mv"
    ) -> tuple[float, ...]: ...

    @overload
    def stats(self, moments: str) -> float | tuple[float, ...]: ...

    def stats(self, moments: str = "mv") -> float | tuple[float, ...]:
        """Mean "m", variance "v", skewness "s" and excess kurtosis "k", in the order asked for.

        A single one is a number, several are a tuple. nan for what does not exist.
        """
        if not isinstance(moments, str) or not moments or set(moments) - set("mvsk"):
            raise LandscapeError(f'stats: moments = {moments!r:.40} must be letters of "mvsk".')
        mean, variance = self.mean(), self.var()

        def shape(order: int) -> Any:
            if not 0 < variance < math.inf:
                return math.nan
            return self.moment(order, mean) / variance ** (order / 2) - (3 if order == 4 else 0)

        known = {"m": mean, "v": variance}
        known |= {letter: shape("mvsk".index(letter) + 1) for letter in moments if letter in "sk"}
        values = tuple(known[letter] for letter in moments)
        return values[0] if len(values) == 1 else values

    # -- draws ----------------------------------------------------------------------------------

    @overload
    def rvs(self, size: None = None, rng: Seed = None, *, random_state: Seed = None) -> float: ...

    @overload
    def rvs(
        self, size: int | tuple[int, ...], rng: Seed = None, *, random_state: Seed = None
    ) -> Array: ...

    def rvs(
        self,
        size: int | tuple[int, ...] | None = None,
        rng: Seed = None,
        *,
        random_state: Seed = None,
    ) -> float | Array:
        """Independent draws; of ten thousand and more, P(X <= x) is right to 1e-6.

        Parameters
        ----------
        size
            How many, or the shape of the result; None for a single number.
        rng
            A NumPy generator, or a seed for one.
        random_state
            The same, by the name that it has in `scipy.stats`.
        """
        shape, generator = drawing(size, rng, random_state)
        drawn = self._handed_out(self._drawn(math.prod(shape), generator), shape)
        return cast(Array, drawn)

    def _drawn(self, count: int, generator: np.random.Generator) -> Array:
        return self.ppf(generator.random(count))

    # -- held against others --------------------------------------------------------------------

    def _points(self, x: Any) -> Array:
        with numbers_only(x):
            return np.asarray(x, dtype=float)

    def _handed_out(self, values: Array, shape: tuple[int, ...]) -> Any:
        return values.reshape(shape)[()]

    def below(self, x: Array) -> Array:
        """P(X <= x) at ascending points, in doubles."""
        return np.asarray(self.cdf(x), dtype=float)

    def distance(self, other: Any, kind: str = "total variation") -> Distance:
        """How far apart two distributions are, and the error of that.

        Parameters
        ----------
        other
            An end state, the law of an exact chain, a row of an evolution (`Evolution.at`), the
            histogram of walkers (`Simulation.distribution`), a start; a frozen law of
            `scipy.stats`; or samples, that count as a law of their own, each as much as another.
        kind
            "total variation": the most by which a probability can differ, from 0 to 1; on the
            cells of the coarser of the two, which finer ones could only increase.
            "kolmogorov": the most by which distribution functions differ, which is at most that; of
            walkers at the edges of their bins.
            "wasserstein": the mean way that probability has to be moved, in the unit of x; of
            samples that lie outside of all bins it takes what is least. inf where one law has a
            mean and the other none.
        """
        if isinstance(other, Distribution):
            return distance_between(self, other, self._grid, other._grid, kind)
        law = Foreign.of(other)
        return distance_between(self, law, self._grid, law.grid, kind)


class Through(Distribution):
    """A law that is another one in coordinates y that grow with x, or in the same."""

    _law: Any
    chart: Any = None  # with y(x) and x(y)

    def _there(self, x: Array) -> Array:
        return x if self.chart is None else np.asarray(self.chart.y(x))

    def _here(self, y: Array) -> Array:
        return y if self.chart is None else np.asarray(self.chart.x(y))

    @pointwise
    def cdf(self, x: Array) -> Array:
        """P(X <= x), at points of any shape."""
        return np.asarray(self._law.cdf(self._there(x)))

    @pointwise
    def sf(self, x: Array) -> Array:
        """P(X > x)."""
        return np.asarray(self._law.sf(self._there(x)))

    @pointwise
    def ppf(self, q: Array) -> Array:
        """The x with P(X <= x) = q; nan for q outside [0, 1]."""
        return self._here(self._law.ppf(q))

    @pointwise
    def isf(self, q: Array) -> Array:
        """The x with P(X > x) = q; nan for q outside [0, 1]."""
        return self._here(self._law.isf(q))
