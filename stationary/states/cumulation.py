"""Integrals of e^(k Phi) times powers of a, cumulated along a stretch of the line, in logarithms.

Scale and speed measure, mean times and their variances are integrals inside integrals of
positive functions. Each is kept as v + k Phi at the nodes of common panels, and each integral is
one pass over them: summed where e^L varies gently over a panel; where it rises by more than
panels could follow, F = int e^L is rho e^L with rho' = 1 - L' rho, which varies as slowly as the
functions do; where all has been collected long before, it is constant. So an answer costs the
same however little noise there is, and is one fixed function of its point: many points are asked
for as one.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stationary.errors import LandscapeError
from stationary.line.ends import Anatomy
from stationary.line.sampling import anchor_of
from stationary.numbers.arithmetic import DOUBLE, Arithmetic
from stationary.numbers.chebyshev import Rule, chebyshev_sum, derived, nodes_of, rule
from stationary.numbers.elementary import (
    compact,
    converted,
    depth_of,
    exp,
    expm1,
    infinite,
    log,
    logaddexp,
    number,
    spacing,
    to_float,
)

__all__ = [
    "Cumulated",
    "DivergesError",
    "Log",
    "Mesh",
    "UnresolvedError",
    "beyond",
    "cumulated",
    "mesh_on",
]

Array = NDArray[Any]

LEVEL = 0.15  # the rise of Phi over a panel, per node: twice that is still resolved to rounding
STEEPEST = 1e280  # of Phi over a panel, in doubles: its sums do not overflow
NOTHING = 1e4  # e-folds below which a part is none: beyond them an exponential costs its exponent
HOPELESS = 1e200  # of the rise of Phi over a panel: halving would take hundreds of rounds
FORGOTTEN = 1e-6  # of a function that forgets within an e-fold: what is left then is rounding
ROUNDS = 12  # of halving panels on which a product is not resolved


class UnresolvedError(Exception):
    """Panels must be cut at these points before the integral can be followed."""

    def __init__(self, cuts: list[Any]) -> None:
        super().__init__(f"{len(cuts)} cuts")
        self.cuts = cuts


class DivergesError(Exception):
    """An integral is infinite from its beginning on."""


@dataclass(frozen=True, eq=False)
class Log:
    """The logarithm v + k Phi of a positive function, at the nodes of every panel."""

    v: Array  # (n, panels)
    k: Array  # (panels,), whole numbers
    error: Array  # (panels,), absolute (relative of the function), beside that of k Phi

    def __add__(self, other: Log) -> Log:
        return Log(self.v + other.v, self.k + other.k, self.error + other.error)

    def __rmul__(self, factor: int) -> Log:
        return Log(factor * self.v, factor * self.k, abs(factor) * self.error)

    def plus(self, constant: Any) -> Log:
        return replace(self, v=self.v + constant)

    @property
    def mirrored(self) -> Log:
        return Log(self.v[::-1, ::-1], self.k[::-1], self.error[::-1])


@dataclass(frozen=True, eq=False)
class Mesh:
    """Panels from end to end; between some of them, and at the ends, singular points may lie."""

    lower: Array  # (panels,)
    upper: Array
    phi: Array  # (n + 1, panels): int 2 f / a, as coefficients
    slope: Array  # (n, panels): 2 f / a at the nodes
    log_a: Array  # (n, panels): at the nodes
    step_error: Array  # (panels,): of the rise of Phi over each
    log_a_error: Array  # (panels,)
    ends: tuple[Any, Any]  # where the stretch ends; beyond the panels if these stop before
    gaps: tuple[tuple[int, Any], ...]  # before which panel a singular point lies, and where
    weight: Any  # the convention c
    origin: Any  # from which distances count towards an infinite end

    @property
    def arithmetic(self) -> Arithmetic:
        return self.rule.arithmetic

    @property
    def rule(self) -> Rule:
        many = self.__dict__.get("_rule")
        if many is None:
            from stationary.numbers.elementary import arithmetic_of

            many = rule(len(self.log_a), arithmetic_of(self.lower))
            self.__dict__["_rule"] = many
        return many

    @property
    def half(self) -> Array:
        return (self.upper - self.lower) / 2

    @property
    def is_hopeless(self) -> bool:
        """Whether Phi rises over a panel by more than cutting it could ever follow."""
        return not bool((to_float(np.abs(self.phi[1:]).max(axis=0)) < HOPELESS).all())

    @property
    def scale(self) -> Log:
        """The scale density a^-c e^-Phi."""
        k = np.full(len(self.lower), -1)
        return Log(-self.weight * self.log_a, k, self.weight * self.log_a_error)

    @property
    def speed(self) -> Log:
        """The speed density a^(c - 1) e^Phi; with the scale density the time needs a factor 2."""
        w = 1 - self.weight
        return Log(-w * self.log_a, -self.scale.k, w * self.log_a_error)

    @property
    def mirrored(self) -> Mesh:
        signs = (-1.0) ** np.arange(len(self.phi))[:, None]
        count = len(self.lower)
        return replace(
            self,
            lower=-self.upper[::-1],
            upper=-self.lower[::-1],
            phi=signs * self.phi[:, ::-1],
            slope=-self.slope[::-1, ::-1],
            log_a=self.log_a[::-1, ::-1],
            step_error=self.step_error[::-1],
            log_a_error=self.log_a_error[::-1],
            ends=(-self.ends[1], -self.ends[0]),
            origin=-self.origin,
            gaps=tuple((count - k, -z) for k, z in reversed(self.gaps)),
        )

    def locate(self, x: Array) -> tuple[Array, Array]:
        """The panel of each point, or the nearest; and where in it, from -1 to 1."""
        k = np.maximum(np.searchsorted(self.lower, x, side="right") - 1, 0)
        k = np.minimum(k, len(self.lower) - 1)
        a, b = self.lower[k], self.upper[k]
        return k, ((x - a) - (b - x)) / (b - a)

    def step_errors_beyond(self, x: Array) -> tuple[Array, Array]:
        """The error of the rise of Phi from the lower end to x, and from x to the upper end."""
        k, _ = self.locate(x)
        cumulated = np.cumsum(self.step_error)
        return cumulated[k], cumulated[-1] - cumulated[k] + self.step_error[k]

    def gaps_at(self, i: int) -> Any:
        return dict(self.gaps)[i]

    def value(self, f: Log, x: Array) -> Array:
        """The logarithm f at points x that the panels cover."""
        k, t = self.locate(x)
        c = self.rule.coefficients @ f.v[:, k]
        return np.asarray(chebyshev_sum(c, t) + f.k[k] * chebyshev_sum(self.phi, t, k))


# -- making it ----------------------------------------------------------------------------------


def mesh_on(pieces: tuple[Anatomy, ...], low: Any, high: Any, cuts: list[Any]) -> Mesh:
    """Panels from `low` to `high` (None: as far as there are any) on neighbouring pieces."""
    blocks = [_block(p, low, high, cuts) for p in pieces]
    blocks = [b for b in blocks if len(b.lower)]
    arithmetic = max((b.arithmetic for b in blocks), key=lambda a: a.digits)
    n = max(len(b.log_a) for b in blocks)
    if any(len(b.log_a) != n or b.arithmetic is not arithmetic for b in blocks):
        raise LandscapeError(
            f"{pieces[0].sampling.diffusion.name}: parts of the line that are passed both ways "
            f"were solved in different numbers of digits. Give digits = {arithmetic.digits}, so "
            "that all are solved in as many."
        )
    gaps: list[tuple[int, Any]] = []
    count = 0
    jumps = []  # of Phi, before each panel
    for i, b in enumerate(blocks):
        jump = np.zeros(len(b.lower), dtype=b.lower.dtype)
        if i:
            # 2 f / a goes on as r^-order, with order below 1, on both sides of the point.
            gaps.append((count, b.ends[0]))
            jump[0] = _across(pieces, blocks[i - 1], b)
        jumps.append(jump)
        count += len(b.lower)
    phi = np.concatenate([b.phi for b in blocks], axis=1)
    phi[0] += _levels(phi, np.concatenate(jumps))
    ends = blocks[0].ends[0], blocks[-1].ends[1]
    if blocks[0].lower[0] != ends[0]:
        gaps.insert(0, (0, ends[0]))
    if blocks[-1].upper[-1] != ends[1]:
        gaps.append((count, ends[1]))
    return Mesh(
        lower=np.concatenate([b.lower for b in blocks]),
        upper=np.concatenate([b.upper for b in blocks]),
        phi=phi,
        slope=np.concatenate([b.slope for b in blocks], axis=1),
        log_a=np.concatenate([b.log_a for b in blocks], axis=1),
        step_error=np.concatenate([b.step_error for b in blocks]),
        log_a_error=np.concatenate([b.log_a_error for b in blocks]),
        ends=ends,
        gaps=tuple(gaps),
        weight=blocks[0].weight,
        origin=blocks[-1].origin if infinite(ends[1]) else blocks[0].origin,
    )


def _levels(phi: Array, jumps: Array) -> Array:
    """Phi at the lower edge of each panel, 0 where it is least: there the scale is greatest.

    Summed from there on, so that it is least rounded where that matters.
    """
    wide: Any = np.longdouble if phi.dtype == float else object
    rises = phi.sum(axis=0)
    start = 0
    levels = np.zeros_like(rises)
    for _ in range(len(rises)):
        up = np.cumsum(rises[start:-1] + jumps[start + 1 :], dtype=wide)
        down = -np.cumsum((rises[:start] + jumps[1 : start + 1])[::-1], dtype=wide)[::-1]
        levels = np.concatenate([down, [0 * rises[start]], up]).astype(rises.dtype)
        least = int(np.argmin(np.minimum(levels, levels + rises)))
        if least == start:
            break
        start = least
    return np.asarray(levels)


def _across(pieces: tuple[Anatomy, ...], left: Mesh, right: Mesh) -> Any:
    """The rise of Phi between the panels on both sides of a point that is passed."""
    z = right.ends[0]
    total: Any = 0.0
    for p in pieces:
        lower, upper = p.sampling.interval
        for block, edge, end, node in (
            (left, left.upper[-1], p.ends[1], -1),
            (right, right.lower[0], p.ends[0], 0),
        ):
            if (upper if node else lower) == z and end.order is not None:
                total += block.slope[node, node] * abs(z - edge) / (1 - end.order)
    return total


def _block(piece: Anatomy, low: Any, high: Any, cuts: list[Any]) -> Mesh:
    found = piece.sampling
    arithmetic = found.arithmetic
    r = rule(len(found.h), arithmetic)
    first, last = found.interval
    low, high = (None if x is None else number(arithmetic.array([x])[0]) for x in (low, high))
    cuts = [number(x) for x in arithmetic.array(np.array(cuts, dtype=object))] if cuts else []
    inner_low = found.lower if low is None else max(low, found.lower)
    inner_high = found.upper if high is None else min(high, found.upper)
    ends = (
        first if low is None else max(low, first),
        last if high is None else min(high, last),
    )
    edges = found.panels.edges
    edges = edges[(edges > inner_low) & (edges < inner_high)]
    marks = [e.place for e in piece.equilibria]
    marks = [x for x in [*marks, *cuts] if inner_low < x < inner_high]
    if not inner_low < inner_high:
        edges = np.array([], dtype=edges.dtype)
        lower = upper = edges
    else:
        ends_of = np.array([inner_low, inner_high], dtype=edges.dtype)
        edges = np.unique(np.concatenate([edges, ends_of, np.array(marks, dtype=edges.dtype)]))
        # Where the panels stop before an end, nothing begins.
        marks += [x for x, end in zip((inner_low, inner_high), ends, strict=True) if x == end]

        # To see how steep it is, doubles do; what they cannot hold is steep.
        shape = to_float(np.concatenate([np.zeros_like(found.phi[:1]), found.phi[1:]]))
        shape = np.clip(shape, -STEEPEST, STEEPEST)
        inside = rule(20).closed[:, None]

        def rise(lower: Array, upper: Array) -> Array:
            k, t = found.panels.locate((lower + upper) / 2)
            wide = to_float((upper - lower) / (2 * found.panels.half[k]))
            at = np.clip(to_float(t) + wide * inside, -1, 1)
            phi = chebyshev_sum(shape, at.ravel(), np.tile(k, len(inside))).reshape(at.shape)
            return np.asarray(phi.max(axis=0) - phi.min(axis=0))

        edges = _graded(edges, marks, rise, arithmetic, r.n)
        lower, upper = edges[:-1], edges[1:]
    x, offset = nodes_of(lower, upper, r)
    at, _ = found.panels.locate((lower + upper) / 2)
    # Most panels are those of the sampling: their values are known.
    same = np.isin(lower, found.panels.lower) & np.isin(upper, found.panels.upper)
    slope, log_a = (v[:, at].copy() for v in found.samples.values)
    if not same.all():
        other = x[:, ~same], None if offset is None else offset[:, ~same]
        slope[:, ~same] = found.panels.evaluate(found.h, *other)
        log_a[:, ~same] = found.panels.evaluate(found.ell, *other)
    # Integrated again on each panel, so that a large exponent does not round what it rises there.
    half = (upper - lower) / 2
    c = half * (r.antiderivative @ (r.coefficients @ slope))
    cut = np.where(found.samples.resolved, 4, 32) * found.samples.tails[1]
    eps = found.epsilon
    return Mesh(
        lower,
        upper,
        c,
        slope,
        log_a,
        (found.climb_errors / found.panels.half)[at] * half,
        cut[at] + eps * (1 + np.abs(log_a).max(axis=0, initial=0)),
        ends,
        (),
        found.diffusion.convention.value,
        anchor_of(found.diffusion, 1 if infinite(ends[1]) else 0, arithmetic),
    )


def _graded(
    edges: Array,
    marks: list[Any],
    rise: Callable[[Array, Array], Array],
    arithmetic: Arithmetic,
    n: int,
) -> Array:
    """The edges, cut so that Phi rises gently over a panel, or is steep on all of it.

    Panels on which it would take too many keep their length, but for the part next to a mark,
    where what is collected may change within a few e-folds.
    """
    level, steep = LEVEL * n, 2 * depth_of(arithmetic)
    lower, upper = edges[:-1], edges[1:]
    rises = rise(lower, upper)
    new = [edges]
    marked = np.isin(edges, np.array(marks, dtype=edges.dtype))
    for at_left in (True, False):
        for i in np.flatnonzero((rises > steep) & (marked[:-1] if at_left else marked[1:])):
            count = math.ceil(math.log2(rises[i] / level)) + 2
            d = (upper[i] - lower[i]) * arithmetic.array(0.5 ** np.arange(1, count))
            new.append(lower[i] + d if at_left else upper[i] - d)
    edges = np.unique(np.concatenate(new))
    for _ in range(3):  # a panel on which Phi turns may rise by more than its part
        lower, upper = edges[:-1], edges[1:]
        rises = rise(lower, upper)
        parts = np.where((rises > level) & (rises <= steep), np.ceil(rises / level), 1).astype(int)
        if (parts == 1).all():
            break
        owner = np.repeat(np.arange(len(parts)), parts)
        nth = np.arange(len(owner)) - np.repeat(np.cumsum(parts) - parts, parts)
        inner = lower[owner] + (upper - lower)[owner] * nth / parts[owner]
        edges = np.unique(np.concatenate([inner, edges[-1:]]))
    return edges


# -- cumulating ---------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Rest:
    """int e^L between a singular point and where the panels stop.

    There L = level + power log u + tilt (u^q - 1), u being the distance over that of the panels.
    """

    end: Any
    anchor: Any  # from which distances count
    start: Any
    level: Any
    power: Any
    tilt: Any
    q: Any
    error: Any
    is_steep: bool = False  # e^L falls or grows beyond all powers, or is not seen to go on
    bend: Any = 0.0  # of L from octave to octave, where that hardly dies away: a logarithm's

    @property
    def outward(self) -> bool:
        return infinite(self.end)

    @property
    def diverges(self) -> bool:
        if self.is_steep:
            return self.level > -math.inf and bool(self.power < 0) != self.outward
        return not (self.power < -1 if self.outward else self.power > -1)

    @property
    def total(self) -> Any:
        """log of the whole."""
        return math.inf if self.diverges else number(self.log_mass(np.array([self.start]))[0])

    def holding(self, total: Any, error: Any) -> Rest:
        """The same shape with another whole."""
        if self.is_steep or self.diverges:
            return self
        return replace(self, level=self.level + (total - self.total), error=error)

    @property
    def ratio(self) -> Any:
        """The whole over e^L where the panels stop."""
        sign, e = (-1 if self.outward else 1), self.power + 1
        if self.diverges or self.is_steep:
            return None
        return sign * abs(self.start - self.anchor) * (1 + self.tilt * (e / (e + self.q) - 1)) / e

    def error_at(self, x: Array) -> Array:
        """What a bend that goes on as it is adds to the error of log_mass, beyond the panels."""
        u = np.abs(x - self.anchor) / abs(self.start - self.anchor)
        with np.errstate(divide="ignore"):
            octaves = np.where(u > 0, log(u) / math.log(2), 0)
        return np.asarray(self.bend * octaves**2)

    def log_mass(self, x: Array) -> Array:
        """log of the integral between x, beyond the panels, and the end."""
        if self.is_steep:
            return np.full(x.shape, -math.inf, dtype=x.dtype)
        sign = -1 if self.outward else 1
        reach = abs(self.start - self.anchor)
        u = np.abs(x - self.anchor) / reach
        e = self.power + 1
        with np.errstate(divide="ignore"):
            bracket = sign * (1 / e + self.tilt * (u**self.q / (e + self.q) - 1 / e))
            return np.asarray(self.level + log(reach * bracket) + e * log(u))


def _rest(mesh: Mesh, f: Log, panel: int, end: Any, *, at_lower: bool) -> Rest:
    """What four points, each twice as far inside as the last, tell about the way to an end."""
    start = number(mesh.lower[panel] if at_lower else mesh.upper[panel])
    outward = infinite(end)
    anchor = mesh.origin if outward else end
    r = start - anchor
    arithmetic = mesh.arithmetic
    steps = r * arithmetic.array(0.5 if outward else 2.0) ** np.arange(4)
    x = anchor + steps
    x[0] = start
    inside = mesh.lower[0], mesh.upper[-1]
    if not ((x >= inside[0]) & (x <= inside[1])).all():
        return Rest(end, anchor, start, -math.inf, 0.0, 0.0, 1.0, 0.0, is_steep=True)
    values = mesh.value(f, x)
    one, rises = number(values[0]), np.diff(values)
    log_2, rounding = log(number(2 * arithmetic.one)), 4.5 * arithmetic.epsilon
    bend, further = np.diff(rises)
    tilt, q = number(arithmetic.zero), number(arithmetic.one)
    error = 4 * abs(bend)
    ratio = number(further / bend) if bend else 0.0
    if abs(bend) > 16 * rounding * (1 + abs(one)) and 1.01 < ratio < 8:
        tilt, q = number(bend / (ratio - 1) ** 2), log(ratio) / log_2
        error = tilt**2
    power = number(rises[0] - tilt * (2**q - 1)) / log_2
    # A correction that grows towards the end, or that is none.
    is_steep = abs(tilt) > 0.5 or (abs(bend) > 0.5 and ratio <= 1.01)
    if is_steep:
        power = number(rises[0])
    if outward:
        power, q = -power, -q
    scale = abs(power + 1)
    error = number(error / scale + rounding) if scale else 0.0
    # One that falls by less than the root of two in an octave may be that of a logarithm.
    slow = abs(bend) > 16 * rounding * (1 + abs(one)) and not ratio > math.sqrt(2)
    return Rest(
        end, anchor, start, one, power, tilt, q, error, is_steep, abs(bend) if slow else 0.0
    )


@dataclass(frozen=True, eq=False)
class Cumulated:
    """F(x) = int e^L from the lower end of a mesh to x."""

    mesh: Mesh
    log: Log  # log F at the nodes
    kind: Array  # of each panel: 0 summed, 1 rho e^L, 2 constant
    base: Array  # of each panel, from which its logarithms count
    before: Array  # log F at its lower edge
    top: Array
    means: Array  # (n, panels): of e^(L - top), from the lower edge to t
    total: Any  # log F at the upper end
    rests: dict[int, Rest]
    left_error: Array
    levels: dict[int, Any]  # log F where each rest begins
    sign: int = 1  # -1: the mesh is that of -x

    def turned_back(self, mesh: Mesh) -> Cumulated:
        """The same as a function of x, for the mesh that was mirrored."""
        del mesh
        return replace(self, log=self.log.mirrored, sign=-1)

    @property
    def _own(self) -> Log:
        return self.log if self.sign > 0 else self.log.mirrored

    @property
    def total_error(self) -> Any:
        return number(self.left_error[-1])

    def _level(self, key: int, like: Array) -> Array:
        return self.mesh.arithmetic.array(np.full(like.shape, self.levels[key], dtype=like.dtype))

    def __call__(self, x: Array) -> tuple[Array, Array]:
        """log F at points of the stretch (any order), and its error."""
        mesh = self.mesh
        x = self.sign * x
        k, t = mesh.locate(x)
        with np.errstate(divide="ignore", invalid="ignore"):
            mean = np.maximum(chebyshev_sum(self.means, t, k), 0)
            part = self.top[k] + log((x - mesh.lower[k]) * mean)
            result = logaddexp(self.before[k], part) + self.base[k]
        steep = self.kind[k] > 0
        if steep.any():
            result[steep] = mesh.value(self._own, x[steep])
        error = self.left_error[k] + 0 * x
        for key, rest in self.rests.items():
            # Between the panels and a singular point a power of the distance goes on.
            i = key // 2
            mine = (x < mesh.lower[k]) & (k == i) if key % 2 else (x > mesh.upper[k]) & (k == i - 1)
            if key % 2 and i:
                before = mesh.gaps_at(i)
                mine = (x > before) & (x < mesh.lower[i])
            elif not key % 2 and i < len(mesh.lower):
                mine &= x <= mesh.gaps_at(i)
            if mine.any():
                beyond = rest.log_mass(x[mine])
                error[mine] += rest.error_at(x[mine])
                if key % 2:
                    result[mine] = logaddexp(self._level(key, beyond), beyond)
                else:
                    with np.errstate(divide="ignore"):
                        whole = rest.total if rest.total > -math.inf else 0.0
                        over = rest.total + log(-expm1(np.minimum(beyond - whole, 0)))
                    result[mine] = logaddexp(self._level(key, over), over)
        result[x <= mesh.ends[0]] = -math.inf
        at_end = x >= mesh.ends[1]
        result[at_end] = self.total
        error[at_end] = self.total_error
        return result, error


def cumulated(
    mesh: Mesh,
    f: Log,
    *,
    down: bool = False,
    ahead: bool = True,
    rounds: int | None = None,
    first: tuple[Any, Any] | None = None,
) -> Cumulated:
    """The integral of e^f from the lower end of the mesh up, or from the upper end down.

    Parameters
    ----------
    ahead
        Whether what lies beyond the panels at the end that is come to last counts.
    rounds
        How often panels have been cut before; None: to take them as they are.
    first
        log of what lies beyond the panels where the integral begins, and its error, where more
        is known of that than e^f tells.

    Raises
    ------
    UnresolvedError
        If panels must be cut first.
    DivergesError
        If the integral is infinite.
    """
    if not down:
        return _upwards(mesh, f, ahead, rounds, first)
    try:
        return _upwards(mesh.mirrored, f.mirrored, ahead, rounds, first).turned_back(mesh)
    except UnresolvedError as unresolved:
        raise UnresolvedError([-x for x in unresolved.cuts]) from None


def _upwards(
    mesh: Mesh, f: Log, ahead: bool, rounds: int | None, begin: tuple[Any, Any] | None
) -> Cumulated:
    r, arithmetic = mesh.rule, mesh.arithmetic
    n, count, eps, depth = r.n, len(mesh.lower), arithmetic.epsilon, depth_of(arithmetic)
    # Everything within a panel counts from its own middle, so that no large exponent rounds it.
    base = f.k * mesh.phi[0]
    phi = _everywhere(r, np.concatenate([np.zeros_like(mesh.phi[:1]), mesh.phi[1:n]]))
    v = r.coefficients @ f.v
    at = _everywhere(r, v)
    local = at + f.k * phi
    top, half = local[1:-1].max(axis=0), mesh.half
    span = to_float(top - local[1:-1].min(axis=0))
    with np.errstate(under="ignore"):
        c = r.coefficients @ exp(np.maximum(local[1:-1] - top, -4 * depth))
    means = r.from_left @ c
    size = np.abs(c).max(axis=0)
    cut = to_float(np.abs(c[-3:]).max(axis=0) / np.where(size == 0, 1, size))
    noise = 4 * eps * (64 + np.abs(f.v).max(axis=0))
    # What a polynomial follows is summed, however far it falls towards an end of its panel.
    gentle = (cut <= noise) | (span <= 4 * LEVEL * n) | ~np.isfinite(span)
    with np.errstate(divide="ignore", invalid="ignore"):
        mass = top + log(half * np.maximum(r.integral @ c, 0 * top))
        seen = np.maximum((r.at_nodes @ means), 0 * top)
        so_far = half * (1 + r.nodes[:, None]) * seen
    step = np.abs(f.k) * mesh.step_error
    own = f.error + 2 * cut + eps * (4 + 2 * np.abs(f.v).max(axis=0)) + step
    first, last = local[0].tolist(), local[-1].tolist()
    masses, bases, steep = mass.tolist(), base.tolist(), (~gentle).tolist()
    walk = _Walk(mesh, f, ahead, begin)
    ratio = np.empty(count, dtype=mesh.lower.dtype)  # log F - L at the lower edge
    errors = np.zeros(count + 1, dtype=mesh.lower.dtype)
    shape = np.empty_like(f.v)  # log F - L at the nodes of steep panels
    kind = np.zeros(count, dtype=int)
    standing = np.zeros(count, dtype=mesh.lower.dtype)  # log F on panels where it is constant
    need: list[Any] = []
    error: Any = 0.0
    lr: Any = -math.inf
    here: Any = -math.inf  # log F, as it stands
    for i in range(count):
        level = first[i] + bases[i]
        if i in walk.gaps:
            here, error = walk.across(i, here, error)
            lr = here - level
            if i == 0 and begin is None and 1 in walk.rests and walk.rests[1].ratio is not None:
                lr = log(number(walk.rests[1].ratio))
        elif i and f.k[i] == f.k[i - 1] and kind[i - 1] < 2 and lr < depth:
            lr = lr + number(at[-1, i - 1] - at[0, i])  # Phi goes on as it was
        elif i:
            lr = here - level
        ratio[i], errors[i] = lr, error
        if steep[i]:
            slopes = f.k[i] * mesh.slope[:, i] + _derivative(v[:, i], r) / half[i]
            begins = i == 0 and walk.begins_steep
            kind[i], shape[:, i], lr, cuts = _steep(
                local[:, i], slopes, half[i], lr, r, begins=begins
            )
            need += [mesh.lower[i] + half[i] * (1 + t) for t in cuts]
            error = f.error[i] + 16 * eps if kind[i] == 1 else error + step[i]
            if cuts and rounds is None:
                error = 1.0  # it could not be followed
            if kind[i] == 2:
                standing[i] = here
            else:
                here = lr + last[i] + bases[i]
            continue
        low, high = lr + first[i], masses[i]
        lr, error = _sum(low, error + step[i], high, own[i])
        counts = cut[i] > noise[i] and high + math.log(cut[i]) > lr + 9 - depth
        rough = counts and (rounds or 0) < ROUNDS
        if rough and half[i] > 64 * spacing(mesh.lower[i : i + 1])[0]:
            need.append(mesh.lower[i] + half[i])
        here = lr + bases[i] if low < high + depth else here
        lr = lr - last[i]
    total = here
    errors[count] = error
    if count in walk.gaps:
        total, errors[count] = walk.across(count, total, error)
    if need and rounds is not None:
        raise UnresolvedError([number(x) for x in need])
    before = ratio + local[0]
    with np.errstate(divide="ignore", invalid="ignore"):
        if arithmetic is DOUBLE:
            inside = logaddexp(before, top + log(so_far))
        else:  # whose exponents have no limit: one logarithm is enough
            ahead = np.minimum(np.where(gentle, before - top, 0 * top), 4 * depth)
            inside = top + log(exp(ahead) + so_far)
    logs = np.where(gentle, inside - local[1:-1], shape)
    constant = kind == 2
    known = np.maximum(np.where(ratio > -math.inf, errors[:-1], 0), errors[1:])
    return Cumulated(
        mesh,
        Log(
            np.where(constant, standing, f.v + np.where(constant, 0, logs)),
            np.where(constant, 0, f.k),
            known,
        ),
        np.where(gentle, 0, 1),
        base,
        before,
        top,
        means,
        number(total),
        walk.rests,
        np.append(known, errors[-1]),
        walk.levels,
    )


def beyond(mesh: Mesh, f: Log, *, at_upper: bool) -> tuple[Any, Any] | None:
    """log of the integral of e^f between the panels and an end, and its error; None: no gap."""
    gaps = dict(mesh.gaps)
    i = len(mesh.lower) if at_upper else 0
    if i not in gaps:
        return None
    panel = i - 1 if at_upper else 0
    rest = _rest(mesh, f, panel, gaps[i], at_lower=not at_upper)
    return rest.total, rest.error + f.error[panel]


class _Walk:
    """What lies between the panels, and at the ends."""

    def __init__(self, mesh: Mesh, f: Log, ahead: bool, begin: tuple[Any, Any] | None) -> None:
        self.begin = begin
        count = len(mesh.lower)
        inner = {i: z for i, z in mesh.gaps if 0 < i < count}
        outer = {i: z for i, z in mesh.gaps if i == 0 or (i == count and ahead)}
        self.gaps = {**inner, **outer}
        self.mesh, self.log = mesh, f
        self.rests: dict[int, Rest] = {}  # 2 i: beyond the panel before; 2 i + 1: before panel i
        self.levels: dict[int, Any] = {}
        self.begins_steep = False

    def across(self, i: int, here: Any, error: Any) -> tuple[Any, Any]:
        count = len(self.mesh.lower)
        for key, panel, at_lower in ((2 * i, i - 1, False), (2 * i + 1, i, True)):
            if 0 <= panel < count:
                rest = _rest(self.mesh, self.log, panel, self.gaps[i], at_lower=at_lower)
                if i == 0 and self.begin is not None:
                    rest = rest.holding(*self.begin)
                self.rests[key], self.levels[key] = rest, here
                self.begins_steep |= i == 0 and rest.is_steep and not rest.diverges
                if rest.diverges and i < count:
                    raise DivergesError
                here, error = _sum(here, error, rest.total, rest.error + self.log.error[panel])
        return here, error


def _steep(
    local: Array, slopes: Array, half: Any, lr: Any, r: Rule, *, begins: bool
) -> tuple[int, Array, Any, list[Any]]:
    """A panel on which L is steep: what kind it is, log F - L at its nodes and its upper edge.

    And where (from -1 to 1) it must be cut, if it is neither constant nor slow.
    """
    nodes, first, last = local[1:-1], number(local[0]), number(local[-1])
    low, top = lr + first, number(local.max())
    depth = depth_of(r.arithmetic)
    if low > top + log(number(2 * half)) + depth:
        return 2, low - nodes, low - last, []
    if not (slopes > 0).all():
        turn = np.flatnonzero((slopes[:-1] > 0) != (slopes[1:] > 0))
        cuts = [(r.nodes[j] + r.nodes[j + 1]) / 2 for j in turn] or [-r.arithmetic.one]
        return 0, 0 * nodes, low - last, cuts
    slow = log(1 / slopes)
    # What has forgotten how it came in is the one solution that varies slowly.
    start, at, end = _slowest(slopes * half, half, r)
    if _is_resolved(at, r) and start > 0 and (begins or abs(lr - log(start)) < FORGOTTEN):
        return 1, log(at), log(end), []
    if abs(lr - slow[0]) < 1:
        at, end = _slow(slopes * half, exp(lr), half, r)
        if _is_resolved(at, r) and end > 0:
            return 1, log(at), log(number(end)), []
    # F is constant until what comes in here takes over: that is where.
    ahead = nodes + slow - low
    late = np.flatnonzero(ahead > 0)
    t = np.concatenate([[-r.arithmetic.one], r.nodes, [r.arithmetic.one]])
    ahead = np.concatenate([[first + slow[0] - low], ahead, [last + slow[-1] - low]])
    late = np.flatnonzero(ahead > 0)
    if not len(late) or late[0] == 0 or infinite(number(ahead[0])):
        place = t[0] if len(late) else t[-1]
    else:
        j = int(late[0])
        place = t[j - 1] + (t[j] - t[j - 1]) * (ahead[j - 1] / (ahead[j - 1] - ahead[j]))
    return 0, 0 * nodes, (number(slow[-1]) if len(late) else low - last), [place]


def _sum(a: Any, a_error: Any, b: Any, b_error: Any) -> tuple[Any, Any]:
    """log(e^a + e^b) and its error."""
    top, low = (a, b) if a > b else (b, a)
    if low == -math.inf or top == math.inf:
        return top, (a_error if a > b else b_error)
    if low < top - NOTHING:
        return top, (a_error if a > b else b_error)
    total = top + log(number(1 + exp(number(low - top))))
    share = exp(number(a - total))
    return total, share * a_error + (1 - share) * b_error


def _everywhere(r: Rule, c: Array) -> Array:
    """Values at the lower edge, at the nodes and at the upper edge."""
    odd, even = c[1::2].sum(axis=0), c[::2].sum(axis=0)
    return np.concatenate([(even - odd)[None], r.at_nodes @ c, (even + odd)[None]])


def _derivative(c: Array, r: Rule) -> Array:
    """The derivative at the nodes of the polynomial with coefficients c."""
    return np.asarray((r.at_nodes @ derived(c[:, None]))[:, 0])


def _slow(slopes: Array, first: Any, half: Any, r: Rule) -> tuple[Array, Any]:
    """rho at the nodes and at the right end: rho' = half - slopes rho, from rho = first."""
    if r.arithmetic is DOUBLE:
        integral, whole = _integration(r.n)
        matrix = np.diag(1 / slopes) + integral
        d = np.linalg.solve(matrix, half / slopes - first)
        return first + integral @ d, first + whole @ d
    return _slow_in_digits(slopes, first, half, r)


