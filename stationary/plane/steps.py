"""SGD's own steps without a grid: moments where they are linear, and how far they lead.

Of linear ones, in closed form:

x' = A x + b with (A, b) the mean over a minibatch. With u = x - E x and d = A E x + b - E x

    E u u^T = E[A (E u u^T) A^T] + E d d^T,

which is linear in E u u^T, and needs no more of minibatches than means and covariances over
datapoints. Tails of such a law are powers: moments of order k exist where the k-th Kronecker power
of A, on average, draws together.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from stationary.aliases import Array
from stationary.numbers.arithmetic import EPSILON
from stationary.numbers.elementary import distinct
from stationary.plane.basin import PlaneBasin
from stationary.plane.state import PlaneState
from stationary.plane.zeros import FARTHER
from stationary.process.minibatches import Stepper

QUARTERS = (0.25, 0.5, 0.75)
MARGIN = 1e-9  # about 1, of growth per step: within that rounding decides
DOUBLINGS = 100  # of steps: any growth beyond the margin has shown by then
GROWN = 1e75  # of what is pushed per step: what has grown so far has no bound
DRAWN = 4000  # minibatches that stand for all where there are too many
FINE = 24  # pixels in a deviation of the diffusion around an attractor
MOST = 1 << 17  # pixels: what goes on from there is not found to end
ROW = 1 << 24  # by which the number of a pixel grows from one row to the next


class Recursion(NamedTuple):
    """Means, deviations and correlation, infinite where there are none, with errors by rounding;
    how fast second moments grow in a step; and whether fourth moments exist."""

    values: Array
    errors: Array
    growth: float
    fourth: bool


def recursion(state: PlaneState, stepper: Stepper) -> Recursion | None:
    """What the steps do for ever; None where they are not linear, or there are walls."""
    if np.isfinite(np.array(state.diffusion.domain)).any():
        return None
    # Around the middle of the law: where tails are heavy it has no deviation.
    low, middle, high = np.array([state.marginal(k).ppf(QUARTERS) for k in (0, 1)]).T[..., None]
    return recursion_around(stepper, middle, high - low)


def recursion_around(stepper: Stepper, middle: Array, by: Array) -> Recursion | None:
    """The same of steps without walls, around a point and in units of how wide the law is there,
    shapes (2, 1)."""
    maps = _maps(stepper, middle, by)
    if maps is None:
        return None
    a, b, rounding = maps
    n, size, eye = stepper.datapoints, stepper.batch_size, np.eye(2)
    share = 1 / size if stepper.replacement else (n - size) / (size * max(n - 1, 1))
    whole, push = a.mean(axis=0), b.mean(axis=0)
    unknown = Recursion(np.zeros(5), np.full(5, np.inf), np.nan, False)
    if not np.abs(np.linalg.eigvals(whole)).max() < 1 - MARGIN:
        return unknown
    back = np.linalg.inv(eye - whole)
    mean = back @ push
    moved = a @ mean + b - mean
    both = _power(a - whole, 2) * share + np.kron(whole, whole)
    noise = share * (moved[:, :, None] * moved[:, None, :]).mean(axis=0).ravel()
    growth = float(np.abs(np.linalg.eigvals(both)).max())
    if abs(growth - 1) < MARGIN:
        return unknown
    off = rounding * np.abs(back).sum(axis=1).max() * (1 + np.abs(mean).max())
    if growth < 1:
        inverse = np.linalg.inv(np.eye(4) - both)
        second = inverse @ noise
        jolt = float(np.abs(moved).max() + off)
        spread = rounding * (1 + np.abs(a).max()) * np.abs(second).max() + off * (jolt + off)
        wrong = 8 * float(np.abs(inverse).sum(axis=1).max() * spread)
        finite = np.array([True, True])
    else:
        second, finite = _grown(both, noise)
        wrong = EPSILON * float(second[finite[[0, 0, 1, 1]]].max(initial=0.0))
    deviation = np.where(finite, np.sqrt(np.maximum(second[[0, 3]], 0)), np.inf)
    values, errors = np.zeros(5), np.full(5, np.inf)
    values[:2] = middle[:, 0] + by[:, 0] * mean
    values[2:4] = by[:, 0] * deviation
    errors[:2] = np.where(finite, by[:, 0] * off + EPSILON * np.abs(values[:2]), np.inf)
    with np.errstate(divide="ignore", invalid="ignore"):
        errors[2:4] = np.where(finite, by[:, 0] * wrong / deviation, 0.0)
        if finite.all():
            values[4] = second[1] / deviation.prod()
            errors[4] = 2 * wrong / deviation.min() ** 2
    return Recursion(values, errors, growth, growth < 1 and _fourth(stepper, a) < 1 - MARGIN)


def _maps(stepper: Stepper, middle: Array, by: Array) -> tuple[Array, Array, float] | None:
    """A and b of the step with each datapoint alone, shapes (N, 2, 2) and (N, 2), around a point
    in units of the deviations, and their rounding; None where steps are not linear."""
    angle = np.linspace(0, 2 * np.pi, 16, endpoint=False) + 0.1
    ring = np.stack([np.cos(angle), np.sin(angle)])
    y = np.concatenate(
        [np.zeros((2, 1)), np.eye(2), ring / 100, ring, *(ring * k for k in FARTHER)], 1
    )
    x = middle + by * y
    with np.errstate(all="ignore"):
        images = np.stack([stepper.move(x, g) for g in stepper.gradients(x)])
    if not np.isfinite(images).all():
        return None
    z = (images - middle) / by
    b = z[..., 0]
    a = z[..., 1:3] - b[..., None]
    rounding = 64 * EPSILON * ((np.abs(images) + np.abs(middle)) / by).max(axis=(0, 1))
    least = float(rounding[:3].max())
    missed = np.abs(z - a @ y - b[..., None]).max(axis=(0, 1))
    if (missed > rounding + least * (1 + np.abs(y).sum(axis=0))).any():
        return None
    return a, b, least


def _power(a: Array, k: int) -> Array:
    """The mean of the k-th Kronecker powers of matrices (N, 2, 2)."""
    made = a
    for _ in range(k - 1):
        size = made.shape[1] * 2
        made = np.einsum("nij,nkl->nikjl", made, a).reshape(-1, size, size)
    return np.asarray(made.mean(axis=0))


def _grown(both: Array, noise: Array) -> tuple[Array, Array]:
    """Second moments after ever more steps, and whether those of each coordinate stay finite."""
    second, power, top = noise, both, float(noise.max())
    for _ in range(DOUBLINGS):
        second = second + power @ second
        power = power @ power
        if second.max() > GROWN**2 * top or np.abs(power).max() > GROWN**3:
            break
    return second, second[[0, 3]] < GROWN * top


def _fourth(stepper: Stepper, a: Array) -> float:
    """How fast fourth moments grow in a step."""
    chances: Any = stepper.chances
    if chances is not None:
        batches = np.tensordot(stepper.shares, a, 1)
    else:
        rng, n = np.random.default_rng(0), stepper.datapoints
        drawn = [rng.choice(n, stepper.batch_size, stepper.replacement) for _ in range(DRAWN)]
        batches, chances = np.stack([a[d].mean(axis=0) for d in drawn]), np.full(DRAWN, 1 / DRAWN)
    scaled = batches * (len(chances) * chances[:, None, None]) ** 0.25
    return float(np.abs(np.linalg.eigvals(_power(scaled, 4))).max())


# -- how far SGD comes from an attractor, whichever minibatches are drawn -------------------------
# Pixels that steps may lead to are followed from the attractor, from the middle of each to those
# around where it comes, until none is new. What they cover is led into itself: there SGD stays for
# good, where the diffusion leaves every basin.


def kept_in(state: PlaneState, stepper: Stepper) -> dict[int, Array]:
    """By the number of each basin that no minibatch leads out of: from where to where SGD can come
    from its attractor, (2, 2) as a box."""
    if stepper.chances is None:
        return {}
    found = {b.index: _box(state, stepper, b) for b in state.basins}
    return {k: box for k, box in found.items() if box is not None}


def _box(state: PlaneState, stepper: Stepper, basin: PlaneBasin) -> Array | None:
    attractor = basin.attractor
    if attractor is None or attractor.covariance is None:
        return None
    at = np.asarray(attractor.position)[:, None]
    pixel = np.sqrt(np.diag(attractor.covariance))[:, None] / FINE
    ends = np.array(state.diffusion.domain)
    near = (np.arange(-1, 2)[:, None] * ROW + np.arange(-1, 2)).ravel()
    seen = fresh = np.zeros(1, dtype=int)

    def place(pixels: Array) -> Array:
        row = np.floor_divide(pixels + ROW // 2, ROW)
        return np.asarray(at + pixel * np.stack([row, pixels - ROW * row]))

    while fresh.size:
        x = np.concatenate(stepper.images(place(fresh)), axis=1)
        x = np.where(x < ends[:, :1], 2 * ends[:, :1] - x, x)
        x = np.where(x > ends[:, 1:], 2 * ends[:, 1:] - x, x)
        row, column = np.round((x - at) / pixel)
        if max(np.abs(row).max(), np.abs(column).max()) > ROW // 4:
            return None
        led = distinct((row * ROW + column).astype(int))
        fresh = np.setdiff1d(led[:, None] + near, seen)
        seen = distinct(seen, fresh)
        out = np.asarray(state.basin_of(place(fresh))) != basin.index
        if out.any() or len(seen) > MOST:
            return None
    x = place(seen)
    return np.stack([x.min(axis=1), x.max(axis=1)], axis=1)
