"""The zeros of the drift, for any number of weights: where a box, or the whole domain, has any."""

from __future__ import annotations

import numpy as np

from stationary.aliases import Array
from stationary.errors import StationaryError
from stationary.numbers.arithmetic import EPSILON, SAME
from stationary.plane.boxes import clipped, ends_of, even, finite_box, placed, scattered
from stationary.plane.local import SHRINK, Equilibrium, around, described, fitted
from stationary.process.plane import Box, PlaneDiffusion

FARTHER = 10.0 ** np.arange(13)  # times the first box, where an infinite domain is looked at
REACH = 30.0  # lengths over which noise spreads against the drift: how far others are looked for
PROBES = 25  # points at which the noise is looked at
APART = 100.0  # times do units differ that are told from the noise
SEEDS = 16  # for each direction of a plane, from which zeros of the drift are looked for
LEFT = 1e-9  # of the drift over the domain is left at a zero, and what rounding of places leaves
ROUNDED = 16 * EPSILON
NEWTON = 60  # steps: double zeros halve their distance in each
NEAR = 3e-3  # of the domain, and of that ball: what comes as near to a zero leads there


def equilibria_of(
    process: PlaneDiffusion, box: Box, known: tuple[Equilibrium, ...] = ()
) -> tuple[Equilibrium, ...]:
    """The zeros of the drift in a finite box, as far as a grid of starts finds them, and those that
    are known."""
    n = len(box)
    if n == 2:
        seeds = even(box, SEEDS)
    else:
        from scipy.stats.qmc import Sobol

        seeds = placed(box, Sobol(n, scramble=False).random(256).T)
    low, high = ends_of(box)
    width = (high - low)[:, 0]
    x = newton(process, np.concatenate([seeds, process.narrow.around(box)], axis=1), width)
    found = [np.array([e.position for e in known]).reshape(-1, n).T, x]
    x = np.concatenate(found, axis=1)
    x = x[:, np.isfinite(x).all(axis=0)]
    more = corners(process, seeds[:, ::4], width, x)
    x = np.concatenate([x, more[:, np.isfinite(more).all(axis=0)]], axis=1)
    first = np.ptp(np.array(finite_box(process.domain)), axis=1)[:, None]
    slack = 1e-9 * np.minimum(high - low, first)  # in ever larger boxes walls are where they were
    x = x[:, ((x >= low - slack) & (x <= high + slack)).all(axis=0)]
    kept: list[Array] = []
    for point in x.T:
        if all((np.abs(point - k) > 1e-6 * width).any() for k in kept):
            kept.append(point)
    kept.sort(key=lambda p: tuple(p))
    return tuple(described(process, p) for p in kept)


def everywhere(process: PlaneDiffusion) -> tuple[Equilibrium, ...]:
    """Those in the domain; where that is infinite, in the first of ever larger boxes with any, and
    in one that is as wide as the noise and they are, if those are much closer together or at
    distances that the first box is no measure of."""
    found: tuple[Equilibrium, ...] = ()
    unit = _units(process)
    for farther in FARTHER:
        box = finite_box(process.domain, farther * unit)
        found = equilibria_of(process, box)
        if found or box == process.domain or _leads_to_walls(process, box):
            break
    for _ in range(3):
        if not found or box == process.domain:
            break
        spread = [np.abs(e.eigenvalues).max() for e in found]
        wide = [np.sqrt(np.diag(e.variance) / v) for e, v in zip(found, spread, strict=True) if v]
        if not wide:
            break
        near = np.array(around(process, found, 0.0))
        reach = REACH * np.max(wide, axis=0) + np.ptp(near, axis=1)
        wider = clipped(near[:, 0] - reach, near[:, 1] + reach, process.domain)
        before, now = (np.ptp(b, axis=1) for b in (box, wider))
        if not (now > 0).all():
            break
        if ((now > 0.01 * before) & (now < 2 * before)).all():
            # As wide as it should be, but they may be at its edge.
            (low, high), (least, most) = np.transpose(box), np.transpose(wider)
            wider = clipped(np.minimum(low, least), np.maximum(high, most), process.domain)
            if wider == box:
                break
        box = wider
        found = equilibria_of(process, box, found)
    return found


def _leads_to_walls(process: PlaneDiffusion, box: Box) -> bool:
    """Whether of a domain with walls the drift leads in from wherever it has none, at the median
    over the outer half of a box as wide as others are looked for: then what is farther out matters
    to nothing."""
    ends, wide = np.array(process.domain), np.ptp(np.array(box), axis=1)[:, None]
    x = scattered(box, PROBES)
    fields, aside = process.fields(x), x - ends_of(box)[0] - wide / 2
    leads = [
        np.median((sign * fields.f[k] * wide[k] + REACH * fields.a[k, k] / 2)[sign * aside[k] > 0])
        for k, side in np.argwhere(np.isinf(ends)).tolist()
        for sign in (2 * side - 1,)
    ]
    return bool(np.isfinite(ends).any() and max(leads, default=0.0) < 0)


