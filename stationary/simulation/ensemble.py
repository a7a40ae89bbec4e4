"""`ensemble_of`: where walkers are at given steps of SGD, with momentum at rest at first."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from stationary.aliases import Array
from stationary.errors import StationaryError
from stationary.numbers.cost import BY_WORK, CACHE
from stationary.points import numbers_only
from stationary.process.initial import Initial
from stationary.process.landscape import Landscape
from stationary.progress import each
from stationary.simulation.blocks import Crew
from stationary.simulation.departure import WALKERS
from stationary.simulation.run import Run
from stationary.simulation.sgd import gradients_per_step
from stationary.simulation.streams import Moments


@dataclass(frozen=True, eq=False)
class Ensemble:
    """Walkers that take SGD's own steps, at the first of the times that were asked for.

    Attributes
    ----------
    positions
        (times, walkers), ascending in time; nan of what has run away to infinity. Times are those
        of the evolution, the last ones left out where steps would take too long.
    mean, mean_error, std, std_error
        (times,), with standard errors; of those that have not run away, nan where none is left.
    lost
        (times,): how many have.
    """

    positions: Array
    mean: Array
    mean_error: Array
    std: Array
    std_error: Array
    lost: Array

    @property
    def walkers(self) -> int:
        return int(self.positions.shape[1])

    def probability(self, lower: float, upper: float) -> tuple[Array, Array]:
        """P(lower < X <= upper) at each time, and its standard error: at least 1 / walkers."""
        n = self.walkers
        with numbers_only((lower, upper)):
            lower, upper = float(lower), float(upper)
        p = ((lower < self.positions) & (self.positions <= upper)).mean(axis=1)
        return p, np.maximum(np.sqrt(p * (1 - p) / n), 1 / n)


def ensemble_of(landscape: Landscape, start: Initial, times: Array) -> Ensemble | None:
    """None where no walker can take its steps in time."""
    try:
        run = Run(landscape, Crew(landscape), start, WALKERS, seed=0)
    except StationaryError:
        return None
    work = WALKERS * gradients_per_step(landscape) + CACHE * len(run.blocks)
    within = times[times <= BY_WORK // work]
    rows, moments = [], []
    for step in each(within.astype(int).tolist(), "times of walkers"):
        if step > run.done:
            run.advance(int(step) - run.done)
        moments.append(Moments.of(run.x[run.present]))
        rows.append(run.seen)
    if not rows:
        return None
    m = Moments.stacked(moments)
    lost = WALKERS - m.n.astype(int)
    told = [m.mean, m.mean_error, m.std, m.std_error]
    mean, mean_error, std, std_error = (np.where(m.n > 1, x, np.nan) for x in told)
    return Ensemble(np.array(rows), mean, mean_error, std, std_error, lost)
