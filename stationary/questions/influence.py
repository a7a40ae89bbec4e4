"""Which datapoints decide, and how sure a sample makes an answer.

To first order, see `stationary.questions.kernels`. Minima and borders move, too, by -df / f' each.
A datapoint j among N changes G by (g_j - G) / N and S2 by ((g_j - G)^2 - S2) / N.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from stationary.aliases import Array
from stationary.errors import LandscapeError
from stationary.process.diffusion import Diffusion
from stationary.process.initial import Initial
from stationary.process.known import OneFewer
from stationary.process.landscape import Landscape
from stationary.progress import each
from stationary.questions.kernels import OF_BASIN, Points, refusal
from stationary.questions.numbers import OF_BASINS, ORDERS, Numbers, beyond_first_order, scores
from stationary.result import Listed, Result
from stationary.states.basin import Basin
from stationary.states.distribution import EndState
from stationary.states.first_passage import FirstPassage
from stationary.states.peaks import LEVELS
from stationary.states.solve import end_state

SHARE = 10  # datapoints whose part of the variance is told


@dataclass(frozen=True, eq=False)
class StandardErrors(Listed):
    """Standard errors of what was found from a sample; nan where there is none, or it is not known.

    Attributes
    ----------
    log_masses, log_exit_times, log_densities
        Of natural logarithms, of each basin, left to right (densities: those at the minima).
    positions, variances, widths, losses, sharpnesses, barriers_left, barriers_right
        Of what a `Basin` tells, each in its unit.
    equilibria, slopes
        Of each zero of the drift, left to right: of where it is, and of the slope there.
    masses
        Of each basin.
    mean, std, skewness, kurtosis, entropy, quantiles
        Of the whole law; quantiles by level. These and the masses go beyond first order in the
        masses of the basins, whose logarithms are taken as normal.
    log_ratios
        (basins, basins): of the log of the ratio of the masses of two basins.
    share
        What the ten changes (datapoints) with the most influence make of the variance of the first
        ratio, or of the mean where there is one basin: near 1, the errors rest on a few, and a
        nominal 95 % covers less.
    """

    log_masses: tuple[float, ...]
    masses: tuple[float, ...]
    log_exit_times: tuple[float, ...]
    mean: float
    log_ratios: Array
    share: float
    positions: tuple[float, ...]
    equilibria: tuple[float, ...]
    slopes: tuple[float, ...]
    std: float
    skewness: float
    kurtosis: float
    entropy: float
    quantiles: dict[float, float]
    log_densities: tuple[float, ...]
    variances: tuple[float, ...]
    widths: tuple[float, ...]
    losses: tuple[float, ...]
    sharpnesses: tuple[float, ...]
    barriers_left: tuple[float, ...]
    barriers_right: tuple[float, ...]

    def of(self, name: str, basin: int) -> float:
        """Of a number of one basin, by what the basin calls it."""
        return float(getattr(self, OF_BASIN[name])[basin])


@dataclass(frozen=True, eq=False, repr=False)
class Influence(Result):
    """What each datapoint does to the answer, to first order.

    Attributes
    ----------
    basins
        The positions of the minima, left to right.
    log_masses
        (basins, N): N times what a datapoint adds to the log of the mass of a basin; left out, it
        changes by minus this over N - 1, and by what `of_fewer` says.
    log_exit_times
        The same of the mean exit times (nan where there is none).
    mean
        (N,): the same of the mean.
    of_fewer
        What it changes of the log masses, the log exit times and the mean, (2 basins + 1,), that
        batches without replacement have less noise where N is less by one; 0 with replacement.
    """

    name: str
    basins: tuple[float, ...]
    masses: tuple[float, ...]
    log_masses: Array
    log_exit_times: Array
    mean: Array
    of_fewer: Array

    @property
    def datapoints(self) -> int:
        return len(self.mean)

    @cached_property
    def pair(self) -> tuple[int, int] | None:
        """The two heaviest basins, the heavier first; None if there is one."""
        order = np.argsort(self.masses)[::-1]
        return (int(order[0]), int(order[1])) if len(order) > 1 else None

    def of_ratio(self, first: int | None = None, second: int | None = None) -> Array:
        """(N,): of log(mass of `first` / mass of `second`), by default of the two heaviest."""
        return self._of_pair(first, second)[0]

    def left_out(self, first: int | None = None, second: int | None = None) -> Array:
        """(N,): what leaving each datapoint out changes of the same, to first order."""
        scores, fewer = self._of_pair(first, second)
        return np.asarray(fewer - scores / (self.datapoints - 1))

    def _of_pair(self, first: int | None, second: int | None) -> tuple[Array, float]:
        if first is None or second is None:
            if self.pair is None:
                return self.mean, float(self.of_fewer[-1])
            first, second = self.pair
        count = len(self.basins)
        if not 0 <= first < count or not 0 <= second < count:
            raise LandscapeError(
                f"{self.name}: there are basins 0 to {count - 1}, left to right, and not "
                f"{first} and {second}."
                if count
                else f"{self.name}: there is no minimum, and no ratio of the masses of two."
            )
        fewer = float(self.of_fewer[first] - self.of_fewer[second])
        return np.asarray(self.log_masses[first] - self.log_masses[second]), fewer

    def top(
        self, count: int = 10, first: int | None = None, second: int | None = None
    ) -> list[tuple[int, float, float]]:
        """The datapoints with the most influence: index, what leaving it out changes, and share.

        The change is that of log(mass of `first` / mass of `second`), by default of the two
        heaviest minima (with one minimum: of the mean); the share is of the squared influence of
        all.
        """
        scores, change = self.of_ratio(first, second), self.left_out(first, second)
        whole = float((scores**2).sum())
        order = np.argsort(-np.abs(scores))[:count]
        return [
            (int(j), float(change[j]), float(scores[j] ** 2 / whole)) for j in order if whole > 0
        ]

    @property
    def standard_error(self) -> float:
        """Of the ratio (or mean) that `top` is about, if the datapoints are a sample."""
        return float(np.sqrt((self.of_ratio() ** 2).sum()) / self.datapoints)

    def __repr__(self) -> str:
        return f"<Influence of {self.datapoints} datapoints on {self.name!r}>"


def with_datapoints(process: Any) -> Landscape:
    """The landscape that a process is, whose datapoints have an influence; others are refused."""
    if isinstance(process, Diffusion):
        raise LandscapeError(
            f"{process.name}: a drift and a variance have no datapoints. Give losses or gradients."
        )
    if not isinstance(process, Landscape):
        raise LandscapeError(f"{process.name}: influence is known for one weight only.")
    if not process.has_datapoints:
        raise LandscapeError(
            f"{process.name}: the gradients of single datapoints are not known, so that none has "
            "an influence. Give them (w, gradients) in place of their mean and variance."
        )
    return process


def influence_of(process: Any, state: EndState, basins: tuple[Basin, ...]) -> Influence:
    """The influence of each datapoint on the masses, exit times and mean of an end state."""
    landscape = with_datapoints(process)
    numbers, n = Numbers(state, basins), landscape.datapoints
    every = [numbers.of_basins(name) for name in ("log_masses", "log_exit_times")]
    changes = np.stack([*every[0], *every[1], numbers.moment(1) * numbers.std])
    sample = landscape.as_sample()
    found = n * scores(numbers.points, sample, changes)
    one_fewer = OneFewer(sample, 1 if landscape.replacement else landscape.batch_size)
    fewer = scores(numbers.points, one_fewer, changes)[:, 0]
    places = tuple(float(b.position) for b in basins)
    held = tuple(float(b.log_mass) for b in basins)
    masses, times = found[:-1].reshape(2, len(basins), n)
    return Influence(landscape.name, places, held, masses, times, found[-1], fewer)


def standard_errors(
    state: EndState, basins: tuple[Basin, ...], process: Landscape | Diffusion | None = None
) -> StandardErrors | None:
    """The standard errors of an end state; None where nothing was estimated from a sample.

    Those of losses and sharpnesses are of a landscape, the `process`.
    """
    sample = state.diffusion.sample
    if sample is None or refusal(state) is not None or not basins:
        return None
    numbers, count = Numbers(state, basins, LEVELS), len(basins)
    of_law = [numbers.moment(k + 1) for k in range(ORDERS)]
    of_law += [numbers.entropy(), *map(numbers.quantile, range(len(LEVELS)))]
    rests = np.concatenate([numbers.equilibria(), numbers.slopes()])
    rests = rests.reshape(-1, *numbers.unknown.shape)
    changes = np.concatenate([rests, *map(numbers.of_basins, OF_BASINS), of_law])
    found = scores(numbers.points, sample, changes)
    of_rests, found = np.split(found, [len(rests)])
    positions, slopes = np.sqrt((of_rests**2).sum(axis=1)).reshape(2, -1).tolist()
    rows = {n: found[k * count : (k + 1) * count] for k, n in enumerate(OF_BASINS)}
    masses = rows["log_masses"]
    of_masses, (mean, std, skewness, kurtosis, entropy, *quantiles) = beyond_first_order(
        numbers, masses, rows["log_densities"], found[len(OF_BASINS) * count :]
    )
    order = np.argsort([-float(b.log_mass) for b in basins])
    main = found[len(OF_BASINS) * count] if count == 1 else masses[order[0]] - masses[order[1]]
    squares = np.sort(main**2)[::-1]
    own = {n: np.sqrt((row**2).sum(axis=1)) for n, row in rows.items()}
    own["masses"], own["log_masses"], own["log_densities"] = of_masses
    rate = getattr(process, "small_step_rate", None) or math.nan
    widths = [math.nan if b.width is None else b.width for b in basins]
    own["widths"] = own.pop("log_widths") * widths
    own["sharpnesses"] = own.pop("curvatures") / rate
    own["losses"] = _of_losses(process, basins, own["positions"])
    return StandardErrors(
        mean=mean,
        log_ratios=np.sqrt(((masses[:, None] - masses[None, :]) ** 2).sum(axis=-1)),
        share=float(squares[:SHARE].sum() / squares.sum()) if squares.sum() > 0 else 0.0,
        equilibria=tuple(positions),
        slopes=tuple(slopes),
        std=std,
        skewness=skewness,
        kurtosis=kurtosis,
        entropy=entropy,
        quantiles=dict(zip(LEVELS, quantiles, strict=True)),
        **{name: tuple(values.tolist()) for name, values in own.items()},
    )


def _of_losses(
    process: Landscape | Diffusion | None, basins: tuple[Basin, ...], of_positions: Array
) -> Array:
    """Of the mean loss at minima: of the losses there, and of the minimum's moving by d.

    That makes it lower by h d^2 / 2, which is all there is where all losses agree at the minimum.
    """
    found = np.full(len(basins), np.nan)
    if not isinstance(process, Landscape):
        return found
    for i, b in enumerate(basins):
        known = process.loss_table(np.array([float(b.position)]))
        if known is not None:
            bend = float(b.curvature or 0.0) / process.small_step_rate
            moved = 0.0 if math.isnan(of_positions[i]) else bend * of_positions[i] ** 2
            found[i] = math.hypot(known.std() / math.sqrt(len(known)), moved / math.sqrt(2))
    return found


def passage_errors(passage: FirstPassage) -> Array | None:
    """Standard errors of the logarithms of the mean times, of the shape of the starts.

    nan where they are not known, or there is no mean; None where nothing was estimated.
    """
    sample, diffusion = passage.diffusion.sample, passage.diffusion
    if sample is None:
        return None
    logs = np.asarray(passage.mean.log, dtype=float)
    found = np.full(logs.shape, np.nan)
    starts, targets = np.ravel(passage.start), sorted(map(float, passage.targets))
    timed = np.isfinite(logs)
    if isinstance(passage.start, Initial) or diffusion.convention.value or not timed.any():
        return found
    state = end_state(diffusion)
    if refusal(state) is not None:
        return found
    starts = np.array(starts, dtype=float).reshape(logs.shape)[timed]
    points = Points(state, sorted({*targets, *starts.tolist()}), ())
    rows = []
    for start in each(starts.tolist(), "starts"):
        low = max((t for t in targets if t < start), default=None)
        high = min((t for t in targets if t > start), default=None)
        rows.append(points.changes(*points.passage(start, (low, high))[:2]))
    found[timed] = np.sqrt((scores(points, sample, np.array(rows)) ** 2).sum(axis=1))
    return found
