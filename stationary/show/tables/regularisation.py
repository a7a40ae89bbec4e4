"""A regularisation path as JSON."""

from __future__ import annotations

from typing import Any

from stationary.questions.regularisation.path import RegularisationPath

__all__ = ["as_dict", "as_table"]


def as_dict(path: RegularisationPath) -> dict[str, Any]:
    """Plain numbers, strings and lists; None stands for what is not finite."""
    exact = path.exact

    return {
        "schema": 1,
        "name": exact.diffusion.name,
        "outcome": path.outcome,
        "verdict": path.verdict,
        "exact": {"kind": exact.kind, "reason": exact.reason or None},
        "basins": [
            {
                "lower": p.lower,
                "upper": p.upper,
                "position": p.position,
                "kind": p.kind,
                "exact_mass": p.exact,
                "law": {
                    "kind": law.kind,
                    "value": law.value,
                    "rate": law.rate,
                    "error": law.error,
                },
            }
            for p, law in zip(path.basins, path.judged.laws, strict=True)
        ],
        "epsilons": path.epsilons,
        "log_masses": path.log_masses,
        "errors": path.errors,
        "exponents": path.exponents,
        "widths": path.widths,
        "mean": path.mean,
        "std": path.std,
        "kinds": list(path.kinds),
        "stopped": path.stopped or None,
    }


def as_table(path: RegularisationPath) -> dict[str, Any]:
    """A row for each amount of noise that was added."""
    columns: dict[str, Any] = {"eps": path.epsilons, "kind": path.kinds}
    columns |= {"mean": path.mean, "std": path.std}
    for i in range(len(path.basins)):
        columns[f"log_mass_{i}"] = [row[i] for row in path.log_masses]
        columns[f"mass_error_{i}"] = [row[i] for row in path.errors]
    return columns
