"""`period_of`: whether drift and variance repeat themselves towards an infinite end.

Such a process has no powers of the distance. Seen from afar it is a walk with even steps, one a
period, and what decides is whether the potential rises over one of them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from stationary.aliases import Array
from stationary.line.chart import Chart
from stationary.line.sampling import Sampling
from stationary.numbers.elementary import number, to_float
from stationary.panels.roots import bisected

CANDIDATES = 32  # crossings of one level in a period, at most
DOUBLINGS = 20  # a million periods are looked at: doubles still tell places within one apart
ROUNDING = 1e-12  # of the functions, in proportion to their largest values


class Period(NamedTuple):
    """What repeats."""

    length: float
    rise: float  # of int 2 f / a over one, to larger x; 0 where it is no more than its error


def period_of(found: Sampling, side: int) -> Period | None:
    """The period of drift and variance towards the lower (side 0) or upper (1) end; None: none."""
    chart = Chart.of(found.diffusion, side)
    if not chart.outward or not found.samples.resolved.any():
        return None

    def drift_ratio(x: Array) -> Array:
        f, a = found.diffusion.coefficients(x)
        return np.asarray(2 * f / a)

    def log_variance(x: Array) -> Array:
        return np.asarray(np.log(found.diffusion.coefficients(x)[1]))

    x, values = _outwards(found, chart)
    with np.errstate(all="ignore"):
        for signal, known in zip((drift_ratio, log_variance), values, strict=True):
            length = _repeats(found, signal, x, known, chart.sign)
            if length is not None:
                return _risen(found, *length, chart.sign)
    return None


def _outwards(found: Sampling, chart: Chart) -> tuple[Array, list[Array]]:
    """The nodes that are resolved, from the middle on outwards, with 2 f / a and log a there."""
    p, nodes = found.panels, to_float(found.rule.nodes)[:, None]
    x = (to_float(p.lower) + to_float(p.half) * (1 + nodes)).T
    here = found.samples.resolved & (((x - float(chart.anchor)) * chart.sign) > 0).all(axis=1)
    order = slice(None, None, chart.sign)
    values = [to_float(v).T[here].ravel()[order] for v in found.samples.values]
    return x[here].ravel()[order], values


def _repeats(
    found: Sampling, signal: Callable[[Array], Array], x: Array, values: Array, sign: int
) -> tuple[float, float] | None:
    """A point, and the least distance from there after which drift and variance repeat."""
    outer = values[len(values) // 2 :]
    if not len(outer) or not np.isfinite(outer).all() or np.ptp(outer) == 0:
        return None
    level = (outer.max() + outer.min()) / 2
    ups = np.flatnonzero((values[:-1] < level) & (values[1:] >= level))
    ups = ups[len(ups) // 2 :][: CANDIDATES + 1]
    _, roots = bisected(lambda x: signal(x) < level, x[ups], x[ups + 1])
    for root in roots[1:]:
        length = _confirmed(found, signal, level, roots[0], abs(root - roots[0]), sign)
        if length is not None:
            return float(roots[0]), length
    return None


def _confirmed(
    found: Sampling,
    signal: Callable[[Array], Array],
    level: float,
    start: float,
    length: float,
    sign: int,
) -> float | None:
    """The period, sharpened over ever more of them; None if one of these is not as the first."""
    # Places that no jump is at.
    t = np.sort((np.arange(1, 258) * 0.6180339887498949) % 1)
    first = found.diffusion.coefficients(start + sign * length * t)
    for m in 2 ** np.arange(DOUBLINGS + 1):
        at = start + sign * m * length
        off = 0.01 * length / m  # what the length is known to, for m periods from the last m
        edges = np.array([at - sign * off * m]), np.array([at + sign * off * m])
        if not (signal(edges[0]) < level <= signal(edges[1])).all():
            return None
        _, risen = bisected(lambda x: signal(x) < level, *edges)
        length = abs(float(risen[0]) - start) / m
        known = 8 * float(np.spacing(abs(start) + m * length))
        again = found.diffusion.coefficients(start + sign * length * (m + t))
        for v, w in zip(first, again, strict=True):
            slope = np.abs(np.gradient(v, length * t)).max()
            if not (np.abs(w - v) <= ROUNDING * np.abs(v).max() + 2 * slope * known).all():
                return None
    return length


def _risen(found: Sampling, start: float, length: float, sign: int) -> Period | None:
    ends = np.sort([start, start + sign * length])
    k = found.panels.locate(found.arithmetic.array(ends))[0]
    over = slice(int(k[0]), int(k[1]) + 1)
    if not found.samples.resolved[over].all():
        return None
    rise = float(to_float(number(found.climbs(found.arithmetic.array(ends))[0])))
    h = np.abs(to_float(found.samples.values[0][:, over]))
    size = float((2 * to_float(found.panels.half[over]) * h.mean(axis=0)).sum())
    error = float(to_float(found.climb_errors[over]).sum()) + ROUNDING * size
    error += 8 * float(h.max()) * float(np.spacing(abs(start) + length))
    return Period(length, rise if abs(rise) > error else 0.0)
