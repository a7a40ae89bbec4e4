"""The document that every answer is set in: sections of sentences and tables, as data.

A `Report` is text, 80 columns wide, and keeps the sections that it was set from, so that the same
one is set as a page (`html`), in a notebook, or in ten lines.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise, takewhile
from typing import Any, Self

from stationary import wording as say
from stationary.process.settings import Settings

WIDTH = 80  # of a terminal, in columns
MOST_ROWS = 30  # of a table
INDENT = "  "
URGENT = ("Not converged", "Not complete")  # as first lines are that are never left out
FIRST = (
    "started at",
    "quantity",
    "minimum",
    "basin of",
)  # of a table that ten lines hold: what was asked for
LEVELS = (0.025, 0.5, 0.975)  # of quantiles that are told


@dataclass(frozen=True)
class Table:
    """Columns under their names, numbers to the right."""

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    first: tuple[int, ...] = ()  # the rows that matter most, most of all the first of them

    def brief(self, count: int) -> Table:
        """The same with so many rows at most."""
        chosen = sorted(self.first[:count]) or range(min(count, len(self.rows)))
        return Table(self.header, tuple(self.rows[i] for i in chosen))

    def __str__(self) -> str:
        """Columns that do not fit beside the others follow in a table of their own."""
        rows = [self.header, *self.rows]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        blocks, used = [[0]], widths[0]
        for i, width in enumerate(widths[1:], start=1):
            if used + 2 + width > WIDTH - len(INDENT) and len(blocks[-1]) > 1:
                blocks.append([0])
                used = widths[0]
            blocks[-1].append(i)
            used += 2 + width

        def line(row: tuple[str, ...], block: list[int]) -> str:
            return (INDENT + "  ".join(row[i].rjust(widths[i]) for i in block)).rstrip()

        def lines(block: list[int]) -> list[str]:  # what a row says in no other one is left out
            said = [row for row in rows if block is blocks[0] or any(row[i] for i in block[1:])]
            return [line(row, block) for row in said]

        return "\n\n".join("\n".join(lines(block)) for block in blocks)


Line = Any  # a sentence or a `Table`
Section = tuple[str, Sequence[Line]]


class Report(str):
    """A report as text, with the sections that it was set from."""

    sections: tuple[Section, ...]

    def __new__(cls, text: str, sections: Iterable[Section] = ()) -> Self:
        made = super().__new__(cls, text)
        made.sections = tuple(sections)
        return made

    @property
    def brief(self) -> str:
        """Its first ten lines at most: what is said first, and the table that was asked for."""
        title, head = self.sections[0]
        rest = [(t, x) for t, lines in self.sections for x in lines if isinstance(x, Table)]
        rest.sort(key=lambda pair: [pair[1].header[0] != name for name in FIRST])
        name, table = rest[0] if rest else ("", Table((), ()))
        named = ["", name] if table.header[:1] == FIRST[:1] else [""]
        rows = [*named, *str(table.brief(3)).split("\n\n")[0].splitlines()] if rest else []
        # What follows a table is about it; where something was not computed is said in any case.
        above = [*takewhile(lambda line: not isinstance(line, Table), head)]
        urgent = [p for p in above[1:] if isinstance(p, str) and p.startswith(URGENT)]
        kept = [line for p in urgent for line in _set(p).splitlines()]
        lines, room = [title], 10 - len(rows) - len(kept)
        for paragraph in [p for p in above if p not in urgent]:
            said = paragraph.split(". ") if isinstance(paragraph, str) else [paragraph]
            more = _set(paragraph).splitlines()
            while len(lines) + len(more) > room and len(said) > 1:  # as many sentences as there is
                said.pop()  # room for
                more = _set(f"{'. '.join(said)}.").splitlines()
            if len(lines) + len(more) <= room or len(lines) == 1:
                lines += more[: room - len(lines)]
        return "\n".join([*lines, *kept, *rows])


def report(sections: Mapping[str, Sequence[Line]]) -> Report:
    """Sections of sentences and tables by their titles; those without lines are left out."""
    said = {title: [line for line in lines if line] for title, lines in sections.items()}
    kept = [(title, lines) for title, lines in said.items() if lines]
    pages = []
    for title, lines in kept:
        tables = [False, *(isinstance(line, Table) for line in lines)]
        gaps = ["\n" * (a and b) for a, b in pairwise(tables)]  # an empty line between two tables
        pages.append("\n".join([title, *map(str.__add__, gaps, map(_set, lines))]))
    return Report("\n\n".join(pages), kept)


def _set(line: Line) -> str:
    if isinstance(line, str) and line.startswith("|"):  # set already
        return INDENT + line[1:].rstrip()
    how: dict[str, Any] = {"initial_indent": INDENT, "subsequent_indent": INDENT}
    how |= {"break_long_words": False, "break_on_hyphens": False}
    return textwrap.fill(line, WIDTH, **how) if isinstance(line, str) else f"{line}"


def tabulated(
    header: Iterable[str],
    rows: Iterable[Iterable[Any]],
    first: Sequence[int] = (),
    *,
    spare: bool = False,
) -> list[Line]:
    """A table as the only line of a list, to which sentences can be added; none without rows.

    Cells are text, or numbers, which are shown to six digits; None is what does not exist. Where
    columns are `spare`, those in which nothing exists are left out.
    """

    def cell(x: Any) -> str:
        return "-" if x is None else str(x) if isinstance(x, str | int) else f"{float(x):.6g}"

    columns = [c for c in zip(header, *rows, strict=True) if not spare or {*c[1:]} - {None}]
    cells = list(zip(*(map(cell, column) for column in columns), strict=True))
    return [Table(cells[0], tuple(cells[1:]), tuple(first))] if cells[1:] else []


def first_of(
    items: Sequence[Any], rest: str = "and {n} more; --json lists them all."
) -> tuple[Sequence[Any], list[str]]:
    """As many as a table shows, and a sentence on the `rest`, in which {n} is their number."""
    left_out = len(items) - MOST_ROWS
    return items[:MOST_ROWS], [rest.format(n=left_out)] if left_out > 0 else []


def picked(answer: Any, names: str) -> dict[str, Any]:
    """Attributes by their names, separated by spaces; what is nothing has none of them.

    One may get another name, and be that of an attribute: "name other=name.of_it".
    """
    found: dict[str, Any] = {}
    for name, _, path in (word.partition("=") for word in names.split() if answer is not None):
        found[name] = answer
        for step in (path or name).split("."):
            found[name] = None if found[name] is None else getattr(found[name], step)
    return found


def rows_of(names: str, *columns: Iterable[Any]) -> list[dict[str, Any]]:
    """Columns of equal length as a list of rows, each by the names of the columns."""
    return [dict(zip(names.split(), row, strict=True)) for row in zip(*columns, strict=True)]


class Bounds:
    """What a table tells, cut at its errors, with the largest error of each of its columns."""

    def __init__(self) -> None:
        self._worst: dict[tuple[bool, str], float] = {}

    def note(self, column: str, error: Any, relative: bool = False) -> None:
        """Count an error; of a number that is positive, that of its logarithm, or `relative`."""
        key, error = (relative, column), float(error)
        self._worst[key] = max(self._worst.get(key, 0.0), math.inf if error != error else error)

    def told(
        self,
        column: str,
        x: Any,
        error: Any,
        of_sample: float = math.nan,
        most: int = 6,
        relative: bool = False,
    ) -> str | None:
        """A number with as many digits as its error, or its standard error, leaves of it."""
        if x is None:
            return None
        size = abs(float(x)) if relative else 1.0
        self.note(column, float(error) / size if size else 0.0, relative)
        return say.estimate_text(x, error, of_sample, most)

    @property
    def sentence(self) -> str:
        """How large the errors are, column by column."""
        parts: list[str] = []
        for relative, words in ((False, "errors at most: "), (True, "relative errors at most: ")):
            named = [
                f"{column} {say.error_text(error)}"
                for (kind, column), error in self._worst.items()
                if kind is relative
            ]
            parts += [words + ", ".join(named)] if named else []
        said = "; ".join(parts)
        return f"{said[0].upper()}{said[1:]}." if said else ""


def momentum_text(landscape: Settings) -> str:
    """What a learning rate with momentum was taken for, and how far off that is."""
    beta, rate = landscape.momentum, landscape.learning_rate
    return (
        f"Momentum {beta:g} stands for a learning rate of {rate:g} / (1 - {beta:g}), which it is "
        "for small steps only: on a parabola of curvature h the variance is 1 / (1 - "
        f"{rate:g} h / {2 * (1 + beta):.6g}) times as large, and barriers are crossed at another "
        f"rate unless {rate:g} h is far below (1 - {beta:g})^2."
    )
