"""The mesh of the spectral elements: cut where the density is not resolved, dropped where it is
nothing; and how far its answer moves with the degree, the cut and the box."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.polynomial.chebyshev import chebvander
from numpy.typing import NDArray

from stationary.plane.density import Density
from stationary.plane.elements import DEGREE, Coefficients, Guess, solve
from stationary.plane.mesh import Mesh, basis
from stationary.plane.rough import Rough
from stationary.process.plane import Box, PlaneDiffusion

__all__ = ["CUT", "Solved", "spectral", "tails"]

Array = NDArray[Any]

CUT = 36.0  # rectangles are dropped where P is below e^-CUT of its peak; e^-30 is compared with it
FIRST = 10  # rectangles for each direction at first
FIT = 12  # Chebyshev polynomials for each direction in the first guess of Phi
# Less than the rough Phi: where that is too steep, u would have to grow without bound.
FACTOR = 0.8
MOST = 1200  # rectangles
RESOLVED = 1e-6  # of the peak: what the last coefficients of a rectangle may be


@dataclass(frozen=True, eq=False)
class Solved:
    """A density, and the same in coarser ways: their differences bound its error."""

    density: Density
    others: tuple[tuple[str, Density], ...]
    resolved: bool


def spectral(process: PlaneDiffusion, rough: Rough) -> Solved:
    """The end state of a process around what a rough one found."""
    coefficients = Coefficients(process)
    nodes = basis(DEGREE).nodes
    mesh = Mesh.over(rough.box, (FIRST, FIRST))
    x = mesh.points(nodes)
    phi = fitted(rough.box, x, rough.at(x))
    mesh = trimmed(mesh, rough.at(x), CUT)
    resolved = False
    while True:
        guess = Guess(mesh, FACTOR * phi(mesh.points(nodes)))
        density = Density(guess.mesh, guess.tables, solve(coefficients, guess))
        columns, rows = unresolved(density)
        worst = max(columns.max(), rows.max())
        resolved = worst < RESOLVED
        if resolved:
            break
        least = max(RESOLVED, worst / 30)
        mesh = trimmed(mesh, density.height - density.height.min(), CUT)
        mesh = mesh.split(columns > least, rows > least)
        if mesh.cells.shape[1] > MOST:
            break
    others = [("degree", Density(guess.mesh, guess.tables, solve(coefficients, guess, DEGREE - 1)))]
    smaller = trimmed(guess.mesh, density.height - density.height.min(), CUT - 6)
    if smaller.cells.shape[1] < guess.mesh.cells.shape[1]:
        keep = smaller.number[tuple(guess.mesh.cells)] >= 0
        part = Guess(smaller, guess.tables[keep])
        others.append(("cut", Density(smaller, part.tables, solve(coefficients, part))))
    return Solved(density, tuple(others), resolved)


def fitted(box: Box, x: Array, phi: Array) -> Callable[[Array], Array]:
    """A smooth fit of Phi, closest where it is small: structure would have to be undone by u."""
    low, high = np.array(box).T[..., None]

    def functions(x: Array) -> Array:
        t = 2 * (x.reshape(2, -1) - low) / (high - low) - 1
        rows = [chebvander(v, FIT - 1) for v in t]
        return np.asarray(np.einsum("mi,mj->mij", *rows).reshape(-1, FIT * FIT))

    weight = np.exp(-phi / 10).ravel()
    degree = np.add.outer(np.arange(FIT), np.arange(FIT)).ravel()
    ridge = np.diag(3e-4 * (1.0 + degree))
    table = np.concatenate([functions(x) * weight[:, None], ridge])
    right = np.concatenate([phi.ravel() * weight, np.zeros(FIT * FIT)])
    c = np.linalg.lstsq(table, right, rcond=None)[0]
    return lambda y: np.asarray(functions(y) @ c).reshape(y.shape[1:])


def trimmed(mesh: Mesh, height: Array, cut: float) -> Mesh:
    """The rectangles in which -log P is somewhere below the cut, as far as they hang together."""
    from scipy.ndimage import label

    least = height.min(axis=(1, 2))
    kept = mesh.restricted(least < max(cut, float(least.min()) + 1))
    parts, count = label(kept.used)
    if count > 1:
        best = mesh.cells[:, int(np.argmin(least))]
        kept = Mesh(mesh.lines, parts == parts[tuple(best)])
    return kept


def unresolved(density: Density) -> tuple[Array, Array]:
    """How far the density is from resolved in each column and row of rectangles."""
    mesh = density.mesh
    height = density.height
    peak = height.min()
    scaled = density.u * np.exp(-(density.phi - density.phi.min(axis=(1, 2), keepdims=True)))
    size = np.abs(scaled).max(axis=(1, 2))
    # Relative to the rectangle where it is high, and the less so the lower it is.
    here = np.minimum(height, 1e3).min(axis=(1, 2)) - peak
    return tails(mesh, scaled, np.exp(-np.clip(here, 0, 80) / 2) / np.maximum(size, 1e-300))


def tails(mesh: Mesh, tables: Array, factor: Array) -> tuple[Array, Array]:
    """For each column and row of rectangles the largest last coefficient, times a factor."""
    transform = basis(tables.shape[1] - 1).to_legendre
    table = np.abs(np.einsum("ai,bj,eij->eab", transform, transform, tables, optimize=True))
    cuts = []
    for axis in (0, 1):
        last = table[:, -2:] if axis == 0 else table[:, :, -2:]
        made = np.zeros(mesh.used.shape[axis])
        np.maximum.at(made, mesh.cells[axis], last.max(axis=(1, 2)) * factor)
        cuts.append(made)
    return cuts[0], cuts[1]
