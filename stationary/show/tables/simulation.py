"""A simulation as JSON."""

from __future__ import annotations

from typing import Any

import numpy as np

from stationary.simulation.result import Simulation

__all__ = ["as_dict", "as_table"]


def as_dict(s: Simulation) -> dict[str, Any]:
    """Plain numbers, strings and lists; None for what is not finite.

    Without the rate, which alone would differ from run to run.
    """
    fields = {k: getattr(s, k) for k in s.__dataclass_fields__ if k != "rate"}
    return fields | {"std": s.std, "std_error": s.std_error}


def as_table(s: Simulation) -> dict[str, Any]:
    """The histogram, a row per bin."""
    v, density = s.variable, s.mass / np.diff(s.edges)
    columns = {f"{v}_lower": s.edges[:-1], f"{v}_upper": s.edges[1:], "mass": s.mass}
    return columns | {"mass_error": s.mass_error, "density": density}
