"""A rough end state, positive whatever the noise: a chain on the points of a grid.

From each point the process moves by f t and by sqrt(2 t) along either axis of its noise, and lands
on the corners of a cell with the weights of linear interpolation: a Markov chain for noise of any
rank. What interpolation adds to the variance is taken from the noise where that has as much, so
that tails fall as they should. It finds every basin and the box that holds the probability; its
exponents are rough and start what is exact.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.polynomial.chebyshev import chebvander
from scipy.sparse import csc_array
from scipy.sparse.csgraph import connected_components
from scipy.sparse.linalg import splu

from stationary.aliases import Array
from stationary.errors import ConvergenceError, LandscapeError
from stationary.numbers.arithmetic import TINY
from stationary.numbers.elementary import distinct
from stationary.plane.boxes import clipped, ends_of, grown, lattice, sides_of
from stationary.plane.flow import Flow
from stationary.plane.local import Equilibrium, around
from stationary.plane.zeros import APART
from stationary.process.plane import Box, PlaneDiffusion, box_text

POINTS = 64  # of the grid, for each direction
BY_NOISE, BY_DRIFT = 1.5, 5.0  # cells that one move by the noise, and one by the drift, spans
FIT = 12  # Chebyshev polynomials for each direction that fit Phi
RIDGE = 3e-4  # and how little their coefficients should be
HALVED = 10  # times is halved how far noise moves
BEYOND = 5  # cells around what is held: where P falls by much in one, moves do not lead there
CAP = 25.0  # of Phi, where it is fitted
GROWS = 0.4  # of the width of a box, on each side where it is too small
# What is held falls ever faster: a box does not grow on where it has fallen by e^-LOW at its sides,
# and by less than e more while it grew so often; nor beyond so many times its area at first, if
# that is known to hold Gaussians.
LOW, FLAT, WIDEST = 5.0, 3, 100.0
ENOUGH = 20.0  # in -log P at the sides of a box, where it need not grow if that is in vain
FOLLOWED, STRIDE = 5.0, 0.02  # widths of a box, along which drifts are followed, and in one step
AROUND = 10.0  # times as far as noise spreads around a rest point a cycle is looked for first
NARROW = 0.3  # of a domain's width: what is narrower is looked at alone
LED = 10  # boxes at whose growing sides P was largest: the drift leads on for ever
PINS = 4  # points are tried, each the highest that was found from the one before
FEW = 5  # points that are never left are a trap
UNHELD = (
    "{name}: no density was found on the box that was looked at: nothing holds the process "
    "together there. Give a finite domain; its ends then reflect."
)


def _pinned(
    process: PlaneDiffusion, flow: Any, pin: int, spots: Array, free: Array
) -> tuple[Array, bool]:
    """The vector that a chain's generator takes to nothing, on the points that are never left.

    `free` are points on sides of a box that is to grow there: what is carried there may go on.

    At low noise basins around `spots` may not be joined: each then has its own, and False comes
    with it.
    """
    flow.sum_duplicates()  # which older versions of SciPy leave, and never end on
    flow.eliminate_zeros()
    count, part = connected_components(flow.T, connection="strong")
    to, at = flow.nonzero()
    closed = np.setdiff1d(np.arange(count), part[at[part[to] != part[at]]])
    sizes = np.bincount(part)
    few = closed[sizes[closed] < FEW]
    few = few[~np.isin(few, part[spots])]  # where noise is lower than cells are wide
    if not np.isin(few, part[free]).all():
        raise ConvergenceError(
            f"{process.name}: there are points that are never left, or several closed classes: no "
            "single density. Add a little noise, or shrink the domain to one class."
        )
    p = np.isin(part, few).astype(float)
    apart = distinct(closed, part[spots])
    for k in apart:
        inside = np.flatnonzero(part == k)
        if len(inside) < FEW:
            continue
        own = next((m for m in (pin, *spots) if part[m] == k), inside[len(inside) // 2])
        for _ in range(PINS):
            rest = inside[inside != own]
            try:
                lu = splu(
                    csc_array(flow[:, rest][rest]), permc_spec="MMD_AT_PLUS_A",
                    diag_pivot_thresh=0.0, options={"SymmetricMode": True},
                )  # fmt: skip
            except RuntimeError as wrong:  # less than doubles hold leads back from far out
                raise LandscapeError(UNHELD.format(name=process.name)) from wrong
            p[own], p[rest] = 1.0, lu.solve(-flow[:, [own]].toarray()[rest, 0])
            if p[inside].max() < 1e3:
                break
            # Far from the peak a pin leaves few digits, or none.
            own = inside[np.argmax(np.where(np.isfinite(p[inside]), p[inside], np.inf))]
        else:
            raise LandscapeError(UNHELD.format(name=process.name))
        p[inside] /= p[inside].max()
    return np.maximum(p, 0), len(apart) == 1


@dataclass(frozen=True, eq=False)
class Rough:
    """Phi = -log P, least 0, on a grid over a box."""

    axes: tuple[Array, ...]
    phi: Array  # (POINTS, POINTS)
    joined: bool  # no: of basins beyond all barriers each has its own least

    @property
    def box(self) -> Box:
        return tuple((float(x[0]), float(x[-1])) for x in self.axes)

    @property
    def least(self) -> Array:
        """(2, 2): the least Phi on each side, along each axis before and after."""
        return np.stack([self.phi.min(axis=1 - axis)[[0, -1]] for axis in (0, 1)])

    @property
    def peak(self) -> Array:
        """Where Phi is least."""
        place = np.unravel_index(np.argmin(self.phi), self.phi.shape)
        return np.array([v[i] for v, i in zip(self.axes, place, strict=True)])

    def nearest(self, x: Array) -> Array:
        """Phi at the points of the grid next to points (2, M)."""
        i, j = (
            np.rint(np.interp(v, axis, np.arange(len(axis)))).astype(int)
            for v, axis in zip(x, self.axes, strict=True)
        )
        return np.asarray(self.phi[i, j])

    def at(self, x: Array) -> Array:
        """A smooth fit of Phi at points (2, ...), closest where it is small: a chain has structure
        in every cell, which would have to be undone."""
        s, t = self._functions(x.reshape(2, -1))
        return np.asarray(((s @ self._fitted) * t).sum(axis=1)).reshape(x.shape[1:])

    def _functions(self, x: Array) -> tuple[Array, Array]:
        low, high = ends_of(self.box)
        s, t = 2 * (x - low) / (high - low) - 1
        return chebvander(s, FIT - 1), chebvander(t, FIT - 1)

    @cached_property
    def _fitted(self) -> Array:
        s, t = self._functions(lattice(*self.axes))
        phi = CAP * np.tanh(self.phi.ravel() / CAP)
        weight = np.exp(-phi / 10)
        degree = np.add.outer(np.arange(FIT), np.arange(FIT)).ravel()
        rows = (s[:, :, None] * t[:, None] * weight[:, None, None]).reshape(len(weight), -1)
        rows = np.concatenate([rows, np.diag(RIDGE * (1.0 + degree))])
        right = np.concatenate([phi * weight, np.zeros(FIT * FIT)])
        return np.asarray(np.linalg.lstsq(rows, right, rcond=None)[0].reshape(FIT, FIT))


def on_box(
    process: PlaneDiffusion, box: Box, start: Array | None, spots: Array, attracts: bool
) -> Rough:
    """The chain's end state on a box; `start` is a point where the density is not small, and
    `spots` (2, K) are those that attract, if any are known; `attracts` says whether there are."""
    axes = tuple(np.linspace(*ends, POINTS) for ends in box)
    x = lattice(*axes)
    fields = process.fields(x)
    process.check(x, fields)
    h = np.array([v[1] - v[0] for v in axes])[:, None]
    values, vectors = np.linalg.eigh(np.moveaxis(fields.a, -1, 0) / (h @ h.T))
    values = np.maximum(values, 0).T  # (2, M), in cells^2 per time
    drift = fields.f / h
    with np.errstate(divide="ignore", over="ignore"):
        time = np.minimum(BY_DRIFT / np.abs(drift).max(axis=0), BY_NOISE**2 / (2 * values[1]))
    time[~np.isfinite(time)] = 1.0  # of each move
    low_end, high_end = ends_of(box)
    middle = process.fields(np.clip(x + fields.f * time / 2, low_end, high_end)).f
    moved = np.where(np.isfinite(middle), middle, fields.f) / h * time
    n = x.shape[1]
    start = x[:, n // 2 + POINTS // 2] if start is None else start
    pin = int(np.argmin((((x - start[:, None]) / h) ** 2).sum(axis=0)))
    here = np.stack(np.unravel_index(np.arange(n), (POINTS, POINTS))).astype(float)
    turns = np.moveaxis(vectors, 0, 2)  # (direction, way of the noise, M)

    def landings(spread: Array) -> Array:
        """Where moves end that noise spreads by so much, against each of its ways and along it."""
        both = np.stack([-spread * turns, spread * turns])  # (sign, direction, way, M)
        return np.asarray(np.clip((here + moved)[:, None] + both, 0, POINTS - 1))

    spread, wide, squares = np.zeros_like(values), np.sqrt(2 * time * values), turns**2
    for _ in range(HALVED):  # with what interpolation adds it makes the variance that is there
        wide = wide / 2
        part = landings(spread + wide) % 1
        added = (part * (1 - part)).sum(axis=(0, 2))[:, None] * squares / 4  # along each way
        spread += wide * ((spread + wide) ** 2 / 2 + added.sum(axis=0) < time * values)
    rows, weights = [], []
    to = landings(spread)
    for end in np.moveaxis(to, 1, 2).reshape(4, 2, n):
        low = np.minimum(end.astype(int), POINTS - 2)
        part = end - low
        for i, j in ((0, 0), (0, 1), (1, 0), (1, 1)):
            share = np.where(i, part[0], 1 - part[0]) * np.where(j, part[1], 1 - part[1])
            rows.append((low[0] + i) * POINTS + low[1] + j)
            weights.append(share / 4 / time)
    rows.append(np.arange(n))
    weights.append(-1 / time)
    # What the drift carries out of a box that is to grow there is lost to it, and begins anew.
    free = np.array(box) != process.domain
    end = here + moved
    lost = ((end < 0) & free[:, :1] | (end > POINTS - 1) & free[:, 1:]).any(axis=0)
    if attracts and not lost[pin]:
        rows[:-1] = [np.where(lost, pin, to) for to in rows[:-1]]
    columns = np.tile(np.arange(n), len(rows))
    flow = csc_array((np.concatenate(weights), (np.concatenate(rows), columns)), shape=(n, n))
    inside = spots[:, ((spots >= low_end) & (spots <= high_end)).all(axis=0)]
    cells = np.rint((inside - low_end) / h).astype(int)
    marks = cells[0] * POINTS + cells[1]
    opened = sides_of(box, 1, process.domain)
    ends_at = [np.flatnonzero(x[axis] == box[axis][side]) for axis, side, _ in opened]
    p, joined = _pinned(process, flow, pin, marks, np.concatenate([[pin], *ends_at]))
    with np.errstate(divide="ignore", invalid="ignore"):
        phi = -np.log(p)
    phi = np.nan_to_num(np.minimum(phi, -math.log(TINY)), nan=-math.log(TINY))
    return Rough(axes, phi.reshape(POINTS, POINTS), joined)


def found_on_grid(
    process: PlaneDiffusion,
    equilibria: tuple[Equilibrium, ...],
    cut: float,
    farthest: float = math.inf,
    attracts: bool = False,
) -> Rough:
    """The chain on the smallest box that holds all probability above e^-cut of the peak, if that
    does not reach farther than some coordinate.

    `attracts` says that some point does, even where none is given.
    """
    stable = [e for e in equilibria if e.covariance is not None]
    attracts = attracts or bool(stable)
    box = first_box(process, equilibria, cut)
    widest = WIDEST if stable else math.inf
    spots = np.array([e.position for e in stable]).reshape(-1, 2).T
    start = stable[0].position if stable else None
    first, shrunk, settled = 0.0, False, False
    lowest: list[float] = []  # at sides that were moved outwards, box after box
    fair: Rough | None = None  # where P has fallen by enough
    for _ in range(40):
        rough = on_box(process, box, start, spots, attracts)
        start = rough.peak
        small = (rough.least < cut) & (np.array(box) != process.domain)
        wider, here = grown(box, small, GROWS, process.domain), rough.least[small].min(initial=cut)
        if wider != box:
            lowest.append(float(here))
            fair = fair or (rough if here > ENOUGH and math.isfinite(farthest) else None)
            level = len(lowest) > FLAT and LOW < here < min(lowest[-FLAT - 1 : -1]) + 1
            level |= len(lowest) > LED and max(lowest[-LED:]) < 1
            first = first or _area(box)
            if level or np.abs(wider).max() > farthest or _area(wider) > widest * first:
                break
            box, settled = wider, shrunk  # what was cut too far is not cut again
            continue
        part = []
        for axis in (0, 1):
            held = np.flatnonzero(rough.phi.min(axis=1 - axis) < cut)
            part.append(slice(max(held[0] - BEYOND, 0), held[-1] + BEYOND + 1))
        inner = tuple(x[s] for x, s in zip(rough.axes, part, strict=True))
        less = replace(rough, axes=inner, phi=rough.phi[part[0], part[1]])
        if settled or _area(less.box) > 0.5 * _area(box):
            if _runs_away(process, box, spots, anywhere=False):
                break
            return less
        box, shrunk = less.box, True
    if fair is not None and not (attracts and _runs_away(process, fair.box, spots, anywhere=True)):
        return fair
    raise LandscapeError(
        f"{process.name}: the density has not fallen to e^-{cut:g} of its peak on {box_text(box)}: "
        "its tails are heavy, or nothing holds the process together. Give a "
        f"{'smaller' if np.isfinite(process.domain).all() else 'finite'} domain; its ends then "
        "reflect."
    )


def _runs_away(process: PlaneDiffusion, box: Box, spots: Array, anywhere: bool) -> bool:
    """Whether the drift leads out all along a side that is no end of the domain, to no spot, and
    does not come back; or from `anywhere` on one, and far."""
    for axis, side, x in sides_of(box, POINTS, process.domain):
        out = process.fields(x).f[axis] * (2 * side - 1) > 0
        beyond = ((spots[axis] - box[axis][side]) * (2 * side - 1) > 0).any()
        if beyond or not (out.any() if anywhere else out.all()):
            continue
        some = x[:, out][:, 2 :: 1 if anywhere else POINTS // 4]
        if not some.size:
            continue
        back, far = _led(process, some, box)
        if (far & ~back).any() if anywhere else not back.all():
            return True
    return False


def _led(process: PlaneDiffusion, x: Array, box: Box) -> tuple[Array, Array]:
    """Which points on a side of a box the drift leads back into it, on a way of several widths, and
    which farther out than it is wide."""
    low, high = ends_of(box)
    size, middle = high - low, (high + low) / 2
    back = np.zeros(x.shape[1], dtype=bool)

    def moved(x: Array) -> Array:
        with np.errstate(all="ignore"):
            f = process.velocity(x) / size
            way = np.nan_to_num(f / np.maximum(np.abs(f).max(axis=0), TINY))
            return np.asarray(way * size * STRIDE)

    for _ in range(round(FOLLOWED / STRIDE)):
        x = x + moved(x + moved(x) / 2)
        back |= (np.abs(x - middle) < 0.499 * size).all(axis=0)
    return back, np.asarray((np.abs(x - middle) > 1.5 * size).any(axis=0))


def _area(box: Box) -> float:
    return math.prod(high - low for low, high in box)


def first_box(process: PlaneDiffusion, equilibria: tuple[Equilibrium, ...], cut: float) -> Box:
    """Where to look first: the domain, and along infinite directions around what attracts; there
    alone where that is narrow and the drift leads to it from all over the domain."""
    stable = [e for e in equilibria if e.covariance is not None]
    if stable:
        near = around(process, stable, cut)
    else:
        spots = [min(max(low, 0.0), high) for low, high in process.domain]
        near = clipped(np.array(spots) - 2, np.array(spots) + 2, process.domain)
        # As far as noise spreads around rest points, where that tells of other units (of noise that
        # is low in both directions it does not).
        turn = [np.abs(e.eigenvalues).max() for e in equilibria]
        known = [e.variance / t for e, t in zip(equilibria, turn, strict=True) if t > 0]
        wide = AROUND * np.sqrt(np.max([np.diag(v) for v in known], axis=0, initial=0.0))
        if (wide > 0).all() and wide.max() > APART * min(wide.min(), 2.0):
            low, high = np.transpose(around(process, equilibria, 0.0))
            near = clipped(low - wide, high + wide, process.domain)
    near = tuple((low, high if low < high else low + 1.0) for low, high in near)
    size, wide = (np.diff(np.array(box))[:, 0] for box in (near, process.domain))
    narrow = stable and (size < NARROW * wide).all() and np.isfinite(wide).all()
    if narrow and Flow.of(process, equilibria, process.domain).arrives:
        return near
    return tuple(
        ends if math.isfinite(ends[1] - ends[0]) else some
        for ends, some in zip(process.domain, near, strict=True)
    )
