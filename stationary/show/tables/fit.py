"""A fit as data."""

from __future__ import annotations

from typing import Any

import numpy as np

from stationary.analysis import analyze
from stationary.sources.series.fit import Fit

__all__ = ["as_dict", "as_table"]


def as_dict(f: Fit) -> dict[str, Any]:
    """The verdict, the ladder of lags, the curves, and the end state with its standard errors."""
    lags, found = f.lags, analyze(f.diffusion)
    errors = found.standard_errors
    return {
        "name": f.name,
        "observations": sum(map(len, f.runs.values)),
        "runs": len(f.runs.values),
        "verdict": lags.verdict.name.lower(),
        "relaxation_time": f.found.chain.relaxation_time,
        "log_likelihood": f.found.log_likelihood,
        "parameters": f.found.freedom,
        "converged": f.found.converged,
        "lags": [
            {"observations": lag, "time": time, "speed": speed, "standard_error": error}
            for lag, time, speed, error in zip(
                lags.lags, lags.times, lags.speeds, lags.errors, strict=True
            )
        ],
        "halves": lags.halves,
        "curves": as_table(f),
        "basins": [
            {
                "position": b.position,
                "log_mass": b.log_mass,
                "standard_error": None if errors is None else errors.log_masses[k],
                "log_exit_time": None if passage is None else passage.log_time,
                "exit_time_standard_error": None if errors is None else errors.log_exit_times[k],
            }
            for k, (b, passage) in enumerate(zip(found.basins, found.exits, strict=True))
        ],
    }


def as_table(f: Fit) -> dict[str, Any]:
    """Drift and variance with their standard errors, on an even grid."""
    x = np.linspace(*f.domain, 201)
    return {
        "x": x,
        "drift": f.drift(x),
        "drift_error": f.drift_error(x),
        "variance": f.variance(x),
        "variance_error": f.variance_error(x),
        "log_density": f.log_density(x),
    }
