"""Which function sets each kind of answer in each form: the one registry.

A new form is a new module and an entry here; no answer changes. Nothing is imported until it is
asked for, so that JSON needs no matplotlib.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from threading import RLock
from typing import Any

from stationary.errors import StationaryError

__all__ = ["RENDERERS", "renderer"]

Renderer = Callable[..., Any]

ONE_AT_A_TIME = RLock()  # matplotlib's settings are shared by all threads while one of them draws

ROOMS = {  # of each kind of answer, with the name of its figure
    "Analysis": ("analysis", "plot_analysis"),
    "Annealing": ("annealing", "plot_annealing"),
    "Around": ("around", ""),
    "Check": ("check", "plot_check"),
    "Escapes": ("escapes", ""),
    "Evolution": ("evolution", "plot_evolution"),
    "FirstPassage": ("passage", "walks:plot_passage"),
    "PlaneCheck": ("plane_check", "plot_check"),
    "PlaneState": ("plane", "plot_plane"),
    "Fit": ("fit", "plot_fit"),
    "Influence": ("influence", "plot_influence"),
    "RegularisationPath": ("regularisation", "plot_path"),
    "Simulation": ("simulation", "walks:plot_simulation"),
    "Sweep": ("sweep", "plot_phases"),
    "Table": ("table", ""),
    "WidthBias": ("bias", "plot_bias"),
}
PAGES = {"html": "html:page", "notebook": "html:fragment", "saved": "saved:save"}
RENDERERS = {
    kind: {"text": f"reports.{room}:text", "dict": f"tables.{room}:as_dict"}
    | {"table": f"tables.{room}:as_table"}
    | ({"figure": f"figures.{figure if ':' in figure else f'{room}:{figure}'}"} if figure else {})
    | PAGES
    for kind, (room, figure) in ROOMS.items()
}

RENDERERS["Saved"] = {form: f"saved:{form}" for form in ("text", "dict", "table")} | PAGES


def renderer(kind: type, form: str) -> Renderer:
    """The function that sets an answer of this class, or of one derived from it, in a form.

    Raises
    ------
    StationaryError
        If there is none; the message says which forms there are.
    """
    forms = next((RENDERERS[c.__name__] for c in kind.__mro__ if c.__name__ in RENDERERS), {})
    if form not in forms:
        raise StationaryError(
            f"{kind.__name__}: there is no renderer for {form!r}. "
            f"It can be had as {', '.join(map(repr, forms)) or 'repr() only'}."
        )
    module, _, name = forms[form].partition(":")
    function: Renderer = getattr(import_module(f"stationary.show.{module}"), name)
    return _saved(function) if form == "figure" else function


def _saved(plot: Renderer) -> Renderer:
    """The same, with its figure written to a path if one is given."""
    from stationary.show.figures.drawing import sized, suited
    from stationary.show.figures.saving import save

    def drawn(
        answer: Any,
        path: str | Path | None,
        *,
        width: float | str | None = None,
        **settings: Any,
    ) -> Any:
        with ONE_AT_A_TIME, sized(width):
            axes = plot(answer, **settings)
            figure = axes.get_figure() if hasattr(axes, "get_figure") else axes
            if "ax" not in settings:
                suited(figure, journal=width is not None)
            if path is not None:
                save(figure, path)
        return figure

    return drawn
