"""Functions as users write them: of whole arrays, of single numbers, or plain constants."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stationary.errors import LandscapeError, UserFunctionError
from stationary.functions.evaluation import evaluate
from stationary.functions.given import number

__all__ = ["Pointwise", "as_function", "probe_points", "settle_function"]

Array = NDArray[Any]
Function = Callable[[Any], Any]


def probe_points(lower: float, upper: float) -> Array:
    """A few points well inside the domain, not symmetric, to try a function at."""
    u = np.array([0.1237, 0.3121, 0.4789, 0.6343, 0.8917])
    if math.isinf(lower) and math.isinf(upper):
        return np.asarray(4 * (2 * u - 1) / (1 - (2 * u - 1) ** 2))
    if math.isinf(upper):
        return np.asarray(lower + u / (1 - u))
    if math.isinf(lower):
        return np.asarray(upper - (u / (1 - u))[::-1])
    return np.asarray(lower + u * (upper - lower))


def as_function(given: Any, name: str, where: str) -> Function:
    if callable(given):
        return given  # type: ignore[no-any-return]
    constant = number(given)
    if constant is None or not math.isfinite(constant):
        raise LandscapeError(
            f"{where}: {name} = {given!r:.80} must be a function of x, as in "
            f"`def {name}(x): ...`, or a finite number."
        )
    return lambda x: constant + 0 * x


class Pointwise:
    """A user's function that takes one number at a time, made to take arrays of doubles."""

    def __init__(self, function: Function) -> None:
        self.function = function
        self.__name__ = getattr(function, "__name__", "function")

    def __call__(self, x: Any) -> Any:
        if isinstance(x, np.ndarray) and x.dtype == float:
            values = [self.function(v) for v in x.ravel().tolist()]
            return np.moveaxis(np.array(values, dtype=float), 0, -1)
        return self.function(x)


def settle_function(function: Function, x: Array, name: str, where: str) -> Function:
    """`function`, or its `Pointwise` form if that is the only way to call it.

    Raises
    ------
    UserFunctionError
        If it fails on single numbers, too.
    LandscapeError
        If a whole array and its points one by one give different answers.
    """
    try:
        (whole,) = evaluate(function, x)
    except UserFunctionError as error:
        if not isinstance(error.__cause__, (TypeError, ValueError)):
            raise
        pointwise = Pointwise(function)
        evaluate(pointwise, x)
        return pointwise
    single = np.stack([evaluate(function, x[i : i + 1])[0][..., 0] for i in (0, 4)], axis=-1)
    if single.shape[:-1] != whole.shape[:-1] or not _agree(single, whole[..., [0, 4]]):
        raise LandscapeError(
            f"{where}: {name}(x) does not act on each point by itself: called with "
            f"{len(x)} points and with one it gives different values at x = {x[0]:.6g}. "
            "It must return, for an array of points, the value at each of them."
        )
    return function


def _agree(x: Array, y: Array) -> bool:
    """Whether two arrays are the same to within a few roundings, nan and inf included."""
    with np.errstate(invalid="ignore"):
        close = np.abs(x - y) <= 1e-300 + 1e-9 * np.abs(y)
    return bool((close | (x == y) | ((x != x) & (y != y))).all())
