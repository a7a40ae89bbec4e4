"""Answers that were saved, read again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from stationary.cells import Cells
from stationary.errors import LandscapeError
from stationary.files import read_bounded
from stationary.result import Result

FORMAT = 3  # of saved answers: a newer one is refused
BEYOND = "number"  # the key of what JSON has no number for


@dataclass(frozen=True, eq=False, repr=False)
class Saved(Result):
    """What `save` kept of an answer: printing it gives the report that was printed then.

    Attributes
    ----------
    kind
        The class of the answer, such as "Analysis".
    data
        What its `to_dict` gave, with infinite numbers and nan as they were.
    kept
        Its law, as the fields of `Cells`; or why there is none.
    """

    kind: str
    report: str
    data: Mapping[str, Any]
    table: Mapping[str, list[Any]]
    kept: Mapping[str, Any] | str = "it was saved by a version that kept none"

    @cached_property
    def law(self) -> Cells:
        """The law that was found, with all that laws can do: `pdf`, `cdf`, `ppf`, `probability`.

        It is kept as polynomials on cells. `error`, of the distribution function, and
        `density_error` hold what that leaves out, and what was not known of the law.
        """
        if isinstance(self.kept, str):
            raise LandscapeError(f"{self!r} has no law to ask or to draw: {self.kept.rstrip('.')}.")
        lists = {n: np.asarray(x, float) for n, x in self.kept.items() if isinstance(x, list)}
        lists["blank"] = lists["blank"].reshape(-1, 2)
        moments = {"moments": tuple(self.kept["moments"] or ()) or None}
        return Cells(**(dict(self.kept) | lists | moments))

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or "data" not in vars(self):  # as copies ask for
            raise AttributeError(name)
        place = f"it is .data[{name!r}], as plain numbers and lists"
        if name not in self.data:
            place = f"its law is .law, and what else was found is in .data: {', '.join(self.data)}"
        raise AttributeError(f"{self!r} has no attribute {name!r}: {place}")

    def __repr__(self) -> str:
        name = self.data.get("name")  # a basin has none
        return f"<Saved {self.kind} of {name!r}>" if name else f"<Saved {self.kind}>"


def beyond(number: float) -> dict[str, str]:
    """An infinite number, or nan, as it is saved."""
    return {BEYOND: repr(number)}


def _number(found: dict[str, Any]) -> Any:
    return float(found[BEYOND]) if found.keys() == {BEYOND} else found


def read_saved(path: Path) -> Saved:
    """The answer in a .json file that `save` wrote."""
    try:
        content = json.loads(read_bounded(path), object_hook=_number)
        if not isinstance(content, dict) or "stationary" not in content:
            raise TypeError
        if content.pop("stationary") not in range(1, FORMAT + 1):
            raise ValueError("it is of a newer version")
        found = Saved(**content)
        if not isinstance(found.kept, str):
            found.law.cdf(0.0)  # whether it is one
        return found
    except OSError as error:
        raise LandscapeError(f"{path}: cannot be read: {error.strerror or error}.") from error
    except (ValueError, TypeError, LookupError) as error:
        why = error if isinstance(error, ValueError) else "it is JSON of something else"
        raise LandscapeError(
            f"{path}: this is no answer that save() wrote ({why}). Name one, or a landscape "
            "file, which ends in .py."
        ) from error
