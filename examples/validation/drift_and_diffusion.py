"""Drift and diffusion, both depending on w: mass moves from the left to the centre and stays wide.

f = -0.05 x and a = 0.01 (1 + x^2): the mean decays as e^(-0.05 t), and E[x^2] to 1 / 9.
"""

import sys

import numpy as np
from comparison import TIMES, followed

from stationary import Diffusion


def main(path=None, seed=3):
    process = Diffusion(
        drift=lambda x: -0.05 * x,
        variance=lambda x: 0.01 * (1 + x**2),
        domain=(-np.inf, np.inf),
        name="drift and diffusion, both depending on w",
    )
    theory, z = followed(process, "normal:-1.5,0.1", np.linspace(-2.2, 1.5, 61), seed, path)
    exact = -1.5 * np.exp(-0.05 * TIMES)
    assert np.abs(theory.mean - exact).max() < 1e-3
    return z


if __name__ == "__main__":
    main(*sys.argv[1:])
