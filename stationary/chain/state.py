"""`ChainState`: where SGD with a finite step ends up, with the habits of an `EndState`."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Literal

import numpy as np

from stationary.aliases import Array
from stationary.cells import Cells
from stationary.chain.batches import TWICE, Batches
from stationary.chain.classes import unevenness
from stationary.chain.closed_class import ChainClass
from stationary.chain.distant import STEEPEST
from stationary.chain.far import Far
from stationary.chain.relaxation import Relaxation, relaxation_of
from stationary.chain.times import ExitTime, exit_time
from stationary.distance import Grid
from stationary.distribution import Through
from stationary.errors import LandscapeError, Status
from stationary.numbers.elementary import distinct
from stationary.points import pointwise
from stationary.process.initial import Initial
from stationary.process.landscape import Landscape
from stationary.states.mixture import Atom, Escape


@dataclass(frozen=True, eq=False, repr=False)
class ChainState(Through):
    """The end state of SGD with its finite step, and how far to trust it.

    Attributes
    ----------
    kind
        "density", "atoms" or "mixture"; "classes" where the weights depend on the start and none
        was given; "none" where SGD runs away. With the last two every method raises a
        `LandscapeError` that says why. A "density" may be a distribution function without one:
        see `has_density`.
    atoms, components, escapes
        What the chain ends in, left to right. A component is a closed class, with its cells,
        its `mean`, its `weight`. Escapes are no part of the distribution; all weights add up to 1.
    error
        Estimated absolute error of the distribution function where it is worst; a probability
        of an interval may be off by twice as much.
    log_arrival, arrival_error
        log of the mean number of steps until the walker is in a closed class, from the start, or
        where none was given from the worst one; and its absolute error.
    folded
        Probability per step, in the end state, to be turned back at an end of the domain.
    span
        The interval on which it was followed.
    """

    landscape: Landscape
    batches: Batches
    atoms: tuple[Atom, ...]
    components: tuple[ChainClass, ...]
    status: Status
    kind: str
    cells: int
    weight_error: float = 0.0  # absolute, of the weights
    log_weight_error: float = math.inf  # of the logs of those of atoms, where these know it better
    log_arrival: float = -math.inf
    arrival_error: float = 0.0
    reason: str = ""
    notes: tuple[str, ...] = ()
    escapes: tuple[Escape, ...] = ()
    initial: Initial | None = None
    far: Far = field(default_factory=Far)
    span: tuple[float, float] = (-math.inf, math.inf)
    # By outcomes of a step, or cycles, that cells leave out: classes need not be all.
    linked: bool = False
    is_one: bool = False  # whether all atoms are one closed class, of a few points

    @property
    def lost(self) -> float:
        """The probability to run away to infinity, right to `weight_error`."""
        return math.fsum(e.weight or 0.0 for e in self.escapes)

    @property
    def closed(self) -> int:
        """How many closed classes there are."""
        return 1 if self.is_one else len(self.atoms) + len(self.components)

    def __repr__(self) -> str:
        parts = (
            f"{len(self.components)} class{'' if len(self.components) == 1 else 'es'}, "
            f"{len(self.atoms)} atom{'' if len(self.atoms) == 1 else 's'}, "
        )
        how = f"error {self.error:.0e}, " if self.kind not in ("none", "classes") else ""
        name = self.landscape.name
        return f"<ChainState of {name!r}: {parts}{how}{self.status.name.lower()}>"

    # -- distribution function and probabilities ------------------------------------------------

    @pointwise
    def logcdf(self, x: Array) -> Array:
        """log P(X <= x), also where the probability itself underflows."""
        return self._log_tail(x, 1)

    @pointwise
    def logsf(self, x: Array) -> Array:
        """log P(X > x), also where the probability itself underflows."""
        return self._log_tail(x, -1)

    def _log_tail(self, x: Array, way: Literal[1, -1]) -> Array:
        """log of the probability from below, or from above, up to each point."""
        edges, log_mass, x = (way * self.edges)[::way], self.log_mass[::way], way * x
        total = np.where(np.isnan(x), np.nan, -np.inf)
        with np.errstate(divide="ignore", invalid="ignore"):
            if len(log_mass):
                k = np.clip(np.searchsorted(edges, x, side="right") - 1, 0, len(log_mass) - 1)
                share = np.clip((x - edges[k]) / np.diff(edges)[k], 0.0, 1.0)
                before = np.append(-np.inf, np.logaddexp.accumulate(log_mass))
                total = np.logaddexp(before[k], log_mass[k] + np.log(share))
            for w, at in self._lumps:
                held = way * at <= x if way > 0 else way * at < x
                total = np.where(held, np.logaddexp(total, math.log(w)), total)
        return np.minimum(total, 0.0)

    def log_probability(self, lower: float, upper: float) -> float:
        """log P(lower < X <= upper), also where the probability itself underflows.

        Within its cells density leans as the steps there imply (see `tilt`), so that this holds
        even where cells are as wide as a step; `log_probability_error` says how far to trust it.
        """
        self._require()
        if not lower <= upper:
            raise LandscapeError(
                f"probability({lower:g}, {upper:g}): the first end must not be above the second."
            )
        logs = [math.log(w) + c.log_probability(lower, upper) for w, c in self._parts]
        logs += [math.log(w) for w, x in self._lumps if lower < x <= upper]
        return min(float(np.logaddexp.reduce(logs)), 0.0) if logs else -math.inf

    def log_probability_error(self, lower: float, upper: float) -> float:
        """The estimated absolute error of `log_probability`: relative of the probability itself.

        inf where finer cells still change it as much: then only `error` holds. So it is of what
        lies beyond all cells, where tails were cut.
        """
        whole = self.log_probability(lower, upper)
        known = self.edges[[0, -1]] if len(self.edges) else (math.inf, -math.inf)
        cut = bool(self.far.left_out and not known[0] <= lower <= upper <= known[1])
        if not math.isfinite(whole):
            return math.inf if cut else 0.0
        total = math.exp(min(math.log(self.far.left_out) - whole, STEEPEST)) if cut else 0.0
        for w, c in self._parts:
            log_share = math.log(w) + c.log_probability(lower, upper) - whole
            if log_share > -40:
                share = math.exp(min(log_share, 0.0))
                total += share * (c.log_probability_error(lower, upper) + self.weight_error / w)
        inside = [w for w, x in self._lumps if lower < x <= upper]
        if not inside:
            return total
        return total + min(len(inside) * self.weight_error / math.exp(whole), self.log_weight_error)

    def probability(self, lower: float, upper: float) -> float:
        """P(lower < X <= upper)."""
        return math.exp(self.log_probability(lower, upper))

    @cached_property
    def edges(self) -> Array:
        """The edges of the cells of all components together, ascending."""
        if not self.components:
            return np.empty(0)
        return distinct(*[c.edges for c in self.components])

    @cached_property
    def log_mass(self) -> Array:
        """log of the probability between neighbouring edges; atoms are no part of it."""
        self._require()
        total = np.full(max(len(self.edges) - 1, 0), -np.inf)
        middle = (self.edges[1:] + self.edges[:-1]) / 2
        for w, c in self._parts:
            cell = np.clip(np.searchsorted(c.edges, middle) - 1, 0, len(c.log_mass) - 1)
            share = np.diff(self.edges) / np.diff(c.edges)[cell]
            within = (c.edges[0] < middle) & (middle < c.edges[-1])
            part = math.log(w) + c.log_mass[cell] + np.log(share)
            total = np.logaddexp(total, np.where(within, part, -np.inf))
        return total

    @property
    def mass(self) -> Array:
        """The probability between neighbouring edges; atoms are no part of it."""
        return np.exp(self.log_mass)

    # -- moments --------------------------------------------------------------------------------

    def mean(self) -> float:
        """E[X]."""
        self._require_moments()
        return math.fsum(w * mean for w, mean, *_ in self._held)

    @property
    def mean_error(self) -> float:
        """The estimated absolute error of `mean()`."""
        mean = self.mean()
        return math.fsum(w * e + self.weight_error * abs(m - mean) for w, m, e, *_ in self._held)

    def var(self) -> float:
        """The variance."""
        mean = self.mean()
        return math.fsum(w * (v + (m - mean) ** 2) for w, m, _, v, _ in self._held)

    @property
    def var_error(self) -> float:
        """The estimated absolute error of `var()`."""
        mean = self.mean()
        return math.fsum(
            w * (of_var + 2 * abs(m - mean) * e) + self.weight_error * (v + (m - mean) ** 2)
            for w, m, e, v, of_var in self._held
        )

    @property
    def std_error(self) -> float:
        """The estimated absolute error of `std()`."""
        error, variance = self.var_error, self.var()
        return min(error / (2 * math.sqrt(variance)), math.sqrt(error)) if variance > 0 else 0.0

    @property
    def error(self) -> float:
        """Estimated absolute error of the distribution function where it is worst."""
        return float(sum(w * c.cdf_error for w, c in self._parts) + self.weight_error)

    @property
    def edge_error(self) -> float:
        """The same but within stretches without gradients, where it is not known."""
        parts = sum(w * c.cdf_error for w, c in self._parts if not c.still)
        return float(parts + self.weight_error)

    @property
    def folded(self) -> float:
        """Probability per step to be turned back at an end of the domain."""
        return float(sum(w * c.folded for w, c in self._parts))

    @property
    def has_density(self) -> bool | None:
        """Whether the cells point to a density; None where they do not tell, or with atoms alone.

        Judged by refinement, which proves nothing: where there is a density, a histogram settles
        as cells are halved; for a Cantor measure it changes as much each time, although the
        distribution function settles.
        """
        known = {c.has_density for _, c in self._parts}
        if not known or (self.atoms and any(a.weight for a in self.atoms)):
            return None if not known else False
        return False if False in known else None if None in known else True

    @property
    def tail_exponent(self) -> float:
        """k where P(|w| > x) falls like x^-k: moments of order below k exist; inf if it is faster.

        Of an unbounded domain; k solves E |1 - T l''|^k = 1 far out (Kesten).
        """
        return self.far.exponent

    def _moment(self, order: int, centre: float) -> float:
        """From those of its classes, which are known up to order 4."""
        self._require_moments()
        if order > 4:
            raise LandscapeError(f"moment: order = {order} must be 0, 1, 2, 3 or 4 of a chain.")
        total = sum(w * (x - centre) ** order for w, x in self._lumps)
        for w, c in self._parts:
            central, away = [1.0, 0.0, *c.moments[1:]], c.mean - centre
            total += w * sum(
                math.comb(order, k) * central[k] * away ** (order - k)
                for k in range(order + 1)
                if away or k == order  # moments that are infinite are no part of others
            )
        return float(total)

    # -- how fast, and how far from another -----------------------------------------------------

    def mean_exit_time(self, lower: float, upper: float, start: float | None = None) -> ExitTime:
        """The mean number of steps until SGD is first outside an interval.

        Parameters
        ----------
        start
            Where it starts, inside. None: in the quasi-stationary state of the interval, which is
            what is left in it after long; it is then left with `.probability` in each step.
        """
        return exit_time(self.batches, lower, upper, start, self.cells)

    def relaxation(self) -> Relaxation:
        """How fast the chain forgets its start within its closed class: its second eigenvalue."""
        self._require()
        known = [c for _, c in self._parts]
        if len(known) != 1 or known[0].still or self._lumps:
            raise LandscapeError(
                f"{self.landscape.name}: relaxation() is that of one closed class with cells, and "
                f"here there are {len(known)} and {len(self._lumps)} atoms."
            )
        laws = [*known, *known[0].laws]
        chains = [c.transfer for c in laws if c.transfer is not None]
        if not chains:
            raise LandscapeError(
                f"{self.landscape.name}: steps of fixed lengths keep to a lattice, and which is "
                "never forgotten. There is no relaxation()."
            )
        found, *others = map(relaxation_of, chains, (c.log_mass for c in laws))
        more = TWICE * math.fsum(abs(other.log_time - found.log_time) for other in others)
        return replace(found, error=found.error + known[0].cdf_error + more)

    @property
    def _law(self) -> Cells:
        return self.cells_law

    @property
    def _grid(self) -> Grid:
        return self.cells_law._grid

    @cached_property
    def cells_law(self) -> Cells:
        """The law on its cells, with the density even within each."""
        self._require()
        spread = self._parts
        unevenly = sum(w * (unevenness(c.mass, c.edges) + c.mass_error) for w, c in spread)
        lumps = np.array(self._lumps).reshape(-1, 2)
        span = float(np.ptp([*self.edges, *lumps[:, 1]]))
        return Cells(
            edges=self.edges,
            masses=self.mass,
            positions=lumps[:, 1],
            weights=lumps[:, 0],
            error=self.error,
            edge_error=self.edge_error,
            blank=np.array([self._whole(c) for _, c in spread if c.still]).reshape(-1, 2),
            mass_error=float(unevenly) + self.weight_error,
            shift_error=float(sum(w * c.distance for w, c in spread)) + self.weight_error * span,
        )

    @pointwise
    def pdf(self, x: Array) -> Array:
        """The mean density of the cell that each point lies in, per unit of w; atoms aside."""
        return self.cells_law.pdf(x)

    @pointwise
    def logpdf(self, x: Array) -> Array:
        """log of the density; -inf where there is none."""
        return self.cells_law.logpdf(x)

    def _whole(self, c: ChainClass) -> tuple[float, float]:
        """Its interval, and what lies beyond where nothing was followed."""
        low, high = self.landscape.domain
        return (
            low if c.interval[0] == self.span[0] else c.interval[0],
            high if c.interval[1] == self.span[1] else c.interval[1],
        )

    # -- inside ---------------------------------------------------------------------------------

    @property
    def _parts(self) -> list[tuple[float, ChainClass]]:
        return [(float(c.weight), c) for c in self.components if c.weight]

    @property
    def _lumps(self) -> list[tuple[float, float]]:
        """Weight and position of each atom."""
        return [(float(a.weight), a.position) for a in self.atoms if a.weight]

    @property
    def _held(self) -> list[tuple[float, float, float, float, float]]:
        """Weight, mean and its error, variance and its error, of all classes and atoms."""
        parts = [(w, c.mean, c.mean_error, c.variance, c.variance_error) for w, c in self._parts]
        return parts + [(w, x, 0.0, 0.0, 0.0) for w, x in self._lumps]

    def _require(self) -> None:
        if self.kind == "none":
            raise LandscapeError(f"{self.landscape.name}: SGD has no end state. {self.reason}")
        if self.kind == "classes":
            raise LandscapeError(f"{self.landscape.name}: {self.reason}")

    def _require_moments(self) -> None:
        self._require()
        if self.lost:
            raise LandscapeError(
                f"{self.landscape.name}: part of the walkers runs away to infinity, so there is no "
                "mean. Ask the components for theirs."
            )
