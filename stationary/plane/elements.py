"""The end state from conservative spectral elements: P = e^-Phi u, with Phi a guess of -log P.

For all v: int e^-Phi (a grad u / 2 - gamma u) . grad v = 0, gamma = f - div a / 2 + a grad Phi / 2,
so that no probability leaves. Rows are scaled by e^Phi, the unknowns inside a rectangle are
eliminated at once, and u is pinned where Phi is least. Across sides that no noise crosses what the
drift carries out is lost: without that, densities of degenerate processes grow at such sides.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from scipy.sparse import csc_array, csr_array
from scipy.sparse.linalg import splu

from stationary.aliases import Array
from stationary.errors import ConvergenceError
from stationary.plane.mesh import Mesh, basis, gauss
from stationary.process.plane import Fields, PlaneDiffusion

DEGREE = 8  # of elements: errors fall by 2^9 where rectangles are halved
RULE = DEGREE + 3  # Gauss points for each direction


@dataclass(eq=False)
class Coefficients:
    """Drift and covariance at the Gauss points of rectangles, each evaluated once."""

    process: PlaneDiffusion
    known: dict[tuple[float, ...], Array] = field(default_factory=dict)

    def at(self, mesh: Mesh) -> tuple[Array, Array, Array]:
        """f, a and div a at the Gauss points, shapes (2, E, q), (2, 2, E, q) and (2, E, q)."""
        keys = [tuple(k) for k in np.concatenate([mesh.low, mesh.size]).T.tolist()]
        new = np.array([k not in self.known for k in keys])
        if new.any():
            some = mesh.restricted(new)
            x = some.points(gauss(RULE)[0]).reshape(2, -1)
            found = self.process.fields(x, 1)
            self.process.check(x, found)
            rows = np.concatenate([found.f, found.a.reshape(4, -1), found.div])
            tables = rows.reshape(8, -1, RULE * RULE)
            for e, k in enumerate(np.concatenate([some.low, some.size]).T.tolist()):
                self.known[tuple(k)] = tables[:, e]
        table = np.stack([self.known[k] for k in keys], axis=1)
        return table[:2], table[2:6].reshape(2, 2, *table.shape[1:]), table[6:]

    def fields(self, mesh: Mesh) -> Fields:
        """The same as fields without derivatives, at all Gauss points in a row."""
        f, a, _ = self.at(mesh)
        return Fields(f.reshape(2, -1), a.reshape(2, 2, -1))


@dataclass(frozen=True, eq=False)
class Guess:
    """Phi on the rectangles of a mesh: values at Gauss-Lobatto nodes of degree `DEGREE`."""

    mesh: Mesh
    tables: Array  # (E, n, n)

    @classmethod
    def joined(cls, mesh: Mesh, tables: Array) -> Guess:
        """With values on sides that are those of larger neighbours, so that Phi has no jumps."""
        number, extended = mesh.sides(tables.shape[1] - 1)
        edge = number >= 0
        values = np.zeros(extended.shape[0])
        values[number[edge]] = tables[edge]
        made = tables.copy()
        made[edge] = (extended @ values[_free(extended)])[number[edge]]
        return cls(mesh, made)

    def at(self, t: Array) -> Array:
        """(E, m, m)."""
        b = basis(DEGREE).at(t)
        return np.asarray(np.einsum("ai,bj,eij->eab", b, b, self.tables, optimize=True))

    def slopes(self, t: Array) -> Array:
        """(2, E, m, m): the gradient."""
        b, d = basis(DEGREE).at(t), basis(DEGREE).slope_at(t)
        x = np.einsum("ai,bj,eij->eab", d, b, self.tables, optimize=True)
        y = np.einsum("ai,bj,eij->eab", b, d, self.tables, optimize=True)
        return np.stack([x, y]) * (2 / self.mesh.size)[:, :, None, None]


@dataclass(eq=False)
class Condensed:
    """Equations on the sides of rectangles, with the unknowns inside them eliminated.

    Parameters
    ----------
    blocks, loads
        The matrix of each rectangle, (E, n^2, n^2), and its right side, (E, n^2).
    scales
        Logs of what the rows of each rectangle were multiplied by, (E, n^2).
    """

    mesh: Mesh
    degree: int
    blocks: Array
    loads: Array
    process: PlaneDiffusion
    scales: Array | None = None

    def __post_init__(self) -> None:
        n = self.degree + 1
        number, extended = self.mesh.sides(self.degree)
        edge = number[0].ravel() >= 0
        outer, inner = np.flatnonzero(edge), np.flatnonzero(~edge)
        right = np.concatenate(
            [self.blocks[:, inner[:, None], outer], self.loads[:, inner, None]], axis=2
        )
        try:
            solved = np.linalg.solve(self.blocks[:, inner[:, None], inner], right)
        except np.linalg.LinAlgError as error:
            raise ConvergenceError(_singular(self.process)) from error
        self.carried, self.inside = solved[..., :-1], solved[..., -1]
        small = self.blocks[:, outer[:, None], outer]
        across = self.blocks[:, outer[:, None], inner]
        small -= across @ self.carried
        load = self.loads[:, outer] - (across @ self.inside[..., None])[..., 0]
        self.place = number.reshape(-1, n * n)[:, outer]
        self.outer, self.inner = outer, inner
        rows = np.repeat(self.place, len(outer), axis=1).ravel()
        columns = np.tile(self.place, (1, len(outer))).ravel()
        size = extended.shape[0]
        matrix = csr_array((small.ravel(), (rows, columns)), shape=(size, size))
        right = np.bincount(self.place.ravel(), load.ravel(), minlength=size)
        # Test functions are those of free nodes, with what they are at nodes that hang on these.
        self.extended = extended
        tested = extended.tocoo()
        if self.scales is not None:
            log = self.at_nodes(self.scales)
            tested.data = tested.data * np.exp(log[self.free[tested.col]] - log[tested.row])
        self.matrix = csc_array(tested.T @ matrix @ extended)
        self.right = tested.T @ right

    @cached_property
    def free(self) -> Array:
        """The numbers of nodes that do not hang on others."""
        return _free(self.extended)

    def at_nodes(self, values: Array) -> Array:
        """For each node on sides one of the values (E, n^2) that rectangles give it."""
        made = np.zeros(self.extended.shape[0])
        made[self.place] = values[:, self.outer]
        return made

    def solve(self, fixed: Array, values: Array) -> Array:
        """The unknowns at all nodes, (..., E, n, n), where some of the free ones are given: values
        of shape (fixed,), or (fixed, solutions)."""
        border = np.zeros((len(self.right), *values.shape[1:]))
        border[fixed] = values
        rest = np.flatnonzero(~np.isin(np.arange(len(border)), fixed))
        part = csc_array(self.matrix[:, rest][rest])
        right = ((self.right - (self.matrix @ border).T).T)[rest]
        try:
            lu = splu(
                part, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.01,
                options={"SymmetricMode": True},
            )  # fmt: skip
        except RuntimeError as error:
            raise ConvergenceError(_singular(self.process)) from error
        x = lu.solve(right)
        border[rest] = x + lu.solve(right - part @ x)
        n = self.degree + 1
        made = np.empty((*values.shape[1:], len(self.blocks), n * n))
        made[..., self.outer] = (self.extended @ border).T[..., self.place]
        within = self.carried @ made[..., self.outer, None]
        made[..., self.inner] = self.inside - within[..., 0]
        if not np.isfinite(made).all():
            raise ConvergenceError(_singular(self.process))
        return made.reshape(*made.shape[:-1], n, n)


def _free(extended: csr_array) -> Array:
    """Of the nodes of `Mesh.sides` those that do not hang on others."""
    made = np.empty(extended.shape[1], dtype=int)
    alone = np.flatnonzero(np.diff(extended.indptr) == 1)
    made[extended[alone].indices] = alone
    return made


def solve(coefficients: Coefficients, guess: Guess, degree: int = DEGREE) -> Array:
    """u at the nodes of each rectangle, shape (E, n, n), one where it is pinned."""
    n = degree + 1
    blocks = blocks_of(coefficients, guess, degree)
    phi = guess.at(basis(degree).nodes).reshape(-1, n * n)
    system = Condensed(
        guess.mesh, degree, blocks, np.zeros((len(blocks), n * n)), coefficients.process, phi
    )
    heights = system.at_nodes(phi)[system.free]
    return system.solve(np.array([np.argmin(heights)]), np.ones(1))


def _singular(process: PlaneDiffusion) -> str:
    return (
        f"{process.name}: the equations have no single solution: there may be several closed "
        "classes, or no density (all collapses onto a line or a point). Add a little noise to see "
        "which, or shrink the domain to one class."
    )


def blocks_of(coefficients: Coefficients, guess: Guess, degree: int) -> Array:
    """The matrix of each rectangle, a row for each test function, times e^Phi: (E, n^2, n^2)."""
    mesh = guess.mesh
    t, w = gauss(RULE)
    f, a, div = coefficients.at(mesh)
    count = f.shape[1]
    slope = guess.slopes(t).reshape(2, count, -1)
    phi = guess.at(t).reshape(count, -1)
    here = guess.at(basis(degree).nodes).reshape(count, -1)
    base = np.minimum(phi.min(axis=1), here.min(axis=1))[:, None]
    gamma = f - div / 2 + np.einsum("ijeq,jeq->ieq", a, slope) / 2
    weight = np.outer(w, w).ravel() * (mesh.size[0] * mesh.size[1] / 4)[:, None]
    weight = weight * np.exp(base - phi)
    b, d = basis(degree).at(t), basis(degree).slope_at(t)
    ux, uy = (2 / mesh.size)[..., None]
    terms = [
        (d, d, b, b, a[0, 0] / 2 * ux * ux),
        (d, b, b, d, a[0, 1] / 2 * ux * uy),
        (d, b, b, b, -gamma[0] * ux),
        (b, d, d, b, a[1, 0] / 2 * ux * uy),
        (b, b, d, d, a[1, 1] / 2 * uy * uy),
        (b, b, d, b, -gamma[1] * uy),
    ]
    blocks = assembled(terms, weight)
    _add_losses(blocks, coefficients.process, guess, degree, base)
    blocks *= np.exp(here - base)[..., None]
    return np.asarray(blocks)


def assembled(terms: Sequence[tuple[Any, ...]], weight: Array) -> Array:
    """The matrices (E, n^2, n^2) of sums of terms: factors along x of test and basis functions,
    those along y, shape (q, n) each, and a coefficient at the Gauss points, (E, q^2)."""
    q, n = terms[0][0].shape
    terms = [term for term in terms if term[-1].any()]
    # The products of factors along x are summed first.
    left = [
        np.einsum("pi,pk->ikp", u, v).reshape(n * n, q) @ (weight * c).reshape(-1, q, q)
        for u, v, _, _, c in terms
    ]
    right = [np.einsum("qj,ql->qjl", u, v).reshape(q, n * n) for _, _, u, v, _ in terms]
    made = np.concatenate(left, axis=2) @ np.concatenate(right)
    made = made.reshape(-1, n, n, n, n).transpose(0, 1, 3, 2, 4)
    return np.asarray(made.reshape(-1, n * n, n * n))


def _add_losses(
    blocks: Array, process: PlaneDiffusion, guess: Guess, degree: int, base: Array
) -> None:
    """What the drift carries out across outer sides that no noise crosses."""
    mesh = guess.mesh
    t, w = gauss(RULE)
    b = basis(degree).at(t)
    for axis, end in ((0, -1), (0, 1), (1, -1), (1, 1)):
        sides = np.flatnonzero((mesh.beside[axis, (end + 1) // 2] < 0).all(axis=0))
        if not len(sides):
            continue
        s = np.full((2, len(sides), len(t)), float(end))
        s[1 - axis] = t
        x = mesh.low[:, sides, None] + mesh.size[:, sides, None] * (1 + s) / 2
        found = process.fields(x.reshape(2, -1))
        across = found.a[axis, axis].reshape(len(sides), -1)
        size = np.abs(found.a).max(axis=(0, 1)).reshape(len(sides), -1)
        out = np.maximum(end * found.f[axis].reshape(len(sides), -1), 0)
        out[across > 1e-9 * size] = 0
        lossy = out.any(axis=1)
        if not lossy.any():
            continue
        some = sides[lossy]
        wall = basis(DEGREE).at(np.array([float(end)]))
        faces, tables = basis(DEGREE).at(t), guess.tables[some]
        pattern = "ai,bj,eij->eb" if axis == 0 else "bi,aj,eij->eb"
        phi = np.einsum(pattern, wall, faces, tables, optimize=True)
        weight = w * mesh.size[1 - axis, some, None] / 2 * out[lossy] * np.exp(base[some] - phi)
        flat = np.zeros(degree + 1)
        flat[-1 if end > 0 else 0] = 1.0
        functions = np.kron(flat, b) if axis == 0 else np.kron(b, flat)
        functions = functions.reshape(len(t), -1)
        blocks[some] += np.einsum("eq,qi,qj->eij", weight, functions, functions, optimize=True)
