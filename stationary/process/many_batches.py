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
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from stationary.aliases import Array
from stationary.functions.series import convolved, integrated
from stationary.functions.tape.statistics import Moments
from stationary.process.optimiser import StepRule

CLOSE = 36.0  # -log of what the trapezoidal rule is off by, for the pole and across the saddle
ROUNDS = 80  # of Newton's method for the saddle
FARTHEST = 8.0  # that it moves by in one of these, as a factor
NEAR = 1e-3  # of itself, that the saddle may be off by: any line does
POINTS = 512  # of the trapezoidal rule at most, for what is lumpy
BLOCK = 16  # of these, after which it is seen where the rest is nothing
FADED = 1e-17  # of the characteristic function at the saddle: less is rounding
SAME_GAP = 1e-12  # of the range of gradients times their number: rounding of multiples
MULTIPLE = 1e3  # of that, from which on gaps are no multiples of it by chance
EUCLID = 12  # divisions that find what all gaps are multiples of

Series = list[Array]  # coefficients of powers of a change of the weight, shape (M,) or (N, M) each


@dataclass(frozen=True)
class ManyBatches:
    """What a rule makes of the mean of `batch` draws with replacement.

    A variance v is taken for the root of v^2 + `quiet`^2, unless no gradient is left at all.
    """

    batch: int
    rule: StepRule
    quiet: float = 0.0
    name: str = "unnamed"  # of the landscape, for errors

    def moments(
        self, tables: Sequence[Array], w: Array, *, bounded: bool = False
    ) -> tuple[Moments, tuple[Array, Array]]:
        """Its mean and variance, and bounds of what may be missing of them beside rounding.

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
            quiet = np.where((g[0] != 0).any(axis=0), self.quiet, 0.0)
            variance = _louder(variance, quiet)
        mean, variance = (
            [c * math.factorial(k) for k, c in enumerate(series)] for series in (mean, variance)
        )
        size = np.abs(mean[0]) + np.sqrt(variance[0])
        return Moments(tuple(flip * m for m in mean), tuple(variance), size), bounds

    def _clipped(self, g: Series, bounded: bool) -> tuple[Series, Series, tuple[Array, Array]]:
        c, order = float(self.rule.clip or math.inf), len(g) - 1
        mean = [t.mean(axis=0) for t in g]
        above = mean[0] > c
        # p is what is cut off at c, or lacks to c where more is cut off than not; q is what is cut
        # off at -c. Clipped, u is mean - p + q, or c - p + q.
        side = np.where(above, 1.0, -1.0)
        (p, pp), p_off = self._below(
            [side * (t - c * (not k)) for k, t in enumerate(g)], (1, 2), bounded
        )
        (q, qq), q_off = self._below([t + c * (not k) for k, t in enumerate(g)], (1, 2), bounded)
        moved = [b - a for a, b in zip(p, q, strict=True)]
        away = [t - m for t, m in zip(g, mean, strict=True)]
        spread = [t.mean(axis=0) / self.batch for t in _times(away, away, order)]
        lower = _times([c * (not k) + m for k, m in enumerate(mean)], q, order)
        upper = _times([c * (not k) - m for k, m in enumerate(mean)], p, order)
        first, second = [], []
        for k, square in enumerate(_times(moved, moved, order)):
            inside = spread[k] - pp[k] - qq[k] - 2 * (upper[k] + lower[k])
            second.append(np.where(above, pp[k] - qq[k] - 4 * c * q[k], inside) - square)
            first.append(moved[k] + np.where(above, c * (not k), mean[k]))
        second[0] = np.maximum(second[0], 0.0)
        off = p_off[0] + q_off[0]
        return first, second, (off, p_off[1] + q_off[1] + 4 * c * off)

    def _signs(self, g: Series, bounded: bool) -> tuple[Series, Series, tuple[Array, Array]]:
        (below,), (off,) = self._below(g, (0,), bounded)  # P(u < 0) + P(u = 0) / 2
        first = [float(not k) - 2 * b for k, b in enumerate(below)]
        square = _times(below, below, len(g) - 1)
        second = [4 * (b - s) for b, s in zip(below, square, strict=True)]
        still = (g[0] == 0).mean(axis=0) ** self.batch
        second[0] = np.maximum(second[0] - still, 0.0)
        return first, second, (2 * off, 4 * off)

    def _below(
        self, y: Series, powers: tuple[int, ...], bounded: bool
    ) -> tuple[list[Series], list[Array]]:
        """E (-u)_+^m for each power m, of gradients y, and what may be missing.

        E (-u)_+^0 is P(u < 0) + P(u = 0) / 2.
        """
        columns = y[0].shape[1]
        found = [[np.zeros(columns) for _ in y] for _ in powers]
        missing = [np.zeros(columns) for _ in powers]
        live = y[0].min(axis=0) < 0
        if powers[0] == 0:
            found[0][0] = (y[0] == 0).mean(axis=0) ** self.batch / 2
        if live.any():
            parts, off = self._along([c[:, live] / self.batch for c in y], powers, bounded)
            for i in range(len(powers)):
                missing[i][live] = off[i]
                for whole, part in zip(found[i], parts[i], strict=True):
                    whole[live] = part
        return found, missing

    def _along(
        self, y: Series, powers: tuple[int, ...], bounded: bool
    ) -> tuple[list[Series], list[Array]]:
        """The same of u = sum y over a batch, by the integral.

        Along s + i k h for k = 0, 1, ..., half a circle: the other half is the conjugate.
        """
        s, tilted, log_size, variance = self._saddle(y[0], max(powers) + 1)
        h = np.minimum(2 * np.pi * s / CLOSE, 2 * np.pi / np.sqrt(2 * CLOSE * variance))
        turn, now = np.exp(-1j * h * y[0]), tilted.astype(complex)
        slopes: Series = [np.zeros_like(y[0]), *y[1:]]
        sums = [[np.zeros(len(s), dtype=complex) for _ in y] for _ in powers]
        largest, going = np.zeros(len(s)), np.arange(len(s))
        for k in range(POINTS):
            z = (s + 1j * k * h)[going]
            now = now * turn if k else now
            moving: Series = [np.ones((1, 1))]  # exp(-z (y - y_0)) as a series
            for j in range(1, len(y)):
                moving.append(integrated([-z * c for c in slopes], moving, j))
            made = _power([(now * c).sum(axis=0) for c in moving], self.batch)
            for of, m in zip(sums, powers, strict=True):
                for total, c in zip(of, made, strict=True):
                    total[going] += c * ((0.5 if not k else 1.0) / z ** (m + 1))
            size = np.abs(made[0])
            if k >= POINTS // 2:
                largest[going] = np.maximum(largest[going], size)
            elif k % BLOCK == BLOCK - 1 and not bounded:
                stays = size > FADED
                going, now, turn = going[stays], now[:, stays], turn[:, stays]
                slopes = [c[:, stays] for c in slopes]
                if not stays.any():
                    break
        scales = [math.factorial(m) / np.pi * np.exp(log_size) for m in powers]
        parts = [[scale * h * c.real for c in of] for scale, of in zip(scales, sums, strict=True)]
        if not bounded:
            return parts, [np.zeros(len(s)) for _ in powers]
        # What was cut off: as large as it was, and as large as at the saddle again and again where
        # all gradients are multiples of something. All of it is not more than pi / s^m.
        end, again = POINTS * h, _spacing(y[0]) / (2 * np.pi)
        largest = np.where(largest < FADED, 0.0, largest)
        off = []
        for scale, m in zip(scales, powers, strict=True):
            rest = largest / (m * end**m) if m else largest
            rest = rest + 2 * np.sqrt(2 * np.pi / variance) * again ** (m + 1)
            off.append(scale * np.minimum(rest, np.pi / s**m))
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


def _times(u: Series, v: Series, order: int) -> Series:
    return list(convolved(lambda a, b: a * b, u, v, order))


def _louder(v: Series, quiet: Array) -> Series:
    """The root of v^2 + quiet^2."""
    made = [np.hypot(v[0], quiet)]
    for k, square in enumerate(_times(v, v, len(v) - 1)[1:], 1):
        rest = square - sum(made[i] * made[k - i] for i in range(1, k))
        made.append(np.where(made[0] > 0, rest / (2 * made[0]), 0.0))
    return made


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
