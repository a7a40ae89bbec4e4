"""Low noise with a current: Newton's method for Phi = -log P, in which no exponential appears.

div gamma - grad Phi . gamma = 0 with gamma = f - div a / 2 + a grad Phi / 2. Its derivative is the
generator of the time-reversed process, which runs into the attractors: Phi is pinned at each, and
the offsets between them are what lets no net flux leave: of the saddles between attractors those on
the tree of lowest barriers part them in two, one after the other, and over all saddles between the
parts the flux is nothing in all. On outer sides the k-th normal derivative of Phi stays what it is;
the noise is lowered step by step.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from stationary.aliases import Array
from stationary.errors import ConvergenceError, LandscapeError
from stationary.plane.boxes import box_of, ends_of, lattice
from stationary.plane.density import Density, Solved
from stationary.plane.elements import (
    DEGREE,
    RULE,
    Coefficients,
    Condensed,
    Guess,
    Parts,
    assembled,
    second_order,
    sides_and_inside,
)
from stationary.plane.flow import Flow
from stationary.plane.local import Equilibrium, around
from stationary.plane.mesh import Mesh, along, basis, gauss, summed, with_slopes
from stationary.plane.rough import found_on_grid
from stationary.plane.spectral import CUT, spectral
from stationary.process.plane import Box, PlaneDiffusion
from stationary.progress import at

FINE, COARSE = 21, 14  # rectangles for each direction, about
STEPS = 30  # of Newton at one noise: it converges in fewer, or not at all
LOWER = 0.45  # factor by which the noise is lowered at most
CLOSE, KNOWN = 6.0, 18.0  # in -log P: of the equilibria at the noise to start with; of its box
NEEDED = 20.0  # in -log P of the Gaussian of each attractor: as far the box goes, if it can
FROZEN = (2, 3)  # normal derivatives at outer sides that stay, for the answer and its error
SQUARED = 1e-3  # of the range of log P: below, steps of Newton's method fall like their squares
SMALLER = 0.85  # part of the box beyond the equilibria, with which the answer is compared


def low_noise(process: PlaneDiffusion, equilibria: tuple[Equilibrium, ...], hull: Box) -> Solved:
    """P around attractors with saddles between them, and the same in coarser ways; all equilibria
    lie in the hull."""
    stable = [e for e in equilibria if e.kind == "stable"]
    flow = Flow.of(process, equilibria, hull)
    tops = [e for e in equilibria if e.kind == "saddle"]
    both = zip(tops, flow.beyond(tops), strict=True)
    saddles = [(e, sides) for e, sides in both if min(sides) >= 0 and sides[0] != sides[1]]
    _require_connected(process, stable, [sides for _, sides in saddles])
    noise, box, guess = _start(process, equilibria)
    inner = np.array(around(process, equilibria, 0.0))
    smaller = (inner + SMALLER * (np.array(box) - inner)).T

    points = [*stable, *(e for e, _ in saddles)]

    def solved(ends: Box, count: int, guess: Callable[[Array], Array], k: int) -> Density:
        mesh = _mesh(ends, points, count)
        problem = _Problem(process, mesh, stable, saddles)
        phi = problem.solved(guess(mesh.points(basis(DEGREE).nodes)), noise, k)
        u = np.ones((mesh.count, 2, 2))
        return Density(mesh, phi - phi.min(), u, missed=problem.beyond(phi))

    while True:
        coarse = solved(box, COARSE, guess, FROZEN[0])
        if noise == 1:
            break
        lower = max(1.0, noise * LOWER)
        guess = _height(replace(coarse, phi=coarse.phi * noise / lower))
        noise = lower
    less = solved(box_of(*smaller), COARSE, guess, FROZEN[0])
    fine = solved(box, FINE, _height(coarse), FROZEN[0])
    other = solved(box, FINE, _height(fine), FROZEN[1])
    return Solved("newton", fine, (("mesh", coarse), ("sides", other), ("box", less)))


def _start(
    process: PlaneDiffusion, equilibria: tuple[Equilibrium, ...]
) -> tuple[float, Box, Callable[[Array], Array]]:
    """A factor of the noise with which both basins hold enough, the box on which -log P is then
    below `KNOWN`, and a polynomial that is close to it.

    With more noise more of the plane is known: the box is to hold all that there is at the noise
    itself, or as much of that as some noise has.
    """
    x = np.array([e.position for e in equilibria]).T
    inner, needed = (np.array(around(process, equilibria, cut)) for cut in (0.0, NEEDED))
    ends = needed != inner  # beyond walls there is nothing to hold
    noise, most = 1.0, 0.0
    found: tuple[float, Box, Callable[[Array], Array]] | None = None
    for _ in range(30):
        louder = process.rescaled(1.0, noise)
        try:
            rough = found_on_grid(louder, equilibria, CUT)
        except LandscapeError:  # with as much noise tails are heavy, which the process's are not
            break
        low, high = ends_of(rough.box)
        top = np.abs(rough.at(x)).max() if ((x >= low) & (x <= high)).all() else np.inf
        louder_by = 1.5 if np.isinf(top) else top / CLOSE / 1.5  # -log P falls like 1 / noise
        if top < CLOSE:
            density = spectral(louder, rough).density
            if (box := _known_box(density, inner)) is not None:
                room = (np.array(box) - inner)[ends] / (needed - inner)[ends]
                held = float(room.min(initial=1.0))
                if held > most:
                    most, found = held, (noise, box, _height(density))
            if most >= 1:
                break
            louder_by = 1.5  # a box that is far too wide is known less closely
        noise *= min(max(louder_by, 1.5), 4.0)
    if found is None:
        raise ConvergenceError(
            f"{process.name}: barriers are too high for spectral elements, and no noise was found "
            "with which the basins are connected and hold together. Take each as a domain of its "
            "own."
        )
    return found


def _known_box(density: Density, inner: Array) -> Box | None:
    """The largest box between the equilibria and all that is known that is known all over."""
    t = density.mesh.points(basis(DEGREE).nodes)
    known = density.above < KNOWN
    outer = np.stack([t[:, known].min(axis=1), t[:, known].max(axis=1)], axis=1)
    for part in np.linspace(1, 0.05, 39):
        box = box_of(*(inner + part * (outer - inner)).T)
        grid = lattice(*(np.linspace(*ends, 40) for ends in box))
        if (density.depth(grid) < KNOWN).all():
            return box
    return None


def _height(density: Density) -> Callable[[Array], Array]:
    return lambda y: -density.log_at(y.reshape(2, -1)).reshape(y.shape[1:])


def _mesh(box: Box, points: list[Equilibrium], count: int) -> Mesh:
    """Lines through the equilibria, and about evenly between them."""
    lines = []
    for axis, (low, high) in enumerate(box):
        marks = [low]
        for v in sorted(float(e.position[axis]) for e in points):
            if v - marks[-1] > 0.02 * (high - low):
                marks.append(v)
        if high - marks[-1] < 0.02 * (high - low):
            marks.pop()
        marks.append(high)
        parts = [
            np.linspace(a, b, max(1, round(count * (b - a) / (high - low))) + 1)[:-1]
            for a, b in itertools.pairwise(marks)
        ]
        lines.append(np.concatenate([*parts, [high]]))
    return Mesh.between(*lines)


class _Problem:
    def __init__(
        self,
        process: PlaneDiffusion,
        mesh: Mesh,
        attractors: list[Equilibrium],
        saddles: list[tuple[Equilibrium, tuple[int, ...]]],
    ) -> None:
        self.process, self.mesh = process, mesh
        self.nodes = mesh.points(basis(DEGREE).nodes).reshape(2, mesh.count, -1)
        self.f, self.a, self.div = Coefficients(process).at(mesh)
        self.cut = mesh.outer & ~self._walls()
        self.pins = [self._node(e.position) for e in attractors]
        self.joined = [sides for _, sides in saddles]
        self.lines = [self._line(e) for e, _ in saddles]

    def _node(self, x: Array) -> tuple[int, int]:
        """The node next to x on the sides of rectangles, which lines may pass close by."""
        d = ((self.nodes - x[:, None, None]) ** 2).sum(axis=0)
        d[:, sides_and_inside(DEGREE)[1]] = np.inf
        return tuple(int(k) for k in np.unravel_index(np.argmin(d), d.shape))  # type: ignore[return-value]

    def _walls(self) -> Array:
        """(2, 2, E): the sides at ends of the domain that the drift leads into. Nothing crosses
        these; where it leads away from walls P changes there in layers narrower than rectangles."""
        made = np.zeros_like(self.mesh.outer)
        for axis, side in itertools.product((0, 1), (0, 1)):
            if self.mesh.box[axis][side] == self.process.domain[axis][side]:
                for e in np.flatnonzero(self.mesh.outer[axis, side]):
                    x = self.nodes[:, e, sides_and_inside(DEGREE)[0]]
                    x = x[:, x[axis] == (x[axis].max() if side else x[axis].min())]
                    f = self.process.velocity(x)[axis]
                    made[axis, side, e] = ((2 * side - 1) * f > 0).all()
        return made

    def _line(self, saddle: Equilibrium) -> Any:
        """Points of a line through a saddle along which -log P rises from it on both sides, the
        direction across, along the way that grows, and the fields there."""
        out, stay = saddle.ways
        across = np.array([-stay[1], stay[0]])
        across *= np.sign(across @ out)
        low, high = ends_of(self.mesh.box)
        reach = float(np.linalg.norm(high - low))
        way, weight = along(reach * np.linspace(-1, 1, 2 * 3 * FINE + 1), 24)
        x = saddle.position[:, None] + np.outer(stay, way)
        inside = ((x > low) & (x < high)).all(axis=0)
        x, way, weight = x[:, inside], way[inside], weight[inside]
        return across, x, way, weight, self.process.fields(x, 1)

    def solved(self, phi: Array, noise: float, frozen: int) -> Array:
        """Newton's method from phi; at one noise."""
        last = np.inf
        # Where lines end must not change on the way.
        self.parts = [
            _rising(summed((phi,), *self.mesh.place(x))[0], way) for _, x, way, _, _ in self.lines
        ]
        for step in range(STEPS):
            at("Newton's steps", step)
            delta = self._step(phi, noise, frozen)
            size = float(np.abs(delta).max())
            reach = float(np.ptp(phi))
            if not np.isfinite(size) or (step > 8 and size > 3 * last) or size > 1e3 * reach:
                break
            phi = phi - delta * min(1.0, 0.3 * reach / size)
            # Steps become small like their squares: the next one is foreseen.
            left = size * (size / last) ** 2 if step and size < SQUARED * reach else size
            least = 1e-9 if noise == 1 else SQUARED
            if left < least * max(reach, 1.0) or (size < 1e-6 * reach and size > 0.5 * last):
                return phi
            last = size
        raise ConvergenceError(
            f"{self.process.name}: Newton's method for log P did not converge (at {noise:.3g} "
            "times the noise). Raise the noise, or take each basin as a domain of its own."
        )

    def beyond(self, phi: Array) -> float:
        """What flows across where lines through saddles were cut, in proportion."""
        lost = 0.0
        for (_, x, _, _, _), here in zip(self.lines, self.parts, strict=True):
            at = summed((phi,), *self.mesh.place(x))[0]
            inner = np.flatnonzero(here)
            for end, edge in ((inner[0], 0), (inner[-1], len(here) - 1)):
                if end != edge:
                    lost += float(np.exp(at[inner].min() - at[end]))
        return lost

    def _step(self, phi: Array, noise: float, frozen: int) -> Array:
        mesh = self.mesh
        t, w = gauss(RULE)
        count = mesh.count
        guess = Guess(mesh, phi)
        slope = guess.slopes(t).reshape(2, count, -1)
        a, div = noise * self.a, noise * self.div
        up = np.einsum("ijeq,jeq->ieq", a, slope) / 2
        gamma = self.f - div / 2 + up
        weight = np.outer(w, w).ravel() * (mesh.size[0] * mesh.size[1] / 4)[:, None]
        b, d = basis(DEGREE).at(t), basis(DEGREE).slope_at(t)
        u = (2 / mesh.size)[..., None]
        terms = [
            *second_order(-a, u),
            ("bdbb", -(gamma + up)[0] * u[0]),
            ("bbbd", -(gamma + up)[1] * u[1]),
        ]
        loads = (weight * -(slope * gamma).sum(axis=0)) @ np.kron(b, b)
        loads -= (weight * gamma[0] * u[0]) @ np.kron(d, b)
        loads -= (weight * gamma[1] * u[1]) @ np.kron(b, d)

        def equations(some: Array) -> tuple[Array, Array]:
            flat = assembled([(which, c[some]) for which, c in terms], weight[some], DEGREE)
            right = loads[some]
            self._freeze(flat, right, self.cut[..., some], frozen)
            return flat, right

        parts = Parts.of(count, DEGREE, equations)
        system = Condensed(mesh, DEGREE, parts, self.process)
        fixed = np.array([system.place[e, system.outer == node][0] for e, node in self.pins])
        # Phi is pinned at all attractors, and then is let go by one at each but the first.
        pinned = np.eye(len(fixed))
        pinned[0, 0] = 0
        first, *moved = system.solve(fixed, pinned)
        if not moved:
            return np.asarray(first)
        shifted = [one - first for one in moved]
        by = self._offsets(guess, first, shifted, noise)
        return np.asarray(first + np.tensordot(by, np.array(shifted), 1))

    def _freeze(self, blocks: Array, loads: Array, outer: Array, k: int) -> None:
        """Rows of nodes on outer sides: the k-th normal derivative of Phi stays."""
        p, n = basis(DEGREE), DEGREE + 1
        high, eye = np.linalg.matrix_power(p.slope_at(p.nodes), k), np.eye(n)
        cleared = np.zeros(loads.shape, dtype=bool)
        for axis, side in itertools.product((0, 1), (0, 1)):
            at, every = side * DEGREE, np.arange(n)
            nodes = at * n + every if axis == 0 else every * n + at
            rows = np.kron(high[[at]], eye) if axis == 0 else np.kron(eye, high[[at]])
            for e in np.flatnonzero(outer[axis, side]):
                new = nodes[~cleared[e, nodes]]
                blocks[e, new] = 0
                loads[e, new] = 0
                cleared[e, new] = True
                blocks[e, nodes] += rows / np.abs(rows).max()

    def _offsets(self, guess: Guess, first: Array, shifted: list[Array], noise: float) -> Array:
        """How much of each of `shifted` makes the net fluxes vanish, to first order."""
        found = [
            self._crossing(guess, line, part, noise)
            for line, part in zip(self.lines, self.parts, strict=True)
        ]
        heights = [height for height, _, _ in found]
        # Phi is to become Phi - first - sum of s_k shifted_k.
        now = np.array([flux - change(first) for _, flux, change in found])
        moved = np.array([[change(v) for v in shifted] for _, _, change in found])
        rows, right = [], []
        for k, part in _parted(len(self.pins), self.joined, heights):
            flux = np.array([float(part[j]) - float(part[i]) for i, j in self.joined])
            flux *= np.exp(heights[k] - np.array(heights))
            rows.append(flux @ moved)
            right.append(flux @ now)
        return np.linalg.solve(np.array(rows), np.array(right))

    def _crossing(
        self, guess: Guess, line: Any, here: Array, noise: float
    ) -> tuple[float, float, Callable[[Array], float]]:
        """At a saddle: Phi, the flux across times e^Phi, and by how much less that is when a part
        of Phi is taken away."""
        across, x, _, weight, fields = line
        number, local = self.mesh.place(x)

        phi, slope = with_slopes(self.mesh, guess.tables, number, local)
        height = float(phi[here].min())
        a = noise * np.einsum("i,ijm->jm", across, fields.a)
        gamma = across @ (fields.f - noise * fields.div / 2) + (a * slope).sum(axis=0) / 2
        mass = np.where(here, weight * np.exp(np.minimum(height - phi, 0)), 0.0)

        def change(tables: Array) -> float:
            value, rise = with_slopes(self.mesh, tables, number, local)
            return float((mass * (-value * gamma + (a * rise).sum(axis=0) / 2)).sum())

        return height, float((mass * gamma).sum()), change


