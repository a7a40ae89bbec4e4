"""Densities that are products: each factor is the law of a process on a line, solved there.

So kinks, jumps, walls, heavy tails and noise that vanishes are what they are on a line. Either
the coordinates know nothing of each other; or they are position and velocity at one temperature,
of which both laws of Gibbs are known although they do not move apart.
"""

from __future__ import annotations

import heapq
import itertools
import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from stationary.aliases import Array
from stationary.errors import LandscapeError, StationaryError, Status
from stationary.numbers.arithmetic import EPSILON, ROUNDING, TINY
from stationary.numbers.elementary import distinct
from stationary.plane.boxes import box_of, finite_box, lattice, scattered
from stationary.plane.closed import DEGREE
from stationary.plane.density import Density
from stationary.plane.local import Equilibrium, described
from stationary.plane.mesh import Mesh, Panels, basis
from stationary.process.diffusion import Diffusion
from stationary.process.landscape import Landscape
from stationary.process.plane import Box, PlaneDiffusion
from stationary.process.plane_landscape import PlaneLandscape
from stationary.states.distribution import EndState
from stationary.states.solve import end_state

RESOLVED = 1e-13  # of log P, what the last coefficients of a panel may be
SAMPLE = 1000  # positions at which friction is looked at
ROUNDED = 1e-13  # of the largest value: what differs by less is the same
MOST = 300  # ends of panels along a coordinate
GRAINS = 4  # roundings of a place, that log P is known to be off by where it changes once
ONE_BY_ONE = 40  # values of each coordinate with which it is asked whether the other one matters


@dataclass(frozen=True, eq=False)
class Product(Density):
    """The density of two laws on lines; on rectangles where integrals need points.

    `missed` is what they hold at most where no panel is as narrow as it should be.
    """

    laws: tuple[EndState, ...] = ()
    road: str = "product"

    log_total = 0.0

    @property
    def status(self) -> Status:
        return next(
            (v.status for v in self.laws if v.status is not Status.CONVERGED), Status.CONVERGED
        )

    @property
    def notes(self) -> tuple[str, ...]:
        return tuple(note for law in self.laws for note in law.notes)

    def equilibria(self, process: PlaneDiffusion) -> tuple[Equilibrium, ...]:
        points = ([e.position for e in law.equilibria] for law in self.laws)
        return tuple(described(process, np.array(p)) for p in itertools.product(*points))

    @property
    def known(self) -> float:
        return 1e-12 + self.missed + sum(law.error for law in self.laws)

    @property
    def ends(self) -> Box:
        outer = np.array([law.support() for law in self.laws])
        return box_of(*np.where(np.isfinite(outer), np.array(self.box), outer).T)

    def log_at(self, x: Array, size: bool = False) -> Array:
        return np.asarray(sum(law.logpdf(v) for law, v in zip(self.laws, x, strict=True)))

    def _log_rectangle(self, box: Box) -> float:
        return float(
            sum(law.log_probability(*ends) for law, ends in zip(self.laws, box, strict=True))
        )

    @cached_property
    def held_floor(self) -> Array:
        """(E,): heights above which the less of a rectangle matters, by what it holds: where P
        has no bound its height says nothing of that."""
        low, high = self.mesh.low, self.mesh.low + self.mesh.size
        shares = [
            np.maximum(law.cdf(b) - law.cdf(a), law.sf(a) - law.sf(b))
            for law, a, b in zip(self.laws, low, high, strict=True)
        ]
        held = np.prod(np.maximum(shares, TINY**0.5), axis=0)
        return np.asarray(self.height.min(axis=(1, 2)) + np.log(held))

    def resolved(self, waiting: Panels, floor: Array) -> Panels:
        return super().resolved(waiting, np.maximum(floor, self.held_floor))

    @cached_property
    def moments(self) -> tuple[Array, Array]:
        """Mean and covariance."""
        return np.array([law.mean() for law in self.laws]), np.diag([v.var() for v in self.laws])

    def _marginal(self, axis: int) -> Any:
        return self.laws[axis]

    def rvs(self, size: int, generator: np.random.Generator) -> Array:
        return np.stack([law.rvs(size, generator) for law in self.laws])


def product(given: PlaneDiffusion | PlaneLandscape) -> Product | None:
    """The end state of a process whose coordinates know nothing of each other; else None.

    Raises
    ------
    LandscapeError
        If one of them has no density alone.
    """
    process, lines = given.diffusion(), alone(given)
    if lines is None:
        return None
    try:
        laws = tuple(map(end_state, lines))
    except StationaryError:
        return None  # functions that cannot be called with one coordinate alone
    for law, which in zip(laws, ("first", "second"), strict=True):
        if law.kind != "density" or law.atoms:
            why = law.verdict if law.kind == "none" else f"its end state is of kind {law.kind!r}"
            raise LandscapeError(
                f"{process.name}: nothing holds the process together in the plane: the {which} "
                f"coordinate knows nothing of the other one, and alone {why}"
            )
    share = np.random.default_rng(1).uniform(size=(2, ONE_BY_ONE))
    if not _apart(process, np.stack([law.ppf(v) for law, v in zip(laws, share, strict=True)])):
        return None
    return _joined(laws)


