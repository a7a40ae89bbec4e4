"""Where the drift alone leads: to which attractor from each point, and where it ends at walls."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.integrate import solve_ivp
from scipy.linalg import solve_continuous_lyapunov

from stationary.aliases import Array
from stationary.numbers.arithmetic import TINY
from stationary.panels.roots import bisected
from stationary.plane.boxes import ends_of, even, finite_box, sides_of
from stationary.plane.local import Equilibrium, units_at
from stationary.process.plane import Box, PlaneDiffusion, scale_of

STEPS = 4000  # of curves that follow the drift: what is still on its way then belongs to none
TURNS = 0.3  # of the drift, that it may change by over half a step
LONGEST = 1e6  # boxes at the speed that is left, in a step where it is all but across a valley
CREEPS = 600  # steps, after which what is still on its way may go on by steps of first order
HELD = 1e-8  # of a step: what is left of it where a wall stops it for good
PLACES = 10  # for each direction, from which it is asked whether curves arrive
SHELLS = 30  # around a rest point, on which the drift must point inwards
ALONG_WALLS = 513  # of a wall, between which the drift along it may change its sign once
LONG = 0.05  # of that length, in one step: no event is missed
HALVED = 60  # times: down to rounding


@dataclass(frozen=True, eq=False)
class Flow:
    """dx/dt = f(x), and the neighbourhoods of its stable equilibria from which nothing leaves."""

    process: PlaneDiffusion
    attractors: tuple[Equilibrium, ...]
    traps: tuple[tuple[Array, float], ...]  # a matrix and the largest x^T P x, for each
    box: Box

    @classmethod
    def of(cls, process: PlaneDiffusion, equilibria: tuple[Equilibrium, ...], box: Box) -> Flow:
        attractors = tuple(e for e in equilibria if e.attracts)
        others = [e.position for e in equilibria]
        traps = tuple(_trap(process, e, others, box) for e in attractors)
        return cls(process, attractors, traps, box)

    def label(self, x: Array) -> Array:
        """The number of the attractor that each point (2, M) goes to; -1 where to none."""
        return self._followed(x)[0]

    def walls(self, x: Array) -> tuple[tuple[tuple[int, float], ...], bool]:
        """The walls (direction and place) that points are led to which go to no attractor, and
        whether others turn for ever."""
        y = self._followed(x)[1]
        room, f = np.array(self.process.domain).T, self.process.velocity(y)
        at = [(y == end[:, None]) & (way * f > 0) for end, way in zip(room, (-1, 1), strict=True)]
        met = [(k, float(room[e, k])) for k in (0, 1) for e in (0, 1) if at[e][k].any()]
        return tuple(met), not np.any(at, axis=(0, 1)).all()

    @np.errstate(divide="ignore", over="ignore")  # where the drift is 0, or next to it
    def _followed(self, x: Array) -> tuple[Array, Array]:
        """The attractors that points go to, and where those are in the end that go to none."""
        label = np.full(x.shape[1], -1)
        going, y, stopped = np.arange(x.shape[1]), x.copy(), [x[:, :0]]
        (low, high), room = ends_of(self.box), ends_of(self.process.domain)
        wide = high - low
        longest = np.full(x.shape[1], np.inf)  # of steps in time
        longer = np.full(x.shape[1], 0.01)  # parts of the box at the drift's speed, where stiff
        for step in range(STEPS):
            for k, (e, (p, most)) in enumerate(zip(self.attractors, self.traps, strict=True)):
                d = y - e.position[:, None]
                held = (d * (p @ d)).sum(axis=0) <= most
                if held.any():
                    label[going[held]] = k
                    going, y = going[~held], y[:, ~held]
            if not len(going):
                break
            f = self.process.velocity(y)
            speed = np.abs(f / wide).max(axis=0)
            # What is narrow is around attractors.
            far = [np.abs((y - e.position[:, None]) / wide).max(axis=0) for e in self.attractors]
            most = np.minimum(0.01, 0.2 * np.min(far, axis=0, initial=1.0))
            dt = np.minimum(most / speed, longest[going])
            dt = np.where(np.isfinite(dt), dt, 0.0)
            f2 = self.process.velocity(y + dt / 2 * f)
            f3 = self.process.velocity(y + dt / 2 * f2)
            f4 = self.process.velocity(y + dt * f3)
            turned = (
                np.abs(np.array([f2 - f, f3 - f, (f4 - f) / 2]) / wide).max(axis=(0, 1))
                > TURNS * speed
            )
            longest[going] = np.where(turned, dt / 2, 1.5 * dt)
            stiff = (turned | (dt * speed < 0.99 * most)) & (speed > TINY) & (step > CREEPS)
            dt = np.where(turned, 0.0, dt)  # anew
            way = dt / 6 * (f + 2 * f2 + 2 * f3 + f4)
            if stiff.any():
                own = going[stiff]
                way[:, stiff] = self._implicit(y[:, stiff], longer[own] / speed[stiff])
                gone = np.abs(way[:, stiff] / wide).max(axis=0)
                longer[own] *= np.where(gone < 0.005, 2.0, np.where(gone > 0.01, 0.5, 1.0))
                longer = np.minimum(longer, LONGEST)
            moved = np.clip(y + way, *room)
            held = np.abs((moved - y) / wide).max(axis=0) < HELD * np.abs(way / wide).max(axis=0)
            lost = held | ~np.isfinite(moved).all(axis=0)
            lost |= (np.abs(moved - low) > 5 * wide).any(axis=0)
            stopped.append(moved[:, held])
            going, y = going[~lost], moved[:, ~lost]
            if step > CREEPS + 300 and len(going) == len(label):
                break  # nothing arrives anywhere: there are cycles, or walls
        return label, np.concatenate([*stopped, y], axis=1)

    def _implicit(self, y: Array, dt: Array) -> Array:
        """A step that is stable along whatever the drift leads to fast, as into a narrow valley."""
        fields = self.process.fields(y, 1)
        slopes = np.moveaxis(np.swapaxes(fields.df, 0, 1), -1, 0)
        slopes = np.where(np.isfinite(slopes), slopes, 0.0)
        values = np.linalg.eigvals(slopes)
        away = np.where(values.real > 0, np.abs(values), 0.0).max(axis=1)
        fast = np.abs(slopes).max(axis=(1, 2))
        dt = np.minimum(dt, np.minimum(0.3 / away, 1e9 / fast))
        rows = np.eye(2) - dt[:, None, None] * slopes
        return np.asarray(np.linalg.solve(rows, (dt * fields.f).T[..., None])[..., 0].T)

    @property
    def arrives(self) -> bool:
        """Whether it leads to attractors from all over the box."""
        return bool((self.label(even(self.box, PLACES)) >= 0).all())

    def beyond(self, saddles: Sequence[Equilibrium]) -> list[tuple[int, ...]]:
        """For each saddle the attractors to which the drift leads from it, against the way that
        grows there and along it; -1 for none."""
        points = [e.position + d for e in saddles for d in aside(self.box, 1e-3, e.ways[0])]
        found = self.label(np.array(points).reshape(-1, 2).T).tolist()
        return list(zip(found[0::2], found[1::2], strict=True))


def aside(box: Box, share: float, way: Array) -> tuple[Array, Array]:
    """Steps against a way and along it, as long as a share of the box."""
    step = share * way / np.abs(way / np.ptp(np.array(box), axis=1)).max()
    return -step, step


def followed(
    process: PlaneDiffusion, start: Array, inside: Callable[[Array], float], most: float,
    scale: Any, *, back: bool = False,
) -> Any:  # fmt: skip
    """The drift's way from a point while `inside` is positive, by its length in units of `scale`:
    what `solve_ivp` returns."""

    def drift(_: float, x: Array) -> Array:
        f = process.velocity(x[:, None])[:, 0]
        return np.asarray((-f if back else f) / max(float(np.abs(f / scale).max()), 1e-12))

    def event(_: float, x: Array) -> float:
        return inside(x)

    event.terminal = True  # type: ignore[attr-defined]
    return solve_ivp(
        drift, (0, most), start, "DOP853", events=event, rtol=1e-12,
        atol=1e-13 * np.asarray(scale), dense_output=True, max_step=LONG,
    )  # fmt: skip


def _trap(
    process: PlaneDiffusion, e: Equilibrium, others: list[Array], box: Box
) -> tuple[Array, float]:
    """An ellipse around an attractor that the drift crosses inwards everywhere."""
    unit, own = np.diff(box)[:, 0], units_at(e.jacobian, e.variance)
    # What is fast is to shrink no less in proportion: the ellipse is about as long across a valley.
    _, size, ways = np.linalg.svd(e.jacobian * unit / unit[:, None])
    by = own / unit
    shrinks = ways.T @ (size[:, None] * ways) * by * by[:, None]
    p = solve_continuous_lyapunov((e.jacobian * own / own[:, None]).T, -shrinks)
    p = p / own / own[:, None]
    angle = np.linspace(0, 2 * np.pi, 48, endpoint=False)
    root = np.linalg.inv(np.linalg.cholesky((p + p.T) / 2)).T
    ring = root @ np.stack([np.cos(angle), np.sin(angle)])
    away = (float(np.linalg.norm((o - e.position) / unit)) for o in others if o is not e.position)
    size = min([1.0, *(0.4 * d for d in away)]) / np.abs(ring / unit[:, None]).max()
    room = ends_of(process.domain)
    for _ in range(40):
        shells = size * np.linspace(0.05, 1, SHELLS)
        x = (e.position[:, None, None] + shells[:, None] * ring[:, None, :]).reshape(2, -1)
        x = np.clip(x, *room)
        d, f = x - e.position[:, None], process.velocity(x)
        stopped = [(x == end) & (way * f > 0) for end, way in zip(room, (-1, 1), strict=True)]
        inward = np.einsum("im,ij,jm->m", d, p, np.where(np.any(stopped, axis=0), 0.0, f))
        if (inward[d.any(axis=0)] < 0).all():
            break
        size *= 0.7
    return p, float(size**2)


# -- where the drift ends at walls ----------------------------------------------------------------
# Noise against a wall is that of a law exp(-2 f n / a) of the distance n from it, as long as the
# drift f leads into it: what is led there stays as around an attractor, and beyond it lie barriers.


def ends_at_walls(process: PlaneDiffusion) -> tuple[Equilibrium, ...]:
    """Those on finite ends of a domain in the plane, and in its corners: as equilibria, stable or
    saddles, with slopes that only tell what kind they are."""
    made: list[Equilibrium] = []
    box = finite_box(process.domain)
    walls = [s for s in sides_of(box, ALONG_WALLS) if box[s[0]][s[1]] == process.domain[s[0]][s[1]]]
    for axis, side, x in walls:
        along, sign = 1 - axis, 2 * side - 1
        f = process.velocity(x)
        into = (sign * f[axis, :-1] > 0) & (sign * f[axis, 1:] > 0)
        for k in np.flatnonzero(into & (f[along, :-1] * f[along, 1:] < 0)):
            at = _zero(process, x[:, k], x[:, k + 1], along, float(f[along, k]))
            slope = float((f[along, k + 1] - f[along, k]) / (x[along, k + 1] - x[along, k]))
            made.extend(_ending(process, at, (axis,), slope))
    for first, second in itertools.product(*([w for w in walls if w[0] == k] for k in (0, 1))):
        at = np.array([box[0][first[1]], box[1][second[1]]])
        out = process.velocity(at[:, None])[:, 0] * (2 * np.array([first[1], second[1]]) - 1)
        if (out > 0).all():
            made.extend(_ending(process, at, (0, 1), -float((out / np.ptp(box, axis=1)).max())))
    return tuple(made)


def _zero(process: PlaneDiffusion, low: Array, high: Array, along: int, before: float) -> Array:
    """Where the drift along a wall changes its sign."""
    ends = low[:, None], high[:, None]
    return bisected(lambda x: process.velocity(x)[along] * before > 0, *ends, HALVED)[0][:, 0]


def _ending(
    process: PlaneDiffusion, x: Array, into: tuple[int, ...], slope: float
) -> Iterator[Equilibrium]:
    """What the drift leads into along some axes, with a slope along the other one, if noise turns
    it back."""
    fields = process.fields(x[:, None])
    f, a = fields.f[:, 0], fields.a[..., 0]
    if not all(fields.crosses(axis)[0] for axis in into):
        return
    slopes = np.full(2, slope)
    slopes[list(into)] = -abs(slope)
    spread = np.diag(a) / 2 / np.maximum(np.abs(slopes), TINY)
    spread[list(into)] = (np.diag(a)[list(into)] / 2 / f[list(into)]) ** 2
    covariance = np.diag(spread) if (slopes < 0).all() else None
    error = 2.0**-HALVED * float(scale_of(process.domain).max())
    values = np.sort(slopes)[::-1]
    yield Equilibrium(x, error, np.diag(slopes), a, values, math.nan, covariance, None)