def _rising(phi: Array, along: Array) -> Array:
    """The part of a line on which Phi rises on both sides of its lowest point near 0: with much
    noise the saddle of Phi is not that of the drift."""
    near = 0.02 * np.ptp(along)  # around the lowest point Phi is flat
    middle = int(np.argmin(np.where(np.abs(along) < 5 * near, phi, np.inf)))
    if np.abs(along[middle]) > 4 * near:  # that is the slope of a basin
        middle = int(np.argmin(np.abs(along)))
    falls = np.flatnonzero(np.diff(phi) < 0), np.flatnonzero(np.diff(phi) > 0)
    after = falls[0][along[falls[0]] > along[middle] + near]
    before = falls[1][along[falls[1]] < along[middle] - near]
    high = int(after[0]) if len(after) else len(phi)
    low = int(before[-1]) + 1 if len(before) else 0
    made = np.zeros(len(phi), dtype=bool)
    made[min(low, middle) : max(high, middle + 1)] = True
    return made


def _parted(
    count: int, joined: list[tuple[int, ...]], heights: list[float]
) -> Iterator[tuple[int, Array]]:
    """For each saddle on the tree of lowest barriers: its number, and which attractors lie on one
    side when the tree is cut there."""
    part, tree = np.arange(count), []
    for k in np.argsort(heights):
        i, j = joined[k]
        if part[i] != part[j]:
            part[part == part[j]] = part[i]
            tree.append(int(k))
    for k in tree:
        side = np.arange(count)
        for m in tree:
            if m != k:
                side[side == side[joined[m][1]]] = side[joined[m][0]]
        yield k, side == side[joined[k][1]]


def _require_connected(
    process: PlaneDiffusion, stable: list[Equilibrium], joined: list[tuple[int, ...]]
) -> None:
    if len(list(_parted(len(stable), joined, [0.0] * len(joined)))) < len(stable) - 1:
        raise ConvergenceError(
            f"{process.name}: barriers are too high for spectral elements, and for Newton's method "
            f"saddles must lead from each attractor to each other one; {len(joined)} saddles "
            f"between two attractors were found, and {len(stable)} attractors. Cycles, or saddles "
            "outside of the domain, may take part. Raise the noise, or take parts of the domain."
        )
