"""Means of functions over a density in the plane: the rule that integrates the density may not
resolve a function, and then panels are cut, as far as that is affordable."""

from __future__ import annotations

import itertools
import math
import threading
from collections.abc import Callable
from typing import Any

import numpy as np

from stationary.aliases import Array
from stationary.errors import LandscapeError
from stationary.functions.evaluation import call_user_function
from stationary.numbers.arithmetic import TINY
from stationary.numbers.cost import MEMORY
from stationary.plane.mesh import RULE, Panels, gauss, legendre_of
from stationary.process.plane import point_text

DEEPEST = 30  # times are panels cut: next to a pole all others are resolved long before
ROUNDED = 1e-14  # of the mean size of a function: what a mean is not followed to
EVERYWHERE = ((-math.inf, math.inf),) * 2
SLACK = 1e-12  # of a box: by as much ends that are one may differ
SHELL = 4.0  # in -log P: from shell to shell, if there is room for four of them
STEADY = 0.98  # what falls by less from one to the next is not seen to end


def means_of(
    density: Any,
    rows: Callable[[Array, Array, Panels], Array],
    least: float = ROUNDED,
    most: int = MEMORY,
) -> tuple[Array, Array]:
    """Means of functions of points (2, M), of what these hold, (M,), and of the panels that they
    are the rule of, that return (K, M): to some part of their size, if no cut takes more points
    than `most`; and how far they are known where P is."""
    waiting, total, size, before = density.panels, 0.0, 0.0, np.empty(0)
    error: Any = 0.0
    moves: list[Array] = []
    for depth in range(DEEPEST + 1):
        x, log, u = density.within(waiting) if depth else density.quadrature
        mass = np.exp(log - density.log_total) * u
        part, count = mass * rows(x, mass, waiting), len(waiting.number)
        size = size if depth else np.abs(part).sum(axis=1, keepdims=True)
        # With all images of a panel.
        off = _unresolved(part).reshape(len(part), -1, count).sum(axis=1)
        found = part.reshape(len(part), -1, count, RULE**2).sum(axis=(1, 3))
        order = np.argsort(off, axis=1)
        small = np.cumsum(np.take_along_axis(off, order, axis=1), axis=1) <= least * size
        rough = np.zeros(off.shape, dtype=bool)
        np.put_along_axis(rough, order, ~small, axis=1)
        cut = np.asarray(rough.any(axis=0))
        if depth:
            moves.append(np.abs(found.reshape(len(found), 4, -1).sum(axis=1) - before).sum(axis=1))
        ends = depth == DEEPEST or 4 * RULE**2 * np.count_nonzero(cut) > most
        if ends:
            cut[:] = False
        total, error = total + found[:, ~cut].sum(axis=1), error + off[:, ~cut].sum(axis=1)
        if not cut.any():
            break
        waiting, before = waiting.restricted(cut).halved(0).halved(1), found[:, cut]
    if moves:  # by kinks more moves than last coefficients say
        error = np.maximum(error, moves[-1])
    if ends and depth > 1:  # poles move it on and on, from cut to cut as much less as before
        fell = np.minimum(moves[-1] / np.maximum(moves[-2], TINY), STEADY)
        error = np.maximum(error, moves[-1] / (1 - fell))
    return np.asarray(total), np.asarray(error)


def _unresolved(parts: Array) -> Array:
    """How far a rule of Gauss may be off in each panel, from its weighted values in all of them,
    (K, P RULE^2): such a rule squares what the last coefficients are in proportion."""
    (_, w), last = gauss(RULE), legendre_of(RULE)[-2:]
    values = parts.reshape(len(parts), -1, RULE, RULE) / np.outer(w, w)
    size = np.abs(values).max(axis=(2, 3))
    tail = np.maximum(*(np.abs(last @ v).max(axis=(2, 3)) for v in (values, values.swapaxes(2, 3))))
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.where(size > 0, 4 * tail * (tail / size), 0.0))


def mean_of(density: Any, function: Callable[[Array], Any], name: str, rough: bool) -> float:
    """The mean of a user's function; with all that it may be off by, where it is to be `rough`."""

    def values(x: Array, mass: Array, panels: Any = None) -> Array:
        return values_of(function, x, mass, name)

    mean, error = means_of(density, values)
    if not rough:
        return float(mean[0])
    return float((mean + error)[0]) + beyond(density, lambda x, mass: values(x, mass)[0])


