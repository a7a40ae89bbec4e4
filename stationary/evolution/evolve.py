"""`evolve`: the probability of where a process is, at given times.

dP/dt = -dJ/dx on cells (`generator`), exactly conserved, never negative and at rest exactly in the
end state; in time an L-stable rational approximation of order 11 (`exponential`). Every evolution
is computed on several grids, each half as fine as the next; they are put together as cells of no
width would have it, and their differences give the errors (`refinement`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from stationary.aliases import Array
from stationary.errors import LandscapeError
from stationary.evolution.between import Between
from stationary.evolution.evolution import Evolution
from stationary.evolution.features import first_reach, grid_in, is_whole
from stationary.evolution.gap import Gap, gap_of
from stationary.evolution.generator import chain_on, powers_at
from stationary.evolution.grid import GRIDS, Grid
from stationary.evolution.interpolated import beside, pushed
from stationary.evolution.moments import closed_moments, moments, near_a_trap
from stationary.evolution.propagation import IN_TIME, run_on, runs_on
from stationary.evolution.pulse import Pulses, pulses_of
from stationary.evolution.refinement import BEST, Refinement
from stationary.evolution.request import (
    FINER,
    MOST_CELLS,
    MOST_NUMBERS,
    Asked,
    EvolutionAtom,
    Seen,
    checked_cells,
    checked_times,
    checked_tolerance,
)
from stationary.evolution.window import leaks, near_the_unreached, windowed
from stationary.numbers.arithmetic import SAME
from stationary.numbers.elementary import distinct
from stationary.process.initial import Initial
from stationary.process.landscape import Landscape
from stationary.progress import INTERRUPTED, Progress, stage, watched
from stationary.sources.loading import ProcessLike, as_process
from stationary.states.distribution import EndState
from stationary.states.remarks import is_within, outside_error
from stationary.states.solve import end_state

BASE = 64  # cells of the coarsest grid, if nothing was said; halving stops at `MOST_CELLS`
MOST_NEEDED = 1e5  # cells that it takes for noise to smooth what the drift does: with more it is no
# use to go on, if errors at their best fall too little in the levels that are left
ENOUGH = 4096  # cells that show the relaxation time to 1e-4 or so: more only cost
HANDED = 1e-6  # of probabilities, by the table in which pulses are handed to a grid
MOST_IN_ONE = 0.25  # of all probability in the end, that a cell holds where cells show it


def evolve(
    process: ProcessLike,
    initial: Any = None,
    times: ArrayLike = (),
    *,
    cells: int | None = None,
    tolerance: float = 1e-4,
    progress: Progress = False,
) -> Evolution:
    """Follow the probability of a process from its start through the given times.

    Parameters
    ----------
    process
        A `Diffusion`, or a `Landscape`, whose diffusion is then taken, with time in steps.
    initial
        Where it starts: see `stationary.initial`. None: as the process says. Up to 24 points are
        edges of the grid, each shared by the two cells that meet there; of more, each is shared
        between the two nearest centres, so that the mean is kept.
    times
        At which it is wanted: ascending, at least 0.
    cells
        About how many; None: as many as the tolerance takes.
    tolerance
        The error of the probability on either side of any point that is aimed at.
    progress
        True: show what is at work, and the time left where that is known, in a notebook, or on
        standard error if that is a terminal. Or a function that is called with how many times are
        done on some grids, and how many there are.

    Returns
    -------
    Evolution
        With its errors; `converged` says whether they are within the tolerance. Interrupted by
        Ctrl-C it keeps the times that are done, and says so in `stopped`.

    Raises
    ------
    LandscapeError
        If there is no start, if the times are not times, or if the process cannot be solved.
    """
    process = as_process(process, "evolve")
    if isinstance(process, Landscape) and process.schedule is not None:
        raise LandscapeError(
            f"{process.name}: evolve follows one learning rate. `anneal` follows the schedule "
            f"{process.schedule}; or give learning_rate, which takes its place."
        )
    diffusion = process.diffusion()
    name = diffusion.name
    at = checked_times(times, name)
    tolerance = checked_tolerance(tolerance, name)
    cells = checked_cells(cells, len(at), name)
    start = Initial.of_process(diffusion, initial)
    if start is None:
        raise LandscapeError(
            f"{name}: an evolution needs a start. Give initial: a point, as in initial = 0.3 (or "
            f"--initial 0.3), or a distribution of {diffusion.variable}, as in normal:0.5,0.175."
        )
    with watched(progress, "evolve"):
        with stage("end state", 1, 3):
            state = end_state(process, start)
        if not is_within(start, state.diffusion, diffusion):
            raise outside_error(state.diffusion, "the start")
        found = _evolved(Asked(process, state, start, at, tolerance), cells)
        if diffusion.uncertainty is None:
            return found
        asked = Asked(process, end_state(pushed(diffusion), start), start, found.times, tolerance)
        return beside(found, _evolved(asked, cells))


def _evolved(asked: Asked, cells: int | None) -> Evolution:
    later = asked.times[asked.times > 0]
    pulses = None
    if cells is None and len(later):
        with stage("pulses", 2, 3):
            pulses = pulses_of(asked)
    if pulses is not None and pulses.until >= later[-1]:
        return _of_pulses(asked, pulses)
    with stage("where cells are needed", 2, 3):
        grid = _grid(asked) if cells is None else windowed(asked, cells // 4)
    if pulses is not None and grid.needed > MOST_NEEDED and pulses.until > 0.1 * later[0]:
        return _handed_over(asked, pulses)
    return _on_grids(asked, grid, cells)


# With a grid, with pulses, or first with these and then with a grid.


def _grid(asked: Asked) -> Grid:
    """As it is if nothing was said of cells; where corners are within some, these jump about."""
    most = min(MOST_CELLS, MOST_NUMBERS // len(asked.times))
    return windowed(asked, BASE, most // 2**GRIDS)


def _on_grids(asked: Asked, grid: Grid, cells: int | None) -> Evolution:
    state, start, tolerance, whole = asked.state, asked.start, asked.tolerance, len(asked.times)
    # How cells share points at first is no error, and nothing that finer ones would mend.
    coarsest = max(BASE, 2 * len(grid.breaks))
    deepest = min((MOST_CELLS // coarsest).bit_length(), grid.levels)
    within = IN_TIME if cells is not None else min(100 * IN_TIME, tolerance / 100)
    with stage(f"{GRIDS} grids", 3, 3):
        begun = runs_on(asked, [grid.edges(k) for k in range(GRIDS)], within, keeps=True)
    times = asked.times[: len(begun[0].states)]
    asked, stopped = replace(asked, times=times), INTERRUPTED if len(times) < whole else ""
    grids, chains = Refinement(grid.blurred, grid.needed, begun), [run.chain for run in begun]
    followed = (times > 0) | (start.law is not None)
    most, worst = MOST_NUMBERS // len(times), math.inf
    for level in range(GRIDS, GRIDS if stopped or cells is not None else deepest):
        before, worst = worst, float(grids.error.max(where=followed, initial=0.0))
        least = tolerance * BEST ** (deepest - level)
        hopeless = min(worst, before) > least and grid.needed > MOST_NEEDED
        if worst <= tolerance or hopeless or 2 * len(grids.runs[-1].chain.width) > most:
            break
        try:
            with stage(f"grid {level + 1} of at most {deepest}", 3, 3):
                run = run_on(asked, grid.edges(level), within)
        except KeyboardInterrupt:  # what the coarser ones say of all times is kept
            stopped = INTERRUPTED
            break
        grids = replace(grids, runs=[*grids.runs[1 - GRIDS :], run])
        if len(run.chain.width) <= ENOUGH:  # for a relaxation time
            chains = [*chains[1 - GRIDS :], run.chain]
    found, runs = grids.refined(), grids.runs
    edges, places = found.cells.edges, found.cells.places
    leak = np.add(*leaks(runs[-1], state.diffusion)) + near_the_unreached(runs[-1], state)
    leak = np.maximum.accumulate(leak)  # what has been lost does not come back right
    extra = found.time_error + leak + 1e-15
    ends = np.isin(places, edges[[0, -1]])
    atoms = tuple(
        EvolutionAtom(float(x), found.atoms[:, k], found.atom_errors[:, k] + extra)
        for k, x in enumerate(places)
        if found.atoms[:, k].max() > 0 or ends[k]
    )
    mean, std = moments(start, state.diffusion, times, runs[-1], found, leak)
    seen = Seen(
        masses=found.masses,
        mean=mean.value,
        mean_error=mean.error,
        std=std.value,
        std_error=std.error,
        error=found.error * followed + extra,
        mass_error=found.mass_error * followed + extra,
        time_error=found.time_error,
        current=found.current.value,
        current_error=found.current.error,
    )
    finest = len(runs[-1].chain.width)
    notes = _of_window(state, edges, leak)
    gap = gap_of(state, chains, edges, float(times[-1]) or 1.0)
    return _answer(asked, edges, seen, atoms, gap, finest, notes, grid.blurred, stopped)


def _of_window(state: EndState, edges: Array, leak: Array) -> tuple[str, ...]:
    """A note where the ends of the window matter."""
    if not leak.max() > SAME:
        return ()
    low, high = edges[[0, -1]]
    return (
        f"cells end at {state.diffusion.variable} = {low:.4g} and {high:.4g}, and up to "
        f"{float(leak.max()):.2g} of the probability reaches them: what would be beyond is kept "
        "inside, and counts as error.",
    )


def _of_pulses(asked: Asked, pulses: Pulses) -> Evolution:
    """All from pulses; cells are there to show it, and for the relaxation time."""
    state, times = asked.state, asked.times
    edges = pulses.edges(times, MOST_NUMBERS // (FINER * len(times)))
    margin = float(edges[-1] - edges[0]) / 100
    low, high = state.diffusion.domain
    # Where it starts may lie beyond what is there later.
    first, last = pulses.paths.x0.min(), pulses.paths.x0.max()
    low = low if math.isfinite(low) else min(edges[0], first) - margin
    high = high if math.isfinite(high) else max(edges[-1], last) + margin
    zeros = [float(x) for p in state.anatomy.points for x in (p.lower, p.upper)]
    edges = distinct(np.clip(np.concatenate([edges, zeros, [low, high]]), low, high))
    grid = grid_in(asked, first_reach(asked), (), 4 * BASE)
    chains = [chain_on(state.anatomy, grid.edges(k)) for k in range(GRIDS)]
    gap = gap_of(state, chains, edges, float(times[-1]))
    return _answer(asked, edges, pulses.seen(edges, times), (), gap, 0, ())


def _handed_over(asked: Asked, pulses: Pulses) -> Evolution:
    """Pulses as long as they are narrow, and what they have become by then on grids."""
    at, early = pulses.until, asked.times <= pulses.until
    later = replace(asked, start=pulses.start_at(at), times=asked.times[~early] - at)
    try:
        then = _on_grids(later, _grid(later), None)
    except KeyboardInterrupt:
        if not asked.times[early].any():
            raise
        return replace(
            _of_pulses(replace(asked, times=asked.times[early]), pulses), stopped=INTERRUPTED
        )
    asked = replace(asked, times=asked.times[: int(early.sum()) + len(then.times)])
    early = early[: len(asked.times)]
    before = pulses.seen(then.edges, asked.times[early])
    # What a pulse is off is little beside what noise makes of it, however narrow it was by then.
    widths = np.fmax(then.std, pulses.moments(at)[2])
    off = HANDED + np.array([pulses.error(at, width) for width in widths.tolist()])
    span = off * float(then.edges[-1] - then.edges[0])
    more = {"mean_error": span, "std_error": span, "error": off, "mass_error": 4 * off}
    seen = Seen(
        **{
            f.name: np.concatenate(
                [getattr(before, f.name), getattr(then, f.name) + more.get(f.name, 0.0)]
            )
            for f in fields(Seen)
        }
    )
    nothing = np.zeros(int(early.sum()))
    atoms = tuple(
        EvolutionAtom(a.position, np.append(nothing, a.weights), np.append(nothing, a.errors + off))
        for a in then.atoms
    )
    gap = Gap(then.log_relaxation_time, then.relaxation_error, then.slowest_mode)
    return _answer(
        asked, then.edges, seen, atoms, gap, then.finest, then.notes, stopped=then.stopped
    )


def _answer(
    asked: Asked,
    edges: Array,
    seen: Seen,
    atoms: tuple[EvolutionAtom, ...],
    gap: Gap,
    finest: int,
    notes: tuple[str, ...],
    blurred: Sequence[tuple[float, float]] = (),
    stopped: str = "",
) -> Evolution:
    state, times = asked.state, asked.times
    closed = closed_moments(asked.start, state.diffusion, times, edges)
    if closed is not None:  # known better than from cells or pulses
        mean, std = closed
        seen = replace(seen, mean=mean.value, mean_error=mean.error)
        seen = replace(seen, std=std.value, std_error=std.error)
    elif trapped := near_a_trap(asked.start, state.diffusion, times, edges):
        trap, reach = trapped  # the grid knows moments to parts of its width
        seen = replace(
            seen,
            mean_error=np.minimum(seen.mean_error, np.abs(seen.mean - trap) + reach),
            std_error=np.minimum(seen.std_error, np.maximum(seen.std, reach)),
        )
    ends = [(p.lower, p.upper) for p in state.anatomy.points]
    breaks = [float(x) for pair in (*ends, *blurred) for x in pair]
    breaks += [*state.diffusion.breakpoints, *state.anatomy.jumps.tolist()]
    breaks += [a.position for a in atoms]
    between = Between(edges, distinct(breaks), powers_at(state.anatomy, edges))
    distance, distance_error, is_resolved = _distance_to_end(asked, between, seen, atoms)
    held = {f.name: getattr(seen, f.name) for f in fields(Seen)}
    held |= {k: np.minimum(held[k], 1.0) for k in ("error", "mass_error")}
    if isinstance(asked.process, Landscape):
        momentum = asked.process.momentum
        notes += (
            (
                f"momentum {momentum:g} has no memory in this, the limit of small steps: SGD is "
                f"elsewhere for some times 1 / (1 - beta) = {1 / (1 - momentum):.3g} steps at "
                "least, and where its steps are large in the end, too."
                if momentum
                else "this is the diffusion, the limit of small steps: where steps are large SGD "
                "may leave a minimum far sooner, or never. `stationary analyze --steps N` goes by "
                "its own steps (in Python `analysis.sgd.after(N)`)."
            ),
        )
    return Evolution(
        process=asked.process,
        diffusion=state.diffusion,
        initial=asked.start,
        times=times,
        edges=edges,
        atoms=atoms,
        end_state=state,
        total_variation_to_end=distance,
        total_variation_error=distance_error,
        between=between,
        end_is_resolved=is_resolved,
        log_relaxation_time=gap.log_time,
        relaxation_error=gap.error,
        slowest_mode=gap.mode,
        finest=finest,
        tolerance=asked.tolerance,
        notes=tuple(dict.fromkeys((*state.notes, *asked.start.notes, *notes))),
        stopped=stopped,
        **held,
    )


def _distance_to_end(
    asked: Asked, between: Between, seen: Seen, atoms: Sequence[EvolutionAtom]
) -> tuple[Array | None, Array | None, bool]:
    """The total-variation distance (times,), its error, and if cells show the end.

    They do not where one of them holds most of a density: most of the distance may be within it.
    """
    state, edges = asked.state, between.edges
    if not is_whole(state):
        return None, None, True
    below = state.below(edges)
    for place, weight in [(p.position, p.weight) for p in state.atoms] + [
        (p.position, p.weight or 0.0) for p in state.escapes
    ]:
        below -= float(weight) * (place <= edges)
    goal, beyond = np.maximum(np.diff(below), 0.0), float(below[0])
    beyond += max(sum(float(c.weight) for c in state.components) - float(below[-1]), 0.0)
    is_resolved = not goal.max(initial=0.0) > MOST_IN_ONE
    lumps = {a.position: 0.0 for a in atoms}
    for atom in state.atoms:
        if float(atom.position) in lumps:
            lumps[float(atom.position)] += float(atom.weight)
        else:  # where the drift alone comes to rest
            i = int(np.searchsorted(edges, atom.position)) - 1
            goal[min(max(i, 0), len(goal) - 1)] += atom.weight
    found = np.array(
        [
            between.variation(masses - goal, error, _hidden(masses, goal))
            for masses, error in zip(seen.masses, seen.error.tolist(), strict=True)
        ]
    )
    apart = found[:, 0] + beyond / 2 + sum(np.abs(a.weights - lumps[a.position]) for a in atoms) / 2
    error = found[:, 1] + seen.mass_error + float(state.error)
    if asked.start.law is None:  # points have nothing in common with a density
        first, held = asked.times == 0, asked.start.mass_at
        common = sum(min(held(float(a.position)), float(a.weight)) for a in state.atoms)
        apart[first], error[first] = 1 - common, float(state.error)
    return np.minimum(apart, 1.0), np.nan_to_num(np.minimum(error, 1.0), nan=1.0), is_resolved


def _hidden(masses: Array, goal: Array) -> Array:
    """Of two laws, (cells,): by how much they can be further apart than their masses in a cell.

    By what both have there; and by as much as their ratio varies, which is seen from cell to cell.
    """
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        ratio = np.where(goal > 0, masses / goal, np.inf)
        step = np.pad(np.nan_to_num(np.abs(np.diff(ratio)), nan=np.inf), 1)
        varied = np.where(goal > 0, goal * np.maximum(step[1:], step[:-1]), 0.0)
    return np.minimum(np.minimum(masses, goal), varied)
