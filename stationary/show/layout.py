"""How a report is set: sections, sentences and tables, 80 columns wide."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence

__all__ = ["WIDTH", "report", "table"]

WIDTH = 80
INDENT = "  "


def report(sections: Iterable[tuple[str, Sequence[str]]]) -> str:
    """Titled sections of sentences and table rows; those without lines are left out."""
    return "\n\n".join("\n".join([title, *map(_set, lines)]) for title, lines in sections if lines)


def _set(line: str) -> str:
    if line.startswith("|"):  # a row of a table, set already
        return INDENT + line[1:].rstrip()
    return textwrap.fill(
        line,
        WIDTH,
        initial_indent=INDENT,
        subsequent_indent=INDENT,
        break_long_words=False,
        break_on_hyphens=False,
    )


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Rows set in columns, numbers to the right, each marked as set with a leading bar.

    Columns that do not fit beside the others follow in a table of their own, after the first.
    """
    rows = [tuple(header), *(tuple(r) for r in rows)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(header))]
    blocks, used = [[0]], widths[0]
    for i, width in enumerate(widths[1:], start=1):
        if used + 2 + width > WIDTH - len(INDENT) and len(blocks[-1]) > 1:
            blocks.append([0])
            used = widths[0]
        blocks[-1].append(i)
        used += 2 + width
    lines: list[str] = []
    for block in blocks:
        lines += [""] if lines else []
        lines += ["|" + "  ".join(row[i].rjust(widths[i]) for i in block) for row in rows]
    return lines
