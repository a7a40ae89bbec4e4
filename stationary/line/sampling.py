"""`sampling`: sample 2 f / a and log a over the domain, as far out as its ends decide anything.

At an end of the kind that only the process itself can settle (infinite, or one where the
variance vanishes) the panels are dyadic in the distance r: 60 octaves out or in, further where
2 f / a has not become a power of r by then, and less far where the density has fallen by e^-750
and a look at the drift beyond says that it only falls on. What lies beyond is left to the
exponents of f and a there, which `anatomy` finds.
"""

from __future__ import annotations

import contextlib
import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from stationary.aliases import Array
from stationary.errors import LandscapeError
from stationary.line.chart import CORE, OCTAVES, Chart
from stationary.line.closer import Dip
from stationary.line.octaves import grown
from stationary.line.reach import core_in_reach, core_of, within_reach
from stationary.line.sampled import NODES, nodes_in, open_ends, sampled
from stationary.numbers.arithmetic import DOUBLE, TINY, Arithmetic
from stationary.numbers.chebyshev import Rule, chebyshev_sum, nodes_of, rule
from stationary.numbers.cost import BY_WORK
from stationary.numbers.elementary import as_array, distinct, log, number, spacing, to_float
from stationary.panels.pieces import MOST_PANELS, Panels, Samples, summed_from, sums_between
from stationary.process.diffusion import Diffusion
from stationary.process.known import changes_of, squares_of

FEWEST = 4  # panels to begin with
ALIKE = 1e-6  # of a panel's values: doubles that resolve them are nearer
PARTS = 8  # of a panel, on which what is not known is looked at with its signs
BESIDE = 2.0**-10  # of a panel: an edge as near to a breakpoint as this is dropped


