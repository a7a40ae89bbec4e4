"""Moments in closed form, where every batch's map is linear: w' = a w + b with (a, b) drawn."""

from __future__ import annotations

import math

import numpy as np

from stationary.aliases import Array
from stationary.chain.batches import Batches
from stationary.chain.far import Far
from stationary.numbers.arithmetic import EPSILON


def linear_moments(
    batches: Batches, low: float, high: float, far: Far
) -> tuple[Array, Array] | None:
    """The mean and the central moments of order 2 to 4, and their errors, which are rounding.

    Of those that exist: with u = w - E w and d = b + (a - 1) E w,

        E u^k (1 - E a^k) = sum over i < k of (k over i) E[a^i d^(k-i)] E u^i.

    None where the maps are not linear on the interval.
    """
    w = np.unique(np.concatenate([np.linspace(low, high, 65), np.geomspace(1e-6, 1, 33) * high]))
    w = w[(low <= w) & (w <= high)]
    images, p = batches.images(w), batches.probability
    a = (images[:, -1] - images[:, 0]) / (w[-1] - w[0])
    centre = float(w[np.argmin(np.abs(images).max(axis=0))])
    b = batches.images(np.array([centre]))[:, 0] - a * centre
    rounding = 64 * EPSILON * (np.abs(images).max(axis=1) + max(abs(low), abs(high)))
    if (np.abs(images - (a[:, None] * w + b[:, None])) > rounding[:, None]).any():
        return None
    if math.isinf(far.exponent) and not float(p @ a**2) < 1 - 1e-9:
        return None  # the steps turn the line over or move it: nothing is drawn together
    if far.exponent <= 1 or not float(1 - p @ a) > 0:
        return np.full(4, math.nan), np.zeros(4)
    away = batches.images(np.array([centre]))[:, 0] - centre  # steps from there
    size = 1 + abs(centre) + float(np.abs(away).max())
    if math.isinf(far.exponent):
        size = max(abs(low), abs(high))
    apart = float(p @ away) / float(1 - p @ a)
    mean, d = centre + apart, away + (a - 1) * apart
    found, errors = [1.0, 0.0], [0.0, 64 * EPSILON * (size + abs(apart)) / abs(1 - float(p @ a))]
    for k in range(2, 5):
        if far.exponent <= k:
            found.append(math.inf if k % 2 == 0 else math.nan)
            errors.append(0.0)
            continue
        terms = np.array([math.comb(k, i) * a**i * d ** (k - i) for i in range(k)])
        means, sizes, gap = terms @ p, np.abs(terms) @ p, 1 - float(p @ a**k)
        value = float(means @ found) / gap
        whole = float(sizes @ np.abs(found)) + abs(value)
        errors.append((float(sizes @ errors) + 64 * EPSILON * whole) / gap)
        found.append(value)
    return np.array([mean, *found[2:]]), np.array(errors[1:])
