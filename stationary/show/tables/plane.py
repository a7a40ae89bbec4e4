"""An end state in the plane as plain data."""

from __future__ import annotations

from typing import Any

import numpy as np

from stationary.plane.state import PlaneState

__all__ = ["as_dict", "as_table"]

SCHEMA = 1


def as_dict(state: PlaneState) -> dict[str, Any]:
    """Plain numbers, strings and lists; null for what does not exist."""
    curl, turning = state.curl, state.circulation
    return {
        "schema": SCHEMA,
        "kind": "plane",
        "name": state.diffusion.name,
        "equation": state.diffusion.equation,
        "domain": [list(ends) for ends in state.diffusion.domain],
        "parameters": dict(state.diffusion.parameters),
        "road": state.road,
        "status": state.status.name.lower(),
        "error": state.error,
        "notes": list(state.notes),
        "curl": {
            "local_energy": curl.local,
            "maximum": curl.maximum,
            "where": None if curl.where is None else list(curl.where),
            "fraction": curl.fraction,
            "words": curl.words,
            "noise": {
                "singular": curl.noise.singular,
                "where": [list(x) for x in curl.noise.where],
            },
        },
        "entropy_production": state.entropy_production,
        "circulation": turning,
        "mean": state.mean().tolist(),
        "covariance": state.cov().tolist(),
        "equilibria": [
            {
                "position": e.position.tolist(),
                "kind": e.kind,
                "eigenvalues": [[float(v.real), float(v.imag)] for v in e.eigenvalues],
                "jacobian": e.jacobian.tolist(),
                "covariance": None if e.covariance is None else e.covariance.tolist(),
                "curl": e.curl,
            }
            for e in state.equilibria
        ],
        "basins": [
            {
                "position": None if b.attractor is None else b.attractor.position.tolist(),
                "mass": b.mass,
                "log_mass": b.log_mass,
                "log_mass_error": b.mass_error,
                "barriers": [{"saddle": k, "log_ratio": rise} for k, rise in b.barriers],
            }
            for b in state.basins
        ],
    }


def as_table(state: PlaneState, points: int = 101, *, of: str = "density") -> dict[str, Any]:
    """The density and its current on a grid, a row for each point; or, for "minima", the basins."""
    if of == "minima":
        kept = [b for b in state.basins if b.position is not None]
        at = np.array([b.position for b in kept]).reshape(-1, 2)
        return {
            "x": at[:, 0],
            "y": at[:, 1],
            "mass": [b.mass for b in kept],
            "log_mass": [b.log_mass for b in kept],
            "mass_error": [b.mass_error for b in kept],
        }
    from stationary.show.figures.plane import window

    axes = [np.linspace(low, high, points) for low, high in window(state)]
    x = np.stack([v.ravel() for v in np.meshgrid(*axes, indexing="ij")])
    current = state.current(x)
    return {
        "x": x[0],
        "y": x[1],
        "density": state.pdf(x),
        "log_density": state.logpdf(x),
        "current_x": current[0],
        "current_y": current[1],
    }
