"""An answer as a page that needs nothing else: its report, its figure, where it came from."""

from __future__ import annotations

import inspect
import linecache
import platform
import re
from collections.abc import Sequence
from contextlib import suppress
from html import escape
from importlib.metadata import version
from itertools import groupby
from typing import Any

from stationary.errors import StationaryError
from stationary.files import GUEST, own_version
from stationary.result import Result
from stationary.show.layout import Line, Table
from stationary.show.renderers import process_of

STYLE = """
:root { color-scheme: light dark; --ink: #1b1b1b; --paper: #fff; --line: #d0d0d0;
  --quiet: #5a5a5a; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6e6e6; --paper: #16181b; --line: #44484d; --quiet: #a8a8a8; }
  figure { background: #fff; }
}
body { font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper);
  max-width: 46rem; margin: 0 auto; padding: 1rem; }
h1 { font-size: 1.4rem; overflow-wrap: anywhere; } h2 { font-size: 1.1rem; margin-top: 2rem; }
.first { font-size: 1.1rem; } p { overflow-wrap: break-word; }
figure { margin: 1.5rem 0; padding: .5rem; border-radius: 4px; }
figure svg { width: 100%; height: auto; }
@media (min-width: 36rem) { .narrow { display: none; } }
@media (max-width: 35.99rem) { .broad { display: none; } }
.wide { overflow-x: auto; margin: .9rem 0; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .92rem; }
th, td { padding: .25rem .7rem; text-align: right; white-space: nowrap;
  border-bottom: 1px solid var(--line); }
th { font-weight: 600; color: var(--quiet); } th:first-child, td:first-child { padding-left: 0; }
pre { overflow-x: auto; font-size: .85rem; line-height: 1.4; padding: .8rem;
  border: 1px solid var(--line); border-radius: 4px; }
footer { color: var(--quiet); font-size: .85rem; margin-top: 3rem; }
@media (max-width: 30rem) { th, td { padding: .25rem .45rem; } table { font-size: .85rem; } }
@media (min-width: 50rem) { .wide { width: max-content; max-width: calc(50vw + 22rem); } }
"""


def page(answer: Result, *, command: str = "", **drawing: Any) -> str:
    """The report with its figure, the source of the landscape, how to repeat and to cite it."""
    sections = answer.render("text").sections
    title = sections[0][0]
    body = [f"<h1>{escape(title)}</h1>", *_lines(sections[0][1], "first"), _figure(answer, drawing)]
    for heading, lines in sections[1:]:
        body += [f"<h2>{escape(heading)}</h2>", *_lines(lines)]
    source = _source(answer)
    if source:
        body += ["<h2>The landscape</h2>", f"<pre>{escape(source)}</pre>"]
    body += ["<h2>To repeat and to cite it</h2>", *_origin(command)]
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n"
        + "\n".join(filter(None, body))
        + "\n</body>\n</html>\n"
    )


def fragment(answer: Result) -> str:
    """What a notebook shows: the first sentences and all tables."""
    sections = answer.render("text").sections
    made = [f"<strong>{escape(sections[0][0])}</strong>", *_lines(sections[0][1])]
    for heading, lines in sections[1:]:
        tables = [line for line in lines if isinstance(line, Table)]
        if tables:
            made += [f"<em>{escape(heading)}</em>", *_lines(tables)]
    return "\n".join(made)


def _lines(lines: Sequence[Line], kind: str = "") -> list[str]:
    made: list[str] = []
    opened = f'<p class="{kind}">' if kind else "<p>"
    for kept, some in groupby(lines, lambda x: isinstance(x, str) and x.startswith("|")):
        if kept:  # their breaks stay
            made.append(f"<pre>{escape(chr(10).join(line[1:] for line in some))}</pre>")
            continue
        made += [
            _table(line) if isinstance(line, Table) else f"{opened}{escape(line)}</p>"
            for line in some
            if line
        ]
    return made


def _table(table: Table) -> str:
    def row(cells: Sequence[str], tag: str) -> str:
        return "<tr>" + "".join(f"<{tag}>{escape(c)}</{tag}>" for c in cells) + "</tr>"

    rows = "".join(row(cells, "td") for cells in table.rows)
    head = f"<thead>{row(table.header, 'th')}</thead>"
    return f'<div class="wide"><table>{head}<tbody>{rows}</tbody></table></div>'


def _figure(answer: Result, drawing: dict[str, Any]) -> str:
    """The figure twice: as wide as a page, and as a column, whose letters a phone can show."""
    from stationary.show.drawing import content_of

    made = []
    for kind, width in (("broad", {}), ("narrow", {"width": "column"})):
        try:
            content = content_of(answer.plot(**drawing | width), ".svg").decode()
        except StationaryError:
            return ""  # nothing to draw
        # What each refers to is its own, also where the other one has the same.
        own = re.sub(r'(\bid="|href="#|url\(#)', rf"\1{kind}-", content[content.index("<svg") :])
        made.append(f'<figure class="{kind}">{own}</figure>')
    return "\n".join(made)


def _source(answer: Result) -> str:
    """The text of the landscape's file, or of its functions; empty if it cannot be had."""
    process = process_of(answer)
    for name in ("losses", "gradients", "drift"):
        function: Any = getattr(process, name, None)
        while function is not None and not hasattr(function, "__code__"):
            inner = (getattr(function, n, None) for n in ("function", "func", "__wrapped__"))
            function = next((f for f in inner if f is not None), None)
        function = inspect.unwrap(function) if function is not None else function
        module = getattr(function, "__module__", None) or ""
        if module.startswith("stationary."):  # the drift that a landscape makes of its losses
            continue
        if module.startswith(GUEST):
            return "".join(linecache.getlines(function.__code__.co_filename))
        with suppress(OSError, TypeError):
            return inspect.getsource(function)
    return ""


def _origin(command: str) -> list[str]:
    found = [f"stationary {own_version()}"]
    for package in ("numpy", "scipy", "mpmath", "python-flint"):
        with suppress(ModuleNotFoundError):
            found.append(f"{package} {version(package)}")
    return [
        *([f"<pre>{escape(command)}</pre>"] if command else []),
        f"<p>Computed with {escape(', '.join(found))}, Python {platform.python_version()}.</p>",
        "<p>Cite the version above, and for the method H. Risken, <cite>The Fokker-Planck "
        "Equation</cite>, 2nd ed., Springer 1989, ch. 5.</p>",
    ]
