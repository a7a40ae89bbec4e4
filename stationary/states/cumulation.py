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
from stationary.numbers.chebyshev import chebyshev_sum
from stationary.numbers.elementary import as_array, converted, finite, log, logaddexp, number
from stationary.progress import each
from stationary.states.law import Value
from stationary.states.laying import mesh_on
from stationary.states.rests import LastLeg, Rest, Walk
from stationary.states.scales import Log, Mesh
from stationary.states.upwards import Pass, capped, panels_of

T = TypeVar("T")

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
        error = self.left_error[k] + capped(mesh.arithmetic.grain * size, mesh.numbers)
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
    numbers, count = mesh.numbers, len(mesh.half)
    panels, walk = panels_of(mesh, f), Walk(mesh, f, ahead, begin)
    way = Pass(mesh, f, panels, walk, rounds, start)
    for i in each(range(count), "panels of this round"):
        way.over(i)
    total, total_error = way.here, way.error
    way.errors[count] = way.error
    if count in walk.gaps:
        total, total_error = walk.across(count, total, total_error)
    if (way.need or way.marks) and rounds is not None:
        raise UnresolvedError(way.need, way.marks)
    ratios, known = numbers.array(way.ratio), numbers.array(way.errors)
    before, constant = ratios + panels.local[0], way.constant
    with np.errstate(divide="ignore", invalid="ignore"):
        inside = logaddexp(before, panels.top + log(panels.so_far))
    logs = np.where(panels.gentle, inside - panels.local[1:-1], way.slow)
    known = np.maximum(np.where(ratios > -math.inf, known[:-1], 0), known[1:])
    return Cumulated(
        mesh,
        Log(
            np.where(constant, 0 * f.v, f.v + np.where(constant, 0 * f.v, logs)),
            np.where(constant, 0, f.k),
            known,
            np.where(constant, mesh.arithmetic.array(way.standing), f.level),
        ),
        panels.gentle & ~constant,
        panels.base,
        before,
        panels.top,
        panels.means,
        number(total),
        way.here - way.highs[-1] if constant[-1] else way.lr,
        walk.rests,
        np.append(known, numbers.array([total_error])),
        walk.levels,
    )
