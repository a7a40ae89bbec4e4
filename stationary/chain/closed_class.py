"""One closed class of the exact chain: its cells, its moments, and how far to trust them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stationary.chain.transfer import Transfer
from stationary.result import Data

__all__ = ["FULL", "ChainClass", "class_of", "refined_limit", "still_class", "unevenness"]

Array = NDArray[Any]

FULL = 8.0  # times its share of the mass, above which a cell is too wide to show a density
UNSETTLED = 0.5  # change of a log mass with finer cells that proves it unknown, if it does not fall


@dataclass(frozen=True, eq=False)
class ChainClass(Data):
    """One closed class of the chain that is spread out: once in it, the walker never leaves."""

    interval: tuple[float, float]
    edges: Array  # of the cells, n + 1
    log_mass: Array  # of the cells, n, given that the walker is in the class
    mean: float
    mean_error: float
    variance: float
    variance_error: float
    cdf_error: float  # the largest error of the distribution function
    distance: float  # of Wasserstein, between this histogram and that of cells twice as wide
    folded: float  # probability per step to be turned back at an end of the domain
    has_density: bool | None
    transfer: Transfer
    rigid: bool = False  # no step brings walkers nearer to each other: a lattice for each start
    still: bool = False  # a stretch without gradients: where on it depends on the start
    others: tuple[tuple[Array, Array], ...] = ()  # edges and log masses of cells 4 and 2 times as
    # wide, and of cells laid differently
    weight: float | None = None  # None where it depends on the start, and none was given

    @property
    def notes(self) -> list[str]:
        """What a reader should know of it, in words."""
        found = []
        where = f"Between {self.interval[0]:.6g} and {self.interval[1]:.6g}"
        if self.has_density is False:
            found.append(
                f"{where} finer cells change the histogram as much each time, although the "
                "distribution function settles: it seems to have no density (as a Cantor measure "
                "has none)."
            )
        if self.folded > 1e-12:
            found.append(
                f"{self.folded:.3g} of the steps would lead beyond the domain and were turned back."
            )
        if self.rigid:
            found.append(
                f"{where} no step brings two walkers nearer to each other: they keep to a lattice, "
                "and to which depends on the start. What is shown is the mean over all of them; "
                "how far a single one is from it is not part of the errors."
            )
        if self.still:
            found.append(
                f"{where} no datapoint has a gradient: SGD stays where it arrives, which was not "
                "computed."
            )
        return found

    @cached_property
    def mass(self) -> Array:
        return np.exp(self.log_mass)

    @cached_property
    def below(self) -> Array:
        """P(X <= x) at the edges."""
        total = np.cumsum(np.append(0.0, self.mass))
        return np.asarray(total / total[-1])

    def cdf(self, x: Array) -> Array:
        return np.interp(x, self.edges, self.below)

    def log_probability(self, lower: float, upper: float) -> float:
        """log P(lower < X <= upper), given that the walker is in the class."""
        return _log_probability(self.edges, self.log_mass, lower, upper)

    def log_probability_error(self, lower: float, upper: float) -> float:
        """The absolute error of that, from other cells; inf where they do not say."""
        if not self.others:
            return math.inf
        found = [_log_probability(*cells, lower, upper) for cells in self.others]
        value = self.log_probability(lower, upper)
        if not all(math.isfinite(v) for v in (*found, value)):
            return 0.0 if not any(map(math.isfinite, (*found, value))) else math.inf
        if self._beyond_steep(lower, upper):
            return math.inf
        first, second, beside = found
        before, after = abs(second - first), abs(value - second)
        settles = after < 0.75 * before
        if max(after, abs(beside - value)) > UNSETTLED and not settles:
            return math.inf
        # Once changes are small they need not fall steadily: cells are laid differently each time.
        rest = 2 * max(after, before / 2) if settles else 3 * max(after, before)
        return rest + 2 * abs(beside - value) + 1e-12

    def _beyond_steep(self, lower: float, upper: float) -> bool:
        """Whether cells that are too wide to carry so small a mass lie between it and the peak."""
        steep = self.transfer.steep
        if not steep.any():
            return False
        cells = _within(self.edges, self.log_mass, lower, upper)
        first, last = sorted((int(np.argmax(cells)), int(np.argmax(self.log_mass))))
        return bool(steep[first : last + 1].any())


def _within(edges: Array, log_mass: Array, lower: float, upper: float) -> Array:
    """log of the mass that each cell has between two points."""
    overlap = np.minimum(edges[1:], upper) - np.maximum(edges[:-1], lower)
    with np.errstate(divide="ignore"):
        return np.asarray(log_mass + np.log(np.clip(overlap / np.diff(edges), 0, 1)))


def _log_probability(edges: Array, log_mass: Array, lower: float, upper: float) -> float:
    logs = _within(edges, log_mass, lower, upper)
    top = float(logs.max())
    return top + math.log(np.exp(logs - top).sum()) if math.isfinite(top) else -math.inf


def still_class(chain: Transfer, low: float, high: float) -> ChainClass:
    """A stretch without gradients: the walker stays where it comes, which depends on the start."""
    width = high - low
    return ChainClass(
        interval=(low, high),
        edges=np.array([low, high]),
        log_mass=np.zeros(1),
        mean=(low + high) / 2,
        mean_error=width / 2,
        variance=width**2 / 12,
        variance_error=width**2 / 4,
        cdf_error=1.0,
        distance=width / 2,
        folded=0.0,
        has_density=None,
        transfer=chain,
        still=True,
    )


def class_of(
    levels: list[tuple[Transfer, Array]],
    check: tuple[Transfer, Array],
    low: float,
    high: float,
    heavy: tuple[bool, bool],
) -> ChainClass:
    """A class from three refinements and other cells, with errors from their differences."""
    masses = [np.exp(log_mass) for _, log_mass in levels]
    moments = [chain.moments(mass) for (chain, _), mass in zip(levels, masses, strict=True)]
    chain, log_mass = levels[-1]
    size = max(abs(low), abs(high))
    deviation = math.sqrt(moments[-1][1])
    floor = 4e-13 * deviation + 1e-15 * size
    mean, mean_error = refined_limit([m for m, _ in moments], floor)
    variance, variance_error = refined_limit([v for _, v in moments], floor * deviation)
    variance = max(variance, 0.0)
    others = check[0].moments(np.exp(check[1]))
    mean_error += 2 * abs(others[0] - mean)
    variance_error += 2 * abs(others[1] - variance)
    below = [np.cumsum(np.append(0.0, m)) for m in masses]
    changes = [
        float(
            np.abs(
                np.interp(levels[k + 1][0].edges, levels[k][0].edges, below[k]) - below[k + 1]
            ).max()
        )
        for k in (0, 1)
    ]
    ratio = min(max(changes[0] / max(changes[1], 1e-300), 1.2), 4.0)
    cdf_error = 1.5 * max(changes[1], changes[0] / 8) / (ratio - 1) + 1e-14
    edges = chain.edges
    beside = np.cumsum(np.append(0.0, np.exp(check[1])))
    apart = np.abs(np.interp(edges, check[0].edges, beside) - below[2])
    cdf_error += 1.5 * float(apart.max())
    coarse = np.interp(edges, levels[1][0].edges, below[1])
    gap = np.abs(coarse - below[2])
    distance = float(np.diff(edges) @ (gap[1:] + gap[:-1]) / 2) * 1.5 / (ratio - 1)
    rough = [unevenness(m, t.edges) for m, (t, _) in zip(masses, levels, strict=True)]
    width = np.diff(edges)
    distance = max(distance, float(width @ (apart[1:] + apart[:-1]) / 2) * 1.5)
    has_density = _settles(rough)
    if has_density is not True or masses[-1].max() > FULL / len(width):
        cdf_error += float(masses[-1].max())  # where in its cell the mass of one lies
    known = np.array([*moments, others])
    exact = np.ptp(known[:, 0]) <= 1e-9 * deviation and np.ptp(known[:, 1]) <= 1e-9 * deviation**2
    if not exact and not (has_density and all(_squares(v) for v in known[:3].T)):
        # Changes that are small by chance prove nothing. What holds is that means differ by at
        # most the integral of |F - F'|, and variances by that of 2 |x - mean| |F - F'|.
        mean_error = max(mean_error, distance)
        off = np.maximum(1.5 / (ratio - 1) * gap, 1.5 * apart) * np.abs(edges - mean)
        variance_error = max(variance_error, float(width @ (off[1:] + off[:-1])))
    if heavy[0]:
        mean, mean_error = math.nan, 0.0
    if heavy[1]:
        variance, variance_error = math.nan if heavy[0] else math.inf, 0.0
    return ChainClass(
        interval=(low, high),
        edges=edges,
        log_mass=log_mass,
        mean=mean,
        mean_error=mean_error,
        variance=variance,
        variance_error=variance_error,
        cdf_error=min(cdf_error, 1.0),
        distance=distance,
        folded=float(masses[-1] @ chain.folded),
        has_density=has_density,
        transfer=chain,
        rigid=chain.rigid(masses[-1]),
        others=tuple((t.edges, m) for t, m in (*levels[:2], check)),
    )


def _settles(rough: list[float]) -> bool | None:
    """Whether a histogram settles as its cells are halved."""
    if rough[2] < 0.02 or rough[2] < 0.62 * rough[1]:
        return True
    if rough[2] > 0.05 and rough[2] > 0.8 * rough[1] > 0.64 * rough[0]:
        return False
    return None


def _squares(values: Any) -> bool:
    """Whether the changes fall with the square of the cell."""
    before, after = values[1] - values[0], values[2] - values[1]
    return bool(after != 0 and 3 < before / after < 5.5)


def refined_limit(values: list[float], floor: float) -> tuple[float, float]:
    """What three refinements lead to, and the error of that."""
    before, after = values[1] - values[0], values[2] - values[1]
    if _squares(values):
        better = values[2] + after / 3
        error = max(abs(better - (values[1] + before / 3)), abs(after) / 3)  # may be luck
        return float(better), float(error + floor)
    ratio = min(max(abs(before) / max(abs(after), 1e-300), 1.5), 4.0)
    error = 3 * max(abs(after), abs(before) / 3) / (ratio - 1) + floor
    return float(values[2]), float(error)


def unevenness(mass: Array, edges: Array) -> float:
    """Half the change of the histogram when its cells are joined in pairs."""
    n = len(mass) // 2 * 2
    width = np.diff(edges)[:n]
    pair = mass[:n:2] + mass[1:n:2]
    even = pair * width[::2] / (width[::2] + width[1::2])
    return float(np.abs(mass[:n:2] - even).sum())
