"""Feller's classes, from the powers with which potential and variance go at a singular point.

With r the distance to the point (or to where distances count from, at an infinite end), what
decides is d Phi / d log r, where Phi = int 2 f / a, and d log a / d log r: whether the integral of
e^(s Phi) a^-k converges follows for any s and k. Both are read in many digits, at distances no
double could carry, wherever the user's functions allow it; so each side of a point has its own
limits, and what the functions are at the point itself is never asked.

References
----------
.. [1] S. Karlin and H. M. Taylor, *A Second Course in Stochastic Processes*, ch. 15.6.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from stationary.aliases import Array
from stationary.errors import StationaryError
from stationary.line.chart import CORE, OCTAVES, Chart
from stationary.line.reshape import extended
from stationary.line.sampling import Sampling
from stationary.numbers.arithmetic import DOUBLE, Arithmetic, many_digits
from stationary.numbers.chebyshev import rule
from stationary.numbers.elementary import arithmetic_of, as_array, log, number, to_float

PROBE = 60  # exponents are read at the distances (or their inverses) 10^60 and 10^120, and at
PROBES = np.array([0.5, 1.0, 1.5, 2.0])  # these powers of 10^60, where they are still on their way
PROBE_MARGIN = 25  # by which a probe in many digits is further out than these
PROBE_ACCURACY = 80  # digits beyond those of the sampling that a probe is evaluated to
VANISHES = 1e-6  # a drift with a power below this does not vanish
AVERAGED = 100.0  # e-folds of r, of the outer half of which means are taken
CRITICAL = 1e-14  # an exponent this close to where an integral ceases to converge is there
SETTLED = 1e-12  # an exponent that changes by less between the last probes is one
GROWS = 1.1  # |log r| + c, from the first probe to the last, four times as far
STEADY = 0.9  # ratio of the changes from probe to probe, above which they may never end


class Feller(Enum):
    """Feller's class of an end."""

    WALL = "regular"  # finite, with noise: the process reaches it and a boundary condition acts
    REGULAR = "regular, singular"  # reached and left; needs a boundary condition all the same
    EXIT = "exit"  # reached in finite time, never left
    ENTRANCE = "entrance"  # never reached from inside, but a process can start there
    NATURAL = "natural"  # neither reached nor left in finite time
    ATTRACTING = "natural, attracting"  # approached for ever, never reached
    UNDECIDED = "not decided"
    JOINED = "joined"  # no end at all: a ring runs on at its other end


class Exponent(NamedTuple):
    """A power of r and its error: infinite beyond all powers, nan if not settled."""

    value: Any
    error: float


