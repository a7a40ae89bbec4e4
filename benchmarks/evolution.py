"""`evolve` against fplanck at equal error: an Ornstein-Uhlenbeck process, whose law is known.

fplanck (a uniform grid, and the exponential of its matrix on the start) gets as fine a grid as it
takes to be no further from the true distribution function than `evolve`, or the last one that
fits into the time. Both take turns; the ratio is the median over the turns. Whole calls are timed,
in seconds of the processor; `evolve` finds the end state, its errors and its moments, too.

    pip install fplanck
    python benchmarks/evolution.py
"""

from __future__ import annotations

import math
import statistics
import sys
import time

import numpy as np
from scipy.constants import k as boltzmann
from scipy.stats import norm

from stationary import Diffusion, evolve

MEAN, WIDTH = 1.0, 0.2  # of the start
TIME, TURNS, LONGEST = 1.0, 5, 30.0
EXTENT = 8.0


def seconds(function):
    begin = time.process_time()
    result = function()
    return time.process_time() - begin, result


def truth(edges, strength):
    """The distribution function at TIME of dx = -x dt + sqrt(2 strength) dB."""
    fading = math.exp(-TIME)
    variance = WIDTH**2 * fading**2 + strength * (1 - fading**2)
    return norm.cdf(edges, MEAN * fading, math.sqrt(variance))


def by_fplanck(strength, cells):
    vars(np).setdefault("product", np.prod)  # fplanck 0.2 asks it of NumPy
    from fplanck import boundary, fokker_planck

    width = EXTENT / cells
    problem = fokker_planck(
        temperature=strength / boltzmann, drag=1.0, extent=EXTENT, resolution=width,
        boundary=boundary.reflecting, force=lambda x: -x,
    )  # fmt: skip
    x = problem.grid[0]
    edges = np.append(x - width / 2, x[-1] + width / 2)
    start = np.diff(norm.cdf(edges, MEAN, WIDTH))
    masses = problem.propagate(lambda _: start.copy(), TIME)
    return np.abs(np.cumsum(masses) - truth(edges[1:], strength)).max()


def by_evolve(strength, tolerance):
    process = Diffusion(drift=lambda x: -x, variance=2 * strength, domain=(-EXTENT / 2, EXTENT / 2))
    found = evolve(process, f"normal:{MEAN},{WIDTH}", [TIME], tolerance=tolerance)
    return np.abs(np.cumsum(found.masses[0]) - truth(found.edges[1:], strength)).max()


def main():
    try:
        import fplanck  # noqa: F401
    except ImportError:
        sys.exit("fplanck is not installed: pip install fplanck")
    print("noise D  tolerance   evolve: s, error     fplanck: cells, s, error     fplanck / evolve")
    for strength in (0.5, 0.02):
        for tolerance in (1e-4, 1e-6):
            by_evolve(strength, tolerance)
            spent, error = seconds(lambda s=strength, t=tolerance: by_evolve(s, t))
            cells = 64
            while True:
                theirs, other = seconds(lambda s=strength, n=cells: by_fplanck(s, n))
                if other <= error or 4 * theirs > LONGEST:
                    break
                cells *= 2
            ratios = []
            for _ in range(TURNS if theirs < 2 else 1):
                ours, _ = seconds(lambda s=strength, t=tolerance: by_evolve(s, t))
                theirs, _ = seconds(lambda s=strength, n=cells: by_fplanck(s, n))
                ratios.append(theirs / ours)
            ratio = f"{'' if other <= error else 'at least '}{statistics.median(ratios):.1f}"
            print(
                f"{strength:7g}  {tolerance:9.0e}   {spent:6.3f}  {error:7.1e}     "
                f"{cells:6d}  {theirs:7.3f}  {other:7.1e}     {ratio}"
            )


if __name__ == "__main__":
    main()
