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

from stationary.diffusion import Diffusion, number
from stationary.distribution import EndState
from stationary.elementary import converted, exp, to_float
from stationary.errors import LandscapeError
from stationary.exponential import Propagator
from stationary.generator import Chain, chain_on, placed
from stationary.grid import Feature, Grid, grid_on
from stationary.initial import Initial
from stationary.landscape import Landscape
from stationary.refinement import Refined, refined
from stationary.relaxation import Relaxation, slowest
from stationary.solve import end_state

__all__ = ["Evolution", "EvolutionAtom", "evolve", "times_until"]

Array = NDArray[Any]

BASE = 64  # cells of the coarsest grid, if nothing was said
DEEPEST = 7  # levels of refinement, if nothing was said
TOLERANCE = 1e-4
MOST_CELLS = 2**17
MOST_TIMES = 100_000
MOST_NUMBERS = 2 * 10**8  # times times cells
IN_TIME = 1e-9  # error of the integration in time, at most
FASTEST = 1e12  # times the longest interval: faster exchange between two cells is as good as this
TAIL = 1e-13  # of the start and of the end state, that may lie outside the window
LEAK = 1e-11  # at an edge of the window, for which it is widened
WIDENINGS = 60
FLIGHT = 200  # steps of the drift alone
FURTHEST = 1e6  # times where the process starts and turns, to which that is followed
LARGEST = 1e90
COUNTED = 1e-9  # of all probability: an end state that loses more cannot be compared with
MANY = 24  # minima around which cells are put
NEGLIGIBLE = 1e-15


@dataclass(frozen=True, eq=False)
class EvolutionAtom:
    """A point that collects probability: a trap, an absorbing end, or a rest point."""

    position: float
    weights: Array  # (times,)
    errors: Array  # (times,), absolute


