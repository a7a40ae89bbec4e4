"""`anatomy`: where the drift vanishes, and what each end of the domain is to the process.

An end is classified by exponents, with r the distance to it (or |x| at an infinite end). The
powers with which scale density, speed density and drift go there decide which of their integrals
converge, and so Feller's class. Exponents are read in many digits, at distances no double
could carry, wherever the user's functions allow it.

References
----------
.. [1] S. Karlin and H. M. Taylor, *A Second Course in Stochastic Processes*, ch. 15.6.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stationary.diffusion import Boundary
from stationary.errors import LandscapeError, StationaryError
from stationary.panels import SignChanges, find_roots, rule, sign_changes, without_ripples
from stationary.precision import evaluate, many_digits
from stationary.survey import NODES, Survey

__all__ = ["Anatomy", "End", "Equilibrium", "Feller", "anatomy"]

Array = NDArray[Any]

TOO_MANY = 2000  # datapoints, to evaluate in many digits
AFFORDABLE = 2**22  # datapoints times points
SCAN = 30.0  # factor between the distances at which a root is tried
PROBES = (1e60, 1e120)  # distances (or their inverses) at which exponents are read
PROBE_DIGITS = 300


class Feller(Enum):
    """Feller's class of an end."""

    WALL = "regular"  # finite, with noise: the process reaches it and a boundary condition acts
    REGULAR = "regular, singular"  # reached and left; needs a boundary condition all the same
    EXIT = "exit"  # reached in finite time, never left
    ENTRANCE = "entrance"  # never reached from inside, but a process can start there
    NATURAL = "natural"  # neither reached nor left in finite time
    ATTRACTING = "natural, attracting"  # approached for ever, never reached
    UNDECIDED = "not decided"


@dataclass(frozen=True)
class Equilibrium:
    """A zero of the drift."""

    position: float
    error: float  # of the position
    stable: bool
    slope: float | None  # f' there [1 / time]; None where the drift jumps or has a corner
    interval: tuple[float, float] | None = None  # where the drift vanishes on a whole stretch


@dataclass(frozen=True)
class End:
    """One end of the domain."""

    position: float
    side: str  # "lower" or "upper"
    feller: Feller
    reflects: bool  # whether probability that arrives is sent back
    assumed: bool  # whether that is an assumption rather than something given
    exponent: float | None  # P ~ r^exponent; +-inf beyond all powers; None at a wall
    room: float | None  # exponent + 1, whose sign decides, without its rounding
    exponent_error: float
    order: float | None  # a ~ r^order
    integrable: bool | None  # whether P can be integrated up to here; None: not decided

    def describe(self, variable: str) -> str:
        """The end in words."""
        at = f"{variable} = {self.position:g}"
        tail = ""
        if self.exponent is not None and math.isfinite(self.exponent):
            base = f"|{variable}|" if math.isinf(self.position) else "distance"
            tail = f"; P falls or grows there as {base}^{self.exponent:.6g}"
        words = {
            Feller.WALL: "a reflecting wall" + (" (nothing else was said)" if self.assumed else ""),
            Feller.REGULAR: "reached, and taken as reflecting (an assumption)",
            Feller.EXIT: "reached in finite time and never left: probability collects there",
            Feller.ENTRANCE: "never reached (entrance)",
            Feller.NATURAL: "never reached (natural)",
            Feller.ATTRACTING: "approached for ever and never reached (natural, attracting)",
            Feller.UNDECIDED: "not decided: its exponents do not settle",
        }[self.feller]
        return f"{at}: {words}{tail}"


@dataclass(frozen=True, eq=False)
class Anatomy:
    """The equilibria, left to right, and the two ends."""

    survey: Survey
    equilibria: tuple[Equilibrium, ...]
    ends: tuple[End, End]


def anatomy(found: Survey) -> Anatomy:
    """Find the equilibria and classify the ends of a surveyed process."""
    lower, upper = found.diffusion.domain
    return Anatomy(
        survey=found,
        equilibria=_equilibria(found),
        ends=(
            _end(found, lower, "lower", found.open_ends[0]),
            _end(found, upper, "upper", found.open_ends[1]),
        ),
    )


# -- equilibria ---------------------------------------------------------------------------------


