"""`propagate`: probabilities of a chain from one time to the next.

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

from dataclasses import dataclass
from functools import cached_property, lru_cache
from math import comb, factorial
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Propagator"]

Array = NDArray[Any]

POLES = 6
FIRST = 1e-3  # of an interval, the first step tried
TRUST = 30.0  # by which two halves are better than one step; in theory up to 2^11
GROWTH, SHRINK = 4.0, 0.1
ROUNDING = 4e-15  # of 1 + step * rate, that a step may be wrong by
TINY = 1e-300
NOTHING = 1e-40  # a probability that need not be followed
FALLEN = 92.0  # -log of what may be left of a solution where it is cut off
SHORTEST = 1e-13  # of an interval: a step no shorter is taken as it is


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


def _steps_until(out: Array, back: Array) -> int:
    """How many states outwards a solution takes to fall to nothing, or as many as there are."""
    half = (1 + out + back) / 2
    # The root as a product, without cancellation.
    falls = out / (half + np.sqrt(np.maximum(half**2 - out * back, 0.0)))
    with np.errstate(divide="ignore"):
        fallen = np.cumsum(-np.log(falls))
    return min(int(np.searchsorted(fallen, FALLEN)) + 1, len(out))


@dataclass(frozen=True, eq=False)
class Propagator:
    """The generator of a chain, ready to be solved with: rates (states,) to either neighbour."""

    up: Array  # [1 / time]
    down: Array
    is_ring: bool = False

    @cached_property
    def _order(self) -> Array:
        """A ring folded flat: its neighbours are then no more than two places apart."""
        n = len(self.up)
        order = np.empty(n, dtype=int)
        order[::2] = np.arange((n + 1) // 2)
        order[1::2] = np.arange(n - 1, (n + 1) // 2 - 1, -1)
        return order

    def step(self, p: Array, dt: float) -> Array:
        """exp(dt Q) p, real; it may be negative by as much as the step is wrong."""
        inverse, weight = _pade()
        result = np.zeros_like(p)
        slowest = float((abs(inverse) ** 2 / inverse.real).max())
        reach = slice(None) if self.is_ring else self._reach(p, dt * slowest)
        for g, w in zip(inverse, weight, strict=True):
            result[reach] += (w * self._solved(g * dt, p, reach)).real
        return result

    def _reach(self, p: Array, dt: float) -> slice:
        """Where the solution of a step differs from zero: there is no need to look beyond.

        Outwards from where p is, (1 - dt Q)^-1 p falls from state to state by the smaller root of
        dt back y^2 - (1 + dt (out + back)) y + dt out = 0.
        """
        held = np.flatnonzero(p > NOTHING)
        first, last = int(held[0]), int(held[-1])
        left = _steps_until(dt * self.down[:first][::-1], dt * self.up[:first][::-1])
        right = _steps_until(dt * self.up[last + 1 :], dt * self.down[last + 1 :])
        return slice(first - left, last + 1 + right)

    def _solved(self, g: complex, p: Array, reach: slice) -> Array:
        """(1 - g Q)^-1 p on some of the states, beyond which it vanishes."""
        if self.is_ring:
            return self._solved_on_ring(g, p)
        from scipy.linalg.lapack import zgtsv

        up, down = self.up[reach], self.down[reach]
        below, above = -g * up[:-1], -g * down[1:]
        *_, x, info = zgtsv(below, 1 + g * (up + down), above, p[reach].astype(complex))
        assert info == 0  # strictly diagonally dominant by columns
        return np.asarray(x)

    def _solved_on_ring(self, g: complex, p: Array) -> Array:
        from scipy.linalg import solve_banded

        n, order = len(p), self._order
        place = np.empty(n, dtype=int)
        place[order] = np.arange(n)
        bands = np.zeros((5, n), dtype=complex)
        bands[2] = (1 + g * (self.up + self.down))[order]
        for rates, shift in ((self.up, 1), (self.down, -1)):
            to = place[(np.arange(n) + shift) % n]
            np.add.at(bands, (2 + to - place, place), -g * rates)
        x = np.empty(n, dtype=complex)
        x[order] = solve_banded((2, 2), bands, p[order], check_finite=False)
        return x

    def propagate(
        self, p: Array, times: Array, tolerance: float, weights: Array | None = None
    ) -> tuple[Array, Array, Array]:
        """p at ascending times, from p at time 0, and the errors of each.

        The errors are sums over steps of the difference between one step and two halves, of which
        the halves have at most a small part; what came out below zero is set to zero, counts as
        error, and the rest is scaled to sum to one.

        Returns
        -------
        tuple
            p (times, states); its errors in total variation, (times,); and those of the sums of
            `weights` (k, states) times p, (times, k): relative to the sums at each step, so that
            they grow with them.
        """
        weights = np.zeros((0, len(p))) if weights is None else weights
        result, errors = np.empty((len(times), len(p))), np.zeros(len(times))
        weighted, relative = np.zeros((len(times), len(weights))), np.zeros(len(weights))
        largest = weights @ p
        last, error = 0.0, 0.0
        span = float(times[-1])
        dt = 0.0
        noise = float(np.abs(_pade()[1]).sum())
        for k, t in enumerate(times):
            rest = float(t) - last
            if rest > 0 and dt == 0.0:
                dt = FIRST * rest
            while rest > 0:
                step = rest if dt > 0.99 * rest else min(dt, rest / 2)
                whole = self.step(p, step)
                half = self.step(self.step(p, step / 2), step / 2)
                negative = -float(np.minimum(half, 0).sum())
                off = float(np.abs(whole - half).sum()) / 2 / TRUST + negative
                # 1 + step * rate has lost digits of the 1: shorter steps would not mend the sum.
                blur = ROUNDING * (noise + step * float((self.up + self.down) @ p))
                allowed = tolerance * max(step / span, 0.01) + blur
                change = (allowed / max(off, 1e-4 * allowed)) ** (1 / (2 * POLES))
                if off > allowed and step > SHORTEST * span:
                    dt = step * max(0.8 * change**2, SHRINK)
                    continue
                apart = np.abs(whole - half) / TRUST + np.maximum(-half, 0)
                p = np.maximum(half, 0)
                p /= p.sum()
                error += off
                sums = weights @ p
                relative += weights @ apart / np.maximum(sums, TINY)
                largest = np.maximum(largest, sums)
                rest -= step
                if step >= dt or change < 1:
                    dt = max(step, dt) * min(0.9 * change**2, GROWTH)
            last = float(t)
            result[k], errors[k], weighted[k] = p, error, relative * largest
        return result, errors, weighted
