"""What is not known between the places at which functions are known: by splines of other degrees,
and by what they miss of places that are left out."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from stationary.aliases import Array, Function
from stationary.functions.interpolation import Spline, degree_for
from stationary.process.known import SPREAD

FURTHER = 5.0  # times a difference between two degrees, at most, that higher ones make of it
FALLING = 0.6  # of a difference between degrees, which higher ones leave of corners and jumps
PACED = 0.5  # as places beside tell, at most; else 26 of 1,920 gaps were off by 4 bounds, so 7
ASIDE = 1.6  # times less than what is missed of a knot is on either side of a jump alone, or more
CORNERED = 0.4  # of what is missed over twice the gap, at least, corners leave over one
AROUND = 9  # knots, over which what is missed is looked at: a corner alone shows in fewer than half
BESIDE = 1.7  # times less than what is missed of a knot is between knots of corners everywhere
BY_MEANS = 2.0  # times less than the same of gradients alone degrees tell where means are known
LOOKS = 8  # points between two knots at which splines of different degrees are compared
THIRD = 3  # of so many knots one is left out, to see how others tell of it


def unknown(
    x: Array,
    rows: Array,
    degree: int,
    function: Callable[[Spline], Function] = lambda s: s,
    falls: Array | None = None,
    least: Function | None = None,
    share: float = 1.0,
) -> Function:
    """What is not known between the places x of a function of a spline through rows; bounds.

    Splines of two degrees more follow functions better where places are close enough for them;
    where they are not, these swing, and two degrees less say more. Two of them may agree by
    chance: it `falls` no faster than the `pace` of all rows. Corners and jumps no degree follows:
    see `_beyond`. These are alone, where of what is smooth a `share` is left when it adds up.
    """

    def through(kept: Array, k: int) -> Function:
        return function(Spline.through(x[kept], kept_of(rows, kept), k))

    every = np.ones(len(x), dtype=bool)
    own, at = degree_for(len(x), degree), _between(x)
    plain, lower = through(every, own), through(every, max(own - 2, 1))

    def apart(other: Function, w: Array) -> Array:
        return np.asarray(np.abs(other(w) - plain(w)))

    more, table = degree_for(len(x), degree + 2), rows.reshape(len(rows), -1)
    higher = through(every, more) if more > own else lower
    missed = many = lonely = np.zeros(len(x) - 1)
    if len(x) > degree:
        missed, farther = (
            np.abs(left_out(x, lambda kept: through(kept, degree), gaps) - plain(x))
            for gaps in (1, 2)
        )
        many = _everywhere(missed, farther) if more > own else missed / SPREAD
        missed, many = (np.maximum(e[1:], e[:-1]) for e in (missed, many))
        lonely = _alone(x, table[: len(x)])
    if falls is None:
        falls = pace(x, table, degree)
        if table.shape[1] == 1:  # which that of places next to it tells, too
            falls = np.maximum(falls, np.minimum(_beside(falls), PACED))
    factor, corners = _beyond(apart(lower, at), missed, lonely, falls)
    # What higher degrees hardly gain on may be either: half way between them.
    factor = factor / np.where(falls < FALLING, 1, np.sqrt(share))
    corners = np.maximum(corners, many) / share

    def of_degrees(w: Array, i: Array) -> Array:
        off = np.maximum(apart(higher, w), np.minimum(falls[i], 1) * apart(lower, w))
        return np.asarray(off if least is None else np.maximum(off, least(w)))

    tops = _largest(of_degrees(at, np.repeat(np.arange(len(x) - 1), LOOKS)))

    def error(w: Array) -> Array:
        i = np.clip(x.searchsorted(w) - 1, 0, len(x) - 2)
        if len(rows) == len(x):
            return np.asarray(np.maximum(of_degrees(w, i) * factor[i], corners[i]))
        # Halfway, too, where means are known, differences change their sign; errors do elsewhere.
        off = 4 * tops[i] * np.abs((w - x[i]) * (x[i + 1] - w)) / (x[i + 1] - x[i]) ** 2
        return np.asarray(BY_MEANS * np.maximum(off * factor[i], corners[i]))

    return error


def pace(x: Array, rows: Array, degree: int) -> Array:
    """Between two places each, what two more degrees leave of a difference between two degrees.

    Of all columns of the rows (n, R) together: that of one alone may be next to 0 by chance.
    """
    own, at = degree_for(len(x), degree), _between(x)
    less, plain, more = (
        Spline.through(x, rows, k)(at)
        for k in (max(own - 2, 1), own, degree_for(len(x), degree + 2))
    )
    high, low = (_largest(np.linalg.norm(other - plain, axis=1)) for other in (more, less))
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.nan_to_num(high / low, nan=0.0, posinf=np.inf)


def kept_of(rows: Array, kept: Array) -> Array:
    """Of rows for each knot, once or twice, those of some."""
    return np.asarray(rows[np.tile(kept, len(rows) // len(kept))])


def left_out(x: Array, through: Callable[[Array], Function], gaps: int = 1) -> Array:
    """What functions make of each of the places x without it, and without all that are not so many
    gaps away from it; of both ends as they are."""
    found = np.asarray(through(np.ones(len(x), dtype=bool))(x))
    for own, kept in _turns(len(x), gaps):
        found[own] = through(kept)(x[own])
    return found


def _turns(n: int, gaps: int) -> Iterator[tuple[Array, Array]]:
    """Which of n places are looked at, and which are kept: all that are so many gaps away."""
    for k in range(THIRD * gaps):
        own = np.zeros(n, dtype=bool)
        own[1 + k : -1 : THIRD * gaps] = True
        out = np.convolve(own, np.ones(2 * gaps - 1), "same") > 0
        out[[0, -1]] = False
        yield own, ~out


def _between(x: Array) -> Array:
    """Points between each knot and the next, at which splines are compared."""
    share = (np.arange(LOOKS) + 0.5) / LOOKS
    return np.asarray((x[:-1, None] + np.diff(x)[:, None] * share).ravel())


def _largest(values: Array) -> Array:
    """The largest between two knots each, of values at points between knots."""
    return np.asarray(values.reshape(-1, LOOKS).max(axis=1))


def _beside(values: Array) -> Array:
    """The larger one of the two next to each."""
    near = np.pad(values, 1)
    return np.asarray(np.maximum(near[:-2], near[2:]))


def _beyond(low: Array, missed: Array, share: Array, falls: Array) -> tuple[Array, Array]:
    """Between two knots each: the error over what a higher degree differs by, and its least.

    `low` is what a spline of a lower degree differs by at points between knots, `missed` what is
    missed where knots are left out, and `falls` the `pace`. What still higher degrees would add is
    a geometric series; where the higher one differs more than the lower one, the difference is
    that of the latter. A jump or a corner splines of all degrees miss alike: where differences do
    not fall, there is the `share` of what is missed that stands alone; half of it on either side,
    and it is summed up with no other (as `SPREAD` takes it to be).
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        series = 1 / np.maximum(1 - falls, 1 / FURTHER)
        other = np.clip(missed / _largest(low), 1.0, FURTHER) / falls
        factor = np.nan_to_num(np.where(falls < 1, series, other), nan=1.0, posinf=1.0)
    near = np.maximum(falls, _beside(falls))
    return factor, missed * share * np.minimum(near / FALLING, 1) ** 2 / (ASIDE * SPREAD)


