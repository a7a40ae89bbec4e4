"""`exponents_at`: the powers with which potential and variance go at an end of what was sampled.

From probes in many digits where the functions can be run in them, else from what was sampled: its
outermost octaves, its mean over many of them, or its period.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from stationary.aliases import Array
from stationary.errors import StationaryError
from stationary.line.chart import CORE, OCTAVES, Chart
from stationary.line.closer import ROUNDED
from stationary.line.feller import BEYOND, PROBE, SETTLED, Exponents, Feller, limit_of
from stationary.line.reshape import extended
from stationary.line.sampled import sampled
from stationary.line.sampling import Sampling
from stationary.numbers.arithmetic import DOUBLE, TINY, Arithmetic, many_digits
from stationary.numbers.chebyshev import rule
from stationary.numbers.elementary import as_array, log, to_float
from stationary.panels.pieces import MOST_PANELS
from stationary.panels.roots import bisected
from stationary.process.ends import size_of_end

PROBES = np.array([0.5, 1.0, 1.5, 2.0])  # powers of 10^60: on the first it is still on its way
PROBE_MARGIN = 25  # by which a probe in many digits is further out than these
TIMES = 5, 15  # digits of a probe, in those of its distance; more where parts cancel: 1 - sin^2
SPARE = 80  # digits beyond those of the sampling that a probe is evaluated to
AVERAGED = 100.0  # e-folds of r, of the outer half of which means are taken
CANDIDATES = 32  # crossings of one level in a period, at most
DOUBLINGS = 20  # a million periods are looked at: doubles still tell places within one apart


def exponents_at(found: Sampling, side: int) -> Exponents:
    """How potential and variance go at the lower (side 0) or upper (1) end of a sampled process."""
    exponents = None
    if found.diffusion.affords_digits:
        exponents = _in_digits(found, side)
    if exponents is None:
        exponents = _as_sampled(_closer(found, side), side)
    if exponents.feller is Feller.UNDECIDED:
        for other in (_on_average(found, side), _over_periods(found, side)):
            if other is not None and other.feller is not Feller.UNDECIDED:
                return other
    return exponents


def _closer(found: Sampling, side: int) -> Sampling:
    """The sampling up to where doubles lose the distance to a finite end, if it stopped before.

    It does where the density has fallen to nothing on its way, which says nothing of the powers.
    """
    chart = Chart.of(found.diffusion, side)
    if chart.outward or not found.fallen[side] or not found.open_ends[side]:
        return found
    here = float(chart.distance(found.lower if side == 0 else found.upper))
    size = size_of_end(found.diffusion, side)
    least = math.sqrt(found.diffusion.grain) * size if size else here * 2.0**-OCTAVES
    return extended(found, side, max(0, math.floor(math.log2(here / least))))


def _in_digits(found: Sampling, side: int) -> Exponents | None:
    accuracy = math.ceil(found.arithmetic.accuracy)
    probe = PROBE
    if found.arithmetic is not DOUBLE:
        probe = max(PROBE, accuracy + PROBE_MARGIN)
    exponents = None
    for times in TIMES:
        many = many_digits(times * probe, accuracy + SPARE)
        with contextlib.suppress(StationaryError, OverflowError, MemoryError):
            exponents = _with_digits(found, side, probe, many)
            if exponents.feller is not Feller.UNDECIDED:
                break
    return exponents


def _with_digits(found: Sampling, side: int, probe: int, many: Arithmetic) -> Exponents:
    near = _probed(found, side, probe, probe, many)
    if near is not None and not math.isnan(limit_of(near.variance)[0]):
        return near
    # Bounded waves are nothing beside a power far out, but for slopes between points near by.
    wide = _probed(found, side, probe, probe // 2, many)
    if wide is not None and (near is None or not math.isnan(limit_of(wide.variance)[0])):
        return wide
    if near is not None:
        return near
    lost, chart = np.full(2, math.nan), Chart.of(found.diffusion, side, many)
    return Exponents(lost, lost, chart.outward, found.diffusion.convention.value)


def _probed(
    found: Sampling, side: int, probe: int, apart: int, many: Arithmetic
) -> Exponents | None:
    """Powers from points 10^-apart from each other, in proportion; None where they oscillate from
    each point to what is next to it."""
    chart, c = Chart.of(found.diffusion, side, many), found.diffusion.convention.value
    powers = np.array([10 ** round(k * probe) for k in PROBES], dtype=object)
    radii = _beside(powers, apart, chart, many)
    f, a = found.diffusion.coefficients(chart.at(radii), many)
    if not (many.isfinite(f).all() and many.isfinite(a).all() and (a > 0).all()):
        raise OverflowError("not a process there")
    f = f - _rounded_away(found, side, chart, many)
    log_r = many.log(radii).reshape(3, -1)
    steps = log_r[1:] - log_r[0]
    potentials = (2 * f / a * radii).reshape(3, -1) * chart.sign
    orders = (lambda log_a: (log_a[1:] - log_a[0]) / steps)(many.log(a).reshape(3, -1))
    potential, order = potentials[0], orders[0]
    if not all(map(_go_alike, potentials[[0, 0, 1]], potentials[[1, 2, 2]])) or not _go_alike(
        *orders
    ):
        return None
    if math.isinf(limit_of(order)[0]):
        potential, order = _slopes(found, chart, probe, powers)
    # In the Ito form the drift is f + (c / 2) a'; where f r / a grows without limit, a' is nothing
    # beside f.
    drift, slopes = f, None
    if not math.isinf(limit_of(c * order + potential)[0]):
        drift = f + chart.sign * c / 2 * np.tile(order, 3) * a / radii
    drift = drift.reshape(3, -1)[:2]
    if not (drift == 0).any():
        slopes = np.diff(many.log(many.abs(drift)), axis=0)[0] / steps[0]
    ahead = bool(drift[1, -1] * chart.sign > 0)
    return Exponents(potential, order, chart.outward, c, slopes, ahead, found.arithmetic, log_r[0])


def _beside(powers: Array, apart: int, chart: Chart, many: Arithmetic) -> Array:
    """Distances, and those 10^-apart further and less far from each, in proportion."""
    r, step = many.array(powers), 1 / many.array([10**apart])[0]
    r = np.concatenate([r, r * (1 + step), r * (1 - step)])
    return as_array(r if chart.outward else 1 / r)


def _rounded_away(found: Sampling, side: int, chart: Chart, many: Arithmetic) -> Any:
    """What the drift is at a finite end if it vanishes within a rounding of it; else 0."""
    size = 0.0 if chart.outward else size_of_end(found.diffusion, side)
    if size:
        spacing = float(np.spacing(size))
        near = chart.at(many.array([0.0, spacing, 2 * spacing]))
        here, one, two = found.diffusion.coefficients(near, many)[0]
        slope = abs(two - one)
        jumps = not abs(here - 2 * one + two) <= slope  # to the value of the other side
        if many.isfinite(here) and abs(here) <= ROUNDED * slope and not jumps:
            return here
    return many.zero


def _slopes(found: Sampling, chart: Chart, probe: int, powers: Array) -> tuple[Array, Array]:
    """The same where they grow beyond all powers, as with e^(-1 / r^2): so closely that what is
    left of one beside the other is known."""
    many = many_digits(8 * probe)
    r = _beside(powers, 5 * probe // 2, chart, many)
    f, a = found.diffusion.coefficients(chart.at(r), many)
    (_, *log_a), (_, *log_r) = (many.log(v).reshape(3, -1) for v in (a, r))
    potential = (2 * f / a * r * chart.sign)[: len(powers)]
    return potential, np.subtract(*log_a) / np.subtract(*log_r)


def _go_alike(one: Array, other: Array) -> bool:
    """Whether two powers have the same limit, or neither has one."""
    (a, first), (b, second) = limit_of(one), limit_of(other)
    if not (math.isfinite(a) and math.isfinite(b)):
        return bool(a == b or (math.isnan(a) and math.isnan(b)))
    return bool(abs(a - b) <= first + second + SETTLED * (1 + abs(a)))


def _on_average(found: Sampling, side: int) -> Exponents | None:
    """The means over eight stretches of what was sampled far out, or in, if that is many octaves.

    Powers that oscillate for ever in log r have no limit, but what they add up to may have one.
    """
    chart, p = Chart.of(found.diffusion, side, found.arithmetic), found.panels
    inner = slice(None, -1) if side == 0 else slice(1, None)
    with np.errstate(divide="ignore"):
        log_r = np.asarray(to_float(log(chart.distance(p.edges)[inner])))
    phi = np.asarray(to_float(np.cumsum(found.climb[1])))
    log_a = np.asarray(to_float(found.samples.at_edges[1][side]))
    if side == 0:  # the integral from the right edge of each panel on, at its left one
        phi = np.append(0.0, phi[:-1])
    last = log_r[0 if side == 0 else -1]
    near = 0.0 if not chart.outward else math.log(CORE)
    if abs(last - near) < AVERAGED:
        return None
    order = slice(None, None, -1 if side == 0 else 1)
    distance, at = np.abs(log_r - near)[order], np.linspace(0.5, 1.0, 9) * abs(last - near)
    k = np.minimum(np.searchsorted(distance, at), len(distance) - 1)
    across = np.diff(log_r[order][k])
    if not (across != 0).all():
        return None
    potential, variance = (np.diff(v[order][k]) / across for v in (phi, log_a))
    steps = np.diff(potential), np.diff(variance)
    if any(((s > 0).all() or (s < 0).all()) for s in steps):
        return None  # they do not oscillate but are on their way, slowly
    return Exponents(
        potential, variance, chart.outward, found.diffusion.convention.value, averaged=True
    )


def _over_periods(found: Sampling, side: int) -> Exponents | None:
    """What a process that repeats itself is from far off: an even walk, with its mean drift."""
    chart = Chart.of(found.diffusion, side)
    period = _period_of(found, chart)
    if period is None:
        return None
    length, rise = period
    ahead = rise * chart.sign
    return Exponents(
        potential=np.copysign([1.0, 2.0], ahead) * (BEYOND if ahead else 0.0),
        variance=np.zeros(2),
        outward=True,
        convention=found.diffusion.convention.value,
        drift=np.zeros(2),
        ahead=ahead > 0,
        period=length,
    )


def _as_sampled(found: Sampling, side: int) -> Exponents:
    """The same from two panels an octave apart, where the functions run in doubles only."""
    r, p = rule(len(found.samples.values[0])), found.panels
    chart = Chart.of(found.diffusion, side)
    middle = (p.lower + p.half - float(chart.anchor)).astype(float)  # signed distances
    last = 0 if side == 0 else len(middle) - 1
    before = int(np.argmin(np.abs(middle - middle[last] * (0.5 if chart.outward else 2.0))))
    pick = np.array([before, last])
    x = p.lower[pick] + p.half[pick] * (1 + r.nodes[:, None])
    distance = np.abs(x - float(chart.anchor)).astype(float)
    h, ell = (v[:, pick].astype(float) for v in found.samples.values)
    log_r = np.log(distance)
    across = log_r[-1] - log_r[0]
    with np.errstate(divide="ignore", invalid="ignore"):
        log_f = np.log(np.abs(h)) + ell
        slopes, variance = (log_f[-1] - log_f[0]) / across, (ell[-1] - ell[0]) / across
    potential = (h * distance * chart.sign).mean(axis=0)
    cut_h, cut_ell = (t[pick].astype(float) for t in found.samples.tails)
    of_slope = 2 * cut_ell / np.abs(across)
    shift = np.zeros(2)
    if found.diffusion.is_rounded and found.diffusion.exact_ends[side] is not None:
        # A zero of the variance that was found is where a zoom came to its end.
        shift = 64 * found.diffusion.grain * abs(float(chart.anchor)) / distance.min(axis=0)
    with np.errstate(invalid="ignore"):  # drifts are inf where a variance underflows
        of_drift = of_slope + 2 * cut_h / np.maximum(np.abs(h).max(axis=0), TINY) / np.abs(across)
        errors = (
            cut_h * distance.max(axis=0) + shift * np.abs(potential),
            of_slope + shift * np.abs(variance),
            of_drift + shift * np.abs(np.where(np.isfinite(slopes), slopes, 0)),
        )
    of_potential, of_variance, of_f = (3 * float(e.max()) for e in errors)  # of 2 last - before
    return Exponents(
        potential=potential,
        variance=variance,
        outward=chart.outward,
        convention=found.diffusion.convention.value,
        drift=slopes if np.isfinite(slopes).all() else None,
        ahead=bool(h[:, 1].mean() * chart.sign > 0),
        rounding=(of_potential, of_variance, of_f),
        # A sampling of rounded functions stops further from the end.
        change=max(1e-3, 64 * math.sqrt(found.diffusion.grain)),
    )


# -- whether drift and variance repeat themselves --------------------------------------------------
# Such a process has no powers of the distance. Seen from afar it is a walk with even steps, one a
# period, and what decides is whether the potential rises over one of them.


def _period_of(found: Sampling, chart: Chart) -> tuple[float, float] | None:
    """The period of drift and variance towards an end, and the rise of int 2 f / a over it.

    To larger x; 0 where it is no more than its error. None where nothing repeats itself.
    """
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
            if not (np.abs(w - v) <= SETTLED * np.abs(v).max() + 2 * slope * known).all():
                return None
    return length


def _risen(found: Sampling, start: float, length: float, sign: int) -> tuple[float, float] | None:
    ends = np.sort([start, start + sign * length])
    # Far out octaves share panels among many periods: one has its own.
    one = sampled(found.diffusion, ends[:1], ends[1:], MOST_PANELS)
    if not one.resolved.all():
        return None
    half, h = (one.upper - one.lower) / 2, np.abs(one.values[0])
    rise, size = float(one.integrals[0].sum()), float((2 * half * h.mean(axis=0)).sum())
    error = float((4 * half * one.tails[0]).sum()) + SETTLED * size
    error += 8 * float(h.max()) * float(np.spacing(abs(start) + length))
    return length, rise if abs(rise) > error else 0.0
