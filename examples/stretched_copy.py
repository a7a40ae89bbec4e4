"""A basin and its mirror image, stretched by `stretch`: the purest case of width bias.

To the right of the top at 0 lies a minimum as three datapoints see it, to the left the same one
made wider, datapoint by datapoint. Both are equally deep, yet the wide one is quieter by
stretch^2, so that its density is larger by stretch^2 exp((stretch^2 - 1) I), with I the exponent
from the narrow minimum to the top: `stationary bias` finds the stretch and both numbers.
"""

import numpy as np

learning_rate = 0.05
parameters = {"stretch": 2.0}
breakpoints = [0.0]


def domain(stretch):
    return -1.5 * stretch, 1.5


def losses(w, stretch):
    u = np.where(w < 0, -w / stretch, w)  # where in the narrow basin
    shared = 4 * u**2 * (u - 1) ** 2 * (u + 0.2) - u**2 * (1.5 - u)
    return shared + 2 * np.sin(u), shared - 2 * np.sin(u), shared
