"""Shares of the mass, and sums over the density of what is not known of a process, with its signs.

What is not known of int 2 f / a between two knots moves log P on all of one side of them alike. So
a sum of d log P times a measure that adds up to 0, as (x - mean) P does, has an error of what the
measure holds beyond each pair of knots times that, and where log a is not known of what it holds
there; and pairs of knots add up as random numbers do.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from stationary.aliases import Array
from stationary.numbers.elementary import (
    converted,
    exp,
    finite,
    log,
    log1p,
    logsumexp,
    number,
    possible_growth,
    spacing,
    to_float,
    weighed,
)
from stationary.process.known import LINEAR, SPREAD, share_of, told_by_signs
from stationary.weight.component import VISIBLE, Component
from stationary.weight.mesh import DEEP, Mesh


def moved(c: Component, mesh: Mesh, panel: Array, measure: Array) -> Any:
    """How far the sum of a measure times log P may be off: (M,), on M parts of panels of a mesh."""
    density, found = c.density, c.density.sampling
    squares, _, of_a = found.unknown
    share, k = share_of(found.diffusion.uncertainty), density.panels.panel_of(mesh.lower)
    if share == 1:  # sizes: what is claimed of one jump, or of what is known, has nothing to spare
        return number((np.abs(measure) * c.errors_on(mesh)[panel]).sum())
    error = number((np.abs(measure) * (density.computed[k] + 2 * mesh.cut)[panel]).sum())
    held = np.bincount(k[panel], to_float(measure), len(squares))
    left = np.cumsum(held)  # up to the upper end of each panel; below, to the lower
    beyond = np.abs([left, left - held, left[-1] - left, left[-1] - left + held]).max(axis=0)
    gaps = np.searchsorted(found.diffusion.breakpoints, to_float(density.panels.lower), "right")
    own = np.bincount(gaps[k[panel]], np.abs(to_float(measure)) * of_a[k[panel]])
    bound = abs(float(density.s)) * float(np.sqrt(squares @ beyond**2))
    bound += density.k * SPREAD * share * float(np.sqrt((own**2).sum()))
    return error + min(bound, _signed(c, mesh, panel, measure))


def _signed(c: Component, mesh: Mesh, panel: Array, measure: Array) -> float:
    """The same as signs tell; inf where they do not."""
    density, found = c.density, c.density.sampling
    if found.changed is None:
        return math.inf
    of_h, of_log, x = found.changed
    n, parts = len(x), len(x) // len(found.panels.half)
    k = density.panels.panel_of(mesh.lower)
    way = to_float((mesh.lower + mesh.half - density.panels.lower[k]) / density.panels.half[k]) / 2
    part = k * parts + np.clip((way * parts).astype(int), 0, parts - 1)
    held = np.bincount(part[panel], to_float(measure), n)
    left = np.cumsum(held)
    moves = float(density.s) * of_h * (left[-1] - left + held / 2)
    moves = np.stack([moves, -float(density.k) * of_log * held])
    gaps = np.searchsorted(found.diffusion.breakpoints, x)
    first = np.flatnonzero(np.diff(gaps, prepend=-1))
    sums, sizes = (np.add.reduceat(m.sum(axis=0), first, axis=1) for m in (moves, np.abs(moves)))
    return told_by_signs(sums, sizes)


def log_probability_error(c: Component, low: Any, high: Any, share: Any = None) -> Any:
    """The error of the log_probability between two points: by what each panel holds there.

    Where they hold next to nothing, the largest where there is most of it. `share` is the
    log_probability, where that is known.
    """
    low = max(converted(low, c.arithmetic), c.interval[0])
    high = min(converted(high, c.arithmetic), c.interval[1])
    if not low < high:
        return 0.0
    if not c.is_known:
        return math.inf
    share = c.log_probability(low, high) if share is None else share
    left_out = _left_out(c, low, high, share)
    if share > DEEP:
        logs, part, panel = c.mesh.masses_between(np.array([low, high]), only=1)
        tails = [
            (t.log_between(low, high), t.error + c.density.errors[side])
            for t, side in zip(c.density.tails, (0, -1), strict=True)
            if t is not None and (t.holds(low) or t.holds(high))
        ]
        logs = np.append(logs[part == 1], [log_mass for log_mass, _ in tails])
        own = np.append(c.panel_errors[panel[part == 1]], [error for _, error in tails])
        error = weighed(logs, own)
        return 1.5 * (c.norm_error + error) + log1p(left_out)
    if c.density.sampling.diffusion.uncertainty is not None:
        # Much may not be known where there is little, and may be where little is seen.
        mesh = c.deep_mesh
        logs, part, panel = mesh.masses_between(np.array([low, high]), only=1)
        logs, own = logs[part == 1], c.errors_on(mesh)[panel[part == 1]]
        if len(logs):
            return number(logsumexp(logs + own) - logsumexp(logs)) + log1p(left_out)
    turns = c.density.turns
    at = np.concatenate([[low], turns[(turns > low) & (turns < high)], [high]])
    at = at[finite(at)]
    level = c.density(at)
    known = finite(level)  # many digits compare no infinities
    if known.any():
        at, level = at[known], level[known]
        at = at[np.asarray(level.max() - level <= VISIBLE, dtype=bool)]
    error = number(c.errors_at(at).max())
    return error + log1p(left_out)


def _left_out(c: Component, low: Any, high: Any, log_share: Any) -> Any:
    """The most that lies between two points and beyond the panels, as a part of a share.

    Of a part of which there is little, that may be much.
    """
    found, left_out = c.density.sampling, 0.0
    for side, out in enumerate((low < found.lower, high > found.upper)):
        if not out:
            continue
        wide, near = c.density, np.array([(high, low)[side]])
        if log_share < DEEP and (octaves := int(c.octaves(side, near, log_share)[0])):
            wide = wide.beyond(side, octaves)  # what was integrated
        if leak := number(c.leak_beyond(wide, side)):
            left_out += exp(log(leak) - log_share) if log_share > -math.inf else math.inf
    return left_out


def masses_between(c: Component, borders: Array) -> tuple[Array, Array]:
    """log of the mass between consecutive borders (and the ends), and its errors.

    With m_j the masses before normalisation and d_j their relative errors, the share
    p_i = m_i / sum m has relative error d_i - sum_j p_j d_j.
    """
    raw, basin, panel = c.mesh.masses_between(borders)
    raw = raw - c.log_norm
    log_mass = np.full(len(borders) + 1, -math.inf, dtype=raw.dtype)
    own = np.zeros(len(borders) + 1, dtype=raw.dtype)
    for i in range(len(log_mass)):
        inside = basin == i
        extra = [
            (t.log_moment() - c.log_norm, t.error)
            for t in c.density.tails
            if t is not None and i == (0 if t.side == "lower" else len(borders))
        ]
        logs = np.append(raw[inside], [log for log, _ in extra])
        weights = np.append(c.panel_errors[panel[inside]], [error for _, error in extra])
        log_mass[i] = logsumexp(logs)
        own[i] = weighed(logs, weights) if log_mass[i] > -math.inf else 0.0
    if not c.is_known:
        return np.minimum(log_mass, 0), np.full(len(own), math.inf)
    # Of what is light the mesh has what its own peaks hold, but not what lies beyond its troughs.
    ends = [c.interval[0], *borders, c.interval[1]]
    for i in np.flatnonzero(np.asarray(log_mass < DEEP, dtype=bool)).tolist():
        low, high = ends[i : i + 2]
        log_mass[i] = c.log_probability(low, high)
        own[i] = max(own[i], log_probability_error(c, low, high, log_mass[i]))
    some = np.asarray(own > 0, dtype=bool)
    growth = 0 * own
    growth[some] = possible_growth(log_mass[some], own[some])
    errors = own * np.abs(1 - exp(log_mass)) + (growth.sum() - growth)
    errors = np.minimum(errors, _added_up(c, (raw, basin, panel), own))
    if len(borders):  # which are numbers: what lies between two of them is in either basin
        between = c.logpdf(borders) + log(spacing(borders))
        for sides in (slice(None, -1), slice(1, None)):
            excess, size = between - log_mass[sides], np.abs(between) + np.abs(log_mass[sides])
            lost = np.asarray(c.arithmetic.grain * size > 1, dtype=bool)  # no more than all of it
            with np.errstate(under="ignore", over="ignore"):
                share = exp(np.where(lost, np.minimum(excess, 0), excess))
            errors[sides] += np.where(np.asarray(log_mass[sides] > -math.inf), share, 0)
    return np.minimum(log_mass, 0), errors + 8 * c.arithmetic.grain * (1 + np.abs(log_mass))


def _added_up(c: Component, parts: tuple[Array, Array, Array], own: Array) -> Array:
    """The errors of the logs of shares, from parts of panels: their logs, of which share they are,
    and where. Given the error of log P on each, on average; inf where it is too much to add up.
    """
    logs, share, panel = parts
    errors = np.full(len(own), np.inf)
    if share_of(c.density.sampling.diffusion.uncertainty) == 1 or own.max() > LINEAR:
        return errors
    held = to_float(exp(logs))
    whole = np.bincount(share, held, len(own))
    for i in np.flatnonzero(whole > np.exp(DEEP)):
        errors[i] = moved(c, c.mesh, panel, held * ((share == i) / whole[i] - 1 / whole.sum()))
    return errors
