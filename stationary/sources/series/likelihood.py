"""Maximum likelihood on splines, whose smoothness the series itself decides.

log P is a spline whose third derivative is penalised (a Gaussian costs nothing) and log a one
whose first is (a constant costs nothing: where observations lie far apart, little else is known);
its third, where steps say that the variance changes and so told the coordinate (`chart`): how far
that is off must be seen.
At each step of scoring the likelihood is a quadratic, of which both penalties are those of
restricted maximum likelihood: the fixed point of Fellner and Schall [1]_,
lambda = (rank - lambda tr(V S)) / (theta' S theta), with V the covariance of theta. It is first
climbed on cells that are wide, and then on ones that lose nothing.

References
----------
.. [1] S. N. Wood and M. Fasiolo, *A generalized Fellner-Schall method for smoothing parameter
   optimization*, Biometrics 73 (2017) 1071.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from stationary.aliases import Array
from stationary.errors import LandscapeError
from stationary.functions.interpolation import Spline
from stationary.numbers.elementary import distinct
from stationary.numbers.threads import one_thread
from stationary.progress import at
from stationary.sources.series.chain import LEAST, Cells, Chain
from stationary.sources.series.chart import Chart, Even, chart_of, likeliest
from stationary.sources.series.runs import OBSERVED, Runs

DEGREE = 3  # of splines: two derivatives are continuous
OF_P, OF_A = 16, 10  # splines: more change nothing, since the penalties decide
FINE = 0.3  # width h of a cell over the length of a step; at first it is 1
LOST = 0.07  # (h / length)^2 of the variance
FEWEST, MOST = 64, 240  # cells
SOONER = 0.3  # of the usual time between observations: cells do not tell what moves by then
WIDEST = 0.5  # the same, where the range takes more cells than there may be
ALIKE = 20  # rounded values in a cell: one more or less is nothing
SETTLED = 0.02  # of log L, and of the number of parameters: chance makes 1 of either
STIFFEST = 1e7  # a penalty that leaves nothing
# Of log a, of which far-apart observations tell nothing but its level: that it is the same all
# over is not known for that, and its ends differ by (OF_A - 1)^1/2 30^-1/2 = 0.55, as a guess.
LOOSEST = 30.0
FAR = 3.0  # in one step: of log a, which a quadratic knows no further
# Information that there is anyway: log P may be off by a thousand from the first guess, log a, of
# which white noise says nothing, by ten.
UNKNOWN = np.repeat([1e-6, 1e-2], [OF_P, OF_A])


@dataclass(frozen=True, eq=False)
class Fitted:
    """The most likely coefficients and their covariance, and the observations that gave them, in
    the coordinate of a chart."""

    chart: Chart
    runs: Runs
    cells: Cells
    theta: Array
    covariance: Array
    log_likelihood: float
    freedom: float  # effective number of parameters
    converged: bool

    @property
    def chain(self) -> Chain:
        return Chain(self.cells, self.theta)

    def splines(self, theta: Array) -> tuple[Spline, Spline]:
        """log P and log a as splines; `theta` may have columns."""
        ends = self.cells.edges[[0, -1]]
        return _spline(theta[:OF_P], *ends), _spline(theta[OF_P:], *ends)

    @property
    def evidence(self) -> float:
        """Of what was tried, the largest is right: the log of the likelihood of observations in x,
        less the number of parameters.

        It is interpolated between cells, of which the counts alone would move it by the root of
        their number. Straight lines lie below a normal density of variance a t by h^2 / (6 a t),
        where that is little: not over times much shorter than the usual ones.
        """
        usual = float(np.median(self.runs.steps()[2]))
        runs = self.runs.apart(SOONER * usual)
        counts = self.cells.shared(runs.classes())
        total = self.chain.log_likelihood(counts) - self.freedom
        for (time, (_, _, n)), (longer, _) in zip(counts, self.chain.blurred(counts), strict=True):
            total += float(n.sum()) * (longer / time - 1 - math.log(self.cells.h))
        x = [self.chart.x(v[1:]) for v in runs.values]
        return total - sum(float(np.log(self.chart.q(v)[0]).sum()) for v in x) / 2


@one_thread
def fitted(runs: Runs, even: bool = False) -> Fitted:
    """The diffusion under which the steps of the series are most likely; `even` in x, or in what
    makes them more likely.

    Raises
    ------
    LandscapeError
        If no part of the steps is wide enough to be told from the unit in which they were rounded,
        and short enough to be followed over the range of the series.
    """
    places, widths = _step_lengths(runs)
    charts: list[Chart] = [Even()]
    if not even and runs.grain * ALIKE <= widths.min():  # what was rounded is even in x alone
        charts.append(chart_of(places, widths**2, float(runs.all.min()), float(runs.all.max())))
        if charts[-1] != Even():
            charts.append(likeliest(*runs.steps()))
    found, refused = [], None
    for chart in dict.fromkeys(charts):
        try:
            kept, length = _resolved(runs.mapped(chart.y))
        except LandscapeError as error:
            refused = refused or error
            continue
        cells = _cells(kept, length, chart)
        start = _gaussian(cells, kept), np.ones(2)
        found.append((*_climbed(chart, kept, cells, *start), length))
    if not found:
        raise refused  # type: ignore[misc]
    every = min(f.runs.every for f, _, _ in found)
    best, smoothing, length = max(
        (f for f in found if f[0].runs.every == every), key=lambda f: f[0].evidence
    )
    by_chance = math.sqrt(2 / len(best.runs.all))  # of the variance
    width = min(FINE, math.sqrt(by_chance / (2 * LOST)))
    fine = _cells(best.runs, width * length, best.chart)
    if len(fine.edges) == len(best.cells.edges):
        return best
    return _climbed(best.chart, best.runs, fine, best.theta, smoothing)[0]


def _resolved(runs: Runs) -> tuple[Runs, float]:
    """As many of the observations as have steps that cells can follow, and how long these are.

    What is left out goes no further beyond the rest than a step may: an outlier is not lost so.
    """
    reach, kept, longest = float(np.ptp(runs.all)), runs, math.sqrt(-2 * math.log(LEAST))
    while True:
        widths = _step_lengths(kept)[1]
        length = float(widths.min())
        whole = np.concatenate([v for v in runs.values if len(v) > kept.every])
        lost = max(whole.max() - kept.all.max(), kept.all.min() - whole.min())
        if reach <= MOST * WIDEST * length and lost <= longest * widths.max():
            return kept, length
        kept = runs.thinned(2 * kept.every)
        if sum(map(len, kept.values)) < OBSERVED:
            break
    typical = float(_step_lengths(runs)[1].min())
    if typical == 0 and (held := runs.held(LEAST)):
        raise LandscapeError(
            f"{runs.name}: {held}: a sensor that is stuck, or what was filled in. Mark these as "
            "missing by nan."
        )
    if length == 0:
        rounded = f", multiples of {runs.grain:.4g}" if runs.grain else ""
        raise LandscapeError(
            f"{runs.name}: half of the steps from some places are the same, whichever part of them "
            f"is taken: values of too few digits ({len(distinct(runs.all))} different ones"
            f"{rounded}), or a trend without noise. Record more digits; or, of a chain of a few "
            "states, count the transitions."
        )
    raise LandscapeError(
        f"{runs.name}: its values range over {reach:.4g}, and a typical step is {typical:.2g}, so "
        "that no part of the steps can be followed over the range: jumps, outliers, a trend, or "
        "noise that grows with x. Take jumps and outliers out, or the trend; or fit log x."
    )


def _climbed(
    chart: Chart, runs: Runs, cells: Cells, theta: Array, smoothing: Array
) -> tuple[Fitted, Array]:
    """Steps of scoring, each with the smoothing of its quadratic."""
    size = OF_P + OF_A
    orders = np.array([3, 1 if chart == Even() else 3])
    parts = (0, OF_P), (OF_P, size)
    penalties = np.stack([_penalty(*p, n, size) for p, n in zip(parts, orders, strict=True)])
    ranks = np.array([OF_P, OF_A]) - orders
    most = np.where(orders == 3, STIFFEST, LOOSEST)
    gauge = np.zeros((size, size))
    gauge[:OF_P, :OF_P] = 1.0 / OF_P**2  # a constant in log P changes nothing
    counts = cells.counts(runs.classes())
    last, converged, first = np.full(2, math.inf), False, theta
    for step in range(40):
        at("steps of scoring", step)
        chain = Chain(cells, theta)
        blurred = chain.blurred(counts)
        total, gradient, information = chain.score(blurred)
        held = information + gauge * np.trace(information) / size + np.diag(UNKNOWN)
        pull = gradient + held @ theta - UNKNOWN * (theta - first)
        aim, smoothing, covariance = _smoothest(held, pull, penalties, ranks, smoothing, most)
        aim[OF_P:] = theta[OF_P:] + np.clip(aim[OF_P:] - theta[OF_P:], -FAR, FAR)
        now = np.array([total, float((covariance * information).sum())])
        converged = bool(np.abs(now - last).max() < SETTLED)
        if converged:
            break
        last = now
        penalty = np.tensordot(smoothing, penalties, 1)

        def lost(at: Array, penalty: Array = penalty) -> float:
            return float(at @ penalty @ at + UNKNOWN @ (at - first) ** 2) / 2

        value, beyond = total - lost(theta), chain.likelihood(blurred)[1]
        for halving in range(12):
            trial = theta + (aim - theta) / 2**halving
            try:
                reached, unknown = Chain(cells, trial).likelihood(blurred)
            except (FloatingPointError, np.linalg.LinAlgError):
                continue
            # No gradient leads back from where steps are not known.
            if unknown <= beyond and reached - lost(trial) >= value - 1e-9 * abs(value):
                theta = trial
                break
    return Fitted(chart, runs, cells, theta, covariance, total, float(now[1]), converged), smoothing


def _smoothest(
    information: Array, pull: Array, penalties: Array, ranks: Array, smoothing: Array, most: Array
) -> tuple[Array, Array, Array]:
    """Where a quadratic is largest under the penalties that it asks for, these, and its width."""
    flat = penalties.reshape(len(penalties), -1)
    for _ in range(200):
        covariance = np.linalg.inv(information + (smoothing @ flat).reshape(information.shape))
        theta = covariance @ pull
        bent = np.maximum(penalties @ theta @ theta, 1e-12)
        left = ranks - smoothing * (flat @ covariance.ravel())
        updated = np.clip(left / bent, smoothing / 30, smoothing * 30).clip(1e-4, most)
        still = np.abs(np.log(updated / smoothing)).max() < 1e-3
        smoothing = updated
        if still:
            break
    return theta, smoothing, covariance


def _step_lengths(runs: Runs) -> tuple[Array, Array]:
    """Places, and how wide the steps from there are, less what they have in common."""
    start, stop, _ = runs.steps()
    order, n = np.argsort(start), len(start)
    tails = 10.0 ** -np.arange(2, max(math.log10(n / 50), 2))
    levels = np.concatenate([[0], tails[::-1], np.arange(1, 10) / 10, 1 - tails, [1]])
    # Equal places are in one part, and a part has what it touches: from either end the same.
    ranks, ordered = np.round(levels * n, 6), start[order]
    first = ordered.searchsorted(ordered[np.floor(ranks[:-1]).astype(int)])
    last = ordered.searchsorted(ordered[np.ceil(ranks[1:]).astype(int) - 1], side="right")
    parts = [order[i:j] for i, j in zip(first, last, strict=True)]
    moves = [stop[p] - start[p] for p in parts]
    # 0.6745 is the median of the size of a standard normal number.
    widths = [float(np.median(np.abs(m - np.median(m)))) / 0.6745 for m in moves]
    return np.array([np.median(start[p]) for p in parts]), np.array(widths)


def _cells(runs: Runs, width: float, chart: Chart) -> Cells:
    low, high = float(runs.all.min()), float(runs.all.max())
    h = (high - low) / (int(np.clip(math.ceil((high - low) / width), FEWEST, MOST)) - 1)
    each = 1
    if runs.grain > h / ALIKE:  # all places hold as many cells, or cells as many places
        each = math.ceil(runs.grain / h)
        h = runs.grain / each * max(round(h / runs.grain), 1)
    count = round((high - low) / (each * h)) + 1
    reach = (chart.low + low) / 2, (chart.high + high) / 2  # at a root nothing is finite
    ends = np.clip(low + each * h * np.array([-0.5, count - 0.5]), *reach)
    edges = np.linspace(ends[0], ends[1], each * count + 1)
    centres = (edges[1:] + edges[:-1]) / 2
    return Cells(edges, _basis(OF_P, *ends)(centres), _basis(OF_A, *ends)(edges[1:-1]), each)


def _basis(count: int, low: float, high: float) -> Callable[..., Array]:
    """`count` cubic B-splines on evenly spaced knots: x -> shape (M, count)."""
    from scipy.interpolate import BSpline

    step = (high - low) / (count - DEGREE)
    knots = low + step * np.arange(-DEGREE, count + 1)
    made: Callable[..., Array] = BSpline(knots, np.eye(count), DEGREE)
    return made


def _spline(theta: Array, low: float, high: float) -> Spline:
    made = _basis(len(theta), low, high)
    knots = np.linspace(low, high, len(theta) - DEGREE + 1)
    powers = [made(knots[:-1], nu=k) @ theta / math.factorial(k) for k in range(DEGREE, -1, -1)]
    return Spline(knots, np.stack(powers))


def _penalty(start: int, stop: int, order: int, size: int) -> Array:
    d = np.diff(np.eye(stop - start), order, axis=0)
    made = np.zeros((size, size))
    made[start:stop, start:stop] = d.T @ d
    return made


def _gaussian(cells: Cells, runs: Runs) -> Array:
    """The coefficients of a Gaussian as wide as the series, and of a variance as its steps say."""
    start, stop, time = runs.steps()
    spread, lag = float(runs.all.var()), float(np.median(time))
    off = float(((stop - start)[time <= 1.5 * lag] ** 2).mean())
    memory = np.clip(1 - off / (2 * spread), 1e-3, 1 - 1e-9)
    centres = (cells.edges[1:] + cells.edges[:-1]) / 2
    places, widths = _step_lengths(runs)
    # Steps that take long are as wide as the end state lets them, and say less of the variance.
    log_a = np.log(widths**2 / lag * -math.log(memory) / (1 - memory))
    of_p = np.linalg.lstsq(cells.of_p, -((centres - runs.all.mean()) ** 2) / (2 * spread))[0]
    return np.concatenate(
        [of_p, np.linalg.lstsq(cells.of_a, np.interp(cells.edges[1:-1], places, log_a))[0]]
    )
