"""`Simulation`: what the walkers did, and how far to trust it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np

from stationary.aliases import Array
from stationary.cells import Cells
from stationary.errors import LandscapeError
from stationary.result import Result
from stationary.simulation.streams import Estimate
from stationary.wording import measured


class Ending(Enum):
    """How a simulation ended. The value is what is shown to the user."""

    COMPLETE = "all steps were done"
    TARGET_MET = "the target error was met"
    TARGET_MISSED = "the target error was not met: give more steps or more walkers"
    ABSORBED = "every walker was absorbed"
    AT_REST = "every walker has come to rest"
    INTERRUPTED = "what was done until then is shown"
    ESCAPED = "some walkers left every bound: there may be no end state"
    METASTABLE = "the walkers have not mixed: these are no averages over an end state"


@dataclass(frozen=True, eq=False, repr=False)
class Simulation(Result, Estimate):
    """The walkers of one process, observed for a time.

    Errors are standard errors between independent walkers, so that autocorrelation is in them.
    Those that start from a law have one equal share of it each, so that they scatter less than
    their errors say. Errors do not hold that of a finite time step, nor what a walker that has not
    mixed would have told later: see `metastable`. Those of `var` and `std` suppose that the fourth
    moment is finite. An event that no walker saw, or every one always, has the error 1 / walkers.

    Attributes
    ----------
    mean, var, std
        Of the position, over all walkers and observed steps; each with its `_error`.
    burn_in, steps_done
        Steps of each walker before it was observed, and while it was. Where all were absorbed,
        the steps until then are counted as burn-in.
    edges, mass, mass_error
        The histogram: the probability of each bin; `below` all of them is what the sum lacks,
        and what lies above. `cdf_error` is that of what lies below an edge, where it is largest.
        It, `probabilities` and `occupied` are looked at in every eighth step of a long run.
    intervals, probabilities, probability_errors
        What was asked for.
    autocorrelation_time
        Steps per independent position: 1 + 2 sum of the autocorrelations.
    r_hat
        Spread over all walkers over that within half of a walk; 1 if well mixed.
    basins, occupied, occupied_error, changes
        Zeros of the drift that attract, the share of time in which walkers were last seen near
        each, with its standard error, and how often they changed from one to another while they
        were observed.
    times, means, stds
        The ensemble at step 0 and every `every`-th step, with `mean_errors` and `std_errors`;
        `counts` walkers each. Times are in the unit of the process, dt times the steps.
    snapshots
        Positions at these times, shape (times, walkers), nan once escaped; or None.
    positions
        Positions in the end, shape (walkers,).
    folded, absorbed
        How often walkers were reflected while they were observed, and how many were absorbed in
        all, at each end.
    escaped
        How many left every bound. They are not in any average.
    rate
        Steps of walkers per second.
    """

    name: str
    variable: str
    time_unit: str
    method: str
    walkers: int
    burn_in: int
    steps_done: int
    dt: float
    seed: Any
    edges: Array
    intervals: tuple[tuple[float, float], ...]
    autocorrelation_time: float
    r_hat: float
    basins: Array
    changes: int
    times: Array
    counts: Array
    means: Array
    mean_errors: Array
    stds: Array
    std_errors: Array
    snapshots: Array | None
    positions: Array
    folded: tuple[int, int]
    absorbed: tuple[int, int]
    escaped: int
    ending: Ending
    metastable: bool
    complete: bool
    confined: bool  # walkers hardly cross between basins, or never came near one
    reasons: tuple[str, ...]  # why it is metastable
    notes: tuple[str, ...]
    rate: float

    @property
    def status(self) -> Ending:
        return self.ending

    @property
    def histogram(self) -> tuple[Array, Array, Array]:
        """Edges, mass of each bin, and its standard error."""
        return self.edges, self.mass, self.mass_error

    @property
    def distribution(self) -> Cells:
        """The histogram as a distribution, to be held against others."""
        # The mean of the walkers is known to its standard error, and within a bin nothing is.
        within = float(np.diff(self.edges) @ self.mass) / 4
        return Cells(
            edges=self.edges,
            masses=self.mass,
            error=self.cdf_error,
            shift_error=self.mean_error + within,
            noise=self.mass_error,
            before=self.below,
        )

    @property
    def density(self) -> tuple[Array, Array]:
        """Mass over width of each bin, and its standard error."""
        width = np.diff(self.edges)
        return self.mass / width, self.mass_error / width

    def probability(self, lower: float, upper: float) -> float:
        """P(lower <= x <= upper), for an interval that was asked for.

        Raises
        ------
        LandscapeError
            If it was not asked for.
        """
        return self._probability(lower, upper)[0]

    def probability_error(self, lower: float, upper: float) -> float:
        """The standard error of `probability`, for an interval that was asked for."""
        return self._probability(lower, upper)[1]

    def _probability(self, lower: float, upper: float) -> tuple[float, float]:
        pair = (float(lower), float(upper))
        if pair not in self.intervals:
            raise LandscapeError(
                f"{self.name}: the probability of ({lower:g}, {upper:g}) was not gathered. Ask for "
                f"it before the simulation: simulate(..., intervals=[({lower:g}, {upper:g})])."
            )
        i = self.intervals.index(pair)
        return self.probabilities[i], self.probability_errors[i]

    def absorption(self) -> tuple[tuple[float, float], tuple[float, float]]:
        """The share of walkers absorbed at the lower and the upper end, each with its error.

        An end that no walker, or every one, reached has the error 1 / walkers.
        """
        n = self.walkers

        def share(k: int) -> tuple[float, float]:
            p = k / n
            return p, math.sqrt(p * (1 - p) / (n - 1)) if 0 < k < n else 1 / n

        return share(self.absorbed[0]), share(self.absorbed[1])

    def __repr__(self) -> str:
        return (
            f"<Simulation of {self.name!r}: {self.walkers} walkers, {self.steps_done} steps, mean "
            f"{measured(self.mean, self.mean_error)}, {self.ending.name.lower()}>"
        )
