"""Low noise with a current: Newton's method for Phi = -log P, in which no exponential appears.

div gamma - grad Phi . gamma = 0 with gamma = f - div a / 2 + a grad Phi / 2. Its derivative is the
generator of the time-reversed process, which runs into the attractors: Phi is pinned at both, and
the offset between them is what lets no net flux cross the line through the saddle. On outer sides
the k-th normal derivative of Phi stays what it is; the noise is lowered step by step.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stationary.errors import ConvergenceError
from stationary.plane.density import Density
from stationary.plane.elements import DEGREE, Coefficients, Condensed, Guess
from stationary.plane.local import Equilibrium
from stationary.plane.mesh import Mesh, basis, gauss
from stationary.plane.rough import found
from stationary.plane.spectral import CUT, spectral
from stationary.process.plane import Box, PlaneDiffusion

__all__ = ["low_noise"]

Array = NDArray[Any]

FINE, COARSE = 21, 14  # rectangles for each direction, about
STEPS = 30
LOWER = 0.45  # factor by which the noise is lowered at most
CLOSE, KNOWN = 6.0, 18.0  # in -log P: of the equilibria at the noise to start with; of its box
FROZEN = (2, 3)  # normal derivatives at outer sides that stay, for the answer and its error
SMALLER = 0.85  # part of the box beyond the equilibria, with which the answer is compared


def low_noise(
    process: PlaneDiffusion, equilibria: tuple[Equilibrium, ...]
) -> tuple[Density, tuple[tuple[str, Density], ...]]:
    """P around two attractors and a saddle between them, and the same in coarser ways."""
    stable = [e for e in equilibria if e.kind == "stable"]
    saddles = [e for e in equilibria if e.kind == "saddle"]
    if len(stable) != 2 or len(saddles) != 1:
        raise ConvergenceError(
            f"{process.name}: barriers are too high for spectral elements, and Newton's method is "
            f"had for two attractors with one saddle between them; here are {len(stable)} and "
            f"{len(saddles)}. Raise the noise, or take parts of the domain."
        )
    start, box, guess = _start(process, equilibria)
    places = np.array([e.position for e in equilibria])
    inner = np.stack([places.min(axis=0), places.max(axis=0)], axis=1)
    smaller = inner + SMALLER * (np.array(box) - inner)

    def problem_on(ends: Box, count: int) -> _Problem:
        mesh = _mesh(ends, [*stable, *saddles], count)
        return _Problem(process, mesh, (stable[0], stable[1]), saddles[0])

    def lowered(ends: Box) -> Density:
        problem, noise = problem_on(ends, COARSE), start
        phi = guess(problem.mesh.points(basis(DEGREE).nodes))
        while True:
            phi = problem.solved(phi, noise, FROZEN[0])
            if noise == 1:
                return _density(problem.mesh, phi)
            lower = max(1.0, noise * LOWER)
            phi, noise = phi * noise / lower, lower

    coarse = lowered(box)
    fine = problem_on(box, FINE)
    phi = fine.solved(_height(coarse)(fine.mesh.points(basis(DEGREE).nodes)), 1.0, FROZEN[0])
    other = fine.solved(phi, 1.0, FROZEN[1])
    others = [("mesh", coarse), ("sides", _density(fine.mesh, other))]
    others.append(("box", lowered(tuple(map(tuple, smaller.tolist())))))
    return _density(fine.mesh, phi), tuple(others)


def _density(mesh: Mesh, phi: Array) -> Density:
    return Density(mesh, phi - phi.min(), np.ones((len(phi), 2, 2)))


def _start(
    process: PlaneDiffusion, equilibria: tuple[Equilibrium, ...]
) -> tuple[float, Box, Callable[[Array], Array]]:
    """A factor of the noise with which both basins hold enough, the box on which -log P is then
    below `KNOWN`, and a polynomial that is close to it."""
    x = np.array([e.position for e in equilibria]).T
    noise = 1.0
    for _ in range(30):
        louder = _louder(process, noise)
        rough = found(louder, equilibria, CUT)
        low, high = np.array(rough.box).T[..., None]
        inside = ((x > low) & (x < high)).all()
        if inside and np.abs(rough.at(x)).max() < CLOSE:
            density = spectral(louder, rough).density
            t = density.mesh.points(basis(DEGREE).nodes)
            height = density.height - density.height.min()
            known = height < KNOWN
            ends = t[:, known].min(axis=1).tolist(), t[:, known].max(axis=1).tolist()
            box = tuple(zip(*ends, strict=True))
            # The largest box between the equilibria and all that is known that is known all over.
            inner = np.stack([x.min(axis=1), x.max(axis=1)], axis=1)
            outer = np.array(box)
            for part in np.linspace(1, 0.05, 39):
                ends = inner + part * (outer - inner)
                box = tuple(map(tuple, ends.tolist()))
                grid = np.stack(np.meshgrid(*(np.linspace(*e, 40) for e in box))).reshape(2, -1)
                if (-density.log_at(grid) - density.height.min() < KNOWN).all():
                    return noise, box, _height(density)
        noise *= 1.5
    raise ConvergenceError(
        f"{process.name}: no noise connects the basins. Take each as a domain of its own."
    )


def _height(density: Density) -> Callable[[Array], Array]:
    return lambda y: -density.log_at(y.reshape(2, -1)).reshape(y.shape[1:])


def _louder(process: PlaneDiffusion, noise: float) -> PlaneDiffusion:
    def source(x: Array, order: int) -> Any:
        found = process.fields(x, order)
        return replace(found, a=noise * found.a, da=noise * found.da, dda=noise * found.dda)

    return replace(process, source=source, drift=None, variance=None)


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
    return Mesh((lines[0], lines[1]), np.ones((len(lines[0]) - 1, len(lines[1]) - 1), dtype=bool))


class _Problem:
    def __init__(
        self,
        process: PlaneDiffusion,
        mesh: Mesh,
        attractors: tuple[Equilibrium, Equilibrium],
        saddle: Equilibrium,
    ) -> None:
        self.process, self.mesh = process, mesh
        self.f, self.a, self.div = Coefficients(process).at(mesh)
        self.nodes = mesh.points(basis(DEGREE).nodes).reshape(2, mesh.cells.shape[1], -1)
        self.pins = [self._node(e.position) for e in attractors]
        self.line = self._line(attractors, saddle)

    def _node(self, x: Array) -> tuple[int, int]:
        d = ((self.nodes - x[:, None, None]) ** 2).sum(axis=0)
        return tuple(int(k) for k in np.unravel_index(np.argmin(d), d.shape))  # type: ignore[return-value]

    def _line(self, attractors: tuple[Equilibrium, Equilibrium], saddle: Equilibrium) -> Any:
        """Points of a line through the saddle that parts the attractors, and its direction."""
        between = []
        for axis in (0, 1):
            a, b = (float(e.position[axis] - saddle.position[axis]) for e in attractors)
            between.append(abs(b - a) if a * b < 0 else -1.0)
        axis = int(np.argmax(between))
        if between[axis] < 0:
            raise ConvergenceError(
                f"{self.process.name}: no line along an axis through the saddle parts the "
                "attractors. Turn the coordinates."
            )
        t, w = gauss(24)
        line = self.mesh.lines[1 - axis]
        along = (line[:-1, None] + np.diff(line)[:, None] * (1 + t) / 2).ravel()
        weight = (np.diff(line)[:, None] / 2 * w).ravel()
        x = np.empty((2, len(along)))
        x[axis], x[1 - axis] = saddle.position[axis], along
        return axis, x, weight, self.process.fields(x, 1)

    def solved(self, phi: Array, noise: float, frozen: int) -> Array:
        """Newton's method from phi; at one noise."""
        last = np.inf
        for step in range(STEPS):
            delta = self._step(phi, noise, frozen)
            size = float(np.abs(delta).max())
            reach = float(np.ptp(phi))
            if not np.isfinite(size) or (step > 8 and size > 3 * last) or size > 1e3 * reach:
                break
            phi = phi - delta * min(1.0, 0.3 * reach / size)
            if size < 1e-9 * max(reach, 1.0) or (size < 1e-6 * reach and size > 0.5 * last):
                return phi
            last = size
        raise ConvergenceError(
            f"{self.process.name}: Newton's method for log P did not converge (at {noise:.3g} "
            "times the noise). Raise the noise, or take each basin as a domain of its own."
        )

    def _step(self, phi: Array, noise: float, frozen: int) -> Array:
        mesh, n = self.mesh, DEGREE + 1
        t, w = gauss(DEGREE + 3)
        count = mesh.cells.shape[1]
        guess = Guess(mesh, phi)
        slope = guess.slopes(t).reshape(2, count, -1)
        a, div = noise * self.a, noise * self.div
        up = np.einsum("ijeq,jeq->ieq", a, slope) / 2
        gamma = self.f - div / 2 + up
        weight = np.outer(w, w).ravel() * (mesh.size[0] * mesh.size[1] / 4)[:, None]
        b, d = basis(DEGREE).at(t), basis(DEGREE).slope_at(t)
        u = (2 / mesh.size)[..., None]
        terms = [
            (d, d, b, b, -a[0, 0] / 2 * u[0] * u[0]),
            (d, b, b, d, -a[0, 1] / 2 * u[0] * u[1]),
            (b, d, d, b, -a[1, 0] / 2 * u[0] * u[1]),
            (b, b, d, d, -a[1, 1] / 2 * u[1] * u[1]),
            (b, d, b, b, -(gamma + up)[0] * u[0]),
            (b, b, b, d, -(gamma + up)[1] * u[1]),
        ]
        blocks = np.zeros((count, n, n, n, n))
        for left, right, low, high, c in terms:
            x = np.einsum("pi,pk->ikp", left, right).reshape(n * n, -1)
            y = np.einsum("qj,ql->qjl", low, high).reshape(-1, n * n)
            part = x @ (weight * c).reshape(count, len(t), -1) @ y
            blocks += part.reshape(count, n, n, n, n).transpose(0, 1, 3, 2, 4)
        flat = blocks.reshape(count, n * n, n * n)
        loads = (weight * -(slope * gamma).sum(axis=0)) @ np.kron(b, b)
        loads -= (weight * gamma[0] * u[0]) @ np.kron(d, b)
        loads -= (weight * gamma[1] * u[1]) @ np.kron(b, d)
        self._freeze(flat, loads, frozen)
        still = Condensed(mesh, DEGREE, flat, loads, self.process)
        fixed = np.array([self._fixed(still, pin) for pin in self.pins])
        first = still.solve(fixed, np.zeros(2))
        shifted = replace_loads(still, np.zeros_like(loads)).solve(fixed, np.array([0.0, 1.0]))
        return first + self._offset(guess, first, shifted, noise) * shifted

    def _fixed(self, system: Condensed, pin: tuple[int, int]) -> int:
        place = np.flatnonzero(system.outer == pin[1])
        if not len(place):
            raise ConvergenceError(f"{self.process.name}: an attractor lies on no line.")
        return int(system.place[pin[0], place[0]])

    def _freeze(self, blocks: Array, loads: Array, k: int) -> None:
        """Rows of nodes on outer sides: the k-th normal derivative of Phi stays."""
        p = basis(DEGREE)
        slope = p.slope_at(p.nodes)
        high = np.linalg.matrix_power(slope, k)
        n, eye = DEGREE + 1, np.eye(DEGREE + 1)
        i, j = self.mesh.cells
        ends = [(i == 0, 0, 0), (i == self.mesh.used.shape[0] - 1, 0, n - 1)]
        ends += [(j == 0, 1, 0), (j == self.mesh.used.shape[1] - 1, 1, n - 1)]
        cleared = np.zeros(loads.shape, dtype=bool)
        for cells, axis, at in ends:
            nodes = (at * n + np.arange(n)) if axis == 0 else (np.arange(n) * n + at)
            rows = np.kron(high[[at]], eye) if axis == 0 else np.kron(eye, high[[at]])
            for e in np.flatnonzero(cells):
                new = nodes[~cleared[e, nodes]]
                blocks[e, new] = 0
                loads[e, new] = 0
                cleared[e, new] = True
                blocks[e, nodes] += rows / np.abs(rows).max()

    def _offset(self, guess: Guess, first: Array, shifted: Array, noise: float) -> float:
        """How much of `shifted` makes the net flux across the line vanish, to first order."""
        axis, x, weight, fields = self.line
        number, local = self.mesh.place(x)

        def at(tables: Array) -> tuple[Array, Array]:
            d = Density(self.mesh, tables, np.ones((len(tables), 2, 2)))
            return self.mesh.values(tables, DEGREE, number, local), -d.slope_at(x)

        phi, slope = at(guess.tables)
        a, div = noise * fields.a[axis], noise * fields.div[axis]
        gamma = fields.f[axis] - div / 2 + (a * slope).sum(axis=0) / 2
        mass = weight * np.exp(phi.min() - phi)

        def change(tables: Array) -> float:
            value, rise = at(tables)
            return float((mass * (-value * gamma + (a * rise).sum(axis=0) / 2)).sum())

        # Phi is to become Phi - first - s shifted.
        return float(((mass * gamma).sum() - change(first)) / change(shifted))


def replace_loads(system: Condensed, loads: Array) -> Condensed:
    return Condensed(system.mesh, system.degree, system.blocks, loads, system.process)
