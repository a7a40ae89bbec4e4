"""A rough end state, positive whatever the noise: a chain on the points of a grid.

From each point the process moves by f t and by sqrt(2 t) along either axis of its noise, and lands
on the corners of a cell with the weights of linear interpolation. This is a Markov chain for noise
of any rank; its density is too wide by what interpolation adds, and so finds every basin and the
box that holds the probability. Its exponents are rough and start what is exact.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.sparse import csc_array
from scipy.sparse.csgraph import connected_components
from scipy.sparse.linalg import splu

from stationary.aliases import Array
from stationary.errors import ConvergenceError, LandscapeError
from stationary.plane.local import Equilibrium, sides_of
from stationary.process.plane import Box, PlaneDiffusion, box_text

POINTS = 64  # of the grid, for each direction
# Cells that one move by the noise, and one by the drift, spans: interpolation adds a sixth of a
# cell squared to the noise of each move, so that short moves widen the density.
BY_NOISE, BY_DRIFT = 1.5, 5.0
UNLIKE = 30.0  # times as fast in one direction as in the other: steps of both are not one any more
SMOOTH = 2.0  # cells
CAP, MOST = 25.0, 700.0
FEW = 5  # points that are never left are a trap


def _pinned(process: PlaneDiffusion, flow: Any, pin: int, spots: Array) -> tuple[Array, bool]:
    """The vector that a chain's generator takes to nothing, on the points that are never left.

    At low noise basins around `spots` may not be joined: each then has its own, and False comes
    with it.
    """
    flow.sum_duplicates()  # which older versions of SciPy leave, and never end on
    flow.eliminate_zeros()
    count, part = connected_components(flow.T, connection="strong")
    to, at = flow.nonzero()
    closed = np.setdiff1d(np.arange(count), part[at[part[to] != part[at]]])
    sizes = np.bincount(part)
    if (sizes[closed] < FEW).any():
        raise ConvergenceError(
            f"{process.name}: there are points that are never left, or several closed classes: no "
            "single density. Add a little noise, or shrink the domain to one class."
        )
    p = np.zeros(len(part))
    apart = np.union1d(closed, part[spots])
    for k in apart:
        inside = np.flatnonzero(part == k)
        if len(inside) < FEW:
            continue
        own = next((m for m in (pin, *spots) if part[m] == k), inside[len(inside) // 2])
        for _ in range(2):
            rest = inside[inside != own]
            lu = splu(
                csc_array(flow[:, rest][rest]), permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0,
                options={"SymmetricMode": True},
            )  # fmt: skip
            p[own], p[rest] = 1.0, lu.solve(-flow[:, [own]].toarray()[rest, 0])
            if p[inside].max() < 1e3:
                break
            # Far from the peak a pin leaves few digits, or none.
            own = inside[np.argmax(np.where(np.isfinite(p[inside]), p[inside], np.inf))]
        else:
            raise LandscapeError(
                f"{process.name}: no density was found on the box that was looked at: nothing "
                "holds the process together there. Give a finite domain; its ends then reflect."
            )
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
    def peak(self) -> Array:
        """Where Phi is least."""
        place = np.unravel_index(np.argmin(self.phi), self.phi.shape)
        return np.array([v[i] for v, i in zip(self.axes, place, strict=True)])

    def at(self, x: Array) -> Array:
        """Phi at points (2, ...), by splines."""
        from scipy.interpolate import RectBivariateSpline
        from scipy.ndimage import gaussian_filter

        # A chain has structure in every cell, which the splines must not have.
        smooth = gaussian_filter(CAP * np.tanh(self.phi / CAP), SMOOTH, mode="nearest")
        spline = RectBivariateSpline(self.axes[0], self.axes[1], smooth, kx=5, ky=5)
        return np.asarray(spline.ev(x[0].ravel(), x[1].ravel())).reshape(x.shape[1:])


def on_box(process: PlaneDiffusion, box: Box, start: Array | None, spots: Array) -> Rough:
    """The chain's end state on a box; `start` is a point where the density is not small, and
    `spots` (2, K) are those that attract."""
    axes = tuple(np.linspace(*ends, POINTS) for ends in box)
    x = np.stack([v.ravel() for v in np.meshgrid(*axes, indexing="ij")])
    fields = process.fields(x)
    process.check(x, fields)
    h = np.array([v[1] - v[0] for v in axes])[:, None]
    values, vectors = np.linalg.eigh(np.moveaxis(fields.a, -1, 0) / (h @ h.T))
    values = np.maximum(values, 0)  # (M, 2), in cells^2 per time
    drift = fields.f / h
    with np.errstate(divide="ignore"):
        common = np.minimum(BY_DRIFT / np.abs(drift).max(axis=0), BY_NOISE**2 / (2 * values[:, -1]))
        common[~np.isfinite(common)] = 1.0
        # Where noise leads in both of its directions, each has a pace of its own: at that of the
        # faster the steps of the slower are short beside a cell, but spread as far as one.
        own = BY_NOISE**2 / values.T
        parts = np.abs(np.einsum("mdk,dm->km", vectors, drift))
        apart = (own * parts <= BY_DRIFT).all(axis=0) & (own[0] > UNLIKE * own[1])
        apart &= np.isfinite(own[0])
    times = np.where(apart, own, 2 * common)
    low_end, high_end = np.array(box).T[..., None]

    def moved(time: Array) -> Array:
        """By the drift, in cells."""
        middle = process.fields(np.clip(x + fields.f * time / 2, low_end, high_end)).f
        return np.asarray(np.where(np.isfinite(middle), middle, fields.f) / h * time)

    together = moved(common)
    n = x.shape[1]
    if start is None:  # where the drift leads from next to the middle
        place = np.array([0.53, 0.46]) * POINTS
        for _ in range(4 * POINTS):
            i, j = np.clip(np.rint(place).astype(int), 0, POINTS - 1)
            place = np.clip(place + together[:, i * POINTS + j], 0, POINTS - 1)
        i, j = np.rint(place).astype(int)
        pin = int(i * POINTS + j)
    else:
        pin = int(np.argmin((((x - start[:, None]) / h) ** 2).sum(axis=0)))
    rows, weights = [], []
    here = np.stack(np.unravel_index(np.arange(n), (POINTS, POINTS))).astype(float)
    for k, time in enumerate(times):
        turn = vectors[:, :, k].T
        along = np.sqrt(time * values[:, k]) * turn
        way = np.where(apart, turn * (turn * drift).sum(axis=0) * time, together)
        for sign in (-1, 1):
            to = here + way + sign * along
            to = np.clip(to, 0, POINTS - 1)
            low = np.minimum(to.astype(int), POINTS - 2)
            part = to - low
            for i, j in ((0, 0), (0, 1), (1, 0), (1, 1)):
                share = np.where(i, part[0], 1 - part[0]) * np.where(j, part[1], 1 - part[1])
                rows.append((low[0] + i) * POINTS + low[1] + j)
                weights.append(share / 2 / time)
    rows.append(np.arange(n))
    weights.append(-(1 / times).sum(axis=0))
    columns = np.tile(np.arange(n), len(rows))
    flow = csc_array((np.concatenate(weights), (np.concatenate(rows), columns)), shape=(n, n))
    inside = spots[:, ((spots >= low_end) & (spots <= high_end)).all(axis=0)]
    cells = np.rint((inside - low_end) / h).astype(int)
    marks = cells[0] * POINTS + cells[1]
    p, joined = _pinned(process, flow, pin, marks)
    with np.errstate(divide="ignore", invalid="ignore"):
        phi = -np.log(p)
    phi = np.where(np.isfinite(phi), np.minimum(phi, MOST), MOST)
    return Rough(axes, phi.reshape(POINTS, POINTS), joined)


def found_on_grid(
    process: PlaneDiffusion,
    equilibria: tuple[Equilibrium, ...],
    cut: float,
    farthest: float = math.inf,
) -> Rough:
    """The chain on the smallest box that holds all probability above e^-cut of the peak, if that
    does not reach farther than some coordinate."""
    stable = [e for e in equilibria if e.covariance is not None]
    box = first_box(process, stable, cut)
    # On a chart, the noise differs by powers of e from place to place: no wider than needed.
    grows = 0.4 if math.isinf(farthest) else 0.15
    spots = np.array([e.position for e in stable]).reshape(-1, 2).T
    start = stable[0].position if stable else None
    first, shrunk, settled = None, False, False
    for _ in range(40):
        rough = on_box(process, box, start, spots)
        start = rough.peak
        grown = []
        for axis, (low, high) in enumerate(box):
            least = rough.phi.min(axis=1 - axis)
            ends = [low, high]
            for side, at in ((0, 0), (1, -1)):
                room = process.domain[axis][side]
                if least[at] < cut and ends[side] != room:
                    by = grows * (high - low) * (1 if side else -1)
                    ends[side] = min(ends[side] + by, room) if side else max(ends[side] + by, room)
            grown.append((ends[0], ends[1]))
        if tuple(grown) != box:
            far = np.abs(grown).max() > farthest
            if far or (first is not None and _area(tuple(grown)) > 1e12 * first):
                break
            first = first or _area(box)
            box, settled = tuple(grown), shrunk  # what was cut too far is not cut again
            continue
        part = []
        for axis in (0, 1):
            held = np.flatnonzero(rough.phi.min(axis=1 - axis) < cut)
            part.append(slice(max(held[0] - 2, 0), held[-1] + 3))
        inner = tuple(x[s] for x, s in zip(rough.axes, part, strict=True))
        less = replace(rough, axes=inner, phi=rough.phi[part[0], part[1]])
        if settled or _area(less.box) > 0.5 * _area(box):
            if _runs_away(process, box):
                break
            return less
        box, shrunk = less.box, True
    raise LandscapeError(
        f"{process.name}: the density has not fallen to e^-{cut:g} of its peak on {box_text(box)}: "
        "its tails are heavy, or nothing holds the process together. Give a finite domain; its "
        "ends then reflect."
    )


def _runs_away(process: PlaneDiffusion, box: Box) -> bool:
    """Whether the drift leads out all along a side that is no end of the domain."""
    return any(
        (process.fields(x).f[axis] * (2 * side - 1) > 0).all()
        for axis, side, x in sides_of(box, POINTS)
        if box[axis][side] != process.domain[axis][side]
    )


def _area(box: Box) -> float:
    return math.prod(high - low for low, high in box)


def first_box(process: PlaneDiffusion, stable: list[Equilibrium], cut: float) -> Box:
    """Where to look first: the domain, and along infinite directions around what attracts."""
    box = []
    for axis, (low, high) in enumerate(process.domain):
        if math.isfinite(low) and math.isfinite(high):
            box.append((low, high))
            continue
        spots = [(e.position[axis], e.covariance[axis, axis]) for e in stable]  # type: ignore[index]
        wide = 2.0 / math.sqrt(2 * cut)
        spots = spots or [(min(max(low, 0.0), high), wide**2)]
        first = max(min(x - math.sqrt(2 * cut * v) for x, v in spots), low)
        last = min(max(x + math.sqrt(2 * cut * v) for x, v in spots), high)
        box.append((float(first), float(last)) if first < last else (first, first + 1.0))
    return tuple(box)
