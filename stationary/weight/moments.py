"""Expectations against the density of a component, with what its tails add."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from stationary.aliases import Array
from stationary.line.chart import OCTAVES
from stationary.numbers.arithmetic import DOUBLE, HUGE
from stationary.numbers.chebyshev import nodes_of, rule
from stationary.numbers.elementary import as_array, depth_of, exp, finite, log, number, spacing
from stationary.panels.halving import halved
from stationary.weight.component import Component
from stationary.weight.mesh import MOST_PANELS, Mesh
from stationary.weight.tail import Tail


def _tail_nodes(c: Component, tail: Tail, nodes: int) -> tuple[Array, Array]:
    """Distances r into a tail and their probabilities, as a quadrature rule.

    With v the fraction of the tail's mass beyond r, log r is linear in s = -log v. Panels in
    s that double suit powers of r and of log r alike.
    """
    share = exp(tail.log_moment() - c.log_norm)
    first = min(tail.fall, 1.0) / 8
    doublings = math.ceil(math.log2(800 / first))
    edges = np.append(0.0, number(first) * 2.0 ** np.arange(doublings + 1))
    r = rule(nodes * c.rule.n // 12 // 2 * 2, c.arithmetic)
    half = np.diff(edges) / 2
    s = (edges[:-1] + half + half * r.nodes[:, None]).ravel()
    with np.errstate(over="ignore", under="ignore"):
        weights = (half * r.quadrature[:, None]).ravel() * exp(-s) * share
        distance = as_array(tail.distance(tail.log_moment() - s))
    # `_in_tail` counts what lies beyond
    known = distance < (HUGE if c.arithmetic is DOUBLE else math.inf)
    return distance[known], weights[known]


def _in_tail(c: Component, tail: Tail, function: Callable[[Array], Array]) -> tuple[Any, Any]:
    """E[function(X); X in the tail] and its error; +-inf where it grows too fast to exist."""

    def values(r: Array) -> Array:
        return function(tail.anchor + tail.sign * r)

    if tail.outward:
        near, far = values(tail.reach * np.array([2.0**20, 2.0**40]))
        power = number(log(number(abs(far / near)))) / math.log(2.0**20) if near and far else 0.0
        if power >= abs(tail.room) - max(1e-9, tail.doubt) and not (
            power < 1e-9 and tail.has_moment(0)
        ):
            return math.copysign(math.inf, far), 0.0
    sums: list[Any] = []
    beyond: Any = 0.0
    for nodes in (8, 12):
        r, w = _tail_nodes(c, tail, nodes)
        at = values(r)
        # Where the function overflows, what is left of the tail counts as unknown.
        known = finite(at) if tail.outward else np.ones(len(r), dtype=bool)
        sums.append(number(w[known] @ at[known]))
        if tail.outward and known.any():
            last = int(np.argmax(np.where(known, r, 0)))
            left = exp(number(tail.log_mass(r[[last]])[0]) - c.log_norm)
            beyond = abs(number(at[last])) * left
    return sums[1], abs(sums[1] - sums[0]) + abs(sums[1]) * tail.error + 4 * beyond


def _power_in_tail(c: Component, tail: Tail, power: float) -> Any:
    """E[r^power; in the tail]; inf where it does not exist."""
    if not tail.has_moment(power):
        return math.inf
    return exp(tail.log_moment(power) - c.log_norm)


def expectation(
    c: Component, function: Callable[[Array], Array], epsilon: Any = None
) -> tuple[Any, Any]:
    """E[function(X)] and its absolute error.

    The mesh resolves the density, not the function: panels are halved until the product
    of the two is resolved as well, wherever that matters to the sum. `epsilon` is the rounding
    of the function, where that is not what the component is computed in.
    """
    total, error, _ = _product(c, function, c.deep_mesh, epsilon)
    for tail in c.density.tails:
        if tail is not None:
            part, uncertain = _in_tail(c, tail, function)
            total += part
            error += uncertain
    return total, error


def _product(
    c: Component, function: Callable[[Array], Array], mesh: Mesh, epsilon: Any = None
) -> tuple[Any, Any, Any]:
    """int function P over the mesh, its error, and int |function| P."""
    epsilon = c.arithmetic.epsilon if epsilon is None else epsilon
    r, nodes = c.rule, c.rule.n
    whole: Any = 0.0

    def judge(lower: Array, upper: Array, carried: tuple[Array, ...], full: bool) -> Any:
        nonlocal whole
        half, (errors, rounds) = (upper - lower) / 2, carried
        if lower is mesh.lower:
            x, log_p = mesh.x, mesh.log_density
        else:
            x, offset = nodes_of(lower, upper, r)
            log_p = c.density(x, offset)
        # Next to the ends, where no node is, a jump would go unseen.
        ends = np.stack([lower + 1e-9 * half, upper - 1e-9 * half])
        table = function(np.concatenate([x, ends]).ravel()).reshape(nodes + 2, -1)
        with np.errstate(under="ignore"):
            product = table[:nodes] * exp(log_p - c.log_norm)
            near = table[nodes:] * exp(c.density.inside(ends) - c.log_norm)
        q = r.coefficients @ product
        odd, even = q[1::2].sum(axis=0), q[::2].sum(axis=0)
        off = np.maximum(np.abs(near[0] - even + odd), np.abs(near[1] - even - odd))
        most = np.abs(q).max(axis=0)
        off = np.where(off > 1e-6 * most, np.where(most > 0, np.minimum(off, 4 * most), off), 0.0)
        cut = np.maximum(np.abs(q[-3:]).max(axis=0), off) * half
        parts = half * (r.quadrature @ product)
        sizes = half * (r.quadrature @ np.abs(product))
        # Nodes are rounded, and the function with them: halving does not mend that.
        extent = np.abs(upper) + np.abs(lower)
        grain = spacing(extent) if lower.dtype == float else epsilon * extent
        blur = grain * (np.arange(nodes) @ np.abs(q))
        share = np.maximum(np.abs(sizes), (whole + number(sizes.sum())) / 64)
        again = np.asarray(cut > 4.5 * epsilon * share + blur, dtype=bool)
        wide = (upper - lower) > 64 * spacing(np.maximum(np.abs(lower), np.abs(upper)))
        again &= np.asarray(wide, dtype=bool)
        if full or rounds.max(initial=0) == OCTAVES:
            cut = np.where(again, cut + np.abs(sizes), cut)
            again[:] = False
        whole += number(sizes[~again].sum())
        found = parts, sizes, sizes * errors + cut
        return found, ~again, again, (errors, rounds + 1)

    first = c.errors_on(mesh), np.zeros(len(mesh.lower), dtype=int)
    _, _, *sums = halved(judge, mesh.lower, mesh.upper, first, max_panels=MOST_PANELS)
    total, size, error = (number(v.sum()) for v in sums)
    return total, error + 4 * epsilon * size, size


def entropy(c: Component) -> tuple[Any, float]:
    """-int P log P in nats, and its absolute error."""
    total, error, _ = _product(c, lambda x: c.log_norm - c.density(x), c.mesh)
    with np.errstate(under="ignore"):
        at = c.mesh.log_density - c.log_norm
        spread = (c.weights_on(c.mesh) * (1 + np.abs(at))).sum(axis=0)
    error += number((spread * (c.panel_errors + c.norm_error)).sum())
    for log_mass, tail in zip(c.log_tail_masses, c.density.tails, strict=True):
        if tail is not None:
            mean = tail.level - c.log_norm + tail.mean_log
            share = exp(log_mass - c.log_norm)
            total -= share * mean
            error += share * (1 + abs(mean)) * (tail.error + tail.tilt**2)
    return total, error


def _against(c: Component, mesh: Mesh, power: int, centre: Any) -> tuple[Array, Array, Array]:
    """Probabilities of nodes, (X - centre)^power there, and the size of their product."""
    weights, deviation = c.weights_on(mesh), mesh.from_point(centre) ** power
    return weights, deviation, weights * np.abs(deviation)


def power_mean(c: Component, power: int, centre: Any) -> tuple[Any, Any]:
    """E[(X - centre)^power] of one component, and its absolute error.

    On the deep mesh where what the mesh leaves out may matter to it: a tail may do so long after
    it has ceased to hold mass.
    """
    epsilon, found, mesh = c.arithmetic.epsilon, c.density.sampling, c.mesh
    weights, deviation, spread = _against(c, mesh, power, centre)
    furthest = max(abs(found.lower - centre), abs(found.upper - centre)) ** power
    left_out = exp(-depth_of(c.arithmetic)) * len(found.panels.half) * furthest
    if c.density.tails != (None, None) or left_out > epsilon * number(spread.sum()):
        mesh = c.deep_mesh
        weights, deviation, spread = _against(c, mesh, power, centre)
    total = number((weights * deviation).sum())
    mass = number(weights.sum())
    error = number((spread * c.errors_on(mesh)).sum()) + 2 * epsilon * number(spread.sum())
    if c.arithmetic is DOUBLE:
        # The nodes are rounded like any number of their size.
        slack = np.spacing(np.abs(mesh.x)) * np.abs(mesh.x - centre) ** (power - 1)
        error += power * float((weights * slack).sum())
    for side, tail in enumerate(c.density.tails):
        if tail is None:
            edge = (c.density.sampling.lower, c.density.sampling.upper)[side]
            error += c.leak * abs(edge - centre) ** power
            continue
        mass += _power_in_tail(c, tail, 0)
        rough = tail.error + number(c.density.errors[0 if side == 0 else -1])
        shift = tail.anchor - centre  # (shift + sign r)^power, expanded in r
        for j in range(power + 1):
            coefficient = math.comb(power, j) * shift ** (power - j) * tail.sign**j
            if coefficient:
                part = coefficient * _power_in_tail(c, tail, j)
                total += part
                if finite(part):
                    error += abs(part) * rough
    # The weights add up to 1 to rounding only.
    return total / mass, error if finite(error) else math.inf
