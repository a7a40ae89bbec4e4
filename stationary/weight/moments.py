"""Expectations against the density of a component, with what its tails add."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from stationary.aliases import Array
from stationary.line.chart import OCTAVES, Chart
from stationary.numbers.arithmetic import DOUBLE, HUGE, SAME, TINY
from stationary.numbers.chebyshev import ends_of, nodes_of, rule
from stationary.numbers.elementary import (
    as_array,
    converted,
    depth_of,
    distinct,
    exp,
    finite,
    log,
    number,
    spacing,
    to_float,
)
from stationary.panels.halving import halved
from stationary.weight.component import Component
from stationary.weight.mesh import MOST_PANELS, Mesh
from stationary.weight.shares import moved
from stationary.weight.tail import Tail
from stationary.weight.weight import Weight

FULL = 690.0  # of logarithms: doubles hold exp of it and of its negative with all digits
PROBED = 40.0  # octaves of a tail along which the power of a function is looked for
ALIKE = 0.25  # so close are powers of octaves if the function is one, but for logarithms


@dataclass(frozen=True)
class Integrand:
    """A function whose expectation is asked for.

    `log_size` is the logarithm of |function|, right where that is beyond all doubles, and inf where
    it cannot be had; `epsilon` the rounding of the values.
    """

    values: Callable[[Array], Array]
    log_size: Callable[[Array], Array]
    epsilon: Any

    def against(self, x: Array, log_p: Array) -> Array:
        """The function times exp(log_p), also where either alone is beyond all doubles."""
        at = self.values(x)
        with np.errstate(all="ignore"):
            product = at * exp(log_p)
            far = ~np.isnan(to_float(at)) & (~finite(at) | ((log_p < -FULL) & (at != 0)))
            if far.any():
                sign = np.sign(to_float(at[far]))
                product[far] = sign * exp(self.log_size(x[far]) + log_p[far])
        return as_array(product)


def _tail_nodes(c: Component, tail: Tail, nodes: int) -> tuple[Array, Array]:
    """log of distances r into a tail and their probabilities, as a quadrature rule.

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
        return tail.log_distance(tail.log_moment() - s), weights


