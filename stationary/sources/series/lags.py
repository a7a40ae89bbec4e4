"""The ladder of lags: whether what was recorded is a diffusion at all.

With the end state and the shape of the variance as fitted, how fast the process runs is fitted
anew to steps over 1, 2, 4, ... observations. A diffusion runs equally fast at every lag. Noise of
the measurement looks like fast motion at short lags; inertia, like slow motion there.

Whether it has an end state at all is Dickey and Fuller's question [1]_: a walk without one comes
back to its mean, too, but seldom as much.

References
----------
.. [1] D. A. Dickey, W. A. Fuller, J. Amer. Statist. Assoc. 74 (1979) 427.
.. [2] J. G. MacKinnon, Critical values for cointegration tests, Queen's Economics Department
   Working Paper 1227 (2010), table 2: with a constant, at 1 per cent.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum

import numpy as np

from stationary.errors import LandscapeError
from stationary.result import Listed
from stationary.sources.series.chain import Chain
from stationary.sources.series.chart import Even
from stationary.sources.series.likelihood import Fitted, fitted
from stationary.sources.series.runs import Runs

LADDER = (1, 2, 4, 8, 16)  # observations: noise shows at short lags, inertia before long ones
SURE = 3.0  # standard errors
WORTH = 0.05  # relative difference that is worth a word
ENOUGH = 10.0  # relaxation times: a random walk of any length shows fewer
WALK = (-79.433, -16.786, -6.5393, -3.43035)  # of 1 / steps: one walk in 100 is below it [2]_
UNTOLD = 0.5  # relative standard error of a lag that tells nothing any more


class Verdict(Enum):
    """What the ladder says of the model; the value is what a person reads."""

    DIFFUSION = (
        "consistent with a diffusion: it runs equally fast at every lag, as far as the series tells"
    )
    NOISE = (
        "measurement noise, or jumps, on top of a diffusion: it runs faster at short lags than at "
        "long ones; fit every second or fourth observation, or take the noise out"
    )
    JUMPS = (
        "not a diffusion, as fitted: some of its steps are so long that a diffusion never makes "
        "them. These are jumps or outliers (take them out, and fit what is left on either side as "
        "several runs), or the noise changes too steeply with x (fit log x)"
    )
    INERTIA = (
        "inertia: it runs slower at short lags than at long ones, as something that has a velocity "
        "does, or what is driven in a cycle; fit every second or fourth observation, or take the "
        "cycle out"
    )
    REVERSING = (
        "not a diffusion: values some observations apart have a negative correlation, which a "
        "diffusion never makes. Differences do (fit their sum), corrections that overshoot, or a "
        "cycle (take it out)"
    )
    ONE_WAY = (
        "not a diffusion: its steps up are not like its steps down, as they are of all that one "
        "coordinate tells: it is reset (cut it there, into several runs), or driven round a cycle"
    )
    UNDECIDED = (
        "not decided: one lag is known at most, as observations are few or lie far apart; white "
        "noise would look the same"
    )
    SHORT = (
        "not decided: the series lasts less than ten of the times in which it forgets, as a walk "
        "without an end state would, too; observe it longer"
    )
    WALK = (
        "not decided: of walks without an end state more than one in 100 come back to their mean "
        "as much (see the ladder of lags); observe it longer"
    )
    NOT_STATIONARY = (
        "not stationary: its two halves differ by more than chance, or less a linear trend it is "
        "far more likely (see the ladder of lags); fit parts of it, or take the trend out"
    )


@dataclass(frozen=True, eq=False)
class Lags(Listed):
    """How fast the process runs by steps over several observations.

    Attributes
    ----------
    lags, times
        Numbers of observations, and the mean times that they take; up to those that tell nothing.
    speeds, errors
        Relative to the fit, with standard errors.
    halves
        How far the two halves of the series are apart, in standard errors: of the mean, and of the
        speed.
    trend
        The slope of its linear trend, and by how much the log of its likelihood grows without it.
    unit_root
        Dickey and Fuller's statistic, and what one in 100 walks without an end state is below.
    """

    lags: tuple[int, ...]
    times: tuple[float, ...]
    speeds: tuple[float, ...]
    errors: tuple[float, ...]
    halves: tuple[float, float]
    trend: tuple[float, float]
    unit_root: tuple[float, float]
    verdict: Verdict


def lags_of(found: Fitted) -> Lags:
    """The ladder for what was fitted."""
    runs, chain, cells = found.runs, found.chain, found.cells
    lags, times, speeds, errors, reversing = [], [], [], [], False
    for lag in LADDER:
        if min(map(len, runs.values)) <= 4 * lag:
            break
        speed, error = chain.speed(cells.counts(runs.classes(lag)))
        if not error * math.sqrt(lag) < UNTOLD * speed:  # of steps that share nothing
            reversing = _correlation(runs, chain, lag) < -SURE
            break
        lags.append(lag)
        times.append(float(runs.steps(lag)[2].mean()))
        speeds.append(speed)
        # Of squared sums of so many increments, one for each observation: those of steps that share
        # k of them have the correlation (k / lag)^2.
        errors.append(error * math.sqrt((2 * lag * lag + 1) / (3 * lag)))
    halves, trend, unit_root = _halves(runs, chain), _trend(found), _unit_root(runs)
    verdict = (
        Verdict.JUMPS
        if chain.impossible(cells.counts(runs.classes()))
        else Verdict.NOT_STATIONARY
        if trend[1] > (SURE + 1) ** 2 / 2
        else _verdict(
            speeds,
            errors,
            halves,
            reversing,
            runs.duration / chain.relaxation_time,
            unit_root[0] > unit_root[1],
        )
    )
    # Runs that start far from the end state come back alike, each by less than one error.
    if verdict is Verdict.DIFFUSION and _skewed(runs) > SURE * math.sqrt(len(runs.values)):
        verdict = Verdict.ONE_WAY
    return Lags(
        tuple(lags), tuple(times), tuple(speeds), tuple(errors), halves, trend, unit_root, verdict
    )


def _skewed(runs: Runs) -> float:
    """The sum of the cubes of steps in its standard errors: of what runs alike both ways, as a
    diffusion on a line does around its end state, it is 0 but for chance (640 series: below 2)."""
    start, stop, _ = runs.steps()
    cubes = ((stop - start) / np.abs(stop - start).max()) ** 3
    return abs(float(cubes.sum())) / math.sqrt(float(cubes @ cubes))


def _correlation(runs: Runs, chain: Chain, lag: int) -> float:
    """Of what is so many observations apart, in standard errors: that of products is tau / T, of
    observations far apart 1 / n. Of a diffusion it is a sum of e^(-rate t), and positive."""
    start, stop, _ = runs.steps(lag)
    middle, spread = float(runs.all.mean()), float(runs.all.var())
    memory = min(chain.relaxation_time / runs.duration, 1.0)
    found = float((start - middle) @ (stop - middle)) / (len(start) * spread)
    return found / math.sqrt(memory + 1 / len(start))


def _trend(found: Fitted) -> tuple[float, float]:
    """The slope in x, and what is gained without it; nothing of what was rounded more coarsely
    than cells, as it would be rounded to other places."""
    flat, slope = found.runs.mapped(found.chart.x).without_trend()
    gain = 0.0
    if found.cells.each == 1:
        try:
            other = fitted(flat, found.chart == Even())  # what else is more likely is no trend's
        except LandscapeError:  # no part of it can be followed
            return slope, 0.0
        if other.runs.every == found.runs.every:
            gain = other.evidence - found.evidence
    return slope, gain


def _unit_root(runs: Runs) -> tuple[float, float]:
    """How far steps lead back to the mean, in standard errors, and where a walk's seldom do.

    They are taken where the noise is even, and each in units of what noise makes of it.
    """
    start, stop, time = runs.steps()
    root = np.sqrt(time)
    x = np.stack([root, root * (start - start.mean())])
    inverse = np.linalg.inv(x @ x.T)
    y = (stop - start) / root
    found = inverse @ (x @ y)
    error = math.sqrt(float(((y - found @ x) ** 2).sum()) / (len(y) - 2) * inverse[1, 1])
    return float(found[1]) / error, float(np.polyval(WALK, 1 / len(y)))


def _halves(runs: Runs, chain: Chain) -> tuple[float, float]:
    first, second = runs.halves()
    values = (first.all, second.all)
    memory = min(chain.relaxation_time, runs.duration)
    spread = float(runs.all.var())
    # The variance of a mean over a time T is 2 var tau / T; var / n of observations far apart.
    of_mean = [
        max(2 * spread * memory / max(half.duration, memory), spread / len(x))
        for half, x in zip((first, second), values, strict=True)
    ]
    apart = abs(float(values[0].mean() - values[1].mean())) / math.sqrt(sum(of_mean))
    (a, of_a), (b, of_b) = (
        chain.speed(chain.cells.counts(half.classes())) for half in (first, second)
    )
    return apart, abs(math.log(a / b)) / math.hypot(of_a / a, of_b / b)


def _verdict(
    speeds: list[float],
    errors: list[float],
    halves: tuple[float, float],
    reversing: bool,
    memories: float,
    may_walk: bool,
) -> Verdict:
    told, rises = None, 0.0
    for speed, error in zip(speeds[1:], errors[1:], strict=True):
        apart = math.log(speed / speeds[0])
        # The first is as well known as can be: what another one is off by is independent of it.
        more = (error / speed) ** 2 - (errors[0] / speeds[0]) ** 2
        least = max(SURE * math.sqrt(max(more, 0.0)), WORTH)
        if abs(apart) > least:
            told, rises = Verdict.NOISE if apart < 0 else Verdict.INERTIA, SURE * apart / least
            break
    if rises > max(halves):  # by which what has a velocity seems a walk, or to change
        return Verdict.INERTIA
    if max(halves) > SURE + 1:
        return Verdict.NOT_STATIONARY
    if memories <= ENOUGH and len(speeds) > 1:
        return Verdict.SHORT  # its end state, which speeds are fitted with, is not known
    if may_walk:
        return Verdict.WALK
    if told is not None:
        return told
    if reversing or len(speeds) < 2:
        return Verdict.REVERSING if reversing else Verdict.UNDECIDED
    return Verdict.DIFFUSION
