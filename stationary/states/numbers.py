"""`Numbers`: how an end state takes numbers in and hands them out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np

from stationary.aliases import Array
from stationary.errors import LandscapeError
from stationary.numbers.arithmetic import DOUBLE, Arithmetic
from stationary.numbers.elementary import apart, finite, number, to_float
from stationary.points import numbers_only
from stationary.process.landscape import Landscape


class Numbers(ABC):
    """What is computed in an `arithmetic`, and handed out in so many `digits`; None: as doubles."""

    digits: int | None
    of_adam: Landscape | None

    @property
    def doubt(self) -> float:
        """The relative error of the deviation, of Adam: by what was taken for a number."""
        held = None if self.of_adam is None else self.of_adam.held
        return 0.0 if held is None else held.doubt

    @property
    def off(self) -> float:
        """The same of that deviation, absolute."""
        return self.doubt and self.doubt * float(self.std())

    @abstractmethod
    def std(self) -> float: ...

    def require_plain(self, what: str) -> None:
        """Raise for what is asked of a law of Adam, which would move what it divides by."""
        if self.of_adam is not None:
            raise LandscapeError(
                f"{self.of_adam.name}: {what} changes what {self.of_adam.who} divides by, and is "
                'not had. Take optimiser = "sgd" at the learning rate that `analyze` tells: '
                f"{self.of_adam.small_step_rate:.4g}."
            )

    @property
    @abstractmethod
    def arithmetic(self) -> Arithmetic:
        """That of what was computed."""

    def given(self, x: Any) -> Any:
        """A number as it is handed out: with `digits` an mpmath number, else the nearest float."""
        return to_float(number(x)) if self.digits is None else self.arithmetic.array(x)[()]

    def left_out(self, x: Any) -> float:
        """What a position that is handed out leaves out of itself."""
        return 0.0 if self.digits is not None or not finite(x) else float(x - float(x))

    def lost(self, x: Any) -> float:
        """What a number loses where it is handed out: the rounding to the nearest float."""
        return apart(x, float(x)) if self.left_out(x) else 0.0

    def unplaced(self, x: Any) -> float:
        """What a position loses, which is handed out together with what it leaves out."""
        left_out = self.left_out(x)
        return apart(x - float(x), left_out) if left_out else 0.0

    def _number(self, x: Any) -> Any:
        """What was given, as one number of the arithmetic."""
        if np.ndim(x):
            raise LandscapeError(f"{x!r:.60} must be one number, not an array of them.")
        return number(self._points(x)[()])

    def _points(self, x: Any) -> Array:
        """What was given, as an array of the arithmetic."""
        with numbers_only(x):
            if self.arithmetic is DOUBLE:
                return np.asarray(x, dtype=float)
            given = np.asarray(x)
            if given.dtype.kind == "U":
                given = given.astype(object)
            if given.dtype == object:
                given = np.frompyfunc(self._parsed, 1, 1)(given)
            return self.arithmetic.array(given)

    def _parsed(self, x: Any) -> Any:
        """A string as a number with twice the digits: it may say how close to something it is."""
        if not isinstance(x, str):
            return x
        from mpmath.libmp import from_str

        context = self.arithmetic.one.context
        return context.make_mpf(from_str(x, 2 * context.prec, "n"))

    def _handed_out(self, values: Array, shape: tuple[int, ...]) -> Any:
        """Values in the shape of what was asked for."""
        values = np.asarray(values if self.digits is not None else to_float(values))
        return values.reshape(shape)[()]
