"""Walkers of SGD in the plane, and what they say of its end state.

Within a basin walkers forget their start soon, between basins perhaps never. So what they say is
put together from what they do in each basin and from how often they change from one to another:
the end state of these changes remembers no start. How far it is known, is told by drawing walkers,
which are independent, over and over from those that there were.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from stationary.aliases import Array
from stationary.plane.state import PlaneState
from stationary.process.minibatches import Stepper

DRAWS = 200  # of as many walkers: the error of an error is then 5 %
FEWEST = 10  # walkers that must have entered a basin, and left it, for its mass to be told


@dataclass(frozen=True, eq=False)
class Measured:
    """Means, standard deviations, correlation and basin masses, each with its error.

    `values` and `errors` have the order of `PlaneCheck.names`; an error is infinite where nothing
    is known.
    """

    values: Array
    errors: Array


def numbers(mean: Array, c: Array, masses: Any) -> Array:
    """In the order of `PlaneCheck.names`."""
    return np.array(
        [*mean, *np.sqrt(np.diag(c)), c[0, 1] / np.sqrt(c[0, 0] * c[1, 1]), *masses], dtype=float
    )


@np.errstate(over="ignore", invalid="ignore")  # walkers may run away, which is said
def walk(
    state: PlaneState, stepper: Stepper, walkers: int, steps: int, seed: int, count: int,
    notes: list[str], chain: Measured | None,
) -> Measured | None:  # fmt: skip
    """What walkers do from the end state of the diffusion, once they have left their start; with
    what basins hold by the chain where that is known."""
    rng = np.random.default_rng(seed)
    x = state.rvs(walkers, rng)
    basin = _basin(state, x, count)
    if chain is not None and count > 1:
        held = np.append(np.maximum(chain.values[5:], 0), 0)
        share = held / np.maximum(np.bincount(basin, minlength=count + 1), 1)
        weight = np.where(basin < count, share[basin], 1 / walkers)
        x = x[:, rng.choice(walkers, walkers, p=weight / weight.sum())]
    ends = np.array(state.diffusion.domain)
    burn, every = steps // 4, max(1, steps // 400)
    each = np.arange(walkers)
    sums = np.zeros((count + 1, 6, walkers))  # of 1, x, y, x^2, y^2, x y in each basin
    changes = np.zeros((count + 1, count + 1, walkers))
    for step in range(burn + steps):
        x = stepper.draw(x, rng)
        if not np.isfinite(x).all():
            notes.append("Some walkers ran away to infinity: SGD diverges with this step.")
            return None
        x = np.where(x < ends[:, :1], 2 * ends[:, :1] - x, x)
        x = np.where(x > ends[:, 1:], 2 * ends[:, 1:] - x, x)
        if step >= burn and (step - burn) % every == 0:
            before, basin = basin, _basin(state, x, count)
            if step > burn:
                changes[before, basin, each] += 1
            sums[basin, :, each] += np.stack(
                [np.ones(walkers), *x, x[0] ** 2, x[1] ** 2, x[0] * x[1]], axis=1
            )
    drawn = rng.multinomial(walkers, np.full(walkers, 1 / walkers), size=DRAWS)
    drawn = np.concatenate([np.ones((1, walkers)), drawn])
    seen = sums[:, 0].sum(axis=1) > 0
    within = _divided(sums[:, 1:] @ drawn.T, (sums[:, 0] @ drawn.T)[:, None])
    apart = np.eye(count + 1, dtype=bool)
    moved = np.where(apart[..., None], 0, changes)
    left, entered = ((moved.sum(axis=k) > 0).sum(axis=1) for k in (1, 0))
    fewest = min(left[:count].min(), entered[:count].min())
    if count == 1 or fewest >= FEWEST:
        masses = _end_state(np.moveaxis(changes @ drawn.T, -1, 0), seen)
        values = np.stack([_together(within[..., d], m) for d, m in enumerate(masses)])
        made = Measured(values[0], values[1:].std(axis=0, ddof=1))
    else:
        notes.append(
            f"Of {walkers} walkers so few changed the basin (the least: {fewest}, in or out of "
            "one) that they do not tell the masses of basins. "
            + (
                "Nor their moments, which depend on these."
                if chain is None
                else "Their moments take these from the chain."
            )
        )
        made = _with_masses(state, within, seen[:count], chain, count)
    keep = slice(None) if count > 1 else slice(5)
    return Measured(made.values[keep], made.errors[keep])


def _basin(state: PlaneState, x: Array, count: int) -> Array:
    """The basin of each point; `count` stands for none."""
    if count == 1:
        return np.zeros(x.shape[1], dtype=int)
    found = np.asarray(state.basin_of(x))
    return np.where(found < 0, count, found)


def _divided(a: Array, b: Array) -> Array:
    return np.asarray(np.divide(a, b, out=np.zeros(a.shape), where=b > 0))


def _end_state(changes: Array, seen: Array) -> Array:
    """The end states of numbers of changes, shape (draws, K, K), of those states that were seen."""
    made = np.zeros(changes.shape[:2])
    changes = changes[:, seen][:, :, seen]
    flow = _divided(changes, changes.sum(axis=2, keepdims=True)).swapaxes(1, 2)
    flow = flow - np.eye(flow.shape[-1])
    rows = np.concatenate([flow, np.ones((len(flow), 1, flow.shape[-1]))], axis=1)
    made[:, seen] = np.linalg.pinv(rows)[..., -1]
    return np.asarray(made / made.sum(axis=1, keepdims=True))


def _together(within: Array, masses: Array) -> Array:
    """The numbers of what is in each basin, moments of shape (K, 5), with masses (K,)."""
    m = masses @ within
    second = np.array([[m[2], m[4]], [m[4], m[3]]])
    return numbers(m[:2], second - np.outer(m[:2], m[:2]), masses[: max(1, len(masses) - 1)])


def _with_masses(
    state: PlaneState, within: Array, seen: Array, chain: Measured | None, count: int
) -> Measured:
    """What walkers say with the masses of the chain. Basins that none has seen are taken for
    points, and what they add for an error."""
    if chain is None:
        return Measured(np.zeros(5 + count), np.full(5 + count, np.inf))
    masses = np.append(np.maximum(chain.values[5:], 0), 0)
    masses = masses / masses.sum()
    for k, b in enumerate(b for b in state.basins if b.attractor is not None):
        if not seen[k] and b.attractor is not None:
            x, y = b.attractor.position
            within[k] = np.array([x, y, x * x, y * y, x * y])[:, None]
    values = np.stack([_together(within[..., d], masses) for d in range(DRAWS + 1)])
    errors = values[1:].std(axis=0, ddof=1)
    for k in range(count):
        other = masses.copy()
        other[k] += chain.errors[5 + k] + (0 if seen[k] else masses[k])
        errors += np.abs(_together(within[..., 0], other / other.sum()) - values[0])
    errors[5:] = np.inf
    return Measured(values[0], errors)
