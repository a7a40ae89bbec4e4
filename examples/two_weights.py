"""Two minima in the plane, one twice as wide as the other: which one does SGD prefer?

Six datapoints see both minima, each moved in a direction of its own, and tilt the way between them.
No energy exists: probability goes round between the minima for ever.
"""

import numpy as np

learning_rate = 0.2
domain = ((-5, 4), (-4, 4))

ANGLES = 2 * np.pi * np.arange(6) / 6


def well(x, y, width):
    return -(width**2) * np.exp(-(x**2 + y**2) / (2 * width**2))


def losses(w):
    x, y = w
    rows = []
    for k, angle in enumerate(ANGLES):
        u, v = 0.5 * np.cos(angle), 0.5 * np.sin(angle)
        narrow = 2 * well(x - 1.2 - u, y - v, 0.6)
        wide = 0.6 * well(x + 1.2 - 2 * u, y - 0.5 - 2 * v, 1.2)
        tilt = (0.3 if k % 2 else -0.3) * (y - x)
        rows.append(narrow + wide + tilt + 0.02 * (x**2 + y**2) ** 2)
    return rows
