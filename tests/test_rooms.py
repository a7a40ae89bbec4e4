"""The house: rooms in the order in which they are read, and answers that know nothing of paper."""

from __future__ import annotations

import ast
import re
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import stationary
from stationary import Diffusion, Landscape, StationaryError, analyze

HOUSE = Path(stationary.__file__).parent


def name_of(path):
    return ".".join(("stationary", *path.relative_to(HOUSE).with_suffix("").parts))


MODULES = {name_of(p).removesuffix(".__init__"): p for p in HOUSE.rglob("*.py")}


@cache
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


def rows_of(answer):
    """What its table holds, by rows, numbers as numbers."""
    header, *rows = (line.split(",") for line in answer.to_csv().splitlines())
    assert len(set(header)) == len(header)
    return [dict(zip(header, row, strict=True)) for row in rows]


def test_answers_that_are_dear_to_have_are_tabulated_and_drawn_as_the_numbers_that_they_hold():
    from stationary.plane.verdict import Measured

    law = stationary.end_state(Diffusion(lambda w: -w, lambda w: 1 + 0 * w[0], weights=2))
    names = ("mean 1", "mean 2", "deviation 1", "deviation 2", "correlation")
    own, chain = np.array([1.0, 2.0, 0.5, 4.0, 0.1]), np.array([1.1, 2.0, 0.4, 6.0, 0.1])
    by = np.array([0.01, 0.0, np.inf, 0.2, 0.0])
    answers = Measured(own, 0 * own), Measured(chain, by), None
    check = stationary.PlaneCheck(law, names, *answers, {"points": 0})
    assert rows_of(check)[3] == {
        "quantity": "deviation 2", "diffusion": "4.0", "diffusion_error": "0.0", "chain": "6.0",
        "chain_error": "0.2", "walkers": "", "walkers_error": "",
    }  # fmt: skip
    (axes,) = check.plot().axes
    (bars,) = axes.containers  # means in deviations, and not what is not known
    assert bars[0].get_xdata() == pytest.approx([20, 0, 50, 0])
    assert [t.get_text() for t in axes.get_yticklabels()] == list(names)

    factors, logs, off = np.array([1.0, 2.0]), np.array([0.0, 3.0]), np.array([0.0, 0.1])
    bias = stationary.PlaneWidthBias(
        law, 0, "first", factors, logs, off, logs + 1, off, logs + 2, logs + 3, (1, 2), (0, 0)
    )
    assert [row["law_mass"] for row in rows_of(bias)] == ["3.0", "6.0"]
    drawn = [line.get_ydata() * np.log(10) for line in bias.plot().axes[0].lines]
    assert np.concatenate(drawn) == pytest.approx(np.ravel([logs + k for k in (2, 0, 3, 1)]))
    assert rows_of(stationary.PlaneWidthBias(law))[0]["mass"] == "1.0"

    network = SimpleNamespace(datapoints=7)
    around = stationary.Around(network, factors, np.eye(3)[:, :2], np.diag([4.0, 9.0]), logs)
    assert rows_of(around)[1] == {"curvature": "2.0", "noise": "3.0", "gradient": "3.0"}
    assert around.to_dict()["datapoints"] == 7
    ends = np.array([[1.0, 2.0], [3.0, 4.0]])
    escapes = stationary.Escapes(0.1, 2, factors, logs, ends, -ends, ends > 1)
    assert rows_of(escapes)[0] == {
        "curvature": "1.0", "deviation": "0.0", "exponent_left": "1.0", "place_left": "-1.0",
        "is_barrier_left": "False", "exponent_right": "2.0", "place_right": "-2.0",
        "is_barrier_right": "True",
    }  # fmt: skip
    table = stationary.table({"w": [0.0, 1, 2], "losses": [[1.0, 2, 4], [3.0, 4, 6]]})
    assert [row["losses_1"] for row in rows_of(table)] == ["3.0", "4.0", "6.0"]


def test_a_check_of_adam_is_tabulated_and_drawn_with_and_without_walkers():
    adam = Landscape(
        losses=lambda w: [(w - c) ** 2 / 2 for c in (-1, 1)], learning_rate=0.1, domain=(-4, 4),
        optimiser="adam",
    )  # fmt: skip
    found = stationary.check(adam, simulation=False)
    row = rows_of(found)[1]
    assert float(row["law"]) == found.numbers["standard deviation"][0]
    assert row["walkers"] == ""
    (curve,) = found.plot().axes[0].lines
    assert curve.get_ydata() == pytest.approx(found.analysis.end_state.pdf(curve.get_xdata()))