@dataclass(frozen=True, eq=False)
class Exponents:
    """How potential and variance go with the distance r from a point, or from far away.

    Rows of values at probes that lie ever closer to the end (ever further out).
    """

    potential: Array  # d Phi / d log r, Phi = int 2 f / a
    variance: Array  # d log a / d log r
    drift: Array | None  # d log |f| / d log r of the drift in its Ito form; None where it is zero
    ahead: bool  # whether that drift points to larger r at the last probe
    outward: bool
    convention: float
    arithmetic: Arithmetic | None  # of the probes; None: octaves of a sampling in doubles
    log_r: Array | None = None  # at the probes, where they lie far apart
    rounding: tuple[float, float, float] = (0.0, 0.0, 0.0)  # of the three, as it states them
    change: float = 1e-3  # from octave to octave, beyond which they have no limit
    averaged: bool = False  # means over many octaves, around which they oscillate for ever
    displaced: bool = False  # whether rounding put the zero of the variance beside the end

    def of(self, s: Any, k: float) -> Exponent:
        """The power of r that the integral of e^(s Phi) a^-k goes with: its integrand's plus 1.

        The limit is taken of the combination, in the digits of the probes: what cancels does.
        """
        rounding = float(abs(s)) * self.rounding[0] + abs(k) * self.rounding[1]
        return self._limit(self._powers(s, k), rounding)

    def _powers(self, s: Any, k: float) -> Array:
        s = number(arithmetic_of(self.potential).array([s])[0])
        return as_array(s * self.potential - k * self.variance + 1)

    def logarithm(self, s: Any, k: float) -> tuple[Any, Any] | None:
        """b and c where e^(s Phi) a^-k goes as 1 / (r (|log r| + c)^b), exactly; else None.

        Then the power is b / (|log r| + c) short of where its integral diverges, whatever r is.
        """
        if self.log_r is None:
            return None
        short, y = self._powers(s, k) * (-1 if self.outward else 1), np.abs(self.log_r)
        if not (short != 0).all() or float(abs(short[0])) > 1:
            return None
        inverse = 1 / short
        slope = (inverse[-1] - inverse[0]) / (y[-1] - y[0])
        off = np.abs(inverse - inverse[0] - slope * (y - y[0]))
        # A power that has a limit of its own, but for corrections, is none of these.
        if not inverse[-1] / inverse[0] > GROWS or not (off <= SETTLED * np.abs(inverse)).all():
            return None
        return 1 / slope, inverse[0] / slope - y[0]

    def converges(self, s: Any, k: float) -> bool | None:
        """Whether the integral of e^(s Phi) a^-k up to the end converges; None: not decided.

        Where it goes as log r it does not; as 1 / (r log^b r) it does for b > 1.
        """
        known = self._below_infinity(self.of(s, k))
        if known is None and (slow := self.logarithm(s, k)) is not None:
            return bool(slow[0] > 1 + SETTLED)
        return known

    def _below_infinity(self, power: Exponent) -> bool | None:
        towards = -power.value if self.outward else power.value
        if math.isnan(towards) or (power.error > CRITICAL and abs(towards) <= power.error):
            return False if self.displaced else None  # the border case, to all that is known
        return bool(towards > CRITICAL)

    @property
    def _weights(self) -> tuple[tuple[int, float], tuple[int, float]]:
        return (-1, self.convention), (1, 1 - self.convention)

    @cached_property
    def feller(self) -> Feller:
        """Feller's class, from the convergence of three integrals up to the end.

        These are of the scale density e^-Phi a^-c, of the speed density e^Phi a^(c - 1), which is
        that without current, and of the time that it takes to come here or to leave.
        """
        scale, speed = (self.converges(*w) for w in self._weights)
        if scale is None or speed is None:
            return Feller.UNDECIDED
        if scale and speed:
            return Feller.REGULAR
        soon = self._below_infinity(self._time)
        if soon is None and any(self.rounding) and not math.isnan(self._time.value):
            soon = False  # to all digits that are known it is the border case, which is for ever
        if soon is None and self.averaged and not scale:
            soon = False  # it is not reached in any case
        if soon is None:
            return Feller.UNDECIDED
        if scale:
            return Feller.EXIT if soon else Feller.ATTRACTING
        return Feller.ENTRANCE if soon else Feller.NATURAL

    @property
    def _time(self) -> Exponent:
        """That of the speed density times the integral of the scale density.

        The product goes as r / a; where the scale density falls or grows beyond powers, as 1 / f.
        """
        if not math.isinf(self.of(*self._weights[0]).value):
            return self._limit(2 - self.variance, self.rounding[1])
        if self.drift is None:
            return Exponent(math.nan, 0.0)
        return self._limit(1 - self.drift, self.rounding[2])

    @property
    def order(self) -> float:
        """The power of r that the variance goes with."""
        return float(self._limit(self.variance, self.rounding[1]).value)

    @property
    def push(self) -> int:
        """+1 if the drift does not vanish at the end and points to larger r, -1 to smaller."""
        if self.drift is None:
            return 0
        power = float(self._limit(self.drift, self.rounding[2]).value)
        if self.arithmetic is None:  # a slope between two octaves, which few powers are as small as
            power = math.nan if power > 0.1 else min(power, 0.0)
        if not power <= VANISHES:
            return 0
        return 1 if self.ahead else -1

    def _limit(self, values: Array, rounding: float) -> Exponent:
        if self.averaged:
            mean, error = float(values.mean()), 2 * float(np.ptp(values)) + rounding
            return Exponent(mean if error < abs(mean) else math.nan, error)
        if self.arithmetic is None:
            return Exponent(*_limit_of_octaves(values, rounding, self.change))
        value, error = _limit(values)
        in_digits = self.arithmetic is not DOUBLE and math.isfinite(value)
        here = number(self.arithmetic.array([value])[0]) if in_digits else float(value)
        return Exponent(here, error)


def exponents_at(found: Sampling, side: int) -> Exponents:
    """How potential and variance go at the lower (side 0) or upper (1) end of a sampled process."""
    exponents, displaced = None, False
    if found.diffusion.affords_digits:
        try:
            exponents = _in_digits(found, side)
        except _DisplacedError:
            displaced = True
        except (StationaryError, OverflowError, MemoryError):
            pass
    if exponents is None:
        exponents = _as_sampled(_closer(found, side), side, displaced=displaced)
    if exponents.feller is Feller.UNDECIDED:
        averaged = _on_average(found, side)
        if averaged is not None and averaged.feller is not Feller.UNDECIDED:
            return averaged
    return exponents