def _equilibria(found: Survey) -> tuple[Equilibrium, ...]:
    changes = sign_changes(found.panels, found.h)
    changes = _confirmed(found, changes)
    keep = _significant(found, changes.x)
    if not len(keep):
        return ()
    roots, flat = changes.x[keep], changes.stretch[keep]
    left, right, stable = changes.left[keep], changes.right[keep], changes.downward[keep]
    for low, high in _stretches_of_zeros(found):
        # Near the corners where a stretch begins rounding may change sign: the two are one.
        i = int(np.argmin(np.abs(np.clip(roots, low, high) - roots)))
        middle = (low + high) / 2
        if abs(found.climbs(np.sort(np.array([middle, roots[i]])))[0]) < 1e-12:
            flat[i], left[i], right[i], roots[i] = True, low, high, middle
    value, slopes = _drift_and_slope(found, roots)
    with np.errstate(all="ignore"):
        better = roots - value / slopes  # one step of Newton's method on the drift itself
    fits = ~flat & (better > left) & (better < right)
    roots = np.where(fits, better, roots)
    k, _ = found.panels.locate(roots)
    step = np.maximum(4 * np.spacing(np.abs(roots)), 1e-16 * found.panels.half[k])
    before, after = _around(found, roots, step, stable)
    doubtful = ~flat & ~((before[0] > 0) & (after[0] < 0))
    if doubtful.any():
        # A multiple root, or a corner: bracket it instead.
        low, high = left[doubtful], right[doubtful]
        roots[doubtful] = find_roots(lambda x: found.diffusion.coefficients(x)[0], low, high)
        before, after = _around(found, roots, step, stable)
    # Across a jump the drift does not shrink with the step; at a zero it is slope * step.
    far = np.maximum(np.abs(before[-1]), np.abs(after[-1]))
    cornered = np.maximum(np.abs(before[0]), np.abs(after[0])) > 1e-6 * far
    # The position is known to where the drift has the right sign on both sides, from there on.
    wrong = ~((before > 0) & (after < 0))
    last_wrong = np.where(wrong.any(axis=0), len(wrong) - np.argmax(wrong[::-1], axis=0), 0)
    error = step * SCAN ** np.minimum(last_wrong, len(wrong) - 1)
    error = np.where(flat, (right - left) / 2, error)
    return tuple(
        Equilibrium(
            position=float(root),
            error=float(e),
            stable=bool(attracts),
            slope=None if corner or stretch else float(slope),
            interval=(float(low), float(high)) if stretch else None,
        )
        for root, e, low, high, attracts, slope, corner, stretch in zip(
            roots, error, left, right, stable, slopes, cornered, flat, strict=True
        )
    )


def _around(found: Survey, roots: Array, step: Array, stable: Array) -> tuple[Array, Array]:
    """The drift before and after each root, at distances that grow from `step`, row by row.

    Turned so that it should be positive before and negative after.
    """
    distance = step * SCAN ** np.arange(11.0)[:, None]
    x = np.clip(np.stack([roots - distance, roots + distance]), found.lower, found.upper)
    f = found.diffusion.coefficients(x.ravel())[0].reshape(x.shape)
    before, after = np.where(stable, 1, -1) * f
    return before, after


def _stretches_of_zeros(found: Survey) -> list[tuple[float, float]]:
    """Where the drift vanishes on whole panels."""
    still = np.concatenate([[False], (found.samples.values[0] == 0).all(axis=0), [False]])
    starts = np.flatnonzero(~still[:-1] & still[1:])
    stops = np.flatnonzero(still[:-1] & ~still[1:])
    p = found.panels
    return [(float(p.lower[i]), float(p.upper[j - 1])) for i, j in zip(starts, stops, strict=True)]


def _confirmed(found: Survey, changes: SignChanges) -> SignChanges:
    """The sign changes that the drift itself shows, where the panels could not resolve it."""
    k, _ = found.panels.locate(changes.x)
    unsure = ~found.samples.resolved[k]
    if not unsure.any():
        return changes
    around = 20 * np.spacing(np.abs(changes.x))  # a panel about a jump is 16 roundings wide
    left = np.minimum(changes.left, changes.x - around)
    sides = np.concatenate([left, np.maximum(changes.right, changes.x + around)])
    before, after = np.split(np.sign(found.diffusion.coefficients(sides)[0]), 2)
    real = ~unsure | ((before != after) & ((before >= after) == changes.downward))
    # Of two in a row in the same direction only the first can be.
    direction = changes.downward[real]
    first = np.concatenate([[True], direction[1:] != direction[:-1]])
    chosen = np.flatnonzero(real)[first] if real.any() else np.flatnonzero(real)
    return SignChanges(*(getattr(changes, f.name)[chosen] for f in dataclasses.fields(SignChanges)))


