"""Numbers as they are typed: whole ones, arithmetic, and several as for the axis of a sweep.

What cannot be read is wrong usage; which values can be meant, the library says.
"""

from __future__ import annotations

import contextlib
import math
import re
from typing import Any

import click


def whole(value: Any) -> int:
    """A whole number, however it is typed: 20000, 20_000 or 2e4."""
    with contextlib.suppress(ValueError):
        return int(value)
    with contextlib.suppress(ValueError):
        if float(value).is_integer():
            return int(float(value))
    raise click.BadParameter(f"{value!r} is not a whole number.")


def number(value: Any) -> float:
    """A number as it is typed, as arithmetic too: 2*pi."""
    with contextlib.suppress(ValueError):
        found = float(value)
        if (found == 0 and re.search("[1-9]", str(value).lower().split("e")[0])) or (
            math.isinf(found) and "inf" not in str(value).lower()
        ):
            raise click.BadParameter(
                f"{value!r} is beyond what doubles hold, which is 5e-324 to 1.8e308 in size. "
                "Choose another unit, or write 0 or inf."
            )
        return found
    from stationary.errors import LandscapeError
    from stationary.sources.formulas import Formula

    with contextlib.suppress(LandscapeError, ArithmeticError, TypeError, ValueError):
        formula = Formula(str(value), "x", "")
        found = math.nan if formula.parameters else float(formula(math.nan))
        if not math.isnan(found):  # it is no formula of x
            return found
    raise click.BadParameter(f"{value!r} is not a number, such as 0.5, inf or 2*pi.")


def temperatures(value: Any) -> float | tuple[float, ...]:
    """A number, or several as for the axis of a sweep."""
    with contextlib.suppress(click.BadParameter):
        return number(value)
    from stationary.errors import LandscapeError
    from stationary.sources.ranges import values_from

    try:
        return tuple(values_from(str(value), "these", positive=True).tolist())
    except LandscapeError as error:
        raise click.BadParameter(str(error)) from error
