"""Values as they are typed: `1,2,4,8`, `0:1:11`, `1e-3:1e-1:50:log`, `sharpness=30`; or given."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from stationary.aliases import Array
from stationary.errors import LandscapeError, UnreadableError
from stationary.functions.given import number, typed

MOST_VALUES = 100_000  # in a typed range: more are a slip
SPACINGS = ("log", "linear")
Wrong = Callable[..., LandscapeError]  # of what is wrong with a range, and its kind
WAYS = "Give numbers separated by commas, or FROM:TO:COUNT with :log for a constant factor"


def values_from(
    text: str,
    option: str,
    *,
    example: str = "1e-3:1e-1:50:log",
    positive: bool = False,
    whole: bool = False,
    geometric: bool = False,
    downwards: bool = False,
    most: int = MOST_VALUES,
) -> Array:
    """The numbers that a typed range names, in that order, shape (n,).

    They are separated by commas; or FROM:TO:COUNT, evenly spaced from FROM to TO; or
    FROM:TO:COUNT:log, each a constant factor from the next. Errors begin with the `option` that is
    being given, and show an `example`.

    Parameters
    ----------
    positive, whole
        Whether the numbers must be above zero, or whole (and are integers).
    geometric
        Whether FROM:TO:COUNT means :log.
    downwards
        Whether FROM may be the larger end.
    most
        How many values there may be.
    """

    def wrong(what: str, kind: type[LandscapeError] = LandscapeError) -> LandscapeError:
        shown = repr(text)
        shown = shown if len(shown) <= 80 else f"{shown[:77]}..."
        of_file = option.startswith("--set")  # which says what its parameters may be
        kind = LandscapeError if of_file else kind
        return kind(f"{option} {shown}: it {what}, as in {example}.")

    if not isinstance(text, str) or not text.strip():
        raise wrong(f"is empty. {WAYS}")
    fields = [f.strip() for f in text.split(":")]
    if len(fields) == 1:
        values = np.array([_real(f, wrong) for f in fields[0].split(",")])
    else:
        values = _spaced(fields, wrong, geometric, downwards, most)
    if len(values) > most:
        raise wrong(f"names {len(values)} values, and {most} is the most. Give fewer")
    if positive and not (values > 0).all():
        bad = values[~(values > 0)][0]
        raise wrong(f"holds {bad:g}, but every value must be positive. Begin above zero")
    if not whole:
        return values
    if not (values == np.rint(values)).all():
        bad = values[values != np.rint(values)][0]
        raise wrong(f"holds {bad:g}, but every value must be a whole number. List whole numbers")
    if np.abs(values).max() > 1e9:
        raise wrong("goes beyond a billion. Stay below")
    return values.astype(int)


def _real(field: str, wrong: Wrong) -> float:
    value = typed(field)
    if value is None:
        what = f"{field!r:.40} in it" if field else "something that is left out"
        raise wrong(f"has {what} where a number is needed. {WAYS}", UnreadableError)
    if not math.isfinite(value):
        raise wrong(f"holds {field}, but every value must be finite. {WAYS}")
    return value


def _spaced(fields: list[str], wrong: Wrong, geometric: bool, downwards: bool, most: int) -> Array:
    if len(fields) not in (3, 4):
        parts = "two parts" if len(fields) == 2 else f"{len(fields)} parts"
        raise wrong(f"has {parts}, not FROM:TO:COUNT or FROM:TO:COUNT:log. Write it in full")
    if len(fields) == 4 and fields[3].lower() not in SPACINGS:
        raise wrong(f"ends in {fields[3]!r:.20}, not in log. Leave that out, or write it in full")
    first, last = _real(fields[0], wrong), _real(fields[1], wrong)
    try:
        count = int(fields[2])
    except ValueError:
        raise wrong(
            f"has {fields[2]!r:.20} as its COUNT, which must be a whole number. Write it"
        ) from None
    if count < 1:
        raise wrong(f"asks for {count} values, and 1 is the least. Write it")
    if count > most:
        raise wrong(f"asks for {count} values, and {most} is the most. Give fewer")
    if len(fields) == 4:
        geometric = fields[3].lower() == "log"
    if geometric and not (first > 0 and last > 0):
        bad = first if not first > 0 else last
        raise wrong(
            f"is spaced by a constant factor, which {bad:g} has no place in. Keep both ends above "
            "zero"
        )
    if first > last and not downwards:
        raise wrong(f"runs down from {first:g} to {last:g}. Write the smaller end first")
    if count > 1 and first == last:
        raise wrong(f"begins and ends at {first:g}. Give two different ends")
    if count == 1:
        if first != last:
            raise wrong(f"asks for one value between {first:g} and {last:g}. Ask for at least 2")
        return np.array([first])
    with np.errstate(all="ignore"):
        values = np.geomspace(first, last, count) if geometric else np.linspace(first, last, count)
    if not np.isfinite(values).all():
        raise wrong("is so long that doubles overflow. Stay below 1e300")
    return values


def checked_values(
    given: Any, name: str, *, positive: bool = False, whole: bool = False
) -> tuple[float, ...] | tuple[int, ...]:
    """Numbers given from Python, a single one or several: ascending, each once."""
    example = "[1, 2, 4, 8]" if whole else "np.geomspace(1e-3, 1e-1, 50)"
    kind = f"{'positive ' if positive else 'finite '}{'whole ' if whole else ''}numbers"
    single = isinstance(given, str) or (isinstance(given, np.ndarray) and given.ndim != 1)
    several = isinstance(given, Iterable) and not single
    listed: list[Any] = list(given) if several else [given]
    values = [number(v) if np.ndim(v) == 0 else None for v in listed]
    for v, value in zip(listed, values, strict=True):
        bad = value is None or not math.isfinite(value) or (positive and value <= 0)
        if bad or (whole and value != round(value)):  # type: ignore[arg-type]
            raise LandscapeError(
                f"{name}: {v!r:.40} came, but the values must be {kind}, as in {example}."
            )
    if not 1 <= len(values) <= MOST_VALUES:
        raise LandscapeError(
            f"{name}: {len(values)} values came; give from 1 to {MOST_VALUES} {kind}, as in "
            f"{example}."
        )
    known = sorted({v for v in values if v is not None})
    return tuple(int(v) for v in known) if whole else tuple(known)


def pairs_from(texts: Sequence[str]) -> dict[str, str]:
    """The names and values of several NAME=VALUE."""
    result: dict[str, str] = {}
    for text in texts:
        name, equals, value = (part.strip() for part in text.partition("="))
        if not equals or not name.isidentifier() or not value:
            raise LandscapeError(
                f"--set {text!r:.80} must be NAME=VALUE, a parameter of the file and what to set "
                "it to, as in sharpness=30."
            )
        if name in result:
            raise LandscapeError(
                f"--set {name} is given twice, as {result[name]!r:.40} and as {value!r:.40}. Keep "
                "one of them."
            )
        result[name] = value
    return result


def parameters_from(texts: Sequence[str]) -> dict[str, float]:
    """The same with a number each."""
    result = {}
    for name, text in pairs_from(texts).items():
        values = values_from(text, f"--set {name}", example=f"--set {name}=30")
        if len(values) > 1:
            raise LandscapeError(
                f"--set {name}={text:.60}: these are {len(values)} values, and one is needed, as "
                f"in --set {name}={values[0]:g}. The command sweep takes several."
            )
        result[name] = float(values[0])
    return result
