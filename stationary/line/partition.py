"""The line cut where the variance vanishes, and which way the process can go from each piece.

Between two neighbouring zeros of the variance the process is an ordinary diffusion, whose ends are
classified like any. What lies beyond an end decides what reaching it means: at a zero where the
drift points across, the process goes over (a one-way gate); where the drift vanishes, too, it
stays (a trap) or never arrives (a repelling rest point).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from stationary.aliases import Array
from stationary.errors import LandscapeError, NotFiniteError
from stationary.functions.rounding import ROUNDINGS
from stationary.line.closer import Zero, with_exact_ends
from stationary.line.digits import sampled_in_digits
from stationary.line.ends import Anatomy, End, anatomy
from stationary.line.equilibria import Equilibrium
from stationary.line.junction import Side, SingularPoint, at_end, at_zero
from stationary.line.reach import where_doubles_show
from stationary.line.sampled import NO_NOISE, VanishingVarianceError, blurred_places, sharpened
from stationary.line.sampling import Sampling, first_look
from stationary.line.slopes import drift_slope, slope_beside
from stationary.line.vanishing import (
    EndlessZerosError,
    dips_of_variance,
    scan_points,
    without_endless_zeros,
)
from stationary.line.variance import roundest
from stationary.numbers.arithmetic import DOUBLE, Arithmetic
from stationary.panels.pieces import MOST_PANELS
from stationary.process.diffusion import Diffusion

ZEROS = "zeros"  # of the variance, in the memory of a process: those of any multiple of it, too
MOST_ZEROS = 200  # of the variance: more of them are a variance that oscillates for ever
RISES = 0.02  # e-folds of 2 f / a over a few roundings of x, in which a jump is none
FURTHER = 1024.0  # widths of the narrowest panel, at which the drift is looked at again
STEEP = 0.5  # the least power of 1 / r that is a pole: a jump has none
NEAREST = 2.0**-26  # of the interval, from its ends: next to these panels are narrow in any case
BESIDE = 64.0  # roundings, within which a pole is looked for
AROUND = 0.125  # of x: as far the drift has values on either side of a pole
ORIGIN = 1e-90  # closer to 0 than that it is 0: panels get as narrow as 1e-100 there


@dataclass(frozen=True, eq=False, repr=False)
class Partition:
    """The pieces between the zeros of the variance, left to right, and what separates them."""

    diffusion: Diffusion
    pieces: tuple[Anatomy, ...]
    points: tuple[SingularPoint, ...]
    sides: tuple[tuple[Side, Side], ...]  # of each piece: its lower and its upper end
    is_changed: bool = False  # the process, by so little that the pieces are its own but for values

    def __repr__(self) -> str:
        return f"<Partition of {self.diffusion.name!r}: {len(self.pieces)} pieces>"

    @cached_property
    def equilibria(self) -> tuple[Equilibrium, ...]:
        """The zeros of the drift, rest points of the process among them, left to right."""
        inside = [e for piece in self.pieces for e in piece.equilibria]
        resting = [
            Equilibrium(
                p.position,
                0.0 if p.decided else self._blur(p.position),
                bool(p.attracts),
                *self._slope_at(p),
                interval=p.interval,
            )
            for p in self.points
            if (p.is_rest or p.is_held) and p.attracts is not None
        ]
        return tuple(sorted([*inside, *resting], key=lambda e: e.position))

    def _blur(self, x: float) -> float:
        """How near to x the functions tell points apart."""
        apart = float(np.spacing(abs(x)))
        return max(apart, self.diffusion.grain * abs(x)) if self.diffusion.is_rounded else apart

    def _slope_at(self, p: SingularPoint) -> tuple[float | None, float]:
        """f' at a rest point of the process, and its error."""
        if not p.is_rest:
            return None, 0.0
        slope = drift_slope(self.diffusion, p.position)
        if slope is not None or not self.diffusion.is_rounded:
            return slope, 0.0 if slope is None else ROUNDINGS * DOUBLE.epsilon * abs(slope)
        ends = [x for piece in self.pieces for x in map(float, piece.sampling.interval)]
        apart = [abs(x - p.position) for x in ends if x != p.position and math.isfinite(x)]
        return slope_beside(self.diffusion, p.position, min([*apart, 1.0]))

    @cached_property
    def blurred(self) -> tuple[tuple[float, float], ...]:
        """Where doubles lose drift or variance, and up to which distance, as the pieces know it.

        Nowhere, where the process is changed: it is made of values that are known.
        """
        found: dict[float, float] = {}
        for piece in () if self.is_changed else self.pieces:
            for at, reach in blurred_places(piece.sampling.diffusion):
                found[at] = max(reach, found.get(at, 0.0))
        return tuple(found.items())

    def coefficients(self, x: Array) -> tuple[Array, Array]:
        """f and a at doubles, as panels have them where doubles lose them, or many digits do.

        Beyond the panels next to nothing is left, and doubles do.
        """
        f, a = self.diffusion.coefficients(x)
        near = np.zeros(x.shape, dtype=bool)
        for at, reach in self.blurred:
            near |= np.abs(x - at) < reach
        if not near.any():
            return f, a
        for found in (piece.sampling for piece in self.pieces):
            lost = near & (x >= float(found.lower)) & (x <= float(found.upper))
            if lost.any():
                f, a = f.copy(), a.copy()
                f[lost], a[lost] = found.coefficients(x[lost])
                lost &= np.isnan(f)
                f[lost], a[lost] = sharpened(self.diffusion.coefficients, x[lost], self.blurred)
        return f, a

    @property
    def ends(self) -> tuple[End, End]:
        """The ends of the domain."""
        return self.pieces[0].ends[0], self.pieces[-1].ends[1]

    @property
    def arithmetic(self) -> Arithmetic:
        """That of the piece with the most digits."""
        return max((p.sampling.arithmetic for p in self.pieces), key=lambda a: a.digits)

    @property
    def evaluations(self) -> int:
        return sum(p.sampling.samples.evaluations for p in self.pieces)

    @property
    def resolution(self) -> float:
        """The largest gap between neighbouring samples, relative to the pieces."""
        return max(p.sampling.resolution for p in self.pieces)

    @property
    def jumps(self) -> Array:
        """Where drift or variance jump inside a piece, as far as that is seen, ascending."""
        return np.concatenate([piece.sampling.jumps for piece in self.pieces])

    def piece_at(self, x: Any) -> Anatomy:
        """The piece whose interior or lower end holds x.

        Where pieces meet need not be a double: x should have all its digits, or be rounded to the
        double next to it, as the neighbour does that is known in doubles.
        """
        for piece in self.pieces:
            end = piece.sampling.interval[1]
            if x < end and not (isinstance(x, float) and x == float(end)):
                return piece
        return self.pieces[-1]


