"""`Component`: the normalised density on one closed class, with both of its tails.

Everything is kept as logarithms. Quantities that are dominated by where the density is come from
the mesh; a tail probability below e^-10 is integrated for the points that are asked for
(`cumulative`), so that it is right relative to itself however small it is.
"""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from stationary.aliases import Array
from stationary.numbers.arithmetic import TINY, Arithmetic
from stationary.numbers.chebyshev import Rule, rule
from stationary.numbers.elementary import (
    as_array,
    converted,
    depth_of,
    distinct,
    exp,
    finite,
    log1p,
    logaddexp,
    logsumexp,
    number,
    possible_growth,
    to_float,
)
from stationary.weight.cumulative import Cumulative, Integrated
from stationary.weight.mesh import DEEP, Mesh, log_mass_between, monotone_mesh
from stationary.weight.weight import Weight

VISIBLE = 18.5  # log 1e8
AT_CORNERS = 1e-4  # of the probability; what lies at so few points is said beside the rest
NEXT_OCTAVES = 2  # beyond a point, that are followed to integrate its tail


def mesh_edges(density: Weight) -> Array:
    """Where it turns; and panels in proportion to r at an end where it vanishes as a power of r.

    Only such panels know the power there.
    """
    found, edges = density.sampling, density.panels.edges
    cuts = [density.turns]
    for tail in density.tails:
        if tail is not None and not tail.outward and tail.exponent > 0:
            r = np.abs(edges - tail.anchor)
            near = (r < r.max() / 64) & (edges > found.lower) & (edges < found.upper)
            cuts.append(edges[np.asarray(near, dtype=bool)])
    return distinct(*cuts)


