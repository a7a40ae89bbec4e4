"""`Distribution`: what all answers that are laws on the line have in common, and how far apart two
of them are.

End states, the chain's law, the histogram of walkers, a row of an evolution and a start are all
distributions: atoms, and densities on intervals or on cells. What a law must say of itself is its
distribution function and how well that is known; the rest follows from it.
"""

from __future__ import annotations

import math
import operator
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from stationary.aliases import Array
from stationary.errors import LandscapeError
from stationary.numbers.arithmetic import ROUNDING, SAME, TINY
from stationary.points import drawing, numbers_only, pointwise
from stationary.result import Shown

KINDS = ("total variation", "kolmogorov", "wasserstein")
LEAST = 1e-12  # error of a distance
ATOM = 1e-4  # probability so near to the edge of a bin that rounding decides where a walker is put
NARROWEST = 1e-6  # of a bin of walkers, relative to the positions: only an atom could fill less
CROSSINGS, FEW = 24, 256  # rounds in which crossings of densities are halved, and how many of them
LEVELS = np.union1d(np.geomspace(1e-12, 1e-3, 46), np.linspace(0, 1, 1001)[1:-1])  # of a `Grid`
FINEST = 4001  # points at which an integral of distribution functions is looked at, at most


class Distance(NamedTuple):
    """How far apart two distributions are, and the absolute error of that."""

    value: float
    error: float


@dataclass(frozen=True)
class Grid:
    """What a distribution says of itself to be compared.

    Attributes
    ----------
    edges
        Points, ascending, from end to end: what it knows of itself between neighbours is their
        probability. An infinite end is cut where next to nothing is left.
    atoms
        Points that hold probability of their own.
    mass_error
        Half the sum of the errors of the probabilities between neighbouring edges.
    shift_error
        The error of the integral of its distribution function.
    rank
        0 for densities, 1 for cells, 2 for bins of samples: the coarser of two is the partition.
    error
        Of the distribution function outside the stretches `blank`, (k, 2), within which nothing
        is known; None where that of the law is this one.
    cut
        Whether more lies beyond the ends, of samples that were not binned: where is not known.
    """

    edges: Array
    atoms: Array
    mass_error: float
    shift_error: float
    rank: int
    noise: Array | None = None  # of each bin of samples
    error: float | None = None
    blank: Array = field(default_factory=lambda: np.empty((0, 2)))
    cut: bool = False