def _everywhere(missed: Array, farther: Array) -> Array:
    """At each knot: what corners that are everywhere, as those of many hinges, leave between knots.

    Given what is `missed` of a knot that is left out, and what is missed where those next to it
    are left out, too. Of corners both are as large as what is missed between knots, within a few
    times; of what is smooth the first is a small part of the second. By medians over knots around:
    a corner or a jump alone does not count (see `_alone`).
    """
    from scipy.ndimage import median_filter

    missed, farther = (
        median_filter(np.pad(e[1:-1], 1, mode="edge"), AROUND, mode="nearest")
        for e in (missed, farther)
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.nan_to_num(missed / (CORNERED * farther), nan=0.0, posinf=1.0)
    return np.asarray(missed / (BESIDE * SPREAD) * np.minimum(share, 1) ** 2)


def _alone(x: Array, values: Array) -> Array:
    """Between two knots each, how far third differences of values (n, R) stand out there.

    From 0 to 1, where they are twice those next to it or more: a jump or a corner is in the three
    of them that hold its place, whatever its size, and in no other.
    """
    d = values
    for k in range(1, min(4, len(x))):
        d = np.diff(d, axis=0) / (x[k:] - x[:-k])[:, None]
    n, size = len(x) - 1, np.pad(np.sqrt((d**2).sum(axis=1)), 1, mode="edge")
    padded = np.pad(size, 3)
    beside = np.max([padded[k : k + n] for k in (0, 1, 5, 6)], axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.minimum(np.nan_to_num(size / beside, posinf=2.0) / 2, 1) ** 4)
