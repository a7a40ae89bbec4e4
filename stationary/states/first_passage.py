"""What is reached first, and when, on a line that zeros of the variance cut into pieces."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from stationary.errors import LandscapeError
from stationary.process.diffusion import Diffusion
from stationary.process.initial import Initial
from stationary.process.landscape import Landscape
from stationary.progress import Progress, stage, watched
from stationary.result import Result
from stationary.sources.loading import ProcessLike, as_process
from stationary.states.arrivals import Arrivals
from stationary.states.law import Estimate, Value


@dataclass(frozen=True, eq=False, repr=False)
class FirstPassage(Result):
    """Which of several targets a process reaches first, and after how long.

    Of a `Landscape` it is the diffusion, the limit of small steps, that is followed: SGD itself may
    take far longer or shorter, which `summary()` and `to_dict()` say where that is cheap to know.

    Everything is an `Estimate`: its `value`, its `log`, right where the value is beyond doubles,
    and the `error` of the logarithm. Times are in the unit of the process (steps of SGD).

    Attributes
    ----------
    start
        Where the process starts: a point or points of any shape, or the law it is drawn from.
    targets
        As they were given.
    probability
        That each target is the first, shape (targets, *starts). Less than 1 in sum where none
        may ever be reached.
    approached
        That the process comes ever closer to each target without ever reaching it.
    mean, variance
        Of the time until the first target is reached, shape of the starts; inf where that may
        never be.
    conditional_mean, conditional_variance
        The same given which target is the first, shape (targets, *starts); nan where it never is.
    """

    diffusion: Diffusion
    start: Any
    targets: tuple[Any, ...]
    probability: Estimate
    mean: Estimate
    variance: Estimate
    conditional_mean: Estimate
    conditional_variance: Estimate
    approached: Estimate
    process: Diffusion | Landscape
    _line: Arrivals = field(repr=False)

    @property
    def digits(self) -> int | None:
        """How many were asked for; None: doubles."""
        return self._line.digits

    @property
    def starts(self) -> list[Any]:
        """The points where it starts, or the law."""
        return list(np.ravel(self.start)) if np.ndim(self.mean.log) else [self.start]

    @property
    def deviation(self) -> Estimate:
        """The standard deviation of the time, in its unit."""
        return Estimate(self.variance.log / 2, self.variance.error / 2)

    def __repr__(self) -> str:
        return f"<FirstPassage of {self.diffusion.name!r} from {self.start} to {self.targets}>"

    def occupation(self, x: Any) -> Estimate:
        """The mean time spent per unit of x, at points of any shape, before a target is reached.

        The Green's function of the passage: its integral over x is the mean time. For a single
        start; inf where the process comes back for ever.
        """
        if np.ndim(self._line.starts) or isinstance(self.start, Initial):
            raise LandscapeError(
                f"{self.diffusion.name}: the occupation density is that of a single start; ask "
                "first_passage for one start at a time."
            )
        at = self._line.points(x)
        value = self._line.network.occupation(self._line.starts.ravel()[0], at.ravel())
        return self._line.shaped(value, at.shape)


def first_passage(
    process: ProcessLike,
    start: Any,
    targets: Any,
    *,
    digits: int | None = None,
    progress: Progress = False,
) -> FirstPassage:
    """Which target is reached first, with what probability, and when.

    Parameters
    ----------
    process
        A `Diffusion`, a `Landscape` (whose diffusion is then taken), or the path of its file.
    start
        A point of the domain, an array of them, or a law: ``"normal:0.5,0.1"``, a frozen
        distribution of `scipy.stats`, an `EndState`.
    targets
        A point of the domain or several, among them possibly its ends. Only the nearest on either
        side of a start can be reached first.
    digits
        To compute in so many digits. Points may then be strings or mpmath numbers, and the
        results are mpmath numbers.
    progress
        True: show what is at work, and the time left where that is known, in a notebook, or on
        standard error if that is a terminal. Or a function that is called with how much of what is
        at work is done, and of how much.

    Returns
    -------
    FirstPassage
        Probabilities, means and variances, each with its error.

    Raises
    ------
    LandscapeError
        If a point lies outside the domain.

    References
    ----------
    .. [1] S. Karlin and H. M. Taylor, *A Second Course in Stochastic Processes*, ch. 15.3.
    """
    process = as_process(process, "first passage")
    with watched(progress, "passage"):
        with stage("what is on the way", 1, 2):
            line = Arrivals(process, start, targets, digits)
        with stage("probabilities and times", 2, 2):
            law = line.law(2)
            mean, variance = line.first_of(law)
    count, shaped = len(line.asked), line.shaped
    never = np.asarray(law.chance.log[:count] == -math.inf, dtype=bool)

    def given(value: Value) -> Estimate:
        """Where a target is never the first there is no time until it is."""
        return shaped(Value(np.where(never, math.nan, value.log), value.error))

    return FirstPassage(
        line.diffusion,
        line.given,
        tuple(line.asked),
        shaped(law.chance[:count]),
        shaped(mean),
        shaped(variance),
        given(law.mean),
        given(law.variance),
        shaped(law.chance[count:]),
        process,
        line,
    )


def mean_first_passage_time(
    process: ProcessLike, start: Any, target: Any, *, digits: int | None = None
) -> Any:
    """The mean time from `start` until a target is reached first; all as for `first_passage`.

    Returns
    -------
    float or array
        Of the shape of the starts, in the unit of time of the process (SGD steps for a
        landscape). inf where the target may never be reached, where the mean is infinite, and
        where it is beyond the range of doubles: `log_mean_first_passage_time` then tells these
        apart. nan where it is not known to a factor of e. `first_passage` gives the error.
    """
    return _mean(process, start, target, digits).value


def log_mean_first_passage_time(
    process: ProcessLike, start: Any, target: Any, *, digits: int | None = None
) -> Any:
    """The natural logarithm of `mean_first_passage_time`, right where that would overflow."""
    return _mean(process, start, target, digits).log


def hitting_probability(
    process: ProcessLike, start: Any, targets: Sequence[Any], *, digits: int | None = None
) -> tuple[Any, ...]:
    """The probability, for each target, that it is the first one to be reached from `start`.

    All as for `first_passage`, which gives the errors. The probabilities add up to less than one
    if the process may never reach any target: 0 for a point that it comes ever closer to
    (`first_passage` then says with what probability it is `approached`).
    """
    return tuple(chance.value for chance in _chances(process, start, targets, digits))


def log_hitting_probability(
    process: ProcessLike, start: Any, targets: Sequence[Any], *, digits: int | None = None
) -> tuple[Any, ...]:
    """The natural logarithms of `hitting_probability`; -inf where it is zero."""
    return tuple(chance.log for chance in _chances(process, start, targets, digits))


# -- how it is done -----------------------------------------------------------------------------


def _mean(process: Any, start: Any, target: Any, digits: int | None) -> Estimate:
    line = Arrivals(process, start, target, digits)
    mean, _ = line.first_of(line.law(1))
    unknown = np.asarray((mean.error >= 1) & (mean.error < math.inf), dtype=bool)
    least = mean.log - mean.error
    unknown &= np.asarray(least < math.log(sys.float_info.max), dtype=bool)  # else inf anyway
    return line.shaped(Value(np.where(unknown, math.nan, mean.log), mean.error))


def _chances(process: Any, start: Any, targets: Any, digits: int | None) -> list[Estimate]:
    line = Arrivals(process, start, targets, digits)
    chance = line.law(0).chance
    return [line.shaped(chance[i]) for i in range(len(line.asked))]
