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

from stationary.batches import Batches, batches_of
from stationary.cells import (
    Held,
    RestPoint,
    bisected,
    capture,
    graded,
    hull,
    rest_points,
    tail_powers,
    working,
)
from stationary.chain_state import ChainClass, ChainState, unevenness
from stationary.diffusion import Boundary, checked_boundaries
from stationary.distribution import Atom, Escape
from stationary.elimination import Elimination
from stationary.errors import LandscapeError, Status
from stationary.exit_time import refined_limit
from stationary.initial import Initial
from stationary.landscape import Landscape
from stationary.transfer import Transfer, closed_classes, transfer
from stationary.wording import time_text

__all__ = ["exact_chain"]

Array = NDArray[Any]

FEWEST, MOST = 32, 8000  # cells
NARROW = 64 * np.finfo(float).eps  # classes narrower than this, relative, are points
TRIM = 1e-14  # mass of a tail that is left out
SLOW = 1e6  # steps until a closed class that are worth a word
TREE = 20_000  # points of a start that are followed step by step
COARSE = 0.05  # an error of the distribution function that asks for more cells


def exact_chain(landscape: Landscape, initial: Any = None, *, cells: int = 2000) -> ChainState:
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
    if not isinstance(landscape, Landscape):
        raise LandscapeError(
            f"exact_chain takes a Landscape, not {landscape!r:.60}: a drift and a variance alone "
            "do not say what steps SGD takes. Give the losses or gradients of the datapoints."
        )
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


