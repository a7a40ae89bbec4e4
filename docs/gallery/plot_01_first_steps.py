r"""
First steps
===========

Where does a noisy process end up? A process is a drift :math:`f` and a variance :math:`a` of its
noise, :math:`dx = f\,dt + \sqrt{a}\,dB`; its end state is the distribution that time leaves alone.
"""

import stationary

# %%
# A particle between two wells, pushed to the right by a little more than to the left. All that is
# said is the equation; numbers come from no simulation, and each has an error.
tilted = stationary.Diffusion(
    drift=lambda x: x - x**3 + 0.05,
    variance=0.2,
    domain=(-3, 3),
    name="tilted double well",
)
state = stationary.end_state(tilted)
state.probability(0, 3), state.error

# %%
# An end state is a distribution, as in ``scipy.stats``.
state.mean(), state.std(), state.ppf([0.05, 0.5, 0.95]), state.rvs(3, random_state=1)

# %%
# `analyze` is the same with what one usually asks next: which minimum holds how much, how high the
# barrier between them is, and how long it takes to be left.
analysis = stationary.analyze(tilted)
print(analysis.summary(brief=True))

# %%
left, right = analysis.basins
right.mass, right.mass_error, right.barrier_left, right.exit_time

# %%
# And its picture. Every answer has `plot`; with a file name it is written there.
figure = analysis.plot()

# %%
# The same from the command line, without a file (formulas are parsed, never run):
#
# .. code-block:: sh
#
#     stationary analyze --drift "x - x**3 + 0.05" --variance 0.2 --domain -3 3
#
# Halving the noise squares the odds: the exponent :math:`\int 2f/a` doubles.
colder = stationary.end_state(
    stationary.Diffusion(lambda x: x - x**3 + 0.05, variance=0.1, domain=(-3, 3))
)
odds = state.log_ratio((0, 3), (-3, 0)), colder.log_ratio((0, 3), (-3, 0))
odds
