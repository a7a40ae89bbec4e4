"""Drift only: the mean gradient of the pit at T = 0.02, from a truncated normal.

Without noise each weight goes its own way, dw/dt = -T G(w). The theory follows the quantiles of
the start along these ways; 1,000 walkers start at random and take steps of one tenth.
"""

import sys
from pathlib import Path

import numpy as np
from comparison import START, draw
from scipy.integrate import solve_ivp
from scipy.stats import truncnorm

from stationary import load

PIT = Path(__file__).parent.parent / "pit.py"
WALKERS, UNTIL, EVERY, STEPS_PER_UNIT = 1000, 200, 10, 10


def start():
    """normal:0.5,0.175 on (-1, 4)."""
    return truncnorm((-1 - 0.5) / 0.175, (4 - 0.5) / 0.175, loc=0.5, scale=0.175)


def main(path=None, seed=1):
    drift = load(PIT, learning_rate=0.02).diffusion().drift
    times = np.arange(0, UNTIL + 1, EVERY)
    # Theory: means over the start by Gauss's rule in the probability, on pieces of it.
    nodes, weights = np.polynomial.legendre.leggauss(8)
    pieces = np.linspace(0, 1, 251)
    q = ((pieces[1:] + pieces[:-1])[:, None] / 2 + np.diff(pieces)[:, None] / 2 * nodes).ravel()
    weight = np.tile(weights / 2, 250) / 250
    flow = solve_ivp(lambda _, w: drift(w), (0, UNTIL), start().ppf(q), "LSODA", times, rtol=1e-8)
    mean = weight @ flow.y
    deviation = np.sqrt(weight @ (flow.y - mean) ** 2)
    # Walkers.
    w = start().rvs(WALKERS, random_state=seed)
    kept = [w]
    for _ in times[1:]:
        for _ in range(EVERY * STEPS_PER_UNIT):
            w = w + drift(w) / STEPS_PER_UNIT
        kept.append(w)
    seen = Walkers(times, np.array(kept))
    edges = np.linspace(0, 1.2, 61)
    snapshots = [
        (
            f"step {times[k]}",
            edges,
            np.histogram(flow.y[:, k], edges, weights=weight)[0],
            seen.positions[k],
        )
        for k in (0, 2, 5)
    ]
    title = f"drift only, from {START}"
    return draw(title, times, (mean, deviation), seen, path, snapshots)


class Walkers:
    """Positions over time, with the means and errors that `Simulation` has."""

    def __init__(self, times, positions):
        n = positions.shape[1]
        self.times, self.positions = times, positions
        self.means, self.stds = positions.mean(axis=1), positions.std(axis=1)
        self.mean_errors = self.stds / np.sqrt(n)
        fourth = ((positions - self.means[:, None]) ** 4).mean(axis=1)
        self.std_errors = np.sqrt((fourth - self.stds**4) / n) / (2 * self.stds)


if __name__ == "__main__":
    main(*sys.argv[1:])
