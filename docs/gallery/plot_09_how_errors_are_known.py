r"""
How errors are known
====================

Every number has an error, and the tests try to exceed it. Three sources are counted: what
polynomials cut off, what rounding takes, and what a sample does not know.
"""

import numpy as np
from scipy import stats

import stationary
from stationary import Diffusion

# %%
# Against paper
# -------------
# A Gaussian and a gamma distribution: true errors below the stated ones.
normal = stationary.end_state(Diffusion(lambda x: -x, 1.0))
gamma = stationary.end_state(Diffusion(lambda x: 2 - x, lambda x: x, domain=(0, np.inf)))
x = np.linspace(0.5, 4, 8)
true = [
    np.abs(normal.pdf(x) / stats.norm(scale=0.5**0.5).pdf(x) - 1).max(),
    np.abs(gamma.pdf(x) / stats.gamma(4, scale=0.5).pdf(x) - 1).max(),
]
stated = [normal.error, gamma.error]
true, stated

# %%
# Against itself with more digits
# -------------------------------
# The same algorithm in 40 digits shows what doubles lose.
well = Diffusion(lambda x: x - x**3, lambda x: 0.1 + 0.05 * x, domain=(-1.9, 3))
short, long = stationary.end_state(well), stationary.end_state(well, digits=40)
off = float(abs(short.log_ratio((-1.9, 0), (0, 3)) - long.log_ratio((-1.9, 0), (0, 3))))
off, long.log_ratio((-1.9, 0), (0, 3))

# %%
# Against another method
# ----------------------
# Walkers that take the steps of SGD know nothing of zero flux. Their errors come from the spread
# between them, so that what one step has to do with the next is in them.


def losses(w):
    return (w - 1) ** 2 / 2, (w + 1) ** 2 / 2


landscape = stationary.Landscape(losses=losses, learning_rate=0.1, domain=(-4, 4))
chain = stationary.exact_chain(landscape)
walk = stationary.simulate(landscape, walkers=1000, steps=4000, seed=1)
walk.std, walk.std_error, chain.std()

# %%
# On paper, with :math:`B = 1` and curvature 1, the variance is :math:`T / (2 - T)`.
exact = (0.1 / 1.9) ** 0.5
exact

# %%
# Where it is not known, it is said
# ---------------------------------
# A kink that nobody named is found and becomes a breakpoint; what the scan could pass over is
# printed with every report, as its resolution.
kinked = stationary.analyze(Diffusion(lambda x: -np.sign(x - 0.123), 0.5))
kinked.end_state.error, kinked.end_state.mean()
