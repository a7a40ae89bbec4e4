"""`evolve`: the probability of where a process is, at given times.

dP/dt = -dJ/dx on cells (`generator`), exactly conserved, never negative and at rest exactly in the
end state; in time an L-stable rational approximation of order 11 (`exponential`). Every evolution
is computed on several grids, each half as fine as the next; they are put together as cells of no
width would have it, and their differences give the errors (`refinement`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from stationary.errors import LandscapeError
from stationary.evolution.destination import distance_to_end
from stationary.evolution.evolution import Evolution, EvolutionAtom
from stationary.evolution.features import COUNTED
from stationary.evolution.gap import gap_of
from stationary.evolution.generator import Chain
from stationary.evolution.moments import moments
from stationary.evolution.propagation import Run, run_on
from stationary.evolution.refinement import FEWEST, Refined, refined
from stationary.evolution.request import (
    MOST_NUMBERS,
    checked_cells,
    checked_times,
    checked_tolerance,
)
from stationary.evolution.window import leaks, near_the_unreached, windowed
from stationary.process.diffusion import Diffusion
from stationary.process.initial import Initial
from stationary.process.landscape import Landscape
from stationary.sources.loading import ProcessLike, as_process
from stationary.states.distribution import EndState
from stationary.states.solve import end_state

__all__ = ["evolve"]

Array = NDArray[Any]

BASE = 64  # cells of the coarsest grid, if nothing was said
DEEPEST = 9  # levels of refinement, if nothing was said
STEEPEST = 8.0  # by which errors fall from level to level: with more to go it is no use,
MOST_NEEDED = 1e5  # if it would take more cells than this for noise to smooth what the drift does
TOLERANCE = 1e-4
ENOUGH = 4096  # cells that show the relaxation time to 1e-4 or so: more only cost
NEGLIGIBLE = 1e-15


def evolve(
    process: ProcessLike,
    initial: Any = None,
    times: ArrayLike = (),
    *,
    cells: int | None = None,
    tolerance: float = TOLERANCE,
) -> Evolution:
    """Follow the probability of a process from its start through the given times.

    Parameters
    ----------
    process
        A `Diffusion`, or a `Landscape`, whose diffusion is then taken, with time in steps.
    initial
        Where it starts: see `stationary.initial`. None: as the process says. A single point is an
        edge of the grid, and shared by the two cells that meet there; of several, each is shared
        between the two nearest centres, so that the mean is kept.
    times
        At which it is wanted: ascending, at least 0.
    cells
        About how many; None: as many as the tolerance takes.
    tolerance
        The error of the probability on either side of any point that is aimed at.

    Returns
    -------
    Evolution
        With its errors; `converged` says whether they are within the tolerance.

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
    diffusion = process.diffusion() if isinstance(process, Landscape) else process
    name = diffusion.name
    at = checked_times(times, name)
    tolerance = checked_tolerance(tolerance, name)
    cells = checked_cells(cells, len(at), name)
    given = diffusion.initial if initial is None else initial
    if given is None:
        raise LandscapeError(
            f"{name}: an evolution needs a start. Give initial: a point, as in initial = 0.3 (or "
            f"--initial 0.3), or a distribution of {diffusion.variable}, as in normal:0.5,0.175."
        )
    start = Initial.of(given, domain=diffusion.domain, name=name, variable=diffusion.variable)
    state = end_state(process, start)
    return _evolved(process, state, start, at, cells, tolerance)


# The grids.


def _evolved(
    process: Diffusion | Landscape,
    state: EndState,
    start: Initial,
    times: Array,
    cells: int | None,
    tolerance: float,
) -> Evolution:
    grid = windowed(state, start, times, BASE if cells is None else cells // 4)
    runs = [run_on(state, start, grid.edges(level), times, tolerance) for level in range(FEWEST)]
    found = refined(runs, grid.blurred)
    chains = [r.chain for r in runs]
    if cells is None:
        most = MOST_NUMBERS // len(times)
        for level in range(FEWEST, DEEPEST + 1):
            worst, left = float(found.error.max()), DEEPEST + 1 - level
            hopeless = worst > tolerance * STEEPEST**left and grid.needed > MOST_NEEDED
            if worst <= tolerance or hopeless or 2 * len(runs[-1].chain.width) > most:
                break
            runs = [*runs[1:], run_on(state, start, grid.edges(level), times, tolerance)]
            found = refined(runs, grid.blurred)
            if len(runs[-1].chain.width) <= ENOUGH:  # for a relaxation time
                chains = [*chains[1:], runs[-1].chain]
    return _put_together(process, state, start, times, runs, chains, found, tolerance)


# The result.


def _put_together(
    process: Diffusion | Landscape,
    state: EndState,
    start: Initial,
    times: Array,
    runs: Sequence[Run],
    chains: Sequence[Chain],
    found: Refined,
    tolerance: float,
) -> Evolution:
    edges, places = found.cells.edges, found.cells.places
    leak = np.add(*leaks(runs[-1], state.diffusion)) + near_the_unreached(runs[-1], state)
    leak = np.maximum.accumulate(leak)  # what has been lost does not come back right
    extra = found.time_error + leak + NEGLIGIBLE
    ends = np.isin(places, edges[[0, -1]])
    atoms = tuple(
        EvolutionAtom(float(x), found.atoms[:, k], found.atom_errors[:, k] + extra)
        for k, x in enumerate(places)
        if found.atoms[:, k].max() > 0 or ends[k]
    )
    mean, std = moments(start, state.diffusion, times, runs[-1], found, leak)
    gap = gap_of(state, chains, edges, float(times[-1]) or 1.0)
    distance, is_resolved = distance_to_end(state, found)
    return Evolution(
        process=process,
        diffusion=state.diffusion,
        initial=start,
        times=times,
        edges=edges,
        masses=found.masses,
        atoms=atoms,
        mean=mean.value,
        mean_error=mean.error,
        std=std.value,
        std_error=std.error,
        error=np.minimum(found.error + extra, 1.0),
        mass_error=np.minimum(found.mass_error + extra, 1.0),
        time_error=found.time_error,
        current=found.current.value,
        current_error=found.current.error,
        end_state=state,
        total_variation_to_end=distance,
        end_is_resolved=is_resolved,
        log_relaxation_time=gap.log_time,
        relaxation_error=gap.error,
        slowest_mode=gap.mode,
        finest=len(runs[-1].chain.width),
        tolerance=tolerance,
        notes=(*state.notes, *start.notes, *_of_window(state, edges, leak)),
    )


def _of_window(state: EndState, edges: Array, leak: Array) -> tuple[str, ...]:
    """A note where the ends of the window matter."""
    if not leak.max() > COUNTED:
        return ()
    low, high = edges[[0, -1]]
    return (
        f"cells end at {state.diffusion.variable} = {low:.4g} and {high:.4g}, and up to "
        f"{float(leak.max()):.2g} of the probability reaches them: what would be beyond is kept "
        "inside, and counts as error.",
    )
