"""Attractors that are images of each other, in a mirror or turned: each holds as much.

w1 tanh(w0 x) is the same with both signs changed, and so is all that SGD does with it. What crosses
between such attractors, however rarely, decides nothing: the law around one of them is that around
all. So it is had however high barriers are, and however thin the noise is at saddles.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from scipy.special import logsumexp

from stationary.aliases import Array
from stationary.errors import StationaryError
from stationary.numbers.arithmetic import HUGE, SAME
from stationary.numbers.chebyshev import rule
from stationary.numbers.elementary import distinct
from stationary.plane.boxes import box_of, clipped, finite_box, scattered
from stationary.plane.density import Density, Law
from stationary.plane.fitted import adds_across
from stationary.plane.inside import Labels
from stationary.plane.local import Equilibrium, around, positions
from stationary.plane.marginal import NODES, Marginal
from stationary.plane.mesh import Panels, end_to_end
from stationary.plane.regions import Nodes
from stationary.plane.rough import on_box
from stationary.plane.spectral import CUT
from stationary.plane.state import PlaneState
from stationary.process.plane import Box, Fields, PlaneDiffusion

BOXES, GROWS = 8, 1.5  # around an attractor, and times as wide is each next one
SEEN = 10.0  # the same of a rough chain: where it has not fallen by that, it did not by more
BELOW = 6.0  # in -log P: less than CUT by so much P may have fallen at their sides
PLACES = 1024  # at which drift and noise are compared, in all, between attractors, and at one
TURNS = np.array([
    [[-1.0, 0.0], [0.0, -1.0]],
    [[-1.0, 0.0], [0.0, 1.0]],
    [[1.0, 0.0], [0.0, -1.0]],
    [[0.0, 1.0], [1.0, 0.0]],
    [[0.0, -1.0], [-1.0, 0.0]],
    [[0.0, -1.0], [1.0, 0.0]],
    [[0.0, 1.0], [-1.0, 0.0]],
])  # fmt: skip
ALIKE = (
    "The attractors are images of each other, in a mirror or turned, and hold as much each: what "
    "lies between them, and how high barriers are, was not looked at."
)


@dataclass(frozen=True, eq=False)
class Images(Law):
    """A density and its images under x -> middle + turn (x - middle), which do not meet."""

    inner: Density
    middle: Array
    turns: Array  # (K, 2, 2), the first of them none
    unlike: float  # by so much of its own P differs between images, which are so to rounding

    def _all(self, x: Array) -> Array:
        """(K, 2, M): the images of points."""
        return np.asarray(self.turns @ (x - self.middle) + self.middle)

    def _back(self, x: Array) -> Array:
        """(K, 2, M): what points are the images of."""
        return np.asarray(np.swapaxes(self.turns, 1, 2) @ (x - self.middle) + self.middle)

    @property
    def shares(self) -> Array:
        return np.full(len(self.turns), 1 / len(self.turns))

    @property
    def known(self) -> float:
        return self.inner.known + self.unlike

    @cached_property
    def log_total(self) -> float:
        return self.inner.log_total + math.log(len(self.turns))

    @property
    def height(self) -> Array:
        return self.inner.height

    def log_at(self, x: Array, size: bool = False) -> Array:
        return np.asarray(logsumexp([self.inner.log_at(y, size) for y in self._back(x)], axis=0))

    def slope_at(self, x: Array) -> Array:
        made = np.full(x.shape, np.nan)
        for turn, y in zip(self.turns, self._back(x), strict=True):
            slope = turn @ self.inner.slope_at(y)
            made = np.where(np.isfinite(slope), slope, made)
        return made

    def rises_on(self, panels: Panels) -> tuple[Array, Array]:
        log, slope = self.inner.rises_on(panels)
        return np.tile(log, len(self.turns)), np.hstack([*(self.turns @ slope)])

    @property
    def panels(self) -> Panels:
        return self.inner.panels

    def within(self, panels: Panels) -> tuple[Array, Array, Array]:
        x, log, u = self.inner.within(panels)
        count = len(self.turns)
        return np.concatenate([*self._all(x)], axis=1), np.tile(log, count), np.tile(u, count)

    def cut(self, labels: Labels, rough: bool = False, only: Any = ()) -> Nodes:
        return end_to_end([self._cut(k, labels, rough, only) for k in range(len(self.turns))])

    def _cut(self, k: int, labels: Labels, rough: bool, only: Any) -> Nodes:
        made: Nodes = self.inner.cut(lambda x: labels(self._all(x)[k]), rough, only)
        return made._replace(x=self._all(made.x)[k])

    def rvs(self, size: int, generator: np.random.Generator) -> Array:
        drawn = self._all(self.inner.rvs(size, generator))
        chosen = generator.integers(len(self.turns), size=size)
        return np.asarray(drawn[chosen, :, np.arange(size)].T)

    def _boxes(self, box: Box) -> Array:
        """(K, 2, 2): what boxes are the images of."""
        ends = np.nan_to_num(np.array(box, dtype=float), posinf=HUGE, neginf=-HUGE)
        return np.sort(self._back(ends), axis=2)

    def _log_rectangle(self, box: Box) -> float:
        logs = [self.inner.log_mass(box_of(*ends.T)) for ends in self._boxes(box)]
        return float(logsumexp(logs)) - math.log(len(self.turns))

    def _marginal(self, axis: int) -> Marginal:
        """On the images of all panels: each coordinate is one of the inner ones, there or back."""
        parts = []
        for row in self.turns[:, axis]:
            k = int(np.argmax(np.abs(row)))
            sign, start = row[k], self.middle[axis, 0] - row[k] * self.middle[k, 0]
            parts.append((self.inner.marginals[k], sign, start))
        edges = distinct(*[start + sign * law.edges for law, sign, start in parts])
        x = edges[:-1] + np.diff(edges) * (1 + rule(NODES).nodes[:, None]) / 2
        values = sum(law.pdf(sign * (x - start)) for law, sign, start in parts)
        return Marginal.of(edges, np.asarray(values))

    @property
    def box(self) -> Box:
        ends = self._all(np.array(self.inner.box))
        return box_of(ends.min(axis=(0, 2)), ends.max(axis=(0, 2)))


def among_images(
    process: PlaneDiffusion,
    equilibria: tuple[Equilibrium, ...],
    solve: Callable[[PlaneDiffusion, tuple[Equilibrium, ...], tuple[()]], PlaneState],
) -> PlaneState | None:
    """The end state of attractors that are images of each other and hardly meet, from that of one
    of them; None where they are none, or noise is not thin there, so that all can be followed."""
    at = positions(equilibria, "stable")
    saddles = positions(equilibria, "saddle")
    if at.shape[1] < 2 or not adds_across(process, around(process, equilibria, CUT), at, saddles):
        return None
    middle = at.mean(axis=1, keepdims=True)
    first = next(e for e in equilibria if e.attracts)
    turns, unlike = _turns(process, (first, *(e for e in equilibria if e is not first)), at, middle)
    if len(turns) < at.shape[1]:
        return None
    reach = np.abs(at[:, 1:] - at[:, :1]).max(axis=0).min() / 2  # as far their boxes do not meet
    room = clipped(at[:, 0] - reach, at[:, 0] + reach, process.domain)
    near, far = (np.array(around(process, (first,), level)) for level in (0.0, CUT))
    for _ in range(BOXES):
        box = clipped(far[:, 0], far[:, 1], room)
        least = on_box(process, box, at[:, 0], at[:, :1], True).least
        if (least > np.where(np.array(box) == process.domain, -np.inf, SEEN)).all():
            try:
                state = solve(replace(process, domain=box), (first,), ())
            except StationaryError:
                return None
            if state.density.fallen(process.domain).min() > CUT - BELOW:
                break
        if box == room:
            return None
        far = near + GROWS * (far - near)
    else:
        return None
    density, *others = (
        Images(d, middle, turns, unlike) for d in (state.density, *(d for _, d in state.others))
    )
    ways = zip((name for name, _ in state.others), others, strict=True)
    return replace(
        state, process=process, diffusion=process, density=density, others=tuple(ways),
        equilibria=equilibria, notes=(*state.notes, ALIKE),
    )  # fmt: skip


def _turns(
    process: PlaneDiffusion, equilibria: tuple[Equilibrium, ...], at: Array, middle: Array
) -> tuple[Array, float]:
    """(K, 2, 2): what takes the first attractor to each, up to one to which nothing does that the
    process does not change under; and by how much of a unit logs of P may differ between them."""
    near = SAME * np.abs(at - middle).max()
    ends, made, unlike = np.array(process.domain) - middle, [np.eye(2)], 0.0
    hull = around(process, equilibria, CUT)  # an asymmetry at a saddle counts as one at a minimum
    boxes = hull, finite_box(process.domain), around(process, equilibria[:1], CUT)
    places = [np.hstack([scattered(b, PLACES), process.narrow.around(b)]) for b in boxes]
    looks = [(x, process.fields(x)) for x in places]
    for end in at.T[1:]:
        for turn in TURNS:
            to = (turn @ (at[:, :1] - middle) + middle)[:, 0]
            turned = np.sort(ends[np.abs(turn).argmax(axis=1)] * turn.sum(axis=1)[:, None], axis=1)
            if np.abs(to - end).max() > near or not np.allclose(turned, ends, rtol=0, atol=near):
                continue
            apart = [_apart(process, turn, middle, *look) for look in looks]
            if np.isfinite(apart).all():
                made.append(turn)
                unlike = max(unlike, apart[0] * float(np.hypot(*np.diff(hull)[:, 0])))
                break
        else:
            break
    return np.array(made), unlike


def _apart(process: PlaneDiffusion, turn: Array, middle: Array, x: Array, here: Fields) -> float:
    """How far slopes of log P at points, turned, are from those at what these are turned to, on
    average; inf where drift and noise are not the same but for rounding."""
    there = process.fields(turn @ (x - middle) + middle)
    a = np.einsum("ik,klm,jl->ijm", turn, here.a, turn)
    f, noise = turn @ here.f, np.trace(there.a)
    pairs = (f, there.f), (a, there.a)
    off = [np.abs(p - q) for p, q in pairs]
    if any(v.max() > SAME * np.abs(p).max() for v, (p, _) in zip(off, pairs, strict=True)):
        return math.inf
    with np.errstate(all="ignore"):
        slope = off[0].sum(axis=0) + np.abs(f).sum(axis=0) * off[1].sum(axis=(0, 1)) / noise
        return float(np.nan_to_num(2 * slope / noise, posinf=np.inf).mean())
