"""What basins hold over time, from the rates at which probability moves between neighbours."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from stationary.aliases import Array
from stationary.chain.along import lasting
from stationary.numbers.elementary import distinct
from stationary.process.schedules import Schedule
from stationary.progress import doing
from stationary.result import Compared

Crossings = Callable[[float], tuple[Array, Array]]

TOLERANCE = 0.02  # of log k, by cells or half-way between two learning rates; and of the logarithm
# of these, between which k may jump, as where SGD is held
MOST_RATES = 33  # at which rates are computed
BETTER = 4.0  # times nearer than interpolation with every other learning rate: h^2, at the least
FAR = 1e9  # of the log of a ratio of rates, one of which is 0: others are added to it
NEVER = 20.0  # e-folds below one crossing in the whole schedule, where a rate is taken for 0
INTERVALS = 2048  # of time; with half as many shares change by less than what `error` says
LOOKS = 2**17  # steps at which rates are looked at; all of them where there are no more


@dataclass(frozen=True, eq=False)
class Freeze(Compared):
    """When the way between two neighbouring basins is frozen.

    Attributes
    ----------
    minima
        The two.
    step, learning_rate
        From which step on less than one crossing is left, and T there; step 0: from the start.
    crossings
        How many there are over the whole schedule: the sum of both rates.
    """

    minima: tuple[float, float]
    step: int
    learning_rate: float
    crossings: float


@dataclass(frozen=True, eq=False)
class Course:
    """What each of n basins holds at M times.

    Attributes
    ----------
    shares
        Shape (M, n).
    balance
        What they would hold if the learning rate stayed as it is then, by the rates, (M, n); nan
        where no rate leads from one basin to the next, or one is too small to be followed.
    errors, balance_errors
        Absolute ones of the worst share and balance at each time, shape (M,), estimated: of the
        rates, of their integration, and of how long a basin remembers who came.
    freezes
        Of each pair of neighbours.
    end
        What each holds in the end state of the last learning rate, shape (n,); None if there is
        none, or it depends on the start.
    """

    shares: Array
    balance: Array
    errors: Array
    balance_errors: Array
    freezes: tuple[Freeze, ...]
    end: Array | None

    @property
    def error(self) -> float:
        """Of the shares at the end."""
        return float(self.errors[-1])

    @property
    def final(self) -> Array:
        """What each basin holds in the end, shape (n,)."""
        return np.asarray(self.shares[-1])


@dataclass(frozen=True, eq=False)
class Begun:
    """What each of n basins holds until only rates between them count: at M steps, (M, n).

    The errors are absolute, of the shares.
    """

    steps: Array
    shares: Array
    errors: Array

    @property
    def half(self) -> Begun:
        """Half as many steps."""
        few = self.steps <= max(self.steps[-1] // 2, self.steps[0])
        return Begun(self.steps[few], self.shares[few], self.errors[few])

    @classmethod
    def at_once(cls, shares: Array, error: float = 0.0) -> Begun:
        return cls(np.zeros(1, dtype=int), shares[None], np.full((1, len(shares)), error))


class Looks:
    """The steps of a schedule at which rates are looked at, and what follows from the rates."""

    def __init__(self, schedule: Schedule, n: int, slowest: float) -> None:
        """Of n basins, in which `slowest` times the learning rate is what a step forgets."""
        self.schedule, self.n = schedule, n
        count = len(schedule)
        self.steps = distinct(np.linspace(0, count - 1, min(count, LOOKS)).astype(int))
        self.every = np.diff(self.steps, append=count).astype(float)  # what each stands for
        self.rates = schedule.rates[self.steps]
        with np.errstate(divide="ignore"):
            self.memory = np.minimum(1 / (slowest * self.rates), float(count))  # in steps
        self.cuts = distinct(np.linspace(0, len(self.steps), INTERVALS + 1).astype(int))
        self.at_cuts = np.minimum(self.cuts, len(self.steps) - 1)

    def course(
        self, minima: tuple[float, ...], crossings: Crossings, begun: Begun, end: Array | None
    ) -> Course:
        """The shares over time, from rates that are computed at a few learning rates."""
        log_k, errors, impossible = self._interpolated(crossings)
        shares = self._followed(begun, log_k, self.cuts)
        # Fewer times; half the beginning; rates as far off as they may be, one way and the other.
        coarse = np.append(self.cuts[:-1:2], self.cuts[-1])
        half = begun.half if begun.steps[-1] < len(self.schedule) else begun
        fewer = self._followed(begun, log_k, coarse)[(np.arange(len(self.cuts)) + 1) // 2]
        sooner = self._followed(half, log_k, self.cuts)
        slow, fast = (self._followed(begun, log_k + s * errors, self.cuts) for s in (-1, 1))
        whole = np.isin(self.cuts, coarse)[:, None]
        off = np.abs(np.where(whole, fewer - shares, 0.0)) + np.abs(sooner - shares)
        off += np.maximum(np.abs(slow - shares), np.abs(fast - shares))
        k = np.exp(log_k)
        left = np.cumsum((k.sum(axis=1) * self.every[:, None])[::-1], axis=0)[::-1]
        freezes = []
        for i, pair in enumerate(pairwise(minima)):
            more = np.flatnonzero(left[:, i] >= 1)
            step = int(self.steps[min(more[-1] + 1, len(self.steps) - 1)]) if len(more) else 0
            freezes.append(Freeze(pair, step, self.schedule[step], float(left[0, i])))
        rise = np.zeros((len(self.cuts), self.n))
        with np.errstate(invalid="ignore"):
            steps = np.nan_to_num(log_k[self.at_cuts, 0] - log_k[self.at_cuts, 1])
        rise[:, 1:] = np.cumsum(np.clip(steps, -FAR, FAR), axis=1)
        balance = np.exp(rise - rise.max(axis=1, keepdims=True))
        balance /= balance.sum(axis=1, keepdims=True)
        # A walker that has just crossed is not yet settled: rates are off by k times the memory.
        lagging = k.sum(axis=1) * self.memory[:, None]
        # Of the log of each over that of the first; between any two it is what they differ by.
        unsure = np.zeros_like(rise)
        unsure[:, 1:] = np.cumsum((errors.sum(axis=1) + lagging)[self.at_cuts], axis=1)
        apart = np.abs(unsure[:, :, None] - unsure[:, None, :])
        of_balance = balance * (apart @ balance[:, :, None])[:, :, 0]
        none, held = (np.asarray(x[self.at_cuts]) for x in (np.isneginf(log_k), impossible))
        balance[((none & ~held).any(axis=1) | none.all(axis=1)).any(axis=1)] = np.nan
        later = np.clip(self.steps + self.every - begun.steps[-1], 0.0, self.every)
        with np.errstate(divide="ignore"):
            own = np.log(lagging * k.sum(axis=1) * later[:, None])
        lag = np.zeros(len(self.cuts))
        still = np.append(left, 0.0 * left[:1], axis=0)[self.cuts[1:]]
        so_far = np.logaddexp.accumulate(own - left, axis=0)[self.cuts[1:] - 1]
        lag[1:] = np.exp(so_far + still).sum(axis=1)
        times = np.append(self.steps, len(self.schedule))[self.cuts]
        beginning = np.interp(times, begun.steps, begun.errors.max(axis=1))
        worst = np.minimum(lasting(off).max(axis=1) + beginning + lag + 1e-9, 1.0)
        of_balance = np.minimum(of_balance.max(axis=1), 1.0) + 1e-9
        of_balance[np.isnan(balance[:, 0])] = np.nan
        return Course(shares, balance, worst, of_balance, tuple(freezes), end)

    def _interpolated(self, crossings: Crossings) -> tuple[Array, Array, Array]:
        """log k at the looks, (looks, 2, n - 1), its errors, and where there is no way at all.

        Interpolated in 1 / T, in which it is nearly straight, between learning rates that are
        halved until the middle is where those around have it. Where hardly a crossing is to be
        expected in the whole schedule, less will do.
        """
        from scipy.interpolate import PchipInterpolator

        moving = self.rates > 0
        shape = (len(self.rates), 2, self.n - 1)
        if self.n == 1:
            return np.zeros(shape), np.zeros(shape), np.zeros(shape, dtype=bool)
        many = math.log(len(self.schedule))
        x = 1 / self.rates[moving]
        known: dict[float, tuple[Array, Array, Array]] = {}

        def at(u: float) -> Array:
            if u not in known:
                with doing("learning rates", len(known)):
                    logs, errors = crossings(1 / u)
                no_way = np.isneginf(logs) & np.isfinite(errors)
                logs = np.maximum(logs, -many - NEVER)
                known[u] = logs, np.minimum(errors, np.abs(logs)), 1.0 * no_way
            return known[u][0]

        def between(nodes: Array, values: Array, x: Array) -> Array:
            if len(nodes) == 1:
                return np.broadcast_to(values[0], (len(x), *values[0].shape))
            return np.asarray(PchipInterpolator(nodes, values)(x))

        def table(k: int) -> tuple[Array, Array]:
            nodes = np.array(sorted(known))
            return nodes, np.array([known[u][k] for u in nodes.tolist()])

        low, high = float(x.min()), float(x.max())
        waiting = list(pairwise(np.geomspace(low, high, 5).tolist())) if high > low else []
        for u in (low, high, *(b for _, b in waiting)):
            at(u)
        while waiting:
            # The fastest first: what is decided there is seen by the fewest rates.
            waiting.sort(key=lambda w: -float(known[w[0]][0].max()))
            a, b = waiting.pop(0)
            top = float(max(at(a).max(), at(b).max()))
            if b <= a * (1 + TOLERANCE) or top <= -many - NEVER or len(known) >= MOST_RATES:
                continue
            middle = math.sqrt(a * b)
            expected = between(*table(0), np.array([middle]))[0]
            gap = float(np.abs(at(middle) - expected).max())
            if gap > TOLERANCE * math.exp(max(-many - top, 0.0) / 4):
                waiting += [(a, middle), (middle, b)]
        (nodes, logs), errors, no_way = table(0), table(1)[1], table(2)[1]
        some = distinct(np.arange(0, len(nodes), 2), len(nodes) - 1)
        log_k, off, held = np.full(shape, -np.inf), np.zeros(shape), np.ones(shape, dtype=bool)
        log_k[moving], held[moving] = between(nodes, logs, x), between(nodes, no_way, x) == 1
        off[moving] = between(nodes, errors, x)
        off[moving] += np.abs(log_k[moving] - between(nodes[some], logs[some], x)) / BETTER
        never = (log_k <= -many - NEVER + 1e-9) & (off < many)
        return np.where(never, -np.inf, log_k), np.where(never, 0.0, off), held

    def _followed(self, begun: Begun, log_k: Array, cuts: Array) -> Array:
        """The shares at the cuts, each interval with the rates that it has on average."""
        from scipy.linalg import expm

        after, p = begun.steps[-1], begun.shares[-1]
        every = np.clip(self.steps + self.every - after, 0.0, self.every)  # by the rates
        sums = np.add.reduceat(np.exp(log_k) * every[:, None, None], cuts[:-1], axis=0)
        q = np.zeros((len(sums), self.n, self.n))
        i = np.arange(self.n - 1)
        q[:, i, i + 1], q[:, i + 1, i] = sums[:, 0], sums[:, 1]
        q[:, np.arange(self.n), np.arange(self.n)] = -q.sum(axis=2)
        shares = [p]
        for step in expm(q):
            p = np.clip(p @ step, 0.0, 1.0)
            p = p / p.sum()
            shares.append(p)
        times = np.append(self.steps, len(self.schedule))[cuts]
        before = [np.interp(times, begun.steps, of) for of in begun.shares.T]
        return np.where((times < after)[:, None], np.stack(before, axis=1), shares)
