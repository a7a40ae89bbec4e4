"""`end_state` against nested quadrature tuned by hand, side by side in one run.

The process is f = -(x^3 - x), a = 0.25 (1 + sin(x) / 2)^2 / s on [-3, 3] with reflecting walls;
the task, the density at 200 points and the mass of x < 0. The quadrature is split at the wells,
starts from a mode and works in logarithms, as one would write it for this one process. The two
take turns, and the ratio is the median over the turns.

    python benchmarks/double_well.py
"""

from __future__ import annotations

import math
import statistics
import time
from itertools import pairwise

import numpy as np
from scipy.integrate import quad

from stationary import Diffusion, basins_of, end_state

POINTS = np.linspace(-3, 3, 200)
EXACT = {1: 3.139218412712723153573, 50: 120.80364429183222, 5e4: 119911.017978955089}
TURNS = 40


def by_quadrature(s):
    """log of P(x < 0) / P(x > 0), and log P at the points."""

    def h(x):
        return -8 * s * (x**3 - x) / (1 + 0.5 * math.sin(x)) ** 2

    def exponent(x, start):
        return quad(h, start, x, epsabs=1e-13, epsrel=1e-13)[0]

    def mass(mode, marks):
        def density(x):
            return math.exp(exponent(x, mode)) / (1 + 0.5 * math.sin(x)) ** 2

        pairs = pairwise(marks)
        return sum(quad(density, a, b, epsabs=0, epsrel=1e-12, limit=200)[0] for a, b in pairs)

    width = min(0.9, 6 / math.sqrt(16 * s))
    left = mass(-1.0, [-3, -1 - width, -1, -1 + width, 0])
    right = mass(1.0, [0, 1 - width, 1, 1 + width, 3])
    log_ratio = math.log(left / right) - exponent(1.0, -1.0)
    log_norm = math.log(left) + math.log1p(math.exp(-log_ratio))
    density = [exponent(x, -1.0) - 2 * math.log(1 + 0.5 * math.sin(x)) - log_norm for x in POINTS]
    return log_ratio, density


def by_end_state(s):
    process = Diffusion(
        drift=lambda x: -(x**3 - x),
        variance=lambda x: 0.25 * (1 + 0.5 * np.sin(x)) ** 2 / s,
        domain=(-3, 3),
    )
    state = end_state(process)
    basins = basins_of(state)
    return basins[0].log_mass - basins[1].log_mass, state.logpdf(POINTS)


def timed(function, s):
    begin = time.perf_counter()
    value, _ = function(s)
    return time.perf_counter() - begin, value


def main():
    print("      s   quadrature  end_state   ratio   error of log ratio (relative)")
    own = {}
    for s in (1, 50, 5e4):
        for function in (by_quadrature, by_end_state):
            timed(function, s)
        turns = [(timed(by_quadrature, s), timed(by_end_state, s)) for _ in range(TURNS)]
        slow = statistics.median(q for (q, _), _ in turns)
        own[s] = statistics.median(e for _, (e, _) in turns)
        ratio = statistics.median(q / e for (q, _), (e, _) in turns)
        errors = [abs(value / EXACT[s] - 1) for _, value in turns[-1]]
        print(
            f"{s:7g}   {1e3 * slow:7.2f} ms  {1e3 * own[s]:6.2f} ms  {ratio:6.1f}   "
            f"{errors[0]:.0e}, {errors[1]:.0e}"
        )
    for s in (50, 5e4):
        print(f"end_state at s = {s:g} takes {own[s] / own[1]:.2f} times as long as at s = 1")


if __name__ == "__main__":
    main()
