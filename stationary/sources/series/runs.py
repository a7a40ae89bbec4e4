"""A recorded series as steps: from where, to where, in what time."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import cached_property
from typing import Any

import numpy as np

from stationary.aliases import Array
from stationary.errors import LandscapeError
from stationary.functions.given import ALIKE, LARGEST, number, short
from stationary.numbers.arithmetic import SAME
from stationary.numbers.elementary import distinct
from stationary.sources.columns import CLOCKS, DATES, RUN, columns_of, gathered, seconds
from stationary.sources.settings import CLEARLY

OBSERVED = 100  # observations, from which anything can be told
OF_PLACES = {"gradient", "gradients", "losses"}  # columns of a table over w
CLASSES = 0.1  # relative width of classes of times between observations: what is lost is 0.1^2 / 12
MOST_CLASSES = 32  # wider ones then: each costs as much as all steps of one length


@dataclass(frozen=True, eq=False)
class Runs:
    """Observations of one process, in one run or several; gaps are left out.

    Attributes
    ----------
    times, values
        Of each run, shape (n,) each.
    every
        Of so many observations, one was kept.
    """

    times: tuple[Array, ...]
    values: tuple[Array, ...]
    name: str
    every: int = 1

    @cached_property
    def all(self) -> Array:
        return np.concatenate(self.values)

    @cached_property
    def grain(self) -> float:
        """The unit of which all values are multiples, up to one constant; 0 if of none."""
        levels = distinct(self.all)
        gaps = np.diff(levels)
        gaps = gaps[gaps > 1e-9 * (levels[-1] - levels[0])]  # sums are off by their rounding
        unit = float(gaps.min())
        return unit if np.abs(gaps / unit - np.round(gaps / unit)).max() < 1e-2 else 0.0

    @property
    def duration(self) -> float:
        return float(sum(t[-1] - t[0] for t in self.times))

    def steps(self, lag: int = 1) -> tuple[Array, Array, Array]:
        """Where each step starts and ends, and how long it takes, over `lag` observations."""
        start = np.concatenate([v[:-lag] for v in self.values])
        stop = np.concatenate([v[lag:] for v in self.values])
        return start, stop, np.concatenate([t[lag:] - t[:-lag] for t in self.times])

    def classes(self, lag: int = 1) -> list[tuple[float, Array, Array]]:
        """The steps by how long they take: the mean of each class, starts and ends."""
        start, stop, time = self.steps(lag)
        logs = np.log(time / time.min())
        width = max(CLASSES, float(logs.max()) / MOST_CLASSES)
        label = np.floor(logs / width + 1e-9).astype(int)
        found = []
        for k in distinct(label):
            own = label == k
            found.append((float(time[own].mean()), start[own], stop[own]))
        return found

    def held(self, chance: float) -> str:
        """The most equal values in a row, in words, if less than chance makes so many of them."""
        still = np.concatenate([np.append(np.diff(v) == 0, False) for v in self.values])
        ends = np.flatnonzero(~still)
        counts = np.diff(ends, prepend=-1)
        k = int(counts.argmax())
        if len(still) * still.mean() ** (counts[k] - 1) > chance:
            return ""
        at = int(ends[k]) + 1 - int(counts[k])
        entry, time = (
            np.concatenate(x)[at] for x in ([range(len(v)) for v in self.values], self.times)
        )
        run = int(np.searchsorted(np.cumsum([len(v) for v in self.values]), at, side="right"))
        of_run = f" of run {run}" if len(self.values) > 1 else ""
        return (
            f"{counts[k]} values in a row are {self.all[at]:.10g}, from entry {entry}{of_run} on "
            f"(of those that are not missing; time {time:.6g})"
        )

    def thinned(self, every: int) -> Runs:
        """Every so manieth observation."""
        times, values = (
            tuple(x[::every] for x in run if len(x) > every) for run in (self.times, self.values)
        )
        return Runs(times, values, self.name, every * self.every)

    def apart(self, least: float) -> Runs:
        """Without observations that come sooner than `least` after the one before them."""
        kept = [np.append(True, np.diff(t) >= least) for t in self.times]
        times, values = (
            tuple(x[k] for x, k in zip(run, kept, strict=True)) for run in (self.times, self.values)
        )
        return replace(self, times=times, values=values)

    def mapped(self, to: Callable[[Array], Array]) -> Runs:
        """The same in another coordinate."""
        return replace(self, values=tuple(map(to, self.values)))

    def without_trend(self) -> tuple[Runs, float]:
        """The same less its linear trend, and the slope of that."""
        middle = float(np.concatenate(self.times).mean())
        clocks = [t - middle for t in self.times]
        t = np.concatenate(clocks)
        slope = float(t @ (self.all - self.all.mean()) / (t @ t))
        flat = (v - slope * t for v, t in zip(self.values, clocks, strict=True))
        return replace(self, values=tuple(flat)), slope

    def halves(self) -> tuple[Runs, Runs]:
        """The first and the second half of what was observed."""
        if len(self.values) > 1:
            k = len(self.values) // 2
            return (
                Runs(self.times[:k], self.values[:k], self.name),
                Runs(self.times[k:], self.values[k:], self.name),
            )
        k = len(self.values[0]) // 2
        (t,), (v,) = self.times, self.values
        return Runs((t[:k],), (v[:k],), self.name), Runs((t[k:],), (v[k:],), self.name)


def runs_of(x: Any, dt: Any, times: Any) -> Runs:
    """What was recorded, checked."""
    name = "the series"
    if getattr(getattr(x, "index", None), "nlevels", 1) > 1:  # of pandas: the runs, and the times
        x = x.reset_index()
    index, unit = _index(x) if dt is None and times is None else (None, "")
    lines: Any = None  # of a file, at which each observation stands
    if isinstance(x, (str, os.PathLike, Mapping)) or hasattr(x, "columns"):
        needed = ("x", *(CLOCKS if dt is None and times is None else ()))
        columns, name, lines = columns_of(x, only="x", needed=needed)
        dates = columns.pop(DATES, None)
        if index is None and dt is None and times is None:
            index, unit = dates, f" (times: {DATES})"
        if index is not None and columns.keys().isdisjoint(CLOCKS):
            columns["t"], name = index, name + unit
        x, times, lines = _from_columns(columns, name, times, dt is not None, lines)
    elif index is not None:
        times, name = index, name + unit
    several = isinstance(x, (list, tuple)) and len(x) > 0 and np.ndim(x[0]) > 0
    series = list(x) if several else [x]
    if times is not None and dt is not None:
        raise LandscapeError(f"{name}: dt and times both say when it was observed. Keep one.")
    if times is None:
        step = number(dt)
        if step is None or not 1 / LARGEST < step < LARGEST:
            wrong = (
                "the time between observations is missing: give it as in dt=0.1 (--dt 0.1)"
                if dt is None
                else f"dt = {short(dt)} must be the time between observations, as in dt=0.1, from "
                f"{1 / LARGEST:g} to {LARGEST:g}"
            )
            raise LandscapeError(
                f"{name}: {wrong}; or give times (of a table: a column t of "
                "numbers, or of dates as 2021-03-01 12:00)."
            )
        clocks: list[Any] = [step * np.arange(np.size(v)) for v in series]
    else:
        clocks = list(times) if several else [times]
    if len(clocks) != len(series):
        raise LandscapeError(
            f"{name}: there are {len(series)} runs, but times for {len(clocks)}. Give one of each."
        )
    kept_times, kept = [], []
    every = [None] * len(series) if lines is None else lines if several else [lines]
    for k, (t, v, its) in enumerate(zip(clocks, series, every, strict=True)):
        where = f"{name}, run {k}" if several else name
        t, v = _one(t, v, where, its)
        if len(v) > 1:
            kept_times.append(t)
            kept.append(v)
    count = sum(map(len, kept))
    if count < OBSERVED:
        alone = sum(map(np.size, series)) == 1
        have = "1 observation is" if alone else f"{count} observations in a row are"
        raise LandscapeError(
            f"{name}: {have} too few to tell a drift and a variance: at least {OBSERVED} are "
            "needed, thousands are better."
        )
    found = Runs(tuple(kept_times), tuple(kept), name)
    reach = float(np.ptp(found.all))
    if reach == 0:
        raise LandscapeError(f"{name}: all {count} observations are {found.all[0]:g}.")
    for what, size in (("values range over", reach), ("times range over", found.duration)):
        if not 1 / LARGEST < size < LARGEST:
            raise LandscapeError(f"{name}: its {what} {size:.3g}. Give them in another unit.")
    if reach <= SAME * float(np.abs(found.all).max()):
        raise LandscapeError(
            f"{name}: its values are about {found.all[0]:g} and range over {reach:.3g}, of which "
            "doubles hold too few digits. Subtract one of them before it is rounded."
        )
    return found


def _one(t: Any, v: Any, where: str, lines: Any = None) -> tuple[Array, Array]:
    for what, given in (("observations", v), ("times", t)):
        kind = np.asarray(given).dtype
        if kind.kind in "cmM":
            hint = (
                "Give the real part."
                if kind.kind == "c"
                else (
                    "Give numbers in a unit of your choice, as (t - t[0]) / np.timedelta64(1, 's')."
                )
            )
            raise LandscapeError(f"{where}: the {what} are of type {kind}. {hint}")
    try:
        # What is masked is missing.
        t, v = (np.ma.filled(np.ma.asarray(x, dtype=float), np.nan) for x in (t, v))
    except (TypeError, ValueError, OverflowError):
        v = np.empty(())
    if v.ndim == 0:
        raise LandscapeError(
            f"{where}: a series is an array of numbers, or a list of such, one for each run."
        )
    if v.ndim != 1 or t.shape != v.shape:
        but = "" if t.size == v.size and t.ndim == 1 else f" and the times {t.shape}"
        raise LandscapeError(
            f"{where}: the observations have shape {v.shape}{but}; what is observed must be (n,), "
            "and so its times. Several runs are a list of arrays: list(x), if rows are runs; "
            "list(x.T), if columns are."
        )
    if np.isinf(v).any() or np.isinf(t).any():
        i = int(np.argmax(np.isinf(v) | np.isinf(t)))
        at = f"entry {i}" if lines is None else f"line {lines[i]}"
        raise LandscapeError(f"{where}: {at} is infinite. Mark what is missing by nan.")
    known = ~np.isnan(v) & ~np.isnan(t)
    t, v = t[known], v[known]
    back = np.flatnonzero(np.diff(t) <= 0)
    if len(back):
        i = int(back[0]) + 1
        at = "" if lines is None else f", line {np.asarray(lines)[known][i]}"
        how = "give several runs as a list" if lines is None else "name them in a column run"
        raise LandscapeError(
            f"{where}{at}: time {t[i]:.16g} comes after {t[i - 1]:.16g}. Times must ascend within "
            f"a run; {how}."
        )
    return t, v


def _index(x: Any) -> tuple[Any, str]:
    """The times that the index of pandas holds, if it does not only count, and their unit."""
    if isinstance(x, (list, tuple)) and x and hasattr(x[0], "to_numpy"):
        each, units = zip(*map(_index, x), strict=True)
        return (None, "") if any(t is None for t in each) else (list(each), units[0])
    index = getattr(x, "index", None)
    if not hasattr(index, "to_numpy"):
        return None, ""
    t = np.asarray(index, "M8[ns]" if getattr(index, "tz", None) else None)
    if t.dtype.kind in "mM":
        return seconds(t), " (times: its index, in seconds)"
    if t.dtype.kind not in "iuf" or (t == np.arange(len(t))).all():
        return None, ""
    return t, " (times: its index)"


def _from_columns(
    columns: dict[str, Array], name: str, times: Any, timed: bool, lines: Any
) -> tuple[Any, Any, Any]:
    """The column that was observed, when (unless it is `timed` otherwise), and on which lines, of
    a table; by run, where there is such a column."""
    clock = next((c for c in CLOCKS if c in columns), None)
    rest = [c for c in columns if c not in (clock, RUN)]
    chosen = next((c for c in ("x", "w", "value") if c in rest), rest[0] if rest else None)
    if chosen is None or (len(rest) > 1 and chosen not in ("x", "w", "value")):
        raise LandscapeError(
            f"{name}: which column was observed? It has {', '.join(columns) or 'none of numbers'}. "
            "Name it x, the times (if any) t, and the runs (if several) run."
        )
    without = clock is None and times is None and not timed
    wanted = [*([] if RUN in columns else [RUN]), *([] if clock else CLOCKS)]
    for other in (c for c in rest if c != chosen):
        near = get_close_matches(other.lower(), wanted, 1, ALIKE if without else CLEARLY)
        if near:
            raise LandscapeError(
                f"{name}: the column {other} has no meaning here; did you mean {near[0]}? Rename "
                "it, or leave it out."
            )
    x = columns[chosen]
    if not OF_PLACES.isdisjoint(gathered(columns, name)) and x.ndim == 1 and (np.diff(x) > 0).all():
        raise LandscapeError(
            f"{name}: this is a table of gradients at ascending {chosen}, and no recorded series. "
            "stationary.analyze takes it, with a learning_rate."
        )
    t = columns[clock] if clock and times is None else times
    if RUN not in columns:
        return x, t, lines
    labels = columns[RUN]
    groups = [labels == k for k in distinct(labels)]
    t, lines = (None if v is None else [np.asarray(v)[g] for g in groups] for v in (t, lines))
    return [x[g] for g in groups], t, lines
