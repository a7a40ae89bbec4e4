"""What every answer can do: print itself, and give itself as plain data, a table or a figure.

An answer is data and knows nothing of paper. What sets it as text, JSON, CSV or a picture lives in
`show`, which imports answers and never the reverse; `shown` hands it out when it is asked for.
"""

from __future__ import annotations

import copy
import csv
import io
import json
import math
import sys
from collections.abc import Callable, Mapping
from enum import Enum
from functools import cached_property, partial
from pathlib import Path
from threading import local
from types import FunctionType, MethodType
from typing import TYPE_CHECKING, Any, Self, TypeVar, overload

import numpy as np

from stationary import shown
from stationary.errors import StationaryError
from stationary.files import GUEST, path_of, probe, write

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame


Beyond = Callable[[float], Any] | None
PACKING = local()  # whether what is being pickled is inside something that is


class Compared:
    """Equal to what holds the same, where numbers that are not known (nan) are the same, too.

    Dataclasses say `eq=False`, and leave comparing to this.
    """

    def __eq__(self, other: object) -> bool:
        return _same(self, other, set())

    def __hash__(self) -> int:
        return hash((type(self), getattr(self, "name", None)))


class Data(Compared):
    """What can be pickled, copied and compared, with the functions that it was made of.

    Functions travel by value, as cloudpickle [1]_ packs them: those of landscape files, too, which
    need not be there where the data arrive. As with any pickle, load only what you trust.

    References
    ----------
    .. [1] https://github.com/cloudpipe/cloudpickle
    """

    def __reduce_ex__(self, protocol: Any) -> Any:
        if getattr(PACKING, "busy", False):
            return super().__reduce_ex__(protocol)
        import cloudpickle  # seldom needed

        # Functions of files that users name can be imported nowhere else.
        guests = [m for name, m in sys.modules.items() if name.startswith(GUEST)]
        PACKING.busy = True
        try:
            for module in guests:
                cloudpickle.register_pickle_by_value(module)
            return _unpacked, (cloudpickle.dumps(self),)
        finally:
            PACKING.busy = False
            for module in guests:
                cloudpickle.unregister_pickle_by_value(module)

    def __copy__(self) -> Any:
        return _made(type(self), dict(vars(self)))

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        memo[id(self)] = twin = _made(type(self), {})
        vars(twin).update(copy.deepcopy(vars(self), memo))
        return twin

    def to_dict(self) -> dict[str, Any]:
        """What it holds as plain numbers, strings and lists; None for what no number can say."""
        return fields_of(self)


def fields_of(value: Any, beyond: Beyond = None) -> dict[str, Any]:
    fields = getattr(value, "__dataclass_fields__", {})
    return {name: plain(getattr(value, name), beyond) for name, f in fields.items() if f.repr}


def plain(value: Any, beyond: Beyond = None) -> Any:
    """The same as numbers, strings, lists and dictionaries.

    What JSON cannot carry is None; infinite numbers and nan are what `beyond` makes of them.
    """
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, Enum):
        return value.name.lower()
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if isinstance(value, np.generic):
        return plain(value.item(), beyond)
    if isinstance(value, Mapping):
        return {str(k): plain(v, beyond) for k, v in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(v, beyond) for v in value]
    if isinstance(value, float) or hasattr(value, "_mpf_"):
        number = float(value)
        return number if math.isfinite(number) else beyond and beyond(number)
    if hasattr(value, "__dataclass_fields__") and not isinstance(value, Data):
        return fields_of(value, beyond)
    if isinstance(value, Listed):
        return plain(value.render("dict"), beyond)
    return repr(value)


def _made(kind: type, state: dict[str, Any]) -> Any:
    new: Any = object.__new__(kind)
    vars(new).update(state)
    return new


def _unpacked(content: bytes) -> Any:
    import cloudpickle

    return cloudpickle.loads(content)


def _same(a: Any, b: Any, seen: set[tuple[int, int]]) -> bool:
    """Whether two things hold the same, nan being nan and functions being what they are made of."""
    if a is b or (id(a), id(b)) in seen:
        return True
    if type(a) is not type(b):
        return False
    seen.add((id(a), id(b)))

    def alike(x: Any, y: Any) -> bool:
        return _same(x, y, seen)

    if isinstance(a, np.ndarray):
        if a.shape != b.shape or a.dtype != b.dtype:
            return False
        if a.dtype.kind == "O":
            return all(map(alike, a.ravel().tolist(), b.ravel().tolist()))
        return np.array_equal(a, b, equal_nan=a.dtype.kind in "fc")
    if isinstance(a, Mapping):
        return a.keys() == b.keys() and all(alike(a[k], b[k]) for k in a)
    if isinstance(a, (tuple, list)):
        return len(a) == len(b) and all(map(alike, a, b))
    if isinstance(a, FunctionType):
        code, other = a.__code__, b.__code__
        cells = [[c.cell_contents for c in f.__closure__ or ()] for f in (a, b)]
        return (
            (code.co_code, code.co_names) == (other.co_code, other.co_names)
            and alike(_constants(code), _constants(other))
            and alike((cells[0], a.__defaults__), (cells[1], b.__defaults__))
        )
    if hasattr(a, "__wrapped__"):  # as functions that were compiled are
        return alike(a.__wrapped__, b.__wrapped__)
    if isinstance(a, MethodType):
        return a.__func__ is b.__func__ and alike(a.__self__, b.__self__)
    if isinstance(a, partial):
        return alike((a.func, a.args, a.keywords), (b.func, b.args, b.keywords))
    fields = getattr(a, "__dataclass_fields__", None)
    if fields is not None:
        names = [name for name, f in fields.items() if f.compare and hasattr(a, name)]
        return all(alike(getattr(a, name), getattr(b, name)) for name in names)
    if hasattr(a, "nnz"):  # sparse
        return bool(a.shape == b.shape and (a != b).nnz == 0)
    plain: tuple[Any, ...] = (object.__eq__, Compared.__eq__)
    if type(a).__eq__ in plain:
        return alike(_made_of(a) or id(a), _made_of(b) or id(b))
    if getattr(a, "shape", ()) != getattr(b, "shape", ()):
        return False
    same = (a == b) | ((a != a) & (b != b))
    while getattr(same, "ndim", 0):  # arrays and tables of other libraries
        same = same.all()
    return bool(same)


