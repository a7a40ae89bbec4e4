"""One constructor for any number of weights: by what it is given, a process is on a line or not."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from stationary.process.plane import PlaneDiffusion, dimensions_of

__all__ = ["BySpace"]


class BySpace(type):
    """Makes `Diffusion(..., domain=((-2, 2), (-1, 3)))` and `Landscape(..., weights=2)` what they
    are with several weights."""

    def __call__(cls, *arguments: Any, **given: Any) -> Any:
        landscape = cls.__name__ == "Landscape"
        if dimensions_of(arguments, given, None if landscape else 2) == 1:
            given.pop("weights", None)
            return super().__call__(*arguments, **given)
        if landscape:
            # It stands on `Landscape`, and so behind it.
            room: Any = import_module("stationary.process.plane_landscape")
            return room.PlaneLandscape(*arguments, **given)
        return PlaneDiffusion(*arguments, **given)
