r"""
Rings and ratchets
==================

On a ring nothing needs to be at rest: a tilt drives a current around it for ever, in closed form
and right however high the barriers.
"""

import numpy as np
from mpmath import besseli, pi, sinh

import stationary
from stationary import Diffusion

# %%
# A tilted washboard: a particle in a periodic potential, or the phase of a Josephson junction.
washboard = Diffusion(lambda x: 0.5 - np.sin(x), 0.25, domain=(0, 2 * np.pi), boundaries="periodic")
state = stationary.end_state(washboard)
state.kind, state.current, state.mean_velocity

# %%
# Stratonovich's formula: :math:`D \sinh(\pi F / D) / (\pi |I_{iF/D}(1/D)|^2)`.
noise, force = 0.125, 0.5
formula = float(
    noise * sinh(pi * force / noise) / (pi * abs(besseli(1j * force / noise, 1 / noise)) ** 2)
)
state.mean_velocity / formula - 1

# %%
# The velocity over the tilt, from Python, with callables: what is swept is a parameter, what is
# asked for is a column.


def tilted(tilt):
    return Diffusion(lambda x: tilt - np.sin(x), 0.25, domain=(0, 2 * np.pi), boundaries="periodic")


found = stationary.sweep(tilted, {"tilt": np.linspace(0, 1.5, 16)}, quantities=["mean_velocity"])
velocity = found.table()["mean_velocity"]
figure = found.plot()

# %%
# Without a tilt, noise of one strength drives nothing, however asymmetric the teeth. Noise that is
# hotter on one flank does (Buettiker, Landauer): that is a ratchet.


def teeth(temperature):
    return Diffusion(
        lambda x: -np.cos(x) - np.cos(2 * x) / 2,
        temperature,
        domain=(0, 2 * np.pi),
        boundaries="periodic",
    )


even = stationary.end_state(teeth(0.3)).mean_velocity
uneven = stationary.end_state(teeth(lambda x: 0.3 + 0.2 * np.cos(x))).mean_velocity
even, uneven
