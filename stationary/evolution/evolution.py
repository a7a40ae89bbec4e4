"""`Evolution`: where a process is at given times, and how far to trust it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from stationary.aliases import Array
from stationary.cells import Cells
from stationary.errors import LandscapeError
from stationary.evolution.between import Between
from stationary.evolution.request import Asked, EvolutionAtom, Seen
from stationary.evolution.standard_errors import EvolutionErrors, errors_of
from stationary.points import numbers_only
from stationary.process.diffusion import Diffusion
from stationary.process.initial import Initial
from stationary.process.landscape import Landscape
from stationary.progress import INTERRUPTED
from stationary.result import Result
from stationary.simulation.run import Ensemble, ensemble_of
from stationary.states.distribution import EndState


@dataclass(frozen=True, eq=False, repr=False)
class Evolution(Result, Seen):
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
        (times,): of the probability on either side of any edge that doubles tell from an atom.
    mass_error
        (times,): in total variation, on cells of twice the width.
    current, current_error
        J (times, cells + 1), upwards positive, and (times,) the error of its largest. At an atom,
        what comes from its left less what comes from its right.
    end_state
        Where all this leads.
    total_variation_to_end
        (times,): the distance to it, from 0 to 1. None where there is no end state to compare with.
    total_variation_error
        (times,): of that distance.
    end_is_resolved
        Whether cells show the shape of the end state. If not, the distance is a lower bound.
    between
        What the cells say of the law between their edges, as in `at`.
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
    stopped
        Why later times, or finer grids, that were asked for are missing; empty if none are.
    """

    process: Diffusion | Landscape
    diffusion: Diffusion
    initial: Initial
    times: Array
    edges: Array
    atoms: tuple[EvolutionAtom, ...]
    end_state: EndState
    total_variation_to_end: Array | None
    total_variation_error: Array | None
    end_is_resolved: bool
    log_relaxation_time: float | None
    relaxation_error: float | None
    slowest_mode: Array | None
    finest: int
    tolerance: float
    between: Between
    notes: tuple[str, ...]
    stopped: str = ""

    @cached_property
    def walkers(self) -> Ensemble | None:
        """What SGD's own steps make of it, by walkers.

        None of a drift and a variance, and of what was stopped.
        """
        if self.interrupted or not isinstance(self.process, Landscape):
            return None
        return ensemble_of(self.process, self.initial, self.times)

    @cached_property
    def standard_errors(self) -> EvolutionErrors | None:
        """What a sample leaves unsure of all this; None where nothing was estimated from one."""
        if self.diffusion.sample is None:
            return None
        asked = Asked(self.process, self.end_state, self.initial, self.times, self.tolerance)
        return errors_of(asked, self, self.edges, self.between.breaks, self.finest)

    @property
    def interrupted(self) -> bool:
        """Whether it was stopped by hand: what was done until then is kept."""
        return self.stopped == INTERRUPTED

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

    def at(self, time: float) -> Cells:
        """Where the process is at one of the times, as a distribution."""
        with numbers_only(time):
            time = float(time)
        k = int(np.argmin(np.abs(self.times - time)))
        if not abs(self.times[k] - time) <= 1e-9 * max(abs(time), float(self.times[-1])):
            known = ", ".join(f"{t:g}" for t in self.times[:5])
            more = ", ..." if len(self.times) > 5 else ""
            raise LandscapeError(
                f"{self.diffusion.name}: at({time!r:.40}) is none of the times of this evolution: "
                f"{known}{more}. Ask evolve for it."
            )
        error, moments = float(self.error[k]), (float(self.mean[k]), float(self.std[k]) ** 2)
        if self.times[k] == 0 and self.initial.law is None:
            share = self.initial.weights / self.initial.weights.sum()
            return Cells(np.empty(0), np.empty(0), self.initial.points, share, moments=moments)
        rise, off = self.between.law(self.masses[k], error)
        width = np.diff(self.edges)
        return Cells(
            self.edges,
            self.masses[k],
            np.array([a.position for a in self.atoms]),
            np.array([a.weights[k] for a in self.atoms]),
            error=min(error + float(off.max()), 1.0),
            mass_error=float(self.mass_error[k] + off.sum()),
            shift_error=error * float(width.sum()) + float(off @ width),
            rise=rise,
            powers=self.between.powers,
            moments=moments,
        )

    def probability(self, lower: float, upper: float) -> Array:
        """P(lower < X <= upper) at every time, shape (times,).

        Right to within twice the error of `at(time)`, and twice `error` if both points are edges.
        """
        return np.array([self.at(t).probability(lower, upper) for t in self.times])

    def __repr__(self) -> str:
        return (
            f"<Evolution of {self.diffusion.name!r}: {len(self.times)} times to "
            f"{self.times[-1]:g}, {self.cells} cells, error {float(self.error.max()):.0e}>"
        )
