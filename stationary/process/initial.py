"""Where a process starts: at a point, anywhere by a law, or as samples say.

In Python, in a landscape file (``initial = ...``) and on the command line it may be

- a point: ``0.3``, ``"0.3"``, an mpmath number, a Fraction;
- ``"normal:0.5,0.175"``, the normal law with that mean and deviation, cut to the domain;
- ``"uniform:-1,2"``, evenly between two points of the domain;
- a frozen distribution of `scipy.stats`, continuous or discrete, or whatever has its `cdf`, `ppf`
  and `rvs` (an `EndState` has);
- samples: the name of a file ("starts.txt", "starts.csv", "starts.npy"), or the numbers themselves.

`Initial` is any of these once understood; what asks it for an expectation need not know which.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from stationary.aliases import Array
from stationary.distance import LEVELS, Grid
from stationary.distribution import Distribution
from stationary.errors import LandscapeError
from stationary.numbers.arithmetic import ROUNDING, SAME
from stationary.numbers.cost import SHARED
from stationary.numbers.elementary import distinct
from stationary.points import points_inside, pointwise
from stationary.process.laws import Normal, Truncated, Uniform
from stationary.process.starts import Source, located, nowhere, place, understood

Function = Callable[[Array], Array]

NEGLIGIBLE = 1e-12  # probability outside the domain that is not worth a word


@dataclass(frozen=True, eq=False, repr=False)
class Initial(Distribution):
    """Where a process starts.

    Attributes
    ----------
    text
        As reports say it: "w = 0.3", "1000 samples from starts.txt".
    point, exact
        The start, if it is a single point; and the mpmath number, Fraction or long decimal that
        it was given as, if a double does not hold that.
    points, weights
        Where the start is one of several points: these, ascending, and a weight for each. The
        weights of samples count them.
    law
        Where it is spread out: the law, cut to the domain.
    samples
        How many samples were given; 0 where the start is known otherwise.
    notes
        What else there is to know, in words.
    """

    text: str
    domain: tuple[float, float]
    variable: str
    source: Source
    point: float | None = None
    exact: Any = None
    points: Array = field(default_factory=nowhere)
    weights: Array = field(default_factory=nowhere)
    law: Truncated | None = None
    samples: int = 0
    notes: tuple[str, ...] = ()

    error = 0.0  # of the distribution function

    @cached_property
    def span(self) -> tuple[float, float]:
        """Where nearly all of it lies."""
        at = self.points if self.law is None else self.rvs(200_000, 0)
        return float(at.min()), float(at.max())

    @classmethod
    def of(
        cls,
        given: Any,
        *,
        domain: tuple[float, float],
        name: str,
        variable: str = "x",
        folder: Path | None = None,
    ) -> Initial:
        """The start that is meant by what a user gave (see the top of this module), in a domain.

        An `Initial` is placed in it afresh. `name` and `variable` are what errors call the process
        and its variable; relative names of files begin at `folder`, or the working folder.
        """
        if isinstance(given, Initial):
            if (given.domain, given.variable) == (domain, variable):
                return given
            source = given.source
        else:
            source = understood(located(given, folder), name)
        if source.law is not None:
            return _cut(source, domain, variable)
        return _checked(source, domain, variable)

    @classmethod
    def of_process(cls, process: Any, given: Any = None) -> Initial | None:
        """The start that is given, else the process's own; None where there is neither."""
        given = process.initial if given is None else given
        if given is None:
            return None
        where = process.name
        return cls.of(given, domain=process.domain, name=where, variable=process.variable)

    def expectation(self, function: Function, cuts: Sequence[float] | Array) -> tuple[Array, float]:
        """E[function(X)] over the start X, shape (K,), and the absolute error of the worst.

        The function gives for M points K values each, shape (K, M), in [0, 1], smooth between the
        ascending `cuts`, at which it may jump, have a kink or be steep. The error is 0 where the
        start is a set of points: what samples as such leave open is their `standard_error`.
        """
        if self.law is not None:
            return self.law.mean(function, np.asarray(cuts, dtype=float))
        return self._mean(function), 0.0

    def moments(self) -> tuple[float, float, float, float] | None:
        """Mean, its error, deviation and its error; None where they are not had."""
        centre, scale = self._middle
        if self.law is None and scale == 0:
            return centre, ROUNDING * abs(centre), 0.0, 0.0
        scale = scale or 1.0
        found = self._powers((1, 2), centre, scale)
        if found is None:
            return None
        (first, second), error = found
        variance = max(second - first**2, 0.0)
        error += ROUNDING * (1 + abs(centre) / scale)
        off = math.sqrt(variance + 3 * error) - math.sqrt(variance)
        return centre + scale * first, scale * error, scale * math.sqrt(variance), scale * off

    def _moment(self, order: int, centre: float) -> float:
        """nan where a law has none, or it could not be had."""
        middle, half = self._middle
        scale = half + abs(middle - centre) or 1.0
        found = self._powers((order,), centre, scale)
        return math.nan if found is None else found[0][0] * scale**order

    @cached_property
    def _middle(self) -> tuple[float, float]:
        """Half way between where it begins and ends, but for next to nothing, and that way."""
        if self.law is None:
            low, high = float(self.points.min()), float(self.points.max())
        else:
            low, high = self.ppf(1e-9), self.isf(1e-9)
        return (low + high) / 2, (high - low) / 2

    def _powers(
        self, orders: tuple[int, ...], centre: float, scale: float
    ) -> tuple[list[float], float] | None:
        """The means of ((X - centre) / scale)^order, and their error; None where not had."""
        with np.errstate(all="ignore"):
            found, error = self.expectation(
                lambda x: np.stack([((x - centre) / scale) ** k for k in orders]), nowhere()
            )
        known = np.isfinite(found).all() and error < 1e-6
        return (found.tolist(), error) if known else None

    def standard_error(self, function: Function) -> Array | None:
        """By how much the K means would scatter among other samples as many; None without samples.

        A single sample does not tell: inf.
        """
        if not self.samples:
            return None
        mean = self._mean(function)
        square = self._mean(lambda x: (np.atleast_2d(function(x)) - mean[:, None]) ** 2)
        if self.samples == 1:
            return np.full(len(mean), np.inf)
        return np.sqrt(square / (self.samples - 1))

    def _mean(self, function: Function) -> Array:
        sums, total = np.zeros(1), 0.0
        for i in range(0, len(self.points), SHARED):
            w = self.weights[i : i + SHARED]
            sums = sums + (np.atleast_2d(function(self.points[i : i + SHARED])) * w).sum(axis=1)
            total += w.sum()
        return np.asarray(sums / total)

    def between(self, lower: float, upper: float) -> float:
        """P(lower < X < upper), without what starts at the two points themselves."""
        if self.law is not None:
            return self.law.between(lower, upper)
        return self._share(lambda x: (lower < x) & (x < upper))

    @pointwise
    def cdf(self, x: Array) -> Array:
        """P(X <= x), at points of any shape."""
        return np.asarray(self._sides(x)[0])

    @pointwise
    def sf(self, x: Array) -> Array:
        """P(X > x)."""
        return np.asarray(self._sides(x)[1])

    def _sides(self, x: Array) -> Array:
        """P(X <= x) and P(X > x)."""
        if self.law is None:
            k, above = np.searchsorted(self.points, x, side="right"), np.cumsum(self.weights[::-1])
            held = np.append(above[::-1], 0.0) / above[-1]
            found = np.stack([self._held[k], held[k]])
        else:
            at, (first, last) = np.clip(x, self.law.lower, self.law.upper), self.law.ends
            below, above = np.asarray(self.law.law.cdf(at)), np.asarray(self.law.law.sf(at))
            found = np.stack([below - first.before, above - last.after]) / self.law.total
            found[:, x < self.law.lower] = [[0.0], [1.0]]
            found[:, x >= self.law.upper] = [[1.0], [0.0]]
        return np.where(np.isnan(x), np.nan, np.clip(found, 0.0, 1.0))

    @pointwise
    def ppf(self, q: Array) -> Array:
        """The x with P(X <= x) = q; nan for q outside [0, 1]."""
        return self._inverted(q, 1 - q)

    @pointwise
    def isf(self, q: Array) -> Array:
        """The x with P(X > x) = q; nan for q outside [0, 1]."""
        return self._inverted(1 - q, q)

    def _inverted(self, below: Array, above: Array) -> Array:
        valid = (below >= 0) & (above >= 0)
        q = np.where(valid, below, 0.5)
        if self.law is None:
            # Half a rounding less: a share that is reached is that of its point.
            k = np.searchsorted(self._held[1:], q * (1 - 2.0**-52))
            found = self.points[np.minimum(k, len(self.points) - 1)]
        else:
            first, last = self.law.ends
            u, v = first.before + q * self.law.total, last.after + (1 - q) * self.law.total
            v = np.where(valid, last.after + above * self.law.total, v)
            found = np.clip(self.law.at(u, v, u > 0.5), self.law.lower, self.law.upper)
        return np.where(valid, found, np.nan)

    @cached_property
    def _held(self) -> Array:
        return np.append(0.0, np.cumsum(self.weights) / self.weights.sum())

    def mean(self) -> float:
        """E[X]; nan where a law has none, or it could not be had."""
        known = self.moments()
        return math.nan if known is None else known[0]

    def var(self) -> float:
        """The variance; nan where a law has none, or it could not be had."""
        known = self.moments()
        return math.nan if known is None else known[2] ** 2

    @cached_property
    def _grid(self) -> Grid:
        if self.law is None:
            return Grid(self.points, self.points, 0.0, 0.0, 0)
        quantiles = [self._inverted(*pair) for pair in ((LEVELS, 1 - LEVELS), (1 - LEVELS, LEVELS))]
        beyond = 0.0 if math.isfinite(self.mean()) else math.inf
        return Grid(distinct(quantiles), np.empty(0), 1e-12, 0.0, 0, beyond=beyond)

    def mass_at(self, x: float) -> float:
        """P(X = x): what starts at the point itself."""
        if self.law is not None:
            return self.law.mass_at(x)
        return self._share(lambda points: points == x)

    def _share(self, which: Function) -> float:
        return float(self.weights[which(self.points)].sum() / self.weights.sum())

    def _drawn(self, count: int, generator: np.random.Generator) -> Array:
        if self.law is not None:
            share = generator.random(count) + 2.0**-54  # between the doubles that come: never 0
            return self._inverted(share, 1 - share)
        return generator.choice(self.points, size=count, p=self.weights / self.weights.sum())

    def evenly(self, count: int, generator: np.random.Generator) -> Array:
        """One draw from each of so many equal shares of the law, in random order.

        Each by itself is a draw from the law. Means over all scatter less than those of independent
        draws, whatever they are of, so that standard errors that take them for such are not too
        small.
        """
        part, share = np.arange(count), generator.random(count)
        below, above = part + share + 2.0**-54, part[::-1] + (1 - share)  # never 0
        return generator.permutation(self._inverted(below / count, above / count))

    def __repr__(self) -> str:
        return f"<Initial: {self.text}>"


