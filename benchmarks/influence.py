"""Standard errors of influence against a bootstrap: how far apart, and in what share of its time.

python benchmarks/influence.py [--bootstraps 400]
"""

import argparse
import time

import numpy as np

from stationary import Landscape, analyze

RNG = np.random.default_rng(2)
N = 300
SHIFTS, WAVES = RNG.normal(size=N), 0.5 * RNG.normal(size=N)


def landscape(chosen=slice(None)):
    c, s = SHIFTS[chosen][:, None], WAVES[chosen][:, None]

    def gradients(w):
        return w**3 - w + c * (1 + 0.2 * w) + s * np.sin(2 * w) - 0.02

    return Landscape(
        gradients=gradients, learning_rate=0.3, batch_size=2, domain=(-3, 3), sample=True
    )


def numbers(found):
    """A log ratio, two log exit times, and the mean."""
    first, second = found.basins
    times = [passage.log_time for passage in found.exits]
    return [first.log_mass - second.log_mass, *times, found.end_state.mean()]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bootstraps", type=int, default=400)
    count = parser.parse_args().bootstraps
    found = analyze(landscape(), chain=False)
    numbers(found)
    before = time.process_time()
    errors = found.standard_errors
    ours = time.process_time() - before
    mine = np.array([errors.log_ratios[0, 1], *errors.log_exit_times, errors.mean])
    before, drawn = time.process_time(), []
    for _ in range(count):
        again = analyze(landscape(RNG.integers(N, size=N)), min_barrier=0, chain=False)
        if len(again.basins) == 2:
            drawn.append(numbers(again))
    theirs = time.process_time() - before
    spread = np.std(drawn, axis=0)
    names = ("log ratio", "log exit time, left", "log exit time, right", "mean")
    for name, one, other in zip(names, mine, spread, strict=True):
        print(f"{name:22} {one:.4f}, by {len(drawn)} bootstraps {other:.4f}: {one / other:.3f}")
    print(f"time {ours:.3f} s against {theirs:.2f} s: 1/{theirs / ours:.0f}")
