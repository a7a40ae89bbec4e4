"""Junctions: zeros of the variance and ends, and what the process does at each side of them.

What lies beyond a zero of the variance decides what reaching it means. Where the drift points
across, and beyond it carries on, the process goes over (a one-way gate). Where it vanishes, too, or
points back from the other side, the process is held (a trap) or never arrives (a repelling rest
point). Only limits from either side count, never what the functions are at the point itself.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum
from typing import Any, NamedTuple

import numpy as np

from stationary.aliases import Array
from stationary.line.closer import Zero
from stationary.line.ends import End
from stationary.line.feller import Feller
from stationary.panels.roots import bisected, runs_of
from stationary.process.corners import SCAN
from stationary.process.diffusion import Diffusion


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
    def is_neutral(self) -> bool:
        """Whether the process neither arrives nor keeps away: the critical case between the two."""
        natural = self.end.feller is Feller.NATURAL and self.end.integrable is False
        return natural and math.isfinite(self.end.position)

    @property
    def passes_both_ways(self) -> bool:
        """Whether this is one side of a point that hinders nothing."""
        return self.behaviour is Behaviour.CROSSES and self.end.feller is Feller.REGULAR


@dataclass(frozen=True, repr=False)
class SingularPoint:
    """A zero of the variance inside the domain, or a stretch of them."""

    lower: Any  # exact: a float, or an mpmath number where no double is the position
    upper: Any  # the same for a point
    left: Side | None  # None where a stretch of zeros reaches to the end of the domain
    right: Side | None
    decided: bool  # whether zero was told from tiny
    attracts: bool | None  # whether the drift points here on both sides; None: on one only
    stops: tuple[float, ...] = ()  # of a stretch: where the drift alone comes to rest
    turns: tuple[float, ...] = ()  # of a stretch: where the drift changes its sign
    rests: tuple[tuple[float, float], ...] = ()  # of a stretch: where the drift vanishes, too
    carries: int | None = None  # of a stretch: +1 if the drift points to the right on all of it,
    # -1 to the left; None if it does neither
    pole: bool = False  # whether the drift is singular there, not the variance

    def __repr__(self) -> str:
        return f"<SingularPoint: {self.role} at {self.position:g}>"

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
    def sides(self) -> tuple[Side, ...]:
        return tuple(s for s in (self.left, self.right) if s is not None)

    @property
    def is_passed(self) -> bool:
        """Whether it is reached and left again on any side."""
        return any(s.end.feller is Feller.REGULAR for s in self.sides)

    @property
    def is_rest(self) -> bool:
        """Whether the drift vanishes here, too, so that a process started here stays."""
        return all(s.end.push == 0 for s in self.sides)

    @property
    def is_held(self) -> bool:
        """Whether the drift points here from both sides, as it does to a kink of a loss."""
        return self.interval is None and all(
            s.behaviour.holds and s.end.push < 0 for s in self.sides
        )

    @property
    def role(self) -> str:
        """What the point is: "gate to the right", "trap", "repelling rest point", and so on."""
        left, right = behaviours = [None if s is None else s.behaviour for s in self._pair]
        if Behaviour.UNDECIDED in behaviours:
            return "not decided"
        if None in behaviours and self.carries:
            # A stretch that reaches to an end of the domain: what starts in it may leave it.
            if left is None and self.carries == 1:
                return "gate to the right"
            if right is None and self.carries == -1:
                return "gate to the left"
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
        if any(s.is_neutral for s in self.sides):
            return "neutral point"
        if any(s.end.feller is Feller.REGULAR and s.end.push > 0 for s in self.sides):
            return "divide"
        if self.is_rest:
            return "repelling rest point"
        return "never reached"

    @property
    def _pair(self) -> tuple[Side | None, Side | None]:
        return self.left, self.right

    def describe(self, variable: str) -> str:
        """The point in words, a sentence or two."""
        at = f"{variable} = {self.position:.12g}"
        if self.interval is not None:
            low, high = self.interval
            at = f"all {variable} from {low:.9g} to {high:.9g}"
        one_way = (
            "a one-way gate: the noise vanishes while the drift points to the {}, so nothing that "
            "has passed comes back"
        )
        why = "drift and noise vanish"
        if self.is_held:
            why = "the noise vanishes, the drift points here from both sides"
        if self.pole:
            at += " (a pole of the drift)"
            one_way, why = one_way.replace("the noise vanishes while ", ""), "the drift draws it in"
        words: dict[str, str] = {
            "not decided": "the exponents of drift and variance do not settle, so what happens "
            "here is not decided",
            "removable": "the process passes both ways, as through any other point",
            "gate to the right": one_way.format("right"),
            "gate to the left": one_way.format("left"),
            "trap": f"a trap: {why}, and the process {self._arrival()}",
            "trap from the left": "a trap for what comes from the left; from the right it is "
            "never reached",
            "trap from the right": "a trap for what comes from the right; from the left it is "
            "never reached",
            "repelling rest point": "a repelling rest point: drift and noise vanish, but the "
            "process never comes here, and never passes",
            "neutral point": "neither attracts nor repels: the process comes ever closer and goes "
            "away again, never arriving and never passing, and its probability spreads towards "
            "here for ever",
            "divide": "reached, and left again at once, as the drift points away from it; that "
            "this is to the side it came from is an assumption, on which the equation is silent",
            "never reached": "never reached from either side",
        }
        by_side = {
            name: s.end.feller.value
            for name, s in zip(("left", "right"), self._pair, strict=True)
            if s is not None
        }
        classes = [f"from the {side}: {value}" for side, value in by_side.items()]
        if len(by_side) == 2 and len(set(by_side.values())) == 1:
            classes = [f"from both sides: {by_side['left']}"]
        if self.interval is not None and self.role == "trap" and self.stops:
            rest = " and ".join(f"{variable} = {x:.6g}" for x in self.stops)
            words["trap"] = f"no noise; the drift alone takes the process to {rest}"
            if self.rests == (self.interval,):
                stays = f"what starts there stays, and so does what comes to {rest}"
                words["trap"] = f"neither noise nor drift: {stays}"
        still = [
            f"{low:.9g} to {high:.9g}" for low, high in self.rests if self.interval != (low, high)
        ]
        stays = f"; what starts from {' or from '.join(still)} stays there" if still else ""
        doubt = "" if self.decided else " (zero, or too small for doubles to tell)"
        return f"{at}{doubt}: {words[self.role]}{stays} ({'; '.join(classes)})."

    def _arrival(self) -> str:
        kinds = {s.behaviour for s in self.sides}
        if kinds == {Behaviour.APPROACHES}:
            return "comes ever closer without arriving"
        if Behaviour.APPROACHES in kinds:
            return "arrives, or comes ever closer, and stays"
        return "arrives in finite time and stays"


def at_end(end: End) -> Side:
    """What reaching an end of the domain means."""
    if end.feller is Feller.UNDECIDED:
        # Where the density is seen to have fallen to nothing, nothing gets there either way.
        return Side(end, Behaviour.STAYS if end.integrable else Behaviour.UNDECIDED)
    if end.reflects:
        return Side(end, Behaviour.STAYS)
    if math.isinf(end.position):
        return Side(end, Behaviour.ESCAPES)
    return Side(end, _held(end), end.position)


def at_zero(
    diffusion: Diffusion, z: Zero, left: End | None, right: End | None, attracts: bool | None
) -> SingularPoint:
    """A zero of the variance between the ends of the pieces on its left and on its right."""
    flow, back = _Flow(), (False, False)
    pair: list[Side | None] = []
    if z.is_stretch:
        flow, back = _drift_alone(diffusion, z)
        for end, edge, returns in ((left, z.lower, back[0]), (right, z.upper, back[1])):
            ahead = flow.stops[:1] if end is left else flow.stops[-1:]
            pair.append(None if end is None else _side_of_stretch(end, edge, ahead, returns))
    else:
        for end, other in ((left, right), (right, left)):
            pair.append(None if end is None else _side_of_point(z, end, other))
    first, last = pair
    return SingularPoint(z.lower, z.upper, first, last, z.decided, attracts, *flow, pole=z.pole)


def _held(end: End) -> Behaviour:
    """How what ends at a finite point comes there."""
    return Behaviour.APPROACHES if end.feller is Feller.ATTRACTING else Behaviour.STOPS


def _side_of_point(z: Zero, end: End, other: End | None) -> Side:
    if end.feller is Feller.UNDECIDED:
        return Side(end, Behaviour.UNDECIDED)
    if end.feller in (Feller.ENTRANCE, Feller.NATURAL):
        return Side(end, Behaviour.STAYS)
    if other is not None:
        if end.has_flow and other.has_flow:  # the noise alone takes it through
            return Side(end, Behaviour.CROSSES)
        # The drift carries it over, unless on the other side nothing lets it in.
        inviting = other.feller in (Feller.REGULAR, Feller.ENTRANCE)
        if other.push > 0 >= end.push or (end.push < 0 and inviting):
            return Side(end, Behaviour.CROSSES)
    if end.feller is Feller.REGULAR:
        # With the drift pointing back it is left at once; else that it is, is an assumption.
        return Side(end, Behaviour.STAYS)
    return Side(end, _held(end), z.lower)


def along(low: float, high: float) -> Array:
    """Points from end to end of a stretch; of an infinite one in octaves from where it begins."""
    if math.isfinite(high - low):
        return np.linspace(low, high, SCAN)
    edge, side = (high, -1.0) if math.isinf(low) else (low, 1.0)
    out = np.exp2(np.linspace(-20, 60, SCAN - 1)) * max(1.0, abs(edge))
    return np.sort(edge + side * np.append(0.0, out))


class _Flow(NamedTuple):
    """What the drift alone does on a stretch: see `SingularPoint`."""

    stops: tuple[float, ...] = ()
    turns: tuple[float, ...] = ()
    rests: tuple[tuple[float, float], ...] = ()
    carries: int | None = None


def _drift_alone(diffusion: Diffusion, z: Zero) -> tuple[_Flow, tuple[bool, bool]]:
    """What the drift alone does on a stretch without noise.

    And whether next to its lower, and its upper end it leads out again at that end.

    An end of the domain against which the drift presses is a place where it comes to rest; so are
    the ends of what has no drift, where it comes to them.
    """
    low, high = float(z.lower), float(z.upper)
    x = along(low, high)
    x[[0, -1]] += 2.0**-30 * (x[[1, -2]] - x[[0, -1]])  # at the edges limits from inside count
    sign = np.sign(diffusion.coefficients(x)[0])
    inner = sign[1:-1]
    turns, stops = {}, set()
    for i in np.flatnonzero(sign[:-1] != sign[1:]).tolist():
        a, b = (i, i + 1) if sign[i] else (i + 1, i)
        turns[i] = _root(diffusion, x[a], x[b])
        if sign[i] >= 0 >= sign[i + 1]:
            stops.add(turns[i])
    for edge, of, pressed in ((low, 0, -1), (high, -1, 1)):
        if edge in diffusion.domain:
            stops |= {edge} if inner[of] == pressed else set()
        elif sign[of] == inner[of] == 0:
            stops.add(edge)
    rests = tuple(
        (turns.get(first - 1, low), turns.get(last - 1, high))
        for first, last in runs_of(sign == 0)
        if last - first > 1  # more than a zero of the drift
    )
    carries = int(inner[0]) if inner[0] and (inner == inner[0]).all() else None
    flow = _Flow(tuple(sorted(stops)), tuple(sorted(turns.values())), rests, carries)
    return flow, (bool(inner[0] < 0), bool(inner[-1] > 0))


def _side_of_stretch(end: End, edge: Any, ahead: tuple[float, ...], returns: bool) -> Side:
    """Where the drift alone takes what enters a stretch without noise at an edge."""
    if end.feller is Feller.UNDECIDED:
        return Side(end, Behaviour.UNDECIDED)
    if end.feller in (Feller.ENTRANCE, Feller.NATURAL) or (
        end.feller is Feller.REGULAR and (end.push > 0 or returns)
    ):
        return Side(end, Behaviour.STAYS)
    if end.push == 0:
        return Side(end, _held(end), edge)
    if ahead:
        return Side(end, Behaviour.STOPS, ahead[0])
    return Side(end, Behaviour.CROSSES)


def _root(diffusion: Diffusion, a: float, b: float) -> float:
    """Where the drift changes sign (or vanishes) between two points, by bisection."""

    def sign(x: Array) -> Array:
        return np.asarray(np.sign(diffusion.coefficients(x)[0]))

    low, high = np.array([a]), np.array([b])
    first = sign(low)
    return float(bisected(lambda x: sign(x) == first, low, high)[1][0])
