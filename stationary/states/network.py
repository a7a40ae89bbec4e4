"""The line as a network: stretches with noise, and junctions that let through, hold or turn back.

Zeros of the variance, ends of the domain and targets of a passage are all junctions. A process in
a stretch leaves it, if at all, by one of its two ends, with the probabilities and after the times
that `passage` gives; a junction then holds it, lets it escape, or hands it on to what lies
beyond, into which it comes at an end by which nothing leaves. One walk from junction to junction
gives what every question about ends and arrivals needs.

References
----------
.. [1] S. Karlin and H. M. Taylor, *A Second Course in Stochastic Processes*, ch. 15.3.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np

from stationary.aliases import Array
from stationary.line.feller import Feller
from stationary.line.junction import Behaviour, SingularPoint
from stationary.line.partition import Partition
from stationary.numbers.arithmetic import DOUBLE, Arithmetic
from stationary.numbers.elementary import arithmetic_of, compact, converted, distinct, exp, to_float
from stationary.result import Data
from stationary.states.flow import travel_times
from stationary.states.law import Law, Value, filled
from stationary.states.outcomes import Group, Outcome, outcomes_of
from stationary.states.passage import Stretch

# How likely it is taken, the stretch (None: one without noise), from where, and its ends.
Leg = tuple[Value, Stretch | None, Any, tuple[Any, Any]]


@dataclass(frozen=True, eq=False, repr=False)
class Network(Data):
    """All outcomes of a process, left to right, and how likely each is from a start.

    With `targets`, ascending, the process ends at these, too. A law has as many more outcomes:
    that each target is reached, and then that each is approached for ever and never reached.
    """

    partition: Partition
    groups: tuple[Group, ...]
    outcomes: tuple[Outcome, ...]
    targets: tuple[Any, ...] = ()
    reach: tuple[Any, Any] = (None, None)  # the lowest and the highest start, for a passage
    _memory: dict[Any, Any] = field(default_factory=dict, repr=False, compare=False)

    def __repr__(self) -> str:
        kinds = ", ".join(o.kind for o in self.outcomes)
        return f"<Network of {len(self.groups)} stretches of the line: {kinds}>"

    @cached_property
    def cuts(self) -> Array:
        """Where the probabilities may jump or have a kink, ascending."""
        points = [float(e) for p in self.partition.points for e in (p.lower, p.upper)]
        points += [x for p in self.partition.points for x in p.turns]
        return distinct(np.array([*points, *map(float, self.targets)]))

    def probabilities(self, x: Any) -> Array:
        """The probability of each outcome, shape (outcomes, points), from starts of shape (M,).

        In the arithmetic of the starts; of one start, shape (outcomes,). A column that adds up to
        less than 1 is a start at a rest point, which is never left.
        """
        starts = x if hasattr(x, "dtype") else np.asarray(x, dtype=float)
        chance = self.law(starts.reshape(-1)).chance
        if starts.ndim == 0:
            chance = chance[:, 0]
        with np.errstate(under="ignore"):
            return np.asarray(np.minimum(exp(chance.log), 1))

    @cached_property
    def error(self) -> float:
        """The error of every probability, relative to itself or to what it lacks to 1."""
        through = (s[0] for s, g in zip(self._stretches, self.groups, strict=True) if all(g.leaks))
        return max((float(stretch.scale_error) for stretch in through), default=0.0)

    def error_from(self, x: Any) -> Any:
        """The same for a single start x; a probability that is 0 to any number is that."""
        at = self.partition.arithmetic.array([x])
        chance = self.law(at).chance
        with np.errstate(under="ignore"):
            some = np.asarray(exp(chance.log) > 0, dtype=bool)
        return compact(chance.error[some].max(initial=0.0))

    # -- the walk -------------------------------------------------------------------------------

    def law(self, x: Array, moments: int = 0) -> Law:
        """What becomes of starts x, shape (M,), and when: 1 with mean times, 2 with variances.

        The times of outcomes that are no targets are those until it is clear which it is.
        """
        arithmetic = arithmetic_of(x)
        law = Law.nowhere(self._count, len(x), arithmetic)
        done = np.zeros(len(x), dtype=bool)
        for i, t in enumerate(self.targets):
            done |= (here := np.asarray(x == t, dtype=bool))
            if here.any():
                self._at(len(self.outcomes) + i, arithmetic).placed(here, law)
        for g, group in enumerate(self.groups):
            for i, stretch in enumerate(self._stretches[g]):
                low, high = stretch.interval
                inside = np.asarray((x > low) & (x < high) & group.within(x), dtype=bool) & ~done
                if inside.any():
                    found = self._from_stretch(g, i, x[inside], moments)
                    found.in_arithmetic(arithmetic).placed(inside, law)
                    done |= inside
        for p in self.partition.points:
            if p.interval is not None:
                inside = np.asarray((x >= p.lower) & (x <= p.upper), dtype=bool) & ~done
                if inside.any():
                    at = to_float(x[inside])
                    self._from_flow(p, at, moments).in_arithmetic(arithmetic).placed(inside, law)
                    done |= inside
        for k in np.flatnonzero(~done):
            here = np.arange(len(x)) == k
            self._from_singular(x[k], moments).in_arithmetic(arithmetic).placed(here, law)
        return law

    @property
    def _count(self) -> int:
        return len(self.outcomes) + 2 * len(self.targets)

    def _at(self, outcome: int, arithmetic: Arithmetic = DOUBLE) -> Law:
        return Law.at(outcome, self._count, arithmetic)

    def _nowhere(self, points: int = 1) -> Law:
        return Law.nowhere(self._count, points, DOUBLE)

    def _target_at(self, x: Any) -> int | None:
        """The outcome that a target at x is."""
        return next((len(self.outcomes) + i for i, t in enumerate(self.targets) if t == x), None)

    @cached_property
    def _stretches(self) -> tuple[tuple[Stretch, ...], ...]:
        """Each group, cut at the targets in it."""
        return tuple(map(self._cut, self.groups))

    def _cut(self, group: Group) -> tuple[Stretch, ...]:
        pieces = self.partition.pieces[group.first : group.last + 1]
        lower, upper = (pieces[0].sampling.interval[0], pieces[-1].sampling.interval[1])
        inside = [t for t in self.targets if lower < t < upper and group.within(t)]
        leaves = [self._leaves(group, 0), *[(True, True)] * len(inside), self._leaves(group, 1)]
        found = []
        ends = pairwise([None, *inside, None])
        for (low, high), (below, above) in zip(ends, pairwise(leaves), strict=True):
            held = tuple(
                p
                for p in pieces
                if (low is None or p.sampling.interval[1] > low)
                and (high is None or p.sampling.interval[0] < high)
            )
            by, when = (below[0], above[0]), (below[1], above[1])
            found.append(Stretch(held, (low, high), by, when, self.reach))
        return tuple(found)

    def _leaves(self, group: Group, end: int) -> tuple[bool, bool]:
        """Whether the process leaves a group at an end, and whether in finite time."""
        side = group.sides[end]
        reached = side.end.feller in (Feller.WALL, Feller.REGULAR, Feller.EXIT)
        leaves = side.behaviour.loses
        if self._target_at((group.lower, group.upper)[end]) is not None:
            leaves |= reached
        return leaves, reached

    def _from_stretch(self, g: int, i: int, x: Array, moments: int) -> Law:
        stretches = self._stretches[g]
        stretch = stretches[i]
        x = converted(x, stretch.positions)
        if not any(stretch.leaves):
            own = [k for k, o in enumerate(self.outcomes) if o.group == g]
            return self._at(own[0]).spread(len(x)) if own else self._nowhere(len(x))
        result: Law | None = None
        chances = stretch.probabilities(x)
        for end in (0, 1):
            if not stretch.leaves[end]:
                continue
            last = i == (len(stretches) - 1 if end else 0)
            cut = stretch.interval[end]  # a target, unless it is the end of the group
            target = None if last else self._target_at(cut)
            beyond = self._after(g, end, moments) if target is None else self._at(target)
            none = Value(filled(x.shape, -math.inf, stretch.arithmetic), np.zeros(x.shape))
            times = [*stretch.times(x, end, moments), none, none][:2]
            leg = Law(*(v.as_row() for v in (chances[end], *times)))
            found = beyond.in_arithmetic(stretch.arithmetic).after(leg)
            result = found if result is None else result.or_else(found)
        assert result is not None
        return result

    def _after(self, g: int, end: int, moments: int) -> Law:
        """What comes of it once the process has left group g by an end."""
        key = ("after", g, end, moments)
        if key not in self._memory:
            self._memory[key] = self._nowhere()  # what comes back for ever ends nowhere
            self._memory[key] = self._beyond(g, end, moments)
        return self._memory[key]  # type: ignore[no-any-return]

    def _beyond(self, g: int, end: int, moments: int) -> Law:
        group, up = self.groups[g], bool(end)
        side = group.sides[end]
        edge = group.upper if up else group.lower
        here = self._target_at(edge)
        if here is not None:
            return self._at(here if self._leaves(group, end)[1] else here + len(self.targets))
        for p in self.partition.points:
            if p.interval is not None and float(p.lower if up else p.upper) == edge:
                if side.behaviour.holds and float(side.stops_at) == edge:
                    break
                return self._carried(p, np.array([float(edge)]), up, moments)
        if side.behaviour is Behaviour.CROSSES:
            return self._entering(float(edge), up, moments)
        for i, o in enumerate(self.outcomes):
            if side.behaviour.holds and o.kind == "atom":
                same = o.position == side.stops_at
            else:
                same = side.behaviour is Behaviour.ESCAPES and o.kind == "escape" and o.side is side
            if same:
                return self._at(i)
        return self._nowhere()

    def _entering(self, edge: float, from_below: bool, moments: int) -> Law:
        """What becomes of a process that comes into a group at an end by which nothing leaves."""
        g = self._group_at(edge, from_below)
        if g is None:
            return self._nowhere()
        group, stretches = self.groups[g], self._stretches[g]
        here = self._target_at(group.lower if from_below else group.upper)
        if here is not None:
            return self._at(here)
        if all(group.leaks):  # it is let in by one end, and goes out by the other
            return self._after(g, 1 if from_below else 0, moments)
        i = 0 if from_below else len(stretches) - 1
        end = stretches[i].interval[0 if from_below else 1]
        at = stretches[i].positions.array([end])
        return self._from_stretch(g, i, at, moments).in_arithmetic(DOUBLE)

    def _group_at(self, edge: float, above: bool) -> int | None:
        """The group that lies above (below) an end."""
        ends = [float(g.lower if above else g.upper) for g in self.groups]
        return ends.index(edge) if edge in ends else None

    # -- how long where -------------------------------------------------------------------------

    def occupation(self, x: Any, y: Array) -> Value:
        """The mean time spent per unit of length at points y, from a start x."""
        arithmetic = arithmetic_of(y)
        total = Value(filled(y.shape, -math.inf, arithmetic), np.zeros(y.shape))
        for chance, stretch, start, (low, high) in self._legs(x, Value(np.zeros(1), np.zeros(1))):
            inside = np.asarray((y > low) & (y < high), dtype=bool)
            if not inside.any():
                continue
            if stretch is not None:
                found = stretch.occupation(start, converted(y[inside], stretch.positions)) * chance
            else:
                f = self.partition.diffusion.coefficients(to_float(y[inside]))[0]
                with np.errstate(divide="ignore"):
                    speed = np.log(np.abs(f))
                found = Value(chance.log - speed, chance.error + DOUBLE.epsilon + 0 * speed)
            more = Value(filled(y.shape, -math.inf, arithmetic), np.zeros(y.shape))
            for mine, part in ((more.log, found.log), (more.error, found.error)):
                mine[inside] = converted(part, arithmetic)
            total = total + more
        total.log[np.asarray(y != y, dtype=bool)] = math.nan
        return total

    def _legs(self, x: Any, chance: Value, up: bool | None = None) -> Iterator[Leg]:
        """The stretches, with noise and without, on which a process that is at x comes.

        `up` is the way in which it goes at a junction, if it comes from a stretch.
        """
        if self._target_at(x) is not None:
            return
        if up is None:
            for g, group in enumerate(self.groups):
                for i, s in enumerate(self._stretches[g]):
                    if s.interval[0] < x < s.interval[1] and group.within(x):
                        yield from self._legs_from(g, i, converted(x, s.positions), chance)
                        return
            f, lowest = self._drift(x), x == self.groups[0].lower
            up = f > 0 or lowest
            if f == 0 and not lowest and x != self.groups[-1].upper:
                return
        goal = float(x)
        for p in self.partition.points:
            if p.interval is not None and p.lower <= x <= p.upper:
                edge = float(p.upper if up else p.lower)
                low, high = min(float(x), edge), max(float(x), edge)
                halts = [h for h in (*p.stops, *map(float, self.targets)) if low <= h <= high]
                goal = min(halts, default=edge) if up else max(halts, default=edge)
                yield chance, None, None, (min(float(x), goal), max(float(x), goal))
                if halts:
                    return
        g_next = self._group_at(goal, up)
        if self._target_at(goal) is None and g_next is not None:
            i = 0 if up else len(self._stretches[g_next]) - 1
            start = self._stretches[g_next][i].interval[0 if up else 1]
            yield from self._legs_from(g_next, i, start, chance)

    def _legs_from(self, g: int, i: int, x: Any, chance: Value) -> Iterator[Leg]:
        """A stretch that it comes into at x, and what follows it."""
        group, stretches = self.groups[g], self._stretches[g]
        stretch = stretches[i]
        yield chance, stretch, x, stretch.interval
        for end, part in enumerate(stretch.probabilities(stretch.positions.array([x]))):
            last = i == (len(stretches) - 1 if end else 0)
            crosses = last and group.sides[end].behaviour is Behaviour.CROSSES
            if stretch.leaves[end] and crosses and (part.log > -math.inf).all():
                edge = group.upper if end else group.lower
                yield from self._legs(edge, chance * part.in_arithmetic(DOUBLE), bool(end))

    def _drift(self, x: Any) -> float:
        return float(self.partition.diffusion.coefficients(np.array([float(x)]))[0][0])

    # -- without noise --------------------------------------------------------------------------

    def _from_flow(self, p: SingularPoint, x: Array, moments: int) -> Law:
        """Starts on a stretch without noise."""
        law = self._nowhere(len(x))
        f = self.partition.diffusion.coefficients(x)[0]
        for up, going in ((True, f > 0), (False, f < 0)):
            if going.any():
                self._carried(p, x[going], up, moments).placed(going, law)
        for i, o in enumerate(self.outcomes):
            if o.kind == "atom" and (at := (f == 0) & (x == float(o.position))).any():
                self._at(i).placed(at, law)
        return law

    def _carried(self, p: SingularPoint, x: Array, up: bool, moments: int) -> Law:
        """What the drift alone makes of starts x on a stretch without noise, all going one way.

        They come to the first target ahead, or to rest at the first stop, or leave the stretch and
        come into what follows.
        """
        law, rest = self._nowhere(len(x)), np.ones(len(x), dtype=bool)
        edge = float(p.upper if up else p.lower)
        # Of those at one place the first counts.
        halts = [*map(float, self.targets), *p.stops, edge]
        for k, goal in sorted(enumerate(halts), key=lambda halt: halt[1], reverse=not up):
            mine = rest & ((x <= goal) if up else (x >= goal))
            if not mine.any():
                continue
            rest &= ~mine
            if k < len(self.targets):
                leg = self._leg(x[mine], goal, 1)
                never = np.asarray(leg.mean.log == math.inf, dtype=bool).all()
                then = self._at(len(self.outcomes) + k + (len(self.targets) if never else 0))
                leg = leg if moments else self._leg(x[mine], goal, 0)
            elif k < len(halts) - 1:
                atoms = [i for i, o in enumerate(self.outcomes) if o.kind == "atom"]
                held = [i for i in atoms if float(self.outcomes[i].position) == goal]
                then = self._at(held[0]) if held else self._nowhere()
                leg = self._leg(x[mine], goal, 0)
            else:
                then, leg = self._entering(edge, up, moments), self._leg(x[mine], goal, moments)
            then.after(leg).placed(mine, law)
        return law

    def _leg(self, x: Array, goal: float, moments: int) -> Law:
        none = np.zeros((1, len(x)))
        sure, never = Value(none, none), Value(none - math.inf, none)
        after = travel_times(self.partition.diffusion, x, goal).as_row() if moments else never
        return Law(sure, after, never)

    def _from_singular(self, x: Any, moments: int) -> Law:
        """From a start exactly at an end of the domain or a zero of the variance."""
        for i, o in enumerate(self.outcomes):
            if o.kind in ("atom", "escape") and float(o.position) == x:
                return self._at(i)
        for k, group in ((0, self.groups[0]), (1, self.groups[-1])):
            if x == (group.lower, group.upper)[k]:
                stays = group.sides[k].end.feller is Feller.NATURAL  # it takes for ever to leave
                return self._nowhere() if stays else self._entering(float(x), k == 0, moments)
        f = self._drift(x)
        for p in self.partition.points:
            if f != 0 and p.lower <= x <= p.upper:
                return self._entering(float(p.upper if f > 0 else p.lower), f > 0, moments)
        return self._nowhere()  # it stays where it is


def network_of(parts: Partition, targets: tuple[Any, ...] = (), **more: Any) -> Network:
    """The closed classes of a process and the other ways in which it can end."""
    return Network(parts, *outcomes_of(parts), targets, **more)
