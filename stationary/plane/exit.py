"""How long it takes to leave a region; for a rectangle the transpose of the equations of the end
state.

The mean time tau solves f . grad tau + a : grad grad tau / 2 = -1, with tau = 0 on sides that are
reached (those that noise crosses, and those across which the drift leads out).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from stationary.aliases import Array
from stationary.errors import ConvergenceError, LandscapeError
from stationary.plane.boxes import box_of, clipped, ends_of
from stationary.plane.elements import DEGREE, Coefficients, Condensed, Guess, parts_of
from stationary.plane.exit_region import times_in_region
from stationary.plane.local import everywhere
from stationary.plane.mesh import FINEST, FIRST, Mesh, basis, gauss, summed
from stationary.plane.rough import found_on_grid
from stationary.plane.spectral import CUT, tails
from stationary.plane.state import points_of
from stationary.process.plane import Box, PlaneDiffusion, box_text, point_text, rectangle
from stationary.states.law import Estimate

MOST = 1200  # rectangles
RESOLVED = 1e-10  # of the largest time


def exit_time(process: PlaneDiffusion, x: Any, region: Any) -> Estimate:
    """The mean time at which the process first leaves a region, from points (2,) or (2, M).

    Sides of a rectangle on a side of the domain, or beyond it, reflect; infinite ones are cut
    where next to nothing is.
    """
    flat = points_of(x)
    if callable(region):
        ends: Box = ((-math.inf, math.inf),) * 2
        tau, error = times_in_region(process, _finite(process, ends), region, flat)
    else:
        tau, error = _from_rectangle(process, flat, region)
    if not (tau > 0).all() or not (error < 0.5 * tau).all():
        raise ConvergenceError(
            f"{process.name}: the exit time could not be resolved: barriers may be too high for "
            "doubles. Raise the noise, or take a smaller region."
        )
    shape = np.shape(x)[1:]
    return Estimate(np.log(tau).reshape(shape)[()], (error / tau).reshape(shape)[()])


def _from_rectangle(process: PlaneDiffusion, flat: Array, region: Any) -> tuple[Array, Array]:
    name = process.name
    sides = rectangle(region, name)
    held, absorbing = _cut(process, sides)
    low, high = ends_of(held)
    outside = ((flat < low) | (flat > high)).any(axis=0)
    if outside.any():
        raise LandscapeError(
            f"{name}: the point {point_text(flat[:, np.argmax(outside)])} does not lie in the "
            f"region {box_text(held)}."
        )
    coefficients = Coefficients(process)
    mesh = Mesh.over(held, (FIRST, FIRST))
    while True:
        times = _times(coefficients, mesh, absorbing, DEGREE)
        largest = float(times.max())
        missing = tails(times) / largest
        worst = float(missing.max())
        finer = mesh.split(missing > max(RESOLVED, worst / 30))
        if worst < RESOLVED or finer.count > MOST or finer.level.max() == FINEST:
            break
        mesh = finer
    coarse = _times(coefficients, mesh, absorbing, DEGREE - 2)
    number, local = mesh.place(flat)
    tau, rough = summed((times, coarse), number, local)
    # Rounding grows with the number of moves between neighbouring nodes in that time.
    _, a, _ = coefficients.at(mesh)
    spacing = mesh.size * (1 + basis(DEGREE).nodes[1]) / 2
    rate = max(float((a[k, k] / 2 / spacing[k][:, None] ** 2).max()) for k in (0, 1))
    rounding = 2e-17 * largest * rate  # as measured: LU loses less than its bound
    moved = np.abs(rough - tau)
    return tau, moved + (1e-13 + rounding) * np.abs(tau)


def _cut(process: PlaneDiffusion, sides: Box) -> tuple[Box, list[tuple[bool, bool]]]:
    """The rectangle in finite ends, and which of its sides end the time."""
    both = list(zip(sides, process.domain, strict=True))
    absorbing = [(low > a, high < b) for (low, high), (a, b) in both]
    if not any(any(pair) for pair in absorbing):
        raise LandscapeError(
            f"{process.name}: the region {box_text(sides)} is the whole domain: it is never left."
        )
    ends = _finite(process, sides)
    if any(not low < high for low, high in ends):
        raise LandscapeError(
            f"{process.name}: the region {box_text(sides)} lies outside of where the process is."
        )
    return ends, absorbing


def _finite(process: PlaneDiffusion, box: Box) -> Box:
    """A box with ends of the domain, or of what holds the process, where it has infinite ones."""
    low, high = np.array(box).T
    made = clipped(low, high, process.domain)
    if np.isinf(made).any():
        held = found_on_grid(process, everywhere(process), CUT).box
        made = box_of(*np.where(np.isinf(made), held, made).T)
    return made


def _times(
    coefficients: Coefficients, mesh: Mesh, absorbing: list[tuple[bool, bool]], degree: int
) -> Array:
    flat = Guess(mesh, np.zeros((mesh.count, DEGREE + 1, DEGREE + 1)))
    t, w = gauss(degree + 1)
    even = np.outer(w @ basis(degree).at(t), w @ basis(degree).at(t)).ravel()
    parts = parts_of(
        coefficients, flat, degree, lambda m: even * (m.size[0] * m.size[1] / 4)[:, None]
    )
    system = Condensed(mesh, degree, parts, coefficients.process)
    x = mesh.points(basis(degree).nodes).reshape(2, mesh.count, -1)[:, :, system.outer]
    fixed = np.zeros(len(system.extended.indptr) - 1, dtype=bool)
    for axis in (0, 1):
        for side, end in ((0, -1), (1, 1)):
            at = np.abs(x[axis] - mesh.box[axis][side]) < 1e-12 * np.ptp(mesh.box[axis])
            if not absorbing[axis][side]:
                continue
            found = coefficients.process.fields(x[:, at])
            reached = found.crosses(axis) | (end * found.f[axis] > 0)
            fixed[system.place[at][reached]] = True
    fixed = fixed[system.free]
    return system.solve(np.flatnonzero(fixed), np.zeros(int(fixed.sum())))
