"""Attractors within high barriers: spectral elements on what has to be known, and less noise.

Around each attractor, and on the ways between them, elements start from a chain that knows P up to
a smooth factor (`stationary.plane.fitted`). What they conserve they share out by currents, so that
barriers do not limit them, but rectangles in each of which P falls by little: beyond some e^100
there would be too many. There the same is done with several times as much noise. With noise e a
the product e log P is A + B e + C e^2 + ..., of which at each point as many terms are had as there
are solutions; one solution less tells the error.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from stationary.aliases import Array
from stationary.errors import ConvergenceError
from stationary.numbers.arithmetic import TINY
from stationary.numbers.elementary import distinct
from stationary.plane.apart import Apart
from stationary.plane.boxes import clipped
from stationary.plane.density import Density, Solved
from stationary.plane.elements import Coefficients, Guess, solve
from stationary.plane.fitted import CUT, MARGIN, Fitted, fitted
from stationary.plane.local import Equilibrium, positions
from stationary.plane.mesh import FIRST, Mesh, basis
from stationary.plane.spectral import closer, tails
from stationary.process.plane import Box, PlaneDiffusion

DEGREE = 8  # of elements, in which P falls by much: few digits are needed, and no more terms
FINE, COARSE = 128, 96  # points of the chains, for each direction: what elements start from
FALLS = 12.0  # of log P in a rectangle, at most: with 18 elements have no positive solution
MOST, ROOM = 1400, 1.5  # rectangles to begin with, and times as many at last
RESOLVED = 3e-5  # of P in a rectangle; what is known of attractors is its square or so
CLOSELY, ASIDE = 1e-8, 0.1  # the same around one of them; and of a box, on each side around it
ROUNDS = 3  # meshes
LESS = 4.0  # in -log P: by as much less is kept to tell the error of what was cut
LOUDER, LOUDEST = 1.28, 100.0  # factors of the noise: from one try to the next, and at most
TRIES = 3  # solutions that did not hold, before no more noise is tried
TERMS = 4  # of a series in the noise; one less where louder noise does not hold
UNSURE = 1.3  # times the most that terms are off at attractors, which is claimed three times
ALIKE = 0.1  # in log P at attractors: what coarser ways may differ by where elements hold


class _Start(NamedTuple):
    fine: Fitted
    coarse: Fitted
    mesh: Mesh


LEADS = (
    "{name}: barriers are too high for spectral elements on all of the plane, and the drift does "
    "not lead to attractors alone. Raise the noise."
)
UNEVEN = (
    "{name}: barriers are too high for spectral elements, and with {noise:.3g} times the noise "
    "something else holds the basins together. Raise the noise, or take each basin as a domain of "
    "its own."
)


def _least(start: Fitted, mesh: Mesh) -> Array:
    """(E,): how far above what has to be known P is, in each rectangle at least."""
    return np.asarray(start.needed(mesh.points(basis(DEGREE).nodes)).min(axis=(1, 2)))


def _laid(start: Fitted) -> Mesh:
    """A mesh on which P falls by little in each rectangle, or one with more than `MOST`."""
    phi = np.where(start.above < 0, start.phi, np.nan)
    steep = [np.nanmean(np.abs(np.diff(phi, axis=k))) for k in (0, 1)]
    counts = np.clip(np.rint(FIRST * np.sqrt(np.array(steep) / np.mean(steep))), 4, 4 * FIRST)
    mesh = Mesh.over(start.box, (int(counts[0]), int(counts[1])))
    while True:
        x = mesh.points(basis(DEGREE).nodes)
        kept = start.needed(x) < 0
        some = np.asarray(kept.any(axis=(1, 2)))
        mesh, kept = mesh.restricted(some), kept[some]
        phi = start.at(x[:, some])
        high, low = (np.where(kept, phi, end) for end in (-np.inf, np.inf))
        steep = high.max(axis=(1, 2)) - low.min(axis=(1, 2)) > FALLS
        if mesh.count > MOST or not steep.any():
            return mesh
        mesh = mesh.split(steep)


def beyond_barriers(process: PlaneDiffusion, equilibria: tuple[Equilibrium, ...]) -> Solved:
    """P around all attractors, and on the ways between them.

    Raises
    ------
    ConvergenceError
        If no noise was found with which elements join all attractors.
    """
    at = positions(equilibria, "stable")
    noise = 1.0
    factors: list[float] = []
    made: list[list[tuple[str, Density]]] = []
    first: Fitted | None = None
    apart: Apart | None = None
    failed = 0
    while len(made) < TERMS and noise < LOUDEST and failed < TRIES:
        louder = process.rescaled(1.0, noise)
        ways: list[tuple[str, Density]] | None = None
        start: _Start | None = None
        try:
            start = _started(louder, equilibria, few=bool(made))
            if start is not None:
                # The drift is the same, and leads the same way from a box that is a little wider.
                apart = apart or Apart.of(louder, equilibria, start.fine.box)
                if apart is None:
                    raise ConvergenceError(LEADS.format(name=process.name))
                ways = _by_elements(louder, start, apart.solve, few=bool(made))
        except ConvergenceError:
            failed += 1
        if start and ways and _alike([d for _, d in ways], at):
            if noise == 1:
                return Solved("elements", ways[0][1], tuple(ways[1:]))
            first = first or start.fine
            made.append(ways)
            factors.append(noise)
        elif ways or made:
            failed += 1
        noise *= LOUDER
    if first is None or len(made) < TERMS - 1:
        raise ConvergenceError(
            f"{process.name}: barriers are too high for spectral elements, also with {noise:.3g} "
            "times the noise. Raise the noise, or take each basin as a domain of its own."
        )
    return _in_series(process, factors, made, first, at, positions(equilibria, "saddle"))


def _alike(ways: list[Density], at: Array) -> bool:
    """Whether densities agree on what attractors hold."""
    logs = np.array([d.log_at(at) for d in ways])
    return bool(np.isfinite(logs).all() and np.ptp(logs - logs[:, :1], axis=0).max() < ALIKE)


def _in_series(
    process: PlaneDiffusion, factors: list[float], made: list[list[tuple[str, Density]]],
    first: Fitted, at: Array, saddles: Array,
) -> Solved:  # fmt: skip
    """What a series in the noise makes of densities, each with coarser ones, at as many factors."""
    mesh = made[0][0][1].mesh
    # Next to where P was cut it is not what it is without, and less noise needs less.
    above = first.needed(mesh.points(basis(DEGREE).nodes)).max(axis=(1, 2))
    mesh, inner = mesh.restricted(above < -LESS), above[above < -LESS] < -2 * LESS
    x = mesh.points(basis(DEGREE).nodes).reshape(2, -1)
    here: dict[tuple[float, str], Array] = {}  # noise times -log P, above that at an attractor
    for k, ways in zip(factors, made, strict=True):
        for name, d in ways:
            phi = k * (d.log_at(at[:, :1]) - d.log_at(x)).reshape(-1, *[DEGREE + 1] * 2)
            near = inner[:, None, None] | (name == "")
            here[k, name] = np.where(near, phi, here.get((k, ""), phi))
    known = np.asarray(np.isfinite(list(here.values())).all(axis=(0, 2, 3)))

    def series(name: str, count: int) -> Array:
        terms = factors[:count]
        phi = np.zeros((int(known.sum()), DEGREE + 1, DEGREE + 1))
        for k in terms:
            weight = math.prod((1 - m) / (k - m) for m in terms if m != k)
            phi += weight * here.get((k, name), here[k, ""])[known]
        return phi

    # Far out, where louder noise leaves no digits, what a series makes may be beyond the peak: less
    # than half as low as by the first term, by the chain, is no answer there.
    phi = np.minimum(series("", len(factors)), series("", len(factors) - 1))
    nodes = mesh.points(basis(DEGREE).nodes)[:, known]
    chain, *ends = (factors[0] * (first.at(v) - first.at(at[:, :1])) for v in (nodes, at))
    height = chain - ends[0].min()
    known[known] = ((height < CUT) | (chain - phi < height / 2)).all(axis=(1, 2))
    part = mesh.restricted(known)
    number = part.place(at)[0]
    joined = part.clusters(np.ones(part.count, dtype=bool))
    if (number < 0).any() or len(distinct(joined[number])) > 1:
        raise ConvergenceError(UNEVEN.format(name=process.name, noise=factors[-1]))

    def density(name: str, count: int) -> Density:
        phi = series(name, count)
        return Density(part, phi - phi.min(), np.ones((part.count, 2, 2)))

    others = [(name, density(name, len(factors))) for name, _ in made[0][1:]]
    own, less, least = (density("", len(factors) - k) for k in range(3))
    # One term may change nothing somewhere by chance: then as much less than the last as elsewhere.
    logs = np.array([d.log_at(np.hstack([at, saddles])) for d in (own, less, least)])
    top = int(logs[0, : at.shape[1]].argmax())
    moved = np.abs(np.diff(logs - logs[:, [top]], axis=0))
    moved = moved[:, np.isfinite(moved).all(axis=0)]  # a saddle may lie beyond what is known
    shrunk = min(1.0, float(moved[0].max() / max(moved[1].max(), TINY)))
    before = own.phi + shrunk * (least.phi - less.phi)
    others += [("series", less), ("terms", Density(part, before - before.min(), own.u))]
    # What is off at an attractor may be as far as anywhere, and has no part in what is at others.
    most = UNSURE * float((moved[0] + shrunk * moved[1])[: at.shape[1]].max())
    box = np.ptp(np.array(part.box), axis=1)[:, None, None, None]
    x = part.points(basis(DEGREE).nodes)
    nearest = np.argmin([(((x - a[:, None, None, None]) / box) ** 2).sum(axis=0) for a in at.T], 0)
    for k in range(at.shape[1]):
        if k != top:
            far = own.phi + most * (nearest == k)
            others.append(("attractor", Density(part, far - far.min(), own.u)))
    return Solved("series", own, tuple(others))


def within(
    process: PlaneDiffusion, equilibria: Sequence[Equilibrium], box: Box, edge: Array
) -> Solved:
    """A law of a box with one attractor, known as far down as on an edge (2, M).

    It solves the equations there, whatever is beyond: walls around the box reflect.
    """
    ends = np.array(box)
    aside = ASIDE * np.ptp(ends, axis=1)
    wide = clipped(ends[:, 0] - aside, ends[:, 1] + aside, process.domain)
    start = _started(process, tuple(equilibria), wide, edge)
    if start is None:
        raise ConvergenceError(f"{process.name}: barriers are too high for spectral elements.")

    def solved(coefficients: Coefficients, guess: Guess, degree: int, sure: bool) -> Array:
        return solve(coefficients, guess, degree)

    ways = _by_elements(process, start, solved, CLOSELY)
    return Solved("elements", ways[0][1], tuple(ways[1:]))


def _started(
    process: PlaneDiffusion,
    equilibria: tuple[Equilibrium, ...],
    box: Box | None = None,
    edge: Array | None = None,
    few: bool = False,
) -> _Start | None:
    fine = fitted(process, equilibria, FINE, box)
    if fine is not None and edge is not None:
        fine = replace(fine, above=fine.phi - float(fine.at(edge).min()) - MARGIN)
    if fine is None or (mesh := _laid(fine)).count > MOST:
        return None
    coarse = fine if few else fitted(process, equilibria, COARSE, fine.box)
    return None if coarse is None else _Start(fine, coarse, mesh)


def _by_elements(
    process: PlaneDiffusion,
    start: _Start,
    solve: Callable[[Coefficients, Guess, int, bool], Array],
    resolved: float = RESOLVED,
    few: bool = False,
) -> list[tuple[str, Density]]:
    """The density, and, unless they are to be few, the same in coarser ways."""
    coefficients, mesh, fine = Coefficients(process, DEGREE), start.mesh, start.fine

    def solved(mesh: Mesh, guess: Fitted, degree: int = DEGREE, sure: bool = True) -> Density:
        made = Guess.joined(mesh, guess.at(mesh.points(basis(DEGREE).nodes)))
        return Density(mesh, made.tables, solve(coefficients, made, degree, sure))

    best: tuple[float, Density] | None = None
    for _ in range(ROUNDS):
        density = solved(mesh, fine, sure=False)
        scaled = density.u * np.exp(density.phi.min(axis=(1, 2), keepdims=True) - density.phi)
        size = np.maximum(np.abs(scaled).max(axis=(1, 2)), TINY)
        weight = np.exp(-np.clip(_least(fine, mesh) + MARGIN, 0, None) / 2)
        missing = tails(scaled) / size * weight
        worst = float(missing.max())
        if best is None or worst < best[0]:
            best = worst, density
        if worst < resolved:
            break
        finer = closer(mesh, missing, resolved, int(ROOM * MOST))
        if finer is None:
            break
        mesh = finer.restricted(_least(fine, finer) < 0)
    assert best is not None
    mesh = best[1].mesh
    if few:
        return [("", best[1])]
    less = mesh.restricted(_least(fine, mesh) < -LESS)
    return [
        ("", best[1]),
        ("degree", solved(mesh, fine, DEGREE - 1)),
        ("cut", solved(less, fine)),
        ("start", solved(mesh, start.coarse)),
    ]
