"""Going on from the table of a sweep that was stopped, or the journal of one that was killed."""

from __future__ import annotations

import csv
import json
import math
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from stationary.errors import LandscapeError, StationaryError
from stationary.files import STANDARD
from stationary.sweeps.answers import OF_MINIMA, SCALARS, TEXTS, Answer, Answers, Minimum, Points
from stationary.sweeps.family import with_standard_errors
from stationary.sweeps.quantities import QUANTITIES
from stationary.sweeps.tasks import Grid
from stationary.wording import SUFFIX

CLOSE = 1e-6  # of a number: nearer than that other machines may round it, other processes do not


def table_in(path: Path | None) -> dict[str, list[str]] | None:
    """The columns of a CSV file, as text; None if there is no such file."""
    if path is None or not path.is_file():
        return None
    try:
        with path.open(encoding="utf-8", newline="") as file:
            header, *rows = list(csv.reader(file)) or [[]]
            for line, row in enumerate(rows, 2):
                if len(row) != len(header):
                    raise ValueError(
                        f"line {line} has {len(row)} entries in place of {len(header)}; delete it"
                    )
        columns = list(map(list, zip(*rows, strict=True))) or [[] for _ in header]
        return dict(zip(header, columns, strict=True))
    except (OSError, ValueError, csv.Error) as error:
        raise LandscapeError(f"{path}: this is no table to go on from: {error}.") from error


class Journal:
    """A file to which points are appended as they are done: one line of JSON for each.

    What cannot be appended, as where the disk is full, ends the journal and not the sweep. One
    sweep at a time has it.
    """

    def __init__(self, path: Path, grid: Grid) -> None:
        self.path, self.grid = path, grid
        self.file: TextIO | None = None  # None where it cannot be written

    def __enter__(self) -> Journal:
        file = None
        with suppress(OSError):
            file = self.file = self.path.open("a", encoding="utf-8")
        if file is not None and not _held(file):
            file.close()
            raise LandscapeError(
                f"{self.path}: a sweep that is running appends to this file. Wait for it to end, "
                "or name another one."
            )
        return self

    def __exit__(self, *_: object) -> None:
        if self.file is not None:
            with suppress(OSError):
                self.file.close()
            with suppress(OSError):
                if not self.path.stat().st_size:
                    self.path.unlink()

    def known(self) -> dict[int, Answer]:
        """The points that are in it."""
        if not self.path.exists() or (self.path.is_file() and not self.path.stat().st_size):
            return {}
        return known_points(journal_in(self.path), self.grid)

    def keep(self, start: int, answers: Answers) -> None:
        """Append the points from this one on; not all of them at once, which are in no danger."""
        if self.file is None or self.file.closed or len(answers) == len(self.grid):
            return
        rows = (self.grid.values(start + i) | _columns(answer) for i, answer in enumerate(answers))
        try:
            self.file.write("".join(f"\n{json.dumps(row)}" for row in rows))
            self.file.flush()
        except OSError:
            with suppress(OSError):
                self.file.close()


def _held(file: TextIO) -> bool:
    """Take a file for this process; False if another one has it. True where that is not known."""
    try:
        import fcntl
    except ImportError:  # Windows
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # some disks of networks know no locks
        pass
    return True


def _columns(answer: Answer) -> dict[str, Any]:
    """An answer as a row of a table, with its own minima in their order."""
    row = {n: getattr(answer, n) for n in SCALARS}
    for k, m in enumerate(answer.minima):
        row |= {f"{n}_{k}": getattr(m, n) for n in OF_MINIMA}
    at = {m.position: f"_{k}" for k, m in enumerate(answer.minima)}
    for (quantity, place), values in (answer.extras or {}).items():
        named = quantity + ("" if place is None else at.get(place, "_"))
        row |= {f"{named}{end}": v for end, v in zip(("", "_error", SUFFIX), values, strict=False)}
    return row


