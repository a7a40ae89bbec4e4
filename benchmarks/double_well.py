"""`end_state` against quadrature tuned by hand for this one process, over twelve decades of noise.

The process is f = -(x^3 - x), a = 0.25 (1 + sin(x) / 2)^2 / s on [-3, 3] with reflecting walls;
the task, the density at 200 points and the mass of x < 0. The quadrature is split at the wells,
goes from point to point and works in logarithms. Errors are those of the logarithm of the ratio of
the two masses, relative.

    python benchmarks/double_well.py [--against PYTHON]
"""

from __future__ import annotations

import math
import warnings
from itertools import pairwise

import numpy as np
from against import compare
from scipy.integrate import IntegrationWarning, quad

from stationary import Diffusion, basins_of, end_state

POINTS = np.linspace(-3, 3, 200)
EXACT = {1: 3.139218412712723153573, 5e4: 119911.017978955089}
SCALES = (1, 5e4, 1e8, 1e10, 1e12)
BARRIERS = 2.3982024162356412  # int_-1^1 of h / s, in 17 digits


def exact(s):
    """log of P(x < 0) / P(x > 0); for large s by Laplace, whose next term is of order 1 / s."""
    if s in EXACT:
        return EXACT[s]
    return s * BARRIERS + math.log((1 + math.sin(1) / 2) / (1 - math.sin(1) / 2))


def by_quadrature(s):
    def h(x):
        return -8 * s * (x**3 - x) / (1 + 0.5 * math.sin(x)) ** 2

    def between(a, b):
        return quad(h, a, b, epsabs=1e-13, epsrel=1e-13)[0]

    def mass(mode, marks):
        def density(x):
            return math.exp(between(mode, x)) / (1 + 0.5 * math.sin(x)) ** 2

        pairs = pairwise(marks)
        return sum(quad(density, a, b, epsabs=0, epsrel=1e-12, limit=200)[0] for a, b in pairs)

    width = min(0.9, 6 / math.sqrt(16 * s))
    left = mass(-1.0, [-3, -1 - width, -1, -1 + width, 0])
    right = mass(1.0, [0, 1 - width, 1, 1 + width, 3])
    log_ratio = math.log(left / right) - between(-1.0, 1.0)
    log_norm = math.log(left) + math.log1p(math.exp(-log_ratio))
    exponent, density = between(-1.0, POINTS[0]), []
    for x, following in pairwise([*POINTS, POINTS[-1]]):
        density.append(exponent - 2 * math.log(1 + 0.5 * math.sin(x)) - log_norm)
        exponent += between(x, following)
    return log_ratio


def by_end_state(s):
    process = Diffusion(
        drift=lambda x: -(x**3 - x),
        variance=lambda x: 0.25 * (1 + 0.5 * np.sin(x)) ** 2 / s,
        domain=(-3, 3),
    )
    state = end_state(process)
    state.logpdf(POINTS)
    left, right = basins_of(state)
    return left.log_mass - right.log_mass


def job(solve, s):
    return lambda: f"error {abs(solve(s) / exact(s) - 1):.0e}"


JOBS = {
    f"{name}, s = {s:g}": job(solve, s)
    for s in SCALES
    for name, solve in (("quadrature", by_quadrature), ("end_state", by_end_state))
}
UNITS = {f"end_state, s = {s:g}": f"quadrature, s = {s:g}" for s in SCALES}

if __name__ == "__main__":
    warnings.simplefilter("ignore", IntegrationWarning)  # of rounding, as s grows
    compare(JOBS, units=UNITS, turns=15)
