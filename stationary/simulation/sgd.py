"""SGD itself: steps of many walkers at once, a minibatch for each.

Two ways to draw a minibatch: which datapoints are in it, with or without replacement; or, where it
is larger than the data, how often each is. Gradients come from the tape laid out for the walkers
(see `Plan`), so that none is evaluated that was not drawn; without one row for all of them, or
where it takes many numbers, as that of a network does, from tables (see `Table`). Where these are
not had, from the tape, or of all datapoints in each step.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from stationary.aliases import Array
from stationary.functions.evaluation import evaluate
from stationary.functions.tape.plan import Plan
from stationary.functions.tape.running import ROWS, WIDE
from stationary.numbers.cost import CACHE, LASTING, MEMORY, SHARED
from stationary.process.landscape import Landscape
from stationary.process.optimiser import ADDED, StepRule
from stationary.simulation.terrain import survey_terrain

Generator = np.random.Generator

CACHED = CACHE // 2  # doubles in an array: the few of a plan stay in the cache
MANY, TABLE = 1024, 2 * MEMORY  # walkers, where so many gradients fit in memory
# Times the cost of a gradient: a binomial number, one of a row of its own, one by series, and one
# that is read from a table.
COUNTED, ROW, SERIES, LOOK = 10, 2, 10, 4
OFTEN = 8  # times the data, from which on a minibatch counts each datapoint instead of drawing it
TOLERANCE = 1e-9  # of the largest gradient of each datapoint, far below what walkers can show
FEWEST = 16  # datapoints, from which on all their gradients cost more than a look into a table
CELLS = 64  # of a table at first
MOST_ROUGH = 0.1  # of these, that may have a kink
FEW_ROUGH = 0.01  # of them, which cost as much as the looks at all others
ROUGH_AT_ONCE = 64  # gradients: the calls for so many cost as much as their numbers

# From datapoints, (..., M), and weights, (M,), to their gradients, and where these are not had.
Look = Callable[[Array, Array], tuple[Array, Array]]


def _is_single(landscape: Landscape) -> bool:
    """Whether one row of a tape stands for all datapoints, so that each has its own cost only."""
    tape = landscape.tapes(0)
    return tape is not None and tape.single


def _counts(landscape: Landscape) -> bool:
    """Whether a minibatch is how often each datapoint is in it."""
    return bool(landscape.replacement) and landscape.batch_size > OFTEN * landscape.datapoints


def table_read(landscape: Landscape) -> Look | None:
    """The table that gradients come from, if they do."""
    tape = landscape.tapes(0)
    wide = tape is not None and tape.program.numbers >= WIDE
    pays = wide if _is_single(landscape) else not _counts(landscape)
    return table_of(landscape) if pays else None


def _draws_alone(landscape: Landscape) -> bool:
    """Whether a step costs no more than the gradients that were drawn."""
    return (_is_single(landscape) and not _counts(landscape)) or table_read(landscape) is not None


def block_size(landscape: Landscape) -> int:
    """How many walkers are stepped together: as many as keep their gradients in the cache."""
    landscape.require_datapoints()  # without which there is nothing to draw
    drawn = min(landscape.batch_size, OFTEN * landscape.datapoints)
    if _draws_alone(landscape):
        return max(256, CACHED // drawn)
    n = landscape.datapoints
    # Each row costs a few calls: there have to be walkers to be worth them.
    return int(np.clip(ROWS // n, max(64, min(MANY, TABLE // n)), CACHED))


def gradients_per_step(landscape: Landscape) -> int:
    """How many gradients, or what costs as much, a step of a walker takes."""
    n, b = landscape.datapoints, landscape.batch_size
    if _counts(landscape):
        return COUNTED * n
    if table_read(landscape) is not None:
        return LOOK * b
    if _is_single(landscape):
        tape = landscape.tapes(0)
        return b * max(1, tape.program.numbers // WIDE if tape else 1)
    return n * (ROW if landscape.tapes(0) is not None else SERIES) + b


class SgdStepper:
    """w <- w - T (what the optimiser makes of the gradient of a batch), a batch for each walker.

    Parameters
    ----------
    x
        The walkers, changed in place by each step.
    velocity
        With momentum the average over steps, which belongs to the walkers, too; with Adam both of
        its averages, (2, M). None at rest.
    """

    def __init__(self, landscape: Landscape, x: Array, velocity: Array | None = None) -> None:
        self.landscape, self.x = landscape, x
        self.n, self.b = landscape.datapoints, landscape.batch_size
        self.rate = float(landscape.learning_rate or 0.0)
        if landscape.momentum or landscape.adaptive:
            rows = 1 + landscape.adaptive
            velocity = np.zeros((rows, len(x))[-rows:]) if velocity is None else velocity.copy()
        self.velocity = velocity
        self.simple = landscape.rule == StepRule() and not landscape.label_noise
        self.simple &= self.velocity is None
        self.counts, self.alone = _counts(landscape), _is_single(landscape)
        self.table = table_read(landscape)
        tape = landscape.tapes(0) if self.table is None else None
        shape = (len(x),) if self.b == 1 else (self.b, len(x))
        self.index = np.zeros((0, len(x)) if self.counts else shape, dtype=np.intp)
        self.columns = np.arange(len(x))
        self.wanted = self.index if self.alone else None
        if self.alone and self.counts:
            self.wanted = np.repeat(np.arange(self.n)[:, None], len(x), axis=1)
        self.plan = None if tape is None else Plan(tape.tape, tape.rows[0], x, self.wanted)
        self.single = self.alone and not self.counts
        # Of gradients that the table does not have, where each can be computed alone.
        self.few = np.zeros(ROUGH_AT_ONCE), np.zeros(ROUGH_AT_ONCE, dtype=np.intp)
        self.rest: Plan | None = None
        self.ahead: Array = self.index[:0]
        self.order: Array | None = None

    def step(self, rng: Generator, t: int) -> None:
        """Step number t of every walker."""
        if self.landscape.schedule is not None:
            self.rate = self.landscape.schedule[t - 1]
        with np.errstate(all="ignore"):
            change = self._update(rng, t)
            change *= self.rate
            self.x -= change

    def _update(self, rng: Generator, t: int) -> Array:
        """What the optimiser makes of the gradient of a batch."""
        weights = self._times(rng) if self.counts else self._drawn(rng)
        v = self._mean(weights)
        if self.simple:
            return v
        if self.landscape.label_noise:
            v = v + self._label_noise(weights, rng)
        v = self.landscape.rule(v, self.x)
        if self.velocity is None:
            return np.array(v)
        if self.landscape.adaptive:
            return self._normalised(v, t)
        self.velocity *= self.landscape.momentum
        self.velocity += v
        return self.velocity.copy()

    def _normalised(self, gradient: Array, t: int) -> Array:
        """An average of gradients over the root of one of squares; at first both are of few."""
        assert self.velocity is not None
        (first, second), sgd = self.landscape.averaging, self.landscape
        self.velocity *= [[first], [second]]
        self.velocity += [(1 - first) * gradient, (1 - second) * gradient**2]
        mean, square = self.velocity
        if sgd.optimiser != "rmsprop":
            mean, square = mean / (1 - first**t), square / (1 - second**t)
        found = mean / (np.sqrt(square) + ADDED)
        return np.asarray(found + sgd.weight_decay * self.x * (sgd.optimiser == "adamw"))

    def _mean(self, weights: Array) -> Array:
        """The mean gradient of each batch."""
        if self.table is not None:
            index = weights if self.wanted is None else self.wanted
            rows, missed = self.table(index, self.x)
            if missed.any():
                self._complete(rows, missed, index)
            if self.counts:
                found = self._of_table(rows, weights)
            else:
                found = rows if self.b == 1 else np.add.reduce(rows, axis=0)
        elif self.single and self.plan is not None:
            rows = self.plan.run()
            found = rows if self.b == 1 else np.add.reduce(rows, axis=0)
        else:
            found = self._of_table(self.plan.run() if self.plan else self._table(self.x), weights)
        if self.b > 1:
            found /= self.b
        lost = ~np.isfinite(found) if not math.isfinite(np.add.reduce(found)) else None
        if lost is not None and self.landscape.tapes(0) is not None:  # overflowed on the tape
            found[lost] = self._of_table(self._table(self.x[lost]), weights[..., lost]) / self.b
        return found

    def _complete(self, rows: Array, missed: Array, weights: Array) -> None:
        """Put the gradients of drawn datapoints where the table missed them."""
        if not self.alone:
            some = missed if self.b == 1 else missed.any(axis=0)
            rows[..., some] = self._picked(self._table(self.x[some]), weights[..., some])
            return
        at, of = self.few
        if self.rest is None:
            tape = self.landscape.tapes(0)
            assert tape is not None
            self.rest = Plan(tape.tape, tape.rows[0], at, of)
        places = np.nonzero(missed)
        x, k = self.x[places[-1]], weights[places]
        made = np.empty(len(x))
        for first in range(0, len(x), ROUGH_AT_ONCE):
            n = min(ROUGH_AT_ONCE, len(x) - first)
            at[:n], of[:n] = x[first : first + n], k[first : first + n]
            made[first : first + n] = self.rest.run()[:n]
        rows[places] = made

    def _table(self, x: Array) -> Array:
        """The gradients of all datapoints as the function gives them, (N, M)."""
        return np.atleast_2d(evaluate(self.landscape.written.table, x)[0])

    def _of_table(self, rows: Array, weights: Array) -> Array:
        """The sum over each batch, from the gradients of all."""
        if self.counts:
            return np.asarray(np.einsum("jm,jm->m", rows, weights))
        picked = self._picked(rows, weights)
        return picked if self.b == 1 else np.asarray(np.add.reduce(picked, axis=0))

    def _picked(self, rows: Array, index: Array) -> Array:
        """Those of the drawn datapoints, from the gradients of all."""
        columns = self.columns[: rows.shape[1]]
        flat = index * rows.shape[1]
        flat += columns
        return np.asarray(np.take(rows.ravel(), flat, mode="clip"))

    def _label_noise(self, weights: Array, rng: Generator) -> Array:
        """Normal noise with the variance that the labels of the batch give its gradient."""
        rows = np.atleast_2d(self.landscape.label_rows(self.x))
        variance = rows[0] if len(rows) == 1 else self._of_table(rows, weights) / self.b
        return rng.standard_normal(len(self.x)) * np.sqrt(variance)

    # Which datapoints.

    def _drawn(self, rng: Generator) -> Array:
        """Those of each batch, of the shape of `index`; those of the next steps come together."""
        if not self.landscape.replacement and self.b > 1:
            self._distinct(rng)
            return self.index
        if not len(self.ahead):
            steps = max(1, SHARED // self.index.size)
            self.ahead = random_indices(rng, self.n, steps * self.index.size).reshape(
                steps, *self.index.shape
            )
        np.copyto(self.index, self.ahead[0])
        self.ahead = self.ahead[1:]
        return self.index

    def _times(self, rng: Generator) -> Array:
        """How often each datapoint is in a batch, (N, M): multinomial, one after the other."""
        left = np.full(len(self.x), self.b)
        times = np.empty((self.n, len(self.x)))
        for j in range(self.n - 1):
            times[j] = rng.binomial(left, 1 / (self.n - j))
            left -= times[j].astype(left.dtype)
        times[-1] = left
        return times

    def _distinct(self, rng: Generator) -> None:
        """Without replacement: drawn again until all differ, or the first steps of a shuffle."""
        if self.b * self.b < 2 * self.n:
            waiting = self.columns
            while len(waiting):
                drawn = random_indices(rng, self.n, self.b * len(waiting)).reshape(self.b, -1)
                self.index[:, waiting] = drawn
                ordered = np.sort(drawn, axis=0)
                waiting = waiting[(ordered[1:] == ordered[:-1]).any(axis=0)]
            return
        if self.order is None:  # which any shuffle may begin with
            kind = np.min_scalar_type(self.n)
            self.order = np.repeat(np.arange(self.n, dtype=kind)[:, None], len(self.x), axis=1)
        order, columns = self.order, self.columns
        for k in range(self.b):
            at = rng.integers(k, self.n, len(self.x), dtype=np.int64)
            chosen = order[at, columns]
            order[at, columns] = order[k]
            order[k] = chosen
            self.index[k] = chosen


def random_indices(rng: Generator, n: int, count: int) -> Array:
    """Uniform whole numbers below n; bits of random words if n allows it."""
    if n == 2:
        return np.unpackbits(np.frombuffer(rng.bytes((count + 7) // 8), np.uint8))[:count]
    if n in (4, 8, 16, 32, 64, 128, 256):
        return np.frombuffer(rng.bytes(count), np.uint8) & np.uint8(n - 1)
    kind: Any = np.uint8 if n <= 2**8 else np.uint16 if n <= 2**16 else np.int64
    return rng.integers(0, n, count, dtype=kind)


# -- gradients from tables ------------------------------------------------------------------------
# Of more datapoints than fit in memory so, interpolated gradients are had as they are.


@dataclass(frozen=True, eq=False)
class Table:
    """Cubics of every datapoint on even cells."""

    low: float
    width: float  # of a cell
    cells: int
    powers: Array  # (N * cells, 4): of the share of the cell
    rough: Array  # (N * cells,): where they are not right to the tolerance

    def __call__(self, index: Array, x: Array) -> tuple[Array, Array]:
        at = (x - self.low) / self.width
        cell = np.clip(np.nan_to_num(at), 0, self.cells - 1).astype(np.intp)
        t = at - cell
        place = index * self.cells + cell
        lost = self.rough.take(place) | ~((t >= 0) & (t <= 1))
        c = self.powers.take(place, axis=0)
        return ((c[..., 3] * t + c[..., 2]) * t + c[..., 1]) * t + c[..., 0], lost


def table_of(landscape: Landscape) -> Look | None:
    """The table of a landscape, made once; None where it does not pay."""
    if "_step_table" not in landscape.__dict__:
        object.__setattr__(landscape, "_step_table", _tabulated(landscape))
    found: Look | None = landscape.__dict__["_step_table"]
    return found


def _tabulated(landscape: Landscape) -> Look | None:
    n, known, single = landscape.datapoints, landscape.known, _is_single(landscape)
    if n < FEWEST and not single:
        return None
    low, high = survey_terrain(landscape).region
    if not all(math.isfinite(end) for end in landscape.domain):
        low, high = low - (high - low), high + (high - low)
        low, high = max(low, landscape.domain[0]), min(high, landscape.domain[1])
    thirds = np.linalg.inv(np.vander(np.arange(4) / 3, increasing=True))
    between = np.vander([1 / 6, 1 / 2, 5 / 6], 4, increasing=True)
    cells, most = CELLS, LASTING // (4 * n)
    while cells <= most:
        width = (high - low) / cells
        x = low + width * (np.arange(3 * cells + 1) / 3)
        values = landscape.loss_gradient(np.minimum(x, high))
        if not np.isfinite(values).all():
            return None
        place = 3 * np.arange(cells)[:, None] + np.arange(4)
        powers = values[:, place] @ thirds.T  # (N, cells, 4)
        middle = (low + width * (np.arange(cells)[:, None] + between[:, 1])).ravel()
        exact = landscape.loss_gradient(middle).reshape(n, cells, 3)
        size = np.abs(values).max(axis=1)[:, None, None]
        rough = (np.abs(powers @ between.T - exact) > TOLERANCE * size).any(axis=2)
        share = (rough if single else rough.any(axis=0)).mean()
        enough = FEW_ROUGH if single else 0.0
        if share <= (enough if 2 * cells <= most else MOST_ROUGH):
            return Table(low, width, cells, powers.reshape(-1, 4), rough.ravel())
        cells *= 2
    if known is None or (drawn := known.drawn) is None:
        return None
    return lambda index, x: (drawn(index, x), np.zeros(index.shape, dtype=bool))
