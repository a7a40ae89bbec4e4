"""What a figure of an end state shows: which range of x, which points, and what it calls a mass."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import mpmath
import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from stationary.basins import Basin, basins_of
from stationary.classes import joined
from stationary.component import Component
from stationary.distribution import EndState, Mode, modes_of
from stationary.elementary import log_sum
from stationary.initial import Initial
from stationary.partition import SingularPoint
from stationary.quantiles import quantile

__all__ = [
    "Part",
    "View",
    "drawn_range",
    "local_density",
    "local_steps",
    "mass_label",
    "parts_of",
    "rest_of",
]

Array = NDArray[Any]

WORK = 2**26  # losses or gradients evaluated for a panel, at most
TAILS = np.geomspace(0.02, 1e-4, 6)  # probabilities beyond the range that is drawn
NARROW = 1e-4  # of the drawn range: what holds 95 % of itself on less is drawn as a stem
FALLEN = 9.0  # log of the drop from the peak at which a picture of the peak alone ends


@dataclass(frozen=True, eq=False)
class Part:
    """A density that holds probability, as it is drawn."""

    component: Component
    log_weight: float  # of it in all; within its class where the weights of classes are unknown
    peak: Mode | None = None  # where it is so narrow that only a stem can show it


@dataclass(frozen=True, eq=False)
class View:
    """The range of x, the points at which curves are drawn, and what there is in sight."""

    lower: float
    upper: float
    x: Array  # ascending, none of them a singular point
    stable: list[float]
    unstable: list[float]
    variable: str
    parts: tuple[Part, ...]  # left to right
    points: tuple[SingularPoint, ...]
    cuts: Array  # where the noise vanishes: curves are interrupted there
    transient: tuple[tuple[float, float], ...]
    is_ring: bool = False  # then all of it belongs to the picture, and nothing is a wall

    @classmethod
    def of(cls, state: EndState) -> View:
        lower, upper = drawn_range(state)
        seen = [e for e in state.anatomy.equilibria if lower <= e.position <= upper]
        stable, unstable = ([e.position for e in seen if e.stable == s] for s in (True, False))
        points = tuple(
            p for p in state.anatomy.points if float(p.upper) >= lower and float(p.lower) <= upper
        )
        edges = {e for p in points for e in (float(p.lower), float(p.upper))}
        cuts = np.array(sorted(e for e in edges if lower < e < upper))
        clipped = [(max(a, lower), min(b, upper)) for a, b in state.transient]
        return cls(
            lower,
            upper,
            _points(state, lower, upper, cuts),
            stable,
            unstable,
            state.diffusion.variable,
            tuple(_seen_from(part, upper - lower, _turn_of(state)) for part in parts_of(state)),
            points,
            cuts,
            tuple((a, b) for a, b in clipped if a < b),
            state.diffusion.is_periodic,
        )

    def holds(self, x: float) -> bool:
        return self.lower <= x <= self.upper

    def inside(self, lower: float, upper: float) -> Array:
        """The points of [lower, upper]."""
        return self.x[(self.x >= lower) & (self.x <= upper)]

    def away(self, x: Array) -> Array:
        """Which points keep away from zeros of the variance, where an exponent may diverge."""
        far = np.full(x.shape, True)
        with np.errstate(invalid="ignore"):  # x may have gaps
            for cut in self.cuts:
                far &= np.abs(x - cut) > 0.03 * (self.upper - self.lower)
        return far

    def coarse(self, datapoints: int) -> Array:
        """The points, or as many even ones as so many datapoints leave affordable."""
        affordable = max(65, WORK // datapoints)
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
    if state.kind == "none":
        return []
    found = []
    for c in state.components:
        if c.weight is None:
            found.append(Part(c, _share(state, c)))
        elif c.weight > 0:
            found.append(Part(c, math.log(c.weight)))
    return found


def _share(state: EndState, c: Component) -> float:
    """log of what a component holds of its class, of which it mostly is the whole."""
    assert state.classes is not None
    pieces = state.anatomy.pieces
    (group,) = (g for g in state.classes.groups if g.lower <= c.interval[0] < g.upper)
    if group.first == group.last:
        return 0.0
    members = [m for m in state.components if group.lower <= m.interval[0] < group.upper]
    solved = list(zip(pieces[group.first : group.last + 1], members, strict=True))
    return float(joined(solved).log_shares[members.index(c)])


def _seen_from(part: Part, width: float, turn: float) -> Part:
    """The part, with its peak where that is all that a picture of such a width can show."""
    modes = [m for m in modes_of(part.component) if math.isfinite(m.log_density)]
    if not modes:
        return part
    peak = max(modes, key=lambda m: m.log_density)
    reach = NARROW * width / 2
    low, high = peak.position - reach, peak.position + reach
    places = (-turn, 0.0, turn) if turn else (0.0,)
    held = log_sum(np.array([part.component.log_probability(low + t, high + t) for t in places]))
    return Part(part.component, part.log_weight, peak if held > math.log(0.95) else None)


def _turn_of(state: EndState) -> float:
    """Once around, on a ring; else 0."""
    lower, upper = state.diffusion.domain
    return upper - lower if state.diffusion.is_periodic else 0.0


# -- a density that is narrower than the picture, or than the spacing of doubles ------------------


def local_density(state: EndState, component: Component, steps: Array) -> Array:
    """log of the density of a component (within itself) at so many steps from its highest mode.

    Parameters
    ----------
    steps
        Distances, in the unit of the process. Where they are below the spacing of doubles, the
        places are formed exactly, and the component is asked for its density at mpmath numbers.
    """
    mode = _highest(state, component)
    offset = getattr(mode, "offset", 0)
    gap = float(np.abs(np.diff(steps)).min(initial=math.inf))
    rounded = mode.position + steps
    if offset == 0 and gap >= np.spacing(abs(mode.position)):
        if turn := _turn_of(state):
            rounded = component.interval[0] + (rounded - component.interval[0]) % turn
        return np.asarray(component.logpdf(rounded), dtype=float)
    exact = mpmath.MPContext()
    # The smallest step to the last of its own digits, next to the position as a whole.
    exact.prec = 120 + max(0, math.frexp(mode.position)[1] - math.frexp(gap)[1])
    centre = exact.mpf(mode.position) + exact.mpf(offset)
    places = np.array([centre + exact.mpf(float(s)) for s in steps], dtype=object)
    try:
        return np.asarray(component.logpdf(places), dtype=float)
    except TypeError:  # the component was solved in doubles and knows no others
        return np.asarray(component.logpdf(rounded), dtype=float)


def local_steps(state: EndState, component: Component, count: int = 401) -> Array:
    """Even steps from the highest mode of a component to where its density is next to nothing."""
    mode = _highest(state, component)
    scale = math.exp(-mode.log_density)  # of a normal distribution: 2.5 deviations
    far = scale * np.geomspace(0.01, 1e4, 400)
    ends = []
    for side in (-1, 1):
        level = local_density(state, component, side * far)
        fallen = ~(level > mode.log_density - FALLEN)
        end = float(far[np.argmax(fallen)] if fallen.any() else far[-1])
        ends.append(0.0 if fallen[0] else side * end)  # the peak may be at a wall
    return np.linspace(ends[0], ends[1], count)


def _highest(state: EndState, component: Component) -> Mode:
    lower, upper = component.interval
    modes = [m for m in state.modes if lower <= m.position <= upper]
    return max(modes, key=lambda m: m.log_density)


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
    at = [e.position for e in state.anatomy.equilibria]
    if len(at) > 1:  # the wells at both ends in full
        at = [at[0] - 0.7 * (at[1] - at[0]), *at, at[-1] + 0.7 * (at[-1] - at[-2])]
    at += [float(edge) for p in state.anatomy.points for edge in (p.lower, p.upper)]
    at += [atom.position for atom in state.atoms]
    parts = parts_of(state)
    if not parts:
        at = sorted(at + _starts(state.initial))
        at = at or [next((end for end in (lower, upper) if math.isfinite(end)), 0.0)]
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


def _starts(initial: Initial | None) -> list[float]:
    """Where the process starts, give or take a little."""
    if initial is None:
        return []
    return [float(x) for x in np.quantile(initial.rvs(1000, 0), [0.025, 0.975])]


def _quantiles(c: Component, q: Array) -> Array:
    """The x with P(X <= x) = q within a component, from the smaller of the two tails."""
    result = np.empty(q.shape)
    with np.errstate(divide="ignore"):
        low = q <= 0.5
        result[low] = quantile(c, np.log(q[low]), left=True)
        result[~low] = quantile(c, np.log1p(-q[~low]), left=False)
    return result


def _central(c: Component, *, left: bool) -> float:
    """The quantile to which a tail is drawn; nearer to the middle the heavier the tail."""
    ends = quantile(c, np.log(TAILS), left=left)
    reach = np.abs(ends - _quantiles(c, np.array([0.5]))[0])
    k = 0
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
    basins = basins_of(state)
    for part in parts_of(state):
        c = part.component
        steps = (upper - lower) * np.append(0.0, np.geomspace(1e-12, 0.2, 180))
        for mode in modes_of(c):
            pieces += [mode.position - steps, mode.position + steps]
        lower_end, upper_end = c.interval
        turn = _turn_of(state)
        for basin in basins:
            if not turn and not (lower_end <= basin.lower and basin.upper <= upper_end):
                continue
            pieces.append(np.array([basin.lower, basin.upper]))
            # A lighter basin drowns in the rounding of P(X <= x); its modes must do for it.
            mass = basin.mass / (c.weight or 1.0)
            if mass > 1e-9:
                share = expit(np.linspace(-9, 9, 129))  # even where the mass is, and in the tails
                start = basin.lower + (turn if basin.lower < lower_end else 0.0)
                q = np.exp(c.logcdf(np.array([start]))) + share * mass
                pieces.append(_quantiles(c, np.minimum(q, 1.0) if not turn else q % 1.0))
    x = np.setdiff1d(np.concatenate(pieces).astype(float), cuts)  # modes may have more digits
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


def rest_of(basins: Sequence[Basin], but: Basin) -> float:
    """log of what the other basins hold."""
    others = [b.log_mass for b in basins if b is not but]
    return float(np.logaddexp.reduce(others)) if others else -math.inf
