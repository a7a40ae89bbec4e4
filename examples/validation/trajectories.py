"""Trajectories W(t) on the pit from a fan of starts: by the drift alone, and as SGD takes them."""

import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from comparison import save
from scipy.integrate import solve_ivp

from stationary import load, simulate

PIT = Path(__file__).parent.parent / "pit.py"
UNTIL = 400


def main(path=None, seed=5):
    landscape = load(PIT, learning_rate=0.02)
    starts = np.linspace(0, 3.5, 29)
    drift = landscape.diffusion().drift
    times = np.arange(UNTIL + 1)
    flow = solve_ivp(lambda _, w: drift(w), (0, UNTIL), starts, "LSODA", times, rtol=1e-8).y
    walked = simulate(
        landscape, starts, steps=UNTIL, burn_in=0, every=1, snapshots=True, seed=seed
    ).snapshots
    figure, axes = plt.subplots(1, 2, figsize=(7, 4), sharey=True, layout="constrained")
    for axis, paths, name in zip(axes, (flow, walked.T), ("drift alone", "SGD"), strict=True):
        axis.plot(times, paths.T, lw=0.6, color="#0072B2")
        axis.set_title(name)
        axis.set_xlabel("step")
    axes[0].set_ylabel("w")
    save(figure, path)
    return flow[:, -1], walked[-1]


if __name__ == "__main__":
    main(*sys.argv[1:])
