"""Values with errors, smoothed by a weighted natural spline whose stiffness they choose themselves.

The smoothing parameter is that of generalised cross-validation [1]_. Given it, the smooth values
are linear in the given ones, and their covariance is that of the posterior whose mean they are
[2]_, which holds what smoothing may have taken away as well as what noise has left.

References
----------
.. [1] P. Craven and G. Wahba, *Smoothing noisy data with spline functions*, Numer. Math. 31 (1979).
.. [2] D. Nychka, *Bayesian confidence intervals for smoothing splines*, JASA 83 (1988) 1134.
"""

from __future__ import annotations

import numpy as np

from stationary.aliases import Array
from stationary.functions.interpolation import Spline


def smoothed(x: Array, y: Array, errors: Array) -> tuple[Spline, Spline]:
    """The smoothing spline of values y at x (at least five) with standard errors, each above 0.

    And one with a column for each independent change of it, of one standard deviation.
    """
    from scipy.interpolate import make_smoothing_spline

    fitted = make_smoothing_spline(x, y, w=errors**-2.0)
    values = np.asarray(fitted(x))
    bend = _bending(x)
    # W (y - s) = lambda K s at the minimum, which tells the lambda that was chosen.
    stiff = float(values @ bend @ values)
    scale = np.abs(values).max() ** 2 * np.abs(bend).max()
    chosen = 1e12 if stiff <= 1e-20 * scale else float((y - values) @ (values / errors**2)) / stiff
    # (W + lambda K)^-1 by eigenvectors of K in units of the errors, where W is one.
    eigenvalues, vectors = np.linalg.eigh(errors[:, None] * bend * errors)
    kept = 1 / np.sqrt(1 + max(chosen, 0.0) * np.clip(eigenvalues, 0, None))
    return _natural(x, values), _natural(x, errors[:, None] * vectors * kept)


def _natural(x: Array, values: Array) -> Spline:
    from scipy.interpolate import CubicSpline

    made = CubicSpline(x, values, bc_type="natural")
    return Spline(made.x, made.c)


def _bending(x: Array) -> Array:
    """K with s K s = int s''^2 of the natural spline with values s: Q R^-1 Q' of Reinsch."""
    h, n = np.diff(x), len(x)
    q = np.zeros((n, n - 2))
    k = np.arange(n - 2)
    q[k, k], q[k + 1, k], q[k + 2, k] = 1 / h[:-1], -1 / h[:-1] - 1 / h[1:], 1 / h[1:]
    r = np.diag((h[:-1] + h[1:]) / 3) + np.diag(h[1:-1] / 6, 1) + np.diag(h[1:-1] / 6, -1)
    return np.asarray(q @ np.linalg.solve(r, q.T))
