"""Integrals of e^(k Phi) times powers of a, cumulated along a stretch of the line, in logarithms.

Scale and speed measure, mean times and their variances are integrals inside integrals of
positive functions. Each is kept as level + v + k Phi at the nodes of common panels, and each
integral is one pass over them: summed where e^L varies gently over a panel; where it rises by more
than panels could follow, F = int e^L is rho e^L with rho' = 1 - L' rho, which varies as slowly as
the functions do; where all has been collected long before, it is constant. So an answer costs the
same however little noise there is, and is one fixed function of its point: many points are asked
for as one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np

from stationary.aliases import Array
from stationary.line.ends import Anatomy
from stationary.numbers.arithmetic import DOUBLE, Arithmetic
from stationary.numbers.chebyshev import Rule, chebyshev_sum, ends_of
from stationary.numbers.elementary import (
    as_array,
    converted,
    depth_of,
    exp,
    finite,
    log,
    logaddexp,
    number,
    to_float,
)
from stationary.progress import each
from stationary.states.law import Value
from stationary.states.laying import mesh_on
from stationary.states.rests import LastLeg, Rest, Walk, log_sum
from stationary.states.scales import LEVEL, STEEPEST, Log, Mesh
from stationary.states.steep import course_on, derivatives, slowest_of

T = TypeVar("T")

ROUNDS = 12  # of halving panels on which a product is not resolved
MOST_ROUNDS = 60  # of cutting panels; each finds where one more integral turns


class UnresolvedError(Exception):
    """Panels must be cut before the integral can be followed.

    At `cuts`, and at `marks`, where it changes within an e-fold.
    """

    def __init__(self, cuts: list[Any], marks: list[Any]) -> None:
        super().__init__(f"{len(cuts)} cuts, {len(marks)} marks")
        self.cuts, self.marks = cuts, marks


def resolved(
    pieces: tuple[Anatomy, ...],
    ends: tuple[Any, Any],
    build: Callable[[Mesh, int | None], T],
    memory: dict[int, Mesh],
    cuts: Iterable[Any] = (),
    leaves: tuple[bool, bool] = (True, True),
) -> T:
    """What is built on a mesh between two ends, which is cut as often as that asks for."""
    cuts, marks, before = list(cuts), list[Any](), -1
    for rounds in range(MOST_ROUNDS):
        mesh = mesh_on(pieces, ends, (cuts, marks), memory, leaves)
        if len(mesh.lower) == before:
            break  # places that are asked for again are not told apart
        before = len(mesh.lower)
        try:
            return build(mesh, rounds)
        except UnresolvedError as unresolved:
            cuts += unresolved.cuts
            marks += unresolved.marks
    return build(mesh, None)


@dataclass(frozen=True, eq=False)
class Cumulated:
    """F(x) = int e^L from the lower end of a mesh to x."""

    mesh: Mesh
    log: Log  # log F at the nodes
    summed: Array  # of each panel; on the others log F itself is a polynomial
    base: Array  # of each panel, from which its logarithms count
    before: Array  # log F at its lower edge
    top: Array
    means: Array  # (n, panels): of e^(L - top), from the lower edge to t
    total: Any  # log F at the upper end
    ratio: Any  # log F - L there
    rests: dict[int, Rest | LastLeg]
    left_error: Array
    levels: dict[int, Any]  # log F where each rest begins
    sign: int = 1  # -1: the mesh is that of -x

    @property
    def _own(self) -> Log:
        return self.log if self.sign > 0 else self.log.mirrored

    @property
    def total_error(self) -> Any:
        return number(self.left_error[-1])

    def __call__(self, x: Array) -> Value:
        """F at points of the stretch (any order)."""
        mesh = self.mesh
        x = self.sign * x
        k, t = mesh.locate(x)
        with np.errstate(divide="ignore", invalid="ignore"):
            mean = np.maximum(chebyshev_sum(self.means, t, k), 0)
            part = self.top[k] + log(converted(x - mesh.lower[k], mesh.numbers) * mean)
            result = self.base[k] + logaddexp(self.before[k], part)
        size = np.abs(np.where(finite(result), result, 0))
        error = self.left_error[k] + _capped(mesh.arithmetic.grain * size, mesh.numbers)
        steep = ~self.summed[k]
        if steep.any():
            result[steep] = mesh.value(self._own, x[steep])
            error[steep] += mesh.rounding(self._own, x[steep])
        for key, rest in self.rests.items():
            # Between the panels and a singular point a power of the distance goes on.
            i = key // 2
            mine = (x < mesh.lower[k]) & (k == i) if key % 2 else (x > mesh.upper[k]) & (k == i - 1)
            if key % 2 and i:
                mine = (x > mesh.gaps[i]) & (x < mesh.lower[i])
            elif not key % 2 and i < len(mesh.lower):
                mine &= x <= mesh.gaps[i]
            if not mine.any():
                continue
            if isinstance(rest, Rest) and not key % 2:
                here = rest.log_inside(x[mine])
            else:
                here = rest.beyond(x[mine])
            error[mine] += converted(rest.error_at(x[mine]), mesh.numbers)
            result[mine] = logaddexp(mesh.arithmetic.array(np.array([self.levels[key]])), here)
        result[x <= mesh.ends[0]] = -math.inf
        at_end = x >= mesh.ends[1]
        result[at_end] = self.total
        error[at_end] = self.total_error
        return Value(as_array(result), error)


def cumulated(
    mesh: Mesh,
    f: Log,
    *,
    down: bool = False,
    ahead: bool = True,
    rounds: int | None = None,
    first: LastLeg | None = None,
    start: Any = -math.inf,
) -> Cumulated:
    """The integral of e^f from the lower end of the mesh up, or from the upper end `down`.

    Parameters
    ----------
    ahead
        Whether what lies beyond the panels at the end that is come to last counts.
    rounds
        How often panels have been cut before: an `UnresolvedError` asks for more. None: to take
        them as they are.
    first
        What lies beyond the panels where the integral begins, where more is known of that than
        e^f tells.
    start
        log F - f where the integral begins, if it does not begin from nothing.
    """
    if not down:
        return _upwards(mesh, f, ahead, rounds, first, start)
    try:
        found = _upwards(mesh.mirrored, f.mirrored, ahead, rounds, first, start)
    except UnresolvedError as unresolved:
        both = ([-x for x in some] for some in (unresolved.cuts, unresolved.marks))
        raise UnresolvedError(*both) from None
    return replace(found, log=found.log.mirrored, sign=-1)


def _upwards(
    mesh: Mesh, f: Log, ahead: bool, rounds: int | None, begin: LastLeg | None, start: Any
) -> Cumulated:
    r, numbers, half = mesh.rule, mesh.numbers, mesh.half
    n, count, eps, depth = r.n, len(half), numbers.epsilon, depth_of(numbers)
    # Everything within a panel counts from its own middle, so that no large exponent rounds it.
    base = f.level + f.k * mesh.middle
    phi = _everywhere(r, mesh.phi)
    v = r.coefficients @ f.v
    at = _everywhere(r, v)
    local = at + f.k * phi
    top = local[1:-1].max(axis=0)
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
        seen = r.at_nodes @ means
        if (seen <= 0).any():  # by rounding, where little is left of it: in the sliver of a jump
            least = exp(np.maximum(np.minimum(local[:1], local[1:-1]) - top, -4 * depth))
            seen = np.where(np.asarray(seen <= 0, dtype=bool), least, seen)
        so_far = half * (1 + r.nodes[:, None]) * seen
    step = np.abs(f.k) * mesh.step_error
    own = f.error + 2 * cut + eps * (4 + 2 * np.abs(f.v).max(axis=0)) + step
    # Where something constant is a factor, its logarithm was rounded, and its sum with k Phi is.
    own = own + _capped(4 * mesh.arithmetic.grain * np.abs(f.level), numbers)
    lows = (f.level + f.k * mesh.rises[0] + at[0]).tolist()
    highs = (f.level + f.k * mesh.rises[1] + at[-1]).tolist()
    first, last = local[0].tolist(), local[-1].tolist()
    masses, bases, steep = mass.tolist(), base.tolist(), (~gentle).tolist()
    finest = 64 * mesh.spacing / half
    levels = f.level.tolist()
    slopes = f.k * mesh.slope + derivatives(v, r) / half
    rising = np.flatnonzero(~gentle & np.asarray(slopes > 0, dtype=bool).all(axis=0))
    slowest = _slowest(mesh, f, rising, slopes, half)
    walk = Walk(mesh, f, ahead, begin)

    def shape(x: Any) -> Any:
        return float(x) if numbers.dtype == float else x

    ratio: list[Any] = [-math.inf] * count  # log F - L at the lower edge
    errors: list[Any] = [0.0] * (count + 1)
    slow = np.zeros_like(f.v)  # log F - L at the nodes of steep panels
    constant = np.zeros(count, dtype=bool)
    standing: list[Any] = [0.0] * count  # log F on panels where it is constant
    need: list[Any] = []
    marks: list[Any] = []
    error: Any = 0.0
    lr: Any = start
    here: Any = start + lows[0] if start > -math.inf else start  # log F, as it stands
    follows = False  # a panel that must be cut, at whose upper edge F is known roughly
    for i in each(range(count), "panels of this round"):
        slip: Any = 0.0
        goes_on = i and not constant[i - 1] and f.k[i] == f.k[i - 1] and levels[i] == levels[i - 1]
        if i in walk.gaps:
            here, error = walk.across(i, here, error)
            lr = shape(here - lows[i])
            if i == 0 and begin is None and 1 in walk.rests and walk.rests[1].ratio is not None:
                lr = shape(log(number(walk.rests[1].ratio)))
        elif goes_on and lr < depth:
            lr = lr + number(at[-1, i - 1] - at[0, i])  # Phi goes on as it was
        elif i:
            lr = shape(here - lows[i])
            slip = min(mesh.arithmetic.grain * abs(lows[i]), STEEPEST) if here > -math.inf else 0.0
        ratio[i], errors[i] = lr, error
        low, high = lr + first[i], masses[i]
        if low > high + depth + 1:
            constant[i], standing[i] = True, here  # nothing is added to it
        elif steep[i]:
            begins = (i == 0 and walk.begins_steep) or follows
            course = course_on(
                local[:, i],
                slopes[:, i],
                half[i],
                lr,
                shape(slip),
                r,
                begins=begins,
                finest=finest[i],
                excess=mesh.excess[i] if f.k[i] else 0 * half[i],
                slowest=slowest.get(i),
            )
            follows = bool(course.cuts) and not course.constant
            (marks if course.sharp else need).extend(mesh.place(i, t) for t in course.cuts)
            constant[i], slow[:, i] = course.constant, course.ratio
            if course.constant:
                if here > -math.inf:
                    here = here + course.gain
                else:
                    here = lows[i] + (course.end + last[i] - first[i])
                standing[i], error = here, error + course.error
            else:
                lr, error = course.end, f.error[i] + 16 * eps + course.error
                here = lr + highs[i]
            if course.cuts and rounds is None:
                error = 1.0  # it could not be followed
        else:
            follows = False
            lr, error = log_sum(low, error + step[i] + shape(slip), high, own[i])
            if lr > -math.inf:
                error += eps * abs(lr) / 4  # logarithms are rounded at every step, either way
            counts = cut[i] > noise[i] and high + math.log(cut[i]) > lr + 9 - depth
            rough = counts and (rounds or 0) < ROUNDS
            if rough and finest[i] < 1:
                need.append(number((mesh.lower[i] + mesh.upper[i]) / 2))
            here = lr + bases[i]
            lr = lr - last[i]
    total, total_error = here, error
    errors[count] = error
    if count in walk.gaps:
        total, total_error = walk.across(count, total, error)
    if (need or marks) and rounds is not None:
        raise UnresolvedError(need, marks)
    ratios, known = numbers.array(ratio), numbers.array(errors)
    before = ratios + local[0]
    with np.errstate(divide="ignore", invalid="ignore"):
        inside = logaddexp(before, top + log(so_far))
    logs = np.where(gentle, inside - local[1:-1], slow)
    known = np.maximum(np.where(ratios > -math.inf, known[:-1], 0), known[1:])
    return Cumulated(
        mesh,
        Log(
            np.where(constant, 0 * f.v, f.v + np.where(constant, 0 * f.v, logs)),
            np.where(constant, 0, f.k),
            known,
            np.where(constant, mesh.arithmetic.array(standing), f.level),
        ),
        gentle & ~constant,
        base,
        before,
        top,
        means,
        number(total),
        here - highs[-1] if constant[-1] else lr,
        walk.rests,
        np.append(known, numbers.array([total_error])),
        walk.levels,
    )


def _slowest(mesh: Mesh, f: Log, rising: Array, slopes: Array, half: Array) -> dict[int, Any]:
    """`slowest_of` the panels on which L rises; in many digits, where it costs, never twice."""

    def key(i: int) -> tuple[Any, ...]:
        ends = (mesh.lower[i], mesh.upper[i], f.v[0, i], f.v[-1, i])
        return (int(f.k[i]), *map(number, ends))

    known = {} if mesh.numbers is DOUBLE else mesh.slow
    keys = {i: i if mesh.numbers is DOUBLE else key(i) for i in rising.tolist()}
    fresh = [i for i in keys if keys[i] not in known]
    if fresh:
        start, at, end = slowest_of(slopes[:, fresh] * half[fresh], half[fresh], mesh.rule)
        for n, i in enumerate(fresh):
            known[keys[i]] = number(start[n]), at[:, n], number(end[n])
    return {i: known[keys[i]] for i in keys}


def _capped(error: Array, numbers: Arithmetic) -> Array:
    """An error of levels among those of shapes, which doubles hold."""
    return as_array(converted(np.minimum(error, STEEPEST), numbers))


def _everywhere(r: Rule, c: Array) -> Array:
    """Values at the lower edge, at the nodes and at the upper edge."""
    low, high = ends_of(c)
    return np.concatenate([low[None], r.at_nodes @ c[: r.n], high[None]])