@dataclass(frozen=True, eq=False, repr=False)
class Sampling:
    """What was sampled. `h` is 2 f / a, `ell` is log a; both per panel of `panels`."""

    diffusion: Diffusion
    samples: Samples
    open_ends: tuple[bool, bool]  # ends that the process itself settles
    fallen: tuple[bool, bool]  # whether sampling stopped because the density was negligible
    arithmetic: Arithmetic = DOUBLE

    def __repr__(self) -> str:
        return (
            f"<{type(self).__name__} of {self.diffusion.name!r}: {len(self.samples.lower)} panels>"
        )

    @cached_property
    def lower(self) -> Any:
        """Where sampling stopped."""
        return number(self.samples.lower[0])

    @cached_property
    def upper(self) -> Any:
        return number(self.samples.upper[-1])

    @cached_property
    def rule(self) -> Rule:
        return rule(len(self.h), self.arithmetic)

    @property
    def epsilon(self) -> Any:
        return self.arithmetic.epsilon

    @cached_property
    def interval(self) -> tuple[Any, Any]:
        """The ends of the domain, as numbers of the arithmetic."""
        ends = []
        for side, reached in enumerate((self.lower, self.upper)):
            end = number(self.diffusion.end(side, self.arithmetic))
            # Panels reach up to a wall, which need not be a double.
            at_wall = not self.open_ends[side] and float(reached) == self.diffusion.domain[side]
            ends.append(reached if at_wall else end)
        return ends[0], ends[1]

    @cached_property
    def panels(self) -> Panels:
        return Panels(np.append(self.samples.lower, self.samples.upper[-1:]))

    @property
    def h(self) -> Array:
        return self.samples.coefficients[0]

    @property
    def ell(self) -> Array:
        return self.samples.coefficients[1]

    @cached_property
    def climb(self) -> tuple[Array, Array]:
        """int h from the left edge of each panel, as coefficients, and over the whole of it."""
        r, half = self.rule, self.panels.half
        return half * (r.antiderivative @ self.h), half * (r.integral @ self.h)

    @cached_property
    def climb_errors(self) -> Array:
        """The error of int h over each panel: what was cut off, and what rounding takes.

        Where drift or variance lose digits themselves that is noise, which the tails show.
        """
        s, half = self.samples, self.panels.half
        rounding = self.arithmetic.grain * np.abs(s.values[0]).mean(axis=0)
        return as_array(half * (4 * s.tails[0] + rounding))

    @cached_property
    def unknown(self) -> tuple[Array, Array, Array]:
        """What is not known of the process: of int h over each panel, and of log a on it.

        The squares of those of int h add up, from panel to panel; of log a the most, and the mean.
        Shape (panels,) each.
        """
        bounds, p, r = self.diffusion.uncertainty, self.panels, self.rule
        if bounds is None:
            return np.zeros(len(p.half)), np.zeros(len(p.half)), np.zeros(len(p.half))
        half = to_float(p.half)
        x = to_float(p.lower) + half * (1 + to_float(r.nodes)[:, None])
        of_f, of_a = (e.reshape(x.shape) for e in bounds(x.ravel()))
        relative = of_a / np.exp(to_float(self.samples.values[1]))
        of_h = 2 * of_f / np.exp(to_float(self.samples.values[1]))
        of_h += np.abs(to_float(self.samples.values[0])) * relative
        steps = 2 * half * of_h.mean(axis=0)
        squares = squares_of(steps, x[0], self.diffusion.breakpoints, bounds)
        return squares, relative.max(axis=0), relative.mean(axis=0)

    @cached_property
    def changed(self) -> tuple[Array, Array, Array] | None:
        """What degree after degree changes of int h over parts of panels, and of log a there.

        Shape (3, parts) each, `PARTS` of a panel; and the middles of the parts.
        """
        if (changes := changes_of(self.diffusion.uncertainty)) is None:
            return None
        half = np.repeat(to_float(self.panels.half), PARTS)
        share = np.tile((np.arange(PARTS) + 0.5) / PARTS, len(half) // PARTS)
        x = np.repeat(to_float(self.panels.lower), PARTS) + 2 * half * share
        at = as_array(x)
        h, ell = (to_float(self.panels.evaluate(c, at)) for c in (self.h, self.ell))
        of_f, of_a = np.moveaxis(changes(x), 1, 0)
        relative = of_a / np.exp(ell)
        return (2 * of_f / np.exp(ell) - h * relative) * 2 * half / PARTS, relative, x

    def unknown_around(self, panel: Array) -> Array:
        """What is not known of log a from knot to knot around panels, the most.

        What is known of its error goes through 0 in between, where the error does not.
        """
        gaps = np.searchsorted(self.diffusion.breakpoints, to_float(self.panels.lower))
        return np.array([self.unknown[1][gaps == gap].max() for gap in gaps[panel]])

    def coefficients(self, x: Array) -> tuple[Array, Array]:
        """f and a at doubles, as panels have them; nan where these do not tell."""
        k = to_float(self.panels.edges)[1:-1].searchsorted(x, side="right")
        t = to_float(self.panels.place(self.arithmetic.array(x), k))
        h, ell = (chebyshev_sum(to_float(c), t, k) for c in (self.h, self.ell))
        a = np.exp(ell)
        known = self.samples.resolved[k] & (np.abs(t) <= 1) & np.isfinite(h)
        return np.where(known, h * a / 2, math.nan), np.where(known, a, math.nan)

    @property
    def jumps(self) -> Array:
        """Where drift or variance jump, as far as that is seen: doubles, ascending."""
        at = np.zeros(len(self.panels.edges), dtype=bool)
        sound = self.samples.resolved
        at[:-1] = ~sound & self.panels.slivers
        for (lower, upper), values, least in zip(
            self.samples.at_edges, self.samples.values, (0, 1), strict=True
        ):
            size = np.maximum(to_float(np.abs(values).max(axis=0)), least)  # log a has no unit
            with np.errstate(invalid="ignore"):  # of many digits some are beyond doubles
                step = np.abs(to_float(lower[1:]) - to_float(upper[:-1]))
            at[1:-1] |= sound[1:] & sound[:-1] & (step > ALIKE * np.maximum(size[1:], size[:-1]))
        at[1:] &= ~(at[:-1] & self.panels.slivers)  # both ends of a sliver: one jump, inside it
        return np.asarray(to_float(self.panels.edges[at]))

    @cached_property
    def noise(self) -> Array:
        """A rise of int h below this, within a panel, is rounding."""
        return 8 * self.climb_errors + TINY

    def climbs(self, points: Array) -> Array:
        """int h between consecutive points, right relative to itself.

        Differences of `phi` would not be, where `phi` is large.
        """
        inside, rise = self.climb
        k, t = self.panels.locate(points)
        part = chebyshev_sum(inside, t, k)
        return as_array(sums_between(rise, k[:-1], k[1:]) - part[:-1] + part[1:])

    def chart(self, side: int) -> Chart:
        """That of an open end; a wall is far from the other end of what was sampled."""
        if self.open_ends[side]:
            return Chart.of(self.diffusion, side, self.arithmetic)
        return Chart((self.upper, self.lower)[side], (-1, 1)[side], outward=True)

    def octaves_to(self, side: int, x: Any) -> Any:
        """How many octaves beyond what was sampled on one side points lie; inside it, too."""
        chart = self.chart(side)
        near, r = chart.distance((self.lower, self.upper)[side]), chart.distance(x)
        with np.errstate(divide="ignore"):
            return np.abs(log(to_float(r / near))) / math.log(2)

    @cached_property
    def is_flat(self) -> bool:
        """Whether the drift is nothing but the rounding of terms that cancel."""
        rise = self.climbs(np.array([self.lower, self.upper]))[0]
        return bool(abs(to_float(number(rise))) < math.sqrt(float(self.epsilon)))

    def quieter(self, x: Array) -> tuple[Array, Array]:
        """The panel in which to read values at each point, and where in it, from -1 to 1.

        Where the variance jumps at the point itself, that is the one on the quieter side: there
        the density is the greater.
        """
        p, near = self.panels, 4 * spacing(x)
        k, t = p.locate(x)
        if ((x - near > p.lower[k]) & (x + near < p.upper[k]) & self.samples.resolved[k]).all():
            return k, t
        sound = self.samples.resolved | ~p.slivers
        if not sound.any():
            return p.locate(x)
        index = np.arange(len(sound))
        before = np.maximum.accumulate(np.where(sound, index, -1))[p.panel_of(x - near)]
        after = np.where(sound, index, len(sound))[::-1]
        after = np.minimum.accumulate(after)[::-1][p.panel_of(x + near)]
        sides = [np.where(before < 0, after, before), np.where(after == len(sound), before, after)]
        places = [np.minimum(np.maximum(p.place(x, k), -1), 1) for k in sides]
        ell = [chebyshev_sum(self.ell, t, k) for k, t in zip(sides, places, strict=True)]
        left = np.asarray(ell[0] < ell[1], dtype=bool)
        return np.where(left, sides[0], sides[1]), np.where(left, places[0], places[1])

    @cached_property
    def phi(self) -> Array:
        """int h, as coefficients (n + 1, panels); zero at the panel where the density peaks."""
        return self.potential(1, 1 - self.diffusion.convention.value)

    def potential(self, s: Any, k: float) -> Array:
        """Phi = int h, as coefficients (n + 1, panels); zero where e^(s Phi) a^-k peaks."""
        inside, rise = self.climb[0].copy(), self.climb[1]
        start, lowered = inside[0].copy(), k * self.ell[0]
        wide: Any = np.longdouble if rise.dtype == float else object
        peak = int(np.argmax(s * np.cumsum(rise) - lowered))  # a first guess, blurred or not
        for _ in range(len(rise)):
            # So that rounding is least where the density is greatest; far from the first guess
            # the sum may be too blurred to see the peak.
            inside[0] = start + summed_from(peak, rise[:-1], wide)
            found = int(np.argmax(s * inside[0] - lowered))
            if found == peak:
                break
            peak = found
        return inside

    @property
    def resolution(self) -> float:
        """The largest gap between neighbouring samples, relative to the domain (or distance)."""
        p = self.panels
        lower, upper = self.diffusion.domain
        if math.isfinite(upper - lower):
            span: Any = upper - lower
        else:
            span = np.maximum(np.maximum(np.abs(p.lower), np.abs(p.upper)), CORE)
        return float((p.half * (math.pi / self.rule.n) / span).max())


def sampling(
    diffusion: Diffusion,
    max_panels: int = MOST_PANELS,
    *,
    complete: bool = False,
    arithmetic: Arithmetic = DOUBLE,
    strength: float = 1.0,
    look: Samples | None = None,
    dips: tuple[Dip, ...] = (),
) -> Sampling:
    """Sample the process over its domain; `look` is what `first_look` saw of it in doubles.

    `dips` of the variance are approached, in many digits, as far as they are narrow. `strength` is
    the least power of e^Phi that will be asked for: how far out there is anything. `complete` goes
    on towards open ends where the density has fallen to nothing, too. Raises a `LandscapeError`
    where drift or variance are none at a point inside, or the variance vanishes there.
    """
    n = nodes_in(arithmetic)
    affordable = max(200, BY_WORK // ((n + 2) * diffusion.cost_of_many))
    max_panels = min(max_panels + len(diffusion.breakpoints), affordable)
    opened = open_ends(diffusion, arithmetic)
    core, fallen = core_of(diffusion, opened), [False, False]
    if arithmetic is not DOUBLE and not complete:
        core, fallen = core_in_reach(diffusion, opened, core, arithmetic, strength)
    if look is not None and arithmetic is DOUBLE:
        pieces = [sampled(diffusion, look.lower, look.upper, max_panels, look)]
    else:
        for coarse in (True, False) if look is not None else (False,):
            edges = _first_edges(diffusion, core, arithmetic, coarse)
            edges = distinct(edges, *(_towards(d, core, arithmetic) for d in dips))
            for side, i in enumerate((0, -1)):
                if not opened[side] and not fallen[side]:
                    edges[i] = diffusion.end(side, arithmetic)
            pieces = [sampled(diffusion, edges[:-1], edges[1:], max_panels)]
            if look is not None and _shows(pieces[0], look):
                break
    if arithmetic is DOUBLE and not complete:
        pieces, fallen = within_reach(diffusion, opened, pieces[0], max_panels, strength)
    for side, is_open in enumerate(opened):
        if is_open:
            pieces, fallen[side] = grown(diffusion, pieces, side, max_panels, complete, strength)
    return Sampling(diffusion, Samples.joined(pieces), opened, (fallen[0], fallen[1]), arithmetic)


def first_look(diffusion: Diffusion) -> Samples | None:
    """The first panels of a sampling in doubles, none of them halved yet.

    None where that is not a process: the variance vanishes, or is lost, at some of their points.
    """
    with contextlib.suppress(LandscapeError):
        core = core_of(diffusion, open_ends(diffusion, DOUBLE))
        edges = _first_edges(diffusion, core, DOUBLE)
        return sampled(diffusion, edges[:-1], edges[1:], 0)
    return None


def _shows(samples: Samples, look: Samples) -> bool:
    """Whether panels of many digits have what doubles saw, at every node inside them."""
    panels = Panels(to_float(np.append(samples.lower, samples.upper[-1:])))
    x = nodes_of(look.lower, look.upper, rule(len(look.values[0])))[0]
    inside = (x >= panels.edges[0]) & (x <= panels.edges[-1])
    k, t = panels.locate(x[inside])
    pairs = zip(samples.coefficients, look.values, strict=True)
    return all(
        bool((np.abs(chebyshev_sum(to_float(c), t, k) - v[inside]) <= ALIKE * size).all())
        for c, v in pairs
        for size in [np.broadcast_to(np.abs(v).max(axis=0), x.shape)[inside]]
    )


def _first_edges(
    diffusion: Diffusion, core: tuple[float, float], arithmetic: Arithmetic, coarse: bool = False
) -> Array:
    """The ends of the panels that a sampling begins with; `coarse` where all has been seen."""
    (lower, upper), (start, stop), n = diffusion.domain, core, nodes_in(arithmetic)
    # Where panels have more nodes fewer of them give the same view.
    count = max(FEWEST, math.ceil(diffusion.scan_panels * NODES / n))
    edges = np.linspace(start, stop, (FEWEST if coarse else count) + 1)
    if math.isinf(upper - lower) and not coarse:
        # With no length to go by, look at every scale around the point distances count from.
        zero = Chart.of(diffusion, 1 if math.isinf(upper) else 0).anchor
        grades = OCTAVES if diffusion.scan_panels >= 64 else 10
        graded = CORE * 2.0 ** -np.arange(4.0, 4 + grades, max(1, n // NODES))
        graded = graded[graded > 2.0**-26 * abs(zero)]  # a double knows no less beside zero
        graded = np.concatenate([-graded, graded])
        edges = distinct(edges, [x for x in float(zero) + graded if start < x < stop])
    extra = np.array([b for b in diffusion.breakpoints if start < b < stop])
    if len(extra):
        # Beside a breakpoint no edge of our own is wanted, least of all by a rounding.
        widths = np.diff(edges)
        apart = np.abs(edges[1:-1, None] - extra).min(axis=1)
        own = apart > BESIDE * np.minimum(widths[1:], widths[:-1])
        edges = distinct(edges[np.concatenate([[True], own, [True]])], extra)
    return arithmetic.array(edges)


def _towards(dip: Dip, core: tuple[float, float], arithmetic: Arithmetic) -> Array:
    """Ends of panels at all distances from a dip down to its width."""
    at = arithmetic.array([dip.place])
    size = max(abs(dip.position), float(np.spacing(dip.position)))
    steps = arithmetic.array(np.full(math.ceil(dip.digits * math.log(10, 4)) + 1, 0.25))
    r = size * np.cumprod(steps)
    edges = np.concatenate([at - r, at + r])
    return as_array(edges[np.asarray((edges > core[0]) & (edges < core[1]), dtype=bool)])
