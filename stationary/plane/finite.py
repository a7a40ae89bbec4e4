"""The steps that SGD really takes in the plane: its chain on a grid, and walkers.

The chain takes each point of a grid by every minibatch, and what lands between points is shared
among them so that polynomials keep their mean: the law is exact for smooth averages to a high order
of the spacing, where cells that take all would spread the process by h^2 / 12 in each step. Two
grids tell the error.

Within a basin walkers forget their start soon, between basins perhaps never. So what they say is
put together from what they do in each basin and from how often they change from one to another:
the end state of these changes remembers no start. How far it is known, is told by drawing walkers,
which are independent, over and over from those that there were.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.sparse import csc_array, csr_array, eye_array
from scipy.sparse.linalg import splu

from stationary.aliases import Array
from stationary.errors import LandscapeError
from stationary.numbers.cost import BY_WORK
from stationary.plane.boxes import lattice
from stationary.plane.recursion import recursion
from stationary.plane.state import PlaneState
from stationary.plane.verdict import Measured, PlaneCheck, numbers
from stationary.process.minibatches import Stepper

# Points of the grid for each direction, and the probability of the diffusion beyond each side,
# fine and coarse: where polynomials are exact, how wide the box is makes all the difference.
GRIDS = ((72, 5e-9), (56, 5e-8))
STENCIL = 6  # points for each direction among which is shared
ROOM = 0.1  # of where the diffusion is that is added on each side
DRAWS = 200  # of as many walkers: the error of an error is then 5 %
FEWEST = 10  # walkers that must have entered a basin, and left it, for its mass to be told

LINEAR = (
    "Every step is linear: the moments of the chain follow from themselves in closed form; their "
    "errors are rounding."
)
ENDLESS = (
    "Every step is linear, and second moments grow from step to step: SGD has no variance with "
    "this step. Lower it."
)
HEAVY = (
    "Steps are linear, and tails fall like powers so slowly that deviations of walkers have no "
    "standard errors (fourth moments are infinite): what walkers say of them is not told."
)


def plane_check(
    state: PlaneState,
    *,
    walkers: int = 1000,
    steps: int | None = None,
    seed: int = 0,
    simulation: bool = True,
) -> PlaneCheck:
    """Hold an end state against the chain of SGD's own steps and against walkers.

    Raises
    ------
    LandscapeError
        If the process is not of losses: a drift and a noise do not say what steps are taken.
    """
    stepper = state.diffusion.stepper
    process: Any = state.process
    if getattr(process, "momentum", 0) or getattr(process, "label_noise", 0):
        raise LandscapeError(
            f"{state.diffusion.name}: check goes through plain steps; with two weights momentum "
            "and label noise are modelled in the limit of small steps only. Leave them out."
        )
    if stepper is None:
        raise LandscapeError(
            f"{state.diffusion.name}: check needs the losses or gradients of datapoints: a drift "
            "and a variance do not say what steps SGD takes."
        )
    count = max(1, len([b for b in state.basins if b.attractor is not None]))
    names: tuple[str, ...] = ("mean 1", "mean 2", "deviation 1", "deviation 2", "correlation")
    if count > 1:
        names = (*names, *(f"mass of basin {k}" for k in range(count)))
    own = _summary(state, count)
    units = np.append([*state.std(), *state.std()], np.ones(len(own) - 4))
    errors = np.asarray(state.error_of(lambda s: _summary(s, count), units))
    notes: list[str] = []
    chain = None
    known = recursion(state, stepper) if count == 1 else None
    if known is not None:
        chain = Measured(known.values, known.errors)
        notes.append(LINEAR if np.isfinite(known.values[2:4]).all() else ENDLESS)
    elif stepper.chances is not None:
        found = [_chain(state, stepper, *grid, count, notes) for grid in GRIDS]
        if all(f is not None for f in found):
            fine, coarse = np.array(found)
            chain = Measured(fine, np.abs(fine - coarse) + 1e-12)
    else:
        notes.append(
            "There are too many minibatches to go through one by one: there is no chain, and the "
            "walkers alone tell."
        )
    sent = None
    if simulation:
        work = walkers * stepper.datapoints
        steps = steps or int(min(20_000, max(2_000, BY_WORK / work)))
        sent = walk(state, stepper, walkers, steps, seed, count, notes, chain)
    if sent is not None and known is not None and not known.fourth:
        sent.errors[0 if not known.growth < 1 else 2 :] = np.inf
        notes.append(HEAVY)
    points = GRIDS[0][0] if known is None else 0
    settings = {"points": points, "walkers": walkers, "steps": steps or 0, "seed": seed}
    return PlaneCheck(
        state, names, Measured(own, errors), chain, sent, settings, tuple(dict.fromkeys(notes)),
        simulation and sent is None,
    )  # fmt: skip


def _summary(state: PlaneState, count: int) -> Array:
    return numbers(state.mean(), state.cov(), np.exp(state._log_masses) if count > 1 else ())


def _chain(
    state: PlaneState, stepper: Stepper, n: int, beyond: float, count: int, notes: list[str]
) -> Array | None:
    """What the chain on n x n points gives, or None."""
    axes = [_axis(state, k, n, beyond) for k in (0, 1)]
    low, h = np.array([[v[0], v[1] - v[0]] for v in axes]).T[..., None]
    x = lattice(*axes)
    size, each = n * n, STENCIL * STENCIL
    columns, weights = [], []
    outside = np.zeros(size)
    assert stepper.chances is not None
    for image, chance in zip(stepper.images(x), stepper.chances, strict=True):
        place = (image - low) / h
        inside = np.clip(place, 0, n - 1)
        outside += (np.abs(place - inside) > 0).any(axis=0) * chance
        first = np.clip(np.floor(inside).astype(int) - STENCIL // 2 + 1, 0, n - STENCIL)
        parts = [_lagrange(v) for v in inside - first]
        k = first[:, :, None] + np.arange(STENCIL)
        columns.append((k[0][:, :, None] * n + k[1][:, None, :]).reshape(size, each))
        weights.append(chance * (parts[0][:, :, None] * parts[1][:, None, :]).reshape(size, each))
    shape = (size, each * len(columns))
    matrix = csr_array(
        (
            np.stack(weights, axis=1).ravel(),
            np.stack(columns, axis=1).ravel(),
            np.arange(size + 1) * shape[1],
        ),
        shape=(size, size),
    )
    matrix.sum_duplicates()
    flow = csc_array(matrix.T) - eye_array(size, format="csc")
    pin = int(np.argmax(state.logpdf(x)))
    rest = np.delete(np.arange(size), pin)
    p = np.ones(size)
    try:
        # Steps lead to points nearby: other orders of rows fill less, and take longer.
        lu = splu(csc_array(flow[:, rest][rest]), permc_spec="NATURAL")
        p[rest] = lu.solve(-flow[:, [pin]].toarray()[rest, 0])
    except RuntimeError:
        return None
    p = p / p.sum()
    if not np.isfinite(p).all() or np.abs(p).sum() > 1.5:
        notes.append("The chain has no one smooth law on the box of the diffusion.")
        return None
    if float((outside * np.abs(p)).sum()) > 1e-4:
        notes.append(
            "SGD's steps lead out of the box of the diffusion: what they do beyond is not seen."
        )
    basin = np.asarray(state.basin_of(x)) if count > 1 else np.zeros(0)
    masses = [p[basin == k].sum() for k in range(count)] if count > 1 else ()
    d = x - (x @ p)[:, None]
    return numbers(x @ p, (d * p) @ d.T, masses)


def _axis(state: PlaneState, axis: int, n: int, beyond: float) -> Array:
    low, high = state.marginal(axis).interval(1 - 2 * beyond)
    room, by = state.diffusion.domain[axis], ROOM * (high - low)
    return np.linspace(max(low - by, room[0]), min(high + by, room[1]), n)


def _lagrange(t: Array) -> Array:
    """The weights of a polynomial through 0, 1, ..., STENCIL - 1 at points t, (M, STENCIL)."""
    n = range(STENCIL)
    return np.stack([np.prod([(t - k) / (j - k) for k in n if k != j], axis=0) for j in n], axis=1)


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
