"""`places_of`: the stretches of the line whose masses a regularisation path follows.

They are the basins between unstable equilibria, cut also where the noise vanishes and something
changes: at gates and repelling rest points. Where the exact process ends in a point at which no
basin has its minimum, a narrow window around that point is a place of its own.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from stationary.numbers.arithmetic import SAME, TINY
from stationary.states.distribution import EndState
from stationary.states.mixture import Atom, Escape

WINDOW = 0.01  # half the width of a window, in distances to the nearest other mark


@dataclass(frozen=True)
class Place:
    """A stretch of the line, and what the exact answer says of it."""

    lower: float
    upper: float
    position: float | None  # of its minimum, trap or wall; None where it has none
    kind: str  # "minimum", "trap", "wall", "transient" (left for good) or "between"
    exact: float | None  # its probability at eps = 0; None where it depends on the start
    first: bool = False  # whether it reaches to the lower end of the domain
    last: bool = False

    @property
    def reach(self) -> tuple[float, float]:
        """The stretch with the ends of the domain themselves."""
        return -math.inf if self.first else self.lower, math.inf if self.last else self.upper

    @property
    def span(self) -> float:
        return self.upper - self.lower

    @property
    def inside(self) -> float:
        """A point that stands for the stretch."""
        if self.position is not None:
            return self.position
        low, high = self.lower, self.upper
        if math.isinf(low):
            low = high - 2 if math.isfinite(high) else -1.0
        return (low + high) / 2 if math.isfinite(high) else low + 1


@dataclass(frozen=True)
class Outcome:
    """One way in which the exact process ends, and the places where the others would show it."""

    words: str
    places: tuple[int, ...]
    exact: float | None


def places_of(exact: EndState, regular: EndState) -> tuple[Place, ...]:
    """The places, left to right; equilibria are those of `regular`, a state with noise added."""
    lower, upper = exact.diffusion.domain
    found = regular.anatomy.equilibria
    ends = [end for end in (lower, upper) if math.isfinite(end)]
    points = exact.anatomy.points
    scale = max([abs(e.position) for e in found] + [abs(e) for e in ends] + [TINY])

    def near(x: float, others: Sequence[float]) -> bool:
        return any(abs(x - y) <= SAME * scale for y in others)

    atoms = [a.position for a in exact.atoms]
    atoms += [e.position for e in exact.escapes if math.isfinite(e.position)]
    stable = [e.position for e in found if e.stable]
    edges = [
        float(e) for p in points if p.role not in ("trap", "removable") for e in (p.lower, p.upper)
    ]
    edges += [e.position for e in found if not e.stable and not near(e.position, edges)]
    cuts = sorted({e for e in edges if lower < e < upper and not near(e, atoms)})
    windows = []
    for x in sorted(set(atoms)):
        if not near(x, stable):
            rest = [y for y in [*cuts, *stable, *atoms, *ends] if not near(x, [y])]
            d = WINDOW * min((abs(x - y) for y in rest), default=1.0)
            windows.append((max(x - d, lower), min(x + d, upper), x))
    borders = sorted({lower, upper, *cuts, *(e for a, b, _ in windows for e in (a, b))})
    f = exact.diffusion.coefficients(np.array(ends))[0] if ends else np.empty(0)
    pressed = [x for x, push in zip(ends, f, strict=True) if push * (1 if x == upper else -1) > 0]
    quiet = [p.interval for p in points if p.interval is not None]
    places = []
    for i, (a, b) in enumerate(pairwise(borders)):
        kind, position = "between", None
        window = [x for low, high, x in windows if low == a and high == b]
        minima = [x for x in stable if a < x < b]
        walls = [x for x in (a, b) if x in pressed]
        if window:
            kind, position = "trap", window[0]
        elif minima:
            at_trap = near(minima[0], atoms)
            kind = "trap" if at_trap else "minimum"
            position = min(atoms, key=lambda x: abs(x - minima[0])) if at_trap else minima[0]
        elif walls:
            kind, position = "wall", walls[0]
        place = Place(a, b, position, kind, None, i == 0, i + 2 == len(borders))
        if kind == "between":  # unless it is left for good
            left = any(c < place.inside < d for c, d in [*exact.transient, *quiet])
            kind = "transient" if left else kind
        places.append(replace(place, kind=kind, exact=_exact_mass(exact, place)))
    return tuple(places)


def _exact_mass(exact: EndState, place: Place) -> float | None:
    """The probability of a stretch at eps = 0, None where it depends on the start."""
    mass = 0.0
    if exact.kind == "none":
        outcomes = exact.classes.outcomes
        escaping = {float(o.position) for o in outcomes if o.kind == "escape"}
        lost = [e for e in exact.escapes if e.weight is None or e.weight > 0]
        if not all(e.position in escaping for e in lost):
            return None
    else:
        for c in exact.components:
            low, high = max(c.interval[0], place.lower), min(c.interval[1], place.upper)
            if low < high:
                if c.weight is None:
                    return None
                mass += c.weight * math.exp(c.log_probability(low, high))
    points: list[Atom | Escape] = [*exact.atoms, *exact.escapes]
    for atom in points:
        if place.reach[0] < atom.position < place.reach[1] and math.isfinite(atom.position):
            if atom.weight is None:
                return None
            mass += atom.weight
    return float(min(mass, 1.0))


def outcomes_of(exact: EndState, places: Sequence[Place]) -> tuple[Outcome, ...]:
    """The closed classes, each with its places."""
    v = exact.diffusion.variable
    result = []
    for o in exact.classes.outcomes:
        if o.group is None:
            x = float(o.position)
            words = f"the point {v} = {x:.6g}" if o.kind == "atom" else f"escape to {v} = {x:.6g}"
            inside = [i for i, p in enumerate(places) if p.reach[0] < x < p.reach[1]]
        else:
            group = exact.classes.groups[o.group]
            words = f"the density from {group.lower:.6g} to {group.upper:.6g}"
            inside = [
                i
                for i, p in enumerate(places)
                if group.lower <= p.inside <= group.upper and p.kind != "trap"
            ]
        known = [places[i].exact for i in inside]
        exact_mass = None if None in known or not known else sum(m for m in known if m is not None)
        result.append(Outcome(words, tuple(inside), exact_mass))
    return tuple(result)