def alone(given: PlaneDiffusion | PlaneLandscape) -> tuple[Diffusion, Diffusion] | None:
    """What each coordinate does alone, if they know nothing of each other; else None."""
    process = given.diffusion()
    sgd = isinstance(given, PlaneLandscape) and given.losses is not None and not given.label_noise
    known = process.source is None or sgd
    box = finite_box(process.domain)
    if not known or not _apart(process, scattered(box, ONE_BY_ONE)):
        return None
    if any(not _apart(process, p.around) for p in process.narrow.places(box)):
        return None
    try:
        return _line(given if sgd else process, 0), _line(given if sgd else process, 1)
    except StationaryError:
        return None  # functions that cannot be called with one coordinate alone


def gibbs(process: PlaneDiffusion) -> Product | None:
    """The end state of position and velocity at one temperature in the whole plane; else None.

    With F = -V' and noise of variance 2 friction T, P ~ e^(-(V + v^2 / 2) / T) has no flux but
    that of the motion without friction, whatever friction(q) is: V alone decides.

    Raises
    ------
    LandscapeError
        If V does not hold the position.
    """
    if any(math.isfinite(v) for ends in process.domain for v in ends):
        return None
    bath = process.kinetic or _bath(process)
    if bath is None:
        return None
    force, friction, temperature = bath
    noise: Any = 2 * temperature
    try:
        laws = (
            end_state(Diffusion(force, noise, name=process.name, variable="q")),
            end_state(Diffusion(lambda v: -v, noise, name=process.name, variable="v")),
        )
    except StationaryError:
        return None  # functions that cannot be called with one coordinate alone
    if laws[0].kind != "density" or laws[0].atoms:
        raise LandscapeError(
            f"{process.name}: nothing holds the position: the force alone would give it "
            f"e^(-V / T), and {laws[0].verdict}"
        )
    q = laws[0].rvs(SAMPLE, np.random.default_rng(0))
    if not (np.asarray(friction(q)) > 0).all():
        return None  # what moves without friction keeps its energy for ever
    return _joined(laws, "gibbs")


@np.errstate(all="ignore")  # where functions overflow far out, nothing is told
def _bath(process: PlaneDiffusion) -> tuple[Any, Any, float] | None:
    """Force, friction and temperature of a process that is position and velocity, if they are had
    as far as many points tell: a is 2 T friction, wherever it and the force are."""
    if process.source is not None or not callable(process.drift):
        return None
    box = finite_box(process.domain)
    x = np.concatenate([lattice(*scattered(box, ONE_BY_ONE)), process.narrow.around(box)], axis=1)
    q, v = x
    found, still = process.fields(x), process.fields(np.stack([q, 0 * v]))
    own, lost = found.a[1, 1], still.f[1] - found.f[1]
    k = int(np.argmax(np.abs(v)))
    temperature = float(own[k] * v[k] / lost[k] / 2)
    if not 0 < temperature < math.inf or found.a[0].any():
        return None
    pairs = (
        (found.f[0], v, np.abs(v)),
        (own, still.a[1, 1], np.abs(own)),
        (2 * temperature * lost, own * v, 2 * temperature * np.abs(found.f[1])),
    )
    if not all((np.abs(p - r) <= ROUNDED * size.max()).all() for p, r, size in pairs):
        return None

    def force(q: Any) -> Any:
        return process.drift((q, 0 * q))[1]

    def friction(q: Array) -> Array:
        return np.asarray(process.fields(np.stack([q, 0 * q])).a[1, 1] / (2 * temperature))

    return force, friction, temperature


def _joined(laws: tuple[EndState, ...], road: str = "product") -> Product:
    edges, missed = zip(*map(_edges, laws), strict=True)
    mesh = Mesh.between(*edges)
    t = basis(DEGREE).nodes
    heights = [
        -law.logpdf(v[:-1, None] + np.diff(v)[:, None] * (1 + t) / 2)
        for law, v in zip(laws, edges, strict=True)
    ]
    phi = heights[0][:, None, :, None] + heights[1][None, :, None, :]
    phi = phi.reshape(mesh.count, DEGREE + 1, DEGREE + 1)
    ones = np.ones((mesh.count, 2, 2))
    return Product(mesh, phi, ones, laws=laws, road=road, missed=sum(missed))


def _apart(process: PlaneDiffusion, axes: Array) -> bool:
    """Whether neither coordinate asks for the other one, as far as a grid of points tells."""
    x = lattice(*axes)
    fields = process.fields(x)
    process.check(x, fields)
    if (np.abs(fields.a[0, 1]) > 1e-14 * np.abs(fields.a).max(axis=(0, 1))).any():
        return False
    own = np.stack([*fields.f, fields.a[0, 0], fields.a[1, 1]]).reshape(4, *map(len, axes))
    across = np.ptp(own[0::2], axis=2).max(), np.ptp(own[1::2], axis=1).max()
    return bool(max(across) <= 1e-14 * np.abs(own).max())


