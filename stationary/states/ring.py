"""Rings: periodic domains, whose ends are one point, and the current that flows around them.

The current J = f P - (1/2) a^c d(a^(1-c) P)/dx is the same everywhere. It vanishes only if the
integral of h = 2 f / a once around, the tilt, does. Else u = a^(1-c) P obeys u' = h u - 2 J a^-c:
u = 2 |J| e^Phi F with Phi = int h, and F, followed against the current, grows by the scale density
s = a^-c e^-Phi. Once around, s has grown by e^|tilt|, and so must F: it begins with
int s / (e^|tilt| - 1). Everything that is added is positive, and F / s is decided by what is near:
nothing cancels, however high the barriers or however steep the tilt.

References
----------
.. [1] H. Risken, *The Fokker-Planck Equation*, 2nd ed., Springer 1989, ch. 5.2 and 11.
"""

from __future__ import annotations

import math
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from stationary.aliases import Array
from stationary.errors import LandscapeError, StationaryError, UserFunctionError
from stationary.functions.evaluation import evaluate
from stationary.functions.rounding import ROUNDINGS
from stationary.line.ends import Anatomy, anatomy
from stationary.line.equilibria import Equilibrium
from stationary.line.junction import Behaviour, Side
from stationary.line.partition import Partition
from stationary.line.reshape import focused
from stationary.line.sampled import NODES, VanishingVarianceError
from stationary.line.sampling import ALIKE, Sampling, sampling
from stationary.line.vanishing import zeros_of_variance
from stationary.numbers.arithmetic import DOUBLE
from stationary.numbers.chebyshev import rule
from stationary.numbers.elementary import logaddexp, logsumexp
from stationary.panels.pieces import MOST_PANELS
from stationary.process.diffusion import Diffusion
from stationary.result import Compared
from stationary.states.cumulation import Cumulated, UnresolvedError, cumulated, resolved
from stationary.states.network import Network
from stationary.states.outcomes import Group, Outcome
from stationary.states.scales import Mesh
from stationary.states.steep import derivatives
from stationary.states.upwards import ROUNDS
from stationary.weight.component import Component
from stationary.weight.focus import peak_edges
from stationary.weight.mesh import log_masses, monotone_mesh
from stationary.weight.weight import Weight

REMEDY = (
    "A periodic domain needs a finite drift and a positive variance everywhere on the ring. "
    "Where the variance vanishes the ring is cut: begin and end the domain there, and leave "
    "boundaries out; or add an even noise, as in regularise = 1e-6."
)
UNKNOWN = (
    "{name}: the density around the ring could not be normalised: drift over variance has a pole, "
    f"is too large for doubles, or the variance vanishes between given values. {REMEDY}"
)


@dataclass(frozen=True, eq=False)
class Current(Compared):
    """The probability that passes any point of a ring per unit of time, upwards positive."""

    value: float
    error: float  # absolute
    log_abs: float  # natural logarithm of |value|; -inf where there is none
    log_error: float  # of log_abs
    tilt: float  # Phi, the integral of 2 f / a once around


def anatomy_of_ring(
    diffusion: Diffusion, max_panels: int = MOST_PANELS, *, digits: int | None = None
) -> Anatomy:
    """The sampling of a periodic process and its equilibria, one at the seam included.

    Raises
    ------
    LandscapeError
        If the variance is not positive, or the drift not finite, everywhere on the ring; or if
        `digits` are asked for.
    """
    if digits is not None:
        raise LandscapeError(
            f"{diffusion.name}: digits = {digits}: periodic domains are solved in doubles only. "
            "Leave digits out."
        )
    vanishes = (
        f"{diffusion.name}: the variance vanishes near {diffusion.variable} = {{:.9g}} (or is too "
        f"small for a double). {REMEDY}"
    )
    zeros = zeros_of_variance(diffusion)
    if zeros:
        raise LandscapeError(vanishes.format(float(zeros[0].lower)))
    try:
        found = sampling(diffusion, max_panels)
    except VanishingVarianceError as error:
        raise LandscapeError(vanishes.format(error.near)) from None
    except LandscapeError as error:
        if isinstance(error, UserFunctionError):
            raise
        raise LandscapeError(f"{error} {REMEDY}") from None
    if any(found.open_ends):
        v, end = diffusion.variable, diffusion.domain[found.open_ends.index(True)]
        f, a = diffusion.coefficients(np.array([end]))
        raise LandscapeError(
            f"{diffusion.name}: at the seam {v} = {end:g} of the periodic domain the drift is "
            f"{f[0]:g} and the variance {a[0]:g}. {REMEDY}"
        )
    parts = anatomy(found)
    if len(parts.equilibria) % 2 == 1:
        # Around a ring stable and unstable ones take turns: the one left over is at the seam.
        seam = _equilibrium_at_seam(found, stable=not parts.equilibria[0].stable)
        parts = replace(parts, equilibria=(seam, *parts.equilibria))
    return parts


