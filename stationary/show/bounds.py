"""Numbers told to the digits that their errors leave, and one sentence that bounds these errors."""

from __future__ import annotations

import math
from typing import Any

from stationary.wording import error_text, estimate_text


class Bounds:
    """What a table tells, cut at its errors, with the largest error of each of its columns."""

    def __init__(self) -> None:
        self._worst: dict[tuple[bool, str], float] = {}

    def note(self, column: str, error: Any, relative: bool = False) -> None:
        """Count an error; of a number that is positive, that of its logarithm, or `relative`."""
        key, error = (relative, column), float(error)
        self._worst[key] = max(self._worst.get(key, 0.0), math.inf if error != error else error)

    def told(
        self,
        column: str,
        x: Any,
        error: Any,
        of_sample: float = math.nan,
        most: int = 6,
        relative: bool = False,
    ) -> str | None:
        """A number with as many digits as its error, or its standard error, leaves of it."""
        if x is None:
            return None
        size = abs(float(x)) if relative else 1.0
        self.note(column, float(error) / size if size else 0.0, relative)
        return estimate_text(x, error, of_sample, most)

    @property
    def sentence(self) -> str:
        """How large the errors are, column by column."""
        parts: list[str] = []
        for relative, words in ((False, "errors at most: "), (True, "relative errors at most: ")):
            named = [
                f"{column} {error_text(error)}"
                for (kind, column), error in self._worst.items()
                if kind is relative
            ]
            parts += [words + ", ".join(named)] if named else []
        said = "; ".join(parts)
        return f"{said[0].upper()}{said[1:]}." if said else ""