class _Solver:
    """What `exact_chain` knows on its way."""

    def __init__(
        self, batches: Batches, held: Held, cells: int, start: Initial | None, notes: list[str]
    ) -> None:
        self.batches, self.held, self.cells, self.start = batches, held, cells, start
        self.landscape = batches.landscape
        self.notes = notes
        self.sound = True
        self.profile: tuple[Array, Array] | None = None
        self.heavy = (False, False)  # whether mean and variance diverge
        self.passage: tuple[Array, Array] | None = None  # cells, and steps from each
        self.log_arrival = -math.inf
        self.still: list[ChainClass] = []
        lower, upper = held.lower, held.upper
        self.joints = np.array([b for b in self.landscape.breakpoints if lower < b < upper])
        self.rests: tuple[RestPoint, ...] = rest_points(batches, lower, upper)

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

    def _chain(self, edges: Array, ends: tuple[str, str]) -> Transfer:
        return transfer(self.batches, edges, ends, self.joints)

    # -- closed classes -------------------------------------------------------------------------

    def _captured(self, edges: Array) -> Array:
        """For each cell, which attracting rest point has it for its own; -1 for none."""
        owner = np.full(len(edges) - 1, -1)
        width = self.held.upper - self.held.lower
        middle = (edges[1:] + edges[:-1]) / 2
        for k, p in enumerate(self.rests):
            if p.attracts:
                owner[np.abs(middle - p.position) < capture(p, width)] = k
        return owner

    def _closed(self, chain: Transfer) -> list[Array]:
        """The closed classes of cells; what is captured or leaves is none of them."""
        n = chain.cells
        owner = self._captured(chain.edges)
        matrix = chain.matrix.tolil()
        matrix = sp.vstack([chain.matrix, sp.csr_array((2, n + 2))]).tocsr()
        stopped = np.append(owner >= 0, [True, True])
        keep = sp.diags_array((~stopped).astype(float))
        classes = closed_classes((keep @ matrix + sp.diags_array(stopped.astype(float))).tocsr())
        return [c for c in classes if not stopped[c].any()]

    def _classes(self) -> tuple[list[float], list[tuple[float, float]]]:
        """The atoms, and the intervals of the classes that are spread out."""
        held = self.held
        edges = graded(held.lower, held.upper, self.cells, self.rests, self.joints, self.profile)
        chain = self._chain(edges, held.ends)
        points = [p.position for p in self.rests if p.attracts]
        intervals: list[tuple[float, float]] = []
        closed = self._closed(chain)
        still = np.array([c[0] for c in closed if len(c) == 1 and self._stands(edges, c[0])], int)
        for run in np.split(still, np.flatnonzero(np.diff(still) > 1) + 1):
            if len(run):
                self.still.append(_still(chain, float(edges[run[0]]), float(edges[run[-1] + 1])))
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
        for _ in range(2):
            edges = graded(low, high, count, self.rests, joints, profile)
            found = self._level(edges, ends)
            if found is None:
                return None
            profile = (edges, np.exp(found[1]))
        levels = []
        for _ in range(3):
            found = self._level(edges, ends)
            if found is None:
                return None
            levels.append(found)
            edges = bisected(edges)
        # Halved cells share their blind spots: others, laid differently, look from outside.
        other = graded(low, high, int(0.7 * self.cells), self.rests, joints, profile, even=0.75)
        check = self._level(other, ends)
        return None if check is None else _class_of(levels, check, low, high, self.heavy)

    def _level(self, edges: Array, ends: tuple[str, str]) -> tuple[Transfer, Array] | None:
        """A chain and the logarithm of its stationary vector."""
        chain = self._chain(edges, ends)
        classes = self._closed(chain)
        if not classes:
            return None
        if len(classes) > 1:
            width = [float(np.diff(edges)[c].sum()) for c in classes]
            classes = [classes[int(np.argmax(width))]]
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
            weights, error, certain = self._weights(points, components, outside, stays.sum())
            if weights is None and certain is not None:
                weights = certain
        elif components and components[0].interval != (self.held.lower, self.held.upper):
            self._absorbed(self._passing(components, points), points, components, outside)
        if points or components:
            self._arrival()
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

    def _weights(
        self,
        points: list[float],
        components: list[ChainClass],
        outside: list[Escape],
        stays: float,
    ) -> tuple[Array | None, float, Array | None]:
        """The weight of each outcome from the start, its error; or those that hold for any."""
        edges = self._passing(components, points)
        values = []
        table = None
        for _ in range(2):
            table = self._absorbed(edges, points, components, outside)
            if self.start is not None:
                values.append(self._from_start(edges, table))
            edges = bisected(edges)
        if self.start is None:
            assert table is not None
            constant = np.ptp(table, axis=0).max() < 1e-12
            return None, 0.0, table[0] if constant else None
        change = float(np.abs(values[1] - values[0]).max())
        total, moving = values[1].sum(), 1.0 - stays
        return (values[1] * (moving / total) if total > 0 else values[1]), 2 * change, None

    def _passing(self, components: list[ChainClass], points: list[float]) -> Array:
        """Edges of cells on which to follow what is on its way to a closed class."""
        held = self.held
        joints = np.concatenate([self.joints, *(c.interval for c in components), points])
        joints = np.unique(joints[(held.lower < joints) & (joints < held.upper)])
        return graded(held.lower, held.upper, self.cells // 2, self.rests, joints)

    def _arrival(self) -> None:
        """How many steps it takes to come to a closed class, in the mean: from the start, or from
        the worst start."""
        if self.passage is None:
            return
        edges, steps = self.passage
        if self.start is not None:
            steps = self._from_start(edges, steps[:, None])
        most = float(steps.max())
        self.log_arrival = math.log(most) if 0 < most < math.inf else -math.inf
        if most > SLOW:
            where = "its start" if self.start is not None else "the worst start"
            self.notes.append(
                f"From {where} it takes {time_text(self.log_arrival)} steps in the mean to come "
                "to a closed class. Until then SGD is metastable, and this is not what it shows."
            )

    def _absorbed(
        self,
        edges: Array,
        points: list[float],
        components: list[ChainClass],
        outside: list[Escape],
    ) -> Array:
        """For each cell, the probability to end in each of the outcomes, shape (cells, K)."""
        chain = self._chain(edges, self.held.ends)
        n, a, b = chain.cells, len(points), len(points) + len(components)
        middle = (edges[1:] + edges[:-1]) / 2
        owner = np.full(n, -1)
        width = self.held.upper - self.held.lower
        for k, p in enumerate(points):
            known = next((r for r in self.rests if r.position == p), RestPoint(p, -1.0, True))
            owner[np.abs(middle - p) < capture(known, width)] = k
        for k, c in enumerate(components):
            low, high = c.interval
            inside = (low < middle) & (middle < high) & (owner < 0)
            alone = all(d is c or d.interval[1] <= low or high <= d.interval[0] for d in components)
            if not alone:  # classes that interlace: what none of them fills is on its way
                cell = np.clip(np.searchsorted(c.edges, middle) - 1, 0, len(c.log_mass) - 1)
                inside &= np.isfinite(c.log_mass[cell])
            owner[inside] = a + k
        ends = [k for k in (0, 1) if self.held.ends[k] == "leave"]
        result = np.zeros((n, b + len(outside)))
        done = owner >= 0
        result[done, owner[done]] = 1.0
        going = np.flatnonzero(~done)
        if not len(going):
            return result
        rows = chain.matrix[going]
        arrives = np.asarray(rows[:, :n] @ result)
        for j, k in enumerate(ends):
            arrives[:, b + j] += rows[:, [n + k]].toarray()[:, 0]
        parts = Elimination.of(rows[:, going].tocsr(), arrives.sum(axis=1))
        with np.errstate(all="ignore"):
            found = parts.solve(np.column_stack([arrives, np.ones(len(going))]))
            steps = np.zeros(n)
            steps[going], found = found[:, -1], found[:, :-1]
            self.passage = edges, steps
            total = found.sum(axis=1, keepdims=True)
            found = np.where(np.isfinite(total) & (total > 0), found / total, 0.0)
        self.sound &= parts.sound and bool(np.isfinite(total).all())
        result[going] = found
        return result

    def _from_start(self, edges: Array, table: Array) -> Array:
        start = self.start
        assert start is not None
        if start.law is not None:
            below = np.asarray(start.law.law.cdf(edges), dtype=float)
            share = np.clip(np.diff(below), 0, None)
            first, last = start.law.ends
            share[0] += max(below[0] - first.before, 0.0)  # beyond the cells, or at the end itself
            share[-1] += max(1 - last.after - below[-1], 0.0)
            return np.asarray(share @ table / start.law.total)
        middle = (edges[1:] + edges[:-1]) / 2
        resting = np.array([p.position for p in self.rests if not p.attracts])
        stays = np.isin(start.points, resting)
        weights = start.weights / start.weights.sum()
        x, p = self._stepped(start.points[~stays], weights[~stays], edges, table)
        values = np.stack([np.interp(x, middle, column) for column in table.T], axis=1)
        # Whole where a cell belongs to one outcome, so that classes end where they end.
        cell = np.clip(np.searchsorted(edges, x, side="right") - 1, 0, len(middle) - 1)
        sure = table[cell].max(axis=1) == 1.0
        return np.asarray(p @ np.where(sure[:, None], table[cell], values))

    def _stepped(self, x: Array, p: Array, edges: Array, table: Array) -> tuple[Array, Array]:
        """Points with their probabilities after as many steps as can be taken one by one."""
        lower, upper = self.held.lower, self.held.upper
        while len(x) * len(self.batches) <= TREE:
            cell = np.clip(np.searchsorted(edges, x, side="right") - 1, 0, len(edges) - 2)
            going = table[cell].max(axis=1) < 1.0
            images = self.batches.images(x[going])
            if not going.any() or not ((lower <= images) & (images <= upper)).all():
                break
            weights = self.batches.probability[:, None] * p[going]
            x = np.concatenate([x[~going], images.ravel()])
            p = np.concatenate([p[~going], weights.ravel()])
        return x, p

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
                "Its steps lead ever farther from the minima: it diverges. (A step overshoots "
                "when T times the curvature is above 1, and grows when it is above 2.) Lower the "
                "learning rate."
            )
        elif not any(c.weight for c in components):
            kind = "atoms"
        elif any(a.weight for a in atoms) or lost:
            kind = "mixture"
        for c in components:
            if c.has_density is False:
                notes.append(
                    f"Between {c.interval[0]:.6g} and {c.interval[1]:.6g} finer cells change the "
                    "histogram as much each time, although the distribution function settles: it "
                    "seems to have no density (as a Cantor measure has none)."
                )
            if c.folded > 1e-12:
                notes.append(
                    f"{c.folded:.3g} of the steps would lead beyond the domain and were turned "
                    "back."
                )
            if c.still:
                notes.append(
                    f"Between {c.interval[0]:.6g} and {c.interval[1]:.6g} no datapoint has a "
                    "gradient: SGD stays where it arrives, which was not computed."
                )
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


