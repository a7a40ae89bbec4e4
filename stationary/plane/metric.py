"""The metric of the noise, and points at which it and densities are asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from stationary.aliases import Array
from stationary.errors import LandscapeError
from stationary.plane.local import curvature
from stationary.process.plane import PlaneDiffusion
from stationary.result import Data


@dataclass(frozen=True, eq=False)
class Metric(Data):
    """The metric a^-1, in which the noise is the same in all directions and everywhere."""

    diffusion: PlaneDiffusion

    def at(self, x: Any) -> Array:
        """a^-1 at points (2, M), shape (2, 2, M)."""
        a = np.moveaxis(self.diffusion.fields(points_of(x)).a, -1, 0)
        return np.asarray(np.moveaxis(np.linalg.inv(a), 0, -1))

    def curvature(self, x: Any) -> Any:
        """The Gauss curvature at points (2, M): 0 where coordinates make the noise the same."""
        made = curvature(self.diffusion, points_of(x))
        return made.reshape(np.shape(x)[1:])[()]


def points_of(x: Any) -> Array:
    made = np.asarray(x, dtype=float)
    if made.ndim == 0 or made.shape[0] != 2:
        raise LandscapeError(
            f"points must have shape (2,) or (2, M), x above y, not {made.shape}. Transpose them."
        )
    return made.reshape(2, -1)