@dataclass(frozen=True, eq=False, repr=False)
class _Run:
    """One grid: its chain, and the masses of its states at all times."""

    chain: Chain
    states: Array  # (times, states)
    errors: Array  # (times,): of the integration in time
    outside: float  # of the start


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
        that reach each other. None where it was not found.
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
        from stationary.evolution_report import text

        return text(self)

    def to_dict(self) -> dict[str, Any]:
        """The same as plain numbers, strings and lists; None for what is not known."""
        from stationary.evolution_report import as_dict

        return as_dict(self)

    def to_csv(self) -> str:
        """A table with a row per time and cell."""
        from stationary.evolution_report import table

        return table(self)

    def plot(self, path: str | Path | None = None) -> Any:
        """Draw densities and moments over time; save to `path` if given. Returns the figure."""
        from stationary.plot_evolution import plot_evolution
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
    grid, leak, notes = _windowed(state, start, times, BASE if cells is None else cells // 4)
    runs = [_run(state, start, grid.edges(level), times, tolerance) for level in range(3)]
    if cells is None:
        most = MOST_NUMBERS // len(times)
        for level in range(3, DEEPEST + 1):
            size = 2 * len(runs[-1].chain.width)
            if _refined(runs).distribution_error.max() <= tolerance or size > most:
                break
            runs = [*runs[1:], _run(state, start, grid.edges(level), times, tolerance)]
    return _put_together(process, state, start, times, runs, leak, tolerance, notes)


def _run(state: EndState, start: Initial, edges: Array, times: Array, tolerance: float) -> _Run:
    diffusion = state.diffusion
    chain = chain_on(diffusion, state.anatomy, edges)
    p, outside = placed(
        chain, start, state.anatomy, lambda x: diffusion.coefficients(np.asarray(x))[0]
    )
    steps = np.diff(times, prepend=0.0)
    steps = steps[steps > 0]
    up, down = chain.rates(FASTEST / float(steps.max(initial=1.0)))
    within = min(IN_TIME, tolerance / 10)
    masses, errors = Propagator(up, down, chain.is_ring).propagate(p, times, within)
    return _Run(chain, masses, errors, outside)


def _windowed(
    state: EndState, start: Initial, times: Array, cells: int
) -> tuple[Grid, Array, tuple[str, ...]]:
    """The grid on a window that holds the probability, and what reaches the ends of it."""
    lower, upper = state.diffusion.domain
    low, high = _first_window(state, start, times)
    leak = np.zeros(len(times))
    grid = _grid(state, start, times, (low, high), cells)
    for _ in range(WIDENINGS):
        if (low, high) == (lower, upper):
            return grid, leak, ()
        run = _run(state, start, grid.edges(0), times, 1e-6)
        masses = run.states[:, run.chain.is_cell]
        at_low = masses[:, 0] if low > lower else 0 * leak
        at_high = masses[:, -1] if high < upper else 0 * leak
        leak = at_low + at_high
        if leak.max() <= LEAK:
            return grid, leak, ()
        reach = 0.5 * (high - low)
        wider = (
            max(low - reach, lower) if at_low.max() > LEAK / 2 else low,
            min(high + reach, upper) if at_high.max() > LEAK / 2 else high,
        )
        if max(abs(wider[0]), abs(wider[1])) > LARGEST:
            break
        try:
            wide = _grid(state, start, times, wider, cells)
            chain_on(state.diffusion, state.anatomy, wide.edges(0))
        except LandscapeError:
            break  # out there the process is beyond doubles
        low, high = wider
        grid = wide
    v = state.diffusion.variable
    note = (
        f"cells end at {v} = {low:.4g} and {high:.4g}, and up to {float(leak.max()):.2g} of the "
        "probability reaches them: what would be beyond is kept inside, and counts as error."
    )
    return grid, leak, (note,)


def _first_window(state: EndState, start: Initial, times: Array) -> tuple[float, float]:
    diffusion = state.diffusion
    lower, upper = diffusion.domain
    low, high = _reach_of(start)
    places = [low, high, *(float(e.position) for e in state.anatomy.equilibria)]
    places += [float(e) for p in state.anatomy.points for e in (p.lower, p.upper)]
    if state.kind in ("density", "mixture", "flux") and _is_whole(state):
        if math.isinf(lower):
            places.append(float(state.ppf(TAIL)))
        if math.isinf(upper):
            places.append(float(state.isf(TAIL)))
    x = np.clip(np.array([low, high]), lower, upper)
    t = float(times[-1])
    if not _is_whole(state):  # nothing keeps it: where the drift alone would take it
        for _ in range(FLIGHT):
            with np.errstate(all="ignore"):
                further = x + diffusion.coefficients(x)[0] * (t / FLIGHT)
            further = np.clip(np.where(np.isfinite(further), further, x), lower, upper)
            x = np.where(np.abs(further) < FURTHEST * (1 + np.abs(places).max()), further, x)
    with np.errstate(all="ignore"):
        a = diffusion.coefficients(x)[1]
        spread = np.nan_to_num(np.minimum(np.sqrt(a * t) * 8, 1e6 * (1 + np.abs(x))))
    if not _is_whole(state):
        places += x.tolist()
        if math.isinf(lower) and math.isinf(upper) and not state.anatomy.equilibria:
            places += (x - spread).tolist() + (x + spread).tolist()
    places = [p for p in places if math.isfinite(p)]
    first, last = min(places), max(places)
    margin = 0.05 * (last - first) or max(float(spread.max()), 1e-3 * (1 + abs(first)))
    return (
        lower if math.isfinite(lower) else first - margin,
        upper if math.isfinite(upper) else last + margin,
    )


def _reach_of(start: Initial) -> tuple[float, float]:
    """The interval that holds the start but for next to nothing."""
    if start.law is None:
        return float(start.points.min()), float(start.points.max())
    tail = np.array([TAIL])
    with np.errstate(all="ignore"):
        low, high = float(start.law.law.ppf(tail)[0]), float(start.law.law.isf(tail)[0])
    return max(low, start.law.lower), min(high, start.law.upper)


def _is_whole(state: EndState) -> bool:
    """Whether all probability ends in atoms and densities, as far as that is known."""
    if state.kind in ("none", "classes"):
        return False
    return sum(float(e.weight or 0.0) for e in state.escapes) <= COUNTED


def _grid(
    state: EndState, start: Initial, times: Array, window: tuple[float, float], cells: int
) -> Grid:
    diffusion = state.diffusion
    low, high = window
    span = high - low
    features = []
    centre, width = _centre_of(start)
    first = float(times[times > 0][0]) if (times > 0).any() else 0.0
    at = np.array([min(max(centre, low), high)])
    with np.errstate(all="ignore"):
        noise = float(np.nan_to_num(np.sqrt(diffusion.coefficients(at)[1] * first))[0])
    features.append(Feature(centre, max(width, noise, 1e-4 * span if start.law is None else 0.0)))
    stable = [e for e in state.anatomy.equilibria if e.stable and low < e.position < high]
    for e in stable[:MANY]:
        x = np.array([e.position])
        slope = abs(e.slope) if e.slope else 0.0
        with np.errstate(all="ignore"):
            s = float(np.sqrt(diffusion.coefficients(x)[1][0] / 2 / slope)) if slope else math.nan
        features.append(Feature(e.position, s if math.isfinite(s) else span / 20, 2.0))
    if _is_whole(state) and len(state.components) and not state.atoms:
        q = [float(x) for x in (state.ppf(0.25), state.ppf(0.5), state.ppf(0.75))]
        features.append(Feature(q[1], max(q[2] - q[0], 1e-4 * span), 1.0))
    singular = [float(e) for p in state.anatomy.points for e in (p.lower, p.upper)]
    for end in state.anatomy.ends:
        if end.order is not None and low <= end.position <= high:
            singular.append(float(end.position))
    deep = 1e-8 if len(singular) < MANY else 1e-3
    features += [Feature(x, deep * span) for x in singular]
    breaks = [low, high, *singular, *diffusion.breakpoints]
    if start.point is not None:
        breaks.append(start.point)
    return grid_on(window, np.array(breaks), tuple(features), max(cells, 2))


def _centre_of(start: Initial) -> tuple[float, float]:
    """Where the start is, and about how wide."""
    if start.law is None:
        weight = start.weights / start.weights.sum()
        mean = float(weight @ start.points)
        return mean, float(np.sqrt(weight @ (start.points - mean) ** 2))
    q = np.array([0.25, 0.5, 0.75])
    first = start.law.ends[0]
    x = start.law.at(first.before + q * start.law.total, 1 - q, np.zeros(3, dtype=bool))
    return float(x[1]), float(x[2] - x[0])


# The result.


def _refined(runs: list[_Run]) -> Refined:
    return refined(
        [r.chain.edges for r in runs],
        [r.states[:, r.chain.is_cell] for r in runs],
        [r.states[:, ~r.chain.is_cell] for r in runs],
        [r.chain.position[~r.chain.is_cell] for r in runs],
    )


def _current(run: _Run) -> Array:
    """J at the edges, (times, cells + 1)."""
    chain, p = run.chain, run.states
    up, down = chain.rates(math.inf)
    with np.errstate(over="ignore", invalid="ignore"):
        out_up, out_down = (p * up)[:, chain.is_cell], (p * down)[:, chain.is_cell]
    nothing = np.zeros((len(p), 1))
    if chain.is_ring:
        seam = out_up[:, -1:] - out_down[:, :1]
        return np.concatenate([seam, out_up[:, :-1] - out_down[:, 1:], seam], axis=1)
    upwards = np.concatenate([nothing, out_up], axis=1)
    return np.asarray(upwards - np.concatenate([out_down, nothing], axis=1))


def _put_together(
    process: Diffusion | Landscape,
    state: EndState,
    start: Initial,
    times: Array,
    runs: list[_Run],
    leak: Array,
    tolerance: float,
    notes: tuple[str, ...],
) -> Evolution:
    run = runs[-1]
    chain = run.chain
    found = _refined(runs)
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
    currents = [_current(r) for r in runs]
    current_error = found.of_faces(currents)
    slow = [slowest(r.chain, float(times[-1]) or 1.0) for r in runs]
    log_time, relaxation_error = _gap(slow)
    if tuple(chain.edges[[0, -1]]) != state.diffusion.domain and not _is_whole(state):
        log_time = relaxation_error = None  # that of the window
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
    if not _is_whole(state) or any(c.weight is None for c in state.components):
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
    return np.asarray(np.abs(masses - goal).sum(axis=1) / 2 + np.abs(held - lumps).sum(axis=1) / 2)


def _cell_masses(component: Any, edges: Array) -> Array:
    """The share of a component in each cell."""
    from stationary.quantiles import quantile

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
