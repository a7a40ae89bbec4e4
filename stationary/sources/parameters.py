"""Parameters as they are typed: `sharpness=30`."""

from __future__ import annotations

from collections.abc import Sequence

from stationary.errors import LandscapeError
from stationary.sources.ranges import values_from


def pairs_from(texts: Sequence[str], option: str = "--set") -> dict[str, str]:
    """The names and values of several NAME=VALUE."""
    result: dict[str, str] = {}
    for text in texts:
        name, equals, value = (part.strip() for part in text.partition("="))
        if not equals or not name.isidentifier() or not value:
            raise LandscapeError(
                f"{option} {text!r:.80} must be NAME=VALUE, a parameter of the file and what to "
                "set it to, as in sharpness=30."
            )
        if name in result:
            raise LandscapeError(
                f"{option} {name} is given twice, as {result[name]!r:.40} and as {value!r:.40}. "
                "Keep one of them."
            )
        result[name] = value
    return result


def parameters_from(texts: Sequence[str], option: str = "--set") -> dict[str, float]:
    """The same with a number each."""
    result = {}
    for name, text in pairs_from(texts, option).items():
        values = values_from(text, f"{option} {name}", example=f"{option} {name}=30")
        if len(values) > 1:
            raise LandscapeError(
                f"{option} {name}={text:.60}: these are {len(values)} values, and one is needed, "
                f"as in {option} {name}={values[0]:g}. The command sweep takes several."
            )
        result[name] = float(values[0])
    return result
