"""The house: rooms in the order in which they are read, and answers that know nothing of paper."""

from __future__ import annotations

import ast
import re
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import stationary
from stationary import Diffusion, StationaryError, analyze

HOUSE = Path(stationary.__file__).parent


def name_of(path):
    return ".".join(("stationary", *path.relative_to(HOUSE).with_suffix("").parts))


MODULES = {name_of(p).removesuffix(".__init__"): p for p in HOUSE.rglob("*.py")}


def imports_of(path):
    """The modules of ours that a module imports, anywhere in it and for types alone, too."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            inner = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= (inner & MODULES.keys()) or {node.module}
    return found & MODULES.keys()


def room_of(module):
    return (*module.split("."), "")[1]


def test_no_module_imports_in_a_circle():
    graph = {m: imports_of(p) for m, p in MODULES.items()}
    assert len(list(TopologicalSorter(graph).static_order())) == len(MODULES)


def test_a_room_imports_only_rooms_before_it():
    listed = re.findall(r"`(\w+)`", stationary.__doc__.partition("\n\n- ")[2])
    order = {room: k for k, room in enumerate(listed)}
    rooms = {room_of(m) for m in MODULES} - {"", "__main__"}
    assert rooms <= order.keys()
    assert order.keys() - rooms <= {"Diffusion", "Landscape"}
    wrong = [
        f"{module} imports {other}"
        for module, path in MODULES.items()
        if room_of(module) in rooms
        for other in imports_of(path)
        if order[room_of(other)] > order[room_of(module)]
    ]
    assert wrong == []


def test_each_answer_has_a_renderer_for_every_form_that_it_is_listed_with():
    from stationary.result import Listed
    from stationary.show.renderers import KINDS, renderer

    laws = {"ChainState", "Distribution", "EndState"}  # which are drawn
    assert laws < KINDS.keys()
    for name in KINDS:
        kind = Listed if name == "Listed" else getattr(stationary, name)
        forms = ("text", "dict", "table", "html", "saved", *["figure"] * (name in laws))
        assert all(callable(renderer(kind, form)) for form in forms)


def test_an_answer_refuses_a_form_that_it_does_not_have_by_name():
    found = analyze(Diffusion(drift=lambda x: -x, variance=1.0, domain=(-3, 3)))
    with pytest.raises(StationaryError, match=r"Basins.*'figure'.*'text', 'dict'"):
        found.basins.plot()


def test_a_class_derived_from_an_answer_is_shown_as_that_answer():
    class Mine(stationary.Analysis):
        pass

    found = analyze(Diffusion(drift=lambda x: -x, variance=1.0, domain=(-3, 3)))
    mine = Mine(found.process, found.end_state)
    assert str(mine) == found.summary()
    assert mine.to_json() == found.to_json()
