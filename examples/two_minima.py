"""Two minima of equal depth, one twice as wide as the other: which one does SGD prefer?

Of the four datapoints, two see both minima a little to the left or to the right of where the
others see them, and two are tilted. So the gradients are most scattered where the loss is
steep, and the wide minimum is the quieter place.
"""

import numpy as np

learning_rate = 0.1
domain = (-4, 3)


def loss(w, shift):
    """A narrow minimum near 1 and the same stretched by two near -1.5."""
    narrow = np.exp(-((w - 1 - shift) ** 2) / (2 * 0.4**2))
    wide = np.exp(-((w + 1.5 - 2 * shift) ** 2) / (2 * 0.8**2))
    return -narrow - wide


def losses(w):
    centred = loss(w, 0.0)
    return loss(w, -0.15), loss(w, 0.15), centred - w, centred + w
