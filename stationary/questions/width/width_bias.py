"""`width_bias`: which minimum holds how much more, why, and what if one were wider.

The result knows its ratios and tables; the rooms that set it as text and draw it are opened when
asked.
"""

from __future__ import annotations

import csv
import io
import json
import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from stationary.analysis import Analysis, analyze
from stationary.errors import LandscapeError
from stationary.process.diffusion import Diffusion
from stationary.process.landscape import Landscape
from stationary.questions.width.dilation import BasinBias, dilation_bias, noise_bias
from stationary.questions.width.ratios import Ratio
from stationary.questions.width.stretch import Stretch

__all__ = ["WidthBias", "width_bias"]

Array = NDArray[Any]

PAIR_COLUMNS = (
    *("first", "second", "log_mass", "mass_error", "log_density", "density_error"),
    *("exponent", "noise", "width", "laplace"),
)


@dataclass(frozen=True, eq=False, repr=False)
class WidthBias:
    """The minima of a process compared, and one of them changed, if that was asked."""

    analysis: Analysis
    ratios: tuple[Ratio, ...]  # every pair in one closed class
    dilation: BasinBias | None = None
    noise: BasinBias | None = None

    def __repr__(self) -> str:
        n = len(self.analysis.basins)
        return f"<WidthBias of {self.analysis.diffusion.name!r}: {n} minima>"

    @property
    def changed(self) -> tuple[BasinBias, ...]:
        return tuple(c for c in (self.dilation, self.noise) if c is not None)

    def summary(self) -> str:
        """The answer in a line, and then in full; at most 80 columns wide."""
        from stationary.show.reports.bias import text

        return text(self)

    def __str__(self) -> str:
        return self.summary()

    def to_dict(self) -> dict[str, Any]:
        """The same as plain numbers, strings and lists; None for what no double can hold."""
        from stationary.show.export import finite_only

        diffusion = self.analysis.diffusion
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
                for i, b in enumerate(self.analysis.basins)
            ],
            "ratios": [_ratio(r) for r in self.ratios],
            "dilation": None if self.dilation is None else _changed(self.dilation),
            "noise": None if self.noise is None else _changed(self.noise),
            "notes": list(self.analysis.end_state.notes),
        }
        return dict(finite_only(content))

    def to_json(self) -> str:
        """`to_dict` as JSON, without NaN or Infinity."""
        return json.dumps(self.to_dict(), indent=2, allow_nan=False)

    def to_csv(self) -> str:
        """The changed basin, a row per factor; without one, the ratios, a row per pair.

        Where both are asked for, stretched and noisier copies are rows of one table.
        """
        if self.changed:
            tables = [c.columns for c in self.changed]
            names = list(dict.fromkeys(name for table in tables for name in table))
            blanks = [np.full(len(c.factors), None) for c in self.changed]
            columns = {
                n: np.concatenate([t.get(n, b) for t, b in zip(tables, blanks, strict=True)])
                for n in names
            }
        else:
            rows = [_ratio(r) for r in self.ratios]
            columns = {n: np.array([row[n] for row in rows], dtype=object) for n in PAIR_COLUMNS}
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(columns)
        for row in zip(*columns.values(), strict=True):
            writer.writerow(
                ["" if x is None else repr(x if type(x) is int else float(x)) for x in row]
            )
        return out.getvalue()

    def plot(self, path: str | Path | None = None) -> Any:
        """Draw the changed basin, or the parts of the ratios; save to `path` if given."""
        from stationary.show.figures.analysis import save
        from stationary.show.figures.bias import plot_bias

        figure = plot_bias(self)
        if path is not None:
            save(figure, path)
        return figure


def width_bias(
    source: str | os.PathLike[str] | Landscape | Diffusion | Analysis,
    *,
    minimum: int | None = None,
    dilate: ArrayLike | None = None,
    noise: ArrayLike | None = None,
    **changes: Any,
) -> WidthBias:
    """How much heavier each minimum is than the others, and what makes it so.

    Parameters
    ----------
    source
        The path of a landscape file, a `Landscape`, a `Diffusion`, or a finished `Analysis`.
    minimum
        The one to change, left to right from 0; needed only where there are several.
    dilate, noise
        Factors by which to stretch it, or to multiply its variance; see `dilation_bias` and
        `noise_bias`.
    changes
        As for `analyze`.

    Returns
    -------
    WidthBias
        `ratios`, natural logarithms with absolute errors, and `dilation` and `noise` if asked.

    Raises
    ------
    LandscapeError
        If the process cannot be solved, there is no such minimum, or a factor is not positive.
    """
    analysis = source if isinstance(source, Analysis) else analyze(source, **changes)
    state = analysis.end_state
    if minimum is not None and dilate is None and noise is None:
        raise LandscapeError(
            f"{state.diffusion.name}: minimum = {minimum!r:.40} is chosen but nothing is asked of "
            "it. Give factors to stretch it by, as in dilate=[1, 2, 4] (or --dilate 1:4:13)."
        )
    changed: dict[str, BasinBias] = {}
    for name, factors, bias in (
        ("dilation", dilate, dilation_bias),
        ("noise", noise, noise_bias),
    ):
        if factors is not None:
            changed[name] = bias(state, _the_one(analysis, minimum), factors)
    return WidthBias(analysis, analysis.bias, **changed)


def _the_one(analysis: Analysis, minimum: int | None) -> int:
    if minimum is not None:
        return minimum
    basins, v = analysis.basins, analysis.diffusion.variable
    if len(basins) > 1:
        listed = ", ".join(f"{i} at {v} = {float(b.position):.6g}" for i, b in enumerate(basins))
        raise LandscapeError(
            f"{analysis.diffusion.name}: there are {len(basins)} minima: {listed}. Say which "
            "one is to be changed, as in minimum=1 (or --minimum 1)."
        )
    return 0


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
        "factor_error": fit.factor_error if math.isfinite(fit.factor_error) else None,
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
