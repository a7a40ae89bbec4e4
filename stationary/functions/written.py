"""Functions as users write them: tried once, where they are given, and run in one way from then on.

Some take whole arrays, some one number at a time, some are plain constants; some compute in fewer
digits than doubles have, or turn their argument into one. `Written` finds out, and nothing later
asks again.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np

from stationary.aliases import Array, Function
from stationary.errors import (
    LandscapeError,
    NotDifferentiableError,
    StationaryError,
    UserFunctionError,
)
from stationary.functions.evaluation import (
    call_user_function,
    collected,
    derivative,
    evaluate,
    name_of,
    tabulated,
)
from stationary.functions.given import number
from stationary.functions.rounding import Rounding, ladder, rounding_of
from stationary.functions.source_lines import WAY_OUT
from stationary.functions.taylor import Taylor
from stationary.numbers.cost import SHARED
from stationary.points import points_inside

SEVERAL = 1000  # points of a call, as of a first look at a process: 64 panels have some 1,300
CONTRACT = "It must return, for an array of points, the value at each of them."


def probe_points(lower: float, upper: float) -> Array:
    """A few points well inside the domain, not symmetric, to try a function at."""
    return points_inside((lower, upper), np.array([0.1237, 0.3121, 0.4789, 0.6343, 0.8917]))


class Constant:
    """The function that is the same everywhere."""

    def __init__(self, value: float) -> None:
        self.value = value

    def __call__(self, x: Any) -> Any:
        return self.value + 0 * x


class Written:
    """A function that a user wrote, and how it can be run.

    Attributes
    ----------
    pointwise
        It takes one number at a time: arrays are taken apart for it.
    refusal
        Why it runs on doubles alone, and neither on series nor in many digits; or None.
    branches
        It may take another branch somewhere: |x|, a maximum, a comparison.
    probed
        Its values at the `probe_points` of the domain.
    rounding
        How coarsely its values are rounded, where that is coarser than double arithmetic.
    count
        How many rows it returns, where it may return several.
    """

    def __init__(self, given: Any, name: str, where: str, *, rows: bool = False) -> None:
        constant = None if callable(given) or rows else number(given)
        if not callable(given) and (constant is None or not math.isfinite(constant)):
            v, also = ("w", "") if rows else ("x", ", or a finite number")
            raise LandscapeError(
                f"{where}: {name} must be a function of {v}, as in `def {name}({v}): ...`{also}, "
                f"not {given!r:.80}."
            )
        self.function: Function = given if constant is None else Constant(constant)
        self.name, self.where, self.rows = name, where, rows
        self.__name__ = name if constant is not None else name_of(given)
        self.pointwise = False
        self.refusal: str | None = None
        self.branches = False
        self.probed: Array = np.empty(0)
        self.rounding: Rounding | None = None
        self.count = 1

    @property
    def call(self) -> str:
        return f"{self.name}({'w' if self.rows else 'x'})"

    @classmethod
    def tried(
        cls, given: Any, name: str, where: str, domain: tuple[float, float], *, rows: bool = False
    ) -> Written:
        """`given` as a function with one value for each point, or with several `rows` of them."""
        self = cls(given, name, where, rows=rows)
        x = probe_points(*domain)
        try:
            first = call_user_function(self, x.copy())
        except UserFunctionError as error:
            if not isinstance(error.__cause__, (TypeError, ValueError)):
                raise
            self.pointwise, self.refusal = True, "it takes one number at a time"
            first = call_user_function(self, x.copy())
        (values,) = tabulated(self, first, x)
        if not rows and values.shape != x.shape:
            raise LandscapeError(
                f"{where}: {name}(x) must give one value per point: for {x.size} points it "
                f"gave an array of shape {values.shape}."
            )
        self.count = 1 if values.ndim == 1 else len(values)
        self.probed = values
        if not self.pointwise:
            before = Taylor.decisions
            try:
                evaluate(self, x[:1], order=1)
                self.branches = Taylor.decisions > before
            except StationaryError as error:
                self.refusal = str(error).removesuffix(WAY_OUT).rstrip()
        self._look_closely(x, first, values)
        return self

    @classmethod
    def derived(
        cls,
        losses: Written,
        x: Array,
        count: int | None = None,
        plain: Array | None = None,
        width: int = 1,
    ) -> Written:
        """The derivatives of losses, which run in any arithmetic.

        With a `count` of datapoints they have been recorded, and are not tried again; `plain` are
        the losses at x, where these are known. Each may have arrays of some `width` on the way.
        """
        self = cls(derivative(losses), losses.name, losses.where, rows=True)
        if plain is None:
            (plain,) = evaluate(losses, x)
        losses.count = 1 if plain.ndim == 1 else len(plain)
        self.count = losses.count if count is None else count
        for i in (slice(3, 1, -1), slice(1)):
            losses._require_same(x[i], plain[..., i])
        losses._require_same_of_many(x, plain, width)
        if count is None:
            (values,) = evaluate(self.table, x)
            self._require_same(x[:1], values[..., :1])
        return self

    def __call__(self, x: Any) -> Any:
        if isinstance(x, Taylor) and self.refusal is not None:
            raise NotDifferentiableError(
                f"{self.where}: {self.name} runs in doubles only, so that more digits cannot be "
                f"had: {self.refusal}"
            )
        if not self.pointwise:
            with np.errstate(all="ignore"):  # what overflows is found, and located, further on
                result = collected(self.function(x))
            one = not self.rows and isinstance(result, (tuple, list)) and isinstance(x, np.ndarray)
            return np.asarray(result) if one else result
        values = [np.array(self._at(v), dtype=float) for v in np.ravel(x).tolist()]
        return np.moveaxis(np.array(values), 0, -1)

    def _at(self, x: float) -> Any:
        try:
            return self.function(x)
        except ArithmeticError:  # where NumPy's functions would give inf or nan
            return math.nan

    def table(self, x: Any) -> Any:
        """All rows as one array, shape (N, M); they may come as a tuple or a list."""
        rows = self(x)
        if isinstance(rows, (tuple, list)):
            self._require_count(len(rows), np.size(x))
            return np.stack([row + 0 * x for row in rows])
        self._require_count(1 if np.ndim(rows) == 1 else len(rows), np.size(x))
        return rows

    def _require_count(self, now: int, points: int) -> None:
        if now != self.count:
            raise LandscapeError(
                f"{self.where}: the number of datapoints changed from {self.count} to {now} "
                f"between two calls of {self.name}, the second with {points} weights. The "
                "function must return the same datapoints each time."
            )

    def _require_same(self, points: Array, known: Array, skip: int = 0) -> Array:
        try:
            (values,) = evaluate(self, points)
        except UserFunctionError as error:
            raise UserFunctionError(
                f"{error}\nThis happened with {len(points)} points, and not with 5. {CONTRACT}"
            ) from error.__cause__
        if self.rows:
            self._require_count(1 if values.ndim == 1 else len(values), len(points))
        if not agree(values[..., skip:], known):
            raise LandscapeError(
                f"{self.where}: {self.call} does not act on each point by itself: called with "
                f"5 points and with {len(points)} it gives different values at "
                f"{self.call[-2]} = {points[skip]:.6g}. {CONTRACT}"
            )
        return values

    def _require_same_of_many(self, x: Array, known: Array, width: int = 1) -> None:
        """With as many points as panels have: what is recorded is not called with so many again."""
        times = min(SEVERAL, SHARED // (self.count * width)) // len(x)
        if times > 1 and not self.pointwise:
            self._require_same(np.tile(x, times), np.tile(known, times))

    def _look_closely(self, x: Array, first: Any, values: Array) -> None:
        """Call it with other numbers of points, in another order; and see how it rounds."""
        if isinstance(first, (tuple, list)):
            again = call_user_function(self, x.copy())
            rows = again if isinstance(again, (tuple, list)) else ()
            places, others = ([_address(row) for row in given] for given in (first, rows))
            shared = [p for p in places if p is not None and places.count(p) > 1 and p in others]
            if shared:
                raise LandscapeError(
                    f"{self.where}: {self.name} returns the same work array for several "
                    "datapoints, so that only what was written last is left of them. Return a "
                    "copy for each, as in `out.copy()`."
                )
        self._require_same(x[3:1:-1], values[..., 3:1:-1])
        if self.rows:
            self._require_same_of_many(x, values)
        most = max(1, SHARED // self.count)  # points at a time
        near = ladder(x, 3 if most > 200 else 1)
        if most > 200:
            backwards = np.append(near, x[::-1])
            table = self._require_same(backwards, values[..., ::-1], len(near))
            table = self._condensed(table)[:, : len(near)]
        else:
            parts = [near[i : i + most] for i in range(0, len(near), most)]
            table = np.concatenate([self._condensed(evaluate(self, p)[0]) for p in parts], axis=-1)
        self.rounding = rounding_of(table[:2], first, self.call, exact=self.refusal is None)
        of_rows = table[:1], table[2:]
        if self.rounding is not None and self.rounding.is_hidden:
            # A jump next to a place looks the same, but not at most of many.
            places = np.interp(np.linspace(0.1, len(x) - 1.1, 12), np.arange(len(x)), np.sort(x))
            more = self._condensed(evaluate(self, ladder(places, len(places)))[0])
            if rounding_of(more[:2], first, self.call, exact=self.refusal is None) is None:
                self.rounding = None
        if self.rounding is not None and self.rounding.is_hidden and self.refusal is None:
            # Series leave out conversions to shorter numbers: what is left then, digits can help.
            table = self._condensed(evaluate(self, near, order=1)[0])
            if rounding_of(table[:2], None, self.call, exact=True) is not None:
                self.rounding = None
        if self.rounding is not None:
            if self.rows:  # what it makes of the variance is known from these
                own = [
                    rounding_of(f, first, self.call, exact=self.refusal is None) for f in of_rows
                ]
                self.rounding = own[0] or self.rounding
                if own[1] is not None:
                    self.rounding = replace(self.rounding, of_one=own[1].floor)
            self.refusal = self.rounding.text

    def _condensed(self, table: Array) -> Array:
        """The function itself, or of datapoints their mean, their variance and the first."""
        table = np.atleast_2d(table)
        if not self.rows:
            return table
        with np.errstate(all="ignore"):
            return np.stack([table.mean(axis=0), table.var(axis=0), table[0]])


def _address(row: Any) -> int | None:
    return row.ctypes.data if isinstance(row, np.ndarray) and row.size else None


def agree(x: Array, y: Array) -> bool:
    """Whether two tables are the same but for rounding, in proportion to what they hold.

    Sums of float32 in another order differ by 1e-6; another function, by parts of one.
    """
    if x.shape != y.shape:
        return False
    if (x == y).all():
        return True
    with np.errstate(all="ignore"):
        finite = np.where(np.isfinite(y), np.abs(y), 0.0)
        close = np.abs(x - y) <= 1e-5 * finite.max(axis=-1, initial=0.0, keepdims=True)
    return bool((close | (x == y) | ((x != x) & (y != y))).all())
