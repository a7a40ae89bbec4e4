"""Drift and diffusion, both depending on w: mass moves from the left to the centre and stays wide.

f = -0.05 x and a = 0.01 (1 + x^2): the mean decays as e^(-0.05 t), and E[x^2] to 1 / 9.
"""

import numpy as np
from comparison import draw
from diffusion_only import snapshots_of

from stationary import Diffusion, evolve, simulate

WALKERS, UNTIL, EVERY = 1000, 100, 5
START = "normal:-1.5,0.1"


def main(path=None, seed=3):
    process = Diffusion(
        drift=lambda x: -0.05 * x,
        variance=lambda x: 0.01 * (1 + x**2),
        domain=(-np.inf, np.inf),
        name="drift and diffusion",
    )
    times = np.arange(0, UNTIL + 1, EVERY)
    theory = evolve(process, START, times)
    exact = -1.5 * np.exp(-0.05 * times)
    assert np.abs(theory.mean - exact).max() < 1e-3
    dt = 0.25
    seen = simulate(
        process, START, walkers=WALKERS, steps=round(UNTIL / dt), burn_in=0, dt=dt,
        every=round(EVERY / dt), seed=seed, snapshots=True,
    )  # fmt: skip
    return draw(
        "drift and diffusion, both depending on w",
        times,
        (theory.mean, theory.std),
        seen,
        path,
        snapshots_of(theory, seen, times, (0, 4, 20), np.linspace(-2.2, 1.5, 61)),
    )


if __name__ == "__main__":
    main()
