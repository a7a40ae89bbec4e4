"""The three roads to an end state in the plane, and the tests that choose one."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stationary.errors import ConvergenceError, LandscapeError, Status
from stationary.plane import closed
from stationary.plane.curl import Curl, curl_test
from stationary.plane.density import Density
from stationary.plane.local import Equilibrium, equilibria_of, finite_box
from stationary.plane.newton import low_noise
from stationary.plane.rough import Rough, found
from stationary.plane.spectral import CUT, spectral
from stationary.plane.state import PlaneState
from stationary.plane.tails import FARTHEST, NEARLY, Chart, Stretched
from stationary.process.plane import Box, PlaneDiffusion, box_text, point_text
from stationary.process.plane_landscape import PlaneLandscape

__all__ = ["plane_end_state"]

Array = NDArray[Any]

ENOUGH = 1e-6  # of the peak: an error above this is told as not converged
LOW = 12.0  # in -log P, above which a side does not matter
FAR = 22.0  # in -log P of an attractor: beyond, spectral elements have lost its digits
RESTING = 1e-20  # of the usual variance: what rounding leaves of squared differences of gradients
NEAR = 2.5  # of y, where x = c + L sinh(y): where the curl is looked at
HELD = 45.0  # in -log P: what a basin's own box reaches


def plane_end_state(process: PlaneLandscape | PlaneDiffusion) -> PlaneState:
    """The end state of a process with two weights.

    Raises
    ------
    LandscapeError
        If it has no density, or more weights than two.
    ConvergenceError
        If barriers are beyond what can be followed.
    """
    state = _found(process)
    if isinstance(state.density, Density):
        _require_held(state)
    return state


def _check_that_it_spreads(
    diffusion: PlaneDiffusion, equilibria: tuple[Equilibrium, ...], box: Box
) -> None:
    """Raise where a direction has neither drift nor noise, or the process comes to rest."""
    low, high = np.array(box).T[..., None]
    x = low + (high - low) * np.random.default_rng(0).uniform(size=(2, 64))
    found = diffusion.fields(x)
    v, name = diffusion.variable, diffusion.name
    for k in range(2):
        if (found.f[k] == 0).all() and (found.a[k, k] == 0).all():
            raise LandscapeError(
                f"{name}: nothing moves the component {k} of {v}: neither drift nor noise depends "
                "on it. Leave it out, and solve for the other one alone."
            )
    usual = float(np.median(found.a[0, 0] + found.a[1, 1]))
    for e in equilibria:
        here = diffusion.fields(e.position[:, None]).a[..., 0]
        if e.kind == "stable" and float(np.trace(here)) < RESTING * usual:
            raise LandscapeError(
                f"{name}: drift and noise both vanish at {v} = {point_text(e.position)}, as at a "
                "minimum that all datapoints share: what comes near comes to rest there, so that "
                "no density exists around it. Add noise, such as label noise, to have one."
            )


def _found(process: PlaneLandscape | PlaneDiffusion) -> PlaneState:
    diffusion = process.diffusion() if isinstance(process, PlaneLandscape) else process
    if diffusion.dimensions != 2:
        raise LandscapeError(
            f"{diffusion.name}: end states are had for one weight and for two, not for "
            f"{diffusion.dimensions}. Around each minimum `stationary.equilibria` gives the "
            "Gaussian, the curl and the metric for any number of weights."
        )
    gaussian = closed.linear(diffusion)
    if gaussian is not None:
        return _gaussian(process, diffusion, gaussian)
    wide = finite_box(diffusion.domain)
    equilibria = equilibria_of(diffusion, wide)
    _check_that_it_spreads(diffusion, equilibria, wide)
    try:
        rough = found(diffusion, equilibria, CUT)
    except LandscapeError as error:
        return _with_heavy_tails(process, diffusion, equilibria, error)
    places = np.array([*np.array(rough.box).T, *(e.position for e in equilibria)])
    hull = tuple(zip(places.min(axis=0).tolist(), places.max(axis=0).tolist(), strict=True))
    equilibria = merged(equilibria, equilibria_of(diffusion, hull))
    tested = curl_test(diffusion, rough.box, rough.at)
    notes = _notes(diffusion, rough, equilibria, tested)
    if tested.local:
        return _integrated(process, diffusion, rough, equilibria, tested, notes)
    stable = np.array([e.position for e in equilibria if e.kind == "stable"]).reshape(-1, 2).T
    if _out_of_reach(stable, rough.box) or (rough.at(stable) > CUT).any():
        return _low_noise(process, diffusion, equilibria, tested, notes)
    solved = spectral(diffusion, rough)
    held = solved.density.log_at(stable) + solved.density.height.min()
    if (held < -FAR).any():
        return _low_noise(process, diffusion, equilibria, tested, notes)
    state = PlaneState(
        process, diffusion, solved.density, solved.others, equilibria, tested, "elements",
        Status.CONVERGED, notes,
    )  # fmt: skip
    _require_held(state)
    if not state.error < ENOUGH:
        state = replace(state, status=Status.PANEL_LIMIT)
    if not state.error < 1e-2:
        raise ConvergenceError(
            f"{diffusion.name}: the density could not be resolved: its error is {state.error:.0e} "
            "of its peak. It may have a narrow ridge or no bound; add noise, or shrink the domain.",
            state,
        )
    return state


def _with_heavy_tails(
    process: PlaneLandscape | PlaneDiffusion,
    diffusion: PlaneDiffusion,
    equilibria: tuple[Equilibrium, ...],
    error: LandscapeError,
) -> PlaneState:
    """On coordinates in which powers of x fall exponentially; `error` where they do not, either."""
    if not any(math.isinf(v) for ends in diffusion.domain for v in ends):
        raise error
    chart = Chart.around(equilibria)
    ways: tuple[tuple[str, Density], ...]
    inner = chart.process(diffusion)
    try:
        rough = found(inner, (), CUT, FARTHEST)
        near = np.clip(np.array(rough.box), -NEAR, NEAR)
        tested = curl_test(diffusion, tuple(map(tuple, chart.x(near.T).T.tolist())))
        # Along diagonals what is straight turns: where that is not resolved, elements are closer.
        resolved = False
        if tested.local:
            first, other, resolved = closed.integrated(inner, rough.box, rough.peak)
            road, ways = "integral", (("path", other),)
        if not resolved:
            solved = spectral(inner, rough, 0.1)
            road, first, ways = "elements", solved.density, solved.others
    except (LandscapeError, ConvergenceError):
        raise error from None
    if not math.isfinite(first.log_total):  # nothing holds the process: what was solved is no law
        raise error
    density = Stretched(first, chart)
    if not min(density.exponents) > 1 + NEARLY:
        raise error
    others = tuple((name, Stretched(d, chart)) for name, d in ways)
    powers = " and ".join(
        f"|x_{k + 1}|^-{p:.4g}" for k, p in enumerate(density.exponents) if p < 60
    )
    notes = (f"The tails are heavy: marginals fall like {powers}.",) if powers else ()
    state = PlaneState(
        process, diffusion, density, others, equilibria, tested, road, Status.CONVERGED, notes
    )
    if not state.error < 1e-2:
        raise error
    return state if state.error < ENOUGH else replace(state, status=Status.PANEL_LIMIT)


def _require_held(state: PlaneState) -> None:
    """Raise where the density has not fallen at a side on which nothing holds the process."""
    name, domain = state.diffusion.name, state.diffusion.domain
    if not math.isfinite(state.density.log_total):
        raise ConvergenceError(
            f"{name}: no density was found that is positive: what the drift carries out of the box "
            "may never come back, or the box may hold no closed class. Widen the domain."
        )
    box = state.box
    for axis in (0, 1):
        for side, end in ((0, -1), (1, 1)):
            at = box[axis][side]
            x = np.empty((2, 201))
            x[axis], x[1 - axis] = at, np.linspace(*box[1 - axis], 201)
            height = np.asarray(state.energy(x))
            if at != domain[axis][side]:
                if height.min() < LOW:
                    raise LandscapeError(
                        f"{name}: the density has not fallen at {at:.4g} of coordinate {axis + 1}: "
                        "the process runs away, or its tails are heavy. Give a finite domain; its "
                        "ends then reflect."
                    )
                continue
            fields = state.diffusion.fields(x)
            free = fields.a[axis, axis] <= 1e-9 * np.abs(fields.a).max(axis=(0, 1))
            if (free & (end * fields.f[axis] > 0) & (height < LOW)).any():
                raise LandscapeError(
                    f"{name}: the drift leads out across {at:.4g} of coordinate {axis + 1}, where "
                    "no noise crosses and nothing reflects: what leaves does not come back, so "
                    "that there is no end state in this box. Widen the domain."
                )


def _out_of_reach(x: Array, box: Box) -> bool:
    low, high = np.array(box).T[..., None]
    return bool(((x < low) | (x > high)).any())


def _low_noise(
    process: PlaneLandscape | PlaneDiffusion,
    diffusion: PlaneDiffusion,
    equilibria: tuple[Equilibrium, ...],
    tested: Curl,
    notes: tuple[str, ...],
) -> PlaneState:
    """By Newton's method on a box around the equilibria."""
    if tested.noise.singular != "nowhere":
        raise ConvergenceError(
            f"{diffusion.name}: some attractors lie beyond barriers of more than e^{FAR:g}, the "
            "noise is singular, and a current flows: that cannot be followed. Raise the noise, or "
            "take each basin as a domain of its own."
        )
    density, others = low_noise(diffusion, equilibria)
    state = PlaneState(
        process, diffusion, density, others, equilibria, tested, "newton", Status.CONVERGED, notes
    )
    return state if state.error < ENOUGH else replace(state, status=Status.PANEL_LIMIT)


