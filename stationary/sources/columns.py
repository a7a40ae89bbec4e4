"""Columns of numbers by their names, from files, data frames and mappings. Reading runs nothing."""

from __future__ import annotations

import contextlib
import csv
import os
import re
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from stationary.aliases import Array
from stationary.errors import LandscapeError
from stationary.files import read_bounded
from stationary.functions.given import masked, short, typed
from stationary.sources.formulas import Inline

RUN = "run"  # the one column that may hold words
CLOCKS = ("t", "time", "times")  # columns of times
DATE = re.compile(r"\d{4}-\d\d-\d\d")
DATES = "its dates, in seconds"  # the first column of these
MISSING = ("", "NA")  # how spreadsheets and R write what is not there
EACH = {  # how columns of single datapoints are called
    "gradients": re.compile(r"(?:g|grad|gradients?)[_ ]?\d+", re.IGNORECASE),
    "losses": re.compile(r"(?:l|loss|losses)[_ ]?\d+", re.IGNORECASE),
}
SUFFIXES = (".csv", ".tsv", ".npz", ".parquet", ".pq", ".csv.gz", ".tsv.gz")


def is_table(path: Any) -> bool:
    """Whether this is the path of a table, by its suffix, or the text of one, by its first line."""
    if isinstance(path, Inline):
        head = next((x for x in path.text.splitlines() if x.strip()[:1] not in ("", "#")), "")
        names = [name.strip() for name in re.split("[,;\t|]", head)]
        return len(names) > 1 and bool({"w", "x"} & set(names)) and "=" not in head
    named = isinstance(path, (str, os.PathLike))
    return named and _suffix(Path(path)) in SUFFIXES


def _suffix(path: Path) -> str:
    """How its name ends; of what is packed, with what it holds."""
    return "".join(path.suffixes[-2 if path.suffix.lower() == ".gz" else -1 :]).lower()


def _text(path: Path) -> str:
    content = read_bounded(path)
    if path.suffix.lower() == ".gz":
        import gzip
        import zlib

        try:
            content = gzip.decompress(content)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise LandscapeError(f"{path}: this is no whole gzip file: {error}.") from error
    return content.decode("utf-8-sig")


def columns_of(
    source: Any, only: str | None = None, needed: Collection[str] = ()
) -> tuple[dict[str, Array], str, list[int] | None]:
    """The columns of a table, what errors call it, and the lines of its rows, if it has lines.

    The table is the path of a CSV (packed by gzip, or not), NPZ or Parquet file, a mapping, a data
    frame (whose index may be what is needed), or a structured array. `only` is the name of the one
    column of a CSV file without names, or of an NPY file, if that may be. Columns that are
    `needed` hold numbers; others may hold words, and are left out then.
    """
    if isinstance(source, Inline):
        columns, lines = _csv(source, source.text, only, needed)
        return columns, str(source), lines
    if isinstance(source, (str, os.PathLike)):
        path = Path(os.path.expanduser(source))
        suffix = _suffix(path)
        if suffix not in (*SUFFIXES, *[".npy"] * bool(only)):
            raise LandscapeError(
                f"{path} is not a table: its name ends in none of {', '.join(SUFFIXES)}. Save it "
                "as CSV with a line of column names."
            )
        try:
            if only and suffix == ".npy":
                return _numbers({only: _npy(path)}, path.name, needed), path.name, None
            if suffix in READ:
                return _numbers(READ[suffix](path), path.name, needed), path.name, None
            columns, lines = _csv(path, _text(path), only, needed)
            return columns, path.name, lines
        except OSError as error:
            raise LandscapeError(
                f"{path}: the table cannot be read: {error.strerror or error}. Check its name and "
                "permissions."
            ) from error
        except UnicodeError as error:
            raise LandscapeError(
                f"{path}: the table is not text in UTF-8: {error}. Save it as such."
            ) from error
    # Of pyarrow; or of pandas and polars.
    names = getattr(source, "column_names", getattr(source, "columns", None))
    if names is None and isinstance(source, np.ndarray):
        names = source.dtype.names
    if names is None and isinstance(source, Mapping):
        names = list(source)
    if names is None or not hasattr(source, "__getitem__"):
        raise LandscapeError(
            "a table is the path of a file, a data frame, or a mapping of columns such as "
            f"dict(w=..., gradients=...), not {short(source)}."
        )
    columns = {str(k): source[k] for k in names}
    index: Any = getattr(source, "index", None)
    for name in getattr(index, "names", ()):
        if name in needed and name not in columns:
            columns[name] = index.get_level_values(name)
    return _numbers(columns, "the table", needed), "the table", None


