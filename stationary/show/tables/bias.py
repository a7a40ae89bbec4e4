"""Ratios of minima, and what changing one would do, as JSON and CSV."""

from __future__ import annotations

from typing import Any

import numpy as np

from stationary.bias import WidthBias
from stationary.questions.width.dilation import BasinBias
from stationary.questions.width.ratios import Ratio
from stationary.questions.width.stretch import Stretch

__all__ = ["as_dict", "as_table"]

PAIR_COLUMNS = (
    *("first", "second", "log_mass", "mass_error", "log_density", "density_error"),
    *("exponent", "noise", "width", "laplace"),
)


def as_dict(bias: WidthBias) -> dict[str, Any]:
    """Plain numbers, strings and lists; None for what no double can hold."""
    diffusion = bias.analysis.diffusion
    content = {
        "schema": 1,
        "name": diffusion.name,
        "minima": [
            {
                "index": i,
                "position": float(b.position),
                "log_mass": float(b.log_mass),
                "mass_error": float(b.mass_error),
                "log_density": float(b.log_density),
            }
            for i, b in enumerate(bias.analysis.basins)
        ],
        "ratios": [_ratio(r) for r in bias.ratios],
        "dilation": None if bias.dilation is None else _changed(bias.dilation),
        "noise": None if bias.noise is None else _changed(bias.noise),
        "notes": list(bias.analysis.end_state.notes),
    }
    return content


def as_table(bias: WidthBias) -> dict[str, Any]:
    """The changed basin, a row per factor; without one, the ratios, a row per pair.

    Where both are asked for, stretched and noisier copies are rows of one table.
    """
    if bias.changed:
        tables = [c.columns for c in bias.changed]
        names = list(dict.fromkeys(name for table in tables for name in table))
        blanks = [np.full(len(c.factors), None) for c in bias.changed]
        return {
            n: np.concatenate([t.get(n, b) for t, b in zip(tables, blanks, strict=True)])
            for n in names
        }
    rows = [_ratio(r) for r in bias.ratios]
    return {n: [row[n] for row in rows] for n in PAIR_COLUMNS}


def _ratio(r: Ratio) -> dict[str, Any]:
    causes, laplace, predicted = r.causes, r.laplace, r.predicted
    return {
        "first": r.indices[0],
        "second": r.indices[1],
        "log_mass": r.log_mass,
        "mass_error": r.mass_error,
        "log_density": r.log_density,
        "density_error": r.density_error,
        "why_no_parts": r.why or None,
        "top": r.top,
        "exponents": None if r.exponents is None else list(r.exponents),
        "exponent": r.exponent,
        "exponent_error": r.exponent_error if r.exponent is not None else None,
        "noise": r.noise,
        "noise_error": r.noise_error if r.noise is not None else None,
        "width": r.width,
        "width_error": r.width_error if r.width is not None else None,
        "laplace": laplace,
        "causes": None
        if causes is None
        else {
            "depth": causes.depth,
            "depth_error": causes.depth_error,
            "width": causes.width,
            "noise": causes.noise,
            "stretched": causes.stretched,
            "doubt": causes.doubt,
        },
        "stretch": _stretch(r.stretch),
        "stretch_of_mean_loss": _stretch(r.mean_stretch),
        "predicted": None
        if predicted is None
        else {"log_density": predicted[0], "log_mass": predicted[1]},
    }


def _stretch(fit: Stretch | None) -> dict[str, Any] | None:
    if fit is None:
        return None
    return {
        "factor": fit.factor,
        "factor_error": fit.factor_error,
        "mirrored": fit.mirrored,
        "misfit": fit.misfit,
        "fits": fit.fits,
    }


def _changed(c: BasinBias) -> dict[str, Any]:
    return {
        "minimum": c.index,
        "position": float(c.position),
        "top": float(c.top),
        "exponent": float(c.exponent),
        "exponent_error": c.exponent_error,
        **{name: [float(x) for x in column] for name, column in c.columns.items()},
    }
