"""Low noise around one attractor: Newton's method for Phi = -log P, with no exponential.

div gamma - grad Phi . gamma = 0 with gamma = f - div a / 2 + a grad Phi / 2. Its derivative is the
generator of the time-reversed process, which runs into the attractor: Phi is pinned there. On outer
sides the k-th normal derivative of Phi stays what it is; the noise is lowered step by step.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace

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
from stationary.plane.local import Equilibrium, around
from stationary.plane.mesh import Mesh, basis, gauss
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


def low_noise(process: PlaneDiffusion, equilibria: tuple[Equilibrium, ...]) -> Solved:
    """P around the attractor among equilibria, and the same in coarser ways."""
    (stable,) = (e for e in equilibria if e.kind == "stable")
    noise, box, guess = _start(process, equilibria)
    inner = np.array(around(process, equilibria, 0.0))
    smaller = (inner + SMALLER * (np.array(box) - inner)).T

    def solved(ends: Box, count: int, guess: Callable[[Array], Array], k: int) -> Density:
        mesh = _mesh(ends, stable, count)
        phi = _Problem(process, mesh, stable).solved(
            guess(mesh.points(basis(DEGREE).nodes)), noise, k
        )
        return Density(mesh, phi - phi.min(), np.ones((mesh.count, 2, 2)))

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


def _mesh(box: Box, point: Equilibrium, count: int) -> Mesh:
    """Lines through an equilibrium, and about evenly beside it."""
    lines = []
    for axis, (low, high) in enumerate(box):
        at, near = float(point.position[axis]), 0.02 * (high - low)
        marks = [low, at, high] if low + near < at < high - near else [low, high]
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
        attractor: Equilibrium,
    ) -> None:
        self.process, self.mesh = process, mesh
        self.nodes = mesh.points(basis(DEGREE).nodes).reshape(2, mesh.count, -1)
        self.f, self.a, self.div = Coefficients(process).at(mesh)
        self.cut = mesh.outer & ~self._walls()
        self.pin = self._node(attractor.position)

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

    def solved(self, phi: Array, noise: float, frozen: int) -> Array:
        """Newton's method from phi; at one noise."""
        last = np.inf
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
        at, node = self.pin
        fixed = system.place[at, system.outer == node]
        return np.asarray(system.solve(fixed, np.zeros(1)))

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
