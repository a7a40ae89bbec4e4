"""Time and memory of an end state with 100,000 logistic datapoints.

python benchmarks/many_datapoints.py
"""

from __future__ import annotations

import resource
import time

import numpy as np

from stationary import Landscape, analyze

N = 100_000


def main():
    generator = np.random.default_rng(1)
    x = generator.normal(size=N)
    y = np.where(generator.random(N) < 1 / (1 + np.exp(-2 * x)), 1.0, -1.0)
    signed = (x * y)[:, None]
    begin = time.perf_counter()
    analysis = analyze(
        Landscape(
            losses=lambda w: np.logaddexp(0, -signed * w),
            learning_rate=0.5,
            batch_size=8,
            domain=(-2, 6),
        )
    )
    elapsed = time.perf_counter() - begin
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"{N} datapoints: {elapsed:.1f} s, {peak:.2f} GiB; {analysis.end_state!r}")


if __name__ == "__main__":
    main()
