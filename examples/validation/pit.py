"""The pit with drift and noise, which cannot be time-stepped naively: T = 0.02, 200 steps.

Theory is the diffusion, solved on a graded grid. Against it stand 1,000 walkers of the same
diffusion, and 1,000 of SGD itself, whose steps are as long as the pit is wide (T times its
curvature is 2): they cross the gate backwards and leave the pit sooner, so that they part from
the theory by many standard errors.
"""

import sys
from pathlib import Path

import numpy as np
from comparison import START, apart, draw

from stationary import evolve, load, simulate

PIT = Path(__file__).parent.parent / "pit.py"
WALKERS, UNTIL, EVERY = 1000, 200, 5
STEPS_PER_UNIT = 50  # of the walkers of the diffusion: the pit is stiff


def main(path=None, seed=4):
    landscape = load(PIT, learning_rate=0.02)
    times = np.arange(0, UNTIL + 1, EVERY)
    theory = evolve(landscape, START, times)
    walkers = simulate(
        landscape.diffusion(), START, walkers=WALKERS, steps=UNTIL * STEPS_PER_UNIT, burn_in=0,
        dt=1 / STEPS_PER_UNIT, every=EVERY * STEPS_PER_UNIT, seed=seed,
    )  # fmt: skip
    sgd = simulate(
        landscape, START, walkers=WALKERS, steps=UNTIL, burn_in=0, every=EVERY, seed=seed
    )
    of_sgd = apart(theory.mean, sgd.means, sgd.mean_errors)
    z = draw(
        f"the pit at T = 0.02; SGD itself is up to {np.abs(of_sgd).max():.0f} standard errors off",
        times,
        (theory.mean, theory.std),
        walkers,
        path,
    )
    return [*z, of_sgd]


if __name__ == "__main__":
    main(*sys.argv[1:])