class Distribution(Shown, ABC):
    """A law on the line, with the methods of `scipy.stats`, that can be held against another."""

    error: Any  # absolute, of the distribution function where it is worst

    @pointwise
    @abstractmethod
    def cdf(self, x: Array) -> Array:
        """P(X <= x), at points of any shape."""

    @pointwise
    @abstractmethod
    def ppf(self, q: Array) -> Array:
        """The x with P(X <= x) = q; nan for q outside [0, 1]."""

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
    def sf(self, x: Array) -> Array:
        """P(X > x)."""
        return 1 - self.cdf(x)

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

    @pointwise
    def isf(self, q: Array) -> Array:
        """The x with P(X > x) = q; nan for q outside [0, 1]."""
        return self.ppf(1 - q)

    def median(self) -> float:
        """The x with half of the probability on either side."""
        return self.ppf(0.5)

    def interval(self, confidence: float = 0.95) -> tuple[float, float]:
        """The interval around the median that holds `confidence`, with equal tails."""
        if not 0 <= confidence <= 1:
            raise LandscapeError(f"confidence = {confidence!r} must lie between 0 and 1.")
        return self.ppf((1 - confidence) / 2), self.isf((1 - confidence) / 2)

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
        return float(self.cdf(upper) - self.cdf(lower))

    # -- moments --------------------------------------------------------------------------------

    def moment(self, order: int, centre: Any = 0.0) -> Any:
        """E (X - centre)^order, for order 0, 1, 2, ...; +-inf where a tail is too heavy for it.

        Parameters
        ----------
        centre
            From where it counts, in the unit of x: `mean()` gives central moments.
        """
        try:
            k = operator.index(order)
        except TypeError:
            k = -1
        if k < 0:
            raise LandscapeError(f"moment: order = {order!r:.40} must be a whole number from 0 on.")
        return self._moment(k, centre)

    @abstractmethod
    def _moment(self, order: int, centre: Any) -> Any: ...

    def stats(self, moments: str = "mv") -> Any:
        """Mean "m", variance "v", skewness "s" and excess kurtosis "k", in the order asked for.

        A single one is a number, several are a tuple. nan for what does not exist.
        """
        if not moments or set(moments) - set("mvsk"):
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

    def rvs(
        self,
        size: int | tuple[int, ...] | None = None,
        rng: np.random.Generator | int | None = None,
        *,
        random_state: np.random.Generator | int | None = None,
    ) -> Any:
        """Independent draws.

        Parameters
        ----------
        size
            How many, or the shape of the result; None for a single number.
        rng
            A NumPy generator, or a seed for one.
        random_state
            The same, by the name that it has in `scipy.stats`.
        """
        shape, generator = drawing(size, rng if random_state is None else random_state)
        return self._handed_out(self._drawn(math.prod(shape), generator), shape)

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

    def distance(self, other: Distribution, kind: str = "total variation") -> Distance:
        """How far apart two distributions are, and the error of that.

        Parameters
        ----------
        other
            An end state, the law of an exact chain, a row of an evolution (`Evolution.at`), the
            histogram of walkers (`Simulation.distribution`), a start.
        kind
            "total variation": the most by which a probability can differ, from 0 to 1; on the
            cells of the coarser of the two, which finer ones could only increase.
            "kolmogorov": the most by which distribution functions differ, which is at most that.
            "wasserstein": the mean way that probability has to be moved, in the unit of x; of
            samples that lie outside of all bins it takes what is least.
        """
        if kind not in KINDS:
            raise LandscapeError(
                f"distance: kind = {kind!r:.40} must be one of {', '.join(map(repr, KINDS))}."
            )
        mine, theirs = self._grid, other._grid
        edges, noise = _partition(self, other, mine, theirs)
        if kind == "wasserstein":
            return _wasserstein(self, other, mine, theirs)
        smooth = max(mine.rank, theirs.rank) == 0
        edges, f, g = _crossed(self, other, edges, CROSSINGS if smooth else 0)
        p, q = np.diff(f), np.diff(g)
        # Of what is there at an atom, and next to nothing beside it, nothing is left to be seen.
        atoms = np.sort(np.concatenate([mine.atoms, theirs.atoms]))
        held = np.diff(np.searchsorted(atoms, edges, side="right")) > 0
        wide = ~held | (np.diff(edges) > 3 * SAME * _scale(edges))
        crossed = wide & _crossings(np.where(wide, p - q, 0.0)) if smooth else wide
        if kind == "kolmogorov":
            apart = float(np.abs(f - g).max(initial=0.0))
            if noise is not None:
                between = float(np.sqrt((noise**2).sum())) / 2
            else:  # between two points either function lies between its values at both
                most = np.maximum(f[1:] - g[:-1], g[1:] - f[:-1])[crossed]
                between = max(float(most.max(initial=apart)) - apart, 0.0)
            pairs = (self, mine), (other, theirs)
            known = (float(law.error) if g.error is None else g.error for law, g in pairs)
            errors = math.fsum(known) + LEAST
            return Distance(min(apart, 1.0), between + errors)
        outside = abs(f[0] - g[0]) + abs((1 - f[-1]) - (1 - g[-1]))
        value = float(np.abs(p - q).sum() + outside) / 2
        unsure = mine.mass_error + theirs.mass_error + LEAST
        if noise is not None:
            # Together, bins where no walker was hold about as much as one of them might.
            held = p if mine.rank == 2 else q
            unsure += float(noise[held > 0].sum() + noise[held == 0].max(initial=0.0)) / 2
        elif smooth:
            unsure += float((p + q)[crossed].sum()) / 2
        return Distance(min(value, 1.0), unsure)


def _crossed(
    one: Distribution, other: Distribution, x: Array, rounds: int
) -> tuple[Array, Array, Array]:
    """Points, and both distribution functions there; halved where the densities cross."""
    f, g = one.below(x), other.below(x)
    for _ in range(rounds):
        where = np.flatnonzero(_crossings(np.diff(f - g)))
        middle = (x[where] + x[where + 1]) / 2
        fresh = (middle > x[where]) & (middle < x[where + 1])
        if not fresh.any() or len(where) > FEW:
            break
        where, middle = where[fresh] + 1, middle[fresh]
        x = np.insert(x, where, middle)
        f, g = (np.insert(y, where, law.below(middle)) for y, law in ((f, one), (g, other)))
    return x, f, g


def _crossings(difference: Array) -> Array:
    """The intervals in which, or at whose end, differences of masses change their sign."""
    sign = np.where(np.abs(difference) > ROUNDING, np.sign(difference), 0.0)
    known = np.flatnonzero(sign)
    change = np.flatnonzero(np.diff(sign[known]) != 0)
    steps = np.zeros(len(sign) + 1)
    np.add.at(steps, known[change], 1)
    np.add.at(steps, known[change + 1] + 1, -1)
    return np.asarray(np.cumsum(steps)[:-1] > 0)


def _scale(edges: Array) -> float:
    return max(float(np.abs(edges).max()), float(np.ptp(edges)), TINY)