def _closer(found: Sampling, side: int) -> Sampling:
    """The sampling up to where doubles lose the distance to a finite end, if it stopped before.

    It does where the density has fallen to nothing on its way, which says nothing of the powers.
    """
    chart, end = Chart.of(found.diffusion, side), found.diffusion.domain[side]
    if chart.outward or not found.fallen[side] or not found.open_ends[side]:
        return found
    here = float(chart.distance(found.lower if side == 0 else found.upper))
    least = math.sqrt(found.diffusion.grain) * abs(end) if end else here * 2.0**-OCTAVES
    return extended(found, side, max(0, math.floor(math.log2(here / least))))


class _DisplacedError(OverflowError):
    """The variance is not positive next to an end: its zero is some roundings away from it."""


def _in_digits(found: Sampling, side: int) -> Exponents:
    accuracy = math.ceil(found.arithmetic.accuracy)
    probe = PROBE
    if found.arithmetic is not DOUBLE:
        probe = max(PROBE, accuracy + PROBE_MARGIN)
    many = many_digits(5 * probe, accuracy + PROBE_ACCURACY)
    chart = Chart.of(found.diffusion, side, many)
    powers = np.array([10 ** round(k * probe) for k in PROBES], dtype=object)
    near = many.array(powers)
    apart = 1 + 1 / many.array([10**probe])[0]  # of the two points that tell a slope
    radii = np.concatenate([near, near * apart])
    if not chart.outward:
        radii = 1 / radii
    f, a = found.diffusion.coefficients(chart.at(radii), many)
    if not (many.isfinite(f).all() and many.isfinite(a).all()):
        raise OverflowError("not a process there")
    if not (a > 0).all():
        raise _DisplacedError
    first, second = np.arange(len(near)), np.arange(len(near), 2 * len(near))
    step = np.diff(many.log(radii).reshape(2, -1), axis=0)[0]
    order = np.diff(many.log(a).reshape(2, -1), axis=0)[0] / step
    potential = (2 * f / a * radii)[first] * chart.sign
    c = found.diffusion.convention.value
    # In the Ito form the drift is f + (c / 2) a'; where f r / a grows without limit, a' is nothing
    # beside f.
    drift, slopes = f, None
    if not math.isinf(_limit(c * order + potential)[0]):
        drift = f + chart.sign * c / 2 * np.tile(order, 2) * a / radii
    if not (drift == 0).any():
        slopes = np.diff(many.log(many.abs(drift)).reshape(2, -1), axis=0)[0] / step
    ahead = bool(drift[second[-1]] * chart.sign > 0)
    log_r = many.log(radii[first])
    return Exponents(potential, order, slopes, ahead, chart.outward, c, found.arithmetic, log_r)


def _limit(values: Array) -> tuple[Any, float]:
    """The limit of a function of r from its values at the probes: a number, +-inf, or nan.

    And its error: what extrapolating it as limit + constant r^d leaves over.
    """
    near, far = values[1], values[-1]  # at twice the power
    if abs(far - near) <= SETTLED * (1 + abs(far)):
        return (number(far) if abs(far) > 1e-40 else 0.0), float(abs(far - near))
    steps = np.diff(values)
    closing = bool((steps[1:] * steps[:-1] > 0).all()) and bool(
        (np.abs(steps[1:]) < STEADY * np.abs(steps[:-1])).all()
    )
    if closing:
        # Aitken's limits from the first three and from the last three.
        before, last = values[2:] - steps[1:] ** 2 / np.diff(steps)
        error = float(4 * abs(last - before)) + SETTLED
        return (float(last), error) if error < 0.1 * (1 + abs(last)) else (math.nan, 0.0)
    if abs(far) < SETTLED * min(abs(near), 1):
        return 0.0, 0.0
    if near * far > 0 and abs(far) > 1.5 * abs(near) and abs(far) > 1:
        return (math.inf if far > 0 else -math.inf), 0.0  # perhaps as slowly as a logarithm
    if near * far > 0 and abs(far) > 10.0 ** (0.02 * PROBE) * abs(near):
        return (math.inf if far > 0 else -math.inf), 0.0
    return math.nan, 0.0