def _in_tail(c: Component, tail: Tail, f: Integrand) -> tuple[Any, Any]:
    """E[function(X); X in the tail] and its error; +-inf where it grows too fast to exist."""
    # Closer to a finite end, or further out, nothing tells where a point is.
    nearest = max(float(f.epsilon * abs(tail.anchor)) * 2.0**20, TINY)
    sign = 1 if tail.outward else -1
    octaves = PROBED if tail.outward else min(PROBED, math.log2(float(tail.reach) / nearest))
    powers = _powers(tail, f, octaves) if octaves > 1 else [0.0]
    if not powers:
        return 0.0, math.inf
    border = abs(tail.room) - max(1e-9, tail.doubt)
    growth = min(sign * power for power in powers[-2:])
    if growth >= border and not (growth < 1e-9 and tail.has_moment(0)):
        far = f.values(np.array([tail.anchor + tail.sign * tail.reach * 2.0 ** (sign * octaves)]))
        return math.copysign(math.inf, to_float(far)[0]), 0.0
    power = powers[-1] if max(powers) - min(powers) < ALIKE else 0.0
    # The power goes with the density: what is left of the function hardly changes.
    leading = tail if sign * power >= border else tail.times_power(power)
    power = 0.0 if leading is tail else power
    sums: list[Any] = []
    beyond: Any = 0.0
    for nodes in (8, 12):
        log_r, w = _tail_nodes(c, leading, nodes)
        near = log_r < math.log(HUGE) if tail.outward else log_r > math.log(nearest)
        known = np.asarray(near, dtype=bool)
        r, at = exp(log_r[known]), np.zeros_like(w)
        at[known] = f.against(
            tail.anchor + tail.sign * r, -power * (log_r[known] - log(tail.reach))
        )
        known &= finite(at)
        if known.any():  # and goes on as it was
            order = np.flatnonzero(known)[np.argsort(to_float(sign * log_r[known]))]
            last, before = at[order[-1]], at[order[len(order) // 2]]
            at[~known] = last
            beyond = number(w[~known].sum() * abs(last - before))
        sums.append(number(w @ at))
    error = abs(sums[1] - sums[0]) + abs(sums[1]) * tail.error_of(power) + 4 * beyond
    return sums[1], error


def _powers(tail: Tail, f: Integrand, octaves: float) -> list[float]:
    """The powers of r that the function grows with, from a quarter of so many octaves on."""
    while octaves >= 1:
        steps = octaves / 4 * np.arange(1, 5)
        r = tail.reach * 2.0 ** (steps if tail.outward else -steps)
        logs = to_float(f.log_size(tail.anchor + tail.sign * r))
        if not (logs == math.inf).any():
            logs[~np.isfinite(logs)] = 0.0 if not np.isfinite(logs).any() else np.nan
            powers = np.diff(logs) / (octaves / 4 * math.log(2)) * (1 if tail.outward else -1)
            return [float(v) for v in np.nan_to_num(powers)]
        octaves /= 2
    return []


def expectation(c: Component, f: Integrand) -> tuple[Any, Any]:
    """E[function(X)] and its absolute error; +-inf where it does not exist.

    The mesh resolves the density, not the function: panels are halved until the product
    of the two is resolved as well, wherever that matters to the sum.
    """
    mesh, density = c.deep_mesh, c.density
    total, error, size = _product(c, f, density, mesh.lower, mesh.upper, mesh=mesh)
    # What the mesh leaves out is next to nothing, unless the function is as large.
    cuts = distinct(density.panels.edges, np.concatenate([mesh.lower, mesh.upper]))
    k = np.minimum(np.searchsorted(mesh.upper, cuts[1:]), len(mesh.upper) - 1)
    out = np.asarray((mesh.lower[k] > cuts[:-1]) | (mesh.upper[k] < cuts[1:]), dtype=bool)
    parts = [_product(c, f, density, cuts[:-1][out], cuts[1:][out], size)[:2]] if out.any() else []
    for side, tail in enumerate(density.tails):
        if tail is not None:
            parts.append(_in_tail(c, tail, f))
        elif density.fades[side]:
            parts.append(_beyond(c, side, f, size))
    for part, uncertain in parts:
        total += part
        error += uncertain
    return total, error


def _beyond(c: Component, side: int, f: Integrand, size: Any) -> tuple[Any, Any]:
    """What the function makes of where the density has faded, beyond what was sampled.

    What octaves of r hold, function times density times r, falls towards the end or it does not.
    """
    density, found = c.density, c.density.sampling
    chart, start = Chart.of(found.diffusion, side, c.arithmetic), (found.lower, found.upper)[side]
    octaves = np.append(0, 2 ** np.arange(6))
    x = chart.onwards(start, octaves)
    there = finite(x) & np.asarray(x != chart.anchor, dtype=bool)
    x, octaves = c.arithmetic.array(x[there]), octaves[there]
    log_f, log_r = to_float(f.log_size(x)), to_float(log(chart.distance(x)))
    log_f = np.where(np.isnan(log_f), -math.inf, log_f)
    least = math.log(max(float(f.epsilon * size), TINY))
    if (log_f + log_r + to_float(density(x[:1]) - c.log_norm) < least).all():
        return 0.0, 0.0
    told = int(np.argmax(np.append(log_f == math.inf, True)))  # beyond, the function is not known
    x, octaves, log_f, log_r = x[:told], octaves[:told], log_f[:told], log_r[:told]
    level = log_f + log_r + to_float(density(x) - c.log_norm)
    wide = [density.beyond(side, int(n)) if n else density for n in octaves]
    noise = [float(to_float(w.errors)[-side]) for w in wide] + 8 * float(f.epsilon) * np.abs(log_f)
    with np.errstate(invalid="ignore"):
        step = np.diff(level)
        seen = np.flatnonzero((np.abs(step) > noise[1:] + noise[:-1]) | (level[1:] == -math.inf))
    if not len(seen):
        return 0.0, math.inf
    far = seen[-1] + 1
    slope = step[far - 1] / (log_r[far] - log_r[far - 1])
    slope *= 1 if chart.outward else -1
    if slope >= -SAME:
        return math.copysign(math.inf, to_float(f.values(x[[far]]))[0]), 0.0
    over = np.flatnonzero(level[: far + 1] >= least)
    n = min(int(over.max(initial=-1)) + 1, far)
    rest = math.exp(min(level[n], 700.0)) / min(-slope, 1.0) if level[n] >= least else 0.0
    if not n:
        return 0.0, rest
    edges = wide[n].panels.edges
    edges = edges[np.asarray((edges <= start) if side == 0 else (edges >= start), dtype=bool)]
    part, error, _ = _product(c, f, wide[n], edges[:-1], edges[1:], size)
    return part, error + rest


def _product(
    c: Component,
    f: Integrand,
    density: Weight,
    lower: Array,
    upper: Array,
    whole: Any = 0.0,
    mesh: Mesh | None = None,
) -> tuple[Any, Any, Any]:
    """int function P over panels, its error, and int |function| P, beside a `whole` of that.

    `mesh` has the density at the nodes of the first panels, if these are its own.
    """
    r, nodes, epsilon = c.rule, c.rule.n, f.epsilon

    def judge(lower: Array, upper: Array, carried: tuple[Array, ...], full: bool) -> Any:
        nonlocal whole
        half, (errors, rounds) = (upper - lower) / 2, carried
        if mesh is not None and lower is mesh.lower:
            x, log_p = mesh.x, mesh.log_density
        else:
            x, offset = nodes_of(lower, upper, r)
            log_p = density(x, offset)
        # Next to the ends, where no node is, a jump would go unseen.
        ends = np.stack([lower + 1e-9 * half, upper - 1e-9 * half])
        log_p = np.concatenate([log_p, density.inside(ends)]) - c.log_norm
        table = f.against(np.concatenate([x, ends]).ravel(), log_p.ravel()).reshape(log_p.shape)
        product, near = table[:nodes], table[nodes:]
        infinite = np.isinf(to_float(table))
        with np.errstate(invalid="ignore", over="ignore"):
            q = r.coefficients @ product
            off = np.abs(near - np.stack(ends_of(q))).max(axis=0)
            most = np.abs(q).max(axis=0)
            small = np.where(most > 0, np.minimum(off, 4 * most), off)
            off = np.where(off > 1e-6 * most, small, 0.0)
            cut = np.maximum(np.abs(q[-3:]).max(axis=0), off) * half
            parts = half * (r.quadrature @ product)
            sizes = half * (r.quadrature @ np.abs(product))
            # Nodes are rounded, and the function with them: halving does not mend that.
            extent = np.abs(upper) + np.abs(lower)
            grain = spacing(extent) if lower.dtype == float else epsilon * extent
            blur = grain * (np.arange(nodes) @ np.abs(q))
            share = np.maximum(np.abs(sizes), (whole + number(sizes[finite(sizes)].sum())) / 64)
            again = np.asarray(cut > 4.5 * epsilon * share + blur, dtype=bool)
        # A pole at a node is halved away from it; an infinite stretch is what it is.
        again |= infinite.any(axis=0) & ~infinite.all(axis=0)
        parts = np.where(infinite.all(axis=0), table[0], parts)
        wide = (upper - lower) > 64 * spacing(np.maximum(np.abs(lower), np.abs(upper)))
        again &= np.asarray(wide, dtype=bool)
        if full or rounds.max(initial=0) == OCTAVES:
            cut = np.where(again, cut + np.abs(sizes), cut)
            again[:] = False
        whole += number(sizes[~again & finite(sizes)].sum())
        found = parts, sizes, sizes * errors + cut
        return found, ~again, again, (errors, rounds + 1)

    own = density.errors[density.panels.panel_of(lower)]
    first = own if mesh is None else own + 2 * mesh.cut, np.zeros(len(lower), dtype=int)
    _, _, *sums = halved(judge, lower, upper, first, max_panels=MOST_PANELS + 2 * len(lower))
    total, size, error = (number(v.sum()) for v in sums)
    return total, error + 4 * epsilon * size, size


def first_moment_beyond(c: Component, tail: Tail, x: Any) -> Any:
    """E[r; beyond x] in a tail out to infinity, r counted from its anchor; inf without a mean."""
    if not tail.has_moment(1):
        return math.inf
    r = max(abs(converted(x, c.arithmetic) - tail.anchor), tail.reach)
    further = tail.times_power(1).log_mass(np.array([r])) + log(tail.reach) - c.log_norm
    return exp(number(further[0]))


def entropy(c: Component) -> tuple[Any, float]:
    """-int P log P in nats, and its absolute error; nan and inf where it is not known."""
    if not c.is_known:
        return math.nan, math.inf

    def log_p(x: Array) -> Array:
        return np.asarray(c.log_norm - c.density(x))

    rarity = Integrand(log_p, lambda x: log(np.abs(log_p(x))), c.arithmetic.epsilon)
    total, error, _ = _product(c, rarity, c.density, c.mesh.lower, c.mesh.upper, mesh=c.mesh)
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


def _against(c: Component, mesh: Mesh, power: int, centre: Any) -> tuple[Array, Array, int]:
    """Probabilities of nodes, and times ((X - centre) / 2^e)^power; and e.

    In doubles 2^e is where most of the moment comes from: the power may be beyond all of them.
    """
    weights, away, e = c.weights_on(mesh), mesh.from_point(centre), 0
    if c.arithmetic is not DOUBLE or not power:
        return weights, weights * away**power, e
    with np.errstate(all="ignore"):
        logs = mesh.log_density - c.log_norm + np.log(c.rule.quadrature[:, None] * mesh.half)
        logs += power * np.log(np.abs(away))
        e = math.frexp(np.abs(away).flat[logs.argmax()])[1]
        raised = np.ldexp(away, -e) ** power
        far = np.sign(raised) * exp(logs - power * e * math.log(2))
    with np.errstate(under="ignore", invalid="ignore"):
        return weights, np.where(np.isfinite(raised), weights * raised, far), e


def power_mean(c: Component, power: int, centre: Any) -> tuple[Any, Any]:
    """E[(X - centre)^power] of one component, and its absolute error; nan where there is none.

    Where any of the panels may hold all of it, it is not known: nan, with an error of inf.
    On the deep mesh where what the mesh leaves out may matter to it: a tail may do so long after
    it has ceased to hold mass.
    """
    centre = converted(centre, c.arithmetic)
    outward = [t for t in c.density.tails if t is not None and not t.has_moment(power)]
    if outward:  # of two tails, opposite infinities are nan
        total = sum(math.inf * t.sign**power for t in outward)
        return total, math.nan if math.isnan(total) else 0.0
    if not c.is_known:
        return math.nan, math.inf
    epsilon, found, mesh = c.arithmetic.epsilon, c.density.sampling, c.mesh
    weights, product, e = _against(c, mesh, power, centre)
    furthest = max(abs(found.lower - centre), abs(found.upper - centre))
    left_out = math.log(len(found.panels.half)) - depth_of(c.arithmetic)
    left_out += power * log(furthest / 2.0**e)
    size = number(np.abs(product).sum())
    if c.density.tails != (None, None) or not size or left_out > log(epsilon * size):
        mesh = c.deep_mesh
        weights, product, e = _against(c, mesh, power, centre)
    scale, unsure = 2.0**e, 0.0
    total, mass, spread = number(product.sum()), number(weights.sum()), np.abs(product)
    error = 2 * epsilon * number(spread.sum())
    if c.arithmetic is DOUBLE and power:
        # The nodes are rounded like any number of their size.
        away = np.abs(mesh.from_point(centre))
        with np.errstate(all="ignore"):
            slack = spread * np.where(away > 0, np.spacing(np.abs(mesh.x)) / away, 0.0)
        error += power * float(slack.sum())
    for side, tail in enumerate(c.density.tails):
        if tail is None:
            if c.leak:
                edge = (found.lower, found.upper)[side]
                error += exp(log(c.leak) + power * log(abs(edge - centre) / scale))
            continue
        held = exp(tail.log_moment() - c.log_norm)
        rough = number(c.density.errors[0 if side == 0 else -1])
        mass, unsure = mass + held, unsure + held * (tail.error + rough)
        shift = (tail.anchor - centre) / scale  # (shift + sign r)^power, expanded in r
        for j in range(power + 1):
            coefficient = math.comb(power, j) * shift ** (power - j) * tail.sign**j
            if coefficient:
                part = coefficient * exp(tail.log_moment(j) - j * log(scale) - c.log_norm)
                total += part
                error += abs(part) * (tail.error_of(j) + rough)
    if not mass:
        return math.nan, math.inf
    total = total / mass  # the weights add up to 1 to rounding only
    # What is not known of the density changes what is divided by, too: of a law that gathers at an
    # end the mass is there, and the moment elsewhere.
    measure = product - total * weights
    panel = np.broadcast_to(np.arange(measure.shape[1]), measure.shape)
    error += moved(c, mesh, panel.ravel(), measure.ravel())
    error += abs(total) * unsure
    if not e:
        return total, error
    with np.errstate(over="ignore", under="ignore"):
        return float(np.ldexp(total, e * power)), float(np.ldexp(error, e * power))
