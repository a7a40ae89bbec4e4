"""A linear pull with noise that grows with the distance: a Student t end state.

f = -(nu - 1) x and a = 2 (nu + x^2) give Student's t with nu degrees of freedom. With nu = 1.5
it has a mean but no variance.
"""

nu = 1.5
domain = (-float("inf"), float("inf"))


def drift(x):
    return -(nu - 1) * x


def variance(x):
    return 2 * (nu + x**2)
