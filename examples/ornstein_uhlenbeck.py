"""An Ornstein-Uhlenbeck process: pulled to 1 at rate 0.5, with constant noise.

Its end state is normal with mean 1 and variance sigma^2 / (2 rate) = 0.09.
"""

domain = (-float("inf"), float("inf"))
sigma = 0.3


def drift(x):
    return -0.5 * (x - 1)
