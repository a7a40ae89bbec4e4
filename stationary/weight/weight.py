"""`Weight`: e^(s Phi) a^-k with Phi = int 2 f / a, on one closed class.

J = f P - (1/2) a^c d(a^(1-c) P)/dx = 0 gives d log(a^(1-c) P)/dx = 2 f / a, hence

    log P = Phi - (1 - c) log a + constant,

with c = 0 (Ito), 1/2 (Stratonovich), 1 (Haenggi-Klimontovich). So the density without current is
the weight (s, k) = (1, 1 - c), the speed density (1, 1 - c), too, the scale density (-1, c), and
the density at q times the exponent (q, 1 - c). Kept as polynomials on panels, and as a power of
the distance beyond the last panel at an open end.

References
----------
.. [1] H. Risken, *The Fokker-Planck Equation*, 2nd ed., Springer 1989, ch. 5.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, ClassVar, Self

import numpy as np

from stationary.aliases import Array
from stationary.errors import StationaryError
from stationary.functions.evaluation import evaluate
from stationary.line.chart import Chart
from stationary.line.ends import Anatomy, End
from stationary.line.reshape import extended
from stationary.line.sampling import Sampling
from stationary.numbers.arithmetic import DOUBLE, TINY
from stationary.numbers.chebyshev import derived
from stationary.numbers.elementary import (
    arithmetic_of,
    as_array,
    converted,
    distinct,
    exact_sum,
    finite,
    infinite,
    log,
    number,
    smallest_of,
    sqrt,
    zeros,
)
from stationary.panels.logarithm import PiecewiseLog
from stationary.weight.tail import MOST_TILT, LogarithmicTail, Tail

LEAST_BASE, LARGEST_BASE = 1.05, 8.0  # 2^d of corrections r^d that are told from measurement
LEVEL = 1e-6  # of a jump: what goes beyond its sides by no more has no spike
MOST_POLISHED = 64  # modes; more are kinks of the noise, not worth evaluating again
MOST_OCTAVES = 2100  # beyond all doubles
OSCILLATES = 10.0  # relative error of a mass known from the mean power alone


@dataclass(frozen=True, eq=False, repr=False)
class Weight(PiecewiseLog):
    """log of e^(s Phi) a^-k up to a constant, where it turns, and what it is beyond the panels."""

    sampling: Sampling
    s: Any
    k: float
    tails: tuple[Tail | None, Tail | None]
    phi: Array  # Phi as coefficients, zero on the panel where the weight is greatest
    _memory: dict[tuple[int, int], Weight] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    ROUGH: ClassVar[float] = 1.0  # roundings in log P that its derivative on the panels feels

    def __getstate__(self) -> dict[str, Any]:  # without what was sampled further out
        return {**self.__dict__, "_memory": {}}

    @classmethod
    def on(
        cls,
        found: Sampling,
        s: Any = 1.0,
        k: float | None = None,
        tails: tuple[Tail | None, Tail | None] = (None, None),
    ) -> Self:
        """On the panels of a sampling; without s and k, the density without current."""
        s = converted(s, found.arithmetic)
        k = density_power(found) if k is None else k
        phi = found.potential(s, k)
        c = s * phi
        c[:-1] -= k * found.ell
        rough_ell = 4 * found.samples.tails[1] + 8 * found.epsilon * (1 + np.abs(found.ell[0]))
        noise = abs(s) * found.noise + k * rough_ell
        return cls(found.panels, c, noise, found, s, k, tails, phi)

    def __repr__(self) -> str:
        power = f"exp({float(self.s):g} Phi) a^{-float(self.k):g}"
        return f"<{type(self).__name__}: {power} on {len(self.panels.lower)} panels>"

    @cached_property
    def derivative(self) -> Array:
        """d log W / dx as coefficients: 2 s f / a is known better than its integral."""
        found = self.sampling
        return as_array(self.s * found.h - self.k * derived(found.ell) / self.panels.half)

    @property
    def fades(self) -> tuple[bool, bool]:
        """Whether the panels stop at either end because next to nothing is left."""
        below, above = self.sampling.fallen
        return (below, above) if self.s > 0 else (False, False)

    def __call__(self, x: Array, offset: Array | None = None) -> Array:
        """log W at points x + offset inside the domain (any shape)."""
        if x.size == 0:
            return np.zeros_like(x)
        lower, upper = self.sampling.lower, self.sampling.upper
        if lower <= x.min() and x.max() <= upper:
            return self._between(x, self.panels.evaluate(self.coefficients, x, offset))
        result = self.panels.evaluate(self.coefficients, np.clip(x, lower, upper))
        result = self._between(x, result)
        for side, outside in enumerate((x < lower, x > upper)):
            if outside.any():
                tail, at = self.tails[side], x[outside]
                if tail is not None:
                    result[outside] = tail.log_density(np.abs(at - tail.anchor))
                else:
                    result[outside] = self._further(side, at)
        return result

    @cached_property
    def _leaps(self) -> Array:
        """Panels in which log W jumps, where polynomials swing beyond what is on either side."""
        inner = (self._narrow > 0) & (self._narrow < len(self.panels.half) - 1)
        return as_array(self._narrow[inner])

    @cached_property
    def _narrow(self) -> Array:
        """Panels that are a few roundings of x wide, and resolve nothing."""
        return np.flatnonzero(self.panels.slivers & ~self.sampling.samples.resolved)

    def _between(self, x: Array, values: Array) -> Array:
        """The same, but at a jump no more and no less than on both sides of it."""
        if not len(self._leaps):
            return values
        k = self.panels.panel_of(x)
        at = np.isin(k, self._leaps)
        if at.any():
            before, after = self.edge_values[1][k[at] - 1], self.edge_values[0][k[at] + 1]
            low, high = np.minimum(before, after), np.maximum(before, after)
            values[at] = np.minimum(np.maximum(values[at], low), high)
        return values

    def _further(self, side: int, x: Array) -> Array:
        """log W beyond what was sampled; where even its logarithm cannot be followed, nothing."""
        result = np.full(x.shape, -math.inf, dtype=x.dtype)
        octaves = self.octaves(side, x)
        at_end = np.asarray(x == self.sampling.interval[side], dtype=bool)
        for count in distinct(octaves[~at_end]):
            wide = self.beyond(side, int(count))
            k = wide.panels.panel_of(x)
            known = (octaves == count) & wide.sampling.samples.resolved[k]
            known &= np.asarray((x >= wide.sampling.lower) & (x <= wide.sampling.upper), dtype=bool)
            result[known] = wide.inside(x[known])
        return result

    def octaves(self, side: int, x: Array, more: int = 0) -> Array:
        """How many octaves further out, or in, than was sampled reach each point, and `more`.

        Rounded up to powers of two, each of which goes on from the one before.
        """
        apart = self.sampling.octaves_to(side, x) + more
        powers = np.ceil(np.log2(np.clip(np.ceil(apart), 1, MOST_OCTAVES)))
        return np.where(apart > 0, 2 ** powers.astype(int), 0)

    def beyond(self, side: int, octaves: int) -> Weight:
        """This weight on that many more octaves on one side, if possible.

        What was sampled reaches to where the density is e^-750 of its peak; this samples further
        where somebody asks for more. The panels do not depend on what else was asked.
        """
        wide = self._memory.get((side, octaves))
        if wide is None:
            before = self if octaves == 1 else self.beyond(side, octaves // 2)
            further = extended(before.sampling, side, octaves - octaves // 2)
            wide = Weight.on(further, self.s, self.k, self.tails)
            # Both are least blurred where the weight peaks.
            peak = int(np.argmax(self.coefficients[0]))
            at = (self.panels.lower[[peak]] + self.panels.upper[[peak]]) / 2
            wide.coefficients[0] += self.inside(at) - wide.inside(at)
            self._memory[side, octaves] = wide
        return wide

    def log_leak(self, side: int) -> Any:
        """log of the most that can lie beyond the panels, not normalised; inf if it may be all."""
        found = self.sampling
        start, end = (found.lower, found.upper)[side], found.interval[side]
        if self.tails[side] is not None or start == end:
            return -math.inf
        at = np.array([start])
        # W falls as r^-(power + 1) or faster: at most W r / power lies beyond.
        r = abs(start - (0 if infinite(end) else end))
        slope = abs(self.panels.evaluate(self.derivative, at)[0])
        power = number(slope * r - 1 if infinite(end) else slope * r + 1)
        r = max(number(r), smallest_of(found.arithmetic))
        return number(self(at)[0]) + log(r) - log(power) if power > 0 else math.inf

    def polished(self, x: Array) -> Array:
        """Turning points x, moved by Newton's method to where (2 s f - k a') / a vanishes.

        The panels know the turns to the rounding of log P over the panel's width; where the
        functions can be differentiated exactly, this knows them to rounding.
        """
        epsilon = self.sampling.epsilon
        original, arithmetic = x, arithmetic_of(x)
        if len(x) > MOST_POLISHED:
            return x
        k = self.panels.panel_of(x)
        half = self.panels.half[k]
        rough = self.ROUGH * epsilon * (1 + np.abs(self.sampling.ell[0, k])) / half  # of the slope
        bend = np.abs(self.bend(x))
        if (rough < 45 * arithmetic.grain * np.maximum(np.abs(x), half) * bend)[1:-1].all():
            return x
        try:
            for _ in range(3 if arithmetic is DOUBLE else 8):
                slope, bend = self.slope_and_bend(x)
                with np.errstate(all="ignore"):
                    step = slope / np.where(bend == 0, math.nan, bend)
                    allowed = np.maximum(half, 100 * rough / np.maximum(np.abs(bend), TINY))
                    moved = finite(step) & (np.abs(x - step - original) < allowed)
                x = np.where(moved, x - step, x)
                if not (moved & (np.abs(step) > 67 * sqrt(arithmetic.grain) * half)).any():
                    break
        except StationaryError:
            return original
        return x

    def slope_and_bend(self, x: Array) -> tuple[Array, Array]:
        """The first two derivatives of log P from those of the functions themselves."""
        diffusion, arithmetic = self.sampling.diffusion, arithmetic_of(x)
        f, f1 = evaluate(diffusion.drift, x, order=1, arithmetic=arithmetic)
        a, a1, a2 = evaluate(diffusion.variance, x, order=2, arithmetic=arithmetic)
        with np.errstate(all="ignore"):
            a = np.where(a == 0, math.nan, a)  # cancelled away: no peak is there
            slope = (2 * self.s * f - self.k * a1) / a
            return slope, (2 * self.s * f1 - self.k * a2 - slope * a1) / a

    def _outwards(self, step: Array, first: Any) -> Array:
        """Sums over panels, from the one where P is greatest to each."""
        peak = int(np.argmax(self.coefficients[0]))
        right = np.cumsum(step[peak + 1 :])
        left = np.cumsum(step[: peak + 1][::-1])[::-1]
        return as_array(np.concatenate([left[:-1], first, right]) + step[peak])

    @cached_property
    def errors(self) -> Array:
        """The error of log P on each panel, relative to the panel where P is greatest."""
        squares, most, _ = self.sampling.unknown
        unknown = abs(self.s) * np.sqrt(self._outwards(squares, np.zeros(1)))
        return as_array(self.computed + unknown + self.k * most)

    @cached_property
    def computed(self) -> Array:
        """The same of a process that is known.

        Each panel adds what its polynomials cut off and what rounding takes from the integral
        of |2 f / a|; the sums run outwards from the peak. Storing int 2 f / a and log a costs
        a rounding of either.
        """
        step = abs(self.s) * self.sampling.climb_errors
        total = self._outwards(step, zeros(1, self.sampling.arithmetic))
        stored = np.abs(self.s * self.phi[0]) + self.k * np.abs(self.sampling.ell[0])
        size = 2 + self.span / 4 + stored
        rounding = self.sampling.arithmetic.grain * size
        if self.sampling.arithmetic is not DOUBLE:  # shapes are resolved to so much
            rounding = rounding + self.sampling.epsilon * np.minimum(size, 100)
        return as_array(total + self.cut + rounding)

    @cached_property
    def cut(self) -> Array:
        """What the polynomials of log a leave out on each panel, and there alone."""
        samples = self.sampling.samples
        # Where a jump or a corner was not resolved, the last coefficients tell too little of it.
        left_out = np.where(samples.resolved, 4, 32) * samples.tails[1]
        narrow, beyond, jump = self._sudden
        least = np.minimum(left_out[narrow], jump + beyond)  # from one side to the other, at most
        left_out[narrow] = np.where(beyond < LEVEL * jump, least, left_out[narrow])
        return as_array(self.k * left_out)

    @cached_property
    def _sudden(self) -> tuple[Array, Array, Array]:
        """Where log a changes within a few roundings of x; how far it goes there beyond both sides;
        and from side to side."""
        narrow, ell = self._narrow, self.sampling.samples.values[1]
        count = len(self.panels.half)
        if len(narrow) in (0, count):
            return narrow[:0], np.zeros(0), np.zeros(0)
        wide = np.setdiff1d(np.arange(count), narrow)
        after = np.searchsorted(wide, narrow)
        left, right = wide[np.maximum(after - 1, 0)], wide[np.minimum(after, len(wide) - 1)]
        sides = np.stack([ell[-1, left], ell[0, right]])
        over = np.maximum(
            ell[:, narrow].max(axis=0) - sides.max(axis=0),
            sides.min(axis=0) - ell[:, narrow].min(axis=0),
        )
        # What a panel shows of it is what halving it once more would still change.
        return narrow, np.minimum(over, np.ptp(ell[:, narrow], axis=0)), np.ptp(sides, axis=0)

    @cached_property
    def spike(self) -> tuple[Any, Any]:
        """How far log W goes beyond both sides where it changes within a few roundings of x; and x.

        A jump does not. Where W goes up or down by as much as it is, more may happen than is seen.
        """
        narrow, beyond, _ = self._sudden
        if not len(narrow):
            return 0.0, self.panels.edges[0]
        most = number(self.k * beyond.max())
        return most if most < 1 else math.inf, self.panels.lower[narrow][beyond.argmax()]


def density_power(found: Sampling) -> float:
    """The power of 1 / a in the density, 1 - c."""
    return 1 - float(found.diffusion.convention.value)


def weight_on(parts: Anatomy, s: Any = 1.0) -> Weight:
    """The density without current, its exponent times s, with its tails."""
    density = Weight.on(parts.sampling, s)
    below, above = (_tail(density, end) for end in parts.ends)
    return replace(density, tails=(below, above))


def _tail(density: Weight, end: End) -> Tail | None:
    """The power law beyond the panels, or None where there is nothing beyond."""
    found = density.sampling
    lower = end.side == "lower"
    side = 0 if lower else 1
    start, interval = (found.lower, found.upper)[side], found.interval
    if start == interval[side] or density.fades[side] or end.exponents is None:
        return None
    room, room_error = end.exponents.of(density.s, density.k)
    slow = end.exponents.logarithm(density.s, density.k)
    if slow is None and not finite(room):
        return None
    arithmetic, epsilon = found.arithmetic, found.epsilon
    outward = math.isinf(end.position)
    anchor = Chart.of(found.diffusion, side, arithmetic).anchor
    reach = abs(start - anchor)
    first, last = density.edge_values
    level = number(first[0] if lower else last[-1])
    room = number(arithmetic.array([0 if slow is not None else room])[0])
    exponent = room - 1 if abs(room - 1) > room_error else number(arithmetic.zero)
    tilt, sign = number(arithmetic.zero), 1 if lower != outward else -1
    doubt = number(density.errors[0 if lower else -1])
    log_2, direction = log(number(arithmetic.one * 2)), -1 if outward else 1

    def inside(octaves: int) -> Any:
        """What log P has gained so many octaves back from the end, beyond the power."""
        distance = sign * 2.0 ** (direction * octaves) * reach
        at = exact_sum(np.array([anchor]), np.array([distance]))
        return number(density(at)[0]) - level - direction * exponent * octaves * log_2

    known = end.side, interval[side], anchor, reach, level, exponent, room
    if end.exponents.averaged:
        return Tail(*known, tilt, OSCILLATES, doubt=room_error)
    if slow is not None:
        power, shift = (number(arithmetic.array([v])[0]) for v in slow)
        base = abs(log(number(reach))) + shift
        if not (power > 1 and base > 0):
            return None
        off = abs(inside(3) + power * log(1 - 3 * log_2 / base))
        error = 8 * epsilon * (1 + power) + (4 * off if off > 8 * doubt else 0.0)
        return LogarithmicTail(*known, tilt, error, power=power, base=base)
    # log P = exponent log u + tilt (u^d - 1) + ...: what one and two more octaves leave over tell
    # the tilt and the power; what is still left over at the next bounds what they leave over
    # within the tail.
    rest, step, off = inside(1), number(arithmetic.one), 0.0
    if abs(rest) > 8 * doubt:  # else it is rounding
        tilt = rest
        base = number(inside(2) / rest - 1)  # 2^|d|
        if abs(base - 2) * abs(rest) > 8 * doubt and LEAST_BASE < base < LARGEST_BASE:
            tilt, step = rest / (base - 1), log(base) / log_2
            off = 4 * doubt / (base - 1) ** 2  # of the tilt: both are known to `doubt`
    over = inside(3) - tilt * (8**step - 1)
    error = room_error / abs(room) + 8 * epsilon + off
    error += (4 * abs(over) if abs(over) > 8 * doubt else 0.0) + abs(tilt) ** 3
    if abs(tilt) > MOST_TILT:  # no power law: the end is nearer than doubles tell, as is the law
        tilt = number(arithmetic.zero)
    return Tail(*known, tilt, error, step, doubt=room_error)