def _equilibrium_at_seam(found: Sampling, *, stable: bool) -> Equilibrium:
    ends = np.array(found.diffusion.domain)
    f = found.diffusion.coefficients(ends)[0]
    size = float(np.abs(found.samples.values[0] * np.exp(found.samples.values[1])).max()) / 2
    slope = None
    if np.abs(f).max() < ALIKE * size:  # else the drift jumps there
        with suppress(StationaryError):
            slopes = evaluate(found.diffusion.drift, ends, order=1)[1]
            if np.isfinite(slopes).all() and abs(slopes[1] - slopes[0]) < ALIKE * abs(slopes[0]):
                slope = float(slopes[0])
    off = float(np.abs(f).max()) / abs(slope) if slope else 0.0
    size = float(np.abs(ends).max())
    blur = found.diffusion.grain * size if found.diffusion.is_rounded else 0.0
    error = max(off, blur, float(np.spacing(size)))
    unsure = ROUNDINGS * DOUBLE.epsilon * abs(slope or 0.0)
    return Equilibrium(float(ends[0]), error, stable, slope, unsure)


def classes_of_ring(parts: Anatomy) -> Network:
    """The one closed class of a ring, in which the process is from everywhere."""
    lower, upper = parts.ends
    sides = Side(lower, Behaviour.STAYS), Side(upper, Behaviour.STAYS)
    whole = Partition(parts.sampling.diffusion, (parts,), (), (sides,))
    ring = Group(0, 0, lower.position, upper.position, sides)
    return Network(whole, (ring,), (Outcome("density", group=0),))


def component_on_ring(parts: Anatomy) -> tuple[Component, Current, tuple[str, ...]]:
    """The density on the ring, cut open at the lower end of the domain; its current; notes."""
    ring = parts.sampling
    c = float(ring.diffusion.convention.value)
    for s, k in ((1, 1 - c), (-1, c)):  # the density and the scale density
        cuts = peak_edges(Weight.on(ring, s, k))
        if cuts.size:
            ring = focused(ring, cuts)
    tilt = math.fsum(ring.climb[1].tolist())
    tilt_error = 1.5 * float(ring.climb_errors.sum()) + DOUBLE.epsilon * abs(tilt)
    tilt_error += math.sqrt(float(ring.unknown[0].sum()))
    still = abs(tilt) <= tilt_error
    if still and not tilt_error < 1:
        raise LandscapeError(UNKNOWN.format(name=ring.diffusion.name))
    density = Weight.on(ring) if still else circulating(replace(parts, sampling=ring), tilt)
    mesh = monotone_mesh(density, density.turns)
    component = Component(ring.diffusion.domain, 1.0, density, mesh)
    if not math.isfinite(component.log_norm):
        raise LandscapeError(UNKNOWN.format(name=ring.diffusion.name))
    notes = _seam(ring)
    if not isinstance(density, RingDensity):  # it is still
        # 2 J = tilt / (int P int s), with P before it is normalised.
        scale = Weight.on(ring, -1, c)
        log_all = logsumexp(log_masses(scale, scale.turns)) + scale.phi[0, 0] - density.phi[0, 0]
        log_unseen = math.log(max(tilt_error, 1e-300) / 2) - log_all - component.log_norm
        unseen = math.exp(min(log_unseen, 700.0))
        current = Current(0.0, unseen, -math.inf, 0.0, tilt)
        notes += (
            f"the integral of 2 f / a once around the ring is zero to its error ({tilt:.0e} +- "
            f"{tilt_error:.0e}): no current flows.",
        )
        return component, current, notes
    log_abs = density.log_current - component.log_norm - math.log(2.0)
    relative = 1.5 * component.norm_error
    # The error of 1 - e^-|tilt|, relative, is that of the tilt over e^|tilt| - 1.
    relative += tilt_error / math.expm1(min(abs(tilt), 700.0)) + 4 * DOUBLE.epsilon * (
        1 + abs(log_abs)
    )
    size = math.exp(min(log_abs, 709.0))
    value = math.copysign(size, tilt)
    current = Current(value, size * relative, log_abs, relative, tilt)
    return component, current, notes


def _seam(ring: Sampling) -> tuple[str, ...]:
    """A note where drift or variance differ between the two ends."""
    lower, upper = ring.diffusion.domain
    pair = ring.diffusion.coefficients(np.array([lower, upper]))
    a = np.exp(ring.samples.values[1])
    notes = []
    for name, at, all_values in zip(
        ("drift", "variance"), pair, (ring.samples.values[0] * a / 2, a), strict=True
    ):
        if abs(at[1] - at[0]) > ALIKE * float(np.abs(all_values).max()):
            notes.append(
                f"the {name} differs at the two ends that are joined ({at[0]:.6g} and "
                f"{at[1]:.6g}): it jumps there."
            )
    return tuple(notes)


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
        near = self.blur + self.cut + DOUBLE.epsilon * (2 + self.span / 4 + stored)
        of_h, of_a, _ = self.sampling.unknown
        near = near + math.sqrt(float(of_h.sum())) + self.k * of_a
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
    own = ring.panels.panel_of(mesh.lower)
    ratio = f.log + (-1) * mesh.scale
    follows = ratio.k == 0
    log_u = r.coefficients @ (ratio.v - c * mesh.log_a)
    h = np.where(follows, derivatives(log_u, r) / half, mesh.slope)
    size, cut = np.abs(log_u[1:]).sum(axis=0), np.abs(log_u[-3:]).max(axis=0)
    cut = np.where(follows, cut / half, ring.samples.tails[0][own])
    rough = follows & (cut * half > 16 * DOUBLE.epsilon * (1 + size))
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
    found.__dict__["climb_errors"] = doubt + 4 * half * cut + 2 * DOUBLE.epsilon * (1 + size)
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