def is_known(diffusion: Diffusion) -> bool:
    """Whether it has been cut before, in doubles where these do."""
    return (MOST_PANELS, None) in diffusion.memory


def partition(
    diffusion: Diffusion, max_panels: int = MOST_PANELS, *, digits: int | None = None
) -> Partition:
    """Cut a process at the zeros of its variance and classify every end.

    `digits` asks for many digits; without it they are used on the pieces that doubles cannot carry.
    """
    known, key = diffusion.memory, (max_panels, digits)
    if key not in known:
        known[key] = _partition(diffusion, max_panels, digits)
    found: Partition = known[key]
    return found


def _partition(diffusion: Diffusion, max_panels: int, digits: int | None) -> Partition:
    diffusion = with_exact_ends(diffusion)
    try:
        return _cut_at_poles(diffusion, max_panels, digits)
    except (EndlessZerosError, VanishingVarianceError) as far:
        inner = without_endless_zeros(diffusion, abs(far.near))
        if inner is not None:
            return _as_it_is(inner[0], max_panels, digits, inner[1])
        shown = None
        if isinstance(far, VanishingVarianceError) and digits is None:
            shown = where_doubles_show(diffusion, scan_points(diffusion))
        if shown is None:
            raise
        return _as_it_is(shown, max_panels, digits)


