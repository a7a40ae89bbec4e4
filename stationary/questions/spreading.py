"""On a ring: `circular_deviation`, and `effective_diffusion`, how fast its turns spread for long.

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
from stationary.line.sampled import NODES
from stationary.numbers.arithmetic import EPSILON
from stationary.numbers.chebyshev import nodes_of, rule
from stationary.numbers.elementary import distinct
from stationary.panels.pieces import sample
from stationary.process.diffusion import Diffusion
from stationary.states.law import Estimate
from stationary.states.solve import end_state

if TYPE_CHECKING:
    from stationary.states.distribution import EndState


def effective_diffusion(state: EndState) -> Estimate:
    """D of a ring, in x^2 per unit of time: the variance of the way covered grows by 2 D t."""
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
    edges = distinct(_edges(state), _edges(dual))
    panels, r = (edges[:-1], edges[1:]), rule(NODES)

    def exponents(x: Array) -> Array:
        p, q, a = state.logpdf(x), dual.logpdf(x), np.log(ring.coefficients(x)[1])
        return np.stack([p + 2 * q + a, 2 * p + q + a])

    x = nodes_of(*panels, r)[0]
    rough = exponents(x.ravel()).reshape(2, *x.shape)
    tops = rough.max(axis=(1, 2))
    masses = np.diff(edges) / 2 * (r.quadrature @ np.exp(rough - tops[:, None, None]))
    logs = tops + np.log(masses.sum(axis=1))
    found = sample(
        lambda x: tuple(np.exp(exponents(x) - logs[:, None])), *panels, weights=(True, True)
    )
    logs = logs + np.log([v.sum() for v in found.integrals])
    missed = sum(float((v * (found.upper - found.lower)).sum()) for v in found.tails)
    error = 3 * (float(state.error) + float(dual.error)) + 2 * missed + abs(logs[0] - logs[1])
    return Estimate(logs.mean() + 2 * math.log(upper - lower) - math.log(2), error)


def _edges(state: EndState) -> Array:
    c = state.components[0]
    return np.concatenate([c.density.sampling.panels.edges, c.mesh.lower, c.mesh.upper])


def circular_deviation(state: EndState, place: float) -> float:
    """The circular standard deviation of what is on a ring, which knows of no cut.

    In units of x: L / (2 pi) sqrt(-2 log R), R = |E exp(2 pi i x / L)|, from what `place`, where
    most of it is, leaves of it: a narrow law has R next to 1.
    """
    lower, upper = map(float, state.diffusion.domain)
    turn = 2 * math.pi / (upper - lower)
    short = 2 * float(state.expect(lambda x: np.sin(turn * (x - place) / 2) ** 2))
    aside = float(state.expect(lambda x: np.sin(turn * (x - place))))
    # R^2 - 1; where nothing points anywhere, R is rounding.
    less = max(short * (short - 2) + aside**2, EPSILON - 1)
    return math.sqrt(-math.log1p(less)) / turn
