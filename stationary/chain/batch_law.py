"""The law of the mean gradient of a minibatch, where these are too many to go through.

How likely a sum of draws is beyond a value follows, with a relative error that stays small however
far out the value lies, from the cumulants of the draws under the tilt that makes the value their
mean (the saddlepoint approximation of Lugannani and Rice [1]_, in the form r* of Barndorff-Nielsen
[2]_); drawn without replacement, under a second tilt that keeps the size of the batch [3]_. The
tilts give r* as a function of the mean; its inverse at the nodes of a Gauss-Hermite rule are the
nodes of the law.

References
----------
.. [1] R. Lugannani and S. Rice, *Advances in Applied Probability* 12 (1980) 475.
.. [2] O. E. Barndorff-Nielsen, *Biometrika* 73 (1986) 307.
.. [3] J. Robinson, *Annals of Statistics* 10 (1982) 1129: permutation tests, and samples from a
   finite population.
"""

from __future__ import annotations

import numpy as np

from stationary.aliases import Array
from stationary.numbers.arithmetic import ROUNDING
from stationary.numbers.cost import MEMORY
from stationary.numbers.threads import one_thread

TILTS = 28  # on either side of the mean
FARTHEST = 60.0  # standard deviations of the sum that the last of them would move a normal law by
NEAREST = 0.05  # the same of the first: below, r is lost in rounding
BINS = 48  # of the datapoints, by value, where there are more than twice as many
SETTLED = 1e-13  # of the size of a batch under a tilt
NEWTON = 60  # rounds at most
DRAWN_IN = 200  # rounds until nodes within the reach of batches have their mean and variance
TIMES = 1e-2, 60.0, 160  # first, last and number of the arguments of characteristic functions
MOST_KEPT = 0.9  # of a distance in one step: above it a law is smoother than this bound tells


def gauss(count: int) -> tuple[Array, Array]:
    """Nodes of the normal law, and their probabilities."""
    z, weights = np.polynomial.hermite_e.hermegauss(count)
    return z, weights / weights.sum()


def extremes(g: Array, batch: int, replacement: bool) -> tuple[Array, Array]:
    """The least and the greatest mean gradient of any minibatch, of datapoints' (N, M)."""
    if replacement or batch == 1:  # one datapoint may be drawn every time
        return g.min(axis=0), g.max(axis=0)
    least, most = np.partition(g, batch - 1, axis=0)[:batch], np.partition(g, -batch, axis=0)
    return least.mean(axis=0), most[-batch:].mean(axis=0)


