"""`simulate`: SGD steps per second on one core, and what a step costs in evaluations of gradients.

Both take turns; a ratio is the median over the turns. The whole simulation is timed, with its
moments, histogram and basins, in seconds of the processor.

    python benchmarks/simulation.py
"""

from __future__ import annotations

import statistics
import time
from pathlib import Path

import numpy as np

from stationary import load, simulate

EXAMPLES = Path(__file__).parent.parent / "examples"
WALKERS, STEPS, TURNS = 100_000, 200, 7


def seconds(function):
    begin = time.process_time()
    function()
    return time.process_time() - begin


def main():
    print("landscape        datapoints   steps / s   one step in evaluations of all gradients")
    for name in ("pit.py", "two_minima.py"):
        landscape = load(EXAMPLES / name)
        x = np.random.default_rng(1).uniform(*landscape.domain, WALKERS)

        def run(landscape=landscape):
            simulate(landscape, walkers=WALKERS, steps=STEPS, burn_in=0, seed=1)

        def gradients(landscape=landscape, x=x):
            for _ in range(20):
                landscape.gradient(x)

        run(), gradients()
        turns = [(seconds(run) / STEPS, seconds(gradients) / 20) for _ in range(TURNS)]
        step = statistics.median(a for a, _ in turns)
        ratio = statistics.median(a / b for a, b in turns)
        n = landscape.datapoints
        print(f"{name:16s} {n:10d}   {WALKERS / step / 1e6:6.1f} e6   {ratio:.2f}")


if __name__ == "__main__":
    main()
