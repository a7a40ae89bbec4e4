"""`run_on`: one grid, and the probabilities of its states at all times."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from stationary.aliases import Array
from stationary.cells import shares_of
from stationary.evolution.exponential import Propagator
from stationary.evolution.generator import Chain, chain_on
from stationary.evolution.request import Asked
from stationary.numbers.arithmetic import HUGE
from stationary.process.diffusion import Diffusion
from stationary.process.initial import Initial
from stationary.progress import at

IN_TIME = 1e-8  # error of the integration in time, where nothing else is asked for
FASTEST = math.sqrt(HUGE)  # times the longest interval: doubles still carry the square


@dataclass(frozen=True, eq=False, repr=False)
class Run:
    """One grid: its chain, and the masses of its states at all times."""

    chain: Chain
    states: Array  # (times, states)
    errors: Array  # (times,): of the integration in time
    origin: float  # near the start, from which distances are counted
    moment_errors: Array  # (times, 2): of E|X - origin| and E(X - origin)^2, in time alone
    most: Array  # (times, cells): the most that each has held until then

    @property
    def cells(self) -> Array:
        """(times, cells): the masses of the cells alone."""
        return np.asarray(self.states[:, self.chain.is_cell])

    @property
    def mean(self) -> Array:
        """(times,)."""
        return self.origin + self._expected(self.chain.position - self.origin)

    @property
    def moments(self) -> Array:
        """(times, 2): E|X - origin| and E(X - origin)^2, of the centres."""
        distance = np.abs(self.chain.position - self.origin)
        return np.stack([self._expected(distance), self._expected(distance**2)], axis=1)

    @property
    def variance(self) -> Array:
        """(times,), with the density even within each cell."""
        apart = self.chain.position - self.mean[:, None]
        inner = (self.cells * (self.chain.width**2 / 12)).sum(axis=1)
        return np.asarray((self.states * apart**2).sum(axis=1) + inner)

    def _expected(self, values: Array) -> Array:
        """Of values of the states, at each time: the same however many times are asked for.

        A product of matrices rounds otherwise for other numbers of rows.
        """
        return np.asarray((self.states * values).sum(axis=1))


def run_on(asked: Asked, edges: Array, within: float = IN_TIME) -> Run:
    return runs_on(asked, [edges], within)[0]


def runs_on(
    asked: Asked, grids: Sequence[Array], within: float = IN_TIME, keeps: bool = False
) -> list[Run]:
    """Grids side by side, time by time: if `keeps`, up to where they are interrupted."""
    times = asked.times
    begun = [_begun(asked, edges, within) for edges in grids]
    rows: list[list[tuple[Array, ...]]] = []
    try:
        for k in range(len(times)):
            at("times", k, len(times))
            rows.append([next(along) for _, _, along in begun])
    except KeyboardInterrupt:
        if not keeps or not times[: len(rows)].any():
            raise
    runs = []
    for (chain, origin, _), own in zip(begun, zip(*rows, strict=True), strict=True):
        masses, errors, moments, most = map(np.array, zip(*own, strict=True))
        runs.append(Run(chain, masses, errors, origin, moments, most[:, chain.is_cell]))
    return runs


def _begun(asked: Asked, edges: Array, within: float) -> tuple[Chain, float, Iterator[Any]]:
    state, times = asked.state, asked.times
    chain = chain_on(state.anatomy, edges)
    p = placed(state.diffusion, chain, asked.start)
    origin = float(p @ chain.position)
    distance = np.abs(chain.position - origin)
    steps = np.diff(times, prepend=0.0)
    steps = steps[steps > 0]
    up, down = chain.rates(FASTEST / float(steps.max(initial=1.0)))
    weights = np.array([distance, distance**2])
    return chain, origin, Propagator(up, down, chain.is_ring).along(p, times, within, weights)


def placed(diffusion: Diffusion, chain: Chain, start: Initial) -> Array:
    """The start as masses of the states.

    A law gives each cell its probability; a point is shared between the two nearest centres such
    that its mean is kept.
    """
    edges, states = chain.edges, np.zeros(len(chain.is_cell))
    atoms = chain.position[~chain.is_cell]
    held = np.array([start.mass_at(x) for x in atoms.tolist()])
    if start.law is not None:
        cells = shares_of(start.law.law, edges)
        own = np.maximum(np.searchsorted(edges, atoms) - 1, 0)
        cells = np.maximum(cells - np.bincount(own, held, len(cells)), 0.0)
    else:
        x = start.points
        others = ~np.isin(x, atoms) & (x >= edges[0]) & (x <= edges[-1])
        cells = _shared(diffusion, chain, x[others], start.weights[others] / start.weights.sum())
    states[chain.is_cell], states[~chain.is_cell] = cells, held
    return np.asarray(states / states.sum())


def _shared(diffusion: Diffusion, chain: Chain, x: Array, weight: Array) -> Array:
    """Points between the two nearest centres, unless a zero of the variance parts these."""
    n, centre = len(chain.width), (chain.edges[1:] + chain.edges[:-1]) / 2
    own = np.clip(np.searchsorted(chain.edges, x, side="right") - 1, 0, n - 1)
    at_edge = x == chain.edges[own]
    if at_edge.any() and n > 1:
        # On a gate the drift says in which cell it starts.
        back = at_edge & (diffusion.coefficients(x)[0] < 0) & (own > 0)
        crossing = chain.piece[own] != chain.piece[np.maximum(own - 1, 0)]
        own = np.where(back & crossing, own - 1, own)
    other = np.clip(np.where(x < centre[own], own - 1, own + 1), 0, n - 1)
    apart = np.where(other == own, 1.0, centre[other] - centre[own])
    share = np.where(
        (other == own) | (chain.piece[other] != chain.piece[own]), 0.0, (x - centre[own]) / apart
    )
    both = np.append(weight * (1 - share), weight * share)
    return np.bincount(np.append(own, other), both, n)


def current_of(run: Run) -> Array:
    """J at the edges, (times, cells + 1)."""
    chain, p = run.chain, run.states
    up, down = chain.rates(math.inf)
    with np.errstate(over="ignore", invalid="ignore"):
        out_up, out_down = (p * up)[:, chain.is_cell], (p * down)[:, chain.is_cell]
    nothing = np.zeros((len(p), 1))
    if chain.is_ring:
        seam = out_up[:, -1:] - out_down[:, :1]
        return np.concatenate([seam, out_up[:, :-1] - out_down[:, 1:], seam], axis=1)
    upwards = np.concatenate([nothing, out_up], axis=1)
    return np.asarray(upwards - np.concatenate([out_down, nothing], axis=1))
