"""`Search`: the closed classes of a chain, what each of them holds, and how it comes there.

A first pass with even cells finds the closed classes. Each is then narrowed to the interval that
its own steps fill, cut into cells that are fine where its mass is, and solved three times, with
cells halved each time: from the changes come the errors. Where there are several classes, the
chain on all cells gives the probability to end in each.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import replace
from functools import partial
from itertools import pairwise

import numpy as np

from stationary.aliases import Array
from stationary.chain.batches import linear_moments
from stationary.chain.cells import bisected, dead_stretch, draws, graded, hull, surrounded
from stationary.chain.classes import FULL, check_the_cut, class_of, runs_of, still_class
from stationary.chain.closed_class import ChainClass
from stationary.chain.far import Fate, Held
from stationary.chain.ground import Ground
from stationary.chain.lattice import on_lattices
from stationary.chain.links import closed_classes
from stationary.chain.multilevel import irreducible
from stationary.chain.outcomes import SLOW, Weights, weights_of
from stationary.chain.points import FORGOTTEN, NEAREST, Points, cycle_outside, points_from, renewed
from stationary.chain.reach import is_linked
from stationary.chain.state import ChainState
from stationary.chain.tilt import Seen
from stationary.chain.transfer import Transfer
from stationary.errors import Status
from stationary.numbers.arithmetic import SAME, TINY
from stationary.states.mixture import Atom, Escape
from stationary.wording import place_text

ROUGH = 1e-4  # of log masses, good enough to lay cells by
PASSES = 6  # of cells laid by what others hold
LINKED = (
    "Whether SGD passes from one part of the line to another, and how often, rests on outcomes of "
    "a step so rare that no node stands for them. What it does on one of them is known: give that, "
    "as in domain = ({}, {})."
)
CYCLE = (
    "From some points SGD only ever steps to and fro between a few others, which its cells blur: "
    "where it ends depends on where it starts. Give a point, as in initial = {0:.6g}."
)
JUMPS = (
    "At some of its points steps jump, so that rounding decides where they lead: the law is known "
    "to {0:.1g}. From a start beside it is known."
)
COARSE = 0.05  # an error of the distribution function that asks for more cells


class Search:
    """What `exact_chain` learns on its way."""

    def __init__(self, ground: Ground) -> None:
        self.ground = ground
        self.notes = [ground.batches.note] if ground.batches.note else []
        self.profile: Seen | None = None  # where the mass is: edges and masses
        self.split = False  # whether a class turned out to be several
        self.neutral = np.empty(0)  # outside of all classes, where no map changes distances

    def state(self) -> ChainState:
        if self.ground.held.tails or (self.ground.held.wide and not self.ground.cores):
            self._draw_in()
        if (single := self._on_points() or self._on_lattices()) is not None:
            return single
        points, intervals, components = self._classes()
        others = len(intervals) != 1 or points or components or "leave" in self.ground.held.ends
        back = None if others else renewed(self.ground.batches, *intervals[0])
        if back is not None:
            return self._of_points(back)
        for low, high in intervals:
            if (solved := self._solved(low, high)) is not None:
                components.append(solved)
        return self._weighed(points, components)

    def _draw_in(self) -> None:
        """See where the law is, and cut tails that hold next to nothing, but no minimum."""
        ground, held = self.ground, self.ground.held
        first, last = surrounded(ground.batches, held.lower, held.upper)
        core = ((held.lower + held.upper) / 2, 1e-9 * (held.upper - held.lower))
        profile = None
        for _ in range(3):
            edges = graded(
                held.lower, held.upper, ground.cells // 4, profile=profile, cores=[core], even=0.5
            )
            (chain,) = ground.chain(edges, held.ends, leaning=False)
            mass = np.zeros(chain.cells)
            for members in closed_classes(chain.inner):
                mass += np.exp(chain.stationary(members))
            mass /= mass.sum()
            low, high = held.lower, held.upper
            if held.tails:
                low = edges[max(int((np.cumsum(mass) < FORGOTTEN).sum()) - 1, 0)]
                high = edges[::-1][max(int((np.cumsum(mass[::-1]) < FORGOTTEN).sum()) - 1, 0)]
                a, b = (low, high) if ground.start is None else ground.start.span
                low, high = float(min(low, first, a)), float(max(high, last, b))
            below = np.append(0.0, np.cumsum(mass))
            left, middle, right = np.interp([0.05, 0.5, 0.95], below, edges)
            core = (float(middle), max(float(right - left), 1e-12 * (high - low)))
            profile = (edges, mass)
            ground = self.ground.within(low, high, core)
            held = ground.held
        self.profile, self.ground = profile, ground
        if held.tails:
            self._say_what_is_cut(held)

    def _say_what_is_cut(self, held: Held) -> None:
        far = replace(held.far, left_out=FORGOTTEN)
        self.ground = replace(self.ground, held=replace(held, far=far))
        low, high = (f"{x:.6g}" for x in (held.lower, held.upper))
        allowed = ", for which errors allow." * math.isfinite(far.exponent)
        if low != high:  # else it is an atom that walkers are drawn to
            self.notes.append(
                f"No bounded interval holds every walker. What lies beyond ({low}, {high}) was "
                f"left out: about {FORGOTTEN:.0e} of the probability{allowed}"
            )

    def _on_points(self) -> ChainState | None:
        """The law, where a start at points leads to few others."""
        ground, start = self.ground, self.ground.start
        if start is None or start.law is not None:
            return None
        found = points_from(ground.batches, ground.held, start.points, start.weights)
        return None if found is None else self._of_points(found)

    def _of_points(self, found: Points) -> ChainState:
        pairs = zip(found.position.tolist(), found.weight.tolist(), strict=True)
        self.notes.append(
            f"From its start SGD can only ever be at {len(found.position)} points: the law is one "
            "of atoms, solved without cells."
            if self.ground.start is not None
            else f"Some minibatches lead to one point from everywhere, so that the law is one of "
            f"atoms: {len(found.position)} of them, without {found.doubt:.1g} of the probability."
        )
        self.notes += [JUMPS.format(found.doubt)] * found.jumps
        weights = Weights(None, 4e-14 + found.doubt, found.log_arrival)
        atoms = [Atom(x, p) for x, p in pairs]
        law = self._finished(atoms, [], [], weights)
        return replace(law, is_one=found.is_one, log_weight_error=found.log_error)

    def _on_lattices(self) -> ChainState | None:
        """The law, where all steps are multiples of one length."""
        known = on_lattices(self.ground.batches, self.ground.held, self.ground.start)
        return None if known is None else self._assembled([], known[0], self._outside(), known[1])

    # -- closed classes -------------------------------------------------------------------------

    def _classes(self) -> tuple[list[float], list[tuple[float, float]], list[ChainClass]]:
        """The atoms, the intervals of the classes that are spread out, and what stands still."""
        ground, held = self.ground, self.ground.held
        given = ground.cells, ground.rests, ground.joints, self.profile
        edges = graded(held.lower, held.upper, *given, cores=ground.cores)
        (chain,) = ground.chain(edges, held.ends, leaning=False)
        points = [p.position for p in ground.rests if p.attracts]
        intervals: list[tuple[float, float]] = []
        closed = ground.closed(chain)
        check_the_cut(ground, edges, closed, points)
        rigid = (chain.moving == 0) & (ground.captured(edges) < 0)
        rigid[[k for members in closed for k in members]] = False
        self.neutral = ((edges[1:] + edges[:-1]) / 2)[rigid]
        still = np.array([c[0] for c in closed if len(c) == 1 and self._stands(edges, c[0])], int)
        runs = runs_of(still)
        seen = (dead_stretch(ground.batches, edges, run, ground.joints) for run in runs)
        dead = tuple(filter(None, seen))
        if not ground.dead and dead:  # cells are to end where it does
            self.ground = replace(ground, dead=dead)
            return self._classes()
        spans = [(float(edges[run[0]]), float(edges[run[-1] + 1])) for run in runs]
        resting = [still_class(chain, *span, dead=span in dead) for span in spans]
        for members in closed:
            if len(members) == 1 and members[0] in still:
                continue
            low, high = float(edges[members[0]]), float(edges[members[-1] + 1])
            endless = held.far.fate is Fate.SPREADS and "keep" not in held.ends
            if endless and (low == held.lower or high == held.upper):
                continue  # it goes on for ever
            if held.ends[0] != "periodic":
                low, high = hull(ground.batches, low, high, held, ground.joints)
            ends = [e for e in (low, high) if any(e in stretch for stretch in spans)]
            drawn = [e for e in ends if draws(ground.batches, e, low + high - e)]
            if drawn:
                points.append(drawn[0])
            elif high - low <= max(NEAREST * max(abs(low), abs(high)), TINY):
                # Doubles cannot tell its points apart.
                points.append(0.0 if low <= 0 <= high else (low + high) / 2)
            elif (low, high) not in intervals:
                intervals.append((low, high))
        return sorted(points), intervals, resting

    def _stands(self, edges: Array, cell: int) -> bool:
        """Whether no datapoint has a gradient in a cell, to speak of."""
        batches, width = self.ground.batches, edges[cell + 1] - edges[cell]
        steps = batches.rate * batches.gradients(edges[cell] + np.array([0.2, 0.5, 0.8]) * width)
        return bool((np.abs(steps) <= SAME * width).all())

    # -- one class ------------------------------------------------------------------------------

    def _solved(self, low: float, high: float) -> ChainClass | None:
        ground, held = self.ground, self.ground.held
        ends = (
            held.ends[0] if low == held.lower else "keep",
            held.ends[1] if high == held.upper else "keep",
        )
        joints = ground.joints[(low < ground.joints) & (ground.joints < high)]
        laid = partial(graded, low, high, rests=ground.rests, joints=joints, cores=ground.cores)
        count = max(ground.cells // 4, 16)
        seen, profile = None, self.profile
        for k in range(PASSES):
            edges = laid(count=count, profile=profile)
            (chain,) = ground.chain(edges, ends, seen)
            log_mass = self._stationary(chain, seen, ROUGH)
            if log_mass is None:
                return None
            seen, profile = (edges, log_mass), (edges, np.exp(log_mass))
            if k and profile[1].max() < FULL / count:
                break
        fine = bisected(bisected(edges))
        other = laid(count=int(0.7 * ground.cells), profile=profile, even=0.75)
        free = ends == ("keep", "keep")
        exact = linear_moments(ground.batches, low, high, held.far.exponent) if free else None
        # Halved cells share their blind spots: others, laid differently, look from outside.
        chains = [*ground.chain(fine, ends, seen, levels=3)[::-1], *ground.chain(other, ends, seen)]
        levels = []
        for chain in chains:
            log_mass = self._stationary(chain, seen)
            if log_mass is None:
                return None
            seen = (chain.edges, log_mass)
            levels.append((chain, log_mass))
        result = class_of(levels[:3], levels[3], (low, high), held.far, exact)
        # Where mass stays in few cells however they are laid, their histogram says nothing.
        return replace(result, has_density=None) if k > 1 and result.has_density else result

    def _stationary(
        self, chain: Transfer, seen: Seen | None, settled: float = 1e-11
    ) -> Array | None:
        """The logarithm of its stationary vector."""
        guess = None
        if seen is not None and np.isfinite(seen[1]).any():
            before, middle = ((e[1:] + e[:-1]) / 2 for e in (seen[0], chain.edges))
            known = np.isfinite(seen[1])
            density = seen[1][known] - np.log(np.diff(seen[0])[known])
            guess = np.interp(middle, before[known], density) + np.log(np.diff(chain.edges))
        if (self.ground.captured(chain.edges) < 0).all() and not chain.leaving.any():
            log_mass = irreducible(chain.inner, guess)  # found at once, and the only one
            if log_mass is not None:
                return log_mass
        classes = self.ground.closed(chain)
        if not classes:
            return None
        if len(classes) > 1:
            width = [float(np.diff(chain.edges)[c].sum()) for c in classes]
            classes = [classes[int(np.argmax(width))]]
            self.split = True
        return chain.stationary(classes[0], guess, settled)

    # -- their weights --------------------------------------------------------------------------

    def _outside(self) -> list[Escape]:
        """Where the walker can leave for good."""
        walls, kinds = self.ground.batches.landscape.domain, self.ground.held.ends
        return [
            Escape(end, None, "runs away to infinity" if math.isinf(end) else "stops at the end")
            for end, kind in zip(walls, kinds, strict=True)
            if kind == "leave"
        ]

    def _weighed(self, points: list[float], components: list[ChainClass]) -> ChainState:
        """The end state, with the weights of all that it can end in."""
        ground, outside = self.ground, self._outside()
        components = sorted(components, key=lambda c: c.interval)
        for p in ground.rests:
            if p.attracts:
                self.notes.append(
                    f"w = {p.position:.9g} is a rest point of every datapoint and attracts "
                    f"(log distance changes by {p.exponent:.4g} per step): it holds what comes."
                )
        resting = [p.position for p in ground.rests if not p.attracts]
        stays = np.zeros(len(resting))
        if ground.start is not None:
            stays = np.array([ground.start.mass_at(p) for p in resting])
        found = weights_of(ground, points, components, outside, float(stays.sum()))
        still = zip(resting, stays, strict=True)
        state = self._assembled(points, components, outside, found, still)
        spans = [*((p, p) for p in points), *(c.interval for c in components)]
        linked = bool(components) and is_linked(ground, spans, found.log_arrival > SLOW)
        at = cycle_outside(ground.batches, ground.held, self.neutral, spans)
        if not linked and at is None:
            return state
        reason = self._parted(sorted(spans)) if at is None else CYCLE.format(at)
        return replace(state, kind="classes", reason=reason, status=Status.INEXACT, linked=True)

    def _parted(self, spans: list[tuple[float, float]]) -> str:
        """That steps may link what nodes do not, and which part of the line is known by itself."""
        start, (low, high) = self.ground.start, self.ground.batches.landscape.domain
        cuts = [low, *((a[1] + b[0]) / 2 for a, b in pairwise(spans)), high]
        k = 0 if start is None else bisect_right(cuts[1:-1], start.ppf(0.5))
        part = spans[0] if len(spans) == 1 else (cuts[k], cuts[k + 1])
        return LINKED.format(*(place_text(x, spans[k][1] - spans[k][0]) for x in part))

    def _assembled(
        self,
        points: list[float],
        components: list[ChainClass],
        outside: list[Escape],
        found: Weights,
        stays: Iterable[tuple[float, float]] = (),
    ) -> ChainState:
        """With the weight of each; `stays` is what never leaves its start."""
        count = len(points) + len(components) + len(outside)
        n: list[float | None] = [None] * count
        if found.weights is not None:
            n = [max(float(w), 0.0) for w in found.weights]
        a, b = len(points), len(points) + len(components)
        atoms = [Atom(p, w) for p, w in zip(points, n[:a], strict=True)]
        atoms += [Atom(p, float(s)) for p, s in stays if s > 0]
        components = [replace(c, weight=w) for c, w in zip(components, n[a:b], strict=True)]
        escapes = []
        for e, w in zip(outside, n[b:], strict=True):
            if math.isinf(e.position):
                escapes.append(replace(e, weight=w))
            elif w is None or w > 0:
                atoms.append(Atom(e.position, w))
        atoms.sort(key=lambda x: x.position)
        return self._finished(atoms, components, escapes, found)

    # -- in words -------------------------------------------------------------------------------

    def _finished(
        self, atoms: list[Atom], components: list[ChainClass], escapes: list[Escape], found: Weights
    ) -> ChainState:
        notes, ground = self.notes, self.ground
        lasting = bool(atoms or components)
        weights = [a.weight for a in atoms] + [c.weight for c in components]
        unknown = lasting and None in [*weights, *(e.weight for e in escapes)]
        reason, kind = "", "density"
        status = Status.CONVERGED
        lost = sum(e.weight or 0.0 for e in escapes)
        if unknown:
            kind = "classes"
            count = len(atoms) + len(components) + len(escapes)
            reason = (
                f"the chain can end in {count} closed classes, and in which depends on where it "
                "starts. Give initial, as in initial = 0.3."
            )
        elif not lasting or lost > 1 - 1e-12:
            kind, status = "none", Status.NOT_NORMALISABLE
            fate = ground.held.far.fate
            reason = (fate if fate is not Fate.RETURNS else Fate.DIVERGES).value
        elif not any(c.weight for c in components):
            kind = "atoms"
        elif any(a.weight for a in atoms) or lost:
            kind = "mixture"
        far, ending = ground.held.far.told(comes_to_rest=kind == "atoms")
        notes += [*ending, *(note for c in components for note in c.notes)]
        if not found.sound:
            status = Status.INEXACT
            notes.append(
                "Parts of the chain lead to no closed class that was found, or with probabilities "
                "below 1e-305, which doubles do not hold: weights are not reliable."
            )
        if self.split:
            status = Status.INEXACT
            notes.append(
                "Some cells of a class turned out to lead nowhere else: it falls into several, of "
                f"which the widest is shown. Ask for more than {ground.cells} cells to part them."
            )
        worst = max((c.cdf_error for c in components if not c.still), default=0.0)
        if not components and found.error > COARSE:
            status = Status.INEXACT
        if status is Status.CONVERGED and worst > COARSE:
            status = Status.INEXACT
            notes.append(f"The cells are coarse for this chain. Ask for more than {ground.cells}.")
        return ChainState(
            landscape=ground.batches.landscape,
            batches=ground.batches,
            atoms=tuple(atoms),
            components=tuple(components),
            status=status,
            kind=kind,
            cells=ground.cells,
            weight_error=found.error,
            log_arrival=found.log_arrival,
            arrival_error=found.arrival_error,
            reason=reason if kind != "density" else "",
            notes=tuple(notes),
            escapes=tuple(escapes),
            initial=ground.start if not unknown else None,
            far=far,
            span=(ground.held.lower, ground.held.upper),
        )
