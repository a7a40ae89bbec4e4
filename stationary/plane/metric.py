"""The metric of the noise, and points at which it and densities are asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from stationary.aliases import Array
from stationary.errors import LandscapeError
from stationary.points import numbers_only
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
    with numbers_only(x):
        made = np.asarray(x, dtype=float)
    if made.ndim == 0 or made.shape[0] != 2:
        raise LandscapeError(
            f"points must have shape (2,) or (2, M), x above y, not {made.shape}. Transpose them."
        )
    return made.reshape(2, -1)


def curvature(process: PlaneDiffusion, x: Array) -> Array:
    """The Gauss curvature of the metric a^-1 at points (2, M): 0 where coordinates exist in which
    the noise is the same everywhere."""
    fields = process.fields(x, 2)
    a, da, dda = (np.moveaxis(t, -1, 0) for t in (fields.a, fields.da, fields.dda))
    g = np.linalg.inv(a)
    dg = -g[:, None] @ da @ g[:, None]  # (M, k, i, j)
    turned = g[:, None, None] @ da[:, :, None] @ g[:, None, None] @ da[:, None] @ g[:, None, None]
    ddg = turned + np.swapaxes(turned, 1, 2) - g[:, None, None] @ dda @ g[:, None, None]
    # Christoffel: c[k, i, j] = (d_i g_kj + d_j g_ki - d_k g_ij) / 2.
    c = (np.einsum("mikj->mkij", dg) + np.einsum("mjki->mkij", dg) - dg) / 2
    own = np.einsum("mkl,mk,ml->m", a, c[:, :, 0, 1], c[:, :, 0, 1])
    own -= np.einsum("mkl,mk,ml->m", a, c[:, :, 0, 0], c[:, :, 1, 1])
    bent = ddg[:, 0, 1, 0, 1] - (ddg[:, 1, 1, 0, 0] + ddg[:, 0, 0, 1, 1]) / 2
    return np.asarray((bent + own) / np.linalg.det(g))
