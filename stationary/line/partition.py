"""The line cut where the variance vanishes, and which way the process can go from each piece.

Between two neighbouring zeros of the variance the process is an ordinary diffusion, whose ends are
classified like any. What lies beyond an end decides what reaching it means: at a zero where the
drift points across, the process goes over (a one-way gate); where the drift vanishes, too, it
stays (a trap) or never arrives (a repelling rest point).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stationary.errors import LandscapeError
from stationary.line.digits import sampled_in_digits
from stationary.line.ends import Anatomy, End, anatomy
from stationary.line.equilibria import Equilibrium, drift_slope
from stationary.line.feller import Feller
from stationary.line.sampling import Sampling, VanishingVarianceError, sampling
from stationary.line.vanishing import Zero, zeros_of_variance
from stationary.numbers.arithmetic import Arithmetic
from stationary.process.diffusion import Diffusion

__all__ = ["Behaviour", "Partition", "Side", "SingularPoint", "partition"]

Array = NDArray[Any]

MOST_ZEROS = 200
ROUNDS = 8  # of looking for zeros that the scan missed
UNRESOLVED = 40  # panels that are a sign of more than a kink
STRETCH_SAMPLES = 513


class Behaviour(Enum):
    """What becomes of the process at an end of a piece, seen from inside."""

    STAYS = "never leaves there"  # not reached, or sent back
    CROSSES = "goes over to the other side"
    STOPS = "arrives and stays"  # at a trap or an absorbing end
    APPROACHES = "comes ever closer and never arrives"  # to a finite point: an atom of the limit
    ESCAPES = "escapes to infinity"
    UNDECIDED = "not decided"

    @property
    def holds(self) -> bool:
        """Whether probability collects at the point itself, in finite time or for ever."""
        return self in (Behaviour.STOPS, Behaviour.APPROACHES)

    @property
    def loses(self) -> bool:
        """Whether the piece loses probability there."""
        return self.holds or self in (Behaviour.CROSSES, Behaviour.ESCAPES)


@dataclass(frozen=True)
class Side:
    """One side of a singular point, or an end of the domain."""

    end: End  # of the piece that lies on this side
    behaviour: Behaviour
    stops_at: Any = None  # where it stops or comes ever closer to, if it does

    @property
    def passes_both_ways(self) -> bool:
        """Whether this is one side of a point that hinders nothing."""
        return self.behaviour is Behaviour.CROSSES and self.end.feller is Feller.REGULAR


@dataclass(frozen=True)
class SingularPoint:
    """A zero of the variance inside the domain, or a stretch of them."""

    lower: Any  # exact: a float, or an mpmath number where no double is the position
    upper: Any  # the same for a point
    left: Side | None  # None where a stretch of zeros reaches to the end of the domain
    right: Side | None
    decided: bool  # whether zero was told from tiny
    attracts: bool | None  # whether the drift points here on both sides; None: on one only
    stops: tuple[float, ...] = ()  # of a stretch: where the drift alone comes to rest
    carries: int | None = None  # of a stretch: +1 if the drift points to the right on all of it,
    # -1 to the left, 0 if it vanishes, too; None if it does none of these

    @property
    def position(self) -> float:
        """The nearest double (of a stretch: its middle)."""
        low, high = float(self.lower), float(self.upper)
        return low if low == high else (low + high) / 2

    @property
    def interval(self) -> tuple[float, float] | None:
        """The stretch, where it is one."""
        return (float(self.lower), float(self.upper)) if self.lower < self.upper else None

    @property
    def is_rest(self) -> bool:
        """Whether the drift vanishes here, too, so that a process started here stays."""
        return all(s.end.push == 0 for s in (self.left, self.right) if s is not None)

    @property
    def role(self) -> str:
        """What the point is: "gate to the right", "trap", "repelling rest point", and so on."""
        behaviours = [None if s is None else s.behaviour for s in (self.left, self.right)]
        left, right = behaviours
        if (
            self.interval is not None
            and Behaviour.UNDECIDED not in behaviours
            and None in behaviours
        ):
            # It reaches to an end of the domain: what starts in it may leave it.
            if left is None and self.carries == 1:
                return "gate to the right"
            if right is None and self.carries == -1:
                return "gate to the left"
        if Behaviour.UNDECIDED in behaviours:
            return "not decided"
        if left is Behaviour.CROSSES and right is Behaviour.CROSSES:
            return "removable"
        if left is Behaviour.CROSSES:
            return "gate to the right"
        if right is Behaviour.CROSSES:
            return "gate to the left"
        held = {b for b in behaviours if b is not None and b.holds}
        if set(behaviours) <= {*held, None}:
            return "trap"
        if held:
            return f"trap from the {'left' if left in held else 'right'}"
        if self.is_rest:
            return "repelling rest point"
        return "never reached"

    def describe(self, variable: str) -> str:
        """The point in words, a sentence or two."""
        at = f"{variable} = {self.position:.12g}"
        if self.interval is not None:
            low, high = self.interval
            at = f"all {variable} from {low:.9g} to {high:.9g}"
        words: dict[str, str] = {
            "not decided": "the exponents of drift and variance do not settle, so what happens "
            "here is not decided",
            "removable": "the process passes both ways, as through any other point",
            "gate to the right": "a one-way gate: the noise vanishes while the drift points to the "
            "right, so nothing that has passed comes back",
            "gate to the left": "a one-way gate: the noise vanishes while the drift points to the "
            "left, so nothing that has passed comes back",
            "trap": "a trap: drift and noise vanish, and the process " + self._arrival(),
            "trap from the left": "a trap for what comes from the left; from the right it is "
            "never reached",
            "trap from the right": "a trap for what comes from the right; from the left it is "
            "never reached",
            "repelling rest point": "a repelling rest point: drift and noise vanish, but the "
            "process never comes here, and never passes",
            "never reached": "never reached from either side",
        }
        by_side = {
            side: s.end.feller.value
            for side, s in (("left", self.left), ("right", self.right))
            if s is not None
        }
        classes = [f"from the {side}: {value}" for side, value in by_side.items()]
        if len(by_side) == 2 and len(set(by_side.values())) == 1:
            classes = [f"from both sides: {by_side['left']}"]
        if self.interval is not None and self.role == "trap" and self.stops:
            rest = " and ".join(f"{variable} = {x:.6g}" for x in self.stops)
            words["trap"] = f"no noise; the drift alone takes the process to {rest}"
        doubt = "" if self.decided else " (zero, or too small for doubles to tell)"
        return f"{at}{doubt}: {words[self.role]} ({'; '.join(classes)})."

    def _arrival(self) -> str:
        kinds = {s.end.feller for s in (self.left, self.right) if s is not None}
        if kinds == {Feller.ATTRACTING}:
            return "comes ever closer without arriving"
        if Feller.ATTRACTING in kinds:
            return "arrives, or comes ever closer, and stays"
        return "arrives in finite time and stays"


@dataclass(frozen=True, eq=False)
class Partition:
    """The pieces between the zeros of the variance, left to right, and what separates them."""

    diffusion: Diffusion
    pieces: tuple[Anatomy, ...]
    points: tuple[SingularPoint, ...]
    sides: tuple[tuple[Side, Side], ...]  # of each piece: its lower and its upper end

    @cached_property
    def equilibria(self) -> tuple[Equilibrium, ...]:
        """The zeros of the drift, rest points of the process among them, left to right."""
        inside = [e for piece in self.pieces for e in piece.equilibria]
        resting = [
            Equilibrium(
                p.position,
                0.0 if p.decided else float(np.spacing(abs(p.position))),
                stable=bool(p.attracts),
                slope=drift_slope(self.diffusion, p.position),
                interval=p.interval,
            )
            for p in self.points
            if p.is_rest and p.attracts is not None
        ]
        return tuple(sorted([*inside, *resting], key=lambda e: e.position))

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

    def piece_at(self, x: Any) -> Anatomy:
        """The piece whose interior or lower end holds x.

        Where pieces meet need not be a double: x should have all its digits.
        """
        for piece in self.pieces:
            if x < piece.sampling.interval[1]:
                return piece
        return self.pieces[-1]


def partition(
    diffusion: Diffusion,
    max_panels: int = 4000,
    *,
    complete: bool = False,
    digits: int | None = None,
) -> Partition:
    """Cut a process at the zeros of its variance and classify every end.

    `complete` samples towards open ends where the density has fallen to nothing, too. `digits`
    asks for many digits; without it they are used on the pieces that doubles cannot carry.

    Raises
    ------
    LandscapeError
        If there is no noise at all, or the drift or variance is no drift or variance somewhere.
    """
    zeros: tuple[Zero, ...] = ()
    hints: list[float] = []
    suspicious = True
    for _ in range(ROUNDS):
        try:
            if not hints:
                samplings = [sampling(diffusion, max_panels, complete=complete)]
                zeros = _overlooked(diffusion, samplings[0])
                if digits is None and not zeros:
                    break
            samplings = [
                sampled_in_digits(
                    d, max_panels, complete=complete, digits=digits, suspicious=suspicious
                )
                for d in _between(diffusion, zeros)
            ]
            break
        except VanishingVarianceError as vanishing:
            hints.append(vanishing.near)
            found = zeros_of_variance(diffusion, hints)
            if len(found) > MOST_ZEROS or (len(found) <= len(zeros) and not suspicious):
                raise
            suspicious = len(found) > len(zeros)  # else it was a cusp, and not a zero
            zeros = found
    else:
        raise VanishingVarianceError(
            f"{diffusion.name}: the variance vanishes at more places than could be found. Name "
            "them as breakpoints.",
            hints[-1],
        )
    return _assembled(diffusion, zeros, [anatomy(s) for s in samplings])


def _overlooked(diffusion: Diffusion, found: Sampling) -> tuple[Zero, ...]:
    """The zeros of the variance where a sampling ran out of panels before it could tell."""
    if (~found.samples.resolved).sum() <= UNRESOLVED:
        return ()
    return zeros_of_variance(diffusion)


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
        raise LandscapeError(
            f"{diffusion.name}: the variance is zero everywhere in the domain, so there is no "
            "noise: the process follows its drift to the nearest stable equilibrium. (For losses: "
            "all datapoints have the same gradient.)"
        )
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
        points.append(_singular_point(diffusion, z, left, right, pieces))
    at_lower = {float(p.upper): p.right for p in points}
    at_upper = {float(p.lower): p.left for p in points}
    sides = tuple(
        (
            at_lower.get(d[0]) or _at_domain_end(p.ends[0]),
            at_upper.get(d[1]) or _at_domain_end(p.ends[1]),
        )
        for d, p in zip(domains, pieces, strict=True)
    )
    return Partition(diffusion, tuple(pieces), tuple(points), sides)


def _at_domain_end(end: End) -> Side:
    """What reaching an end of the domain means."""
    if end.feller is Feller.UNDECIDED:
        # Where the density is seen to have fallen to nothing, nothing gets there either way.
        return Side(end, Behaviour.STAYS if end.integrable else Behaviour.UNDECIDED)
    if end.reflects:
        return Side(end, Behaviour.STAYS)
    if math.isinf(end.position):
        return Side(end, Behaviour.ESCAPES)
    return Side(end, _held(end), end.position)


def _held(end: End) -> Behaviour:
    """How what ends at a finite point comes there."""
    return Behaviour.APPROACHES if end.feller is Feller.ATTRACTING else Behaviour.STOPS


def _singular_point(
    diffusion: Diffusion, z: Zero, left: End | None, right: End | None, pieces: list[Anatomy]
) -> SingularPoint:
    if z.is_stretch:
        sides = [
            None if end is None else _side_of_stretch(diffusion, z, end, end is left)
            for end in (left, right)
        ]
    else:
        both = all(
            end is not None
            and end.feller is Feller.REGULAR
            and end.order is not None
            and end.order < 1
            for end in (left, right)
        )
        sides = [None if end is None else _side_of_point(z, end, both) for end in (left, right)]
    stops, carries = _drift_alone(diffusion, z) if z.is_stretch else ((), None)
    return SingularPoint(
        z.lower, z.upper, sides[0], sides[1], z.decided, _attracts(z, pieces), stops, carries
    )


def _side_of_point(z: Zero, end: End, passable: bool) -> Side:
    if end.feller is Feller.UNDECIDED:
        return Side(end, Behaviour.UNDECIDED)
    if end.feller in (Feller.ENTRANCE, Feller.NATURAL):
        return Side(end, Behaviour.STAYS)
    if passable or (end.push < 0 and end.feller is not Feller.REGULAR):
        return Side(end, Behaviour.CROSSES)
    if end.feller is Feller.REGULAR:
        # With the drift pointing back it is left at once; else that it is, is an assumption.
        return Side(end, Behaviour.CROSSES if end.push < 0 else Behaviour.STAYS)
    return Side(end, _held(end), z.lower)


def _drift_alone(diffusion: Diffusion, z: Zero) -> tuple[tuple[float, ...], int | None]:
    """Where the drift alone comes to rest on a stretch without noise, and which way it carries.

    An end of the domain against which the drift presses is such a place; so is a whole stretch
    without drift, of which the ends are named.
    """
    low, high = float(z.lower), float(z.upper)
    x = np.linspace(low, high, STRETCH_SAMPLES)
    sign = np.sign(diffusion.coefficients(x)[0])
    inner = sign[1:-1]
    stops = []
    if low == diffusion.domain[0] and inner[0] < 0:
        stops.append(low)
    for i in np.flatnonzero((sign[:-1] > 0) & (sign[1:] <= 0)):
        stops.append(_root(diffusion, x[i], x[i + 1]))
    for i in np.flatnonzero((sign[:-1] == 0) & (sign[1:] < 0)):
        stops.append(_root(diffusion, x[i + 1], x[i]))
    if high == diffusion.domain[1] and inner[-1] > 0:
        stops.append(high)
    same = (inner == inner[0]).all()
    return tuple(sorted(set(stops))), int(inner[0]) if same else None


def _side_of_stretch(diffusion: Diffusion, z: Zero, end: End, from_left: bool) -> Side:
    """Where the drift alone takes what enters a stretch without noise."""
    if end.feller is Feller.UNDECIDED:
        return Side(end, Behaviour.UNDECIDED)
    if end.feller in (Feller.ENTRANCE, Feller.NATURAL) or (
        end.feller is Feller.REGULAR and end.push > 0
    ):
        return Side(end, Behaviour.STAYS)
    if end.push == 0:
        return Side(end, _held(end), z.lower if from_left else z.upper)
    stops, _ = _drift_alone(diffusion, z)
    if stops:
        return Side(end, Behaviour.STOPS, stops[0] if from_left else stops[-1])
    return Side(end, Behaviour.CROSSES)


def _root(diffusion: Diffusion, a: float, b: float) -> float:
    """Where the drift changes sign (or vanishes) between two points, by bisection."""
    first = np.sign(diffusion.coefficients(np.array([a]))[0][0])
    for _ in range(80):
        middle = (a + b) / 2
        if np.sign(diffusion.coefficients(np.array([middle]))[0][0]) == first:
            a = middle
        else:
            b = middle
    return float(b)


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
