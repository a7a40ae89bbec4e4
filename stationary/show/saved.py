"""An answer written as JSON, with its report and its table, so that it is read without pickle."""

from __future__ import annotations

import json
from operator import attrgetter
from pathlib import Path
from typing import Any

import numpy as np

from stationary.cells import Cells
from stationary.errors import StationaryError
from stationary.files import path_of, probe, write
from stationary.result import Result, fields_of, plain
from stationary.show.density import label_basins
from stationary.show.drawing import INK, Sheet, symbol_of
from stationary.show.kept import law_of
from stationary.show.law_figure import draw_law
from stationary.show.layout import Report
from stationary.show.view import mass_label
from stationary.sources.saved import FORMAT, Saved, beyond

data, table = map(attrgetter, ("data", "table"))  # of what was saved


def text(answer: Saved) -> Report:
    """What was printed then, as its lines were set."""
    title, _, rest = answer.report.partition("\n")
    made = Report(answer.report)
    made.sections = ((title, [f"|{line}" for line in rest.splitlines()]),)
    return made


def figure(answer: Saved, sheet: Sheet, *, log: bool = False) -> None:
    """The density that was kept (logarithmic with `log`), with its minima."""
    law = answer.law
    axes = sheet.axes(2.4)
    draw_law(axes, law, log=log)
    plain_name = "w" if answer.kind == "ChainState" else "x"
    axes.set_xlabel(symbol_of(answer.data.get("process", answer.data).get("variable", plain_name)))
    if answer.kind == "Analysis":
        basins = answer.data["basins"]
        named = [(b["position"], mass_label(b["log_mass"])) for b in basins]
        strip = label_basins(axes, named, axes.get_xlim(), behind=False)
        low, high = axes.get_ylim()
        axes.set_ylim(low, high * (high / low) ** strip if log else high / (1 - strip))
        foot: dict[str, Any] = {"transform": axes.get_xaxis_transform(), "clip_on": False}
        minima = [x for x, _ in named]
        axes.plot(minima, np.zeros(len(minima)), "o", ms=4.5, color=INK, zorder=4, **foot)


def save(answer: Result, path: str | Path) -> None:
    """What `stationary.load` reads again, in a file whose name ends in .json."""
    path = path_of(path)
    probe(path, suffixes=(".json",))
    try:
        columns = plain(answer.render("table"), beyond)
    except StationaryError:
        columns = {}  # there is no density to list
    law = answer.kept if isinstance(answer, Saved) else law_of(answer)
    content = {
        "stationary": FORMAT,
        "kind": answer.kind if isinstance(answer, Saved) else type(answer).__name__,
        "kept": fields_of(law, beyond) if isinstance(law, Cells) else plain(law, beyond),
        "report": answer.summary(),
        "data": plain(answer.render("dict"), beyond),
        "table": columns,
    }
    write(path, json.dumps(content, indent=1, allow_nan=False))