def _still(chain: Transfer, low: float, high: float) -> ChainClass:
    """A stretch without gradients: the walker stays where it comes, which depends on the start."""
    width = high - low
    return ChainClass(
        interval=(low, high),
        edges=np.array([low, high]),
        log_mass=np.zeros(1),
        mean=(low + high) / 2,
        mean_error=width / 2,
        variance=width**2 / 12,
        variance_error=width**2 / 4,
        cdf_error=1.0,
        distance=width / 2,
        folded=0.0,
        has_density=None,
        transfer=chain,
        still=True,
    )


def _class_of(
    levels: list[tuple[Transfer, Array]],
    check: tuple[Transfer, Array],
    low: float,
    high: float,
    heavy: tuple[bool, bool],
) -> ChainClass:
    """A class from three refinements and other cells, with errors from their differences."""
    masses = [np.exp(log_mass) for _, log_mass in levels]
    moments = [chain.moments(mass) for (chain, _), mass in zip(levels, masses, strict=True)]
    chain, log_mass = levels[-1]
    size = max(abs(low), abs(high))
    deviation = math.sqrt(moments[-1][1])
    floor = 4e-13 * deviation + 1e-15 * size
    mean, mean_error = refined_limit([m for m, _ in moments], floor)
    variance, variance_error = refined_limit([v for _, v in moments], floor * deviation)
    variance = max(variance, 0.0)
    others = check[0].moments(np.exp(check[1]))
    mean_error += abs(others[0] - mean)
    variance_error += abs(others[1] - variance)
    if heavy[0]:
        mean, mean_error = math.nan, 0.0
    if heavy[1]:
        variance, variance_error = math.nan if heavy[0] else math.inf, 0.0
    below = [np.cumsum(np.append(0.0, m)) for m in masses]
    changes = [
        float(
            np.abs(
                np.interp(levels[k + 1][0].edges, levels[k][0].edges, below[k]) - below[k + 1]
            ).max()
        )
        for k in (0, 1)
    ]
    ratio = min(max(changes[0] / max(changes[1], 1e-300), 1.2), 4.0)
    cdf_error = 1.5 * max(changes[1], changes[0] / 8) / (ratio - 1) + 1e-14
    edges = chain.edges
    beside = np.cumsum(np.append(0.0, np.exp(check[1])))
    apart = np.abs(np.interp(edges, check[0].edges, beside) - below[2])
    cdf_error = max(cdf_error, 1.5 * float(apart.max()))
    coarse = np.interp(edges, levels[1][0].edges, below[1])
    gap = np.abs(coarse - below[2])
    distance = float(np.diff(edges) @ (gap[1:] + gap[:-1]) / 2) * 1.5 / (ratio - 1)
    rough = [unevenness(m, t.edges) for m, (t, _) in zip(masses, levels, strict=True)]
    distance = max(distance, float(np.diff(edges) @ (apart[1:] + apart[:-1]) / 2) * 1.5)
    return ChainClass(
        interval=(low, high),
        edges=edges,
        log_mass=log_mass,
        mean=mean,
        mean_error=mean_error,
        variance=variance,
        variance_error=variance_error,
        cdf_error=min(cdf_error, 1.0),
        distance=distance,
        folded=float(masses[-1] @ chain.folded),
        has_density=_settles(rough),
        transfer=chain,
    )


def _settles(rough: list[float]) -> bool | None:
    """Whether a histogram settles as its cells are halved."""
    if rough[2] < 0.02 or rough[2] < 0.62 * rough[1]:
        return True
    if rough[2] > 0.05 and rough[2] > 0.8 * rough[1] > 0.64 * rough[0]:
        return False
    return None
