"""The law around a minimum as data: a row for each eigenvector."""

from __future__ import annotations

from typing import Any

import numpy as np

from stationary.sources.local import Around

__all__ = ["as_dict", "as_table"]


def as_dict(a: Around) -> dict[str, Any]:
    """Curvatures, noise and gradient along the eigenvectors."""
    return {"weights": len(a.vectors), "datapoints": a.network.datapoints} | as_table(a)


def as_table(a: Around) -> dict[str, Any]:
    """The same by columns."""
    return {
        "curvature": a.curvatures,
        "noise": np.sqrt(np.diag(a.noise)),
        "gradient": a.slope,
    }
