r"""
Where the noise vanishes
========================

A zero of the variance cuts the line. What happens there is decided by exponents, from each side,
not by what a sum of doubles happens to give.
"""

import textwrap

import numpy as np

import stationary
from stationary import Diffusion

# %%
# "The pit": two datapoints share a wide minimum at 2; only one of them sees a narrow one near 1. At
# w = 1 the second gradient vanishes, and with it the noise, while the drift points to the right:
# a one-way gate.


def losses(w):
    wide = -np.exp(-((w - 2) ** 2))
    return wide, wide - np.exp(-100 * (w - 1) ** 2)


pit = stationary.Landscape(losses=losses, learning_rate=0.05, domain=(-1, 4), name="the pit")
analysis = stationary.analyze(pit)
print(analysis.summary(brief=True))

# %%
# The peak at 2 is 4e-43 wide: no double lies within it. It is solved with as many digits as that
# takes, and positions keep what a double cannot hold.
state = analysis.end_state
state.std(), analysis.basins[1].offset, state.log_ratio((1.5, 4), (1, 1.5))

# %%
# Zeros that hold the process for good are traps, atoms of the end state. With two of them the start
# decides.
two_traps = Diffusion(lambda x: (1 - x**2) * (x + 0.2), lambda x: (1 - x**2) ** 2, domain=(-2, 2))
[(a.position, a.weight) for a in stationary.end_state(two_traps, initial=0.3).atoms]

# %%
# Adding a little noise everywhere makes another process, which forgets its start. How its masses go
# as that noise falls is followed, and set beside the exact answer: the two differ.
path = stationary.regularisation_path(two_traps, 10.0 ** -np.arange(1, 9))
print(textwrap.fill(path.verdict, 76))

# %%
figure = path.plot()
