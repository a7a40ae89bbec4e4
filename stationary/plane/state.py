"""`PlaneState`: the end state of a process in the plane, with what is asked of it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from stationary.aliases import Array
from stationary.errors import LandscapeError, Status
from stationary.functions.evaluation import call_user_function
from stationary.functions.given import number
from stationary.plane.basin import PlaneBasin, PlaneBasins
from stationary.plane.borders import Borders
from stationary.plane.boxes import box_of, even
from stationary.plane.curl import Circulation, Curl, circulation
from stationary.plane.density import Bare, Region
from stationary.plane.flow import PLACES, Flow
from stationary.plane.local import Equilibrium, positions
from stationary.plane.marginal import Reaching, beside, known_by
from stationary.plane.means import aside, asked, highest, mean_of, truth_of
from stationary.plane.mesh import log_sum
from stationary.plane.metric import Metric, points_of
from stationary.plane.regions import Nodes
from stationary.points import drawing
from stationary.process.plane import Box, PlaneDiffusion, rectangle
from stationary.process.plane_landscape import PlaneLandscape
from stationary.progress import at, each
from stationary.result import Result

NEARBY = 1 / 32  # of the box: a third of a first element, over which ways change places
ASIDE = ((1.0, 0.6), (-0.6, 1.0), (-1.0, -0.6), (0.6, -1.0))  # times that is looked


@dataclass(frozen=True, eq=False, repr=False)
class PlaneState(Bare, Result):
    """An end state in the plane; points are given with shape (2,) or (2, M).

    Attributes
    ----------
    curl
        The curl test: whether a local energy exists, and how much of the driving circulates.
    road
        "gaussian", "product", "gibbs", "integral", "elements" or "series": how it was found.
    equilibria
        The zeros of the drift.
    others
        The same found in coarser ways: their differences are the errors.
    """

    process: PlaneLandscape | PlaneDiffusion
    diffusion: PlaneDiffusion
    density: Any  # a `Density`, a `Gaussian`, a `Product`, or a `Stretched` one with heavy tails
    others: tuple[tuple[str, Any], ...]
    equilibria: tuple[Equilibrium, ...]
    tested: Curl
    road: str
    status: Status = Status.CONVERGED
    notes: tuple[str, ...] = ()
    main: PlaneState | None = None  # whose basins these are, where this one tells its error
    rough: bool = False  # parts of the plane are integrated less closely
    shift: Any = None  # (2,): so far aside this one is compared with `main`

    kind = "density"

    @property
    def end_state(self) -> PlaneState:
        return self

    @property
    def components(self) -> tuple[Any, ...]:
        return (self.density,)

    # The density.

    def logpdf(self, x: Any) -> Array:
        points = points_of(x)
        with np.errstate(all="ignore"):
            own = self._aside(
                lambda d, by: d.log_at(points + by[:, None], self.rough) - d.log_total
            )
        far: Array = -np.abs(points).max(axis=0)  # of nan that
        return np.where(np.isfinite(far), own, far).reshape(np.shape(x)[1:])[()]

    def _aside(self, value: Callable[[Any, Any], Any]) -> Any:
        """What a density has at places moved by (2,); or the main one, and this one more than it
        some way aside: at a place alone both may agree by chance."""
        asked.at_places = True
        if self.main is not None and self.shift is not None:
            return aside(value, self.main.density, self.density, self.shift)
        return value(self.density, np.zeros(2))

    def pdf(self, x: Any) -> Array:
        return np.exp(self.logpdf(x))

    def energy(self, x: Any) -> Array:
        """-log P, least 0."""
        return self.peak - self.logpdf(x)

    @cached_property
    def peak(self) -> float:
        """The largest log P seen, from the best of all points on."""
        return highest(self.logpdf, self.density.quadrature[0], self.box)

    @cached_property
    def error(self) -> float:
        """The largest error of the density, as a part of its peak."""
        x = self.density.quadrature[0]
        x, laws = x[:, :: max(1, x.shape[1] // 10_000)], [d for _, d in self.others]
        unit, top = self.density.log_unit(x), self.density.top - self.density.log_total
        with np.errstate(invalid="ignore"):  # of one that has no total nothing is known
            own, *values = (
                np.exp(d.log_at(x) - d.log_total + unit - top) for d in (self.density, *laws)
            )
            apart = [np.abs(v - own).max() for v in values]
        off = float(np.nan_to_num(np.dot(self._surely, apart), nan=math.inf))
        return off + float(self.density.known)

    @property
    def _surely(self) -> list[float]:
        """By what differences of `others` are multiplied: a series with one term less is off by as
        little by chance, now and then, and few cosines see 3/4 of what a jump of the noise does."""
        sure = 3.0 if self.road == "series" else 1.0
        return [max(sure, 2.0 if name == "balance" else 1.0) for name, _ in self.others]

    # Regions.

    def inside(self, region: Any) -> Region:
        """A region as a pair of ends for each direction, or as a function of points (2, M)."""
        if region is None:
            return None
        if callable(region):
            return lambda x: truth_of(region, x, self.diffusion.name)
        if isinstance(region, PlaneBasin):
            region = region.index
        if isinstance(region, (int, np.integer)) and not isinstance(region, bool):
            if not 0 <= region < len(self._attractors):
                count = len(self._attractors)
                known = f"they are numbered from 0 to {count - 1}" if count else "there are none"
                raise LandscapeError(f"{self.diffusion.name}: there is no basin {region}; {known}.")
            index = int(region)
            return lambda x: self.basin_of(x) == index
        return rectangle(region, self.diffusion.name)

    def log_probability(self, region: Any) -> float:
        """log of the probability of a region: a rectangle, a basin or its number, or a function
        of points (2, M), of which what is narrower than 1/16 of a panel of P may be missed."""
        inside = self.inside(region)
        if isinstance(region, PlaneBasin) or number(region) is not None:
            index = region.index if isinstance(region, PlaneBasin) else int(region)
            return float(self._log_masses[index])
        if inside is None or callable(inside) or self.rough:
            return float(self.density.log_mass(inside, self.rough))
        ends = np.array(inside)
        return float(self._aside(lambda d, by: d.log_mass(box_of(*(ends.T + by)))))

    def probability(self, region: Any) -> float:
        return float(np.exp(self.log_probability(region)))

    def log_ratio(self, a: Any, b: Any) -> float:
        """log of P(a) / P(b), right where either is beyond doubles; see `log_ratio_error`."""
        return self.log_probability(a) - self.log_probability(b)

    def log_ratio_error(self, a: Any, b: Any) -> float:
        """inf where nothing is known of a region, as beyond what the box cuts off."""
        off = self.error_of(lambda s: s.log_ratio(a, b))
        for r in (r for r in (a, b) if not isinstance(r, PlaneBasin) and number(r) is None):
            off += self.density.missed_in(self.inside(r), self.log_probability(r))
        return float(np.nan_to_num(off, nan=np.inf))

    def error_of(self, quantity: Callable[[PlaneState], Any], unit: Any = 1.0) -> Any:
        """How far a quantity moves with the degree, the cut, the box and the borders, added up, and
        the rounding of it or of its `unit` (`std()` of lengths); None of what is not had."""
        if (found := quantity(self)) is None:
            return None
        own = np.asarray(found)
        with np.errstate(invalid="ignore", over="ignore"):  # what is infinite has no error
            moved = [np.abs(np.asarray(quantity(self._rough)) - own)]
            for by, sibling in zip(self._surely, self._siblings, strict=True):
                asked.at_places = False
                ways = [quantity(sibling)]
                ways += [quantity(s) for s in sibling._beside] if asked.at_places else []
                moved.append(by * np.max([np.abs(np.asarray(w) - own) for w in ways], axis=0))
        size = np.fmax(np.where(np.isfinite(unit), unit, 1.0), np.abs(own))
        return np.asarray(sum(moved, self.density.known * size))[()]

    @cached_property
    def _siblings(self) -> tuple[PlaneState, ...]:
        return tuple(replace(self, density=d, others=(), main=self) for _, d in self.others)

    @cached_property
    def _beside(self) -> tuple[PlaneState, ...]:
        size = NEARBY * np.ptp(np.array(self.box), axis=1)
        return tuple(replace(self, shift=size * way) for way in ASIDE)

    @cached_property
    def _rough(self) -> PlaneState:
        return replace(self, others=(), main=self, rough=True)

    # Basins.

    @cached_property
    def _attractors(self) -> tuple[Equilibrium, ...]:
        return tuple(e for e in self.equilibria if e.attracts)

    @cached_property
    def box(self) -> Box:
        """What holds all but next to nothing of the probability."""
        made: Box = self.density.box
        return made

    @cached_property
    def borders(self) -> tuple[Flow, Borders | None]:
        if self.main is not None:
            return self.main.borders
        at("borders of basins")
        flow = Flow.of(self.diffusion, self.equilibria, self.box)
        alone = len(flow.attractors) == 1 and len(self.equilibria) == 1 and flow.arrives
        return flow, None if alone else Borders.of(flow, self.equilibria)

    def basin_of(self, x: Any) -> Array:
        """The number of the basin of each point; -1 where the drift leads to a cycle, or of nan."""
        flow, borders = self.borders
        points = points_of(x)
        known = np.isfinite(points).all(axis=0)
        made = (flow if borders is None else borders).label(np.where(known, points, 0.0))
        return np.where(known, made, -1).reshape(np.shape(x)[1:])[()]

    @cached_property
    def basins(self) -> PlaneBasins:
        """What each stable equilibrium holds, in the order of `equilibria`."""
        if not self._attractors:
            return PlaneBasins([PlaneBasin(None, 0.0, 0.0, (), -1, *self._beyond)])
        if self.density.shares is not None:
            pairs = enumerate(zip(self._attractors, self._log_masses, strict=True))
            off = self.density.unlike
            return PlaneBasins([PlaneBasin(e, float(log), off, (), i) for i, (e, log) in pairs])
        borders = self.borders[1]
        if borders is None:
            return PlaneBasins([PlaneBasin(self._attractors[0], 0.0, 0.0, (), 0)])
        saddles = [k for k, e in enumerate(self.equilibria) if e.kind == "saddle"]
        logs, rises = self._log_masses, self._rises
        rises_off = np.nan_to_num(self.error_of(lambda s: s._rises), nan=np.inf)
        exact, total = borders.exact, self.density.log_total
        missed = self._cut.missed(total) if exact else borders.misplaced(self.density, len(logs))
        errors = np.asarray(self.error_of(lambda s: s._log_masses)) + missed
        errors = np.nan_to_num(errors, nan=np.inf, posinf=np.inf)
        made = []
        for i, e in enumerate(self._attractors):
            its = [j for j, both in enumerate(borders.beyond) if i in both]
            barriers = tuple((saddles[j], float(rises[i, j])) for j in its)
            error, own = float(errors[i]), rises_off[i, its].tolist()
            made.append(PlaneBasin(e, float(logs[i]), error, barriers, i, barrier_errors=(*own,)))
        rest = 1 - sum(b.mass for b in made)
        if rest > 1e-6 and -1 in borders.pixels:
            off = float(np.nan_to_num(sum(b.mass * b.mass_error for b in made) / rest, nan=np.inf))
            made.append(PlaneBasin(None, float(np.log(rest)), off, (), -1, *self._beyond))
        return PlaneBasins(made)

    @property
    def _rises(self) -> Array:
        """(attractors, saddles): log P at those less log P at these."""
        tops, passes = (self.logpdf(positions(self.equilibria, k)) for k in ("stable", "saddle"))
        with np.errstate(invalid="ignore"):  # outside
            return np.asarray(tops[:, None] - passes)

    @property
    def _beyond(self) -> tuple[tuple[tuple[int, float], ...], bool]:
        """The walls that the drift leads to where to no attractor, and whether it turns there."""
        x = even(self.box, PLACES)
        walls, turns = self.borders[0].walls(x[:, np.asarray(self.basin_of(x)) < 0])
        return walls, turns or not walls

    @cached_property
    def _cut(self) -> Nodes:
        """The plane, cut along the borders of basins."""
        if self.main is not None and not self.rough:
            return self.main._cut
        made: Nodes = self.density.cut(self.basin_of, rough=self.rough)
        return made if self.rough else made.whole(self.density.log_total, self.diffusion.name)

    @cached_property
    def _log_masses(self) -> Array:
        if self.density.shares is not None:
            return np.asarray(np.log(self.density.shares))
        every = range(len(self._attractors))
        borders, total = self.borders[1], float(self.density.log_total)
        if borders is None and len(every) == 1:
            return np.zeros(1)
        if borders is not None and not borders.exact:  # stairs of pixels are not worth following
            x, log, u = self.density.quadrature
            own = np.asarray(self.basin_of(x))
            return np.array([log_sum(log, u * (own == k)) for k in every]) - total
        density = None if self.main is None or self.rough else self.density
        made = np.array([self._cut.log_mass(k, density) for k in each(every, "basins")])
        if density is None:  # together they hold 1, whatever fell between them
            total = log_sum(self._cut.log, self._cut.u)
        if self.rough and borders is not None:
            made = np.logaddexp(made, [borders.log_misplaced(self.density, k) for k in every])
        return made - total

    # Averages.

    def mean(self) -> Array:
        """Shape (2,)."""
        return np.array(self.density.moments[0])

    def cov(self) -> Array:
        """Shape (2, 2)."""
        return np.array(self.density.moments[1])

    def std(self) -> Array:
        return np.asarray(np.sqrt(np.diag(self.cov())))

    def expect(self, function: Callable[[Array], Any]) -> float:
        """The mean of a NumPy function of points (2, M); of truth values, how likely they are."""
        some = self.density.quadrature[0][:, :1]
        if np.asarray(call_user_function(function, some)).dtype == bool:
            return float(np.exp(self.log_probability(function)))
        return mean_of(self.density, function, self.diffusion.name, self.rough)

    def marginal(self, axis: int) -> Any:
        """The law of x (0) or y (1) alone."""
        if axis not in (0, 1):
            raise LandscapeError(f"marginal: axis = {axis!r} must be 0 for x or 1 for y.")
        asked.at_places = True
        return self._marginals[int(axis)]

    @cached_property
    def _marginals(self) -> tuple[Any, ...]:
        laws: tuple[Any, ...] = self.density.marginals
        if self.shift is not None and self.main is not None:
            return tuple(map(beside, self.main.density.marginals, laws, self.shift))
        if self.rough:
            return tuple(Reaching.beyond(law, self.density, k) for k, law in enumerate(laws))
        return known_by(laws, [d.marginals for _, d in self.others], self._surely)

    def rvs(self, size: int = 1, rng: Any = None, *, random_state: Any = None) -> Array:
        """Draws, shape (2, size); see `Distribution.rvs`."""
        shape, generator = drawing(size, rng, random_state)
        return np.asarray(self.density.rvs(math.prod(shape), generator)).reshape(2, *shape)

    # Currents.

    def current(self, x: Any) -> Array:
        """J = f P - div(a P) / 2 at points (2, M), per time; 0 outside."""
        points = points_of(x)
        made, p = np.zeros(points.shape), self.pdf(points)
        if not self.tested.local and (here := p != 0).any():
            own = points[:, here]
            fields, slope = self.diffusion.fields(own, 1), self.density.slope_at(own)
            flow = np.einsum("ijm,jm->im", fields.a, np.nan_to_num(slope))
            made[:, here] = (fields.f - (fields.div + flow) / 2) * p[here]
        return made.reshape(np.shape(x))

    @cached_property
    def circulates(self) -> Circulation:
        if self.main is not None and self.rough:
            return self.main.circulates.off
        singular = self.tested.noise.singular != "nowhere"
        return circulation(self.diffusion, self.density, singular)

    @property
    def entropy_production(self) -> float | None:
        """2 int J a^-1 J / P per time; None where the noise is singular."""
        return 0.0 if self.curl.local else self.circulates.entropy_production

    @property
    def circulation(self) -> float:
        """int ((x - m) x J) dx around the mean m: twice the area swept per time."""
        return 0.0 if self.curl.local else self.circulates.turning

    @property
    def circulation_error(self) -> float:
        if self.curl.local:
            return 0.0
        return float(self.error_of(lambda s: s.circulation, self.circulates.either_way))

    @cached_property
    def curl(self) -> Curl:
        if self.tested.local:
            return replace(self.tested, fraction=0.0)
        made = replace(self.tested, fraction=self.circulates.fraction, gibbs=self.road == "gibbs")
        off = self.error_of(lambda s: s.circulates.fraction)
        return made if off is None else replace(made, fraction_error=float(off))

    @property
    def metric(self) -> Metric:
        return Metric(self.diffusion)

    def __repr__(self) -> str:
        shares = ", ".join(f"{b.mass:.4g}" for b in self.basins)
        return (
            f"<PlaneState of {self.diffusion.name!r}: {len(self.basins)} basins ({shares}), error "
            f"{self.error:.0e}, {self.status.name.lower()}>"
        )
