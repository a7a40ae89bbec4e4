"""Time and memory of an analysis with 100,000 and with 1,000,000 logistic datapoints.

python benchmarks/many_datapoints.py [--against PYTHON]
"""

from __future__ import annotations

import numpy as np
from against import compare

from stationary import Landscape, analyze


def of(datapoints):
    generator = np.random.default_rng(1)
    x = generator.normal(size=datapoints)
    y = np.where(generator.random(datapoints) < 1 / (1 + np.exp(-2 * x)), 1.0, -1.0)
    signed = (x * y)[:, None]

    analysis = analyze(
        Landscape(
            losses=lambda w: np.logaddexp(0, -signed * w),
            learning_rate=0.5,
            batch_size=8,
            domain=(-2, 6),
        )
    )
    state = analysis.end_state
    return f"mean {state.mean():.10g}, error {state.error:.0e}"


if __name__ == "__main__":
    compare({f"{n:,} datapoints": lambda n=n: of(n) for n in (1_000, 100_000, 1_000_000)}, turns=3)
