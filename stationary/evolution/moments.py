"""Mean and deviation over time, in closed form or from grids, and from the start itself.

With a drift b0 + b1 x and a variance c0 + c1 x + c2 x^2 in Ito's form, on a line that no wall ends,

    m' = b0 + b1 m,    v' = (2 b1 + c2) v + c0 + c1 m + c2 m^2

for the mean m and the variance v, whatever the tails: these are linear in (1, m, m^2, v).
"""

from __future__ import annotations

import math

import numpy as np

from stationary.aliases import Array
from stationary.errors import StationaryError
from stationary.evolution.propagation import Run
from stationary.evolution.refinement import Limit, Refined
from stationary.evolution.window import beyond
from stationary.functions.evaluation import evaluate
from stationary.functions.given import Boundary
from stationary.numbers.arithmetic import ROUNDING
from stationary.process.diffusion import Diffusion
from stationary.process.initial import Initial

LOST = 0.1  # of a moment, that may lie beyond all cells: with more it is not known
MUCH = 1e-6  # of all probability, at the ends of the cells
FAR = 1e-8  # probability, from which on the power of a tail is that of the start
NOT_QUITE = 1e-10  # of drift and noise at the start, that a trap may have by its own rounding
SAME = 1e-13  # relative: the rounding of a polynomial, and of matrix exponentials
TERMS = 24  # of Taylor's series up to 1, with what a path of three rates needs: 1 / 20! is 4e-19


def moments(
    start: Initial, diffusion: Diffusion, times: Array, run: Run, found: Refined, leak: Array
) -> tuple[Limit, Limit]:
    """Mean and deviation (times,); nan with an error of inf where they are not known.

    They are not where hardly any probability, too far away for cells, makes most of them, nor once
    there is more than a little of it: what was lost does not come back. `leak` is how much, at all.
    """
    missing_mean, missing_variance = beyond(run, diffusion)
    spread = np.abs(run.chain.position - run.mean[:, None])
    shift = (run.states * spread).sum(axis=1)
    away = np.abs(found.mean.value - run.origin)
    rounding = ROUNDING * (np.abs(found.mean.value) + run.chain.width.min())
    mean_error = found.mean.error + found.moment_errors[:, 0] + missing_mean + rounding
    variance = np.maximum(found.variance.value, 0.0)
    # The variance is about the mean: an error of the mean enters twice the distance.
    variance_error = (
        found.variance.error
        + found.moment_errors[:, 1]
        + missing_variance
        + 2 * away * found.moment_errors[:, 0]
    )
    mean = found.mean.value.copy()
    std = np.sqrt(variance)
    upper = np.sqrt(variance + variance_error)
    lower = np.sqrt(np.maximum(variance - variance_error, 0.0))
    std_error = np.maximum(upper - std, std - lower) + rounding
    at_first = times == 0
    if at_first.any():
        exact = start.moments()
        if exact is not None:
            mean[at_first], mean_error[at_first], std[at_first], std_error[at_first] = exact
    gone = leak > MUCH
    no_mean = np.logical_or.accumulate(~at_first & (gone | (missing_mean > LOST * shift)))
    far = missing_variance > LOST * run.variance
    no_std = np.logical_or.accumulate(~at_first & (far | no_mean))
    never = without_moments(start, diffusion, times)
    no_mean, no_std = no_mean | never[0], no_std | never[1]
    mean[no_mean] = std[no_std] = math.nan
    mean_error[no_mean] = std_error[no_std] = math.inf
    return Limit(mean, mean_error), Limit(std, std_error)


def without_moments(start: Initial, diffusion: Diffusion, times: Array) -> tuple[Array, Array]:
    """At which times there is no mean, and no deviation, as the start has none.

    A drift that grows faster than x brings what starts far out down in a finite time; any other
    leaves the power of a tail as it is.
    """
    no_mean, no_std = np.zeros((2, len(times)), dtype=bool)
    if start.law is None:
        return no_mean, no_std
    middle, at_once = start.ppf(0.5), times == 0
    for sign, end in zip((-1, 1), diffusion.domain, strict=True):
        near, far = (start.isf if sign > 0 else start.ppf)(np.array([FAR, FAR**1.5]))
        if not (math.isinf(end) and np.isfinite(far) and sign * (near - middle) > 0):
            continue
        # P(|X| > r) ~ r^-power
        with np.errstate(divide="ignore"):
            power = -math.log(FAR) / 2 / np.log((far - middle) / (near - middle))
        f = diffusion.coefficients(np.array([far, 2 * far]))[0]
        falls = -sign * f[1] > 2**1.1 * abs(f[0])
        stays = at_once | (not falls)
        no_mean |= stays & (power < 1.001)
        no_std |= stays & (power < 2.001)
    return no_mean, no_std


