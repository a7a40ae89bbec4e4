"""`Law`: how likely each outcome is, and after what time, as it is carried from place to place.

Everything is a logarithm with its absolute error. Legs of a journey follow each other: then
probabilities multiply, and times and their variances add. Or one of several is taken: then all
are mixed, by what the law of total variance says.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from stationary.aliases import Array
from stationary.numbers.arithmetic import DOUBLE, Arithmetic
from stationary.numbers.elementary import arithmetic_of, converted, exp, log, logaddexp, to_float
from stationary.result import Listed


def chosen(where: Array, values: Any, other: Any) -> Array:
    """np.where, whose result stays in the arithmetic of what is chosen from."""
    arithmetic = arithmetic_of(values)
    arithmetic = arithmetic_of(other) if arithmetic is DOUBLE else arithmetic
    return arithmetic.array(np.where(where, values, other))


def filled(shape: Any, value: float, arithmetic: Arithmetic) -> Array:
    return arithmetic.array(np.full(shape, value))


def rounding_of_exp(log_value: Any) -> Any:
    """What a logarithm and its exponential lose as doubles, in proportion."""
    counts = np.isfinite(log_value) & (log_value != 0)
    return DOUBLE.epsilon * np.where(counts, 1 + np.abs(log_value) / 2, 0)


@dataclass(frozen=True, eq=False)
class Passage(Listed):
    """A mean first-passage time, as its natural logarithm; infinite where it is."""

    log_time: Any  # a float, or an mpmath number
    error: float  # absolute of log_time: relative of time

    @property
    def time(self) -> Any:
        """In the unit of time of the process: steps, for SGD."""
        return Estimate(self.log_time, self.error).value

    def rounded(self) -> Passage:
        """The same as a double."""
        log_time = float(self.log_time)
        return Passage(log_time, self.error + float(rounding_of_exp(log_time)))


@dataclass(frozen=True, eq=False)
class Value:
    """The logarithm of something that is not negative, and its error."""

    log: Array
    error: Array

    def __getitem__(self, where: Any) -> Value:
        return Value(self.log[where], self.error[where])

    def __mul__(self, other: Value) -> Value:
        return Value(self.log + other.log, self.error + other.error)

    def __add__(self, other: Value) -> Value:
        log_sum = logaddexp(self.log, other.log)
        return Value(log_sum, self.share(log_sum) + other.share(log_sum))

    def share(self, whole: Array) -> Array:
        """What the error of this one is to a sum."""
        some = np.asarray((self.log > -math.inf) & (whole < math.inf), dtype=bool)
        part = chosen(some, self.log, 0) - chosen(some, whole, 0)
        return np.asarray(chosen(some, exp(part) * self.error, 0 * self.error))

    def as_row(self) -> Value:
        return Value(self.log[None], self.error[None])

    def in_arithmetic(self, arithmetic: Arithmetic) -> Value:
        if arithmetic_of(self.log) is arithmetic:
            return self
        return Value(converted(self.log, arithmetic), converted(self.error, arithmetic))

    def only_where(self, possible: Array) -> Value:
        return Value(
            chosen(possible, self.log, -math.inf), chosen(possible, self.error, 0 * self.error)
        )

    def square_of_difference(self, other: Value) -> Value:
        """(a - b)^2."""
        top = np.maximum(self.log, other.log)
        known = np.asarray((top > -math.inf) & (top < math.inf), dtype=bool)
        top = chosen(known, top, 0)
        a, b = (exp(chosen(known, v.log, 0) - top) for v in (self, other))
        gap = chosen(known, np.abs(a - b), 0)
        off = chosen(known, a * self.error + b * other.error, 0)
        with np.errstate(divide="ignore", invalid="ignore"):
            logs = 2 * (log(gap) + top)
            # As large as the gap may be, where that is less than what is known.
            floor = 2 * (log(chosen(off > 0, off, 1)) + top)
        hidden = np.asarray(gap <= off, dtype=bool) & np.asarray(off > 0, dtype=bool)
        with np.errstate(over="ignore"):
            relative = chosen(gap > 0, 2 * off / chosen(gap > 0, gap, 1), 0)
            relative = relative + relative**2
        result = Value(chosen(hidden, floor, logs), chosen(hidden, 4, relative))
        return result.only_where(known)


@dataclass(frozen=True, eq=False)
class Law:
    """The probability of each outcome, and mean and variance of the time given it.

    All of shape (outcomes, points).
    """

    chance: Value
    mean: Value
    variance: Value

    @staticmethod
    def nowhere(outcomes: int, points: int, arithmetic: Arithmetic) -> Law:
        shape = (outcomes, points)
        logs, errors = ([filled(shape, x, arithmetic) for _ in range(3)] for x in (-math.inf, 0.0))
        return Law(*map(Value, logs, errors))

    @staticmethod
    def at(outcome: int, outcomes: int, arithmetic: Arithmetic) -> Law:
        """It has arrived."""
        law = Law.nowhere(outcomes, 1, arithmetic)
        law.chance.log[outcome] = 0 * law.chance.error[outcome]
        return law

    def after(self, leg: Law) -> Law:
        """What comes of it when this follows a leg, of shape (1, points)."""
        chance = leg.chance * self.chance
        possible = np.asarray(chance.log > -math.inf, dtype=bool)
        both = Law(chance, leg.mean + self.mean, leg.variance + self.variance)
        return both.each(lambda v: v.only_where(possible))

    def or_else(self, other: Law) -> Law:
        """One or the other, which exclude each other."""
        whole = self.chance + other.chance
        possible = np.asarray(whole.log > -math.inf, dtype=bool)
        some = chosen(possible, whole.log, 0)
        a, b = (
            Value(chosen(possible, one.chance.log - some, -math.inf), one.chance.error)
            for one in (self, other)
        )

        def mixed(x: Value, y: Value) -> Value:
            return _weighed(a, x) + _weighed(b, y)

        apart = self.mean.square_of_difference(other.mean)
        both = np.asarray((a.log > -math.inf) & (b.log > -math.inf), dtype=bool)
        spread = (a * b * apart).only_where(both)
        variance = mixed(self.variance, other.variance) + spread
        return Law(whole, mixed(self.mean, other.mean), variance)

    def each(self, change: Callable[[Value], Value]) -> Law:
        """The same change of all three."""
        return Law(change(self.chance), change(self.mean), change(self.variance))

    def in_arithmetic(self, arithmetic: Arithmetic) -> Law:
        return self.each(lambda v: v.in_arithmetic(arithmetic))

    def row(self, outcome: int) -> Law:
        """That of one outcome."""
        return self.each(lambda v: v[[outcome]])

    def spread(self, points: int) -> Law:
        """The same for so many starts."""
        return self.each(lambda v: Value(*(np.repeat(x, points, axis=1) for x in (v.log, v.error))))

    @staticmethod
    def stacked(rows: list[Law]) -> Law:
        """One row after the other."""
        parts = [[(v.log, v.error) for v in (r.chance, r.mean, r.variance)] for r in rows]
        return Law(
            *(Value(*map(np.concatenate, zip(*v, strict=True))) for v in zip(*parts, strict=True))
        )

    def placed(self, where: Array, into: Law) -> None:
        """Write it into the columns `where` of another one."""
        for name in ("chance", "mean", "variance"):
            mine, theirs = getattr(self, name), getattr(into, name)
            theirs.log[:, where], theirs.error[:, where] = mine.log, mine.error


def _weighed(weight: Value, x: Value) -> Value:
    """weight x; nothing where the weight is 0, though x be infinite."""
    possible = np.asarray((weight.log > -math.inf) & (x.log > -math.inf), dtype=bool)
    return Value(
        chosen(possible, chosen(possible, weight.log, 0) + x.log, -math.inf),
        chosen(possible, weight.error + x.error, 0 * x.error),
    )


# -- a number with its error -----------------------------------------------------------------------


@dataclass(frozen=True, eq=False, repr=False)
class Estimate(Listed):
    """A number that is not negative, or an array of such, and how far to trust it.

    Attributes
    ----------
    log
        Natural logarithms: -inf for 0, and right where the number itself is beyond doubles.
    error
        The estimated absolute error of `log`: the relative one of `value`.
    """

    log: Any
    error: Any

    @property
    def value(self) -> Any:
        """The number itself; inf or 0 where doubles cannot hold it."""
        if type(self.log) is float:
            return math.inf if self.log > 709.78 else math.exp(self.log)
        with np.errstate(over="ignore", under="ignore"):
            return exp(self.log)

    def rounded(self) -> Estimate:
        """The same as doubles."""
        log_value = to_float(self.log)
        return Estimate(log_value, to_float(self.error) + rounding_of_exp(log_value))

    @property
    def absolute_error(self) -> Any:
        """The estimated error in the unit of `value`; 0 where that is infinite."""
        value = self.value
        with np.errstate(invalid="ignore"):
            product = np.where(np.asarray(value == math.inf), 0.0, value * self.error)
        return product if np.ndim(value) else product[()]

    def __getitem__(self, index: Any) -> Estimate:
        log, error = np.asarray(self.log)[index], np.asarray(self.error)[index]
        return Estimate(*(x if np.ndim(x) else x[()] for x in (log, error)))

    def __repr__(self) -> str:
        return f"<Estimate: {self.value} +- {self.absolute_error}, error={self.error} of it>"