def _numbers(columns: Mapping[str, Any], where: str, needed: Collection[str]) -> dict[str, Array]:
    found: dict[str, Array] = {}
    for name, values in columns.items():
        if masked(values):
            values = np.ma.filled(values.astype(float), np.nan)
        try:
            array = np.asarray(values)
        except ValueError:
            raise LandscapeError(
                f"{where}: the rows of {name} differ in length. Give as many numbers in each."
            ) from None
        if array.dtype.kind in "mM":
            found.setdefault(DATES, seconds(array))
            continue
        if array.dtype.kind == "b" and name.strip() in needed:
            raise LandscapeError(
                f"{where}: the column {name} holds True and False, which are no numbers. Give "
                "what they were made of; or write them as 1 and 0, if that is what is meant."
            )
        if array.dtype.kind not in "fiub":
            try:
                array = array.astype(float, casting="safe" if array.dtype.kind == "c" else "unsafe")
            except (TypeError, ValueError, OverflowError):
                words = [w.strip() if isinstance(w, str) else "" for w in array.ravel().tolist()]
                may_be = _may_be_dates(name.strip(), needed)
                dates = may_be and _dates(words, f"{where}, row", range(len(words)), name)
                if dates:
                    found.setdefault(DATES, seconds(np.array(dates, "M8[us]")))
                    continue
                if name.strip() in needed:
                    raise LandscapeError(
                        f"{where}: the column {name} holds {short(array.ravel()[:1].tolist())} "
                        "and so on, which are no real numbers. Convert it, as with .astype(float)."
                    ) from None
                if name.strip() != RUN:
                    continue  # words
                array = _labels(array)
        found[name.strip()] = array
    return found


def seconds(dates: Array) -> Array:
    """From the first on."""
    return np.asarray((dates - dates[:1]) / np.timedelta64(1, "s"))


def _labels(words: Any) -> Array:
    """Words as numbers, the same for the same word."""
    return np.unique(np.asarray(words).astype(str), return_inverse=True)[1]


def _npz(path: Path) -> dict[str, Array]:
    import zipfile

    archive, reason = zipfile.is_zipfile(path), None
    try:
        if archive or not path.is_file():  # which is an error of its own
            with np.load(path, allow_pickle=False) as file:
                arrays = {k: file[k] for k in file.files}
            return arrays
    except (ValueError, zipfile.BadZipFile, EOFError) as error:
        reason = error
    why = "an array in it is damaged, or holds Python objects" if archive else "it is no archive"
    raise LandscapeError(
        f"{path}: this is no NPZ file of plain numbers: {why}. Save it with "
        "numpy.savez(path, w=w, gradients=gradients)."
    ) from reason


def _npy(path: Path) -> Array:
    try:
        return np.asarray(np.load(path, allow_pickle=False))
    except (ValueError, EOFError) as error:
        raise LandscapeError(
            f"{path}: this is no NPY file of plain numbers. Save it with numpy.save(path, x)."
        ) from error


def _parquet(path: Path) -> dict[str, Any]:
    try:
        from pyarrow import parquet
    except ImportError:
        raise LandscapeError(
            f"{path}: Parquet files are read by pyarrow, which is not installed. Install "
            "'stationary[parquet]', or save the table as CSV."
        ) from None
    try:
        read = parquet.read_table(path)
    except ValueError as error:  # pyarrow's own errors are such
        raise LandscapeError(f"{path}: this is no Parquet file: {error}.") from error
    return {name: read.column(name).to_numpy() for name in read.column_names}


READ = {".npz": _npz, ".parquet": _parquet, ".pq": _parquet}


