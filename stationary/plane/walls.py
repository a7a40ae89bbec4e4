"""Walls across which the noise vanishes: populations, concentrations and shares at 0 and at 1.

Next to such a wall P is a power of the distance, which no polynomial is. In the logarithm of the
distance it falls exponentially, as on the whole plane, and the wall is never reached.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.integrate import cumulative_trapezoid

from stationary.errors import ConvergenceError, LandscapeError, StationaryError
from stationary.numbers.arithmetic import EPSILON
from stationary.plane.boxes import clipped, finite_box, lattice, sides_of
from stationary.plane.charts import LEFT, Between, Beyond, Chart, Even
from stationary.plane.local import Equilibrium
from stationary.plane.rough import BEYOND, POINTS, Rough, found_on_grid
from stationary.plane.spectral import CUT
from stationary.plane.state import PlaneState
from stationary.plane.tails import Stretched
from stationary.plane.zeros import equilibria_of
from stationary.process.plane import PlaneDiffusion

PLACES = 33  # along a wall, at which the noise across is looked at
NEAR = 1e-9, 1e-3  # of the domain: how far from it, or as far as doubles tell
FALLS = 0.5  # the power of the distance with which the noise falls, at least
SQUARE = 1.9  # the power from which on no noise takes it there by itself
REACH = 4.5  # of y, from 0: there walls are e^-90 sizes away
SLOW = 1e-3  # of f r / a next to a wall, and of powers: what is 0 there is less by then


def chart_of(process: PlaneDiffusion) -> Chart | None:
    """Coordinates in which walls without noise are far away; None if there are none.

    Raises
    ------
    LandscapeError
        If what comes to such a wall stays there.
    """
    axes = [_axis(process, axis) for axis in (0, 1)]
    return None if all(type(a) is Even for a in axes) else Chart((axes[0], axes[1]))


def _axis(process: PlaneDiffusion, axis: int) -> Even:
    ends = process.domain[axis]
    low, high = (np.isfinite(v) and _is_noiseless(process, axis, k) for k, v in enumerate(ends))
    if not (low or high):
        return Even()
    if low and high:
        return Between(*ends)
    wall, other = ends if low else ends[::-1]
    length = float(np.diff(finite_box(process.domain)[axis])[0]) if np.isfinite(other) else 1.0
    return Beyond(wall, length if low else -length)


def _is_noiseless(process: PlaneDiffusion, axis: int, side: int) -> bool:
    """Whether noise across a wall falls to 0 all along it, and the drift does not lead out."""
    box = finite_box(process.domain)
    width, wall = box[axis][1] - box[axis][0], process.domain[axis][side]
    closest = max(NEAR[0], LEFT * EPSILON * abs(wall) / width)
    if closest >= NEAR[1]:
        return False
    near = np.geomspace(closest, NEAR[1], 3)
    x = np.empty((2, len(near), PLACES))
    t = (np.arange(PLACES) + 0.5) / PLACES
    x[1 - axis] = box[1 - axis][0] + (box[1 - axis][1] - box[1 - axis][0]) * t
    x[axis] = wall + (1 - 2 * side) * width * near[:, None]
    r = np.abs(x[axis] - wall)
    try:
        found = process.fields(x.reshape(2, -1))
    except StationaryError:
        return False
    a = found.a[axis, axis].reshape(r.shape)
    inwards = (1 - 2 * side) * found.f[axis].reshape(r.shape)
    if not (np.isfinite(a).all() and np.isfinite(inwards).all() and (a > 0).all()):
        return False
    power = np.log(a[1:] / a[:-1]) / np.log(r[1:] / r[:-1])
    if not (power > FALLS).all():
        return False
    q = inwards * r / a
    # Where noise falls less than r does, what comes is reflected; else drift has to lead back.
    stays = (q[0] < SLOW) & ((q[0] < 0) | (q[0] <= q[1] / 2)) & (power[0] > 1 - SLOW)
    if stays.all() and (power < SQUARE).all():
        name = ("first", "second")[axis]
        raise LandscapeError(
            f"{process.name}: what comes to the wall {wall:g} of the {name} coordinate stays there "
            "(extinction, fixation): the noise vanishes across it, and the drift does not lead "
            "away. All ends there, and there is no density in the plane. Add what leads back "
            "(immigration, mutation), or ask how long it takes, by mean_exit_time and a region "
            "that ends short of the wall."
        )
    return bool((q[0] > -SLOW).all() or (power > SQUARE).all())


def from_walls(state: PlaneState, process: PlaneDiffusion, chart: Chart) -> PlaneState:
    """The end state of x from that of y."""
    everything = ((-np.inf, np.inf),) * 2  # what is left out next to walls is missed
    density = Stretched(state.density.in_domain(everything), chart)
    others = tuple((name, Stretched(d, chart)) for name, d in state.others)
    box = density.box
    made = replace(
        state, process=process, diffusion=process, density=density, others=others,
        equilibria=equilibria_of(process, box),
    )  # fmt: skip
    return replace(made, notes=density.notes)


def beside(process: PlaneDiffusion, equilibria: tuple[Equilibrium, ...]) -> Rough:
    """The rough chain of y, if noise does not come to walls; else cells are too wide for it."""
    box = clipped(np.full(2, -REACH), np.full(2, REACH), process.domain)
    for axis, side, x in sides_of(box, PLACES):
        at_wall = box[axis][side] == process.domain[axis][side]
        if at_wall and (process.velocity(x)[axis] * (2 * side - 1) > 0).all():
            return _along_axes(process, CUT)
    return found_on_grid(process, equilibria, CUT)


def _along_axes(process: PlaneDiffusion, cut: float) -> Rough:
    """Phi as if nothing circulated, by integrals of A along lines."""
    box = clipped(np.full(2, -REACH), np.full(2, REACH), process.domain)
    axes = tuple(np.linspace(*ends, POINTS) for ends in box)
    try:
        slope = process.fields(lattice(*axes), 1).slope.reshape(2, POINTS, POINTS)
    except np.linalg.LinAlgError:
        raise ConvergenceError(f"{process.name}: the noise is singular.") from None
    i, j = (int(np.argmin(np.abs(v))) for v in axes)
    first, second = (cumulative_trapezoid(slope[k], axes[k], axis=k, initial=0) for k in (0, 1))
    one = first[:, [j]] + second - second[:, [j]]
    other = second[[i]] + first - first[[i]]
    log = np.minimum(one, other)  # where they differ the higher one may have no end
    phi = log.max() - log
    held = [np.flatnonzero(phi.min(axis=1 - k) < cut) for k in (0, 1)]
    part = [slice(max(h[0] - BEYOND, 0), h[-1] + BEYOND + 1) for h in held]
    axes = tuple(v[s] for v, s in zip(axes, part, strict=True))
    return Rough(axes, phi[part[0], part[1]], True)
