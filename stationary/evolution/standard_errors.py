"""What a sample leaves unsure of an evolution.

What was estimated could have come out otherwise in K independent ways, see `Sample`. Hardly any of
their combinations matter: a few principal ones, functions (df, da) of one standard deviation each,
make nearly all that is unsure. Along each of them, to either side, the evolution is computed anew,
on one grid, or with pulses. Of y = y0 + d z + c z^2 / 2, with z normal, the variance is
d^2 + c^2 / 2. Where it may well be another minimum that wins in the end, or the way there takes far
longer or shorter, no such series holds: then samples are drawn from all directions at once.

References
----------
.. [1] N. Halko, P. G. Martinsson and J. A. Tropp, SIAM Review 53 (2011) 217: principal components
   from random combinations.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from stationary.aliases import Array, Function
from stationary.evolution.gap import slowest
from stationary.evolution.generator import Chain
from stationary.evolution.propagation import run_on
from stationary.evolution.pulse import pulses_of
from stationary.evolution.request import Asked, Seen
from stationary.functions.interpolation import Spline
from stationary.line.partition import Partition
from stationary.numbers.arithmetic import DOUBLE, TINY, Arithmetic
from stationary.numbers.cost import MEMORY
from stationary.process.diffusion import Diffusion
from stationary.process.known import Sample
from stationary.progress import each
from stationary.result import Listed

Coefficients = Callable[[Array, Arithmetic], tuple[Array, Array]]

PROBES = 48  # combinations of all changes, in which the principal ones are looked for
LITTLE = 1e-2  # of a variance, that so many directions in a row add each: then no more are tried
IN_A_ROW = 2
NOTHING = 1e-12  # of the first direction: what is left is rounding
SEEN = 1e-9  # a probability, beyond which nothing that changes shows
BENT = 0.5  # standard error of the log of a ratio of wells, or of a time, from which on that is so
DRAWS = 50  # pairs of opposite samples: standard errors are known to some 7 %
CELLS = (256, 2048)  # on which all this is computed; more where fewer do not know the moments
OFF = 0.1  # of a deviation, that these may be off: standard errors are known about as well
MOST = 2.0  # of the logarithm of a variance, that it changes: no more is had from a few datapoints
FIRST = 4  # numbers, before those of atoms and edges
POINTS = 48  # along the ways of pulses, at which changes are taken


@dataclass(frozen=True, eq=False)
class EvolutionErrors(Listed):
    """Standard errors of what an evolution of a sample tells; nan where they are not known.

    Attributes
    ----------
    mean, std
        (times,), in the unit of x.
    total_variation_to_end
        (times,): of the distance to the end state, which is another one for each sample.
    log_relaxation_time
        Of the natural logarithm.
    places, atoms
        Points that hold probability of their own, and of that, (times, places).
    edges, changes
        What independent changes make of P(X <= x) at these points, (changes, times, edges).
    """

    mean: Array
    std: Array
    total_variation_to_end: Array
    log_relaxation_time: float
    places: Array
    atoms: Array
    edges: Array = field(repr=False)
    changes: Array = field(repr=False)

    def probability(self, lower: float, upper: float) -> Array:
        """Of P(lower < X <= upper) at every time, (times,)."""
        low, high = self._below(np.array([lower, upper])).T
        return _size((high - low).T)

    def masses(self, edges: Array) -> Array:
        """Of the probability between any two of ascending points in a row, (times, points - 1)."""
        return _size(np.diff(self._below(edges), axis=-1))

    def _below(self, x: Array) -> Array:
        """What the changes make of P(X <= x), (changes, times, len(x)); between cells straight."""
        k = np.clip(np.searchsorted(self.edges, x, side="right") - 1, 0, len(self.edges) - 2)
        share = np.clip((x - self.edges[k]) / np.diff(self.edges)[k], 0.0, 1.0)
        return np.asarray(self.changes[..., k] * (1 - share) + self.changes[..., k + 1] * share)


def _size(changes: Array) -> Array:
    return np.asarray(np.sqrt((changes**2).sum(axis=0)))


@dataclass(frozen=True, eq=False)
class _Told:
    """What one process tells, of the given cells."""

    below: Array  # (times, edges)
    moments: Array  # (2, times)
    to_end: Array  # (times,)
    logs: Array  # of the relaxation time, and of how much more rests below each barrier than above
    places: Array
    atoms: Array  # (times, places)

    @property
    def numbers(self) -> Array:
        """All of them, (times, `FIRST` + places + edges)."""
        log_time = np.full_like(self.to_end, self.logs[0])
        return np.column_stack([*self.moments, self.to_end, log_time, self.atoms, self.below])


def errors_of(
    asked: Asked, seen: Seen, edges: Array, breaks: Array, finest: int
) -> EvolutionErrors:
    """The standard errors of an evolution that was computed; with pulses if `finest` is 0.

    Thinned out, `edges` keep the `breaks`.
    """
    for most in CELLS if finest else CELLS[-1:]:
        few = np.arange(len(edges)) % max(1, math.ceil((len(edges) - 1) / most)) == 0
        few |= np.isin(edges, breaks)
        few[[0, -1]] = True
        base = _told(asked, edges[few], finest)
        known = _known(base, seen)
        if known.all():
            break
    try:
        found = _changes(asked, base, edges[few], finest)
    except KeyboardInterrupt:  # the evolution itself is kept
        found = _unknown(asked, base, edges[few])
    found[:, ~known] = np.nan
    if asked.start.law is None:
        found[:, asked.times == 0] = 0.0  # where it starts was not estimated
    places = np.empty(0) if base is None else base.places
    errors, last = _size(found), FIRST + len(places)
    mean, std, to_end, log_time = errors[:, :FIRST].T
    of_time = float(log_time[known][-1]) if known.any() else math.nan
    atoms = errors[:, FIRST:last]
    return EvolutionErrors(mean, std, to_end, of_time, places, atoms, edges[few], found[..., last:])


def _known(base: _Told | None, seen: Seen) -> Array:
    """At which times these cells know mean and deviation."""
    if base is None:
        return np.zeros(len(seen.mean), dtype=bool)
    off = np.abs(base.moments - [seen.mean, seen.std]).max(axis=0)
    with np.errstate(invalid="ignore"):
        return np.asarray((off <= OFF * seen.std + seen.mean_error) | (seen.std == 0))


def _told(asked: Asked, edges: Array, finest: int) -> _Told | None:
    if finest == 0:
        pulses = pulses_of(asked)
        if pulses is None or pulses.until < asked.times[-1]:
            return None
        seen = pulses.seen(edges, asked.times)
        below = np.pad(np.cumsum(seen.masses, axis=1), ((0, 0), (1, 0)))
        unknown = np.full(len(asked.times), np.nan)
        moments, atoms = np.array([seen.mean, seen.std]), np.empty((len(unknown), 0))
        return _Told(below, moments, unknown, np.array([np.nan]), np.empty(0), atoms)
    run = run_on(asked, edges)
    sums = np.pad(np.cumsum(run.states, axis=1), ((0, 0), (1, 0)))
    # At an edge: all states up to the cell below it, and what is held at the edge itself.
    last = np.searchsorted(np.cumsum(run.chain.is_cell), np.arange(1, len(edges)), side="right")
    below = sums[:, np.append(0, last)]
    x, goal = run.chain.position, _log_at_rest(run.chain)
    to_end = np.abs(run.states - np.exp(goal)).sum(axis=1) / 2
    logs = [slowest(run.chain, float(asked.times[-1]) or 1.0).log_time]
    for e in asked.state.anatomy.equilibria:
        if not e.stable and x[0] < float(e.position) < x[-1]:
            sides = (goal[x < float(e.position)], goal[x > float(e.position)])
            logs.append(float(np.subtract(*map(np.logaddexp.reduce, sides))))
    moments, own = np.array([run.mean, np.sqrt(run.variance)]), ~run.chain.is_cell
    return _Told(below, moments, to_end, np.array(logs), x[own], run.states[:, own])


def _log_at_rest(chain: Chain) -> Array:
    """log of the law that a chain rests in; nan where that is not one alone, or on a ring."""
    steps = chain.log_up[:-1] - chain.log_down[1:]
    if chain.is_ring or not np.isfinite(steps).all():
        return np.full(len(chain.position), np.nan)
    logs = np.append(0.0, np.cumsum(steps))
    return np.asarray(logs - np.logaddexp.reduce(logs))


def _unknown(asked: Asked, base: _Told | None, edges: Array) -> Array:
    places = 0 if base is None else len(base.places)
    return np.full((1, len(asked.times), FIRST + places + len(edges)), np.nan)


def _changes(asked: Asked, base: _Told | None, edges: Array, finest: int) -> Array:
    """What independent changes make of all numbers, (changes, times, numbers)."""
    diffusion, parts = asked.state.diffusion, asked.state.anatomy
    unknown = _unknown(asked, base, edges)
    if base is None or diffusion.sample is None:
        return unknown
    x, width = (edges[1:] + edges[:-1]) / 2, np.diff(edges)
    there = x[(np.diff(base.below, axis=1) > SEEN).any(axis=0)]
    rests = [float(e.position) for e in parts.equilibria]  # wells that may win
    inside = (x >= min([*there[:1], *rests])) & (x <= max([*there[-1:], *rests]))
    if finest == 0:
        x = np.linspace(there[0], there[-1], POINTS)
        width, inside = np.full(POINTS, x[1] - x[0]), np.full(POINTS, True)
    f, a = parts.coefficients(x)
    scale = inside / np.maximum(a + np.abs(f) * width, TINY)  # of the rates to the next cells
    functions, sizes, rest = _directions(
        diffusion.sample, x, np.array([2 * width, 1.0 + 0 * x]) * scale
    )
    changed = _changing(parts, x, np.maximum(a, TINY), 3 if finest == 0 else 1)

    def at(change: Array) -> _Told | None:
        other = changed(change)
        anatomy = replace(parts, diffusion=other, is_changed=True)
        state = replace(asked.state, diffusion=other, anatomy=anatomy)
        return _told(replace(asked, state=state), edges, finest)

    found = [np.zeros_like(unknown)]  # all there is where nothing changes
    held, idle, bent = np.zeros((len(asked.times), FIRST + 1)), 0, 0 * base.logs
    for k in each(range(len(sizes)), "directions of the sample"):
        up, down = at(functions[..., k]), at(-functions[..., k])
        if up is None or down is None:
            return unknown
        bent = bent + (up.logs - down.logs) ** 2 / 4
        if (bent > BENT**2).any():
            wide = functions * math.sqrt(1 + rest / float(sizes.sum()))
            return _drawn(at, wide, unknown)
        more, less = (one.numbers - base.numbers for one in (up, down))
        pair = np.array([(more - less) / 2, (more + less) / math.sqrt(2)])
        found.append(pair)
        whole = (pair**2).sum(axis=0)
        own = np.column_stack([whole[:, :FIRST], whole[:, FIRST:].sum(axis=1)])
        held = held + own
        idle = idle + 1 if not (own > LITTLE * held).any() else 0
        if idle == IN_A_ROW or sizes[k] <= NOTHING * sizes[0]:
            break
    # What is left counts in proportion to what the last ones did.
    tried = len(found) - 1
    left = rest + float(sizes[tried:].sum())
    wider = math.sqrt(left / max(float(sizes[:tried][-IN_A_ROW:].sum()), TINY))
    return np.concatenate([*found, *(wider * pair for pair in found[1:][-IN_A_ROW:])])


def _drawn(at: Callable[[Array], _Told | None], functions: Array, unknown: Array) -> Array:
    """The same from samples that are drawn: what each is off the mean of all, (draws, ...)."""
    z = np.random.default_rng(0).normal(size=(functions.shape[-1], DRAWS))
    rows = []
    for k in each(range(DRAWS), "samples"):
        for change in (functions @ z[:, k], -functions @ z[:, k]):
            one = at(change)
            if one is None:
                return unknown
            rows.append(one.numbers)
    told = np.array(rows)
    return np.asarray((told - told.mean(axis=0)) / math.sqrt(len(told) - 1))


def _directions(sample: Sample, x: Array, weights: Array) -> tuple[Array, Array, float]:
    """Principal changes (df, da) at x, (2, M, R); their weighted squares, and what is left."""
    count = len(x)
    z = np.random.default_rng(0).normal(size=(PROBES, 2, count)) * weights
    probes = np.nan_to_num(sample.scores(x, z[:, 0], z[:, 1]))
    squares, turned = np.linalg.eigh(probes @ probes.T)
    real = squares > NOTHING * squares[-1]
    ways = probes.T @ (turned[:, real] / np.sqrt(squares[real]))  # (K, R), orthonormal
    size, whole = max(1, MEMORY // (4 * len(ways))), 0.0
    parts = []
    for some in (slice(i, i + size) for i in range(0, count, size)):
        one = np.eye(len(x[some]))
        of_f, of_a = np.vstack([one, 0 * one]), np.vstack([0 * one, one])
        rows = np.nan_to_num(sample.scores(x[some], of_f, of_a))
        whole += float(((rows * weights[:, some].reshape(-1, 1)) ** 2).sum())
        parts.append((rows @ ways).reshape(2, len(one), -1))
    changes = np.concatenate(parts, axis=1)
    _, s, turn = np.linalg.svd(
        (changes * weights[..., None]).reshape(2 * count, -1), full_matrices=False
    )
    return changes @ turn.T, s**2, max(whole - float((s**2).sum()), 0.0)


def _changing(parts: Partition, x: Array, a: Array, degree: int) -> Callable[[Array], Diffusion]:
    """(df, da) at x -> the process with these; where it is evaluated again its own are kept."""
    diffusion = parts.diffusion
    kept: dict[bytes, tuple[Array, Array]] = {}

    def own(at: Array, arithmetic: Arithmetic) -> tuple[Array, Array]:
        if arithmetic is not DOUBLE:
            return diffusion.coefficients(at, arithmetic)
        key = at.tobytes()
        if key not in kept:
            kept[key] = parts.coefficients(at)
        return kept[key]

    def changed(change: Array) -> Diffusion:
        more, part = (
            Spline.through(x, c, degree) for c in (change[0], np.clip(change[1] / a, -MOST, MOST))
        )

        return moved(diffusion, own, more, lambda w: np.exp(part(w)))

    return changed


def moved(diffusion: Diffusion, own: Coefficients, more: Function, times: Function) -> Diffusion:
    """The process with more drift, and so many times its variance; `own` gives both as they are."""
    drift, variance = diffusion.drift, diffusion.variance

    def pair(x: Any, arithmetic: Arithmetic) -> tuple[Array, Array]:
        f, a = own(x, arithmetic)
        return f + more(x), a * times(x)

    return replace(
        diffusion,
        drift=lambda x: drift(x) + more(x),
        variance=lambda x: variance(x) * times(x),
        pair=pair,
        uncertainty=None,
        sample=None,
    )
