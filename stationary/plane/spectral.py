"""The mesh of the spectral elements: cut where the density is not resolved, dropped where it is
nothing; and how far its answer moves with the degree, the cut and the box."""

from __future__ import annotations

from functools import partial

import numpy as np

from stationary.aliases import Array
from stationary.numbers.arithmetic import TINY
from stationary.plane import elements
from stationary.plane.apart import Apart
from stationary.plane.density import Density, Solved
from stationary.plane.elements import DEGREE, Coefficients, Guess
from stationary.plane.mesh import FINEST, Mesh, basis
from stationary.plane.rough import Rough
from stationary.process.narrow import Place
from stationary.process.plane import PlaneDiffusion

GOOD = 1e-2  # of the peak: below this no other way is tried
FAR = 22.0  # in -log P of an attractor: beyond, elements have lost its digits
CUT = 36.0  # rectangles are dropped where P is below e^-CUT of its peak; e^-30 is compared with it
BEYOND = 16.0  # and no less than e^-BEYOND of what there is on saddles
FIRST = 10  # rectangles for each direction at first
# Less than the rough Phi: where that is too steep, u would have to grow without bound.
FACTOR = 0.8
MOST, THIN = 1500, 6000  # rectangles, and where noise is singular, so that P may have thin ridges
WANTED = 1e-6  # of the peak: a density that is known no better is said not to be converged
RESOLVED = 3e-7  # of the peak: what the last coefficients of a rectangle may be
FAIR = 3e-3  # the same, from which on no more than `MOST` are used
GROWN = 8  # times as many rectangles should leave half of what is missing, or more are in vain
SPREADS = 1e-2  # of the peak: as much missing in a rectangle is seen in others, and is cut first
SEEN = 6.0  # widths of a narrow place are the sides of a rectangle whose nodes show it
WORSE = 10  # so many meshes that resolve less than one before: where noise is singular they may
NEAR = 0.1  # of a box: as near to points at rest what is missing counts by area
DEEP = 5  # so often are rectangles cut in four only at kinks, on thin ridges and at single points


def spectral(
    process: PlaneDiffusion, rough: Rough, apart: Apart | None = None, most: int = MOST
) -> Solved:
    """The end state of a process around what a rough one found, be it on attractors apart."""
    rests = np.empty((2, 0)) if apart is None else apart.rests
    coefficients = Coefficients(process)
    solve = elements.solve if apart is None else apart.solve
    surely = elements.solve if apart is None else partial(apart.solve, sure=True)
    nodes = basis(DEGREE).nodes
    mesh = Mesh.over(rough.box, (FIRST, FIRST))
    for place in process.narrow.places(rough.box):
        mesh = around(mesh, place)
    least = 0.0 if apart is None else float(rough.nearest(apart.attractors).max())
    mesh = mesh.restricted(held(mesh, rough.at(mesh.points(nodes)), CUT + least))
    made: list[Density] = []
    left: list[float] = []  # what is unresolved of each
    last = 0.0
    while True:
        guess = Guess.joined(mesh, FACTOR * rough.at(mesh.points(nodes)))
        density = Density(mesh, guess.tables, solve(coefficients, guess))
        # Up to the saddles the density is to be known as well as at its peak, and around each
        # attractor as far out.
        floor, least = (0.0, 0.0) if apart is None else apart.heights(density)
        missing = unresolved(density, floor, rests)
        if abs(floor - last) > 1:  # before, less of it mattered
            left, last = [float(unresolved(d, floor, rests).max()) for d in made], floor
        worst = float(missing.max())
        made.append(density)
        left.append(worst)
        best = int(np.argmin(left))
        cut = max(CUT + least, floor + BEYOND)
        if left[best] < RESOLVED or len(made) > best + WORSE:
            break
        kept = held(mesh, density.above, cut)
        if not worst < SPREADS:  # its peak may be anywhere
            kept[:] = True
        tolerated = RESOLVED if worst < SPREADS and most == MOST else max(RESOLVED, worst / 30)
        few = [v for v, d in zip(left, made, strict=True) if GROWN * d.mesh.count <= mesh.count]
        helps = left[best] < min(few, default=np.inf) / 2
        room = most if helps and worst >= FAIR else MOST
        finer = closer(mesh.restricted(kept), missing[kept], tolerated, room)
        if finer is None:
            break
        mesh = finer
    worst, density = left[best], made[best]
    mesh, guess = density.mesh, Guess(density.mesh, density.phi)
    others = [("degree", Density(mesh, guess.tables, surely(coefficients, guess, DEGREE - 2)))]
    if best and (worst >= RESOLVED or mesh.level.max() > DEEP):
        others.append(("mesh", made[best - 1]))
    kept = held(mesh, density.above, cut - 6)
    if not kept.all():
        part = Guess(mesh.restricted(kept), guess.tables[kept])
        others.append(("cut", Density(part.mesh, part.tables, surely(coefficients, part))))
    return Solved("elements", density, tuple(others))