def _significant(found: Survey, roots: Array) -> Array:
    """Which roots stay when pairs between which the exponent hardly rises are dropped."""
    if len(roots) < 2:
        return np.arange(len(roots))
    k, _ = found.panels.locate(roots)
    noise = np.maximum(found.noise[k[:-1]], found.noise[k[1:]])
    return without_ripples(found.climbs(roots), noise, fixed_ends=False)


def _drift_and_slope(found: Survey, x: Array) -> tuple[Array, Array]:
    """f and f' near zeros of f: exact where the functions can be differentiated, else from h."""
    try:
        if len(x) * found.diffusion.cost > AFFORDABLE:
            raise StationaryError("too many to differentiate at once")
        value, slope = evaluate(found.diffusion.drift, x, order=1)
        if slope.shape == x.shape and np.isfinite(slope).all():
            return value, slope
    except StationaryError:
        pass
    r = rule(NODES)
    k, _ = found.panels.locate(x)
    rate = found.panels.evaluate(r.derivative @ found.h, x) / found.panels.half[k]
    slope = rate * np.exp(found.panels.evaluate(found.ell, x)) / 2
    return found.diffusion.coefficients(x)[0], np.asarray(slope)


# -- ends ---------------------------------------------------------------------------------------


def _end(found: Survey, position: float, side: str, is_open: bool) -> End:
    diffusion = found.diffusion
    given = diffusion.boundaries[0 if side == "lower" else 1]
    if not is_open:
        if given is Boundary.NATURAL:
            raise LandscapeError(
                f"{diffusion.name}: the {side} end {diffusion.variable} = {position:g} cannot be "
                "natural: the variance is positive there, so the process reaches it. Use "
                '"reflecting", or move the end to where the process does not come.'
            )
        return End(position, side, Feller.WALL, True, given is None, None, None, 0.0, None, True)
    outward = math.isinf(position)
    e = _exponents(found, position, side)
    integrable: bool | None
    if math.isnan(e.room) or math.isnan(e.scale):
        feller, integrable = Feller.UNDECIDED, _integrable_as_sampled(found, side)
    else:
        integrable = bool(e.room < 0) if outward else bool(e.room > 0)
        feller = _feller(e, integrable, outward)
        if e.error > 0 and abs(e.room) <= 4 * e.error:
            integrable = None  # too close to call
    reflects = feller in (Feller.REGULAR, Feller.ENTRANCE, Feller.NATURAL)
    assumed = feller is Feller.REGULAR and given is None
    return End(
        position,
        side,
        feller,
        reflects,
        assumed,
        None if math.isnan(e.room) else e.room - 1,
        None if math.isnan(e.room) else e.room,
        e.error,
        None if math.isnan(e.order) else e.order,
        integrable,
    )


@dataclass(frozen=True)
class _Exponents:
    """Powers of the distance r at an open end; infinite beyond all powers, nan if not settled."""

    room: float  # P ~ r^(room - 1): integrable for room > 0 at a finite end, < 0 at infinity
    scale: float  # r times the logarithmic fall of the scale density: s ~ r^-scale
    order: float  # a ~ r^order
    drift: float  # f ~ r^drift, in the Ito form
    error: float  # of room


def _feller(e: _Exponents, speed_converges: bool, outward: bool) -> Feller:
    """Feller's class, from the convergence of three integrals up to the end.

    These are of the scale density s, of the speed density m ~ P, and of m times the integral of
    s, which goes as r^(1 - order) or, if s falls or grows beyond powers, as 1 / f.
    """
    product = -e.drift if math.isinf(e.scale) else 1 - e.order
    soon = product < -1 if outward else product > -1
    scale_converges = e.scale > 1 if outward else e.scale < 1
    if scale_converges and speed_converges:
        return Feller.REGULAR
    if scale_converges:
        return Feller.EXIT if soon else Feller.ATTRACTING
    return Feller.ENTRANCE if soon else Feller.NATURAL


def _exponents(found: Survey, position: float, side: str) -> _Exponents:
    if found.diffusion.cost > TOO_MANY:
        return _exponents_as_sampled(found, position, side)  # many digits would take minutes
    try:
        return _exponents_in_digits(found, position, side)
    except (StationaryError, OverflowError, MemoryError):
        return _exponents_as_sampled(found, position, side)


