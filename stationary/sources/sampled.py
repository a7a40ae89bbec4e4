"""`sampled`: gradients that are expensive or rounded, evaluated where the answer needs them.

Each datapoint is interpolated by a spline of degree 7 through the weights evaluated so far. The
next ones go where splines of degrees 5 and 7 differ most in what they make of the ratios of the
masses of neighbouring minima, or where most is still open, as degrees 7 and 9 say. With
K(w) = P_A(W > w) - P_B(W > w), log(M_A / M_B) changes by

    int K d(2f/a) dw - int (p_A - p_B) dS2 / S2 dw.

Between two knots the absolute values of this add up; from one pair of knots to the next errors
have other signs, and twice the root of the sum of their squares is claimed; of what is smooth, less
(`evaluated.TOGETHER`). (Of corners, one pair of knots holds all of it; a sum with its signs would
cancel and claim too little.)

Where losses come with the gradients, their differences tell the mean of each gradient between two
knots: as much again as the gradients do, for nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from stationary.aliases import Array, Function
from stationary.errors import LandscapeError
from stationary.functions.given import interval, number
from stationary.numbers.arithmetic import TINY
from stationary.numbers.elementary import distinct
from stationary.process.known import LINEAR, SPREAD, KnownGradients, told_by_signs
from stationary.sources.evaluated import FIRST, NEAR, Evaluated
from stationary.sources.interpolated import Interpolated, known_from

FINE = 32  # points between two knots at which what goes through them is looked at
BLURRED = 0.2  # of an error: where rounding of losses makes that, degrees differ by it alone
OCTAVES = 14  # ever closer to each knot, which may stand beside a peak far narrower than the gap
PEAK = np.linspace(-6, 6, 25)  # deviations of each peak, over which its mass is looked at
# What comes from evaluations.
LEARNED = ("mean", "variance", "rows", "each", "drawn", "knots", "error", "notes")


def sampled(
    gradients: Function,
    domain: tuple[float, float],
    *,
    tolerance: float = 1e-3,
    most: int = 200,
    losses: bool = False,
    name: str = "sampled gradients",
) -> KnownGradients:
    """Gradients that are expensive or rounded, as a `Landscape` takes them.

    Nothing is evaluated at more weights than the answer needs: the landscape, which knows its
    learning rate, asks for them when it is made, and what was evaluated is kept for the next one.

    Parameters
    ----------
    gradients
        Takes an array of M weights, or a single weight. Returns the gradients of the N datapoints,
        shape (N, M) or (N,); in doubles, float32, or another type that NumPy can read.
    domain
        Two finite ends, which reflect unless the landscape says otherwise.
    tolerance
        To which the logarithm of the ratio of the masses of neighbouring minima is wanted (with a
        single minimum, of its two halves).
    most
        Weights at which it may be evaluated. What is reached is the error of every answer.
    losses
        Whether a pair is returned, losses and gradients, as by ``jax.jvp``. Differences of losses
        tell what gradients are on average between two weights: half of the weights are enough.
    name
        What errors call them.

    Raises
    ------
    LandscapeError
        If they are not finite, are not the same datapoints each time, or are no function of the
        weight alone.
    """
    low, high = interval(domain, name, finite=True)
    if math.isinf(low) or math.isinf(high):
        raise LandscapeError(
            f"{name}: the domain ({low:g}, {high:g}) is infinite, and expensive functions are "
            "evaluated at a few points of it. Give two finite ends."
        )
    wanted, count = number(tolerance), number(most)
    if wanted is None or not 0 < wanted < math.inf:
        raise LandscapeError(f"{name}: tolerance = {tolerance!r:.60} must be positive, as 1e-3.")
    if count is None or not FIRST + 2 <= count < math.inf:
        raise LandscapeError(
            f"{name}: most = {most!r:.60} must be a number of weights, at least {FIRST + 2}."
        )
    if not isinstance(losses, (bool, np.bool_)):
        raise LandscapeError(
            f"{name}: losses = {losses!r:.60} says whether the function returns losses, too: give "
            "losses=True, and let it return the pair (losses, gradients)."
        )
    evaluated = Evaluated(gradients, name, low, high, bool(losses))
    table = evaluated.table()
    return _Sampled(
        **vars(known_from(table, name=name, needed="more of them")),
        evaluated=evaluated,
        tolerance=wanted,
        most=int(count),
    )


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class _Sampled(KnownGradients):
    evaluated: Evaluated
    tolerance: float
    most: int

    def bound(self, scale: float, decay: float) -> KnownGradients:
        """Evaluated where 2 f / a = -scale (G + decay w) / S2 needs it."""
        table, claimed, limited = _refined(self.evaluated, scale, decay, self.tolerance, self.most)
        reached = (
            "" if claimed <= self.tolerance else f", which is not the {self.tolerance:g} asked for"
        )
        why = " by the rounding of the gradients" if limited else f" by most = {self.most}"
        notes = (self.remark,) * bool(self.remark)
        notes += (
            f"the gradients were evaluated at {self.evaluated.calls} weights and interpolated for "
            "each datapoint: logarithms of ratios of masses are known to about "
            f"{claimed:.1g}{reached + ', limited' + why if reached else ''}",
            "what lies between two of these weights alone, which are up to "
            f"{np.diff(table.x).max():.2g} apart, shows at none and is in no error",
        )
        if table.floor > 1e-9 * self.evaluated.size:
            notes += (
                f"the gradients are rounded ({self.evaluated.dtype}): to about "
                f"{table.floor:.0e} each, which is in all errors",
            )
        found = known_from(table, notes=notes)
        return replace(self, **{f: getattr(found, f) for f in LEARNED})


def _refined(
    evaluated: Evaluated, scale: float, decay: float, tolerance: float, most: int
) -> tuple[Interpolated, float, bool]:
    """Evaluate where it matters; what is known then, how well, and whether rounding limits it."""
    before: Interpolated | None = None
    claimed = math.inf
    while True:
        table = evaluated.table()
        x = table.x
        claim, where, rough, moved, signed = _errors(table, scale, decay, before)
        total, least = (SPREAD * float(np.sqrt((e**2).sum())) for e in (claim, rough))
        # What the last weights changed tells whether the error before was as large as it was said;
        # of corners and jumps, which no degree follows, it is far more than degrees differ.
        table = replace(table, caution=max(1.0, moved / claimed))
        bound = total = total * table.caution
        if table.caution == 1 and least < BLURRED * signed and signed < total <= LINEAR:
            table, total = replace(table, signed=True), signed
        limited = total > tolerance and least > 0.5 * total
        if table.losses is not None and total > tolerance and least > BLURRED * total:
            evaluated.of_losses, before = math.inf, None  # gradients alone lose fewer digits
            continue
        room = most - evaluated.calls
        # An interval as narrow as the points that showed the rounding cannot be told further.
        able = (rough < 0.5 * claim) & (np.diff(x) > 4 * NEAR * (x[-1] - x[0]))
        useful = np.where(able, np.maximum(where, claim), 0.0)
        done = total <= tolerance and before is not None
        if done or limited or room <= 0 or not useful.any():
            return table, total, bool(limited or not useful.any())
        # All that lie above an even share of the tolerance, the worst of them first.
        chosen = np.argsort(-useful)[: max(1, min(room, len(x) // 6))]
        enough = max(tolerance / (4 * math.sqrt(len(x))), 0.02 * useful.max())
        chosen = chosen[useful[chosen] >= min(enough, useful.max())]
        before, claimed = table, max(bound, TINY)
        evaluated.add((x[chosen] + x[chosen + 1]) / 2)


def _errors(
    table: Interpolated, scale: float, decay: float, before: Interpolated | None
) -> tuple[Array, Array, Array, float, float]:
    """By interval between knots, in the worst of the log ratios of neighbouring masses.

    Returns what is claimed, what tells where to evaluate next, what rounding alone makes, by how
    much the whole has changed from what was known before, and what the whole is as signs tell.
    """
    x = table.x
    least = np.finfo(float).tiny + (1e-3 * table.floor) ** 2

    def moments(w: Array) -> tuple[Array, Array]:
        g, s = table.moments(w)
        return g + decay * w, np.maximum(s, least)

    edges = _cells(x, moments, scale)
    w, dw = (edges[1:] + edges[:-1]) / 2, np.diff(edges)
    first = np.searchsorted(edges, x[:-1])
    pieces = np.append(x[:1], table.knots)  # within which errors have one sign
    parts = np.searchsorted(edges, pieces)
    g, s = moments(w)
    h = -scale * g / s
    log_p = np.cumsum(h * dw) - h * dw / 2 - np.log(s) + np.log(dw)
    kernels, masses = _kernels(g, log_p)
    kernel, mass = (np.abs(of_pairs).max(axis=0) for of_pairs in (kernels, masses))
    claims = table.error(w)
    size = np.abs(h)
    # What looks like next to nothing may be a peak, if the exponent is not known.
    off = np.add.reduceat((scale * claims[0] + size * claims[1]) / s * dw, first)
    with np.errstate(divide="ignore"):
        loose = np.log(kernel) + SPREAD * table.share * off[np.searchsorted(x, w) - 1]
    kernel = np.exp(np.minimum(loose, 0.0))
    # Where the sign of the gradient is not known, another minimum may be beyond.
    kernel = np.where(np.abs(g) < claims[0], 1.0, kernel)

    def summed(of_g: Array, of_s: Array, of_h: Array) -> Array:
        off = (scale * of_g + of_h * of_s) / s * dw * kernel + of_s / s * mass
        squares = np.add.reduceat(off, parts) ** 2
        return table.share * np.sqrt(np.add.reduceat(squares, np.searchsorted(pieces, x[:-1])))

    moved = 0.0
    if before is not None:
        old_g, old_s = before.moments(w)
        moves = summed(np.abs(old_g + decay * w - g), np.abs(old_s - s), size)
        moved = SPREAD * float(np.sqrt((moves**2).sum()))
    signed = math.inf
    if table.lines is None:
        of_g, of_s = np.moveaxis(table.changes(w), 1, 0)
        of_h, of_log = -(scale * of_g + h * of_s) / s * dw, -of_s / s
        signed = max(
            told_by_signs(
                np.add.reduceat(of_h * k + of_log * p, parts, axis=1),
                np.add.reduceat(np.abs(of_h * k) + np.abs(of_log * p), parts, axis=1),
            )
            for k, p in zip(kernels, masses, strict=True)
        )
    return (
        summed(*claims, size),
        summed(*table.coarse(w), size),
        summed(*table.rough(w, s), size),
        moved,
        signed,
    )


def _cells(x: Array, moments: Callable[[Array], tuple[Array, Array]], scale: float) -> Array:
    """Edges of cells between the knots x over which sums are taken: closer where peaks are."""
    even = np.arange(FINE) / FINE
    closer = 0.5 ** np.arange(math.log2(FINE) + 1, OCTAVES + 1)
    share = np.concatenate([even, closer, 1 - closer])
    edges = distinct(x[:-1, None] + np.diff(x)[:, None] * share, x[-1])
    g, s = moments(edges)
    k = np.flatnonzero((g[:-1] < 0) & (g[1:] >= 0))
    step = edges[k + 1] - edges[k]
    slope = (g[k + 1] - g[k]) / step
    peak = edges[k] - g[k] / slope
    width = np.sqrt(s[k] / (scale * slope))
    near = np.clip((peak[:, None] + width[:, None] * PEAK).ravel(), x[0], x[-1])
    return distinct(edges, near)


def _kernels(g: Array, log_p: Array) -> tuple[Array, Array]:
    """K and p_A - p_B of each pair of neighbouring minima, (pairs, M)."""
    tops = np.flatnonzero((g[:-1] > 0) & (g[1:] <= 0)) + 1
    if not len(tops):  # one minimum: its halves
        p = np.exp(log_p - log_p.max())
        tops = np.array([np.searchsorted(np.cumsum(p), p.sum() / 2)])
        tops = np.clip(tops, 1, len(g) - 1)
    edges = [0, *tops.tolist(), len(g)]
    kernels, masses = [], []
    p, sf = np.zeros_like(g), np.ones_like(g)
    for k in range(len(edges) - 1):
        some = slice(edges[k], edges[k + 1])
        own = np.exp(log_p[some] - log_p[some].max())
        own /= own.sum()
        above = np.concatenate(
            [np.ones(edges[k]), 1 - np.cumsum(own), np.zeros(len(g) - edges[k + 1])]
        )
        here = np.zeros_like(g)
        here[some] = own
        if k:
            kernels.append(above - sf)
            masses.append(here - p)
        p, sf = here, above
    return np.array(kernels), np.array(masses)
