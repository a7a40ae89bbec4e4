"""Which datapoints decide, and how sure a sample makes an answer.

To first order, see `stationary.questions.kernels`. Minima and borders move, too, by -df / f' each.
A datapoint j among N changes G by (g_j - G) / N and S2 by ((g_j - G)^2 - S2) / N.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from stationary.aliases import Array
from stationary.errors import LandscapeError
from stationary.process.initial import Initial
from stationary.process.known import OneFewer, Sample
from stationary.process.landscape import Landscape
from stationary.progress import each
from stationary.questions.kernels import Points, refusal
from stationary.result import Listed, Result
from stationary.states.basin import Basin
from stationary.states.distribution import EndState
from stationary.states.first_passage import FirstPassage
from stationary.states.solve import end_state

DRAWS = 4096  # pairs of them: what is not linear is known to 1 or 2 %
SHARE = 10  # datapoints whose part of the variance is told


@dataclass(frozen=True, eq=False)
class StandardErrors(Listed):
    """Standard errors of what was found from a sample.

    Attributes
    ----------
    log_masses, log_exit_times
        Of natural logarithms, of each basin, left to right; nan for an exit time that there is not.
    positions
        Of each minimum, in units of w; nan at a wall, or where the drift has no slope.
    masses, mean
        Of each basin, and of the mean in units of w: beyond first order, with logarithms of masses
        that are normal.
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


def influence_of(landscape: Landscape, state: EndState, basins: tuple[Basin, ...]) -> Influence:
    """The influence of each datapoint on the masses, exit times and mean of an end state."""
    if not landscape.has_datapoints:
        raise LandscapeError(
            f"{landscape.name}: the gradients of single datapoints are not known, so that none has "
            "an influence. Give them (w, gradients) in place of their mean and variance."
        )
    kernels = _Kernels(state, basins)
    n = landscape.datapoints
    sample = landscape.as_sample()
    masses, times, _, mean = (n * v for v in kernels.scores(sample))
    one_fewer = OneFewer(sample, 1 if landscape.replacement else landscape.batch_size)
    of_masses, of_times, _, of_mean = kernels.scores(one_fewer)
    fewer = np.concatenate([of_masses, of_times, of_mean[None]])[:, 0]
    places = tuple(float(b.position) for b in basins)
    held = tuple(float(b.log_mass) for b in basins)
    return Influence(landscape.name, places, held, masses, times, mean, fewer)


def standard_errors(state: EndState, basins: tuple[Basin, ...]) -> StandardErrors | None:
    """The standard errors of an end state; None where nothing was estimated from a sample."""
    sample = state.diffusion.sample
    if sample is None or refusal(state) is not None or not basins:
        return None
    kernels = _Kernels(state, basins)
    masses, times, positions, mean = kernels.scores(sample)
    ratios = np.sqrt(((masses[:, None] - masses[None, :]) ** 2).sum(axis=-1))
    order = np.argsort([-float(b.log_mass) for b in basins])
    main = mean if len(basins) == 1 else masses[order[0]] - masses[order[1]]
    squares = np.sort(main**2)[::-1]
    log_masses = np.array([float(b.log_mass) for b in basins])
    of_masses, of_mean = _beyond_first_order(log_masses, kernels.means, masses, mean)
    return StandardErrors(
        tuple(np.sqrt((masses**2).sum(axis=1)).tolist()),
        tuple(of_masses.tolist()),
        tuple(np.sqrt((times**2).sum(axis=1)).tolist()),
        of_mean,
        ratios,
        float(squares[:SHARE].sum() / squares.sum()) if squares.sum() > 0 else 0.0,
        tuple(np.sqrt((positions**2).sum(axis=1)).tolist()),
    )


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
    of_f, of_a = (np.stack(r) for r in zip(*rows, strict=True))
    found[timed] = np.sqrt((sample.scores(points.x, of_f, of_a) ** 2).sum(axis=1))
    return found


