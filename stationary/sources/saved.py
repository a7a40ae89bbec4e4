"""Answers that were saved, read again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stationary.errors import LandscapeError
from stationary.files import read_bounded
from stationary.result import Result

FORMAT = 2  # of saved answers: a newer one is refused
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
    """

    kind: str
    report: str
    data: Mapping[str, Any]
    table: Mapping[str, list[Any]]

    def __repr__(self) -> str:
        return f"<Saved {self.kind} of {self.data.get('name', '')!r}>"


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
        if content.pop("stationary") not in (1, FORMAT):
            raise ValueError("it is of a newer version")
        return Saved(**content)
    except OSError as error:
        raise LandscapeError(f"{path}: cannot be read: {error.strerror or error}.") from error
    except (ValueError, TypeError) as error:
        why = "it is JSON of something else" if isinstance(error, TypeError) else error
        raise LandscapeError(
            f"{path}: this is no answer that save() wrote ({why}). Name one, or a landscape "
            "file, which ends in .py."
        ) from error
