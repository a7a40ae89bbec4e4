"""`Schedule`: a learning rate for each step.

In words: pieces such as "cosine:0.1:0.001:20000" (from 0.1 to 0.001 in 20,000 steps), one after the
other with commas between them:

    constant:T:STEPS           linear:FROM:TO:STEPS         cosine:FROM:TO:STEPS
    exponential:FROM:TO:STEPS  step:FROM:FACTOR:EVERY:STEPS table:FILE

The first step of a piece has its first rate and the last step its last one.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import numpy as np

from stationary.aliases import Array
from stationary.errors import LandscapeError, UserFunctionError
from stationary.files import read_bounded
from stationary.functions.evaluation import explained
from stationary.functions.given import ALIKE, typed, whole
from stationary.result import Listed

Shape = Callable[..., Array]

MOST_STEPS = 10**7  # 80 MB of learning rates
EXAMPLE = '"cosine:0.1:0.001:20000"'
SHAPES: dict[str, Shape] = {
    "linear": lambda u, first, last: first + (last - first) * u,
    "cosine": lambda u, first, last: last + (first - last) * (1 + np.cos(np.pi * u)) / 2,
    "exponential": lambda u, first, last: first ** (1 - u) * last**u,
}
FORMS = {name: f"{name}:FROM:TO:STEPS" for name in SHAPES} | {
    "constant": "constant:T:STEPS",
    "step": "step:FROM:FACTOR:EVERY:STEPS",
    "table": "table:FILE",
}


@dataclass(frozen=True, eq=False, repr=False)
class Schedule(Listed):
    """A learning rate for each step.

    Attributes
    ----------
    text
        What it is, in words.
    rates
        Of each step, shape (steps,); not negative, and not all zero.
    """

    text: str
    rates: Array = field(compare=False)

    @classmethod
    def of(cls, given: Any, where: str = "schedule") -> Schedule:
        """From words, a table, or a function of the number of the step with how many there are.

        Parameters
        ----------
        given
            Words as above; a pair (function, steps), the function taking the array 0, 1, ...;
            an array of rates, one for each step; or rows (step, rate) from step 0 on, between
            which the rate is linear.

        Raises
        ------
        LandscapeError
            If it is none of these.
        """
        if isinstance(given, Schedule):
            return given
        if isinstance(given, str):
            pieces = [_piece(text.strip(), where) for text in given.split(",")]
            return cls._checked(",".join(given.split()), np.concatenate(pieces), where)
        if callable(given):
            raise _wrong(given, "it is a function: say for how many steps, as in (f, 20000)", where)
        pair = isinstance(given, (tuple, list)) and len(given) == 2 and callable(given[0])
        if pair:
            steps = _whole(given[1], "the number of steps", where)
            try:
                rates = np.asarray(given[0](np.arange(steps)))
            except Exception as error:
                raise UserFunctionError(
                    f"{where}: schedule: {explained(given[0], error)}"
                ) from error
            rates = np.broadcast_to(rates, (steps,)) if rates.ndim == 0 else rates
            if rates.shape != (steps,):
                why = (
                    f"the function must give one rate for each of {steps} steps, not {rates.shape}"
                )
                raise _wrong(given, why, where)
            name = getattr(given[0], "__name__", "a function")
            return cls._checked(f"{name} of {steps} steps", rates, where)
        return cls._of_table(given, "a table", where)

    @classmethod
    def _of_table(cls, given: Any, text: str, where: str) -> Schedule:
        try:
            table = np.array(given, dtype=float)
        except (TypeError, ValueError):
            raise _wrong(
                given, f"write {EXAMPLE}, a pair (function, steps) or a table", where
            ) from None
        if table.ndim == 2 and table.shape[1] == 2 and len(table) > 1:
            step, rate = table.T
            if step[0] != 0 or not (np.diff(step) > 0).all() or step[-1] != np.round(step[-1]):
                raise _wrong(given, "steps must ascend from 0 to a whole number", where)
            _whole(step[-1] + 1, "the number of steps", where)
            table = np.interp(np.arange(step[-1] + 1), step, rate)
        if table.ndim != 1 or not len(table):
            why = "a table holds one rate for each step, or rows (step, rate)"
            raise _wrong(given, why, where)
        return cls._checked(f"{text} of {len(table)} steps", table, where)

    @classmethod
    def _checked(cls, text: str, rates: Array, where: str) -> Schedule:
        rates = np.array(rates)
        if rates.dtype.kind not in "iuf" or len(rates) > MOST_STEPS:
            why = f"rates must be numbers, for at most {MOST_STEPS:,} steps"
            raise _wrong(text, why, where)
        rates = rates.astype(float)
        bad = ~((rates >= 0) & np.isfinite(rates))
        if bad.any():
            i = int(np.argmax(bad))
            raise _wrong(text, f"the learning rate of step {i} is {rates[i]:g}", where)
        if not rates.any():
            raise _wrong(text, "every learning rate is 0", where)
        rates.setflags(write=False)
        return cls(text, rates)

    def __len__(self) -> int:
        return len(self.rates)

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return f"<Schedule {self.text}: {len(self)} steps, T from {self[0]:g} to {self.last:g}>"

    def __getitem__(self, step: int) -> float:
        """The learning rate of a step, counted from 0; after the last one it stays."""
        return float(self.rates[min(step, len(self.rates) - 1)])

    @property
    def first(self) -> float:
        """The first learning rate that is not 0."""
        return float(self.rates[np.flatnonzero(self.rates)[0]])

    @property
    def last(self) -> float:
        """The last learning rate that is not 0."""
        return float(self.rates[np.flatnonzero(self.rates)[-1]])


def _wrong(given: Any, why: str, where: str) -> LandscapeError:
    return LandscapeError(f"{where}: schedule = {given!r:.80} cannot be meant: {why}.")


def _whole(given: Any, what: str, where: str) -> int:
    if (value := whole(given, 1, MOST_STEPS)) is None:
        why = f"{what}, {given!r:.40}, must be a whole number from 1 to {MOST_STEPS:,}"
        raise LandscapeError(f"{where}: schedule: {why}.")
    return value


def _piece(text: str, where: str) -> Array:
    """The rates of one piece."""
    name, *given = text.split(":")
    kind = name.strip().lower()
    if kind not in FORMS:
        near = get_close_matches(kind, FORMS, 1, ALIKE)
        hint = (
            f"did you mean {FORMS[near[0]]}" if near else f"known are {', '.join(FORMS.values())}"
        )
        raise _wrong(text, hint, where)
    if kind == "table":
        return _from_file(":".join(given), where)
    form = FORMS[kind]
    values = [typed(v) for v in given]
    if len(values) != form.count(":") or None in values:
        raise _wrong(text, f"it is written {form}, as in {EXAMPLE}", where)
    *numbers, last = [v for v in values if v is not None]
    steps = _whole(last, "STEPS", where)
    if any(not 0 <= v < math.inf for v in numbers):
        raise _wrong(text, "learning rates and factors are numbers from 0 on", where)
    if kind == "constant":
        return np.full(steps, numbers[0])
    if kind == "step":
        every = _whole(numbers[2], "EVERY", where)
        return np.asarray(numbers[0] * numbers[1] ** (np.arange(steps) // every))
    if kind == "exponential" and 0 in numbers:
        raise _wrong(text, "an exponential reaches no 0: end at a small rate", where)
    return SHAPES[kind](np.arange(steps) / max(steps - 1, 1), *numbers)


def _from_file(name: str, where: str) -> Array:
    path = Path(name.strip()).expanduser()
    try:
        text = read_bounded(path).decode("utf-8-sig")
        rows = [line.replace(",", " ").split() for line in text.splitlines()]
        rows = [r for r in rows if r and not r[0].startswith("#")]
        if rows and any(typed(v) is None for v in rows[0]):
            rows = rows[1:]  # a header
        table = np.array(rows, dtype=float)
    except (OSError, ValueError) as error:
        why = f"the table cannot be read ({error}). It holds a rate, or a step and a rate, a line"
        raise _wrong(f"table:{name}", why, where) from None
    table = table[:, 0] if table.ndim == 2 and table.shape[1] == 1 else table
    return Schedule._of_table(table, str(path), where).rates
