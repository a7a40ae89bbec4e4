"""One closed class of the exact chain: its cells, its moments, and how far to trust them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from stationary.aliases import Array
from stationary.chain.batches import TWICE
from stationary.chain.transfer import Transfer
from stationary.line.equilibria import Equilibrium
from stationary.numbers.arithmetic import SAME
from stationary.numbers.elementary import distinct
from stationary.result import Listed

ANY = 1e6  # of a log of odds, where one of two laws has none there
UNSETTLED = 0.5  # change of a log mass with finer cells that proves it unknown, if it does not fall


@dataclass(frozen=True, eq=False, repr=False)
class ChainClass(Listed):
    """One closed class of the chain that is spread out: once in it, the walker never leaves."""

    interval: tuple[float, float]
    edges: Array  # of the cells, n + 1
    log_mass: Array  # of the cells, n, given that the walker is in the class
    moments: Array  # the mean, and the central moments of order 2 to 4
    moment_errors: Array  # absolute
    cdf_error: float  # the largest error of the distribution function
    distance: float  # of Wasserstein, between this histogram and that of cells twice as wide
    folded: float  # probability per step to be turned back at an end of the domain
    has_density: bool | None
    transfer: Transfer | None  # None where lattices were solved each by itself
    rigid: bool = False  # no step brings walkers nearer to each other: a lattice for each start
    still: bool = False  # a stretch without gradients: where on it depends on the start
    dead: bool = False  # whether these are 0, and not just too small to be followed
    others: tuple[tuple[Array, Array], ...] = ()  # edges and log masses of cells 4 and 2 times as
    # wide, and of cells laid differently
    laws: tuple[ChainClass, ...] = ()  # the same with other nodes, where these stand for batches
    linear: bool = False  # whether its moments are known without cells
    mass_error: float = 0.0  # half the sum over cells, of what another law of a step changes
    weight: float | None = None  # None where it depends on the start, and none was given

    def __repr__(self) -> str:
        low, high = self.interval
        weight = "" if self.weight is None else f", weight {self.weight:.6g}"
        return f"<ChainClass from {low:.6g} to {high:.6g}: {len(self.log_mass)} cells{weight}>"

    @property
    def mean(self) -> float:
        return float(self.moments[0])

    @property
    def mean_error(self) -> float:
        return float(self.moment_errors[0])

    @property
    def variance(self) -> float:
        return float(self.moments[1])

    @property
    def variance_error(self) -> float:
        return float(self.moment_errors[1])

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
                "how far a single one is from it is not part of the errors. Give initial, a point, "
                "for one of them."
            )
        if self.still:
            speak = "" if self.dead else " to speak of"
            found.append(
                f"{where} no datapoint has a gradient{speak}: SGD stays where it arrives, which "
                "was not computed."
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

    @cached_property
    def filled(self) -> Array:
        """How much of what lies below the edges the class fills, in w."""
        return np.append(0.0, np.cumsum(np.diff(self.edges) * np.isfinite(self.log_mass)))

    def cdf(self, x: Array) -> Array:
        return np.interp(x, self.edges, self.below)

    def log_probability(self, lower: float, upper: float) -> float:
        """log P(lower < X <= upper), given that the walker is in the class."""
        known = self._parted(lower, upper)
        within = _log_probability(self.edges, self.log_mass, lower, upper)
        return within if known is None else known

    def _parted(self, lower: float, upper: float) -> float | None:
        """The same of a stretch without gradients, where all or nothing of it is asked for."""
        if not self.still:
            return None
        (low, high), near = self.interval, SAME * max(map(abs, self.interval))
        if lower <= low + near and high - near <= upper:
            return 0.0
        return -math.inf if upper <= low + near or high - near <= lower else None

    def log_probability_error(self, lower: float, upper: float) -> float:
        """The absolute error of that, from other cells; inf where they do not say."""
        if not self.others:
            return math.inf if self._parted(lower, upper) is None else 0.0
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
        inside, out, off = self._odds(lower, upper)
        rest += max(float(np.logaddexp(inside, out + off)), 0.0)
        return rest + 2 * abs(beside - value) + 1e-12

    def beside(self, other: ChainClass, sided: bool = False) -> ChainClass:
        """With twice what another law of a step changes as part of the errors.

        A `sided` one is off to one side: moments count what it does as if that were to either.
        """
        at = distinct(self.edges, other.edges)
        apart = np.abs(self.cdf(at) - other.cdf(at))
        masses = np.diff(self.below - other.cdf(self.edges))
        with np.errstate(invalid="ignore"):  # moments that do not exist
            moved = np.nan_to_num(np.abs(self.moments - other.moments), nan=0.0)
        if sided:
            away = np.abs((at[1:] + at[:-1]) / 2 - self.mean)
            moved = np.array([k * area(np.diff(at) * away ** (k - 1), apart) for k in range(1, 5)])
        return replace(
            self,
            cdf_error=min(self.cdf_error + TWICE * float(apart.max()), 1.0),
            moment_errors=self.moment_errors + TWICE * moved,
            distance=self.distance + TWICE * area(np.diff(at), apart),
            mass_error=self.mass_error + TWICE * float(np.abs(masses).sum()) / 2,
            laws=(*self.laws, other),
        )

    def reweighed(self, rests: Sequence[Equilibrium]) -> ChainClass:
        """With what other laws make of the odds between both sides of barriers as part of errors.

        Next to 0 and to 1 what one law, off to one side, changes of P tells nothing of others.
        """
        moments, worst = np.zeros(4), 0.0
        for k, rest in enumerate(rests):
            if not rest.stable and self.edges[0] < rest.position < self.edges[-1]:
                *logs, off = self._odds(-math.inf, float(rest.position))
                few, most = sorted(logs)
                moved = math.exp(few + most + off - np.logaddexp(few + off, most))
                moved *= -math.expm1(-off)
                beside = np.array([r.position for r in rests[max(k - 1, 0) : k + 2] if r.stable])
                powers = (beside.astype(float)[:, None] - self.mean) ** np.arange(1.0, 5)
                apart = np.abs(np.diff(powers, axis=0)).sum(axis=0)
                moments += moved * apart + (moved * apart[0]) ** np.arange(1.0, 5)
                worst = max(worst, moved)
        return replace(
            self,
            cdf_error=max(self.cdf_error, worst),
            mass_error=max(self.mass_error, worst),
            moment_errors=np.maximum(self.moment_errors, moments),
        )

    def _odds(self, lower: float, upper: float) -> tuple[float, float, float]:
        """Logs of P between two points and of P elsewhere; how far the log of their ratio may be
        off, as other laws of a step say."""

        def logs(c: ChainClass) -> tuple[float, float]:
            parts = (lower, upper), (-math.inf, lower), (upper, math.inf)
            inside, *out = (_log_probability(c.edges, c.log_mass, *ends) for ends in parts)
            return inside, float(np.logaddexp.reduce(out))

        own = logs(self)
        with np.errstate(invalid="ignore"):
            off = [np.subtract(*logs(c)) - np.subtract(*own) for c in self.laws]
        return *own, TWICE * float(np.abs(np.nan_to_num(off, posinf=ANY, neginf=-ANY)).sum())

    def unknown(self) -> ChainClass:
        """Where other gradients that may be true as well hold no such class."""
        return replace(
            self,
            cdf_error=1.0,
            moment_errors=np.full(4, math.inf),
            distance=math.inf,
            mass_error=1.0,
        )

    def rougher(self, off: float) -> ChainClass:
        """With what the values of batches change of the distribution function as part of errors.

        Where the steps are linear, mean and variance of a batch are all that counts for these.
        """
        deviation = math.sqrt(self.variance) if math.isfinite(self.variance) else math.inf
        more = off * deviation ** np.arange(1.0, 5)
        if self.linear:
            more[:2] = 0.0
        return replace(
            self,
            cdf_error=min(self.cdf_error + off, 1.0),
            moment_errors=self.moment_errors + np.where(np.isfinite(more), more, 0.0),
            distance=self.distance + off * deviation,
            mass_error=self.mass_error + off,
        )

    def _beyond_steep(self, lower: float, upper: float) -> bool:
        """Whether cells that are too wide to carry so small a mass lie between it and the peak."""
        if self.transfer is None or not self.transfer.steep.any():
            return False
        steep = self.transfer.steep
        cells = _within(self.edges, self.log_mass, lower, upper)
        first, last = sorted((int(np.argmax(cells)), int(np.argmax(self.log_mass))))
        return bool(steep[first : last + 1].any())


def _within(edges: Array, log_mass: Array, lower: float, upper: float) -> Array:
    """log of the mass that each cell has between two points."""
    overlap = np.minimum(edges[1:], upper) - np.maximum(edges[:-1], lower)
    with np.errstate(divide="ignore", over="ignore"):
        return np.asarray(log_mass + np.log(np.clip(overlap / np.diff(edges), 0, 1)))


def _log_probability(edges: Array, log_mass: Array, lower: float, upper: float) -> float:
    return float(np.logaddexp.reduce(_within(edges, log_mass, lower, upper)))


def area(width: Array, height: Array) -> float:
    return float(width @ (height[1:] + height[:-1]) / 2)
