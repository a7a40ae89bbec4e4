"""The end state from conservative spectral elements: P = e^-Phi u, with Phi a guess of -log P.

For all v: int e^-Phi (a grad u / 2 - gamma u) . grad v = 0, gamma = f - div a / 2 + a grad Phi / 2,
so that no probability leaves. Rows are scaled by e^Phi, the unknowns inside a rectangle are
eliminated at once, and u is pinned where Phi is least. Across sides that no noise crosses what the
drift carries out is lost: without that, densities of degenerate processes grow at such sides.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import numpy as np
from scipy.sparse import csc_array, csr_array
from scipy.sparse.linalg import splu

from stationary.aliases import Array
from stationary.errors import ConvergenceError
from stationary.numbers.arithmetic import TINY
from stationary.numbers.cost import SHARED
from stationary.plane.mesh import Basis, Mesh, basis, gauss
from stationary.process.plane import PlaneDiffusion

DEGREE = 12  # of elements: errors fall by 2^13 where rectangles are halved
MORE = 3  # Gauss points for each direction than the degree


@dataclass(eq=False)
class Coefficients:
    """Drift and covariance at the Gauss points of rectangles, each evaluated once, and the
    equations of rectangles that were there the last time."""

    process: PlaneDiffusion
    degree: int = DEGREE  # of elements, or the highest of several
    mesh: Mesh | None = None  # of all rectangles so far, also such as were cut
    table: Array = field(init=False)
    last: dict[int, tuple[Guess, Parts]] = field(default_factory=dict)  # by degree

    def __post_init__(self) -> None:
        self.table = np.empty((8, 0, self.rule**2))

    @property
    def rule(self) -> int:
        """How many Gauss points there are for each direction."""
        return self.degree + MORE

    def at(self, mesh: Mesh) -> tuple[Array, Array, Array]:
        """f, a and div a at the Gauss points, shapes (2, E, q), (2, 2, E, q) and (2, E, q)."""
        self.mesh = self.mesh or mesh.restricted(np.zeros(mesh.count, dtype=bool))
        new = mesh.restricted(mesh.places_in(self.mesh) < 0)
        if new.count:
            x = new.points(gauss(self.rule)[0]).reshape(2, -1)
            found = self.process.fields(x, 1)
            self.process.check(x, found)
            rows = np.concatenate([found.f, found.a.reshape(4, -1), found.div])
            self.table = np.concatenate([self.table, rows.reshape(8, new.count, -1)], axis=1)
            self.mesh = self.mesh.with_others(new.level, new.index)
        table = self.table[:, mesh.places_in(self.mesh)]
        return table[:2], table[2:6].reshape(2, 2, mesh.count, -1), table[6:]


@dataclass(frozen=True, eq=False)
class Guess:
    """Phi on the rectangles of a mesh: values at Gauss-Lobatto nodes."""

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

    @property
    def basis(self) -> Basis:
        return basis(self.tables.shape[1] - 1)

    def at(self, t: Array) -> Array:
        """(E, m, m)."""
        b = self.basis.at(t)
        return np.asarray(b @ self.tables @ b.T)

    def slopes(self, t: Array) -> Array:
        """(2, E, m, m): the gradient."""
        b, d = self.basis.at(t), self.basis.slope_at(t)
        both = np.stack([d @ self.tables @ b.T, b @ self.tables @ d.T])
        return np.asarray(both * (2 / self.mesh.size)[:, :, None, None])

    def restricted(self, keep: Array) -> Guess:
        return Guess(self.mesh.restricted(keep), self.tables[keep])

    def places_in(self, other: Guess) -> Array:
        """(E,): the numbers of the same rectangles with the same Phi and sides; -1 where none."""
        number = self.mesh.places_in(other.mesh)
        same = (other.mesh.outer[..., number] == self.mesh.outer).all(axis=(0, 1))
        same &= (other.tables[number] == self.tables).all(axis=(1, 2))
        return np.where(same, number, -1)


class Parts(NamedTuple):
    """The equations on the sides of each rectangle, with the unknowns inside it eliminated."""

    matrix: Array  # (E, outer, outer)
    load: Array  # (E, outer)
    carried: Array  # (E, inner, outer): what is inside is `inside` less this times what is outside
    inside: Array  # (E, inner)

    @classmethod
    def of(cls, blocks: Array, loads: Array, degree: int) -> Parts:
        """From the matrices of rectangles, (E, n^2, n^2), and their right sides, (E, n^2)."""
        outer, inner = sides_and_inside(degree)
        right = np.concatenate([blocks[:, inner[:, None], outer], loads[:, inner, None]], axis=2)
        solved = np.linalg.solve(blocks[:, inner[:, None], inner], right)
        carried, inside = solved[..., :-1], solved[..., -1]
        across = blocks[:, outer[:, None], inner]
        matrix = blocks[:, outer[:, None], outer] - across @ carried
        load = loads[:, outer] - (across @ inside[..., None])[..., 0]
        return cls(matrix, load, carried, inside)


def sides_and_inside(degree: int) -> tuple[Array, Array]:
    """Of the nodes of a rectangle, in a row, those on its sides, and the others."""
    edge = np.ones((degree + 1, degree + 1), dtype=bool)
    edge[1:-1, 1:-1] = False
    return np.flatnonzero(edge), np.flatnonzero(~edge)


@dataclass(eq=False)
class Condensed:
    """Equations on the sides of rectangles.

    Parameters
    ----------
    parts
        Those of each rectangle.
    scales
        Logs of what the rows of each rectangle were multiplied by, (E, n^2).
    evened
        Whether unknowns of very different weight are scaled first: they need no pivots then.
    """

    mesh: Mesh
    degree: int
    parts: Parts
    process: PlaneDiffusion
    scales: Array | None = None
    evened: bool = False

    def __post_init__(self) -> None:
        number, extended = self.mesh.sides(self.degree)
        self.outer, self.inner = sides_and_inside(self.degree)
        self.place = number.reshape(self.mesh.count, -1)[:, self.outer]
        size, count = extended.shape
        right = np.bincount(self.place.ravel(), self.parts.load.ravel(), minlength=size)
        # Test functions are those of free nodes, with what they are at nodes that hang on these.
        self.extended = extended
        tested = extended.tocoo()
        if self.scales is not None:
            log = self.at_nodes(self.scales)
            tested.data = tested.data * np.exp(log[self.free[tested.col]] - log[tested.row])
        index = np.full(size, -1, dtype=np.int32)
        index[self.free] = np.arange(count)
        free = index[self.place]
        hang = (free < 0).any(axis=1)
        rest = _sparse(self.parts.matrix[hang], self.place[hang], size)
        own = _sparse(self.parts.matrix[~hang], free[~hang], count)
        self.matrix = csc_array(own + tested.T @ rest @ extended)
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
        size = np.ones(len(rest))
        if self.evened:
            size /= np.sqrt(np.maximum(np.abs(part.diagonal()), TINY))
            part = csc_array(part.multiply(size[:, None]).multiply(size))
            right = right * size
        if not np.isfinite(part.data).all():  # of which SuperLU tells the world
            raise ConvergenceError(_singular(self.process))
        try:
            lu = splu(
                part, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.01,
                options={"SymmetricMode": True},
            )  # fmt: skip
        except RuntimeError as error:
            raise ConvergenceError(_singular(self.process)) from error
        x = lu.solve(right)
        border[rest] = ((x + lu.solve(right - part @ x)).T * size).T
        n = self.degree + 1
        made = np.empty((*values.shape[1:], self.mesh.count, n * n))
        made[..., self.outer] = (self.extended @ border).T[..., self.place]
        within = self.parts.carried @ made[..., self.outer, None]
        made[..., self.inner] = self.parts.inside - within[..., 0]
        if not np.isfinite(made).all():
            raise ConvergenceError(_singular(self.process))
        return made.reshape(*made.shape[:-1], n, n)


def _sparse(blocks: Array, place: Array, size: int) -> csc_array:
    """The sum of matrices, (E, n, n), of which each has its rows and columns at its own places."""
    rows, columns = np.repeat(place, place.shape[1], axis=1), np.tile(place, place.shape[1])
    pairs = blocks.ravel(), (rows.ravel(), columns.ravel())
    return csc_array(pairs, shape=(size, size))


def _free(extended: csr_array) -> Array:
    """Of the nodes of `Mesh.sides` those that do not hang on others."""
    made = np.empty(extended.shape[1], dtype=int)
    alone = np.flatnonzero(np.diff(extended.indptr) == 1)
    made[extended[alone].indices] = alone
    return made


def solve(coefficients: Coefficients, guess: Guess, degree: int = DEGREE) -> Array:
    """u at the nodes of each rectangle, shape (E, n, n), one where it is pinned."""
    phi = guess.at(basis(degree).nodes).reshape(guess.mesh.count, -1)
    parts = parts_of(coefficients, guess, degree)
    system = Condensed(guess.mesh, degree, parts, coefficients.process, phi)
    heights = system.at_nodes(phi)[system.free]
    return system.solve(np.array([np.argmin(heights)]), np.ones(1))


def parts_of(
    coefficients: Coefficients,
    guess: Guess,
    degree: int,
    edited: Callable[[Mesh, Array], Array] | None = None,
) -> Parts:
    """The equations of each rectangle, those of rectangles that are as they were not made anew;
    with what else there is to their matrices, and gives their right sides, transposed."""
    last = coefficients.last.get(degree)
    place = np.full(guess.mesh.count, -1) if last is None else guess.places_in(last[0])
    new = np.flatnonzero(place < 0)
    if last is not None and not len(new):
        return Parts(*(t[place] for t in last[1]))
    part = guess.restricted(new)
    terms, base = _terms(coefficients, part)
    lost = _losses(coefficients, part, guess.mesh.outer[..., new], degree, base)
    rows = np.exp(part.at(basis(degree).nodes).reshape(len(new), -1) - base)

    several, at_once = [], SHARED // (degree + 1) ** 4
    for k in range(0, len(new), at_once):
        some = np.arange(k, min(k + at_once, len(new)))
        blocks = _assembled([(which, c[some]) for which, c in terms], degree, coefficients.rule)
        for at, by, functions in lost:
            here = np.isin(at, some)
            blocks[at[here] - k] += functions.T @ (by[here, :, None] * functions)
        blocks *= rows[some, :, None]
        loads = np.zeros(blocks.shape[:2])
        if edited is not None:
            blocks = np.ascontiguousarray(np.swapaxes(blocks, 1, 2))
            loads = edited(part.mesh.restricted(some), blocks)
        try:
            several.append(Parts.of(blocks, loads, degree))
        except np.linalg.LinAlgError as error:
            raise ConvergenceError(_singular(coefficients.process)) from error
    made = Parts(*(np.concatenate(tables) for tables in zip(*several, strict=True)))
    if last is not None:
        old = place >= 0
        whole = Parts(*(np.empty((len(place), *t.shape[1:])) for t in made))
        for table, before, now in zip(whole, last[1], made, strict=True):
            table[old], table[new] = before[place[old]], now
        made = whole
    coefficients.last[degree] = guess, made
    return made


def _singular(process: PlaneDiffusion) -> str:
    return (
        f"{process.name}: the equations have no single solution: there may be several closed "
        "classes, or no density (all collapses onto a line or a point). Add a little noise to see "
        "which, or shrink the domain to one class."
    )


def _terms(coefficients: Coefficients, guess: Guess) -> tuple[list[tuple[str, Array]], Array]:
    """The terms of the weak form, by weights of Gauss points times e^(base - Phi), and the base."""
    mesh = guess.mesh
    t, w = gauss(coefficients.rule)
    f, a, div = coefficients.at(mesh)
    slope = guess.slopes(t).reshape(2, mesh.count, -1)
    phi = guess.at(t).reshape(mesh.count, -1)
    base = np.minimum(phi.min(axis=1), guess.tables.min(axis=(1, 2)))[:, None]
    gamma = f - div / 2 + np.einsum("ijeq,jeq->ieq", a, slope) / 2
    weight = np.outer(w, w).ravel() * (mesh.size[0] * mesh.size[1] / 4)[:, None]
    weight *= np.exp(base - phi)
    u = (2 / mesh.size)[..., None]  # by which local coordinates grow faster
    by = {"ddbb": (0, 0), "dbbd": (0, 1), "bddb": (1, 0), "bbdd": (1, 1)}
    terms = [(which, weight * (a[k] / 2 * u[k[0]] * u[k[1]])) for which, k in by.items()]
    terms += [(k, weight * -(g * v)) for k, g, v in zip(("dbbb", "bbdb"), gamma, u, strict=True)]
    return terms, base


def _assembled(terms: Sequence[tuple[str, Array]], degree: int, rule: int) -> Array:
    """The matrices (E, n^2, n^2) of sums of terms: for test and basis functions along x, and those
    along y, whether they are meant or their derivatives (b or d), and a coefficient at the Gauss
    points, (E, q^2)."""
    t, _ = gauss(rule)
    table = {"b": basis(degree).at(t), "d": basis(degree).slope_at(t)}
    q, n = table["b"].shape
    alike: dict[str, list[tuple[str, Array]]] = {}  # by the functions along y
    for which, c in terms:
        if c.any():
            alike.setdefault(which[2:], []).append((which, c))
    left, right = [], []
    for along, some in alike.items():
        # The products of factors along x are summed first.
        x = [np.einsum("pi,pk->ikp", table[k[0]], table[k[1]]).reshape(n * n, q) for k, _ in some]
        c = np.concatenate([c.reshape(-1, q, q) for _, c in some], axis=1)
        left.append(np.concatenate(x, axis=1) @ c)
        y = np.einsum("qj,ql->qjl", table[along[0]], table[along[1]])
        right.append(y.reshape(q, n * n))
    made = np.concatenate(left, axis=2) @ np.concatenate(right)
    made = made.reshape(-1, n, n, n, n).transpose(0, 1, 3, 2, 4)
    return np.asarray(made.reshape(-1, n * n, n * n))


def _losses(
    coefficients: Coefficients, guess: Guess, outer: Array, degree: int, base: Array
) -> list[tuple[Array, Array, Array]]:
    """What the drift carries out across outer sides that no noise crosses: numbers of rectangles,
    weights at points of a side, and the test functions there."""
    mesh, made = guess.mesh, []
    t, w = gauss(coefficients.rule)
    b = basis(degree).at(t)
    for axis, end in ((0, -1), (0, 1), (1, -1), (1, 1)):
        sides = np.flatnonzero(outer[axis, (end + 1) // 2])
        if not len(sides):
            continue
        s = np.full((2, len(sides), len(t)), float(end))
        s[1 - axis] = t
        x = mesh.low[:, sides, None] + mesh.size[:, sides, None] * (1 + s) / 2
        found = coefficients.process.fields(x.reshape(2, -1))
        out = np.where(found.crosses(axis), 0, np.maximum(end * found.f[axis], 0))
        out = out.reshape(len(sides), -1)
        lossy = out.any(axis=1)
        if not lossy.any():
            continue
        some = sides[lossy]
        wall = guess.basis.at(np.array([float(end)]))
        faces, tables = guess.basis.at(t), guess.tables[some]
        pattern = "ai,bj,eij->eb" if axis == 0 else "bi,aj,eij->eb"
        phi = np.einsum(pattern, wall, faces, tables, optimize=True)
        weight = w * mesh.size[1 - axis, some, None] / 2 * out[lossy] * np.exp(base[some] - phi)
        flat = np.zeros(degree + 1)
        flat[-1 if end > 0 else 0] = 1.0
        functions = np.kron(flat, b) if axis == 0 else np.kron(b, flat)
        made.append((some, weight, functions.reshape(len(t), -1)))
    return made
