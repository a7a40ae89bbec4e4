"""The exact chain on 2,000 cells, its errors included: processor time and memory.

python benchmarks/chain.py [--against PYTHON] [--only TEXT]
"""

from __future__ import annotations

import math
import runpy

import numpy as np
from against import ROOT, compare

from stationary import Landscape, exact_chain


def two_minima():
    given = runpy.run_path(str(ROOT / "examples" / "two_minima.py"))
    return Landscape(**{name: given[name] for name in ("losses", "learning_rate", "domain")})


def wells(rate):
    """A lopsided double well of three datapoints."""
    return Landscape(
        gradients=lambda w: (w**3 - w + 0.5, w**3 - w - 0.5, w**3 - w + 0.1 + 0.2 * w),
        learning_rate=rate,
        domain=(-3, 3),
    )


def rare(rate):
    """A right well of 10^-6.5 at T = 0.1, and of 10^-32.8 at T = 0.02."""
    return Landscape(
        gradients=lambda w: (w**3 - w + 0.6, w**3 - w - 0.5), learning_rate=rate, domain=(-3, 3)
    )


def quadratics(centres, rate):
    c = np.array(centres)[:, None]
    return Landscape(gradients=lambda w: w - c, learning_rate=rate, domain=(-math.inf, math.inf))


CASES = {
    "two_minima.py": two_minima,
    "wells, T = 0.1": lambda: wells(0.1),
    "wells, T = 0.01": lambda: wells(0.01),
    "rare well, T = 0.1": lambda: rare(0.1),
    "rare well, T = 0.02": lambda: rare(0.02),
    "uniform law, T = 1/2": lambda: quadratics([0.0, 1.0], 0.5),
    "12 quadratics, T = 0.1": lambda: quadratics(np.linspace(-1, 1, 12) ** 3, 0.1),
}


def solved(make):
    state = exact_chain(make(), cells=2000)
    known = state.kind != "classes"
    return f"mean {state.mean():.9g}, error {state.error:.0e}" if known else state.kind


if __name__ == "__main__":
    compare({name: lambda make=make: solved(make) for name, make in CASES.items()}, turns=5)
