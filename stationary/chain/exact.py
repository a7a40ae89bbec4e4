"""`exact_chain`: where SGD with its finite step ends up, without diffusion and Monte Carlo.

A first pass with even cells finds the closed classes. Each is then narrowed to the interval that
its own steps fill, cut into cells that are fine where its mass is, and solved three times, with
cells halved each time: from the changes come the errors. Where there are several classes, the
chain on all cells gives the probability to end in each.
"""

from __future__ import annotations

import math
from dataclasses import replace
from numbers import Integral
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from stationary.chain.batches import batches_of
from stationary.chain.cells import (
    bisected,
    graded,
    hull,
    rest_points,
    tail_powers,
    working,
)
from stationary.chain.closed_class import FULL, ChainClass, class_of, still_class
from stationary.chain.outcomes import Outcomes
from stationary.chain.state import ChainState
from stationary.chain.transfer import Transfer, closed_classes, transfer
from stationary.errors import LandscapeError, Status
from stationary.functions.given import Boundary, checked_boundaries
from stationary.process.initial import Initial
from stationary.process.landscape import Landscape
from stationary.sources.loading import ProcessLike, as_process
from stationary.states.mixture import Atom, Escape

__all__ = ["exact_chain"]

Array = NDArray[Any]

FEWEST, MOST = 32, 8000  # cells
NARROW = 64 * np.finfo(float).eps  # classes narrower than this, relative, are points
TRIM = 1e-14  # mass of a tail that is left out
PASSES = 6  # of cells laid by what others hold
COARSE = 0.05  # an error of the distribution function that asks for more cells


def exact_chain(landscape: ProcessLike, initial: Any = None, *, cells: int = 2000) -> ChainState:
    """The end state of SGD as it steps: a Markov chain, each step one of the minibatches' maps.

    Parameters
    ----------
    landscape
        Its learning rate, batch size and domain count; its convention does not, since a chain
        with finite steps needs none. A step beyond a finite end is turned back, as the diffusion
        is, and `ChainState.folded` says how often; at an absorbing end it stops.
    initial
        Where SGD starts, as for a landscape; None: what the landscape says. It matters only
        where there are several closed classes.
    cells
        How many on each class; the answer is compared with those of half and a quarter as many.

    Returns
    -------
    ChainState
        Mean and variance are exact but for rounding where all gradients are linear; else their
        errors, and those of the distribution function, fall with the square of the cell where
        there is a smooth density, and more slowly where there is none.

    Raises
    ------
    LandscapeError
        If the landscape is none, or the gradients are not finite where a step leads.
    """
    process = as_process(landscape, "exact_chain")
    if not isinstance(process, Landscape):
        raise LandscapeError(
            f"exact_chain takes a Landscape, not {process!r:.60}: a drift and a variance alone "
            "do not say what steps SGD takes. Give the losses or gradients of the datapoints."
        )
    landscape = process
    name = landscape.name
    if isinstance(cells, bool) or not isinstance(cells, Integral) or not FEWEST <= cells <= MOST:
        raise LandscapeError(
            f"{name}: cells = {cells!r:.40} must be a whole number from {FEWEST} to {MOST}."
        )
    given = landscape.initial if initial is None else initial
    start = None
    if given is not None:
        start = Initial.of(given, domain=landscape.domain, name=name, variable="w")
    batches = batches_of(landscape)
    notes = [batches.note] if batches.note else []
    held = working(batches, _ends(landscape), _range(start))
    solver = _Solver(batches, held, int(cells), start, notes)
    return solver.state()


def _ends(landscape: Landscape) -> tuple[str, str]:
    words = {Boundary.ABSORBING: "leave", Boundary.PERIODIC: "periodic"}
    low, high = (
        "fold" if b is None else words.get(b, "fold")
        for b in checked_boundaries(landscape.boundaries, landscape.name)
    )
    return low, high


def _range(start: Initial | None) -> tuple[float, float] | None:
    """Where nearly all of a start lies."""
    if start is None:
        return None
    if start.law is None:
        return float(start.points.min()), float(start.points.max())
    few = start.rvs(200_000, 0)
    return float(few.min()), float(few.max())