def nodes_of(g: Array, batch: int, replacement: bool, count: int, *, refined: bool) -> Array:
    """Nodes of the law of a batch mean, with the probabilities of `gauss(count)`.

    Parameters
    ----------
    g
        The gradients of all datapoints, shape (N, M).
    batch
        How many are drawn, with `replacement` or without.
    refined
        Whether r* is followed, or r alone: what that changes bounds what is missing.

    Returns
    -------
    array
        Shape (count, M), ascending in each column, with exactly the mean and the variance of a
        batch mean, and none of them beyond what a batch can have.
    """
    g = np.asarray(g, dtype=float)
    found = np.empty((count, g.shape[1]))
    wide = max(MEMORY // max(len(g), 2 * TILTS * min(len(g), 2 * BINS)), 1)
    for first in range(0, g.shape[1], wide):
        part = slice(first, first + wide)
        found[:, part] = _nodes(g[:, part], batch, replacement, count, refined)
    return found


@one_thread
def roughness(
    g: Array, nodes: Array, p: Array, batch: int, replacement: bool, kept: float
) -> float:
    """A bound of what nodes in place of batches change of the distribution function of the chain.

    It is the integral of |difference of the characteristic functions| / t over t > 0, divided by
    pi (Gil-Pelaez), of sum_k kept^k xi_k, where xi_k are batch means: near a minimum the chain is
    such a sum. Of the columns, shape (N, M) of gradients and (K, M) of nodes, the worst counts.

    Parameters
    ----------
    kept
        The share of a distance from the minimum that one step leaves; at most `MOST_KEPT` is
        taken, since the more is left the smoother is the sum.
    """
    n = len(g)
    draws = batch if replacement else min(batch, n - batch)
    turned = draws != batch  # what is left out of a batch is a batch, too
    x, moving, _, size, _ = _standard(g)
    if not moving.any() or draws == 0:
        return 0.0
    u = nodes[:, moving] / size[moving]
    u = u - p @ u
    u /= np.sqrt(p @ (u * u))
    x, number = _binned(x)
    t = np.geomspace(*TIMES)
    kept = min(abs(kept), MOST_KEPT)
    worst = 0.0
    for column in range(u.shape[1]):
        share, at = number[:, column] / n, x[:, column] / np.sqrt(draws)
        true = together = np.ones_like(t, dtype=complex)
        now = t
        while now[-1] > TIMES[0]:
            of_one = (np.exp(1j * np.outer(now, at)) @ share) ** draws
            true = true * (of_one.conj() if turned else of_one)
            together = together * (np.exp(1j * np.outer(now, u[:, column])) @ p)
            now = now * kept
            if max(np.abs(true).max(), np.abs(together).max()) == 0 or kept == 0:
                break
        gap = np.abs(true - together)
        worst = max(worst, float(np.trapezoid(gap, np.log(t))) / np.pi)
    return min(worst, 1.0)


def _nodes(g: Array, batch: int, replacement: bool, count: int, refined: bool) -> Array:
    x, moving, mean, size, deviation = _standard(g)
    z, p = gauss(count)
    u = np.tile(mean, (count, 1))
    if moving.any():
        n = len(x)
        spread = (1.0 if replacement else (n - batch) / (n - 1)) / batch
        if batch == 1:
            shape = _quantiles(x, z)
        else:
            shape = _by_tilts(*_binned(x), batch, replacement, spread, z, refined)
        ends = extremes(x, batch, replacement)
        shape = _standardised(shape, p, np.sqrt(spread), *ends)
        u[:, moving] += deviation * shape
    return np.asarray(u * size)


def _standard(g: Array) -> tuple[Array, Array, Array, Array, Array]:
    """The columns that differ from their means, in deviations from these, and which they are.

    And the mean and the size of each column, the mean in units of that, as are the deviations.
    """
    size = np.abs(g).max(axis=0)
    size = np.where(size > 0, size, 1.0)
    x = g / size
    mean = x.mean(axis=0)
    x = x - mean
    x -= x.mean(axis=0)
    deviation = np.sqrt((x * x).mean(axis=0))
    moving = deviation > 16 * ROUNDING
    deviation = deviation[moving]
    # In the order of memory, which an array of some columns is not in.
    return np.ascontiguousarray(x[:, moving]) / deviation, moving, mean, size, deviation


def _quantiles(x: Array, z: Array) -> Array:
    """Of single datapoints, at the probabilities of normal values."""
    from scipy.special import ndtr  # what draws more than one at a time does without

    at = ndtr(z) * len(x) - 0.5
    ordered = np.sort(x, axis=0)
    low = np.clip(np.floor(at).astype(int), 0, len(x) - 1)
    high = np.minimum(low + 1, len(x) - 1)
    share = np.clip(at - low, 0.0, 1.0)[:, None]
    return np.asarray((1 - share) * ordered[low] + share * ordered[high])


def _binned(x: Array) -> tuple[Array, Array]:
    """Values, and how many datapoints have them: if many, two for each bin, finest near 0.

    These have the mean and the variance of what is in the bin.
    """
    n, m = x.shape
    if n <= 2 * BINS:
        return x, np.ones_like(x)
    bins = np.minimum((x / (2 + np.abs(x)) + 1) * (BINS / 2), BINS - 1).astype(int)
    at = (bins * m + np.arange(m)).ravel()  # x in deviations
    number, total, square = (
        np.bincount(at, power, BINS * m).reshape(BINS, m)
        for power in (None, x.ravel(), (x * x).ravel())
    )
    kept = number.any(axis=1)
    number = number[kept]
    mean, second = (t[kept] / np.maximum(number, 1.0) for t in (total, square))
    half = np.sqrt(np.maximum(second - mean * mean, 0.0))
    values = np.concatenate([mean - half, mean + half])
    return values, np.concatenate([number, number]) / 2


def _by_tilts(
    x: Array, number: Array, batch: int, replacement: bool, spread: float, z: Array, refined: bool
) -> Array:
    """Means of batches at normal values z, in deviations of a datapoint: shape (len(z), M)."""
    deviation = np.sqrt(spread)
    distance = NEAREST * np.sinh(np.arange(1, TILTS + 1) * np.arcsinh(FARTHEST / NEAREST) / TILTS)
    # The tilt that moves a normal law by so many deviations of the sum.
    tilt = np.append(-distance[::-1], distance)[:, None] / (batch * deviation)
    mean, r, v = _tilted(x, number, batch, replacement, tilt)
    with np.errstate(all="ignore"):
        normal = r + np.log(v / r) / r if refined else r
    return _inverse(mean, normal, z)


def _tilted(
    x: Array, number: Array, batch: int, replacement: bool, tilt: Array
) -> tuple[Array, Array, Array]:
    """Mean, r and v of a batch under each tilt, shape (tilts, M).

    How often each datapoint is drawn is a Poisson number, or 0 or 1 without replacement, given how
    many are drawn in all. Its mean has odds exp(tilt x + shift), where the shift keeps that number.
    """
    n = number[:, 0].sum()
    share = batch / n
    base = batch if replacement else batch * (1 - share)  # variance of the size without a tilt
    found: dict[float, tuple[Array, Array, Array]] = {}
    before = 0.0
    for t in np.concatenate([tilt[tilt > 0], tilt[tilt < 0][::-1]]).tolist():  # outwards
        power = t * x
        if replacement:
            shift = -_log_mean(power, number / n)
            inside = hold = number * share * np.exp(power + shift)
            gain = np.zeros_like(shift)
        else:
            if t * before <= 0:  # from the middle on; then with the shift and how it goes on
                shift, slope, before = np.zeros(x.shape[1]), np.zeros(x.shape[1]), 0.0
            shift = _shifted(power, number, batch, shift + slope * (t - before))
            odds = _expit(power + shift + np.log(batch / (n - batch)))
            inside, hold = number * odds, number * odds * (1 - odds)
            # log of 1 - p + p exp(tilt x + shift), to the rounding of what is small
            both = power + shift
            low, high = np.minimum(both, 1.0), np.maximum(both, 1.0)
            far = both + np.log(share + (1 - share) * np.exp(-high))
            gain = (number * np.where(both < 1, np.log1p(share * np.expm1(low)), far)).sum(axis=0)
        mean = (inside * x).sum(axis=0) / batch
        own, cross, varies = (hold * x).sum(axis=0), (hold * x * x).sum(axis=0), hold.sum(axis=0)
        with np.errstate(all="ignore"):
            variance = np.maximum(cross - own * own / varies, 0.0)  # given the size
        r = np.sign(t) * np.sqrt(2 * np.maximum(batch * (t * mean + shift) - gain, 0.0))
        found[t] = mean, r, t * np.sqrt(variance * varies / base)
        before, slope = t, np.nan_to_num(-own / np.maximum(varies, 1e-300))
    means, rs, vs = zip(*(found[t] for t in tilt[:, 0].tolist()), strict=True)
    return np.array(means), np.array(rs), np.array(vs)


def _log_mean(power: Array, share: Array) -> Array:
    """log of the mean of exp(power), to the rounding of what is small."""
    if (top := power.max(axis=0)).max() < 1:
        return np.asarray(np.log1p((share * np.expm1(power)).sum(axis=0)))
    return np.asarray(top + np.log((share * np.exp(power - top)).sum(axis=0)))


def _expit(x: Array) -> Array:
    e = np.exp(-np.abs(x))
    return np.asarray(np.where(x >= 0, 1.0, e) / (1 + e))


def _shifted(power: Array, number: Array, batch: int, guess: Array) -> Array:
    """The shift at which as many as a batch holds are drawn, by Newton's method."""
    logit = np.log(batch / (number[:, 0].sum() - batch))
    low, high = -power.max(axis=0) - 50.0, -power.min(axis=0) + 50.0
    shift = np.clip(guess, low, high)
    for _ in range(NEWTON):
        inside = _expit(power + shift + logit)
        size = (number * inside).sum(axis=0)
        varies = (number * inside * (1 - inside)).sum(axis=0)
        low, high = np.where(size < batch, shift, low), np.where(size > batch, shift, high)
        done = np.abs(size - batch) <= SETTLED * batch
        if done.all():
            break
        with np.errstate(all="ignore"):  # in the logarithm of the size
            new = shift - np.log(size / batch) * size / varies
        within = (low < new) & (new < high)
        shift = np.where(done, shift, np.where(within, new, (low + high) / 2))
    return shift


def _inverse(mean: Array, normal: Array, z: Array) -> Array:
    """Where `normal`, as a function of the mean, is z: cubic between tilts, monotone (Fritsch).

    Between lumps of a law r* turns back: there the level between the highest before and the lowest
    after is taken. It turns back for good where the mean comes to the end of its reach; beyond,
    the mean is left where that begins.
    """
    at = np.arange(len(mean))[:, None]
    told = np.isfinite(normal) & np.isfinite(mean)
    half = len(mean) // 2
    first = np.argmin(np.where(told, normal, np.inf)[:half], axis=0)
    last = half + np.argmax(np.where(told, normal, -np.inf)[half:], axis=0)
    told &= (first <= at) & (at <= last)
    before = np.maximum.accumulate(np.where(told, normal, -np.inf), axis=0)
    after = np.minimum.accumulate(np.where(told, normal, np.inf)[::-1], axis=0)[::-1]
    before, after = (np.where(np.isinf(x), y, x) for x, y in ((before, after), (after, before)))
    normal = ((before + after) / 2 + 1e-9 * at).T
    within = np.clip(at, first, last)
    mean = np.maximum.accumulate(np.take_along_axis(mean, within, 0), axis=0).T
    gap = np.diff(normal, axis=1)
    slope = np.diff(mean, axis=1) / gap
    first, second = slope[:, :-1], slope[:, 1:]
    one, two = 2 * gap[:, 1:] + gap[:, :-1], gap[:, 1:] + 2 * gap[:, :-1]
    with np.errstate(all="ignore"):
        inner = (one + two) / (one / first + two / second)
    inner = np.where((first > 0) & (second > 0), inner, 0.0)
    at = np.concatenate([slope[:, :1], inner, slope[:, -1:]], axis=1)
    found = np.empty((len(z), len(mean)))
    rows = np.arange(len(mean))
    for k, value in enumerate(z.tolist()):
        i = np.clip((normal < value).sum(axis=1) - 1, 0, gap.shape[1] - 1)
        h = gap[rows, i]
        s = np.clip((value - normal[rows, i]) / h, 0.0, 1.0)
        a, b = mean[rows, i], mean[rows, i + 1]
        found[k] = (
            a
            + (b - a) * s * s * (3 - 2 * s)
            + h * s * (1 - s) * ((1 - s) * at[rows, i] - s * at[rows, i + 1])
        )
    return found


def _standardised(u: Array, p: Array, deviation: float, least: Array, most: Array) -> Array:
    """Nodes about 0 with the deviation wanted, none beyond what a batch can have.

    What would be is drawn in, and the rest moved and widened until it is so.
    """
    p = p[:, None]
    middle, width = np.zeros(u.shape[1]), np.ones(u.shape[1])
    u = u - (p * u).sum(axis=0)
    for _ in range(DRAWN_IN):
        v = np.clip(middle + width * u, least, most)
        off = -(p * v).sum(axis=0)
        now = np.sqrt((p * (v + off) ** 2).sum(axis=0))
        ratio = deviation / np.maximum(now, 1e-300)
        middle, width = middle + off, width * np.minimum(ratio, 2.0)
        if (np.abs(off) <= 1e-14 * deviation).all() and (np.abs(ratio - 1) <= 1e-14).all():
            break
    return np.asarray(v)
