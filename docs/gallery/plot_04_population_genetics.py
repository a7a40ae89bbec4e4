r"""
Population genetics
===================

The share :math:`x` of a variant of a gene: chance alone has :math:`a = x (1 - x)` (Wright and
Fisher; time in generations times population size). At 0 and 1 there is no noise left.
"""

import numpy as np

import stationary
from stationary import Diffusion


def chance(x):
    return x * (1 - x)


# %%
# Without mutation one of the variants is lost. Which one depends on the start, so the answer is a
# function of it: from 0.3, the variant wins with probability 0.3.
neutral = Diffusion(0, chance, domain=(0, 1))
lost, fixed = (a.weight for a in stationary.end_state(neutral, initial=0.3).atoms)
lost, fixed

# %%
# How long does that take? Kimura and Ohta: :math:`-2 (x \log x + (1 - x) \log(1 - x))`.
x = np.array([0.1, 0.3, 0.5])
time = stationary.mean_first_passage_time(neutral, x, (0, 1))
kimura = -2 * (x * np.log(x) + (1 - x) * np.log(1 - x))
time / kimura - 1

# %%
# With selection :math:`f = s x (1 - x)` the probability of fixation is
# :math:`(1 - e^{-2 s x}) / (1 - e^{-2 s})` (Kimura 1962).
s = 5.0
selected = Diffusion(lambda x: s * x * (1 - x), chance, domain=(0, 1))
fixation = stationary.end_state(selected, initial=0.02).atoms[1].weight
fixation, np.expm1(-2 * s * 0.02) / np.expm1(-2 * s)

# %%
# With mutation both ways there is an end state without atoms, Wright's beta distribution. Where
# mutation is rare, the density has no bound at 0 and 1: both ends are said to be so, and their
# masses are right all the same.
mutating = Diffusion(lambda x: 0.1 * (1 - x) - 0.1 * x, chance, domain=(0, 1))
state = stationary.end_state(mutating)
state.probability(0, 0.01)

# %%
figure = stationary.analyze(mutating).plot()
