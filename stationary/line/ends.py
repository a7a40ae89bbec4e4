"""`anatomy`: where the drift vanishes, and what each end of the domain is to the process."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from stationary.errors import LandscapeError
from stationary.functions.given import Boundary
from stationary.line.equilibria import Equilibrium, equilibria_of
from stationary.line.feller import Exponents, Feller
from stationary.line.probing import exponents_at
from stationary.line.sampling import Sampling
from stationary.numbers.elementary import number
from stationary.wording import place_text


@dataclass(frozen=True)
class End:
    """One end of the domain."""

    position: float
    side: str  # "lower" or "upper"
    feller: Feller
    reflects: bool  # whether probability that arrives is sent back
    assumed: bool  # whether that is an assumption rather than something given
    room: float | None = None  # that of `exponent` + 1, whose sign decides, without its rounding
    order: float | None = None  # a ~ r^order
    integrable: bool | None = True  # whether P can be integrated up to here; None: not decided
    push: int = 0  # the drift at a finite singular end: +1 inwards, -1 outwards, 0 if it vanishes
    absorbs: bool = False  # because that was asked for
    exponents: Exponents | None = field(default=None, repr=False, compare=False)  # None at a wall
    logarithm: tuple[float, float] | None = None  # b and c, where P ~ 1 / (r (|log r| + c)^b)

    @property
    def exponent(self) -> float | None:
        """P ~ r^exponent; +-inf beyond all powers; None at a wall."""
        return None if self.room is None else self.room - 1

    @property
    def period(self) -> float | None:
        """After which drift and variance repeat themselves, for ever."""
        return None if self.exponents is None else self.exponents.period

    @property
    def has_flow(self) -> bool:
        """Whether scale and speed are finite there and a P, what noise brings, is not 0."""
        return self.feller is Feller.REGULAR and self.order is not None and self.order < 1

    def converges(self, s: Any, k: float, *, fallen: bool = False) -> bool | None:
        """Whether the weight e^(s Phi) a^-k can be integrated up to here; None: not decided.

        `fallen` says that it is seen to fall to nothing on the way.
        """
        if self.exponents is None:
            return True
        converges = self.exponents.converges(s, k)
        return True if converges is None and fallen else converges

    def describe(self, variable: str, span: float = math.inf) -> str:
        """The end of a domain so long in words."""
        at = f"{variable} = {place_text(self.position, span, 6)}"
        tail = ""
        if self.period is not None:
            tail = f"; drift and variance repeat every {self.period:.6g}"
        elif self.exponent is not None and math.isfinite(self.exponent):
            base = f"|{variable}|" if math.isinf(self.position) else "distance"
            power = round(self.exponent, 9)
            falls = "falls" if (power < 0) == math.isinf(self.position) else "grows"
            tail = f"; P {falls} there as {base}^{power:.6g}" if power else ""
            if self.logarithm is not None:
                tail = f"; P goes there as 1 / ({base} log({base})^{self.logarithm[0]:.6g})"
        words = {
            Feller.WALL: "a reflecting wall" + (" (nothing else was said)" if self.assumed else ""),
            Feller.REGULAR: "reached, and taken as reflecting (an assumption)",
            Feller.EXIT: "reached in finite time and never left: probability collects there",
            Feller.ENTRANCE: "never reached (entrance)",
            Feller.NATURAL: "never reached (natural)",
            Feller.ATTRACTING: "approached for ever and never reached (natural, attracting)",
            Feller.UNDECIDED: "not decided: its exponents do not settle",
            Feller.JOINED: "joined to the other end (periodic)",
        }[self.feller]
        if self.absorbs:
            reached = self.feller in (Feller.WALL, Feller.REGULAR, Feller.EXIT)
            words = "absorbing" if reached else f"{words}, so that it absorbs nothing"
        elif self.feller is Feller.REGULAR and self.push > 0 and not self.has_flow:
            words = "reached, and left at once: the drift points inwards and nothing opposes it"
        return f"{at}: {words}{tail}"


@dataclass(frozen=True, eq=False, repr=False)
class Anatomy:
    """The equilibria, left to right, and the two ends."""

    sampling: Sampling
    equilibria: tuple[Equilibrium, ...]
    ends: tuple[End, End]

    def __repr__(self) -> str:
        low, high = (end.position for end in self.ends)
        return f"<Anatomy from {low:g} to {high:g}: {len(self.equilibria)} equilibria>"


def rise_beyond(parts: Anatomy, side: int) -> tuple[Any, Any]:
    """int 2 f / a between the panels and an end that is passed, where a ~ r^order; and its error.

    2 f / a goes on as r^-order there; by how much it does not between the last panel and twice as
    far from the end is the error of the power.
    """
    found, order = parts.sampling, parts.ends[side].order or 0.0
    edge = (found.lower, found.upper)[side]
    way = edge - found.diffusion.end(side, found.arithmetic)
    here = number(found.samples.at_edges[0][side][-side])
    rise = here * abs(way) / (1 - order)
    if not here:
        return rise, 0.0 * rise
    further = number(found.panels.evaluate(found.h, np.array([edge + way]))[0])
    power = abs(float(further / here) * 2**order - 1) / math.log(2)
    return rise, abs(rise) * min(power / (1 - order), 1.0)


def anatomy(found: Sampling) -> Anatomy:
    """Find the equilibria and classify the ends of a sampled process."""
    return Anatomy(
        sampling=found,
        equilibria=equilibria_of(found),
        ends=(_end(found, 0, "lower"), _end(found, 1, "upper")),
    )


def _end(found: Sampling, index: int, side: str) -> End:
    diffusion = found.diffusion
    position, given = diffusion.domain[index], diffusion.boundaries[index]
    if given is Boundary.PERIODIC:
        return End(position, side, Feller.JOINED, reflects=False, assumed=False)
    absorbs = given is Boundary.ABSORBING
    if not found.open_ends[index]:
        if given is Boundary.NATURAL:
            raise LandscapeError(
                f"{diffusion.name}: the {side} end {diffusion.variable} = {position:g} cannot be "
                "natural: the variance is positive there, so the process reaches it. Use "
                '"reflecting", or move the end to where the process does not come.'
            )
        return End(position, side, Feller.WALL, not absorbs, given is None, absorbs=absorbs)
    e = exponents_at(found, index)
    density = (1, 1 - diffusion.convention.value)
    feller, integrable = e.feller, e.converges(*density)
    if integrable is None and found.fallen[index]:
        integrable = True  # as it was sampled, the density has fallen to nothing on its way there
    keeps = feller in (Feller.ENTRANCE, Feller.NATURAL)
    push = 0 if e.outward else e.push
    room, logarithm = e.of(*density).value, e.logarithm(*density)
    if logarithm is not None:
        room, logarithm = 0.0, (float(logarithm[0]), float(logarithm[1]))
    return End(
        position,
        side,
        feller,
        reflects=keeps or (feller is Feller.REGULAR and not absorbs),
        assumed=feller is Feller.REGULAR and given is None and push <= 0,
        room=None if math.isnan(room) else room,
        order=None if math.isnan(e.order) else e.order,
        integrable=integrable,
        push=push,
        absorbs=absorbs,
        exponents=e,
        logarithm=logarithm,
    )
