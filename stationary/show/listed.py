"""Small answers, and parts of larger ones: a few numbers, by their names."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from importlib import import_module
from typing import Any

import numpy as np

from stationary.result import Listed, Result, plain
from stationary.show.layout import WIDTH, Report, picked

PARTS = {  # as the lists have them that they are part of
    "Basin": ("listing", "basin"),
    "ChainClass": ("chain", "chain_class"),
    "PlaneBasin": ("plane_basins", "plane_basin"),
}
NUMBERS = {"Estimate": "value log error", "Passage": "time log_time error"}
SHOWN = 9  # of several numbers


def text(x: Listed) -> Report:
    """One in a line, to six digits; or what it says of itself."""
    own = str(x) if type(x).__str__ is not Result.__str__ else ""
    fields = {} if own else plain(data(x), float)
    lines = [own] if own else [f"{name}: {_text(value)}" for name, value in fields.items()]
    made = Report(own or "\n".join(textwrap.fill(line, WIDTH) for line in lines))
    made.sections = ((type(x).__name__, lines),)
    return made


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return "(" + ", ".join(f"{name} {_text(v)}" for name, v in value.items()) + ")"
    if isinstance(value, list):
        more = [f"... ({len(value)})"] if len(value) > SHOWN + 1 else []
        return ", ".join([*map(_text, value[: SHOWN if more else None]), *more]) or "none"
    if value is None or value != value:
        return "-"
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def data(x: Any) -> dict[str, Any]:
    kind = type(x).__name__
    if kind in PARTS:
        module, name = PARTS[kind]
        found: dict[str, Any] = getattr(import_module(f"stationary.show.{module}"), name)(x)
        return found
    fields = getattr(x, "__dataclass_fields__", {})
    names = [n for n, f in fields.items() if f.repr] or list(getattr(x, "_fields", []))
    return picked(x, NUMBERS.get(kind, " ".join(names)))


def table(x: Any) -> dict[str, Any]:
    """One row, in which what holds several has a column for each; of what is an array, rows."""
    kind = type(x).__name__
    if kind == "Schedule":
        return {"step": np.arange(len(x)), "learning_rate": x.rates}
    if kind == "ChainClass":
        held = {"probability": np.exp(x.log_mass), "log_probability": x.log_mass}
        return {"lower": x.edges[:-1], "upper": x.edges[1:]} | held
    if kind == "Estimate":
        return {n: np.ravel(value) for n, value in data(x).items()}
    return {n: [value] for n, value in _flat("", data(x)).items()}


def _flat(name: str, value: Any) -> dict[str, Any]:
    if hasattr(value, "__dataclass_fields__") or isinstance(value, np.ndarray):
        value = plain(value, float)
    if isinstance(value, list | tuple):
        value = dict(enumerate(value))
    if not isinstance(value, Mapping):
        return {name: value}
    parts = (_flat(f"{name}_{k}" if name else str(k), v) for k, v in value.items())
    return {n: v for part in parts for n, v in part.items()}
