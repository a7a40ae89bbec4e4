"""A recorded series with two states, a small and a large one: which is preferred, and for how long?

The series is made here (a noisy switch that is read every 0.5), so that the truth is known.
"""

import sys

import numpy as np

import stationary


def record(seed=1, observations=4000, dt=0.5, steps=50):
    """x' = x - x^3 + 0.1 with noise that grows to the right, read every dt."""
    rng, h = np.random.default_rng(seed), dt / steps
    x, read = -1.0, np.empty(observations)
    for i in range(observations):
        for z in rng.normal(size=steps) * np.sqrt(h):
            x += (x - x**3 + 0.1) * h + (0.6 + 0.1 * np.tanh(x)) * z
        read[i] = x
    return read


def main(path=None):
    """The error of the log ratio of the two states, in standard errors, and the verdict."""
    fit = stationary.fit(record(), dt=0.5, name="two states")
    print(fit)
    if path is not None:
        fit.plot(path)
    truth = stationary.end_state(
        stationary.Diffusion(
            lambda x: x - x**3 + 0.1, lambda x: (0.6 + 0.1 * np.tanh(x)) ** 2, (-3, 3)
        )
    )
    found = stationary.analyze(fit.diffusion)
    border = found.basins[0].upper
    ratio = found.basins[0].log_mass - found.basins[1].log_mass
    off = ratio - truth.log_ratio((-3, border), (border, 3))
    return off / found.standard_errors.log_ratios[0, 1], fit.lags.verdict.name


if __name__ == "__main__":
    main(*sys.argv[1:])
