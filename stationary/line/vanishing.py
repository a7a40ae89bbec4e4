"""Where the variance vanishes inside the domain, told from where it is merely tiny.

Everything else is built on this, so it comes first: a scan in doubles shows where the variance is
zero or dips, and each such place is looked at more closely, stretches before points.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from stationary.aliases import Array
from stationary.errors import LandscapeError
from stationary.line.chart import CORE, OCTAVES, Chart, middle_of
from stationary.line.closer import Dip, Look, Zero
from stationary.line.octaves import FALLEN
from stationary.line.reach import with_the_law
from stationary.line.sampled import DIGITS, NODES
from stationary.line.side_by_side import CANNOT
from stationary.line.variance import ENOUGH, LOST, cancelled
from stationary.numbers.arithmetic import many_digits
from stationary.numbers.elementary import distinct
from stationary.panels.pieces import Samples
from stationary.panels.roots import runs_of
from stationary.process.corners import SCAN
from stationary.process.diffusion import Diffusion
from stationary.process.ends import beside

MOST_PER_RUN = 96  # points of a run of zeros that are tried again in many digits
FEWEST_PER_RUN = 24  # the same, where each of them takes many datapoints,
PLENTY = 20_000  # of which so many are looked at in a run
FAR_PER_RUN = 6  # the same, where so little is left that only stretches of zeros count
MOST_FAR = 8  # zeros outside the core of an infinite domain, of which octaves see a few each
NEIGHBOURS = 16  # doubles on either side of a dip far out
NOTHING = 40.0  # e-folds that a variance falls at a zero
RIPPLE = 0.01  # of log a between neighbouring doubles, below which it may be rounding
FEW_FAR = 2  # the same, where dips further out are not looked at
AT_ONCE = 32  # dips of an infinite domain looked at side by side: there may be no end of them
CROWD = 40  # zeros, next to each of which others are looked for


class EndlessZerosError(LandscapeError):
    """The variance vanishes again and again, as far out as an infinite domain is looked at."""

    def __init__(self, diffusion: Diffusion, zeros: list[Zero]) -> None:
        edges = [abs(float(edge)) for z in zeros for edge in (z.lower, z.upper)]
        far = max(edge for edge in edges if math.isfinite(edge))
        self.near = min((edge for edge in edges if edge > 2 * CORE), default=0.0)
        super().__init__(
            f"{diffusion.name}: the variance vanishes again and again as far out as "
            f"{diffusion.variable} = {far:.1g}. Give a finite domain, as in domain = (-10, 10), or "
            'one period of it with boundaries = "periodic".'
        )


def without_endless_zeros(
    diffusion: Diffusion, near: float
) -> tuple[Diffusion, tuple[Zero, ...]] | None:
    """The process up to zeros of its variance that all that lies beyond passes once; None if none.

    One was met so `near` to the origin, where that is known. The process is cut where the drift has
    turned inwards for good: the end state is the same. With it go the zeros that were seen.
    """
    x = scan_points(diffusion)
    f = diffusion.coefficients(x)[0]
    starts = [inward_from(x, f, k) for k, end in enumerate(diffusion.domain) if math.isinf(end)]
    if not starts or max(map(abs, starts)) > 4 * CORE:  # on a scan of more, zeros could be missed
        return None
    core = 2 * max(CORE, near, *map(abs, starts))
    lower, upper = (max(-core, min(core, end)) for end in diffusion.domain)
    zeros = zeros_of_variance(diffusion.restricted(lower, upper))
    ends = at_inward_gates(diffusion, x, zeros, core)
    return None if ends is None else (diffusion.between(*ends), zeros)


def zeros_of_variance(diffusion: Diffusion) -> tuple[Zero, ...]:
    """The zeros of the variance inside the domain (its ends excluded), left to right."""
    return dips_of_variance(diffusion)[0]


def dips_of_variance(
    diffusion: Diffusion, look: Samples | None = None, known: Iterable[Zero] = ()
) -> tuple[tuple[Zero, ...], tuple[Dip, ...]]:
    """The zeros of the variance inside the domain, and what only many digits tell from zeros.

    `known` are some of the zeros, of this domain and beyond it. Where panels of a `first_look`
    resolve log a there are none, since next to one it is singular.
    """
    unseen = clear = None
    infinite = math.isinf(diffusion.domain[1] - diffusion.domain[0])
    if look is not None and not diffusion.is_rounded:
        clear = _clear(diffusion, look)
        if clear.all() and (look.lower[0], look.upper[-1]) == diffusion.domain:
            return (), ()
    x = scan_points(diffusion)
    if (diffusion.coefficients(x)[1] < diffusion.least_variance).any():
        x = with_the_law(diffusion, x)  # doubles see nothing far out
    if look is not None and clear is not None:
        x, unseen = _unseen(look, clear, x)
    if not len(x):
        return (), ()
    beyond = np.zeros(len(x), dtype=bool)
    if infinite:
        beyond = is_out_of_reach(diffusion, x)
    log_a, exact = _log_variance(diffusion, x, beyond)
    keep = _apart_from_ends(diffusion, x, log_a)
    x, log_a, beyond = x[keep], log_a[keep], beyond[keep]
    zero, distance = np.isneginf(log_a), np.abs(x - middle_of(diffusion))
    closely = Look(diffusion, exact and diffusion.affords_digits)
    lower, upper = diffusion.domain
    closely.zeros += [z for z in known if lower < float(z.lower) and float(z.upper) < upper]
    sides = [None, *x, None]  # of the place i of x: those at i and i + 2
    runs = [(i, j) for i, j in runs_of(zero) if j - i > 1]
    closely.collect(
        [
            closely.on_stretch(sides[i], x[i], x[j - 1], sides[j + 1], bool(beyond[i:j].all()))
            for i, j in runs
        ]
    )
    # A dip between two neighbours: lower than both, and not part of a stretch.
    inner = np.arange(1, len(x) - 1)
    dip = (log_a[inner] <= log_a[inner - 1]) & (log_a[inner] < log_a[inner + 1])
    alone = zero[inner] & ~zero[inner - 1] & ~zero[inner + 1]
    found = dip | alone
    if unseen is not None:
        found &= unseen[inner]
    skipped = False
    if infinite:
        # A zero so far out that is not seen is passed once; no dip matters there.
        # Nor what is a dip only because nothing is known next to it.
        edge = np.isposinf(np.maximum(log_a[inner - 1], log_a[inner + 1]))
        found &= alone | ~edge | (distance[inner] <= 2 * CORE)
        skipped = bool((found & ~alone & beyond[inner]).any())
        found &= alone | ~beyond[inner]
        if found.any():
            at, near = inner[found], np.arange(-NEIGHBOURS, NEIGHBOURS + 1)
            around = log_a[np.clip(at[:, None] + near, 0, len(x) - 1)].max(axis=1)
            found[found] = alone[found] | _followed_by_doubles(diffusion, x[at], around)
    places = closely.elsewhere(inner[found], x)
    places = places[np.argsort(distance[places], kind="stable")]
    if infinite:
        # What goes up and down again and again does so further out, too.
        far = (distance[places] > 2 * CORE) & ~zero[places]
        places = places[~far | (np.cumsum(far) <= AT_ONCE)]
    at_once = AT_ONCE if infinite else max(len(places), 1)
    for some in np.split(places, range(at_once, len(places), at_once)):
        closely.collect([closely.between(*x[i - 1 : i + 2]) for i in some])
        if len(closely.far(closely.zeros)) > MOST_FAR:
            raise EndlessZerosError(diffusion, closely.zeros)
        if len(closely.far(closely.dips)) > MOST_FAR:
            break  # what goes up and down for ever does so between any two doubles far out
    if skipped and len(closely.far(closely.zeros)) > FEW_FAR:
        raise EndlessZerosError(diffusion, closely.zeros)
    endless = closely.far(closely.dips)
    if len(endless) > MOST_FAR:
        closely.dips = [d for d in closely.dips if d not in endless]
    # Zeros closer to each other than the points of a scan look like one.
    even = _even_points(diffusion)
    for z in closely.zeros:  # which grows
        if len(closely.zeros) <= CROWD:
            closely.beside(z, even)
    return (
        tuple(sorted(closely.zeros, key=lambda z: float(z.lower))),
        tuple(sorted(closely.dips, key=lambda d: d.position)),
    )


def _followed_by_doubles(diffusion: Diffusion, x: Array, around: Array) -> Array:
    """At which points the variance goes down and then up over neighbouring doubles, if at all.

    Where it goes up and down between them there are dips everywhere, and none is a place; unless
    it is next to nothing beside what log a is around: there it is rounding that goes up and down.
    """
    near = x[:, None] + np.spacing(np.abs(x))[:, None] * np.arange(-NEIGHBOURS, NEIGHBOURS + 1)
    a = diffusion.coefficients(near.ravel())[1].reshape(near.shape)
    with np.errstate(all="ignore"):
        log_a = np.log(a)
        steps = np.diff(log_a, axis=1)
    steps[np.minimum(log_a[:, 1:], log_a[:, :-1]) < around[:, None] - NOTHING] = 0.0
    risen = np.logical_or.accumulate(steps > RIPPLE, axis=1)
    return np.asarray(~(risen & (steps < -RIPPLE)).any(axis=1))


def _clear(diffusion: Diffusion, look: Samples) -> Array:
    """The panels of a first look on which log a is resolved, and no double is lost."""
    h, ell = look.values
    clear = look.resolved & (ell.min(axis=0) >= math.log(diffusion.least_variance))
    if diffusion.pair is not None:
        with np.errstate(over="ignore"):
            clear &= (LOST * h * h * np.exp(ell) <= 4).all(axis=0)
    return np.asarray(clear)


def _unseen(look: Samples, clear: Array, x: Array) -> tuple[Array, Array]:
    """The points of a scan where the panels of a first look leave something to be seen.

    Those of the panels next to them go with them, as neighbours; the second array tells which are
    not of these.
    """
    around = clear.copy()
    around[1:] &= clear[:-1]
    around[:-1] &= clear[1:]
    panel = np.searchsorted(look.lower, x, side="right") - 1
    inside = (panel >= 0) & (x <= look.upper[-1])
    return x[~inside | ~around[panel]], (~inside | ~clear[panel])[~inside | ~around[panel]]


def _apart_from_ends(diffusion: Diffusion, x: Array, log_a: Array) -> Array:
    """Which points rounding tells from the ends of the domain."""
    keep = ~beside(diffusion, x)
    if not diffusion.is_rounded:
        return keep
    for end in diffusion.domain:
        if math.isfinite(end):
            keep &= np.abs(x - end) > 256 * diffusion.grain * abs(end)
    small = log_a <= math.log(diffusion.least_variance)
    keep &= ~np.logical_and.accumulate(small) & ~np.logical_and.accumulate(small[::-1])[::-1]
    return keep


def scan_points(diffusion: Diffusion) -> Array:
    """Even points over the domain, with each breakpoint, its surroundings."""
    lower, upper = diffusion.domain
    whole = upper - lower if math.isfinite(upper - lower) else CORE
    marks = np.array(diffusion.breakpoints, dtype=float)
    around = whole * 10.0 ** -np.arange(3.0, 9.0)
    pieces = [marks, *(marks + r for r in around), *(marks - r for r in around)]
    pieces.append((marks[1:] + marks[:-1]) / 2)  # of two stretches without noise, what is between
    x = distinct(_even_points(diffusion), *pieces)
    return np.asarray(x[(x > lower) & (x < upper)])


def _even_points(diffusion: Diffusion) -> Array:
    """Inside the domain, closer to each other towards finite ends and what an infinite one has."""
    lower, upper = diffusion.domain
    count = diffusion.scan_panels * NODES
    if math.isfinite(upper - lower):
        core, whole = np.linspace(lower, upper, count + 1), upper - lower
        near_ends = whole * 2.0 ** -np.arange(8.0, 50.0)
        pieces = [core, lower + near_ends, upper - near_ends]
        if 0 in (lower, upper):  # next to which doubles lie as close as one likes
            pieces.append((lower + upper) * 2.0 ** -np.arange(50.0, 400.0))
    else:
        zero = Chart.of(diffusion, 1 if math.isinf(upper) else 0).anchor
        out = CORE * 2.0 ** (np.arange(1, 4 * OCTAVES) / 4)
        pieces = [zero + np.linspace(-CORE, CORE, 2 * count + 1), zero + out, zero - out]
        # Every scale around the point that distances count from.
        close = CORE * 2.0 ** (-np.arange(1, 4 * OCTAVES) / 4)
        pieces += [zero + close, zero - close]
    x = distinct(*pieces)
    return np.asarray(x[(x > lower) & (x < upper)])


def _log_variance(diffusion: Diffusion, x: Array, beyond: Array) -> tuple[Array, bool]:
    """log a at the points, -inf where it is exactly zero; and whether many digits agreed.

    Those `beyond` are out of reach: there it is only asked whether all of them are zeros.
    """
    f, a = diffusion.coefficients(x)
    with np.errstate(all="ignore"):
        log_a = np.where(a > 0, np.log(a), -math.inf)
        doubtful = (a < diffusion.least_variance) | cancelled(diffusion, f, a)
    log_a = np.where(np.isfinite(a), log_a, math.inf)  # unknown: neither a zero nor a dip
    lost = diffusion.is_lost(f, a)
    in_row = lost[1:-1] & lost[:-2] & lost[2:]  # one alone may be a zero
    log_a[1:-1][in_row] = math.inf
    log_a[[0, -1]] = np.where(lost[[1, -2]], math.inf, log_a[[0, -1]])
    if not doubtful.any():
        return log_a, True
    if not diffusion.affords_digits:
        return log_a, False
    top = float(log_a[np.isfinite(log_a)].max(initial=0.0))
    alone = np.concatenate([[False], (a[:-2] > 0) & (a[1:-1] == 0) & (a[2:] > 0), [False]])
    tried = ~doubtful | alone
    most = int(np.clip(PLENTY // diffusion.cost, FEWEST_PER_RUN, MOST_PER_RUN))
    tried[_thinned(np.flatnonzero(doubtful & ~beyond), most)] = True
    tried[_thinned(np.flatnonzero(doubtful & beyond), FAR_PER_RUN)] = True
    values = log_a.copy()
    try:
        _told_in_digits(diffusion, x, values, np.flatnonzero(tried & doubtful), top)
        # Which of those between a zero and what is none are zeros, only trying tells.
        left, right, _ = _tried_beside(values, tried)
        edge = ~tried & (np.isneginf(left) != np.isneginf(right))
        _told_in_digits(diffusion, x, values, np.flatnonzero(edge), top)
        tried |= edge
    except CANNOT:
        return log_a, False
    # Between two points that were tried, those that were not follow by interpolation.
    left, right, (before, after) = _tried_beside(values, tried)
    with np.errstate(invalid="ignore"):
        between = left + (x - x[before]) / (x[after] - x[before]) * (right - left)
    both = np.isfinite(left) & np.isfinite(right)
    between = np.where(both, between, np.where(np.isneginf(left), left, right))
    return np.where(tried, values, between), True


def _told_in_digits(
    diffusion: Diffusion, x: Array, values: Array, chosen: Array, top: float
) -> None:
    """log a at the chosen points put into values, in as many digits as it takes."""
    for digits in DIGITS:
        if not len(chosen):
            break
        many = many_digits(digits, ENOUGH)
        exact = diffusion.coefficients(many.array(x[chosen]), many)[1]
        positive = np.asarray(exact > 0, dtype=bool) & many.isfinite(exact)
        logs = np.full(len(chosen), -math.inf)
        if positive.any():
            logs[positive] = many.to_float(many.log(exact[positive]))
        with np.errstate(invalid="ignore"):
            same = np.abs(logs - values[chosen]) <= RIPPLE
        values[chosen] = logs
        # What lies within the rounding of this many digits is tried in more, unless that has
        # changed nothing: rounding would have fallen.
        chosen = chosen[(logs < top - 2 * (digits - 15) * math.log(10)) & ~same]


def _tried_beside(values: Array, tried: Array) -> tuple[Array, Array, tuple[Array, Array]]:
    """The values at the points that were tried next to each on the left and right, and which."""
    known = np.flatnonzero(tried)
    after = np.clip(np.searchsorted(known, np.arange(len(tried))), 1, len(known) - 1)
    sides = known[after - 1], known[after]
    return values[sides[0]], values[sides[1]], sides


def _thinned(indices: Array, most: int) -> Array:
    """Of each run of consecutive indices at most so many, its ends among them."""
    runs = np.split(indices, np.flatnonzero(np.diff(indices) > 1) + 1)
    few = [
        run[distinct(np.linspace(0, len(run) - 1, most).astype(int))] if len(run) > most else run
        for run in runs
    ]
    return np.concatenate(few)


# -- how far out on an infinite line anything can be -----------------------------------------------


def inward_from(x: Array, f: Array, side: int) -> float:
    """From which point on, towards the lower (side 0) or upper end, a drift points inwards.

    That is the outermost of the points x, ascending, at which it does not; inf if it never ceases.
    """
    outwards = np.asarray((f >= 0) if side == 1 else (f <= 0)) | np.isnan(f)
    if not outwards.any():
        return float(x[0] if side == 1 else x[-1])
    i = len(x) - 1 - int(np.argmax(outwards[::-1])) if side == 1 else int(np.argmax(outwards))
    last = i == (len(x) - 1 if side == 1 else 0)
    return (math.inf if side == 1 else -math.inf) if last else float(x[i])


def is_out_of_reach(diffusion: Diffusion, x: Array) -> Array:
    """Which of the points x, ascending, lie so far down a slope that no double shows anything.

    Only those at infinite ends of the domain, outside the core.
    """
    beyond = np.zeros(len(x), dtype=bool)
    far, off = 10 * FALLEN, x - middle_of(diffusion)  # coarse steps see variances that oscillate
    f, a = diffusion.coefficients(x)
    with np.errstate(all="ignore"):
        pull = np.abs(2 * f / a)
        least = np.where(np.isfinite(pull), pull, 0.0)
        step = np.minimum(np.minimum(least[1:], least[:-1]) * np.diff(x), 2 * far)
    for side in (0, 1):
        if math.isinf(diffusion.domain[side]):
            start = inward_from(x, f, side)
            outside = (x[:-1] > start) if side == 1 else (x[1:] < start)
            fall = np.where(outside, step, 0.0)
            if side == 1:
                beyond[1:] |= (np.cumsum(fall) > far) & (off[1:] > 2 * CORE)
            else:
                beyond[:-1] |= (np.cumsum(fall[::-1])[::-1] > far) & (off[:-1] < -2 * CORE)
    return beyond


def at_inward_gates(
    diffusion: Diffusion, x: Array, zeros: Iterable[Any], core: float
) -> tuple[Any, Any] | None:
    """Ends of a domain beyond which all that is at infinite ends comes in, and nothing returns.

    At a zero of the variance the drift alone acts: where from there on it points inwards for ever,
    the process passes the zero once. `zeros` are those within `core`. None if there is no such end.
    """
    f, ends = diffusion.coefficients(x)[0], list(diffusion.domain)
    for side in (0, 1):
        if math.isinf(ends[side]):
            sign, start = (1 if side == 1 else -1), inward_from(x, f, side)
            if not sign * start < core:
                return None
            dense = np.sort(np.linspace(start, sign * core, SCAN)[1:])
            start = inward_from(dense, diffusion.coefficients(dense)[0], side)
            near = (sign * (z.lower if side == 1 else z.upper) for z in zeros)
            further = sorted(edge for edge in near if edge > sign * start)
            if not further:
                return None
            ends[side] = sign * further[0]
    return ends[0], ends[1]
