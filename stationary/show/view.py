"""What a figure of an end state shows: which range of x, which points, and what it calls a mass."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from stationary.aliases import Array
from stationary.numbers.cost import BY_WORK
from stationary.numbers.elementary import converted, log, logsumexp, to_float
from stationary.show.drawing import UNSEEN
from stationary.states.basin import Basin
from stationary.states.distribution import EndState
from stationary.weight.component import Component
from stationary.weight.modes import Mode, modes_of
from stationary.weight.quantiles import quantile

TAILS = np.geomspace(0.02, UNSEEN, 6)  # probabilities beyond the range that is drawn
FAINT = -25.0  # log of the share of a panel of a mesh from which on it is drawn
NARROW = 1e-4  # of the drawn range: what holds 95 % of itself on less is drawn as a stem
FALLEN = 9.0  # log of the drop from the peak at which a picture of the peak alone ends


def asked(function: Callable[[Array], Array], component: Component, x: Any) -> Array:
    """The values at x, as floats, of a function that takes the arithmetic of a component."""
    values = function(converted(np.asarray(x), component.arithmetic))
    return np.asarray(to_float(values), dtype=float)


@dataclass(frozen=True, eq=False)
class Part:
    """A density that holds probability, as it is drawn."""

    component: Component
    log_weight: float  # of it in all; within its class where the weights of classes are unknown
    peak: Mode | None = None  # where it is so narrow that only a stem can show it

    @property
    def interval(self) -> tuple[float, float]:
        lower, upper = self.component.interval
        return float(lower), float(upper)


class View:
    """A state, the range of x and the points at which it is drawn, and what there is in sight."""

    def __init__(self, state: EndState, basins: Sequence[Basin] = ()) -> None:
        self.state, self.basins = state, basins
        self.lower, self.upper = lower, upper = drawn_range(state)
        self.variable = state.diffusion.variable
        # All of a ring belongs to the picture, and nothing is a wall.
        self.is_ring = state.diffusion.is_periodic
        turn = state.diffusion.domain[1] - state.diffusion.domain[0] if self.is_ring else 0.0
        self.parts = [_seen_from(part, upper - lower, turn) for part in parts_of(state)]
        seen = [e for e in state.anatomy.equilibria if self.holds(e.position)]
        self.stable = [e.position for e in seen if e.stable]
        self.unstable = [e.position for e in seen if not e.stable]
        points = state.anatomy.points
        self.points = [p for p in points if float(p.upper) >= lower and float(p.lower) <= upper]
        edges = {e for p in self.points for e in (float(p.lower), float(p.upper))}
        # Where the noise vanishes curves are interrupted: none of their points is there.
        self.cuts = np.array(sorted(e for e in edges if lower < e < upper))
        self.x = _points(state, lower, upper, self.cuts)
        self.transient: list[tuple[float, float]] = []  # neighbours as one
        for a, b in ((max(a, lower), min(b, upper)) for a, b in state.transient):
            if self.transient and self.transient[-1][1] == a:
                a = self.transient.pop()[0]
            self.transient += [(a, b)] * (a < b)

    def holds(self, x: float) -> bool:
        return self.lower <= x <= self.upper

    def inside(self, lower: float, upper: float) -> Array:
        """The points of [lower, upper]."""
        return self.x[(self.x >= lower) & (self.x <= upper)]

    def away(self, x: Array) -> Array:
        """Which points keep away from zeros of the variance, where an exponent may diverge."""
        with np.errstate(invalid="ignore"):  # x may have gaps
            away = np.abs(np.subtract.outer(self.cuts, x))
            return np.asarray((away > 0.03 * (self.upper - self.lower)).all(axis=0))

    def coarse(self, datapoints: int) -> Array:
        """The points, or as many even ones as so many datapoints leave affordable."""
        # Of a table of moments there are no datapoints; a figure has about four panels.
        affordable = max(65, BY_WORK // 4 // max(datapoints, 1))
        if affordable >= len(self.x):
            return self.x
        return np.linspace(self.lower, self.upper, affordable)

    def split(self, x: Array, *rows: Array) -> tuple[Array, ...]:
        """Points and values on them, with nan, which is not drawn, where the noise vanishes."""
        at = np.searchsorted(x, self.cuts)
        at = at[(at > 0) & (at < len(x))]
        return tuple(np.insert(np.asarray(row, dtype=float), at, np.nan) for row in (x, *rows))


def parts_of(state: EndState) -> list[Part]:
    """The densities that hold something, or may, depending on the start."""
    return [
        Part(c, float(c.log_share if c.weight is None else log(c.weight)))
        for c in state.components
        if state.kind != "none" and (c.weight is None or c.weight > 0)
    ]


def _seen_from(part: Part, width: float, turn: float) -> Part:
    """The part, with its peak where that is all that a picture of such a width can show."""
    c = part.component
    modes = [m for m in modes_of(c) if math.isfinite(m.log_density)]
    if not modes:
        return part
    peak = max(modes, key=lambda m: m.log_density)
    reach = NARROW * width / 2
    low, high = peak.position - reach, peak.position + reach
    held = [float(c.log_probability(low + t, high + t)) for t in {-turn, 0.0, turn}]
    return replace(part, peak=peak if logsumexp(np.array(held)) > math.log(0.95) else None)


# -- a density that is narrower than the picture, or than the spacing of doubles ------------------


class Zoom:
    """The surroundings of the peak of a density, out to where the density is nothing."""

    def __init__(self, c: Component, peak: Mode) -> None:
        top = float(peak.log_density)
        # exp(-top) of a normal distribution is 2.5 deviations.
        unit = math.floor(-(top + math.log(2)) / math.log(10))
        self.unit = unit if abs(unit) > 2 else 0
        one = converted(10.0, c.arithmetic) ** self.unit
        diffusion = c.density.sampling.diffusion

        def density(steps: Array) -> Array:
            x = peak.position + converted(steps, c.arithmetic) * one
            if diffusion.is_periodic:
                lower, upper = diffusion.domain
                x = lower + (x - lower) % (upper - lower)
            return asked(c.logpdf, c, x)

        far = math.exp(-top - self.unit * math.log(10)) * np.geomspace(0.01, 1e4, 100)
        ends = []
        for side in (-1, 1):
            fallen = ~(density(side * far) > top - FALLEN)
            end = far[np.argmax(fallen)] if fallen.any() else far[-1]
            ends.append(0.0 if fallen[0] else side * end)  # the peak may be at a wall
        self.position = float(peak.position)
        # What that leaves out, and even steps from the peak, in units of 10^unit.
        self.offset = float((peak.position - self.position) / one)
        self.steps = np.linspace(ends[0], ends[1], 401)
        self.log_density = density(self.steps)  # within the component, per unit of x


# -- range and points -----------------------------------------------------------------------------


def drawn_range(state: EndState) -> tuple[float, float]:
    """The range of x to draw: a finite domain, or the part of it where things happen.

    At an infinite end that is out to where 1e-4 of the probability lies beyond, or up to 0.02
    where the tail is heavy, and in any case to the outermost equilibrium, mode, atom and zero of
    the variance.
    """
    lower, upper = state.diffusion.domain
    if math.isfinite(upper - lower):
        return lower, upper
    at = [e.position for e in state.anatomy.equilibria if math.isfinite(e.position)]
    if len(at) > 1:  # the wells at both ends in full
        at = [at[0] - 0.7 * (at[1] - at[0]), *at, at[-1] + 0.7 * (at[-1] - at[-2])]
    edges = (float(edge) for p in state.anatomy.points for edge in (p.lower, p.upper))
    at += [edge for edge in edges if math.isfinite(edge)]
    at += [atom.position for atom in state.atoms]
    parts = parts_of(state)
    if not parts:
        if state.initial is not None:  # give or take a little
            at += np.quantile(state.initial.rvs(1000, 0), [0.025, 0.975]).tolist()
        at = sorted(at) or [next((end for end in (lower, upper) if math.isfinite(end)), 0.0)]
        room = max(4.0, at[-1] - at[0])
        return max(lower, at[0] - room), min(upper, at[-1] + room)
    left = min(_central(part.component, left=True) for part in parts)
    right = max(_central(part.component, left=False) for part in parts)
    far = 200 * (right - left)  # anything further out would be all that is seen
    at += [mode.position for mode in state.modes]
    near = [x for x in at if left - far <= x <= right + far]
    left, right = min([left, *near]), max([right, *near])
    width = right - left
    # A finite end belongs to the picture unless it is far from everything else.
    ends = [end for end in (lower, upper) if left - width <= end <= right + width]
    left, right = min([left - 0.06 * width, *ends]), max([right + 0.06 * width, *ends])
    return max(lower, left), min(upper, right)


def _central(c: Component, *, left: bool) -> float:
    """The quantile to which a tail is drawn; nearer to the middle the heavier the tail."""
    levels = np.log(np.append(TAILS, 0.5))
    *ends, median = asked(lambda log_q: quantile(c, log_q, left=left), c, levels)
    return chosen(np.array(ends), median)


def chosen(ends: Array, median: float) -> float:
    """The one of the quantiles at TAILS to which a tail is drawn."""
    reach, k = np.abs(ends - median), 0
    # From one to the next the probability falls to a third: a light tail hardly reaches on.
    while k + 1 < len(TAILS) and reach[k + 1] <= 1.6 * reach[k]:
        k += 1
    return float(ends[k])


def _points(state: EndState, lower: float, upper: float, cuts: Array) -> Array:
    """1001 even points of [lower, upper], and more where the density is narrow."""
    marks = [e.position for e in state.anatomy.equilibria] + list(state.diffusion.breakpoints)
    pieces = [np.linspace(lower, upper, 1001), np.array(marks)]
    for cut in cuts:
        steps = (upper - lower) * np.geomspace(1e-9, 0.02, 60)
        pieces += [cut - steps, cut + steps]
    for part in parts_of(state):
        c = part.component
        # Its mesh knows where the density is and how it bends.
        nodes = to_float(c.mesh.x[:, c.log_panel_mass > FAINT].ravel())
        _, apart = np.unique(np.round(10 * nodes / (upper - lower) / NARROW), return_index=True)
        pieces.append(nodes[apart])
        steps = (upper - lower) * np.append(0.0, np.geomspace(1e-12, 0.2, 180))
        for mode in modes_of(c):
            position = float(mode.position)
            pieces += [position - steps, position + steps]
    x = np.setdiff1d(np.concatenate(pieces), cuts)
    return np.asarray(x[(x >= lower) & (x <= upper)])


def mass_label(log_mass: float, log_rest: float = -math.inf) -> str:
    """A probability as a person reads it: "73.1 %", or a power of ten.

    `log_rest` is the logarithm of what is missing from 1, where that is known better.
    """
    decades = log_mass / math.log(10)
    if decades >= -3:
        rest = math.exp(log_rest)
        if not 1e-7 < rest < 1e-3:
            return f"{100 * math.exp(log_mass):.3g} %"
        return f"{100 * (1 - rest):.{-math.floor(math.log10(rest)) - 2}f} %"
    if decades >= -10:
        digits, exponent = f"{math.exp(log_mass):.1e}".split("e")
        return rf"${digits}\times10^{{{int(exponent)}}}$"
    if decades >= -99999:
        return f"$10^{{{decades:.0f}}}$"
    digits, exponent = f"{decades:.1e}".split("e")
    return rf"$10^{{{digits}\times10^{{{int(exponent)}}}}}$"


def rest_of(state: EndState, basins: Sequence[Basin], but: Basin) -> float:
    """log of what all but one of the basins hold, and all that is no density."""
    others = [float(b.log_mass) for b in basins if b is not but]
    weights = [a.weight for a in state.atoms] + [e.weight for e in state.escapes]
    others += [float(log(weight)) for weight in weights if weight]
    return float(np.logaddexp.reduce(others)) if others else -math.inf