# Placing it in the domain.


def _cut(source: Source, domain: tuple[float, float], variable: str) -> Initial:
    """A law, cut to the domain."""
    lower, upper = domain
    law = source.law
    assert law is not None
    if isinstance(law, Uniform) and not (lower <= law.lower and law.upper <= upper):
        raise LandscapeError(
            f"{source.where} reaches outside the domain ({lower:g}, {upper:g}). Keep it inside, as "
            f'in "uniform:{_inside(domain, 0.25):g},{_inside(domain, 0.75):g}", or widen it.'
        )
    cut = Truncated(law, lower, upper)
    if not cut.total > SAME:
        raise LandscapeError(
            f"{source.where} lies outside the domain ({lower:g}, {upper:g}): only "
            f"{cut.total:.2g} of it is inside. Start inside, as in initial = {_inside(domain):g}, "
            "or widen the domain."
        )
    text = source.text
    notes: tuple[str, ...] = ()
    ends = f"({lower:g}, {upper:g})"
    if cut.outside > 0 or (isinstance(law, Normal) and domain != (-math.inf, math.inf)):
        text += f", truncated to {ends}"
    if cut.outside > NEGLIGIBLE:
        notes = (
            f"{cut.outside:.3g} of the start ({source.text}) lies outside the domain {ends} and "
            "was cut off; what is inside counts as the whole.",
        )
    return Initial(text, domain, variable, source, law=cut, notes=notes)