def closed_moments(
    start: Initial, diffusion: Diffusion, times: Array, cells: Array
) -> tuple[Limit, Limit] | None:
    """Mean and deviation by their own equations; None where these are not closed.

    Whether they are is seen at the `cells`, too, and there are no breakpoints. They are solved in
    the distance from the start and from where the drift is zero, next to which the noise may be
    as good as gone: what is known better is taken.
    """
    first = start.moments()
    terms = [] if first is None else _polynomials(diffusion, first[0], first[2], cells)
    if first is None or not terms or _meets_an_end(diffusion, *terms[0]):
        return None
    known = [_followed(first, origin, drift, noise, times) for origin, drift, noise in terms]
    mean, mean_error, std, std_error = np.stack(known, axis=1)
    at = np.arange(len(times))
    by_mean, by_std = np.argmin(mean_error, axis=0), np.argmin(std_error, axis=0)
    found = (
        Limit(mean[by_mean, at], mean_error[by_mean, at]),
        Limit(std[by_std, at], std_error[by_std, at]),
    )
    return found if np.isfinite(found[0].error + found[1].error).all() else None


def near_a_trap(
    start: Initial, diffusion: Diffusion, times: Array, cells: Array
) -> tuple[float, Array] | None:
    """A point that drift and noise leave alone, and the most that the root of E (x - c)^2 is.

    With a drift b (x - c) and a variance a (x - c)^2 that goes with exp((2 b + a) t) on a line
    without ends, and a wall that reflects leads towards c alone. None where they are not such.
    """
    first = start.moments()
    if first is None:
        return None
    for trap, drift, noise in _polynomials(diffusion, first[0], first[2], cells)[1:]:
        unit = (abs(first[0] - trap) + first[2]) ** np.arange(3)
        left = [
            np.abs(terms[0, :-1] * unit[: terms.shape[1] - 1]).max() for terms in (drift, noise)
        ]
        whole = abs(drift[0, 1]) * unit[1], noise[0, 2] * unit[2]
        if not all(x <= NOT_QUITE * of for x, of in zip(left, whole, strict=True)):
            continue
        drift[0, 0], noise[0] = 0.0, np.abs(noise[0])
        mean, mean_error, std, std_error = _followed(first, trap, drift, noise, times)
        return trap, np.hypot(np.abs(mean - trap) + mean_error, std + std_error)
    return None


def _meets_an_end(diffusion: Diffusion, centre: float, drift: Array, noise: Array) -> bool:
    """Whether a finite end has noise, or a drift that leads out."""
    for end, inwards in zip(diffusion.domain, (1, -1), strict=True):
        if math.isfinite(end):
            terms = noise[0] * (end - centre) ** np.arange(3)
            leads = drift[0] * (end - centre) ** np.arange(2) * inwards
            if abs(terms.sum()) > SAME * abs(terms).sum():
                return True
            if leads.sum() < -SAME * abs(leads).sum():
                return True
    return False


def _followed(
    first: tuple[float, float, float, float],
    origin: float,
    drift: Array,
    noise: Array,
    times: Array,
) -> Array:
    """Mean, its error, deviation and its error, from the coefficients about an origin.

    These are of shape (2, powers), with what each may be off. Perturbed by that the moments move
    by int exp(M (t - s)) dM exp(M s) ds at most, where the rates M that lead from one moment to
    another, and dM, are positive: nothing cancels.
    """
    centre, centre_error, std, std_error = first
    away = centre - origin
    fastest = max(abs(drift[0, 1]), abs(noise[0, 2])) or 1 / (float(times.max()) or 1.0)
    unit = max(  # of length, in which no rate is above the fastest
        abs(drift[0, 0]) / fastest,
        math.sqrt(abs(noise[0, 0]) / fastest),
        abs(noise[0, 1]) / fastest,
        abs(away),
        std,
    )
    unit = unit or 1.0
    drift, noise = drift / [unit, 1], noise / [unit**2, unit, 1]
    rates, off = (_rates(*own) for own in zip(drift, noise, strict=True))
    size = np.where(np.eye(4), rates, np.abs(rates))
    moved = np.block([[size, np.zeros((4, 4))], [off, size]])
    x, dx, v = away / unit, centre_error / unit, (std / unit) ** 2
    begin = np.array([1.0, x, x * x, v])
    unsure = np.array(
        [0.0, dx, (2 * abs(x) + dx) * dx, (2 * std + std_error) * std_error / unit**2]
    )
    unsure += SAME * np.abs(begin)
    with np.errstate(all="ignore"):
        found = _exponentials(rates, times) @ begin
        error = (_exponentials(moved, times) @ np.append(np.abs(begin), unsure))[:, 4:]
        error = error + np.finfo(float).tiny  # what underflows
        mean, v, v_error = origin + unit * found[:, 1], np.maximum(found[:, 3], 0.0), error[:, 3]
        upper, lower = np.sqrt(v + v_error), np.sqrt(np.maximum(v - v_error, 0.0))
        mean_error = unit * error[:, 1] + ROUNDING * np.abs(mean)
        width = unit * (upper - lower)
        width[(times == 0) & (std == std_error == 0)] = 0.0  # at a point
        results = np.stack([mean, mean_error, unit * np.sqrt(v), width])
    return np.where(np.isfinite(results), results, np.inf)


