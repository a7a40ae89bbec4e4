"""`effective_diffusion`: how fast what goes around a ring spreads over its turns, in the long run.

With the speed density m = a^(c-1) e^Phi and the scale density s = a^(-c) e^(-Phi), the end state P
is m times the integral of s over the period ahead. The same with m and s exchanged is the end state
Q of the process with the drift -f in the convention 1 - c. Over a period L, Var(x) / (2 t) becomes

    D = (L^2 / 2) int a P Q^2 dx = (L^2 / 2) int a P^2 Q dx,

which is D_0 L^2 / (int e^(V / D_0) int e^(-V / D_0)) without a tilt, and Reimann's formula [1]_
with one. Both integrals are of what is positive; their difference says how well they are known.

References
----------
.. [1] P. Reimann et al., *Giant acceleration of free diffusion by use of tilted periodic
   potentials*, Phys. Rev. Lett. 87 (2001), 010602.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from stationary.aliases import Array
from stationary.errors import LandscapeError
from stationary.process.diffusion import Diffusion
from stationary.states.estimate import Estimate
from stationary.states.solve import end_state

if TYPE_CHECKING:
    from stationary.states.distribution import EndState

ORDER = 16  # Gauss nodes on a panel
STEEP = 2.0  # of an exponent over a panel, above which it is halved
LEAST = 50.0  # in the exponent, below the highest, what no longer counts
HALVINGS = 40  # of a panel, at most


def effective_diffusion(state: EndState) -> Estimate:
    """D of a ring, in x^2 per unit of time: the variance of the way covered grows by 2 D t.

    Raises
    ------
    LandscapeError
        If the process does not live on a ring.
    """
    ring = state.diffusion
    if not ring.is_periodic:
        raise LandscapeError(
            f"{ring.name}: only on a periodic domain, boundaries = 'periodic', does a process "
            "spread for ever."
        )
    drift, (lower, upper) = ring.drift, ring.domain
    exchanged = Diffusion(
        drift=lambda x: -drift(x),
        variance=ring.variance,
        domain=(lower, upper),
        boundaries="periodic",
        convention=type(ring.convention)(1 - ring.convention.value),
        breakpoints=ring.breakpoints,
        name=ring.name,
        scan_panels=ring.scan_panels,
    )
    dual = end_state(exchanged)
    whole = np.unique(np.concatenate([_edges(state), _edges(dual)]))

    def exponents(x: Array) -> tuple[Array, Array]:
        p, q, a = state.logpdf(x), dual.logpdf(x), np.log(ring.coefficients(x)[1])
        return p + 2 * q + a, 2 * p + q + a

    for _ in range(HALVINGS):
        values = np.stack(exponents(whole))
        near = values > values.max(axis=1, keepdims=True) - LEAST
        steep = np.abs(np.diff(values)) > STEEP
        split = (steep & (near[:, 1:] | near[:, :-1])).any(axis=0)
        split &= np.diff(whole) > 64 * np.spacing(np.abs(whole).max())
        if not split.any():
            break
        whole = np.sort(np.append(whole, (whole[1:] + whole[:-1])[split] / 2))
    t, weights = np.polynomial.legendre.leggauss(ORDER)
    half = np.diff(whole) / 2
    x = (whole[:-1] + half)[:, None] + half[:, None] * t
    logs = []
    for values in exponents(x.ravel()):
        top = values.max()
        logs.append(top + math.log(float(half @ (np.exp(values - top).reshape(x.shape) @ weights))))
    error = 3 * (float(state.error) + float(dual.error)) + abs(logs[0] - logs[1])
    return Estimate(sum(logs) / 2 + 2 * math.log(upper - lower) - math.log(2), error)


def _edges(state: EndState) -> Array:
    c = state.components[0]
    return np.concatenate([c.density.sampling.panels.edges, c.mesh.lower, c.mesh.upper])
