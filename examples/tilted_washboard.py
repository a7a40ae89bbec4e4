"""A washboard that is tilted: it never comes to rest, and drifts around the ring for ever.

The drift 0.5 - sin(x) is that of a particle in a tilted periodic potential (or of the phase of a
Josephson junction). Its wells hold it, and noise makes it slip from one to the next: the end
state carries a current. By Stratonovich's formula, with D = 1/8, its mean velocity is

    D sinh(pi F / D) / (pi |I_{i F / D}(1 / D)|^2) = 0.00336300.
"""

import numpy as np

domain = (0, 2 * np.pi)
boundaries = "periodic"


def drift(x):
    return 0.5 - np.sin(x)


variance = 0.25