def _cut_at_poles(diffusion: Diffusion, max_panels: int, digits: int | None) -> Partition:
    """Poles of the drift show when what lies between two of them is sampled."""
    poles: tuple[Zero, ...] = ()
    look = None if digits is None else first_look(diffusion)
    if look is not None and not look.resolved.all():  # doubles tell poles, many digits pass by
        found = _cut_at_poles(diffusion, max_panels, None).points
        poles = tuple(Zero(p.lower, p.upper, True, pole=True) for p in found if p.pole)
    while True:
        try:
            parts = _as_it_is(diffusion, max_panels, digits, poles)
        except NotFiniteError as met:
            pole = pole_next_to(diffusion, met.near)
            if pole is None or pole in poles:
                raise
            poles, refusal = (*poles, pole), met
            continue
        if any(p.pole and p.is_passed for p in parts.points):
            raise refusal  # nothing says then on which side
        return parts


def _as_it_is(
    diffusion: Diffusion, max_panels: int, digits: int | None, known: tuple[Zero, ...] = ()
) -> Partition:
    look, memory = first_look(diffusion), diffusion.memory
    if look is not None and diffusion.rows is not None:
        a = np.exp(look.values[1])
        if diffusion.is_lost(look.values[0] * a / 2, a).any():
            shown = where_doubles_show(diffusion, scan_points(diffusion))
            if shown is not None:
                return _as_it_is(shown, max_panels, digits)
    if known or ZEROS not in memory:
        zeros, dips = dips_of_variance(diffusion, look, known)
    else:
        zeros, dips = memory[ZEROS]
    if not known:
        memory[ZEROS] = zeros, dips
    if len(zeros) > MOST_ZEROS:
        raise LandscapeError(
            f"{diffusion.name}: the variance vanishes at {len(zeros)} places; {MOST_ZEROS} are the "
            "most that are told apart. Choose a smaller domain."
        )
    seen = diffusion
    if dips:
        marks = (*diffusion.breakpoints, *(d.position for d in dips))
        diffusion = replace(diffusion, breakpoints=marks)
    pieces = []
    for piece in _between(diffusion, zeros):
        lower, upper = piece.domain
        found = sampled_in_digits(
            piece,
            max_panels,
            digits=digits,
            dips=tuple(d for d in dips if lower < d.position < upper),
            look=look if piece is seen else None,
        )
        require_bounded(found)
        pieces.append(anatomy(found))
    return _assembled(diffusion, zeros, pieces)


def _between(diffusion: Diffusion, zeros: Iterable[Zero]) -> list[Diffusion]:
    """The process on each piece between zeros."""
    lower, upper = diffusion.domain
    edges: list[Any] = [lower]
    for z in zeros:
        edges += [z.lower, z.upper]
    edges.append(upper)
    pairs = list(zip(edges[::2], edges[1::2], strict=True))
    pairs = [(a, b) for a, b in pairs if a < b]
    if not pairs:
        raise LandscapeError(f"{diffusion.name}: {NO_NOISE}")
    if len(pairs) == 1 and pairs[0] == (lower, upper):
        return [diffusion]
    return [diffusion.between(a, b) for a, b in pairs]


