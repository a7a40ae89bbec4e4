"""A simulation as JSON."""

from __future__ import annotations

import math
from enum import Enum
from typing import Any

import numpy as np

from stationary.simulation.result import Simulation

__all__ = ["as_dict"]


def as_dict(s: Simulation) -> dict[str, Any]:
    """Plain numbers, strings and lists; None for what is not finite."""
    fields = {k: getattr(s, k) for k in s.__dataclass_fields__}
    fields |= {"std": s.std, "std_error": s.std_error}
    return {k: _plain(v) for k, v in fields.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, Enum):
        return value.name.lower()
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if isinstance(value, (int, float, str, type(None))) else str(value)
