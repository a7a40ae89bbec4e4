"""Panels along a stretch of the line, and on them the logarithms of scale and speed densities.

Each function is kept as level + v + k Phi with Phi = int 2 f / a: positions and levels in as many
digits as tell points and large exponents apart, shapes (what varies over one panel) in doubles,
unless more digits than doubles have are asked for.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from stationary.aliases import Array
from stationary.numbers.arithmetic import Arithmetic
from stationary.numbers.chebyshev import Rule, chebyshev_sum, rule
from stationary.numbers.elementary import as_array, converted, number

LEVEL = 0.15  # the rise of Phi over a panel, per node: twice that is still resolved to rounding
SUDDEN = 2.0**-12  # of an e-fold that is hidden by rounding: what happens within it is not followed
STEEPEST = 1e280  # of Phi over a panel, in doubles: its sums do not overflow


BY_PANEL = (
    "lower", "upper", "half", "spacing", "middle", "phi", "rises", "slope", "excess", "log_a",
    "step_error", "log_a_error",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Log:
    """The logarithm level + v + k Phi of a positive function, at the nodes of every panel."""

    v: Array  # (n, panels)
    k: Array  # (panels,), whole numbers
    error: Array  # (panels,), absolute (relative of the function), beside that of k Phi
    level: Array  # (panels,)

    def __add__(self, other: Log) -> Log:
        error = self.error + other.error
        return Log(self.v + other.v, self.k + other.k, error, self.level + other.level)

    def __rmul__(self, factor: int) -> Log:
        return Log(factor * self.v, factor * self.k, abs(factor) * self.error, factor * self.level)

    def plus(self, constant: Any) -> Log:
        return replace(self, level=self.level + constant)

    @property
    def mirrored(self) -> Log:
        return Log(self.v[::-1, ::-1], self.k[::-1], self.error[::-1], self.level[::-1])


@dataclass(frozen=True, eq=False)
class Mesh:
    """Panels from end to end; between some of them, and at the ends, singular points may lie."""

    arithmetic: Arithmetic  # of positions and levels
    numbers: Arithmetic  # of shapes
    lower: Array  # (panels,)
    upper: Array
    half: Array  # a shape
    spacing: Array  # (panels,), a shape: the distance of edges that their digits tell apart
    middle: Array  # (panels,): Phi, a level; what is k Phi below counts from there
    phi: Array  # (n + 1, panels): Phi less that, as coefficients
    rises: Array  # (2, panels): levels of Phi at the lower and the upper edge
    slope: Array  # (n, panels): 2 f / a at the nodes
    excess: Array  # (panels,): what must be added to the logarithms of Phi and its slope
    log_a: Array  # (n, panels): at the nodes
    step_error: Array  # (panels,): of the rise of Phi over each
    log_a_error: Array  # (panels,)
    ends: tuple[Any, Any]  # where the stretch ends; beyond the panels if these stop before
    gaps: dict[int, Any]  # before which panel a singular point lies, and where
    weight: Any  # the convention c
    origin: Any  # from which distances count towards an infinite end
    slow: dict[Any, Any] = field(
        default_factory=dict, repr=False, compare=False
    )  # see `cumulation`

    @property
    def rule(self) -> Rule:
        return rule(len(self.log_a), self.numbers)

    def beside(self, known: Mesh, lower: Array, upper: Array) -> Mesh:
        """The panels of this one and of another, as far as they are asked for."""
        still = among(known.lower, known.upper, lower, upper)
        order = np.argsort(np.concatenate([known.lower[still], self.lower]), kind="stable")
        parts: dict[str, Any] = {
            name: np.concatenate([getattr(known, name)[..., still], getattr(self, name)], axis=-1)
            for name in BY_PANEL
        }
        parts = {name: part[..., order] for name, part in parts.items()}
        return replace(self, **parts, slow=known.slow)

    @property
    def scale(self) -> Log:
        """The scale density a^-c e^-Phi."""
        return self._power(-self.weight, -1)

    @property
    def speed(self) -> Log:
        """The speed density a^(c - 1) e^Phi; with the scale density the time needs a factor 2."""
        return self._power(self.weight - 1, 1)

    def _power(self, power: Any, k: int) -> Log:
        whole = np.full(len(self.lower), k)
        return Log(power * self.log_a, whole, abs(power) * self.log_a_error, 0 * self.middle)

    @property
    def mirrored(self) -> Mesh:
        signs = (-1.0) ** np.arange(len(self.phi))[:, None]
        count = len(self.lower)
        backwards: dict[str, Any] = {name: getattr(self, name)[..., ::-1] for name in BY_PANEL}
        backwards |= {name: backwards[name][::-1] for name in ("rises", "slope", "log_a")}
        backwards |= {
            "lower": -backwards["upper"],
            "upper": -backwards["lower"],
            "phi": signs * backwards["phi"],
            "slope": -backwards["slope"],
            "ends": (-self.ends[1], -self.ends[0]),
            "origin": -self.origin,
            "gaps": {count - k: -z for k, z in self.gaps.items()},
        }
        return replace(self, **backwards)

    def panel_of(self, x: Array) -> Array:
        """The panel of each point, or the one before it."""
        return as_array(np.maximum(np.searchsorted(self.lower, x, side="right") - 1, 0))

    def locate(self, x: Array) -> tuple[Array, Array]:
        """The panel of each point, or the one before it; and where in it, from -1 to 1."""
        k = self.panel_of(x)
        a, b = self.lower[k], self.upper[k]
        return k, converted(((x - a) - (b - x)) / (b - a), self.numbers)

    def place(self, i: int, t: Any) -> Any:
        """The point of panel i at t, from -1 to 1: its edge, where rounding does not tell them."""
        close = 64 * self.numbers.epsilon
        if 1 - abs(t) < close:
            return number((self.upper if t > 0 else self.lower)[i])
        return number(self.lower[i] + (self.upper[i] - self.lower[i]) / 2 * (1 + t))

    def step_errors(self, x: Array, counted: Array, *, above: bool) -> Array:
        """The error of the rise of Phi over those panels that count between x and an end."""
        k = self.panel_of(x)
        counting = self.step_error * counted
        cumulated = np.cumsum(counting)
        return np.asarray(cumulated[-1] - cumulated[k] + counting[k] if above else cumulated[k])

    def value(self, f: Log, x: Array) -> Array:
        """The logarithm f, a level, at points x that the panels cover."""
        k, t = self.locate(x)
        c = self.rule.coefficients @ f.v[:, k]
        local = chebyshev_sum(c, t) + f.k[k] * chebyshev_sum(self.phi, t, k)
        return as_array(f.level[k] + f.k[k] * self.middle[k] + local)

    def rounding(self, f: Log, x: Array) -> Array:
        """What the rounding of shapes is to that value."""
        k = self.panel_of(x)
        local = np.abs(f.k[k]) * np.abs(self.phi[:, k]).sum(axis=0) + np.abs(f.v[:, k]).max(axis=0)
        return as_array(self.numbers.epsilon * local)


def among(lower: Array, upper: Array, lowers: Array, uppers: Array) -> Array:
    """Which panels are one of others."""
    if not len(lowers):
        return np.zeros(len(lower), dtype=bool)
    k = np.minimum(np.searchsorted(lowers, lower), len(lowers) - 1)
    return np.asarray((lowers[k] == lower) & (uppers[k] == upper), dtype=bool)