def _is_resolved(rho: Array, r: Rule) -> bool:
    size = np.abs(rho).max()
    tail = np.abs((r.coefficients @ rho[:, None])[-3:, 0]).max()
    return bool((rho > 0).all() and tail < 1e4 * r.arithmetic.epsilon * size)


def _slowest(slopes: Array, half: Any, r: Rule) -> tuple[Any, Array, Any]:
    """rho at the left end, at the nodes and at the right end: that which varies slowly.

    Of all solutions of rho' = half - slopes rho it is the only one that a polynomial follows.
    """
    plain = rule(r.n)
    relative = to_float(slopes / slopes[0])
    steep = min(float(to_float(slopes[0])), 1e300)
    inverse = np.linalg.inv(plain.slopes / steep + np.diag(relative))
    unit = r.arithmetic.array(inverse @ np.ones(r.n))  # of half / slopes[0]
    if r.arithmetic is not DOUBLE:
        for _ in range(math.ceil(r.arithmetic.accuracy / 8) + 4):
            slope = _derivative((r.coefficients @ unit[:, None])[:, 0], r)
            rest = 1 - slope / slopes[0] - slopes / slopes[0] * unit
            worst = max(abs(x) for x in rest)
            if worst == 0:
                break
            unit = unit + r.arithmetic.array(inverse @ to_float(rest / worst)) * worst
    c = (r.coefficients @ unit[:, None])[:, 0]
    scale = half / slopes[0]
    odd, even = c[1::2].sum(), c[::2].sum()
    return number(scale * (even - odd)), scale * unit, number(scale * (even + odd))


