"""The way up over the panels of a stretch: what each adds to an integral of e^L, by itself.

What is met on the way, F = int e^L at the edges, is kept as log F - L where L rises steeply, and as
log F where it has become constant.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from stationary.aliases import Array
from stationary.numbers.arithmetic import DOUBLE, Arithmetic
from stationary.numbers.chebyshev import Rule, ends_of
from stationary.numbers.elementary import as_array, converted, depth_of, exp, log, number, to_float
from stationary.states.rests import Walk, log_sum
from stationary.states.scales import LEVEL, STEEPEST, Log, Mesh
from stationary.states.steep import course_on, derivatives, slowest_of

ROUNDS = 12  # of halving panels on which a product is not resolved


@dataclass(frozen=True, eq=False)
class Panels:
    """What each panel adds, by itself: everything counts from its middle, so that no large
    exponent rounds it."""

    base: Array  # f at the middle
    at: Array  # (n + 2, panels): v at the lower edge, at the nodes and at the upper edge
    local: Array  # f - base there
    top: Array
    means: Array
    so_far: Array  # the integral of e^(local - top) up to each node
    masses: list[Any]  # log of the integral over the panel, less base
    cut: Array  # what its polynomial leaves out
    noise: Array
    gentle: Array  # where it is summed
    own: Array  # the error of its integral
    step: Array  # that of a step of Phi
    slopes: Array


def panels_of(mesh: Mesh, f: Log) -> Panels:
    r, numbers, half = mesh.rule, mesh.numbers, mesh.half
    n, eps, depth = r.n, numbers.epsilon, depth_of(numbers)
    v = r.coefficients @ f.v
    at = _everywhere(r, v)
    local = at + f.k * _everywhere(r, mesh.phi)
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
    own = own + capped(4 * mesh.arithmetic.grain * np.abs(f.level), numbers)
    with np.errstate(divide="ignore", invalid="ignore"):  # half is 0 next to a jump
        slopes = f.k * mesh.slope + derivatives(v, r) / half
    base = f.level + f.k * mesh.middle
    return Panels(
        base, at, local, top, means, so_far, mass.tolist(), cut, noise, gentle, own, step, slopes
    )


class Pass:
    """One way up over the panels: log F at the edge that is come to, and what was met."""

    def __init__(
        self, mesh: Mesh, f: Log, panels: Panels, walk: Walk, rounds: int | None, start: Any
    ) -> None:
        self.mesh, self.f, self.panels, self.walk, self.rounds = mesh, f, panels, walk, rounds
        self.depth, self.eps = depth_of(mesh.numbers), mesh.numbers.epsilon
        count = len(mesh.half)
        self.lows = (f.level + f.k * mesh.rises[0] + panels.at[0]).tolist()  # f at lower edges
        self.highs = (f.level + f.k * mesh.rises[1] + panels.at[-1]).tolist()
        self.first, self.last = panels.local[0].tolist(), panels.local[-1].tolist()
        self.bases, self.steep = panels.base.tolist(), (~panels.gentle).tolist()
        with np.errstate(divide="ignore", invalid="ignore"):
            self.finest = 64 * mesh.spacing / mesh.half
        self.levels = f.level.tolist()
        rises = ~panels.gentle & np.asarray(panels.slopes > 0, dtype=bool).all(axis=0)
        self.slowest = _slowest(mesh, f, np.flatnonzero(rises), panels.slopes, mesh.half)
        self.ratio: list[Any] = [-math.inf] * count  # log F - f at the lower edge
        self.errors: list[Any] = [0.0] * (count + 1)
        self.slow = np.zeros_like(f.v)  # log F - f at the nodes of steep panels
        self.constant = np.zeros(count, dtype=bool)
        self.standing: list[Any] = [0.0] * count  # log F on panels where it is constant
        self.need: list[Any] = []
        self.marks: list[Any] = []
        self.error: Any = 0.0
        self.lr: Any = start
        # log F, as it stands
        self.here: Any = start + self.lows[0] if start > -math.inf else start
        self.follows = False  # a panel that must be cut, at whose upper edge F is known roughly

    def shaped(self, x: Any) -> Any:
        return float(x) if self.mesh.numbers.dtype == float else x

    def over(self, i: int) -> None:
        """Over panel `i`."""
        slip = self._come_to(i)
        self.ratio[i], self.errors[i] = self.lr, self.error
        low, high = self.lr + self.first[i], self.panels.masses[i]
        if low > high + self.depth + 1:
            self.constant[i], self.standing[i] = True, self.here  # nothing is added to it
        elif self.steep[i]:
            self._steeply(i, slip)
        else:
            self._summed(i, low, high, slip)

    def _come_to(self, i: int) -> Any:
        """To its lower edge; what that rounds."""
        f, walk = self.f, self.walk
        if i in walk.gaps:
            self.here, self.error = walk.across(i, self.here, self.error)
            self.lr = self.shaped(self.here - self.lows[i])
            known = walk.rests.get(1) if i == 0 and walk.begin is None else None
            if known is not None and known.ratio is not None:
                self.lr = self.shaped(log(number(known.ratio)))
            return 0.0
        if not i:
            return 0.0
        goes_on = f.k[i] == f.k[i - 1] and self.levels[i] == self.levels[i - 1]
        if goes_on and not self.constant[i - 1] and self.lr < self.depth:
            at = self.panels.at
            self.lr = self.lr + number(at[-1, i - 1] - at[0, i])  # Phi goes on as it was
            return 0.0
        self.lr = self.shaped(self.here - self.lows[i])
        if self.here == -math.inf:
            return 0.0
        return min(self.mesh.arithmetic.grain * abs(self.lows[i]), STEEPEST)

    def _steeply(self, i: int, slip: Any) -> None:
        mesh, f, half = self.mesh, self.f, self.mesh.half
        course = course_on(
            self.panels.local[:, i],
            self.panels.slopes[:, i],
            half[i],
            self.lr,
            self.shaped(slip),
            mesh.rule,
            begins=(i == 0 and self.walk.begins_steep) or self.follows,
            finest=self.finest[i],
            excess=mesh.excess[i] if f.k[i] else 0 * half[i],
            slowest=self.slowest.get(i),
        )
        self.follows = bool(course.cuts) and not course.constant
        cut = self.marks if course.sharp else self.need
        cut.extend(mesh.place(i, t) for t in course.cuts)
        self.constant[i], self.slow[:, i] = course.constant, course.ratio
        if course.constant:
            if self.here > -math.inf:
                self.here = self.here + course.gain
            else:
                self.here = self.lows[i] + (course.end + self.last[i] - self.first[i])
            self.standing[i], self.error = self.here, self.error + course.error
        else:
            self.lr = course.end
            self.error = f.error[i] + 16 * self.eps + course.error
            self.here = self.lr + self.highs[i]
        if course.cuts and self.rounds is None:
            self.error = 1.0  # it could not be followed

    def _summed(self, i: int, low: Any, high: Any, slip: Any) -> None:
        mesh, panels = self.mesh, self.panels
        self.follows = False
        known = self.error + panels.step[i] + self.shaped(slip)
        lr, self.error = log_sum(low, known, high, panels.own[i])
        if lr > -math.inf:
            self.error += self.eps * abs(lr) / 4  # logarithms are rounded at every step, either way
        cut, least = panels.cut[i], lr + 9 - self.depth
        counts = cut > panels.noise[i] and high + math.log(cut) > least
        if counts and (self.rounds or 0) < ROUNDS and self.finest[i] < 1:
            self.need.append(number((mesh.lower[i] + mesh.upper[i]) / 2))
        self.here = lr + self.bases[i]
        self.lr = lr - self.last[i]


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


def capped(error: Array, numbers: Arithmetic) -> Array:
    """An error of levels among those of shapes, which doubles hold."""
    return as_array(converted(np.minimum(error, STEEPEST), numbers))


def _everywhere(r: Rule, c: Array) -> Array:
    """Values at the lower edge, at the nodes and at the upper edge."""
    low, high = ends_of(c)
    return np.concatenate([low[None], r.at_nodes @ c[: r.n], high[None]])
