"""An answer written as JSON, with its report and its table, so that it is read without pickle."""

from __future__ import annotations

import json
from operator import attrgetter
from pathlib import Path

from stationary.errors import StationaryError
from stationary.files import path_of, probe, write
from stationary.result import Result, plain
from stationary.show.layout import Report
from stationary.sources.saved import FORMAT, Saved, beyond

data, table = map(attrgetter, ("data", "table"))  # of what was saved


def text(answer: Saved) -> Report:
    """What was printed then, as its lines were set."""
    title, _, rest = answer.report.partition("\n")
    made = Report(answer.report)
    made.sections = ((title, [f"|{line}" for line in rest.splitlines()]),)
    return made


def save(answer: Result, path: str | Path) -> None:
    """What `stationary.load` reads again, in a file whose name ends in .json."""
    path = path_of(path)
    probe(path, suffixes=(".json",))
    try:
        columns = plain(answer.render("table"), beyond)
    except StationaryError:
        columns = {}  # there is no density to list
    content = {
        "stationary": FORMAT,
        "kind": answer.kind if isinstance(answer, Saved) else type(answer).__name__,
        "report": answer.summary(),
        "data": plain(answer.render("dict"), beyond),
        "table": columns,
    }
    write(path, json.dumps(content, indent=1, allow_nan=False))
