"""Types that every room speaks of."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from numpy.typing import NDArray

Array = NDArray[Any]
Function = Callable[[Any], Any]


class Coefficient(Protocol):
    """To a type checker, what is given as a function or a number, and then is a function."""

    def __get__(self, process: Any, kind: Any) -> Function: ...
    def __set__(self, process: Any, given: Function | float) -> None: ...
