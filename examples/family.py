"""A family: a wide minimum beside a slightly deeper one, which is as sharp as one likes.

    stationary sweep examples/family.py --set sharpness=10:1000:30:log --learning-rate 0.01,0.05

The two datapoints tilt the loss to either side, so the noise is the same everywhere. Small learning
rates prefer the deeper minimum; larger ones the wider, the sooner the sharper the other is.
"""

import numpy as np

learning_rate = 0.05
domain = (-4, 3)
parameters = {"sharpness": 100.0}


def losses(w, sharpness):
    wide = np.exp(-((w + 1.5) ** 2) / 1.5)
    narrow = 1.04 * np.exp(-sharpness * (w - 1) ** 2)
    loss = -wide - narrow
    return loss - w, loss + w
