"""`basins_of`: the basins of every closed class of an end state."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np

from stationary.aliases import Array
from stationary.errors import LandscapeError, Status
from stationary.functions.given import number as real_number
from stationary.functions.given import short
from stationary.line.ends import Anatomy
from stationary.line.equilibria import Equilibrium
from stationary.line.sampling import Sampling
from stationary.numbers.arithmetic import DOUBLE
from stationary.numbers.chebyshev import chebyshev_sum, derived
from stationary.numbers.elementary import (
    compact,
    exp,
    log,
    logsumexp,
    number,
    possible_growth,
    spacing,
    to_float,
)
from stationary.panels.pieces import sums_between
from stationary.process.known import HERE
from stationary.states.basin import Basin
from stationary.states.distribution import EndState
from stationary.weight.component import VISIBLE, Component
from stationary.weight.shares import masses_between

MIN_BARRIER = 1.0  # e times as dense as where it would be left: below that nothing is held back


def basins_of(state: EndState, min_barrier: float = MIN_BARRIER) -> tuple[Basin, ...]:
    """The basins of every closed class, left to right.

    A reflecting wall that the drift presses against counts as a minimum, since mass collects
    there. Where the weights of the classes are not known, a mass is that within its class.
    Returns () where there is no density.

    Parameters
    ----------
    state
        A solved process.
    min_barrier
        Minima of which the shallower one is separated from the other by less than this, in the
        exponent int 2 f / a (dimensionless), are one basin, and its `parts`; lower barriers go
        first. 0: every minimum is a basin.

    Raises
    ------
    LandscapeError
        If `min_barrier` is not a number from 0 upwards.
    """
    if not isinstance(state, EndState):
        raise LandscapeError(
            f"basins_of takes what end_state gives, not {short(state)}. Write "
            "basins_of(end_state(process)), or analyze(process).basins."
        )
    least = checked_barrier(min_barrier, state.diffusion.name)
    lower, upper = state.diffusion.domain
    period = upper - lower if state.diffusion.is_periodic else None
    held = (c for c in state.components if not c.at_rest and (c.weight is None or c.weight > 0))
    return tuple(b for c in held for b in merged(_basins(state, c, period), least, state, period))


def _basins(state: EndState, c: Component, period: float | None) -> list[Basin]:
    """One minimum in each interval between unstable equilibria and the ends, or across a seam.

    At an end that the drift presses against it is the wall itself, or, at infinity, nothing.
    """
    lower, upper = c.interval
    parts = state.anatomy.piece_at(lower)
    found, given = parts.sampling, state.given
    minima: list[tuple[Any, Equilibrium | None]] = [
        (e.place, e) for e in parts.equilibria if e.stable
    ]
    inner = [e.place for e in parts.equilibria if not e.stable]
    log_mass, errors = masses_between(c, np.array(inner))
    if period is None:
        borders = [lower, *inner, upper]
        first, last = found.diffusion.domain
        to_lower, to_upper = _pressed(parts)
        if to_lower and math.isfinite(first):
            minima.insert(0, (found.lower, None))
        if to_upper and math.isfinite(last):
            minima.append((found.upper, None))
    elif inner:
        borders = [inner[-1] - period, *inner, inner[0] + period]
        # What lies below the first border and above the last is one basin, across the seam.
        outer = [i for i in (0, -1) if log_mass[i] > -math.inf]  # the seam may be a border itself
        total = logsumexp(log_mass[outer])
        errors[[0, -1]] = exp(log_mass[outer] - total) @ errors[outer]
        log_mass[[0, -1]] = min(total, 0.0)
    if not minima or (period is not None and not inner):
        return []
    at = np.array([place for place, _ in minima], dtype=found.panels.edges.dtype)
    panel, within = c.density.sampling.quieter(at)
    densities = chebyshev_sum(c.density.coefficients, within, panel) - c.log_norm
    variances, unsure = _variances(c.density.sampling, panel, within, minima)
    if c.weight is None:
        log_mass = log_mass + c.log_share
    elif c.weight != 1:
        log_mass = log_mass + log(c.weight)
    weight_error = _weight_error(state, c)

    def rounded(x: Any) -> float:
        """What a number loses when it is handed out as a double."""
        size = abs(to_float(number(x)))
        return 0.0 if state.digits is not None or size == math.inf else float(np.spacing(size)) / 2

    index = [sum(b < place for b in inner) for place, _ in minima]
    ends = [(borders[i], borders[i + 1]) for i in index]
    climbs, doubts = _climbs(found, at, ends, None if period is None else (lower, upper))
    result = []
    for n, (i, (place, e)) in enumerate(zip(index, minima, strict=True)):
        low, high = ends[n]
        left, right = climbs[n]
        has_left, has_right = period is not None or i > 0, period is not None or i < len(inner)
        if e is None:
            place = lower if place is found.lower else upper
        slope = None if e is None else e.in_digits().slope
        mass = exp(number(log_mass[i]))
        of_mass = state.lost(mass) / mass if mass > 0 else 0.0
        of_mass += 3 * state.doubt * abs(to_float(number(log_mass[i]))) if state.doubt else 0.0
        sides = ((has_left, left, doubts[n, 0]), (has_right, right, doubts[n, 1]))
        result.append(
            Basin(
                position=given(place),
                position_error=(0.0 if e is None else e.error) + state.unplaced(place),
                at_wall=e is None,
                lower=given(low),
                upper=given(high),
                mass=given(mass),
                log_mass=given(log_mass[i]),
                mass_error=compact(errors[i] + weight_error + rounded(log_mass[i]) + of_mass),
                log_density=given(densities[n]),
                curvature=None if slope is None else given(-slope),
                curvature_error=0.0 if e is None else e.slope_error + rounded(slope or 0.0),
                variance_error=float(unsure[n]) + rounded(variances[n]),
                variance=given(variances[n]),
                barrier_left=given(left) if has_left else None,
                barrier_right=given(right) if has_right else None,
                barrier_error=compact(max(d + rounded(x) if has else 0.0 for has, x, d in sides)),
                offset=state.left_out(place),
                places=(low, place, high),
                component=c,
                weight_error=weight_error,
                state=state,
            )
        )
    return result


def _weight_error(state: EndState, c: Component) -> float:
    """The relative error of what a component has in all."""
    error: float = compact(c.share_error)
    if c.weight is not None:
        # Of a start that is spread out, the error of a weight is absolute.
        spread = state.initial is not None and state.initial.law is not None
        error += compact(state.weight_error / (c.weight if spread else 1))
    # Where nothing is known of the density, neither is which minima there are.
    unseen = {Status.PANEL_LIMIT: 1.0, Status.INTERPOLATED: math.exp(-VISIBLE)}
    unknown = compact(unseen.get(state.status, 0.0) * c.error)
    return error + (unknown if unknown > 1 else 0.0)


def _climbs(
    found: Sampling, at: Array, ends: Sequence[tuple[Any, Any]], ring: tuple[Any, Any] | None
) -> tuple[Array, Array]:
    """How far the exponent falls from minima `at` to both `ends` of their basins, and the errors.

    Shape (minima, 2); as far as there are panels. Basins of a `ring` may go across its seam.
    """
    around = [
        [max(low, found.lower), place, min(high, found.upper)]
        for place, (low, high) in zip(at, ends, strict=True)
    ]
    points = np.array(around, dtype=at.dtype).ravel()
    climbs = np.append(found.climbs(points), 0 * points[-1:]).reshape(-1, 3)[:, :2]
    if ring is None:
        doubts = climb_errors(found, points[:-1], points[1:])
        return np.abs(climbs), np.append(doubts, 0 * doubts[:1]).reshape(-1, 3)[:, :2]
    lower, upper = ring
    period = upper - lower
    for n, (low, high) in enumerate(ends):
        if low < lower:
            climbs[n, 0] += found.climbs(np.array([low + period, upper]))[0]
        if high > upper:
            climbs[n, 1] += found.climbs(np.array([lower, high - period]))[0]
    return np.abs(climbs), np.full_like(climbs, climb_error(found, lower, upper))


def _variances(
    found: Sampling, panel: Array, t: Array, minima: list[tuple[Any, Equilibrium | None]]
) -> tuple[Array, Array]:
    """a at the minima, at t in their panels, and its errors: as sampled, and by where they are."""
    variances = exp(chebyshev_sum(found.ell, t, panel))
    slope = chebyshev_sum(derived(found.ell), t, panel) / found.panels.half[panel]
    off = np.array([0.0 if e is None else e.error for _, e in minima])
    rounding = 4 * found.samples.tails[1][panel] + len(found.ell) * found.arithmetic.grain
    relative = rounding + off * np.abs(slope) + HERE * found.unknown_around(panel)
    return variances, to_float(variances * relative)


def _pressed(parts: Anatomy) -> tuple[bool, bool]:
    """Whether the drift presses against the lower end of a piece, and against the upper one.

    Stable and unstable equilibria take turns, so that the outermost ones tell.
    """
    found, equilibria = parts.sampling, parts.equilibria
    if equilibria:
        return not equilibria[0].stable, not equilibria[-1].stable
    if found.is_flat:
        return False, False
    whole = found.climbs(np.array([found.lower, found.upper]))[0]
    return bool(whole < 0), bool(whole > 0)


def climb_error(found: Sampling, start: Any, stop: Any) -> Any:
    """The error of int 2 f / a between two points that the panels cover."""
    low, high = (
        np.array([end], dtype=found.panels.edges.dtype)
        for end in (min(start, stop), max(start, stop))
    )
    return number(climb_errors(found, low, high)[0])


def climb_errors(found: Sampling, start: Array, stop: Array) -> Array:
    """The same between each start and stop above it."""
    start, stop = (np.minimum(np.maximum(x, found.lower), found.upper) for x in (start, stop))
    way = np.abs(found.samples.values[0]).mean(axis=0) * found.panels.half
    each = found.climb_errors + 3.6 * found.arithmetic.grain * way
    sums = np.concatenate([0 * each[:1], np.cumsum(each)])
    # Where the drift jumps, the point itself is known to a few roundings only.
    ends = np.stack([start, stop])
    near = 8 * spacing(ends)
    beside = np.minimum(np.maximum(np.stack([ends - near, ends + near]), found.lower), found.upper)
    steep = np.abs(found.panels.evaluate(found.h, beside.reshape(4, -1))).reshape(beside.shape)
    blur = (steep.max(axis=0) * near).sum(axis=0)
    first, last = (found.panels.panel_of(x) for x in (start, stop))
    blur = blur + np.sqrt(sums_between(found.unknown[0], first, last + 1))
    return np.where(np.asarray(start < stop, dtype=bool), sums[last + 1] - sums[first] + blur, 0)


# -- minima that hardly anything separates, as one basin -------------------------------------------


def checked_barrier(given: Any, name: str) -> float:
    """A least barrier in the exponent, as it was asked for."""
    least = real_number(given)
    if least is None or not least >= 0:
        raise LandscapeError(
            f"{name}: min_barrier = {given!r:.40} must be a number from 0 upwards: minima that are "
            "separated by less than this in the exponent are one basin (0 keeps them apart)."
        )
    return least


def merges(
    basins: Sequence[Basin], period: float | None = None
) -> Iterator[tuple[Any, list[list[Basin]]]]:
    """How the basins of one component, left to right, join as the least barrier grows.

    Each time the lowest barrier between the groups, and the groups that it still separates. Of
    barriers that are the same, to their errors, the one between the heaviest groups goes first.
    Where two neighbours have the same right to a group it stays by itself until all are one.
    """
    unsure = max((b.barrier_error for b in basins), default=0.0)
    groups = [[b] for b in basins]
    # How far the exponent falls from the deepest minimum of each to its borders.
    left = [0.0 if b.barrier_left is None else b.barrier_left for b in basins]
    right = [0.0 if b.barrier_right is None else b.barrier_right for b in basins]
    later: dict[tuple[int, int], Any] = {}  # pairs of such groups: when all are one
    while len(groups) > 1:
        pairs = list(pairwise(range(len(groups))))
        if period is not None:
            pairs.append((len(groups) - 1, 0))
        ends = [(id(groups[i][0]), id(groups[j][-1])) for i, j in pairs]
        heights = [
            max(min(right[i], left[j]), later.get(both, 0))
            if period is not None or groups[i][-1].places[2] == groups[j][0].places[0]
            else math.inf
            for (i, j), both in zip(pairs, ends, strict=True)
        ]
        lowest = min(heights)
        if lowest == math.inf:
            break
        yield lowest, list(groups)
        level = [k for k, h in enumerate(heights) if h - lowest <= unsure]
        joined = [groups[i] + groups[j] for i, j in (pairs[k] for k in level)]
        first, *others = heaviest(
            [logsumexp(np.array([b.log_mass for b in group])) for group in joined],
            [sum(b.mass_error for b in group) for group in joined],
        )
        i, j = pairs[level[first]]
        beside = [level[k] for k in others if pairs[level[k]][0] == j or pairs[level[k]][1] == i]
        for k in beside:  # on both sides of one of the two, and on a ring not the same there
            low, up = (i, pairs[k][1]) if pairs[k][0] == j else (pairs[k][0], j)
            if low != up and (high := min(right[low], left[up])) - lowest > unsure:
                later |= {ends[level[first]]: high, ends[k]: high}
                break
        else:
            deeper = right[i] - left[j]  # the deepest minimum of i over that of j
            left[i] = left[i] + max(-deeper, 0 * deeper)
            right[i] = right[j] + max(deeper, 0 * deeper)
            groups[i] = groups[i] + groups[j]
            for each in (groups, left, right):
                del each[j]
    yield math.inf, groups


def merged(
    basins: list[Basin], least: float, state: EndState, period: float | None = None
) -> list[Basin]:
    """Basins between which the exponent falls by `least` at least, of those of one component."""
    groups = next(groups for lowest, groups in merges(basins, period) if not lowest < least)
    # On a ring the last one may have been joined to the first.
    return sorted(
        (_joined(g, basins, state, period) if len(g) > 1 else g[0] for g in groups),
        key=lambda b: b.places[1],
    )


def heaviest(log_masses: Sequence[Any], errors: Sequence[float]) -> list[int]:
    """Those of several parts that may be as heavy as any, of which the first stands for all; where
    next to nothing is known of their masses that are as heavy as computed."""
    top = max(range(len(log_masses)), key=lambda i: log_masses[i])
    below = [log_masses[top] - log_mass for log_mass in log_masses]
    return [i for i, b in enumerate(below) if not b > min(errors[top] + errors[i], 1.0)]


def _joined(group: list[Basin], all_of_them: list[Basin], state: EndState, period: Any) -> Basin:
    """Neighbouring minima as one basin: that of the heaviest, with all that they hold."""
    rises: list[Any] = [(b.barrier_left, b.barrier_right) for b in group]
    level, levels = rises[0][1] * 0, []  # of the minima, up to a constant
    for i in range(len(group)):
        level = level - rises[i - 1][1] + rises[i][0] if i else level
        levels.append(level)
    k = heaviest([b.log_mass for b in group], [b.mass_error for b in group])[0]
    centre, first, last = group[k], group[0], group[-1]
    logs = np.array([b.log_mass for b in group])
    log_mass = logsumexp(logs)
    log_mass = min(log_mass, 0 * log_mass)
    weight = centre.weight_error

    def growth(basins: list[Basin]) -> float:
        shares = [min(float(b.log_mass - log_mass), 700.0) for b in basins]
        errors = [max(float(b.mass_error - weight), 0.0) for b in basins]
        return float(possible_growth(np.array(shares), np.array(errors)).sum())

    # What they hold together is what the others lack, too: the smaller error counts.
    unsure = min(
        growth(group), growth([b for b in all_of_them if not any(b is part for part in group)])
    )
    rounding = 8 * state.arithmetic.epsilon * (1 + abs(log_mass))
    if state.digits is None:
        rounding += float(np.spacing(abs(to_float(number(log_mass))))) + DOUBLE.epsilon
    turns = [0.0] * len(group)
    if period is not None:  # so many turns further than its own coordinates say
        for i, (a, b) in enumerate(pairwise(group)):
            turns[i + 1] = turns[i] + period * round((a.upper - b.lower) / period)
        turns = [t - turns[k] for t in turns]
    return replace(
        centre,
        lower=first.lower + turns[0],
        upper=last.upper + turns[-1],
        mass=state.given(exp(number(log_mass))),
        log_mass=state.given(log_mass),
        mass_error=compact(unsure + weight + rounding),
        barrier_left=None
        if first.barrier_left is None
        else first.barrier_left + levels[k] - levels[0],
        barrier_right=None
        if last.barrier_right is None
        else last.barrier_right + levels[k] - levels[-1],
        barrier_error=compact(sum(b.barrier_error for b in group)),
        parts=tuple(group),
        places=(first.places[0] + turns[0], centre.places[1], last.places[2] + turns[-1])
        if period is not None
        else (first.places[0], centre.places[1], last.places[2]),
    )