def _csv(
    path: Any, text: str, only: str | None, needed: Collection[str]
) -> tuple[dict[str, Array], list[int]]:
    if "\0" in text:
        raise LandscapeError(
            f"{path}: there are zero bytes in it, so that it is no text, or was cut off while it "
            "was written. Save the table as CSV once more."
        )
    lines = text.splitlines()
    kept = [(k, line) for k, line in enumerate(lines, 1) if line.strip()[:1] not in ("", "#")]
    if not kept:
        raise LandscapeError(f"{path}: the table is empty. Start it with a line of column names.")
    head = kept[0][1]
    mark = max(",;\t|", key=head.count)
    if not head.count(mark):
        mark = " "
    rows: list[list[str]] = []
    at: list[int] = []  # the line that each begins on: what is quoted may take several
    reader = csv.reader((line for _, line in kept), delimiter=mark, skipinitialspace=True)
    begins = 0
    try:
        for row in reader:
            rows.append(row)
            at.append(kept[begins][0])
            begins = reader.line_num
    except csv.Error as error:
        raise LandscapeError(
            f"{path}, line {kept[begins][0]}: {error}. Is a quotation mark left open there?"
        ) from error
    names = [name.strip() for name in rows[0]]
    if None not in map(typed, names):
        above = "".join(lines[: at[0] - 1][-1:]).strip()  # NumPy's savetxt makes it a comment
        told = [name.strip() for name in above[1:].strip().split(mark)]
        if above[:1] == "#" and len(told) == len(names) > 1:
            names = told
        elif only and len(names) == 1:
            names = [only]
        else:
            raise LandscapeError(
                f"{path}, line {at[0]}: the first line holds numbers, not column names. Put a "
                f"line such as {f't,{only}' if only else 'w,gradient,variance'} first."
            )
        at, rows = [at[0], *at], [names, *rows]
    double = next((n for n in names if n and names.count(n) > 1), None)
    if double is not None:
        raise LandscapeError(
            f"{path}, line {at[0]}: there are {names.count(double)} columns {double}. Keep "
            "the one that is meant."
        )
    values = np.full((len(names), len(rows) - 1), np.nan)
    wordy: dict[int, tuple[int, str]] = {}
    for i, (line, row) in enumerate(zip(at[1:], rows[1:], strict=True)):
        if len(row) != len(names):
            raise LandscapeError(
                f"{path}, line {line}: {len(row)} entries in place of {len(names)}, one for each "
                f"of {', '.join(names)}. Mend that line; the decimal mark is a point."
            )
        for j, entry in enumerate(row):
            number = np.nan if entry.strip() in MISSING else typed(entry)
            if number is None:
                wordy.setdefault(j, (line, entry))
            else:
                values[j, i] = number
    words = {j: [row[j].strip() for row in rows[1:]] for j in wordy}
    may_be = [j for j in wordy if _may_be_dates(names[j], needed)]
    dates = {j: d for j in may_be if (d := _dates(words[j], f"{path}, line", at[1:], names[j]))}
    for j, (line, entry) in wordy.items():
        if j in dates:
            continue
        is_number = re.fullmatch(r"\s*[-+]?\d+,\d+\s*", entry)  # but for its decimal mark
        all_words = names[j] not in needed and not is_number and np.isnan(values[j]).all()
        if names[j] != RUN and not all_words:
            date = ", and no date as 2021-03-01 12:00" if names[j] in CLOCKS else ""
            raise LandscapeError(
                f"{path}, line {line}: {names[j]} = {short(entry)} is not a number{date}. "
                f"{'The decimal mark is a point. ' if is_number else ''}Write it as in 5e-2 "
                f"and leave the {'place empty' if only else 'row out'} where there is none."
            )
    if RUN in names and (j := names.index(RUN)) in wordy:
        values[j] = _labels(words[j])
        del wordy[j]
    found = {n: v for j, (n, v) in enumerate(zip(names, values, strict=True)) if j not in wordy}
    for of_column in dates.values():
        found.setdefault(DATES, seconds(np.array(of_column, "M8[us]")))
    return found, at[1:]


def _may_be_dates(name: str, needed: Collection[str]) -> bool:
    """Whether words of a column are looked at as dates: not what names runs, or holds numbers."""
    return name in CLOCKS or (name != RUN and name not in needed)


def _dates(words: list[str], path: str, lines: Sequence[int], name: str) -> list[datetime | None]:
    """Dates, in one zone; none if most of a column are none."""
    found: list[datetime | None] = []
    wrong: list[int] = []
    for k, word in enumerate(words):
        date = None
        if word not in MISSING:
            with contextlib.suppress(ValueError):
                date = datetime.fromisoformat(word) if DATE.match(word) else None
            wrong += [k] if date is None else []
            if 2 * len(wrong) > len(words):
                return []
        found.append(date)
    some = [d for d in found if d is not None]
    if len(wrong) >= len(some):
        return []
    if wrong:
        raise LandscapeError(
            f"{path} {lines[wrong[0]]}: {name} = {short(words[wrong[0]])} is no date. Write it "
            "as 2021-03-01 12:00, and leave the place empty where there is none."
        )
    bare = next((k for k, d in enumerate(found) if d is not None and d.tzinfo is None), None)
    if bare is not None and any(d.utcoffset() for d in some):
        raise LandscapeError(
            f"{path} {lines[bare]}: {name} = {words[bare]} has no offset from UTC, where others "
            "have. Give all of them one, as in 2021-03-01 12:00+01:00, or none."
        )
    return [d and d.replace(tzinfo=None) - (d.utcoffset() or timedelta(0)) for d in found]


# -- a column for each datapoint ------------------------------------------------------------------


class Needed(frozenset[str]):
    """Names of columns that are to hold numbers, with those of single datapoints."""

    def __contains__(self, name: object) -> bool:
        each = any(pattern.fullmatch(str(name)) for pattern in EACH.values())
        return each or super().__contains__(name)


def gathered(columns: dict[str, Array], where: str) -> dict[str, Array]:
    """The same with columns of single datapoints as one array, in the order of their numbers."""
    of = {k: [n for n in columns if p.fullmatch(n)] for k, p in EACH.items()}
    kinds = [k for k, names in of.items() if names]
    if len(kinds) > 1:
        raise LandscapeError(
            f"{where}: {of['gradients'][0]} is a column of gradients, {of['losses'][0]} one of "
            "losses, each of a single datapoint. Keep those of one kind."
        )
    for kind in kinds:
        at = {name: int(re.sub(r"\D", "", name)) for name in of[kind]}
        names = sorted(of[kind], key=at.__getitem__)
        same = [pair for pair in pairwise(names) if at[pair[0]] == at[pair[1]]]
        if same:
            raise LandscapeError(
                f"{where}: the columns {' and '.join(same[0])} are both of datapoint "
                f"{at[same[0][0]]}. Keep one of them, or give each datapoint a number of its own."
            )
        if len(names) > 1 and kind not in columns:
            rows = np.array([columns[name] for name in names])
            columns = {n: v for n, v in columns.items() if n not in names} | {kind: rows}
    return columns
