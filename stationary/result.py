"""What every answer can do: print itself, and give itself as plain data, a table or a figure.

An answer is data and knows nothing of paper. What sets it as text, JSON, CSV or a picture lives in
`show`, which imports answers and never the reverse; it is looked up by name when first asked for.
"""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path
from typing import Any

__all__ = ["Result"]


class Result:
    """The base of all answers.

    `print(answer)` gives what a person reads. Which forms an answer has says
    `stationary.show.renderers`; asked for another one, it raises a `StationaryError`.
    """

    def render(self, form: str, *args: Any, **settings: Any) -> Any:
        """This answer as "text", "dict", "csv" or "figure", by the renderer of its class."""
        show: Any = import_module("stationary.show.renderers")
        return show.renderer(type(self), form)(self, *args, **settings)

    def summary(self) -> str:
        """The answer in words and numbers, at most 80 columns wide."""
        return str(self.render("text"))

    def __str__(self) -> str:
        return self.summary()

    def to_dict(self) -> dict[str, Any]:
        """The answer as plain numbers, strings and lists; None for what no number can say."""
        return dict(self.render("dict"))

    def to_json(self) -> str:
        """`to_dict` as JSON, without NaN or Infinity."""
        return json.dumps(self.to_dict(), indent=2, allow_nan=False)

    def to_csv(self, *args: Any, **settings: Any) -> str:
        """A table with a line of column names; what does not exist is left empty.

        An `Analysis` takes the number of `points` at which its density is listed, 1001 by default.
        """
        return str(self.render("csv", *args, **settings))

    def plot(self, path: str | Path | None = None, **settings: Any) -> Any:
        """Draw the answer; save it to `path` (.png, .svg or .pdf) if given.

        An `Analysis` takes ``log=True``, for a logarithmic density.

        Returns
        -------
        matplotlib.figure.Figure
        """
        return self.render("figure", path, **settings)
