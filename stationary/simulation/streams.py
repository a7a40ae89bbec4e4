"""Statistics of walkers, gathered while they move, and their standard errors.

Walkers are independent of each other, however slowly each forgets where it was. So the average of
each over time is one independent value, and their spread gives standard errors in which every
autocorrelation is counted, without estimating one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import reduce
from operator import add
from typing import Any

import numpy as np

from stationary.aliases import Array

GROUPS = 64  # of walkers, for the standard errors of the histogram
FEW = 8  # walkers: of rare visits fewer do not tell how long others would be


@dataclass(frozen=True)
class Watch:
    """What is watched.

    Attributes
    ----------
    reference
        A position about which sums are taken, so that nothing cancels.
    edges
        Of the histogram; empty for none.
    even
        Whether they are evenly spaced, so that a division finds the bin.
    intervals
        Pairs of positions whose probability is wanted, ends included.
    cores
        Ends of the cores of basins, see `Terrain`.
    thin
        Histogram, intervals and basins are looked at in every `thin`-th step.
    """

    reference: float
    edges: Array = field(default_factory=lambda: np.empty(0))
    intervals: tuple[tuple[float, float], ...] = ()
    cores: Array = field(default_factory=lambda: np.empty(0))
    thin: int = 1
    even: bool = False

    @property
    def basins(self) -> int:
        return len(self.cores) // 2


@dataclass
class Record:
    """Sums over some steps of some walkers: M walkers, K intervals, B basins, H bins."""

    steps: int  # over which the moments are summed
    looks: int  # of them, those in which the rest was looked at
    first: Array  # (M,) sums of x - reference
    second: Array  # (M,) and of its square
    inside: Array  # (K, M) looks at which the walker was inside
    occupied: Array  # (B, M) looks at which it was last seen in the core of this basin
    bins: Array  # (groups, 1 + H), the first for what lies below all of them
    sizes: Array  # (groups,) how many walkers each holds
    changes: int = 0  # of basins

    def averages(self, present: Array) -> tuple[Array, Array]:
        """Over the steps of each of some walkers: of x - reference, and of its square."""
        return self.first[present] / self.steps, self.second[present] / self.steps

    @classmethod
    def empty(cls, watch: Watch, walkers: int) -> Record:
        return cls(
            steps=0,
            looks=0,
            first=np.zeros(walkers),
            second=np.zeros(walkers),
            inside=np.zeros((len(watch.intervals), walkers)),
            occupied=np.zeros((watch.basins, walkers)),
            bins=np.zeros((min(GROUPS, walkers), len(watch.edges))),
            sizes=np.bincount(group_of(walkers)).astype(float),
        )

    def __add__(self, later: Record) -> Record:
        """The same walkers, over more steps."""
        sums = {k: getattr(self, k) + getattr(later, k) for k in self.__dict__ if k != "sizes"}
        return Record(**sums, sizes=self.sizes)


def joined(records: Sequence[Record]) -> Record:
    """More walkers, over the same steps."""
    axes = {"first": 0, "second": 0, "inside": 1, "occupied": 1, "bins": 0, "sizes": 0}
    whole: dict[str, Any] = {
        k: np.concatenate([getattr(r, k) for r in records], axis=i) for k, i in axes.items()
    }
    return replace(records[0], changes=sum(r.changes for r in records), **whole)


def group_of(walkers: int) -> Array:
    """The group that each walker of a block belongs to."""
    return np.arange(walkers) * min(GROUPS, walkers) // walkers


def total(records: Sequence[Record]) -> Record:
    """The same walkers, over all these steps."""
    return reduce(add, records)


class Observation:
    """Gathers a `Record` of one block of walkers."""

    def __init__(self, watch: Watch, walkers: int, label: Array) -> None:
        self.watch, self.record = watch, Record.empty(watch, walkers)
        self.label = label  # (M,) the basin in whose core each was last seen; -1 for none yet
        self.d = np.empty(walkers)
        edges = watch.edges
        self.columns = np.arange(walkers)
        if len(edges):
            # Two more bins than asked for, for what lies below and above.
            self.offset = group_of(walkers) * (len(edges) + 1) + 1

    def see(self, x: Array, present: Array | None) -> None:
        """The positions after one more step; `present` tells which have not escaped, if any."""
        d, record = self.d, self.record
        record.steps += 1
        np.subtract(x, self.watch.reference, out=d)
        record.first[...] += d
        d *= d
        record.second[...] += d
        if record.steps % self.watch.thin == 0:
            self._look(x, present)

    def _look(self, x: Array, present: Array | None) -> None:
        record, edges = self.record, self.watch.edges
        record.looks += 1
        for row, (low, high) in zip(record.inside, self.watch.intervals, strict=True):
            row += (x >= low) & (x <= high)
        if len(edges):
            index = bin_of(x, edges, self.watch.even, self.d)
            index += self.offset
            wide = len(edges) + 1
            counted = index if present is None else index[present]
            counts = np.bincount(counted, minlength=len(record.bins) * wide)
            record.bins[...] += counts.reshape(-1, wide)[:, :-1]
        if len(record.occupied):
            self.settle(x)
            settled = self.label >= 0
            record.occupied[self.label[settled], self.columns[settled]] += 1

    def settle(self, x: Array) -> None:
        """Note in whose core each walker is, if in any."""
        at = np.searchsorted(self.watch.cores, x)
        core = at >> 1
        moved = (at & 1 == 1) & (core != self.label)
        self.record.changes += int((moved & (self.label >= 0)).sum())
        self.label[moved] = core[moved]


def bin_of(x: Array, edges: Array, even: bool, work: Array) -> Array:
    """The bin of each x: 0, ..., H - 1; -1 below and H above. The last bin has both its ends."""
    bins = len(edges) - 1
    if not even:
        index = np.searchsorted(edges, x, side="right") - 1
        return np.where(x == edges[-1], bins - 1, index)
    np.subtract(x, edges[0], out=work)
    work *= bins / (edges[-1] - edges[0])
    np.copyto(work, bins - 0.5, where=x == edges[-1])
    np.floor(work, out=work)
    np.clip(work, -1, bins, out=work)
    return work.astype(np.intp)


# From sums to estimates.


@dataclass(frozen=True, eq=False)
class Estimate:
    """What the walkers say; every error is a standard error."""

    mean: float
    mean_error: float
    var: float
    var_error: float
    probabilities: tuple[float, ...]
    probability_errors: tuple[float, ...]
    below: float  # the mass below all bins
    mass: Array
    mass_error: Array
    cdf_error: float  # of the distribution function at the edges, where it is worst
    occupied: Array  # per basin
    occupied_error: Array

    @property
    def std(self) -> float:
        return math.sqrt(self.var)

    @property
    def std_error(self) -> float:
        return self.var_error / (2 * self.std) if self.var > 0 else 0.0


def estimate(record: Record, watch: Watch, present: Array) -> Estimate:
    """Means over time and walkers; `present` are the walkers that count."""
    m, q = record.averages(present)
    mean, between = float(m.mean()), float(m.var(ddof=1))
    # The square of an average exceeds that of the mean by the variance of the average.
    var = max(float(q.mean()) - mean * mean + between / len(m), 0.0)
    influence = q - 2 * mean * m
    p, p_error = _share(record.inside[:, present] / max(1, record.looks))
    occupied, occupied_error = _share(record.occupied[:, present] / max(1, record.looks))
    mass, mass_error, cdf_error = _masses(record)
    return Estimate(
        mean=watch.reference + mean,
        mean_error=math.sqrt(between / len(m)),
        var=var,
        var_error=float(influence.std(ddof=1)) / math.sqrt(len(m)),
        probabilities=tuple(p.tolist()),
        probability_errors=tuple(p_error.tolist()),
        below=float(mass[0]) if len(mass) else 0.0,
        mass=mass[1:],
        mass_error=mass_error[1:],
        cdf_error=cdf_error,
        occupied=occupied,
        occupied_error=occupied_error,
    )


def _share(shares: Array) -> tuple[Array, Array]:
    """Mean and standard error of shares of time, shape (K, M)."""
    walkers = shares.shape[1]
    error = shares.std(axis=1, ddof=1) / math.sqrt(walkers)
    # What hardly any walker saw, or missed, may still be seen for long by one in so many.
    few = np.minimum(*(np.count_nonzero(shares != v, axis=1) for v in (0.0, 1.0))) < FEW
    return shares.mean(axis=1), np.where(few, np.maximum(error, 1 / walkers), error)


def _masses(record: Record) -> tuple[Array, Array, float]:
    """Mass below all bins and of each, of all that was seen, and the standard errors by groups.

    Also the largest of those of sums from below: masses of neighbouring bins go together.
    """
    bins, walkers = record.bins, record.sizes.sum()
    groups = len(bins)
    seen = record.sizes * float(record.looks)
    if not bins.shape[1] or not record.looks or groups < 2:
        return np.zeros(bins.shape[1]), np.ones(bins.shape[1]), 1.0
    total = seen.sum()
    mass = bins.sum(axis=0) / total
    # Groups differ a little in size; a mass is the ratio of what was found to what was seen.
    rest = (bins - mass * seen[:, None]) / (total / groups)
    error, below = (
        np.sqrt((v * v).sum(axis=0) / (groups * (groups - 1))) for v in (rest, rest.cumsum(axis=1))
    )
    mass_error = np.where((rest != 0).any(axis=0), error, 1 / walkers)
    return mass, mass_error, float(below.max(initial=1 / walkers))


# Moments of the ensemble at one time.


@dataclass(frozen=True)
class Moments:
    """Count, mean and sums of powers 2, 3 and 4 of the deviations, of each of several times."""

    n: Array
    mean: Array
    m2: Array
    m3: Array
    m4: Array

    @classmethod
    def of(cls, x: Array) -> Moments:
        """Of one ensemble, shape (M,)."""
        n = len(x)
        mean = float(x.mean()) if n else 0.0
        if n and (x == x[0]).all():  # a mean of equal numbers is rounded
            mean = float(x[0])
        d = x - mean
        s = d * d
        parts = (float(n), mean, float(s.sum()), float((s * d).sum()), float((s * s).sum()))
        return cls(*(np.array([v]) for v in parts))

    @classmethod
    def stacked(cls, parts: Sequence[Moments]) -> Moments:
        """Several times, one after the other."""
        names = ("n", "mean", "m2", "m3", "m4")
        return cls(*(np.concatenate([getattr(p, k) for p in parts] or [[]]) for k in names))

    @classmethod
    def merged(cls, parts: Sequence[Moments]) -> Moments:
        """Of other walkers each, at the same times: all deviations are from one mean then."""
        n, mean, m2, m3, m4 = (
            np.array([getattr(p, k) for p in parts]) for k in ("n", "mean", "m2", "m3", "m4")
        )
        whole = n.sum(axis=0)
        centre = (n * mean).sum(axis=0) / np.maximum(whole, 1)
        d = mean - centre
        sums = (
            m2 + n * d**2,
            m3 + 3 * d * m2 + n * d**3,
            m4 + 4 * d * m3 + 6 * d**2 * m2 + n * d**4,
        )
        return cls(whole, centre, *(s.sum(axis=0) for s in sums))

    @property
    def std(self) -> Array:
        return np.asarray(np.sqrt(self.m2 / np.maximum(self.n - 1, 1)))

    @property
    def mean_error(self) -> Array:
        return self.std / np.sqrt(np.maximum(self.n, 1))

    @property
    def std_error(self) -> Array:
        """From var(s^2) = (mu_4 - s^4) / n, and ds = d(s^2) / (2 s)."""
        n, std = np.maximum(self.n, 1), self.std
        spread = np.sqrt(np.maximum(self.m4 / n - (self.m2 / n) ** 2, 0) / n)
        return np.where(std > 0, spread / np.where(std > 0, 2 * std, 1), 0.0)
