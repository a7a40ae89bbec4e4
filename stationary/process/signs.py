"""Which way minibatches lead by their signs: told in doubles but next to where one of them turns.

From one zero of a minibatch's gradient to the next mean and variance of the signs are two
fractions: many digits only have to tell on which side of a zero a weight lies.
"""

from __future__ import annotations

import contextlib
import math
from fractions import Fraction
from typing import Any

import numpy as np

from stationary.aliases import Array, Function
from stationary.errors import StationaryError
from stationary.functions.evaluation import evaluate
from stationary.functions.tape.running import TapeMoments
from stationary.functions.tape.statistics import Moments
from stationary.numbers.arithmetic import DOUBLE, Arithmetic, many_digits
from stationary.numbers.cost import IN_DIGITS, LASTING, SHARED
from stationary.numbers.elementary import distinct, to_float
from stationary.process.minibatches import Minibatches

BLUR = 2.0**-26  # of a weight (or `unit`), and of what adds up to a gradient, as near as which half
# of the digits of a double, lost by rounding, could be its sign
UNDERFLOWN = 50  # digits that tell the sign of what is 0 in doubles
CANNOT = (StationaryError, OverflowError)
UNKNOWN = 2  # a sign that nothing tells
PLACED = 330  # digits of a zero: whoever looks closer than that evaluates anew
NEWTONS = 6  # steps, from half of a double's digits on, that give as many
ROUNDED = 2.0**20  # roundings of a zero, within which a weight may be on either side of it
MOST = 64  # zeros of a gradient: with more of them each weight is looked at
ALIKE = 2.0**36  # parts of a number, in which two that lead to one zero are alike


