"""`evolve`: the probability of where a process is, at given times.

dP/dt = -dJ/dx on cells (`generator`), exactly conserved, never negative and at rest exactly in the
end state; in time an L-stable rational approximation of order 11 (`exponential`). Every evolution
is computed on three grids, each half as fine as the next, whose differences give the errors.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from stationary.anatomy.feller import Feller
from stationary.diffusion import Diffusion
from stationary.distribution import EndState
from stationary.errors import LandscapeError
from stationary.evolution.generator import Chain
from stationary.evolution.propagation import Run, current_of, run_on
from stationary.evolution.refinement import Refined, refined
from stationary.evolution.relaxation import Relaxation, slowest
from stationary.evolution.window import COUNTED, is_whole, leaks, windowed
from stationary.given import number
from stationary.landscape import Landscape
from stationary.numbers.elementary import converted, exp, to_float
from stationary.solve import end_state
from stationary.start.initial import Initial

__all__ = ["Evolution", "EvolutionAtom", "evolve", "times_until"]

Array = NDArray[Any]

BASE = 64  # cells of the coarsest grid, if nothing was said
DEEPEST = 7  # levels of refinement, if nothing was said
TOLERANCE = 1e-4
MOST_CELLS = 2**17
MOST_TIMES = 100_000
MOST_NUMBERS = 2 * 10**8  # times times cells
NEGLIGIBLE = 1e-15


@dataclass(frozen=True, eq=False)
class EvolutionAtom:
    """A point that collects probability: a trap, an absorbing end, or a rest point."""

    position: float
    weights: Array  # (times,)
    errors: Array  # (times,), absolute


@dataclass(frozen=True, eq=False, repr=False)
class Evolution:
    """Where a process is at given times, and how far to trust it.

    Errors are absolute and come from grids of half and a quarter of the cells; those of integration
    in time and of the ends of the window are added. `mean` and `std` are extrapolated to cells of
    no width.

    Attributes
    ----------
    times
        (times,), ascending, in the unit of the process (SGD steps for a landscape).
    edges
        (cells + 1,), ascending: every zero of the variance inside is one.
    masses
        (times, cells): the probability of each cell. With that of the atoms it sums to one.
    atoms
        Points that hold probability, each with its `weights` (times,).
    mean, mean_error, std, std_error
        (times,), in the unit of x; atoms are part of them.
    error
        (times,): of the probability on either side of any edge.
    mass_error
        (times,): in total variation, on cells of twice the width.
    current, current_error
        J (times, cells + 1), upwards positive, and (times,) the error of its largest. At an atom,
        what comes from its left less what comes from its right.
    end_state
        Where all this leads.
    total_variation_to_end
        (times,): half the sum of |mass - mass in the end| over cells and atoms; with cells of no
        width it could only be larger. None where there is no end state to compare with.
    log_relaxation_time, relaxation_error
        log of 1 / (spectral gap), and its absolute error: what is slowest within a class of points
        that reach each other; inf where wells are joined by less than e^-100000. None where there
        is no gap: where probability leaves for ever, towards an end that is a power law and never
        reached, or where the drift alone decides.
    slowest_mode
        (cells,): the masses of the mode that decays last within its class; the sum of their
        absolute values is 1.
    """

    process: Diffusion | Landscape
    diffusion: Diffusion
    initial: Initial
    times: Array
    edges: Array
    masses: Array
    atoms: tuple[EvolutionAtom, ...]
    mean: Array
    mean_error: Array
    std: Array
    std_error: Array
    error: Array
    mass_error: Array
    time_error: Array
    current: Array
    current_error: Array
    end_state: EndState
    total_variation_to_end: Array | None
    log_relaxation_time: float | None
    relaxation_error: float | None
    slowest_mode: Array
    tolerance: float
    notes: tuple[str, ...]

    @property
    def cells(self) -> int:
        return len(self.edges) - 1

    @property
    def density(self) -> Array:
        """(times, cells): the mean of P over each cell, per unit of x."""
        return np.asarray(self.masses / np.diff(self.edges))

    @property
    def relaxation_time(self) -> float | None:
        """1 / (spectral gap), in the unit of time; inf where doubles do not reach."""
        if self.log_relaxation_time is None:
            return None
        return math.exp(self.log_relaxation_time) if self.log_relaxation_time < 709 else math.inf

    @property
    def converged(self) -> bool:
        """Whether all errors of probabilities are within the tolerance."""
        return bool((self.error <= self.tolerance).all())

    @cached_property
    def _below(self) -> Array:
        """(times, cells + 1): the probability of the cells below each edge."""
        return np.concatenate([np.zeros((len(self.times), 1)), np.cumsum(self.masses, 1)], axis=1)

    def probability(self, lower: float, upper: float) -> Array:
        """P(lower < X <= upper) at every time, shape (times,).

        Right to within twice `error` if both points are edges; within a cell the density is taken
        as even.
        """
        if not lower <= upper:
            raise LandscapeError(
                f"probability({lower:g}, {upper:g}): the first end must not be above the second."
            )
        below = [
            np.array([np.interp(x, self.edges, row) for row in self._below]) for x in (lower, upper)
        ]
        held = [a.weights for a in self.atoms if lower < a.position <= upper]
        return np.asarray(np.clip(below[1] - below[0] + sum(held, np.zeros(len(self.times))), 0, 1))

    def summary(self) -> str:
        """The evolution as text, at most 80 columns wide."""
        from stationary.evolution.report import text

        return text(self)

    def to_dict(self) -> dict[str, Any]:
        """The same as plain numbers, strings and lists; None for what is not known."""
        from stationary.evolution.report import as_dict

        return as_dict(self)

    def to_csv(self) -> str:
        """A table with a row per time and cell."""
        from stationary.evolution.report import table

        return table(self)

    def plot(self, path: str | Path | None = None) -> Any:
        """Draw densities and moments over time; save to `path` if given. Returns the figure."""
        from stationary.evolution.figure import plot_evolution
        from stationary.plotting import save

        figure = plot_evolution(self)
        if path is not None:
            save(figure, path)
        return figure

    def __str__(self) -> str:
        return self.summary()

    def __repr__(self) -> str:
        return (
            f"<Evolution of {self.diffusion.name!r}: {len(self.times)} times to "
            f"{self.times[-1]:g}, {self.cells} cells, error {float(self.error.max()):.0e}>"
        )


def evolve(
    process: Diffusion | Landscape,
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
    if not isinstance(process, (Diffusion, Landscape)):
        raise LandscapeError(
            f"evolve takes a Diffusion or a Landscape, not {process!r:.60}. For a file write "
            'evolve(stationary.load("landscape.py"), ...).'
        )
    diffusion = process.diffusion() if isinstance(process, Landscape) else process
    name = diffusion.name
    at = _checked_times(times, name)
    tolerance = _checked_tolerance(tolerance, name)
    cells = _checked_cells(cells, len(at), name)
    given = diffusion.initial if initial is None else initial
    if given is None:
        raise LandscapeError(
            f"{name}: an evolution needs a start. Give initial: a point, as in initial = 0.3 (or "
            f"--initial 0.3), or a distribution of {diffusion.variable}, as in normal:0.5,0.175."
        )
    start = Initial.of(given, domain=diffusion.domain, name=name, variable=diffusion.variable)
    state = end_state(process, start)
    return _evolved(process, state, start, at, cells, tolerance)


def times_until(until: float, every: float | None = None) -> Array:
    """0, every, 2 every, ... and `until`; by default twenty-one times."""
    step = until / 20 if every is None else every
    if not (0 < until < math.inf and 0 < step < math.inf):
        raise LandscapeError(
            f"--until {until:g} and --every {step:g} must be positive numbers, as in --until 400 "
            "--every 10."
        )
    if until / step > MOST_TIMES:
        raise LandscapeError(
            f"--every {step:g} makes more than {MOST_TIMES} times up to {until:g}. Take fewer, as "
            f"in --every {until / 100:g}."
        )
    count = math.floor(until / step * (1 + 1e-12))
    times = step * np.arange(count + 1)
    return np.append(times[times < until * (1 - 1e-9)], until)


# Checks of what was given.


def _checked_times(given: Any, name: str) -> Array:
    example = "times = np.arange(0, 401, 10)"
    try:
        times = np.atleast_1d(np.asarray(given, dtype=float))
    except (TypeError, ValueError):
        times = np.array([math.nan])
    if times.ndim != 1 or not len(times) or not np.isfinite(times).all():
        raise LandscapeError(
            f"{name}: times = {given!r:.80} must be finite numbers, as in {example}."
        )
    if times[0] < 0 or (np.diff(times) <= 0).any():
        raise LandscapeError(
            f"{name}: times = {given!r:.80} must ascend from 0 or later, as in {example}."
        )
    if len(times) > MOST_TIMES:
        raise LandscapeError(f"{name}: {len(times)} times are more than {MOST_TIMES}. Take fewer.")
    return times


def _checked_tolerance(given: Any, name: str) -> float:
    value = number(given)
    if value is None or not 1e-12 <= value < 1:
        raise LandscapeError(
            f"{name}: tolerance = {given!r:.80} must be a probability between 1e-12 and 1, such as "
            "1e-4."
        )
    return value


def _checked_cells(given: Any, times: int, name: str) -> int | None:
    if given is None:
        return None
    most = min(MOST_CELLS, MOST_NUMBERS // times)
    if (
        isinstance(given, bool)
        or not isinstance(given, (int, np.integer))
        or not 8 <= given <= most
    ):
        raise LandscapeError(
            f"{name}: cells = {given!r:.80} must be a whole number from 8 to {most}, such as 1000."
        )
    return int(given)


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
    runs = [run_on(state, start, grid.edges(level), times, tolerance) for level in range(3)]
    if cells is None:
        most = MOST_NUMBERS // len(times)
        for level in range(3, DEEPEST + 1):
            size = 2 * len(runs[-1].chain.width)
            if _refined(runs).distribution_error.max() <= tolerance or size > most:
                break
            runs = [*runs[1:], run_on(state, start, grid.edges(level), times, tolerance)]
    return _put_together(process, state, start, times, runs, tolerance)


# The result.


def _refined(runs: list[Run]) -> Refined:
    return refined(
        [r.chain.edges for r in runs],
        [r.states[:, r.chain.is_cell] for r in runs],
        [r.states[:, ~r.chain.is_cell] for r in runs],
        [r.chain.position[~r.chain.is_cell] for r in runs],
    )


def _put_together(
    process: Diffusion | Landscape,
    state: EndState,
    start: Initial,
    times: Array,
    runs: list[Run],
    tolerance: float,
) -> Evolution:
    run = runs[-1]
    chain = run.chain
    found = _refined(runs)
    leak = np.add(*leaks(run, state.diffusion))
    notes = _of_window(state, chain, leak)
    extra = run.errors + leak + NEGLIGIBLE
    span = float(chain.edges[-1] - chain.edges[0])
    masses = run.states[:, chain.is_cell]
    held = run.states[:, ~chain.is_cell]
    atoms = tuple(
        EvolutionAtom(float(x), held[:, k], found.atom_errors[:, k] + extra)
        for k, x in enumerate(chain.position[~chain.is_cell])
        if held[:, k].max() > 0 or k in _ends(chain)
    )
    error = found.distribution_error + extra
    mass_error = found.mass_error + extra
    deviation = np.sqrt(np.maximum(found.variance, 0.0))
    # What lies at the ends of the window may lie anywhere beyond.
    shift = (run.errors + leak) * span + 1e-14 * float(np.abs(chain.edges).max())
    variance_error = found.variance_error + (run.errors + leak) * span**2
    upper = np.sqrt(np.maximum(found.variance, 0) + variance_error)
    lower = np.sqrt(np.maximum(found.variance - variance_error, 0.0))
    currents = [current_of(r) for r in runs]
    current_error = found.of_faces(currents)
    slow = [slowest(r.chain, float(times[-1]) or 1.0) for r in runs]
    log_time, relaxation_error = _gap(slow)
    cut = tuple(chain.edges[[0, -1]]) != state.diffusion.domain
    if (cut and not is_whole(state)) or _has_no_gap(state):
        log_time = relaxation_error = None  # it would be that of the cells
    end = _distance_to_end(state, chain, masses, held)
    return Evolution(
        process=process,
        diffusion=state.diffusion,
        initial=start,
        times=times,
        edges=chain.edges,
        masses=masses,
        atoms=atoms,
        mean=found.mean,
        mean_error=found.mean_error + shift,
        std=deviation,
        std_error=np.maximum(upper - deviation, deviation - lower)
        + 1e-14 * float(np.abs(chain.edges).max()),
        error=error,
        mass_error=mass_error,
        time_error=run.errors,
        current=currents[-1],
        current_error=current_error,
        end_state=state,
        total_variation_to_end=end,
        log_relaxation_time=log_time,
        relaxation_error=relaxation_error,
        slowest_mode=slow[-1].mode[chain.is_cell],
        tolerance=tolerance,
        notes=(*state.notes, *start.notes, *notes),
    )


def _ends(chain: Chain) -> tuple[int, ...]:
    """Which of the atoms are ends of the domain."""
    positions = chain.position[~chain.is_cell]
    return tuple(int(k) for k in np.flatnonzero(np.isin(positions, chain.edges[[0, -1]])))


def _of_window(state: EndState, chain: Chain, leak: Array) -> tuple[str, ...]:
    """A note where the ends of the window matter."""
    if not leak.max() > COUNTED:
        return ()
    low, high = chain.edges[[0, -1]]
    return (
        f"cells end at {state.diffusion.variable} = {low:.4g} and {high:.4g}, and up to "
        f"{float(leak.max()):.2g} of the probability reaches them: what would be beyond is kept "
        "inside, and counts as error.",
    )


def _has_no_gap(state: EndState) -> bool:
    """Whether an end that is never reached is a power law: times in proportion to log distance."""
    sides = [side for pair in state.anatomy.sides for side in pair]
    return any(
        side.end.feller in (Feller.NATURAL, Feller.ATTRACTING)
        and side.end.exponent is not None
        and math.isfinite(side.end.exponent)
        for side in sides
    )


def _gap(slow: list[Relaxation]) -> tuple[float | None, float | None]:
    """log of the relaxation time and its error, from three grids."""
    logs = [r.log_time for r in slow]
    if logs[2] == math.inf:
        return math.inf, 0.0
    if not np.isfinite(logs).all():
        return None, None
    first, second = abs(logs[1] - logs[0]), abs(logs[2] - logs[1])
    ratio = first / second if second > 0 else 4.0
    error = 1.25 * second / (min(ratio, 4.0) - 1) if ratio > 1.5 else 3 * max(first, second)
    return logs[2], float(error + slow[2].error)


def _distance_to_end(state: EndState, chain: Chain, masses: Array, held: Array) -> Array | None:
    """Half the sum of |mass - mass in the end| over cells and atoms, (times,)."""
    if not is_whole(state) or not state.error <= COUNTED:
        return None
    goal = np.zeros(len(chain.width))
    for c in state.components:
        if c.weight > 0:
            goal += float(c.weight) * _cell_masses(replace(c, weight=1.0), chain.edges)
    positions = chain.position[~chain.is_cell]
    lumps = np.zeros(len(positions))
    for atom in state.atoms:
        k = np.flatnonzero(positions == atom.position)
        if len(k):
            lumps[k[0]] += atom.weight
        else:  # where the drift alone comes to rest
            i = int(np.searchsorted(chain.edges, atom.position)) - 1
            goal[min(max(i, 0), len(goal) - 1)] += atom.weight
    apart = np.abs(masses - goal).sum(axis=1) + np.abs(held - lumps).sum(axis=1)
    return np.asarray(np.minimum(apart / 2, 1.0))


def _cell_masses(component: Any, edges: Array) -> Array:
    """The share of a component in each cell."""
    from stationary.density.quantiles import quantile

    low, high = component.interval
    tail = converted(np.array([math.log(1e-17)]), component.arithmetic)
    first = float(quantile(component, tail, left=True)[0])
    last = float(quantile(component, tail, left=False)[0])
    # Only edges among the probability need be asked about, which many digits make dear.
    inside = (edges > max(first, float(low))) & (edges < min(last, float(high)))
    below, above = (edges >= last).astype(float), (edges <= first).astype(float)
    if inside.any():
        x = converted(edges[inside], component.arithmetic)
        below[inside] = to_float(exp(component.logcdf(x)))
        above[inside] = to_float(exp(component.logsf(x)))
    rising, falling = np.diff(below), -np.diff(above)
    return np.asarray(np.maximum(np.where(below[1:] <= 0.5, rising, falling), 0.0))