@contextmanager
def beside(table: Path | None, resumed: bool) -> Iterator[Path | None]:
    """The journal of the sweep whose table will be written to this file; None of what is none.

    It is removed in the end if the table, which holds all of it, was written meanwhile.
    """
    if table is None or str(table) == STANDARD or (table.exists() and not table.is_file()):
        yield None
        return
    path, before = table.with_name(f"{table.name}.part"), _stamp(table)
    if not resumed and path.exists() and path.stat().st_size:
        raise LandscapeError(
            f"{path}: points of a sweep that was killed, or still runs, are in this file. "
            "--resume goes on from them; to begin anew, delete it."
        )
    try:
        yield path
    finally:
        if _stamp(table) != before:
            path.unlink(missing_ok=True)


def _stamp(path: Path) -> tuple[int, int] | None:
    """What changes where a file is written."""
    found = path.stat() if path.exists() else None
    return None if found is None else (found.st_ino, found.st_mtime_ns)


def journal_in(path: Path) -> dict[str, list[Any]]:
    """The columns of a journal, without lines that were cut off."""
    rows, why = [], "no line of it is a point"
    try:
        for line in path.read_text(encoding="utf-8").splitlines():
            with suppress(ValueError):
                rows.append(dict(json.loads(line)))
    except (OSError, ValueError, TypeError) as error:
        why = str(error)
    if not rows:
        raise LandscapeError(f"{path}: this is no journal of a sweep: {why}. Name another file.")
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: [row.get(name, "") for row in rows] for name in names}


def known_points(table: Any, grid: Grid) -> dict[int, Answer]:
    """The answers in a table of a sweep over the same axes, by the number of their point.

    A few of its points are solved again: what else has changed since no table can tell.
    """
    name, axes = grid.recipe.name, grid.axes
    if not isinstance(table, Mapping) and not hasattr(table, "table"):
        raise LandscapeError(
            f"{name}: resume = {table!r:.60} must be a sweep that was stopped, or its table: a "
            "mapping of the names of columns to their values, as of Sweep.table()."
        )
    columns: Mapping[str, Sequence[Any]] = table.table() if hasattr(table, "table") else table
    labels = [c[5:] for c in columns if re.fullmatch(r"kind_\d+", c)]
    own = [f"{n}_{label}" for label in labels for n in OF_MINIMA]
    lost = [c for c in (*axes, *SCALARS, *own) if c not in columns and SUFFIX not in c]
    if lost:
        raise LandscapeError(
            f"{name}: the table to go on from has no column {lost[0]}: it is that of another "
            "sweep. Name the one that was stopped."
        )
    read = {*axes, *SCALARS, *own}
    asked = tuple(grid.recipe.quantities or ())
    columns = {c: v for c, v in columns.items() if c in read or c.startswith(asked)}
    words = {v for values in axes.values() for v in values if isinstance(v, str)}
    places = [{_key(v): i for i, v in enumerate(values)} for values in axes.values()]
    found = {}
    for line, values in enumerate(zip(*columns.values(), strict=True), 1):
        row = {c: _read(c, v, words) for c, v in zip(columns, values, strict=True)}
        if strange := [c for c in row if row[c] is None]:
            value = columns[strange[0]][line - 1]
            raise LandscapeError(
                f"{name}: row {line} of the table to go on from has {strange[0]} = {value!r:.40}. "
                "Delete that row: its point is then solved again."
            )
        place = tuple(at.get(_key(row[n]), -1) for n, at in zip(axes, places, strict=True))
        if min(place) < 0:
            where = ", ".join(
                f"{n} = {row[n] if isinstance(row[n], str) else format(row[n], 'g')}" for n in axes
            )
            raise LandscapeError(
                f"{name}: the table to go on from has a point at {where}, which is not asked for "
                "now. Ask for the same values, or name another file."
            )
        there = [label for label in labels if row[f"kind_{label}"]]
        minima = tuple(
            Minimum(**{n: row[f"{n}_{k}"] for n in OF_MINIMA if f"{n}_{k}" in row}) for k in there
        )
        extras = {  # as `measured` gives them
            (q, at): (row[column], *(row.get(column + e, math.nan) for e in ("_error", SUFFIX)))
            for q in asked
            for at, column in (
                (None, q),
                *((m.position, f"{q}_{label}") for m, label in zip(minima, there, strict=True)),
            )
            if not math.isnan(row.get(column, math.nan))
        }
        scalars = {n: row[n] for n in SCALARS if n in row}
        number = int(np.ravel_multi_index(place, grid.shape))
        found[number] = Answer(**scalars, minima=minima, extras=extras or None)
    _check(found, grid)
    return found


