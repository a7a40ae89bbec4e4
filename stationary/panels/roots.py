"""Where a piecewise polynomial changes sign or turns, and the roots of a function to rounding."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from heapq import heapify, heappop, heappush

import numpy as np

from stationary.aliases import Array
from stationary.numbers.arithmetic import DOUBLE
from stationary.numbers.chebyshev import chebyshev_sum, derived, rule, rule_of
from stationary.numbers.elementary import FLOAT, arithmetic_of, as_array, finite, spacing, to_float
from stationary.panels.pieces import Panels


@dataclass(frozen=True, eq=False)
class SignChanges:
    """Where a piecewise polynomial changes sign, left to right."""

    x: Array
    left: Array  # points on either side with nothing else between
    right: Array
    downward: Array  # bool: from positive to negative
    stretch: Array  # bool: exactly zero on a whole stretch, of which x is the middle


def runs_of(flags: Array) -> list[tuple[int, int]]:
    """From which index on, and before which, there is what is true, one after the other."""
    steps = np.diff(np.concatenate([[False], flags, [False]]).astype(int))
    first, last = (np.flatnonzero(steps == sign).tolist() for sign in (1, -1))
    return list(zip(first, last, strict=True))


def sign_changes(
    panels: Panels, c: Array, kept: Callable[[Array], Array] | None = None
) -> SignChanges:
    """The sign changes of the function with coefficients `c` (jumps across edges included).

    Of points where it changes sign, roughly, `kept` says which are looked at closely; else all.
    """
    t = rule_of(c).closed
    m = len(t)
    sign, values = _signs(c, t)
    panel, place = np.repeat(np.arange(c.shape[1]), m), np.tile(t, c.shape[1])
    sign, at_nodes = sign.T.ravel(), values.T.ravel()
    after, *turn = _turned(c, t, values)
    if len(after):  # where it turns round beyond 0 between two nodes
        panel, place = np.insert(panel, after, turn[0]), np.insert(place, after, turn[1])
        sign, at_nodes = np.insert(sign, after, turn[2]), np.insert(at_nodes, after, turn[3])
    moving = np.flatnonzero(sign)
    there = sign[moving]
    change = np.flatnonzero(there[1:] != there[:-1])
    if kept is not None:
        k = panel[moving[change]]
        change = change[kept(panels.lower[k] + panels.half[k] * (1 + place[moving[change]]))]
    i, j = moving[change], moving[change + 1]
    stretch = j - i > 4  # beyond an edge, which counts twice, and a node on either side
    # Where the function vanishes exactly, the stretch ends at the last points that are zero.
    at = np.stack([i, j, i + stretch, j - stretch])
    k = panel[at]
    before, after, left, right = panels.lower[k] + panels.half[k] * (1 + place[at])
    within = (k[0] == k[1]) & ~stretch
    # Across an edge without a stretch of zeros the change is at the edge itself.
    points = np.where(stretch, (before + after) / 2, panels.edges[k[1]])
    if within.any():
        k, (a, b) = k[0][within], at[:2, within]
        ends = (at_nodes[a], at_nodes[b]) if c.dtype is FLOAT else None
        root = _polished(c[:, k], place[a], place[b], ends)
        points[within] = panels.lower[k] + panels.half[k] * (1 + root)
    return SignChanges(points, left, right, sign[i] > 0, stretch)


def _turned(c: Array, t: Array, values: Array) -> tuple[Array, Array, Array, Array, Array]:
    """Turning points between two nodes at which a polynomial has one sign, and there the other.

    With the place of each among all nodes, panel by panel: its panel, where in it, sign and value.
    """
    shapes, size = _shapes(c)
    slopes = derived(shapes)
    rise = rule(len(c) + len(c) % 2).values[:, : len(c)] @ slopes
    side, way = np.sign(values), np.sign(rise)
    same = (side[:-1] == side[1:]) & (side[:-1] * way[:-1] < 0) & (side[1:] * way[1:] > 0)
    k, node = np.nonzero(same.T)
    turn = value = np.zeros(0)
    if len(k):
        ends = rise[node, k], rise[node + 1, k]
        turn = _polished(slopes[:, k], to_float(t[node]), to_float(t[node + 1]), ends)
        value = chebyshev_sum(shapes[:, k], turn)
        beyond = (np.sign(value) == -side[node, k]) & (np.abs(value) > 9 * DOUBLE.epsilon * size[k])
        node, k, turn, value = node[beyond], k[beyond], turn[beyond], value[beyond]
    return k * len(t) + node + 1, k, arithmetic_of(c).array(turn), np.sign(value), value


def _shapes(c: Array) -> tuple[Array, Array]:
    """Coefficients in doubles, those of many digits as parts of the largest; and these sizes."""
    size = np.abs(c).max(axis=0)
    if c.dtype is FLOAT:
        return c, size
    return to_float(c / np.where(size > 0, size, 1)), np.ones(len(size))


def _signs(c: Array, t: Array) -> tuple[Array, Array]:
    """The signs at points `t` of all polynomials, 0 where the value is no more than rounding.

    And the values, as `_shapes` has them. Many digits are looked at where doubles do not tell.
    """
    shapes, size = _shapes(c)
    v = rule(len(c) + len(c) % 2).values[:, : len(c)] @ shapes
    known = np.abs(v) >= 9 * DOUBLE.epsilon * (1 if c.dtype is FLOAT else len(c)) * size
    sign = np.where(known, np.sign(v), 0.0)
    if c.dtype is not FLOAT and not known.all():
        i, k = np.nonzero(~known)
        exact = chebyshev_sum(c, t[i], k)
        exact[np.abs(exact) < 9 * arithmetic_of(c).epsilon * np.abs(c).max(axis=0)[k]] = 0
        sign[i, k] = np.sign(exact).astype(float)
    return sign, v


def _polished(c: Array, low: Array, high: Array, ends: tuple[Array, Array] | None) -> Array:
    """A root of each polynomial c[:, i] between low[i] and high[i], where it changes sign.

    `ends` are its values there. Newton's method from the secant's root; where that leaves the
    bracket, Chandrupatla's.
    """
    epsilon = arithmetic_of(c).epsilon
    slopes = derived(c)
    both = np.stack([c, slopes]) if c.dtype is FLOAT else None
    k = np.arange(len(c))[:, None]
    left, right = ends or (chebyshev_sum(c, low), chebyshev_sum(c, high))
    with np.errstate(all="ignore"):
        t = low - left * (high - low) / (right - left)
        for _ in range(5 if c.dtype is FLOAT else 12):
            if both is not None:
                value, slope = (both * np.cos(k * np.arccos(t))).sum(axis=1)
            else:
                value, slope = chebyshev_sum(c, t), chebyshev_sum(slopes, t)
                slope = np.where(slope == 0, epsilon * epsilon, slope)
            step = value / slope
            t = t - step
            if np.abs(step).max() < 450 * epsilon:
                break
    astray = ~((t >= low) & (t <= high) & (np.abs(step) < 4e6 * epsilon))
    if astray.any():
        some, rounding = c[:, astray], epsilon * np.abs(c[:, astray]).max(axis=0)

        def known(t: Array) -> Array:
            value = chebyshev_sum(some, t)
            return np.where(np.abs(value) > rounding, value, 0 * value)

        t[astray] = find_roots(known, low[astray], high[astray])
    return as_array(t)


def bisected(
    holds: Callable[[Array], Array], low: Array, high: Array, rounds: int = 80
) -> tuple[Array, Array]:
    """Neighbours, or what so many halvings leave, between which something ceases to hold.

    It holds at `low` and does not at `high`; either may be the larger.
    """
    for _ in range(rounds):
        middle = (low + high) / 2
        if not ((middle != low) & (middle != high)).any():
            break
        held = np.asarray(holds(middle), dtype=bool)
        low, high = np.where(held, middle, low), np.where(held, high, middle)
    return low, high


def find_roots(
    function: Callable[..., Array],
    lower: Array,
    upper: Array,
    steps: int = 120,
    *,
    each: bool = False,
) -> Array:
    """The root in each bracket, to the last bit; the function changes sign in each.

    Chandrupatla's method (inverse quadratic interpolation where it is safe, else halving),
    all brackets at once. Where the function knows `each` by itself, it takes the numbers of some of
    them, too: those that are not done.

    References
    ----------
    .. [1] T. R. Chandrupatla, *Adv. Eng. Software* 28 (1997) 145-149.
    """
    a, b = lower + 0, upper + 0
    if not len(a):
        return a
    steps = max(steps, 4 * arithmetic_of(a).digits)
    root, left = a + 0, np.arange(len(a))

    def values(x: Array) -> Array:
        if each:
            return function(x, left)
        every = root + 0
        every[left] = x
        return as_array(function(every)[left])

    fa, fb = values(a), values(b)
    c, fc = a, fa
    t = np.full(len(a), 0.5)
    with np.errstate(all="ignore"):
        for _ in range(steps):
            x = a + t * (b - a)
            fx = values(x)
            same = np.sign(fx) == np.sign(fa)
            c, fc = np.where(same, a, b), np.where(same, fa, fb)
            b, fb = np.where(same, b, a), np.where(same, fb, fa)
            a, fa = x, fx
            best = np.where(np.abs(fa) < np.abs(fb), a, b)
            width = np.abs(b - a)
            close = 2 * spacing(best)
            root[left] = best
            going = ~np.asarray((width <= close) | (fa == 0) | (fb == 0), dtype=bool)
            if not going.any():
                break
            if not going.all():
                left, width, close = left[going], width[going], close[going]
                a, b, c, fa, fb, fc = (v[going] for v in (a, b, c, fa, fb, fc))
            xi, phi = _over(a - b, c - b), _over(fa - fb, fc - fb)
            safe = (phi**2 < xi) & ((1 - phi) ** 2 < 1 - xi)
            t = _over(_over(fa, fb - fa) * fc, fb - fc)
            t = t + _over(_over(_over(c - a, b - a) * fa, fc - fa) * fb, fc - fb)
            t = np.where(safe & finite(t), t, 0.5)
            least = np.minimum(0.5, _over(close, width) / 2)
            t = np.clip(t, least, 1 - least)
    return as_array(root)


def _over(x: Array, y: Array) -> Array:
    """x / y; nan or inf where y is zero."""
    if x.dtype is FLOAT and y.dtype is FLOAT:
        return as_array(x / y)
    return as_array(arithmetic_of(y).divide(x, y))


def without_ripples(rises: Array, noise: Array, *, fixed_ends: bool) -> Array:
    """Which points stay when turns between which a function hardly rises are dropped.

    `rises` are the signed rises between consecutive points, and a rise below its `noise` is
    rounding. Points go in pairs, so that rises and falls keep alternating; with `fixed_ends` the
    first and the last stay, and a point next to them goes alone.
    """
    n, steps, blur = len(rises), list(rises), list(noise)
    keep = np.ones(n + 1, dtype=bool)
    ratios = [float(r) for r in np.abs(rises) / noise]
    waiting = [(r, i) for i, r in enumerate(ratios) if r <= 1]
    heapify(waiting)
    # Step i goes from point i to point right[i]; before the first comes -1, after the last n.
    right, before, after = (list(range(k, n + k)) for k in (1, -1, 1))
    while waiting:
        ratio, i = heappop(waiting)
        run = [k for k in (before[i], i, after[i]) if 0 <= k < n]
        if ratio != ratios[i] or (fixed_ends and len(run) == 1):
            continue  # it went, or is part of another step by now; or it is all that is left
        keep[i] = fixed_ends and before[i] < 0
        keep[right[i]] = fixed_ends and after[i] == n
        first, beyond = run[0], after[run[-1]]
        for k in run:
            ratios[k] = math.inf
        if fixed_ends or len(run) == 3:  # what was risen across the points belongs to one step
            steps[first], blur[first] = sum(steps[k] for k in run), max(blur[k] for k in run)
            right[first], ratios[first] = right[run[-1]], float(abs(steps[first]) / blur[first])
            if ratios[first] <= 1:
                heappush(waiting, (ratios[first], first))
        else:
            first = before[first]
        if first >= 0:
            after[first] = beyond
        if beyond < n:
            before[beyond] = first
    return np.flatnonzero(keep)