class Signs:
    """The signs of the gradients of minibatches (None: those of one datapoint).

    Of `gradient`, shape (N, M), to which `decay` w is added, with its derivatives on a `tape`.
    """

    def __init__(
        self,
        gradient: Function,
        decay: float,
        datapoints: int,
        batches: Minibatches | None,
        tape: TapeMoments | None,
        unit: float,
    ) -> None:
        self.gradient, self.decay, self.tape, self.unit = gradient, decay, tape, unit
        self.shares = self.drawn = None
        chances = [Fraction(1, datapoints)] * datapoints
        if batches is not None:
            counts, chances = batches.counts, list(batches.chances)
            self.shares = batches.shares
            each = np.tile(np.arange(datapoints), len(counts))
            self.drawn = np.repeat(each, counts.ravel()).reshape(len(counts), -1)
        self.whole = math.lcm(*(p.denominator for p in chances))
        kind = None if self.whole < 2**63 else object
        self.weights = np.array([int(p * self.whole) for p in chances], dtype=kind)
        self._known: dict[bytes, Any] = {}
        # Zeros of gradients: whose, where, whether it rises there, in digits. The first is none.
        none = np.array([-1]), np.full(1, math.nan), np.array([0]), many_digits(PLACED).array([0.0])
        self._zeros: tuple[Any, ...] = none

    def moments(self, w: Array, arithmetic: Arithmetic, order: int) -> Moments:
        """Their mean and variance at the weights w: exact fractions, which have no slopes."""
        size = max(1, SHARED // len(self.weights))
        parts = [self._at(w[i : i + size], arithmetic) for i in range(0, len(w), size)]
        of: dict[bytes, int] = {}  # the columns that there are, with a number for each
        which = [of.setdefault(column.tobytes(), len(of)) for signs in parts for column in signs.T]
        pairs = [self._moments_of(key) for key in of]
        mean, variance = (arithmetic.array([pair[k] for pair in pairs])[which] for k in (0, 1))
        none = (arithmetic.array(np.zeros(len(w))),) * order
        return Moments((mean, *none), (variance, *none), np.ones(len(w)))

    def _moments_of(self, key: bytes) -> Any:
        if key not in self._known:
            if len(self._known) * len(key) > LASTING:
                self._known.clear()
            signs = np.frombuffer(key, dtype=np.int8)
            up, down = (Fraction(int(self.weights[signs == s].sum()), self.whole) for s in (1, -1))
            told = UNKNOWN not in signs
            pair = up - down, up + down - (up - down) ** 2
            self._known[key] = pair if told else (math.nan, math.nan)
        return self._known[key]

    def _at(self, w: Array, arithmetic: Arithmetic) -> Array:
        """The signs at weights w, shape (K, M)."""
        x = np.asarray(to_float(w))
        (rows,) = evaluate(self.gradient, x)
        u, slope = self._mixed(rows) + self.decay * x, None
        up, down, in_doubles = u > 0, u < 0, arithmetic is DOUBLE
        signs, told = up.view(np.int8) - down.view(np.int8), up | down
        signs[np.isnan(u)] = UNKNOWN
        if in_doubles:
            arithmetic = many_digits(UNDERFLOWN)
            if self.tape is not None and self.tape.in_steps:
                told |= u == 0
        elif self.tape is not None:
            slope = self._mixed(self.tape.rows_at(x, 1)) + self.decay
            blur = self._mixed(np.abs(rows)) + np.abs(slope) * (np.abs(x) + self.unit)
            told = np.abs(u) > BLUR * blur
        else:
            told = np.zeros(u.shape, dtype=bool)
        if told.all():
            return signs
        k, i = np.nonzero(~told)
        if slope is not None and len(k):
            signs[k, i] = self._beside(k, x[i], u[k, i], slope[k, i], w[i], arithmetic)
            k, i = k[signs[k, i] == 0], i[signs[k, i] == 0]
        if len(k):
            here, of = np.unique(i, return_inverse=True)
            with contextlib.suppress(*CANNOT * in_doubles):
                u = self._mixed_at(arithmetic.array(w[here]), arithmetic, k, of)[0]
                signs[k, i] = _sign(u)
        return signs

    def _mixed(self, rows: Array) -> Array:
        """The mean over each minibatch."""
        return rows if self.shares is None else self.shares @ rows

    def _mixed_at(
        self, w: Array, arithmetic: Arithmetic, k: Array, i: Array, order: int = 0
    ) -> list[Array]:
        """The gradient, and derivatives, of minibatches k at the weights w[i], in many digits."""
        drawn = np.arange(len(self.weights))[:, None] if self.drawn is None else self.drawn
        tables = evaluate(self.gradient, w, order=order, arithmetic=arithmetic)
        u, *slope = (t.T[i[:, None], drawn[k]].sum(axis=1) / drawn.shape[1] for t in tables)
        return [u + self.decay * w[i], *(d + self.decay for d in slope)]

    def _beside(
        self, k: Array, x: Array, u: Array, slope: Array, w: Array, arithmetic: Arithmetic
    ) -> Array:
        """On which side of zero gradients are that have a zero near by; 0 where that is not known.

        Between that zero, known to `PLACED` digits, and the weight they rise, or fall.
        """
        with np.errstate(all="ignore"):
            guess = x - u / slope
        near = self._nearest(k, x, guess)
        new = (near == 0) & np.isfinite(guess)
        some = len(self._zeros[0]) <= MOST * len(self.weights)
        if some and 0 < new.sum() * len(self.weights) <= IN_DIGITS:
            with contextlib.suppress(*CANNOT):
                self._place(k[new], guess[new])
            near = self._nearest(k, x, guess)
        *_, rising, zeros = self._zeros
        side = np.zeros(len(k), dtype=int)
        here = np.flatnonzero(slope * rising[near] > 0)
        if len(here):
            zero = arithmetic.array(zeros[near[here]])
            away = w[here] - zero
            told = abs(away) > self._room(zero, arithmetic)
            side[here] = np.where(told, _sign(away), 0) * rising[near[here]]
        return side

    def _room(self, zero: Array, arithmetic: Arithmetic) -> Array:
        """How far from zeros a weight is on one side of them for sure."""
        fewer = min(arithmetic, many_digits(PLACED), key=lambda a: a.digits)
        room: Array = ROUNDED * (abs(zero) + self.unit) * arithmetic.array([fewer.grain])[0]
        return room

    def _nearest(self, k: Array, x: Array, guess: Array) -> Array:
        """Which of the known zeros of gradients k straight lines at x lead to; 0 where to none."""
        owners, places, *_ = self._zeros
        found = np.zeros(len(k), dtype=int)
        for one in distinct(k[np.isin(k, owners)]):
            mine, here = np.flatnonzero(owners == one), np.flatnonzero(k == one)
            found[here] = mine[np.abs(places[mine][:, None] - guess[here]).argmin(axis=0)]
        reach = np.abs(x - guess) / 2 + (np.abs(x) + self.unit) / ALIKE
        return np.where(np.abs(guess - places[found]) <= reach, found, 0)

    def _place(self, k: Array, guess: Array) -> None:
        """Find the zeros of gradients k next to `guess`, by Newton's method, and keep them."""
        m, e = np.frexp(guess)
        pairs = np.stack([k, np.ldexp(np.round(m * ALIKE) / ALIKE, e)])
        _, some = np.unique(pairs, axis=1, return_index=True)
        k, every, many = k[some], np.arange(len(some)), many_digits(PLACED)
        z = many.array(guess[some])
        for _ in range(NEWTONS):
            u, slope = self._mixed_at(z, many, k, every, 1)
            z = z - many.divide(u, slope)
        room = self._room(z, many)
        sides = [self._mixed_at(z + way * room, many, k, every)[0] for way in (-1, 1)]
        below, above = map(_sign, sides)
        new = k, to_float(z), np.where(below == -above, above, 0), z
        self._zeros = tuple(np.concatenate(pair) for pair in zip(self._zeros, new, strict=True))


def _sign(u: Array) -> Array:
    return np.asarray(1 * np.greater(u, 0) - np.less(u, 0))
