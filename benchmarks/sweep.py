"""Sweeps, in units of one end state with its basins: learning rates alone, and of a family.

python benchmarks/sweep.py [--against PYTHON]
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from against import compare

from stationary import basins_of, end_state, load, sweep
from stationary.progress import processes

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
FAMILY = {
    "parameters": {"sharpness": np.geomspace(10, 1000, 200)},
    "learning_rate": np.geomspace(1e-2, 1e-1, 50),
}


def one(name):
    return lambda: basins_of(end_state(load(EXAMPLES / name)))[:0]


def rates(name, n):
    def run():
        found = sweep(EXAMPLES / name, learning_rate=np.geomspace(1e-3, 1e-1, n))
        return f"{len(found.crossovers)} crossovers"

    return run


def family(jobs):
    def run():
        with processes(jobs) as executor:
            found = sweep(EXAMPLES / "family.py", executor=executor, **FAMILY)
        return f"{len(found.rows)} points, {len(found.crossovers)} crossovers"

    return run


JOBS, UNITS = {}, {}
for name in ("two_minima", "family"):
    unit = f"{name}: one end state"
    JOBS[unit] = one(f"{name}.py")
    for n in (1_000, 100_000):
        JOBS[f"{name}: {n:,} rates"] = rates(f"{name}.py", n)
        UNITS[f"{name}: {n:,} rates"] = unit
JOBS["10,000 points of a family"] = family(1)
JOBS["the same in two processes"] = family(2)

if __name__ == "__main__":
    compare(JOBS, units=UNITS, turns=5)
