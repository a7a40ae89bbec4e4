"""A square-root cusp inside the domain, and four zeros of the variance close to each other.

python benchmarks/hard_places.py [--against PYTHON]
"""

from __future__ import annotations

import numpy as np
from against import compare

from stationary import Diffusion, end_state


def cusp():
    state = end_state(
        Diffusion(
            drift=lambda x: -x,
            variance=lambda x: 0.1 + np.sqrt(np.abs(x - 0.3)),
            domain=(-2, 2),
        )
    )
    return f"error {float(state.error):.0e}"


def close_zeros():
    zeros = 0.2 + 1e-4 * np.arange(4)

    def variance(x):
        return np.prod([(x - z) ** 2 for z in zeros], axis=0)

    state = end_state(
        Diffusion(drift=lambda x: 0.5 - x, variance=variance, domain=(-1, 1)), initial=0.0
    )
    return f"{len(state.anatomy.points)} zeros, {state.kind}"


if __name__ == "__main__":
    compare({"square-root cusp": cusp, "four zeros 1e-4 apart": close_zeros}, turns=3)
