"""What the examples of this folder share: theory and walkers over time, in one figure."""

import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from stationary import evolve, simulate

WALKERS, UNTIL, EVERY, DT = 1000, 100, 5, 0.25
TIMES = np.arange(0, UNTIL + 1, EVERY)
FIGURES = Path("validation")  # in the working folder
START = "normal:0.5,0.175"  # truncated to the domain, as everywhere


def apart(theory, seen, error):
    """By how many standard errors theory and walkers differ, at each time after the start."""
    return (np.asarray(seen) - np.asarray(theory))[1:] / np.asarray(error)[1:]


def followed(process, start, edges, seed, path=None):
    """A process over time by theory and by walkers, drawn with densities at three times.

    Returns the theory, and by how many standard errors walkers are apart from it.
    """
    theory = evolve(process, start, TIMES)
    seen = simulate(
        process, start, walkers=WALKERS, steps=round(UNTIL / DT), burn_in=0, dt=DT,
        every=round(EVERY / DT), seed=seed, snapshots=True,
    )  # fmt: skip
    snapshots = []
    for k in (0, 4, 20):
        below = np.interp(edges, theory.edges, np.append(0, np.cumsum(theory.masses[k])))
        snapshots.append((f"time {TIMES[k]}", edges, np.diff(below), seen.snapshots[k]))
    return theory, draw(process.name, TIMES, (theory.mean, theory.std), seen, path, snapshots)


def draw(title, times, theory, walkers, path=None, snapshots=()):
    """Mean and deviation over time, and densities at a few times.

    `theory` is (means, deviations); `walkers` a `stationary.Simulation`; each snapshot is
    (label, edges, theory's probability of each bin, positions of the walkers).
    """
    z = [
        apart(theory[0], walkers.means, walkers.mean_errors),
        apart(theory[1], walkers.stds, walkers.std_errors),
    ]
    figure, axes = plt.subplots(2 + bool(snapshots), 1, figsize=(6, 7), layout="constrained")
    for axis, name, line, seen, error, score in zip(
        axes,
        ("mean", "deviation"),
        theory,
        (walkers.means, walkers.stds),
        (walkers.mean_errors, walkers.std_errors),
        z,
        strict=False,
    ):
        axis.plot(times, line, color="#0072B2", label="theory")
        axis.errorbar(times, seen, error, fmt="o", ms=2, color="#222222", label="walkers")
        axis.set_ylabel(name)
        axis.set_title(
            f"apart by {np.sqrt((score**2).mean()):.1f} standard errors (rms), "
            f"at most {np.abs(score).max():.1f}",
            fontsize=8,
        )
    axes[1].set_xlabel("time")
    axes[0].legend(frameon=False)
    for k, (label, edges, mass, positions) in enumerate(snapshots):
        counts = np.histogram(positions, edges)[0] / len(positions)
        width = np.diff(edges)
        axes[2].stairs(mass / width, edges, color=f"C{k}", label=label)
        middle = (edges[1:] + edges[:-1]) / 2
        error = np.sqrt(np.maximum(counts * (1 - counts), 0) / len(positions)) / width
        axes[2].errorbar(middle, counts / width, error, fmt="o", ms=2, color=f"C{k}")
    if snapshots:
        axes[2].set_xlabel("w")
        axes[2].set_ylabel("density")
        axes[2].legend(frameon=False, fontsize=8)
    figure.suptitle(title)
    print(f"{title}: theory and walkers are apart by so many standard errors:")
    for name, score in zip(("mean", "deviation"), z, strict=True):
        rms, most = np.sqrt((score**2).mean()), np.abs(score).max()
        print(f"  {name}: {rms:.1f} (rms), at most {most:.1f}")
    save(figure, path)
    return z


def save(figure, path):
    """To the file that was asked for, or in the folder `FIGURES`; it says where."""
    if path is None:
        FIGURES.mkdir(exist_ok=True)
        path = FIGURES / f"{Path(sys.argv[0]).stem}.png"
    figure.savefig(path)
    plt.close(figure)
    print(f"The figure is in {path}.")
