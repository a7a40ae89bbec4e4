"""A mixture of densities and points: what the parts of an end state say together."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from stationary.aliases import Array
from stationary.distance import LEVELS, Grid
from stationary.errors import ConvergenceError, LandscapeError, StationaryError
from stationary.functions.evaluation import evaluate
from stationary.line.ends import Anatomy, rise_beyond
from stationary.line.junction import SingularPoint
from stationary.numbers.arithmetic import DOUBLE, HUGE, ROUNDING, Arithmetic, many_digits
from stationary.numbers.elementary import (
    arithmetic_of,
    converted,
    depth_of,
    distinct,
    exp,
    finite,
    infinite,
    log,
    log1p,
    logaddexp,
    logsumexp,
    number,
    smallest_of,
    spacing,
    to_float,
)
from stationary.weight.component import Component
from stationary.weight.mesh import DEEP
from stationary.weight.moments import (
    Integrand,
    entropy,
    expectation,
    first_moment_beyond,
    power_mean,
)
from stationary.weight.quantiles import quantile, sample
from stationary.weight.shares import log_probability_error

FEW = 128  # points, that are no dearer together than what is found by halving


@dataclass(frozen=True)
class Atom:
    """A point that holds probability of its own."""

    position: float
    weight: Any  # a float; None where it depends on the start, and no start was given
    point: SingularPoint | None = None  # the zero of the variance that it sits at, if it does


@dataclass(frozen=True)
class Escape:
    """Probability that leaves for good: to infinity, or ever closer to an end it never reaches."""

    position: float
    weight: Any  # as for an atom
    words: str
    interval: tuple[float, float] | None = None  # over which it spreads for ever, if it does
    decided: bool = True  # False: it may as well stay, as a density


@dataclass(frozen=True, eq=False)
class Mixture:
    """Components, each with its weight, and points that hold probability of their own.

    Results are in the arithmetic of the mixture, and so must points be.
    """

    components: tuple[Component, ...]
    lumps: tuple[Atom | Escape, ...]
    arithmetic: Arithmetic
    weight_error: float  # relative, of the weights

    def log_density(self, at: Array) -> Array:
        """log of the density at points x: where two components meet, of the greater."""
        return self._log(at, Component.logpdf, np.maximum)

    def _log(
        self, at: Array, part: Callable[[Component, Array], Array], joined: Callable[..., Array]
    ) -> Array:
        """The parts at points x, each with the log of its weight, joined; nan where x is nan."""
        parts = [
            converted(part(c, converted(at, c.arithmetic)), self.arithmetic) + log(c.weight)
            for c in self.components
        ]
        parts = parts or [self.arithmetic.array(np.full(at.shape, -math.inf))]
        result = parts[0] if len(parts) == 1 else functools.reduce(joined, parts)
        undefined = at != at
        return np.where(undefined, math.nan, result) if undefined.any() else result

    def log_tail(self, at: Array, *, left: bool, tiny: bool = True, rest: bool = True) -> Array:
        """log P(X <= x), or of P(X > x); without `tiny` what is next to none may be off.

        Without `rest` it may by as much as what is next to none beside all: P is right, its
        logarithm next to 0 is not right relative to itself.
        """

        def part(c: Component, x: Array) -> Array:
            return c.log_half(x, left=left, tiny=tiny, rest=rest)

        logs = self._log(at, part, logaddexp)
        for a in self.lumps:
            here = (at >= a.position) if left else (at < a.position)
            more = np.where(here, log(a.weight), -math.inf)
            logs = logaddexp(logs, arithmetic_of(logs).array(more))
        return logs

    def log_between(self, lower: Any, upper: Any) -> Any:
        """log P(lower < X <= upper)."""
        parts = [
            log(c.weight)
            + c.log_probability(converted(lower, c.arithmetic), converted(upper, c.arithmetic))
            for c in self.components
        ]
        parts += [log(a.weight) for a in self.lumps if lower < a.position <= upper]
        return min(logsumexp(np.array(parts)), 0.0)

    def log_between_error(self, lower: Any, upper: Any) -> Any:
        """The error of that: relative of the probability itself."""
        whole = self.log_between(lower, upper)
        if infinite(whole):  # next to nothing; or what lies where the functions have no values
            lost = (log_probability_error(c, lower, upper) == math.inf for c in self.components)
            return math.inf if any(lost) else 0.0
        total: Any = 0.0
        for c in self.components:
            ends = converted(lower, c.arithmetic), converted(upper, c.arithmetic)
            own = c.log_probability(*ends)
            share = exp(min(log(c.weight) + own - whole, 0.0))
            error = log_probability_error(c, *ends, own) + c.share_error + self.weight_error
            total += share * error
        held = [a.weight for a in self.lumps if lower < a.position <= upper]
        return total + self.weight_error * exp(min(log(sum(held)) - whole, 0.0)) if held else total

    def quantile(self, log_q: Array, *, left: bool, tiny: bool = True) -> Array:
        """The points with probability q on one side of them, for log q; `tiny` as in `log_tail`."""

        def of(c: Component, log_q: Array) -> Array:
            deep_below = DEEP if tiny else -depth_of(c.arithmetic)
            return np.asarray(quantile(c, log_q, left=left, deep_below=deep_below))

        if len(self.components) == 1 and not self.lumps:
            return of(self.components[0], log_q)
        parts: list[tuple[Any, Component | Atom | Escape]]
        parts = [(c.interval[0], c) for c in self.components]
        parts += [(a.position, a) for a in self.lumps]
        # An atom at the lower end of a density comes before it.
        parts.sort(key=lambda p: (p[0], isinstance(p[1], Component)), reverse=not left)
        q = exp(log_q)
        result = np.full(q.shape, np.nan, dtype=q.dtype)
        before: Any = 0.0
        for i, (place, item) in enumerate(parts):
            last = i == len(parts) - 1
            mine = (result != result) & ((q <= before + item.weight) | last)
            if mine.any() and isinstance(item, Component):
                with np.errstate(divide="ignore"):
                    inner = log(np.clip((q[mine] - before) / item.weight, 0, 1))
                found = of(item, converted(inner, item.arithmetic))
                result[mine] = converted(found, self.arithmetic)
            elif mine.any():
                result[mine] = place
            before += item.weight
        return result

    def quantiles(self, q: Array, *, left: bool, tiny: bool = True) -> Array:
        """The points with probability q on one side of them; nan for q outside [0, 1]."""
        result = np.full(q.shape, math.nan, dtype=q.dtype)
        valid = (q >= 0) & (q <= 1)
        # Invert the smaller of the two tails: it keeps its digits.
        for small in (True, False):
            chosen = valid & ((q <= 0.5) if small else (q > 0.5))
            if chosen.any():
                with np.errstate(divide="ignore"):
                    log_q = log(q[chosen]) if small else log1p(-q[chosen])
                result[chosen] = self.quantile(log_q, left=left == small, tiny=tiny)
        return result

    def below(self, x: Array) -> Array:
        """P(X <= x) at points, in doubles, where many digits cost: only where it rises.

        Between two points at which it is the same it is the same: a peak too narrow for doubles
        takes a few points of thousands.
        """

        def level(x: Array) -> Array:
            logs = self.log_tail(self.arithmetic.array(x), left=True, tiny=False)
            return np.asarray(to_float(in_full(logs)))

        places, of_place = np.unique(x, return_inverse=True)
        if len(places) <= FEW:
            return level(places)[of_place].reshape(np.shape(x))
        f = np.empty(len(places))
        low, high = np.array([0]), np.array([len(places) - 1])
        f[[0, -1]] = level(places[[0, -1]])
        while len(low):
            rises = (f[high] - f[low] > ROUNDING) & (high - low > 1)
            for i, j in zip(low[~rises], high[~rises], strict=True):
                f[i + 1 : j] = f[i]
            low, high = low[rises], high[rises]
            middle = (low + high) // 2
            if len(middle):
                f[middle] = level(places[middle])
            low, high = np.concatenate([low, middle]), np.concatenate([middle, high])
        return np.asarray(f[of_place].reshape(np.shape(x)))

    def draws(self, count: int, generator: np.random.Generator) -> Array:
        """Independent draws, in one array."""
        parts = (*self.components, *self.lumps)
        weights = np.array([float(p.weight) for p in parts])
        chosen = np.zeros(count, dtype=int)
        if len(parts) > 1 or self.lumps:
            chosen = generator.choice(len(weights), size=count, p=weights / weights.sum())
        result = np.empty(count, dtype=self.arithmetic.dtype)
        for i, part in enumerate(parts):
            mine = chosen == i
            if isinstance(part, Component):
                drawn = sample(part, int(mine.sum()), generator)
                result[mine] = converted(drawn, self.arithmetic)
            else:
                result[mine] = part.position
        return result

    @cached_property
    def mean(self) -> tuple[Any, Any]:
        """E[X] and its estimated absolute error; nan and inf where it is not known."""
        total: Any = 0.0
        error: Any = 0.0
        parts = []
        for c in self.components:
            # Counted from the peak, so that the weights' own rounding is that of the width.
            peak = number(c.mesh.x[:, np.argmax(c.mesh.log_mass)].mean())
            mean, uncertain = power_mean(c, 1, peak)
            total += c.weight * (peak + mean)
            parts.append((c.weight * c.share_error, peak + mean))
            error += c.weight * uncertain
            if finite(mean):
                error += c.weight * spacing(peak + mean)
                error += self.weight_error * c.weight * abs(peak + mean)
        for a in self.lumps:
            total += a.weight * a.position
            error += self.weight_error * a.weight * abs(a.position)
        if finite(total):
            error += sum(unsure * abs(mean - total) for unsure, mean in parts)
        return total, error

    @cached_property
    def entropy(self) -> tuple[Any, Any]:
        """Of the densities, and its error."""
        found = [(c.weight, *entropy(c)) for c in self.components]
        return sum(w * (e - log(w)) for w, e, _ in found), sum(w * error for w, _, error in found)

    @cached_property
    def variance(self) -> tuple[Any, Any]:
        """Var[X] and its estimated absolute error."""
        mean, mean_error = self.mean
        if not finite(mean):
            return math.nan, math.inf if mean_error == math.inf else math.nan
        total, error = self.moment(2, mean)
        return total, error + mean_error**2

    def moment(self, order: int, centre: Any) -> tuple[Any, Any]:
        """E (X - centre)^order and its estimated absolute error."""
        parts = [(c.weight, *power_mean(c, order, centre)) for c in self.components]
        parts += [(a.weight, (a.position - centre) ** order, 0.0) for a in self.lumps]
        total = sum(weight * value for weight, value, _ in parts)
        error = sum(weight * (off + self.weight_error * abs(value)) for weight, value, off in parts)
        if finite(total):
            pairs = zip(self.components, parts, strict=False)
            error += sum(c.weight * c.share_error * abs(p[1] - total) for c, p in pairs)
        return total, error

    def expected(self, function: Callable[[Array], ArrayLike], in_digits: bool, name: str) -> Any:
        """E[function(X)]; the function is run in doubles, unless `in_digits`."""

        def run(x: Array, arithmetic: Arithmetic) -> Array:
            at = evaluate(function, converted(x.ravel(), arithmetic), arithmetic=arithmetic)[0]
            if at.shape != (x.size,):
                raise LandscapeError(
                    f"expect: the function of {x.size} points must give as many numbers, but gave "
                    f"an array of shape {at.shape}."
                )
            return at.reshape(x.shape)

        def values(x: Array) -> Array:
            at = run(x, self.arithmetic if in_digits else DOUBLE)
            return at if in_digits else np.asarray(at.astype(x.dtype))

        def log_size(x: Array) -> Array:
            at = np.abs(values(x))
            with np.errstate(all="ignore"):
                logs = np.asarray(to_float(log(at)))
                over = logs == math.inf
                try:
                    if over.any():
                        logs[over] = to_float(log(np.abs(run(x[over], many_digits(20)))))
                except StationaryError:
                    unseen.append(x[over])
            return logs

        unseen: list[Array] = []  # where the function is beyond doubles, and has no digits
        epsilon = self.arithmetic.epsilon if in_digits else DOUBLE.epsilon
        f = Integrand(values, log_size, epsilon)

        def mean(f: Integrand) -> tuple[Any, Any]:
            parts = [(c.weight, *expectation(c, f)) for c in self.components]
            return sum(w * part for w, part, _ in parts), sum(w * off for w, _, off in parts)

        total, error = mean(f)
        least = 1e-6 * max(abs(total), smallest_of(self.arithmetic))
        if (unseen and infinite(total)) or (finite(total) and not error <= least):
            spread, _ = mean(replace(f, values=lambda x: np.abs(values(x))))
            if not error <= 1e-6 * spread or infinite(total):
                raise ConvergenceError(
                    f"{name}: the expectation came out as {float(total):.6g} +- "
                    f"{float(error):.1g}, because the function jumps or oscillates too much, or is "
                    "beyond all doubles where it still counts.",
                    state=total,
                )
        at = [a.weight * number(values(np.array([a.position]))[0]) for a in self.lumps]
        return total + sum(at)

    def grid(self, domain: tuple[float, float]) -> Grid:
        """What it says of itself to be compared."""
        plain = self.arithmetic is DOUBLE
        levels = LEVELS if plain else np.linspace(0, 1, 17)[1:-1]
        tails = self.arithmetic.array(np.append(levels, LEVELS[0]))
        below, above = (to_float(self.quantiles(tails, left=left)) for left in (True, False))
        inner = np.concatenate([below[:-1], above[:-1]])
        inner = inner[np.isfinite(inner)]  # of what is lost at infinite ends there are no cells
        low, high = (
            next((float(x) for x in (end, q[-1], *far) if math.isfinite(x)), 0.0)
            for end, q, far in zip(
                domain, (below, above), (np.sort(inner)[:1], np.sort(inner)[-1:]), strict=True
            )
        )
        even = np.linspace(low, high, 1001 if plain else 65)
        # Errors of probabilities are those of where they lie, not the worst anywhere.
        error = self.weight_error + sum(float(c.weight * c.mean_error) for c in self.components)
        atoms = np.array([float(p.position) for p in self.lumps])
        edges = distinct(np.clip(np.concatenate([inner, even]), low, high))
        beyond = sum(
            float(c.weight) * float(first_moment_beyond(c, tail, (low, high)[side]))
            for c in self.components
            for side, tail in enumerate(c.density.tails)
            if tail is not None and tail.outward
        )
        finite_atoms = atoms[np.isfinite(atoms)]
        shift = error * (high - low)
        return Grid(edges, finite_atoms, error, shift, 0, error=error, beyond=beyond)


def in_full(logs: Array) -> Array:
    """The numbers that have these logarithms."""
    with np.errstate(under="ignore", over="ignore", invalid="ignore"):
        if logs.dtype != float:
            logs = np.where(logs > HUGE, HUGE, np.where(logs < -HUGE, -math.inf, logs))
        return np.asarray(exp(logs))


def log_shares(solved: list[tuple[Anatomy, Component]]) -> list[tuple[Any, Any]]:
    """What neighbouring components hold of one measure, with int 2 f / a going on between them.

    The logarithm of each share, and the error of that.
    """
    if len(solved) == 1:
        return [(0.0, 0.0)]
    level: Any = 0.0
    unsure: Any = 0.0
    logs = []
    for k, (parts, c) in enumerate(solved):
        if k:
            before, after = _exponent_at(*solved[k - 1], end=1), _exponent_at(parts, c, end=0)
            level += before[0] - after[0]
            unsure += before[1] + after[1]
        logs.append(level + c.log_norm)
    whole = logsumexp(np.array(logs))
    return [(log - whole, c.error + unsure) for log, (_, c) in zip(logs, solved, strict=True)]


def _exponent_at(parts: Anatomy, c: Component, end: int) -> tuple[Any, Any]:
    """s int 2 f / a at an end, in the normalisation of its log-weight; and its error."""
    log_a = parts.sampling.samples.at_edges[1][end][-end]
    at_edge = c.density.edge_values[end][-end] + c.density.k * log_a
    rise, error = rise_beyond(parts, end)
    return at_edge + c.density.s * (rise if end else -rise), abs(c.density.s) * error
