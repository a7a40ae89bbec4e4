"""The steps that SGD really takes in the plane: its chain on a grid, and walkers.

The chain takes each point of a grid by every minibatch, and what lands between points is shared
among them so that polynomials keep their mean: the law is exact for smooth averages to a high order
of the spacing, where cells that take all would spread the process by h^2 / 12 in each step. Two
grids tell the error.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.sparse import csc_array, csr_array, eye_array
from scipy.sparse.linalg import splu

from stationary.aliases import Array
from stationary.errors import LandscapeError
from stationary.numbers.cost import BY_WORK
from stationary.plane.boxes import lattice
from stationary.plane.state import PlaneState
from stationary.plane.walkers import Measured, numbers, walk
from stationary.process.minibatches import Stepper
from stationary.result import Result

# Points of the grid for each direction, and the probability of the diffusion beyond each side,
# fine and coarse: where polynomials are exact, how wide the box is makes all the difference.
GRIDS = ((72, 5e-9), (56, 5e-8))
STENCIL = 6  # points for each direction among which is shared
ROOM = 0.1  # of where the diffusion is that is added on each side


@dataclass(frozen=True, eq=False, repr=False)
class PlaneCheck(Result):
    """The end state of SGD's diffusion in the plane held against its own steps.

    Attributes
    ----------
    names
        What is compared.
    diffusion, chain, walkers
        Its values; None where one could not be had.
    diverges
        Whether walkers ran away to infinity, which the diffusion does not see.
    """

    state: PlaneState
    names: tuple[str, ...]
    diffusion: Measured
    chain: Measured | None
    walkers: Measured | None
    settings: dict[str, int]
    notes: tuple[str, ...] = ()
    diverges: bool = False

    interrupted = False  # as a `Check` can be

    @property
    def off(self) -> tuple[float, float, str]:
        """The largest difference from the diffusion that is no error, in proportion; its error;
        and of what."""
        truth = self.chain if self.chain is not None else self.walkers
        worst = (0.0, 0.0, "anything")
        if truth is None:
            return worst
        own = self.diffusion
        knowns = (truth.errors + own.errors) / self.scale
        aparts = np.abs(truth.values - own.values) / self.scale
        for name, known, apart in zip(self.names, knowns, aparts, strict=True):
            if np.isfinite(known) and apart > max(worst[0], 2 * known):
                worst = (float(apart), float(known), name)
        return worst

    @property
    def scale(self) -> Array:
        """What differences are held against: means by deviations, a correlation as it is."""
        made = np.abs(self.diffusion.values)
        made[:2], made[4] = self.diffusion.values[2:4], 1.0
        return made

    @property
    def outcome(self) -> str:
        """As of a `Check`: "holds", "roughly", "fails" or "not decided"."""
        if self.diverges:
            return "fails"
        if self.chain is None and self.walkers is None:
            return "not decided"
        apart = self.off[0]
        return "holds" if apart < 0.02 else "roughly" if apart < 0.2 else "fails"

    @property
    def verdict(self) -> str:
        """The outcome in a sentence."""
        if self.diverges:
            return "SGD diverges with this step, which the diffusion does not see: lower it."
        apart, known, what = self.off
        said = f"{100 * apart:.2g} % off in the {what} (known to {100 * known:.1g} %)"
        return {
            "holds": "The diffusion tells what SGD does: "
            + (f"at most {said}." if apart else "no difference is larger than the errors."),
            "roughly": f"The diffusion is a rough guide to what SGD does with this step: {said}.",
            "fails": f"The diffusion does not tell what SGD does with this step: it is {said}. "
            "Believe the chain and the walkers.",
            "not decided": "Neither the chain nor walkers could be had.",
        }[self.outcome]

    def __repr__(self) -> str:
        return (
            f"<PlaneCheck of {self.state.diffusion.name!r}: {self.outcome}, {self.off[0]:.2g} off>"
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
    errors = np.asarray(state.error_of(lambda s: _summary(s, count)))
    notes: list[str] = []
    chain = None
    if stepper.chances is None:
        notes.append(
            "There are too many minibatches to go through one by one: there is no chain, and the "
            "walkers alone tell."
        )
    else:
        found = [_chain(state, stepper, *grid, count, notes) for grid in GRIDS]
        if all(f is not None for f in found):
            fine, coarse = np.array(found)
            chain = Measured(fine, np.abs(fine - coarse) + 1e-12)
    sent = None
    if simulation:
        work = walkers * stepper.datapoints
        steps = steps or int(min(20_000, max(2_000, BY_WORK / work)))
        sent = walk(state, stepper, walkers, steps, seed, count, notes, chain)
    settings = {"points": GRIDS[0][0], "walkers": walkers, "steps": steps or 0, "seed": seed}
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
