"""Two variants of a gene, neither of which is better: which one is left in the end?

x is the share of one of them. Chance alone (f = 0, a = x (1 - x), time in generations times
population size) takes it to 0 or 1, where it stays. From a share of 0.3 it wins with probability
0.3: see `stationary analyze wright_fisher.py --initial 0.3`.
"""

domain = (0, 1)
drift = 0


def variance(x):
    return x * (1 - x)
