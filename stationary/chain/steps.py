"""Is the step too large for the diffusion to be believed? Numbers that cost next to nothing.

The diffusion is the limit of small steps. Near a minimum a mean step multiplies the distance by
1 - T G', so it overshoots when T G' is above 1 and cannot settle when it is above 2. A one-way
gate holds only if no minibatch leads back over it; a barrier only if single steps do not jump it;
and a rest point attracts if mean log |1 - T l''| over the minibatches is negative.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from stationary.anatomy.partition import SingularPoint
from stationary.basins import Basin, basins_of
from stationary.chain.batches import Batches, batches_of
from stationary.chain.cells import RestPoint, rest_point
from stationary.chain.reach import held_interval
from stationary.distribution import EndState
from stationary.errors import LandscapeError
from stationary.landscape import Landscape

__all__ = ["GateStep", "MinimumStep", "StepIndicators", "step_indicators"]

OVERSHOOTS, UNSETTLED = 1.0, 2.0  # T times curvature
JUMPS = 0.3  # the noise of a step, relative to the way to a barrier, that is worth a word
BEYOND = 256  # points at which the steps just beyond a gate are asked
ALONE = 1e-6  # of the probability elsewhere, below which a basin is left by nothing
LEAK = 1e-4  # share of steps back over a gate that is worth a word


@dataclass(frozen=True)
class MinimumStep:
    """One step, seen from a minimum."""

    position: float
    curvature: float | None  # T times that of the loss; None at a wall or a corner
    largest: float | None  # the same for the minibatch where it is largest
    noise: float  # T sqrt(D): the standard deviation of a step at the minimum
    barrier: float | None  # the noise over the distance to the nearer barrier, if there is one
    held: tuple[float, float] | None = None  # the interval around it that SGD cannot leave
    mass: float | None = None  # what its basin holds by the diffusion


@dataclass(frozen=True)
class GateStep:
    """One step, seen from a one-way gate."""

    position: float
    leak: float  # share of steps that lead back, from within a mean step beyond the gate
    noise: float  # standard deviation of a step there, over the length of the mean step


@dataclass(frozen=True, eq=False)
class StepIndicators:
    """How large the steps of SGD are, compared with what they have to resolve.

    Attributes
    ----------
    minima, gates, rests
        Left to right. A rest point has the `exponent` by which log distance grows per step.
    contradicted
        The rest points where the diffusion says the opposite of the chain.
    """

    learning_rate: float
    minima: tuple[MinimumStep, ...]
    gates: tuple[GateStep, ...]
    rests: tuple[RestPoint, ...]
    contradicted: tuple[RestPoint, ...] = ()

    @property
    def largest(self) -> float | None:
        """T times the curvature, at the minimum where it is largest."""
        return max((m.curvature for m in self.minima if m.curvature is not None), default=None)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What is wrong with the step, worst first, in words; () where nothing is."""
        found = []
        for m in sorted(self.minima, key=lambda m: -(m.curvature or 0.0)):
            at = f"at w = {m.position:.4g}"
            if m.curvature is not None and m.curvature > OVERSHOOTS:
                what = "it cannot settle there" if m.curvature > UNSETTLED else "it overshoots"
                found.append(f"T times the curvature {at} is {m.curvature:.2g}: {what}")
            elif m.largest is not None and m.largest > UNSETTLED:
                found.append(
                    f"T times the curvature {at} is up to {m.largest:.2g} in single minibatches: "
                    "those throw it out"
                )
        found += [
            f"the gate at w = {g.position:.4g} leaks: {100 * g.leak:.2g} % of the steps just "
            "beyond it go back"
            for g in self.gates
            if g.leak > LEAK
        ]
        found += [
            f"the noise of one step is {m.barrier:.2g} times the way from w = {m.position:.4g} to "
            "the next barrier"
            for m in self.minima
            if m.barrier is not None and m.barrier > JUMPS
        ]
        found += [
            f"SGD cannot leave the minimum at w = {m.position:.4g}, as the diffusion does: from "
            f"{m.held[0]:.4g} to {m.held[1]:.4g} no minibatch leads out"
            for m in self.minima
            if m.held is not None and m.mass is not None and m.mass < 1 - ALONE
        ]
        found += [
            f"the rest point w = {p.position:.4g} {'attracts' if p.attracts else 'repels'} SGD, "
            "against what the diffusion says"
            for p in self.contradicted
        ]
        return tuple(found)

    @property
    def line(self) -> str:
        """One sentence for a report."""
        if self.warnings:
            return "; ".join(self.warnings) + "."
        if self.largest is None:
            return "no minimum has a curvature that it could be too large for."
        return f"small: T times the curvature is at most {self.largest:.2g} (it settles below 2)."

    def __str__(self) -> str:
        return self.line


