"""A mixture of densities and points: what the parts of an end state say together.

Every function takes the `components`, each with its weight, and the `lumps`, points that hold
probability of their own; the results are in the arithmetic of the points that are given.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stationary.errors import ConvergenceError
from stationary.line.ends import Anatomy
from stationary.line.partition import SingularPoint
from stationary.numbers.arithmetic import Arithmetic
from stationary.numbers.elementary import (
    arithmetic_of,
    converted,
    exp,
    finite,
    infinite,
    log,
    logaddexp,
    logsumexp,
    number,
    smallest_of,
    spacing,
)
from stationary.weight.component import Component
from stationary.weight.moments import expectation, power_mean
from stationary.weight.quantiles import quantile, sample

__all__ = [
    "Atom",
    "Escape",
    "Joined",
    "draws",
    "expected",
    "joined",
    "log_between",
    "log_mixed",
    "mean_and_error",
    "mixed_quantile",
    "variance_and_error",
    "with_lumps",
]

Array = NDArray[Any]
Values = Callable[[Array], Array]


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


Components = Sequence[Component]
Lumps = Sequence[Atom | Escape]


def log_mixed(
    components: Components,
    at: Array,
    part: Callable[[Component, Array], Array],
    arithmetic: Arithmetic,
) -> Array:
    """log of the weighted sum of exp(part(component, x)) at points x; nan where x is nan."""
    parts = [
        converted(part(c, converted(at, c.arithmetic)), arithmetic) + log(c.weight)
        for c in components
        if c.weight > 0
    ]
    parts = parts or [arithmetic.array(np.full(at.shape, -math.inf))]
    result = parts[0] if len(parts) == 1 else functools.reduce(logaddexp, parts)
    undefined = at != at
    return np.where(undefined, math.nan, result) if undefined.any() else result


def with_lumps(logs: Array, at: Array, lumps: Lumps, *, left: bool) -> Array:
    """Logarithms of a distribution function (or of its complement), with points added to it."""
    for a in lumps:
        here = (at >= a.position) if left else (at < a.position)
        logs = logaddexp(logs, arithmetic_of(logs).array(np.where(here, log(a.weight), -math.inf)))
    return logs


def log_between(components: Components, lumps: Lumps, lower: Any, upper: Any) -> Any:
    """log P(lower < X <= upper)."""
    parts = [
        log(c.weight)
        + c.log_probability(converted(lower, c.arithmetic), converted(upper, c.arithmetic))
        for c in components
        if c.weight > 0
    ]
    parts += [log(a.weight) for a in lumps if lower < a.position <= upper and a.weight > 0]
    top = max(parts, default=-math.inf)
    if infinite(top):
        return -math.inf
    return min(top + log(sum(exp(p - top) for p in parts)), 0.0)


def mixed_quantile(
    components: Components, lumps: Lumps, log_q: Array, arithmetic: Arithmetic, *, left: bool
) -> Array:
    """The points with probability q on one side of them, for log q."""
    if len(components) == 1 and not lumps:
        return np.asarray(quantile(components[0], log_q, left=left))
    parts: list[tuple[Any, Any, Component | Atom | Escape]] = [
        (c.interval[0], c.weight, c) for c in components if c.weight > 0
    ]
    parts += [(a.position, a.weight, a) for a in lumps]
    parts.sort(key=lambda p: p[0], reverse=not left)
    q = exp(log_q)
    result = np.full(q.shape, np.nan, dtype=q.dtype)
    before: Any = 0.0
    for i, (_, weight, item) in enumerate(parts):
        last = i == len(parts) - 1
        mine = (result != result) & ((q <= before + weight) | last)
        if mine.any():
            if not isinstance(item, Component):
                result[mine] = item.position
            else:
                with np.errstate(divide="ignore"):
                    inner = log(np.clip((q[mine] - before) / weight, 0, 1))
                inner = converted(inner, item.arithmetic)
                result[mine] = converted(quantile(item, inner, left=left), arithmetic)
        before += weight
    return result


def draws(
    components: Components,
    lumps: Lumps,
    count: int,
    generator: np.random.Generator,
    arithmetic: Arithmetic,
) -> Array:
    """Independent draws, in one array."""
    weights = np.array([c.weight for c in components] + [a.weight for a in lumps])
    result = np.empty(count, dtype=arithmetic.dtype)
    if len(weights) == 1 and components:
        result[:] = sample(components[0], count, generator)
        return result
    chosen = generator.choice(len(weights), size=count, p=weights / weights.sum())
    for i, c in enumerate(components):
        mine = chosen == i
        result[mine] = converted(sample(c, int(mine.sum()), generator), arithmetic)
    for i, atom in enumerate(lumps, start=len(components)):
        result[chosen == i] = atom.position
    return result


def mean_and_error(components: Components, lumps: Lumps, weight_error: float) -> tuple[Any, Any]:
    """E[X] and its estimated absolute error; `weight_error` is relative, of the weights."""
    total: Any = 0.0
    error: Any = 0.0
    for c in components:
        # Counted from the peak, so that the weights' own rounding is that of the width.
        peak = number(c.mesh.x[:, np.argmax(c.mesh.log_mass)].mean())
        mean, uncertain = power_mean(c, 1, peak)
        total += c.weight * (peak + mean)
        error += c.weight * (uncertain + spacing(peak + mean))
        error += weight_error * c.weight * abs(peak + mean)
    for a in lumps:
        total += a.weight * a.position
        error += weight_error * a.weight * abs(a.position)
    return total, error


def variance_and_error(
    components: Components, lumps: Lumps, weight_error: float, centre: tuple[Any, Any]
) -> tuple[Any, Any]:
    """Var[X] and its estimated absolute error, given the mean and its own."""
    mean, mean_error = centre
    if not finite(mean):
        return math.nan, 0.0
    total: Any = 0.0
    error: Any = 0.0
    for c in components:
        square, uncertain = power_mean(c, 2, mean)
        total += c.weight * square
        error += c.weight * uncertain
    total += sum(a.weight * (a.position - mean) ** 2 for a in lumps)
    return total, error + mean_error**2 + weight_error * total


def expected(
    components: Components,
    lumps: Lumps,
    values: Values,
    epsilon: float | None,
    arithmetic: Arithmetic,
    name: str,
) -> Any:
    """E[values(X)]; `epsilon` is the rounding of the values, None for that of the arithmetic."""
    total: Any = 0.0
    error: Any = 0.0
    for c in components:
        part, uncertain = expectation(c, values, epsilon)
        total += c.weight * part
        error += c.weight * uncertain
    if finite(total) and error > 1e-6 * max(abs(total), smallest_of(arithmetic)):
        spread = sum(
            c.weight * expectation(c, lambda x: np.abs(values(x)), epsilon)[0] for c in components
        )
        if error > 1e-6 * spread:
            raise ConvergenceError(
                f"{name}: the expectation came out as {float(total):.6g} +- "
                f"{float(error):.1g}, because the function jumps or oscillates too much.",
                state=total,
            )
    return total + sum(a.weight * number(values(np.array([a.position]))[0]) for a in lumps)


@dataclass(frozen=True, eq=False)
class Joined:
    """One measure on neighbouring pieces: normalised components and their shares."""

    components: tuple[Component, ...]
    log_shares: tuple[Any, ...]  # natural logarithms; they add up to 1
    parts: tuple[Anatomy, ...]


def joined(solved: list[tuple[Anatomy, Component]]) -> Joined:
    """Neighbouring components as one measure, with int 2 f / a continuous where they meet."""
    level: Any = 0.0
    logs = []
    for k, (parts, c) in enumerate(solved):
        if k:
            level += _exponent_at(*solved[k - 1], end=1) - _exponent_at(parts, c, end=0)
        logs.append(level + c.log_norm)
    whole = logsumexp(np.array(logs))
    return Joined(
        tuple(c for _, c in solved),
        tuple(log - whole for log in logs),
        tuple(parts for parts, _ in solved),
    )


def _exponent_at(parts: Anatomy, c: Component, end: int) -> Any:
    """s int 2 f / a at an end, in the normalisation of the component's log-weight.

    Where the panels stop, 2 f / a goes on as r^-order, with order below 1.
    """
    found = parts.sampling
    side = -1 if end else 0
    signs = np.ones(len(found.ell)) if end else (-1.0) ** np.arange(len(found.ell))
    log_a, h = signs @ found.ell[:, side], signs @ found.h[:, side]
    at_edge = c.density.edge_values[end][side] + c.density.k * log_a
    order = parts.ends[end].order or 0.0
    edge = found.upper if end else found.lower
    reach = abs(edge - found.diffusion.end(end, found.arithmetic))
    return at_edge + c.density.s * (h if end else -h) * reach / (1 - order)
