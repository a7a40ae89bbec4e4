"""Closed classes: where a process can end, and with what probability from each start.

Every piece of the line between zeros of the variance is either closed (nothing leaves it) or
transient: then all that is in it leaves in the end, by the lower or by the upper end, with
probabilities that the scale function gives.

References
----------
.. [1] S. Karlin and H. M. Taylor, *A Second Course in Stochastic Processes*, ch. 15.3.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stationary.line.ends import Anatomy, anatomy
from stationary.line.partition import Behaviour, Partition, Side
from stationary.line.sampling import sampling
from stationary.numbers.elementary import (
    arithmetic_of,
    compact,
    exp,
    logaddexp,
    logsumexp,
    number,
    to_float,
    zeros,
)
from stationary.weight.component import Component, component_on

__all__ = ["Classes", "Group", "Outcome", "classes_of", "joined"]

Array = NDArray[Any]


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

    @property
    def leaks(self) -> tuple[bool, bool]:
        """Whether the process can leave at the lower and at the upper end."""
        low, high = (s.behaviour.loses for s in self.sides)
        return low, high


@dataclass(frozen=True, eq=False)
class Classes:
    """All outcomes of a process, left to right, and how likely each is from a start."""

    partition: Partition
    groups: tuple[Group, ...]
    outcomes: tuple[Outcome, ...]

    @cached_property
    def cuts(self) -> Array:
        """Where the probabilities may jump or have a kink, ascending."""
        edges = {e for p in self.partition.points for e in (float(p.lower), float(p.upper))}
        return np.array(sorted(edges))

    def is_transient(self, group: Group) -> bool:
        return any(group.leaks)

    def probabilities(self, x: Array) -> Array:
        """The probability of each outcome, shape (outcomes, points), from starts of shape (M,).

        In the arithmetic of the starts. A column that adds up to less than 1 is a start at a rest
        point, which is never left.
        """
        result = zeros((len(self.outcomes), len(x)), arithmetic_of(x))
        done = np.zeros(len(x), dtype=bool)
        for g in range(len(self.groups)):
            group = self.groups[g]
            inside = (x > group.lower) & (x < group.upper)
            if inside.any():
                low, high = self._leaving(g, x[inside])
                result[:, inside] = np.outer(self._after(g, 0), low) + np.outer(
                    self._after(g, 1), high
                )
                if not self.is_transient(group):
                    result[self._index_of_group(g), inside] = 1.0
                done |= inside
        for i in np.flatnonzero(~done):
            result[:, i] = self._from_singular(float(x[i]))
        return result

    @cached_property
    def error(self) -> float:
        """The error of every probability, relative to itself or to what it lacks to 1."""
        used = [self._scale(g) for g, group in enumerate(self.groups) if all(group.leaks)]
        return float(max((j.error for j in used), default=0.0))

    def error_from(self, x: Any) -> Any:
        """The same for a single start x; a probability that is 0 to any number is that."""
        for g, group in enumerate(self.groups):
            if all(group.leaks) and group.lower < x < group.upper:
                scale = self._scale(g)
                c = next(c for c in scale.components if x <= c.interval[1])
                at = c.arithmetic.array([x])
                low, high = number(scale.logcdf(at)[0]), number(scale.logsf(at)[0])
                rare = min(low, high)
                if not exp(rare) > 0:
                    return 0.0
                joint = self.error if len(scale.components) > 1 else 0.0
                own = c.tail_error(number(at[0]), left=low < high)
                return compact(max(joint, own) + c.arithmetic.grain * abs(rare))
        return 0.0

    # -- one step ------------------------------------------------------------------------------

    def _leaving(self, g: int, x: Array) -> tuple[Array, Array]:
        """The probabilities to leave a group at its lower and at its upper end."""
        low, high = self.groups[g].leaks
        if low and high:
            scale = self._scale(g)
            at = scale.components[0].mesh.lower
            inside = arithmetic_of(at).array(x)
            both = exp(scale.logsf(inside)), exp(scale.logcdf(inside))
            return both if x.dtype == object else (to_float(both[0]), to_float(both[1]))
        return np.full(x.shape, float(low)), np.full(x.shape, float(high))

    def _scale(self, g: int) -> Joined:
        memory: dict[int, Joined] = self.__dict__.setdefault("_scales", {})
        if g not in memory:
            group = self.groups[g]
            pieces = self.partition.pieces[group.first : group.last + 1]
            # The scale density is greatest where the density has fallen to nothing.
            whole = [
                anatomy(
                    sampling(p.sampling.diffusion, complete=True, arithmetic=p.sampling.arithmetic)
                )
                if any(p.sampling.fallen)
                else p
                for p in pieces
            ]
            c = float(self.partition.diffusion.convention.value)
            memory[g] = joined([component_on(p, -1, c) for p in whole])
        return memory[g]

    def _index_of_group(self, g: int) -> int:
        return next(i for i, o in enumerate(self.outcomes) if o.group == g)

    def _after(self, g: int, end: int) -> Array:
        """The probabilities of the outcomes once the process leaves group g by an end."""
        side = self.groups[g].sides[end]
        vector = np.zeros(len(self.outcomes))
        if side.behaviour is Behaviour.CROSSES:
            return self._entering(g + (1 if end else -1), from_below=bool(end))
        for i, o in enumerate(self.outcomes):
            if side.behaviour.holds and o.kind == "atom":
                same = o.position == side.stops_at
            else:
                same = side.behaviour is Behaviour.ESCAPES and o.kind == "escape" and o.side is side
            if same:
                vector[i] = 1.0
        return vector

    def _entering(self, g: int, *, from_below: bool) -> Array:
        """The same for a process that enters group g at an end where nothing leaves it."""
        group = self.groups[g]
        if not self.is_transient(group):
            vector = np.zeros(len(self.outcomes))
            vector[self._index_of_group(g)] = 1.0
            return vector
        return self._after(g, 1 if from_below else 0)

    def _from_singular(self, x: float) -> Array:
        """The probabilities from a start exactly at an end of the domain or a singular point."""
        vector = np.zeros(len(self.outcomes))
        for i, o in enumerate(self.outcomes):
            if o.kind in ("atom", "escape") and float(o.position) == x:
                vector[i] = 1.0
                return vector
        for point in self.partition.points:
            if float(point.lower) <= x <= float(point.upper):
                return self._from_point(point, x)
        at_lower = x == self.groups[0].lower
        g = 0 if at_lower else len(self.groups) - 1
        return self._entering(g, from_below=at_lower)

    def _from_point(self, point: Any, x: float) -> Array:
        nothing = np.zeros(len(self.outcomes))
        f = float(self.partition.diffusion.coefficients(np.array([x]))[0][0])
        if f == 0:
            return nothing  # it stays where it is
        if point.interval is not None:
            # The drift alone moves it, to a zero of the drift or out of the stretch.
            low, high = sorted((x, float(point.upper if f > 0 else point.lower)))
            ahead = [
                (abs(float(o.position) - x), i)
                for i, o in enumerate(self.outcomes)
                if o.kind == "atom" and low <= float(o.position) <= high
            ]
            if ahead:
                nothing[min(ahead)[1]] = 1.0
                return nothing
        edge = float(point.upper) if f > 0 else float(point.lower)
        for g, group in enumerate(self.groups):
            if (group.lower if f > 0 else group.upper) == edge:
                return self._entering(g, from_below=f > 0)
        return nothing


def classes_of(parts: Partition) -> Classes:
    """The closed classes of a process and the other ways in which it can end."""
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
        if low is not None:
            outcomes.append(low)
        if not any(group.leaks):
            outcomes.append(_closed(parts, g, group))
        if high is not None:
            outcomes.append(high)
        at = [p for p in parts.points if float(p.lower) == group.upper]
        outcomes += [Outcome("atom", x) for p in at for x in p.stops]
    first = [p for p in parts.points if float(p.lower) < groups[0].lower]
    outcomes = [Outcome("atom", x) for p in first for x in p.stops] + outcomes
    # A trap is seen from both sides: one outcome.
    distinct: list[Outcome] = []
    for o in outcomes:
        known = any(o.kind == "atom" == d.kind and o.position == d.position for d in distinct)
        if not known:
            distinct.append(o)
    return Classes(parts, tuple(groups), tuple(distinct))


def _outcome_at(side: Side) -> Outcome | None:
    if side.behaviour.holds:
        return Outcome("atom", side.stops_at, side=side)
    if side.behaviour is Behaviour.ESCAPES:
        return Outcome("escape", side.end.position, side=side)
    return None


def _closed(parts: Partition, g: int, group: Group) -> Outcome:
    if any(s.behaviour is Behaviour.UNDECIDED for s in group.sides):
        return Outcome("not decided", group=g)
    inner = [
        end.integrable for i in range(group.first, group.last + 1) for end in parts.pieces[i].ends
    ]
    if None in inner:
        return Outcome("not decided", group=g)
    return Outcome("density" if all(inner) else "spread", group=g)


# -- densities on several pieces ----------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Joined:
    """One measure on neighbouring pieces: normalised components and their shares."""

    components: tuple[Component, ...]
    log_shares: tuple[Any, ...]  # natural logarithms; they add up to 1
    parts: tuple[Anatomy, ...]

    def logcdf(self, x: Array) -> Array:
        return self._log(x, left=True)

    def logsf(self, x: Array) -> Array:
        return self._log(x, left=False)

    @property
    def error(self) -> Any:
        return max(c.error for c in self.components)

    def _log(self, x: Array, *, left: bool) -> Array:
        terms = [
            share + (c.logcdf(x) if left else c.logsf(x))
            for share, c in zip(self.log_shares, self.components, strict=True)
        ]
        total = functools.reduce(logaddexp, terms)
        return np.asarray(np.minimum(total, 0.0))


def joined(solved: list[tuple[Anatomy, Component]]) -> Joined:
    """Neighbouring components as one measure, with int 2 f / a continuous where they meet."""
    level: Any = 0.0
    logs = []
    for k, (parts, c) in enumerate(solved):
        if k:
            level += _exponent_at(*solved[k - 1], end=1) - _exponent_at(parts, c, end=0)
        logs.append(level + c.log_norm)
    whole = logsumexp(np.array(logs))
    return Joined(
        tuple(c for _, c in solved),
        tuple(log - whole for log in logs),
        tuple(parts for parts, _ in solved),
    )


def _exponent_at(parts: Anatomy, c: Component, end: int) -> Any:
    """s int 2 f / a at an end, in the normalisation of the component's log-weight.

    Where the panels stop, 2 f / a goes on as r^-order, with order below 1.
    """
    found = parts.sampling
    side = -1 if end else 0
    signs = np.ones(len(found.ell)) if end else (-1.0) ** np.arange(len(found.ell))
    log_a, h = signs @ found.ell[:, side], signs @ found.h[:, side]
    at_edge = c.density.edge_values[end][side] + c.density.k * log_a
    order = parts.ends[end].order or 0.0
    edge = found.upper if end else found.lower
    reach = abs(edge - found.diffusion.end(end, found.arithmetic))
    return at_edge + c.density.s * (h if end else -h) * reach / (1 - order)