class _Solver(Outcomes):
    """What `exact_chain` knows on its way."""

    # -- the whole ------------------------------------------------------------------------------

    def state(self) -> ChainState:
        if self.held.tails:
            self._draw_in()
        atoms, spread = self._classes()
        escapes = self._outside()
        solved = [self._solved(*interval) for interval in spread]
        components = [c for c in (*solved, *self.still) if c is not None]
        return self._weighed(atoms, components, escapes)

    def _draw_in(self) -> None:
        """Cut tails that hold next to nothing."""
        held = self.held
        middle = (held.lower + held.upper) / 2
        profile = None
        for _ in range(2):
            if profile is None:
                half = np.geomspace(1e-9, 1, self.cells // 4) * (held.upper - held.lower) / 2
                edges = np.unique(np.concatenate([middle - half, middle + half]))
                edges[0], edges[-1] = held.lower, held.upper
            else:
                edges = graded(held.lower, held.upper, self.cells // 2, profile=profile)
            chain = transfer(self.batches, edges, held.ends, np.empty(0))
            classes = closed_classes(chain.inner)
            mass = np.zeros(chain.cells)
            for members in classes:
                log_mass, _ = chain.stationary(members)
                mass += np.exp(log_mass)
            mass /= mass.sum()
            low = edges[max(int((np.cumsum(mass) < TRIM).sum()) - 1, 0)]
            high = edges[::-1][max(int((np.cumsum(mass[::-1]) < TRIM).sum()) - 1, 0)]
            if self.start is not None:
                a, b = _range(self.start) or (low, high)
                low, high = min(low, a), max(high, b)
            heavy = low == edges[0] or high == edges[-1]
            profile = (edges, mass)
            held = replace(held, lower=float(low), upper=float(high))
        self.profile = profile
        self.held = held
        self.rests = rest_points(self.batches, held.lower, held.upper)
        powers = tail_powers(self.batches, held.lower, held.upper)
        text = f"about {TRIM:.0e} of the probability."
        if heavy:
            self.heavy = (powers[0] >= 1, powers[1] >= 1)
            text = "a tail that falls like a power, which is not part of the errors."
        self.notes.append(
            "No bounded interval holds every walker. What lies beyond "
            f"({held.lower:.6g}, {held.upper:.6g}) was left out: {text}"
        )
        if self.heavy[1]:
            what = (
                "neither mean nor variance exist" if self.heavy[0] else "the variance is infinite"
            )
            self.notes.append(f"Far out some steps overshoot ever farther: {what}.")

    # -- closed classes -------------------------------------------------------------------------

    def _closed(self, chain: Transfer) -> list[Array]:
        """The closed classes of cells; what is captured or leaves is none of them."""
        n = chain.cells
        owner = self.captured(chain.edges)
        matrix = sp.vstack([chain.matrix, sp.csr_array((2, n + 2))]).tocsr()
        stopped = np.append(owner >= 0, [True, True])
        keep = sp.diags_array((~stopped).astype(float))
        classes = closed_classes((keep @ matrix + sp.diags_array(stopped.astype(float))).tocsr())
        return [c for c in classes if not stopped[c].any()]

    def _classes(self) -> tuple[list[float], list[tuple[float, float]]]:
        """The atoms, and the intervals of the classes that are spread out."""
        held = self.held
        edges = graded(held.lower, held.upper, self.cells, self.rests, self.joints, self.profile)
        chain = self.chain(edges, held.ends)
        points = [p.position for p in self.rests if p.attracts]
        intervals: list[tuple[float, float]] = []
        closed = self._closed(chain)
        still = np.array([c[0] for c in closed if len(c) == 1 and self._stands(edges, c[0])], int)
        for run in np.split(still, np.flatnonzero(np.diff(still) > 1) + 1):
            if len(run):
                self.still.append(
                    still_class(chain, float(edges[run[0]]), float(edges[run[-1] + 1]))
                )
        for members in closed:
            if len(members) == 1 and members[0] in still:
                continue
            low, high = float(edges[members[0]]), float(edges[members[-1] + 1])
            if held.ends[0] != "periodic":
                low, high = hull(self.batches, low, high, held)
            if high - low <= NARROW * max(abs(low), abs(high)):
                points.append((low + high) / 2)  # doubles cannot tell its points apart
            elif (low, high) not in intervals:
                intervals.append((low, high))
        return sorted(points), intervals

    def _stands(self, edges: Array, cell: int) -> bool:
        """Whether no datapoint has a gradient in a cell."""
        w = edges[cell] + np.array([0.2, 0.5, 0.8]) * (edges[cell + 1] - edges[cell])
        return bool((self.batches.gradients(w) == 0).all())

    # -- one class ------------------------------------------------------------------------------

    def _solved(self, low: float, high: float) -> ChainClass | None:
        held = self.held
        ends = (
            held.ends[0] if low == held.lower else "keep",
            held.ends[1] if high == held.upper else "keep",
        )
        joints = self.joints[(low < self.joints) & (self.joints < high)]
        profile = self.profile
        count = max(self.cells // 4, 16)
        seen = None
        for k in range(PASSES):
            edges = graded(low, high, count, self.rests, joints, profile)
            found = self._level(edges, ends, seen)
            if found is None:
                return None
            seen = (edges, found[1])
            profile = (edges, np.exp(found[1]))
            if k and profile[1].max() < FULL / count:
                break
        levels = []
        for _ in range(3):
            found = self._level(edges, ends, seen)
            if found is None:
                return None
            levels.append(found)
            seen = (edges, found[1])
            edges = bisected(edges)
        # Halved cells share their blind spots: others, laid differently, look from outside.
        other = graded(low, high, int(0.7 * self.cells), self.rests, joints, profile, even=0.75)
        check = self._level(other, ends, seen)
        if check is None:
            return None
        result = class_of(levels, check, low, high, self.heavy)
        # Where mass stays in few cells however they are laid, their histogram says nothing.
        return replace(result, has_density=None) if k > 1 and result.has_density else result

    def _level(
        self, edges: Array, ends: tuple[str, str], seen: tuple[Array, Array] | None
    ) -> tuple[Transfer, Array] | None:
        """A chain and the logarithm of its stationary vector."""
        chain = self.chain(edges, ends, seen)
        classes = self._closed(chain)
        if not classes:
            return None
        if len(classes) > 1:
            width = [float(np.diff(edges)[c].sum()) for c in classes]
            classes = [classes[int(np.argmax(width))]]
            self.split = True
        log_mass, sound = chain.stationary(classes[0])
        self.sound &= sound
        return chain, log_mass

    # -- their weights --------------------------------------------------------------------------

    def _outside(self) -> list[Escape]:
        """Where the walker can leave for good."""
        held = self.held
        found = []
        for k, end in enumerate(self.landscape.domain):
            if held.ends[k] == "leave":
                words = "runs away to infinity" if math.isinf(end) else "stops at the end"
                found.append(Escape(end, None, words))
        return found

    def _weighed(
        self, points: list[float], components: list[ChainClass], outside: list[Escape]
    ) -> ChainState:
        """The end state, with the weights of all that it can end in."""
        components = sorted(components, key=lambda c: c.interval)
        resting = [p.position for p in self.rests if not p.attracts]
        count = len(points) + len(components) + len(outside)
        weights: Array | None = None
        error = 0.0
        stays = np.zeros(len(resting))
        if self.start is not None:
            stays = np.array([self.start.mass_at(p) for p in resting])
        if count == 1:
            weights = np.array([1 - stays.sum()])
        if count > 1:
            weights, error, certain = self.weights(points, components, outside, stays.sum())
            if weights is None and certain is not None:
                weights = certain
        elif points or [c.interval for c in components] != [(self.held.lower, self.held.upper)]:
            self.absorbed(self.passing(components, points), points, components, outside)
        if points or components:
            self.arrival()
        n: list[float | None] = [None] * count
        if weights is not None:
            n = [max(float(w), 0.0) for w in weights]
        a, b = len(points), len(points) + len(components)
        atoms = [Atom(p, w) for p, w in zip(points, n[:a], strict=True)]
        atoms += [Atom(p, float(s)) for p, s in zip(resting, stays, strict=True) if s > 0]
        components = [replace(c, weight=w) for c, w in zip(components, n[a:b], strict=True)]
        escapes = []
        for e, w in zip(outside, n[b:], strict=True):
            if math.isinf(e.position):
                escapes.append(replace(e, weight=w))
            elif w is None or w > 0:
                atoms.append(Atom(e.position, w))
        atoms.sort(key=lambda x: x.position)
        return self._finished(atoms, components, escapes, error)

    # -- in words -------------------------------------------------------------------------------

    def _finished(
        self,
        atoms: list[Atom],
        components: list[ChainClass],
        escapes: list[Escape],
        error: float,
    ) -> ChainState:
        notes = self.notes
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
            reason = (
                "Its steps lead ever farther away: it diverges. Where T times the curvature is "
                "above 2 every step grows, and a lower learning rate helps; where the losses fall "
                "for ever it does not."
            )
        elif not any(c.weight for c in components):
            kind = "atoms"
        elif any(a.weight for a in atoms) or lost:
            kind = "mixture"
        notes += [note for c in components for note in c.notes]
        for p in self.rests:
            if p.attracts:
                notes.append(
                    f"w = {p.position:.9g} is a rest point of every datapoint and attracts "
                    f"(log distance changes by {p.exponent:.4g} per step): it holds what comes."
                )
        if not self.sound:
            status = Status.INEXACT
            notes.append(
                "Parts of the chain are linked by probabilities beyond 1e-290, which doubles "
                "cannot hold: their relative weight is not reliable."
            )
        if self.split:
            status = Status.INEXACT
            notes.append(
                "Some cells of a class turned out to lead nowhere else: it falls into several, of "
                f"which the widest is shown. Ask for more than {self.cells} cells to part them."
            )
        worst = max((c.cdf_error for c in components if not c.still), default=0.0)
        if status is Status.CONVERGED and worst > COARSE:
            status = Status.INEXACT
            notes.append(f"The cells are coarse for this chain. Ask for more than {self.cells}.")
        known = self.start if not unknown else None
        return ChainState(
            landscape=self.landscape,
            batches=self.batches,
            atoms=tuple(atoms),
            components=tuple(components),
            status=status,
            kind=kind,
            cells=self.cells,
            weight_error=error,
            log_arrival=self.log_arrival,
            reason=reason if kind != "density" else "",
            notes=tuple(notes),
            escapes=tuple(escapes),
            initial=known,
        )