def _slow_in_digits(slopes: Array, first: Any, half: Any, r: Rule) -> tuple[Array, Any]:
    """The same, solved in doubles and corrected by what it leaves over in many digits."""
    integral, _ = _integration(r.n)
    steep = to_float(slopes)
    inverse = np.linalg.inv(np.diag(1 / steep) + integral)
    unit = half / slopes[0]
    right = (half / slopes - first) / unit
    d = 0 * right
    total = d
    for _ in range(math.ceil(r.arithmetic.accuracy / 8) + 4):
        c = r.antiderivative @ (r.coefficients @ d[:, None])
        total = (r.at_nodes @ c[: r.n])[:, 0]
        rest = right - d / slopes - total
        worst = max(abs(x) for x in rest)
        if worst == 0:
            break
        d = d + r.arithmetic.array(inverse @ to_float(rest / worst)) * worst
    c = r.antiderivative @ (r.coefficients @ d[:, None])
    total = (r.at_nodes @ c[: r.n])[:, 0]
    return first + unit * total, first + unit * c.sum()


def _integration(n: int) -> tuple[Array, Array]:
    """Values at the nodes -> integrals from -1 to the nodes, and to 1 (doubles)."""
    if n not in _MATRICES:
        r = rule(n)
        table = r.antiderivative @ r.coefficients
        _MATRICES[n] = (r.basis.T @ table[:n], table.sum(axis=0))
    return _MATRICES[n]


_MATRICES: dict[int, tuple[Array, Array]] = {}
_ = (compact, converted, spacing)
