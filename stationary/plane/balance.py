"""A second look at a density, which asks for no derivative of the noise.

In an end state the mean of f . grad v + a : grad grad v / 2 is 0 for every smooth v that is flat at
walls. A density that was found from div a misses what jumps of the noise do; here it is multiplied
by 1 and a combination of smooth functions, so that the means of as many such v vanish.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.polynomial import hermite_e

from stationary.aliases import Array
from stationary.numbers.cost import CACHE
from stationary.plane.density import Density
from stationary.plane.mesh import basis
from stationary.process.plane import PlaneDiffusion

ORDER = 8  # functions of each coordinate; those of both together are of a lower order
DECIDED = 1e-2  # of the fastest: slower combinations, such as masses of basins, are left alone
NODES = 8  # degree of the polynomials that the factor is


class _Functions:
    """Hermite polynomials under a wide Gaussian, flat at the walls of a domain."""

    def __init__(self, process: PlaneDiffusion, density: Density) -> None:
        self.mean, covariance = density.moments
        self.wide = np.sqrt(np.diag(covariance))
        self.domain = process.domain

    def along(self, axis: int, x: Array) -> list[Array]:
        """The functions of one coordinate and their derivatives, (ORDER, M) each."""
        wide = self.wide[axis]
        z = (x - self.mean[axis]) / wide
        bell, k = np.exp(-(z**2) / 8), np.arange(ORDER)[:, None]
        made = [hermite_e.hermevander(z, ORDER - 1).T]
        for _ in range(2):  # derivatives are k times the one before
            made.append(k * np.roll(made[-1], 1, axis=0))
        factors = [(bell, -z / 4 * bell, (z**2 / 16 - 1 / 4) * bell)]
        for end in self.domain[axis]:
            if math.isfinite(end):
                d = (x - end) / wide
                s, kept = np.sign(d), np.exp(-(np.abs(d) ** 3))
                factors.append(
                    (1 - kept, 3 * s * d**2 * kept, (6 - 9 * np.abs(d) ** 3) * np.abs(d) * kept)
                )
        for g, dg, ddg in factors:
            p, dp, ddp = made
            made = [p * g, dp * g + p * dg, ddp * g + 2 * dp * dg + p * ddg]
        scale = 1 / np.sqrt(np.cumprod(np.maximum(k, 1), axis=0))
        return [m * scale / wide**k for k, m in enumerate(made)]

    def pairs(self, p: Array, q: Array) -> Array:
        """(K, M): products of functions of either coordinate."""
        return np.concatenate([row * q[: ORDER - i] for i, row in enumerate(p)])


def balanced(process: PlaneDiffusion, density: Density) -> Density:
    """The density with its means of all that is smooth in balance."""
    functions = _Functions(process, density)
    x, log, u = density.quadrature()
    mass = np.exp(log - density.log_total) * u
    keep = np.flatnonzero(mass > 1e-16 * mass.max())
    count = ORDER * (ORDER + 1) // 2
    matrix, right = np.zeros((count, count)), np.zeros(count)
    for begin in range(0, len(keep), CACHE):
        some = keep[begin : begin + CACHE]
        fields = process.fields(x[:, some])
        f, a = fields.f, fields.a
        p, dp, ddp = functions.along(0, x[0, some])
        q, dq, ddq = functions.along(1, x[1, some])
        generated = functions.pairs(f[0] * dp + a[0, 0] / 2 * ddp, q)
        generated += functions.pairs(f[1] * p + a[0, 1] * dp, dq)
        generated += functions.pairs(a[1, 1] / 2 * p, ddq)
        generated *= mass[some]
        right += generated.sum(axis=1)
        matrix += generated @ functions.pairs(p, q).T
    found = np.linalg.lstsq(matrix, -right, DECIDED)[0]
    nodes = basis(NODES).nodes
    at = density.mesh.points(nodes)
    along = [functions.along(k, v.ravel())[0] for k, v in enumerate(at)]
    factor = 1 + found @ functions.pairs(along[0], along[1])
    b = basis(density.degrees[1]).at(nodes)
    u = np.einsum("ai,bj,eij->eab", b, b, density.u, optimize=True)
    return Density(density.mesh, density.phi, u * factor.reshape(at.shape[1:]))
