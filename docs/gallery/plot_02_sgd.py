r"""
Which minimum SGD prefers
=========================

Given the loss of each datapoint, SGD is a diffusion: its drift is the mean gradient :math:`G`, its
noise the variance :math:`D` of the gradients. Where it ends up is
:math:`P \propto \frac{1}{D} \exp\left(-\frac{2}{T} \int \frac{G}{D}\right)`, for small learning
rates :math:`T`.
"""

import numpy as np

import stationary

# %%
# Two minima of equal depth, the one at -1.5 twice as wide as the one near 1. A landscape is a
# function that gives the loss of each datapoint, in plain NumPy; it is differentiated exactly.


def one(w, shift):
    narrow = np.exp(-((w - 1 - shift) ** 2) / (2 * 0.4**2))
    wide = np.exp(-((w + 1.5 - 2 * shift) ** 2) / (2 * 0.8**2))
    return -narrow - wide


def losses(w):
    return one(w, -0.15), one(w, 0.15), one(w, 0) - w, one(w, 0) + w


landscape = stationary.Landscape(
    losses=losses, learning_rate=0.5, domain=(-4, 3), name="two minima"
)
analysis = stationary.analyze(landscape)
print(analysis.summary(brief=True))

# %%
# The wide minimum wins, and `bias` says why: how much of the ratio of the masses comes from depth,
# from width and from noise.
print(analysis.bias)

# %%
# What if the narrow minimum were wider? One integration serves all factors.
what_if = stationary.width_bias(landscape, minimum=1, dilate=np.linspace(1, 3, 41))
figure = what_if.plot()

# %%
# All that is the limit of small steps. SGD's own chain, minibatch by minibatch, is solved beside
# it: with this learning rate it cannot stay in the narrow minimum at all.
[(b.position, b.diffusion[0], b.chain[0]) for b in analysis.sgd.basins]

# %%
# Over learning rates: the more noise, the more even the minima. A thousand rates cost a few times
# one of them.
found = stationary.sweep(landscape, learning_rate=np.geomspace(0.02, 0.5, 60))
figure = found.plot()
wide_share = found.table()["mass_0"]
