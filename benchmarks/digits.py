"""Time and memory of an end state to 50 and to 200 digits, in units of one in doubles.

python benchmarks/digits.py [--against PYTHON]
"""

from __future__ import annotations

import numpy as np
from against import compare

from stationary import Diffusion, end_state


def to(digits):
    double_well = Diffusion(
        drift=lambda x: x - x**3, variance=lambda x: 0.1 + 0.05 * x, domain=(-1.9, 3)
    )
    exponential = Diffusion(
        drift=lambda x: -np.sinh(x), variance=lambda x: np.exp(-(x**2)) + 0.5, domain=(-2, 2)
    )
    for process in (double_well, exponential):
        state = end_state(process, digits=digits)
        state.mean(), state.log_ratio((-1.5, 0), (0, 1.5)), state.pdf(0.1)


JOBS = {
    "doubles": lambda: to(None),
    "50 digits": lambda: to(50),
    "200 digits": lambda: to(200),
}

if __name__ == "__main__":
    compare(JOBS, units=dict.fromkeys(JOBS, "doubles"), turns=3)
