"""Which module shows each kind of answer: the one registry.

A module shows a kind of answer by what it defines: `text` (a `Report`), `data` (what JSON holds),
`table` (columns), `figure` (which draws on a `Sheet`). Pages are made of these for all kinds alike.
Nothing is imported until it is asked for, so that JSON needs no matplotlib.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from importlib import import_module
from pathlib import Path
from threading import RLock
from typing import Any

from stationary.errors import StationaryError

Renderer = Callable[..., Any]

ONE_AT_A_TIME = RLock()  # matplotlib's settings are shared by all threads while one of them draws

KINDS = {  # the modules that show each kind of answer
    "AdaptiveCheck": "adaptive_check",
    "Analysis": "report listing figure",
    "Annealing": "annealing",
    "Around": "around",
    "BasinBias": "changed bias_figure",
    "Basins": "basins",
    "ChainState": "chain distribution",
    "Check": "check",
    "Distribution": "distribution",
    "EndState": "distribution",
    "Escapes": "around",
    "Evolution": "evolution evolution_figure",
    "FiniteStep": "finite_step",
    "FirstPassage": "passage",
    "Fit": "fit",
    "Influence": "influence",
    "Listed": "listed",
    "PlaneBasins": "plane_basins",
    "PlaneCheck": "plane_check",
    "PlaneState": "plane",
    "PlaneWidthBias": "plane_bias",
    "RegularisationPath": "regularisation",
    "Run": "run",
    "Saved": "saved",
    "Simulation": "simulation",
    "Sweep": "sweep phases",
    "Table": "columns",
    "WidthBias": "bias bias_figure",
}
PAGES = {"html": ("html", "page"), "notebook": ("html", "fragment"), "saved": ("saved", "save")}
FORMS = {"text": "text", "dict": "data", "table": "table", "figure": "figure"}


def _shown(kind: type, form: str) -> Renderer | None:
    """What shows an answer of this class, or of one derived from it, in a form; None if nothing."""
    modules = next((KINDS[c.__name__] for c in kind.__mro__ if c.__name__ in KINDS), "").split()
    function = FORMS.get(form, "text")
    for module in (import_module(f"stationary.show.{m}") for m in modules):
        if hasattr(module, function):
            if form in PAGES:  # of what can be set as text
                room, function = PAGES[form]
                module = import_module(f"stationary.show.{room}")
            found: Renderer = getattr(module, function)
            return found
    return None


def renderer(kind: type, form: str) -> Renderer:
    """The function that sets an answer of this class in a form; an error if there is none."""
    found = _shown(kind, form)
    if found is None:
        forms = ", ".join(repr(f) for f in (*FORMS, *PAGES) if _shown(kind, f) is not None)
        what = f"{kind.__name__}: it cannot be had as {form!r}, only as {forms or 'repr()'}."
        raise StationaryError(what)
    return partial(_drawn, found) if form == "figure" else found


def process_of(answer: Any) -> Any:
    """What was asked about; None where that is no process."""
    owner = getattr(answer, "analysis", answer)
    of = (getattr(owner, name, None) for name in ("process", "landscape", "diffusion"))
    return next((process for process in of if process is not None), None)


def _drawn(
    draw: Renderer,
    answer: Any,
    path: str | Path | None = None,
    *,
    width: float | str | None = None,
    ax: Any = None,
    **settings: Any,
) -> Any:
    """The figure, written to a path if one is given."""
    from stationary.show.drawing import Sheet, save, styled

    with ONE_AT_A_TIME, styled():
        name: Any = getattr(answer, "name", None) or getattr(process_of(answer), "name", "")
        sheet = Sheet(ax, width, name)
        draw(answer, sheet, **settings)
        figure = sheet.finished()
        if path is not None:
            save(figure, path)
    return figure
