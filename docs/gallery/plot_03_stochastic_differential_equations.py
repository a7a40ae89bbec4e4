r"""
Stochastic differential equations
=================================

Any one-dimensional equation :math:`dx = f(x)\,dt + \sqrt{a(x)}\,dB` has an end state, or a reason
why it has none: both are answers.
"""

import numpy as np
from scipy import stats

import stationary
from stationary import Diffusion

# %%
# Linear drift and quadratic noise: Student's t, with tails that no simulation shows.
heavy = stationary.end_state(Diffusion(lambda x: -x, lambda x: 1 + x**2))
student = heavy.sf(1e6), stats.t(3, scale=3**-0.5).sf(1e6)
student

# %%
# Which convention? With noise that depends on the state, Ito, Stratonovich and
# Haenggi-Klimontovich are different processes. SGD is Ito's: it draws before it steps.
means = {}
for convention in ("ito", "stratonovich", "klimontovich"):
    growth = Diffusion(
        lambda x: x * (1 - x), lambda x: 0.5 * x**2, domain=(0, np.inf), convention=convention
    )
    means[convention] = stationary.end_state(growth, initial=0.5).mean()
means

# %%
# What is reached first, and when? Means, deviations and probabilities are solved for, not sampled.
well = Diffusion(lambda x: x - x**3, 0.1, domain=(-3, 3))
passage = stationary.first_passage(well, [-1, 0.2], (-1.5, 1.5))
print(passage)

# %%
# Kramers' law for the mean time from a minimum to the top of the barrier,
# :math:`\pi e^{2 \Delta V / a} / \sqrt{|V''_0 V''_1|}`, is good to a tenth at this noise; the exact
# number costs no more.
exact = stationary.mean_first_passage_time(well, -1, 0)
kramers = np.pi / np.sqrt(2) * np.exp(2 * 0.25 / 0.1)
exact / kramers

# %%
# How does it get there? `evolve` follows the density over time, and its limit is the end state.
path = stationary.evolve(well, "normal:-0.5,0.2", times=np.linspace(0, 40, 21))
figure = path.plot()
distance = path.at(40).distance(stationary.end_state(well))
distance