def merged(a: tuple[Equilibrium, ...], b: tuple[Equilibrium, ...]) -> tuple[Equilibrium, ...]:
    kept = list(a)
    for e in b:
        size = max(1e-3, *(float(np.abs(k.position - e.position).max()) for k in a)) if a else 1.0
        if all(np.abs(k.position - e.position).max() > 1e-6 * size for k in kept):
            kept.append(e)
    return tuple(sorted(kept, key=lambda e: tuple(e.position)))


def _gaussian(
    process: PlaneLandscape | PlaneDiffusion, diffusion: PlaneDiffusion, gaussian: closed.Gaussian
) -> PlaneState:
    reach = 6 * np.sqrt(np.diag(gaussian.covariance))
    ends = np.stack([gaussian.mean - reach, gaussian.mean + reach]).T
    box: Box = tuple((float(low), float(high)) for low, high in ends)
    equilibria = equilibria_of(diffusion, box)
    tested = curl_test(diffusion, box)
    return PlaneState(
        process, diffusion, gaussian, (), equilibria, tested, "gaussian", Status.CONVERGED
    )


def _integrated(
    process: PlaneLandscape | PlaneDiffusion,
    diffusion: PlaneDiffusion,
    rough: Rough,
    equilibria: tuple[Equilibrium, ...],
    tested: Curl,
    notes: tuple[str, ...],
) -> PlaneState:
    box = list(rough.box)
    for e in equilibria:
        if e.covariance is None:
            continue
        for k in (0, 1):
            reach = math.sqrt(2 * HELD * e.covariance[k, k])
            low, high = diffusion.domain[k]
            box[k] = (
                min(box[k][0], max(low, e.position[k] - reach)),
                max(box[k][1], min(high, e.position[k] + reach)),
            )
    first, other, resolved = closed.integrated(diffusion, tuple(box), rough.peak)
    status = Status.CONVERGED if resolved else Status.PANEL_LIMIT
    return PlaneState(
        process, diffusion, first, (("path", other),), equilibria, tested, "integral", status, notes
    )