def _line(process: PlaneDiffusion | PlaneLandscape, k: int) -> Diffusion:
    """What the coordinate k does alone."""
    low, high = finite_box((process.domain[1 - k],) * 2)[0]
    other = low + 0.53 * (high - low)
    if isinstance(process, PlaneLandscape):
        losses = process.losses

        def own(x: Any) -> Any:
            return [loss + 0 * x for loss in losses((x, other) if k == 0 else (other, x))]

        settings = ["learning_rate", "batch_size", "replacement", "weight_decay", "momentum"]
        kept: Any = {name: getattr(process, name) for name in settings}
        line: Any = Landscape(losses=own, domain=process.domain[k], name=process.name, **kept)
        made: Diffusion = line.diffusion()
        return made

    def alone(function: Any, depth: int) -> Any:
        """Of what a function gives the entry of the coordinate: of a vector, or of a matrix."""

        if not callable(function):
            table = np.asarray(function, dtype=float)
            return lambda x: table[(k,) * table.ndim] + 0 * x

        def picked(x: Any) -> Any:
            found = function((x, other) if k == 0 else (other, x))
            for _ in range(depth):
                if isinstance(found, (tuple, list)) or np.ndim(found) > np.ndim(x):
                    found = found[k]
            return found + 0 * x

        return picked

    return Diffusion(
        alone(process.drift, 1),
        alone(process.variance, 2),
        process.domain[k],
        name=process.name,
        variable=f"{process.variable}_{k + 1}",
    )


def _edges(law: EndState) -> tuple[Array, float]:
    """Ends of panels on each of which a polynomial is log P, as far as there is probability; and
    how much there is where none is, with what lies beyond all of them.

    What is missed most is cut first. Next to an end other than 0 doubles do not tell how far away
    it is, and no panel is as narrow.
    """
    low, high = float(law.ppf(ROUNDING)), float(law.isf(ROUNDING))
    while not math.isfinite(law.logpdf(low)):  # at an end itself
        low = math.nextafter(low, high)
    while not math.isfinite(law.logpdf(high)):
        high = math.nextafter(high, low)
    made, waiting = [low, high], [(0.0, low, high)]
    meshes = [c.mesh for c in law.components]
    lower, upper = (np.concatenate([getattr(m, e) for m in meshes]) for e in ("lower", "upper"))
    while waiting and len(made) < MOST:
        _, low, high = heapq.heappop(waiting)
        inside = np.flatnonzero((lower > low) & (lower < high))
        middle = (low + high) / 2
        if _is_resolved(law, low, high):
            continue
        if len(inside):  # where the line needed the narrowest panel, there may be a kink or a jump
            k = inside[np.argmin((upper - lower)[inside])]
            narrow = upper[k] - lower[k] < 1e-6 * (high - low)
            if narrow and not _is_smooth(law, low, float(lower[k]), high):
                middle = float(lower[k])
        if not low < middle < high:
            continue
        made.append(middle)
        for part in ((low, middle), (middle, high)):
            heapq.heappush(waiting, (-_missed(law, *part), *part))
    edges = distinct(made)
    beyond = law.cdf(edges[0]) + law.sf(edges[-1]) - 2 * ROUNDING
    return edges, max(float(beyond), 0.0) + sum(-missed for missed, *_ in waiting)


def _off(law: EndState, low: float, high: float) -> float:
    """How far a polynomial is from log P, as a part of how much that changes, or of 1."""
    height = law.logpdf(low + (high - low) * (1 + basis(DEGREE).nodes) / 2)
    if not np.isfinite(height).all():
        return math.inf
    last = basis(DEGREE).to_legendre[-2:]
    return float(np.abs(last @ height).max()) / max(1.0, float(np.ptp(height)))


def _missed(law: EndState, low: float, high: float) -> float:
    return law.probability(low, high) * min(_off(law, low, high), 1.0)


def _is_resolved(law: EndState, low: float, high: float) -> bool:
    """Whether a polynomial is log P, as far as there is probability and doubles tell places."""
    told = GRAINS * EPSILON * max(abs(low), abs(high)) / (high - low)
    likely = min(1.0, law.probability(low, high) / ROUNDING / 100)
    return bool(_off(law, low, high) * likely < RESOLVED + told)


def _is_smooth(law: EndState, low: float, at: float, high: float) -> bool:
    """Whether log P is as smooth around a point as beside it: a line has narrow panels without a
    kink, too, as next to 0, where numbers have more digits."""
    by = min(at - low, high - at)
    while at - by < at < at + by:
        if _is_resolved(law, at - by, at) and _is_resolved(law, at, at + by):
            return _is_resolved(law, at - by / 2, at + by / 2)
        by /= 2
    return False
