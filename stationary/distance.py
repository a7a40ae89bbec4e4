"""How far apart two distributions are, by what each says of itself as a `Grid`."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol, Self

import numpy as np

from stationary.aliases import Array
from stationary.errors import LandscapeError
from stationary.numbers.arithmetic import ROUNDING, SAME, TINY
from stationary.numbers.elementary import distinct
from stationary.result import Listed

KINDS = ("total variation", "kolmogorov", "wasserstein")
LEAST = 1e-12  # error of a distance
ATOM = 1e-4  # probability so near to the edge of a bin that rounding decides where a walker is put
NARROWEST = 1e-6  # of all bins of walkers: less than that part only an atom could fill
LUMP = 10.0  # times the density beside it: more than that, within rounding of an atom, is one, too
CROSSINGS, FEW = 24, 256  # rounds in which crossings of densities are halved, and how many of them
LEVELS = distinct(np.geomspace(1e-12, 1e-3, 46), np.linspace(0, 1, 1001)[1:-1])  # of a `Grid`
SUPREMUM = 1.36 / 0.5  # of a Brownian bridge, in 95 of 100, to its deviation where that is largest
FINEST = 4001  # points at which an integral of distribution functions is looked at, at most


class _Distance(NamedTuple):
    value: float
    error: float


class Distance(_Distance, Listed):
    """How far apart two distributions are, and the absolute error of that."""

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self


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
    beyond
        What the law adds to E|X| beyond the ends; inf where it has no mean.
    sample
        Whether its atoms are but samples.
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
    beyond: float = 0.0
    sample: bool = False


class Law(Protocol):
    """What is asked of a distribution to compare it."""

    @property
    def error(self) -> Any:
        """Of its distribution function."""

    def below(self, x: Array) -> Array:
        """P(X <= x) at ascending points, in doubles."""


@dataclass(frozen=True)
class Foreign:
    """A law of somebody else's: a frozen one of SciPy, or samples, which are a law of their own."""

    cdf: Callable[[Array], Any]
    grid: Grid
    error: float = 0.0

    def below(self, x: Array) -> Array:
        """P(X <= x) at ascending points, in doubles."""
        return np.asarray(self.cdf(x), dtype=float)

    @classmethod
    def of(cls, other: Any) -> Foreign:
        """What was given beside a law, if it is one."""
        if callable(getattr(other, "cdf", None)) and callable(getattr(other, "ppf", None)):
            edges = distinct(other.ppf(LEVELS), other.isf(LEVELS))
            whole = not callable(getattr(other, "pmf", None))
            atoms = np.empty(0) if whole else edges
            beyond = 0.0 if math.isfinite(other.mean()) else math.inf
            return cls(other.cdf, Grid(edges, atoms, LEAST, LEAST, 0, beyond=beyond), LEAST)
        points = np.asarray(None if isinstance(other, str) else other)
        numeric = points.dtype.kind in "iuf" and points.ndim == 1 and len(points) > 1
        if numeric and np.isfinite(points).all():
            at = np.sort(points.astype(float))
            law = Grid(distinct(at), distinct(at), 0.0, 0.0, 0, sample=True)
            return cls(lambda x: np.searchsorted(at, x, side="right") / len(at), law)
        raise LandscapeError(
            f"distance: {other!r:.60} is no distribution. Give an answer that is one, a frozen law "
            "of scipy.stats, or samples: an array of finite numbers."
        )


def distance_between(one: Law, other: Law, mine: Grid, theirs: Grid, kind: str) -> Distance:
    """The distance of a kind, see `Distribution.distance`."""
    if kind not in KINDS:
        raise LandscapeError(
            f"distance: kind = {kind!r:.40} must be one of {', '.join(map(repr, KINDS))}."
        )
    edges, noise = _partition(one, other, mine, theirs)
    if kind == "wasserstein":
        if math.isinf(mine.beyond) != math.isinf(theirs.beyond):
            return Distance(math.inf, 0.0)  # |E|X| - E|Y|| is the least that has to be moved
        return _wasserstein(one, other, mine, theirs)
    smooth = max(mine.rank, theirs.rank) == 0
    edges, f, g = _crossed(one, other, edges, CROSSINGS if smooth else 0)
    p, q = np.diff(f), np.diff(g)
    # Of what is there at an atom, and next to nothing beside it, nothing is left to be seen.
    own, others = (
        np.diff(np.searchsorted(np.sort(g.atoms), edges, side="right")) > 0 for g in (mine, theirs)
    )
    wide = ~(own | others) | (np.diff(edges) > 3 * SAME * _scale(edges))
    crossed = wide & _crossings(np.where(wide, p - q, 0.0)) if smooth else wide
    unseen = _unseen(edges, p, q, crossed) if smooth else p + q
    if kind == "kolmogorov":
        apart = float(np.abs(f - g).max(initial=0.0))
        if noise is not None:
            # The supremum over all edges is beyond the error at one, as of a Brownian bridge.
            worst = max(float(one.error if mine.rank == 2 else other.error), 0.0)
            between = (SUPREMUM - 1) * worst
        else:  # between two points either function lies between its values at both
            most = np.maximum(f[1:] - g[:-1], g[1:] - f[:-1])
            most = np.minimum(most, np.maximum(np.abs(f - g)[1:], np.abs(f - g)[:-1]) + unseen)
            between = max(float(most[crossed].max(initial=apart)) - apart, 0.0)
        pairs = (one, mine), (other, theirs)
        known = (float(law.error) if g.error is None else g.error for law, g in pairs)
        errors = math.fsum(known) + LEAST
        return _at_most_one(apart, between + errors)
    outside = abs(f[0] - g[0]) + abs((1 - f[-1]) - (1 - g[-1]))
    value = float(np.abs(p - q).sum() + outside) / 2
    unsure = mine.mass_error + theirs.mass_error + LEAST
    # A density next to an atom is not told from it.
    alone = ~wide
    if not (mine.sample or theirs.sample):  # as narrow as that it may be one
        rate = np.where(own, q, p) / np.maximum(np.diff(edges), TINY)
        beside = np.maximum(np.append(rate[1:], 0.0), np.append(0.0, rate[:-1]))
        alone = ~wide & (own != others) & (rate <= LUMP * beside)
    unsure += float(np.minimum(p, q)[alone].sum())
    if noise is not None:
        # Together, bins where no walker was hold about as much as one of them might.
        held = p if mine.rank == 2 else q
        unsure += float(noise[held > 0].sum() + noise[held == 0].max(initial=0.0)) / 2
    elif smooth:
        unsure += float(unseen[crossed].sum()) / 2
    return _at_most_one(value, unsure)