def _made_of(thing: Any) -> dict[str, Any]:
    """The attributes of a thing, but for what was computed from them when it was asked for."""
    own = getattr(thing, "__dict__", {})
    return {
        name: value
        for name, value in own.items()
        if not isinstance(getattr(type(thing), name, None), cached_property)
    }


def _constants(code: Any) -> list[Any]:
    """What a code holds; for a function inside it, its own."""
    return [(c.co_code, _constants(c)) if hasattr(c, "co_code") else c for c in code.co_consts]


class Result(Data):
    """The base of all answers: `print(answer)` gives what a person reads."""

    def render(self, form: str, *args: Any, **settings: Any) -> Any:
        """This answer as "text", "dict", "table", "figure" or "html", by what shows its class."""
        return shown.renderer(type(self), form)(self, *args, **settings)

    def plot(self, path: str | Path | None = None, **settings: Any) -> Figure:
        """Draw it; save the figure to `path` (.png, .svg or .pdf) if given.

        With ``width="column"``, ``"page"`` or a number of inches it is drawn for a journal: letters
        name the panels, and there is no title. Style sheets and rcParams of the user hold. An
        `Analysis` takes ``log=True``, for a logarithmic density; ``panels=["density"]``, of
        "loss", "gradient", "density" and "outcomes"; and ``ax=axes``, on which the only panel is
        drawn, the density by default. Answers with a single panel take ``ax``, too.
        """
        drawn: Figure = self.render("figure", path, **settings)
        return drawn

    def summary(self, *, brief: bool = False) -> str:
        """The answer in words and numbers, at most 80 columns wide; `brief`: in ten lines."""
        text = self.render("text")
        return str(getattr(text, "brief", text)) if brief else str(text)

    def __str__(self) -> str:
        return self.summary()

    def to_dict(self) -> dict[str, Any]:
        """The answer as plain numbers, strings and lists; None for what no number can say."""
        found: dict[str, Any] = plain(self.render("dict"))
        return found

    def to_json(self) -> str:
        """`to_dict` as JSON, without NaN or Infinity."""
        return json.dumps(self.to_dict(), indent=2, allow_nan=False)

    @overload
    def to_csv(self, path: str | Path, /, *args: int, **settings: Any) -> None: ...
    @overload
    def to_csv(self, points: int | None = None, /, *args: int, **settings: Any) -> str: ...

    def to_csv(self, first: Any = None, /, *args: Any, **settings: Any) -> str | None:
        """A table with a line of column names; what does not exist, or is nan, is left empty.

        It is written to a file if the first argument is a path, as in ``to_csv("table.csv")``, and
        given back if there is none. An `Analysis` takes the number of `points` at which its density
        is listed, 1001 by default, or ``of="minima"``.
        """
        path = first if isinstance(first, str | Path) else None
        args = args if first is None or path is not None else (first, *args)
        table = self.render("table", *args, **settings)
        columns = {n: plain(c, lambda x: None if x != x else x) for n, c in table.items()}
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(columns)
        for row in zip(*columns.values(), strict=True):
            cells = ("" if x is None else x for x in row)
            writer.writerow(c if isinstance(c, str) else repr(c) for c in cells)
        return _written(path, out.getvalue())

    def to_frame(self, *args: Any, **settings: Any) -> DataFrame:
        """The table of `to_csv` as a `pandas.DataFrame`; pandas must be installed."""
        try:
            import pandas
        except ImportError:
            raise StationaryError(
                "to_frame makes a DataFrame of pandas, which is not installed: pip install pandas, "
                "or take to_csv()."
            ) from None
        columns = self.render("table", *args, **settings)
        return pandas.DataFrame({n: list(c) for n, c in columns.items()})

    @overload
    def to_html(self, path: str | Path) -> None: ...
    @overload
    def to_html(self, path: None = None) -> str: ...

    def to_html(self, path: str | Path | None = None) -> str | None:
        """The report and the figure as one page that needs nothing else; or written to a file."""
        return _written(path, str(self.render("html")))

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        return str(self.render("notebook"))

    def save(self, path: str | Path) -> None:
        """Write what was found to a .json file, which `stationary.load` reads; no pickle.

        Numbers, report and tables are kept, and the law that was found (`Saved.law`), which can be
        asked and drawn; functions are not.
        """
        self.render("saved", path)


def _written(path: str | Path | None, text: str) -> str | None:
    """What was made, or nothing where it is written to a file."""
    if path is None:
        return text
    probe(path_of(path))
    write(path_of(path), text)
    return None


class Listed(Result):
    """A small answer, or a part of one: a few numbers by their names."""


Each = TypeVar("Each")


class Several(tuple[Each, ...], Result):
    """Answers in a row, which can be shown as a table."""

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return type(self)(copy.deepcopy(tuple(self), memo))
