"""What flows into one attractor of a plane, or to none."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from stationary.aliases import Array
from stationary.plane.local import Equilibrium
from stationary.process.plane import point_text
from stationary.result import Listed, Several
from stationary.wording import joined


@dataclass(frozen=True, eq=False, repr=False)
class PlaneBasin(Listed):
    """What flows into one attractor, and how much of the probability it holds.

    Attributes
    ----------
    attractor
        The stable equilibrium; None for cycles, and for what the drift leads into walls.
    log_mass, mass_error
        The log of its probability, and the error of that.
    barriers
        For each saddle on its border: its number among the equilibria, and log P at the
        attractor less log P there; `barrier_errors` are the errors of these.
    index
        Its number, by which a state takes it for a region.
    walls
        Without an attractor: the walls that the drift leads to, each a direction and its end.
    turns
        Without an attractor: whether the drift turns for ever, or leads out of sight.
    """

    attractor: Equilibrium | None
    log_mass: float
    mass_error: float
    barriers: tuple[tuple[int, float], ...]
    index: int
    walls: tuple[tuple[int, float], ...] = ()
    turns: bool = False
    barrier_errors: tuple[float, ...] = ()

    @property
    def at_wall(self) -> str:
        """The walls, in words."""
        named = [f"{end:g} of the {('first', 'second')[k]} coordinate" for k, end in self.walls]
        return f"the wall{'s' if len(named) > 1 else ''} {joined(named)}"

    @property
    def name(self) -> str:
        """What it is the basin of."""
        if self.attractor is not None:
            return point_text(self.attractor.position)
        return " and ".join(
            [*(["a wall"] if self.walls else []), *(["cycles"] if self.turns else [])]
        )

    @property
    def position(self) -> Array | None:
        return None if self.attractor is None else self.attractor.position

    @property
    def mass(self) -> float:
        return float(np.exp(self.log_mass))

    def __repr__(self) -> str:
        return f"<PlaneBasin of {self.name}: {self.mass:.6g}>"


class PlaneBasins(Several[PlaneBasin]):
    """The basins of an end state in the plane: a tuple that can be shown as a table."""
