"""What a step that clips, or takes a sign, makes of minibatches that are too many to go through.

With u the mean gradient of a batch and K its cumulant generating function, what lies below a
threshold x is

    E (x - u)_+^m = m! / (2 pi i) int exp(s x + K(-s)) / s^(m + 1) ds,

the integral along any vertical line to the right of 0 [1]_. Through the saddle point of the
integrand the trapezoidal rule has all digits, relative to the integral itself, after some 30
points, wherever the law of u is smooth. Where it is lumpy (few draws of few datapoints) the
characteristic function does not die out, and what is cut off is bounded. Above a threshold is below
its mirror image, and mean and variance are sums of such parts in which little cancels.

References
----------
.. [1] R. Lugannani and S. Rice, *Advances in Applied Probability* 12 (1980) 475.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from stationary.aliases import Array
from stationary.functions.series import convolved, divided, integrated
from stationary.functions.tape.statistics import Moments
from stationary.numbers.arithmetic import DOUBLE
from stationary.process.optimiser import StepRule

CLOSE = 36.0  # -log of what the trapezoidal rule is off by, for the pole and across the saddle
ROUNDS = 80  # of Newton's method for the saddle
FARTHEST = 8.0  # that it moves by in one of these, as a factor
NEAR = 1e-3  # of itself, that the saddle may be off by: any line does
POINTS = 512  # of the trapezoidal rule at most, for what is lumpy
BLOCK = 16  # of these, after which it is seen where the rest is nothing
ROUNDED = 16  # roundings of a part, beside those of a batch
TERMS = 18  # of an exponential of numbers up to 1
FADED = 1e-17  # of the characteristic function at the saddle: less is rounding
SAME_GAP = 1e-12  # of the range of gradients times their number: rounding of multiples
MULTIPLE = 1e3  # of that, from which on gaps are no multiples of it by chance
EUCLID = 12  # divisions that find what all gaps are multiples of

Bounds = tuple[Array, Array]
Series = list[Array]  # coefficients of powers of a change of the weight, shape (M,) or (N, M) each


@dataclass(frozen=True)
class Kernel:
    """What an integral multiplies exp(K(-s)) by: m! / s^(m + 1), or a size and a shape beside it.

    A shape of x = `width` s is 1 at 0, and no more than 1 and than 4 / |x| to the right of that.
    """

    power: int
    size: float = 1.0
    shape: Callable[[Array], Array] | None = None
    width: float = 0.0

    def at(self, s: Array) -> Array:
        found = self.size * math.factorial(self.power) / s ** (self.power + 1)
        return found if self.shape is None else found * self.shape(self.width * s)

    def most(self, t: Array) -> Array:
        """Of the integral from t on of its size."""
        m = self.power
        rest = 1 / (m * t**m) if m else np.minimum(1.0, 4 / (self.width * t))
        return self.size * math.factorial(m) * rest


@dataclass(frozen=True)
class ManyBatches:
    """What a rule makes of the mean of `batch` draws with replacement.

    For a variance v the root of v^2 + q^2 is taken, where q is that part of `least` which v lacks
    to what it would be if no batch were cut.
    """

    batch: int
    rule: StepRule
    least: float = 0.0
    name: str = "unnamed"  # of the landscape, for errors

    def moments(
        self, tables: Sequence[Array], w: Array, *, bounded: bool = False
    ) -> tuple[Moments, Bounds]:
        """Its mean and variance, and bounds of what may be missing of them.

        Of the gradients of the datapoints and their derivatives, shape (N, M) each, at weights w;
        without weight decay, unless signs are taken. The bounds have shape (M,) each.
        """
        g = [np.asarray(t, dtype=float) / math.factorial(k) for k, t in enumerate(tables)]
        if self.rule.sign:
            g = [c + self.rule.weight_decay * (w, 1.0)[k] if k < 2 else c for k, c in enumerate(g)]
        flip = np.where(g[0].mean(axis=0) < 0, -1.0, 1.0)  # the mean is not below 0 from here on
        found = self._signs if self.rule.sign else self._clipped
        with np.errstate(all="ignore"):
            mean, variance, bounds = found([flip * c for c in g], bounded)
            variance = self._louder(variance, g)
        mean, variance = (
            [c * math.factorial(k) for k, c in enumerate(series)] for series in (mean, variance)
        )
        size = np.abs(mean[0]) + np.sqrt(variance[0])
        return Moments(tuple(flip * m for m in mean), tuple(variance), size), bounds

    def _clipped(self, g: Series, bounded: bool) -> tuple[Series, Series, Bounds]:
        """Where most are cut at c, or noise is more than c, from what lacks to c; else from what is
        cut off: so that in neither parts cancel that are far larger than what is left."""
        c = float(self.rule.clip or math.inf)
        cut = (g[0].mean(axis=0) > c) | (self._spread(g)[0] > c * c)
        made = np.zeros((2, len(g), len(cut)))
        missing = np.zeros((2, len(cut)))
        for here, found in ((cut, self._lacking), (~cut, self._cut_off)):
            if here.any():
                first, second, off = found(c, [t[:, here] for t in g], bounded)
                made[:, :, here], missing[:, here] = [first, second], off
        made[1, 0] = np.maximum(made[1, 0], 0.0)
        return list(made[0]), list(made[1]), (missing[0], missing[1])

    def _lacking(self, c: float, g: Series, bounded: bool) -> tuple[Series, Series, Bounds]:
        """With d from 0 to 2 c, clipped u is c - d."""
        kernels = Kernel(0, 2 * c, _once, 2 * c), Kernel(0, 4 * c * c, _twice, 2 * c)
        (d, dd), (off, of_square) = self._below(_less(g, c), kernels, bounded)
        second = [x - y for x, y in zip(dd, _times(d, d, len(g) - 1), strict=True)]
        first = _less([-x for x in d], -c)
        grain = self._grain
        return first, second, (off + grain * d[0], of_square + 4 * c * off + 2 * grain * dd[0])

    def _cut_off(self, c: float, g: Series, bounded: bool) -> tuple[Series, Series, Bounds]:
        """With p cut off above c and q below -c, clipped u is u - p + q."""
        order, kernels = len(g) - 1, (Kernel(1), Kernel(2))
        mean, spread = [t.mean(axis=0) for t in g], self._spread(g)
        (p, pp), p_off = self._below([-t for t in _less(g, c)], kernels, bounded)
        (q, qq), q_off = self._below(_less(g, -c), kernels, bounded)
        moved = [b - a for a, b in zip(p, q, strict=True)]
        first = [m + x for m, x in zip(mean, moved, strict=True)]
        upper = _times([-m for m in _less(mean, c)], p, order)
        lower = _times(_less(mean, -c), q, order)
        parts = zip(spread, pp, qq, upper, lower, _times(moved, moved, order), strict=True)
        second = [v - x - y - 2 * (z + t) - m for v, x, y, z, t, m in parts]
        off = p_off[0] + q_off[0] + self._grain * (p[0] + q[0])
        rounding = self._grain * (pp[0] + qq[0])
        return first, second, (off, p_off[1] + q_off[1] + 4 * c * off + rounding)

    @property
    def _grain(self) -> float:
        """The rounding of parts: a power of as many as a batch holds has that of each."""
        return float((ROUNDED + 2 * self.batch) * DOUBLE.epsilon)

    def _signs(self, g: Series, bounded: bool) -> tuple[Series, Series, Bounds]:
        (below,), (off,) = self._below(g, (Kernel(0),), bounded)  # P(u < 0) + P(u = 0) / 2
        off = off + self._grain * below[0]
        first = [float(not k) - 2 * b for k, b in enumerate(below)]
        square = _times(below, below, len(g) - 1)
        second = [4 * (b - s) for b, s in zip(below, square, strict=True)]
        still = (g[0] == 0).mean(axis=0) ** self.batch
        second[0] = np.maximum(second[0] - still, 0.0)
        return first, second, (2 * off, 4 * off)

    def _spread(self, g: Series) -> Series:
        """The variance of the mean gradient of a batch."""
        away = [t - t.mean(axis=0) for t in g]
        return [t.mean(axis=0) / self.batch for t in _times(away, away, len(g) - 1)]

    def _louder(self, v: Series, g: Series) -> Series:
        """The variance with what is least left of it where batches are cut."""
        order, one = len(v) - 1, _less([np.zeros_like(t) for t in v], -1.0)
        whole = one if self.rule.sign else self._spread(g)
        some = np.abs(g[0]).max(axis=0) > (self.rule.clip or 0.0)  # else none is cut
        spread = whole[0] > 0
        whole = [np.where(spread, t, u) for t, u in zip(whole, one, strict=True)]
        left = divided(operator.truediv, v, whole)
        q = [np.where(some, self.least * (u - t), 0.0) for u, t in zip(one, left, strict=True)]
        made = [np.hypot(v[0], q[0])]
        squares = zip(_times(v, v, order)[1:], _times(q, q, order)[1:], strict=True)
        for k, (a, b) in enumerate(squares, 1):
            rest = a + b - sum(made[i] * made[k - i] for i in range(1, k))
            made.append(np.where(made[0] > 0, rest / (2 * made[0]), 0.0))
        return made

    def _below(
        self, y: Series, kernels: tuple[Kernel, ...], bounded: bool
    ) -> tuple[list[Series], list[Array]]:
        """What kernels make of gradients y, and what may be missing of each.

        E (-u)_+^m of `Kernel(m)`; E (-u)_+^0 is P(u < 0) + P(u = 0) / 2.
        """
        columns = y[0].shape[1]
        found = [[np.zeros(columns) for _ in y] for _ in kernels]
        missing = [np.zeros(columns) for _ in kernels]
        live = y[0].min(axis=0) < 0
        if kernels == (Kernel(0),):
            found[0][0] = (y[0] == 0).mean(axis=0) ** self.batch / 2
        if live.any():
            parts, off = self._along([c[:, live] / self.batch for c in y], kernels, bounded)
            for i in range(len(kernels)):
                missing[i][live] = off[i]
                for whole, part in zip(found[i], parts[i], strict=True):
                    whole[live] = part
        return found, missing

    def _along(
        self, y: Series, kernels: tuple[Kernel, ...], bounded: bool
    ) -> tuple[list[Series], list[Array]]:
        """The same of u = sum y over a batch, by the integral.

        Along s + i k h for k = 0, 1, ..., half a circle: the other half is the conjugate.
        """
        s, tilted, log_size, variance = self._saddle(y[0], max(k.power for k in kernels) + 1)
        h = np.minimum(2 * np.pi * s / CLOSE, 2 * np.pi / np.sqrt(2 * CLOSE * variance))
        turn, now = np.exp(-1j * h * y[0]), tilted.astype(complex)
        slopes: Series = [np.zeros_like(y[0]), *y[1:]]
        sums = [[np.zeros(len(s), dtype=complex) for _ in y] for _ in kernels]
        largest, going = np.zeros(len(s)), np.arange(len(s))
        for k in range(POINTS):
            z = (s + 1j * k * h)[going]
            now = now * turn if k else now
            moving: Series = [np.ones((1, 1))]  # exp(-z (y - y_0)) as a series
            for j in range(1, len(y)):
                moving.append(integrated([-z * c for c in slopes], moving, j))
            made = _power([(now * c).sum(axis=0) for c in moving], self.batch)
            for of, kernel in zip(sums, kernels, strict=True):
                weight = kernel.at(z) * (1.0 if k else 0.5)
                for total, c in zip(of, made, strict=True):
                    total[going] += c * weight
            size = np.abs(made[0])
            if k >= POINTS // 2:
                largest[going] = np.maximum(largest[going], size)
            elif k % BLOCK == BLOCK - 1 and not bounded:
                stays = size > FADED
                going, now, turn = going[stays], now[:, stays], turn[:, stays]
                slopes = [c[:, stays] for c in slopes]
                if not stays.any():
                    break
        scale = np.exp(log_size) / np.pi
        parts = [[scale * h * c.real for c in of] for of in sums]
        if not bounded:
            return parts, [np.zeros(len(s)) for _ in kernels]
        # What was cut off: as large as it was, and as large as at the saddle again and again where
        # all gradients are multiples of something. All of it is not more than at the saddle.
        end, again = POINTS * h, _spacing(y[0]) / (2 * np.pi)
        largest = np.where(largest < FADED, 0.0, largest)
        off = []
        for kernel in kernels:
            lumps = np.sqrt(2 * np.pi / variance) * again * kernel.most(1 / again)
            rest = largest * kernel.most(end) + 2 * np.where(again > 0, lumps, 0.0)
            off.append(scale * np.minimum(rest, np.pi * kernel.at(s) * s))
        return parts, off

    def _saddle(self, y: Array, pole: int) -> tuple[Array, Array, Array, Array]:
        """s > 0 that makes M(-s) / s^pole least; the draws tilted there, log M(-s), their variance.

        M is the moment generating function of the sum of a batch of y.
        """
        s = 1 / np.sqrt(self.batch * (y * y).mean(axis=0))
        low, high, done = 0 * s, s + np.inf, np.zeros(len(s), dtype=bool)
        for turn in range(ROUNDS + 1):
            power = -s * y
            top = power.max(axis=0)
            p = np.exp(power - top)
            total = p.sum(axis=0)
            p /= total
            mean = (p * y).sum(axis=0)
            variance = self.batch * (p * (y - mean) ** 2).sum(axis=0)
            if done.all() or turn == ROUNDS:
                break
            slope = self.batch * mean + pole / s  # falls
            low, high = np.where(slope > 0, s, low), np.where(slope < 0, s, high)
            new = s + slope / (variance + pole / s**2)
            done |= np.abs(new - s) < NEAR * s
            new = np.clip(new, s / FARTHEST, s * FARTHEST)
            new = np.where((low < new) & (new < high), new, np.sqrt(low * high))
            s = np.where(done, s, new)
        return s, p, self.batch * (top + np.log(total / len(y))), variance


def _once(x: Array) -> Array:
    """(1 - e^-x) / x: E d is that at 2 c s, times 2 c / s."""
    return np.asarray(-np.expm1(-x) / x)


def _twice(x: Array) -> Array:
    """2 (1 - (1 + x) e^-x) / x^2, the same of E d^2; near 0 what is left is summed."""
    terms = [2 / math.factorial(k + 2) for k in range(TERMS)]
    small = np.exp(-x) * np.polynomial.polynomial.polyval(np.where(np.abs(x) < 1, x, 0), terms)
    return np.where(np.abs(x) < 1, small, 2 * (1 - (1 + x) * np.exp(-x)) / x**2)


def _less(a: Series, c: float) -> Series:
    return [a[0] - c, *a[1:]]


def _times(u: Series, v: Series, order: int) -> Series:
    return list(convolved(lambda a, b: a * b, u, v, order))


def _power(a: Series, exponent: int) -> Series:
    """a^exponent, from made' a = exponent made a'."""
    made = [a[0] ** exponent]
    for k in range(1, len(a)):
        total = sum((i * exponent - (k - i)) * a[i] * made[k - i] for i in range(1, k + 1))
        made.append(np.where(made[0] == 0, 0.0, total / (k * a[0])))
    return made


def _spacing(y: Array) -> Array:
    """What the values in each column differ by multiples of; 0 where by none."""
    ordered = np.sort(y, axis=0)
    equal = SAME_GAP * len(y) * (ordered[-1] - ordered[0])
    gaps = np.diff(ordered, axis=0)
    gaps = np.where(gaps > equal, gaps, np.inf)
    spacing = gaps.min(axis=0)
    for _ in range(EUCLID):
        rest = np.where(np.isfinite(gaps), np.abs(gaps - spacing * np.round(gaps / spacing)), 0.0)
        rest = np.where(rest > equal, rest, np.inf).min(axis=0)
        spacing = np.where(np.isfinite(rest), rest, spacing)
    return np.where((spacing > MULTIPLE * equal) & np.isfinite(spacing), spacing, 0.0)
