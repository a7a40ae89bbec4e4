"""Sweeps: a thousand learning rates against one analysis, and ten thousand points of a family.

python benchmarks/sweep.py
"""

from __future__ import annotations

import statistics
import time
from pathlib import Path

import numpy as np

from stationary import analyze, basins_of, end_state, load, sweep
from stationary.progress import processes

EXAMPLES = Path(__file__).parent.parent / "examples"
TURNS = 5


def seconds(function):
    begin = time.perf_counter()
    function()
    return time.perf_counter() - begin


def main():
    for name in ("two_minima", "family"):
        landscape = load(EXAMPLES / f"{name}.py")
        rates = np.geomspace(1e-3, 1e-1, 1000)

        def once(landscape=landscape):
            return analyze(landscape).to_dict()

        def bare(landscape=landscape):
            return basins_of(end_state(landscape))

        def thousand(landscape=landscape, rates=rates):
            return sweep(landscape, learning_rate=rates)

        once(), bare(), thousand()
        turns = [(seconds(thousand), seconds(once), seconds(bare)) for _ in range(TURNS)]
        many, one, least = (1e3 * statistics.median(times) for times in zip(*turns, strict=True))
        print(
            f"{name}: 1000 learning rates in {many:.0f} ms; one whole analysis in {one:.1f} ms "
            f"({many / one:.1f} times), its end state and basins alone in {least:.1f} ms "
            f"({many / least:.0f} times)"
        )

    grid = {
        "parameters": {"sharpness": np.geomspace(10, 1000, 200)},
        "learning_rate": np.geomspace(1e-2, 1e-1, 50),
    }
    for jobs in (1, 2):
        with processes(jobs) as executor:
            begin = time.perf_counter()
            found = sweep(EXAMPLES / "family.py", executor=executor, **grid)
            taken = time.perf_counter() - begin
        print(
            f"{len(found.rows)} points of a family and {len(found.crossovers)} crossovers, "
            f"{jobs} process{'es' if jobs > 1 else ''}: {taken:.1f} s"
        )


if __name__ == "__main__":
    main()
