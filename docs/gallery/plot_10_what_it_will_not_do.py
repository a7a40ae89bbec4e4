r"""
What it will not do
===================

What is not modelled is refused by name, with what to do instead; what has no answer is told why. No
number comes with more confidence than it deserves.
"""

import textwrap

import stationary
from stationary import Diffusion, Landscape, StationaryError

refused = []


def told(make):
    """What is said in place of an answer."""
    try:
        answer = make()
    except StationaryError as error:
        refused.append(str(error))
        return textwrap.fill(str(error), 76)
    return answer


# %%
# More than two weights, and how minima share an optimiser whose step hangs on all gradients before.
three = Landscape(losses=lambda w: w**2, weights=3, learning_rate=0.1)
print(told(lambda: stationary.end_state(three)))
wells = Landscape(
    losses=lambda w: [3 * (w**2 - 1) ** 2 / 4 + c * w for c in (-1, 0, 1.3)],
    optimiser="adam",
    learning_rate=0.05,
)
print(told(lambda: stationary.end_state(wells)))

# %%
# A variance that is negative, and functions that cannot be differentiated: where, and what came.
print(told(lambda: stationary.end_state(Diffusion(lambda x: -x, lambda x: x, (-1, 1)))))

# %%
# No noise at all is no diffusion.
print(told(lambda: stationary.end_state(Diffusion(lambda x: -x, 0.0, (-1, 1)))))

# %%
# A process without an end state is answered, not refused: with where its probability goes.
free = stationary.analyze(Diffusion(0, 1.0, name="free"))
print(free.summary(brief=True))

# %%
# What depends on the start is not given without one: the weights are functions of it.
genes = stationary.end_state(Diffusion(0, lambda x: x * (1 - x), domain=(0, 1)))
print(textwrap.fill(genes.reason, 76))

# %%
# What it cannot do yet stands in the list of what is known to be wrong or missing, which is part of
# the source: ``CONTRIBUTING.md``.
