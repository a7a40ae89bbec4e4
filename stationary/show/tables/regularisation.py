"""A regularisation path as JSON."""

from __future__ import annotations

from typing import Any

import numpy as np

from stationary.questions.regularisation.path import RegularisationPath

__all__ = ["as_dict"]


def as_dict(path: RegularisationPath) -> dict[str, Any]:
    """Plain numbers, strings and lists; None stands for what is not finite."""
    exact = path.exact

    def listed(values: Any) -> Any:
        array = np.asarray(values, dtype=float)
        if array.ndim == 0:
            return float(array) if np.isfinite(array) else None
        return [listed(v) for v in array]

    return {
        "schema": 1,
        "name": exact.diffusion.name,
        "outcome": path.outcome,
        "verdict": path.verdict,
        "exact": {"kind": exact.kind, "reason": exact.reason or None},
        "basins": [
            {
                "lower": listed(p.lower),
                "upper": listed(p.upper),
                "position": p.position,
                "kind": p.kind,
                "exact_mass": p.exact,
                "law": {
                    "kind": law.kind,
                    "value": listed(law.value),
                    "rate": listed(law.rate),
                    "error": listed(law.error),
                },
            }
            for p, law in zip(path.basins, path.judged.laws, strict=True)
        ],
        "epsilons": listed(path.epsilons),
        "log_masses": listed(path.log_masses),
        "errors": listed(path.errors),
        "exponents": listed(path.exponents),
        "widths": listed(path.widths),
        "mean": listed(path.mean),
        "std": listed(path.std),
        "kinds": list(path.kinds),
        "stopped": path.stopped or None,
    }
