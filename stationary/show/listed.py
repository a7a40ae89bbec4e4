"""Small answers, and parts of larger ones: a few numbers, by their names."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping
from importlib import import_module
from typing import Any

import numpy as np

from stationary import wording as say
from stationary.result import Listed, Result, plain
from stationary.show.layout import WIDTH, Report, Table, picked
from stationary.wording import SUFFIX

PARTS = {  # as the lists have them that they are part of
    "Basin": ("listing", "basin"),
    "ChainClass": ("chain", "chain_class"),
    "PlaneBasin": ("plane_basins", "plane_basin"),
    "Ratio": ("bias", "pair"),
}
NUMBERS = {"Estimate": "value log error", "Passage": "time log_time error"}
MAIN = ("value", "log", "time", "log_time")  # whose error is called only that
RELATIVE = ("value", "time", "mass", "exit_time")  # numbers with the error of their logarithm
SHOWN = 9  # of several numbers


def text(x: Listed) -> Report:
    """One in a line, to the digits that its error leaves; or what it says of itself."""
    if type(x).__str__ is not Result.__str__:
        return Report(str(x), [(type(x).__name__, [str(x)])])
    fields = plain(data(x), float)
    digits = 2 if type(x).__name__.endswith("Errors") else 6
    told = {name: _shown(name, value, fields) for name, value in fields.items()}
    rows = tuple((name, _text(value, digits)) for name, value in told.items())
    lines = (textwrap.fill(": ".join(row), WIDTH) for row in rows)
    return Report("\n".join(lines), [(type(x).__name__, [Table(("", ""), rows)])])


def _shown(name: str, value: Any, fields: dict[str, Any]) -> Any:
    """A number to the digits that its error leaves, if it has one."""
    if isinstance(value, list):  # each with what stands in its place in lists alike
        count, alike = len(value), {n: v for n, v in fields.items() if isinstance(v, list)}
        alike = {n: v for n, v in alike.items() if len(v) == count}
        each = [fields | {n: v[k] for n, v in alike.items()} for k in range(count)]
        return [_shown(name, v, own) for v, own in zip(value, each, strict=True)]
    if isinstance(value, dict):
        return {n: _shown(n, v, value) for n, v in value.items()}
    if name.endswith(("error", "errors")) and isinstance(value, float):
        return None if name.endswith(SUFFIX) and value != value else say.error_text(value)
    own = name.removeprefix("log_")
    error = fields.get(f"{own}_error", fields.get("error") if name in MAIN else None)
    if not isinstance(value, float) or not isinstance(error, float):
        return value
    log = fields.get(f"log_{name}", fields.get("log") if name in MAIN else None)
    if name in RELATIVE and isinstance(log, float) and value in (0.0, math.inf) and error == error:
        return say.time_text(log, error)  # which may be beyond doubles, and finite
    if own == name and name in RELATIVE and not (name == "value" and "log" not in fields):
        if value and not error < 1:
            return "not known"
        error *= abs(value)
    return say.known_text(value, error, 6)


def _text(value: Any, digits: int = 6) -> str:
    if isinstance(value, dict):
        return "(" + ", ".join(f"{name} {_text(v, digits)}" for name, v in value.items()) + ")"
    if isinstance(value, list):
        more = [f"... ({len(value)})"] if len(value) > SHOWN + 1 else []
        told = [_text(v, digits) for v in value[: SHOWN if more else None]]
        return ", ".join([*told, *more]) or "none"
    if value is None or value != value:
        return "-"
    return f"{value:.{digits}g}" if isinstance(value, float) else str(value)


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
