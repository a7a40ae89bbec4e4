"""One closed class of the exact chain: its cells, its moments, and how far to trust them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stationary.aliases import Array
from stationary.cells import Cells
from stationary.chain.batches import TWICE
from stationary.chain.far import Far
from stationary.chain.transfer import Transfer, moments
from stationary.line.equilibria import Equilibrium
from stationary.numbers.arithmetic import SAME
from stationary.numbers.limit import limit, remainder
from stationary.result import Listed

Level = tuple[Transfer, NDArray[Any]]  # cells, and the logarithms of their masses


FULL = 8.0  # times its share of the mass, above which a cell is too wide to show a density
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
        at = np.union1d(self.edges, other.edges)
        apart = np.abs(self.cdf(at) - other.cdf(at))
        masses = np.diff(self.below - other.cdf(self.edges))
        with np.errstate(invalid="ignore"):  # moments that do not exist
            moved = np.nan_to_num(np.abs(self.moments - other.moments), nan=0.0)
        if sided:
            away = np.abs((at[1:] + at[:-1]) / 2 - self.mean)
            moved = np.array([k * _area(np.diff(at) * away ** (k - 1), apart) for k in range(1, 5)])
        return replace(
            self,
            cdf_error=min(self.cdf_error + TWICE * float(apart.max()), 1.0),
            moment_errors=self.moment_errors + TWICE * moved,
            distance=self.distance + TWICE * _area(np.diff(at), apart),
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


def still_class(chain: Transfer, low: float, high: float, *, dead: bool) -> ChainClass:
    """A stretch without gradients: the walker stays where it comes, which depends on the start."""
    width = high - low
    return ChainClass(
        interval=(low, high),
        edges=np.array([low, high]),
        log_mass=np.zeros(1),
        moments=np.array([(low + high) / 2, width**2 / 12, 0.0, width**4 / 80]),
        moment_errors=width ** np.arange(1.0, 5) / 2,
        cdf_error=1.0,
        distance=width / 2,
        folded=0.0,
        has_density=None,
        transfer=chain,
        still=True,
        dead=dead,
    )


def lattice_class(edges: Array, mass: Array, folded: Array, *, spread: bool) -> ChainClass:
    """What lattices hold together, from the masses of their cells, and of twice as wide ones.

    `spread`: even in each cell; else as a start is, which finer cells tell.
    """
    mass = mass / mass.sum()
    levels = [(edges[::k], np.add.reduceat(mass, np.arange(0, len(mass), k))) for k in (4, 2)]
    if spread:
        levels = [(edges, mass)] * 2
    law, wider = Cells(edges, mass), Cells(*levels[1])
    moments, before = (
        np.array([x.mean(), *(x.moment(k, x.mean()) for k in (2, 3, 4))]) for x in (law, wider)
    )
    size, apart = float(np.abs(edges[[0, -1]]).max()), np.abs(law.cdf(edges) - wider.cdf(edges))
    scale = math.sqrt(moments[1]) ** np.arange(4) * (size + edges[-1] - edges[0])
    with np.errstate(divide="ignore"):
        logs = [(e, np.log(m)) for e, m in [*levels, levels[1]]]
        log_mass = np.log(mass)
    return ChainClass(
        interval=(float(edges[0]), float(edges[-1])),
        edges=edges,
        log_mass=log_mass,
        moments=moments,
        moment_errors=np.abs(before - moments) + 1e-11 * scale,
        cdf_error=float(apart.max()) + 1e-11,
        distance=_area(np.diff(edges), apart),
        folded=float(mass @ folded),
        has_density=True,
        transfer=None,
        rigid=spread,
        others=tuple(logs),
    )


def class_of(
    levels: list[Level],
    check: Level,
    interval: tuple[float, float],
    far: Far,
    exact: tuple[Array, Array] | None,
) -> ChainClass:
    """A class from three refinements and other cells, with errors from their differences.

    `exact` are moments and their errors that are known without cells.
    """
    chain, log_mass = levels[-1]
    edges, width, mass = chain.edges, np.diff(chain.edges), np.exp(log_mass)
    *onto, beside = (
        np.interp(edges, t.edges, np.cumsum(np.append(0.0, np.exp(m)))) for t, m in (*levels, check)
    )
    apart = 1.5 * np.abs(beside - onto[2])
    largest = [0.0, *np.cumsum([float(np.abs(g - f).max()) for f, g in pairwise(onto)])]
    cdf_error = float(remainder(largest, 2)) + float(apart.max()) + 1e-14
    # The integral of |F - F'|, by which means differ at most.
    gaps = [_area(width, np.abs(g - f)) for f, g in pairwise(onto)]
    distance = max(float(remainder([0.0, *np.cumsum(gaps)], 2)), _area(width, apart))
    has_density = _settles([unevenness(np.exp(m), t.edges) for t, m in levels])
    if has_density is not True or mass.max() > FULL / len(width):
        cdf_error += float(mass.max())  # where in its cell the mass of one lies
    linear = exact is not None
    if exact is None:
        size = max(map(abs, interval))
        found = _moments(levels, check, has_density, distance, size, apart)
        exact = _with_tail(*found, onto[2], edges, far)
    return ChainClass(
        interval=interval,
        edges=edges,
        log_mass=log_mass,
        moments=exact[0],
        moment_errors=exact[1],
        cdf_error=min(cdf_error, 1.0),
        distance=distance,
        folded=float(mass @ chain.folded),
        has_density=has_density,
        transfer=chain,
        linear=linear,
        rigid=not linear and bool(mass @ chain.moving < 0.1),
        others=tuple((t.edges, m) for t, m in (*levels[:2], check)),
    )


def _area(width: Array, height: Array) -> float:
    return float(width @ (height[1:] + height[:-1]) / 2)


def _moments(
    levels: list[Level],
    check: Level,
    has_density: bool | None,
    distance: float,
    size: float,
    apart: Array,
) -> tuple[Array, Array]:
    """The mean and central moments, and their errors."""
    *known, other = (moments(t.edges, m) for t, m in (*levels, check))
    deviation = math.sqrt(known[-1][1])
    scale = deviation ** np.arange(1, 5)
    floor = (1e-11 * deviation + 1e-15 * size) * deviation ** np.arange(4)
    found, error = limit(known, (2,))
    error = error + 2 * np.abs(other - found) + floor
    exact = (np.ptp([*known, other], axis=0) <= 1e-9 * scale).all()
    if not exact and not has_density:
        # Changes that are small by chance prove nothing. What holds is that moments differ by at
        # most the integral of |F - F'| times the largest slope of what is averaged.
        edges = levels[-1][0].edges
        slope = [
            k * max(abs(edges[0] - found[0]), abs(edges[-1] - found[0])) ** (k - 1)
            for k in range(1, 5)
        ]
        within = np.append(1.0, slope[1:]) * distance
        second = 2 * _area(np.diff(edges), apart * np.abs(edges - found[0]))
        error = np.maximum(error, np.minimum(within, [np.inf, max(second, error[1]), *scale[2:]]))
    found[1] = max(found[1], 0.0)
    return found, error


def _with_tail(
    moments: Array, errors: Array, below: Array, edges: Array, far: Far
) -> tuple[Array, Array]:
    """What lies beyond the cells, where the law falls like a power: no part of them."""
    if not math.isfinite(far.exponent):
        return moments, errors
    moments, errors = moments.copy(), errors.copy()
    away = np.abs(edges - moments[0])
    reach = float(away.min(initial=math.inf, where=away > 0.4 * away.max()))
    outer = float(1 - np.ptp(np.interp(moments[0] + reach * np.array([-0.5, 0.5]), edges, below)))
    for k in range(1, 5):
        if far.exponent <= k:
            odd = k == 1 or k == 3 or far.exponent <= 1
            moments[k - 1], errors[k - 1] = (math.nan if odd else math.inf), 0.0
        else:
            # P(|X| > x) ~ x^-exponent: what is beyond `reach`, from what is beyond half of it.
            beyond = outer * 2**-far.exponent * reach**k * far.exponent / (far.exponent - k)
            errors[k - 1] += 3 * beyond
    return moments, errors


def _settles(rough: list[float]) -> bool | None:
    """Whether a histogram settles as its cells are halved: with a density, it halves each time."""
    if rough[2] < 0.02 or rough[2] < 0.62 * rough[1]:
        return True
    if rough[2] > 0.05 and rough[2] > 0.8 * rough[1] > 0.64 * rough[0]:
        return False
    return None


def unevenness(mass: Array, edges: Array) -> float:
    """Half the change of the histogram when its cells are joined in pairs."""
    n = len(mass) // 2 * 2
    width = np.diff(edges)[:n]
    pair = mass[:n:2] + mass[1:n:2]
    even = pair * width[::2] / (width[::2] + width[1::2])
    return float(np.abs(mass[:n:2] - even).sum())
