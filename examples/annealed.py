"""Two wells, a learning rate that falls, and what the optimiser does beside plain SGD.

The right well is deeper; the noise is the same everywhere. At the last learning rate next to
nothing would be left of the left well, but the schedule freezes a part of the runs in it.
"""

schedule = "cosine:0.25:0.01:4000"  # in place of learning_rate
weight_decay = 0.01
label_noise = 0.2  # deviation of each label, whenever its datapoint is drawn
domain = (-3, 3)
initial = "normal:0,1"


def losses(w):
    loss = (w * w - 1) ** 2 / 4 - 0.08 * w
    return loss - 1.2 * w, loss + 1.2 * w


def outputs(w):  # what the labels are compared with: its slope carries their noise
    return 0.5 * w
