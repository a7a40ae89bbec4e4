"""What a reader should know about the box in which an end state was found."""

from __future__ import annotations

import math
from dataclasses import replace

from stationary.errors import ConvergenceError, LandscapeError
from stationary.plane.boxes import sides_of
from stationary.plane.density import Density
from stationary.plane.local import Equilibrium
from stationary.plane.rough import found_on_grid
from stationary.plane.spectral import CUT
from stationary.process.plane import Box, PlaneDiffusion, box_text


def notes_of(
    process: PlaneDiffusion, density: Density, equilibria: tuple[Equilibrium, ...]
) -> tuple[str, ...]:
    """What a reader should know about the box and the noise."""
    notes = []
    if not equilibria:
        notes.append("The drift vanishes nowhere in the domain.")
    sides = []
    for axis, side, x in sides_of(density.box, 201):
        end, least = process.domain[axis][side], density.depth(x).min()
        if density.box[axis][side] == end and least < 6:
            name, share = ("first", "second")[axis], math.exp(-max(float(least), 0.0))
            sides.append(f"{end:g} of the {name} coordinate (about {share:.1g} of the peak)")
    if sides:
        wider = _wider(process, equilibria)
        better = f" Without walls {box_text(wider)} would hold all of it." if wider else ""
        notes.append(
            f"The density is not small at the walls {' and '.join(sides)}, which reflect: where "
            f"nothing stops the process there, the box is too small.{better}"
        )
    return tuple(notes)


def _wider(process: PlaneDiffusion, equilibria: tuple[Equilibrium, ...]) -> Box | None:
    """The box of the same process without walls, where that can be had."""
    try:
        free = replace(process, domain=((-math.inf, math.inf),) * 2)
        return found_on_grid(free, equilibria, CUT).box
    except (LandscapeError, ConvergenceError):
        return None