def _assembled(diffusion: Diffusion, zeros: tuple[Zero, ...], pieces: list[Anatomy]) -> Partition:
    lower, upper = diffusion.domain
    domains = [p.sampling.diffusion.domain for p in pieces]
    # Each side of each zero belongs to the piece that ends there.
    after = {d[0]: p.ends[0] for d, p in zip(domains, pieces, strict=True)}
    before = {d[1]: p.ends[1] for d, p in zip(domains, pieces, strict=True)}
    points = []
    for z in zeros:
        left = before.get(float(z.lower)) if float(z.lower) > lower else None
        right = after.get(float(z.upper)) if float(z.upper) < upper else None
        points.append(at_zero(diffusion, z, left, right, _attracts(z, pieces)))
    at_lower = {float(p.upper): p.right for p in points}
    at_upper = {float(p.lower): p.left for p in points}
    sides = tuple(
        (at_lower.get(d[0]) or at_end(p.ends[0]), at_upper.get(d[1]) or at_end(p.ends[1]))
        for d, p in zip(domains, pieces, strict=True)
    )
    return Partition(diffusion, tuple(pieces), tuple(points), sides)


def _attracts(z: Zero, pieces: list[Anatomy]) -> bool | None:
    """Whether the drift points to the zero on both sides (or away on both; else None)."""
    signs: list[float] = []
    for piece in pieces:
        found: Sampling = piece.sampling
        h = found.samples.values[0]
        if found.diffusion.domain[1] == float(z.lower):
            signs.append(float(np.sign(h[-1, -1])))
        if found.diffusion.domain[0] == float(z.upper):
            signs.append(-float(np.sign(h[0, 0])))
    if not signs or len(set(signs)) > 1 or signs[0] == 0:
        return None
    return signs[0] > 0


# -- poles ----------------------------------------------------------------------------------------
# Where the drift grows without bounds inside a process, as in 1 / x - x. Like a zero of the
# variance that is an end to what lies on either side, with a class of its own.


def require_bounded(found: Sampling) -> None:
    """Raise for the sharpest pole of the drift inside of what was sampled in doubles.

    Panels end there as narrow as doubles are, and 2 f / a still rises over each of them.
    """
    p, diffusion = found.panels, found.diffusion
    far = NEAREST * (found.upper - found.lower)
    inner = p.slivers & (p.lower > found.lower + far) & (p.upper < found.upper - far)
    if found.arithmetic is not DOUBLE or not inner.any():
        return
    rise = np.where(inner, np.abs(found.samples.values[0]).max(axis=0) * 2 * p.half, 0.0)
    k = int(np.argmax(rise))
    at, width = float(p.lower[k] + p.half[k]), float(2 * p.half[k])
    beside = np.clip(at + width * np.array([-2, 2, -2 * FURTHER, 2 * FURTHER]), *diffusion.domain)
    f = np.abs(diffusion.coefficients(beside)[0])
    if rise[k] < RISES or not (f[:2] > FURTHER**STEEP * f[2:]).any():
        return
    v, (lower, upper) = diffusion.variable, diffusion.domain
    pole = pole_next_to(diffusion, at)
    at = at if pole is None else float(pole.lower)
    raise NotFiniteError(
        f"{diffusion.name}: the drift has a pole at {v} = {at:.15g}, where nothing says on which "
        f"side the process goes on. Solve each side by itself: domain = ({lower:g}, {at:.15g}) or "
        f"({at:.15g}, {upper:g}).",
        at,
    )


def pole_next_to(diffusion: Diffusion, x: float) -> Zero | None:
    """The double next to x, inside the domain, at which the drift is not finite; None if none."""
    (lower, upper), width = diffusion.domain, max(BESIDE * float(np.spacing(abs(x))), ORIGIN)
    for place in roundest(x - width, x + width) if abs(x) > ORIGIN else (0.0,):
        if abs(place - x) <= 2 * width and lower < place < upper:
            # Around a pole it has values; where all is lost beyond some distance it has none.
            apart = np.geomspace(width, max(abs(x) * AROUND, width), 16)
            beside = np.clip(np.concatenate([place - apart, place + apart]), lower, upper)
            with np.errstate(all="ignore"):
                found = np.isfinite(diffusion.coefficients(np.append(place, beside))[0])
            if not found[0] and found[1:].all():
                return Zero(place, place, True, pole=True)
    return None
