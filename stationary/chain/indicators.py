"""How large the steps of SGD are, compared with what they have to resolve: numbers, and in words.

Near a minimum a mean step multiplies the distance by 1 - T G', so it overshoots when T G' is above
1 and cannot settle when it is above 2. A one-way gate holds only if no minibatch leads back over
it; a barrier only if single steps do not jump it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from stationary.chain.cells import RestPoint
from stationary.result import Compared, Listed
from stationary.wording import MOST_NAMED, place_text, plain_text

OVERSHOOTS, UNSETTLED = 1.0, 2.0  # T times curvature
SMALL = 0.1  # the same, where spreads are within 3 per cent of those of the diffusion,
SINGLY = 0.5  # if that of no minibatch is more: of cubic gradients 0.3 left 2 per cent, 0.8 left 12
WIDER = 1.1  # spread of SGD over that of the diffusion that is worth a word
JUMPS = 0.3  # the noise of a step, relative to the way to a barrier, that is worth a word
ALONE = 1e-6  # of the probability elsewhere, below which a basin is left by nothing
MISJUDGED = 1.0  # change of a barrier that is worth a word: times and masses change by e
LEAK = 1e-4  # share of steps back over a gate that is worth a word


@dataclass(frozen=True, eq=False)
class Climb(Compared):
    """The way from a minimum to a barrier, in the steps of single datapoints."""

    barrier: float  # where it is
    kick: float  # the most that one datapoint adds to a step, over the way there
    height: float  # in the exponent, by the diffusion,
    change: float  # and what SGD has more of it; inf where some of it cannot be climbed


@dataclass(frozen=True, eq=False)
class MinimumStep(Compared):
    """One step, seen from a minimum."""

    position: float
    curvature: float | None  # T times that of the loss; None at a wall or a corner
    largest: float | None  # the same for the minibatch where it is largest
    noise: float  # T sqrt(D): the standard deviation of a step at the minimum
    barrier: float | None  # the noise over the distance to the nearer border, if there is one
    held: tuple[float, float] | None = None  # the interval around it that SGD cannot leave
    mass: float | None = None  # what its basin holds by the diffusion
    border: float | None = None  # the nearer border: a barrier, or a zero of the variance
    past: str = "barrier"  # which of the two
    wider: float | None = None  # deviation of SGD over that of the diffusion, to leading order
    length: float | None = None  # root mean square of a step from a corner,
    widths: float | None = None  # and the same over the width of the diffusion's peak there
    rests: bool = False  # no datapoint has a gradient there: the exponent decides, not curvature
    climbs: tuple[Climb, ...] = ()  # to the barriers on either side, where steps are small there

    def place(self, x: float) -> str:
        """A position in words, told apart from others around."""
        way = math.inf if self.border is None else abs(self.border - self.position)
        return place_text(x, way or self.noise)

    @property
    def at(self) -> str:
        return f"w = {self.place(self.position)}"


@dataclass(frozen=True, eq=False)
class GateStep(Compared):
    """One step, seen from a one-way gate."""

    position: float
    leak: float  # share of steps that lead back, from within a mean step beyond the gate
    noise: float  # standard deviation of a step there, over the length of the mean step


@dataclass(frozen=True, eq=False)
class StepIndicators(Listed):
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
        """T times the curvature, at the minimum where it is largest; rest points aside."""
        known = (m.curvature for m in self.minima if m.curvature is not None and not m.rests)
        return max(known, default=None)

    @property
    def kept(self) -> tuple[MinimumStep, ...]:
        """The minima that SGD cannot leave although the diffusion does."""
        return tuple(
            m
            for m in self.minima
            if m.held is not None and m.mass is not None and m.mass < 1 - ALONE
        )

    @property
    def warnings(self) -> tuple[str, ...]:
        """What is wrong with the step, worst first, in words; () where nothing is."""
        said: list[str] = []
        for kind in self._warned:
            more = len(kind) - MOST_NAMED
            said += kind if more <= 1 else [*kind[:MOST_NAMED], f"likewise at {more} more places"]
        return tuple(said)

    @property
    def _warned(self) -> Iterator[list[str]]:
        """The warnings of each kind."""
        found = []
        for m in sorted(self.minima, key=lambda m: -(m.curvature or 0.0)):
            at = f"at {m.at}"
            if m.curvature is None or m.rests:
                continue
            if m.curvature > OVERSHOOTS:
                what = "it cannot settle there" if m.curvature > UNSETTLED else "it overshoots"
                found.append(f"T times the curvature {at} is {plain_text(m.curvature)}: {what}")
            elif m.largest is not None and m.largest > UNSETTLED:
                found.append(
                    f"T times the curvature {at} is up to {plain_text(m.largest)} in single "
                    "minibatches: "
                    "those throw it out"
                )
            elif m.wider is not None and m.wider > WIDER and (m.barrier or 0.0) <= JUMPS:
                found.append(
                    f"T times the curvature {at} is {plain_text(m.curvature)}: SGD spreads about "
                    f"{100 * (m.wider - 1):.0f} % wider there than the diffusion"
                )
        yield found
        yield [
            f"one step from {m.at} is {plain_text(m.length)} long, {plain_text(m.widths)} times "
            "the width of the diffusion's peak there"
            for m in self.minima
            if m.length is not None and m.widths is not None and m.widths > 1
        ]
        yield [
            f"the gate at w = {g.position:.9g} leaks: {plain_text(100 * g.leak)} % of the steps "
            "just beyond it go back"
            for g in self.gates
            if g.leak > LEAK
        ]
        yield [
            f"the noise of one step is {plain_text(m.barrier)} times the way from {m.at} to "
            + (
                "the next barrier"
                if m.past == "barrier" or m.border is None
                else f"{m.past} at w = {m.place(m.border)}"
            )
            for m in self.minima
            if m.barrier is not None and m.barrier > JUMPS
        ]
        yield [
            f"the barrier from {m.at} to w = {m.place(c.barrier)} is about "
            f"{plain_text(c.height + c.change, 3)} in the exponent for SGD, "
            f"{plain_text(c.height, 3)} for the diffusion: a single datapoint moves it up to "
            f"{plain_text(c.kick)} times the way"
            for m in self.minima
            for c in m.climbs
            if abs(c.change) > MISJUDGED and math.isfinite(c.change)
        ]
        yield [
            f"SGD cannot leave the minimum at {m.at}, as the diffusion does: from "
            f"{m.place(m.held[0])} to {m.place(m.held[1])} no minibatch leads out"
            for m in self.kept
            if m.held is not None
        ]
        yield [
            f"the rest point w = {p.position:.9g} {'attracts' if p.attracts else 'repels'} SGD, "
            f"against what the diffusion says ({_per_step(p)})"
            for p in self.contradicted
        ]

    @property
    def line(self) -> str:
        """One sentence for a report."""
        if self.warnings:
            return "; ".join(self.warnings) + "."
        said = []
        if self.largest is not None:
            singly = max((m.largest or 0.0 for m in self.minima if not m.rests), default=0.0)
            small = "small: " if self.largest <= SMALL and singly <= SINGLY else ""
            but = f", up to {plain_text(singly)} in single minibatches" if singly > SINGLY else ""
            said.append(
                f"{small}T times the curvature is at most {plain_text(self.largest)}{but} (it "
                "settles below 2)"
            )
        said += [
            f"SGD comes to rest at w = {p.position:.9g} ({_per_step(p)})"
            for p in self.rests
            if p.attracts
        ]
        return ("; ".join(said) or "no minimum has a curvature to compare it with") + "."

    def __str__(self) -> str:
        return self.line


def _per_step(p: RestPoint) -> str:
    if math.isinf(p.exponent):
        return "one of its minibatches arrives in a single step"
    return f"log distance changes by {p.exponent:.3g} per step"