@dataclass(frozen=True, eq=False, repr=False)
class Component:
    """A density on one closed class, or on one piece of it where the noise vanishes inside.

    `weight` is the probability of the piece; every method is conditional on being in it.
    """

    interval: tuple[Any, Any]
    weight: Any  # a number; None where it depends on the start, and no start was given
    density: Weight
    mesh: Mesh
    group: int | None = None  # its closed class, left to right
    at_rest: bool = False  # nothing moves what starts here: the law is that of the start
    log_share: Any = 0.0  # of what the class holds
    share_error: Any = 0.0  # of that share, relative

    def __repr__(self) -> str:
        low, high = map(float, self.interval)
        weight = "by the start" if self.weight is None else f"{float(self.weight):.6g}"
        return f"<Component: a density from {low:g} to {high:g}, weight {weight}>"

    @property
    def arithmetic(self) -> Arithmetic:
        return self.density.sampling.arithmetic

    @property
    def rule(self) -> Rule:
        """That of the panels of the mesh."""
        return rule(len(self.mesh.coefficients), self.arithmetic)

    def weighing(self, weight: Any, group: int | None, share: tuple[Any, Any]) -> Component:
        """The same as a part of a state, with all that is known of it."""
        part = copy.copy(self)
        part.__dict__.update(weight=weight, group=group, log_share=share[0], share_error=share[1])
        return part

    # -- normalisation --------------------------------------------------------------------------

    @cached_property
    def log_tail_masses(self) -> tuple[Any, Any]:
        below, above = (-math.inf if t is None else t.log_moment() for t in self.density.tails)
        return below, above

    @cached_property
    def log_norm(self) -> Any:
        """log int exp(L) dx."""
        return logsumexp(np.concatenate([self.mesh.log_mass, self.log_tail_masses]))

    @cached_property
    def log_panel_mass(self) -> Array:
        return as_array(self.mesh.log_mass - self.log_norm)

    @cached_property
    def panel_errors(self) -> Array:
        """The error of log P on each panel of the mesh, before normalisation."""
        return self.errors_on(self.mesh)

    def errors_on(self, mesh: Mesh) -> Array:
        k = self.density.panels.panel_of(mesh.lower)
        return as_array(self.density.errors[k] + 2 * mesh.cut)

    @cached_property
    def norm_error(self) -> Any:
        """The relative error of the normalising integral."""
        error = number(self._grown.sum())
        for log_mass, tail in zip(self.log_tail_masses, self.density.tails, strict=True):
            if tail is not None:
                side = 0 if tail.side == "lower" else -1
                log_share = log_mass - self.log_norm
                doubt = tail.error + number(self.density.errors[side])
                error += number(possible_growth(np.array([log_share]), np.array([doubt]))[0])
        return error + self.leak

    @cached_property
    def _grown(self) -> Array:
        """What each panel may hold more of the probability than it does."""
        return as_array(possible_growth(self.log_panel_mass, self.panel_errors))

    @property
    def is_known(self) -> bool:
        """Whether anything is known of where the probability is.

        Between knots errors add up as random numbers do: their sum, as one of sizes, says nothing,
        but that panels in which doubles see nothing may hold all of it.
        """
        if self.density.sampling.diffusion.uncertainty is None:
            return bool(self.norm_error < 1)
        empty = self.log_panel_mass < math.log(TINY)
        return not (self._grown[empty] > 1).any()

    @cached_property
    def error(self) -> Any:
        """The relative error of the density wherever it is above 1e-8 of its maximum.

        But for `corners`. The factor covers the roundings that add up the same way; measured
        against closed forms, the sum without it was exceeded now and then by a fifth.
        """
        return max(self.elsewhere, self.cusp[0])

    @property
    def elsewhere(self) -> Any:
        """The same but for what doubles see of a cusp of the noise."""
        return self._errors[0]

    @property
    def cusp(self) -> tuple[Any, Any]:
        """The error of the density next to the sharpest cusp of the noise, and where that is."""
        height, x = self.density.spike
        return 1.5 * (self.norm_error + height), x

    @property
    def mean_error(self) -> Any:
        """A bound of the relative error of P on average over the probability, and so of masses."""
        return 3 * self.norm_error  # that of log P itself, and what the norm takes from it

    def errors_at(self, x: Array) -> Array:
        """The relative error of the density at points inside the interval."""
        x, density = converted(x, self.arithmetic), self.density
        own, edges = density.errors[density.panels.panel_of(x)], density.panels.edges
        for side, outside in enumerate((x < edges[0], x > edges[-1])):
            tail, at = density.tails[side], x[outside]
            if tail is not None:
                own[outside] += tail.error
            elif density.fades[side] and len(at):
                # So far out what was sampled says nothing; more octaves of it do.
                wide = density.beyond(side, int(density.octaves(side, at).max()))
                far = np.clip(at, wide.sampling.lower, wide.sampling.upper)
                own[outside] = wide.errors[wide.panels.panel_of(far)]
        return as_array(1.5 * (self.norm_error + own))

    @property
    def corners(self) -> tuple[float, float]:
        """How much lies on panels with corners too sharp for them, and the error of P there."""
        return self._errors[1], self._errors[2]

    @cached_property
    def _errors(self) -> tuple[Any, float, float]:
        top, density = self.mesh.top, self.density
        if not top.size:
            return math.inf, 0.0, 0.0  # the density is narrower than the arithmetic can resolve
        p = density.panels
        k = p.panel_of(self.mesh.lower)
        errors, seen = density.errors[k], np.asarray(top > top.max() - VISIBLE, dtype=bool)
        # A jump lies in a panel a few roundings wide, on which the density is not known.
        seen &= density.sampling.samples.resolved[k] | ~p.slivers[k]
        # Those with the largest errors of their own, as long as together they hold next to nothing.
        corner = np.flatnonzero(np.asarray(2 * density.cut[k] > errors, dtype=bool) & seen)
        corner = corner[np.argsort(-to_float(errors[corner]))]
        shares = np.cumsum(to_float(exp(self.log_panel_mass[corner])))
        corner = corner[shares < AT_CORNERS]
        share, there = shares[: len(corner)].max(initial=0.0), errors[corner].max(initial=0.0)
        seen[corner] = False
        worst = number(errors[seen].max(initial=0.0))
        for tail in density.tails:
            if tail is not None and tail.level > top.max() - VISIBLE:
                worst = max(worst, tail.error)
        return 1.5 * (self.norm_error + worst), float(share), 1.5 * float(there)

    @property
    def leak(self) -> Any:
        """The most that can lie beyond panels that ended before the density was negligible."""
        return sum(self.leak_beyond(self.density, side) for side in (0, 1))

    def leak_beyond(self, density: Weight, side: int) -> Any:
        """The same beyond one end of the panels of a weight, which may be those of more octaves."""
        log_leak = density.log_leak(side) - self.log_norm
        return exp(number(min(log_leak, 0 * self.log_norm)))

    # -- density --------------------------------------------------------------------------------

    def logpdf(self, x: Array) -> Array:
        x = converted(x, self.arithmetic)
        lower, upper = self.interval
        inside = (x >= lower) & (x <= upper) & finite(x)
        result = np.full(x.shape, -math.inf, dtype=x.dtype)
        if inside.all():
            return as_array(self.density(x) - self.log_norm)
        result[inside] = self.density(x[inside]) - self.log_norm
        return result

    # -- distribution function ------------------------------------------------------------------

    @cached_property
    def cumulative(self) -> Cumulative:
        """The mass on either side of a point, where that is not tiny."""
        return Cumulative(self.density, self.mesh, self.log_tail_masses)

    def deep(self, side: int, octaves: int) -> Integrated:
        """The same however small it is, as far as octaves beyond what was sampled on a side."""
        wide = self.density if octaves == 0 else self.density.beyond(side, octaves)
        return Integrated(wide, self.log_tail_masses, self.cumulative)

    def log_half(self, x: Array, *, left: bool, tiny: bool = True, rest: bool = True) -> Array:
        """log P(X <= x), or of P(X > x); if `tiny`, with all digits where that is next to none.

        Where it is close to 0, from what is left over on the other side: if `rest`, with all
        digits of that, too, where it is next to none, which P itself does not show.
        """
        x = converted(x, self.arithmetic)
        value = self.log_tail(x, left=left, tiny=tiny)
        close = value > -0.6
        if close.any():
            left_over = self.log_tail(x[close], left=not left, tiny=tiny and rest)
            with np.errstate(divide="ignore"):
                value[close] = log1p(-exp(left_over))
        return value

    def log_tail(self, x: Array, *, left: bool, tiny: bool = True) -> Array:
        """log P(X <= x), or of P(X > x); if `tiny`, with all digits where that is next to none."""
        lower, upper = self.interval
        result = np.where((x <= lower) if left else (x >= upper), -math.inf, 0.0).astype(x.dtype)
        inside = (x > lower) & (x < upper)
        if not inside.any():
            return result
        at = x[inside]
        value = np.minimum(self.cumulative.log_mass(at, left=left) - self.log_norm, 0)
        tail, other = self.density.tails[:: 1 if left else -1]
        deep = tiny & (value < DEEP)
        if other is not None and (over := np.asarray(other.holds(at), dtype=bool)).any():
            # There a part of the other end's tail comes to all that lies before it.
            start = np.full(1, other.start, dtype=at.dtype)
            whole = self.cumulative.log_mass(start, left=left)
            part = other.log_part(np.abs(start - other.anchor), np.abs(at[over] - other.anchor))
            value[over] = np.minimum(logaddexp(whole, part) - self.log_norm, 0)
            deep &= ~over
        if tail is not None and (mine := np.asarray(tail.holds(at), dtype=bool)).any():
            value[mine] = tail.log_mass(np.abs(at[mine] - tail.anchor)) - self.log_norm
            deep &= ~mine
        if deep.any():
            value[deep] = np.minimum(self._deep(at[deep], left=left), 0)
        result[inside] = value
        return result

    def _deep(self, x: Array, *, left: bool) -> Array:
        side = 0 if left else 1
        result = self._integrated(side, 0, x)
        octaves = self.octaves(side, x, result)
        for count in distinct(octaves[octaves > 0]):
            here = octaves == count
            result[here] = self._integrated(side, int(count), x[here])
        return result

    def _integrated(self, side: int, octaves: int, x: Array) -> Array:
        """log P beyond points, next to what was sampled or as far out as so many octaves."""
        table = self.deep(side, octaves)
        result, end = np.full(len(x), -math.inf, dtype=x.dtype), table.ends[side]
        # Where 2 f / a grows beyond what panels could follow, so little is left that it is none.
        here = np.asarray((x >= end) if side == 0 else (x <= end), dtype=bool)
        if here.any():
            result[here] = table.log_mass(x[here], left=side == 0) - self.log_norm
        return result

    def octaves(self, side: int, x: Array, log_share: Any) -> Array:
        """How many octaves beyond what was sampled what lies beyond a point is integrated on.

        `log_share` is the logarithm of what was sampled of that.
        """
        octaves, found = self.next_octaves(side, np.full(len(x), log_share)), self.density.sampling
        if self.density.fades[side]:
            outside = np.asarray((x < found.lower, x > found.upper)[side], dtype=bool)
            octaves[outside] = self.density.octaves(side, x[outside], NEXT_OCTAVES)
        return octaves

    def next_octaves(self, side: int, log_share: Array) -> Array:
        """How many octaves are followed for shares of the mass that lie where it was sampled.

        What lies beyond these is nothing beside what lies beyond the first; and none is followed
        where all that there may be is nothing beside the share.
        """
        if not self.density.fades[side]:
            return np.zeros(len(log_share), dtype=int)
        all_of_it = self.density.log_leak(side) - self.log_norm
        nothing = all_of_it < log_share - depth_of(self.arithmetic)
        return np.where(np.asarray(nothing, dtype=bool), 0, NEXT_OCTAVES)

    # -- integrals against the density ----------------------------------------------------------

    def weights_on(self, m: Mesh) -> Array:
        quadrature = self.rule.quadrature[:, None]
        with np.errstate(under="ignore", over="ignore"):  # that is where nothing is known
            return as_array(quadrature * m.half * exp(m.log_density - self.log_norm))

    def log_probability(self, low: Any, high: Any) -> Any:
        """log P(low < X < high), right relative to itself."""
        low, high = converted(low, self.arithmetic), converted(high, self.arithmetic)
        low, high = max(low, self.interval[0]), min(high, self.interval[1])
        if not low < high:
            return -math.inf
        if low == self.interval[0]:
            return number(self.log_half(np.array([high]), left=True)[0])
        if high == self.interval[1]:
            return number(self.log_half(np.array([low]), left=False)[0])
        density = self.density
        start, stop = density.sampling.lower, density.sampling.upper
        inner = max(low, start), min(high, stop)
        parts = [self.mesh.log_mass_between(*inner) - self.log_norm]
        if parts[0] < DEEP:
            parts = [log_mass_between(density, *inner) - self.log_norm]
        for tail in density.tails:
            if tail is not None and (tail.holds(low) or tail.holds(high)):
                parts.append(tail.log_between(low, high) - self.log_norm)
        # Beyond what was sampled the panels of more octaves count, within it those of the peaks.
        for side, (a, b) in enumerate(((low, min(high, start)), (max(low, stop), high))):
            if density.fades[side] and a < b:
                far = np.array([(a, b)[side]])
                wide = density.beyond(side, int(density.octaves(side, far)[0]))
                a, b = max(a, wide.sampling.lower), min(b, wide.sampling.upper)
                parts.append(log_mass_between(wide, a, b) - self.log_norm)
        total = logsumexp(np.array(parts))
        return min(total, 0 * total)

    @cached_property
    def deep_mesh(self) -> Mesh:
        """A mesh down to e^-690 of the density, for functions that grow where it falls."""
        m, p = self.mesh, self.density.panels
        covered = np.append(m.lower, p.edges[-1:]) == np.append(p.edges[:1], m.upper)
        if np.all(covered):
            return m  # which leaves nothing out
        depth = max(-math.log(TINY), 1.5 * depth_of(self.arithmetic))
        return monotone_mesh(self.density, mesh_edges(self.density), depth=depth)
