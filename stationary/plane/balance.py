"""A second look at a density, which asks for no derivative of the noise.

In an end state the mean of f . grad v + a : grad grad v / 2 is 0 for every smooth v that is flat at
walls. A density that was found from div a misses what jumps of the noise do; here it is multiplied
by 1 and a combination of smooth functions, so that the means of as many such v vanish.
"""

from __future__ import annotations

import math
from itertools import product

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
        self.mean, covariance = density.moments()
        self.wide = np.sqrt(np.diag(covariance))
        self.domain = process.domain
        pairs = product(range(ORDER), repeat=2)
        self.orders = np.array([p for p in pairs if sum(p) < ORDER]).T

    def along(self, axis: int, x: Array) -> list[Array]:
        """The functions of one coordinate and their derivatives, (ORDER, M) each."""
        wide = self.wide[axis]
        z = (x - self.mean[axis]) / wide
        eye, bell = np.eye(ORDER), np.exp(-(z**2) / 8)
        made = [hermite_e.hermeval(z, hermite_e.hermeder(eye, k) if k else eye) for k in range(3)]
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
        scale = np.array([1 / math.sqrt(math.factorial(k)) for k in range(ORDER)])[:, None]
        return [m * scale / wide**k for k, m in enumerate(made)]

    def at(self, x: Array) -> tuple[Array, list[list[Array]]]:
        """Values (K, M), and by axis what the generator asks for."""
        own = [
            [t[o] for t in self.along(k, v)]
            for k, (v, o) in enumerate(zip(x, self.orders, strict=True))
        ]
        return own[0][0] * own[1][0], own


def balanced(process: PlaneDiffusion, density: Density) -> Density:
    """The density with its means of all that is smooth in balance."""
    functions = _Functions(process, density)
    x, log, u = density.quadrature()
    mass = np.exp(log - density.log_total) * u
    keep = np.flatnonzero(mass > 1e-16 * mass.max())
    count = functions.orders.shape[1]
    matrix, right = np.zeros((count, count)), np.zeros(count)
    for begin in range(0, len(keep), CACHE):
        some = keep[begin : begin + CACHE]
        fields = process.fields(x[:, some])
        v, ((p, dp, ddp), (q, dq, ddq)) = functions.at(x[:, some])
        f, a = fields.f, fields.a
        generated = f[0] * dp * q + f[1] * p * dq + a[0, 1] * dp * dq
        generated += (a[0, 0] * ddp * q + a[1, 1] * p * ddq) / 2
        right += generated @ mass[some]
        matrix += (generated * mass[some]) @ v.T
    found = np.linalg.lstsq(matrix, -right, DECIDED)[0]
    nodes = basis(NODES).nodes
    at = density.mesh.points(nodes)
    factor = 1 + found @ functions.at(at.reshape(2, -1))[0]
    b = basis(density.degrees[1]).at(nodes)
    u = np.einsum("ai,bj,eij->eab", b, b, density.u, optimize=True)
    return Density(density.mesh, density.phi, u * factor.reshape(at.shape[1:]))
