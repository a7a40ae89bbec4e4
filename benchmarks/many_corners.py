"""Time and error of end states among very many corners: hinges, and networks of ReLUs.

python benchmarks/many_corners.py [--against PYTHON]
"""

from __future__ import annotations

import numpy as np
from against import compare

from stationary import Landscape, end_state


def told(losses):
    state = end_state(Landscape(losses=losses, learning_rate=0.1, batch_size=4, domain=(-3, 4)))
    return f"mean {state.mean():.12g}, error {state.error:.0e}"


def hinges(datapoints):
    generator = np.random.default_rng(0)
    y = np.sign(generator.normal(size=datapoints))
    x = (y * (generator.normal(size=datapoints) + y / 2))[:, None]
    return told(lambda w: np.maximum(0, 1 - x * w) + 0.05 * w**2)


def network(datapoints, units):
    generator = np.random.default_rng(1)
    a, b = generator.normal(size=(2, datapoints, units, 1))
    v = generator.normal(size=(units, 1)) / units**0.5
    y = generator.normal(size=(datapoints, 1))
    return told(lambda w: ((np.maximum(0, a + b * w) * v).sum(axis=1) - y) ** 2 / 2)


if __name__ == "__main__":
    jobs = {f"{n:,} hinges": lambda n=n: hinges(n) for n in (100, 1_000, 6_000)}
    jobs |= {
        f"{n} datapoints, {h} ReLUs": lambda n=n, h=h: network(n, h)
        for n, h in ((50, 8), (200, 16))
    }
    compare(jobs, turns=3)