def _partition(
    one: Distribution, other: Distribution, mine: Grid, theirs: Grid
) -> tuple[Array, Array | None]:
    """The edges on which two distributions are compared, and the noise of bins of samples."""
    rank = max(mine.rank, theirs.rank)
    coarse = [g for g in (mine, theirs) if g.rank == rank]
    whole = min(coarse, key=lambda g: len(g.edges)) if rank else None
    atoms = np.concatenate([mine.atoms, theirs.atoms])
    blank = np.concatenate([mine.blank, theirs.blank])
    if rank == 2 and whole is not None and whole.noise is not None:
        return _without_atoms(whole.edges, whole.noise, other if whole is mine else one, blank)
    edges = [whole.edges] if whole is not None else [mine.edges, theirs.edges]
    known = np.concatenate([*edges, atoms])
    near = SAME * _scale(known) if len(known) else 0.0
    ends = [np.array([g.edges[0], g.edges[-1]]) for g in (mine, theirs) if len(g.edges)]
    x = np.unique(np.concatenate([*edges, atoms - near, atoms + near, *ends]))
    if len(atoms):  # what is as near to one as rounding is on it
        atoms = np.sort(atoms)
        k = np.searchsorted(atoms, x)
        nearest = [atoms[np.clip(k + off, 0, len(atoms) - 1)] for off in (-1, 0)]
        away = np.abs(x - np.array(nearest)).min(axis=0)
        x = x[away > near / 2]
    return x[~_within(x, blank)], None


def _within(x: Array, stretches: Array) -> Array:
    """Which points lie inside one of the stretches."""
    if not len(stretches):
        return np.zeros(len(x), dtype=bool)
    near = SAME * _scale(x)
    inside = (stretches[:, :1] + near < x) & (x < stretches[:, 1:] - near)
    return np.asarray(inside.any(axis=0))


def _without_atoms(
    edges: Array, noise: Array, other: Distribution, blank: Array
) -> tuple[Array, Array]:
    """Bins of walkers without edges on an atom, and none so narrow that only one could fill it."""
    least = NARROWEST * _scale(edges)
    keep = np.append(True, np.diff(np.floor((edges - edges[0]) / least)) > 0)
    near = SAME * _scale(edges)
    keep &= other.below(edges + near) - other.below(edges - near) < ATOM
    keep[[0, -1]] = True
    keep &= ~_within(edges, blank)
    if not keep.any():  # of what is there nothing is known but how much
        return np.unique(blank[np.isfinite(blank)]), noise[:0]
    starts = np.flatnonzero(keep)[:-1]
    return edges[keep], np.sqrt(np.add.reduceat(noise**2, starts))


def _gap(
    one: Distribution, other: Distribution, mine: Grid, theirs: Grid, x: Array
) -> tuple[Array, Array]:
    """How far apart distribution functions are, and what samples outside of all bins leave open."""
    f, g = one.below(x), other.below(x)
    untold = np.zeros(len(x))
    for grid, own, law in ((mine, f, g), (theirs, g, f)):
        if grid.cut:  # beyond the ends less is known than that it does not fall
            left, right = x < grid.edges[0], x > grid.edges[-1]
            own[left], own[right] = np.minimum(own, law)[left], np.maximum(own, law)[right]
            untold += np.where(left, own, np.where(right, 1 - own, 0.0))
    return np.abs(f - g), untold


def _wasserstein(one: Distribution, other: Distribution, mine: Grid, theirs: Grid) -> Distance:
    known = np.concatenate([mine.edges, theirs.edges, mine.atoms, theirs.atoms])
    near = SAME * _scale(known)
    atoms = np.concatenate([mine.atoms, theirs.atoms])
    x = np.unique(np.concatenate([known, atoms - near, atoms + near]))
    x = np.unique(np.concatenate([x, np.linspace(x[0], x[-1], 257)]))
    while True:
        middle = (x[1:] + x[:-1]) / 2
        at = np.sort(np.concatenate([x, middle]))
        gap, untold = _gap(one, other, mine, theirs, at)
        width = np.diff(at)[::2] + np.diff(at)[1::2]
        ends, inner = (gap[:-1:2] + gap[2::2]) / 2, gap[1::2]
        by_ends, by_both = width * ends, width * (ends + 2 * inner) / 3
        error = np.abs(by_ends - by_both)
        total = float(error.sum())
        inside = (middle > x[:-1]) & (middle < x[1:])
        if total <= 1e-9 * float(by_both.sum()) or len(x) > FINEST:
            break
        rough = inside & (error > total / (4 * len(error)))
        if not rough.any():
            break
        x = np.sort(np.concatenate([x, middle[rough]]))
    value = float(by_both.sum())
    unsure = total + mine.shift_error + theirs.shift_error
    unsure += float(np.diff(at) @ np.maximum(untold[1:], untold[:-1]))
    return Distance(value, unsure + LEAST * value)
