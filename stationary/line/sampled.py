"""`sampled`: 2 f / a and log a on given panels, in the arithmetic of their edges.

What is no process shows here: a variance that vanishes on the way, values that are not finite.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from stationary.aliases import Array
from stationary.errors import LandscapeError, StationaryError
from stationary.functions.rounding import Rounding
from stationary.line.blurred import blurred_dips
from stationary.numbers.arithmetic import DOUBLE, Arithmetic, many_digits
from stationary.numbers.chebyshev import nodes_of, rule
from stationary.numbers.elementary import arithmetic_of, as_array, depth_of, finite, log, to_float
from stationary.panels.pieces import Samples, sample
from stationary.process.diffusion import Diffusion
from stationary.process.ends import size_of_end

SMOOTH = 0.01  # e-folds of 2 f / a that polynomials may leave of its logarithm
FAR = 1e4  # times the depth to which densities are followed, for powers of them, too


def with_means(found: Samples) -> Samples:
    """The same, with the mean of 2 f / a where it is not resolved and need not be.

    Where gradients agree to thousands of digits 2 f / a grows by as many e-folds, and a panel holds
    some thirty of them. What counts are a well, the top of its barrier, and where nearly all of
    int 2 f / a between the two comes from. On panels far from all three its mean will do.
    """
    aside = ~found.resolved & _unfelt(found)
    if not aside.any():
        return found
    (h, *values), (c, *others), (tail, *tails) = found.values, found.coefficients, found.tails
    mean = rule(len(h), arithmetic_of(found.lower)).integral @ c / 2
    level = np.concatenate([mean[None], np.zeros_like(c[1:])])
    return replace(
        found,
        values=(np.where(aside, mean, h), *values),
        coefficients=(np.where(aside, level, c), *others),
        tails=(np.where(aside, np.abs(h).max(axis=0), tail), *tails),
        resolved=found.resolved | aside,
    )


def _unfelt(found: Samples) -> Array:
    """Where, seen from both ends of the way that the drift leads along, Phi has changed by far more
    than matters, and next to nothing of all it changes by lies near; nor does anything hide there.
    """
    arithmetic = arithmetic_of(found.lower)
    h, width = found.values[0], log(found.upper - found.lower)
    up, down = (h > 0).all(axis=0), (h < 0).all(axis=0)
    sign = np.where(up, 1, np.where(down, -1, 0))
    size = to_float(log(np.where(sign, np.abs(h), 1)) + width)
    least, most = size.min(axis=0), size.max(axis=0)
    smooth = np.abs((rule(len(size)).coefficients @ size)[-3:]).max(axis=0) < SMOOTH
    beside = np.pad(most, 1, mode="edge")
    most = np.max([most, beside[2:], beside[:-2]], axis=0)  # ends are no nodes
    of_a = np.abs(to_float(found.at_edges[1][1]) - to_float(found.at_edges[1][0]))
    unfelt = np.zeros(len(sign), dtype=bool)
    rounding = float(log(arithmetic.epsilon / arithmetic.grain))
    cuts = np.flatnonzero(np.diff(sign)) + 1
    for start, stop in zip([0, *cuts], [*cuts, len(sign)], strict=True):
        if sign[start] and stop - start > 2:
            so_far = np.logaddexp.accumulate(least[start:stop])
            to_come = np.logaddexp.accumulate(least[start:stop][::-1])[::-1]
            far = np.log(FAR * depth_of(arithmetic) + of_a[start:stop].sum())
            nothing = so_far[-1] + float(log(arithmetic.epsilon))
            inner = slice(start + 1, stop - 1)
            deep = np.minimum(so_far[:-2], to_come[2:])
            clear = (deep > far) & (deep > most[inner] - rounding)  # of Phi at its smaller end
            unfelt[inner] = clear & (most[inner] < nothing) & smooth[inner]
    return unfelt


NODES = 20  # of a panel of doubles
CROWD = 64  # corners: of so many some are crossed so slowly that rounding decides where
CLOSE, BLURRED = 4, 64  # doubles from their ends panels are looked at, and then: a dip needs less
NODES_PER_DIGIT = 1.5  # of many: 2 f / a ~ 1 / r is then resolved on a whole octave
MANY = 256  # panels of a hundred digits, from which on it is asked which of them matter
FEW = 16  # the same, of very many digits
ESSENTIAL = 300.0  # e-folds of r 2 f / a within an octave, or half of one
HEADROOM = 2.0**40  # times 2 f x / a: sums over all panels of a sampling stay doubles
DISTANCE_DIGITS = (
    33  # of f and a next to an end: twice those of doubles, so that x - e has them all
)
NO_NOISE = (
    "the variance is zero everywhere in the domain, so there is no noise: the process follows its "
    "drift to the nearest stable equilibrium. (For losses: all datapoints have the same gradient.)"
)
WIDE = 2.0**24  # an infinite domain, next to whose end doubles are held against more digits
INNERMOST = 6  # octaves of the distance, in which it shows whether doubles lose it
BLUR = 64.0  # roundings, from which on they do
Of = Callable[[Any, Arithmetic], tuple[Array, Array]]

DIGITS = (60, 300, 1200)  # in which what doubles call zero is looked at, one after the other


class VanishingVarianceError(LandscapeError):
    """A sampling came to a place where the variance is zero, or too small for the arithmetic."""

    def __init__(self, message: str, near: float) -> None:
        super().__init__(message)
        self.near = near


def nodes_in(arithmetic: Arithmetic) -> int:
    """How many nodes a panel has."""
    if arithmetic is DOUBLE:
        return NODES
    return 2 * max(NODES, math.ceil(NODES_PER_DIGIT / 2 * arithmetic.accuracy))


def nodes_between(x: Array) -> Array:
    """The nodes of panels of doubles between points, ascending."""
    return as_array(nodes_of(x[:-1], x[1:], rule(NODES))[0].ravel(order="F"))


def coefficients_at(
    diffusion: Diffusion, x: Array, sharp: tuple[tuple[float, float], ...] = ()
) -> tuple[Array, Array]:
    """f and a at the points x, in their arithmetic.

    Doubles next to ends and dips where they cancel, and within the distances `sharp` of some
    points, have the values that many digits give.
    """
    if arithmetic_of(x) is not DOUBLE:
        return diffusion.coefficients(x, arithmetic_of(x))
    return sharpened(diffusion.coefficients, x, (*blurred_places(diffusion), *sharp))


def sharpened(of: Of, x: Array, blurred: tuple[tuple[float, float], ...]) -> tuple[Array, Array]:
    """Two functions of x at doubles, next to what is `blurred` as many digits have them."""
    f, a = of(x, DOUBLE)
    own, least = np.full(x.shape, -1), np.full(x.shape, math.inf)  # the nearest place of each
    for k, (at, reach) in enumerate(blurred):
        apart = np.abs(x - at)
        near = apart < np.minimum(least, reach)
        own[near], least[near] = k, apart[near]
    for k in sorted({*own.tolist()} - {-1}):
        near = own == k
        f, a = f.copy(), a.copy()
        f[..., near], a[..., near] = _without_loss(of, x[near], int(np.argmin(least[near])))
    return f, a


def _without_loss(of: Of, x: Array, lowest: int) -> tuple[Array, Array]:
    """The same in so many digits that twice as many say the same of the lowest of the points.

    1 - cos(x) loses twice as many digits as x has decimals; derivatives lose no more.
    """

    def in_digits(x: Array, digits: int) -> list[Array]:
        many = many_digits(digits)
        return [to_float(v) for v in of(many.array(x), many)]

    digits = DISTANCE_DIGITS
    while True:
        f, a = in_digits(x, digits)
        if digits >= DIGITS[-1]:
            return f, a
        sharp = [v.ravel()[0] for v in in_digits(x[lowest : lowest + 1], 2 * digits)]
        rough = [v.reshape(-1, len(x))[0, lowest] for v in (f, a)]
        if np.allclose(rough, sharp, rtol=4 * DOUBLE.epsilon, atol=0):
            return f, a
        digits *= 2


def sampled(
    diffusion: Diffusion,
    lower: Array,
    upper: Array,
    max_panels: int,
    begun: Samples | None = None,
    sharp: tuple[tuple[float, float], ...] = (),
) -> Samples:
    """2 f / a and log a on panels, in their arithmetic; `begun` is what is known on these.

    Within the distances `sharp` of some points doubles do with values that many digits gave.
    """
    arithmetic = arithmetic_of(lower)

    smallest = least_variance(diffusion, arithmetic)
    crowd, wide = len(diffusion.breakpoints) > CROWD, diffusion.domain[1] - diffusion.domain[0]

    def logarithms(x: Array) -> tuple[Array, Array]:
        f, a = coefficients_at(diffusion, x, sharp)
        if not (a > smallest).all() or not (finite(f).all() and finite(a).all()):
            diffusion.check(*map(to_float, (x, f, a)))
            raise vanishing_error(diffusion, to_float(x), to_float(a))
        with np.errstate(over="ignore"):
            return 2 * f / a, log(a)

    def on_panels(lower: Array, upper: Array, most: int, begun: Samples | None) -> Samples:
        # Next to a zero of the variance that is not known yet, 2 f / a leaves the range of doubles.
        with np.errstate(over="ignore", invalid="ignore"):
            return sample(
                logarithms,
                lower,
                upper,
                weights=(True, False),
                n=nodes_in(arithmetic),
                arithmetic=arithmetic,
                max_panels=most,
                floor=_floor(diffusion.rounding, diffusion.rows) if diffusion.is_rounded else None,
                apart=BLURRED if crowd else CLOSE,
                extent=wide / 2 if crowd and math.isfinite(wide) else 0.0,
                begun=begun,
            )

    if arithmetic is DOUBLE:
        return on_panels(lower, upper, max_panels, begun)
    many = max(FEW, MANY * 100 // arithmetic.digits)
    found = on_panels(lower, upper, min(max_panels, len(lower) + many), begun)
    while len(found.lower) < max_panels and not found.resolved.all():
        found = with_means(found)
        count = len(found.lower)
        more = max(many, count - int(np.count_nonzero(found.resolved)))
        found = on_panels(found.lower, found.upper, min(max_panels, count + more), found)
        if len(found.lower) == count:
            break
    return found


def blurred_places(diffusion: Diffusion) -> tuple[tuple[float, float], ...]:
    """Ends and dips next to which doubles cancel, and up to which distance from there."""
    found: tuple[tuple[float, float], ...] = diffusion.once(
        "blurred", lambda: _blurred_ends(diffusion) + blurred_dips(diffusion)
    )
    return found


def _blurred_ends(diffusion: Diffusion) -> tuple[tuple[float, float], ...]:
    """Singular ends next to which doubles lose the distance to them, and how far that is felt.

    At x = e + r a function of x - e may be off by epsilon |e| / r in proportion, unless it takes
    the difference of two doubles as it is, and 1 - exp(-x) is by epsilon / r, at 0, too. The points
    are doubles in any case; more digits in between are all it takes.
    """
    lower, upper = diffusion.domain
    wide = upper - lower if math.isfinite(upper - lower) else WIDE
    found: list[tuple[float, float]] = []
    opened = (False, False)
    if diffusion.affords_digits and not diffusion.is_rounded:
        with contextlib.suppress(VanishingVarianceError):  # of walls, whose noise no double is
            opened = open_ends(diffusion, DOUBLE)
    for side, inside in enumerate((1, -1)):
        end = diffusion.domain[side]
        if math.isinf(end) or not opened[side]:
            continue
        size = size_of_end(diffusion, side)
        octaves = math.log2(wide / size) + 26 if size else 60.0
        # With all bits in use, so that no rounding is left out by chance.
        r = (math.pi / 4) * wide * 2.0 ** -np.arange(max(octaves, 4.0))[::-1]
        lost = np.zeros(len(r), dtype=bool)
        many = many_digits(DISTANCE_DIGITS)
        with contextlib.suppress(StationaryError, OverflowError), np.errstate(all="ignore"):
            for some in (slice(INNERMOST), slice(INNERMOST, None)):
                x = end + inside * r[some]
                exact = diffusion.coefficients(many.array(x), many)
                for rough, sharp in zip(diffusion.coefficients(x), exact, strict=True):
                    lost[some] |= np.abs(rough / to_float(sharp) - 1) > BLUR * DOUBLE.epsilon
                if not lost[:INNERMOST].any():
                    break
        # Where it ends by chance it goes on with one of the next.
        on = lost | np.append(lost[1:], False) | np.append(lost[2:], [False, False])
        if lost.any() and on[0]:
            last = int(np.argmin(np.append(on, False)))
            found.append((end, 2 * float(r[last - 1])))
    return tuple(found)


def _floor(rounding: tuple[Rounding | None, ...], rows: float | None) -> Any:
    """How coarse h = 2 f / a and log a are where f and a are rounded.

    Relative to f that is the unit and the floor of `Rounding`, and the floor times x f' / f, where
    2 f' / a = h' + h (log a)'; likewise of a, or, of rows, what it makes of their deviations from
    f. Where nothing is known of a but that it is positive, h still has the sign of f.
    """
    (unit_f, floor_f, step_f), (unit_a, floor_a, step_a) = (
        (0.0, 0.0, 0.0) if r is None else (r.unit + r.floor, r.floor, r.scale * r.step)
        for r in rounding
    )

    def floor(
        x: Array, values: tuple[Array, ...], slopes: tuple[Array, ...]
    ) -> tuple[Array, Array]:
        h, a = np.abs(values[0]), np.exp(values[1])
        of_h = unit_f * h + floor_f * np.abs(x * (slopes[0] + values[0] * slopes[1]))
        of_h += 2 * step_f / a
        if rows is None:
            of_log_a = unit_a + floor_a * np.abs(x * slopes[1]) + step_a / a
        else:
            of_log_a = 2 * unit_a + rows * np.sqrt(a) * of_h
        of_h += h * np.minimum(of_log_a, 1)
        return of_h.mean(axis=0), of_log_a.max(axis=0)

    return floor


def open_ends(diffusion: Diffusion, arithmetic: Arithmetic) -> tuple[bool, bool]:
    """Whether each end is infinite or a singular point, rather than a wall."""
    found: tuple[bool, bool] = diffusion.once(
        ("open", arithmetic.name), lambda: _seen_as_open(diffusion, arithmetic)
    )
    return found


def _seen_as_open(diffusion: Diffusion, arithmetic: Arithmetic) -> tuple[bool, bool]:
    known = [
        math.isinf(end) or exact is not None
        for end, exact in zip(diffusion.domain, diffusion.exact_ends, strict=True)
    ]
    sides = [side for side in (0, 1) if not known[side]]
    if not sides:
        return known[0], known[1]
    ends = arithmetic.array([diffusion.end(side, arithmetic) for side in sides])
    least = least_variance(diffusion, arithmetic)
    f, a = diffusion.coefficients(ends, arithmetic)
    for i, side in enumerate(sides):
        if finite(a)[i] and 0 <= a[i] <= least and _is_tiny(diffusion, side):
            raise vanishing_error(diffusion, *(to_float(v[i : i + 1]) for v in (ends, a)))
        known[side] = not (finite(f)[i] and finite(a)[i] and a[i] > least)
    return known[0], known[1]


def _is_tiny(diffusion: Diffusion, side: int) -> bool:
    """Whether the variance at an end is positive after all, though too small for a double."""
    if not diffusion.affords_digits:
        return False
    many = many_digits(DIGITS[0], DIGITS[0] // 4)
    try:
        a = diffusion.coefficients(many.array([diffusion.end(side, many)]), many)[1]
    except (StationaryError, OverflowError):
        return False
    return bool(many.isfinite(a)[0] and a[0] > 0)


def least_variance(diffusion: Diffusion, arithmetic: Arithmetic) -> float:
    return diffusion.least_variance if arithmetic is DOUBLE else 0.0


def vanishing_error(diffusion: Diffusion, x: Array, a: Array) -> VanishingVarianceError:
    """What to say of a variance that is zero at some of the points x."""
    v, zero = diffusion.variable, a == 0
    order = np.argsort(x)
    x, zero = x[order], zero[order]
    first = int(np.argmax(zero))
    last = first + int(np.argmin(np.append(zero[first:], False))) - 1
    if last > first:
        where = f"on a stretch of the domain, from about {v} = {x[first]:.6g} to {x[last]:.6g}"
    else:
        where = f"inside the domain, near {v} = {x[first]:.9g}"
    coarse = dict.fromkeys(r.text for r in diffusion.rounding if r is not None)
    less = "lost in rounding: " + ", ".join(coarse) if coarse else "too small for a double"
    return VanishingVarianceError(
        f"{diffusion.name}: the variance vanishes {where} (or is {less}). There "
        "the process falls into parts; choose a domain on which it is positive.",
        float(x[first]),
    )


def is_essential(diffusion: Diffusion, x: Array, anchor: Any) -> Array:
    """Whether r 2 f / a changes by more from each point to the next than panels could follow."""
    f, a = coefficients_at(diffusion, x)
    with np.errstate(all="ignore"):
        pull = np.abs(f / a * (x - anchor))
        known = finite(pull) & np.asarray(pull > 0, dtype=bool)
        level = log(np.where(known, pull, 1.0))
    return np.asarray(known[1:] & known[:-1] & (np.abs(np.diff(level)) > ESSENTIAL), dtype=bool)


def usable(diffusion: Diffusion, x: Array) -> int:
    """How many of the points, from the first on, the arithmetic can carry f and a at."""
    f, a = coefficients_at(diffusion, x)
    with np.errstate(all="ignore"):
        good = finite(f) & finite(a) & (a > least_variance(diffusion, arithmetic_of(x)))
        if arithmetic_of(x) is DOUBLE:
            good &= ~diffusion.is_lost(f, a)
        # The integral of 2 f / a, roughly, and with room for the sums that it takes.
        good &= finite(HEADROOM * f / a * np.maximum(np.abs(x), 1))
    if (finite(a) & (a < 0)).any():
        diffusion.check(*map(to_float, (x, f, np.where(finite(a), a, 0))))
    return len(x) if good.all() else int(np.argmin(good))
