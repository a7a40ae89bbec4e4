"""Diffusion only: a concentrated density spreads, the faster the further it has come.

Without drift and with a = 0.01 (1 + x^2) the mean stays and E[x^2] + 1 grows as e^(0.01 t).
"""

import sys

import numpy as np
from comparison import TIMES, followed

from stationary import Diffusion


def main(path=None, seed=2):
    process = Diffusion(
        drift=0.0, variance=lambda x: 0.01 * (1 + x**2), domain=(-400, 400), name="diffusion only"
    )
    theory, z = followed(process, "normal:0,0.1", np.linspace(-3, 3, 61), seed, path)
    exact = np.sqrt(1.01 * np.exp(0.01 * TIMES) - 1)
    assert np.abs(theory.std - exact).max() < 1e-3
    return z


if __name__ == "__main__":
    main(*sys.argv[1:])
