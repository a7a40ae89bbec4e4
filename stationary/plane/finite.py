"""The steps that SGD really takes in the plane: its chain on a grid, and walkers.

The chain takes each point of a grid by every minibatch, and what lands between points is shared
among them so that polynomials keep their mean: the law is exact for smooth averages to a high order
of the spacing, where cells that take all would spread the process by h^2 / 12 in each step. Three
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
from scipy.special import ndtri

from stationary import progress
from stationary.aliases import Array
from stationary.errors import LandscapeError
from stationary.numbers.cost import BY_WORK
from stationary.numbers.threads import one_thread
from stationary.plane.boxes import lattice, placed
from stationary.plane.local import positions
from stationary.plane.state import PlaneState
from stationary.plane.steps import kept_in, recursion
from stationary.plane.verdict import Measured, PlaneCheck, numbers
from stationary.process.minibatches import Stepper
from stationary.process.plane import PlaneDiffusion
from stationary.process.plane_landscape import PlaneLandscape
from stationary.wording import place_text

# Points of the grid for each direction, and the probability of the diffusion beyond each side,
# fine to coarse: where polynomials are exact, how wide the box is makes all the difference; where
# gradients jump it is where the points are, and of two grids some agree by chance.
GRIDS = ((72, 5e-9), (64, 1.6e-8), (56, 5e-8))
SCATTERED = 2.0  # of the range of three that scatter: nearly all are within
STENCIL = 6  # points for each direction among which is shared
TOGETHER = 16  # minibatches whose steps are laid out at once, for memory
LEAK = 0.1  # of the way out of a basin that sharing may be off by: more is not of first order
FAINT = 1e-6  # of a law where it is largest: corners of the box hold less
ROOM = 0.1  # of where the diffusion is that is added on each side
DRAWS = 200  # of as many walkers: the error of an error is then 5 %
FEWEST = 10  # walkers that must have entered a basin, and left it, for its mass to be told

RARE = (
    "SGD's steps lead from one basin to another so rarely that sharing between the points of the "
    "chain's grid is off by as much: what basins hold is not told. Moments are those with the "
    "masses of the diffusion, so that they compare what is within basins."
)
KEPT = (
    "No minibatch leads out of basin {}, as the diffusion does: from its attractor SGD comes no "
    "farther than from {} to {} in the first coordinate, and from {} to {} in the second."
)
LINEAR = (
    "Every step is linear: the moments of the chain follow from themselves in closed form; their "
    "errors are rounding."
)
ENDLESS = (
    "Every step is linear, and second moments grow from step to step: SGD has no variance with "
    "this step. Lower it."
)
UNKNOWN = (
    "As no density is known there is no box for the chain. Walkers start all over what was "
    "looked at; their errors also hold what they differ by from others that start at one place "
    "and take a quarter as many steps."
)
HEAVY = (
    "Steps are linear, and tails fall like powers so slowly that deviations of walkers have no "
    "standard errors (fourth moments are infinite): what walkers say of them is not told."
)


def require_steps(process: PlaneDiffusion | PlaneLandscape) -> Stepper:
    """The steps of SGD that a process is the limit of; others are refused."""
    if getattr(process, "momentum", 0) or getattr(process, "label_noise", 0):
        raise LandscapeError(
            f"{process.name}: check goes through plain steps; with two weights momentum "
            "and label noise are modelled in the limit of small steps only. Leave them out."
        )
    diffusion = process if isinstance(process, PlaneDiffusion) else process.diffusion()
    if diffusion.stepper is None:
        raise LandscapeError(
            f"{process.name}: check needs the losses or gradients of datapoints: a drift "
            "and a variance do not say what steps SGD takes."
        )
    return diffusion.stepper


@one_thread
def plane_check(
    state: PlaneState,
    *,
    walkers: int = 1000,
    steps: int | None = None,
    seed: int = 0,
    simulation: bool = True,
    known: bool = True,
) -> PlaneCheck:
    """Hold an end state against the chain of SGD's own steps and against walkers; if it is not
    `known`, these go twice, and tell how far they have left their start."""
    stepper = require_steps(state.process)
    count = max(1, len(_attractors(state))) if known else 1
    names: tuple[str, ...] = ("mean 1", "mean 2", "deviation 1", "deviation 2", "correlation")
    if count > 1:
        names = (*names, *(f"mass of basin {k}" for k in range(count)))
    own = _summary(state, count) if known else np.full(5, np.nan)
    errors = np.full(5, np.inf)
    if known:
        units = np.append([*state.std(), *state.std()], np.ones(len(own) - 4))
        errors = np.asarray(state.error_of(lambda s: _summary(s, count), units))
    notes: list[str] = []
    chain, kept = None, {}
    linear = recursion(state, stepper) if known and count == 1 else None
    if linear is not None:
        chain = Measured(linear.values, linear.errors)
        notes.append(LINEAR if np.isfinite(linear.values[2:4]).all() else ENDLESS)
    elif not known:
        notes.append(UNKNOWN)
    elif stepper.chances is not None:
        grids = progress.each(GRIDS, "grids of the chain")
        tried = [_chain(state, stepper, *grid, own[5:], notes) for grid in grids]
        found = [made for made in tried if made is not None]
        if len(found) == len(GRIDS):
            fine = found[0][0]
            told = bool(np.isfinite([grid.errors for grid, _ in found]).all())
            least = fine.errors if told else np.repeat([0, np.inf], [5, len(own) - 5])
            several = np.array([grid.values if told else within for grid, within in found])
            if not told:
                kept = kept_in(state, stepper)
                notes += [RARE, *(_kept_text(k, box) for k, box in kept.items())]
            between = SCATTERED * np.nan_to_num(np.ptp(several, axis=0), nan=np.inf)
            chain = Measured(several[0], np.maximum(between + 1e-12 * units, least))
    else:
        notes.append(
            "There are too many minibatches to go through one by one: there is no chain, and the "
            "walkers alone tell."
        )
    sent = None
    if simulation:
        work = walkers * stepper.datapoints
        steps = steps or int(min(20_000, max(2_000, BY_WORK / work)))
        told = chain is not None and bool(np.isfinite(chain.errors).all())
        masses = chain if chain is not None and told else Measured(own, np.zeros_like(own))
        rng = np.random.default_rng(seed)
        start = state.rvs(walkers, rng) if known else placed(state.box, rng.random((2, walkers)))
        sent = walk(state, stepper, start, steps, rng, count, notes, masses, told)
        if not known and sent is not None:
            some = positions(state.equilibria, "stable")
            start = np.tile((some if some.size else start)[:, :1], walkers)
            less = walk(state, stepper, start, max(1, steps // 4), rng, count, [], masses, told)
            sent.errors[:] += np.inf if less is None else np.abs(less.values - sent.values)
    if sent is not None and linear is not None and not linear.fourth:
        sent.errors[0 if not linear.growth < 1 else 2 :] = np.inf
        notes.append(HEAVY)
    points = GRIDS[0][0] if linear is None else 0
    settings = {"points": points, "walkers": walkers, "steps": steps or 0, "seed": seed}
    return PlaneCheck(
        state, names, Measured(own, errors), chain, sent, settings, tuple(dict.fromkeys(notes)),
        simulation and sent is None, tuple(kept),
    )  # fmt: skip


def _kept_text(basin: int, box: Array) -> str:
    return KEPT.format(basin, *(place_text(x, float(np.ptp(v))) for v in box for x in v.tolist()))


def _attractors(state: PlaneState) -> list[tuple[Array, Array]]:
    """Their places, and the deviations of the diffusion around them."""
    found = [b.attractor for b in state.basins if b.attractor is not None]
    wide = (np.zeros((2, 2)) if e.covariance is None else e.covariance for e in found)
    return [(e.position, np.sqrt(np.diag(c))) for e, c in zip(found, wide, strict=True)]


def _summary(state: PlaneState, count: int) -> Array:
    return numbers(state.mean(), state.cov(), np.exp(state._log_masses) if count > 1 else ())


@np.errstate(invalid="ignore")  # a law of which sharing makes too much has no deviations
def _chain(
    state: PlaneState, stepper: Stepper, n: int, beyond: float, masses: Array, notes: list[str]
) -> tuple[Measured, Array] | None:
    """What the chain on n x n points gives, with what sharing between them makes of it; and its
    numbers if basins hold these masses. Or None."""
    axes = [_axis(state, k, n, beyond) for k in (0, 1)]
    low, h = np.array([[v[0], v[1] - v[0]] for v in axes]).T[..., None]
    x = lattice(*axes)
    size = n * n
    assert stepper.chances is not None
    places = [(image - low) / h for image in stepper.images(x)]
    inside = [np.clip(place, 0, n - 1) for place in places]
    outside = sum(
        (place != kept).any(axis=0) * chance
        for place, kept, chance in zip(places, inside, stepper.chances, strict=True)
    )
    matrix = _shared(inside, stepper.chances, n, STENCIL)
    flow = csc_array(matrix.T) - eye_array(size, format="csc")
    pin = int(np.argmax(state.logpdf(x)))
    rest = np.delete(np.arange(size), pin)
    p = np.ones(size)
    try:
        # Steps lead to points nearby: other orders of rows fill less, and take longer.
        lu: Any = splu(csc_array(flow[:, rest][rest]), permc_spec="NATURAL")
        p[rest] = lu.solve(-flow[:, [pin]].toarray()[rest, 0])
        p = p / p.sum()
    except RuntimeError:  # of its sides some are never left
        p = np.full(size, np.nan)
    if not np.isfinite(p).all() or np.abs(p).sum() > 1.5:
        notes.append("The chain has no one smooth law on the box of the diffusion.")
        return None
    if float((outside * np.abs(p)).sum()) > 1e-4:
        notes.append(
            "SGD's steps lead out of the box of the diffusion: what they do beyond is not seen."
        )
    count = len(masses)
    basin = np.asarray(state.basin_of(x)) if count else np.zeros(size)
    held = (basin == np.arange(count)[:, None]).astype(float)
    d = x - (x @ p)[:, None]
    values = numbers(x @ p, (d * p) @ d.T, held @ p)
    # To first order a number changes by what it changes at each point, summed over all later steps
    # (`later`), times what sharing there is off by.
    s, z = values[2:4, None], d / values[2:4, None]
    both = z[0] * z[1] - values[4] * (z**2).sum(axis=0) / 2
    given = np.concatenate([d, s * (z**2 - 1) / 2, [both], held - values[5:, None]])
    # How much longer than on average steps are at each point, from each attractor.
    ways = _attractors(state) if count else []
    starts = [int((((x - at[:, None]) / h) ** 2).sum(axis=0).argmin()) for at, _ in ways]
    later, stays = np.zeros((len(given), size)), np.zeros((len(starts), size))
    later[:, rest] = -lu.solve(given.T[rest], "T").T
    begun = (np.arange(size)[:, None] == starts) - p[:, None]
    stays[:, rest] = -lu.solve(begun[rest]).T
    later -= (later @ p)[:, None]
    stays -= stays.sum(axis=1)[:, None] * p
    # In corners, which steps leave for good, polynomials through far points have no bound.
    among = np.abs([p, *stays])
    seen = (among > FAINT * among.max(axis=1)[:, None]).any(axis=0)
    least, most = (f(later[:, seen], axis=1)[:, None] for f in (np.min, np.max))
    later = np.clip(later, 2 * least - most, 2 * most - least)
    off = np.abs((_shared(inside, stepper.chances, n, STENCIL + 2) - matrix) @ later.T)
    least = LEAK * np.abs(later[5:, starts].diagonal())
    lost = np.array([np.abs(v) @ off[:, 5 + k] for k, v in enumerate(stays)])
    # What is left for a basin that holds most is known from how the others are left.
    if (lost < least)[values[5:] < 0.5].all():
        return Measured(values, np.abs(p) @ off), values
    law = np.where(values[5:, None] > FAINT, p, stays) * held
    powers = np.array([np.ones(size), *x, x[0] ** 2, x[1] ** 2, x[0] * x[1]])
    of_all, *sums = powers @ law.T
    within = powers[1:, starts]  # basins in which the grid has no point are taken for one
    np.divide(sums, of_all, out=within, where=of_all != 0)
    within = np.append(within.T, np.zeros((1, 5)), axis=0)
    apart = _together(within, np.append(masses, 0) / masses.sum())
    return Measured(values, np.full(len(values), np.inf)), apart


def _shared(places: list[Array], chances: Array, n: int, among: int) -> csr_array:
    """Where steps lead, as a matrix, what lands between points shared among so many each way."""
    size = n * n
    made = csr_array((size, size))
    for some in range(0, len(places), TOGETHER):
        columns, weights = [], []
        for place, chance in list(zip(places, chances, strict=True))[some : some + TOGETHER]:
            first = np.clip(np.floor(place).astype(int) - among // 2 + 1, 0, n - among)
            one, two = (_lagrange(v, among) for v in place - first)
            k = first[:, :, None] + np.arange(among)
            columns.append((k[0][:, :, None] * n + k[1][:, None, :]).reshape(size, -1))
            weights.append(chance * (one[:, :, None] * two[:, None, :]).reshape(size, -1))
        ends = np.arange(size + 1) * among**2 * len(columns)
        parts = (np.stack(v, axis=1).ravel() for v in (weights, columns))
        made = made + csr_array((*parts, ends), shape=(size, size))
    return made


def _axis(state: PlaneState, axis: int, n: int, beyond: float) -> Array:
    low, high = state.marginal(axis).interval(1 - 2 * beyond)
    for at, wide in _attractors(state):
        if not low < at[axis] < high:  # the diffusion hardly visits it: SGD may not leave it
            reach = -float(ndtri(beyond)) * wide[axis]
            low, high = min(low, at[axis] - reach), max(high, at[axis] + reach)
    room, by = state.diffusion.domain[axis], ROOM * (high - low)
    return np.linspace(max(low - by, room[0]), min(high + by, room[1]), n)


def _lagrange(t: Array, among: int) -> Array:
    """The weights of a polynomial through 0, 1, ..., among - 1 at points t, (M, among)."""
    n = range(among)
    return np.stack([np.prod([(t - k) / (j - k) for k in n if k != j], axis=0) for j in n], axis=1)


@np.errstate(over="ignore", invalid="ignore")  # walkers may run away, which is said
def walk(
    state: PlaneState, stepper: Stepper, x: Array, steps: int, rng: np.random.Generator, count: int,
    notes: list[str], masses: Measured, by_chain: bool,
) -> Measured | None:  # fmt: skip
    """What walkers do from x, once they have left it; with what basins hold by the chain, or by the
    diffusion, where they do not tell it themselves."""
    walkers = x.shape[1]
    basin = _basin(state, x, count)
    if by_chain and count > 1:
        held = np.append(np.maximum(masses.values[5:], 0), 0)
        share = held / np.maximum(np.bincount(basin, minlength=count + 1), 1)
        weight = np.where(basin < count, share[basin], 1 / walkers)
        x = x[:, rng.choice(walkers, walkers, p=weight / weight.sum())]
    ends = np.array(state.diffusion.domain)
    burn, every = steps // 4, max(1, steps // 400)
    each = np.arange(walkers)
    sums = np.zeros((count + 1, 6, walkers))  # of 1, x, y, x^2, y^2, x y in each basin
    changes = np.zeros((count + 1, count + 1, walkers))
    for step in progress.each(range(burn + steps), "steps of walkers"):
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
        ends = _end_state(np.moveaxis(changes @ drawn.T, -1, 0), seen)
        values = np.stack([_together(within[..., d], m) for d, m in enumerate(ends)])
        made = Measured(values[0], values[1:].std(axis=0, ddof=1))
    else:
        notes.append(
            f"Of {walkers} walkers so few changed the basin (the least: {fewest}, in or out of "
            "one) that they do not tell the masses of basins. "
            f"Their moments take these from the {'chain' if by_chain else 'diffusion'}."
        )
        made = _with_masses(state, within, seen[:count], masses, count)
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
    state: PlaneState, within: Array, seen: Array, given: Measured, count: int
) -> Measured:
    """What walkers say with masses that are given. Basins that none has seen are taken for
    points, and what they add for an error."""
    masses = np.append(np.maximum(given.values[5:], 0), 0)
    masses = masses / masses.sum()
    for k, ((x, y), _) in enumerate(_attractors(state)):
        if not seen[k]:
            within[k] = np.array([x, y, x * x, y * y, x * y])[:, None]
    values = np.stack([_together(within[..., d], masses) for d in range(DRAWS + 1)])
    errors = values[1:].std(axis=0, ddof=1)
    for k in range(count):
        other = masses.copy()
        other[k] += given.errors[5 + k] + (0 if seen[k] else masses[k])
        errors += np.abs(_together(within[..., 0], other / other.sum()) - values[0])
    errors[5:] = np.inf
    return Measured(values[0], errors)
