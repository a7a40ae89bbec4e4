"""Walkers that have come to rest: at a minimum that all datapoints share, or on a flat stretch."""

from __future__ import annotations

import math

import numpy as np

from stationary.aliases import Array
from stationary.process.corners import SCAN
from stationary.process.diffusion import Diffusion
from stationary.process.landscape import Landscape
from stationary.simulation.mixing import STILL
from stationary.wording import MOST_NAMED

RESTED = 64  # steps without a move after which a walker may have come to rest


class Rests:
    """Which walkers stand still where nothing moves them."""

    def __init__(self, process: Landscape | Diffusion, walkers: int, scale: float) -> None:
        self.process, self.diffusion = process, process.diffusion()
        self.scale = scale
        self.still_for = np.zeros(walkers, dtype=np.int64)  # steps since each moved
        self.resting = np.zeros(walkers, dtype=bool)

    def see(self, before: Array, x: Array, steps: int, moving: Array) -> None:
        """Positions before and after so many steps, and which walkers are on their way."""
        moved = np.abs(x - before) > STILL * self.scale
        self.still_for = np.where(moved, 0, self.still_for + steps)
        self.resting &= ~moved
        new = (self.still_for >= RESTED) & ~self.resting & moving
        if new.any():
            self.resting[new] = self._rests_at(x[new])

    def _rests_at(self, x: Array) -> Array:
        """Whether drift and variance vanish at each x, beside what they are a little further on.

        Where they are merely tiny all around, a walker that seems to stand moves after all; but a
        variance so tiny that no number of steps shows it is none. Beside is half-way, in decades,
        from what does not move to the scale; half-way again is what a drift falls to at a zero.
        """
        places, of_place = np.unique(x, return_inverse=True)
        aside = math.sqrt(STILL)
        h, small = aside * self.scale, math.sqrt(aside)
        around = np.clip(np.stack([places - h, places, places + h]), *self.diffusion.domain)
        f, a = (np.abs(v).reshape(3, -1) for v in self.diffusion.coefficients(around.ravel()))
        quiet = np.maximum(small * np.maximum(a[0], a[2]), STILL * (STILL * self.scale) ** 2)
        still = (f[1] <= small * np.maximum(f[0], f[2])) & (a[1] <= quiet)
        return np.asarray(still[of_place])

    def may_follow(self, x: Array, moving: Array) -> bool:
        """Whether steps may lead from walkers that move to where others rest.

        Between two places of rest no minibatch may lead out of where these walkers are.
        """
        if not self.resting.any() or not moving.any():
            return False
        if not isinstance(self.process, Landscape) or self.process.momentum:
            return True
        from stationary.chain.reach import closure  # for the few runs that come to rest in part

        places, going = np.unique(x[self.resting]), x[moving]
        between = np.searchsorted(places, going)
        lower, upper = self.process.domain
        for k in np.unique(between):
            part = going[between == k]
            low, high = float(part.min()), float(part.max())
            far = 4 * (high - low) + self.scale
            first = places[k - 1] if k else max(lower, low - far)
            last = places[k] if k < len(places) else min(upper, high + far)
            w = np.linspace(first, last, SCAN)
            if closure(self.process, low, high, w) is None:
                return True
        return False

    def words(self, x: Array, variable: str) -> tuple[str, ...]:
        """How many rest where: the commonest places."""
        if not self.resting.any():
            return ()
        places, counts = np.unique(
            np.round(x[self.resting] / self.scale, 9) + 0.0, return_counts=True
        )
        most = np.sort(np.argsort(-counts, kind="stable")[:MOST_NAMED])
        shown = ", ".join(
            f"{counts[i]:,} at {variable} = {places[i] * self.scale:.6g}" for i in most
        )
        others = int(counts.sum() - counts[most].sum())
        rest = f", {others:,} elsewhere" if others else ""
        return (f"walkers that have come to rest: {shown}{rest}.",)
