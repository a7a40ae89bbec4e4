"""A double well that is noisier on the right: equal depths, unequal shares.

The potential x^4 / 4 - x^2 / 2 is symmetric, but the noise is three times as strong at pi / 2
as at -pi / 2. The quiet well holds almost everything.
"""

import numpy as np

domain = (-3, 3)


def drift(x):
    return -(x**3 - x)


def variance(x):
    return 0.25 * (1 + 0.5 * np.sin(x)) ** 2
