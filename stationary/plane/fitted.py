"""A first answer at any barrier: a chain on the points of a grid, fitted to exponentials.

At each point the noise is a sum of three squares along steps of the grid (Selling's reduction), and
between the ends of a step P goes over as it does on a line: where nothing circulates the chain has
the very P, however much that falls between two points. Rates are positive, and nothing is
subtracted: what is held at attractors is told apart by pinning each of them, so that basins are
known beside others that hold e^300 times as much. Once P is known the chain is fitted to it again,
so that what circulates keeps its balance however steep P is.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from scipy.interpolate import RectBivariateSpline
from scipy.ndimage import map_coordinates
from scipy.sparse import csc_array
from scipy.sparse.linalg import splu

from stationary.aliases import Array
from stationary.errors import ConvergenceError
from stationary.numbers.arithmetic import TINY
from stationary.plane.apart import balanced
from stationary.plane.boxes import box_of, ends_of, grown, lattice
from stationary.plane.local import Equilibrium, around, positions
from stationary.process.plane import Box, PlaneDiffusion

FIRST = 48  # points of the grid for each direction, where the box is looked for
NARROW = 1 / 200  # of the larger variance, in cells, what the smaller one is at least
CUT, MARGIN = 36.0, 30.0  # in -log P, above each attractor and above the ways between them
SOFT = 8.0  # times the noise, with which the chain is solved first, so that nothing underflows
DEEPEST = 690.0  # in -log P of what joins attractors: farther apart than doubles
AGAIN = 2  # times is P solved, each time fitted to the last one
GROWS, SLACK, ROUNDS = 0.35, 2, 14  # of the box on each side; cells beyond what is held; boxes
REDUCED = 80  # steps of Selling's reduction: some sqrt(1 / NARROW) are taken


@dataclass(frozen=True, eq=False)
class Fitted:
    """-log P on a grid, least 0, and by how much it is above what has to be known, both (n, n)."""

    axes: tuple[Array, ...]
    phi: Array
    above: Array  # CUT or MARGIN less than what is cut; negative where it is kept

    @property
    def box(self) -> Box:
        return tuple((float(x[0]), float(x[-1])) for x in self.axes)

    @cached_property
    def _smooth(self) -> Any:
        x, y = self.axes
        return RectBivariateSpline(x, y, self.phi)

    def at(self, x: Array) -> Array:
        """-log P at points (2, ...)."""
        return np.asarray(self._smooth.ev(*x))

    def needed(self, x: Array) -> Array:
        """How far points (2, ...) are above what has to be known, in proportion between four."""
        low, high = (v.reshape(2, *[1] * (x.ndim - 1)) for v in ends_of(self.box))
        place = (x - low) / (high - low) * (len(self.above) - 1)
        return np.asarray(map_coordinates(self.above, place, order=1, mode="nearest"))


def adds_across(process: PlaneDiffusion, box: Box, *points: Array) -> bool:
    """Whether the chain adds noise across the one that there is at points (2, M), as where all
    gradients nearly share a direction."""
    x, wide = np.concatenate(points, axis=1), np.ptp(np.array(box), axis=1)[:, None]
    values = np.linalg.eigvalsh(np.moveaxis(process.fields(x).a, -1, 0) / (wide @ wide.T))
    return bool((values[:, 0] <= NARROW * values[:, 1]).any())


def fitted(
    process: PlaneDiffusion, equilibria: tuple[Equilibrium, ...], count: int, box: Box | None = None
) -> Fitted | None:
    """The chain on a box, or on the smallest one that holds what has to be known around all
    attractors, and on the ways between them; None where doubles do not join them."""
    at = positions(equilibria, "stable")
    if box is not None:
        return _on_box(process, box, at, count)
    box = around(process, equilibria, MARGIN)
    wider = False
    for _ in range(ROUNDS):
        made = _on_box(process, box, at, FIRST)
        if made is None:
            return None
        kept = made.above < 0
        ends, cells = np.array(box), []
        small = np.zeros((2, 2), dtype=bool)
        for axis in (0, 1):
            held = np.flatnonzero(kept.any(axis=1 - axis))
            small[axis] = held[0] == 0, held[-1] == FIRST - 1
            cells.append((max(held[0] - SLACK, 0), min(held[-1] + SLACK, FIRST - 1)))
        small &= ends != process.domain
        if small.any():
            box, wider = grown(box, small, GROWS, process.domain), True
            continue
        low, high = (
            np.array([x[c[side]] for x, c in zip(made.axes, cells, strict=True)]) for side in (0, 1)
        )
        if ((high - low) > 0.75 * np.diff(ends)[:, 0]).all() or wider:
            return _on_box(process, box, at, count, made)
        box = box_of(low, high)
    raise ConvergenceError(
        f"{process.name}: no box was found that holds all attractors and the ways between them. "
        "Give a finite domain; its ends then reflect."
    )


def _on_box(
    process: PlaneDiffusion, box: Box, attractors: Array, count: int, last: Fitted | None = None
) -> Fitted | None:
    """On points of a grid; from a coarser one, if there is one."""
    axes = tuple(np.linspace(*ends, count) for ends in box)
    x = lattice(*axes)
    h = np.array([v[1] - v[0] for v in axes])[:, None]
    pins = np.array([np.argmin((((x - at[:, None]) / h) ** 2).sum(axis=0)) for at in attractors.T])
    links = _Links.of(process, x, h, count)
    if last is not None:
        phi = last.at(x)
    else:
        soft = _solved(links, pins, np.zeros(count * count), SOFT)
        if soft is None:
            return None
        phi = SOFT * soft[0]
    for _ in range(AGAIN):
        made = _solved(links, pins, phi, 1.0)
        if made is None:
            return None
        phi, above = made
    shape = (count, count)
    return Fitted(axes, phi.reshape(shape), above.reshape(shape))


@dataclass(frozen=True, eq=False)
class _Links:
    """Pairs of points: the noise along each, and what log P grows by where nothing flows."""

    start: Array
    end: Array
    noise: Array
    rise: Array

    @classmethod
    def of(cls, process: PlaneDiffusion, x: Array, h: Array, count: int) -> _Links:
        fields = process.fields(x, 1)
        process.check(x, fields)
        values, ways = np.linalg.eigh(np.moveaxis(fields.a, -1, 0) / (h @ h.T))
        values = np.maximum(values, NARROW * values[:, 1:] + TINY)
        a = np.einsum("mik,mk,mjk->ijm", ways, values, ways)
        drift = ((2 * fields.f - fields.div) / h).T
        slope = np.einsum("mik,mk,mjk,mj->im", ways, 1 / values, ways, drift)
        place = np.stack(np.unravel_index(np.arange(x.shape[1]), (count, count)))
        parts = []
        for weight, step in zip(*_reduced(a), strict=True):
            for way in (step, -step):
                to = place + way
                here = np.flatnonzero(((to >= 0) & (to < count)).all(axis=0) & (weight > 0))
                there = to[0, here] * count + to[1, here]
                rise = ((slope[:, here] + slope[:, there]) / 2 * way[:, here]).sum(axis=0)
                parts.append((here, there, weight[here] / 4, rise))
                parts.append((there, here, weight[here] / 4, -rise))
        return cls(*(np.concatenate(v) for v in zip(*parts, strict=True)))


def _reduced(a: Array) -> tuple[Array, Array]:
    """Weights (3, M) >= 0 and whole steps (3, 2, M) with a = sum of weight step step^T."""
    base = np.zeros((3, *a.shape[1:]))
    base[0, 0], base[1, 1], base[2] = 1.0, 1.0, -1.0
    thirds = ((0, 1, 2), (0, 2, 1), (1, 2, 0))

    def product(i: int, j: int) -> Array:
        return np.asarray(np.einsum("im,ijm,jm->m", base[i], a, base[j]))

    for _ in range(REDUCED):
        done = True
        for i, j, k in thirds:
            acute = product(i, j) > 1e-12 * np.sqrt(product(i, i) * product(j, j))
            if acute.any():
                done = False
                base[k] = np.where(acute, base[i] - base[j], base[k])
                base[i] = np.where(acute, -base[i], base[i])
        if done:
            break
    weight = [np.maximum(-product(i, j), 0.0) for i, j, _ in thirds]
    step = [np.stack([-base[k, 1], base[k, 0]]) for _, _, k in thirds]
    return np.stack(weight), np.stack(step).astype(int)


def _solved(links: _Links, pins: Array, scale: Array, noise: float) -> tuple[Array, Array] | None:
    """-log P, and how far it is above what has to be known, at all points; P is about e^-scale."""
    n = len(scale)
    falls = scale[links.end] - scale[links.start]  # of -log P, as far as it is known
    # What circulates; as P itself changes by e^falls, its part in the balance is too large by this.
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        size = np.where(np.abs(falls) < 1e-6, 1.0, falls / 2 / np.sinh(falls / 2))
        turns = (links.rise / noise + falls) * size
        fit = np.where(np.abs(turns) < 1e-8, 1.0, turns / -np.expm1(-turns))
        weight, rows, columns = links.noise * noise * fit, links.end, links.start
        leaves = np.bincount(columns, weight * np.exp(-falls / 2), minlength=n)
        moved = weight * np.exp(np.minimum(falls / 2, DEEPEST))
    flow = csc_array((moved, (rows, columns)), shape=(n, n))
    generator = csc_array(flow - csc_array((leaves, (np.arange(n), np.arange(n))), shape=(n, n)))
    rest = np.setdiff1d(np.arange(n), pins)
    if not np.isfinite(generator.data).all():  # a rate is no double
        return None
    try:
        lu: Any = splu(
            csc_array(generator[:, rest][rest]), permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0,
            options={"SymmetricMode": True},
        )  # fmt: skip
        u, q = np.zeros((2, len(pins), n))
        u[:, rest] = lu.solve(-generator[:, pins][rest].toarray()).T
        q[:, rest] = lu.solve(-generator[pins][:, rest].toarray().T, trans="T").T
    except RuntimeError:
        return None
    if not (np.isfinite(u).all() and np.isfinite(q).all()):
        return None
    own = np.arange(len(pins))
    u[own, pins] = q[own, pins] = 1.0
    u, q = np.maximum(u, 0), np.maximum(q, 0)
    rates = u @ flow[pins].T.toarray()  # in units of e^-scale where they end
    with np.errstate(divide="ignore"):
        log_rates = np.log(np.where(np.eye(len(pins)), 0.0, rates)) - scale[pins]
        share = balanced(log_rates)
        if share is None:
            return None
        log_u, log_q = np.log(u), np.log(q) - scale[pins][:, None]
    p = np.logaddexp.reduce(log_u + share[:, None], axis=0) - scale
    peak = p.max()
    # Of what starts at one attractor and ends at another some passes here, (from, to, n).
    passes = (share[:, None] + log_u)[:, None] + log_q
    passes[own, own] = -np.inf
    most = passes.max(axis=2)
    most = np.maximum(most, most.T)
    for k in own:  # at most, on the best ways by others
        most = np.maximum(most, np.minimum(most[:, k, None], most[k]))
    near = -(log_u + scale[pins][:, None] - scale).max(axis=0)
    with np.errstate(invalid="ignore"):
        between = np.nan_to_num(most[..., None] - passes, nan=np.inf).min(axis=(0, 1))
    above = np.minimum(near - CUT, between - MARGIN)
    low = -2 * DEEPEST * SOFT
    return peak - np.maximum(p, peak + low), np.minimum(above, -low)
