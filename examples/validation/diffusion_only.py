"""Diffusion only: a concentrated density spreads, the faster the further it has come.

Without drift and with a = 0.01 (1 + x^2) the mean stays and E[x^2] + 1 grows as e^(0.01 t).
"""

import numpy as np
from comparison import draw

from stationary import Diffusion, evolve, simulate

WALKERS, UNTIL, EVERY = 1000, 100, 5


def main(path=None, seed=2):
    process = Diffusion(
        drift=0.0, variance=lambda x: 0.01 * (1 + x**2), domain=(-400, 400), name="diffusion only"
    )
    times = np.arange(0, UNTIL + 1, EVERY)
    theory = evolve(process, "normal:0,0.1", times)
    exact = np.sqrt(1.01 * np.exp(0.01 * times) - 1)
    assert np.abs(theory.std - exact).max() < 1e-3
    dt = 0.25
    seen = simulate(
        process, "normal:0,0.1", walkers=WALKERS, steps=round(UNTIL / dt), burn_in=0, dt=dt,
        every=round(EVERY / dt), seed=seed, snapshots=True,
    )  # fmt: skip
    return draw(
        "diffusion only",
        times,
        (theory.mean, theory.std),
        seen,
        path,
        snapshots_of(theory, seen, times, (0, 4, 20), np.linspace(-3, 3, 61)),
    )


def snapshots_of(theory, seen, times, chosen, edges):
    """Bins of theory and positions of walkers at some of the times."""
    result = []
    for k in chosen:
        below = np.interp(edges, theory.edges, np.append(0, np.cumsum(theory.masses[k])))
        result.append((f"time {times[k]}", edges, np.diff(below), seen.snapshots[k]))
    return result


if __name__ == "__main__":
    main()
