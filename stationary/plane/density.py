"""A density on rectangles, P = e^-Phi u: its values and integrals, in logarithms."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any

import numpy as np

from stationary.aliases import Array
from stationary.errors import Status
from stationary.numbers.arithmetic import TINY
from stationary.numbers.cost import LASTING
from stationary.plane.boxes import ends_of, sides_of
from stationary.plane.inside import Labels
from stationary.plane.marginal import marginal_of
from stationary.plane.mesh import (
    LAST,
    RULE,
    Mesh,
    Panels,
    basis,
    end_to_end,
    gauss,
    legendre_of,
    log_sum,
    summed,
    tensor,
    with_slopes,
)
from stationary.plane.regions import Nodes, cut
from stationary.process.plane import Box

Region = Box | Labels | None
PLACES = 401  # of a side, at which it is looked how far P has fallen


class Bare:
    def __getstate__(self) -> dict[str, Any]:
        """Without what was computed from it, which is larger and had again in a second."""
        return {f.name: getattr(self, f.name) for f in fields(self)}  # type: ignore[arg-type]


class Law(Bare):
    """What densities in the plane answer, not normalised, from what each kind says of itself."""

    log_total: Any = 0.0
    box: Any  # what holds all but next to nothing of the probability
    known: Any  # how well at best, in proportion
    domain: Any = None  # of which P is known to fall beyond the box as it does at its sides
    ends: Any = None  # those of the box that are some of the domain, where others are infinite
    status: Any = Status.CONVERGED
    notes: Any = ()
    shares: Any = None  # of attractors, where it is known without a look at their borders
    log_at: Any  # log P (or its size) at points (2, M); -inf outside, or where it is not positive
    slope_at: Any  # its gradient; nan outside
    height: Any  # -log P at places all over
    panels: Any  # on which a rule of Gauss integrates P
    within: Any  # (points (2, K), logs of weights, factors) on panels: integrals are their sums
    cut: Any  # a quadrature over the parts that labels tell
    rvs: Any  # draws, shape (2, size)
    _log_rectangle: Any
    _marginal: Any

    def missed_in(self, inside: Region, log_mass: float) -> float:
        """How much of its mass a region may miss next to walls that are never reached."""
        return 0.0

    @cached_property
    def quadrature(self) -> tuple[Array, Array, Array]:
        """Points (2, K), logs of weights, and factors of these."""
        made: tuple[Array, Array, Array] = self.within(self.panels)
        return made

    def rises_on(self, panels: Panels) -> tuple[Array, Array]:
        """log P per unit at the points of a rule of Gauss on panels, and its gradient, (2, K)."""
        x = self.within(panels)[0]
        return self.log_at(x) + self.log_unit(x), self.slope_at(x)

    @property
    def above(self) -> Array:
        """How much -log P is above its least, at the places of `height`."""
        return np.asarray(self.height - self.height.min())

    @property
    def top(self) -> float:
        """The largest log P, not normalised, per unit."""
        return float(-self.height.min())

    def log_unit(self, x: Array) -> Any:
        """log of what P is measured in at points, where that is not the same everywhere."""
        return 0.0

    def depth(self, x: Array) -> Array:
        """The same at points (2, M)."""
        return np.asarray(-self.log_at(x) - self.height.min())

    def fallen(self, domain: Box) -> Array:
        """(2, 2): -log P above its least at the sides of the box, inf at ends of a domain."""
        made = np.full((2, 2), np.inf)
        for axis, side, x in sides_of(self.box, PLACES, domain):
            made[axis, side] = self.depth(x).min()
        return made

    def log_mass(self, region: Region, rough: bool = False) -> float:
        """log of the probability of a region, normalised; less closely, and be it with all that
        lies beyond the box next to it, where it is to be `rough`."""
        if region is None:
            return 0.0
        if callable(region):
            log = float(self.cut(region, rough, [True]).log_mass(True) - self.log_total)
        else:
            log = float(self._log_rectangle(region))
        return float(np.logaddexp(log, -self._cut_off(region, log == -np.inf))) if rough else log

    def _cut_off(self, region: Any, lies_beyond: bool) -> float:
        """How low in -log P lies what the box cuts off of a region: as at the sides it reaches."""
        least = np.inf
        for axis, side, x in sides_of(self.box, PLACES, self.domain or self.box):
            if callable(region):
                x = x if lies_beyond else x[:, region(x)]
            elif (2 * side - 1) * (region[axis][side] - self.box[axis][side]) < 0:
                continue
            elif not lies_beyond:
                x = np.clip(x, *ends_of(region))
            least = min(least, float(self.depth(x).min(initial=np.inf)))
        return least

    @cached_property
    def moments(self) -> tuple[Array, Array]:
        """Mean and covariance."""
        x, log, u = self.quadrature
        weight = np.exp(log - self.log_total) * u
        mean = x @ weight
        d = x - mean[:, None]
        return mean, (d * weight) @ d.T

    @property
    def is_spread(self) -> bool:
        """Whether both variances are positive: no, where what was solved is no law."""
        return bool((np.diag(self.moments[1]) > 0).all())

    @cached_property
    def marginals(self) -> tuple[Any, Any]:
        """The laws of x and of y alone."""
        return self._marginal(0), self._marginal(1)


class Mapped(Law):
    """A density that is one on rectangles in other coordinates y."""

    inner: Any  # a `Density`
    x: Callable[[Array], Array]  # of y
    y: Callable[[Array], Array]  # of x
    log_stretch: Callable[[Array], Array]  # of y: log |det dx/dy|, shape (M,)

    def log_at(self, x: Array, size: bool = False) -> Array:
        y = self.y(x)
        log = self.inner.log_at(y, size)
        with np.errstate(invalid="ignore"):
            return np.asarray(np.where(log > -np.inf, log - self.log_stretch(y), -np.inf))

    @cached_property
    def height(self) -> Array:
        y = self.inner.mesh.points(basis(self.inner.degrees[0]).nodes).reshape(2, -1)
        return np.asarray(self.inner.height.ravel() + self.log_stretch(y))

    @property
    def panels(self) -> Panels:
        made: Panels = self.inner.panels
        return made

    def within(self, panels: Panels) -> tuple[Array, Array, Array]:
        y, log, u = self.inner.within(panels)
        return self.x(y), log, u

    def cut(self, labels: Labels, rough: bool = False, only: Any = ()) -> Nodes:
        made: Nodes = self.inner.cut(lambda y: labels(self.x(y)), rough, only)
        by = self.log_stretch(made.x)
        return Nodes(self.x(made.x), made.label, made.weight + by, made.phi + by, made.u)

    def rvs(self, size: int, generator: np.random.Generator) -> Array:
        return self.x(self.inner.rvs(size, generator))


@dataclass(frozen=True, eq=False)
class Density(Law):
    """P = e^-Phi u, not normalised, on the rectangles of a mesh; nothing elsewhere.

    Attributes
    ----------
    phi, u
        Values at Gauss-Lobatto nodes, shapes (E, n, n) and (E, m, m).
    missed
        What there is, as a part of the peak, at sides of the box beyond which the process goes.
    """

    mesh: Mesh
    phi: Array
    u: Array
    missed: float = 0.0
    domain: Box | None = None
    room: Box | None = None  # the domain of the process, where it is known to have one

    @property
    def known(self) -> float:
        return 5e-14 + self.missed

    def in_domain(self, domain: Box) -> Density:
        """The same, that knows what it misses of a domain."""
        least = self.fallen(domain).min()
        return replace(self, missed=self.missed + float(np.exp(-max(least, 0.0))), room=domain)

    @property
    def degrees(self) -> tuple[int, int]:
        return self.phi.shape[1] - 1, self.u.shape[1] - 1

    def log_at(self, x: Array, size: bool = False) -> Array:
        number, local = self.mesh.place(x)
        made = np.full(x.shape[1], -np.inf)
        here = number >= 0
        if here.any():
            phi, u = self.factors(number[here], local[:, here])
            u = np.abs(u) if size else u
            with np.errstate(divide="ignore", invalid="ignore"):
                made[here] = np.where(u > 0, np.log(np.maximum(u, 0)) - phi, -np.inf)
        return made

    def factors(self, number: Array, local: Array) -> tuple[Array, Array]:
        """Phi and u at places as `Mesh.place` gives them."""
        phi, u = summed((self.phi, self.u), number, local)
        return phi, u

    def slope_at(self, x: Array) -> Array:
        number, local = self.mesh.place(x)
        made = np.full(x.shape, np.nan)
        here = number >= 0
        e, t = number[here], local[:, here]
        _, rise = with_slopes(self.mesh, self.phi, e, t)
        u, growth = with_slopes(self.mesh, self.u, e, t)
        with np.errstate(divide="ignore", invalid="ignore"):
            made[:, here] = growth / u - rise
        return made

    @cached_property
    def height(self) -> Array:
        """(E, n, n): -log P at the nodes of Phi; inf where P is not positive."""
        p, q = self.degrees
        b = basis(q).at(basis(p).nodes)
        u = b @ self.u @ b.T
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(np.where(u > 0, self.phi - np.log(np.maximum(u, 0)), np.inf))

    @cached_property
    def nearest(self) -> Array:
        """(E,): the least height in the valley that each rectangle belongs to."""
        least = self.height.min(axis=(1, 2))
        lowest = np.arange(len(least))
        here, there = self.mesh.pairs
        order = np.argsort(-least[there], kind="stable")  # the lowest neighbour comes last
        lower = order[least[there[order]] < least[here[order]]]
        lowest[here[lower]] = there[lower]
        for _ in range(12):
            lowest = lowest[lowest]
        return np.asarray(least[lowest])

    @cached_property
    def panels(self) -> Panels:
        """Panels in each of which a rule of Gauss integrates P, as far as it matters."""
        count = self.mesh.count
        whole = Panels(np.arange(count), -np.ones((2, count)), 2 * np.ones((2, count)))
        return self.resolved(whole, self.nearest)

    def resolved(self, waiting: Panels, floor: Array) -> Panels:
        """Parts of panels, cut in four where the last coefficients of P are not small; floors of
        rectangles are the heights above which the less of it matters."""
        done: list[Panels] = []
        t = np.concatenate([[-1.0], gauss(RULE)[0], [1.0]])
        last = legendre_of(RULE)[-2:]
        for _ in range(30):
            phi, u = self.tables(waiting, t, t)
            low, high = phi.min(axis=(1, 2)), phi.max(axis=(1, 2))
            p = (np.exp(low[:, None, None] - phi) * u)[:, 1:-1, 1:-1]
            tail = np.maximum(*(np.abs(last @ v).max(axis=(1, 2)) for v in (p, p.swapaxes(1, 2))))
            # Between points Phi may be lower: by less than a part of what it varies by.
            above = np.maximum(low - floor[waiting.number] - (high - low) / RULE**2 * 4, 0)
            rough = tail * np.exp(-above / 2) > LAST
            rough &= 4 * np.count_nonzero(rough) * len(t) ** 2 <= LASTING
            done.append(waiting.restricted(~rough))
            waiting = waiting.restricted(rough).halved(0).halved(1)
            if not rough.any():
                break
        return end_to_end(done)

    def tables(self, panels: Panels, *t: Array, slope: int | None = None) -> tuple[Array, Array]:
        """Phi and u, or their derivatives along an axis, at the tensor points of places along x
        and along y in each panel."""
        alike = []  # along x and along y: places of panels that differ, and which each panel has
        for low, size, v in zip(panels.low, panels.size, t, strict=True):
            ends, n = np.unique(low + 1j * size, return_inverse=True)
            alike.append((ends.real[:, None] + ends.imag[:, None] * (1 + v) / 2, n))
        made = []
        for tables in (self.phi, self.u):
            p = basis(tables.shape[1] - 1)
            x, y = (
                (p.slope_at if k == slope else p.at)(v.ravel()).reshape(*v.shape, p.degree + 1)[n]
                for k, (v, n) in enumerate(alike)
            )
            values = x @ tables[panels.number] @ np.swapaxes(y, 1, 2)
            if slope is not None:
                values *= (2 / self.mesh.size[slope, panels.number])[:, None, None]
            made.append(values)
        return made[0], made[1]

    def points(self, panels: Panels, t: Array) -> Array:
        """(2, P, m, m): the tensor points of t in each panel."""
        return tensor(*self.sides(panels), t)

    def sides(self, panels: Panels) -> tuple[Array, Array]:
        """(2, P): lower corners and side lengths of panels."""
        half = self.mesh.size[:, panels.number] / 2
        return self.mesh.low[:, panels.number] + half * (1 + panels.low), half * panels.size

    def within(self, panels: Panels) -> tuple[Array, Array, Array]:
        x, weight, phi, u = self.nodes(panels)
        return x, weight - phi, u

    def nodes(self, panels: Panels) -> tuple[Array, Array, Array, Array]:
        """Points (2, K), the logs of their weights, Phi and u."""
        t, w = gauss(RULE)
        phi, u = self.tables(panels, t, t)
        area = (panels.size * self.mesh.size[:, panels.number] / 4).prod(axis=0)
        weight = np.log(np.outer(w, w))[None] + np.log(area)[:, None, None]
        return self.points(panels, t).reshape(2, -1), weight.ravel(), phi.ravel(), u.ravel()

    def rises_on(self, panels: Panels) -> tuple[Array, Array]:
        t, _ = gauss(RULE)
        phi, u = self.tables(panels, t, t)
        rises, growths = zip(*(self.tables(panels, t, t, slope=k) for k in (0, 1)), strict=True)
        with np.errstate(divide="ignore", invalid="ignore"):
            log = np.where(u > 0, np.log(np.maximum(u, 0)) - phi, -np.inf)
            slope = np.stack(growths) / u - np.stack(rises)
        return log.ravel(), slope.reshape(2, -1)

    @cached_property
    def log_total(self) -> float:
        _, log, u = self.quadrature
        return log_sum(log, u)

    @property
    def box(self) -> Box:
        return self.mesh.box

    cut, _marginal = cut, marginal_of

    def rvs(self, size: int, generator: np.random.Generator) -> Array:
        """Draws, shape (2, size), by rejection in each panel."""
        panels = self.panels
        _, log, u = self.quadrature
        mass = np.exp(log - self.log_total) * np.maximum(u, 0)
        mass = mass.reshape(len(panels.number), -1).sum(axis=1)
        chosen = generator.choice(len(mass), size, p=mass / mass.sum())
        even = np.linspace(-1, 1, 9)
        phi, v = self.tables(panels, even, even)
        top = (np.log(np.maximum(v, TINY)) - phi).reshape(len(mass), -1).max(axis=1) + 0.2
        made, waiting = np.empty((2, size)), np.arange(size)
        while len(waiting):
            p = chosen[waiting]
            local = panels.low[:, p] + panels.size[:, p] * generator.uniform(size=(2, len(p)))
            e = panels.number[p]
            x = self.mesh.low[:, e] + self.mesh.size[:, e] * (1 + local) / 2
            phi_x, u_x = self.factors(e, local)
            log_x = np.log(np.maximum(u_x, TINY)) - phi_x
            taken = np.log(generator.uniform(size=len(p))) < log_x - top[p]
            made[:, waiting[taken]] = x[:, taken]
            waiting = waiting[~taken]
        return made

    def _log_rectangle(self, box: Box) -> float:
        """By panels of what lies inside."""
        count, (low, size) = self.mesh.count, (self.mesh.low, self.mesh.size)
        ends = np.array(box, dtype=float)
        lower, upper = (np.clip(2 * (ends[:, [k]] - low) / size - 1, -1, 1) for k in (0, 1))
        inside = np.asarray((upper > lower).all(axis=0))
        parts = Panels(np.arange(count), lower, upper - lower).restricted(inside)
        nodes = basis(self.degrees[0]).nodes
        least = self.tables(parts, nodes, nodes)[0].min(initial=np.inf)
        _, weight, phi, u = self.nodes(self.resolved(parts, np.full(count, least)))
        return log_sum(weight - phi, u) - self.log_total


@dataclass(frozen=True, eq=False)
class Solved:
    """A density, and the same in coarser ways: their differences bound its error."""

    road: str
    density: Density
    others: tuple[tuple[str, Density], ...]
