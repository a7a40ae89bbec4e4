"""How many steps SGD takes to leave an interval."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from stationary.aliases import Array
from stationary.chain.batches import ASKED, CELLS, TWICE, Batches
from stationary.chain.cells import bisected, cores_of, graded, spaced
from stationary.chain.elimination import Elimination, absorbed
from stationary.chain.far import Far, Held, covered, ends_of
from stationary.chain.lattice import is_rigid
from stationary.chain.links import closed_classes
from stationary.chain.points import led, walks_from
from stationary.chain.tilt import Lean
from stationary.chain.transfer import Transfer, transfers
from stationary.errors import ConvergenceError, LandscapeError
from stationary.functions.given import number
from stationary.numbers.arithmetic import SAME
from stationary.numbers.limit import limit
from stationary.result import Compared

MOST_ROUNDS = 100  # in which what a walk can come to grows
BESIDE = 5  # in place of 4: cells of another width, of which few edges are the same
MOST_FOLLOWED = 2**13  # places to which steps from a start are followed, not taken for cells
MOST_CELLS = 2000  # times settle on fewer, and have links of their own for every start


@dataclass(frozen=True, eq=False)
class MeanSteps(Compared):
    """A mean number of steps, as its natural logarithm."""

    log_time: float
    error: float  # absolute of log_time, relative of the time; inf where this is not told

    @property
    def time(self) -> float:
        """In steps; inf where that overflows."""
        return math.exp(self.log_time) if self.log_time < 709.7 else math.inf


@dataclass(frozen=True, eq=False)
class ExitTime(MeanSteps):
    """The mean number of steps until SGD first leaves an interval."""

    upper: float = math.nan  # the probability to leave by the upper end, from a given start
    upper_error: float = math.nan  # absolute
    cells_error: float = math.inf  # of log_time, what more cells would lower of its error

    def settled(self, enough: float) -> bool:
        """Whether more cells are not worth it: for an error that is enough, or hardly any less."""
        return self.cells_error < max(enough, self.error / 4)

    @property
    def probability(self) -> float:
        """To leave, per step."""
        return math.exp(-self.log_time)


def exit_time(
    batches: Batches,
    lower: Any,
    upper: Any,
    start: Any,
    cells: int,
    cut: tuple[bool, bool] = (False, False),
) -> ExitTime:
    """The mean number of steps until SGD is outside; see `ChainState.mean_exit_time`.

    A wall at the end of the domain turns steps back, so that it is no way out; nor is an end where
    it was `cut`.
    """
    landscape, low, high = batches.landscape, number(lower), number(upper)
    if low is None or high is None or not low < high or math.isinf(high - low):
        raise LandscapeError(
            f"{landscape.name}: mean_exit_time({lower!r}, {upper!r}): give the two ends of an "
            "interval, the lower first, as in mean_exit_time(-1, 1)."
        )
    at = None if start is None else number(start)
    if start is not None and (at is None or not low <= at <= high):
        raise LandscapeError(
            f"{landscape.name}: mean_exit_time: start = {start!r} must lie between {low:g} and "
            f"{high:g}."
        )
    first, last = (
        "fold" if ended or (end == own and kind == "fold") else "leave"
        for end, own, kind, ended in zip(
            (low, high), landscape.domain, ends_of(landscape), cut, strict=True
        )
    )
    held = Held(low, high, (first, last), Far())
    if at is not None and batches.whole and is_rigid(batches, held):
        exact = _on_points(batches, held, at)
        if exact is not None:
            return exact
    count = min(cells, MOST_CELLS)
    cores = cores_of(batches, low, high, count)
    places = spaced(low, high, max(count, 64) + 1, cores)
    joints = np.array([b for b in landscape.joints(cells // 4) if low < b < high])
    edges, laid = (
        bisected(bisected(graded(low, high, max(few, 16), joints=joints, cores=cores)))
        for few in (count // 4, count // BESIDE)
    )

    def moved(other: Batches, known: tuple[float, ...]) -> Array:
        lean = Lean(other, places)
        (chain,) = transfers(other, edges[::4], held.ends, joints, [lean])
        found = _log_time(other, held, chain, lean, at)
        with np.errstate(invalid="ignore"):
            off = TWICE * np.abs([found[k] - known[k] for k in (0, 2)])
        return np.where(math.isinf(found[0]) and math.isfinite(known[0]), math.inf, off)

    levels: list[tuple[float, ...]] = []
    lean = Lean(batches, places)
    (beside,) = transfers(batches, laid, held.ends, joints, [lean])
    for chain in [*transfers(batches, edges, held.ends, joints, [lean] * 3)[::-1], beside]:
        levels.append(_log_time(batches, held, chain, lean, at))
        if math.isinf(levels[-1][0]):
            out = batches.pushed(low + (high - low) / 2 if at is None else at)
            leaves = any(math.isinf(moved(b, levels[-1])[0]) for b in (*batches.unlike, *out))
            known = batches.exact and not leaves
            return ExitTime(math.inf, 0.0 if known else math.inf, cells_error=0.0)
    *levels, other_cells = levels
    (time, error), (above, doubt) = (limit([level[k] for level in levels]) for k in (0, 2))
    # Changes of a time that is rough may fall as a square by luck: other cells tell.
    apart = 2 * np.abs([other_cells[k] - levels[-1][k] for k in (0, 2)])
    of_cells = float(error + apart[0]) + 1e-12 + levels[-1][1]
    off = np.array([of_cells, doubt + apart[1] + 1e-12 + levels[-1][3]])
    off += np.max([moved(other, levels[0]) for other in batches.fewer], axis=0, initial=0.0)
    off += sum(moved(other, levels[0]) for other in batches.otherwise)
    # What drives it upwards tells the end; a time counts what drives it out at both.
    driven = (*batches.pushed(), *batches.pushed(levels[-1][4]))
    off += np.max([moved(other, levels[0]) for other in driven], axis=0, initial=0.0)
    off += TWICE * batches.roughness(low + (high - low) * np.array(ASKED))
    above = float(np.clip(above, 0.0, 1.0))
    return ExitTime(float(time), float(off[0]), above, min(float(off[1]), 1.0), of_cells)


def _on_points(batches: Batches, held: Held, start: float) -> ExitTime | None:
    """The same where a walk comes to a few points only, without cells."""
    found = walks_from(batches, held, led(batches, held, np.array([start]))[:, 0])
    if found is None:
        return None
    walks, first, told = found
    values = []
    for walk in walks:
        if closed_classes(walk.links, walk.stopped):
            values.append((math.inf, math.nan))
            continue
        owner = np.where(walk.stopped, walk.position > start, -1)
        table, steps, sound = absorbed(walk.links, owner, 2, np.zeros(walk.links.n))
        if not sound:
            return None
        time = np.logaddexp(0.0, np.logaddexp.reduce(np.log(batches.probability) + steps[first]))
        values.append((float(time), float(batches.probability @ table[first, 1])))
    never = [math.isinf(t) for t, _ in values]
    if told and all(never):
        return ExitTime(math.inf, 0.0, cells_error=0.0)
    off = [math.inf, 1.0]  # where rounding decides whether it ever leaves
    if told and not any(never):
        off = np.abs(np.array(values) - values[0]).max(axis=0).tolist()
    return ExitTime(values[0][0], off[0] + 1e-12, values[0][1], off[1] + 1e-12, 0.0)


def refined_exit_time(
    batches: Batches,
    lower: float,
    upper: float,
    at: float,
    enough: float,
    known: tuple[float, float],
    least: int = 1,
) -> ExitTime:
    """The same on more cells, where few leave an error above `enough`.

    An infinite side, which is no way out, is cut off where nothing comes from there: at the ends of
    what is `known` of SGD, or nearer.
    """
    cut = math.isinf(lower), math.isinf(upper)
    if any(cut):
        first, last = max(lower, known[0]), min(upper, known[1])
        low = high = at
        for _ in range(MOST_ROUNDS):
            inner, most = covered(batches, low, high)
            before, low, high = (low, high), max(min(low, inner), first), min(max(high, most), last)
            if before == (low, high):
                break
        lower, upper = low if cut[0] else lower, high if cut[1] else upper
    for cells in CELLS:
        time = exit_time(batches, lower, upper, at, max(cells, least), cut)
        if time.settled(enough):
            break
    return time


def _log_time(
    batches: Batches, held: Held, chain: Transfer, lean: Lean, start: float | None
) -> tuple[float, ...]:
    """The logarithm of the steps and its error; the same of the probability to leave by the upper
    end; and from where it takes longest."""
    edges, low, high = chain.edges, held.lower, held.upper
    leaving, upwards, inner = chain.leaving.sum(axis=1), chain.leaving[:, 1], chain.inner
    members = np.arange(chain.cells)
    if start is not None:
        cell = int(np.clip(np.searchsorted(edges, start, side="right") - 1, 0, chain.cells - 1))
        members = np.flatnonzero(inner.reached([cell]))
        inner, leaving, upwards = inner.among(members), leaving[members], upwards[members]
    if any(not leaving[c].any() for c in closed_classes(inner)):
        return math.inf, 0.0, math.nan, math.nan, math.nan  # some of it is never left
    parts = Elimination(inner, leaving, int(np.argmax(lean.rise(edges)[members])))
    if not parts.sound:
        raise ConvergenceError(
            f"{batches.landscape.name}: between {low:g} and {high:g} some cells are left less "
            "often than doubles hold. Ask for fewer cells, or for another interval."
        )
    x = steps = parts.solved(np.zeros(len(members)))
    middle = ((edges[1:] + edges[:-1]) / 2)[members]
    longest = float(middle[np.argmax(steps)])
    if start is not None:
        with np.errstate(divide="ignore"):
            above = np.exp(parts.solved(np.log(upwards)))
        return *_from_point(batches, held, start, (middle, steps, above)), longest
    # The time in the quasi-stationary state is the largest eigenvalue of the inverse; that of
    # each round lies between the least and the greatest ratio (Collatz and Wielandt).
    least = greatest = 0.0
    for _ in range(200):
        x = x - x.max()
        new = parts.solved(x)
        told = x > math.log(SAME)  # where it dies out, nothing leads to what is left last
        ratio = (new - x)[told]
        least, greatest, x = float(ratio.min()), float(ratio.max()), new
        if greatest - least < 1e-10:
            break
    return (least + greatest) / 2, (greatest - least) / 2, math.nan, math.nan, longest


def _from_point(
    batches: Batches, held: Held, start: float, cells: tuple[Array, Array, Array]
) -> tuple[float, float, float, float]:
    """The same from a start, whose steps are followed for as long as they are few.

    `cells` are their middles, the logarithm of the steps from there, and the probability to leave
    by the upper end. Where steps stretch distances these are rough: what the last step that is
    followed changes is the error.
    """
    middle, steps, above = cells
    w: Array = np.array([start])
    p: Array = np.ones(1)
    found: Array = np.empty((0, 2))
    spent = up = 0.0
    for _ in range(MOST_FOLLOWED.bit_length()):
        spent += float(p.sum())
        w, p = led(batches, held, w), np.outer(batches.probability, p)  # (batches, places)
        up += float(p[w >= held.upper].sum())
        inside = (w > held.lower) & (w < held.upper)
        w, p = w[inside], p[inside]
        with np.errstate(divide="ignore"):
            later = np.logaddexp.reduce(np.log(p) + np.interp(w, middle, steps), initial=-math.inf)
        now = (
            float(np.logaddexp(math.log(spent), later)),
            up + float(p @ np.interp(w, middle, above)),
        )
        found = np.vstack([found[-1:], now])
        if not 0 < len(w) * len(batches.probability) <= MOST_FOLLOWED:
            break
    (time, upper), (error, doubt) = found[-1], 2 * np.abs(found[-1] - found[0])
    return float(time), float(error), float(np.clip(upper, 0.0, 1.0)), float(doubt)
