"""What parts of the plane hold of a density: whole panels, and what lies inside of those that an
edge crosses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from stationary.aliases import Array
from stationary.errors import ConvergenceError
from stationary.numbers.arithmetic import TINY
from stationary.numbers.cost import MEMORY
from stationary.numbers.elementary import distinct
from stationary.plane.inside import LOOKS, Labels, held, looked
from stationary.plane.mesh import RULE, Panels, end_to_end, log_sum

FEWER, CHANGED = 3, 1e-3  # points for each direction, and times is less divided, to tell the error
ABOVE, DEEPEST = 6.0, 14  # in log P: where P beside a part is larger, panels are cut so many times
MISSED = 1e-2  # of all, by which what parts hold together may be off: more is no quadrature
CHANGE = 1e-13  # of what a part holds: panels with less are not divided
THINNED = 7  # every so many points tell how two densities differ


class Nodes(NamedTuple):
    """A quadrature over the parts of the plane, and the density that it was made for.

    Attributes
    ----------
    x, label
        Points (2, K), and the part that each lies in.
    weight
        The logs of their weights.
    phi, u
        The density there is e^-phi u.
    """

    x: Array
    label: Array
    weight: Array
    phi: Array
    u: Array

    @property
    def log(self) -> Array:
        return self.weight - self.phi

    def log_mass(self, label: Any, density: Any = None) -> float:
        """log of what is held by a part, of that density or of another one, not normalised."""
        here = self.label == label
        if density is None:
            return log_sum(self.log[here], self.u[here])
        few = np.flatnonzero(here)[::THINNED]  # to which their proportion is known closely enough
        log = self.weight[few] + density.log_at(self.x[:, few])
        own = log_sum(self.log[few], self.u[few])
        return log_sum(log, np.ones(len(log))) - own + self.log_mass(label)

    def restricted(self, keep: Array) -> Nodes:
        return Nodes(*(v[..., keep] for v in self))

    def missed(self, log_total: float) -> float:
        """How far all parts together are from holding all: the log of that."""
        return float(np.nan_to_num(abs(log_sum(self.log, self.u) - log_total), nan=np.inf))

    def whole(self, log_total: float, name: str) -> Nodes:
        """The same, if parts hold together what they should.

        Raises
        ------
        ConvergenceError
            If they do not: what any of them holds is then not known.
        """
        if (missed := self.missed(log_total)) < MISSED:
            return self
        raise ConvergenceError(
            f"{name}: what basins hold could not be integrated: together they hold all times "
            f"e^{missed:.2g}, or all divided by that. Ask for rectangles, or raise the noise."
        )


def cut(density: Any, labels: Labels, rough: bool = False, only: Sequence[Any] = ()) -> Nodes:
    """A quadrature of a `Density` over the parts that labels tell, or over some of them; a `rough`
    one tells by how much it differs what is not known."""
    parts = only or distinct(labels(density.quadrature[0]))
    return end_to_end([_part(density, labels, k, rough) for k in parts])


def _part(density: Any, labels: Labels, part: Any, rough: bool) -> Nodes:
    def inside(x: Array) -> Array:
        return np.asarray(labels(x) == part)

    def nodes(panels: Panels) -> Nodes:
        x, *logs = density.nodes(panels)
        return Nodes(x, labels(x), *logs)

    waiting, least, t = density.panels, np.inf, np.linspace(-1, 1, LOOKS + 1)
    whole: list[Panels] = []
    crossed: list[Panels] = []
    for depth in range(DEEPEST + 1):
        seen, full, empty = looked(inside, *density.sides(waiting))
        phi, u = density.tables(waiting, t, t)
        height = np.where(u > 0, phi - np.log(np.maximum(u, TINY)), np.inf)
        least = min(least, float(height[seen].min(initial=np.inf)))
        # Where P is so much larger beside its edge that it is not resolved inside.
        beside = ~full & ~empty & (height.min(axis=(1, 2)) < least - ABOVE)
        beside &= depth < DEEPEST and 4 * seen.size <= MEMORY
        whole.append(waiting.restricted(full))
        crossed.append(waiting.restricted(~full & ~empty & ~beside))
        waiting = waiting.restricted(beside).halved(0).halved(1)
        if not beside.any():
            break
    floor = np.full(density.mesh.count, least)
    inner, near = (density.resolved(end_to_end(v), floor) for v in (whole, crossed))
    within, around = nodes(inner), nodes(near)
    # How much each panel that its edge crosses holds of the part.
    log, u = (v.reshape(-1, RULE**2) for v in (around.log, around.u))
    own = np.array([log_sum(*row) for row in zip(log, u, strict=True)])
    total = end_to_end([within, around]).log_mass(part)
    counts = np.exp(np.minimum(own - total, 0.0))
    some, (by, rule) = counts > CHANGE, (CHANGED, RULE - FEWER) if rough else (1.0, RULE)
    low, size = density.sides(near.restricted(some))
    (number, x, weight), _ = held(inside, near.number[some], low, size, by * counts[some], rule)
    factors = density.factors(number, density.mesh.local(number, x))
    divided = Nodes(x, np.full(len(number), part), np.log(weight), *factors)
    rest = (around.label == part) & ~np.repeat(some, RULE**2)
    return end_to_end([within, around.restricted(rest), divided])
