"""Logistic regression on 40 points, 8 of them mislabelled and held to a hinge loss instead.

One weight, one feature per datapoint. The hinge makes corners in the losses, where the gradient
jumps; they are found, and cost no accuracy.
"""

import numpy as np

learning_rate = 0.2
batch_size = 4
replacement = False
domain = (-2, 6)

generator = np.random.default_rng(7)
feature = generator.normal(size=40)
label = np.where(feature + 0.5 * generator.normal(size=40) > 0, 1.0, -1.0)
hinged = np.arange(40) < 8


def losses(w):
    margin = (label * feature)[:, None] * w
    logistic = np.logaddexp(0, -margin)
    hinge = np.maximum(0, 1 - margin)
    return np.where(hinged[:, None], hinge, logistic) + 0.02 * w**2