def _notes(
    process: PlaneDiffusion, rough: Rough, equilibria: tuple[Equilibrium, ...], tested: Curl
) -> tuple[str, ...]:
    """What a reader should know about the box and the noise."""
    notes = []
    inside = [
        e for e in equilibria
        if all(low <= v <= high for v, (low, high) in zip(e.position, process.domain, strict=True))
    ]  # fmt: skip
    if not inside:
        notes.append("The drift vanishes nowhere in the domain.")
    sides = []
    for axis, name in ((0, "first"), (1, "second")):
        least = rough.phi.min(axis=1 - axis)
        for side, at in ((0, 0), (1, -1)):
            end = process.domain[axis][side]
            if math.isfinite(end) and rough.box[axis][side] == end and least[at] < 6:
                share = math.exp(-max(float(least[at]), 0.0))
                sides.append(f"{end:g} of the {name} coordinate (about {share:.1g} of the peak)")
    if sides:
        wider = _wider(process, equilibria)
        better = f" Without walls {box_text(wider)} would hold all of it." if wider else ""
        notes.append(
            f"The density is not small at the walls {' and '.join(sides)}, which reflect: where "
            f"nothing stops the process there, the box is too small.{better}"
        )
    return tuple(notes)


def _wider(process: PlaneDiffusion, equilibria: tuple[Equilibrium, ...]) -> Box | None:
    """The box of the same process without walls, where that can be had."""
    free = replace(process, domain=((-math.inf, math.inf),) * 2)
    try:
        return found(free, equilibria, CUT).box
    except (LandscapeError, ConvergenceError):
        return None
