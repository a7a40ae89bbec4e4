"""How a process can end: in closed classes, at points, or nowhere.

Neighbouring pieces of the line between which it passes both ways are one group. A group that
nothing leaves is a closed class; where something leaves, it is held, escapes, or goes over into
another group.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from stationary.line.junction import Behaviour, Side
from stationary.line.partition import Partition


@dataclass(frozen=True)
class Outcome:
    """One of the ways in which a process can end."""

    kind: str  # "density", "atom", "escape", "spread" (without end) or "not decided"
    position: Any = None  # of an atom or an escape; exact, see `SingularPoint.lower`
    group: int | None = None  # of a density, or of what spreads
    side: Side | None = None  # which end of a piece leads there


@dataclass(frozen=True)
class Group:
    """Neighbouring pieces between which the process passes both ways; mostly a single one."""

    first: int  # index of its first piece
    last: int
    lower: float
    upper: float
    sides: tuple[Side, Side]

    def within(self, x: Any) -> Any:
        """Whether points are not those that its ends are given as, which may be digits away."""
        return (x != self.lower) & (x != self.upper)

    @property
    def leaks(self) -> tuple[bool, bool]:
        """Whether the process can leave at the lower and at the upper end."""
        low, high = (s.behaviour.loses for s in self.sides)
        return low, high

    @property
    def is_transient(self) -> bool:
        """Whether the process leaves it for good."""
        return any(self.leaks)


def outcomes_of(parts: Partition) -> tuple[tuple[Group, ...], tuple[Outcome, ...]]:
    """The groups of pieces, and the ways in which a process on them can end, left to right."""
    groups: list[Group] = []
    for i, sides in enumerate(parts.sides):
        lower, upper = parts.pieces[i].sampling.diffusion.domain
        passes = bool(groups) and sides[0].passes_both_ways and groups[-1].sides[1].passes_both_ways
        if passes and groups[-1].upper == lower:
            before = groups.pop()
            groups.append(Group(before.first, i, before.lower, upper, (before.sides[0], sides[1])))
        else:
            groups.append(Group(i, i, lower, upper, sides))
    outcomes: list[Outcome] = []
    for g, group in enumerate(groups):
        low, high = (_outcome_at(s) for s in group.sides)
        at = [p for p in parts.points if float(p.lower) == group.upper]
        found = [low, None if group.is_transient else _closed(parts, g, group), high]
        outcomes += [o for o in found if o is not None]
        outcomes += [Outcome("atom", x) for p in at for x in p.stops]
    first = [p for p in parts.points if float(p.lower) < groups[0].lower]
    outcomes = [Outcome("atom", x) for p in first for x in p.stops] + outcomes
    # A trap is seen from both sides: one outcome.
    distinct: list[Outcome] = []
    for o in outcomes:
        known = any(o.kind == "atom" == d.kind and o.position == d.position for d in distinct)
        if not known:
            distinct.append(o)
    return tuple(groups), tuple(distinct)


def _outcome_at(side: Side) -> Outcome | None:
    if side.behaviour.holds:
        return Outcome("atom", side.stops_at, side=side)
    if side.behaviour is Behaviour.ESCAPES:
        return Outcome("escape", side.end.position, side=side)
    return None


def _closed(parts: Partition, g: int, group: Group) -> Outcome:
    if any(s.behaviour is Behaviour.UNDECIDED for s in group.sides):
        return Outcome("not decided", group=g)
    pieces = parts.pieces[group.first : group.last + 1]
    inner = [end.integrable for piece in pieces for end in piece.ends]
    kind = "not decided" if None in inner else "density" if all(inner) else "spread"
    return Outcome(kind, group=g)
