"""Expectations against the density of a component, with what its tails add."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stationary.component import Component
from stationary.masses import Mesh
from stationary.panels import nodes_of, rule
from stationary.survey import NODES
from stationary.zero_flux import EPSILON, Tail

__all__ = ["entropy", "expectation", "power_mean"]

Array = NDArray[Any]


def _tail_nodes(c: Component, tail: Tail) -> tuple[Array, Array]:
    """Distances r into an inner tail and their probabilities, as a quadrature rule.

    With v the fraction of the tail's mass beyond r, log r is linear in s = -log v. Panels in
    s that double suit powers of r and of log r alike.
    """
    share = math.exp(tail.log_moment() - c.log_norm)
    first = min(abs(tail.room), 1.0) / 8
    edges = np.append(0.0, first * 2.0 ** np.arange(math.ceil(math.log2(800 / first)) + 1))
    x, w = np.polynomial.legendre.leggauss(12)
    half = np.diff(edges) / 2
    s = (edges[:-1] + half + half * x[:, None]).ravel()
    weights = (half * w[:, None]).ravel() * np.exp(-s) * share
    with np.errstate(over="ignore", under="ignore"):
        return tail.reach * np.exp(-s / tail.room), weights


def _power_in_tail(c: Component, tail: Tail, power: float) -> float:
    """E[r^power; in the tail]; inf where it does not exist."""
    if tail.outward and tail.room + power >= 0:
        return math.inf
    return math.exp(tail.log_moment(power) - c.log_norm)


def expectation(c: Component, function: Callable[[Array], Array]) -> tuple[float, float]:
    """E[function(X)] and its absolute error.

    The mesh resolves the density, not the function: panels are halved until the product
    of the two is resolved as well, wherever that matters to the sum.
    """
    total, error, _ = _product(c, function, c.deep_mesh)
    for tail in c.density.tails:
        if tail is None:
            continue
        if tail.outward:
            part = _beyond(c, tail, function)
        else:
            r, w = _tail_nodes(c, tail)
            part = float(w @ function(tail.anchor + tail.sign * r))
        total += part
        error += abs(part) * tail.error
    return total, error


def _product(
    c: Component, function: Callable[[Array], Array], mesh: Mesh
) -> tuple[float, float, float]:
    """int function P over the mesh, its error, and int |function| P."""
    r = rule(NODES)
    quadrature = r.integral @ r.coefficients
    lower, upper, x, log_p = mesh.lower, mesh.upper, mesh.x, mesh.log_density
    errors = c.errors_on(mesh)
    total, size, error = 0.0, 0.0, 0.0
    for _ in range(60):
        with np.errstate(under="ignore"):
            product = function(x.ravel()).reshape(x.shape) * np.exp(log_p - c.log_norm)
        half = (upper - lower) / 2
        cut = np.abs((r.coefficients @ product)[-3:]).max(axis=0) * half
        parts = half * (quadrature @ product)
        sizes = half * (quadrature @ np.abs(product))
        whole = size + float(sizes.sum())
        again = cut > 1e-15 * np.maximum(np.abs(sizes), whole / 64)
        again &= (upper - lower) > 64 * np.spacing(np.maximum(np.abs(lower), np.abs(upper)))
        if len(lower) > 20000:
            again[:] = False
        done = ~again
        total += float(parts[done].sum())
        size += float(sizes[done].sum())
        error += float((sizes * errors + cut)[done].sum())
        if not again.any():
            break
        lower, upper, errors = lower[again], upper[again], errors[again]
        middle = (lower + upper) / 2
        lower, upper = np.concatenate([lower, middle]), np.concatenate([middle, upper])
        errors = np.concatenate([errors, errors])
        x, offset = nodes_of(lower, upper, r)
        log_p = c.density(x, offset)
    return total, error + 4 * EPSILON * size, size


def entropy(c: Component) -> tuple[float, float]:
    """-int P log P in nats, and its absolute error."""
    total, error, _ = _product(c, lambda x: c.log_norm - c.density(x), c.mesh)
    error += c.error
    for log_mass, tail in zip(c.log_tail_masses, c.density.tails, strict=True):
        if tail is not None:
            # In a tail the mean of log(r / reach) is -1 / (exponent + 1).
            mean = tail.level - c.log_norm - tail.exponent / tail.room
            total -= math.exp(log_mass - c.log_norm) * mean
            error += math.exp(log_mass - c.log_norm) * abs(mean) * tail.error
    return total, error


def _beyond(c: Component, tail: Tail, function: Callable[[Array], Array]) -> float:
    """The far tail's part of an expectation, by the power that the function grows with."""
    r = tail.reach * np.array([0.25, 1.0])
    near, far = function(tail.anchor + tail.sign * r)
    if far == 0:
        return 0.0
    power = math.log(abs(far / near)) / math.log(4) if near else 0.0
    room = tail.room + power
    if room > -1e-9:
        return math.copysign(math.inf, far)
    level = tail.level + math.log(tail.reach) - c.log_norm
    return float(far * math.exp(level) / -room)


def power_mean(c: Component, power: int, centre: float) -> tuple[float, float]:
    """E[(X - centre)^power] of one component, and its absolute error.

    On the deep mesh: a tail may matter to a moment long after it has ceased to hold mass.
    """
    mesh = c.deep_mesh
    weights = c.weights_on(mesh)
    deviation = (mesh.x - centre) ** power
    total = float((weights * deviation).sum())
    mass = float(weights.sum())
    spread = weights * np.abs(deviation)
    error = float((spread * c.errors_on(mesh)).sum()) + 2 * EPSILON * float(spread.sum())
    # The nodes are rounded like any number of their size.
    slack = np.spacing(np.abs(mesh.x)) * np.abs(mesh.x - centre) ** (power - 1)
    error += power * float((weights * slack).sum())
    for side, tail in enumerate(c.density.tails):
        if tail is None:
            edge = (c.density.survey.lower, c.density.survey.upper)[side]
            error += c.leak * abs(edge - centre) ** power
            continue
        mass += _power_in_tail(c, tail, 0)
        rough = tail.error + float(c.density.errors[0 if side == 0 else -1])
        shift = tail.anchor - centre  # (shift + sign r)^power, expanded in r
        for j in range(power + 1):
            coefficient = math.comb(power, j) * shift ** (power - j) * tail.sign**j
            if coefficient:
                part = coefficient * _power_in_tail(c, tail, j)
                total += part
                if math.isfinite(part):
                    error += abs(part) * rough
    # The weights add up to 1 to rounding only.
    return total / mass, error if math.isfinite(error) else math.inf
