"""The three roads to an end state in the plane, and the tests that choose one."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from stationary.aliases import Array
from stationary.errors import ConvergenceError, LandscapeError, StationaryError, Status
from stationary.numbers.arithmetic import SAME
from stationary.numbers.threads import one_thread
from stationary.plane import closed
from stationary.plane.apart import Apart
from stationary.plane.balance import balanced
from stationary.plane.barriers import beyond_barriers
from stationary.plane.boxes import box_of, ends_of, finite_box, grown, joined, scattered, sides_of
from stationary.plane.charts import STRAIGHT, Chart
from stationary.plane.curl import SINGULAR, Curl, curl_test, in_units
from stationary.plane.density import Density, Solved
from stationary.plane.fitted import adds_across
from stationary.plane.flow import ends_at_walls
from stationary.plane.held import held_on_box, integrated_around
from stationary.plane.images import among_images
from stationary.plane.local import Equilibrium, around, positions
from stationary.plane.product import gibbs, product
from stationary.plane.remarks import notes_of
from stationary.plane.rough import GROWS, Rough, found_on_grid, on_box
from stationary.plane.spectral import CUT, FAR, GOOD, MOST, RESOLVED, THIN, WANTED, spectral
from stationary.plane.state import PlaneState
from stationary.plane.tails import with_heavy_tails
from stationary.plane.walls import beside, chart_of, from_walls
from stationary.plane.zeros import equilibria_of, everywhere
from stationary.process.plane import Box, PlaneDiffusion, point_text
from stationary.process.plane_landscape import PlaneLandscape
from stationary.progress import at

WORST = 0.2  # of the peak: above this it is no answer
HELD = CUT - 6  # in -log P at the sides of a box: e^-30 is what is compared with what is cut off
LOW = 12.0  # in -log P, above which a side does not matter
HIGH = 32.0  # in -log P of a saddle: beyond, they are too coarse for what crosses it
BELOW = 2.0  # in log P of attractors: those farther below are to be known to a tenth of that
CLOSEST = (1e-12, 1e-20, 1e-40)  # sizes from walls without noise: as far as P is large there
LEAK = 3e-13  # of the peak: what rounding leaves of a net flux; a third of it was seen
RESTING = 1e-20  # of the usual variance: what rounding leaves of squared differences of gradients

ONE_WAY = (
    "{name}: drift and noise push along one direction at each point, as where all losses depend on "
    "one combination of the weights alone (w0 * w1): minima are curves, nothing pushes across that "
    "direction, and there is no density in the plane. Take the combination as one weight (of "
    "w0 * w1 what is left has |w0| = |w1|: losses of w = (u, u) at half the learning rate), or add "
    "datapoints or noise that push across."
)
THIN_WAYS = (
    "{name}: the noise has nearly rank 1 around attractors or saddles, and barriers between them "
    "are too high to be followed there. Raise the noise, let more of it push across, or take each "
    "basin as a domain of its own."
)
UNRESOLVED = (
    "{name}: the density could not be resolved: its error is {error}. It may have a narrow ridge "
    "or no bound, or the noise may jump along a curve, as at kinks of losses: add noise, shrink "
    "the domain, or smooth what jumps. `check` walks with SGD's steps, which need no density."
)
NOT_HELD = (
    "{name}: the noise vanishes across walls of the domain, and no density could be found that "
    "falls towards them: what comes near may stay there (extinction, fixation), or most of the "
    "density lies next to them. Add what leads back (immigration, mutation), let the domain end "
    "short of the walls, or ask how long it takes to come there, by mean_exit_time."
)


@one_thread
def plane_end_state(process: PlaneLandscape | PlaneDiffusion) -> PlaneState:
    """The end state of a process with two weights.

    Raises
    ------
    LandscapeError
        If it has no density, or more weights than two.
    ConvergenceError
        If barriers are beyond what can be followed, or the density is known to less than 1e-2.
    """
    diffusion = process.diffusion()
    if diffusion.dimensions != 2:
        raise LandscapeError(
            f"{diffusion.name}: end states are had for one weight and for two, not for "
            f"{diffusion.dimensions}. Around each minimum `stationary.equilibria` gives the "
            "Gaussian, the curl and the metric for any number of weights."
        )
    exact = closed.linear(diffusion) or gibbs(diffusion) or product(process)
    if exact is not None:
        tested = curl_test(diffusion, exact.box)
        found = exact.equilibria(diffusion)
        return PlaneState(
            process, diffusion, exact, (), found, tested, exact.road, exact.status, exact.notes
        )
    chart = chart_of(diffusion)
    if chart is not None and (far := _beside_walls(diffusion, chart)):
        return _ended(replace(far, process=process))
    equilibria = everywhere(diffusion)
    _check_that_it_spreads(diffusion, equilibria)
    try:
        alike = among_images(diffusion, equilibria, _around)
        state = replace(alike or _found(diffusion, equilibria), process=process)
        if not state.error < WORST:
            several = positions(state.equilibria, "stable").shape[1] > 1
            thin = several and state.tested.noise.singular == "everywhere"
            raise ConvergenceError(_unresolved(diffusion.name, state.error, thin), _ended(state))
    except (ConvergenceError, LandscapeError) as error:
        if chart is not None:
            raise ConvergenceError(NOT_HELD.format(name=diffusion.name)) from error
        flat = [e for e in equilibria if closed.is_flat(e.covariance, e.jacobian, e.variance)]
        sure = isinstance(error, ConvergenceError)
        flat = [e for e in flat if sure or closed.is_never_left(diffusion, e)]
        if not flat:
            raise
        where = point_text(flat[0].position)
        raise ConvergenceError(closed.COLLAPSES.format(name=diffusion.name, at=where)) from error
    return _ended(state)


def _beside_walls(diffusion: PlaneDiffusion, chart: Chart) -> PlaneState | None:
    """The end state in coordinates in which walls without noise are far away."""
    best, least = None, GOOD
    for closest in CLOSEST:
        inner = chart.process(diffusion, closest)
        try:
            with np.errstate(all="ignore"):  # what is no law may have no numbers
                made = _around(inner, everywhere(inner), (), (diffusion, chart))
                state = from_walls(made, diffusion, chart)
                error = state.error
        except StationaryError:
            break
        if error < least:
            best, least = state, error
        if least < RESOLVED:
            break
    return best


def _ended(state: PlaneState) -> PlaneState:
    return state if state.error < WANTED else replace(state, status=Status.UNRESOLVED)


def _found(diffusion: PlaneDiffusion, equilibria: tuple[Equilibrium, ...]) -> PlaneState:
    """With what the drift leads into walls as attractors, where that can be followed."""
    at_walls = ends_at_walls(diffusion)
    if at_walls:
        try:
            state = _around(diffusion, equilibria, at_walls)
            if state.error < GOOD:
                return state
        except StationaryError:
            pass
    state = _around(diffusion, equilibria, ())
    low, high = ends_of(state.box)
    out = [e for e in at_walls if ((e.position < low[:, 0]) | (e.position > high[:, 0])).any()]
    if not out:
        return state
    where = " and ".join(point_text(e.position) for e in out)
    note = (
        f"The drift also leads into walls, at {diffusion.variable} = {where}: how much ends there "
        "could not be followed, and is left out."
    )
    return replace(state, notes=(*state.notes, note))


def _around(
    diffusion: PlaneDiffusion,
    equilibria: tuple[Equilibrium, ...],
    at_walls: tuple[Equilibrium, ...],
    whose: tuple[PlaneDiffusion, Chart] | None = None,
) -> PlaneState:
    """The end state around equilibria, and what ends at walls; of `whose` coordinates on a chart
    the process is one, if it is."""
    ends = (*equilibria, *at_walls)
    at("rough chain")
    try:
        rough = found_on_grid(diffusion, ends, CUT) if whose is None else beside(diffusion, ends)
    except LandscapeError as error:
        held = held_on_box(diffusion, ends, CUT)
        if held is None:
            return with_heavy_tails(diffusion, equilibria, error)
        rough = held
    rough = _around_all(diffusion, ends, rough)
    hull = joined(rough.box, around(diffusion, ends, 0.0)) if ends else rough.box
    equilibria = equilibria_of(diffusion, hull, equilibria)
    own, chart = whose or (diffusion, STRAIGHT)
    box = box_of(*chart.x(np.array(rough.box)).T)
    tested = curl_test(own, box, lambda x: rough.at(chart.y(x)))
    solved = _solved(diffusion, rough, (*equilibria, *at_walls), tested, hull)
    if whose is None and solved.road == "elements":
        solved = _as_far_out(diffusion, rough, (*equilibria, *at_walls), tested, hull, solved)
    density = solved.density.in_domain(diffusion.domain)
    _require_held(diffusion, density)
    at("balance")
    ways = (*solved.others, ("balance", balanced(own, density, chart)))
    at("")
    return PlaneState(
        diffusion, diffusion, density, ways, equilibria, tested, solved.road,
        notes=notes_of(diffusion, density, equilibria),
    )  # fmt: skip


def _as_far_out(
    diffusion: PlaneDiffusion, rough: Rough, equilibria: tuple[Equilibrium, ...], tested: Curl,
    hull: Box, solved: Solved,
) -> Solved:  # fmt: skip
    """The same on a box at whose sides P has really fallen: a chain whose moves span cells has it
    fall too fast there."""
    fallen = solved.density.fallen(diffusion.domain)
    box, stable = rough.box, positions(equilibria, "stable")
    for _ in range(2):
        if fallen.min() >= HELD:
            break
        box = grown(box, fallen < HELD, GROWS, diffusion.domain)
        try:
            wider = on_box(diffusion, box, rough.peak, stable, stable.size > 0)
            made = _solved(diffusion, wider, equilibria, tested, hull)
        except StationaryError:
            break
        now = made.density.fallen(diffusion.domain)
        if not now.min() > fallen.min():
            break
        solved, fallen = made, now
    return solved


def _around_all(
    diffusion: PlaneDiffusion, equilibria: tuple[Equilibrium, ...], rough: Rough
) -> Rough:
    """On a box that goes as far out around attractors that hold little as around the others."""
    stable = positions(equilibria, "stable")
    if not _holds(rough, stable):
        box = joined(rough.box, around(diffusion, [e for e in equilibria if e.attracts], CUT))
        return on_box(diffusion, box, rough.peak, stable, True)
    lowest = float(rough.nearest(stable).max(initial=0.0))
    if not 1 < lowest < HIGH:
        return rough
    try:
        return found_on_grid(diffusion, equilibria, CUT + lowest)
    except LandscapeError:
        return rough


def _holds(rough: Rough, x: Array) -> bool:
    """Whether its box holds points (2, K)."""
    low, high = ends_of(rough.box)
    return bool(((x >= low) & (x <= high)).all())


def _solved(
    diffusion: PlaneDiffusion, rough: Rough, equilibria: tuple[Equilibrium, ...], tested: Curl,
    hull: Box,
) -> Solved:  # fmt: skip
    """By the road that fits: an integral, or spectral elements, on all or around attractors."""
    if tested.local:
        return integrated_around(diffusion, rough, equilibria, CUT)
    stable, saddles = (positions(equilibria, kind) for kind in ("stable", "saddle"))
    several = stable.shape[1] > 1
    thin = adds_across(diffusion, rough.box, stable, saddles, rough.peak[:, None])
    singular = thin or tested.noise.singular != "nowhere"
    inside = _holds(rough, stable)
    # As many saddles as join all attractors, the lowest ones.
    heights = np.sort(rough.nearest(saddles))[: stable.shape[1] - 1]
    low = inside and (singular or (rough.joined and heights.max(initial=0.0) <= HIGH))
    found: list[tuple[float, Solved]] = []
    failed: StationaryError | None = None
    at("elements")
    if low or not several:
        try:
            solved, lost = _by_elements(diffusion, rough, equilibria, THIN if singular else MOST)
            if lost < (GOOD if thin or not several else RESOLVED):
                return solved
            found.append((lost, solved))
        except ConvergenceError as error:
            if not several:
                raise
            failed = error
    if several and not thin:
        at("beyond barriers")
        try:
            made = beyond_barriers(diffusion, equilibria)
            _require_held(diffusion, made.density)
            found.append((_reached(diffusion, made, equilibria, tested).error, made))
        except StationaryError as error:
            failed = failed or error
    lost, best = min(found, key=lambda f: f[0], default=(math.inf, None))
    if best is not None and lost < WORST:
        return best
    if failed is not None and not (thin and several) and math.isinf(lost):
        raise failed
    state = None if best is None else _reached(diffusion, best, equilibria, tested)
    raise ConvergenceError(_unresolved(diffusion.name, lost, thin and several), state) from failed


def _unresolved(name: str, lost: float, thin: bool) -> str:
    """What to say of a density with such an error, as a part of its peak."""
    known = "as large as its peak" if not lost < 1 else f"{lost:.1g} of its peak"
    return (THIN_WAYS if thin else UNRESOLVED).format(name=name, error=known)


def _by_elements(
    diffusion: PlaneDiffusion, rough: Rough, equilibria: tuple[Equilibrium, ...], most: int
) -> tuple[Solved, float]:
    """By spectral elements; and how well logarithms of P at attractors are known."""
    stable, saddles = (positions(equilibria, kind) for kind in ("stable", "saddle"))
    apart = Apart.of(diffusion, equilibria, rough.box)
    solved = spectral(diffusion, rough, apart, most)
    density = solved.density
    depth = density.depth(stable)
    if apart is not None:
        return solved, _unlike(solved, stable) if np.isfinite(depth).all() else math.inf
    if not (depth <= FAR).all():
        return solved, math.inf
    # What rounding leaves of the net flux across saddles is what masses on both sides are known to.
    heights = np.sort(density.depth(saddles))[: stable.shape[1] - 1]
    lost = LEAK * math.exp(heights.max(initial=-FAR))
    return replace(solved, density=replace(density, missed=lost)), lost


def _unlike(solved: Solved, attractors: Array) -> float:
    """How far logarithms of P at attractors, less the highest one, move from way to way; where they
    are far below it, as a part of that."""
    own = solved.density.log_at(attractors)
    below = own.max() - own
    with np.errstate(invalid="ignore"):
        moved = [d.log_at(attractors) - own for _, d in solved.others]
        apart = [np.abs(m - m[np.argmax(own)]) / np.maximum(1, below / BELOW) for m in moved]
    return float(np.nan_to_num(sum(a.max() for a in apart), nan=math.inf))


def _reached(
    diffusion: PlaneDiffusion, made: Solved, equilibria: tuple[Equilibrium, ...], tested: Curl
) -> PlaneState:
    return PlaneState(
        diffusion, diffusion, made.density, made.others, equilibria, tested, made.road,
        Status.UNRESOLVED,
    )  # fmt: skip


def _check_that_it_spreads(diffusion: PlaneDiffusion, equilibria: tuple[Equilibrium, ...]) -> None:
    """Raise where a direction has neither drift nor noise, or the process comes to rest."""
    x = scattered(finite_box(diffusion.domain), 64)
    found = diffusion.fields(x)
    v, name = diffusion.variable, diffusion.name
    for k in range(2):
        if (found.f[k] == 0).all() and (found.a[k, k] == 0).all():
            raise LandscapeError(
                f"{name}: nothing moves the component {k} of {v}: neither drift nor noise depends "
                "on it. Leave it out, and solve for the other one alone."
            )
    if not found.a.any():
        raise LandscapeError(closed.RESTS.format(name=name, at="where the drift is at rest"))
    usual = float(np.median(found.a[0, 0] + found.a[1, 1]))
    unit = np.sqrt(np.median(np.diagonal(found.a), axis=0))
    unit = unit if (unit > 0).all() else np.median(np.abs(found.f), axis=1)
    own = in_units(found, np.where(unit > 0, unit, 1.0))
    values, ways = np.linalg.eigh(np.moveaxis(own.a, -1, 0))
    off = np.abs(np.einsum("im,mi->m", own.f, ways[:, :, 0]))
    one_way = off <= SAME * np.linalg.norm(own.f, axis=0)
    if ((values[:, 0] <= SINGULAR * values[:, 1]) & one_way).all():
        raise LandscapeError(ONE_WAY.format(name=name))
    for e in equilibria:
        here = diffusion.fields(e.position[:, None]).a[..., 0]
        if e.attracts and float(np.trace(here)) < RESTING * usual:
            raise LandscapeError(
                f"{name}: drift and noise both vanish at {v} = {point_text(e.position)}, as at a "
                "minimum that all datapoints share: what comes near comes to rest there, so that "
                "no density exists around it. Add noise, such as label noise, to have one."
            )


def _require_held(process: PlaneDiffusion, density: Density) -> None:
    """Raise where the density has not fallen at a side on which nothing holds the process."""
    name, domain = process.name, process.domain
    if not (math.isfinite(density.log_total) and density.is_spread):
        raise ConvergenceError(
            f"{name}: no density was found that is positive: what the drift carries out of the box "
            "may never come back, or the box may hold no closed class. Widen the domain."
        )
    for axis, side, x in sides_of(density.box, 201):
        at, height = density.box[axis][side], density.depth(x)
        if at != domain[axis][side]:
            if height.min() < LOW:
                raise LandscapeError(
                    f"{name}: the density has not fallen at {at:.4g} of coordinate {axis + 1}: "
                    "the process runs away, or its tails are heavy. Give a finite domain; its "
                    "ends then reflect."
                )
            continue
        fields = process.fields(x)
        out = (2 * side - 1) * fields.f[axis] > 0
        if (out & ~fields.crosses(axis) & (height < LOW)).any():
            raise LandscapeError(
                f"{name}: the drift leads out across {at:.4g} of coordinate {axis + 1}, where "
                "no noise crosses and nothing reflects: what leaves does not come back, so "
                "that there is no end state in this box. Widen the domain."
            )
