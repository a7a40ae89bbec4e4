"""`Basin`: a minimum, what it holds, and what separates it from its neighbours."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from stationary.line.ends import Anatomy, anatomy
from stationary.line.reshape import unrolled
from stationary.line.sampled import coefficients_at
from stationary.numbers.arithmetic import DOUBLE
from stationary.numbers.elementary import exp, to_float
from stationary.result import Listed, Several
from stationary.states.distribution import EndState
from stationary.states.law import Passage
from stationary.states.passage import Stretch
from stationary.weight.component import Component
from stationary.weight.modes import Mode

NEGLIGIBLE = 1e-3  # of a basin: a part that holds less is no answer to where the process is


@dataclass(frozen=True, eq=False)
class Basin(Listed):
    """A stable equilibrium and the interval between the unstable ones around it.

    All logarithms are natural. `log_mass` is right to `mass_error`, which is the absolute
    error of log_mass and so the relative error of mass. Where several minima were too close to
    count as basins of their own, these are its `parts`, and the heaviest of them its minimum.
    What is a float here has more digits than that where they were asked for.
    """

    position: float  # of the minimum
    position_error: float
    at_wall: bool  # not a zero of the drift: the drift presses against a reflecting end
    lower: float  # on a ring, the basin across the seam runs on beyond the end of the domain that
    upper: float  # is nearer to its minimum: lower < position < upper always
    mass: float
    log_mass: float
    mass_error: float
    log_density: float  # log P at the minimum; where the noise jumps there, on its quieter side
    curvature: Any  # -f' at the minimum [1 / time]; None at a corner or a wall
    curvature_error: float  # absolute, as the next one
    variance_error: float
    variance: float  # a at the minimum [x^2 / time], on the same side
    barrier_left: float | None  # drop of int 2 f / a from the minimum to the unstable neighbour
    barrier_right: float | None  # None where there is no neighbour on that side
    barrier_error: float  # absolute, of both
    offset: float  # what position leaves out of where the minimum is
    # lower, position and upper with all the digits that were computed
    places: tuple[Any, Any, Any] = field(repr=False, compare=False)
    component: Component = field(repr=False, compare=False)
    weight_error: float = field(repr=False, compare=False)  # of its component, relative
    state: EndState = field(repr=False, compare=False)
    parts: tuple[Basin, ...] = ()  # the minima that were merged, left to right, if any were
    owner: Any = field(default=None, repr=False, compare=False)  # the analysis it is part of

    @cached_property
    def modes(self) -> tuple[Mode, ...]:
        """The local maxima of the density on it, left to right."""
        low, _, high = self.places
        domain, turns = self.state.diffusion.domain, [0.0]
        if self.state.diffusion.is_periodic:
            turns = [t * (domain[1] - domain[0]) for t in (-1, 0, 1)]
        inside = {
            m.place + t: m for t in turns for m in self.state.modes if low <= m.place + t <= high
        }
        return tuple(dict.fromkeys(inside[place] for place in sorted(inside)))

    @property
    def told_apart(self) -> tuple[Basin, ...]:
        """The parts that hold more than a thousandth of it; () where one of them holds the rest."""
        known = [p for p in self.parts if p.log_mass - self.log_mass > math.log(NEGLIGIBLE)]
        return tuple(known) if len(known) > 1 else ()

    @property
    def width(self) -> float | None:
        """The standard deviation of a small peak there: sqrt(a / (2 curvature)); None if flat."""
        if self.curvature is None or not self.curvature > 0:
            return None
        return math.sqrt(float(self.variance) / (2 * float(self.curvature)))

    @property
    def width_error(self) -> float | None:
        """The absolute error of `width`."""
        width = self.width
        if width is None:
            return None
        parts = ((self.curvature_error, self.curvature), (self.variance_error, self.variance))
        relative = sum(float(error) / float(value) for error, value in parts if value)
        return float(width * (relative / 2 + 2 * DOUBLE.epsilon + self.state.doubt))

    @cached_property
    def border_errors(self) -> tuple[float, float]:
        """The absolute errors of `lower` and `upper`; 0 of ends, which are as they were given."""
        found, (low, high) = self.state.anatomy.equilibria, self.state.diffusion.domain
        known = {e.place: e.error for e in found}
        if self.state.diffusion.is_periodic:
            known |= {e.place + t: e.error for t in (low - high, high - low) for e in found}

        def error(x: Any) -> float:
            return float(known[x] + self.state.lost(x)) if x in known else 0.0

        return error(self.places[0]), error(self.places[2])

    @property
    def lower_error(self) -> float:
        """The absolute error of `lower`."""
        return self.border_errors[0]

    @property
    def upper_error(self) -> float:
        """The absolute error of `upper`."""
        return self.border_errors[1]

    @cached_property
    def log_density_error(self) -> float:
        """The absolute error of `log_density`."""
        at = np.array([self.places[1]])
        return float(self.weight_error + self.component.errors_at(at)[0]) + 2 * self.state.doubt

    @property
    def sharpness_error(self) -> Any:
        """The absolute error of `sharpness`."""
        if self.sharpness is None:
            return None
        return float(self.curvature_error / self.owner.landscape.small_step_rate)

    @cached_property
    def _exit(self) -> Passage | None:
        return exit_of(self) if self.owner is None else self._of("exits")

    @property
    def log_exit_time(self) -> float | None:
        """log of the mean time from the minimum to the first border; None without a border."""
        return None if self._exit is None else self._exit.log_time

    @property
    def exit_time(self) -> float | None:
        """That time; inf where doubles overflow."""
        return None if self._exit is None else self._exit.time

    @property
    def exit_time_error(self) -> Any:
        """Of `log_exit_time`, absolute, and so relative to the time."""
        return None if self._exit is None else self._exit.error

    @property
    def loss(self) -> Any:
        """The mean loss at the minimum; None where no losses were given."""
        return self._of("losses")

    @property
    def loss_error(self) -> Any:
        """The absolute error of `loss`."""
        return self._of("loss_errors")

    @property
    def sharpness(self) -> Any:
        """The second derivative of the mean loss there; None without a landscape."""
        return self._of("sharpnesses", 0)

    @property
    def batch_sharpness(self) -> Any:
        """That of the minibatch for which it is largest in size."""
        return self._of("sharpnesses", 1)

    def _of(self, what: str, *item: int) -> Any:
        """What the analysis knows of its minima, for this one."""
        if self.owner is None:
            return None
        at = next((i for i, b in enumerate(self.owner.basins) if b.places == self.places), None)
        found = None if at is None else getattr(self.owner, what)[at]
        return found[item[0]] if item and found is not None else found

    @property
    def density(self) -> float:
        """P at the minimum, per unit of x."""
        if type(self.log_density) is float:
            return math.exp(min(self.log_density, 709.0))
        density: float = exp(self.log_density)
        return density


class Basins(Several[Basin]):
    """The basins of an analysis, left to right: a tuple that can be shown as a table."""


def exit_of(b: Basin) -> Passage | None:
    """The mean time from the minimum of a basin to the first of its borders; None without any."""
    piece = b.state.anatomy.piece_at(b.places[0])
    if piece.sampling.diffusion.is_periodic:
        piece = anatomy(unrolled(piece.sampling))
    lower, upper = piece.sampling.interval
    low, position, high = b.places
    inner = (low > lower, high < upper)
    if not any(inner):
        return None
    ends = low if inner[0] else None, high if inner[1] else None
    reach = (position, position)
    with np.errstate(all="ignore"):  # on panels narrower than any double it is nan: not known
        passage = Stretch((piece,), ends, inner, reach=reach).exit_from(position)
    passage = replace(passage, error=passage.error + _of_borders(piece, ends))
    return passage if b.state.digits is not None else passage.rounded()


def _of_borders(piece: Anatomy, ends: tuple[Any, Any]) -> float:
    """What it changes, relative to the time, that the ends are known to their errors only.

    On a barrier the scale function rises within the width of the unstable equilibrium: by
    sqrt(2 |f'| / a) per unit of length, or less.
    """
    tops = [e for e in piece.equilibria if e.place in ends and e.slope]
    if not tops:
        return 0.0
    noise = coefficients_at(piece.sampling.diffusion, np.array([e.place for e in tops]))[1]
    slope = np.array([float(e.slope or 0) for e in tops])
    off = np.array([e.error for e in tops])
    with np.errstate(divide="ignore", invalid="ignore"):
        return float(np.nan_to_num(off * np.sqrt(2 * np.abs(slope) / to_float(noise))).sum())