def step_indicators(landscape: Landscape, state: EndState) -> StepIndicators:
    """How large the steps of SGD are, compared with what the end state has to resolve.

    Parameters
    ----------
    landscape
        Whose gradients take the steps.
    state
        Its end state, for its minima, gates and rest points.

    Raises
    ------
    LandscapeError
        If there is no landscape: a drift and a variance alone do not say what the steps are.
    """
    if not isinstance(landscape, Landscape):
        raise LandscapeError(
            f"{state.diffusion.name}: the size of the steps is known for a landscape only. Give "
            "the losses or gradients of the datapoints, and analyze that."
        )
    state = replace(state, digits=None)
    batches = batches_of(landscape)
    points = state.anatomy.points
    gates = [_gate(batches, p) for p in points if p.role.startswith("gate")]
    resting = [p for p in points if p.is_rest and p.interval is None]
    rests = [rest_point(batches, p.position, landscape.domain) for p in resting]
    against = [r for r, p in zip(rests, resting, strict=True) if _contradicts(r, p)]
    return StepIndicators(
        learning_rate=batches.rate,
        minima=tuple(_minimum(batches, b, landscape) for b in basins_of(state)),
        gates=tuple(g for g in gates if g is not None),
        rests=tuple(rests),
        contradicted=tuple(against),
    )


def _contradicts(rest: RestPoint, point: SingularPoint) -> bool:
    if point.role == "trap":
        return not rest.attracts
    return point.role == "repelling rest point" and rest.attracts


def _minimum(batches: Batches, basin: Basin, landscape: Landscape) -> MinimumStep:
    at = float(basin.position)
    curvature = None if basin.curvature is None else float(basin.curvature)
    factors = None if curvature is None else batches.multipliers(at)
    noise = float(basin.variance) ** 0.5
    lower, upper = landscape.domain
    ways = [abs(at - float(e)) for e in (basin.lower, basin.upper) if lower < float(e) < upper]
    way = min((w for w in ways if w > 0), default=None)
    return MinimumStep(
        position=at,
        curvature=curvature,
        largest=None if factors is None else float((1 - factors).max()),
        noise=noise,
        barrier=None if way is None else noise / way,
        held=held_interval(landscape, basin),
        mass=float(basin.mass),
    )


def _gate(batches: Batches, point: SingularPoint) -> GateStep | None:
    """The steps from points evenly spread over a mean step beyond a gate."""
    right = point.role == "gate to the right"
    at = float(point.upper if right else point.lower)
    mean = float(batches.probability @ (batches.images(np.array([at]))[:, 0] - at))
    if mean == 0:
        return None
    lower, upper = batches.landscape.domain
    w = at + mean * (np.arange(BEYOND) + 0.5) / BEYOND
    w = w[(lower < w) & (w < upper)]
    if not len(w):
        return None
    images = batches.images(w)
    back = images < at if mean > 0 else images > at
    steps = images - w
    centred = steps - batches.probability @ steps
    noise = float(np.sqrt((batches.probability @ centred**2).max()))
    return GateStep(at, float((batches.probability @ back).mean()), noise / abs(mean))
