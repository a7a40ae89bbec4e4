"""Feller's classes, from the exponents of drift and variance at a singular point.

With r the distance to the point (or |x| at an infinite end), the powers with which scale density,
speed density and drift go there decide which of their integrals converge, and so the class.
Exponents are read in many digits, at distances no double could carry, wherever the user's
functions allow it.

References
----------
.. [1] S. Karlin and H. M. Taylor, *A Second Course in Stochastic Processes*, ch. 15.6.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stationary.errors import StationaryError
from stationary.functions.evaluation import many_digits
from stationary.line.sampling import Sampling
from stationary.numbers.arithmetic import DOUBLE, Arithmetic
from stationary.numbers.chebyshev import rule
from stationary.numbers.elementary import number

__all__ = ["Exponents", "Feller", "Powers", "exponents_at", "feller_class"]

Array = NDArray[Any]

TOO_MANY = 2000  # datapoints, to evaluate in many digits
PROBE = 60  # exponents are read at the distances (or their inverses) 10^60 and 10^120, and at
PROBES = np.array([0.5, 1.0, 1.5, 2.0])  # these powers of 10^60, where they are still on their way
PROBE_MARGIN = 25  # by which a probe in many digits is further out than these
PROBE_ACCURACY = 80  # digits beyond those of the sampling that a probe is evaluated to
VANISHES = 1e-6  # a drift with a power below this does not vanish
CRITICAL = 1e-14  # an exponent this close to where the class changes is there, to rounding
SETTLED = 1e-12  # an exponent that changes by less between the last probes is one
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


@dataclass(frozen=True, eq=False)
class Powers:
    """How a weight e^(s Phi) a^-k goes next to an open end, Phi = int 2 f / a."""

    pull: Array  # r dPhi / dr at the probes
    order: Array  # r d(log a) / dr there
    digits: Arithmetic  # of the probes
    arithmetic: Arithmetic  # of the sampling, in which exponents are handed out

    def of(self, s: Any, k: float) -> tuple[Any, float]:
        """The exponent e of a weight that goes as r^(e - 1), and its error.

        It is formed in the digits of the probes, so that no rounding decides its sign: the weight
        can be integrated up to a finite end for e > 0 and to infinity for e < 0. Infinite beyond
        all powers, nan if not settled.
        """
        values = self.digits.array([s])[0] * self.pull - k * self.order + 1
        room, error = _limit(values, self.digits)
        if not math.isfinite(room):
            return room, 0.0
        if error == 0:
            if self.arithmetic is not DOUBLE and room != 0:
                room = number(self.arithmetic.array(values[-1])[()])
            error = float(abs(values[-1] - values[1]))
        return room, error


@dataclass(frozen=True, eq=False)
class _SampledPowers(Powers):
    """The same from the two outermost octaves that were sampled (outer one first).

    There pull and order go as limit + constant r (or 1 / r): the next octave has half the
    correction, and what is left after extrapolation is of second order in the change per octave.
    """

    endless: bool  # r 2 f / a grows without limit

    def of(self, s: Any, k: float) -> tuple[Any, float]:
        (first, second), (order, before) = self.pull, self.order
        if self.endless:
            return math.copysign(math.inf, float(s) * first), 0.0
        limit = float(2 * first - second)
        change = float(abs(first - second) + abs(order - before))
        if change > 1e-3 * (1 + abs(limit)):
            return math.nan, math.inf
        room = float(s) * limit + (1 - k * float(2 * order - before))
        return room, max(1.0, float(s)) * (change**2 + 1e-14 * (1 + abs(limit)))


@dataclass(frozen=True)
class Exponents:
    """Powers of the distance r at an open end; infinite beyond all powers, nan if not settled."""

    room: Any  # P ~ r^(room - 1): integrable for room > 0 at a finite end, < 0 at infinity
    scale: float  # r times the logarithmic fall of the scale density: s ~ r^-scale
    order: float  # a ~ r^order
    drift: float  # f ~ r^drift, in the Ito form
    push: int  # +1 if f does not vanish there and points to larger r, -1 to smaller, 0 if it does
    error: float  # of room
    powers: Powers  # of any weight
    doubt: float = 0.0  # the error of the others, where they were still changing


def feller_class(e: Exponents, speed_converges: bool, outward: bool) -> Feller:
    """Feller's class, from the convergence of three integrals up to the end.

    These are of the scale density s, of the speed density m ~ P, and of m times the integral of
    s, which goes as r^(1 - order) or, if s falls or grows beyond powers, as 1 / f.
    """
    product = -e.drift if math.isinf(e.scale) else 1 - e.order
    soon = product < -1 if outward else product > -1
    scale_converges = e.scale > 1 + CRITICAL if outward else e.scale < 1 - CRITICAL
    if e.doubt > SETTLED and abs(e.scale - 1) <= e.doubt:
        return Feller.UNDECIDED
    if scale_converges and speed_converges:
        return Feller.REGULAR
    if math.isnan(product) or (e.doubt > SETTLED and abs(product + 1) <= e.doubt):
        return Feller.UNDECIDED
    if scale_converges:
        return Feller.EXIT if soon else Feller.ATTRACTING
    return Feller.ENTRANCE if soon else Feller.NATURAL


def exponents_at(found: Sampling, position: float, side: str) -> Exponents:
    if found.diffusion.cost > TOO_MANY:
        return _exponents_as_sampled(found, position, side)  # many digits would take minutes
    try:
        return _exponents_in_digits(found, position, side)
    except (StationaryError, OverflowError, MemoryError):
        return _exponents_as_sampled(found, position, side)


def _exponents_in_digits(found: Sampling, position: float, side: str) -> Exponents:
    accuracy = math.ceil(found.arithmetic.accuracy)
    probe = PROBE
    if found.arithmetic is not DOUBLE:
        probe = max(PROBE, accuracy + PROBE_MARGIN)
    many = many_digits(5 * probe, accuracy + PROBE_ACCURACY)
    weight = found.diffusion.convention.value
    outward = math.isinf(position)
    inside = 1 if side == "lower" else -1  # from the end into the domain
    powers = np.array([10 ** round(k * probe) for k in PROBES], dtype=object)
    near = many.array(powers)
    apart = 1 + 1 / many.array([10**probe])[0]  # of the two points that tell a slope
    radii = np.concatenate([near, near * apart])
    if outward:
        x = -inside * radii
    else:
        radii = 1 / radii
        x = found.diffusion.end(0 if side == "lower" else 1, many) + inside * radii
    f, a = found.diffusion.coefficients(x, many)
    if not (many.isfinite(f).all() and many.isfinite(a).all()) or not (a > 0).all():
        raise OverflowError("not a process there")
    towards_larger_r = -inside if outward else inside
    log_r, log_a = many.log(radii), many.log(a)
    first, second = np.arange(len(near)), np.arange(len(near), 2 * len(near))
    step = log_r[second] - log_r[first]
    order = (log_a[second] - log_a[first]) / step
    pull = (2 * f / a * radii)[first] * towards_larger_r
    at_probes = Powers(pull, order, many, found.arithmetic)
    room, room_error = at_probes.of(1, 1 - weight)
    scale, scale_error = _limit(pull + weight * order, many)
    # In the Ito form the drift is f + (c / 2) a'; where f r / a grows without limit, a' is nothing
    # beside f.
    drift = f
    if not math.isinf(scale):
        drift = f + towards_larger_r * weight / 2 * np.tile(order, 2) * a / radii
    power, power_error, push = math.nan, 0.0, 0
    if not (drift == 0).any():
        log_f = many.log(many.abs(drift))
        power, power_error = _limit((log_f[second] - log_f[first]) / step, many)
        push = _push(power, bool(drift[first[-1]] * towards_larger_r > 0))
    a_power, order_error = _limit(order, many)
    return Exponents(
        room=room,
        scale=scale,
        order=a_power,
        drift=power,
        push=push,
        error=room_error,
        powers=at_probes,
        doubt=max(scale_error, power_error if math.isinf(scale) else order_error),
    )


def _push(power: float, positive: bool) -> int:
    """Which way a drift that goes as r^power points where r vanishes; 0 if it vanishes, too."""
    if not power <= VANISHES:
        return 0
    return 1 if positive else -1


def _limit(values: Array, many: Any) -> tuple[float, float]:
    """The limit of a function of r from its values at the probes: a number, +-inf, or nan.

    And its error: 0 for a limit that is reached; else what extrapolating it as limit + constant
    r^d leaves over.
    """
    near, far = values[1], values[-1]  # at twice the power
    if abs(far - near) <= SETTLED * (1 + abs(far)):
        return (float(far) if abs(far) > 1e-40 else 0.0), 0.0
    steps = np.diff(values)
    closing = bool((steps[1:] * steps[:-1] > 0).all()) and bool(
        (many.abs(steps[1:]) < STEADY * many.abs(steps[:-1])).all()
    )
    if closing:
        # Aitken's limits from the first three and from the last three.
        before, last = values[2:] - steps[1:] ** 2 / np.diff(steps)
        error = float(4 * abs(last - before)) + SETTLED
        return (float(last), error) if error < 0.1 * (1 + abs(last)) else (math.nan, 0.0)
    if abs(far) < SETTLED * min(abs(near), 1):
        return 0.0, 0.0
    pair = many.abs(np.array([near, far], dtype=object))
    if near * far > 0 and pair[1] > 1.5 * pair[0] and pair[1] > 1:
        return (math.inf if far > 0 else -math.inf), 0.0  # perhaps as slowly as a logarithm
    if near * far > 0:
        growth = float((many.log(pair[1:]) - many.log(pair[:1]))[0])
        if growth > 0.02 * many.digits / 5 * math.log(10):
            return (math.inf if far > 0 else -math.inf), 0.0
    return math.nan, 0.0


def _exponents_as_sampled(found: Sampling, position: float, side: str) -> Exponents:
    """The same from the outermost samples, where the functions run in doubles only."""
    r = rule(len(found.samples.values[0]))
    p = found.panels
    pick = np.array([0, 1]) if side == "lower" else np.array([-1, -2])
    x = p.lower[pick] + p.half[pick] * (1 + r.nodes[:, None])
    lower, upper = found.diffusion.domain
    outward = math.isinf(position)
    other = upper if side == "lower" else lower
    origin = position if not outward else other if math.isfinite(other) else 0.0
    distance = np.abs(x - origin).astype(float)
    inside = 1 if side == "lower" else -1
    towards_larger_r = -inside if outward else inside
    h, ell = (v[:, pick].astype(float) for v in found.samples.values)
    c = h * distance * towards_larger_r
    log_r = np.log(distance)
    slope = (ell[-1] - ell[0]) / (log_r[-1] - log_r[0])
    log_f = np.log(np.maximum(np.abs(h), 1e-300)) + ell
    k = float(((log_f[-1] - log_f[0]) / (log_r[-1] - log_r[0]))[0])
    means = c.mean(axis=0)
    seen_to_vanish = math.nan if abs(k) > 0.1 else k
    push = _push(min(seen_to_vanish, 0.0), bool(means[0] > 0))
    weight = found.diffusion.convention.value
    order = float(2 * slope[0] - slope[1])
    apart = abs(float(log_r[:, 0].mean() - log_r[:, 1].mean()))
    growing = abs(means[0]) > abs(means[1]) * math.exp(0.3 * apart) and abs(means[0]) > 30
    endless = bool(growing or abs(means[0]) > 1e6)
    powers = _SampledPowers(means, slope, DOUBLE, DOUBLE, endless)
    room, error = powers.of(1, 1 - weight)
    scale = 1 - powers.of(-1, weight)[0]
    return Exponents(room, scale, math.nan if math.isnan(room) else order, k, push, error, powers)
