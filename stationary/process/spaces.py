"""One constructor for any number of weights: by what it is given, a process is on a line or not."""

from __future__ import annotations

from typing import Any

from stationary.errors import LandscapeError
from stationary.process.plane import PlaneDiffusion, dimensions_of
from stationary.process.plane_landscape import PlaneLandscape


class BySpace(type):
    """Makes `Diffusion(..., domain=((-2, 2), (-1, 3)))` and `Landscape(..., weights=2)` what they
    are with several weights."""

    def __call__(cls, *arguments: Any, **given: Any) -> Any:
        landscape = cls.__name__ == "Landscape"
        count = dimensions_of(arguments, given, None if landscape else 2)
        if count == 1:
            given.pop("weights", None)
            return super().__call__(*arguments, **given)
        made: Any = PlaneLandscape if landscape else PlaneDiffusion
        line: Any = cls
        for name in set(line.__dataclass_fields__) & set(given) - set(made.__dataclass_fields__):
            value, usual = given.pop(name), line.__dataclass_fields__[name].default
            if value is not None and value is not usual and value != usual:
                raise LandscapeError(
                    f"{given.get('name', 'unnamed')}: {name} = {value!r:.60} is had for one weight "
                    f"only; here are {count}. Leave it out."
                )
        return made(*arguments, **given)
