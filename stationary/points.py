"""What laws are asked with: points of any shape, numbers, and sizes of what is drawn."""

from __future__ import annotations

import functools
import inspect
import math
import operator
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol, cast, overload

import numpy as np

from stationary.aliases import Array
from stationary.errors import LandscapeError


class Pointwise(Protocol):
    """A method that takes one point, or points of any shape."""

    @overload
    def __call__(self, x: float, /) -> float: ...
    @overload
    def __call__(self, x: Array | Sequence[Any], /) -> Array: ...


def pointwise(method: Callable[[Any, Array], Array]) -> Pointwise:
    """The method of an array of points, shape (M,), for one point and for any shape.

    A number is given back for a number.
    """

    argument = list(inspect.signature(method).parameters)[1]

    @functools.wraps(method)
    def at_points(self: Any, *x: Any, **named: Any) -> Any:
        given = (*x, *named.values())
        if len(given) != 1 or not named.keys() <= {argument}:
            raise TypeError(
                f"{method.__name__} takes points, {argument}: one number, or an array of any shape."
            )
        at = self._points(*given)
        return self._handed_out(method(self, at.ravel()), at.shape)

    return cast(Pointwise, at_points)


def points_inside(domain: tuple[float, float], share: Array) -> Array:
    """The points at shares, from 0 to 1, of an interval that may be infinite, ascending.

    Even ones, or such that their distance from the end of a half-line, or from 0, grows.
    """
    lower, upper = domain
    if math.isfinite(upper - lower):
        return np.asarray(lower + share * (upper - lower))
    away = share / (1 - share)
    if math.isinf(lower) and math.isinf(upper):
        return np.asarray(away - 1 / away)
    return np.asarray(upper - away[::-1] if math.isinf(lower) else lower + away)


def is_no_number(x: Any) -> bool:
    """Whether it is nothing, complex, a date or a duration, which NumPy would take for numbers."""
    kind = getattr(getattr(x, "dtype", None), "kind", "")
    return x is None or kind in ("m", "M") or bool(np.iscomplexobj(x))


@contextmanager
def numbers_only(x: Any) -> Iterator[None]:
    """Say of what was given that it is no number, if it cannot be taken as one."""
    try:
        if is_no_number(x):
            raise TypeError
        yield
    except (TypeError, ValueError, AttributeError):
        raise LandscapeError(f"{x!r:.60} is no number, and no array of numbers.") from None


def drawing(size: Any, rng: Any, also: Any = None) -> tuple[tuple[int, ...], np.random.Generator]:
    """The shape of what is to be drawn, and what draws it."""
    if rng is not None and also is not None:
        raise LandscapeError("rvs: rng and random_state are two names of one thing. Give one.")
    name = "rng" if also is None else "random_state"
    rng = also if rng is None else rng
    try:
        generator = np.random.default_rng(rng)
        sizes = () if size is None else size if isinstance(size, tuple) else (size,)
        shape = tuple(operator.index(n) for n in sizes)
    except (TypeError, ValueError) as error:
        raise LandscapeError(
            f"rvs(size={size!r:.40}, {name}={rng!r:.40}): {error}. The size is a whole number or "
            f"a tuple of them, {name} a NumPy generator or a seed."
        ) from None
    if any(n < 0 for n in shape):
        raise LandscapeError(f"rvs: size = {size!r} must not be negative.")
    return shape, generator