def _checked(source: Source, domain: tuple[float, float], variable: str) -> Initial:
    """A point, or several, inside the domain."""
    lower, upper = domain
    points, weights = source.points, source.weights
    outside = (points < lower) | (points > upper)
    ends = f"outside the domain ({lower:g}, {upper:g})"
    way_out = f"Start inside, as in initial = {_inside(domain):g}, or widen the domain."
    if source.kind == "point":
        if outside.any():
            raise LandscapeError(f"{source.where} lies {ends}. {way_out}")
        text = f"{variable} = {source.text}"
        value = float(points[0])
        return Initial(text, domain, variable, source, value, source.exact, points, weights)
    i = int(np.argmax(outside))
    if source.kind == "samples" and outside.any():
        raise LandscapeError(
            f"{source.where}: {outside.sum()} of the {len(points)} samples "
            f"{'lies' if outside.sum() == 1 else 'lie'} {ends}; the first is {points[i]:.6g} "
            f"{place(i, source.lines)}. Remove what cannot be meant, or widen the domain."
        )
    share = float(weights[outside].sum() / weights.sum())
    if share > NEGLIGIBLE:
        i = int(np.argmax(weights * outside))
        raise LandscapeError(
            f"{source.where}: {share:.3g} of it lies {ends}, such as that at {points[i]:.6g}. "
            f"{way_out}"
        )
    kept, places = np.unique(points[~outside], return_inverse=True)
    start = Initial(source.text, domain, variable, source)
    return replace(
        start,
        points=kept,
        weights=np.bincount(places, weights[~outside]),
        samples=len(points) if source.kind == "samples" else 0,
    )


def _inside(domain: tuple[float, float], share: float = 0.5) -> float:
    """A point of the domain that an example can show."""
    return float(points_inside(domain, np.array([share]))[0])