def _rates(drift: Array, noise: Array) -> Array:
    """Of the moments 1, E x, (E x)^2 and the variance, from each to each."""
    (b0, b1), (c0, c1, c2) = drift, noise
    return np.array(
        [[0, 0, 0, 0], [b0, b1, 0, 0], [0, 2 * b0, 2 * b1, 0], [c0, c1, c2, 2 * b1 + c2]]
    )


def _exponentials(rates: Array, times: Array) -> Array:
    """exp(rates t), (times, n, n), each entry to its own rounding where none cancel.

    Where all rates but those on the diagonal are positive, so is every term of Taylor's series
    once the least of these is taken out, and every product in squaring [1]_. The diagonal of a
    triangle is known.

    References
    ----------
    .. [1] J. Xue and Q. Ye, *Computing exponentials of essentially non-negative matrices entrywise
       to high relative accuracy*, Math. Comp. 82 (2013) 1577.
    """
    diagonal = rates.diagonal()
    shifted = rates - diagonal.min() * np.eye(len(rates))
    norm = np.abs(shifted).sum(axis=1).max() - diagonal.min()
    halved = np.ceil(np.log2(np.maximum(norm * times, 1.0))).astype(int)
    step, known = times / 2.0**halved, np.arange(len(rates))
    found = term = np.broadcast_to(np.eye(len(rates)), (len(times), *rates.shape))
    for k in range(1, TERMS):
        term = term @ shifted * (step / k)[:, None, None]
        found = found + term
    found = found * np.exp(diagonal.min() * step)[:, None, None]
    for k in range(int(halved.max(initial=0)) + 1):
        at = step * 2.0 ** np.minimum(k, halved)
        found = np.where(((halved >= k) & (k > 0))[:, None, None], found @ found, found)
        found[:, known, known] = np.exp(diagonal * at[:, None])
    return np.asarray(found)


def _residual(own: Array, coefficients: Array, x: Array) -> tuple[Array, Array]:
    """How far values are from those of a polynomial, and the sum of its terms' sizes."""
    terms = coefficients[:, None] * x ** np.arange(len(coefficients))[:, None]
    return np.abs(own - terms.sum(axis=0)), np.abs(terms).sum(axis=0)


def _polynomials(
    diffusion: Diffusion, centre: float, width: float, cells: Array
) -> list[tuple[float, Array, Array]]:
    """Origins, and about each the coefficients of a linear drift and a quadratic variance.

    Each with what it may be off: (2, powers). None if they are not such, or not everywhere.
    """
    walls = {Boundary.PERIODIC, Boundary.ABSORBING}
    if walls & set(diffusion.boundaries) or diffusion.breakpoints:
        return []
    lower, upper = diffusion.domain
    try:
        value, slope = (float(v[0]) for v in evaluate(diffusion.drift, np.array([centre]), order=1))
        origins = [centre]
        if slope and math.isfinite(value / slope):
            origins.append(min(max(centre - value / slope, lower), upper))
        width = max(width, abs(origins[-1] - centre)) or 1.0
        far = np.geomspace(ROUNDING, 1 / ROUNDING, 121) * width
        x = np.concatenate(
            [origins, *(o + far for o in origins), *(o - far for o in origins), cells]
        )
        x = x[(x >= lower) & (x <= upper)]
        f, a = evaluate(diffusion.drift, x, order=2), evaluate(diffusion.variance, x, order=3)
    except StationaryError:
        return []
    if (f[2] != 0).any() or (a[3] != 0).any() or np.ptp(f[1]) or np.ptp(a[2]):
        return []
    found = []
    for k, origin in enumerate(origins):
        noise, drift = np.array([v[k] for v in a[:3]]) / [1, 1, 2], np.array([v[k] for v in f[:2]])
        values = ((f[0], drift), (a[0], noise), (a[1], noise[1:] * [1, 2]))
        left, size = np.transpose([_residual(own, c, x - origin) for own, c in values], (1, 0, 2))
        # Functions with jumps have the same derivatives everywhere, too.
        seen = np.abs(x - centre) >= width / 100
        if k == 0 and not (left[:2, seen] <= SAME * size[:2, seen]).all():
            return []
        # What is no part of a term is one of the lowest; a point is off by as much as the origin.
        off = 2 * np.where(left > SAME * size, left, 0.0).max(axis=1)
        of_drift = SAME * np.abs(drift) + [off[0], 0.0]
        of_noise = SAME * np.abs(noise) + [off[1], off[2], 0.0]
        to_ito = diffusion.convention.value / 2 * np.array([1, 2])
        drift, of_drift = drift + to_ito * noise[1:], of_drift + to_ito * of_noise[1:]
        found.append((origin, np.stack([drift, of_drift]), np.stack([noise, of_noise])))
    return found
