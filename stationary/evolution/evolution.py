"""`Evolution`: where a process is at given times, and how far to trust it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stationary.distribution import Cells
from stationary.errors import LandscapeError
from stationary.process.diffusion import Diffusion
from stationary.process.initial import Initial
from stationary.process.landscape import Landscape
from stationary.result import Result
from stationary.states.distribution import EndState

__all__ = ["Evolution", "EvolutionAtom"]

Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class EvolutionAtom:
    """A point that collects probability: a trap, an absorbing end, or a rest point."""

    position: float
    weights: Array  # (times,)
    errors: Array  # (times,), absolute


@dataclass(frozen=True, eq=False, repr=False)
class Evolution(Result):
    """Where a process is at given times, and how far to trust it.

    All numbers are extrapolated to cells of no width, from grids up to four times as fine. Errors
    are absolute and come from what coarser grids make of the same; those of integration in time
    and of the ends of the window are added.

    Attributes
    ----------
    times
        (times,), ascending, in the unit of the process (SGD steps for a landscape).
    edges
        (cells + 1,), ascending: every zero of the variance inside is one.
    masses
        (times, cells): the probability of each cell. With that of the atoms it sums to one.
    atoms
        Points that hold probability, each with its `weights` (times,).
    mean, mean_error, std, std_error
        (times,), in the unit of x; atoms are part of them. nan, with an error of inf, where too
        much of one lies so far out that hardly any probability is there: then it is not known.
    error
        (times,): of the probability on either side of any edge.
    mass_error
        (times,): in total variation, on cells of twice the width.
    current, current_error
        J (times, cells + 1), upwards positive, and (times,) the error of its largest. At an atom,
        what comes from its left less what comes from its right.
    end_state
        Where all this leads.
    total_variation_to_end
        (times,): half the sum of |mass - mass in the end| over cells and atoms; with cells of no
        width it could only be larger. None where there is no end state to compare with.
    end_is_resolved
        Whether cells show the shape of the end state. If not, the distance is a lower bound.
    log_relaxation_time, relaxation_error
        log of 1 / (spectral gap), and its absolute error: what is slowest within a class of points
        that reach each other; inf where wells are joined by less than e^-100000. None where there
        is no gap: where probability leaves for ever, where an end that is never reached lets times
        grow without bound, or where the drift alone decides.
    slowest_mode
        (cells,): the masses of the mode that decays last within its class; the sum of their
        absolute values is 1. None where there is no gap, or where it is the start of a continuous
        spectrum.
    finest
        Cells of the finest grid.
    """

    process: Diffusion | Landscape
    diffusion: Diffusion
    initial: Initial
    times: Array
    edges: Array
    masses: Array
    atoms: tuple[EvolutionAtom, ...]
    mean: Array
    mean_error: Array
    std: Array
    std_error: Array
    error: Array
    mass_error: Array
    time_error: Array
    current: Array
    current_error: Array
    end_state: EndState
    total_variation_to_end: Array | None
    end_is_resolved: bool
    log_relaxation_time: float | None
    relaxation_error: float | None
    slowest_mode: Array | None
    finest: int
    tolerance: float
    notes: tuple[str, ...]

    @property
    def cells(self) -> int:
        return len(self.edges) - 1

    @property
    def density(self) -> Array:
        """(times, cells): the mean of P over each cell, per unit of x."""
        return np.asarray(self.masses / np.diff(self.edges))

    @property
    def relaxation_time(self) -> float | None:
        """1 / (spectral gap), in the unit of time; inf where doubles do not reach."""
        if self.log_relaxation_time is None:
            return None
        return math.exp(self.log_relaxation_time) if self.log_relaxation_time < 709 else math.inf

    @property
    def converged(self) -> bool:
        """Whether all errors of probabilities are within the tolerance."""
        return bool((self.error <= self.tolerance).all())

    @cached_property
    def _below(self) -> Array:
        """(times, cells + 1): the probability of the cells below each edge."""
        return np.concatenate([np.zeros((len(self.times), 1)), np.cumsum(self.masses, 1)], axis=1)

    def at(self, time: float) -> Cells:
        """Where the process is at one of the times, as a distribution."""
        k = int(np.argmin(np.abs(self.times - time)))
        if not abs(self.times[k] - time) <= 1e-9 * max(abs(time), float(self.times[-1])):
            known = ", ".join(f"{t:g}" for t in self.times[:5])
            more = ", ..." if len(self.times) > 5 else ""
            raise LandscapeError(
                f"{self.diffusion.name}: at({time!r:.40}) is none of the times of this evolution: "
                f"{known}{more}. Ask evolve for it."
            )
        span = float(self.edges[-1] - self.edges[0])
        within = float(np.diff(self.edges) @ self.masses[k]) / 4
        return Cells(
            edges=self.edges,
            masses=self.masses[k],
            positions=np.array([a.position for a in self.atoms]),
            weights=np.array([a.weights[k] for a in self.atoms]),
            error=float(self.error[k]),
            mass_error=float(self.mass_error[k]),
            shift_error=float(self.error[k]) * span + within,
        )

    def probability(self, lower: float, upper: float) -> Array:
        """P(lower < X <= upper) at every time, shape (times,).

        Right to within twice `error` if both points are edges; within a cell the density is taken
        as even.
        """
        if not lower <= upper:
            raise LandscapeError(
                f"probability({lower:g}, {upper:g}): the first end must not be above the second."
            )
        below = [
            np.array([np.interp(x, self.edges, row) for row in self._below]) for x in (lower, upper)
        ]
        held = [a.weights for a in self.atoms if lower < a.position <= upper]
        return np.asarray(np.clip(below[1] - below[0] + sum(held, np.zeros(len(self.times))), 0, 1))

    def __repr__(self) -> str:
        return (
            f"<Evolution of {self.diffusion.name!r}: {len(self.times)} times to "
            f"{self.times[-1]:g}, {self.cells} cells, error {float(self.error.max()):.0e}>"
        )