def _check(known: Mapping[int, Answer], grid: Grid) -> None:
    """Whether a few points of a table are still what comes out, as far as anything does."""
    numbers = sorted(n for n, answer in known.items() if answer.status != "failed")
    for n in {numbers[i] for i in (0, len(numbers) // 2, -1)} if numbers else ():
        parameters, step = grid.at(n)
        try:
            family = grid.recipe.family(parameters, Points.along(step))
            now = with_standard_errors(family.alone(step))
        except StationaryError:
            continue
        apart = None if now.status == "failed" else _apart(known[n], now)
        if apart is not None:
            where = ", ".join(f"{name} = {v}" for name, v in grid.values(n).items())
            raise LandscapeError(
                f"{grid.recipe.name}: the table to go on from is that of another process: at "
                f"{where} {apart[0]} is {apart[1]} there, and {apart[2]} now. Name another file, "
                "or begin anew."
            )


def _apart(then: Answer, now: Answer) -> tuple[str, Any, Any] | None:
    """The first number in which two answers differ by more than their errors."""
    pairs: list[tuple[str, Any, Any, float]] = [
        ("the end state", then.kind or "none", now.kind or "none", 0.0),
        ("the number of minima", len(then.minima), len(now.minima), 0.0),
        ("the mean", then.mean, now.mean, then.mean_error + now.mean_error),
        ("the standard deviation", then.std, now.std, then.std_error + now.std_error),
    ]
    for a, b in zip(then.minima, now.minima, strict=False):
        pairs += [
            ("a minimum", a.position, b.position, 0.0),
            ("the log of a mass", a.log_mass, b.log_mass, a.mass_error + b.mass_error),
        ]
    for (quantity, place), (value, off, *_) in (now.extras or {}).items():
        old = {at: v for (q, at), v in (then.extras or {}).items() if q == quantity}
        at = min(old, key=lambda x: abs((x or 0.0) - (place or 0.0)), default=None)
        if not old and not math.isnan(value):
            pairs.append((quantity, "not known", f"{value:.8g}", 0.0))
        elif old and quantity in QUANTITIES:  # others may be drawn at random
            pairs.append((quantity, old[at][0], value, old[at][1] + off))
    old_sure, sure = (
        e if math.isfinite(e := x.mean_standard_error) else "not known" for x in (then, now)
    )
    pairs.append(("the standard error of the mean", old_sure, sure, 0.0))
    spread = float(np.nan_to_num([then.std, now.std]).max())
    for name, a, b, error in pairs:
        if isinstance(a, float) and isinstance(b, float) and math.isfinite(a) and math.isfinite(b):
            room = CLOSE * max(abs(a), abs(b), spread)
            if abs(a - b) > room + (error if math.isfinite(error) else 0.0):
                return name, f"{a:.8g}", f"{b:.8g}"
        elif str(a) != str(b):
            return name, a, b
    return None


def _key(value: Any) -> Any:
    return value if isinstance(value, str) else float(value)


def _read(column: str, value: Any, words: Collection[str]) -> Any:
    if column.startswith(("kind_", *TEXTS)) or str(value) in words:
        return str(value)
    if str(value) in ("True", "False"):
        return float(str(value) == "True")
    try:
        return math.nan if value in ("", None) else float(value)
    except (TypeError, ValueError):
        return None
