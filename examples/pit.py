"""A narrow pit on the way to a wide minimum: where does SGD end up?

Two datapoints share a wide minimum at 2; only one of them sees a narrow pit near 1. At 1 both have
the same gradient, so the noise vanishes there, while the gradient does not: what has passed never
comes back. Near 2 they differ by e^-200, so little that the end state has a width of 4e-43.
"""

import numpy as np

learning_rate = 0.05
domain = (-1, 4)


def losses(w):
    wide = -np.exp(-((w - 2) ** 2))
    return wide, wide - np.exp(-100 * (w - 1) ** 2)
