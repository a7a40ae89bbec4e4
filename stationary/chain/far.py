"""What the steps do far out, and the interval on which the chain is followed.

Far from all minima a batch multiplies the distance by |1 - T l''| (`Far.growth`), or moves it by
some way. Where distances shrink in every step, a bounded interval holds every walker. Where only
the mean of their logarithm is negative, the law falls like a power, with the exponent k at which
E |1 - T l''|^k = 1 (Kesten, Goldie). Where no step changes them but by a way, the mean of that way
decides: inwards, with the exponent of Cramer and Lundberg; none, or too little of it (Lamperti):
SGD spreads for ever.

References
----------
.. [1] H. Kesten, *Acta Mathematica* 131 (1973) 207.
.. [2] J. Lamperti, *Journal of Mathematical Analysis and Applications* 1 (1960) 314.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from enum import Enum
from functools import cached_property
from typing import Any

import numpy as np

from stationary.aliases import Array
from stationary.chain.batches import Batches
from stationary.chain.distant import DISTANCES, NARROW, NEUTRAL, STEEPEST, Distant, region_of
from stationary.errors import LandscapeError
from stationary.functions.evaluation import evaluate
from stationary.functions.given import Boundary, checked_boundaries
from stationary.numbers.elementary import distinct
from stationary.process.landscape import Landscape

VERY_FAR = 1e12  # the same, where steps are in proportion to the distance
ALIKE = 0.01  # by which they are: those like its power 0.99 differ by more
POWERS = 2.0 ** np.arange(-8, 14)  # by which a law may fall, with chords between them
TRIMMED = 14  # decades of probability beyond which a tail is not followed
WIDER = 2.0  # than what is followed of a law: from there on cells of one width are too wide
LONGEST = 1e100  # a step whose square, and a few times more, doubles hold
FARTHEST = 12  # decades: how far out a tail is followed at most, times the region of the minima


class Fate(Enum):
    """What becomes of SGD far out. The value says why there is no end state, where there is none.

    A tail like a power is a stationary law; `Far.exponent` says which of its moments exist.
    """

    RETURNS = ""
    DIVERGES = (
        "Its steps lead ever farther away: it diverges. Where T times the curvature is above 2 "
        "every step grows, and a lower learning rate helps; where the losses fall for ever it "
        "does not."
    )
    SPREADS = (
        "Far out its steps have no mean pull back, or too weak a one, so that it spreads for ever "
        "as a random walk does: there is no stationary law. Where T times the curvature is 2 a "
        "lower learning rate helps; else give a finite domain, or losses that grow on both sides."
    )


@dataclass(frozen=True)
class Far:
    """The steps far out.

    Attributes
    ----------
    exponent
        P(|w| > x) ~ x^-exponent; inf where it falls faster than every power.
    rate_with_variance, rate_with_law
        The learning rates at which the variance and the stationary law itself are lost, other
        things equal: the lowest with E |1 - T l''|^2 = 1 and with E log |1 - T l''| = 0, l'' of a
        batch far out. None where there is no such rate: nothing curves there, or the interval is
        bounded.
    left_out
        The probability, by estimate, beyond the interval that is followed at last.
    """

    fate: Fate = Fate.RETURNS
    exponent: float = math.inf
    steps: Distant | None = None  # at the largest distance that was looked at
    left_out: float = 0.0

    @cached_property
    def rate_with_variance(self) -> float | None:
        return None if self.steps is None else self.steps.critical_rate(2.0)

    @cached_property
    def rate_with_law(self) -> float | None:
        return None if self.steps is None else self.steps.critical_rate(0.0)

    @property
    def power(self) -> str:
        """The exponent, to the digits that are known."""
        known = self.steps is None or self.steps.exact
        return f"{self.exponent:.4g}" if known else f"{self.exponent:.2g} or so"

    def told(self, comes_to_rest: bool) -> tuple[Far, list[str]]:
        """How the law ends, with notes; where all comes to rest, how it does on the way there."""
        if not self.left_out or not math.isfinite(self.exponent):
            return self, []
        if comes_to_rest:
            way = (
                "On its way to rest some steps overshoot: of the distance, moments of orders above "
                f"{self.exponent:.4g} grow from step to step."
            )
            return replace(self, exponent=math.inf), [way]
        end = f"the law has a tail that falls like |w|^-{self.power}"
        if self.exponent <= 2:
            nothing = self.exponent <= 1
            what = "neither mean nor variance exist" if nothing else "the variance is infinite"
            end += f": {what}"
        notes = [f"Far out some steps overshoot ever farther: {end}."]
        if self.rate_with_variance and self.rate_with_law:
            digits = 6 if self.steps and self.steps.exact else 2
            notes.append(
                "Other things equal, the variance is lost at a learning rate of "
                f"{self.rate_with_variance:.6g} and the law itself at "
                f"{self.rate_with_law:.{digits}g}."
            )
        return self, notes


@dataclass(frozen=True)
class Held:
    """An interval to work on."""

    lower: float
    upper: float
    ends: tuple[str, str]  # "fold", "leave", "periodic", or "keep" (nothing to speak of goes out)
    far: Far
    wide: bool = False  # much wider than the law
    tails: bool = False  # the ends are far out, and wait to be drawn in


def held_by(batches: Batches, start: tuple[float, float] | None) -> Held:
    """The interval on which to work, where an end of the domain may be infinite."""
    lower, upper = batches.landscape.domain
    ends = ends_of(batches.landscape)
    if math.isfinite(lower) and math.isfinite(upper):
        return Held(lower, upper, ends, Far(Fate.RETURNS))
    first, last, least = region_of(batches, lower, upper, start or ())
    low, high = (min(first, *start), max(last, *start)) if start else (first, last)
    w = np.clip([low, (low + high) / 2, high], lower, upper)
    led = np.abs(w - batches.images(w))
    if not led.max() < LONGEST:
        raise LandscapeError(
            f"{batches.landscape.name}: the steps of SGD next to the minima are up to "
            f"{led.max():.1g} long, so that doubles do not follow where they lead. Lower "
            "learning_rate."
        )
    steps = np.sqrt((batches.probability @ led**2).min())
    size = max(high - low, NARROW * max(abs(low), abs(high)), float(steps), least)

    def around(reach: float, beyond: str) -> tuple[float, float, tuple[str, str]]:
        a = ends[0] if math.isfinite(lower) else beyond
        b = ends[1] if math.isfinite(upper) else beyond
        return max(low - reach, lower), min(high + reach, upper), (a, b)

    far = far_of(batches, (low + high) / 2, size)
    law = math.inf
    if far.fate is Fate.RETURNS:
        law = _reach(batches, (low + high) / 2, size)
    kinds = around(0.0, "keep")[2]
    found = _closed(batches, low, high, size, kinds)
    if found is not None:
        wide = max(low - found[0], found[1] - high) > WIDER * law
        return Held(*found, kinds, far, wide=wide)
    if far.fate is Fate.DIVERGES:
        if (lost := _lost_from(batches, first, last)) is not None:
            return Held(min(low, lost[0]), max(high, lost[1]), ("leave", "leave"), far)
        return Held(*_where_finite(batches, *around(20 * size, "leave"), (low + high) / 2), far)
    if far.fate is Fate.SPREADS:
        return Held(*around(20 * size, "fold"), far)
    return Held(*around(law, "keep"), far, tails=True)


def _closed(
    batches: Batches, low: float, high: float, size: float, kinds: tuple[str, str]
) -> tuple[float, float] | None:
    """The first interval, as far out on both sides of another one, that no step leads out of."""
    lower, upper = batches.landscape.domain
    reach = size * (1e-3 + np.append(0.0, 2.0 ** np.arange(-5, 9, 1 / 16)))
    w = np.stack([np.maximum(low - reach, lower), np.minimum(high + reach, upper)])
    count = _short(batches, w)
    if not count:
        return None
    left, right = w = w[:, :count]
    images = batches.images(w.ravel()).reshape(len(batches), 2, count)
    first, last = covered(batches, left[0], right[0])
    least = np.minimum(np.minimum.accumulate(images.min(axis=(0, 1))), first)
    most = np.maximum(np.maximum.accumulate(images.max(axis=(0, 1))), last)

    def kept(least: Any, most: Any, left: Any, right: Any) -> Array:
        first, last = turned_back(least, most, lower, upper, kinds)
        return np.asarray((left <= first) & (last <= right))

    for i in np.flatnonzero(kept(least, most, left, right)):
        ends = float(left[i]), float(right[i])
        if kept(*covered(batches, *ends), *ends):
            return ends
    return None


def _lost_from(batches: Batches, low: float, high: float) -> tuple[float, float] | None:
    """Where it begins that every step leads farther away from the minima; None where it does not.

    What comes there is lost, whatever is farther out: nothing of it has to be followed.
    """
    if not batches.whole or np.isfinite(batches.landscape.domain).any() or not low < high:
        return None
    middle, half = (low + high) / 2, (high - low) / 2
    reach = half * 2.0 ** np.arange(0, math.log2(DISTANCES[-1]), 1 / 16)
    reach = reach[: _short(batches, np.stack([middle - reach, middle + reach]))]
    away = np.abs(batches.images(np.append(middle - reach, middle + reach)) - middle)
    stay = (away <= np.tile(reach, 2)).reshape(-1, 2, len(reach)).any(axis=(0, 1))
    k = int(np.flatnonzero(np.append(True, stay))[-1])  # beyond the last that does
    if k >= len(reach):
        return None
    return float(middle - reach[k]), float(middle + reach[k])


def _short(batches: Batches, w: Array) -> int:
    """On how many columns of points, one after the other, steps are no longer than doubles hold."""
    with np.errstate(all="ignore"):
        steps = batches.rate * np.abs(evaluate(batches.landscape.gradient, w.ravel())[0])
    short = (steps < LONGEST).reshape(-1, *w.shape).all(axis=(0, 1))
    return int(np.logical_and.accumulate(short).sum())


def _reach(batches: Batches, middle: float, size: float) -> float:
    """How far out the law is followed: to where it has fallen by `TRIMMED` decades.

    At a distance d it falls like d^-k with E |1 + step / d|^k = 1, and k depends on d: what the
    steps are like far out says nothing of where they begin to be so. Beyond the last of
    `DISTANCES` k is what it was there.
    """
    lower, upper = batches.landscape.domain
    distance = size * 2.0 ** np.arange(math.log2(DISTANCES[-1]))
    w = np.concatenate([middle - distance, middle + distance])
    inside = (lower < w) & (w < upper)
    logs = np.full((len(batches), len(w)), -np.inf)
    with np.errstate(all="ignore"):
        logs[:, inside] = np.log(np.abs(batches.images(w[inside]) - middle))
        logs -= np.log(np.tile(distance, 2))
        means = np.log([batches.probability @ np.exp(k * logs) for k in POWERS])
    means = np.clip(means, -STEEPEST, STEEPEST)
    # As a function of k they are convex, and 0 at 0: where a chord is 0 they are not above it yet.
    below = np.minimum((means <= 0).sum(axis=0), len(POWERS) - 1)
    at = np.arange(len(w))
    last, first = (means[k, at] for k in (below - 1, below))
    share = np.clip(-last / np.where(first > last, first - last, 1.0), 0.0, 1.0)
    powers = POWERS[below - 1] + share * (POWERS[below] - POWERS[below - 1])
    falls = np.where(below > 0, powers, 0.0).reshape(2, -1).min(axis=0)
    log_size = np.append(np.arange(float(len(distance))), FARTHEST * math.log2(10)) * math.log(2)
    falls[:-1] = np.minimum(falls[:-1], falls[1:])
    fallen = np.append(0.0, np.cumsum(falls * np.diff(log_size)))
    return size * math.exp(np.interp(TRIMMED * math.log(10), fallen, log_size))


def ends_of(landscape: Landscape) -> tuple[str, str]:
    """What becomes of a step beyond each end: "fold" (turned back), "leave" or "periodic"."""
    words = {Boundary.ABSORBING: "leave", Boundary.PERIODIC: "periodic"}
    low, high = (
        "fold" if b is None else words.get(b, "fold")
        for b in checked_boundaries(landscape.boundaries, landscape.name)
    )
    return low, high


BETWEEN = 4  # parts of a gap between two points that are known, at whose ends it is looked


def turned_back(
    least: Any, most: Any, lower: float, upper: float, ends: tuple[str, str]
) -> tuple[Any, Any]:
    """From where to where what was between two points comes to lie, within walls."""
    first = np.minimum(least, 2 * upper - most) if ends[1] == "fold" else least
    last = np.maximum(most, 2 * lower - least) if ends[0] == "fold" else most
    return np.maximum(first, lower), np.minimum(last, upper)


def looked_at(batches: Batches, low: float, high: float) -> Array:
    """Points of an interval at which it is asked where steps lead: fewer where that is dear."""
    w = np.linspace(low, high, 257 if batches.exact else 65)
    known = batches.places
    known = known[(low < known) & (known < high)]
    if not 1 < len(known) <= BETWEEN * len(w):
        return distinct(w, known[:1])
    return distinct(w, np.linspace(known[:-1], known[1:], BETWEEN + 1).ravel())


def covered(batches: Batches, low: float, high: float) -> tuple[float, float]:
    """The hull of where one step leads from an interval."""
    w = looked_at(batches, low, high)
    with np.errstate(all="ignore"):
        try:
            images = batches.images(w)
        except LandscapeError:
            return -math.inf, math.inf
    ends = []
    for sign, table in ((-1.0, -images), (1.0, images)):
        k, i = np.unravel_index(np.argmax(table), table.shape)
        best = float(table[k, i])
        if 0 < i < len(w) - 1:  # the top of a parabola through it and its neighbours
            left, right = float(table[k, i - 1]), float(table[k, i + 1])
            bend = 2 * best - left - right
            if bend > 0:
                best += (right - left) ** 2 / (8 * bend)
        ends.append(sign * best)
    return ends[0], ends[1]


def _where_finite(
    batches: Batches, lower: float, upper: float, ends: tuple[str, str], middle: float
) -> tuple[float, float, tuple[str, str]]:
    """An interval as far as the gradients are finite on either side of its middle."""
    w = np.linspace(lower, upper, 4001)
    with np.errstate(all="ignore"):
        fails = ~np.isfinite(evaluate(batches.landscape.gradient, w)[0]).all(axis=0)
    below, above = w[fails & (w < middle)], w[fails & (w >= middle)]
    if len(below):
        lower, ends = float(w[w > below[-1]][0]), ("leave", ends[1])
    if len(above):
        upper, ends = float(w[w < above[0]][-1]), (ends[0], "leave")
    return lower, upper, ends


def far_of(batches: Batches, middle: float, size: float) -> Far:
    """What the steps do at ever larger distances from the minima."""
    batches = batches.each  # powers and logarithms ask for more than nodes have of a law
    found = Distant.at(batches, middle, DISTANCES[-1] * size)
    if found is None:
        return Far(Fate.DIVERGES)
    near = [Distant.at(batches, middle, distance * size) for distance in DISTANCES[:2]]
    neutral = NEUTRAL
    if near[1] is not None and abs(found.longest - near[1].longest) < ALIKE * found.longest:
        # Steps in proportion to the distance, however short: from very far out they begin at 0.
        found = Distant.at(batches, middle, VERY_FAR * size) or found
        neutral = NEUTRAL / 100 * found.longest
    if found.growth > neutral:
        return Far(Fate.DIVERGES, steps=found)
    if found.growth < -neutral:
        return Far(Fate.RETURNS, found.exponent(), found)
    # Distances hardly change: the mean way counts, against the spread of the ways.
    pulls = [d.pull for d in near if d is not None] or [0.0]
    pull = max(pulls)  # 2 x E step / E step^2: below -1 it returns, above 1 it is lost
    if pull > 1 and min(pulls) > 1:
        return Far(Fate.DIVERGES)
    if pull >= -1 - 1e-6:
        return Far(Fate.SPREADS, steps=found)
    steady = pulls[-1] < 10 * pulls[0]  # a pull: the law falls like an exponential
    return Far(Fate.RETURNS, math.inf if steady else -pull - 1, found)
