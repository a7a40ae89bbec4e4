"""`width_bias`: which minimum holds how much more, why, and what if one were wider."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

from numpy.typing import ArrayLike

from stationary.analysis import Analysis, analyze
from stationary.errors import LandscapeError
from stationary.process.diffusion import Diffusion
from stationary.process.landscape import Landscape
from stationary.progress import INTERRUPTED, Progress, stage, watched
from stationary.questions.width.dilation import dilation_bias, noise_bias, picked
from stationary.questions.width.ratios import WidthBias
from stationary.result import Result
from stationary.states.basins import MIN_BARRIER
from stationary.states.distribution import EndState


def width_bias(
    source: str | os.PathLike[str] | Landscape | Diffusion | Analysis | EndState,
    *,
    minimum: int | None = None,
    dilate: ArrayLike | None = None,
    noise: ArrayLike | None = None,
    direction: str | None = None,
    progress: Progress = False,
    **changes: Any,
) -> WidthBias:
    """How much heavier each minimum is than the others, and what makes it so.

    Parameters
    ----------
    source
        The path of a landscape file, a `Landscape`, a `Diffusion`, or a finished `Analysis`,
        `EndState` or `PlaneState`.
    minimum
        The one to change, left to right from 0; needed only where there are several.
    dilate, noise
        Factors by which to stretch it, or to multiply its variance; see `dilation_bias` and
        `noise_bias`.
    direction
        With two weights, along what it is stretched: "both" (the default), "first" or "second".
    progress
        True: show what is at work, and the time left where that is known, in a notebook, or on
        standard error if that is a terminal. Or a function that is called with how much of what is
        at work is done, and of how much.
    changes
        As for `analyze`.

    Returns
    -------
    WidthBias
        `ratios`, natural logarithms with absolute errors, and `dilation` and `noise` if asked; a
        `PlaneWidthBias` with two weights, where `noise` is not had.

    Raises
    ------
    LandscapeError
        If the process cannot be solved, there is no such minimum, or a factor is not positive.
    """
    with watched(progress, "bias"):
        return _bias(source, minimum, dilate, noise, direction, changes)


def _bias(
    source: Any, minimum: Any, dilate: Any, noise: Any, direction: Any, changes: dict[str, Any]
) -> WidthBias:
    count = 2 + (dilate is not None) + (noise is not None)
    if isinstance(source, EndState):
        source = Analysis(source.diffusion, source, changes.pop("min_barrier", MIN_BARRIER))
    with stage("end state", 1, count):
        analysis: Any = source if _is_solved(source) else analyze(source, **changes)
    if not isinstance(analysis, Analysis):
        plane: WidthBias = _in_the_plane(analysis, minimum, dilate, noise, direction)
        return plane
    with stage("minima compared", 2, count):
        bias, name = analysis.bias, analysis.diffusion.name
    if direction is not None:
        raise LandscapeError(
            f"{name}: direction = {direction!r:.40} is for two weights. Leave it out."
        )
    if minimum is not None:
        picked(bias.state, minimum, analysis.min_barrier)  # whether there is one
        if dilate is None and noise is None:
            raise LandscapeError(
                f"{name}: minimum = {minimum!r:.40} is chosen but nothing is asked of it. Give "
                "factors to stretch it by, as in dilate=[1, 2, 4] (or --dilate 1:4:13)."
            )
    changed: dict[str, Any] = {}
    stopped = ""
    for kind, factors, changes_of in (
        ("dilation", dilate, dilation_bias),
        ("noise", noise, noise_bias),
    ):
        if factors is not None:
            chosen = _the_one(analysis, minimum)
            try:
                with stage(kind, 3 + len(changed), count):
                    changed[kind] = changes_of(
                        bias.state, chosen, factors, min_barrier=analysis.min_barrier
                    )
                stopped = changed[kind].stopped
            except KeyboardInterrupt:  # the minima are compared
                stopped = INTERRUPTED
            if stopped:
                break
    return replace(bias, stopped=stopped, **changed)


def _is_solved(source: Any) -> bool:
    if not isinstance(source, Result) or isinstance(source, Analysis):
        return isinstance(source, Analysis)
    from stationary.plane.state import PlaneState  # seldom asked for

    return isinstance(source, PlaneState)


def _in_the_plane(state: Any, minimum: Any, dilate: Any, noise: Any, direction: Any) -> Any:
    from stationary.plane.width import plane_width_bias  # seldom asked for

    if noise is not None:
        raise LandscapeError(
            f"{state.diffusion.name}: noise = {noise!r:.40} is had for one weight only. Stretch "
            "the basin (dilate), or leave it out."
        )
    if dilate is None and (minimum is not None or direction is not None):
        raise LandscapeError(
            f"{state.diffusion.name}: a minimum or a direction is chosen but nothing is asked of "
            "it. Give factors to stretch it by, as in dilate=[1, 1.5, 2] (or --dilate 1:2:5)."
        )
    return plane_width_bias(state, minimum, dilate, direction or "both")


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