def _exponents_in_digits(found: Survey, position: float, side: str) -> _Exponents:
    many = many_digits(PROBE_DIGITS)
    weight = found.diffusion.convention.value
    outward = math.isinf(position)
    inside = 1 if side == "lower" else -1  # from the end into the domain
    near, far = (many.array(np.array([p]))[0] for p in PROBES)
    apart = 1 + 1 / near  # of the two points that tell a slope
    radii = np.array([near, near * apart, far, far * apart], dtype=object)
    if outward:
        x = -inside * radii
    else:
        radii = 1 / radii
        x = many.array(np.array([position]))[0] + inside * radii
    f, a = found.diffusion.coefficients(x, many)
    if not (many.isfinite(f).all() and many.isfinite(a).all()) or not (a > 0).all():
        raise OverflowError("not a process there")
    towards_larger_r = -inside if outward else inside
    log_r, log_a = many.log(radii), many.log(a)
    first, second = np.array([0, 2]), np.array([1, 3])
    step = log_r[second] - log_r[first]
    order = (log_a[second] - log_a[first]) / step
    pull = (2 * f / a * radii)[first] * towards_larger_r
    # In the Ito form the drift is f + (c / 2) a'.
    drift = f + towards_larger_r * weight / 2 * np.repeat(order, 2) * a / radii
    power = math.nan
    if not (drift == 0).any():
        log_f = many.log(many.abs(drift))
        power = _limit((log_f[second] - log_f[first]) / step, many)
    density = pull - (1 - weight) * order
    room = _limit(density + 1, many)
    return _Exponents(
        room=room,
        scale=_limit(pull + weight * order, many),
        order=_limit(order, many),
        drift=power,
        error=float(abs(density[1] - density[0])) if math.isfinite(room) else 0.0,
    )


def _limit(values: Array, many: Any) -> float:
    """The limit of a function of r from its values at the two probes: a number, +-inf, or nan."""
    near, far = values
    if abs(far - near) <= 1e-12 * (1 + abs(far)):
        return float(far) if abs(far) > 1e-40 else 0.0
    if abs(far) < 1e-12 * abs(near):
        return 0.0
    pair = many.abs(np.array([near, far], dtype=object))
    if near * far > 0 and pair[1] > 1.5 * pair[0] and pair[1] > 1:
        return math.inf if far > 0 else -math.inf  # perhaps as slowly as a logarithm
    if near * far > 0:
        growth = float((many.log(pair[1:]) - many.log(pair[:1]))[0])
        if growth > 0.02 * math.log(PROBES[1] / PROBES[0]):
            return math.inf if far > 0 else -math.inf
    return math.nan


def _exponents_as_sampled(found: Survey, position: float, side: str) -> _Exponents:
    """The same from the outermost samples, where the functions run in doubles only."""
    r = rule(NODES)
    p = found.panels
    pick = np.array([0, 1]) if side == "lower" else np.array([-1, -2])
    x = p.lower[pick] + p.half[pick] * (1 + r.nodes[:, None])
    lower, upper = found.diffusion.domain
    outward = math.isinf(position)
    other = upper if side == "lower" else lower
    origin = position if not outward else other if math.isfinite(other) else 0.0
    distance = np.abs(x - origin)
    inside = 1 if side == "lower" else -1
    towards_larger_r = -inside if outward else inside
    h, ell = (v[:, pick] for v in found.samples.values)
    c = h * distance * towards_larger_r
    log_r = np.log(distance)
    slope = (ell[-1] - ell[0]) / (log_r[-1] - log_r[0])
    log_f = np.log(np.maximum(np.abs(h), 1e-300)) + ell
    k = float(((log_f[-1] - log_f[0]) / (log_r[-1] - log_r[0]))[0])
    means = c.mean(axis=0)
    weight = found.diffusion.convention.value
    order = float(2 * slope[0] - slope[1])
    if abs(means[0]) > 4 * abs(means[1]) or abs(means[0]) > 1e6:
        endless = math.copysign(math.inf, means[0])
        return _Exponents(endless, endless, order, k, 0.0)
    # c(r) = c + const r (or const / r): the next octave has half the correction, and what is
    # left after extrapolation is of second order in the drift per octave.
    limit = float(2 * means[0] - means[1])
    drift = float(abs(means[0] - means[1]) + abs(slope[0] - slope[1]))
    if drift > 1e-3 * (1 + abs(limit)):
        return _Exponents(math.nan, math.nan, math.nan, k, math.inf)
    error = drift**2 + 1e-14 * (1 + abs(limit))
    room = limit + (1 - (1 - weight) * order)
    return _Exponents(room, limit + weight * order, order, k, error)


def _integrable_as_sampled(found: Survey, side: str) -> bool | None:
    """Whether the sampled density has fallen to nothing on its way to an undecided end."""
    return found.fallen[0 if side == "lower" else 1] or None