def _at_most_one(value: float, error: float) -> Distance:
    value = min(value, 1.0)
    return Distance(value, min(error, max(value, 1 - value)))


def _crossed(one: Law, other: Law, x: Array, rounds: int) -> tuple[Array, Array, Array]:
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


def _unseen(edges: Array, p: Array, q: Array, crossed: Array) -> Array:
    """The most by which masses may differ in intervals in which densities cross.

    Next to a crossing densities differ by no more than on either side of it, twice over; and
    never by more than both masses.
    """
    rate = np.abs(p - q) / np.maximum(np.diff(edges), TINY)
    known = np.flatnonzero(~crossed)
    if not len(known):
        return p + q
    k = np.searchsorted(known, np.arange(len(p)))
    after, before = known[np.minimum(k, len(known) - 1)], known[np.maximum(k - 1, 0)]
    both = (after > np.arange(len(p))) & (before < np.arange(len(p)))
    bound = 2 * np.diff(edges) * np.maximum(rate[after], rate[before]) + ROUNDING
    return np.where(both, np.minimum(bound, p + q), p + q)


def _scale(edges: Array) -> float:
    return max(float(np.abs(edges).max()), float(np.ptp(edges)), TINY)


def _partition(one: Law, other: Law, mine: Grid, theirs: Grid) -> tuple[Array, Array | None]:
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
    x = distinct(*edges, atoms - near, atoms + near, *ends)
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


def _without_atoms(edges: Array, noise: Array, other: Law, blank: Array) -> tuple[Array, Array]:
    """Bins of walkers without edges on an atom, and none so narrow that only one could fill it."""
    rounding = float(np.spacing(np.abs(edges).max()))
    least = max(NARROWEST * float(np.ptp(edges)), 64 * rounding, TINY)
    keep = np.append(True, np.diff(np.floor((edges - edges[0]) / least)) > 0)
    near = max(SAME * float(np.ptp(edges)), rounding)
    keep &= other.below(edges + near) - other.below(edges - near) < ATOM
    keep[[0, -1]] = True
    keep &= ~_within(edges, blank)
    if not keep.any():  # of what is there nothing is known but how much
        return distinct(blank[np.isfinite(blank)]), noise[:0]
    starts = np.flatnonzero(keep)[:-1]
    return edges[keep], np.sqrt(np.add.reduceat(noise**2, starts))


def _gap(one: Law, other: Law, mine: Grid, theirs: Grid, x: Array) -> tuple[Array, Array]:
    """How far apart distribution functions are, and what samples outside of all bins leave open."""
    f, g = one.below(x), other.below(x)
    untold = np.zeros(len(x))
    for grid, own, law in ((mine, f, g), (theirs, g, f)):
        if grid.cut:  # beyond the ends less is known than that it does not fall
            left, right = x < grid.edges[0], x > grid.edges[-1]
            own[left], own[right] = np.minimum(own, law)[left], np.maximum(own, law)[right]
            untold += np.where(left, own, np.where(right, 1 - own, 0.0))
    return np.abs(f - g), untold


def _wasserstein(one: Law, other: Law, mine: Grid, theirs: Grid) -> Distance:
    known = np.concatenate([mine.edges, theirs.edges, mine.atoms, theirs.atoms])
    near = SAME * _scale(known)
    atoms = np.concatenate([mine.atoms, theirs.atoms])
    x = distinct(known, atoms - near, atoms + near)
    x = distinct(x, np.linspace(x[0], x[-1], 257))
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
    unsure += float(np.diff(at) @ np.maximum(untold[1:], untold[:-1])) + mine.beyond + theirs.beyond
    return Distance(value, unsure + LEAST * value)