def _beyond_first_order(
    log_masses: Array, means: Array, of_masses: Array, of_mean: Array
) -> tuple[Array, float]:
    """Standard errors of masses and mean where logarithms of masses are normal, but by how much.

    Masses are between 0 and 1, whatever their logarithms: where those are off by one or more,
    neither they nor a mean that depends on them are linear in the datapoints.
    """
    p = np.exp(log_masses - np.logaddexp.reduce(log_masses))
    within = of_mean - (p * means) @ of_masses  # what moves within basins
    rows = np.vstack([of_masses, within])
    values, vectors = np.linalg.eigh(rows @ rows.T)
    z = np.random.default_rng(0).normal(size=(len(values), DRAWS))
    drawn = vectors @ (np.sqrt(np.maximum(values, 0))[:, None] * np.hstack([z, -z]))
    logs = log_masses[:, None] + drawn[:-1]
    found = np.exp(logs - np.logaddexp.reduce(logs, axis=0))
    first = np.vstack([p[:, None] * drawn[:-1], (p * means) @ drawn[:-1] + drawn[-1]])
    whole = np.vstack([found, means @ found + drawn[-1]])
    exact = np.sqrt((np.vstack([p[:, None] * of_masses, of_mean]) ** 2).sum(axis=1))
    apart, linear = whole.std(axis=1), first.std(axis=1)
    errors = exact * np.divide(apart, linear, out=np.ones_like(apart), where=linear > 0)
    return errors[:-1], float(errors[-1])


class _Kernels:
    """What all numbers make of changes at points.

    The numbers are the log masses of the basins, their log exit times and minima, and the mean.
    """

    def __init__(self, state: EndState, basins: tuple[Basin, ...]) -> None:
        why = refusal(state)
        if why is not None:
            raise LandscapeError(
                f"{state.diffusion.name}: the influence of datapoints is not known here: {why}."
            )
        borders = [float(x) for b in basins for x in (b.lower, b.upper)]
        self.points = Points(state, [float(b.position) for b in basins], borders)
        x, dx, log_p, power = (getattr(self.points, n) for n in ("x", "dx", "log_p", "power"))
        steady = [e for e in state.equilibria if e.slope]
        self.places = np.array([float(e.position) for e in steady])  # which move
        self.slopes = np.array([float(e.slope or 0.0) for e in steady])
        count = 3 * len(basins) + 1
        self.of_f, self.of_a = np.zeros((2, count, len(x)))  # what df and da there change
        self.moved = np.zeros((count, len(self.places)))  # what df there changes by moving them
        self.timed, self.steep = np.zeros((2, len(basins), 1), dtype=bool)  # exit times, slopes
        self.means = np.zeros(len(basins))
        p = np.exp(log_p)
        p /= p @ dx
        for i, b in enumerate(basins):
            low, high = float(b.lower), float(b.upper)
            inner = b.barrier_left is not None, b.barrier_right is not None
            own = np.where((x > low) & (x < high), log_p, -np.inf)
            own = np.exp(own - own.max())
            own /= own @ dx
            self.means[i] = own @ (x * dx)
            self.steep[i] = self._put(2 * len(basins) + i, 0 * x, 0 * x, {float(b.position): 1.0})
            if len(basins) > 1:
                at = np.exp(state.logpdf(np.array([low, high])) - float(b.log_mass))
                sides = zip((low, high), (-at[0], at[1]), inner, strict=True)
                change = {place: float(c) for place, c, real in sides if real}
                self._put(i, own - p, power * (own - p), change)
            if power == 1 and any(inner) and not b.at_wall:  # of Ito's processes
                ends = low if inner[0] else None, high if inner[1] else None
                self.timed[i] = True
                self._put(len(basins) + i, *self.points.passage(float(b.position), ends))
        centred = (x - float(p @ (x * dx))) * p
        self._put(-1, centred, power * centred, {})

    def _put(self, row: int, measure: Array, on_a: Array, by_place: dict[float, float]) -> bool:
        """`by_place`: what it changes by where these places are; whether all of them can move."""
        found = 0
        self.of_f[row], self.of_a[row] = self.points.changes(measure, on_a)
        for place, change in by_place.items() if len(self.places) else ():
            k = int(np.argmin(np.abs(self.places - place)))
            if abs(self.places[k] - place) < 1e-6 * np.ptp(self.points.x):
                self.moved[row, k] -= change / self.slopes[k]
                found += 1
        return found == len(by_place)

    def scores(self, sample: Sample) -> tuple[Array, Array, Array, Array]:
        """What each independent change makes of masses, times and minima, (basins, K), and mean."""
        x = np.append(self.points.x, self.places)
        of_f = np.concatenate([self.of_f, self.moved], axis=1)
        found = sample.scores(x, of_f, np.concatenate([self.of_a, 0 * self.moved], axis=1))
        masses, times, places = found[:-1].reshape(3, len(self.timed), -1)
        times, places = np.where(self.timed, times, np.nan), np.where(self.steep, places, np.nan)
        return masses, times, places, found[-1]