def around(mesh: Mesh, place: Place) -> Mesh:
    """With rectangles cut in four where a narrow place would lie between their nodes."""
    while mesh.count < MOST / 2 and mesh.level.max() < FINEST - 1:
        apart = np.abs(mesh.low + mesh.size / 2 - place.middle[:, None]) - mesh.size / 2
        cut = (apart <= place.width).all(axis=0) & (mesh.size.min(axis=0) > SEEN * place.width)
        if not cut.any():
            break
        mesh = mesh.split(cut)
    return mesh


def closer(mesh: Mesh, missing: Array, least: float, most: int) -> Mesh | None:
    """With rectangles cut where more than `least` is missing, the worst ones first, while there is
    room for a tenth more."""
    cut = missing > least
    while True:
        made = mesh.split(cut)
        if made.count <= most:
            return made if made.level.max() < FINEST else None
        few = int(0.6 * cut.sum())
        if few < mesh.count // 30:
            return None
        cut = cut & (missing >= np.sort(missing)[-few])


def held(mesh: Mesh, height: Array, cut: float) -> Array:
    """Whether -log P is somewhere below the cut in each rectangle, as far as they hang together."""
    least = height.min(axis=(1, 2))
    kept = least < max(cut, float(least.min()) + 1)
    part = mesh.clusters(kept)
    return np.asarray(kept & (part == part[np.argmin(least)]))


def unresolved(density: Density, floor: float, rests: Array) -> Array:
    """How far the density is from resolved in each rectangle: where it is p times e^-floor of its
    peak, 1 / sqrt(p) times as large a part of it may be missing as above that. At points at rest,
    where P may have no limit, and beyond `DEEP` what is missing counts by area."""
    height, mesh = density.height, density.mesh
    scaled = density.u * np.exp(-(density.phi - density.phi.min(axis=(1, 2), keepdims=True)))
    size = np.abs(scaled).max(axis=(1, 2))
    here = np.minimum(height, 1e3).min(axis=(1, 2)) - height.min()
    known = np.exp(-np.clip(here - floor, 0, 80) / 2) / np.maximum(size, TINY)
    known *= 4.0 ** np.minimum(DEEP - mesh.level, 0)
    wide = np.ptp(np.array(mesh.box), axis=1)[:, None]
    for x in rests.T:
        far = np.abs(mesh.low + mesh.size / 2 - x[:, None]) + mesh.size / 2
        known *= np.minimum(1, (far / wide / NEAR).max(axis=0) ** 2)
    return np.asarray(tails(scaled) * known)


def tails(tables: Array) -> Array:
    """The largest of the last coefficients of polynomials (E, n, n)."""
    transform = basis(tables.shape[1] - 1).to_legendre
    table = np.abs(transform @ tables @ transform.T)
    return np.asarray(np.maximum(table[:, -2:].max(axis=(1, 2)), table[:, :, -2:].max(axis=(1, 2))))
