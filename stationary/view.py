"""What a figure of an end state shows: which range of x, which points, and what it calls a mass."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from stationary.basins import Basin, basins_of
from stationary.distribution import EndState

__all__ = ["View", "drawn_range", "mass_label", "rest_of"]

Array = NDArray[Any]

WORK = 2**26  # losses or gradients evaluated for a panel, at most
TAILS = np.geomspace(0.02, 1e-4, 6)  # probabilities beyond the range that is drawn


@dataclass(frozen=True, eq=False)
class View:
    """The range of x, the points at which curves are drawn, and the equilibria in sight."""

    lower: float
    upper: float
    x: Array
    stable: list[float]
    unstable: list[float]
    variable: str

    @classmethod
    def of(cls, state: EndState) -> View:
        lower, upper = drawn_range(state)
        seen = [e for e in state.anatomy.equilibria if lower <= e.position <= upper]
        stable, unstable = ([e.position for e in seen if e.stable == s] for s in (True, False))
        x = _points(state, lower, upper)
        return cls(lower, upper, x, stable, unstable, state.diffusion.variable)

    def holds(self, x: float) -> bool:
        return self.lower <= x <= self.upper

    def coarse(self, datapoints: int) -> Array:
        """The points, or as many even ones as so many datapoints leave affordable."""
        affordable = max(65, WORK // datapoints)
        if affordable >= len(self.x):
            return self.x
        return np.linspace(self.lower, self.upper, affordable)


def drawn_range(state: EndState) -> tuple[float, float]:
    """The range of x to draw: a finite domain, or the part of it where things happen.

    At an infinite end that is out to where 1e-4 of the probability lies beyond, or up to 0.02
    where the tail is heavy, and in any case to the outermost equilibrium and mode.
    """
    lower, upper = state.diffusion.domain
    if math.isfinite(upper - lower):
        return lower, upper
    at = [e.position for e in state.anatomy.equilibria]
    if len(at) > 1:  # the wells at both ends in full
        at = [at[0] - 0.7 * (at[1] - at[0]), *at, at[-1] + 0.7 * (at[-1] - at[-2])]
    if state.kind == "none":
        at = at or [next((end for end in (lower, upper) if math.isfinite(end)), 0.0)]
        room = max(4.0, at[-1] - at[0])
        return max(lower, at[0] - room), min(upper, at[-1] + room)
    left, right = (_central(state, left=left) for left in (True, False))
    far = 200 * (right - left)  # anything further out would be all that is seen
    at += [mode.position for mode in state.modes]
    near = [x for x in at if left - far <= x <= right + far]
    left, right = min([left, *near]), max([right, *near])
    width = right - left
    # A finite end belongs to the picture unless it is far from everything else.
    ends = [end for end in (lower, upper) if left - width <= end <= right + width]
    left, right = min([left - 0.06 * width, *ends]), max([right + 0.06 * width, *ends])
    return max(lower, left), min(upper, right)


def _central(state: EndState, *, left: bool) -> float:
    """The quantile to which a tail is drawn; nearer to the middle the heavier the tail."""
    ends = (state.ppf if left else state.isf)(TAILS)
    reach = np.abs(ends - state.median())
    k = 0
    # From one to the next the probability falls to a third: a light tail hardly reaches on.
    while k + 1 < len(TAILS) and reach[k + 1] <= 1.6 * reach[k]:
        k += 1
    return float(ends[k])


def _points(state: EndState, lower: float, upper: float) -> Array:
    """1001 even points of [lower, upper], and more where the density is narrow."""
    marks = [e.position for e in state.anatomy.equilibria] + list(state.diffusion.breakpoints)
    pieces = [np.linspace(lower, upper, 1001), np.array(marks)]
    if state.kind != "none":
        steps = (upper - lower) * np.append(0.0, np.geomspace(1e-12, 0.2, 180))
        for mode in state.modes:
            pieces += [mode.position - steps, mode.position + steps]
        for basin in basins_of(state):
            pieces.append(np.array([basin.lower, basin.upper]))
            # A lighter basin drowns in the rounding of P(X <= x); its modes must do for it.
            if basin.mass > 1e-9:
                share = expit(np.linspace(-9, 9, 129))  # even where the mass is, and in the tails
                q = state.cdf(basin.lower) + share * basin.mass
                pieces.append(state.ppf(np.minimum(q, 1.0)))
    x = np.unique(np.concatenate(pieces))
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