def beyond(density: Any, values: Callable[[Array, Array], Array]) -> float:
    """How much of the mean of |f| lies beyond the box, from f at points of the quadrature and what
    these hold: as if it went on from shell to shell of -log P as in the outermost two, whose edges
    are soft because points are few."""
    x, log, u = density.quadrature
    mass = np.exp(log - density.log_total) * u
    sizes = np.abs(mass * values(x, mass))
    inner = density
    while not hasattr(inner, "mesh"):  # its own coordinates, or images
        inner = inner.inner
    held, least = rim(inner), inner.height.min()
    if not 0 < held < math.inf:
        return 0.0
    _, _, phi, u = inner.nodes(inner.panels)
    with np.errstate(divide="ignore"):
        depth = phi - np.log(np.maximum(u, 0)) - least
    part = sizes.reshape(-1, len(depth)).sum(axis=0)  # with all images
    shell = (held - depth) / min(SHELL, held / 4)
    last, before = (float(part @ np.maximum(1 - np.abs(shell - k), 0)) for k in (1, 2))
    if last <= ROUNDED * part.sum():
        return 0.0
    return last / (before - last) * last if last < STEADY * before else math.inf


def rim(density: Any) -> float:
    """How far -log P has risen above its least where rectangles end, but for ends of a domain."""
    mesh, height = density.mesh, density.height
    ends = density.ends or density.domain or density.room or EVERYWHERE
    least = math.inf
    for axis, side in itertools.product((0, 1), (0, 1)):
        at = mesh.low[axis] + side * mesh.size[axis]
        open_ = (2 * side - 1) * (ends[axis][side] - at) > SLACK * np.ptp(np.array(mesh.box[axis]))
        open_ &= (mesh.beside[axis, side] < 0).any(axis=0)
        values = np.take(height, -side, axis=1 + axis)[open_]
        least = min(least, float(values.min(initial=math.inf)))
    return least - float(height.min())


def values_of(function: Callable[[Array], Any], x: Array, mass: Array, name: str) -> Array:
    """(1, M): what a user's function is at points, or numbers, that hold something."""
    made, several = np.asarray(call_user_function(function, x)), x.ndim > 1
    if made.shape not in ((), x.shape[-1:]) or made.dtype.kind not in "biuf":
        raise LandscapeError(
            f"{name}: expect takes a function of {'points' if several else 'numbers'} of shape "
            f"({'2, M' if several else 'M,'}) that returns one number for each, not an array of "
            f"shape {made.shape} of {made.dtype}. Ask for one at a time."
        )
    made = np.where(mass == 0, 0.0, np.broadcast_to(made, x.shape[-1:]).astype(float))
    bad = ~np.isfinite(made)
    if bad.any():
        at = x[..., np.argmax(bad)]
        raise LandscapeError(
            f"{name}: the function whose mean is asked for must be finite, but at "
            f"{point_text(at) if several else f'{at:.6g}'} it is {made[np.argmax(bad)]}. "
            "Mend it there."
        )
    return made[None]


def highest(log: Callable[[Array], Any], x: Array, box: Any) -> float:
    """The largest of a logarithm next to the point (2, M) at which it is largest."""
    low, high = np.array(box).T[..., None]
    grid = np.indices((9, 9)).reshape(2, -1) / 4 - 1
    best, reach = x[:, [int(np.argmax(log(x)))]], (high - low) / 16
    for _ in range(24):
        near = np.clip(np.concatenate([best, best + reach * grid], axis=1), low, high)
        best, reach = near[:, [int(np.argmax(log(near)))]], reach / 2
    return float(log(best)[0])


class _Asked(threading.local):
    """Whether a density was asked what it is at places, since it was last said that none was."""

    at_places = False


asked = _Asked()


def aside(value: Callable[[Any, Array], Any], own: Any, other: Any, by: Array) -> Any:
    """A logarithm that a density has at places, moved by (2,), and how much more another one has
    some way aside, as a part of P here, where that is larger."""
    here, mine, there = value(own, 0 * by), value(own, by), value(other, by)
    with np.errstate(all="ignore"):
        more = np.log1p(np.expm1(there - mine) * np.exp(np.minimum(mine - here, 0.0)))
    return here + np.where(np.isfinite(more), more, 0.0)


def truth_of(region: Callable[[Array], Any], x: Array, name: str) -> Array:
    """(M,): which points a user's region holds."""
    made = np.asarray(call_user_function(region, x))
    if made.shape != x.shape[1:] or made.dtype != bool:
        raise LandscapeError(
            f"{name}: a region is a function of points of shape (2, M) that returns a truth value "
            f"for each, not an array of shape {made.shape} of {made.dtype}."
        )
    return made