def _on_average(found: Sampling, side: int) -> Exponents | None:
    """The means over eight stretches of what was sampled far out, or in, if that is many octaves.

    Powers that oscillate for ever in log r have no limit, but what they add up to may have one.
    """
    chart, p = Chart.of(found.diffusion, side, found.arithmetic), found.panels
    inner = slice(None, -1) if side == 0 else slice(1, None)
    with np.errstate(divide="ignore"):
        log_r = np.asarray(to_float(log(chart.distance(p.edges)[inner])))
    phi = np.asarray(to_float(np.cumsum(found.climb[1])))
    log_a = np.asarray(to_float(found.samples.at_edges[1][side]))
    if side == 0:  # the integral from the right edge of each panel on, at its left one
        phi = np.append(0.0, phi[:-1])
    last = log_r[0 if side == 0 else -1]
    near = 0.0 if not chart.outward else math.log(CORE)
    if abs(last - near) < AVERAGED:
        return None
    order = slice(None, None, -1 if side == 0 else 1)
    distance, at = np.abs(log_r - near)[order], np.linspace(0.5, 1.0, 9) * abs(last - near)
    k = np.minimum(np.searchsorted(distance, at), len(distance) - 1)
    across = np.diff(log_r[order][k])
    if not (across != 0).all():
        return None
    means = [np.diff(v[order][k]) / across for v in (phi, log_a)]
    steps = [np.diff(v) for v in means]
    if any(((s > 0).all() or (s < 0).all()) for s in steps):
        return None  # they do not oscillate but are on their way, slowly
    return Exponents(
        potential=means[0],
        variance=means[1],
        drift=None,
        ahead=False,
        outward=chart.outward,
        convention=found.diffusion.convention.value,
        arithmetic=None,
        averaged=True,
    )


def _as_sampled(found: Sampling, side: int, *, displaced: bool = False) -> Exponents:
    """The same from two panels an octave apart, where the functions run in doubles only."""
    r, p = rule(len(found.samples.values[0])), found.panels
    chart = Chart.of(found.diffusion, side)
    middle = (p.lower + p.half - float(chart.anchor)).astype(float)  # signed distances
    last = 0 if side == 0 else len(middle) - 1
    before = int(np.argmin(np.abs(middle - middle[last] * (0.5 if chart.outward else 2.0))))
    pick = np.array([before, last])
    x = p.lower[pick] + p.half[pick] * (1 + r.nodes[:, None])
    distance = np.abs(x - float(chart.anchor)).astype(float)
    h, ell = (v[:, pick].astype(float) for v in found.samples.values)
    log_r = np.log(distance)
    across = log_r[-1] - log_r[0]
    with np.errstate(divide="ignore", invalid="ignore"):
        log_f = np.log(np.abs(h)) + ell
        slopes = (log_f[-1] - log_f[0]) / across
    potential, variance = (h * distance * chart.sign).mean(axis=0), (ell[-1] - ell[0]) / across
    cut_h, cut_ell = (t[pick].astype(float) for t in found.samples.tails)
    of_slope = 2 * cut_ell / np.abs(across)
    of_drift = of_slope + 2 * cut_h / np.maximum(np.abs(h).max(axis=0), 1e-300) / np.abs(across)
    shift = np.zeros(2)
    displaced &= not chart.outward
    if displaced or (found.diffusion.is_rounded and found.diffusion.exact_ends[side] is not None):
        # A zero of the variance that was found is where a zoom came to its end.
        shift = 64 * found.diffusion.grain * abs(float(chart.anchor)) / distance.min(axis=0)
    errors = (
        cut_h * distance.max(axis=0) + shift * np.abs(potential),
        of_slope + shift * np.abs(variance),
        of_drift + shift * np.abs(np.where(np.isfinite(slopes), slopes, 0)),
    )
    of_potential, of_variance, of_f = (3 * float(e.max()) for e in errors)  # of 2 last - before
    return Exponents(
        potential=potential,
        variance=variance,
        drift=slopes if np.isfinite(slopes).all() else None,
        ahead=bool(h[:, 1].mean() * chart.sign > 0),
        outward=chart.outward,
        convention=found.diffusion.convention.value,
        arithmetic=None,
        rounding=(of_potential, of_variance, of_f),
        # A sampling of rounded functions stops further from the end.
        change=max(1e-3, 64 * math.sqrt(found.diffusion.grain)),
        displaced=displaced,
    )


def _limit_of_octaves(values: Array, rounding: float, most: float) -> tuple[float, float]:
    """The same from the means over two octaves.

    A correction of first order in r is half as large on the last: what is left after extrapolation
    is of second order in the change.
    """
    before, last = map(float, values)
    if (abs(last) > 1.2 * abs(before) and abs(last) > 30) or abs(last) > 1e6:
        return math.copysign(math.inf, last), 0.0
    limit, change = 2 * last - before, abs(last - before)
    if change > most * (1 + abs(limit)) + rounding:
        return math.nan, math.inf
    return limit, change**2 + 1e-14 * (1 + abs(limit)) + rounding
