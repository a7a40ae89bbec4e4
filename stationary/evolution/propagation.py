"""Probabilities of a chain from one time to the next, and of one grid at all times.

exp(t Q) p by the diagonal Pade approximant below the diagonal, [5/6], whose six poles are three
conjugate pairs: a step is three complex tridiagonal solves, of order 11. It is L-stable, so that
rates far beyond 1 / step do no harm, and follows oscillations, so that a pulse that the drift
carries keeps its shape. Steps are compared with two of half the length.

References
----------
.. [1] E. Hairer and G. Wanner, *Solving Ordinary Differential Equations II*, Springer 1996,
   ch. IV.3.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from math import comb, factorial
from typing import Any

import numpy as np

from stationary.aliases import Array
from stationary.cells import shares_of
from stationary.evolution.generator import Chain, chain_on
from stationary.evolution.request import Asked
from stationary.numbers.arithmetic import HUGE, ROUNDING
from stationary.process.diffusion import Diffusion
from stationary.process.initial import Initial
from stationary.progress import at

POLES = 6
FIRST = 10  # halvings of the first interval, the first step tried
TRUST = 30.0  # by which two halves are better than one step; in theory up to 2^11
KEPT = 6  # lengths of steps, and parts of the states, for which the equations are kept factorised
WIDE = 4  # times the states that a solution reaches there are no more than: all are solved for
NOTHING = 1e-40  # a probability that need not be followed, and what of a solution is cut off
ALL = -math.log(NOTHING)
SHORTEST = 1e-13  # of an interval: a step no shorter is taken as it is
IN_TIME = 1e-8  # error of the integration in time, where nothing else is asked for
FASTEST = math.sqrt(HUGE)  # times the longest interval: doubles still carry the square


@lru_cache(maxsize=1)
def _pade() -> tuple[Array, Array]:
    """1/z and -residue/z of one pole z of each pair of the [5/6] approximant of e^z."""
    from mpmath import MPContext

    # The terms nearly cancel: in doubles their sum at z = 0 would be 1 to eleven digits only.
    many = MPContext()
    many.dps = 50
    n, m = POLES - 1, POLES
    over = [comb(n, k) * factorial(n + m - k) for k in range(n + 1)]
    under = [(-1) ** k * comb(m, k) * factorial(n + m - k) for k in range(m + 1)]
    slope = [k * b for k, b in enumerate(under)][1:]

    def at(coefficients: list[int], z: Any) -> Any:
        return sum(b * z**k for k, b in enumerate(coefficients))

    inverses, weights = [], []
    for root in np.roots(np.array(under[::-1], dtype=float)):
        if root.imag > 0:
            z = many.mpc(complex(root))
            for _ in range(4):  # from about ten digits to more than fifty
                z -= at(under, z) / at(slope, z)
            inverses.append(complex(1 / z))
            weights.append(complex(-2 * at(over, z) / at(slope, z) / z))
    return np.array(inverses), np.array(weights)


def _fallen(out: Array, back: Array) -> Array:
    """e-folds by which a solution falls on its way outwards through the states, in their order."""
    half = (1 + out + back) / 2
    # The root as a product, without cancellation.
    falls = out / (half + np.sqrt(np.maximum(half**2 - out * back, 0.0)))
    with np.errstate(divide="ignore"):
        return np.cumsum(np.minimum(-np.log(falls), ALL))


def _kept(held: dict[Any, Any], key: Any, make: Callable[[], Any]) -> Any:
    """What is held for a key, made where it is not, of those last made."""
    if key not in held:
        if len(held) >= KEPT:
            del held[next(iter(held))]
        held[key] = make()
    return held[key]


@dataclass(frozen=True, eq=False)
class Propagator:
    """The generator of a chain, ready to be solved with: rates (states,) to either neighbour."""

    up: Array  # [1 / time]
    down: Array
    is_ring: bool = False
    _factors: dict[float, list[Any]] = field(default_factory=dict, init=False)
    _falls: dict[float, tuple[Array, Array]] = field(default_factory=dict, init=False)
    _parts: dict[tuple[int, int], Propagator] = field(default_factory=dict, init=False)

    def step(self, p: Array, dt: float) -> Array:
        """exp(dt Q) p, real; it may be negative by as much as the step is wrong."""
        inverses, weights = _pade()
        solvers: list[Any] = _kept(
            self._factors, dt, lambda: [self._solver(g * dt) for g in inverses]
        )
        result = np.zeros_like(p)
        for solve, w in zip(solvers, weights, strict=True):
            result += (w * solve(p)).real
        return result

    def steps(self, p: Array, dt: float) -> tuple[Array, Array]:
        """exp(dt Q) p in one step, and in two halves."""
        inverse = _pade()[0]
        slowest = float((abs(inverse) ** 2 / inverse.real).max())
        reach = slice(0, len(p)) if self.is_ring else self._reach(p, dt * slowest)
        if WIDE * (reach.stop - reach.start) > len(p):
            return self.step(p, dt), self.step(self.step(p, dt / 2), dt / 2)
        # Of rounded ends: the next steps find the equations of the same states factorised.
        apart = 1 << max((reach.stop - reach.start).bit_length() - 3, 0)
        start, stop = reach.start // apart * apart, min(-(-reach.stop // apart) * apart, len(p))
        some = slice(start, stop)
        part: Propagator = _kept(
            self._parts, (start, stop), lambda: Propagator(self.up[some], self.down[some])
        )
        whole, half = np.zeros_like(p), np.zeros_like(p)
        whole[some] = part.step(p[some], dt)
        half[some] = part.step(part.step(p[some], dt / 2), dt / 2)
        return whole, half

    def _reach(self, p: Array, dt: float) -> slice:
        """Where the solution of a step differs from zero: there is no need to look beyond.

        Outwards from where p is, (1 - dt Q)^-1 p falls from state to state by the smaller root of
        dt back y^2 - (1 + dt (out + back)) y + dt out = 0.
        """
        n, held = len(p), np.flatnonzero(p > NOTHING)
        first, last = int(held[0]), int(held[-1])

        def falls() -> tuple[Array, Array]:
            up, down = dt * self.up, dt * self.down
            return _fallen(down[::-1], up[::-1]), _fallen(up, down)

        below, above = _kept(self._falls, dt, falls)
        left = int(np.searchsorted(below, below[n - 1 - first] + ALL))
        right = int(np.searchsorted(above, above[last] + ALL))
        return slice(max(n - 1 - left, 0), min(right + 1, n))

    def _solver(self, g: complex) -> Any:
        """p -> (1 - g Q)^-1 p, right however fast the exchange: nothing is subtracted.

        The flow from each state to the next is an unknown, too, between those of the two: what is
        left of a state's 1 next to g (up + down) would be lost. On a ring the last state is
        eliminated last.
        """
        from scipy.linalg.lapack import zgttrf, zgttrs

        n = len(self.up) - self.is_ring
        size = max(2 * n - 1, 3)  # fewer LAPACK's wrapper does not take
        before, after = np.zeros((2, size - 1), dtype=complex)
        middle = np.ones(size, dtype=complex)
        middle[1::2] = -1
        middle[0] += g * self.down[0]  # what leaves them all
        middle[2 * n - 2] += g * self.up[n - 1]
        before[1::2], after[::2] = -1, 1
        before[: 2 * n - 2 : 2], after[1 : 2 * n - 1 : 2] = (
            g * self.up[: n - 1],
            -g * self.down[1:n],
        )
        *factors, _ = zgttrf(before, middle, after, True, True, True)

        def solve(p: Array) -> Array:
            b = np.zeros(size, dtype=complex)
            b[: 2 * n : 2] = p
            return np.asarray(zgttrs(*factors, b, overwrite_b=True)[0][: 2 * n : 2])

        if not self.is_ring:
            return solve
        first = np.zeros(n)
        first[0] += self.up[-1]
        first[-1] += self.down[-1]
        around = g * solve(first)  # what the last state hands on, for each that it holds
        rest = 1 + around.sum()

        def closed(p: Array) -> Array:
            inner = solve(p[:-1])
            last = (p[-1] + g * (self.down[0] * inner[0] + self.up[n - 1] * inner[-1])) / rest
            return np.append(inner + around * last, last)

        return closed

    def along(
        self, p: Array, times: Array, tolerance: float, weights: Array | None = None
    ) -> Iterator[tuple[Array, float, Array, Array]]:
        """p at ascending times, from p at time 0, and the errors of each, one after the other.

        Steps are halves of halves of the time from one to the next, so that their lengths recur.
        The errors are sums over steps of the difference between one step and two halves, of which
        the halves have at most a small part; what came out below zero is set to zero, counts as
        error, and the rest is scaled to sum to one.

        Yields
        ------
        tuple
            p (states,); its error in total variation; those of the sums of `weights` (k, states)
            times p, (k,): relative to the sums at each step, so that they grow with them; and the
            most that each state has held until then.
        """
        weights = np.zeros((0, len(p))) if weights is None else weights
        relative, largest, most = np.zeros(len(weights)), weights @ p, p
        last, error, wanted = 0.0, 0.0, 0.0
        span = float(times[-1])
        noise = float(np.abs(_pade()[1]).sum())
        for t in times:
            interval = float(t) - last
            left = 1  # steps
            if interval > 0:
                halvings = FIRST if wanted == 0 else max(math.ceil(math.log2(interval / wanted)), 0)
                left = 2**halvings
            while interval > 0 and left:
                step = float(f"{interval / 2**halvings:.12g}")
                whole, half = self.steps(p, step)
                negative = -float(np.minimum(half, 0).sum())
                off = float(np.abs(whole - half).sum()) / 2 / TRUST + negative
                allowed = tolerance * max(step / span, 0.01) + 4 * ROUNDING * noise
                change = (allowed / max(off, 1e-8 * allowed)) ** (1 / POLES)
                if off > allowed and step > SHORTEST * span:
                    more = min(max(math.ceil(-math.log2(0.8 * change)), 1), 3)
                    halvings, left = halvings + more, left * 2**more
                    continue
                apart = np.abs(whole - half) / TRUST + np.maximum(-half, 0)
                p = np.maximum(half, 0)
                p /= p.sum()
                error, most = error + off, np.maximum(most, p)
                sums = weights @ p
                relative += weights @ apart / np.maximum(sums, 1e-300)
                largest = np.maximum(largest, sums)
                left -= 1
                wanted = 0.9 * change * step
                while wanted >= 2 * interval / 2**halvings and halvings and left % 2 == 0:
                    halvings, left = halvings - 1, left // 2
            last = float(t)
            yield p, error, relative * largest, most


# One grid, and the probabilities of its states at all times.


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