def _units(process: PlaneDiffusion) -> Array:
    """How large coordinates are, where that is far from 1 or their noise differs by far.

    What is pushed by noise goes as far as it spreads until it is forgotten, and a position without
    noise as far as a velocity takes it by then.
    """
    n = process.dimensions
    x = scattered(finite_box(process.domain), PROBES)
    size = np.ones(n)
    try:
        with np.errstate(all="ignore"):
            fields = process.fields(x, 1)
            noise = np.median(np.diagonal(fields.a), axis=0)
            slopes = np.median(np.abs(fields.df), axis=2).T  # of f_i along j
    except StationaryError:
        return size
    known = (noise > 0) & np.isfinite(noise)
    if not known.any():
        return size
    if known.all():
        log = np.log(noise) / 2
        return np.exp(log - log.mean()) if np.ptp(log) > np.log(APART) else size
    with np.errstate(all="ignore"):
        forgets = 1 / np.diagonal(slopes)
        own = np.where(known, np.sqrt(noise * forgets), 0.0)
        own = np.where(known, own, (slopes * own * forgets).max(axis=1, where=known, initial=0.0))
        far = np.abs(np.log(own)) > np.log(APART)
    return np.where(np.isfinite(own) & (own > 0) & far, own, size)


@np.errstate(all="ignore")  # where slopes are next to nothing
def newton(process: PlaneDiffusion, x: Array, width: Array) -> Array:
    """Newton's method from many points (n, M); nan where it does not converge."""
    most = 0.2 * width[:, None]
    x, out, going = x.copy(), np.full_like(x, np.nan), np.arange(x.shape[1])
    for _ in range(NEWTON):
        if not len(going):
            break
        found = process.fields(x[:, going], 1)
        slopes = np.moveaxis(np.swapaxes(found.df, 0, 1), -1, 0)  # (M, i, k)
        fine = np.isfinite(slopes).all(axis=(1, 2)) & np.isfinite(found.f).all(axis=0)
        going, slopes, f = going[fine], slopes[fine], found.f[:, fine]
        step = -_solved(slopes, f, width)
        step /= np.maximum(1, (np.abs(step) / most).max(axis=0))
        x[:, going] += step
        near = (np.abs(step) <= 1e-13 * (most + np.abs(x[:, going]))).all(axis=0)
        out[:, going[near]] = np.where(np.abs(x) < 1e-15 * most, 0.0, x)[:, going[near]]
        going = going[~near]
    lost = np.flatnonzero(np.isfinite(out).all(axis=0))
    if len(lost):  # least squares ends where the drift does not vanish, too
        found = process.fields(out[:, lost], 1)
        by = width[:, None] / width
        size = 0.2 * np.abs(found.df * by[..., None]).max(axis=(0, 1))
        least = LEFT + ROUNDED * (np.abs(out[:, lost]) / width[:, None]).max(axis=0)
        out[:, lost[np.abs(found.f / width[:, None]).max(axis=0) > least * size]] = np.nan
    return out


def _solved(slopes: Array, f: Array, unit: Array, least: float = 1e-15) -> Array:
    """x (n, M) with J x = f for slopes J (M, n, n), the shortest in units of each direction."""
    inverse = np.linalg.pinv(slopes * unit / unit[:, None], least)
    return np.asarray(unit[:, None] * (inverse @ (f.T / unit)[..., None])[..., 0].T)


@np.errstate(all="ignore")
def corners(process: PlaneDiffusion, x: Array, width: Array, known: Array) -> Array:
    """Where the drift vanishes or turns round, from points (n, M); nan where it does neither, or
    leads to zeros that are known (n, K). By Newton's method with a linear fit on a ball that
    shrinks: where it leads at last is no farther than the ball is wide."""
    x, size = x.copy(), np.full(x.shape[1], 0.1)
    going = np.arange(x.shape[1])
    for _ in range(NEWTON):
        f, slope, _ = fitted(process, x[:, going], size[going] * width[:, None])
        fine = np.isfinite(slope).all(axis=(1, 2))
        going, f, slope = going[fine], f[:, fine].T[..., None], slope[fine]
        step = -_solved(slope, f[..., 0].T, width, 1e-9)
        size_of_f = np.abs(f[..., 0] / width).max(axis=1)
        left = np.abs((f[..., 0] + (slope @ step.T[..., None])[..., 0]) / width).max(axis=1)
        left = left > 1e-6 * size_of_f
        step = step / width[:, None]
        far = np.abs(step).max(axis=0) / size[going]
        x[:, going] += step / np.maximum(far, 1) * width[:, None]
        size[going[(far <= 1) & ~left]] *= SHRINK
        apart = np.abs(x[:, going, None] - known[:, None]) / width[:, None, None]
        near = apart.max(axis=0).min(axis=1, initial=np.inf) < np.minimum(size[going], NEAR)
        going = going[(size[going] > SAME) & ~near]
        if not len(going):
            break
    x = np.where(np.abs(x) < SAME * width[:, None], 0.0, x)
    return np.where(size > SAME, np.nan, x)
