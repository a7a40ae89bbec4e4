"""`circulating`: the density on a ring that carries a current.

u = a^(1-c) P obeys u' = h u - 2 J a^-c with h = 2 f / a. So u = 2 |J| e^Phi F with Phi = int h, and
F, followed against the current, grows by the scale density s = a^-c e^-Phi. Once around, s has
grown by e^|tilt|, tilt = int h, and so must F: it begins with int s / (e^|tilt| - 1). Everything
that is added is positive, and F / s is decided by what is near: nothing cancels, however high the
barriers or however steep the tilt.

References
----------
.. [1] H. Risken, *The Fokker-Planck Equation*, 2nd ed., Springer 1989, ch. 5.2 and 11.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from stationary.line.ends import Anatomy
from stationary.line.sampled import NODES
from stationary.line.sampling import Sampling
from stationary.numbers.arithmetic import DOUBLE
from stationary.numbers.chebyshev import rule
from stationary.numbers.elementary import Array, logaddexp
from stationary.states.cumulation import ROUNDS, Cumulated, UnresolvedError, cumulated, resolved
from stationary.states.scales import Mesh
from stationary.states.steep import derivatives
from stationary.weight.weight import Weight, peak_edges

EPSILON = DOUBLE.epsilon


@dataclass(frozen=True, eq=False, repr=False)
class RingDensity(Weight):
    """log P on a ring that carries a current."""

    blur: Array = field(default_factory=lambda: np.zeros(0))  # (panels,): the error of log u
    log_current: float = -math.inf  # log |2 J|, before P is normalised
    direction: float = 1.0  # of J

    ROUGH: ClassVar[float] = float(NODES**2)  # h is a derivative on some panels

    @cached_property
    def errors(self) -> Array:
        """As without current, or less where P is decided by what is near."""
        stored = np.abs(self.coefficients[0]) + self.k * np.abs(self.sampling.ell[0])
        near = self.blur + self.cut + EPSILON * (2 + self.span / 4 + stored)
        near = near + near[np.argmax(self.coefficients[0])]
        resolved = self.sampling.samples.resolved
        return np.asarray(np.where(resolved, np.minimum(super().errors, near), super().errors))

    def slope_and_bend(self, x: Array) -> tuple[Array, Array]:
        slope, bend = super().slope_and_bend(x)
        found = self.sampling
        rate = rule(NODES).derivative @ found.ell / self.panels.half
        with np.errstate(all="ignore"):
            # 2 J / (a P) is what the current takes from the slope.
            taken = np.exp(self.log_current - self.panels.evaluate(found.ell, x) - self.inside(x))
            slope = slope - self.direction * taken
            change = self.direction * taken * (self.panels.evaluate(rate, x) + slope)
        return slope, bend + change


def circulating(parts: Anatomy, tilt: float) -> RingDensity:
    """The density on a ring with a tilt that is not 0."""
    memory: dict[int, Mesh] = {}

    def build(mesh: Mesh, rounds: int | None) -> RingDensity:
        settings: dict[str, Any] = {"down": tilt > 0, "rounds": rounds}
        ratio = cumulated(mesh, mesh.scale, **settings).ratio
        start = ratio - math.log(-math.expm1(-abs(tilt)))
        around = cumulated(mesh, mesh.scale, start=start, **settings)
        return _density(parts.sampling, mesh, around, math.copysign(1.0, tilt), rounds)

    density = resolved((parts,), (None, None), build, memory)
    cuts = peak_edges(density).tolist()
    return resolved((parts,), (None, None), build, memory, cuts) if cuts else density


def _density(
    ring: Sampling, mesh: Mesh, f: Cumulated, direction: float, rounds: int | None
) -> RingDensity:
    """log P = log (F / s) - log a; where F is constant it goes on as Phi does."""
    r, half, c = mesh.rule, mesh.half, mesh.weight
    own, _ = ring.panels.locate((mesh.lower + mesh.upper) / 2)
    ratio = f.log + (-1) * mesh.scale
    follows = ratio.k == 0
    log_u = r.coefficients @ (ratio.v - c * mesh.log_a)
    h = np.where(follows, derivatives(log_u, r) / half, mesh.slope)
    size, cut = np.abs(log_u[1:]).sum(axis=0), np.abs(log_u[-3:]).max(axis=0)
    cut = np.where(follows, cut / half, ring.samples.tails[0][own])
    rough = follows & (cut * half > 16 * EPSILON * (1 + size))
    rough &= ring.samples.resolved[own] & (half > 64 * np.spacing(np.abs(mesh.upper)))
    if rough.any() and rounds is not None and rounds < ROUNDS:
        raise UnresolvedError(((mesh.lower + mesh.upper) / 2)[rough].tolist(), [])
    samples = replace(
        ring.samples,
        lower=mesh.lower,
        upper=mesh.upper,
        values=(h, mesh.log_a),
        coefficients=(r.coefficients @ h, r.coefficients @ mesh.log_a),
        tails=(cut, ring.samples.tails[1][own]),
        resolved=ring.samples.resolved[own],
    )
    doubt, blur = (v[:: f.sign] for v in _errors(f))
    found = replace(ring, samples=samples)
    found.__dict__["climb_errors"] = doubt + 4 * half * cut + 2 * EPSILON * (1 + size)
    density = RingDensity.on(found)
    # What was integrated is right about the peak; log (F / s) - log a tells the rest, from which
    # the panels go on where F is constant.
    level = log_u[0] - density.k * samples.coefficients[1][0] - density.coefficients[0]
    index = np.arange(len(half))
    last = np.maximum.accumulate(np.where(follows[:: f.sign], index, -1))
    last = np.where(last < 0, last[-1], last)
    level = level[:: f.sign][last][:: f.sign]
    log_current = -level[np.argmax(density.coefficients[0])]
    density.coefficients[0] += level + log_current
    return replace(density, blur=blur, log_current=log_current, direction=direction)


def _errors(f: Cumulated) -> tuple[Array, Array]:
    """The error of the rise of log u over each panel, and of its values there."""
    mesh, own = f.mesh, f.left_error
    constant = f.log.k[:: f.sign] == 0
    gained = f.top + np.log(2 * mesh.half * f.means.sum(axis=0))
    share = np.where(f.summed, -np.expm1(f.before - logaddexp(f.before, gained)), 1.0 - constant)
    doubt, within, error = np.zeros(len(share)), np.zeros(len(share)), 0.0
    for i in [*range(len(share))] * 2:  # once around, for what is brought along
        new, step = share[i], mesh.step_error[i]
        there = (1 - new) * (error + step) + new * own[i]
        doubt[i] = (1 - new) * step + new * (error + own[i])
        within[i], error = (1 - new) * step + max(error, there), there
    return doubt, within
