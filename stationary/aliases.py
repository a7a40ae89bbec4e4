"""Two types that every room speaks of."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numpy.typing import NDArray

Array = NDArray[Any]
Function = Callable[[Any], Any]
